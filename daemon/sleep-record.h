/* SPDX-License-Identifier: GPL-2.0-or-later */
#pragma once

/* sleep-record: one sleep of the host as plain data: what was done to which VM and which card, how far that is, and what came of
 * it. The same record is what the coordinator works on, what is on disk before anything is done, what a daemon that was started
 * again (or a host that has lost its power) goes on from, and what is reported afterwards. Lines of words:
 *
 *      gpuptd-sleep 1
 *      cycle ID OPENED CLOSED                the doors, see sleep-doors.h
 *      boot BOOT-ID
 *      job ID CALLS                          of the job that prepares or resumes, and the units that it has named
 *      operation WORD                        "suspend", …; "" where nobody has said
 *      phase WORD
 *      time BEGAN READY WOKEN FINISHED       CLOCK_REALTIME, microseconds; 0: not yet
 *      clock MONOTONIC BOOTTIME              when it began, microseconds of this boot
 *      asleep USEC                           for how long the host slept
 *      veto GPU ERROR REASON                 it was not to sleep
 *      vm ADAPTER ID NAME PID POLICY ACTION STAGE CALL MESSAGE [GPU…]
 *      card ADDRESS IDENTITY BEFORE ACTION STAGE AFTER HEALTH MESSAGE
 *      card-vfio ADDRESS DRIVER UID [FUNCTION…]   how the card was with VFIO; UID "" if nobody was given access
 *      hooks TELLING DONE CALL NAME…         who is told of it; absent where nobody is
 *      hook-failed TEXT                      what went wrong with one of them, where that changed nothing
 *      kernel TEXT                           a line of the kernel's log; "kernel-more" if there were more
 *      statistic NAME VALUE                  of /sys/power/suspend_stats
 *      end
 *
 * A file of another format is left where it is, and nothing is done by it. */

#include "operation.h"
#include "sleep-decision.h"
#include "sleep-doors.h"

typedef enum SleepPhase {
        SLEEP_PREPARING,
        SLEEP_PREPARED,
        SLEEP_UNDOING,  /* what was prepared is taken back: a veto, or the end of it came before it was ready */
        SLEEP_RESUMING,
        SLEEP_OVER,
        _SLEEP_PHASE_MAX,
        _SLEEP_PHASE_INVALID = -EINVAL,
} SleepPhase;

/* How far a VM or a card is. What is DOING or UNDOING in a record that is read may have happened or not. */
typedef enum SleepStage {
        SLEEP_STAGE_PENDING,  /* nothing was done */
        SLEEP_STAGE_DOING,
        SLEEP_STAGE_DONE,     /* it has been done, and is to be taken back */
        SLEEP_STAGE_FAILED,   /* it was tried, and did not end well: perhaps it will still happen */
        SLEEP_STAGE_UNDOING,
        SLEEP_STAGE_RESTORED, /* it is as before */
        SLEEP_STAGE_LEFT,     /* it is not, and why is in the message */
        _SLEEP_STAGE_MAX,
        _SLEEP_STAGE_INVALID = -EINVAL,
} SleepStage;

/* What hooks are told last, in this order. */
typedef enum SleepTelling {
        SLEEP_TELLING_NOTHING,
        SLEEP_TELLING_PRE_SLEEP,   /* it is about to be prepared */
        SLEEP_TELLING_POST_SLEEP,  /* it is prepared */
        SLEEP_TELLING_PRE_RESUME,  /* the host has woken, or stays awake */
        SLEEP_TELLING_POST_RESUME, /* all is back */
        _SLEEP_TELLING_MAX,
        _SLEEP_TELLING_INVALID = -EINVAL,
} SleepTelling;

DECLARE_STRING_TABLE(sleep_telling, SleepTelling);
DECLARE_STRING_TABLE(sleep_phase, SleepPhase);
DECLARE_STRING_TABLE(sleep_stage, SleepStage);

/* Whether something was begun that has to be taken back. */
bool sleep_stage_is_owed(SleepStage s) _const_;

/* A host has not more of them; a longer file is hostile. */
#define SLEEP_VMS_MAX 64U
#define SLEEP_CARDS_MAX 64U
#define SLEEP_KERNEL_LINES_MAX 200U
#define SLEEP_STATISTICS_MAX 32U
#define SLEEP_HOOK_FAILURES_MAX 128U
/* Of messages and names; what is longer is cut when it is written. Two of them fit into a line of words, also
 * where every byte is escaped. */
#define SLEEP_TEXT_MAX 1500U

typedef struct SleepVm {
        char *adapter, *id, *name; /* adapter "": nobody knows it */
        uint32_t pid;
        VmPolicy policy;
        VmAction action;
        SleepStage stage;
        unsigned call; /* number of the unit that does it; 0: none was begun */
        char *message; /* never NULL */
        char **gpus;
} SleepVm;

typedef struct SleepCard {
        char *address, *identity;
        GpuState before;
        GpuSleepPolicy action;
        SleepStage stage;
        GpuState after; /* invalid: not looked at yet */
        char *health;   /* "" likewise */
        char *message;  /* never NULL */
        char *driver;   /* VFIO driver of the display */
        char **functions; /* that were with VFIO */
        bool access;
        uint32_t access_uid;
} SleepCard;

typedef struct SleepHooks {
        SleepTelling telling;
        unsigned done; /* of them have been told that */
        unsigned call; /* number of the unit of the next one, who is being told; 0: it was not begun */
        char **names;  /* who is told that the host is about to sleep; later, who has been */
} SleepHooks;

typedef struct SleepStatistic {
        char *name, *value;
} SleepStatistic;

typedef struct SleepRecord {
        SleepCycle cycle;
        char boot[33];
        unsigned job, calls;
        char *operation; /* never NULL */
        SleepPhase phase;
        uint64_t began, ready, woken, finished, asleep_usec;
        uint64_t began_monotonic, began_boottime;
        bool vetoed;
        char *veto_gpu, *veto_error, *veto_reason; /* NULL unless vetoed */
        SleepVm *vms;
        size_t n_vms;
        SleepCard *cards;
        size_t n_cards;
        SleepHooks hooks;
        char **hook_failures;
        char **kernel_lines;
        bool kernel_more;
        SleepStatistic *statistics;
        size_t n_statistics;
} SleepRecord;

SleepRecord *sleep_record_new(void);
SleepRecord *sleep_record_free(SleepRecord *s);
DEFINE_CLEANUP(SleepRecord *, sleep_record_free);

/* -E2BIG past the limits. The pointer is good until the next one is added. */
int sleep_record_add_vm(SleepRecord *s, const char *adapter, const char *id, const char *name, uint32_t pid,
                        SleepVm **ret);
int sleep_record_add_card(SleepRecord *s, const char *address, const char *identity, SleepCard **ret);
int sleep_record_add_statistic(SleepRecord *s, const char *name, const char *value);
/* Past the limit there is no more than that there were many. */
int sleep_record_add_hook_failure(SleepRecord *s, const char *text);
/* From now on the hooks are those that have been told. */
void sleep_record_keep_told(SleepRecord *s);
SleepCard *sleep_record_find_card(const SleepRecord *s, const char *address);
/* The first veto stays. */
int sleep_record_veto(SleepRecord *s, const char *gpu, const char *error, const char *reason);

/* Whether anything was begun that has to be taken back, so that the record has to be on disk. */
bool sleep_record_has_debts(const SleepRecord *s);
/* Whether all is as it was. */
bool sleep_record_is_whole(const SleepRecord *s);

void sleep_record_write(const SleepRecord *s, FILE *f);
/* -EBADMSG, -EPROTONOSUPPORT. */
int sleep_record_read(const char *text, size_t size, SleepRecord **ret);
