/* SPDX-License-Identifier: GPL-2.0-or-later */

/* page: all about one thing, a label and a value in each line. What would say nothing is left out. Does not know what any
 * value means. */

#include "client/page.h"

#include <stdarg.h>

#include "client/wrap.h"

#define LABEL_WIDTH ((int) PAGE_INDENT - 2)

void page_bullet(Color color) {
        (void) printf("%s%s%s ", color_begin(stdout, color), glyph_or("●", "*"), color_end(stdout, color));
}

void page_label(const char *label) {
        (void) printf("%*s%s ", LABEL_WIDTH, label, *label ? ":" : " ");
}

void page_value(Color color, size_t begun, const char *text) {
        TextShape shape = {
                .columns = terminal_columns(),
                .begun = PAGE_INDENT + begun,
                .indent = PAGE_INDENT,
                .color = color,
        };

        text_print(stdout, &shape, text);
}

void page_field(const char *label, Color color, const char *text) {
        if (isempty(text))
                return;
        page_label(label);
        page_value(color, 0, text);
}

void page_fieldf(const char *label, const char *format, ...) {
        _cleanup_free_ char *text = NULL;
        va_list ap;

        va_start(ap, format);
        if (vasprintf(&text, format, ap) < 0)
                text = NULL;
        va_end(ap);
        page_field(label, COLOR_NONE, text);
}

void page_list(const char *label, Color color, json_object *list) {
        for (size_t i = 0; list && i < json_object_array_length(list); i++)
                page_field(i == 0 ? label : "", color, json_object_get_string(json_object_array_get_idx(list, i)));
}

void page_dict(const char *label, json_object *dict) {
        _cleanup_free_ char *text = strdup("");

        if (!dict)
                return;
        json_object_object_foreach(dict, key, value) {
                _cleanup_free_ char *longer = NULL;

                if (!text || asprintf(&longer, "%s%s%s=%s", text, *text ? ", " : "", key,
                                      json_object_get_string(value)) < 0) {
                        longer = NULL;
                        return;
                }
                free(text);
                text = TAKE_PTR(longer);
        }
        page_field(label, COLOR_NONE, text);
}
