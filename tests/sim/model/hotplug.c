/* SPDX-License-Identifier: GPL-2.0-or-later */

/* hotplug: `remove`, the three kinds of `rescan`, and hardware that comes and goes by itself. All of it runs under one
 * global mutex, as in the kernel (pci_lock_rescan_remove()): a remove that hangs blocks every other one. */

#include <errno.h>

#include "model/model.h"
#include "util/cleanup.h"

void rescan_remove_lock(void) {
        while (machine.rescan_remove_lock)
                machine_wait();
        machine.rescan_remove_lock = true;
}

void rescan_remove_unlock(void) {
        machine.rescan_remove_lock = false;
        machine_changed();
}

static void remove_device(Device *d);

void remove_below(Device *bridge) {
        for (unsigned i = machine.devices->len; i > 0; i--) {
                Device *d = g_ptr_array_index(machine.devices, i - 1);

                if (d->bridge == bridge && device_known(d))
                        remove_device(d);
        }
}

/* pci_stop_and_remove_bus_device(): the functions below first, the last one first. */
static void remove_device(Device *d) {
        remove_below(d);
        device_lock(d);
        if (d->driver)
                device_release_driver(d, fault_take(d->address, "unbind"));
        device_unlock(d);
        device_unregister(d);
}

int remove_store(void *object, const char *data, size_t n, _unused_ off_t offset) {
        Device *d = object;
        unsigned long value;
        int r;

        r = text_number(data, n, &value);
        if (r < 0 || value == 0)
                return r;

        /* device_remove_file_self(): the file itself goes first; a second writer waits for this one (kernfs_remove_self). */
        node_remove_child(d->kobject.node, "remove");
        rescan_remove_lock();
        if (device_known(d)) {
                remove_device(d);
                (void) sickness_cure(d, "remove-rescan");
                sickness_cure_below(d, "remove-rescan,bridge");
        }
        rescan_remove_unlock();
        return 0;
}

/* pci_scan_child_bus(): finds what answers and is not known yet; then, when everything is there, pci_bus_add_devices()
 * attaches the drivers, inside the rescan and without a look at drivers_autoprobe (up to 6.12). */
static void scan_bus(const Device *bridge, GPtrArray *added) {
        for (unsigned i = 0; i < machine.devices->len; i++) {
                Device *d = g_ptr_array_index(machine.devices, i);

                if (d->bridge != bridge)
                        continue;
                if (!device_known(d)) {
                        if (device_vanished(d)) /* "unknown header type 7f, ignoring device" */
                                continue;
                        device_register(d);
                        g_ptr_array_add(added, d);
                }
                if (d->secondary)
                        scan_bus(d, added);
        }
}

void pci_scan(const Device *bridge) {
        g_autoptr(GPtrArray) added = g_ptr_array_new();

        scan_bus(bridge, added);
        for (unsigned i = 0; i < added->len; i++) {
                Device *d = g_ptr_array_index(added, i);

                if (!d->keep_unbound)
                        (void) device_attach(d);
                d->keep_unbound = false;
                if (d->udev_pending)
                        udev_added(d);
                d->udev_pending = false;
        }
}

static int rescan(const char *data, size_t n, const Device *bridge) {
        unsigned long value;
        int r;

        r = text_number(data, n, &value);
        if (r < 0 || value == 0)
                return r;
        rescan_remove_lock();
        pci_scan(bridge);
        rescan_remove_unlock();
        return 0;
}

/* dev_rescan_store(): the bus that the function is on, not what is below it. */
int device_rescan_store(void *object, const char *data, size_t n, _unused_ off_t offset) {
        const Device *d = object;

        return rescan(data, n, d->bridge);
}

static int pci_bus_rescan_store(void *object, const char *data, size_t n, _unused_ off_t offset) {
        return rescan(data, n, object);
}

static int bus_rescan_store(_unused_ void *object, const char *data, size_t n, _unused_ off_t offset) {
        return rescan(data, n, NULL);
}

const Attribute pci_bus_rescan_attribute = { "rescan", 0200, .store = pci_bus_rescan_store };
const Attribute bus_rescan_attribute = { "rescan", 0200, .store = bus_rescan_store };

/* pciehp: the kernel follows the hardware in its own time. */
static void kernel_removes(void *data) {
        Device *d = data;

        rescan_remove_lock();
        if (device_known(d) && !d->plugged) {
                if (d->bridge)
                        kernel_log(d->bridge, 6, "pciehp: Slot(%u): Card not present", d->bridge->slot);
                remove_device(d);
        }
        rescan_remove_unlock();
}

static void kernel_scans(void *data) {
        Device *d = data;

        rescan_remove_lock();
        if (!device_known(d) && (!d->bridge || device_known(d->bridge)))
                pci_scan(d->bridge);
        rescan_remove_unlock();
}

void device_unplug(Device *d) {
        if (!d->plugged)
                return;
        d->plugged = false;
        (void) machine_in_thread(kernel_removes, d);
}

void device_plug(Device *d) {
        if (d->plugged)
                return;
        d->plugged = true;
        d->dead = false;
        (void) machine_in_thread(kernel_scans, d);
}
