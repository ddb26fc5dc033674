/* SPDX-License-Identifier: GPL-2.0-or-later */
#pragma once

/* plan-case: one call of plan_build() and everything that it depends on, owned. Tests change what they are
 * about. */

#include <glib.h>

#include "plan.h"

typedef struct PlanCase {
        Snapshot *snapshot;
        char **functions;
        GpuConfig config;   /* used if has_config; its strings are weak */
        bool has_config;
        char *xorg_files[3], *compositors[3];
        char *before_vfio[2]; /* for the configuration */
        Quirks quirks;
        Saved record;       /* used if has_record */
        bool has_record;
        char **units, **modules;
        char **hooks;       /* that are told; NULL: none */
        Holders *holders;   /* NULL: no census */
        PlanInput input;
        PlanOptions options;
} PlanCase;

/* Takes the snapshot; the functions are those that the selector finds. wait is 15. */
PlanCase *plan_case_new(Snapshot *snapshot, const char *gpu);
void plan_case_free(PlanCase *c);
G_DEFINE_AUTOPTR_CLEANUP_FUNC(PlanCase, plan_case_free)

/* What the hwdb says of nvidia. */
void plan_case_nvidia(PlanCase *c);
/* Somebody without privileges holds the card: pid 4711. */
Holder *plan_case_holder(PlanCase *c, uint32_t pid);
/* Somebody with a desktop (X11) on seat0. */
Login *plan_case_login(PlanCase *c, const char *session, const char *user, uint32_t uid);
/* The display manager's Xorg (pid 900) has the card, anna (session 2) her desktop on it, and the caller may log her out. */
void plan_case_desktop(PlanCase *c);
/* XorgFiles= of its .gpu file. */
void plan_case_xorg(PlanCase *c);
/* AskCompositors=sway kwin_wayland. */
void plan_case_compositors(PlanCase *c);
Function *plan_case_function(PlanCase *c, const char *address);

/* What plan_build() says. */
int plan_case_try(PlanCase *c, Operation operation, Plan **ret, char **ret_message);
/* It has to succeed. */
Plan *plan_case_build(PlanCase *c, Operation operation);
/* It has to be refused so, with a sentence that contains the words. */
void plan_case_refused(PlanCase *c, Operation operation, PlanRefusal refusal, const char *words);
/* Its steps, one `VERB TARGET [ARGUMENT…]` a line. */
char *plan_text(const Plan *p);
