/* SPDX-License-Identifier: GPL-2.0-or-later */
#pragma once

/* surveyor: asks workers of its own for what the readiness check has to know: a survey, and the driver_override of the
 * GPUs, which on Linux 6.1 waits for the lock of the device (drivers/pci/pci-sysfs.c driver_override_show()) and so has a
 * worker apart. One round answers everybody who waits for it. Who has not answered after SURVEY_TIMEOUT_SEC is done
 * without; as long as it hangs it is not started again. */

#include "host.h"
#include "saved.h"
#include "survey.h"

#define SURVEY_TIMEOUT_SEC 5U

typedef struct Surveyor Surveyor;
typedef struct SurveyWaiter SurveyWaiter;

/* All weak; NULL where it could not be had, with the end of a sentence why. */
typedef struct SurveyResult {
        const Survey *survey;
        const Saved *overrides; /* key "override" */
        const char *survey_problem, *overrides_problem;
} SurveyResult;

typedef void (*survey_handler_t)(const SurveyResult *result, void *userdata);

int surveyor_new(Host *h, Surveyor **ret);
/* Lets go of all who wait, unanswered. */
Surveyor *surveyor_free(Surveyor *s);
DEFINE_CLEANUP(Surveyor *, surveyor_free);

/* Waits for the next round about these functions, or for the one that is under way. The waiter is freed after the call of
 * its handler. */
int surveyor_join(Surveyor *s, char *const *functions, survey_handler_t handler, void *userdata, SurveyWaiter **ret);
SurveyWaiter *survey_waiter_free(SurveyWaiter *w);
DEFINE_CLEANUP(SurveyWaiter *, survey_waiter_free);

/* Soft and hard RLIMIT_MEMLOCK of a process, in bytes; UINT64_MAX is no limit. Takes no lock that anybody could hold for
 * long (fs/proc/base.c proc_pid_limits()). */
int process_memlock(uint32_t pid, uint64_t *ret_soft, uint64_t *ret_hard);
/* The same from the text of /proc/PID/limits; for tests. */
int memlock_parse(const char *text, uint64_t *ret_soft, uint64_t *ret_hard);
