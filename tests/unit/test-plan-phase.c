/* SPDX-License-Identifier: GPL-2.0-or-later */

/* test-plan-phase: what is done to a card that is with VFIO around a sleep of the host, step by step, and what is left alone. That it can be
 * taken back is test-plan-undo's. */

#include "plan-case.h"
#include "snapshot-builder.h"

static PlanCase *make_case(Snapshot *(*machine)(void), const char *gpu, VmPhase phase, GpuSleepPolicy sleep) {
        PlanCase *c = plan_case_new(machine(), gpu);

        c->options = (PlanOptions) { .phase = phase, .sleep = sleep };
        return c;
}

static void bind_to_vfio(PlanCase *c) {
        for (char **f = c->functions; *f; f++)
                build_driver(c->snapshot, *f, "vfio-pci");
}

/* It has left the bus, and is remembered. */
static void take_away(PlanCase *c) {
        for (char **f = c->functions; *f; f++)
                g_assert_cmpint(free_and_strdup(f, "0000:ff:00.0"), ==, 0);
}

static void assert_steps(PlanCase *c, const char *expected) {
        _cleanup_(plan_freep) Plan *p = plan_case_build(c, OPERATION_PHASE);
        _cleanup_free_ char *text = plan_text(p);

        g_assert_cmpstr(text, ==, expected);
}

static void test_unbind(void) {
        g_autoptr(PlanCase) c = make_case(build_laptop, LAPTOP, PHASE_PRE_SLEEP, GPU_SLEEP_UNBIND);

        bind_to_vfio(c);
        assert_steps(c,
                     "check 0000:01:00.0 0000:01:00.1\n"
                     "save 0000:01:00.0 0000:01:00.1 0000:00:01.0\n"
                     "wait-free 0000:01:00.0 0\n"
                     "pin-power 0000:01:00.0 0000:01:00.1 0000:00:01.0\n"
                     "override 0000:01:00.0 vfio-pci\n"
                     "override 0000:01:00.1 vfio-pci\n"
                     "unbind 0000:01:00.1 vfio-pci\n"
                     "unbind 0000:01:00.0 vfio-pci\n");
        /* The process of its VM may take a moment to be gone. */
        c->options.has_wait = true;
        c->options.wait_sec = 20;
        assert_steps(c,
                     "check 0000:01:00.0 0000:01:00.1\n"
                     "save 0000:01:00.0 0000:01:00.1 0000:00:01.0\n"
                     "wait-free 0000:01:00.0 20\n"
                     "pin-power 0000:01:00.0 0000:01:00.1 0000:00:01.0\n"
                     "override 0000:01:00.0 vfio-pci\n"
                     "override 0000:01:00.1 vfio-pci\n"
                     "unbind 0000:01:00.1 vfio-pci\n"
                     "unbind 0000:01:00.0 vfio-pci\n");
}

/* The links of the drivers go before the functions, and what a rescan finds is kept for VFIO. */
static void test_remove(void) {
        g_autoptr(PlanCase) c = make_case(build_laptop, LAPTOP, PHASE_PRE_SLEEP, GPU_SLEEP_REMOVE);

        bind_to_vfio(c);
        assert_steps(c,
                     "check 0000:01:00.0 0000:01:00.1\n"
                     "save 0000:01:00.0 0000:01:00.1 0000:00:01.0\n"
                     "wait-free 0000:01:00.0 0\n"
                     "pin-power 0000:01:00.0 0000:01:00.1 0000:00:01.0\n"
                     "keep 0000:01:00.0 vfio-pci\n"
                     "keep 0000:01:00.1 vfio-pci\n"
                     "override 0000:01:00.0 vfio-pci\n"
                     "override 0000:01:00.1 vfio-pci\n"
                     "unbind 0000:01:00.1 vfio-pci\n"
                     "unbind 0000:01:00.0 vfio-pci\n"
                     "remove 0000:01:00.1\n"
                     "remove 0000:01:00.0\n");
}

/* The ACL goes with the node, and is to be there again when this is taken back. */
static void test_access(void) {
        g_autoptr(PlanCase) c = make_case(build_apu, APU, PHASE_PRE_SLEEP, GPU_SLEEP_UNBIND);

        bind_to_vfio(c);
        c->input.access_given = true;
        c->input.access_uid = 1000;
        assert_steps(c,
                     "check 0000:c5:00.0 0000:c5:00.1\n"
                     "save 0000:c5:00.0 0000:c5:00.1 0000:00:08.1\n"
                     "wait-free 0000:c5:00.0 0\n"
                     "revoke 0000:c5:00.0 1000\n"
                     "revoke 0000:c5:00.1 1000\n"
                     "pin-power 0000:c5:00.0 0000:c5:00.1 0000:00:08.1\n"
                     "override 0000:c5:00.0 vfio-pci\n"
                     "override 0000:c5:00.1 vfio-pci\n"
                     "unbind 0000:c5:00.1 vfio-pci\n"
                     "unbind 0000:c5:00.0 vfio-pci\n");
}

/* What the host has of it stays where it is. */
static void test_partial(void) {
        g_autoptr(PlanCase) c = make_case(build_desktop, DESKTOP, PHASE_PRE_SLEEP, GPU_SLEEP_REMOVE);

        build_driver(c->snapshot, DESKTOP, "vfio-pci");
        build_driver(c->snapshot, "0000:08:00.2", "vfio-pci");
        assert_steps(c,
                     "check 0000:08:00.0 0000:08:00.1 0000:08:00.2 0000:08:00.3\n"
                     "save 0000:08:00.0 0000:08:00.1 0000:08:00.2 0000:08:00.3 0000:00:03.1\n"
                     "wait-free 0000:08:00.0 0\n"
                     "pin-power 0000:08:00.0 0000:08:00.1 0000:08:00.2 0000:08:00.3 0000:00:03.1\n"
                     "keep 0000:08:00.0 vfio-pci\n"
                     "keep 0000:08:00.2 vfio-pci\n"
                     "override 0000:08:00.0 vfio-pci\n"
                     "override 0000:08:00.2 vfio-pci\n"
                     "unbind 0000:08:00.2 vfio-pci\n"
                     "unbind 0000:08:00.0 vfio-pci\n"
                     "remove 0000:08:00.2\n"
                     "remove 0000:08:00.0\n");
}

/* A card that is the host's, one that has no driver already, and one that is not on the bus: nothing is to be done before the sleep. */
static void test_nothing_to_do(void) {
        static const GpuSleepPolicy policies[] = { GPU_SLEEP_UNBIND, GPU_SLEEP_REMOVE };

        for (size_t i = 0; i < G_N_ELEMENTS(policies); i++) {
                g_autoptr(PlanCase) host = make_case(build_pair, PAIR, PHASE_PRE_SLEEP, policies[i]);
                g_autoptr(PlanCase) driverless = make_case(build_laptop, LAPTOP, PHASE_PRE_SLEEP, policies[i]);
                g_autoptr(PlanCase) gone = make_case(build_laptop, LAPTOP, PHASE_PRE_SLEEP, policies[i]);

                assert_steps(host, "");
                for (char **f = driverless->functions; *f; f++)
                        build_driver(driverless->snapshot, *f, NULL);
                assert_steps(driverless, "");
                take_away(gone);
                assert_steps(gone, "");
        }
}

/* A VM that has not let go of it: the wait says so, and nothing has been touched by then. */
static void test_waits_first(void) {
        static const GpuSleepPolicy policies[] = { GPU_SLEEP_UNBIND, GPU_SLEEP_REMOVE };

        for (size_t i = 0; i < G_N_ELEMENTS(policies); i++) {
                g_autoptr(PlanCase) c = make_case(build_twins, TWIN, PHASE_PRE_SLEEP, policies[i]);
                _cleanup_(plan_freep) Plan *p = NULL;
                bool waited = false;

                bind_to_vfio(c);
                c->input.access_given = true;
                p = plan_case_build(c, OPERATION_PHASE);
                for (size_t k = 0; k < p->n; k++) {
                        g_assert_true(waited || !verb_info(p->steps[k].verb)->writes);
                        waited = waited || p->steps[k].verb == VERB_WAIT_FREE;
                }
                g_assert_true(waited);
        }
}

/* ---- and after it ---- */

/* It is where it was: it rests again, and a rescan is nothing special any more. */
static void test_still_there(void) {
        g_autoptr(PlanCase) c = make_case(build_laptop, LAPTOP, PHASE_POST_SLEEP, 0);

        bind_to_vfio(c);
        assert_steps(c,
                     "keep 0000:01:00.0 \\-\n"
                     "keep 0000:01:00.1 \\-\n"
                     "idle-power 0000:01:00.0 auto 0000:01:00.1 auto\n");
        c->options.access = true;
        c->options.uid = 1000;
        assert_steps(c,
                     "check 0000:01:00.0 0000:01:00.1\n"
                     "verify 0000:01:00.0 vfio-pci 0000:01:00.1 vfio-pci\n"
                     "access 0000:01:00.0 1000\n"
                     "access 0000:01:00.1 1000\n"
                     "keep 0000:01:00.0 \\-\n"
                     "keep 0000:01:00.1 \\-\n"
                     "idle-power 0000:01:00.0 auto 0000:01:00.1 auto\n");
}

/* Without a driver, or in the hands of the host's, which came first: it goes to VFIO all the same, and in the end it rests. */
static void test_back_to_vfio(void) {
        static const char *const drivers[] = { NULL, "nouveau" };

        for (size_t i = 0; i < G_N_ELEMENTS(drivers); i++) {
                g_autoptr(PlanCase) c = make_case(build_laptop, LAPTOP, PHASE_POST_SLEEP, 0);
                _cleanup_(plan_freep) Plan *p = NULL;
                _cleanup_free_ char *text = NULL;

                build_driver(c->snapshot, "0000:01:00.1", NULL);
                build_driver(c->snapshot, LAPTOP, drivers[i]);
                g_assert_cmpint(snapshot_add_driver(c->snapshot, "vfio-pci", "vfio_pci"), ==, 0);
                p = plan_case_build(c, OPERATION_PHASE);
                text = plan_text(p);
                g_assert_nonnull(strstr(text, "bind 0000:01:00.0 vfio-pci\nbind 0000:01:00.1 vfio-pci\n"));
                g_assert_cmpint(!!strstr(text, "unbind 0000:01:00.0 nouveau\n"), ==, !!drivers[i]);
                g_assert_true(g_str_has_suffix(text, "keep 0000:01:00.0 \\-\nkeep 0000:01:00.1 \\-\n"
                                                     "idle-power 0000:01:00.0 auto 0000:01:00.1 auto\n"));
        }
}

/* BeforeVfio= is for what comes from the host's driver: a card that has none since it was unbound for the sleep could not be refreshed. */
static void test_before_vfio(void) {
        static const char *const drivers[] = { NULL, "nouveau" };

        for (size_t i = 0; i < 2 * G_N_ELEMENTS(drivers); i++) {
                g_autoptr(PlanCase) c = make_case(build_laptop, LAPTOP, PHASE_POST_SLEEP, 0);
                _cleanup_(plan_freep) Plan *p = NULL;
                _cleanup_free_ char *text = NULL;
                bool audio_with_host = i & 1;

                c->has_config = true;
                c->before_vfio[0] = (char *) "refresh";
                c->config.before_vfio = c->before_vfio;
                c->config.idle_power = IDLE_POWER_ON;
                build_strv(&plan_case_function(c, LAPTOP)->switches, "bbswitch");
                build_driver(c->snapshot, LAPTOP, drivers[i / 2]);
                if (!audio_with_host)
                        build_driver(c->snapshot, "0000:01:00.1", NULL);
                p = plan_case_build(c, OPERATION_PHASE);
                text = plan_text(p);
                g_assert_cmpint(!!strstr(text, "switch-power bbswitch OFF\n"), ==, !!drivers[i / 2]);
                g_assert_nonnull(strstr(text, "bind 0000:01:00.0 vfio-pci\n"));
                /* The rest of its configuration counts. */
                g_assert_true(g_str_has_suffix(text, "idle-power 0000:01:00.0 on 0000:01:00.1 on\n"));
        }
}

/* Before anything is done it has to be on the bus: the ladder has looked for it. */
static void test_not_found(void) {
        g_autoptr(PlanCase) c = make_case(build_laptop, LAPTOP, PHASE_POST_SLEEP, 0);

        take_away(c);
        plan_case_refused(c, OPERATION_PHASE, PLAN_E_NO_DEVICE, "gpuptctl recover");
}

int main(int argc, char *argv[]) {
        g_test_init(&argc, &argv, NULL);
        g_test_add_func("/plan-phase/pre-sleep/unbind", test_unbind);
        g_test_add_func("/plan-phase/pre-sleep/remove", test_remove);
        g_test_add_func("/plan-phase/pre-sleep/access", test_access);
        g_test_add_func("/plan-phase/pre-sleep/partial", test_partial);
        g_test_add_func("/plan-phase/pre-sleep/nothing-to-do", test_nothing_to_do);
        g_test_add_func("/plan-phase/pre-sleep/waits-first", test_waits_first);
        g_test_add_func("/plan-phase/post-sleep/still-there", test_still_there);
        g_test_add_func("/plan-phase/post-sleep/back-to-vfio", test_back_to_vfio);
        g_test_add_func("/plan-phase/post-sleep/before-vfio", test_before_vfio);
        g_test_add_func("/plan-phase/post-sleep/not-found", test_not_found);
        return g_test_run();
}
