/* SPDX-License-Identifier: GPL-2.0-or-later */
#pragma once

/* census: who has device nodes open or mapped. See step.h and holders.h. */

#include "worker/work.h"

int verb_census(Work *w);
