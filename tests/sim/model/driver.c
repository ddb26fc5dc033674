/* SPDX-License-Identifier: GPL-2.0-or-later */

/* driver: which driver matches, and the way in and out of it, with the order of events and the errnos of
 * drivers/base/bus.c, dd.c and drivers/pci/pci-driver.c. What a driver does with its function is in children.c and vfio.c. */

#include <errno.h>
#include <fnmatch.h>
#include <stdio.h>

#include "model/model.h"
#include "util/cleanup.h"

Driver *driver_new(const char *name) {
        Driver *drv = g_new(Driver, 1);

        *drv = (Driver) {
                .name = g_strdup(name),
                .dynamic_ids = g_ptr_array_new_with_free_func(g_free),
        };
        g_ptr_array_add(machine.drivers, drv);
        return drv;
}

Driver *driver_find(const char *name) {
        for (unsigned i = 0; i < machine.drivers->len; i++) {
                Driver *drv = g_ptr_array_index(machine.drivers, i);

                if (streq(drv->name, name))
                        return drv;
        }
        return NULL;
}

static bool matches_static(const Driver *drv, const char *modalias) {
        for (char **a = drv->aliases; a && *a; a++)
                if (fnmatch(*a, modalias, 0) == 0)
                        return true;
        return false;
}

/* pci_match_device(): with an override only the driver of that name matches, and then whatever its table says. */
bool driver_matches(const Driver *drv, const Device *d) {
        g_autofree char *modalias = NULL;

        if (d->driver_override)
                return streq(d->driver_override, drv->name);

        modalias = device_modalias(d);
        for (unsigned i = 0; i < drv->dynamic_ids->len; i++)
                if (fnmatch(g_ptr_array_index(drv->dynamic_ids, i), modalias, 0) == 0)
                        return true;
        return !(drv->features & FEATURE_OVERRIDE_ONLY) && matches_static(drv, modalias);
}

static void driver_links_add(Driver *drv, Device *d) {
        (void) node_add_link(d->kobject.node, "driver", drv->node);
        (void) node_add_link(drv->node, d->address, d->kobject.node);
}

static void driver_links_remove(Driver *drv, Device *d) {
        node_remove_child(d->kobject.node, "driver");
        node_remove_child(drv->node, d->address);
}

/* The part of a probe that is the driver's own. */
static int driver_probe(Driver *drv, Device *d) {
        Fault *fault;
        int r;

        if (!(drv->features & (FEATURE_MANAGED | FEATURE_VFIO)) && group_owned(d->group))
                return -EBUSY; /* iommu_device_use_default_domain(): a VM owns the group */

        fault = fault_take(d->address, "bind") ?: fault_take(drv->name, "bind");
        r = fault_run(fault, d);
        if (r < 0)
                return r;
        device_resume(d); /* local_pci_probe() */
        sickness_touch(d);
        if (device_vanished(d))
                return -EIO;
        if (!(drv->features & FEATURE_VFIO)) {
                while (device_shows(d, SYMPTOM_HANG))
                        machine_wait();
                if (device_shows(d, SYMPTOM_PROBE)) {
                        kernel_log(d, 3, "%s: probe of %s failed with error -5", drv->name, d->address);
                        return -EIO;
                }
        }
        d->driver = drv; /* children look at it; the device lock is ours */
        r = drv->features & FEATURE_VFIO ? vfio_probe(d) : children_probe(d);
        if (r < 0)
                d->driver = NULL;
        else
                vga_arbiter_bound(d);
        return r;
}

/* really_probe(): the driver link is there before the probe begins. The caller holds the device's lock. */
static int really_probe(Driver *drv, Device *d) {
        int r;

        driver_links_add(drv, d);
        machine_changed();
        r = driver_probe(drv, d);
        if (r < 0) {
                if (device_known(d))
                        driver_links_remove(drv, d);
                machine_changed();
                return r;
        }
        d->power_unknown = false;
        uevent_emit(&d->kobject, "bind", NULL);
        machine_changed();
        return 0;
}

/* __device_release_driver(): the link disappears before remove() runs, so a hung unbind looks driverless. */
void device_release_driver(Device *d, Fault *fault) {
        Driver *drv = d->driver;

        driver_links_remove(drv, d);
        d->removing = true;
        machine_changed();

        (void) fault_run(fault, d);
        device_resume(d); /* pci_device_remove() */
        if (drv->features & FEATURE_VFIO)
                vfio_remove(d);
        else
                children_remove(d);
        vga_arbiter_unbound(d);

        d->driver = NULL;
        d->removing = false;
        if (d->sick_after_vfio && (drv->features & FEATURE_VFIO))
                sickness_begin(d);
        d->power_unknown = true; /* pci_device_remove() sets PCI_UNKNOWN */
        uevent_emit(&d->kobject, "unbind", NULL);
        machine_changed();
}

/* __device_attach(): errors of a probe are swallowed, the next driver is tried. */
static int attach_locked(Device *d) {
        g_autoptr(GPtrArray) drivers = g_ptr_array_copy(machine.drivers, NULL, NULL); /* a probe may sleep */

        if (d->driver)
                return 1;
        if (device_shows(d, SYMPTOM_UNMATCHED))
                return 0;
        for (unsigned i = 0; i < drivers->len; i++) {
                Driver *drv = g_ptr_array_index(drivers, i);

                if (drv->registered && driver_matches(drv, d) && really_probe(drv, d) == 0)
                        return 1;
        }
        return 0;
}

int device_attach(Device *d) {
        int r;

        device_lock(d);
        r = device_known(d) ? attach_locked(d) : -ENODEV;
        device_unlock(d);
        return r;
}

static int bind_store(void *object, const char *data, size_t n, _unused_ off_t offset) {
        Driver *drv = object;
        Device *d;
        int r;

        r = device_resolve(data, n, &d);
        if (r < 0)
                return r;
        if (!driver_matches(drv, d))
                return -ENODEV;
        device_lock(d);
        if (!device_known(d) || !drv->registered)
                r = -ENODEV;
        else if (d->driver)
                r = -EBUSY;
        else
                r = really_probe(drv, d);
        if (r == 0 && device_shows(d, SYMPTOM_UNMATCHED))
                d->sick = false;
        device_unlock(d);
        return r;
}

static int unbind_store(void *object, const char *data, size_t n, _unused_ off_t offset) {
        Driver *drv = object;
        Fault *fault;
        Device *d;
        int r;

        r = device_resolve(data, n, &d);
        if (r < 0)
                return r;
        if (d->driver != drv)
                return -ENODEV;

        /* The kernel's unbind has no error of its own; a test that wants one gets it here, with nothing done. */
        fault = fault_take(d->address, "unbind") ?: fault_take(drv->name, "unbind");
        if (fault_is_immediate(fault))
                return fault_run(fault, d);
        if (fault_no_effect(fault))
                return 0;

        device_lock(d);
        if (d->driver == drv)
                device_release_driver(d, fault);
        device_unlock(d);
        return fault_error(fault);
}

/* "VVVV DDDD [SVVV SDDD [class mask [data]]]": only the first four are modelled, all functions with that id are probed. */
static int new_id_store(void *object, const char *data, size_t n, _unused_ off_t offset) {
        Driver *drv = object;
        g_autofree char *text = text_dup(data, n);
        unsigned vendor, device, subvendor = 0, subdevice = 0;
        int fields;

        fields = sscanf(text, "%x %x %x %x", &vendor, &device, &subvendor, &subdevice);
        if (fields < 2)
                return -EINVAL;
        for (unsigned i = 0; i < machine.devices->len; i++) {
                const Device *d = g_ptr_array_index(machine.devices, i);
                g_autofree char *modalias = device_modalias(d);

                if (d->vendor == vendor && d->device == device && matches_static(drv, modalias))
                        return -EEXIST;
        }
        g_ptr_array_add(drv->dynamic_ids, fields < 4 ? g_strdup_printf("pci:v%08Xd%08Xsv*", vendor, device)
                                                     : g_strdup_printf("pci:v%08Xd%08Xsv%08Xsd%08X*", vendor, device,
                                                                       subvendor, subdevice));
        for (unsigned i = 0; i < machine.devices->len; i++) {
                Device *d = g_ptr_array_index(machine.devices, i);

                if (!device_known(d) || d->driver || !driver_matches(drv, d))
                        continue;
                device_lock(d);
                if (!d->driver && device_known(d))
                        (void) really_probe(drv, d);
                device_unlock(d);
        }
        return 0;
}

static int remove_id_store(void *object, const char *data, size_t n, _unused_ off_t offset) {
        Driver *drv = object;
        g_autofree char *text = text_dup(data, n), *prefix = NULL;
        unsigned vendor, device;

        if (sscanf(text, "%x %x", &vendor, &device) != 2)
                return -EINVAL;
        prefix = g_strdup_printf("pci:v%08Xd%08X", vendor, device);
        for (unsigned i = 0; i < drv->dynamic_ids->len; i++)
                if (g_str_has_prefix(g_ptr_array_index(drv->dynamic_ids, i), prefix)) {
                        g_ptr_array_remove_index(drv->dynamic_ids, i);
                        return 0;
                }
        return -ENODEV;
}

/* drivers_probe_store(): success also if nothing matched or the probe failed. */
static int drivers_probe_store(_unused_ void *object, const char *data, size_t n, _unused_ off_t offset) {
        Device *d;
        int r;

        r = device_resolve(data, n, &d);
        if (r < 0)
                return r;
        r = device_attach(d);
        return r < 0 ? -EINVAL : 0;
}

const Attribute drivers_probe_attribute = { "drivers_probe", 0200, .store = drivers_probe_store };

static const Attribute driver_attributes[] = {
        { "bind", 0200, .store = bind_store, .own_faults = true },
        { "unbind", 0200, .store = unbind_store, .own_faults = true },
        { "new_id", 0200, .store = new_id_store },
        { "remove_id", 0200, .store = remove_id_store },
        {},
};

static void driver_links_module(Driver *drv) {
        g_autofree char *name = NULL;

        if (!drv->module || !drv->module->node)
                return;
        name = g_strdup_printf("pci:%s", drv->name);
        (void) node_add_link(drv->node, "module", drv->module->node);
        (void) node_add_link(node_find(drv->module->node, "drivers"), name, drv->node);
}

/* Attaches to every function that matches and has no driver: __driver_attach(). */
void driver_register(Driver *drv) {
        if (drv->registered)
                return;
        drv->registered = true;
        drv->node = node_add_directory(node_add_path(node_root(), "bus/pci/drivers"), drv->name);
        drv->node->is_owner = true;
        node_add_attributes(drv->node, driver_attributes, drv);
        driver_links_module(drv);

        /* The order of registration is the order in which drivers are tried. */
        (void) g_ptr_array_remove(machine.drivers, drv);
        g_ptr_array_add(machine.drivers, drv);

        for (unsigned i = 0; machine.autoprobe && i < machine.devices->len; i++) {
                Device *d = g_ptr_array_index(machine.devices, i);

                if (!device_known(d) || !driver_matches(drv, d))
                        continue;
                device_lock(d);
                if (!d->driver && device_known(d))
                        (void) really_probe(drv, d);
                device_unlock(d);
        }
}

void driver_unregister(Driver *drv) {
        if (!drv->registered)
                return;
        drv->registered = false;
        for (unsigned i = 0; i < machine.devices->len; i++) {
                Device *d = g_ptr_array_index(machine.devices, i);

                device_lock(d);
                if (d->driver == drv)
                        device_release_driver(d, fault_take(d->address, "unbind"));
                device_unlock(d);
        }
        node_remove(drv->node);
        drv->node = NULL;
}
