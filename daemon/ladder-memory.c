/* SPDX-License-Identifier: GPL-2.0-or-later */

#include "ladder-memory.h"

#include <limits.h>

#include "snapshot.h"
#include "util/fs.h"
#include "util/log.h"
#include "util/words.h"

#define FILE_MAX (64U * 1024U)
/* Kinds of cards that one host has seen. */
#define ENTRIES_MAX 256U

typedef struct Entry {
        char *identity;
        Rung rung;
} Entry;

struct LadderMemory {
        char *path;
        Entry *entries;
        size_t n;
        bool read_only; /* there is a file that is not ours to replace */
};

LadderMemory *ladder_memory_free(LadderMemory *m) {
        if (!m)
                return NULL;
        for (size_t i = 0; i < m->n; i++)
                free(m->entries[i].identity);
        free(m->entries);
        free(m->path);
        free(m);
        return NULL;
}

static Entry *find(const LadderMemory *m, const char *identity) {
        for (size_t i = 0; i < m->n; i++)
                if (streq(m->entries[i].identity, identity))
                        return m->entries + i;
        return NULL;
}

static int add(LadderMemory *m, const char *identity, Rung rung) {
        Entry *entries;
        char *copy;

        if (m->n >= ENTRIES_MAX)
                return -E2BIG;
        entries = reallocarray(m->entries, m->n + 1, sizeof(Entry));
        if (!entries)
                return -ENOMEM;
        m->entries = entries;
        copy = strdup(identity);
        if (!copy)
                return -ENOMEM;
        entries[m->n++] = (Entry) { copy, rung };
        return 0;
}

static int read_line(char *const *words, void *userdata) {
        LadderMemory *m = ASSERT_PTR(userdata);
        Rung rung;

        if (strv_length(words) != 3 || !streq(words[0], "worked") || !function_identity_valid(words[1]) || find(m, words[1]))
                return -EBADMSG;
        rung = rung_from_string(words[2]);
        return rung < 0 ? -EBADMSG : add(m, words[1], rung);
}

int ladder_memory_read(LadderMemory *m, const char *text, size_t size) {
        return words_read_file(text, size, "gpuptd-ladder", read_line, m);
}

static int load(LadderMemory *m) {
        _cleanup_free_ char *text = NULL;
        size_t size;
        int r;

        r = read_file_at(AT_FDCWD, m->path, FILE_MAX, &text, &size);
        if (r == -ENOENT)
                return 0;
        return r < 0 ? r : ladder_memory_read(m, text, size);
}

int ladder_memory_new(const char *state_dir, LadderMemory **ret) {
        _cleanup_(ladder_memory_freep) LadderMemory *m = calloc(1, sizeof(LadderMemory));
        int r;

        if (!m || asprintf(&m->path, "%s/ladder", state_dir) < 0) {
                if (m)
                        m->path = NULL;
                return -ENOMEM;
        }
        r = load(m);
        if (r == -ENOMEM)
                return r;
        if (r < 0) {
                log_warning_errno(r, "%s is not readable, so which reset helped which card is not known, nor remembered: %m",
                                  m->path);
                for (size_t i = 0; i < m->n; i++)
                        free(m->entries[i].identity);
                m->n = 0;
                m->read_only = true;
        }
        *ret = TAKE_PTR(m);
        return 0;
}

Rung ladder_memory_get(const LadderMemory *m, const char *identity) {
        const Entry *e = find(m, identity);

        return e ? e->rung : _RUNG_INVALID;
}

static int store(const LadderMemory *m) {
        _cleanup_free_ char *text = NULL;
        size_t size;
        FILE *f = open_memstream(&text, &size);

        if (!f)
                return -ENOMEM;
        fputs("gpuptd-ladder 1\n", f);
        for (size_t i = 0; i < m->n; i++)
                words_write(f, "worked", m->entries[i].identity, rung_to_string(m->entries[i].rung), NULL);
        fputs("end\n", f);
        if (fclose(f) != 0)
                return -ENOMEM;
        return write_file_atomic(m->path, text, size);
}

int ladder_memory_set(LadderMemory *m, const char *identity, Rung rung) {
        Entry *e = find(m, identity);
        int r;

        if (e && e->rung == rung)
                return 0;
        if (e)
                e->rung = rung;
        else {
                r = add(m, identity, rung);
                if (r < 0)
                        return r;
        }
        return m->read_only ? -EROFS : store(m);
}
