/* SPDX-License-Identifier: GPL-2.0-or-later */
#pragma once

/* sleep-fixture: a VM that has a card, as the coordinator of sleep sees it: a process that holds the card's node, and an adapter that knows
 * it. The adapter does what it is told by files, and keeps a log of what it was asked:
 *
 *      vm_says(s, "status", "crashed")    the state of the VM
 *      vm_behaves("shutdown", "fail")     a verb refuses; "hang": until vm_goes_on(); "lies": done, says it, and is not;
 *                                         "identify-PID" hangs for one process alone
 *      vm_can("s3 s4 restart")            its capabilities
 *      vm_log()                           "pause resume": the verbs since this was last asked that change something */

#include "fixture.h"

#define CARD "0000:08:00.0"
#define AUDIO "0000:08:00.1"
#define OTHER "0000:09:00.0"
#define VFIO_NODE "/dev/vfio/15"

/* The desktop with the daemon, and the card detached; the `.gpu` file's [Sleep] has these lines. */
Scene *sleep_scene(const char *policy);
/* The VM opens the card: until it is assigned. */
pid_t vm_opens(Scene *s);

void vm_can(const char *capabilities);
void vm_says(const char *state);
void vm_behaves(const char *verb, const char *behaviour);
/* Until the verb that hangs has been asked; and on it goes. */
void vm_wait_asked(Scene *s, const char *verb);
void vm_goes_on(const char *verb);
const char *vm_log(Scene *s);
const char *vm_state(Scene *s);

/* The gate unit's calls. */
typedef struct Gate {
        Scene *scene;
        sd_bus *bus;
        sd_bus_slot *slot;
        bool answered;
        char *error, *message; /* "" for none */
} Gate;

Gate *gate_call(Scene *s, const char *method);
/* The error's last word; "" for none. */
const char *gate_wait(Gate *g);
void gate_free(Gate *g);
G_DEFINE_AUTOPTR_CLEANUP_FUNC(Gate, gate_free)
/* Both in one. */
const char *gate(Scene *s, const char *method);

/* "done", "vetoed", …: of LastSleep; and the text of all of it. */
const char *last_sleep(Scene *s, const char *key);
/* "done", "rolled-back InUse": how the next job of the host ends. The recorder is older than the job. */
const char *host_job_end(Scene *s, SimRecorder *signals);
