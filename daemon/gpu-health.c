/* SPDX-License-Identifier: GPL-2.0-or-later */

/* gpu-health: what a GPU keeps of how it is, and how it was with the host's driver, so that later looks can be compared. */

#include "gpu.h"

#include "checkup.h"
#include "question.h"
#include "util/log.h"

#define SENSORS_LIMIT_SEC 5U

void gpu_health_input(const Gpu *g, HealthInput *ret) {
        *ret = (HealthInput) {
                .snapshot = g->host->snapshot,
                .functions = g->functions,
                .record = g->record && !g->inconsistent ? &g->record->saved : NULL,
                .before = g->sensors,
                .had_drm = g->had_drm,
                .screens = g->missed_screens ?: g->screens,
                .misses_screens = g->missed_screens,
        };
}

void gpu_take_report(Gpu *g, HealthReport *report, uint64_t since_usec) {
        health_report_free(g->report);
        g->report = report;
        g->report_since = since_usec;
        g->unreachable = report && (health_report_find(report, "config-space") || health_report_find(report, "header-type"));
        gpu_update(g);
}

static void on_examined(HealthReport *report, void *userdata) {
        Gpu *g = ASSERT_PTR(userdata);

        g->checkup = NULL;
        gpu_take_report(g, report, g->examined_since);
        if (g->examined)
                g->examined(g, g->examined_userdata);
}

int gpu_examine(Gpu *g, uint64_t since_usec, gpu_examined_t handler, void *userdata) {
        g->checkup = checkup_free(g->checkup);
        g->examined_since = since_usec;
        g->examined = handler;
        g->examined_userdata = userdata;
        return checkup_new(g, since_usec, on_examined, g, &g->checkup);
}

void gpu_note_alive(Gpu *g, bool alive) {
        HealthReport *report;
        uint64_t now;

        if (alive == !g->unreachable)
                return;
        report = alive ? NULL : health_report_new();
        if (report && health_report_add(report, SEVERITY_ERROR, "config-space",
                                        "The configuration space of %s reads all ones: the card has no power, or has fallen off "
                                        "the bus.", g->address) < 0)
                (void) log_oom();
        (void) sd_event_now(g->host->event, CLOCK_MONOTONIC, &now);
        gpu_take_report(g, report, now);
}

void gpu_note_display(Gpu *g) {
        const Function *f = gpu_display(g);
        bool drm = false;

        if (!f || !f->driver || plan_function_is_detached(f))
                return;
        for (size_t i = 0; i < f->n_nodes; i++)
                drm = drm || startswith(f->nodes[i].path, "/dev/dri/");
        if (!drm)
                return;
        g->had_drm = true;
        g->screens = strv_free(g->screens);
        for (size_t i = 0; i < f->n_connectors; i++)
                if (streq(f->connectors[i].status, "connected") && strv_extend(&g->screens, f->connectors[i].name) < 0)
                        (void) log_oom();
}

static void on_sensors(int error, const char *data, size_t size, void *userdata) {
        Gpu *g = ASSERT_PTR(userdata);
        Measurement *m = measurement_new();

        g->sensing = NULL;
        if (!m || error < 0 || measurement_read(m, data, size) < 0) {
                measurement_free(m);
                return;
        }
        measurement_free(g->sensors);
        g->sensors = m;
}

void gpu_note_sensors(Gpu *g) {
        Step step = { .verb = VERB_SENSORS, .target = g->functions[0], .arguments = g->functions + 1 };
        const Function *f = gpu_display(g);

        if (!f || !f->driver || plan_function_is_detached(f) || g->sensing)
                return;
        if (question_new(g->host, &step, SENSORS_LIMIT_SEC, on_sensors, g, &g->sensing) < 0)
                log_debug("The sensors of %s could not be asked, ignoring.", g->address);
}
