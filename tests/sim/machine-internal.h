/* SPDX-License-Identifier: GPL-2.0-or-later */
#pragma once

/* machine-internal: what the files of the test library share. */

#include "machine.h"

struct SimMachine {
        pid_t pid;
        int fd; /* the control connection */
        GPtrArray *strings;
        sd_bus *bus;

        pid_t daemon_pid; /* 0: not running */
        int daemon_log_fd;
};

/* Hands the string over to the machine; returns it. */
const char *sim_keep(SimMachine *m, char *text);
void sim_daemon_forget(SimMachine *m);

/* Ends the test, with the daemon's log. */
void sim_fail(SimMachine *m, const char *format, ...) G_GNUC_PRINTF(2, 3) G_GNUC_NORETURN;

/* Handles what is on the bus until `done` says so, within the deadline; false if it is over. */
bool sim_bus_run(sd_bus *bus, bool (*done)(void *data), void *data);
