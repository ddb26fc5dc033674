/* SPDX-License-Identifier: GPL-2.0-or-later */

/* test-display-decision: what becomes of a host that has lost its display, for everything that decides on it. */

#include <glib.h>

#include "dbus/errors.h"
#include "display-decision.h"
#include "util/cleanup.h"

static const char *action_name(DisplayAction a) {
        static const char *const names[] = {
                [DISPLAY_KEEP] = "keep", [DISPLAY_END] = "end",         [DISPLAY_USED] = "used",
                [DISPLAY_BACK] = "back", [DISPLAY_ELSEWHERE] = "elsewhere", [DISPLAY_NEXT] = "next",
                [DISPLAY_ATTACH] = "attach", [DISPLAY_RECOVER] = "recover", [DISPLAY_GIVE_UP] = "give-up",
        };

        return names[a];
}

/* ---- what is seen ---- */

static void test_decide(void) {
        static const struct {
                DisplayWait wait;
                bool healed;
                DisplaySituation s;
                const char *action;
        } cases[] = {
                /* A VM may come. */
                { DISPLAY_WAIT_VM, false, { .state = GPU_DETACHED }, "attach" },
                { DISPLAY_WAIT_VM, false, { .state = GPU_DETACHED, .lit_elsewhere = true }, "attach" },
                { DISPLAY_WAIT_VM, false, { .state = GPU_UNREACHABLE }, "attach" },
                { DISPLAY_WAIT_VM, false, { .state = GPU_DETACHED, .used = true }, "used" },
                { DISPLAY_WAIT_VM, false, { .state = GPU_ASSIGNED }, "used" },
                { DISPLAY_WAIT_VM, false, { .state = GPU_HOST }, "end" },
                { DISPLAY_WAIT_VM, false, { .state = GPU_ABSENT }, "give-up" },
                { DISPLAY_WAIT_VM, false, { .state = GPU_ABSENT, .lit_elsewhere = true }, "elsewhere" },
                { DISPLAY_WAIT_VM, false, { .state = GPU_STUCK }, "give-up" },
                { DISPLAY_WAIT_VM, false, { .state = GPU_PARTIAL }, "give-up" },
                { DISPLAY_WAIT_VM, false, { .state = GPU_DETACHED, .inconsistent = true }, "give-up" },
                /* The second attach is decided upon as the first. */
                { DISPLAY_WAIT_ATTACH, true, { .state = GPU_DETACHED }, "attach" },
                { DISPLAY_WAIT_ATTACH, true, { .state = GPU_STUCK }, "give-up" },
                /* A screen may come. */
                { DISPLAY_WAIT_SCREEN, false, { .state = GPU_HOST, .lit = true }, "back" },
                { DISPLAY_WAIT_SCREEN, true, { .state = GPU_HOST, .lit = true }, "back" },
                { DISPLAY_WAIT_SCREEN, false, { .state = GPU_HOST }, "recover" },
                { DISPLAY_WAIT_SCREEN, false, { .state = GPU_PARTIAL }, "recover" },
                { DISPLAY_WAIT_SCREEN, false, { .state = GPU_UNREACHABLE }, "recover" },
                { DISPLAY_WAIT_SCREEN, false, { .state = GPU_HOST, .lit_elsewhere = true }, "elsewhere" },
                { DISPLAY_WAIT_SCREEN, false, { .state = GPU_HOST, .inconsistent = true }, "give-up" },
                { DISPLAY_WAIT_SCREEN, false, { .state = GPU_STUCK }, "give-up" },
                { DISPLAY_WAIT_SCREEN, false, { .state = GPU_ABSENT }, "give-up" },
                { DISPLAY_WAIT_SCREEN, false, { .state = GPU_DETACHED }, "end" },
                { DISPLAY_WAIT_SCREEN, false, { .state = GPU_ASSIGNED }, "used" },
                { DISPLAY_WAIT_SCREEN, true, { .state = GPU_HOST }, "give-up" },
                { DISPLAY_WAIT_SCREEN, true, { .state = GPU_DETACHED }, "give-up" },
                { DISPLAY_WAIT_SCREEN, true, { .state = GPU_HOST, .lit_elsewhere = true }, "elsewhere" },
                /* A failed attach: at once. */
                { DISPLAY_WAIT_RECOVERY, false, { .state = GPU_DETACHED }, "recover" },
                { DISPLAY_WAIT_RECOVERY, false, { .state = GPU_DETACHED, .lit_elsewhere = true }, "elsewhere" },
                { DISPLAY_WAIT_RECOVERY, false, { .state = GPU_DETACHED, .used = true }, "used" },
                { DISPLAY_WAIT_RECOVERY, false, { .state = GPU_STUCK }, "give-up" },
                { DISPLAY_WAIT_RECOVERY, true, { .state = GPU_DETACHED }, "give-up" },
        };

        for (size_t i = 0; i < ELEMENTSOF(cases); i++) {
                g_test_message("case %zu", i);
                g_assert_cmpstr(action_name(display_decide(cases[i].wait, cases[i].healed, &cases[i].s)), ==, cases[i].action);
        }
}

/* Nothing is done twice to a card, and nothing to one that is stuck, inconsistent, gone or used: whatever else is so. */
static void test_decide_all(void) {
        for (DisplayWait wait = 0; wait < _DISPLAY_WAIT_MAX; wait++)
                for (GpuState state = 0; state < _GPU_STATE_MAX; state++)
                        for (unsigned bits = 0; bits < 32; bits++) {
                                bool healed = bits & 16;
                                DisplaySituation s = { state, .inconsistent = bits & 1, .used = bits & 2, .lit = bits & 4,
                                                       .lit_elsewhere = bits & 8 };
                                DisplayAction a = display_decide(wait, healed, &s);

                                g_assert_true(a != DISPLAY_NEXT && a != DISPLAY_KEEP);
                                if (a == DISPLAY_ATTACH || a == DISPLAY_RECOVER) {
                                        g_assert_false(s.inconsistent || s.used);
                                        g_assert_true(state != GPU_STUCK && state != GPU_ABSENT && state != GPU_ASSIGNED);
                                }
                                if (a == DISPLAY_RECOVER)
                                        g_assert_false(healed || s.lit || s.lit_elsewhere);
                                if (a == DISPLAY_GIVE_UP)
                                        g_assert_false(s.lit_elsewhere);
                                g_assert_true(display_notice(wait, &s) != DISPLAY_NEXT);
                        }
}

static void test_notice(void) {
        static const struct {
                DisplayWait wait;
                DisplaySituation s;
                const char *action;
        } cases[] = {
                { DISPLAY_WAIT_VM, { .state = GPU_DETACHED }, "keep" },
                { DISPLAY_WAIT_VM, { .state = GPU_PARTIAL }, "keep" },
                { DISPLAY_WAIT_VM, { .state = GPU_ABSENT }, "keep" },
                { DISPLAY_WAIT_VM, { .state = GPU_ASSIGNED }, "end" },
                { DISPLAY_WAIT_VM, { .state = GPU_HOST }, "end" },
                { DISPLAY_WAIT_SCREEN, { .state = GPU_HOST }, "keep" },
                { DISPLAY_WAIT_SCREEN, { .state = GPU_HOST, .lit = true }, "back" },
                { DISPLAY_WAIT_SCREEN, { .state = GPU_ASSIGNED }, "end" },
                { DISPLAY_WAIT_ATTACH, { .state = GPU_HOST, .lit = true }, "keep" },
                { DISPLAY_WAIT_RECOVERY, { .state = GPU_ASSIGNED }, "keep" },
        };

        for (size_t i = 0; i < ELEMENTSOF(cases); i++) {
                g_test_message("case %zu", i);
                g_assert_cmpstr(action_name(display_notice(cases[i].wait, &cases[i].s)), ==, cases[i].action);
        }
}

/* ---- what a job has come to ---- */

/* "next screen healed at-once" */
static char *step_text(const DisplayStep *s) {
        if (s->action != DISPLAY_NEXT)
                return g_strdup(action_name(s->action));
        return g_strdup_printf("next %s%s%s", display_wait_to_string(s->wait), s->healed ? " healed" : "", s->at_once ? " at-once" : "");
}

#define DETACH .operation = OPERATION_DETACH
#define ATTACH .operation = OPERATION_ATTACH
#define RECOVER .operation = OPERATION_RECOVER
#define DONE .result = RESULT_DONE, .error = ""
#define FAILED .result = RESULT_FAILED, .error = GPUPT_ERROR_FAILED
#define BACK(e) .result = RESULT_ROLLED_BACK, .error = e

static void test_after_job(void) {
        static const struct {
                DisplayJob j;
                bool healed;
                const char *step;
        } cases[] = {
                { { DETACH, DONE, .took = true, .state = GPU_DETACHED }, false, "next vm" },
                { { DETACH, DONE, .took = true, .state = GPU_DETACHED, .leased = true }, false, "end" },
                { { DETACH, DONE, .took = true, .state = GPU_ASSIGNED }, false, "end" },
                { { DETACH, DONE, .state = GPU_DETACHED }, false, "end" },
                { { DETACH, DONE, .idle = true, .state = GPU_DETACHED }, false, "keep" },
                { { DETACH, BACK(GPUPT_ERROR_IN_USE), .took = true, .state = GPU_HOST }, false, "keep" },
                { { .operation = OPERATION_PHASE, .phase = PHASE_PRE_START, DONE, .took = true, .state = GPU_DETACHED }, false, "next vm" },
                { { .operation = OPERATION_PHASE, .phase = PHASE_POST_SLEEP, DONE, .state = GPU_DETACHED }, false, "keep" },
                { { .operation = OPERATION_PHASE, .phase = PHASE_POST_STOP, DONE, .state = GPU_DETACHED }, false, "keep" },
                { { ATTACH, DONE, .drew = true, .state = GPU_HOST }, true, "next screen" },
                { { ATTACH, DONE, .drew = true, .own = true, .state = GPU_HOST }, false, "next screen" },
                { { ATTACH, DONE, .drew = true, .own = true, .state = GPU_HOST }, true, "next screen healed" },
                { { ATTACH, DONE, .state = GPU_HOST }, false, "end" },
                { { ATTACH, DONE, .idle = true, .drew = true, .state = GPU_HOST }, false, "keep" },
                { { ATTACH, FAILED, .unstarted = true, .drew = true, .state = GPU_HOST }, false, "next screen at-once" },
                { { ATTACH, FAILED, .unstarted = true, .state = GPU_HOST }, false, "next screen at-once" },
                { { ATTACH, BACK(GPUPT_ERROR_FAILED), .drew = true, .state = GPU_DETACHED }, true, "next recovery at-once" },
                { { ATTACH, BACK(GPUPT_ERROR_FAILED), .state = GPU_DETACHED }, false, "end" },
                { { ATTACH, BACK(GPUPT_ERROR_FAILED), .drew = true, .own = true, .state = GPU_DETACHED }, true, "next recovery healed at-once" },
                { { ATTACH, BACK(GPUPT_ERROR_UNREACHABLE), .drew = true, .own = true, .state = GPU_UNREACHABLE }, false, "next recovery at-once" },
                { { ATTACH, .result = RESULT_STUCK, .error = GPUPT_ERROR_STUCK, .drew = true, .own = true, .state = GPU_STUCK }, false, "next recovery at-once" },
                /* What comes back from there, or gets stuck once more, is told by a job that is nobody's. */
                { { ATTACH, BACK(GPUPT_ERROR_STUCK), .rest = true, .drew = true, .state = GPU_DETACHED }, false, "keep" },
                { { ATTACH, .result = RESULT_STUCK, .error = GPUPT_ERROR_STUCK, .rest = true, .drew = true, .state = GPU_STUCK }, false, "keep" },
                { { RECOVER, FAILED, .rest = true, .state = GPU_HOST }, true, "keep" },
                /* Somebody else's is looked after as one's own. */
                { { ATTACH, .result = RESULT_STUCK, .error = GPUPT_ERROR_STUCK, .drew = true, .state = GPU_STUCK }, false, "next recovery at-once" },
                { { ATTACH, BACK(GPUPT_ERROR_IN_USE), .drew = true, .own = true, .state = GPU_ASSIGNED }, false, "used" },
                { { ATTACH, BACK(GPUPT_ERROR_IN_USE), .drew = true, .state = GPU_ASSIGNED }, false, "keep" },
                { { ATTACH, .result = RESULT_CANCELLED, .error = GPUPT_ERROR_CANCELLED, .drew = true, .own = true, .state = GPU_DETACHED }, false, "used" },
                { { ATTACH, BACK(GPUPT_ERROR_SLEEP_IN_PROGRESS), .drew = true, .own = true, .state = GPU_DETACHED }, false, "next vm at-once" },
                { { ATTACH, BACK(GPUPT_ERROR_SLEEP_IN_PROGRESS), .drew = true, .own = true, .state = GPU_DETACHED }, true, "next attach healed at-once" },
                { { ATTACH, BACK(GPUPT_ERROR_SLEEP_IN_PROGRESS), .drew = true, .state = GPU_DETACHED }, false, "keep" },
                { { RECOVER, DONE, .state = GPU_DETACHED }, false, "end" },
                { { RECOVER, DONE, .idle = true, .state = GPU_DETACHED }, false, "keep" },
                { { RECOVER, DONE, .own = true, .state = GPU_HOST }, false, "next screen healed" },
                { { RECOVER, DONE, .own = true, .idle = true, .state = GPU_DETACHED }, false, "next attach healed at-once" },
                { { RECOVER, FAILED, .own = true, .state = GPU_UNREACHABLE }, false, "next screen healed at-once" },
                { { RECOVER, BACK(GPUPT_ERROR_IN_USE), .own = true, .state = GPU_HOST }, false, "next screen healed" },
                { { RECOVER, .result = RESULT_STUCK, .error = GPUPT_ERROR_STUCK, .own = true, .state = GPU_STUCK }, false, "next screen healed at-once" },
                { { RECOVER, BACK(GPUPT_ERROR_SLEEP_IN_PROGRESS), .own = true, .state = GPU_HOST }, false, "next recovery at-once" },
                { { RECOVER, .result = RESULT_CANCELLED, .error = GPUPT_ERROR_CANCELLED, .own = true, .state = GPU_HOST }, false, "used" },
                { { .operation = OPERATION_RESET, DONE, .state = GPU_DETACHED }, false, "end" },
        };

        for (size_t i = 0; i < ELEMENTSOF(cases); i++) {
                DisplayStep step = display_after_job(&cases[i].j, cases[i].healed);
                g_autofree char *text = step_text(&step);

                g_test_message("case %zu", i);
                g_assert_cmpstr(text, ==, cases[i].step);
        }
}

/* However its jobs end, whatever the card is then: it comes to an end, and no job is begun more often than it may be. */
static void test_ends(void) {
        static const char *const errors[] = { "", GPUPT_ERROR_FAILED, GPUPT_ERROR_IN_USE, GPUPT_ERROR_UNREACHABLE,
                                              GPUPT_ERROR_RESET_FAILED, GPUPT_ERROR_STUCK, GPUPT_ERROR_CANCELLED };
        static const GpuState states[] = { GPU_HOST, GPU_DETACHED, GPU_UNREACHABLE, GPU_STUCK };
        GRand *random = g_rand_new_with_seed(7);

        for (unsigned run = 0; run < 20000; run++) {
                DisplayWait wait = DISPLAY_WAIT_VM;
                unsigned attaches = 0, recoveries = 0;
                bool healed = false;

                for (unsigned round = 0;; round++) {
                        DisplaySituation s = { .state = states[g_rand_int_range(random, 0, ELEMENTSOF(states))],
                                               .lit_elsewhere = g_rand_int_range(random, 0, 4) == 0 };
                        DisplayAction a = display_decide(wait, healed, &s);
                        DisplayJob j = { .own = true, .drew = true, .unstarted = g_rand_int_range(random, 0, 4) == 0 };
                        DisplayStep step;

                        g_assert_cmpuint(round, <, 8);
                        if (a != DISPLAY_ATTACH && a != DISPLAY_RECOVER)
                                break;
                        attaches += a == DISPLAY_ATTACH;
                        recoveries += a == DISPLAY_RECOVER;
                        j.operation = a == DISPLAY_ATTACH ? OPERATION_ATTACH : OPERATION_RECOVER;
                        j.error = errors[g_rand_int_range(random, 0, ELEMENTSOF(errors))];
                        j.result = !*j.error                              ? RESULT_DONE
                                   : streq(j.error, GPUPT_ERROR_STUCK)     ? RESULT_STUCK
                                   : streq(j.error, GPUPT_ERROR_CANCELLED) ? RESULT_CANCELLED
                                                                           : RESULT_ROLLED_BACK;
                        j.state = states[g_rand_int_range(random, 0, ELEMENTSOF(states))];
                        step = display_after_job(&j, healed);
                        if (step.action != DISPLAY_NEXT)
                                break;
                        wait = step.wait;
                        healed = step.healed;
                }
                g_assert_cmpuint(attaches, <=, 2);
                g_assert_cmpuint(recoveries, <=, 1);
        }
        g_rand_free(random);
}

int main(int argc, char *argv[]) {
        g_test_init(&argc, &argv, NULL);
        g_test_add_func("/display-decision/decide", test_decide);
        g_test_add_func("/display-decision/decide-all", test_decide_all);
        g_test_add_func("/display-decision/notice", test_notice);
        g_test_add_func("/display-decision/after-job", test_after_job);
        g_test_add_func("/display-decision/ends", test_ends);
        return g_test_run();
}
