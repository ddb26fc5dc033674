/* SPDX-License-Identifier: GPL-2.0-or-later */
#pragma once

/* ladder: which rung comes next. Pure: what is known of the card and what was tried in, a rung out. Whether the rung can
 * be climbed on this machine is the plan's to say (plan-rung.c); whether it helped, the probes' (health.h). */

#include "rung.h"

typedef struct LadderInput {
        Rung named;           /* by the caller, and then the only one; _RUNG_INVALID: none */
        char *const *order;   /* Ladder= of the `.gpu` file: these and no others, in this order; NULL: by harm */
        RungSet forbidden;    /* by quirks and Forbid= */
        RungSet allowed;      /* opt-in rungs that a quirk names */
        Rung worked;          /* last time, on a card of this kind: comes first; _RUNG_INVALID: nothing is known */
        bool weak_only;
        RungSet tried;        /* done already, or skipped for a reason */
} LadderInput;

/* 1 and the next rung; 0: there is none left. */
int ladder_next(const LadderInput *in, Rung *ret);
