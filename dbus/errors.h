/* SPDX-License-Identifier: GPL-2.0-or-later */
#pragma once

#include <systemd/sd-bus.h>

/* The domain errors of org.gpupt1: one name is one thing that a caller can act on. The message of an error is a full
 * sentence that names the device, the cause and the next thing to do. errors.c maps each to an errno for programs that
 * have nothing else (sd_bus_error_get_errno()), and to the exit status of gpuptctl. */

#define GPUPT_ERROR_NO_SUCH_GPU "org.gpupt1.Error.NoSuchGpu"
#define GPUPT_ERROR_NO_SUCH_JOB "org.gpupt1.Error.NoSuchJob"
#define GPUPT_ERROR_BUSY "org.gpupt1.Error.Busy"
#define GPUPT_ERROR_IN_USE "org.gpupt1.Error.InUse"
#define GPUPT_ERROR_GROUP_NOT_VIABLE "org.gpupt1.Error.GroupNotViable"
#define GPUPT_ERROR_NOT_SUPPORTED "org.gpupt1.Error.NotSupported"
#define GPUPT_ERROR_DRIVER_MISSING "org.gpupt1.Error.DriverMissing"
#define GPUPT_ERROR_UNREACHABLE "org.gpupt1.Error.Unreachable"
#define GPUPT_ERROR_RESET_FAILED "org.gpupt1.Error.ResetFailed"
#define GPUPT_ERROR_STUCK "org.gpupt1.Error.Stuck"
#define GPUPT_ERROR_CANCELLED "org.gpupt1.Error.Cancelled"
#define GPUPT_ERROR_TIMEOUT "org.gpupt1.Error.Timeout"
#define GPUPT_ERROR_SLEEP_IN_PROGRESS "org.gpupt1.Error.SleepInProgress"
#define GPUPT_ERROR_LAST_DISPLAY "org.gpupt1.Error.LastDisplay"
#define GPUPT_ERROR_INCONSISTENT "org.gpupt1.Error.Inconsistent"
/* A step failed in a way that has no name of its own (an errno of the kernel, a unit that did not start). */
#define GPUPT_ERROR_FAILED SD_BUS_ERROR_FAILED

/* What gpuptctl exits with. */
typedef enum ExitStatus {
        EXIT_DONE = 0,
        EXIT_FAILED = 1,
        EXIT_USAGE = 2,
        EXIT_NO_SUCH_GPU = 3,
        EXIT_REFUSED = 4,
        EXIT_IN_USE = 5,
        EXIT_STUCK = 6,
        EXIT_NO_DAEMON = 7,
} ExitStatus;

/* The exit status for a D-Bus error name (ours, polkit's, the bus's); EXIT_FAILED for names that have none. */
ExitStatus error_exit_status(const char *name);

/* sd-bus's error map: call once per process, before the first sd_bus_error_set(). */
int errors_register(void);
