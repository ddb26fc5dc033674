/* SPDX-License-Identifier: GPL-2.0-or-later */
#pragma once

/* run: one call of an adapter, and what it answered. */

#include <glib.h>
#include <json-c/json.h>
#include <stdbool.h>

typedef struct Run {
        int status;          /* exit status; -1 if it was ended by a signal */
        char *output;
        json_object *answer; /* the one object that it printed */
} Run;

/* Waits for its end. `environment` may be NULL. Fails the case unless exactly one JSON object in one line was printed. */
Run *run_adapter(const char *adapter, char *const *environment, const char *const *arguments);
void run_free(Run *r);
G_DEFINE_AUTOPTR_CLEANUP_FUNC(Run, run_free)

const char *run_string(const Run *r, const char *key); /* "" if there is none */
bool run_flag(const Run *r, const char *key);
/* Fails the case, with the answer, unless the exit status is as wanted. */
#define assert_run(r, wanted) run_assert((r), (wanted), __FILE__, __LINE__)
void run_assert(const Run *r, int wanted, const char *file, int line);

#define ARGUMENTS(...) ((const char *const[]) { __VA_ARGS__, NULL })
