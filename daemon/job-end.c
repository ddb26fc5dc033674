/* SPDX-License-Identifier: GPL-2.0-or-later */

/* job-end: how a job ends: its result in words, to the log, the bus and the GPU; also as stuck. */

#include "job-internal.h"

#include <stdarg.h>
#include <time.h>

#include "dbus/errors.h"
#include "dbus/names.h"
#include "inhibitor.h"
#include "util/fs.h"
#include "util/log-ids.h"
#include "util/log.h"

/* ---- log ---- */

void job_log(const Job *j, int level, const char *message_id, const Step *step, const char *text) {
        char id[16];

        (void) snprintf(id, sizeof(id), "%u", j->intent->id);
        (void) log_with(
                level, 0, message_id,
                LOG_FIELDS({ GPUPT_FIELD_GPU, j->gpu->address }, { GPUPT_FIELD_JOB, id },
                           { GPUPT_FIELD_OPERATION, operation_to_string(j->intent->operation) },
                           { GPUPT_FIELD_STEP, step ? verb_to_string(step->verb) : NULL },
                           { GPUPT_FIELD_FUNCTION, step && pci_address_valid(step->target) ? step->target : NULL },
                           { GPUPT_FIELD_RESULT, j->stage == STAGE_OVER ? job_result_to_string(j->result) : NULL },
                           { GPUPT_FIELD_ERROR, j->stage == STAGE_OVER ? j->error : NULL }),
                "%s%s%s", startswith(text, j->gpu->address) ? "" : j->gpu->address,
                startswith(text, j->gpu->address) ? "" : ": ", text);
}

void job_changed(Job *j) {
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
                id = j->left_over                          ? MESSAGE_ID_GPU_PARTIAL
                     : streq(j->error, GPUPT_ERROR_IN_USE) ? MESSAGE_ID_HOLDERS_REFUSED
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

static bool is_recovery(const Job *j) {
        return j->intent->operation == OPERATION_RESET || j->intent->operation == OPERATION_RECOVER;
}

static void conclude_done(Job *j) {
        const char *where = j->intent->operation == OPERATION_DETACH ? "its VFIO driver" : "the host";

        j->result = RESULT_DONE;
        if (is_recovery(j))
                ladder_tell_result(j, &j->message);
        else if (j->intent->operation == OPERATION_PHASE && j->intent->vm_phase == PHASE_PRE_SLEEP)
                set_message(j, "%s is out of the way of the host's sleep.", j->gpu->address);
        else if (j->intent->operation == OPERATION_PHASE && j->intent->vm_phase == PHASE_POST_SLEEP)
                set_message(j, "%s is well, and with its VFIO driver, after the host's sleep.", j->gpu->address);
        else if (j->intent->operation == OPERATION_PHASE)
                set_message(j, "%s: done what the phase %s%s%s needs.", j->gpu->address,
                            vm_phase_to_string(j->intent->vm_phase), j->intent->vm ? " of " : "",
                            strempty(j->intent->vm));
        else if (j->intent->plan->n == 0)
                set_message(j, "Nothing to do: %s is with %s already.", j->gpu->address, where);
        else
                set_message(j, "%s is now with %s.", j->gpu->address, where);
}

static void conclude_failed(Job *j) {
        _cleanup_free_ char *told = NULL;
        const char *message = j->intent->message;
        bool undone = j->writes && !is_recovery(j);

        if (isempty(message)) {
                ladder_tell_result(j, &told);
                message = strempty(told);
                /* What a rung made of a card that is ill cannot be told from what it was. */
                undone = undone && j->intent->operation != OPERATION_PHASE;
        }
        if (j->left_over) {
                j->result = RESULT_FAILED;
                set_message(j, "%s%sWhat could not be undone: %s", message, strchr(message, '\n') ? "\n" : " ",
                            j->left_over);
                return;
        }
        j->result = j->cancelled && !j->gives_way ? RESULT_CANCELLED : undone ? RESULT_ROLLED_BACK : RESULT_FAILED;
        set_message(j, "%s%s", message, undone ? " Everything was undone." : "");
}

/* What has become of the card is the same. */
static void add_unheard(Job *j) {
        _cleanup_free_ char *before = TAKE_PTR(j->message);

        set_message(j, "%s%sBut %s. See journalctl -u gpuptd.", strempty(before), strchr(strempty(before), '\n') ? "\n" : " ", j->unheard);
}

static void conclude_unstarted(Job *j) {
        (void) free_and_strdup(&j->intent->error, GPUPT_ERROR_FAILED);
        j->result = RESULT_FAILED;
        set_message(j, "%s is now with the host, but not everything started again: %s.", j->gpu->address,
                    j->unstarted);
}

/* What a later attach has to know, or need not know any more. */
static int keep_record(Job *j) {
        bool done = j->result == RESULT_DONE || j->unstarted;

        /* Not of a card that was detached and is with the host again, whoever did that: there is nothing to restore then. */
        if ((j->intent->operation == OPERATION_DETACH || j->closing) && j->intent->plan->n > 0)
                return j->left_over || (done && j->gpu->state != GPU_HOST) ? job_remember_host(j) : 0;
        if (j->intent->operation == OPERATION_ATTACH && done && j->intent->plan->n > 0)
                return job_forget_host(j);
        /* A card of the host that a reset has left without its driver. */
        return is_recovery(j) && j->left_over && !j->to_vfio ? job_remember_host(j) : 0;
}

void job_over(Job *j) {
        int r;

        j->stage = STAGE_OVER;
        /* What one rung could not undo another one may have. */
        if (is_recovery(j) && !j->intent->error && j->gpu->state == (j->to_vfio ? GPU_DETACHED : GPU_HOST)) {
                free(j->left_over);
                j->left_over = NULL;
        }
        if (j->intent->error || j->left_over || (j->intent->phase == PHASE_UNDO && j->intent->rung < 0))
                conclude_failed(j);
        else if (j->unstarted)
                conclude_unstarted(j);
        else
                conclude_done(j);
        if (j->unheard)
                add_unheard(j);
        j->error = strempty(j->intent->error);
        r = keep_record(j);
        if (r < 0)
                log_error_errno(r, "Failed to write the record of %s, so the journal of job %u stays: %m",
                                j->gpu->address, j->intent->id);
        else
                r = journal_remove(j->gpu->host->run_dir, j->intent);
        if (r < 0)
                log_warning_errno(r, "The journal of job %u is still there, ignoring: %m", j->intent->id);
        job_unlock_sleep(j);
        /* The worker ends with its socket. */
        j->runner = step_runner_free(j->runner);
        job_announce_end(j);
}

/* The job ends without a step, for a reason that is no step's. */
void job_refuse(Job *j, const char *error, const char *message) {
        (void) free_and_strdup(&j->intent->error, error);
        (void) free_and_strdup(&j->intent->message, message);
        job_over(j);
}

static void announce_stuck(Job *j, const Holders *holders) {
        const Step *step = job_current_step(j);
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
        set_message(
                j,
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

void job_end_stuck(Job *j) {
        j->state = JOB_STUCK;
        job_changed(j);
        if (gpu_census(j->gpu, on_stuck_census, j, &j->census) < 0)
                announce_stuck(j, NULL);
}
