/* SPDX-License-Identifier: GPL-2.0-or-later */

#include "climb.h"

#include "ladder.h"
#include "ladder-memory.h"

static RungSet tried(const Intent *intent) {
        RungSet set = 0;

        for (size_t i = 0; i < intent->n_attempts; i++)
                set |= rung_bit(intent->attempts[i].rung);
        return set;
}

static RungSet forbidden(const Gpu *g) {
        return rung_set_from_words(g->quirks.forbid_rungs) | rung_set_from_words(g->config ? g->config->forbid : NULL);
}

/* The kernel's methods that this card does not list: nothing to try, and nothing to tell. */
static RungSet not_offered(const Gpu *g) {
        const Function *display = gpu_display(g);
        RungSet set = 0;

        for (Rung r = 0; r < _RUNG_MAX; r++)
                if (rung_method(r) && !(display && strv_contains(display->reset_methods, rung_method(r))))
                        set |= rung_bit(r);
        return set;
}

bool climb_is_forbidden(const Gpu *g, Rung rung) {
        return forbidden(g) & rung_bit(rung);
}

static void make_input(const Gpu *g, const Intent *intent, const PlanOptions *options, LadderInput *ret) {
        *ret = (LadderInput) {
                .named = options->has_rung ? options->rung : _RUNG_INVALID,
                .order = g->config ? g->config->ladder : NULL,
                .forbidden = forbidden(g),
                .allowed = rung_set_from_words(g->quirks.allow_rungs),
                .worked = g->identity ? ladder_memory_get(g->host->ladder_memory, g->identity) : _RUNG_INVALID,
                .weak_only = intent->operation == OPERATION_ATTACH,
                .tried = tried(intent),
        };
        if (!options->has_rung)
                ret->tried |= not_offered(g);
        /* Whoever asks for a reset, and names none, wants more than that. */
        if (intent->operation == OPERATION_RESET && !options->has_rung)
                ret->tried |= rung_bit(RUNG_WAKE);
}

static int note_impossible(Intent *intent, Rung rung, const char *reason) {
        _cleanup_free_ char *outcome = NULL;
        size_t n = strlen(reason);

        /* The reason is a sentence, and becomes part of one. */
        if (n > 0 && reason[n - 1] == '.')
                n--;
        if (asprintf(&outcome, "is not possible (%.*s)", (int) n, reason) < 0)
                return -ENOMEM;
        return intent_add_attempt(intent, rung, outcome);
}

int climb_next(const Gpu *g, Intent *intent, const PlanOptions *options, char **ret_message) {
        for (;;) {
                _cleanup_free_ char *reason = NULL;
                PlanOptions with_rung = *options;
                LadderInput input;
                PlanInput plan_input;
                Plan *plan = NULL;
                int r;

                make_input(g, intent, options, &input);
                r = ladder_next(&input, &with_rung.rung);
                if (r <= 0)
                        return r;
                gpu_plan_input(g, g->holders, &plan_input);
                plan_input.targets = &intent->saved;
                r = plan_build(&plan_input, OPERATION_RESET, &with_rung, &plan, &reason);
                if (r == 0) {
                        intent_begin_rung(intent, with_rung.rung, plan);
                        return 1;
                }
                if (r == PLAN_E_IN_USE || r == PLAN_E_LAST_DISPLAY)
                        *ret_message = TAKE_PTR(reason);
                if (r < 0 || r == PLAN_E_IN_USE || r == PLAN_E_LAST_DISPLAY)
                        return r;
                r = note_impossible(intent, with_rung.rung, reason);
                if (r < 0)
                        return r;
        }
}

char *climb_describe(const Intent *intent) {
        char *text = NULL;
        size_t size;
        FILE *f = open_memstream(&text, &size);

        if (!f)
                return NULL;
        for (size_t i = 0; i < intent->n_attempts; i++)
                fprintf(f, "%s%s %s", i > 0 ? "; " : "", rung_to_string(intent->attempts[i].rung), intent->attempts[i].outcome);
        if (fclose(f) != 0) {
                free(text);
                return NULL;
        }
        return text;
}
