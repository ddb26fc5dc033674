/* SPDX-License-Identifier: GPL-2.0-or-later */

/* test-client-run: what runs until something else ends it: the command of a lease, and the monitor. */

#include <signal.h>

#include "tests/unit/client-fixture.h"

static const MockScript one = { .n_gpus = 1 };

static void test_run(Fixture *f, gconstpointer data) {
        g_assert_cmpint(client(f, "run 01:00.0 -- sh -c 'echo out; exit 42'"), ==, 42);
        g_assert_cmpstr(f->out, ==, "out\n");
        assert_has(f->err, "0000:01:00.0: detach done\n");
        assert_has(f->err, "0000:01:00.0: attach done\n");

        g_assert_cmpint(client(f, "run -- sh -c 'kill -TERM $$'"), ==, 128 + SIGTERM);
        g_assert_cmpint(client(f, "run -- /nonexistent/command"), ==, 127);
        assert_has(f->err, "Cannot run '/nonexistent/command'");
        g_assert_cmpint(client(f, "run -- /etc/passwd"), ==, 126);

        /* The command's options are its own, the lease is not. */
        g_assert_cmpint(client(f, "-q run -- ls -l /proc/self/fd"), ==, 0);
        assert_has_not(f->out, "lease.fifo");
        g_assert_cmpstr(f->err, ==, "");
}

static void test_run_signals(Fixture *f, gconstpointer data) {
        Running run = start("run -- sh -c 'trap \"echo got it; exit 3\" TERM; echo ready; read line'");

        expect(&run, "ready");
        g_subprocess_send_signal(run.process, SIGTERM);
        expect(&run, "got it");
        expect(&run, "attach done");
        g_assert_cmpint(finish(&run), ==, 3);
}

static void test_run_lease_lost(Fixture *f, gconstpointer data) {
        Running run = start("run -- sh -c 'echo ready; read line; exit 5'");

        expect(&run, "ready");
        g_assert_cmpint(client(f, "rescan"), ==, EXIT_DONE); /* see mock-daemon.c */
        expect(&run, "The lease of 0000:01:00.0 is gone");
        g_assert_true(g_output_stream_close(g_subprocess_get_stdin_pipe(run.process), NULL, NULL));
        g_assert_cmpint(finish(&run), ==, 5);
}

/* ---- monitor ---- */

static void test_monitor(Fixture *f, gconstpointer data) {
        Running plain = start("monitor"), json = start("monitor -j");
        json_object *event;
        char *line;

        expect(&plain, "Listening");
        expect(&json, "Listening");

        g_assert_cmpint(client(f, "detach"), ==, EXIT_DONE);
        expect(&plain, "gpuptd       JobNew id=7 job=/org/gpupt1/job/7");
        expect(&plain, "job 7        PropertiesChanged step=1 steps=3 description='do thing 1'");
        expect(&plain, "gpuptd       JobRemoved id=7 job=/org/gpupt1/job/7 gpu=0000:01:00.0 result=done");

        line = wait_for(&json, "JobRemoved");
        event = parse(line);
        g_assert_cmpstr(json_object_get_string(get(get(event, "arguments"), "result")), ==, "done");
        json_object_put(event);
        g_free(line);

        kill_daemon(f);
        expect(&plain, "Stopped");
        f->daemon = mock_daemon_start(data);
        expect(&plain, "Started");

        g_subprocess_send_signal(plain.process, SIGINT);
        g_subprocess_send_signal(json.process, SIGTERM);
        g_assert_cmpint(finish(&plain), ==, EXIT_DONE);
        g_assert_cmpint(finish(&json), ==, EXIT_DONE);
}

static void add_cases(void) {
        add("run/command", &one, test_run);
        add("run/signals", &one, test_run_signals);
        add("run/lease-lost", &one, test_run_lease_lost);
        add("monitor", &one, test_monitor);
}

int main(int argc, char **argv) {
        return client_test_main(argc, argv, add_cases);
}
