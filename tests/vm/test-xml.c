/* SPDX-License-Identifier: GPL-2.0-or-later */

/* test-xml: what `gpuptctl xml` prints, taken at its word by libvirt and by QEMU, which then have the card. */

#include <string.h>

#include "guest.h"

#define XML_FILE "/run/xml-test.xml"

/* The machine's card has no VGA class, as those of laptops: there is a second part, which belongs beside <devices>. */
#define OVERRIDE "<!-- Not in <devices>"

static char *printed(const char *format) {
        g_autofree char *option = g_strdup_printf("--format=%s", format);

        return output_of("gpuptctl", "xml", CARD, option, NULL);
}

static void detach(void) {
        g_autoptr(Output) o = gpuptctl(WHO_ROOT, "detach", CARD, NULL);

        assert_status(o, 0);
}

static void attach(void) {
        g_autoptr(Output) o = gpuptctl(WHO_ROOT, "attach", CARD, NULL);

        assert_status(o, 0);
}

static void assert_part(const char *text, const char *part) {
        if (!strstr(text, part))
                g_error("no '%s' in:\n%s", part, text);
}

/* Both functions in one slot behind a port, and with the ids that were asked for. */
static void test_libvirt(void) {
        g_autofree char *before = machine_state(), *xml = printed("libvirt"), *domain = NULL, *tree = NULL, *live = NULL;
        char *override = strstr(xml, OVERRIDE);
        g_autoptr(GError) error = NULL;

        detach();
        g_assert_nonnull(override);
        domain = g_strdup_printf("<domain type='qemu'><name>" DOMAIN_NAME "</name><memory unit='MiB'>128</memory>"
                                 "<os><type arch='x86_64' machine='q35'>hvm</type></os><features><acpi/></features><devices>"
                                 "<emulator>/usr/bin/qemu-system-x86_64</emulator><controller type='usb' model='none'/>"
                                 "<memballoon model='none'/>%.*s</devices>%s</domain>",
                                 (int) (override - xml), xml, override);
        g_file_set_contents(XML_FILE, domain, -1, &error);
        g_assert_no_error(error);
        g_free(output_of("virsh", "--quiet", "create", "--validate", XML_FILE, NULL));
        gpu_wait_state(CARD, "assigned");

        tree = output_of("virsh", "--quiet", "qemu-monitor-command", DOMAIN_NAME, "--hmp", "info qtree", NULL);
        assert_part(tree, "host = \"" CARD "\"");
        assert_part(tree, "host = \"" CARD_AUDIO "\"");
        assert_part(tree, "x-pci-sub-vendor-id = 6900 ");
        live = output_of("virsh", "--quiet", "dumpxml", DOMAIN_NAME, NULL);
        assert_part(live, "bus='0x0e' slot='0x00' function='0x0' multifunction='on'/>");
        assert_part(live, "bus='0x0e' slot='0x00' function='0x1'/>");

        domain_stop();
        gpu_wait_state(CARD, "detached");
        gpu_wait_idle(CARD);
        attach();
        assert_machine_state(before);
}

static void test_qemu(void) {
        g_autofree char *before = machine_state(), *arguments = printed("qemu"), *command_line = NULL;

        detach();
        command_line = g_strdup_printf("systemd-run --quiet --collect --unit=" NESTED_UNIT " qemu-system-x86_64 -accel tcg -M q35 "
                                       "-m 128 -nodefaults -display none -vga none %s", arguments);
        g_free(output_of("sh", "-c", command_line, NULL));
        gpu_wait_state(CARD, "assigned");
        g_free(output_of("systemctl", "stop", NESTED_UNIT, NULL));
        gpu_wait_state(CARD, "detached");
        gpu_wait_idle(CARD);
        attach();
        assert_machine_state(before);
}

int main(int argc, char *argv[]) {
        g_test_init(&argc, &argv, NULL);
        case_add("/xml/libvirt", test_libvirt);
        case_add("/xml/qemu", test_qemu);
        return g_test_run();
}
