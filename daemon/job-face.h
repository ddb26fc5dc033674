/* SPDX-License-Identifier: GPL-2.0-or-later */
#pragma once

/* job-face: what others see of a job, whatever it is made of: one on a GPU (job.h), or that of the whole host
 * around a sleep (sleep-job.h). The bus and the list of jobs know this alone. */

#include "gpu.h"

#define JOB_PROPERTIES_MAX 10U

/* All weak. */
typedef struct JobView {
        unsigned id;
        const Gpu *gpu; /* NULL: it is the host's */
        Operation operation;
        JobState state;
        unsigned step, steps;
        const char *description;
        bool cancellable;
        /* Once it is over. */
        JobResult result;
        const char *error, *message;
} JobView;

typedef struct JobFace JobFace;

struct JobFace {
        void (*view)(const JobFace *f, JobView *ret);
        uint64_t told[JOB_PROPERTIES_MAX]; /* hash of each property as the bus was last told: job-bus.c */
};

static inline JobView job_face_view(const JobFace *f) {
        JobView v = {};

        f->view(f, &v);
        return v;
}
