/* SPDX-License-Identifier: GPL-2.0-or-later */
#pragma once

/* program: runs another program to its end or to a deadline. No shell; what it prints is kept up to a limit. */

#include "util/cleanup.h"

#define PROGRAM_OUTPUT_MAX 65536U

typedef struct ProgramResult {
        int status;   /* exit status, or 128 + signal */
        char *output; /* both its outputs, without NULs; owned */
} ProgramResult;

void program_result_done(ProgramResult *r);

/* argv[0] is a path. -ETIMEDOUT: it was killed, with its process group; -ENOENT and others: it could not be started. */
int program_run(char *const *argv, uint64_t deadline_usec, ProgramResult *ret);
