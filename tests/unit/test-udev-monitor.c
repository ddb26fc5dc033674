/* SPDX-License-Identifier: GPL-2.0-or-later */

/* test-udev-monitor: what an event means, and how events arrive. */

#include "udev-monitor.h"

#include <endian.h>
#include <linux/netlink.h>
#include <sched.h>
#include <sys/mount.h>
#include <sys/socket.h>
#include <sys/stat.h>

#include "loop.h"
#include "util/fs.h"

#define GPU "/devices/pci0000:00/0000:00:01.0/0000:01:00.0"

static void test_reduce(void) {
        static const struct {
                const char *subsystem, *action, *devpath;
                bool relevant;
                UdevChange change;
                const char *address;
        } cases[] = {
                { "pci", "add", GPU, true, UDEV_ADDED, "0000:01:00.0" },
                { "pci", "remove", GPU, true, UDEV_REMOVED, "0000:01:00.0" },
                { "pci", "bind", GPU, true, UDEV_CHANGED, "0000:01:00.0" },
                { "pci", "unbind", GPU, true, UDEV_CHANGED, "0000:01:00.0" },
                { "pci", "change", GPU, true, UDEV_CHANGED, "0000:01:00.0" },
                { "pci", "add", "/devices/pci0000:00/0000:00:01.0", true, UDEV_ADDED, "0000:00:01.0" },
                { "drm", "add", GPU "/drm/card0", true, UDEV_CHANGED, "0000:01:00.0" },
                { "drm", "remove", GPU "/drm/renderD128", true, UDEV_CHANGED, "0000:01:00.0" },
                { "sound", "remove", "/devices/pci0000:00/0000:00:01.0/0000:01:00.1/sound/card1/controlC1", true,
                  UDEV_CHANGED, "0000:01:00.1" },
                { "vfio-dev", "add", GPU "/vfio-dev/vfio0", true, UDEV_CHANGED, "0000:01:00.0" },
                /* A domain of more than four digits (Intel VMD). */
                { "pci", "add", "/devices/pci0000:00/0000:00:0e.0/pci10000:e0/10000:e0:06.0/10000:e1:00.0", true,
                  UDEV_ADDED, "10000:e1:00.0" },
                /* A USB headset below the card's USB controller concerns that controller. */
                { "sound", "add", "/devices/pci0000:00/0000:00:01.0/0000:01:00.2/usb3/3-1/3-1:1.0/sound/card2", true,
                  UDEV_CHANGED, "0000:01:00.2" },
                { "vfio", "add", "/devices/virtual/vfio/7", false, 0, NULL },
                { "sound", "add", "/devices/pci0000:00", false, 0, NULL },
                { "sound", "add", "/devices/platform/0000:01:00.0x/sound/card0", false, 0, NULL },
                { "sound", "add", "/devices/x0000:01:00.0/sound/card0", false, 0, NULL },
                { "drm", "add", "", false, 0, NULL },
                { "drm", "add", "////", false, 0, NULL },
                { "drm", "add", NULL, false, 0, NULL },
                { NULL, NULL, GPU, true, UDEV_CHANGED, "0000:01:00.0" },
                { "pci", NULL, GPU "/", true, UDEV_CHANGED, "0000:01:00.0" },
        };

        for (size_t i = 0; i < ELEMENTSOF(cases); i++) {
                char address[PCI_ADDRESS_MAX];
                UdevChange change;

                g_test_message("%s %s %s", cases[i].subsystem, cases[i].action, cases[i].devpath);
                g_assert_cmpint(
                        udev_event_reduce(cases[i].subsystem, cases[i].action, cases[i].devpath, &change, address), ==,
                        cases[i].relevant);
                if (cases[i].relevant) {
                        g_assert_cmpint(change, ==, cases[i].change);
                        g_assert_cmpstr(address, ==, cases[i].address);
                }
        }
}

/* Events as udev sends them (libsystemd/sd-device/device-monitor.c, struct monitor_netlink_header), in a network
 * namespace of the test's own, where this process is the only one that sends or listens. */

static char *namespace_error; /* why there is none; NULL if there is one */

typedef struct Fixture {
        sd_event *event;
        UdevMonitor *monitor;
        int socket;
        GPtrArray *told; /* "change address" */
        bool lost, last;
} Fixture;

static void on_change(UdevChange change, const char *address, void *userdata) {
        Fixture *f = userdata;

        g_ptr_array_add(f->told, g_strdup_printf("%i %s", change, address ?: "-"));
        if (change == UDEV_LOST)
                f->lost = true;
        if (streq_ptr(address, "0000:ff:1f.7"))
                f->last = true;
}

/* MurmurHash2 with seed 0: udev's filter is by hash of the subsystem. */
static uint32_t hash(const char *s) {
        size_t length = strlen(s);
        uint32_t h = (uint32_t) length, k;

        for (; length >= 4; length -= 4, s += 4) {
                memcpy(&k, s, 4);
                k *= 0x5bd1e995;
                k ^= k >> 24;
                h = h * 0x5bd1e995 ^ k * 0x5bd1e995;
        }
        if (length >= 3)
                h ^= (uint32_t) (unsigned char) s[2] << 16;
        if (length >= 2)
                h ^= (uint32_t) (unsigned char) s[1] << 8;
        if (length >= 1)
                h = (h ^ (unsigned char) s[0]) * 0x5bd1e995;
        h = (h ^ h >> 13) * 0x5bd1e995;
        return h ^ h >> 15;
}

static void send_event(const Fixture *f, const char *subsystem, const char *action, const char *devpath) {
        static unsigned sequence = 0;
        struct {
                char prefix[8];
                uint32_t magic, header_size, properties_offset, properties_size, subsystem_hash, rest[3];
                char properties[512];
        } message = { .prefix = "libudev", .magic = htobe32(0xfeedcafe), .header_size = 40, .properties_offset = 40 };
        struct sockaddr_nl everybody = { .nl_family = AF_NETLINK, .nl_groups = 2 };
        int n;

        n = snprintf(message.properties, sizeof(message.properties), "ACTION=%s%cDEVPATH=%s%cSUBSYSTEM=%s%cSEQNUM=%u",
                     action, 0, devpath, 0, subsystem, 0, ++sequence);
        g_assert_cmpint(n, <, sizeof(message.properties));
        message.properties_size = (uint32_t) n + 1;
        message.subsystem_hash = htobe32(hash(subsystem));
        g_assert_cmpint(
                sendto(f->socket, &message, 40 + (size_t) n + 1, 0, (struct sockaddr *) &everybody, sizeof(everybody)),
                ==, 40 + n + 1);
}

static void set_up(Fixture *f, const void *data) {
        f->told = g_ptr_array_new_with_free_func(g_free);
        g_assert_cmpint(sd_event_new(&f->event), >=, 0);
        f->socket = socket(AF_NETLINK, SOCK_RAW | SOCK_CLOEXEC, NETLINK_KOBJECT_UEVENT);
        g_assert_cmpint(f->socket, >=, 0);
        g_assert_cmpint(udev_monitor_new_for(f->event, on_change, f, &f->monitor), ==, 0);
}

static void tear_down(Fixture *f, const void *data) {
        g_assert_null(udev_monitor_free(f->monitor));
        (void) close(f->socket);
        sd_event_unref(f->event);
        g_ptr_array_unref(f->told);
}

static bool skip_without_namespace(void) {
        if (!namespace_error)
                return false;
        g_test_skip(namespace_error);
        return true;
}

static void test_receive(Fixture *f, const void *data) {
        g_autofree char *told = NULL;

        if (skip_without_namespace())
                return;
        send_event(f, "pci", "bind", GPU);
        send_event(f, "drm", "add", GPU "/drm/card0");
        send_event(f, "net", "add", "/devices/pci0000:00/0000:00:02.0/net/eth0");
        send_event(f, "vfio", "add", "/devices/virtual/vfio/7");
        send_event(f, "vfio-dev", "remove", GPU "/vfio-dev/vfio0");
        send_event(f, "pci", "remove", GPU);
        send_event(f, "pci", "add", "/devices/pci0000:ff/0000:ff:1f.7");
        loop_until(f->event, f->last);
        g_ptr_array_add(f->told, NULL);
        told = g_strjoinv(", ", (char **) f->told->pdata);
        g_assert_cmpstr(told, ==, "2 0000:01:00.0, 2 0000:01:00.0, 2 0000:01:00.0, 1 0000:01:00.0, 0 0000:ff:1f.7");
}

/* More than the socket holds: said once per loss, and the events after it arrive. */
static void test_lost(Fixture *f, const void *data) {
        if (skip_without_namespace())
                return;
        for (int i = 0; i < 100000; i++)
                send_event(f, "pci", "change", GPU);
        loop_until(f->event, f->lost);
        loop_drain(f->event);
        send_event(f, "pci", "add", "/devices/pci0000:ff/0000:ff:1f.7");
        loop_until(f->event, f->last);
}

/* The receiver believes uid 0 only, so the test has to be that in its namespace. */
static int map_root(uid_t uid, gid_t gid) {
        g_autofree char *uid_map = g_strdup_printf("0 %u 1\n", uid), *gid_map = g_strdup_printf("0 %u 1\n", gid);

        if (write_attribute_at(AT_FDCWD, "/proc/self/setgroups", "deny") < 0)
                return -EPERM;
        return write_attribute_at(AT_FDCWD, "/proc/self/uid_map", uid_map) < 0 ||
               write_attribute_at(AT_FDCWD, "/proc/self/gid_map", gid_map) < 0 ? -EPERM : 0;
}

/* 0, or the negative errno of the step that was refused. libudev joins udev's group only if /run/udev/control is
 * there. */
static int enter_namespace(uid_t uid, gid_t gid) {
        if (unshare(CLONE_NEWUSER | CLONE_NEWNS | CLONE_NEWNET) < 0)
                return -errno;
        if (map_root(uid, gid) < 0)
                return -EPERM;
        if (mount("", "/", "", MS_REC | MS_PRIVATE, NULL) < 0 || mount("tmpfs", "/run", "tmpfs", 0, NULL) < 0 ||
            mkdir("/run/udev", 0755) < 0)
                return -errno;
        return g_file_set_contents("/run/udev/control", "", 0, NULL) ? 0 : -EIO;
}

int main(int argc, char *argv[]) {
        uid_t uid = getuid();
        gid_t gid = getgid();
        int r;

        g_test_init(&argc, &argv, NULL);
        r = enter_namespace(uid, gid);
        if (r < 0)
                namespace_error = g_strdup_printf("No namespaces for events of the test's own: %s", g_strerror(-r));

        g_test_add_func("/udev-monitor/reduce", test_reduce);
        g_test_add("/udev-monitor/receive", Fixture, NULL, set_up, test_receive, tear_down);
        g_test_add("/udev-monitor/lost", Fixture, NULL, set_up, test_lost, tear_down);
        r = g_test_run();
        g_free(namespace_error);
        return r;
}
