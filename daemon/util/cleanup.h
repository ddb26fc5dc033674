/* SPDX-License-Identifier: GPL-2.0-or-later */
#pragma once

/* cleanup: scope-bound ownership for C, and the few macros that every file needs. */

#include <assert.h>
#include <dirent.h>
#include <errno.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#define _cleanup_(f) __attribute__((cleanup(f)))
#define _unused_ __attribute__((unused))
#define _printf_(a, b) __attribute__((format(printf, a, b)))
#define _sentinel_ __attribute__((sentinel))
#define _const_ __attribute__((const))

/* Defines the cleanup function `<func>p`, which frees what the variable points to. */
#define DEFINE_CLEANUP(type, func)                 \
        static inline void func##p(type *p) {      \
                if (*p)                            \
                        (void) func(*p);           \
        }                                          \
        struct __useless_struct_to_allow_semicolon__

/* Takes the value out of a variable and leaves NULL (or -EBADF): the move of ownership, visible at its place. */
#define TAKE_PTR(ptr)                              \
        ({                                         \
                typeof(ptr) *_pptr_ = &(ptr);      \
                typeof(ptr) _p_ = *_pptr_;         \
                *_pptr_ = NULL;                    \
                _p_;                               \
        })
#define TAKE_FD(fd)                                \
        ({                                         \
                int *_pfd_ = &(fd);                \
                int _fd_ = *_pfd_;                 \
                *_pfd_ = -EBADF;                   \
                _fd_;                              \
        })

#define ASSERT_PTR(p)                              \
        ({                                         \
                typeof(p) _ap_ = (p);              \
                assert(_ap_);                      \
                _ap_;                              \
        })

#define ELEMENTSOF(x) (sizeof(x) / sizeof((x)[0]))
/* GLib, which the tests use, has the same two. */
#ifndef MIN
#define MIN(a, b) ({ typeof(a) _a_ = (a); typeof(b) _b_ = (b); _a_ < _b_ ? _a_ : _b_; })
#define MAX(a, b) ({ typeof(a) _a_ = (a); typeof(b) _b_ = (b); _a_ > _b_ ? _a_ : _b_; })
#endif
#define STRLEN(literal) (sizeof("" literal "") - 1)

/* The negative errno of a call that returned -1, or what it returned. */
#define RET_NERRNO(expr)                           \
        ({                                         \
                typeof(expr) _r_ = (expr);         \
                _r_ < 0 ? -errno : _r_;            \
        })

static inline bool streq(const char *a, const char *b) {
        return strcmp(a, b) == 0;
}

static inline bool streq_ptr(const char *a, const char *b) {
        return a && b ? streq(a, b) : a == b;
}

/* What follows the prefix, or NULL if s does not begin with it. */
static inline const char *startswith(const char *s, const char *prefix) {
        size_t l = strlen(prefix);

        return strncmp(s, prefix, l) == 0 ? s + l : NULL;
}

static inline bool isempty(const char *s) {
        return !s || !*s;
}

static inline const char *strempty(const char *s) {
        return s ?: "";
}

/* The array of strings that a caller frees with strv_free(); NULL-terminated, NULL is the empty one. */
static inline char **strv_free(char **v) {
        for (char **s = v; s && *s; s++)
                free(*s);
        free(v);
        return NULL;
}

static inline size_t strv_length(char *const *v) {
        size_t n = 0;

        while (v && v[n])
                n++;
        return n;
}

static inline bool strv_contains(char *const *v, const char *s) {
        for (; v && *v; v++)
                if (streq(*v, s))
                        return true;
        return false;
}

/* Appends a copy of s; 0 or -ENOMEM. */
static inline int strv_extend(char ***v, const char *s) {
        size_t n = strv_length(*v);
        char **w, *copy;

        copy = strdup(s);
        if (!copy)
                return -ENOMEM;
        w = reallocarray(*v, n + 2, sizeof(char *));
        if (!w) {
                free(copy);
                return -ENOMEM;
        }
        w[n] = copy;
        w[n + 1] = NULL;
        *v = w;
        return 0;
}

/* Replaces an owned string by a copy of another (NULL clears it); 0 or -ENOMEM. */
static inline int free_and_strdup(char **p, const char *s) {
        char *copy = NULL;

        if (s) {
                copy = strdup(s);
                if (!copy)
                        return -ENOMEM;
        }
        free(*p);
        *p = copy;
        return 0;
}

static inline int safe_close(int fd) {
        if (fd >= 0)
                (void) close(fd);
        return -EBADF;
}

static inline void closep(int *fd) {
        (void) safe_close(*fd);
}
static inline void freep(void *p) {
        free(*(void **) p);
}
static inline void fclosep(FILE **f) {
        if (*f)
                (void) fclose(*f);
}
static inline void closedirp(DIR **d) {
        if (*d)
                (void) closedir(*d);
}
static inline void strv_freep(char ***v) {
        (void) strv_free(*v);
}

#define _cleanup_free_ _cleanup_(freep)
#define _cleanup_close_ _cleanup_(closep)
#define _cleanup_fclose_ _cleanup_(fclosep)
#define _cleanup_closedir_ _cleanup_(closedirp)
#define _cleanup_strv_free_ _cleanup_(strv_freep)
