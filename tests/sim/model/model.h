/* SPDX-License-Identifier: GPL-2.0-or-later */
#pragma once

/* model: the simulated kernel's objects, as plain data, and what may be done to them. A process is one machine, so there
 * is one global `machine`.
 *
 * Locking: one big lock, `machine.lock`. The main loop holds it except while it waits for events; a system call of a
 * client that may block in a real kernel runs in a thread of its own, written as straight-line code, which sleeps in
 * machine_wait() with the lock dropped. Whoever changes something that others may wait for calls machine_changed().
 * Names of functions follow the kernel's where they stand for one. */

#include <glib.h>
#include <pthread.h>
#include <stdbool.h>
#include <stdint.h>

#include "model/node.h"

typedef struct Child Child;
typedef struct Device Device;
typedef struct DeviceNode DeviceNode;
typedef struct Driver Driver;
typedef struct Fault Fault;
typedef struct Group Group;
typedef struct KObject KObject;
typedef struct Module Module;
typedef struct Sensor Sensor;

/* Versions from which on something is there, as in `machine.kernel`. */
#define KERNEL_NO_OVERRIDE_LOCK 612U /* reads of uevent and driver_override take no lock */
#define KERNEL_VFIO_CDEV 606U        /* /dev/vfio/devices/vfioN */
#define KERNEL_RESET_LOCKS_BRIDGE 612U

typedef enum IommuKind {
        IOMMU_NONE,
        IOMMU_INTEL,
        IOMMU_AMD,
        IOMMU_OTHER,
} IommuKind;

typedef struct Machine {
        pthread_mutex_t lock;
        pthread_cond_t changed;

        unsigned kernel; /* 601 for Linux 6.1: decides which reads take a lock */
        IommuKind iommu;
        bool autoprobe;
        bool rescan_remove_lock;
        bool autoload; /* udevd loads the module that fits a function which is added */
        bool running;  /* the boot is over */

        GPtrArray *devices; /* every Device that the hardware has or had, in order of address */
        GHashTable *by_address;
        GPtrArray *drivers; /* in order of registration: the order in which they are tried */
        GPtrArray *modules;
        GPtrArray *groups;
        GPtrArray *faults;
        GPtrArray *device_nodes;
        GPtrArray *slots; /* slot.c */
} Machine;

extern Machine machine;

/* Something that has a `uevent` file. `properties` are "KEY=VALUE\n" lines. */
struct KObject {
        Node *node;
        const char *subsystem;
        char *properties;
        Device *device; /* for a PCI function: adds DRIVER=, and its lock guards the file on old kernels */
};

/* A device that a driver hung below its PCI function (a DRM card, a sound control …). */
struct Child {
        KObject kobject;
        Node *class_link;
        DeviceNode *device_node;
};

/* A file in /dev. It is a plain file on a tmpfs: an unprivileged mount namespace has no character devices, and inotify,
 * access control lists and /proc/PID/fd work on it as on a real node. */
struct DeviceNode {
        char *path;
        uint64_t inode;
        unsigned holders;      /* open files and mappings found in /proc */
        unsigned found;        /* by the scan that is under way */
        unsigned kernel_users; /* set by a test: somebody whom no scan of /proc finds */
        Device *device;
        Module *module;
        bool linked; /* still in /dev */
};

struct Group {
        unsigned number;
        Node *node;        /* kernel/iommu_groups/N */
        unsigned vfio;     /* members bound to a VFIO driver */
        Child *vfio_child; /* class vfio, /dev/vfio/N */
};

struct Module {
        char *name; /* with underscores */
        bool installed, loaded, builtin;
        unsigned references; /* set by a test or the topology; holders and dependants come on top */
        char **uses;         /* modules that this one depends on */
        Node *node;
};

enum {
        FEATURE_VFIO = 1U << 0,    /* group and vfio-dev nodes, power/control auto while bound */
        FEATURE_DRM = 1U << 1,     /* card, render node, connectors */
        FEATURE_FB = 1U << 2,      /* graphics/fbN and a VT console */
        FEATURE_HWMON = 1U << 3,
        FEATURE_I2C = 1U << 4,
        FEATURE_NVIDIA = 1U << 5,  /* /dev/nvidiaN; an unbind with a user left never returns */
        FEATURE_KFD = 1U << 6,
        FEATURE_SOUND = 1U << 7,   /* card, control, pcm; an unbind waits for whoever holds them */
        FEATURE_MANAGED = 1U << 8, /* driver_managed_dma: may stay in a group that VFIO owns */
        FEATURE_OVERRIDE_ONLY = 1U << 9,
        FEATURE_VGA_CLIENT = 1U << 10, /* registers with the VGA arbiter, which then listens to nobody else */
};

/* How it shows that a card is sick; Device.symptoms says which it shows when it is. */
enum {
        SYMPTOM_DEAD = 1U << 0,      /* its config space answers all ones */
        SYMPTOM_HANG = 1U << 1,      /* a host driver's probe does not return before it is well */
        SYMPTOM_PROBE = 1U << 2,     /* a host driver's probe fails: EIO */
        SYMPTOM_BLACK = 1U << 3,     /* no connector is connected */
        SYMPTOM_FAULTS = 1U << 4,    /* a flood of IO_PAGE_FAULT when it falls ill, and whenever it is touched then */
        SYMPTOM_UNMATCHED = 1U << 5, /* rescan and drivers_probe find no driver; a bind by name does, and is a cure */
        SYMPTOM_FAN = 1U << 6,       /* hwmon shows a fan at full speed */
        SYMPTOM_TOOL = 1U << 7,      /* nvidia-smi does not return before it is well */
};

struct Driver {
        char *name;
        Module *module; /* weak; NULL if built in */
        char **aliases; /* modalias patterns */
        unsigned features;
        bool registered;
        GPtrArray *dynamic_ids; /* of modalias patterns, from new_id */
        Node *node;
};

/* One PCI function or bridge. The first part is the hardware, the second is what the kernel's struct pci_dev keeps: it
 * begins at the scan and is forgotten by `remove`. */
struct Device {
        char *address;
        unsigned domain, bus, slot, function;
        uint16_t vendor, device, subsystem_vendor, subsystem_device;
        uint32_t class;
        uint8_t revision;
        Device *bridge;                /* NULL on a root bus */
        unsigned secondary;            /* bus number below a bridge, 0 for other functions */
        int group_number;              /* -1 without IOMMU */
        char **reset_methods;          /* "flr", or "flr:ENOTTY", "flr:heal"; the bus method is found out, not configured */
        bool no_bus_reset;
        char **connectors;             /* "HDMI-A-1=connected" */
        unsigned connector_delay_ms;   /* so long after a bind until they show it */
        GPtrArray *sensors;            /* of Sensor, see hwmon.c */
        bool boot_vga;
        unsigned rom_size;
        bool d3cold;                   /* bridge: can cut the power of what is below */
        bool initial_power_auto;
        bool initial_d3cold_allowed;
        bool plugged, dead;
        char **cures;                  /* the rungs that make it well again, see sickness.c */
        unsigned symptoms;
        bool sick, sick_after_vm, sick_after_vfio;
        int64_t faults_logged_usec;    /* when it last had page faults; 0: never */
        bool lost_in_d3cold;           /* does not come back from D3cold */
        bool vga_decodes_none, vga_owns_none;
        bool keep_unbound;             /* the topology says that nothing is bound at first */
        struct {
                uint64_t start, size;
                unsigned flags;        /* IORESOURCE_* as the `resource` file prints them */
        } bars[7];                     /* the seventh is the ROM */
        GByteArray *config;

        KObject kobject;               /* .node is NULL while the kernel does not know the function */
        Node *bus_link;
        Driver *driver;
        char *driver_override;
        char **enabled_methods;
        bool lock, config_blocked, removing;
        bool udev_pending;             /* the kernel has announced it, udev has not */
        bool power_auto, d3cold_allowed, rom_enabled, power_unknown;
        unsigned enabled;
        Group *group;
        GPtrArray *children;           /* of Child, in order of creation */
        int vfio_index;
};

/* machine.c */
void machine_init(void);
void machine_wait(void);                /* until somebody calls machine_changed(); the caller loops over its condition */
void machine_sleep_ms(unsigned ms);     /* with the lock dropped */
void machine_changed(void);
int machine_start(void);                /* the boot: scan the buses, bind the host drivers */
int machine_in_thread(void (*f)(void *), void *data); /* runs f under the lock, in a thread of its own */

/* pci-device.c: function and bridge as sysfs shows them */
Device *device_new(const char *address);                 /* NULL if the address is malformed or taken */
Device *device_find(const char *address);                /* any; see device_known() */
bool device_known(const Device *d);                      /* does the kernel know it now? */
int device_resolve(const char *data, size_t n, Device **ret); /* what was written to bind and its like, or -ENODEV */
bool device_is_bridge(const Device *d);
char *device_modalias(const Device *d);                  /* g_free() */
int device_set_override(Device *d, const char *driver); /* "" for none; waits for the lock as the kernel does */
void device_register(Device *d);
void device_unregister(Device *d);
void device_lock(Device *d);
void device_unlock(Device *d);
bool device_vanished(const Device *d);                   /* not plugged, or answers all ones */
bool device_suspended(const Device *d);
void device_unplug(Device *d);                           /* surprise removal: the hardware now, the kernel soon after */
void device_plug(Device *d);
void device_each_below(Device *bridge, void (*f)(Device *d, void *data), void *data);
extern const Attribute pci_device_attributes[];

void device_resume(Device *d);                           /* runtime PM wakes it, or finds that it cannot be woken */

/* config-space.c */
void config_build(Device *d);
int config_show(void *object, GString *out);
int config_store(void *object, const char *data, size_t n, off_t offset);
bool config_waits(const void *object);

/* reset.c */
void reset_init(Device *d);
bool reset_visible(const void *object);
int reset_store(void *object, const char *data, size_t n, off_t offset);
int reset_method_show(void *object, GString *out);
int reset_method_store(void *object, const char *data, size_t n, off_t offset);
int reset_subordinate_store(void *object, const char *data, size_t n, off_t offset);

/* hotplug.c */
void rescan_remove_lock(void);
void rescan_remove_unlock(void);
int remove_store(void *object, const char *data, size_t n, off_t offset);
int device_rescan_store(void *object, const char *data, size_t n, off_t offset);
extern const Attribute pci_bus_rescan_attribute, bus_rescan_attribute;
void remove_below(Device *bridge);   /* likewise */
void pci_scan(const Device *bridge); /* the caller holds the rescan lock; NULL: the root buses, so everything */

/* sickness.c */
unsigned symptom_from_name(const char *name);   /* 0: no such symptom */
bool sickness_add_cures(Device *d, const char *list); /* names of rungs with commas; false: an unknown one */
bool device_shows(const Device *d, unsigned symptom);
void sickness_begin(Device *d);
void sickness_touch(Device *d);                 /* something is done with it that does not help */
bool sickness_cure(Device *d, const char *rungs); /* "bridge,bus": all of these at once; false: none helps */
void sickness_cure_below(Device *bridge, const char *rungs);
void sickness_slept(void);
void device_die(Device *d);                     /* all ones from now on; of a bridge: what is below it */
void vfio_node_opened(const DeviceNode *n);     /* about to be counted: by its first user */
void vfio_node_closed(const DeviceNode *n);     /* by its last one */

/* power-switch.c: /proc/acpi/bbswitch and nvhda */
void power_switch_init(Device *d);              /* the display function that bbswitch finds */
bool power_switch_set(const char *module, bool on); /* as it was before the boot; false: no such switch, or no card */
bool power_switched_off(const Device *d);
int power_switch_load(const Module *m);         /* -ENODEV: the machine has no such card */
void power_switch_unload(const Module *m);
void power_switch_removed(const Device *d);

/* slot.c */
void slot_add(Device *bridge, const char *name);
Device *slot_bridge(const char *name);          /* or NULL */
bool slot_is_off(const Device *d);              /* the one that the function is in, if it is in one */

/* vga-arbiter.c */
void vga_arbiter_init(void);
void vga_arbiter_added(Device *d);
void vga_arbiter_bound(Device *d);
void vga_arbiter_unbound(Device *d);

/* kernel-log.c */
void kernel_log_init(void (*to)(const Device *d, int priority, const char *line));
void kernel_log(const Device *d, int priority, const char *format, ...) G_GNUC_PRINTF(3, 4); /* NULL: of no device */
const char *kernel_log_text(void);              /* all lines of this boot */

/* driver.c: matching, probing, binding */
Driver *driver_new(const char *name);
Driver *driver_find(const char *name);
void driver_register(Driver *drv);
void driver_unregister(Driver *drv);
int device_attach(Device *d);                   /* tries every driver; 1 bound, 0 none matched */
void device_release_driver(Device *d, Fault *fault); /* the caller holds the device's lock */
bool driver_matches(const Driver *drv, const Device *d);
extern const Attribute drivers_probe_attribute;

/* module.c */
Module *module_get(const char *name);           /* makes it if it is new: installed, not loaded */
Module *module_find(const char *name);
void module_init(Module *m);                    /* it is loaded from the boot on: everything but its drivers */
unsigned module_references(const Module *m);
int module_load(const char *name_or_modalias);  /* 0, -ENOENT, or what a fault says; with its dependencies */
int module_unload(const char *name);            /* as modprobe -r: 0, -ENOENT, -EBUSY */
void module_write_aliases(void);                /* /lib/modules/RELEASE/modules.alias, if that directory is ours */

/* iommu.c and vfio.c */
void iommu_init(void);
void iommu_add_device(Device *d);
void iommu_remove_device(Device *d);
bool group_owned(const Group *g);               /* by a process that has it open through VFIO */
int vfio_probe(Device *d);
void vfio_remove(Device *d);

/* children.c: what host drivers hang below their function */
int children_probe(Device *d);
void children_remove(Device *d);
void connector_set(Device *d, const char *name, const char *status); /* and says so by a uevent */
void children_add_drm(Device *d); /* what nvidia_drm adds on top of nvidia */
void children_remove_drm(Device *d);
Child *child_add(Device *d, Node *parent, const char *name, const char *subsystem, const char *properties);
void child_add_device_node(Child *c, Device *d, unsigned major, unsigned minor, const char *path, mode_t mode);
void child_remove(Child *c);

/* rom.c */
typedef struct VfctImage {
        unsigned bus, slot, function;
        uint16_t vendor, device, subsystem_vendor, subsystem_device;
        unsigned revision, size;
} VfctImage;
uint8_t *rom_build(uint16_t vendor, uint16_t device, uint32_t class, unsigned size); /* g_free() */
void vfct_add_image(const VfctImage *image);
bool vfct_load(const char *path);               /* the whole table from a file instead, however broken */

/* hwmon.c */
bool sensors_parse(Device *d, const char *list); /* "temp1_input=29000,pwm1=99" */
int sensor_set(Device *d, const char *name, long value);
long sensor_value(Device *d, const char *name); /* 0: it has none of that name */
void hwmon_fill(Device *d, Node *hwmon);

/* rtc.c */
void rtc_init(void);
bool rtc_take_alarm(void);                      /* was one set? None is any more */

/* udev.c */
bool udev_handles(const Device *d);             /* is there anything to do before its `add` is announced? */
void udev_added(Device *d);                     /* does it, beside whatever else goes on, and announces it */
void udev_settle(void);

/* device-node.c */
/* Returns an inotify descriptor; when that is readable, the main loop calls device_nodes_refresh(), and some milliseconds
 * after a call of `again`, which may come from any thread, device_nodes_look_again(). */
int device_nodes_init(void (*again)(void));
void device_nodes_refresh(void);                /* looks who holds what, if something was opened or closed since */
/* A descriptor that changes hands is no event: looks for holders as after one. */
void device_nodes_expect(void);
void device_nodes_look_again(void);
DeviceNode *device_node_add(const char *path, mode_t mode, Device *d, Module *m);
void device_node_unlink(DeviceNode *n);
DeviceNode *device_node_find(const char *path); /* also one that is unlinked but held */
bool device_node_held(const DeviceNode *n);
bool device_held(const Device *d);              /* any of its nodes, also one that is gone from /dev */
void device_forget_nodes(const Device *d);      /* what is gone from /dev is of no interest any more */

/* fault.c */
Fault *fault_take(const char *target, const char *operation); /* the fault that strikes now, or NULL */
bool fault_armed(const char *target, const char *operation);
bool fault_is_immediate(const Fault *f);        /* an errno without a wait: nothing happens at all */
bool fault_no_effect(const Fault *f);
void fault_worsen(const Fault *f, Device *d);   /* after the operation; both may be NULL */
int fault_error(const Fault *f);
int fault_run(Fault *f, Device *d);             /* waits as it says; its errno or 0 */
int fault_add(char **words, unsigned *ret_id);
int fault_release(unsigned id);                 /* what hangs goes on, what is armed is disarmed; 0 for all */
int fault_release_at(const char *target, const char *operation);
void fault_hang(const char *target, const char *operation); /* never returns before it is released */
bool fault_struck(unsigned id, bool *ret_known);

/* uevent.c */
int uevent_init(void);
void uevent_emit(const KObject *k, const char *action, const char *more); /* of the kernel, and of udev */
void uevent_kernel(const KObject *k, const char *action); /* udev has not heard of it yet, */
void uevent_announce(const KObject *k, const char *action); /* and now it has */
int uevent_show(void *object, GString *out);
int uevent_store(void *object, const char *data, size_t n, off_t offset);
extern const Attribute uevent_attribute;

/* Helpers that several files share. */
bool text_is(const char *data, size_t n, const char *word); /* sysfs_streq() */
char *text_dup(const char *data, size_t n);                 /* without the trailing newline */
int text_number(const char *data, size_t n, unsigned long *ret); /* kstrtoul(), or -EINVAL */
int errno_from_name(const char *name);                      /* "EBUSY" → EBUSY, or 0 */
int index_take(GByteArray *used);                           /* the lowest free number */
void index_release(GByteArray *used, int index);
