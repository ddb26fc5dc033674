/* SPDX-License-Identifier: GPL-2.0-or-later */

/* test-sick: the simulated machine's sick cards, and what makes them well: power switches, slots, resets, sleep; and what
 * is seen of them: the VGA arbiter, sensors, connectors, the kernel's log. */

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/wait.h>
#include <systemd/sd-journal.h>
#include <unistd.h>

#include "machine.h"
#include "util/cleanup.h"
#include "writer.h"

#define DEVICES "bus/pci/devices/"
#define LAPTOP_CARD "0000:01:00.0"
#define LAPTOP_AUDIO "0000:01:00.1"
#define APU "0000:c5:00.0"
#define PAIR "0000:3b:00.0"
#define PAIR_AUDIO "0000:3b:00.1"
#define EIGHT "0000:10:00.0"

/* A machine of the topologies with some lines more. */
static SimMachine *machine_with(const char *topology, const char *lines) {
        g_autofree char *file = g_build_filename(g_get_tmp_dir(), "gpuptd-sim-XXXXXX", NULL), *text = NULL;
        _cleanup_close_ int fd = g_mkstemp(file);
        SimMachine *m;

        g_assert_cmpint(fd, >=, 0);
        text = g_strdup_printf("include " SIM_SOURCE_ROOT "/tests/sim/topologies/%s.topology\n%s\n", topology, lines);
        g_assert_true(g_file_set_contents(file, text, -1, NULL));
        m = sim_machine_new(file);
        (void) unlink(file);
        return m;
}

static void write_attribute(SimMachine *m, const char *address, const char *attribute, const char *text, int expected) {
        g_autofree char *path = g_strdup_printf(DEVICES "%s/%s", address, attribute);

        g_assert_cmpint(sim_write(m, path, text), ==, expected);
}

static const char *read_attribute(SimMachine *m, const char *address, const char *attribute) {
        g_autofree char *path = g_strdup_printf(DEVICES "%s/%s", address, attribute);

        return sim_read(m, path);
}

static bool is_there(SimMachine *m, const char *address) {
        g_autofree char *path = g_strdup_printf(DEVICES "%s", address);

        return sim_exists(m, path);
}

static void unbind(SimMachine *m, const char *address) {
        write_attribute(m, address, "driver/unbind", address, 0);
        g_assert_null(sim_driver_of(m, address));
}

static void bind_to(SimMachine *m, const char *driver, const char *address, int expected) {
        g_autofree char *path = g_strdup_printf("bus/pci/drivers/%s/bind", driver);

        g_assert_cmpint(sim_write(m, path, address), ==, expected);
}

/* Vendor id and header type of the config space. */
static void assert_config(const char *address, uint16_t vendor, uint8_t header) {
        g_autofree char *path = g_strdup_printf("/sys/" DEVICES "%s/config", address);
        _cleanup_close_ int fd = open(path, O_RDONLY | O_CLOEXEC);
        uint8_t config[64];

        g_assert_cmpint(read(fd, config, sizeof(config)), ==, sizeof(config));
        g_assert_cmphex(config[0] | config[1] << 8, ==, vendor);
        g_assert_cmphex(config[14] & 0x7f, ==, header);
}

static void assert_health(SimMachine *m, const char *address, const char *expected) {
        g_assert_cmpstr(sim_command(m, "is-well %s", address), ==, expected);
}

static void assert_logged(SimMachine *m, const char *text) {
        if (!strstr(sim_command(m, "dmesg"), text))
                g_error("'%s' is not in:\n%s", text, sim_command(m, "dmesg"));
}

static void remove_and_rescan(SimMachine *m, const char *address) {
        write_attribute(m, address, "remove", "1", 0);
        g_assert_false(is_there(m, address));
        g_assert_cmpint(sim_write(m, "bus/pci/rescan", "1"), ==, 0);
}

/* A VM has the group, and closes it. */
static void run_vm(SimMachine *m, const char *group) {
        g_autofree char *node = g_strdup_printf("/dev/vfio/%s", group);
        pid_t vm = sim_hold_node(m, node);

        (void) sim_command(m, "wait-held %s yes", node);
        sim_let_go(m, vm);
        (void) sim_command(m, "wait-held %s no", node);
}

/* Power switches */

static bool have_acpi(void) {
        if (access("/proc/acpi", F_OK) == 0)
                return true;
        g_test_skip("this host has no /proc/acpi, and no directory can be made in /proc");
        return false;
}

static void assert_switches(SimMachine *m, bool card, bool audio) {
        g_assert_cmpstr(sim_read(m, "/proc/acpi/bbswitch"), ==, card ? LAPTOP_CARD " ON" : LAPTOP_CARD " OFF");
        g_assert_cmpstr(sim_read(m, "/proc/acpi/nvhda"), ==, audio ? LAPTOP_CARD " ON" : LAPTOP_CARD " OFF");
}

static void test_switch_table(void) {
        static const struct {
                const char *file, *text;
                bool card[4], audio[4]; /* from OFF/OFF, OFF/ON, ON/OFF, ON/ON */
        } rows[] = {
                { "/proc/acpi/bbswitch", "OFF", { 0, 0, 0, 0 }, { 0, 1, 0, 1 } },
                { "/proc/acpi/bbswitch", "ON", { 1, 1, 1, 1 }, { 0, 1, 0, 1 } },
                { "/proc/acpi/nvhda", "OFF", { 0, 0, 1, 1 }, { 0, 0, 0, 0 } },
                { "/proc/acpi/nvhda", "ON", { 0, 0, 1, 1 }, { 0, 1, 1, 1 } },
        };
        g_autoptr(SimMachine) m = machine_with("laptop", "module bbswitch loaded\nmodule nvhda loaded\n"
                                                         "change " LAPTOP_CARD " unbound");

        if (!have_acpi())
                return;
        for (size_t i = 0; i < ELEMENTSOF(rows); i++)
                for (unsigned state = 0; state < 4; state++) {
                        (void) sim_command(m, "switch bbswitch %s", state & 2 ? "ON" : "OFF");
                        (void) sim_command(m, "switch nvhda %s", state & 1 ? "ON" : "OFF");
                        g_assert_cmpint(sim_write(m, rows[i].file, rows[i].text), ==, 0);
                        assert_switches(m, rows[i].card[state], rows[i].audio[state]);
                        g_assert_cmpint(sim_write(m, rows[i].file, rows[i].text), ==, 0);
                        assert_switches(m, rows[i].card[state], rows[i].audio[state]);
                }
        g_assert_cmpint(sim_write(m, "/proc/acpi/bbswitch", "nonsense"), ==, 0);
        (void) sim_fault(m, "acpi", "bbswitch", "no-effect");
        g_assert_cmpint(sim_write(m, "/proc/acpi/bbswitch", "OFF"), ==, 0);
        assert_switches(m, true, true);
}

static void test_switched_off(void) {
        g_autoptr(SimMachine) m = sim_machine_new("laptop");
        const char *text;

        if (!have_acpi())
                return;
        g_assert_false(sim_exists(m, "/proc/acpi/bbswitch"));
        (void) sim_command(m, "module bbswitch load");
        g_assert_cmpint(sim_write(m, "/proc/acpi/bbswitch", "OFF\n"), ==, 0);
        g_assert_cmpstr(sim_read(m, "/proc/acpi/bbswitch"), ==, LAPTOP_CARD " ON");
        assert_logged(m, "bbswitch: device " LAPTOP_CARD " is in use by driver 'nvidia', refusing OFF");

        unbind(m, LAPTOP_CARD);
        g_assert_cmpint(sim_write(m, "/proc/acpi/bbswitch", "OFF"), ==, 0);
        assert_config(LAPTOP_CARD, 0xffff, 0x7f);
        assert_config(LAPTOP_AUDIO, 0xffff, 0x7f);
        g_assert_cmpstr(read_attribute(m, LAPTOP_CARD, "vendor"), ==, "0x10de");
        bind_to(m, "nvidia", LAPTOP_CARD, -EIO);
        assert_logged(m, LAPTOP_CARD ": Unable to change power state from ");

        remove_and_rescan(m, LAPTOP_CARD);
        g_assert_false(is_there(m, LAPTOP_CARD));
        g_assert_cmpint(sim_try_command(m, &text, "module bbswitch unload"), ==, -EBUSY);
        g_assert_cmpint(sim_write(m, "/proc/acpi/bbswitch", "ON"), ==, 0);
        g_assert_cmpint(sim_write(m, "class/pci_bus/0000:01/rescan", "1"), ==, 0);
        g_assert_cmpstr(sim_driver_of(m, LAPTOP_CARD), ==, "nvidia");
        g_assert_cmpint(sim_try_command(m, &text, "module bbswitch unload"), ==, -EBUSY); /* never again */
}

static void test_switch_module(void) {
        g_autoptr(SimMachine) m = machine_with("desktop", "module bbswitch");
        const char *text;

        if (!have_acpi())
                return;
        g_assert_cmpint(sim_try_command(m, &text, "module bbswitch load"), ==, -ENODEV);
        g_assert_false(sim_exists(m, "module/bbswitch"));
}

/* The report: off, on, and the bridge has to be found anew. */
static void test_laptop(void) {
        g_autoptr(SimMachine) m = sim_machine_new("laptop-off");

        if (!have_acpi())
                return;
        assert_config(LAPTOP_CARD, 0xffff, 0x7f);
        g_assert_cmpint(sim_write(m, "/proc/acpi/bbswitch", "ON"), ==, 0);
        assert_config(LAPTOP_CARD, 0xffff, 0x7f);
        (void) sim_command(m, "module bbswitch unload");
        g_assert_false(sim_exists(m, "/proc/acpi/bbswitch"));
        write_attribute(m, LAPTOP_AUDIO, "remove", "1", 0);
        remove_and_rescan(m, LAPTOP_CARD);
        g_assert_false(is_there(m, LAPTOP_CARD));
        remove_and_rescan(m, "0000:00:01.0");
        g_assert_cmpstr(sim_driver_of(m, LAPTOP_CARD), ==, "nvidia");
        g_assert_cmpstr(sim_driver_of(m, LAPTOP_AUDIO), ==, "snd_hda_intel");
        assert_config(LAPTOP_CARD, 0x10de, 0);
        (void) sim_command(m, "module bbswitch load");
}

/* The VGA arbiter */

static int arbiter_open(void) {
        int fd = open("/dev/vga_arbiter", O_RDWR | O_CLOEXEC);

        g_assert_cmpint(fd, >=, 0);
        return fd;
}

static int arbiter_write(int fd, const char *text) {
        return write(fd, text, strlen(text)) < 0 ? -errno : 0;
}

static void assert_arbiter(int fd, const char *expected) {
        char text[256];
        ssize_t n = read(fd, text, sizeof(text) - 1);

        g_assert_cmpint(n, >, 0);
        text[n] = 0;
        g_assert_cmpstr(text, ==, expected);
}

static void test_arbiter(void) {
        g_autoptr(SimMachine) m = sim_machine_new("desktop");
        _cleanup_close_ int fd = arbiter_open(), other = arbiter_open();

        assert_arbiter(fd, "count:2,PCI:0000:09:00.0,decodes=io+mem,owns=io+mem,locks=none(0:0)\n");
        g_assert_cmpint(arbiter_write(fd, "target PCI:0000:08:00.0"), ==, 0);
        assert_arbiter(fd, "count:2,PCI:0000:08:00.0,decodes=io+mem,owns=none,locks=none(0:0)\n");
        assert_arbiter(other, "count:2,PCI:0000:09:00.0,decodes=io+mem,owns=io+mem,locks=none(0:0)\n");
        g_assert_cmpint(arbiter_write(fd, "target PCI:0000:08:00.1"), ==, -ENODEV);
        g_assert_cmpint(arbiter_write(fd, "target nonsense"), ==, -EPROTO);
        g_assert_cmpint(arbiter_write(fd, "nonsense"), ==, -EPROTO);
        g_assert_cmpint(arbiter_write(fd, "decodes nonsense"), ==, -EPROTO);

        /* nouveau has a client: ignored, with success. */
        g_assert_cmpint(arbiter_write(fd, "decodes none"), ==, 0);
        assert_arbiter(fd, "count:2,PCI:0000:08:00.0,decodes=io+mem,owns=none,locks=none(0:0)\n");
        unbind(m, "0000:08:00.0");
        g_assert_cmpint(arbiter_write(fd, "decodes none"), ==, 0);
        assert_arbiter(fd, "count:1,PCI:0000:08:00.0,decodes=none,owns=none,locks=none(0:0)\n");
        load_vfio(m);
        to_vfio(m, "0000:08:00.0");
        assert_arbiter(fd, "count:2,PCI:0000:08:00.0,decodes=io+mem,owns=none,locks=none(0:0)\n");
        unbind(m, "0000:08:00.0");
        write_attribute(m, "0000:08:00.0", "remove", "1", 0);
        assert_arbiter(fd, "invalid");
}

/* nvidia sets none, takes the lock of the default card for good, and nobody restores either. */
static void test_arbiter_nvidia(void) {
        g_autoptr(SimMachine) m = machine_with("nvidia-pair", "");
        _cleanup_close_ int fd = arbiter_open();

        assert_arbiter(fd, "count:0,PCI:" PAIR ",decodes=none,owns=io+mem,locks=none(0:0)\n");
        assert_logged(m, "nvidia " PAIR ": vgaarb: changed VGA decodes: olddecodes=io+mem,decodes=none:owns=io+mem");
        g_assert_cmpint(arbiter_write(fd, "decodes io+mem"), ==, 0);
        assert_arbiter(fd, "count:1,PCI:" PAIR ",decodes=io+mem,owns=io+mem,locks=none(0:0)\n");
        unbind(m, PAIR);
        g_assert_cmpint(arbiter_write(fd, "decodes none"), ==, 0);
        bind_to(m, "nvidia", PAIR, 0);
        assert_arbiter(fd, "count:0,PCI:" PAIR ",decodes=none,owns=io+mem,locks=none(0:0)\n");
}

/* Where another card is the default, that one stays locked, and `lock` never returns. */
static void test_arbiter_lock(void) {
        g_autoptr(SimMachine) m = machine_with("desktop", "module nouveau absent\nmodule nvidia_drm loaded");
        _cleanup_close_ int fd = arbiter_open();
        pid_t locker;

        assert_arbiter(fd, "count:1,PCI:0000:09:00.0,decodes=io+mem,owns=io+mem,locks=io+mem(1:1)\n");
        g_assert_cmpint(arbiter_write(fd, "target PCI:0000:08:00.0"), ==, 0);
        assert_arbiter(fd, "count:1,PCI:0000:08:00.0,decodes=none,owns=none,locks=none(0:0)\n");
        g_assert_cmpint(arbiter_write(fd, "trylock io+mem"), ==, -EBUSY);
        locker = fork();
        if (locker == 0)
                _exit(arbiter_write(fd, "lock io+mem"));
        g_assert_false(sim_wait_exit(locker, 50)); /* the machine's end is its end */
}

/* Rungs */

static void test_after_vm(void) {
        g_autoptr(SimMachine) m = sim_machine_new("apu-sick");

        load_vfio(m);
        write_attribute(m, APU, "driver_override", "vfio-pci", 0);
        unbind(m, APU);
        for (unsigned round = 0; round < 2; round++) {
                bind_to(m, "vfio-pci", APU, 0);
                assert_health(m, APU, "well");
                run_vm(m, "18");
                assert_health(m, APU, "sick");
                assert_logged(m, "vfio-pci " APU ": AMD-Vi: Event logged [IO_PAGE_FAULT domain=");
                /* It lists the bus method at boot; found again, it sees its siblings, and has no such file. */
                write_attribute(m, APU, "reset", "1", round == 0 ? -ENOTTY : -ENOENT);
                write_attribute(m, "0000:00:08.1", "reset_subordinate", "1", 0);
                assert_health(m, APU, "sick");
                unbind(m, APU);
                remove_and_rescan(m, APU);
                assert_health(m, APU, "well");
                g_assert_cmpstr(sim_driver_of(m, APU), ==, "amdgpu");
                write_attribute(m, APU, "driver_override", "vfio-pci", 0);
                unbind(m, APU);
        }
}

/* The report of the black card, by hand. */
static void test_after_vfio(void) {
        g_autoptr(SimMachine) m = sim_machine_new("nvidia-black");
        const char *fan = "class/hwmon/hwmon0/fan1_input";
        pid_t tool;

        load_vfio(m);
        g_assert_cmpstr(sim_read(m, fan), ==, "1180");
        assert_logged(m, PAIR ": vgaarb: changed VGA decodes: olddecodes=io+mem,decodes=none:owns=none");
        to_vfio(m, PAIR);
        to_vfio(m, PAIR_AUDIO);
        write_attribute(m, PAIR, "driver_override", "\n", 0);
        write_attribute(m, PAIR_AUDIO, "driver_override", "\n", 0);
        unbind(m, PAIR_AUDIO);
        unbind(m, PAIR);
        g_assert_cmpint(sim_write(m, "bus/pci/drivers_probe", PAIR), ==, 0);
        g_assert_cmpint(sim_write(m, "bus/pci/drivers_probe", PAIR_AUDIO), ==, 0);
        g_assert_cmpstr(sim_driver_of(m, PAIR), ==, "nvidia");
        g_assert_null(sim_driver_of(m, PAIR_AUDIO));
        bind_to(m, "snd_hda_intel", PAIR_AUDIO, 0);
        assert_health(m, PAIR_AUDIO, "well");
        g_assert_cmpstr(sim_read(m, fan), ==, "1640");
        tool = fork();
        if (tool == 0 && dup2(STDERR_FILENO, STDOUT_FILENO) >= 0) /* standard output is TAP */
                (void) execl(strchr(sim_nvidia_smi(), '=') + 1, "nvidia-smi", "-i", PAIR, "--gpu-reset", NULL);
        g_assert_false(sim_wait_exit(tool, 50));
        write_attribute(m, PAIR, "reset", "1", 0);
        g_assert_true(sim_wait_exit(tool, sim_deadline_sec() * 1000));
        g_assert_cmpstr(sim_read(m, fan), ==, "1180");
        g_assert_cmpstr(read_attribute(m, PAIR, "boot_vga"), ==, "1");
}

static void test_results(void) {
        g_autoptr(SimMachine) m = machine_with("twins", "change 0000:01:00.0 reset=flr:no-effect,af_flr:EIO,pm:worse "
                                                        "symptom=probe cure=bus");

        (void) sim_command(m, "sicken 0000:01:00.0");
        unbind(m, "0000:01:00.0");
        bind_to(m, "nouveau", "0000:01:00.0", -EIO);
        write_attribute(m, "0000:01:00.0", "reset", "1", 0);
        assert_health(m, "0000:01:00.0", "sick");
        write_attribute(m, "0000:01:00.0", "reset_method", "af_flr", 0);
        write_attribute(m, "0000:01:00.0", "reset", "1", -EIO);
        assert_health(m, "0000:01:00.0", "sick");
        write_attribute(m, "0000:01:00.0", "reset_method", "pm", 0);
        write_attribute(m, "0000:01:00.0", "reset", "1", 0);
        assert_health(m, "0000:01:00.0", "dead");
        write_attribute(m, "0000:01:00.0", "reset_method", "pm", 0);

        /* What fails a device that is gone: the minute of pci_dev_wait(). */
        (void) sim_fault(m, "0000:00:01.0", "reset_subordinate", "no-effect");
        write_attribute(m, "0000:00:01.0", "reset_subordinate", "1", 0);
        assert_health(m, "0000:01:00.0", "dead");
        write_attribute(m, "0000:00:01.0", "reset_subordinate", "1", 0);
        assert_health(m, "0000:01:00.0", "well");
        (void) sim_fault(m, "0000:00:01.0", "pci_bus/0000:01/rescan", "errno=EIO");
        g_assert_cmpint(sim_write(m, "class/pci_bus/0000:01/rescan", "1"), ==, -EIO);
        (void) sim_fault(m, "pci0000:00", "pci_bus/0000:00/rescan", "errno=EIO");
        g_assert_cmpint(sim_write(m, "class/pci_bus/0000:00/rescan", "1"), ==, -EIO);
        (void) sim_fault(m, "0000:00:01.0", "reset_subordinate", "worse errno=EIO");
        write_attribute(m, "0000:00:01.0", "reset_subordinate", "1", -EIO);
        assert_health(m, "0000:01:00.0", "dead");
        assert_health(m, "0000:00:01.0", "well");
}

static void test_give_up(void) {
        g_autoptr(SimMachine) m = machine_with("apu", "kernel 6.12");

        (void) sim_command(m, "die 0000:c5:00.3");
        write_attribute(m, "0000:c5:00.3", "reset", "1", -ENOTTY);
        assert_logged(m, "xhci_hcd 0000:c5:00.3: not ready 65535ms after FLR; giving up");
        assert_logged(m, "xhci_hcd 0000:c5:00.3: not ready 65535ms after PM D3->D0; giving up");
}

/* A host driver that hangs in its probe until the card is reset below it. */
static void test_hang(void) {
        g_autoptr(SimMachine) m = machine_with("twins", "change 0000:01:00.0 symptom=hang cure=subordinate");
        Writer w;

        unbind(m, "0000:01:00.0");
        (void) sim_command(m, "sicken 0000:01:00.0");
        w = writer_start("/sys/bus/pci/drivers/nouveau/bind", "0000:01:00.0");
        while (!sim_driver_of(m, "0000:01:00.0"))
                (void) sched_yield();
        g_assert_true(writer_hangs(&w));
        write_attribute(m, "0000:00:01.0", "reset_subordinate", "1", -EAGAIN); /* its lock is held */
        (void) sim_command(m, "cure 0000:01:00.0 subordinate");
        g_assert_cmpint(writer_end(&w), ==, 0);
        write_attribute(m, "0000:00:01.0", "reset_subordinate", "1", 0);
}

/* From 6.12 on a reset that waits for its function's lock keeps the bridge, and with it the siblings' resets. */
static void test_bridge_lock(void) {
        g_autoptr(SimMachine) m = machine_with("apu", "kernel 6.12");
        unsigned id = sim_fault(m, "0000:c5:00.3", "unbind", "hang");
        Writer stuck = writer_start("/sys/bus/pci/drivers/xhci_hcd/unbind", "0000:c5:00.3"), reset, sibling;

        sim_fault_wait(m, id);
        reset = writer_start("/sys/bus/pci/devices/0000:c5:00.3/reset", "1");
        while (sim_write(m, DEVICES "0000:00:08.1/reset_subordinate", "1") != -EAGAIN)
                (void) sched_yield();
        sibling = writer_start("/sys/bus/pci/devices/0000:c5:00.4/reset", "1");
        g_assert_true(writer_hangs(&reset));
        sim_fault_release(m, id);
        g_assert_cmpint(writer_end(&stuck), ==, 0);
        g_assert_cmpint(writer_end(&reset), ==, 0);
        g_assert_cmpint(writer_end(&sibling), ==, 0);
}

static void test_slot(void) {
        g_autoptr(SimMachine) m = machine_with("eight", "change " EIGHT " symptom=dead cure=slot");
        const char *power = "bus/pci/slots/1/power";

        g_assert_cmpstr(sim_read(m, power), ==, "1");
        g_assert_cmpstr(sim_read(m, "bus/pci/slots/1/address"), ==, "0000:10:00");
        g_assert_cmpint(sim_write(m, power, "1"), ==, -EINVAL);
        g_assert_cmpint(sim_write(m, power, "2"), ==, -EINVAL);
        (void) sim_command(m, "sicken " EIGHT);
        assert_config(EIGHT, 0xffff, 0x7f);
        g_assert_cmpint(sim_write(m, power, "0"), ==, 0);
        g_assert_cmpstr(sim_read(m, power), ==, "0");
        g_assert_false(is_there(m, EIGHT));
        g_assert_cmpint(sim_write(m, "bus/pci/rescan", "1"), ==, 0);
        g_assert_false(is_there(m, EIGHT));
        g_assert_cmpint(sim_write(m, power, "0"), ==, -EINVAL);
        (void) sim_fault(m, "1", "power", "errno=EIO");
        g_assert_cmpint(sim_write(m, power, "1"), ==, -EIO);
        g_assert_cmpint(sim_write(m, power, "1"), ==, 0);
        g_assert_cmpstr(sim_driver_of(m, EIGHT), ==, "nouveau");
        assert_config(EIGHT, 0x10de, 0);
}

static void test_suspend_cycle(void) {
        g_autoptr(SimMachine) m = machine_with("twins", "change 0000:01:00.0 cure=suspend-cycle");
        const char *alarm = "class/rtc/rtc0/wakealarm";

        (void) sim_command(m, "die 0000:01:00.0");
        remove_and_rescan(m, "0000:01:00.0");
        g_assert_false(is_there(m, "0000:01:00.0"));
        g_assert_cmpstr(sim_read(m, alarm), ==, "");
        g_assert_cmpint(sim_write(m, alarm, "nonsense"), ==, -EINVAL);
        g_assert_cmpint(sim_write(m, alarm, "+=5"), ==, -EINVAL);
        g_assert_cmpint(sim_write(m, alarm, "+100"), ==, 0);
        g_assert_cmpstr(sim_read(m, alarm), !=, "");
        g_assert_cmpint(sim_write(m, alarm, "+100"), ==, -EBUSY);
        g_assert_cmpint(sim_write(m, alarm, "0"), ==, 0);
        g_assert_cmpstr(sim_read(m, alarm), ==, "");
        g_assert_cmpint(sim_write(m, alarm, "+2"), ==, 0);
        (void) sim_command(m, "login1 wake=alarm");
        g_assert_true(sim_suspend(m));
        g_assert_cmpstr(sim_read(m, alarm), ==, "");
        g_assert_cmpint(sim_write(m, "class/pci_bus/0000:01/rescan", "1"), ==, 0);
        g_assert_cmpstr(sim_driver_of(m, "0000:01:00.0"), ==, "nouveau");
}

static void test_d3cold(void) {
        g_autoptr(SimMachine) m = machine_with("laptop", "change " LAPTOP_CARD " lost-in-d3cold cure=bridge");

        g_assert_cmpstr(read_attribute(m, LAPTOP_CARD, "power_state"), ==, "D3cold");
        write_attribute(m, LAPTOP_CARD, "power/control", "on", 0);
        assert_logged(m, "nvidia " LAPTOP_CARD ": Unable to change power state from D3cold to D0, device inaccessible");
        assert_logged(m, "NVRM: Xid (PCI:0000:01:00): 79");
        g_assert_cmpstr(read_attribute(m, LAPTOP_CARD, "power_state"), ==, "D3cold");
        assert_config(LAPTOP_CARD, 0xffff, 0x7f);
}

/* NVIDIA's tool, as the daemon runs it. */
static void assert_tool(const char *address, const char *what, int status, const char *expected) {
        const char *argv[] = { strchr(sim_nvidia_smi(), '=') + 1, "-i", address, what, NULL };
        g_autofree char *out = NULL;
        int ended;

        g_assert_true(g_spawn_sync(NULL, (char **) argv, NULL, 0, NULL, NULL, &out, NULL, &ended, NULL));
        g_assert_true(WIFEXITED(ended));
        g_assert_cmpint(WEXITSTATUS(ended), ==, status);
        g_assert_cmpstr(g_strchomp(out), ==, expected);
}

static void test_vendor_tool(void) {
        static const char query[] = "--query-gpu=name,temperature.gpu,fan.speed,power.draw";
        g_autoptr(SimMachine) m = machine_with("nvidia-pair", "change " PAIR " symptom=fan cure=driver");
        pid_t holder;

        (void) sim_command(m, "sicken " PAIR);
        assert_tool(PAIR, query, 0, "NVIDIA Simulated, 29, 54, 23.85");
        holder = sim_hold_node(m, "/dev/nvidia0");
        (void) sim_command(m, "wait-held /dev/nvidia0 yes");
        assert_tool(PAIR, "--gpu-reset", 3, "The reset was refused: the GPU is in use by one or more processes.");
        sim_let_go(m, holder);
        (void) sim_command(m, "wait-held /dev/nvidia0 no");
        (void) sim_fault(m, PAIR, "vendor-reset", "no-effect");
        assert_tool(PAIR, "--gpu-reset", 0, "GPU " PAIR " was successfully reset.\nAll done.");
        assert_health(m, PAIR, "sick");
        assert_tool(PAIR, "--gpu-reset", 0, "GPU " PAIR " was successfully reset.\nAll done.");
        assert_health(m, PAIR, "well");
        assert_tool(PAIR, query, 0, "NVIDIA Simulated, 29, 38, 23.85");
        (void) sim_command(m, "die " PAIR);
        assert_tool(PAIR, query, 15, "Unable to determine the device handle for the GPU: GPU is lost. Reboot the system to "
                                     "recover it");
        assert_tool("0000:02:00.0", query, 6, "No devices were found");
}

/* What is seen */

static void test_sensors(void) {
        g_autoptr(SimMachine) m = machine_with("apu", "change " APU " sensors=temp1_input=41000,power1_average=9000000");
        unsigned id;
        Writer w;

        g_assert_cmpstr(read_attribute(m, APU, "hwmon/hwmon0/temp1_input"), ==, "41000");
        g_assert_false(sim_exists(m, DEVICES APU "/hwmon/hwmon0/fan1_input"));
        (void) sim_command(m, "sensor " APU " temp1_input -3000");
        unbind(m, APU);
        bind_to(m, "amdgpu", APU, 0);
        g_assert_cmpstr(read_attribute(m, APU, "hwmon/hwmon0/temp1_input"), ==, "-3000");

        id = sim_fault(m, APU, "read:hwmon/*/temp1_input", "hang");
        w.pid = fork();
        if (w.pid == 0)
                _exit(sim_read(m, "class/hwmon/hwmon0/temp1_input") ? 0 : EIO);
        sim_fault_wait(m, id);
        g_assert_true(writer_hangs(&w));
        g_assert_cmpstr(read_attribute(m, APU, "hwmon/hwmon0/power1_average"), ==, "9000000");
        sim_fault_release(m, id);
        g_assert_cmpint(writer_end(&w), ==, 0);
}

static void test_display(void) {
        g_autoptr(SimMachine) m = machine_with("apu", "change " APU " connector-delay=20 symptom=black");
        const char *status = DEVICES APU "/drm/card0/card0-HDMI-A-1/status";

        while (!streq_ptr(sim_read(m, status), "connected"))
                (void) sched_yield();
        (void) sim_fault(m, "vtcon1", "bind", "no-effect");
        g_assert_cmpint(sim_write(m, "class/vtconsole/vtcon1/bind", "0"), ==, 0);
        g_assert_cmpstr(sim_read(m, "class/vtconsole/vtcon1/bind"), ==, "1");
        g_assert_cmpint(sim_write(m, "class/vtconsole/vtcon1/bind", "0"), ==, 0);
        g_assert_cmpstr(sim_read(m, "class/vtconsole/vtcon1/bind"), ==, "0");
        unbind(m, APU);
        g_assert_false(sim_exists(m, "class/vtconsole/vtcon1"));
        bind_to(m, "amdgpu", APU, 0);
        g_assert_cmpstr(sim_read(m, "class/vtconsole/vtcon1/bind"), ==, "1");
        while (!streq_ptr(sim_read(m, status), "connected"))
                (void) sched_yield();
        (void) sim_command(m, "connector " APU " HDMI-A-1 disconnected");
        g_assert_cmpstr(sim_read(m, status), ==, "disconnected");
        g_assert_cmpstr(sim_read(m, DEVICES APU "/drm/card0/card0-HDMI-A-1/enabled"), ==, "disabled");
}

static unsigned read32(const char *data, size_t at) {
        const uint8_t *p = (const uint8_t *) data + at;

        return (unsigned) p[0] | (unsigned) p[1] << 8 | (unsigned) p[2] << 16 | (unsigned) p[3] << 24;
}

static void test_vfct(void) {
        g_autoptr(SimMachine) m = sim_machine_new("apu-sick");
        g_autofree char *data = NULL;
        unsigned images = 0;
        uint8_t sum = 0;
        gsize size;

        g_assert_true(g_file_get_contents("/sys/firmware/acpi/tables/VFCT", &data, &size, NULL));
        g_assert_cmpint(memcmp(data, "VFCT", 4), ==, 0);
        g_assert_cmpuint(read32(data, 4), ==, size);
        for (gsize i = 0; i < size; i++)
                sum = (uint8_t) (sum + (uint8_t) data[i]);
        g_assert_cmpuint(sum, ==, 0);
        for (gsize at = read32(data, 0x34); at < size; at += 28 + read32(data, at + 24), images++) {
                g_assert_cmphex((uint8_t) data[at + 28], ==, 0x55);
                if (read32(data, at) == 0xc5) {
                        g_assert_cmphex(read32(data, at + 12), ==, 0x19001002);
                        g_assert_cmpuint(read32(data, at + 24), ==, 16896);
                }
        }
        g_assert_cmpuint(images, ==, 3);
}

/* By the journal's own reader, until the line is there. */
static void test_kernel_log(void) {
        g_autoptr(SimMachine) m = sim_machine_new("desktop");
        sd_journal *journal;
        const char *field;
        size_t size;

        g_assert_cmpint(sd_journal_open(&journal, SD_JOURNAL_LOCAL_ONLY | SD_JOURNAL_SYSTEM), >=, 0);
        g_assert_cmpint(sd_journal_add_match(journal, "_TRANSPORT=kernel", 0), >=, 0);
        g_assert_cmpint(sd_journal_add_match(journal, "_KERNEL_DEVICE=+pci:0000:08:00.0", 0), >=, 0);
        g_assert_cmpint(sd_journal_seek_head(journal), >=, 0);
        g_assert_cmpint(sd_journal_next(journal), ==, 0);
        (void) sim_command(m, "kernel-log 'of nobody'");
        (void) sim_command(m, "kernel-log 0000:08:00.0 'AER: Corrected error received'");
        while (sd_journal_next(journal) == 0)
                g_assert_cmpint(sd_journal_wait(journal, sim_deadline_sec() * G_USEC_PER_SEC), >=, 0);
        g_assert_cmpint(sd_journal_get_data(journal, "MESSAGE", (const void **) &field, &size), >=, 0);
        g_assert_cmpuint(size, ==, strlen("MESSAGE=nouveau 0000:08:00.0: AER: Corrected error received"));
        g_assert_cmpint(memcmp(field, "MESSAGE=nouveau 0000:08:00.0: AER: Corrected error received", size), ==, 0);
        g_assert_cmpint(sd_journal_next(journal), ==, 0);
        sd_journal_close(journal);
}

/* udev */

static void test_udev(void) {
        g_autoptr(SimMachine) m = machine_with("twins", "autoload\nmodule nvidia absent");

        (void) sim_command(m, "module nouveau unload");
        remove_and_rescan(m, "0000:01:00.0");
        (void) sim_command(m, "wait-udev");
        g_assert_cmpstr(sim_driver_of(m, "0000:01:00.0"), ==, "nouveau");
        (void) sim_command(m, "module nouveau unload");

        g_assert_cmpint(g_mkdir_with_parents("/run/gpuptd", 0755), ==, 0);
        g_assert_true(g_file_set_contents("/run/gpuptd/keep-0000:01:00.0", "GPUPT_OVERRIDE=vfio-pci\n", -1, NULL));
        remove_and_rescan(m, "0000:01:00.0");
        (void) sim_command(m, "wait-udev");
        g_assert_cmpstr(sim_override_of(m, "0000:01:00.0"), ==, "vfio-pci");
        g_assert_null(sim_driver_of(m, "0000:01:00.0"));
        g_assert_cmpstr(sim_driver_of(m, "0000:02:00.0"), ==, "nouveau"); /* its module was loaded all the same */

        /* A driver that is loaded has it before udev comes. */
        write_attribute(m, "0000:01:00.0", "driver_override", "\n", 0);
        remove_and_rescan(m, "0000:01:00.0");
        (void) sim_command(m, "wait-udev");
        g_assert_cmpstr(sim_driver_of(m, "0000:01:00.0"), ==, "nouveau");
        g_assert_cmpstr(sim_override_of(m, "0000:01:00.0"), ==, "vfio-pci");
}

int main(int argc, char *argv[]) {
        sim_init(&argc, &argv);
        g_test_add_func("/sick/switch/table", test_switch_table);
        g_test_add_func("/sick/switch/off", test_switched_off);
        g_test_add_func("/sick/switch/module", test_switch_module);
        g_test_add_func("/sick/laptop", test_laptop);
        g_test_add_func("/sick/arbiter", test_arbiter);
        g_test_add_func("/sick/arbiter-nvidia", test_arbiter_nvidia);
        g_test_add_func("/sick/arbiter-lock", test_arbiter_lock);
        g_test_add_func("/sick/after-vm", test_after_vm);
        g_test_add_func("/sick/after-vfio", test_after_vfio);
        g_test_add_func("/sick/results", test_results);
        g_test_add_func("/sick/give-up", test_give_up);
        g_test_add_func("/sick/hang", test_hang);
        g_test_add_func("/sick/bridge-lock", test_bridge_lock);
        g_test_add_func("/sick/slot", test_slot);
        g_test_add_func("/sick/suspend-cycle", test_suspend_cycle);
        g_test_add_func("/sick/d3cold", test_d3cold);
        g_test_add_func("/sick/vendor-tool", test_vendor_tool);
        g_test_add_func("/sick/sensors", test_sensors);
        g_test_add_func("/sick/display", test_display);
        g_test_add_func("/sick/vfct", test_vfct);
        g_test_add_func("/sick/kernel-log", test_kernel_log);
        g_test_add_func("/sick/udev", test_udev);
        return g_test_run();
}
