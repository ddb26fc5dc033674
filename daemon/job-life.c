/* SPDX-License-Identifier: GPL-2.0-or-later */

/* job-life: how a job comes into being, of a caller's wish or of what a dead daemon has written down, what the bus is shown of
 * it, and its end as an object. What it does in between is in job.c. */

#include "job-internal.h"

#include "util/log-ids.h"
#include "util/log.h"

/* Where it is: steps of the plan, then of the undo. */
static void job_view(const JobFace *f, JobView *ret) {
        const Job *j = (const Job *) ((const char *) f - offsetof(Job, face));
        const Intent *intent = j->intent;

        *ret = (JobView) {
                .id = intent->id,
                .gpu = j->gpu,
                .operation = intent->operation,
                .state = j->state,
                .step = (unsigned) (intent->base + intent->begun + (intent->phase == PHASE_UNDO ? intent->plan->n : 0)),
                .steps = (unsigned) (intent->base + intent->plan->n + (j->undo ? j->undo->n : 0)),
                .description = j->description,
                .cancellable = job_cancellable(j),
                .result = j->result,
                .error = j->error,
                .message = j->message,
        };
}

static int job_alloc(Gpu *g, Job **ret) {
        Job *j = calloc(1, sizeof(Job));

        if (!j)
                return -ENOMEM;
        *j = (Job) { .face = { .view = job_view }, .gpu = g, .state = JOB_WAITING, .error = "", .helped = _RUNG_INVALID };
        (void) sd_event_now(g->host->event, CLOCK_MONOTONIC, &j->since);
        j->step_began = j->since;
        *ret = j;
        return 0;
}

static void log_begun(const Job *j) {
        char text[64];

        (void) snprintf(text, sizeof(text), "%s begins (job %u, for uid %u).",
                        operation_to_string(j->intent->operation), j->intent->id, j->intent->uid);
        job_log(j, LOG_INFO, MESSAGE_ID_JOB_BEGUN, NULL, text);
}

int job_new(Gpu *g, Operation operation, PlanOptions *options, uint32_t uid, Holders *shown, Job **ret) {
        _cleanup_(job_freep) Job *j = NULL;
        uint32_t worker;
        unsigned id;
        int r;

        assert(!g->job);
        r = job_alloc(g, &j);
        if (r < 0)
                return r;
        r = journal_next_id(g->host->run_dir, &g->host->last_job);
        if (r < 0)
                return r;
        id = g->host->last_job;
        j->intent = intent_new(id, operation, g->address, uid);
        if (!j->intent)
                return -ENOMEM;
        j->intent->access = options->access;
        j->intent->access_uid = options->uid;
        j->intent->vm_phase = options->phase;
        if (options->vm) {
                j->intent->vm = strdup(options->vm);
                if (!j->intent->vm)
                        return -ENOMEM;
        }
        r = job_new_runner(j);
        if (r < 0)
                return r;
        /* It starts while a reader looks. */
        r = step_runner_worker(j->runner, &worker);
        if (r >= 0)
                r = job_look(j, STAGE_LOOK);
        if (r < 0)
                return r;
        j->description = strdup("Looking at the GPU");
        j->options = *options;
        *options = (PlanOptions) {};
        j->shown = shown;
        g->job = j;
        log_begun(j);
        *ret = TAKE_PTR(j);
        return 0;
}

/* Its last plan, after which the card is with VFIO: see close_recovery(). */
static bool is_closing(const Intent *intent) {
        bool phase = intent->operation == OPERATION_PHASE && vm_phase_heals(intent->vm_phase);

        return intent->rung < 0 &&
               (phase || intent->operation == OPERATION_RESET || intent->operation == OPERATION_RECOVER);
}

int job_resume(Gpu *g, Intent *intent, Job **ret) {
        _cleanup_(job_freep) Job *j = NULL;
        int r;

        assert(!g->job);
        r = job_alloc(g, &j);
        if (r < 0)
                return r;
        j->intent = intent;
        j->intent->restarts++;
        j->resumed = true;
        j->closing = j->to_vfio = is_closing(intent);
        j->options.phase = intent->vm_phase;
        g->host->last_job = MAX(g->host->last_job, intent->id);
        for (size_t i = 0; i < intent->plan->n; i++)
                j->writes = j->writes || (i < intent->begun && verb_info(intent->plan->steps[i].verb)->writes);
        j->writes = j->writes || intent->phase == PHASE_UNDO;
        r = job_new_runner(j);
        if (r >= 0 && intent->phase == PHASE_UNDO)
                r = intent_undo_plan(intent, &j->undo);
        if (r < 0) {
                j->intent = NULL;
                return r;
        }
        g->job = j;
        j->stage = intent->phase == PHASE_UNDO ? STAGE_UNDO : STAGE_STEPS;
        j->state = intent->phase == PHASE_UNDO ? JOB_ROLLING_BACK : JOB_RUNNING;
        job_log(j, LOG_NOTICE, MESSAGE_ID_JOB_RECOVERED, NULL,
                "going on with a job that the last daemon left unfinished.");
        *ret = TAKE_PTR(j);
        return 0;
}

Job *job_free(Job *j) {
        if (!j)
                return NULL;
        if (j->gpu->job == j)
                j->gpu->job = NULL;
        if (j->gpu->stuck_job == j)
                j->gpu->stuck_job = NULL;
        census_waiter_free(j->census);
        checkup_free(j->checkup);
        step_runner_free(j->runner);
        intent_free(j->intent);
        plan_options_done(&j->options);
        holders_free(j->shown);
        free(j->sender);
        step_done(&j->look);
        step_done(&j->restore);
        plan_free(j->undo);
        free(j->description);
        free(j->left_over);
        free(j->unstarted);
        free(j->unheard);
        strv_free(j->unstarted_units);
        free(j->failure);
        free(j->message);
        free(j);
        return NULL;
}
