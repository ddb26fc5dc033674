/* SPDX-License-Identifier: GPL-2.0-or-later */

/* rom: expansion ROMs as they are read from a card, and the ACPI table VFCT, in which firmware hands over the images of
 * graphics that have no ROM of their own (GOP_VBIOS_CONTENT and VFCT_IMAGE_HEADER of amdgpu, atombios.h). */

#include <string.h>

#include "model/model.h"
#include "util/cleanup.h"

#define VFCT_IMAGES_AT 0x4cU /* behind the ACPI header, UUID, two offsets and what is reserved */

static GByteArray *vfct;
static int vfct_show(void *object, GString *out);
static Attribute vfct_attribute = { "VFCT", 0400, .show = vfct_show };

/* Signature, length, pointer to PCIR, the data structure with the ids, a checksum. */
uint8_t *rom_build(uint16_t vendor, uint16_t device, uint32_t class, unsigned size) {
        uint8_t *rom = g_malloc0(size), sum = 0;

        rom[0] = 0x55;
        rom[1] = 0xaa;
        rom[2] = (uint8_t) (size / 512);
        rom[0x18] = 0x40;
        memcpy(rom + 0x40, "PCIR", 4);
        rom[0x44] = vendor & 0xff;
        rom[0x45] = vendor >> 8;
        rom[0x46] = device & 0xff;
        rom[0x47] = device >> 8;
        rom[0x4a] = 0x18;
        rom[0x4f] = (uint8_t) (class >> 16);
        rom[0x4e] = class >> 8 & 0xff;
        rom[0x50] = rom[2];
        rom[0x55] = 0x80; /* the last image */
        for (unsigned i = 0; i < size; i++)
                sum = (uint8_t) (sum + rom[i]);
        rom[size - 1] = (uint8_t) -sum;
        return rom;
}

static int vfct_show(_unused_ void *object, GString *out) {
        (void) g_string_append_len(out, (const char *) vfct->data, vfct->len);
        return 0;
}

static void append(const void *data, unsigned size) {
        (void) g_byte_array_append(vfct, data, size);
}

static void append32(uint32_t value) {
        const uint8_t bytes[] = { value & 0xff, value >> 8 & 0xff, value >> 16 & 0xff, value >> 24 };

        append(bytes, sizeof(bytes));
}

static void append16(uint16_t value) {
        const uint8_t bytes[] = { value & 0xff, value >> 8 };

        append(bytes, sizeof(bytes));
}

static void vfct_begin(void) {
        static const uint8_t zeros[16];

        vfct = g_byte_array_new();
        append("VFCT", 4);
        append32(0);              /* length, see vfct_finish() */
        append("\1\0", 2);        /* revision, checksum */
        append("SIMVENSIMTABLE ", 14);
        append32(1);
        append("SIM ", 4);
        append32(1);
        append(zeros, 16);        /* UUID */
        append32(VFCT_IMAGES_AT);
        append32(0);              /* Lib1ImageOffset */
        append(zeros, 16);
        (void) node_add_attribute(node_add_path(node_root(), "firmware/acpi/tables"), &vfct_attribute, NULL);
}

static void vfct_finish(void) {
        uint8_t sum = 0;

        for (unsigned i = 0; i < 4; i++)
                vfct->data[4 + i] = vfct->len >> 8 * i & 0xff;
        vfct->data[9] = 0;
        for (unsigned i = 0; i < vfct->len; i++)
                sum = (uint8_t) (sum + vfct->data[i]);
        vfct->data[9] = (uint8_t) -sum;
        vfct_attribute.size = vfct->len;
}

void vfct_add_image(const VfctImage *image) {
        g_autofree uint8_t *rom = rom_build(image->vendor, image->device, 0x030000, image->size);

        if (!vfct)
                vfct_begin();
        append32(image->bus);
        append32(image->slot);
        append32(image->function);
        append16(image->vendor);
        append16(image->device);
        append16(image->subsystem_vendor);
        append16(image->subsystem_device);
        append32(image->revision);
        append32(image->size);
        append(rom, image->size);
        vfct_finish();
}

bool vfct_load(const char *path) {
        g_autofree char *data = NULL;
        gsize size;

        if (!g_file_get_contents(path, &data, &size, NULL))
                return false;
        if (!vfct)
                vfct_begin();
        (void) g_byte_array_set_size(vfct, 0);
        append(data, (unsigned) size);
        vfct_attribute.size = size;
        return true;
}
