/* SPDX-License-Identifier: GPL-2.0-or-later */
#pragma once

/* control: the command language with which a test, a topology file or a shell drives the running machine. A request is a
 * line; the answer is the line "ok TEXT" or "error ERRNO TEXT", with the text escaped as by g_strescape(). */

#include <glib.h>
#include <stdbool.h>
#include <systemd/sd-event.h>

#define CONTROL_SOCKET "/run/gpuptd-sim/control"

typedef struct ControlCommand {
        const char *name;
        unsigned n_arguments; /* at least */
        /* Appends the text of the answer; 0 or a negative errno. */
        int (*run)(char **arguments, GString *reply);
        bool waits; /* runs in a thread and may take its time; must not touch the bus */
} ControlCommand;

/* The commands of the stand-ins; each table ends with an empty entry. */
extern const ControlCommand login1_commands[], polkit_commands[], systemd1_commands[], machine1_commands[];
extern const ControlCommand upower_commands[], uses_commands[];

/* Serves `fd`, at whose end of file the machine ends, and CONTROL_SOCKET. */
int control_start(sd_event *event, int fd);
int control_execute(const char *line, GString *reply);

/* For the first connection: the machine is up. */
void control_ready(void);
