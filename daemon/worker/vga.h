/* SPDX-License-Identifier: GPL-2.0-or-later */
#pragma once

/* vga: what ties the text console to a card. See step.h. */

#include "worker/work.h"

int verb_release_console(Work *w);
int verb_restore_console(Work *w);
int verb_restore_decodes(Work *w);

/* What the VGA arbiter says that the function decodes ("io+mem", "none" …); *ret is NULL where there is no arbiter or the
 * function is not one of its cards. Takes no lock that a driver holds: never `lock` or `trylock`. */
int read_vga_decodes(const char *address, char **ret);
