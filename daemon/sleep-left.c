/* SPDX-License-Identifier: GPL-2.0-or-later */

/* sleep-left: what the last daemon, or the last boot, has left of a sleep: stays prepared, goes on, or is
 * brought back. */

#include "sleep-internal.h"

#include "util/fs.h"
#include "util/log-ids.h"
#include "util/log.h"

/* After a boot, the manager of a VM may not be there yet. */
#define PATIENCE_USEC (5 * 60 * 1000000ULL)

/* What has been announced meanwhile: of the cycle that was left, or of one that comes after it. A cycle that only logind has
 * announced is too late to be prepared; the gate has the time. */
static void take_early(Sleep *s) {
        unsigned prepares = 0, finishes = 0;

        if (s->early & DOOR_LOGIND) {
                unsigned id = sleep_open_door(s, DOOR_LOGIND);

                s->late = id > s->begun ? id : 0;
        }
        if (s->early & DOOR_GATE)
                prepares = sleep_open_door(s, DOOR_GATE);
        if (s->early_finish)
                finishes = sleep_close_door(s, DOOR_GATE);
        LIST_FOREACH(waiters, w, s->waiters)
                w->cycle = w->finish ? finishes : prepares;
        s->early = 0;
        s->early_finish = false;
}

static void taken_up(Sleep *s) {
        void (*handler)(Manager *) = TAKE_PTR(s->on_taken_up);

        s->taken_up = true;
        take_early(s);
        sleep_update_asleep(s);
        if (handler)
                handler(s->m);
        sleep_poke(s);
}

/* The doors that are said to be open are so no more where nobody says it. */
static bool restore_doors(Sleep *s, bool gate_active) {
        SleepCycle *cycle = &s->record->cycle;
        bool announced = inhibitor_sleeping(s->m->inhibitor), open;

        if ((cycle->opened & DOOR_LOGIND) && !announced)
                cycle->closed |= DOOR_LOGIND;
        if ((cycle->opened & DOOR_GATE) && !gate_active)
                cycle->closed |= DOOR_GATE;
        open = cycle->closed == 0;
        if (cycle->closed != cycle->opened)
                sleep_cycles_restore(&s->cycles, cycle);
        s->cycles.last_id = MAX(s->cycles.last_id, cycle->id);
        s->begun = cycle->id;
        return open;
}

static void on_gate_at_start(const SleepGateAnswer *a, void *userdata) {
        Sleep *s = ASSERT_PTR(userdata);
        SleepPhase phase = s->record->phase;
        bool open;

        s->gate = NULL;
        open = restore_doors(s, a->active);
        if (inhibitor_sleeping(s->m->inhibitor))
                sleep_release_delay(s);
        sleep_log(s, LOG_NOTICE, MESSAGE_ID_JOB_RECOVERED, NULL,
                  "going on with what the last daemon left unfinished.");
        taken_up(s);
        if (s->record->phase != phase)
                return; /* its end was told meanwhile */
        if (phase == SLEEP_PREPARED && open)
                sleep_watch_orphan(s);
        else if (phase == SLEEP_PREPARED)
                sleep_resume(s);
        else if (sleep_show_job(s, phase == SLEEP_RESUMING ? OPERATION_RESUME : OPERATION_SLEEP) < 0)
                (void) log_oom();
        if (phase == SLEEP_PREPARING)
                s->calling_off = s->calling_off || !open || sleep_forth_begin(s) < 0;
        else if (phase == SLEEP_UNDOING || phase == SLEEP_RESUMING)
                sleep_back_begin(s);
        sleep_poke(s);
}

/* Of a host that has lost its power, or was started anew: drivers and power settings are those of this boot, and
 * a VM whose memory it was in is no more. What can be started again is. */
static void take_up_old_boot(Sleep *s) {
        sleep_log(s, LOG_NOTICE, MESSAGE_ID_JOB_RECOVERED, NULL,
                  "the host was started anew before it was over; its VMs are started again.");
        for (size_t i = 0; i < s->record->n_vms; i++) {
                SleepVm *v = s->record->vms + i;

                if (!vm_action_ends_vm(v->action) && v->stage != SLEEP_STAGE_PENDING &&
                    v->stage != SLEEP_STAGE_RESTORED) {
                        v->stage = SLEEP_STAGE_LEFT;
                        (void) free_and_strdup(&v->message, "It ended with the host, which was started anew.");
                }
        }
        for (size_t i = 0; i < s->record->n_cards; i++) {
                s->record->cards[i].stage = SLEEP_STAGE_PENDING;
                (void) free_and_strdup(&s->record->cards[i].message,
                                       "The host was started anew: it is where the start has put it.");
        }
        if (s->record->hooks.call > 0) {
                /* Its unit went with that boot. */
                s->record->hooks.call = 0;
                s->record->hooks.done++;
        }
        sleep_start_clocks(s->record);
        s->begun = s->record->cycle.id = ++s->cycles.last_id;
        (void) boot_id(s->record->boot);
        s->record->cycle = (SleepCycle) { .id = s->record->cycle.id, .opened = DOOR_LOGIND, .closed = DOOR_LOGIND };
        taken_up(s);
        if (sleep_start_job(s, OPERATION_RESUME) < 0)
                (void) log_oom();
        sleep_set_phase(s, SLEEP_RESUMING);
        sleep_back_begin(s);
        s->back = BACK_VMS;
        s->patience = sleep_now(s) + PATIENCE_USEC;
        sleep_poke(s);
}

/* It is kept for whoever wants to know, and out of the way. */
static void put_aside(Sleep *s, int error) {
        _cleanup_free_ char *from = NULL, *to = NULL;

        if (asprintf(&from, "%s/sleep", s->m->host->state_dir) < 0 ||
            asprintf(&to, "%s/sleep.unreadable", s->m->host->state_dir) < 0 || rename(from, to) < 0)
                to = NULL;
        log_error_errno(error,
                        "The record of an unfinished sleep is not readable (kept as %s), so what it had changed is "
                        "left as it is: %m",
                        to ?: from);
}

static void load_last(Sleep *s) {
        char boot[33];

        if (sleep_archive_last_report(s->m->host->state_dir, &s->record) < 0)
                return;
        if (boot_id(boot) >= 0 && streq(boot, s->record->boot))
                s->begun = s->cycles.last_id = MAX(s->cycles.last_id, s->record->cycle.id);
        s->record->phase = SLEEP_OVER;
}

void sleep_take_up(Sleep *s, void (*handler)(Manager *m)) {
        char boot[33];
        int r;

        s->on_taken_up = handler;
        r = sleep_archive_load(s->m->host->state_dir, &s->record);
        if (r >= 0)
                manager_sleep_changed(s->m);
        else if (r != -ENOENT)
                put_aside(s, r);
        if (r < 0) {
                load_last(s);
                taken_up(s);
        } else if (boot_id(boot) < 0 || !streq(boot, s->record->boot))
                take_up_old_boot(s);
        else if (sleep_gate_ask(s->m->bus, on_gate_at_start, s, &s->gate) < 0)
                on_gate_at_start(&(SleepGateAnswer) { .operation = "" }, s);
}
