/* SPDX-License-Identifier: GPL-2.0-or-later */

/* test-udev-monitor: what an event means. How events arrive is tested on the simulated machine. */

#include "udev-monitor.h"

#include <glib.h>

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
                { "sound", "remove", "/devices/pci0000:00/0000:00:01.0/0000:01:00.1/sound/card1/controlC1", true, UDEV_CHANGED, "0000:01:00.1" },
                { "vfio-dev", "add", GPU "/vfio-dev/vfio0", true, UDEV_CHANGED, "0000:01:00.0" },
                /* A domain of more than four digits (Intel VMD). */
                { "pci", "add", "/devices/pci0000:00/0000:00:0e.0/pci10000:e0/10000:e0:06.0/10000:e1:00.0", true, UDEV_ADDED, "10000:e1:00.0" },
                /* A USB headset below the card's USB controller concerns that controller. */
                { "sound", "add", "/devices/pci0000:00/0000:00:01.0/0000:01:00.2/usb3/3-1/3-1:1.0/sound/card2", true, UDEV_CHANGED, "0000:01:00.2" },
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
                g_assert_cmpint(udev_event_reduce(cases[i].subsystem, cases[i].action, cases[i].devpath, &change, address),
                                ==, cases[i].relevant);
                if (cases[i].relevant) {
                        g_assert_cmpint(change, ==, cases[i].change);
                        g_assert_cmpstr(address, ==, cases[i].address);
                }
        }
}

static void on_change(UdevChange change, const char *address, void *userdata) {
}

static void test_new(void) {
        UdevMonitor *m = NULL;
        sd_event *event = NULL;

        g_assert_cmpint(sd_event_new(&event), >=, 0);
        g_assert_cmpint(udev_monitor_new_for(event, on_change, NULL, &m), ==, 0);
        g_assert_null(udev_monitor_free(m));
        sd_event_unref(event);
}

int main(int argc, char *argv[]) {
        g_test_init(&argc, &argv, NULL);
        g_test_add_func("/udev-monitor/reduce", test_reduce);
        g_test_add_func("/udev-monitor/new", test_new);
        return g_test_run();
}
