/* SPDX-License-Identifier: GPL-2.0-or-later */
#pragma once

/* question: one reading step that a worker of its own does, with a limit. Past it the worker is left alone, and whoever
 * asked is told that no answer came: reading makes nothing stuck. */

#include "host.h"

typedef struct Question Question;

/* error: 0 and the lines, -ETIMEDOUT, or what went wrong. The question is freed after the call. */
typedef void (*question_handler_t)(int error, const char *data, size_t size, void *userdata);

/* The step is not needed after the call. */
int question_new(Host *h, const Step *step, unsigned limit_sec, question_handler_t handler, void *userdata, Question **ret);
/* The handler is not called. */
Question *question_free(Question *q);
DEFINE_CLEANUP(Question *, question_free);
