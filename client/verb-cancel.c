/* SPDX-License-Identifier: GPL-2.0-or-later */

/* cancel: ask a job to stop. Whether and how far it goes back is the job's business; this does not wait for it. */

#include <inttypes.h>

#include "client/agent.h"
#include "client/report.h"
#include "client/verbs.h"
#include "dbus/names.h"

/* "7" or "/org/gpupt1/job/7". */
static int parse_id(const char *s, uint32_t *ret) {
        const char *number = startswith(s, GPUPT_JOB_PREFIX "/") ?: s;
        unsigned long value;
        char *rest;

        if (*number < '0' || *number > '9')
                return -EINVAL;
        errno = 0;
        value = strtoul(number, &rest, 10);
        if (*rest || errno > 0 || value > UINT32_MAX)
                return -EINVAL;

        *ret = (uint32_t) value;
        return 0;
}

/* The only job, if it is the only one. Returns 0, an exit status or negative errno. */
static int choose_job(Client *c, uint32_t *ret) {
        _cleanup_(sd_bus_error_free) sd_bus_error error = SD_BUS_ERROR_NULL;
        _cleanup_(json_object_putp) json_object *jobs = NULL;
        int r;

        r = client_get_objects(c, GPUPT_JOB_INTERFACE, "id", &jobs, &error);
        if (r < 0)
                return report_error(NULL, &error, r);
        if (json_object_array_length(jobs) == 1) {
                *ret = (uint32_t) json_number(json_object_array_get_idx(jobs, 0), "id");
                return 0;
        }
        if (json_object_array_length(jobs) == 0) {
                report_note("There is no job to cancel.");
                return EXIT_FAILED;
        }

        report_note("Which job? Name one of these:");
        for (size_t i = 0; i < json_object_array_length(jobs); i++) {
                json_object *job = json_object_array_get_idx(jobs, i);
                _cleanup_free_ char *gpu = gpu_address_of_path(json_string(job, "gpu"));

                (void) fprintf(stderr, "  %" PRIu64 "  %s%s%s\n", json_number(job, "id"), json_string(job, "operation"),
                               isempty(gpu) ? "" : " ", strempty(gpu));
        }
        return EXIT_USAGE;
}

int verb_cancel(Client *c, char **args) {
        _cleanup_(sd_bus_error_free) sd_bus_error error = SD_BUS_ERROR_NULL;
        _cleanup_(sd_bus_message_unrefp) sd_bus_message *m = NULL;
        char path[sizeof(GPUPT_JOB_PREFIX) + 16];
        uint32_t id = 0;
        int r;

        if (args[0]) {
                if (parse_id(args[0], &id) < 0)
                        return report_usage("'%s' is not the number of a job.", args[0]);
        } else {
                r = choose_job(c, &id);
                if (r != 0)
                        return r;
        }

        agent_open(c->options);
        (void) snprintf(path, sizeof(path), "%s/%" PRIu32, GPUPT_JOB_PREFIX, id);
        r = client_new_call(c, path, GPUPT_JOB_INTERFACE, "Cancel", &m, &error);
        if (r >= 0)
                r = sd_bus_call(c->bus, m, POLKIT_TIMEOUT_USEC, &error, NULL);
        if (r < 0 && sd_bus_error_has_name(&error, SD_BUS_ERROR_UNKNOWN_OBJECT)) {
                sd_bus_error_free(&error);
                (void) sd_bus_error_setf(&error, GPUPT_ERROR_NO_SUCH_JOB, "There is no job %" PRIu32 ".", id);
        }
        if (r < 0)
                return report_error(NULL, &error, r);

        if (!c->options->quiet)
                (void) printf("Asked job %" PRIu32 " to cancel.\n", id);
        return EXIT_DONE;
}
