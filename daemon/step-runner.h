/* SPDX-License-Identifier: GPL-2.0-or-later */
#pragma once

/* step-runner: runs the steps of one job, one at a time, each by its executor and with its two time limits. It knows how a
 * step is done, not why, nor what comes next. */

#include "gpu.h"

typedef struct StepRunner StepRunner;

typedef enum RunEvent {
        RUN_DONE,  /* error is 0 or a negative errno; data are the verb's lines */
        RUN_SLOW,  /* it takes longer than usual; DONE or STUCK will follow */
        RUN_WAITS, /* a wait is not over at once: from now on it waits for people, and nothing is written meanwhile */
        RUN_STUCK, /* past its limit: the worker is left alone. DONE may follow, however late */
        RUN_LOST,  /* the worker is gone without an answer: whether the step was done is unknown. Like DONE with -EPIPE */
} RunEvent;

typedef struct RunResult {
        RunEvent event;
        int error;
        const char *text; /* a sentence fragment that belongs to the error, never NULL */
        const char *data;
        size_t size;
} RunResult;

/* May free the runner on every event but SLOW and WAITS. */
typedef void (*run_handler_t)(const RunResult *result, void *userdata);
/* A line of data that must be on disk before the step goes on, since the step itself changes what it says: done again, it
 * would find something else. Negative: the step fails with that. Must not free the runner. */
typedef int (*save_handler_t)(const char *line, void *userdata);

/* job: the id that the worker writes results under. */
int step_runner_new(Gpu *g, unsigned job, run_handler_t handler, save_handler_t save, void *userdata, StepRunner **ret);
StepRunner *step_runner_free(StepRunner *r);
DEFINE_CLEANUP(StepRunner *, step_runner_free);

/* Starts a step. -EBUSY while one runs. The handler is never called from within. */
int step_runner_run(StepRunner *r, unsigned number, const Step *step);
/* Waits for the worker of a daemon that died to end, then runs the handler with what it left in its result file (LOST
 * if nothing). -ESRCH if that process is not there any more: read the result at once then. */
int step_runner_adopt(StepRunner *r, uint32_t pid, uint64_t start, unsigned number, const Step *step);

/* Ends a wait early: the step is done with -ECANCELED. False if the running step is of another kind and goes on. */
bool step_runner_cancel_wait(StepRunner *r);

/* The process that runs the steps of the executor `worker`, started if it is not there yet. */
int step_runner_worker(StepRunner *r, uint32_t *ret_pid);
