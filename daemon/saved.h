/* SPDX-License-Identifier: GPL-2.0-or-later */
#pragma once

/* saved: values as they were before a job changed them: (subject, key, value), where the subject is a function's
 * address, a node's path or a unit. What an undo writes back comes from here. The first value saved is the one that
 * counts: a job that a restarted daemon repeats must not save what the job itself has written. */

#include "util/words.h"

typedef struct SavedValue {
        char *subject, *key, *value;
} SavedValue;

typedef struct Saved {
        SavedValue *list;
        size_t n;
} Saved;

/* More than any plan needs; a longer file is hostile. */
#define SAVED_MAX 1024U

void saved_done(Saved *s);

const char *saved_get(const Saved *s, const char *subject, const char *key);
/* Keeps an existing value. */
int saved_add(Saved *s, const char *subject, const char *key, const char *value);
/* Puts it in the place of an existing one. */
int saved_replace(Saved *s, const char *subject, const char *key, const char *value);
int saved_copy(Saved *s, const Saved *from);

/* Lines `saved SUBJECT KEY VALUE`. */
void saved_write(const Saved *s, FILE *f);
/* Takes one such line, already split. -EBADMSG if it is of another form. */
int saved_read_line(Saved *s, char *const *words);
