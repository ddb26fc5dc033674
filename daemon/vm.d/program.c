/* SPDX-License-Identifier: GPL-2.0-or-later */

/* program: owns one child and its pipe. */

#include "vm.d/program.h"

#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <spawn.h>
#include <sys/syscall.h>
#include <sys/wait.h>

#include "vm.d/adapter.h"

void program_result_done(ProgramResult *r) {
        free(r->output);
        r->output = NULL;
}

/* A language of its own would change what is parsed. */
static char *const environment[] = {
        (char *) "PATH=/usr/sbin:/usr/bin:/sbin:/bin", (char *) "LC_ALL=C.UTF-8", (char *) "HOME=/root", NULL,
};

/* In a process group of its own, with SIGPIPE as everybody expects it. */
static int spawn(char *const *argv, int output, pid_t *ret) {
        posix_spawn_file_actions_t actions;
        posix_spawnattr_t attributes;
        sigset_t defaults;
        int r;

        r = posix_spawn_file_actions_init(&actions);
        if (r != 0)
                return -r;
        r = posix_spawnattr_init(&attributes);
        if (r != 0) {
                (void) posix_spawn_file_actions_destroy(&actions);
                return -r;
        }
        (void) sigemptyset(&defaults);
        (void) sigaddset(&defaults, SIGPIPE);
        r = posix_spawn_file_actions_addopen(&actions, STDIN_FILENO, "/dev/null", O_RDONLY, 0);
        if (r == 0)
                r = posix_spawn_file_actions_adddup2(&actions, output, STDOUT_FILENO);
        if (r == 0)
                r = posix_spawn_file_actions_adddup2(&actions, output, STDERR_FILENO);
        if (r == 0)
                r = posix_spawnattr_setsigdefault(&attributes, &defaults);
        if (r == 0)
                r = posix_spawnattr_setflags(&attributes, POSIX_SPAWN_SETPGROUP | POSIX_SPAWN_SETSIGDEF);
        if (r == 0)
                r = posix_spawn(ret, argv[0], &actions, &attributes, argv, environment);
        (void) posix_spawnattr_destroy(&attributes);
        (void) posix_spawn_file_actions_destroy(&actions);
        return -r;
}

/* What is too much is read and dropped, so that the program can go on. */
static void read_output(int fd, char *output, size_t *size) {
        char dropped[4096];

        for (;;) {
                size_t room = PROGRAM_OUTPUT_MAX - *size;
                ssize_t k = read(fd, room > 0 ? output + *size : dropped, room > 0 ? room : sizeof(dropped));

                if (k <= 0)
                        return;
                if (room > 0)
                        *size += (size_t) k;
                if (room == 0)
                        return;
        }
}

/* The end of the program counts, not that of its output: what it leaves running may keep the pipe. */
static int follow(int pidfd, int fd, char *output, size_t *size, uint64_t deadline_usec) {
        for (;;) {
                struct pollfd p[] = { { .fd = pidfd, .events = POLLIN }, { .fd = fd, .events = POLLIN } };
                int r;

                if (adapter_now() >= deadline_usec)
                        return -ETIMEDOUT;
                r = RET_NERRNO(poll(p, ELEMENTSOF(p), adapter_poll_msec(deadline_usec)));
                if (r < 0 && r != -EINTR)
                        return r;
                if (r > 0 && (p[1].revents & POLLIN))
                        read_output(fd, output, size);
                else if (r > 0 && p[0].revents)
                        return 0;
                else if (r > 0 && p[1].revents)
                        fd = -1; /* closed before its end */
        }
}

int program_run(char *const *argv, uint64_t deadline_usec, ProgramResult *ret) {
        _cleanup_free_ char *output = calloc(1, PROGRAM_OUTPUT_MAX + 1);
        _cleanup_close_ int pidfd = -EBADF, from = -EBADF, to = -EBADF;
        int fds[2], status, r;
        size_t size = 0;
        pid_t pid;

        if (!output)
                return -ENOMEM;
        if (pipe2(fds, O_CLOEXEC) < 0)
                return -errno;
        from = fds[0];
        to = fds[1];
        if (fcntl(from, F_SETFL, O_NONBLOCK) < 0)
                return -errno;
        r = spawn(argv, to, &pid);
        to = safe_close(to);
        if (r < 0)
                return r;
        pidfd = RET_NERRNO((int) syscall(SYS_pidfd_open, pid, 0));
        r = pidfd < 0 ? pidfd : follow(pidfd, from, output, &size, deadline_usec);
        if (r < 0) {
                (void) kill(-pid, SIGKILL);
                /* Not waited for without end: one that hangs in the kernel is left to whoever runs the adapter. */
                (void) waitpid(pid, NULL, WNOHANG);
                return r;
        }
        if (waitpid(pid, &status, 0) != pid)
                return -errno;
        for (size_t i = 0; i < size; i++)
                if (output[i] == '\0')
                        output[i] = '?';
        ret->status = WIFEXITED(status) ? WEXITSTATUS(status) : 128 + WTERMSIG(status);
        ret->output = TAKE_PTR(output);
        return 0;
}
