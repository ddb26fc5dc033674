/* SPDX-License-Identifier: GPL-2.0-or-later */

/* udev-monitor: the netlink socket of libudev in the event loop. It owns nothing else and remembers nothing.
 *
 * A device that libudev received from the socket is filled from the message (libsystemd sd-device/device-private.c
 * device_new_from_nulstr() seals it), so action, subsystem and devpath are there without a file being read.
 * Attributes, the driver link and parents would be read from sysfs: they must not be asked for here. */

#include "udev-monitor.h"

#include <libudev.h>
#include <sys/epoll.h>

#include "util/address.h"

/* A rescan of a big host is a burst of some thousand events of up to 8 KiB. The kernel accounts it to the socket only
 * as far as it is used. */
#define RECEIVE_BUFFER_SIZE (16 * 1024 * 1024)
/* Events taken before the loop gets its turn. */
#define EVENTS_PER_DISPATCH 64

DEFINE_CLEANUP(struct udev_device *, udev_device_unref);

struct UdevMonitor {
        struct udev *udev;
        struct udev_monitor *monitor;
        sd_event_source *source;
        udev_monitor_handler_t handler;
        void *userdata;
};

UdevMonitor *udev_monitor_free(UdevMonitor *m) {
        if (!m)
                return NULL;
        (void) sd_event_source_disable_unref(m->source);
        (void) udev_monitor_unref(m->monitor);
        (void) udev_unref(m->udev);
        free(m);
        return NULL;
}

/* Copies the last component of the path that is a PCI address. */
static bool last_address(const char *devpath, char ret[static PCI_ADDRESS_MAX]) {
        bool found = false;

        for (const char *p = devpath; *p;) {
                size_t length = strcspn(p, "/");

                if (length > 0 && length < PCI_ADDRESS_MAX) {
                        char component[PCI_ADDRESS_MAX];

                        memcpy(component, p, length);
                        component[length] = '\0';
                        if (pci_address_valid(component)) {
                                memcpy(ret, component, length + 1);
                                found = true;
                        }
                }
                p += length;
                p += strspn(p, "/");
        }
        return found;
}

bool udev_event_reduce(const char *subsystem, const char *action, const char *devpath, UdevChange *ret_change,
                       char ret_address[static PCI_ADDRESS_MAX]) {
        if (!devpath || !last_address(devpath, ret_address))
                return false;
        if (!streq_ptr(subsystem, "pci"))
                *ret_change = UDEV_CHANGED;
        else if (streq_ptr(action, "add"))
                *ret_change = UDEV_ADDED;
        else if (streq_ptr(action, "remove"))
                *ret_change = UDEV_REMOVED;
        else
                *ret_change = UDEV_CHANGED;
        return true;
}

static int on_events(sd_event_source *source, int fd, uint32_t revents, void *userdata) {
        UdevMonitor *m = ASSERT_PTR(userdata);

        for (unsigned i = 0; i < EVENTS_PER_DISPATCH; i++) {
                _cleanup_(udev_device_unrefp) struct udev_device *device = NULL;
                char address[PCI_ADDRESS_MAX];
                UdevChange change;

                errno = 0;
                device = udev_monitor_receive_device(m->monitor);
                if (!device) {
                        if (errno == ENOBUFS)
                                m->handler(UDEV_LOST, NULL, m->userdata);
                        /* Nothing more to read, or a message that is not udev's: both end this round. */
                        break;
                }
                if (udev_event_reduce(udev_device_get_subsystem(device), udev_device_get_action(device),
                                      udev_device_get_devpath(device), &change, address))
                        m->handler(change, address, m->userdata);
        }
        return 0;
}

static int monitor_open(UdevMonitor *m) {
        static const char *const subsystems[] = { "pci", "drm", "sound", "vfio", "vfio-dev" };
        int r;

        m->udev = udev_new();
        if (!m->udev)
                return -errno;
        m->monitor = udev_monitor_new_from_netlink(m->udev, "udev");
        if (!m->monitor)
                return -errno;
        for (size_t i = 0; i < ELEMENTSOF(subsystems); i++) {
                r = udev_monitor_filter_add_match_subsystem_devtype(m->monitor, subsystems[i], NULL);
                if (r < 0)
                        return r;
        }
        /* Without CAP_NET_ADMIN it ends at net.core.rmem_max; lost events are noticed anyway. */
        (void) udev_monitor_set_receive_buffer_size(m->monitor, RECEIVE_BUFFER_SIZE);
        return udev_monitor_enable_receiving(m->monitor);
}

int udev_monitor_new_for(sd_event *event, udev_monitor_handler_t handler, void *userdata, UdevMonitor **ret) {
        _cleanup_(udev_monitor_freep) UdevMonitor *m = NULL;
        int r;

        m = calloc(1, sizeof(UdevMonitor));
        if (!m)
                return -ENOMEM;
        m->handler = handler;
        m->userdata = userdata;

        r = monitor_open(m);
        if (r < 0)
                return r;
        r = sd_event_add_io(event, &m->source, udev_monitor_get_fd(m->monitor), EPOLLIN, on_events, m);
        if (r < 0)
                return r;
        (void) sd_event_source_set_description(m->source, "udev-monitor");
        *ret = TAKE_PTR(m);
        return 0;
}
