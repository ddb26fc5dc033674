/* SPDX-License-Identifier: GPL-2.0-or-later */
#pragma once

/* power: runtime power management of functions and of the bridges above them. See step.h. */

#include "worker/work.h"

int verb_pin_power(Work *w);
int verb_restore_power(Work *w);
int verb_idle_power(Work *w);
int verb_wake(Work *w);
