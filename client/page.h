/* SPDX-License-Identifier: GPL-2.0-or-later */
#pragma once

#include <stddef.h>

#include "client/json.h"
#include "client/terminal.h"
#include "util/cleanup.h"

/* Values begin in this column. */
#define PAGE_INDENT ((size_t) 14)

/* The coloured dot that a page begins with; the rest of the line is the caller's. */
void page_bullet(Color color);

/* "      Label: ", for a value that the caller prints. An empty one stands below the one before. */
void page_label(const char *label);

/* The value and a newline, behind `begun` columns of it that are there already. Broken between words. */
void page_value(Color color, size_t begun, const char *text);

/* A line with a label. Nothing is printed for an empty text. */
void page_field(const char *label, Color color, const char *text);
void page_fieldf(const char *label, const char *format, ...) _printf_(2, 3);

/* An array of strings, a line each. */
void page_list(const char *label, Color color, json_object *list);

/* The members of an object, "a=1, b=2". */
void page_dict(const char *label, json_object *dict);
