/* SPDX-License-Identifier: GPL-2.0-or-later */

/* test-plan-undo: that nothing is left behind. Every plan, on every machine of the field and with every
 * option, is done on a model of the host up to every step, whole, begun without effect, or half; walked
 * back, the model is as at first. And there and back is where one came from. */

#include "plan-case.h"
#include "plan-model.h"
#include "snapshot-builder.h"

typedef struct Scenario {
        const char *name;
        Snapshot *(*machine)(void);
        const char *gpu;
        bool nvidia, force, access, unit_runs;
        const char *only;       /* `functions` */
        const char *with_vfio;  /* a function that somebody has bound to vfio-pci before */
        const char *driverless; /* one that had no driver */
        const char *overridden; /* one whose driver_override the administrator had set to its driver */
        bool without_record;    /* gpuptd has forgotten where it came from */
        const char *before;     /* BeforeVfio= */
        bool desktop;           /* whose display manager runs, and has the card */
        bool compositors;       /* AskCompositors= */
        bool hooks;             /* there are two that are told */
} Scenario;

static const Scenario scenarios[] = {
        { .name = "apu", .machine = build_apu, .gpu = APU },
        { "apu-audio", build_apu, APU, .only = "0000:c5:00.1" },
        { "apu-access", build_apu, APU, .access = true },
        { "pair", build_pair, PAIR, .nvidia = true },
        { "pair-unit", build_pair, PAIR, .nvidia = true, .unit_runs = true, .access = true },
        { "pair-force", build_pair, PAIR, .nvidia = true, .force = true },
        { "pair-audio-detached", build_pair, PAIR, .nvidia = true, .with_vfio = "0000:3b:00.1" },
        { "pair-display-detached", build_pair, PAIR, .nvidia = true, .with_vfio = PAIR },
        { .name = "laptop", .machine = build_laptop, .gpu = LAPTOP },
        { "laptop-driverless", build_laptop, LAPTOP, .driverless = "0000:01:00.1" },
        { "laptop-display-driverless", build_laptop, LAPTOP, .driverless = LAPTOP },
        { "laptop-overridden", build_laptop, LAPTOP, .overridden = LAPTOP },
        { "laptop-without-record", build_laptop, LAPTOP, .without_record = true },
        { "laptop-reset", build_laptop, LAPTOP, .before = "reset" },
        { "laptop-refresh", build_laptop, LAPTOP, .before = "refresh" },
        { "pair-refresh", build_pair, PAIR, .nvidia = true, .before = "display:refresh" },
        { .name = "desktop", .machine = build_desktop, .gpu = DESKTOP },
        { "desktop-force", build_desktop, DESKTOP, .force = true, .access = true },
        { "desktop-usb-detached", build_desktop, DESKTOP, .with_vfio = "0000:08:00.2" },
        { "twin", build_twins, TWIN, .nvidia = true, .unit_runs = true },
        { "desktop-desktop", build_desktop, DESKTOP, .desktop = true },
        { "apu-desktop", build_apu, APU, .desktop = true },
        { "desktop-compositors", build_desktop, DESKTOP, .compositors = true },
        { "apu-compositors", build_apu, APU, .compositors = true, .access = true },
        { "other-twin", build_twins, OTHER_TWIN, .nvidia = true },
        { "laptop-hooks", build_laptop, LAPTOP, .hooks = true },
        { "pair-hooks", build_pair, PAIR, .nvidia = true, .unit_runs = true, .with_vfio = PAIR, .hooks = true },
        { "desktop-hooks", build_desktop, DESKTOP, .desktop = true, .hooks = true },
};

/* How far the last step of a prefix came. */
typedef enum Extent {
        WHOLE,
        HALF,    /* of several functions, the first ones */
        NOTHING, /* begun, and the daemon died or the kernel refused */
        _EXTENT_MAX,
} Extent;

static PlanCase *make_case(const Scenario *s) {
        PlanCase *c = plan_case_new(s->machine(), s->gpu);

        if (s->nvidia)
                plan_case_nvidia(c);
        if (s->force)
                (void) plan_case_holder(c, 4711);
        if (s->desktop) {
                plan_case_desktop(c);
                plan_case_xorg(c);
        }
        if (s->compositors)
                plan_case_compositors(c);
        if (s->hooks) {
                build_strv(&c->hooks, "10-first");
                build_strv(&c->hooks, "20-second");
        }
        if (s->only)
                build_strv(&c->options.functions, s->only);
        if (s->with_vfio)
                build_driver(c->snapshot, s->with_vfio, "vfio-pci");
        if (s->driverless)
                build_driver(c->snapshot, s->driverless, NULL);
        if (s->before) {
                c->before_vfio[0] = (char *) s->before;
                c->config.before_vfio = c->before_vfio;
                c->has_config = true;
                build_strv(&plan_case_function(c, s->gpu)->switches, "bbswitch");
                build_strv(&plan_case_function(c, c->functions[1])->reset_methods, "flr");
        }
        c->options.force = s->force;
        c->options.access = s->access;
        c->options.uid = 1000;
        return c;
}

static Model *make_model(const Scenario *s, const Snapshot *machine, const PlanCase *c) {
        Model *m = model_new(machine, c->snapshot);

        if (s->nvidia) {
                model_set(m, "loaded", "module nvidia_drm");
                model_set(m, "loaded", "module nvidia_modeset");
                model_set(m, "loaded", "module nvidia_uvm");
        }
        if (s->unit_runs)
                model_set(m, "active", "unit nvidia-persistenced.service");
        if (s->desktop)
                model_set(m, "active", "unit lightdm.service");
        if (s->overridden) {
                g_autofree char *driver = g_strdup(model_get(m, "%s driver", s->overridden));

                model_set(m, driver, "%s override", s->overridden);
        }
        return m;
}

static void run(Model *m, const Step *s, Saved *saved) {
        _cleanup_free_ char *sentence = step_describe(s);
        int r = model_run(m, s, saved);

        g_assert_nonnull(sentence);
        if (r < 0)
                g_error("%s %s: %s", verb_to_string(s->verb), s->target, strerror(-r));
}

/* The step with the first of its functions alone. */
static void run_half(Model *m, const Step *s, Saved *saved) {
        Step half = *s;
        char *some[] = { s->arguments ? s->arguments[0] : NULL,
                         s->arguments && s->arguments[0] ? s->arguments[1] : NULL, NULL };

        if (s->verb == VERB_PIN)
                half.arguments = NULL;
        else if (s->verb == VERB_RESTORE_POWER)
                half.arguments = some;
        else if (s->verb == VERB_IDLE_POWER) {
                some[1] = NULL;
                half.arguments = some;
        } else
                return;
        run(m, &half, saved);
}

static void walk_back(Model *m, const Plan *p, size_t begun, Saved *saved) {
        for (size_t i = begun; i > 0; i--) {
                _cleanup_(plan_freep) Plan *undo = NULL;

                g_assert_cmpint(plan_undo(p, i - 1, saved, &undo), ==, 0);
                g_assert_cmpuint(undo->n, <=, 3);
                for (size_t k = 0; k < undo->n; k++)
                        run(m, undo->steps + k, saved);
        }
}

static void check_prefix(const Model *first, const Plan *p, size_t begun, Extent extent) {
        g_autoptr(Model) m = model_copy(first);
        g_autofree char *difference = NULL;
        Saved saved = {};

        for (size_t i = 0; i < begun; i++)
                if (i + 1 < begun || extent == WHOLE)
                        run(m, p->steps + i, &saved);
                else if (extent == HALF)
                        run_half(m, p->steps + i, &saved);
        walk_back(m, p, begun, &saved);
        saved_done(&saved);
        difference = model_difference(first, m);
        if (*difference)
                g_error("after %zu steps of %zu (%s), undone:\n%s", begun, p->n,
                        begun > 0 ? verb_to_string(p->steps[begun - 1].verb) : "none", difference);
}

static void check_all_prefixes(const Model *first, const Plan *p) {
        for (size_t begun = 0; begun <= p->n; begun++)
                for (Extent extent = 0; extent < _EXTENT_MAX; extent++)
                        check_prefix(first, p, begun, extent);
}

/* Overrides come before the first unbind, so that nobody else can bind what has no driver. */
static void check_window(const Plan *p) {
        for (size_t i = 0; i < p->n; i++) {
                bool overridden = false;

                if (p->steps[i].verb != VERB_UNBIND)
                        continue;
                for (size_t k = 0; k < i; k++) {
                        if (p->steps[k].verb == VERB_UNBIND)
                                break;
                        overridden = overridden || (p->steps[k].verb == VERB_OVERRIDE &&
                                                    streq(p->steps[k].target, p->steps[i].target));
                }
                g_assert_true(overridden);
        }
}

static bool removes(const Plan *p) {
        for (size_t i = 0; i < p->n; i++)
                if (p->steps[i].verb == VERB_REMOVE)
                        return true;
        return false;
}

/* Every rung that this card has leaves it as it was, however far it came: that is how a rung ends. */
static void check_rungs(const Scenario *s, const Model *first, PlanCase *c) {
        Function *display = plan_case_function(c, c->functions[0]);
        PlanOptions options = c->options;
        unsigned n = 0;

        if (!strv_contains(display->reset_methods, "pm")) {
                build_strv(&display->reset_methods, "flr");
                build_strv(&display->reset_methods, "pm");
                build_strv(&display->reset_methods, "bus");
                build_strv(&display->switches, "bbswitch");
                build_strv(&display->switches, "nvhda");
                g_assert_cmpint(free_and_strdup(&display->slot, "1"), ==, 0);
        }
        if (display->bridges && *display->bridges)
                plan_case_function(c, display->bridges[0])->resets_below = true;
        c->options = (PlanOptions) { .force = options.force, .wait_sec = 15 };
        for (Rung rung = 0; rung < _RUNG_MAX; rung++) {
                _cleanup_(plan_freep) Plan *p = NULL;
                _cleanup_free_ char *message = NULL;

                c->options.rung = rung;
                if (plan_case_try(c, OPERATION_RESET, &p, &message) != 0) {
                        g_test_message("%s: %s", rung_to_string(rung), message);
                        continue;
                }
                check_window(p);
                n++;
                /* What had no driver gets one from the kernel when it comes back to the bus, and keeps it. */
                if (!s->driverless || !removes(p))
                        check_all_prefixes(first, p);
        }
        g_assert_cmpuint(n, >=, 3);
        c->options = options;
}

/* As the daemon keeps it (job.c remember_host()). */
static void remember(PlanCase *c, const Plan *p, const Saved *saved) {
        static const char *const keys[] = { "driver", "override", "power-control", "d3cold", "drm", "screens", "console" };

        c->has_record = true;
        for (size_t i = 0; i < saved->n; i++) {
                for (size_t k = 0; k < G_N_ELEMENTS(keys); k++)
                        if (streq(saved->list[i].key, keys[k]))
                                g_assert_cmpint(
                                        saved_add(&c->record, saved->list[i].subject, keys[k], saved->list[i].value),
                                        ==, 0);
                if (streq(saved->list[i].key, "active") && streq(saved->list[i].value, "yes") &&
                    !plan_has(p, VERB_RETURN_UNIT, saved->list[i].subject))
                        build_strv(&c->units, saved->list[i].subject);
        }
        for (size_t i = 0; i < p->n; i++)
                if (p->steps[i].verb == VERB_UNLOAD)
                        build_strv(&c->modules, p->steps[i].target);
        c->input.access_given = c->options.access;
        c->input.access_uid = c->options.uid;
}

static void check_detached(const Model *m, const PlanCase *c) {
        for (char **a = c->options.functions ?: c->functions; *a; a++) {
                g_assert_cmpstr(model_get(m, "%s driver", *a), ==, "vfio-pci");
                g_assert_cmpstr(model_get(m, "%s d3cold", *a), ==, "0");
                if (c->options.access)
                        g_assert_cmpstr(model_get(m, "%s access", *a), ==, "1000");
        }
}

/* What somebody had given to vfio-pci before gpuptd ever saw it comes home to what the kernel chooses; the
 * rest is as it was. */
static void check_home(const Scenario *s, const Model *first, Model *m) {
        g_autofree char *difference = NULL;

        if (s->with_vfio) {
                const char *driver = model_get(m, "%s driver", s->with_vfio);

                g_assert_cmpstr(driver, !=, "");
                g_assert_false(driver_is_vfio(driver));
                return;
        }
        if (s->without_record)
                for (char **a = (char *[]){ (char *) LAPTOP, (char *) "0000:01:00.1", (char *) "0000:00:01.0", NULL };
                     *a; a++) {
                        /* Nobody knows them: they stay as they are kept while detached. */
                        model_set(m, model_get(first, "%s d3cold", *a), "%s d3cold", *a);
                        model_set(m, model_get(first, "%s power-control", *a), "%s power-control", *a);
                }
        difference = model_difference(first, m);
        g_assert_cmpstr(difference, ==, "");
}

/* A card that is away with its bus is found by the ladder, before the plan is made. */
static void find_again(Model *m, const PlanCase *c) {
        for (char **a = c->functions; *a; a++) {
                g_autofree char *bus = g_strndup(*a, strlen("0000:01"));
                char *arguments[] = { *a, NULL };
                Step rescan = { .verb = VERB_RESCAN, .target = bus, .arguments = arguments };
                Saved saved = {};

                run(m, &rescan, &saved);
                saved_done(&saved);
        }
}

/* Into the sleep and back: each way undone from wherever it came to, and where it was after both. Who was with VFIO without an override has
 * one then, as after a detach. */
static void check_sleep(const Model *detached, PlanCase *c, GpuSleepPolicy sleep) {
        PlanOptions options = c->options;
        g_autoptr(Model) m = model_copy(detached), woken = NULL, expected = NULL;
        _cleanup_(plan_freep) Plan *there = NULL, *back = NULL;
        g_autofree char *difference = NULL;
        Saved saved = {}, saved_back = {};

        c->options = (PlanOptions) { .phase = PHASE_PRE_SLEEP, .sleep = sleep, .functions = options.functions };
        there = plan_case_build(c, OPERATION_PHASE);
        g_assert_cmpuint(there->n, >, 0);
        check_window(there);
        check_all_prefixes(detached, there);
        for (size_t i = 0; i < there->n; i++)
                run(m, there->steps + i, &saved);
        saved_done(&saved);
        for (char **a = options.functions ?: c->functions; *a; a++)
                g_assert_cmpstr(model_get(m, "%s driver", *a), ==, "");

        find_again(m, c);
        model_show(m, c->snapshot);
        c->options = (PlanOptions) { .phase = PHASE_POST_SLEEP, .functions = options.functions, .access = options.access,
                                     .uid = options.uid };
        back = plan_case_build(c, OPERATION_PHASE);
        /* What is back on the bus need not be kept for its coming back: that is not undone. */
        woken = model_copy(m);
        for (char **a = c->functions; *a; a++)
                model_set(woken, "", "%s keep", *a);
        check_all_prefixes(woken, back);
        for (size_t i = 0; i < back->n; i++)
                run(m, back->steps + i, &saved_back);
        saved_done(&saved_back);
        expected = model_copy(detached);
        for (char **a = options.functions ?: c->functions; *a; a++)
                model_set(expected, "vfio-pci", "%s override", *a);
        /* The host's driver may have been quicker than udev, and had to go. */
        for (size_t i = 0; i < back->n; i++)
                if (back->steps[i].verb == VERB_UNLOAD) {
                        model_set(expected, "", "module %s", back->steps[i].target);
                        build_strv(&c->modules, back->steps[i].target);
                }
        difference = model_difference(expected, m);
        g_assert_cmpstr(difference, ==, "");
        model_show(m, c->snapshot);
        c->options = options;
}

static void test_scenario(const void *data) {
        const Scenario *s = data;
        _cleanup_(snapshot_freep) Snapshot *machine = s->machine();
        g_autoptr(PlanCase) c = make_case(s);
        g_autoptr(Model) first = make_model(s, machine, c), m = model_copy(first), away = NULL;
        _cleanup_(plan_freep) Plan *there = plan_case_build(c, OPERATION_DETACH), *back = NULL;
        Saved saved = {}, saved_back = {};

        check_window(there);
        check_all_prefixes(first, there);
        check_rungs(s, first, c);
        for (size_t i = 0; i < there->n; i++)
                run(m, there->steps + i, &saved);
        check_detached(m, c);

        if (!s->without_record)
                remember(c, there, &saved);
        saved_done(&saved);
        model_show(m, c->snapshot);
        c->holders = holders_free(c->holders);
        check_rungs(s, m, c);
        check_sleep(m, c, GPU_SLEEP_UNBIND);
        check_sleep(m, c, GPU_SLEEP_REMOVE);
        back = plan_case_build(c, OPERATION_ATTACH);
        g_assert_cmpuint(back->n, >, 0);
        check_window(back);
        away = model_copy(m);
        check_all_prefixes(away, back);
        for (size_t i = 0; i < back->n; i++)
                run(m, back->steps + i, &saved_back);
        saved_done(&saved_back);
        check_home(s, first, m);
}

/* Only what was running is started again, also where the job died before it knew. */
static void test_unit(void) {
        _cleanup_(plan_freep) Plan *p = plan_new(OPERATION_DETACH);
        static const char *const values[] = { "yes", "no", NULL };

        g_assert_cmpint(plan_add(p, VERB_STOP_UNIT, "x.service", NULL), ==, 0);
        for (size_t i = 0; i < G_N_ELEMENTS(values); i++) {
                _cleanup_(plan_freep) Plan *undo = NULL;
                Saved saved = {};

                if (values[i])
                        g_assert_cmpint(saved_add(&saved, "x.service", "active", values[i]), ==, 0);
                g_assert_cmpint(plan_undo(p, 0, &saved, &undo), ==, 0);
                g_assert_cmpuint(undo->n, ==, i == 0 ? 1 : 0);
                saved_done(&saved);
        }
}

/* What plan.c says cannot be taken back, or need not. */
static bool has_no_undo(Verb v) {
        switch (v) {
        case VERB_LOAD:
        case VERB_IDLE_POWER:
        case VERB_END:
        case VERB_END_SESSION:
        case VERB_RETURN_SOUND:
        case VERB_RETURN_COMPOSITOR:
        case VERB_RESET:
        case VERB_RESET_BELOW:
        case VERB_EJECT:
        case VERB_RESCAN:
        case VERB_VENDOR_RESET:
        case VERB_SUSPEND:
                return true;
        default:
                return false;
        }
}

/* Everything else that changes something has an undo. */
static void test_every_verb(void) {
        static const char *const others[] = { "x", "y", NULL }, *const hook[] = { "pre", "detach", "", "detach", "", "0000:01:00.0", NULL };

        for (Verb v = 0; v < _VERB_MAX; v++) {
                _cleanup_(plan_freep) Plan *p = plan_new(OPERATION_DETACH), *undo = NULL;
                const char *const *arguments = v == VERB_HOOK ? hook : others;
                Saved saved = {};

                g_assert_cmpint(plan_add(p, v, "0000:01:00.0", (char *const *) arguments), ==, 0);
                g_assert_cmpint(saved_add(&saved, "0000:01:00.0", "active", "yes"), ==, 0);
                g_assert_cmpint(saved_add(&saved, "0000:01:00.0", "probed", "nouveau"), ==, 0);
                g_assert_cmpint(saved_add(&saved, "x", "asked", "yes"), ==, 0);
                g_assert_cmpint(plan_undo(p, 0, &saved, &undo), ==, 0);
                g_test_message("%s: %zu", verb_to_string(v), undo->n);
                g_assert_cmpint(undo->n > 0, ==, verb_info(v)->writes && !has_no_undo(v));
                saved_done(&saved);
        }
}

int main(int argc, char *argv[]) {
        g_test_init(&argc, &argv, NULL);
        for (size_t i = 0; i < G_N_ELEMENTS(scenarios); i++) {
                g_autofree char *path = g_strdup_printf("/plan-undo/%s", scenarios[i].name);

                g_test_add_data_func(path, scenarios + i, test_scenario);
        }
        g_test_add_func("/plan-undo/unit", test_unit);
        g_test_add_func("/plan-undo/every-verb", test_every_verb);
        return g_test_run();
}
