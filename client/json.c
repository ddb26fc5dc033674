/* SPDX-License-Identifier: GPL-2.0-or-later */

/* json: D-Bus values as json-c objects. All that verbs print goes through this one form, as a table or as JSON, so
 * that the two cannot differ. Does not know what any value means. */

#include "client/json.h"

#include <ctype.h>

char *json_property_name(const char *property) {
        char *name, *t;

        name = t = malloc(2 * strlen(property) + 1);
        if (!name)
                return NULL;
        for (const char *p = property; *p; p++) {
                if (isupper((unsigned char) *p) && p > property && !isupper((unsigned char) p[-1]))
                        *t++ = '-';
                *t++ = (char) tolower((unsigned char) *p);
        }
        *t = '\0';
        return name;
}

static int from_basic(sd_bus_message *m, char type, json_object **ret) {
        union {
                uint8_t y;
                int b;
                int16_t n;
                uint16_t q;
                int32_t i;
                uint32_t u;
                int64_t x;
                uint64_t t;
                double d;
                const char *s;
        } v = {};
        int r;

        r = sd_bus_message_read_basic(m, type, &v);
        if (r < 0)
                return r;

        switch (type) {
        case 'y':
                *ret = json_object_new_int(v.y);
                break;
        case 'b':
                *ret = json_object_new_boolean(v.b);
                break;
        case 'n':
                *ret = json_object_new_int(v.n);
                break;
        case 'q':
                *ret = json_object_new_int(v.q);
                break;
        case 'i':
                *ret = json_object_new_int(v.i);
                break;
        case 'u':
                *ret = json_object_new_int64(v.u);
                break;
        case 'x':
                *ret = json_object_new_int64(v.x);
                break;
        case 't':
                *ret = json_object_new_uint64(v.t);
                break;
        case 'd':
                *ret = json_object_new_double(v.d);
                break;
        case 'h': /* the number of a descriptor means nothing to a reader */
                *ret = NULL;
                return 0;
        default:
                *ret = json_object_new_string(v.s);
                break;
        }
        return *ret ? 0 : -ENOMEM;
}

static int from_array(sd_bus_message *m, json_object **ret) {
        _cleanup_(json_object_putp) json_object *array = NULL;
        json_object *item;
        int r;

        array = json_object_new_array();
        if (!array)
                return -ENOMEM;
        while ((r = json_from_message(m, &item)) > 0)
                if (json_object_array_add(array, item) < 0) {
                        json_object_put(item);
                        return -ENOMEM;
                }
        if (r < 0)
                return r;

        *ret = TAKE_PTR(array);
        return 0;
}

static int from_dict_entry(sd_bus_message *m, bool properties, json_object *dict) {
        _cleanup_(json_object_putp) json_object *key = NULL, *value = NULL;
        _cleanup_free_ char *dashed = NULL;
        const char *name;
        int r;

        r = json_from_message(m, &key);
        if (r < 0)
                return r;
        r = json_from_message(m, &value);
        if (r < 0)
                return r;

        name = json_object_get_string(key);
        if (properties) {
                name = dashed = json_property_name(name);
                if (!dashed)
                        return -ENOMEM;
        }
        if (json_object_object_add(dict, name, value) < 0)
                return -ENOMEM;
        TAKE_PTR(value);
        return 0;
}

/* The message stands inside the array. */
static int from_dict(sd_bus_message *m, const char *contents, bool properties, json_object **ret) {
        _cleanup_(json_object_putp) json_object *dict = NULL;
        char entry[256];
        int r;

        /* The entry's own signature is what stands between its braces. */
        if (snprintf(entry, sizeof(entry), "%.*s", (int) strlen(contents) - 2, contents + 1) >= (int) sizeof(entry))
                return -EBADMSG;

        dict = json_object_new_object();
        if (!dict)
                return -ENOMEM;
        while ((r = sd_bus_message_enter_container(m, 'e', entry)) > 0) {
                r = from_dict_entry(m, properties, dict);
                if (r < 0)
                        return r;
                r = sd_bus_message_exit_container(m);
                if (r < 0)
                        return r;
        }
        if (r < 0)
                return r;

        *ret = TAKE_PTR(dict);
        return 0;
}

int json_from_message(sd_bus_message *m, json_object **ret) {
        _cleanup_(json_object_putp) json_object *value = NULL;
        const char *contents;
        char type;
        int r;

        r = sd_bus_message_peek_type(m, &type, &contents);
        if (r <= 0)
                return r;

        if (!strchr("arv", type)) {
                r = from_basic(m, type, &value);
                if (r < 0)
                        return r;
                *ret = TAKE_PTR(value);
                return 1;
        }

        r = sd_bus_message_enter_container(m, type, contents);
        if (r < 0)
                return r;
        if (type == 'v')
                r = json_from_message(m, &value);
        else if (type == 'a' && *contents == '{')
                r = from_dict(m, contents, /* properties= */ false, &value);
        else
                r = from_array(m, &value);
        if (r < 0)
                return r;
        r = sd_bus_message_exit_container(m);
        if (r < 0)
                return r;

        *ret = TAKE_PTR(value);
        return 1;
}

int json_from_properties(sd_bus_message *m, json_object **ret) {
        _cleanup_(json_object_putp) json_object *value = NULL;
        int r;

        r = sd_bus_message_enter_container(m, 'a', "{sv}");
        if (r < 0)
                return r;
        r = from_dict(m, "{sv}", /* properties= */ true, &value);
        if (r < 0)
                return r;
        r = sd_bus_message_exit_container(m);
        if (r < 0)
                return r;

        *ret = TAKE_PTR(value);
        return 0;
}

static json_object *member(json_object *o, const char *key, json_type type) {
        json_object *value;

        if (!json_object_is_type(o, json_type_object) || !json_object_object_get_ex(o, key, &value))
                return NULL;
        return json_object_is_type(value, type) ? value : NULL;
}

const char *json_string(json_object *o, const char *key) {
        json_object *value = member(o, key, json_type_string);

        return value ? json_object_get_string(value) : "";
}

uint64_t json_number(json_object *o, const char *key) {
        json_object *value = member(o, key, json_type_int);

        return value ? json_object_get_uint64(value) : 0;
}

bool json_truth(json_object *o, const char *key) {
        json_object *value = member(o, key, json_type_boolean);

        return value && json_object_get_boolean(value);
}

json_object *json_array(json_object *o, const char *key) {
        return member(o, key, json_type_array);
}

json_object *json_dict(json_object *o, const char *key) {
        return member(o, key, json_type_object);
}

bool json_has(json_object *o, const char *key) {
        return json_object_is_type(o, json_type_object) && json_object_object_get_ex(o, key, NULL);
}

static const char *scalar_text(json_object *value) {
        if (json_object_is_type(value, json_type_string))
                return json_object_get_string(value);
        return json_object_to_json_string_ext(value, JSON_C_TO_STRING_PLAIN | JSON_C_TO_STRING_NOSLASHESCAPE);
}

char *json_text(json_object *value, const char *separator) {
        _cleanup_free_ char *text = NULL;

        if (!json_object_is_type(value, json_type_array))
                return strdup(strempty(scalar_text(value)));

        text = strdup("");
        for (size_t i = 0; text && i < json_object_array_length(value); i++) {
                _cleanup_free_ char *longer = NULL;

                if (asprintf(&longer, "%s%s%s", text, i > 0 ? separator : "",
                             strempty(scalar_text(json_object_array_get_idx(value, i)))) < 0) {
                        longer = NULL;
                        return NULL;
                }
                free(text);
                text = TAKE_PTR(longer);
        }
        return TAKE_PTR(text);
}

static int compare(json_object *a, json_object *b, const char *key) {
        json_object *x = NULL, *y = NULL;
        int64_t m, n;

        (void) json_object_object_get_ex(a, key, &x);
        (void) json_object_object_get_ex(b, key, &y);
        if (!json_object_is_type(x, json_type_int) || !json_object_is_type(y, json_type_int))
                return strcmp(strempty(json_object_get_string(x)), strempty(json_object_get_string(y)));

        m = json_object_get_int64(x);
        n = json_object_get_int64(y);
        return (m > n) - (m < n);
}

/* Insertion: json_object_array_sort() hands its comparison no context, and a host has a handful of GPUs. The
 * functions of a large host are sorted already when they come, which costs nothing here. */
void json_sort(json_object *array, const char *key) {
        for (size_t i = 1; i < json_object_array_length(array); i++)
                for (size_t j = i; j > 0; j--) {
                        json_object *a = json_object_array_get_idx(array, j - 1),
                                    *b = json_object_array_get_idx(array, j);

                        if (compare(a, b, key) <= 0)
                                break;
                        json_object_get(a);
                        json_object_get(b);
                        (void) json_object_array_put_idx(array, j - 1, b);
                        (void) json_object_array_put_idx(array, j, a);
                }
}

void json_print(json_object *o, JsonMode mode) {
        int flags = JSON_C_TO_STRING_NOSLASHESCAPE;

        flags |= mode == JSON_PRETTY ? JSON_C_TO_STRING_PRETTY | JSON_C_TO_STRING_SPACED : JSON_C_TO_STRING_PLAIN;
        (void) puts(json_object_to_json_string_ext(o, flags));
}
