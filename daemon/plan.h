/* SPDX-License-Identifier: GPL-2.0-or-later */
#pragma once

/* plan: the ordered list of steps of a job, and what undoes each. Pure: a snapshot, the policy and the caller's options
 * in, steps or a refusal out; no I/O, no clock, no state. The same list is shown before consent, written to the journal,
 * executed, walked back, and compared by tests. The order is that of section 5 of the design; each step's reason stands
 * where it is added. */

#include "config.h"
#include "holders.h"
#include "operation.h"
#include "quirks.h"
#include "rung.h"
#include "saved.h"
#include "sleep-policy.h"
#include "snapshot.h"
#include "step.h"

typedef struct Plan {
        Operation operation;
        Step *steps;
        size_t n;
} Plan;

Plan *plan_new(Operation operation);
Plan *plan_free(Plan *p);
DEFINE_CLEANUP(Plan *, plan_free);
int plan_add(Plan *p, Verb verb, const char *target, char *const *arguments);
bool plan_has(const Plan *p, Verb verb, const char *target);

/* Lines `step VERB TARGET [ARGUMENT…]`, in order; and one such line back (-EBADMSG). */
void plan_write(const Plan *p, FILE *f);
int plan_read_line(Plan *p, char *const *words);

/* What the caller of Detach, Attach, Acquire or Plan wants. */
typedef struct PlanOptions {
        bool force;
        bool disrupt_session; /* the last display may be taken */
        bool log_out;         /* and the desktops that were shown may be ended: the caller's own word, never ours */
        bool has_wait;     /* the caller named a time; attach waits for a VM only then */
        unsigned wait_sec;
        char **functions;  /* NULL: all of the GPU */
        char *driver;      /* NULL: chosen as design section 4 says */
        bool access;       /* access=caller */
        uint32_t uid;      /* the caller */
        bool has_rung;     /* Reset names it */
        Rung rung;         /* of a plan of OPERATION_RESET */
        bool comes_back;   /* to VFIO, where it was before a reset: it does not change hands, and no hook is told */
        VmPhase phase;     /* of OPERATION_PHASE */
        GpuSleepPolicy sleep; /* of PHASE_PRE_SLEEP: GPU_SLEEP_UNBIND or GPU_SLEEP_REMOVE */
        char *vm;          /* likewise, for people: "win10 (libvirt)" */
} PlanOptions;

void plan_options_done(PlanOptions *o);

/* Everything that a plan depends on. All weak. */
typedef struct PlanInput {
        const Snapshot *snapshot;
        char *const *functions;  /* the GPU's, display first */
        char *const *bridges;    /* above the display, nearest first; as last seen, also while it is absent */
        const char *slot;        /* likewise: its hotplug slot, or NULL */
        char *const *switches;   /* likewise: what can switch it off, or NULL */
        const char *name;        /* what messages call it: "0000:01:00.0 (NVIDIA …)" */
        const GpuConfig *config; /* or NULL */
        LastDisplay last_display;
        const Quirks *quirks;    /* of the display function and its driver */
        bool seat_active;        /* somebody is logged in at seat0 */
        char *const *missed_screens; /* connectors, one of which a recovery is to bring a screen back to; or NULL */
        const Saved *record;     /* what a detach remembered of the host; NULL if it was not ours */
        char *const *units;      /* units that detach stopped, to be started again */
        char *const *modules;    /* modules that it unloaded, in that order */
        bool access_given;       /* a detach gave `access_uid` access to the VFIO nodes */
        uint32_t access_uid;
        const Saved *targets;    /* what the job saved before: of a reset, where functions belong; or NULL */
        char *const *hooks;      /* names of those that are to be told when it moves, in their order; or NULL */
        const Holders *holders;  /* a census, or NULL: for a VM's name, for force, and for who is logged out */
} PlanInput;

/* Why there is no plan. */
typedef enum PlanRefusal {
        PLAN_E_NO_DEVICE = 2,     /* not on the bus */
        PLAN_E_NOT_VIABLE,        /* the IOMMU group has foreign members, or there is none */
        PLAN_E_IN_USE,            /* by a VM, a mount, a network, virtual functions */
        PLAN_E_LAST_DISPLAY,
        PLAN_E_INVALID,           /* an option that does not fit this card */
        PLAN_E_NOT_SUPPORTED,     /* an operation of a later release */
} PlanRefusal;

/* The D-Bus error that a refusal is. */
const char *plan_refusal_error(PlanRefusal refusal);

/* A plan of OPERATION_RESET is one rung, to be walked forward and then back to its beginning by its undo: plan-rung.c.
 * 0 and a plan (of no steps where nothing is to be done); a PlanRefusal and a sentence; or a negative errno. */
int plan_build(const PlanInput *in, Operation operation, const PlanOptions *options, Plan **ret, char **reterr_message);

/* Whether to take the whole GPU would blank the only display that somebody looks at, and that is not allowed. */
bool plan_blanks_last_display(const PlanInput *in);

/* What undoes step i, given what the job has saved: a plan of 0 to 3 steps. Fit for a step that was only begun, too.
 * -EBADMSG for a step that no plan has. */
int plan_undo(const Plan *p, size_t i, const Saved *saved, Plan **ret);

/* The name of the VFIO driver that it gets: the wanted one (NULL: that which its alias asks for, or vfio-pci). Newly allocated. */
char *plan_vfio_driver(const Function *f, const char *wanted);
/* Whether the function is bound as its GPU is while detached. */
bool plan_function_is_detached(const Function *f);
