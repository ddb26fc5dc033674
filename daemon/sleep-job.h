/* SPDX-License-Identifier: GPL-2.0-or-later */
#pragma once

/* sleep-job: the job of the whole host that prepares its sleep (operation "sleep"), or takes back what was
 * prepared ("resume"). It only shows what the coordinator (sleep.c) is doing; its GPU is none. */

#include "job-face.h"

typedef struct SleepJob {
        JobFace face;
        unsigned id;
        Operation operation; /* OPERATION_SLEEP or OPERATION_RESUME */
        JobState state;
        unsigned step, steps;
        char *description;
        JobResult result;
        const char *error; /* name of an error, weak; "" if none */
        char *message;
} SleepJob;

int sleep_job_new(unsigned id, Operation operation, SleepJob **ret);
SleepJob *sleep_job_free(SleepJob *j);
DEFINE_CLEANUP(SleepJob *, sleep_job_free);
