/* SPDX-License-Identifier: GPL-2.0-or-later */

/* check: is this host ready for passthrough; a line for each finding, and what to do below it. */

#include "client/pager.h"
#include "client/report.h"
#include "client/table.h"
#include "client/verbs.h"
#include "dbus/names.h"

static const TableColumn columns[] = {
        { "RESULT", 0 },
        { "CHECK", 0 },
        { "FINDING", SCOLS_FL_WRAP },
};

typedef struct Tally {
        unsigned ok, warn, fail;
} Tally;

static int get_findings(Client *c, sd_bus_message **ret, sd_bus_error *ret_error) {
        _cleanup_(sd_bus_message_unrefp) sd_bus_message *m = NULL;
        int r;

        r = client_new_call(c, GPUPT_OBJECT_PATH, GPUPT_MANAGER_INTERFACE, "Check", &m, ret_error);
        return r < 0 ? r : sd_bus_call(c->bus, m, 0, ret_error, ret);
}

/* As objects, since an array of four bare strings explains itself to nobody. */
static int read_findings(sd_bus_message *reply, json_object *findings) {
        const char *id, *result, *summary, *hint;
        int r;

        r = sd_bus_message_enter_container(reply, 'a', "(ssss)");
        if (r < 0)
                return r;
        while ((r = sd_bus_message_read(reply, "(ssss)", &id, &result, &summary, &hint)) > 0) {
                json_object *o = json_object_new_object();

                if (!o || json_object_array_add(findings, o) < 0) {
                        json_object_put(o);
                        return -ENOMEM;
                }
                if (json_object_object_add(o, "id", json_object_new_string(id)) < 0 ||
                    json_object_object_add(o, "result", json_object_new_string(result)) < 0 ||
                    json_object_object_add(o, "summary", json_object_new_string(summary)) < 0 ||
                    json_object_object_add(o, "hint", json_object_new_string(hint)) < 0)
                        return -ENOMEM;
        }
        return r;
}

static Tally count(json_object *findings) {
        Tally t = {};

        for (size_t i = 0; i < json_object_array_length(findings); i++) {
                const char *result = json_string(json_object_array_get_idx(findings, i), "result");

                t.ok += streq(result, "ok");
                t.warn += streq(result, "warn");
                t.fail += streq(result, "fail");
        }
        return t;
}

static Color color_of_result(const char *result) {
        return streq(result, "ok") ? COLOR_GREEN : streq(result, "warn") ? COLOR_YELLOW : COLOR_RED;
}

static int add_finding(struct libscols_table *t, json_object *finding) {
        const char *hint = json_string(finding, "hint");
        _cleanup_free_ char *text = NULL;
        struct libscols_line *line;
        int r;

        r = table_add(t, NULL, (const char *const[]) {
                json_string(finding, "result"),
                json_string(finding, "id"),
                json_string(finding, "summary"),
        }, &line);
        if (r < 0)
                return r;
        table_color(line, 0, color_of_result(json_string(finding, "result")));
        if (isempty(hint))
                return 0;
        if (asprintf(&text, "%s %s", glyph_or("→", "->"), hint) < 0)
                return -ENOMEM;
        return table_add(t, NULL, (const char *const[]) { " ", " ", text }, NULL);
}

static int print_table(Client *c, json_object *findings, const Tally *tally) {
        _cleanup_(scols_unref_tablep) struct libscols_table *t = NULL;
        int r;

        r = table_new(columns, ELEMENTSOF(columns), c->options->legend, &t);
        for (size_t i = 0; r >= 0 && i < json_object_array_length(findings); i++) {
                json_object *finding = json_object_array_get_idx(findings, i);

                if (!c->options->quiet || !streq(json_string(finding, "result"), "ok"))
                        r = add_finding(t, finding);
        }
        if (r >= 0)
                r = table_print(t);
        if (r < 0)
                return r;
        if (c->options->legend && !c->options->quiet)
                (void) printf("\n%u ok, %s%u warn%s, %s%u fail%s.\n", tally->ok,
                              color_begin(stdout, tally->warn > 0 ? COLOR_YELLOW : COLOR_NONE), tally->warn,
                              color_end(stdout, tally->warn > 0 ? COLOR_YELLOW : COLOR_NONE),
                              color_begin(stdout, tally->fail > 0 ? COLOR_RED : COLOR_NONE), tally->fail,
                              color_end(stdout, tally->fail > 0 ? COLOR_RED : COLOR_NONE));
        return 0;
}

int verb_check(Client *c, _unused_ char **args) {
        _cleanup_(sd_bus_error_free) sd_bus_error error = SD_BUS_ERROR_NULL;
        _cleanup_(sd_bus_message_unrefp) sd_bus_message *reply = NULL;
        _cleanup_(json_object_putp) json_object *findings = NULL;
        Tally tally;
        int r;

        r = get_findings(c, &reply, &error);
        if (r < 0)
                return report_error(NULL, &error, r);
        findings = json_object_new_array();
        if (!findings)
                return -ENOMEM;
        r = read_findings(reply, findings);
        if (r < 0)
                return r;
        tally = count(findings);

        pager_open(c->options);
        if (c->options->json != JSON_OFF)
                json_print(findings, c->options->json);
        else {
                r = print_table(c, findings, &tally);
                if (r < 0)
                        return r;
        }
        return tally.fail > 0 ? EXIT_FAILED : EXIT_DONE;
}
