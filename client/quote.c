/* SPDX-License-Identifier: GPL-2.0-or-later */

/* quote: text that others will parse: a shell, XML, QEMU. Does not know what it means; control characters have been
 * refused before (text_is_clean()), but for comments, where they are replaced here. */

#include "client/quote.h"

#include "util/cleanup.h"

/* ASCII in every locale, unlike isalnum(). */
static bool is_alnum(char c) {
        return (c >= '0' && c <= '9') || (c >= 'A' && c <= 'Z') || (c >= 'a' && c <= 'z');
}

/* What stands for a character; NULL: itself. */
typedef const char *(*Replace)(char c);

static char *replace_all(const char *s, Replace replace) {
        size_t size = 1;
        char *text, *t;

        for (const char *p = s; *p; p++)
                size += replace(*p) ? strlen(replace(*p)) : 1;
        text = t = malloc(size);
        if (!text)
                return NULL;

        for (; *s; s++)
                if (replace(*s))
                        t = stpcpy(t, replace(*s));
                else
                        *t++ = *s;
        *t = '\0';
        return text;
}

static const char *in_single_quotes(char c) {
        return c == '\'' ? "'\\''" : NULL;
}

static bool shell_needs_quotes(const char *s) {
        for (const char *p = s; *p; p++)
                if (!is_alnum(*p) && !strchr("_@%+=:,./-", *p))
                        return true;
        return !*s;
}

char *quote_shell(const char *s) {
        _cleanup_free_ char *inner = NULL;
        char *text;

        if (!shell_needs_quotes(s))
                return strdup(s);
        inner = replace_all(s, in_single_quotes);
        return !inner || asprintf(&text, "'%s'", inner) < 0 ? NULL : text;
}

char *quote_shell_words(char *const *words) {
        _cleanup_free_ char *line = strdup("");

        for (; line && *words; words++) {
                _cleanup_free_ char *word = quote_shell(*words);
                char *longer;

                if (!word || asprintf(&longer, "%s%s%s", line, *line ? " " : "", word) < 0)
                        return NULL;
                free(line);
                line = longer;
        }
        return TAKE_PTR(line);
}

static const char *entity(char c) {
        switch (c) {
        case '&':
                return "&amp;";
        case '<':
                return "&lt;";
        case '>':
                return "&gt;";
        case '\'':
                return "&apos;";
        case '"':
                return "&quot;";
        default:
                return NULL;
        }
}

char *quote_xml(const char *s) {
        return replace_all(s, entity);
}

static const char *two_commas(char c) {
        return c == ',' ? ",," : NULL;
}

char *quote_qemu(const char *s) {
        return replace_all(s, two_commas);
}

char *quote_comment(const char *s) {
        char *text = strdup(s);

        for (char *p = text; p && *p; p++)
                if ((!is_alnum(*p) && !strchr(" ._()[]+:,/-", *p)) || (*p == '-' && p > text && p[-1] == '-'))
                        *p = '?';
        return text;
}
