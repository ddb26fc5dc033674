/* SPDX-License-Identifier: GPL-2.0-or-later */

/* slot: a hot-plug slot behind a bridge and its `power` file, as pciehp has it: off removes what is below and takes its
 * power, on gives it back and scans the bus (pciehp_ctrl.c pciehp_sysfs_enable_slot(), pciehp_sysfs_disable_slot()). */

#include <errno.h>

#include "model/model.h"
#include "util/cleanup.h"

typedef struct Slot {
        char *name;
        Device *bridge;
        bool off;
} Slot;

static Slot *slot_of(const Device *bridge) {
        for (unsigned i = 0; i < machine.slots->len; i++) {
                Slot *s = g_ptr_array_index(machine.slots, i);

                if (s->bridge == bridge)
                        return s;
        }
        return NULL;
}

Device *slot_bridge(const char *name) {
        for (unsigned i = 0; i < machine.slots->len; i++) {
                Slot *s = g_ptr_array_index(machine.slots, i);

                if (streq(s->name, name))
                        return s->bridge;
        }
        return NULL;
}

bool slot_is_off(const Device *d) {
        const Slot *s = d->bridge && machine.slots->len > 0 ? slot_of(d->bridge) : NULL;

        return s && s->off;
}

static int power_show(void *object, GString *out) {
        g_string_append_printf(out, "%d\n", !((const Slot *) object)->off);
        return 0;
}

static bool occupied(const Slot *s) {
        for (unsigned i = 0; i < machine.devices->len; i++) {
                const Device *d = g_ptr_array_index(machine.devices, i);

                if (d->bridge == s->bridge && d->plugged)
                        return true;
        }
        return false;
}

static int adapter_show(void *object, GString *out) {
        g_string_append_printf(out, "%d\n", occupied(object));
        return 0;
}

static int slot_disable(Slot *s) {
        if (s->off) {
                kernel_log(s->bridge, 6, "pciehp: Slot(%s): Already disabled", s->name);
                return -EINVAL;
        }
        rescan_remove_lock();
        remove_below(s->bridge);
        s->off = true;
        rescan_remove_unlock();
        sickness_cure_below(s->bridge, "slot");
        return 0;
}

static int slot_enable(Slot *s) {
        if (!s->off) {
                kernel_log(s->bridge, 6, "pciehp: Slot(%s): Already enabled", s->name);
                return -EINVAL;
        }
        s->off = false;
        if (!occupied(s)) {
                s->off = true;
                return -ENODEV; /* "No adapter" */
        }
        rescan_remove_lock();
        pci_scan(s->bridge);
        rescan_remove_unlock();
        return 0;
}

static int power_store(void *object, const char *data, size_t n, _unused_ off_t offset) {
        unsigned long value;
        int r;

        r = text_number(data, n, &value);
        if (r < 0)
                return r;
        switch (value & 0xff) {
        case 0:
                return slot_disable(object);
        case 1:
                return slot_enable(object);
        default:
                return -EINVAL;
        }
}

void slot_add(Device *bridge, const char *name) {
        static const Attribute power = { "power", 0644, .show = power_show, .store = power_store };
        static const Attribute adapter = { "adapter", 0444, .show = adapter_show };
        g_autofree char *address = g_strdup_printf("%04x:%02x:00", bridge->domain, bridge->secondary);
        Node *node = node_add_directory(node_add_path(node_root(), "bus/pci/slots"), name);
        Slot *s = g_new(Slot, 1);

        *s = (Slot) { .name = g_strdup(name), .bridge = bridge };
        g_ptr_array_add(machine.slots, s);
        node->is_owner = true;
        (void) node_add_text(node, "address", "%s\n", address);
        (void) node_add_text(node, "cur_bus_speed", "8.0 GT/s PCIe\n");
        (void) node_add_text(node, "max_bus_speed", "8.0 GT/s PCIe\n");
        (void) node_add_attribute(node, &power, s);
        (void) node_add_attribute(node, &adapter, s);
}
