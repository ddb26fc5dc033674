/* SPDX-License-Identifier: GPL-2.0-or-later */
#pragma once

/* rom-read: the reading of one GPU's firmware image, by a worker of its own. There is one at a time per GPU
 * (Gpu.rom_read). It asks nobody whether it may. A read that does not return in its time makes the GPU stuck, as any other call to the kernel would:
 * whoever waits is told so, and the object stays until the worker comes back. */

#include "host.h"

typedef struct RomRead RomRead;

typedef struct RomAnswer {
        const char *error;   /* name of a D-Bus error, static; NULL: here it is */
        const char *message; /* a sentence; NULL without an error */
        int fd;              /* a sealed memfd; weak; -EBADF with an error */
} RomAnswer;

/* Called once. It may not free the GPU. */
typedef void (*rom_handler_t)(const RomAnswer *answer, void *userdata);

/* -EALREADY: one is running. The read is the GPU's from then on; *ret is for rom_read_forget(). */
int rom_read_start(Gpu *g, rom_handler_t handler, void *userdata, RomRead **ret);
/* The handler will not be called any more; the read goes on. NULL is nothing. */
void rom_read_forget(RomRead *q);
bool rom_read_is_late(const RomRead *q);
/* For the end of the GPU. The worker finishes by itself. */
RomRead *rom_read_free(RomRead *q);
DEFINE_CLEANUP(RomRead *, rom_read_free);
