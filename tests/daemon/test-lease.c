/* SPDX-License-Identifier: GPL-2.0-or-later */

/* test-lease: a detach that lasts as long as somebody keeps a descriptor open, and access for those who are not root.
 */

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <sys/prctl.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include "fixture.h"
#include "util/cleanup.h"

#define CARD "0000:08:00.0"
#define AUDIO "0000:08:00.1"
#define RADEON "0000:09:00.0"
#define GROUP "/dev/vfio/15"

static bool ended_by_daemon(int fd) {
        struct pollfd p = { .fd = fd };

        return poll(&p, 1, 0) > 0 && (p.revents & POLLERR);
}

static void wait_ended_by_daemon(int fd) {
        struct pollfd p = { .fd = fd };

        g_assert_cmpint(poll(&p, 1, (int) sim_deadline_sec() * 1000), ==, 1);
        g_assert_true(p.revents & POLLERR);
}

static int lease(Scene *s, const char *gpu) {
        const char *job;
        int fd = acquire(s, gpu, "", &job, NULL);

        assert_end(s, job_wait(s, job), "done", "");
        g_assert_cmpstr(state_of(s, gpu), ==, "detached");
        g_assert_false(ended_by_daemon(fd));
        return fd;
}

static void assert_refused(Scene *s, const char *gpu, const char *error) {
        const char *name;

        g_assert_cmpint(acquire(s, gpu, "", NULL, &name), <, 0);
        g_assert_cmpstr(short_name(name), ==, error);
}

static bool run_dir_has(const char *prefix) {
        g_autoptr(GDir) dir = g_dir_open(GPUPT_RUN_DIR, 0, NULL);
        const char *name;

        while ((name = g_dir_read_name(dir)))
                if (g_str_has_prefix(name, prefix))
                        return true;
        return false;
}

static void test_released(void) {
        g_autoptr(Scene) s = scene_new("desktop", NULL);
        int fd = lease(s, CARD);

        assert_refused(s, CARD, "Busy");
        (void) close(fd);
        wait_state(s, CARD, "host");
        assert_as_at_first(s);
        g_assert_false(run_dir_has("lease-"));

        /* Again, and of a card that is detached already there is none. */
        fd = lease(s, CARD);
        (void) close(fd);
        wait_state(s, CARD, "host");
        assert_end(s, detach(s, CARD, ""), "done", "");
        assert_refused(s, CARD, "NotSupported");
        assert_end(s, attach(s, CARD, ""), "done", "");
        assert_as_at_first(s);
}

/* Whoever leased it may attach; the lease ends with that. */
static void test_own_attach(void) {
        g_autoptr(Scene) s = scene_new("desktop", NULL);
        int fd = lease(s, CARD);

        assert_end(s, attach(s, CARD, ""), "done", "");
        wait_ended_by_daemon(fd);
        (void) close(fd);
        assert_as_at_first(s);
}

static void test_failed(void) {
        g_autoptr(Scene) s = scene_new("desktop", NULL);
        pid_t holder = sim_hold_node(s->m, node_of(s, CARD, "card"));
        const char *job;
        int fd = acquire(s, CARD, "wait=0", &job, NULL);

        assert_end(s, job_wait(s, job), "rolled-back", "InUse");
        wait_ended_by_daemon(fd);
        (void) close(fd);
        assert_as_at_first(s);
        sim_let_go(s->m, holder);
        fd = lease(s, CARD);
        (void) close(fd);
        wait_state(s, CARD, "host");
}

/* Closed before its detach is through: the attach follows. */
static void test_closed_early(void) {
        g_autoptr(Scene) s = scene_new("desktop", NULL);
        unsigned fault = sim_fault(s->m, CARD, "bind", "hang");
        const char *job;
        int fd = acquire(s, CARD, "", &job, NULL);

        sim_fault_wait(s->m, fault);
        (void) close(fd);
        assert_alive(s);
        sim_fault_release(s->m, fault);
        assert_end(s, job_wait(s, job), "done", "");
        wait_state(s, CARD, "host");
        assert_as_at_first(s);
}

static void test_restart(void) {
        g_autoptr(Scene) s = scene_new("desktop", NULL);
        int fd = lease(s, CARD);

        sim_daemon_kill(s->m);
        scene_start(s);
        g_assert_cmpstr(state_of(s, CARD), ==, "detached");
        g_assert_cmpint(sim_daemon_stop(s->m), ==, 0);
        scene_start(s);
        g_assert_cmpstr(state_of(s, CARD), ==, "detached");
        assert_refused(s, CARD, "Busy");
        g_assert_cmpint(access("/run/gpuptd/lease-1.fifo", F_OK), ==, 0);
        (void) close(fd);
        wait_state(s, CARD, "host");
        assert_as_at_first(s);

        /* Closed while nobody listened. */
        fd = lease(s, CARD);
        sim_daemon_kill(s->m);
        (void) close(fd);
        scene_start(s);
        wait_state(s, CARD, "host");
        assert_as_at_first(s);
}

/* The daemon dies within the detach of a lease: it stays one. */
static void test_restart_within(void) {
        g_autoptr(Scene) s = scene_new("desktop", NULL);
        unsigned fault = sim_fault(s->m, AUDIO, "unbind", "hang");
        const char *job;
        int fd = acquire(s, CARD, "", &job, NULL);

        sim_fault_wait(s->m, fault);
        sim_daemon_kill(s->m);
        scene_start(s);
        sim_fault_release(s->m, fault);
        wait_state(s, CARD, "detached");
        (void) close(fd);
        wait_state(s, CARD, "host");
        assert_as_at_first(s);
}

static void test_assigned(void) {
        g_autoptr(Scene) s = scene_new("desktop", NULL);
        int fd = lease(s, CARD);
        pid_t vm = vm_start(s, "win10", GROUP);

        wait_state(s, CARD, "assigned");
        (void) close(fd);
        assert_alive(s);
        g_assert_cmpstr(state_of(s, CARD), ==, "assigned");
        sim_let_go(s->m, vm);
        wait_state(s, CARD, "host");
        assert_as_at_first(s);
}

static void test_limit(void) {
        g_autoptr(Scene) s = scene_new("eight", "/etc/gpuptd/gpuptd.conf", "[Daemon]\nLimitLeases=2\n", NULL);
        int first = lease(s, "0000:10:00.0"), second = lease(s, "0000:20:00.0");

        assert_refused(s, "0000:30:00.0", "LimitsExceeded");
        (void) close(first);
        wait_state(s, "0000:10:00.0", "host");
        first = lease(s, "0000:30:00.0");
        (void) close(first);
        (void) close(second);
        wait_state(s, "0000:20:00.0", "host");
        wait_state(s, "0000:30:00.0", "host");
        assert_as_at_first(s);
}

/* ---- other users ---- */

/* 0 or the errno. */
static int open_as(uid_t uid, const char *node) {
        pid_t pid = fork();
        int status;

        if (pid == 0) {
                if (setresgid(uid, uid, uid) < 0 || setresuid(uid, uid, uid) < 0)
                        _exit(255);
                _exit(open(node, O_RDWR | O_CLOEXEC) < 0 ? errno : 0);
        }
        g_assert_cmpint(waitpid(pid, &status, 0), ==, pid);
        return WEXITSTATUS(status);
}

static void test_user(void) {
        g_autoptr(Scene) s = NULL;
        const char *job;
        sd_bus *user;
        int fd;

        if (!sim_have_users()) {
                g_test_skip("another user than one's own does not exist in these namespaces");
                return;
        }
        s = scene_new("apu", "/etc/gpuptd/gpuptd.conf", "[Session]\nLastDisplay=allow\n", NULL);
        user = sim_bus_new(s->m, 1000);
        s->caller = user;
        fd = acquire(s, "0000:c5:00.0", "", &job, NULL);
        assert_end(s, job_wait(s, job), "done", "");
        g_assert_cmpint(open_as(1000, "/dev/vfio/18"), ==, 0);
        g_assert_cmpint(open_as(1000, "/dev/vfio/19"), ==, 0);
        g_assert_cmpint(open_as(1001, "/dev/vfio/18"), ==, EACCES);

        /* Another user's lease is taken away by force only. */
        s->caller = sim_bus(s->m);
        assert_end(s, attach(s, "0000:c5:00.0", ""), "refused", "Busy");
        g_assert_false(ended_by_daemon(fd));
        assert_end(s, attach(s, "0000:c5:00.0", "force"), "done", "");
        wait_ended_by_daemon(fd);
        (void) close(fd);
        assert_as_at_first(s);

        /* Without a lease access has to be asked for, and ends with the attach. */
        s->caller = user;
        assert_end(s, detach(s, "0000:c5:00.0", ""), "done", "");
        g_assert_cmpint(open_as(1000, "/dev/vfio/18"), ==, EACCES);
        assert_end(s, detach(s, "0000:c5:00.0", "access=caller"), "done", "");
        g_assert_cmpint(open_as(1000, "/dev/vfio/18"), ==, 0);
        g_assert_cmpint(open_as(1000, "/dev/vfio/19"), ==, 0);
        assert_end(s, attach(s, "0000:c5:00.0", ""), "done", "");
        assert_as_at_first(s);
        assert_end(s, detach(s, "0000:c5:00.0", ""), "done", "");
        g_assert_cmpint(open_as(1000, "/dev/vfio/18"), ==, EACCES);
        assert_end(s, attach(s, "0000:c5:00.0", ""), "done", "");
        (void) sd_bus_close_unref(user);
}

/* The caller is gone, its lease is not: the descriptor counts. */
static void test_caller_leaves(void) {
        g_autoptr(Scene) s = scene_new("desktop", NULL);
        sd_bus *other = sim_bus_new(s->m, 0);
        int fd;

        s->caller = other;
        fd = lease(s, CARD);
        s->caller = sim_bus(s->m);
        (void) sd_bus_close_unref(other);
        assert_alive(s);
        g_assert_cmpstr(state_of(s, CARD), ==, "detached");
        assert_refused(s, CARD, "Busy");
        (void) close(fd);
        wait_state(s, CARD, "host");
        assert_as_at_first(s);
}

int main(int argc, char *argv[]) {
        sim_init(&argc, &argv);
        g_test_add_func("/lease/released", test_released);
        g_test_add_func("/lease/own-attach", test_own_attach);
        g_test_add_func("/lease/failed", test_failed);
        g_test_add_func("/lease/closed-early", test_closed_early);
        g_test_add_func("/lease/restart", test_restart);
        g_test_add_func("/lease/restart-within", test_restart_within);
        g_test_add_func("/lease/assigned", test_assigned);
        g_test_add_func("/lease/limit", test_limit);
        g_test_add_func("/lease/user", test_user);
        g_test_add_func("/lease/caller-leaves", test_caller_leaves);
        return g_test_run();
}
