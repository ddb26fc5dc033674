/* SPDX-License-Identifier: GPL-2.0-or-later */

/* test-plan-hooks: of which moves hooks are told, at which places of the plan, and in which words; and that whoever was told of the one is told
 * of the other. */

#include "plan-case.h"
#include "snapshot-builder.h"

static PlanCase *hooked_case(Snapshot *(*machine)(void), const char *gpu) {
        PlanCase *c = plan_case_new(machine(), gpu);

        build_strv(&c->hooks, "10-a");
        build_strv(&c->hooks, "20-b");
        return c;
}

static void bind_to_vfio(PlanCase *c) {
        for (char **f = c->functions; *f; f++)
                build_driver(c->snapshot, *f, "vfio-pci");
}

/* The steps of hooks, whole, and of the others the words. */
static char *outline(const Plan *p) {
        g_autofree char *text = plan_text(p);
        g_auto(GStrv) lines = g_strsplit(text, "\n", -1);
        GString *out = g_string_new(NULL);

        for (char **line = lines; *line; line++)
                if (startswith(*line, "hook "))
                        g_string_append_printf(out, "%s\n", *line);
                else if (**line)
                        g_string_append_printf(out, "%.*s\n", (int) strcspn(*line, " "), *line);
        return g_string_free(out, FALSE);
}

static void assert_outline(PlanCase *c, Operation operation, const char *begin, const char *end) {
        _cleanup_(plan_freep) Plan *p = plan_case_build(c, operation);
        g_autofree char *text = outline(p);

        if (!g_str_has_prefix(text, begin) || !g_str_has_suffix(text, end))
                g_error("it is not as\n%s…\n%s, but\n%s", begin, end, text);
}

static unsigned count_hooks(PlanCase *c, Operation operation) {
        _cleanup_(plan_freep) Plan *p = plan_case_build(c, operation);
        unsigned n = 0;

        for (size_t i = 0; i < p->n; i++)
                n += p->steps[i].verb == VERB_HOOK;
        return n;
}

#define FUNCTIONS "0000:01:00.0 0000:01:00.1"

/* Behind what may refuse it, before anything is changed; and when all is done. */
static void test_detach(void) {
        g_autoptr(PlanCase) c = hooked_case(build_laptop, LAPTOP);

        assert_outline(c, OPERATION_DETACH,
                       "check\nsave\n"
                       "hook 10-a pre detach \\- detach \\- " FUNCTIONS "\n"
                       "hook 20-b pre detach \\- detach \\- " FUNCTIONS "\n"
                       "pin-power\n",
                       "verify\nidle-power\n"
                       "hook 10-a post detach done detach \\- " FUNCTIONS "\n"
                       "hook 20-b post detach done detach \\- " FUNCTIONS "\n");
}

/* Which functions move is theirs to know. */
static void test_functions(void) {
        g_autoptr(PlanCase) c = hooked_case(build_apu, APU);

        build_strv(&c->options.functions, "0000:c5:00.1");
        assert_outline(c, OPERATION_DETACH, "check\nsave\nhook 10-a pre detach \\- detach \\- 0000:c5:00.1\n",
                       "hook 20-b post detach done detach \\- 0000:c5:00.1\n");
}

/* Who has opened it while they ran is noticed before the unbind, which would not return. */
static void test_attach(void) {
        g_autoptr(PlanCase) c = hooked_case(build_laptop, LAPTOP);

        bind_to_vfio(c);
        assert_outline(c, OPERATION_ATTACH,
                       "check\nsave\nwait-free\n"
                       "hook 10-a pre attach \\- attach \\- " FUNCTIONS "\n"
                       "hook 20-b pre attach \\- attach \\- " FUNCTIONS "\n"
                       "wait-free\npin-power\n",
                       "restore-power\n"
                       "hook 10-a post attach done attach \\- " FUNCTIONS "\n"
                       "hook 20-b post attach done attach \\- " FUNCTIONS "\n");
}

/* With a desktop that ends for it: nobody is logged out before the hooks have agreed, and there is a login again when they are told. */
static void test_desktop(void) {
        g_autoptr(PlanCase) c = hooked_case(build_desktop, DESKTOP);
        g_autofree char *text = NULL;
        _cleanup_(plan_freep) Plan *p = NULL;

        plan_case_desktop(c);
        plan_case_xorg(c);
        p = plan_case_build(c, OPERATION_DETACH);
        text = outline(p);
        g_assert_nonnull(strstr(text, "return-unit\nhook 10-a post detach done"));
        g_assert_true(strstr(text, "hook 20-b pre") < strstr(text, "end-session"));
}

static void test_vm(void) {
        g_autoptr(PlanCase) c = hooked_case(build_laptop, LAPTOP);

        c->options.phase = PHASE_PRE_START;
        c->options.vm = strdup("win10 (libvirt)");
        assert_outline(c, OPERATION_PHASE, "check\nsave\nhook 10-a pre detach \\- phase win10\\x20(libvirt) " FUNCTIONS "\n",
                       "keep\nkeep\npin-power\n"
                       "hook 10-a post detach done phase win10\\x20(libvirt) " FUNCTIONS "\n"
                       "hook 20-b post detach done phase win10\\x20(libvirt) " FUNCTIONS "\n");
}

/* What does not change hands is nobody's business. */
static void test_untold(void) {
        static const VmPhase phases[] = { PHASE_POST_START, PHASE_PRE_STOP, PHASE_POST_STOP, PHASE_PRE_SLEEP, PHASE_POST_SLEEP };
        g_autoptr(PlanCase) c = hooked_case(build_laptop, LAPTOP);

        c->has_record = true;
        for (size_t i = 0; i < G_N_ELEMENTS(phases); i++) {
                c->options.phase = phases[i];
                g_assert_cmpuint(count_hooks(c, OPERATION_PHASE), ==, 0);
        }
        c->options.phase = PHASE_PRE_START;
        g_assert_cmpuint(count_hooks(c, OPERATION_PHASE), ==, 4);
        c->options.comes_back = true;
        g_assert_cmpuint(count_hooks(c, OPERATION_PHASE), ==, 0);
        g_assert_cmpuint(count_hooks(c, OPERATION_DETACH), ==, 0);
        c->options.comes_back = false;

        /* With the host already: something is restored, and nothing moves. */
        g_assert_cmpuint(count_hooks(c, OPERATION_ATTACH), ==, 0);
        bind_to_vfio(c);
        g_assert_cmpuint(count_hooks(c, OPERATION_DETACH), ==, 0);
        c->options.phase = PHASE_PRE_START;
        g_assert_cmpuint(count_hooks(c, OPERATION_PHASE), ==, 0);
        for (Rung r = 0; r < _RUNG_MAX; r++) {
                _cleanup_(plan_freep) Plan *p = NULL;
                _cleanup_free_ char *message = NULL;

                c->options.rung = r;
                if (plan_case_try(c, OPERATION_RESET, &p, &message) == 0)
                        for (size_t i = 0; i < p->n; i++)
                                g_assert_cmpint(p->steps[i].verb, !=, VERB_HOOK);
        }
        c->hooks = strv_free(c->hooks);
        g_assert_cmpuint(count_hooks(c, OPERATION_ATTACH), ==, 0);
}

/* The last one that was told is the first one to hear that it came to nothing. */
static void test_undo(void) {
        g_autoptr(PlanCase) c = hooked_case(build_laptop, LAPTOP);
        _cleanup_(plan_freep) Plan *p = plan_case_build(c, OPERATION_DETACH);
        Saved saved = {};

        for (size_t i = 0; i < p->n; i++) {
                const Step *s = p->steps + i;
                _cleanup_(plan_freep) Plan *undo = NULL;
                g_autofree char *text = NULL, *expected = NULL;

                if (s->verb != VERB_HOOK)
                        continue;
                g_assert_cmpint(plan_undo(p, i, &saved, &undo), ==, 0);
                text = plan_text(undo);
                g_assert_cmpint(step_is_hook(s, "pre"), ==, !step_is_epilogue(s));
                expected = step_is_hook(s, "pre") ? g_strdup_printf("hook %s post detach failed detach \\- " FUNCTIONS "\n", s->target)
                                                  : g_strdup("");
                g_assert_cmpstr(text, ==, expected);
                g_assert_cmpint(step_is_optional(s), ==, step_is_epilogue(s));
                if (undo->n > 0) {
                        g_assert_true(step_is_optional(undo->steps));
                        g_assert_false(step_is_epilogue(undo->steps));
                }
        }

        /* A journal that somebody else has written. */
        plan_free(p);
        p = plan_new(OPERATION_DETACH);
        g_assert_cmpint(plan_add(p, VERB_HOOK, "10-a", (char *const[]) { (char *) "pre", (char *) "detach", NULL }), ==, 0);
        _cleanup_(plan_freep) Plan *undo = NULL;
        g_assert_cmpint(plan_undo(p, 0, &saved, &undo), ==, -EBADMSG);
}

int main(int argc, char *argv[]) {
        g_test_init(&argc, &argv, NULL);
        g_test_add_func("/plan-hooks/detach", test_detach);
        g_test_add_func("/plan-hooks/functions", test_functions);
        g_test_add_func("/plan-hooks/attach", test_attach);
        g_test_add_func("/plan-hooks/desktop", test_desktop);
        g_test_add_func("/plan-hooks/vm", test_vm);
        g_test_add_func("/plan-hooks/untold", test_untold);
        g_test_add_func("/plan-hooks/undo", test_undo);
        return g_test_run();
}
