/* SPDX-License-Identifier: GPL-2.0-or-later */

/* rescan, reload: tell gpuptd to read something again: the GPUs, or its configuration. */

#include "client/agent.h"
#include "client/report.h"
#include "client/verbs.h"
#include "dbus/names.h"

static int call_manager(Client *c, const char *method) {
        _cleanup_(sd_bus_error_free) sd_bus_error error = SD_BUS_ERROR_NULL;
        _cleanup_(sd_bus_message_unrefp) sd_bus_message *m = NULL;
        int r;

        r = client_new_call(c, GPUPT_OBJECT_PATH, GPUPT_MANAGER_INTERFACE, method, &m, &error);
        if (r >= 0)
                r = sd_bus_call(c->bus, m, POLKIT_TIMEOUT_USEC, &error, NULL);
        return r < 0 ? (int) report_error(NULL, &error, r) : EXIT_DONE;
}

int verb_rescan(Client *c, _unused_ char **args) {
        return call_manager(c, "Rescan");
}

int verb_reload(Client *c, _unused_ char **args) {
        agent_open(c->options); /* Rescan is free, this is not */
        return call_manager(c, "Reload");
}
