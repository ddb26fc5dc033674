/* SPDX-License-Identifier: GPL-2.0-or-later */

#include "surveyor.h"

#include "util/fs.h"
#include "util/log.h"

/* As many as fit a step: words.h. */
#define FUNCTIONS_MAX 400U
#define LIMITS_SIZE 65536U
#define MEMLOCK_KEY "\nMax locked memory "

typedef struct Reading {
        Surveyor *surveyor;
        Worker *worker; /* also when it is late: then its answer is no longer wanted, but it is not started again */
        bool asked;     /* in this round */
        char *problem;
} Reading;

struct SurveyWaiter {
        Surveyor *surveyor;
        survey_handler_t handler;
        void *userdata;
        LIST_FIELDS(SurveyWaiter, waiters);
};

struct Surveyor {
        Host *host; /* weak */
        Reading survey_reading, overrides_reading;
        Survey *survey;
        Saved overrides;
        sd_event_source *timer; /* while a round is under way */
        LIST_HEAD(SurveyWaiter, waiters);
};

int surveyor_new(Host *h, Surveyor **ret) {
        Surveyor *s = calloc(1, sizeof(Surveyor));

        if (!s)
                return -ENOMEM;
        *s = (Surveyor) { .host = h, .survey_reading.surveyor = s, .overrides_reading.surveyor = s };
        *ret = s;
        return 0;
}

static void forget_answers(Surveyor *s) {
        s->survey = survey_free(s->survey);
        saved_done(&s->overrides);
        free(s->survey_reading.problem);
        free(s->overrides_reading.problem);
        s->survey_reading.problem = s->overrides_reading.problem = NULL;
}

Surveyor *surveyor_free(Surveyor *s) {
        if (!s)
                return NULL;
        while (s->waiters) {
                SurveyWaiter *w = s->waiters;

                LIST_REMOVE(waiters, s->waiters, w);
                w->surveyor = NULL;
        }
        worker_free(s->survey_reading.worker);
        worker_free(s->overrides_reading.worker);
        sd_event_source_disable_unref(s->timer);
        forget_answers(s);
        free(s);
        return NULL;
}

SurveyWaiter *survey_waiter_free(SurveyWaiter *w) {
        if (!w)
                return NULL;
        if (w->surveyor)
                LIST_REMOVE(waiters, w->surveyor->waiters, w);
        free(w);
        return NULL;
}

static void set_problem(Reading *r, const char *before, const char *what) {
        free(r->problem);
        if (asprintf(&r->problem, "%s%s", before, what) < 0)
                r->problem = NULL;
}

/* A handler may free other waiters, so the list is looked at afresh each time. */
static void answer_all(Surveyor *s) {
        _cleanup_(survey_freep) Survey *survey = TAKE_PTR(s->survey);
        _cleanup_(saved_done) Saved overrides = s->overrides;
        _cleanup_free_ char *problem = TAKE_PTR(s->survey_reading.problem), *other = TAKE_PTR(s->overrides_reading.problem);
        SurveyResult result = {
                .survey = problem ? NULL : survey,
                .overrides = other ? NULL : &overrides,
                .survey_problem = problem,
                .overrides_problem = other,
        };

        s->overrides = (Saved) {};
        s->timer = sd_event_source_disable_unref(s->timer);
        while (s->waiters) {
                SurveyWaiter *w = s->waiters;

                LIST_REMOVE(waiters, s->waiters, w);
                w->surveyor = NULL;
                w->handler(&result, w->userdata);
                free(w);
        }
}

static int take_overrides(Surveyor *s, const char *text, size_t size) {
        WordsReader reader = { .text = text, .size = size };
        int r;

        for (;;) {
                _cleanup_strv_free_ char **words = NULL;

                r = words_reader_next(&reader, &words);
                if (r <= 0)
                        return r;
                /* The rest of what the verb saves would fill the list for nothing. */
                if (strv_length(words) == 4 && !streq(words[2], "override"))
                        continue;
                r = saved_read_line(&s->overrides, words);
                if (r < 0)
                        return r;
        }
}

static void take_answer(Reading *reading, const WorkerAnswer *answer) {
        Surveyor *s = reading->surveyor;
        int r = answer->error;

        if (r >= 0)
                r = reading == &s->survey_reading ? survey_read(answer->data, answer->size, &s->survey)
                                                  : take_overrides(s, answer->data, answer->size);
        if (r < 0) {
                log_warning_errno(r, "Looking at the host for a check failed (%s): %m", answer->text);
                set_problem(reading, "failed: ", strerror(-r));
        }
        reading->asked = false;
}

static void on_answer(const WorkerAnswer *answer, void *userdata) {
        Reading *reading = ASSERT_PTR(userdata);
        Surveyor *s = reading->surveyor;
        bool wanted;

        if (answer->event == WORKER_BEGUN)
                return;
        wanted = reading->asked;
        if (wanted)
                take_answer(reading, answer);
        /* Frees the answer. */
        reading->worker = worker_free(reading->worker);
        if (wanted && !s->survey_reading.asked && !s->overrides_reading.asked)
                answer_all(s);
}

static void give_up(Reading *reading) {
        char seconds[64];

        if (!reading->asked)
                return;
        reading->asked = false;
        (void) snprintf(seconds, sizeof(seconds), "did not end within %u s", SURVEY_TIMEOUT_SEC);
        set_problem(reading, seconds, "");
}

static int on_timer(sd_event_source *source, uint64_t usec, void *userdata) {
        Surveyor *s = ASSERT_PTR(userdata);

        give_up(&s->survey_reading);
        give_up(&s->overrides_reading);
        answer_all(s);
        return 0;
}

/* What hangs is not asked again: whoever may call Check could fill the host with workers. */
static void ask(Reading *reading, const Step *step) {
        int r;

        if (reading->worker) {
                set_problem(reading, "hangs since an earlier check", "");
                return;
        }
        r = host_new_worker(reading->surveyor->host, 0, NULL, on_answer, reading, &reading->worker);
        if (r >= 0)
                r = worker_send(reading->worker, 0, step);
        reading->asked = r >= 0;
        if (r < 0) {
                reading->worker = worker_free(reading->worker);
                set_problem(reading, "failed: ", strerror(-r));
        }
}

static int begin(Surveyor *s, char *const *functions) {
        _cleanup_strv_free_ char **v = NULL;
        int r = 0;

        for (char *const *f = functions; f && *f && (size_t) (f - functions) < FUNCTIONS_MAX && r >= 0; f++)
                r = strv_extend(&v, *f);
        if (r < 0)
                return r;
        ask(&s->survey_reading, &(Step) { .verb = VERB_SURVEY, .target = (char *) "-", .arguments = v });
        if (v)
                ask(&s->overrides_reading, &(Step) { .verb = VERB_SAVE, .target = v[0], .arguments = v + 1 });
        /* At once where nobody was asked. */
        return sd_event_add_time_relative(s->host->event, &s->timer, CLOCK_MONOTONIC,
                                          s->survey_reading.asked || s->overrides_reading.asked
                                                  ? SURVEY_TIMEOUT_SEC * 1000000ULL : 0,
                                          0, on_timer, s);
}

int surveyor_join(Surveyor *s, char *const *functions, survey_handler_t handler, void *userdata, SurveyWaiter **ret) {
        _cleanup_free_ SurveyWaiter *w = calloc(1, sizeof(SurveyWaiter));
        int r;

        if (!w)
                return -ENOMEM;
        if (!s->timer) {
                forget_answers(s);
                r = begin(s, functions);
                if (r < 0)
                        return r;
        }
        *w = (SurveyWaiter) { .surveyor = s, .handler = handler, .userdata = userdata };
        LIST_APPEND(waiters, s->waiters, w);
        *ret = TAKE_PTR(w);
        return 0;
}

/* "8388608" or "unlimited". */
static bool read_limit(const char **p, uint64_t *ret) {
        char word[24];
        size_t n;

        *p += strspn(*p, " ");
        n = strcspn(*p, " \n");
        if (n == 0 || n >= sizeof(word))
                return false;
        memcpy(word, *p, n);
        word[n] = '\0';
        *p += n;
        if (streq(word, "unlimited")) {
                *ret = UINT64_MAX;
                return true;
        }
        return parse_u64(word, UINT64_MAX, ret) >= 0;
}

int memlock_parse(const char *text, uint64_t *ret_soft, uint64_t *ret_hard) {
        const char *p = strstr(text, MEMLOCK_KEY);

        if (!p)
                return -EBADMSG;
        p += STRLEN(MEMLOCK_KEY);
        return read_limit(&p, ret_soft) && read_limit(&p, ret_hard) ? 0 : -EBADMSG;
}

int process_memlock(uint32_t pid, uint64_t *ret_soft, uint64_t *ret_hard) {
        _cleanup_free_ char *text = NULL;
        char path[32];
        int r;

        (void) snprintf(path, sizeof(path), "/proc/%u/limits", pid);
        r = read_file_at(AT_FDCWD, path, LIMITS_SIZE, &text, NULL);
        return r < 0 ? r : memlock_parse(text, ret_soft, ret_hard);
}
