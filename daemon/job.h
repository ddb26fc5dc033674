/* SPDX-License-Identifier: GPL-2.0-or-later */
#pragma once

/* job: one operation on one GPU, from the fresh look before it to the fresh look after it. It turns a plan into steps
 * that were done, in the journal before each; on an error it walks the undo back; past a limit it ends as stuck and goes on
 * to undo when the kernel lets go. Nobody waits for it. */

#include "checkup.h"
#include "job-face.h"
#include "journal.h"
#include "step-runner.h"

typedef enum JobStage {
        STAGE_LOOK,       /* the fresh snapshot that the plan is made from */
        STAGE_MEASURE,    /* an attach: is the card alive? */
        STAGE_CHECKUP,    /* a reset or a recovery: how is it? */
        STAGE_STEPS,
        STAGE_UNDO,
        STAGE_LOOK_AGAIN, /* the fresh snapshot that the result is told from */
        STAGE_OVER,
} JobStage;

struct Job {
        JobFace face;
        Gpu *gpu; /* weak; outlives the job */
        Intent *intent;
        PlanOptions options;
        Holders *shown; /* the census that the caller was asked over: force may end these alone; NULL: there was none */
        char *sender;   /* unique name of the caller, for limits; NULL after a restart */

        JobState state;
        JobStage stage;
        JobStage stuck_in; /* of a stuck job, whose stage is STAGE_OVER */
        Step look;         /* of both looks, and of a measurement */
        uint64_t look_began;
        Step restore;      /* a restore of power values, less the bridges that another GPU needs as they are */
        Plan *undo;        /* while in STAGE_UNDO */
        StepRunner *runner;
        CensusWaiter *census; /* of a stuck job: who holds it; of a VM phase: whether a VM does still */
        bool joined;          /* then: it was running before */
        char *description; /* of the running step */
        bool writes;       /* it has written to the kernel */
        bool locked;       /* the lock against sleep is held */
        bool held;         /* the host sleeps, or is about to: the next step writes, and waits until it has woken */
        bool cancelled;
        bool gives_way;    /* then: since the host is about to sleep */
        char *left_over;   /* what could not be undone */
        char *unstarted;   /* of an attach: what did not start again */
        char *unheard;     /* hooks that failed, where that changes nothing */
        char **unstarted_units; /* likewise, those units */

        /* Of the ladder. */
        Checkup *checkup;
        uint64_t since;    /* CLOCK_MONOTONIC: when the job began, or the decisive step of the last rung, its last one */
        uint64_t step_began;
        bool examined;     /* once, so that the next two are known */
        Health health_before;
        bool to_vfio;      /* it was, or is to be, detached */
        bool closing;      /* the plan that is walked is no rung: it brings the card back to VFIO */
        bool resumed;      /* by a daemon that did not begin it: what its caller wanted is not known */
        char *failure;     /* why a step of the rung failed; NULL: none did */
        bool only_listed;  /* then: the card does not have the reset, although it lists it */
        Rung helped;       /* that made the card well; _RUNG_INVALID */

        /* Once it is over. */
        JobResult result;
        const char *error; /* D-Bus error name (static), "" if none */
        char *message;     /* never NULL then */

        LIST_FIELDS(Job, jobs); /* of the manager */
};

/* Takes over the options (and shown). Nothing runs before the event loop does, so the caller can answer first. */
int job_new(Gpu *g, Operation operation, PlanOptions *options, uint32_t uid, Holders *shown, Job **ret);
/* A job of a daemon that died. Takes over the intent. job_continue() finishes it, or undoes it if a daemon died over it
 * before. */
int job_resume(Gpu *g, Intent *intent, Job **ret);
void job_continue(Job *j);
Job *job_free(Job *j);
DEFINE_CLEANUP(Job *, job_free);

bool job_cancellable(const Job *j);
/* From the next step on it is undone. */
void job_cancel(Job *j);

/* It waits for people, or has not begun: it is undone so that the host can sleep. False: it is in the middle of its work, and has to be
 * waited for. */
bool job_give_way(Job *j);
/* The host does not sleep any more. */
void job_woken(Job *j);
