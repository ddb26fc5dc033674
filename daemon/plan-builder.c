/* SPDX-License-Identifier: GPL-2.0-or-later */

#include "plan-builder.h"

#include <stdarg.h>

static void builder_done(Builder *b) {
        b->addresses = strv_free(b->addresses);
        b->powered = strv_free(b->powered);
        for (size_t i = 0; i < b->n_claimed; i++)
                free(b->drivers[i]);
        free(b->message);
}

int builder_refuse(Builder *b, PlanRefusal refusal, const char *format, ...) {
        va_list ap;

        va_start(ap, format);
        if (vasprintf(&b->message, format, ap) < 0)
                b->message = NULL;
        va_end(ap);
        return b->message ? (int) refusal : -ENOMEM;
}

void builder_add_strv(Builder *b, Verb verb, const char *target, char *const *arguments) {
        if (b->r >= 0)
                b->r = plan_add(b->plan, verb, target, arguments);
}

void builder_add(Builder *b, Verb verb, const char *target, const char *a1, const char *a2) {
        const char *arguments[] = { a1, a1 ? a2 : NULL, NULL };

        builder_add_strv(b, verb, target, (char *const *) arguments);
}

void builder_add_seconds(Builder *b, Verb verb, const char *target, unsigned seconds) {
        char text[16];

        (void) snprintf(text, sizeof(text), "%u", seconds);
        builder_add(b, verb, target, text, NULL);
}

const Function *builder_display(const Builder *b) {
        return snapshot_find(b->in->snapshot, b->in->functions[0]);
}

const char *builder_recorded(const Builder *b, const Function *f, const char *key) {
        return b->in->record ? saved_get(b->in->record, f->address, key) : NULL;
}

/* Smaller leaves its driver earlier: consumers before what they consume (the audio function holds a device link to the
 * display, drivers/pci/quirks.c quirk_gpu_hda()). */
static int unbind_rank(const Function *f) {
        static const char *const order[] = { "ucsi", "usb", "audio", "other", "display" };

        for (size_t i = 0; i < ELEMENTSOF(order); i++)
                if (streq(function_role(f), order[i]))
                        return (int) i;
        return 0;
}

/* To bring it to the bus is what some operations are for; others are of no consequence without it. */
static bool needs_display(const Builder *b) {
        if (b->plan->operation == OPERATION_PHASE)
                return vm_phase_heals(b->options->phase);
        return b->plan->operation != OPERATION_RESET;
}

/* What the operation moves: the functions that were asked for, those of the GPU that exist otherwise. */
static int claim(Builder *b) {
        char *const *wanted = b->options->functions ?: (char **) b->in->functions;

        for (char *const *a = wanted; *a; a++) {
                const Function *f = snapshot_find(b->in->snapshot, *a);
                size_t i;

                if (!strv_contains(b->in->functions, *a))
                        return builder_refuse(b, PLAN_E_INVALID, "%s is not a function of %s.", *a, b->in->name);
                if (!f)
                        continue;
                if (b->n_claimed >= ELEMENTSOF(b->claimed))
                        return builder_refuse(b, PLAN_E_INVALID, "%s has too many functions.", b->in->name);
                for (i = b->n_claimed++; i > 0 && unbind_rank(b->claimed[i - 1]) >= unbind_rank(f); i--)
                        b->claimed[i] = b->claimed[i - 1];
                b->claimed[i] = f;
        }
        if (needs_display(b) && (b->n_claimed == 0 || !builder_display(b)))
                return builder_refuse(b, PLAN_E_NO_DEVICE,
                              "%s is not on the PCI bus. If it was removed, gpuptctl recover looks for it again.", b->in->name);

        for (size_t i = b->n_claimed; i > 0; i--) {
                const Function *f = b->claimed[i - 1];
                int r = strv_extend(&b->addresses, f->address);

                if (r >= 0)
                        r = strv_extend(&b->powered, f->address);
                if (r < 0)
                        return r;
        }
        for (size_t i = 0; i < b->n_claimed; i++)
                for (char **bridge = b->claimed[i]->bridges; bridge && *bridge; bridge++)
                        if (!strv_contains(b->powered, *bridge)) {
                                int r = strv_extend(&b->powered, *bridge);

                                if (r < 0)
                                        return r;
                        }
        return 0;
}

/* A module's name as modprobe knows it, from a driver's: vfio-pci is vfio_pci. */
static char *module_name(const char *driver) {
        char *name = strdup(driver);

        for (char *p = name; p && *p; p++)
                if (*p == '-')
                        *p = '_';
        return name;
}

bool same_module(const char *a, const char *b) {
        for (;; a++, b++) {
                char x = *a == '-' ? '_' : *a, y = *b == '-' ? '_' : *b;

                if (x != y)
                        return false;
                if (!x)
                        return true;
        }
}

bool modules_contain(char *const *modules, const char *name) {
        for (; modules && *modules; modules++)
                if (same_module(*modules, name))
                        return true;
        return false;
}

void builder_add_load(Builder *b, const char *driver) {
        _cleanup_free_ char *module = NULL;

        if (snapshot_find_driver(b->in->snapshot, driver))
                return;
        module = module_name(driver);
        if (!module) {
                b->r = -ENOMEM;
                return;
        }
        builder_add(b, VERB_LOAD, module, NULL, NULL);
        builder_add(b, VERB_CHECK_DRIVER, driver, NULL, NULL);
}

void builder_add_for_user(Builder *b, Verb verb, uint32_t uid) {
        char text[16];

        (void) snprintf(text, sizeof(text), "%u", uid);
        for (size_t i = b->n_claimed; i > 0; i--)
                if (verb != VERB_REVOKE || plan_function_is_detached(b->claimed[i - 1]))
                        builder_add(b, verb, b->claimed[i - 1]->address, text, NULL);
}

static int (*const builders[_OPERATION_MAX])(Builder *b) = {
        [OPERATION_DETACH] = builder_detach,
        [OPERATION_ATTACH] = builder_attach,
        [OPERATION_RESET] = builder_rung,
        [OPERATION_PHASE] = builder_phase,
};

int plan_build(const PlanInput *in, Operation operation, const PlanOptions *options, Plan **ret, char **reterr_message) {
        _cleanup_(plan_freep) Plan *plan = plan_new(operation);
        Builder b = { .in = in, .options = options, .plan = plan };
        int r;

        if (!plan)
                return -ENOMEM;
        if (operation >= 0 && (size_t) operation < ELEMENTSOF(builders) && builders[operation]) {
                r = claim(&b);
                if (r == 0)
                        r = builders[operation](&b);
                if (r == 0) {
                        builder_add_hooks_after(&b);
                        r = b.r;
                }
        } else
                r = builder_refuse(&b, PLAN_E_NOT_SUPPORTED, "The operation '%s' is not supported by this version of gpuptd.",
                                   operation_to_string(operation));
        if (r == 0)
                *ret = TAKE_PTR(plan);
        else if (r > 0)
                *reterr_message = TAKE_PTR(b.message);
        builder_done(&b);
        return r;
}
