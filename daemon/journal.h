/* SPDX-License-Identifier: GPL-2.0-or-later */
#pragma once

/* journal: what a job is about to do, on disk before it does it: RUN_DIR/job-ID. After a crash of the daemon the file
 * says which steps were begun and what they saved, which is all that is needed to finish or to undo them. Lines of
 * words; the first names the format:
 *
 *      gpuptd-job 1
 *      job ID OPERATION GPU UID
 *      phase forward|undo BEGUN DONE      steps begun and done in that phase, counted from 0
 *      replaces ID                        the job that this is the rest of: its file, if there still is one, is void
 *      restarts N                         how often a daemon has taken the job over
 *      worker PID START                   of the step in flight; absent between steps
 *      failure ERROR MESSAGE              why it is being undone; absent forward
 *      access UID                         a detach that gives this user access
 *      vm PHASE NAME                      of a VM phase
 *      function ADDRESS                   of those that the job moves
 *      tried RUNG OUTCOME                 a rung of the reset ladder that is over, with what came of it, in words
 *      base N                             how many steps those had, with their undo; absent before there are any
 *      rung RUNG                          the plan below is this rung; absent where it is the job's own plan
 *      step VERB TARGET [ARGUMENT…]       the plan
 *      saved SUBJECT KEY VALUE            what the undo needs
 *      end                                without it the file is not whole
 *
 * A file of another format is left where it is and reported: it is somebody's card. */

#include "plan.h"

typedef enum IntentPhase {
        PHASE_FORWARD,
        PHASE_UNDO, /* steps are those of intent_undo_plan() */
        _PHASE_MAX,
        _PHASE_INVALID = -EINVAL,
} IntentPhase;

/* A rung of the reset ladder that a job has tried, or could not. */
typedef struct Attempt {
        Rung rung;
        char *outcome; /* words that go on after the rung's name: "had no effect" */
} Attempt;

typedef struct Intent {
        unsigned id;
        Operation operation;
        char *gpu;    /* address of the display function */
        uint32_t uid; /* who asked */
        IntentPhase phase;
        size_t begun, done;
        unsigned replaces; /* 0: none */
        unsigned restarts;
        uint32_t worker_pid; /* 0: none */
        uint64_t worker_start;
        char *error, *message;
        bool access;
        uint32_t access_uid;
        VmPhase vm_phase;
        char *vm; /* NULL: it is no VM phase */
        char **functions;
        Attempt *attempts;
        size_t n_attempts;
        size_t base;  /* steps of the plans before this one */
        Rung rung;    /* that the plan is; _RUNG_INVALID: it is the job's own */
        Plan *plan;
        Saved saved;
} Intent;

Intent *intent_new(unsigned id, Operation operation, const char *gpu, uint32_t uid);
Intent *intent_free(Intent *intent);
DEFINE_CLEANUP(Intent *, intent_free);

/* Where the steps of the undo come in a worker's numbering: behind those of the plan. */
static inline size_t intent_step_number(const Intent *intent, size_t i) {
        return intent->base + (intent->phase == PHASE_UNDO ? intent->plan->n + i : i);
}

/* The undo of every step that was begun, last one first. Deterministic: the same intent gives the same plan. The number
 * of steps that were begun forward is kept in the plan's own length once the undo starts: see intent_turn_back(). */
int intent_undo_plan(const Intent *intent, Plan **ret);
/* From now on it is undone: steps that were never begun are dropped from the plan. Keeps the first failure; a rung that is
 * walked back as it is meant to has none (NULL). */
int intent_turn_back(Intent *intent, const char *error, const char *message);

/* The next plan of the job: a rung. Takes over the plan. */
void intent_begin_rung(Intent *intent, Rung rung, Plan *plan);
/* A rung that was never begun, or, when one was, that it is over. */
int intent_add_attempt(Intent *intent, Rung rung, const char *outcome);
/* The plan of a rung was walked back: n_undo steps did it. */
int intent_end_rung(Intent *intent, size_t n_undo, const char *outcome);

void intent_write(const Intent *intent, FILE *f);
/* -EBADMSG for what is not this format, -EPROTONOSUPPORT for another version of it. */
int intent_read(const char *text, size_t size, Intent **ret);

/* The files. write: atomic, fsync. remove: also the result files of the job. */
int journal_write(const char *run_dir, const Intent *intent);
int journal_remove(const char *run_dir, const Intent *intent);
int journal_load(const char *run_dir, unsigned id, Intent **ret);
/* Of a file that journal_load() refuses: which GPU it is about, as far as it can still be made out; -ENOMSG: it cannot. */
int journal_load_gpu(const char *run_dir, unsigned id, char **ret);
/* Ids of all job files, ascending; *ret is 0-terminated (ids begin with 1). */
int journal_list(const char *run_dir, unsigned **ret);
/* What a worker left of a step whose daemon died: 0 with its data lines and *ret_error = 0 or a positive errno (with a
 * text), -ENOENT if there is no result. */
int journal_read_result(const char *run_dir, unsigned id, size_t step, char **ret_data, int *ret_error, char **ret_text);

/* The next job id of this boot (RUN_DIR/next-id), advanced on disk before it is returned. Where that file cannot be read, it
 * is made anew: behind the highest number that a job or a result has there. *last: the last one that the caller knows of,
 * which the next one is always above; it becomes that. */
int journal_next_id(const char *run_dir, unsigned *last);
