/* SPDX-License-Identifier: GPL-2.0-or-later */
#pragma once

/* gate: stops a step before it is done. The daemon runs gate-worker instead of its worker; a gate is a file
 * GATE_DIR/VERB-TARGET (for a census: census-GROUP) with the number of steps of that name that pass before, and is
 * good for one step, GATE_ANY for any step of a plan. The step then waits until the test has said what becomes of it. */

#define GATE_DIR "/run/gpuptd-sim/gates"
/* Any step of any plan. */
#define GATE_ANY "any-step"
#define GATE_SOCKET "/run/gpuptd-sim/gate"
#define ENV_REAL_WORKER "GPUPT_REAL_WORKER"

#include <stdbool.h>
#include <sys/types.h>

typedef struct Gate {
        int fd;
        pid_t pid;  /* of the gate-worker */
        char *step; /* "VERB-TARGET" */
} Gate;

/* Before the daemon is started; for sim_daemon_start(). NULL-terminated. */
const char *const *gate_environment(void);
void gates_open(void);
void gate_set(const char *verb, const char *target, unsigned pass);
/* The first step of any plan after so many. */
void gate_set_any(unsigned pass);
/* How many steps came by since, none of which was stopped; no gate is left. */
unsigned gate_count_any(unsigned pass);
/* The next step that stands at a gate, whichever it is. */
Gate *gate_wait(void);
/* Likewise, or NULL once that is over by itself. */
Gate *gate_wait_until(bool (*over)(void *userdata), void *userdata);
/* "go", "error ERRNO", or "say TEXT"; frees it. */
void gate_answer(Gate *g, const char *verdict);
