/* SPDX-License-Identifier: GPL-2.0-or-later */

/* gpuptd-sim-machine TOPOLOGY CONTROL-FD: the process that is the simulated machine: its kernel behind /sys, its /dev, its
 * system bus and what answers there. It is started inside private namespaces by machine.c and dies with its parent. */

#include <errno.h>
#include <malloc.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <time.h>
#include <unistd.h>

#include "bus/bus.h"
#include "host/control.h"
#include "host/fuse-server.h"
#include "host/journal.h"
#include "host/loop.h"
#include "host/topology.h"
#include "model/model.h"
#include "namespaces.h"
#include "util/cleanup.h"

#define LOOK_AGAIN_USEC 5000U

static sd_event_source *look_again;

static int fail(const char *what, int r) {
        fprintf(stderr, "gpuptd-sim: %s: %s\n", what, strerror(-r));
        return EXIT_FAILURE;
}

/* What a program finds in every /sys and what has nothing to do with PCI. */
static void add_surroundings(void) {
        static const char *const directories[] = {
                "block", "dev/block", "dev/char", "firmware/acpi/tables", "fs/cgroup", "kernel/debug", "power",
                "class/drm", "class/sound", "class/graphics", "class/vtconsole", "class/pci_bus", "class/iommu",
                "class/hwmon", "class/vfio", "class/vfio-dev", "class/i2c-dev", "class/dmi", "class/power_supply",
                "bus/pci/devices", "bus/pci/drivers", "bus/pci/slots", "bus/i2c/devices", "devices/virtual", "module",
        };
        Node *cpu = node_add_path(node_root(), "devices/system/cpu");
        Node *console = node_add_path(node_root(), "devices/virtual/vtconsole/vtcon0");

        for (size_t i = 0; i < ELEMENTSOF(directories); i++)
                (void) node_add_path(node_root(), directories[i]);
        (void) node_add_text(cpu, "online", "0-1\n");
        (void) node_add_text(cpu, "possible", "0-1\n");
        (void) node_add_text(cpu, "present", "0-1\n");
        (void) node_add_text(console, "name", "(S) dummy device\n");
        (void) node_add_text(console, "bind", "0\n");
        (void) node_add_link(node_add_path(node_root(), "class/vtconsole"), "vtcon0", console);
}

static int show_autoprobe(_unused_ void *object, GString *out) {
        g_string_append_printf(out, "%d\n", machine.autoprobe);
        return 0;
}

static int store_autoprobe(_unused_ void *object, const char *data, size_t n, _unused_ off_t offset) {
        if (n == 0)
                return -EINVAL;
        machine.autoprobe = data[0] != '0';
        return 0;
}

static void add_bus_attributes(void) {
        static const Attribute autoprobe = { "drivers_autoprobe", 0644, .show = show_autoprobe, .store = store_autoprobe };
        Node *bus = node_add_path(node_root(), "bus/pci");

        bus->is_owner = true;
        (void) node_add_attribute(bus, &autoprobe, NULL);
        (void) node_add_attribute(bus, &drivers_probe_attribute, NULL);
        (void) node_add_attribute(bus, &bus_rescan_attribute, NULL);
}

static int on_look_again(_unused_ sd_event_source *source, _unused_ uint64_t usec, _unused_ void *userdata) {
        device_nodes_look_again();
        return 0;
}

static int on_node_opened(_unused_ sd_event_source *source, _unused_ int fd, _unused_ uint32_t revents,
                          _unused_ void *userdata) {
        device_nodes_refresh();
        return 0;
}

static void arm_timer(_unused_ void *data) {
        (void) sd_event_source_set_time_relative(look_again, LOOK_AGAIN_USEC);
        (void) sd_event_source_set_enabled(look_again, SD_EVENT_ONESHOT);
}

static void look_again_soon(void) {
        loop_post(arm_timer, NULL);
}

static int boot(sd_event *event) {
        int fd, r;

        fd = device_nodes_init(look_again_soon);
        if (fd < 0)
                return fd;
        r = sd_event_add_time_relative(event, &look_again, CLOCK_MONOTONIC, LOOK_AGAIN_USEC, 1, on_look_again, NULL);
        if (r < 0)
                return r;
        r = uevent_init();
        if (r < 0)
                return r;
        add_surroundings();
        add_bus_attributes();
        r = journal_start();
        if (r < 0)
                return r;
        r = machine_start();
        if (r < 0)
                return r;
        return sd_event_add_io(event, NULL, fd, EPOLLIN, on_node_opened, NULL);
}

static int run_commands(const GPtrArray *commands) {
        for (unsigned i = 0; i < commands->len; i++) {
                const char *line = g_ptr_array_index(commands, i);
                g_autoptr(GString) reply = g_string_new(NULL);
                int r = control_execute(line, reply);

                if (r < 0) {
                        fprintf(stderr, "gpuptd-sim: '%s': %s\n", line, strerror(-r));
                        return r;
                }
        }
        return 0;
}

int main(int argc, char *argv[]) {
        GPtrArray *commands = NULL;
        g_autofree char *error = NULL;
        sd_event *event;
        sigset_t children;
        int r;

        if (argc != 3) {
                fprintf(stderr, "usage: gpuptd-sim-machine TOPOLOGY CONTROL-FD\n");
                return EXIT_FAILURE;
        }
        (void) prctl(PR_SET_PDEATHSIG, SIGKILL);
        (void) signal(SIGPIPE, SIG_IGN);
        /* Else malloc() counts the processors for its next arena (glibc, malloc/arena.c arena_get2()): it would read our
         * own /sys, with our lock held. */
        (void) mallopt(M_ARENA_MAX, 4);
        (void) sigemptyset(&children);
        (void) sigaddset(&children, SIGCHLD);
        (void) sigprocmask(SIG_BLOCK, &children, NULL); /* before the first thread: sd_event_add_child() wants it */

        machine_init();
        r = topology_load(argv[1], &commands, &error);
        if (r < 0) {
                fprintf(stderr, "gpuptd-sim: %s\n", error);
                return EXIT_FAILURE;
        }
        r = loop_new(&event);
        if (r < 0)
                return fail("event loop", r);
        r = machine_mounts();
        if (r < 0)
                return fail("mounts", r);
        r = boot(event);
        if (r < 0)
                return fail("boot", r);
        r = fuse_server_start(event);
        if (r < 0)
                return fail("/sys", r);
        r = control_start(event, atoi(argv[2]));
        if (r < 0)
                return fail("control socket", r);
        r = bus_start(event, control_ready);
        if (r < 0)
                return fail("bus", r);
        r = run_commands(commands);
        if (r < 0)
                return EXIT_FAILURE;
        r = loop_run(event);
        return r < 0 ? fail("event loop", r) : EXIT_SUCCESS;
}
