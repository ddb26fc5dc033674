/* SPDX-License-Identifier: GPL-2.0-or-later */
#pragma once

/* string-table: one table per enum serves D-Bus, command line, journal file and log. An enum `Foo` ends with `_FOO_MAX`
 * and has `_FOO_INVALID = -EINVAL`; the table is `static const char *const foo_table[_FOO_MAX]`. */

#include "util/cleanup.h"

/* Defines `const char *foo_to_string(Foo)` and `Foo foo_from_string(const char *)` from `foo_table`. */
#define DEFINE_STRING_TABLE(name, type)                                                  \
        const char *name##_to_string(type i) {                                           \
                if (i < 0 || (size_t) i >= ELEMENTSOF(name##_table))                     \
                        return NULL;                                                     \
                return name##_table[i];                                                  \
        }                                                                                \
        type name##_from_string(const char *s) {                                         \
                for (size_t i = 0; s && i < ELEMENTSOF(name##_table); i++)               \
                        if (name##_table[i] && streq(name##_table[i], s))                \
                                return (type) i;                                         \
                return (type) -EINVAL;                                                   \
        }                                                                                \
        struct __useless_struct_to_allow_semicolon__

#define DECLARE_STRING_TABLE(name, type)                                                 \
        const char *name##_to_string(type i) _const_;                                    \
        type name##_from_string(const char *s)
