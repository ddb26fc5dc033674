/* SPDX-License-Identifier: GPL-2.0-or-later */
#pragma once

#include "client/client.h"
#include "client/gpu-choice.h"
#include "util/address.h"

/* As many functions as a slot of the guest has. */
#define GUEST_FUNCTIONS_MAX 8U

typedef struct GuestFunction {
        PciAddress address;
        char name[PCI_ADDRESS_MAX]; /* the address, as the kernel writes it */
        uint32_t class;
        uint16_t vendor, device;    /* 0 while it is not on the bus */
} GuestFunction;

/* What a guest gets of a GPU. */
typedef struct GuestGpu {
        GuestFunction functions[GUEST_FUNCTIONS_MAX]; /* the display first, the others by address */
        size_t n_functions;
        uint16_t sub_vendor, sub_device;
        bool boot_vga;
        bool integrated;            /* graphics of an AMD processor: there is no ROM BAR */
        char *label;                /* its name, fit for a comment in any language */
} GuestGpu;

void guest_gpu_done(GuestGpu *g);

/* Asks the daemon. What comes from there goes into files that a shell, libvirt and Windows will read, so all of it is
 * checked. Returns 0, the exit status of what has been reported, or negative errno. */
int guest_gpu_read(Client *c, const GpuChoice *choice, GuestGpu *ret);

static inline bool guest_function_is_vga(const GuestFunction *f) {
        return f->class >> 8 == 0x0300;
}

static inline bool guest_function_is_audio(const GuestFunction *f) {
        return f->class >> 8 == 0x0403;
}

/* Whether its guest has to be told the subsystem ids: a card without a display of its own (a laptop's, mostly; its class
 * is not VGA) has them from the host's firmware, and may have lost them when it was switched off and on since. */
static inline bool guest_gpu_needs_subsystem(const GuestGpu *g) {
        return !guest_function_is_vga(&g->functions[0]) && g->sub_vendor > 0;
}

/* Intel's integrated graphics, which a guest wants at the place that they have in every host. */
static inline bool guest_gpu_is_igd(const GuestGpu *g) {
        const GuestFunction *f = &g->functions[0];

        return f->vendor == 0x8086 && f->address.bus == 0 && f->address.slot == 2;
}
