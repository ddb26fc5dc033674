/* SPDX-License-Identifier: GPL-2.0-or-later */

#include "display-decision.h"

#include "dbus/errors.h"

static const char *const display_wait_table[_DISPLAY_WAIT_MAX] = {
        [DISPLAY_WAIT_VM] = "vm",
        [DISPLAY_WAIT_ATTACH] = "attach",
        [DISPLAY_WAIT_SCREEN] = "screen",
        [DISPLAY_WAIT_RECOVERY] = "recovery",
};

DEFINE_STRING_TABLE(display_wait, DisplayWait);

/* ---- what is seen ---- */

static DisplayAction give_up(const DisplaySituation *s) {
        return s->lit_elsewhere ? DISPLAY_ELSEWHERE : DISPLAY_GIVE_UP;
}

/* A card that has been pulled is not looked for, and one that somebody else has brought half-way is his. */
static DisplayAction decide_return(const DisplaySituation *s) {
        switch (s->state) {
        case GPU_ASSIGNED:
                return DISPLAY_USED;
        case GPU_HOST:
                return DISPLAY_END;
        case GPU_DETACHED:
        case GPU_UNREACHABLE:
                return s->inconsistent ? give_up(s) : DISPLAY_ATTACH;
        default:
                return give_up(s);
        }
}

/* As long as another card shows something, a healthy card is not reset for a cable that may have been pulled. */
static DisplayAction decide_recovery(bool healed, const DisplaySituation *s) {
        if (s->lit_elsewhere)
                return DISPLAY_ELSEWHERE;
        if (healed || s->inconsistent || s->state == GPU_STUCK || s->state == GPU_ABSENT)
                return DISPLAY_GIVE_UP;
        return DISPLAY_RECOVER;
}

DisplayAction display_decide(DisplayWait wait, bool healed, const DisplaySituation *s) {
        if (s->used)
                return DISPLAY_USED;
        if (wait == DISPLAY_WAIT_VM || wait == DISPLAY_WAIT_ATTACH)
                return decide_return(s);
        if (s->state == GPU_ASSIGNED)
                return DISPLAY_USED;
        if (s->lit)
                return DISPLAY_BACK;
        /* With VFIO again, and not by a job: somebody else's doing. */
        if (wait == DISPLAY_WAIT_SCREEN && s->state == GPU_DETACHED && !healed)
                return DISPLAY_END;
        return decide_recovery(healed, s);
}

DisplayAction display_notice(DisplayWait wait, const DisplaySituation *s) {
        switch (wait) {
        case DISPLAY_WAIT_VM:
                return s->state == GPU_ASSIGNED || s->state == GPU_HOST ? DISPLAY_END : DISPLAY_KEEP;
        case DISPLAY_WAIT_SCREEN:
                return s->state == GPU_ASSIGNED ? DISPLAY_END : s->lit ? DISPLAY_BACK : DISPLAY_KEEP;
        default:
                return DISPLAY_KEEP;
        }
}

/* ---- what a job has come to ---- */

static bool is_error(const DisplayJob *j, const char *error) {
        return streq(j->error, error);
}

/* The card, or its driver, has failed: not the caller, and not somebody who is in the way. */
static bool is_failure(const DisplayJob *j) {
        return is_error(j, GPUPT_ERROR_FAILED) || is_error(j, GPUPT_ERROR_UNREACHABLE) || is_error(j, GPUPT_ERROR_RESET_FAILED) ||
               is_error(j, GPUPT_ERROR_DRIVER_MISSING) || is_error(j, GPUPT_ERROR_TIMEOUT);
}

static DisplayStep wait_for(DisplayWait wait, bool healed, bool at_once) {
        return (DisplayStep) { DISPLAY_NEXT, wait, healed, at_once };
}

static DisplayStep only(DisplayAction action) {
        return (DisplayStep) { .action = action };
}

static DisplayStep after_detach(const DisplayJob *j) {
        if (j->took && j->result == RESULT_DONE && j->state == GPU_DETACHED && !j->leased)
                return wait_for(DISPLAY_WAIT_VM, false, false);
        return only(j->idle || j->result != RESULT_DONE ? DISPLAY_KEEP : DISPLAY_END);
}

static DisplayStep after_attach(const DisplayJob *j, bool healed) {
        if (j->result == RESULT_DONE && j->idle && !j->own)
                return only(DISPLAY_KEEP);
        if (j->result == RESULT_DONE && !j->drew)
                return only(DISPLAY_END);
        if (j->result == RESULT_DONE || j->unstarted)
                return wait_for(DISPLAY_WAIT_SCREEN, healed, j->unstarted);
        if (is_error(j, GPUPT_ERROR_SLEEP_IN_PROGRESS) && j->own)
                return wait_for(healed ? DISPLAY_WAIT_ATTACH : DISPLAY_WAIT_VM, healed, true);
        if (j->own && (j->result == RESULT_CANCELLED || is_error(j, GPUPT_ERROR_IN_USE)))
                return only(DISPLAY_USED);
        if (j->result != RESULT_STUCK && !j->own && !is_failure(j))
                return only(DISPLAY_KEEP);
        if (!j->drew)
                return only(DISPLAY_END);
        /* Also of one that is stuck, or has been recovered already: the last look says why not, and gives up. */
        return wait_for(DISPLAY_WAIT_RECOVERY, healed, true);
}

static DisplayStep after_recovery(const DisplayJob *j) {
        if (is_error(j, GPUPT_ERROR_SLEEP_IN_PROGRESS))
                return wait_for(DISPLAY_WAIT_RECOVERY, false, true);
        if (j->result == RESULT_CANCELLED)
                return only(DISPLAY_USED);
        /* It had not come back from VFIO. */
        if (j->result != RESULT_STUCK && j->state == GPU_DETACHED)
                return wait_for(DISPLAY_WAIT_ATTACH, true, true);
        return wait_for(DISPLAY_WAIT_SCREEN, true, j->state != GPU_HOST);
}

DisplayStep display_after_job(const DisplayJob *j, bool healed) {
        /* It undoes, and what was to follow has followed. */
        if (j->rest)
                return only(DISPLAY_KEEP);
        switch (j->operation) {
        case OPERATION_DETACH:
                return after_detach(j);
        case OPERATION_ATTACH:
                return after_attach(j, j->own && healed);
        case OPERATION_PHASE:
                /* What a VM does with the card is seen when it opens it; what a sleep does is taken back. */
                return j->phase == PHASE_PRE_START ? after_detach(j) : only(DISPLAY_KEEP);
        default:
                if (j->own)
                        return after_recovery(j);
                /* Somebody who resets cards sees to it himself. */
                return only(j->idle ? DISPLAY_KEEP : DISPLAY_END);
        }
}
