/* SPDX-License-Identifier: GPL-2.0-or-later */

/* test-phase: what a VM manager tells before and after it starts and stops a VM: Gpu.VmPhase(). The card is there and well
 * before the start, leaves the bus while the guest lets go, and is found again after the stop; whatever happens between, an
 * attach brings back what the host had at first. */

#include <errno.h>
#include <glob.h>
#include <signal.h>
#include <stdio.h>
#include <unistd.h>

#include "fixture.h"
#include "gate.h"
#include "util/cleanup.h"

#define CARD "0000:08:00.0"
#define AUDIO "0000:08:00.1"
#define CARD_NODE "/dev/vfio/15"
#define OTHER "0000:09:00.0"
#define OTHER_AUDIO "0000:09:00.1"
#define APU "0000:c5:00.0"
#define APU_AUDIO "0000:c5:00.1"
#define KEEP GPUPT_RUN_DIR "/keep-"
/* More steps than any phase has. */
#define MANY 1000U

/* The job's path, or NULL and its end, if the call is refused. */
static const char *phase_start_as(Scene *s, const char *gpu, const char *manager, const char *vm, const char *name,
                                  const char *options, const JobEnd **ret_refused) {
        _cleanup_(sd_bus_message_unrefp) sd_bus_message *m = NULL, *reply = NULL;
        _cleanup_(sd_bus_error_free) sd_bus_error error = SD_BUS_ERROR_NULL;
        const char *path;
        JobEnd *end;

        g_assert_cmpint(sd_bus_message_new_method_call(s->caller, &m, GPUPT_BUS_NAME, gpu_path(s, gpu), GPUPT_GPU_INTERFACE,
                                                       "VmPhase"), >=, 0);
        g_assert_cmpint(sd_bus_message_append(m, "sss", manager, vm, name), >=, 0);
        g_assert_cmpint(append_options(m, options), >=, 0);
        if (sd_bus_call(s->caller, m, 0, &error, &reply) < 0) {
                end = g_new(JobEnd, 1);
                *end = (JobEnd) { 0, NULL, g_strdup(gpu), g_strdup("refused"), g_strdup(error.name), g_strdup(error.message) };
                g_ptr_array_add(s->ends, end);
                *ret_refused = end;
                return NULL;
        }
        g_assert_cmpint(sd_bus_message_read(reply, "o", &path), >=, 0);
        g_ptr_array_add(s->strings, g_strdup(path));
        return g_ptr_array_index(s->strings, s->strings->len - 1);
}

static const JobEnd *phase_with(Scene *s, const char *gpu, const char *name, const char *options) {
        const JobEnd *end = NULL;
        const char *path = phase_start_as(s, gpu, "libvirt", "win10", name, options, &end);

        return path ? job_wait(s, path) : end;
}

static const JobEnd *phase(Scene *s, const char *gpu, const char *name) {
        return phase_with(s, gpu, name, "");
}

static const char *phase_start(Scene *s, const char *gpu, const char *name) {
        const JobEnd *end = NULL;
        const char *path = phase_start_as(s, gpu, "libvirt", "win10", name, "", &end);

        if (!path)
                g_error("%s of %s is refused: %s: %s", name, gpu, end->error, end->message);
        return path;
}

static void assert_nothing_kept(void) {
        glob_t found = {};

        if (glob(KEEP "*", 0, NULL, &found) == 0)
                g_error("%s is still there", found.gl_pathv[0]);
        globfree(&found);
}

static const char *attribute(Scene *s, const char *address, const char *name) {
        g_autofree char *path = g_strdup_printf("bus/pci/devices/%s/%s", address, name);

        return strempty(sim_read(s->m, path));
}

static bool is_on_bus(Scene *s, const char *address) {
        g_autofree char *path = g_strdup_printf("bus/pci/devices/%s", address);

        return sim_exists(s->m, path);
}

/* The next phase opens it, so it does not sleep. */
static void assert_ready(Scene *s, const char *card, const char *audio) {
        g_assert_cmpstr(state_of(s, card), ==, "detached");
        assert_drivers(s, "vfio-pci", card, audio, NULL);
        g_assert_cmpstr(attribute(s, card, "power/control"), ==, "on");
        g_assert_cmpstr(attribute(s, audio, "power/control"), ==, "on");
        g_assert_cmpstr(attribute(s, card, "d3cold_allowed"), ==, "0");
        assert_nothing_kept();
}

static void assert_parked(Scene *s, const char *card, const char *audio) {
        g_assert_cmpstr(state_of(s, card), ==, "detached");
        assert_drivers(s, "vfio-pci", card, audio, NULL);
        g_assert_cmpstr(attribute(s, card, "power/control"), ==, "auto");
        assert_nothing_kept();
}

static void assert_away(Scene *s, const char *card, const char *audio) {
        g_assert_cmpstr(state_of(s, card), ==, "absent");
        g_assert_false(is_on_bus(s, card) || is_on_bus(s, audio));
}

/* A machine of the topologies with some lines more. */
static Scene *scene_with(const char *topology, const char *lines, const char *configuration) {
        g_autofree char *text = g_strdup_printf("include " SOURCE_ROOT "/tests/sim/topologies/%s.topology\n%s\n", topology, lines);
        Scene *s;

        put_file("/run/phase.topology", text);
        s = scene_new_without_daemon("/run/phase.topology");
        put_file("/etc/gpuptd/gpuptd.conf", configuration);
        scene_start(s);
        return s;
}

static void remove_by_hand(Scene *s, const char *address) {
        g_autofree char *path = g_strdup_printf("bus/pci/devices/%s/remove", address);

        g_assert_cmpint(sim_write(s->m, path, "1"), ==, 0);
}

/* ---- before the start ---- */

static void test_from_host(void) {
        g_autoptr(Scene) s = scene_new("desktop", NULL);
        const JobEnd *end = phase(s, CARD, "pre-start");

        assert_end(s, end, "done", "");
        assert_has(end->message, "pre-start");
        assert_has(end->message, "win10");
        assert_ready(s, CARD, AUDIO);
        assert_end(s, attach(s, CARD, ""), "done", "");
        assert_as_at_first(s);
}

static void test_from_detached(void) {
        g_autoptr(Scene) s = scene_new("desktop", NULL);

        assert_end(s, detach(s, CARD, ""), "done", "");
        for (unsigned i = 0; i < 2; i++) {
                assert_end(s, phase(s, CARD, "pre-start"), "done", "");
                assert_ready(s, CARD, AUDIO);
        }
        assert_end(s, attach(s, CARD, ""), "done", "");
        assert_as_at_first(s);
}

static const JobEnd *pre_start_of(Scene *s, const char *vm) {
        const JobEnd *end = NULL;
        const char *path = phase_start_as(s, CARD, "libvirt", vm, "pre-start", "", &end);

        return path ? job_wait(s, path) : end;
}

static void assert_taken_for(Scene *s, const char *vm) {
        g_assert_cmpstr(gpu_property(s, CARD, "TakenFor"), ==, vm);
}

/* Who gives it back is whom it was taken for; not what found it detached already. It outlives the daemon. */
static void test_taken_for(void) {
        g_autoptr(Scene) s = scene_new("desktop", NULL);

        assert_taken_for(s, "");
        assert_end(s, pre_start_of(s, "win10"), "done", "");
        assert_taken_for(s, "win10 (libvirt)");
        assert_end(s, detach(s, CARD, ""), "done", "");
        sim_daemon_kill(s->m);
        scene_start(s);
        assert_taken_for(s, "win10 (libvirt)");
        assert_end(s, phase(s, CARD, "post-stop"), "done", "");
        assert_taken_for(s, "win10 (libvirt)");
        assert_end(s, pre_start_of(s, "another"), "done", "");
        assert_taken_for(s, "another (libvirt)");
        assert_end(s, attach(s, CARD, ""), "done", "");
        assert_taken_for(s, "");
        assert_as_at_first(s);

        assert_end(s, detach(s, CARD, ""), "done", "");
        assert_end(s, pre_start_of(s, "win10"), "done", "");
        assert_taken_for(s, "");
        assert_end(s, phase(s, CARD, "post-stop"), "done", "");
        assert_end(s, attach(s, CARD, ""), "done", "");
        assert_as_at_first(s);
}

/* By hand, once with VFIO and once with the host's driver; the second time the kernel gives it back to that. */
static void test_from_absent(void) {
        g_autoptr(Scene) s = scene_new("desktop", NULL);

        assert_end(s, detach(s, CARD, ""), "done", "");
        remove_by_hand(s, AUDIO);
        remove_by_hand(s, CARD);
        wait_state(s, CARD, "absent");
        assert_end(s, phase(s, CARD, "pre-start"), "done", "");
        assert_ready(s, CARD, AUDIO);
        assert_end(s, attach(s, CARD, ""), "done", "");
        assert_as_at_first(s);

        remove_by_hand(s, AUDIO);
        remove_by_hand(s, CARD);
        wait_state(s, CARD, "absent");
        assert_end(s, phase(s, CARD, "pre-start"), "done", "");
        assert_ready(s, CARD, AUDIO);
        assert_end(s, attach(s, CARD, ""), "done", "");
        assert_as_at_first(s);
}

static void test_from_dead(void) {
        static const char *const from[] = { "host", "detached" };

        for (size_t i = 0; i < ELEMENTSOF(from); i++) {
                g_autoptr(Scene) s = scene_with("desktop", "change " CARD " symptom=dead cure=remove-rescan", NULL);
                const JobEnd *end;

                if (i == 1)
                        assert_end(s, detach(s, CARD, ""), "done", "");
                (void) sim_command(s->m, "sicken " CARD);
                assert_end(s, phase(s, CARD, "pre-start"), "done", "");
                assert_ready(s, CARD, AUDIO);
                g_assert_cmpstr(sim_command(s->m, "is-well " CARD), ==, "well");
                assert_end(s, attach(s, CARD, ""), "done", "");
                assert_as_at_first(s);
                scene_free(g_steal_pointer(&s));

                /* Nothing helps: the VM is not started. */
                s = scene_with("desktop", "change " CARD " symptom=dead", NULL);
                if (i == 1)
                        assert_end(s, detach(s, CARD, ""), "done", "");
                (void) sim_command(s->m, "sicken " CARD);
                end = phase(s, CARD, "pre-start");
                assert_end(s, end, "failed", "ResetFailed");
                assert_has(end->message, CARD);
                assert_has(end->message, "remove-rescan");
                assert_nothing_kept();
                assert_alive(s);
        }
}

/* What makes it only less well is no reason to refuse. */
static void test_from_degraded(void) {
        g_autoptr(Scene) s = scene_new("desktop", NULL);

        assert_end(s, detach(s, CARD, ""), "done", "");
        (void) sim_command(s->m, "kernel-log " CARD " Unable to change power state from D3hot to D0, device inaccessible");
        assert_end(s, phase(s, CARD, "pre-start"), "done", "");
        assert_ready(s, CARD, AUDIO);
        assert_end(s, attach(s, CARD, ""), "done", "");
        assert_as_at_first(s);
}

/* The screen that somebody looks at is not taken without being asked for it. */
static void test_last_display(void) {
        g_autoptr(Scene) s = scene_new("apu", NULL);
        const JobEnd *end = phase(s, APU, "pre-start");

        g_assert_cmpstr(short_name(end->error), ==, "LastDisplay");
        assert_as_at_first(s);
        assert_end(s, phase_with(s, APU, "pre-start", "disrupt-session"), "done", "");
        assert_ready(s, APU, APU_AUDIO);
        assert_end(s, attach(s, APU, ""), "done", "");
        assert_as_at_first(s);
}

/* Somebody holds it: not started; or he is ended, where that is asked for. */
static void test_held(void) {
        g_autoptr(Scene) s = scene_new("desktop", NULL);
        pid_t player = process_start(s, "player", node_of(s, AUDIO, "pcm"));
        const JobEnd *end = phase_with(s, CARD, "pre-start", "wait=0");

        assert_end(s, end, "rolled-back", "InUse");
        assert_has(end->message, "player");
        assert_as_at_first(s);
        assert_nothing_kept();
        assert_end(s, phase_with(s, CARD, "pre-start", "wait=0 force"), "done", "");
        g_assert_cmpint(sim_wait_ended(s->m, player), ==, SIGTERM);
        assert_ready(s, CARD, AUDIO);
        assert_end(s, attach(s, CARD, ""), "done", "");
        assert_as_at_first(s);
}

/* ---- between ---- */

static void test_post_start(void) {
        g_autoptr(Scene) s = scene_new("desktop", NULL);
        const char *path, *dump;
        pid_t vm;

        assert_end(s, phase(s, CARD, "pre-start"), "done", "");
        vm = vm_start(s, "win10", CARD_NODE);
        wait_state(s, CARD, "assigned");
        dump = g_intern_string(sim_dump(s->m));
        path = phase_start(s, CARD, "post-start");
        assert_end(s, job_wait(s, path), "done", "");
        g_assert_cmpstr(sim_dump(s->m), ==, dump);
        g_assert_cmpstr(state_of(s, CARD), ==, "assigned");

        /* That one is the host's again when the VM is gone. */
        assert_end(s, phase(s, CARD, "pre-start"), "failed", "InUse");
        assert_end(s, phase(s, CARD, "post-stop"), "failed", "InUse");
        g_assert_cmpstr(sim_dump(s->m), ==, dump);
        sim_let_go(s->m, vm);
        wait_state(s, CARD, "detached");
}

/* ---- before the stop ---- */

/* Each function as soon as the guest has let go of it, the display first. */
static void test_one_by_one(void) {
        g_autoptr(Scene) s = scene_new("apu", NULL);
        pid_t display, audio;
        const char *job;

        assert_end(s, phase_with(s, APU, "pre-start", "disrupt-session"), "done", "");
        display = vm_start(s, "win10", "/dev/vfio/18");
        audio = vm_start(s, "win10", "/dev/vfio/19");
        wait_state(s, APU, "assigned");
        assert_end(s, phase(s, APU, "post-start"), "done", "");

        job = phase_start(s, APU, "pre-stop");
        sim_wait_property(s->m, job, GPUPT_JOB_INTERFACE, "Description",
                          "remove " APU " from the bus while the guest lets go");
        g_assert_true(is_on_bus(s, APU_AUDIO));
        g_assert_cmpstr(short_name(gpu_call(s, APU, "Detach", NULL, "a{sv}", 0)), ==, "Busy");
        g_assert_cmpstr(phase(s, APU, "post-stop")->error, ==, GPUPT_ERROR_BUSY);
        sim_let_go(s->m, display);
        sim_wait_property(s->m, job, GPUPT_JOB_INTERFACE, "Description",
                          "remove " APU_AUDIO " from the bus while the guest lets go");
        g_assert_false(is_on_bus(s, APU));
        sim_let_go(s->m, audio);
        assert_end(s, job_wait(s, job), "done", "");
        assert_away(s, APU, APU_AUDIO);

        assert_end(s, phase(s, APU, "post-stop"), "done", "");
        assert_parked(s, APU, APU_AUDIO);
        assert_end(s, attach(s, APU, ""), "done", "");
        assert_as_at_first(s);
}

/* A job of another card runs into its limit, so the limit of what was begun before it is over too. */
static void let_limit_pass(Scene *s, const char *other, const char *function) {
        unsigned fault = sim_fault(s->m, function, "unbind", "hang");

        assert_end(s, detach(s, other, "disrupt-session"), "stuck", "Stuck");
        sim_fault_release(s->m, fault);
        wait_state(s, other, "host");
}

/* It is no hang while the VM lives, and one as soon as that has ended. */
static void test_guest_takes_its_time(void) {
        g_autoptr(Scene) s = scene_new("desktop", "/etc/gpuptd/gpuptd.conf", "[Daemon]\nStepTimeoutSec=1\n", NULL);
        const JobEnd *end;
        const char *job;
        unsigned fault;
        pid_t vm;

        assert_end(s, phase(s, CARD, "pre-start"), "done", "");
        vm = vm_start(s, "win10", CARD_NODE);
        wait_state(s, CARD, "assigned");
        fault = sim_fault(s->m, CARD, "remove", "hang");
        job = phase_start(s, CARD, "pre-stop");
        sim_fault_wait(s->m, fault);
        for (unsigned i = 0; i < 2; i++) {
                let_limit_pass(s, OTHER, OTHER_AUDIO);
                assert_alive(s);
                g_assert_cmpstr(job_property(s, job, "State"), ==, "running");
                g_assert_cmpstr(state_of(s, CARD), ==, "assigned");
        }
        sim_let_go(s->m, vm);
        end = job_wait(s, job);
        assert_end(s, end, "stuck", "Stuck");
        assert_has(end->message, CARD);
        g_assert_cmpstr(state_of(s, CARD), ==, "stuck");
        g_assert_cmpstr(phase(s, CARD, "post-stop")->error, ==, GPUPT_ERROR_STUCK);
        let_limit_pass(s, OTHER, OTHER_AUDIO);

        sim_fault_release(s->m, fault);
        wait_state(s, CARD, "absent");
        assert_end(s, phase(s, CARD, "post-stop"), "done", "");
        assert_parked(s, CARD, AUDIO);
        assert_end(s, attach(s, CARD, ""), "done", "");
        assert_as_at_first(s);
}

/* The same for the second function: with the first one went what was known of the holders. */
static void test_second_function_takes_its_time(void) {
        static const char other[] = "0000:00:03.0";
        g_autoptr(Scene) s = scene_with("apu", "module bochs loaded\nfunction 0000:00:03.0 id=1234:1111 class=030000 group=50",
                                        "[Daemon]\nStepTimeoutSec=1\n");
        pid_t display, audio;
        const char *job;

        assert_end(s, phase_with(s, APU, "pre-start", "disrupt-session"), "done", "");
        display = vm_start(s, "win10", "/dev/vfio/18");
        audio = vm_start(s, "win10", "/dev/vfio/19");
        wait_state(s, APU, "assigned");
        job = phase_start(s, APU, "pre-stop");
        sim_wait_property(s->m, job, GPUPT_JOB_INTERFACE, "Description",
                          "remove " APU " from the bus while the guest lets go");
        sim_let_go(s->m, display);
        sim_wait_property(s->m, job, GPUPT_JOB_INTERFACE, "Description",
                          "remove " APU_AUDIO " from the bus while the guest lets go");
        let_limit_pass(s, other, other);
        g_assert_cmpstr(job_property(s, job, "State"), ==, "running");
        sim_let_go(s->m, audio);
        assert_end(s, job_wait(s, job), "done", "");
        assert_away(s, APU, APU_AUDIO);
}

/* Nobody has it: it leaves at once, and a second call finds nothing to do. */
static void test_nobody_has_it(void) {
        g_autoptr(Scene) s = scene_new("desktop", NULL);

        assert_end(s, phase(s, CARD, "pre-start"), "done", "");
        assert_end(s, phase(s, CARD, "pre-stop"), "done", "");
        assert_away(s, CARD, AUDIO);
        assert_end(s, phase(s, CARD, "pre-stop"), "done", "");
        assert_away(s, CARD, AUDIO);
        assert_end(s, phase(s, CARD, "post-start"), "done", "");
        assert_end(s, phase(s, CARD, "post-stop"), "done", "");
        assert_parked(s, CARD, AUDIO);
        assert_end(s, attach(s, CARD, ""), "done", "");
        assert_as_at_first(s);
}

/* Half of it has left already. */
static void test_half_gone(void) {
        g_autoptr(Scene) s = scene_new("desktop", NULL);

        assert_end(s, phase(s, CARD, "pre-start"), "done", "");
        remove_by_hand(s, CARD);
        wait_state(s, CARD, "absent");
        assert_end(s, phase(s, CARD, "pre-stop"), "done", "");
        assert_away(s, CARD, AUDIO);
        assert_end(s, phase(s, CARD, "post-stop"), "done", "");
        assert_parked(s, CARD, AUDIO);
        assert_end(s, attach(s, CARD, ""), "done", "");
        assert_as_at_first(s);
}

/* A card that the host uses is not the VM's. */
static void test_of_the_host(void) {
        g_autoptr(Scene) s = scene_new("desktop", NULL);

        assert_end(s, phase(s, CARD, "pre-stop"), "done", "");
        assert_as_at_first(s);
        assert_end(s, phase(s, CARD, "post-stop"), "done", "");
        assert_as_at_first(s);
        g_assert_cmpstr(state_of(s, CARD), ==, "host");
        assert_nothing_kept();
}

/* ---- after the stop ---- */

static void test_rounds(void) {
        g_autoptr(Scene) s = scene_new("desktop", NULL);

        for (unsigned round = 0; round < 2; round++) {
                pid_t vm;
                const char *job;

                assert_end(s, phase(s, CARD, "pre-start"), "done", "");
                assert_ready(s, CARD, AUDIO);
                vm = vm_start(s, "win10", CARD_NODE);
                wait_state(s, CARD, "assigned");
                assert_end(s, phase(s, CARD, "post-start"), "done", "");
                job = phase_start(s, CARD, "pre-stop");
                sim_let_go(s->m, vm);
                assert_end(s, job_wait(s, job), "done", "");
                assert_away(s, CARD, AUDIO);
                assert_end(s, phase(s, CARD, "post-stop"), "done", "");
                assert_parked(s, CARD, AUDIO);
        }
        assert_end(s, attach(s, CARD, ""), "done", "");
        assert_as_at_first(s);
        assert_end(s, detach(s, CARD, ""), "done", "");
        assert_end(s, attach(s, CARD, ""), "done", "");
        assert_as_at_first(s);
}

/* The manager calls as soon as its process has ended, which is before anybody has looked who has the card now. */
static void test_at_once(void) {
        g_autoptr(Scene) s = scene_new("desktop", "/etc/gpuptd/card.gpu",
                                       "[Match]\nAddress=" CARD "\n[Gpu]\nAfterVm=keep\n", NULL);

        assert_end(s, phase(s, CARD, "pre-start"), "done", "");
        for (unsigned i = 0; i < 5; i++) {
                pid_t vm = vm_start(s, "win10", CARD_NODE);

                wait_state(s, CARD, "assigned");
                sim_let_go(s->m, vm);
                assert_end(s, phase(s, CARD, "post-stop"), "done", "");
                assert_parked(s, CARD, AUDIO);
                wait_state(s, CARD, "detached");
        }
        assert_end(s, attach(s, CARD, ""), "done", "");
        assert_as_at_first(s);
}

/* The report: it works once per boot, until it leaves the bus. */
static void test_apu(void) {
        g_autoptr(Scene) s = scene_new("apu-sick", NULL);

        for (unsigned round = 0; round < 2; round++) {
                const char *job;
                pid_t vm;

                assert_end(s, phase_with(s, APU, "pre-start", "disrupt-session"), "done", "");
                assert_ready(s, APU, APU_AUDIO);
                g_assert_cmpstr(sim_command(s->m, "is-well " APU), ==, "well");
                vm = vm_start(s, "win10", "/dev/vfio/18");
                wait_state(s, APU, "assigned");
                job = phase_start(s, APU, "pre-stop");
                sim_let_go(s->m, vm);
                assert_end(s, job_wait(s, job), "done", "");
                assert_end(s, phase(s, APU, "post-stop"), "done", "");
                assert_parked(s, APU, APU_AUDIO);
                g_assert_cmpstr(sim_command(s->m, "is-well " APU), ==, "well");
        }
        assert_end(s, attach(s, APU, ""), "done", "");
        assert_as_at_first(s);
}

/* Sick without having left the bus: the ladder is climbed. */
static void test_post_stop_heals(void) {
        g_autoptr(Scene) s = scene_with("desktop", "change " CARD " symptom=dead cure=remove-rescan", NULL);

        assert_end(s, phase(s, CARD, "pre-start"), "done", "");
        (void) sim_command(s->m, "sicken " CARD);
        assert_end(s, phase(s, CARD, "post-stop"), "done", "");
        assert_parked(s, CARD, AUDIO);
        g_assert_cmpstr(sim_command(s->m, "is-well " CARD), ==, "well");
        assert_end(s, attach(s, CARD, ""), "done", "");
        assert_as_at_first(s);
}

/* A twin needs the driver, so it cannot be kept out of the rescan; the card is found all the same, and taken again. */
static void test_twin(void) {
        static const char card[] = "0000:01:00.0", audio[] = "0000:01:00.1";
        g_autoptr(Scene) s = scene_new("twins", NULL);

        assert_end(s, phase(s, card, "pre-start"), "done", "");
        assert_end(s, phase(s, card, "pre-stop"), "done", "");
        assert_away(s, card, audio);
        assert_end(s, phase(s, card, "post-stop"), "done", "");
        assert_parked(s, card, audio);
        assert_drivers(s, "nouveau", "0000:02:00.0", NULL);
        assert_end(s, attach(s, card, ""), "done", "");
        assert_as_at_first(s);
}

/* ---- refusals ---- */

static const char *phase_error(Scene *s, const char *manager, const char *vm, const char *name, const char *options) {
        const JobEnd *end = NULL;
        const char *path = phase_start_as(s, CARD, manager, vm, name, options, &end);

        if (path)
                end = job_wait(s, path);
        return short_name(end->error);
}

static void test_refusals(void) {
        g_autoptr(Scene) s = scene_new("desktop", NULL);
        g_autofree char *longest = g_strnfill(64, 'x'), *too_long = g_strnfill(65, 'x');

        g_assert_cmpstr(phase_error(s, "libvirt", "win10", "pre-party", ""), ==, "InvalidArgs");
        g_assert_cmpstr(phase_error(s, "libvirt", "win10", "", ""), ==, "InvalidArgs");
        g_assert_cmpstr(phase_error(s, "", "win10", "post-start", ""), ==, "InvalidArgs");
        g_assert_cmpstr(phase_error(s, "libvirt", "", "post-start", ""), ==, "InvalidArgs");
        g_assert_cmpstr(phase_error(s, "libvirt", "win\n10", "post-start", ""), ==, "InvalidArgs");
        g_assert_cmpstr(phase_error(s, "lib\x1bvirt", "win10", "post-start", ""), ==, "InvalidArgs");
        g_assert_cmpstr(phase_error(s, "libvirt", "win\x7f", "post-start", ""), ==, "InvalidArgs");
        g_assert_cmpstr(phase_error(s, "libvirt", too_long, "post-start", ""), ==, "InvalidArgs");
        g_assert_cmpstr(phase_error(s, too_long, "win10", "post-start", ""), ==, "InvalidArgs");
        g_assert_cmpstr(phase_error(s, "libvirt", "win10", "post-start", "functions=" CARD), ==, "InvalidArgs");
        g_assert_cmpstr(phase_error(s, "libvirt", "win10", "post-start", "method=bus"), ==, "InvalidArgs");
        g_assert_cmpstr(phase_error(s, "libvirt", "win10", "post-start", "wait=601"), ==, "InvalidArgs");
        g_assert_cmpstr(phase_error(s, longest, longest, "post-start", ""), ==, "");
        g_assert_cmpstr(phase_error(s, "libvirt", "Windows 10 %s \\x20 \"'", "post-start", ""), ==, "");
        assert_alive(s);
        assert_as_at_first(s);
}

static void test_polkit(void) {
        static const struct {
                const char *phase, *action;
        } rows[] = {
                { "pre-start", "org.gpupt1.detach" },
                { "post-start", "org.gpupt1.detach" },
                { "pre-stop", "org.gpupt1.attach" },
                { "post-stop", "org.gpupt1.attach" },
        };
        g_autoptr(Scene) s = scene_new("desktop", NULL);

        if (!scene_be_user(s))
                return;
        for (size_t i = 0; i < ELEMENTSOF(rows); i++) {
                sim_polkit_set(s->m, "yes", NULL);
                sim_polkit_set(s->m, "no", rows[i].action);
                g_assert_cmpstr(phase_error(s, "libvirt", "win10", rows[i].phase, ""), ==, "AccessDenied");
                sim_polkit_set(s->m, "no", NULL);
                sim_polkit_set(s->m, "yes", rows[i].action);
                (void) sim_command(s->m, "polkit-log-clear");
                g_assert_cmpstr(phase_error(s, "libvirt", "win10", rows[i].phase, ""), ==, "");
                assert_has(sim_polkit_log(s->m), rows[i].action);
                assert_has(sim_polkit_log(s->m), rows[i].phase);
                assert_has(sim_polkit_log(s->m), "win10 (libvirt)");
        }
        sim_polkit_set(s->m, "no", NULL);
        sim_polkit_set(s->m, "yes", "org.gpupt1.detach");
        g_assert_cmpstr(phase_error(s, "libvirt", "win10", "pre-start", "force"), ==, "AccessDenied");
        g_assert_cmpstr(phase_error(s, "libvirt", "win10", "pre-start", "disrupt-session"), ==, "AccessDenied");
}

/* ---- the daemon ends ---- */

typedef struct Way {
        const char *phase;
        bool worker; /* its worker ends with it */
} Way;

/* To where the phase begins. */
static void go_to(Scene *s, const char *name) {
        if (streq(name, "pre-start"))
                return;
        assert_end(s, phase(s, CARD, "pre-start"), "done", "");
        if (streq(name, "post-stop"))
                assert_end(s, phase(s, CARD, "pre-stop"), "done", "");
}

static void assert_after(Scene *s, const char *name) {
        if (streq(name, "pre-start"))
                assert_ready(s, CARD, AUDIO);
        else if (streq(name, "pre-stop")) {
                assert_away(s, CARD, AUDIO);
                assert_end(s, phase(s, CARD, "post-stop"), "done", "");
        }
        if (!streq(name, "pre-start"))
                assert_parked(s, CARD, AUDIO);
        assert_end(s, attach(s, CARD, ""), "done", "");
        assert_as_at_first(s);
}

static void assert_journal(const char *job, const char *name) {
        g_autofree char *path = g_strdup_printf(GPUPT_RUN_DIR "/job-%s", strrchr(job, '/') + 1), *text = NULL, *line = NULL;

        g_assert_true(g_file_get_contents(path, &text, NULL, NULL));
        line = g_strdup_printf("\nvm %s win10\\x20(libvirt)\n", name);
        assert_has(text, line);
}

static unsigned count_steps(Scene *s, const char *name) {
        unsigned n;

        go_to(s, name);
        gate_set_any(MANY);
        assert_end(s, phase(s, CARD, name), "done", "");
        n = gate_count_any(MANY);
        assert_after(s, name);
        return n;
}

typedef struct Running {
        Scene *s;
        const char *job;
} Running;

static bool is_over(void *userdata) {
        const Running *r = userdata;

        return !job_property(r->s, r->job, "State");
}

static void kill_in_step(Scene *s, const Way *way, unsigned step) {
        const JobEnd *end;
        const char *job;
        Gate *gate;
        pid_t worker;

        go_to(s, way->phase);
        gate_set_any(step);
        job = phase_start(s, CARD, way->phase);
        gate = gate_wait_until(is_over, &(Running) { s, job });
        if (!gate) {
                /* Where udev was late with a companion there are more steps than where it was not. */
                (void) gate_count_any(step);
                assert_end(s, job_wait(s, job), "done", "");
                assert_after(s, way->phase);
                return;
        }
        worker = gate->pid;
        g_test_message("step %u: %s", step, gate->step);
        assert_journal(job, way->phase);
        sim_daemon_kill(s->m);
        if (way->worker) {
                g_assert_cmpint(kill(worker, SIGKILL), ==, 0);
                gate_answer(gate, "go");
                (void) sim_wait_ended(s->m, worker);
                scene_start(s);
        } else {
                scene_start(s);
                g_assert_cmpstr(job_property(s, job, "Operation"), ==, "phase");
                gate_answer(gate, "go");
        }
        end = job_wait(s, job);
        assert_end(s, end, "done", "");
        assert_has(end->message, way->phase);
        assert_after(s, way->phase);
}

static void test_daemon_ends(const void *data) {
        const Way *way = data;
        g_autoptr(Scene) s = scene_new_without_daemon("desktop");
        unsigned n;

        gates_open();
        s->environment = gate_environment();
        put_file("/etc/gpuptd/gpuptd.conf", "[Daemon]\nStepTimeoutSec=600\n");
        (void) sim_command(s->m, "module vfio_pci load");
        scene_start(s);
        n = count_steps(s, way->phase);
        g_assert_cmpuint(n, >, 3);
        for (unsigned i = 0; i < n; i++)
                kill_in_step(s, way, i);
}

/* The guest lets go while no daemon is there. */
static void test_daemon_ends_while_guest_lets_go(void) {
        g_autoptr(Scene) s = scene_new("desktop", NULL);
        const char *job;
        pid_t vm;

        assert_end(s, phase(s, CARD, "pre-start"), "done", "");
        vm = vm_start(s, "win10", CARD_NODE);
        wait_state(s, CARD, "assigned");
        job = phase_start(s, CARD, "pre-stop");
        sim_wait_property(s->m, job, GPUPT_JOB_INTERFACE, "Description",
                          "remove " CARD " from the bus while the guest lets go");
        sim_daemon_kill(s->m);
        scene_start(s);
        g_assert_cmpstr(job_property(s, job, "State"), ==, "running");
        sim_daemon_kill(s->m);
        sim_let_go(s->m, vm);
        sim_wait_known(s->m, CARD, false);
        scene_start(s);
        assert_end(s, job_wait(s, job), "done", "");
        assert_away(s, CARD, AUDIO);
        assert_end(s, phase(s, CARD, "post-stop"), "done", "");
        assert_parked(s, CARD, AUDIO);
        assert_end(s, attach(s, CARD, ""), "done", "");
        assert_as_at_first(s);
}

int main(int argc, char *argv[]) {
        static const Way ways[] = {
                { "pre-start", false }, { "pre-start", true }, { "pre-stop", false },
                { "pre-stop", true },   { "post-stop", false }, { "post-stop", true },
        };

        sim_init(&argc, &argv);
        g_test_add_func("/phase/pre-start/from-host", test_from_host);
        g_test_add_func("/phase/pre-start/from-detached", test_from_detached);
        g_test_add_func("/phase/pre-start/taken-for", test_taken_for);
        g_test_add_func("/phase/pre-start/from-absent", test_from_absent);
        g_test_add_func("/phase/pre-start/from-dead", test_from_dead);
        g_test_add_func("/phase/pre-start/from-degraded", test_from_degraded);
        g_test_add_func("/phase/pre-start/last-display", test_last_display);
        g_test_add_func("/phase/pre-start/held", test_held);
        g_test_add_func("/phase/post-start", test_post_start);
        g_test_add_func("/phase/pre-stop/one-by-one", test_one_by_one);
        g_test_add_func("/phase/pre-stop/guest-takes-its-time", test_guest_takes_its_time);
        g_test_add_func("/phase/pre-stop/second-function-takes-its-time", test_second_function_takes_its_time);
        g_test_add_func("/phase/pre-stop/nobody-has-it", test_nobody_has_it);
        g_test_add_func("/phase/pre-stop/half-gone", test_half_gone);
        g_test_add_func("/phase/pre-stop/of-the-host", test_of_the_host);
        g_test_add_func("/phase/post-stop/rounds", test_rounds);
        g_test_add_func("/phase/post-stop/at-once", test_at_once);
        g_test_add_func("/phase/post-stop/apu", test_apu);
        g_test_add_func("/phase/post-stop/heals", test_post_stop_heals);
        g_test_add_func("/phase/post-stop/twin", test_twin);
        g_test_add_func("/phase/refusals", test_refusals);
        g_test_add_func("/phase/polkit", test_polkit);
        for (size_t i = 0; i < ELEMENTSOF(ways); i++) {
                g_autofree char *path = g_strdup_printf("/phase/daemon-ends/%s%s", ways[i].phase, ways[i].worker ? "-worker" : "");

                g_test_add_data_func(path, ways + i, test_daemon_ends);
        }
        g_test_add_func("/phase/daemon-ends/while-guest-lets-go", test_daemon_ends_while_guest_lets_go);
        return g_test_run();
}
