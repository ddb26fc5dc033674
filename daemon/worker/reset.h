/* SPDX-License-Identifier: GPL-2.0-or-later */
#pragma once

/* reset: the kernel's resets of one function, and of everything below a bridge. See step.h. */

#include "worker/work.h"

int verb_reset(Work *w);
int verb_reset_below(Work *w);
