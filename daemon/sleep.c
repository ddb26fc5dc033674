/* SPDX-License-Identifier: GPL-2.0-or-later */

#include "sleep.h"

#include <stdarg.h>

#include "dbus/errors.h"
#include "dbus/names.h"
#include "sleep-internal.h"
#include "util/fs.h"
#include "util/log-ids.h"
#include "util/log.h"

/* How long it stays prepared when nobody says that the host is going to sleep. */
#define ORPHAN_USEC (60 * 1000000ULL)

static void sleep_drive(Sleep *s);

/* ---- small things ---- */

Gpu *sleep_gpu_of(const CardWork *c) {
        return manager_find_gpu(c->sleep->m, c->address);
}

const SleepPolicy *sleep_policy_of(const Gpu *g) {
        return config_sleep_policy(g->host->config, g->config);
}

uint64_t sleep_now(const Sleep *s) {
        uint64_t now;

        (void) sd_event_now(s->m->event, CLOCK_MONOTONIC, &now);
        return now;
}

void sleep_log(const Sleep *s, int level, const char *message_id, const char *gpu, const char *format, ...) {
        _cleanup_free_ char *text = NULL;
        char id[16] = "";
        va_list ap;

        va_start(ap, format);
        if (vasprintf(&text, format, ap) < 0)
                text = NULL;
        va_end(ap);
        if (s->job)
                (void) snprintf(id, sizeof(id), "%u", s->job->id);
        (void) log_with(level, 0, message_id,
                        LOG_FIELDS({ GPUPT_FIELD_GPU, isempty(gpu) ? NULL : gpu },
                                   { GPUPT_FIELD_JOB, s->job ? id : NULL },
                                   { GPUPT_FIELD_OPERATION, s->job ? operation_to_string(s->job->operation) : NULL }),
                        "Sleep %u: %s", s->record ? s->record->cycle.id : 0, strempty(text));
}

static int on_poke(sd_event_source *source, void *userdata) {
        sleep_drive(userdata);
        return 0;
}

void sleep_poke(Sleep *s) {
        if (s->poke)
                (void) sd_event_source_set_enabled(s->poke, SD_EVENT_ONESHOT);
}

bool sleep_is_over(const Sleep *s) {
        return !s->record || s->record->phase == SLEEP_OVER;
}

const SleepCycle *sleep_newest_cycle(const Sleep *s) {
        return s->cycles.n > 0 ? s->cycles.list + s->cycles.n - 1 : NULL;
}

bool sleep_is_awaited(const Sleep *s) {
        const SleepCycle *c = sleep_newest_cycle(s);

        return c && c->closed == 0 && c->id > s->begun;
}

int sleep_store(Sleep *s) {
        int r = 0;

        if (sleep_record_has_debts(s->record) || s->record->n_cards > 0)
                r = sleep_archive_store(s->m->host->state_dir, s->record);
        if (r < 0)
                sleep_log(s, LOG_ERR, NULL, NULL, "what is done for it could not be written down: %s", strerror(-r));
        return r;
}

unsigned sleep_next_call(Sleep *s, unsigned n) {
        unsigned first = s->record->calls + 1;

        s->record->calls += n;
        return first;
}

void sleep_describe(Sleep *s, const char *format, ...) {
        char *text;
        va_list ap;
        int k;

        if (!s->job)
                return;
        va_start(ap, format);
        k = vasprintf(&text, format, ap);
        va_end(ap);
        if (k < 0)
                return;
        free(s->job->description);
        s->job->description = text;
        s->m->hooks.job_changed(s->m, &s->job->face);
}

void sleep_count_step(Sleep *s, unsigned done, unsigned all) {
        if (!s->job || (s->job->step == done && s->job->steps == all))
                return;
        s->job->step = done;
        s->job->steps = all;
        s->m->hooks.job_changed(s->m, &s->job->face);
}

void sleep_on_job_ended(Sleep *s) {
        if (!sleep_is_over(s))
                sleep_poke(s);
}

/* ---- who waits ---- */

SleepWaiter *sleep_waiter_free(SleepWaiter *w) {
        if (!w)
                return NULL;
        LIST_REMOVE(waiters, w->sleep->waiters, w);
        free(w);
        return NULL;
}

static int add_waiter(Sleep *s, unsigned cycle, bool finish, sleep_answer_t handler, void *userdata,
                      SleepWaiter **ret) {
        SleepWaiter *w = calloc(1, sizeof(SleepWaiter));

        if (!w)
                return -ENOMEM;
        *w = (SleepWaiter) { .sleep = s, .cycle = cycle, .finish = finish, .handler = handler, .userdata = userdata };
        LIST_APPEND(waiters, s->waiters, w);
        *ret = w;
        sleep_poke(s);
        return 0;
}

static void answer(SleepWaiter *w, const char *error, const char *reason) {
        w->handler(error, reason, w->userdata);
        sleep_waiter_free(w);
}

/* Its cycle is known to be ready, refused, or past. */
static void answer_prepare(Sleep *s, SleepWaiter *w) {
        const SleepRecord *r = s->record;
        const SleepCycle *c = sleep_newest_cycle(s);
        bool pending = c && c->id == w->cycle && s->begun < w->cycle;

        if (pending && c->closed == 0)
                return;
        if (!r || r->cycle.id != w->cycle)
                answer(w, GPUPT_ERROR_CANCELLED, "The sleep was called off.");
        else if (r->phase == SLEEP_PREPARED)
                answer(w, NULL, "");
        else if (r->phase == SLEEP_OVER && r->vetoed)
                answer(w, r->veto_error, r->veto_reason);
        else if (r->phase == SLEEP_OVER || r->phase == SLEEP_RESUMING)
                answer(w, GPUPT_ERROR_CANCELLED, "The sleep was called off.");
}

/* What it has ended is waited for; what it has not ended, being late, is not. */
static void answer_finish(Sleep *s, SleepWaiter *w) {
        bool ends = !sleep_is_over(s) &&
                    (s->record->cycle.id == w->cycle || (w->cycle == 0 && s->record->phase >= SLEEP_UNDOING));

        if (ends)
                return;
        if (w->cycle > 0 && s->record && s->record->cycle.id == w->cycle && !sleep_record_is_whole(s->record))
                answer(w, GPUPT_ERROR_FAILED,
                       "Not everything is as it was before the sleep. See 'gpuptctl sleep report'.");
        else
                answer(w, NULL, "");
}

static void answer_waiters(Sleep *s) {
        if (!s->taken_up)
                return;
        LIST_FOREACH_SAFE(waiters, w, s->waiters)
                if (w->finish)
                        answer_finish(s, w);
                else
                        answer_prepare(s, w);
}

/* ---- phases ---- */

int sleep_show_job(Sleep *s, Operation operation) {
        int r = sleep_job_new(s->record->job, operation, &s->job);

        if (r < 0)
                return r;
        s->m->host_job = &s->job->face;
        s->m->hooks.job_added(s->m, &s->job->face);
        return 0;
}

int sleep_start_job(Sleep *s, Operation operation) {
        int r;

        r = journal_next_id(s->m->host->run_dir, &s->m->host->last_job);
        if (r < 0)
                return r;
        s->record->job = s->m->host->last_job;
        s->record->calls = 0;
        return sleep_show_job(s, operation);
}

static void end_job(Sleep *s, JobResult result, const char *error, const char *message) {
        SleepJob *j = TAKE_PTR(s->job);

        if (!j)
                return;
        j->result = result;
        j->error = error;
        (void) free_and_strdup(&j->message, message);
        s->m->host_job = NULL;
        s->m->hooks.job_removed(s->m, &j->face);
        sleep_job_free(j);
}

void sleep_set_phase(Sleep *s, SleepPhase phase) {
        s->record->phase = phase;
        (void) sleep_store(s);
        sleep_update_asleep(s);
        manager_sleep_changed(s->m);
}

static void begin(Sleep *s, const SleepCycle *c) {
        SleepRecord *record = sleep_record_new();
        int r = record ? 0 : -ENOMEM;

        s->begun = c->id;
        if (r >= 0)
                r = boot_id(record->boot);
        if (r < 0) {
                /* Without a record nothing can be done, and nothing was: the gate is told that it is off. */
                sleep_record_free(record);
                log_error_errno(r, "Nothing can be prepared for the sleep of the host: %m");
                return;
        }
        record->cycle = *c;
        record->began = sleep_clock(CLOCK_REALTIME);
        sleep_start_clocks(record);
        sleep_record_free(s->record);
        s->record = record;
        s->calling_off = false;
        r = sleep_start_job(s, OPERATION_SLEEP);
        if (r >= 0)
                r = sleep_forth_begin(s);
        if (r < 0)
                sleep_veto(s, "", GPUPT_ERROR_FAILED, "It could not be prepared: %s.", strerror(-r));
        manager_sleep_changed(s->m);
        sleep_poke(s);
}

void sleep_veto(Sleep *s, const char *gpu, const char *error, const char *format, ...) {
        _cleanup_free_ char *reason = NULL;
        va_list ap;

        if (s->record->vetoed)
                return;
        va_start(ap, format);
        if (vasprintf(&reason, format, ap) < 0)
                reason = NULL;
        va_end(ap);
        if (sleep_record_veto(s->record, gpu, error, reason ?: "The host must not sleep now.") < 0)
                (void) log_oom();
        sleep_log(s, LOG_ERR, MESSAGE_ID_SLEEP_VETOED, gpu, "the host is not to sleep: %s", strempty(reason));
        s->m->hooks.sleep_vetoed(s->m, gpu, strempty(reason));
}

static int on_orphan(sd_event_source *source, uint64_t usec, void *userdata);

void sleep_watch_orphan(Sleep *s) {
        s->orphan = sd_event_source_disable_unref(s->orphan);
        if (sd_event_add_time_relative(s->m->event, &s->orphan, CLOCK_MONOTONIC, ORPHAN_USEC, 0, on_orphan, s) < 0)
                (void) log_oom();
}

void sleep_ready(Sleep *s) {
        s->record->ready = sleep_clock(CLOCK_REALTIME);
        end_job(s, RESULT_DONE, "", "The host can sleep.");
        sleep_set_phase(s, SLEEP_PREPARED);
        answer_waiters(s);
        if (inhibitor_sleeping(s->m->inhibitor))
                sleep_release_delay(s);
        sleep_update_asleep(s);
        sleep_watch_orphan(s);
}

void sleep_turn_back(Sleep *s) {
        if (s->job)
                s->job->state = JOB_ROLLING_BACK;
        if (s->record->vetoed)
                sleep_describe(s, "take back what was prepared");
        sleep_set_phase(s, SLEEP_UNDOING);
        sleep_back_begin(s);
}

void sleep_resume(Sleep *s) {
        int r;

        s->orphan = sd_event_source_disable_unref(s->orphan);
        s->record->woken = sleep_clock(CLOCK_REALTIME);
        r = sleep_start_job(s, OPERATION_RESUME);
        if (r < 0)
                log_error_errno(r, "The wake of the host has no job of its own, going on: %m");
        sleep_set_phase(s, SLEEP_RESUMING);
        sleep_back_begin(s);
        sleep_poke(s);
}

static void archive(Sleep *s) {
        int r;

        r = sleep_archive_add_report(s->m->host->state_dir, s->record);
        if (r < 0)
                log_warning_errno(r, "The report of the sleep could not be written, ignoring: %m");
        r = sleep_archive_remove(s->m->host->state_dir);
        if (r < 0)
                log_warning_errno(r, "The record of the sleep is still there, ignoring: %m");
}

static void tell_end(Sleep *s, SleepPhase phase) {
        const SleepRecord *r = s->record;
        bool whole = sleep_record_is_whole(r);

        if (!whole)
                sleep_log(s, LOG_ERR, MESSAGE_ID_SLEEP_FAILED, NULL,
                          "not everything is as it was before. See 'gpuptctl sleep report'.");
        if (phase == SLEEP_UNDOING && r->vetoed)
                end_job(s, whole ? RESULT_ROLLED_BACK : RESULT_FAILED, r->veto_error, r->veto_reason);
        else if (phase == SLEEP_UNDOING)
                end_job(s, whole ? RESULT_CANCELLED : RESULT_FAILED, GPUPT_ERROR_CANCELLED,
                        "The sleep was called off.");
        else
                end_job(s, whole ? RESULT_DONE : RESULT_FAILED, whole ? "" : GPUPT_ERROR_FAILED,
                        whole ? "All is as it was before the sleep."
                              : "Not everything is as it was before the sleep. See 'gpuptctl sleep report'.");
}

void sleep_over(Sleep *s) {
        SleepPhase phase = s->record->phase;

        s->record->finished = sleep_clock(CLOCK_REALTIME);
        sleep_back_done(s);
        sleep_forth_done(s);
        /* Who is told that it is over finds the report. */
        s->record->phase = SLEEP_OVER;
        archive(s);
        tell_end(s, phase);
        sleep_update_asleep(s);
        manager_sleep_changed(s->m);
        answer_waiters(s);
        if (inhibitor_sleeping(s->m->inhibitor) && sleep_cycles_is_open(&s->cycles, s->record->cycle.id, DOOR_LOGIND))
                sleep_release_delay(s);
        else
                sleep_hold_delay(s);
        sleep_update_asleep(s);
        sleep_on_gpu_changed(s);
        sleep_poke(s);
}

static void begin_pending(Sleep *s) {
        const SleepCycle *c = sleep_newest_cycle(s);

        if (!s->taken_up || !c || c->closed != 0 || c->id <= s->begun)
                return;
        if (c->id == s->late && !(c->opened & DOOR_GATE))
                return;
        begin(s, c);
}

/* Not before it is known where the last daemon left it: of what that one has begun nothing has been looked at yet. */
static void sleep_drive(Sleep *s) {
        if (!s->taken_up)
                return;
        if (sleep_is_over(s))
                begin_pending(s);
        else if (s->record->phase == SLEEP_PREPARING)
                sleep_forth_drive(s);
        else if (s->record->phase == SLEEP_UNDOING || s->record->phase == SLEEP_RESUMING)
                sleep_back_drive(s);
        answer_waiters(s);
        sleep_update_asleep(s);
}

/* ---- doors ---- */

unsigned sleep_open_door(Sleep *s, SleepDoor door) {
        unsigned id;

        if (sleep_cycles_open(&s->cycles, door, &id) == SLEEP_BEGINS)
                manager_sleep_changed(s->m);
        if (s->record && s->record->cycle.id == id && !(s->record->cycle.opened & door)) {
                s->record->cycle.opened |= door;
                (void) sleep_store(s);
        }
        sleep_update_asleep(s);
        sleep_poke(s);
        return id;
}

/* Without a gate nobody listens to a veto. */
static void notice_overruled(Sleep *s) {
        uint64_t asleep = sleep_measure(s->record);

        if (asleep == 0 || s->record->asleep_usec > 0)
                return;
        s->record->asleep_usec = asleep;
        sleep_log(s, LOG_ERR, MESSAGE_ID_SLEEP_FAILED, s->record->veto_gpu,
                  "the host has slept in spite of the veto, since " GPUPT_UNIT_SLEEP " does not hold it: %s",
                  s->record->veto_reason);
}

/* The first one that closes says that the host has woken, or stays awake. */
unsigned sleep_close_door(Sleep *s, SleepDoor door) {
        bool first;
        unsigned id = sleep_cycles_close(&s->cycles, door, &first);

        if (id > 0 && s->record && s->record->cycle.id == id)
                s->record->cycle.closed |= door;
        if (id > 0 && sleep_is_over(s) && s->record && s->record->cycle.id == id && s->record->vetoed)
                notice_overruled(s);
        if (id > 0 && first && !sleep_is_over(s) && s->record->cycle.id == id) {
                if (s->record->phase == SLEEP_PREPARING) {
                        s->calling_off = true;
                        sleep_log(s, LOG_NOTICE, NULL, NULL, "it was called off before it was prepared.");
                } else if (s->record->phase == SLEEP_PREPARED)
                        sleep_resume(s);
        }
        sleep_update_asleep(s);
        manager_sleep_changed(s->m);
        sleep_poke(s);
        return id;
}

void sleep_on_logind(Sleep *s, bool start) {
        if (!start) {
                sleep_hold_delay(s);
                if (s->taken_up)
                        (void) sleep_close_door(s, DOOR_LOGIND);
                s->early &= ~(unsigned) DOOR_LOGIND;
                (void) manager_rescan(s->m);
                return;
        }
        if (s->taken_up) {
                (void) sleep_open_door(s, DOOR_LOGIND);
                sleep_limit_delay(s);
        } else {
                s->early |= DOOR_LOGIND;
                sleep_release_delay(s);
        }
        sleep_update_asleep(s);
}

static void on_gate_operation(const SleepGateAnswer *a, void *userdata) {
        Sleep *s = ASSERT_PTR(userdata);

        s->gate = NULL;
        if (!s->record || !isempty(s->record->operation))
                return;
        if (free_and_strdup(&s->record->operation, a->operation) < 0)
                (void) log_oom();
        else if (!sleep_is_over(s))
                (void) sleep_store(s);
}

static void take_operation(Sleep *s, const char *operation) {
        if (sleep_is_over(s))
                return;
        if (!isempty(operation))
                (void) free_and_strdup(&s->record->operation, operation);
        else if (isempty(s->record->operation) && !s->gate &&
                 sleep_gate_ask(s->m->bus, on_gate_operation, s, &s->gate) < 0)
                (void) log_oom();
}

int sleep_prepare(Sleep *s, const char *operation, sleep_answer_t handler, void *userdata, SleepWaiter **ret) {
        unsigned id = s->taken_up ? sleep_open_door(s, DOOR_GATE) : 0;
        int r;

        r = add_waiter(s, id, false, handler, userdata, ret);
        if (r < 0)
                return r;
        if (!s->taken_up)
                s->early |= DOOR_GATE;
        sleep_update_asleep(s);
        /* So that the record is there to take the operation. */
        if (sleep_is_over(s))
                begin_pending(s);
        take_operation(s, operation);
        return 0;
}

int sleep_finish(Sleep *s, sleep_answer_t handler, void *userdata, SleepWaiter **ret) {
        if (!s->taken_up) {
                s->early_finish = !(s->early & DOOR_GATE);
                s->early &= ~(unsigned) DOOR_GATE;
        }
        return add_waiter(s, s->taken_up ? sleep_close_door(s, DOOR_GATE) : 0, true, handler, userdata, ret);
}

/* Neither logind nor the gate says that the host is going to sleep: whoever prepared it has forgotten it. */
static void on_gate_of_orphan(const SleepGateAnswer *a, void *userdata) {
        Sleep *s = ASSERT_PTR(userdata);

        s->gate = NULL;
        if (sleep_is_over(s) || s->record->phase != SLEEP_PREPARED)
                return;
        if (a->active || inhibitor_sleeping(s->m->inhibitor)) {
                sleep_watch_orphan(s);
                return;
        }
        sleep_log(s, LOG_WARNING, NULL, NULL,
                  "the host is awake, and nobody says that it will sleep: what was prepared is taken back.");
        sleep_cycles_forget(&s->cycles, s->record->cycle.id);
        sleep_resume(s);
}

static int on_orphan(sd_event_source *source, uint64_t usec, void *userdata) {
        Sleep *s = ASSERT_PTR(userdata);

        s->orphan = sd_event_source_disable_unref(s->orphan);
        if (inhibitor_sleeping(s->m->inhibitor) || s->gate ||
            sleep_gate_ask(s->m->bus, on_gate_of_orphan, s, &s->gate) < 0)
                sleep_watch_orphan(s);
        return 0;
}

/* ---- what others ask ---- */

bool sleep_in_progress(const Sleep *s) {
        const SleepCycle *c = sleep_newest_cycle(s);

        return !sleep_is_over(s) || (c && c->closed == 0) || s->early;
}

bool sleep_refuses_jobs(const Sleep *s) {
        return sleep_in_progress(s) && !(s->record && s->record->phase == SLEEP_RESUMING && s->back >= BACK_VMS);
}

bool sleep_joins_hook(const Sleep *s, const Gpu *g) {
        if (sleep_is_over(s))
                return false;
        for (size_t i = 0; i < s->record->n_vms; i++) {
                const SleepVm *v = s->record->vms + i;

                if (strv_contains(v->gpus, g->address) && v->action != VM_ACTION_NONE &&
                    v->stage != SLEEP_STAGE_PENDING && v->stage != SLEEP_STAGE_RESTORED)
                        return true;
        }
        return false;
}

const SleepRecord *sleep_last(const Sleep *s) {
        return s->record;
}

/* ---- life ---- */

int sleep_new(Manager *m, Sleep **ret) {
        _cleanup_(sleep_freep) Sleep *s = calloc(1, sizeof(Sleep));
        int r;

        if (!s)
                return -ENOMEM;
        s->m = m;
        r = sd_event_add_defer(m->event, &s->poke, on_poke, s);
        if (r >= 0)
                r = sd_event_source_set_enabled(s->poke, SD_EVENT_OFF);
        if (r < 0)
                return r;
        sleep_hold_delay(s);
        *ret = TAKE_PTR(s);
        return 0;
}

Sleep *sleep_free(Sleep *s) {
        if (!s)
                return NULL;
        while (s->waiters)
                sleep_waiter_free(s->waiters);
        sleep_back_done(s);
        sleep_forth_done(s);
        sleep_gate_free(s->gate);
        hook_run_free(s->hook);
        s->m->host_job = NULL;
        sleep_job_free(s->job);
        sleep_record_free(s->record);
        sd_event_source_disable_unref(s->poke);
        sd_event_source_disable_unref(s->delay_limit);
        sd_event_source_disable_unref(s->look_limit);
        sd_event_source_disable_unref(s->orphan);
        sd_event_source_disable_unref(s->lid_timer);
        free(s);
        return NULL;
}
