/* SPDX-License-Identifier: GPL-2.0-or-later */

/* plan-hooks: which hooks are told of a move between the host and VFIO, and what. Those of before come behind the checks that refuse it, and
 * before anything is changed; those of after at the very end. Whoever was told of the one is told of the other, once: by
 * these steps where all goes well, else by the undo of his first one (plan.c). */

#include "plan-builder.h"

/* A card that comes back to VFIO after a VM or a sleep, or by a ladder, does not change hands. */
static bool changes_hands(const Builder *b) {
        if (b->plan->operation == OPERATION_PHASE && b->options->phase != PHASE_PRE_START)
                return false;
        return !b->options->comes_back;
}

static void add_hooks(Builder *b, const char *when, const char *result) {
        _cleanup_strv_free_ char **arguments = NULL;
        const char *const words[] = {
                [HOOK_WHEN] = when,
                [HOOK_ACT] = b->told_of,
                [HOOK_RESULT] = result,
                [HOOK_OPERATION] = operation_to_string(b->plan->operation),
                [HOOK_VM] = strempty(b->options->vm),
        };

        for (size_t i = 0; i < ELEMENTSOF(words) && b->r >= 0; i++)
                b->r = strv_extend(&arguments, words[i]);
        for (char **a = b->addresses; a && *a && b->r >= 0; a++)
                b->r = strv_extend(&arguments, *a);
        for (char *const *name = b->in->hooks; name && *name; name++)
                builder_add_strv(b, VERB_HOOK, *name, arguments);
}

bool builder_add_hooks_before(Builder *b, const char *act) {
        if (!changes_hands(b) || strv_length(b->in->hooks) == 0)
                return false;
        b->told_of = act;
        add_hooks(b, "pre", "");
        return true;
}

void builder_add_hooks_after(Builder *b) {
        if (b->told_of)
                add_hooks(b, "post", "done");
}
