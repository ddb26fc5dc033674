/* SPDX-License-Identifier: GPL-2.0-or-later */

/* test-surveyor: the limits of a process. Rounds and what hangs in them are tested with the daemon (test-check.c). */

#include <glib.h>
#include <sys/resource.h>

#include "surveyor.h"

static void test_parse(void) {
        static const char text[] = "Limit                     Soft Limit           Hard Limit           Units     \n"
                                   "Max processes             127322               127322               processes \n"
                                   "Max locked memory         8388608              unlimited            bytes     \n"
                                   "Max address space         unlimited            unlimited            bytes     \n";
        static const char *const bad[] = {
                "", "Max locked memory 1 2\n", "\nMax locked memory ", "\nMax locked memory 1", "\nMax locked memory a b\n",
                "\nMax locked memory 99999999999999999999999999 1\n",
        };
        uint64_t soft, hard;

        g_assert_cmpint(memlock_parse(text, &soft, &hard), ==, 0);
        g_assert_cmpuint(soft, ==, 8388608);
        g_assert_cmpuint(hard, ==, UINT64_MAX);
        for (size_t i = 0; i < G_N_ELEMENTS(bad); i++)
                g_assert_cmpint(memlock_parse(bad[i], &soft, &hard), ==, -EBADMSG);
}

static void test_process(void) {
        struct rlimit limit;
        uint64_t soft, hard;

        g_assert_cmpint(getrlimit(RLIMIT_MEMLOCK, &limit), ==, 0);
        g_assert_cmpint(process_memlock((uint32_t) getpid(), &soft, &hard), ==, 0);
        g_assert_cmpuint(soft, ==, limit.rlim_cur);
        g_assert_cmpuint(hard, ==, limit.rlim_max);
        g_assert_cmpint(process_memlock(0x7fffffff, &soft, &hard), ==, -ENOENT);
}

int main(int argc, char *argv[]) {
        g_test_init(&argc, &argv, NULL);
        g_test_add_func("/surveyor/parse", test_parse);
        g_test_add_func("/surveyor/process", test_process);
        return g_test_run();
}
