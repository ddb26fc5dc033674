/* SPDX-License-Identifier: GPL-2.0-or-later */

/* vfio: what vfio-pci (or a variant driver) does with its function: nodes, runtime PM, and the wait for whoever holds the
 * group when it has to let go (vfio_unregister_group_dev() in drivers/vfio/vfio_main.c). */

#include <errno.h>

#include "model/model.h"
#include "util/cleanup.h"

static GByteArray *vfio_indices;

static void group_node_add(Device *d) {
        Group *g = d->group;
        g_autofree char *name = g_strdup_printf("%u", g->number), *path = g_strdup_printf("/dev/vfio/%u", g->number);

        if (g->vfio++ > 0)
                return;
        g->vfio_child = child_add(NULL, node_add_path(node_root(), "devices/virtual/vfio"), name, "vfio", NULL);
        child_add_device_node(g->vfio_child, NULL, 511, g->number, path, 0600);
        uevent_emit(&g->vfio_child->kobject, "add", NULL);
}

static void group_node_remove(Group *g) {
        if (--g->vfio > 0)
                return;
        child_remove(g->vfio_child);
        g->vfio_child = NULL;
}

/* vfio_pci_core_register_device(): power/control becomes auto, whatever it was. */
int vfio_probe(Device *d) {
        g_autofree char *name = NULL, *path = NULL;
        Child *c;

        if (device_is_bridge(d) || !d->group)
                return -EINVAL;
        if (!vfio_indices)
                vfio_indices = g_byte_array_new();
        group_node_add(d);
        d->vfio_index = index_take(vfio_indices);
        name = g_strdup_printf("vfio%d", d->vfio_index);
        c = child_add(d, node_add_directory(d->kobject.node, "vfio-dev"), name, "vfio-dev", NULL);
        if (machine.kernel >= KERNEL_VFIO_CDEV) {
                path = g_strdup_printf("/dev/vfio/devices/%s", name);
                child_add_device_node(c, d, 510, (unsigned) d->vfio_index, path, 0600);
        }
        g_ptr_array_add(d->children, c);
        uevent_emit(&c->kobject, "add", NULL);
        d->power_auto = true;
        return 0;
}

/* The device is unregistered first, then the driver waits for its users, for ever if need be. */
void vfio_remove(Device *d) {
        for (unsigned i = d->children->len; i > 0; i--)
                child_remove(g_ptr_array_index(d->children, i - 1));
        (void) g_ptr_array_set_size(d->children, 0);
        node_remove_child(d->kobject.node, "vfio-dev");
        index_release(vfio_indices, d->vfio_index);
        d->vfio_index = -1;
        machine_changed();

        if (group_owned(d->group) || device_held(d))
                kernel_log(d, 5, "Relaying device request to user (#0)"); /* vfio_pci_core_request() */
        while (group_owned(d->group) || device_held(d))
                machine_wait();
        device_forget_nodes(d);
        group_node_remove(d->group);
        d->power_auto = false; /* vfio_pci_core_unregister_device() forbids runtime PM */
}
