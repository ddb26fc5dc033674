/* SPDX-License-Identifier: GPL-2.0-or-later */

/* test-hooks-sleep: what hooks are told of a sleep of the host, and when; that the first one may refuse it, and none can do more than that;
 * and that whoever was told of its beginning is told of its end, whatever comes between. */

#include "hook-fixture.h"
#include "sleep-fixture.h"

#include <signal.h>
#include <unistd.h>

#include "util/cleanup.h"

#define CONFIG "/etc/gpuptd/gpuptd.conf"
#define SOON "[Hooks]\nTimeoutSec=5\n"
#define LATE "[Hooks]\nTimeoutSec=10min\n"

#define THERE "10-a pre sleep, 20-b pre sleep, 10-a post sleep done, 20-b post sleep done"
#define BACK "10-a pre resume, 20-b pre resume, 10-a post resume done, 20-b post resume done"
#define CALLED_OFF "10-a pre resume, 20-b pre resume, 10-a post resume failed, 20-b post resume failed"

/* The card is with VFIO, a VM has it and is paused for a sleep, and the hooks come after that. */
static Scene *hooked_scene(const char *config, const char *policy, pid_t *ret_vm) {
        Scene *s;

        put_file(CONFIG, config);
        s = sleep_scene(policy);
        put_file(CONFIG, config);
        g_assert_cmpstr(manager_call(s, "Reload", NULL, ""), ==, "");
        if (ret_vm)
                *ret_vm = vm_opens(s);
        hook_put("10-a");
        hook_put("20-b");
        return s;
}

static void end_vm(Scene *s, pid_t vm) {
        sim_let_go(s->m, vm);
        wait_state(s, CARD, "detached");
        assert_drivers(s, "vfio-pci", CARD, AUDIO, NULL);
}

#define assert_log(s, expected) g_assert_cmpstr(hook_log(s), ==, expected)

/* ---- what they are told ---- */

/* Before anything is done to a VM, and after everything was taken back. */
static void test_told(void) {
        pid_t vm;
        g_autoptr(Scene) s = hooked_scene(LATE, "VirtualMachine=pause", &vm);
        g_autoptr(Gate) there = NULL, back = NULL;

        hook_behaves("20-b", "pre-sleep", "hang");
        there = gate_call(s, "PrepareSleep");
        hook_wait("20-b", "pre-sleep");
        g_assert_cmpstr(vm_log(s), ==, "");
        assert_alive(s);
        hook_goes_on("20-b", "pre-sleep");
        g_assert_cmpstr(gate_wait(there), ==, "");
        g_assert_cmpstr(vm_log(s), ==, "pause");
        assert_log(s, THERE);
        g_assert_cmpstr(hook_environment(s, "10-a", "post-sleep"), ==,
                        "EVENT=post-sleep; GPUS=" CARD "; OPERATION=sleep; RESULT=done; SLEEP=");

        hook_behaves("20-b", "pre-resume", "hang");
        hook_behaves("10-a", "post-resume", "hang");
        back = gate_call(s, "FinishSleep");
        hook_wait("20-b", "pre-resume");
        g_assert_cmpstr(vm_log(s), ==, "");
        hook_goes_on("20-b", "pre-resume");
        hook_wait("10-a", "post-resume");
        g_assert_cmpstr(vm_log(s), ==, "resume");
        hook_goes_on("10-a", "post-resume");
        g_assert_cmpstr(gate_wait(back), ==, "");
        assert_log(s, BACK);
        g_assert_cmpstr(hook_environment(s, "20-b", "post-resume"), ==,
                        "EVENT=post-resume; GPUS=" CARD "; OPERATION=resume; RESULT=done; SLEEP=");
        g_assert_cmpstr(last_sleep(s, "result"), ==, "done");
        g_assert_cmpstr(last_sleep(s, "hook-failures"), ==, "[]");

        /* The kind of sleep, where somebody has said it; and each sleep is a new one. */
        g_assert_cmpstr(manager_call(s, "PrepareSleep", NULL, "s", "hibernate"), ==, "");
        assert_log(s, THERE);
        g_assert_cmpstr(hook_environment(s, "10-a", "pre-sleep"), ==, "EVENT=pre-sleep; GPUS=" CARD "; OPERATION=sleep; SLEEP=hibernate");
        g_assert_cmpstr(gate(s, "FinishSleep"), ==, "");
        assert_log(s, BACK);
        end_vm(s, vm);
}

/* Announced by logind alone, which waits for a few seconds. */
static void test_logind(void) {
        g_autoptr(Scene) s = hooked_scene(LATE, "", NULL);
        g_autoptr(SimRecorder) signals = sim_recorder_new(s->m);

        g_assert_true(sim_suspend(s->m));
        g_assert_cmpstr(host_job_end(s, signals), ==, "done");
        g_assert_cmpstr(host_job_end(s, signals), ==, "done");
        assert_log(s, THERE ", " BACK);
}

/* Where no card is ours a sleep is nobody's business; and what moves for it changes hands. */
static void test_cards(void) {
        g_autoptr(Scene) s = hooked_scene(LATE, "Gpu=host", NULL);

        g_assert_cmpstr(gate(s, "PrepareSleep"), ==, "");
        assert_log(s, "10-a pre sleep, 20-b pre sleep, "
                      "10-a pre attach, 20-b pre attach, 10-a post attach done, 20-b post attach done, "
                      "10-a post sleep done, 20-b post sleep done");
        g_assert_cmpstr(gate(s, "FinishSleep"), ==, "");
        assert_log(s, "10-a pre resume, 20-b pre resume, "
                      "10-a pre detach, 20-b pre detach, 10-a post detach done, 20-b post detach done, "
                      "10-a post resume done, 20-b post resume done");
        assert_end(s, attach(s, CARD, ""), "done", "");
        (void) hook_log(s);
        g_assert_cmpstr(gate(s, "PrepareSleep"), ==, "");
        g_assert_cmpstr(gate(s, "FinishSleep"), ==, "");
        assert_log(s, "");
}

/* ---- what they answer ---- */

static void test_refuses(const void *data) {
        const char *how = data;
        pid_t vm;
        g_autoptr(Scene) s = hooked_scene(g_str_equal(how, "stay") ? SOON : LATE, "VirtualMachine=pause", &vm);
        g_autoptr(SimRecorder) signals = sim_recorder_new(s->m);
        g_autoptr(Gate) there = NULL;

        hook_put("30-c");
        hook_behaves("20-b", "pre-sleep", how);
        there = gate_call(s, "PrepareSleep");
        g_assert_cmpstr(gate_wait(there), ==, g_str_equal(how, "stay") ? "Timeout" : "Failed");
        assert_has(there->message, "The hook 20-b does not let the host sleep: ");
        assert_has(there->message, g_str_equal(how, "stay") ? "did not end in its time" : "no, thanks");
        assert_has(there->message, "OnError=");
        (void) sim_recorder_wait(signals, "SleepVetoed");
        g_assert_cmpstr(last_sleep(s, "result"), ==, "vetoed");
        g_assert_cmpstr(vm_log(s), ==, "");
        assert_log(s, "10-a pre sleep, 20-b pre sleep, " CALLED_OFF);
        g_assert_cmpstr(gate(s, "FinishSleep"), ==, "");
        assert_log(s, "");

        put_file("/etc/gpuptd/hooks.d/30-c", NULL);
        hook_behaves("20-b", "pre-sleep", "");
        g_assert_cmpstr(gate(s, "PrepareSleep"), ==, "");
        g_assert_cmpstr(gate(s, "FinishSleep"), ==, "");
        assert_log(s, THERE ", " BACK);
        end_vm(s, vm);
}

typedef struct Failure {
        const char *event, *config, *how;
} Failure;

/* It is said, and the host sleeps and wakes all the same. */
static void test_fails(const void *data) {
        const Failure *f = data;
        pid_t vm;
        g_autoptr(Scene) s = hooked_scene(f->config, "VirtualMachine=pause", &vm);
        const char *all;

        hook_behaves("10-a", f->event, f->how);
        g_assert_cmpstr(gate(s, "PrepareSleep"), ==, "");
        g_assert_cmpstr(vm_log(s), ==, "pause");
        g_assert_cmpstr(gate(s, "FinishSleep"), ==, "");
        g_assert_cmpstr(vm_log(s), ==, "resume");
        assert_log(s, THERE ", " BACK);
        g_assert_cmpstr(last_sleep(s, "result"), ==, "done");
        all = last_sleep(s, "");
        assert_has(all, "hook-failures=[the hook 10-a has failed (");
        assert_has(all, g_str_equal(f->how, "stay") ? "did not end in its time" : "no, thanks");
        assert_has(sim_daemon_log(s->m), "the hook 10-a has failed");
        end_vm(s, vm);
}

/* Neither a battery that is about to be empty, nor a laptop in its bag is kept from its sleep. */
static void test_battery(void) {
        static const struct {
                const char *first, *second;
                bool refused;
        } rows[] = {
                { "upower level=4", "login1 power=battery", false },
                { "login1 lid=closed", "login1 power=battery", false },
                { "login1 lid=closed", "login1 power=mains", true },
                { "login1 lid=open", "login1 power=battery", true },
        };

        for (size_t i = 0; i < ELEMENTSOF(rows); i++) {
                g_autoptr(Scene) s = hooked_scene(LATE, "", NULL);

                g_test_message("%s, %s", rows[i].first, rows[i].second);
                (void) sim_command(s->m, "%s", rows[i].first);
                (void) sim_command(s->m, "%s", rows[i].second);
                hook_behaves("20-b", "pre-sleep", "fail");
                g_assert_cmpstr(gate(s, "PrepareSleep"), ==, rows[i].refused ? "Failed" : "");
                g_assert_cmpstr(gate(s, "FinishSleep"), ==, "");
                if (rows[i].refused)
                        continue;
                (void) hook_log(s);
                assert_has(last_sleep(s, ""), "the hook 20-b has failed (pre sleep)");
        }
}

/* ---- what else comes between ---- */

/* Nobody is told of what is not going to be. */
static void test_vetoed_before(void) {
        pid_t vm;
        g_autoptr(Scene) s = hooked_scene(LATE, "VirtualMachine=inhibit", &vm);

        g_assert_cmpstr(gate(s, "PrepareSleep"), ==, "InUse");
        g_assert_cmpstr(gate(s, "FinishSleep"), ==, "");
        assert_log(s, "");
        end_vm(s, vm);
}

static void test_vetoed_after(void) {
        pid_t vm;
        g_autoptr(Scene) s = hooked_scene(LATE, "VirtualMachine=pause", &vm);

        vm_behaves("pause", "fail");
        g_assert_cmpstr(gate(s, "PrepareSleep"), ==, "Failed");
        g_assert_cmpstr(gate(s, "FinishSleep"), ==, "");
        assert_log(s, "10-a pre sleep, 20-b pre sleep, " CALLED_OFF);
        g_assert_cmpstr(hook_environment(s, "10-a", "post-resume"), ==,
                        "EVENT=post-resume; GPUS=" CARD "; OPERATION=sleep; RESULT=failed; SLEEP=");
        end_vm(s, vm);
}

/* While one thinks; the other one is never told. */
static void test_called_off(void) {
        pid_t vm;
        g_autoptr(Scene) s = hooked_scene(LATE, "VirtualMachine=pause", &vm);
        g_autoptr(Gate) there = NULL, back = NULL;

        hook_behaves("10-a", "pre-sleep", "hang");
        there = gate_call(s, "PrepareSleep");
        hook_wait("10-a", "pre-sleep");
        back = gate_call(s, "FinishSleep");
        sim_wait_property(s->m, GPUPT_OBJECT_PATH, GPUPT_MANAGER_INTERFACE, "Sleeping", "true");
        while (!strstr(sim_daemon_log(s->m), "called off"))
                assert_alive(s);
        hook_goes_on("10-a", "pre-sleep");
        g_assert_cmpstr(gate_wait(there), ==, "Cancelled");
        g_assert_cmpstr(gate_wait(back), ==, "");
        assert_log(s, "10-a pre sleep, 10-a pre resume, 10-a post resume failed");
        g_assert_cmpstr(vm_log(s), ==, "");
        end_vm(s, vm);
}

/* ---- the daemon dies ---- */

/* The one that ran then is waited for, or told again; the others are told once, in their order. */
static void assert_told(Scene *s, const char *expected, const char *again) {
        g_auto(GStrv) lines = g_strsplit(hook_log(s), ", ", -1);
        g_autoptr(GString) seen = g_string_new("");
        const char *last = "";

        for (char **l = lines; *l; l++) {
                if (!g_str_equal(*l, last) || !g_str_has_prefix(*l, again))
                        g_string_append_printf(seen, "%s%s", seen->len > 0 ? ", " : "", *l);
                last = *l;
        }
        g_assert_cmpstr(seen->str, ==, expected);
}

typedef struct Kill {
        const char *hook, *event, *again;
} Kill;

static void test_killed(const void *data) {
        const Kill *k = data;
        pid_t vm;
        g_autoptr(Scene) s = hooked_scene(LATE, "VirtualMachine=pause", &vm);
        bool back = strstr(k->event, "resume");
        g_autoptr(Gate) lost = NULL, again = NULL;

        (void) sim_command(s->m, "unit gpuptd-sleep.service active oneshot remain");
        hook_behaves(k->hook, k->event, "hang");
        if (back) {
                g_assert_cmpstr(gate(s, "PrepareSleep"), ==, "");
                (void) sim_command(s->m, "unit gpuptd-sleep.service inactive");
        }
        lost = gate_call(s, back ? "FinishSleep" : "PrepareSleep");
        hook_wait(k->hook, k->event);
        sim_daemon_kill(s->m);
        g_assert_cmpstr(gate_wait(lost), ==, "NoReply");
        scene_start(s);
        again = gate_call(s, back ? "FinishSleep" : "PrepareSleep");
        sim_wait_property(s->m, GPUPT_OBJECT_PATH, GPUPT_MANAGER_INTERFACE, "Sleeping", "true");
        hook_goes_on(k->hook, k->event);
        g_assert_cmpstr(gate_wait(again), ==, "");
        if (!back)
                g_assert_cmpstr(gate(s, "FinishSleep"), ==, "");
        g_assert_cmpstr(vm_log(s), ==, "pause resume");
        assert_told(s, THERE ", " BACK, k->again);
        g_assert_cmpstr(last_sleep(s, "result"), ==, "done");
        end_vm(s, vm);
}

/* Called off while nobody was there: who was told of the beginning is told of the end. */
static void test_killed_called_off(void) {
        pid_t vm;
        g_autoptr(Scene) s = hooked_scene(LATE, "VirtualMachine=pause", &vm);
        g_autoptr(SimRecorder) signals = NULL;
        g_autoptr(Gate) lost = NULL;

        hook_behaves("10-a", "pre-sleep", "hang");
        lost = gate_call(s, "PrepareSleep");
        hook_wait("10-a", "pre-sleep");
        sim_daemon_kill(s->m);
        g_assert_cmpstr(gate_wait(lost), ==, "NoReply");
        signals = sim_recorder_new(s->m);
        scene_start(s);
        hook_goes_on("10-a", "pre-sleep");
        g_assert_cmpstr(host_job_end(s, signals), ==, "cancelled Cancelled");
        assert_told(s, "10-a pre sleep, 10-a pre resume, 10-a post resume failed", "10-a pre sleep");
        g_assert_cmpstr(vm_log(s), ==, "");
        end_vm(s, vm);
}

/* The host lost its power in its sleep, and comes up again. */
static void test_power_lost(void) {
        g_autoptr(Scene) s = hooked_scene(LATE, "", NULL);
        g_autoptr(SimRecorder) signals = NULL;
        g_autofree char *text = NULL;
        char *boot;

        g_assert_cmpstr(gate(s, "PrepareSleep"), ==, "");
        assert_log(s, THERE);
        sim_daemon_kill(s->m);
        g_assert_true(g_file_get_contents("/var/lib/gpuptd/sleep", &text, NULL, NULL));
        boot = strstr(text, "boot ");
        g_assert_nonnull(boot);
        boot[5] = boot[5] == '0' ? '1' : '0';
        put_file("/var/lib/gpuptd/sleep", text);
        signals = sim_recorder_new(s->m);
        scene_start(s);
        g_assert_cmpstr(host_job_end(s, signals), ==, "done");
        assert_log(s, BACK);
}

int main(int argc, char *argv[]) {
        static const Failure failures[] = {
                { "pre-sleep", LATE "OnError=continue\n", "fail" }, { "pre-sleep", SOON "OnError=continue\n", "stay" },
                { "post-sleep", LATE, "fail" },                     { "post-sleep", SOON, "stay" },
                { "pre-resume", LATE, "fail" },                     { "pre-resume", SOON, "stay" },
                { "post-resume", LATE, "fail" },                    { "post-resume", SOON, "stay" },
        };
        static const Kill kills[] = {
                { "10-a", "pre-sleep", "10-a pre sleep" },     { "20-b", "pre-sleep", "20-b pre sleep" },
                { "10-a", "post-sleep", "10-a post sleep" },   { "10-a", "pre-resume", "10-a pre resume" },
                { "20-b", "post-resume", "20-b post resume" },
        };

        sim_init(&argc, &argv);
        g_test_add_func("/hooks-sleep/told", test_told);
        g_test_add_func("/hooks-sleep/logind", test_logind);
        g_test_add_func("/hooks-sleep/cards", test_cards);
        g_test_add_data_func("/hooks-sleep/refuses/fail", "fail", test_refuses);
        g_test_add_data_func("/hooks-sleep/refuses/stay", "stay", test_refuses);
        for (size_t i = 0; i < ELEMENTSOF(failures); i++) {
                g_autofree char *path = g_strdup_printf("/hooks-sleep/fails/%s-%s", failures[i].event, failures[i].how);

                g_test_add_data_func(path, failures + i, test_fails);
        }
        g_test_add_func("/hooks-sleep/battery", test_battery);
        g_test_add_func("/hooks-sleep/vetoed-before", test_vetoed_before);
        g_test_add_func("/hooks-sleep/vetoed-after", test_vetoed_after);
        g_test_add_func("/hooks-sleep/called-off", test_called_off);
        for (size_t i = 0; i < ELEMENTSOF(kills); i++) {
                g_autofree char *path = g_strdup_printf("/hooks-sleep/killed/%s-%s", kills[i].event, kills[i].hook);

                g_test_add_data_func(path, kills + i, test_killed);
        }
        g_test_add_func("/hooks-sleep/killed-called-off", test_killed_called_off);
        g_test_add_func("/hooks-sleep/power-lost", test_power_lost);
        return g_test_run();
}
