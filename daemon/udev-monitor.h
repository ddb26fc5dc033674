/* SPDX-License-Identifier: GPL-2.0-or-later */
#pragma once

/* udev-monitor: events of the subsystems pci, drm, sound, vfio and vfio-dev, reduced to "something about this PCI
 * function changed". It uses what the event itself carries and never reads an attribute: on kernel 6.1 libudev's
 * look-ups read `uevent`, which waits for the device's lock (drivers/base/core.c uevent_show()). */

#include <systemd/sd-event.h>

#include "util/address.h"

typedef struct UdevMonitor UdevMonitor;

typedef enum UdevChange {
        UDEV_ADDED,   /* a PCI function appeared: the inventory changed */
        UDEV_REMOVED, /* a PCI function went away: likewise */
        UDEV_CHANGED, /* driver bound or unbound, or a drm, sound or vfio child came or went */
        UDEV_LOST,    /* events were lost (ENOBUFS): read everything again; address is NULL */
} UdevChange;

/* address: the PCI function, taken from the last PCI address in the event's device path. The handler must not free
 * the monitor. */
typedef void (*udev_monitor_handler_t)(UdevChange change, const char *address, void *userdata);

int udev_monitor_new_for(sd_event *event, udev_monitor_handler_t handler, void *userdata, UdevMonitor **ret);
UdevMonitor *udev_monitor_free(UdevMonitor *m);
DEFINE_CLEANUP(UdevMonitor *, udev_monitor_free);

/* What one event means. False for events that name no PCI function ("/devices/virtual/vfio/7"); NULL arguments are
 * allowed. Pure; here for the tests. */
bool udev_event_reduce(const char *subsystem, const char *action, const char *devpath, UdevChange *ret_change,
                       char ret_address[static PCI_ADDRESS_MAX]);
