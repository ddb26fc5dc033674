/* SPDX-License-Identifier: GPL-2.0-or-later */

/* operation: the verbs that have gpuptd do something with one GPU, and follow it; they differ in the method that is
 * called. */

#include "client/gpu-choice.h"
#include "client/job-follow.h"
#include "client/plan.h"
#include "client/report.h"
#include "client/verbs.h"
#include "dbus/names.h"

static int operate(Client *c, const char *name, const char *operation, const char *method) {
        _cleanup_(sd_bus_error_free) sd_bus_error error = SD_BUS_ERROR_NULL;
        _cleanup_(sd_bus_message_unrefp) sd_bus_message *m = NULL;
        _cleanup_(job_outcome_done) JobOutcome outcome = JOB_OUTCOME_NULL;
        _cleanup_(gpu_choice_done) GpuChoice gpu = {};
        JobRequest request = {
                .client = c,
                .gpu = &gpu,
                .operation = operation,
                .out = stdout,
                .block = c->options->block,
        };
        int r;

        r = gpu_choose(c, name, operation, &gpu);
        if (r != 0)
                return r;
        if (c->options->dry_run)
                return plan_show(c, &gpu, operation);

        r = client_new_call(c, gpu.path, GPUPT_GPU_INTERFACE, method, &m, &error);
        if (r < 0)
                return report_error(gpu.address, &error, r);
        r = options_append(c->options, m);
        if (r < 0)
                return report_usage("The value of an option is not valid UTF-8.");

        r = job_run(&request, m, &outcome);
        return r != 0 ? r : (int) job_report(&request, &outcome);
}

int verb_detach(Client *c, char **args) {
        return operate(c, args[0], "detach", "Detach");
}

int verb_attach(Client *c, char **args) {
        return operate(c, args[0], "attach", "Attach");
}

int verb_reset(Client *c, char **args) {
        return operate(c, args[0], "reset", "Reset");
}

int verb_recover(Client *c, char **args) {
        return operate(c, args[0], "recover", "Recover");
}
