/* SPDX-License-Identifier: GPL-2.0-or-later */

/* sleep: what has become of the last sleep, on one page; and the two words that gpuptd-sleep.service says before
 * and after each. */

#include <inttypes.h>

#include "client/page.h"
#include "client/pager.h"
#include "client/report.h"
#include "client/sleep-call.h"
#include "client/table.h"
#include "client/verbs.h"
#include "dbus/names.h"

#define DURATION_MAX 64

static const TableColumn vm_columns[] = {
        { "VM", SCOLS_FL_TRUNC },
        { "GPUS", 0 },
        { "ACTION", 0 },
        { "RESULT", 0 },
};

static const TableColumn gpu_columns[] = {
        { "GPU", 0 },
        { "BEFORE", 0 },
        { "ACTION", 0 },
        { "RESULT", 0 },
        { "STATE", 0 },
        { "HEALTH", 0 },
};

/* Of the whole, and of what was done to one VM or GPU. */
static Color color_of_result(const char *result) {
        static const struct {
                const char *result;
                Color color;
        } map[] = {
                { "preparing", COLOR_BLUE },
                { "prepared", COLOR_BLUE },
                { "resuming", COLOR_BLUE },
                { "undoing", COLOR_BLUE },
                { "vetoed", COLOR_YELLOW },
                { "left", COLOR_YELLOW },
                { "failed", COLOR_RED },
                { "done", COLOR_GREEN },
                { "restored", COLOR_GREEN },
        };

        for (size_t i = 0; i < ELEMENTSOF(map); i++)
                if (streq(map[i].result, result))
                        return map[i].color;
        return COLOR_NONE;
}

/* A veto is for the gate; where that is off, or not there, nobody listens to it. */
static const char *explain_result(const char *result, bool slept) {
        static const struct {
                const char *result, *text;
        } map[] = {
                { "preparing", ", the host is about to sleep" },
                { "prepared", ", all is ready for the sleep" },
                { "resuming", ", the host is awake, and not all is back yet" },
                { "undoing", ", it was called off, and what was prepared is taken back" },
                { "vetoed", ", the host stayed awake" },
                { "failed", ", the host slept, and something is not as it was" },
        };

        if (slept && streq(result, "vetoed"))
                return ", and the host slept all the same, since nothing held it";
        for (size_t i = 0; i < ELEMENTSOF(map); i++)
                if (streq(map[i].result, result))
                        return map[i].text;
        return "";
}

static void print_head(json_object *sleep) {
        const char *result = json_string(sleep, "result"), *operation = json_string(sleep, "operation");
        _cleanup_free_ char *shown = text_escape(result), *kind = text_escape(operation);
        Color color = color_of_result(result);

        page_bullet(color);
        (void) printf("Sleep");
        if (json_has(sleep, "cycle"))
                (void) printf(" %" PRIu64, json_number(sleep, "cycle"));
        if (!isempty(kind))
                (void) printf(" (%s)", kind);
        (void) printf(": %s%s%s%s\n", color_begin(stdout, color), strempty(shown), color_end(stdout, color),
                      explain_result(result, json_number(sleep, "asleep") > 0));
}

/* ---- times ---- */

static const char *format_duration(char buffer[static DURATION_MAX], uint64_t usec) {
        uint64_t seconds = usec / USEC_PER_SEC, minutes = seconds / 60, hours = minutes / 60;

        if (minutes < 1)
                (void) snprintf(buffer, DURATION_MAX, "%" PRIu64 ".%" PRIu64 " s", seconds,
                                usec % USEC_PER_SEC / (USEC_PER_SEC / 10));
        else if (hours < 1)
                (void) snprintf(buffer, DURATION_MAX, "%" PRIu64 " min %" PRIu64 " s", minutes, seconds % 60);
        else if (hours < 48)
                (void) snprintf(buffer, DURATION_MAX, "%" PRIu64 " h %" PRIu64 " min", hours, minutes % 60);
        else
                (void) snprintf(buffer, DURATION_MAX, "%" PRIu64 " d %" PRIu64 " h", hours / 24, hours % 24);
        return buffer;
}

/* One phase after the other began: how long that took; when it was, if the clock was set back meanwhile or the
 * begin is not known. */
static void print_after(const char *label, uint64_t from, uint64_t to) {
        char stamp[TIMESTAMP_MAX], duration[DURATION_MAX];

        if (to == 0)
                return;
        if (from == 0 || to < from)
                page_field(label, COLOR_NONE, timestamp_format(stamp, TIME_FULL, to));
        else
                page_fieldf(label, "after %s", format_duration(duration, to - from));
}

static void print_times(json_object *sleep) {
        uint64_t began = json_number(sleep, "began"), ready = json_number(sleep, "ready"),
                 woken = json_number(sleep, "woken"), finished = json_number(sleep, "finished");
        char stamp[TIMESTAMP_MAX], duration[DURATION_MAX];
        bool slept = ready > 0 && woken >= ready;

        if (began > 0)
                page_field("Began", COLOR_NONE, timestamp_format(stamp, TIME_FULL, began));
        print_after("Ready", began, ready);
        if (woken > 0)
                page_fieldf("Woke", "%s%s%s%s", timestamp_format(stamp, TIME_FULL, woken), slept ? " (after " : "",
                            slept ? format_duration(duration, woken - ready) : "", slept ? ")" : "");
        if (json_number(sleep, "asleep") > 0)
                page_fieldf("Asleep", "for %s", format_duration(duration, json_number(sleep, "asleep")));
        print_after("Finished", woken > 0 ? woken : began, finished);
}

/* ---- who and what ---- */

/* A sentence about somebody, who is named unless the sentence does that. */
static void print_about(const char *label, Color color, const char *who, const char *sentence) {
        _cleanup_free_ char *text = NULL;
        bool named = isempty(who) || strstr(sentence, who);

        if (isempty(sentence))
                return;
        if (asprintf(&text, "%s%s%s", named ? "" : who, named ? "" : ": ", sentence) < 0)
                text = NULL;
        page_field(label, color, text);
}

static const char *vm_name(json_object *vm) {
        const char *name = json_string(vm, "name");

        return isempty(name) ? json_string(vm, "id") : name;
}

static int add_vm(struct libscols_table *t, json_object *vm) {
        const char *manager = json_string(vm, "manager"), *policy = json_string(vm, "policy"),
                   *action = json_string(vm, "action"), *result = json_string(vm, "result");
        bool by_policy = !isempty(policy) && !streq(policy, action);
        _cleanup_free_ char *name = NULL, *done = NULL, *gpus = json_text(json_array(vm, "gpus"), ",");
        struct libscols_line *line;
        int r;

        if (asprintf(&name, "%s%s%s%s", vm_name(vm), isempty(manager) ? "" : " (", manager,
                     isempty(manager) ? "" : ")") < 0) {
                name = NULL;
                return -ENOMEM;
        }
        if (asprintf(&done, "%s%s%s%s", action, by_policy ? " (" : "", by_policy ? policy : "", by_policy ? ")" : "") < 0) {
                done = NULL;
                return -ENOMEM;
        }
        r = table_add(t, NULL, (const char *const[]) { name, json_array(vm, "gpus") ? gpus : NULL, done, result }, &line);
        if (r < 0)
                return r;
        table_color(line, 3, color_of_result(result));
        return 0;
}

static int add_gpu(struct libscols_table *t, json_object *gpu) {
        const char *before = json_string(gpu, "state-before"), *result = json_string(gpu, "result"),
                   *state = json_string(gpu, "state"), *health = json_string(gpu, "health");
        struct libscols_line *line;
        int r;

        r = table_add(t, NULL, (const char *const[]) {
                json_string(gpu, "address"),
                before,
                json_string(gpu, "action"),
                result,
                state,
                health,
        }, &line);
        if (r < 0)
                return r;
        table_color(line, 1, color_of_state(before));
        table_color(line, 3, color_of_result(result));
        table_color(line, 4, color_of_state(state));
        table_color(line, 5, color_of_health(health));
        return 0;
}

/* What is said as the reason of a veto already is not said again. */
static int print_vms(const Options *o, json_object *vms, const char *reason) {
        _cleanup_(scols_unref_tablep) struct libscols_table *t = NULL;
        int r;

        if (!vms || json_object_array_length(vms) == 0)
                return 0;
        r = table_new(vm_columns, ELEMENTSOF(vm_columns), o->legend, &t);
        for (size_t i = 0; r >= 0 && i < json_object_array_length(vms); i++)
                r = add_vm(t, json_object_array_get_idx(vms, i));
        if (r < 0)
                return r;

        page_label("VMs");
        r = table_print_indented(t, PAGE_INDENT);
        for (size_t i = 0; r >= 0 && i < json_object_array_length(vms); i++) {
                json_object *vm = json_object_array_get_idx(vms, i);

                if (!streq(json_string(vm, "message"), reason))
                        print_about("", COLOR_NONE, vm_name(vm), json_string(vm, "message"));
        }
        return r;
}

static int print_gpus(const Options *o, json_object *gpus) {
        _cleanup_(scols_unref_tablep) struct libscols_table *t = NULL;
        int r;

        if (!gpus || json_object_array_length(gpus) == 0)
                return 0;
        r = table_new(gpu_columns, ELEMENTSOF(gpu_columns), o->legend, &t);
        for (size_t i = 0; r >= 0 && i < json_object_array_length(gpus); i++)
                r = add_gpu(t, json_object_array_get_idx(gpus, i));
        if (r < 0)
                return r;

        page_label("GPUs");
        r = table_print_indented(t, PAGE_INDENT);
        for (size_t i = 0; r >= 0 && i < json_object_array_length(gpus); i++) {
                json_object *gpu = json_object_array_get_idx(gpus, i);

                print_about("", COLOR_NONE, json_string(gpu, "address"), json_string(gpu, "message"));
        }
        return r;
}

static int print_sleep(const Options *o, json_object *sleep) {
        _cleanup_free_ char *doors = json_text(json_array(sleep, "doors"), ", ");
        int r;

        print_head(sleep);
        print_times(sleep);
        page_field("Announced by", COLOR_NONE, json_array(sleep, "doors") ? doors : NULL);
        print_about("Reason", COLOR_YELLOW, json_string(sleep, "gpu"), json_string(sleep, "reason"));
        r = print_vms(o, json_array(sleep, "virtual-machines"), json_string(sleep, "reason"));
        if (r >= 0)
                r = print_gpus(o, json_array(sleep, "gpus"));
        if (r < 0)
                return r;
        page_list("Hooks", COLOR_YELLOW, json_array(sleep, "hook-failures"));
        page_dict("Last failure", json_dict(sleep, "suspend-stats"));
        if (o->quiet)
                return 0;
        page_list("Kernel", COLOR_NONE, json_array(sleep, "kernel-lines"));
        if (json_truth(sleep, "kernel-lines-more"))
                page_field("", COLOR_DIM, "There is more of it in the journal, see 'journalctl -k'.");
        return 0;
}

static int report(Client *c) {
        _cleanup_(sd_bus_error_free) sd_bus_error error = SD_BUS_ERROR_NULL;
        _cleanup_(json_object_putp) json_object *manager = NULL;
        json_object *sleep;
        int r;

        r = client_get_properties(c, GPUPT_OBJECT_PATH, GPUPT_MANAGER_INTERFACE, &manager, &error);
        if (r < 0)
                return report_error(NULL, &error, r);
        sleep = json_dict(manager, "last-sleep");

        pager_open(c->options);
        if (c->options->json != JSON_OFF) {
                json_print(sleep, c->options->json);
                return EXIT_DONE;
        }
        if (!sleep || json_object_object_length(sleep) == 0) {
                (void) puts("This host has not slept since gpuptd was installed.");
                return EXIT_DONE;
        }
        r = print_sleep(c->options, sleep);
        return r < 0 ? r : EXIT_DONE;
}

int verb_sleep(Client *c, char **args) {
        const char *word = args[0], *operation = args[1];

        if (streq(word, "prepare")) {
                if (operation && operation[strspn(operation, "abcdefghijklmnopqrstuvwxyz-")])
                        return report_usage("'%s' is no kind of sleep, such as suspend or hibernate.", operation);
                return sleep_call(c, strempty(operation));
        }
        if (!operation && streq(word, "finish"))
                return sleep_call(c, /* operation= */ NULL);
        if (!operation && streq(word, "report"))
                return report(c);
        return report_usage("Usage: gpuptctl sleep report|finish|prepare [OPERATION]");
}
