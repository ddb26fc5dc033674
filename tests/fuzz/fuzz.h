/* SPDX-License-Identifier: GPL-2.0-or-later */
#pragma once

/* fuzz: one entry point per target, as libFuzzer and AFL++ call it. With fuzz-driver.c it is a program that takes files
 * and directories, so that the corpus is an ordinary regression test. */

#include "util/cleanup.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

/* A property that must hold for every input; stays with NDEBUG. */
#define FUZZ_ASSERT(expr)                                                                      \
        do {                                                                                   \
                if (!(expr)) {                                                                 \
                        fprintf(stderr, "%s:%i: not true: %s\n", __FILE__, __LINE__, #expr);   \
                        abort();                                                               \
                }                                                                              \
        } while (false)

/* The input as a string of exactly its size, so that a sanitizer sees what is read behind it. */
static inline char *fuzz_string(const uint8_t *data, size_t size) {
        char *s = malloc(size + 1);

        FUZZ_ASSERT(s);
        if (size > 0)
                memcpy(s, data, size);
        s[size] = '\0';
        return s;
}
