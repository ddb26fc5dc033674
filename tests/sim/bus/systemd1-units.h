/* SPDX-License-Identifier: GPL-2.0-or-later */
#pragma once

/* systemd1-units: the units of the systemd1 stand-in and what it means to start and stop one. Jobs and the bus are in
 * systemd1.c. Main thread, but for unit_work(). */

#include <glib.h>
#include <stdbool.h>
#include <stdint.h>
#include <systemd/sd-bus.h>
#include <systemd/sd-event.h>

typedef enum UnitKind {
        UNIT_PLAIN,    /* declared by the test: starts at once, or runs a command */
        UNIT_MODPROBE, /* gpuptd-modprobe@INSTANCE.service: loads a module of the model */
        UNIT_UNLOAD,   /* gpuptd-unload@INSTANCE.service */
} UnitKind;

typedef struct Job Job;

typedef struct Unit {
        char *id, *path, *description;
        UnitKind kind;
        char *instance;
        bool loaded; /* false: "not-found" */
        bool transient, oneshot, remain_after_exit;
        bool collect_failed;  /* CollectMode=inactive-or-failed */
        sd_bus_track *users;  /* AddRef=, RefUnit() */
        char **start_argv, **stop_argv, **environment;
        uint64_t runtime_max_usec; /* 0 for no limit */
        int stdout_fd, stderr_fd;
        char *standard_output, *standard_error; /* StandardOutput=, StandardError=; NULL: not said */

        const char *active, *sub, *result;
        int exit_code, exit_status; /* CLD_EXITED …; as in ExecMainCode, ExecMainStatus */
        pid_t pid;
        uint32_t declared_pid; /* for GetUnitByPID */
        sd_event_source *child, *timer;
        Job *job; /* the one that is running */
} Unit;

Unit *unit_find(const char *id);
Unit *unit_by_index(unsigned index); /* NULL after the last one */
Unit *unit_find_by_path(const char *path);
Unit *unit_find_by_pid(uint32_t pid);
/* Finds or makes it; for a name that nobody has declared `loaded` is false. NULL if the name is no unit name. */
Unit *unit_load(const char *id);
void unit_forget(Unit *u);

/* What may take its time or hang: the fault of this unit and verb, the module. For a thread; 0 or a negative errno. */
int unit_work(Unit *u, const char *verb);

/* Runs the command of a start or stop. 1: it runs, and unit_exited() will be called; 0: there is nothing to run. */
int unit_spawn(Unit *u, char **argv);
void unit_set_state(Unit *u, const char *active, const char *sub, const char *result);

/* `unit NAME [active|inactive|failed] [start=COMMAND] [stop=COMMAND] [oneshot] [remain] [pid=N]` */
int unit_command(char **arguments, GString *text);

/* In systemd1.c: the command of a unit has ended; the properties have changed. */
void unit_exited(Unit *u);
void unit_changed(Unit *u);
