/* SPDX-License-Identifier: GPL-2.0-or-later */

#include "census.h"

#include "util/log.h"

struct CensusWaiter {
        Census *census;
        census_handler_t handler;
        void *userdata;
        LIST_FIELDS(CensusWaiter, waiters);
};

struct Census {
        Census **slot; /* weak */
        ReaderQuery *query;
        sd_event_source *timer;
        LIST_HEAD(CensusWaiter, waiters);
};

CensusWaiter *census_waiter_free(CensusWaiter *w) {
        if (!w)
                return NULL;
        if (w->census)
                LIST_REMOVE(waiters, w->census->waiters, w);
        free(w);
        return NULL;
}

Census *census_free(Census *c) {
        if (!c)
                return NULL;
        if (c->slot)
                *c->slot = NULL;
        while (c->waiters) {
                CensusWaiter *w = c->waiters;

                LIST_REMOVE(waiters, c->waiters, w);
                w->census = NULL;
        }
        reader_query_free(c->query);
        sd_event_source_disable_unref(c->timer);
        free(c);
        return NULL;
}

/* A handler may free other waiters, so the list is looked at afresh each time. */
static void answer_all(Census *c, int error, const Holders *holders) {
        *c->slot = NULL;
        c->slot = NULL;
        while (c->waiters) {
                CensusWaiter *w = c->waiters;

                LIST_REMOVE(waiters, c->waiters, w);
                w->census = NULL;
                w->handler(error, holders, w->userdata);
                free(w);
        }
        census_free(c);
}

static void on_answer(const WorkerAnswer *answer, void *userdata) {
        _cleanup_(holders_freep) Holders *holders = NULL;
        Census *c = ASSERT_PTR(userdata);
        int r = answer->error;

        c->query = NULL;
        if (r >= 0)
                r = holders_read(answer->data, answer->size, &holders);
        if (r < 0)
                log_warning_errno(r, "The census of holders failed (%s): %m", answer->text);
        answer_all(c, r, holders);
}

static int on_timeout(sd_event_source *source, uint64_t usec, void *userdata) {
        log_warning("A census of holders did not end within %u s: a process on this host does not answer /proc.",
                    CENSUS_TIMEOUT_SEC);
        answer_all(userdata, -ETIMEDOUT, NULL);
        return 0;
}

static int census_start(Host *h, Census **slot, char *const *nodes) {
        Step step = { .verb = VERB_CENSUS, .target = (char *) "-", .arguments = (char **) nodes };
        Census *c = calloc(1, sizeof(Census));
        int r;

        if (!c)
                return -ENOMEM;
        r = reader_ask(h->readers, &step, on_answer, c, &c->query);
        if (r >= 0)
                r = sd_event_add_time_relative(h->event, &c->timer, CLOCK_MONOTONIC, CENSUS_TIMEOUT_SEC * 1000000ULL, 0,
                                               on_timeout, c);
        if (r < 0) {
                census_free(c);
                return r;
        }
        c->slot = slot;
        *slot = c;
        return 0;
}

int census_join(Host *h, Census **slot, char *const *nodes, census_handler_t handler, void *userdata, CensusWaiter **ret) {
        CensusWaiter *w;
        int r;

        if (!*slot) {
                r = census_start(h, slot, nodes);
                if (r < 0)
                        return r;
        }
        w = calloc(1, sizeof(CensusWaiter));
        if (!w)
                return -ENOMEM;
        *w = (CensusWaiter) { .census = *slot, .handler = handler, .userdata = userdata };
        LIST_APPEND(waiters, (*slot)->waiters, w);
        *ret = w;
        return 0;
}
