/* SPDX-License-Identifier: GPL-2.0-or-later */

/* table: libsmartcols set up the way all verbs want it. */

#include "client/table.h"

#include "client/table-fit.h"

int table_new(const TableColumn *columns, size_t n, bool legend, struct libscols_table **ret) {
        _cleanup_(scols_unref_tablep) struct libscols_table *t = NULL;
        unsigned width = terminal_columns();

        t = scols_new_table();
        if (!t)
                return -ENOMEM;
        scols_table_enable_noheadings(t, !legend);
        scols_table_enable_colors(t, terminal_colors(stdout));
        /* stdout may be a pager's pipe by now, which libsmartcols would take for a file. */
        if (width > 0) {
                scols_table_set_termforce(t, SCOLS_TERMFORCE_ALWAYS);
                scols_table_set_termwidth(t, width);
        } else
                scols_table_set_termforce(t, SCOLS_TERMFORCE_NEVER);

        for (size_t i = 0; i < n; i++) {
                struct libscols_column *c = scols_table_new_column(t, columns[i].title, 0, columns[i].flags);

                if (!c)
                        return -ENOMEM;
                if (terminal_colors(stdout))
                        (void) scols_cell_set_color(scols_column_get_header(c), color_sequence(COLOR_BOLD));
        }

        *ret = TAKE_PTR(t);
        return 0;
}

int table_add(struct libscols_table *t, struct libscols_line *parent, const char *const *cells,
              struct libscols_line **ret) {
        struct libscols_line *line;
        int r;

        line = scols_table_new_line(t, parent);
        if (!line)
                return -ENOMEM;

        for (size_t i = 0; i < scols_table_get_ncols(t); i++) {
                _cleanup_free_ char *text = text_escape(isempty(cells[i]) ? "-" : cells[i]);

                if (!text)
                        return -ENOMEM;
                r = scols_line_set_data(line, i, text);
                if (r < 0)
                        return r;
        }

        if (ret)
                *ret = line;
        return 0;
}

void table_color(struct libscols_line *line, size_t column, Color color) {
        if (terminal_colors(stdout) && color != COLOR_NONE)
                (void) scols_cell_set_color(scols_line_get_cell(line, column), color_sequence(color));
}

/* A file has all the room that it needs. */
static int fit(struct libscols_table *t) {
        return terminal_columns() > 0 ? table_fit(t) : 0;
}

int table_print_indented(struct libscols_table *t, size_t indent) {
        _cleanup_free_ char *text = NULL;
        char *state = NULL;
        bool first = true;
        int r;

        if (terminal_columns() > indent)
                scols_table_set_termwidth(t, terminal_columns() - indent);
        r = fit(t);
        if (r >= 0)
                r = scols_print_table_to_string(t, &text);
        if (r < 0)
                return r;

        for (char *line = strtok_r(text, "\n", &state); line; line = strtok_r(NULL, "\n", &state)) {
                (void) printf("%*s%s\n", first ? 0 : (int) indent, "", line);
                first = false;
        }
        return 0;
}

int table_print(struct libscols_table *t) {
        int r;

        if (scols_table_is_empty(t))
                return 0;
        r = fit(t);
        return r < 0 ? r : scols_print_table(t);
}
