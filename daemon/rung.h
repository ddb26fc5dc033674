/* SPDX-License-Identifier: GPL-2.0-or-later */
#pragma once

/* rung: the vocabulary of the reset ladder, in the order of harm: the weakest first. What a rung does to whom, and the
 * kernel's name for it, is one row each in rung.c; the steps are in plan-rung.c, which comes next in ladder.c. */

#include "util/string-table.h"

typedef enum Rung {
        RUNG_WAKE,
        RUNG_FLR,
        RUNG_AF_FLR,
        RUNG_DEVICE_SPECIFIC,
        RUNG_ACPI,
        RUNG_PM,
        RUNG_BUS,
        RUNG_SUBORDINATE,
        RUNG_REMOVE_RESCAN,
        RUNG_DRIVER,
        RUNG_BRIDGE,
        RUNG_SLOT,
        RUNG_POWER_CYCLE,
        RUNG_SUSPEND_CYCLE,
        _RUNG_MAX,
        _RUNG_INVALID = -EINVAL,
} Rung;

DECLARE_STRING_TABLE(rung, Rung);

/* A set of rungs, one bit each. */
typedef uint32_t RungSet;

static inline RungSet rung_bit(Rung r) {
        return (RungSet) 1 << r;
}

/* The method's word in `reset_method` (drivers/pci/pci.c pci_reset_fn_methods[]); NULL for what is no such method. */
const char *rung_method(Rung r);
/* What it does, as a sentence without an end: "removes it from the bus, and looks for it again". */
const char *rung_describe(Rung r);
/* Harmless enough that an attach may do it unasked. */
bool rung_is_weak(Rung r);
/* Done only where a quirk, a `.gpu` file or the caller names it. */
bool rung_is_opt_in(Rung r);

/* Words to a set; words that are no rung are skipped. Fit for lists that were checked when they were read. */
RungSet rung_set_from_words(char *const *words);
