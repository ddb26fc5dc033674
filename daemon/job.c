/* SPDX-License-Identifier: GPL-2.0-or-later */

/* job: the way of one operation, stage by stage:
 *
 *      LOOK ──plan──▶ STEPS ──all done──▶ LOOK_AGAIN ──▶ over
 *        │              └──error──▶ UNDO ──────▲
 *        └── refused, or nothing to do ────────────────▶ over
 *
 * Every stage but the last can meet a step that does not return. Then the job ends as stuck for everybody who waits, but
 * the object stays (Gpu.stuck_job) with its worker; when that answers, the job comes back under a new id and undoes. */

#include "job.h"

#include <stdarg.h>
#include <time.h>

#include "dbus/errors.h"
#include "dbus/names.h"
#include "failure.h"
#include "inhibitor.h"
#include "util/fs.h"
#include "util/log-ids.h"
#include "util/log.h"

/* Worker step numbers of the looks: no plan is that long. */
#define LOOK_NUMBER 900000U

static void job_next(Job *j);
static void on_run(const RunResult *result, void *userdata);
static int on_save(const char *line, void *userdata);

/* ---- sleep ---- */

/* From the first write to the end the host does not sleep, except while the job waits for people, which may take
 * minutes. A sleep that begins then finds the card whole, with its host drivers, and the job writes nothing before the host
 * has woken, neither forward nor back: logind grants no lock until then (login/logind-dbus.c method_inhibit()), and a write that
 * hangs would keep the kernel from freezing the worker. Who has the lock goes on: somebody has overruled it, and half-way
 * is no place to sleep. */

static bool needs_lock(const Step *step) {
        const VerbInfo *info = verb_info(step->verb);

        return info->writes && info->executor != EXECUTOR_WAIT;
}

static void lock_sleep(Job *j) {
        if (!j->locked)
                inhibitor_hold(j->gpu->host->inhibitor);
        j->locked = true;
}

static void unlock_sleep(Job *j) {
        if (j->locked)
                inhibitor_release(j->gpu->host->inhibitor);
        j->locked = false;
}

/* ---- log ---- */

static void job_log(const Job *j, int level, const char *message_id, const Step *step, const char *text) {
        char id[16];

        (void) snprintf(id, sizeof(id), "%u", j->intent->id);
        (void) log_with(level, 0, message_id,
                        LOG_FIELDS({ GPUPT_FIELD_GPU, j->gpu->address }, { GPUPT_FIELD_JOB, id },
                                   { GPUPT_FIELD_OPERATION, operation_to_string(j->intent->operation) },
                                   { GPUPT_FIELD_STEP, step ? verb_to_string(step->verb) : NULL },
                                   { GPUPT_FIELD_FUNCTION, step && pci_address_valid(step->target) ? step->target : NULL },
                                   { GPUPT_FIELD_RESULT, j->stage == STAGE_OVER ? job_result_to_string(j->result) : NULL },
                                   { GPUPT_FIELD_ERROR, j->stage == STAGE_OVER ? j->error : NULL }),
                        "%s%s%s", startswith(text, j->gpu->address) ? "" : j->gpu->address,
                        startswith(text, j->gpu->address) ? "" : ": ", text);
}

static void job_changed(Job *j) {
        j->gpu->host->listener.job_changed(j, j->gpu->host->listener.userdata);
}

/* ---- over ---- */

static void set_message(Job *j, const char *format, ...) _printf_(2, 3);
static void set_message(Job *j, const char *format, ...) {
        va_list ap;

        free(j->message);
        va_start(ap, format);
        if (vasprintf(&j->message, format, ap) < 0)
                j->message = NULL;
        va_end(ap);
}

static void log_result(const Job *j) {
        const char *id = MESSAGE_ID_JOB_DONE;
        int level = LOG_INFO;

        if (j->result == RESULT_FAILED) {
                id = j->left_over ? MESSAGE_ID_GPU_PARTIAL : streq(j->error, GPUPT_ERROR_IN_USE) ? MESSAGE_ID_HOLDERS_REFUSED
                                                                                                  : MESSAGE_ID_JOB_FAILED;
                level = j->left_over ? LOG_ERR : LOG_WARNING;
        } else if (j->result == RESULT_ROLLED_BACK || j->result == RESULT_CANCELLED) {
                id = streq(j->error, GPUPT_ERROR_IN_USE) ? MESSAGE_ID_HOLDERS_REFUSED : MESSAGE_ID_JOB_ROLLED_BACK;
                level = LOG_WARNING;
        } else if (j->result == RESULT_STUCK) {
                id = MESSAGE_ID_GPU_STUCK;
                level = LOG_ERR;
        }
        job_log(j, level, id, NULL, strempty(j->message));
}

/* Tells everybody. The listener frees the job, except a stuck one. */
static void job_announce_end(Job *j) {
        Gpu *g = j->gpu;
        struct timespec now;

        log_result(j);
        (void) clock_gettime(CLOCK_REALTIME, &now);
        g->last_job.id = j->intent->id;
        g->last_job.operation = j->intent->operation;
        g->last_job.result = j->result;
        g->last_job.realtime_usec = (uint64_t) now.tv_sec * 1000000 + (uint64_t) now.tv_nsec / 1000;
        (void) free_and_strdup(&g->last_job.error, j->error);
        (void) free_and_strdup(&g->last_job.message, strempty(j->message));
        g->job = NULL;
        if (j->result == RESULT_STUCK) {
                g->stuck_job = j;
                gpu_set_stuck(g, j->message);
        } else
                gpu_update(g);
        g->host->listener.job_ended(j, g->host->listener.userdata);
}

/* Into the record goes what the host had given a function. One that was with VFIO before this job has its driver, override
 * and power from whoever bound it there. Values that an earlier detach has recorded are older, and stay; but driver and
 * override are the last ones that the host had on it, should somebody have brought it back meanwhile. */
static int remember_value(HostRecord *record, const Saved *saved, const SavedValue *v) {
        const char *driver = saved_get(saved, v->subject, "driver");
        bool binding = streq(v->key, "driver") || streq(v->key, "override");

        if (driver_is_vfio(driver) && (binding || streq(v->key, "power-control")))
                return 0;
        return binding && !isempty(driver) ? saved_replace(&record->saved, v->subject, v->key, v->value)
                                           : saved_add(&record->saved, v->subject, v->key, v->value);
}

/* What a done detach, or one that could not be undone, leaves for the attach that will restore it. */
static int remember_host(Job *j) {
        static const char *const keys[] = { "driver", "override", "power-control", "d3cold", "reset-method", "drm", "console" };
        Gpu *g = j->gpu;
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
                                r = remember_value(g->record, &j->intent->saved, v);
                if (r >= 0 && streq(v->key, "active") && streq(v->value, "yes") && !strv_contains(g->record->units, v->subject))
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
        return r < 0 ? r : host_record_store(g->host->run_dir, g->record);
}

/* After a done attach nothing is left to restore, or only what a later attach of the other functions will. */
static int forget_host(Job *j) {
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

static void job_over(Job *j) {
        const char *where = j->intent->operation == OPERATION_DETACH ? "its VFIO driver" : "the host";
        bool undone = j->intent->phase == PHASE_UNDO;
        int r = 0;

        j->stage = STAGE_OVER;
        j->error = strempty(j->intent->error);
        if (!undone && !j->intent->error) {
                j->result = RESULT_DONE;
                if (j->intent->plan->n == 0)
                        set_message(j, "Nothing to do: %s is with %s already.", j->gpu->address, where);
                else
                        set_message(j, "%s is now with %s.", j->gpu->address, where);
        } else if (j->left_over) {
                j->result = RESULT_FAILED;
                set_message(j, "%s What could not be undone: %s", strempty(j->intent->message), j->left_over);
        } else if (j->cancelled) {
                j->result = RESULT_CANCELLED;
                set_message(j, "%s%s", strempty(j->intent->message), j->writes ? " Everything was undone." : "");
        } else {
                j->result = j->writes ? RESULT_ROLLED_BACK : RESULT_FAILED;
                set_message(j, "%s%s", strempty(j->intent->message), j->writes ? " Everything was undone." : "");
        }

        /* Not of a card that was detached and is with the host again, whoever did that: there is nothing to restore then. */
        if (j->intent->operation == OPERATION_DETACH && j->intent->plan->n > 0 &&
            (j->left_over || (j->result == RESULT_DONE && j->gpu->state != GPU_HOST)))
                r = remember_host(j);
        else if (j->intent->operation == OPERATION_ATTACH && j->result == RESULT_DONE && j->intent->plan->n > 0)
                r = forget_host(j);
        if (r < 0)
                log_error_errno(r, "Failed to write the record of %s, so the journal of job %u stays: %m", j->gpu->address,
                                j->intent->id);
        else
                r = journal_remove(j->gpu->host->run_dir, j->intent);
        if (r < 0)
                log_warning_errno(r, "The journal of job %u is still there, ignoring: %m", j->intent->id);
        unlock_sleep(j);
        /* The worker ends with its socket. */
        j->runner = step_runner_free(j->runner);
        job_announce_end(j);
}

/* The job ends without a step, for a reason that is no step's. */
static void job_refuse(Job *j, const char *error, const char *message) {
        (void) free_and_strdup(&j->intent->error, error);
        (void) free_and_strdup(&j->intent->message, message);
        job_over(j);
}

/* ---- stages ---- */

static int look(Job *j, JobStage stage) {
        int r;

        j->stage = stage;
        step_done(&j->look);
        j->look = (Step) {};
        _cleanup_strv_free_ char **addresses = NULL;
        r = gpu_scan_addresses(j->gpu, &addresses);
        if (r >= 0)
                r = step_init(&j->look, VERB_SNAPSHOT, "-", addresses);
        j->look_began = host_look_begins(j->gpu->host);
        if (r >= 0)
                r = step_runner_run(j->runner, LOOK_NUMBER + (stage == STAGE_LOOK_AGAIN), &j->look);
        return r;
}

static const Step *current_step(const Job *j) {
        const Plan *plan = j->stage == STAGE_UNDO ? j->undo : j->intent->plan;

        if (j->stage == STAGE_LOOK || j->stage == STAGE_LOOK_AGAIN)
                return &j->look;
        return j->intent->begun > 0 && j->intent->begun <= plan->n ? plan->steps + j->intent->begun - 1 : NULL;
}

/* The functions that this job moves, and the facts about them that the way back needs and that no step reads. */
static int collect_functions(Job *j) {
        char **functions = j->options.functions ?: j->gpu->functions;
        int r = 0;

        for (char **a = functions; *a && r >= 0; a++) {
                const Function *f = snapshot_find(j->gpu->host->snapshot, *a);

                r = strv_extend(&j->intent->functions, *a);
                for (size_t i = 0; f && i < f->n_nodes && r >= 0; i++)
                        if (startswith(f->nodes[i].path, "/dev/dri/"))
                                r = saved_add(&j->intent->saved, *a, "drm", "yes");
        }
        return r;
}

static void make_plan(Job *j) {
        _cleanup_free_ char *message = NULL;
        _cleanup_(plan_freep) Plan *plan = NULL;
        PlanInput input;
        int r;

        if (j->gpu->inconsistent) {
                message = gpu_describe_inconsistency(j->gpu);
                job_refuse(j, GPUPT_ERROR_INCONSISTENT, strempty(message));
                return;
        }
        gpu_plan_input(j->gpu, j->shown, &input);
        r = plan_build(&input, j->intent->operation, &j->options, &plan, &message);
        if (r > 0) {
                job_refuse(j, plan_refusal_error(r), message);
                return;
        }
        if (r >= 0)
                r = collect_functions(j);
        if (r >= 0 && plan->n == 0) {
                job_over(j);
                return;
        }
        if (r >= 0) {
                plan_free(j->intent->plan);
                j->intent->plan = TAKE_PTR(plan);
                r = journal_write(j->gpu->host->run_dir, j->intent);
        }
        if (r < 0) {
                (void) log_error_errno(r, "Failed to write down what job %u will do, so it does nothing: %m", j->intent->id);
                job_refuse(j, GPUPT_ERROR_FAILED, "The job's journal in /run could not be written, so nothing was changed.");
                return;
        }
        j->stage = STAGE_STEPS;
        j->state = JOB_RUNNING;
        job_next(j);
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
        j->state = JOB_ROLLING_BACK;
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
        if (needs_lock(step))
                lock_sleep(j);
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

static void hold(Job *j) {
        j->held = true;
        (void) free_and_strdup(&j->description, "wait until the host has slept and woken");
        job_log(j, LOG_INFO, NULL, NULL, "the host is about to sleep, so the job goes on when it has woken.");
        job_changed(j);
}

static void job_next(Job *j) {
        const Plan *plan = j->stage == STAGE_UNDO ? j->undo : j->intent->plan;
        int r;

        if (j->stage == STAGE_STEPS && j->cancelled && j->intent->begun < plan->n) {
                _cleanup_free_ char *message = NULL;

                (void) failure_describe(j->intent->operation, j->gpu->address, plan->steps, -ECANCELED, "", &message);
                turn_back(j, GPUPT_ERROR_CANCELLED, message);
                return;
        }
        if (j->intent->begun >= plan->n) {
                r = look(j, STAGE_LOOK_AGAIN);
                if (r < 0)
                        job_over(j);
                else
                        job_changed(j);
                return;
        }
        if (!j->locked && needs_lock(plan->steps + j->intent->begun) && inhibitor_sleeping(j->gpu->host->inhibitor)) {
                hold(j);
                return;
        }
        r = begin_step(j, plan);
        if (r < 0) {
                step_over(j, plan->steps + j->intent->begun - 1, r, "starting the step");
                return;
        }
        job_changed(j);
}

static void note_left_over(Job *j, const Step *step, int error, const char *text) {
        _cleanup_free_ char *all = NULL, *what = step_describe(step);

        if (asprintf(&all, "%s%s%s (%s%s%s)", strempty(j->left_over), j->left_over ? "; " : "", strempty(what), text,
                     isempty(text) ? "" : ": ", strerror(-error)) < 0) {
                (void) log_oom();
                return;
        }
        free(j->left_over);
        j->left_over = TAKE_PTR(all);
}

/* What cannot be undone on a device that is gone need not be: its attributes went with it. */
static bool is_moot(int error) {
        return error == -ENODEV || error == -ENXIO || error == -ENOENT;
}

static void step_over(Job *j, const Step *step, int error, const char *text) {
        if (step->verb == VERB_CHECK && j->stage == STAGE_STEPS)
                j->gpu->unreachable = error == -EHOSTDOWN;
        if (j->stage == STAGE_UNDO) {
                if (error < 0 && !is_moot(error)) {
                        note_left_over(j, step, error, text);
                        job_log(j, LOG_ERR, NULL, step, j->left_over);
                }
                j->intent->done = j->intent->begun;
                job_next(j);
                return;
        }
        if (error < 0) {
                _cleanup_free_ char *message = NULL;
                const char *name;

                name = failure_describe(j->intent->operation, j->gpu->address, step, error, text, &message);
                job_log(j, LOG_DEBUG, NULL, step, strempty(message));
                turn_back(j, name, strempty(message));
                return;
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

        r = take_data(j, current_step(j), line, strlen(line));
        return r < 0 ? r : write_down(j);
}

static void announce_stuck(Job *j, const Holders *holders) {
        const Step *step = current_step(j);
        _cleanup_free_ char *who = NULL, *what = NULL, *wchan = NULL;
        char path[32];

        (void) snprintf(path, sizeof(path), "/proc/%u/wchan", j->intent->worker_pid);
        if (j->intent->worker_pid > 0)
                (void) read_line_at(AT_FDCWD, path, &wchan);
        if (holders && holders->n > 0)
                who = holders_describe(holders);
        what = step ? step_describe(step) : NULL;

        j->stage = STAGE_OVER;
        j->result = RESULT_STUCK;
        j->error = GPUPT_ERROR_STUCK;
        set_message(j,
                    "A kernel call on %s does not return (%s; worker pid %u%s%s). %s%s%s It is undone by itself when the "
                    "kernel lets go; until then a reboot may hang.",
                    j->gpu->address, strempty(what), j->intent->worker_pid, isempty(wchan) ? "" : ", waiting in ",
                    strempty(wchan), who ? "End what holds it: " : "Nothing that holds it was found", strempty(who), ".");
        job_announce_end(j);
}

static void on_stuck_census(int error, const Holders *holders, void *userdata) {
        Job *j = ASSERT_PTR(userdata);

        j->census = NULL;
        announce_stuck(j, holders);
}

static void job_stuck(Job *j) {
        j->state = JOB_STUCK;
        job_changed(j);
        if (gpu_census(j->gpu, on_stuck_census, j, &j->census) < 0)
                announce_stuck(j, NULL);
}

/* The new file before the old one goes. Where there is no room for it, the job keeps its number. */
static void renumber(Job *j) {
        const char *run_dir = j->gpu->host->run_dir;
        Intent old = { .id = j->intent->id };
        int r;

        r = journal_next_id(run_dir, &j->gpu->host->last_job);
        if (r >= 0) {
                j->intent->id = j->gpu->host->last_job;
                r = journal_write(run_dir, j->intent);
        }
        if (r >= 0)
                r = journal_remove(run_dir, &old);
        else
                j->intent->id = old.id;
        if (r < 0)
                log_warning_errno(r, "Failed to give the rest of job %u a number and a journal of its own, going on: %m", old.id);
}

/* The kernel let go. The job had ended, so what is left of it is a new one. */
static int job_come_back(Job *j, JobStage stage) {
        Host *h = j->gpu->host;
        int r;

        job_log(j, LOG_NOTICE, MESSAGE_ID_GPU_UNSTUCK, NULL, "the kernel call has returned; what the job had changed is undone.");
        j->gpu->stuck_job = NULL;
        j->gpu->job = j;
        free(j->gpu->stuck);
        j->gpu->stuck = NULL;
        /* The worker's results bear the old number, so it is not used on. */
        j->runner = step_runner_free(j->runner);
        j->intent->worker_pid = 0;
        renumber(j);
        r = step_runner_new(j->gpu, j->intent->id, on_run, on_save, j, &j->runner);
        j->stage = stage;
        j->state = JOB_ROLLING_BACK;
        h->listener.job_started(j, h->listener.userdata);
        return r;
}

static void on_run(const RunResult *result, void *userdata) {
        Job *j = ASSERT_PTR(userdata);
        _cleanup_free_ char *text = NULL;
        const Step *step;
        JobStage stage;
        int error = result->error, r = 0;

        /* A stuck job's stage is told by its phase: the looks never wait for a lock. */
        stage = j->stage != STAGE_OVER ? j->stage : j->intent->phase == PHASE_UNDO ? STAGE_UNDO : STAGE_STEPS;
        if (result->event == RUN_SLOW) {
                step = current_step(j);
                job_log(j, LOG_WARNING, NULL, step, "a step takes longer than usual, waiting for the kernel");
                return;
        }
        if (result->event == RUN_WAITS) {
                unlock_sleep(j);
                return;
        }
        if (result->event == RUN_STUCK) {
                job_stuck(j);
                return;
        }

        j->census = census_waiter_free(j->census);
        if (stage == STAGE_LOOK || stage == STAGE_LOOK_AGAIN) {
                if (error >= 0)
                        error = host_take_snapshot(j->gpu->host, j->look_began, j->gpu->address, result->data, result->size,
                                                   j->look.arguments);
                if (error < 0)
                        log_warning_errno(error, "Failed to look at %s (%s): %m", j->gpu->address, result->text);
                if (stage == STAGE_LOOK_AGAIN)
                        job_over(j);
                else if (error < 0)
                        job_refuse(j, GPUPT_ERROR_FAILED, "The state of the GPU could not be read, so nothing was changed.");
                else
                        make_plan(j);
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

/* ---- life ---- */

static int job_alloc(Gpu *g, Job **ret) {
        Job *j = calloc(1, sizeof(Job));

        if (!j)
                return -ENOMEM;
        *j = (Job) { .gpu = g, .state = JOB_WAITING, .error = "" };
        *ret = j;
        return 0;
}

static void log_begun(const Job *j) {
        char text[64];

        (void) snprintf(text, sizeof(text), "%s begins (job %u, for uid %u).", operation_to_string(j->intent->operation),
                        j->intent->id, j->intent->uid);
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
        r = step_runner_new(g, id, on_run, on_save, j, &j->runner);
        if (r < 0)
                return r;
        /* It starts while a reader looks. */
        r = step_runner_worker(j->runner, &worker);
        if (r >= 0)
                r = look(j, STAGE_LOOK);
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
                r = step_runner_adopt(j->runner, j->intent->worker_pid, j->intent->worker_start, (unsigned) number, step);
                if (r >= 0) {
                        if (needs_lock(step))
                                lock_sleep(j);
                        return 1;
                }
        }
        if (j->intent->done == j->intent->begun)
                return 0;
        r = journal_read_result(j->gpu->host->run_dir, j->intent->id, number, &data, &error, &text);
        if (r < 0 || error > 0)
                j->intent->begun--;
        else if (take_data(j, step, data, strlen(data)) < 0)
                j->intent->begun--;
        else
                j->intent->done = j->intent->begun;
        return 0;
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
        g->host->last_job = MAX(g->host->last_job, intent->id);
        for (size_t i = 0; i < intent->plan->n; i++)
                j->writes = j->writes || (i < intent->begun && verb_info(intent->plan->steps[i].verb)->writes);
        j->writes = j->writes || intent->phase == PHASE_UNDO;
        r = step_runner_new(g, intent->id, on_run, on_save, j, &j->runner);
        if (r >= 0 && intent->phase == PHASE_UNDO)
                r = intent_undo_plan(intent, &j->undo);
        if (r < 0) {
                j->intent = NULL;
                return r;
        }
        g->job = j;
        j->stage = intent->phase == PHASE_UNDO ? STAGE_UNDO : STAGE_STEPS;
        j->state = intent->phase == PHASE_UNDO ? JOB_ROLLING_BACK : JOB_RUNNING;
        job_log(j, LOG_NOTICE, MESSAGE_ID_JOB_RECOVERED, NULL, "going on with a job that the last daemon left unfinished.");
        *ret = TAKE_PTR(j);
        return 0;
}

/* That nobody held the card was long ago: it is waited for again. */
static void step_back_to_wait(Job *j) {
        const Intent *intent = j->intent;
        const Step *step = current_step(j);

        if (j->stage == STAGE_STEPS && intent->done == intent->begun && step &&
            (step->verb == VERB_WAIT_ASKED || step->verb == VERB_WAIT_FREE))
                j->intent->begun = --j->intent->done;
}

void job_continue(Job *j) {
        if (resume_step(j) > 0)
                return;
        step_back_to_wait(j);
        /* A daemon that died over this twice would do so again: take it back. */
        if (j->stage == STAGE_STEPS && j->intent->restarts > 1)
                turn_back(j, GPUPT_ERROR_FAILED, "The daemon ended unexpectedly more than once during this job.");
        else
                job_next(j);
}

Job *job_free(Job *j) {
        if (!j)
                return NULL;
        if (j->gpu->job == j)
                j->gpu->job = NULL;
        if (j->gpu->stuck_job == j)
                j->gpu->stuck_job = NULL;
        census_waiter_free(j->census);
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
        free(j->message);
        free(j);
        return NULL;
}

bool job_cancellable(const Job *j) {
        return !j->cancelled && (j->stage == STAGE_LOOK || j->stage == STAGE_STEPS) && j->state != JOB_STUCK;
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

unsigned job_step(const Job *j) {
        if (j->intent->phase == PHASE_UNDO)
                return (unsigned) (j->intent->plan->n + j->intent->begun);
        return (unsigned) j->intent->begun;
}

unsigned job_steps(const Job *j) {
        return (unsigned) (j->intent->plan->n + (j->undo ? j->undo->n : 0));
}
