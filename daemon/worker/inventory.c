/* SPDX-License-Identifier: GPL-2.0-or-later */

/* inventory: puts a snapshot together. Most functions of a host are no business of ours: they cost a line and a few
 * system calls; the rest is read for GPUs and their neighbours only. */

#include "worker/inventory.h"

#include "dbus/names.h"
#include "selector.h"
#include "util/fs.h"
#include "worker/inspect.h"
#include "worker/modules.h"
#include "worker/pci.h"
#include "worker/uses.h"

/* The functions of slots with a display function; they are neighbours in the snapshot. */
static void mark_slots(const Snapshot *s, bool *marked) {
        for (size_t begin = 0, end; begin < s->n_functions; begin = end) {
                bool display = false;

                for (end = begin; end < s->n_functions &&
                     pci_address_same_slot(&s->functions[begin].pci, &s->functions[end].pci); end++)
                        display = display || function_is_display(s->functions + end);
                for (size_t i = begin; i < end; i++)
                        marked[i] = display;
        }
}

/* Audio in a slot of its own, below the switch of a card. */
static int mark_companions(const Snapshot *s, bool *marked) {
        bool any = false;
        int r;

        for (size_t i = 0; i < s->n_functions; i++)
                any = any || (!marked[i] && streq(function_role(s->functions + i), "audio") &&
                              strv_length(s->functions[i].bridges) > 2);
        for (size_t i = 0; i < s->n_functions && any; i++) {
                _cleanup_strv_free_ char **companions = NULL;

                if (!function_is_display(s->functions + i))
                        continue;
                r = selector_companions(s, s->functions + i, &companions);
                if (r < 0)
                        return r;
                for (char **c = companions; *c; c++)
                        marked[snapshot_find(s, *c) - s->functions] = true;
        }
        return 0;
}

/* All that is of interest of a bridge which is no neighbour: can the one above a card reset what is below it? */
static void inspect_ports(Snapshot *s) {
        for (size_t i = 0; i < s->n_functions; i++) {
                const Function *f = s->functions + i;
                char path[STRLEN("/sys/bus/pci/devices//reset_subordinate") + PCI_ADDRESS_MAX];
                Function *bridge;

                if (!function_is_display(f) || strv_length(f->bridges) == 0)
                        continue;
                bridge = snapshot_find(s, f->bridges[0]);
                if (!bridge)
                        continue;
                (void) snprintf(path, sizeof(path), "/sys/bus/pci/devices/%s/reset_subordinate", bridge->address);
                bridge->resets_below = access(path, F_OK) >= 0;
        }
}

static int inspect_marked(Snapshot *s, bool all) {
        _cleanup_free_ bool *marked = NULL;
        int r;

        marked = calloc(s->n_functions + 1, sizeof(bool));
        if (!marked)
                return -ENOMEM;
        if (!all) {
                mark_slots(s, marked);
                r = mark_companions(s, marked);
                if (r < 0)
                        return r;
        }
        for (size_t i = 0; i < s->n_functions; i++) {
                if (!all && !marked[i])
                        continue;
                r = inspect_function(s->functions + i);
                if (r < 0)
                        return r;
        }
        return 0;
}

static bool has_groups(const Snapshot *s) {
        _cleanup_closedir_ DIR *dir = NULL;

        for (size_t i = 0; i < s->n_functions; i++)
                if (s->functions[i].group >= 0)
                        return true;
        dir = open_directory_at(AT_FDCWD, "/sys/kernel/iommu_groups");
        for (struct dirent *e; dir && (e = readdir(dir));)
                if (e->d_name[0] != '.')
                        return true;
        return false;
}

/* drivers/iommu/intel/dmar.c registers "dmar0", drivers/iommu/amd/init.c "ivhd0". Without groups the IOMMU is there and
 * not in use. */
static int find_iommu(Snapshot *s) {
        _cleanup_closedir_ DIR *dir = NULL;
        const char *iommu = "none";

        dir = open_directory_at(AT_FDCWD, "/sys/class/iommu");
        for (struct dirent *e; dir && streq(iommu, "none") && (e = readdir(dir));)
                if (e->d_name[0] != '.')
                        iommu = startswith(e->d_name, "dmar") ? "intel" :
                                startswith(e->d_name, "ivhd") ? "amd" :
                                                                "other";
        return free_and_strdup(&s->iommu, !streq(iommu, "none") && has_groups(s) ? iommu : "none");
}

static int check_addresses(Work *w) {
        if (!streq(w->target, "-"))
                return work_fail(w, -EINVAL, "'%s' is no target of a snapshot", w->target);
        for (size_t i = 0; i < w->n; i++)
                if (!pci_address_valid(w->arguments[i]))
                        return work_fail(w, -EINVAL, "'%s' is not the address of a PCI function", w->arguments[i]);
        return 0;
}

int verb_snapshot(Work *w) {
        _cleanup_(snapshot_freep) Snapshot *s = NULL;
        bool some = w->n > 0;
        int r;

        r = check_addresses(w);
        if (r < 0)
                return r;
        s = snapshot_new();
        if (!s)
                return -ENOMEM;
        r = pci_scan(s, some ? w->arguments : NULL);
        if (r >= 0)
                r = pci_scan_drivers(s);
        if (r >= 0)
                r = find_iommu(s);
        if (r >= 0)
                r = inspect_marked(s, some);
        if (r >= 0)
                inspect_ports(s);
        if (r >= 0)
                r = modules_match(s);
        if (r >= 0)
                r = uses_scan(s);
        if (r >= 0 && !some)
                r = pci_scan_names(s);
        if (r < 0)
                return work_fail(w, r, "looking at the PCI functions");
        snapshot_write(s, w->answer);
        return 0;
}
