/* SPDX-License-Identifier: GPL-2.0-or-later */
#pragma once

/* hotplug: takes functions from the bus and finds them again, and says for whom they are kept meanwhile. See step.h.
 * */

#include "worker/work.h"

int verb_remove(Work *w);
int verb_eject(Work *w);
int verb_rescan(Work *w);
int verb_keep(Work *w);
