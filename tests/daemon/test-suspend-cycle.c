/* SPDX-License-Identifier: GPL-2.0-or-later */

/* test-suspend-cycle: the rung that lets the host sleep for a card's sake: it wakes by itself, nobody else's job writes
 * meanwhile, and whatever goes wrong, the card and the clock are as before. */

#include <stdio.h>
#include <unistd.h>

#include "fixture.h"
#include "util/cleanup.h"

#define CARD "0000:08:00.0"
#define AUDIO "0000:08:00.1"
#define OTHER "0000:09:00.0"
#define SLEEPS "let the host sleep and wake"
#define HELD "wait until the host has slept and woken"
#define ALARM "class/rtc/rtc0/wakealarm"

static Scene *scene_sick(void) {
        Scene *s;

        put_file("/run/suspend-cycle.topology",
                 "include " SOURCE_ROOT "/tests/sim/topologies/desktop.topology\n"
                 "change " CARD " symptom=dead cure=suspend-cycle\n");
        s = scene_new("/run/suspend-cycle.topology", NULL);
        /* Whatever else would wake it does not. */
        (void) sim_command(s->m, "login1 wake=alarm");
        return s;
}

static const char *reset(Scene *s) {
        return job_start(s, "Reset", CARD, "method=suspend-cycle");
}

static void assert_no_alarm(Scene *s) {
        g_assert_cmpstr(strempty(sim_read(s->m, ALARM)), ==, "");
}

/* From the host and from VFIO, a well card and a sick one. */
static void test_sleeps(void) {
        g_autoptr(Scene) s = scene_sick();

        for (unsigned i = 0; i < 4; i++) {
                bool sick = i % 2, taken = i / 2;
                const JobEnd *end;

                if (taken && !sick)
                        assert_end(s, detach(s, CARD, ""), "done", "");
                if (sick)
                        (void) sim_command(s->m, "sicken " CARD);
                end = job_wait(s, reset(s));
                assert_end(s, end, "done", "");
                assert_has(end->message, "suspend-cycle");
                g_assert_cmpstr(sim_command(s->m, "is-well " CARD), ==, "well");
                g_assert_cmpstr(state_of(s, CARD), ==, taken ? "detached" : "host");
                assert_no_alarm(s);
                (void) sim_command(s->m, "wait-inhibitors sleep block 0");
                if (!taken)
                        assert_as_at_first(s);
        }
        assert_end(s, attach(s, CARD, ""), "done", "");
        assert_as_at_first(s);
}

/* While it sleeps no lock is held, and nobody's card is written to; who waited has made way. */
static void test_others(void) {
        g_autoptr(Scene) s = scene_sick();
        pid_t game = process_start(s, "game", node_of(s, OTHER, "renderD"));
        const char *other = job_start(s, "Detach", OTHER, "wait=600 disrupt-session"), *job;
        g_autofree char *before = NULL;
        unsigned sleep;

        sim_wait_property(s->m, other, GPUPT_JOB_INTERFACE, "Description", "wait up to 600 s until nobody holds " OTHER);
        (void) sim_command(s->m, "wait-inhibitors sleep block 0");
        sleep = sim_fault(s->m, "login1", "sleep", "hang");
        job = reset(s);
        sim_fault_wait(s->m, sleep);
        g_assert_cmpstr(job_property(s, job, "Description"), ==, SLEEPS);
        g_assert_cmpstr(sim_command(s->m, "inhibitors"), ==, "");
        before = g_strdup(sim_dump(s->m));
        assert_end(s, job_wait(s, other), "rolled-back", "SleepInProgress");
        sim_let_go(s->m, game);
        g_assert_cmpstr(sim_dump(s->m), ==, before);
        assert_end(s, attach(s, OTHER, ""), "refused", "SleepInProgress");
        assert_alive(s);
        sim_fault_release(s->m, sleep);
        assert_end(s, job_wait(s, job), "done", "");
        assert_as_at_first(s);
        assert_no_alarm(s);
}

/* Somebody else keeps the host awake. */
static void test_refused(void) {
        g_autoptr(Scene) s = scene_sick();
        _cleanup_(sd_bus_message_unrefp) sd_bus_message *reply = NULL;
        const JobEnd *end;
        int fd;

        g_assert_cmpint(sd_bus_call_method(sim_bus(s->m), "org.freedesktop.login1", "/org/freedesktop/login1",
                                           "org.freedesktop.login1.Manager", "Inhibit", NULL, &reply, "ssss", "sleep", "burner",
                                           "a disc is written", "block"), >=, 0);
        g_assert_cmpint(sd_bus_message_read(reply, "h", &fd), >=, 0);
        end = job_wait(s, reset(s));
        assert_end(s, end, "failed", "ResetFailed");
        assert_has(end->message, "suspend-cycle");
        assert_has(end->message, "inhibitor");
        g_assert_cmpstr(state_of(s, CARD), ==, "host");
        assert_as_at_first(s);
        assert_no_alarm(s);
        (void) sim_command(s->m, "wait-inhibitors sleep block 1");
}

static void test_no_logind(void) {
        g_autoptr(Scene) s = scene_sick();
        const JobEnd *end;

        (void) sim_command(s->m, "login1 gone");
        end = job_wait(s, reset(s));
        assert_end(s, end, "failed", "ResetFailed");
        assert_as_at_first(s);
        assert_no_alarm(s);
        (void) sim_command(s->m, "login1 back");
}

/* Without an alarm nobody would wake it. */
static void test_no_alarm(void) {
        static const char *const effects[] = { "nth=2 errno=EIO", "nth=2 no-effect" };

        for (size_t i = 0; i < ELEMENTSOF(effects); i++) {
                g_autoptr(Scene) s = scene_sick();
                unsigned sleep = sim_fault(s->m, "login1", "sleep", "hang"); /* for ever, should it */

                /* The first write clears it. */
                (void) sim_fault(s->m, "rtc0", "wakealarm", effects[i]);
                assert_end(s, job_wait(s, reset(s)), "failed", "ResetFailed");
                assert_as_at_first(s);
                assert_no_alarm(s);
                sim_fault_release(s->m, sleep);
        }
}

/* It does not sleep for the same thing twice. */
static void test_daemon_ends(void) {
        static const bool wakes_alone[] = { false, true };

        for (size_t i = 0; i < ELEMENTSOF(wakes_alone); i++) {
                g_autoptr(Scene) s = scene_sick();
                unsigned sleep = sim_fault(s->m, "login1", "sleep", "hang"), again;
                const JobEnd *end;
                const char *job;

                (void) sim_command(s->m, "sicken " CARD);
                job = reset(s);
                sim_fault_wait(s->m, sleep);
                again = sim_fault(s->m, "login1", "sleep", "hang");
                sim_daemon_kill(s->m);
                if (wakes_alone[i])
                        sim_fault_release(s->m, sleep);
                scene_start(s);
                if (!wakes_alone[i]) {
                        sim_wait_property(s->m, job, GPUPT_JOB_INTERFACE, "Description", HELD);
                        assert_alive(s);
                        sim_fault_release(s->m, sleep);
                }
                end = job_wait(s, job);
                assert_end(s, end, "done", "");
                g_assert_cmpstr(state_of(s, CARD), ==, "host");
                g_assert_cmpstr(sim_command(s->m, "is-well " CARD), ==, "well");
                assert_as_at_first(s);
                assert_no_alarm(s);
                sim_fault_release(s->m, again);
        }
}

int main(int argc, char *argv[]) {
        sim_init(&argc, &argv);
        g_test_add_func("/suspend-cycle/sleeps", test_sleeps);
        g_test_add_func("/suspend-cycle/others", test_others);
        g_test_add_func("/suspend-cycle/refused", test_refused);
        g_test_add_func("/suspend-cycle/no-logind", test_no_logind);
        g_test_add_func("/suspend-cycle/no-alarm", test_no_alarm);
        g_test_add_func("/suspend-cycle/daemon-ends", test_daemon_ends);
        return g_test_run();
}
