/* SPDX-License-Identifier: GPL-2.0-or-later */

/* status: all about one GPU on one page. A line that would say nothing is left out. */

#include <inttypes.h>

#include "client/function.h"
#include "client/gpu-choice.h"
#include "client/holders.h"
#include "client/journal-view.h"
#include "client/page.h"
#include "client/pager.h"
#include "client/report.h"
#include "client/verbs.h"
#include "client/wrap.h"
#include "dbus/names.h"

#define JOURNAL_LINES 5

static const TableColumn function_columns[] = {
        { "FUNCTION", SCOLS_FL_TREE },
        { "ROLE", 0 },
        { "ID", 0 },
        { "DRIVER", 0 },
        { "GROUP", 0 },
        { "RESET", 0 },
};

static void print_head(json_object *gpu) {
        _cleanup_free_ char *name = text_escape(json_string(gpu, "name"));

        page_bullet(color_of_state(json_string(gpu, "state")));
        (void) printf("%s%s%s\n", json_string(gpu, "address"), isempty(name) ? "" : " - ", strempty(name));
}

/* What a state that nobody wished for means, and what ends it. */
static const char *explain_state(const char *state) {
        static const struct {
                const char *state, *text;
        } map[] = {
                { "partial", " (a mixture of drivers; attach or detach makes it whole)" },
                { "absent", " (not on the bus; recover looks for it)" },
                { "unreachable", " (on the bus, but it does not answer; recover tries to get it back)" },
                { "stuck", " (a kernel call has not returned; nothing is started until it has)" },
        };

        for (size_t i = 0; i < ELEMENTSOF(map); i++)
                if (streq(map[i].state, state))
                        return map[i].text;
        return "";
}

static void print_identity(json_object *gpu) {
        uint64_t subsystem = json_number(gpu, "subsystem-vendor-id");
        const char *state = json_string(gpu, "state");
        _cleanup_free_ char *shown = text_escape(state);
        Color color = color_of_state(state);
        char suffix[64] = "";

        if (subsystem > 0)
                (void) snprintf(suffix, sizeof(suffix), " (subsystem %04" PRIx64 ":%04" PRIx64 ")", subsystem,
                                json_number(gpu, "subsystem-id"));

        page_field("Alias", COLOR_NONE, json_string(gpu, "alias"));
        page_label("State");
        (void) printf("%s%s%s", color_begin(stdout, color), strempty(shown), color_end(stdout, color));
        page_value(COLOR_NONE, strlen(state), explain_state(state));
        page_field("Driver", COLOR_NONE, json_string(gpu, "driver"));
        page_fieldf("ID", "%04" PRIx64 ":%04" PRIx64 "%s%s", json_number(gpu, "vendor-id"),
                    json_number(gpu, "device-id"), suffix, json_truth(gpu, "boot-vga") ? ", boot VGA" : "");
        page_field("Default", COLOR_NONE, json_string(gpu, "default"));
}

static int add_function(struct libscols_table *t, json_object *function, struct libscols_line **parent) {
        const char *now = json_string(function, "driver"), *host = json_string(function, "host-driver");
        char id[FUNCTION_TEXT_MAX], text[FUNCTION_TEXT_MAX], group[FUNCTION_TEXT_MAX + 8],
                reset[FUNCTION_TEXT_MAX + 8];
        bool away = !isempty(host) && !streq(host, now);
        _cleanup_free_ char *driver = NULL;
        struct libscols_line *line;
        int r;

        if (asprintf(&driver, "%s%s%s%s", isempty(now) ? "-" : now, away ? " (host: " : "", away ? host : "",
                     away ? ")" : "") < 0)
                return -ENOMEM;
        /* The columns have no headings here, so the cells say what they are. */
        (void) snprintf(group, sizeof(group), "group %s", function_group(function, text));
        (void) snprintf(reset, sizeof(reset), "reset %s", function_reset_methods(function, text));

        r = table_add(t, *parent, (const char *const[]) {
                json_string(function, "address"),
                json_string(function, "role"),
                function_id(function, id),
                driver,
                *function_group(function, text) ? group : " ",
                *function_reset_methods(function, text) ? reset : " ",
        }, &line);
        if (r < 0)
                return r;
        if (!*parent)
                *parent = line;
        return 0;
}

/* The display's function comes first and carries its companions. */
static int print_functions(json_object *gpu) {
        _cleanup_(scols_unref_tablep) struct libscols_table *t = NULL;
        json_object *functions = json_array(gpu, "functions");
        struct libscols_line *parent = NULL;
        int r;

        if (!functions || json_object_array_length(functions) == 0)
                return 0;
        r = table_new(function_columns, ELEMENTSOF(function_columns), /* legend= */ false, &t);
        for (size_t i = 0; r >= 0 && i < json_object_array_length(functions); i++)
                r = add_function(t, json_object_array_get_idx(functions, i), &parent);
        if (r < 0)
                return r;

        page_label("Functions");
        return table_print_indented(t, PAGE_INDENT);
}

static void print_groups(json_object *gpu) {
        _cleanup_free_ char *groups = json_text(json_array(gpu, "iommu-groups"), ", ");

        if (!isempty(groups))
                page_fieldf("IOMMU groups", "%s (%s)", groups,
                            json_truth(gpu, "viable") ? "viable" : "not viable");
        page_list("Blockers", COLOR_YELLOW, json_array(gpu, "blockers"));
}

/* An array of pairs, "HDMI-A-1 connected, DP-1 disconnected". */
static void print_pairs(const char *label, json_object *pairs) {
        _cleanup_free_ char *text = strdup("");

        for (size_t i = 0; text && pairs && i < json_object_array_length(pairs); i++) {
                _cleanup_free_ char *pair = json_text(json_object_array_get_idx(pairs, i), " "), *longer = NULL;

                if (!pair || asprintf(&longer, "%s%s%s", text, i > 0 ? ", " : "", pair) < 0) {
                        longer = NULL;
                        return;
                }
                free(text);
                text = TAKE_PTR(longer);
        }
        page_field(label, COLOR_NONE, text);
}

static void print_hardware(json_object *gpu) {
        const char *decodes = json_string(gpu, "vga-decodes");
        _cleanup_free_ char *reset = json_text(json_array(gpu, "reset-methods"), " ");

        print_pairs("Connectors", json_array(gpu, "connectors"));
        page_field("Reset", COLOR_NONE, json_array(gpu, "reset-methods") ? reset : NULL);
        page_fieldf("Power", "%s%s%s", json_string(gpu, "power-state"),
                    isempty(decodes) ? "" : ", VGA decodes ", decodes);
}

static void print_finding(const char *severity, const char *text) {
        Color color = color_of_severity(severity);
        _cleanup_free_ char *shown = text_escape(severity);

        page_label("");
        (void) printf("%s%s%s: ", color_begin(stdout, color), strempty(shown), color_end(stdout, color));
        page_value(COLOR_NONE, text_width(strempty(shown)) + STRLEN(": "), text);
}

/* Findings have an id, a severity and a sentence. */
static void print_health(json_object *gpu) {
        json_object *findings = json_array(gpu, "health-findings");

        page_field("Health", color_of_health(json_string(gpu, "health")), json_string(gpu, "health"));
        for (size_t i = 0; findings && i < json_object_array_length(findings); i++) {
                json_object *finding = json_object_array_get_idx(findings, i);

                print_finding(strempty(json_object_get_string(json_object_array_get_idx(finding, 1))),
                              strempty(json_object_get_string(json_object_array_get_idx(finding, 2))));
        }
}

/* What gpuptd.conf(5) calls the default is no news. */
static bool policy_is_default(const char *key, const char *value) {
        static const struct {
                const char *key, *value;
        } defaults[] = {
                { "VirtualMachine", "auto" }, { "Restartable", "no" }, { "Gpu", "keep" },
                { "OnError", "veto" }, { "TimeoutSec", "180" }, { "LidClosed", "auto" },
        };

        for (size_t i = 0; i < ELEMENTSOF(defaults); i++)
                if (streq(defaults[i].key, key))
                        return streq_ptr(defaults[i].value, value);
        return false;
}

static void print_policy(json_object *gpu) {
        json_object *policy = json_dict(gpu, "sleep-policy");
        _cleanup_free_ char *text = strdup("");

        if (!policy)
                return;
        json_object_object_foreach(policy, key, value) {
                _cleanup_free_ char *longer = NULL;

                if (policy_is_default(key, json_object_get_string(value)))
                        continue;
                if (!text || asprintf(&longer, "%s%s%s=%s", text, *text ? ", " : "", key,
                                      json_object_get_string(value)) < 0) {
                        longer = NULL;
                        return;
                }
                free(text);
                text = TAKE_PTR(longer);
        }
        page_field("Sleep", COLOR_NONE, text);
}

static void print_job(Client *c, json_object *gpu) {
        _cleanup_(json_object_putp) json_object *job = NULL;
        const char *path = json_string(gpu, "job");
        char step[64] = "";

        if (!startswith(path, GPUPT_JOB_PREFIX "/") ||
            client_get_properties(c, path, GPUPT_JOB_INTERFACE, &job, NULL) < 0)
                return;
        /* Before there is a plan there are no steps. */
        if (json_number(job, "steps") > 0)
                (void) snprintf(step, sizeof(step), ", step %" PRIu64 "/%" PRIu64, json_number(job, "step"),
                                json_number(job, "steps"));
        page_fieldf("Job", "%" PRIu64 " %s, %s%s: %s", json_number(job, "id"), json_string(job, "operation"),
                    json_string(job, "state"), step, json_string(job, "description"));
}

static void print_last_job(json_object *gpu) {
        json_object *last = json_dict(gpu, "last-job");
        char stamp[TIMESTAMP_MAX];
        uint64_t usec;

        if (isempty(json_string(last, "operation")))
                return;
        usec = json_number(last, "time");
        page_fieldf("Last job", "%" PRIu64 " %s, %s%s%s", json_number(last, "id"), json_string(last, "operation"),
                    json_string(last, "result"), usec > 0 ? ", " : "",
                    usec > 0 ? timestamp_format(stamp, TIME_FULL, usec) : "");
        page_field("", COLOR_NONE, json_string(last, "message"));
}

static int print_users(Client *c, json_object *gpu, json_object *holders) {
        _cleanup_(scols_unref_tablep) struct libscols_table *t = NULL;
        _cleanup_free_ char *vm = vm_text(gpu);
        int r;

        page_field("VM", COLOR_MAGENTA, vm);
        if (!holders) {
                page_field("Holders", COLOR_NONE, "not known");
                return 0;
        }
        if (json_object_array_length(holders) == 0)
                return 0;

        r = holders_table(holders, /* legend= */ false, !c->options->host, &t);
        if (r < 0)
                return r;
        page_label("Holders");
        return table_print_indented(t, PAGE_INDENT);
}

static int print_page(Client *c, json_object *gpu, json_object *holders) {
        int r;

        print_head(gpu);
        print_identity(gpu);
        r = print_functions(gpu);
        if (r < 0)
                return r;
        print_groups(gpu);
        print_hardware(gpu);
        print_health(gpu);
        print_policy(gpu);
        r = print_users(c, gpu, holders);
        if (r < 0)
                return r;
        print_job(c, gpu);
        print_last_job(gpu);
        return 0;
}

/* The journal is this machine's, and a page without it is still a page. */
static void print_journal(Client *c, const char *address) {
        const Options *o = c->options;
        _cleanup_(sd_journal_closep) sd_journal *j = NULL;
        uint32_t lines = o->lines_set ? o->lines : JOURNAL_LINES;

        if (o->host || lines == 0 || journal_open(address, &j) < 0 || sd_journal_seek_tail(j) < 0 ||
            sd_journal_previous(j) <= 0)
                return;
        (void) putchar('\n');
        (void) journal_print_last(j, lines, 0, JSON_OFF);
}

int verb_status(Client *c, char **args) {
        _cleanup_(sd_bus_error_free) sd_bus_error error = SD_BUS_ERROR_NULL;
        _cleanup_(json_object_putp) json_object *gpu = NULL, *holders = NULL;
        _cleanup_(gpu_choice_done) GpuChoice choice = {};
        int r;

        if (c->options->follow)
                return report_usage("Option --follow cannot be used with 'status'.");

        r = gpu_choose(c, args[0], /* operation= */ NULL, &choice);
        if (r != 0)
                return r;
        r = client_get_properties(c, choice.path, GPUPT_GPU_INTERFACE, &gpu, &error);
        if (r < 0)
                return report_error(choice.address, &error, r);
        /* A census may fail on a GPU that is in trouble, and that is when its status is wanted. */
        (void) client_query(c, choice.path, GPUPT_GPU_INTERFACE, "ListHolders", &holders, NULL);

        pager_open(c->options);
        if (c->options->json != JSON_OFF) {
                if (json_object_object_add(gpu, "holders", json_object_get(holders)) < 0)
                        return -ENOMEM;
                json_print(gpu, c->options->json);
                return EXIT_DONE;
        }

        r = print_page(c, gpu, holders);
        if (r < 0)
                return r;
        print_journal(c, choice.address);
        return EXIT_DONE;
}
