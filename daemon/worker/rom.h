/* SPDX-License-Identifier: GPL-2.0-or-later */
#pragma once

/* rom: the firmware image of a card, from its ROM or from the ACPI table VFCT, into the output of the worker. */

#include "worker/work.h"

int verb_rom(Work *w);
