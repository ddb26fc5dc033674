/* SPDX-License-Identifier: GPL-2.0-or-later */

/* test-recover: Reset and Recover as their callers see them: the three sick machines of the field notes, what happens when a
 * VM has closed a card, and what is refused. What befalls single rungs is in test-rungs.c. */

#include <unistd.h>

#include "fixture.h"
#include "util/cleanup.h"

#define CARD "0000:08:00.0"
#define AUDIO "0000:08:00.1"
#define APU "0000:c5:00.0"
#define APU_AUDIO "0000:c5:00.1"
#define NVIDIA "0000:3b:00.0"
#define NVIDIA_AUDIO "0000:3b:00.1"
#define LAPTOP "0000:01:00.0"
#define LAPTOP_AUDIO "0000:01:00.1"
#define LADDER_FILE "/var/lib/gpuptd/ladder"
/* A desktop whose card can do everything. */
#define METHODS "change " CARD " reset=device_specific,acpi,flr,af_flr,pm\nchange " AUDIO " reset=flr,pm\n"

static void assert_healthy(Scene *s, const char *gpu) {
        if (!streq(gpu_property(s, gpu, "Health"), "ok") || !streq(sim_command(s->m, "is-well %s", gpu), "well"))
                g_error("%s is %s, and says it is %s: %s\n%s", gpu, sim_command(s->m, "is-well %s", gpu),
                        gpu_property(s, gpu, "Health"), gpu_property(s, gpu, "HealthFindings"), sim_dump(s->m));
}

#define assert_walked(s, rungs) g_assert_cmpstr(rungs_walked(s), ==, rungs)

static void assert_remembered(Scene *s, const char *line) {
        g_autofree char *whole = g_strdup_printf("\nworked %s\n", line);

        assert_has(strempty(sim_read(s->m, LADDER_FILE)), whole);
}

/* A machine with a file for its card, which is ill when the daemon starts. */
static Scene *sick_scene(const char *topology, const char *lines, const char *gpu, const char *file) {
        g_autofree char *text = g_strdup_printf("[Match]\nAddress=%s\n%s\n", gpu, file);
        Scene *s = scene_new_with(topology, lines);

        put_file("/etc/gpuptd/card.gpu", text);
        (void) sim_command(s->m, "sicken %s", gpu);
        scene_start(s);
        return s;
}

/* Its faults are rate-limited: the daemon is started anew, and sees others. */
static void fall_ill(Scene *s, const char *gpu) {
        (void) sim_command(s->m, "sicken %s", gpu);
        g_assert_cmpint(sim_daemon_stop(s->m), ==, 0);
        scene_start(s);
}

/* A VM opens the card, and is ended. */
static void run_vm(Scene *s, const char *gpu, const char *node) {
        pid_t vm = vm_start(s, "win10", node);

        wait_state(s, gpu, "assigned");
        sim_let_go(s->m, vm);
}

/* ---- the reports ---- */

/* The APU: each VM leaves it ill, nobody calls a hook, and the next one finds it well. */
static void test_apu(void) {
        g_autoptr(Scene) s = scene_new("apu-sick", NULL);

        assert_end(s, detach(s, APU, "disrupt-session"), "done", "");
        for (unsigned round = 0; round < 3; round++) {
                g_autoptr(SimRecorder) signals = sim_recorder_new(s->m);
                const JobEnd *end;

                run_vm(s, APU, "/dev/vfio/18");
                end = job_wait(s, job_next(s, signals));
                assert_end(s, end, "done", "");
                assert_has(end->message, "remove-rescan");
                wait_state(s, APU, "detached");
                assert_healthy(s, APU);
                assert_drivers(s, "vfio-pci", APU, APU_AUDIO, NULL);
                g_assert_cmpstr(sim_override_of(s->m, APU), ==, "vfio-pci");
                g_assert_cmpstr(gpu_property(s, APU, "LastJob"), !=, "");
                if (round == 0)
                        g_assert_true(g_str_has_suffix(rungs_walked(s), "remove-rescan"));
                else
                        assert_walked(s, "remove-rescan");
                assert_remembered(s, "1002:1900:1f66:0031 remove-rescan");
                if (round == 1) {
                        /* Over a restart, too. */
                        g_assert_cmpint(sim_daemon_stop(s->m), ==, 0);
                        scene_start(s);
                }
        }
        assert_end(s, attach(s, APU, ""), "done", "");
        assert_as_at_first(s);
        assert_has(sim_command(s->m, "modules"), "amdgpu");
}

static Scene *nvidia_scene(void) {
        static const char *environment[2];
        Scene *s = scene_new_without_daemon("nvidia-black");

        environment[0] = sim_nvidia_smi();
        s->environment = environment;
        scene_start(s);
        return s;
}

/* The black card, given back by hand: no decodes, the fan is high, the tool hangs, the sound has no driver. */
static void test_nvidia(void) {
        g_autoptr(Scene) s = nvidia_scene();

        assert_end(s, detach(s, NVIDIA, ""), "done", "");
        (void) sim_command(s->m, "module nvidia_drm load");
        (void) sim_command(s->m, "module nvidia_uvm load");
        g_assert_cmpint(sim_write(s->m, "bus/pci/devices/" NVIDIA "/driver_override", "\n"), ==, 0);
        g_assert_cmpint(sim_write(s->m, "bus/pci/devices/" NVIDIA_AUDIO "/driver_override", "\n"), ==, 0);
        g_assert_cmpint(sim_write(s->m, "bus/pci/devices/" NVIDIA "/driver/unbind", NVIDIA), ==, 0);
        g_assert_cmpint(sim_write(s->m, "bus/pci/devices/" NVIDIA_AUDIO "/driver/unbind", NVIDIA_AUDIO), ==, 0);
        g_assert_cmpint(sim_write(s->m, "bus/pci/drivers_probe", NVIDIA), ==, 0);
        g_assert_cmpint(sim_write(s->m, "bus/pci/drivers_probe", NVIDIA_AUDIO), ==, 0);
        assert_drivers(s, "nvidia", NVIDIA, NULL);
        assert_drivers(s, "", NVIDIA_AUDIO, NULL);
        wait_state(s, NVIDIA, "partial");
        (void) rungs_walked(s);

        assert_end(s, run_job(s, "Recover", NVIDIA, ""), "done", "");
        assert_walked(s, "pm");
        assert_healthy(s, NVIDIA);
        assert_drivers(s, "nvidia", NVIDIA, NULL);
        assert_drivers(s, "snd_hda_intel", NVIDIA_AUDIO, NULL);
        g_assert_cmpstr(state_of(s, NVIDIA), ==, "host");
        assert_remembered(s, "10de:1b80:3842:6183 pm");
}

/* The same by gpuptd: the sound finds its driver by name, what is wrong is said, and one call heals it. */
static void test_nvidia_attached(void) {
        g_autoptr(Scene) s = nvidia_scene();

        for (unsigned round = 0; round < 2; round++) {
                assert_end(s, detach(s, NVIDIA, ""), "done", "");
                assert_end(s, attach(s, NVIDIA, ""), "done", "");
                assert_as_at_first(s);
                wait_gpu_property(s, NVIDIA, "Health", "dead");
                assert_has(gpu_property(s, NVIDIA, "HealthFindings"), "vendor-tool-hung");
                (void) rungs_walked(s);
                assert_end(s, run_job(s, "Recover", NVIDIA, ""), "done", "");
                assert_walked(s, "pm");
                assert_healthy(s, NVIDIA);
                assert_as_at_first(s);
        }
}

/* The laptop's card is off: power first, and the bridge. */
static void test_laptop(void) {
        g_autoptr(Scene) s = scene_new_without_daemon("laptop-off");
        static const char *const ways[] = { "bridge power-cycle", "power-cycle" };

        if (access("/proc/acpi", F_OK) < 0) {
                g_test_skip("this host has no /proc/acpi, and no directory can be made in /proc");
                return;
        }
        put_file("/etc/gpuptd/laptop.gpu", "[Match]\nVendor=10de\n[Reset]\nLadder=bridge power-cycle\n");
        scene_start(s);
        for (size_t i = 0; i < ELEMENTSOF(ways); i++) {
                const JobEnd *end = detach(s, LAPTOP, "");

                g_assert_cmpstr(short_name(end->error), ==, "Unreachable");
                g_assert_cmpstr(state_of(s, LAPTOP), ==, "unreachable");
                (void) rungs_walked(s);
                assert_end(s, run_job(s, "Recover", LAPTOP, ""), "done", "");
                assert_walked(s, ways[i]);
                assert_healthy(s, LAPTOP);
                g_assert_cmpstr(state_of(s, LAPTOP), ==, "host");
                assert_drivers(s, "nvidia", LAPTOP, NULL);
                assert_drivers(s, "snd_hda_intel", LAPTOP_AUDIO, NULL);
                assert_remembered(s, "10de:1c8d:1043:1b30 power-cycle");
                /* It was loaded, and it is usable: had it been loaded during the removal, it would be neither. */
                g_assert_cmpstr(sim_read(s->m, "/proc/acpi/bbswitch"), ==, LAPTOP " ON");
                g_assert_cmpint(sim_write(s->m, "bus/pci/drivers/nvidia/unbind", LAPTOP), ==, 0);
                (void) sim_command(s->m, "sicken " LAPTOP);
                (void) sim_command(s->m, "sicken " LAPTOP_AUDIO);
                (void) sim_command(s->m, "switch bbswitch OFF");
        }
}

/* ---- which rungs ---- */

static void test_forbidden(void) {
        g_autoptr(Scene) s = sick_scene("desktop", METHODS "change " CARD " symptom=faults cure=flr,pm", CARD, "[Reset]\nForbid=flr acpi");

        assert_end(s, run_job(s, "Reset", CARD, "method=flr"), "refused", "NotSupported");
        assert_end(s, run_job(s, "Recover", CARD, ""), "done", "");
        assert_walked(s, "af_flr device_specific pm");
        assert_healthy(s, CARD);
        assert_as_at_first(s);
}

/* These and no others, in this order; what helped before comes first. */
static void test_order(void) {
        g_autoptr(Scene) s = sick_scene("desktop", METHODS "change " CARD " symptom=faults cure=slot", CARD,
                                        "[Reset]\nLadder=pm slot flr");

        assert_end(s, run_job(s, "Recover", CARD, ""), "done", "");
        assert_walked(s, "pm slot");
        assert_healthy(s, CARD);
        fall_ill(s, CARD);
        assert_end(s, run_job(s, "Recover", CARD, ""), "done", "");
        assert_walked(s, "slot");
        assert_as_at_first(s);
}

static void test_opt_in(void) {
        g_autoptr(Scene) s = sick_scene("desktop", "change " CARD " symptom=faults cure=slot", CARD, "");
        const JobEnd *end = run_job(s, "Recover", CARD, "");

        assert_end(s, end, "failed", "ResetFailed");
        assert_has(end->message, "slot");
        assert_walked(s, "bus subordinate remove-rescan");
        g_assert_cmpstr(gpu_property(s, CARD, "Health"), ==, "degraded");
        assert_as_at_first(s);
        assert_end(s, run_job(s, "Reset", CARD, "method=slot"), "done", "");
        assert_walked(s, "slot");
        assert_healthy(s, CARD);
        assert_as_at_first(s);
}

static void test_reset(void) {
        g_autoptr(Scene) s = scene_new_with("desktop", METHODS);
        static const char *const impossible[] = { "power-cycle", "driver" };

        scene_start(s);
        assert_end(s, run_job(s, "Reset", CARD, ""), "done", "");
        assert_walked(s, "flr");
        assert_as_at_first(s);
        assert_end(s, run_job(s, "Reset", CARD, "method=pm"), "done", "");
        assert_walked(s, "pm");
        assert_as_at_first(s);
        /* A reset that is not needed is no help that is remembered. */
        g_assert_null(sim_read(s->m, LADDER_FILE));

        for (size_t i = 0; i < ELEMENTSOF(impossible); i++) {
                g_autofree char *option = g_strdup_printf("method=%s", impossible[i]);
                const JobEnd *end = run_job(s, "Reset", CARD, option);

                assert_end(s, end, "refused", "NotSupported");
                assert_has(end->message, CARD);
        }
        assert_end(s, run_job(s, "Reset", "0000:09:00.0", "method=acpi disrupt-session"), "refused", "NotSupported");
        assert_end(s, run_job(s, "Reset", CARD, "method=explode"), "refused", "InvalidArgs");
        assert_end(s, run_job(s, "Recover", CARD, "colour=red"), "refused", "InvalidArgs");
        assert_end(s, run_job(s, "Recover", CARD, ""), "done", "");
        assert_walked(s, "");
        assert_as_at_first(s);
}

/* ---- who is in the way ---- */

static void test_in_use(void) {
        g_autoptr(Scene) s = scene_new_with("desktop", METHODS);
        g_autofree char *pid = NULL;
        const JobEnd *end;
        pid_t holder;

        scene_start(s);
        holder = process_start(s, "player", node_of(s, AUDIO, "pcm"));
        pid = g_strdup_printf("%d", holder);
        end = run_job(s, "Reset", CARD, "method=flr wait=0");
        assert_end(s, end, "failed", "InUse");
        assert_has(end->message, pid);
        assert_as_at_first(s);
        assert_end(s, run_job(s, "Reset", CARD, "method=flr wait=0 force"), "done", "");
        g_assert_cmpint(sim_wait_ended(s->m, holder), !=, 0);
        assert_as_at_first(s);
}

static void test_vm(void) {
        g_autoptr(Scene) s = scene_new_with("desktop", METHODS);
        static const char *const methods[] = { "Reset", "Recover" };
        pid_t vm;

        scene_start(s);
        assert_end(s, detach(s, CARD, ""), "done", "");
        vm = vm_start(s, "win10", "/dev/vfio/15");
        wait_state(s, CARD, "assigned");
        for (size_t i = 0; i < 2 * ELEMENTSOF(methods); i++) {
                const JobEnd *end = run_job(s, methods[i / 2], CARD, i % 2 ? "force" : "");

                g_assert_cmpstr(short_name(end->error), ==, "InUse");
                assert_walked(s, "");
        }
        g_assert_cmpstr(state_of(s, CARD), ==, "assigned");
        sim_let_go(s->m, vm);
        wait_state(s, CARD, "detached");
        assert_end(s, run_job(s, "Reset", CARD, "method=flr"), "done", "");
        assert_end(s, attach(s, CARD, ""), "done", "");
        assert_as_at_first(s);
}

static void test_last_display(void) {
        g_autoptr(Scene) s = scene_new("desktop", NULL);
        const JobEnd *end = run_job(s, "Reset", "0000:09:00.0", "method=remove-rescan");

        g_assert_cmpstr(short_name(end->error), ==, "LastDisplay");
        assert_as_at_first(s);
        assert_end(s, run_job(s, "Reset", "0000:09:00.0", "method=remove-rescan disrupt-session"), "done", "");
        assert_as_at_first(s);
}

static void test_busy(void) {
        g_autoptr(Scene) s = sick_scene("desktop", METHODS "change " CARD " symptom=faults cure=pm", CARD, "");
        unsigned fault = sim_fault(s->m, CARD, "flr", "hang");
        const char *job = job_start(s, "Recover", CARD, "");
        static const char *const methods[] = { "Reset", "Recover", "Detach", "Attach" };

        sim_fault_wait(s->m, fault);
        for (size_t i = 0; i < ELEMENTSOF(methods); i++)
                assert_end(s, run_job(s, methods[i], CARD, ""), "refused", "Busy");
        g_assert_cmpstr(job_property(s, job, "Operation"), ==, "recover");
        sim_fault_release(s->m, fault);
        assert_end(s, job_wait(s, job), "done", "");
        assert_healthy(s, CARD);
        assert_as_at_first(s);
}

/* Between two rungs, and while it waits for people. */
static void test_cancel(void) {
        g_autoptr(Scene) s = sick_scene("desktop", METHODS "change " CARD " symptom=faults cure=pm", CARD, "");
        unsigned fault = sim_fault(s->m, CARD, "flr", "hang");
        const char *job = job_start(s, "Recover", CARD, "");
        pid_t holder;

        sim_fault_wait(s->m, fault);
        g_assert_cmpstr(job_call(s, job, "Cancel", NULL, ""), ==, "");
        sim_fault_release(s->m, fault);
        assert_end(s, job_wait(s, job), "cancelled", "Cancelled");
        assert_walked(s, "flr");
        assert_as_at_first(s);

        holder = process_start(s, "player", node_of(s, AUDIO, "pcm"));
        fall_ill(s, CARD);
        job = job_start(s, "Recover", CARD, "wait=600");
        sim_wait_property(s->m, job, GPUPT_JOB_INTERFACE, "Description",
                          "wait up to 600 s until nobody holds " CARD);
        g_assert_cmpstr(job_call(s, job, "Cancel", NULL, ""), ==, "");
        assert_end(s, job_wait(s, job), "cancelled", "Cancelled");
        sim_let_go(s->m, holder);
        assert_as_at_first(s);
}

static void test_polkit(void) {
        g_autoptr(Scene) s = scene_new_with("desktop", METHODS);

        scene_start(s);
        if (!scene_be_user(s))
                return;
        sim_polkit_set(s->m, "no", NULL);
        assert_end(s, run_job(s, "Reset", CARD, ""), "refused", "AccessDenied");
        assert_end(s, run_job(s, "Recover", CARD, ""), "refused", "AccessDenied");
        sim_polkit_set(s->m, "yes", "org.gpupt1.reset");
        assert_end(s, run_job(s, "Reset", CARD, ""), "done", "");
        assert_end(s, run_job(s, "Recover", CARD, ""), "refused", "AccessDenied");
        sim_polkit_set(s->m, "yes", "org.gpupt1.recover");
        assert_end(s, run_job(s, "Recover", CARD, ""), "done", "");
        assert_has(sim_polkit_log(s->m), "org.gpupt1.reset");
        assert_has(sim_polkit_log(s->m), "org.gpupt1.recover");
        assert_as_at_first(s);
}

/* ---- absent, unreachable ---- */

static void test_absent(void) {
        g_autoptr(Scene) s = scene_new("desktop", NULL);

        for (unsigned detached = 0; detached < 2; detached++) {
                if (detached)
                        assert_end(s, detach(s, CARD, ""), "done", "");
                g_assert_cmpint(sim_write(s->m, "bus/pci/devices/" AUDIO "/remove", "1"), ==, 0);
                g_assert_cmpint(sim_write(s->m, "bus/pci/devices/" CARD "/remove", "1"), ==, 0);
                wait_state(s, CARD, "absent");
                assert_end(s, run_job(s, "Recover", CARD, ""), "done", "");
                assert_walked(s, "remove-rescan");
                wait_state(s, CARD, detached ? "detached" : "host");
                assert_healthy(s, CARD);
        }
        assert_drivers(s, "vfio-pci", CARD, AUDIO, NULL);
        assert_end(s, attach(s, CARD, ""), "done", "");
        assert_as_at_first(s);
}

/* What an attach does by itself is weak; a healthy card is not touched. */
static void test_unreachable(void) {
        g_autoptr(Scene) s = scene_new_with("desktop", METHODS "change " CARD " cure=slot,pm");
        const JobEnd *end;

        scene_start(s);
        assert_end(s, detach(s, CARD, ""), "done", "");
        (void) sim_fault(s->m, CARD, "pm", "no-effect");
        (void) sim_command(s->m, "die " CARD);
        end = attach(s, CARD, "");
        g_assert_cmpstr(short_name(end->error), ==, "Unreachable");
        assert_walked(s, "wake flr af_flr pm");
        g_assert_cmpstr(state_of(s, CARD), ==, "unreachable");
        g_assert_cmpstr(gpu_property(s, CARD, "Health"), ==, "dead");

        assert_end(s, attach(s, CARD, ""), "done", "");
        assert_walked(s, "wake flr af_flr pm");
        assert_as_at_first(s);
        assert_end(s, detach(s, CARD, ""), "done", "");
        assert_end(s, attach(s, CARD, ""), "done", "");
        assert_walked(s, "");
        assert_as_at_first(s);
}

/* ---- after a VM ---- */

static void test_after_vm_keep(void) {
        g_autoptr(Scene) s = scene_new("apu-sick", "/etc/gpuptd/apu.gpu", "[Match]\nVendor=1002\n[Gpu]\nAfterVm=keep\n", NULL);
        const JobEnd *first = detach(s, APU, "disrupt-session"), *next;

        run_vm(s, APU, "/dev/vfio/18");
        wait_state(s, APU, "detached");
        next = run_job(s, "Recover", APU, "");
        assert_end(s, next, "done", "");
        /* No job of the daemon's own came between. */
        g_assert_cmpuint(next->id, ==, first->id + 1);
        assert_healthy(s, APU);
        assert_end(s, attach(s, APU, ""), "done", "");
        assert_as_at_first(s);
}

static void test_after_vm_attach(void) {
        g_autoptr(Scene) s = scene_new("desktop", "/etc/gpuptd/card.gpu", "[Match]\nVendor=10de\n[Gpu]\nAfterVm=attach\n", NULL);

        assert_end(s, detach(s, CARD, ""), "done", "");
        run_vm(s, CARD, "/dev/vfio/15");
        wait_state(s, CARD, "host");
        assert_as_at_first(s);
}

/* The lease goes first, then the VM: the attach follows, and no recovery is begun. */
static void test_after_vm_lease(void) {
        g_autoptr(Scene) s = scene_new("desktop", NULL);
        const char *job;
        pid_t vm;
        int lease;

        lease = acquire(s, CARD, "", &job, NULL);
        assert_end(s, job_wait(s, job), "done", "");
        vm = vm_start(s, "win10", "/dev/vfio/15");
        wait_state(s, CARD, "assigned");
        (void) close(lease);
        sim_let_go(s->m, vm);
        wait_state(s, CARD, "host");
        assert_walked(s, "");
        assert_as_at_first(s);
}

/* Whoever shuts his VM down and takes the card back at once is not told that it is busy. */
static void test_after_vm_at_once(void) {
        g_autoptr(Scene) s = scene_new("desktop", NULL);

        for (unsigned i = 0; i < 5; i++) {
                assert_end(s, detach(s, CARD, ""), "done", "");
                run_vm(s, CARD, "/dev/vfio/15");
                assert_end(s, attach(s, CARD, ""), "done", "");
                assert_as_at_first(s);
        }
        assert_walked(s, "");
}

int main(int argc, char *argv[]) {
        const char *reason;

        sim_init(&argc, &argv);
        reason = install_quirks();
        if (reason)
                g_error("%s", reason);
        g_test_add_func("/recover/apu", test_apu);
        g_test_add_func("/recover/nvidia", test_nvidia);
        g_test_add_func("/recover/nvidia-attached", test_nvidia_attached);
        g_test_add_func("/recover/laptop", test_laptop);
        g_test_add_func("/recover/forbidden", test_forbidden);
        g_test_add_func("/recover/order", test_order);
        g_test_add_func("/recover/opt-in", test_opt_in);
        g_test_add_func("/recover/reset", test_reset);
        g_test_add_func("/recover/in-use", test_in_use);
        g_test_add_func("/recover/vm", test_vm);
        g_test_add_func("/recover/last-display", test_last_display);
        g_test_add_func("/recover/busy", test_busy);
        g_test_add_func("/recover/cancel", test_cancel);
        g_test_add_func("/recover/polkit", test_polkit);
        g_test_add_func("/recover/absent", test_absent);
        g_test_add_func("/recover/unreachable", test_unreachable);
        g_test_add_func("/recover/after-vm-keep", test_after_vm_keep);
        g_test_add_func("/recover/after-vm-attach", test_after_vm_attach);
        g_test_add_func("/recover/after-vm-lease", test_after_vm_lease);
        g_test_add_func("/recover/after-vm-at-once", test_after_vm_at_once);
        return g_test_run();
}
