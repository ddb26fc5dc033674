/* SPDX-License-Identifier: GPL-2.0-or-later */

/* bench-inventory: how the look at a whole host grows with the number of its PCI functions, on the
 * simulated machine: the worker's snapshot, a process of its own, against `lspci -n` on the same tree. Two
 * kinds of host: one with a single GPU among network functions, and one where every eighth function is a
 * GPU, so that every slot is looked at in detail. */

#include "tests/unit/worker-driver.h"

#include "bench.h"
#include "machine.h"

static const unsigned counts[] = { 1, 10, 100, 1000, 10000 };

static char *write_topology(unsigned n, bool only_gpus) {
        g_autoptr(GString) text = g_string_new("iommu intel\n");
        g_autofree char *path = g_build_filename(g_get_tmp_dir(), "gpuptd-bench-XXXXXX", NULL);
        _cleanup_close_ int fd = g_mkstemp(path);

        g_assert_cmpint(fd, >=, 0);
        if (only_gpus)
                g_string_append_printf(text, "generate %u\n", n);
        else
                for (unsigned i = 0; i < n; i++)
                        g_string_append_printf(text, "function %04x:%02x:%02x.%u id=%s class=%s group=%u\n", i / 65536,
                                               i / 256 % 256, i / 8 % 32, i % 8, i == 0 ? "10de:1eb8" : "8086:154c",
                                               i == 0 ? "030200" : "020000", i);
        g_assert_true(g_file_set_contents(path, text->str, (gssize) text->len, NULL));
        return g_steal_pointer(&path);
}

static double time_lspci(unsigned n) {
        char *argv[] = { (char *) "lspci", (char *) "-n", NULL };
        g_autofree char *out = NULL;
        double begin = bench_now();
        unsigned lines = 0;
        int status;

        g_assert_true(g_spawn_sync(NULL, argv, NULL, G_SPAWN_SEARCH_PATH, NULL, NULL, &out, NULL, &status, NULL));
        begin = bench_now() - begin;
        g_assert_cmpint(status, ==, 0);
        for (const char *p = out; (p = strchr(p, '\n')); p++)
                lines++;
        g_assert_cmpuint(lines, ==, n);
        return begin;
}

static double time_worker(unsigned n) {
        double begin = bench_now();
        g_autofree char *answer = driver_run("snapshot -");
        unsigned functions = 0;

        begin = bench_now() - begin;
        for (const char *p = answer; (p = strstr(p, "\nfunction ")); p++)
                functions++;
        g_assert_cmpuint(functions, ==, n);
        return begin;
}

static void measure(unsigned n, bool only_gpus) {
        g_autofree char *topology = write_topology(n, only_gpus);
        g_autoptr(SimMachine) m = sim_machine_new(topology);
        g_autoptr(GArray) lspci = g_array_new(false, false, sizeof(double)),
                          worker = g_array_new(false, false, sizeof(double));
        unsigned rounds = n >= 10000 ? 3 : 11;

        /* The first round fills caches. */
        for (unsigned i = 0; i <= rounds; i++) {
                double a, b;

                bench_stage("a snapshot");
                a = time_worker(n);
                bench_stage("lspci -n");
                b = time_lspci(n);
                bench_stage(NULL);
                if (i == 0)
                        continue;
                g_array_append_val(worker, a);
                g_array_append_val(lspci, b);
        }
        g_test_message("%9u  %9s  %9.1f ms  %9.1f ms  %5.2fx", n, only_gpus ? "1 of 8" : "1",
                       1e3 * bench_median(worker), 1e3 * bench_median(lspci),
                       bench_median(worker) / bench_median(lspci));
        (void) unlink(topology);
}

static void test_inventory(void) {
        g_test_message("%9s  %9s  %12s  %12s  %6s", "functions", "GPUs", "snapshot", "lspci -n", "ratio");
        for (unsigned kind = 0; kind < 2; kind++)
                for (size_t i = 0; i < G_N_ELEMENTS(counts); i++)
                        measure(counts[i], kind == 1);
}

int main(int argc, char *argv[]) {
        sim_init(&argc, &argv);
        g_test_add_func("/bench/inventory", test_inventory);
        return g_test_run();
}
