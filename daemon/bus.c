/* SPDX-License-Identifier: GPL-2.0-or-later */

/* bus: how objects are found on the bus and named there. */

#include "bus.h"

#include "dbus/names.h"

Manager *manager_of_message(sd_bus_message *message) {
        return sd_bus_slot_get_userdata(sd_bus_get_current_slot(sd_bus_message_get_bus(message)));
}

int bus_sender_uid(sd_bus_message *message, uint32_t *ret) {
        _cleanup_(sd_bus_creds_unrefp) sd_bus_creds *creds = NULL;
        uid_t uid;
        int r;

        r = sd_bus_query_sender_creds(message, SD_BUS_CREDS_EUID, &creds);
        if (r >= 0)
                r = sd_bus_creds_get_euid(creds, &uid);
        if (r >= 0)
                *ret = uid;
        return r;
}

const char *gpu_bus_path(const Gpu *g, char buf[static BUS_PATH_MAX]) {
        _cleanup_free_ char *path = NULL;

        buf[0] = '\0';
        if (sd_bus_path_encode(GPUPT_GPU_PREFIX, g->address, &path) >= 0)
                (void) snprintf(buf, BUS_PATH_MAX, "%s", path);
        return buf;
}

const char *job_bus_path(unsigned id, char buf[static BUS_PATH_MAX]) {
        (void) snprintf(buf, BUS_PATH_MAX, GPUPT_JOB_PREFIX "/%u", id);
        return buf;
}
