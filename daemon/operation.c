/* SPDX-License-Identifier: GPL-2.0-or-later */

#include "operation.h"

static const char *const operation_table[_OPERATION_MAX] = {
        [OPERATION_DETACH] = "detach",
        [OPERATION_ATTACH] = "attach",
        [OPERATION_RESET] = "reset",
        [OPERATION_RECOVER] = "recover",
        [OPERATION_PHASE] = "phase",
        [OPERATION_SLEEP] = "sleep",
        [OPERATION_RESUME] = "resume",
};

static const char *const gpu_state_table[_GPU_STATE_MAX] = {
        [GPU_HOST] = "host",
        [GPU_DETACHED] = "detached",
        [GPU_ASSIGNED] = "assigned",
        [GPU_PARTIAL] = "partial",
        [GPU_ABSENT] = "absent",
        [GPU_UNREACHABLE] = "unreachable",
        [GPU_STUCK] = "stuck",
};

static const char *const job_state_table[_JOB_STATE_MAX] = {
        [JOB_WAITING] = "waiting",
        [JOB_RUNNING] = "running",
        [JOB_ROLLING_BACK] = "rolling-back",
        [JOB_STUCK] = "stuck",
};

static const char *const job_result_table[_JOB_RESULT_MAX] = {
        [RESULT_DONE] = "done",
        [RESULT_FAILED] = "failed",
        [RESULT_ROLLED_BACK] = "rolled-back",
        [RESULT_CANCELLED] = "cancelled",
        [RESULT_STUCK] = "stuck",
};

static const char *const vm_phase_table[_VM_PHASE_MAX] = {
        [PHASE_PRE_START] = "pre-start",
        [PHASE_POST_START] = "post-start",
        [PHASE_PRE_STOP] = "pre-stop",
        [PHASE_POST_STOP] = "post-stop",
        [PHASE_PRE_SLEEP] = "pre-sleep",
        [PHASE_POST_SLEEP] = "post-sleep",
};

bool vm_phase_heals(VmPhase p) {
        return p == PHASE_PRE_START || p == PHASE_POST_STOP || p == PHASE_POST_SLEEP;
}

DEFINE_STRING_TABLE(vm_phase, VmPhase);
DEFINE_STRING_TABLE(operation, Operation);
DEFINE_STRING_TABLE(gpu_state, GpuState);
DEFINE_STRING_TABLE(job_state, JobState);
DEFINE_STRING_TABLE(job_result, JobResult);
