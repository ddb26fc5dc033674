/* SPDX-License-Identifier: GPL-2.0-or-later */
#pragma once

/* writer: system calls of tests that may hang, in processes of their own; and the way of a function to vfio-pci by hand. */

#include "machine.h"

/* A process that writes to an attribute and ends with the errno as its exit status. */
typedef struct Writer {
        pid_t pid;
} Writer;

Writer writer_start(const char *path, const char *text);
bool writer_hangs(const Writer *w);
/* The errno, or the signal plus 1000. */
int writer_end(Writer *w);

void load_vfio(SimMachine *m);
void to_vfio(SimMachine *m, const char *address); /* override, unbind, bind */
