/* SPDX-License-Identifier: GPL-2.0-or-later */
#pragma once

/* worker-client: the daemon's end of a worker process. It starts the program, sends one step at a time and hands on what
 * comes back; it never waits and never sends a signal: a worker that hangs in the kernel is left alone, and its late answer is taken when it
 * comes. See worker/protocol.h. */

#include <systemd/sd-event.h>

#include "step.h"

typedef struct Worker Worker;

typedef enum WorkerEvent {
        WORKER_BEGUN, /* the step was begun */
        WORKER_DONE,  /* error is 0 or a negative errno; data are the verb's lines */
        WORKER_GONE,  /* the process ended, or said something that is not the protocol; error says which. The last event */
} WorkerEvent;

typedef struct WorkerAnswer {
        WorkerEvent event;
        unsigned step;
        int error;
        const char *text; /* of an error; never NULL */
        const char *data; /* word lines; never NULL */
        size_t size;
} WorkerAnswer;

/* May free the worker. */
typedef void (*worker_handler_t)(const WorkerAnswer *answer, void *userdata);

typedef struct WorkerSetup {
        const char *program;
        const char *run_dir;
        unsigned job;            /* 0: not of a job: no lock, no result files */
        const char *gpu;         /* address for the lock file, if of a job */
        const int *output_fd;    /* becomes the worker's WORKER_OUTPUT_FD; NULL: it gets none */
} WorkerSetup;

int worker_new(sd_event *event, const WorkerSetup *setup, worker_handler_t handler, void *userdata, Worker **ret);
/* Closes the socket: the worker finishes what it is in and exits. */
Worker *worker_free(Worker *w);
DEFINE_CLEANUP(Worker *, worker_free);

/* One at a time: -EBUSY while a step is in flight. */
int worker_send(Worker *w, unsigned number, const Step *step);
bool worker_is_busy(const Worker *w);
/* Between two steps: the process is there, and has said nothing since its last verdict. */
bool worker_is_quiet(const Worker *w);

uint32_t worker_pid(const Worker *w);
/* Start time of a process, in ticks since boot (field 22 of /proc/PID/stat); -ESRCH if there is none. */
int process_start_time(uint32_t pid, uint64_t *ret);
