/* SPDX-License-Identifier: GPL-2.0-or-later */

/* test-vm-devices: which functions of the host a virtual machine is to get, by what its manager has written; and what is not for
 * anybody to believe. */

#include <glib.h>

#include "client/vm-devices.h"

static char *join(char **list) {
        return list ? g_strjoinv(" ", list) : g_strdup("");
}

static void assert_devices(const VmDevices *d, const char *addresses, const char *managed, const char *unresolved) {
        g_autofree char *a = join(d->addresses), *m = join(d->managed), *u = join(d->unresolved);

        g_assert_cmpstr(a, ==, addresses);
        g_assert_cmpstr(m, ==, managed);
        g_assert_cmpstr(u, ==, unresolved);
}

static int read_libvirt(const char *xml, VmDevices *ret) {
        return vm_devices_read_libvirt(xml, strlen(xml), ret);
}

#define DOMAIN(devices) "<?xml version='1.0'?>\n<domain type='kvm'><name>a</name><devices>" devices "</devices></domain>"
#define PCI(attributes, address) "<hostdev mode='subsystem' type='pci'" attributes "><driver name='vfio'/><source>" address \
                "</source><address type='pci' domain='0x0000' bus='0x06' slot='0x00' function='0x0'/></hostdev>"
#define AT(bus, function) "<address domain='0x0000' bus='" bus "' slot='0x00' function='" function "'/>"

static void test_libvirt(void) {
        static const struct {
                const char *xml, *addresses, *managed;
        } cases[] = {
                { DOMAIN(""), "", "" },
                { DOMAIN(PCI(" managed='no'", AT("0x01", "0x0")) PCI(" managed='yes'", AT("0x01", "0x1"))),
                  "0000:01:00.0 0000:01:00.1", "0000:01:00.1" },
                { DOMAIN(PCI("", AT("0x01", "0x0")) PCI("", AT("0x01", "0x0"))), "0000:01:00.0", "" },
                { DOMAIN("<hostdev type=\"pci\"><source>\n<address bus = \"1\" slot = \"31\" function=\"7\"/></source></hostdev>"),
                  "0000:01:1f.7", "" },
                { DOMAIN(PCI("", "<address domain='0x10000' bus='0xe1' slot='0x1f' function='0x7'/>")), "10000:e1:1f.7", "" },
                /* Not of the host, not PCI, not a whole device. */
                { DOMAIN("<hostdev mode='subsystem' type='usb'><source><address bus='1' device='2'/></source></hostdev>"
                         "<hostdev mode='subsystem' type='mdev' model='vfio-pci'><source><address uuid='x'/></source></hostdev>"
                         "<hostdev mode='capabilities' type='pci'><source/></hostdev>"
                         "<interface type='hostdev'><source>" AT("0x05", "0x0") "</source></interface>"
                         "<disk><address type='pci' domain='0x0000' bus='0x04' slot='0x00' function='0x0'/></disk>"),
                  "", "" },
                /* Somebody's notes look like devices. */
                { "<domain><metadata><devices>" PCI("", AT("0x07", "0x0")) "</devices><!-- <x> " PCI("", AT("0x08", "0x0"))
                  " --><![CDATA[</domain>" PCI("", AT("0x09", "0x0")) "]]></metadata><description>a &lt;hostdev&gt; > b</description>"
                  "<devices><x a='>'/>" PCI("", AT("0x01", "0x0")) "</devices></domain>", "0000:01:00.0", "" },
        };

        for (size_t i = 0; i < G_N_ELEMENTS(cases); i++) {
                _cleanup_(vm_devices_done) VmDevices d = {};

                g_assert_cmpint(read_libvirt(cases[i].xml, &d), ==, 0);
                assert_devices(&d, cases[i].addresses, cases[i].managed, "");
        }
}

static void test_libvirt_malformed(void) {
        static const char *const cases[] = {
                "", "win10", "<", "<domain", "<domain>", "<domain><devices></domain></devices>", "<domain/><domain/>",
                "<network><devices/></network>", "<!DOCTYPE domain [<!ENTITY a 'b'>]><domain/>", "<domain a></domain>",
                "<domain a=b></domain>", "<domain a='b></domain>", "<domain a='<'></domain>", "<domain a='1'b='2'/>", "<domain / >",
                "</domain>", "<domain/", "<!-- ", "<?xml", "<domain><![CDATA[</domain>", "<domain></domain a='b'>", "<domain/></domain>",
                "<domain><a<b/></domain>",
                DOMAIN("<hostdev type='pci'/>"), DOMAIN(PCI("", "")), DOMAIN(PCI("", "<address/>")),
                DOMAIN(PCI("", "<address bus='0x01'/>")), DOMAIN(PCI("", AT("0x100", "0x0"))), DOMAIN(PCI("", AT("0x01", "0x8"))),
                DOMAIN(PCI("", AT("-1", "0x0"))), DOMAIN(PCI("", AT("", "0x0"))), DOMAIN(PCI("", AT("0x", "0x0"))),
                DOMAIN(PCI("", AT("0x00000000000000000001", "0x0"))), DOMAIN(PCI("", AT("../../x", "0x0"))),
                DOMAIN(PCI("", "<address domain='0x100000000' bus='0x01' slot='0x00' function='0x0'/>")),
        };

        for (size_t i = 0; i < G_N_ELEMENTS(cases); i++) {
                VmDevices d = {};
                int r = read_libvirt(cases[i], &d);

                if (r != -EBADMSG)
                        g_error("%s: %d", cases[i], r);
                g_assert_null(d.addresses);
        }
}

/* Every beginning of a domain is none, and nothing is read behind it. */
static void test_libvirt_cut_off(void) {
        static const char whole[] = DOMAIN(PCI(" managed='yes'", AT("0x01", "0x0")));

        for (size_t n = 0; n < sizeof(whole) - 1; n++) {
                _cleanup_free_ char *part = malloc(n ?: 1);
                VmDevices d = {};

                g_assert_nonnull(part);
                memcpy(part, whole, n);
                g_assert_cmpint(vm_devices_read_libvirt(part, n, &d), ==, -EBADMSG);
        }
}

static void test_libvirt_many(void) {
        g_autoptr(GString) deep = g_string_new("<domain>"), many = g_string_new("<domain><devices>");
        VmDevices d = {};

        for (unsigned i = 0; i < 100000; i++)
                g_string_append(deep, "<a>");
        g_assert_cmpint(read_libvirt(deep->str, &d), ==, -EBADMSG);
        for (unsigned i = 0; i <= VM_DEVICES_MAX; i++)
                g_string_append_printf(many, "<hostdev type='pci'><source><address bus='%u' slot='%u'/></source></hostdev>", i / 32, i % 32);
        g_string_append(many, "</devices></domain>");
        g_assert_cmpint(read_libvirt(many->str, &d), ==, -E2BIG);
}

static void test_proxmox(void) {
        static const struct {
                const char *text, *addresses, *unresolved;
        } cases[] = {
                { "", "", "" },
                { "name: win\nhostpci0: 0000:01:00.0,pcie=1,x-vga=1\nhostpci1: 02:00.1\n", "0000:01:00.0 0000:02:00.1", "" },
                { "hostpci0: host=01:00.0;01:00.1,pcie=1\n", "0000:01:00.0 0000:01:00.1", "" },
                { "hostpci0: pcie=1,host=0000:01:00\r\n", "0000:01:00", "" },
                { "hostpci15:01:00\nhostpci2:  \t01:00.0", "0000:01:00 0000:01:00.0", "" },
                { "hostpci0: 01:00.0\nhostpci1: 01:00.0;0000:01:00.0\n", "0000:01:00.0", "" },
                { "hostpci0: mapping=gpu,pcie=1\nhostpci1: 10000:e1:00.0\n", "10000:e1:00.0", "gpu" },
                { "hostpci0: nonsense;01:00.0;../x;\n", "0000:01:00.0", "nonsense ../x" },
                /* A part of a card; another key; notes; what was, and what will be. */
                { "hostpci0: 01:00.0,mdev=nvidia-35\n", "", "" },
                { "hostpci: 01:00.0\nhostpcix: 01:00.0\nhostpci0 01:00.0\nxhostpci0: 01:00.0\nusb0: host=1234:5678\n", "", "" },
                { "#hostpci0: 03:00.0\nhostpci0: 01:00.0\n\n[before]\nhostpci1: 04:00.0\n", "0000:01:00.0", "" },
                { "hostpci0: 01:00.0\n[PENDING]\nhostpci0: 04:00.0\n", "0000:01:00.0", "" },
        };

        for (size_t i = 0; i < G_N_ELEMENTS(cases); i++) {
                _cleanup_(vm_devices_done) VmDevices d = {};

                g_assert_cmpint(vm_devices_read_proxmox(cases[i].text, strlen(cases[i].text), &d), ==, 0);
                assert_devices(&d, cases[i].addresses, "", cases[i].unresolved);
        }
}

static void test_proxmox_many(void) {
        g_autofree char *blanks = g_strnfill(100000, 'x'), *text = g_strdup_printf("description: %s\nhostpci0: 01:00.0\n", blanks);
        g_autoptr(GString) many = g_string_new("");
        _cleanup_(vm_devices_done) VmDevices d = {};
        VmDevices none = {};

        g_assert_cmpint(vm_devices_read_proxmox(text, strlen(text), &d), ==, 0);
        assert_devices(&d, "0000:01:00.0", "", "");
        for (unsigned i = 0; i <= VM_DEVICES_MAX; i++)
                g_string_append_printf(many, "hostpci%u: %02x:%02x.0\n", i, i / 32, i % 32);
        g_assert_cmpint(vm_devices_read_proxmox(many->str, many->len, &none), ==, -E2BIG);
}

int main(int argc, char **argv) {
        g_test_init(&argc, &argv, NULL);
        g_test_add_func("/vm-devices/libvirt", test_libvirt);
        g_test_add_func("/vm-devices/libvirt-malformed", test_libvirt_malformed);
        g_test_add_func("/vm-devices/libvirt-cut-off", test_libvirt_cut_off);
        g_test_add_func("/vm-devices/libvirt-many", test_libvirt_many);
        g_test_add_func("/vm-devices/proxmox", test_proxmox);
        g_test_add_func("/vm-devices/proxmox-many", test_proxmox_many);
        return g_test_run();
}
