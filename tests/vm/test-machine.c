/* SPDX-License-Identifier: GPL-2.0-or-later */

/* test-machine: the virtual machine itself, without gpuptd: that it has what the other tests rely on, and that the kernel and the
 * programs behave as gpuptd takes them to behave. A failure here explains failures elsewhere. */

#include <string.h>
#include <unistd.h>

#include "guest.h"

static void assert_driver(const char *address, const char *wanted) {
        g_autofree char *driver = pci_driver(address);

        g_assert_cmpstr(driver, ==, wanted);
}

/* Both functions of a card alone in one group of their own. */
static void assert_group(const char *display, const char *audio) {
        g_autofree char *a = pci_group(display), *b = pci_group(audio);
        g_autofree char *path = g_strdup_printf("/sys/kernel/iommu_groups/%s/devices", a);
        g_autoptr(GDir) dir = g_dir_open(path, 0, NULL);
        unsigned n = 0;

        g_assert_cmpstr(a, !=, "");
        g_assert_cmpstr(a, ==, b);
        g_assert_nonnull(dir);
        while (g_dir_read_name(dir))
                n++;
        g_assert_cmpuint(n, ==, 2);
}

static void assert_attribute(const char *address, const char *attribute, const char *wanted) {
        g_autofree char *value = pci_read(address, attribute);

        g_assert_cmpstr(value, ==, wanted);
}

static void test_cards(void) {
        g_autofree char *drm = pci_child(CARD, "drm", "card"), *boot_methods = pci_read(BOOT, "reset_method");

        assert_driver(CARD, "bochs-drm");
        assert_driver(CARD_AUDIO, "snd_hda_intel");
        assert_driver(BOOT, "virtio-pci");
        assert_driver(BOOT_AUDIO, "snd_hda_intel");
        assert_group(CARD, CARD_AUDIO);
        assert_group(BOOT, BOOT_AUDIO);
        assert_attribute(CARD, "class", "0x038000");
        assert_attribute(BOOT, "class", "0x030000");
        assert_attribute(BOOT, "boot_vga", "1");
        /* Without FLR, and the bus reset of a card with two functions is a promise that the kernel does not keep. */
        assert_attribute(CARD, "reset_method", "bus");
        g_assert_nonnull(strstr(boot_methods, "flr"));
        g_assert_nonnull(drm);
}

static void test_services(void) {
        static const char *const units[] = { "dbus.service", "systemd-logind.service", "systemd-udevd.service" };
        g_autofree char *failed = output_of("systemctl", "--failed", "--no-legend", "--plain", NULL);
        g_autofree char *polkit = output_of("busctl", "get-property", "org.freedesktop.PolicyKit1",
                                            "/org/freedesktop/PolicyKit1/Authority", "org.freedesktop.PolicyKit1.Authority",
                                            "BackendName", NULL);

        for (unsigned i = 0; i < G_N_ELEMENTS(units); i++)
                g_free(output_of("systemctl", "is-active", "--quiet", units[i], NULL));
        g_assert_cmpstr(failed, ==, "");
        g_assert_nonnull(strstr(polkit, "js"));
}

/* ---- VFIO */

static void card_to(const char *display_driver, const char *audio_driver) {
        g_free(output_of("modprobe", "vfio-pci", NULL));
        pci_rebind(CARD_AUDIO, audio_driver);
        pci_rebind(CARD, display_driver);
}

static void test_vfio(void) {
        g_autofree char *before = machine_state(), *node = vfio_node(CARD);

        g_assert_cmpint(access(node, F_OK), <, 0);
        card_to("vfio-pci", "vfio-pci");
        assert_driver(CARD, "vfio-pci");
        assert_driver(CARD_AUDIO, "vfio-pci");
        g_free(output_of("udevadm", "settle", NULL));
        g_assert_cmpint(access(node, F_OK), ==, 0);
        card_to("bochs-drm", "snd_hda_intel");
        assert_machine_state(before);
}

static void test_nested_vm(void) {
        g_autofree char *node = vfio_node(CARD), *status = NULL;
        NestedVm *vm;

        card_to("vfio-pci", "vfio-pci");
        vm = nested_start(CARD, CARD_AUDIO, NULL);
        g_assert_true(is_held(node, "qemu-system-x86"));
        status = nested_qmp(vm, "{\"execute\":\"query-status\"}");
        g_assert_nonnull(strstr(status, "\"running\""));
        nested_stop(vm);
        g_assert_false(is_held(node, NULL));
}

static void test_libvirt_domain(void) {
        g_autofree char *node = vfio_node(CARD), *state = NULL, *machines = NULL;

        card_to("vfio-pci", "vfio-pci");
        domain_start();
        state = output_of("virsh", "--quiet", "domstate", DOMAIN_NAME, NULL);
        machines = output_of("machinectl", "--no-legend", "list", NULL);
        g_assert_cmpstr(state, ==, "running");
        g_assert_nonnull(strstr(machines, "-" DOMAIN_NAME));
        g_assert_true(is_held(node, "qemu-system-x86"));
        domain_stop();
        g_assert_false(is_held(node, NULL));
}

/* ---- The desktop */

static bool let_go(const void *control) {
        return !desktop_holds(control);
}

static bool taken(const void *control) {
        return desktop_holds(control);
}

static void test_desktop(void) {
        g_autofree char *card = pci_child(CARD_AUDIO, "sound", "card"), *control = sound_control(CARD_AUDIO);
        g_autofree char *card_uevent = g_build_filename(card, "uevent", NULL);
        g_autofree char *control_name = g_path_get_basename(control);
        g_autofree char *control_uevent = g_build_filename(card, control_name, "uevent", NULL);
        g_autoptr(Output) session = NULL;

        desktop_start();
        session = command(WHO_DESKTOP, "loginctl", "show-session", "self", "-pActive", "-pRemote", "-pTTY", "-pSeat", NULL);
        assert_status(session, 0);
        g_assert_nonnull(strstr(session->out, "Active=yes"));
        g_assert_nonnull(strstr(session->out, "TTY=tty1"));

        /* A card that is said to go is let go, without any process ended; one that is said to come is taken up again. */
        g_assert_true(desktop_holds(control));
        g_assert_cmpint(sysfs_write(card_uevent, "remove"), ==, 0);
        wait_until(let_go, control, "WirePlumber to let go");
        g_assert_cmpint(sysfs_write(control_uevent, "remove"), ==, 0);
        g_assert_cmpint(sysfs_write(control_uevent, "add"), ==, 0);
        wait_until(taken, control, "WirePlumber to come back");
        desktop_stop();
}

static void test_stubborn(void) {
        g_autofree char *control = sound_control(CARD_AUDIO);
        pid_t pid = stubborn_start(control);

        g_assert_cmpint(pid, >, 1);
        g_assert_true(is_held(control, STUBBORN_COMMAND));
        stubborn_stop();
        g_assert_false(is_held(control, NULL));
}

static void test_strangers(void) {
        g_autoptr(Output) id = command(WHO_STRANGER, "id", "-u", NULL);
        g_autoptr(Output) session = command(WHO_STRANGER, "loginctl", "show-session", "self", NULL);

        assert_status(id, 0);
        g_assert_cmpstr(id->out, ==, "1000\n");
        g_assert_cmpint(session->status, !=, 0);
}

/* ---- The board */

static bool is_there(const void *address) {
        return pci_exists(address);
}

static bool is_gone(const void *address) {
        return !pci_exists(address);
}

static bool is_bound(const void *address) {
        g_autofree char *driver = pci_driver(address);

        return *driver;
}

static void test_hotplug(void) {
        g_free(outer_qmp(PLUG_CARD));
        wait_until(is_there, PLUGGED, "the card to come");
        wait_until(is_bound, PLUGGED, "the card's driver");
        g_free(outer_qmp(UNPLUG_CARD));
        wait_until(is_gone, PLUGGED, "the card to go");
}

static void test_sleep(void) {
        g_autofree char *before = machine_state();

        g_assert_true(machine_sleep(3));
        assert_machine_state(before);
}

int main(int argc, char *argv[]) {
        g_test_init(&argc, &argv, NULL);
        g_test_add_func("/machine/cards", test_cards);
        g_test_add_func("/machine/services", test_services);
        case_add("/machine/vfio", test_vfio);
        case_add("/machine/nested-vm", test_nested_vm);
        case_add("/machine/libvirt-domain", test_libvirt_domain);
        case_add("/machine/desktop", test_desktop);
        case_add("/machine/stubborn", test_stubborn);
        case_add("/machine/strangers", test_strangers);
        case_add("/machine/hotplug", test_hotplug);
        case_add("/machine/sleep", test_sleep);
        return g_test_run();
}
