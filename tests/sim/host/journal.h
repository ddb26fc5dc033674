/* SPDX-License-Identifier: GPL-2.0-or-later */
#pragma once

/* journal: carries the lines of the simulated kernel into a journal file below /run/log/journal/<machine-id>/ of the
 * machine, with the fields that journald gives to kernel lines, for who reads it by sd-journal. */

/* Makes the directory, so that a reader can watch it; lines from now on are written. Call it after the mounts. */
int journal_start(void);
