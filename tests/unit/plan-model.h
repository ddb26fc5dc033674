/* SPDX-License-Identifier: GPL-2.0-or-later */
#pragma once

/* plan-model: the host's attributes as a plan sees them, in memory: which driver has what, overrides, power
 * values, modules, consoles, sound cards and their ACLs, units. Steps are done on it as the worker, systemd
 * and the kernel would; whatever these would refuse fails with their errno. Two models are compared as
 * texts. */

#include <glib.h>

#include "saved.h"
#include "snapshot.h"
#include "step.h"

typedef struct Model Model;

/* As the snapshot shows it. `machine` has the same functions with all their host drivers, hence also what
 * those drivers bring with them (sound cards); weak, it must outlive the model. */
Model *model_new(const Snapshot *machine, const Snapshot *s);
Model *model_copy(const Model *m);
void model_free(Model *m);
G_DEFINE_AUTOPTR_CLEANUP_FUNC(Model, model_free)

/* Facts that no snapshot shows: "module NAME" (loaded), "unit NAME" (active, inactive), "acl PATH" (hex) … */
void model_set(Model *m, const char *value, const char *format, ...) G_GNUC_PRINTF(3, 4);
const char *model_get(const Model *m, const char *format, ...) G_GNUC_PRINTF(2, 3);

/* Does a step and takes what it answers into *saved, as a job does. 0 or a negative errno. */
int model_run(Model *m, const Step *s, Saved *saved);

/* Writes its drivers into a snapshot of the same functions, and takes out of it the consoles that were released. */
void model_show(const Model *m, Snapshot *s);

/* What is different from another one, one `KEY: BEFORE -> NOW` a line; "" if nothing is. Modules that are
 * loaded now and were not before are no difference: nothing unloads what it did not need to. */
char *model_difference(const Model *before, const Model *now);
