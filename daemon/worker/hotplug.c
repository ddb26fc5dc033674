/* SPDX-License-Identifier: GPL-2.0-or-later */

/* hotplug: `remove` and `rescan`. Both run under one lock of the whole PCI core (drivers/pci/probe.c
 * pci_lock_rescan_remove()): one that hangs in a driver blocks every other one on the host. So nothing is removed here
 * that has a driver, but where a VM is to be asked that way. */

#include "worker/hotplug.h"

#include "dbus/names.h"
#include "util/fs.h"
#include "worker/pci.h"
#include "worker/protocol.h"

#define GONE_TIMEOUT_SEC 10U
#define RESCAN_TIMEOUT_SEC 3U
/* Bridges below bridges that are looked into. */
#define DEPTH_MAX 8U
/* The driver of ports, which comes and goes with them, and whose remove() waits for nobody. */
#define PORT_DRIVER "pcieport"

/* The function at dir_fd and all below it. The kernel would unbind them one after the other, with its lock held. */
static int check_driverless(Work *w, int dir_fd, const char *address, unsigned depth) {
        _cleanup_free_ char *driver = NULL;
        _cleanup_closedir_ DIR *dir = NULL;
        int r = 0;

        if (readlink_base_at(dir_fd, "driver", &driver) >= 0 && !streq(driver, PORT_DRIVER))
                return work_fail(w, -EBUSY, "removing %s while %s is bound to %s", w->target, address, driver);
        if (depth == 0)
                return work_fail(w, -ELOOP, "there are too many bridges below %s", w->target);
        dir = open_directory_at(dir_fd, ".");
        for (struct dirent *e; r >= 0 && dir && (e = readdir(dir));) {
                _cleanup_close_ int fd = -EBADF;

                if (!pci_address_valid(e->d_name))
                        continue;
                fd = openat(dir_fd, e->d_name, O_PATH | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
                if (fd >= 0)
                        r = check_driverless(w, fd, e->d_name, depth - 1);
        }
        return r;
}

static int wait_gone(Work *w, const PciDevice *d) {
        uint64_t deadline = monotonic_usec() + (uint64_t) GONE_TIMEOUT_SEC * USEC_PER_SEC;

        while (!pci_device_gone(d))
                if (!wait_a_moment(deadline))
                        return work_fail(w, -EBUSY, "%s is still there after its removal", d->address);
        return 0;
}

/* The file goes before the function does (drivers/pci/pci-sysfs.c remove_store(), device_remove_file_self()): without
 * it somebody else is removing the function right now. */
static int remove_device(Work *w, const PciDevice *d) {
        int r;

        r = pci_device_write(w, d, "remove", "1");
        if (r == -ENODEV)
                return work_forgive(w);
        return r < 0 && r != -ENOENT ? r : wait_gone(w, d);
}

int verb_remove(Work *w) {
        _cleanup_(pci_device_done) PciDevice d = PCI_DEVICE_INIT;
        int r;

        r = pci_device_open(w, w->target, &d);
        if (r == -ENODEV)
                return work_forgive(w);
        if (r >= 0)
                r = check_driverless(w, d.fd, d.address, DEPTH_MAX);
        return r < 0 ? r : remove_device(w, &d);
}

/* The remove() of vfio-pci asks whoever has the function open every ten seconds, and returns when he has let go
 * (drivers/vfio/vfio_main.c vfio_unregister_group_dev()). */
int verb_eject(Work *w) {
        _cleanup_(pci_device_done) PciDevice d = PCI_DEVICE_INIT;
        int r;

        r = pci_device_open(w, w->target, &d);
        if (r == -ENODEV)
                return work_forgive(w);
        return r < 0 ? r : remove_device(w, &d);
}

/* "0000:01" is a bus if "0000:01:00.0" is an address. */
static bool bus_valid(const char *bus) {
        char address[PCI_ADDRESS_MAX];

        return snprintf(address, sizeof(address), "%s:00.0", bus) < (int) sizeof(address) &&
               pci_address_valid(address);
}

/* The missing ones in one sentence; NULL if all are there. Newly allocated. */
static char *list_missing(char *const *addresses) {
        char *text = NULL;
        size_t size, n = 0;
        FILE *f;

        f = open_memstream(&text, &size);
        if (!f)
                return NULL;
        for (char *const *a = addresses; *a; a++)
                if (!pci_function_exists(*a))
                        fprintf(f, "%s%s", n++ > 0 ? ", " : "", *a);
        if (fclose(f) != 0 || n == 0) {
                free(text);
                return NULL;
        }
        return text;
}

/* The bus is scanned when the write returns; what is below a bridge whose link comes up late follows by hotplug. */
static int wait_present(Work *w) {
        uint64_t deadline = monotonic_usec() + (uint64_t) RESCAN_TIMEOUT_SEC * USEC_PER_SEC;

        for (;;) {
                _cleanup_free_ char *missing = list_missing(w->arguments);

                if (!missing)
                        return 0;
                if (!wait_a_moment(deadline))
                        return work_fail(w, -ENODEV, "the scan of bus %s has not found %s", w->target, missing);
        }
}

int verb_rescan(Work *w) {
        char path[STRLEN("/sys/class/pci_bus//rescan") + PCI_ADDRESS_MAX];
        int r;

        if (!bus_valid(w->target))
                return work_fail(w, -EINVAL, "'%s' is not a PCI bus", w->target);
        for (size_t i = 0; i < w->n; i++)
                if (!pci_address_valid(w->arguments[i]))
                        return work_fail(w, -EINVAL, "'%s' is not the address of a PCI function", w->arguments[i]);
        (void) snprintf(path, sizeof(path), "/sys/class/pci_bus/%.15s/rescan", w->target);
        r = write_attribute_at(AT_FDCWD, path, "1");
        if (r == -ENOENT)
                return work_fail(w, -ENODEV, "there is no PCI bus %s", w->target);
        return r < 0 ? work_fail(w, r, "looking for devices on bus %s", w->target) : wait_present(w);
}

/* Read by udev: 79-gpuptd.rules. */
int verb_keep(Work *w) {
        const char *run_dir = secure_getenv(ENV_RUN_DIR) ?: GPUPT_RUN_DIR, *driver = w->arguments[0];
        char path[4096], address[PCI_ADDRESS_MAX], line[128];
        PciAddress a;
        int r;

        if (pci_address_parse(w->target, &a) < 0)
                return work_fail(w, -EINVAL, "'%s' is not the address of a PCI function", w->target);
        if (*driver && !name_valid(driver))
                return work_fail(w, -EINVAL, "'%s' is not the name of a driver", driver);
        if (snprintf(path, sizeof(path), "%s/keep-%s", run_dir, pci_address_format(&a, address)) >= (int) sizeof(path))
                return work_fail(w, -ENAMETOOLONG, "keeping %s", address);
        if (*driver) {
                (void) snprintf(line, sizeof(line), "GPUPT_OVERRIDE=%s\n", driver);
                r = write_file_atomic(path, line, strlen(line));
        } else {
                r = RET_NERRNO(unlink(path));
                if (r == -ENOENT)
                        r = 0;
        }
        return r < 0 ? work_fail(w, r, "writing %s", path) : 0;
}
