/* SPDX-License-Identifier: GPL-2.0-or-later */
#pragma once

/* verb-case: what a test says of one step: that it succeeds, what it answers, how it fails. The worker runs without
 * the daemon, a program of its own for each step. */

#include "unit/worker-driver.h"

static inline void assert_answer(const char *step, const char *expected) {
        g_autofree char *answer = driver_run(step);

        g_test_message("%s", step);
        g_assert_true(g_str_has_prefix(answer, "begin 1\n"));
        g_assert_cmpstr(answer + strlen("begin 1\n"), ==, expected);
}

static inline void assert_ok(const char *step) {
        assert_answer(step, "ok 1\n");
}

/* The errno, and a word of the sentence. */
static inline void assert_error(const char *step, int error, const char *text) {
        g_autofree char *answer = driver_run(step), *expected = g_strdup_printf("\nerror 1 %i ", error);
        const char *line = strstr(answer, expected);

        g_test_message("%s: %s", step, answer);
        g_assert_nonnull(line);
        g_assert_nonnull(strstr(line, text));
}
