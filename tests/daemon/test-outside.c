/* SPDX-License-Identifier: GPL-2.0-or-later */

/* test-outside: what others do to a card shows on the bus by itself: a shell that binds and unbinds, hot-plug, virtual
 * machines that open and close it, an unbind that hangs. And jobs on many cards at once. */

#include <errno.h>
#include <signal.h>
#include <unistd.h>

#include "fixture.h"
#include "util/cleanup.h"

#define CARD "0000:08:00.0"
#define AUDIO "0000:08:00.1"
#define GROUP "/dev/vfio/15"

static void write_ok(Scene *s, const char *path, const char *text) {
        int r = sim_write(s->m, path, text);

        if (r < 0)
                g_error("'%s' into %s: %s", text, path, strerror(-r));
}

static void by_hand(Scene *s, const char *address, const char *driver) {
        g_autofree char *override = g_strdup_printf("bus/pci/devices/%s/driver_override", address);
        g_autofree char *unbind = g_strdup_printf("bus/pci/devices/%s/driver/unbind", address);
        g_autofree char *bind = g_strdup_printf("bus/pci/drivers/%s/bind", driver);

        write_ok(s, override, driver);
        if (sim_driver_of(s->m, address))
                write_ok(s, unbind, address);
        write_ok(s, bind, address);
}

static void clear_override(Scene *s, const char *address) {
        g_autofree char *override = g_strdup_printf("bus/pci/devices/%s/driver_override", address);

        write_ok(s, override, "\n");
}

/* ---- a shell ---- */

static void test_bind(void) {
        g_autoptr(Scene) s = scene_new("desktop", NULL);

        write_ok(s, "bus/pci/drivers/nouveau/unbind", CARD);
        wait_gpu_property(s, CARD, "Driver", "");
        write_ok(s, "bus/pci/drivers/nouveau/bind", CARD);
        wait_gpu_property(s, CARD, "Driver", "nouveau");
        g_assert_cmpstr(state_of(s, CARD), ==, "host");

        (void) sim_command(s->m, "module vfio_pci load");
        by_hand(s, CARD, "vfio-pci");
        wait_state(s, CARD, "partial");
        by_hand(s, AUDIO, "vfio-pci");
        wait_state(s, CARD, "detached");
        by_hand(s, AUDIO, "snd_hda_intel");
        wait_state(s, CARD, "partial");
        by_hand(s, CARD, "nouveau");
        wait_state(s, CARD, "host");
        clear_override(s, CARD);
        clear_override(s, AUDIO);
        g_assert_cmpstr(gpu_property(s, "0000:09:00.0", "State"), ==, "host");
}

/* What gpuptd took and somebody else changed is still known how to bring back. */
static void test_bind_taken(void) {
        g_autoptr(Scene) s = scene_new("desktop", NULL);

        assert_end(s, detach(s, CARD, ""), "done", "");
        by_hand(s, AUDIO, "snd_hda_intel");
        wait_state(s, CARD, "partial");
        assert_end(s, attach(s, CARD, ""), "done", "");
        assert_as_at_first(s);

        assert_end(s, detach(s, CARD, ""), "done", "");
        by_hand(s, AUDIO, "snd_hda_intel");
        by_hand(s, CARD, "nouveau");
        wait_state(s, CARD, "host");
        assert_end(s, attach(s, CARD, ""), "done", "");
        assert_as_at_first(s);

        assert_end(s, detach(s, CARD, ""), "done", "");
        write_ok(s, "bus/pci/drivers/vfio-pci/unbind", CARD);
        wait_state(s, CARD, "partial");
        assert_end(s, detach(s, CARD, ""), "done", "");
        assert_drivers(s, "vfio-pci", CARD, AUDIO, NULL);
        assert_end(s, attach(s, CARD, ""), "done", "");
        assert_as_at_first(s);
}

/* ---- hot-plug ---- */

static void unplug(Scene *s) {
        sim_unplug(s->m, CARD);
        sim_unplug(s->m, AUDIO);
        wait_state(s, CARD, "absent");
}

static void plug(Scene *s) {
        sim_plug(s->m, CARD);
        sim_plug(s->m, AUDIO);
        wait_function(s, CARD, CARD, "nouveau");
        wait_function(s, CARD, AUDIO, "snd_hda_intel");
        wait_state(s, CARD, "host");
}

static void test_unplug(void) {
        g_autoptr(Scene) s = scene_new("desktop", NULL);
        const JobEnd *end;

        unplug(s);
        end = detach(s, CARD, "");
        assert_end(s, end, "refused", "Unreachable");
        assert_has(end->message, CARD);
        assert_alive(s);
        plug(s);
        assert_as_at_first(s);
        assert_end(s, detach(s, CARD, ""), "done", "");

        /* It comes back with its host drivers, whatever it was when it left. */
        unplug(s);
        assert_end(s, attach(s, CARD, ""), "refused", "Unreachable");
        plug(s);
        assert_end(s, attach(s, CARD, ""), "done", "");
        assert_as_at_first(s);
}

static void test_unplug_companion(void) {
        g_autoptr(Scene) s = scene_new("desktop", NULL);

        assert_end(s, detach(s, CARD, ""), "done", "");
        sim_unplug(s->m, AUDIO);
        wait_state(s, CARD, "partial");
        assert_end(s, attach(s, CARD, ""), "done", "");
        sim_plug(s->m, AUDIO);
        wait_function(s, CARD, AUDIO, "snd_hda_intel");
        wait_state(s, CARD, "host");
        assert_end(s, attach(s, CARD, ""), "done", "");
        assert_as_at_first(s);
}

/* A card that was not there when the daemon began. */
static void test_newcomer(void) {
        g_autoptr(Scene) s = scene_new_without_daemon("desktop");
        g_autoptr(SimRecorder) signals = NULL;
        sd_bus_message *m;
        const char *path;

        sim_unplug(s->m, CARD);
        sim_unplug(s->m, AUDIO);
        sim_wait_known(s->m, CARD, false);
        sim_wait_known(s->m, AUDIO, false);
        scene_start(s);
        g_assert_cmpstr(short_name(manager_call(s, "GetGpu", NULL, "s", CARD)), ==, "NoSuchGpu");
        signals = sim_recorder_new(s->m);
        sim_plug(s->m, CARD);
        sim_plug(s->m, AUDIO);
        m = sim_recorder_wait(signals, "InterfacesAdded");
        g_assert_cmpint(sd_bus_message_read(m, "o", &path), >=, 0);
        g_assert_cmpstr(path, ==, gpu_path(s, CARD));
        wait_function(s, CARD, AUDIO, "snd_hda_intel");
        wait_gpu_property(s, CARD, "Driver", "nouveau");
        wait_gpu_property(s, CARD, "IommuGroups", "[15]");
        assert_end(s, detach(s, CARD, ""), "done", "");
        assert_end(s, attach(s, CARD, ""), "done", "");
        assert_as_at_first(s);
}

/* Somebody's remove and rescan. */
static void test_remove(void) {
        g_autoptr(Scene) s = scene_new("desktop", NULL);

        assert_end(s, detach(s, CARD, ""), "done", "");
        write_ok(s, "bus/pci/devices/" AUDIO "/remove", "1");
        write_ok(s, "bus/pci/devices/" CARD "/remove", "1");
        wait_state(s, CARD, "absent");
        write_ok(s, "bus/pci/rescan", "1");
        wait_state(s, CARD, "host");
        assert_end(s, attach(s, CARD, ""), "done", "");
        assert_as_at_first(s);
}

/* The workers that wait for a question. */
static void kill_children(pid_t parent) {
        g_autofree char *path = g_strdup_printf("/proc/%d/task/%d/children", parent, parent), *text = NULL;
        g_auto(GStrv) pids = NULL;

        g_assert_true(g_file_get_contents(path, &text, NULL, NULL));
        pids = g_strsplit(g_strchomp(text), " ", -1);
        for (char **pid = pids; *pid; pid++)
                if (**pid)
                        (void) kill(atoi(*pid), SIGKILL);
}

/* No worker can be started when something happens: it is seen all the same, as soon as one can. */
static void test_no_worker(void) {
        static const char worker[] = "/run/gpuptd-sim/worker", variable[] = "GPUPT_WORKER=/run/gpuptd-sim/worker";
        static const char *const environment[] = { variable, NULL };
        g_autoptr(Scene) s = scene_new_without_daemon("desktop");

        g_assert_cmpint(symlink(getenv("GPUPT_WORKER"), worker), ==, 0);
        s->environment = environment;
        scene_start(s);
        g_assert_cmpint(unlink(worker), ==, 0);
        kill_children(sim_daemon_pid(s->m));
        write_ok(s, "bus/pci/devices/" AUDIO "/remove", "1");
        write_ok(s, "bus/pci/devices/" CARD "/remove", "1");
        /* The events are all there by now; with that many calls answered the daemon has taken them. */
        for (unsigned i = 0; i < 20; i++)
                assert_alive(s);
        assert_has(sim_daemon_log(s->m), "Failed to start ");
        g_assert_cmpint(symlink(getenv("GPUPT_WORKER"), worker), ==, 0);
        wait_state(s, CARD, "absent");
}

/* ---- virtual machines ---- */

static void test_vm(void) {
        g_autoptr(Scene) s = scene_new("desktop", NULL);
        const JobEnd *end;
        pid_t vm;

        assert_end(s, detach(s, CARD, ""), "done", "");
        vm = vm_start(s, "win10", GROUP);
        wait_state(s, CARD, "assigned");
        wait_gpu_property(s, CARD, "VirtualMachine", "(qemu win10)");
        end = attach(s, CARD, "");
        assert_end(s, end, "refused", "InUse");
        assert_has(end->message, "win10");
        g_assert_cmpstr(state_of(s, CARD), ==, "assigned");
        sim_let_go(s->m, vm);
        wait_state(s, CARD, "detached");
        wait_gpu_property(s, CARD, "VirtualMachine", "( )");
        assert_end(s, attach(s, CARD, ""), "done", "");
        assert_as_at_first(s);
}

/* A VM manager with a private /dev opens and closes the node where nobody can watch: what was seen last is no reason to refuse
 * an attach, nor to begin one. */
static void test_vm_unseen(void) {
        g_autoptr(Scene) s = scene_new("desktop", NULL);
        const char *error;
        const JobEnd *end;
        pid_t vm, seen;

        assert_end(s, detach(s, CARD, ""), "done", "");
        vm = vm_start_privately("win10", GROUP);
        g_assert_cmpstr(state_of(s, CARD), ==, "detached");
        end = attach(s, CARD, "");
        assert_end(s, end, "refused", "InUse");
        assert_has(end->message, "win10");
        g_assert_null(plan(s, "attach", CARD, "", &error));
        g_assert_cmpstr(error, ==, GPUPT_ERROR_IN_USE);

        /* Somebody opens the node itself, which makes the daemon look. */
        seen = process_start(s, "looker", GROUP);
        wait_state(s, CARD, "assigned");
        sim_let_go(s->m, seen);
        wait_gpu_property(s, CARD, "VirtualMachine", "(qemu win10)");
        sim_let_go(s->m, vm);
        assert_end(s, attach(s, CARD, ""), "done", "");
        assert_as_at_first(s);
}

/* Who opens the node hands it to the machine, as helpers without privileges do it, and nobody is told of that: when the opening
 * is looked into, nobody has it. */
static void test_vm_handed(void) {
        g_autoptr(Scene) s = scene_new("desktop", NULL);
        HandedVm vm;

        assert_end(s, detach(s, CARD, ""), "done", "");
        vm = vm_start_handed("win10", GROUP);
        g_assert_cmpstr(holders_of(s, CARD), ==, "[]");
        g_assert_cmpstr(holders_of(s, CARD), ==, "[]");
        /* A quick look may have seen who opened it. */
        wait_state(s, CARD, "detached");
        vm_hand_over(s, &vm, GROUP);
        wait_state(s, CARD, "assigned");
        wait_gpu_property(s, CARD, "VirtualMachine", "(qemu win10)");
        sim_let_go(s->m, vm.pid);
        wait_state(s, CARD, "detached");
        assert_end(s, attach(s, CARD, ""), "done", "");
        assert_as_at_first(s);
}

/* An attach that says how long it may take waits for the machine's end. */
static void test_vm_wait(void) {
        g_autoptr(Scene) s = scene_new("desktop", NULL);
        const JobEnd *end;
        const char *job;
        pid_t vm;

        assert_end(s, detach(s, CARD, ""), "done", "");
        vm = vm_start(s, "win10", GROUP);
        wait_state(s, CARD, "assigned");
        end = attach(s, CARD, "wait=0");
        assert_end(s, end, "failed", "InUse");
        assert_has(end->message, "win10");
        job = job_start(s, "Attach", CARD, "wait=600");
        sim_wait_property(s->m, job, GPUPT_JOB_INTERFACE, "Description", "wait up to 600 s until nobody holds " CARD);
        sim_let_go(s->m, vm);
        assert_end(s, job_wait(s, job), "done", "");
        assert_as_at_first(s);
}

/* The daemon was away when the machine opened it. */
static void test_vm_restart(void) {
        g_autoptr(Scene) s = scene_new("desktop", NULL);
        pid_t vm;

        assert_end(s, detach(s, CARD, ""), "done", "");
        sim_daemon_kill(s->m);
        vm = vm_start(s, "win10", GROUP);
        scene_start(s);
        wait_state(s, CARD, "assigned");
        sim_let_go(s->m, vm);
        wait_state(s, CARD, "detached");
        assert_end(s, attach(s, CARD, ""), "done", "");
        assert_as_at_first(s);
}

/* A shell unbinds what a machine has open: the write never returns before the machine ends. */
static void test_foreign_stuck(void) {
        g_autoptr(Scene) s = scene_new("desktop", NULL);
        const JobEnd *end;
        pid_t vm, shell;

        assert_end(s, detach(s, CARD, ""), "done", "");
        vm = vm_start(s, "win10", GROUP);
        wait_state(s, CARD, "assigned");
        shell = shell_write("/sys/bus/pci/drivers/vfio-pci/unbind", CARD);
        wait_state(s, CARD, "stuck");
        assert_has(gpu_property(s, CARD, "HealthFindings"), "virtual machine win10");
        end = attach(s, CARD, "");
        assert_end(s, end, "refused", "Stuck");
        assert_end(s, detach(s, CARD, ""), "refused", "Stuck");
        assert_end(s, detach(s, "0000:09:00.0", "disrupt-session"), "done", "");
        assert_end(s, attach(s, "0000:09:00.0", ""), "done", "");

        sim_let_go(s->m, vm);
        g_assert_cmpint(shell_wait(s, shell), ==, 0);
        wait_state(s, CARD, "partial");
        assert_end(s, attach(s, CARD, ""), "done", "");
        assert_as_at_first(s);
}

/* ---- many ---- */

static char *eighth(unsigned i, unsigned function) {
        return g_strdup_printf("0000:%u0:00.%u", i + 1, function);
}

static void test_eight(void) {
        g_autoptr(Scene) s = scene_new("eight", NULL);
        static const char *const methods[] = { "Detach", "Attach" };

        for (size_t k = 0; k < ELEMENTSOF(methods); k++) {
                const char *jobs[8];
                unsigned fault = 0;

                /* The first one hangs: the others do not wait for it. */
                fault = sim_fault(s->m, "0000:10:00.0", "driver_override", "hang");
                for (unsigned i = 0; i < 8; i++) {
                        g_autofree char *gpu = eighth(i, 0);

                        jobs[i] = job_start(s, methods[k], gpu, "");
                }
                for (unsigned i = 1; i < 8; i++)
                        assert_end(s, job_wait(s, jobs[i]), "done", "");
                g_assert_cmpstr(job_property(s, jobs[0], "State"), ==, "running");
                sim_fault_release(s->m, fault);
                assert_end(s, job_wait(s, jobs[0]), "done", "");
                for (unsigned i = 0; i < 8; i++) {
                        g_autofree char *gpu = eighth(i, 0), *audio = eighth(i, 1);

                        g_assert_cmpstr(state_of(s, gpu), ==, k == 0 ? "detached" : "host");
                        assert_drivers(s, k == 0 ? "vfio-pci" : "nouveau", gpu, NULL);
                        assert_drivers(s, k == 0 ? "vfio-pci" : "snd_hda_intel", audio, NULL);
                }
        }
        assert_as_at_first(s);
}

int main(int argc, char *argv[]) {
        sim_init(&argc, &argv);
        g_test_add_func("/outside/bind", test_bind);
        g_test_add_func("/outside/bind-taken", test_bind_taken);
        g_test_add_func("/outside/unplug", test_unplug);
        g_test_add_func("/outside/unplug-companion", test_unplug_companion);
        g_test_add_func("/outside/newcomer", test_newcomer);
        g_test_add_func("/outside/remove", test_remove);
        g_test_add_func("/outside/no-worker", test_no_worker);
        g_test_add_func("/outside/vm", test_vm);
        g_test_add_func("/outside/vm-unseen", test_vm_unseen);
        g_test_add_func("/outside/vm-handed", test_vm_handed);
        g_test_add_func("/outside/vm-wait", test_vm_wait);
        g_test_add_func("/outside/vm-restart", test_vm_restart);
        g_test_add_func("/outside/foreign-stuck", test_foreign_stuck);
        g_test_add_func("/outside/eight", test_eight);
        return g_test_run();
}
