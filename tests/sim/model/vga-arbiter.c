/* SPDX-License-Identifier: GPL-2.0-or-later */

/* vga-arbiter: /dev/vga_arbiter as drivers/pci/vgaarb.c answers: one target for each open file, "count:…" to a read,
 * `target`, `decodes`, `lock`, `trylock`, `unlock` as writes. io, mem and io+mem all mean both. */

#include <errno.h>
#include <stdio.h>
#include <string.h>

#include "model/model.h"
#include "util/cleanup.h"

#define WRITE_MAX 64U /* kbuf[] of vga_arb_write() */

typedef struct Conversation {
        Device *target; /* weak */
} Conversation;

/* nvidia takes a lock on the default card in its probe and never gives it back (vga_tryget() in nv-pci.c). */
static bool default_locked;

static bool is_vga(const Device *d) {
        return d->class >> 8 == 0x0300;
}

/* vga_client_register(): i915, amdgpu, radeon, nouveau and vfio-pci do, nvidia does not. */
static bool has_client(const Device *d) {
        return d->driver && (d->driver->features & (FEATURE_VGA_CLIENT | FEATURE_VFIO));
}

static Device *default_card(void) {
        for (unsigned i = 0; i < machine.devices->len; i++) {
                Device *d = g_ptr_array_index(machine.devices, i);

                if (d->boot_vga && device_known(d) && is_vga(d))
                        return d;
        }
        return NULL;
}

static unsigned count_decoding(void) {
        unsigned n = 0;

        for (unsigned i = 0; i < machine.devices->len; i++) {
                const Device *d = g_ptr_array_index(machine.devices, i);

                n += device_known(d) && is_vga(d) && !d->vga_decodes_none;
        }
        return n;
}

static const char *state_name(bool both) {
        return both ? "io+mem" : "none";
}

/* What the firmware has routed to it: vga_arbiter_add_pci_device(). */
static bool owns(const Device *d) {
        return d->boot_vga && !d->vga_owns_none;
}

/* vga_update_device_decodes(): says so whether anything changes or not. A card that decodes nothing keeps no lock. */
static void set_decodes(Device *d, bool both) {
        bool before = !d->vga_decodes_none;

        d->vga_decodes_none = !both;
        if (!both && d == default_card())
                default_locked = false;
        kernel_log(d, 6, "vgaarb: %s: olddecodes=%s,decodes=%s:owns=%s",
                   machine.kernel < 606 ? "changed VGA decodes" : "VGA decodes changed", state_name(before), state_name(both),
                   state_name(owns(d)));
}

void vga_arbiter_added(Device *d) {
        d->vga_decodes_none = false;
}

void vga_arbiter_bound(Device *d) {
        if (!is_vga(d))
                return;
        if (d->driver->features & FEATURE_NVIDIA) {
                default_locked = default_locked || default_card();
                set_decodes(d, false);
        } else if (d->driver->features & FEATURE_VFIO)
                set_decodes(d, true); /* vfio_pci_vga_init() */
}

void vga_arbiter_unbound(Device *d) {
        if (is_vga(d) && (d->driver->features & FEATURE_VFIO))
                set_decodes(d, true); /* vfio_pci_vga_uninit() */
}

static void *arbiter_open(_unused_ void *object) {
        Conversation *c = g_new(Conversation, 1);

        *c = (Conversation) { .target = default_card() };
        return c;
}

static void arbiter_release(void *opened) {
        g_free(opened);
}

static int arbiter_show(void *object, GString *out) {
        const Conversation *c = object;
        const Device *d = c->target;
        bool locked;

        if (!d || !device_known(d)) {
                g_string_append(out, "invalid");
                return 0;
        }
        locked = default_locked && d == default_card();
        g_string_append_printf(out, "count:%u,PCI:%s,decodes=%s,owns=%s,locks=%s(%d:%d)\n", count_decoding(), d->address,
                               state_name(!d->vga_decodes_none), state_name(owns(d)),
                               state_name(locked), locked, locked);
        return 0;
}

static int write_target(Conversation *c, const char *words) {
        unsigned domain, bus, slot, function;
        g_autofree char *address = NULL;
        Device *d;

        if (startswith(words, "default")) {
                c->target = default_card();
                return 0;
        }
        if (sscanf(words, "PCI:%x:%x:%x.%x", &domain, &bus, &slot, &function) != 4)
                return -EPROTO;
        address = g_strdup_printf("%04x:%02x:%02x.%x", domain, bus, slot, function);
        d = device_find(address);
        if (!d || !device_known(d) || !is_vga(d))
                return -ENODEV;
        c->target = d;
        return 0;
}

/* vga_str_to_iostate() */
static int parse_state(const char *words, bool *ret_both) {
        static const char *const both[] = { "io+mem", "io", "mem" };

        if (startswith(words, "none")) {
                *ret_both = false;
                return 0;
        }
        for (size_t i = 0; i < ELEMENTSOF(both); i++)
                if (startswith(words, both[i])) {
                        *ret_both = true;
                        return 0;
                }
        return -EPROTO;
}

/* __vga_set_legacy_decoding(): from user space it is ignored, with success, while the driver has a client. */
static int write_decodes(const Conversation *c, const char *words) {
        bool both;
        int r;

        r = parse_state(words, &both);
        if (r < 0)
                return r;
        if (!c->target || !device_known(c->target))
                return -ENODEV;
        if (!has_client(c->target))
                set_decodes(c->target, both);
        return 0;
}

static int write_lock(const Conversation *c, const char *words, bool may_wait) {
        bool both;
        int r;

        if (!c->target)
                return -ENODEV;
        r = parse_state(words, &both);
        if (r < 0)
                return r;
        if (!both)
                return -EPROTO;
        if (!default_locked || c->target == default_card())
                return 0;
        while (may_wait) /* vga_get_uninterruptible(): nobody ever unlocks the default card */
                machine_wait();
        return -EBUSY;
}

static int arbiter_store(void *object, const char *data, size_t n, _unused_ off_t offset) {
        Conversation *c = object;
        g_autofree char *text = NULL;
        const char *words;

        if (n >= WRITE_MAX)
                return -EINVAL;
        text = g_strndup(data, n);
        if ((words = startswith(text, "target ")))
                return write_target(c, words);
        if ((words = startswith(text, "decodes ")))
                return write_decodes(c, words);
        if ((words = startswith(text, "lock ")))
                return write_lock(c, words, true);
        if ((words = startswith(text, "trylock ")))
                return write_lock(c, words, false);
        return startswith(text, "unlock ") ? 0 : -EPROTO;
}

void vga_arbiter_init(void) {
        static const Attribute arbiter = {
                "vga_arbiter", 0600,
                .show = arbiter_show, .store = arbiter_store, .open = arbiter_open, .release = arbiter_release,
        };
        Node *dev = node_add_path(node_elsewhere(), "dev");

        dev->is_owner = true;
        (void) node_add_attribute(dev, &arbiter, NULL);
}
