/* SPDX-License-Identifier: GPL-2.0-or-later */
#pragma once

/* inventory: what the daemon knows of the host comes from here: a snapshot of all functions, or of some. See step.h. */

#include "worker/work.h"

int verb_snapshot(Work *w);
