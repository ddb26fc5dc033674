/* SPDX-License-Identifier: GPL-2.0-or-later */
#pragma once

/* config-space: the first 256 bytes of a function's configuration space, as they are now, and where a capability lies
 * in them. Reading wakes the function and waits for a reset that is under way (drivers/pci/access.c pci_wait_cfg()),
 * so it may take a minute. What is read is the card's, and a sick one may say anything. */

#include "util/cleanup.h"

#define CONFIG_HEADER_SIZE 64U /* what everybody may read */
#define CONFIG_SIZE 256U

/* Capabilities (include/uapi/linux/pci_regs.h) and what is read of them, from where they begin. */
#define CAPABILITY_PM 0x01
#define CAPABILITY_PCIE 0x10

typedef struct ConfigSpace {
        uint8_t bytes[CONFIG_SIZE];
        size_t size; /* that could be read: less than CONFIG_SIZE without CAP_SYS_ADMIN */
} ConfigSpace;

/* `path` is the file `config`. A negative errno is the kernel's. */
int config_space_read(int dir_fd, const char *path, ConfigSpace *ret);

/* 0 and up; past what was read it is 0. */
uint16_t config_space_u16(const ConfigSpace *c, size_t offset);
uint32_t config_space_u32(const ConfigSpace *c, size_t offset);

uint16_t config_space_vendor(const ConfigSpace *c);
/* Without the bit that says that there are more functions. */
uint8_t config_space_header_type(const ConfigSpace *c);
/* What the kernel and lspci take for a function that is not there: all ones, or header type 7f. */
bool config_space_is_dead(const ConfigSpace *c);

/* Where the first capability of that kind begins, with `size` readable bytes behind it; 0 if there is none. */
size_t config_space_capability(const ConfigSpace *c, uint8_t id, size_t size);

/* 0 … 3 of PMCSR, or -1 without the capability. */
int config_space_dstate(const ConfigSpace *c);
