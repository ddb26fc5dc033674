/* SPDX-License-Identifier: GPL-2.0-or-later */

/* modules: a reader of modules.alias. depmod merges the aliases of every directory into it, updates/ too. It has some
 * ten thousand PCI lines, so each is compared with the literal beginning of its pattern before fnmatch() sees it, and
 * cards of the same kind are matched once. */

#include "worker/modules.h"

#include <fnmatch.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <sys/utsname.h>

#include "util/fs.h"

#define PATTERN_MAX 256
#define GENERIC_VFIO "vfio_pci"
#define VENDOR_SIZE STRLEN("v000010DE")

typedef struct Match {
        char *module;
        unsigned wildcards;
} Match;

/* One kind of card: all functions that have the same modalias. */
typedef struct Kind {
        const char *ids; /* the modalias behind "pci:"; weak */
        char **host;
        Match *vfio;
        size_t n_vfio;
} Kind;

typedef struct Kinds {
        Kind *list; /* sorted by ids */
        size_t n;
} Kinds;

static void kinds_done(Kinds *k) {
        for (size_t i = 0; i < k->n; i++) {
                strv_free(k->list[i].host);
                for (size_t j = 0; j < k->list[i].n_vfio; j++)
                        free(k->list[i].vfio[j].module);
                free(k->list[i].vfio);
        }
        free(k->list);
}

static int compare_kinds(const void *a, const void *b) {
        return strcmp(((const Kind *) a)->ids, ((const Kind *) b)->ids);
}

static int kinds_init(Kinds *k, const Snapshot *s) {
        size_t n = 0;

        k->list = calloc(s->n_functions + 1, sizeof(Kind));
        if (!k->list)
                return -ENOMEM;
        for (size_t i = 0; i < s->n_functions; i++) {
                const char *ids = s->functions[i].modalias ? startswith(s->functions[i].modalias, "pci:") : NULL;

                if (ids)
                        k->list[n++].ids = ids;
        }
        qsort(k->list, n, sizeof(Kind), compare_kinds);
        for (size_t i = 0; i < n; i++)
                if (k->n == 0 || !streq(k->list[k->n - 1].ids, k->list[i].ids))
                        k->list[k->n++].ids = k->list[i].ids;
        return 0;
}

static int add_vfio(Kind *k, const char *pattern, const char *module) {
        Match *bigger;
        char *copy;

        if (streq(module, GENERIC_VFIO))
                return 0;
        bigger = reallocarray(k->vfio, k->n_vfio + 1, sizeof(Match));
        if (!bigger)
                return -ENOMEM;
        k->vfio = bigger;
        copy = strdup(module);
        if (!copy)
                return -ENOMEM;
        bigger[k->n_vfio] = (Match) { .module = copy };
        for (const char *c = pattern; *c; c++)
                if (*c == '*')
                        bigger[k->n_vfio].wildcards++;
        k->n_vfio++;
        return 0;
}

/* The first of the kinds that is not below this beginning: those that have it follow one another. */
static size_t find_beginning(const Kinds *k, const char *text, size_t size) {
        size_t low = 0, high = k->n;

        while (low < high) {
                size_t middle = low + (high - low) / 2;

                if (strncmp(k->list[middle].ids, text, size) < 0)
                        low = middle + 1;
                else
                        high = middle;
        }
        return low;
}

static bool is_literal(const char *text, size_t size) {
        for (size_t i = 0; i < size; i++)
                if (text[i] == '*' || text[i] == '?' || text[i] == '[' || text[i] == '\\')
                        return false;
        return true;
}

static bool begins(const Kinds *k, size_t i, const char *text, size_t size) {
        return i < k->n && strncmp(k->list[i].ids, text, size) == 0;
}

static int match_pattern(Kinds *k, const char *pattern, const char *module, bool vfio) {
        size_t literal = strcspn(pattern, "*?[\\");
        int r;

        for (size_t i = find_beginning(k, pattern, literal); begins(k, i, pattern, literal); i++) {
                Kind *kind = k->list + i;

                if (fnmatch(pattern, kind->ids, 0) != 0)
                        continue;
                if (vfio)
                        r = add_vfio(kind, pattern, module);
                else
                        r = strv_contains(kind->host, module) ? 0 : strv_extend(&kind->host, module);
                if (r < 0)
                        return r;
        }
        return 0;
}

/* "alias pci:v000010DEd*sv*sd*bc03sc00i00* nouveau"; what has another form is none of ours. */
static int match_line(Kinds *k, const char *line, size_t size) {
        char buf[PATTERN_MAX], *pattern, *module;
        const char *vendor;
        bool vfio = false;

        if (size <= STRLEN("alias pci:") || size >= sizeof(buf))
                return 0;
        if (memcmp(line, "alias pci:", STRLEN("alias pci:")) == 0)
                vendor = line + STRLEN("alias pci:");
        else if (size > STRLEN("alias vfio_pci:") && memcmp(line, "alias vfio_pci:", STRLEN("alias vfio_pci:")) == 0) {
                vendor = line + STRLEN("alias vfio_pci:");
                vfio = true;
        } else
                return 0;
        /* Most lines are of vendors that this host has nothing of. */
        if (vendor + VENDOR_SIZE < line + size && is_literal(vendor, VENDOR_SIZE) &&
            !begins(k, find_beginning(k, vendor, VENDOR_SIZE), vendor, VENDOR_SIZE))
                return 0;
        memcpy(buf, line, size);
        buf[size] = '\0';
        pattern = strchr(buf, ':') + 1;
        module = strchr(pattern, ' ');
        if (!module)
                return 0;
        *module++ = '\0';
        return *module ? match_pattern(k, pattern, module, vfio) : 0;
}

static const Kind *find_kind(const Kinds *k, const Function *f) {
        const char *ids = f->modalias ? startswith(f->modalias, "pci:") : NULL;

        if (!ids)
                return NULL;
        return bsearch(&(const Kind) { .ids = ids }, k->list, k->n, sizeof(Kind), compare_kinds);
}

/* The most specific driver first; of equals the one that the file has first. */
static int copy_vfio(const Kind *k, Function *f) {
        for (unsigned wildcards = 0, left = (unsigned) k->n_vfio; left > 0; wildcards++)
                for (size_t i = 0; i < k->n_vfio; i++) {
                        if (k->vfio[i].wildcards != wildcards)
                                continue;
                        left--;
                        if (!strv_contains(f->vfio_modules, k->vfio[i].module) &&
                            strv_extend(&f->vfio_modules, k->vfio[i].module) < 0)
                                return -ENOMEM;
                }
        return strv_extend(&f->vfio_modules, GENERIC_VFIO);
}

int modules_match_text(Snapshot *s, const char *text, size_t size) {
        _cleanup_(kinds_done) Kinds kinds = {};
        const char *end = text + size;
        int r;

        r = kinds_init(&kinds, s);
        if (r < 0 || kinds.n == 0)
                return r;
        for (const char *line = text; line < end;) {
                const char *newline = memchr(line, '\n', (size_t) (end - line)) ?: end;

                r = match_line(&kinds, line, (size_t) (newline - line));
                if (r < 0)
                        return r;
                line = newline + 1;
        }
        for (size_t i = 0; i < s->n_functions; i++) {
                Function *f = s->functions + i;
                const Kind *k = find_kind(&kinds, f);

                if (!k)
                        continue;
                for (char *const *m = k->host; m && *m; m++)
                        if (strv_extend(&f->host_modules, *m) < 0)
                                return -ENOMEM;
                r = copy_vfio(k, f);
                if (r < 0)
                        return r;
        }
        return 0;
}

int modules_match(Snapshot *s) {
        _cleanup_close_ int fd = -EBADF;
        struct utsname kernel;
        char path[128];
        struct stat st;
        void *text;
        int r;

        if (uname(&kernel) < 0)
                return -errno;
        (void) snprintf(path, sizeof(path), "/lib/modules/%s/modules.alias", kernel.release);
        fd = open(path, O_RDONLY | O_CLOEXEC | O_NOCTTY);
        if (fd < 0 || fstat(fd, &st) < 0 || !S_ISREG(st.st_mode) || st.st_size == 0)
                return modules_match_text(s, "", 0);
        text = mmap(NULL, (size_t) st.st_size, PROT_READ, MAP_PRIVATE | MAP_POPULATE, fd, 0);
        if (text == MAP_FAILED)
                return -errno;
        r = modules_match_text(s, text, (size_t) st.st_size);
        (void) munmap(text, (size_t) st.st_size);
        return r;
}
