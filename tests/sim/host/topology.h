/* SPDX-License-Identifier: GPL-2.0-or-later */
#pragma once

/* topology: the text files that describe a machine; README.md has the format. */

#include <glib.h>

/* Reads the file into the model, which is not started yet. Lines that belong to the running machine (faults, units,
 * sessions …) are collected in *ret_commands, to be given to the control interface. On failure -EINVAL, and *ret_error
 * is "file:line: what"; free it with g_free(). */
int topology_load(const char *path, GPtrArray **ret_commands, char **ret_error);
