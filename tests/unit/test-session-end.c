/* SPDX-License-Identifier: GPL-2.0-or-later */

/* test-session-end: a session is ended by stand-ins for logind and systemd: its scope ends before or after the answer, it is not there,
 * logind refuses or is not there, and nobody listens any more. */

#include "session-end.h"

#include <errno.h>

#include "bus.h"

#define LOGIN1_NAME "org.freedesktop.login1"
#define LOGIN1_PATH "/org/freedesktop/login1"
#define SYSTEMD_NAME "org.freedesktop.systemd1"
#define SYSTEMD_PATH "/org/freedesktop/systemd1"
#define SCOPE_PATH SYSTEMD_PATH "/unit/scope"
#define JOB_PATH SYSTEMD_PATH "/job/1"

typedef struct Fixture {
        TestBus bus;
        /* logind and systemd */
        const char *refusal;   /* of logind: an error */
        const char *state;     /* of the scope; NULL: there is none */
        unsigned terminated, stops;
        bool hangs;
        /* gpuptd */
        UnitClient *units;
        SessionEnd *end;
        unsigned ends;
        bool over;
        int error;
        char *text;
} Fixture;

static int method_terminate(sd_bus_message *m, void *userdata, sd_bus_error *error) {
        Fixture *f = userdata;
        const char *session;

        g_assert_cmpint(sd_bus_message_read(m, "s", &session), >, 0);
        g_assert_cmpstr(session, ==, "c2");
        f->terminated++;
        return f->refusal ? sd_bus_error_set(error, f->refusal, "No.") : sd_bus_reply_method_return(m, NULL);
}

static int method_get_unit(sd_bus_message *m, void *userdata, sd_bus_error *error) {
        Fixture *f = userdata;
        const char *unit;

        g_assert_cmpint(sd_bus_message_read(m, "s", &unit), >, 0);
        g_assert_cmpstr(unit, ==, "session-c2.scope");
        return f->state ? sd_bus_reply_method_return(m, "o", SCOPE_PATH)
                        : sd_bus_error_set(error, SYSTEMD_NAME ".NoSuchUnit", "None.");
}

static void end_scope(Fixture *f, const char *result) {
        f->state = "inactive";
        g_assert_cmpint(sd_bus_emit_signal(f->bus.service, SYSTEMD_PATH, SYSTEMD_NAME ".Manager", "JobRemoved", "uoss",
                                           1U, JOB_PATH, "session-c2.scope", result),
                        >=, 0);
}

static int method_stop_unit(sd_bus_message *m, void *userdata, sd_bus_error *error) {
        Fixture *f = userdata;
        int r;

        f->stops++;
        r = sd_bus_reply_method_return(m, "o", JOB_PATH);
        if (!f->hangs)
                end_scope(f, "done");
        return r;
}

static int get_state(sd_bus *bus, const char *path, const char *interface, const char *property, sd_bus_message *reply,
                     void *userdata, sd_bus_error *error) {
        return sd_bus_message_append(reply, "s", ((Fixture *) userdata)->state);
}

static const sd_bus_vtable login1_vtable[] = {
        SD_BUS_VTABLE_START(0),
        SD_BUS_METHOD("TerminateSession", "s", NULL, method_terminate, SD_BUS_VTABLE_UNPRIVILEGED),
        SD_BUS_VTABLE_END,
};

static const sd_bus_vtable manager_vtable[] = {
        SD_BUS_VTABLE_START(0),
        SD_BUS_METHOD("GetUnit", "s", "o", method_get_unit, SD_BUS_VTABLE_UNPRIVILEGED),
        SD_BUS_METHOD("StopUnit", "ss", "o", method_stop_unit, SD_BUS_VTABLE_UNPRIVILEGED),
        SD_BUS_VTABLE_END,
};

static const sd_bus_vtable unit_vtable[] = {
        SD_BUS_VTABLE_START(0),
        SD_BUS_PROPERTY("ActiveState", "s", get_state, 0, 0),
        SD_BUS_VTABLE_END,
};

static void on_end(int error, const char *text, void *userdata) {
        Fixture *f = userdata;

        f->ends++;
        f->over = true;
        f->error = error;
        g_free(f->text);
        f->text = g_strdup(text);
        f->end = NULL;
}

static void set_up(Fixture *f, const void *nobody) {
        sd_bus *bus;

        test_bus_up(&f->bus);
        bus = f->bus.service;
        if (!nobody) {
                g_assert_cmpint(
                        sd_bus_add_object_vtable(bus, NULL, LOGIN1_PATH, LOGIN1_NAME ".Manager", login1_vtable, f), >=,
                        0);
                g_assert_cmpint(sd_bus_request_name(bus, LOGIN1_NAME, 0), >=, 0);
        }
        g_assert_cmpint(sd_bus_add_object_vtable(bus, NULL, SYSTEMD_PATH, SYSTEMD_NAME ".Manager", manager_vtable, f),
                        >=, 0);
        g_assert_cmpint(sd_bus_add_object_vtable(bus, NULL, SCOPE_PATH, SYSTEMD_NAME ".Unit", unit_vtable, f), >=, 0);
        g_assert_cmpint(sd_bus_request_name(bus, SYSTEMD_NAME, 0), >=, 0);
        g_assert_cmpint(unit_client_new(f->bus.daemon, &f->units), ==, 0);
        test_bus_sync(&f->bus, f->bus.daemon);
}

static void tear_down(Fixture *f, const void *nobody) {
        session_end_free(f->end);
        unit_client_free(f->units);
        g_free(f->text);
        test_bus_down(&f->bus);
}

static void settle(Fixture *f) {
        for (int i = 0; i < 4; i++) {
                test_bus_sync(&f->bus, f->bus.daemon);
                test_bus_sync(&f->bus, f->bus.service);
        }
        test_bus_sync(&f->bus, f->bus.daemon);
}

static void begin(Fixture *f) {
        f->over = false;
        g_assert_cmpint(session_end_new(f->units, "c2", on_end, f, &f->end), ==, 0);
        g_assert_false(f->over);
}

static void end(Fixture *f, int error, const char *text) {
        begin(f);
        loop_until(f->bus.event, f->over);
        g_assert_cmpint(f->error, ==, error);
        g_assert_cmpstr(f->text, ==, text);
}

static void test_ends(Fixture *f, const void *nobody) {
        f->state = "active";
        end(f, 0, "");
        g_assert_cmpuint(f->terminated, ==, 1);
        g_assert_cmpuint(f->stops, ==, 1);
        /* The scope was gone already when it was looked at. */
        end(f, 0, "");
        f->state = NULL;
        end(f, 0, "");
        g_assert_cmpuint(f->stops, ==, 1);
        g_assert_cmpuint(f->ends, ==, 3);
}

/* logind forgets a session before its last process has ended. */
static void test_waits(Fixture *f, const void *nobody) {
        f->state = "deactivating";
        f->hangs = true;
        f->refusal = LOGIN1_NAME ".NoSuchSession";
        begin(f);
        settle(f);
        g_assert_false(f->over);
        g_assert_cmpuint(f->stops, ==, 1);
        end_scope(f, "done");
        loop_until(f->bus.event, f->over);
        g_assert_cmpint(f->error, ==, 0);

        f->state = "deactivating";
        begin(f);
        settle(f);
        end_scope(f, "timeout");
        loop_until(f->bus.event, f->over);
        g_assert_cmpint(f->error, ==, -ETIMEDOUT);
        g_assert_nonnull(strstr(f->text, "session-c2.scope"));
}

static void test_refused(Fixture *f, const void *nobody) {
        f->state = "active";
        f->refusal = SD_BUS_ERROR_ACCESS_DENIED;
        end(f, -EACCES, "No.");
        g_assert_cmpuint(f->stops, ==, 0);
}

static void test_nobody(Fixture *f, const void *nobody) {
        begin(f);
        loop_until(f->bus.event, f->over);
        g_assert_cmpint(f->error, <, 0);
        g_assert_cmpuint(f->stops, ==, 0);
}

/* What is no session's id never gets to logind, nor into a unit's name. */
static void test_invalid(Fixture *f, const void *nobody) {
        static const char *const ids[] = { "", "../1", "a b", "c2.scope", "c-2" };

        for (size_t i = 0; i < G_N_ELEMENTS(ids); i++)
                g_assert_cmpint(session_end_new(f->units, ids[i], on_end, f, &f->end), ==, -EINVAL);
        settle(f);
        g_assert_cmpuint(f->terminated, ==, 0);
}

static void test_freed(Fixture *f, const void *nobody) {
        f->state = "active";
        begin(f);
        f->end = session_end_free(f->end);
        settle(f);
        g_assert_cmpuint(f->ends, ==, 0);

        f->hangs = true;
        f->state = "active";
        begin(f);
        settle(f);
        f->end = session_end_free(f->end);
        end_scope(f, "done");
        settle(f);
        g_assert_cmpuint(f->ends, ==, 0);
}

#define ADD(name, nobody) g_test_add("/session-end/" #name, Fixture, nobody, set_up, test_##name, tear_down)

int main(int argc, char *argv[]) {
        g_test_init(&argc, &argv, NULL);
        ADD(ends, NULL);
        ADD(waits, NULL);
        ADD(refused, NULL);
        ADD(nobody, "");
        ADD(invalid, NULL);
        ADD(freed, NULL);
        return g_test_run();
}
