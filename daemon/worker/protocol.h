/* SPDX-License-Identifier: GPL-2.0-or-later */
#pragma once

/* protocol: what daemon and worker say to each other, as word lines over a stream socket that is the worker's fd 3.
 *
 *      daemon -> worker   step N VERB TARGET [ARGUMENT…]
 *      worker -> daemon   begin N
 *                         … data lines of the verb (never beginning with begin, ok, error) …
 *                         ok N
 *                    or   error N ERRNO TEXT           ERRNO positive, TEXT a sentence without the errno's own words
 *
 * One step at a time. N is chosen by the daemon. At end of file the worker finishes the step that it is in and exits
 * with 0; it exits with 2 when spoken to in another way.
 *
 * Command line: gpuptd-worker [--job=ID --lock=FILE]. With them it holds an exclusive flock on FILE while it lives, and
 * writes what it answers (data lines, then the ok or error line) to RUN_DIR/result-ID-N by rename before it sends the
 * last line, so that a restarted daemon finds the result of a step whose daemon died. */

#include "step.h"

#define WORKER_FD 3
#define WORKER_OUTPUT_FD 4 /* if it is open at the start: what verbs with an output write to */
#define WORKER_LOCK_FORMAT "%s/gpu-%s.lock"     /* run directory, address of the display function */
#define WORKER_RESULT_FORMAT "%s/result-%u-%u"  /* run directory, job, step */

/* The answer to a step must fit in this; an inventory of 10,000 functions takes about 3 MiB. */
#define WORKER_ANSWER_MAX (16U * 1024U * 1024U)

/* Environment that the daemon passes on, for tests (read with secure_getenv()): */
#define ENV_WORKER "GPUPT_WORKER"   /* path of the worker program; the daemon's */
#define ENV_RUN_DIR "GPUPT_RUN_DIR" /* instead of /run/gpuptd */
#define ENV_PLAIN_NODES "GPUPT_PLAIN_NODES" /* tests: regular files count as device nodes; the worker's */
#define ENV_JOURNAL_DIR "GPUPT_JOURNAL_DIR" /* instead of the system's journal; the daemon's */
#define ENV_NVIDIA_SMI "GPUPT_NVIDIA_SMI"   /* instead of /usr/bin/nvidia-smi; the daemon's */
#define ENV_RESTORE "GPUPT_RESTORE"         /* path of gpuptd-restore; the daemon's */
#define ENV_UPDATE_INITRAMFS "GPUPT_UPDATE_INITRAMFS" /* instead of /usr/sbin/update-initramfs; gpuptd-restore's */
#define ENV_VM_DIR "GPUPT_VM_DIR"           /* directory of the adapters, instead of that of the build; the daemon's */
