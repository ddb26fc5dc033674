/* SPDX-License-Identifier: GPL-2.0-or-later */

/* test-reset-verbs: the worker's verbs of the reset ladder on the simulated machine, without the daemon: what each
 * does, that it may be done twice, that it puts back what it changed, and what it says when the kernel does not do as
 * it is told. */

#include "verb-case.h"

#include "machine.h"
#include "measurement.h"

#define DEVICES "bus/pci/devices/"

static void read_answer(Measurement *m, const char *step) {
        g_autofree char *answer = driver_run(step);

        g_test_message("%s: %s", step, answer);
        g_assert_true(g_str_has_prefix(answer, "begin 1\n"));
        g_assert_true(g_str_has_suffix(answer, "\nok 1\n"));
        g_assert_cmpint(measurement_read(m, answer + strlen("begin 1\n"), strlen(answer) - strlen("begin 1\nok 1\n")), ==, 0);
}

static void test_measure(void) {
        g_autoptr(SimMachine) m = sim_machine_new("desktop");
        _cleanup_(measurement_freep) Measurement *healthy = measurement_new(), *sick = measurement_new();
        const Measured *f;

        read_answer(healthy, "measure 0000:08:00.0 0000:08:00.1 0000:00:03.1");
        g_assert_cmpuint(healthy->n, ==, 3);
        f = measurement_find(healthy, "0000:08:00.0");
        g_assert_true(f->read && f->has_link);
        g_assert_cmphex(f->vendor, ==, 0x10de);
        g_assert_cmphex(f->header_type, ==, 0);
        g_assert_cmpint(f->dstate, ==, 0);
        g_assert_cmpuint(f->link_speed, ==, 3);
        g_assert_cmpuint(f->link_width, ==, 16);
        g_assert_cmpint(f->link_active, !=, 0);
        g_assert_cmpuint(f->unassigned, ==, 0);
        g_assert_cmpstr(f->decodes, ==, "io+mem");
        g_assert_null(measurement_find(healthy, "0000:08:00.1")->decodes);
        g_assert_cmphex(measurement_find(healthy, "0000:00:03.1")->header_type, ==, 1);

        (void) sim_command(m, "die 0000:08:00.0");
        sim_unplug(m, "0000:08:00.1");
        sim_wait_known(m, "0000:08:00.1", false);
        read_answer(sick, "measure 0000:08:00.0 0000:08:00.1");
        g_assert_cmpuint(sick->n, ==, 1);
        f = measurement_find(sick, "0000:08:00.0");
        g_assert_true(f->read);
        g_assert_cmphex(f->vendor, ==, 0xffff);
        g_assert_cmphex(f->header_type, ==, 0x7f);
        g_assert_cmpint(f->dstate, ==, -1);
        /* Of the link there is only the port's word, where it has one. */
        g_assert_cmpuint(f->link_speed, ==, 0);
        g_assert_cmpint(f->link_active, ==, f->has_link ? 0 : -1);
}

/* A config space that cannot be read is no error either: there is no `measured` line. */
static void test_measure_unreadable(void) {
        g_autoptr(SimMachine) m = sim_machine_new("desktop");
        _cleanup_(measurement_freep) Measurement *measurement = measurement_new();

        (void) sim_fault(m, "0000:08:00.0", "read:config", "errno=EIO");
        read_answer(measurement, "measure 0000:08:00.0");
        g_assert_false(measurement_find(measurement, "0000:08:00.0")->read);
}

static int64_t sensor_value(const Measured *f, const char *name) {
        for (size_t i = 0; i < f->n_sensors; i++)
                if (streq(f->sensors[i].name, name))
                        return f->sensors[i].value;
        g_error("there is no sensor %s", name);
}

static void test_sensors(void) {
        g_autoptr(SimMachine) m = sim_machine_new("desktop");
        _cleanup_(measurement_freep) Measurement *measurement = measurement_new();
        const Measured *f;

        read_answer(measurement, "sensors 0000:08:00.0");
        f = measurement_find(measurement, "0000:08:00.0");
        g_assert_nonnull(f);
        g_assert_false(f->read);
        g_assert_cmpint(sensor_value(f, "temp1"), ==, 29000);
        g_assert_cmpint(sensor_value(f, "fan1"), ==, 1180);
        g_assert_cmpint(sensor_value(f, "pwm1"), ==, 99);
        g_assert_cmpint(sensor_value(f, "power1"), ==, 23850000);
        /* Without a driver there is nobody to ask. */
        assert_ok("unbind 0000:08:00.0 nouveau");
        assert_ok("sensors 0000:08:00.0 0000:08:00.1 0000:0f:00.0");
}

/* One that cannot be read, one that is no number, more than there may be: the others are there. */
static void test_sensors_strange(void) {
        g_autoptr(SimMachine) m = sim_machine_new("desktop");
        _cleanup_(measurement_freep) Measurement *failing = measurement_new(), *many = measurement_new();
        g_autoptr(GDir) dir = g_dir_open("/sys/" DEVICES "0000:08:00.0/hwmon", 0, NULL);
        g_autofree char *path = g_strdup_printf("read:hwmon/%s/temp1_input", g_dir_read_name(dir));

        (void) sim_fault(m, "0000:08:00.0", path, "errno=EIO");
        (void) sim_command(m, "sensor 0000:08:00.0 temp2_input -40000");
        (void) sim_command(m, "sensor 0000:08:00.0 temp2_crit 90000");
        assert_ok("unbind 0000:08:00.0 nouveau");
        assert_ok("bind 0000:08:00.0 nouveau");
        read_answer(failing, "sensors 0000:08:00.0");
        g_assert_cmpuint(measurement_find(failing, "0000:08:00.0")->n_sensors, ==, 4);
        g_assert_cmpint(sensor_value(measurement_find(failing, "0000:08:00.0"), "temp2"), ==, -40000);

        for (unsigned i = 3; i < 50; i++)
                (void) sim_command(m, "sensor 0000:08:00.0 temp%u_input %u", i, i);
        assert_ok("unbind 0000:08:00.0 nouveau");
        assert_ok("bind 0000:08:00.0 nouveau");
        read_answer(many, "sensors 0000:08:00.0");
        g_assert_cmpuint(measurement_find(many, "0000:08:00.0")->n_sensors, ==, MEASURED_SENSORS_MAX);
}

static void test_wake(void) {
        g_autoptr(SimMachine) m = sim_machine_new("laptop");

        for (unsigned i = 0; i < 2; i++) {
                assert_ok("wake 0000:00:01.0 0000:01:00.0 0000:01:00.1");
                g_assert_cmpstr(sim_read(m, DEVICES "0000:01:00.0/power/control"), ==, "on");
                g_assert_cmpstr(sim_read(m, DEVICES "0000:01:00.0/power/runtime_status"), ==, "active");
        }
        (void) sim_command(m, "die 0000:01:00.1");
        assert_error("wake 0000:01:00.0 0000:01:00.1", EHOSTDOWN, "0000:01:00.1");
}

/* All of it by the state table of the two modules: who is switched on or off, and what comes of it. */
static void test_switch_power(void) {
        static const struct {
                const char *begin[2], *step;
                int error;
                const char *end[2]; /* bbswitch, nvhda */
        } rows[] = {
                { { "OFF", "OFF" }, "bbswitch OFF", 0, { "OFF", "OFF" } }, { { "OFF", "OFF" }, "bbswitch ON", 0, { "ON", "OFF" } },
                { { "OFF", "OFF" }, "nvhda OFF", 0, { "OFF", "OFF" } },    { { "OFF", "OFF" }, "nvhda ON", EIO, { "OFF", "OFF" } },
                { { "OFF", "ON" }, "bbswitch OFF", 0, { "OFF", "ON" } },   { { "OFF", "ON" }, "bbswitch ON", 0, { "ON", "ON" } },
                { { "OFF", "ON" }, "nvhda OFF", 0, { "OFF", "OFF" } },     { { "OFF", "ON" }, "nvhda ON", 0, { "OFF", "ON" } },
                { { "ON", "OFF" }, "bbswitch OFF", 0, { "OFF", "OFF" } },  { { "ON", "OFF" }, "bbswitch ON", 0, { "ON", "OFF" } },
                { { "ON", "OFF" }, "nvhda OFF", 0, { "ON", "OFF" } },      { { "ON", "OFF" }, "nvhda ON", 0, { "ON", "ON" } },
                { { "ON", "ON" }, "bbswitch OFF", 0, { "OFF", "ON" } },    { { "ON", "ON" }, "bbswitch ON", 0, { "ON", "ON" } },
                { { "ON", "ON" }, "nvhda OFF", 0, { "ON", "OFF" } },       { { "ON", "ON" }, "nvhda ON", 0, { "ON", "ON" } },
        };
        g_autoptr(SimMachine) m = sim_machine_new("laptop");

        assert_error("switch-power bbswitch ON", ENOENT, "bbswitch");
        (void) sim_command(m, "module bbswitch load");
        (void) sim_command(m, "module nvhda load");
        assert_error("switch-power bbswitch OFF", EIO, "0000:01:00.0");
        assert_ok("unbind 0000:01:00.1 snd_hda_intel");
        assert_ok("unbind 0000:01:00.0 nvidia");
        for (size_t i = 0; i < ELEMENTSOF(rows); i++) {
                g_autofree char *audio = g_strdup_printf("switch-power nvhda %s", rows[i].begin[1]);
                g_autofree char *card = g_strdup_printf("switch-power bbswitch %s", rows[i].begin[0]);
                g_autofree char *step = g_strdup_printf("switch-power %s", rows[i].step);

                /* The audio function can only be turned on while the card is. */
                assert_ok("switch-power bbswitch ON");
                assert_ok(audio);
                assert_ok(card);
                if (rows[i].error == 0)
                        assert_ok(step);
                else
                        assert_error(step, rows[i].error, "0000:01:00.0");
                g_assert_true(g_str_has_suffix(sim_read(m, "/proc/acpi/bbswitch"), rows[i].end[0]));
                g_assert_true(g_str_has_suffix(sim_read(m, "/proc/acpi/nvhda"), rows[i].end[1]));
        }
}

static void test_slot_power(void) {
        g_autoptr(SimMachine) m = sim_machine_new("desktop");

        assert_error("slot-power 7 0", ENOTTY, "slot");
        assert_ok("unbind 0000:08:00.1 snd_hda_intel");
        assert_ok("unbind 0000:08:00.0 nouveau");
        for (unsigned i = 0; i < 2; i++) {
                assert_ok("slot-power 1 0");
                g_assert_false(sim_exists(m, DEVICES "0000:08:00.0"));
        }
        for (unsigned i = 0; i < 2; i++) {
                assert_ok("slot-power 1 1");
                g_assert_true(sim_exists(m, DEVICES "0000:08:00.0"));
        }
}

static void test_reset(void) {
        g_autoptr(SimMachine) m = sim_machine_new("desktop");

        g_assert_cmpstr(sim_read(m, DEVICES "0000:0a:00.4/reset_method"), ==, "flr pm");
        for (unsigned i = 0; i < 2; i++) {
                assert_ok("reset 0000:0a:00.4 flr");
                assert_ok("reset 0000:0a:00.4 pm");
                assert_ok("reset 0000:0a:00.4 \\-");
                g_assert_cmpstr(sim_read(m, DEVICES "0000:0a:00.4/reset_method"), ==, "flr pm");
        }
        /* What somebody has chosen is put back as it was. */
        g_assert_cmpint(sim_write(m, DEVICES "0000:0a:00.4/reset_method", "pm flr"), ==, 0);
        assert_ok("reset 0000:0a:00.4 flr");
        g_assert_cmpstr(sim_read(m, DEVICES "0000:0a:00.4/reset_method"), ==, "pm flr");
        g_assert_cmpint(sim_write(m, DEVICES "0000:0a:00.4/reset_method", "\n"), ==, 0);
        assert_ok("reset 0000:0a:00.4 flr");
        g_assert_cmpstr(sim_read(m, DEVICES "0000:0a:00.4/reset_method"), ==, "");
        assert_error("reset 0000:0a:00.4 \\-", ENOTTY, "0000:0a:00.4");
}

/* Listed for the first function of the card, since its sibling was not there yet; and there is no such reset. */
static void test_reset_listed(void) {
        g_autoptr(SimMachine) m = sim_machine_new("desktop");

        g_assert_cmpstr(sim_read(m, DEVICES "0000:08:00.0/reset_method"), ==, "bus");
        for (unsigned i = 0; i < 2; i++) {
                assert_error("reset 0000:08:00.0 bus", ENOTTY, "lists");
                g_assert_cmpstr(sim_read(m, DEVICES "0000:08:00.0/reset_method"), ==, "bus");
        }
        assert_error("reset 0000:08:00.0 flr", ENOTTY, "flr");
        g_assert_cmpstr(sim_read(m, DEVICES "0000:08:00.0/reset_method"), ==, "bus");
        assert_error("reset 0000:08:00.1 \\-", ENOTTY, "0000:08:00.1");
        assert_error("reset 0000:08:00.1 flr", ENOTTY, "0000:08:00.1");
}

/* A list that the kernel does not take again: the reset has worked, and the answer says what stands there now. */
static void test_reset_list_lost(void) {
        g_autoptr(SimMachine) m = sim_machine_new("nvidia-pair");

        g_assert_cmpstr(sim_read(m, DEVICES "0000:3b:00.0/reset_method"), ==, "pm bus");
        assert_answer("reset 0000:3b:00.0 pm", "reset-method 0000:3b:00.0 pm\nok 1\n");
        g_assert_cmpstr(sim_read(m, DEVICES "0000:3b:00.0/reset_method"), ==, "pm");
        assert_ok("reset 0000:3b:00.0 pm");
}

static void test_reset_fails(void) {
        g_autoptr(SimMachine) m = sim_machine_new("desktop");

        /* The list comes back after an error as well. */
        (void) sim_fault(m, "0000:0a:00.4", "pm", "errno=EIO");
        assert_error("reset 0000:0a:00.4 pm", EIO, "0000:0a:00.4");
        g_assert_cmpstr(sim_read(m, DEVICES "0000:0a:00.4/reset_method"), ==, "flr pm");
        /* Both failures are in the sentence, and the errno is the first one's. */
        (void) sim_fault(m, "0000:0a:00.4", "flr", "errno=EIO");
        (void) sim_fault(m, "0000:0a:00.4", "reset_method", "nth=2 errno=EBUSY");
        assert_error("reset 0000:0a:00.4 flr", EIO, "reset_method");
        g_assert_cmpstr(sim_read(m, DEVICES "0000:0a:00.4/reset_method"), ==, "flr");
        /* The reset was good, the list was not restored. */
        g_assert_cmpint(sim_write(m, DEVICES "0000:0a:00.4/reset_method", "default"), ==, 0);
        (void) sim_fault(m, "0000:0a:00.4", "reset_method", "nth=2 errno=EBUSY");
        assert_error("reset 0000:0a:00.4 flr", EBUSY, "reset_method");
        assert_error("reset 0000:0a:00.4 acpi", ENOTTY, "acpi");

        (void) sim_command(m, "die 0000:0a:00.4");
        assert_error("reset 0000:0a:00.4 flr", EHOSTDOWN, "does\\x20not\\x20answer");
}

static void test_reset_below(void) {
        g_autoptr(SimMachine) m = sim_machine_new("desktop");
        WorkerDriver d;
        unsigned fault;

        for (unsigned i = 0; i < 2; i++)
                assert_ok("reset-below 0000:00:03.1");
        assert_error("reset-below 0000:08:00.0", ENOTTY, "0000:08:00.0");
        assert_error("reset-below 0000:00:00.0", ENOTTY, "0000:00:00.0");

        /* Somebody's call holds a function below: tried again until it is over. */
        fault = sim_fault(m, "0000:08:00.0", "unbind", "hang");
        driver_start(&d, NULL);
        driver_send(&d, "step 1 unbind 0000:08:00.0 nouveau\n");
        sim_fault_wait(m, fault);
        assert_error("reset-below 0000:00:03.1", EBUSY, "0000:00:03.1");
        sim_fault_release(m, fault);
        {
                g_autofree char *answer = driver_receive(&d);

                g_assert_cmpstr(answer, ==, "begin 1\nok 1\n");
        }
        g_assert_cmpint(driver_end(&d), ==, 0);
        assert_ok("reset-below 0000:00:03.1");
}

static void test_remove_rescan(void) {
        g_autoptr(SimMachine) m = sim_machine_new("desktop");

        assert_error("remove 0000:08:00.0", EBUSY, "nouveau");
        assert_error("remove 0000:00:03.1", EBUSY, "0000:08:00");
        g_assert_true(sim_exists(m, DEVICES "0000:08:00.0"));
        assert_ok("unbind 0000:08:00.1 snd_hda_intel");
        assert_ok("unbind 0000:08:00.0 nouveau");
        for (unsigned i = 0; i < 2; i++) {
                assert_ok("remove 0000:08:00.1");
                assert_ok("remove 0000:08:00.0");
                g_assert_false(sim_exists(m, DEVICES "0000:08:00.0"));
        }
        for (unsigned i = 0; i < 2; i++) {
                assert_ok("rescan 0000:08 0000:08:00.0 0000:08:00.1");
                g_assert_cmpstr(sim_driver_of(m, "0000:08:00.0"), ==, "nouveau");
                g_assert_cmpstr(sim_driver_of(m, "0000:08:00.1"), ==, "snd_hda_intel");
        }
        assert_ok("rescan 0000:08");
        assert_error("rescan 0000:77", ENODEV, "0000:77");
        (void) sim_command(m, "die 0000:08:00.0");
        assert_ok("unbind 0000:08:00.0 nouveau");
        assert_ok("remove 0000:08:00.0");
        assert_error("rescan 0000:08 0000:08:00.1 0000:08:00.0", ENODEV, "0000:08:00.0");
}

/* A bridge goes with what is below it, and comes back with it. */
static void test_remove_bridge(void) {
        g_autoptr(SimMachine) m = sim_machine_new("desktop");

        assert_ok("unbind 0000:08:00.1 snd_hda_intel");
        assert_ok("unbind 0000:08:00.0 nouveau");
        assert_ok("remove 0000:00:03.1");
        g_assert_false(sim_exists(m, DEVICES "0000:08:00.0"));
        assert_ok("rescan 0000:00 0000:00:03.1 0000:08:00.0 0000:08:00.1");
        g_assert_cmpstr(sim_driver_of(m, "0000:08:00.0"), ==, "nouveau");
}

/* While a VM has it: the write returns when the guest has let go. */
static void test_eject(void) {
        g_autoptr(SimMachine) m = sim_machine_new("desktop");
        g_autofree char *answer = NULL;
        unsigned fault;
        WorkerDriver d;

        fault = sim_fault(m, "0000:08:00.0", "unbind", "hang");
        driver_start(&d, NULL);
        driver_send(&d, "step 1 eject 0000:08:00.0\n");
        sim_fault_wait(m, fault);
        sim_fault_release(m, fault);
        answer = driver_receive(&d);
        g_assert_cmpstr(answer, ==, "begin 1\nok 1\n");
        g_assert_cmpint(driver_end(&d), ==, 0);
        g_assert_false(sim_exists(m, DEVICES "0000:08:00.0"));
        assert_ok("eject 0000:08:00.0");
}

static void test_restore_decodes(void) {
        g_autoptr(SimMachine) m = sim_machine_new("nvidia-pair");

        /* nvidia gives up its decodes and registers nobody: anyone may give them back, also while it is bound. */
        {
                _cleanup_(measurement_freep) Measurement *before = measurement_new();

                read_answer(before, "measure 0000:3b:00.0");
                g_assert_cmpstr(measurement_find(before, "0000:3b:00.0")->decodes, ==, "none");
        }
        for (unsigned i = 0; i < 2; i++) {
                _cleanup_(measurement_freep) Measurement *after = measurement_new();

                assert_ok("restore-decodes 0000:3b:00.0");
                read_answer(after, "measure 0000:3b:00.0");
                g_assert_cmpstr(measurement_find(after, "0000:3b:00.0")->decodes, ==, "io+mem");
        }
        assert_error("restore-decodes 0000:3b:00.1", ENOTTY, "0000:3b:00.1");
}

/* The arbiter takes the write of who asks while a driver decides, and does nothing. */
static void test_restore_decodes_owned(void) {
        static const char *const words[] = { "target PCI:0000:08:00.0", "decodes none" };
        g_autoptr(SimMachine) m = sim_machine_new("desktop");
        _cleanup_close_ int fd = open("/dev/vga_arbiter", O_RDWR | O_CLOEXEC);

        g_assert_cmpint(fd, >=, 0);
        assert_ok("unbind 0000:08:00.0 nouveau");
        for (size_t i = 0; i < ELEMENTSOF(words); i++)
                g_assert_cmpint(write(fd, words[i], strlen(words[i])), ==, (ssize_t) strlen(words[i]));
        assert_ok("bind 0000:08:00.0 nouveau");
        assert_error("restore-decodes 0000:08:00.0", EBUSY, "none");
        assert_ok("unbind 0000:08:00.0 nouveau");
        assert_ok("restore-decodes 0000:08:00.0");
}

/* Removed, kept, and there again: the host's driver does not get it, since its module is loaded by udev alone. */
static void test_keep(void) {
        g_autoptr(SimMachine) m = sim_machine_new("desktop");

        g_assert_cmpint(g_mkdir_with_parents("/run/gpuptd", 0700), ==, 0);
        assert_ok("unbind 0000:08:00.0 nouveau");
        (void) sim_command(m, "module nouveau unload");
        for (unsigned i = 0; i < 2; i++)
                assert_ok("keep 0000:08:00.0 vfio-pci");
        assert_ok("remove 0000:08:00.0");
        assert_ok("rescan 0000:08 0000:08:00.0");
        (void) sim_command(m, "wait-udev");
        g_assert_cmpstr(sim_override_of(m, "0000:08:00.0"), ==, "vfio-pci");
        g_assert_null(sim_driver_of(m, "0000:08:00.0"));

        for (unsigned i = 0; i < 2; i++)
                assert_ok("keep 0000:08:00.0 \\-");
        assert_ok("remove 0000:08:00.0");
        assert_ok("rescan 0000:08 0000:08:00.0");
        (void) sim_command(m, "wait-udev");
        g_assert_null(sim_override_of(m, "0000:08:00.0"));
}

static void test_alarm(void) {
        g_autoptr(SimMachine) m = sim_machine_new("desktop");

        /* Over one that is set. */
        for (unsigned i = 0; i < 2; i++) {
                assert_ok("alarm rtc0 100");
                g_assert_cmpstr(sim_read(m, "class/rtc/rtc0/wakealarm"), !=, "");
        }
        for (unsigned i = 0; i < 2; i++) {
                assert_ok("alarm rtc0 0");
                g_assert_cmpstr(sim_read(m, "class/rtc/rtc0/wakealarm"), ==, "");
        }
        assert_error("alarm rtc1 5", ENODEV, "rtc1");
}

int main(int argc, char *argv[]) {
        sim_init(&argc, &argv);
        (void) setenv(ENV_PLAIN_NODES, "1", 1);
        g_test_add_func("/reset-verbs/measure", test_measure);
        g_test_add_func("/reset-verbs/measure-unreadable", test_measure_unreadable);
        g_test_add_func("/reset-verbs/sensors", test_sensors);
        g_test_add_func("/reset-verbs/wake", test_wake);
        g_test_add_func("/reset-verbs/switch-power", test_switch_power);
        g_test_add_func("/reset-verbs/slot-power", test_slot_power);
        g_test_add_func("/reset-verbs/reset", test_reset);
        g_test_add_func("/reset-verbs/reset-listed", test_reset_listed);
        g_test_add_func("/reset-verbs/reset-list-lost", test_reset_list_lost);
        g_test_add_func("/reset-verbs/reset-fails", test_reset_fails);
        g_test_add_func("/reset-verbs/reset-below", test_reset_below);
        g_test_add_func("/reset-verbs/remove-rescan", test_remove_rescan);
        g_test_add_func("/reset-verbs/remove-bridge", test_remove_bridge);
        g_test_add_func("/reset-verbs/eject", test_eject);
        g_test_add_func("/reset-verbs/restore-decodes", test_restore_decodes);
        g_test_add_func("/reset-verbs/restore-decodes-owned", test_restore_decodes_owned);
        g_test_add_func("/reset-verbs/sensors-strange", test_sensors_strange);
        g_test_add_func("/reset-verbs/keep", test_keep);
        g_test_add_func("/reset-verbs/alarm", test_alarm);
        return g_test_run();
}
