/* SPDX-License-Identifier: GPL-2.0-or-later */

/* test-display-watch: a host has lost its display to a detach, and gets it back by itself. Tried is what may befall that:
 *
 *      the VM comes after all          before its time, or in the middle of the attach: the census of that decides
 *      a lease, somebody's own attach  they see to it themselves
 *      the attach fails                a recovery, once more, then a console; no fourth job
 *      the attach hangs                stuck: nothing more is done to the card, a console
 *      the screen stays black          the ladder, also under a greeter, which nobody misses; not under a desktop
 *      another card has a screen       a line in the log
 *      no display manager              a console in its place
 *      no console either               that is told
 *      the daemon dies                 while it waits, and while its attach runs: the next one goes on
 *      the card is pulled, exchanged   it is not looked for; the other one is not touched
 *      the host sleeps                 it waits
 *      the configuration says 0        it is over
 *
 * A time of an hour is one that never comes; what is to come at once is made a second by a reload. */

#include <signal.h>
#include <unistd.h>

#include "desktop-fixture.h"
#include "gate.h"
#include "util/cleanup.h"

#define APU "0000:c5:00.0"
#define APU_AUDIO "0000:c5:00.1"
#define APU_VFIO_NODE "/dev/vfio/18"
#define CARD "0000:08:00.0"
#define OTHER "0000:09:00.0"
#define CONF "/etc/gpuptd/gpuptd.conf"
#define NEVER "[Session]\nDisplayTimeoutSec=1h\n"
#define SOON "[Session]\nDisplayTimeoutSec=1\n"
#define CONSOLE_IN_FRONT "getty@tty1.service"
#define CONSOLE_BEHIND "getty@tty6.service"

static bool is_watched(const char *gpu) {
        g_autofree char *path = g_strdup_printf("/run/gpuptd/display-%s", gpu);

        return access(path, F_OK) == 0;
}

static void say(Scene *s, const char *conf) {
        put_file(CONF, conf);
        g_assert_cmpstr(manager_call(s, "Reload", NULL, ""), ==, "");
}

/* An APU, the only display, whose desktop was ended for it; with gates, where steps can be stopped. */
static Scene *taken_scene_with(const char *lines, const char *conf, const char *const *environment, Desktop *ret) {
        Scene *s = scene_new_with("apu", lines);

        put_file(CONF, conf);
        s->environment = environment;
        scene_start(s);
        if (environment)
                gates_open();
        (void) sim_command(s->m, "unit " CONSOLE_IN_FRONT " inactive");
        (void) sim_command(s->m, "unit " CONSOLE_BEHIND " inactive");
        /* A daemon is ready when it knows its cards, or after three seconds. */
        wait_state(s, APU, "host");
        desktop_begin(s, APU, APU, ret);
        assert_end(s, detach(s, APU, "disrupt-session"), "done", "");
        assert_ended(s, ret);
        return s;
}

static Scene *taken_scene(const char *lines, const char *conf, Desktop *ret) {
        return taken_scene_with(lines, conf, NULL, ret);
}

/* The next job, of the daemon's own. */
static const JobEnd *next_end(Scene *s, SimRecorder *signals, const char *operation) {
        const JobEnd *end = job_wait(s, job_next(s, signals));
        g_autofree char *key = g_strdup_printf(" operation=%s ", operation), *id = g_strdup_printf("id=%u ", end->id);
        const char *last = gpu_property(s, end->gpu, "LastJob");

        /* The one after it may have ended as well by now. */
        if (strstr(last, id))
                assert_has(last, key);
        return end;
}

static void assert_console(Scene *s, const char *unit) {
        g_autofree char *line = g_strdup_printf("start %s\n", unit);

        (void) sim_command(s->m, "wait-unit %s active", unit);
        assert_has(units_log(s), line);
}

static void wait_over(Scene *s) {
        wait_log(s, "a login was started on a text console.");
        g_assert_false(is_watched(APU));
}

/* ---- nobody comes ---- */

static void test_unused(void) {
        Desktop d;
        g_autoptr(Scene) s = taken_scene("", NEVER, &d);
        g_autoptr(SimRecorder) signals = sim_recorder_new(s->m);

        g_assert_true(is_watched(APU));
        g_assert_true(unit_is(s, MANAGER, "inactive"));
        say(s, SOON);
        assert_end(s, next_end(s, signals, "attach"), "done", "");
        g_assert_true(unit_is(s, MANAGER, "active"));
        wait_log(s, "its display is back.");
        g_assert_false(is_watched(APU));
        assert_has(sim_daemon_log(s->m), "no VM has opened it in its time");
        g_assert_true(unit_is(s, CONSOLE_IN_FRONT, "inactive"));
        assert_as_at_first(s);
}

/* The desktop has begun again with another card; that the one it was ended for is not used is no reason to keep it. */
static void test_desktop(void) {
        g_autoptr(Scene) s = scene_new("desktop", CONF, SOON, NULL);
        g_autoptr(SimRecorder) signals = sim_recorder_new(s->m);
        Desktop d;

        desktop_begin(s, CARD, OTHER, &d);
        assert_end(s, detach(s, CARD, "disrupt-session"), "done", "");
        assert_ended(s, &d);
        (void) job_next(s, signals);
        assert_end(s, next_end(s, signals, "attach"), "done", "");
        g_assert_false(is_watched(CARD));
        assert_as_at_first(s);
}

/* Nobody was logged out, and another card has the screen; or the administrator has not asked for it; or has said that nobody looks. */
static void test_not_armed(void) {
        static const struct {
                const char *conf, *gpu;
        } cases[] = {
                { NEVER, CARD },
                { "", OTHER },
                { "[Session]\nDisplayTimeoutSec=1h\nLastDisplay=allow\n", OTHER },
        };

        for (size_t i = 0; i < ELEMENTSOF(cases); i++) {
                g_autoptr(Scene) s = scene_new("desktop", CONF, cases[i].conf, NULL);

                assert_end(s, detach(s, cases[i].gpu, i == 1 ? "disrupt-session" : ""), "done", "");
                g_assert_false(is_watched(cases[i].gpu));
                assert_end(s, attach(s, cases[i].gpu, ""), "done", "");
                g_assert_false(is_watched(cases[i].gpu));
                assert_as_at_first(s);
        }
}

/* One card says so, and the other one does not. */
static void test_one_card(void) {
        g_autoptr(Scene) s = scene_new("desktop", "/etc/gpuptd/one.gpu", "[Match]\nAddress=" OTHER "\n" NEVER, NULL);

        assert_end(s, detach(s, OTHER, "disrupt-session"), "done", "");
        g_assert_true(is_watched(OTHER));
        assert_end(s, detach(s, CARD, ""), "done", "");
        g_assert_false(is_watched(CARD));
        /* Nothing to do, so nothing has changed. */
        assert_end(s, detach(s, OTHER, ""), "done", "");
        g_assert_true(is_watched(OTHER));
        assert_end(s, run_job(s, "Reset", OTHER, ""), "done", "");
        g_assert_false(is_watched(OTHER));
}

/* The sound alone has nothing to do with the display. */
static void test_sound(void) {
        Desktop d;
        g_autoptr(Scene) s = taken_scene("", NEVER, &d);

        assert_end(s, attach(s, APU, "functions=" APU_AUDIO), "done", "");
        g_assert_false(is_watched(APU));
        assert_end(s, attach(s, APU, ""), "done", "");
        wait_log(s, "its display is back.");
        assert_as_at_first(s);
}

/* ---- somebody comes ---- */

static void test_vm(void) {
        Desktop d;
        g_autoptr(Scene) s = taken_scene("", NEVER, &d);
        g_autoptr(SimRecorder) signals = sim_recorder_new(s->m);
        pid_t vm;

        vm = vm_start(s, "win10", APU_VFIO_NODE);
        wait_state(s, APU, "assigned");
        g_assert_false(is_watched(APU));
        say(s, SOON);
        sim_let_go(s->m, vm);
        /* From here on it is what AfterVm= says. */
        wait_state(s, APU, "detached");
        g_assert_false(is_watched(APU));
        assert_end(s, attach(s, APU, ""), "done", "");
        g_assert_true(unit_is(s, MANAGER, "active"));
        assert_as_at_first(s);
}

/* In the middle of the attach, behind everything that the daemon has looked at before it. */
static void test_late_vm(void) {
        Desktop d;
        g_autoptr(Scene) s = taken_scene_with("", NEVER, gate_environment(), &d);
        g_autoptr(SimRecorder) signals = sim_recorder_new(s->m);
        const JobEnd *end;
        const char *job;
        Gate *g;
        pid_t vm;

        gate_set("check", APU, 0);
        say(s, SOON);
        job = job_next(s, signals);
        g = gate_wait();
        vm = vm_start(s, "win10", APU_VFIO_NODE);
        gate_answer(g, "go");
        end = job_wait(s, job);
        g_assert_cmpstr(short_name(end->error), ==, "InUse");
        wait_state(s, APU, "assigned");
        g_assert_false(is_watched(APU));
        assert_has(sim_daemon_log(s->m), "somebody makes use of it");
        sim_let_go(s->m, vm);
        wait_state(s, APU, "detached");
        assert_end(s, attach(s, APU, ""), "done", "");
        assert_as_at_first(s);
}

static void test_by_hand(void) {
        Desktop d;
        g_autoptr(Scene) s = taken_scene("", NEVER, &d);

        assert_end(s, attach(s, APU, ""), "done", "");
        wait_log(s, "its display is back.");
        g_assert_false(is_watched(APU));
        assert_as_at_first(s);
}

static void test_lease(void) {
        g_autoptr(Scene) s = scene_new("apu", CONF, NEVER, NULL);
        g_autoptr(SimRecorder) signals = sim_recorder_new(s->m);
        const char *job;
        int fd;

        fd = acquire(s, APU, "disrupt-session", &job, NULL);
        assert_end(s, job_wait(s, job), "done", "");
        g_assert_false(is_watched(APU));
        (void) job_next(s, signals);
        (void) close(fd);
        assert_end(s, next_end(s, signals, "attach"), "done", "");
        wait_log(s, "its display is back.");
        g_assert_false(is_watched(APU));
        assert_as_at_first(s);
}

static void test_cancelled(void) {
        Desktop d;
        g_autoptr(Scene) s = taken_scene_with("", NEVER, gate_environment(), &d);
        g_autoptr(SimRecorder) signals = sim_recorder_new(s->m);
        const char *job;
        Gate *g;

        gate_set("check", APU, 0);
        say(s, SOON);
        job = job_next(s, signals);
        g = gate_wait();
        g_assert_cmpstr(job_call(s, job, "Cancel", NULL, ""), ==, "");
        gate_answer(g, "go");
        assert_end(s, job_wait(s, job), "cancelled", "Cancelled");
        g_assert_false(is_watched(APU));
        g_assert_cmpstr(state_of(s, APU), ==, "detached");
        say(s, NEVER);
        assert_end(s, attach(s, APU, ""), "done", "");
        assert_as_at_first(s);
}

static void test_reload(void) {
        Desktop d;
        g_autoptr(Scene) s = taken_scene("", NEVER, &d);

        say(s, "[Session]\nDisplayTimeoutSec=0\n");
        g_assert_false(is_watched(APU));
        assert_has(sim_daemon_log(s->m), "not watched any more, by the configuration");
        assert_end(s, attach(s, APU, ""), "done", "");
        g_assert_false(is_watched(APU));
        assert_as_at_first(s);
}

/* ---- it does not come back ---- */

static void test_attach_fails(void) {
        Desktop d;
        g_autoptr(Scene) s = taken_scene("", NEVER, &d);
        g_autoptr(SimRecorder) signals = sim_recorder_new(s->m);
        g_autofree char *seen = NULL;
        const char *at;
        unsigned jobs = 0;

        (void) sim_fault(s->m, "amdgpu", "bind", "errno=EIO always");
        say(s, SOON);
        assert_end(s, next_end(s, signals, "attach"), "rolled-back", "Failed");
        assert_end(s, next_end(s, signals, "recover"), "done", "");
        assert_end(s, next_end(s, signals, "attach"), "rolled-back", "Failed");
        assert_console(s, CONSOLE_BEHIND);
        wait_over(s);
        assert_has(sim_daemon_log(s->m), "no display has come back to this host. An attach and a recovery were tried");
        g_assert_cmpstr(state_of(s, APU), ==, "detached");
        assert_alive(s);
        seen = sim_recorder_text(signals);
        for (at = seen; (at = strstr(at, ".JobNew ")); at++)
                jobs++;
        g_assert_cmpuint(jobs, ==, 3);
        sim_fault_release(s->m, 0);
        assert_end(s, attach(s, APU, ""), "done", "");
        wait_log(s, "its display is back.");
        assert_as_at_first(s);
}

static void test_no_console(void) {
        Desktop d;
        g_autoptr(Scene) s = taken_scene("", NEVER, &d);
        g_autoptr(SimRecorder) signals = sim_recorder_new(s->m);

        (void) sim_fault(s->m, "amdgpu", "bind", "errno=EIO always");
        (void) sim_fault(s->m, CONSOLE_BEHIND, "start", "errno=EIO");
        say(s, SOON);
        (void) next_end(s, signals, "attach");
        (void) next_end(s, signals, "recover");
        (void) next_end(s, signals, "attach");
        (void) sim_command(s->m, "wait-unit " CONSOLE_BEHIND " failed");
        wait_log(s, "the login on a text console could not be started");
        g_assert_false(is_watched(APU));
        assert_alive(s);
        sim_fault_release(s->m, 0);
        assert_end(s, attach(s, APU, ""), "done", "");
        assert_as_at_first(s);
}

/* What the kernel does not let go of is not touched again, and nothing follows when it does. Only the step that hangs has
 * little time. */
static void test_attach_hangs(void) {
        Desktop d;
        g_autoptr(Scene) s = taken_scene_with("", NEVER, gate_environment(), &d);
        g_autoptr(SimRecorder) signals = sim_recorder_new(s->m);
        unsigned fault;
        const char *job;
        Gate *g;

        fault = sim_fault(s->m, "amdgpu", "bind", "hang");
        gate_set("unbind", APU, 0); /* the step before */
        say(s, SOON);
        job = job_next(s, signals);
        g = gate_wait();
        say(s, SOON "[Daemon]\nStepTimeoutSec=2\n");
        gate_answer(g, "go");
        sim_fault_wait(s->m, fault);
        say(s, SOON);
        assert_end(s, job_wait(s, job), "stuck", "Stuck");
        assert_console(s, CONSOLE_BEHIND);
        wait_over(s);
        assert_has(sim_daemon_log(s->m), "since a kernel call on it has not returned; it is stuck now");
        sim_fault_release(s->m, fault);
        (void) job_wait(s, job_next(s, signals));
        wait_state(s, APU, "detached");
        g_assert_false(is_watched(APU));
        assert_end(s, attach(s, APU, ""), "done", "");
        assert_as_at_first(s);
}

#define BLACK "change " APU " symptom=black sick-after-vfio=remove-rescan"

static void test_black(void) {
        Desktop d;
        g_autoptr(Scene) s = taken_scene(BLACK, NEVER, &d);
        g_autoptr(SimRecorder) signals = sim_recorder_new(s->m);
        const JobEnd *end;

        say(s, SOON);
        assert_end(s, next_end(s, signals, "attach"), "done", "");
        end = next_end(s, signals, "recover");
        assert_end(s, end, "done", "");
        assert_has(end->message, "is well again, by remove-rescan.");
        wait_log(s, "its display is back.");
        g_assert_false(is_watched(APU));
        g_assert_true(unit_is(s, MANAGER, "active"));
        g_assert_true(unit_is(s, CONSOLE_BEHIND, "inactive"));
        assert_as_at_first(s);
}

/* A greeter has the card by then, which nobody can see, and begins again. */
static void test_black_greeter(void) {
        Desktop d;
        g_autoptr(Scene) s = taken_scene(BLACK, NEVER, &d);
        g_autoptr(SimRecorder) signals = NULL;
        pid_t greeter;

        assert_end(s, attach(s, APU, ""), "done", "");
        g_assert_true(is_watched(APU));
        greeter = process_start(s, "Xorg", node_of(s, APU, "card"));
        put_into_cgroup(greeter, "/system.slice/" MANAGER);
        (void) sim_command(s->m, "unit " MANAGER " active 'stop=/bin/kill -TERM %d'", greeter);
        signals = sim_recorder_new(s->m);
        say(s, SOON);
        assert_end(s, next_end(s, signals, "recover"), "done", "");
        g_assert_cmpint(sim_wait_ended(s->m, greeter), ==, SIGTERM);
        wait_log(s, "its display is back.");
        g_assert_true(unit_is(s, MANAGER, "active"));
        assert_as_at_first(s);
}

/* Who has logged in all the same, perhaps from afar, is not logged out for it. */
static void test_black_desktop(void) {
        Desktop d;
        g_autoptr(Scene) s = taken_scene(BLACK, NEVER, &d);
        g_autoptr(SimRecorder) signals = NULL;
        const JobEnd *end;

        assert_end(s, attach(s, APU, ""), "done", "");
        desktop_begin(s, APU, APU, &d);
        signals = sim_recorder_new(s->m);
        put_file(CONF, SOON "[Daemon]\nWaitSec=0\n");
        g_assert_cmpstr(manager_call(s, "Reload", NULL, ""), ==, "");
        end = next_end(s, signals, "recover");
        g_assert_cmpstr(short_name(end->error), ==, "InUse");
        assert_console(s, CONSOLE_BEHIND);
        wait_over(s);
        g_assert_cmpint(kill(d.server, 0), ==, 0);
        g_assert_cmpint(kill(d.leader, 0), ==, 0);
        g_assert_cmpstr(state_of(s, APU), ==, "host");
        desktop_end(s, &d);
}

/* Nothing helps: a screen is waited for once more, and that is all. */
static void test_black_for_good(void) {
        Desktop d;
        g_autoptr(Scene) s = taken_scene("change " APU " symptom=black sick-after-vfio=slot", NEVER, &d);
        g_autoptr(SimRecorder) signals = sim_recorder_new(s->m);

        say(s, SOON);
        assert_end(s, next_end(s, signals, "attach"), "done", "");
        assert_end(s, next_end(s, signals, "recover"), "failed", "ResetFailed");
        assert_console(s, CONSOLE_BEHIND);
        wait_over(s);
        g_assert_true(unit_is(s, MANAGER, "active"));
        g_assert_cmpstr(state_of(s, APU), ==, "host");
}

/* The monitor was off, and is switched on: nothing is done. */
static void test_seen(void) {
        Desktop d;
        g_autoptr(Scene) s = taken_scene("change " APU " symptom=black sick-after-vfio=slot", NEVER, &d);

        assert_end(s, attach(s, APU, ""), "done", "");
        g_assert_true(is_watched(APU));
        (void) sim_command(s->m, "connector " APU " HDMI-A-1 connected");
        say(s, NEVER);
        g_assert_cmpstr(manager_call(s, "Rescan", NULL, ""), ==, "");
        wait_log(s, "its display is back.");
        g_assert_false(is_watched(APU));
}

static void test_elsewhere(void) {
        g_autoptr(Scene) s = scene_new_with("desktop", "change " CARD " connectors=HDMI-A-1=connected,DP-1 symptom=black "
                                                       "sick-after-vfio=remove-rescan");

        put_file(CONF, SOON);
        scene_start(s);
        assert_end(s, detach(s, CARD, ""), "done", "");
        g_assert_false(is_watched(CARD));
        assert_end(s, attach(s, CARD, ""), "done", "");
        wait_log(s, "Another card of this host has a screen");
        g_assert_false(is_watched(CARD));
        g_assert_cmpstr(gpu_property(s, CARD, "Job"), ==, "/");
        assert_has(gpu_property(s, CARD, "LastJob"), "operation=attach");
}

/* There is a picture, and nobody who could log in to it. */
static void test_no_login(void) {
        Desktop d;
        g_autoptr(Scene) s = taken_scene("", NEVER, &d);
        g_autoptr(SimRecorder) signals = sim_recorder_new(s->m);

        (void) sim_fault(s->m, MANAGER, "start", "errno=EIO");
        say(s, SOON);
        assert_end(s, next_end(s, signals, "attach"), "failed", "Failed");
        assert_console(s, CONSOLE_IN_FRONT);
        wait_over(s);
        assert_has(sim_daemon_log(s->m), MANAGER " has not started. " CONSOLE_IN_FRONT " is started instead");
        g_assert_true(unit_is(s, CONSOLE_BEHIND, "inactive"));
        g_assert_cmpstr(state_of(s, APU), ==, "host");
}

/* ---- what happens meanwhile ---- */

static void test_killed(void) {
        Desktop d;
        g_autoptr(Scene) s = taken_scene("", NEVER, &d);
        g_autoptr(SimRecorder) signals = sim_recorder_new(s->m);
        unsigned fault;
        const char *job;

        /* While it waits. */
        sim_daemon_kill(s->m);
        g_assert_true(is_watched(APU));
        put_file(CONF, SOON);
        fault = sim_fault(s->m, "amdgpu", "bind", "hang");
        scene_start(s);
        job = job_next(s, signals);
        sim_fault_wait(s->m, fault);
        /* While its attach runs. */
        sim_daemon_kill(s->m);
        sim_fault_release(s->m, fault);
        scene_start(s);
        assert_end(s, job_wait(s, job), "done", "");
        wait_log(s, "its display is back.");
        g_assert_false(is_watched(APU));
        g_assert_true(unit_is(s, MANAGER, "active"));
        assert_as_at_first(s);
}

/* In the middle of the recovery: it is not done twice, and the next daemon knows what it is for. */
static void test_killed_in_recovery(void) {
        Desktop d;
        g_autoptr(Scene) s = taken_scene_with(BLACK, NEVER, gate_environment(), &d);
        g_autoptr(SimRecorder) signals = NULL;
        const char *job;
        Gate *g;

        assert_end(s, attach(s, APU, ""), "done", "");
        signals = sim_recorder_new(s->m);
        gate_set("remove", APU, 0);
        say(s, SOON);
        job = job_next(s, signals);
        g = gate_wait();
        sim_daemon_kill(s->m);
        gate_answer(g, "go");
        scene_start(s);
        assert_end(s, job_wait(s, job), "done", "");
        wait_log(s, "its display is back.");
        g_assert_false(is_watched(APU));
        assert_as_at_first(s);
}

static void test_pulled(void) {
        Desktop d;
        g_autoptr(Scene) s = taken_scene("", NEVER, &d);

        sim_unplug(s->m, APU);
        sim_wait_known(s->m, APU, false);
        sim_wait_property(s->m, gpu_path(s, APU), GPUPT_GPU_INTERFACE, "State", "absent");
        g_assert_true(is_watched(APU));
        say(s, SOON);
        assert_console(s, CONSOLE_BEHIND);
        wait_over(s);
        assert_has(sim_daemon_log(s->m), "It was not attached, since it is not on the bus any more; it is absent now");
        assert_has(gpu_property(s, APU, "LastJob"), "operation=detach");
}

/* What is on disk is of another card, or of another time. */
static void test_strange_record(void) {
        static const char *const texts[] = {
                "gpuptd-display 1\ngpu " APU " 10de:1e84:1043:8706\nwait vm\nuntil 1\nend\n",
                "gpuptd-display 2\n",
                "gpuptd-display 1\ngpu " APU " 1002:1900:1f66:0031\nwait vm\nuntil 1\n",
        };
        Desktop d;
        g_autoptr(Scene) s = taken_scene("", SOON "[Session]\nDisplayTimeoutSec=1h\n", &d);

        for (size_t i = 0; i < ELEMENTSOF(texts); i++) {
                sim_daemon_kill(s->m);
                put_file("/run/gpuptd/display-" APU, texts[i]);
                scene_start(s);
                wait_state(s, APU, "detached");
                wait_log(s, i == 0 ? "another card is there now" : "the record of the watch over its display is not readable");
                g_assert_cmpint(is_watched(APU), ==, i > 0);
        }
        assert_end(s, attach(s, APU, ""), "done", "");
        wait_log(s, "its display is back.");
        g_assert_false(is_watched(APU));
        assert_as_at_first(s);
}

static void test_two(void) {
        g_autoptr(Scene) s = scene_new("desktop", CONF, NEVER, NULL);
        const JobEnd *ends[2];
        g_autoptr(SimRecorder) signals = NULL;
        Desktop d;

        desktop_begin(s, CARD, OTHER, &d);
        assert_end(s, detach(s, CARD, "disrupt-session"), "done", "");
        assert_ended(s, &d);
        assert_end(s, detach(s, OTHER, "disrupt-session"), "done", "");
        g_assert_true(is_watched(CARD) && is_watched(OTHER));
        signals = sim_recorder_new(s->m);
        say(s, SOON);
        for (size_t i = 0; i < ELEMENTSOF(ends); i++) {
                const char *job = job_next(s, signals);

                ends[i] = job_wait(s, job);
                assert_end(s, ends[i], "done", "");
        }
        g_assert_cmpstr(ends[0]->gpu, !=, ends[1]->gpu);
        wait_log(s, "its display is back.");
        g_assert_false(is_watched(CARD) || is_watched(OTHER));
        assert_as_at_first(s);
}

static void test_sleep(void) {
        Desktop d;
        g_autoptr(Scene) s = taken_scene("", NEVER, &d);
        g_autoptr(SimRecorder) signals = NULL;

        g_assert_cmpstr(manager_call(s, "PrepareSleep", NULL, "s", "suspend"), ==, "");
        say(s, SOON);
        wait_log(s, "waiting until the sleep of the host is over");
        g_assert_true(is_watched(APU));
        g_assert_cmpstr(state_of(s, APU), ==, "detached");
        g_assert_cmpstr(gpu_property(s, APU, "Job"), ==, "/");
        g_assert_cmpstr(manager_call(s, "FinishSleep", NULL, ""), ==, "");
        wait_log(s, "its display is back.");
        g_assert_true(unit_is(s, MANAGER, "active"));
        g_assert_false(is_watched(APU));
        assert_as_at_first(s);
}

int main(int argc, char *argv[]) {
        sim_init(&argc, &argv);
        g_test_add_func("/display-watch/unused", test_unused);
        g_test_add_func("/display-watch/desktop", test_desktop);
        g_test_add_func("/display-watch/not-armed", test_not_armed);
        g_test_add_func("/display-watch/one-card", test_one_card);
        g_test_add_func("/display-watch/sound", test_sound);
        g_test_add_func("/display-watch/vm", test_vm);
        g_test_add_func("/display-watch/late-vm", test_late_vm);
        g_test_add_func("/display-watch/by-hand", test_by_hand);
        g_test_add_func("/display-watch/lease", test_lease);
        g_test_add_func("/display-watch/cancelled", test_cancelled);
        g_test_add_func("/display-watch/reload", test_reload);
        g_test_add_func("/display-watch/attach-fails", test_attach_fails);
        g_test_add_func("/display-watch/no-console", test_no_console);
        g_test_add_func("/display-watch/attach-hangs", test_attach_hangs);
        g_test_add_func("/display-watch/black", test_black);
        g_test_add_func("/display-watch/black-greeter", test_black_greeter);
        g_test_add_func("/display-watch/black-desktop", test_black_desktop);
        g_test_add_func("/display-watch/black-for-good", test_black_for_good);
        g_test_add_func("/display-watch/seen", test_seen);
        g_test_add_func("/display-watch/elsewhere", test_elsewhere);
        g_test_add_func("/display-watch/no-login", test_no_login);
        g_test_add_func("/display-watch/killed", test_killed);
        g_test_add_func("/display-watch/killed-in-recovery", test_killed_in_recovery);
        g_test_add_func("/display-watch/pulled", test_pulled);
        g_test_add_func("/display-watch/strange-record", test_strange_record);
        g_test_add_func("/display-watch/two", test_two);
        g_test_add_func("/display-watch/sleep", test_sleep);
        return g_test_run();
}
