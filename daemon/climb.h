/* SPDX-License-Identifier: GPL-2.0-or-later */
#pragma once

/* climb: the way of one job up the reset ladder: the next rung as a plan, given the card, what is known of its kind and
 * what the job has tried; and how all that reads. */

#include "gpu.h"
#include "journal.h"

/* Looks for the next rung that has a plan, and makes it the intent's: 1. 0: there is none left. What cannot be done here is
 * noted in the intent as tried, with the reason. What would refuse every further rung as well (somebody has the card
 * open, or looks at its screen) is returned as such: the PlanRefusal, above 1, with a sentence. A rung that the options name
 * is the only one to do. shown: the census that the caller was asked over, whom force ends; NULL: there was none. */
int climb_next(const Gpu *g, Intent *intent, const PlanOptions *options, const Holders *shown, char **ret_message);

/* Whether a quirk or the administrator forbids it. */
bool climb_is_forbidden(const Gpu *g, Rung rung);

/* "not possible (…)", "failed (…)": the outcome of a rung, with the sentence that says why. NULL: no memory. */
char *climb_outcome(const char *outcome, const char *reason);

/* "\n  flr: had no effect\n  bus: not possible (…)": a line for each attempt. Newly allocated, "" if there was none. */
char *climb_describe(const Intent *intent);

/* "bridge, suspend-cycle": the rungs that could be climbed here, and are only if somebody names them. Newly allocated, "" if
 * there is none. */
char *climb_list_left(const Gpu *g, const Intent *intent);
