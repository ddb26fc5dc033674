/* SPDX-License-Identifier: GPL-2.0-or-later */
#pragma once

/* sleep: the coordinator of the host's sleep. It joins what logind and the gate unit announce into cycles (sleep-doors.h), has every VM
 * that holds a card, and every card, brought into a state in which the host can sleep (sleep-forth.c), answers whether it may, and brings
 * everything back when it has woken, or when it stays awake (sleep-back.c). One record says how far it is (sleep-record.h), on disk before
 * anything is done.
 *
 *      PREPARING ──▶ PREPARED ──first door closes──▶ RESUMING ──▶ OVER
 *          └─ a veto, or a door closes ──▶ UNDOING ────────────────▲
 */

#include "manager.h"
#include "sleep-record.h"

typedef struct SleepWaiter SleepWaiter;

int sleep_new(Manager *m, Sleep **ret);
Sleep *sleep_free(Sleep *s);
DEFINE_CLEANUP(Sleep *, sleep_free);

/* Takes up what the last daemon, or the last boot, has left, as far as it is not a job's; then the handler is
 * called, perhaps from within: by then it is known whether the host may fall asleep at any moment. */
void sleep_take_up(Sleep *s, void (*handler)(Manager *m));

/* What logind announces. */
void sleep_on_logind(Sleep *s, bool start);
/* What the gate unit asks for. error: NULL, or a name; reason: a sentence. The waiter is freed after the call,
 * which never comes from within. operation: "" where nobody has said. */
typedef void (*sleep_answer_t)(const char *error, const char *reason, void *userdata);
int sleep_prepare(Sleep *s, const char *operation, sleep_answer_t handler, void *userdata, SleepWaiter **ret);
int sleep_finish(Sleep *s, sleep_answer_t handler, void *userdata, SleepWaiter **ret);
/* The handler is not called. Nothing is ended by it. */
SleepWaiter *sleep_waiter_free(SleepWaiter *w);

/* A cycle is under way. */
bool sleep_in_progress(const Sleep *s);
/* No job may begin, but for its own: the cards are being moved, or the host sleeps. When the VMs are being
 * started again, their hooks may ask for whatever they like. */
bool sleep_refuses_jobs(const Sleep *s);
/* The VM of this card is being stopped or started by it, so what its manager's hooks ask for the card is being
 * done. */
bool sleep_joins_hook(const Sleep *s, const Gpu *g);
/* Of this cycle or the last one; NULL if there was none. */
const SleepRecord *sleep_last(const Sleep *s);

/* What the manager passes on. */
void sleep_on_gpu_changed(Sleep *s);
void sleep_on_job_ended(Sleep *s);
