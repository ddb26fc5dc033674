/* SPDX-License-Identifier: GPL-2.0-or-later */

/* test-worker: the program itself, from the other end of its socket: what it says, what it refuses, what it leaves
 * behind when nobody listens any more, and how it ends. Nothing here needs a GPU or changes the machine. */

#include "worker-driver.h"

#include <sched.h>
#include <signal.h>
#include <sys/file.h>
#include <sys/mount.h>
#include <sys/prctl.h>
#include <sys/stat.h>

#include "util/fs.h"
#include "util/words.h"
#include "worker/end.h"

/* The bytes of the daemon, and what the program makes of them: the whole answer and its exit status. */
static void test_protocol(void) {
        static const struct {
                const char *input, *answer;
                int status;
        } cases[] = {
                { "", "", 0 },
                { "step 7 snapshot", "", 2 }, /* the end of file in the middle of a line */
                { "\n", "", 2 },
                { "hello\n", "", 2 },
                { "step\n", "", 2 },
                { "step 1\n", "", 2 },
                { "step 1 check\n", "", 2 },
                { "step -1 check x\n", "", 2 },
                { "step 4294967296 check x\n", "", 2 },
                { "step 1 check  x\n", "", 2 },
                { "STEP 1 check x\n", "", 2 },
                { "begin 1 check x\n", "", 2 },
                { "step 4294967295 no-such-verb x\n",
                  "begin 4294967295\nerror 4294967295 22 'no-such-verb'\\x20is\\x20not\\x20a\\x20step\\x20for\\x20a\\x20worker\n", 0 },
        };

        for (size_t i = 0; i < ELEMENTSOF(cases); i++) {
                g_autofree char *answer = NULL;
                WorkerDriver d;

                g_test_message("%s", cases[i].input);
                driver_start(&d, NULL);
                driver_send(&d, cases[i].input);
                g_assert_cmpint(shutdown(d.fd, SHUT_WR), ==, 0);
                answer = driver_receive(&d);
                g_assert_cmpstr(answer, ==, cases[i].answer);
                g_assert_cmpint(driver_end(&d), ==, cases[i].status);
        }
}

/* A line that never ends. */
static void test_long_line(void) {
        g_autofree char *line = g_strnfill(WORDS_LINE_MAX + 1, 'x');
        g_autofree char *answer = NULL;
        WorkerDriver d;

        driver_start(&d, NULL);
        driver_send(&d, line);
        answer = driver_receive(&d);
        g_assert_cmpstr(answer, ==, "");
        g_assert_cmpint(driver_end(&d), ==, 2);
}

/* A step in pieces, and several in one piece. */
static void test_pieces(void) {
        static const char step[] = "step 1 check-driver no-such-driver\n";
        WorkerDriver d;

        driver_start(&d, NULL);
        for (const char *c = step; *c; c++)
                driver_send(&d, (const char[]) { *c, '\0' });
        {
                g_autofree char *answer = driver_receive(&d);

                g_assert_true(g_str_has_prefix(answer, "begin 1\nerror 1 65 "));
        }
        driver_send(&d, "step 2 check-module no_such_module\nstep 3 check-module no-such-module\n");
        {
                g_autofree char *first = driver_receive(&d);

                while (!strstr(first, "ok 3\n")) {
                        g_autofree char *before = g_steal_pointer(&first), *more = driver_receive(&d);

                        g_assert_cmpstr(more, !=, "");
                        first = g_strconcat(before, more, NULL);
                }
                g_assert_cmpstr(first, ==, "begin 2\nok 2\nbegin 3\nok 3\n");
        }
        g_assert_cmpint(driver_end(&d), ==, 0);
}

/* The words of an answer's last line. */
static char **last_words(const char *answer) {
        g_auto(GStrv) lines = g_strsplit(answer, "\n", -1);
        char **words = NULL;
        guint n = g_strv_length(lines);

        g_assert_cmpuint(n, >=, 2);
        g_assert_cmpint(words_split(lines[n - 2], &words), ==, 0);
        return words;
}

static void assert_error(const char *step, int error) {
        g_autofree char *answer = driver_run(step);
        _cleanup_strv_free_ char **words = last_words(answer);
        g_autofree char *number = g_strdup_printf("%i", error);

        g_test_message("%s: %s", step, answer);
        g_assert_cmpuint(strv_length(words), ==, 4);
        g_assert_cmpstr(words[0], ==, "error");
        g_assert_cmpstr(words[1], ==, "1");
        g_assert_cmpstr(words[2], ==, number);
        g_assert_cmpstr(words[3], !=, "");
}

/* Nothing that is not a name gets near a path, and every verb counts its arguments. */
static void test_bad_words(void) {
        static const char *const steps[] = {
                "load nouveau", "wait-free 0000:01:00.0 5", "stop-unit x.service", /* not the worker's */
                "check ../../etc", "check 01:00.0", "check \\-", "check 0000:01:00.0/..",
                "save x", "snapshot x", "snapshot - 01:00.0", "snapshot 0000:01:00.0",
                "census x", "census - /dev/null", "census - 1:3", "census - 1:3:/etc/passwd", "census - x:3:/dev/null",
                "census - 1:3:", "census - 99999999999:3:/dev/null", "census - :3:/dev/null",
                "verify 0000:01:00.0", "verify 0000:01:00.0 a b", "verify 0000:01:00.0 a/b",
                "check-module a/b", "check-module ..", "check-module \\-", "check-driver a/b", "check-driver ..",
                "check-driver a b", "pin-power x", "restore-power 0000:01:00.0", "restore-power 0000:01:00.0 on",
                "restore-power 0000:01:00.0 maybe 1", "restore-power 0000:01:00.0 on 2", "idle-power 0000:01:00.0",
                "idle-power 0000:01:00.0 off", "override 0000:01:00.0", "override 0000:01:00.0 a\\x0ab",
                "override 0000:01:00.0 a\\x20b", "override x nvidia", "unbind 0000:01:00.0", "unbind 0000:01:00.0 ../x",
                "unbind 0000:01:00.0 \\-", "unbind x nvidia", "bind x nvidia", "rebind x nvidia",
                "rebind 0000:01:00.0 \\-", "rebind 0000:01:00.0 a/b", "probe x", "probe 0000:01:00.0 nvidia",
                "wait-drm 0000:01:00.0", "wait-drm 0000:01:00.0 -1", "wait-drm 0000:01:00.0 61",
                "ask-compositor 0000:01:00.0", "ask-compositor 0000:01:00.0 ../card0 sway",
                "ask-compositor 0000:01:00.0 renderD128 sway", "return-compositor 0000:01:00.0 card0 sway",
                "ask-sound 0000:01:00.0", "ask-sound 0000:01:00.0 ../card0", "ask-sound 0000:01:00.0 card",
                "ask-sound 0000:01:00.0 card1x", "return-sound 0000:01:00.0 card0 /dev/snd/controlC0",
                "end 1x 1 5", "end 0 1 5", "end -5 1 5", "end 5 1", "end 5 1 61", "end 5 x 5",
                "release-console vtcon", "release-console ../vtcon1", "restore-console con1", "release-console vtcon1 1",
                "access 0000:01:00.0", "access 0000:01:00.0 root", "access 0000:01:00.0 4294967295",
                "revoke 0000:01:00.0 -1",
                "measure x", "measure ffffffff:01:00.0 01:00.0", "sensors x", "sensors ffffffff:01:00.0 ../config",
                "wake x", "switch-power bbswitch", "switch-power bbswitch on", "switch-power ../bbswitch ON",
                "switch-power \\- ON", "slot-power 1", "slot-power 1 2", "slot-power ../1 0", "slot-power .. 0",
                "reset 0000:01:00.0", "reset 0000:01:00.0 slbr", "reset 0000:01:00.0 default",
                "reset 0000:01:00.0 flr\\x20bus", "reset x flr", "reset-below x", "reset-below 0000:01:00.0 1",
                "remove x", "remove 0000:01:00.0 0000:01:00.1", "eject x", "eject 0000:01:00.0/..",
                "rescan 0000", "rescan 0000:1", "rescan 0000:01:00", "rescan ../0000:01", "rescan \\-", "rescan 0000:01 x",
                "rescan 000000000000000000000000:01", "restore-decodes x", "keep 0000:01:00.0", "keep x vfio-pci",
                "keep 0000:01:00.0 a/b", "keep 0000:01:00.0 a\\x0ab", "keep 0000:01:00.0 a\\x22b", "keep ../x vfio-pci",
                "alarm rtc0", "alarm rtc 5", "alarm ../rtc0 5", "alarm rtc0 3601", "alarm rtc0 -1", "alarm rtc0 +5",
                "sleep-statistics x", "sleep-statistics - fail",
        };

        for (size_t i = 0; i < ELEMENTSOF(steps); i++)
                assert_error(steps[i], EINVAL);
}

/* An address that no machine has: domain ffffffff. */
static void test_no_device(void) {
        static const char *const steps[] = {
                "check ffffffff:01:00.0", "save ffffffff:01:00.0", "verify ffffffff:01:00.0 nvidia",
                "pin-power ffffffff:01:00.0", "restore-power ffffffff:01:00.0 on 1", "idle-power ffffffff:01:00.0 auto",
                "override ffffffff:01:00.0 vfio-pci", "unbind ffffffff:01:00.0 nvidia", "bind ffffffff:01:00.0 vfio-pci",
                "rebind ffffffff:01:00.0 nvidia", "probe ffffffff:01:00.0", "wait-drm ffffffff:01:00.0 1",
                "ask-sound ffffffff:01:00.0 card0", "return-sound ffffffff:01:00.0 card0",
                "access ffffffff:01:00.0 1000", "revoke ffffffff:01:00.0 1000", "release-console vtcon999999",
                "wake ffffffff:01:00.0", "reset ffffffff:01:00.0 flr", "reset ffffffff:01:00.0 \\-",
                "reset-below ffffffff:01:00.0", "restore-decodes ffffffff:01:00.0", "rescan ffffffff:01", "alarm rtc999999 5",
        };

        for (size_t i = 0; i < ELEMENTSOF(steps); i++)
                assert_error(steps[i], ENODEV);
        assert_error("check-driver no-such-driver", ENOPKG);
        assert_error("slot-power no-such-slot 1", ENOTTY);
}

/* What is gone has nothing to say, and need not be removed. */
static void test_gone_before(void) {
        static const char *const steps[] = {
                "measure ffffffff:01:00.0 ffffffff:01:00.1", "sensors ffffffff:01:00.0", "remove ffffffff:01:00.0",
                "eject ffffffff:01:00.0",
        };

        for (size_t i = 0; i < ELEMENTSOF(steps); i++) {
                g_autofree char *answer = driver_run(steps[i]);

                g_assert_cmpstr(answer, ==, "begin 1\nok 1\n");
        }
}

static char *make_dir(void) {
        char *dir = g_dir_make_tmp("gpuptd-test-XXXXXX", NULL);

        g_assert_nonnull(dir);
        g_assert_true(g_setenv(ENV_RUN_DIR, dir, TRUE));
        return dir;
}

static void remove_dir(char *dir, const char *const *files) {
        for (size_t i = 0; files[i]; i++) {
                g_autofree char *path = g_build_filename(dir, files[i], NULL);

                g_assert_cmpint(unlink(path), ==, 0);
        }
        g_assert_cmpint(rmdir(dir), ==, 0);
        g_unsetenv(ENV_RUN_DIR);
        g_free(dir);
}

#define ARGUMENTS(...) ((char *[]) { __VA_ARGS__, NULL })

/* What was answered is kept, without `begin`; also when nobody is there to read it. */
static void test_results(void) {
        char *dir = make_dir(), job[] = "--job=12";
        g_autofree char *lock = g_strdup_printf("--lock=%s/gpu-0000:01:00.0.lock", dir), *answer = NULL;
        g_autofree char *first = g_build_filename(dir, "result-12-1", NULL);
        g_autofree char *second = g_build_filename(dir, "result-12-2", NULL);
        WorkerDriver d;
        char *text = NULL;

        driver_start(&d, ARGUMENTS(job, lock));
        driver_send(&d, "step 1 census - 1:3:/dev/null\n");
        answer = driver_receive(&d);
        g_assert_true(g_file_get_contents(first, &text, NULL, NULL));
        g_assert_true(g_str_has_prefix(answer, "begin 1\nholder "));
        g_assert_cmpstr(answer + strlen("begin 1\n"), ==, text);
        g_free(text);

        driver_send(&d, "step 2 check-driver no-such-driver\n");
        g_assert_cmpint(driver_end(&d), ==, 0);
        g_assert_true(g_file_get_contents(second, &text, NULL, NULL));
        g_assert_true(g_str_has_prefix(text, "error 2 65 "));
        g_free(text);
        remove_dir(dir, (const char *const[]) { "result-12-1", "result-12-2", "gpu-0000:01:00.0.lock", NULL });
}

/* What the udev rule reads: the file is there or not, whatever was said before. */
static void test_keep(void) {
        char *dir = make_dir();
        g_autofree char *path = g_build_filename(dir, "keep-0000:01:00.0", NULL);
        char *text = NULL;

        for (unsigned i = 0; i < 2; i++) {
                g_autofree char *answer = driver_run("keep 0000:01:00.0 vfio-pci");

                g_assert_cmpstr(answer, ==, "begin 1\nok 1\n");
                g_assert_true(g_file_get_contents(path, &text, NULL, NULL));
                g_assert_cmpstr(text, ==, "GPUPT_OVERRIDE=vfio-pci\n");
                g_free(text);
        }
        for (unsigned i = 0; i < 2; i++) {
                g_autofree char *answer = driver_run("keep 0000:01:00.0 \\-");

                g_assert_cmpstr(answer, ==, "begin 1\nok 1\n");
                g_assert_false(g_file_test(path, G_FILE_TEST_EXISTS));
        }
        remove_dir(dir, (const char *const[]) { NULL });
}

/* The lock is held from before the first step until the end, and a second worker does not get past it. */
static void test_lock(void) {
        char *dir = make_dir(), job[] = "--job=1";
        g_autofree char *path = g_build_filename(dir, "lock", NULL), *lock = g_strdup_printf("--lock=%s", path);
        g_autofree char *answer = NULL, *nothing = NULL;
        WorkerDriver d, other;
        int fd;

        driver_start(&d, ARGUMENTS(job, lock));
        driver_send(&d, "step 1 check-module no_such_module\n");
        answer = driver_receive(&d);
        fd = open(path, O_RDWR | O_CLOEXEC);
        g_assert_cmpint(fd, >=, 0);
        g_assert_cmpint(flock(fd, LOCK_EX | LOCK_NB), <, 0);
        g_assert_cmpint(errno, ==, EWOULDBLOCK);

        driver_start(&other, ARGUMENTS(job, lock));
        driver_send(&other, "step 2 check-module no_such_module\n");
        nothing = driver_receive(&other);
        g_assert_cmpstr(nothing, ==, "");
        g_assert_cmpint(driver_end(&other), ==, 1);

        g_assert_cmpint(driver_end(&d), ==, 0);
        g_assert_cmpint(flock(fd, LOCK_EX | LOCK_NB), ==, 0);
        (void) close(fd);
        remove_dir(dir, (const char *const[]) { "lock", "result-1-1", NULL });
}

static void test_command_line(void) {
        char job[] = "--job=1", bad[] = "--job=x", lock[] = "--lock=/nonexistent/lock", other[] = "--other", word[] = "word";
        const struct {
                char *const *arguments;
                int status;
        } cases[] = {
                { ARGUMENTS(job), 2 },        { ARGUMENTS(lock), 2 }, { ARGUMENTS(bad, lock), 2 },
                { ARGUMENTS(other), 2 },      { ARGUMENTS(word), 2 }, { ARGUMENTS(job, lock, word), 2 },
                { ARGUMENTS(job, lock), 1 },
        };

        for (size_t i = 0; i < ELEMENTSOF(cases); i++) {
                WorkerDriver d;

                driver_start(&d, cases[i].arguments);
                g_assert_cmpint(driver_end(&d), ==, cases[i].status);
        }
}

/* Whatever this machine has, it is one snapshot that the daemon can read. */
static void test_snapshot(void) {
        g_autofree char *all = driver_run("snapshot -"), *some = driver_run("snapshot - ffffffff:01:00.0");

        g_assert_true(g_str_has_prefix(all, "begin 1\niommu "));
        g_assert_true(g_str_has_suffix(all, "\nok 1\n"));
        g_assert_true(g_str_has_prefix(some, "begin 1\niommu "));
        g_assert_null(strstr(some, "\nfunction "));
}

/* ---- the kernel's statistics of its sleep ---- */

/* What this machine's kernel says, where it does: in the order of the names, as the files have it. */
static void test_sleep_statistics(void) {
        static const char *const names[] = { "success", "fail", "last_failed_dev", "last_failed_errno", "last_failed_step" };
        g_autofree char *answer = driver_run("sleep-statistics -"), *text = NULL;
        size_t size;
        FILE *f = open_memstream(&text, &size);

        g_assert_nonnull(f);
        fputs("begin 1\n", f);
        for (size_t i = 0; i < G_N_ELEMENTS(names); i++) {
                g_autofree char *path = g_build_filename("/sys/power/suspend_stats", names[i], NULL);
                _cleanup_free_ char *value = NULL;

                if (read_line_at(AT_FDCWD, path, &value) >= 0)
                        words_write(f, "statistic", names[i], value, NULL);
        }
        fputs("ok 1\n", f);
        g_assert_cmpint(fclose(f), ==, 0);
        g_assert_cmpstr(answer, ==, text);
}

#define POWER_DIR "/sys/power"
#define NO_NAMESPACE 77

/* In a process of its own, for which this directory is /sys/power. False: the machine lets nobody do that. */
static bool expect_statistics(const char *power, const char *expected) {
        siginfo_t info = {};
        pid_t pid = fork();

        g_assert_cmpint(pid, >=, 0);
        if (pid == 0) {
                g_autofree char *answer = NULL;

                (void) prctl(PR_SET_PDEATHSIG, SIGKILL);
                if ((unshare(CLONE_NEWNS) < 0 && unshare(CLONE_NEWUSER | CLONE_NEWNS) < 0) ||
                    mount("", "/", "", MS_REC | MS_PRIVATE, NULL) < 0 || mount(power, POWER_DIR, "", MS_BIND, NULL) < 0)
                        _exit(NO_NAMESPACE);
                answer = driver_run("sleep-statistics -");
                g_assert_cmpstr(answer, ==, expected);
                _exit(0);
        }
        g_assert_cmpint(waitid(P_PID, (id_t) pid, &info, WEXITED), ==, 0);
        g_assert_cmpint(info.si_code, ==, CLD_EXITED);
        if (info.si_status == NO_NAMESPACE)
                return false;
        g_assert_cmpint(info.si_status, ==, 0);
        return true;
}

static void put_statistic(const char *power, const char *name, const char *text) {
        g_autofree char *path = g_build_filename(power, "suspend_stats", name, NULL);

        g_assert_true(g_file_set_contents(path, text, -1, NULL));
}

static void remove_statistics(const char *power) {
        g_autofree char *stats = g_build_filename(power, "suspend_stats", NULL);
        g_autoptr(GDir) dir = g_dir_open(stats, 0, NULL);
        const char *name;

        while (dir && (name = g_dir_read_name(dir))) {
                g_autofree char *path = g_build_filename(stats, name, NULL);

                g_assert_cmpint(unlink(path), ==, 0);
        }
        (void) rmdir(stats);
        g_assert_cmpint(rmdir(power), ==, 0);
}

/* None at all, all, some of them empty, and one that no line has room for. */
static void test_sleep_statistics_files(void) {
        g_autofree char *power = g_dir_make_tmp("gpuptd-test-XXXXXX", NULL), *dir = g_build_filename(power, "suspend_stats", NULL);
        g_autofree char *huge = g_strnfill(5000, 'x');

        if (!expect_statistics(power, "begin 1\nok 1\n")) {
                g_test_skip("No mount namespace for a /sys/power of the test's own");
                remove_statistics(power);
                return;
        }
        g_assert_cmpint(mkdir(dir, 0700), ==, 0);
        g_assert_true(expect_statistics(power, "begin 1\nok 1\n"));
        put_statistic(power, "success", "12\n");
        put_statistic(power, "failed_freeze", "7\n");
        put_statistic(power, "fail", "1\n");
        put_statistic(power, "last_failed_dev", "0000:01:00.0\n");
        put_statistic(power, "last_failed_errno", "-16\n");
        put_statistic(power, "last_failed_step", "suspend noirq\n");
        g_assert_true(expect_statistics(power, "begin 1\nstatistic success 12\nstatistic fail 1\nstatistic last_failed_dev 0000:01:00.0\n"
                                               "statistic last_failed_errno -16\nstatistic last_failed_step suspend\\x20noirq\nok 1\n"));
        put_statistic(power, "last_failed_dev", "\n");
        put_statistic(power, "last_failed_step", "");
        put_statistic(power, "success", huge);
        g_assert_true(expect_statistics(power, "begin 1\nstatistic fail 1\nstatistic last_failed_dev \\-\n"
                                               "statistic last_failed_errno -16\nstatistic last_failed_step \\-\nok 1\n"));
        remove_statistics(power);
}

/* ---- ending processes ---- */

/* A child of this process that waits until it is ended. */
static pid_t start_child(bool stubborn) {
        int fds[2];
        char ready;
        pid_t pid;

        g_assert_cmpint(pipe2(fds, O_CLOEXEC), ==, 0);
        pid = fork();
        g_assert_cmpint(pid, >=, 0);
        if (pid == 0) {
                (void) prctl(PR_SET_PDEATHSIG, SIGKILL);
                if (stubborn)
                        (void) signal(SIGTERM, SIG_IGN);
                if (write(fds[1], "x", 1) == 1)
                        for (;;)
                                (void) pause();
                _exit(1);
        }
        g_assert_cmpint(read(fds[0], &ready, 1), ==, 1);
        (void) close(fds[0]);
        (void) close(fds[1]);
        return pid;
}

static int reap(pid_t pid) {
        siginfo_t info = {};

        g_assert_cmpint(waitid(P_PID, (id_t) pid, &info, WEXITED), ==, 0);
        g_assert_cmpint(info.si_code, ==, CLD_KILLED);
        return info.si_status;
}

static void end(pid_t pid, uint64_t start, unsigned seconds) {
        g_autofree char *step = g_strdup_printf("end %i %" G_GUINT64_FORMAT " %u", pid, start, seconds);
        g_autofree char *answer = driver_run(step);

        g_assert_cmpstr(answer, ==, "begin 1\nok 1\n");
}

static void test_end(void) {
        uint64_t start;
        pid_t pid;

        pid = start_child(false);
        g_assert_cmpint(process_start_time((uint32_t) pid, &start), ==, 0);
        /* Another start time is another process: it is left alone. */
        end(pid, start + 1, 0);
        g_assert_cmpint(kill(pid, 0), ==, 0);
        g_assert_cmpint(waitid(P_PID, (id_t) pid, &(siginfo_t) {}, WEXITED | WNOHANG | WNOWAIT), ==, 0);
        end(pid, start, 30);
        g_assert_cmpint(reap(pid), ==, SIGTERM);
        /* Gone. */
        g_assert_cmpint(process_start_time((uint32_t) pid, &start), ==, -ESRCH);
        end(pid, start, 30);

        pid = start_child(true);
        g_assert_cmpint(process_start_time((uint32_t) pid, &start), ==, 0);
        end(pid, start, 0);
        g_assert_cmpint(reap(pid), ==, SIGKILL);
}

/* Never PID 1, and never the one that asks. */
static void test_end_refuses(void) {
        g_autofree char *step = g_strdup_printf("end %i 1 1", getpid());

        assert_error("end 1 1 1", EPERM);
        assert_error(step, EPERM);
}

int main(int argc, char *argv[]) {
        g_test_init(&argc, &argv, NULL);
        g_test_add_func("/worker/protocol", test_protocol);
        g_test_add_func("/worker/long-line", test_long_line);
        g_test_add_func("/worker/pieces", test_pieces);
        g_test_add_func("/worker/bad-words", test_bad_words);
        g_test_add_func("/worker/no-device", test_no_device);
        g_test_add_func("/worker/gone-before", test_gone_before);
        g_test_add_func("/worker/results", test_results);
        g_test_add_func("/worker/keep", test_keep);
        g_test_add_func("/worker/lock", test_lock);
        g_test_add_func("/worker/command-line", test_command_line);
        g_test_add_func("/worker/snapshot", test_snapshot);
        g_test_add_func("/worker/sleep-statistics", test_sleep_statistics);
        g_test_add_func("/worker/sleep-statistics-files", test_sleep_statistics_files);
        g_test_add_func("/worker/end", test_end);
        g_test_add_func("/worker/end-refuses", test_end_refuses);
        return g_test_run();
}
