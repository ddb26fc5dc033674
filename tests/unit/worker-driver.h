/* SPDX-License-Identifier: GPL-2.0-or-later */
#pragma once

/* worker-driver: the daemon's side of the worker's socket, for tests: starts the program, sends text, reads answers. The
 * program's path comes from the environment, as it does for the daemon. */

/* Before GLib, which replaces MIN and MAX, but does not let its own be replaced. */
#include "util/cleanup.h"

#include <fcntl.h>
#include <glib.h>
#include <poll.h>
#include <spawn.h>
#include <sys/socket.h>
#include <sys/wait.h>

#include "worker/protocol.h"

#define DRIVER_LIMIT_MSEC 60000

typedef struct WorkerDriver {
        pid_t pid;
        int fd;
} WorkerDriver;

/* arguments: NULL-terminated, behind the program's name; may be NULL. Errors of the program are not shown. */
static inline void driver_start(WorkerDriver *d, char *const *arguments) {
        const char *program = g_getenv(ENV_WORKER);
        char *argv[8] = { (char *) "gpuptd-worker" };
        posix_spawn_file_actions_t actions;
        extern char **environ;
        int fds[2];

        g_assert_nonnull(program);
        for (size_t i = 0; arguments && arguments[i]; i++) {
                g_assert_cmpuint(i, <, ELEMENTSOF(argv) - 2);
                argv[i + 1] = arguments[i];
        }
        g_assert_cmpint(socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, fds), ==, 0);
        g_assert_cmpint(posix_spawn_file_actions_init(&actions), ==, 0);
        /* A duplicate on itself keeps its close-on-exec flag, so the number must be another one. */
        while (fds[1] == WORKER_FD)
                fds[1] = fcntl(fds[1], F_DUPFD_CLOEXEC, WORKER_FD + 1);
        g_assert_cmpint(posix_spawn_file_actions_adddup2(&actions, fds[1], WORKER_FD), ==, 0);
        g_assert_cmpint(posix_spawn(&d->pid, program, &actions, NULL, argv, environ), ==, 0);
        (void) posix_spawn_file_actions_destroy(&actions);
        (void) close(fds[1]);
        d->fd = fds[0];
}

static inline void driver_send(const WorkerDriver *d, const char *text) {
        size_t n = strlen(text);

        g_assert_cmpint(send(d->fd, text, n, MSG_NOSIGNAL), ==, (ssize_t) n);
}

static inline bool driver_has_verdict(const char *text) {
        const char *last, *end = text + strlen(text);

        if (end == text || end[-1] != '\n')
                return false;
        for (last = end - 1; last > text && last[-1] != '\n'; last--)
                ;
        return startswith(last, "ok ") || startswith(last, "error ");
}

/* Until the line that ends an answer, or the end of file. Newly allocated. */
static inline char *driver_receive(const WorkerDriver *d) {
        GString *text = g_string_new(NULL);

        while (!driver_has_verdict(text->str)) {
                struct pollfd p = { .fd = d->fd, .events = POLLIN };
                char buf[4096];
                ssize_t k;

                g_assert_cmpint(poll(&p, 1, DRIVER_LIMIT_MSEC), ==, 1);
                k = read(d->fd, buf, sizeof(buf));
                if (k <= 0)
                        break;
                g_string_append_len(text, buf, k);
        }
        return g_string_free(text, FALSE);
}

/* Closes the socket and returns what the program ended with. */
static inline int driver_end(WorkerDriver *d) {
        siginfo_t info = {};

        if (d->fd >= 0)
                (void) close(d->fd);
        d->fd = -EBADF;
        g_assert_cmpint(waitid(P_PID, (id_t) d->pid, &info, WEXITED), ==, 0);
        g_assert_cmpint(info.si_code, ==, CLD_EXITED);
        return info.si_status;
}

/* One step of a program of its own: the answer to "step 1 …". */
static inline char *driver_run(const char *step) {
        WorkerDriver d;
        g_autofree char *line = g_strdup_printf("step 1 %s\n", step);
        char *answer;

        driver_start(&d, NULL);
        driver_send(&d, line);
        answer = driver_receive(&d);
        g_assert_cmpint(driver_end(&d), ==, 0);
        return answer;
}
