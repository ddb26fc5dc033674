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

/* Every rung repairs legacy VGA decodes; where nothing else is wrong, this is the one that takes the card from nobody. */
static bool lacks_only_decodes(const HealthReport *report) {
        bool lacks = false;

        for (size_t i = 0; i < report->n; i++) {
                if (report->findings[i].severity == SEVERITY_NOTE)
                        continue;
                if (!streq(report->findings[i].id, "vga-decodes"))
                        return false;
                lacks = true;
        }
        return lacks;
}

/* What is awake cannot be healed by waking it: else what the kernel has said of it would only grow old. */
static bool wake_may_help(const Gpu *g) {
        static const char *const ids[] = { "config-space", "header-type", "power-state", "link", "no-answer", "power-refused" };

        for (size_t i = 0; i < ELEMENTSOF(ids); i++)
                if (g->report && health_report_find(g->report, ids[i]))
                        return true;
        return !g->report || lacks_only_decodes(g->report);
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
        if (!options->has_rung && (intent->operation == OPERATION_RESET || !wake_may_help(g)))
                ret->tried |= rung_bit(RUNG_WAKE);
}

char *climb_outcome(const char *outcome, const char *reason) {
        size_t n = strlen(reason);
        char *text;

        /* The reason is a sentence, and becomes part of one. */
        if (n > 0 && reason[n - 1] == '.')
                n--;
        return asprintf(&text, "%s (%.*s)", outcome, (int) n, reason) < 0 ? NULL : text;
}

static int note_impossible(Intent *intent, Rung rung, const char *reason) {
        _cleanup_free_ char *outcome = climb_outcome("not possible", reason);

        return outcome ? intent_add_attempt(intent, rung, outcome) : -ENOMEM;
}

static int make_plan(const Gpu *g, const Intent *intent, const PlanOptions *with_rung, const Holders *holders, Plan **ret,
                     char **ret_reason) {
        PlanInput input;

        gpu_plan_input(g, holders, &input);
        input.targets = &intent->saved;
        return plan_build(&input, OPERATION_RESET, with_rung, ret, ret_reason);
}

int climb_next(const Gpu *g, Intent *intent, const PlanOptions *options, const Holders *shown, char **ret_message) {
        for (;;) {
                _cleanup_free_ char *reason = NULL;
                PlanOptions with_rung = *options;
                LadderInput input;
                Plan *plan = NULL;
                int r;

                make_input(g, intent, options, &input);
                r = ladder_next(&input, &with_rung.rung);
                if (r <= 0)
                        return r;
                r = make_plan(g, intent, &with_rung, shown ?: g->holders, &plan, &reason);
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
                fprintf(f, "\n  %s: %s", rung_to_string(intent->attempts[i].rung), intent->attempts[i].outcome);
        if (fclose(f) != 0) {
                free(text);
                return NULL;
        }
        return text;
}

static bool is_possible(const Gpu *g, const Intent *intent, Rung rung) {
        PlanOptions options = { .has_rung = true, .rung = rung };
        _cleanup_free_ char *reason = NULL;
        _cleanup_(plan_freep) Plan *plan = NULL;

        return make_plan(g, intent, &options, g->holders, &plan, &reason) == 0;
}

char *climb_list_left(const Gpu *g, const Intent *intent) {
        RungSet out = tried(intent) | forbidden(g);
        char *text = NULL;
        size_t size;
        FILE *f = open_memstream(&text, &size);

        if (!f)
                return NULL;
        for (Rung r = 0; r < _RUNG_MAX; r++)
                if (rung_is_opt_in(r) && !(out & rung_bit(r)) && is_possible(g, intent, r))
                        fprintf(f, "%s%s", ftell(f) > 0 ? ", " : "", rung_to_string(r));
        if (fclose(f) != 0) {
                free(text);
                return NULL;
        }
        return text;
}
