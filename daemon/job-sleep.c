/* SPDX-License-Identifier: GPL-2.0-or-later */

/* job-sleep: a job and the sleep of the host.
 *
 * From the first write to the end the host does not sleep, except while the job waits for people, which may take
 * minutes. A sleep that begins then has the job undone (job_give_way()), as long as somebody holds the host for
 * that. When nobody does any more, the job writes nothing before the host has woken, neither forward nor back:
 * logind grants no lock until then (login/logind-dbus.c method_inhibit()), and a write that hangs would keep the
 * kernel from freezing the worker. Who has the lock goes on: somebody has overruled it, and half-way is no place
 * to sleep. */

#include "job-internal.h"

#include "inhibitor.h"
#include "util/log.h"

bool job_needs_lock(const Step *step) {
        const VerbInfo *info = verb_info(step->verb);

        return info->writes && info->executor != EXECUTOR_WAIT;
}

void job_lock_sleep(Job *j) {
        if (!j->locked)
                inhibitor_hold(j->gpu->host->inhibitor, LOCK_JOB);
        j->locked = true;
}

void job_unlock_sleep(Job *j) {
        if (j->locked)
                inhibitor_release(j->gpu->host->inhibitor, LOCK_JOB);
        j->locked = false;
}

bool job_must_hold(const Job *j, const Step *next) {
        return !j->locked && job_needs_lock(next) && j->gpu->host->asleep;
}

void job_hold(Job *j) {
        j->held = true;
        (void) free_and_strdup(&j->description, "wait until the host has slept and woken");
        job_log(j, LOG_INFO, NULL, NULL, "the host is about to sleep, so the job goes on when it has woken.");
        job_changed(j);
}

bool job_give_way(Job *j) {
        if (j->locked || !job_cancellable(j))
                return false;
        j->gives_way = true;
        job_cancel(j);
        return true;
}
