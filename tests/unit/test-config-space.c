/* SPDX-License-Identifier: GPL-2.0-or-later */

/* test-config-space: lists of capabilities as cards have them, as sick cards have them, and as no card should. */

#include "worker/config-space.h"

#include <glib.h>

static void put16(ConfigSpace *c, size_t at, uint16_t value) {
        c->bytes[at] = value & 0xff;
        c->bytes[at + 1] = value >> 8;
}

/* A header with a list that begins at `first`. */
static ConfigSpace make_space(uint8_t first) {
        ConfigSpace c = { .size = CONFIG_SIZE };

        put16(&c, 0x00, 0x10de);
        put16(&c, 0x06, 0x0010);
        c.bytes[0x0e] = 0x80;
        c.bytes[0x34] = first;
        return c;
}

static void put_capability(ConfigSpace *c, size_t at, uint8_t id, uint8_t next) {
        c->bytes[at] = id;
        c->bytes[at + 1] = next;
}

static void test_find(void) {
        ConfigSpace c = make_space(0x60);

        put_capability(&c, 0x60, CAPABILITY_PM, 0x7b); /* the lowest bits mean nothing */
        put16(&c, 0x64, 0x010b);
        put_capability(&c, 0x78, CAPABILITY_PCIE, 0);
        g_assert_cmphex(config_space_vendor(&c), ==, 0x10de);
        g_assert_cmphex(config_space_header_type(&c), ==, 0);
        g_assert_false(config_space_is_dead(&c));
        g_assert_cmpuint(config_space_capability(&c, CAPABILITY_PM, 6), ==, 0x60);
        g_assert_cmpuint(config_space_capability(&c, CAPABILITY_PCIE, 0x14), ==, 0x78);
        g_assert_cmpuint(config_space_capability(&c, 0x05, 2), ==, 0);
        g_assert_cmpint(config_space_dstate(&c), ==, 3);
        g_assert_cmphex(config_space_u32(&c, 0x04), ==, 0x00100000);

        /* Only the header could be read. */
        c.size = CONFIG_HEADER_SIZE;
        g_assert_cmpint(config_space_dstate(&c), ==, -1);
        /* There is no list: what stands at 0x34 is nothing. */
        c = make_space(0x60);
        put_capability(&c, 0x60, CAPABILITY_PM, 0);
        put16(&c, 0x06, 0);
        g_assert_cmpint(config_space_dstate(&c), ==, -1);
}

static void test_dead(void) {
        ConfigSpace c = { .size = CONFIG_SIZE };

        memset(c.bytes, 0xff, sizeof(c.bytes));
        g_assert_true(config_space_is_dead(&c));
        g_assert_cmpuint(config_space_capability(&c, 0xff, 2), ==, 0);
        g_assert_cmpint(config_space_dstate(&c), ==, -1);
        put16(&c, 0x00, 0x10de);
        g_assert_true(config_space_is_dead(&c));
        g_assert_cmpint(config_space_dstate(&c), ==, -1);
}

static void test_strange(void) {
        ConfigSpace c = make_space(0x40);

        /* In a circle; to itself; into the header; past the end. */
        put_capability(&c, 0x40, 0x05, 0x50);
        put_capability(&c, 0x50, 0x09, 0x40);
        g_assert_cmpuint(config_space_capability(&c, CAPABILITY_PM, 2), ==, 0);
        put_capability(&c, 0x50, 0x09, 0x50);
        g_assert_cmpuint(config_space_capability(&c, CAPABILITY_PM, 2), ==, 0);
        put_capability(&c, 0x50, 0x09, 0x04);
        g_assert_cmpuint(config_space_capability(&c, CAPABILITY_PM, 2), ==, 0);
        put_capability(&c, 0x50, 0x09, 0xfc);
        put_capability(&c, 0xfc, CAPABILITY_PM, 0);
        g_assert_cmpuint(config_space_capability(&c, CAPABILITY_PM, 4), ==, 0xfc);
        g_assert_cmpuint(config_space_capability(&c, CAPABILITY_PM, 6), ==, 0);
        g_assert_cmpint(config_space_dstate(&c), ==, -1);

        for (unsigned first = 0; first < 256; first++)
                for (unsigned fill = 0; fill < 256; fill++) {
                        c = make_space((uint8_t) first);
                        memset(c.bytes + CONFIG_HEADER_SIZE, (int) fill, CONFIG_SIZE - CONFIG_HEADER_SIZE);
                        for (size_t size = 0; size <= CONFIG_SIZE; size += 51) {
                                c.size = size;
                                g_assert_cmpuint(config_space_capability(&c, CAPABILITY_PCIE, 0x14), <=, size);
                        }
                }
}

static void test_random(void) {
        ConfigSpace c = { .size = CONFIG_SIZE };

        for (unsigned i = 0; i < 20000; i++) {
                for (size_t k = 0; k < sizeof(c.bytes); k++)
                        c.bytes[k] = (uint8_t) g_test_rand_int();
                put16(&c, 0x06, 0x0010);
                for (unsigned id = 0; id < 256; id += 5) {
                        size_t at = config_space_capability(&c, (uint8_t) id, 0x14);

                        g_assert_true(at == 0 || (at >= CONFIG_HEADER_SIZE && at + 0x14 <= c.size && c.bytes[at] == id));
                }
                g_assert_cmpint(config_space_dstate(&c), <=, 3);
        }
}

int main(int argc, char *argv[]) {
        g_test_init(&argc, &argv, NULL);
        g_test_add_func("/config-space/find", test_find);
        g_test_add_func("/config-space/dead", test_dead);
        g_test_add_func("/config-space/strange", test_strange);
        g_test_add_func("/config-space/random", test_random);
        return g_test_run();
}
