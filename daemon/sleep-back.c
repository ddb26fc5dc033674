/* SPDX-License-Identifier: GPL-2.0-or-later */

/* sleep-back: the way out of the sleep, and the way back from a sleep that does not come. What is on the bus is
 * looked at first; then every card is made well and brought to where it was; then the VMs, the last one first.
 * What was done may have been undone by somebody else meanwhile, so nothing is taken for granted but what is
 * seen now. A VM whose card is not well is not let loose on it. */

#include "sleep-internal.h"

#include <stdarg.h>

#include "dbus/errors.h"
#include "util/log.h"

#define ASK_AGAIN_USEC 10000000U
#define BEFORE_WAKE_USEC 1000000U

/* ---- begin and end ---- */

void sleep_back_done(Sleep *s) {
        s->back_call = vm_call_free(s->back_call);
        s->back_scan = scan_waiter_free(s->back_scan);
        s->statistics = question_free(s->statistics);
        s->ask_again = sd_event_source_disable_unref(s->ask_again);
        s->patience = 0;
}

static int add_cards(Sleep *s) {
        s->cards = calloc(s->record->n_cards + 1, sizeof(CardWork));
        if (!s->cards)
                return -ENOMEM;
        for (size_t i = 0; i < s->record->n_cards; i++) {
                s->cards[i] =
                        (CardWork){ .sleep = s, .address = strdup(s->record->cards[i].address), .step = CARD_WAITS };
                if (!s->cards[i].address)
                        return -ENOMEM;
                s->n_cards++;
        }
        return 0;
}

void sleep_back_begin(Sleep *s) {
        sleep_forth_done(s);
        sleep_back_done(s);
        s->back = BACK_WAIT;
        s->back_vm = s->record->n_vms;
        if (add_cards(s) < 0)
                (void) log_oom();
        sleep_poke(s);
}

static void on_scanned(void *userdata) {
        Sleep *s = ASSERT_PTR(userdata);

        s->back_scan = NULL;
        s->back = BACK_CARDS;
        sleep_poke(s);
}

static void begin_scan(Sleep *s) {
        s->back = BACK_SCAN;
        if (s->record->n_cards == 0)
                s->back = BACK_VMS;
        else if (host_scan_wait(s->m->host, "", NULL, on_scanned, s, &s->back_scan) < 0)
                s->back = BACK_CARDS;
}

/* ---- cards ---- */

static bool is_with_vfio(const Gpu *g) {
        return g->state == GPU_DETACHED || g->state == GPU_ASSIGNED;
}

static void settle(CardWork *c, const Gpu *g, SleepStage stage, const char *message) {
        SleepCard *card = sleep_record_find_card(c->sleep->record, c->address);

        c->step = CARD_SETTLED;
        card->stage = stage;
        card->after = g ? g->state : GPU_ABSENT;
        (void) free_and_strdup(&card->health, g && g->report ? health_to_string(g->report->health) : "unknown");
        if (message)
                (void) free_and_strdup(&card->message, message);
        if (stage == SLEEP_STAGE_LEFT)
                sleep_log(c->sleep, LOG_ERR, NULL, c->address, "%s is not as it was: %s", c->address,
                          strempty(message));
        (void) sleep_store(c->sleep);
        sleep_poke(c->sleep);
}

static void on_examined(Gpu *g, void *userdata) {
        Sleep *s = ASSERT_PTR(userdata);

        for (size_t i = 0; i < s->n_cards; i++) {
                CardWork *c = s->cards + i;

                if (c->step != CARD_EXAMINED || !streq(c->address, g->address))
                        continue;
                if (g->report && g->report->health == HEALTH_DEAD)
                        settle(c, g, SLEEP_STAGE_LEFT, health_report_worst(g->report));
                else
                        settle(c, g, SLEEP_STAGE_RESTORED, NULL);
        }
}

/* A VM has it open: it can be looked at, and no more. */
static void examine(CardWork *c, Gpu *g) {
        c->step = CARD_EXAMINED;
        if (gpu_examine(g, sleep_now(c->sleep) - BEFORE_WAKE_USEC, on_examined, c->sleep) < 0)
                settle(c, g, SLEEP_STAGE_RESTORED, "It could not be examined.");
}

static int fill_options(const SleepCard *card, Operation operation, PlanOptions *options) {
        int r = 0;

        *options = (PlanOptions) { .phase = PHASE_POST_SLEEP, .disrupt_session = true };
        if (operation == OPERATION_RECOVER)
                return 0;
        options->access = card->access;
        options->uid = card->access_uid;
        for (char **a = card->functions; a && *a && r >= 0; a++)
                r = strv_extend(&options->functions, *a);
        if (r >= 0 && !isempty(card->driver))
                r = free_and_strdup(&options->driver, card->driver);
        if (r >= 0 && operation == OPERATION_PHASE)
                r = free_and_strdup(&options->vm, "the host");
        return r;
}

static void start(CardWork *c, Gpu *g, SleepCard *card, Operation operation) {
        Sleep *s = c->sleep;
        PlanOptions options = {};
        Job *j;
        int r;

        if (sleep_stage_is_owed(card->stage))
                card->stage = SLEEP_STAGE_UNDOING;
        (void) sleep_store(s);
        r = fill_options(card, operation, &options);
        if (r >= 0)
                r = manager_start_job(s->m, g, operation, &options, 0, NULL, NULL, &j);
        plan_options_done(&options);
        if (r < 0) {
                settle(c, g, SLEEP_STAGE_LEFT, strerror(-r));
                return;
        }
        c->job = j->intent->id;
        c->step = CARD_MOVES;
        sleep_describe(s, "bring %s back to where it was", c->address);
        manager_announce_job(s->m, j);
}

/* Where the host's driver carried it through the sleep, that one is to be well before it is taken from it. */
static void begin_card(CardWork *c, Gpu *g) {
        Sleep *s = c->sleep;
        SleepCard *card = sleep_record_find_card(s->record, c->address);
        bool was_with_vfio = card->before == GPU_DETACHED || card->before == GPU_ASSIGNED;

        /* What has not changed since needs no look. */
        if (!was_with_vfio ||
            (s->record->phase == SLEEP_UNDOING && !sleep_stage_is_owed(card->stage) && g && g->state == card->before))
                settle(c, g, SLEEP_STAGE_RESTORED, NULL);
        else if (!g)
                settle(c, NULL, SLEEP_STAGE_LEFT, "It is not there any more.");
        else if (g->identity && !isempty(card->identity) && !streq(g->identity, card->identity))
                settle(c, g, SLEEP_STAGE_LEFT, "Another card is at its address now, so nothing was done with it.");
        else if (g->job)
                return; /* somebody's, or one that was taken up; it ends */
        else if (g->stuck_job || g->inconsistent)
                settle(c, g, SLEEP_STAGE_LEFT, g->stuck ?: g->inconsistency);
        else if (g->state == GPU_ASSIGNED)
                examine(c, g);
        else if (card->action == GPU_SLEEP_HOST && !is_with_vfio(g))
                start(c, g, card,
                      s->record->phase == SLEEP_RESUMING && c->rounds == 0 ? OPERATION_RECOVER : OPERATION_DETACH);
        else
                start(c, g, card, OPERATION_PHASE);
}

static void end_job_on(CardWork *c, Gpu *g) {
        bool known = g && g->last_job.id == c->job, done = known && g->last_job.result == RESULT_DONE;
        const char *message =
                known && !isempty(g->last_job.message) ? g->last_job.message : "What brings it back has failed.";

        if (g && g->job)
                return;
        c->rounds++;
        if (done && g->last_job.operation == OPERATION_RECOVER)
                c->step = CARD_WAITS;
        else if (done && is_with_vfio(g))
                settle(c, g, SLEEP_STAGE_RESTORED, "");
        else
                settle(c, g, SLEEP_STAGE_LEFT, message);
}

static bool bring_cards(Sleep *s) {
        bool done = true;

        for (size_t i = 0; i < s->n_cards; i++) {
                CardWork *c = s->cards + i;

                if (c->step == CARD_MOVES)
                        end_job_on(c, sleep_gpu_of(c));
                if (c->step == CARD_WAITS)
                        begin_card(c, sleep_gpu_of(c));
                done = done && c->step == CARD_SETTLED;
        }
        return done;
}

/* ---- VMs ---- */

static SleepVm *current_vm(Sleep *s) {
        return s->record->vms + s->back_vm - 1;
}

static void vm_is_through(Sleep *s, SleepStage stage, const char *format, ...) _printf_(3, 4);
static void vm_is_through(Sleep *s, SleepStage stage, const char *format, ...) {
        SleepVm *v = current_vm(s);
        char *message = NULL;
        va_list ap;

        va_start(ap, format);
        if (vasprintf(&message, format, ap) < 0)
                message = NULL;
        va_end(ap);
        if (message && (*message || stage == SLEEP_STAGE_RESTORED)) {
                free(v->message);
                v->message = message;
        } else
                free(message);
        v->stage = stage;
        if (stage == SLEEP_STAGE_LEFT)
                sleep_log(s, LOG_ERR, NULL, v->gpus ? v->gpus[0] : NULL, "the VM %s is not as it was: %s", v->name,
                          v->message);
        (void) sleep_store(s);
        s->back_vm--;
        sleep_poke(s);
}

static void on_brought_back(const VmAnswer *a, const char *adapter, bool joined, void *userdata) {
        Sleep *s = ASSERT_PTR(userdata);

        s->back_call = NULL;
        if (a->result == VM_DONE)
                vm_is_through(s, SLEEP_STAGE_RESTORED, "%s", "");
        else if (a->result == VM_NOT_SUPPORTED)
                vm_is_through(s, SLEEP_STAGE_LEFT, "It has to be started by hand: %s", a->reason);
        else
                vm_is_through(s, SLEEP_STAGE_LEFT, "It could not be brought back: %s", a->reason);
}

static int ask(Sleep *s, VmVerb verb, unsigned number, unsigned limit_sec, vm_handler_t handler) {
        SleepVm *v = current_vm(s);
        int r;

        r = vm_ask(s->m->bus,
                   &(VmRequest) { .job = s->record->job, .number = number, .adapter = v->adapter, .id = v->id,
                                  .verb = verb, .limit_sec = limit_sec },
                   handler, s, &s->back_call);
        if (r < 0)
                vm_is_through(s, SLEEP_STAGE_LEFT, "Its adapter could not be asked: %s.", strerror(-r));
        return r;
}

static void bring_back(Sleep *s, VmVerb verb) {
        SleepVm *v = current_vm(s);

        /* One that a daemon before has begun is waited for, by the name of its unit. */
        if (v->stage != SLEEP_STAGE_UNDOING)
                v->call = sleep_next_call(s, 1);
        v->stage = SLEEP_STAGE_UNDOING;
        (void) sleep_store(s);
        sleep_describe(s, "%s: %s", v->name, vm_verb_to_string(verb));
        sleep_log(s, LOG_NOTICE, NULL, v->gpus ? v->gpus[0] : NULL, "the VM %s: %s", v->name, vm_verb_to_string(verb));
        (void) ask(s, verb, v->call, 0, on_brought_back);
}

static int on_ask_again(sd_event_source *source, uint64_t usec, void *userdata) {
        Sleep *s = ASSERT_PTR(userdata);

        s->ask_again = sd_event_source_disable_unref(s->ask_again);
        sleep_poke(s);
        return 0;
}

/* Not where the host wants to sleep again: then it is through. */
static bool be_patient(Sleep *s) {
        return sleep_now(s) < s->patience && !sleep_is_awaited(s) &&
               sd_event_add_time_relative(s->m->event, &s->ask_again, CLOCK_MONOTONIC, ASK_AGAIN_USEC, 0, on_ask_again,
                                          s) >= 0;
}

/* What a daemon before has asked for may be on its way still: the unit of that name is waited for. Where there is none any
 * more, the name serves for the question itself. */
static bool is_doing(const Sleep *s, const SleepVm *v) {
        return s->record->phase == SLEEP_UNDOING && v->stage == SLEEP_STAGE_DOING && v->call > 0;
}

static unsigned limit_of(const Sleep *s, const SleepVm *v) {
        const Gpu *g = v->gpus ? manager_find_gpu(s->m, v->gpus[0]) : NULL;

        return g ? MAX(sleep_policy_of(g)->timeout_sec, SLEEP_QUESTION_SEC) : SLEEP_QUESTION_SEC;
}

/* By how it is now: what was asked for may have come late, or not at all, and others may have done something. */
static void on_status(const VmAnswer *a, const char *adapter, bool joined, void *userdata) {
        Sleep *s = ASSERT_PTR(userdata);
        SleepVm *v = current_vm(s);

        s->back_call = NULL;
        if (joined && is_doing(s, v)) {
                v->call = 0;
                sleep_poke(s);
                return;
        }
        if (a->result != VM_DONE && be_patient(s))
                return;
        if (a->result != VM_DONE)
                vm_is_through(s, SLEEP_STAGE_LEFT, "It does not say how it is: %s", a->reason);
        else if (a->state == VM_RUNNING)
                vm_is_through(s, SLEEP_STAGE_RESTORED, "%s", "");
        else if ((a->state == VM_PAUSED && v->action == VM_ACTION_PAUSE) ||
                 (a->state == VM_SUSPENDED && v->action != VM_ACTION_PAUSE) ||
                 (a->state == VM_OFF && vm_action_ends_vm(v->action)))
                bring_back(s, vm_action_undo(v->action));
        else if (a->state == VM_GONE)
                vm_is_through(s, SLEEP_STAGE_LEFT, "There is nothing any more that could be started.");
        else
                vm_is_through(s, SLEEP_STAGE_LEFT, "It is %s, and was left so.", vm_state_to_string(a->state));
}

static void ask_status(Sleep *s) {
        const SleepVm *v = current_vm(s);

        if (is_doing(s, v)) {
                sleep_describe(s, "%s: wait for the end of what was begun (%s)", v->name, vm_action_to_string(v->action));
                (void) ask(s, VM_STATUS, v->call, limit_of(s, v), on_status);
        } else
                (void) ask(s, VM_STATUS, sleep_next_call(s, 1), SLEEP_QUESTION_SEC, on_status);
}

static const SleepCard *sick_card(const Sleep *s, const SleepVm *v) {
        for (char **a = v->gpus; a && *a; a++) {
                const SleepCard *c = sleep_record_find_card(s->record, *a);

                if (c && c->stage == SLEEP_STAGE_LEFT)
                        return c;
        }
        return NULL;
}

static bool bring_vms(Sleep *s) {
        while (s->back_vm > 0 && !s->back_call && !s->ask_again) {
                SleepVm *v = current_vm(s);
                const SleepCard *sick = sick_card(s, v);

                if (!sleep_stage_is_owed(v->stage))
                        s->back_vm--;
                else if (sick)
                        vm_is_through(s, SLEEP_STAGE_LEFT, "It was not let loose on %s, which is not well: %s",
                                      sick->address, sick->message);
                else
                        ask_status(s);
        }
        return s->back_vm == 0;
}

/* ---- all of it ---- */

static void count(Sleep *s) {
        unsigned done = 0, all = 0;

        for (size_t i = 0; i < s->n_cards; i++) {
                bool acts = s->cards[i].job > 0 || s->cards[i].rounds > 0;

                all += acts;
                done += acts && s->cards[i].step == CARD_SETTLED;
        }
        for (size_t i = 0; i < s->record->n_vms; i++) {
                bool acts = s->record->vms[i].action != VM_ACTION_NONE;

                all += acts;
                done += acts && !sleep_stage_is_owed(s->record->vms[i].stage);
        }
        sleep_count_step(s, done, all);
}

void sleep_back_drive(Sleep *s) {
        if (!sleep_hooks_tell(s, SLEEP_TELLING_PRE_RESUME))
                return;
        if (s->back == BACK_WAIT)
                begin_scan(s);
        if (s->back == BACK_CARDS && bring_cards(s))
                s->back = BACK_VMS;
        if (s->back == BACK_VMS && bring_vms(s))
                s->back = BACK_EVIDENCE;
        count(s);
        if (s->back == BACK_EVIDENCE && sleep_hooks_tell(s, SLEEP_TELLING_POST_RESUME) && sleep_evidence_take(s)) {
                s->back = BACK_DONE;
                sleep_over(s);
        }
}
