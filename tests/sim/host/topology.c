/* SPDX-License-Identifier: GPL-2.0-or-later */

/* topology: see topology.h. One statement a line, words as a shell would split them. */

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>

#include "host/topology.h"
#include "model/model.h"
#include "util/cleanup.h"

typedef struct Option {
        const char *name;
        bool (*parse)(void *object, const char *value); /* value is "" for a bare word */
} Option;

static int load_file(const char *path, GPtrArray *commands, char **ret_error);

static bool apply_options(const Option *options, void *object, char **words, char **ret_error) {
        for (; *words; words++) {
                size_t n = strcspn(*words, "=");
                const char *value = (*words)[n] ? *words + n + 1 : *words + n;
                const Option *o;

                for (o = options; o->name; o++)
                        if (strlen(o->name) == n && strncmp(o->name, *words, n) == 0)
                                break;
                if (!o->name || !o->parse(object, value)) {
                        *ret_error = g_strdup_printf("'%s' is not understood", *words);
                        return false;
                }
        }
        return true;
}

static bool parse_hex(const char *text, unsigned long max, unsigned long *ret) {
        char *end;

        *ret = strtoul(text, &end, 16);
        return *text && !*end && *ret <= max;
}

static bool parse_pair(const char *text, uint16_t *ret_first, uint16_t *ret_second) {
        unsigned first, second;
        int n = 0;

        if (sscanf(text, "%4x:%4x%n", &first, &second, &n) != 2 || text[n])
                return false;
        *ret_first = (uint16_t) first;
        *ret_second = (uint16_t) second;
        return true;
}

/* Functions and bridges */

static bool device_id(void *object, const char *value) {
        Device *d = object;

        return parse_pair(value, &d->vendor, &d->device);
}

static bool device_subsystem(void *object, const char *value) {
        Device *d = object;

        return parse_pair(value, &d->subsystem_vendor, &d->subsystem_device);
}

static bool device_class(void *object, const char *value) {
        unsigned long class;

        if (!parse_hex(value, 0xffffff, &class))
                return false;
        ((Device *) object)->class = (uint32_t) class;
        return true;
}

static bool device_revision(void *object, const char *value) {
        unsigned long revision;

        if (!parse_hex(value, 0xff, &revision))
                return false;
        ((Device *) object)->revision = (uint8_t) revision;
        return true;
}

static bool device_secondary(void *object, const char *value) {
        unsigned long bus;

        if (!parse_hex(value, 0xff, &bus) || bus == 0)
                return false;
        ((Device *) object)->secondary = (unsigned) bus;
        return true;
}

static bool device_group(void *object, const char *value) {
        ((Device *) object)->group_number = atoi(value);
        return g_ascii_isdigit(*value);
}

static bool device_reset(void *object, const char *value) {
        ((Device *) object)->reset_methods = g_strsplit(value, ",", -1);
        return true;
}

static bool device_connectors(void *object, const char *value) {
        ((Device *) object)->connectors = g_strsplit(value, ",", -1);
        return true;
}

static bool device_rom(void *object, const char *value) {
        Device *d = object;

        d->rom_size = (unsigned) strtoul(value, NULL, 10);
        return d->rom_size >= 512 && d->rom_size % 512 == 0 && d->rom_size <= 65536;
}

static bool device_power(void *object, const char *value) {
        ((Device *) object)->initial_power_auto = streq(value, "auto");
        return streq(value, "auto") || streq(value, "on");
}

static bool device_d3cold_allowed(void *object, const char *value) {
        ((Device *) object)->initial_d3cold_allowed = streq(value, "1");
        return streq(value, "0") || streq(value, "1");
}

static bool device_slot(void *object, const char *value) {
        Device *d = object;

        if (!d->secondary || !*value)
                return false;
        slot_add(d, value);
        return true;
}

static bool device_cure(void *object, const char *value) {
        return sickness_add_cures(object, value);
}

static bool device_sensors(void *object, const char *value) {
        return sensors_parse(object, value);
}

static bool device_connector_delay(void *object, const char *value) {
        ((Device *) object)->connector_delay_ms = (unsigned) strtoul(value, NULL, 10);
        return g_ascii_isdigit(*value);
}

static bool device_symptom(void *object, const char *value) {
        g_auto(GStrv) words = g_strsplit(value, ",", -1);
        Device *d = object;

        d->symptoms = 0;
        for (char **w = words; *w; w++) {
                unsigned symptom = symptom_from_name(*w);

                if (symptom == 0)
                        return false;
                d->symptoms |= symptom;
        }
        return true;
}

/* `sick-after-vm=METHOD,…`: the methods are those that help. */
static bool device_sick_after_vm(void *object, const char *value) {
        ((Device *) object)->sick_after_vm = true;
        return *value == 0 || sickness_add_cures(object, value);
}

static bool device_sick_after_vfio(void *object, const char *value) {
        ((Device *) object)->sick_after_vfio = true;
        return *value == 0 || sickness_add_cures(object, value);
}

static bool device_bbswitch(void *object, const char *value) {
        power_switch_init(object);
        return (streq(value, "off") || *value == 0) && power_switch_set("bbswitch", *value == 0);
}

static bool device_nvhda(_unused_ void *object, const char *value) {
        return (streq(value, "off") || *value == 0) && power_switch_set("nvhda", *value == 0);
}

#define FLAG(name, field)                                                        \
        static bool device_##name(void *object, const char *value) {             \
                ((Device *) object)->field = true;                               \
                return *value == 0;                                              \
        }                                                                        \
        struct __useless_struct_to_allow_semicolon__

FLAG(boot_vga, boot_vga);
FLAG(no_bus_reset, no_bus_reset);
FLAG(d3cold, d3cold);
FLAG(dead, dead);
FLAG(unbound, keep_unbound);
FLAG(lost_in_d3cold, lost_in_d3cold);
FLAG(no_legacy_vga, vga_owns_none);

static bool device_unplugged(void *object, const char *value) {
        ((Device *) object)->plugged = false;
        return *value == 0;
}

static const Option device_options[] = {
        { "id", device_id },
        { "subsystem", device_subsystem },
        { "class", device_class },
        { "revision", device_revision },
        { "secondary", device_secondary },
        { "group", device_group },
        { "reset", device_reset },
        { "connectors", device_connectors },
        { "rom", device_rom },
        { "power", device_power },
        { "d3cold-allowed", device_d3cold_allowed },
        { "slot", device_slot },
        { "boot-vga", device_boot_vga },
        { "no-bus-reset", device_no_bus_reset },
        { "d3cold", device_d3cold },
        { "dead", device_dead },
        { "unbound", device_unbound },
        { "unplugged", device_unplugged },
        { "sensors", device_sensors },
        { "connector-delay", device_connector_delay },
        { "symptom", device_symptom },
        { "cure", device_cure },
        { "sick-after-vm", device_sick_after_vm },
        { "sick-after-vfio", device_sick_after_vfio },
        { "lost-in-d3cold", device_lost_in_d3cold },
        { "no-legacy-vga", device_no_legacy_vga },
        { "bbswitch", device_bbswitch },
        { "nvhda", device_nvhda },
        {},
};

static bool add_device(char **words, uint32_t class, char **ret_error) {
        Device *d = words[0] ? device_new(words[0]) : NULL;

        if (!d) {
                *ret_error = g_strdup_printf("'%s' is no address, or taken", strempty(words[0]));
                return false;
        }
        d->class = class;
        return apply_options(device_options, d, words + 1, ret_error);
}

static bool statement_bridge(char **words, char **ret_error) {
        return add_device(words, 0x060400, ret_error);
}

static bool statement_function(char **words, char **ret_error) {
        return add_device(words, 0, ret_error);
}

/* `change ADDRESS OPTION…`: of what an included file has declared. */
static bool statement_change(char **words, char **ret_error) {
        Device *d = words[0] ? device_find(words[0]) : NULL;

        if (!d) {
                *ret_error = g_strdup_printf("'%s' is not declared", strempty(words[0]));
                return false;
        }
        return apply_options(device_options, d, words + 1, ret_error);
}

/* `generate N`: functions of a large server, 32 slots of 8 functions on each bus of as many domains as it takes; every
 * eighth is a display. Each has a group of its own. */
static bool statement_generate(char **words, char **ret_error) {
        unsigned count = words[0] ? (unsigned) strtoul(words[0], NULL, 10) : 0;

        if (count == 0 || count > 65536 * 16) {
                *ret_error = g_strdup("a number of functions is missing");
                return false;
        }
        for (unsigned i = 0; i < count; i++) {
                g_autofree char *address = g_strdup_printf("%04x:%02x:%02x.%u", 1 + i / 65536, i / 256 % 256, i / 8 % 32,
                                                           i % 8);
                Device *d = device_new(address);

                d->vendor = i % 8 == 0 ? 0x10de : 0x8086;
                d->device = i % 8 == 0 ? 0x1eb8 : 0x1572;
                d->class = i % 8 == 0 ? 0x030200 : 0x020000;
                d->group_number = (int) i;
                d->reset_methods = g_strsplit("flr", ",", -1);
        }
        return true;
}

/* VFCT */

static bool image_id(void *object, const char *value) {
        VfctImage *image = object;

        return parse_pair(value, &image->vendor, &image->device);
}

static bool image_subsystem(void *object, const char *value) {
        VfctImage *image = object;

        return parse_pair(value, &image->subsystem_vendor, &image->subsystem_device);
}

static bool image_revision(void *object, const char *value) {
        unsigned long revision;

        if (!parse_hex(value, 0xff, &revision))
                return false;
        ((VfctImage *) object)->revision = (unsigned) revision;
        return true;
}

static bool image_size(void *object, const char *value) {
        VfctImage *image = object;

        image->size = (unsigned) strtoul(value, NULL, 10);
        return image->size >= 512 && image->size % 512 == 0 && image->size <= 255 * 512;
}

static const Option image_options[] = {
        { "id", image_id }, { "subsystem", image_subsystem }, { "revision", image_revision }, { "size", image_size }, {},
};

/* `vfct file PATH`, or one image a line: `vfct BB:DD.F id=V:D [subsystem=V:D] [revision=HH] [size=BYTES]`. */
static bool statement_vfct(char **words, char **ret_error) {
        VfctImage image = { .size = 16896 };

        if (streq_ptr(words[0], "file") && words[1]) {
                if (vfct_load(words[1]))
                        return true;
                *ret_error = g_strdup_printf("%s: cannot be read", words[1]);
                return false;
        }
        if (!words[0] || sscanf(words[0], "%2x:%2x.%1u", &image.bus, &image.slot, &image.function) != 3) {
                *ret_error = g_strdup("an address such as c5:00.0 is missing");
                return false;
        }
        if (!apply_options(image_options, &image, words + 1, ret_error))
                return false;
        vfct_add_image(&image);
        return true;
}

/* Drivers and modules */

static const struct {
        const char *name;
        unsigned feature;
} features[] = {
        { "vfio", FEATURE_VFIO },     { "drm", FEATURE_DRM },
        { "fb", FEATURE_FB },         { "hwmon", FEATURE_HWMON },
        { "i2c", FEATURE_I2C },       { "nvidia", FEATURE_NVIDIA },
        { "kfd", FEATURE_KFD },       { "sound", FEATURE_SOUND },
        { "managed", FEATURE_MANAGED }, { "override-only", FEATURE_OVERRIDE_ONLY },
        { "vga-client", FEATURE_VGA_CLIENT },
};

static bool driver_module(void *object, const char *value) {
        ((Driver *) object)->module = module_get(value);
        return *value != 0;
}

static bool driver_alias(void *object, const char *value) {
        return strv_extend(&((Driver *) object)->aliases, value) >= 0;
}

static bool driver_features(void *object, const char *value) {
        g_auto(GStrv) words = g_strsplit(value, ",", -1);

        for (char **w = words; *w; w++) {
                size_t i;

                for (i = 0; i < ELEMENTSOF(features) && !streq(features[i].name, *w); i++)
                        ;
                if (i == ELEMENTSOF(features))
                        return false;
                ((Driver *) object)->features |= features[i].feature;
        }
        return true;
}

static const Option driver_options[] = {
        { "module", driver_module },
        { "alias", driver_alias },
        { "features", driver_features },
        {},
};

static bool statement_driver(char **words, char **ret_error) {
        Driver *drv;

        if (!words[0]) {
                *ret_error = g_strdup("a name is missing");
                return false;
        }
        drv = driver_find(words[0]) ?: driver_new(words[0]);
        return apply_options(driver_options, drv, words + 1, ret_error);
}

static bool module_loaded(void *object, const char *value) {
        Module *m = object;

        m->loaded = true;
        for (char **u = m->uses; u && *u; u++)
                (void) module_loaded(module_get(*u), value);
        return *value == 0;
}

static bool module_builtin(void *object, const char *value) {
        Module *m = object;

        m->loaded = m->builtin = true;
        return *value == 0;
}

static bool module_absent(void *object, const char *value) {
        Module *m = object;

        m->loaded = m->installed = false;
        return *value == 0;
}

static bool module_refs(void *object, const char *value) {
        ((Module *) object)->references = (unsigned) strtoul(value, NULL, 10);
        return g_ascii_isdigit(*value);
}

static bool module_uses(void *object, const char *value) {
        Module *m = object;

        m->uses = g_strsplit(value, ",", -1);
        for (char **u = m->uses; *u; u++)
                (void) module_get(*u);
        return true;
}

static const Option module_options[] = {
        { "loaded", module_loaded },
        { "builtin", module_builtin },
        { "absent", module_absent },
        { "refs", module_refs },
        { "uses", module_uses },
        {},
};

static bool statement_module(char **words, char **ret_error) {
        if (!words[0]) {
                *ret_error = g_strdup("a name is missing");
                return false;
        }
        return apply_options(module_options, module_get(words[0]), words + 1, ret_error);
}

/* The machine */

static bool statement_kernel(char **words, char **ret_error) {
        unsigned major, minor;

        if (!words[0] || sscanf(words[0], "%u.%u", &major, &minor) != 2) {
                *ret_error = g_strdup("a version such as 6.1 is missing");
                return false;
        }
        machine.kernel = major * 100 + minor;
        return true;
}

static bool statement_iommu(char **words, char **ret_error) {
        static const char *const names[] = {
                [IOMMU_NONE] = "none", [IOMMU_INTEL] = "intel", [IOMMU_AMD] = "amd", [IOMMU_OTHER] = "other",
        };

        for (size_t i = 0; i < ELEMENTSOF(names); i++)
                if (streq_ptr(words[0], names[i])) {
                        machine.iommu = (IommuKind) i;
                        return true;
                }
        *ret_error = g_strdup("none, intel, amd or other is missing");
        return false;
}

static bool statement_autoload(_unused_ char **words, _unused_ char **ret_error) {
        machine.autoload = true;
        return true;
}

static const struct {
        const char *name;
        bool (*run)(char **words, char **ret_error);
} statements[] = {
        { "kernel", statement_kernel },     { "iommu", statement_iommu },   { "bridge", statement_bridge },
        { "function", statement_function }, { "driver", statement_driver }, { "module", statement_module },
        { "generate", statement_generate }, { "change", statement_change },
        { "autoload", statement_autoload }, { "vfct", statement_vfct },
};

static int load_line(const char *path, char *line, GPtrArray *commands, char **ret_error) {
        g_auto(GStrv) words = NULL;
        g_autofree char *directory = NULL, *file = NULL;

        if (*g_strchug(line) == 0 || *line == '#')
                return 0;
        if (!g_shell_parse_argv(line, NULL, &words, NULL)) {
                *ret_error = g_strdup("quotes do not match");
                return -EINVAL;
        }
        if (streq(words[0], "include") && words[1]) {
                directory = g_path_get_dirname(path);
                file = g_canonicalize_filename(words[1], directory);
                return load_file(file, commands, ret_error);
        }
        for (size_t i = 0; i < ELEMENTSOF(statements); i++)
                if (streq(statements[i].name, words[0]))
                        return statements[i].run(words + 1, ret_error) ? 0 : -EINVAL;
        g_ptr_array_add(commands, g_strdup(line));
        return 0;
}

static int load_file(const char *path, GPtrArray *commands, char **ret_error) {
        g_autofree char *text = NULL;
        g_auto(GStrv) lines = NULL;
        int r;

        if (!g_file_get_contents(path, &text, NULL, NULL)) {
                *ret_error = g_strdup_printf("%s: cannot be read", path);
                return -ENOENT;
        }
        lines = g_strsplit(text, "\n", -1);
        for (unsigned i = 0; lines[i]; i++) {
                g_autofree char *error = NULL;

                r = load_line(path, lines[i], commands, &error);
                if (r < 0) {
                        *ret_error = g_strdup_printf("%s:%u: %s", path, i + 1, error);
                        return r;
                }
        }
        return 0;
}

/* A function is below the bridge whose secondary bus it is on. */
static void find_bridges(void) {
        g_autoptr(GHashTable) bridges = g_hash_table_new(g_direct_hash, g_direct_equal);

        for (unsigned i = 0; i < machine.devices->len; i++) {
                Device *d = g_ptr_array_index(machine.devices, i);

                if (d->secondary)
                        g_hash_table_insert(bridges, GUINT_TO_POINTER(d->domain << 8 | d->secondary), d);
        }
        for (unsigned i = 0; i < machine.devices->len; i++) {
                Device *d = g_ptr_array_index(machine.devices, i);

                d->bridge = g_hash_table_lookup(bridges, GUINT_TO_POINTER(d->domain << 8 | d->bus));
        }
}

int topology_load(const char *path, GPtrArray **ret_commands, char **ret_error) {
        GPtrArray *commands = g_ptr_array_new_with_free_func(g_free);
        int r;

        r = load_file(path, commands, ret_error);
        if (r < 0) {
                g_ptr_array_unref(commands);
                return r;
        }
        find_bridges();
        *ret_commands = commands;
        return 0;
}
