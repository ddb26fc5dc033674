/* SPDX-License-Identifier: GPL-2.0-or-later */

/* groups: every PCI function of the host below its IOMMU group. */

#include <inttypes.h>

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
        json_object *methods = NULL;
        _cleanup_free_ char *reset = NULL;
        char id[32];

        (void) json_object_object_get_ex(function, "reset-methods", &methods);
        reset = json_text(methods, " ");
        if (!reset)
                return -ENOMEM;
        (void) snprintf(id, sizeof(id), "%04" PRIx64 ":%04" PRIx64, json_number(function, "vendor"),
                        json_number(function, "device"));

        return table_add(t, group, (const char *const[]) {
                json_string(function, "address"),
                id,
                json_string(function, "name"),
                json_string(function, "role"),
                json_string(function, "driver"),
                methods ? reset : "",
        }, NULL);
}

/* The text of the group that a function is in; "none" without an IOMMU. */
static char *group_text(json_object *function) {
        json_object *group = NULL;

        if (!json_object_object_get_ex(function, "group", &group) || json_object_get_int64(group) < 0 ||
            json_object_get_int64(group) == UINT32_MAX)
                return strdup("none");
        return json_text(group, "");
}

static int fill(struct libscols_table *t, json_object *functions) {
        _cleanup_free_ char *current = NULL;
        struct libscols_line *line = NULL;
        int r;

        for (size_t i = 0; i < json_object_array_length(functions); i++) {
                json_object *function = json_object_array_get_idx(functions, i);
                char *group = group_text(function);

                if (!group)
                        return -ENOMEM;
                if (streq_ptr(group, current))
                        free(group);
                else {
                        free(current);
                        current = group;
                        r = table_add(t, NULL, (const char *const[]) { group, " ", " ", " ", " ", " " }, &line);
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
