/* SPDX-License-Identifier: GPL-2.0-or-later */
#pragma once

/* recorder: keeps every signal of the daemon from its creation on, so that a test can wait for one that has long been
 * sent, and compare their order. It has a connection of its own. */

#include <glib.h>
#include <systemd/sd-bus.h>

#include "machine.h"

typedef struct SimRecorder SimRecorder;

SimRecorder *sim_recorder_new(SimMachine *m);
void sim_recorder_free(SimRecorder *r);
G_DEFINE_AUTOPTR_CLEANUP_FUNC(SimRecorder, sim_recorder_free)

/* The next signal of that name (NULL: of any) that was not returned yet; what came before it counts as returned. Ends the
 * test if it does not come. Owned by the recorder, rewound. */
sd_bus_message *sim_recorder_wait(SimRecorder *r, const char *member);

/* Takes in what has arrived and returns everything so far, a line each: "INTERFACE.MEMBER PATH". g_free() */
char *sim_recorder_text(SimRecorder *r);
