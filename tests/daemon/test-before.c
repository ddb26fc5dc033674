/* SPDX-License-Identifier: GPL-2.0-or-later */

/* test-before: BeforeVfio=: what a laptop's card goes through between the host's drivers and VFIO, and that a detach which
 * fails in the midst of it gives the card back with its power on. */

#include <glib.h>
#include <signal.h>
#include <stdio.h>
#include <unistd.h>

#include "fixture.h"
#include "gate.h"
#include "util/cleanup.h"

#define CARD "0000:01:00.0"
#define AUDIO "0000:01:00.1"
#define SWITCHES "module bbswitch loaded\nmodule nvhda loaded\n"
#define REFRESH "[Match]\nAddress=" CARD "\n[Gpu]\nBeforeVfio=refresh audio:reset\n"
#define MANY 1000U

/* Without the switches where `modules` says so, and with a tool of the vendor. */
static Scene *scene_laptop(const char *modules, const char *gpu_file) {
        static const char *environment[4];
        const char *const *gates;
        Scene *s;

        g_autofree char *text = g_strdup_printf("include " SOURCE_ROOT "/tests/sim/topologies/laptop.topology\n%s"
                                                "change " AUDIO " reset=flr\n", modules);

        put_file("/run/before.topology", text);
        s = scene_new_without_daemon("/run/before.topology");
        gates_open();
        gates = gate_environment();
        environment[0] = gates[0];
        environment[1] = gates[1];
        environment[2] = sim_nvidia_smi();
        s->environment = environment;
        put_file("/etc/gpuptd/card.gpu", gpu_file);
        put_file("/etc/gpuptd/gpuptd.conf", "[Daemon]\nStepTimeoutSec=600\n");
        (void) sim_command(s->m, "module vfio_pci load");
        scene_start(s);
        return s;
}

static bool have_acpi(void) {
        if (access("/proc/acpi", F_OK) == 0)
                return true;
        g_test_skip("this host has no /proc/acpi, and no directory can be made in /proc");
        return false;
}

static void assert_has_power(Scene *s) {
        g_assert_cmpstr(sim_read(s->m, "/proc/acpi/bbswitch"), ==, CARD " ON");
        g_assert_cmpstr(sim_read(s->m, "/proc/acpi/nvhda"), ==, CARD " ON");
}

static char *plan_text(Scene *s) {
        g_auto(GStrv) steps = plan(s, "detach", CARD, "", NULL);

        return g_strjoinv(", ", steps);
}

static void test_reset(void) {
        g_autoptr(Scene) s = scene_laptop("", "[Match]\nAddress=" CARD "\n[Gpu]\nBeforeVfio=audio:reset\n");
        g_autofree char *text = plan_text(s);

        assert_has(text, "unbind " AUDIO);
        assert_has(text, "reset " AUDIO ", bind ");
        g_assert_null(strstr(text, "reset " CARD));
        assert_end(s, detach(s, CARD, ""), "done", "");
        assert_drivers(s, "vfio-pci", CARD, AUDIO, NULL);
        assert_end(s, attach(s, CARD, ""), "done", "");
        assert_as_at_first(s);

        (void) sim_fault(s->m, AUDIO, "flr", "errno=ENOTTY");
        assert_end(s, detach(s, CARD, ""), "rolled-back", "ResetFailed");
        assert_as_at_first(s);
}

static void test_refresh(void) {
        g_autoptr(Scene) s = scene_laptop(SWITCHES, REFRESH);
        g_autofree char *text = NULL;

        if (!have_acpi())
                return;
        text = plan_text(s);
        assert_has(text, "switch-power nvhda, switch-power bbswitch, switch-power bbswitch, switch-power nvhda, load ");
        assert_has(text, "rebind " CARD ", vendor-reset " CARD);
        for (unsigned i = 0; i < 2; i++) {
                assert_end(s, detach(s, CARD, ""), "done", "");
                assert_drivers(s, "vfio-pci", CARD, AUDIO, NULL);
                assert_has_power(s);
                assert_end(s, attach(s, CARD, ""), "done", "");
                assert_drivers(s, "nvidia", CARD, NULL);
                assert_as_at_first(s);
        }
}

/* The tool alone, where nothing can switch the card. */
static void test_without_switch(void) {
        g_autoptr(Scene) s = scene_laptop("", REFRESH);
        g_autofree char *text = plan_text(s);

        g_assert_null(strstr(text, "switch-power"));
        assert_has(text, "vendor-reset " CARD);
        assert_end(s, detach(s, CARD, ""), "done", "");
        assert_end(s, attach(s, CARD, ""), "done", "");
        assert_as_at_first(s);
}

static void test_refused(void) {
        g_autoptr(Scene) s = scene_new("desktop", "/etc/gpuptd/card.gpu",
                                       "[Match]\nAddress=0000:08:00.0\n[Gpu]\nBeforeVfio=refresh\n", NULL);
        const JobEnd *end = detach(s, "0000:08:00.0", "");

        assert_end(s, end, "refused", "NotSupported");
        assert_has(end->message, "bbswitch");
        assert_as_at_first(s);
}

/* ---- what goes wrong ---- */

/* Whatever a test has broken is whole again: there, back, and as at first. */
static void assert_whole(Scene *s) {
        assert_as_at_first(s);
        assert_has_power(s);
        g_assert_cmpstr(state_of(s, CARD), ==, "host");
}

static unsigned count_steps(Scene *s) {
        unsigned n;

        gate_set_any(MANY);
        assert_end(s, detach(s, CARD, ""), "done", "");
        n = gate_count_any(MANY);
        assert_end(s, attach(s, CARD, ""), "done", "");
        return n;
}

static void test_errors(void) {
        g_autoptr(Scene) s = scene_laptop(SWITCHES, REFRESH);
        unsigned n;

        if (!have_acpi())
                return;
        n = count_steps(s);
        g_assert_cmpuint(n, >, 12);
        for (unsigned i = 0; i < n; i++) {
                const JobEnd *end;
                const char *job;
                Gate *gate;

                gate_set_any(i);
                job = job_start(s, "Detach", CARD, "");
                gate = gate_wait();
                g_test_message("step %u: %s", i, gate->step);
                gate_answer(gate, "error 5");
                end = job_wait(s, job);
                /* Nothing is to be undone of what only looks. */
                g_assert_cmpstr(end->result, ==, i < 2 ? "failed" : "rolled-back");
                assert_has(end->message, CARD);
                assert_whole(s);
        }
}

static void test_daemon_ends(void) {
        g_autoptr(Scene) s = scene_laptop(SWITCHES, REFRESH);
        unsigned n;

        if (!have_acpi())
                return;
        n = count_steps(s);
        for (unsigned i = 0; i < n; i++) {
                const char *job;
                Gate *gate;

                gate_set_any(i);
                job = job_start(s, "Detach", CARD, "");
                gate = gate_wait();
                g_test_message("step %u: %s", i, gate->step);
                sim_daemon_kill(s->m);
                scene_start(s);
                gate_answer(gate, "go");
                assert_end(s, job_wait(s, job), "done", "");
                assert_has_power(s);
                assert_end(s, attach(s, CARD, ""), "done", "");
                assert_whole(s);
        }
}

/* What is no worker's: the modules and the tool; and switches that do nothing, which they never say. */
static void test_outside(void) {
        static const struct {
                const char *target, *operation, *effect;
        } rows[] = {
                { CARD, "vendor-reset", "errno=EIO" },
                { CARD, "bind", "errno=EIO" },
                { "nvidia", "load", "errno=EIO" },
                { "nvidia_drm", "load", "errno=EIO" },
                { "gpuptd-unload@nvidia.service", "start", "nth=2 errno=EIO" },
                { "acpi", "bbswitch", "no-effect" },
                { "acpi", "bbswitch", "nth=2 no-effect" },
                { "acpi", "nvhda", "no-effect" },
                { AUDIO, "flr", "errno=EIO" },
        };
        g_autoptr(Scene) s = scene_laptop(SWITCHES, REFRESH);

        if (!have_acpi())
                return;
        for (size_t i = 0; i < ELEMENTSOF(rows); i++) {
                unsigned fault = sim_fault(s->m, rows[i].target, rows[i].operation, rows[i].effect);
                const JobEnd *end = detach(s, CARD, "");

                g_test_message("%s %s %s: %s", rows[i].target, rows[i].operation, rows[i].effect, end->message);
                g_assert_cmpstr(end->result, ==, "rolled-back");
                sim_fault_release(s->m, fault);
                assert_whole(s);
        }
}

int main(int argc, char *argv[]) {
        const char *reason;

        sim_init(&argc, &argv);
        reason = install_quirks();
        if (reason)
                g_error("%s", reason);
        g_test_add_func("/before/reset", test_reset);
        g_test_add_func("/before/refresh", test_refresh);
        g_test_add_func("/before/without-switch", test_without_switch);
        g_test_add_func("/before/refused", test_refused);
        g_test_add_func("/before/errors", test_errors);
        g_test_add_func("/before/daemon-ends", test_daemon_ends);
        g_test_add_func("/before/outside", test_outside);
        return g_test_run();
}
