/* SPDX-License-Identifier: GPL-2.0-or-later */

/* config-space: reads configuration space and walks its list of capabilities, which may be a circle or lead anywhere:
 * as drivers/pci/pci.c __pci_find_next_cap_ttl(), with a limit on the steps. */

#include "worker/config-space.h"

#include <fcntl.h>

#define VENDOR 0x00
#define STATUS 0x06
#define STATUS_CAPABILITIES 0x10
#define HEADER_TYPE 0x0e
#define CAPABILITIES 0x34

#define PMCSR 4U
#define PMCSR_STATE 0x03

/* As many as fit: four bytes each, behind the header. */
#define CAPABILITIES_MAX ((CONFIG_SIZE - CONFIG_HEADER_SIZE) / 4)

int config_space_read(int dir_fd, const char *path, ConfigSpace *ret) {
        _cleanup_close_ int fd = -EBADF;
        ConfigSpace c = {};
        ssize_t k;

        fd = RET_NERRNO(openat(dir_fd, path, O_RDONLY | O_CLOEXEC));
        if (fd < 0)
                return fd;
        k = pread(fd, c.bytes, sizeof(c.bytes), 0);
        if (k < 0)
                return -errno;
        c.size = (size_t) k;
        *ret = c;
        return 0;
}

uint16_t config_space_u16(const ConfigSpace *c, size_t offset) {
        return offset + 2 > c->size ? 0 : (uint16_t) (c->bytes[offset] | c->bytes[offset + 1] << 8);
}

uint32_t config_space_u32(const ConfigSpace *c, size_t offset) {
        return (uint32_t) config_space_u16(c, offset + 2) << 16 | config_space_u16(c, offset);
}

uint16_t config_space_vendor(const ConfigSpace *c) {
        return config_space_u16(c, VENDOR);
}

uint8_t config_space_header_type(const ConfigSpace *c) {
        return c->bytes[HEADER_TYPE] & 0x7f;
}

bool config_space_is_dead(const ConfigSpace *c) {
        return config_space_vendor(c) == UINT16_MAX || config_space_header_type(c) == 0x7f;
}

size_t config_space_capability(const ConfigSpace *c, uint8_t id, size_t size) {
        size_t at;

        if (!(config_space_u16(c, STATUS) & STATUS_CAPABILITIES))
                return 0;
        at = c->bytes[CAPABILITIES];
        for (size_t i = 0; i < CAPABILITIES_MAX; i++) {
                at &= ~(size_t) 3; /* the lowest bits are reserved */
                if (at < CONFIG_HEADER_SIZE || at + 2 > c->size || c->bytes[at] == UINT8_MAX)
                        return 0;
                if (c->bytes[at] == id)
                        return at + size <= c->size ? at : 0;
                at = c->bytes[at + 1];
        }
        return 0;
}

int config_space_dstate(const ConfigSpace *c) {
        size_t at = config_space_capability(c, CAPABILITY_PM, PMCSR + 2);

        return at == 0 ? -1 : config_space_u16(c, at + PMCSR) & PMCSR_STATE;
}
