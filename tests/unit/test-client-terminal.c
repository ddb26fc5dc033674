/* SPDX-License-Identifier: GPL-2.0-or-later */

/* test-client-terminal: what gpuptctl does on a terminal and nowhere else. */

#include <glib/gstdio.h>
#include <systemd/sd-login.h>

#include "tests/unit/client-fixture.h"

static const MockScript one = { .n_gpus = 1 };

static void test_progress_line(Fixture *f, gconstpointer data) {
        static const char *const argv[] = { "gpuptctl", "detach", NULL };
        g_autofree char *output = NULL;
        int status;

        output = on_terminal(argv, /* unprivileged= */ false, &status);
        g_assert_cmpint(status, ==, EXIT_DONE);
        assert_has(
                output,
                "\r\033[K\033[?7ldetach 0000:01:00.0: step 3/3 do thing 3\033[?7h\r"
                   "\033[K0000:01:00.0: detach \033[32mdone\033[0m\r\n");
}

static void assert_fits(const char *output, glong columns) {
        g_auto(GStrv) lines = g_strsplit(output, "\r\n", -1);

        for (char **line = lines; *line; line++)
                g_assert_cmpint(g_utf8_strlen(*line, -1), <=, columns);
}

/* Names are cut where that shows, sentences are broken between words. */
static void test_narrow(Fixture *f, gconstpointer data) {
        static const char *const list[] = { "gpuptctl", "list", "--no-pager", NULL },
                          *const plan[] = { "gpuptctl", "plan", "detach", "--driver=a-driver-of-which-one-never-heard", "--no-pager",
                                            NULL };
        g_autofree char *names = NULL, *sentences = NULL;
        int status;

        g_setenv("NO_COLOR", "1", true);
        g_setenv("COLUMNS", "64", true);
        names = on_terminal(list, /* unprivileged= */ false, &status);
        g_assert_cmpint(status, ==, EXIT_DONE);
        g_setenv("COLUMNS", "40", true);
        sentences = on_terminal(plan, /* unprivileged= */ false, &status);
        g_assert_cmpint(status, ==, EXIT_DONE);
        g_unsetenv("COLUMNS");
        g_unsetenv("NO_COLOR");

        assert_has(names, "GP107 [GeF");
        assert_has(names, "… host");
        assert_fits(names, 64);
        assert_has_not(sentences, "\\x0a");
        assert_fits(sentences, 40);
}

/* A report is broken to fit, and still has its lines. */
static void test_narrow_report(Fixture *f, gconstpointer data) {
        static const char *const recover[] = { "gpuptctl", "recover", NULL }, *const show[] = { "gpuptctl", "status", "--no-pager", NULL };
        g_autofree char *report = NULL, *page = NULL;
        int status;

        g_setenv("NO_COLOR", "1", true);
        g_setenv("COLUMNS", "60", true);
        report = on_terminal(recover, /* unprivileged= */ false, &status);
        g_assert_cmpint(status, ==, EXIT_FAILED);
        page = on_terminal(show, /* unprivileged= */ false, &status);
        g_assert_cmpint(status, ==, EXIT_DONE);
        g_unsetenv("COLUMNS");
        g_unsetenv("NO_COLOR");

        assert_has(report, "gpuptctl: 0000:01:00.0 is still not well. The fan of it does\r\nnot turn, and nobody knows why.\r\n"
                           "  wake: had no effect\r\n"
                           "  bus: not possible (0000:02:00.0 is below the bridge as\r\n    well, and is not part of it)\r\n"
                           "There is no further way to reset it.\r\n");
        assert_has(page, "\r\n              0000:01:00.0 is still not well. The fan of it\r\n              does not turn");
        assert_has(page, "\r\n                bus: not possible (0000:02:00.0 is below the\r\n                  bridge as well");
}

/* The pager gets what is longer than nothing; its name is the user's choice. */
static void test_pager(Fixture *f, gconstpointer data) {
        static const char *const with[] = { "gpuptctl", "list", NULL }, *const without[] = { "gpuptctl", "list",
                                                                                             "--no-pager",
                                                                                             NULL };
        g_autofree char *paged = NULL, *bare = NULL;
        int status;

        g_setenv("SYSTEMD_PAGER", "sed s/^/paged:/", true);
        paged = on_terminal(with, /* unprivileged= */ false, &status);
        g_assert_cmpint(status, ==, EXIT_DONE);
        assert_has(paged, "paged:0000:01:00.0 GP107");
        assert_has(paged, "\033[32mhost");
        bare = on_terminal(without, /* unprivileged= */ false, &status);
        g_assert_cmpint(status, ==, EXIT_DONE);
        assert_has_not(bare, "paged:");
        g_unsetenv("SYSTEMD_PAGER");
}

/* The agent is started for a plain user on a terminal, told where to say that it is ready, and ended. */
static void test_agent(Fixture *f, gconstpointer data) {
        static const char *const argv[] = { "gpuptctl", "reload", NULL }, *const quiet[] = {
                "gpuptctl", "reload", "--no-ask-password", NULL
        };
        g_autofree char *agent = g_build_filename(f->dir, "pkttyagent", NULL), *old = g_strdup(g_getenv("PATH")),
                        *path = g_strdup_printf("%s:%s", f->dir, old), *output = NULL, *without = NULL;
        char *session = NULL;
        int status;

        g_assert_true(g_file_set_contents(
                agent, "#!/bin/sh\necho agent \"$@\"\nexec 2>&1\neval \"exec $2>&-\"\nexec sleep 1000\n", -1,
                NULL));
        g_assert_cmpint(g_chmod(agent, 0755), ==, 0);
        g_assert_cmpint(g_chmod(f->dir, 0755), ==, 0);
        g_setenv("PATH", path, true);
        output = on_terminal(argv, /* unprivileged= */ true, &status);
        without = on_terminal(quiet, /* unprivileged= */ true, &status);
        g_setenv("PATH", old, true);
        (void) g_unlink(agent);

        assert_has(output, "agent --notify-fd ");
        /* Of a session's own agent, which there is none of without a session. */
        g_assert_cmpint(!!strstr(output, " --fallback"), ==, sd_pid_get_session(0, &session) >= 0);
        free(session);
        assert_has_not(without, "agent");
}

static void add_cases(void) {
        add("terminal/progress", &one, test_progress_line);
        add("terminal/narrow", &one, test_narrow);
        add("terminal/narrow-report", &script_not_cured, test_narrow_report);
        add("terminal/pager", &one, test_pager);
        add("terminal/agent", &one, test_agent);
}

int main(int argc, char **argv) {
        return client_test_main(argc, argv, add_cases);
}
