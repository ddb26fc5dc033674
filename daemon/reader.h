/* SPDX-License-Identifier: GPL-2.0-or-later */
#pragma once

/* reader: questions to worker processes that only read: looks and censuses. A process that has answered is kept for a while
 * for the next question, since starting one costs more than most answers. One that does not answer is left alone with its
 * question, and the next question gets a process of its own: a read that hangs holds up nothing but who asked for it. No
 * step that changes something may be put to a reader. */

#include "worker-client.h"

/* How long a process is kept that has nothing to do. */
#define READER_IDLE_SEC 10U

typedef struct ReaderPool ReaderPool;
typedef struct ReaderQuery ReaderQuery;

/* `program` must stay as long as the pool. */
int reader_pool_new(sd_event *event, const char *program, const char *run_dir, ReaderPool **ret);
/* Nobody may have a question open. */
ReaderPool *reader_pool_free(ReaderPool *p);
DEFINE_CLEANUP(ReaderPool *, reader_pool_free);

/* Starts a process if none is at hand, so that it is there when something is asked. A failure is told by the question. */
void reader_warm(ReaderPool *p);

/* The handler is called once, with WORKER_DONE or WORKER_GONE, from the event loop; the question is freed after it. What the
 * answer points to is valid until the handler returns. */
int reader_ask(ReaderPool *p, const Step *step, worker_handler_t handler, void *userdata, ReaderQuery **ret);
/* Takes it back: the handler is not called any more. */
ReaderQuery *reader_query_free(ReaderQuery *q);
