/* SPDX-License-Identifier: GPL-2.0-or-later */
#pragma once

/* exec-client: runs a program as a transient unit of systemd1 and tells how it ended. The program is never the daemon's
 * child: it is not bound by the daemon's sandbox, outlives it, and a daemon that was started again can wait for it. A
 * program that hangs in the kernel costs its time limit, and nothing else. */

#include <systemd/sd-bus.h>

#include "util/cleanup.h"

#define EXEC_UNIT_FORMAT "gpuptd-exec-%u-%u.service" /* job, step */

typedef struct Exec Exec;

typedef struct ExecRequest {
        /* The name of the unit. If there is one of this name already, its program is waited for, whatever it is; its
         * output is not to be had then. So a name stands for one thing to do. */
        const char *unit;
        const char *description;
        char *const *argv;   /* no shell; argv[0] is an absolute path */
        char *const *environment; /* "NAME=VALUE", beside the service manager's own and LC_ALL=C; or NULL */
        uint64_t limit_usec; /* then systemd ends it, and the handler is called whether that helped or not */
        size_t output_max;   /* of what it prints on both its outputs so much is kept, and it cannot write more; 0: all
                              * goes to the journal */
        bool errors_apart;   /* what it writes to standard error goes to the journal all the same */
        bool status_answers; /* exit statuses 2 and 3 are answers, about which systemd need not complain in the journal */
} ExecRequest;

typedef struct ExecResult {
        /* 0: exited with status 0. -ECHILD: ended in another way. -ETIMEDOUT: its limit is over. -ENOENT, -ENOEXEC: the
         * program is not installed, cannot be executed. -ESRCH: it has ended, nobody knows how. Others: systemd1 did not
         * start it. */
        int error;
        int status;         /* exit status, if it exited by itself, else -1 */
        const char *text;   /* a sentence fragment about an error, with the first line of output; else "" */
        const char *output; /* as the program wrote it, with a NUL behind it; "" if none was asked for */
        size_t output_size;
        bool joined; /* the unit was there already: this is the end of its program, whose output is not to be had */
} ExecResult;

/* The Exec is freed after the call. */
typedef void (*exec_handler_t)(const ExecResult *result, void *userdata);

/* The handler is never called from within. -EINVAL for a request that does not make sense. */
int exec_run(sd_bus *bus, const ExecRequest *request, exec_handler_t handler, void *userdata, Exec **ret);
/* Stops listening; the handler is not called, the program goes on until its limit. */
Exec *exec_free(Exec *e);
DEFINE_CLEANUP(Exec *, exec_free);

/* Whether there is such a program: a look at the file system, no more. */
bool exec_is_installed(const char *path);
