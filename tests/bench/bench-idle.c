/* SPDX-License-Identifier: GPL-2.0-or-later */

/* bench-idle: what the daemon costs while nobody wants anything of it, in the virtual machine: its share of
 * memory, and how often it wakes up in a minute. */

#include "bench.h"
#include "dbus/names.h"
#include "tests/vm/guest.h"

#define MINUTE_SEC 60
#define PSS_LIMIT_KIB 3072

/* The number behind "KEY:" in a file of /proc/PID. */
static unsigned long number_of(pid_t pid, const char *file, const char *key) {
        g_autofree char *path = g_strdup_printf("/proc/%i/%s", pid, file), *text = NULL;
        g_auto(GStrv) lines = NULL;

        g_assert_true(g_file_get_contents(path, &text, NULL, NULL));
        lines = g_strsplit(text, "\n", -1);
        for (char **l = lines; *l; l++)
                if (g_str_has_prefix(*l, key) && (*l)[strlen(key)] == ':')
                        return strtoul(*l + strlen(key) + 1, NULL, 10);
        g_error("no %s in %s", key, path);
}

static unsigned long watchdog_sec(void) {
        g_autofree char *usec =
                output_of("systemctl", "show", "--value", "--property=WatchdogUSec", GPUPT_UNIT_DAEMON, NULL);

        /* "30s", "3min": as systemd prints spans. */
        return strtoul(usec, NULL, 10) * (strstr(usec, "min") ? 60 : 1);
}

/* A worker that only reads is kept for some seconds. */
static bool is_alone(const void *userdata) {
        g_autofree char *path = g_strdup_printf("/proc/%i/task/%i/children", *(const pid_t *) userdata,
                                                *(const pid_t *) userdata),
                        *text = NULL;

        g_assert_true(g_file_get_contents(path, &text, NULL, NULL));
        return *text == '\0';
}

static void test_idle(void) {
        pid_t pid;
        unsigned long pss, private, watchdog, allowed, before, woken;

        /* Once there and back, so that everything has been used that is used. */
        for (unsigned i = 0; i < 2; i++) {
                const char *verb = i == 0 ? "detach" : "attach";
                g_autoptr(Output) o = NULL;

                bench_stage(verb);
                o = gpuptctl(WHO_ROOT, verb, CARD, NULL);
                assert_status(o, 0);
        }
        bench_stage("waiting until the daemon has nothing to do");
        g_free(output_of("udevadm", "settle", NULL));
        gpu_wait_idle(CARD);
        pid = daemon_pid();
        wait_until(is_alone, &pid, "the end of the last worker");
        bench_stage(NULL);

        pss = number_of(pid, "smaps_rollup", "Pss");
        private = number_of(pid, "smaps_rollup", "Private_Dirty");
        watchdog = watchdog_sec();
        before = number_of(pid, "status", "voluntary_ctxt_switches");
        /* Not a wait for anything: the minute is what is measured. */
        g_usleep(MINUTE_SEC * G_USEC_PER_SEC);
        g_assert_cmpint(daemon_pid(), ==, pid);
        woken = number_of(pid, "status", "voluntary_ctxt_switches") - before;
        /* sd-event pings after a quarter to a half of the time (sd_event_set_watchdog(3)). */
        allowed = watchdog > 0 ? MINUTE_SEC * 4 / watchdog + 1 : 0;

        g_test_message("memory (PSS)         %6lu KiB  at most %u KiB; private and written %lu KiB", pss,
                       PSS_LIMIT_KIB, private);
        g_test_message("wake-ups in a minute %6lu      at most %lu, the watchdog's (every %lu s at the most)", woken,
                       allowed, watchdog);
        g_assert_cmpuint(pss, <=, PSS_LIMIT_KIB);
        g_assert_cmpuint(woken, <=, allowed);
}

int main(int argc, char *argv[]) {
        g_test_init(&argc, &argv, NULL);
        case_add("/bench/idle", test_idle);
        return g_test_run();
}
