/* SPDX-License-Identifier: GPL-2.0-or-later */
#pragma once

/* measurement: what a worker measured of the functions of a GPU: plain data that may have cost a wait for the device, unlike
 * a snapshot. It judges nothing: health.h does. As word lines:
 *
 *      measured ADDR VENDOR HEADER     config space: vendor id and header type, hex ("ffff", "7f": all ones)
 *      dstate ADDR N                   PMCSR: 0 … 3 (PCI Power Management 1.2, 3.2.4)
 *      runtime ADDR WORD               its runtime_status before and after those were read: active, suspended, suspending,
 *                                      resuming, error, unsupported; "changing" if the two differ
 *      link ADDR SPEED WIDTH MAXSPEED MAXWIDTH ACTIVE   PCIe link of the function: speeds as the code of LNKSTA (1: 2.5
 *                                      GT/s …), lanes; ACTIVE yes, no, or - where the port above does not report it
 *                                      (PCIe 7.5.3.8; Data Link Layer Link Active of the port above). Of a function that
 *                                      does not answer all four numbers are 0; of one that does ACTIVE is never no
 *      bar ADDR INDEX SIZE             a memory BAR (0 … 5) that has no address: size in bytes, decimal (sysfs `resource`). Not
 *                                      for ports: many bridges have none to give, and no driver of today needs them
 *      decodes ADDR WORD               of the VGA arbiter: io+mem, io, mem, none; absent where it is no VGA card
 *      sensor ADDR NAME VALUE          temp1 (m°C), fan1 (1/min), power1 (µW), pwm1 (0 … 255): the kernel's hwmon units
 *                                      (Documentation/hwmon/sysfs-interface.rst), decimal, may be negative */

#include "util/address.h"
#include "util/words.h"

/* Is it the name of a sensor: temp, fan, power or pwm and a number? */
bool sensor_name_valid(const char *name);
/* Decimal, with a minus sign if need be; -EINVAL for anything else, -ERANGE. */
int sensor_parse_value(const char *s, int64_t *ret);

#define MEASURED_BARS 6U
/* Sensors of one function: a driver may register as many as it likes. */
#define MEASURED_SENSORS_MAX 32U

typedef struct Sensor {
        char *name;
        int64_t value;
} Sensor;

typedef struct Measured {
        char address[PCI_ADDRESS_MAX];
        bool read;              /* there was a `measured` line: the config space could be read at all */
        uint16_t vendor;
        uint8_t header_type;
        char *runtime;          /* NULL: not known */
        int dstate;             /* -1: it has no power management capability */
        bool has_link;
        unsigned link_speed, link_width, link_max_speed, link_max_width;
        int link_active;        /* 1, 0, or -1 */
        unsigned unassigned;    /* BARs without an address, one bit each */
        uint64_t bar_sizes[MEASURED_BARS]; /* of those, in bytes; the others are 0 */
        char *decodes;          /* NULL: it is no VGA card, or there is no arbiter */
        Sensor *sensors;
        size_t n_sensors;
} Measured;

typedef struct Measurement {
        Measured *functions; /* in the order of the lines */
        size_t n;
} Measurement;

Measurement *measurement_new(void);
Measurement *measurement_free(Measurement *m);
DEFINE_CLEANUP(Measurement *, measurement_free);

/* Adds what the lines say: of `measure`, of `sensors`, or of both, into the same measurement. Hostile input: -EBADMSG for
 * anything else than these lines, for a line that comes twice, and past the limits on numbers and lengths; what came before
 * it has been added then. */
int measurement_read(Measurement *m, const char *text, size_t size);
/* The same lines again, a function at a time. */
void measurement_write(const Measurement *m, FILE *f);

/* By the kernel's form of the address; NULL if there is no line of it. */
const Measured *measurement_find(const Measurement *m, const char *address);
