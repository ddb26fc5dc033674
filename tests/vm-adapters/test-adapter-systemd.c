/* SPDX-License-Identifier: GPL-2.0-or-later */

/* test-adapter-systemd: the adapter against a stand-in for systemd1 on a bus of its own. */

#include <systemd/sd-bus-vtable.h>

#include "bus.h"
#include "run.h"

#define MANAGER_PATH "/org/freedesktop/systemd1"
#define UNIT_PATH MANAGER_PATH "/unit/vm"
#define JOB_PATH MANAGER_PATH "/job/7"

typedef struct Stand {
        TestBus bus;
        char *environment[2];
        /* What it says and does; set before a call, read after it. */
        const char *active, *load, *result;
        const char *after; /* the state when the job ends; NULL: it never does */
        int transient;
        bool early; /* the signal comes before the reply */
        GString *log;
        /* One call, which waits in a thread while the stand-in answers. */
        const char *verb;
        Run *run;
        int done_fd[2];
        bool done;
} Stand;

static void end_job(Stand *s) {
        if (!s->after)
                return;
        s->active = s->after;
        g_assert_cmpint(sd_bus_emit_signal(s->bus.service, MANAGER_PATH, "org.freedesktop.systemd1.Manager", "JobRemoved", "uoss", 7,
                                           JOB_PATH, "vm.service", s->result),
                        >=, 0);
}

static int on_job(sd_bus_message *m, void *userdata, sd_bus_error *error) {
        const char *unit, *mode;
        Stand *s = userdata;
        int r;

        g_assert_cmpint(sd_bus_message_read(m, "ss", &unit, &mode), >=, 0);
        g_string_append_printf(s->log, "%s %s %s\n", sd_bus_message_get_member(m), unit, mode);
        if (streq(s->result, "refused"))
                return sd_bus_error_set(error, "org.freedesktop.systemd1.UnitMasked", "Unit is masked.");
        if (s->early)
                end_job(s);
        r = sd_bus_reply_method_return(m, "o", JOB_PATH);
        if (!s->early)
                end_job(s);
        return r;
}

static int on_other(sd_bus_message *m, void *userdata, sd_bus_error *error) {
        Stand *s = userdata;

        g_string_append_printf(s->log, "%s\n", sd_bus_message_get_member(m));
        return sd_bus_reply_method_return(m, "");
}

static int on_load(sd_bus_message *m, void *userdata, sd_bus_error *error) {
        return sd_bus_reply_method_return(m, "o", UNIT_PATH);
}

static int get_text(sd_bus *bus, const char *path, const char *interface, const char *property, sd_bus_message *reply,
                    void *userdata, sd_bus_error *error) {
        Stand *s = userdata;

        return sd_bus_message_append(reply, "s", streq(property, "LoadState") ? s->load : s->active);
}

static int get_transient(sd_bus *bus, const char *path, const char *interface, const char *property, sd_bus_message *reply,
                         void *userdata, sd_bus_error *error) {
        Stand *s = userdata;

        return sd_bus_message_append(reply, "b", s->transient);
}

static const sd_bus_vtable manager_vtable[] = {
        SD_BUS_VTABLE_START(0),
        SD_BUS_METHOD("LoadUnit", "s", "o", on_load, SD_BUS_VTABLE_UNPRIVILEGED),
        SD_BUS_METHOD("StartUnit", "ss", "o", on_job, SD_BUS_VTABLE_UNPRIVILEGED),
        SD_BUS_METHOD("StopUnit", "ss", "o", on_job, SD_BUS_VTABLE_UNPRIVILEGED),
        SD_BUS_METHOD("KillUnit", "ssi", "", on_other, SD_BUS_VTABLE_UNPRIVILEGED),
        SD_BUS_METHOD("ResetFailedUnit", "s", "", on_other, SD_BUS_VTABLE_UNPRIVILEGED),
        SD_BUS_METHOD("Subscribe", "", "", on_other, SD_BUS_VTABLE_UNPRIVILEGED),
        SD_BUS_VTABLE_END,
};
static const sd_bus_vtable unit_vtable[] = {
        SD_BUS_VTABLE_START(0),
        SD_BUS_PROPERTY("ActiveState", "s", get_text, 0, 0),
        SD_BUS_PROPERTY("LoadState", "s", get_text, 0, 0),
        SD_BUS_PROPERTY("Transient", "b", get_transient, 0, 0),
        SD_BUS_VTABLE_END,
};

static int on_done(sd_event_source *source, int fd, uint32_t revents, void *userdata) {
        Stand *s = userdata;
        char c;

        g_assert_cmpint(read(fd, &c, 1), ==, 1);
        s->done = true;
        return 0;
}

static gpointer run_verb(gpointer userdata) {
        Stand *s = userdata;

        s->run = run_adapter(g_getenv("ADAPTER"), s->environment, ARGUMENTS("--timeout=2", s->verb, "vm.service"));
        g_assert_cmpint(write(s->done_fd[1], "", 1), ==, 1);
        return NULL;
}

static Run *call(Stand *s, const char *verb) {
        GThread *thread;

        s->verb = verb;
        s->done = false;
        g_string_truncate(s->log, 0);
        thread = g_thread_new("adapter", run_verb, s);
        loop_until(s->bus.event, s->done);
        g_thread_join(thread);
        return s->run;
}

static void assert_call(Stand *s, const char *verb, int status, const char *key, const char *value) {
        g_autoptr(Run) r = call(s, verb);

        assert_run(r, status);
        g_assert_cmpstr(run_string(r, key), ==, value);
}

static void set_up(Stand *s, const void *data) {
        test_bus_up(&s->bus);
        s->log = g_string_new(NULL);
        s->load = "loaded";
        s->result = "done";
        s->environment[0] = g_strdup_printf("DBUS_SYSTEM_BUS_ADDRESS=%s", s->bus.address);
        g_assert_cmpint(sd_bus_add_object_vtable(s->bus.service, NULL, MANAGER_PATH, "org.freedesktop.systemd1.Manager", manager_vtable, s),
                        >=, 0);
        g_assert_cmpint(sd_bus_add_object_vtable(s->bus.service, NULL, UNIT_PATH, "org.freedesktop.systemd1.Unit", unit_vtable, s), >=, 0);
        g_assert_cmpint(sd_bus_request_name(s->bus.service, "org.freedesktop.systemd1", 0), >=, 0);
        g_assert_cmpint(pipe(s->done_fd), ==, 0);
        g_assert_cmpint(sd_event_add_io(s->bus.event, NULL, s->done_fd[0], EPOLLIN, on_done, s), >=, 0);
}

static void tear_down(Stand *s, const void *data) {
        g_free(s->environment[0]);
        g_string_free(s->log, true);
        test_bus_down(&s->bus);
        close(s->done_fd[0]);
        close(s->done_fd[1]);
}

static void test_status(Stand *s, const void *data) {
        static const struct {
                const char *active, *load;
                bool transient;
                const char *state;
        } cases[] = {
                { "active", "loaded", false, "running" },     { "reloading", "loaded", true, "running" },
                { "activating", "loaded", false, "busy" },    { "deactivating", "loaded", true, "busy" },
                { "inactive", "loaded", false, "off" },       { "failed", "loaded", false, "off" },
                { "failed", "loaded", true, "gone" },         { "inactive", "not-found", false, "gone" },
        };

        for (size_t i = 0; i < ELEMENTSOF(cases); i++) {
                s->active = cases[i].active;
                s->load = cases[i].load;
                s->transient = cases[i].transient;
                assert_call(s, "status", 0, "state", cases[i].state);
        }
}

static void test_jobs(Stand *s, const void *data) {
        for (unsigned i = 0; i < 2; i++) {
                s->early = i;
                s->active = "active";
                s->after = "inactive";
                assert_call(s, "shutdown", 0, "state", "off");
                g_assert_cmpstr(s->log->str, ==, "Subscribe\nStopUnit vm.service replace\n");
                assert_call(s, "shutdown", 0, "changed", "false");
                s->after = "active";
                assert_call(s, "start", 0, "state", "running");
                g_assert_cmpstr(s->log->str, ==, "ResetFailedUnit\nSubscribe\nStartUnit vm.service replace\n");
                assert_call(s, "start", 0, "changed", "false");
                s->after = "failed";
                assert_call(s, "kill", 0, "changed", "true");
                assert_call(s, "kill", 0, "changed", "false");
        }
}

/* The stop job first, or Restart= starts it again. */
static void test_kill(Stand *s, const void *data) {
        s->active = "active";
        s->after = NULL;
        assert_call(s, "kill", 1, "error", "timeout");
        g_assert_cmpstr(s->log->str, ==, "Subscribe\nStopUnit vm.service replace\nKillUnit\n");
}

static void test_bad(Stand *s, const void *data) {
        s->active = s->after = "active";
        assert_call(s, "shutdown", 1, "error", "unverified");
        s->active = "inactive";
        s->after = "failed";
        s->result = "failed";
        assert_call(s, "start", 1, "error", "refused");
        s->result = "refused";
        assert_call(s, "start", 1, "error", "refused");
        s->active = "active";
        s->after = NULL;
        s->result = "done";
        assert_call(s, "shutdown", 1, "error", "timeout");
        s->load = "not-found";
        s->active = "inactive";
        assert_call(s, "start", 1, "error", "refused");
        assert_call(s, "suspend", 3, "verb", "suspend");
}

static void test_capabilities(Stand *s, const void *data) {
        s->active = "active";
        assert_call(s, "capabilities", 0, "restart", "true");
        s->transient = true;
        assert_call(s, "capabilities", 0, "restart", "false");
}

/* Nobody on the bus has the name. */
static void test_no_systemd(Stand *s, const void *data) {
        g_assert_cmpint(sd_bus_release_name(s->bus.service, "org.freedesktop.systemd1"), >=, 0);
        assert_call(s, "status", 1, "error", "unreachable");
}

int main(int argc, char *argv[]) {
        g_test_init(&argc, &argv, NULL);
        g_test_add("/adapter-systemd/status", Stand, NULL, set_up, test_status, tear_down);
        g_test_add("/adapter-systemd/jobs", Stand, NULL, set_up, test_jobs, tear_down);
        g_test_add("/adapter-systemd/kill", Stand, NULL, set_up, test_kill, tear_down);
        g_test_add("/adapter-systemd/bad", Stand, NULL, set_up, test_bad, tear_down);
        g_test_add("/adapter-systemd/capabilities", Stand, NULL, set_up, test_capabilities, tear_down);
        g_test_add("/adapter-systemd/no-systemd", Stand, NULL, set_up, test_no_systemd, tear_down);
        return g_test_run();
}
