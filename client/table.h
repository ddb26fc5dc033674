/* SPDX-License-Identifier: GPL-2.0-or-later */
#pragma once

#include <stdbool.h>
#include <stddef.h>

#include <libsmartcols/libsmartcols.h>

#include "client/terminal.h"
#include "util/cleanup.h"

DEFINE_CLEANUP(struct libscols_table *, scols_unref_table);

typedef struct TableColumn {
        const char *title;
        int flags;                  /* SCOLS_FL_* */
} TableColumn;

/* A table with these columns; titles are shown if `legend`. It is as wide as it needs to be, or fits the
 * terminal, where the columns with SCOLS_FL_TRUNC or SCOLS_FL_WRAP give way (table-fit.h). */
int table_new(const TableColumn *columns, size_t n, bool legend, struct libscols_table **ret);

/* Adds a row below `parent` (NULL for a top one). A cell that is NULL or empty shows "-"; the texts are
 * escaped. *ret belongs to the table and may be NULL if not wanted. */
int table_add(struct libscols_table *t, struct libscols_line *parent, const char *const *cells,
              struct libscols_line **ret);

/* Colours one cell. */
void table_color(struct libscols_line *line, size_t column, Color color);

/* Prints the whole with `indent` blanks before each line but the first, which somebody has begun already. */
int table_print_indented(struct libscols_table *t, size_t indent);
int table_print(struct libscols_table *t);
