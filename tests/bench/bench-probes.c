/* SPDX-License-Identifier: GPL-2.0-or-later */

/* bench-probes: what it costs the daemon to examine a GPU, on the simulated machine, so at the processor's own speed: a
 * recovery of a card that is well is a look at it, all probes, and nothing else. The processor's time is that of
 * the daemon alone: its workers are others. */

#include "tests/daemon/fixture.h"

#include "bench.h"

#define GPU "0000:08:00.0"
#define WARM_UP 5
#define ROUNDS 100
#define LIMIT_MSEC 5.0

/* Medians of the daemon's seconds in one such job. */
static double measure(Scene *s, const char *method) {
        g_autoptr(GArray) values = g_array_new(false, false, sizeof(double));
        pid_t pid = sim_daemon_pid(s->m);

        for (unsigned i = 0; i < WARM_UP + ROUNDS; i++) {
                double before = bench_cpu_of(pid), used;

                bench_stage(method);
                assert_end(s, run_job(s, method, GPU, ""), "done", "");
                bench_stage(NULL);
                used = bench_cpu_of(pid) - before;
                if (i >= WARM_UP)
                        g_array_append_val(values, used);
        }
        return bench_median(values);
}

static void test_probes(void) {
        g_autoptr(Scene) s = scene_new("desktop", NULL);
        double look, whole;

        /* An attach of a card that is with the host is a look at it, and no more. */
        look = 1e3 * measure(s, "Attach");
        whole = 1e3 * measure(s, "Recover");
        g_assert_cmpstr(gpu_property(s, GPU, "Health"), ==, "ok");

        g_test_message("%-28s  %9s", "", "daemon");
        g_test_message("%-28s  %6.2f ms", "a job that only looks", look);
        g_test_message("%-28s  %6.2f ms  at most %.0f ms", "a job that examines the card", whole, LIMIT_MSEC);
        g_test_message("%-28s  %6.2f ms", "the probes, so", whole - look);
        g_test_message("medians of %u rounds", ROUNDS);
        g_assert_cmpfloat(whole, <=, LIMIT_MSEC);
}

int main(int argc, char *argv[]) {
        sim_init(&argc, &argv);
        g_test_add_func("/bench/probes", test_probes);
        return g_test_run();
}
