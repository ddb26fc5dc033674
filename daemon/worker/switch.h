/* SPDX-License-Identifier: GPL-2.0-or-later */
#pragma once

/* switch: turns a card off and on from outside of it: by the laptop's firmware, or by its slot. See step.h. */

#include "worker/work.h"

int verb_switch_power(Work *w);
int verb_slot_power(Work *w);
