/* SPDX-License-Identifier: GPL-2.0-or-later */

/* test-check: Manager.Check() from outside: what it finds on a machine that was set up badly, that it answers when what it
 * reads hangs, that what hangs is not started again, and that nobody can ask too often. */

#include "fixture.h"
#include "gate.h"
#include "util/cleanup.h"

#define CARD "0000:08:00.0"
#define AUDIO "0000:08:00.1"
#define RADEON "0000:09:00.0"
/* LimitQueries= of gpuptd.conf(5) */
#define LIMIT 8

/* "ID RESULT SUMMARY [HINT]", one a line. */
static const char *read_reply(Scene *s, sd_bus_message *reply) {
        GString *text = g_string_new(NULL);
        const char *id, *result, *summary, *hint;

        g_assert_cmpint(sd_bus_message_enter_container(reply, 'a', "(ssss)"), >=, 0);
        while (sd_bus_message_read(reply, "(ssss)", &id, &result, &summary, &hint) > 0)
                g_string_append_printf(text, "%s %s %s [%s]\n", id, result, summary, hint);
        g_test_message("%s", text->str);
        g_ptr_array_add(s->strings, text->str);
        return g_string_free(text, false);
}

static const char *check_as(Scene *s, sd_bus *bus) {
        _cleanup_(sd_bus_message_unrefp) sd_bus_message *reply = NULL;
        _cleanup_(sd_bus_error_free) sd_bus_error error = SD_BUS_ERROR_NULL;

        if (sd_bus_call_method(bus, GPUPT_BUS_NAME, GPUPT_OBJECT_PATH, GPUPT_MANAGER_INTERFACE, "Check", &error, &reply, "") < 0)
                g_error("Check: %s", error.message);
        return read_reply(s, reply);
}

static const char *check(Scene *s) {
        return check_as(s, s->caller);
}

static void assert_has_not(const char *text, const char *part) {
        if (strstr(text, part))
                g_error("'%s' is in:\n%s", part, text);
}

/* ---- what it finds ---- */

static void test_well(void) {
        g_autoptr(Scene) s = scene_new("desktop", NULL);
        const char *list = check(s);

        assert_has(list, "host.iommu ok The IOMMU works (amd)");
        assert_has(list, "vfio.modules ok vfio-pci is installed");
        assert_has(list, "vfio.ids ok");
        assert_has(list, "vfio.override ok");
        assert_has(list, "vfio.memlock ok");
        assert_has(list, "software.blacklist ok");
        assert_has(list, "gpu.functions ok " CARD);
        assert_has(list, "gpu.functions ok " RADEON);
        assert_has(list, "gpu.group ok " CARD ": nothing else of the host is in IOMMU group 15");
        assert_has(list, "gpu.display warn " RADEON " is the boot VGA card");
        assert_has_not(list, "check.survey");
        assert_has_not(list, " fail ");
}

static void test_badly_set_up(void) {
        g_autoptr(Scene) s = scene_new("desktop", "/run/modprobe.d/vfio.conf",
                                       "# from a guide\noptions vfio-pci ids=10de:1e84,10de:10f8\nblacklist radeon\n"
                                       "blacklist amdgpu\n",
                                       "/run/modules-load.d/vfio.conf", "vfio\nvfio_virqfd\n", NULL);
        const char *list = check(s);

        assert_has(list, "vfio.ids warn /run/modprobe.d/vfio.conf:2 gives " CARD ", " AUDIO " to vfio-pci at boot");
        assert_has(list, "software.blacklist warn /run/modprobe.d/vfio.conf:");
        assert_has(list, "the only driver for " RADEON);
        assert_has(list, "software.virqfd warn /run/modules-load.d/vfio.conf:2");
}

static void test_no_module(void) {
        g_autoptr(Scene) s = scene_new_without_daemon("desktop");

        (void) sim_command(s->m, "module vfio_pci absent");
        scene_start(s);
        assert_has(check(s), "vfio.modules fail This kernel has no module vfio-pci");
        (void) sim_command(s->m, "module vfio_pci installed");
        assert_has(check(s), "vfio.modules ok");
}

/* What gpuptd took is meant so; what somebody else bound is not. */
static void test_override(void) {
        g_autoptr(Scene) s = scene_new("desktop", NULL);

        assert_end(s, detach(s, CARD, "wait=0"), "done", "");
        assert_has(check(s), "vfio.override ok");
        assert_end(s, attach(s, CARD, ""), "done", "");
        g_assert_cmpint(sim_write(s->m, "bus/pci/devices/" RADEON "/driver_override", "vfio-pci"), ==, 0);
        assert_has(check(s), "vfio.override warn " RADEON " is reserved for vfio-pci");
}

static void test_user(void) {
        g_autoptr(Scene) s = scene_new("desktop", NULL);
        const char *list;
        sd_bus *user;

        if (!sim_have_users()) {
                g_test_skip("another user than one's own cannot be named in these namespaces");
                return;
        }
        sim_polkit_set(s->m, "no", NULL);
        user = sim_bus_new(s->m, 1000);
        list = check_as(s, user);
        assert_has(list, "vfio.memlock ");
        assert_has_not(list, "of root");
        assert_has(list, "gpu.functions ok " CARD);
        g_assert_cmpstr(sim_polkit_log(s->m), ==, "");
        (void) sd_bus_close_unref(user);
}

/* ---- what hangs ---- */

/* The driver_override of a card whose lock somebody has, as on Linux 6.1. */
static void test_override_hangs(void) {
        g_autoptr(Scene) s = scene_new("desktop", NULL);
        unsigned fault = sim_fault(s->m, CARD, "read:driver_override", "hang");
        const char *list = check(s);

        assert_has(list, "vfio.override warn Reading the driver_override of the GPUs did not end within 5 s");
        assert_has(list, "host.kernel ok");
        assert_has(list, "gpu.reset warn " CARD);
        assert_has_not(list, "check.survey");
        assert_alive(s);
        /* It is not started a second time, so the answer does not wait for it. */
        assert_has(check(s), "driver_override of the GPUs hangs since an earlier check");
        sim_fault_release(s->m, fault);
        for (unsigned i = 0; strstr(check(s), "hangs since"); i++)
                g_assert_cmpuint(i, <, 10000);
        assert_has(check(s), "vfio.override ok");
}

static void test_survey_hangs(void) {
        g_autoptr(Scene) s = scene_new_without_daemon("desktop");
        const char *list;
        Gate *gate;

        gates_open();
        gate_set("survey", "-", 0);
        s->environment = gate_environment();
        scene_start(s);
        list = check(s);
        gate = gate_wait();
        assert_has(list, "check.survey warn Reading the configuration of the host did not end within 5 s");
        assert_has(list, "host.iommu ok");
        assert_has(list, "vfio.override ok");
        assert_has(list, "gpu.group ok " CARD);
        assert_has_not(list, "host.kernel");
        assert_has(check(s), "the host hangs since an earlier check");
        gate_answer(gate, "go");
        for (unsigned i = 0; strstr(check(s), "hangs since"); i++)
                g_assert_cmpuint(i, <, 10000);
        assert_has(check(s), "host.kernel ok");
}

/* A worker that fails, says nonsense, or dies. */
static void test_survey_fails(void) {
        static const char *const verdicts[] = {
                "error 5", "say begin $N$Lnonsense$Lok $N$L", "say begin $N$Lrelease 6.1$Lrelease 6.1$Lok $N$L", "say junk $N$Lok 77$L",
        };
        g_autoptr(Scene) s = scene_new_without_daemon("desktop");

        gates_open();
        s->environment = gate_environment();
        scene_start(s);
        for (size_t i = 0; i < ELEMENTSOF(verdicts); i++) {
                _cleanup_(sd_bus_message_unrefp) sd_bus_message *call = NULL, *reply = NULL;
                const char *list;

                gate_set("survey", "-", 0);
                g_assert_cmpint(sd_bus_message_new_method_call(s->caller, &call, GPUPT_BUS_NAME, GPUPT_OBJECT_PATH,
                                                               GPUPT_MANAGER_INTERFACE, "Check"), >=, 0);
                g_assert_cmpint(sd_bus_send(s->caller, call, NULL), >=, 0);
                g_assert_cmpint(sd_bus_flush(s->caller), >=, 0);
                gate_answer(gate_wait(), verdicts[i]);
                list = check(s); /* joins the round, or is the next one */
                assert_has(list, "gpu.group ok " CARD);
                g_assert_cmpint(sim_exists(s->m, "bus/pci/devices/" CARD), ==, true);
                assert_alive(s);
        }
        assert_has(check(s), "host.kernel ok");
}

/* ---- who asks too often ---- */

typedef struct Count {
        unsigned answered, refused;
} Count;

static int on_reply(sd_bus_message *reply, void *userdata, sd_bus_error *error) {
        Count *n = userdata;

        if (sd_bus_message_is_method_error(reply, SD_BUS_ERROR_LIMITS_EXCEEDED))
                n->refused++;
        else if (!sd_bus_message_is_method_error(reply, NULL))
                n->answered++;
        return 0;
}

static void test_limit(void) {
        g_autoptr(Scene) s = scene_new("desktop", NULL);
        unsigned fault = sim_fault(s->m, CARD, "read:driver_override", "hang");
        Count n = {};

        for (unsigned i = 0; i < LIMIT + 4; i++)
                g_assert_cmpint(sd_bus_call_method_async(s->caller, NULL, GPUPT_BUS_NAME, GPUPT_OBJECT_PATH,
                                                         GPUPT_MANAGER_INTERFACE, "Check", on_reply, &n, ""), >=, 0);
        while (n.answered + n.refused < LIMIT + 4) {
                g_assert_cmpint(sd_bus_process(s->caller, NULL), >=, 0);
                g_assert_cmpint(sd_bus_wait(s->caller, 100000), >=, 0);
        }
        g_assert_cmpuint(n.answered, ==, LIMIT);
        g_assert_cmpuint(n.refused, ==, 4);
        sim_fault_release(s->m, fault);
        assert_alive(s);
}

/* Whoever asked may be gone when the answer is there, and the daemon may be told to stop in between. */
static void test_caller_leaves(void) {
        g_autoptr(Scene) s = scene_new("desktop", NULL);
        unsigned fault = sim_fault(s->m, CARD, "read:driver_override", "hang");
        sd_bus *bus = sim_bus_new(s->m, 0);

        g_assert_cmpint(sd_bus_call_method_async(bus, NULL, GPUPT_BUS_NAME, GPUPT_OBJECT_PATH, GPUPT_MANAGER_INTERFACE, "Check",
                                                 on_reply, NULL, ""), >=, 0);
        g_assert_cmpint(sd_bus_flush(bus), >=, 0);
        sim_fault_wait(s->m, fault);
        (void) sd_bus_close_unref(bus);
        assert_alive(s);
        g_assert_cmpint(sim_daemon_stop(s->m), ==, 0);
        sim_fault_release(s->m, fault);
}

int main(int argc, char *argv[]) {
        sim_init(&argc, &argv);
        g_test_add_func("/check/well", test_well);
        g_test_add_func("/check/badly-set-up", test_badly_set_up);
        g_test_add_func("/check/no-module", test_no_module);
        g_test_add_func("/check/override", test_override);
        g_test_add_func("/check/user", test_user);
        g_test_add_func("/check/override-hangs", test_override_hangs);
        g_test_add_func("/check/survey-hangs", test_survey_hangs);
        g_test_add_func("/check/survey-fails", test_survey_fails);
        g_test_add_func("/check/limit", test_limit);
        g_test_add_func("/check/caller-leaves", test_caller_leaves);
        return g_test_run();
}
