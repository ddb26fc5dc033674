/* SPDX-License-Identifier: GPL-2.0-or-later */

/* job-record: what a job leaves in RUN_DIR for the attach that will come: see host-record.h. */

#include "job-internal.h"

/* Into the record goes what the host had given a function. One that was with VFIO before this job has its driver, override
 * and power from whoever bound it there. Values that an earlier detach has recorded are older, and stay; but driver and
 * override are the last ones that the host had on it, should somebody have brought it back meanwhile (who is not a recovery,
 * on the way back to VFIO). */
static int remember_value(const Job *j, const SavedValue *v) {
        HostRecord *record = j->gpu->record;
        const Saved *saved = &j->intent->saved;
        const char *driver = saved_get(saved, v->subject, "driver");
        bool binding = streq(v->key, "driver") || streq(v->key, "override");

        if (driver_is_vfio(driver) && (binding || streq(v->key, "power-control")))
                return 0;
        return binding && !isempty(driver) && !j->closing ? saved_replace(&record->saved, v->subject, v->key, v->value)
                                           : saved_add(&record->saved, v->subject, v->key, v->value);
}

/* Whom the card was taken from the host for: the VM that is about to start, if this job has taken it (and not only found it
 * again: a ladder brings it back with whatever driver the rescan gave it). What somebody else has detached is not the VM's to
 * give back; what was taken for a VM that has gone without a word, is the next one's. */
static int remember_vm(const Job *j, bool is_new) {
        const Intent *intent = j->intent;
        const char *was = saved_get(&intent->saved, j->gpu->address, "driver");
        bool taken = was && !driver_is_vfio(was) && (is_new || intent->n_attempts == 0);
        Saved *saved = &j->gpu->record->saved;

        if (intent->operation != OPERATION_PHASE || intent->vm_phase != PHASE_PRE_START ||
            (!taken && !saved_get(saved, j->gpu->address, HOST_RECORD_TAKEN_FOR)))
                return 0;
        return saved_replace(saved, j->gpu->address, HOST_RECORD_TAKEN_FOR, strempty(intent->vm));
}

/* What a done detach, or one that could not be undone, leaves for the attach that will restore it. */
int job_remember_host(Job *j) {
        static const char *const keys[] = { "driver",       "override", "power-control", "d3cold",
                                            "reset-method", "drm",      "screens",       "console" };
        Gpu *g = j->gpu;
        bool is_new = !g->record;
        int r = 0;

        if (j->intent->saved.n == 0 && !j->intent->access)
                return 0;
        if (!g->record) {
                g->record = host_record_new(g->address, strempty(g->identity));
                if (!g->record)
                        return -ENOMEM;
        }
        for (char **a = j->intent->functions; a && *a && r >= 0; a++)
                if (!strv_contains(g->record->functions, *a))
                        r = strv_extend(&g->record->functions, *a);
        for (size_t i = 0; i < j->intent->saved.n && r >= 0; i++) {
                const SavedValue *v = j->intent->saved.list + i;

                for (size_t k = 0; k < ELEMENTSOF(keys) && r >= 0; k++)
                        if (streq(v->key, keys[k]))
                                r = remember_value(j, v);
                if (r >= 0 && streq(v->key, "active") && streq(v->value, "yes") &&
                    !plan_has(j->intent->plan, VERB_RETURN_UNIT, v->subject) &&
                    !strv_contains(g->record->units, v->subject))
                        r = strv_extend(&g->record->units, v->subject);
        }
        for (size_t i = 0; i < j->intent->plan->n && r >= 0; i++) {
                const Step *s = j->intent->plan->steps + i;

                if (s->verb == VERB_UNLOAD && !strv_contains(g->record->modules, s->target))
                        r = strv_extend(&g->record->modules, s->target);
        }
        if (j->intent->access) {
                g->record->access = true;
                g->record->access_uid = j->intent->access_uid;
        }
        if (r >= 0)
                r = remember_vm(j, is_new);
        return r < 0 ? r : host_record_store(g->host->run_dir, g->record);
}

/* After a done attach nothing is left to restore, or only what a later attach of the other functions will. */
int job_forget_host(Job *j) {
        Gpu *g = j->gpu;
        _cleanup_strv_free_ char **left = NULL;
        int r;

        if (!g->record || g->record_unfit)
                return 0;
        for (char **a = g->record->functions; a && *a; a++)
                if (!strv_contains(j->intent->functions, *a)) {
                        r = strv_extend(&left, *a);
                        if (r < 0)
                                return r;
                }
        if (left) {
                strv_free(g->record->functions);
                g->record->functions = TAKE_PTR(left);
                return host_record_store(g->host->run_dir, g->record);
        }
        g->record = host_record_free(g->record);
        return host_record_remove(g->host->run_dir, g->address);
}
