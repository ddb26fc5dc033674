/* SPDX-License-Identifier: GPL-2.0-or-later */
#pragma once

/* plan-builder: the workbench of one plan_build(): what is moved, in which order, and with which drivers; and the means to add
 * a step or to refuse. Errors of memory stick in `r`, so that the steps can be written one below the other. */

#include "dbus/names.h"
#include "plan.h"

typedef struct Builder {
        const PlanInput *in;
        const PlanOptions *options;
        Plan *plan;
        const Function *claimed[GPUPT_FUNCTIONS_MAX]; /* what moves, in the order of unbinding: UCSI, USB, audio, display */
        char *drivers[GPUPT_FUNCTIONS_MAX];           /* where each of them goes: "" is no driver, NULL the kernel's choice */
        size_t n_claimed;
        char **addresses; /* of the claimed functions, display first */
        char **powered;   /* those, and every bridge above them */
        const char *told_of; /* what the hooks were told that is about to happen: "detach"; NULL: nothing */
        const char *stopped_desktop; /* the display manager that the plan stops, or NULL */
        char *message;    /* of the refusal */
        int r;
} Builder;

/* Says why there is no plan; returns the refusal, or -ENOMEM. */
int builder_refuse(Builder *b, PlanRefusal refusal, const char *format, ...) _printf_(3, 4);

void builder_add(Builder *b, Verb verb, const char *target, const char *a1, const char *a2);
void builder_add_strv(Builder *b, Verb verb, const char *target, char *const *arguments);
void builder_add_seconds(Builder *b, Verb verb, const char *target, unsigned seconds);
/* Loads the module of a driver that is not registered, and checks that it is then. */
void builder_add_load(Builder *b, const char *driver);
/* One step per claimed function with a user's id as its argument. */
void builder_add_for_user(Builder *b, Verb verb, uint32_t uid);

const Function *builder_display(const Builder *b);
/* What the detach has recorded of a function, or NULL. */
const char *builder_recorded(const Builder *b, const Function *f, const char *key);

/* Modules are written with underscores, drivers often with dashes. */
bool same_module(const char *a, const char *b);
bool modules_contain(char *const *modules, const char *name);

/* plan-leave.c: away from the host's drivers. Whether that may be (0, a PlanRefusal, or a negative errno); then asking, and
 * waiting for, the holders; then modules, consoles and the unbinds themselves. What is with VFIO is left alone. */
int builder_check_leave(Builder *b);
void builder_add_release(Builder *b);
/* Returns the driver that leaves its functions with its module, or NULL. */
const char *builder_add_leave(Builder *b);
/* The modules alone. */
const char *builder_add_quiesce(Builder *b);

/* How long a driver may need to see what is plugged in. */
#define SCREEN_WAIT_SEC "5"

/* plan-desktop.c: whose desktop ends so that the card can go, or so that it is used again; and that there is one again
 * behind the last step, if a card is left for it. */
void builder_add_leave_desktop(Builder *b);
void builder_add_restart_desktop(Builder *b);
void builder_add_return_desktop(Builder *b);
/* Its configuration, if the .gpu file has one: behind the move of the display, before the return. */
void builder_add_xorg_files(Builder *b, const char *state);

/* plan-hooks.c: the administrator's programs, before the first write and behind the last one. True: there are some, so that time will have
 * passed when it begins. */
bool builder_add_hooks_before(Builder *b, const char *act);
void builder_add_hooks_after(Builder *b);

/* plan-before.c: BeforeVfio=, between the host's drivers and VFIO. `left` is what builder_add_leave() returned. */
int builder_check_before_vfio(Builder *b);
void builder_add_before_vfio(Builder *b, const char *left);
/* Off and on by bbswitch, and nvhda where it is there: that one does nothing while the card is off, so it goes first and, also when this
 * is undone, comes last. */
void builder_add_switches(Builder *b);
/* Whether a function that is not part of the plan is bound to that driver. */
bool builder_needs_elsewhere(const Builder *b, const char *driver);

/* Whether the functions belong to VFIO: as they are, or as gpuptd took them. */
bool builder_goes_to_vfio(const Builder *b);

/* plan-detach.c, plan-attach.c, plan-rung.c, plan-phase.c: what is in the plan. 0, a PlanRefusal, or a negative errno. */
int builder_detach(Builder *b);
int builder_attach(Builder *b);
int builder_rung(Builder *b);
int builder_phase(Builder *b);
/* How they rest while detached. */
void builder_add_idle(Builder *b);
