/* SPDX-License-Identifier: GPL-2.0-or-later */

/* iommu: groups, and the directory that says which kind of IOMMU there is. */

#include "model/model.h"
#include "util/cleanup.h"

static Node *groups_directory(void) {
        return node_add_path(node_root(), "kernel/iommu_groups");
}

void iommu_init(void) {
        static const char *const names[] = { [IOMMU_INTEL] = "dmar0", [IOMMU_AMD] = "ivhd0", [IOMMU_OTHER] = "smmu3" };
        static const char *const details[] = { [IOMMU_INTEL] = "intel-iommu", [IOMMU_AMD] = "amd-iommu" };
        Node *class = node_add_path(node_root(), "class/iommu"), *node, *detail;

        (void) groups_directory();
        if (machine.iommu == IOMMU_NONE)
                return;
        node = node_add_path(node_add_path(node_root(), "devices/virtual/iommu"), names[machine.iommu]);
        (void) node_add_link(class, names[machine.iommu], node);
        (void) node_add_link(node, "subsystem", class);
        (void) node_add_path(node, "devices");
        if (machine.iommu == IOMMU_OTHER)
                return;
        detail = node_add_path(node, details[machine.iommu]);
        (void) node_add_text(detail, "cap", "d2008c40660462\n");
}

static Group *group_get(unsigned number) {
        g_autofree char *name = g_strdup_printf("%u", number);
        Group *g;

        for (unsigned i = 0; i < machine.groups->len; i++) {
                g = g_ptr_array_index(machine.groups, i);
                if (g->number == number)
                        return g;
        }
        g = g_new(Group, 1);
        *g = (Group) {
                .number = number,
                .node = node_add_directory(groups_directory(), name),
        };
        (void) node_add_directory(g->node, "devices");
        (void) node_add_text(g->node, "type", "DMA-FQ\n");
        (void) node_add_text(g->node, "reserved_regions", "0x00000000fee00000 0x00000000feefffff msi\n");
        g_ptr_array_add(machine.groups, g);
        return g;
}

void iommu_add_device(Device *d) {
        if (d->group_number < 0 || machine.iommu == IOMMU_NONE)
                return;
        d->group = group_get((unsigned) d->group_number);
        (void) node_add_link(d->kobject.node, "iommu_group", d->group->node);
        (void) node_add_link(node_find(d->group->node, "devices"), d->address, d->kobject.node);
        (void) node_add_link(d->kobject.node, "iommu",
                             node_find(node_add_path(node_root(), "class/iommu"),
                                       machine.iommu == IOMMU_INTEL ? "dmar0"
                                       : machine.iommu == IOMMU_AMD ? "ivhd0"
                                                                    : "smmu3")->target);
}

void iommu_remove_device(Device *d) {
        Node *devices;

        if (!d->group)
                return;
        devices = node_find(d->group->node, "devices");
        node_remove_child(devices, d->address);
        if (!devices->children || devices->children->len == 0) {
                (void) g_ptr_array_remove(machine.groups, d->group);
                node_remove(d->group->node);
                g_free(d->group);
        }
        d->group = NULL;
}

bool group_owned(const Group *g) {
        if (!g || !g->vfio_child)
                return false;
        device_nodes_refresh();
        return device_node_held(g->vfio_child->device_node);
}
