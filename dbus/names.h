/* SPDX-License-Identifier: GPL-2.0-or-later */
#pragma once

/* Every literal name that crosses a process boundary: the bus, the file system, the journal. Daemon, worker, client
 * and tests share it, so that a name is spelled in one place. The errors have their own header, errors.h. */

/* D-Bus */
#define GPUPT_BUS_NAME "org.gpupt1"
#define GPUPT_OBJECT_PATH "/org/gpupt1"
#define GPUPT_GPU_PREFIX "/org/gpupt1/gpu"
#define GPUPT_JOB_PREFIX "/org/gpupt1/job"

#define GPUPT_MANAGER_INTERFACE "org.gpupt1.Manager"
#define GPUPT_GPU_INTERFACE "org.gpupt1.Gpu"
#define GPUPT_JOB_INTERFACE "org.gpupt1.Job"

/* polkit actions */
#define GPUPT_ACTION_DETACH "org.gpupt1.detach"
#define GPUPT_ACTION_ATTACH "org.gpupt1.attach"
#define GPUPT_ACTION_RECOVER "org.gpupt1.recover"
#define GPUPT_ACTION_CONFIGURE "org.gpupt1.configure"
#define GPUPT_ACTION_READ_ROM "org.gpupt1.read-rom"
#define GPUPT_ACTION_RESET "org.gpupt1.reset"
#define GPUPT_ACTION_FORCE "org.gpupt1.force"
#define GPUPT_ACTION_DISRUPT_SESSION "org.gpupt1.disrupt-session"
#define GPUPT_ACTION_ACCESS "org.gpupt1.access"
#define GPUPT_ACTION_CANCEL "org.gpupt1.cancel"

/* Units that ship with gpuptd; the instance is a module name, or a modalias escaped with systemd-escape. */
#define GPUPT_UNIT_DAEMON "gpuptd.service"
#define GPUPT_UNIT_MODPROBE "gpuptd-modprobe@%s.service"
#define GPUPT_UNIT_UNLOAD "gpuptd-unload@%s.service"
#define GPUPT_UNIT_SLEEP "gpuptd-sleep.service"

/* State on disk. /run is of this boot, /var/lib outlives it. */
#define GPUPT_RUN_DIR "/run/gpuptd"
#define GPUPT_STATE_DIR "/var/lib/gpuptd"

/* Journal fields: one prefix for all. */
#define GPUPT_FIELD_GPU "GPUPT_GPU"
#define GPUPT_FIELD_FUNCTION "GPUPT_FUNCTION"
#define GPUPT_FIELD_JOB "GPUPT_JOB"
#define GPUPT_FIELD_OPERATION "GPUPT_OPERATION"
#define GPUPT_FIELD_STEP "GPUPT_STEP"
#define GPUPT_FIELD_RESULT "GPUPT_RESULT"
#define GPUPT_FIELD_ERROR "GPUPT_ERROR"

/* Where the kernel speaks. */
#define SYSFS_PCI_DEVICES "/sys/bus/pci/devices"
#define SYSFS_PCI_DRIVERS "/sys/bus/pci/drivers"
#define ACPI_VFCT "/sys/firmware/acpi/tables/VFCT"

/* Limits on what a caller may say; see the Options paragraph of org.gpupt1(5). */
#define GPUPT_WAIT_DEFAULT_SEC 15U
#define GPUPT_WAIT_MAX_SEC 600U
#define GPUPT_WORD_MAX 64U
#define GPUPT_FUNCTIONS_MAX 32U
