/* SPDX-License-Identifier: GPL-2.0-or-later */
#pragma once

/* owner: who a process is: its program, its unit, its session, its virtual machine. */

#include "holders.h"

/* Fills in everything but pid, start and nodes; what cannot be found out stays NULL. -ENOMEM is the only error. */
int owner_find(Holder *h);

/* "qemu-1-win10" as libvirt names its machines: what follows the number, or NULL. */
const char *owner_libvirt_name(const char *machine);
/* The value of QEMU's -name: "win10" of "guest=win10,debug-threads=on" and of "win10,process=x". Newly allocated. */
char *owner_qemu_name(const char *cmdline, size_t size);
/* Whether a program of that name is one that a user's session depends on. */
bool owner_is_protected_name(const char *name);
