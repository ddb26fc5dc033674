/* SPDX-License-Identifier: GPL-2.0-or-later */
#pragma once

#include <systemd/sd-journal.h>

#include "client/options.h"

/* This machine's journal of gpuptd.service: the entries about one GPU, or all if address is NULL. What the
 * caller may not read is not there. 0 or negative errno. */
int journal_open(const char *address, sd_journal **ret);

/* Adds what the kernel has noticed about the GPU's slot, from notices upwards. After journal_open() with this address. */
int journal_add_kernel(sd_journal *j, const char *address);

/* Prints up to n entries from the end, oldest first, as text indented by so many blanks or as one JSON object
 * each; the journal stands behind them then. Returns how many, or negative errno. */
int journal_print_last(sd_journal *j, uint32_t n, int indent, JsonMode json);

/* Prints what has come since. As above. */
int journal_print_new(sd_journal *j, int indent, JsonMode json);
