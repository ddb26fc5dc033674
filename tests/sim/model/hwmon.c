/* SPDX-License-Identifier: GPL-2.0-or-later */

/* hwmon: the sensors of a card. What they show is the topology's (`sensors=`) or a test's (command `sensor`), and survives
 * the driver; a card whose fan runs away shows it at full speed for as long as it is sick. */

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "model/model.h"
#include "util/cleanup.h"

static const char defaults[] = "temp1_input=29000,fan1_input=1180,pwm1=99,power1_average=23850000";

/* What the report of the black card measured: 54 % instead of 39 %. */
static const struct {
        const char *name;
        long value;
} runaway[] = {
        { "fan1_input", 1640 },
        { "pwm1", 138 },
};

struct Sensor {
        char *name;
        Device *device;
        long value;
        Attribute attribute;
};

static Sensor *sensor_find(const Device *d, const char *name) {
        for (unsigned i = 0; d->sensors && i < d->sensors->len; i++) {
                Sensor *s = g_ptr_array_index(d->sensors, i);

                if (streq(s->name, name))
                        return s;
        }
        return NULL;
}

static long value_of(const Sensor *s) {
        for (size_t i = 0; device_shows(s->device, SYMPTOM_FAN) && i < ELEMENTSOF(runaway); i++)
                if (streq(runaway[i].name, s->name))
                        return runaway[i].value;
        return s->value;
}

static int sensor_show(void *object, GString *out) {
        g_string_append_printf(out, "%ld\n", value_of(object));
        return 0;
}

int sensor_set(Device *d, const char *name, long value) {
        Sensor *s = sensor_find(d, name);

        if (s) {
                s->value = value;
                return 0;
        }
        if (strcspn(name, "/. ") != strlen(name) || isempty(name))
                return -EINVAL;
        s = g_new(Sensor, 1);
        *s = (Sensor) { .name = g_strdup(name), .device = d, .value = value };
        s->attribute = (Attribute) { s->name, 0444, .show = sensor_show };
        if (!d->sensors)
                d->sensors = g_ptr_array_new();
        g_ptr_array_add(d->sensors, s);
        return 0;
}

bool sensors_parse(Device *d, const char *list) {
        g_auto(GStrv) words = g_strsplit(list, ",", -1);

        for (char **w = words; *w; w++) {
                char *value = strchr(*w, '=');

                if (!value)
                        return false;
                *value++ = 0;
                if (sensor_set(d, *w, strtol(value, NULL, 10)) < 0)
                        return false;
        }
        return true;
}

long sensor_value(Device *d, const char *name) {
        const Sensor *s;

        if (!d->sensors)
                (void) sensors_parse(d, defaults);
        s = sensor_find(d, name);
        return s ? value_of(s) : 0;
}

void hwmon_fill(Device *d, Node *hwmon) {
        if (!d->sensors)
                (void) sensors_parse(d, defaults);
        (void) node_add_text(hwmon, "name", "%s\n", d->driver->name);
        for (unsigned i = 0; i < d->sensors->len; i++) {
                Sensor *s = g_ptr_array_index(d->sensors, i);

                (void) node_add_attribute(hwmon, &s->attribute, s);
        }
}
