/* SPDX-License-Identifier: GPL-2.0-or-later */
#pragma once

#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>

typedef enum Color {
        COLOR_NONE,
        COLOR_BOLD,
        COLOR_DIM,
        COLOR_RED,
        COLOR_GREEN,
        COLOR_YELLOW,
        COLOR_BLUE,
        COLOR_MAGENTA,
        _COLOR_MAX,
} Color;

/* Decides about colours by SYSTEMD_COLORS, NO_COLOR, TERM and whether the stream is a terminal; for stdout
 * the answer of the first call stays, since a pager may replace it later. */
bool terminal_colors(FILE *f);

/* The escape sequence that begins a colour, or "" where the stream gets none; color_end() for what ends it
 * again. */
const char *color_begin(FILE *f, Color c);
const char *color_end(FILE *f, Color c);
/* The bare sequence, for libsmartcols; NULL for COLOR_NONE. */
const char *color_sequence(Color c);

/* The colour of a GPU's State or Health, and of a finding about its health. */
Color color_of_state(const char *state);
Color color_of_health(const char *health);
Color color_of_severity(const char *severity);

/* Can a line be drawn over on this stream? */
bool terminal_can_redraw(FILE *f);

/* Columns of the terminal behind stdout, or 0 if it is none. Remembered before a pager replaces it. */
unsigned terminal_columns(void);

/* The text in `glyph` if the locale is UTF-8, else the plain one. */
const char *glyph_or(const char *glyph, const char *plain);

/* A copy of s that does no harm to a terminal: control characters, what is not UTF-8 and the characters that
 * turn the direction of writing around become \NNN, in octal (libsmartcols would escape a \xNN again). Names
 * of processes and units are chosen by anybody. NULL only if out of memory. */
char *text_escape(const char *s);

/* Whether there would be nothing to escape where the locale is UTF-8; the locale does not matter. */
bool text_is_clean(const char *s);

/* Local time of microseconds since the epoch, in one of the forms that are shown anywhere. */
typedef enum TimeForm {
        TIME_FULL,                  /* "Sat 2025-03-01 12:00:00 CET" */
        TIME_LOG,                   /* "Mar 01 12:00:00" */
        TIME_CLOCK,                 /* "12:00:00" */
} TimeForm;

#define TIMESTAMP_MAX 64
const char *timestamp_format(char buffer[static TIMESTAMP_MAX], TimeForm form, uint64_t usec);
