/* SPDX-License-Identifier: GPL-2.0-or-later */
#pragma once

/* compositor: asks desktops to let go of a card without ending, and gives it back. Which of them may be asked is decided before. See
 * step.h. */

#include "worker/work.h"

int verb_ask_compositor(Work *w);
int verb_return_compositor(Work *w);
