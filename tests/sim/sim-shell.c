/* SPDX-License-Identifier: GPL-2.0-or-later */

/* gpuptd-sim: starts a simulated machine with the daemon in it and runs a command there, as root of that machine. Needs no
 * GPU and no root on the host. From within, `gpuptd-sim --control COMMAND…` talks to the machine: faults, polkit's answers,
 * plugging and unplugging; README.md has the commands. */

#include <errno.h>
#include <getopt.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#include "control-client.h"
#include "machine.h"
#include "util/cleanup.h"

/* What meson takes for a skipped test. */
#define EXIT_SKIPPED 77

static int help(void) {
        printf("usage: gpuptd-sim [--no-daemon] [--show-log] TOPOLOGY [-- COMMAND…]\n"
               "       gpuptd-sim --control COMMAND…\n"
               "\n"
               "Runs COMMAND (a shell) on a simulated machine. TOPOLOGY is a name of tests/sim/topologies or a file.\n"
               "\n"
               "  --no-daemon   the machine only\n"
               "  --show-log    print the daemon's log at the end\n"
               "  --control     inside: give a command to the machine, see tests/sim/README.md\n");
        return EXIT_SUCCESS;
}

static int control(char **words) {
        g_autofree char *text = NULL;
        int r;

        r = control_ask(words, &text);
        if (r < 0) {
                fprintf(stderr, "gpuptd-sim: %s: %s\n", words[0], text ?: "this is no simulated machine");
                return EXIT_FAILURE;
        }
        if (*text)
                printf("%s\n", text);
        return EXIT_SUCCESS;
}

static int run_command(char **argv) {
        char *const shell[] = { (char *) (getenv("SHELL") ?: "/bin/sh"), NULL };
        int status = 0;
        pid_t pid;

        pid = fork();
        if (pid == 0) {
                (void) signal(SIGINT, SIG_DFL);
                (void) execvp(argv[0] ?: shell[0], argv[0] ? argv : shell);
                fprintf(stderr, "gpuptd-sim: %s: %s\n", argv[0] ?: shell[0], strerror(errno));
                _exit(127);
        }
        while (waitpid(pid, &status, 0) < 0 && errno == EINTR)
                ;
        return WIFEXITED(status) ? WEXITSTATUS(status) : 128 + WTERMSIG(status);
}

static int run_machine(char **argv, bool with_daemon, bool show_log) {
        g_autoptr(SimMachine) m = NULL;
        const char *reason = NULL;
        int r;

        r = sim_enter(&reason);
        if (r < 0) {
                fprintf(stderr, "gpuptd-sim: there can be no simulated machine here: %s: %s\n", reason, strerror(-r));
                return EXIT_SKIPPED;
        }
        m = sim_machine_new(argv[0]);
        if (with_daemon)
                sim_daemon_start(m, NULL);
        (void) signal(SIGINT, SIG_IGN); /* that of the terminal is for the command */
        r = run_command(argv + 1);
        if (with_daemon && show_log)
                fputs(sim_daemon_log(m), stderr);
        return r;
}

int main(int argc, char *argv[]) {
        static const struct option options[] = {
                { "help", no_argument, NULL, 'h' },
                { "no-daemon", no_argument, NULL, 'n' },
                { "show-log", no_argument, NULL, 'l' },
                { "control", no_argument, NULL, 'c' },
                {},
        };
        bool with_daemon = true, show_log = false, to_machine = false;
        int c;

        while ((c = getopt_long(argc, argv, "+h", options, NULL)) >= 0)
                switch (c) {
                case 'h':
                        return help();
                case 'n':
                        with_daemon = false;
                        break;
                case 'l':
                        show_log = true;
                        break;
                case 'c':
                        to_machine = true;
                        break;
                default:
                        return EXIT_FAILURE;
                }
        if (!argv[optind]) {
                (void) help();
                return EXIT_FAILURE;
        }
        if (to_machine)
                return control(argv + optind);
        /* "TOPOLOGY -- COMMAND": what is between is for the eye. */
        if (argv[optind + 1] && streq(argv[optind + 1], "--")) {
                argv[optind + 1] = argv[optind];
                optind++;
        }
        return run_machine(argv + optind, with_daemon, show_log);
}
