/* SPDX-License-Identifier: GPL-2.0-or-later */

/* pci-device: one PCI function or bridge as sysfs shows it, from pci_device_add() to pci_destroy_dev()
 * (drivers/pci/probe.c, remove.c, pci-sysfs.c). Binding, resets and hot-plug have files of their own. */

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "model/model.h"
#include "util/cleanup.h"

Device *device_new(const char *address) {
        unsigned domain, bus, slot, function;
        g_autofree char *canonical = NULL;
        Device *d;

        if (sscanf(address, "%4x:%2x:%2x.%1u", &domain, &bus, &slot, &function) != 4)
                return NULL;
        canonical = g_strdup_printf("%04x:%02x:%02x.%u", domain, bus, slot, function);
        if (!streq(canonical, address) || slot > 31 || function > 7 || device_find(address))
                return NULL;

        d = g_new(Device, 1);
        *d = (Device) {
                .address = g_steal_pointer(&canonical),
                .domain = domain,
                .bus = bus,
                .slot = slot,
                .function = function,
                .group_number = -1,
                .initial_d3cold_allowed = true,
                .plugged = true,
                .children = g_ptr_array_new(),
                .vfio_index = -1,
        };
        d->kobject.device = d;
        d->kobject.subsystem = "pci";
        g_ptr_array_add(machine.devices, d);
        g_hash_table_insert(machine.by_address, d->address, d);
        return d;
}

Device *device_find(const char *address) {
        return g_hash_table_lookup(machine.by_address, address);
}

bool device_known(const Device *d) {
        return d->kobject.node;
}

int device_resolve(const char *data, size_t n, Device **ret) {
        g_autofree char *address = text_dup(data, n);
        Device *d = device_find(address);

        if (!d || !device_known(d))
                return -ENODEV;
        *ret = d;
        return 0;
}

bool device_is_bridge(const Device *d) {
        return d->class >> 8 == 0x0604;
}

char *device_modalias(const Device *d) {
        return g_strdup_printf("pci:v%08Xd%08Xsv%08Xsd%08Xbc%02Xsc%02Xi%02X", d->vendor, d->device, d->subsystem_vendor,
                               d->subsystem_device, d->class >> 16, d->class >> 8 & 0xff, d->class & 0xff);
}

bool device_vanished(const Device *d) {
        for (; d; d = d->bridge)
                if (!d->plugged || d->dead || device_shows(d, SYMPTOM_DEAD) || power_switched_off(d) || slot_is_off(d))
                        return true;
        return false;
}

void device_lock(Device *d) {
        while (d->lock)
                machine_wait();
        d->lock = true;
}

void device_unlock(Device *d) {
        d->lock = false;
        machine_changed();
}

void device_each_below(Device *bridge, void (*f)(Device *d, void *data), void *data) {
        for (unsigned i = 0; i < machine.devices->len; i++) {
                Device *d = g_ptr_array_index(machine.devices, i);

                for (const Device *up = d->bridge; up; up = up->bridge)
                        if (up == bridge) {
                                f(d, data);
                                break;
                        }
        }
}

/* Runtime PM in one sentence: a bound function that nobody uses and that may, sleeps. */
bool device_suspended(const Device *d) {
        if (!d->power_auto || !d->driver || d->removing)
                return false;
        if (device_is_bridge(d))
                return false;

        if (device_held(d))
                return false;
        return !group_owned(d->group) || !(d->driver->features & FEATURE_VFIO);
}

static bool bus_asleep(const Device *bridge) {
        for (unsigned i = 0; i < machine.devices->len; i++) {
                const Device *d = g_ptr_array_index(machine.devices, i);

                if (d->bridge == bridge && device_known(d) && (!device_suspended(d) || !d->d3cold_allowed))
                        return false;
        }
        return true;
}

static const char *power_state(const Device *d) {
        if (d->power_unknown)
                return "unknown";
        if (device_vanished(d))
                return "D3cold"; /* what pci_power_up() stores when the config space does not answer */
        if (!device_suspended(d))
                return "D0";
        return d->bridge && d->bridge->d3cold && d->d3cold_allowed && bus_asleep(d->bridge) ? "D3cold" : "D3hot";
}

/* pm_runtime_get_sync(): pci_power_up() on a function that does not answer. */
void device_resume(Device *d) {
        const char *state = power_state(d);

        if (d->lost_in_d3cold && streq(state, "D3cold") && !device_vanished(d))
                device_die(d);
        if (device_vanished(d) && d->plugged)
                kernel_log(d, 3, "Unable to change power state from %s to D0, device inaccessible", state);
}

/* Attributes */

#define SHOW(name, format, ...)                                 \
        static int name##_show(void *object, GString *out) {    \
                const Device *d = object;                       \
                                                                \
                (void) d;                                       \
                g_string_append_printf(out, format, __VA_ARGS__); \
                return 0;                                       \
        }                                                       \
        struct __useless_struct_to_allow_semicolon__

SHOW(vendor, "0x%04x\n", d->vendor);
SHOW(device, "0x%04x\n", d->device);
SHOW(subsystem_vendor, "0x%04x\n", d->subsystem_vendor);
SHOW(subsystem_device, "0x%04x\n", d->subsystem_device);
SHOW(revision, "0x%02x\n", d->revision);
SHOW(class, "0x%06x\n", d->class);
SHOW(boot_vga, "%d\n", d->boot_vga);
SHOW(power_state, "%s\n", power_state(d));
SHOW(d3cold_allowed, "%d\n", d->d3cold_allowed);
SHOW(enable, "%u\n", d->driver ? 1 : d->enabled);
SHOW(control, "%s\n", d->power_auto ? "auto" : "on");
SHOW(runtime_status, "%s\n", device_suspended(d) ? "suspended" : "active");
SHOW(runtime_usage, "%d\n", !device_suspended(d));
SHOW(irq, "%u\n", d->slot + 16);
SHOW(numa_node, "%d\n", -1);
SHOW(secondary_bus_number, "%u\n", d->secondary);
SHOW(zero, "%d\n", 0);
SHOW(one, "%d\n", 1);
SHOW(dma_mask_bits, "%d\n", 40);
SHOW(local_cpulist, "%s\n", "0-1");
SHOW(local_cpus, "%s\n", "3");
SHOW(link_speed, "%s\n", "8.0 GT/s PCIe");
SHOW(link_width, "%d\n", 16);

static int subordinate_bus_number_show(void *object, GString *out) {
        const Device *d = object;
        unsigned last = d->secondary;

        for (unsigned i = 0; i < machine.devices->len; i++) {
                const Device *below = g_ptr_array_index(machine.devices, i);

                for (const Device *up = below->bridge; up; up = up->bridge)
                        if (up == d && below->secondary > last)
                                last = below->secondary;
        }
        g_string_append_printf(out, "%u\n", last);
        return 0;
}

static int modalias_show(void *object, GString *out) {
        g_autofree char *modalias = device_modalias(object);

        g_string_append_printf(out, "%s\n", modalias);
        return 0;
}

/* resource_show(): six BARs, the ROM, and six SR-IOV ones; a bridge adds its four windows. */
static int resource_show(void *object, GString *out) {
        const Device *d = object;
        unsigned lines = d->secondary ? 17 : 13;

        for (unsigned i = 0; i < lines; i++) {
                if (i >= ELEMENTSOF(d->bars) || d->bars[i].size == 0)
                        g_string_append(out, "0x0000000000000000 0x0000000000000000 0x0000000000000000\n");
                else
                        g_string_append_printf(out, "0x%016" G_GINT64_MODIFIER "x 0x%016" G_GINT64_MODIFIER "x 0x%016x\n",
                                               d->bars[i].start, d->bars[i].start + d->bars[i].size - 1,
                                               d->bars[i].flags);
        }
        return 0;
}

/* "(null)" when unset: the kernel prints a NULL pointer with %s. Up to 6.1 it takes the device's lock for that. */
static int driver_override_show(void *object, GString *out) {
        Device *d = object;

        if (machine.kernel < KERNEL_NO_OVERRIDE_LOCK) {
                device_lock(d);
                device_unlock(d);
        }
        g_string_append_printf(out, "%s\n", d->driver_override ?: "(null)");
        return 0;
}

static bool lock_waits(const void *object) {
        return machine.kernel < KERNEL_NO_OVERRIDE_LOCK && ((const Device *) object)->lock;
}

int device_set_override(Device *d, const char *driver) {
        /* driver_set_override(): the buffer of a page needs room for the newline of the show function. */
        if (strlen(driver) >= 4095)
                return -EINVAL;
        if (machine.kernel < KERNEL_NO_OVERRIDE_LOCK)
                device_lock(d);
        g_free(d->driver_override);
        d->driver_override = *driver ? g_strdup(driver) : NULL;
        if (machine.kernel < KERNEL_NO_OVERRIDE_LOCK)
                device_unlock(d);
        return 0;
}

static int driver_override_store(void *object, const char *data, size_t n, _unused_ off_t offset) {
        g_autofree char *text = text_dup(data, n);

        return device_set_override(object, text);
}

static int control_store(void *object, const char *data, size_t n, _unused_ off_t offset) {
        Device *d = object;
        int r = 0;

        device_lock(d);
        if (text_is(data, n, "auto"))
                d->power_auto = true;
        else if (text_is(data, n, "on")) {
                if (d->power_auto || device_vanished(d))
                        device_resume(d);
                d->power_auto = false;
                if (!device_vanished(d))
                        d->power_unknown = false;
        } else
                r = -EINVAL;
        device_unlock(d);
        return r;
}

static int d3cold_allowed_store(void *object, const char *data, size_t n, _unused_ off_t offset) {
        Device *d = object;
        unsigned long value;
        int r;

        r = text_number(data, n, &value);
        if (r < 0)
                return r;
        d->d3cold_allowed = value != 0;
        return 0;
}

static int enable_store(void *object, const char *data, size_t n, _unused_ off_t offset) {
        Device *d = object;
        unsigned long value;
        int r;

        r = text_number(data, n, &value);
        if (r < 0)
                return r;
        device_lock(d);
        if (d->driver)
                r = -EBUSY;
        else if (value)
                d->enabled++;
        else if (d->enabled)
                d->enabled--;
        else
                r = -EIO;
        device_unlock(d);
        return r;
}

static int ignore_store(_unused_ void *object, _unused_ const char *data, _unused_ size_t n, _unused_ off_t offset) {
        return 0;
}

static int rom_show(void *object, GString *out) {
        const Device *d = object;
        g_autofree uint8_t *rom = NULL;

        if (!d->rom_enabled)
                return -EINVAL;
        if (device_vanished(d))
                return -EIO;
        rom = rom_build(d->vendor, d->device, d->class, d->rom_size);
        (void) g_string_append_len(out, (const char *) rom, d->rom_size);
        return 0;
}

/* pci_write_rom(): exactly "0\n" disables, anything else enables. */
static int rom_store(void *object, const char *data, size_t n, off_t offset) {
        Device *d = object;

        d->rom_enabled = !(offset == 0 && n == 2 && data[0] == '0');
        return 0;
}

static bool is_vga(const void *object) {
        return ((const Device *) object)->class >> 8 == 0x0300;
}

static bool is_bridge(const void *object) {
        return device_is_bridge(object);
}

static bool is_behind_bridge(const void *object) {
        return ((const Device *) object)->bridge;
}

static bool has_rom(const void *object) {
        return ((const Device *) object)->rom_size > 0;
}

const Attribute pci_device_attributes[] = {
        { "vendor", 0444, .show = vendor_show },
        { "device", 0444, .show = device_show },
        { "subsystem_vendor", 0444, .show = subsystem_vendor_show },
        { "subsystem_device", 0444, .show = subsystem_device_show },
        { "revision", 0444, .show = revision_show },
        { "class", 0444, .show = class_show },
        { "modalias", 0444, .show = modalias_show },
        { "resource", 0444, .show = resource_show },
        { "irq", 0444, .show = irq_show },
        { "config", 0644, .show = config_show, .store = config_store, .size = 4096, .waits = config_waits },
        { "boot_vga", 0444, .show = boot_vga_show, .visible = is_vga },
        { "power_state", 0444, .show = power_state_show },
        { "d3cold_allowed", 0644, .show = d3cold_allowed_show, .store = d3cold_allowed_store },
        { "enable", 0644, .show = enable_show, .store = enable_store },
        { "driver_override", 0644, .show = driver_override_show, .store = driver_override_store, .waits = lock_waits },
        { "remove", 0220, .store = remove_store },
        { "rescan", 0200, .store = device_rescan_store },
        { "reset", 0200, .store = reset_store, .visible = reset_visible },
        { "reset_method", 0644, .show = reset_method_show, .store = reset_method_store, .visible = reset_visible },
        { "reset_subordinate", 0200, .store = reset_subordinate_store, .visible = is_bridge },
        { "secondary_bus_number", 0444, .show = secondary_bus_number_show, .visible = is_bridge },
        { "subordinate_bus_number", 0444, .show = subordinate_bus_number_show, .visible = is_bridge },
        { "rom", 0600, .show = rom_show, .store = rom_store, .size = 65536, .visible = has_rom },
        { "numa_node", 0644, .show = numa_node_show, .store = ignore_store },
        { "msi_bus", 0644, .show = one_show, .store = ignore_store },
        { "ari_enabled", 0444, .show = zero_show },
        { "broken_parity_status", 0644, .show = zero_show, .store = ignore_store },
        { "dma_mask_bits", 0444, .show = dma_mask_bits_show },
        { "consistent_dma_mask_bits", 0444, .show = dma_mask_bits_show },
        { "local_cpulist", 0444, .show = local_cpulist_show },
        { "local_cpus", 0444, .show = local_cpus_show },
        { "current_link_speed", 0444, .show = link_speed_show, .visible = is_behind_bridge },
        { "current_link_width", 0444, .show = link_width_show, .visible = is_behind_bridge },
        { "max_link_speed", 0444, .show = link_speed_show, .visible = is_behind_bridge },
        { "max_link_width", 0444, .show = link_width_show, .visible = is_behind_bridge },
        {},
};

static const Attribute power_attributes[] = {
        { "control", 0644, .show = control_show, .store = control_store },
        { "runtime_status", 0444, .show = runtime_status_show },
        { "runtime_usage", 0444, .show = runtime_usage_show },
        { "runtime_active_time", 0444, .show = zero_show },
        { "runtime_suspended_time", 0444, .show = zero_show },
        {},
};

/* Registration */

static Node *root_bus_node(const Device *d) {
        g_autofree char *path = g_strdup_printf("devices/pci%04x:%02x", d->domain, d->bus);
        g_autofree char *name = g_strdup_printf("%04x:%02x", d->domain, d->bus);
        Node *root = node_add_path(node_root(), path), *bus;

        if (node_find(root, "pci_bus"))
                return root;
        root->is_owner = true;

        bus = node_add_path(node_add_path(root, "pci_bus"), name);
        (void) node_add_link(bus, "subsystem", node_add_path(node_root(), "class/pci_bus"));
        (void) node_add_link(node_add_path(node_root(), "class/pci_bus"), name, bus);
        (void) node_add_link(bus, "device", root);
        (void) node_add_attribute(bus, &pci_bus_rescan_attribute, NULL);
        return root;
}

static void secondary_bus_register(Device *d) {
        g_autofree char *name = g_strdup_printf("%04x:%02x", d->domain, d->secondary);
        Node *bus = node_add_directory(node_add_directory(d->kobject.node, "pci_bus"), name);

        (void) node_add_link(bus, "subsystem", node_add_path(node_root(), "class/pci_bus"));
        (void) node_add_link(bus, "device", d->kobject.node);
        (void) node_add_link(node_add_path(node_root(), "class/pci_bus"), name, bus);
        (void) node_add_attribute(bus, &pci_bus_rescan_attribute, d);
}

/* The audio function's device link to its display: quirks.c pci_create_device_link(). */
static void link_audio(Device *d) {
        g_autofree char *address = g_strdup_printf("%04x:%02x:%02x.0", d->domain, d->bus, d->slot);
        g_autofree char *name = NULL, *consumer = NULL, *supplier = NULL;
        Device *display = device_find(address);
        Node *devlink;

        if (d->class >> 8 != 0x0403 || !display || !device_known(display) || display->class >> 16 != 0x03)
                return;

        name = g_strdup_printf("pci:%s--pci:%s", display->address, d->address);
        consumer = g_strdup_printf("consumer:pci:%s", d->address);
        supplier = g_strdup_printf("supplier:pci:%s", display->address);
        devlink = node_add_directory(node_add_path(node_root(), "devices/virtual/devlink"), name);
        (void) node_add_text(devlink, "status", "active\n");
        (void) node_add_link(devlink, "consumer", d->kobject.node);
        (void) node_add_link(devlink, "supplier", display->kobject.node);
        (void) node_add_link(display->kobject.node, consumer, devlink);
        (void) node_add_link(d->kobject.node, supplier, devlink);
}

static void unlink_one(Device *display, Device *audio) {
        g_autofree char *name = g_strdup_printf("pci:%s--pci:%s", display->address, audio->address);
        g_autofree char *consumer = g_strdup_printf("consumer:pci:%s", audio->address);
        g_autofree char *supplier = g_strdup_printf("supplier:pci:%s", display->address);

        node_remove_child(node_add_path(node_root(), "devices/virtual/devlink"), name);
        if (device_known(display))
                node_remove_child(display->kobject.node, consumer);
        if (device_known(audio))
                node_remove_child(audio->kobject.node, supplier);
}

static void unlink_audio(Device *d) {
        for (unsigned i = 0; i < 8; i++) {
                g_autofree char *address = g_strdup_printf("%04x:%02x:%02x.%u", d->domain, d->bus, d->slot, i);
                Device *other = device_find(address);

                if (!other || other == d)
                        continue;
                if (d->function == 0)
                        unlink_one(d, other);
                else if (i == 0)
                        unlink_one(other, d);
        }
}

void device_register(Device *d) {
        Node *parent = d->bridge ? d->bridge->kobject.node : root_bus_node(d), *power;
        g_autofree char *modalias = device_modalias(d);

        if (!d->config)
                config_build(d);
        g_free(d->kobject.properties);
        d->kobject.properties =
                g_strdup_printf("PCI_CLASS=%04X\nPCI_ID=%04X:%04X\nPCI_SUBSYS_ID=%04X:%04X\nPCI_SLOT_NAME=%s\nMODALIAS=%s\n",
                                d->class, d->vendor, d->device, d->subsystem_vendor, d->subsystem_device, d->address,
                                modalias);

        reset_init(d);
        vga_arbiter_added(d);
        d->power_auto = d->initial_power_auto;
        d->d3cold_allowed = d->initial_d3cold_allowed;
        d->power_unknown = false;
        d->enabled = 0;
        d->removing = false;

        d->kobject.node = node_add_directory(parent, d->address);
        d->kobject.node->is_owner = true;
        (void) node_add_link(d->kobject.node, "subsystem", node_add_path(node_root(), "bus/pci"));
        node_add_attributes(d->kobject.node, pci_device_attributes, d);
        (void) node_add_attribute(d->kobject.node, &uevent_attribute, &d->kobject);
        power = node_add_directory(d->kobject.node, "power");
        node_add_attributes(power, power_attributes, d);
        if (d->secondary)
                secondary_bus_register(d);
        d->bus_link = node_add_link(node_add_path(node_root(), "bus/pci/devices"), d->address, d->kobject.node);
        iommu_add_device(d);
        link_audio(d);
        d->udev_pending = udev_handles(d);
        if (d->udev_pending)
                uevent_kernel(&d->kobject, "add");
        else
                uevent_emit(&d->kobject, "add", NULL);
        machine_changed();
}

void device_unregister(Device *d) {
        g_autofree char *bus = NULL;
        KObject gone;

        iommu_remove_device(d);
        power_switch_removed(d);
        unlink_audio(d);
        if (d->secondary) {
                bus = g_strdup_printf("%04x:%02x", d->domain, d->secondary);
                node_remove_child(node_add_path(node_root(), "class/pci_bus"), bus);
        }
        node_remove(d->bus_link);
        node_remove(d->kobject.node);
        gone = d->kobject;
        d->kobject.node = NULL;
        d->bus_link = NULL;

        g_free(d->driver_override);
        d->driver_override = NULL;
        g_strfreev(d->enabled_methods);
        d->enabled_methods = NULL;
        uevent_emit(&gone, "remove", NULL);
        machine_changed();
}
