/* SPDX-License-Identifier: GPL-2.0-or-later */

/* test-sleep-faults: what befalls the host's sleep on its way: a VM that answers late, never, or dies; a card
 * that is gone, dead or not where it was after the wake; a kernel call that hangs; a daemon that is killed at
 * each step; a host that has lost its power. After each nothing is lost, what could not be brought back is said,
 * and the next sleep works. */

#include "sleep-fixture.h"

static void assert_detached(Scene *s) {
        wait_state(s, CARD, "detached");
        assert_drivers(s, "vfio-pci", CARD, AUDIO, NULL);
}

static void assert_next_sleep(Scene *s) {
        g_autoptr(SimRecorder) signals = sim_recorder_new(s->m);

        g_assert_true(sim_suspend(s->m));
        g_assert_cmpstr(host_job_end(s, signals), ==, "done");
        g_assert_cmpstr(host_job_end(s, signals), ==, "done");
        g_assert_cmpstr(last_sleep(s, "result"), ==, "done");
}

/* ---- VMs ---- */

/* It takes its time: the gate waits, everybody else is answered. */
static void test_vm_late(void) {
        g_autoptr(Scene) s = sleep_scene("VirtualMachine=hibernate");
        g_autoptr(Gate) g = NULL;

        (void) vm_opens(s);
        vm_can("s4 restart");
        vm_behaves("hibernate", "hang");
        g = gate_call(s, "PrepareSleep");
        vm_wait_asked(s, "hibernate");
        assert_alive(s);
        g_assert_false(g->answered);
        vm_goes_on("hibernate");
        g_assert_cmpstr(gate_wait(g), ==, "");
        g_assert_cmpstr(gate(s, "FinishSleep"), ==, "");
        g_assert_cmpstr(vm_log(s), ==, "hibernate start");
        assert_detached(s);
        assert_next_sleep(s);
}

/* It never ends what it was asked for; and does it after all, when the sleep has been refused. */
static void test_vm_never(void) {
        g_autoptr(Scene) s = sleep_scene("VirtualMachine=shutdown\nTimeoutSec=5");
        g_autoptr(Gate) g = NULL;

        (void) vm_opens(s);
        vm_can("restart");
        vm_behaves("shutdown", "hang");
        g = gate_call(s, "PrepareSleep");
        vm_wait_asked(s, "shutdown");
        g_assert_cmpstr(gate_wait(g), ==, "Timeout");
        assert_has(g->message, "win10");
        g_assert_cmpstr(gate(s, "FinishSleep"), ==, "");
        g_assert_cmpstr(vm_state(s), ==, "running");
        g_assert_cmpstr(last_sleep(s, "result"), ==, "vetoed");
        wait_state(s, CARD, "assigned");
}

static void test_vm_dies(void) {
        g_autoptr(Scene) s = sleep_scene("VirtualMachine=pause");
        pid_t vm = vm_opens(s);

        g_assert_cmpstr(gate(s, "PrepareSleep"), ==, "");
        vm_says("gone");
        sim_let_go(s->m, vm);
        g_assert_cmpstr(gate(s, "FinishSleep"), ==, "Failed");
        g_assert_cmpstr(last_sleep(s, "result"), ==, "failed");
        assert_has(last_sleep(s, ""), "nothing any more that could be started");
        assert_detached(s);
        vm_says("running");
        assert_next_sleep(s);
}

/* Somebody has let it go on, or started it, meanwhile. */
static void test_vm_runs_already(void) {
        g_autoptr(Scene) s = sleep_scene("VirtualMachine=pause");
        pid_t vm = vm_opens(s);

        g_assert_cmpstr(gate(s, "PrepareSleep"), ==, "");
        vm_says("running");
        g_assert_cmpstr(gate(s, "FinishSleep"), ==, "");
        g_assert_cmpstr(vm_log(s), ==, "pause");
        sim_let_go(s->m, vm);
        assert_detached(s);
}

/* ---- cards after the wake ---- */

/* It is gone: looked for in vain, and the VM is not started without it. */
static void test_card_gone(void) {
        g_autoptr(Scene) s = sleep_scene("VirtualMachine=shutdown");

        (void) vm_opens(s);
        vm_can("restart");
        g_assert_cmpstr(gate(s, "PrepareSleep"), ==, "");
        sim_unplug(s->m, CARD);
        sim_wait_known(s->m, CARD, false);
        g_assert_cmpstr(gate(s, "FinishSleep"), ==, "Failed");
        g_assert_cmpstr(last_sleep(s, "result"), ==, "failed");
        g_assert_cmpstr(vm_log(s), ==, "shutdown");
        assert_has(last_sleep(s, ""), "was not let loose on " CARD);
        sim_plug(s->m, CARD);
        sim_wait_known(s->m, CARD, true);
        assert_next_sleep(s);
}

static void test_card_dead(void) {
        g_autoptr(Scene) s = sleep_scene("VirtualMachine=shutdown");

        (void) vm_opens(s);
        vm_can("restart");
        g_assert_cmpstr(gate(s, "PrepareSleep"), ==, "");
        (void) sim_command(s->m, "die " CARD);
        g_assert_cmpstr(gate(s, "FinishSleep"), ==, "Failed");
        g_assert_cmpstr(vm_log(s), ==, "shutdown");
        (void) sim_command(s->m, "revive " CARD);
}

/* The wake has left it without its driver. */
static void test_card_unbound(void) {
        g_autoptr(Scene) s = sleep_scene("VirtualMachine=shutdown");

        (void) vm_opens(s);
        vm_can("restart");
        g_assert_cmpstr(gate(s, "PrepareSleep"), ==, "");
        g_assert_cmpint(sim_write(s->m, "bus/pci/drivers/vfio-pci/unbind", CARD), ==, 0);
        g_assert_cmpstr(gate(s, "FinishSleep"), ==, "");
        g_assert_cmpstr(vm_log(s), ==, "shutdown start");
        assert_detached(s);
        assert_next_sleep(s);
}

/* The wake has numbered the bus anew, and another card answers at its address: nothing is done to that one. */
static void test_card_exchanged(void) {
        g_autoptr(Scene) s = sleep_scene("VirtualMachine=shutdown\nGpu=unbind");
        g_autoptr(SimRecorder) signals = NULL;
        g_autofree char *text = NULL, *before = NULL;
        char *ids;

        (void) vm_opens(s);
        vm_can("restart");
        g_assert_cmpstr(gate(s, "PrepareSleep"), ==, "");
        sim_daemon_kill(s->m);
        g_assert_true(g_file_get_contents("/var/lib/gpuptd/sleep", &text, NULL, NULL));
        ids = strstr(text, "card " CARD " 10de:");
        g_assert_nonnull(ids);
        memcpy(ids + strlen("card " CARD " "), "1002", 4);
        put_file("/var/lib/gpuptd/sleep", text);
        before = g_strdup(sim_dump(s->m));
        signals = sim_recorder_new(s->m);
        scene_start(s);
        g_assert_cmpstr(host_job_end(s, signals), ==, "failed Failed");
        g_assert_cmpstr(sim_dump(s->m), ==, before);
        g_assert_cmpstr(vm_log(s), ==, "shutdown");
        assert_has(last_sleep(s, ""), "Another card is at its address");
        assert_end(s, detach(s, CARD, ""), "done", "");
        assert_next_sleep(s);
}

/* ---- cards on the way ---- */

/* A driver that does not let go: the host stays awake. */
static void test_write_hangs(void) {
        g_autoptr(Scene) s = sleep_scene("Gpu=unbind");
        g_autoptr(Gate) g = NULL;
        unsigned fault = sim_fault(s->m, CARD, "unbind", "hang");

        put_file("/etc/gpuptd/gpuptd.conf", "[Daemon]\nStepTimeoutSec=1\n");
        g_assert_cmpstr(manager_call(s, "Reload", NULL, ""), ==, "");
        g = gate_call(s, "PrepareSleep");
        sim_fault_wait(s->m, fault);
        g_assert_cmpstr(gate_wait(g), ==, "Stuck");
        wait_state(s, CARD, "stuck");
        /* And it stays awake, without waiting for anything. */
        g_assert_cmpstr(gate(s, "FinishSleep"), ==, "Failed");
        g_assert_cmpstr(gate(s, "PrepareSleep"), ==, "Stuck");
        g_assert_cmpstr(gate(s, "FinishSleep"), ==, "");
        sim_fault_release(s->m, fault);
        wait_state(s, CARD, "detached");
        g_assert_cmpstr(gate(s, "PrepareSleep"), ==, "");
        g_assert_cmpstr(gate(s, "FinishSleep"), ==, "");
        assert_detached(s);
}

static void test_unreachable(void) {
        g_autoptr(Scene) s = sleep_scene("");

        (void) sim_command(s->m, "die " CARD);
        assert_end(s, attach(s, CARD, ""), "rolled-back", "Unreachable");
        wait_state(s, CARD, "unreachable");
        g_assert_cmpstr(gate(s, "PrepareSleep"), ==, "Unreachable");
        g_assert_cmpstr(gate(s, "FinishSleep"), ==, "");
        (void) sim_command(s->m, "revive " CARD);
}

/* A job in the middle of its work is waited for. */
static void test_job_runs(void) {
        g_autoptr(Scene) s = scene_new("desktop", NULL);
        g_autoptr(Gate) g = NULL;
        unsigned fault = sim_fault(s->m, AUDIO, "bind", "hang");
        const char *job = job_start(s, "Detach", CARD, "");

        sim_fault_wait(s->m, fault);
        g = gate_call(s, "PrepareSleep");
        sim_wait_property(s->m, GPUPT_OBJECT_PATH, GPUPT_MANAGER_INTERFACE, "Sleeping", "true");
        assert_alive(s);
        g_assert_false(g->answered);
        sim_fault_release(s->m, fault);
        assert_end(s, job_wait(s, job), "done", "");
        g_assert_cmpstr(gate_wait(g), ==, "");
        g_assert_cmpstr(gate(s, "FinishSleep"), ==, "");
        assert_end(s, attach(s, CARD, ""), "done", "");
        assert_as_at_first(s);
}

/* ---- a daemon that is killed ---- */

static void restart(Scene *s) {
        sim_daemon_kill(s->m);
        scene_start(s);
}

/* Before, or after, the verb had its effect: the gate asks again, and is answered. */
static void test_killed_in_verb(void) {
        static const char *const policies[] = { "VirtualMachine=pause", "VirtualMachine=shutdown" };

        for (size_t i = 0; i < G_N_ELEMENTS(policies); i++) {
                g_autoptr(Scene) s = sleep_scene(policies[i]);
                g_autoptr(Gate) lost = NULL, again = NULL;
                const char *verb = i == 0 ? "pause" : "shutdown";
                pid_t vm = vm_opens(s);

                vm_can("restart");
                (void) sim_command(s->m, "unit gpuptd-sleep.service active oneshot remain");
                vm_behaves(verb, "hang");
                lost = gate_call(s, "PrepareSleep");
                vm_wait_asked(s, verb);
                sim_daemon_kill(s->m);
                g_assert_cmpstr(gate_wait(lost), ==, "NoReply");
                scene_start(s);
                again = gate_call(s, "PrepareSleep");
                sim_wait_property(s->m, GPUPT_OBJECT_PATH, GPUPT_MANAGER_INTERFACE, "Sleeping", "true");
                vm_goes_on(verb);
                g_assert_cmpstr(gate_wait(again), ==, "");
                g_assert_cmpstr(vm_state(s), ==, i == 0 ? "paused" : "off");
                g_assert_cmpstr(gate(s, "FinishSleep"), ==, "");
                g_assert_cmpstr(vm_state(s), ==, "running");
                g_assert_cmpstr(last_sleep(s, "result"), ==, "done");
                if (i == 0)
                        sim_let_go(s->m, vm);
                assert_detached(s);
        }
}

/* What the last daemon left is read before systemd1 has said whether the host still sleeps: until then nothing goes on, and
 * nothing counts as done. Without an answer the sleep is called off, and what was begun is waited for. */
static void test_killed_gate_unknown(void) {
        g_autoptr(Scene) s = sleep_scene("VirtualMachine=pause");
        g_autoptr(SimRecorder) signals = NULL;
        g_autoptr(Gate) lost = NULL;
        pid_t vm = vm_opens(s);
        const char *job;

        (void) sim_command(s->m, "unit gpuptd-sleep.service active oneshot remain");
        vm_behaves("pause", "hang");
        lost = gate_call(s, "PrepareSleep");
        vm_wait_asked(s, "pause");
        sim_daemon_kill(s->m);
        g_assert_cmpstr(gate_wait(lost), ==, "NoReply");
        (void) sim_command(s->m, "systemd1 silent");
        signals = sim_recorder_new(s->m);
        scene_start(s);
        g_assert_cmpstr(last_sleep(s, "result"), ==, "undoing");
        g_assert_cmpint(sd_bus_message_read(sim_recorder_wait(signals, "JobNew"), "uo", NULL, &job), >=, 0);
        (void) sim_command(s->m, "systemd1 back");
        sim_wait_property(s->m, job, GPUPT_JOB_INTERFACE, "Description", "win10: wait for the end of what was begun (pause)");
        vm_goes_on("pause");
        g_assert_cmpstr(host_job_end(s, signals), ==, "cancelled Cancelled");
        g_assert_cmpstr(vm_log(s), ==, "pause resume");
        g_assert_cmpstr(vm_state(s), ==, "running");
        sim_let_go(s->m, vm);
        assert_detached(s);
}

/* The gate asks a daemon that has not looked at its GPUs yet, and that has slept before in another life: it waits, and is answered. */
static void test_early_gate(void) {
        g_autoptr(Scene) s = sleep_scene("VirtualMachine=pause");
        g_autoptr(Gate) prepare = NULL;
        pid_t vm = vm_opens(s);
        unsigned fault;

        assert_next_sleep(s);
        g_assert_cmpstr(vm_log(s), ==, "pause resume");
        sim_daemon_kill(s->m);
        fault = sim_fault(s->m, CARD, "read:class", "hang");
        scene_start(s); /* it is ready after a while all the same */
        prepare = gate_call(s, "PrepareSleep");
        sim_wait_property(s->m, GPUPT_OBJECT_PATH, GPUPT_MANAGER_INTERFACE, "Sleeping", "true");
        g_assert_false(prepare->answered);
        sim_fault_release(s->m, fault);
        g_assert_cmpstr(gate_wait(prepare), ==, "");
        g_assert_cmpstr(vm_log(s), ==, "pause");
        g_assert_cmpstr(gate(s, "FinishSleep"), ==, "");
        g_assert_cmpstr(vm_log(s), ==, "resume");
        sim_let_go(s->m, vm);
        assert_detached(s);
}

/* While the host sleeps: it stays prepared as long as somebody says that the host does; and takes it back where
 * nobody does. */
static void test_killed_prepared(void) {
        static const bool open[] = { true, false };

        for (size_t i = 0; i < G_N_ELEMENTS(open); i++) {
                g_autoptr(Scene) s = sleep_scene("VirtualMachine=shutdown\nGpu=unbind");
                g_autoptr(SimRecorder) signals = NULL;

                (void) vm_opens(s);
                vm_can("restart");
                if (open[i])
                        (void) sim_command(s->m, "unit gpuptd-sleep.service active oneshot remain");
                g_assert_cmpstr(gate(s, "PrepareSleep"), ==, "");
                sim_daemon_kill(s->m);
                signals = sim_recorder_new(s->m);
                scene_start(s);
                if (open[i]) {
                        assert_drivers(s, "", CARD, AUDIO, NULL);
                        g_assert_cmpstr(last_sleep(s, "result"), ==, "prepared");
                        g_assert_cmpstr(gate(s, "FinishSleep"), ==, "");
                }
                g_assert_cmpstr(host_job_end(s, signals), ==, "done");
                g_assert_cmpstr(vm_log(s), ==, "shutdown start");
                assert_detached(s);
                g_assert_false(g_file_test("/var/lib/gpuptd/sleep", G_FILE_TEST_EXISTS));
        }
}

/* On the way back, in the middle of a bind, or of the VM's start. */
static void test_killed_resuming(void) {
        for (unsigned i = 0; i < 2; i++) {
                g_autoptr(Scene) s = sleep_scene("VirtualMachine=shutdown\nGpu=unbind");
                g_autoptr(SimRecorder) signals = NULL;
                g_autoptr(Gate) finish = NULL;
                unsigned fault = 0;

                (void) vm_opens(s);
                vm_can("restart");
                g_assert_cmpstr(gate(s, "PrepareSleep"), ==, "");
                if (i == 0)
                        fault = sim_fault(s->m, CARD, "bind", "hang");
                else
                        vm_behaves("start", "hang");
                finish = gate_call(s, "FinishSleep");
                if (i == 0)
                        sim_fault_wait(s->m, fault);
                else
                        vm_wait_asked(s, "start");
                sim_daemon_kill(s->m);
                if (i == 0)
                        sim_fault_release(s->m, fault);
                else
                        vm_goes_on("start");
                signals = sim_recorder_new(s->m);
                scene_start(s);
                g_assert_cmpstr(host_job_end(s, signals), ==, "done");
                g_assert_cmpstr(vm_state(s), ==, "running");
                assert_detached(s);
                assert_next_sleep(s);
        }
}

/* ---- a host that was started anew ---- */

/* The VM that was off is started; driver and power values of the boot before are nobody's. */
static void test_power_lost(void) {
        g_autoptr(Scene) s = sleep_scene("VirtualMachine=shutdown\nGpu=unbind");
        g_autoptr(SimRecorder) signals = NULL;
        g_autofree char *text = NULL;
        char *boot;

        (void) vm_opens(s);
        vm_can("restart");
        g_assert_cmpstr(gate(s, "PrepareSleep"), ==, "");
        sim_daemon_kill(s->m);
        g_assert_true(g_file_get_contents("/var/lib/gpuptd/sleep", &text, NULL, NULL));
        boot = strstr(text, "boot ");
        g_assert_nonnull(boot);
        boot[5] = boot[5] == '0' ? '1' : '0';
        put_file("/var/lib/gpuptd/sleep", text);
        signals = sim_recorder_new(s->m);
        scene_start(s);
        g_assert_cmpstr(host_job_end(s, signals), ==, "done");
        g_assert_cmpstr(vm_log(s), ==, "shutdown start");
        assert_drivers(s, "", CARD, AUDIO, NULL);
        g_assert_false(g_file_test("/var/lib/gpuptd/sleep", G_FILE_TEST_EXISTS));
        restart(s);
        g_assert_cmpstr(last_sleep(s, "result"), ==, "done");
}

/* Whatever is in the file, the daemon lives, keeps it, and does nothing by it. */
static void test_alien_record(void) {
        static const char *const texts[] = { "", "gpuptd-sleep 1\n", "gpuptd-sleep 7\nend\n",
                                             "gpuptd-sleep 1\ncycle 1 1\nend\n", "\xff\xfe" };

        for (size_t i = 0; i < G_N_ELEMENTS(texts); i++) {
                g_autoptr(Scene) s = scene_new_without_daemon("desktop");

                put_file("/var/lib/gpuptd/sleep", texts[i]);
                scene_start(s);
                g_assert_cmpstr(last_sleep(s, ""), ==, "{}");
                g_assert_true(g_file_test("/var/lib/gpuptd/sleep.unreadable", G_FILE_TEST_EXISTS));
                assert_has(sim_daemon_log(s->m), "not readable");
                assert_next_sleep(s);
        }
}

int main(int argc, char *argv[]) {
        sim_init(&argc, &argv);
        g_test_add_func("/sleep-faults/vm-late", test_vm_late);
        g_test_add_func("/sleep-faults/vm-never", test_vm_never);
        g_test_add_func("/sleep-faults/vm-dies", test_vm_dies);
        g_test_add_func("/sleep-faults/vm-runs-already", test_vm_runs_already);
        g_test_add_func("/sleep-faults/card-gone", test_card_gone);
        g_test_add_func("/sleep-faults/card-dead", test_card_dead);
        g_test_add_func("/sleep-faults/card-unbound", test_card_unbound);
        g_test_add_func("/sleep-faults/card-exchanged", test_card_exchanged);
        g_test_add_func("/sleep-faults/write-hangs", test_write_hangs);
        g_test_add_func("/sleep-faults/unreachable", test_unreachable);
        g_test_add_func("/sleep-faults/job-runs", test_job_runs);
        g_test_add_func("/sleep-faults/killed-in-verb", test_killed_in_verb);
        g_test_add_func("/sleep-faults/killed-gate-unknown", test_killed_gate_unknown);
        g_test_add_func("/sleep-faults/early-gate", test_early_gate);
        g_test_add_func("/sleep-faults/killed-prepared", test_killed_prepared);
        g_test_add_func("/sleep-faults/killed-resuming", test_killed_resuming);
        g_test_add_func("/sleep-faults/power-lost", test_power_lost);
        g_test_add_func("/sleep-faults/alien-record", test_alien_record);
        return g_test_run();
}
