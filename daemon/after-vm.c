/* SPDX-License-Identifier: GPL-2.0-or-later */

#include "after-vm.h"

#include "sleep.h"
#include "util/log.h"

/* A VM that was ended hard leaves its page faults in the kernel's log while it ends, before anybody sees it closed. */
#define BEFORE_CLOSE_USEC 3000000U

static void start(Manager *m, Gpu *g, Operation operation) {
        PlanOptions options = { .wait_sec = m->host->config->wait_sec };
        Job *j;
        int r;

        r = manager_start_job(m, g, operation, &options, 0, NULL, NULL, &j);
        if (r < 0)
                log_error_errno(r, "Failed to start the %s of %s after its VM: %m", operation_to_string(operation), g->address);
        else
                manager_announce_job(m, j);
}

/* What was found dead when it was examined is unreachable by then, and nobody's that it was not before. */
static bool may_start(const Manager *m, const Gpu *g) {
        return !g->job && !g->stuck_job && !g->inconsistent && (g->state == GPU_DETACHED || g->state == GPU_UNREACHABLE) &&
               !sleep_in_progress(m->sleep);
}

static void on_examined(Gpu *g, void *userdata) {
        Manager *m = ASSERT_PTR(userdata);

        if (!g->report || (g->report->health != HEALTH_DEGRADED && g->report->health != HEALTH_DEAD) || !may_start(m, g))
                return;
        log_notice("%s: its VM has left it unwell, healing it: %s", g->address, health_report_worst(g->report));
        start(m, g, OPERATION_RECOVER);
}

static uint64_t now_usec(const Gpu *g) {
        uint64_t now;

        (void) sd_event_now(g->host->event, CLOCK_MONOTONIC, &now);
        return now;
}

void after_vm_notice(Manager *m, Gpu *g) {
        AfterVm policy = g->config ? g->config->after_vm : AFTER_VM_HEAL;
        const Lease *lease = manager_find_lease(m, g);

        if (!g->vm_closed)
                return;
        g->vm_closed = false;
        /* An attach follows the lease, and looks itself. */
        if (policy == AFTER_VM_KEEP || (lease && lease->released) || !may_start(m, g))
                return;
        if (policy == AFTER_VM_ATTACH)
                start(m, g, OPERATION_ATTACH);
        else if (gpu_examine(g, now_usec(g) - BEFORE_CLOSE_USEC, on_examined, m) < 0)
                log_warning("%s could not be examined after its VM, ignoring.", g->address);
}

void after_move(Gpu *g, uint64_t since_usec) {
        if (gpu_examine(g, since_usec, NULL, NULL) < 0)
                log_debug("%s could not be examined after its attach, ignoring.", g->address);
}
