/* SPDX-License-Identifier: GPL-2.0-or-later */

/* bench-sleep: for how long the host waits for gpuptd when it goes to sleep and no VM has a card, on the simulated machine: the daemon's
 * processor time for a whole cycle, and the time that each phase took by the report. */

#include "tests/daemon/sleep-fixture.h"

#include "bench.h"

#define WARM_UP 5
#define ROUNDS 50
#define LIMIT_MSEC 10.0

typedef struct Cost {
        double cpu, prepare, resume; /* milliseconds */
} Cost;

static double phase(Scene *s, const char *from, const char *to) {
        return (strtod(last_sleep(s, to), NULL) - strtod(last_sleep(s, from), NULL)) / 1e3;
}

static Cost measure(Scene *s, const char *stage) {
        g_autoptr(GArray) cpu = g_array_new(false, false, sizeof(double)), prepare = g_array_new(false, false, sizeof(double)),
                          resume = g_array_new(false, false, sizeof(double));
        g_autoptr(SimRecorder) signals = sim_recorder_new(s->m);
        pid_t pid = sim_daemon_pid(s->m);

        for (unsigned i = 0; i < WARM_UP + ROUNDS; i++) {
                double before = bench_cpu_of(pid), used, forth, back;

                bench_stage(stage);
                g_assert_true(sim_suspend(s->m));
                g_assert_cmpstr(host_job_end(s, signals), ==, "done");
                g_assert_cmpstr(host_job_end(s, signals), ==, "done");
                bench_stage(NULL);
                used = 1e3 * (bench_cpu_of(pid) - before);
                forth = phase(s, "began", "ready");
                back = phase(s, "woken", "finished");
                (void) sim_command(s->m, "wait-inhibitors sleep delay 1");
                if (i < WARM_UP)
                        continue;
                g_array_append_val(cpu, used);
                g_array_append_val(prepare, forth);
                g_array_append_val(resume, back);
        }
        return (Cost) { bench_median(cpu), bench_median(prepare), bench_median(resume) };
}

static void print(const char *what, Cost c) {
        g_test_message("%-28s  %8.2f ms  %8.2f ms  %8.2f ms", what, c.prepare, c.resume, c.cpu);
}

static void test_sleep(void) {
        g_autoptr(Scene) s = scene_new("desktop", NULL);
        Cost host, detached;

        host = measure(s, "host");
        assert_end(s, detach(s, CARD, ""), "done", "");
        detached = measure(s, "detached");

        g_test_message("%-28s  %11s  %11s  %11s", "", "to the lock", "way back", "daemon, all");
        print("every card with the host", host);
        print("a card detached", detached);
        g_test_message("the daemon's time with every card with the host: at most %.0f ms; medians of %u rounds", LIMIT_MSEC, ROUNDS);
        g_assert_cmpfloat(host.cpu, <=, LIMIT_MSEC);
}

int main(int argc, char *argv[]) {
        sim_init(&argc, &argv);
        g_test_add_func("/bench/sleep", test_sleep);
        return g_test_run();
}
