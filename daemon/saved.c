/* SPDX-License-Identifier: GPL-2.0-or-later */

#include "saved.h"

void saved_done(Saved *s) {
        for (size_t i = 0; i < s->n; i++) {
                free(s->list[i].subject);
                free(s->list[i].key);
                free(s->list[i].value);
        }
        free(s->list);
        *s = (Saved) {};
}

const char *saved_get(const Saved *s, const char *subject, const char *key) {
        for (size_t i = 0; i < s->n; i++)
                if (streq(s->list[i].subject, subject) && streq(s->list[i].key, key))
                        return s->list[i].value;
        return NULL;
}

int saved_add(Saved *s, const char *subject, const char *key, const char *value) {
        SavedValue v = {}, *list;

        if (saved_get(s, subject, key))
                return 0;
        if (s->n >= SAVED_MAX)
                return -E2BIG;
        list = reallocarray(s->list, s->n + 1, sizeof(SavedValue));
        if (!list)
                return -ENOMEM;
        s->list = list;

        v = (SavedValue) { strdup(subject), strdup(key), strdup(value) };
        if (!v.subject || !v.key || !v.value) {
                free(v.subject);
                free(v.key);
                free(v.value);
                return -ENOMEM;
        }
        s->list[s->n++] = v;
        return 0;
}

int saved_replace(Saved *s, const char *subject, const char *key, const char *value) {
        for (size_t i = 0; i < s->n; i++)
                if (streq(s->list[i].subject, subject) && streq(s->list[i].key, key))
                        return free_and_strdup(&s->list[i].value, value);
        return saved_add(s, subject, key, value);
}

int saved_copy(Saved *s, const Saved *from) {
        for (size_t i = 0; i < from->n; i++) {
                int r = saved_add(s, from->list[i].subject, from->list[i].key, from->list[i].value);

                if (r < 0)
                        return r;
        }
        return 0;
}

void saved_write(const Saved *s, FILE *f) {
        for (size_t i = 0; i < s->n; i++)
                words_write(f, "saved", s->list[i].subject, s->list[i].key, s->list[i].value, NULL);
}

int saved_read_line(Saved *s, char *const *words) {
        if (strv_length(words) != 4 || !streq(words[0], "saved"))
                return -EBADMSG;
        return saved_add(s, words[1], words[2], words[3]);
}
