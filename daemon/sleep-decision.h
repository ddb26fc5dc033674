/* SPDX-License-Identifier: GPL-2.0-or-later */
#pragma once

/* sleep-decision: what is done to a VM that has a GPU before the host sleeps: policy, what the VM can, and what
 * the host lives on in; an action or a veto with its sentence out. Pure. */

#include "sleep-policy.h"
#include "vm-answer.h"

typedef enum VmAction {
        VM_ACTION_NONE,
        VM_ACTION_PAUSE,
        VM_ACTION_SUSPEND,
        VM_ACTION_HIBERNATE,
        VM_ACTION_SHUTDOWN,
        VM_ACTION_KILL, /* only where a shutdown was not heeded */
        _VM_ACTION_MAX,
        _VM_ACTION_INVALID = -EINVAL,
} VmAction;

DECLARE_STRING_TABLE(vm_action, VmAction);

/* What carries it out, and what takes it back. Not of VM_ACTION_NONE. */
VmVerb vm_action_verb(VmAction a) _const_;
VmVerb vm_action_undo(VmAction a) _const_;
/* Whether the card is free after it. */
bool vm_action_ends_vm(VmAction a) _const_;

typedef struct SleepSituation {
        bool lid_closed, on_battery;
        bool battery_critical; /* nothing may keep the host awake: it is about to lose its power */
} SleepSituation;

typedef struct VmQuestion {
        const SleepPolicy *policy;
        const char *name;        /* for sentences: "win10 (libvirt)", "process 4711" */
        const char *stranger;    /* why nobody knows how to talk to it; NULL: somebody does */
        VmState state;
        const VmAnswer *capabilities; /* NULL: it does not say, and why is in silent; not asked for where the policy needs none */
        const char *silent;
        SleepSituation situation;
} VmQuestion;

typedef struct VmDecision {
        VmAction action;
        bool kill;    /* what has not ended by itself in its time is killed */
        bool veto;    /* the host must not sleep */
        bool lid;     /* a veto with the lid closed: logind must not try again */
        char *reason; /* of a veto, or of going on in spite of one: a sentence; else NULL. Newly allocated */
} VmDecision;

/* Whether the answer depends on what the VM can. */
bool sleep_needs_capabilities(const SleepPolicy *p);
int sleep_decide(const VmQuestion *q, VmDecision *ret);
/* What follows when the action has failed, for that reason: a stronger action, a veto, or neither. in_time:
 * there is still time to wait for a guest. */
int sleep_decide_after_failure(const VmQuestion *q, const VmDecision *was, bool in_time, const char *failure,
                               VmDecision *ret);
void vm_decision_done(VmDecision *d);
