/* SPDX-License-Identifier: GPL-2.0-or-later */

/* sleep-decision: a VM's way into the sleep of its host is chosen in two steps: what its policy would do; and,
 * where that is a veto, what the lid, the battery and OnError= make of it.
 *
 * Why there has to be one at all: vfio-pci has no system sleep callbacks (drivers/vfio/pci/vfio_pci_core.c
 * vfio_pci_core_pm_ops), so the kernel suspends the host under the guest, its card loses its memory and state,
 * and no error is reported. */

#include "sleep-decision.h"

#include <stdarg.h>

static const char *const vm_action_table[_VM_ACTION_MAX] = {
        [VM_ACTION_NONE] = "none",
        [VM_ACTION_PAUSE] = "pause",
        [VM_ACTION_SUSPEND] = "suspend",
        [VM_ACTION_HIBERNATE] = "hibernate",
        [VM_ACTION_SHUTDOWN] = "shutdown",
        [VM_ACTION_KILL] = "kill",
};

DEFINE_STRING_TABLE(vm_action, VmAction);

VmVerb vm_action_verb(VmAction a) {
        static const VmVerb verbs[_VM_ACTION_MAX] = {
                [VM_ACTION_NONE] = VM_STATUS,
                [VM_ACTION_PAUSE] = VM_PAUSE,
                [VM_ACTION_SUSPEND] = VM_SUSPEND,
                [VM_ACTION_HIBERNATE] = VM_HIBERNATE,
                [VM_ACTION_SHUTDOWN] = VM_SHUTDOWN,
                [VM_ACTION_KILL] = VM_KILL,
        };

        return verbs[a];
}

VmVerb vm_action_undo(VmAction a) {
        return a == VM_ACTION_PAUSE ? VM_RESUME : a == VM_ACTION_SUSPEND ? VM_WAKE : VM_START;
}

bool vm_action_ends_vm(VmAction a) {
        return a == VM_ACTION_HIBERNATE || a == VM_ACTION_SHUTDOWN || a == VM_ACTION_KILL;
}

void vm_decision_done(VmDecision *d) {
        free(d->reason);
        *d = (VmDecision) {};
}

static int veto(VmDecision *d, const char *format, ...) _printf_(2, 3);
static int veto(VmDecision *d, const char *format, ...) {
        va_list ap;
        int k;

        d->veto = true;
        va_start(ap, format);
        k = vasprintf(&d->reason, format, ap);
        va_end(ap);
        if (k < 0) {
                d->reason = NULL;
                return -ENOMEM;
        }
        /* What adapters and drivers say is a sentence or a part of one. */
        if (k >= 2 && d->reason[k - 1] == '.' && d->reason[k - 2] == '.')
                d->reason[k - 1] = '\0';
        return 0;
}

static const char *or_unknown(const char *hint) {
        return isempty(hint) ? "the VM does not say why" : hint;
}

/* An adapter may have answered, and not known it. */
static const char *silence_of(const VmQuestion *q) {
        return isempty(q->silent) ? "its adapter does not say why" : q->silent;
}

/* ---- what the policy would do ---- */

static int decide_auto(const VmQuestion *q, VmDecision *d) {
        const VmAnswer *can = q->capabilities;

        if (can->s4 && can->restart)
                d->action = VM_ACTION_HIBERNATE;
        else if (can->s3)
                d->action = VM_ACTION_SUSPEND;
        else if (q->policy->restartable && can->restart)
                d->action = VM_ACTION_SHUTDOWN;
        else if (q->policy->restartable)
                return veto(d,
                            "%s can neither sleep on its disk (%s) nor in its memory (%s), and could not be started "
                            "again after it is shut "
                            "down (%s).",
                            q->name, or_unknown(can->s4 ? can->hint_restart : can->hint_s4), or_unknown(can->hint_s3),
                            or_unknown(can->hint_restart));
        else
                return veto(d,
                            "%s can neither sleep on its disk (%s) nor in its memory (%s). Allow it one of the two, "
                            "or let it be shut down "
                            "and started again with Restartable=yes.",
                            q->name, or_unknown(can->s4 ? can->hint_restart : can->hint_s4), or_unknown(can->hint_s3));
        return 0;
}

/* It runs, and can be asked. */
static int decide_running(const VmQuestion *q, VmDecision *d) {
        VmPolicy policy = q->policy->vm;
        const VmAnswer *can = q->capabilities;

        if (policy == VM_POLICY_PAUSE || policy == VM_POLICY_SHUTDOWN) {
                d->action = policy == VM_POLICY_PAUSE ? VM_ACTION_PAUSE : VM_ACTION_SHUTDOWN;
                return 0;
        }
        if (!can)
                return veto(d, "%s does not say what its guest can: %s.", q->name, silence_of(q));
        if (policy == VM_POLICY_AUTO)
                return decide_auto(q, d);
        if (policy == VM_POLICY_SUSPEND && !can->s3)
                return veto(d, "%s cannot sleep in its memory: %s.", q->name, or_unknown(can->hint_s3));
        if (policy == VM_POLICY_HIBERNATE && !can->s4)
                return veto(d, "%s cannot sleep on its disk: %s.", q->name, or_unknown(can->hint_s4));
        d->action = policy == VM_POLICY_SUSPEND ? VM_ACTION_SUSPEND : VM_ACTION_HIBERNATE;
        return 0;
}

/* It is off, or its guest knows that the host may sleep. */
static bool is_at_rest(VmState s) {
        return s == VM_OFF || s == VM_GONE || s == VM_SUSPENDED;
}

static int decide_by_policy(const VmQuestion *q, VmDecision *d) {
        VmPolicy policy = q->policy->vm;

        if (policy == VM_POLICY_INHIBIT)
                return veto(d, "%s has the card, and the host is not to sleep then (VirtualMachine=inhibit).",
                            q->name);
        if (policy == VM_POLICY_IGNORE)
                return 0;
        if (q->stranger)
                return veto(d, "%s cannot be asked to sleep: %s.", q->name, q->stranger);
        if (is_at_rest(q->state))
                return 0;
        switch (q->state) {
        case VM_PAUSED:
                if (policy == VM_POLICY_PAUSE)
                        return 0;
                return veto(d, "%s is paused, so its guest cannot be asked to sleep. Let it go on, or end it.",
                            q->name);
        case VM_BUSY:
                return veto(d, "%s is being started, saved or moved.", q->name);
        case VM_CRASHED:
                return veto(d, "%s does not work any more. End it.", q->name);
        case VM_RUNNING:
                return decide_running(q, d);
        default:
                return veto(d, "%s does not say whether it runs: %s.", q->name, silence_of(q));
        }
}

/* ---- what becomes of a veto ---- */

/* It has to be off, one way or the other; where nobody knows it, or where its guest sleeps, it stays as it is. */
static void end_it(const VmQuestion *q, VmDecision *d) {
        d->veto = false;
        d->kill = !q->stranger && !is_at_rest(q->state);
        d->action = !d->kill ? VM_ACTION_NONE : q->state == VM_RUNNING ? VM_ACTION_SHUTDOWN : VM_ACTION_KILL;
}

static void soften(const VmQuestion *q, VmDecision *d) {
        const SleepSituation *s = &q->situation;
        LidPolicy lid = q->policy->lid_closed;
        bool goes_on = q->policy->on_error == SLEEP_ERROR_CONTINUE && q->policy->vm != VM_POLICY_INHIBIT;

        if (!d->veto)
                return;
        if (lid == LID_AUTO)
                lid = s->on_battery ? LID_SHUTDOWN : LID_VETO;
        if (s->battery_critical)
                end_it(q, d);
        else if (s->lid_closed && lid == LID_SHUTDOWN && !(goes_on && q->policy->lid_closed == LID_AUTO))
                end_it(q, d);
        else if (s->lid_closed && lid == LID_CONTINUE)
                d->veto = false;
        else if (goes_on)
                d->veto = false;
        d->lid = d->veto && s->lid_closed;
}

bool sleep_needs_capabilities(const SleepPolicy *p) {
        return p->vm == VM_POLICY_AUTO || p->vm == VM_POLICY_SUSPEND || p->vm == VM_POLICY_HIBERNATE;
}

int sleep_decide(const VmQuestion *q, VmDecision *ret) {
        VmDecision d = {};
        int r;

        r = decide_by_policy(q, &d);
        if (r < 0) {
                vm_decision_done(&d);
                return r;
        }
        soften(q, &d);
        *ret = d;
        return 0;
}

int sleep_decide_after_failure(const VmQuestion *q, const VmDecision *was, bool in_time, const char *failure,
                               VmDecision *ret) {
        VmDecision d = {};

        if (veto(&d, "%s could not be brought to its sleep (%s): %s.", q->name, vm_action_to_string(was->action),
                 failure) < 0)
                return -ENOMEM;
        if (was->kill && was->action != VM_ACTION_KILL)
                end_it(q, &d);
        else
                soften(q, &d);
        /* Nothing is tried twice, and nothing after the strongest there is; a guest is not asked when there is
         * no time to wait for it. */
        if (was->action == VM_ACTION_KILL) {
                d.action = VM_ACTION_NONE;
                d.kill = false;
        } else if (d.action != VM_ACTION_NONE && (d.action == was->action || !in_time))
                d.action = VM_ACTION_KILL;
        *ret = d;
        return 0;
}
