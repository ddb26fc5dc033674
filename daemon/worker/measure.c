/* SPDX-License-Identifier: GPL-2.0-or-later */

/* measure: reads what a function itself says, where the attributes of sysfs say what the kernel remembers: `vendor`
 * stays right on a dead card, `power_state` is what was last written. Whatever is wrong with the card is left out of
 * the answer or stands in it as it was read; only a request that makes no sense is an error. */

#include "worker/measure.h"

#include "measurement.h"
#include "util/fs.h"
#include "worker/config-space.h"
#include "worker/pci.h"
#include "worker/vga.h"

/* Of the PCI Express capability, from where it begins. */
#define PCIE_FLAGS 0x02
#define PCIE_LNKCAP 0x0c
#define PCIE_LNKSTA 0x12
#define PCIE_LINK_END 0x14

#define LNKCAP_DLLLARC (1U << 20) /* the port reports Data Link Layer Link Active */
#define LNKSTA_DLLLA (1U << 13)

#define RESOURCE_MAX 8192U /* bytes of `resource`: 17 lines of 57 */
#define RESOURCE_MEM 0x200U         /* include/linux/ioport.h IORESOURCE_MEM, */
#define RESOURCE_UNSET 0x20000000U  /* IORESOURCE_UNSET */

/* Where the PCI Express capability is, if what has it is one end of a link: drivers/pci/access.c
 * pcie_cap_has_lnkctl(). */
static size_t find_link(const ConfigSpace *c, bool port) {
        size_t at = config_space_capability(c, CAPABILITY_PCIE, PCIE_LINK_END);

        if (at == 0)
                return 0;
        switch (config_space_u16(c, at + PCIE_FLAGS) >> 4 & 0x0f) {
        case 0x4: /* root port */
        case 0x6: /* downstream port of a switch */
                return at;
        case 0x0: /* endpoint, */
        case 0x1: /* legacy endpoint, */
        case 0x5: /* upstream port, bridges to and from PCI */
        case 0x7:
        case 0x8:
                return port ? 0 : at;
        default: /* integrated into the root complex: no link */
                return 0;
        }
}

/* By the port above; the directory of a function lies in that of its bridge. */
static int measure_link_active(const PciDevice *d) {
        ConfigSpace c;
        size_t at;

        if (config_space_read(d->fd, "../config", &c) < 0)
                return -1;
        at = find_link(&c, true);
        if (at == 0 || !(config_space_u32(&c, at + PCIE_LNKCAP) & LNKCAP_DLLLARC))
                return -1;
        return !!(config_space_u16(&c, at + PCIE_LNKSTA) & LNKSTA_DLLLA);
}

static void measure_link(const PciDevice *d, const ConfigSpace *c, Measured *f) {
        size_t at = find_link(c, false);
        uint32_t capable;
        uint16_t status;

        if (at == 0)
                return;
        capable = config_space_u32(c, at + PCIE_LNKCAP);
        status = config_space_u16(c, at + PCIE_LNKSTA);
        f->has_link = true;
        f->link_speed = status & 0x0f;
        f->link_width = status >> 4 & 0x3f;
        f->link_max_speed = capable & 0x0f;
        f->link_max_width = capable >> 4 & 0x3f;
        /* A function that answers does so over the link: a port that says otherwise (QEMU's does) does not know. */
        f->link_active = measure_link_active(d) == 1 ? 1 : -1;
}

/* "START END FLAGS" of one BAR: drivers/pci/pci-sysfs.c resource_show(). One that got no place has its size between
 * start and end, and start 0; nothing but zeros is no BAR (__pci_read_base()). */
uint64_t resource_unassigned_size(const char *line) {
        unsigned long long start, end, flags;

        if (sscanf(line, "0x%16llx 0x%16llx 0x%16llx", &start, &end, &flags) != 3)
                return 0;
        if (!(flags & RESOURCE_MEM) || end <= start || (start != 0 && !(flags & RESOURCE_UNSET)))
                return 0;
        /* All of the address space would not fit into the sum. */
        return end - start < UINT64_MAX ? end - start + 1 : UINT64_MAX;
}

static void measure_bars(const PciDevice *d, Measured *f) {
        _cleanup_free_ char *text = NULL;
        const char *line;

        if (read_file_at(d->fd, "resource", RESOURCE_MAX, &text, NULL) < 0)
                return;
        line = text;
        for (unsigned i = 0; i < MEASURED_BARS && line; i++) {
                f->bar_sizes[i] = resource_unassigned_size(line);
                if (f->bar_sizes[i] > 0)
                        f->unassigned |= 1U << i;
                line = strchr(line, '\n');
                line = line ? line + 1 : NULL;
        }
}

static void measure_config(const PciDevice *d, Measured *f) {
        ConfigSpace c;

        if (config_space_read(d->fd, "config", &c) < 0 || c.size < CONFIG_HEADER_SIZE)
                return;
        f->read = true;
        f->vendor = config_space_vendor(&c);
        f->header_type = config_space_header_type(&c);
        if (config_space_is_dead(&c)) {
                f->link_active = measure_link_active(d);
                f->has_link = f->link_active >= 0;
                return;
        }
        f->dstate = config_space_dstate(&c);
        measure_link(d, &c, f);
}

/* What rests is in a lower power state, as it may; but only who looks at both at once can tell. */
static int read_runtime(const PciDevice *d, char **ret) {
        int r = read_line_at(d->fd, "power/runtime_status", ret);

        return r == -ENOMEM ? r : 0;
}

static int measure_one(Work *w, const char *address) {
        _cleanup_(pci_device_done) PciDevice d = PCI_DEVICE_INIT;
        Measured f = { .dstate = -1, .link_active = -1 };
        _cleanup_free_ char *decodes = NULL, *before = NULL, *after = NULL;
        int r;

        r = pci_device_open(w, address, &d);
        if (r == -ENODEV)
                return work_forgive(w);
        if (r < 0)
                return r;
        memcpy(f.address, d.address, sizeof(f.address));
        r = read_runtime(&d, &before);
        if (r < 0)
                return r;
        measure_config(&d, &f);
        r = read_runtime(&d, &after);
        if (r < 0)
                return r;
        measure_bars(&d, &f);
        r = read_vga_decodes(d.address, &decodes);
        if (r < 0)
                return r;
        /* Of one that has gone meanwhile nothing is said: what was read may be of before or after. */
        if (pci_device_gone(&d))
                return 0;
        f.decodes = decodes;
        f.runtime = streq_ptr(before, after) ? after : (char *) "changing";
        measurement_write(&(Measurement) { .functions = &f, .n = 1 }, w->answer);
        return 0;
}

int verb_measure(Work *w) {
        int r;

        r = measure_one(w, w->target);
        for (size_t i = 0; i < w->n && r >= 0; i++)
                r = measure_one(w, w->arguments[i]);
        return r;
}
