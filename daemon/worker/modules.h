/* SPDX-License-Identifier: GPL-2.0-or-later */
#pragma once

/* modules: which modules say that they can drive a function, by the modules.alias of the running kernel. */

#include "snapshot.h"

/* Fills in host_modules and vfio_modules of every function that has a modalias. Without the file (or in a container)
 * the lists are empty but for vfio_pci. */
int modules_match(Snapshot *s);

/* The same from a given text; for tests. */
int modules_match_text(Snapshot *s, const char *text, size_t size);
