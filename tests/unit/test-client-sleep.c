/* SPDX-License-Identifier: GPL-2.0-or-later */

/* test-client-sleep: what gpuptd-sleep.service says before and after a sleep, with a daemon that answers, refuses, goes
 * away and comes back, or does not; and what is shown of the last sleep. */

#include <fcntl.h>
#include <glib/gstdio.h>
#include <signal.h>
#include <sys/prctl.h>
#include <sys/stat.h>
#include <systemd/sd-bus.h>

#include "tests/unit/client-fixture.h"

static const MockScript one = { .n_gpus = 1 };
static const MockScript hangs = { .n_gpus = 1, .sleep = MOCK_SLEEP_HANG, .pace = MOCK_HANG };
static const MockScript dies = { .n_gpus = 1, .sleep = MOCK_SLEEP_DIE };
static const MockScript vetoes = { .n_gpus = 1, .sleep_error = GPUPT_ERROR_IN_USE };
static const MockScript too_old = { .n_gpus = 1, .sleep_error = SD_BUS_ERROR_UNKNOWN_METHOD };
static const MockScript slept = { .last_sleep = MOCK_LAST_SLEEP_DONE };
static const MockScript slept_badly = { .last_sleep = MOCK_LAST_SLEEP_FAILED };
static const MockScript stayed_awake = { .last_sleep = MOCK_LAST_SLEEP_VETOED };
static const MockScript bare = { .last_sleep = MOCK_LAST_SLEEP_BARE };

/* ---- prepare, finish ---- */

static void test_words(Fixture *f, gconstpointer data) {
        static const char *const lines[] = { "sleep prepare suspend", "sleep prepare", "sleep finish" },
                          *const wrong[] = { "sleep", "sleep well", "sleep finish now", "sleep report suspend", "sleep prepare a b",
                                             "sleep prepare 'Su spend'", "sleep prepare '\377'", "sleep report --force",
                                             "sleep prepare --wait=3" };

        for (size_t i = 0; i < G_N_ELEMENTS(lines); i++) {
                g_assert_cmpint(client(f, lines[i]), ==, EXIT_DONE);
                g_assert_cmpstr(f->out, ==, "");
                g_assert_cmpstr(f->err, ==, "");
        }
        for (size_t i = 0; i < G_N_ELEMENTS(wrong); i++) {
                g_assert_cmpint(client(f, wrong[i]), ==, EXIT_USAGE);
                g_assert_cmpstr(f->out, ==, "");
        }
}

typedef struct Refusal {
        MockScript script;
        int status;
} Refusal;

/* What the daemon hands on is its own answer, whatever it is called: EXIT_NO_DAEMON would let the host sleep. */
static const Refusal refusals[] = {
        { { .sleep_error = GPUPT_ERROR_IN_USE }, EXIT_IN_USE },
        { { .sleep_error = GPUPT_ERROR_STUCK }, EXIT_STUCK },
        { { .sleep_error = GPUPT_ERROR_TIMEOUT }, EXIT_STUCK },
        { { .sleep_error = GPUPT_ERROR_FAILED }, EXIT_FAILED },
        { { .sleep_error = SD_BUS_ERROR_NO_REPLY }, EXIT_STUCK },
        { { .sleep_error = SD_BUS_ERROR_SERVICE_UNKNOWN }, EXIT_FAILED },
        { { .sleep_error = "org.freedesktop.systemd1.NoSuchUnit" }, EXIT_FAILED },
};

static void test_refusal(Fixture *f, gconstpointer data) {
        const Refusal *refusal = data;

        g_assert_cmpint(client(f, "sleep prepare hibernate"), ==, refusal->status);
        g_assert_cmpstr(f->out, ==, "");
        g_assert_cmpstr(f->err, ==, "gpuptctl: The host stays awake: PrepareSleep(hibernate): win10 does not stop. All is as it was.\n");
        g_assert_cmpint(client(f, "sleep prepare"), ==, refusal->status);
        assert_has(f->err, "PrepareSleep(): ");
        g_assert_cmpint(client(f, "sleep finish"), ==, refusal->status);
        g_assert_cmpstr(f->err, ==, "gpuptctl: FinishSleep(): win10 does not stop. All is as it was.\n");
}

static void test_not_allowed(Fixture *f, gconstpointer data) {
        g_assert_cmpint(client(f, "sleep prepare"), ==, EXIT_REFUSED);
        assert_has(f->err, "Not allowed: ");
}

/* ---- a daemon that is not there ---- */

/* One line for the journal, which says what it means for the sleep. */
static void assert_unreachable(const char *err, const char *what) {
        assert_has(err, what);
        assert_has(err, " nothing has been prepared for this sleep. See 'systemctl status gpuptd.service'.\n");
        g_assert_true(strchr(err, '\n')[1] == '\0');
}

static void test_no_daemon(Fixture *f, gconstpointer data) {
        g_assert_cmpint(client(f, "sleep prepare suspend"), ==, EXIT_NO_DAEMON);
        assert_unreachable(f->err, "gpuptd does not run and could not be started (");
        g_assert_cmpint(client(f, "sleep finish"), ==, EXIT_NO_DAEMON);
        assert_has(f->err, "what was done for the sleep is undone when it runs again");
        g_assert_cmpint(client(f, "sleep report"), ==, EXIT_NO_DAEMON);

        g_setenv("DBUS_SYSTEM_BUS_ADDRESS", "unix:path=/nonexistent/socket", true);
        g_assert_cmpint(client(f, "sleep prepare"), ==, EXIT_NO_DAEMON);
        assert_unreachable(f->err, "gpuptd cannot be asked (Cannot reach the system bus: ");
}

static void test_too_old(Fixture *f, gconstpointer data) {
        g_assert_cmpint(client(f, "sleep prepare"), ==, EXIT_NO_DAEMON);
        assert_unreachable(f->err, "The gpuptd that runs is from before an update and wants to be restarted;");
}

/* ---- a daemon that goes away ---- */

/* Starts gpuptctl and returns when the daemon has the call: it begins a job of the host with it. */
static Running start_and_arrive(const char *line) {
        Running monitor = start("monitor"), sleep;

        expect(&monitor, "Listening");
        sleep = start(line);
        expect(&monitor, "JobNew");
        g_subprocess_send_signal(monitor.process, SIGINT);
        g_assert_cmpint(finish(&monitor), ==, EXIT_DONE);
        return sleep;
}

static void test_comes_back(Fixture *f, gconstpointer data) {
        static const char *const lines[] = { "sleep prepare suspend", "sleep finish" };

        for (size_t i = 0; i < G_N_ELEMENTS(lines); i++) {
                Running sleep = start_and_arrive(lines[i]);

                kill_daemon(f);
                expect(&sleep, "gpuptd went away; waiting for it to come back.");
                f->daemon = mock_daemon_start(&one);
                expect(&sleep, "gpuptd is back.");
                g_assert_cmpint(finish(&sleep), ==, EXIT_DONE);
                kill_daemon(f);
                f->daemon = mock_daemon_start(&hangs);
        }
}

/* Twice, and then it has something against it. */
static void test_comes_back_and_vetoes(Fixture *f, gconstpointer data) {
        Running sleep = start_and_arrive("sleep prepare suspend");

        for (unsigned i = 0; i < 2; i++) {
                kill_daemon(f);
                expect(&sleep, "gpuptd went away");
                f->daemon = mock_daemon_start(i == 0 ? &hangs : &vetoes);
                expect(&sleep, "gpuptd is back.");
        }
        expect(&sleep, "The host stays awake: PrepareSleep(suspend): win10 does not stop.");
        g_assert_cmpint(finish(&sleep), ==, EXIT_IN_USE);
}

static void test_dies_each_time(Fixture *f, gconstpointer data) {
        Running sleep = start("sleep prepare");

        for (unsigned i = 0; i < 5; i++) {
                expect(&sleep, "gpuptd went away");
                kill_daemon(f);
                f->daemon = mock_daemon_start(&dies);
                expect(&sleep, "gpuptd is back.");
        }
        expect(&sleep, "gpuptd goes away each time it is asked; nothing has been prepared");
        g_assert_cmpint(finish(&sleep), ==, EXIT_NO_DAEMON);
}

/* ---- a bus of its own ---- */

static void die_with_parent(gpointer data) {
        (void) prctl(PR_SET_PDEATHSIG, SIGKILL);
}

/* At DIR/bus, where a second one can take its place. `exec` is what starts gpuptd, or NULL. */
static GSubprocess *bus_start(Fixture *f, const char *exec) {
        g_autofree char *conf = g_build_filename(f->dir, "conf", NULL),
                        *service = g_build_filename(f->dir, "org.gpupt1.service", NULL),
                        *address = g_strdup_printf("unix:path=%s/bus", f->dir), *conf_text = NULL, *service_text = NULL, *line = NULL;
        g_autoptr(GSubprocessLauncher) launcher =
                g_subprocess_launcher_new(G_SUBPROCESS_FLAGS_STDOUT_PIPE | G_SUBPROCESS_FLAGS_STDERR_SILENCE);
        g_autoptr(GDataInputStream) lines = NULL;
        g_autoptr(GError) error = NULL;
        GSubprocess *bus;

        conf_text = g_strdup_printf("<busconfig><listen>%s</listen><servicedir>%s</servicedir><policy context='default'>"
                                    "<allow send_destination='*' eavesdrop='true'/><allow eavesdrop='true'/><allow own='*'/>"
                                    "</policy></busconfig>", address, f->dir);
        g_assert_true(g_file_set_contents(conf, conf_text, -1, NULL));
        if (exec) {
                service_text = g_strdup_printf("[D-BUS Service]\nName=org.gpupt1\nExec=%s\n", exec);
                g_assert_true(g_file_set_contents(service, service_text, -1, NULL));
        }
        g_subprocess_launcher_set_child_setup(launcher, die_with_parent, NULL, NULL);
        bus = g_subprocess_launcher_spawn(launcher, &error, "dbus-daemon", "--nofork", "--print-address", "--config-file", conf,
                                          NULL);
        g_assert_no_error(error);
        lines = g_data_input_stream_new(g_subprocess_get_stdout_pipe(bus));
        line = g_data_input_stream_read_line_utf8(lines, NULL, NULL, NULL);
        g_assert_nonnull(line);
        g_setenv("DBUS_SYSTEM_BUS_ADDRESS", address, true);
        return bus;
}

static void bus_stop(Fixture *f, GSubprocess **bus) {
        static const char *const names[] = { "bus", "conf", "org.gpupt1.service" };

        g_subprocess_force_exit(*bus);
        g_assert_true(g_subprocess_wait(*bus, NULL, NULL));
        g_clear_object(bus);
        for (size_t i = 0; i < G_N_ELEMENTS(names); i++) {
                g_autofree char *path = g_build_filename(f->dir, names[i], NULL);

                (void) g_unlink(path);
        }
}

static void test_cannot_start(Fixture *f, gconstpointer data) {
        GSubprocess *bus = bus_start(f, "/bin/false");

        g_assert_cmpint(client(f, "sleep prepare"), ==, EXIT_NO_DAEMON);
        assert_unreachable(f->err, "gpuptd does not run and could not be started (");
        bus_stop(f, &bus);
}

static void test_bus_returns(Fixture *f, gconstpointer data) {
        GSubprocess *bus = bus_start(f, NULL);
        pid_t daemon = mock_daemon_start(&hangs);
        Running sleep = start_and_arrive("sleep prepare suspend");

        bus_stop(f, &bus);
        expect(&sleep, "gpuptd went away");
        mock_daemon_kill(daemon);
        bus = bus_start(f, NULL);
        daemon = mock_daemon_start(&one);
        expect(&sleep, "gpuptd is back.");
        g_assert_cmpint(finish(&sleep), ==, EXIT_DONE);
        mock_daemon_kill(daemon);
        bus_stop(f, &bus);
}

/* One whose daemon has come back on a bus of its own, and takes its time: that has no limit. */
typedef struct Patient {
        GTestDBus *bus;
        pid_t daemon;
        Running sleep;
} Patient;

static Patient patient_start(void) {
        Patient p = { .bus = g_test_dbus_new(G_TEST_DBUS_NONE) };

        g_test_dbus_up(p.bus);
        g_setenv("DBUS_SYSTEM_BUS_ADDRESS", g_test_dbus_get_bus_address(p.bus), true);
        p.daemon = mock_daemon_start(&hangs);
        p.sleep = start_and_arrive("sleep prepare suspend");
        mock_daemon_kill(p.daemon);
        expect(&p.sleep, "gpuptd went away");
        p.daemon = mock_daemon_start(&hangs);
        expect(&p.sleep, "gpuptd is back.");
        return p;
}

static void patient_end(Patient *p) {
        g_setenv("DBUS_SYSTEM_BUS_ADDRESS", g_test_dbus_get_bus_address(p->bus), true);
        mock_daemon_kill(p->daemon);
        expect(&p->sleep, "gpuptd went away; waiting");
        p->daemon = mock_daemon_start(&one);
        expect(&p->sleep, "gpuptd is back.");
        g_assert_cmpint(finish(&p->sleep), ==, EXIT_DONE);
        mock_daemon_kill(p->daemon);
        g_test_dbus_down(p->bus);
        g_clear_object(&p->bus);
}

static Running start_and_lose(Fixture *f) {
        GSubprocess *bus = bus_start(f, NULL);
        pid_t daemon = mock_daemon_start(&hangs);
        Running sleep = start_and_arrive("sleep finish");

        bus_stop(f, &bus);
        mock_daemon_kill(daemon);
        expect(&sleep, "gpuptd went away");
        return sleep;
}

/* Side by side, since each takes the ten seconds: a daemon that has gone, a bus, and a daemon that starts and starts. */
static void test_does_not_come_back(Fixture *f, gconstpointer data) {
        g_autofree char *fifo = g_build_filename(f->dir, "fifo", NULL), *exec = g_strdup_printf("/bin/cat %s", fifo);
        Running gone = start_and_arrive("sleep prepare suspend"), cut, slow;
        Patient patient = patient_start();
        GSubprocess *bus;
        int fd;

        kill_daemon(f);
        expect(&gone, "gpuptd went away");
        cut = start_and_lose(f);
        g_assert_cmpint(mkfifo(fifo, 0600), ==, 0);
        bus = bus_start(f, exec);
        slow = start("sleep prepare suspend");

        expect(&gone, "gpuptd went away and has not come back (");
        g_assert_cmpint(finish(&gone), ==, EXIT_NO_DAEMON);
        expect(&cut, "; what was done for the sleep is undone when it runs again.");
        g_assert_cmpint(finish(&cut), ==, EXIT_NO_DAEMON);
        expect(&slow, "gpuptd takes too long to start; nothing has been prepared for this sleep.");
        g_assert_cmpint(finish(&slow), ==, EXIT_NO_DAEMON);
        patient_end(&patient);

        fd = open(fifo, O_WRONLY | O_CLOEXEC); /* lets what was to be the daemon end */
        g_assert_cmpint(fd, >=, 0);
        (void) close(fd);
        (void) g_unlink(fifo);
        bus_stop(f, &bus);
}

/* ---- report ---- */

static void test_never_slept(Fixture *f, gconstpointer data) {
        g_assert_cmpint(client(f, "sleep report"), ==, EXIT_DONE);
        g_assert_cmpstr(f->out, ==, "This host has not slept since gpuptd was installed.\n");
        g_assert_cmpint(client(f, "sleep report -j"), ==, EXIT_DONE);
        g_assert_cmpstr(f->out, ==, "{}\n");
}

static void test_report(Fixture *f, gconstpointer data) {
        g_assert_cmpint(client(f, "sleep report"), ==, EXIT_DONE);
        g_assert_cmpstr(f->err, ==, "");
        g_assert_cmpstr(f->out, ==,
                        "● Sleep 3 (suspend): done\n"
                        "       Began: Tue 2023-11-14 22:13:20 UTC\n"
                        "       Ready: after 2.3 s\n"
                        "        Woke: Wed 2023-11-15 00:16:22 UTC (after 2 h 3 min)\n"
                        "    Finished: after 1.1 s\n"
                        "Announced by: logind, gate\n"
                        "         VMs: VM                GPUS         ACTION         RESULT\n"
                        "              win10 (libvirt)   0000:01:00.0 suspend (auto) restored\n"
                        "              db\\033[31m (qemu) 0000:08:00.0 pause          left\n"
                        "              db\\033[31m: 0000:08:00.0 is sick, so it was left asleep; wake it once the card is well again.\n"
                        "        GPUs: GPU          BEFORE   ACTION RESULT   STATE       HEALTH\n"
                        "              0000:01:00.0 assigned keep   restored assigned    ok\n"
                        "              0000:08:00.0 detached host   failed   unreachable dead\n"
                        "              0000:08:00.0: It does not answer.\n"
                        "       Hooks: the hook 10-a has failed (post sleep): 10-a ended with status 1\n"
                        "      Kernel: vfio-pci 0000:08:00.0: Unable to change power state from D3cold to D0, device inaccessible\n"
                        "              PM: \\033suspend exit\n"
                        "              There is more of it in the journal, see 'journalctl -k'.\n");

        g_assert_cmpint(client(f, "sleep report -q --no-legend"), ==, EXIT_DONE);
        assert_has_not(f->out, "Kernel");
        assert_has_not(f->out, "journal");
        assert_has_not(f->out, "BEFORE");
        assert_has(f->out, "         VMs: win10 (libvirt)");
}

static void test_report_failed(Fixture *f, gconstpointer data) {
        g_assert_cmpint(client(f, "sleep report"), ==, EXIT_DONE);
        assert_has(f->out, "● Sleep 3 (suspend): failed, the host slept, and something is not as it was\n");
        assert_has(f->out, "Last failure: last_failed_dev=0000:08:00.0, last_failed_errno=-16\n");
}

static void test_report_vetoed(Fixture *f, gconstpointer data) {
        g_assert_cmpint(client(f, "sleep report"), ==, EXIT_DONE);
        g_assert_cmpstr(f->out, ==,
                        "● Sleep 4: vetoed, the host stayed awake\n"
                        "       Began: Tue 2023-11-14 22:13:20 UTC\n"
                        "    Finished: after 1 min 1 s\n"
                        "Announced by: gate\n"
                        "      Reason: 0000:01:00.0: win10 (libvirt) has not stopped.\n");

        g_setenv("SYSTEMD_COLORS", "1", true);
        g_assert_cmpint(client(f, "sleep report"), ==, EXIT_DONE);
        g_unsetenv("SYSTEMD_COLORS");
        assert_has(f->out, "\033[33m●\033[0m Sleep 4: \033[33mvetoed\033[0m, the host");
        assert_has(f->out, "\033[33m0000:01:00.0: win10");
}

static void test_report_bare(Fixture *f, gconstpointer data) {
        g_assert_cmpint(client(f, "sleep report"), ==, EXIT_DONE);
        g_assert_cmpstr(f->out, ==, "● Sleep: od\\033d\n        Woke: Tue 2023-11-14 22:13:20 UTC\n");
}

static void test_report_json(Fixture *f, gconstpointer data) {
        json_object *sleep, *vm;

        g_assert_cmpint(client(f, "sleep report --json=short"), ==, EXIT_DONE);
        sleep = parse(f->out);
        g_assert_cmpint(json_object_get_int(get(sleep, "cycle")), ==, 3);
        g_assert_cmpint(json_object_get_int64(get(sleep, "began")), ==, 1700000000000000);
        g_assert_cmpstr(json_object_to_json_string_ext(get(sleep, "doors"), 0), ==, "[\"logind\",\"gate\"]");
        g_assert_cmpuint(json_object_array_length(get(sleep, "kernel-lines")), ==, 2);
        g_assert_true(json_object_get_boolean(get(sleep, "kernel-lines-more")));
        g_assert_cmpstr(json_object_get_string(get(get(sleep, "suspend-stats"), "last_failed_errno")), ==, "-16");
        vm = json_object_array_get_idx(get(sleep, "virtual-machines"), 1);
        g_assert_cmpstr(json_object_get_string(get(vm, "id")), ==, "db\033[31m");
        json_object_put(sleep);
}

/* Sentences and lines of the kernel are broken between words, and nothing of them is lost. */
static void test_report_narrow(Fixture *f, gconstpointer data) {
        static const char *const argv[] = { "gpuptctl", "sleep", "report", "--no-pager", NULL };
        g_autofree char *output = NULL;
        g_auto(GStrv) lines = NULL;
        int status;

        g_setenv("NO_COLOR", "1", true);
        g_setenv("COLUMNS", "72", true);
        output = on_terminal(argv, /* unprivileged= */ false, &status);
        g_unsetenv("COLUMNS");
        g_unsetenv("NO_COLOR");
        g_assert_cmpint(status, ==, EXIT_DONE);

        lines = g_strsplit(output, "\r\n", -1);
        for (char **line = lines; *line; line++)
                g_assert_cmpint(g_utf8_strlen(*line, -1), <=, 72);
        assert_has(output, "\r\n              D3cold to D0, device inaccessible\r\n");
        assert_has(output, "left asleep;\r\n              wake it once the card is well again.\r\n");
}

/* ---- jobs of the host ---- */

static void test_host_job(Fixture *f, gconstpointer data) {
        Running sleep = start_and_arrive("sleep prepare suspend");
        json_object *jobs;

        g_assert_cmpint(client(f, "jobs"), ==, EXIT_DONE);
        assert_has(f->out, "JOB OPERATION GPU STATE   STEP DESCRIPTION\n  7 sleep     -   running 1/3  do thing 1\n");
        g_assert_cmpint(client(f, "jobs -j"), ==, EXIT_DONE);
        jobs = parse(f->out);
        g_assert_cmpstr(json_object_get_string(get(json_object_array_get_idx(jobs, 0), "gpu")), ==, "/org/gpupt1");
        json_object_put(jobs);
        g_assert_cmpint(client(f, "status"), ==, EXIT_DONE);
        assert_has_not(f->out, "Job:");

        g_subprocess_force_exit(sleep.process);
        g_assert_true(g_subprocess_wait(sleep.process, NULL, NULL));
        g_clear_object(&sleep.lines);
        g_clear_object(&sleep.process);
}

static void test_monitor(Fixture *f, gconstpointer data) {
        Running monitor = start("monitor");

        expect(&monitor, "Listening");
        g_assert_cmpint(client(f, "sleep prepare"), ==, EXIT_DONE);
        expect(&monitor, "gpuptd       JobRemoved id=7 job=/org/gpupt1/job/7 result=done");
        g_subprocess_send_signal(monitor.process, SIGINT);
        g_assert_cmpint(finish(&monitor), ==, EXIT_DONE);
}

static void test_monitor_veto(Fixture *f, gconstpointer data) {
        Running monitor = start("monitor");

        expect(&monitor, "Listening");
        g_assert_cmpint(client(f, "sleep prepare"), ==, EXIT_IN_USE);
        expect(&monitor, "gpuptd       SleepVetoed gpu=0000:01:00.0 reason='win10 does not stop.'");
        g_subprocess_send_signal(monitor.process, SIGINT);
        g_assert_cmpint(finish(&monitor), ==, EXIT_DONE);
}

static void add_cases(void) {
        static const MockScript not_allowed = { .sleep_error = SD_BUS_ERROR_ACCESS_DENIED };

        g_setenv("TZ", "UTC", true);
        add("sleep/words", &one, test_words);
        for (size_t i = 0; i < G_N_ELEMENTS(refusals); i++) {
                g_autofree char *path = g_strdup_printf("/client/sleep/refusal/%s", refusals[i].script.sleep_error);

                g_test_add(path, Fixture, &refusals[i], fixture_set_up, test_refusal, fixture_tear_down);
        }
        add("sleep/not-allowed", &not_allowed, test_not_allowed);
        add("sleep/no-daemon", NULL, test_no_daemon);
        add("sleep/too-old", &too_old, test_too_old);
        add("sleep/comes-back", &hangs, test_comes_back);
        add("sleep/comes-back-and-vetoes", &hangs, test_comes_back_and_vetoes);
        add("sleep/dies-each-time", &dies, test_dies_each_time);
        add("sleep/cannot-start", NULL, test_cannot_start);
        add("sleep/bus-returns", NULL, test_bus_returns);
        add("sleep/does-not-come-back", &hangs, test_does_not_come_back);
        add("sleep/report/never", &one, test_never_slept);
        add("sleep/report/done", &slept, test_report);
        add("sleep/report/failed", &slept_badly, test_report_failed);
        add("sleep/report/vetoed", &stayed_awake, test_report_vetoed);
        add("sleep/report/bare", &bare, test_report_bare);
        add("sleep/report/json", &slept_badly, test_report_json);
        add("sleep/report/narrow", &slept, test_report_narrow);
        add("sleep/host-job", &hangs, test_host_job);
        add("sleep/monitor", &one, test_monitor);
        add("sleep/monitor/veto", &vetoes, test_monitor_veto);
}

int main(int argc, char **argv) {
        return client_test_main(argc, argv, add_cases);
}
