/* SPDX-License-Identifier: GPL-2.0-or-later */

/* sickness: cards that have fallen ill, how that shows, and which rung of a ladder makes them well again. What a function
 * may catch, and when, is said by the topology: `symptom=`, `cure=`, `sick-after-vm`, `sick-after-vfio`. */

#include "model/model.h"
#include "util/cleanup.h"

#define FAULTS_PERIOD_USEC 10000

static const struct {
        const char *name;
        unsigned symptom;
} symptoms[] = {
        { "dead", SYMPTOM_DEAD },     { "hang", SYMPTOM_HANG },     { "probe", SYMPTOM_PROBE }, { "black", SYMPTOM_BLACK },
        { "faults", SYMPTOM_FAULTS }, { "unmatched", SYMPTOM_UNMATCHED }, { "fan", SYMPTOM_FAN },
        { "tool", SYMPTOM_TOOL },
};

static const char *const rungs[] = {
        "flr", "af_flr", "device_specific", "acpi", "pm", "bus", "subordinate", "remove-rescan", "bridge", "slot",
        "power-cycle", "driver", "suspend-cycle",
};

unsigned symptom_from_name(const char *name) {
        for (size_t i = 0; i < ELEMENTSOF(symptoms); i++)
                if (streq(symptoms[i].name, name))
                        return symptoms[i].symptom;
        return 0;
}

bool sickness_add_cures(Device *d, const char *list) {
        g_auto(GStrv) words = g_strsplit(list, ",", -1);

        for (char **w = words; *w; w++) {
                size_t i;

                for (i = 0; i < ELEMENTSOF(rungs) && !streq(rungs[i], *w); i++)
                        ;
                if (i == ELEMENTSOF(rungs) || strv_extend(&d->cures, *w) < 0)
                        return false;
        }
        return true;
}

bool device_shows(const Device *d, unsigned symptom) {
        return d->sick && (d->symptoms & symptom);
}

/* The IOMMU's driver prints ten lines a period (ratelimit): amd_iommu_report_page_fault(), dmar_fault_do_one(). Here the
 * period is short, so that each thing that is tried in vain leaves its mark. */
static void log_page_faults(Device *d) {
        int64_t now = g_get_monotonic_time();

        if (d->faults_logged_usec != 0 && now - d->faults_logged_usec < FAULTS_PERIOD_USEC)
                return;
        d->faults_logged_usec = now;
        for (unsigned i = 0; i < 10; i++) {
                unsigned long long address = 0x7f3a00000ULL + i * 0x1000ULL;

                if (machine.iommu == IOMMU_AMD)
                        kernel_log(d, 3, "AMD-Vi: Event logged [IO_PAGE_FAULT domain=0x000e address=0x%llx flags=0x0020]",
                                   address);
                else
                        kernel_log(NULL, 3,
                                   "DMAR: [DMA Read NO_PASID] Request device [%02x:%02x.%u] fault addr 0x%llx "
                                   "[fault reason 0x06] PTE Read access is not set", d->bus, d->slot, d->function, address);
        }
}

void sickness_touch(Device *d) {
        if (device_shows(d, SYMPTOM_FAULTS))
                log_page_faults(d);
}

void sickness_begin(Device *d) {
        d->sick = true;
        sickness_touch(d);
        machine_changed();
}

static bool is_cure(const Device *d, const char *list) {
        g_auto(GStrv) words = g_strsplit(list, ",", -1);

        for (char **w = words; *w; w++)
                if (strv_contains(d->cures, *w))
                        return true;
        return false;
}

bool sickness_cure(Device *d, const char *list) {
        if (!is_cure(d, list)) {
                sickness_touch(d);
                return false;
        }
        d->sick = d->dead = false;
        machine_changed();
        return true;
}

static void cure_one(Device *d, void *data) {
        (void) sickness_cure(d, data);
}

void sickness_cure_below(Device *bridge, const char *list) {
        device_each_below(bridge, cure_one, (void *) list);
}

static void die_one(Device *d, _unused_ void *data) {
        d->dead = true;
}

/* NVRM: rm_gpu_… prints Xid 79 when a register reads all ones. */
static void log_death(Device *d, _unused_ void *data) {
        if (d->driver && (d->driver->features & FEATURE_NVIDIA))
                kernel_log(NULL, 3, "NVRM: Xid (PCI:%04x:%02x:%02x): 79, pid='<unknown>', name=<unknown>, "
                           "GPU has fallen off the bus.", d->domain, d->bus, d->slot);
}

void device_die(Device *d) {
        if (d->secondary) {
                device_each_below(d, die_one, NULL);
                device_each_below(d, log_death, NULL);
        } else {
                die_one(d, NULL);
                log_death(d, NULL);
        }
        machine_changed();
}

static bool assigned_by(const Device *d, const DeviceNode *n) {
        if (!device_known(d) || !d->driver || !(d->driver->features & FEATURE_VFIO))
                return false;
        return n->device == d || (d->group && d->group->vfio_child && d->group->vfio_child->device_node == n);
}

void vfio_node_opened(const DeviceNode *n) {
        for (unsigned i = 0; i < machine.devices->len; i++) {
                Device *d = g_ptr_array_index(machine.devices, i);

                if (!assigned_by(d, n))
                        continue;
                device_resume(d);
                sickness_touch(d);
        }
}

void vfio_node_closed(const DeviceNode *n) {
        for (unsigned i = 0; i < machine.devices->len; i++) {
                Device *d = g_ptr_array_index(machine.devices, i);

                if (d->sick_after_vm && assigned_by(d, n))
                        sickness_begin(d);
        }
}

/* S3 takes the power of every card. What a driver was bound to comes back as it went: the driver restores it. */
void sickness_slept(void) {
        for (unsigned i = 0; i < machine.devices->len; i++) {
                Device *d = g_ptr_array_index(machine.devices, i);

                if (!device_known(d) || !d->driver)
                        (void) sickness_cure(d, "suspend-cycle");
        }
}
