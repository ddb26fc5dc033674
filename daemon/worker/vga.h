/* SPDX-License-Identifier: GPL-2.0-or-later */
#pragma once

/* vga: what ties the text console to a card. See step.h. */

#include "worker/work.h"

int verb_release_console(Work *w);
int verb_restore_console(Work *w);
