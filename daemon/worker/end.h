/* SPDX-License-Identifier: GPL-2.0-or-later */
#pragma once

/* end: ends one process, and no other that has got its number. See step.h. */

#include "worker/work.h"

/* Field 22 of /proc/PID/stat: clock ticks since boot. -ESRCH if there is no such process. */
int process_start_time(uint32_t pid, uint64_t *ret);

int verb_end(Work *w);
