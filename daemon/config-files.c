/* SPDX-License-Identifier: GPL-2.0-or-later */

/* config-files: finds the files of the configuration and reads them in the order in which they count. It owns no
 * settings, and an unreadable file is the same as a missing one, but for a warning. */

#include "config.h"

#include <fcntl.h>
#include <limits.h>
#include <sys/stat.h>

#include "util/fs.h"

/* What is read at most. The files are root's, so the limits are against mistakes. */
#define FILE_SIZE_MAX (64U * 1024U)
#define FILES_MAX 256U

/* A file in an earlier one hides those of the same name in later ones. */
static const char *const directories[] = {
        "/etc/gpuptd", "/run/gpuptd", "/usr/local/lib/gpuptd", "/usr/lib/gpuptd",
};

typedef struct Found {
        char *name;
        size_t directory; /* index in directories */
} Found;

typedef struct FoundList {
        Found *list;
        size_t n;
} FoundList;

typedef struct Loader {
        const char *root;
        config_warn_t warn;
        void *userdata;
        Config *config;
} Loader;

static void found_list_done(FoundList *f) {
        for (size_t i = 0; i < f->n; i++)
                free(f->list[i].name);
        free(f->list);
}

static void warn_file(const Loader *l, const char *path, const char *message) {
        if (l->warn)
                l->warn(path, 0, message, l->userdata);
}

/* Whether the file stands for "no such file here, and none of this name in later directories either". */
static bool is_mask(const struct stat *st) {
        return S_ISCHR(st->st_mode) || (S_ISREG(st->st_mode) && st->st_size == 0);
}

/* *ret is NULL for a mask, and for what cannot be read or is no text (which is warned about). -ENOENT if there is
 * none, also behind a dangling link. */
static int read_text(const Loader *l, const char *path, char **ret) {
        _cleanup_free_ char *real = NULL, *text = NULL;
        struct stat st;
        size_t size;
        int r;

        if (asprintf(&real, "%s%s", l->root, path) < 0) {
                real = NULL;
                return -ENOMEM;
        }
        *ret = NULL;
        if (stat(real, &st) < 0) {
                if (errno == ENOENT || errno == ENOTDIR)
                        return -ENOENT;
                warn_file(l, path, "Cannot look at the file, ignoring it.");
                return 0;
        }
        if (is_mask(&st))
                return 0;

        r = read_file_at(AT_FDCWD, real, FILE_SIZE_MAX, &text, &size);
        if (r == -ENOMEM || r == -ENOENT)
                return r;
        if (r == -EFBIG)
                warn_file(l, path, "The file is larger than 64 KiB, ignoring it.");
        else if (r < 0)
                warn_file(l, path, "Cannot read the file, ignoring it.");
        else if (strlen(text) != size)
                warn_file(l, path, "The file is not a text, ignoring it.");
        else
                *ret = TAKE_PTR(text);
        return 0;
}

static bool has_suffix(const char *name, const char *suffix) {
        size_t n = strlen(name), k = strlen(suffix);

        return name[0] != '.' && n > k && streq(name + n - k, suffix);
}

static int add_found(const Loader *l, FoundList *f, const char *path, const char *name, size_t directory) {
        Found *list;

        for (size_t i = 0; i < f->n; i++)
                if (streq(f->list[i].name, name))
                        return 0;
        if (f->n >= FILES_MAX) {
                warn_file(l, path, "More than 256 files, ignoring the rest.");
                return -E2BIG;
        }
        list = reallocarray(f->list, f->n + 1, sizeof(Found));
        if (!list)
                return -ENOMEM;
        f->list = list;
        list[f->n].name = strdup(name);
        if (!list[f->n].name)
                return -ENOMEM;
        list[f->n++].directory = directory;
        return 0;
}

/* Adds the names that earlier directories do not have. */
static int find_in_directory(const Loader *l, const char *subdirectory, const char *suffix, size_t directory,
                             FoundList *f) {
        _cleanup_closedir_ DIR *d = NULL;
        char path[PATH_MAX];
        int k, r;

        k = snprintf(path, sizeof(path), "%s%s%s", l->root, directories[directory], subdirectory);
        if (k >= (int) sizeof(path))
                return -ENAMETOOLONG;
        d = opendir(path);
        if (!d) {
                if (errno != ENOENT)
                        warn_file(l, path + strlen(l->root), "Cannot list the directory, ignoring it.");
                return 0;
        }
        for (struct dirent *e; (e = readdir(d));) {
                struct stat st;

                if (!has_suffix(e->d_name, suffix))
                        continue;
                /* A dangling link hides nothing. */
                if (fstatat(dirfd(d), e->d_name, &st, 0) < 0)
                        continue;
                r = add_found(l, f, path + strlen(l->root), e->d_name, directory);
                if (r == -E2BIG)
                        break;
                if (r < 0)
                        return r;
        }
        return 0;
}

static int compare_found(const void *a, const void *b) {
        const Found *x = a, *y = b;

        return strcmp(x->name, y->name);
}

static int find_files(const Loader *l, const char *subdirectory, const char *suffix, FoundList *f) {
        int r;

        for (size_t i = 0; i < ELEMENTSOF(directories); i++) {
                r = find_in_directory(l, subdirectory, suffix, i, f);
                if (r < 0)
                        return r;
        }
        if (f->n > 0)
                qsort(f->list, f->n, sizeof(Found), compare_found);
        return 0;
}

static int parse_gpu_file(const Loader *l, const char *path, const char *text) {
        _cleanup_(gpu_config_freep) GpuConfig *g = NULL;
        Config *c = l->config;
        GpuConfig **gpus;
        int r;

        r = config_parse_gpu(path, text, l->warn, l->userdata, &g);
        if (r < 0)
                return r;
        gpu_config_inherit(g, c);
        gpus = reallocarray(c->gpus, c->n_gpus + 1, sizeof(GpuConfig *));
        if (!gpus)
                return -ENOMEM;
        c->gpus = gpus;
        gpus[c->n_gpus++] = TAKE_PTR(g);
        return 0;
}

static int parse_main_file(const Loader *l, const char *path, const char *text) {
        return config_parse_main(l->config, path, text, l->warn, l->userdata);
}

static int parse_found(const Loader *l, const char *subdirectory, const char *suffix,
                       int (*parse)(const Loader *l, const char *path, const char *text)) {
        _cleanup_(found_list_done) FoundList f = {};
        int r;

        r = find_files(l, subdirectory, suffix, &f);
        if (r < 0)
                return r;
        for (size_t i = 0; i < f.n; i++) {
                _cleanup_free_ char *path = NULL, *text = NULL;

                if (asprintf(&path, "%s%s/%s", directories[f.list[i].directory], subdirectory, f.list[i].name) < 0) {
                        path = NULL;
                        return -ENOMEM;
                }
                r = read_text(l, path, &text);
                if (r == -ENOENT)
                        continue;
                if (r < 0)
                        return r;
                if (!text)
                        continue;
                r = parse(l, path, text);
                if (r < 0)
                        return r;
        }
        return 0;
}

/* The first that is there, if only as a mask. */
static int parse_first_main_file(const Loader *l) {
        for (size_t i = 0; i < ELEMENTSOF(directories); i++) {
                _cleanup_free_ char *path = NULL, *text = NULL;
                int r;

                if (asprintf(&path, "%s/gpuptd.conf", directories[i]) < 0) {
                        path = NULL;
                        return -ENOMEM;
                }
                r = read_text(l, path, &text);
                if (r == -ENOENT)
                        continue;
                if (r < 0)
                        return r;
                return text ? parse_main_file(l, path, text) : 0;
        }
        return 0;
}

int config_load(const char *root, config_warn_t warn, void *userdata, Config **ret) {
        _cleanup_(config_freep) Config *c = NULL;
        Loader l = { .root = root, .warn = warn, .userdata = userdata };
        int r;

        l.config = c = config_new();
        if (!c)
                return -ENOMEM;
        r = parse_first_main_file(&l);
        if (r < 0)
                return r;
        r = parse_found(&l, "/gpuptd.conf.d", ".conf", parse_main_file);
        if (r < 0)
                return r;
        /* After gpuptd.conf, of which they inherit. */
        r = parse_found(&l, "", ".gpu", parse_gpu_file);
        if (r < 0)
                return r;
        *ret = TAKE_PTR(c);
        return 0;
}
