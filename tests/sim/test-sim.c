/* SPDX-License-Identifier: GPL-2.0-or-later */

/* test-sim: the simulated machine itself: that programs run on it unmodified, that it fails, hangs and holds as told, and
 * that it leaves nothing behind. What it shares with a real kernel is asserted by conformance.c, which is run here too. */

#include <errno.h>
#include <fcntl.h>
#include <libudev.h>
#include <poll.h>
#include <pci/pci.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/inotify.h>
#include <sys/prctl.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include "machine.h"
#include "writer.h"
#include "util/cleanup.h"

#define CARD "0000:08:00.0"
#define AUDIO "0000:08:00.1"
#define UNBIND_AUDIO "/sys/bus/pci/drivers/snd_hda_intel/unbind"

static const char *const topologies[] = { "apu", "nvidia-pair", "laptop", "desktop", "twins", "eight" };

static char process_state(pid_t pid) {
        g_autofree char *path = g_strdup_printf("/proc/%d/stat", pid), *text = NULL;

        g_assert_true(g_file_get_contents(path, &text, NULL, NULL));
        return strrchr(text, ')')[2];
}

/* Programs */

static void test_lspci(void) {
        for (size_t i = 0; i < ELEMENTSOF(topologies); i++) {
                g_autoptr(SimMachine) m = sim_machine_new(topologies[i]);
                g_auto(GStrv) known = g_strsplit(sim_dump(m), "\n", -1), seen = NULL;
                char *argv[] = { (char *) "lspci", (char *) "-n", NULL };
                g_autofree char *out = NULL;
                int status;

                g_assert_true(g_spawn_sync(NULL, argv, NULL, G_SPAWN_SEARCH_PATH, NULL, NULL, &out, NULL, &status, NULL));
                g_assert_cmpint(status, ==, 0);
                seen = g_strsplit(out, "\n", -1);
                g_assert_cmpuint(g_strv_length(seen), ==, g_strv_length(known));
        }
}

static void test_conformance(void) {
        static const char *const cards[][4] = {
                { "desktop", CARD, "nouveau", AUDIO },
                { "nvidia-pair", "0000:3b:00.0", "nvidia", "0000:3b:00.1" },
                { "apu", "0000:c5:00.0", "amdgpu", NULL },
        };

        for (size_t i = 0; i < ELEMENTSOF(cards); i++) {
                g_autoptr(SimMachine) m = sim_machine_new(cards[i][0]);
                const char *argv[] = { SIM_BUILD_DIR "/conformance", cards[i][1], cards[i][2], cards[i][3], NULL };
                g_autofree char *before = g_strdup(sim_dump(m)), *out = NULL;
                int status;

                load_vfio(m);
                g_assert_true(g_spawn_sync(NULL, (char **) argv, NULL, 0, NULL, NULL, &out, NULL, &status, NULL));
                if (status != 0)
                        g_printerr("%s", out);
                g_assert_cmpint(status, ==, 0);
                g_assert_cmpstr(sim_dump(m), ==, before);
        }
}

static void test_libpci(void) {
        g_autoptr(SimMachine) m = sim_machine_new("apu");
        struct pci_access *access = pci_alloc();
        struct pci_dev *d;

        access->method = PCI_ACCESS_SYS_BUS_PCI;
        pci_init(access);
        d = pci_get_dev(access, 0, 0xc5, 0, 1);
        (void) pci_fill_info(d, PCI_FILL_IDENT | PCI_FILL_CAPS | PCI_FILL_CLASS);
        g_assert_cmphex(d->device_id, ==, 0x1640);
        g_assert_nonnull(pci_find_cap(d, PCI_CAP_ID_EXP, PCI_CAP_NORMAL));
        (void) sim_command(m, "die 0000:c5:00.1");
        g_assert_cmphex(pci_read_byte(d, PCI_HEADER_TYPE) & 0x7f, ==, 0x7f);
        pci_free_dev(d);
        pci_cleanup(access);
}

static struct udev_device *next_event(struct udev_monitor *monitor) {
        struct pollfd p = { .fd = udev_monitor_get_fd(monitor), .events = POLLIN };
        struct udev_device *d;

        for (;;) {
                g_assert_cmpint(poll(&p, 1, (int) sim_deadline_sec() * 1000), ==, 1);
                d = udev_monitor_receive_device(monitor);
                if (d)
                        return d;
        }
}

static void assert_event(struct udev_monitor *monitor, const char *action, const char *subsystem, const char *name) {
        struct udev_device *d = next_event(monitor);

        g_assert_cmpstr(udev_device_get_action(d), ==, action);
        g_assert_cmpstr(udev_device_get_subsystem(d), ==, subsystem);
        g_assert_cmpstr(udev_device_get_sysname(d), ==, name);
        (void) udev_device_unref(d);
}

static void test_libudev(void) {
        g_autoptr(SimMachine) m = sim_machine_new("desktop");
        struct udev *udev = udev_new();
        struct udev_monitor *monitor = udev_monitor_new_from_netlink(udev, "udev");
        struct udev_enumerate *enumerate = udev_enumerate_new(udev);
        struct udev_list_entry *entry;
        unsigned n = 0;

        g_assert_cmpint(udev_monitor_filter_add_match_subsystem_devtype(monitor, "pci", NULL), ==, 0);
        g_assert_cmpint(udev_monitor_filter_add_match_subsystem_devtype(monitor, "sound", NULL), ==, 0);
        g_assert_cmpint(udev_monitor_filter_add_match_subsystem_devtype(monitor, "vfio", NULL), ==, 0);
        g_assert_cmpint(udev_monitor_enable_receiving(monitor), ==, 0);

        (void) udev_enumerate_add_match_subsystem(enumerate, "pci");
        (void) udev_enumerate_scan_devices(enumerate);
        udev_list_entry_foreach(entry, udev_enumerate_get_list_entry(enumerate))
                n++;
        g_assert_cmpuint(n, ==, 13);

        load_vfio(m);
        to_vfio(m, AUDIO);
        assert_event(monitor, "remove", "sound", "controlC0");
        assert_event(monitor, "remove", "sound", "hwC0D0");
        assert_event(monitor, "remove", "sound", "pcmC0D3p");
        assert_event(monitor, "remove", "sound", "card0");
        assert_event(monitor, "unbind", "pci", AUDIO);
        assert_event(monitor, "add", "vfio", "15");
        assert_event(monitor, "bind", "pci", AUDIO);
        g_assert_cmpint(sim_write(m, "class/sound/card1/uevent", "remove"), ==, 0);
        assert_event(monitor, "remove", "sound", "card1");
        g_assert_cmpint(sim_write(m, "bus/pci/devices/" AUDIO "/remove", "1"), ==, 0);
        assert_event(monitor, "remove", "vfio", "15");
        assert_event(monitor, "unbind", "pci", AUDIO);
        assert_event(monitor, "remove", "pci", AUDIO);

        (void) udev_enumerate_unref(enumerate);
        (void) udev_monitor_unref(monitor);
        (void) udev_unref(udev);
}

/* An ordinary user may look, and not touch. */
static void test_other_user(void) {
        g_autoptr(SimMachine) m = sim_machine_new("desktop");
        int reading, writing, r = 0;

        if (!sim_have_users()) {
                g_test_skip("only root on the host has other users inside");
                return;
        }
        g_assert_cmpint(setegid(1000), ==, 0); /* `remove` is writable for root's group, too */
        g_assert_cmpint(seteuid(1000), ==, 0);
        reading = open("/sys/bus/pci/devices/" CARD "/vendor", O_RDONLY | O_CLOEXEC);
        writing = open("/sys/bus/pci/devices/" CARD "/remove", O_WRONLY | O_CLOEXEC);
        r = writing < 0 ? errno : 0;
        g_assert_cmpint(seteuid(0), ==, 0);
        g_assert_cmpint(setegid(0), ==, 0);
        g_assert_cmpint(reading, >=, 0);
        g_assert_cmpint(r, ==, EACCES);
        (void) close(reading);
}

/* Faults */

static void test_fault_errno(void) {
        g_autoptr(SimMachine) m = sim_machine_new("desktop");

        (void) sim_fault(m, CARD, "driver_override", "errno=EIO nth=2");
        g_assert_cmpint(sim_write(m, "bus/pci/devices/" CARD "/driver_override", "a"), ==, 0);
        g_assert_cmpint(sim_write(m, "bus/pci/devices/" CARD "/driver_override", "b"), ==, -EIO);
        g_assert_cmpstr(sim_override_of(m, CARD), ==, "a");
        g_assert_cmpint(sim_write(m, "bus/pci/devices/" CARD "/driver_override", "\n"), ==, 0);

        (void) sim_fault(m, CARD, "unbind", "errno=ENOMEM");
        g_assert_cmpint(sim_write(m, "bus/pci/drivers/nouveau/unbind", CARD), ==, -ENOMEM);
        g_assert_cmpstr(sim_driver_of(m, CARD), ==, "nouveau");
        g_assert_cmpint(sim_write(m, "bus/pci/drivers/nouveau/unbind", CARD), ==, 0);

        (void) sim_fault(m, "nouveau", "bind", "errno=EINVAL");
        g_assert_cmpint(sim_write(m, "bus/pci/drivers/nouveau/bind", CARD), ==, -EINVAL);
        g_assert_null(sim_driver_of(m, CARD));
        g_assert_cmpint(sim_write(m, "bus/pci/drivers/nouveau/bind", CARD), ==, 0);

        (void) sim_fault(m, CARD, "power/control", "no-effect delay=10");
        g_assert_cmpint(sim_write(m, "bus/pci/devices/" CARD "/power/control", "auto"), ==, 0);
}

/* A hung unbind: its writer cannot be killed, others are not concerned. */
static void test_fault_hang(void) {
        g_autoptr(SimMachine) m = sim_machine_new("twins");
        unsigned id = sim_fault(m, "0000:01:00.0", "unbind", "hang");
        Writer stuck, reader;

        stuck = writer_start("/sys/bus/pci/drivers/nouveau/unbind", "0000:01:00.0");
        sim_fault_wait(m, id);
        g_assert_null(sim_driver_of(m, "0000:01:00.0"));
        g_assert_cmpint(sim_write(m, "bus/pci/drivers/nouveau/unbind", "0000:02:00.0"), ==, 0);
        g_assert_cmpstr(sim_read(m, "bus/pci/devices/0000:01:00.0/vendor"), ==, "0x10de");

        /* On 6.1 the override takes the lock that the unbind holds. */
        reader = writer_start("/sys/bus/pci/devices/0000:01:00.0/driver_override", "x");
        (void) kill(stuck.pid, SIGKILL);
        while (process_state(stuck.pid) != 'D') /* SIGKILL takes effect as soon as the process has seen it */
                (void) sched_yield();
        g_assert_true(writer_hangs(&stuck));
        g_assert_true(writer_hangs(&reader));

        sim_fault_release(m, id);
        g_assert_cmpint(writer_end(&stuck), ==, 1000 + SIGKILL);
        g_assert_cmpint(writer_end(&reader), ==, 0);
        g_assert_cmpint(sim_write(m, "bus/pci/devices/0000:01:00.0/driver_override", "\n"), ==, 0);
        g_assert_cmpint(sim_write(m, "bus/pci/drivers/nouveau/bind", "0000:01:00.0"), ==, 0);
}

static void test_fault_vanish(void) {
        g_autoptr(SimMachine) m = sim_machine_new("desktop");

        load_vfio(m);
        (void) sim_fault(m, AUDIO, "bind", "vanish");
        g_assert_cmpint(sim_write(m, "bus/pci/devices/" AUDIO "/driver_override", "vfio-pci"), ==, 0);
        g_assert_cmpint(sim_write(m, "bus/pci/drivers/snd_hda_intel/unbind", AUDIO), ==, 0);
        g_assert_cmpint(sim_write(m, "bus/pci/drivers/vfio-pci/bind", AUDIO), ==, -EIO);
        sim_wait_known(m, AUDIO, false);
        g_assert_false(sim_exists(m, "bus/pci/devices/" AUDIO));
        sim_plug(m, AUDIO);
        sim_wait_known(m, AUDIO, true);
        g_assert_cmpstr(sim_driver_of(m, AUDIO), ==, "snd_hda_intel");
        g_assert_null(sim_override_of(m, AUDIO));
}

static void test_remove_blocks_rescan(void) {
        g_autoptr(SimMachine) m = sim_machine_new("desktop");
        unsigned id = sim_fault(m, AUDIO, "unbind", "hang");
        Writer remove = writer_start("/sys/bus/pci/devices/" AUDIO "/remove", "1"), rescan;

        sim_fault_wait(m, id);
        rescan = writer_start("/sys/bus/pci/rescan", "1");
        g_assert_true(writer_hangs(&remove));
        sim_fault_release(m, id);
        g_assert_cmpint(writer_end(&remove), ==, 0);
        g_assert_cmpint(writer_end(&rescan), ==, 0);
        g_assert_cmpstr(sim_driver_of(m, AUDIO), ==, "snd_hda_intel");
}

/* Holders */

static void test_sound_holder(void) {
        g_autoptr(SimMachine) m = sim_machine_new("desktop");
        pid_t holder = sim_hold_node(m, "/dev/snd/controlC0");
        Writer w = writer_start(UNBIND_AUDIO, AUDIO);

        g_assert_cmpstr(sim_command(m, "modules"), !=, "");
        while (sim_exists(m, "/dev/snd/controlC0"))
                (void) sched_yield(); /* the node goes first */
        g_assert_true(writer_hangs(&w));
        sim_let_go(m, holder);
        g_assert_cmpint(writer_end(&w), ==, 0);
}

static void test_vfio_holder(void) {
        g_autoptr(SimMachine) m = sim_machine_new("desktop");
        pid_t holder;
        Writer w;

        load_vfio(m);
        to_vfio(m, CARD);
        to_vfio(m, AUDIO);
        g_assert_cmpstr(sim_read(m, "bus/pci/devices/" CARD "/power/runtime_status"), ==, "suspended");
        holder = sim_hold_node(m, "/dev/vfio/15");
        g_assert_cmpstr(sim_read(m, "bus/pci/devices/" CARD "/power/runtime_status"), ==, "active");
        w = writer_start("/sys/bus/pci/drivers/vfio-pci/unbind", AUDIO);
        while (sim_driver_of(m, AUDIO))
                (void) sched_yield();
        g_assert_true(writer_hangs(&w));
        g_assert_cmpint(sim_write(m, "bus/pci/devices/" CARD "/driver_override", "\n"), ==, 0);
        sim_let_go(m, holder);
        g_assert_cmpint(writer_end(&w), ==, 0);
        g_assert_true(sim_exists(m, "/dev/vfio/15"));
        g_assert_cmpint(sim_write(m, "bus/pci/drivers/vfio-pci/unbind", CARD), ==, 0);
        g_assert_false(sim_exists(m, "/dev/vfio/15"));
}

/* Nobody but a reboot helps an nvidia unbind with a user left; and a group that a VM owns takes no host driver. */
static void test_nvidia_holder(void) {
        g_autoptr(SimMachine) m = sim_machine_new("nvidia-pair");
        const char *information = sim_read(m, "/proc/driver/nvidia/gpus/0000:3b:00.0/information");
        pid_t holder = sim_hold_node(m, "/dev/nvidia0");
        Writer w = writer_start("/sys/bus/pci/drivers/nvidia/unbind", "0000:3b:00.0");

        g_assert_nonnull(strstr(information, "Device Minor: \t 0"));
        while (sim_driver_of(m, "0000:3b:00.0"))
                (void) sched_yield();
        sim_let_go(m, holder);
        (void) sim_command(m, "wait-held /dev/nvidia0 no");
        g_assert_true(writer_hangs(&w));
        (void) sim_command(m, "release 0000:3b:00.0 unbind");
        g_assert_cmpint(writer_end(&w), ==, 0);
        g_assert_false(sim_exists(m, "/dev/nvidia0"));
        g_assert_false(sim_exists(m, "/proc/driver/nvidia/gpus/0000:3b:00.0"));

        load_vfio(m);
        to_vfio(m, "0000:3b:00.0");
        holder = sim_hold_node(m, "/dev/vfio/31");
        g_assert_cmpint(sim_write(m, "bus/pci/drivers/snd_hda_intel/unbind", "0000:3b:00.1"), ==, 0);
        g_assert_cmpint(sim_write(m, "bus/pci/drivers/snd_hda_intel/bind", "0000:3b:00.1"), ==, -EBUSY);
        sim_let_go(m, holder);
        g_assert_cmpint(sim_write(m, "bus/pci/drivers/snd_hda_intel/bind", "0000:3b:00.1"), ==, 0);
}

/* The daemon watches directories, and nodes have access control lists. */
static void test_nodes(void) {
        g_autoptr(SimMachine) m = sim_machine_new("desktop");
        int fd = inotify_init1(IN_CLOEXEC | IN_NONBLOCK), node;
        struct stat first, second;
        char events[4096];

        g_assert_cmpint(inotify_add_watch(fd, "/dev/snd", IN_OPEN | IN_CLOSE | IN_DELETE), >=, 0);
        node = open("/dev/snd/controlC0", O_RDWR | O_CLOEXEC);
        g_assert_cmpint(node, >=, 0);
        g_assert_cmpint(read(fd, events, sizeof(events)), >, 0);
        (void) close(node);
        g_assert_cmpint(read(fd, events, sizeof(events)), >, 0);
        g_assert_cmpint(stat("/dev/snd/controlC0", &first), ==, 0);
        g_assert_cmpint(stat("/dev/snd/controlC1", &second), ==, 0);
        g_assert_cmpuint(first.st_ino, !=, second.st_ino);
        (void) close(fd);
}

/* Modules and units */

typedef struct Job {
        char *path;
        char *result;
} Job;

static int on_job_removed(sd_bus_message *message, void *userdata, _unused_ sd_bus_error *error) {
        const char *path, *unit, *result;
        Job *j = userdata;
        uint32_t id;

        g_assert_cmpint(sd_bus_message_read(message, "uoss", &id, &path, &unit, &result), >=, 0);
        if (j->path && streq(path, j->path))
                j->result = g_strdup(result);
        return 0;
}

static char *run_unit(SimMachine *m, const char *method, const char *unit) {
        _cleanup_(sd_bus_message_unrefp) sd_bus_message *reply = NULL;
        _cleanup_(sd_bus_slot_unrefp) sd_bus_slot *slot = NULL;
        _cleanup_(sd_bus_error_free) sd_bus_error error = SD_BUS_ERROR_NULL;
        sd_bus *bus = sim_bus(m);
        const char *path;
        Job j = {};
        int r;

        g_assert_cmpint(sd_bus_match_signal(bus, &slot, "org.freedesktop.systemd1", NULL, "org.freedesktop.systemd1.Manager",
                                            "JobRemoved", on_job_removed, &j), >=, 0);
        r = sd_bus_call_method(bus, "org.freedesktop.systemd1", "/org/freedesktop/systemd1",
                               "org.freedesktop.systemd1.Manager", method, &error, &reply, "ss", unit, "replace");
        if (r < 0)
                return g_strdup(error.name);
        g_assert_cmpint(sd_bus_message_read(reply, "o", &path), >=, 0);
        j.path = g_strdup(path);
        while (!j.result)
                if (sd_bus_process(bus, NULL) == 0)
                        g_assert_cmpint(sd_bus_wait(bus, sim_deadline_sec() * G_USEC_PER_SEC), >, 0);
        g_free(j.path);
        return j.result;
}

static void assert_unit(SimMachine *m, const char *method, const char *unit, const char *expected) {
        g_autofree char *result = run_unit(m, method, unit);

        g_assert_cmpstr(result, ==, expected);
}

static void test_modules(void) {
        g_autoptr(SimMachine) m = sim_machine_new("nvidia-pair");
        pid_t holder;

        g_assert_false(sim_exists(m, "bus/pci/drivers/vfio-pci"));
        assert_unit(m, "StartUnit", "gpuptd-modprobe@vfio_pci.service", "done");
        g_assert_true(sim_exists(m, "bus/pci/drivers/vfio-pci"));
        g_assert_true(sim_exists(m, "module/vfio_pci_core/holders/vfio_pci"));
        g_assert_true(sim_exists(m, "/dev/vfio/vfio"));
        assert_unit(m, "StartUnit", "gpuptd-modprobe@nosuch.service", "failed");
        g_assert_cmpstr(sim_unit_state(m, "gpuptd-modprobe@nosuch.service"), ==, "failed failed exit-code");
        assert_unit(m, "StartUnit", "nosuch.service", "org.freedesktop.systemd1.NoSuchUnit");

        holder = sim_hold_node(m, "/dev/nvidiactl");
        g_assert_true(sim_exists(m, "/dev/dri/card0"));
        assert_unit(m, "StartUnit", "gpuptd-unload@nvidia_drm.service", "done"); /* and nvidia_modeset with it */
        g_assert_false(sim_exists(m, "/dev/dri/card0"));
        g_assert_false(sim_exists(m, "module/nvidia_modeset"));
        g_assert_cmpstr(sim_read(m, "module/nvidia/refcnt"), ==, "2"); /* nvidia_uvm and the holder */
        assert_unit(m, "StartUnit", "gpuptd-unload@nvidia_uvm.service", "done");
        assert_unit(m, "StartUnit", "gpuptd-unload@nvidia.service", "failed");
        g_assert_cmpstr(sim_driver_of(m, "0000:3b:00.0"), ==, "nvidia");
        sim_let_go(m, holder);
        assert_unit(m, "StartUnit", "gpuptd-unload@nvidia.service", "done");
        g_assert_null(sim_driver_of(m, "0000:3b:00.0"));
        assert_unit(m, "StartUnit", "gpuptd-modprobe@nvidia_drm.service", "done");
        g_assert_true(sim_exists(m, "/dev/dri/card0"));
}

static void test_units(void) {
        g_autoptr(SimMachine) m = sim_machine_new("desktop");

        sim_unit_set(m, "display-manager.service", "active");
        assert_unit(m, "StopUnit", "display-manager.service", "done");
        g_assert_cmpstr(sim_unit_state(m, "display-manager.service"), ==, "inactive dead success");
        (void) sim_fault(m, "display-manager.service", "start", "errno=EIO");
        assert_unit(m, "StartUnit", "display-manager.service", "failed");
        assert_unit(m, "RestartUnit", "display-manager.service", "done");
        g_assert_cmpstr(sim_unit_state(m, "display-manager.service"), ==, "active running success");
        sim_unit_set(m, "hook.service", "oneshot 'start=sh -c \"exit 3\"'");
        assert_unit(m, "StartUnit", "hook.service", "failed");
        sim_unit_set(m, "hook2.service", "oneshot start=true");
        assert_unit(m, "StartUnit", "hook2.service", "done");
}

static void test_transient_unit(void) {
        g_autoptr(SimMachine) m = sim_machine_new("desktop");
        g_autofree char *file = g_strdup_printf("/run/gpuptd-sim/out"), *text = NULL;
        _cleanup_close_ int fd = open(file, O_RDWR | O_CREAT | O_CLOEXEC, 0600);

        g_assert_cmpint(fd, >=, 0);
        g_assert_cmpint(sd_bus_call_method(sim_bus(m), "org.freedesktop.systemd1", "/org/freedesktop/systemd1",
                                           "org.freedesktop.systemd1.Manager", "StartTransientUnit", NULL, NULL,
                                           "ssa(sv)a(sa(sv))", "exec-1.service", "fail", 4, "Description", "s", "a test",
                                           "ExecStart", "a(sasb)", 1, "/bin/sh", 3, "sh", "-c", "echo $WORD; exit 5", false,
                                           "Environment", "as", 1, "WORD=hello", "StandardOutputFileDescriptor", "h", fd, 0),
                        >=, 0);
        (void) sim_command(m, "wait-unit exec-1.service failed");
        g_assert_cmpstr(sim_unit_state(m, "exec-1.service"), ==, "failed failed exit-code");
        g_assert_true(g_file_get_contents(file, &text, NULL, NULL));
        g_assert_cmpstr(text, ==, "hello\n");
}

/* polkit, login1, machine1 */

typedef struct Authorization {
        bool answered, authorized, challenge, error;
} Authorization;

static int on_authorization(sd_bus_message *reply, void *userdata, _unused_ sd_bus_error *error) {
        Authorization *a = userdata;
        int authorized, challenge;

        a->answered = true;
        a->error = sd_bus_message_is_method_error(reply, NULL);
        if (!a->error) {
                g_assert_cmpint(sd_bus_message_enter_container(reply, 'r', "bba{ss}"), >=, 0);
                g_assert_cmpint(sd_bus_message_read(reply, "bb", &authorized, &challenge), >=, 0);
                a->authorized = authorized;
                a->challenge = challenge;
        }
        return 0;
}

static void ask(SimMachine *m, Authorization *a, unsigned flags) {
        *a = (Authorization) {};
        g_assert_cmpint(sd_bus_call_method_async(sim_bus(m), NULL, "org.freedesktop.PolicyKit1",
                                                 "/org/freedesktop/PolicyKit1/Authority",
                                                 "org.freedesktop.PolicyKit1.Authority", "CheckAuthorization",
                                                 on_authorization, a, "(sa{sv})sa{ss}us", "system-bus-name", 1, "name", "s",
                                                 ":1.7", "org.gpupt1.detach", 1, "gpu", CARD, flags, "id-1"), >=, 0);
}

static void wait_answer(SimMachine *m, const Authorization *a) {
        while (!a->answered)
                if (sd_bus_process(sim_bus(m), NULL) == 0)
                        g_assert_cmpint(sd_bus_wait(sim_bus(m), sim_deadline_sec() * G_USEC_PER_SEC), >, 0);
}

static void test_polkit(void) {
        g_autoptr(SimMachine) m = sim_machine_new("desktop");
        Authorization a;

        ask(m, &a, 0);
        wait_answer(m, &a);
        g_assert_true(a.authorized);
        sim_polkit_set(m, "no", NULL);
        sim_polkit_set(m, "auth", "org.gpupt1.detach");
        ask(m, &a, 0);
        wait_answer(m, &a);
        g_assert_true(a.challenge && !a.authorized);
        ask(m, &a, 1);
        wait_answer(m, &a);
        g_assert_true(a.authorized);
        g_assert_cmpstr(sim_polkit_log(m), ==,
                        "check action=org.gpupt1.detach subject=:1.7 interactive=0 gpu='" CARD "'\n"
                        "check action=org.gpupt1.detach subject=:1.7 interactive=0 gpu='" CARD "'\n"
                        "check action=org.gpupt1.detach subject=:1.7 interactive=1 gpu='" CARD "'\n");

        sim_polkit_set(m, "never", NULL);
        ask(m, &a, 1);
        while (sd_bus_process(sim_bus(m), NULL) > 0)
                ;
        sim_polkit_wait(m, 4);
        g_assert_false(a.answered);
        g_assert_cmpint(sd_bus_call_method(sim_bus(m), "org.freedesktop.PolicyKit1", "/org/freedesktop/PolicyKit1/Authority",
                                           "org.freedesktop.PolicyKit1.Authority", "CancelCheckAuthorization", NULL, NULL,
                                           "s", "id-1"), >=, 0);
        wait_answer(m, &a);
        g_assert_true(a.error);
}

static int inhibit(SimMachine *m, const char *mode) {
        _cleanup_(sd_bus_message_unrefp) sd_bus_message *reply = NULL;
        int fd;

        if (sd_bus_call_method(sim_bus(m), "org.freedesktop.login1", "/org/freedesktop/login1",
                               "org.freedesktop.login1.Manager", "Inhibit", NULL, &reply, "ssss", "sleep", "test", "why",
                               mode) < 0)
                return -EBADF;
        g_assert_cmpint(sd_bus_message_read(reply, "h", &fd), >=, 0);
        return fcntl(fd, F_DUPFD_CLOEXEC, 3);
}

static int count_signal(_unused_ sd_bus_message *message, void *userdata, _unused_ sd_bus_error *error) {
        unsigned *n = userdata;

        (*n)++;
        return 0;
}

static void test_login1(void) {
        g_autoptr(SimMachine) m = sim_machine_new("desktop");
        _cleanup_(sd_bus_slot_unrefp) sd_bus_slot *slot = NULL;
        struct pollfd p = {};
        const char *text;
        unsigned signals = 0;
        int fd;

        g_assert_cmpint(sd_bus_match_signal(sim_bus(m), &slot, "org.freedesktop.login1", NULL, NULL, "PrepareForSleep",
                                            count_signal, &signals), >=, 0);
        g_assert_true(sim_suspend(m));
        fd = inhibit(m, "block");
        g_assert_cmpint(sim_try_command(m, &text, "suspend"), ==, -EBUSY);
        (void) close(fd);
        (void) sim_command(m, "wait-inhibitors sleep block 0");

        fd = inhibit(m, "delay");
        (void) sim_command(m, "login1 delay=1");
        g_assert_true(sim_suspend(m)); /* a delay lock does not veto */
        p = (struct pollfd) { .fd = fd };
        (void) sim_command(m, "login1 gone");
        g_assert_cmpint(poll(&p, 1, (int) sim_deadline_sec() * 1000), ==, 1);
        g_assert_cmpint(p.revents & POLLERR, ==, POLLERR);
        (void) sim_command(m, "login1 back");
        (void) sim_command(m, "wait-inhibitors sleep delay 1");
        (void) close(fd);
        (void) sim_command(m, "wait-inhibitors sleep delay 0");

        sim_unit_set(m, "gpuptd-sleep.service", "oneshot remain start=false");
        g_assert_false(sim_suspend(m));
        sim_unit_set(m, "gpuptd-sleep.service", "start=true");
        g_assert_true(sim_suspend(m));
        while (signals < 8)
                if (sd_bus_process(sim_bus(m), NULL) == 0)
                        g_assert_cmpint(sd_bus_wait(sim_bus(m), sim_deadline_sec() * G_USEC_PER_SEC), >, 0);
        g_assert_cmpuint(signals, ==, 8); /* one pair for each of four cycles, of which one was vetoed */

        (void) sim_command(m, "session c1 uid=1000 leader=%d", getpid());
        g_assert_true(sim_exists(m, "/run/systemd/sessions/c1"));
        (void) sim_command(m, "machine-new win10 %d", getpid());
        (void) sim_command(m, "machine-removed win10");
}

static const char *login1_property(SimMachine *m, const char *property) {
        _cleanup_(sd_bus_message_unrefp) sd_bus_message *reply = NULL;
        int value;

        g_assert_cmpint(sd_bus_get_property(sim_bus(m), "org.freedesktop.login1", "/org/freedesktop/login1",
                                            "org.freedesktop.login1.Manager", property, NULL, &reply, "b"), >=, 0);
        g_assert_cmpint(sd_bus_message_read(reply, "b", &value), >, 0);
        return value ? "true" : "false";
}

/* Not there is the number of no level. */
static unsigned upower_level(SimMachine *m) {
        _cleanup_(sd_bus_message_unrefp) sd_bus_message *reply = NULL;
        unsigned level;

        if (sd_bus_get_property(sim_bus(m), "org.freedesktop.UPower", "/org/freedesktop/UPower/devices/DisplayDevice",
                                "org.freedesktop.UPower.Device", "WarningLevel", NULL, &reply, "u") < 0)
                return UINT_MAX;
        g_assert_cmpint(sd_bus_message_read(reply, "u", &level), >, 0);
        return level;
}

static void test_power_supply(void) {
        g_autoptr(SimMachine) m = sim_machine_new("desktop");
        _cleanup_(sd_bus_slot_unrefp) sd_bus_slot *slot = NULL;
        unsigned changes = 0; /* the owner goes, another comes */
        const char *text;

        g_assert_cmpint(sd_bus_add_match(sim_bus(m), &slot,
                                         "type='signal',sender='org.freedesktop.DBus',interface='org.freedesktop.DBus',"
                                         "member='NameOwnerChanged',arg0='org.freedesktop.UPower'",
                                         count_signal, &changes), >=, 0);
        g_assert_cmpstr(login1_property(m, "LidClosed"), ==, "false");
        g_assert_cmpstr(login1_property(m, "OnExternalPower"), ==, "true");
        (void) sim_command(m, "login1 lid=closed");
        g_assert_cmpstr(login1_property(m, "LidClosed"), ==, "true");
        g_assert_cmpstr(login1_property(m, "OnExternalPower"), ==, "true");
        (void) sim_command(m, "login1 power=battery");
        (void) sim_command(m, "login1 lid=open");
        g_assert_cmpstr(login1_property(m, "LidClosed"), ==, "false");
        g_assert_cmpstr(login1_property(m, "OnExternalPower"), ==, "false");
        g_assert_cmpint(sim_try_command(m, &text, "login1 lid=ajar"), ==, -EINVAL);
        (void) sim_command(m, "login1 power=mains");
        g_assert_cmpstr(login1_property(m, "OnExternalPower"), ==, "true");

        g_assert_cmpuint(upower_level(m), ==, 1);
        (void) sim_command(m, "upower level=4");
        g_assert_cmpuint(upower_level(m), ==, 4);
        (void) sim_command(m, "upower gone");
        g_assert_cmpuint(upower_level(m), ==, UINT_MAX);
        (void) sim_command(m, "upower level=5");
        (void) sim_command(m, "upower back");
        while (changes < 2)
                if (sd_bus_process(sim_bus(m), NULL) == 0)
                        g_assert_cmpint(sd_bus_wait(sim_bus(m), sim_deadline_sec() * G_USEC_PER_SEC), >, 0);
        g_assert_cmpuint(upower_level(m), ==, 5);
        g_assert_cmpint(sim_try_command(m, &text, "upower level=9"), ==, -EINVAL);
}

/* Life */

/* Machines that end while a call hangs in them. */
static void test_many(void) {
        g_autofree char *mounts = NULL, *after = NULL;

        g_assert_true(g_file_get_contents("/proc/self/mounts", &mounts, NULL, NULL));
        for (unsigned i = 0; i < 20; i++) {
                g_autoptr(SimMachine) m = sim_machine_new(topologies[i % ELEMENTSOF(topologies)]);
                g_autofree char *device = g_file_read_link("/sys/class/drm/card0/device", NULL);
                g_autofree char *address = g_path_get_basename(device);
                unsigned id = sim_fault(m, address, "unbind", "hang");

                (void) writer_start("/sys/class/drm/card0/device/driver/unbind", address);
                sim_fault_wait(m, id);
        }
        g_assert_true(g_file_get_contents("/proc/self/mounts", &after, NULL, NULL));
        g_assert_cmpstr(mounts, ==, after);
        g_assert_cmpint(waitpid(-1, NULL, WNOHANG), ==, -1);
}

static void test_generated(void) {
        g_autofree char *file = g_build_filename(g_get_tmp_dir(), "gpuptd-sim-XXXXXX", NULL);
        _cleanup_close_ int fd = g_mkstemp(file);
        char *argv[] = { (char *) "lspci", (char *) "-n", NULL };
        g_autoptr(SimMachine) m = NULL;
        g_autofree char *out = NULL;
        gint64 begin;

        g_assert_true(g_file_set_contents(file, "generate 1000\n", -1, NULL));
        m = sim_machine_new(file);
        begin = g_get_monotonic_time();
        g_assert_true(g_spawn_sync(NULL, argv, NULL, G_SPAWN_SEARCH_PATH, NULL, NULL, &out, NULL, NULL, NULL));
        g_test_message("lspci -n of 1000 functions: %" G_GINT64_FORMAT " ms", (g_get_monotonic_time() - begin) / 1000);
        g_assert_true(g_str_has_suffix(out, "03:1c.7 0200: 8086:1572\n") || strlen(out) > 0);
        (void) unlink(file);
}

int main(int argc, char *argv[]) {
        sim_init(&argc, &argv);
        g_test_add_func("/sim/lspci", test_lspci);
        g_test_add_func("/sim/conformance", test_conformance);
        g_test_add_func("/sim/libpci", test_libpci);
        g_test_add_func("/sim/libudev", test_libudev);
        g_test_add_func("/sim/other-user", test_other_user);
        g_test_add_func("/sim/fault/errno", test_fault_errno);
        g_test_add_func("/sim/fault/hang", test_fault_hang);
        g_test_add_func("/sim/fault/vanish", test_fault_vanish);
        g_test_add_func("/sim/remove-blocks-rescan", test_remove_blocks_rescan);
        g_test_add_func("/sim/holder/sound", test_sound_holder);
        g_test_add_func("/sim/holder/vfio", test_vfio_holder);
        g_test_add_func("/sim/holder/nvidia", test_nvidia_holder);
        g_test_add_func("/sim/nodes", test_nodes);
        g_test_add_func("/sim/modules", test_modules);
        g_test_add_func("/sim/units", test_units);
        g_test_add_func("/sim/transient-unit", test_transient_unit);
        g_test_add_func("/sim/polkit", test_polkit);
        g_test_add_func("/sim/login1", test_login1);
        g_test_add_func("/sim/power-supply", test_power_supply);
        g_test_add_func("/sim/many", test_many);
        g_test_add_func("/sim/generated", test_generated);
        return g_test_run();
}
