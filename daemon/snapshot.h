/* SPDX-License-Identifier: GPL-2.0-or-later */
#pragma once

/* snapshot: what the PCI functions of the host look like now: plain data, read by the worker from attributes that take
 * no lock (so reading it never waits for a driver), sent as word lines, held by the daemon. It says what the kernel
 * showed at one moment, never what somebody intended. */

#include "util/address.h"
#include "util/words.h"

/* A device node that a process can hold: what a census looks for. `shared` nodes belong to a driver, not to one card
 * (/dev/nvidiactl, /dev/kfd): they pin the module, and count only where the driver has to leave as a whole. */
typedef struct Node {
        char *path;
        uint32_t major, minor; /* from the kernel's `dev` attribute, not from the node */
        bool shared;
} Node;

typedef struct Connector {
        char *name;   /* "HDMI-A-1" */
        char *status; /* "connected", "disconnected", "unknown": the cached value, nothing is probed for it */
} Connector;

/* One PCI function. The first block is known of every function of the host; the rest is read where the function
 * belongs to a slot with a display function, or was asked for by address. */
typedef struct Function {
        char address[PCI_ADDRESS_MAX];
        PciAddress pci;
        uint32_t class; /* 24 bits, as in modalias: 0x030000 is VGA */
        uint16_t vendor, device, subsystem_vendor, subsystem_device;
        int group;      /* IOMMU group, or -1 */
        char *driver;   /* bound driver by the `driver` link, or NULL */
        char **bridges; /* addresses from the nearest bridge up to the root port; empty on a root bus */

        bool detailed;
        char *modalias;
        char *name;           /* pci.ids, "Vendor Device"; only in an inventory */
        char *path;           /* "pci-0000:00:01.0-0000:01:00.0": every bridge's address, then its own */
        char **host_modules;  /* modules whose alias matches, in the order of modules.alias */
        char **vfio_modules;  /* likewise by `vfio_pci:` aliases, fewest wildcards first; vfio_pci comes last */
        char **reset_methods; /* reset_method as listed (a listing is no promise, kernel pci.c pci_parent_bus_reset()) */
        char *power_state, *runtime_status, *power_control, *d3cold_allowed; /* NULL where the file is missing */
        char *vga_decodes;    /* what the VGA arbiter says that it decodes: "io+mem", "none" …; NULL if it is no VGA card */
        bool boot_vga;
        bool has_vfs;         /* virtfn0 exists */
        bool resets_below;    /* of a bridge: it has reset_subordinate */
        char *slot;           /* of a display: the hotplug slot that it is in, as in /sys/bus/pci/slots; NULL: none */
        char **switches;      /* of a display: "bbswitch", "nvhda", where /proc/acpi has them (each knows one card) */
        char **sound_cards;   /* "card1" */
        char **consoles;      /* "vtcon1": bound, on a framebuffer of this function that no DRM driver owns */
        char **mounted;       /* mount points of block devices below this function, "[swap]" for swap */
        char **networks;      /* interfaces below this function without which the host has no other one that is up */
        Node *nodes;
        size_t n_nodes;
        Connector *connectors;
        size_t n_connectors;
} Function;

typedef struct Driver {
        char *name;   /* as in /sys/bus/pci/drivers */
        char *module; /* "nvidia"; NULL for built-in drivers */
} Driver;

typedef struct Snapshot {
        char *iommu; /* "none", "intel", "amd", "other" */
        Function *functions; /* sorted by address */
        size_t n_functions;
        Driver *drivers; /* registered PCI drivers */
        size_t n_drivers;
} Snapshot;

Snapshot *snapshot_new(void);
Snapshot *snapshot_free(Snapshot *s);
DEFINE_CLEANUP(Snapshot *, snapshot_free);

/* Adds an empty function and keeps the order; the pointer is valid until the next addition. NULL: out of memory. */
Function *snapshot_add_function(Snapshot *s, const char *address);
int snapshot_add_driver(Snapshot *s, const char *name, const char *module);
int function_add_node(Function *f, const char *path, uint32_t major, uint32_t minor, bool shared);
int function_add_connector(Function *f, const char *name, const char *status);

Function *snapshot_find(const Snapshot *s, const char *address);
const Driver *snapshot_find_driver(const Snapshot *s, const char *name);

/* Word lines, and back. Reading rejects what does not fit with -EBADMSG (hostile input: limits on number and length),
 * unknown keys too: writer and reader are built together. */
void snapshot_write(const Snapshot *s, FILE *f);
int snapshot_read(const char *text, size_t size, Snapshot **ret);

/* Takes what `fresh` says of the addresses into `s`: functions that it has replace the old ones (the name is kept),
 * those that it lacks are dropped; the drivers and the IOMMU are taken over. NULL addresses: everything is replaced. Of the
 * functions in `keep` (or NULL) it says nothing: `s` knows better, also that they are gone. */
int snapshot_merge(Snapshot *s, Snapshot *fresh, char *const *addresses, char *const *keep);

bool function_is_display(const Function *f);
bool function_is_bridge(const Function *f);
/* "10de:2204:1458:403b": vendor, device, and the subsystem's. Newly allocated. */
char *function_identity(const Function *f);
bool function_identity_valid(const char *s);
/* Whether that name is a driver of the VFIO family ("vfio-pci", "nvgrace-gpu-vfio-pci", …). */
bool driver_is_vfio(const char *driver);
/* "ucsi", "usb", "audio", "display", else "other". */
const char *function_role(const Function *f);
