/* SPDX-License-Identifier: GPL-2.0-or-later */
#pragma once

#include "client/options.h"

/* Puts a pager between stdout and the terminal, unless stdout is none or the user wants none ($SYSTEMD_PAGER,
 * $PAGER, --no-pager). Asks the terminal for its width and colours before. Failure means no pager. */
void pager_open(const Options *o);

/* Flushes what was printed and waits until the user has left the pager. */
void pager_close(void);
