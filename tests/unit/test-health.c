/* SPDX-License-Identifier: GPL-2.0-or-later */

/* test-health: each finding is made by what it is about, and by nothing less. */

#include <glib.h>

#include "health.h"
#include "snapshot-builder.h"

/* A machine, what was measured of one card, and the verdict. */
typedef struct HealthCase {
        Snapshot *snapshot;
        char *functions[3];
        Measurement *measurement, *before;
        Saved record;
        HealthInput in;
        HealthReport *report;
} HealthCase;

static Measurement *measure(const char *lines) {
        Measurement *m = measurement_new();

        g_assert_cmpint(measurement_read(m, lines, strlen(lines)), ==, 0);
        return m;
}

#define WELL                                         \
        "measured 0000:01:00.0 10de 00\n"            \
        "dstate 0000:01:00.0 0\n"                    \
        "link 0000:01:00.0 3 16 3 16 yes\n"          \
        "decodes 0000:01:00.0 io+mem\n"              \
        "measured 0000:01:00.1 10de 00\n"            \
        "dstate 0000:01:00.1 0\n"

static HealthCase *case_new(const char *lines) {
        HealthCase *c = g_new0(HealthCase, 1);

        c->snapshot = build_laptop();
        c->functions[0] = (char *) LAPTOP;
        c->functions[1] = (char *) "0000:01:00.1";
        c->in.snapshot = c->snapshot;
        c->in.functions = c->functions;
        if (lines)
                c->in.measurement = c->measurement = measure(lines);
        return c;
}

static void case_free(HealthCase *c) {
        snapshot_free(c->snapshot);
        measurement_free(c->measurement);
        measurement_free(c->before);
        saved_done(&c->record);
        health_report_free(c->report);
        g_free(c);
}
G_DEFINE_AUTOPTR_CLEANUP_FUNC(HealthCase, case_free)

static Function *function(HealthCase *c, const char *address) {
        return snapshot_find(c->snapshot, address);
}

/* Ids and severities, "id:severity" one after the other. */
static void assert_findings(HealthCase *c, Health health, const char *expected) {
        GString *found = g_string_new(NULL);
        g_autofree char *text = NULL;

        health_report_free(c->report);
        g_assert_cmpint(health_judge(&c->in, &c->report), ==, 0);
        for (size_t i = 0; i < c->report->n; i++) {
                const HealthFinding *f = c->report->findings + i;

                g_string_append_printf(found, "%s%s:%s", i ? " " : "", f->id, severity_to_string(f->severity));
                g_test_message("%s", f->text);
                g_assert_true(g_str_has_suffix(f->text, "."));
        }
        text = g_string_free(found, FALSE);
        g_assert_cmpstr(text, ==, expected);
        g_assert_cmpstr(health_to_string(c->report->health), ==, health_to_string(health));
}

static void test_well(void) {
        g_autoptr(HealthCase) c = case_new(WELL);

        assert_findings(c, HEALTH_OK, "");
        g_assert_cmpstr(health_report_worst(c->report), ==, "");
        build_driver(c->snapshot, LAPTOP, "vfio-pci");
        build_driver(c->snapshot, "0000:01:00.1", "vfio-pci");
        c->in.had_drm = true;
        assert_findings(c, HEALTH_OK, "");
}

static void test_nobody_looked(void) {
        g_autoptr(HealthCase) c = case_new(NULL);

        c->in.measure_error = -EIO;
        assert_findings(c, HEALTH_UNKNOWN, "");
        c->in.measure_error = -ETIMEDOUT;
        assert_findings(c, HEALTH_DEAD, "no-answer:error");
}

static void test_absent(void) {
        g_autoptr(HealthCase) c = case_new(WELL);

        c->functions[0] = (char *) "0000:7f:00.0";
        assert_findings(c, HEALTH_DEAD, "absent:error");
}

static void test_dead(void) {
        g_autoptr(HealthCase) ones = case_new("measured 0000:01:00.0 ffff 7f\n"), off = case_new("measured 0000:01:00.0 10de 7f\n");

        assert_findings(ones, HEALTH_DEAD, "config-space:error");
        assert_findings(off, HEALTH_DEAD, "header-type:error");
}

static void test_power(void) {
        g_autoptr(HealthCase) awake = case_new("measured 0000:01:00.0 10de 00\ndstate 0000:01:00.0 3\nruntime 0000:01:00.0 active\n"),
                              rests = case_new("measured 0000:01:00.0 10de 00\ndstate 0000:01:00.0 3\nruntime 0000:01:00.0 suspended\n"),
                              between = case_new("measured 0000:01:00.0 10de 00\ndstate 0000:01:00.0 3\nruntime 0000:01:00.0 changing\n"),
                              failed = case_new("measured 0000:01:00.0 10de 00\ndstate 0000:01:00.0 3\nruntime 0000:01:00.0 error\n");

        assert_findings(awake, HEALTH_DEAD, "power-state:error");
        assert_findings(rests, HEALTH_OK, "");
        assert_findings(between, HEALTH_OK, "");
        assert_findings(failed, HEALTH_DEAD, "power-state:error");
}

static void test_link(void) {
        g_autoptr(HealthCase) down = case_new("measured 0000:01:00.0 10de 00\nlink 0000:01:00.0 1 1 3 16 no\n"),
                              narrow = case_new("measured 0000:01:00.0 10de 00\nlink 0000:01:00.0 1 8 3 16 -\n");

        assert_findings(down, HEALTH_DEAD, "link:error");
        assert_findings(narrow, HEALTH_OK, "link-width:note");
}

static void test_bars(void) {
        g_autoptr(HealthCase) c = case_new("measured 0000:01:00.0 10de 00\nbar 0000:01:00.0 1 268435456\n");

        assert_findings(c, HEALTH_DEGRADED, "bars:warning");
        g_assert_nonnull(strstr(health_report_find(c->report, "bars")->text, "268435456"));
}

static void test_decodes(void) {
        g_autoptr(HealthCase) c = case_new("measured 0000:01:00.0 10de 00\ndecodes 0000:01:00.0 none\n");

        assert_findings(c, HEALTH_OK, "vga-decodes:note");
        function(c, LAPTOP)->boot_vga = true;
        assert_findings(c, HEALTH_DEGRADED, "vga-decodes:warning");
}

static void test_drivers(void) {
        g_autoptr(HealthCase) c = case_new(WELL);

        build_driver(c->snapshot, LAPTOP, NULL);
        build_driver(c->snapshot, "0000:01:00.1", NULL);
        assert_findings(c, HEALTH_DEGRADED, "driver:warning audio-driver:warning");
        /* Nobody has one for it, and nobody had. */
        strv_free(function(c, LAPTOP)->host_modules);
        function(c, LAPTOP)->host_modules = NULL;
        strv_free(function(c, "0000:01:00.1")->host_modules);
        function(c, "0000:01:00.1")->host_modules = NULL;
        assert_findings(c, HEALTH_OK, "");
        /* Taken: nobody misses the drivers of the host. Half-way back: the audio's is missed. */
        g_assert_cmpint(saved_add(&c->record, "0000:01:00.1", "driver", "snd_hda_intel"), ==, 0);
        c->in.record = &c->record;
        assert_findings(c, HEALTH_OK, "");
        build_driver(c->snapshot, LAPTOP, "nouveau");
        assert_findings(c, HEALTH_DEGRADED, "audio-driver:warning");
}

static void test_screen(void) {
        char *const screens[] = { (char *) "HDMI-A-1", NULL };
        g_autoptr(HealthCase) c = case_new(WELL);
        Function *f = function(c, LAPTOP);

        c->in.had_drm = true;
        for (size_t i = 0; i < f->n_nodes; i++)
                free(f->nodes[i].path);
        f->n_nodes = 0;
        assert_findings(c, HEALTH_DEGRADED, "drm-node:warning");

        c->in.had_drm = false;
        c->in.screens = screens;
        assert_findings(c, HEALTH_OK, "connectors:note");
        c->in.misses_screens = true;
        assert_findings(c, HEALTH_DEGRADED, "connectors:warning");
        g_assert_cmpint(function_add_connector(f, "HDMI-A-1", "connected"), ==, 0);
        assert_findings(c, HEALTH_OK, "");
}

static void test_sensors(void) {
        g_autoptr(HealthCase) c = case_new(WELL "sensor 0000:01:00.0 pwm1 138\nsensor 0000:01:00.0 temp1 29000\n"),
                              hot = case_new(WELL "sensor 0000:01:00.0 pwm1 138\nsensor 0000:01:00.0 temp1 81000\n");

        /* The first report's: 54 % against 39 %, at 29 °C. */
        c->in.before = c->before = measure("sensor 0000:01:00.0 pwm1 100\nsensor 0000:01:00.0 temp1 30000\n");
        assert_findings(c, HEALTH_DEGRADED, "fan:warning");
        hot->in.before = hot->before = measure("sensor 0000:01:00.0 pwm1 100\nsensor 0000:01:00.0 temp1 30000\n");
        assert_findings(hot, HEALTH_OK, "");
        c->in.before = NULL;
        assert_findings(c, HEALTH_OK, "");
        c->in.sensors_late = true;
        assert_findings(c, HEALTH_DEGRADED, "sensors:warning");
}

static void test_order(void) {
        g_autoptr(HealthCase) c = case_new("measured 0000:01:00.0 10de 00\n"
                                           "link 0000:01:00.0 1 8 3 16 no\n"
                                           "decodes 0000:01:00.0 none\n"
                                           "bar 0000:01:00.0 0 4096\n");

        assert_findings(c, HEALTH_DEAD, "link:error bars:warning vga-decodes:note");
        g_assert_nonnull(strstr(health_report_worst(c->report), "link"));
        g_assert_cmpint(health_report_add(c->report, SEVERITY_NOTE, "more", "%s", "And this."), ==, 0);
        g_assert_cmpint(c->report->health, ==, HEALTH_DEAD);
}

int main(int argc, char *argv[]) {
        g_test_init(&argc, &argv, NULL);
        g_test_add_func("/health/well", test_well);
        g_test_add_func("/health/nobody-looked", test_nobody_looked);
        g_test_add_func("/health/absent", test_absent);
        g_test_add_func("/health/dead", test_dead);
        g_test_add_func("/health/power", test_power);
        g_test_add_func("/health/link", test_link);
        g_test_add_func("/health/bars", test_bars);
        g_test_add_func("/health/decodes", test_decodes);
        g_test_add_func("/health/drivers", test_drivers);
        g_test_add_func("/health/screen", test_screen);
        g_test_add_func("/health/sensors", test_sensors);
        g_test_add_func("/health/order", test_order);
        return g_test_run();
}
