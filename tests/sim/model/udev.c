/* SPDX-License-Identifier: GPL-2.0-or-later */

/* udev: what udevd does with a PCI function that is new: the rule which reserves it for a driver (GPUPT_OVERRIDE= in
 * /run/gpuptd/keep-ADDRESS), and then, if the topology says `autoload`, the load of whatever module fits. udevd works beside
 * the kernel: on the kernels up to 6.18 a host driver that is loaded has the function before this comes to it. */

#include <stdio.h>
#include <string.h>

#include "model/model.h"
#include "util/cleanup.h"

static unsigned pending;

static char *reserved_for(const Device *d) {
        static const char key[] = "GPUPT_OVERRIDE=";
        g_autofree char *path = g_strdup_printf("/run/gpuptd/keep-%s", d->address), *text = NULL;
        g_auto(GStrv) lines = NULL;

        if (!g_file_get_contents(path, &text, NULL, NULL))
                return NULL;
        lines = g_strsplit(text, "\n", -1);
        for (char **l = lines; *l; l++)
                if (g_str_has_prefix(*l, key))
                        return g_strdup(*l + strlen(key));
        return NULL;
}

static void handle_add(void *data) {
        Device *d = data;
        g_autofree char *driver = reserved_for(d), *modalias = device_modalias(d);

        if (driver && device_known(d))
                (void) device_set_override(d, driver);
        if (machine.autoload && device_known(d)) /* 80-drivers.rules looks at no override; the match of the driver does */
                (void) module_load(modalias);
        if (device_known(d))
                uevent_announce(&d->kobject, "add");
        pending--;
        machine_changed();
}

bool udev_handles(const Device *d) {
        g_autofree char *driver = reserved_for(d);

        return machine.running && (machine.autoload || driver);
}

void udev_added(Device *d) {
        pending++;
        (void) machine_in_thread(handle_add, d);
}

void udev_settle(void) {
        while (pending > 0)
                machine_wait();
}
