/* SPDX-License-Identifier: GPL-2.0-or-later */

/* test-log-control: the properties as `systemctl service-log-level` reads and writes them. */

#include "log-control.h"

#include "bus.h"
#include "util/log.h"

#define OBJECT "/org/freedesktop/LogControl1"
#define INTERFACE "org.freedesktop.LogControl1"
#define PROPERTIES "org.freedesktop.DBus.Properties"

typedef struct Fixture {
        TestBus bus;
        sd_bus_slot *slot;
        bool replied;
        char *value, *error;
} Fixture;

static void set_up(Fixture *f, const void *data) {
        test_bus_up(&f->bus);
        log_set_max_level(LOG_INFO);
        log_set_target(LOG_TARGET_CONSOLE);
        g_assert_cmpint(log_control_export(f->bus.daemon, &f->slot), >=, 0);
}

static void tear_down(Fixture *f, const void *data) {
        sd_bus_slot_unref(f->slot);
        test_bus_down(&f->bus);
        g_free(f->value);
        g_free(f->error);
        log_set_max_level(LOG_INFO);
        log_set_target(LOG_TARGET_CONSOLE);
}

static int on_reply(sd_bus_message *m, void *userdata, sd_bus_error *ret_error) {
        Fixture *f = userdata;
        const char *value;

        g_clear_pointer(&f->value, g_free);
        g_clear_pointer(&f->error, g_free);
        if (sd_bus_message_is_method_error(m, NULL))
                f->error = g_strdup(sd_bus_message_get_error(m)->name);
        else if (!sd_bus_message_is_empty(m)) {
                g_assert_cmpint(sd_bus_message_read(m, "v", "s", &value), >, 0);
                f->value = g_strdup(value);
        }
        f->replied = true;
        return 0;
}

static const char *get(Fixture *f, const char *property) {
        f->replied = false;
        g_assert_cmpint(sd_bus_call_method_async(f->bus.caller, NULL, test_bus_name(f->bus.daemon), OBJECT, PROPERTIES,
                                                 "Get", on_reply, f, "ss", INTERFACE, property),
                        >=, 0);
        loop_until(f->bus.event, f->replied);
        return f->value;
}

/* The name of the error, or NULL. */
static const char *set(Fixture *f, const char *property, const char *value) {
        f->replied = false;
        g_assert_cmpint(sd_bus_call_method_async(f->bus.caller, NULL, test_bus_name(f->bus.daemon), OBJECT, PROPERTIES,
                                                 "Set", on_reply, f, "ssv", INTERFACE, property, "s", value),
                        >=, 0);
        loop_until(f->bus.event, f->replied);
        return f->error;
}

static void test_level(Fixture *f, const void *data) {
        static const char *const levels[] = { "emerg", "alert", "crit", "err", "warning", "notice", "info", "debug" };

        g_assert_cmpstr(get(f, "LogLevel"), ==, "info");
        for (int i = 0; i < (int) ELEMENTSOF(levels); i++) {
                g_assert_cmpstr(set(f, "LogLevel", levels[i]), ==, NULL);
                g_assert_cmpint(log_max_level(), ==, i);
                g_assert_cmpstr(get(f, "LogLevel"), ==, levels[i]);
        }
        g_assert_cmpstr(set(f, "LogLevel", "loud"), ==, SD_BUS_ERROR_INVALID_ARGS);
        g_assert_cmpstr(set(f, "LogLevel", ""), ==, SD_BUS_ERROR_INVALID_ARGS);
        g_assert_cmpint(log_max_level(), ==, LOG_DEBUG);
}

static void test_target(Fixture *f, const void *data) {
        g_assert_cmpstr(get(f, "LogTarget"), ==, "console");
        g_assert_cmpstr(set(f, "LogTarget", "journal"), ==, NULL);
        g_assert_cmpstr(get(f, "LogTarget"), ==, "journal");
        g_assert_cmpint(log_target(), ==, LOG_TARGET_JOURNAL);
        g_assert_cmpstr(set(f, "LogTarget", "kmsg"), ==, SD_BUS_ERROR_INVALID_ARGS);
        g_assert_cmpint(log_target(), ==, LOG_TARGET_JOURNAL);
        g_assert_cmpstr(set(f, "LogTarget", "console"), ==, NULL);
        g_assert_cmpint(log_target(), ==, LOG_TARGET_CONSOLE);
        /* Whatever stderr is. */
        g_assert_cmpstr(set(f, "LogTarget", "auto"), ==, NULL);
}

static void test_identifier(Fixture *f, const void *data) {
        g_assert_cmpstr(get(f, "SyslogIdentifier"), ==, "gpuptd");
        g_assert_cmpstr(set(f, "SyslogIdentifier", "x"), ==, SD_BUS_ERROR_PROPERTY_READ_ONLY);
}

int main(int argc, char *argv[]) {
        g_test_init(&argc, &argv, NULL);
        g_test_add("/log-control/level", Fixture, NULL, set_up, test_level, tear_down);
        g_test_add("/log-control/target", Fixture, NULL, set_up, test_target, tear_down);
        g_test_add("/log-control/identifier", Fixture, NULL, set_up, test_identifier, tear_down);
        return g_test_run();
}
