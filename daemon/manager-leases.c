/* SPDX-License-Identifier: GPL-2.0-or-later */

/* manager-leases: the leases on all GPUs. A released one is followed by the attach, as soon as nothing is in its
 * way. */

#include "manager.h"

#include <limits.h>

#include "dbus/names.h"
#include "sleep.h"
#include "util/log-ids.h"
#include "util/log.h"

Lease *manager_find_lease(const Manager *m, const Gpu *g) {
        LIST_FOREACH(leases, l, m->leases)
                if (streq(l->lease->gpu, g->address))
                        return l->lease;
        return NULL;
}

unsigned manager_count_leases(const Manager *m, const char *sender) {
        unsigned n = 0;

        LIST_FOREACH(leases, l, m->leases)
                n += streq_ptr(l->lease->sender, sender);
        return n;
}

static void on_lease_released(Lease *lease, void *userdata) {
        log_with(LOG_INFO, 0, MESSAGE_ID_LEASE_RELEASED, LOG_FIELDS({ GPUPT_FIELD_GPU, lease->gpu }),
                 "%s: its lease was released.", lease->gpu);
        manager_follow_leases(userdata);
}

static int add_lease(Manager *m, Lease *lease) {
        ManagerLease *l = calloc(1, sizeof(ManagerLease));

        if (!l)
                return -ENOMEM;
        l->lease = lease;
        LIST_APPEND(leases, m->leases, l);
        return 0;
}

int manager_new_lease(Manager *m, Gpu *g, uint32_t uid, const char *sender, int *ret_fd) {
        _cleanup_close_ int fd = -EBADF;
        Lease *lease;
        int r;

        r = lease_new(m->event, m->host->run_dir, m->last_lease + 1, g->address, uid, sender, on_lease_released, m, &lease,
                      &fd);
        if (r < 0)
                return r;
        m->last_lease++;
        r = add_lease(m, lease);
        if (r < 0) {
                lease_end(lease);
                return r;
        }
        log_with(LOG_INFO, 0, MESSAGE_ID_LEASE_TAKEN, LOG_FIELDS({ GPUPT_FIELD_GPU, g->address }),
                 "%s: leased by uid %u.", g->address, uid);
        *ret_fd = TAKE_FD(fd);
        return 0;
}

void manager_end_lease(Manager *m, Lease *lease) {
        LIST_FOREACH_SAFE(leases, l, m->leases)
                if (l->lease == lease) {
                        LIST_REMOVE(leases, m->leases, l);
                        lease_end(l->lease);
                        free(l);
                        return;
                }
}

void manager_follow_leases(Manager *m) {
        LIST_FOREACH_SAFE(leases, l, m->leases) {
                Gpu *g = manager_find_gpu(m, l->lease->gpu);
                /* Whoever lets go of a lease may be about to close the card. */
                PlanOptions options = { .has_wait = true, .wait_sec = m->host->config->wait_sec };
                Job *job;
                int r;

                if (!l->lease->released || !m->inventoried)
                        continue;
                if (g && (g->job || g->stuck_job || g->look || g->state == GPU_ASSIGNED || sleep_in_progress(m->sleep)))
                        continue;
                if (g && g->state != GPU_HOST && g->state != GPU_ABSENT) {
                        r = manager_start_job(m, g, OPERATION_ATTACH, &options, l->lease->uid, NULL, NULL, &job);
                        if (r < 0) {
                                log_error_errno(r, "Failed to attach %s after its lease: %m", g->address);
                                continue;
                        }
                        manager_announce_job(m, job);
                }
                LIST_REMOVE(leases, m->leases, l);
                lease_end(l->lease);
                free(l);
        }
}

void manager_load_leases(Manager *m) {
        _cleanup_closedir_ DIR *dir = opendir(m->host->run_dir);
        struct dirent *entry;

        while (dir && (entry = readdir(dir))) {
                const char *number = startswith(entry->d_name, "lease-");
                uint64_t id;
                Lease *lease;
                int r;

                if (!number || parse_u64(number, UINT_MAX - 1, &id) < 0)
                        continue;
                m->last_lease = MAX(m->last_lease, (unsigned) id);
                r = lease_load(m->event, m->host->run_dir, (unsigned) id, on_lease_released, m, &lease);
                if (r < 0) {
                        log_warning_errno(r, "The lease %u is not readable, ignoring it: %m", (unsigned) id);
                        continue;
                }
                if (add_lease(m, lease) < 0)
                        lease_free(lease);
        }
}
