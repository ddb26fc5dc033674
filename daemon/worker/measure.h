/* SPDX-License-Identifier: GPL-2.0-or-later */
#pragma once

/* measure: what state the hardware of a function is in: config space, power, link, BARs, decodes. See step.h and
 * measurement.h. */

#include "worker/work.h"

int verb_measure(Work *w);
