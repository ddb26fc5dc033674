/* SPDX-License-Identifier: GPL-2.0-or-later */

/* test-sleep-gate: two questions to a stand-in for systemd1, which answers in either order, with nonsense, with errors, not at all, or is
 * not there. There is always one answer, and it is what is known. */

#include "sleep-gate.h"

#include "bus.h"

#define SYSTEMD_NAME "org.freedesktop.systemd1"
#define SYSTEMD_PATH "/org/freedesktop/systemd1"
#define GATE_PATH SYSTEMD_PATH "/unit/gpuptd_2dsleep_2eservice"

typedef struct Job {
        const char *unit, *type;
} Job;

/* How it answers a question. */
typedef enum Manner {
        ANSWERS,
        HOLDS_BACK, /* until the other one has been answered */
        REFUSES,
        MISTAKES,   /* answers with another type */
        IS_SILENT,
} Manner;

typedef struct Fixture {
        TestBus bus;
        /* systemd1 */
        Manner jobs_manner, state_manner;
        Job jobs[4];
        const char *state;
        unsigned asked; /* both questions */
        sd_bus_message *held;
        /* gpuptd */
        SleepGate *gate;
        bool answered, active;
        char *operation;
} Fixture;

/* ---- systemd1 ---- */

static void answer_jobs(Fixture *f, sd_bus_message *m) {
        sd_bus_message *reply = NULL;

        g_assert_cmpint(sd_bus_message_new_method_return(m, &reply), >=, 0);
        g_assert_cmpint(sd_bus_message_open_container(reply, 'a', "(usssoo)"), >=, 0);
        for (size_t i = 0; i < G_N_ELEMENTS(f->jobs) && f->jobs[i].unit; i++)
                g_assert_cmpint(sd_bus_message_append(reply, "(usssoo)", (unsigned) i + 1, f->jobs[i].unit, f->jobs[i].type, "running",
                                                      SYSTEMD_PATH "/job/1", SYSTEMD_PATH "/unit/x"), >=, 0);
        g_assert_cmpint(sd_bus_message_close_container(reply), >=, 0);
        g_assert_cmpint(sd_bus_send(NULL, reply, NULL), >=, 0);
        sd_bus_message_unref(reply);
}

static void answer(Fixture *f, sd_bus_message *m) {
        if (sd_bus_message_is_method_call(m, NULL, "ListJobs"))
                answer_jobs(f, m);
        else
                g_assert_cmpint(sd_bus_reply_method_return(m, "v", "s", f->state), >=, 0);
}

static int on_call(sd_bus_message *m, void *userdata, sd_bus_error *ret_error) {
        bool is_jobs = sd_bus_message_is_method_call(m, SYSTEMD_NAME ".Manager", "ListJobs");
        Fixture *f = userdata;
        const char *interface, *property;

        if (!is_jobs) {
                g_assert_true(sd_bus_message_is_method_call(m, "org.freedesktop.DBus.Properties", "Get"));
                g_assert_cmpstr(sd_bus_message_get_path(m), ==, GATE_PATH);
                g_assert_cmpint(sd_bus_message_read(m, "ss", &interface, &property), >, 0);
                g_assert_cmpstr(interface, ==, SYSTEMD_NAME ".Unit");
                g_assert_cmpstr(property, ==, "ActiveState");
        }
        f->asked++;
        switch (is_jobs ? f->jobs_manner : f->state_manner) {
        case ANSWERS:
                answer(f, m);
                if (f->held)
                        answer(f, f->held);
                f->held = sd_bus_message_unref(f->held);
                return 1;
        case HOLDS_BACK:
                if (f->asked == 2)
                        answer(f, m);
                else
                        f->held = sd_bus_message_ref(m);
                return 1;
        case REFUSES:
                return sd_bus_error_set(ret_error, SD_BUS_ERROR_ACCESS_DENIED, "Not you.");
        case MISTAKES:
                if (is_jobs)
                        g_assert_cmpint(sd_bus_reply_method_return(m, "a(us)", 1, 7U, "suspend.target"), >=, 0);
                else
                        g_assert_cmpint(sd_bus_reply_method_return(m, "v", "u", 7U), >=, 0);
                return 1;
        default:
                return 1;
        }
}

/* ---- gpuptd ---- */

static void on_known(const SleepGateAnswer *a, void *userdata) {
        Fixture *f = userdata;

        g_assert_false(f->answered);
        f->answered = true;
        f->active = a->active;
        f->operation = g_strdup(a->operation);
        f->gate = NULL;
}

static void set_up_without_systemd(Fixture *f, const void *data) {
        test_bus_up(&f->bus);
        f->state = "inactive";
}

static void set_up(Fixture *f, const void *data) {
        set_up_without_systemd(f, data);
        g_assert_cmpint(sd_bus_add_object(f->bus.service, NULL, SYSTEMD_PATH, on_call, f), >=, 0);
        g_assert_cmpint(sd_bus_add_object(f->bus.service, NULL, GATE_PATH, on_call, f), >=, 0);
        g_assert_cmpint(sd_bus_request_name(f->bus.service, SYSTEMD_NAME, 0), >=, 0);
}

static void tear_down(Fixture *f, const void *data) {
        g_assert_null(sleep_gate_free(f->gate));
        sd_bus_message_unref(f->held);
        g_free(f->operation);
        test_bus_down(&f->bus);
}

static void begin(Fixture *f) {
        g_clear_pointer(&f->operation, g_free);
        f->answered = false;
        f->asked = 0;
        g_assert_cmpint(sleep_gate_ask(f->bus.daemon, on_known, f, &f->gate), ==, 0);
        g_assert_false(f->answered);
}

static void expect(Fixture *f, const char *operation, bool active) {
        begin(f);
        loop_until(f->bus.event, f->answered);
        g_assert_cmpstr(f->operation, ==, operation);
        g_assert_cmpint(f->active, ==, active);
}

static void test_operations(Fixture *f, const void *data) {
        static const char *const operations[] = { "suspend", "hibernate", "hybrid-sleep", "suspend-then-hibernate" };
        static const Job none[][4] = {
                { { "suspend.target", "stop" } },
                { { "suspend.target", "verify-active" } },
                { { "sleep.target", "start" } },
                { { "systemd-suspend.service", "start" } },
                { { "gpuptd-sleep.service", "start" } },
                { { "suspend.target.wants", "start" }, { "", "start" }, { "my-suspend.target", "start" } },
                { {} },
        };

        for (size_t i = 0; i < G_N_ELEMENTS(operations); i++) {
                g_autofree char *target = g_strdup_printf("%s.target", operations[i]);

                f->jobs[0] = (Job) { "sleep.target", "start" };
                f->jobs[1] = (Job) { target, "start" };
                f->jobs[2] = (Job) { "hibernate.target", "stop" };
                expect(f, operations[i], false);
        }
        for (size_t i = 0; i < G_N_ELEMENTS(none); i++) {
                memcpy(f->jobs, none[i], sizeof(f->jobs));
                expect(f, "", false);
        }
}

static void test_states(Fixture *f, const void *data) {
        static const struct {
                const char *state;
                bool active;
        } rows[] = {
                { "active", true },    { "activating", true }, { "deactivating", true }, { "inactive", false },
                { "failed", false },   { "reloading", false }, { "maintenance", false }, { "", false },
        };

        f->jobs[0] = (Job) { "suspend.target", "start" };
        for (size_t i = 0; i < G_N_ELEMENTS(rows); i++) {
                f->state = rows[i].state;
                expect(f, "suspend", rows[i].active);
        }
}

/* Each of the two answers may be the last one. */
static void test_order(Fixture *f, const void *data) {
        f->state = "active";
        f->jobs[0] = (Job) { "hibernate.target", "start" };
        f->jobs_manner = HOLDS_BACK;
        expect(f, "hibernate", true);
        f->jobs_manner = ANSWERS;
        f->state_manner = HOLDS_BACK;
        expect(f, "hibernate", true);
}

/* What one question does not tell, the other one does; nothing but the truth is made of nothing. */
static void test_half(Fixture *f, const void *data) {
        f->state = "active";
        f->jobs[0] = (Job) { "suspend.target", "start" };
        for (Manner manner = REFUSES; manner <= IS_SILENT; manner++) {
                f->jobs_manner = manner;
                f->state_manner = ANSWERS;
                expect(f, "", true);
                f->jobs_manner = ANSWERS;
                f->state_manner = manner;
                expect(f, "suspend", false);
        }
        f->jobs_manner = f->state_manner = REFUSES;
        expect(f, "", false);
}

static void test_silent(Fixture *f, const void *data) {
        f->jobs_manner = f->state_manner = IS_SILENT;
        expect(f, "", false);
        g_assert_cmpuint(f->asked, ==, 2);
}

static void test_missing(Fixture *f, const void *data) {
        expect(f, "", false);
}

/* Whoever no longer wants to know is not told. */
static void test_free(Fixture *f, const void *data) {
        for (unsigned i = 0; i < 2; i++) {
                f->jobs_manner = i == 0 ? ANSWERS : IS_SILENT;
                begin(f);
                if (i == 1) {
                        /* One of the two has answered. */
                        test_bus_sync(&f->bus, f->bus.daemon);
                        test_bus_sync(&f->bus, f->bus.service);
                        test_bus_sync(&f->bus, f->bus.daemon);
                        g_assert_cmpuint(f->asked, ==, 2);
                }
                f->gate = sleep_gate_free(f->gate);
                test_bus_sync(&f->bus, f->bus.daemon);
                test_bus_sync(&f->bus, f->bus.service);
                test_bus_sync(&f->bus, f->bus.daemon);
                g_assert_false(f->answered);
        }
}

static void test_words(void) {
        g_assert_cmpstr(sleep_gate_operation("suspend.target"), ==, "suspend");
        g_assert_cmpstr(sleep_gate_operation("suspend-then-hibernate.target"), ==, "suspend-then-hibernate");
        g_assert_null(sleep_gate_operation("sleep.target"));
        g_assert_null(sleep_gate_operation("suspend"));
        g_assert_null(sleep_gate_operation(""));
        g_assert_true(sleep_gate_is_operation("hybrid-sleep"));
        g_assert_false(sleep_gate_is_operation("hybrid-sleep.target"));
        g_assert_false(sleep_gate_is_operation(""));
}

int main(int argc, char *argv[]) {
        g_test_init(&argc, &argv, NULL);
#define ADD(path, set_up_, function) g_test_add("/sleep-gate/" path, Fixture, NULL, set_up_, function, tear_down)
        ADD("operations", set_up, test_operations);
        ADD("states", set_up, test_states);
        ADD("order", set_up, test_order);
        ADD("half", set_up, test_half);
        ADD("silent", set_up, test_silent);
        ADD("missing", set_up_without_systemd, test_missing);
        ADD("free", set_up, test_free);
#undef ADD
        g_test_add_func("/sleep-gate/words", test_words);
        return g_test_run();
}
