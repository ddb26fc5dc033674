/* SPDX-License-Identifier: GPL-2.0-or-later */

/* daemon: the daemon under test inside the machine, and processes that hold its device nodes. See machine.h. */

#include <errno.h>
#include <fcntl.h>
#include <grp.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <sys/wait.h>
#include <unistd.h>

#include "dbus/names.h"
#include "machine-internal.h"
#include "util/cleanup.h"
#include "worker/protocol.h"

#define NOTIFY_PATH "/run/gpuptd-sim/notify"

/* For the signal handler: a failed assertion ends the process by abort(). */
static int shown_log_fd = -EBADF;

static void show_log(void) {
        char data[4096];
        off_t offset = 0;
        ssize_t n;

        if (shown_log_fd < 0)
                return;
        (void) !write(STDERR_FILENO, "-- log of the daemon --\n", STRLEN("-- log of the daemon --\n"));
        while ((n = pread(shown_log_fd, data, sizeof(data), offset)) > 0) {
                (void) !write(STDERR_FILENO, data, (size_t) n);
                offset += n;
        }
}

static void on_abort(_unused_ int signo) {
        show_log();
        (void) signal(SIGABRT, SIG_DFL);
        (void) raise(SIGABRT);
}

void sim_fail(_unused_ SimMachine *m, const char *format, ...) {
        va_list ap;

        va_start(ap, format);
        g_logv(G_LOG_DOMAIN, G_LOG_LEVEL_ERROR, format, ap);
        va_end(ap);
        abort();
}

static uint64_t now_usec(void) {
        return (uint64_t) g_get_monotonic_time();
}

bool sim_bus_run(sd_bus *bus, bool (*done)(void *data), void *data) {
        uint64_t end = now_usec() + (uint64_t) sim_deadline_sec() * G_USEC_PER_SEC;
        int r;

        for (;;) {
                if (done(data))
                        return true;
                r = sd_bus_process(bus, NULL);
                if (r < 0)
                        return false;
                if (r > 0)
                        continue;
                if (now_usec() >= end)
                        return done(data);
                (void) sd_bus_wait(bus, MIN(end - now_usec(), (uint64_t) 100000));
        }
}

const char *sim_nvidia_smi(void) {
        return ENV_NVIDIA_SMI "=" SIM_BUILD_DIR "/nvidia-smi";
}

static void exec_daemon(int log_fd, const char *const *environment) {
        const char *binary = getenv("GPUPT_DAEMON") ?: SIM_BUILD_ROOT "/daemon/gpuptd";

        (void) prctl(PR_SET_PDEATHSIG, SIGKILL);
        (void) dup2(log_fd, STDOUT_FILENO);
        (void) dup2(log_fd, STDERR_FILENO);
        (void) setenv(ENV_WORKER, SIM_BUILD_ROOT "/daemon/gpuptd-worker", 0);
        (void) setenv(ENV_PLAIN_NODES, "1", 1);
        (void) setenv("NOTIFY_SOCKET", NOTIFY_PATH, 1);
        (void) setenv("RUNTIME_DIRECTORY", GPUPT_RUN_DIR, 1);
        (void) setenv("STATE_DIRECTORY", GPUPT_STATE_DIR, 1);
        for (; environment && *environment; environment++)
                (void) putenv((char *) *environment);
        (void) execl(binary, binary, NULL);
        fprintf(stderr, "%s: %s\n", binary, strerror(errno));
        _exit(EXIT_FAILURE);
}

/* What systemd would be: the receiver of sd_notify(). */
static int notify_socket(void) {
        struct sockaddr_un address = { .sun_family = AF_UNIX, .sun_path = NOTIFY_PATH };
        int fd = socket(AF_UNIX, SOCK_DGRAM | SOCK_CLOEXEC, 0);

        (void) unlink(NOTIFY_PATH);
        if (fd < 0 || bind(fd, (struct sockaddr *) &address, sizeof(address)) < 0)
                g_error("%s: %s", NOTIFY_PATH, strerror(errno));
        return fd;
}

/* By looking again and again: valgrind of Debian 12 knows no pidfd. */
bool sim_wait_exit(pid_t pid, unsigned ms) {
        uint64_t end = now_usec() + (uint64_t) ms * 1000;

        for (;;) {
                siginfo_t info = {};

                if (waitid(P_PID, (id_t) pid, &info, WEXITED | WNOHANG | WNOWAIT) < 0 || info.si_pid != 0)
                        return true;
                if (now_usec() >= end)
                        return false;
                (void) usleep(2000);
        }
}

static void wait_ready(SimMachine *m, int notify_fd) {
        uint64_t end = now_usec() + (uint64_t) sim_deadline_sec() * G_USEC_PER_SEC;
        struct pollfd p = { .fd = notify_fd, .events = POLLIN };
        char data[4096];
        ssize_t n;

        while (now_usec() < end) {
                (void) poll(&p, 1, 50);
                n = recv(notify_fd, data, sizeof(data) - 1, MSG_DONTWAIT);
                if (n > 0) {
                        data[n] = 0;
                        if (strstr(data, "READY=1"))
                                return;
                } else if (sim_wait_exit(m->daemon_pid, 0))
                        sim_fail(m, "the daemon has ended before it was ready");
        }
        sim_fail(m, "the daemon is not ready in time");
}

void sim_daemon_start(SimMachine *m, const char *const *environment) {
        _cleanup_close_ int notify_fd = -EBADF;

        if (m->daemon_pid > 0)
                g_error("the daemon is already running");
        if (m->daemon_log_fd < 0) {
                m->daemon_log_fd = memfd_create("daemon-log", MFD_CLOEXEC);
                (void) fcntl(m->daemon_log_fd, F_SETFL, O_APPEND);
                shown_log_fd = m->daemon_log_fd;
                (void) signal(SIGABRT, on_abort);
        }
        (void) mkdir(GPUPT_RUN_DIR, 0700); /* what RuntimeDirectory= does */
        (void) mkdir(GPUPT_STATE_DIR, 0700);
        notify_fd = notify_socket();

        m->daemon_pid = fork();
        if (m->daemon_pid < 0)
                g_error("fork: %s", strerror(errno));
        if (m->daemon_pid == 0)
                exec_daemon(m->daemon_log_fd, environment);
        wait_ready(m, notify_fd);
}

static int daemon_end(SimMachine *m, int signo) {
        int status = 0;

        if (m->daemon_pid <= 0)
                return 0;
        (void) kill(m->daemon_pid, signo);
        (void) waitpid(m->daemon_pid, &status, 0);
        m->daemon_pid = 0;
        return status;
}

void sim_daemon_kill(SimMachine *m) {
        (void) daemon_end(m, SIGKILL);
}

int sim_daemon_stop(SimMachine *m) {
        return daemon_end(m, SIGTERM);
}

void sim_daemon_forget(SimMachine *m) {
        shown_log_fd = -EBADF;
        m->daemon_log_fd = safe_close(m->daemon_log_fd);
}

pid_t sim_daemon_pid(SimMachine *m) {
        return m->daemon_pid;
}

const char *sim_daemon_log(SimMachine *m) {
        g_autoptr(GString) text = g_string_new(NULL);
        char data[4096];
        off_t offset = 0;
        ssize_t n;

        while ((n = pread(m->daemon_log_fd, data, sizeof(data), offset)) > 0) {
                (void) g_string_append_len(text, data, n);
                offset += n;
        }
        return sim_keep(m, g_strdup(text->str));
}

/* Holders */

static void exec_holder(const char *path, uid_t uid, bool stubborn, int ready_fd) {
        int fd = open(path, O_RDWR);

        if (fd < 0)
                _exit(EXIT_FAILURE);
        if (uid != 0 && (setgroups(0, NULL) < 0 || setresgid(uid, uid, uid) < 0 || setresuid(uid, uid, uid) < 0))
                _exit(EXIT_FAILURE);
        (void) prctl(PR_SET_PDEATHSIG, SIGKILL); /* a change of uid clears it */
        if (stubborn)
                (void) signal(SIGTERM, SIG_IGN);
        if (write(ready_fd, "x", 1) == 1)
                (void) execlp("sleep", "sleep", "infinity", NULL);
        _exit(EXIT_FAILURE);
}

pid_t sim_hold_node_as(SimMachine *m, const char *path, uid_t uid, bool stubborn) {
        int fds[2];
        pid_t pid;
        char byte;

        if (pipe2(fds, O_CLOEXEC) < 0)
                g_error("pipe: %s", strerror(errno));
        pid = fork();
        if (pid < 0)
                g_error("fork: %s", strerror(errno));
        if (pid == 0)
                exec_holder(path, uid, stubborn, fds[1]);
        (void) close(fds[1]);
        if (read(fds[0], &byte, 1) != 1)
                sim_fail(m, "%s cannot be held by uid %u", path, uid);
        (void) close(fds[0]);
        (void) sim_command(m, "wait-held %s yes", path);
        return pid;
}

pid_t sim_hold_node(SimMachine *m, const char *path) {
        return sim_hold_node_as(m, path, 0, false);
}

void sim_let_go(_unused_ SimMachine *m, pid_t pid) {
        (void) kill(pid, SIGKILL);
        (void) waitpid(pid, NULL, 0);
}

int sim_wait_ended(SimMachine *m, pid_t pid) {
        int status = 0;

        if (!sim_wait_exit(pid, sim_deadline_sec() * 1000))
                sim_fail(m, "process %d does not end", pid);
        (void) waitpid(pid, &status, 0);
        return WIFSIGNALED(status) ? WTERMSIG(status) : 0;
}
