/* SPDX-License-Identifier: GPL-2.0-or-later */

/* progress: the steps of a job as they run. On a terminal one line that changes, elsewhere a plain line per
 * step. */

#include "client/progress.h"

#include "client/terminal.h"

void progress_init(Progress *p, const Options *o, FILE *out) {
        *p = (Progress) {};

        if (o->quiet)
                return;
        /* With --json stdout is for a program; somebody who watches still sees the progress. */
        p->out = o->json == JSON_OFF ? out : stderr;
        p->redraw = terminal_can_redraw(p->out);
        if (o->json != JSON_OFF && !p->redraw)
                p->out = NULL;
}

void progress_done(Progress *p) {
        progress_clear(p);
        free(p->last);
        *p = (Progress) {};
}

/* What the state adds to the step, and how much it matters. */
static const char *word_of_state(const char *state, Color *ret) {
        *ret = COLOR_YELLOW;
        if (streq(state, "rolling-back"))
                return "undo: ";
        if (streq(state, "waiting"))
                return "waiting: ";
        if (streq(state, "stuck")) {
                *ret = COLOR_RED;
                return "stuck: ";
        }
        *ret = COLOR_NONE;
        return "";
}

void progress_show(Progress *p, const char *title, const char *state, uint32_t step, uint32_t steps,
                   const char *description) {
        _cleanup_free_ char *line = NULL, *escaped = NULL;
        const char *word;
        Color color;

        if (!p->out || steps == 0 || step == 0)
                return;

        escaped = text_escape(description);
        word = word_of_state(state, &color);
        if (!escaped || asprintf(&line, "step %u/%u %s%s%s%s", step, steps, color_begin(p->out, color),
                                 word, color_end(p->out, color), escaped) < 0) {
                line = NULL;
                return;
        }
        if (streq_ptr(line, p->last))
                return;

        /* With autowrap off (DECAWM) a long line ends at the margin, and one carriage return gets back to its
         * begin. */
        if (p->redraw)
                (void) fprintf(p->out, "\r\033[K\033[?7l%s: %s\033[?7h", title, line);
        else
                (void) fprintf(p->out, "%s\n", line);
        (void) fflush(p->out);

        p->drawn = p->redraw;
        free(p->last);
        p->last = TAKE_PTR(line);
}

void progress_clear(Progress *p) {
        if (!p->drawn)
                return;
        (void) fputs("\r\033[K", p->out);
        (void) fflush(p->out);
        p->drawn = false;
        free(p->last);
        p->last = NULL;
}
