/* SPDX-License-Identifier: GPL-2.0-or-later */

/* jobs: what gpuptd is doing. */

#include <inttypes.h>

#include "client/pager.h"
#include "client/report.h"
#include "client/table.h"
#include "client/verbs.h"
#include "dbus/names.h"

static const TableColumn columns[] = {
        { "JOB", SCOLS_FL_RIGHT },
        { "OPERATION", 0 },
        { "GPU", 0 },
        { "STATE", 0 },
        { "STEP", 0 },
        { "DESCRIPTION", SCOLS_FL_WRAP },
};

static int add_job(struct libscols_table *t, json_object *job) {
        _cleanup_free_ char *gpu = gpu_address_of_path(json_string(job, "gpu"));
        char id[32], step[64] = "";
        struct libscols_line *line;
        int r;

        if (!gpu)
                return -ENOMEM;
        (void) snprintf(id, sizeof(id), "%" PRIu64, json_number(job, "id"));
        if (json_number(job, "steps") > 0)
                (void) snprintf(step, sizeof(step), "%" PRIu64 "/%" PRIu64, json_number(job, "step"),
                                json_number(job, "steps"));

        r = table_add(t, NULL, (const char *const[]) {
                id,
                json_string(job, "operation"),
                gpu,
                json_string(job, "state"),
                step,
                json_string(job, "description"),
        }, &line);
        if (r < 0)
                return r;
        table_color(line, 3, color_of_state(json_string(job, "state")));
        return 0;
}

int verb_jobs(Client *c, _unused_ char **args) {
        _cleanup_(sd_bus_error_free) sd_bus_error error = SD_BUS_ERROR_NULL;
        _cleanup_(scols_unref_tablep) struct libscols_table *t = NULL;
        _cleanup_(json_object_putp) json_object *jobs = NULL;
        int r;

        r = client_get_objects(c, GPUPT_JOB_INTERFACE, "id", &jobs, &error);
        if (r < 0)
                return report_error(NULL, &error, r);

        pager_open(c->options);
        if (c->options->json != JSON_OFF) {
                json_print(jobs, c->options->json);
                return EXIT_DONE;
        }
        if (json_object_array_length(jobs) == 0) {
                if (c->options->legend)
                        (void) puts("No jobs.");
                return EXIT_DONE;
        }

        r = table_new(columns, ELEMENTSOF(columns), c->options->legend, &t);
        for (size_t i = 0; r >= 0 && i < json_object_array_length(jobs); i++)
                r = add_job(t, json_object_array_get_idx(jobs, i));
        if (r >= 0)
                r = table_print(t);
        return r < 0 ? r : EXIT_DONE;
}
