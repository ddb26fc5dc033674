/* SPDX-License-Identifier: GPL-2.0-or-later */

#include "sleep-job.h"

static void view(const JobFace *f, JobView *ret) {
        const SleepJob *j = (const SleepJob *) ((const char *) f - offsetof(SleepJob, face));

        *ret = (JobView) {
                .id = j->id,
                .operation = j->operation,
                .state = j->state,
                .step = j->step,
                .steps = j->steps,
                .description = j->description,
                .result = j->result,
                .error = j->error,
                .message = j->message,
        };
}

int sleep_job_new(unsigned id, Operation operation, SleepJob **ret) {
        SleepJob *j = calloc(1, sizeof(SleepJob));

        if (!j)
                return -ENOMEM;
        *j = (SleepJob){
                .face = { .view = view }, .id = id, .operation = operation, .state = JOB_RUNNING, .error = ""
        };
        j->description = strdup("");
        if (!j->description) {
                free(j);
                return -ENOMEM;
        }
        *ret = j;
        return 0;
}

SleepJob *sleep_job_free(SleepJob *j) {
        if (!j)
                return NULL;
        free(j->description);
        free(j->message);
        free(j);
        return NULL;
}
