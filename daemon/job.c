/* SPDX-License-Identifier: GPL-2.0-or-later */

/* job: the way of one operation, stage by stage:
 *
 *      LOOK ──plan──▶ STEPS ──all done──▶ LOOK_AGAIN ──▶ over
 *        │              └──error──▶ UNDO ──────▲
 *        └── refused, or nothing to do ────────────────▶ over
 *
 * A reset, a recovery, or an attach of a card that is dead walks several plans, the rungs of the ladder, one after the other; each is
 * walked forward and then back, and the card is examined (MEASURE, CHECKUP) before the first and after each:
 * job-ladder.c.
 *
 * Every stage but the last can meet a step that does not return. Then the job ends as stuck for everybody who waits, but
 * the object stays (Gpu.stuck_job) with its worker; when that answers, the job comes back under a new id and undoes. */

#include "job.h"

#include "dbus/errors.h"
#include "dbus/names.h"
#include "failure.h"
#include "job-internal.h"
#include "util/log-ids.h"
#include "util/log.h"

/* Worker step numbers of the looks: no plan is that long. */
#define LOOK_NUMBER 900000U

static void job_next(Job *j);
static void on_run(const RunResult *result, void *userdata);
static int on_save(const char *line, void *userdata);

/* ---- stages ---- */

/* What has come back to the bus may be more than what was known when it left. */
static int add_slot(const Gpu *g, char ***addresses) {
        char text[PCI_ADDRESS_MAX];
        PciAddress a;
        int r;

        r = pci_address_parse(g->address, &a);
        for (a.function = 0; a.function < 8 && r >= 0; a.function++)
                if (!strv_contains(*addresses, pci_address_format(&a, text)))
                        r = strv_extend(addresses, text);
        return r;
}

int job_look(Job *j, JobStage stage) {
        _cleanup_strv_free_ char **addresses = NULL;
        int r;

        j->stage = stage;
        step_done(&j->look);
        j->look = (Step) {};
        r = gpu_scan_addresses(j->gpu, &addresses);
        if (r >= 0 && j->intent->rung >= 0)
                r = add_slot(j->gpu, &addresses);
        if (r >= 0)
                r = step_init(&j->look, VERB_SNAPSHOT, "-", addresses);
        j->look_began = host_look_begins(j->gpu->host);
        if (r >= 0)
                r = step_runner_run(j->runner, LOOK_NUMBER + (stage == STAGE_LOOK_AGAIN), &j->look);
        return r;
}

int job_measure(Job *j) {
        int r;

        j->stage = STAGE_MEASURE;
        step_done(&j->look);
        j->look = (Step) {};
        r = step_init(&j->look, VERB_MEASURE, j->gpu->functions[0], j->gpu->functions + 1);
        if (r >= 0)
                r = step_runner_run(j->runner, LOOK_NUMBER + 2, &j->look);
        return r;
}

static bool is_look(JobStage stage) {
        return stage == STAGE_LOOK || stage == STAGE_LOOK_AGAIN || stage == STAGE_MEASURE;
}

const Step *job_current_step(const Job *j) {
        const Plan *plan = j->stage == STAGE_UNDO ? j->undo : j->intent->plan;

        if (is_look(j->stage))
                return &j->look;
        return j->intent->begun > 0 && j->intent->begun <= plan->n ? plan->steps + j->intent->begun - 1 : NULL;
}

/* "HDMI-A-1,DP-1": where a screen is. NULL: nowhere. Newly allocated. */
static char *list_screens(const Function *f) {
        _cleanup_free_ char *list = NULL;

        for (size_t i = 0; i < f->n_connectors; i++) {
                _cleanup_free_ char *before = TAKE_PTR(list);

                if (!streq(f->connectors[i].status, "connected"))
                        list = TAKE_PTR(before);
                else if (asprintf(&list, "%s%s%s", strempty(before), before ? "," : "", f->connectors[i].name) < 0)
                        list = NULL;
        }
        return TAKE_PTR(list);
}

int job_collect_functions(Job *j) {
        char **functions = j->options.functions ?: j->gpu->functions;
        int r = 0;

        for (char **a = functions; *a && r >= 0; a++) {
                const Function *f = snapshot_find(j->gpu->host->snapshot, *a);
                _cleanup_free_ char *screens = f ? list_screens(f) : NULL;

                if (!strv_contains(j->intent->functions, *a))
                        r = strv_extend(&j->intent->functions, *a);
                if (screens && r >= 0)
                        r = saved_add(&j->intent->saved, *a, "screens", screens);
                for (size_t i = 0; f && i < f->n_nodes && r >= 0; i++)
                        if (startswith(f->nodes[i].path, "/dev/dri/"))
                                r = saved_add(&j->intent->saved, *a, "drm", "yes");
        }
        return r;
}

void job_begin_plan(Job *j) {
        int r;

        r = journal_write(j->gpu->host->run_dir, j->intent);
        if (r < 0) {
                (void) log_error_errno(r, "Failed to write down what job %u will do, so it does nothing: %m",
                                       j->intent->id);
                job_refuse(j, GPUPT_ERROR_FAILED,
                           "The job's journal in /run could not be written, so nothing was changed.");
                return;
        }
        j->undo = plan_free(j->undo);
        j->stage = STAGE_STEPS;
        j->state = JOB_RUNNING;
        job_next(j);
}

void job_make_plan_of(Job *j, Operation operation) {
        _cleanup_free_ char *message = NULL;
        _cleanup_(plan_freep) Plan *plan = NULL;
        PlanInput input;
        int r;

        /* Whom force may end is who was shown. An attach trusts no census but its own: the step that waits for the holders. */
        gpu_plan_input(j->gpu, j->shown, &input);
        r = plan_build(&input, operation, &j->options, &plan, &message);
        if (r > 0) {
                job_refuse(j, plan_refusal_error(r), message);
                return;
        }
        if (r < 0) {
                (void) log_error_errno(r, "Failed to make the plan of job %u, so it does nothing: %m", j->intent->id);
                job_refuse(j, GPUPT_ERROR_FAILED, "There was no memory for the plan, so nothing was changed.");
                return;
        }
        if (plan->n == 0) {
                job_over(j);
                return;
        }
        plan_free(j->intent->plan);
        j->intent->plan = TAKE_PTR(plan);
        job_begin_plan(j);
}

void job_make_plan(Job *j) {
        job_make_plan_of(j, j->intent->operation);
}

/* The first look is in. */
static void looked(Job *j) {
        _cleanup_free_ char *message = NULL;

        if (j->gpu->inconsistent) {
                message = gpu_describe_inconsistency(j->gpu);
                job_refuse(j, GPUPT_ERROR_INCONSISTENT, strempty(message));
        } else if (job_collect_functions(j) < 0)
                job_refuse(j, GPUPT_ERROR_FAILED, "There was no memory for the plan, so nothing was changed.");
        else
                ladder_looked(j);
}

static void turn_back(Job *j, const char *error, const char *message) {
        int r;

        r = intent_turn_back(j->intent, error, message);
        if (r >= 0)
                r = intent_undo_plan(j->intent, &j->undo);
        if (r < 0) {
                (void) log_oom();
                (void) free_and_strdup(&j->left_over, "everything (out of memory).");
                job_over(j);
                return;
        }
        j->stage = STAGE_UNDO;
        /* That a rung is walked back is its good end. */
        j->state = error ? JOB_ROLLING_BACK : JOB_RUNNING;
        job_next(j);
}

/* A bridge stays as it is while another GPU behind it needs it so: the last one restores it. */
static int without_shared_bridges(Job *j, const Step *step, Step *ret) {
        _cleanup_strv_free_ char **triples = NULL;
        size_t n = strv_length(step->arguments) + 1;
        int r = 0;

        for (size_t i = 0; i + 2 < n && r >= 0; i += 3) {
                const char *address = i == 0 ? step->target : step->arguments[i - 1];
                bool shared = j->gpu->host->listener.saved_elsewhere(j->gpu, address, "power-control",
                                                                     j->gpu->host->listener.userdata);

                r = strv_extend(&triples, address);
                for (size_t k = 0; k < 2 && r >= 0; k++)
                        r = strv_extend(&triples, shared ? "" : step->arguments[i + k]);
        }
        if (r < 0)
                return r;
        return step_init(ret, step->verb, step->target, triples ? triples + 1 : NULL);
}

static int write_down(Job *j) {
        int r = journal_write(j->gpu->host->run_dir, j->intent);

        if (r >= 0 || j->stage != STAGE_UNDO)
                return r;
        /* No room in /run is no reason to leave a card half-way. */
        log_warning_errno(r, "Failed to write down how far the undo of job %u is, going on: %m", j->intent->id);
        return 0;
}

/* Journal first, then the step. */
static int begin_step(Job *j, const Plan *plan) {
        const Step *step = plan->steps + j->intent->begun;
        int r = 0;

        j->intent->begun++;
        j->intent->worker_pid = 0;
        (void) sd_event_now(j->gpu->host->event, CLOCK_MONOTONIC, &j->step_began);
        if (verb_info(step->verb)->executor == EXECUTOR_WORKER) {
                r = step_runner_worker(j->runner, &j->intent->worker_pid);
                if (r >= 0)
                        r = process_start_time(j->intent->worker_pid, &j->intent->worker_start);
        }
        if (r >= 0)
                r = write_down(j);
        if (r < 0)
                return r;
        j->writes = j->writes || verb_info(step->verb)->writes;
        if (job_needs_lock(step))
                job_lock_sleep(j);
        else if (step->verb == VERB_SUSPEND)
                job_unlock_sleep(j);
        free(j->description);
        j->description = step_describe(step);
        job_log(j, LOG_DEBUG, NULL, step, strempty(j->description));
        if (step->verb == VERB_RESTORE_POWER) {
                step_done(&j->restore);
                r = without_shared_bridges(j, step, &j->restore);
                if (r < 0)
                        return r;
                step = &j->restore;
        }
        return step_runner_run(j->runner, (unsigned) intent_step_number(j->intent, j->intent->begun - 1), step);
}

static void step_over(Job *j, const Step *step, int error, const char *text);

/* All is done, and hooks are being told so: nothing is taken back any more. */
static bool is_settled(const Job *j) {
        const Intent *intent = j->intent;

        return j->stage == STAGE_STEPS && intent->done < intent->plan->n && step_is_epilogue(intent->plan->steps + intent->done) &&
               (intent->begun > intent->done || (intent->done > 0 && step_is_epilogue(intent->plan->steps + intent->done - 1)));
}

/* Somebody wants it to end: its caller, or the host that is about to sleep. */
static void end_early(Job *j, const Step *step) {
        _cleanup_free_ char *message = NULL;

        if (j->gives_way) {
                turn_back(j, GPUPT_ERROR_SLEEP_IN_PROGRESS,
                          "The host is about to sleep. Try again when it has woken.");
                return;
        }
        (void) failure_describe(j->intent->operation, j->gpu->address, step, -ECANCELED, "", &message);
        turn_back(j, GPUPT_ERROR_CANCELLED, message);
}

/* What did not run is not started; and on the way up a rung no screen is waited for. */
static bool is_void(const Job *j, const Step *step) {
        if (step->verb == VERB_WAIT_SCREEN)
                return j->stage == STAGE_STEPS && j->intent->rung >= 0;
        return step->verb == VERB_RETURN_UNIT &&
               !streq(strempty(saved_get(&j->intent->saved, step->target, "active")), "yes");
}

static void job_next(Job *j) {
        const Plan *plan = j->stage == STAGE_UNDO ? j->undo : j->intent->plan;
        int r;

        if (j->stage == STAGE_STEPS && j->cancelled && j->intent->begun < plan->n && !is_settled(j)) {
                end_early(j, plan->steps);
                return;
        }
        if (j->intent->begun >= plan->n && j->stage == STAGE_STEPS && j->intent->rung >= 0) {
                /* What a sick card makes the kernel say while it is led away from its driver is said of the illness, not
                 * of the rung; and a rung that failed before its end has ended nothing. */
                j->since = j->step_began;
                turn_back(j, NULL, NULL);
                return;
        }
        if (j->intent->begun >= plan->n) {
                r = job_look(j, STAGE_LOOK_AGAIN);
                if (r < 0)
                        job_over(j);
                else
                        job_changed(j);
                return;
        }
        if (is_void(j, plan->steps + j->intent->begun)) {
                j->intent->done = ++j->intent->begun;
                job_next(j);
                return;
        }
        if (job_must_hold(j, plan->steps + j->intent->begun)) {
                job_hold(j);
                return;
        }
        r = begin_step(j, plan);
        if (r < 0) {
                step_over(j, plan->steps + j->intent->begun - 1, r, "starting the step");
                return;
        }
        job_changed(j);
}

static void note_failed(char **list, const Step *step, int error, const char *text) {
        _cleanup_free_ char *all = NULL, *what = step_describe(step), *cause = failure_cause(error, text);

        if (asprintf(&all, "%s%s%s (%s)", strempty(*list), *list ? "; " : "", strempty(what), strempty(cause)) < 0) {
                (void) log_oom();
                return;
        }
        free(*list);
        *list = TAKE_PTR(all);
}

static void note_unstarted(Job *j, const Step *step, int error, const char *text) {
        note_failed(&j->unstarted, step, error, text);
        if (step->verb != VERB_XORG_FILES && strv_extend(&j->unstarted_units, step->target) < 0)
                (void) log_oom();
}

/* The card is back by then, and somebody waits for a picture: to take it away again would make things worse. */
static bool is_afterwards(const Job *j, const Step *step) {
        return j->intent->operation == OPERATION_ATTACH &&
               (step->verb == VERB_START_UNIT || step->verb == VERB_RETURN_UNIT || step->verb == VERB_XORG_FILES);
}

/* Its administrator rather has the card moved; and what is done is done. */
static bool may_fail(const Job *j, const Step *hook) {
        return step_is_optional(hook) || j->gpu->host->config->hook_on_error == HOOK_ERROR_CONTINUE;
}

/* What went wrong with a hook, for whoever waits for the job, and for the log. */
static void note_hook(Job *j, const Step *step, int error, const char *text) {
        _cleanup_free_ char *cause = failure_cause_of(step, error, text), *all = NULL, *line = NULL;
        char *const *a = step->arguments;

        if (asprintf(&line, "the hook %s has failed (%s %s): %s", step->target, a ? a[HOOK_WHEN] : "", a ? a[HOOK_ACT] : "", strempty(cause)) < 0 ||
            asprintf(&all, "%s%s%s", strempty(j->unheard), j->unheard ? "; " : "", line) < 0) {
                (void) log_oom();
                return;
        }
        job_log(j, LOG_WARNING, MESSAGE_ID_HOOK_FAILED, step, line);
        free(j->unheard);
        j->unheard = TAKE_PTR(all);
}

/* What cannot be undone on a device that is gone need not be: its attributes went with it. */
static bool is_moot(int error) {
        return error == -ENODEV || error == -ENXIO || error == -ENOENT;
}

static void step_over(Job *j, const Step *step, int error, const char *text) {
        if (step->verb == VERB_CHECK && j->stage == STAGE_STEPS)
                gpu_note_alive(j->gpu, error != -EHOSTDOWN);
        if (error < 0 && step->verb == VERB_HOOK && may_fail(j, step)) {
                if (!is_moot(error) || j->stage != STAGE_UNDO)
                        note_hook(j, step, error, text);
                error = 0;
        }
        if (j->stage == STAGE_UNDO) {
                if (error < 0 && !is_moot(error) && !step_is_optional(step)) {
                        note_failed(&j->left_over, step, error, text);
                        job_log(j, LOG_ERR, NULL, step, j->left_over);
                }
                j->intent->done = j->intent->begun;
                job_next(j);
                return;
        }
        if (error == -ECANCELED && j->gives_way) {
                end_early(j, step);
                return;
        }
        if (error < 0) {
                _cleanup_free_ char *message = NULL;
                const char *name;

                name = failure_describe(j->intent->operation, j->gpu->address, step, error, text, &message);
                job_log(j, LOG_DEBUG, NULL, step, strempty(message));
                if (step_is_optional(step))
                        job_log(j, LOG_NOTICE, NULL, step, strempty(message));
                else if (is_afterwards(j, step))
                        note_unstarted(j, step, error, text);
                else if (ladder_takes_failure(j, step, error, text)) {
                        turn_back(j, NULL, NULL);
                        return;
                } else {
                        turn_back(j, name, strempty(message));
                        return;
                }
        }
        j->intent->done = j->intent->begun;
        job_next(j);
}

/* ---- what comes back ---- */

/* What another GPU behind the same bridge has saved is older than what it has made of it. */
static int take_line(Job *j, const Step *step, char *const *words) {
        if (streq(words[0], "saved") && strv_length(words) == 4) {
                const char *older = j->gpu->host->listener.saved_elsewhere(j->gpu, words[1], words[2],
                                                                           j->gpu->host->listener.userdata);

                if (older)
                        return saved_add(&j->intent->saved, words[1], words[2], older);
        }
        if (streq(words[0], "saved"))
                return saved_read_line(&j->intent->saved, words);
        if (step->verb == VERB_PROBE && streq(words[0], "driver") && strv_length(words) == 2)
                return saved_add(&j->intent->saved, step->target, "probed", words[1]);
        return 0;
}

/* Without these nothing may be changed: what the undo does not know it would leave, or clear. */
static int check_saved(const Job *j, const Step *step) {
        if (!saved_get(&j->intent->saved, step->target, "driver"))
                return -EBADMSG;
        for (char **a = step->arguments; a && *a; a++)
                if (!saved_get(&j->intent->saved, *a, "driver"))
                        return -EBADMSG;
        return 0;
}

static int take_data(Job *j, const Step *step, const char *data, size_t size) {
        WordsReader reader = { .text = data, .size = size };
        int r;

        if (step->verb == VERB_RELEASE_CONSOLE)
                return saved_add(&j->intent->saved, step->target, "console", "bound");
        for (;;) {
                _cleanup_strv_free_ char **words = NULL;

                r = words_reader_next(&reader, &words);
                if (r < 0)
                        return r;
                if (r == 0)
                        return step->verb == VERB_SAVE ? check_saved(j, step) : 0;
                r = take_line(j, step, words);
                if (r < 0)
                        return r;
        }
}

static int on_save(const char *line, void *userdata) {
        Job *j = ASSERT_PTR(userdata);
        int r;

        r = take_data(j, job_current_step(j), line, strlen(line));
        return r < 0 ? r : write_down(j);
}

int job_new_runner(Job *j) {
        return step_runner_new(j->gpu, j->intent->id, on_run, on_save, j, &j->runner);
}

/* The new file before the old one goes. Where there is no room for it, the job keeps its number. */
static void renumber(Job *j) {
        const char *run_dir = j->gpu->host->run_dir;
        Intent old = { .id = j->intent->id };
        int r;

        r = journal_next_id(run_dir, &j->gpu->host->last_job);
        if (r >= 0) {
                j->intent->id = j->gpu->host->last_job;
                j->intent->replaces = old.id;
                r = journal_write(run_dir, j->intent);
        }
        if (r >= 0)
                r = journal_remove(run_dir, &old);
        else
                j->intent->id = old.id;
        if (r < 0)
                log_warning_errno(r,
                                  "Failed to give the rest of job %u a number and a journal of its own, going on: %m",
                                  old.id);
}

/* The kernel let go. The job had ended, so what is left of it is a new one. */
static int job_come_back(Job *j, JobStage stage) {
        Host *h = j->gpu->host;
        int r;

        job_log(j, LOG_NOTICE, MESSAGE_ID_GPU_UNSTUCK, NULL,
                "the kernel call has returned; what the job had changed is undone.");
        j->gpu->stuck_job = NULL;
        j->gpu->job = j;
        free(j->gpu->stuck);
        j->gpu->stuck = NULL;
        /* The worker's results bear the old number, so it is not used on. */
        j->runner = step_runner_free(j->runner);
        j->intent->worker_pid = 0;
        renumber(j);
        r = job_new_runner(j);
        j->stage = stage;
        j->state = JOB_ROLLING_BACK;
        h->listener.job_started(j, h->listener.userdata);
        return r;
}

/* Before the plan, between two rungs, or behind the last step: there is nothing to undo, and what was seen is old. */
static void come_back_from_look(Job *j, JobStage stage) {
        int r = job_come_back(j, stage);

        if (r < 0)
                log_error_errno(r, "Failed to take job %u up again: %m", j->intent->id);
        gpu_look(j->gpu);
        (void) gpu_scan(j->gpu);
        job_refuse(j, GPUPT_ERROR_STUCK, "A kernel call had not returned in its time.");
}

static void note_slow(const Job *j) {
        const Step *step = job_current_step(j);
        bool kernel = verb_info(step->verb)->executor == EXECUTOR_WORKER;

        job_log(j, LOG_WARNING, NULL, step,
                kernel ? "a step takes longer than usual, waiting for the kernel" : "a step takes longer than usual");
}

static void on_run(const RunResult *result, void *userdata) {
        Job *j = ASSERT_PTR(userdata);
        _cleanup_free_ char *text = NULL;
        const Step *step;
        JobStage stage;
        int error = result->error, r = 0;

        stage = j->stage != STAGE_OVER ? j->stage : j->stuck_in;
        if (result->event == RUN_SLOW) {
                note_slow(j);
                return;
        }
        if (result->event == RUN_WAITS) {
                job_unlock_sleep(j);
                return;
        }
        if (result->event == RUN_STUCK) {
                j->stuck_in = j->stage;
                job_end_stuck(j);
                return;
        }

        j->census = census_waiter_free(j->census);
        if (is_look(stage) && j->stage == STAGE_OVER) {
                come_back_from_look(j, stage);
                return;
        }
        if (stage == STAGE_MEASURE) {
                ladder_measured(j, error, result->data, result->size);
                return;
        }
        if (is_look(stage)) {
                if (error >= 0)
                        error = host_take_snapshot(j->gpu->host, j->look_began, j->gpu->address, result->data,
                                                   result->size, j->look.arguments);
                if (error < 0)
                        log_warning_errno(error, "Failed to look at %s (%s): %m", j->gpu->address, result->text);
                if (stage == STAGE_LOOK_AGAIN)
                        ladder_walked(j);
                else if (error < 0)
                        job_refuse(j, GPUPT_ERROR_FAILED,
                                   "The state of the GPU could not be read, so nothing was changed.");
                else
                        looked(j);
                return;
        }

        text = strdup(result->text);
        step = (stage == STAGE_UNDO ? j->undo : j->intent->plan)->steps + j->intent->begun - 1;
        /* Also of a step that failed: what it saved before is needed to undo it. */
        r = take_data(j, step, result->data, result->size);
        if (r < 0 && error >= 0)
                error = r;
        if (j->stage == STAGE_OVER) {
                r = job_come_back(j, stage);
                if (r < 0)
                        log_error_errno(r, "Failed to take job %u up again: %m", j->intent->id);
                if (stage == STAGE_STEPS) {
                        turn_back(j, GPUPT_ERROR_STUCK, "A kernel call had not returned in its time.");
                        return;
                }
        } else if (j->state == JOB_STUCK)
                j->state = stage == STAGE_UNDO ? JOB_ROLLING_BACK : JOB_RUNNING;
        step_over(j, step, error, strempty(text));
}

/* A step that was in flight is done again if nothing tells how it went: every verb can be done twice. */
static int resume_step(Job *j) {
        _cleanup_free_ char *data = NULL, *text = NULL;
        const Plan *plan = j->stage == STAGE_UNDO ? j->undo : j->intent->plan;
        size_t number;
        const Step *step;
        int error, r;

        if (j->intent->begun == 0 || j->intent->begun > plan->n)
                return 0;
        step = plan->steps + j->intent->begun - 1;
        number = intent_step_number(j->intent, j->intent->begun - 1);
        if (j->intent->worker_pid > 0) {
                r = step_runner_adopt(j->runner, j->intent->worker_pid, j->intent->worker_start, (unsigned) number,
                                      step);
                if (r >= 0) {
                        if (job_needs_lock(step))
                                job_lock_sleep(j);
                        return 1;
                }
        }
        /* A host that may have slept for this already does not do it twice. */
        if (j->intent->done == j->intent->begun || step->verb == VERB_SUSPEND) {
                j->intent->done = j->intent->begun;
                return 0;
        }
        r = journal_read_result(j->gpu->host->run_dir, j->intent->id, number, &data, &error, &text);
        if (r < 0 || error > 0)
                j->intent->begun--;
        else if (take_data(j, step, data, strlen(data)) < 0)
                j->intent->begun--;
        else
                j->intent->done = j->intent->begun;
        return 0;
}

/* That nobody held the card was long ago: it is waited for again. */
static void step_back_to_wait(Job *j) {
        const Intent *intent = j->intent;
        const Step *step = job_current_step(j);

        if (j->stage == STAGE_STEPS && intent->done == intent->begun && step &&
            (step->verb == VERB_WAIT_ASKED || step->verb == VERB_WAIT_FREE))
                j->intent->begun = --j->intent->done;
}

void job_continue(Job *j) {
        bool settled = is_settled(j), in_flight = j->intent->begun > j->intent->done;
        const Step *step = job_current_step(j);
        size_t begun = j->intent->begun;

        if (resume_step(j) > 0)
                return;
        /* Whoever was told something is not forgotten; after the hooks it is looked again anyway. */
        if (!in_flight || !step || step->verb != VERB_HOOK)
                step_back_to_wait(j);
        /* A daemon that died over this twice would do so again: take it back; or, where nothing is taken back any more, do without. */
        if (settled && in_flight && j->intent->restarts > 1)
                j->intent->begun = ++j->intent->done;
        if (settled)
                job_next(j);
        else if (j->stage == STAGE_STEPS && j->intent->restarts > 1) {
                /* The step that was begun may have been done. */
                j->intent->begun = begun;
                turn_back(j, GPUPT_ERROR_FAILED, "The daemon ended unexpectedly more than once during this job.");
        } else
                job_next(j);
}

bool job_cancellable(const Job *j) {
        return !j->cancelled && (j->stage == STAGE_LOOK || j->stage == STAGE_STEPS) && j->state != JOB_STUCK && !is_settled(j);
}

void job_cancel(Job *j) {
        if (!job_cancellable(j))
                return;
        j->cancelled = true;
        job_changed(j);
        if (j->held) {
                /* Where there is nothing to undo it is over; else the undo is held. */
                j->held = false;
                job_next(j);
                return;
        }
        (void) step_runner_cancel_wait(j->runner);
}

void job_woken(Job *j) {
        if (!j->held)
                return;
        j->held = false;
        step_back_to_wait(j);
        job_next(j);
}
