/* SPDX-License-Identifier: GPL-2.0-or-later */
#pragma once

/* health: whether a GPU is well, from what was looked at and measured. Pure: verdicts only. What a look cannot see (the
 * kernel's log, the vendor's tool) is added by whoever has it, as further findings.
 *
 * Each finding has an id that programs may rely on, and a sentence for people:
 *
 *      absent          error    it is not on the bus
 *      no-answer       error    reading its configuration space did not end in time
 *      config-space    error    it reads all ones: no power, or fallen off the bus
 *      header-type     error    header type 7f: the card is off
 *      power-state     error    it cannot leave a power state below D0
 *      link            error    the PCIe link is down
 *      link-width      note     fewer lanes than the card could have
 *      bars            warning  memory that it needs has no address
 *      driver          warning  the display has no driver, although one is there, and gpuptd has not taken it
 *      drm-node        warning  its driver made no DRM node, although it did before
 *      connectors      note     no screen is seen, although one was; a warning where somebody waits for it
 *      vga-decodes     warning  the boot VGA answers no legacy VGA addresses; a note on other cards
 *      audio-driver    warning  likewise the audio function; also where the display is back with the host
 *      sensors         warning  the hwmon did not answer in time
 *      fan             warning  the fan runs much faster than before, and the card is not hotter
 *      … and those of kernel-line.h and vendor-tool.h */

#include "measurement.h"
#include "saved.h"
#include "snapshot.h"
#include "util/string-table.h"

typedef enum Health {
        HEALTH_UNKNOWN, /* nobody has looked */
        HEALTH_OK,
        HEALTH_DEGRADED, /* a warning */
        HEALTH_DEAD,     /* an error */
        _HEALTH_MAX,
        _HEALTH_INVALID = -EINVAL,
} Health;

typedef enum Severity {
        SEVERITY_NOTE, /* is shown, and makes nobody ill */
        SEVERITY_WARNING,
        SEVERITY_ERROR,
        _SEVERITY_MAX,
        _SEVERITY_INVALID = -EINVAL,
} Severity;

DECLARE_STRING_TABLE(health, Health);
DECLARE_STRING_TABLE(severity, Severity);

typedef struct HealthFinding {
        char *id;
        Severity severity;
        char *text;
} HealthFinding;

typedef struct HealthReport {
        Health health;
        HealthFinding *findings; /* the worst first, once health_judge() is done; what is added later comes behind */
        size_t n;
} HealthReport;

HealthReport *health_report_new(void);
HealthReport *health_report_free(HealthReport *r);
DEFINE_CLEANUP(HealthReport *, health_report_free);

/* Adds a finding, and lowers the health accordingly. */
int health_report_add(HealthReport *r, Severity severity, const char *id, const char *format, ...) _printf_(4, 5);
const HealthFinding *health_report_find(const HealthReport *r, const char *id);
/* The worst finding's sentence; "" if there is none. */
const char *health_report_worst(const HealthReport *r);

typedef struct HealthInput {
        const Snapshot *snapshot;
        char *const *functions;         /* the GPU's, display first */
        const Saved *record;            /* what a detach has recorded; or NULL */
        const Measurement *measurement; /* NULL: it did not come */
        int measure_error;              /* then: why */
        bool sensors_late;
        const Measurement *before;      /* sensors from before the operation; or NULL */
        bool had_drm;                   /* it has had a DRM node with its host driver */
        char *const *screens;           /* connectors that had a screen then; or NULL */
        bool misses_screens;            /* somebody waits for one of them: that there is none is no mere note */
} HealthInput;

/* 0 and a report, or -ENOMEM. */
int health_judge(const HealthInput *in, HealthReport **ret);
