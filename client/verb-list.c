/* SPDX-License-Identifier: GPL-2.0-or-later */

/* list: a table with a line per GPU. */

#include "client/function.h"
#include "client/holders.h"
#include "client/pager.h"
#include "client/report.h"
#include "client/table.h"
#include "client/verbs.h"
#include "dbus/names.h"

enum { COLUMN_ADDRESS, COLUMN_NAME, COLUMN_STATE, COLUMN_DRIVER, COLUMN_GROUPS, COLUMN_USED_BY, COLUMN_HEALTH };

static const TableColumn columns[] = {
        [COLUMN_ADDRESS] = { "ADDRESS", 0 },
        [COLUMN_NAME] = { "NAME", SCOLS_FL_TRUNC },
        [COLUMN_STATE] = { "STATE", 0 },
        [COLUMN_DRIVER] = { "DRIVER", 0 },
        [COLUMN_GROUPS] = { "GROUPS", 0 },
        [COLUMN_USED_BY] = { "USED BY", SCOLS_FL_TRUNC },
        [COLUMN_HEALTH] = { "HEALTH", 0 },
};

/* The VM; or, since a census costs more than the rest of the list, the holders only of a GPU that somebody has open
 * without being a VM that is known. */
static int used_by(Client *c, json_object *gpu, char **ret) {
        _cleanup_(json_object_putp) json_object *holders = NULL;
        _cleanup_free_ char *path = NULL;
        int r;

        *ret = vm_text(gpu);
        if (!*ret)
                return -ENOMEM;
        if (**ret || !streq(json_string(gpu, "state"), "assigned"))
                return 0;

        r = sd_bus_path_encode(GPUPT_GPU_PREFIX, json_string(gpu, "address"), &path);
        if (r < 0)
                return r;
        if (client_query(c, path, GPUPT_GPU_INTERFACE, "ListHolders", &holders, NULL) < 0)
                return 0;
        free(*ret);
        *ret = holders_text(holders);
        return *ret ? 0 : -ENOMEM;
}

static int add_gpu(Client *c, struct libscols_table *t, json_object *gpu) {
        _cleanup_free_ char *model = function_name(json_string(gpu, "name"));
        _cleanup_free_ char *groups = NULL, *users = NULL, *name = NULL;
        const char *alias = json_string(gpu, "alias");
        struct libscols_line *line;
        int r;

        groups = json_text(json_array(gpu, "iommu-groups"), ",");
        if (!groups || !model ||
            asprintf(&name, "%s%s%s%s", alias, *alias ? " (" : "", model, *alias ? ")" : "") < 0)
                return -ENOMEM;
        r = used_by(c, gpu, &users);
        if (r < 0)
                return r;

        r = table_add(t, NULL, (const char *const[]) {
                [COLUMN_ADDRESS] = json_string(gpu, "address"),
                [COLUMN_NAME] = name,
                [COLUMN_STATE] = json_string(gpu, "state"),
                [COLUMN_DRIVER] = json_string(gpu, "driver"),
                [COLUMN_GROUPS] = groups,
                [COLUMN_USED_BY] = users,
                [COLUMN_HEALTH] = json_string(gpu, "health"),
        }, &line);
        if (r < 0)
                return r;

        table_color(line, COLUMN_STATE, color_of_state(json_string(gpu, "state")));
        table_color(line, COLUMN_HEALTH, color_of_health(json_string(gpu, "health")));
        return 0;
}

int verb_list(Client *c, _unused_ char **args) {
        _cleanup_(sd_bus_error_free) sd_bus_error error = SD_BUS_ERROR_NULL;
        _cleanup_(scols_unref_tablep) struct libscols_table *t = NULL;
        _cleanup_(json_object_putp) json_object *gpus = NULL;
        size_t n;
        int r;

        r = client_get_objects(c, GPUPT_GPU_INTERFACE, "address", &gpus, &error);
        if (r < 0)
                return report_error(NULL, &error, r);

        pager_open(c->options);
        if (c->options->json != JSON_OFF) {
                json_print(gpus, c->options->json);
                return EXIT_DONE;
        }

        n = json_object_array_length(gpus);
        r = table_new(columns, ELEMENTSOF(columns), c->options->legend, &t);
        for (size_t i = 0; r >= 0 && i < n; i++)
                r = add_gpu(c, t, json_object_array_get_idx(gpus, i));
        if (r >= 0)
                r = table_print(t);
        if (r < 0)
                return r;

        if (c->options->legend)
                (void) printf("%s%zu GPU%s listed.\n", n > 0 ? "\n" : "", n, n == 1 ? "" : "s");
        return EXIT_DONE;
}
