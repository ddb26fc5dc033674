/* SPDX-License-Identifier: GPL-2.0-or-later */

/* snapshot: building, finding, writing and reading of snapshots. Pure: it opens nothing. One table of the keys serves
 * writer and reader. What is read came from another process, so its number, length and form are limited. */

#include "snapshot.h"

#include <ctype.h>
#include <inttypes.h>

#define FUNCTIONS_MAX 65536U
#define DRIVERS_MAX 4096U
#define BRIDGES_MAX 32U
#define ENTRIES_MAX 1024U /* in each list of a function */

/* The lines that follow a `function` line; the names are the ones of the fields. */
typedef struct Field {
        const char *key;
        size_t offset;
} Field;

static const Field string_fields[] = {
        { "modalias", offsetof(Function, modalias) },
        { "name", offsetof(Function, name) },
        { "path", offsetof(Function, path) },
        { "power-state", offsetof(Function, power_state) },
        { "runtime-status", offsetof(Function, runtime_status) },
        { "power-control", offsetof(Function, power_control) },
        { "d3cold-allowed", offsetof(Function, d3cold_allowed) },
        { "vga-decodes", offsetof(Function, vga_decodes) },
        { "slot", offsetof(Function, slot) },
};

static const Field list_fields[] = {
        { "host-module", offsetof(Function, host_modules) },
        { "vfio-module", offsetof(Function, vfio_modules) },
        { "reset-method", offsetof(Function, reset_methods) },
        { "sound-card", offsetof(Function, sound_cards) },
        { "console", offsetof(Function, consoles) },
        { "mounted", offsetof(Function, mounted) },
        { "network", offsetof(Function, networks) },
        { "switch", offsetof(Function, switches) },
};

static const Field flag_fields[] = {
        { "detailed", offsetof(Function, detailed) },
        { "boot-vga", offsetof(Function, boot_vga) },
        { "has-vfs", offsetof(Function, has_vfs) },
        { "resets-below", offsetof(Function, resets_below) },
};

/* The field of that key in the function, as a pointer to what the table's kind says; NULL if it is not of this kind. */
static void *find_field(Function *f, const Field *fields, size_t n, const char *key) {
        for (size_t i = 0; i < n; i++)
                if (streq(fields[i].key, key))
                        return (char *) f + fields[i].offset;
        return NULL;
}

static const void *field_of(const Function *f, const Field *field) {
        return (const char *) f + field->offset;
}

static void function_done(Function *f) {
        free(f->driver);
        strv_free(f->bridges);
        for (size_t i = 0; i < ELEMENTSOF(string_fields); i++)
                free(*(char *const *) field_of(f, string_fields + i));
        for (size_t i = 0; i < ELEMENTSOF(list_fields); i++)
                strv_free(*(char **const *) field_of(f, list_fields + i));
        for (size_t i = 0; i < f->n_nodes; i++)
                free(f->nodes[i].path);
        free(f->nodes);
        for (size_t i = 0; i < f->n_connectors; i++) {
                free(f->connectors[i].name);
                free(f->connectors[i].status);
        }
        free(f->connectors);
}

Snapshot *snapshot_new(void) {
        return calloc(1, sizeof(Snapshot));
}

Snapshot *snapshot_free(Snapshot *s) {
        if (!s)
                return NULL;
        for (size_t i = 0; i < s->n_functions; i++)
                function_done(s->functions + i);
        for (size_t i = 0; i < s->n_drivers; i++) {
                free(s->drivers[i].name);
                free(s->drivers[i].module);
        }
        free(s->functions);
        free(s->drivers);
        free(s->iommu);
        free(s);
        return NULL;
}

/* Room for one more in an array whose allocation is always at least the next power of two. */
static void *grow(void *array, size_t n, size_t size) {
        if (n > 0 && (n & (n - 1)) != 0)
                return array;
        return reallocarray(array, n == 0 ? 1 : n * 2, size);
}

/* The index of the first function that is not before `a`. */
static size_t lower_bound(const Snapshot *s, const PciAddress *a) {
        size_t low = 0, high = s->n_functions;

        /* What is added usually comes in order. */
        if (high > 0 && pci_address_compare(&s->functions[high - 1].pci, a) < 0)
                return high;
        while (low < high) {
                size_t middle = low + (high - low) / 2;

                if (pci_address_compare(&s->functions[middle].pci, a) < 0)
                        low = middle + 1;
                else
                        high = middle;
        }
        return low;
}

Function *snapshot_add_function(Snapshot *s, const char *address) {
        Function *functions, *f;
        PciAddress a;
        size_t i;

        if (pci_address_parse(address, &a) < 0)
                return NULL;
        functions = grow(s->functions, s->n_functions, sizeof(Function));
        if (!functions)
                return NULL;
        s->functions = functions;

        i = lower_bound(s, &a);
        f = functions + i;
        memmove(f + 1, f, (s->n_functions - i) * sizeof(Function));
        s->n_functions++;
        *f = (Function) { .pci = a, .group = -1 };
        (void) pci_address_format(&a, f->address);
        return f;
}

int snapshot_add_driver(Snapshot *s, const char *name, const char *module) {
        _cleanup_free_ char *n = NULL, *m = NULL;
        Driver *drivers;

        n = strdup(name);
        if (!n)
                return -ENOMEM;
        if (module) {
                m = strdup(module);
                if (!m)
                        return -ENOMEM;
        }
        drivers = grow(s->drivers, s->n_drivers, sizeof(Driver));
        if (!drivers)
                return -ENOMEM;
        s->drivers = drivers;
        drivers[s->n_drivers++] = (Driver) { .name = TAKE_PTR(n), .module = TAKE_PTR(m) };
        return 0;
}

int function_add_node(Function *f, const char *path, uint32_t major, uint32_t minor, bool shared) {
        _cleanup_free_ char *copy = NULL;
        Node *nodes;

        copy = strdup(path);
        if (!copy)
                return -ENOMEM;
        nodes = grow(f->nodes, f->n_nodes, sizeof(Node));
        if (!nodes)
                return -ENOMEM;
        f->nodes = nodes;
        nodes[f->n_nodes++] = (Node) { .path = TAKE_PTR(copy), .major = major, .minor = minor, .shared = shared };
        return 0;
}

int function_add_connector(Function *f, const char *name, const char *status) {
        _cleanup_free_ char *n = NULL, *s = NULL;
        Connector *connectors;

        n = strdup(name);
        s = strdup(status);
        if (!n || !s)
                return -ENOMEM;
        connectors = grow(f->connectors, f->n_connectors, sizeof(Connector));
        if (!connectors)
                return -ENOMEM;
        f->connectors = connectors;
        connectors[f->n_connectors++] = (Connector) { .name = TAKE_PTR(n), .status = TAKE_PTR(s) };
        return 0;
}

static Function *find_parsed(const Snapshot *s, const PciAddress *a) {
        size_t i = lower_bound(s, a);

        if (i >= s->n_functions || pci_address_compare(&s->functions[i].pci, a) != 0)
                return NULL;
        return s->functions + i;
}

Function *snapshot_find(const Snapshot *s, const char *address) {
        PciAddress a;

        return pci_address_parse(address, &a) < 0 ? NULL : find_parsed(s, &a);
}

const Driver *snapshot_find_driver(const Snapshot *s, const char *name) {
        for (size_t i = 0; i < s->n_drivers; i++)
                if (streq(s->drivers[i].name, name))
                        return s->drivers + i;
        return NULL;
}

/* function ADDRESS CLASS VENDOR DEVICE SUBVENDOR SUBDEVICE GROUP DRIVER [BRIDGE…]: ids in hex, "-" for no group. */
static void write_function_line(const Function *f, FILE *file) {
        char class[9], ids[4][5], group[12] = "-";
        const char *words[9 + BRIDGES_MAX + 1] = {
                "function", f->address, class, ids[0], ids[1], ids[2], ids[3], group, strempty(f->driver),
        };
        size_t n = 9;

        (void) snprintf(class, sizeof(class), "%06" PRIx32, f->class);
        (void) snprintf(ids[0], sizeof(ids[0]), "%04" PRIx16, f->vendor);
        (void) snprintf(ids[1], sizeof(ids[1]), "%04" PRIx16, f->device);
        (void) snprintf(ids[2], sizeof(ids[2]), "%04" PRIx16, f->subsystem_vendor);
        (void) snprintf(ids[3], sizeof(ids[3]), "%04" PRIx16, f->subsystem_device);
        if (f->group >= 0)
                (void) snprintf(group, sizeof(group), "%i", f->group);
        for (char *const *b = f->bridges; b && *b && n < ELEMENTSOF(words) - 1; b++)
                words[n++] = *b;
        words_writev(file, words);
}

static void write_function(const Function *f, FILE *file) {
        write_function_line(f, file);
        for (size_t i = 0; i < ELEMENTSOF(flag_fields); i++)
                if (*(const bool *) field_of(f, flag_fields + i))
                        words_write(file, flag_fields[i].key, NULL);
        for (size_t i = 0; i < ELEMENTSOF(string_fields); i++) {
                const char *value = *(char *const *) field_of(f, string_fields + i);

                if (value)
                        words_write(file, string_fields[i].key, value, NULL);
        }
        for (size_t i = 0; i < ELEMENTSOF(list_fields); i++)
                for (char *const *v = *(char **const *) field_of(f, list_fields + i); v && *v; v++)
                        words_write(file, list_fields[i].key, *v, NULL);
        for (size_t i = 0; i < f->n_nodes; i++) {
                char major[11], minor[11];

                (void) snprintf(major, sizeof(major), "%" PRIu32, f->nodes[i].major);
                (void) snprintf(minor, sizeof(minor), "%" PRIu32, f->nodes[i].minor);
                words_write(file, "node", f->nodes[i].path, major, minor, f->nodes[i].shared ? "shared" : NULL, NULL);
        }
        for (size_t i = 0; i < f->n_connectors; i++)
                words_write(file, "connector", f->connectors[i].name, f->connectors[i].status, NULL);
}

void snapshot_write(const Snapshot *s, FILE *f) {
        words_write(f, "iommu", s->iommu ?: "none", NULL);
        for (size_t i = 0; i < s->n_drivers; i++)
                words_write(f, "driver", s->drivers[i].name, s->drivers[i].module, NULL);
        for (size_t i = 0; i < s->n_functions; i++)
                write_function(s->functions + i, f);
}

/* A name of the kernel's that ends in a path. */
static bool is_name(const char *s) {
        return !isempty(s) && strlen(s) <= 255 && !strchr(s, '/') && !streq(s, ".") && !streq(s, "..");
}

static bool is_iommu(const char *s) {
        return streq(s, "none") || streq(s, "intel") || streq(s, "amd") || streq(s, "other");
}

static int read_hex(const char *word, uint64_t max, uint32_t *ret) {
        uint64_t v;

        if (parse_hex_u64(word, max, &v) < 0)
                return -EBADMSG;
        *ret = (uint32_t) v;
        return 0;
}

static int read_ids(Function *f, char *const *words) {
        uint16_t *const ids[] = { &f->vendor, &f->device, &f->subsystem_vendor, &f->subsystem_device };
        uint32_t v;

        if (read_hex(words[0], 0xffffff, &f->class) < 0)
                return -EBADMSG;
        for (size_t i = 0; i < ELEMENTSOF(ids); i++) {
                if (read_hex(words[i + 1], 0xffff, &v) < 0)
                        return -EBADMSG;
                *ids[i] = (uint16_t) v;
        }
        return 0;
}

static int read_function_line(Snapshot *s, char *const *words, Function **ret) {
        size_t n = strv_length(words);
        uint64_t group;
        PciAddress a;
        Function *f;

        if (n < 9 || n > 9 + BRIDGES_MAX || s->n_functions >= FUNCTIONS_MAX || pci_address_parse(words[1], &a) < 0 ||
            find_parsed(s, &a))
                return -EBADMSG;
        f = snapshot_add_function(s, words[1]);
        if (!f)
                return -ENOMEM;
        *ret = f;

        if (read_ids(f, words + 2) < 0)
                return -EBADMSG;
        if (!streq(words[7], "-")) {
                if (parse_u64(words[7], INT32_MAX, &group) < 0)
                        return -EBADMSG;
                f->group = (int) group;
        }
        if (!isempty(words[8])) {
                if (!is_name(words[8]))
                        return -EBADMSG;
                f->driver = strdup(words[8]);
                if (!f->driver)
                        return -ENOMEM;
        }
        for (char *const *b = words + 9; *b; b++) {
                if (!pci_address_valid(*b))
                        return -EBADMSG;
                if (strv_extend(&f->bridges, *b) < 0)
                        return -ENOMEM;
        }
        return 0;
}

static int read_node(Function *f, char *const *words) {
        size_t n = strv_length(words);
        uint64_t major, minor;

        if (n < 4 || n > 5 || (n == 5 && !streq(words[4], "shared")) || f->n_nodes >= ENTRIES_MAX ||
            !startswith(words[1], "/dev/") || parse_u64(words[2], UINT32_MAX, &major) < 0 ||
            parse_u64(words[3], UINT32_MAX, &minor) < 0)
                return -EBADMSG;
        return function_add_node(f, words[1], (uint32_t) major, (uint32_t) minor, n == 5);
}

/* A line that belongs to the function before it. */
static int read_detail(Function *f, char *const *words) {
        size_t n = strv_length(words);
        void *field;

        field = find_field(f, flag_fields, ELEMENTSOF(flag_fields), words[0]);
        if (field) {
                if (n != 1)
                        return -EBADMSG;
                *(bool *) field = true;
                return 0;
        }
        if (!f->detailed)
                return -EBADMSG;
        if (streq(words[0], "node"))
                return read_node(f, words);
        if (streq(words[0], "connector")) {
                if (n != 3 || f->n_connectors >= ENTRIES_MAX)
                        return -EBADMSG;
                return function_add_connector(f, words[1], words[2]);
        }
        if (n != 2)
                return -EBADMSG;

        field = find_field(f, list_fields, ELEMENTSOF(list_fields), words[0]);
        if (field)
                return strv_length(*(char ***) field) >= ENTRIES_MAX ? -EBADMSG : strv_extend(field, words[1]);
        field = find_field(f, string_fields, ELEMENTSOF(string_fields), words[0]);
        if (!field || *(char **) field)
                return -EBADMSG;
        return free_and_strdup(field, words[1]);
}

static int read_head(Snapshot *s, char *const *words) {
        size_t n = strv_length(words);

        if (streq(words[0], "iommu"))
                return n != 2 || s->iommu || !is_iommu(words[1]) ? -EBADMSG : free_and_strdup(&s->iommu, words[1]);
        if (!streq(words[0], "driver") || n < 2 || n > 3 || s->n_drivers >= DRIVERS_MAX || !is_name(words[1]) ||
            (n == 3 && !is_name(words[2])))
                return -EBADMSG;
        return snapshot_add_driver(s, words[1], words[2]);
}

int snapshot_read(const char *text, size_t size, Snapshot **ret) {
        _cleanup_(snapshot_freep) Snapshot *s = NULL;
        WordsReader reader = { .text = text, .size = size };
        Function *f = NULL;
        int r;

        s = snapshot_new();
        if (!s)
                return -ENOMEM;

        for (;;) {
                _cleanup_strv_free_ char **words = NULL;

                r = words_reader_next(&reader, &words);
                if (r < 0)
                        return r;
                if (r == 0)
                        break;
                if (streq(words[0], "function"))
                        r = read_function_line(s, words, &f);
                else
                        r = f ? read_detail(f, words) : read_head(s, words);
                if (r < 0)
                        return r;
        }
        if (!s->iommu)
                return -EBADMSG;
        *ret = TAKE_PTR(s);
        return 0;
}

/* The name is looked up for an inventory only, so a fresh look at the same card keeps it. */
static void keep_name(Function *fresh, Function *old) {
        if (!fresh->name && fresh->vendor == old->vendor && fresh->device == old->device)
                fresh->name = TAKE_PTR(old->name);
}

/* Moves the functions of both into `merged`, in order, and returns their number; `s` and `fresh` are left without. An
 * old function that is not in `fresh` stays unless `everything` is replaced or its address was asked for. */
static size_t merge_functions(Snapshot *s, Snapshot *fresh, char *const *addresses, char *const *keep, Function *merged) {
        size_t n = 0, i = 0, j = 0;

        while (i < s->n_functions || j < fresh->n_functions) {
                Function *old = i < s->n_functions ? s->functions + i : NULL;
                Function *new = j < fresh->n_functions ? fresh->functions + j : NULL;
                int order = !old ? 1 : !new ? -1 : pci_address_compare(&old->pci, &new->pci);

                if (order >= 0 && strv_contains(keep, new->address)) {
                        j++;
                        function_done(new);
                        continue;
                }
                if (order < 0) {
                        i++;
                        if ((addresses && !strv_contains(addresses, old->address)) || strv_contains(keep, old->address))
                                merged[n++] = *old;
                        else
                                function_done(old);
                        continue;
                }
                if (order == 0) {
                        i++;
                        keep_name(new, old);
                        function_done(old);
                }
                j++;
                merged[n++] = *new;
        }
        s->n_functions = fresh->n_functions = 0;
        return n;
}

int snapshot_merge(Snapshot *s, Snapshot *fresh, char *const *addresses, char *const *keep) {
        size_t n, n_drivers = s->n_drivers, allocated = 1;
        Driver *drivers = s->drivers;
        char *iommu = s->iommu;
        Function *merged;

        while (allocated < s->n_functions + fresh->n_functions)
                allocated *= 2;
        merged = calloc(allocated, sizeof(Function));
        if (!merged)
                return -ENOMEM;
        n = merge_functions(s, fresh, addresses, keep, merged);
        free(s->functions);
        s->functions = merged;
        s->n_functions = n;

        /* An exchange: what was ours is freed with `fresh`. */
        s->drivers = fresh->drivers;
        s->n_drivers = fresh->n_drivers;
        s->iommu = fresh->iommu;
        fresh->drivers = drivers;
        fresh->n_drivers = n_drivers;
        fresh->iommu = iommu;
        return 0;
}

bool function_is_display(const Function *f) {
        return f->class >> 16 == 0x03;
}

/* Host and PCI bridges only: an ISA bridge may have a driver (lpc_ich) that keeps its group from VFIO. */
bool function_is_bridge(const Function *f) {
        return f->class >> 8 == 0x0600 || f->class >> 8 == 0x0604;
}

/* Variant drivers are named after their module, with dashes or underscores: drivers/vfio/pci/ (mlx5_vfio_pci,
 * nvgrace-gpu-vfio-pci, xe-vfio-pci). */
bool driver_is_vfio(const char *driver) {
        size_t n = driver ? strlen(driver) : 0, k = STRLEN("vfio-pci");
        const char *tail;

        if (n < k)
                return false;
        tail = driver + n - k;
        if (!startswith(tail, "vfio") || !strchr("-_", tail[4]) || !streq(tail + 5, "pci"))
                return false;
        return tail == driver || strchr("-_", tail[-1]);
}

const char *function_role(const Function *f) {
        switch (f->class >> 8) {
        case 0x0c80:
                return "ucsi";
        case 0x0c03:
                return "usb";
        case 0x0403:
                return "audio";
        default:
                return function_is_display(f) ? "display" : "other";
        }
}

char *function_identity(const Function *f) {
        char *text;

        if (asprintf(&text, "%04x:%04x:%04x:%04x", f->vendor, f->device, f->subsystem_vendor, f->subsystem_device) < 0)
                return NULL;
        return text;
}

/* In small letters, as they are written above: it is compared as text. */
bool function_identity_valid(const char *s) {
        for (size_t i = 0; i < STRLEN("vvvv:dddd:ssss:ssss"); i++)
                if (i % 5 == 4 ? s[i] != ':' : !isxdigit((unsigned char) s[i]) || isupper((unsigned char) s[i]))
                        return false;
        return !s[STRLEN("vvvv:dddd:ssss:ssss")];
}
