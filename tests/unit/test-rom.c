/* SPDX-License-Identifier: GPL-2.0-or-later */

/* test-rom: images that are right, images that are nearly right, and what a firmware must never be believed. */

#include "daemon/rom.h"

#include <glib.h>

#define VENDOR 0x1002
#define DEVICE 0x1638
#define OTHER 0x164e
#define LEGACY 0
#define EFI 3
#define PCIR 0x20

static void put_u16(uint8_t *p, unsigned value) {
        p[0] = value & 0xff;
        p[1] = value >> 8 & 0xff;
}

static void put_u32(uint8_t *p, uint32_t value) {
        put_u16(p, value);
        put_u16(p + 2, value >> 16);
}

/* ---- a ROM ---- */

static void fix_sum(uint8_t *image) {
        uint8_t sum = 0;

        image[511] = 0;
        for (size_t i = 0; i < image[2] * 512U; i++)
                sum = (uint8_t) (sum + image[i]);
        image[511] = (uint8_t) -sum;
}

/* Appends an image of so many units and returns where it begins. */
static size_t add_image(GByteArray *rom, unsigned units, unsigned type, bool last) {
        size_t at = rom->len;
        uint8_t *p;

        g_byte_array_set_size(rom, (guint) (at + units * 512));
        p = rom->data + at;
        memset(p, 0, units * 512);
        p[0] = 0x55;
        p[1] = 0xaa;
        p[2] = (uint8_t) units;
        put_u16(p + 0x18, PCIR);
        memcpy(p + PCIR, "PCIR", 4);
        put_u16(p + PCIR + 4, VENDOR);
        put_u16(p + PCIR + 6, DEVICE);
        put_u16(p + PCIR + 0x0a, 0x18);
        p[PCIR + 0x0c] = 3;
        put_u16(p + PCIR + 0x10, units);
        p[PCIR + 0x14] = (uint8_t) type;
        p[PCIR + 0x15] = last ? 0x80 : 0;
        fix_sum(p);
        return at;
}

static GByteArray *one_image(void) {
        GByteArray *rom = g_byte_array_new();

        (void) add_image(rom, 33, LEGACY, true);
        return rom;
}

/* The copy has exactly its size: a sanitizer sees what is read behind it. */
static void check(const GByteArray *rom, size_t size, RomVerdict *ret) {
        g_autofree uint8_t *copy = g_malloc(MAX(size, (size_t) 1));

        memcpy(copy, rom->data, size);
        g_assert_cmpint(rom_check(copy, size, VENDOR, DEVICE, ret), ==, 0);
}

static void assert_good(const GByteArray *rom, unsigned n_images, size_t size) {
        _cleanup_(rom_verdict_done) RomVerdict v = {};

        check(rom, rom->len, &v);
        g_assert_cmpstr(v.error, ==, NULL);
        g_assert_null(v.warnings);
        g_assert_cmpuint(v.n_images, ==, n_images);
        g_assert_cmpuint(v.size, ==, size);
}

static void assert_warning(const GByteArray *rom, const char *part) {
        _cleanup_(rom_verdict_done) RomVerdict v = {};

        check(rom, rom->len, &v);
        g_assert_cmpstr(v.error, ==, NULL);
        g_assert_cmpuint(strv_length(v.warnings), ==, 1);
        g_test_message("%s", v.warnings[0]);
        g_assert_nonnull(strstr(v.warnings[0], part));
}

static void assert_bad(const GByteArray *rom, size_t size, const char *part) {
        _cleanup_(rom_verdict_done) RomVerdict v = {};

        check(rom, size, &v);
        g_assert_nonnull(v.error);
        g_test_message("%s", v.error);
        g_assert_nonnull(strstr(v.error, part));
}

static void test_good(void) {
        g_autoptr(GByteArray) rom = one_image();

        g_assert_cmpuint(rom->len, ==, 16896);
        assert_good(rom, 1, 16896);
        /* What is behind the last image is nobody's business. */
        g_byte_array_append(rom, (const uint8_t *) "junk", 4);
        assert_good(rom, 1, 16896);
}

static void test_chain(void) {
        g_autoptr(GByteArray) rom = g_byte_array_new();
        size_t efi;

        (void) add_image(rom, 4, LEGACY, false);
        efi = add_image(rom, 6, EFI, false);
        rom->data[efi + 511]++; /* an EFI image has no checksum */
        (void) add_image(rom, 1, 0x70, true);
        assert_good(rom, 3, 11 * 512);
        assert_bad(rom, 11 * 512 - 1, "image 3 says that it is 512 bytes long, but only 511 are there");
        /* Cut off between two images: that much is still good for something. */
        g_byte_array_set_size(rom, 10 * 512);
        assert_warning(rom, "image 2 is not marked as the last one");
        g_byte_array_append(rom, (const uint8_t *) "\xff\xff\xff\xff", 4);
        assert_warning(rom, "image 2 is not marked as the last one");
}

static void test_warnings(void) {
        g_autoptr(GByteArray) rom = one_image();

        put_u16(rom->data + PCIR + 6, OTHER);
        fix_sum(rom->data);
        assert_warning(rom, "image 1 is for 1002:164e, the card is 1002:1638");
        put_u16(rom->data + PCIR + 4, 0x10de);
        put_u16(rom->data + PCIR + 6, DEVICE);
        fix_sum(rom->data);
        assert_warning(rom, "image 1 is for 10de:1638");
        put_u16(rom->data + PCIR + 4, VENDOR);
        fix_sum(rom->data);
        assert_good(rom, 1, rom->len);
        rom->data[100]++;
        assert_warning(rom, "the checksum of image 1 is wrong: 0x01");
        rom->data[2]++;
        assert_warning(rom, "the header of image 1 says 17408 bytes, its PCI data structure 16896");
}

/* A list of further devices behind the structure. */
static void test_device_list(void) {
        g_autoptr(GByteArray) rom = one_image();
        uint8_t *pcir = rom->data + PCIR;

        put_u16(pcir + 6, OTHER);
        put_u16(pcir + 8, 0x1c);
        put_u16(pcir + 0x1c, 0x1234);
        put_u16(pcir + 0x1e, DEVICE);
        fix_sum(rom->data);
        assert_good(rom, 1, rom->len);
        pcir[0x0c] = 0; /* the field meant something else then */
        fix_sum(rom->data);
        assert_warning(rom, "is for 1002:164e");
        pcir[0x0c] = 3;
        put_u16(pcir + 0x1c, 0);
        fix_sum(rom->data);
        assert_warning(rom, "is for 1002:164e");
        /* To the end of the image and beyond. */
        put_u16(pcir + 8, 33 * 512 - PCIR - 1);
        fix_sum(rom->data);
        assert_warning(rom, "is for 1002:164e");
        put_u16(pcir + 8, 0xffff);
        fix_sum(rom->data);
        assert_warning(rom, "is for 1002:164e");
}

static void test_bad(void) {
        g_autoptr(GByteArray) rom = one_image();

        assert_bad(rom, 0, "empty");
        assert_bad(rom, 1, "55 AA");
        assert_bad(rom, 2, "image 1 is cut off after 2 bytes");
        assert_bad(rom, 0x19, "cut off");
        assert_bad(rom, PCIR + 0x17, "outside of the image");
        assert_bad(rom, 512, "says that it is 16896 bytes long, but only 512 are there");
        put_u16(rom->data + PCIR + 0x10, 0);
        assert_bad(rom, rom->len, "only 0 bytes long");
        put_u16(rom->data + PCIR + 0x10, 0xffff);
        assert_bad(rom, rom->len, "but only 16896 are there");
        put_u16(rom->data + 0x18, 0xfff0);
        assert_bad(rom, rom->len, "would be at 0xfff0");
        put_u16(rom->data + 0x18, 0);
        assert_bad(rom, rom->len, "would be at 0,");
        put_u16(rom->data + 0x18, 0x100);
        assert_bad(rom, rom->len, "no PCI data structure at 0x100");
        rom->data[1] = 0x55;
        assert_bad(rom, rom->len, "55 AA");
        g_byte_array_set_size(rom, ROM_SIZE_MAX + 1);
        assert_bad(rom, rom->len, "more than a ROM can have");
}

/* No ROM may make as many warnings as it likes. */
static void test_many(void) {
        g_autoptr(GByteArray) rom = g_byte_array_new();

        for (unsigned i = 0; i < ROM_IMAGES_MAX; i++)
                (void) add_image(rom, 1, LEGACY, i == ROM_IMAGES_MAX - 1);
        assert_good(rom, ROM_IMAGES_MAX, rom->len);
        rom->data[rom->len - 512 + PCIR + 0x15] = 0;
        fix_sum(rom->data + rom->len - 512);
        (void) add_image(rom, 1, LEGACY, true);
        assert_bad(rom, rom->len, "more than 32 images");
}

/* Every byte of a small chain, changed in every bit, and every length: nothing but a verdict. */
static void test_every_byte(void) {
        g_autoptr(GByteArray) rom = g_byte_array_new();

        (void) add_image(rom, 1, LEGACY, false);
        (void) add_image(rom, 1, EFI, true);
        for (size_t size = 0; size <= rom->len; size++) {
                _cleanup_(rom_verdict_done) RomVerdict v = {};

                check(rom, size, &v);
                g_assert_cmpuint(v.size, <=, size);
        }
        for (size_t bit = 0; bit < (size_t) rom->len * 8; bit++) {
                _cleanup_(rom_verdict_done) RomVerdict v = {};

                rom->data[bit / 8] ^= (uint8_t) (1 << bit % 8);
                check(rom, rom->len, &v);
                g_assert_cmpuint(v.size, <=, rom->len);
                rom->data[bit / 8] ^= (uint8_t) (1 << bit % 8);
        }
}

/* ---- VFCT ---- */

#define HEADER 0x4c
#define IMAGE_HEADER 0x1c

typedef struct Entry {
        unsigned bus, slot, function, device, subsystem;
        size_t offset; /* of its bytes */
} Entry;

static void add_entry(GByteArray *table, Entry *e, uint32_t length) {
        size_t at = table->len;
        uint8_t *p;

        g_byte_array_set_size(table, (guint) (at + IMAGE_HEADER + length));
        p = table->data + at;
        memset(p, 0, IMAGE_HEADER + length);
        put_u32(p, e->bus);
        put_u32(p + 4, e->slot);
        put_u32(p + 8, e->function);
        put_u16(p + 0x0c, VENDOR);
        put_u16(p + 0x0e, e->device);
        put_u16(p + 0x10, 0x1043);
        put_u16(p + 0x12, e->subsystem);
        put_u32(p + 0x18, length);
        e->offset = at + IMAGE_HEADER;
        put_u32(table->data + 4, table->len);
}

static GByteArray *new_table(void) {
        GByteArray *table = g_byte_array_new();

        g_byte_array_set_size(table, HEADER);
        memset(table->data, 0, HEADER);
        memcpy(table->data, "VFCT", 4);
        put_u32(table->data + 4, HEADER);
        put_u32(table->data + 0x34, HEADER);
        return table;
}

/* Two cards of one kind, and another one. */
static GByteArray *three_images(Entry e[static 3]) {
        GByteArray *table = new_table();

        e[0] = (Entry) { 0x03, 0, 0, DEVICE, 0x0001, 0 };
        e[1] = (Entry) { 0xc5, 0, 0, OTHER, 0x0002, 0 };
        e[2] = (Entry) { 0xc6, 0, 0, DEVICE, 0x0003, 0 };
        add_entry(table, e, 512);
        add_entry(table, e + 1, 1024);
        add_entry(table, e + 2, 2048);
        return table;
}

static VfctQuery query(const char *address, unsigned device, unsigned subsystem) {
        VfctQuery q = {
                .vendor = VENDOR,
                .device = (uint16_t) device,
                .subsystem_vendor = 0x1043,
                .subsystem_device = (uint16_t) subsystem,
        };

        g_assert_cmpint(pci_address_parse(address, &q.address), ==, 0);
        return q;
}

static int find(const GByteArray *table, size_t size, VfctQuery q, size_t *ret_offset, size_t *ret_length,
                const char **ret_error) {
        g_autofree uint8_t *copy = g_malloc(MAX(size, (size_t) 1));

        memcpy(copy, table->data, size);
        return vfct_find(copy, size, &q, ret_offset, ret_length, ret_error);
}

static void assert_found(const GByteArray *table, VfctQuery q, const Entry *e, size_t length) {
        size_t found_offset, found_length;
        const char *error;

        g_assert_cmpint(find(table, table->len, q, &found_offset, &found_length, &error), ==, 0);
        g_assert_cmpuint(found_offset, ==, e->offset);
        g_assert_cmpuint(found_length, ==, length);
}

static void assert_not_found(const GByteArray *table, size_t size, VfctQuery q, int r, const char *part) {
        size_t offset, length;
        const char *error;

        g_assert_cmpint(find(table, size, q, &offset, &length, &error), ==, r);
        g_assert_nonnull(strstr(error, part));
}

static void test_three(void) {
        Entry e[3];
        g_autoptr(GByteArray) table = three_images(e);

        /* by address and ids */
        assert_found(table, query("0000:03:00.0", DEVICE, 0x0001), e, 512);
        assert_found(table, query("0000:c5:00.0", OTHER, 0x0002), e + 1, 1024);
        assert_found(table, query("0000:c6:00.0", DEVICE, 0x0003), e + 2, 2048);
        /* the address counts more than the subsystem */
        assert_found(table, query("0000:c6:00.0", DEVICE, 0x0001), e + 2, 2048);
        /* by ids alone: an NVMe disk was added, and the numbers of the buses are others now */
        assert_found(table, query("0000:c6:00.0", OTHER, 0x0002), e + 1, 1024);
        assert_found(table, query("0000:c7:00.0", DEVICE, 0x0003), e + 2, 2048);
        assert_found(table, query("0000:c7:00.0", DEVICE, 0x0009), e, 512);
        /* the table is about the first domain only */
        assert_found(table, query("0001:03:00.0", DEVICE, 0x0003), e + 2, 2048);

        assert_not_found(table, table->len, query("0000:03:00.0", 0x1234, 0x0001), -ENOENT, "no image for this card");
        assert_not_found(table, table->len, query("0000:03:00.1", 0x1234, 0x0001), -ENOENT, "no image for this card");
}

static void test_damaged(void) {
        Entry e[3];
        g_autoptr(GByteArray) table = three_images(e);
        VfctQuery last = query("0000:c6:00.0", DEVICE, 0x0003);

        /* What comes before the damage is found; ids alone are not believed then. */
        put_u32(table->data + e[2].offset - 4, UINT32_MAX);
        assert_not_found(table, table->len, last, -EBADMSG, "an image is cut off");
        assert_found(table, query("0000:c5:00.0", OTHER, 0x0002), e + 1, 1024);
        assert_not_found(table, table->len, query("0000:c7:00.0", DEVICE, 0x0001), -EBADMSG, "an image is cut off");
        put_u32(table->data + e[2].offset - 4, 2049);
        assert_not_found(table, table->len, last, -EBADMSG, "an image is cut off");
        put_u32(table->data + e[2].offset - 4, 0);
        assert_not_found(table, table->len, last, -EBADMSG, "no bytes");
        put_u32(table->data + e[2].offset - 4, 2048);

        /* A length of 0 ends the list. */
        put_u32(table->data + e[1].offset - 4, 0);
        assert_not_found(table, table->len, query("0000:c7:00.0", 0x1234, 0), -ENOENT, "no image");
        assert_found(table, last, e, 512);
        put_u32(table->data + e[1].offset - 4, 1024);

        for (size_t size = 0; size < table->len; size++)
                assert_not_found(table, size, last, -EBADMSG, size < HEADER ? "too short" : "cut off");
        /* Not the file, but what it says of itself. */
        for (uint32_t size = HEADER; size < table->len; size++) {
                size_t offset, length;
                const char *error;

                put_u32(table->data + 4, size);
                g_assert_cmpint(find(table, table->len, last, &offset, &length, &error), <=, 0);
        }
        put_u32(table->data + 4, HEADER - 1);
        assert_not_found(table, table->len, last, -EBADMSG, "says that it is too short");
        put_u32(table->data + 4, UINT32_MAX);
        assert_not_found(table, table->len, last, -EBADMSG, "cut off");
        put_u32(table->data + 4, table->len);

        put_u32(table->data + 0x34, table->len + 1);
        assert_not_found(table, table->len, last, -EBADMSG, "outside");
        put_u32(table->data + 0x34, UINT32_MAX);
        assert_not_found(table, table->len, last, -EBADMSG, "outside");
        put_u32(table->data + 0x34, 0);
        assert_not_found(table, table->len, last, -EBADMSG, "outside");
        put_u32(table->data + 0x34, table->len - IMAGE_HEADER + 1);
        assert_not_found(table, table->len, last, -EBADMSG, "the header of an image is cut off");
        put_u32(table->data + 0x34, table->len);
        assert_not_found(table, table->len, last, -ENOENT, "no image");
        table->data[0] = 'X';
        assert_not_found(table, table->len, last, -EBADMSG, "no VFCT table");
}

int main(int argc, char *argv[]) {
        g_test_init(&argc, &argv, NULL);
        g_test_add_func("/rom/good", test_good);
        g_test_add_func("/rom/chain", test_chain);
        g_test_add_func("/rom/warnings", test_warnings);
        g_test_add_func("/rom/device-list", test_device_list);
        g_test_add_func("/rom/bad", test_bad);
        g_test_add_func("/rom/many", test_many);
        g_test_add_func("/rom/every-byte", test_every_byte);
        g_test_add_func("/vfct/three", test_three);
        g_test_add_func("/vfct/damaged", test_damaged);
        return g_test_run();
}
