/* SPDX-License-Identifier: GPL-2.0-or-later */

/* rom: reads option ROMs as the PCI Firmware Specification 3.0, chapter 5, has them and as the kernel does
 * (drivers/pci/rom.c pci_get_rom_size()), and VFCT as amdgpu does (drivers/gpu/drm/amd/amdgpu/amdgpu_bios.c
 * amdgpu_acpi_vfct_bios()). Every offset is compared with what is left, never added first. */

#include "rom.h"

#include <stdarg.h>

/* All numbers are little-endian, all offsets from the beginning of the image or of the structure. */
#define UNIT 512U

#define ROM_SIZE 0x02          /* u8, units: what the checksum of a legacy image is over */
#define ROM_PCIR 0x18          /* u16 */
#define ROM_HEADER_SIZE 0x1aU

#define PCIR_VENDOR 0x04       /* u16 */
#define PCIR_DEVICE 0x06       /* u16 */
#define PCIR_DEVICE_LIST 0x08  /* u16, offset from the structure; since revision 3 */
#define PCIR_REVISION 0x0c     /* u8 */
#define PCIR_LENGTH 0x10       /* u16, units */
#define PCIR_CODE_TYPE 0x14    /* u8 */
#define PCIR_INDICATOR 0x15    /* u8 */
#define PCIR_SIZE 0x18U
#define CODE_TYPE_LEGACY 0x00
#define INDICATOR_LAST 0x80

#define ACPI_LENGTH 0x04       /* u32 */
#define VFCT_IMAGES 0x34       /* u32, offset of the first one */
#define VFCT_HEADER_SIZE 0x4cU
#define IMAGE_BUS 0x00         /* u32 */
#define IMAGE_DEVICE 0x04      /* u32 */
#define IMAGE_FUNCTION 0x08    /* u32 */
#define IMAGE_VENDOR_ID 0x0c   /* u16 */
#define IMAGE_DEVICE_ID 0x0e   /* u16 */
#define IMAGE_SUBSYSTEM_VENDOR_ID 0x10 /* u16 */
#define IMAGE_SUBSYSTEM_ID 0x12        /* u16 */
#define IMAGE_LENGTH 0x18      /* u32 */
#define IMAGE_HEADER_SIZE 0x1cU

/* One image of a chain. */
typedef struct Image {
        const uint8_t *data; /* weak */
        size_t left;         /* bytes from its beginning to the end of everything */
        size_t length;       /* bytes; at most what is left */
        const uint8_t *pcir; /* weak */
        unsigned number;     /* from 1 */
} Image;

static uint16_t read_u16(const uint8_t *p) {
        return (uint16_t) (p[0] | p[1] << 8);
}

static uint32_t read_u32(const uint8_t *p) {
        return read_u16(p) | (uint32_t) read_u16(p + 2) << 16;
}

void rom_verdict_done(RomVerdict *v) {
        free(v->error);
        strv_free(v->warnings);
        *v = (RomVerdict) {};
}

_printf_(2, 3) static int set_error(RomVerdict *v, const char *format, ...) {
        va_list ap;
        int r;

        va_start(ap, format);
        r = vasprintf(&v->error, format, ap);
        va_end(ap);
        if (r >= 0)
                return 0;
        v->error = NULL;
        return -ENOMEM;
}

_printf_(2, 3) static int add_warning(RomVerdict *v, const char *format, ...) {
        _cleanup_free_ char *text = NULL;
        va_list ap;
        int r;

        va_start(ap, format);
        r = vasprintf(&text, format, ap);
        va_end(ap);
        if (r < 0) {
                text = NULL;
                return -ENOMEM;
        }
        return strv_extend(&v->warnings, text);
}

static bool has_signature(const uint8_t *data, size_t left) {
        return left >= 2 && data[0] == 0x55 && data[1] == 0xaa;
}

/* Finds the structure and the length of an image that has the signature, or sets the verdict's error. */
static int read_image(Image *i, RomVerdict *v) {
        size_t offset;

        if (i->left < ROM_HEADER_SIZE)
                return set_error(v, "image %u is cut off after %zu bytes", i->number, i->left);
        offset = read_u16(i->data + ROM_PCIR);
        if (offset < ROM_HEADER_SIZE || offset > i->left || i->left - offset < PCIR_SIZE)
                return set_error(v, "the PCI data structure of image %u would be at %#zx, outside of the image", i->number,
                                 offset);
        i->pcir = i->data + offset;
        if (memcmp(i->pcir, "PCIR", 4) != 0)
                return set_error(v, "image %u has no PCI data structure at %#zx", i->number, offset);
        i->length = (size_t) read_u16(i->pcir + PCIR_LENGTH) * UNIT;
        if (i->length < offset + PCIR_SIZE)
                return set_error(v, "image %u says that it is only %zu bytes long", i->number, i->length);
        if (i->length > i->left)
                return set_error(v, "image %u says that it is %zu bytes long, but only %zu are there", i->number, i->length,
                                 i->left);
        return 0;
}

/* Further devices that the image is for: u16 each, ended by a 0. */
static bool lists_device(const Image *i, uint16_t device) {
        size_t at = (size_t) (i->pcir - i->data), list = read_u16(i->pcir + PCIR_DEVICE_LIST);

        if (i->pcir[PCIR_REVISION] < 3 || list == 0)
                return false;
        for (at += list; at <= i->length && i->length - at >= 2; at += 2) {
                uint16_t id = read_u16(i->data + at);

                if (id == 0 || id == device)
                        return id == device;
        }
        return false;
}

static int check_ids(const Image *i, uint16_t vendor, uint16_t device, RomVerdict *v) {
        uint16_t its_vendor = read_u16(i->pcir + PCIR_VENDOR), its_device = read_u16(i->pcir + PCIR_DEVICE);

        if (its_vendor == vendor && (its_device == device || lists_device(i, device)))
                return 0;
        return add_warning(v, "image %u is for %04x:%04x, the card is %04x:%04x", i->number, its_vendor, its_device, vendor,
                           device);
}

/* Only legacy images have a checksum: over as many units as their header says, which may be less than the length. */
static int check_sum(const Image *i, RomVerdict *v) {
        size_t size = (size_t) i->data[ROM_SIZE] * UNIT;
        uint8_t sum = 0;

        if (i->pcir[PCIR_CODE_TYPE] != CODE_TYPE_LEGACY)
                return 0;
        if (size > i->length)
                return add_warning(v, "the header of image %u says %zu bytes, its PCI data structure %zu", i->number, size,
                                   i->length);
        for (size_t n = 0; n < size; n++)
                sum = (uint8_t) (sum + i->data[n]);
        return sum == 0 ? 0 : add_warning(v, "the checksum of image %u is wrong: %#04x instead of 0", i->number, sum);
}

/* Adds the image to the verdict. 1: another one follows, 0: the chain ends here or the verdict has an error. */
static int take_image(Image *i, uint16_t vendor, uint16_t device, RomVerdict *v) {
        int r;

        r = read_image(i, v);
        if (r < 0 || v->error)
                return r;
        r = check_ids(i, vendor, device, v);
        if (r >= 0)
                r = check_sum(i, v);
        if (r < 0)
                return r;
        v->size += i->length;
        v->n_images = i->number;
        return !(i->pcir[PCIR_INDICATOR] & INDICATOR_LAST);
}

static int check_chain(const uint8_t *data, size_t size, uint16_t vendor, uint16_t device, RomVerdict *v) {
        int r;

        if (size > ROM_SIZE_MAX)
                return set_error(v, "it has %zu bytes, more than a ROM can have", size);
        if (!has_signature(data, size))
                return set_error(v, size == 0 ? "it is empty" : "it does not begin with 55 AA");
        do {
                Image i = { .data = data + v->size, .left = size - v->size, .number = v->n_images + 1 };

                /* The kernel hands out what it could follow (pci_get_rom_size()), and firmware takes the first image that
                 * suits it: a chain that is not ended properly is not lost. */
                if (!has_signature(i.data, i.left))
                        return add_warning(v, "image %u is not marked as the last one, and none follows", v->n_images);
                if (v->n_images == ROM_IMAGES_MAX)
                        return set_error(v, "it has more than %u images", ROM_IMAGES_MAX);
                r = take_image(&i, vendor, device, v);
        } while (r > 0);
        return r;
}

int rom_check(const uint8_t *data, size_t size, uint16_t vendor, uint16_t device, RomVerdict *ret) {
        RomVerdict v = {};
        int r;

        r = check_chain(data, size, vendor, device, &v);
        if (r < 0) {
                rom_verdict_done(&v);
                return r;
        }
        *ret = v;
        return 0;
}

/* ---- VFCT ---- */

/* How well an image fits; 0: it does not. */
typedef enum Fit {
        FIT_NONE,
        FIT_IDS,
        FIT_SUBSYSTEM,
        FIT_ADDRESS,
} Fit;

static Fit image_fit(const uint8_t *header, const VfctQuery *q) {
        if (read_u16(header + IMAGE_VENDOR_ID) != q->vendor || read_u16(header + IMAGE_DEVICE_ID) != q->device)
                return FIT_NONE;
        /* The table knows no domains: it speaks of the first. */
        if (q->address.domain == 0 && read_u32(header + IMAGE_BUS) == q->address.bus &&
            read_u32(header + IMAGE_DEVICE) == q->address.slot && read_u32(header + IMAGE_FUNCTION) == q->address.function)
                return FIT_ADDRESS;
        return read_u16(header + IMAGE_SUBSYSTEM_VENDOR_ID) == q->subsystem_vendor &&
                               read_u16(header + IMAGE_SUBSYSTEM_ID) == q->subsystem_device
                       ? FIT_SUBSYSTEM
                       : FIT_IDS;
}

/* The bytes that count, and where the first image is; or the sentence. */
static const char *read_header(const uint8_t *table, size_t size, size_t *ret_size, size_t *ret_offset) {
        if (size < VFCT_HEADER_SIZE)
                return "the table is too short";
        if (memcmp(table, "VFCT", 4) != 0)
                return "it is no VFCT table";
        *ret_size = read_u32(table + ACPI_LENGTH);
        if (*ret_size < VFCT_HEADER_SIZE)
                return "the table says that it is too short";
        if (*ret_size > size)
                return "the table is cut off";
        *ret_offset = read_u32(table + VFCT_IMAGES);
        if (*ret_offset < VFCT_HEADER_SIZE || *ret_offset > *ret_size)
                return "its images would be outside of the table";
        return NULL;
}

int vfct_find(const uint8_t *table, size_t size, const VfctQuery *query, size_t *ret_offset, size_t *ret_length,
              const char **ret_error) {
        size_t offset, found_offset = 0, found_length = 0;
        Fit best = FIT_NONE;

        *ret_error = read_header(table, size, &size, &offset);
        if (*ret_error)
                return -EBADMSG;
        while (offset < size && best < FIT_ADDRESS) {
                size_t length;
                Fit fit;

                if (size - offset < IMAGE_HEADER_SIZE) {
                        *ret_error = "the header of an image is cut off";
                        return -EBADMSG;
                }
                fit = image_fit(table + offset, query);
                length = read_u32(table + offset + IMAGE_LENGTH);
                offset += IMAGE_HEADER_SIZE;
                if (length > size - offset) {
                        *ret_error = "an image is cut off";
                        return -EBADMSG;
                }
                /* Ends the list, unless it claims to be ours. */
                if (length == 0 && fit == FIT_NONE)
                        break;
                if (length == 0) {
                        *ret_error = "the image for this card has no bytes";
                        return -EBADMSG;
                }
                if (fit > best) {
                        best = fit;
                        found_offset = offset;
                        found_length = length;
                }
                offset += length;
        }
        if (best == FIT_NONE) {
                *ret_error = "it has no image for this card";
                return -ENOENT;
        }
        *ret_offset = found_offset;
        *ret_length = found_length;
        return 0;
}
