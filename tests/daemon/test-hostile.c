/* SPDX-License-Identifier: GPL-2.0-or-later */

/* test-hostile: bad input from every side: callers, files in /run and /etc, the worker, forged signals. The daemon
 * answers with an error that says what is wrong, lives, and loses nothing; what it cannot read it leaves where it is.
 */

#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <sys/mount.h>
#include <sys/stat.h>
#include <unistd.h>

#include "fixture.h"
#include "gate.h"
#include "util/cleanup.h"

#define CARD "0000:08:00.0"
#define AUDIO "0000:08:00.1"
#define RADEON "0000:09:00.0"
#define RECORD GPUPT_RUN_DIR "/gpu-" CARD
#define MEBIBYTE (1024U * 1024U)

static void assert_works(Scene *s) {
        assert_alive(s);
        assert_end(s, detach(s, CARD, ""), "done", "");
        assert_end(s, attach(s, CARD, ""), "done", "");
        assert_as_at_first(s);
}

/* ---- callers ---- */

static void test_names(void) {
        static const char *const names[] = {
                "",
                " ",
                "08",
                "8:0",
                "08:00.8",
                "08:20.0",
                "0000:08:00.0 ",
                " 0000:08:00.0",
                "0000:08:00.0x",
                "-1:00.0",
                "0x08:00.0",
                "*",
                "../../etc",
                "%s%n",
                "10de:",
                ":1e84",
                "10de:1e84:1",
                "\xc3\xa4",
                "08:00.0\n",
        };
        g_autoptr(Scene) s = scene_new("desktop", NULL);
        g_autofree char *huge = g_strnfill(MEBIBYTE, 'a');
        const char *message;

        for (size_t i = 0; i < ELEMENTSOF(names); i++) {
                const char *error = manager_call(s, "GetGpu", &message, "s", names[i]);

                if (!streq(error, GPUPT_ERROR_NO_SUCH_GPU) && !streq(error, SD_BUS_ERROR_INVALID_ARGS))
                        g_error("GetGpu('%s'): '%s' %s", names[i], error, message);
        }
        g_assert_cmpstr(manager_call(s, "GetGpu", &message, "s", huge), ==,
                        SD_BUS_ERROR_INVALID_ARGS);
        g_assert_cmpuint(strlen(message), <, 1000);
        g_assert_cmpstr(manager_call(s, "PrepareSleep", &message, "s", huge), ==,
                        SD_BUS_ERROR_INVALID_ARGS);
        g_assert_cmpuint(strlen(message), <, 1000);
        g_assert_cmpstr(gpu_call(s, CARD, "Plan", &message, "sa{sv}", huge, 0), ==,
                        SD_BUS_ERROR_INVALID_ARGS);
        g_assert_cmpuint(strlen(message), <, 1000);
        assert_works(s);
}

static void test_options(void) {
        g_autoptr(Scene) s = scene_new("desktop", NULL);
        g_autofree char *huge = g_strnfill(MEBIBYTE, 'a');
        static const char *const methods[] = { "Detach", "Attach", "Acquire" };
        const char *gpu = gpu_path(s, CARD), *message;

#define REFUSED(method, ...)                                                                        \
        g_assert_cmpstr(call_error(s, gpu, GPUPT_GPU_INTERFACE, method, &message, __VA_ARGS__), ==, \
                        SD_BUS_ERROR_INVALID_ARGS);                                                 \
        g_assert_cmpuint(strlen(message), <, 1000)

        for (size_t i = 0; i < ELEMENTSOF(methods); i++) {
                REFUSED(methods[i], "a{sv}", 1, "colour", "s", "red");
                REFUSED(methods[i], "a{sv}", 1, "", "b", true);
                REFUSED(methods[i], "a{sv}", 1, "Force", "b", true);
                REFUSED(methods[i], "a{sv}", 1, huge, "b", true);
                REFUSED(methods[i], "a{sv}", 1, "force", "u", 1U);
                REFUSED(methods[i], "a{sv}", 1, "force", "s", "yes");
                REFUSED(methods[i], "a{sv}", 1, "wait", "i", 1);
                REFUSED(methods[i], "a{sv}", 1, "wait", "t", (uint64_t) 1);
                REFUSED(methods[i], "a{sv}", 1, "wait", "u", 601U);
                REFUSED(methods[i], "a{sv}", 1, "wait", "u", UINT32_MAX);
                REFUSED(methods[i], "a{sv}", 1, "functions", "s", CARD);
                REFUSED(methods[i], "a{sv}", 1, "functions", "as", 0);
                REFUSED(methods[i], "a{sv}", 1, "functions", "as", 1, "");
                REFUSED(methods[i], "a{sv}", 1, "functions", "as", 1, huge);
                REFUSED(methods[i], "a{sv}", 1, "functions", "as", 1, RADEON);
                REFUSED(methods[i], "a{sv}", 1, "functions", "as", 2, CARD, "0000:08:00.2");
                REFUSED(methods[i], "a{sv}", 1, "functions", "ao", 1, "/");
                REFUSED(methods[i], "a{sv}", 1, "driver", "s", huge);
                REFUSED(methods[i], "a{sv}", 1, "driver", "s", "vfio/../../pci");
                REFUSED(methods[i], "a{sv}", 1, "driver", "s", "vfio pci");
                REFUSED(methods[i], "a{sv}", 1, "driver", "b", true);
                REFUSED(methods[i], "a{sv}", 1, "access", "s", "root");
                REFUSED(methods[i], "a{sv}", 1, "access", "u", 0U);
                REFUSED(methods[i], "a{sv}", 1, "method", "s", "flr");
                REFUSED(methods[i], "a{sv}", 2, "force", "b", true, "wait", "s", "long");
                REFUSED(methods[i], "a{sv}", 1, "wait", "a{sv}", 1, "wait", "v", "v", "u", 1U);
                REFUSED(methods[i], "s", "force");
                REFUSED(methods[i], "");
                REFUSED(methods[i], "a{sv}s", 0, "more");
        }
#undef REFUSED
        g_assert_cmpstr(sim_polkit_log(s->m), ==, "");
        assert_works(s);
}

static void test_paths(void) {
        static const char *const paths[] = {
                "/", "/org/gpupt1", "/org/gpupt1/gpu", "/org/gpupt1/job", "/org/gpupt1/gpu/x", "/org/gpupt1/gpu/_",
                "/org/gpupt1/gpu/_30000_3a08_3a00_2e1", "/org/gpupt1/gpu/_30000_3a08_3a00_2e0/x", "/org/gpupt1/job/0",
                "/org/gpupt1/job/99999999999999999999", "/org/gpupt1/job/1/2", "/org/freedesktop/systemd1",
        };
        g_autoptr(Scene) s = scene_new("desktop", NULL);
        const char *error;

        for (size_t i = 0; i < ELEMENTSOF(paths); i++) {
                error = call_error(s, paths[i], GPUPT_GPU_INTERFACE, "Detach", NULL, "a{sv}", 0);
                if (!streq(error, SD_BUS_ERROR_UNKNOWN_OBJECT) && !streq(error, SD_BUS_ERROR_UNKNOWN_INTERFACE) &&
                    !streq(error, SD_BUS_ERROR_UNKNOWN_METHOD))
                        g_error("Detach of %s: '%s'", paths[i], error);
                error = call_error(s, paths[i], GPUPT_JOB_INTERFACE, "Cancel", NULL, "");
                g_assert_cmpstr(error, !=, "");
        }
        /* Interfaces of other objects, properties that are not to be set. */
        g_assert_cmpstr(call_error(s, gpu_path(s, CARD), GPUPT_MANAGER_INTERFACE, "Reload", NULL, ""), !=, "");
        g_assert_cmpstr(call_error(s, gpu_path(s, CARD), GPUPT_JOB_INTERFACE, "Cancel", NULL, ""), !=, "");
        g_assert_cmpstr(call_error(s, gpu_path(s, CARD), "org.freedesktop.DBus.Properties", "Set", NULL, "ssv",
                                   GPUPT_GPU_INTERFACE, "State", "s", "host"), ==, SD_BUS_ERROR_PROPERTY_READ_ONLY);
        g_assert_cmpstr(
                call_error(s, GPUPT_OBJECT_PATH, "org.freedesktop.DBus.ObjectManager", "GetManagedObjects", NULL, ""),
                ==, "");
        assert_works(s);
}

static void test_flood(void) {
        g_autoptr(Scene) s = scene_new("desktop", NULL);
        sd_bus *rude = sim_bus_new(s->m, 0);

        /* Calls of every kind, answered or not, by one that leaves without reading. */
        for (unsigned i = 0; i < 3000; i++) {
                static const char *const members[] = { "ListHolders", "Detach", "Acquire", "Plan", "Reset" };
                _cleanup_(sd_bus_message_unrefp) sd_bus_message *m = NULL;
                const char *member = members[i % ELEMENTSOF(members)];

                g_assert_cmpint(sd_bus_message_new_method_call(rude, &m, GPUPT_BUS_NAME, gpu_path(s, CARD),
                                                               GPUPT_GPU_INTERFACE, member),
                                >=, 0);
                if (streq(member, "Plan"))
                        g_assert_cmpint(sd_bus_message_append(m, "s", "detach"), >=, 0);
                if (!streq(member, "ListHolders"))
                        g_assert_cmpint(append_options(m, "wait=0"), >=, 0);
                g_assert_cmpint(sd_bus_message_set_expect_reply(m, i % 2), >=, 0);
                if (sd_bus_send(rude, m, NULL) < 0)
                        break;
        }
        (void) sd_bus_flush(rude);
        assert_alive(s);
        (void) sd_bus_close_unref(rude);
        assert_alive(s);
        sim_wait_property(s->m, gpu_path(s, CARD), GPUPT_GPU_INTERFACE, "Job", "/");
        assert_end(s, attach(s, CARD, ""), "done", "");
        assert_works(s);
}

/* Signals that others send in the name of services are not theirs. */
static void test_forged(void) {
        g_autoptr(Scene) s = scene_new("desktop", NULL);
        unsigned fault = sim_fault(s->m, "gpuptd-modprobe@vfio_pci.service", "start", "hang");
        const char *owner, *job = job_start(s, "Detach", CARD, "");
        _cleanup_(sd_bus_message_unrefp) sd_bus_message *reply = NULL;
        sd_bus *forger = sim_bus_new(s->m, sim_have_users() ? 1000 : 0);

        sim_fault_wait(s->m, fault);
        g_assert_cmpint(sd_bus_call_method(s->caller, "org.freedesktop.DBus", "/org/freedesktop/DBus",
                                           "org.freedesktop.DBus", "GetNameOwner", NULL, &reply, "s", GPUPT_BUS_NAME),
                        >=, 0);
        g_assert_cmpint(sd_bus_message_read(reply, "s", &owner), >=, 0);
        for (unsigned i = 1; i < 20; i++) {
                _cleanup_(sd_bus_message_unrefp) sd_bus_message *m = NULL;
                g_autofree char *path = g_strdup_printf("/org/freedesktop/systemd1/job/%u", i);

                g_assert_cmpint(sd_bus_message_new_signal(forger, &m, "/org/freedesktop/systemd1",
                                                          "org.freedesktop.systemd1.Manager", "JobRemoved"), >=, 0);
                g_assert_cmpint(
                        sd_bus_message_append(m, "uoss", i, path, "gpuptd-modprobe@vfio_pci.service", "failed"), >=,
                        0);
                g_assert_cmpint(sd_bus_message_set_destination(m, owner), >=, 0);
                g_assert_cmpint(sd_bus_send(forger, m, NULL), >=, 0);
        }
        {
                _cleanup_(sd_bus_message_unrefp) sd_bus_message *m = NULL;

                g_assert_cmpint(sd_bus_message_new_signal(forger, &m, "/org/freedesktop/login1",
                                                          "org.freedesktop.login1.Manager", "PrepareForSleep"),
                                >=, 0);
                g_assert_cmpint(sd_bus_message_append(m, "b", true), >=, 0);
                g_assert_cmpint(sd_bus_message_set_destination(m, owner), >=, 0);
                g_assert_cmpint(sd_bus_send(forger, m, NULL), >=, 0);
        }
        /* Behind the signals, on the same connection: they have been handled when this is answered. */
        s->caller = forger;
        assert_alive(s);
        s->caller = sim_bus(s->m);
        g_assert_cmpstr(job_property(s, job, "State"), ==, "running");
        g_assert_cmpstr(sim_get_property(s->m, GPUPT_OBJECT_PATH, GPUPT_MANAGER_INTERFACE, "Sleeping"), ==, "false");
        sim_fault_release(s->m, fault);
        assert_end(s, job_wait(s, job), "done", "");
        (void) sd_bus_close_unref(forger);
}

/* ---- files in /run ---- */

/* A journal of a job that was under way when the daemon died, with the worker. */
static char *real_journal(Scene *s) {
        unsigned fault = sim_fault(s->m, AUDIO, "unbind", "hang");
        const char *job = job_start(s, "Detach", CARD, ""), *line;
        g_autofree char *path = g_strdup_printf(GPUPT_RUN_DIR "/job-%s", strrchr(job, '/') + 1);
        char *text = NULL;
        pid_t worker;

        sim_fault_wait(s->m, fault);
        g_assert_true(g_file_get_contents(path, &text, NULL, NULL));
        line = strstr(text, "\nworker ");
        worker = atoi(line + STRLEN("\nworker "));
        sim_daemon_kill(s->m);
        g_assert_cmpint(kill(worker, SIGKILL), ==, 0);
        sim_fault_release(s->m, fault);
        (void) sim_wait_ended(s->m, worker);
        return text;
}

static void assert_file(const char *path, const char *text) {
        g_autofree char *now = NULL;

        g_assert_true(g_file_get_contents(path, &now, NULL, NULL));
        g_assert_cmpstr(now, ==, text);
}

/* The card is left alone, and whoever asks is told by which file. */
static void assert_inconsistent(Scene *s, const char *gpu, const char *file) {
        const JobEnd *ends[] = { detach(s, gpu, "disrupt-session"), attach(s, gpu, "") };

        for (size_t i = 0; i < ELEMENTSOF(ends); i++) {
                assert_end(s, ends[i], "refused", "Inconsistent");
                assert_has(ends[i]->message, gpu);
                assert_has(ends[i]->message, file);
        }
        assert_has(gpu_property(s, gpu, "HealthFindings"), file);
}

/* Cut off anywhere it is not used, it is said, and the whole one still is. */
static void test_truncated_journal(void) {
        g_autoptr(Scene) s = scene_new("desktop", NULL);
        g_autofree char *text = real_journal(s);
        size_t size = strlen(text);

        for (size_t n = 0; n < size; n += MAX(1U, size / 12)) {
                g_autofree char *cut = g_strndup(text, n);

                put_file(GPUPT_RUN_DIR "/job-1", cut);
                scene_start(s);
                assert_alive(s);
                assert_file(GPUPT_RUN_DIR "/job-1", cut);
                assert_has(sim_daemon_log(s->m), "journal of job 1 is not readable");
                assert_inconsistent(s, CARD, GPUPT_RUN_DIR "/job-1");
                sim_daemon_kill(s->m);
        }
        put_file(GPUPT_RUN_DIR "/job-1", text);
        scene_start(s);
        wait_state(s, CARD, "detached");
        assert_end(s, attach(s, CARD, ""), "done", "");
        assert_as_at_first(s);
}

static void test_alien_journal(void) {
        g_autoptr(Scene) s = scene_new("desktop", NULL);
        g_autofree char *text = real_journal(s), *huge = g_strnfill(MEBIBYTE, 'x');
        g_autoptr(GString) version = g_string_new(text), gpu = g_string_new(text), verb = g_string_new(text);
        const char *const bad[] = { version->str,
                                    verb->str,
                                    huge,
                                    "\x7f"
                                    "ELF\x02\x01",
                                    "gpuptd-job 1\n",
                                    "gpuptd-job 1\njob 3" };

        (void) g_string_replace(version, "gpuptd-job 1", "gpuptd-job 2", 1);
        (void) g_string_replace(verb, "step unbind", "step explode", 1);
        for (size_t i = 0; i < ELEMENTSOF(bad); i++) {
                const char *content = i == 0 ? version->str : i == 1 ? verb->str : bad[i];

                put_file(GPUPT_RUN_DIR "/job-1", content);
                scene_start(s);
                assert_alive(s);
                assert_file(GPUPT_RUN_DIR "/job-1", content);
                assert_has(sim_daemon_log(s->m), "journal of job 1 is not readable");
                assert_inconsistent(s, CARD, GPUPT_RUN_DIR "/job-1");
                /* Other cards are none of its concern. */
                assert_end(s, detach(s, RADEON, "disrupt-session"), "done", "");
                assert_end(s, attach(s, RADEON, ""), "done", "");
                sim_daemon_kill(s->m);
        }
        /* One that says it is another job; names that are none. */
        put_file(GPUPT_RUN_DIR "/job-1", NULL);
        put_file(GPUPT_RUN_DIR "/job-77", text);
        put_file(GPUPT_RUN_DIR "/job-", text);
        put_file(GPUPT_RUN_DIR "/job-1x", text);
        put_file(GPUPT_RUN_DIR "/job-99999999999999999999", text);
        g_assert_cmpint(mkdir(GPUPT_RUN_DIR "/job-5", 0700), ==, 0);
        g_assert_cmpint(mkfifo(GPUPT_RUN_DIR "/job-6", 0600), ==, 0);
        g_assert_cmpint(symlink("/dev/zero", GPUPT_RUN_DIR "/job-7"), ==, 0);
        g_assert_cmpint(symlink("job-8", GPUPT_RUN_DIR "/job-8"), ==, 0);
        scene_start(s);
        assert_alive(s);
        assert_file(GPUPT_RUN_DIR "/job-77", text);
        sim_daemon_kill(s->m);

        /* Of a card that is not there: it is remembered as absent, and the job comes to an end. */
        (void) g_string_replace(gpu, "0000:08:00.", "0000:7f:00.", 0);
        put_file(GPUPT_RUN_DIR "/job-77", NULL);
        put_file(GPUPT_RUN_DIR "/job-1", gpu->str);
        scene_start(s);
        assert_alive(s);
        g_assert_cmpstr(state_of(s, "0000:7f:00.0"), ==, "absent");
        sim_wait_property(s->m, gpu_path(s, "0000:7f:00.0"), GPUPT_GPU_INTERFACE, "Job", "/");
        assert_end(s, attach(s, "0000:7f:00.0", ""), "refused", "Unreachable");
        g_assert_cmpstr(gpu_call(s, "0000:7f:00.0", "Plan", NULL, "sa{sv}", "detach", 0), ==,
                        GPUPT_ERROR_UNREACHABLE);
        g_assert_cmpstr(holders_of(s, "0000:7f:00.0"), ==, "[]");
        assert_alive(s);
}

/* A journal that cannot be read: if it names a card, it is that one's; if not, it can be any that is not with the host. */
static void test_nobodys_journal(void) {
        static const char file[] = GPUPT_RUN_DIR "/job-9";
        g_autoptr(Scene) s = scene_new("desktop", NULL);

        assert_end(s, detach(s, CARD, ""), "done", "");
        sim_daemon_kill(s->m);
        put_file(file, "what was this?\n");
        scene_start(s);
        assert_inconsistent(s, CARD, file);
        assert_drivers(s, "vfio-pci", CARD, AUDIO, NULL);
        assert_end(s, detach(s, RADEON, "disrupt-session"), "done", "");
        assert_end(s, attach(s, RADEON, ""), "done", "");
        assert_file(file, "what was this?\n");

        sim_daemon_kill(s->m);
        put_file(file, "gpuptd-job 2\njob 9 detach " RADEON " 0 more\n\n");
        scene_start(s);
        assert_inconsistent(s, RADEON, file);
        assert_end(s, attach(s, CARD, ""), "done", "");

        sim_daemon_kill(s->m);
        put_file(file, NULL);
        scene_start(s);
        assert_end(s, detach(s, RADEON, "disrupt-session"), "done", "");
        assert_end(s, attach(s, RADEON, ""), "done", "");
        assert_as_at_first(s);
}

static void test_record(void) {
        g_autoptr(Scene) s = scene_new("desktop", NULL);
        g_autofree char *text = NULL, *huge = g_strnfill(MEBIBYTE, 'x');
        g_autoptr(GString) version = NULL, identity = NULL;

        assert_end(s, detach(s, CARD, ""), "done", "");
        g_assert_true(g_file_get_contents(RECORD, &text, NULL, NULL));
        version = g_string_new(text);
        identity = g_string_new(text);
        g_assert_cmpuint(g_string_replace(version, "gpuptd-gpu 1", "gpuptd-gpu 9", 1), ==, 1);
        g_assert_cmpuint(g_string_replace(identity, "10de:1e84", "10de:1e85", 1), ==, 1);
        for (unsigned i = 0; i < 6; i++) {
                g_autofree char *half = g_strndup(text, strlen(text) / 2);
                const char *bad[] = { version->str, identity->str, huge, half, "", "\x01\x02" };

                sim_daemon_kill(s->m);
                put_file(RECORD, bad[i]);
                scene_start(s);
                assert_alive(s);
                assert_inconsistent(s, CARD, RECORD);
                assert_file(RECORD, bad[i]);
                assert_drivers(s, "vfio-pci", CARD, AUDIO, NULL);
                assert_end(s, detach(s, RADEON, "disrupt-session"), "done", "");
                assert_end(s, attach(s, RADEON, ""), "done", "");
        }
        sim_daemon_kill(s->m);
        put_file(RECORD, text);
        put_file(GPUPT_RUN_DIR "/gpu-x", "nonsense");
        put_file(GPUPT_RUN_DIR "/gpu-0000:99:00.0", "nonsense");
        scene_start(s);
        assert_end(s, attach(s, CARD, ""), "done", "");
        assert_as_at_first(s);
}

static void test_leases(void) {
        g_autoptr(Scene) s = scene_new_without_daemon("desktop");
        g_autofree char *huge = g_strnfill(MEBIBYTE, 'x');

        put_file(GPUPT_RUN_DIR "/lease-1", "");
        put_file(GPUPT_RUN_DIR "/lease-2", huge);
        put_file(GPUPT_RUN_DIR "/lease-3", "version 7\ngpu 0000:08:00.0\nuid 0\n");
        put_file(GPUPT_RUN_DIR "/lease-4", "version 1\ngpu 0000:08:00.0\nuid -1\n");
        put_file(GPUPT_RUN_DIR "/lease-5.fifo", "no fifo");
        put_file(GPUPT_RUN_DIR "/lease-5", "version 1\ngpu 0000:08:00.0\nuid 0\n");
        put_file(GPUPT_RUN_DIR "/lease-6", "version 1\ngpu 0000:77:00.0\nuid 0\n");
        g_assert_cmpint(mkdir(GPUPT_RUN_DIR "/lease-7", 0700), ==, 0);
        put_file(GPUPT_RUN_DIR "/lease-", "version 1\n");
        scene_start(s);
        assert_works(s);
        assert_file(GPUPT_RUN_DIR "/lease-3", "version 7\ngpu 0000:08:00.0\nuid 0\n");
        {
                const char *job;
                int fd = acquire(s, CARD, "", &job, NULL);

                assert_end(s, job_wait(s, job), "done", "");
                (void) close(fd);
                wait_state(s, CARD, "host");
                assert_as_at_first(s);
        }
}

/* Jobs are numbered anew, behind those that have files. */
static void test_next_id(void) {
        static const char *const bad[] = { "", "x\n", "-1\n", "0\n", "99999999999999999999\n" };
        g_autoptr(Scene) s = scene_new("desktop", NULL);
        const JobEnd *end;

        put_file(GPUPT_RUN_DIR "/result-40-2", "");
        for (size_t i = 0; i < ELEMENTSOF(bad); i++) {
                put_file(GPUPT_RUN_DIR "/next-id", bad[i]);
                end = detach(s, CARD, "");
                assert_end(s, end, "done", "");
                g_assert_cmpuint(end->id, ==, 41 + 2 * i);
                assert_has(sim_daemon_log(s->m), "next-id is not readable");
                end = attach(s, CARD, "");
                assert_end(s, end, "done", "");
                g_assert_cmpuint(end->id, ==, 42 + 2 * i);
                assert_as_at_first(s);
        }
        put_file(GPUPT_RUN_DIR "/next-id", "170\n");
        g_assert_cmpuint(detach(s, CARD, "")->id, ==, 170);
        assert_end(s, attach(s, CARD, ""), "done", "");
        assert_as_at_first(s);
}

static void fill_up(void) {
        int fd = open(GPUPT_RUN_DIR "/fill", O_WRONLY | O_CREAT | O_CLOEXEC, 0600);
        char zeros[512] = {};

        while (write(fd, zeros, sizeof(zeros)) > 0)
                ;
        g_assert_cmpint(errno, ==, ENOSPC);
        (void) close(fd);
}

/* No room for the journal: nothing is begun; and what has begun is undone all the same. */
static void test_full(void) {
        g_autoptr(Scene) s = scene_new_without_daemon("desktop");
        unsigned fault;
        const char *job;

        g_assert_cmpint(mkdir(GPUPT_RUN_DIR, 0700), ==, 0);
        g_assert_cmpint(mount("tmpfs", GPUPT_RUN_DIR, "tmpfs", MS_NOSUID | MS_NODEV, "size=128k,mode=700"), ==, 0);
        put_file("/etc/gpuptd/gpuptd.conf", "[Daemon]\nStepTimeoutSec=1\n");
        scene_start(s);
        fill_up();
        g_assert_cmpstr(detach(s, CARD, "")->result, ==, "refused");
        assert_as_at_first(s);
        put_file(GPUPT_RUN_DIR "/fill", NULL);

        /* Within a step, and past its limit. */
        for (unsigned i = 0; i < 2; i++) {
                fault = sim_fault(s->m, CARD, "unbind", "hang");
                job = job_start(s, "Detach", CARD, "");
                sim_fault_wait(s->m, fault);
                fill_up();
                if (i == 1)
                        assert_end(s, job_wait(s, job), "stuck", "Stuck");
                sim_fault_release(s->m, fault);
                if (i == 0)
                        assert_end(s, job_wait(s, job), "rolled-back", "Failed");
                wait_state(s, CARD, "host");
                assert_as_at_first(s);
                put_file(GPUPT_RUN_DIR "/fill", NULL);
        }
        assert_works(s);
        scene_free(g_steal_pointer(&s));
        (void) umount2(GPUPT_RUN_DIR, MNT_DETACH);
}

/* ---- configuration ---- */

static void test_configuration(void) {
        g_autofree char *huge = g_strnfill(MEBIBYTE, 'x');
        g_autoptr(Scene) s = scene_new_without_daemon("desktop");
        const char *log;

        put_file("/etc/gpuptd/gpuptd.conf",
                 "[Daemon]\nWaitSec=long\nColour=red\n[Nothing]\nX=1\nno assignment\nLimitJobs=-3\n[Daemon\n");
        put_file("/etc/gpuptd/gpuptd.conf.d/10-huge.conf", huge);
        put_file("/etc/gpuptd/gpuptd.conf.d/20-binary.conf", "\x7f" "ELF\x01\x02[Daemon]\n");
        put_file("/etc/gpuptd/a.gpu",
                 "[Match]\nAddress=everything\n[Gpu]\nFunctions=0000:0a:00.3\nHostDriver=../../x\n");
        put_file("/etc/gpuptd/b.gpu",
                 "[Match]\nAddress=" CARD "\n[Gpu]\nFunctions=.9 huh\nVfioDriver=nvme\nIdlePower=warm\nAlias=\xff\n");
        put_file("/etc/gpuptd/c.gpu", huge);
        g_assert_cmpint(mkdir("/etc/gpuptd/d.gpu", 0755), ==, 0);
        g_assert_cmpint(symlink("e.gpu", "/etc/gpuptd/e.gpu"), ==, 0);
        g_assert_cmpint(mkfifo("/etc/gpuptd/f.gpu", 0644), ==, 0);
        scene_start(s);
        log = sim_daemon_log(s->m);
        assert_has(log, "/etc/gpuptd/gpuptd.conf:2:");
        assert_has(log, "/etc/gpuptd/gpuptd.conf:3:");
        assert_has(log, "/etc/gpuptd/b.gpu:");
        g_assert_null(strstr(gpu_property(s, CARD, "Functions"), "0000:0a:00.3"));
        assert_alive(s);
        /* What the file says of the driver fits no card: said when it matters, and put right by the caller. */
        assert_end(s, detach(s, CARD, ""), "refused", "InvalidArgs");
        assert_end(s, detach(s, CARD, "driver=vfio-pci"), "done", "");
        assert_end(s, attach(s, CARD, ""), "done", "");
        assert_as_at_first(s);
        put_file("/etc/gpuptd/b.gpu", NULL);
        g_assert_cmpstr(manager_call(s, "Reload", NULL, ""), ==, "");
        assert_works(s);
}

/* ---- the worker ---- */

static const char *const nonsense[] = {
        "say ok 4711$L",
        "say ok $N$Lok $N$L",
        "say ok $N more$L",
        "say error $N$L",
        "say error $N 0 nothing$L",
        "say error $N -5 negative$L",
        "say error $N 99999 large$L",
        "say begin 4711$L",
        "say saved$Lok $N$L",
        "say saved 0000:08:00.0 driver$Lok $N$L",
        "say function 0000:08:00.0 and so on$Lok $N$L",
        "say \x01\x02\xff$Lok $N$L",
};

/* What is no end of the step: the limit is. */
static const char *const endless[] = { "say hello$L", "say $L", "say begin $N$L", "say half a li", "say ok$L" };

static void talk(Scene *s, const char *verb, const char *target, const char *text) {
        const JobEnd *end;
        const char *job;

        gate_set(verb, target, 0);
        job = job_start(s, "Detach", CARD, "wait=0");
        gate_answer(gate_wait(), text);
        end = job_wait(s, job);
        assert_alive(s);
        if (streq(end->result, "stuck")) {
                g_assert_cmpstr(state_of(s, CARD), ==, "stuck");
                sim_daemon_kill(s->m);
                scene_start(s);
                wait_gpu_property(s, CARD, "Job", "/");
        }
        assert_end(s, attach(s, CARD, ""), "done", "");
        assert_as_at_first(s);
}

/* Whatever it says to a step, the job fails or goes on; either way the card comes back. */
static void test_worker(void) {
        static const char *const verbs[][2] = {
                { "snapshot", "-" }, { "save", CARD }, { "unbind", AUDIO }, { "census", "15" }
        };
        g_autoptr(Scene) s = scene_new_without_daemon("desktop");

        gates_open();
        s->environment = gate_environment();
        put_file("/etc/gpuptd/gpuptd.conf", "[Daemon]\nStepTimeoutSec=1\n");
        scene_start(s);
        for (size_t v = 0; v < ELEMENTSOF(verbs); v++)
                for (size_t i = 0; i < ELEMENTSOF(nonsense); i++)
                        talk(s, verbs[v][0], verbs[v][1], nonsense[i]);
        for (size_t i = 0; i < ELEMENTSOF(endless); i++)
                talk(s, verbs[1 + i % 2][0], verbs[1 + i % 2][1], endless[i]);
}

int main(int argc, char *argv[]) {
        sim_init(&argc, &argv);
        g_test_add_func("/hostile/names", test_names);
        g_test_add_func("/hostile/options", test_options);
        g_test_add_func("/hostile/paths", test_paths);
        g_test_add_func("/hostile/flood", test_flood);
        g_test_add_func("/hostile/forged", test_forged);
        g_test_add_func("/hostile/truncated-journal", test_truncated_journal);
        g_test_add_func("/hostile/alien-journal", test_alien_journal);
        g_test_add_func("/hostile/nobodys-journal", test_nobodys_journal);
        g_test_add_func("/hostile/record", test_record);
        g_test_add_func("/hostile/leases", test_leases);
        g_test_add_func("/hostile/next-id", test_next_id);
        g_test_add_func("/hostile/full", test_full);
        g_test_add_func("/hostile/configuration", test_configuration);
        g_test_add_func("/hostile/worker", test_worker);
        return g_test_run();
}
