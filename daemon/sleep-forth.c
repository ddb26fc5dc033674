/* SPDX-License-Identifier: GPL-2.0-or-later */

/* sleep-forth: the way into the sleep. First everything is looked at, and every VM asked, without touching
 * anything; then, if nothing speaks against it, hooks are asked, the VMs go to their sleep, and after them the cards that they
 * have let go of. */

#include "sleep-internal.h"

#include "dbus/errors.h"
#include "util/log.h"

/* How long may be looked, and how long a job on a card is waited for, before the host rather stays awake. */
#define LOOK_USEC (60 * 1000000ULL)

/* ---- which cards ---- */

/* It sleeps for this card's sake (reset.7, suspend-cycle), and its job knows what it is doing. */
static bool has_asked_for_it(const Gpu *g) {
        const Job *j = g->job;

        return j && j->stage == STAGE_STEPS && j->intent->begun > 0 && j->intent->begun <= j->intent->plan->n &&
               j->intent->plan->steps[j->intent->begun - 1].verb == VERB_SUSPEND;
}

/* What is plainly the host's own is carried through the sleep by its drivers. */
static bool concerns_us(const Gpu *g) {
        return g->job || g->stuck_job || (g->state != GPU_HOST && g->state != GPU_ABSENT);
}

static int add_card(Sleep *s, Gpu *g) {
        SleepCard *card = sleep_record_find_card(s->record, g->address);
        CardWork *cards;
        char *address;
        int r = 0;

        if (!card) {
                r = sleep_record_add_card(s->record, g->address, strempty(g->identity), &card);
                if (r < 0)
                        return r;
                card->before = g->state;
                card->action = GPU_SLEEP_KEEP;
        }
        cards = reallocarray(s->cards, s->n_cards + 1, sizeof(CardWork));
        if (!cards)
                return -ENOMEM;
        s->cards = cards;
        address = strdup(g->address);
        if (!address)
                return -ENOMEM;
        s->cards[s->n_cards++] = (CardWork) { .sleep = s, .address = address, .step = CARD_WAITS };
        return 0;
}

/* What would keep the kernel from freezing its tasks, or the host from waking, is known at once. */
static bool is_in_the_way(Sleep *s, const Gpu *g) {
        if (sleep_policy_of(g)->on_error == SLEEP_ERROR_CONTINUE)
                return false;
        if (g->state == GPU_STUCK || g->stuck_job)
                sleep_veto(s, g->address, GPUPT_ERROR_STUCK,
                           "%s is stuck, and the kernel could not freeze the task that waits for it. %s", g->address,
                           strempty(g->stuck));
        else if (g->state == GPU_UNREACHABLE)
                sleep_veto(
                        s, g->address, GPUPT_ERROR_UNREACHABLE,
                        "%s does not answer, and would perhaps not let the host wake. Try gpuptctl recover %s first.",
                        g->address, g->address);
        return s->record->vetoed;
}

/* Its administrator rather has a host that sleeps. */
static void give_up_looking(CardWork *c) {
        c->scan = scan_waiter_free(c->scan);
        c->census = census_waiter_free(c->census);
        c->step = CARD_SETTLED;
        sleep_log(c->sleep, LOG_WARNING, NULL, c->address, "%s could not be looked at in time, and is left as it is.",
                  c->address);
}

static int on_look_limit(sd_event_source *source, uint64_t usec, void *userdata) {
        Sleep *s = ASSERT_PTR(userdata);

        s->look_limit = sd_event_source_disable_unref(s->look_limit);
        for (size_t i = 0; i < s->n_cards; i++) {
                const Gpu *g = sleep_gpu_of(s->cards + i);

                if (s->cards[i].step >= CARD_LOOKED)
                        continue;
                if (g && sleep_policy_of(g)->on_error == SLEEP_ERROR_CONTINUE)
                        give_up_looking(s->cards + i);
                else if (g && g->job)
                        sleep_veto(s, g->address, GPUPT_ERROR_BUSY, "The job %u (%s) on %s does not end.",
                                   g->job->intent->id, operation_to_string(g->job->intent->operation), g->address);
                else
                        sleep_veto(s, s->cards[i].address, GPUPT_ERROR_TIMEOUT,
                                   "The state of %s could not be read in time.", s->cards[i].address);
        }
        sleep_poke(s);
        return 0;
}

int sleep_forth_begin(Sleep *s) {
        int r = 0;

        LIST_FOREACH(gpus, g, s->m->gpus) {
                /* What a daemon before has begun with is in the record. */
                if ((!concerns_us(g) && !sleep_record_find_card(s->record, g->address)) || has_asked_for_it(g))
                        continue;
                r = add_card(s, g);
                if (r < 0)
                        return r;
                (void) is_in_the_way(s, g);
        }
        if (s->n_cards == 0 || s->record->vetoed)
                return 0;
        return sd_event_add_time_relative(s->m->event, &s->look_limit, CLOCK_MONOTONIC, LOOK_USEC, 0, on_look_limit,
                                          s);
}

/* ---- looking ---- */

static void on_scanned(void *userdata) {
        CardWork *c = ASSERT_PTR(userdata);

        c->scan = NULL;
        c->step = CARD_COUNTS;
        sleep_poke(c->sleep);
}

static void on_counted(int error, const Holders *holders, void *userdata) {
        CardWork *c = ASSERT_PTR(userdata);
        Sleep *s = c->sleep;
        const Gpu *g = sleep_gpu_of(c);
        int r = 0;

        c->census = NULL;
        c->step = CARD_LOOKED;
        if (error < 0 && g && sleep_policy_of(g)->on_error == SLEEP_ERROR_VETO)
                sleep_veto(s, c->address, GPUPT_ERROR_TIMEOUT, "Who has %s could not be found out in time.",
                           c->address);
        for (size_t i = 0; holders && g && i < holders->n && r >= 0; i++)
                if (holders->list[i].is_vm)
                        r = sleep_vm_add(s, g, holders->list + i);
        if (r < 0)
                sleep_veto(s, c->address, GPUPT_ERROR_FAILED, "There was no memory to look for the VM of %s.",
                           c->address);
        sleep_poke(s);
}

/* How it was with VFIO, for the way back. */
static int note_vfio(Sleep *s, const Gpu *g) {
        SleepCard *card = sleep_record_find_card(s->record, g->address);
        int r = 0;

        card->before = g->state;
        for (char **a = g->functions; a && *a && r >= 0; a++) {
                const Function *f = snapshot_find(g->host->snapshot, *a);

                if (!f || !driver_is_vfio(f->driver) || strv_contains(card->functions, *a))
                        continue;
                r = strv_extend(&card->functions, *a);
                if (r >= 0 && (isempty(card->driver) || streq(*a, g->address)))
                        r = free_and_strdup(&card->driver, f->driver);
        }
        if (g->record && g->record->access) {
                card->access = true;
                card->access_uid = g->record->access_uid;
        }
        return r;
}

static void wait_for_job(CardWork *c, Gpu *g) {
        const SleepCard *card = sleep_record_find_card(c->sleep->record, g->address);

        if (g->job) {
                if (!c->asked_to_go && card->stage == SLEEP_STAGE_PENDING)
                        c->asked_to_go = job_give_way(g->job);
                return;
        }
        if (gpu_scan_wait(g, on_scanned, c, &c->scan) < 0)
                c->step = CARD_COUNTS;
        else
                c->step = CARD_SCANS;
}

static void count_holders(CardWork *c, Gpu *g) {
        Sleep *s = c->sleep;
        bool with_vfio = g->state == GPU_DETACHED || g->state == GPU_ASSIGNED || g->state == GPU_PARTIAL;
        SleepCard *card = sleep_record_find_card(s->record, g->address);

        if (is_in_the_way(s, g) || !with_vfio || c->census) {
                if (!c->census)
                        c->step = CARD_LOOKED;
                return;
        }
        /* A daemon before has begun with it already: how it was is in the record. */
        if (card->stage == SLEEP_STAGE_PENDING && note_vfio(s, g) < 0)
                sleep_veto(s, g->address, GPUPT_ERROR_FAILED, "There was no memory to look at %s.", g->address);
        if (gpu_census(g, on_counted, c, &c->census) < 0)
                on_counted(-ENOMEM, NULL, c);
}

/* True once all have been looked at. */
static bool look(Sleep *s) {
        bool done = true;

        for (size_t i = 0; i < s->n_cards; i++) {
                CardWork *c = s->cards + i;
                Gpu *g = sleep_gpu_of(c);

                if (!g)
                        c->step = CARD_LOOKED;
                else if (c->step == CARD_WAITS)
                        wait_for_job(c, g);
                else if (c->step == CARD_COUNTS)
                        count_holders(c, g);
                done = done && c->step >= CARD_LOOKED;
        }
        return done;
}

/* ---- the cards, when their VMs sleep ---- */

/* A VM that goes on having it open keeps it where it is. */
static bool is_free(const Sleep *s, const Gpu *g) {
        LIST_FOREACH(vms, w, s->vms)
                if (w->step != VM_STEP_MERGED && strv_contains(w->gpus, g->address) &&
                    !(w->recorded && vm_action_ends_vm(s->record->vms[w->index].action) &&
                      s->record->vms[w->index].stage == SLEEP_STAGE_DONE))
                        return false;
        return true;
}

static int start_move(Sleep *s, Gpu *g, SleepCard *card, CardWork *c) {
        /* The process of its VM may take a moment to be gone. */
        PlanOptions options = { .phase = PHASE_PRE_SLEEP, .sleep = card->action, .has_wait = true,
                                .wait_sec = g->host->config->wait_sec };
        Operation operation = card->action == GPU_SLEEP_HOST ? OPERATION_ATTACH : OPERATION_PHASE;
        Job *j;
        int r;

        if (operation == OPERATION_PHASE) {
                options.vm = strdup("the host");
                if (!options.vm)
                        return -ENOMEM;
        }
        r = manager_start_job(s->m, g, operation, &options, 0, NULL, NULL, &j);
        plan_options_done(&options);
        if (r < 0)
                return r;
        c->job = j->intent->id;
        c->step = CARD_MOVES;
        manager_announce_job(s->m, j);
        return 0;
}

static void fail_card(Sleep *s, const Gpu *g, SleepCard *card, const char *error, const char *message) {
        card->stage = SLEEP_STAGE_FAILED;
        (void) free_and_strdup(&card->message, message);
        if (sleep_policy_of(g)->on_error == SLEEP_ERROR_VETO)
                sleep_veto(s, g->address, error,
                           "%s could not be brought to where it is to be while the host sleeps (%s): %s", g->address,
                           gpu_sleep_policy_to_string(card->action), message);
}

static void begin_move(Sleep *s, CardWork *c, Gpu *g) {
        SleepCard *card = sleep_record_find_card(s->record, g->address);
        GpuSleepPolicy wanted = sleep_policy_of(g)->gpu;
        int r;

        c->step = CARD_SETTLED;
        if (wanted == GPU_SLEEP_KEEP || (card->before != GPU_DETACHED && card->before != GPU_ASSIGNED))
                return;
        if (g->job) {
                c->step = CARD_LOOKED; /* a hook's; it ends */
                return;
        }
        if (!is_free(s, g)) {
                (void) free_and_strdup(&card->message, "It stays where it is, since a VM goes on having it open.");
                return;
        }
        card->action = wanted;
        card->stage = SLEEP_STAGE_DOING;
        sleep_describe(s, "bring %s to where it is to be (%s)", g->address, gpu_sleep_policy_to_string(wanted));
        r = sleep_store(s);
        if (r >= 0)
                r = start_move(s, g, card, c);
        if (r < 0)
                fail_card(s, g, card, GPUPT_ERROR_FAILED, strerror(-r));
}

static void end_move(Sleep *s, CardWork *c, Gpu *g) {
        SleepCard *card = sleep_record_find_card(s->record, g->address);

        if (g->job)
                return;
        c->step = CARD_SETTLED;
        if (g->last_job.id == c->job && g->last_job.result == RESULT_DONE)
                card->stage = SLEEP_STAGE_DONE;
        else
                fail_card(s, g, card,
                          g->last_job.id == c->job && !isempty(g->last_job.error) ? g->last_job.error
                                                                                  : GPUPT_ERROR_FAILED,
                          strempty(g->last_job.message));
        (void) sleep_store(s);
}

static bool move_cards(Sleep *s) {
        bool done = true;

        for (size_t i = 0; i < s->n_cards; i++) {
                CardWork *c = s->cards + i;
                Gpu *g = sleep_gpu_of(c);

                if (!g)
                        c->step = CARD_SETTLED;
                else if (c->step == CARD_LOOKED && !s->record->vetoed && !s->calling_off)
                        begin_move(s, c, g);
                if (g && c->step == CARD_MOVES)
                        end_move(s, c, g);
                done = done &&
                       (c->step == CARD_SETTLED || (c->step == CARD_LOOKED && (s->record->vetoed || s->calling_off)));
        }
        return done;
}

/* ---- all of it ---- */

bool sleep_forth_is_quiet(const Sleep *s) {
        for (size_t i = 0; i < s->n_cards; i++) {
                const CardWork *c = s->cards + i;
                const Gpu *g = sleep_gpu_of(c);

                if (c->step == CARD_MOVES && g && g->job)
                        return false;
        }
        LIST_FOREACH(vms, w, s->vms)
                if (w->step == VM_STEP_ACT && w->busy)
                        return false;
        return !s->hook;
}

static void count(Sleep *s) {
        unsigned done = 0, all = 0;

        for (size_t i = 0; i < s->record->n_vms; i++) {
                bool acts = s->record->vms[i].action != VM_ACTION_NONE;

                all += acts;
                done += acts && s->record->vms[i].stage != SLEEP_STAGE_PENDING;
        }
        for (size_t i = 0; i < s->record->n_cards; i++) {
                bool acts = s->record->cards[i].action != GPU_SLEEP_KEEP;

                all += acts;
                done += acts && s->record->cards[i].stage != SLEEP_STAGE_PENDING;
        }
        sleep_count_step(s, done, all);
}

/* True if it is settled, one way or the other. */
static bool go_on(Sleep *s) {
        if (!s->decided) {
                if (!look(s) || (s->vms && !sleep_power_is_known(s)) || !sleep_vms_ask(s))
                        return false;
                s->look_limit = sd_event_source_disable_unref(s->look_limit);
                s->decided = true;
                if (sleep_vms_begin(s) < 0)
                        sleep_veto(s, "", GPUPT_ERROR_FAILED, "What is to be done could not be written down.");
        }
        if (s->record->vetoed || s->calling_off)
                return true;
        if (!sleep_hooks_tell(s, SLEEP_TELLING_PRE_SLEEP) || !sleep_vms_act(s))
                return false;
        if (s->record->vetoed || s->calling_off)
                return true;
        return move_cards(s) && sleep_hooks_tell(s, SLEEP_TELLING_POST_SLEEP);
}

void sleep_forth_drive(Sleep *s) {
        bool settled = false;

        if (s->record->vetoed || s->calling_off) {
                /* What has been begun is not left half-way. */
                if (s->decided)
                        (void) sleep_vms_act(s);
                (void) move_cards(s);
                if (sleep_forth_is_quiet(s))
                        sleep_turn_back(s);
                return;
        }
        settled = go_on(s);
        count(s);
        if (s->record->vetoed || s->calling_off)
                sleep_poke(s);
        else if (settled)
                sleep_ready(s);
}

void sleep_forth_done(Sleep *s) {
        for (size_t i = 0; i < s->n_cards; i++) {
                scan_waiter_free(s->cards[i].scan);
                census_waiter_free(s->cards[i].census);
                free(s->cards[i].address);
        }
        free(s->cards);
        s->cards = NULL;
        s->n_cards = 0;
        sleep_vms_free(s);
        s->look_limit = sd_event_source_disable_unref(s->look_limit);
        s->decided = s->power_asked = s->power_known = false;
}
