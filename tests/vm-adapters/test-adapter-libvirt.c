/* SPDX-License-Identifier: GPL-2.0-or-later */

/* test-adapter-libvirt: the adapter on libvirt's own test driver, whose hosts are in the memory of the process: so each call
 * begins with the domains of the file. What takes a real QEMU is tried in the virtual machine. */

#include "run.h"

#define RUNNING "aaaaaaaa-0000-4000-8000-000000000001"
#define PAUSED "aaaaaaaa-0000-4000-8000-000000000002"
#define OFF "aaaaaaaa-0000-4000-8000-000000000003"
#define SUSPENDED "aaaaaaaa-0000-4000-8000-000000000004"
#define NOBODY "aaaaaaaa-0000-4000-8000-00000000000f"

static void assert_call(const char *verb, const char *id, int status, const char *key, const char *value) {
        g_autoptr(Run) r = run_adapter(g_getenv("ADAPTER"), NULL, ARGUMENTS(verb, id));

        assert_run(r, status);
        g_assert_cmpstr(run_string(r, key), ==, value);
}

static void test_status(void) {
        assert_call("status", RUNNING, 0, "state", "running");
        assert_call("status", RUNNING, 0, "name", "running");
        assert_call("status", PAUSED, 0, "state", "paused");
        assert_call("status", OFF, 0, "state", "off");
        assert_call("status", SUSPENDED, 0, "state", "suspended");
        assert_call("status", NOBODY, 0, "state", "gone");
        assert_call("status", "running", 1, "error", "invalid");
}

static void test_changes(void) {
        assert_call("pause", RUNNING, 0, "changed", "true");
        assert_call("pause", PAUSED, 0, "changed", "false");
        assert_call("pause", OFF, 1, "error", "refused");
        assert_call("resume", PAUSED, 0, "state", "running");
        assert_call("resume", RUNNING, 0, "changed", "false");
        assert_call("resume", SUSPENDED, 1, "error", "refused");
        assert_call("shutdown", RUNNING, 0, "state", "off");
        assert_call("shutdown", OFF, 0, "changed", "false");
        assert_call("shutdown", PAUSED, 1, "error", "refused");
        assert_call("start", OFF, 0, "state", "running");
        assert_call("start", RUNNING, 0, "changed", "false");
        assert_call("start", NOBODY, 1, "error", "refused");
        assert_call("kill", PAUSED, 0, "state", "off");
        assert_call("kill", NOBODY, 0, "changed", "false");
        assert_call("suspend", SUSPENDED, 0, "changed", "false");
        assert_call("suspend", OFF, 1, "error", "refused");
        assert_call("hibernate", OFF, 1, "error", "refused");
        assert_call("wake", RUNNING, 0, "changed", "false");
}

/* The test driver has no sleeping guests. */
static void test_not_supported(void) {
        assert_call("suspend", RUNNING, 3, "verb", "suspend");
        assert_call("hibernate", RUNNING, 3, "verb", "hibernate");
}

static void test_capabilities(void) {
        g_autoptr(Run) r = run_adapter(g_getenv("ADAPTER"), NULL, ARGUMENTS("capabilities", RUNNING));

        assert_run(r, 0);
        g_assert_false(run_flag(r, "agent"));
        g_assert_false(run_flag(r, "s3"));
        g_assert_true(run_flag(r, "restart"));
        assert_call("capabilities", NOBODY, 1, "error", "refused");
}

int main(int argc, char *argv[]) {
        g_test_init(&argc, &argv, NULL);
        g_test_add_func("/adapter-libvirt/status", test_status);
        g_test_add_func("/adapter-libvirt/changes", test_changes);
        g_test_add_func("/adapter-libvirt/not-supported", test_not_supported);
        g_test_add_func("/adapter-libvirt/capabilities", test_capabilities);
        return g_test_run();
}
