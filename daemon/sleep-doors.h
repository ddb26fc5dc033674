/* SPDX-License-Identifier: GPL-2.0-or-later */
#pragma once

/* sleep-doors: which sleep a message is about. A sleep is announced twice, by logind's PrepareForSleep and by
 * the gate unit, in either order or by one of them alone, and ended twice as well; the end of one may come late,
 * when the next one has begun. So each cycle of sleep and wake knows which doors have opened for it, an opening
 * joins the newest cycle or begins one, and a close acts upon the oldest cycle that has the door open. Pure. */

#include "util/cleanup.h"

typedef enum SleepDoor {
        DOOR_LOGIND = 1 << 0, /* PrepareForSleep */
        DOOR_GATE = 1 << 1,   /* PrepareSleep() and FinishSleep() */
} SleepDoor;

typedef struct SleepCycle {
        unsigned id; /* 0: there is none */
        unsigned opened, closed; /* of SleepDoor */
} SleepCycle;

/* More than one is left only where the end of the former is late: the doors are opened one cycle after the other. */
#define SLEEP_CYCLES_MAX 4U

typedef struct SleepCycles {
        SleepCycle list[SLEEP_CYCLES_MAX]; /* oldest first */
        size_t n;
        unsigned last_id;
} SleepCycles;

typedef enum SleepOpening {
        SLEEP_BEGINS, /* a cycle that was not there */
        SLEEP_JOINS,  /* the other door of the newest one, or the same one again */
} SleepOpening;

/* A cycle of which a door has been closed is ending, and is not joined any more. */
SleepOpening sleep_cycles_open(SleepCycles *c, SleepDoor door, unsigned *ret_id);
/* The id of the cycle that a door was closed of, and whether it is its first; 0: none has it open. A cycle whose
 * doors are all closed is forgotten. */
unsigned sleep_cycles_close(SleepCycles *c, SleepDoor door, bool *ret_first);
/* Whether a door of that cycle is open. */
bool sleep_cycles_is_open(const SleepCycles *c, unsigned id, SleepDoor door);
/* One that a daemon before has begun. */
void sleep_cycles_restore(SleepCycles *c, const SleepCycle *cycle);
/* It has ended although its doors say nothing. */
void sleep_cycles_forget(SleepCycles *c, unsigned id);
