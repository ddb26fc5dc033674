/* SPDX-License-Identifier: GPL-2.0-or-later */

/* sleep-locks: for how long logind waits for us, and what keeps the host awake beyond a single sleep; and
 * whether it may fall asleep at any moment, which is when jobs write nothing. */

#include "sleep-internal.h"

#include "dbus/names.h"
#include "util/log.h"

/* logind waits for a delay lock for InhibitDelayMaxSec=, 5 s by default, and complains about who needs longer.
 * The gate has the time. */
#define DELAY_USEC (4 * 1000000ULL)
/* logind tells nobody that the lid has been opened. */
#define LID_USEC (15 * 1000000ULL)

/* ---- the host may fall asleep ---- */

static bool gate_waits(const Sleep *s) {
        LIST_FOREACH(waiters, w, s->waiters)
                if (!w->finish)
                        return true;
        return false;
}

/* Announced, and nobody waits for us any more: from here on until the first door closes the kernel may freeze
 * whatever runs, and a write that hangs would keep it from that. */
static bool may_fall_asleep(const Sleep *s) {
        const SleepCycle *c = sleep_newest_cycle(s);
        SleepPhase phase = sleep_is_over(s) ? SLEEP_OVER : s->record->phase;

        if (!s->taken_up)
                return (s->early & DOOR_LOGIND) && !gate_waits(s);
        if (!c || c->closed != 0)
                return false;
        if (phase == SLEEP_PREPARED)
                return true;
        return !gate_waits(s) && !s->delay_held && phase != SLEEP_UNDOING;
}

void sleep_update_asleep(Sleep *s) {
        bool asleep = may_fall_asleep(s);

        if (s->m->host->asleep == asleep)
                return;
        s->m->host->asleep = asleep;
        if (asleep)
                return;
        LIST_FOREACH_SAFE(jobs, j, s->m->jobs)
                job_woken(j);
}

void sleep_hold_delay(Sleep *s) {
        if (!s->delay_held)
                inhibitor_hold(s->m->inhibitor, LOCK_DELAY);
        s->delay_held = true;
        s->delay_limit = sd_event_source_disable_unref(s->delay_limit);
}

void sleep_release_delay(Sleep *s) {
        s->delay_limit = sd_event_source_disable_unref(s->delay_limit);
        if (s->delay_held)
                inhibitor_release(s->m->inhibitor, LOCK_DELAY);
        s->delay_held = false;
}

static int on_delay_limit(sd_event_source *source, uint64_t usec, void *userdata) {
        Sleep *s = ASSERT_PTR(userdata);

        sleep_release_delay(s);
        if (!sleep_is_over(s) && s->record->phase == SLEEP_PREPARING)
                sleep_log(s, LOG_INFO, NULL, NULL, "not ready yet; the rest is done while %s holds the host.",
                          GPUPT_UNIT_SLEEP);
        sleep_poke(s);
        return 0;
}

void sleep_limit_delay(Sleep *s) {
        if (!s->delay_limit && sd_event_add_time_relative(s->m->event, &s->delay_limit, CLOCK_MONOTONIC, DELAY_USEC, 0,
                                                          on_delay_limit, s) < 0)
                (void) log_oom();
}

/* ---- locks against sleep ---- */

static void set_lock(Sleep *s, InhibitorLock lock, bool *held, bool wanted) {
        if (*held == wanted)
                return;
        *held = wanted;
        if (wanted)
                inhibitor_hold(s->m->inhibitor, lock);
        else
                inhibitor_release(s->m->inhibitor, lock);
}

/* Of both who ask: the way into a sleep, and the lock on the lid. */
static void on_power(const PowerSituation *situation, void *userdata) {
        Sleep *s = ASSERT_PTR(userdata);

        s->power = *situation;
        s->power_known = true;
        sleep_poke(s);
        if (s->lid_lock && !situation->lid_closed)
                set_lock(s, LOCK_LID, &s->lid_lock, false);
        if (s->lid_lock && sd_event_source_set_time_relative(s->lid_timer, LID_USEC) >= 0)
                (void) sd_event_source_set_enabled(s->lid_timer, SD_EVENT_ONESHOT);
}

bool sleep_power_is_known(Sleep *s) {
        int r = 0;

        if (!s->power_known && !s->power_asked)
                r = inhibitor_ask_power(s->m->inhibitor, on_power, s);
        s->power_asked = true;
        /* -EBUSY: the lock on the lid is asking. */
        if (r < 0 && r != -EBUSY)
                s->power_known = true;
        return s->power_known;
}

static int on_lid_timer(sd_event_source *source, uint64_t usec, void *userdata) {
        Sleep *s = ASSERT_PTR(userdata);

        if (s->lid_lock)
                (void) inhibitor_ask_power(s->m->inhibitor, on_power, s);
        return 0;
}

/* After a veto with the lid closed logind would try again, and be refused again, for ever. */
void sleep_hold_lid(Sleep *s) {
        set_lock(s, LOCK_LID, &s->lid_lock, true);
        s->lid_timer = sd_event_source_disable_unref(s->lid_timer);
        if (sd_event_add_time_relative(s->m->event, &s->lid_timer, CLOCK_MONOTONIC, LID_USEC, 0, on_lid_timer, s) < 0)
                (void) log_oom();
}

void sleep_on_gpu_changed(Sleep *s) {
        bool inhibit = false, assigned = false;

        LIST_FOREACH(gpus, g, s->m->gpus)
                if (g->state == GPU_ASSIGNED) {
                        assigned = true;
                        inhibit = inhibit || sleep_policy_of(g)->vm == VM_POLICY_INHIBIT;
                }
        set_lock(s, LOCK_VM, &s->vm_lock, inhibit);
        if (!assigned)
                set_lock(s, LOCK_LID, &s->lid_lock, false);
        if (!sleep_is_over(s))
                sleep_poke(s);
}
