/* SPDX-License-Identifier: GPL-2.0-or-later */
#pragma once

/* sleep-statistics: what the kernel counts about its own sleep, and which device was in the way last. See step.h. */

#include "worker/work.h"

int verb_sleep_statistics(Work *w);
