/* SPDX-License-Identifier: GPL-2.0-or-later */

/* config-values: the parsers of single values, of which the tables in config.c are made. Each is strict, and takes a
 * value whole or leaves the field as it is. It knows no file and no line: a bad value is -EINVAL, and the message is
 * the caller's. */

#include "config-values.h"

#include <ctype.h>
#include <strings.h>

#include "config.h"
#include "dbus/names.h"
#include "xorg-file.h"

/* What is taken at most. The files are root's, so the limits are against mistakes. */
#define LIST_MAX 32U

static bool name_valid(const char *s) {
        size_t n = strlen(s);

        if (n == 0 || n > GPUPT_WORD_MAX)
                return false;
        for (; *s; s++)
                if (!isalnum((unsigned char) *s) && *s != '_' && *s != '-')
                        return false;
        return true;
}

static bool driver_name_valid(const char *s) {
        return name_valid(s) && isalnum((unsigned char) s[0]);
}

/* Exactly four hex digits, also as "0x10de", the way sysfs shows ids; returns what follows them, or NULL. */
static const char *parse_id(const char *s, uint32_t *ret) {
        uint64_t v;
        char digits[5];

        s = startswith(s, "0x") ?: s;
        if (strlen(s) < 4)
                return NULL;
        memcpy(digits, s, 4);
        digits[4] = '\0';
        if (parse_hex_u64(digits, UINT16_MAX, &v) < 0)
                return NULL;
        *ret = (uint32_t) v;
        return s + 4;
}

/* vvvv:dddd */
static int parse_id_pair(const char *s, uint32_t *ret) {
        uint32_t vendor, device;

        s = parse_id(s, &vendor);
        if (!s || *s != ':')
                return -EINVAL;
        s = parse_id(s + 1, &device);
        if (!s || *s)
                return -EINVAL;
        *ret = vendor << 16 | device;
        return 0;
}

/* An address, ".N", or vendor:device, in the forms that selector_explicit() takes. */
static bool function_entry_valid(const char *s) {
        bool has_function;
        PciAddress a;
        uint32_t ids;

        if (s[0] == '.')
                return s[1] >= '0' && s[1] <= '7' && !s[2];
        if (pci_address_parse_short(s, &a, &has_function) >= 0)
                return has_function;
        return !startswith(s, "0x") && parse_id_pair(s, &ids) >= 0 && strlen(s) == STRLEN("vvvv:dddd");
}

static int set_string(char **field, const char *value) {
        return free_and_strdup(field, *value ? value : NULL);
}

int setting_parse_name(const Setting *s, const char *value, void *config) {
        if (*value && !name_valid(value))
                return -EINVAL;
        return set_string((char **) ((char *) config + s->offset), value);
}

int setting_parse_driver(const Setting *s, const char *value, void *config) {
        if (*value && !driver_name_valid(value))
                return -EINVAL;
        return set_string((char **) ((char *) config + s->offset), value);
}

int setting_parse_default_state(const Setting *s, const char *value, void *config) {
        if (*value && !streq(value, "host") && !streq(value, "vfio"))
                return -EINVAL;
        return set_string((char **) ((char *) config + s->offset), value);
}

int setting_parse_address(const Setting *s, const char *value, void *config) {
        char **field = (char **) ((char *) config + s->offset), buf[PCI_ADDRESS_MAX];
        PciAddress a;

        if (!*value)
                return set_string(field, value);
        if (pci_address_parse(value, &a) < 0)
                return -EINVAL;
        return set_string(field, pci_address_format(&a, buf));
}

int setting_parse_path(const Setting *s, const char *value, void *config) {
        if (strpbrk(value, " \t"))
                return -EINVAL;
        return set_string((char **) ((char *) config + s->offset), value);
}

static int set_id(const char *value, uint32_t *id, bool *has) {
        uint32_t v = 0;

        if (*value) {
                const char *end = parse_id(value, &v);

                if (!end || *end)
                        return -EINVAL;
        }
        *id = v;
        *has = *value;
        return 0;
}

int setting_parse_vendor(const Setting *s, const char *value, void *config) {
        GpuConfig *g = config;

        return set_id(value, &g->match.vendor, &g->match.has_vendor);
}

int setting_parse_device(const Setting *s, const char *value, void *config) {
        GpuConfig *g = config;

        return set_id(value, &g->match.device, &g->match.has_device);
}

int setting_parse_subsystem(const Setting *s, const char *value, void *config) {
        GpuConfig *g = config;
        uint32_t ids = 0;

        if (*value && parse_id_pair(value, &ids) < 0)
                return -EINVAL;
        g->match.subsystem = ids;
        g->match.has_subsystem = *value;
        return 0;
}

/* Adds the words of the value to a list; all of them, or none if one is bad. */
static int extend_list(char ***list, const char *value, bool (*word_valid)(const char *)) {
        _cleanup_strv_free_ char **words = NULL;
        int r;

        for (size_t n; value += strspn(value, " \t"), n = strcspn(value, " \t"), n > 0; value += n) {
                _cleanup_free_ char *word = strndup(value, n);

                if (!word)
                        return -ENOMEM;
                if (!word_valid(word) || strv_length(*list) + strv_length(words) >= LIST_MAX)
                        return -EINVAL;
                r = strv_extend(&words, word);
                if (r < 0)
                        return r;
        }
        if (!words) {
                *list = strv_free(*list);
                return 0;
        }
        for (char **w = words; *w; w++) {
                r = strv_extend(list, *w);
                if (r < 0)
                        return r;
        }
        return 0;
}

int setting_parse_functions(const Setting *s, const char *value, void *config) {
        return extend_list((char ***) ((char *) config + s->offset), value, function_entry_valid);
}

static bool rung_word_valid(const char *s) {
        return rung_from_string(s) >= 0;
}

static bool before_vfio_word_valid(const char *s) {
        static const char *const roles[] = { "display:", "audio:", "usb:", "ucsi:", "other:" };

        for (size_t i = 0; i < ELEMENTSOF(roles); i++)
                if (startswith(s, roles[i])) {
                        s = startswith(s, roles[i]);
                        break;
                }
        return streq(s, "none") || streq(s, "reset") || streq(s, "refresh");
}

int setting_parse_rungs(const Setting *s, const char *value, void *config) {
        return extend_list((char ***) ((char *) config + s->offset), value, rung_word_valid);
}

int setting_parse_before_vfio(const Setting *s, const char *value, void *config) {
        return extend_list((char ***) ((char *) config + s->offset), value, before_vfio_word_valid);
}

int setting_parse_xorg_files(const Setting *s, const char *value, void *config) {
        return extend_list((char ***) ((char *) config + s->offset), value, xorg_file_valid);
}

int setting_parse_units(const Setting *s, const char *value, void *config) {
        return extend_list((char ***) ((char *) config + s->offset), value, service_name_valid);
}

/* The name of a file in some bin directory. */
static bool program_name_valid(const char *s) {
        size_t n = strspn(s, "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789._+-");

        return n > 0 && n <= 64 && s[n] == '\0' && s[0] != '-';
}

int setting_parse_programs(const Setting *s, const char *value, void *config) {
        return extend_list((char ***) ((char *) config + s->offset), value, program_name_valid);
}

static int set_enum(const Setting *s, const char *value, int parsed, void *config) {
        int v = *value ? parsed : (int) s->fallback;

        if (v < 0 && *value)
                return -EINVAL;
        memcpy((char *) config + s->offset, &v, sizeof(v));
        return 0;
}

int setting_parse_after_vm(const Setting *s, const char *value, void *config) {
        return set_enum(s, value, after_vm_from_string(value), config);
}

int setting_parse_idle_power(const Setting *s, const char *value, void *config) {
        return set_enum(s, value, idle_power_from_string(value), config);
}

int setting_parse_last_display(const Setting *s, const char *value, void *config) {
        return set_enum(s, value, last_display_from_string(value), config);
}

int setting_parse_desktops(const Setting *s, const char *value, void *config) {
        return set_enum(s, value, desktops_from_string(value), config);
}

int setting_parse_vm_policy(const Setting *s, const char *value, void *config) {
        return set_enum(s, value, vm_policy_from_string(value), config);
}

int setting_parse_gpu_sleep_policy(const Setting *s, const char *value, void *config) {
        return set_enum(s, value, gpu_sleep_policy_from_string(value), config);
}

int setting_parse_sleep_error_policy(const Setting *s, const char *value, void *config) {
        return set_enum(s, value, sleep_error_policy_from_string(value), config);
}

int setting_parse_lid_policy(const Setting *s, const char *value, void *config) {
        return set_enum(s, value, lid_policy_from_string(value), config);
}

int setting_parse_hook_error_policy(const Setting *s, const char *value, void *config) {
        return set_enum(s, value, hook_error_policy_from_string(value), config);
}

int setting_parse_boolean(const Setting *s, const char *value, void *config) {
        static const struct {
                const char *word;
                bool value;
        } words[] = {
                { "1", true }, { "yes", true }, { "y", true }, { "true", true }, { "t", true }, { "on", true },
                { "0", false }, { "no", false }, { "n", false }, { "false", false }, { "f", false }, { "off", false },
        };
        bool *field = (bool *) ((char *) config + s->offset);

        if (!*value) {
                *field = s->fallback;
                return 0;
        }
        for (size_t i = 0; i < ELEMENTSOF(words); i++)
                if (strcasecmp(words[i].word, value) == 0) {
                        *field = words[i].value;
                        return 0;
                }
        return -EINVAL;
}

int setting_parse_unsigned(const Setting *s, const char *value, void *config) {
        unsigned *field = (unsigned *) ((char *) config + s->offset);
        uint64_t v = s->fallback;

        if (*value && (parse_u64(value, s->max, &v) < 0 || v < s->min))
                return -EINVAL;
        *field = (unsigned) v;
        return 0;
}

/* Seconds of a unit as in systemd.time(7), without those that make no sense here; 0 for an unknown one. */
static unsigned unit_seconds(const char *unit, size_t length) {
        static const struct {
                const char *name;
                unsigned seconds;
        } units[] = {
                { "", 1 }, { "s", 1 }, { "sec", 1 }, { "second", 1 }, { "seconds", 1 },
                { "m", 60 }, { "min", 60 }, { "minute", 60 }, { "minutes", 60 },
                { "h", 3600 }, { "hr", 3600 }, { "hour", 3600 }, { "hours", 3600 },
        };

        for (size_t i = 0; i < ELEMENTSOF(units); i++)
                if (strlen(units[i].name) == length && memcmp(units[i].name, unit, length) == 0)
                        return units[i].seconds;
        return 0;
}

/* "90", "2min 30s" */
int setting_parse_sec(const Setting *s, const char *value, void *config) {
        unsigned *field = (unsigned *) ((char *) config + s->offset);
        uint64_t sum = *value ? 0 : s->fallback;

        while (*value) {
                size_t digits = strspn(value, "0123456789"), letters;
                char number[8];
                uint64_t v;

                if (digits == 0 || digits >= sizeof(number))
                        return -EINVAL;
                memcpy(number, value, digits);
                number[digits] = '\0';
                if (parse_u64(number, UINT32_MAX, &v) < 0)
                        return -EINVAL;
                value += digits;
                value += strspn(value, " \t");
                letters = strspn(value, "abcdefghijklmnopqrstuvwxyz");
                if (unit_seconds(value, letters) == 0)
                        return -EINVAL;
                sum += v * unit_seconds(value, letters);
                if (sum > s->max)
                        return -EINVAL;
                value += letters;
                value += strspn(value, " \t");
        }
        if (sum < s->min)
                return -EINVAL;
        *field = (unsigned) sum;
        return 0;
}
