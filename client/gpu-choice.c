/* SPDX-License-Identifier: GPL-2.0-or-later */

/* gpu-choice: which GPU is meant. Forms of names are the daemon's business; here is only the rule for no name. */

#include "client/gpu-choice.h"

#include "client/function.h"
#include "client/report.h"
#include "client/terminal.h"
#include "dbus/names.h"

void gpu_choice_done(GpuChoice *g) {
        free(g->path);
        free(g->address);
        *g = (GpuChoice) {};
}

static bool gpu_fits(json_object *gpu, const char *operation) {
        const char *state = json_string(gpu, "state"), *health = json_string(gpu, "health");

        if (!operation)
                return false;
        if (streq(operation, "detach"))
                return streq(state, "host") || streq(state, "partial");
        if (streq(operation, "attach"))
                return streq(state, "detached") || streq(state, "partial");
        if (streq(operation, "recover"))
                return streq(state, "unreachable") || streq(state, "absent") || streq(health, "dead") ||
                       streq(health, "degraded");
        return false;
}

static json_object *only_candidate(json_object *gpus, const char *operation) {
        json_object *found = NULL;

        if (json_object_array_length(gpus) == 1)
                return json_object_array_get_idx(gpus, 0);

        for (size_t i = 0; i < json_object_array_length(gpus); i++) {
                json_object *gpu = json_object_array_get_idx(gpus, i);

                if (!gpu_fits(gpu, operation))
                        continue;
                if (found)
                        return NULL;
                found = gpu;
        }
        return found;
}

static ExitStatus list_choices(json_object *gpus) {
        (void) report_note("Which GPU? Name one of these:");
        for (size_t i = 0; i < json_object_array_length(gpus); i++) {
                json_object *gpu = json_object_array_get_idx(gpus, i);
                _cleanup_free_ char *model = function_name(json_string(gpu, "name"));
                _cleanup_free_ char *name = model ? text_escape(model) : NULL;

                (void) fprintf(stderr, "  %s  %-11s  %s\n", json_string(gpu, "address"), json_string(gpu, "state"),
                               strempty(name));
        }
        return EXIT_USAGE;
}

static int choose_unnamed(Client *c, const char *operation, GpuChoice *ret) {
        _cleanup_(sd_bus_error_free) sd_bus_error error = SD_BUS_ERROR_NULL;
        _cleanup_(json_object_putp) json_object *gpus = NULL;
        _cleanup_(gpu_choice_done) GpuChoice g = {};
        json_object *gpu;
        int r;

        r = client_get_objects(c, GPUPT_GPU_INTERFACE, "address", &gpus, &error);
        if (r < 0)
                return report_error(NULL, &error, r);
        if (json_object_array_length(gpus) == 0) {
                (void) sd_bus_error_set(&error, GPUPT_ERROR_NO_SUCH_GPU, "This host has no GPU.");
                return report_error(NULL, &error, -ENODEV);
        }

        gpu = only_candidate(gpus, operation);
        if (!gpu)
                return list_choices(gpus);

        g.address = strdup(json_string(gpu, "address"));
        if (!g.address)
                return -ENOMEM;
        r = sd_bus_path_encode(GPUPT_GPU_PREFIX, g.address, &g.path);
        if (r < 0)
                return r;

        *ret = g;
        g = (GpuChoice) {};
        return 0;
}

int gpu_choose(Client *c, const char *name, const char *operation, GpuChoice *ret) {
        _cleanup_(sd_bus_error_free) sd_bus_error error = SD_BUS_ERROR_NULL;
        _cleanup_(gpu_choice_done) GpuChoice g = {};
        int r;

        if (!name)
                return choose_unnamed(c, operation, ret);

        r = client_get_gpu(c, name, &g.path, &error);
        if (r < 0)
                return report_error(name, &error, r);
        g.address = gpu_address_of_path(g.path);
        if (!g.address)
                return -ENOMEM;

        *ret = g;
        g = (GpuChoice) {};
        return 0;
}
