/* SPDX-License-Identifier: GPL-2.0-or-later */

/* plan: what an operation would do, as the daemon says; shown by the verb of that name and by --dry-run. */

#include "client/plan.h"

#include "client/pager.h"
#include "client/report.h"
#include "client/table.h"
#include "dbus/names.h"

static const TableColumn columns[] = {
        { "#", SCOLS_FL_RIGHT },
        { "STEP", 0 },
        { "TARGET", 0 },
        { "DETAIL", SCOLS_FL_WRAP },
};

static int get_plan(Client *c, const GpuChoice *gpu, const char *operation, sd_bus_message **ret,
                    sd_bus_error *ret_error) {
        _cleanup_(sd_bus_message_unrefp) sd_bus_message *m = NULL;
        int r;

        r = client_new_call(c, gpu->path, GPUPT_GPU_INTERFACE, "Plan", &m, ret_error);
        if (r < 0)
                return r;
        r = sd_bus_message_append(m, "s", operation);
        if (r >= 0)
                r = options_append(c->options, m);
        if (r < 0) /* what cannot be put into a message is not UTF-8 */
                return sd_bus_error_set(ret_error, SD_BUS_ERROR_INVALID_ARGS,
                                        "The operation or an option is not valid UTF-8.");
        return sd_bus_call(c->bus, m, 0, ret_error, ret);
}

/* Steps as objects, since an array of three bare strings explains itself to nobody. */
static int read_steps(sd_bus_message *reply, json_object *steps) {
        const char *step, *target, *detail;
        int r;

        r = sd_bus_message_enter_container(reply, 'a', "(sss)");
        if (r < 0)
                return r;
        while ((r = sd_bus_message_read(reply, "(sss)", &step, &target, &detail)) > 0) {
                json_object *o = json_object_new_object();

                if (!o || json_object_array_add(steps, o) < 0) {
                        json_object_put(o);
                        return -ENOMEM;
                }
                if (json_object_object_add(o, "step", json_object_new_string(step)) < 0 ||
                    json_object_object_add(o, "target", json_object_new_string(target)) < 0 ||
                    json_object_object_add(o, "detail", json_object_new_string(detail)) < 0)
                        return -ENOMEM;
        }
        return r;
}

static int print_table(Client *c, json_object *steps) {
        _cleanup_(scols_unref_tablep) struct libscols_table *t = NULL;
        int r;

        r = table_new(columns, ELEMENTSOF(columns), c->options->legend, &t);
        if (r < 0)
                return r;

        for (size_t i = 0; i < json_object_array_length(steps); i++) {
                json_object *step = json_object_array_get_idx(steps, i);
                char number[32];

                (void) snprintf(number, sizeof(number), "%zu", i + 1);
                r = table_add(t, NULL, (const char *const[]) {
                        number,
                        json_string(step, "step"),
                        json_string(step, "target"),
                        json_string(step, "detail"),
                }, NULL);
                if (r < 0)
                        return r;
        }
        return table_print(t);
}

int plan_show(Client *c, const GpuChoice *gpu, const char *operation) {
        _cleanup_(sd_bus_error_free) sd_bus_error error = SD_BUS_ERROR_NULL;
        _cleanup_(sd_bus_message_unrefp) sd_bus_message *reply = NULL;
        _cleanup_(json_object_putp) json_object *steps = NULL;
        int r;

        r = get_plan(c, gpu, operation, &reply, &error);
        if (r < 0)
                return report_error(gpu->address, &error, r);
        steps = json_object_new_array();
        if (!steps)
                return -ENOMEM;
        r = read_steps(reply, steps);
        if (r < 0)
                return r;

        pager_open(c->options);
        if (c->options->json != JSON_OFF)
                json_print(steps, c->options->json);
        else if (json_object_array_length(steps) > 0) {
                r = print_table(c, steps);
                if (r < 0)
                        return r;
        } else if (c->options->legend)
                (void) printf("%s: nothing to do.\n", gpu->address);
        return EXIT_DONE;
}
