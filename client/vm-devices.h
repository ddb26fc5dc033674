/* SPDX-License-Identifier: GPL-2.0-or-later */
#pragma once

/* vm-devices: the PCI functions of the host that a virtual machine is configured to get, as its manager wrote it down. Pure.
 * Whose they are is not known here: a network card looks like a GPU. */

#include "util/cleanup.h"

/* More than a virtual machine can have. */
#define VM_DEVICES_MAX 256U

typedef struct VmDevices {
        char **addresses;           /* "0000:01:00.0"; "0000:01:00" for the whole slot; each once, in their order */
        char **managed;             /* some of them, which the manager moves itself (libvirt's managed='yes') */
        char **unresolved;          /* what names a device in a way that cannot be followed from here */
} VmDevices;

void vm_devices_done(VmDevices *d);

/* libvirt's domain XML. -EBADMSG: it is none, or a device in it has no address; -E2BIG: too many devices. */
int vm_devices_read_libvirt(const char *xml, size_t size, VmDevices *ret);

/* A file of Proxmox VE's qemu-server: what it says before its snapshots. -E2BIG as above. */
int vm_devices_read_proxmox(const char *text, size_t size, VmDevices *ret);
