/* SPDX-License-Identifier: GPL-2.0-or-later */

/* kernel-log: what the simulated kernel prints. Lines of a device begin as dev_printk() begins them, with the driver or the
 * bus and the address. Who carries them into the journal is registered by the host. */

#include <stdio.h>

#include "model/model.h"
#include "util/cleanup.h"

static GString *ring;
static void (*sink)(const Device *d, int priority, const char *line);

void kernel_log_init(void (*to)(const Device *d, int priority, const char *line)) {
        ring = ring ?: g_string_new(NULL);
        sink = to;
}

const char *kernel_log_text(void) {
        return ring ? ring->str : "";
}

void kernel_log(const Device *d, int priority, const char *format, ...) {
        g_autofree char *text = NULL, *line = NULL;
        va_list ap;

        va_start(ap, format);
        text = g_strdup_vprintf(format, ap);
        va_end(ap);
        line = d ? g_strdup_printf("%s %s: %s", d->driver ? d->driver->name : "pci", d->address, text)
                 : g_steal_pointer(&text);
        ring = ring ?: g_string_new(NULL);
        g_string_append_printf(ring, "%s\n", line);
        if (sink)
                sink(d, priority, line);
        machine_changed();
}
