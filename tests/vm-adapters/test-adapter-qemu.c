/* SPDX-License-Identifier: GPL-2.0-or-later */

/* test-adapter-qemu: the adapter against QEMUs of every character. */

#include <signal.h>
#include <sys/wait.h>
#include <unistd.h>

#include "loop.h"
#include "run.h"
#include "util/cleanup.h"

typedef struct Fixture {
        char *dir, *id;
        GPid pid;
} Fixture;

static void start(Fixture *f, const char *behaviour, bool with_agent) {
        g_autofree char *qmp = NULL, *chardev = NULL;
        g_autoptr(GError) error = NULL;
        g_autoptr(Run) r = NULL;
        char pid[16], line[16] = "";
        int out;

        f->dir = loop_make_dir();
        qmp = g_strdup_printf("unix:%s/qmp,server=on,wait=off", f->dir);
        chardev = g_strdup_printf("socket,id=qga0,path=%s/qga,server=on,wait=off", f->dir);
        g_spawn_async_with_pipes(NULL,
                                 (char *[]) { (char *) g_getenv("FAKE_QEMU"), (char *) "-name", (char *) "guest=one,,two,debug-threads=on",
                                              (char *) "-fake", (char *) behaviour, (char *) "-qmp", qmp,
                                              with_agent ? (char *) "-chardev" : NULL, chardev, (char *) "-device",
                                              (char *) "virtserialport,chardev=qga0,name=org.qemu.guest_agent.0", NULL },
                                 NULL, G_SPAWN_DO_NOT_REAP_CHILD, NULL, NULL, &f->pid, NULL, &out, NULL, &error);
        g_assert_no_error(error);
        g_assert_cmpint(read(out, line, sizeof(line) - 1), ==, 6);
        g_assert_cmpstr(line, ==, "ready\n");
        close(out);

        (void) snprintf(pid, sizeof(pid), "%d", f->pid);
        r = run_adapter(g_getenv("ADAPTER"), NULL, ARGUMENTS("identify", pid));
        assert_run(r, 0);
        g_assert_cmpstr(run_string(r, "name"), ==, "one,two");
        f->id = g_strdup(run_string(r, "id"));
}

static void end(Fixture *f) {
        (void) kill(f->pid, SIGKILL);
        g_assert_cmpint(waitpid(f->pid, NULL, 0), ==, f->pid);
        g_spawn_close_pid(f->pid);
        loop_remove_dir(f->dir);
        g_free(f->id);
}

static Run *call(const Fixture *f, const char *verb) {
        return run_adapter(g_getenv("ADAPTER"), NULL, ARGUMENTS("--timeout=60", verb, f->id));
}

static void assert_call(const Fixture *f, const char *verb, int status, const char *key, const char *value) {
        g_autoptr(Run) r = call(f, verb);

        assert_run(r, status);
        g_assert_cmpstr(run_string(r, key), ==, value);
}

/* Fails at its deadline, which is short, with what is said of it. */
static void assert_times_out(const Fixture *f, const char *verb) {
        g_autoptr(Run) r = run_adapter(g_getenv("ADAPTER"), NULL, ARGUMENTS("--timeout=1", verb, f->id));

        assert_run(r, 1);
        g_assert_cmpstr(run_string(r, "error"), ==, "timeout");
}

/* ---- Cases */

static void test_pause(void) {
        Fixture f;

        start(&f, "", false);
        assert_call(&f, "status", 0, "state", "running");
        assert_call(&f, "pause", 0, "changed", "true");
        assert_call(&f, "status", 0, "state", "paused");
        assert_call(&f, "pause", 0, "changed", "false");
        assert_call(&f, "suspend", 1, "error", "refused");
        assert_call(&f, "shutdown", 1, "error", "refused");
        assert_call(&f, "wake", 1, "error", "refused");
        assert_call(&f, "resume", 0, "changed", "true");
        assert_call(&f, "resume", 0, "changed", "false");
        assert_call(&f, "start", 3, "verb", "start");
        end(&f);
}

static void test_sleep(void) {
        Fixture f;

        start(&f, "", true);
        assert_call(&f, "suspend", 0, "state", "suspended");
        assert_call(&f, "status", 0, "state", "suspended");
        assert_call(&f, "suspend", 0, "changed", "false");
        assert_call(&f, "pause", 1, "error", "refused");
        assert_call(&f, "wake", 0, "state", "running");
        assert_call(&f, "hibernate", 0, "state", "gone");
        assert_call(&f, "status", 0, "state", "gone");
        assert_call(&f, "shutdown", 0, "changed", "false");
        assert_call(&f, "pause", 1, "error", "refused");
        end(&f);
}

static void test_capabilities(void) {
        static const struct {
                const char *behaviour;
                bool with_agent, agent, s3, s4;
        } cases[] = {
                { "", true, true, true, true },         { "pretty", true, true, true, true },
                { "", false, false, false, false },     { "no-agent", true, false, false, false },
                { "no-s3", true, true, false, true },   { "no-pm", true, true, false, false },
                { "agent-stale", true, true, true, true },
        };

        for (size_t i = 0; i < ELEMENTSOF(cases); i++) {
                g_autoptr(Run) r = NULL;
                Fixture f;

                start(&f, cases[i].behaviour, cases[i].with_agent);
                r = call(&f, "capabilities");
                assert_run(r, 0);
                g_assert_cmpint(run_flag(r, "agent"), ==, cases[i].agent);
                g_assert_cmpint(run_flag(r, "s3"), ==, cases[i].s3);
                g_assert_cmpint(run_flag(r, "s4"), ==, cases[i].s4);
                g_assert_false(run_flag(r, "restart"));
                end(&f);
        }
}

static void test_shutdown(void) {
        static const char *const behaviours[] = { "", "agent-refuses", "no-shutdown" };

        for (size_t i = 0; i < 2 * ELEMENTSOF(behaviours); i++) {
                Fixture f;

                start(&f, behaviours[i / 2], i % 2);
                assert_call(&f, "shutdown", 0, "state", "gone");
                end(&f);
        }
}

static void test_kill(void) {
        static const char *const behaviours[] = { "", "quit-ignored", "greeting-none" };

        for (size_t i = 0; i < ELEMENTSOF(behaviours); i++) {
                Fixture f;

                start(&f, behaviours[i], false);
                assert_call(&f, "kill", 0, "state", "gone");
                assert_call(&f, "kill", 0, "changed", "false");
                end(&f);
        }
}

/* What is said and what is so are two things. */
static void test_lies(void) {
        static const struct {
                const char *behaviour, *verb, *error;
        } cases[] = {
                { "stop-lies", "pause", "unverified" },        { "stop-fails", "pause", "refused" },
                { "stop-dies", "pause", "unreachable" },       { "suspend-lies", "suspend", "unverified" },
                { "agent-refuses", "suspend", "refused" },     { "agent-refuses", "hibernate", "refused" },
                { "no-agent", "suspend", "unreachable" },      { "agent-silent", "suspend", "unreachable" },
        };

        for (size_t i = 0; i < ELEMENTSOF(cases); i++) {
                Fixture f;

                start(&f, cases[i].behaviour, true);
                assert_call(&f, cases[i].verb, 1, "error", cases[i].error);
                end(&f);
        }
}

static void test_not_offered(void) {
        Fixture f;

        start(&f, "no-s3", true);
        assert_call(&f, "suspend", 3, "verb", "suspend");
        end(&f);
        start(&f, "", false);
        assert_call(&f, "hibernate", 3, "verb", "hibernate");
        end(&f);
}

static void test_never(void) {
        static const struct {
                const char *behaviour, *verb;
        } cases[] = {
                { "greeting-none", "status" },     { "stop-hangs", "pause" },     { "agent-ignores", "suspend" },
                { "agent-ignores", "hibernate" },  { "agent-ignores", "shutdown" }, { "flood", "status" },
                { "wrong-id", "status" },
        };

        for (size_t i = 0; i < ELEMENTSOF(cases); i++) {
                Fixture f;

                start(&f, cases[i].behaviour, true);
                assert_times_out(&f, cases[i].verb);
                end(&f);
        }
}

static void test_hostile(void) {
        static const char *const behaviours[] = {
                "greeting-garbage", "greeting-deep", "greeting-endless", "greeting-other", "greeting-binary",
                "status-number", "status-array", "status-null", "status-nul", "status-wide",
        };

        for (size_t i = 0; i < ELEMENTSOF(behaviours); i++) {
                Fixture f;

                start(&f, behaviours[i], true);
                assert_call(&f, "status", 1, "error", "protocol");
                end(&f);
        }
}

/* A word that nobody knows is shown, but not what it does to a terminal. */
static void test_strange_state(void) {
        g_autoptr(Run) r = NULL;
        Fixture f;

        start(&f, "status-strange", false);
        r = call(&f, "status");
        assert_run(r, 0);
        g_assert_cmpstr(run_string(r, "state"), ==, "unknown");
        g_assert_cmpstr(run_string(r, "detail"), ==, "?[31mred");
        end(&f);
}

/* The number of a process alone is not enough. */
static void test_other_start(void) {
        g_autofree char *other = NULL;
        Fixture f, wrong;

        start(&f, "", false);
        other = g_strdup_printf("%d:1", f.pid);
        wrong = (Fixture) { .id = other };
        assert_call(&wrong, "kill", 0, "changed", "false");
        assert_call(&f, "status", 0, "state", "running");
        end(&f);
}

/* A process that says of another one's socket that it is its own does not get that one paused. */
static void test_thief(void) {
        g_autofree char *link = NULL, *target = NULL;
        Fixture f, thief;

        start(&f, "", false);
        start(&thief, "thief", false);
        link = g_build_filename(thief.dir, "qmp", NULL);
        target = g_build_filename(f.dir, "qmp", NULL);
        g_assert_cmpint(symlink(target, link), ==, 0);
        assert_call(&thief, "pause", 1, "error", "unreachable");
        assert_call(&f, "status", 0, "state", "running");
        end(&thief);
        end(&f);
}

int main(int argc, char *argv[]) {
        g_test_init(&argc, &argv, NULL);
        g_test_add_func("/adapter-qemu/pause", test_pause);
        g_test_add_func("/adapter-qemu/sleep", test_sleep);
        g_test_add_func("/adapter-qemu/capabilities", test_capabilities);
        g_test_add_func("/adapter-qemu/shutdown", test_shutdown);
        g_test_add_func("/adapter-qemu/kill", test_kill);
        g_test_add_func("/adapter-qemu/lies", test_lies);
        g_test_add_func("/adapter-qemu/not-offered", test_not_offered);
        g_test_add_func("/adapter-qemu/never", test_never);
        g_test_add_func("/adapter-qemu/hostile", test_hostile);
        g_test_add_func("/adapter-qemu/strange-state", test_strange_state);
        g_test_add_func("/adapter-qemu/other-start", test_other_start);
        g_test_add_func("/adapter-qemu/thief", test_thief);
        return g_test_run();
}
