/* SPDX-License-Identifier: GPL-2.0-or-later */

#include "sleep-policy.h"

static const char *const vm_policy_table[_VM_POLICY_MAX] = {
        [VM_POLICY_IGNORE] = "ignore",
        [VM_POLICY_PAUSE] = "pause",
        [VM_POLICY_SUSPEND] = "suspend",
        [VM_POLICY_AUTO] = "auto",
        [VM_POLICY_HIBERNATE] = "hibernate",
        [VM_POLICY_SHUTDOWN] = "shutdown",
        [VM_POLICY_INHIBIT] = "inhibit",
};

static const char *const gpu_sleep_policy_table[_GPU_SLEEP_POLICY_MAX] = {
        [GPU_SLEEP_KEEP] = "keep",
        [GPU_SLEEP_UNBIND] = "unbind",
        [GPU_SLEEP_HOST] = "host",
        [GPU_SLEEP_REMOVE] = "remove",
};

static const char *const sleep_error_policy_table[_SLEEP_ERROR_POLICY_MAX] = {
        [SLEEP_ERROR_VETO] = "veto",
        [SLEEP_ERROR_CONTINUE] = "continue",
};

static const char *const lid_policy_table[_LID_POLICY_MAX] = {
        [LID_AUTO] = "auto",
        [LID_VETO] = "veto",
        [LID_SHUTDOWN] = "shutdown",
        [LID_CONTINUE] = "continue",
};

DEFINE_STRING_TABLE(vm_policy, VmPolicy);
DEFINE_STRING_TABLE(gpu_sleep_policy, GpuSleepPolicy);
DEFINE_STRING_TABLE(sleep_error_policy, SleepErrorPolicy);
DEFINE_STRING_TABLE(lid_policy, LidPolicy);

void sleep_policy_init(SleepPolicy *p) {
        *p = (SleepPolicy) {
                .vm = VM_POLICY_AUTO,
                .gpu = GPU_SLEEP_KEEP,
                .on_error = SLEEP_ERROR_VETO,
                .lid_closed = LID_AUTO,
                .timeout_sec = SLEEP_TIMEOUT_DEFAULT_SEC,
        };
}

void sleep_policy_merge(SleepPolicy *p, const SleepPolicy *other) {
        p->vm = MAX(p->vm, other->vm);
        p->restartable = p->restartable && other->restartable;
        p->timeout_sec = MIN(p->timeout_sec, other->timeout_sec);
        if (other->on_error == SLEEP_ERROR_VETO)
                p->on_error = SLEEP_ERROR_VETO;
        if (p->lid_closed == LID_AUTO)
                p->lid_closed = other->lid_closed;
        else if (other->lid_closed != LID_AUTO)
                p->lid_closed = MIN(p->lid_closed, other->lid_closed);
}
