/* SPDX-License-Identifier: GPL-2.0-or-later */

/* mock-card: see the header. */

#include "tests/unit/mock-card.h"

#include "util/cleanup.h"

typedef struct MockFunction {
        const char *address;
        uint32_t class;
        uint16_t vendor, device;
} MockFunction;

typedef struct Card {
        const char *name;
        bool boot_vga;
        uint16_t vendor, device, sub_vendor, sub_device;
        uint32_t class;
        MockFunction functions[10];
} Card;

#define FOUR { { MOCK_FIRST, 0x030000, 0x10de, 0x1e87 }, { "0000:01:00.1", 0x040300, 0x10de, 0x10f8 }, \
               { "0000:01:00.2", 0x0c0330, 0x10de, 0x1ad8 }, { "0000:01:00.3", 0x0c8000, 0x10de, 0x1ad9 } }

static const Card cards[] = {
        [MOCK_CARD_FOUR] = { "NVIDIA Corporation TU104 [GeForce RTX 2080]", false, 0x10de, 0x1e87, 0x1462, 0x3726, 0x030000, FOUR },
        [MOCK_CARD_APU] = { "Advanced Micro Devices, Inc. [AMD/ATI] Phoenix3", true, 0x1002, 0x1900, 0x17aa, 0x50d8, 0x030000,
                            { { MOCK_FIRST, 0x030000, 0x1002, 0x1900 }, { "0000:01:00.1", 0x040300, 0x1002, 0x1640 } } },
        [MOCK_CARD_RADEON] = { "Navi 21", false, 0x1002, 0x73bf, 0x1da2, 0x440f, 0x030000,
                               { { "0000:00:1f.3", 0x040300, 0x1002, 0xab28 }, { MOCK_FIRST, 0x030000, 0x1002, 0x73bf } } },
        /* Not in the order of their addresses. */
        [MOCK_CARD_LAPTOP] = { "NVIDIA Corporation TU106M", false, 0x10de, 0x1f11, 0x1043, 0x109f, 0x030200,
                               { { "0000:01:00.2", 0x0c0330, 0x10de, 0x1ada }, { "0000:01:00.1", 0x040300, 0x10de, 0x10f9 },
                                 { MOCK_FIRST, 0x030200, 0x10de, 0x1f11 } } },
        [MOCK_CARD_HOSTILE] = { "Evil' --> $(reboot) `reboot` <x y=\"z\">&\n\033[31m\302\233'; Remove-Item C:\\ #>", false, 0x10de,
                                0x1e87, 0x1462, 0x3726, 0x030000, FOUR },
        [MOCK_CARD_SENSELESS] = { "", false, 0x10de, 0x1e87, 0, 0, 0x030000,
                                  { { MOCK_FIRST, 0x030000, 0x10de, 0x1e87 }, { "0000:01:00.1'/><evil x='", 0, 0, 0 } } },
        [MOCK_CARD_TWICE] = { "", false, 0x10de, 0x1e87, 0, 0, 0x030000,
                              { { MOCK_FIRST, 0x030000, 0x10de, 0x1e87 }, { MOCK_FIRST, 0x030000, 0x10de, 0x1e87 } } },
        [MOCK_CARD_HEADLESS] = { "", false, 0x10de, 0x1e87, 0, 0, 0x030000, { { "0000:01:00.1", 0x040300, 0x10de, 0x10f9 } } },
        [MOCK_CARD_NINE] = { "", false, 0x10de, 0x1e87, 0, 0, 0x030000,
                             { { MOCK_FIRST, 0x030000, 1, 1 }, { "0000:01:00.1", 0, 1, 2 }, { "0000:01:00.2", 0, 1, 2 },
                               { "0000:01:00.3", 0, 1, 2 }, { "0000:01:00.4", 0, 1, 2 }, { "0000:01:00.5", 0, 1, 2 },
                               { "0000:01:00.6", 0, 1, 2 }, { "0000:01:00.7", 0, 1, 2 }, { "0000:02:00.0", 0, 1, 2 } } },
        [MOCK_CARD_ABSENT] = { "", false, 0, 0, 0, 0, 0, { { MOCK_FIRST, 0, 0, 0 } } },
};

bool mock_card_has(MockCard card, const char *property) {
        static const char *const names[] = { "Name", "BootVga", "VendorId", "DeviceId", "SubsystemVendorId", "SubsystemId", "Class",
                                             "Functions" };

        for (size_t i = 0; card != MOCK_CARD_PLAIN && i < ELEMENTSOF(names); i++)
                if (streq(names[i], property))
                        return true;
        return false;
}

static int append_functions(sd_bus_message *reply, const MockFunction *f) {
        int r;

        r = sd_bus_message_open_container(reply, 'a', "a{sv}");
        /* One that is not on the bus has an address alone. */
        for (; r >= 0 && f->address; f++)
                r = f->vendor > 0 ? sd_bus_message_append(reply, "a{sv}", 5, "address", "s", f->address, "class", "u", f->class,
                                                          "vendor", "q", f->vendor, "device", "q", f->device, "group", "i", 1)
                                  : sd_bus_message_append(reply, "a{sv}", 1, "address", "s", f->address);
        return r < 0 ? r : sd_bus_message_close_container(reply);
}

int mock_card_append(sd_bus_message *reply, MockCard card, const char *property) {
        const Card *c = &cards[card];

        if (streq(property, "Name"))
                return sd_bus_message_append(reply, "s", c->name);
        if (streq(property, "BootVga"))
                return sd_bus_message_append(reply, "b", c->boot_vga);
        if (streq(property, "VendorId"))
                return sd_bus_message_append(reply, "q", c->vendor);
        if (streq(property, "DeviceId"))
                return sd_bus_message_append(reply, "q", c->device);
        if (streq(property, "SubsystemVendorId"))
                return sd_bus_message_append(reply, "q", c->sub_vendor);
        if (streq(property, "SubsystemId"))
                return sd_bus_message_append(reply, "q", c->sub_device);
        if (streq(property, "Class"))
                return sd_bus_message_append(reply, "u", c->class);
        return append_functions(reply, c->functions);
}
