/* SPDX-License-Identifier: GPL-2.0-or-later */
#pragma once

/* rom: the firmware image of a card as bytes: whether it is one, and where the ACPI table VFCT has that of a card whose
 * image is no ROM of its own. Pure; daemon, worker and client look with the same eyes. All bytes are taken to be hostile. */

#include "util/address.h"

/* More than an expansion ROM can have: its base address register ends at 16 MiB (PCI Local Bus 3.0, 6.2.5.2). */
#define ROM_SIZE_MAX (16U * 1024U * 1024U)
/* Images in one ROM. Real ones have two to five. */
#define ROM_IMAGES_MAX 32U

typedef struct RomVerdict {
        char *error;      /* why it is no usable image: a sentence without its full stop, for behind a colon; NULL: it is one */
        char **warnings;  /* what does not fit, although it can be used; sentences likewise */
        size_t size;      /* bytes of all its images together; there may be more behind them */
        unsigned n_images;
} RomVerdict;

void rom_verdict_done(RomVerdict *v);

/* Looks at a chain of images that is meant for the card with these ids. 0 or -ENOMEM; all else is in the verdict. */
int rom_check(const uint8_t *data, size_t size, uint16_t vendor, uint16_t device, RomVerdict *ret);

typedef struct VfctQuery {
        PciAddress address;
        uint16_t vendor, device, subsystem_vendor, subsystem_device;
} VfctQuery;

/* The image for a card in a VFCT table: the one with its bus address and ids; else one with its ids, rather with its
 * subsystem than without. Offset and length in bytes, within the table. -ENOENT: there is none; -EBADMSG: the table is damaged
 * before an image with the address was found. *ret_error is then a sentence as above (static). */
int vfct_find(const uint8_t *table, size_t size, const VfctQuery *query, size_t *ret_offset, size_t *ret_length,
              const char **ret_error);
