/* SPDX-License-Identifier: GPL-2.0-or-later */

/* reader: at most one process waits for a question at a time; whatever else has been started ends when it has answered. */

#include "reader.h"

#include "util/list.h"
#include "util/log.h"

typedef struct Reader Reader;

/* One process: with a question, or at hand. */
struct Reader {
        ReaderPool *pool;
        Worker *worker;
        ReaderQuery *query;
};

struct ReaderQuery {
        Reader *reader; /* NULL once it is answered */
        worker_handler_t handler;
        void *userdata;
};

struct ReaderPool {
        sd_event *event;
        WorkerSetup setup;
        Reader *idle;
        sd_event_source *idle_end;
        unsigned last_number; /* no two questions have the same, so that no answer is taken for another's */
};

static Reader *reader_free(Reader *r) {
        if (!r)
                return NULL;
        worker_free(r->worker);
        free(r);
        return NULL;
}
DEFINE_CLEANUP(Reader *, reader_free);

static int on_idle_end(sd_event_source *source, uint64_t usec, void *userdata) {
        ReaderPool *p = ASSERT_PTR(userdata);

        p->idle = reader_free(p->idle);
        return 0;
}

static void keep(ReaderPool *p, Reader *r) {
        int k;

        if (p->idle) {
                reader_free(r);
                return;
        }
        if (!p->idle_end)
                k = sd_event_add_time_relative(p->event, &p->idle_end, CLOCK_MONOTONIC, READER_IDLE_SEC * 1000000ULL, 0,
                                               on_idle_end, p);
        else {
                k = sd_event_source_set_time_relative(p->idle_end, READER_IDLE_SEC * 1000000ULL);
                if (k >= 0)
                        k = sd_event_source_set_enabled(p->idle_end, SD_EVENT_ONESHOT);
        }
        if (k < 0)
                reader_free(r);
        else
                p->idle = r;
}

static Reader *take_idle(ReaderPool *p) {
        Reader *r = TAKE_PTR(p->idle);

        if (!r)
                return NULL;
        (void) sd_event_source_set_enabled(p->idle_end, SD_EVENT_OFF);
        /* It may have ended without the event loop having seen that yet, or be out of its mind. */
        return worker_is_quiet(r->worker) ? r : reader_free(r);
}

static void on_worker(const WorkerAnswer *answer, void *userdata) {
        Reader *r = ASSERT_PTR(userdata);
        _cleanup_(reader_freep) Reader *ended = NULL;
        ReaderQuery *q = r->query;

        if (answer->event == WORKER_BEGUN)
                return;
        if (!q) {
                /* The one at hand: it has ended, or says what nobody asked. */
                reader_free(take_idle(r->pool));
                return;
        }
        r->query = NULL;
        q->reader = NULL;
        /* Before the handler, which may ask the next thing. What the answer points to lasts: the buffer is not touched before
         * the event loop reads again. */
        if (answer->event == WORKER_DONE && !r->pool->idle)
                keep(r->pool, r);
        else
                ended = r;
        q->handler(answer, q->userdata);
        free(q);
}

static int reader_new(ReaderPool *p, Reader **ret) {
        _cleanup_(reader_freep) Reader *r = calloc(1, sizeof(Reader));
        int k;

        if (!r)
                return -ENOMEM;
        r->pool = p;
        k = worker_new(p->event, &p->setup, on_worker, r, &r->worker);
        if (k < 0)
                return log_error_errno(k, "Failed to start %s: %m", p->setup.program);
        *ret = TAKE_PTR(r);
        return 0;
}

void reader_warm(ReaderPool *p) {
        Reader *r;

        if (!p->idle && reader_new(p, &r) >= 0)
                keep(p, r);
}

int reader_ask(ReaderPool *p, const Step *step, worker_handler_t handler, void *userdata, ReaderQuery **ret) {
        _cleanup_(reader_freep) Reader *r = take_idle(p);
        ReaderQuery *q;
        int k = 0;

        if (!r)
                k = reader_new(p, &r);
        if (k >= 0)
                k = worker_send(r->worker, ++p->last_number, step);
        if (k < 0)
                return k;
        q = calloc(1, sizeof(ReaderQuery));
        if (!q)
                return -ENOMEM;
        *q = (ReaderQuery) { .reader = r, .handler = handler, .userdata = userdata };
        r->query = q;
        TAKE_PTR(r);
        *ret = q;
        return 0;
}

ReaderQuery *reader_query_free(ReaderQuery *q) {
        if (!q)
                return NULL;
        /* Nobody waits for that process any more; it ends when it has answered. */
        reader_free(q->reader);
        free(q);
        return NULL;
}

int reader_pool_new(sd_event *event, const char *program, const char *run_dir, ReaderPool **ret) {
        ReaderPool *p = calloc(1, sizeof(ReaderPool));

        if (!p)
                return -ENOMEM;
        *p = (ReaderPool) {
                .event = sd_event_ref(event),
                .setup = { .program = program, .run_dir = run_dir },
        };
        *ret = p;
        return 0;
}

ReaderPool *reader_pool_free(ReaderPool *p) {
        if (!p)
                return NULL;
        reader_free(p->idle);
        sd_event_source_disable_unref(p->idle_end);
        sd_event_unref(p->event);
        free(p);
        return NULL;
}
