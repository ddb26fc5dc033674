/* SPDX-License-Identifier: GPL-2.0-or-later */
#pragma once

#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>

#include "client/options.h"
#include "util/cleanup.h"

/* How a job is shown while it runs. */
typedef struct Progress {
        FILE *out;                  /* NULL: nowhere */
        bool redraw;                /* one line, drawn over; else a line for each change */
        bool drawn;                 /* a line stands there that has to go before anything else is printed */
        char *last;                 /* what was shown last; owned */
} Progress;

/* Shows on `out`; with --json only on a terminal behind stderr, with --quiet nowhere. */
void progress_init(Progress *p, const Options *o, FILE *out);
void progress_done(Progress *p);

/* Shows where the job is: `state` as property State of the job, step 0 before the first. */
void progress_show(Progress *p, const char *title, const char *state, uint32_t step, uint32_t steps,
                   const char *description);

/* Takes the progress line away, so that something else can be printed in its place. */
void progress_clear(Progress *p);
