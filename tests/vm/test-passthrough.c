/* SPDX-License-Identifier: GPL-2.0-or-later */

/* test-passthrough: the main job on a real kernel: a card goes to vfio-pci and comes back, and everything is as it was. */

#include <gio/gio.h>
#include <string.h>
#include <unistd.h>

#include "dbus/errors.h"
#include "dbus/names.h"
#include "guest.h"

static void assert_drivers(const char *display, const char *audio) {
        g_autofree char *a = pci_driver(CARD), *b = pci_driver(CARD_AUDIO);

        g_assert_cmpstr(a, ==, display);
        g_assert_cmpstr(b, ==, audio);
}

static void assert_property(const char *address, const char *property, const char *wanted) {
        g_autofree char *value = gpu_get(address, property);

        g_assert_cmpstr(value, ==, wanted);
}

/* ---- There and back */

static void detach_and_attach(const char *gpu) {
        g_autoptr(Output) detach = gpuptctl(WHO_ROOT, "detach", gpu, NULL), attach = NULL;

        assert_status(detach, 0);
        assert_property(gpu, "State", "detached");
        attach = gpuptctl(WHO_ROOT, "attach", gpu, NULL);
        assert_status(attach, 0);
        assert_property(gpu, "State", "host");
}

static void test_there_and_back(void) {
        g_autofree char *before = machine_state(), *node = vfio_node(CARD);
        g_autoptr(Output) detach = gpuptctl(WHO_ROOT, "detach", "01:00.0", NULL), attach = NULL;

        assert_status(detach, 0);
        assert_drivers("vfio-pci", "vfio-pci");
        assert_property(CARD, "State", "detached");
        assert_property(CARD, "Driver", "vfio-pci");
        g_assert_cmpint(access(node, F_OK), ==, 0);

        attach = gpuptctl(WHO_ROOT, "attach", "01:00.0", NULL);
        assert_status(attach, 0);
        assert_drivers("bochs-drm", "snd_hda_intel");
        assert_property(CARD, "State", "host");
        assert_machine_state(before);
}

static void test_nothing_to_do(void) {
        g_autoptr(Output) attach = gpuptctl(WHO_ROOT, "attach", CARD, NULL), first = NULL, second = NULL;

        assert_status(attach, 0);
        first = gpuptctl(WHO_ROOT, "detach", CARD, NULL);
        second = gpuptctl(WHO_ROOT, "detach", CARD, NULL);
        assert_status(first, 0);
        assert_status(second, 0);
        assert_property(CARD, "State", "detached");
}

/* Enough for a leak of nodes, minors or references to show. */
static void test_twenty_rounds(void) {
        g_autofree char *before = machine_state();

        for (unsigned i = 0; i < 20; i++)
                detach_and_attach(CARD);
        assert_machine_state(before);
}

/* What was set before the detach is what is there after the attach, not a default. */
static void test_own_settings(void) {
        g_autofree char *before = NULL;

        g_assert_cmpint(pci_write(CARD, "power/control", "auto"), ==, 0);
        g_assert_cmpint(pci_write(CARD_AUDIO, "d3cold_allowed", "0"), ==, 0);
        g_assert_cmpint(pci_write(CARD_PORT, "power/control", "auto"), ==, 0);
        before = machine_state();
        detach_and_attach(CARD);
        assert_machine_state(before);
}

static void test_audio_alone(void) {
        g_autofree char *before = machine_state();
        g_autoptr(Output) detach = gpuptctl(WHO_ROOT, "detach", CARD, "--functions=" CARD_AUDIO, NULL), attach = NULL;

        /* One group holds both: a part of it is no use to a VM, and is refused with the name of what stays. */
        assert_status(detach, 1);
        g_assert_nonnull(strstr(detach->err, CARD));
        assert_machine_state(before);
}

static void test_dry_run(void) {
        g_autofree char *before = machine_state();
        g_autoptr(Output) plan = gpuptctl(WHO_ROOT, "plan", "detach", CARD, NULL);
        g_autoptr(Output) dry = gpuptctl(WHO_ROOT, "detach", "--dry-run", CARD, NULL);

        assert_status(plan, 0);
        assert_status(dry, 0);
        g_assert_nonnull(strstr(plan->out, "vfio-pci"));
        g_assert_nonnull(strstr(plan->out, CARD_AUDIO));
        g_assert_cmpstr(plan->out, ==, dry->out);
        assert_property(CARD, "State", "host");
        assert_machine_state(before);
}

/* ---- The boot VGA */

static void test_boot_vga(void) {
        g_autofree char *before = machine_state();
        g_autoptr(Output) refused = gpuptctl(WHO_ROOT, "detach", BOOT, NULL), detach = NULL, attach = NULL;

        assert_status(refused, 1);
        g_assert_nonnull(strstr(refused->err, "disrupt-session"));
        assert_machine_state(before);

        detach = gpuptctl(WHO_ROOT, "detach", "--disrupt-session", BOOT, NULL);
        assert_status(detach, 0);
        assert_property(BOOT, "State", "detached");
        attach = gpuptctl(WHO_ROOT, "attach", BOOT, NULL);
        assert_status(attach, 0);
        assert_property(BOOT, "State", "host");
        assert_machine_state(before);
}

/* The name of the error is the contract, not its words. */
static void test_errors(void) {
        g_autofree char *last_display = gpu_call(BOOT, "Detach"), *no_lease = NULL;
        g_autoptr(Output) detach = gpuptctl(WHO_ROOT, "detach", CARD, NULL);

        g_assert_cmpstr(last_display, ==, GPUPT_ERROR_LAST_DISPLAY);
        assert_status(detach, 0);
        /* What is detached already could not be given back. */
        no_lease = gpu_call(CARD, "Acquire");
        g_assert_cmpstr(no_lease, ==, GPUPT_ERROR_NOT_SUPPORTED);
}

/* ---- Two cards */

static void test_in_parallel(void) {
        g_autofree char *before = machine_state();
        Child *card = child_start(WHO_ROOT, "gpuptctl", "detach", CARD, NULL);
        Child *boot = child_start(WHO_ROOT, "gpuptctl", "detach", "--disrupt-session", BOOT, NULL);
        g_autoptr(Output) card_done = child_wait(card), boot_done = child_wait(boot);

        assert_status(card_done, 0);
        assert_status(boot_done, 0);
        assert_property(CARD, "State", "detached");
        assert_property(BOOT, "State", "detached");

        card = child_start(WHO_ROOT, "gpuptctl", "attach", CARD, NULL);
        boot = child_start(WHO_ROOT, "gpuptctl", "attach", BOOT, NULL);
        output_free(g_steal_pointer(&card_done));
        output_free(g_steal_pointer(&boot_done));
        card_done = child_wait(card);
        boot_done = child_wait(boot);
        assert_status(card_done, 0);
        assert_status(boot_done, 0);
        assert_machine_state(before);
}

/* ---- What others do */

static void test_follows_a_shell(void) {
        g_free(output_of("modprobe", "vfio-pci", NULL));
        gpu_wait_state(CARD, "host");
        pci_rebind(CARD_AUDIO, "vfio-pci");
        gpu_wait_state(CARD, "partial");
        pci_rebind(CARD, "vfio-pci");
        gpu_wait_state(CARD, "detached");
        pci_rebind(CARD, "bochs-drm");
        pci_rebind(CARD_AUDIO, "snd_hda_intel");
        gpu_wait_state(CARD, "host");
}

/* A card that was with vfio-pci before gpuptd saw it has no recorded host driver: the kernel's own match is taken. */
static void test_attaches_what_a_shell_detached(void) {
        g_autoptr(Output) attach = NULL;

        g_free(output_of("modprobe", "vfio-pci", NULL));
        pci_rebind(CARD_AUDIO, "vfio-pci");
        pci_rebind(CARD, "vfio-pci");
        daemon_renew();
        gpu_wait_state(CARD, "detached");
        attach = gpuptctl(WHO_ROOT, "attach", CARD, NULL);
        assert_status(attach, 0);
        assert_drivers("bochs-drm", "snd_hda_intel");
}

static void test_hotplug(void) {
        g_autoptr(Output) list = NULL, detach = NULL, attach = NULL;

        g_free(outer_qmp(PLUG_CARD));
        gpu_wait_state(PLUGGED, "host");
        detach = gpuptctl(WHO_ROOT, "detach", PLUGGED, NULL);
        assert_status(detach, 0);
        attach = gpuptctl(WHO_ROOT, "attach", PLUGGED, NULL);
        assert_status(attach, 0);
        g_free(outer_qmp(UNPLUG_CARD));
        gpu_wait_gone(PLUGGED);
}

/* ---- The service */

static void test_units(void) {
        static const char *const units[] = { GPUPT_UNIT_DAEMON, "gpuptd-modprobe@.service", "gpuptd-unload@.service" };

        for (unsigned i = 0; i < G_N_ELEMENTS(units); i++) {
                g_autoptr(Output) verify = command(WHO_ROOT, "systemd-analyze", "verify", "--man=no", units[i], NULL);

                assert_status(verify, 0);
                g_assert_cmpstr(verify->err, ==, "");
        }
}

/* The exposure of the running unit, 2.5 at the most: systemd-analyze compares in tenths. */
static void test_sandbox(void) {
        g_autoptr(Output) security = command(WHO_ROOT, "systemd-analyze", "security", "--no-pager", "--threshold=25",
                                             GPUPT_UNIT_DAEMON, NULL);

        assert_status(security, 0);
}

/* The interface as XML without the documentation. */
static char *interface_xml(const char *xml, const char *name) {
        g_autoptr(GError) error = NULL;
        GDBusNodeInfo *node = g_dbus_node_info_new_for_xml(xml, &error);
        GDBusInterfaceInfo *interface;
        GString *text = g_string_new(NULL);

        g_assert_no_error(error);
        interface = g_dbus_node_info_lookup_interface(node, name);
        g_assert_nonnull(interface);
        g_dbus_interface_info_generate_xml(interface, 0, text);
        g_dbus_node_info_unref(node);
        return g_string_free(text, false);
}

static void assert_interface(const char *path, const char *name) {
        g_autofree char *live = output_of("busctl", "introspect", "--xml-interface", GPUPT_BUS_NAME, path, NULL);
        g_autofree char *file = g_strdup_printf("/usr/share/dbus-1/interfaces/%s.xml", name), *installed = NULL;
        g_autofree char *a = NULL, *b = NULL;

        g_assert_true(g_file_get_contents(file, &installed, NULL, NULL));
        a = interface_xml(live, name);
        b = interface_xml(installed, name);
        g_assert_cmpstr(a, ==, b);
}

static void test_introspection(void) {
        assert_interface(GPUPT_OBJECT_PATH, GPUPT_MANAGER_INTERFACE);
        assert_interface(GPUPT_GPU_PREFIX "/_30000_3a01_3a00_2e0", GPUPT_GPU_INTERFACE);
}

/* Nobody has to start it: the first call does. */
static void test_activation(void) {
        g_autoptr(Output) list = NULL;

        g_free(output_of("systemctl", "stop", GPUPT_UNIT_DAEMON, NULL));
        list = gpuptctl(WHO_STRANGER, "list", NULL);
        assert_status(list, 0);
        g_assert_nonnull(strstr(list->out, CARD));
        g_assert_nonnull(strstr(list->out, BOOT));
}

int main(int argc, char *argv[]) {
        g_test_init(&argc, &argv, NULL);
        case_add("/passthrough/there-and-back", test_there_and_back);
        case_add("/passthrough/nothing-to-do", test_nothing_to_do);
        case_add("/passthrough/twenty-rounds", test_twenty_rounds);
        case_add("/passthrough/own-settings", test_own_settings);
        case_add("/passthrough/audio-alone", test_audio_alone);
        case_add("/passthrough/dry-run", test_dry_run);
        case_add("/passthrough/boot-vga", test_boot_vga);
        case_add("/passthrough/errors", test_errors);
        case_add("/passthrough/in-parallel", test_in_parallel);
        case_add("/passthrough/follows-a-shell", test_follows_a_shell);
        case_add("/passthrough/attaches-what-a-shell-detached", test_attaches_what_a_shell_detached);
        case_add("/passthrough/hotplug", test_hotplug);
        case_add("/passthrough/units", test_units);
        case_add("/passthrough/sandbox", test_sandbox);
        case_add("/passthrough/introspection", test_introspection);
        case_add("/passthrough/activation", test_activation);
        return g_test_run();
}
