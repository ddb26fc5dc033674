/* SPDX-License-Identifier: GPL-2.0-or-later */
#pragma once

/* uses: what the host itself has below a function that it cannot do without: mounted file systems, swap, and its last
 * network. */

#include "snapshot.h"

/* Fills in `mounted` and `networks` of the detailed functions that can have such a thing below them. */
int uses_scan(Snapshot *s);
