/* SPDX-License-Identifier: GPL-2.0-or-later */

/* table-fit: what of a table's texts the terminal has room for. libsmartcols 2.38 cuts and wraps in the middle of a
 * word and does not show that something is missing. Knows nothing of what the texts mean. */

#include "client/table-fit.h"

#include <errno.h>

#include "client/terminal.h"
#include "client/wrap.h"
#include "util/cleanup.h"

/* No column is made narrower than this: a terminal that has not even that much breaks the line. */
#define WIDTH_MIN 5
/* What libsmartcols draws before a cell of a tree that has a parent. */
#define BRANCH_WIDTH 2

typedef struct Fit {
        struct libscols_column *column;
        size_t width;
} Fit;

static char *shorten(const char *s, size_t width) {
        const char *ellipsis = glyph_or("…", "...");
        char *text;

        return asprintf(&text, "%.*s%s", (int) text_fitting_bytes(s, width - text_width(ellipsis)), s, ellipsis) < 0 ? NULL : text;
}

static char *wrap(const char *s, size_t width) {
        char *text = NULL;
        size_t size, n;
        FILE *f = open_memstream(&text, &size);

        if (!f)
                return NULL;
        while (n = text_fitting_words(s, width), s[n]) {
                fprintf(f, "%.*s\n", (int) n, s);
                s += n;
                s += *s == ' ';
        }
        fputs(s, f);
        if (fclose(f) != 0) {
                free(text);
                return NULL;
        }
        return text;
}

static size_t column_width(struct libscols_table *t, struct libscols_column *c, size_t i) {
        size_t width = 0;

        if (!scols_table_is_noheadings(t))
                width = text_width(strempty(scols_cell_get_data(scols_column_get_header(c))));
        for (size_t l = 0; l < scols_table_get_nlines(t); l++) {
                struct libscols_line *line = scols_table_get_line(t, l);
                size_t w = text_width(strempty(scols_cell_get_data(scols_line_get_cell(line, i))));

                if (scols_column_is_tree(c) && scols_line_get_parent(line))
                        w += BRANCH_WIDTH;
                width = w > width ? w : width;
        }
        return width;
}

static bool gives_way(struct libscols_column *c) {
        return scols_column_is_trunc(c) || scols_column_is_wrap(c);
}

/* The widest column that may give way, or NULL. */
static Fit *widest(Fit *fits, size_t n) {
        Fit *found = NULL;

        for (Fit *f = fits; f < fits + n; f++)
                if (gives_way(f->column) && f->width > WIDTH_MIN && (!found || f->width > found->width))
                        found = f;
        return found;
}

static int fit_column(struct libscols_table *t, const Fit *fit, size_t i) {
        int r;

        if (scols_column_is_wrap(fit->column)) {
                r = scols_column_set_wrapfunc(fit->column, scols_wrapnl_chunksize, scols_wrapnl_nextchunk, NULL);
                if (r >= 0)
                        r = scols_column_set_safechars(fit->column, "\n");
                if (r < 0)
                        return r;
        }
        for (size_t l = 0; l < scols_table_get_nlines(t); l++) {
                struct libscols_line *line = scols_table_get_line(t, l);
                const char *data = strempty(scols_cell_get_data(scols_line_get_cell(line, i)));
                char *text;

                if (text_width(data) <= fit->width)
                        continue;
                text = scols_column_is_wrap(fit->column) ? wrap(data, fit->width) : shorten(data, fit->width);
                if (!text)
                        return -ENOMEM;
                r = scols_line_refer_data(line, i, text);
                if (r < 0) {
                        free(text);
                        return r;
                }
        }
        return 0;
}

int table_fit(struct libscols_table *t) {
        size_t n = scols_table_get_ncols(t), room = scols_table_get_termwidth(t), total = n - 1;
        _cleanup_free_ Fit *fits = calloc(n, sizeof(Fit));
        Fit *f;
        int r = 0;

        if (!fits)
                return -ENOMEM;
        for (size_t i = 0; i < n; i++) {
                fits[i].column = scols_table_get_column(t, i);
                fits[i].width = column_width(t, fits[i].column, i);
                total += fits[i].width;
        }
        for (; total > room && (f = widest(fits, n)); total--)
                f->width--;
        for (size_t i = 0; r >= 0 && i < n; i++)
                if (gives_way(fits[i].column))
                        r = fit_column(t, &fits[i], i);
        return r;
}
