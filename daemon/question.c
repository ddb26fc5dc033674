/* SPDX-License-Identifier: GPL-2.0-or-later */

#include "question.h"

#include "util/log.h"

struct Question {
        question_handler_t handler;
        void *userdata;
        Worker *worker;
        sd_event_source *limit;
};

Question *question_free(Question *q) {
        if (!q)
                return NULL;
        worker_free(q->worker);
        sd_event_source_disable_unref(q->limit);
        free(q);
        return NULL;
}

static void answer(Question *q, int error, const char *data, size_t size) {
        q->handler(error, data, size, q->userdata);
        question_free(q);
}

static void on_worker(const WorkerAnswer *a, void *userdata) {
        if (a->event == WORKER_BEGUN)
                return;
        if (a->error < 0)
                log_debug_errno(a->error, "A worker that was asked something failed (%s): %m", a->text);
        answer(userdata, a->error, a->data, a->size);
}

static int on_limit(sd_event_source *source, uint64_t usec, void *userdata) {
        answer(userdata, -ETIMEDOUT, "", 0);
        return 0;
}

int question_new(Host *h, const Step *step, unsigned limit_sec, question_handler_t handler, void *userdata, Question **ret) {
        _cleanup_(question_freep) Question *q = calloc(1, sizeof(Question));
        int r;

        if (!q)
                return -ENOMEM;
        *q = (Question) { .handler = handler, .userdata = userdata };
        r = host_new_worker(h, 0, NULL, on_worker, q, &q->worker);
        if (r >= 0)
                r = worker_send(q->worker, 0, step);
        if (r >= 0)
                r = sd_event_add_time_relative(h->event, &q->limit, CLOCK_MONOTONIC, limit_sec * 1000000ULL, 0, on_limit, q);
        if (r < 0)
                return r;
        *ret = TAKE_PTR(q);
        return 0;
}
