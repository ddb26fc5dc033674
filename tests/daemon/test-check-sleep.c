/* SPDX-License-Identifier: GPL-2.0-or-later */

/* test-check-sleep: what Manager.Check() says about the next sleep of the host: the gate, the policies, and the
 * VM that has a card. The rest of it is in test-check. */

#include "sleep-fixture.h"
#include "util/cleanup.h"

#define GATE_UNIT "/run/systemd/system/gpuptd-sleep.service"
#define GATE_LINK "/run/systemd/system/sleep.target.requires/gpuptd-sleep.service"

static const char *check_as(Scene *s, sd_bus *bus) {
        _cleanup_(sd_bus_message_unrefp) sd_bus_message *reply = NULL;
        _cleanup_(sd_bus_error_free) sd_bus_error error = SD_BUS_ERROR_NULL;
        GString *text = g_string_new(NULL);
        const char *id, *result, *summary, *hint;

        if (sd_bus_call_method(bus, GPUPT_BUS_NAME, GPUPT_OBJECT_PATH, GPUPT_MANAGER_INTERFACE, "Check", &error, &reply, "") < 0)
                g_error("Check: %s", error.message);
        g_assert_cmpint(sd_bus_message_enter_container(reply, 'a', "(ssss)"), >=, 0);
        while (sd_bus_message_read(reply, "(ssss)", &id, &result, &summary, &hint) > 0)
                if (g_str_has_prefix(id, "sleep."))
                        g_string_append_printf(text, "%s %s %s [%s]\n", id, result, summary, hint);
        g_test_message("%s", text->str);
        g_ptr_array_add(s->strings, text->str);
        return g_string_free(text, false);
}

static const char *check(Scene *s) {
        return check_as(s, s->caller);
}

static void assert_has_not(const char *text, const char *part) {
        if (strstr(text, part))
                g_error("'%s' is in:\n%s", part, text);
}

/* The machine of the test has the installed units of the host, or none, so only what comes before them is
 * asserted. */
static void test_gate(void) {
        g_autoptr(Scene) s = scene_new("desktop", NULL);

        put_file(GATE_LINK, "[Unit]\n");
        assert_has(check(s), "sleep.gate ok The host does not sleep before gpuptd is ready (" GATE_LINK ")");
        put_file(GATE_UNIT, "");
        assert_has(check(s), "sleep.gate warn gpuptd-sleep.service is masked (" GATE_UNIT ")");
        put_file(GATE_UNIT, "[Unit]\n");
        put_file(GATE_LINK, "");
        assert_has(check(s), "sleep.gate warn sleep.target does not require");
        put_file("/etc/gpuptd/gpuptd.conf", "[Sleep]\nGate=no\n");
        g_assert_cmpstr(manager_call(s, "Reload", NULL, ""), ==, "");
        assert_has_not(check(s), "sleep.gate");
}

static void test_sleep(void) {
        g_autoptr(Scene) s = sleep_scene("VirtualMachine=pause\nGpu=unbind");
        const char *list = check(s);

        assert_has(list, "sleep.policy warn " CARD ": with VirtualMachine=pause");
        assert_has(list, "sleep.policy warn " CARD ": Gpu=unbind has no effect");
        assert_has(list, "sleep.policy ok " OTHER ": VirtualMachine=auto, Gpu=keep");
        assert_has_not(list, "sleep.vm");
}

/* The VM is asked what it can, and nothing else; by root alone, and not in the middle of a sleep. */
static void test_sleep_vm(void) {
        g_autoptr(Scene) s = sleep_scene("");

        (void) vm_opens(s);
        vm_can("s3 s4 restart");
        assert_has(check(s), "sleep.vm ok " CARD ": win10 (test, pid ");
        vm_can("s3");
        assert_has(check(s), "would sleep in its memory (S3)");
        vm_can("");
        assert_has(check(s), "sleep.vm warn " CARD ": the host would stay awake: win10 (test, pid ");
        g_assert_cmpstr(vm_log(s), ==, "");
        vm_behaves("identify", "fail");
        assert_has(check(s), "the adapter test says: it says no");
        if (sim_have_users()) {
                sd_bus *user = sim_bus_new(s->m, 1000);

                assert_has_not(check_as(s, user), "sleep.vm");
                (void) sd_bus_close_unref(user);
        }
        vm_behaves("identify", "");
        vm_can("s3");
        g_assert_cmpstr(gate(s, "PrepareSleep"), ==, "");
        assert_has_not(check(s), "sleep.vm");
        g_assert_cmpstr(gate(s, "FinishSleep"), ==, "");
        assert_has(check(s), "would sleep in its memory (S3)");
}

/* Another process that has it open: the adapter says that it is the same VM. */
static void test_sleep_vm_helper(void) {
        g_autoptr(Scene) s = sleep_scene("");
        const char *list, *first;

        (void) vm_opens(s);
        (void) process_start(s, "helper", VFIO_NODE);
        assert_end(s, attach(s, CARD, ""), "refused", "InUse");
        list = check(s);
        first = strstr(list, "sleep.vm");
        g_assert_nonnull(first);
        g_assert_null(strstr(first + 1, "sleep.vm"));
}

/* It has two cards, by two processes: the stricter policy counts, whichever card has it. */
static void test_sleep_vm_two_cards(void) {
        static const char *const policies[][2] = { { "pause", "suspend" }, { "suspend", "pause" } };
        g_autoptr(Scene) s = sleep_scene("");

        assert_end(s, detach(s, OTHER, "disrupt-session"), "done", "");
        (void) vm_opens(s);
        (void) vm_start(s, "win10", "/dev/vfio/16");
        wait_state(s, OTHER, "assigned");
        vm_can("s3");
        for (size_t i = 0; i < G_N_ELEMENTS(policies); i++) {
                g_autofree char *card = g_strdup_printf("[Match]\nAddress=" CARD "\n[Sleep]\nVirtualMachine=%s\n", policies[i][0]),
                                *other = g_strdup_printf("[Match]\nAddress=" OTHER "\n[Sleep]\nVirtualMachine=%s\n", policies[i][1]);
                const char *list;

                put_file("/etc/gpuptd/card.gpu", card);
                put_file("/etc/gpuptd/other.gpu", other);
                g_assert_cmpstr(manager_call(s, "Reload", NULL, ""), ==, "");
                list = check(s);
                assert_has(list, "would sleep in its memory (S3)");
                assert_has_not(list, "would be paused");
        }
}

/* Its adapter hangs: the answer does without. */
static void test_sleep_vm_hangs(void) {
        g_autoptr(Scene) s = sleep_scene("");
        const char *list;

        (void) vm_opens(s);
        vm_behaves("capabilities", "hang");
        list = check(s);
        assert_has(list, "sleep.vm warn " CARD ": the host would stay awake: ");
        assert_has(list, "no answer within 5 s");
        assert_has(list, "sleep.policy ok " CARD);
        assert_alive(s);
}

int main(int argc, char *argv[]) {
        sim_init(&argc, &argv);
        g_test_add_func("/check-sleep/gate", test_gate);
        g_test_add_func("/check-sleep/policy", test_sleep);
        g_test_add_func("/check-sleep/vm", test_sleep_vm);
        g_test_add_func("/check-sleep/vm-helper", test_sleep_vm_helper);
        g_test_add_func("/check-sleep/vm-two-cards", test_sleep_vm_two_cards);
        g_test_add_func("/check-sleep/vm-hangs", test_sleep_vm_hangs);
        return g_test_run();
}
