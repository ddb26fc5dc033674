/* SPDX-License-Identifier: GPL-2.0-or-later */

#include "sleep-gate.h"

#include "dbus/names.h"

#define SYSTEMD_NAME "org.freedesktop.systemd1"
#define SYSTEMD_PATH "/org/freedesktop/systemd1"
#define SYSTEMD_MANAGER "org.freedesktop.systemd1.Manager"
#define SYSTEMD_UNIT "org.freedesktop.systemd1.Unit"

#define LIMIT_USEC (2 * 1000000ULL)

struct SleepGate {
        sleep_gate_handler_t handler;
        void *userdata;
        sd_bus_slot *jobs_call, *state_call;
        SleepGateAnswer answer;
};

static const char *const rows[][2] = {
        { "suspend.target", "suspend" },
        { "hibernate.target", "hibernate" },
        { "hybrid-sleep.target", "hybrid-sleep" },
        { "suspend-then-hibernate.target", "suspend-then-hibernate" },
};

const char *sleep_gate_operation(const char *unit) {
        for (size_t i = 0; i < ELEMENTSOF(rows); i++)
                if (streq(rows[i][0], unit))
                        return rows[i][1];
        return NULL;
}

bool sleep_gate_is_operation(const char *operation) {
        for (size_t i = 0; i < ELEMENTSOF(rows); i++)
                if (streq(rows[i][1], operation))
                        return true;
        return false;
}

SleepGate *sleep_gate_free(SleepGate *g) {
        if (!g)
                return NULL;
        sd_bus_slot_unref(g->jobs_call);
        sd_bus_slot_unref(g->state_call);
        free(g);
        return NULL;
}

static void finish_if_known(SleepGate *g) {
        if (g->jobs_call || g->state_call)
                return;
        g->handler(&g->answer, g->userdata);
        sleep_gate_free(g);
}

static void read_jobs(SleepGate *g, sd_bus_message *m) {
        const char *unit, *type, *operation;

        if (sd_bus_message_enter_container(m, 'a', "(usssoo)") < 0)
                return;
        while (sd_bus_message_read(m, "(usssoo)", NULL, &unit, &type, NULL, NULL, NULL) > 0) {
                operation = streq(type, "start") ? sleep_gate_operation(unit) : NULL;
                if (operation)
                        g->answer.operation = operation;
        }
}

static int on_jobs(sd_bus_message *m, void *userdata, sd_bus_error *error) {
        SleepGate *g = ASSERT_PTR(userdata);

        if (!sd_bus_message_is_method_error(m, NULL))
                read_jobs(g, m);
        g->jobs_call = sd_bus_slot_unref(g->jobs_call);
        finish_if_known(g);
        return 0;
}

/* A unit that is being stopped, too, has not told us of its end yet. */
static int on_state(sd_bus_message *m, void *userdata, sd_bus_error *error) {
        SleepGate *g = ASSERT_PTR(userdata);
        const char *state;

        if (!sd_bus_message_is_method_error(m, NULL) && sd_bus_message_read(m, "v", "s", &state) >= 0)
                g->answer.active =
                        streq(state, "active") || streq(state, "activating") || streq(state, "deactivating");
        g->state_call = sd_bus_slot_unref(g->state_call);
        finish_if_known(g);
        return 0;
}

static int call(sd_bus *bus, sd_bus_slot **ret, sd_bus_message_handler_t handler, SleepGate *g, const char *path,
                const char *interface, const char *member, const char *a, const char *b) {
        _cleanup_(sd_bus_message_unrefp) sd_bus_message *m = NULL;
        int r;

        r = sd_bus_message_new_method_call(bus, &m, SYSTEMD_NAME, path, interface, member);
        if (r >= 0 && a)
                r = sd_bus_message_append(m, "ss", a, b);
        return r < 0 ? r : sd_bus_call_async(bus, ret, m, handler, g, LIMIT_USEC);
}

int sleep_gate_ask(sd_bus *bus, sleep_gate_handler_t handler, void *userdata, SleepGate **ret) {
        _cleanup_(sleep_gate_freep) SleepGate *g = malloc(sizeof(SleepGate));
        _cleanup_free_ char *path = NULL;
        int r;

        if (!g)
                return -ENOMEM;
        *g = (SleepGate) { .handler = handler, .userdata = userdata, .answer = { .operation = "" } };
        r = sd_bus_path_encode(SYSTEMD_PATH "/unit", GPUPT_UNIT_SLEEP, &path);
        if (r >= 0)
                r = call(bus, &g->jobs_call, on_jobs, g, SYSTEMD_PATH, SYSTEMD_MANAGER, "ListJobs", NULL, NULL);
        if (r >= 0)
                r = call(bus, &g->state_call, on_state, g, path, "org.freedesktop.DBus.Properties", "Get",
                         SYSTEMD_UNIT, "ActiveState");
        if (r < 0)
                return r;
        *ret = TAKE_PTR(g);
        return 0;
}
