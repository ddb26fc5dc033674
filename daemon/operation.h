/* SPDX-License-Identifier: GPL-2.0-or-later */
#pragma once

/* operation: the words of the design, as enums with one table each (operation.c). */

#include "util/string-table.h"

typedef enum Operation {
        OPERATION_DETACH,
        OPERATION_ATTACH,
        OPERATION_RESET,
        OPERATION_RECOVER,
        OPERATION_PHASE,
        OPERATION_SLEEP,
        OPERATION_RESUME,
        _OPERATION_MAX,
        _OPERATION_INVALID = -EINVAL,
} Operation;

typedef enum GpuState {
        GPU_HOST,        /* its functions are with host drivers, or as the host left them */
        GPU_DETACHED,    /* every claimed function is bound to a VFIO driver, nobody has it open */
        GPU_ASSIGNED,    /* as detached, and a process has it open */
        GPU_PARTIAL,     /* a mixture */
        GPU_ABSENT,      /* removed from the bus, remembered */
        GPU_UNREACHABLE, /* on the bus, but its config space reads all ones */
        GPU_STUCK,       /* a kernel call on it has not returned */
        _GPU_STATE_MAX,
        _GPU_STATE_INVALID = -EINVAL,
} GpuState;

typedef enum JobState {
        JOB_WAITING,
        JOB_RUNNING,
        JOB_ROLLING_BACK,
        JOB_STUCK,
        _JOB_STATE_MAX,
        _JOB_STATE_INVALID = -EINVAL,
} JobState;

typedef enum JobResult {
        RESULT_DONE,
        RESULT_FAILED, /* nothing could be, or had to be, undone: the message says what was left */
        RESULT_ROLLED_BACK,
        RESULT_CANCELLED,
        RESULT_STUCK,
        _JOB_RESULT_MAX,
        _JOB_RESULT_INVALID = -EINVAL,
} JobResult;

/* What a VM manager is about to do, or has done, with a VM that a GPU belongs to; and what the host is, with a GPU that is with VFIO
 * and that no VM has open. */
typedef enum VmPhase {
        PHASE_PRE_START,  /* the GPU has to be there, well, and detached */
        PHASE_POST_START,
        PHASE_PRE_STOP,   /* it is removed from the bus while the guest lets go */
        PHASE_POST_STOP,  /* it is looked for again, and healed */
        PHASE_PRE_SLEEP,  /* it leaves its driver, or the bus */
        PHASE_POST_SLEEP, /* as after a stop, and it is with VFIO afterwards wherever it is found */
        _VM_PHASE_MAX,
        _VM_PHASE_INVALID = -EINVAL,
} VmPhase;

/* Whether the phase looks for the card, examines it, and recovers it. */
bool vm_phase_heals(VmPhase p) _const_;

DECLARE_STRING_TABLE(vm_phase, VmPhase);
DECLARE_STRING_TABLE(operation, Operation);
DECLARE_STRING_TABLE(gpu_state, GpuState);
DECLARE_STRING_TABLE(job_state, JobState);
DECLARE_STRING_TABLE(job_result, JobResult);
