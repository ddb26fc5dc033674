/* SPDX-License-Identifier: GPL-2.0-or-later */
#pragma once

/* sleep-gate: what systemd1 knows about a sleep of the host: which one it is, and whether gpuptd-sleep.service,
 * the gate that every sleep has to pass, is open. It asks, and does nothing. */

#include <systemd/sd-bus.h>

#include "util/cleanup.h"

typedef struct SleepGate SleepGate;

typedef struct SleepGateAnswer {
        const char *operation; /* "suspend", "hibernate", "hybrid-sleep", "suspend-then-hibernate"; "" if none is being started */
        bool active;           /* the gate has been started and not been stopped yet */
} SleepGateAnswer;

/* Called once, never from within, at the latest after two seconds with what is known then. It is freed after the
 * call. */
typedef void (*sleep_gate_handler_t)(const SleepGateAnswer *answer, void *userdata);

int sleep_gate_ask(sd_bus *bus, sleep_gate_handler_t handler, void *userdata, SleepGate **ret);
/* The handler is not called. */
SleepGate *sleep_gate_free(SleepGate *g);
DEFINE_CLEANUP(SleepGate *, sleep_gate_free);

/* The operation of a target ("suspend.target"), static; NULL if it is none of a sleep. */
const char *sleep_gate_operation(const char *unit);
bool sleep_gate_is_operation(const char *operation);
