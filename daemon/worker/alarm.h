/* SPDX-License-Identifier: GPL-2.0-or-later */
#pragma once

/* alarm: lets a real-time clock wake the host. See step.h. */

#include "worker/work.h"

int verb_alarm(Work *w);
