/* SPDX-License-Identifier: GPL-2.0-or-later */

#include "checkup.h"

#include "question.h"
#include "unit-client.h"
#include "util/log.h"
#include "vendor-tool.h"

/* Config space is blocked while a reset that somebody began is under way, up to 65 s (drivers/pci/pci.c pci_dev_wait()). */
#define MEASURE_LIMIT_SEC 70U
#define SENSORS_LIMIT_SEC 5U
/* What the kernel says while it is asked reaches the journal a moment later. */
#define JOURNAL_USEC 100000U

struct Checkup {
        Gpu *gpu; /* weak */
        uint64_t since;
        checkup_handler_t handler;
        void *userdata;
        Measurement *measurement;
        Question *measure, *sensors; /* NULL: answered */
        VendorTool *tool;            /* likewise */
        int measure_error;           /* 0: its lines are in the measurement */
        bool sensors_late;
        HealthReport *said;          /* findings of the vendor's tool */
        sd_event_source *over;
};

Checkup *checkup_free(Checkup *c) {
        if (!c)
                return NULL;
        question_free(c->measure);
        question_free(c->sensors);
        vendor_tool_free(c->tool);
        sd_event_source_disable_unref(c->over);
        measurement_free(c->measurement);
        health_report_free(c->said);
        free(c);
        return NULL;
}

/* ---- what the kernel said ---- */

static int add_kernel_findings(Checkup *c, HealthReport *report) {
        static const Severity severities[] = {
                [KERNEL_HARMLESS] = SEVERITY_NOTE, [KERNEL_NOTE] = SEVERITY_NOTE,
                [KERNEL_WARNING] = SEVERITY_WARNING, [KERNEL_ERROR] = SEVERITY_WARNING,
        };
        _cleanup_(kernel_lines_freep) KernelLines *lines = NULL;
        _cleanup_free_ KernelFinding *findings = NULL;
        size_t n;
        int r;

        r = kernel_log_read(c->gpu->host->kernel_log, c->gpu->functions, c->since, &lines);
        if (r < 0) {
                log_debug_errno(r, "Failed to read what the kernel said of %s, ignoring: %m", c->gpu->address);
                return 0;
        }
        r = kernel_findings(lines, &findings, &n);
        /* The kernel's words are about what has been: that the card is dead now, only the card can tell. */
        for (size_t i = 0; i < n && r >= 0; i++) {
                const KernelFinding *f = findings + i;

                if (f->count > 1)
                        r = health_report_add(report, severities[f->meaning.severity], f->meaning.id, "%s: %s (%u times).",
                                              f->address ?: c->gpu->address, f->meaning.sentence, f->count);
                else
                        r = health_report_add(report, severities[f->meaning.severity], f->meaning.id, "%s: %s.",
                                              f->address ?: c->gpu->address, f->meaning.sentence);
        }
        return r;
}

/* ---- the verdict ---- */

static int judge(Checkup *c, HealthReport **ret) {
        _cleanup_(health_report_freep) HealthReport *report = NULL;
        HealthInput input;
        int r;

        gpu_health_input(c->gpu, &input);
        input.measurement = c->measure_error == 0 ? c->measurement : NULL;
        input.measure_error = c->measure_error;
        input.sensors_late = c->sensors_late;
        r = health_judge(&input, &report);
        for (size_t i = 0; c->said && i < c->said->n && r >= 0; i++)
                r = health_report_add(report, c->said->findings[i].severity, c->said->findings[i].id, "%s",
                                      c->said->findings[i].text);
        if (r >= 0)
                r = add_kernel_findings(c, report);
        if (r < 0)
                return r;
        *ret = TAKE_PTR(report);
        return 0;
}

static int on_over(sd_event_source *source, uint64_t usec, void *userdata) {
        Checkup *c = ASSERT_PTR(userdata);
        HealthReport *report = NULL;

        if (judge(c, &report) < 0)
                report = health_report_new();
        if (!report)
                (void) log_oom();
        c->handler(report, c->userdata);
        checkup_free(c);
        return 0;
}

static void end_if_answered(Checkup *c) {
        if (c->measure || c->sensors || c->tool || c->over)
                return;
        if (sd_event_add_time_relative(c->gpu->host->event, &c->over, CLOCK_MONOTONIC, JOURNAL_USEC, 0, on_over, c) < 0)
                (void) log_oom();
}

/* ---- questions ---- */

static void on_measure(int error, const char *data, size_t size, void *userdata) {
        Checkup *c = ASSERT_PTR(userdata);

        c->measure = NULL;
        c->measure_error = error < 0 ? error : measurement_read(c->measurement, data, size);
        end_if_answered(c);
}

static void on_sensors(int error, const char *data, size_t size, void *userdata) {
        Checkup *c = ASSERT_PTR(userdata);

        c->sensors = NULL;
        c->sensors_late = error == -ETIMEDOUT;
        if (error >= 0 && measurement_read(c->measurement, data, size) < 0)
                log_debug("The sensors of %s answered something that cannot be read, ignoring.", c->gpu->address);
        end_if_answered(c);
}

static void on_tool(const VendorToolAnswer *answer, void *userdata) {
        Checkup *c = ASSERT_PTR(userdata);

        c->tool = NULL;
        if (answer->state != VENDOR_TOOL_OK) {
                bool hung = answer->state == VENDOR_TOOL_HUNG;

                c->said = health_report_new();
                if (!c->said || health_report_add(c->said, hung ? SEVERITY_ERROR : SEVERITY_WARNING,
                                                  hung ? "vendor-tool-hung" : "vendor-tool-failed", "%s", answer->text) < 0)
                        (void) log_oom();
        }
        end_if_answered(c);
}

static int ask(Checkup *c) {
        Gpu *g = c->gpu;
        Step measure = { .verb = VERB_MEASURE, .target = g->functions[0], .arguments = g->functions + 1 },
             sensors = { .verb = VERB_SENSORS, .target = g->functions[0], .arguments = g->functions + 1 };
        int r;

        r = question_new(g->host, &measure, MEASURE_LIMIT_SEC, on_measure, c, &c->measure);
        if (r >= 0)
                r = question_new(g->host, &sensors, SENSORS_LIMIT_SEC, on_sensors, c, &c->sensors);
        if (r < 0 || !streq_ptr(gpu_display(g)->driver, "nvidia"))
                return r;
        r = vendor_tool_query(unit_client_bus(g->host->units), g->address, on_tool, c, &c->tool);
        if (r < 0 && r != -ENOENT)
                log_debug_errno(r, "Failed to ask the vendor's tool about %s, ignoring: %m", g->address);
        return 0;
}

int checkup_new(Gpu *g, uint64_t since_usec, checkup_handler_t handler, void *userdata, Checkup **ret) {
        _cleanup_(checkup_freep) Checkup *c = calloc(1, sizeof(Checkup));
        int r;

        if (!c)
                return -ENOMEM;
        *c = (Checkup) { .gpu = g, .since = since_usec, .handler = handler, .userdata = userdata };
        c->measurement = measurement_new();
        if (!c->measurement)
                return -ENOMEM;
        if (gpu_display(g)) {
                r = ask(c);
                if (r < 0)
                        return r;
        } else
                end_if_answered(c);
        *ret = TAKE_PTR(c);
        return 0;
}
