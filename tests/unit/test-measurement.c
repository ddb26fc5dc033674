/* SPDX-License-Identifier: GPL-2.0-or-later */

/* test-measurement: what a worker measured, read and written again; a worker that is not ours may say anything. */

#include "measurement.h"

#include <glib.h>

#include "worker/measure.h"

static const char whole[] = "measured 0000:3b:00.0 10de 00\n"
                            "dstate 0000:3b:00.0 3\n"
                            "runtime 0000:3b:00.0 suspended\n"
                            "link 0000:3b:00.0 1 8 4 16 yes\n"
                            "bar 0000:3b:00.0 1 268435456\n"
                            "bar 0000:3b:00.0 3 33554432\n"
                            "decodes 0000:3b:00.0 none\n"
                            "sensor 0000:3b:00.0 fan1 2300\n"
                            "sensor 0000:3b:00.0 temp1 -2000\n"
                            "measured 0000:3b:00.1 ffff 7f\n";

static char *write_text(const Measurement *m) {
        char *text = NULL;
        size_t size;
        FILE *f = open_memstream(&text, &size);

        g_assert_nonnull(f);
        measurement_write(m, f);
        g_assert_cmpint(fclose(f), ==, 0);
        return text;
}

static void test_round_trip(void) {
        _cleanup_(measurement_freep) Measurement *m = measurement_new();
        _cleanup_free_ char *text = NULL;
        const Measured *f;

        g_assert_cmpint(measurement_read(m, whole, strlen(whole)), ==, 0);
        g_assert_cmpuint(m->n, ==, 2);
        f = measurement_find(m, "0000:3b:00.0");
        g_assert_true(f->read && f->has_link);
        g_assert_cmphex(f->vendor, ==, 0x10de);
        g_assert_cmpint(f->dstate, ==, 3);
        g_assert_cmpuint(f->link_speed, ==, 1);
        g_assert_cmpuint(f->link_width, ==, 8);
        g_assert_cmpuint(f->link_max_speed, ==, 4);
        g_assert_cmpuint(f->link_max_width, ==, 16);
        g_assert_cmpint(f->link_active, ==, 1);
        g_assert_cmphex(f->unassigned, ==, 0x0a);
        g_assert_cmpuint(f->bar_sizes[1], ==, 268435456);
        g_assert_cmpuint(f->bar_sizes[0], ==, 0);
        g_assert_cmpstr(f->decodes, ==, "none");
        g_assert_cmpuint(f->n_sensors, ==, 2);
        g_assert_cmpstr(f->sensors[1].name, ==, "temp1");
        g_assert_cmpint(f->sensors[1].value, ==, -2000);

        f = measurement_find(m, "0000:3b:00.1");
        g_assert_cmphex(f->vendor, ==, 0xffff);
        g_assert_cmphex(f->header_type, ==, 0x7f);
        g_assert_cmpint(f->dstate, ==, -1);
        g_assert_cmpint(f->link_active, ==, -1);
        g_assert_null(f->decodes);
        g_assert_null(measurement_find(m, "0000:3b:00.2"));

        text = write_text(m);
        g_assert_cmpstr(text, ==, whole);
}

/* Two answers, one measurement: the sensors come by a verb of their own. */
static void test_merge(void) {
        static const char first[] = "measured 0000:01:00.0 1002 00\n",
                          second[] = "sensor 0000:01:00.0 temp1 41000\nsensor 0000:01:00.1 fan2 0\n";
        _cleanup_(measurement_freep) Measurement *m = measurement_new();

        g_assert_cmpint(measurement_read(m, first, strlen(first)), ==, 0);
        g_assert_cmpint(measurement_read(m, second, strlen(second)), ==, 0);
        g_assert_cmpint(measurement_read(m, "", 0), ==, 0);
        g_assert_cmpuint(m->n, ==, 2);
        g_assert_true(measurement_find(m, "0000:01:00.0")->read);
        g_assert_cmpint(measurement_find(m, "0000:01:00.0")->sensors[0].value, ==, 41000);
        g_assert_false(measurement_find(m, "0000:01:00.1")->read);
        /* The same sensor once more is nobody's second thought. */
        g_assert_cmpint(measurement_read(m, second, strlen(second)), ==, -EBADMSG);
}

static void test_bad_lines(void) {
        static const char *const texts[] = {
                "measured 0000:01:00.0 10de 00", /* cut off */
                "measured\n", "measured 0000:01:00.0\n", "measured 0000:01:00.0 10de\n", "measured 0000:01:00.0 10de 00 1\n",
                "measured 01:00.0 10de 00\n", "measured 0000:01:00.0 110de 00\n", "measured 0000:01:00.0 10de 80\n",
                "measured 0000:01:00.0 0x10 00\n", "measured 0000:01:00.0 10de 00\nmeasured 0000:01:00.0 10de 00\n",
                "dstate 0000:01:00.0 4\n", "runtime 0000:01:00.0 lazy\n", "runtime 0000:01:00.0 active\nruntime 0000:01:00.0 active\n", "dstate 0000:01:00.0 -1\n", "dstate 0000:01:00.0 0\ndstate 0000:01:00.0 0\n",
                "link 0000:01:00.0 1 8 4 16\n", "link 0000:01:00.0 1 8 4 16 maybe\n", "link 0000:01:00.0 16 8 4 16 yes\n",
                "link 0000:01:00.0 1 64 4 16 yes\n", "link 0000:01:00.0 1 1 1 1 -\nlink 0000:01:00.0 1 1 1 1 -\n",
                "bar 0000:01:00.0 6 16\n", "bar 0000:01:00.0 0 0\n", "bar 0000:01:00.0 0 0x10\n",
                "bar 0000:01:00.0 0 18446744073709551616\n", "bar 0000:01:00.0 0 16\nbar 0000:01:00.0 0 16\n",
                "decodes 0000:01:00.0 \\-\n", "decodes 0000:01:00.0 all\n", "decodes 0000:01:00.0 io\ndecodes 0000:01:00.0 io\n",
                "sensor 0000:01:00.0 temp1\n", "sensor 0000:01:00.0 temp 1\n", "sensor 0000:01:00.0 temp1x 1\n",
                "sensor 0000:01:00.0 in0 1\n", "sensor 0000:01:00.0 temp1 1.5\n", "sensor 0000:01:00.0 temp1 --1\n",
                "sensor 0000:01:00.0 temp1 -\n", "sensor 0000:01:00.0 temp1 9223372036854775808\n",
                "sensor 0000:01:00.0 temp12345 1\n", "snapshot 0000:01:00.0\n", "\n",
        };

        for (size_t i = 0; i < ELEMENTSOF(texts); i++) {
                _cleanup_(measurement_freep) Measurement *m = measurement_new();

                g_test_message("%s", texts[i]);
                g_assert_cmpint(measurement_read(m, texts[i], strlen(texts[i])), ==, -EBADMSG);
        }
}

static void test_limits(void) {
        _cleanup_(measurement_freep) Measurement *m = measurement_new();
        g_autoptr(GString) text = g_string_new(NULL);

        for (unsigned i = 0; i < MEASURED_SENSORS_MAX; i++)
                g_string_append_printf(text, "sensor 0000:01:00.0 temp%u %u\n", i, i);
        g_assert_cmpint(measurement_read(m, text->str, text->len), ==, 0);
        g_assert_cmpint(measurement_read(m, "sensor 0000:01:00.0 fan1 1\n", strlen("sensor 0000:01:00.0 fan1 1\n")), ==, -EBADMSG);

        g_string_truncate(text, 0);
        for (unsigned i = 0; i < 4096; i++)
                g_string_append_printf(text, "dstate %04x:01:00.0 0\n", i + 1);
        g_assert_cmpint(measurement_read(m, text->str, text->len), ==, -EBADMSG);
}

static void test_sensor_values(void) {
        int64_t value;

        g_assert_cmpint(sensor_parse_value("-9223372036854775807", &value), ==, 0);
        g_assert_cmpint(value, ==, -G_MAXINT64);
        g_assert_cmpint(sensor_parse_value("0", &value), ==, 0);
        g_assert_cmpint(value, ==, 0);
        g_assert_cmpint(sensor_parse_value("", &value), ==, -EINVAL);
        g_assert_cmpint(sensor_parse_value("- 1", &value), ==, -EINVAL);
}

/* Lines of `resource`: start, end, flags. */
static void test_resource(void) {
        static const struct {
                const char *line;
                uint64_t size;
        } lines[] = {
                { "0x00000000f8000000 0x00000000f8ffffff 0x0000000000042208", 0 }, /* it has an address */
                { "0x0000000000000000 0x0000000000000000 0x0000000000000000", 0 }, /* there is no such BAR */
                { "0x0000000000000000 0x000000000fffffff 0x000000000014220c", 0x10000000 },
                { "0x00000000f8000000 0x00000000f8ffffff 0x0000000020042208", 0x1000000 }, /* IORESOURCE_UNSET */
                { "0x0000000000000000 0x000000000000007f 0x0000000000040101", 0 }, /* ports */
                { "0x0000000000000000 0x0000000000000000 0x0000000000040200", 0 }, /* no size */
                { "0x0000000000001000 0x0000000000000fff 0x0000000020040200", 0 },
                { "0x0000000000000000 0xffffffffffffffff 0x0000000000040200", UINT64_MAX },
                { "0x0000000000000000 0x000000000fffffff", 0 },
                { "", 0 },
                { "nothing", 0 },
        };

        for (size_t i = 0; i < ELEMENTSOF(lines); i++) {
                g_test_message("%s", lines[i].line);
                g_assert_cmpuint(resource_unassigned_size(lines[i].line), ==, lines[i].size);
        }
}

int main(int argc, char *argv[]) {
        g_test_init(&argc, &argv, NULL);
        g_test_add_func("/measurement/round-trip", test_round_trip);
        g_test_add_func("/measurement/merge", test_merge);
        g_test_add_func("/measurement/bad-lines", test_bad_lines);
        g_test_add_func("/measurement/limits", test_limits);
        g_test_add_func("/measurement/sensor-values", test_sensor_values);
        g_test_add_func("/measurement/resource", test_resource);
        return g_test_run();
}
