/* SPDX-License-Identifier: GPL-2.0-or-later */

/* groups: every PCI function of the host below its IOMMU group. */

#include "client/function.h"
#include "client/pager.h"
#include "client/report.h"
#include "client/table.h"
#include "client/verbs.h"
#include "dbus/names.h"

static const TableColumn columns[] = {
        { "GROUP", SCOLS_FL_TREE },
        { "ID", 0 },
        { "NAME", SCOLS_FL_TRUNC },
        { "ROLE", 0 },
        { "DRIVER", 0 },
        { "RESET", 0 },
};

static int add_function(struct libscols_table *t, struct libscols_line *group, json_object *function) {
        _cleanup_free_ char *name = function_name(json_string(function, "name"));
        char id[FUNCTION_TEXT_MAX], reset[FUNCTION_TEXT_MAX];

        if (!name)
                return -ENOMEM;
        return table_add(t, group, (const char *const[]) {
                json_string(function, "address"),
                function_id(function, id),
                name,
                json_string(function, "role"),
                json_string(function, "driver"),
                function_reset_methods(function, reset),
        }, NULL);
}

static int fill(struct libscols_table *t, json_object *functions) {
        char current[FUNCTION_TEXT_MAX], buffer[FUNCTION_TEXT_MAX];
        struct libscols_line *line = NULL;
        int r;

        for (size_t i = 0; i < json_object_array_length(functions); i++) {
                json_object *function = json_object_array_get_idx(functions, i);
                const char *group = function_group(function, buffer);

                if (!line || !streq(group, current)) {
                        (void) snprintf(current, sizeof(current), "%s", group);
                        r = table_add(t, NULL,
                                      (const char *const[]){ *group ? group : "none", " ", " ", " ", " ", " " },
                                      &line);
                        if (r < 0)
                                return r;
                        table_color(line, 0, COLOR_BOLD);
                }
                r = add_function(t, line, function);
                if (r < 0)
                        return r;
        }
        return 0;
}

int verb_groups(Client *c, _unused_ char **args) {
        _cleanup_(sd_bus_error_free) sd_bus_error error = SD_BUS_ERROR_NULL;
        _cleanup_(scols_unref_tablep) struct libscols_table *t = NULL;
        _cleanup_(json_object_putp) json_object *functions = NULL;
        int r;

        r = client_query(c, GPUPT_OBJECT_PATH, GPUPT_MANAGER_INTERFACE, "ListGroups", &functions, &error);
        if (r < 0)
                return report_error(NULL, &error, r);
        json_sort(functions, "address");
        json_sort(functions, "group");

        pager_open(c->options);
        if (c->options->json != JSON_OFF) {
                json_print(functions, c->options->json);
                return EXIT_DONE;
        }

        r = table_new(columns, ELEMENTSOF(columns), c->options->legend, &t);
        if (r >= 0)
                r = fill(t, functions);
        if (r >= 0)
                r = table_print(t);
        return r < 0 ? r : EXIT_DONE;
}
