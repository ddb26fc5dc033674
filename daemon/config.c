/* SPDX-License-Identifier: GPL-2.0-or-later */

/* config: the parser of gpuptd.conf and `.gpu` files (config-files.c finds them). It owns nothing but what it
 * returns, opens no file, and says what it cannot use to the caller's function instead of the log. What a setting
 * means for a GPU is not known here.
 *
 * Every assignment ends in one row of a table: section, key, how to parse the value (config-values.c), where it
 * goes. An empty value puts back the default. The values are printable ASCII, since names from here end in paths,
 * D-Bus replies and logs. */

#include "config.h"

#include <fnmatch.h>
#include <stdarg.h>

#include "config-values.h"
#include "dbus/names.h"

/* What is taken at most. The files are root's, so the limits are against mistakes. */
#define VALUE_MAX 1024U
#define LIMIT_MAX 4096U
#define STEP_TIMEOUT_MAX_SEC (24U * 60U * 60U)
#define HOOK_TIMEOUT_MAX_SEC 600U

static const char *const after_vm_table[_AFTER_VM_MAX] = {
        [AFTER_VM_KEEP] = "keep", [AFTER_VM_HEAL] = "heal", [AFTER_VM_ATTACH] = "attach",
};
static const char *const idle_power_table[_IDLE_POWER_MAX] = {
        [IDLE_POWER_AUTO] = "auto", [IDLE_POWER_ON] = "on",
};
static const char *const last_display_table[_LAST_DISPLAY_MAX] = {
        [LAST_DISPLAY_PROTECT] = "protect", [LAST_DISPLAY_ALLOW] = "allow",
};
static const char *const desktops_table[_DESKTOPS_MAX] = {
        [DESKTOPS_USE] = "use", [DESKTOPS_LEAVE] = "leave",
};
static const char *const hook_error_policy_table[_HOOK_ERROR_POLICY_MAX] = {
        [HOOK_ERROR_REFUSE] = "refuse", [HOOK_ERROR_CONTINUE] = "continue",
};

DEFINE_STRING_TABLE(after_vm, AfterVm);
DEFINE_STRING_TABLE(idle_power, IdlePower);
DEFINE_STRING_TABLE(last_display, LastDisplay);
DEFINE_STRING_TABLE(desktops, Desktops);
DEFINE_STRING_TABLE(hook_error_policy, HookErrorPolicy);

GpuConfig *gpu_config_free(GpuConfig *g) {
        if (!g)
                return NULL;
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
        (void) strv_free(g->xorg_files);
        (void) strv_free(g->ask_compositors);
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

/* [Sleep] of both files. Of a `.gpu` file it is noted which keys it has: the others are those of gpuptd.conf. */
#define NOTED(field) offsetof(GpuConfig, sleep_given.field)
#define NOT_NOTED(field) 0
#define SLEEP_SETTINGS(type, note)                                                                             \
        { "Sleep", "VirtualMachine", .parse = setting_parse_vm_policy,                                         \
          .offset = offsetof(type, sleep.vm), .given = note(vm), .fallback = VM_POLICY_AUTO },                 \
        { "Sleep", "Restartable", .parse = setting_parse_boolean,                                              \
          .offset = offsetof(type, sleep.restartable), .given = note(restartable), .fallback = false },        \
        { "Sleep", "Gpu", .parse = setting_parse_gpu_sleep_policy,                                             \
          .offset = offsetof(type, sleep.gpu), .given = note(gpu), .fallback = GPU_SLEEP_KEEP },               \
        { "Sleep", "OnError", .parse = setting_parse_sleep_error_policy,                                       \
          .offset = offsetof(type, sleep.on_error), .given = note(on_error), .fallback = SLEEP_ERROR_VETO },   \
        { "Sleep", "LidClosed", .parse = setting_parse_lid_policy,                                             \
          .offset = offsetof(type, sleep.lid_closed), .given = note(lid_closed), .fallback = LID_AUTO },       \
        { "Sleep", "TimeoutSec", .parse = setting_parse_sec,                                                   \
          .offset = offsetof(type, sleep.timeout_sec), .given = note(timeout_sec),                             \
          .min = SLEEP_TIMEOUT_MIN_SEC, .max = SLEEP_TIMEOUT_MAX_SEC, .fallback = SLEEP_TIMEOUT_DEFAULT_SEC },

static const Setting main_settings[] = {
        { "Daemon", "StepTimeoutSec", .parse = setting_parse_sec,
          .offset = offsetof(Config, step_timeout_sec), .max = STEP_TIMEOUT_MAX_SEC },
        { "Daemon", "WaitSec", .parse = setting_parse_sec,
          .offset = offsetof(Config, wait_sec), .max = GPUPT_WAIT_MAX_SEC, .fallback = GPUPT_WAIT_DEFAULT_SEC },
        { "Daemon", "LimitJobs", .parse = setting_parse_unsigned,
          .offset = offsetof(Config, jobs_per_sender), .min = 1, .max = LIMIT_MAX, .fallback = 16 },
        { "Daemon", "LimitQueries", .parse = setting_parse_unsigned,
          .offset = offsetof(Config, queries_per_sender), .min = 1, .max = LIMIT_MAX, .fallback = 8 },
        { "Daemon", "LimitLeases", .parse = setting_parse_unsigned,
          .offset = offsetof(Config, leases_per_sender), .min = 1, .max = LIMIT_MAX, .fallback = 8 },
        { "Session", "LastDisplay", .parse = setting_parse_last_display,
          .offset = offsetof(Config, last_display), .fallback = LAST_DISPLAY_PROTECT },
        { "Hooks", "TimeoutSec", .parse = setting_parse_sec,
          .offset = offsetof(Config, hook_timeout_sec), .min = 1, .max = HOOK_TIMEOUT_MAX_SEC, .fallback = 30 },
        { "Hooks", "OnError", .parse = setting_parse_hook_error_policy,
          .offset = offsetof(Config, hook_on_error), .fallback = HOOK_ERROR_REFUSE },
        { "Session", "DisplayTimeoutSec", .parse = setting_parse_sec,
          .offset = offsetof(Config, display_timeout_sec), .max = DISPLAY_TIMEOUT_MAX_SEC },
        { "Sleep", "Gate", .parse = setting_parse_boolean, .offset = offsetof(Config, gate), .fallback = true },
        SLEEP_SETTINGS(Config, NOT_NOTED)
};

static const Setting gpu_settings[] = {
        { "Match", "Address", .parse = setting_parse_address, .offset = offsetof(GpuConfig, match.address) },
        { "Match", "Path", .parse = setting_parse_path, .offset = offsetof(GpuConfig, match.path) },
        { "Match", "Vendor", .parse = setting_parse_vendor },
        { "Match", "Device", .parse = setting_parse_device },
        { "Match", "Subsystem", .parse = setting_parse_subsystem },
        { "Gpu", "Alias", .parse = setting_parse_name, .offset = offsetof(GpuConfig, alias) },
        { "Gpu", "Functions", .parse = setting_parse_functions, .offset = offsetof(GpuConfig, functions) },
        { "Gpu", "HostDriver", .parse = setting_parse_driver, .offset = offsetof(GpuConfig, host_driver) },
        { "Gpu", "VfioDriver", .parse = setting_parse_driver, .offset = offsetof(GpuConfig, vfio_driver) },
        { "Gpu", "Default", .parse = setting_parse_default_state,
          .offset = offsetof(GpuConfig, default_state) },
        { "Gpu", "AfterVm", .parse = setting_parse_after_vm,
          .offset = offsetof(GpuConfig, after_vm), .fallback = AFTER_VM_HEAL },
        { "Gpu", "IdlePower", .parse = setting_parse_idle_power,
          .offset = offsetof(GpuConfig, idle_power), .fallback = IDLE_POWER_AUTO },
        { "Gpu", "BeforeVfio", .parse = setting_parse_before_vfio,
          .offset = offsetof(GpuConfig, before_vfio) },
        { "Reset", "Ladder", .parse = setting_parse_rungs, .offset = offsetof(GpuConfig, ladder) },
        { "Reset", "Forbid", .parse = setting_parse_rungs, .offset = offsetof(GpuConfig, forbid) },
        SLEEP_SETTINGS(GpuConfig, NOTED)
        { "Session", "LastDisplay", .parse = setting_parse_last_display,
          .offset = offsetof(GpuConfig, last_display), .fallback = (unsigned) _LAST_DISPLAY_INVALID },
        { "Session", "DisplayTimeoutSec", .parse = setting_parse_sec,
          .offset = offsetof(GpuConfig, display_timeout_sec), .max = DISPLAY_TIMEOUT_MAX_SEC,
          .fallback = DISPLAY_TIMEOUT_INHERIT },
        { "Session", "StopUnits", .parse = setting_parse_units, .offset = offsetof(GpuConfig, stop_units) },
        { "Session", "XorgFiles", .parse = setting_parse_xorg_files, .offset = offsetof(GpuConfig, xorg_files) },
        { "Session", "AskCompositors", .parse = setting_parse_programs, .offset = offsetof(GpuConfig, ask_compositors) },
        { "Session", "Desktops", .parse = setting_parse_desktops,
          .offset = offsetof(GpuConfig, desktops), .fallback = DESKTOPS_USE },
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
        if (r >= 0 && s->given > 0)
                *(bool *) ((char *) p->config + s->given) = *value;
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

void gpu_config_inherit(GpuConfig *g, const Config *c) {
        const SleepKeys *given = &g->sleep_given;

        if (g->last_display < 0)
                g->last_display = c->last_display;
        if (g->display_timeout_sec == DISPLAY_TIMEOUT_INHERIT)
                g->display_timeout_sec = c->display_timeout_sec;
        if (!given->vm)
                g->sleep.vm = c->sleep.vm;
        if (!given->restartable)
                g->sleep.restartable = c->sleep.restartable;
        if (!given->gpu)
                g->sleep.gpu = c->sleep.gpu;
        if (!given->on_error)
                g->sleep.on_error = c->sleep.on_error;
        if (!given->lid_closed)
                g->sleep.lid_closed = c->sleep.lid_closed;
        if (!given->timeout_sec)
                g->sleep.timeout_sec = c->sleep.timeout_sec;
}

const SleepPolicy *config_sleep_policy(const Config *c, const GpuConfig *g) {
        return g ? &g->sleep : &c->sleep;
}

unsigned config_display_timeout(const Config *c, const GpuConfig *g) {
        return g ? g->display_timeout_sec : c->display_timeout_sec;
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
