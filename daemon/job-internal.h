/* SPDX-License-Identifier: GPL-2.0-or-later */
#pragma once

/* job-internal: what the files of the job share: job-life.c makes it; job.c walks plans, stage by stage; job-ladder.c decides what to walk where
 * there is more than one; job-end.c says how it ended; job-record.c keeps what a later job needs. Nobody else includes
 * this. */

#include "job.h"

/* job.c. Whoever executes its steps, under its id. */
int job_new_runner(Job *j);
/* Reads the state of the GPU in STAGE_LOOK or STAGE_LOOK_AGAIN, measures it in STAGE_MEASURE. */
int job_look(Job *j, JobStage stage);
int job_measure(Job *j);
/* Makes the plan of the operation and begins to walk it, or refuses, or has nothing to do. */
void job_make_plan(Job *j);
/* The functions that the job moves, as far as they are known now, and the facts about them that the way back needs and that no
 * step reads. */
int job_collect_functions(Job *j);
/* The same with the options of the job's own making; of the closing plan of a recovery. */
void job_make_plan_of(Job *j, Operation operation);
/* Writes the intent's plan down and walks it. */
void job_begin_plan(Job *j);
const Step *job_current_step(const Job *j);

/* job-sleep.c. Whether the host must not sleep while the step is done. */
bool job_needs_lock(const Step *step);
void job_lock_sleep(Job *j);
void job_unlock_sleep(Job *j);
/* Whether the next step has to wait until the host has woken; and that it does. */
bool job_must_hold(const Job *j, const Step *next);
void job_hold(Job *j);

/* job-ladder.c. What comes after the first look; after a measurement (error: why there is none); after a plan has been
 * walked, forward or back, and looked at; and of a step of a rung that failed: true where the ladder goes on all the
 * same. */
void ladder_looked(Job *j);
void ladder_measured(Job *j, int error, const char *data, size_t size);
void ladder_walked(Job *j);
bool ladder_takes_failure(Job *j, const Step *step, int error, const char *text);
/* Whether the recovery brought about what it was for; says so in the job's message. */
void ladder_tell_result(Job *j, char **ret_message);

/* job-end.c */
void job_log(const Job *j, int level, const char *message_id, const Step *step, const char *text);
void job_changed(Job *j);
void job_over(Job *j);
/* It ends for a reason that is no step's. */
void job_refuse(Job *j, const char *error, const char *message);
/* It ends as stuck, once a census has told who holds the card. */
void job_end_stuck(Job *j);

/* job-record.c. What a done detach, or one that could not be undone, leaves for the attach that will restore it; and that
 * an attach has restored it. */
int job_remember_host(Job *j);
int job_forget_host(Job *j);
