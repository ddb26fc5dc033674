/* SPDX-License-Identifier: GPL-2.0-or-later */
#pragma once

#include "client/client.h"

/* The GPU that a verb is about. */
typedef struct GpuChoice {
        char *path;                 /* of its D-Bus object */
        char *address;              /* "0000:01:00.0" */
} GpuChoice;

void gpu_choice_done(GpuChoice *g);

/* Looks up the GPU that the user named. With name NULL it takes the only GPU of the host, else the only one
 * that the operation is for ("detach" and "attach" by its state, "recover" by its health; others, and NULL, are for
 * none), else lists the choices. Returns 0, the exit status of what has been reported, or negative errno. */
int gpu_choose(Client *c, const char *name, const char *operation, GpuChoice *ret);
