/* SPDX-License-Identifier: GPL-2.0-or-later */

/* test-client-jobs: a job from the call to its end, and what gpuptctl does when somebody presses Ctrl-C or the daemon dies
 * meanwhile. */

#include <signal.h>

#include "tests/unit/client-fixture.h"

static const MockScript one = { .n_gpus = 1 };
static const MockScript hangs = { .n_gpus = 1, .pace = MOCK_HANG };
static const MockScript hangs_for_good = { .n_gpus = 1, .pace = MOCK_HANG, .refuse_cancel = true };
static const MockScript asks_for_ever = { .n_gpus = 1, .pace = MOCK_NEVER_ANSWER };
static const MockScript liar = { .n_gpus = 1, .lie = true };
static const MockScript challenge = { .n_gpus = 1, .challenge = true };

static void test_reset(Fixture *f, gconstpointer data) {
        g_autofree char *by_verb = NULL;

        g_assert_cmpint(client(f, "reset 01:00.0 --method=bus --wait=3 --force --disrupt-session"), ==, EXIT_DONE);
        assert_has(f->out, "0000:01:00.0: reset done\n");
        g_assert_cmpint(client(f, "recover"), ==, EXIT_DONE);
        assert_has(f->out, "0000:01:00.0: recover done\n");

        g_assert_cmpint(client(f, "plan reset --method=bus"), ==, EXIT_DONE);
        assert_has(f->out, "1 operation s      reset\n");
        assert_has(f->out, " method    s      bus\n");
        by_verb = g_strdup(f->out);
        g_assert_cmpint(client(f, "reset --dry-run --method=bus"), ==, EXIT_DONE);
        g_assert_cmpstr(f->out, ==, by_verb);
}

/* What was tried has a line for each rung, as it came: nothing is broken where nobody looks. */
static void test_not_cured(Fixture *f, gconstpointer data) {
        g_assert_cmpint(client(f, "recover"), ==, EXIT_FAILED);
        g_assert_cmpstr(f->out + strlen(f->out) - strlen(": recover failed\n"), ==, ": recover failed\n");
        assert_has(f->err, "nobody knows why.\n  wake: had no effect\n  bus: not possible (0000:02:00.0 is below the bridge as "
                           "well, and is not part of it)\nThere is no further way to reset it.\nHint: ");
        g_assert_cmpint(client(f, "status"), ==, EXIT_DONE);
        assert_has(f->out, "              0000:01:00.0 is still not well.");
        assert_has(f->out, "\n                wake: had no effect\n");
        assert_has(f->out, "\n              There is no further way to reset it.\n");
}

static void test_detach(Fixture *f, gconstpointer data) {
        json_object *o;

        g_assert_cmpint(client(f, "detach 01:00.0"), ==, EXIT_DONE);
        g_assert_cmpstr(f->out, ==, "step 1/3 do thing 1\nstep 2/3 do thing 2\nstep 3/3 do thing 3\n"
                                    "0000:01:00.0: detach done\n");
        g_assert_cmpstr(f->err, ==, "");

        g_assert_cmpint(client(f, "-q attach"), ==, EXIT_DONE);
        g_assert_cmpstr(f->out, ==, "");

        g_assert_cmpint(client(f, "detach -j"), ==, EXIT_DONE);
        o = parse(f->out);
        g_assert_cmpstr(json_object_get_string(get(o, "result")), ==, "done");
        g_assert_cmpstr(json_object_get_string(get(o, "gpu")), ==, MOCK_FIRST);
        json_object_put(o);

        g_assert_cmpint(client(f, "detach --no-block"), ==, EXIT_DONE);
        g_assert_cmpstr(f->out, ==, "0000:01:00.0: detach runs as job 10 (/org/gpupt1/job/10)\n");
}

typedef struct EndCase {
        MockScript script;
        int status;
        const char *text, *hint;
} EndCase;

/* The job ends in that way. */
static const EndCase end_cases[] = {
        { { .n_gpus = 1, .result = "rolled-back", .error = GPUPT_ERROR_IN_USE, .message = "Xorg holds it." },
          EXIT_IN_USE,
          "Xorg holds it.",
          "gpuptctl holders 0000:01:00.0" },
        { { .n_gpus = 1, .result = "stuck", .error = GPUPT_ERROR_STUCK, .message = "The kernel hangs." },
          EXIT_STUCK,
          "The kernel hangs.",
          "gpuptctl status 0000:01:00.0" },
        { { .n_gpus = 1, .result = "stuck" }, EXIT_STUCK, "gave no reason", "gpuptctl status" },
        { { .n_gpus = 1, .result = "failed", .error = GPUPT_ERROR_TIMEOUT, .message = "Too late." },
          EXIT_STUCK,
          "Too late.",
          "log" },
        { { .n_gpus = 1, .result = "failed" }, EXIT_FAILED, "gave no reason", "gpuptctl log 0000:01:00.0" },
        { { .n_gpus = 1, .result = "failed", .error = GPUPT_ERROR_DRIVER_MISSING, .message = "No vfio-pci." },
          EXIT_FAILED,
          "No vfio-pci.",
          "modinfo" },
};

/* The method itself is refused. */
static const EndCase refusal_cases[] = {
        { { .n_gpus = 1, .refusal = GPUPT_ERROR_BUSY }, EXIT_IN_USE, "It is refused.", "gpuptctl jobs" },
        { { .n_gpus = 1, .refusal = GPUPT_ERROR_LAST_DISPLAY },
          EXIT_FAILED,
          "It is refused.",
          "--disrupt-session" },
        { { .n_gpus = 1, .refusal = GPUPT_ERROR_GROUP_NOT_VIABLE },
          EXIT_FAILED,
          "It is refused.",
          "gpuptctl groups" },
        { { .n_gpus = 1, .refusal = SD_BUS_ERROR_ACCESS_DENIED },
          EXIT_REFUSED,
          "Not allowed: It is refused.",
          "administrator" },
        { { .n_gpus = 1, .refusal = SD_BUS_ERROR_INVALID_ARGS }, EXIT_USAGE, "It is refused.", NULL },
};

static void check_end(Fixture *f, const EndCase *c) {
        assert_has(f->err, c->text);
        if (c->hint)
                assert_has(f->err, c->hint);
        else
                assert_has_not(f->err, "Hint:");
}

static void test_end(Fixture *f, gconstpointer data) {
        const EndCase *c = data;
        g_autofree char *line = g_strdup_printf("0000:01:00.0: detach %s\n", c->script.result);

        g_assert_cmpint(client(f, "detach"), ==, c->status);
        assert_has(f->out, line);
        check_end(f, c);
        g_assert_cmpint(client(f, "run -- true"), ==, c->status);
        check_end(f, c);
        g_assert_cmpint(client(f, "-q detach"), ==, c->status);
        g_assert_cmpstr(f->out, ==, "");
        check_end(f, c);
}

static void test_refusal(Fixture *f, gconstpointer data) {
        const EndCase *c = data;

        g_assert_cmpint(client(f, "detach"), ==, c->status);
        g_assert_cmpstr(f->out, ==, "");
        check_end(f, c);
        g_assert_cmpint(client(f, "run -- true"), ==, c->status);
        check_end(f, c);
}

static void test_liar(Fixture *f, gconstpointer data) {
        g_assert_cmpint(client(f, "detach"), ==, EXIT_DONE);
        assert_has_not(f->err, "lie");
}

static void test_interactive(Fixture *f, gconstpointer data) {
        g_assert_cmpint(client(f, "reload"), ==, EXIT_DONE);
        g_assert_cmpint(client(f, "reload --no-ask-password"), ==, EXIT_REFUSED);
        assert_has(f->err, "A password is wanted.");
        assert_has(f->err, "Hint: ");
}

static void test_set_default(Fixture *f, gconstpointer data) {
        g_assert_cmpint(client(f, "set-default " MOCK_FIRST " vfio"), ==, EXIT_DONE);
        assert_has(f->out, MOCK_FIRST ": from the next boot on it is with VFIO.");
        g_assert_cmpint(client(f, "set-default " MOCK_FIRST " vfio --quiet"), ==, EXIT_DONE);
        g_assert_cmpstr(f->out, ==, "");
        g_assert_cmpint(client(f, "set-default " MOCK_FIRST " host"), ==, EXIT_FAILED);
        assert_has(f->err, "The rule cannot be written.");
        g_assert_cmpint(client(f, "set-default " MOCK_FIRST " both"), ==, EXIT_USAGE);
        g_assert_cmpint(client(f, "set-default " MOCK_FIRST), ==, EXIT_USAGE);
        g_assert_cmpint(client(f, "set-default 0000:99:00.0 vfio"), ==, EXIT_NO_SUCH_GPU);
}

static void test_cancel_verb(Fixture *f, gconstpointer data) {
        Running detach;
        json_object *jobs;

        g_assert_cmpint(client(f, "cancel 99"), ==, EXIT_FAILED);
        assert_has(f->err, "There is no job 99.");
        g_assert_cmpint(client(f, "cancel"), ==, EXIT_FAILED);

        detach = start("detach");
        expect(&detach, "step 1/3");
        g_assert_cmpint(client(f, "jobs"), ==, EXIT_DONE);
        assert_has(f->out, "  7 detach    0000:01:00.0 running 1/3  do thing 1\n");
        g_assert_cmpint(client(f, "jobs -j"), ==, EXIT_DONE);
        jobs = parse(f->out);
        g_assert_cmpint(json_object_get_int(get(json_object_array_get_idx(jobs, 0), "id")), ==, MOCK_JOB);
        json_object_put(jobs);
        g_assert_cmpint(client(f, "status"), ==, EXIT_DONE);
        assert_has(f->out, "         Job: 7 detach, running, step 1/3: do thing 1\n");

        g_assert_cmpint(client(f, "cancel"), ==, EXIT_DONE);
        g_assert_cmpstr(f->out, ==, "Asked job 7 to cancel.\n");
        expect(&detach, "detach cancelled");
        g_assert_cmpint(finish(&detach), ==, EXIT_FAILED);
}

/* ---- Ctrl-C ---- */

static void test_interrupt(Fixture *f, gconstpointer data) {
        Running detach = start("detach");

        expect(&detach, "step 1/3");
        g_subprocess_send_signal(detach.process, SIGINT);
        expect(&detach, "Asked job 7 to cancel");
        expect(&detach, "detach cancelled");
        g_assert_cmpint(finish(&detach), ==, EXIT_FAILED);
}

static void test_interrupt_twice(Fixture *f, gconstpointer data) {
        Running detach = start("detach");

        expect(&detach, "step 1/3");
        g_subprocess_send_signal(detach.process, SIGINT);
        expect(&detach, "Job 7 cannot be cancelled: It is past the point of no return.");
        g_subprocess_send_signal(detach.process, SIGINT);
        expect(&detach, "Job 7 goes on without this terminal");
        g_assert_cmpint(finish(&detach), ==, EXIT_FAILED);
        g_assert_cmpint(client(f, "jobs"), ==, EXIT_DONE);
        assert_has(f->out, "7 detach");
}

static void test_interrupt_call(Fixture *f, gconstpointer data) {
        Running monitor = start("monitor"), detach;

        expect(&monitor, "Listening");
        detach = start("detach");
        expect(&monitor, "ReleaseRequested"); /* the daemon has got the call, see mock-daemon.c */
        g_subprocess_send_signal(detach.process, SIGINT);
        expect(&detach, "Interrupted before gpuptd answered.");
        g_assert_cmpint(finish(&detach), ==, EXIT_FAILED);
        g_subprocess_send_signal(monitor.process, SIGINT);
        g_assert_cmpint(finish(&monitor), ==, EXIT_DONE);
}

/* ---- a daemon that goes away ---- */

static void test_restart_goes_on(Fixture *f, gconstpointer data) {
        const MockScript after = { .n_gpus = 1, .job_goes_on = true };
        Running detach = start("detach");

        expect(&detach, "step 1/3");
        kill_daemon(f);
        expect(&detach, "gpuptd went away; waiting");
        f->daemon = mock_daemon_start(&after);
        expect(&detach, "gpuptd is back and goes on with job 7.");
        expect(&detach, "0000:01:00.0: detach done");
        g_assert_cmpint(finish(&detach), ==, EXIT_DONE);
}

static void test_restart_has_ended(Fixture *f, gconstpointer data) {
        const MockScript after = { .n_gpus = 1,
                                   .job_is_last = true,
                                   .result = "rolled-back",
                                   .error = GPUPT_ERROR_IN_USE,
                                   .message = "Undone after a restart." };
        Running detach = start("detach");

        expect(&detach, "step 1/3");
        kill_daemon(f);
        expect(&detach, "gpuptd went away; waiting");
        f->daemon = mock_daemon_start(&after);
        expect(&detach, "0000:01:00.0: detach rolled-back");
        expect(&detach, "Undone after a restart.");
        g_assert_cmpint(finish(&detach), ==, EXIT_IN_USE);
}

/* Two restarts, the first without a trace of the job yet: it asks again. */
static void test_restart_late(Fixture *f, gconstpointer data) {
        const MockScript blank = { .n_gpus = 0 }, after = { .n_gpus = 1, .job_is_last = true };
        Running detach = start("detach");

        expect(&detach, "step 1/3");
        kill_daemon(f);
        expect(&detach, "gpuptd went away; waiting");
        f->daemon = mock_daemon_start(&blank);
        kill_daemon(f);
        f->daemon = mock_daemon_start(&after);
        expect(&detach, "0000:01:00.0: detach done");
        g_assert_cmpint(finish(&detach), ==, EXIT_DONE);
}

static void test_bus_dies(Fixture *f, gconstpointer data) {
        g_autoptr(GTestDBus) bus = g_test_dbus_new(G_TEST_DBUS_NONE);
        Running detach;
        pid_t daemon;

        g_test_dbus_up(bus);
        g_setenv("DBUS_SYSTEM_BUS_ADDRESS", g_test_dbus_get_bus_address(bus), true);
        daemon = mock_daemon_start(&hangs);
        detach = start("detach");
        expect(&detach, "step 1/3");
        g_test_dbus_stop(bus);
        expect(&detach, "The connection to the system bus broke");
        g_assert_cmpint(finish(&detach), ==, EXIT_NO_DAEMON);
        mock_daemon_kill(daemon);
        g_test_dbus_down(bus);
}

static void add_ends(void) {
        for (size_t i = 0; i < G_N_ELEMENTS(end_cases); i++) {
                g_autofree char *path = g_strdup_printf("/client/job/end/%s-%zu", end_cases[i].script.result, i);

                /* the script is the first member of its case */
                g_test_add(path, Fixture, &end_cases[i], fixture_set_up, test_end, fixture_tear_down);
        }
        for (size_t i = 0; i < G_N_ELEMENTS(refusal_cases); i++) {
                g_autofree char *path = g_strdup_printf("/client/job/refusal/%s",
                                                        strrchr(refusal_cases[i].script.refusal, '.') + 1);

                g_test_add(path, Fixture, &refusal_cases[i], fixture_set_up, test_refusal, fixture_tear_down);
        }
}

static void add_cases(void) {
        add("job/detach", &one, test_detach);
        add("job/reset", &one, test_reset);
        add("job/not-cured", &script_not_cured, test_not_cured);
        add("job/liar", &liar, test_liar);
        add("job/interactive", &challenge, test_interactive);
        add("job/set-default", &one, test_set_default);
        add("job/cancel", &hangs, test_cancel_verb);
        add("job/interrupt", &hangs, test_interrupt);
        add("job/interrupt-twice", &hangs_for_good, test_interrupt_twice);
        add("job/interrupt-call", &asks_for_ever, test_interrupt_call);
        add("job/restart-goes-on", &hangs, test_restart_goes_on);
        add("job/restart-has-ended", &hangs, test_restart_has_ended);
        add("job/restart-late", &hangs, test_restart_late);
        add("job/bus-dies", NULL, test_bus_dies);
        add_ends();
}

int main(int argc, char **argv) {
        return client_test_main(argc, argv, add_cases);
}
