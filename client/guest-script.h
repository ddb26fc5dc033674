/* SPDX-License-Identifier: GPL-2.0-or-later */
#pragma once

#include "client/guest-gpu.h"

/* A file for a Windows guest. Its lines end with "\n" here, and consist of ASCII, since each Windows has its own idea of
 * anything else. */
typedef struct GuestScript {
        const char *name;
        char *text;
} GuestScript;

#define GUEST_SCRIPTS 5U

typedef struct GuestScripts {
        GuestScript files[GUEST_SCRIPTS];
} GuestScripts;

void guest_scripts_done(GuestScripts *s);

/* -ENODATA if the ids of the GPU are not known. */
int guest_scripts_make(const GuestGpu *g, GuestScripts *ret);
