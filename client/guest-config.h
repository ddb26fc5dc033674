/* SPDX-License-Identifier: GPL-2.0-or-later */
#pragma once

#include "client/guest-gpu.h"

/* What the configuration of a virtual machine has to say so that it gets the GPU, all functions of it in one slot behind
 * a PCIe port, as in the host. `rom` is the path of a firmware image, or NULL. 0 or -ENOMEM. */

/* Elements for <devices> and, below them, one for <domain>, if that is needed. Ends with a newline. */
int guest_config_libvirt(const GuestGpu *g, const char *rom, char **ret);

/* Words of a command line. */
int guest_config_qemu(const GuestGpu *g, const char *rom, char ***ret);

/* `qm set VMID …`. */
int guest_config_proxmox(const GuestGpu *g, const char *rom, char ***ret);

/* What Proxmox calls an image that lies there already, or that has to be copied there: it knows one directory. */
#define PROXMOX_ROMS "/usr/share/kvm/"
const char *guest_config_proxmox_rom(const char *rom);
/* Whether it can be called that at all. */
bool guest_config_proxmox_takes(const char *rom);
