/* SPDX-License-Identifier: GPL-2.0-or-later */

/* selector: which functions belong together. Pure. Deliberately narrow: what is not known to be of the card stays with
 * the host, since a mainboard's USB or a processor's PSP taken by mistake does more harm than a port left behind. */

#include "selector.h"

#define CLASS_AUDIO 0x0403U
#define CLASS_USB 0x0c03U
#define CLASS_UCSI 0x0c80U

static bool same_slot(const Function *a, const Function *b) {
        return pci_address_same_slot(&a->pci, &b->pci);
}

static bool same_group(const Function *a, const Function *b) {
        return a->group >= 0 && a->group == b->group;
}

static bool is_audio(const Function *f) {
        return f->class >> 8 == CLASS_AUDIO;
}

/* A second head has a device id of its own (old Radeons: 0x0380 at .1), or cannot be told apart by the IOMMU. A virtual
 * function of the first has the same id and a group of its own: it is a GPU. */
bool selector_is_gpu(const Snapshot *s, const Function *display) {
        for (size_t i = 0; i < s->n_functions; i++) {
                const Function *f = s->functions + i;

                if (function_is_display(f) && same_slot(f, display) && f->pci.function < display->pci.function &&
                    f->vendor == display->vendor && (f->device != display->device || same_group(f, display)))
                        return false;
        }
        return true;
}

/* The upstream port of the switch that the function is below: downstream port, upstream port, and above them at least
 * the root port. A card without a switch hangs on the root port itself. */
static const char *switch_above(const Function *f) {
        return strv_length(f->bridges) >= 3 ? f->bridges[1] : NULL;
}

static bool slot_has_display(const Snapshot *s, const Function *of) {
        for (size_t i = 0; i < s->n_functions; i++)
                if (function_is_display(s->functions + i) && same_slot(s->functions + i, of))
                        return true;
        return false;
}

/* A switch with more than one GPU below it is the mainboard's, not a card's; NULL then too. */
static const char *card_switch(const Snapshot *s, const Function *display) {
        const char *top = switch_above(display);

        if (!top)
                return NULL;
        for (size_t i = 0; i < s->n_functions; i++) {
                const Function *f = s->functions + i;

                if (function_is_display(f) && !same_slot(f, display) && strv_contains(f->bridges, top))
                        return NULL;
        }
        return top;
}

static bool is_companion(const Snapshot *s, const Function *display, const char *top, const Function *f) {
        bool same_vendor = f->vendor == display->vendor;
        uint32_t class = f->class >> 8;

        if (same_slot(f, display)) {
                if (function_is_display(f))
                        return f != display && same_vendor && !selector_is_gpu(s, f);
                if (is_audio(f) && same_group(f, display))
                        return true;
                return same_vendor && (is_audio(f) || class == CLASS_USB || class == CLASS_UCSI);
        }
        return top && is_audio(f) && same_vendor && strv_contains(f->bridges, top) && !slot_has_display(s, f);
}

/* The display function, then those that are marked, in the order of their addresses. */
static int collect(const Snapshot *s, const Function *display, const bool *marked, char ***ret) {
        _cleanup_strv_free_ char **v = NULL;

        if (strv_extend(&v, display->address) < 0)
                return -ENOMEM;
        for (size_t i = 0; i < s->n_functions; i++)
                if (marked[i] && s->functions + i != display && strv_extend(&v, s->functions[i].address) < 0)
                        return -ENOMEM;
        *ret = TAKE_PTR(v);
        return 0;
}

int selector_companions(const Snapshot *s, const Function *display, char ***ret) {
        _cleanup_free_ bool *marked = NULL;
        const char *top = card_switch(s, display);

        marked = calloc(s->n_functions + 1, sizeof(bool));
        if (!marked)
                return -ENOMEM;
        for (size_t i = 0; i < s->n_functions; i++)
                marked[i] = is_companion(s, display, top, s->functions + i);
        return collect(s, display, marked, ret);
}

/* "1002:1640": exactly four hex digits each. */
static int parse_ids(const char *s, uint16_t *ret_vendor, uint16_t *ret_device) {
        char vendor[5] = {};
        uint64_t v, d;

        if (strlen(s) != 9 || s[4] != ':')
                return -EINVAL;
        memcpy(vendor, s, 4);
        if (parse_hex_u64(vendor, 0xffff, &v) < 0 || parse_hex_u64(s + 5, 0xffff, &d) < 0)
                return -EINVAL;
        *ret_vendor = (uint16_t) v;
        *ret_device = (uint16_t) d;
        return 0;
}

static int resolve_ids(const Snapshot *s, const Function *display, uint16_t vendor, uint16_t device,
                       const Function **ret) {
        const Function *found = NULL;

        for (size_t i = 0; i < s->n_functions; i++) {
                const Function *f = s->functions + i;

                if (f->vendor != vendor || f->device != device || !(same_slot(f, display) || same_group(f, display)))
                        continue;
                if (found)
                        return -ENOTUNIQ;
                found = f;
        }
        *ret = found;
        return found ? 0 : -ENODEV;
}

static int resolve(const Snapshot *s, const Function *display, const char *entry, const Function **ret) {
        char address[PCI_ADDRESS_MAX];
        uint16_t vendor, device;
        bool has_function;
        PciAddress a;

        if (parse_ids(entry, &vendor, &device) >= 0)
                return resolve_ids(s, display, vendor, device, ret);
        if (entry[0] == '.') {
                if (entry[1] < '0' || entry[1] > '7' || entry[2])
                        return -EINVAL;
                a = display->pci;
                a.function = (uint8_t) (entry[1] - '0');
        } else if (pci_address_parse_short(entry, &a, &has_function) < 0 || !has_function)
                return -EINVAL;
        *ret = snapshot_find(s, pci_address_format(&a, address));
        return *ret ? 0 : -ENODEV;
}

int selector_explicit(const Snapshot *s, const Function *display, char *const *entries, char ***ret) {
        _cleanup_free_ bool *marked = NULL;
        int r;

        marked = calloc(s->n_functions + 1, sizeof(bool));
        if (!marked)
                return -ENOMEM;
        for (char *const *e = entries; e && *e; e++) {
                const Function *f;

                r = resolve(s, display, *e, &f);
                if (r < 0)
                        return r;
                marked[f - s->functions] = true;
        }
        return collect(s, display, marked, ret);
}

/* pci-stub and pcieport set driver_managed_dma, and so do the VFIO drivers: drivers/pci/pci-driver.c
 * pci_dma_configure(). */
static bool blocks_group(const Function *f) {
        return f->driver && !function_is_bridge(f) && !driver_is_vfio(f->driver) && !streq(f->driver, "pci-stub") &&
                !streq(f->driver, "pcieport");
}

static bool shares_group(const Snapshot *s, char *const *functions, const Function *f) {
        for (char *const *a = functions; a && *a; a++) {
                const Function *own = snapshot_find(s, *a);

                if (own && same_group(own, f))
                        return true;
        }
        return false;
}

int selector_blockers(const Snapshot *s, char *const *functions, char ***ret) {
        _cleanup_strv_free_ char **v = NULL;

        for (size_t i = 0; i < s->n_functions; i++) {
                const Function *f = s->functions + i;
                _cleanup_free_ char *text = NULL;

                if (!blocks_group(f) || strv_contains(functions, f->address) || !shares_group(s, functions, f))
                        continue;
                if (asprintf(&text, "%s (%s)", f->address, f->driver) < 0) {
                        text = NULL;
                        return -ENOMEM;
                }
                if (strv_extend(&v, text) < 0)
                        return -ENOMEM;
        }
        *ret = TAKE_PTR(v);
        return 0;
}
