/* SPDX-License-Identifier: GPL-2.0-or-later */
#pragma once

/* hook-run: one call of one hook (hooks.h): its arguments and its environment, as a transient unit of systemd1 (exec-client.h). What it is
 * told is whole in the request; who is told, when, and what follows where it fails is somebody else's business. gpuptd.hooks(7) is
 * the protocol. */

#include <systemd/sd-bus.h>

#include "hooks.h"

typedef struct HookRun HookRun;

/* All weak. What is NULL is not in its environment. */
typedef struct HookRequest {
        const char *name;
        unsigned job, number;       /* name the unit, as that of a step */
        const char *when, *act;     /* "pre", "detach": its arguments */
        const char *result;         /* of a post: "done", "failed" */
        const char *operation;      /* of the job */
        const char *gpu;
        char *const *functions;
        const char *vm;             /* "win10 (libvirt)", as a VM manager has said it */
        const char *sleep;          /* "suspend", …; "": nobody has said */
        char *const *gpus;          /* of a sleep */
        unsigned limit_sec;         /* then it is ended */
} HookRequest;

/* error is 0, or a negative errno with a sentence fragment: as ExecResult, and -ECHILD likewise for one that must not be run. output: what it
 * has printed, "" where that is not to be had. The HookRun is freed after the call. */
typedef void (*hook_handler_t)(int error, const char *text, const char *output, void *userdata);

/* The handler is never called from within. */
int hook_run_new(sd_bus *bus, const HookRequest *request, hook_handler_t handler, void *userdata, HookRun **ret);
/* The handler is not called; the hook goes on until its limit. */
HookRun *hook_run_free(HookRun *h);
DEFINE_CLEANUP(HookRun *, hook_run_free);

/* Of what a hook has printed so many lines go to the log. */
#define HOOK_LINES_MAX 50U

/* Walks through the lines of an output, for the log: the next one that is not blank into line, printable, cut where it does not fit. False at
 * the end. */
bool hook_next_line(const char **output, char *line, size_t size);
