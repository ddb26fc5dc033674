/* SPDX-License-Identifier: GPL-2.0-or-later */

#include "floor.h"

#include <err.h>
#include <limits.h>

#include "util/fs.h"

#define DEVICES "/sys/bus/pci/devices"
#define DRIVERS "/sys/bus/pci/drivers"

static void put(const char *directory, const char *name, const char *attribute, const char *value) {
        char path[PATH_MAX];
        int r;

        (void) snprintf(path, sizeof(path), "%s/%s/%s", directory, name, attribute);
        r = write_attribute_at(AT_FDCWD, path, value);
        /* Not every function has every power attribute. */
        if (r < 0 && r != -ENOENT) {
                errno = -r;
                err(1, "writing %s to %s", value, path);
        }
}

static void pin_power(const char *address) {
        put(DEVICES, address, "d3cold_allowed", "0");
        put(DEVICES, address, "power/control", "on");
}

static void restore_power(const char *address, const char *control) {
        put(DEVICES, address, "d3cold_allowed", "1");
        put(DEVICES, address, "power/control", control);
}

void floor_detach(const FloorCard *c) {
        pin_power(c->display);
        pin_power(c->sound);
        pin_power(c->port);
        put(DEVICES, c->display, "driver_override", "vfio-pci");
        put(DEVICES, c->sound, "driver_override", "vfio-pci");
        put(DRIVERS, c->sound_driver, "unbind", c->sound);
        put(DRIVERS, c->display_driver, "unbind", c->display);
        put(DRIVERS, "vfio-pci", "bind", c->display);
        put(DRIVERS, "vfio-pci", "bind", c->sound);
        put(DEVICES, c->display, "power/control", "auto");
        put(DEVICES, c->sound, "power/control", "auto");
}

void floor_attach(const FloorCard *c) {
        pin_power(c->display);
        pin_power(c->sound);
        put(DEVICES, c->display, "driver_override", c->display_driver);
        put(DEVICES, c->sound, "driver_override", c->sound_driver);
        put(DRIVERS, "vfio-pci", "unbind", c->sound);
        put(DRIVERS, "vfio-pci", "unbind", c->display);
        put(DRIVERS, c->display_driver, "bind", c->display);
        put(DRIVERS, c->sound_driver, "bind", c->sound);
        put(DEVICES, c->display, "driver_override", "\n");
        put(DEVICES, c->sound, "driver_override", "\n");
        restore_power(c->display, "on");
        restore_power(c->sound, "on");
        restore_power(c->port, "auto");
}
