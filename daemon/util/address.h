/* SPDX-License-Identifier: GPL-2.0-or-later */
#pragma once

/* address: where a PCI function is, as the kernel writes it: domain:bus:slot.function, all but the last in hex. The
 * domain has four digits, or more behind some bridges (Intel VMD), see drivers/pci/probe.c pci_setup_device(). */

#include "util/cleanup.h"

typedef struct PciAddress {
        uint32_t domain;
        uint8_t bus, slot, function;
} PciAddress;

/* Long enough for "ffffffff:ff:1f.7" and its NUL. */
#define PCI_ADDRESS_MAX 20

/* Both take exactly the kernel's long form (lower or upper case hex), nothing before or behind it; -EINVAL otherwise. */
int pci_address_parse(const char *s, PciAddress *ret);
bool pci_address_valid(const char *s);

/* Accepts what people type too: 0000:01:00.0, 01:00.0, 0000:01:00 and 01:00 (*ret_has_function is false for the last
 * two). -EINVAL otherwise. */
int pci_address_parse_short(const char *s, PciAddress *ret, bool *ret_has_function);

/* Writes the kernel's form into buf and returns it. */
const char *pci_address_format(const PciAddress *a, char buf[static PCI_ADDRESS_MAX]);

int pci_address_compare(const PciAddress *a, const PciAddress *b);
bool pci_address_same_slot(const PciAddress *a, const PciAddress *b);

/* The addresses of which a directory has a file "PREFIXADDRESS": a strv, newly allocated, NULL if there is none, also where there is no
 * such directory. */
int pci_address_list_files(const char *directory, const char *prefix, char ***ret);
