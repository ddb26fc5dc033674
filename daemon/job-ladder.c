/* SPDX-License-Identifier: GPL-2.0-or-later */

/* job-ladder: what a reset, a recovery, or an attach does about a card that is not well: examine it, climb a rung, examine it
 * again, until it is well or there is no rung left. What a rung is, the plan knows (plan-rung.c); which comes next, the
 * ladder (ladder.c); whether the card is well, the verdicts (health.c). */

#include "job-internal.h"

#include "climb.h"
#include "dbus/errors.h"
#include "ladder-memory.h"
#include "util/log.h"

static Health health_now(const Job *j) {
        return j->gpu->report ? j->gpu->report->health : HEALTH_UNKNOWN;
}

static const char *worst_now(const Job *j) {
        return j->gpu->report ? health_report_worst(j->gpu->report) : "";
}

/* ---- looking ---- */

static void ladder_examined(Job *j);

static void on_checkup(HealthReport *report, void *userdata) {
        Job *j = ASSERT_PTR(userdata);

        j->checkup = NULL;
        gpu_take_report(j->gpu, report, j->since);
        ladder_examined(j);
}

static void examine(Job *j) {
        j->stage = STAGE_CHECKUP;
        (void) free_and_strdup(&j->description, "examine the card");
        if (checkup_new(j->gpu, j->since, on_checkup, j, &j->checkup) < 0) {
                job_refuse(j, GPUPT_ERROR_FAILED, "The card could not be examined.");
                return;
        }
        job_changed(j);
}

static void measure(Job *j) {
        if (job_measure(j) < 0)
                job_refuse(j, GPUPT_ERROR_FAILED, "The card could not be measured, so nothing was changed.");
}

/* ---- climbing ---- */

static void close_recovery(Job *j);

static void climb(Job *j) {
        _cleanup_free_ char *message = NULL;
        int r;

        j->left_over = (free(j->left_over), NULL);
        j->failure = (free(j->failure), NULL);
        j->only_listed = false;
        r = climb_next(j->gpu, j->intent, &j->options, j->shown, &message);
        if (r > 1)
                job_refuse(j, plan_refusal_error(r), strempty(message));
        else if (r < 0)
                job_refuse(j, GPUPT_ERROR_FAILED, "There was no memory to go on.");
        else if (r == 0 && j->intent->operation == OPERATION_PHASE && health_now(j) == HEALTH_DEGRADED)
                /* No reason to refuse the VM its card. */
                close_recovery(j);
        else if (r == 0)
                /* The message is made of what was tried: ladder_tell_result(). */
                job_refuse(j, j->intent->operation == OPERATION_ATTACH ? GPUPT_ERROR_UNREACHABLE : GPUPT_ERROR_RESET_FAILED, "");
        else
                job_begin_plan(j);
}

/* Who holds the card is in the way of every rung; what the card does not answer is the next rung's business. */
bool ladder_takes_failure(Job *j, const Step *step, int error, const char *text) {
        if (j->intent->rung < 0 || j->cancelled || step->verb == VERB_WAIT_FREE || error == -ECANCELED)
                return false;
        (void) free_and_strdup(&j->failure, isempty(text) ? strerror(-error) : text);
        j->only_listed = step->verb == VERB_RESET && error == -ENOTTY;
        return true;
}

/* The rung whose plan has been walked there and back is over. */
static int end_rung(Job *j, bool well) {
        const char *effect = well ? "helped" : health_now(j) > j->health_before ? "made it worse" : "had no effect";
        _cleanup_free_ char *outcome = j->failure ? climb_outcome("failed", j->failure) : strdup(effect), *line = NULL;
        Rung rung = j->intent->rung;

        if (!outcome || asprintf(&line, "%s: %s", rung_to_string(rung), outcome) < 0) {
                line = NULL;
                return -ENOMEM;
        }
        /* What failed is not what made it well. */
        if (well && !j->failure)
                j->helped = rung;
        job_log(j, LOG_NOTICE, NULL, NULL, line);
        return intent_end_rung(j->intent, j->undo ? j->undo->n : 0, outcome);
}

static void remember_help(Job *j) {
        int r;

        if (j->helped < 0 || !j->gpu->identity || j->health_before == HEALTH_OK)
                return;
        r = ladder_memory_set(j->gpu->host->ladder_memory, j->gpu->identity, j->helped);
        if (r < 0)
                log_warning_errno(r, "Failed to remember that %s helped %s, ignoring: %m", rung_to_string(j->helped),
                                  j->gpu->address);
}

/* ---- what an attach does ---- */

void ladder_measured(Job *j, int error, const char *data, size_t size) {
        _cleanup_(measurement_freep) Measurement *measurement = measurement_new();
        HealthReport *report = NULL;
        HealthInput input;
        bool dead;

        gpu_health_input(j->gpu, &input);
        if (error >= 0 && measurement && measurement_read(measurement, data, size) >= 0)
                input.measurement = measurement;
        input.before = NULL;
        if (health_judge(&input, &report) < 0) {
                job_refuse(j, GPUPT_ERROR_FAILED, "There was no memory for the plan, so nothing was changed.");
                return;
        }
        dead = report->health == HEALTH_DEAD;
        gpu_take_report(j->gpu, report, j->since);
        if (!j->examined)
                j->health_before = health_now(j);
        j->examined = true;
        if (j->intent->rung >= 0 && end_rung(j, !dead) < 0)
                job_refuse(j, GPUPT_ERROR_FAILED, "There was no memory to go on.");
        else if (dead)
                climb(j);
        else if (j->resumed)
                job_refuse(j, GPUPT_ERROR_FAILED, "The daemon ended unexpectedly before the attach had begun. Try again.");
        else {
                remember_help(j);
                job_make_plan(j);
        }
}

/* A card that is with the host already has nothing to be measured for. */
static bool is_away(const Gpu *g) {
        for (char **a = g->functions; *a; a++) {
                const Function *f = snapshot_find(g->host->snapshot, *a);

                if (f && plan_function_is_detached(f))
                        return true;
        }
        return false;
}

/* ---- what a reset and a recovery do ---- */

/* A card that gpuptd has taken, and that came back to the bus without, goes back to where its user wants it. */
static void close_recovery(Job *j) {
        const Gpu *g = j->gpu;

        remember_help(j);
        if (j->intent->operation == OPERATION_PHASE) {
                j->closing = true;
                j->options.comes_back = j->to_vfio && j->intent->n_attempts > 0;
                /* After the stop, or the sleep, the screen shows what the rescan has given it to; before the start, perhaps somebody's work. */
                j->options.disrupt_session = j->options.disrupt_session || j->options.phase != PHASE_PRE_START;
                if (job_collect_functions(j) < 0)
                        job_refuse(j, GPUPT_ERROR_FAILED, "There was no memory for the plan.");
                else
                        job_make_plan(j);
                return;
        }
        if (!j->to_vfio || !g->record || g->state == GPU_DETACHED || g->state == GPU_ASSIGNED) {
                job_over(j);
                return;
        }
        j->closing = j->options.comes_back = true;
        j->options.has_rung = false;
        j->options.disrupt_session = true;
        job_make_plan_of(j, OPERATION_DETACH);
}

static bool belongs_to_vfio(const Job *j) {
        const char *was = saved_get(&j->intent->saved, j->gpu->address, "driver");
        const Function *display = gpu_display(j->gpu);

        if (was)
                return driver_is_vfio(was);
        return display && display->driver ? driver_is_vfio(display->driver) : !!j->gpu->record;
}

/* One rung, and what came of it. A card that was ill before need not be well after a reset that was asked for by name; but it
 * has been reset, and is there. Where none was asked for, a reset that the card only lists does not count. */
static void end_reset(Job *j) {
        if (j->only_listed && !j->options.has_rung && !j->resumed)
                climb(j);
        else if (j->failure || !gpu_display(j->gpu) || health_now(j) > j->health_before)
                job_refuse(j, GPUPT_ERROR_RESET_FAILED, "");
        else
                close_recovery(j);
}

static void ladder_examined(Job *j) {
        bool well = health_now(j) == HEALTH_OK, climbed = j->intent->rung >= 0;

        if (!j->examined) {
                j->health_before = j->resumed ? HEALTH_DEAD : health_now(j);
                j->to_vfio = belongs_to_vfio(j);
                j->examined = true;
        }
        if (climbed && end_rung(j, well) < 0) {
                job_refuse(j, GPUPT_ERROR_FAILED, "There was no memory to go on.");
                return;
        }
        if (j->gives_way)
                job_refuse(j, GPUPT_ERROR_SLEEP_IN_PROGRESS, "The host is about to sleep.");
        else if (j->cancelled)
                job_refuse(j, GPUPT_ERROR_CANCELLED, "It was cancelled.");
        else if (j->intent->operation == OPERATION_RESET && (climbed || j->resumed))
                end_reset(j);
        else if (well && (climbed || j->intent->operation != OPERATION_RESET))
                close_recovery(j);
        else if (health_now(j) == HEALTH_UNKNOWN)
                job_refuse(j, GPUPT_ERROR_FAILED, "The card could not be examined, so nothing was done about it.");
        else
                climb(j);
}

/* ---- entries ---- */

static void examine_for_phase(Job *j) {
        if (health_now(j) != HEALTH_OK && j->gpu->report)
                j->since = j->gpu->report_since;
        examine(j);
}

static void look_for_vm(Job *j);

static void on_vm_census(int error, const Holders *holders, void *userdata) {
        Job *j = ASSERT_PTR(userdata);
        bool has_vm = error < 0 || holders_find_vm(holders);

        j->census = NULL;
        if (has_vm && j->joined)
                look_for_vm(j);
        else if (has_vm)
                job_refuse(j, GPUPT_ERROR_IN_USE, "A virtual machine has the card open.");
        else
                examine_for_phase(j);
}

/* The VM manager calls when its process has ended, which may be before anybody has looked again. */
static void look_for_vm(Job *j) {
        j->joined = j->gpu->census && !j->joined;
        gpu_look(j->gpu);
        if (gpu_census(j->gpu, on_vm_census, j, &j->census) < 0)
                job_refuse(j, GPUPT_ERROR_FAILED, "There was no memory to look for the virtual machine.");
}

/* Before its start and after its stop the card is made well; between them it is the VM's. */
static void phase_looked(Job *j) {
        VmPhase phase = j->options.phase;

        if (!vm_phase_heals(phase))
                job_make_plan(j);
        else if (j->gpu->state == GPU_ASSIGNED)
                look_for_vm(j);
        else
                examine_for_phase(j);
}

void ladder_looked(Job *j) {
        switch (j->intent->operation) {
        case OPERATION_ATTACH:
                if (is_away(j->gpu))
                        measure(j);
                else
                        job_make_plan(j);
                return;
        case OPERATION_PHASE:
                phase_looked(j);
                return;
        case OPERATION_RESET:
        case OPERATION_RECOVER:
                /* What made it ill, by the kernel's words, is not healed by being old. */
                if (health_now(j) != HEALTH_OK && j->gpu->report)
                        j->since = j->gpu->report_since;
                if (j->gpu->state == GPU_ASSIGNED)
                        job_refuse(j, GPUPT_ERROR_IN_USE, "A virtual machine has the card open. Stop it first.");
                else
                        examine(j);
                return;
        default:
                /* For comparison, when it is back. */
                gpu_note_sensors(j->gpu);
                job_make_plan(j);
        }
}

void ladder_walked(Job *j) {
        if (j->intent->rung < 0 || j->intent->error)
                job_over(j);
        else if (j->intent->operation == OPERATION_ATTACH)
                measure(j);
        else
                examine(j);
}

static char *tell_help(const Job *j, Rung last) {
        _cleanup_free_ char *way = climb_describe(j->intent);
        char *text;

        if (asprintf(&text, "%s is well again, by %s.%s", j->gpu->address, rung_to_string(last),
                     j->intent->n_attempts > 1 ? strempty(way) : "") < 0)
                return NULL;
        return text;
}

static char *tell_reset(const Job *j, Rung last) {
        bool well = health_now(j) == HEALTH_OK;
        char *text;

        if (asprintf(&text, "%s was reset by %s%s%s", j->gpu->address, rung_to_string(last),
                     well ? ", and is well." : ". It is still not well: ", well ? "" : worst_now(j)) < 0)
                return NULL;
        return text;
}

static const char *headline(const Job *j) {
        if (j->intent->operation != OPERATION_RESET)
                return j->intent->n_attempts > 0 ? "is still not well." : "is not well.";
        return j->examined && health_now(j) > j->health_before ? "is worse than before the reset." : "was not reset.";
}

/* What is left to do, in a line of its own; "" if there is nothing to be said. Newly allocated. */
static char *give_advice(const Job *j) {
        _cleanup_free_ char *left = NULL;
        char *text;

        if (j->intent->operation == OPERATION_ATTACH)
                return strdup("\nAn attach tries no more than that; gpuptctl recover does.");
        if (j->intent->operation == OPERATION_RESET)
                return strdup("");
        left = climb_list_left(j->gpu, j->intent);
        if (isempty(left))
                return strdup("\nThere is no further way to reset it.");
        if (asprintf(&text, "\nNot tried, since they are only done by name (gpuptctl reset --method=): %s.", left) < 0)
                return NULL;
        return text;
}

static char *tell_failure(const Job *j) {
        _cleanup_free_ char *way = climb_describe(j->intent), *advice = give_advice(j);
        const char *worst = health_now(j) == HEALTH_OK ? "" : worst_now(j);
        char *text;

        if (asprintf(&text, "%s %s%s%s%s%s", j->gpu->address, headline(j), isempty(worst) ? "" : " ", worst, strempty(way),
                     strempty(advice)) < 0)
                return NULL;
        return text;
}

void ladder_tell_result(Job *j, char **ret_message) {
        const Intent *intent = j->intent;
        const Attempt *last = intent->n_attempts > 0 ? intent->attempts + intent->n_attempts - 1 : NULL;

        *ret_message = NULL;
        if (intent->error)
                *ret_message = isempty(intent->message) ? tell_failure(j) : strdup(intent->message);
        else if (!last)
                (void) asprintf(ret_message, "%s is well: nothing was done.", j->gpu->address);
        else
                *ret_message = intent->operation == OPERATION_RECOVER ? tell_help(j, last->rung) : tell_reset(j, last->rung);
}
