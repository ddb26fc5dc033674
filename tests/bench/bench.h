/* SPDX-License-Identifier: GPL-2.0-or-later */
#pragma once

/* bench: what the measuring programs share: a clock, and what is said of many measurements. */

#include <glib.h>

/* Seconds, of a clock that nobody sets. */
static inline double bench_now(void) {
        return (double) g_get_monotonic_time() / 1e6;
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
