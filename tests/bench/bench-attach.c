/* SPDX-License-Identifier: GPL-2.0-or-later */

/* bench-attach: how much longer a healthy attach takes since the card is measured before it, in the virtual machine. An attach cannot
 * be had without that, so its part is put together from what it consists of, each in the same round as the attach itself: what
 * a worker that is up takes for the measurement, and what the daemon's processor takes for a whole examination, which is more than
 * for the verdict on a measurement. What is examined after the attach is nobody's to wait for. */

#include "tests/unit/worker-driver.h"

#include "bench.h"
#include "dbus/names.h"
#include "tests/vm/guest.h"

#define ROUNDS 15
#define LIMIT_PERCENT 10.0

/* ---- Jobs, by the bus, since a process costs more than what is measured */

static int on_signal(sd_bus_message *message, void *userdata, sd_bus_error *error) {
        if (sd_bus_message_is_signal(message, GPUPT_MANAGER_INTERFACE, "JobRemoved"))
                *(bool *) userdata = true;
        return 0;
}

typedef struct Caller {
        sd_bus *bus;
        char *path;
} Caller;

/* Seconds from the call to JobRemoved. */
static double run_job(const Caller *c, const char *method) {
        sd_bus_slot *slot = NULL;
        bool ended = false;
        double begin;

        bench_stage(method);
        g_assert_cmpint(sd_bus_match_signal(c->bus, &slot, GPUPT_BUS_NAME, NULL, NULL, NULL, on_signal, &ended), >=, 0);
        begin = bench_now();
        g_assert_cmpint(sd_bus_call_method_async(c->bus, NULL, GPUPT_BUS_NAME, c->path, GPUPT_GPU_INTERFACE, method, NULL, NULL,
                                                 "a{sv}", 0), >=, 0);
        while (!ended) {
                int r = sd_bus_process(c->bus, NULL);

                g_assert_cmpint(r, >=, 0);
                if (r == 0)
                        g_assert_cmpint(sd_bus_wait(c->bus, UINT64_MAX), >=, 0);
        }
        begin = bench_now() - begin;
        bench_stage(NULL);
        sd_bus_slot_unref(slot);
        return begin;
}

static void settle(void) {
        bench_stage("udevadm settle");
        g_free(output_of("udevadm", "settle", NULL));
        bench_stage(NULL);
}

/* ---- The parts */

static double ask(const WorkerDriver *d, unsigned number, const char *verb) {
        g_autofree char *line = g_strdup_printf("step %u %s " CARD " " CARD_AUDIO "\n", number, verb), *answer = NULL;
        double begin = bench_now();

        driver_send(d, line);
        answer = driver_receive(d);
        begin = bench_now() - begin;
        g_assert_nonnull(strstr(answer, "\nok "));
        return begin;
}

/* A new process, as each job has one. The first step of an attach is a check, which has to come first here: that it finds the
 * program's pages, if the measurement does not, is no matter of the measurement. */
static double measure_in_worker(void) {
        WorkerDriver d;
        double time;

        bench_stage("measure");
        driver_start(&d, NULL);
        (void) ask(&d, 1, "check");
        time = ask(&d, 2, "measure");
        g_assert_cmpint(driver_end(&d), ==, 0);
        bench_stage(NULL);
        return time;
}

/* Of the daemon, over a job that looks at the card, and does nothing ("Attach") or examines it ("Recover"). */
static double cpu_of_job(const Caller *c, const char *method) {
        pid_t pid = daemon_pid();
        double before = bench_cpu_of(pid);

        (void) run_job(c, method);
        return bench_cpu_of(pid) - before;
}

/* ---- Rounds */

static void test_attach(void) {
        g_autoptr(GArray) attach = g_array_new(false, false, sizeof(double)), worker = g_array_new(false, false, sizeof(double)),
                          daemon = g_array_new(false, false, sizeof(double));
        Caller c = {};
        double probes, percent;

        g_setenv(ENV_WORKER, WORKER_PROGRAM, true);
        g_assert_cmpint(sd_bus_open_system(&c.bus), >=, 0);
        g_assert_cmpint(sd_bus_path_encode(GPUPT_GPU_PREFIX, CARD, &c.path), >=, 0);
        /* The first round starts what is started on demand. */
        for (unsigned i = 0; i <= ROUNDS; i++) {
                double a, w, d;

                (void) run_job(&c, "Detach");
                settle();
                w = measure_in_worker();
                a = run_job(&c, "Attach");
                settle();
                gpu_wait_health(CARD, "ok");
                d = cpu_of_job(&c, "Recover");
                d -= cpu_of_job(&c, "Attach");
                if (i == 0)
                        continue;
                g_array_append_val(attach, a);
                g_array_append_val(worker, w);
                g_array_append_val(daemon, d);
        }
        probes = bench_median(worker) + MAX(0, bench_median(daemon));
        percent = 100 * probes / (bench_median(attach) - probes);
        g_test_message("%-30s  %6.1f ms", "an attach", 1e3 * bench_median(attach));
        g_test_message("%-30s  %6.1f ms", "the worker measures the card", 1e3 * bench_median(worker));
        g_test_message("%-30s  %6.1f ms  of an emulated processor", "the daemon examines it", 1e3 * bench_median(daemon));
        g_test_message("%-30s  %6.1f ms  %.1f %% of the rest, at most %.0f %%", "both", 1e3 * probes, percent, LIMIT_PERCENT);
        g_test_message("medians of %u rounds; attach, 10 %% .. 90 %%: %.1f .. %.1f ms", ROUNDS, 1e3 * bench_quantile(attach, 0.1),
                       1e3 * bench_quantile(attach, 0.9));
        g_assert_cmpfloat(percent, <=, LIMIT_PERCENT);
        sd_bus_unref(c.bus);
        free(c.path);
}

int main(int argc, char *argv[]) {
        g_test_init(&argc, &argv, NULL);
        case_add("/bench/attach", test_attach);
        return g_test_run();
}
