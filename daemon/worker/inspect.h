/* SPDX-License-Identifier: GPL-2.0-or-later */
#pragma once

/* inspect: the second block of a function's fields: its attributes, its nodes, what is shown on it. */

#include "snapshot.h"

/* Fills in everything but names, modules and uses. A function that vanishes meanwhile keeps what was read. */
int inspect_function(Function *f);
