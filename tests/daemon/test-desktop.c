/* SPDX-License-Identifier: GPL-2.0-or-later */

/* test-desktop: a desktop has the card, and ends for it: whoever is logged in is named, logged out and gets a login again,
 * whatever fails on the way. */

#include <errno.h>
#include <signal.h>
#include <sys/mount.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include "desktop-fixture.h"
#include "util/cleanup.h"

#define CARD "0000:08:00.0"
#define OTHER "0000:09:00.0"

/* ---- there and back ---- */

static void test_cycle(void) {
        g_autoptr(Scene) s = scene_new("desktop", NULL);
        const JobEnd *end;
        Desktop d;

        desktop_begin(s, CARD, OTHER, &d);
        end = detach(s, CARD, "wait=0");
        assert_end(s, end, "rolled-back", "InUse");
        assert_has(end->message, "Xorg");
        assert_untouched(s, &d);

        assert_end(s, detach(s, CARD, "disrupt-session"), "done", "");
        assert_ended(s, &d);
        g_assert_cmpstr(units_log(s), ==, "stop " SCOPE "\nstop " MANAGER "\nstart " MANAGER "\n");
        g_assert_true(unit_is(s, MANAGER, "active"));
        g_assert_cmpstr(state_of(s, CARD), ==, "detached");
        assert_has(gpu_property(s, CARD, "LastJob"), "result=done");

        /* The way back leaves the desktop that has begun meanwhile alone. */
        d.leader = process_start(s, "xterm", node_of(s, OTHER, "card"));
        log_in(s, "3", "anna", d.leader);
        assert_end(s, attach(s, CARD, ""), "done", "");
        assert_as_at_first(s);
        g_assert_cmpstr(units_log(s), ==, "stop " SCOPE "\nstop " MANAGER "\nstart " MANAGER "\n");
        g_assert_cmpint(kill(d.leader, 0), ==, 0);
        sim_let_go(s->m, d.leader);
}

/* Or lets it begin again, with the card. */
static void test_restart(void) {
        g_autoptr(Scene) s = scene_new("desktop", NULL);
        Desktop d;

        desktop_begin(s, CARD, OTHER, &d);
        assert_end(s, detach(s, CARD, "disrupt-session"), "done", "");
        assert_ended(s, &d);
        d.leader = process_start(s, "xterm", node_of(s, OTHER, "card"));
        log_in(s, "3", "anna", d.leader);
        (void) sim_command(s->m, "unit " MANAGER " active stop=/bin/true");
        assert_end(s, attach(s, CARD, "disrupt-session"), "done", "");
        assert_as_at_first(s);
        g_assert_cmpint(sim_wait_ended(s->m, d.leader), ==, SIGTERM);
        assert_has(units_log(s), "start " MANAGER "\nstop session-3.scope\nstop " MANAGER "\nstart " MANAGER "\n");
        g_assert_true(unit_is(s, MANAGER, "active"));
}

/* No display is left: the login comes back with the card, also from a daemon that was started again. */
static void test_only_display(void) {
        g_autoptr(Scene) s = scene_new("apu", NULL);
        const char *apu = "0000:c5:00.0";
        Desktop d;

        desktop_begin(s, apu, apu, &d);
        assert_end(s, detach(s, apu, ""), "refused", "LastDisplay");
        assert_untouched(s, &d);
        assert_end(s, detach(s, apu, "disrupt-session"), "done", "");
        assert_ended(s, &d);
        g_assert_true(unit_is(s, MANAGER, "inactive"));
        sim_daemon_kill(s->m);
        scene_start(s);
        assert_end(s, attach(s, apu, ""), "done", "");
        g_assert_true(unit_is(s, MANAGER, "active"));
        assert_as_at_first(s);
}

/* The card stays, since somebody waits for a picture; what did not start is told. */
static void test_no_login(void) {
        g_autoptr(Scene) s = scene_new("apu", NULL);
        const char *apu = "0000:c5:00.0";
        const JobEnd *end;
        Desktop d;

        desktop_begin(s, apu, apu, &d);
        assert_end(s, detach(s, apu, "disrupt-session"), "done", "");
        assert_ended(s, &d);
        (void) sim_fault(s->m, MANAGER, "start", "errno=EIO");
        end = attach(s, apu, "");
        assert_end(s, end, "failed", "Failed");
        assert_has(end->message, "is now with the host, but not everything started again: start " MANAGER);
        g_assert_cmpstr(state_of(s, apu), ==, "host");
        assert_as_at_first(s);
        assert_end(s, attach(s, apu, ""), "done", "");
        g_assert_true(unit_is(s, MANAGER, "failed"));
}

/* A display manager that did not run is not started. */
static void test_not_running(void) {
        g_autoptr(Scene) s = scene_new("desktop", NULL);
        Desktop d;

        desktop_begin(s, CARD, OTHER, &d);
        (void) sim_command(s->m, "unit " MANAGER " inactive");
        put_into_cgroup(d.server, "/user.slice/user-1000.slice/" SCOPE);
        (void) sim_command(s->m, "unit " SCOPE " active 'stop=/bin/kill -TERM %d %d'", d.leader, d.server);
        assert_end(s, detach(s, CARD, "disrupt-session"), "done", "");
        assert_ended(s, &d);
        g_assert_cmpstr(units_log(s), ==, "stop " SCOPE "\n");
        g_assert_true(unit_is(s, MANAGER, "inactive"));
        assert_end(s, attach(s, CARD, ""), "done", "");
        assert_as_at_first(s);
}

/* Whoever asked may be logged out by it: the job is the daemon's, and its end can be read afterwards. */
static void test_caller_gone(void) {
        g_autoptr(Scene) s = scene_new("desktop", NULL);
        sd_bus *terminal = sim_bus_new(s->m, 0);
        g_autoptr(Pending) call = NULL;
        unsigned fault;
        Desktop d;

        desktop_begin(s, CARD, OTHER, &d);
        fault = sim_fault(s->m, SCOPE, "stop", "hang");
        call = call_later(s, terminal, "Detach", CARD, "disrupt-session", false);
        g_assert_cmpstr(pending_wait(call), ==, "");
        sim_fault_wait(s->m, fault);
        sd_bus_close_unref(terminal);
        sim_fault_release(s->m, fault);
        wait_state(s, CARD, "detached");
        assert_ended(s, &d);
        assert_has(gpu_property(s, CARD, "LastJob"), "result=done");
        g_assert_true(unit_is(s, MANAGER, "active"));
        assert_end(s, attach(s, CARD, ""), "done", "");
        assert_as_at_first(s);
}

/* ---- Xorg's configuration ---- */

#define XORG "/etc/X11/xorg.conf.d/"
#define XORG_GPU                \
        "/etc/gpuptd/card.gpu", \
                "[Match]\nAddress=" CARD "\n[Session]\nXorgFiles=10-nvidia.conf 20-one-screen.conf:detached\n"

static void put_xorg_files(void) {
        put_file(XORG "10-nvidia.conf.real", "# a card\n");
        (void) unlink(XORG "10-nvidia.conf");
        g_assert_cmpint(symlink("10-nvidia.conf.real", XORG "10-nvidia.conf"), ==, 0);
        put_file(XORG "20-one-screen.conf.gpuptd", "# no card\n");
        put_file(XORG "30-keyboard.conf", "# neither\n");
}

/* Which are there; all of them keep their content, and a link stays one. */
static void assert_xorg(bool detached) {
        g_autofree char *link = g_file_read_link(detached ? XORG "10-nvidia.conf.gpuptd" : XORG "10-nvidia.conf",
                                                 NULL),
                        *text = NULL;

        g_assert_cmpstr(link, ==, "10-nvidia.conf.real");
        g_assert_true(g_file_get_contents(detached ? XORG "20-one-screen.conf" : XORG "20-one-screen.conf.gpuptd",
                                          &text, NULL, NULL));
        g_assert_cmpstr(text, ==, "# no card\n");
        g_assert_cmpint(access(detached ? XORG "10-nvidia.conf" : XORG "10-nvidia.conf.gpuptd", F_OK), ==, -1);
        g_assert_cmpint(access(detached ? XORG "20-one-screen.conf.gpuptd" : XORG "20-one-screen.conf", F_OK), ==, -1);
        g_assert_cmpint(access(XORG "30-keyboard.conf", F_OK), ==, 0);
        g_assert_cmpint(access("/var/lib/gpuptd/xorg-" CARD, F_OK), ==, detached ? 0 : -1);
}

/* What gpuptd-restore.service does. */
static void boot(int status_wanted) {
        const char *argv[] = { getenv("GPUPT_RESTORE"), "boot", NULL };
        int status;

        g_assert_true(
                g_spawn_sync(NULL, (char **) argv, NULL, G_SPAWN_STDOUT_TO_DEV_NULL, NULL, NULL, NULL, NULL, &status, NULL));
        g_assert_cmpint(WIFEXITED(status) ? WEXITSTATUS(status) : -1, ==, status_wanted);
}

static void test_xorg(void) {
        g_autoptr(Scene) s = scene_new("desktop", XORG_GPU, NULL);
        Desktop d;

        put_xorg_files();
        desktop_begin(s, CARD, OTHER, &d);
        assert_end(s, detach(s, CARD, "disrupt-session"), "done", "");
        assert_ended(s, &d);
        assert_xorg(true);
        /* The same boot: nothing to put right. */
        boot(0);
        assert_xorg(true);
        assert_end(s, attach(s, CARD, ""), "done", "");
        assert_xorg(false);
        assert_as_at_first(s);
        boot(0);
        assert_xorg(false);
}

/* The host went down while the card was detached, and comes up with it: nobody remembers, but the record. */
static void test_xorg_boot(void) {
        g_autoptr(Scene) s = scene_new("desktop", XORG_GPU, NULL);

        put_xorg_files();
        assert_end(s, detach(s, CARD, ""), "done", "");
        assert_xorg(true);
        sim_daemon_kill(s->m);
        g_assert_cmpint(sim_write(s->m, "bus/pci/devices/" CARD "/driver_override", "\n"), ==, 0);
        g_assert_cmpint(sim_write(s->m, "bus/pci/drivers/vfio-pci/unbind", CARD), ==, 0);
        g_assert_cmpint(sim_write(s->m, "bus/pci/drivers/nouveau/bind", CARD), ==, 0);
        /* In the middle of it, as of a power cut: one is back, the other is not; and then once more. */
        g_assert_cmpint(rename(XORG "20-one-screen.conf", XORG "20-one-screen.conf.gpuptd"), ==, 0);
        boot(0);
        assert_xorg(false);
        boot(0);
        assert_xorg(false);
}

/* A card that has left the host, and one that has come to its place, is not one that Xorg could be told of. */
static void test_xorg_gone(void) {
        g_autoptr(Scene) s = scene_new("desktop", XORG_GPU, NULL);

        put_xorg_files();
        assert_end(s, detach(s, CARD, ""), "done", "");
        sim_daemon_kill(s->m);
        sim_unplug(s->m, CARD);
        sim_wait_known(s->m, CARD, false);
        boot(0);
        assert_xorg(true);
        put_file("/var/lib/gpuptd/xorg-" OTHER,
                 "gpuptd-xorg 1\ngpu " OTHER " 10de:1e84:1458:3ffd\nfile 30-keyboard.conf:detached\nend\n");
        boot(0);
        assert_xorg(true);
        put_file("/var/lib/gpuptd/xorg-" OTHER,
                 "gpuptd-xorg 1\ngpu " OTHER " 10de:1e84:1458:3ffd\nfile ../passwd.conf\nend\n");
        boot(1);
        put_file("/var/lib/gpuptd/xorg-" OTHER, NULL);
        put_file("/var/lib/gpuptd/xorg-" CARD, NULL);
}

/* A file that is there twice is for its owner to sort out: nothing is overwritten, and the card goes back. */
static void test_xorg_twice(void) {
        g_autoptr(Scene) s = scene_new("desktop", XORG_GPU, NULL);
        const JobEnd *end;
        Desktop d;

        put_xorg_files();
        put_file(XORG "10-nvidia.conf.gpuptd", "# another\n");
        desktop_begin(s, CARD, OTHER, &d);
        end = detach(s, CARD, "disrupt-session");
        assert_end(s, end, "rolled-back", "Failed");
        assert_has(end->message, "10-nvidia.conf is there as itself and with .gpuptd behind its name");
        assert_ended(s, &d);
        g_assert_true(unit_is(s, MANAGER, "active"));
        assert_as_at_first(s);
        put_file(XORG "10-nvidia.conf.gpuptd", NULL);
        boot(0);
        assert_xorg(false);
}

/* ---- consent ---- */

static void test_told(void) {
        g_autoptr(Scene) s = scene_new("desktop", NULL);
        g_auto(GStrv) steps = NULL;
        g_autofree char *text = NULL;
        Desktop d;

        desktop_begin(s, CARD, OTHER, &d);
        steps = plan(s, "detach", CARD, "disrupt-session", NULL);
        text = g_strjoinv("\n", steps);
        assert_has(text, "check-logins -\nend-session 2\nstop-unit " MANAGER "\n");
        assert_has(text, "return-unit " MANAGER);
        if (scene_be_user(s)) {
                sim_polkit_set(s->m, "no", NULL);
                assert_end(s, detach(s, CARD, "disrupt-session"), "refused", "AccessDenied");
                assert_has(sim_polkit_log(s->m), "; logs out anna (session 2); stops " MANAGER);
        }
        assert_untouched(s, &d);
        desktop_end(s, &d);
}

/* Who logs in while the question is open was not thought of by whoever says yes. */
static void test_newcomer(void) {
        g_autoptr(Scene) s = scene_new("desktop", NULL);
        g_autoptr(Pending) call = NULL;
        const JobEnd *end;
        Desktop d;

        desktop_begin(s, CARD, OTHER, &d);
        if (!scene_be_user(s))
                return;
        sim_polkit_set(s->m, "never", NULL);
        call = call_later(s, s->user, "Detach", CARD, "disrupt-session", true);
        sim_polkit_wait(s->m, 1);
        log_in(s, "5", "bo", d.leader);
        (void) sim_command(s->m, "polkit-answer yes");
        g_assert_cmpstr(pending_wait(call), ==, "");
        end = job_wait(s, pending_job(call));
        assert_end(s, end, "rolled-back", "InUse");
        assert_has(end->message, "session 5");
        assert_untouched(s, &d);
        assert_as_at_first(s);
        desktop_end(s, &d);
}

/* ---- faults ---- */

typedef struct Fault {
        const char *name, *target, *operation, *effect;
        const char *error;   /* that the job ends with */
        bool logged_out;     /* by then anna is */
} Fault;

/* Whatever happens, the card is where it was, and there is a login. */
static void test_fault(const void *data) {
        const Fault *f = data;
        /* Long enough for every other step of a machine that has much to do. */
        g_autoptr(Scene) s = scene_new("desktop", "/etc/gpuptd/gpuptd.conf",
                                       streq(f->effect, "hang") ? "[Daemon]\nStepTimeoutSec=4\n" : "[Daemon]\nStepTimeoutSec=600\n", NULL);
        const JobEnd *end;
        unsigned fault;
        Desktop d;

        desktop_begin(s, CARD, OTHER, &d);
        fault = sim_fault(s->m, f->target, f->operation, f->effect);
        end = detach(s, CARD, "disrupt-session wait=0");
        assert_end(s, end, "rolled-back", f->error);
        sim_fault_release(s->m, fault);
        assert_as_at_first(s);
        g_assert_cmpstr(state_of(s, CARD), ==, "host");
        g_assert_true(unit_is(s, MANAGER, "active"));
        if (f->logged_out)
                g_assert_cmpint(sim_wait_ended(s->m, d.leader), ==, SIGTERM);
        else
                g_assert_cmpint(kill(d.leader, 0), ==, 0);
        desktop_end(s, &d);
}

/* Who holds the card all the same is waited for, named, and left alone. */
static void test_stays(void) {
        g_autoptr(Scene) s = scene_new("desktop", NULL);
        const JobEnd *end;
        const char *job;
        pid_t stranger;
        Desktop d;

        desktop_begin(s, CARD, OTHER, &d);
        stranger = process_start(s, "weston", node_of(s, CARD, "card"));
        put_into_cgroup(stranger, "/system.slice/kiosk.service");
        job = job_start(s, "Detach", CARD, "disrupt-session");
        sim_wait_property(s->m, job, GPUPT_JOB_INTERFACE, "Description", "wait up to 30 s until nobody holds " CARD);
        g_assert_cmpstr(job_call(s, job, "Cancel", NULL, ""), ==, "");
        end = job_wait(s, job);
        assert_end(s, end, "cancelled", "Cancelled");
        assert_ended(s, &d);
        g_assert_cmpint(kill(stranger, 0), ==, 0);
        g_assert_true(unit_is(s, MANAGER, "active"));
        assert_as_at_first(s);
        sim_let_go(s->m, stranger);
}

typedef struct Kill {
        const char *name, *target, *operation;
} Kill;

/* The daemon dies while it waits for others; what they do goes on, and the next daemon brings it to its end. */
static void test_killed(const void *data) {
        const Kill *k = data;
        g_autoptr(Scene) s = scene_new("desktop", NULL);
        unsigned fault;
        const char *job;
        Desktop d;

        desktop_begin(s, CARD, OTHER, &d);
        fault = sim_fault(s->m, k->target, k->operation, "hang");
        job = job_start(s, "Detach", CARD, "disrupt-session");
        sim_fault_wait(s->m, fault);
        sim_daemon_kill(s->m);
        sim_fault_release(s->m, fault);
        scene_start(s);
        assert_end(s, job_wait(s, job), "done", "");
        assert_ended(s, &d);
        g_assert_cmpstr(state_of(s, CARD), ==, "detached");
        (void) sim_command(s->m, "wait-unit " MANAGER " active");
        assert_end(s, attach(s, CARD, ""), "done", "");
        assert_as_at_first(s);
}

int main(int argc, char *argv[]) {
        static const Fault faults[] = {
                { "session-hangs", SCOPE, "stop", "hang", "Timeout", false },
                { "manager-hangs", MANAGER, "stop", "hang", "Timeout", true },
                { "manager-fails", MANAGER, "stop", "errno=EIO", "Failed", true },
                { "move-fails", CARD, "unbind", "errno=EIO", "Failed", true },
                { "bind-fails", "vfio-pci", "bind", "errno=EIO", "Failed", true },
                { "return-fails", MANAGER, "start", "errno=EIO", "Failed", true },
                { "return-hangs", MANAGER, "start", "hang", "Timeout", true },
        };
        static const Kill kills[] = {
                { "session", SCOPE, "stop" },
                { "manager", MANAGER, "stop" },
                { "move", CARD, "unbind" },
                { "return", MANAGER, "start" },
        };

        sim_init(&argc, &argv);
        g_test_add_func("/desktop/cycle", test_cycle);
        g_test_add_func("/desktop/restart", test_restart);
        g_test_add_func("/desktop/only-display", test_only_display);
        g_test_add_func("/desktop/no-login", test_no_login);
        g_test_add_func("/desktop/not-running", test_not_running);
        g_test_add_func("/desktop/caller-gone", test_caller_gone);
        g_test_add_func("/desktop/xorg", test_xorg);
        g_test_add_func("/desktop/xorg-boot", test_xorg_boot);
        g_test_add_func("/desktop/xorg-gone", test_xorg_gone);
        g_test_add_func("/desktop/xorg-twice", test_xorg_twice);
        g_test_add_func("/desktop/told", test_told);
        g_test_add_func("/desktop/newcomer", test_newcomer);
        for (size_t i = 0; i < ELEMENTSOF(faults); i++) {
                g_autofree char *path = g_strdup_printf("/desktop/fault/%s", faults[i].name);

                g_test_add_data_func(path, faults + i, test_fault);
        }
        g_test_add_func("/desktop/stays", test_stays);
        for (size_t i = 0; i < ELEMENTSOF(kills); i++) {
                g_autofree char *path = g_strdup_printf("/desktop/killed/%s", kills[i].name);

                g_test_add_data_func(path, kills + i, test_killed);
        }
        return g_test_run();
}
