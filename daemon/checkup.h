/* SPDX-License-Identifier: GPL-2.0-or-later */
#pragma once

/* checkup: asks everybody who can tell how a GPU is: a worker that measures it, one that reads its sensors (apart, since a
 * driver may make that one wait), the vendor's tool, the kernel's log since a moment. Each has its time; whoever does not answer is
 * a finding, and never keeps anybody waiting. The verdict is health.h's, over the host's last snapshot: look first. */

#include "gpu.h"
#include "health.h"

typedef struct Checkup Checkup;

/* The report is the handler's to keep or free. The checkup is over, and is freed after the call. */
typedef void (*checkup_handler_t)(HealthReport *report, void *userdata);

/* since_usec: of the kernel's log, CLOCK_MONOTONIC. */
int checkup_new(Gpu *g, uint64_t since_usec, checkup_handler_t handler, void *userdata, Checkup **ret);
/* What still runs is left alone; the handler is not called. */
Checkup *checkup_free(Checkup *c);
DEFINE_CLEANUP(Checkup *, checkup_free);
