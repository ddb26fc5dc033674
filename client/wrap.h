/* SPDX-License-Identifier: GPL-2.0-or-later */
#pragma once

#include <stddef.h>
#include <stdio.h>

#include "client/terminal.h"

/* Columns of a terminal that the text takes. */
size_t text_width(const char *s);

/* How many bytes of s fit into the width: all, or as many as a terminal has room for. */
size_t text_fitting_bytes(const char *s, size_t width);

/* As before, but to the end of a word; a word that is wider than that is broken. Never 0 for a text that is not empty. */
size_t text_fitting_words(const char *s, size_t width);

/* Where a text of several lines goes. */
typedef struct TextShape {
        unsigned columns;           /* of the terminal; 0: nothing is broken */
        size_t begun;               /* columns that are taken in the first line */
        size_t indent;              /* blanks before each further line */
        Color color;
} TextShape;

/* Prints the text, escaped, and a newline. Its own lines stay lines; what is indented in one stays so, and what is broken
 * off such a line is set back behind it. */
void text_print(FILE *f, const TextShape *shape, const char *text);
