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

G_GNUC_UNUSED static Scene *scene_with(const char *topology, const char *lines) {
        Scene *s = scene_new_with(topology, lines);

        scene_start(s);
        return s;
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
                        s->log_seen = 0;
                        (void) rungs_walked(s);
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
        return g_test_run();
}
