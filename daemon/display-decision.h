/* SPDX-License-Identifier: GPL-2.0-or-later */
#pragma once

/* display-decision: what becomes of a host whose display was taken, or should have come back: how a job ended, or what was
 * seen when the time was over, in; what is done next out. Pure.
 *
 *      detach ──▶ VM ──time──▶ ATTACH ──▶ SCREEN ──time──▶ RECOVERY ──▶ SCREEN ──time──▶ give up
 *                               ▲  └──────failed, not healed──────▲ │
 *                               └──── once more, healed ────────────┘
 *
 * Each arrow is gone once at most, so it ends. Whoever else does something with the card ends it, too. */

#include "operation.h"

typedef enum DisplayWait {
        DISPLAY_WAIT_VM,       /* after a detach, for a VM that opens the card */
        DISPLAY_WAIT_ATTACH,   /* for the end of an attach of the daemon's own */
        DISPLAY_WAIT_SCREEN,   /* after an attach, for a screen */
        DISPLAY_WAIT_RECOVERY, /* for the end of a recovery of the daemon's own */
        _DISPLAY_WAIT_MAX,
        _DISPLAY_WAIT_INVALID = -EINVAL,
} DisplayWait;

DECLARE_STRING_TABLE(display_wait, DisplayWait);

typedef enum DisplayAction {
        DISPLAY_KEEP,      /* waits on */
        DISPLAY_END,       /* there is nothing to wait for any more */
        DISPLAY_USED,      /* likewise, since somebody has the card, or has said no */
        DISPLAY_BACK,      /* likewise, since there is a screen */
        DISPLAY_ELSEWHERE, /* there is none on this card, but on another one */
        DISPLAY_NEXT,      /* waits for something else */
        DISPLAY_ATTACH,
        DISPLAY_RECOVER,
        DISPLAY_GIVE_UP,   /* a console is what is left */
} DisplayAction;

typedef struct DisplaySituation {
        GpuState state;
        bool inconsistent;  /* nothing is begun on the card */
        bool used;          /* a VM has it open, by a census */
        bool lit;           /* a screen is connected to it, and it is with a driver of the host's */
        bool lit_elsewhere; /* likewise to another card */
} DisplaySituation;

/* The time is over, and nothing is in the way: no job, no sleep. healed: the ladder has been climbed. Never DISPLAY_NEXT. */
DisplayAction display_decide(DisplayWait wait, bool healed, const DisplaySituation *s);
/* Before it is over something has changed: DISPLAY_KEEP, DISPLAY_END or DISPLAY_BACK. The census is not looked at. */
DisplayAction display_notice(DisplayWait wait, const DisplaySituation *s);

/* A job on the card that has ended. */
typedef struct DisplayJob {
        bool own;          /* the watch had begun it */
        bool rest;         /* of one that was stuck, whose end has been told */
        Operation operation;
        VmPhase phase;
        JobResult result;
        const char *error; /* D-Bus name; "" */
        bool idle;         /* it had nothing to do, and did nothing */
        bool took;         /* it has taken desktops, or the last display, from the host */
        bool drew;         /* the card had a screen when it was taken */
        bool unstarted;    /* the card is back, but a unit has not started */
        bool leased;       /* whoever has the lease gives it back */
        GpuState state;    /* of the card afterwards */
} DisplayJob;

typedef struct DisplayStep {
        DisplayAction action; /* DISPLAY_KEEP, DISPLAY_END, DISPLAY_USED, DISPLAY_NEXT */
        DisplayWait wait;     /* of DISPLAY_NEXT */
        bool healed;
        bool at_once;         /* its time is over now */
} DisplayStep;

/* healed: as it was; only that of a job of its own counts. */
DisplayStep display_after_job(const DisplayJob *j, bool healed);
