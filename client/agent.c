/* SPDX-License-Identifier: GPL-2.0-or-later */

/* agent: the polkit agent of this terminal, a child for as long as a privileged call may ask. It registers
 * itself for its parent, so it must be our own child. One per process. */

#include "client/agent.h"

#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <systemd/sd-login.h>

#include "util/cleanup.h"

static pid_t agent_pid;

static bool has_session(void) {
        _cleanup_free_ char *session = NULL;

        return sd_pid_get_session(0, &session) >= 0;
}

static _Noreturn void run_agent(pid_t parent, int ready_fd) {
        char number[16];
        sigset_t none;

        /* The terminal's echo is off while it asks, so it must end in order, also when we are killed. */
        (void) prctl(PR_SET_PDEATHSIG, SIGTERM);
        if (getppid() != parent)
                _exit(EXIT_SUCCESS);

        (void) sigemptyset(&none);
        (void) sigprocmask(SIG_SETMASK, &none, NULL);
        (void) fcntl(ready_fd, F_SETFD, 0);
        (void) snprintf(number, sizeof(number), "%d", ready_fd);
        /* A fallback gives way to the agent of the session. Without a session polkit 122 forgets it altogether
         * (polkitbackendinteractiveauthority.c get_authentication_agent_for_subject()). */
        (void) execlp("pkttyagent", "pkttyagent", "--notify-fd", number, has_session() ? "--fallback" : NULL, NULL);
        _exit(EXIT_FAILURE);
}

void agent_open(const Options *o) {
        _cleanup_close_ int ready = -EBADF, theirs = -EBADF;
        struct pollfd pollfd;
        int fds[2];
        pid_t parent = getpid(), pid;

        if (agent_pid > 0 || !o->ask_password || o->host || geteuid() == 0 || !isatty(STDIN_FILENO) ||
            !isatty(STDERR_FILENO))
                return;

        if (pipe2(fds, O_CLOEXEC) < 0)
                return;
        ready = fds[0];
        theirs = fds[1];

        pid = fork();
        if (pid < 0)
                return;
        if (pid == 0)
                run_agent(parent, theirs);
        agent_pid = pid;
        theirs = safe_close(theirs);

        /* It closes its end when it is registered, or by ending. */
        pollfd = (struct pollfd) { .fd = ready };
        while (poll(&pollfd, 1, -1) < 0 && errno == EINTR)
                ;
}

void agent_close(void) {
        if (agent_pid <= 0)
                return;

        (void) kill(agent_pid, SIGTERM);
        (void) kill(agent_pid, SIGCONT);
        while (waitpid(agent_pid, NULL, 0) < 0 && errno == EINTR)
                ;
        agent_pid = 0;
}
