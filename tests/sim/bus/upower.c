/* SPDX-License-Identifier: GPL-2.0-or-later */

/* upower: the stand-in for UPower: how worried it is about the battery, and nothing else. */

#include <errno.h>
#include <glib.h>

#include "bus/bus.h"
#include "host/control.h"
#include "util/cleanup.h"

#define DISPLAY_DEVICE "/org/freedesktop/UPower/devices/DisplayDevice"
#define INTERFACE "org.freedesktop.UPower.Device"

/* UpDeviceLevel of libupower-glib/up-types.h: 1 none, 3 low, 4 critical, 5 action. */
#define LEVEL_NONE 1U
#define LEVEL_LAST 8U

static uint32_t level = LEVEL_NONE;

static int property_level(_unused_ sd_bus *bus, _unused_ const char *path, _unused_ const char *interface,
                          _unused_ const char *property, sd_bus_message *reply, _unused_ void *userdata,
                          _unused_ sd_bus_error *error) {
        return sd_bus_message_append(reply, "u", level);
}

static const sd_bus_vtable vtable[] = {
        SD_BUS_VTABLE_START(0),
        SD_BUS_PROPERTY("WarningLevel", "u", property_level, 0, SD_BUS_VTABLE_PROPERTY_EMITS_CHANGE),
        SD_BUS_VTABLE_END,
};

static int setup(sd_bus *bus) {
        return sd_bus_add_object_vtable(bus, NULL, DISPLAY_DEVICE, INTERFACE, vtable, NULL);
}

Service upower_service = { .name = "org.freedesktop.UPower", .setup = setup };

/* `upower level=N|gone|back` */
static int command_upower(char **arguments, _unused_ GString *text) {
        const char *value;
        guint64 number;

        if (streq(arguments[0], "gone")) {
                service_stop(&upower_service);
                return 0;
        }
        if (streq(arguments[0], "back"))
                return service_start(&upower_service);
        value = startswith(arguments[0], "level=");
        if (!value || !g_ascii_string_to_unsigned(value, 10, 0, LEVEL_LAST, &number, NULL))
                return -EINVAL;
        level = (uint32_t) number;
        if (!upower_service.bus)
                return 0;
        return sd_bus_emit_properties_changed(upower_service.bus, DISPLAY_DEVICE, INTERFACE, "WarningLevel", NULL);
}

const ControlCommand upower_commands[] = {
        { "upower", 1, command_upower },
        {},
};
