/* SPDX-License-Identifier: GPL-2.0-or-later */

/* log-control: the bus face of util/log. It owns nothing; the properties are read from there and written there.
 * Writing is root's (no SD_BUS_VTABLE_UNPRIVILEGED: sd-bus compares the caller's uid with ours); the bus policy says
 * the same. The names are those of org.freedesktop.LogControl1(5). */

#include "log-control.h"

#include "util/log.h"

#define LOG_CONTROL_PATH "/org/freedesktop/LogControl1"
#define LOG_CONTROL_INTERFACE "org.freedesktop.LogControl1"
#define SYSLOG_IDENTIFIER "gpuptd"

static const char *const log_level_table[] = {
        [LOG_EMERG] = "emerg", [LOG_ALERT] = "alert", [LOG_CRIT] = "crit", [LOG_ERR] = "err",
        [LOG_WARNING] = "warning", [LOG_NOTICE] = "notice", [LOG_INFO] = "info", [LOG_DEBUG] = "debug",
};

static int get_level(sd_bus *bus, const char *path, const char *interface, const char *property,
                     sd_bus_message *reply, void *userdata, sd_bus_error *ret_error) {
        return sd_bus_message_append(reply, "s", log_level_table[log_max_level() & 7]);
}

static int set_level(sd_bus *bus, const char *path, const char *interface, const char *property,
                     sd_bus_message *value, void *userdata, sd_bus_error *ret_error) {
        const char *name;
        int r;

        r = sd_bus_message_read(value, "s", &name);
        if (r < 0)
                return r;
        for (size_t i = 0; i < ELEMENTSOF(log_level_table); i++)
                if (streq(log_level_table[i], name)) {
                        log_set_max_level((int) i);
                        return 0;
                }
        return sd_bus_error_setf(ret_error, SD_BUS_ERROR_INVALID_ARGS, "'%s' is not a log level.", name);
}

static int get_target(sd_bus *bus, const char *path, const char *interface, const char *property,
                      sd_bus_message *reply, void *userdata, sd_bus_error *ret_error) {
        return sd_bus_message_append(reply, "s", log_target() == LOG_TARGET_JOURNAL ? "journal" : "console");
}

static int set_target(sd_bus *bus, const char *path, const char *interface, const char *property,
                      sd_bus_message *value, void *userdata, sd_bus_error *ret_error) {
        const char *name;
        int r;

        r = sd_bus_message_read(value, "s", &name);
        if (r < 0)
                return r;
        if (streq(name, "auto"))
                log_open();
        else if (streq(name, "journal"))
                log_set_target(LOG_TARGET_JOURNAL);
        else if (streq(name, "console"))
                log_set_target(LOG_TARGET_CONSOLE);
        else
                return sd_bus_error_setf(ret_error, SD_BUS_ERROR_INVALID_ARGS, "'%s' is not a log target of gpuptd.",
                                         name);
        return 0;
}

static int get_identifier(sd_bus *bus, const char *path, const char *interface, const char *property,
                          sd_bus_message *reply, void *userdata, sd_bus_error *ret_error) {
        return sd_bus_message_append(reply, "s", SYSLOG_IDENTIFIER);
}

static const sd_bus_vtable log_control_vtable[] = {
        SD_BUS_VTABLE_START(0),
        SD_BUS_WRITABLE_PROPERTY("LogLevel", "s", get_level, set_level, 0, 0),
        SD_BUS_WRITABLE_PROPERTY("LogTarget", "s", get_target, set_target, 0, 0),
        SD_BUS_PROPERTY("SyslogIdentifier", "s", get_identifier, 0, SD_BUS_VTABLE_PROPERTY_CONST),
        SD_BUS_VTABLE_END,
};

int log_control_export(sd_bus *bus, sd_bus_slot **ret) {
        return sd_bus_add_object_vtable(bus, ret, LOG_CONTROL_PATH, LOG_CONTROL_INTERFACE, log_control_vtable, NULL);
}
