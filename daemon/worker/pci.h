/* SPDX-License-Identifier: GPL-2.0-or-later */
#pragma once

/* pci: PCI functions in sysfs: opening one, its attributes, its links, its config space, its name. */

#include "snapshot.h"
#include "worker/config-space.h"
#include "worker/work.h"

/* An open function: everything below it is reached through `fd` (O_PATH), so that a function which vanishes and comes
 * back in the middle of a step is not mistaken for the one that the step began with. */
typedef struct PciDevice {
        char address[PCI_ADDRESS_MAX];
        int fd;
} PciDevice;

#define PCI_DEVICE_INIT { .fd = -EBADF }

void pci_device_done(PciDevice *d);

/* -EINVAL if the word is no address, -ENODEV if there is no such function; both with a text. */
int pci_device_open(Work *w, const char *address, PciDevice *ret);

/* Has it been removed since it was opened? */
bool pci_device_gone(const PciDevice *d);
/* Is there a function of that (valid) address now? */
bool pci_function_exists(const char *address);

/* One line of an attribute; -ENOENT (no text) if this function has no such attribute, -ENODEV if it has gone. */
int pci_device_read(Work *w, const PciDevice *d, const char *attribute, char **ret);
/* Likewise for writing. The errno is the kernel's. */
int pci_device_write(Work *w, const PciDevice *d, const char *attribute, const char *value);
/* The bound driver by its link: 1 and its name, 0 if there is none. Says nothing of a remove() that is still running:
 * the link goes before it (drivers/base/dd.c __device_release_driver()). */
int pci_device_driver(Work *w, const PciDevice *d, char **ret);

/* Reads the config space, which may block; -EHOSTDOWN with a text if it does not answer. */
int pci_device_check(Work *w, const PciDevice *d, ConfigSpace *ret);

/* Every function of the host, or those of the addresses that exist, with the first block of their fields. */
int pci_scan(Snapshot *s, char *const *addresses);
/* Every registered driver and its module. */
int pci_scan_drivers(Snapshot *s);
/* Names from pci.ids for the functions that are detailed. The file is read once, in about 10 ms. */
int pci_scan_names(Snapshot *s);

int verb_check(Work *w);
