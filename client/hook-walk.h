/* SPDX-License-Identifier: GPL-2.0-or-later */
#pragma once

#include "client/client.h"
#include "client/vm-devices.h"
#include "dbus/errors.h"

/* The virtual machine that a hook is called for. */
typedef struct HookVm {
        const char *manager, *name;
        const VmDevices *devices;
} HookVm;

/* What to do with each of its GPUs. */
typedef enum HookStep {
        HOOK_PRE_START = 1 << 0,    /* all or none: what was done is undone if one fails */
        HOOK_POST_START = 1 << 1,
        HOOK_PRE_STOP = 1 << 2,
        HOOK_POST_STOP = 1 << 3,
        HOOK_GIVE_BACK = 1 << 4,    /* what was taken from the host for this VM returns to it */
} HookStep;

/* Does one step or more, in this order. Each failure is a line on stderr; the first one's exit status, or negative errno. */
int hook_walk(Client *c, const HookVm *vm, HookStep steps);
