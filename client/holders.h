/* SPDX-License-Identifier: GPL-2.0-or-later */
#pragma once

#include "client/json.h"
#include "client/table.h"

/* Who uses a GPU, as text. What comes from ListHolders() is an array of objects: pid, start-time, uid,
 * command, nodes, unit, session, machine; an unprivileged caller sees only pid, unit and nodes of somebody
 * else's processes. */

/* "win10 (libvirt)" of the property VirtualMachine of a GPU, or "" for none. Owned by the caller; NULL if out
 * of memory. */
char *vm_text(json_object *gpu);

/* "qemu[4711] +1": the first and how many more. As above. */
char *holders_text(json_object *holders);

/* A table with a line per process. `local`: the uids are of this machine, so they have names here. */
int holders_table(json_object *holders, bool legend, bool local, struct libscols_table **ret);
