/* SPDX-License-Identifier: GPL-2.0-or-later */

/* quirks: reading of the hwdb. It owns the open hwdb. The hwdb is root's, but its words end in module names, unit names
 * and paths, so each is checked like any other input; one that does not fit is left out. */

#include "quirks.h"

#include <ctype.h>
#include <systemd/sd-hwdb.h>

#include "rung.h"

#define WORD_LENGTH_MAX 64U
#define WORDS_PER_KEY_MAX 32U
/* "gpuptd:card:" and a modalias of a PCI function, which has some 60 characters. */
#define KEY_SIZE_MAX 256U

typedef enum WordKind {
        WORD_MODULE,
        WORD_UNIT,
        WORD_NODE,
        WORD_RUNG,
} WordKind;

struct QuirkDb {
        sd_hwdb *hwdb; /* NULL: there is none */
};

QuirkDb *quirk_db_free(QuirkDb *db) {
        if (!db)
                return NULL;
        (void) sd_hwdb_unref(db->hwdb);
        free(db);
        return NULL;
}

void quirks_done(Quirks *q) {
        q->unload = strv_free(q->unload);
        q->stop_units = strv_free(q->stop_units);
        q->shared_nodes = strv_free(q->shared_nodes);
        q->forbid_rungs = strv_free(q->forbid_rungs);
        q->allow_rungs = strv_free(q->allow_rungs);
}

int quirk_db_new(QuirkDb **ret) {
        _cleanup_(quirk_db_freep) QuirkDb *db = NULL;
        int r;

        db = calloc(1, sizeof(QuirkDb));
        if (!db)
                return -ENOMEM;
        r = sd_hwdb_new(&db->hwdb);
        if (r == -ENOMEM)
                return r;
        /* Not there, or not readable by this libsystemd: cards work without quirks. */
        if (r < 0)
                db->hwdb = NULL;
        *ret = TAKE_PTR(db);
        return 0;
}

static bool word_valid(const char *word, WordKind kind) {
        size_t n = strlen(word);

        if (n == 0 || n > WORD_LENGTH_MAX)
                return false;
        for (const char *p = word; *p; p++)
                if (!isalnum((unsigned char) *p) && !strchr("_.@:/-", *p))
                        return false;

        switch (kind) {
        case WORD_MODULE:
                return isalnum((unsigned char) word[0]) && !strpbrk(word, "./@:");
        case WORD_UNIT:
                return n > STRLEN(".service") && !strchr(word, '/') &&
                       streq(word + n - STRLEN(".service"), ".service");
        case WORD_RUNG:
                return rung_from_string(word) >= 0;
        case WORD_NODE:
                return n > STRLEN("/dev/") && startswith(word, "/dev/") && !strstr(word, "/.") && !strstr(word, "//");
        }
        return false;
}

/* The list becomes the words of the value: the later record says the last word. */
static int replace_list(char ***list, const char *value, WordKind kind) {
        _cleanup_strv_free_ char **words = NULL;
        int r;

        for (size_t n; value += strspn(value, " \t"), n = strcspn(value, " \t"), n > 0; value += n) {
                _cleanup_free_ char *word = strndup(value, n);

                if (!word)
                        return -ENOMEM;
                if (!word_valid(word, kind) || strv_contains(words, word) || strv_length(words) >= WORDS_PER_KEY_MAX)
                        continue;
                r = strv_extend(&words, word);
                if (r < 0)
                        return r;
        }
        (void) strv_free(*list);
        *list = TAKE_PTR(words);
        return 0;
}

int quirks_set(Quirks *q, const char *key, const char *value) {
        if (streq(key, "GPUPT_UNLOAD"))
                return replace_list(&q->unload, value, WORD_MODULE);
        if (streq(key, "GPUPT_STOP_UNITS"))
                return replace_list(&q->stop_units, value, WORD_UNIT);
        if (streq(key, "GPUPT_SHARED_NODES"))
                return replace_list(&q->shared_nodes, value, WORD_NODE);
        if (streq(key, "GPUPT_FORBID_RUNGS"))
                return replace_list(&q->forbid_rungs, value, WORD_RUNG);
        if (streq(key, "GPUPT_ALLOW_RUNGS"))
                return replace_list(&q->allow_rungs, value, WORD_RUNG);
        return 0;
}

static int lookup(QuirkDb *db, const char *kind, const char *name, Quirks *q) {
        const char *key, *value;
        char modalias[KEY_SIZE_MAX];
        int r;

        if (snprintf(modalias, sizeof(modalias), "gpuptd:%s:%s", kind, name) >= (int) sizeof(modalias))
                return 0;
        SD_HWDB_FOREACH_PROPERTY(db->hwdb, modalias, key, value) {
                r = quirks_set(q, key, value);
                if (r < 0)
                        return r;
        }
        return 0;
}

int quirk_db_lookup(QuirkDb *db, const char *modalias, const char *driver, Quirks *ret) {
        _cleanup_(quirks_done) Quirks q = {};
        int r;

        if (db->hwdb && driver) {
                r = lookup(db, "driver", driver, &q);
                if (r < 0)
                        return r;
        }
        /* A card may differ from what its driver usually needs, so its record comes second. */
        if (db->hwdb && modalias) {
                r = lookup(db, "card", modalias, &q);
                if (r < 0)
                        return r;
        }
        *ret = q;
        q = (Quirks) {};
        return 0;
}

char *quirk_db_describe(QuirkDb *db, uint16_t vendor, uint16_t device) {
        const char *vendor_name, *device_name;
        char modalias[KEY_SIZE_MAX], *text;

        (void) snprintf(modalias, sizeof(modalias), "pci:v%08Xd%08Xsv00000000sd00000000bc00sc00i00", vendor, device);
        if (!db->hwdb || sd_hwdb_get(db->hwdb, modalias, "ID_VENDOR_FROM_DATABASE", &vendor_name) < 0)
                return NULL;
        /* The look-up before owns the string only until the next one. */
        _cleanup_free_ char *kept = strdup(vendor_name);
        if (!kept || sd_hwdb_get(db->hwdb, modalias, "ID_MODEL_FROM_DATABASE", &device_name) < 0)
                return TAKE_PTR(kept);
        return asprintf(&text, "%s %s", kept, device_name) < 0 ? NULL : text;
}
