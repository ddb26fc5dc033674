/* SPDX-License-Identifier: GPL-2.0-or-later */

/* test-sleep: the host sleeps, with the real kernel, logind, systemd and VMs, while a card is with VFIO. Every sleep is one to RAM that the
 * kernel has gone into and come out of, or one that it has not even begun. */

#include <string.h>

#include "dbus/names.h"
#include "guest-private.h"
#include "guest-sleep.h"
#include "guest.h"

static void assert_contains(const char *text, const char *what) {
        if (!strstr(text, what))
                g_test_message("no '%s' in: %s", what, text);
        g_assert_nonnull(strstr(text, what));
}

static void assert_property(const char *property, const char *wanted) {
        g_autofree char *value = gpu_get(CARD, property);

        g_assert_cmpstr(value, ==, wanted);
}

static void detach(void) {
        g_autoptr(Output) o = gpuptctl(WHO_ROOT, "detach", CARD, NULL);

        assert_status(o, 0);
}

static void assert_slept(void) {
        unsigned before = kernel_slept();

        g_assert_true(host_suspend());
        g_assert_cmpuint(kernel_slept(), ==, before + 1);
        assert_reported("/result", "done",
                        "/reason", NULL, NULL);
}

/* It stays awake, and the kernel has not begun with anything. */
static void assert_stays_awake(void) {
        unsigned tried = kernel_tried(), froze = kernel_froze();

        g_assert_false(host_suspend());
        g_assert_cmpuint(kernel_tried(), ==, tried);
        g_assert_cmpuint(kernel_froze(), ==, froze);
}

/* ---- VMs */

static NestedVm *vm_start(const char *policy) {
        NestedVm *vm;

        sleep_policy(policy);
        detach();
        vm = nested_start_managed(CARD, CARD_AUDIO, NULL);
        gpu_wait_state(CARD, "assigned");
        return vm;
}

static void assert_vm(NestedVm *vm, const char *state) {
        g_autofree char *answer = nested_qmp(vm, "{\"execute\":\"query-status\"}"), *mark = g_strdup_printf("\"status\": \"%s\"", state);

        assert_contains(answer, mark);
}

static void assert_domain(const char *wanted) {
        g_autofree char *state = output_of("virsh", "--quiet", "domstate", DOMAIN_NAME, NULL);

        g_assert_cmpstr(g_strchomp(state), ==, wanted);
}

/* ---- Cards that no VM has */

static void test_nothing(void) {
        g_autofree char *before = machine_state();

        assert_slept();
        assert_reported("/operation", "suspend",
                        "/doors/0", "logind",
                        "/doors/1", "gate",
                        "/gpus/0", NULL,
                        "/virtual-machines/0", NULL, NULL);
        assert_machine_state(before);
        assert_property("State", "host");
        wait_lock("delay", true);
}

#define SAY_DRIVERS \
        "for f in " CARD " " CARD_AUDIO "; do\n" \
        "        [ -e /sys/bus/pci/devices/$f ] || { echo gone; continue; }\n" \
        "        [ -e /sys/bus/pci/devices/$f/driver ] || { echo none; continue; }\n" \
        "        basename $(readlink /sys/bus/pci/devices/$f/driver)\n" \
        "done\n"

/* Where the card is in the moment of the sleep, and that it is back, and well, after it. */
static void test_cards(void) {
        static const struct {
                const char *policy, *action, *drivers;
        } rows[] = {
                { "Gpu=keep", "keep", "vfio-pci\nvfio-pci" },
                { "Gpu=unbind", "unbind", "none\nnone" },
                { "Gpu=remove", "remove", "gone\ngone" },
                { "Gpu=host", "host", "bochs-drm\nsnd_hda_intel" },
        };
        g_autofree char *before = NULL;

        detach();
        before = machine_state();
        at_sleep(SAY_DRIVERS);
        for (size_t i = 0; i < G_N_ELEMENTS(rows); i++) {
                g_autofree char *drivers = NULL;

                g_test_message("%s", rows[i].policy);
                sleep_policy(rows[i].policy);
                assert_slept();
                drivers = said_at_sleep();
                g_assert_cmpstr(drivers, ==, rows[i].drivers);
                assert_reported("/gpus/0/action", rows[i].action,
                                "/gpus/0/result", "restored",
                                "/gpus/0/state", "detached",
                                "/gpus/0/health", "ok", NULL);
                assert_property("State", "detached");
                assert_property("Health", "ok");
                assert_machine_state(before);
        }
}

/* ---- VMs that rest */

static void prepare_by_hand(NestedVm *vm) {
        g_autoptr(Output) prepare = NULL, attach = NULL, finish = NULL;

        prepare = gpuptctl(WHO_ROOT, "sleep", "prepare", NULL);
        assert_status(prepare, 0);
        assert_vm(vm, "paused");
        attach = gpuptctl(WHO_ROOT, "attach", CARD, NULL);
        assert_status(attach, 1);
        assert_contains(attach->err, "about to sleep");
        finish = gpuptctl(WHO_ROOT, "sleep", "finish", NULL);
        assert_status(finish, 0);
        assert_vm(vm, "running");
        assert_reported("/result", "done", NULL);
}

/* QEMU itself says when it stopped, and when it went on: the sleep is between the two. */
static void test_paused(void) {
        NestedVm *vm = vm_start("VirtualMachine=pause");
        g_autofree char *said = NULL;
        gint64 stopped, slept, resumed;

        prepare_by_hand(vm);
        at_sleep("date +%s%6N\n");
        assert_slept();
        stopped = nested_event(vm, "STOP");
        resumed = nested_event(vm, "RESUME");
        said = said_at_sleep();
        slept = g_ascii_strtoll(said, NULL, 10);
        g_assert_cmpint(stopped, <, slept);
        g_assert_cmpint(slept, <, resumed);
        assert_vm(vm, "running");
        assert_property("State", "assigned");
        assert_property("Health", "ok");
        assert_reported("/virtual-machines/0/name", NESTED_NAME,
                        "/virtual-machines/0/action", "pause",
                        "/virtual-machines/0/result", "restored", NULL);

        /* Not asked by logind: the target itself has the gate. */
        g_assert_cmpint(host_suspend_directly(), ==, 0);
        (void) nested_event(vm, "STOP");
        (void) nested_event(vm, "RESUME");
        assert_reported("/result", "done",
                        "/doors/0", "gate",
                        "/doors/1", NULL, NULL);
        assert_vm(vm, "running");
        nested_stop(vm);
        gpu_wait_state(CARD, "detached");
}

/* It is off while the host sleeps, its card is free then and goes where it is to go, and both are back. */
static void test_shut_down(void) {
        g_autofree char *said = NULL, *pid = NULL, *pid_after = NULL;

        sleep_policy("VirtualMachine=shutdown\nGpu=unbind");
        detach();
        unit_vm_start();
        pid = output_of("systemctl", "show", "--value", "--property=MainPID", NESTED_UNIT, NULL);
        at_sleep("systemctl is-active " NESTED_UNIT "\n" SAY_DRIVERS);
        assert_slept();
        said = said_at_sleep();
        g_assert_cmpstr(said, ==, "inactive\nnone\nnone");
        assert_reported("/virtual-machines/0/manager", "systemd",
                        "/virtual-machines/0/action", "shutdown",
                        "/virtual-machines/0/result", "restored",
                        "/gpus/0/result", "restored", NULL);
        gpu_wait_state(CARD, "assigned");
        pid_after = output_of("systemctl", "show", "--value", "--property=MainPID", NESTED_UNIT, NULL);
        g_assert_cmpstr(pid_after, !=, pid);
        g_free(output_of("systemctl", "is-active", NESTED_UNIT, NULL));
}

static void test_libvirt(void) {
        g_autofree char *said = NULL;

        sleep_policy("VirtualMachine=pause");
        detach();
        domain_start();
        gpu_wait_state(CARD, "assigned");
        at_sleep("virsh --quiet domstate " DOMAIN_NAME "\n");
        assert_slept();
        said = said_at_sleep();
        g_assert_cmpstr(said, ==, "paused");
        assert_domain("running");
        assert_reported("/virtual-machines/0/manager", "libvirt",
                        "/virtual-machines/0/result", "restored", NULL);
        assert_property("State", "assigned");
}

/* ---- Hosts that stay awake */

typedef struct Veto {
        unsigned n;
        char *gpu, *reason;
} Veto;

static int on_vetoed(sd_bus_message *message, void *userdata, sd_bus_error *error) {
        const char *gpu, *reason;
        Veto *v = userdata;

        g_assert_cmpint(sd_bus_message_read(message, "ss", &gpu, &reason), >, 0);
        g_free(v->gpu);
        g_free(v->reason);
        *v = (Veto) { .n = v->n + 1, .gpu = g_strdup(gpu), .reason = g_strdup(reason) };
        return 0;
}

/* Said by the signal, the report and the journal alike. */
static void assert_target_refused(void) {
        g_assert_cmpint(host_suspend_directly(), !=, 0);
}

static void assert_vetoed(void (*attempt)(void), const char *reason) {
        sd_bus_slot *slot = NULL;
        g_autofree char *journal = NULL;
        Veto v = {};

        g_assert_cmpint(sd_bus_match_signal(system_bus(), &slot, GPUPT_BUS_NAME, GPUPT_OBJECT_PATH, GPUPT_MANAGER_INTERFACE, "SleepVetoed",
                                            on_vetoed, &v),
                        >=, 0);
        attempt();
        /* The signal was sent before the refusal. */
        while (sd_bus_process(system_bus(), NULL) > 0)
                ;
        g_assert_cmpuint(v.n, ==, 1);
        g_assert_cmpstr(v.gpu, ==, CARD);
        assert_contains(v.reason, reason);
        assert_reported("/result", "vetoed",
                        "/gpu", CARD,
                        "/reason", v.reason, NULL);
        journal = journal_of_daemon();
        assert_contains(journal, v.reason);
        sd_bus_slot_unref(slot);
        g_free(v.gpu);
        g_free(v.reason);
}

/* A guest without an agent: whoever has named no policy is not to lose it. It goes on as if nothing had been. */
static void test_vetoed(void) {
        NestedVm *vm = vm_start("VirtualMachine=auto");
        unsigned tried = kernel_tried();

        assert_vetoed(assert_stays_awake, "Restartable=yes");
        assert_vm(vm, "running");
        assert_property("State", "assigned");
        g_assert_cmpint(host_suspend_directly(), !=, 0);
        assert_reported("/result", "vetoed", NULL);
        g_assert_cmpuint(kernel_tried(), ==, tried);

        /* A refusal is of this sleep, not of the next one; nor does it matter who has the card then. */
        sleep_policy("VirtualMachine=pause");
        assert_slept();
        assert_vm(vm, "running");
        sleep_policy("VirtualMachine=auto");
        assert_stays_awake();
        nested_stop(vm);
        gpu_wait_state(CARD, "detached");
        assert_slept();
        assert_property("State", "detached");
}

#define LOGIND "org.freedesktop.login1", "/org/freedesktop/login1", "org.freedesktop.login1.Manager"

static bool stranger_may_suspend(const void *wanted) {
        g_autoptr(Output) o = command(WHO_STRANGER, "busctl", "call", LOGIND, "CanSuspend", NULL);

        assert_status(o, 0);
        return strstr(o->out, wanted);
}

/* A user who may let the host sleep may not while a VM has the card. The lock binds root from systemd 257 on; who passes it by, starting the
 * target, is refused by the gate. */
static void test_inhibited(void) {
        g_autoptr(Output) asked = NULL, called = NULL;
        unsigned tried = kernel_tried();
        NestedVm *vm;

        g_assert_true(g_file_set_contents(POLKIT_RULES,
                                          "polkit.addRule(function(action, subject) {\n"
                                          "        if (action.id == 'org.freedesktop.login1.suspend')\n"
                                          "                return polkit.Result.YES;\n"
                                          "});\n", -1, NULL));
        wait_until(stranger_may_suspend, "yes", "polkit to read its rules");
        vm = vm_start("VirtualMachine=inhibit");
        wait_lock("block", true);
        g_assert_true(stranger_may_suspend("challenge"));
        asked = command(WHO_STRANGER, "systemctl", "suspend", "--check-inhibitors=yes", NULL);
        g_assert_cmpint(asked->status, !=, 0);
        assert_contains(asked->err, "inhibited by \"gpuptd\"");
        called = command(WHO_STRANGER, "busctl", "call", LOGIND, "Suspend", "b", "false", NULL);
        g_assert_cmpint(called->status, !=, 0);
        assert_vetoed(assert_target_refused, "VirtualMachine=inhibit");
        g_assert_cmpuint(kernel_tried(), ==, tried);
        assert_vm(vm, "running");

        nested_stop(vm);
        wait_lock("block", false);
        g_assert_true(stranger_may_suspend("yes"));
}

/* Somebody's call hangs in the kernel, as long as the VM has the card. A task that hangs cannot be frozen: the kernel would try for 20
 * seconds, in which the host is neither awake nor asleep, and give up. */
static void test_stuck(void) {
        g_autoptr(Output) removed = NULL;
        g_autofree char *reason = NULL;
        unsigned tried = kernel_tried();
        json_object *report;
        NestedVm *vm;
        Child *shell;
        gint64 began;

        detach();
        vm = nested_start(CARD, CARD_AUDIO, NULL);
        gpu_wait_state(CARD, "assigned");
        shell = child_start(WHO_ROOT, "sh", "-c", "echo 1 > /sys/bus/pci/devices/" CARD "/remove", NULL);
        gpu_wait_state(CARD, "stuck");
        began = g_get_monotonic_time();
        assert_stays_awake();
        /* It is known at once; this is the limit of what the gate would wait for anything. */
        g_assert_cmpint(g_get_monotonic_time() - began, <, 300 * G_USEC_PER_SEC);
        g_assert_cmpuint(kernel_tried(), ==, tried);
        report = sleep_report();
        reason = report_get(report, "/reason");
        assert_contains(reason, CARD " is stuck");
        json_object_put(report);

        nested_stop(vm);
        removed = child_wait(shell);
        assert_status(removed, 0);
        gpu_wait_state(CARD, "absent");
        assert_slept();
}

/* ---- Those who die meanwhile */

/* The daemon, when all is prepared: what it has done is not forgotten. By hand, where nobody says that the host will sleep, so that it
 * is taken back; and on the way into a real one. */
static void test_killed(void) {
        NestedVm *vm = vm_start("VirtualMachine=pause");
        g_autoptr(Output) prepare = NULL, finish = NULL;
        g_autofree char *said = NULL;

        prepare = gpuptctl(WHO_ROOT, "sleep", "prepare", NULL);
        assert_status(prepare, 0);
        assert_vm(vm, "paused");
        daemon_kill();
        daemon_start();
        finish = gpuptctl(WHO_ROOT, "sleep", "finish", NULL);
        assert_status(finish, 0);
        host_wait_awake();
        assert_vm(vm, "running");
        assert_reported("/result", "done", NULL);

        at_sleep("systemctl kill --kill-who=main --signal=KILL " GPUPT_UNIT_DAEMON "; echo killed\n");
        g_assert_true(host_suspend());
        said = said_at_sleep();
        g_assert_cmpstr(said, ==, "killed");
        assert_vm(vm, "running");
        assert_reported("/result", "done",
                        "/virtual-machines/0/result", "restored", NULL);
        nested_stop(vm);
        gpu_wait_state(CARD, "detached");
}

static void test_logind_restarted(void) {
        sleep_policy("Gpu=unbind");
        detach();
        g_free(output_of("systemctl", "restart", "systemd-logind.service", NULL));
        wait_lock("delay", true);
        assert_slept();
        assert_reported("/doors/0", "logind",
                        "/gpus/0/result", "restored", NULL);
        assert_property("State", "detached");
        wait_lock("delay", true);
}

/* It does not run, and nobody can start it: no reason for the host not to sleep. */
static void test_masked(void) {
        g_autofree char *journal = NULL;

        detach();
        g_free(output_of("systemctl", "mask", "--runtime", "--now", GPUPT_UNIT_DAEMON, NULL));
        g_assert_true(machine_sleep(600));
        g_free(output_of("journalctl", "--sync", NULL));
        journal = output_of("journalctl", "--quiet", "--output=cat", "--unit=" GPUPT_UNIT_SLEEP, NULL);
        assert_contains(journal, "nothing has been prepared for this sleep");
        g_free(output_of("systemctl", "unmask", "--runtime", GPUPT_UNIT_DAEMON, NULL));
        daemon_start();
        host_wait_awake();
        assert_property("State", "detached");
}

/* ---- Again and again */

/* Five, or what `gpupt.sleeps=20` on the kernel's command line says (run-vm --append). */
static unsigned sleeps_wanted(void) {
        g_autofree char *line = NULL;
        const char *word;

        g_assert_true(g_file_get_contents("/proc/cmdline", &line, NULL, NULL));
        word = strstr(line, "gpupt.sleeps=");
        return word ? (unsigned) g_ascii_strtoull(word + strlen("gpupt.sleeps="), NULL, 10) : 5;
}

static unsigned open_files(void) {
        g_autofree char *path = g_strdup_printf("/proc/%d/fd", daemon_pid());
        g_autoptr(GDir) dir = g_dir_open(path, 0, NULL);
        unsigned n = 0;

        g_assert_nonnull(dir);
        while (g_dir_read_name(dir))
                n++;
        return n;
}

/* The end of a worker may be noticed late. */
static bool has_no_more_files(const void *n) {
        return open_files() <= *(const unsigned *) n;
}

/* Each is one of its own, and nothing is left of it: neither of the card's nor of the daemon's. */
static void test_many(void) {
        unsigned n = sleeps_wanted(), cycle = 0, files = 0;
        g_autofree char *before = NULL;
        pid_t daemon = daemon_pid();

        sleep_policy("Gpu=unbind");
        detach();
        before = machine_state();
        for (unsigned i = 0; i < n; i++) {
                json_object *report;
                g_autofree char *id = NULL, *action = NULL, *result = NULL;

                assert_slept();
                report = sleep_report();
                id = report_get(report, "/cycle");
                action = report_get(report, "/gpus/0/action");
                result = report_get(report, "/gpus/0/result");
                json_object_put(report);
                g_assert_cmpstr(action, ==, "unbind");
                g_assert_cmpstr(result, ==, "restored");
                g_assert_cmpuint(g_ascii_strtoull(id, NULL, 10), ==, ++cycle);
                g_assert_cmpint(daemon_pid(), ==, daemon);
                if (i == 0)
                        files = open_files();
        }
        assert_machine_state(before);
        assert_property("Health", "ok");
        wait_until(has_no_more_files, &files, "gpuptd to have no more files open than after the first sleep");
}

int main(int argc, char *argv[]) {
        g_test_init(&argc, &argv, NULL);
        sleep_case_add("/sleep/nothing", test_nothing);
        sleep_case_add("/sleep/cards", test_cards);
        sleep_case_add("/sleep/paused", test_paused);
        sleep_case_add("/sleep/shut-down", test_shut_down);
        sleep_case_add("/sleep/libvirt", test_libvirt);
        sleep_case_add("/sleep/vetoed", test_vetoed);
        sleep_case_add("/sleep/inhibited", test_inhibited);
        sleep_case_add("/sleep/stuck", test_stuck);
        sleep_case_add("/sleep/killed", test_killed);
        sleep_case_add("/sleep/logind-restarted", test_logind_restarted);
        sleep_case_add("/sleep/masked", test_masked);
        sleep_case_add("/sleep/many", test_many);
        return g_test_run();
}
