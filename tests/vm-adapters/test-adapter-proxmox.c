/* SPDX-License-Identifier: GPL-2.0-or-later */

/* test-adapter-proxmox: the adapter, built to call a stand-in for `qm`. */

#include <signal.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#include "run.h"
#include "util/cleanup.h"

static void put(const char *name, const char *text) {
        g_autofree char *path = g_build_filename(g_getenv("QM_STATE"), name, NULL);

        g_assert_true(g_file_set_contents(path, text, -1, NULL));
}

static char *get(const char *name) {
        g_autofree char *path = g_build_filename(g_getenv("QM_STATE"), name, NULL);
        char *text = NULL;

        g_assert_true(g_file_get_contents(path, &text, NULL, NULL));
        return text;
}

static void set_up(const char *state, const char *mode) {
        put("state", state);
        put("mode", mode);
        put("log", "");
}

static Run *call(const char *verb, const char *id) {
        return run_adapter(g_getenv("ADAPTER"), NULL, ARGUMENTS(verb, "--timeout=4", id));
}

static void assert_call(const char *verb, int status, const char *key, const char *value) {
        g_autoptr(Run) r = call(verb, "101");

        assert_run(r, status);
        g_assert_cmpstr(run_string(r, key), ==, value);
}

static void assert_asked(const char *command) {
        g_autofree char *log = get("log");

        g_assert_nonnull(strstr(log, command));
}

static void test_verbs(void) {
        set_up("running", "");
        assert_call("status", 0, "state", "running");
        assert_call("pause", 0, "state", "paused");
        assert_asked("suspend 101 --todisk 0\n");
        assert_call("pause", 0, "changed", "false");
        assert_call("suspend", 1, "error", "refused");
        assert_call("resume", 0, "state", "running");
        assert_call("suspend", 0, "state", "suspended");
        assert_call("resume", 1, "error", "refused");
        assert_call("wake", 0, "state", "running");
        assert_call("hibernate", 0, "state", "off");
        assert_call("hibernate", 1, "error", "refused");
        assert_call("start", 0, "state", "running");
        assert_call("start", 0, "changed", "false");
        assert_call("shutdown", 0, "state", "off");
        assert_asked("shutdown 101 --timeout ");
        assert_call("shutdown", 0, "changed", "false");
        assert_call("start", 0, "changed", "true");
        assert_call("kill", 0, "state", "off");
        assert_call("kill", 0, "changed", "false");
}

static void test_bad(void) {
        static const struct {
                const char *mode, *verb, *error;
        } cases[] = {
                { "lie", "pause", "unverified" }, { "locked", "pause", "refused" },  { "hang", "status", "timeout" },
                { "noise", "status", "protocol" }, { "hang", "kill", "timeout" },
        };
        g_autoptr(Run) r = NULL;

        for (size_t i = 0; i < ELEMENTSOF(cases); i++) {
                set_up("running", cases[i].mode);
                assert_call(cases[i].verb, 1, "error", cases[i].error);
        }
        set_up("running", "locked");
        r = call("pause", "101");
        g_assert_cmpstr(run_string(r, "reason"), ==, "qm suspend: VM is locked (backup)");
        set_up("magic", "");
        assert_call("status", 0, "state", "unknown");
}

static void test_ids(void) {
        static const char *const ids[] = { "99", "0101", "1e3", "101 --skiplock", "9999999999", "all" };
        g_autoptr(Run) gone = NULL;
        g_autofree char *log = NULL;

        set_up("running", "");
        for (size_t i = 0; i < ELEMENTSOF(ids); i++) {
                g_autoptr(Run) r = call("kill", ids[i]);

                assert_run(r, 1);
                g_assert_cmpstr(run_string(r, "error"), ==, "invalid");
        }
        log = get("log");
        g_assert_cmpstr(log, ==, "");
        gone = call("status", "102");
        assert_run(gone, 0);
        g_assert_cmpstr(run_string(gone, "state"), ==, "gone");
}

/* Proxmox's QEMU, by its command line and Proxmox's own file. */
static void test_identify(void) {
        g_autofree char *pid_text = NULL;
        g_autoptr(Run) r = NULL, other = NULL, capabilities = NULL, offered = NULL;
        g_autoptr(GError) error = NULL;
        GPid pid;

        set_up("running", "");
        g_spawn_async(NULL,
                      (char *[]) { (char *) g_getenv("FAKE_QEMU"), (char *) "-id", (char *) "101", (char *) "-name",
                                   (char *) "win10,debug-threads=on", (char *) "-global", (char *) "ICH9-LPC.disable_s3=1", NULL },
                      NULL, G_SPAWN_DO_NOT_REAP_CHILD | G_SPAWN_STDOUT_TO_DEV_NULL, NULL, NULL, &pid, &error);
        g_assert_no_error(error);
        pid_text = g_strdup_printf("%d", pid);
        put("101.pid", "1\n");
        other = run_adapter(g_getenv("ADAPTER"), NULL, ARGUMENTS("identify", pid_text));
        assert_run(other, 2);
        put("101.pid", pid_text);
        r = run_adapter(g_getenv("ADAPTER"), NULL, ARGUMENTS("identify", pid_text));
        assert_run(r, 0);
        g_assert_cmpstr(run_string(r, "id"), ==, "101");
        g_assert_cmpstr(run_string(r, "name"), ==, "win10");

        capabilities = call("capabilities", "101");
        assert_run(capabilities, 0);
        g_assert_true(run_flag(capabilities, "agent"));
        g_assert_false(run_flag(capabilities, "s3"));
        g_assert_true(run_flag(capabilities, "s4"));
        g_assert_true(run_flag(capabilities, "restart"));
        assert_call("suspend", 3, "verb", "suspend");
        put("mode", "agentless");
        offered = call("capabilities", "101");
        g_assert_false(run_flag(offered, "agent"));
        g_assert_false(run_flag(offered, "s4"));

        g_assert_cmpint(kill(pid, SIGKILL), ==, 0);
        g_assert_cmpint(waitpid(pid, NULL, 0), ==, pid);
        put("101.pid", "");
}

int main(int argc, char *argv[]) {
        g_test_init(&argc, &argv, NULL);
        g_test_add_func("/adapter-proxmox/verbs", test_verbs);
        g_test_add_func("/adapter-proxmox/bad", test_bad);
        g_test_add_func("/adapter-proxmox/ids", test_ids);
        g_test_add_func("/adapter-proxmox/identify", test_identify);
        return g_test_run();
}
