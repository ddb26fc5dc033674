/* SPDX-License-Identifier: GPL-2.0-or-later */
#pragma once

/* sleep-archive: records of sleeps on disk: STATE_DIR/sleep, the one that is not over, and
 * STATE_DIR/sleep-reports/NUMBER, the last SLEEP_REPORTS_MAX that are. They outlive the boot. */

#include "sleep-record.h"

#define SLEEP_REPORTS_MAX 20U

/* Atomic, fsync. */
int sleep_archive_store(const char *state_dir, const SleepRecord *s);
/* -ENOENT: there is none; -EBADMSG, -EPROTONOSUPPORT: not ours to use. */
int sleep_archive_load(const char *state_dir, SleepRecord **ret);
int sleep_archive_remove(const char *state_dir);

/* Adds a report, and removes the oldest beyond the limit. */
int sleep_archive_add_report(const char *state_dir, const SleepRecord *s);
/* The newest one that can be read; -ENOENT: there is none. */
int sleep_archive_last_report(const char *state_dir, SleepRecord **ret);
