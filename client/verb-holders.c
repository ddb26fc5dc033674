/* SPDX-License-Identifier: GPL-2.0-or-later */

/* holders: which processes keep a GPU busy. */

#include "client/gpu-choice.h"
#include "client/holders.h"
#include "client/pager.h"
#include "client/report.h"
#include "client/verbs.h"
#include "dbus/names.h"

int verb_holders(Client *c, char **args) {
        _cleanup_(sd_bus_error_free) sd_bus_error error = SD_BUS_ERROR_NULL;
        _cleanup_(scols_unref_tablep) struct libscols_table *t = NULL;
        _cleanup_(json_object_putp) json_object *holders = NULL;
        _cleanup_(gpu_choice_done) GpuChoice gpu = {};
        int r;

        r = gpu_choose(c, args[0], /* operation= */ NULL, &gpu);
        if (r != 0)
                return r;
        r = client_query(c, gpu.path, GPUPT_GPU_INTERFACE, "ListHolders", &holders, &error);
        if (r < 0)
                return report_error(gpu.address, &error, r);

        pager_open(c->options);
        if (c->options->json != JSON_OFF) {
                json_print(holders, c->options->json);
                return EXIT_DONE;
        }
        if (json_object_array_length(holders) == 0) {
                if (c->options->legend)
                        (void) printf("Nobody uses %s.\n", gpu.address);
                return EXIT_DONE;
        }

        r = holders_table(holders, c->options->legend, !c->options->host, &t);
        if (r >= 0)
                r = table_print(t);
        return r < 0 ? r : EXIT_DONE;
}
