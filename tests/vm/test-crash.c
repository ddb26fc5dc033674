/* SPDX-License-Identifier: GPL-2.0-or-later */

/* test-crash: the daemon is killed at each step in turn, and systemd starts it again: the card is always back in a whole state,
 * and nothing that was saved is lost. */

#include <stdlib.h>
#include <string.h>

#include "guest.h"

static bool daemon_is_new(const void *old) {
        pid_t pid = daemon_pid();

        return pid > 1 && pid != *(const pid_t *) old;
}

/* Restart=on-failure starts it, and READY=1 says when it has looked at what it found. */
static void await_successor(pid_t old) {
        wait_until(daemon_is_new, &old, "systemd to start gpuptd again");
        daemon_start();
}

static void crash(void) {
        pid_t old = daemon_pid();

        daemon_kill();
        await_successor(old);
}

static bool is(const char *wanted) {
        g_autofree char *state = gpu_get(CARD, "State");

        return g_str_equal(state, wanted);
}

static void move(const char *operation) {
        g_autoptr(Output) o = gpuptctl(WHO_ROOT, operation, CARD, NULL);

        assert_status(o, 0);
}

/* Many crashes in one case: more than systemd allows a service in a while. */
static void forgive(void) {
        g_free(output_of("systemctl", "reset-failed", "gpuptd.service", NULL));
}

static unsigned steps_of(const char *operation) {
        g_autoptr(Output) plan = gpuptctl(WHO_ROOT, "plan", "--no-legend", operation, CARD, NULL);
        unsigned n = 0;

        assert_status(plan, 0);
        for (const char *s = plan->out; (s = strchr(s, '\n')); s++)
                n++;
        g_assert_cmpuint(n, >, 3);
        return n;
}

/* Kills the daemon at every step of the operation in turn, and each time waits for what the next one makes of it, which has to be
 * a whole state. A step may be over before it can be hit; most are not. */
static void crash_at_each_step(const char *operation, const char *method, const char *back) {
        g_autofree char *before = machine_state();
        unsigned steps = steps_of(operation), hits = 0;

        for (unsigned step = 1; step <= steps; step++) {
                pid_t old = daemon_pid();
                bool hit;

                forgive();
                hit = gpu_crash_at_step(CARD, method, step);
                hits += hit;
                if (hit)
                        await_successor(old);
                gpu_wait_idle(CARD);
                g_test_message("%s, %s step %u of %u: %s", operation, hit ? "killed at" : "ended before", step, steps,
                               is("host") ? "host" : "detached");
                g_assert_true(is("host") || is("detached"));
                move(back);
                assert_machine_state(before);
        }
        g_assert_cmpuint(hits, >, steps / 2);
}

static void test_detach(void) {
        crash_at_each_step("detach", "Detach", "attach");
}

static void test_attach(void) {
        move("detach");
        crash_at_each_step("attach", "Attach", "detach");
}

/* Killed while it waits for a holder: the next one goes on waiting or gives up, and leaves nothing behind. */
static void test_while_waiting(void) {
        g_autofree char *before = machine_state(), *control = sound_control(CARD_AUDIO);
        g_autoptr(Output) started = NULL;

        (void) stubborn_start(control);
        started = gpuptctl(WHO_ROOT, "detach", "--wait=5", "--no-block", CARD, NULL);
        assert_status(started, 0);
        crash();
        gpu_wait_idle(CARD);
        g_assert_true(is("host"));
        assert_machine_state(before);
}

/* Killed while a VM has the card: the next one sees the VM, and knows the host driver still. */
static void test_while_assigned(void) {
        g_autofree char *before = machine_state();
        NestedVm *vm;

        move("detach");
        vm = nested_start(CARD, CARD_AUDIO, NULL);
        gpu_wait_state(CARD, "assigned");
        crash();
        gpu_wait_state(CARD, "assigned");
        nested_stop(vm);
        gpu_wait_state(CARD, "detached");
        move("attach");
        assert_machine_state(before);
}

/* A user's lease outlives the daemon that gave it. */
static void test_lease(void) {
        g_autofree char *before = machine_state();
        g_autoptr(Output) ended = NULL;
        Child *run = child_start(WHO_ROOT, "gpuptctl", "run", CARD, "--", "sleep", "infinity", NULL);

        gpu_wait_state(CARD, "detached");
        gpu_wait_idle(CARD);
        crash();
        gpu_wait_state(CARD, "detached");
        gpu_wait_idle(CARD);
        g_assert_true(is("detached"));
        g_free(output_of("pkill", "-x", "-P", g_strdup_printf("%d", child_pid(run)), "sleep", NULL));
        ended = child_wait(run);
        gpu_wait_state(CARD, "host");
        gpu_wait_idle(CARD);
        assert_machine_state(before);
}

int main(int argc, char *argv[]) {
        g_test_init(&argc, &argv, NULL);
        case_add("/crash/detach", test_detach);
        case_add("/crash/attach", test_attach);
        case_add("/crash/while-waiting", test_while_waiting);
        case_add("/crash/while-assigned", test_while_assigned);
        case_add("/crash/lease", test_lease);
        return g_test_run();
}
