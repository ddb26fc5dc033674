/* SPDX-License-Identifier: GPL-2.0-or-later */

/* set-default: where a GPU is to be from the next boot on. */

#include "client/agent.h"
#include "client/gpu-choice.h"
#include "client/report.h"
#include "client/verbs.h"
#include "dbus/names.h"

int verb_set_default(Client *c, char **args) {
        _cleanup_(sd_bus_error_free) sd_bus_error error = SD_BUS_ERROR_NULL;
        _cleanup_(sd_bus_message_unrefp) sd_bus_message *m = NULL;
        _cleanup_(gpu_choice_done) GpuChoice choice = {};
        int r;

        if (!streq(args[1], "host") && !streq(args[1], "vfio"))
                return report_usage("A GPU is with 'host' or with 'vfio' by default, not '%s'.", args[1]);
        r = gpu_choose(c, args[0], /* operation= */ NULL, &choice);
        if (r != 0)
                return r;
        agent_open(c->options);
        r = client_new_call(c, choice.path, GPUPT_GPU_INTERFACE, "SetDefault", &m, &error);
        if (r >= 0)
                r = sd_bus_message_append(m, "s", args[1]);
        if (r >= 0)
                r = sd_bus_call(c->bus, m, POLKIT_TIMEOUT_USEC, &error, NULL);
        if (r < 0)
                return (int) report_error(choice.address, &error, r);
        if (!c->options->quiet)
                (void) printf("%s: from the next boot on it is with %s.\n", choice.address,
                              streq(args[1], "vfio") ? "VFIO" : "the host");
        return EXIT_DONE;
}
