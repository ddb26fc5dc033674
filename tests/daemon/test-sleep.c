/* SPDX-License-Identifier: GPL-2.0-or-later */

/* test-sleep: the host sleeps and wakes with a card that is with VFIO: doors, policies of VMs and cards, vetoes,
 * and that the end of one sleep is not taken for the end of another. What befalls it on the way is in
 * test-sleep-faults. */

#include "sleep-fixture.h"

#include <errno.h>
#include <sys/stat.h>

static void assert_detached(Scene *s) {
        wait_state(s, CARD, "detached");
        assert_drivers(s, "vfio-pci", CARD, AUDIO, NULL);
}

/* ---- nothing to be done ---- */

/* With nothing detached a sleep is nobody's business; and logind waits for us again the next time. */
static void test_nothing(void) {
        g_autoptr(Scene) s = scene_new("desktop", NULL);
        g_autoptr(SimRecorder) signals = sim_recorder_new(s->m);

        g_assert_cmpstr(last_sleep(s, ""), ==, "{}");
        for (unsigned i = 0; i < 3; i++) {
                g_assert_true(sim_suspend(s->m));
                g_assert_cmpstr(host_job_end(s, signals), ==, "done");
                g_assert_cmpstr(host_job_end(s, signals), ==, "done");
                g_assert_cmpstr(last_sleep(s, "result"), ==, "done");
                (void) sim_command(s->m, "wait-inhibitors sleep delay 1");
        }
        assert_as_at_first(s);
}

/* The job of the host is shown as one: its path, its operation, its GPU is the host. */
static void test_job(void) {
        g_autoptr(Scene) s = sleep_scene("VirtualMachine=pause");
        g_autoptr(SimRecorder) signals = NULL;
        g_autoptr(Gate) g = NULL;
        const char *path;
        pid_t vm = vm_opens(s);

        signals = sim_recorder_new(s->m);
        vm_behaves("pause", "hang");
        g = gate_call(s, "PrepareSleep");
        path = job_next(s, signals);
        vm_wait_asked(s, "pause");
        g_assert_cmpstr(job_property(s, path, "Gpu"), ==, GPUPT_OBJECT_PATH);
        g_assert_cmpstr(job_property(s, path, "Operation"), ==, "sleep");
        g_assert_cmpstr(job_property(s, path, "State"), ==, "running");
        g_assert_cmpstr(job_property(s, path, "Cancellable"), ==, "false");
        g_assert_cmpstr(job_call(s, path, "Cancel", NULL, ""), ==, GPUPT_ERROR_NOT_SUPPORTED);
        g_assert_cmpstr(sim_get_property(s->m, GPUPT_OBJECT_PATH, GPUPT_MANAGER_INTERFACE, "Sleeping"), ==, "true");
        assert_end(s, attach(s, CARD, ""), "refused", "SleepInProgress");
        assert_alive(s);
        vm_goes_on("pause");
        g_assert_cmpstr(gate_wait(g), ==, "");
        g_assert_cmpstr(host_job_end(s, signals), ==, "done");
        g_assert_cmpstr(gate(s, "FinishSleep"), ==, "");
        g_assert_cmpstr(host_job_end(s, signals), ==, "done");
        g_assert_cmpstr(vm_log(s), ==, "pause resume");
        sim_let_go(s->m, vm);
        assert_detached(s);
}

/* ---- policies of VMs ---- */

static void test_policies(void) {
        static const struct {
                const char *policy, *can, *log;
                bool ends;
        } rows[] = {
                { "VirtualMachine=ignore", "", "", false },
                { "VirtualMachine=pause", "", "pause resume", false },
                { "VirtualMachine=suspend", "s3", "suspend wake", false },
                { "VirtualMachine=hibernate", "s4 restart", "hibernate start", true },
                { "VirtualMachine=shutdown", "restart", "shutdown start", true },
                { "", "s3 s4 restart", "hibernate start", true },
                { "", "s3 restart", "suspend wake", false },
                { "", "s3 s4", "suspend wake", false },
                { "Restartable=yes", "restart", "shutdown start", true },
        };

        for (size_t i = 0; i < G_N_ELEMENTS(rows); i++) {
                g_autoptr(Scene) s = sleep_scene(rows[i].policy);
                g_autoptr(SimRecorder) signals = NULL;
                pid_t vm = vm_opens(s);

                g_test_message("%s with '%s'", rows[i].policy, rows[i].can);
                vm_can(rows[i].can);
                signals = sim_recorder_new(s->m);
                g_assert_true(sim_suspend(s->m));
                g_assert_cmpstr(host_job_end(s, signals), ==, "done");
                g_assert_cmpstr(host_job_end(s, signals), ==, "done");
                g_assert_cmpstr(vm_log(s), ==, rows[i].log);
                g_assert_cmpstr(vm_state(s), ==, "running");
                g_assert_cmpstr(last_sleep(s, "result"), ==, "done");
                if (rows[i].ends)
                        g_assert_cmpint(sim_wait_ended(s->m, vm), ==, SIGKILL);
                else
                        sim_let_go(s->m, vm);
                assert_detached(s);
        }
}

/* Why a sleep is refused; and that nothing is different after it. */
static void test_vetoes(void) {
        static const struct {
                const char *policy, *can, *state, *identify, *error, *reason;
        } rows[] = {
                { "VirtualMachine=inhibit", "", "running", "", "InUse", "VirtualMachine=inhibit" },
                { "", "", "running", "", "InUse", "Restartable=yes" },
                { "VirtualMachine=suspend", "s4", "running", "", "InUse", "in its memory" },
                { "VirtualMachine=hibernate", "s3", "running", "", "InUse", "on its disk" },
                { "", "s3 s4 restart", "paused", "", "InUse", "is paused" },
                { "", "s3 s4 restart", "crashed", "", "InUse", "does not work" },
                { "", "s3 s4 restart", "busy", "", "InUse", "saved or moved" },
                { "VirtualMachine=pause", "", "running", "fail", "InUse", "it says no" },
                { "VirtualMachine=pause", "", "running", "garbage", "InUse", "cannot be asked to sleep" },
        };

        for (size_t i = 0; i < G_N_ELEMENTS(rows); i++) {
                g_autoptr(Scene) s = sleep_scene(rows[i].policy);
                g_autoptr(SimRecorder) signals = NULL;
                g_autoptr(Gate) g = NULL;
                pid_t vm = vm_opens(s);
                const char *gpu, *reason;
                sd_bus_message *m;

                g_test_message("%s with '%s', %s", rows[i].policy, rows[i].can, rows[i].state);
                vm_can(rows[i].can);
                vm_says(rows[i].state);
                vm_behaves("identify", rows[i].identify);
                signals = sim_recorder_new(s->m);
                g = gate_call(s, "PrepareSleep");
                g_assert_cmpstr(gate_wait(g), ==, rows[i].error);
                assert_has(g->message, rows[i].reason);
                m = sim_recorder_wait(signals, "SleepVetoed");
                g_assert_cmpint(sd_bus_message_read(m, "ss", &gpu, &reason), >=, 0);
                g_assert_cmpstr(gpu, ==, CARD);
                g_assert_cmpstr(reason, ==, g->message);
                g_assert_true(g_str_has_prefix(host_job_end(s, signals), "rolled-back"));
                g_assert_cmpstr(last_sleep(s, "result"), ==, "vetoed");
                g_assert_cmpstr(vm_log(s), ==, "");
                g_assert_cmpstr(vm_state(s), ==, rows[i].state);
                g_assert_cmpstr(gate(s, "FinishSleep"), ==, "");
                wait_state(s, CARD, "assigned");

                /* And then nothing speaks against it. */
                vm_behaves("identify", "");
                sim_let_go(s->m, vm);
                assert_detached(s);
                g_assert_true(sim_suspend(s->m));
                g_assert_cmpstr(host_job_end(s, signals), ==, "done");
                g_assert_cmpstr(host_job_end(s, signals), ==, "done");
                assert_detached(s);
        }
}

static void test_continue(void) {
        g_autoptr(Scene) s = sleep_scene("OnError=continue");
        pid_t vm = vm_opens(s);

        g_assert_cmpstr(gate(s, "PrepareSleep"), ==, "");
        g_assert_cmpstr(gate(s, "FinishSleep"), ==, "");
        g_assert_cmpstr(vm_log(s), ==, "");
        sim_let_go(s->m, vm);
        assert_detached(s);
}

/* The lock is there as long as the VM has the card. */
static void test_inhibit(void) {
        g_autoptr(Scene) s = sleep_scene("VirtualMachine=inhibit");
        const char *text;
        pid_t vm;

        (void) sim_command(s->m, "wait-inhibitors sleep block 0");
        vm = vm_opens(s);
        (void) sim_command(s->m, "wait-inhibitors sleep block 1");
        g_assert_cmpint(sim_try_command(s->m, &text, "suspend"), ==, -EBUSY);
        sim_let_go(s->m, vm);
        (void) sim_command(s->m, "wait-inhibitors sleep block 0");
        g_assert_true(sim_suspend(s->m));
}

/* A verb that is accepted and not done is no success: the adapter looks, and so does the way back. */
static void test_failing_verb(void) {
        static const char *const behaviours[] = { "fail", "garbage" };

        for (size_t i = 0; i < G_N_ELEMENTS(behaviours); i++) {
                g_autoptr(Scene) s = sleep_scene("VirtualMachine=pause");
                pid_t vm = vm_opens(s);

                vm_behaves("pause", behaviours[i]);
                g_assert_cmpstr(gate(s, "PrepareSleep"), ==, "Failed");
                g_assert_cmpstr(vm_log(s), ==, "pause");
                g_assert_cmpstr(gate(s, "FinishSleep"), ==, "");
                vm_behaves("pause", "");
                g_assert_cmpstr(gate(s, "PrepareSleep"), ==, "");
                g_assert_cmpstr(gate(s, "FinishSleep"), ==, "");
                g_assert_cmpstr(vm_log(s), ==, "pause resume");
                sim_let_go(s->m, vm);
                assert_detached(s);
        }
}

/* Two processes on two cards are one VM, if its adapter says so: it is asked once, by the stricter policy, and
 * resumed when both cards are well. */
static void test_two_cards(void) {
        g_autoptr(Scene) s = sleep_scene("VirtualMachine=ignore");
        pid_t first, second;

        put_file("/etc/gpuptd/other.gpu", "[Match]\nAddress=" OTHER "\n[Sleep]\nVirtualMachine=pause\n");
        g_assert_cmpstr(manager_call(s, "Reload", NULL, ""), ==, "");
        assert_end(s, detach(s, OTHER, "disrupt-session"), "done", "");
        first = vm_opens(s);
        second = vm_start(s, "win10", "/dev/vfio/16");
        wait_state(s, OTHER, "assigned");
        /* Whom nobody asks is not known to be the same: the policies of both have to ask. */
        put_file("/etc/gpuptd/card.gpu", "[Match]\nAddress=" CARD "\n[Sleep]\nVirtualMachine=suspend\n");
        g_assert_cmpstr(manager_call(s, "Reload", NULL, ""), ==, "");
        vm_can("s3");
        g_assert_cmpstr(gate(s, "PrepareSleep"), ==, "");
        g_assert_cmpstr(vm_log(s), ==, "suspend");
        assert_has(last_sleep(s, ""), OTHER " ");
        g_assert_cmpstr(gate(s, "FinishSleep"), ==, "");
        g_assert_cmpstr(vm_log(s), ==, "wake");
        sim_let_go(s->m, first);
        sim_let_go(s->m, second);
}

/* A process of the VM is known late, and its card's policy is the stricter one: that the host sleeps all the same,
 * which was decided before, does not stand. */
static void test_known_late(void) {
        g_autoptr(Scene) s = sleep_scene("VirtualMachine=suspend\nOnError=continue");
        g_autofree char *identify = NULL;
        g_autoptr(Gate) g = NULL;
        pid_t first, second;

        put_file("/etc/gpuptd/other.gpu", "[Match]\nAddress=" OTHER "\n[Sleep]\nVirtualMachine=pause\n");
        g_assert_cmpstr(manager_call(s, "Reload", NULL, ""), ==, "");
        assert_end(s, detach(s, OTHER, "disrupt-session"), "done", "");
        first = vm_opens(s);
        second = vm_start(s, "win10", "/dev/vfio/16");
        wait_state(s, OTHER, "assigned");
        identify = g_strdup_printf("identify-%d", (int) second);
        vm_behaves(identify, "hang");
        g = gate_call(s, "PrepareSleep");
        vm_wait_asked(s, identify);
        wait_log(s, "It is overruled");
        vm_goes_on(identify);
        g_assert_cmpstr(gate_wait(g), ==, "InUse");
        assert_has(g->message, "in its memory");
        g_assert_cmpstr(gate(s, "FinishSleep"), ==, "");
        g_assert_cmpstr(vm_log(s), ==, "");
        sim_let_go(s->m, first);
        sim_let_go(s->m, second);
}

/* Nobody is touched as long as anybody may say no. */
static void test_decided_before_touched(void) {
        g_autoptr(Scene) s = sleep_scene("VirtualMachine=pause");
        g_autoptr(Gate) g = NULL;
        pid_t first, second;

        put_file("/etc/gpuptd/other.gpu", "[Match]\nAddress=" OTHER "\n[Sleep]\nVirtualMachine=inhibit\n");
        g_assert_cmpstr(manager_call(s, "Reload", NULL, ""), ==, "");
        assert_end(s, detach(s, OTHER, "disrupt-session"), "done", "");
        first = vm_opens(s);
        second = vm_start(s, "other", "/dev/vfio/16");
        wait_state(s, OTHER, "assigned");
        g = gate_call(s, "PrepareSleep");
        g_assert_cmpstr(gate_wait(g), ==, "InUse");
        assert_has(g->message, "inhibit");
        g_assert_cmpstr(gate(s, "FinishSleep"), ==, "");
        g_assert_cmpstr(vm_log(s), ==, "");
        sim_let_go(s->m, first);
        sim_let_go(s->m, second);
}

/* ---- policies of cards ---- */

static void test_cards(void) {
        static const struct {
                const char *policy, *state, *driver;
        } rows[] = {
                { "Gpu=keep", "detached", "vfio-pci" },
                { "Gpu=unbind", "partial", "" },
                { "Gpu=host", "host", "nouveau" },
                { "Gpu=remove", "absent", NULL },
        };

        for (size_t i = 0; i < G_N_ELEMENTS(rows); i++) {
                g_autoptr(Scene) s = sleep_scene(rows[i].policy);
                g_autofree char *before = g_strdup(sim_dump(s->m));

                g_test_message("%s", rows[i].policy);
                g_assert_cmpstr(gate(s, "PrepareSleep"), ==, "");
                if (rows[i].driver)
                        assert_drivers(s, rows[i].driver, CARD, NULL);
                else
                        g_assert_false(sim_exists(s->m, "bus/pci/devices/" CARD));
                g_assert_cmpstr(gate(s, "FinishSleep"), ==, "");
                g_assert_cmpstr(last_sleep(s, "result"), ==, "done");
                assert_detached(s);
                assert_end(s, attach(s, CARD, ""), "done", "");
                assert_as_at_first(s);
        }
}

/* A VM that was shut down lets go of its card, which then goes where it is to be; one that is paused does not. */
static void test_card_after_vm(void) {
        static const struct {
                const char *policy, *driver;
        } rows[] = {
                { "VirtualMachine=shutdown\nGpu=unbind", "" },
                { "VirtualMachine=pause\nGpu=unbind", "vfio-pci" },
        };

        for (size_t i = 0; i < G_N_ELEMENTS(rows); i++) {
                g_autoptr(Scene) s = sleep_scene(rows[i].policy);
                pid_t vm = vm_opens(s);

                vm_can("restart");
                g_assert_cmpstr(gate(s, "PrepareSleep"), ==, "");
                assert_drivers(s, rows[i].driver, CARD, AUDIO, NULL);
                g_assert_cmpstr(gate(s, "FinishSleep"), ==, "");
                g_assert_cmpstr(last_sleep(s, "result"), ==, "done");
                assert_drivers(s, "vfio-pci", CARD, AUDIO, NULL);
                g_assert_cmpstr(vm_state(s), ==, "running");
                if (i > 0)
                        sim_let_go(s->m, vm);
        }
}

/* ---- doors ---- */

static sd_bus *login1(Scene *s) {
        return sim_bus(s->m);
}

static void suspend(Scene *s) {
        g_assert_cmpint(sd_bus_call_method(login1(s), "org.freedesktop.login1", "/org/freedesktop/login1",
                                           "org.freedesktop.login1.Manager", "Suspend", NULL, NULL, "b", false),
                        >=, 0);
}

/* logind has announced it, all is prepared, and the host does not wake until the fault is released. */
static unsigned fall_asleep(Scene *s, SimRecorder *signals) {
        unsigned sleep = sim_fault(s->m, "login1", "sleep", "hang");

        suspend(s);
        sim_fault_wait(s->m, sleep);
        g_assert_cmpstr(host_job_end(s, signals), ==, "done");
        return sleep;
}

/* Both doors are one sleep, whichever is opened first. */
static void test_both_doors(void) {
        g_autoptr(Scene) s = sleep_scene("VirtualMachine=pause");
        g_autoptr(SimRecorder) signals = NULL;
        unsigned sleep;
        pid_t vm = vm_opens(s);

        signals = sim_recorder_new(s->m);
        sleep = fall_asleep(s, signals);
        g_assert_cmpstr(gate(s, "PrepareSleep"), ==, "");
        g_assert_cmpstr(vm_log(s), ==, "pause");
        assert_has(last_sleep(s, ""), "logind gate");
        g_assert_cmpstr(gate(s, "FinishSleep"), ==, "");
        g_assert_cmpstr(vm_log(s), ==, "resume");
        g_assert_cmpstr(host_job_end(s, signals), ==, "done");
        /* The other door closes later, and ends nothing. */
        sim_fault_release(s->m, sleep);
        sim_wait_property(s->m, GPUPT_OBJECT_PATH, GPUPT_MANAGER_INTERFACE, "Sleeping", "false");
        g_assert_cmpstr(vm_log(s), ==, "");
        g_assert_true(sim_suspend(s->m));
        g_assert_cmpstr(host_job_end(s, signals), ==, "done");
        g_assert_cmpstr(host_job_end(s, signals), ==, "done");
        g_assert_cmpstr(vm_log(s), ==, "pause resume");
        sim_let_go(s->m, vm);
}

/* The end of the sleep before comes when the next one has been prepared. */
static void test_late_finish(void) {
        g_autoptr(Scene) s = sleep_scene("VirtualMachine=pause");
        g_autoptr(SimRecorder) signals = NULL;
        unsigned sleep;
        pid_t vm = vm_opens(s);

        signals = sim_recorder_new(s->m);
        sleep = fall_asleep(s, signals);
        g_assert_cmpstr(gate(s, "PrepareSleep"), ==, "");
        sim_fault_release(s->m, sleep);
        g_assert_cmpstr(host_job_end(s, signals), ==, "done");
        g_assert_cmpstr(vm_log(s), ==, "pause resume");

        sleep = fall_asleep(s, signals);
        g_assert_cmpstr(gate(s, "FinishSleep"), ==, "");
        g_assert_cmpstr(vm_log(s), ==, "pause");
        g_assert_cmpstr(last_sleep(s, "result"), ==, "prepared");
        sim_fault_release(s->m, sleep);
        g_assert_cmpstr(host_job_end(s, signals), ==, "done");
        g_assert_cmpstr(vm_log(s), ==, "resume");
        sim_let_go(s->m, vm);
}

/* It is called off before it was ready: the gate is told, and all is taken back. */
static void test_called_off(void) {
        g_autoptr(Scene) s = sleep_scene("VirtualMachine=pause");
        g_autoptr(SimRecorder) signals = NULL;
        g_autoptr(Gate) prepare = NULL, finish = NULL;
        pid_t vm = vm_opens(s);

        signals = sim_recorder_new(s->m);
        vm_behaves("pause", "hang");
        prepare = gate_call(s, "PrepareSleep");
        vm_wait_asked(s, "pause");
        finish = gate_call(s, "FinishSleep");
        sim_wait_property(s->m, GPUPT_OBJECT_PATH, GPUPT_MANAGER_INTERFACE, "Sleeping", "true");
        vm_goes_on("pause");
        g_assert_cmpstr(gate_wait(prepare), ==, "Cancelled");
        g_assert_cmpstr(gate_wait(finish), ==, "");
        g_assert_cmpstr(host_job_end(s, signals), ==, "cancelled Cancelled");
        g_assert_cmpstr(vm_log(s), ==, "pause resume");
        sim_let_go(s->m, vm);
        assert_detached(s);
}

static void test_gate_off(void) {
        g_autoptr(Scene) s = NULL;
        pid_t vm;

        s = sleep_scene("VirtualMachine=inhibit");
        vm = vm_opens(s);
        put_file("/etc/gpuptd/gpuptd.conf", "[Sleep]\nGate=no\n");
        g_assert_cmpstr(manager_call(s, "Reload", NULL, ""), ==, "");
        g_assert_cmpstr(gate(s, "PrepareSleep"), ==, "");
        g_assert_cmpstr(gate(s, "FinishSleep"), ==, "");
        sim_let_go(s->m, vm);
}

/* The unit that ships, as far as the simulated systemd knows such units: it ends what it has begun also where
 * its start failed. */
static void install_gate(Scene *s) {
        g_autofree char *start =
                                g_strdup_printf("#!/bin/sh\n%s sleep prepare || { r=$?; %s sleep finish; exit $r; }\n",
                                                getenv("GPUPTCTL"), getenv("GPUPTCTL")),
                        *stop = g_strdup_printf("#!/bin/sh\nexec %s sleep finish\n", getenv("GPUPTCTL"));

        put_file("/run/gate-start", start);
        put_file("/run/gate-stop", stop);
        g_assert_cmpint(chmod("/run/gate-start", 0755), ==, 0);
        g_assert_cmpint(chmod("/run/gate-stop", 0755), ==, 0);
        sim_unit_set(s->m, "gpuptd-sleep.service", "oneshot remain start=/run/gate-start stop=/run/gate-stop");
}

/* A whole cycle through both doors; a veto; and the next one right after it. */
static void test_gate_unit(void) {
        g_autoptr(Scene) s = sleep_scene("VirtualMachine=suspend");
        pid_t vm = vm_opens(s);

        install_gate(s);
        g_assert_false(sim_suspend(s->m));
        g_assert_cmpstr(last_sleep(s, "result"), ==, "vetoed");
        g_assert_cmpstr(vm_log(s), ==, "");
        (void) sim_command(s->m, "wait-inhibitors sleep delay 1");
        vm_can("s3");
        for (unsigned i = 0; i < 3; i++) {
                g_autoptr(SimRecorder) signals = sim_recorder_new(s->m);

                g_assert_true(sim_suspend(s->m));
                g_assert_cmpstr(host_job_end(s, signals), ==, "done");
                g_assert_cmpstr(host_job_end(s, signals), ==, "done");
                g_assert_cmpstr(vm_log(s), ==, "suspend wake");
                g_assert_cmpstr(last_sleep(s, "result"), ==, "done");
                (void) sim_command(s->m, "wait-unit gpuptd-sleep.service inactive");
                (void) sim_command(s->m, "wait-inhibitors sleep delay 1");
        }
        sim_let_go(s->m, vm);
}

/* It takes longer than logind waits: the gate holds the host. */
static void test_gate_holds(void) {
        g_autoptr(Scene) s = sleep_scene("VirtualMachine=suspend");
        unsigned sleep = sim_fault(s->m, "login1", "sleep", "hang");
        pid_t vm = vm_opens(s);

        install_gate(s);
        vm_can("s3");
        vm_behaves("suspend", "hang");
        (void) sim_command(s->m, "login1 delay=200");
        suspend(s);
        vm_wait_asked(s, "suspend");
        (void) sim_command(s->m, "wait-unit gpuptd-sleep.service activating");
        assert_alive(s);
        g_assert_cmpstr(last_sleep(s, "result"), ==, "preparing");
        vm_goes_on("suspend");
        sim_fault_wait(s->m, sleep);
        g_assert_cmpstr(last_sleep(s, "result"), ==, "prepared");
        g_assert_cmpstr(vm_state(s), ==, "suspended");
        sim_fault_release(s->m, sleep);
        sim_wait_property(s->m, GPUPT_OBJECT_PATH, GPUPT_MANAGER_INTERFACE, "Sleeping", "false");
        g_assert_cmpstr(vm_state(s), ==, "running");
        sim_let_go(s->m, vm);
}

/* A daemon that is not there keeps nobody awake: exit status 7, which the unit takes for success. */
static void test_no_daemon(void) {
        g_autoptr(Scene) s = sleep_scene("VirtualMachine=inhibit");
        g_autofree char *start = g_strdup_printf("#!/bin/sh\n%s sleep prepare; [ $? = 7 ]\n", getenv("GPUPTCTL"));
        pid_t vm = vm_opens(s);

        put_file("/run/gate-start", start);
        g_assert_cmpint(chmod("/run/gate-start", 0755), ==, 0);
        sim_unit_set(s->m, "gpuptd-sleep.service", "oneshot remain start=/run/gate-start");
        sim_daemon_kill(s->m);
        g_assert_true(sim_suspend(s->m));
        sim_let_go(s->m, vm);
}

/* ---- lid and battery ---- */

/* A veto with the lid closed keeps logind from trying again for ever; on battery the VM goes down, in good or in
 * evil. */
static void test_lid(void) {
        static const struct {
                const char *policy, *situation, *log;
                bool hangs, vetoed;
        } rows[] = {
                { "", "login1 lid=closed", "", false, true },
                { "LidClosed=continue", "login1 lid=closed", "", false, false },
                { "LidClosed=shutdown", "login1 lid=closed", "shutdown start", false, false },
                { "TimeoutSec=5", "login1 power=battery", "shutdown kill start", true, false },
                { "VirtualMachine=inhibit", "upower level=5", "shutdown start", false, false },
        };

        for (size_t i = 0; i < G_N_ELEMENTS(rows); i++) {
                g_autoptr(Scene) s = sleep_scene(rows[i].policy);
                pid_t vm = vm_opens(s);

                g_test_message("%s, %s", rows[i].policy, rows[i].situation);
                (void) sim_command(s->m, "login1 lid=closed");
                (void) sim_command(s->m, "%s", rows[i].situation);
                if (rows[i].hangs)
                        vm_behaves("shutdown", "hang");
                if (rows[i].hangs) {
                        g_autoptr(Gate) g = gate_call(s, "PrepareSleep");

                        vm_wait_asked(s, "shutdown");
                        g_assert_cmpstr(gate_wait(g), ==, "");
                } else
                        g_assert_cmpstr(gate(s, "PrepareSleep"), ==, rows[i].vetoed ? "InUse" : "");
                (void) sim_command(s->m, "wait-inhibitors handle-lid-switch block %u", rows[i].vetoed);
                g_assert_cmpstr(gate(s, "FinishSleep"), ==, "");
                g_assert_cmpstr(vm_log(s), ==, rows[i].log);
                g_assert_cmpstr(vm_state(s), ==, "running");
                if (!*rows[i].log)
                        sim_let_go(s->m, vm);
                assert_detached(s);
                (void) sim_command(s->m, "wait-inhibitors handle-lid-switch block 0");
        }
}

static void test_callers(void) {
        g_autoptr(Scene) s = scene_new("desktop", NULL);

        g_assert_cmpstr(manager_call(s, "PrepareSleep", NULL, "s", "nap"), ==, SD_BUS_ERROR_INVALID_ARGS);
        g_assert_cmpstr(manager_call(s, "FinishSleep", NULL, ""), ==, "");
        if (!scene_be_user(s))
                return;
        g_assert_cmpstr(manager_call(s, "PrepareSleep", NULL, "s", ""), ==, SD_BUS_ERROR_ACCESS_DENIED);
        g_assert_cmpstr(manager_call(s, "FinishSleep", NULL, ""), ==, SD_BUS_ERROR_ACCESS_DENIED);
}

/* What the kernel said from the announcement to the end, as far as it is about it. */
static void test_evidence(void) {
        g_autoptr(Scene) s = sleep_scene("");
        const char *report;

        (void) sim_command(s->m, "kernel-log 'PM: long before'");
        g_assert_cmpstr(gate(s, "PrepareSleep"), ==, "");
        (void) sim_command(s->m, "kernel-log 'PM: suspend entry (deep)'");
        (void) sim_command(
                s->m,
                "kernel-log 'Freezing user space processes failed after 20 seconds (1 tasks refusing to freeze)'");
        (void) sim_command(s->m, "kernel-log " CARD
                                 " 'Unable to change power state from D3cold to D0, device inaccessible'");
        (void) sim_command(s->m, "kernel-log 'usb 1-1: new high-speed USB device'");
        g_assert_cmpstr(gate(s, "FinishSleep"), ==, "");
        report = last_sleep(s, "");
        assert_has(report, "suspend entry (deep)");
        assert_has(report, "refusing to freeze");
        assert_has(report, "Unable to change power state");
        g_assert_null(strstr(report, "long before"));
        g_assert_null(strstr(report, "usb 1-1"));

        /* And another daemon, in another life, still knows. */
        sim_daemon_kill(s->m);
        scene_start(s);
        assert_has(last_sleep(s, ""), "suspend entry (deep)");
}

/* The hook of the VM's manager, which the VM's own stop and start call, joins. */
static void test_hook(void) {
        g_autoptr(Scene) s = sleep_scene("VirtualMachine=shutdown");
        g_autoptr(Gate) prepare = NULL, finish = NULL;
        const char *path = gpu_path(s, CARD);

        (void) vm_opens(s);
        vm_can("restart");
        vm_behaves("shutdown", "hang");
        prepare = gate_call(s, "PrepareSleep");
        vm_wait_asked(s, "shutdown");
        g_assert_cmpstr(call_error(s, path, GPUPT_GPU_INTERFACE, "VmPhase", NULL, "sssa{sv}", "libvirt", "win10",
                                   "pre-stop", 0),
                        ==, "");
        vm_goes_on("shutdown");
        g_assert_cmpstr(gate_wait(prepare), ==, "");
        g_assert_cmpstr(call_error(s, path, GPUPT_GPU_INTERFACE, "VmPhase", NULL, "sssa{sv}", "libvirt", "win10",
                                   "post-stop", 0),
                        ==, "");
        vm_behaves("start", "hang");
        finish = gate_call(s, "FinishSleep");
        vm_wait_asked(s, "start");
        g_assert_cmpstr(call_error(s, path, GPUPT_GPU_INTERFACE, "VmPhase", NULL, "sssa{sv}", "libvirt", "win10",
                                   "pre-start", 0),
                        ==, "");
        assert_end(s, detach(s, CARD, ""), "done", "");
        vm_goes_on("start");
        g_assert_cmpstr(gate_wait(finish), ==, "");
        g_assert_cmpstr(vm_log(s), ==, "shutdown start");
        assert_detached(s);
}

int main(int argc, char *argv[]) {
        sim_init(&argc, &argv);
        g_test_add_func("/sleep/nothing", test_nothing);
        g_test_add_func("/sleep/job", test_job);
        g_test_add_func("/sleep/policies", test_policies);
        g_test_add_func("/sleep/vetoes", test_vetoes);
        g_test_add_func("/sleep/continue", test_continue);
        g_test_add_func("/sleep/inhibit", test_inhibit);
        g_test_add_func("/sleep/failing-verb", test_failing_verb);
        g_test_add_func("/sleep/two-cards", test_two_cards);
        g_test_add_func("/sleep/known-late", test_known_late);
        g_test_add_func("/sleep/decided-before-touched", test_decided_before_touched);
        g_test_add_func("/sleep/cards", test_cards);
        g_test_add_func("/sleep/card-after-vm", test_card_after_vm);
        g_test_add_func("/sleep/both-doors", test_both_doors);
        g_test_add_func("/sleep/late-finish", test_late_finish);
        g_test_add_func("/sleep/called-off", test_called_off);
        g_test_add_func("/sleep/gate-off", test_gate_off);
        g_test_add_func("/sleep/gate-unit", test_gate_unit);
        g_test_add_func("/sleep/gate-holds", test_gate_holds);
        g_test_add_func("/sleep/no-daemon", test_no_daemon);
        g_test_add_func("/sleep/lid", test_lid);
        g_test_add_func("/sleep/callers", test_callers);
        g_test_add_func("/sleep/evidence", test_evidence);
        g_test_add_func("/sleep/hook", test_hook);
        return g_test_run();
}
