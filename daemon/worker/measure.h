/* SPDX-License-Identifier: GPL-2.0-or-later */
#pragma once

/* measure: what state the hardware of a function is in: config space, power, link, BARs, decodes. See step.h and
 * measurement.h. */

#include "worker/work.h"

int verb_measure(Work *w);

/* The size in bytes of a memory BAR that has no address, from its line of `resource`; 0 for any other line. */
uint64_t resource_unassigned_size(const char *line);
