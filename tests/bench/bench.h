/* SPDX-License-Identifier: GPL-2.0-or-later */
#pragma once

/* bench: what the measuring programs share: clocks, a limit for whatever is measured, and what is said of many
 * measurements. */

#include <glib.h>
#include <signal.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

/* A hundred times of what anything here takes: past it, it hangs. Longer than the kernel waits before it logs where a
 * task hangs (hung_task_timeout_secs). */
#define BENCH_LIMIT_SEC 150

static const char *bench_stage_name = "";

static inline void bench_out_of_time(int signo) {
        static const char before[] = "# This has no end: ";

        (void) !write(STDOUT_FILENO, before, sizeof(before) - 1);
        (void) !write(STDOUT_FILENO, bench_stage_name, strlen(bench_stage_name));
        (void) !write(STDOUT_FILENO, "\n", 1);
        _exit(EXIT_FAILURE);
}

/* What is being done from now on; it has a limit of its own. NULL: nothing. The text is not copied. */
static inline void bench_stage(const char *what) {
        if (what) {
                bench_stage_name = what;
                (void) signal(SIGALRM, bench_out_of_time);
        }
        (void) alarm(what ? BENCH_LIMIT_SEC : 0);
}

/* Seconds, of a clock that nobody sets. */
static inline double bench_now(void) {
        return (double) g_get_monotonic_time() / 1e6;
}

/* Seconds of a processor that a process, without its children, has used. */
static inline double bench_cpu_of(pid_t pid) {
        struct timespec t;
        clockid_t clock;

        g_assert_cmpint(clock_getcpuclockid(pid, &clock), ==, 0);
        g_assert_cmpint(clock_gettime(clock, &t), ==, 0);
        return (double) t.tv_sec + (double) t.tv_nsec / 1e9;
}

static inline int bench_compare(const void *a, const void *b) {
        double x = *(const double *) a, y = *(const double *) b;

        return x < y ? -1 : x > y;
}

/* The value below which lies this share of them: 0.5 is the median. */
static inline double bench_quantile(const GArray *values, double share) {
        g_autofree double *sorted = g_memdup2(values->data, values->len * sizeof(double));

        g_assert_cmpuint(values->len, >, 0);
        qsort(sorted, values->len, sizeof(double), bench_compare);
        return sorted[(size_t) (share * (values->len - 1) + 0.5)];
}

static inline double bench_median(const GArray *values) {
        return bench_quantile(values, 0.5);
}
