/* SPDX-License-Identifier: GPL-2.0-or-later */
#pragma once

/* access: who else may open the VFIO nodes of a function. See step.h. */

#include "worker/work.h"

int verb_access(Work *w);
int verb_revoke(Work *w);
