/* SPDX-License-Identifier: GPL-2.0-or-later */

/* config: the parser of gpuptd.conf and `.gpu` files (config-files.c finds them). It owns nothing but what it
 * returns, opens no file, and says what it cannot use to the caller's function instead of the log. What a setting
 * means for a GPU is not known here.
 *
 * Every assignment ends in one row of a table: section, key, how to parse the value, where it goes. An empty value
 * puts back the default. The values are printable ASCII, since names from here end in paths, D-Bus replies and logs.
 * */

#include "config.h"

#include <ctype.h>
#include <fnmatch.h>
#include <stdarg.h>

#include "dbus/names.h"

/* What is taken at most. The files are root's, so the limits are against mistakes. */
#define VALUE_MAX 1024U
#define LIST_MAX 32U
#define UNIT_NAME_MAX_LENGTH 255U
#define LIMIT_MAX 4096U
#define STEP_TIMEOUT_MAX_SEC (24U * 60U * 60U)

static const char *const after_vm_table[_AFTER_VM_MAX] = {
        [AFTER_VM_KEEP] = "keep", [AFTER_VM_HEAL] = "heal", [AFTER_VM_ATTACH] = "attach",
};
static const char *const idle_power_table[_IDLE_POWER_MAX] = {
        [IDLE_POWER_AUTO] = "auto", [IDLE_POWER_ON] = "on",
};
static const char *const last_display_table[_LAST_DISPLAY_MAX] = {
        [LAST_DISPLAY_PROTECT] = "protect", [LAST_DISPLAY_ALLOW] = "allow",
};

DEFINE_STRING_TABLE(after_vm, AfterVm);
DEFINE_STRING_TABLE(idle_power, IdlePower);
DEFINE_STRING_TABLE(last_display, LastDisplay);

typedef struct Setting Setting;

/* Puts the value (empty: the default) into config, a Config or a GpuConfig. 0, -ENOMEM, or -EINVAL for a bad value.
 * */
typedef int (*parse_t)(const Setting *s, const char *value, void *config);

struct Setting {
        const char *section, *key;
        parse_t parse;
        size_t offset;     /* of the field in the config */
        unsigned min, max; /* of numbers */
        unsigned fallback; /* the default of numbers and enums */
};

GpuConfig *gpu_config_free(GpuConfig *g) {
        if (!g)
                return NULL;
        for (size_t i = 0; i < g->n_extras; i++) {
                free(g->extras[i].key);
                free(g->extras[i].value);
        }
        free(g->extras);
        free(g->file);
        free(g->match.address);
        free(g->match.path);
        free(g->alias);
        (void) strv_free(g->functions);
        free(g->host_driver);
        free(g->vfio_driver);
        free(g->default_state);
        (void) strv_free(g->before_vfio);
        (void) strv_free(g->ladder);
        (void) strv_free(g->forbid);
        (void) strv_free(g->stop_units);
        free(g);
        return NULL;
}

Config *config_free(Config *c) {
        if (!c)
                return NULL;
        for (size_t i = 0; i < c->n_gpus; i++)
                (void) gpu_config_free(c->gpus[i]);
        free(c->gpus);
        free(c);
        return NULL;
}

/* Values */

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

static bool unit_name_valid(const char *s) {
        size_t n = strlen(s);

        if (n > UNIT_NAME_MAX_LENGTH || n <= STRLEN(".service") || !streq(s + n - STRLEN(".service"), ".service"))
                return false;
        for (; *s; s++)
                if (!isalnum((unsigned char) *s) && !strchr(":-_.\\@", *s))
                        return false;
        return true;
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

static int parse_name(const Setting *s, const char *value, void *config) {
        if (*value && !name_valid(value))
                return -EINVAL;
        return set_string((char **) ((char *) config + s->offset), value);
}

static int parse_driver(const Setting *s, const char *value, void *config) {
        if (*value && !driver_name_valid(value))
                return -EINVAL;
        return set_string((char **) ((char *) config + s->offset), value);
}

static int parse_default_state(const Setting *s, const char *value, void *config) {
        if (*value && !streq(value, "host") && !streq(value, "vfio"))
                return -EINVAL;
        return set_string((char **) ((char *) config + s->offset), value);
}

static int parse_address(const Setting *s, const char *value, void *config) {
        char **field = (char **) ((char *) config + s->offset), buf[PCI_ADDRESS_MAX];
        PciAddress a;

        if (!*value)
                return set_string(field, value);
        if (pci_address_parse(value, &a) < 0)
                return -EINVAL;
        return set_string(field, pci_address_format(&a, buf));
}

static int parse_path(const Setting *s, const char *value, void *config) {
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

static int parse_vendor(const Setting *s, const char *value, void *config) {
        GpuConfig *g = config;

        return set_id(value, &g->match.vendor, &g->match.has_vendor);
}

static int parse_device(const Setting *s, const char *value, void *config) {
        GpuConfig *g = config;

        return set_id(value, &g->match.device, &g->match.has_device);
}

static int parse_subsystem(const Setting *s, const char *value, void *config) {
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

static int parse_functions(const Setting *s, const char *value, void *config) {
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

static int parse_rungs(const Setting *s, const char *value, void *config) {
        return extend_list((char ***) ((char *) config + s->offset), value, rung_word_valid);
}

static int parse_before_vfio(const Setting *s, const char *value, void *config) {
        return extend_list((char ***) ((char *) config + s->offset), value, before_vfio_word_valid);
}

static int parse_units(const Setting *s, const char *value, void *config) {
        return extend_list((char ***) ((char *) config + s->offset), value, unit_name_valid);
}

static int set_enum(const Setting *s, const char *value, int parsed, void *config) {
        int v = *value ? parsed : (int) s->fallback;

        if (v < 0 && *value)
                return -EINVAL;
        memcpy((char *) config + s->offset, &v, sizeof(v));
        return 0;
}

static int parse_after_vm(const Setting *s, const char *value, void *config) {
        return set_enum(s, value, after_vm_from_string(value), config);
}

static int parse_idle_power(const Setting *s, const char *value, void *config) {
        return set_enum(s, value, idle_power_from_string(value), config);
}

static int parse_last_display(const Setting *s, const char *value, void *config) {
        return set_enum(s, value, last_display_from_string(value), config);
}

static int parse_unsigned(const Setting *s, const char *value, void *config) {
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
static int parse_sec(const Setting *s, const char *value, void *config) {
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

/* Keeps "Section.Key" for a later release. */
static int parse_extra(const Setting *s, const char *value, void *config) {
        _cleanup_free_ char *key = NULL;
        GpuConfig *g = config;
        struct ConfigExtra *extras;
        size_t i = 0;

        if (asprintf(&key, "%s.%s", s->section, s->key) < 0) {
                key = NULL;
                return -ENOMEM;
        }
        while (i < g->n_extras && !streq(g->extras[i].key, key))
                i++;

        if (!*value) {
                if (i < g->n_extras) {
                        free(g->extras[i].key);
                        free(g->extras[i].value);
                        g->extras[i] = g->extras[--g->n_extras];
                }
                return 0;
        }
        if (i < g->n_extras)
                return free_and_strdup(&g->extras[i].value, value);

        extras = reallocarray(g->extras, g->n_extras + 1, sizeof(struct ConfigExtra));
        if (!extras)
                return -ENOMEM;
        g->extras = extras;
        extras[i].value = strdup(value);
        if (!extras[i].value)
                return -ENOMEM;
        extras[i].key = TAKE_PTR(key);
        g->n_extras++;
        return 0;
}

/* A later release acts on it. */
static int parse_unused(const Setting *s, const char *value, void *config) {
        return 0;
}

static const Setting main_settings[] = {
        { "Daemon", "StepTimeoutSec", parse_sec, offsetof(Config, step_timeout_sec), 0, STEP_TIMEOUT_MAX_SEC, 0 },
        { "Daemon", "WaitSec", parse_sec, offsetof(Config, wait_sec), 0, GPUPT_WAIT_MAX_SEC, GPUPT_WAIT_DEFAULT_SEC },
        { "Daemon", "LimitJobs", parse_unsigned, offsetof(Config, jobs_per_sender), 1, LIMIT_MAX, 16 },
        { "Daemon", "LimitQueries", parse_unsigned, offsetof(Config, queries_per_sender), 1, LIMIT_MAX, 8 },
        { "Daemon", "LimitLeases", parse_unsigned, offsetof(Config, leases_per_sender), 1, LIMIT_MAX, 8 },
        { "Session", "LastDisplay", parse_last_display, offsetof(Config, last_display), 0, 0, LAST_DISPLAY_PROTECT },
        { "Sleep", "Gate", parse_unused, 0, 0, 0, 0 },
        { "Sleep", "VirtualMachine", parse_unused, 0, 0, 0, 0 },
        { "Sleep", "Restartable", parse_unused, 0, 0, 0, 0 },
        { "Sleep", "Gpu", parse_unused, 0, 0, 0, 0 },
        { "Sleep", "OnError", parse_unused, 0, 0, 0, 0 },
        { "Sleep", "TimeoutSec", parse_unused, 0, 0, 0, 0 },
        { "Sleep", "LidClosed", parse_unused, 0, 0, 0, 0 },
};

static const Setting gpu_settings[] = {
        { "Match", "Address", parse_address, offsetof(GpuConfig, match.address), 0, 0, 0 },
        { "Match", "Path", parse_path, offsetof(GpuConfig, match.path), 0, 0, 0 },
        { "Match", "Vendor", parse_vendor, 0, 0, 0, 0 },
        { "Match", "Device", parse_device, 0, 0, 0, 0 },
        { "Match", "Subsystem", parse_subsystem, 0, 0, 0, 0 },
        { "Gpu", "Alias", parse_name, offsetof(GpuConfig, alias), 0, 0, 0 },
        { "Gpu", "Functions", parse_functions, offsetof(GpuConfig, functions), 0, 0, 0 },
        { "Gpu", "HostDriver", parse_driver, offsetof(GpuConfig, host_driver), 0, 0, 0 },
        { "Gpu", "VfioDriver", parse_driver, offsetof(GpuConfig, vfio_driver), 0, 0, 0 },
        { "Gpu", "Default", parse_default_state, offsetof(GpuConfig, default_state), 0, 0, 0 },
        { "Gpu", "AfterVm", parse_after_vm, offsetof(GpuConfig, after_vm), 0, 0, AFTER_VM_HEAL },
        { "Gpu", "IdlePower", parse_idle_power, offsetof(GpuConfig, idle_power), 0, 0, IDLE_POWER_AUTO },
        { "Gpu", "BeforeVfio", parse_before_vfio, offsetof(GpuConfig, before_vfio), 0, 0, 0 },
        { "Reset", "Ladder", parse_rungs, offsetof(GpuConfig, ladder), 0, 0, 0 },
        { "Reset", "Forbid", parse_rungs, offsetof(GpuConfig, forbid), 0, 0, 0 },
        { "Sleep", "VirtualMachine", parse_extra, 0, 0, 0, 0 },
        { "Sleep", "Restartable", parse_extra, 0, 0, 0, 0 },
        { "Sleep", "Gpu", parse_extra, 0, 0, 0, 0 },
        { "Sleep", "OnError", parse_extra, 0, 0, 0, 0 },
        { "Sleep", "TimeoutSec", parse_extra, 0, 0, 0, 0 },
        { "Sleep", "LidClosed", parse_extra, 0, 0, 0, 0 },
        { "Session", "LastDisplay", parse_last_display, offsetof(GpuConfig, last_display), 0, 0,
          (unsigned) _LAST_DISPLAY_INVALID },
        { "Session", "StopUnits", parse_units, offsetof(GpuConfig, stop_units), 0, 0, 0 },
        { "Session", "XorgFiles", parse_extra, 0, 0, 0, 0 },
};

/* Text */

typedef struct Parser {
        const char *file;
        unsigned line; /* where the logical line began */
        config_warn_t warn;
        void *userdata;
        const Setting *settings;
        size_t n_settings;
        void *config;
        const char *section; /* of the table; NULL: none yet, or an unknown one */
        bool in_unknown;     /* in a section that is not in the table: nothing of it is complained about */
        bool match_broken;   /* a line of [Match] could not be used */
} Parser;

static void warn(const Parser *p, const char *format, ...) _printf_(2, 3);
static void warn(const Parser *p, const char *format, ...) {
        _cleanup_free_ char *message = NULL;
        va_list ap;

        va_start(ap, format);
        if (vasprintf(&message, format, ap) < 0)
                message = NULL;
        va_end(ap);
        if (message && p->warn)
                p->warn(p->file, p->line, message, p->userdata);
}

static char *strip(char *s) {
        size_t n;

        s += strspn(s, " \t\r");
        n = strlen(s);
        while (n > 0 && strchr(" \t\r", s[n - 1]))
                n--;
        s[n] = '\0';
        return s;
}

static bool ends_in_continuation(const char *s, size_t n) {
        bool escaped = false;

        for (size_t i = 0; i < n; i++)
                escaped = !escaped && s[i] == '\\';
        return escaped;
}

/* Copies the next logical line into buf, which is as large as the whole text. Comment lines are left out, also in the
 * middle of a continued line; each backslash and newline become one space. False at the end. */
static bool next_line(const char **text, unsigned *physical, char *buf, unsigned *ret_line) {
        size_t n = 0;
        bool continued = false;

        while (**text) {
                const char *begin = *text;
                size_t length = strcspn(begin, "\n");
                const char *first = begin + strspn(begin, " \t\r");

                *text += length + (begin[length] == '\n');
                (*physical)++;
                if (*first == '#' || *first == ';')
                        continue;
                if (!continued)
                        *ret_line = *physical;
                if (length > 0 && begin[length - 1] == '\r')
                        length--;
                memcpy(buf + n, begin, length);
                n += length;
                continued = ends_in_continuation(begin, length);
                if (!continued) {
                        buf[n] = '\0';
                        return true;
                }
                buf[n - 1] = ' ';
        }
        buf[n] = '\0';
        return continued;
}

static bool printable(const char *s) {
        for (; *s; s++)
                if ((*s < ' ' || *s > '~') && *s != '\t')
                        return false;
        return true;
}

static void parse_section(Parser *p, char *line) {
        size_t n = strlen(line);

        p->section = NULL;
        p->in_unknown = true;
        if (!printable(line)) {
                warn(p, "Section header with characters that are not printable ASCII, ignoring the section.");
                return;
        }
        if (line[n - 1] != ']') {
                warn(p, "Section header without ']', ignoring the section.");
                return;
        }
        line[n - 1] = '\0';
        line++;
        for (size_t i = 0; i < p->n_settings; i++)
                if (streq(p->settings[i].section, line)) {
                        p->section = p->settings[i].section;
                        p->in_unknown = false;
                        return;
                }
        if (!startswith(line, "X-"))
                warn(p, "Unknown section [%.64s], ignoring it.", line);
}

static const Setting *find_setting(const Parser *p, const char *key) {
        for (size_t i = 0; i < p->n_settings; i++)
                if (streq(p->settings[i].section, p->section) && streq(p->settings[i].key, key))
                        return p->settings + i;
        return NULL;
}

static int parse_assignment(Parser *p, char *line) {
        char *key, *value, *equals = strchr(line, '=');
        const Setting *s;
        int r;

        if (!equals) {
                warn(p, "Line without '=', ignoring it.");
                return -EINVAL;
        }
        *equals = '\0';
        key = strip(line);
        value = strip(equals + 1);
        if (startswith(key, "X-"))
                return 0;

        s = find_setting(p, key);
        if (!s) {
                warn(p, "Unknown key %.64s= in section [%s], ignoring it.", key, p->section);
                return -EINVAL;
        }
        if (strlen(value) > VALUE_MAX) {
                warn(p, "Value of %s= is longer than %u characters, ignoring it.", s->key, VALUE_MAX);
                return -EINVAL;
        }
        r = s->parse(s, value, p->config);
        if (r == -EINVAL)
                warn(p, "Bad value for %s=, ignoring it: %.128s", s->key, value);
        return r;
}

static int parse_line(Parser *p, char *line) {
        int r;

        line = strip(line);
        if (!*line)
                return 0;
        if (*line == '[') {
                parse_section(p, line);
                return 0;
        }
        if (p->in_unknown)
                return 0;
        if (!p->section) {
                warn(p, "Assignment outside of a section, ignoring it.");
                return 0;
        }
        if (printable(line))
                r = parse_assignment(p, line);
        else {
                warn(p, "Line with characters that are not printable ASCII, ignoring it.");
                r = -EINVAL;
        }
        if (r == -EINVAL) {
                if (streq_ptr(p->section, "Match"))
                        p->match_broken = true;
                return 0;
        }
        return r;
}

static int parse_text(Parser *p, const char *text) {
        _cleanup_free_ char *line = NULL;
        unsigned physical = 0;
        int r;

        /* Editors of other systems put a byte order mark there. */
        text = startswith(text, "\xef\xbb\xbf") ?: text;
        line = malloc(strlen(text) + 1);
        if (!line)
                return -ENOMEM;
        while (next_line(&text, &physical, line, &p->line)) {
                r = parse_line(p, line);
                if (r < 0)
                        return r;
        }
        return 0;
}

/* Puts an empty value into every setting: the defaults have one place. */
static int set_defaults(const Setting *settings, size_t n, void *config) {
        for (size_t i = 0; i < n; i++) {
                int r = settings[i].parse(settings + i, "", config);

                if (r < 0)
                        return r;
        }
        return 0;
}

Config *config_new(void) {
        _cleanup_(config_freep) Config *c = NULL;

        c = calloc(1, sizeof(Config));
        if (!c || set_defaults(main_settings, ELEMENTSOF(main_settings), c) < 0)
                return NULL;
        return TAKE_PTR(c);
}

int config_parse_main(Config *c, const char *file, const char *text, config_warn_t warn_function, void *userdata) {
        Parser p = {
                .file = file, .warn = warn_function, .userdata = userdata,
                .settings = main_settings, .n_settings = ELEMENTSOF(main_settings), .config = c,
        };

        return parse_text(&p, text);
}

static bool match_is_empty(const GpuConfig *g) {
        return !g->match.address && !g->match.path && !g->match.has_vendor && !g->match.has_device &&
               !g->match.has_subsystem;
}

int config_parse_gpu(const char *file, const char *text, config_warn_t warn_function, void *userdata,
                     GpuConfig **ret) {
        _cleanup_(gpu_config_freep) GpuConfig *g = NULL;
        Parser p = {
                .file = file, .warn = warn_function, .userdata = userdata,
                .settings = gpu_settings, .n_settings = ELEMENTSOF(gpu_settings),
        };
        int r;

        p.config = g = calloc(1, sizeof(GpuConfig));
        if (!g)
                return -ENOMEM;
        g->file = strdup(file);
        if (!g->file)
                return -ENOMEM;
        r = set_defaults(gpu_settings, ELEMENTSOF(gpu_settings), g);
        if (r < 0)
                return r;
        r = parse_text(&p, text);
        if (r < 0)
                return r;

        p.line = 0;
        g->match.unusable = p.match_broken;
        if (g->match.unusable)
                warn(&p, "A line of [Match] cannot be used, so the file applies to no card.");
        else if (match_is_empty(g))
                warn(&p, "Nothing in [Match], so the file applies to no card.");
        *ret = TAKE_PTR(g);
        return 0;
}

const char *config_before_vfio(const GpuConfig *g, const Function *f) {
        const char *found = "none";

        for (char **w = g ? g->before_vfio : NULL; w && *w; w++) {
                const char *colon = strchr(*w, ':');

                if (!colon)
                        found = *w;
                else if (strncmp(*w, function_role(f), (size_t) (colon - *w)) == 0 &&
                         strlen(function_role(f)) == (size_t) (colon - *w))
                        found = colon + 1;
        }
        return found;
}

const GpuConfig *config_match(const Config *c, const Function *display) {
        for (size_t i = 0; i < c->n_gpus; i++) {
                const GpuConfig *g = c->gpus[i];
                uint32_t subsystem = (uint32_t) display->subsystem_vendor << 16 | display->subsystem_device;

                if (g->match.unusable || match_is_empty(g))
                        continue;
                if (g->match.address && !streq(g->match.address, display->address))
                        continue;
                if (g->match.path && (!display->path || fnmatch(g->match.path, display->path, 0) != 0))
                        continue;
                if (g->match.has_vendor && g->match.vendor != display->vendor)
                        continue;
                if (g->match.has_device && g->match.device != display->device)
                        continue;
                if (g->match.has_subsystem && g->match.subsystem != subsystem)
                        continue;
                return g;
        }
        return NULL;
}
