/* SPDX-License-Identifier: GPL-2.0-or-later */

/* guest, gpuptd: its life as a service, and its objects by properties and signals. */

#include <signal.h>
#include <string.h>
#include <unistd.h>

#include "dbus/names.h"
#include "guest-private.h"
#include "guest.h"

sd_bus *system_bus(void) {
        static sd_bus *bus;

        if (!bus)
                g_assert_cmpint(sd_bus_open_system(&bus), >=, 0);
        return bus;
}

/* ---- The service */

bool daemon_installed(void) {
        return access("/usr/bin/gpuptctl", X_OK) == 0;
}

void daemon_start(void) {
        g_free(output_of("systemctl", "start", GPUPT_UNIT_DAEMON, NULL));
}

void daemon_renew(void) {
        g_free(output_of("systemctl", "stop", GPUPT_UNIT_DAEMON, NULL));
        output_free(command(WHO_ROOT, "systemctl", "reset-failed", GPUPT_UNIT_DAEMON, NULL));
        g_free(output_of("rm", "-rf", GPUPT_RUN_DIR, GPUPT_STATE_DIR, NULL));
        daemon_start();
}

pid_t daemon_pid(void) {
        g_autofree char *pid = output_of("systemctl", "show", "--value", "--property=MainPID", GPUPT_UNIT_DAEMON, NULL);

        return (pid_t) g_ascii_strtoll(pid, NULL, 10);
}

void daemon_kill(void) {
        pid_t pid = daemon_pid();

        g_assert_cmpint(pid, >, 1);
        g_assert_cmpint(kill(pid, SIGKILL), ==, 0);
}

/* ---- Its objects */

static char *gpu_path(const char *address) {
        char *path = NULL;

        g_assert_cmpint(sd_bus_path_encode(GPUPT_GPU_PREFIX, address, &path), >=, 0);
        return path;
}

/* NULL without such an object. */
static char *get_property(const char *path, const char *interface, const char *property) {
        sd_bus_error error = SD_BUS_ERROR_NULL;
        sd_bus_message *reply = NULL;
        const char *contents, *a, *b;
        char type, *value;
        int r;

        /* Not sd_bus_get_property(): the type is not known beforehand. */
        r = sd_bus_call_method(system_bus(), GPUPT_BUS_NAME, path, "org.freedesktop.DBus.Properties", "Get", &error, &reply, "ss",
                               interface, property);
        if (r < 0) {
                g_test_message("%s of %s: %s", property, path, error.message);
                sd_bus_error_free(&error);
                return NULL;
        }
        g_assert_cmpint(sd_bus_message_peek_type(reply, &type, &contents), >, 0);
        g_assert_cmpint(sd_bus_message_enter_container(reply, 'v', contents), >, 0);
        if (g_str_equal(contents, "(ss)")) {
                g_assert_cmpint(sd_bus_message_read(reply, "(ss)", &a, &b), >, 0);
                value = g_strdup_printf("%s %s", a, b);
        } else if (g_str_equal(contents, "b") || g_str_equal(contents, "u")) {
                uint32_t number;

                g_assert_cmpint(sd_bus_message_read_basic(reply, *contents, &number), >, 0);
                value = g_strdup_printf("%u", number);
        } else {
                g_assert_cmpint(sd_bus_message_read_basic(reply, *contents, &a), >, 0);
                value = g_strdup(a);
        }
        sd_bus_message_unref(reply);
        return value;
}

static char *gpu_try_get(const char *address, const char *property) {
        g_autofree char *path = gpu_path(address);

        return get_property(path, GPUPT_GPU_INTERFACE, property);
}

char *gpu_get(const char *address, const char *property) {
        char *value = gpu_try_get(address, property);

        g_assert_nonnull(value);
        return value;
}

char *gpu_call(const char *address, const char *method) {
        g_autofree char *path = gpu_path(address);
        sd_bus_error error = SD_BUS_ERROR_NULL;
        char *name;

        (void) sd_bus_call_method(system_bus(), GPUPT_BUS_NAME, path, GPUPT_GPU_INTERFACE, method, &error, NULL, "a{sv}", 0);
        name = g_strdup(error.name);
        sd_bus_error_free(&error);
        return name;
}

char *gpu_phase(const char *address, const char *phase) {
        g_autofree char *path = gpu_path(address);
        sd_bus_error error = SD_BUS_ERROR_NULL;
        char *name;

        (void) sd_bus_call_method(system_bus(), GPUPT_BUS_NAME, path, GPUPT_GPU_INTERFACE, "VmPhase", &error, NULL, "sssa{sv}",
                                  "qemu", NESTED_NAME, phase, 0);
        name = g_strdup(error.name);
        sd_bus_error_free(&error);
        return name;
}

char *gpu_last_job(const char *address, const char *key) {
        g_autofree char *path = gpu_path(address);
        sd_bus_message *reply = NULL;
        const char *name, *contents, *text;
        char type, *value = NULL;

        g_assert_cmpint(sd_bus_get_property(system_bus(), GPUPT_BUS_NAME, path, GPUPT_GPU_INTERFACE, "LastJob", NULL, &reply, "a{sv}"),
                        >=, 0);
        g_assert_cmpint(sd_bus_message_enter_container(reply, 'a', "{sv}"), >=, 0);
        while (sd_bus_message_enter_container(reply, 'e', "sv") > 0) {
                g_assert_cmpint(sd_bus_message_read(reply, "s", &name), >, 0);
                g_assert_cmpint(sd_bus_message_peek_type(reply, &type, &contents), >, 0);
                if (g_str_equal(name, key) && g_str_equal(contents, "s")) {
                        g_assert_cmpint(sd_bus_message_read(reply, "v", "s", &text), >, 0);
                        g_free(value);
                        value = g_strdup(text);
                } else
                        g_assert_cmpint(sd_bus_message_skip(reply, "v"), >=, 0);
                g_assert_cmpint(sd_bus_message_exit_container(reply), >=, 0);
        }
        sd_bus_message_unref(reply);
        g_assert_nonnull(value);
        return value;
}

static int on_signal(sd_bus_message *message, void *userdata, sd_bus_error *error) {
        *(bool *) userdata = true;
        return 0;
}

/* Waits until `reached`, asked again after each PropertiesChanged or JobRemoved of the daemon's: the match is in place before the
 * first question, so nothing is missed. */
void wait_for_signals(bool (*reached)(const void *userdata), const void *userdata, const char *what) {
        gint64 end = g_get_monotonic_time() + PATIENCE_SEC * G_USEC_PER_SEC;
        sd_bus *bus = system_bus();
        sd_bus_slot *slot = NULL;
        bool signalled = true;

        g_assert_cmpint(sd_bus_match_signal(bus, &slot, GPUPT_BUS_NAME, NULL, NULL, NULL, on_signal, &signalled), >=, 0);
        for (;;) {
                int r;

                if (signalled && reached(userdata))
                        break;
                signalled = false;
                r = sd_bus_process(bus, NULL);
                g_assert_cmpint(r, >=, 0);
                if (r == 0 && !signalled) {
                        gint64 left = end - g_get_monotonic_time();

                        if (left <= 0)
                                g_error("waited %u s in vain for %s", PATIENCE_SEC, what);
                        g_assert_cmpint(sd_bus_wait(bus, (uint64_t) left), >=, 0);
                }
        }
        sd_bus_slot_unref(slot);
}

typedef struct Wanted {
        const char *address, *property, *value;
} Wanted;

static bool property_is(const void *userdata) {
        const Wanted *w = userdata;
        g_autofree char *value = gpu_try_get(w->address, w->property);

        return value && g_str_equal(value, w->value);
}

static void wait_property(const char *address, const char *property, const char *value) {
        Wanted w = { .address = address, .property = property, .value = value };
        g_autofree char *what = g_strdup_printf("%s of %s to be %s", property, address, value);

        wait_for_signals(property_is, &w, what);
}

void gpu_wait_state(const char *address, const char *state) {
        wait_property(address, "State", state);
}

void gpu_wait_health(const char *address, const char *health) {
        wait_property(address, "Health", health);
}

static bool is_gone(const void *userdata) {
        g_autofree char *state = gpu_try_get(((const Wanted *) userdata)->address, "State");

        return !state || g_str_equal(state, "absent");
}

void gpu_wait_gone(const char *address) {
        Wanted w = { .address = address };

        wait_for_signals(is_gone, &w, "the GPU to go");
}

static bool is_idle(const void *userdata) {
        g_autofree char *job = gpu_try_get(((const Wanted *) userdata)->address, "Job");

        return job && g_str_equal(job, "/");
}

void gpu_wait_idle(const char *address) {
        Wanted w = { .address = address };

        wait_for_signals(is_idle, &w, "the end of the job");
}

/* ---- A crash at a step */

typedef struct Crash {
        pid_t pid;
        unsigned step;
        bool done, missed;
} Crash;

/* The new value of Step in a PropertiesChanged of a job's; 0 if it is not about that. */
static uint32_t changed_step(sd_bus_message *message) {
        const char *interface, *name;
        uint32_t step = 0;

        if (sd_bus_message_read(message, "s", &interface) < 0 || !g_str_equal(interface, GPUPT_JOB_INTERFACE) ||
            sd_bus_message_enter_container(message, 'a', "{sv}") < 0)
                return 0;
        while (sd_bus_message_enter_container(message, 'e', "sv") > 0) {
                if (sd_bus_message_read(message, "s", &name) > 0 && g_str_equal(name, "Step"))
                        g_assert_cmpint(sd_bus_message_read(message, "v", "u", &step), >, 0);
                else
                        g_assert_cmpint(sd_bus_message_skip(message, "v"), >=, 0);
                g_assert_cmpint(sd_bus_message_exit_container(message), >=, 0);
        }
        return step;
}

static int on_job_signal(sd_bus_message *message, void *userdata, sd_bus_error *error) {
        Crash *crash = userdata;

        if (crash->done)
                return 0;
        if (sd_bus_message_is_signal(message, GPUPT_MANAGER_INTERFACE, "JobRemoved"))
                crash->done = crash->missed = true;
        else if (sd_bus_message_is_signal(message, "org.freedesktop.DBus.Properties", "PropertiesChanged") &&
                 changed_step(message) >= crash->step) {
                if (crash->pid == 0)
                        machine_cut();
                g_assert_cmpint(kill(crash->pid, SIGKILL), ==, 0);
                crash->done = true;
        }
        return 0;
}

static bool run_to_step(const char *address, const char *method, unsigned step, pid_t pid) {
        g_autofree char *path = gpu_path(address);
        Crash crash = { .pid = pid, .step = step };
        sd_bus *bus = system_bus();
        sd_bus_slot *slot = NULL;

        g_assert_cmpint(sd_bus_match_signal(bus, &slot, GPUPT_BUS_NAME, NULL, NULL, NULL, on_job_signal, &crash), >=, 0);
        /* The reply is not waited for: the job may be half done by then. */
        g_assert_cmpint(sd_bus_call_method_async(bus, NULL, GPUPT_BUS_NAME, path, GPUPT_GPU_INTERFACE, method, NULL, NULL, "a{sv}", 0),
                        >=, 0);
        while (!crash.done) {
                int r = sd_bus_process(bus, NULL);

                g_assert_cmpint(r, >=, 0);
                if (r == 0)
                        g_assert_cmpint(sd_bus_wait(bus, PATIENCE_SEC * G_USEC_PER_SEC), >, 0);
        }
        sd_bus_slot_unref(slot);
        return !crash.missed;
}

bool gpu_crash_at_step(const char *address, const char *method, unsigned step) {
        return run_to_step(address, method, step, daemon_pid());
}

bool gpu_cut_at_step(const char *address, const char *method, unsigned step) {
        return run_to_step(address, method, step, 0);
}
