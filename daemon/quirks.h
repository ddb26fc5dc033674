/* SPDX-License-Identifier: GPL-2.0-or-later */
#pragma once

/* quirks: what everybody needs to know of a card or a driver, from the hwdb (60-gpuptd.hwdb and the administrator's
 * own files). Looked up by name for drivers ("gpuptd:driver:nvidia") and by modalias for cards ("gpuptd:card:pci:v…").
 * A key in a card's record takes the place of the same key in its driver's.
 *
 * GPUPT_UNLOAD=a b c    modules to unload, in this order, before a function leaves the driver
 * GPUPT_STOP_UNITS=a b  units that hold cards of this driver and are stopped while one leaves it
 * GPUPT_SHARED_NODES=…  nodes of the driver as a whole, which pin its module
 * GPUPT_FORBID_RUNGS=…  rungs of the reset ladder that harm it
 * GPUPT_ALLOW_RUNGS=…   opt-in rungs that are known to help it
 * Unknown keys are ignored: a newer hwdb may have them. */

#include "util/cleanup.h"

typedef struct Quirks {
        char **unload;
        char **stop_units;
        char **shared_nodes;
        char **forbid_rungs, **allow_rungs; /* words of rung.h */
} Quirks;

void quirks_done(Quirks *q);

typedef struct QuirkDb QuirkDb;

/* The hwdb is opened (mmap) once; without one every look-up finds nothing, which is not an error. A hwdb that was built
 * anew later is seen by a new QuirkDb. */
int quirk_db_new(QuirkDb **ret);
QuirkDb *quirk_db_free(QuirkDb *db);
DEFINE_CLEANUP(QuirkDb *, quirk_db_free);

/* modalias and driver may be NULL. Words are checked ([A-Za-z0-9_.@:/-]{1,64}, modules are plain names, units end in
 * .service, nodes are below /dev/); others are left out. */
int quirk_db_lookup(QuirkDb *db, const char *modalias, const char *driver, Quirks *ret);

/* One property of a record; here for the tests. 0 or -ENOMEM. */
int quirks_set(Quirks *q, const char *key, const char *value);

/* "Vendor Device" of any PCI function, from the hwdb's own pci.ids rows; NULL if it is not known. Newly allocated. */
char *quirk_db_describe(QuirkDb *db, uint16_t vendor, uint16_t device);
