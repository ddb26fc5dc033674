/* SPDX-License-Identifier: GPL-2.0-or-later */

/* test-address: the kernel's form of an address, what people type, and what is neither. */

#include "util/address.h"

#include <glib.h>

static void test_long(void) {
        static const char *const good[] = { "0000:00:00.0", "0000:01:00.1", "ffff:ff:1f.7", "10000:e1:00.0",
                                            "ffffffff:ff:1f.7" };
        static const char *const bad[] = {
                "", "01:00.0", "0000:01:00", "000:01:00.0", "0000:1:00.0", "0000:01:0.0", "0000:01:00.", "0000:01:00.8",
                "0000:01:20.0", "0000:001:00.0", "0000:01:000.0", "0000:01:00.00", "0000:01:00.0 ", " 0000:01:00.0",
                "0000:01:00.0\n", "0000-01-00.0", "g000:01:00.0", "100000000:01:00.0", "0000:01:00.0/..", "../../etc",
                "0000:01:00:0", "0x00:01:00.0", "+000:01:00.0",
        };

        for (size_t i = 0; i < ELEMENTSOF(good); i++) {
                char buf[PCI_ADDRESS_MAX];
                PciAddress a;

                g_assert_cmpint(pci_address_parse(good[i], &a), ==, 0);
                g_assert_cmpstr(pci_address_format(&a, buf), ==, good[i]);
                g_assert_true(pci_address_valid(good[i]));
        }
        for (size_t i = 0; i < ELEMENTSOF(bad); i++) {
                g_test_message("'%s'", bad[i]);
                g_assert_cmpint(pci_address_parse(bad[i], &(PciAddress) {}), ==, -EINVAL);
                g_assert_false(pci_address_valid(bad[i]));
        }
}

static void test_case(void) {
        char buf[PCI_ADDRESS_MAX];
        PciAddress a;

        g_assert_cmpint(pci_address_parse("0000:C5:1F.0", &a), ==, 0);
        g_assert_cmpstr(pci_address_format(&a, buf), ==, "0000:c5:1f.0");
}

static void test_short(void) {
        static const struct {
                const char *s, *address;
                bool has_function;
        } cases[] = {
                { "01:00.1", "0000:01:00.1", true },
                { "01:00", "0000:01:00.0", false },
                { "0001:c5:00", "0001:c5:00.0", false },
                { "0001:C5:00.3", "0001:c5:00.3", true },
        };
        static const char *const bad[] = { "", "1:0.0", "01", "01:", ":00.0", "01:00.", "1002:1640", "01:00.0.0", "win10" };

        for (size_t i = 0; i < ELEMENTSOF(cases); i++) {
                char buf[PCI_ADDRESS_MAX];
                bool has_function;
                PciAddress a;

                g_assert_cmpint(pci_address_parse_short(cases[i].s, &a, &has_function), ==, 0);
                g_assert_cmpstr(pci_address_format(&a, buf), ==, cases[i].address);
                g_assert_true(has_function == cases[i].has_function);
        }
        for (size_t i = 0; i < ELEMENTSOF(bad); i++)
                g_assert_cmpint(pci_address_parse_short(bad[i], &(PciAddress) {}, &(bool) { false }), ==, -EINVAL);
}

static void test_order(void) {
        static const char *const ascending[] = { "0000:00:00.0", "0000:00:00.1", "0000:00:1f.0", "0000:01:00.0",
                                                 "0000:ff:00.0", "0001:00:00.0", "10000:00:00.0" };

        for (size_t i = 0; i < ELEMENTSOF(ascending); i++)
                for (size_t j = 0; j < ELEMENTSOF(ascending); j++) {
                        PciAddress a, b;
                        int order;

                        g_assert_cmpint(pci_address_parse(ascending[i], &a), ==, 0);
                        g_assert_cmpint(pci_address_parse(ascending[j], &b), ==, 0);
                        order = pci_address_compare(&a, &b);
                        g_assert_true((order < 0) == (i < j) && (order > 0) == (i > j));
                        g_assert_true(pci_address_same_slot(&a, &b) == (i == j || i + j == 1));
                }
}

int main(int argc, char *argv[]) {
        g_test_init(&argc, &argv, NULL);
        g_test_add_func("/address/long", test_long);
        g_test_add_func("/address/case", test_case);
        g_test_add_func("/address/short", test_short);
        g_test_add_func("/address/order", test_order);
        return g_test_run();
}
