/* SPDX-License-Identifier: GPL-2.0-or-later */

/* pager: the program between long output and the terminal. One per process. */

#include "client/pager.h"

#include <fcntl.h>
#include <signal.h>
#include <sys/prctl.h>
#include <sys/wait.h>

#include "client/terminal.h"
#include "util/cleanup.h"

static pid_t pager_pid;

/* NULL if there is to be none, "" if the choice is ours. */
static const char *wanted(void) {
        const char *e = getenv("SYSTEMD_PAGER") ?: getenv("PAGER");

        if (!e)
                return "";
        return *e && !streq(e, "cat") ? e : NULL;
}

static void exec_words(char *line) {
        char *argv[32], *state = NULL;
        size_t n = 0;

        for (char *word = strtok_r(line, " \t", &state); word && n < ELEMENTSOF(argv) - 1;
             word = strtok_r(NULL, " \t", &state))
                argv[n++] = word;
        argv[n] = NULL;
        if (n > 0)
                (void) execvp(argv[0], argv);
}

static _Noreturn void run_pager(const char *program, int input) {
        char copy[4096];

        (void) dup2(input, STDIN_FILENO);
        (void) prctl(PR_SET_PDEATHSIG, SIGTERM);

        /* Leave at once if all fits, show colours, chop long lines, leave the screen as it is, end on Ctrl-C;
         * and no shell from inside, since this may run under sudo. */
        (void) setenv("LESS", getenv("SYSTEMD_LESS") ?: "FRSXMK", 1);
        (void) setenv("LESSCHARSET", "utf-8", 0);
        (void) setenv("LESSSECURE", "1", 1);

        if (snprintf(copy, sizeof(copy), "%s", program) < (int) sizeof(copy))
                exec_words(copy);
        (void) execlp("less", "less", NULL);
        (void) execlp("more", "more", NULL);
        (void) execlp("cat", "cat", NULL);
        _exit(EXIT_FAILURE);
}

void pager_open(const Options *o) {
        _cleanup_close_ int input = -EBADF, output = -EBADF;
        const char *program = wanted();
        int fds[2];
        pid_t pid;

        if (pager_pid > 0 || !o->pager || !program || !terminal_can_redraw(stdout))
                return;

        (void) terminal_columns();
        (void) terminal_colors(stdout);

        if (pipe2(fds, O_CLOEXEC) < 0)
                return;
        input = fds[0];
        output = fds[1];
        (void) fflush(stdout);

        pid = fork();
        if (pid < 0)
                return;
        if (pid == 0)
                run_pager(program, input);

        pager_pid = pid;
        (void) dup2(output, STDOUT_FILENO);
        /* Ctrl-C belongs to the pager now. */
        (void) signal(SIGINT, SIG_IGN);
}

void pager_close(void) {
        if (pager_pid <= 0)
                return;

        (void) fclose(stdout);
        while (waitpid(pager_pid, NULL, 0) < 0 && errno == EINTR)
                ;
        pager_pid = 0;
}
