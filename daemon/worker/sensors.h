/* SPDX-License-Identifier: GPL-2.0-or-later */
#pragma once

/* sensors: what the driver of a function measures of it: temperatures, fans, power. See step.h and measurement.h. */

#include "worker/work.h"

int verb_sensors(Work *w);
