/* SPDX-License-Identifier: GPL-2.0-or-later */

/* wrap: how much of a text fits, and sentences that are broken between words where the terminal ends. Knows nothing of
 * what the texts mean. */

#include "client/wrap.h"

#include <stdlib.h>
#include <string.h>
#include <wchar.h>

#include "util/cleanup.h"

/* Narrower text is not broken: the terminal does that as well. */
#define WIDTH_MIN 20U
/* What is broken off an indented line goes behind its begin. */
#define HANG 2U

/* The columns that the first character takes; *ret is its length in bytes. */
static size_t character_width(const char *s, size_t *ret) {
        mbstate_t state = {};
        wchar_t c;
        size_t n = mbrtowc(&c, s, MB_CUR_MAX, &state);
        int w;

        if (n == (size_t) -1 || n == (size_t) -2 || n == 0) {
                *ret = 1;
                return 1;
        }
        *ret = n;
        w = wcwidth(c);
        return w < 0 ? 1 : (size_t) w;
}

size_t text_width(const char *s) {
        size_t width = 0, n;

        for (; *s; s += n)
                width += character_width(s, &n);
        return width;
}

size_t text_fitting_bytes(const char *s, size_t width) {
        size_t at = 0, n;

        while (s[at]) {
                size_t w = character_width(s + at, &n);

                if (w > width)
                        break;
                width -= w;
                at += n;
        }
        return at;
}

size_t text_fitting_words(const char *s, size_t width) {
        size_t end = text_fitting_bytes(s, width), blank = end, n;

        if (!s[end])
                return end;
        while (blank > 0 && s[blank] != ' ')
                blank--;
        if (blank > 0)
                return blank;
        if (end == 0)
                (void) character_width(s, &n);
        return end > 0 ? end : n;
}

/* One line of the text; the cursor stands in column `at`. */
static void print_line(FILE *f, const TextShape *shape, size_t at, size_t hang, const char *line) {
        size_t n;

        if (shape->columns < hang + WIDTH_MIN || shape->columns < at + WIDTH_MIN) {
                (void) fputs(line, f);
                return;
        }
        while (n = text_fitting_words(line, shape->columns - at), line[n]) {
                (void) fprintf(f, "%.*s\n%*s", (int) n, line, (int) hang, "");
                line += n;
                line += *line == ' ';
                at = hang;
        }
        (void) fputs(line, f);
}

void text_print(FILE *f, const TextShape *shape, const char *text) {
        size_t at = shape->begun;

        (void) fputs(color_begin(f, shape->color), f);
        for (;;) {
                size_t n = strcspn(text, "\n"), lead = MIN(strspn(text, " "), n);
                _cleanup_free_ char *line = strndup(text + lead, n - lead), *escaped = line ? text_escape(line) : NULL;

                (void) fprintf(f, "%*s", (int) lead, "");
                print_line(f, shape, at + lead, shape->indent + lead + (lead > 0 ? HANG : 0), strempty(escaped));
                if (!text[n])
                        break;
                (void) fprintf(f, "\n%*s", (int) shape->indent, "");
                text += n + 1;
                at = shape->indent;
        }
        (void) fprintf(f, "%s\n", color_end(f, shape->color));
}
