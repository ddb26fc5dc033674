/* SPDX-License-Identifier: GPL-2.0-or-later */

/* test-verbs: every verb of the worker on the simulated machine, without the daemon: what it does, that it may be done
 * twice, and what it says when the kernel does not do as it is told. */

#include "verb-case.h"

#include <signal.h>

#include "holders.h"
#include "machine.h"
#include "snapshot.h"
#include "worker/end.h"

static Snapshot *take_snapshot(const char *addresses) {
        g_autofree char *step = g_strdup_printf("snapshot - %s", addresses), *answer = NULL;
        Snapshot *s = NULL;

        answer = driver_run(g_strchomp(step));
        g_test_message("%s", answer);
        g_assert_true(g_str_has_suffix(answer, "\nok 1\n"));
        g_assert_cmpint(snapshot_read(answer + strlen("begin 1\n"), strlen(answer) - strlen("begin 1\nok 1\n"), &s), ==, 0);
        return s;
}

static void assert_list(char *const *v, const char *expected) {
        g_autofree char *joined = v ? g_strjoinv(" ", (char **) v) : g_strdup("");

        g_assert_cmpstr(joined, ==, expected);
}

static void test_snapshot_apu(void) {
        g_autoptr(SimMachine) m = sim_machine_new("apu");
        _cleanup_(snapshot_freep) Snapshot *s = take_snapshot("");
        Function *f;

        g_assert_cmpstr(s->iommu, ==, "amd");
        g_assert_cmpuint(s->n_functions, ==, 13);
        g_assert_nonnull(snapshot_find_driver(s, "amdgpu"));
        g_assert_cmpstr(snapshot_find_driver(s, "amdgpu")->module, ==, "amdgpu");

        f = snapshot_find(s, "0000:c5:00.0");
        g_assert_true(f->detailed && f->boot_vga);
        g_assert_cmpstr(f->driver, ==, "amdgpu");
        g_assert_cmpint(f->group, ==, 18);
        assert_list(f->bridges, "0000:00:08.1");
        g_assert_cmpstr(f->path, ==, "pci-0000:00:08.1-0000:c5:00.0");
        g_assert_cmphex(f->subsystem_device, ==, 0x0031);
        g_assert_cmpuint(f->n_connectors, ==, 3);
        g_assert_cmpstr(f->connectors[0].name, ==, "DP-1");
        g_assert_cmpstr(f->connectors[1].status, ==, "connected");
        g_assert_cmpstr(f->nodes[0].path, ==, "/dev/dri/card0");
        g_assert_cmpuint(f->nodes[0].major, ==, 226);
        g_assert_nonnull(f->name);
        g_assert_cmpstr(f->vfio_modules[strv_length(f->vfio_modules) - 1], ==, "vfio_pci");
        assert_list(f->host_modules, "amdgpu");

        f = snapshot_find(s, "0000:c5:00.1");
        g_assert_true(f->detailed);
        g_assert_cmpuint(strv_length(f->sound_cards), ==, 1);
        assert_list(f->reset_methods, "flr pm");
        /* A neighbour in the slot is looked at; the rest of the host is not. */
        g_assert_true(snapshot_find(s, "0000:c5:00.3")->detailed);
        g_assert_false(snapshot_find(s, "0000:01:00.0")->detailed);
        g_assert_null(snapshot_find(s, "0000:01:00.0")->modalias);
}

static void test_snapshot_some(void) {
        g_autoptr(SimMachine) m = sim_machine_new("desktop");
        _cleanup_(snapshot_freep) Snapshot *s = take_snapshot("0000:08:00.1 0000:08:00.0 0000:08:00.0 0000:0f:00.0");

        g_assert_cmpuint(s->n_functions, ==, 2);
        g_assert_true(s->functions[0].detailed && s->functions[1].detailed);
        g_assert_null(s->functions[0].name);
}

static bool has_node(const Function *f, const char *path) {
        for (size_t i = 0; i < f->n_nodes; i++)
                if (streq(f->nodes[i].path, path))
                        return true;
        return false;
}

/* A snapshot never waits: not for a driver that hangs in its remove(), with the device lock held. */
static void test_snapshot_in_hang(void) {
        g_autoptr(SimMachine) m = sim_machine_new("desktop");
        _cleanup_(snapshot_freep) Snapshot *s = NULL;
        g_autofree char *answer = NULL;
        unsigned fault;
        WorkerDriver d;

        fault = sim_fault(m, "0000:08:00.0", "unbind", "hang");
        driver_start(&d, NULL);
        driver_send(&d, "step 1 unbind 0000:08:00.0 nouveau\n");
        sim_fault_wait(m, fault);

        s = take_snapshot("");
        /* The link goes first: drivers/base/dd.c. The node of the group stays on the list. */
        g_assert_null(snapshot_find(s, "0000:08:00.0")->driver);
        g_assert_true(has_node(snapshot_find(s, "0000:08:00.0"), "/dev/vfio/15"));

        sim_fault_release(m, fault);
        answer = driver_receive(&d);
        g_assert_cmpstr(answer, ==, "begin 1\nok 1\n");
        g_assert_cmpint(driver_end(&d), ==, 0);
}

static void test_save(void) {
        g_autoptr(SimMachine) m = sim_machine_new("laptop");

        assert_answer("save 0000:01:00.1",
                      "saved 0000:01:00.1 driver snd_hda_intel\nsaved 0000:01:00.1 override \\-\n"
                      "saved 0000:01:00.1 power-control auto\nsaved 0000:01:00.1 d3cold 1\nok 1\n");
        assert_ok("unbind 0000:01:00.1 snd_hda_intel");
        assert_ok("override 0000:01:00.1 vfio-pci");
        assert_answer("save 0000:01:00.1",
                      "saved 0000:01:00.1 driver \\-\nsaved 0000:01:00.1 override vfio-pci\n"
                      "saved 0000:01:00.1 power-control auto\nsaved 0000:01:00.1 d3cold 1\nok 1\n");
}

static void test_check(void) {
        g_autoptr(SimMachine) m = sim_machine_new("desktop");

        assert_ok("check 0000:08:00.0 0000:08:00.1");
        (void) sim_command(m, "die 0000:08:00.1");
        assert_error("check 0000:08:00.0 0000:08:00.1", EHOSTDOWN, "0000:08:00.1");
        (void) sim_command(m, "revive 0000:08:00.1");
        assert_ok("check 0000:08:00.0 0000:08:00.1");
        sim_unplug(m, "0000:08:00.0");
        sim_wait_known(m, "0000:08:00.0", false);
        assert_error("check 0000:08:00.0", ENODEV, "0000:08:00.0");
}

/* There and back, every step twice. */
static void test_bind(void) {
        g_autoptr(SimMachine) m = sim_machine_new("desktop");

        assert_error("check-driver vfio-pci", ENOPKG, "vfio-pci");
        assert_error("bind 0000:08:00.0 nouveau2", EBUSY, "nouveau");
        (void) sim_command(m, "module vfio_pci load");
        assert_ok("check-driver vfio-pci");
        for (unsigned i = 0; i < 2; i++)
                assert_ok("override 0000:08:00.0 vfio-pci");
        g_assert_cmpstr(sim_override_of(m, "0000:08:00.0"), ==, "vfio-pci");
        assert_error("unbind 0000:08:00.0 radeon", ESTALE, "nouveau");
        for (unsigned i = 0; i < 2; i++)
                assert_ok("unbind 0000:08:00.0 nouveau");
        g_assert_null(sim_driver_of(m, "0000:08:00.0"));
        assert_error("bind 0000:08:00.0 no-such-driver", ENOPKG, "no-such-driver");
        for (unsigned i = 0; i < 2; i++)
                assert_ok("bind 0000:08:00.0 vfio-pci");
        g_assert_cmpstr(sim_driver_of(m, "0000:08:00.0"), ==, "vfio-pci");
        {
                g_autofree char *answer = driver_run("verify 0000:08:00.0 vfio-pci 0000:08:00.1 snd_hda_intel");

                g_assert_true(g_str_has_prefix(answer, "begin 1\nnode 0000:08:00.0 /dev/vfio/15\n"));
                g_assert_true(g_str_has_suffix(answer, "ok 1\n"));
        }
        assert_error("verify 0000:08:00.0 nouveau", ESTALE, "vfio-pci");
        assert_error("verify 0000:08:00.0 \\-", ESTALE, "vfio-pci");

        assert_ok("unbind 0000:08:00.0 vfio-pci");
        assert_ok("verify 0000:08:00.0 \\-");
        for (unsigned i = 0; i < 2; i++)
                assert_ok("rebind 0000:08:00.0 nouveau");
        g_assert_cmpstr(sim_override_of(m, "0000:08:00.0"), ==, "nouveau");
        assert_ok("wait-drm 0000:08:00.0 10");
        assert_error("wait-drm 0000:08:00.1 0", ETIMEDOUT, "DRM");
        for (unsigned i = 0; i < 2; i++)
                assert_ok("override 0000:08:00.0 \\-");
        g_assert_null(sim_override_of(m, "0000:08:00.0"));
}

static void test_probe(void) {
        g_autoptr(SimMachine) m = sim_machine_new("desktop");

        assert_ok("override 0000:08:00.1 none");
        assert_ok("unbind 0000:08:00.1 snd_hda_intel");
        for (unsigned i = 0; i < 2; i++)
                assert_answer("probe 0000:08:00.1", "driver snd_hda_intel\nok 1\n");
        g_assert_null(sim_override_of(m, "0000:08:00.1"));
        /* Nothing matches a host bridge, and that is an answer. */
        assert_answer("probe 0000:00:00.0", "driver \\-\nok 1\n");
}

static void test_errors(void) {
        g_autoptr(SimMachine) m = sim_machine_new("desktop");

        (void) sim_fault(m, "0000:08:00.0", "bind", "errno=EIO");
        assert_ok("unbind 0000:08:00.0 nouveau");
        assert_error("bind 0000:08:00.0 nouveau", EIO, "nouveau");
        (void) sim_fault(m, "0000:08:00.1", "bind", "errno=EAGAIN");
        assert_ok("unbind 0000:08:00.1 snd_hda_intel");
        assert_error("bind 0000:08:00.1 snd_hda_intel", ENODEV, "snd_hda_intel");
        (void) sim_fault(m, "0000:09:00.1", "unbind", "no-effect");
        assert_error("unbind 0000:09:00.1 snd_hda_intel", EIO, "snd_hda_intel");
}

static void test_power(void) {
        g_autoptr(SimMachine) m = sim_machine_new("laptop");

        for (unsigned i = 0; i < 2; i++) {
                assert_ok("pin-power 0000:00:01.0 0000:01:00.0 0000:01:00.1");
                g_assert_cmpstr(sim_read(m, "bus/pci/devices/0000:01:00.0/power/control"), ==, "on");
                g_assert_cmpstr(sim_read(m, "bus/pci/devices/0000:00:01.0/d3cold_allowed"), ==, "0");
                g_assert_cmpstr(sim_read(m, "bus/pci/devices/0000:01:00.0/power/runtime_status"), ==, "active");
        }
        assert_ok("idle-power 0000:01:00.0 auto 0000:01:00.1 on");
        g_assert_cmpstr(sim_read(m, "bus/pci/devices/0000:01:00.0/power/control"), ==, "auto");
        g_assert_cmpstr(sim_read(m, "bus/pci/devices/0000:01:00.0/d3cold_allowed"), ==, "0");
        assert_ok("restore-power 0000:01:00.0 \\- 1 0000:01:00.1 auto \\-");
        g_assert_cmpstr(sim_read(m, "bus/pci/devices/0000:01:00.0/d3cold_allowed"), ==, "1");
        g_assert_cmpstr(sim_read(m, "bus/pci/devices/0000:01:00.1/power/control"), ==, "auto");
        g_assert_cmpstr(sim_read(m, "bus/pci/devices/0000:01:00.1/d3cold_allowed"), ==, "0");
}

static void test_modules(void) {
        g_autoptr(SimMachine) m = sim_machine_new("nvidia-pair");
        g_autofree char *answer = driver_run("check-module nvidia_drm nvidia nouveau");

        g_test_message("%s", answer);
        g_assert_nonnull(strstr(answer, "module nvidia_drm "));
        g_assert_nonnull(strstr(answer, "module nvidia "));
        g_assert_null(strstr(answer, "module nouveau "));
        g_assert_nonnull(strstr(answer, "error 1 16 "));
        assert_ok("check-module nouveau amdgpu");
}

static void test_sound(void) {
        g_autoptr(SimMachine) m = sim_machine_new("desktop");
        _cleanup_(snapshot_freep) Snapshot *s = take_snapshot("0000:08:00.1");
        const char *card = s->functions[0].sound_cards[0];
        g_autofree char *ask = g_strdup_printf("ask-sound 0000:08:00.1 %s", card);
        g_autofree char *give = g_strdup_printf("return-sound 0000:08:00.1 %s", card);

        assert_ok(ask);
        assert_ok(ask);
        assert_ok(give);
        assert_error("ask-sound 0000:08:00.0 card0", ENODEV, "card0");
}

static void test_compositor(void) {
        g_autoptr(SimMachine) m = sim_machine_new("desktop");
        _cleanup_(snapshot_freep) Snapshot *s = take_snapshot("0000:08:00.0");
        const char *card = NULL;
        g_autofree char *ask = NULL, *give = NULL;

        for (size_t i = 0; i < s->functions[0].n_nodes; i++)
                if (g_str_has_prefix(s->functions[0].nodes[i].path, "/dev/dri/card"))
                        card = s->functions[0].nodes[i].path + strlen("/dev/dri/");
        g_assert_nonnull(card);
        ask = g_strdup_printf("ask-compositor 0000:08:00.0 %s sway", card);
        give = g_strdup_printf("return-compositor 0000:08:00.0 %s", card);
        assert_ok(ask);
        assert_ok(ask);
        assert_ok(give);
        /* One that has come again under another number was announced by the kernel. */
        assert_ok("return-compositor 0000:08:00.0 card99");
        assert_error("ask-compositor 0000:08:00.0 card99 sway", ENODEV, "card99");
        assert_error("ask-compositor 0000:08:00.1 card0 sway", ENODEV, "card0");
}

static void test_census_and_end(void) {
        g_autoptr(SimMachine) m = sim_machine_new("desktop");
        _cleanup_(holders_freep) Holders *h = NULL;
        pid_t pid = sim_hold_node(m, "/dev/dri/card0");
        g_autofree char *answer = driver_run("census - 226:0:/dev/dri/card0 226:1:/dev/dri/card1"), *step = NULL;
        uint64_t start;

        g_assert_cmpint(process_start_time((uint32_t) pid, &start), ==, 0);
        g_assert_cmpint(holders_read(answer + strlen("begin 1\n"), strlen(answer) - strlen("begin 1\nok 1\n"), &h), ==, 0);
        g_assert_cmpuint(h->n, ==, 1);
        g_assert_cmpuint(h->list[0].pid, ==, (uint32_t) pid);
        g_assert_cmpuint(h->list[0].start, ==, start);
        assert_list(h->list[0].nodes, "/dev/dri/card0");

        step = g_strdup_printf("end %i %" G_GUINT64_FORMAT " 30", pid, start);
        assert_ok(step);
        g_assert_cmpint(sim_wait_ended(m, pid), ==, SIGTERM);
        assert_answer("census - 226:0:/dev/dri/card0", "ok 1\n");
}

static void test_access(void) {
        g_autoptr(SimMachine) m = sim_machine_new("desktop");

        assert_error("access 0000:08:00.0 1000", ESTALE, "nouveau");
        (void) sim_command(m, "module vfio_pci load");
        assert_ok("override 0000:08:00.0 vfio-pci");
        assert_ok("unbind 0000:08:00.0 nouveau");
        assert_ok("bind 0000:08:00.0 vfio-pci");
        for (unsigned i = 0; i < 2; i++)
                assert_ok("access 0000:08:00.0 0");
        for (unsigned i = 0; i < 2; i++)
                assert_ok("revoke 0000:08:00.0 0");
}

int main(int argc, char *argv[]) {
        sim_init(&argc, &argv);
        (void) setenv(ENV_PLAIN_NODES, "1", 1);
        g_test_add_func("/verbs/snapshot-apu", test_snapshot_apu);
        g_test_add_func("/verbs/snapshot-some", test_snapshot_some);
        g_test_add_func("/verbs/snapshot-in-hang", test_snapshot_in_hang);
        g_test_add_func("/verbs/save", test_save);
        g_test_add_func("/verbs/check", test_check);
        g_test_add_func("/verbs/bind", test_bind);
        g_test_add_func("/verbs/probe", test_probe);
        g_test_add_func("/verbs/errors", test_errors);
        g_test_add_func("/verbs/power", test_power);
        g_test_add_func("/verbs/modules", test_modules);
        g_test_add_func("/verbs/sound", test_sound);
        g_test_add_func("/verbs/compositor", test_compositor);
        g_test_add_func("/verbs/census-and-end", test_census_and_end);
        g_test_add_func("/verbs/access", test_access);
        return g_test_run();
}
