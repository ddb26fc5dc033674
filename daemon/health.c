/* SPDX-License-Identifier: GPL-2.0-or-later */

#include "health.h"

#include <inttypes.h>
#include <stdarg.h>

static const char *const health_table[_HEALTH_MAX] = {
        [HEALTH_UNKNOWN] = "unknown", [HEALTH_OK] = "ok", [HEALTH_DEGRADED] = "degraded", [HEALTH_DEAD] = "dead",
};
static const char *const severity_table[_SEVERITY_MAX] = {
        [SEVERITY_NOTE] = "note", [SEVERITY_WARNING] = "warning", [SEVERITY_ERROR] = "error",
};
DEFINE_STRING_TABLE(health, Health);
DEFINE_STRING_TABLE(severity, Severity);

/* A fan that turns up with the card's warmth is well: only what is this much faster (of 100 %) is told. */
#define FAN_RISE_PERCENT 10
#define WARMER_MILLIDEGREES 5000
/* More than that nobody reads. */
#define FINDINGS_MAX 64U

HealthReport *health_report_new(void) {
        return calloc(1, sizeof(HealthReport));
}

HealthReport *health_report_free(HealthReport *r) {
        if (!r)
                return NULL;
        for (size_t i = 0; i < r->n; i++) {
                free(r->findings[i].id);
                free(r->findings[i].text);
        }
        free(r->findings);
        free(r);
        return NULL;
}

int health_report_add(HealthReport *r, Severity severity, const char *id, const char *format, ...) {
        static const Health healths[] = { HEALTH_OK, HEALTH_DEGRADED, HEALTH_DEAD };
        _cleanup_free_ char *text = NULL, *name = strdup(id);
        HealthFinding *findings;
        va_list ap;
        int k;

        r->health = MAX(r->health, healths[severity]);
        if (r->n >= FINDINGS_MAX)
                return 0;
        va_start(ap, format);
        k = vasprintf(&text, format, ap);
        va_end(ap);
        findings = k < 0 || !name ? NULL : reallocarray(r->findings, r->n + 1, sizeof(HealthFinding));
        if (!findings) {
                if (k < 0)
                        text = NULL;
                return -ENOMEM;
        }
        r->findings = findings;
        findings[r->n++] = (HealthFinding) { TAKE_PTR(name), severity, TAKE_PTR(text) };
        return 0;
}

const HealthFinding *health_report_find(const HealthReport *r, const char *id) {
        for (size_t i = 0; i < r->n; i++)
                if (streq(r->findings[i].id, id))
                        return r->findings + i;
        return NULL;
}

const char *health_report_worst(const HealthReport *r) {
        const HealthFinding *worst = NULL;

        for (size_t i = 0; i < r->n; i++)
                if (!worst || r->findings[i].severity > worst->severity)
                        worst = r->findings + i;
        return worst ? worst->text : "";
}

/* ---- what a worker measured ---- */

static bool may_sleep(const Measured *m) {
        return m->runtime && !streq(m->runtime, "active") && !streq(m->runtime, "unsupported");
}

static int judge_config(const Measured *m, HealthReport *r, bool *ret_alive) {
        *ret_alive = false;
        if (!m->read || m->vendor == 0xffff)
                return health_report_add(r, SEVERITY_ERROR, "config-space",
                                         "The configuration space of %s reads all ones: the card has no power, or has fallen "
                                         "off the bus.", m->address);
        if (m->header_type == 0x7f)
                return health_report_add(r, SEVERITY_ERROR, "header-type",
                                         "%s has the unknown header type 7f: the card is off.", m->address);
        *ret_alive = true;
        return 0;
}

static int judge_power(const Function *f, const Measured *m, HealthReport *r) {
        if (streq_ptr(m->runtime, "error"))
                return health_report_add(r, SEVERITY_ERROR, "power-state",
                                         "Runtime power management of %s has failed: it was not possible to wake it.", f->address);
        if (m->dstate > 0 && !may_sleep(m))
                return health_report_add(r, SEVERITY_ERROR, "power-state", "%s stays in D%i although it is to be awake.",
                                         f->address, m->dstate);
        return 0;
}

static int judge_link(const Function *f, const Measured *m, HealthReport *r) {
        if (!m->has_link || may_sleep(m))
                return 0;
        if (m->link_active == 0)
                return health_report_add(r, SEVERITY_ERROR, "link", "The PCIe link of %s is down.", f->address);
        if (m->link_width > 0 && m->link_width < m->link_max_width)
                return health_report_add(r, SEVERITY_NOTE, "link-width", "%s uses %u of its %u PCIe lanes.", f->address,
                                         m->link_width, m->link_max_width);
        return 0;
}

static int judge_bars(const Measured *m, HealthReport *r) {
        int k = 0;

        for (unsigned i = 0; i < MEASURED_BARS && k >= 0; i++)
                if (m->unassigned & 1U << i)
                        k = health_report_add(r, SEVERITY_WARNING, "bars",
                                              "The kernel found no address for BAR %u of %s (%" PRIu64 " bytes).", i, m->address,
                                              m->bar_sizes[i]);
        return k;
}

/* What nothing but legacy VGA needs matters where the console is. */
static int judge_decodes(const Function *f, const Measured *m, HealthReport *r) {
        if (!streq_ptr(m->decodes, "none"))
                return 0;
        return health_report_add(r, f->boot_vga ? SEVERITY_WARNING : SEVERITY_NOTE, "vga-decodes",
                                 "%s does not answer legacy VGA addresses (the VGA arbiter says decodes=none).", f->address);
}

static int judge_measured(const Function *f, const Measured *m, HealthReport *r) {
        bool alive;
        int k;

        k = judge_config(m, r, &alive);
        if (k < 0 || !alive)
                return k;
        k = judge_power(f, m, r);
        if (k >= 0)
                k = judge_link(f, m, r);
        if (k >= 0)
                k = judge_bars(m, r);
        return k < 0 ? k : judge_decodes(f, m, r);
}

/* ---- what a look shows ---- */

/* A registered driver whose module knows the function: it could have bound it. */
static const Driver *driver_that_could(const HealthInput *in, const Function *f) {
        for (size_t i = 0; i < in->snapshot->n_drivers; i++) {
                const Driver *d = in->snapshot->drivers + i;

                if (d->module && strv_contains(f->host_modules, d->module))
                        return d;
        }
        return NULL;
}

/* gpuptd has it, and it is not half-way back: the host's driver is not missed. */
static bool is_taken(const HealthInput *in) {
        const Function *display = snapshot_find(in->snapshot, in->functions[0]);

        return in->record && (!display || !display->driver || driver_is_vfio(display->driver));
}

static int judge_driver(const HealthInput *in, const Function *f, const char *id, HealthReport *r) {
        const char *was = in->record ? saved_get(in->record, f->address, "driver") : NULL;
        const Driver *could = driver_that_could(in, f);

        if (f->driver || is_taken(in))
                return 0;
        if (!isempty(was))
                return health_report_add(r, SEVERITY_WARNING, id, "%s has no driver; it had %s.", f->address, was);
        if (could)
                return health_report_add(r, SEVERITY_WARNING, id, "%s has no driver, although %s is there and knows it.",
                                         f->address, could->name);
        return 0;
}

static bool has_drm(const Function *f) {
        for (size_t i = 0; i < f->n_nodes; i++)
                if (startswith(f->nodes[i].path, "/dev/dri/"))
                        return true;
        return false;
}

static const Connector *find_connector(const Function *f, const char *name) {
        for (size_t i = 0; i < f->n_connectors; i++)
                if (streq(f->connectors[i].name, name))
                        return f->connectors + i;
        return NULL;
}

/* A lost screen may be a pulled cable, so it is no more than a note, unless somebody has said that he wants it back. */
static int judge_screens(const HealthInput *in, const Function *f, HealthReport *r) {
        for (char *const *name = in->screens; name && *name; name++) {
                const Connector *c = find_connector(f, *name);

                if (c && streq(c->status, "connected"))
                        return 0;
        }
        if (!in->screens || !*in->screens)
                return 0;
        return health_report_add(r, in->misses_screens ? SEVERITY_WARNING : SEVERITY_NOTE, "connectors",
                                 "No screen is seen on %s; there was one on %s.", f->address, in->screens[0]);
}

static int judge_display(const HealthInput *in, const Function *f, HealthReport *r) {
        int k;

        k = judge_driver(in, f, "driver", r);
        if (k < 0 || !f->driver || driver_is_vfio(f->driver))
                return k;
        if (in->had_drm && !has_drm(f))
                return health_report_add(r, SEVERITY_WARNING, "drm-node", "%s has made no DRM node for %s, although it did before.",
                                         f->driver, f->address);
        return judge_screens(in, f, r);
}

/* ---- sensors ---- */

static const Sensor *find_sensor(const Measurement *m, const char *address, const char *kind) {
        const Measured *f = m ? measurement_find(m, address) : NULL;

        for (size_t i = 0; f && i < f->n_sensors; i++)
                if (startswith(f->sensors[i].name, kind))
                        return f->sensors + i;
        return NULL;
}

static int judge_sensors(const HealthInput *in, const char *address, HealthReport *r) {
        const Sensor *pwm = find_sensor(in->measurement, address, "pwm"), *before = find_sensor(in->before, address, "pwm");
        const Sensor *warmth = find_sensor(in->measurement, address, "temp"), *once = find_sensor(in->before, address, "temp");
        long percent, percent_before;

        if (in->sensors_late)
                return health_report_add(r, SEVERITY_WARNING, "sensors", "The sensors of %s did not answer in time.", address);
        if (!pwm || !before || (warmth && once && warmth->value > once->value + WARMER_MILLIDEGREES))
                return 0;
        percent = (long) (pwm->value * 100 / 255);
        percent_before = (long) (before->value * 100 / 255);
        if (percent < percent_before + FAN_RISE_PERCENT)
                return 0;
        return health_report_add(r, SEVERITY_WARNING, "fan",
                                 "The fan of %s runs at %ld %%, it was %ld %% before, and the card is not hotter.", address, percent,
                                 percent_before);
}

/* ---- the whole ---- */

static int compare_findings(const void *a, const void *b) {
        const HealthFinding *x = a, *y = b;

        return (int) y->severity - (int) x->severity;
}

static int judge_function(const HealthInput *in, const Function *f, HealthReport *r) {
        const Measured *m = in->measurement ? measurement_find(in->measurement, f->address) : NULL;
        int k = 0;

        if (m)
                k = judge_measured(f, m, r);
        if (k >= 0 && streq(f->address, in->functions[0]))
                k = judge_display(in, f, r);
        else if (k >= 0 && streq(function_role(f), "audio"))
                k = judge_driver(in, f, "audio-driver", r);
        return k;
}

int health_judge(const HealthInput *in, HealthReport **ret) {
        _cleanup_(health_report_freep) HealthReport *r = health_report_new();
        const char *address = in->functions[0];
        int k = 0;

        if (!r)
                return -ENOMEM;
        if (!snapshot_find(in->snapshot, address)) {
                k = health_report_add(r, SEVERITY_ERROR, "absent", "%s is not on the PCI bus.", address);
                if (k >= 0)
                        *ret = TAKE_PTR(r);
                return k;
        }
        if (in->measurement)
                r->health = HEALTH_OK;
        else if (in->measure_error == -ETIMEDOUT)
                k = health_report_add(r, SEVERITY_ERROR, "no-answer",
                                      "%s does not answer: reading its configuration space did not end in time.", address);
        for (char *const *a = in->functions; *a && k >= 0; a++) {
                const Function *f = snapshot_find(in->snapshot, *a);

                k = f ? judge_function(in, f, r)
                      : health_report_add(r, SEVERITY_WARNING, "function-absent", "%s is not on the PCI bus.", *a);
        }
        if (k >= 0)
                k = judge_sensors(in, address, r);
        if (k < 0)
                return k;
        if (r->n > 1)
                qsort(r->findings, r->n, sizeof(HealthFinding), compare_findings);
        *ret = TAKE_PTR(r);
        return 0;
}
