/* SPDX-License-Identifier: GPL-2.0-or-later */
#pragma once

/* kernel-log: what the kernel has logged about some PCI functions since a moment, read from the journal's files.
 *
 * It is read when somebody asks. Following the journal would wake an idle daemon for every line that anybody logs, and
 * keep deleted files alive; opening and reading takes 0.1 to 0.5 ms of CPU with one file, 4 ms with 50 of them, and up
 * to 12 ms if there is a flood as well. journald is not asked for anything: should it hang, there is only nothing new to
 * read. A line is there some milliseconds after the kernel has printed it. */

#include "kernel-line.h"

/* So many entries are looked at in one call, once among those that the kernel has marked with their function, so that
 * no flood of others washes them away, and once among all lines of the kernel; and so much text is returned. */
#define KERNEL_LOG_ENTRIES_MAX 400U
#define KERNEL_LOG_BYTES_MAX (128U * 1024U)

typedef struct KernelLog KernelLog;

/* directory: instead of the system's journal, a directory with journal files; NULL for the system's. Opens nothing yet. */
int kernel_log_new(const char *directory, KernelLog **ret);
KernelLog *kernel_log_free(KernelLog *l);
DEFINE_CLEANUP(KernelLog *, kernel_log_free);

/* The lines of this boot about these functions (strv; bridges too, if asked for them) that journald took in at or after
 * since_usec (CLOCK_MONOTONIC), oldest first. Beyond the limits the newest are kept. A host that keeps no journal has
 * no lines. Negative errno: the journal cannot be read. */
int kernel_log_read(KernelLog *l, char *const *addresses, uint64_t since_usec, KernelLines **ret);
/* Likewise those that say how a sleep of the host went: about these functions, about others or none as kernel_line_is_of_sleep()
 * knows them. */
int kernel_log_read_sleep(KernelLog *l, char *const *addresses, uint64_t since_usec, KernelLines **ret);
