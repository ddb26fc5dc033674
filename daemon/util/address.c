/* SPDX-License-Identifier: GPL-2.0-or-later */

/* address: parsing and printing of PCI addresses. Strict, since an address that came over the bus ends in a path. */

#include "util/address.h"

#include <ctype.h>
#include <dirent.h>

/* Reads between min and max hex digits; returns what follows them, or NULL. */
static const char *parse_hex(const char *s, size_t min, size_t max, uint32_t *ret) {
        uint32_t v = 0;
        size_t n = 0;

        for (; n < max && isxdigit((unsigned char) s[n]); n++)
                v = v * 16 + (uint32_t) (isdigit((unsigned char) s[n]) ? s[n] - '0' : (s[n] | 0x20) - 'a' + 10);
        if (n < min || isxdigit((unsigned char) s[n]))
                return NULL;
        *ret = v;
        return s + n;
}

/* bus:slot[.function], to the end of the string. */
static int parse_bus_slot(const char *s, PciAddress *a, bool *ret_has_function) {
        uint32_t bus, slot, function = 0;
        bool has_function = false;

        s = parse_hex(s, 2, 2, &bus);
        if (!s || *s != ':')
                return -EINVAL;
        s = parse_hex(s + 1, 2, 2, &slot);
        if (!s || slot > 0x1f)
                return -EINVAL;
        if (*s == '.') {
                s = parse_hex(s + 1, 1, 1, &function);
                if (!s || function > 7)
                        return -EINVAL;
                has_function = true;
        }
        if (*s)
                return -EINVAL;

        a->bus = (uint8_t) bus;
        a->slot = (uint8_t) slot;
        a->function = (uint8_t) function;
        *ret_has_function = has_function;
        return 0;
}

int pci_address_parse_short(const char *s, PciAddress *ret, bool *ret_has_function) {
        PciAddress a = {};
        const char *p;
        uint32_t domain;
        int r;

        r = parse_bus_slot(s, &a, ret_has_function);
        if (r >= 0) {
                *ret = a;
                return 0;
        }

        p = parse_hex(s, 4, 8, &domain);
        if (!p || *p != ':')
                return -EINVAL;
        r = parse_bus_slot(p + 1, &a, ret_has_function);
        if (r < 0)
                return r;
        a.domain = domain;
        *ret = a;
        return 0;
}

int pci_address_parse(const char *s, PciAddress *ret) {
        PciAddress a = {};
        bool has_function;
        const char *p;
        int r;

        p = parse_hex(s, 4, 8, &a.domain);
        if (!p || *p != ':')
                return -EINVAL;
        r = parse_bus_slot(p + 1, &a, &has_function);
        if (r < 0)
                return r;
        if (!has_function)
                return -EINVAL;
        *ret = a;
        return 0;
}

bool pci_address_valid(const char *s) {
        PciAddress a;

        return pci_address_parse(s, &a) >= 0;
}

const char *pci_address_format(const PciAddress *a, char buf[static PCI_ADDRESS_MAX]) {
        (void) snprintf(buf, PCI_ADDRESS_MAX, "%04x:%02x:%02x.%x", a->domain, a->bus, a->slot & 0x1fU, a->function & 7U);
        return buf;
}

int pci_address_compare(const PciAddress *a, const PciAddress *b) {
        if (a->domain != b->domain)
                return a->domain < b->domain ? -1 : 1;
        if (a->bus != b->bus)
                return a->bus < b->bus ? -1 : 1;
        if (a->slot != b->slot)
                return a->slot < b->slot ? -1 : 1;
        if (a->function != b->function)
                return a->function < b->function ? -1 : 1;
        return 0;
}

bool pci_address_same_slot(const PciAddress *a, const PciAddress *b) {
        return a->domain == b->domain && a->bus == b->bus && a->slot == b->slot;
}

int pci_address_list_files(const char *directory, const char *prefix, char ***ret) {
        _cleanup_closedir_ DIR *dir = opendir(directory);
        _cleanup_strv_free_ char **list = NULL;

        if (!dir && errno != ENOENT)
                return -errno;
        for (struct dirent *e; dir && (e = readdir(dir));) {
                const char *address = startswith(e->d_name, prefix);

                if (address && pci_address_valid(address) && strv_extend(&list, address) < 0)
                        return -ENOMEM;
        }
        *ret = TAKE_PTR(list);
        return 0;
}
