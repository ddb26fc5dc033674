/* SPDX-License-Identifier: GPL-2.0-or-later */

/* hooks: a look at a directory of /etc, as the configuration is looked for. What is found there is run as root, so nobody but root may have
 * had a hand in it: neither in a file, nor in which files there are. A link is not followed, since whoever may write to a directory that it
 * leads to would be asked as well; that of the directory itself would make hooks of whatever programs are there. */

#include "hooks.h"

#include <fcntl.h>
#include <stdarg.h>
#include <sys/stat.h>

/* What is read of the directory at most. It is root's, so the limit is against mistakes. */
#define ENTRIES_MAX 1024U

typedef struct Finder {
        uid_t owner;
        hooks_warn_t warn;
        void *userdata;
} Finder;

static void warn(const Finder *f, const char *format, ...) _printf_(2, 3);
static void warn(const Finder *f, const char *format, ...) {
        _cleanup_free_ char *message = NULL;
        va_list ap;

        va_start(ap, format);
        if (vasprintf(&message, format, ap) < 0)
                message = NULL;
        va_end(ap);
        if (message && f->warn)
                f->warn(message, f->userdata);
}

/* ---- names ---- */

/* As systemd has it of its own directories (basic/path-util.c hidden_or_backup_file()), more or less. */
static bool is_left_behind(const char *name) {
        static const char *const suffixes[] = { "~", ".bak", ".old", ".new", ".orig", ".swp", ".tmp", ".rpmsave", ".rpmnew", ".rpmorig" };
        size_t n = strlen(name);

        if (name[0] == '.' || strstr(name, ".dpkg-") || strstr(name, ".ucf-"))
                return true;
        for (size_t i = 0; i < ELEMENTSOF(suffixes); i++) {
                size_t k = strlen(suffixes[i]);

                if (n >= k && streq(name + n - k, suffixes[i]))
                        return true;
        }
        return false;
}

/* It becomes a path, a word in a journal, and part of what people read. */
static bool is_clean(const char *name) {
        static const char allowed[] = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789_.-";
        size_t n = strlen(name);

        return n > 0 && n <= HOOK_NAME_MAX && strspn(name, allowed) == n;
}

bool hook_name_valid(const char *name) {
        return is_clean(name) && !is_left_behind(name);
}

/* ---- files ---- */

/* NULL: nobody but the owner can change it. */
static const char *find_stranger(const struct stat *st, uid_t owner) {
        if (st->st_uid != owner)
                return owner == 0 ? "it does not belong to root" : "it belongs to somebody else";
        return st->st_mode & 022 ? "others than its owner may write to it" : NULL;
}

static bool is_switched_off(const struct stat *st) {
        return !S_ISREG(st->st_mode) || (st->st_mode & 0111) == 0;
}

/* A negative errno, or the directory. *ret_reason is set with -EPERM. */
static int open_directory(const char *root, uid_t owner, const char **ret_reason) {
        _cleanup_free_ char *path = NULL;
        _cleanup_close_ int fd = -EBADF;
        struct stat st;

        if (asprintf(&path, "%s" HOOKS_DIRECTORY, root) < 0) {
                path = NULL;
                return -ENOMEM;
        }
        fd = open(path, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
        if (fd < 0 && errno == ENOENT)
                return -ENOENT;
        if (fd < 0 || fstat(fd, &st) < 0) {
                *ret_reason = errno == ENOTDIR || errno == ELOOP ? "it is no directory, or a link to one" : "it cannot be read";
                return -EPERM;
        }
        *ret_reason = find_stranger(&st, owner);
        return *ret_reason ? -EPERM : TAKE_FD(fd);
}

static int add_entry(const Finder *f, int dir_fd, const char *name, char ***names) {
        const char *reason;
        struct stat st;

        if (is_left_behind(name) || fstatat(dir_fd, name, &st, AT_SYMLINK_NOFOLLOW) < 0)
                return 0;
        if (S_ISLNK(st.st_mode)) {
                warn(f, HOOKS_DIRECTORY "/%s is a link, and not run. Put the program itself there.", is_clean(name) ? name : "(a file)");
                return 0;
        }
        /* A README, a directory with what hooks need, or one that is not to be run for now. */
        if (is_switched_off(&st))
                return 0;
        if (!is_clean(name)) {
                warn(f, "A file in " HOOKS_DIRECTORY " is not run: the name of a hook has at most %u of the characters A-Z a-z 0-9 _ . and -.",
                     HOOK_NAME_MAX);
                return 0;
        }
        reason = find_stranger(&st, f->owner);
        if (reason) {
                warn(f, HOOKS_DIRECTORY "/%s is not run as a hook: %s.", name, reason);
                return 0;
        }
        return strv_extend(names, name);
}

static int compare(const void *a, const void *b) {
        return strcmp(*(char *const *) a, *(char *const *) b);
}

int hooks_find(const char *root, uid_t owner, hooks_warn_t warn_function, void *userdata, char ***ret) {
        Finder f = { .owner = owner, .warn = warn_function, .userdata = userdata };
        _cleanup_strv_free_ char **names = NULL;
        _cleanup_closedir_ DIR *dir = NULL;
        const char *reason = NULL;
        unsigned n = 0;
        int fd, r;

        *ret = NULL;
        fd = open_directory(root, owner, &reason);
        if (fd == -EPERM)
                warn(&f, HOOKS_DIRECTORY " is not used: %s.", reason);
        if (fd < 0)
                return fd == -ENOMEM ? fd : 0;
        dir = fdopendir(fd);
        if (!dir) {
                (void) safe_close(fd);
                return -ENOMEM;
        }
        for (struct dirent *e; (e = readdir(dir));) {
                if (++n > ENTRIES_MAX) {
                        warn(&f, "There are more than %u files in " HOOKS_DIRECTORY ", ignoring the rest.", ENTRIES_MAX);
                        break;
                }
                r = add_entry(&f, dirfd(dir), e->d_name, &names);
                if (r < 0)
                        return r;
        }
        if (names)
                qsort(names, strv_length(names), sizeof(char *), compare);
        if (strv_length(names) > HOOKS_MAX) {
                warn(&f, "There are more than %u hooks in " HOOKS_DIRECTORY ": %s and those after it are not run.", HOOKS_MAX, names[HOOKS_MAX]);
                for (size_t i = strv_length(names); i > HOOKS_MAX; i--)
                        names[i - 1] = (free(names[i - 1]), NULL);
        }
        *ret = TAKE_PTR(names);
        return 0;
}

int hooks_check(const char *root, uid_t owner, const char *name, const char **ret_reason) {
        _cleanup_close_ int fd = -EBADF;
        struct stat st;

        if (!hook_name_valid(name)) {
                *ret_reason = "this is no name of a hook";
                return -EPERM;
        }
        fd = open_directory(root, owner, ret_reason);
        if (fd < 0 && fd != -ENOENT)
                return fd;
        if (fd < 0 || fstatat(fd, name, &st, AT_SYMLINK_NOFOLLOW) < 0) {
                *ret_reason = "it is not there any more";
                return -ENOENT;
        }
        *ret_reason = is_switched_off(&st) ? "it is no program any more" : find_stranger(&st, owner);
        return *ret_reason ? -EPERM : 0;
}
