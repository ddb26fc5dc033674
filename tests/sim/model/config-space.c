/* SPDX-License-Identifier: GPL-2.0-or-later */

/* config-space: the 4096 bytes that lspci, libpci and the health probes read. The header and the capabilities are
 * consistent with the attributes; a function that is off or gone answers all ones. */

#include <errno.h>
#include <string.h>

#include "model/model.h"
#include "util/cleanup.h"

#define CONFIG_SIZE 4096U

#define IORESOURCE_IO_FLAGS 0x00040101U
#define IORESOURCE_MEM_FLAGS 0x00040200U
#define IORESOURCE_PREFETCH64_FLAGS 0x0014220cU
#define IORESOURCE_ROM_FLAGS 0x00046200U

enum {
        CAP_PM = 0x40,
        CAP_MSI = 0x50,
        CAP_PCIE = 0x60,
        CAP_AF = 0xa0,
};

static void put16(Device *d, unsigned offset, uint16_t value) {
        d->config->data[offset] = value & 0xff;
        d->config->data[offset + 1] = value >> 8;
}

static void put32(Device *d, unsigned offset, uint32_t value) {
        put16(d, offset, value & 0xffff);
        put16(d, offset + 2, value >> 16);
}

static bool has_method(const Device *d, const char *name) {
        for (char **m = d->reset_methods; m && *m; m++) {
                const char *rest = startswith(*m, name);

                if (rest && (*rest == 0 || *rest == ':'))
                        return true;
        }
        return false;
}

/* Addresses that do not collide: every function gets a window by its bus, slot and function. */
static void bars_build(Device *d) {
        uint64_t window = ((uint64_t) d->bus << 8 | d->slot << 3 | d->function);

        if (device_is_bridge(d))
                return;
        d->bars[0].start = 0x80000000U + (window << 14);
        d->bars[0].size = 0x4000;
        d->bars[0].flags = IORESOURCE_MEM_FLAGS;
        put32(d, 0x10, (uint32_t) d->bars[0].start);
        if (d->class >> 16 == 0x03) {
                d->bars[1].start = 0x4000000000ULL + (window << 28);
                d->bars[1].size = 0x10000000;
                d->bars[1].flags = IORESOURCE_PREFETCH64_FLAGS;
                put32(d, 0x14, (uint32_t) d->bars[1].start | 0xc);
                put32(d, 0x18, (uint32_t) (d->bars[1].start >> 32));
                d->bars[5].start = 0x1000 + (window << 7 & 0xe000);
                d->bars[5].size = 0x80;
                d->bars[5].flags = IORESOURCE_IO_FLAGS;
                put32(d, 0x24, (uint32_t) d->bars[5].start | 1);
        }
        if (d->rom_size > 0) {
                d->bars[6].start = 0x70000000U + (window << 16 & 0x0fff0000);
                d->bars[6].size = d->rom_size;
                d->bars[6].flags = IORESOURCE_ROM_FLAGS;
                put32(d, 0x30, (uint32_t) d->bars[6].start);
        }
}

static void capabilities_build(Device *d) {
        bool bridge = device_is_bridge(d), af = has_method(d, "af_flr");
        uint8_t type = bridge ? 4 : d->bridge ? 0 : 9; /* root port, endpoint, integrated endpoint */

        d->config->data[0x34] = CAP_PM;
        put16(d, CAP_PM, 0x0001 | CAP_MSI << 8);
        put16(d, CAP_PM + 2, 0xc803); /* version 3, PME from D0, D3hot, D3cold */
        put16(d, CAP_PM + 4, has_method(d, "pm") ? 0x0000 : 0x0008); /* NoSoftRst */

        put16(d, CAP_MSI, 0x0005 | CAP_PCIE << 8);
        put16(d, CAP_MSI + 2, 0x0080); /* 64 bit */

        put16(d, CAP_PCIE, 0x0010 | (af ? CAP_AF : 0) << 8);
        put16(d, CAP_PCIE + 2, (uint16_t) (2 | type << 4));
        put32(d, CAP_PCIE + 4, 0x00008001 | (has_method(d, "flr") ? 1U << 28 : 0)); /* 256 byte payload, RBER, FLR */
        put32(d, CAP_PCIE + 12, 0x00000103 | (bridge ? 1U << 20 : 0)); /* 8 GT/s x16; reports whether the link is up */
        put16(d, CAP_PCIE + 18, 0x0103);

        if (af) {
                put16(d, CAP_AF, 0x0013);
                d->config->data[CAP_AF + 2] = 6;
                d->config->data[CAP_AF + 3] = 0x03;
        }
}

static bool is_multifunction(const Device *d) {
        for (unsigned i = 0; i < machine.devices->len; i++) {
                const Device *o = g_ptr_array_index(machine.devices, i);

                if (o != d && o->domain == d->domain && o->bus == d->bus && o->slot == d->slot)
                        return true;
        }
        return false;
}

void config_build(Device *d) {
        bool bridge = device_is_bridge(d);

        d->config = g_byte_array_sized_new(CONFIG_SIZE);
        (void) g_byte_array_set_size(d->config, CONFIG_SIZE);
        memset(d->config->data, 0, CONFIG_SIZE);

        put16(d, 0x00, d->vendor);
        put16(d, 0x02, d->device);
        put16(d, 0x04, 0x0007); /* I/O, memory, bus master */
        put16(d, 0x06, 0x0010); /* capability list */
        put32(d, 0x08, d->class << 8 | d->revision);
        d->config->data[0x0e] = (uint8_t) ((bridge ? 0x01 : 0x00) | (is_multifunction(d) ? 0x80 : 0));
        if (bridge) {
                d->config->data[0x18] = (uint8_t) d->bus;
                d->config->data[0x19] = (uint8_t) d->secondary;
                d->config->data[0x1a] = (uint8_t) d->secondary;
        } else {
                put16(d, 0x2c, d->subsystem_vendor);
                put16(d, 0x2e, d->subsystem_device);
        }
        d->config->data[0x3d] = 1; /* INTA */
        bars_build(d);
        capabilities_build(d);
}

/* pci_wait_cfg(): config accesses sleep for as long as a reset blocks them. */
bool config_waits(const void *object) {
        return ((const Device *) object)->config_blocked;
}

static bool link_is_up(const Device *bridge) {
        for (unsigned i = 0; i < machine.devices->len; i++) {
                const Device *d = g_ptr_array_index(machine.devices, i);

                if (d->bridge == bridge && !device_vanished(d))
                        return true;
        }
        return false;
}

int config_show(void *object, GString *out) {
        Device *d = object;

        gsize at = out->len;

        while (d->config_blocked)
                machine_wait();
        sickness_touch(d);
        if (d->lost_in_d3cold && !device_vanished(d))
                device_resume(d); /* pci_config_pm_runtime_get() */
        if (device_vanished(d)) {
                g_string_set_size(out, at + CONFIG_SIZE);
                memset(out->str + at, 0xff, CONFIG_SIZE);
                return 0;
        }
        (void) g_string_append_len(out, (const char *) d->config->data, CONFIG_SIZE);
        out->str[at + CAP_PM + 4] |= (char) (device_suspended(d) ? 3 : 0);
        if (device_is_bridge(d) && link_is_up(d))
                out->str[at + CAP_PCIE + 19] |= 0x20; /* Data Link Layer Link Active */
        return 0;
}

int config_store(void *object, const char *data, size_t n, off_t offset) {
        Device *d = object;

        while (d->config_blocked)
                machine_wait();
        if (offset < 0 || offset >= (off_t) CONFIG_SIZE)
                return -EFBIG;
        if (!device_vanished(d))
                memcpy(d->config->data + offset, data, MIN(n, CONFIG_SIZE - (size_t) offset));
        return 0;
}
