/* SPDX-License-Identifier: GPL-2.0-or-later */
#pragma once

#include <stdio.h>

#include "client/client.h"
#include "client/gpu-choice.h"
#include "dbus/errors.h"

/* What is asked for, and where it is shown. */
typedef struct JobRequest {
        Client *client;
        const GpuChoice *gpu;
        const char *operation;      /* "detach", "attach" … */
        FILE *out;                  /* progress and result */
        bool block;                 /* wait for the end of the job */
        sd_bus_error *refusal;      /* takes the error that the call is answered with, which then is not printed; or NULL */
} JobRequest;

/* How a job ended; all strings are owned, and NULL until known. */
typedef struct JobOutcome {
        uint32_t id;
        char *path;
        char *result;               /* as in JobRemoved; NULL if nobody waited for it, and of a job of the whole host that was joined */
        char *error;                /* name, or empty */
        char *message;
        int lease_fd;               /* of Acquire, close-on-exec; else -EBADF */
} JobOutcome;

#define JOB_OUTCOME_NULL { .lease_fd = -EBADF }
void job_outcome_done(JobOutcome *o);

/* Sends the call, which answers with a job (Detach and the like: "o", Acquire: "ho"), and shows the job until
 * it has ended, over a restart of the daemon too. Ctrl-C asks to cancel; a second one leaves. Returns 0 with
 * the outcome, the exit status of what has been reported, or negative errno (with the refusal, if there is one). */
int job_run(const JobRequest *request, sd_bus_message *call, JobOutcome *ret);

/* Closes *lease_fd and follows the job that gpuptd starts for that reason. Returns as job_run(). */
int job_run_by_release(const JobRequest *request, int *lease_fd, JobOutcome *ret);

/* Follows a job of the request's GPU that somebody else has begun, to its end, and not longer than this: 0, also if it has ended
 * already, -ETIMEDOUT, or as job_run(). The daemon has to have been heard before (client_get_properties()). */
int job_await(const JobRequest *request, const char *path, uint64_t usec);

/* Whether all is well with the outcome; if not, why. */
bool job_succeeded(const JobOutcome *outcome, sd_bus_error *ret_error);

/* Prints how it ended: a line, or JSON, and on stderr what went wrong and what to do next. */
ExitStatus job_report(const JobRequest *request, const JobOutcome *outcome);
