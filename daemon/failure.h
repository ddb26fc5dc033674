/* SPDX-License-Identifier: GPL-2.0-or-later */
#pragma once

/* failure: what it means to the caller that a step went wrong: which error of the contract it is, and a sentence that names the
 * device, the cause and the next thing to do. Pure. */

#include "operation.h"
#include "step.h"

/* "TEXT: CAUSE": what an executor said, and the errno's own words; of a program or unit that ended badly (-ECHILD) the text has said it
 * all. Newly allocated, or NULL. */
char *failure_cause(int error, const char *text);

/* The same of a step: of a hook that did not end in its time, or is gone, the text has said it all as well. */
char *failure_cause_of(const Step *step, int error, const char *text);

/* error: the negative errno of the step; text: what its executor said. Returns the D-Bus error name (static); *ret is
 * the sentence, newly allocated (NULL: out of memory). */
const char *failure_describe(Operation operation, const char *gpu, const Step *step, int error, const char *text, char **ret);
