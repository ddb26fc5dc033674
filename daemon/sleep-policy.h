/* SPDX-License-Identifier: GPL-2.0-or-later */
#pragma once

/* sleep-policy: what the administrator wants done around a sleep of the host, as plain data: [Sleep] of
 * gpuptd.conf, and of a `.gpu` file for its card. The words are those of the configuration and of the property
 * SleepPolicy. Pure. */

#include "util/string-table.h"

/* VirtualMachine=: what becomes of a VM that has the card. In the order of how much they do to it: where the
 * cards of one VM disagree, the last one counts. */
typedef enum VmPolicy {
        VM_POLICY_IGNORE,    /* nothing: its guest finds a card without memory */
        VM_POLICY_PAUSE,     /* its processors stop; the card's memory is lost all the same */
        VM_POLICY_SUSPEND,   /* the guest sleeps in memory (S3), by its agent */
        VM_POLICY_AUTO,      /* the default: hibernate, else suspend, else shut down if it is Restartable=yes, else a veto */
        VM_POLICY_HIBERNATE, /* the guest sleeps on disk (S4), by its agent, and is started again */
        VM_POLICY_SHUTDOWN,  /* it is shut down, and started again */
        VM_POLICY_INHIBIT,   /* the host does not sleep while a VM has the card */
        _VM_POLICY_MAX,
        _VM_POLICY_INVALID = -EINVAL,
} VmPolicy;

/* Gpu=: what becomes of a card that is with VFIO and that no VM has open (any more). */
typedef enum GpuSleepPolicy {
        GPU_SLEEP_KEEP,   /* the default */
        GPU_SLEEP_UNBIND, /* it has no driver while the host sleeps */
        GPU_SLEEP_HOST,   /* its host driver carries it through the sleep */
        GPU_SLEEP_REMOVE, /* it is off the bus while the host sleeps */
        _GPU_SLEEP_POLICY_MAX,
        _GPU_SLEEP_POLICY_INVALID = -EINVAL,
} GpuSleepPolicy;

/* OnError= */
typedef enum SleepErrorPolicy {
        SLEEP_ERROR_VETO,     /* the default: what cannot be prepared keeps the host awake */
        SLEEP_ERROR_CONTINUE, /* the host sleeps all the same */
        _SLEEP_ERROR_POLICY_MAX,
        _SLEEP_ERROR_POLICY_INVALID = -EINVAL,
} SleepErrorPolicy;

/* LidClosed=: what a veto turns into while the lid is closed. Behind the default, in the order of how much they do
 * for the VM: where the cards of one VM disagree, the first one counts. */
typedef enum LidPolicy {
        LID_AUTO,     /* the default: veto on mains, shutdown on battery */
        LID_VETO,     /* the host stays awake in the bag, and the lid is not looked at again until it opens or the VM ends */
        LID_SHUTDOWN, /* the VM is shut down, at the end of its time like pulling the plug */
        LID_CONTINUE, /* the host sleeps as it is */
        _LID_POLICY_MAX,
        _LID_POLICY_INVALID = -EINVAL,
} LidPolicy;

DECLARE_STRING_TABLE(vm_policy, VmPolicy);
DECLARE_STRING_TABLE(gpu_sleep_policy, GpuSleepPolicy);
DECLARE_STRING_TABLE(sleep_error_policy, SleepErrorPolicy);
DECLARE_STRING_TABLE(lid_policy, LidPolicy);

/* TimeoutSec=: for the VM's way into its sleep, all in all. The gate unit has five minutes for everything. */
#define SLEEP_TIMEOUT_DEFAULT_SEC 180U
#define SLEEP_TIMEOUT_MIN_SEC 5U
#define SLEEP_TIMEOUT_MAX_SEC 270U

typedef struct SleepPolicy {
        VmPolicy vm;
        bool restartable;      /* Restartable=: the VM may be shut down, and started again */
        GpuSleepPolicy gpu;
        SleepErrorPolicy on_error;
        LidPolicy lid_closed;
        unsigned timeout_sec;
} SleepPolicy;

/* The defaults. */
void sleep_policy_init(SleepPolicy *p);
/* The cards of one VM disagree: what does the most for the VM counts, in whatever order they come. Of LidClosed=
 * what was asked for by name counts before the default. gpu is the card's own, and stays. */
void sleep_policy_merge(SleepPolicy *p, const SleepPolicy *other);
