/* SPDX-License-Identifier: GPL-2.0-or-later */

/* sleep-vm: what is asked of VMs on the way into the sleep. From the process that has a card open to the VM that
 * it is, by the adapters; how that is and what it can; the decision; and, when all are decided, what was
 * decided, with its time and what follows where it fails. What has been done to it is in the record, and taken
 * back by sleep-back.c. */

#include "sleep-internal.h"

#include "dbus/errors.h"
#include "util/log.h"

/* The least that a guest is given, and what its end like pulling the plug takes. */
#define ACTION_MIN_SEC 5U
#define KILL_SEC 30U

static void vm_work_free(VmWork *w) {
        vm_call_free(w->call);
        strv_free(w->gpus);
        free(w->adapter);
        free(w->id);
        free(w->name);
        free(w->title);
        free(w->stranger);
        free(w->silent);
        vm_answer_done(&w->capabilities);
        vm_decision_done(&w->decision);
        free(w);
}

void sleep_vms_free(Sleep *s) {
        while (s->vms) {
                VmWork *w = s->vms;

                LIST_REMOVE(vms, s->vms, w);
                vm_work_free(w);
        }
}

/* ---- from processes to VMs ---- */

static int add_gpu(VmWork *w, const char *address) {
        return strv_contains(w->gpus, address) ? 0 : strv_extend(&w->gpus, address);
}

static char *title_of(const Holder *h) {
        char *text;
        int k;

        if (h->vm_name && h->vm_manager)
                k = asprintf(&text, "The VM %s (%s, pid %u)", h->vm_name, h->vm_manager, h->pid);
        else
                k = asprintf(&text, "The process %u (%s)", h->pid, strempty(h->command));
        return k < 0 ? NULL : text;
}

int sleep_vm_add(Sleep *s, const Gpu *g, const Holder *h) {
        const SleepPolicy *policy = sleep_policy_of(g);
        VmWork *w;

        LIST_FOREACH(vms, i, s->vms)
                if (i->pid == h->pid) {
                        sleep_policy_merge(&i->policy, policy);
                        return add_gpu(i, g->address);
                }
        w = calloc(1, sizeof(VmWork));
        if (!w)
                return -ENOMEM;
        *w = (VmWork) { .sleep = s, .pid = h->pid, .policy = *policy, .state = VM_UNKNOWN };
        w->title = title_of(h);
        w->name = strdup(h->vm_name ?: strempty(h->command));
        if (!w->title || !w->name || add_gpu(w, g->address) < 0) {
                vm_work_free(w);
                return -ENOMEM;
        }
        LIST_APPEND(vms, s->vms, w);
        return 0;
}

/* ---- asking ---- */

static int ask(VmWork *w, VmVerb verb, vm_handler_t handler) {
        bool identify = verb == VM_IDENTIFY;
        int r;

        r = vm_ask(w->sleep->m->bus,
                   &(VmRequest) { .job = w->sleep->record->job,
                                  .number = sleep_next_call(w->sleep, identify ? VM_ADAPTERS_MAX : 1),
                                  .adapter = w->adapter,
                                  .verb = verb,
                                  .id = w->id,
                                  .pid = w->pid,
                                  .limit_sec = SLEEP_QUESTION_SEC },
                   handler, w, &w->call);
        w->busy = r >= 0;
        return r;
}

/* What it can is asked for only where its policy needs that. */
static VmStep next_question(const VmWork *w) {
        bool known = w->has_capabilities || w->silent || w->stranger;

        return w->state == VM_RUNNING && sleep_needs_capabilities(&w->policy) && !known ? VM_STEP_CAPABILITIES
                                                                                        : VM_STEP_DECIDE;
}

/* Another process, or another card, of a VM that is known already. Its policy may be stricter: what was decided by
 * the other one alone does not stand; what a daemon before has begun does. */
static bool merge(VmWork *w) {
        LIST_FOREACH(vms, i, w->sleep->vms) {
                if (i == w || i->step == VM_STEP_MERGED || !streq_ptr(i->adapter, w->adapter) ||
                    !streq_ptr(i->id, w->id))
                        continue;
                sleep_policy_merge(&i->policy, &w->policy);
                for (char **a = w->gpus; a && *a; a++)
                        if (add_gpu(i, *a) < 0)
                                return false;
                if (!i->recorded && (i->step == VM_STEP_DECIDE || i->step == VM_STEP_DECIDED)) {
                        vm_decision_done(&i->decision);
                        i->step = next_question(i);
                }
                return true;
        }
        return false;
}

/* As its manager calls it, from now on. */
static char *name_vm(const VmWork *w) {
        char *text;

        return asprintf(&text, "The VM %s (%s)", strempty(w->name), strempty(w->adapter)) < 0 ? NULL : text;
}

static void on_identified(const VmAnswer *a, const char *adapter, bool joined, void *userdata) {
        VmWork *w = ASSERT_PTR(userdata);
        int r = 0;

        w->call = NULL;
        w->busy = false;
        w->step = VM_STEP_DECIDE;
        if (a->result == VM_DONE) {
                w->adapter = strdup(adapter);
                w->id = strdup(a->id);
                r = free_and_strdup(&w->name, a->name ?: a->id);
                w->step = VM_STEP_STATUS;
                free(w->title);
                w->title = name_vm(w);
                if (r >= 0 && w->adapter && w->id && merge(w))
                        w->step = VM_STEP_MERGED;
        } else if (a->result == VM_NOT_MINE)
                r = free_and_strdup(&w->stranger, "no adapter of virtual machines knows it");
        else if (asprintf(&w->stranger, "the adapter %s says: %s", adapter, a->reason) < 0) {
                w->stranger = NULL;
                r = -ENOMEM;
        }
        if (r < 0 || (w->step == VM_STEP_STATUS && (!w->adapter || !w->id || !w->title)))
                sleep_veto(w->sleep, w->gpus[0], GPUPT_ERROR_FAILED, "There was no memory to ask for the VM of %s.",
                           w->gpus[0]);
        sleep_poke(w->sleep);
}

static void be_silent(VmWork *w, const VmAnswer *a) {
        (void) free_and_strdup(&w->silent, isempty(a->reason) ? "its adapter gives no reason" : a->reason);
}

/* A daemon before has begun with it: what was decided then stands. */
static bool is_recorded(VmWork *w) {
        const SleepRecord *r = w->sleep->record;

        for (size_t i = 0; i < r->n_vms; i++)
                if (streq(r->vms[i].adapter, w->adapter) && streq(r->vms[i].id, w->id)) {
                        w->index = i;
                        w->recorded = true;
                        return true;
                }
        return false;
}

static void on_status(const VmAnswer *a, const char *adapter, bool joined, void *userdata) {
        VmWork *w = ASSERT_PTR(userdata);

        w->call = NULL;
        w->busy = false;
        if (a->result == VM_DONE)
                w->state = a->state;
        else
                be_silent(w, a);
        w->step = is_recorded(w) ? VM_STEP_DECIDED : next_question(w);
        sleep_poke(w->sleep);
}

static void on_capabilities(const VmAnswer *a, const char *adapter, bool joined, void *userdata) {
        VmWork *w = ASSERT_PTR(userdata);

        w->call = NULL;
        w->busy = false;
        w->step = VM_STEP_DECIDE;
        if (a->result == VM_DONE) {
                w->has_capabilities = true;
                vm_answer_copy_capabilities(a, &w->capabilities);
        } else
                be_silent(w, a);
        sleep_poke(w->sleep);
}

/* ---- deciding ---- */

static VmQuestion question_of(const VmWork *w) {
        const PowerSituation *power = &w->sleep->power;

        return (VmQuestion) {
                .policy = &w->policy,
                .name = w->title,
                .stranger = w->stranger,
                .state = w->state,
                .capabilities = w->has_capabilities ? &w->capabilities : NULL,
                .silent = w->silent,
                .situation = { .lid_closed = power->lid_closed, .on_battery = power->on_battery,
                               .battery_critical = power->battery_critical },
        };
}

static void tell(VmWork *w, const VmDecision *d, const char *error) {
        if (d->veto)
                sleep_veto(w->sleep, w->gpus[0], error, "%s", d->reason);
        else if (d->reason)
                sleep_log(w->sleep, LOG_WARNING, NULL, w->gpus[0], "%s It is overruled: %s.", d->reason,
                          d->action == VM_ACTION_NONE ? "the host sleeps all the same"
                                                      : vm_action_to_string(d->action));
        if (d->lid)
                sleep_hold_lid(w->sleep);
}

static void decide(VmWork *w) {
        VmQuestion q = question_of(w);

        w->step = VM_STEP_DECIDED;
        if (sleep_decide(&q, &w->decision) < 0)
                sleep_veto(w->sleep, w->gpus[0], GPUPT_ERROR_FAILED, "There was no memory to decide about %s.",
                           w->title);
        else
                tell(w, &w->decision, w->silent ? GPUPT_ERROR_TIMEOUT : GPUPT_ERROR_IN_USE);
}

/* Who it is does not matter where nothing will be done to it. */
static void step(VmWork *w) {
        const PowerSituation *power = &w->sleep->power;
        int r = 0;

        if (w->step == VM_STEP_IDENTIFY &&
            (w->policy.vm == VM_POLICY_IGNORE ||
             (w->policy.vm == VM_POLICY_INHIBIT && !power->lid_closed && !power->battery_critical)))
                w->step = VM_STEP_DECIDE;
        if (w->step == VM_STEP_IDENTIFY)
                r = ask(w, VM_IDENTIFY, on_identified);
        else if (w->step == VM_STEP_STATUS)
                r = ask(w, VM_STATUS, on_status);
        else if (w->step == VM_STEP_CAPABILITIES)
                r = ask(w, VM_CAPABILITIES, on_capabilities);
        else if (w->step == VM_STEP_DECIDE)
                decide(w);
        if (r < 0) {
                (void) free_and_strdup(&w->stranger, strerror(-r));
                w->step = VM_STEP_DECIDE;
                decide(w);
        }
}

bool sleep_vms_ask(Sleep *s) {
        bool done = true;

        LIST_FOREACH(vms, w, s->vms) {
                if (!w->busy)
                        step(w);
                done = done && !w->busy && (w->step == VM_STEP_DECIDED || w->step == VM_STEP_MERGED);
        }
        return done;
}

/* ---- acting ---- */

static SleepVm *vm_of(VmWork *w) {
        return w->sleep->record->vms + w->index;
}

static int put_into_record(VmWork *w) {
        SleepRecord *record = w->sleep->record;
        SleepVm *v;
        int r;

        r = sleep_record_add_vm(record, strempty(w->adapter), strempty(w->id), w->name, w->pid, &v);
        if (r < 0)
                return r;
        w->index = record->n_vms - 1;
        w->recorded = true;
        v->policy = w->policy.vm;
        v->action = w->decision.veto ? VM_ACTION_NONE : w->decision.action;
        v->stage = SLEEP_STAGE_PENDING;
        for (char **a = w->gpus; *a && r >= 0; a++)
                r = strv_extend(&v->gpus, *a);
        return r < 0 || !w->decision.reason ? r : free_and_strdup(&v->message, w->decision.reason);
}

int sleep_vms_begin(Sleep *s) {
        int r;

        LIST_FOREACH(vms, w, s->vms) {
                if (w->step == VM_STEP_MERGED || w->recorded)
                        continue;
                r = put_into_record(w);
                if (r < 0)
                        return r;
        }
        return 0;
}

static unsigned seconds_left(const VmWork *w) {
        uint64_t now = sleep_now(w->sleep);

        return w->deadline > now ? (unsigned) ((w->deadline - now) / 1000000) : 0;
}

static void act(VmWork *w);

static void fail(VmWork *w, const char *reason, bool timed_out) {
        VmQuestion q = question_of(w);
        VmDecision next = {};
        SleepVm *v = vm_of(w);
        const VmDecision was = { .action = v->action, .kill = w->decision.kill };

        v->stage = SLEEP_STAGE_FAILED;
        (void) free_and_strdup(&v->message, reason);
        (void) sleep_store(w->sleep);
        w->step = VM_STEP_SETTLED;
        if (sleep_decide_after_failure(&q, &was, seconds_left(w) >= ACTION_MIN_SEC, reason, &next) < 0) {
                sleep_veto(w->sleep, w->gpus[0], GPUPT_ERROR_FAILED, "There was no memory to decide about %s.",
                           w->title);
                return;
        }
        tell(w, &next, timed_out ? GPUPT_ERROR_TIMEOUT : GPUPT_ERROR_FAILED);
        vm_decision_done(&w->decision);
        w->decision = next;
        if (next.veto || next.action == VM_ACTION_NONE || w->sleep->record->vetoed || w->sleep->calling_off)
                return;
        v->action = next.action;
        v->call = 0;
        act(w);
}

static void on_acted(const VmAnswer *a, const char *adapter, bool joined, void *userdata) {
        VmWork *w = ASSERT_PTR(userdata);
        SleepVm *v = vm_of(w);

        w->call = NULL;
        w->busy = false;
        if (a->result != VM_DONE)
                fail(w, isempty(a->reason) ? "its adapter gives no reason" : a->reason, a->result == VM_TIMED_OUT);
        else {
                /* What was so before nobody takes back; of what a daemon before has begun nobody knows that. */
                bool ours = a->changed || joined || w->taken_over;

                w->step = VM_STEP_SETTLED;
                v->stage = ours ? SLEEP_STAGE_DONE : SLEEP_STAGE_PENDING;
                if (v->stage == SLEEP_STAGE_PENDING)
                        v->action = VM_ACTION_NONE;
                (void) free_and_strdup(&v->message, "");
                (void) sleep_store(w->sleep);
        }
        sleep_poke(w->sleep);
}

/* On disk first. */
static void act(VmWork *w) {
        Sleep *s = w->sleep;
        SleepVm *v = vm_of(w);
        int r;

        if (w->deadline == 0)
                w->deadline = sleep_now(s) + w->policy.timeout_sec * 1000000ULL;
        w->step = VM_STEP_ACT;
        v->stage = SLEEP_STAGE_DOING;
        if (v->call == 0)
                v->call = sleep_next_call(s, 1);
        r = sleep_store(s);
        if (r < 0) {
                v->stage = SLEEP_STAGE_PENDING;
                w->step = VM_STEP_SETTLED;
                sleep_veto(s, w->gpus[0], GPUPT_ERROR_FAILED,
                           "What is to be done to %s could not be written down: %s.", w->title, strerror(-r));
                return;
        }
        sleep_describe(s, "%s: %s", w->name, vm_action_to_string(v->action));
        sleep_log(s, LOG_NOTICE, NULL, w->gpus[0], "%s: %s", w->title, vm_action_to_string(v->action));
        r = vm_ask(s->m->bus,
                   &(VmRequest){ .job = s->record->job,
                                 .number = v->call,
                                 .adapter = v->adapter,
                                 .id = v->id,
                                 .verb = vm_action_verb(v->action),
                                 .limit_sec = v->action == VM_ACTION_KILL ? KILL_SEC
                                                                          : MAX(seconds_left(w), ACTION_MIN_SEC) },
                   on_acted, w, &w->call);
        w->busy = r >= 0;
        if (r < 0)
                fail(w, strerror(-r), false);
}

static void begin(VmWork *w) {
        SleepVm *v = vm_of(w);

        w->taken_over = v->stage == SLEEP_STAGE_DOING;
        if (w->sleep->record->vetoed || w->sleep->calling_off || v->action == VM_ACTION_NONE ||
            v->stage == SLEEP_STAGE_DONE)
                w->step = VM_STEP_SETTLED;
        else
                act(w);
}

bool sleep_vms_act(Sleep *s) {
        bool done = true;

        LIST_FOREACH(vms, w, s->vms) {
                if (w->step == VM_STEP_DECIDED)
                        begin(w);
                done = done && (w->step == VM_STEP_SETTLED || w->step == VM_STEP_MERGED);
        }
        return done;
}
