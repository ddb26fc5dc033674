/* SPDX-License-Identifier: GPL-2.0-or-later */

#include "util/xml.h"

static bool is_blank(char c) {
        return c == ' ' || c == '\t' || c == '\n' || c == '\r';
}

/* The end of a name that begins here: at what XML has between names. Prefixes of namespaces are part of it. */
static const char *skip_name(const char *p, const char *end) {
        while (p < end && !is_blank(*p) && !strchr("<>/='\"&?!", *p))
                p++;
        return p;
}

static const char *skip_blanks(const char *p, const char *end) {
        while (p < end && is_blank(*p))
                p++;
        return p;
}

/* One name="value", quotes of either kind; where it ends, or NULL if it is none. */
static const char *parse_attribute(const char *p, const char *end, const char **ret_name, size_t *ret_name_size,
                                   const char **ret_value, size_t *ret_value_size) {
        const char *name = p, *value, *close;

        p = skip_name(p, end);
        if (p == name)
                return NULL;
        *ret_name = name;
        *ret_name_size = (size_t) (p - name);
        p = skip_blanks(p, end);
        if (p == end || *p != '=')
                return NULL;
        p = skip_blanks(p + 1, end);
        if (p == end || (*p != '\'' && *p != '"'))
                return NULL;
        value = p + 1;
        close = memchr(value, *p, (size_t) (end - value));
        if (!close || memchr(value, '<', (size_t) (close - value)))
                return NULL;
        *ret_value = value;
        *ret_value_size = (size_t) (close - value);
        return close + 1;
}

/* What follows the text, which is looked for from here on. */
static const char *skip_past(const char *p, const char *end, const char *text) {
        const char *found = memmem(p, (size_t) (end - p), text, strlen(text));

        return found ? found + strlen(text) : NULL;
}

static bool begins_with(const XmlReader *r, const char *text) {
        size_t n = strlen(text);

        return (size_t) (r->end - r->position) >= n && memcmp(r->position, text, n) == 0;
}

/* Past comments, CDATA sections, processing instructions. 1: it was one. */
static int skip_other(XmlReader *r) {
        static const struct {
                const char *begin, *end;
        } others[] = { { "<!--", "-->" }, { "<![CDATA[", "]]>" }, { "<?", "?>" } };

        for (size_t i = 0; i < ELEMENTSOF(others); i++)
                if (begins_with(r, others[i].begin)) {
                        const char *p = skip_past(r->position + strlen(others[i].begin), r->end, others[i].end);

                        if (!p)
                                return -EBADMSG;
                        r->position = p;
                        return 1;
                }
        return 0;
}

/* From behind the '<'. */
static int parse_tag(XmlReader *r, XmlTag *ret) {
        const char *p = r->position + 1, *end = r->end, *name, *value;
        size_t name_size, value_size;
        XmlTag t = { .opens = true };

        if (p < end && *p == '/') {
                t.opens = false;
                t.closes = true;
                p++;
        }
        t.name = p;
        p = skip_name(p, end);
        t.name_size = (size_t) (p - t.name);
        if (t.name_size == 0)
                return -EBADMSG;

        t.attributes = p;
        for (;;) {
                const char *next = skip_blanks(p, end);

                if (next == end)
                        return -EBADMSG;
                if (*next == '>' || *next == '/') {
                        t.attributes_size = (size_t) (p - t.attributes);
                        p = next;
                        break;
                }
                /* Two attributes have a blank between them; the end of a tag has none. */
                p = t.opens && next > p ? parse_attribute(next, end, &name, &name_size, &value, &value_size) : NULL;
                if (!p)
                        return -EBADMSG;
        }
        if (*p == '/') {
                if (!t.opens || p + 1 == end || p[1] != '>')
                        return -EBADMSG;
                t.closes = true;
                p++;
        }
        r->position = p + 1;
        *ret = t;
        return 1;
}

void xml_reader_init(XmlReader *r, const char *text, size_t size) {
        *r = (XmlReader) { .position = text, .end = text + size };
}

int xml_reader_next(XmlReader *r, XmlTag *ret) {
        for (;;) {
                int k;

                r->position = memchr(r->position, '<', (size_t) (r->end - r->position)) ?: r->end;
                if (r->position == r->end)
                        return 0;
                k = skip_other(r);
                if (k < 0)
                        return k;
                if (k == 0)
                        return parse_tag(r, ret);
        }
}

bool xml_tag_is(const XmlTag *t, const char *name) {
        return t->name_size == strlen(name) && memcmp(t->name, name, t->name_size) == 0;
}

const char *xml_tag_get(const XmlTag *t, const char *name, size_t *ret_size) {
        const char *p = t->attributes, *end = t->attributes + t->attributes_size, *its_name, *value;
        size_t name_size, n = strlen(name);

        while (p && (p = skip_blanks(p, end)) < end) {
                p = parse_attribute(p, end, &its_name, &name_size, &value, ret_size);
                if (p && name_size == n && memcmp(its_name, name, n) == 0)
                        return value;
        }
        return NULL;
}

bool xml_tag_has(const XmlTag *t, const char *name, const char *value) {
        const char *found;
        size_t size;

        found = xml_tag_get(t, name, &size);
        return found && size == strlen(value) && memcmp(found, value, size) == 0;
}
