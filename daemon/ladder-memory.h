/* SPDX-License-Identifier: GPL-2.0-or-later */
#pragma once

/* ladder-memory: which rung has made a card of a kind well, over reboots: STATE_DIR/ladder. A kind is the four ids of
 * function_identity(). A file that cannot be read is no reason to refuse anything: it is left as it is, and nothing
 * is remembered.
 *
 *      gpuptd-ladder 1
 *      worked VENDOR:DEVICE:SUBVENDOR:SUBDEVICE RUNG
 *      end */

#include "rung.h"

typedef struct LadderMemory LadderMemory;

/* Reads the file; state_dir is where it is written. What is wrong with the file is logged. -ENOMEM is the only error. */
int ladder_memory_new(const char *state_dir, LadderMemory **ret);
LadderMemory *ladder_memory_free(LadderMemory *m);
DEFINE_CLEANUP(LadderMemory *, ladder_memory_free);

/* _RUNG_INVALID: nothing is known. */
Rung ladder_memory_get(const LadderMemory *m, const char *identity);
/* Remembers it, and writes the file if that is news. */
int ladder_memory_set(LadderMemory *m, const char *identity, Rung rung);

/* The text of a file; here for tests. -EBADMSG, -EPROTONOSUPPORT. */
int ladder_memory_read(LadderMemory *m, const char *text, size_t size);
