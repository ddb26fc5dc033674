/* SPDX-License-Identifier: GPL-2.0-or-later */

#include "client/vm-devices.h"

#include "util/address.h"
#include "util/words.h"
#include "util/xml.h"

/* Deeper than libvirt nests anything. */
#define DEPTH_MAX 64U
#define PATH_MAX_DEPTH 5U
/* More words than a value of Proxmox has. */
#define VALUE_MAX 4096U

void vm_devices_done(VmDevices *d) {
        strv_free(d->addresses);
        strv_free(d->managed);
        strv_free(d->unresolved);
        *d = (VmDevices) {};
}

static int add_once(char ***list, const char *word) {
        if (strv_contains(*list, word))
                return 0;
        return strv_length(*list) >= VM_DEVICES_MAX ? -E2BIG : strv_extend(list, word);
}

/* ---- libvirt ---- */

/* Where the reader is: the names from the root down to here. Only the first few matter, but all have to end as they began. */
typedef struct Position {
        XmlTag open[DEPTH_MAX];
        size_t depth;
        bool had_root;
} Position;

static bool is_at(const Position *p, size_t depth) {
        static const char *const path[PATH_MAX_DEPTH] = { "domain", "devices", "hostdev", "source", "address" };

        if (p->depth != depth)
                return false;
        for (size_t i = 0; i < depth; i++)
                if (!xml_tag_is(p->open + i, path[i]))
                        return false;
        return true;
}

static int enter(Position *p, const XmlTag *tag) {
        if (p->depth >= DEPTH_MAX || (p->depth == 0 && (p->had_root || !xml_tag_is(tag, "domain"))))
                return -EBADMSG;
        p->had_root = true;
        p->open[p->depth++] = *tag;
        return 0;
}

static int leave(Position *p, const XmlTag *tag) {
        const XmlTag *open = p->depth > 0 ? p->open + p->depth - 1 : NULL;

        if (!open || open->name_size != tag->name_size || memcmp(open->name, tag->name, tag->name_size) != 0)
                return -EBADMSG;
        p->depth--;
        return 0;
}

/* libvirt writes hexadecimal, and takes decimal too. What is left out is 0. */
static int parse_part(const XmlTag *tag, const char *name, uint64_t max, uint64_t *ret) {
        const char *value;
        char text[16];
        size_t size;

        *ret = 0;
        value = xml_tag_get(tag, name, &size);
        if (!value)
                return 0;
        if (size >= sizeof(text))
                return -EBADMSG;
        memcpy(text, value, size);
        text[size] = '\0';
        value = startswith(text, "0x");
        return (value ? parse_hex_u64(value, max, ret) : parse_u64(text, max, ret)) < 0 ? -EBADMSG : 0;
}

static int take_address(const XmlTag *tag, bool managed, VmDevices *d) {
        uint64_t domain, bus, slot, function;
        char text[PCI_ADDRESS_MAX];
        size_t size;
        int r;

        /* Of a PCI device; what has no bus and no slot is no address. */
        if (!xml_tag_get(tag, "bus", &size) || !xml_tag_get(tag, "slot", &size))
                return -EBADMSG;
        r = parse_part(tag, "domain", UINT32_MAX, &domain);
        if (r >= 0)
                r = parse_part(tag, "bus", UINT8_MAX, &bus);
        if (r >= 0)
                r = parse_part(tag, "slot", 0x1f, &slot);
        if (r >= 0)
                r = parse_part(tag, "function", 7, &function);
        if (r < 0)
                return r;
        pci_address_format(&(PciAddress) { (uint32_t) domain, (uint8_t) bus, (uint8_t) slot, (uint8_t) function }, text);
        r = add_once(&d->addresses, text);
        return r < 0 || !managed ? r : add_once(&d->managed, text);
}

/* <hostdev type='pci'> is a PCI device of the host; others are USB, SCSI, mediated devices. */
static bool is_pci(const XmlTag *hostdev) {
        size_t size;

        return xml_tag_has(hostdev, "type", "pci") &&
               (!xml_tag_get(hostdev, "mode", &size) || xml_tag_has(hostdev, "mode", "subsystem"));
}

static int read_libvirt(const char *xml, size_t size, VmDevices *d) {
        bool has_address = true;
        Position position = {};
        XmlReader reader;
        XmlTag tag;
        int r;

        xml_reader_init(&reader, xml, size);
        while ((r = xml_reader_next(&reader, &tag)) > 0) {
                if (tag.opens) {
                        r = enter(&position, &tag);
                        if (r >= 0 && is_at(&position, 3) && is_pci(&tag))
                                has_address = false;
                        if (r >= 0 && is_at(&position, PATH_MAX_DEPTH) && is_pci(position.open + 2)) {
                                has_address = true;
                                r = take_address(&tag, xml_tag_has(position.open + 2, "managed", "yes"), d);
                        }
                }
                if (r >= 0 && tag.closes) {
                        if (is_at(&position, 3) && !has_address)
                                r = -EBADMSG;
                        if (r >= 0)
                                r = leave(&position, &tag);
                }
                if (r < 0)
                        return r;
        }
        return r < 0 ? r : position.had_root && position.depth == 0 ? 0 : -EBADMSG;
}

int vm_devices_read_libvirt(const char *xml, size_t size, VmDevices *ret) {
        _cleanup_(vm_devices_done) VmDevices d = {};
        int r;

        r = read_libvirt(xml, size, &d);
        if (r < 0)
                return r;
        *ret = d;
        d = (VmDevices) {};
        return 0;
}

/* ---- Proxmox VE ---- */

/* "0000:01:00.0", "01:00.0", "01:00" (all of the slot); several with ';' between them. */
static int take_hosts(char *hosts, VmDevices *d) {
        char *state = NULL;

        for (char *word = strtok_r(hosts, ";", &state); word; word = strtok_r(NULL, ";", &state)) {
                char text[PCI_ADDRESS_MAX];
                bool has_function;
                PciAddress a;
                int r;

                if (pci_address_parse_short(word, &a, &has_function) < 0)
                        r = add_once(&d->unresolved, word);
                else {
                        pci_address_format(&a, text);
                        if (!has_function)
                                *strrchr(text, '.') = '\0';
                        r = add_once(&d->addresses, text);
                }
                if (r < 0)
                        return r;
        }
        return 0;
}

/* "[host=]ADDRESS[;ADDRESS…],pcie=1,…", in any order; "mapping=NAME" instead of it; with "mdev=TYPE" the card stays with the
 * host, and the VM gets a part of it. */
static int take_hostpci(char *value, VmDevices *d) {
        char *state = NULL, *hosts = NULL;

        if (strstr(value, "mdev="))
                return 0;
        for (char *word = strtok_r(value, ",", &state); word; word = strtok_r(NULL, ",", &state)) {
                const char *mapping = startswith(word, "mapping=");

                if (mapping) {
                        int r = add_once(&d->unresolved, mapping);

                        if (r < 0)
                                return r;
                } else if (startswith(word, "host="))
                        hosts = word + STRLEN("host=");
                else if (!strchr(word, '='))
                        hosts = word;
        }
        return hosts ? take_hosts(hosts, d) : 0;
}

/* The value of a line "hostpciN: VALUE"; NULL of another one. */
static const char *hostpci_of_line(const char *line) {
        const char *p = startswith(line, "hostpci");
        size_t digits;

        if (!p)
                return NULL;
        digits = strspn(p, "0123456789");
        if (digits == 0 || p[digits] != ':')
                return NULL;
        p += digits + 1;
        return p + strspn(p, " \t");
}

static int read_proxmox(const char *text, size_t size, VmDevices *d) {
        const char *end = text + size;
        char line[VALUE_MAX];
        int r = 0;

        /* The sections behind are snapshots, and what is pending until the VM stops. */
        for (const char *p = text; p < end && *p != '[' && r >= 0;) {
                const char *newline = memchr(p, '\n', (size_t) (end - p)) ?: end, *value;
                size_t n = (size_t) (newline - p);

                /* A longer line is a description, and so is every one that begins with '#'. */
                if (n < sizeof(line)) {
                        memcpy(line, p, n);
                        line[n] = '\0';
                        line[strcspn(line, "\r")] = '\0';
                        value = hostpci_of_line(line);
                        if (value)
                                r = take_hostpci(line + (value - line), d);
                }
                p = newline < end ? newline + 1 : end;
        }
        return r;
}

int vm_devices_read_proxmox(const char *text, size_t size, VmDevices *ret) {
        _cleanup_(vm_devices_done) VmDevices d = {};
        int r;

        r = read_proxmox(text, size, &d);
        if (r < 0)
                return r;
        *ret = d;
        d = (VmDevices) {};
        return 0;
}
