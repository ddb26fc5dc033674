/* SPDX-License-Identifier: GPL-2.0-or-later */
#pragma once

/* control-client: gives one command to the machine that this process is in. */

/* The words, put together with spaces, are the command; *ret_text (g_free()) is its answer, or on failure what it says.
 * 0, -ENOENT if this is no simulated machine, or the command's errno. */
int control_ask(char *const *words, char **ret_text);
