/* SPDX-License-Identifier: GPL-2.0-or-later */

/* measurement: what a worker measured, read and written as word lines. Pure: it opens nothing, and it finds nothing
 * good or bad. Whatever it accepts it can write, and read again to the same. */

#include "measurement.h"

#include <inttypes.h>

#define FUNCTIONS_MAX 4096U
#define SENSOR_NUMBER_DIGITS 3U
#define LINK_SPEED_MAX 15U /* four bits of LNKSTA */
#define LINK_WIDTH_MAX 63U /* six bits */

static const char *const sensor_kinds[] = { "temp", "fan", "power", "pwm" };
static const char *const runtime_words[] = { "active", "suspended", "suspending", "resuming", "error", "unsupported", "changing" };
static const char *const decodes_words[] = { "io+mem", "io", "mem", "none" };

bool sensor_name_valid(const char *name) {
        for (size_t i = 0; i < ELEMENTSOF(sensor_kinds); i++) {
                const char *number = startswith(name, sensor_kinds[i]);
                size_t n = number ? strspn(number, "0123456789") : 0;

                if (n > 0 && n <= SENSOR_NUMBER_DIGITS && !number[n])
                        return true;
        }
        return false;
}

int sensor_parse_value(const char *s, int64_t *ret) {
        bool negative = *s == '-';
        uint64_t value;
        int r;

        r = parse_u64(s + negative, INT64_MAX, &value);
        if (r < 0)
                return r;
        *ret = negative ? -(int64_t) value : (int64_t) value;
        return 0;
}

static void measured_done(Measured *f) {
        free(f->runtime);
        free(f->decodes);
        for (size_t i = 0; i < f->n_sensors; i++)
                free(f->sensors[i].name);
        free(f->sensors);
}

Measurement *measurement_new(void) {
        return calloc(1, sizeof(Measurement));
}

Measurement *measurement_free(Measurement *m) {
        if (!m)
                return NULL;
        for (size_t i = 0; i < m->n; i++)
                measured_done(m->functions + i);
        free(m->functions);
        free(m);
        return NULL;
}

const Measured *measurement_find(const Measurement *m, const char *address) {
        for (size_t i = 0; i < m->n; i++)
                if (streq(m->functions[i].address, address))
                        return m->functions + i;
        return NULL;
}

/* The function that a line is about; it is added with the first one. */
static int find_or_add(Measurement *m, const char *word, Measured **ret) {
        char address[PCI_ADDRESS_MAX];
        Measured *functions;
        PciAddress a;

        if (pci_address_parse(word, &a) < 0)
                return -EBADMSG;
        (void) pci_address_format(&a, address);
        for (size_t i = 0; i < m->n; i++)
                if (streq(m->functions[i].address, address)) {
                        *ret = m->functions + i;
                        return 0;
                }
        if (m->n >= FUNCTIONS_MAX)
                return -EBADMSG;
        functions = reallocarray(m->functions, m->n + 1, sizeof(Measured));
        if (!functions)
                return -ENOMEM;
        m->functions = functions;
        *ret = functions + m->n++;
        **ret = (Measured) { .dstate = -1, .link_active = -1 };
        memcpy((*ret)->address, address, sizeof(address));
        return 0;
}

static int read_measured(Measured *f, char *const *words) {
        uint64_t vendor, header;

        if (f->read || parse_hex_u64(words[2], UINT16_MAX, &vendor) < 0 || parse_hex_u64(words[3], 0x7f, &header) < 0)
                return -EBADMSG;
        f->read = true;
        f->vendor = (uint16_t) vendor;
        f->header_type = (uint8_t) header;
        return 0;
}

static int read_dstate(Measured *f, char *const *words) {
        uint64_t state;

        if (f->dstate >= 0 || parse_u64(words[2], 3, &state) < 0)
                return -EBADMSG;
        f->dstate = (int) state;
        return 0;
}

static int read_link(Measured *f, char *const *words) {
        uint64_t speed, width, max_speed, max_width;

        if (f->has_link || parse_u64(words[2], LINK_SPEED_MAX, &speed) < 0 ||
            parse_u64(words[3], LINK_WIDTH_MAX, &width) < 0 || parse_u64(words[4], LINK_SPEED_MAX, &max_speed) < 0 ||
            parse_u64(words[5], LINK_WIDTH_MAX, &max_width) < 0)
                return -EBADMSG;
        if (streq(words[6], "yes"))
                f->link_active = 1;
        else if (streq(words[6], "no"))
                f->link_active = 0;
        else if (!streq(words[6], "-"))
                return -EBADMSG;
        f->has_link = true;
        f->link_speed = (unsigned) speed;
        f->link_width = (unsigned) width;
        f->link_max_speed = (unsigned) max_speed;
        f->link_max_width = (unsigned) max_width;
        return 0;
}

static int read_bar(Measured *f, char *const *words) {
        uint64_t index, size;

        if (parse_u64(words[2], MEASURED_BARS - 1, &index) < 0 || f->bar_sizes[index] > 0 ||
            parse_u64(words[3], UINT64_MAX, &size) < 0 || size == 0)
                return -EBADMSG;
        f->unassigned |= 1U << index;
        f->bar_sizes[index] = size;
        return 0;
}

static int read_runtime(Measured *f, char *const *words) {
        if (f->runtime)
                return -EBADMSG;
        for (size_t i = 0; i < ELEMENTSOF(runtime_words); i++)
                if (streq(words[2], runtime_words[i]))
                        return free_and_strdup(&f->runtime, words[2]);
        return -EBADMSG;
}

static int read_decodes(Measured *f, char *const *words) {
        if (f->decodes)
                return -EBADMSG;
        for (size_t i = 0; i < ELEMENTSOF(decodes_words); i++)
                if (streq(words[2], decodes_words[i]))
                        return free_and_strdup(&f->decodes, words[2]);
        return -EBADMSG;
}

static int read_sensor(Measured *f, char *const *words) {
        Sensor *sensors;
        int64_t value;
        char *name;

        if (f->n_sensors >= MEASURED_SENSORS_MAX || !sensor_name_valid(words[2]) ||
            sensor_parse_value(words[3], &value) < 0)
                return -EBADMSG;
        for (size_t i = 0; i < f->n_sensors; i++)
                if (streq(f->sensors[i].name, words[2]))
                        return -EBADMSG;
        sensors = reallocarray(f->sensors, f->n_sensors + 1, sizeof(Sensor));
        if (!sensors)
                return -ENOMEM;
        f->sensors = sensors;
        name = strdup(words[2]);
        if (!name)
                return -ENOMEM;
        f->sensors[f->n_sensors++] = (Sensor) { .name = name, .value = value };
        return 0;
}

static const struct {
        const char *word;
        size_t n; /* words of the line */
        int (*read)(Measured *f, char *const *words);
} lines[] = {
        { "measured", 4, read_measured },
        { "dstate", 3, read_dstate },
        { "runtime", 3, read_runtime },
        { "link", 7, read_link },
        { "bar", 4, read_bar },
        { "decodes", 3, read_decodes },
        { "sensor", 4, read_sensor },
};

static int read_words(Measurement *m, char *const *words) {
        size_t n = strv_length(words);
        Measured *f;
        int r;

        for (size_t i = 0; i < ELEMENTSOF(lines); i++) {
                if (!streq(words[0], lines[i].word) || n != lines[i].n)
                        continue;
                r = find_or_add(m, words[1], &f);
                return r < 0 ? r : lines[i].read(f, words);
        }
        return -EBADMSG;
}

int measurement_read(Measurement *m, const char *text, size_t size) {
        WordsReader reader = { .text = text, .size = size };
        int r;

        for (;;) {
                _cleanup_strv_free_ char **words = NULL;

                r = words_reader_next(&reader, &words);
                if (r <= 0)
                        return r;
                r = read_words(m, words);
                if (r < 0)
                        return r;
        }
}

static void write_link(const Measured *f, FILE *out) {
        static const char *const active[] = { "-", "no", "yes" };
        char speed[11], width[11], max_speed[11], max_width[11];

        (void) snprintf(speed, sizeof(speed), "%u", f->link_speed);
        (void) snprintf(width, sizeof(width), "%u", f->link_width);
        (void) snprintf(max_speed, sizeof(max_speed), "%u", f->link_max_speed);
        (void) snprintf(max_width, sizeof(max_width), "%u", f->link_max_width);
        words_write(out, "link", f->address, speed, width, max_speed, max_width, active[f->link_active + 1], NULL);
}

static void write_function(const Measured *f, FILE *out) {
        char first[22], second[22];

        if (f->read) {
                (void) snprintf(first, sizeof(first), "%04x", f->vendor);
                (void) snprintf(second, sizeof(second), "%02x", f->header_type);
                words_write(out, "measured", f->address, first, second, NULL);
        }
        if (f->dstate >= 0) {
                (void) snprintf(first, sizeof(first), "%i", f->dstate);
                words_write(out, "dstate", f->address, first, NULL);
        }
        if (f->runtime)
                words_write(out, "runtime", f->address, f->runtime, NULL);
        if (f->has_link)
                write_link(f, out);
        for (unsigned i = 0; i < MEASURED_BARS; i++) {
                if (!(f->unassigned & 1U << i))
                        continue;
                (void) snprintf(first, sizeof(first), "%u", i);
                (void) snprintf(second, sizeof(second), "%" PRIu64, f->bar_sizes[i]);
                words_write(out, "bar", f->address, first, second, NULL);
        }
        if (f->decodes)
                words_write(out, "decodes", f->address, f->decodes, NULL);
        for (size_t i = 0; i < f->n_sensors; i++) {
                (void) snprintf(first, sizeof(first), "%" PRIi64, f->sensors[i].value);
                words_write(out, "sensor", f->address, f->sensors[i].name, first, NULL);
        }
}

void measurement_write(const Measurement *m, FILE *f) {
        for (size_t i = 0; i < m->n; i++)
                write_function(m->functions + i, f);
}
