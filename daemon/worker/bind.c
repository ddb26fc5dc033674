/* SPDX-License-Identifier: GPL-2.0-or-later */

/* bind: writes to the driver core. A write that returns has happened (drivers/base/bus.c unbind_store() waits for the
 * end of remove()), but not every write that returns has had an effect, so each is read back. Any of them may block for
 * as long as a driver likes. */

#include "worker/bind.h"

#include <sys/stat.h>

#include "dbus/names.h"
#include "util/fs.h"
#include "worker/pci.h"

#define DRIVERS_PROBE "/sys/bus/pci/drivers_probe"
/* What an override reads as while there is none: the kernel prints a NULL (drivers/pci/pci-sysfs.c
 * driver_override_show()). */
#define NO_OVERRIDE "(null)"

static int check_driver_name(Work *w, const char *driver) {
        return name_valid(driver) ? 0 : work_fail(w, -EINVAL, "'%s' is not the name of a driver", driver);
}

static void answer_saved(Work *w, const PciDevice *d, const char *key, const char *value) {
        words_write(w->answer, "saved", d->address, key, value, NULL);
}

/* Answers nothing if this function has no such attribute. */
static int save_attribute(Work *w, const PciDevice *d, const char *key, const char *attribute) {
        _cleanup_free_ char *value = NULL;
        int r;

        r = pci_device_read(w, d, attribute, &value);
        if (r == -ENOENT)
                return 0;
        if (r < 0)
                return r;
        answer_saved(w, d, key, streq(value, NO_OVERRIDE) ? "" : value);
        return 0;
}

static int save_one(Work *w, const char *address) {
        static const char *const attributes[][2] = {
                { "override", "driver_override" },
                { "power-control", "power/control" },
                { "d3cold", "d3cold_allowed" },
                { "reset-method", "reset_method" },
        };
        _cleanup_(pci_device_done) PciDevice d = PCI_DEVICE_INIT;
        _cleanup_free_ char *driver = NULL;
        int r;

        r = pci_device_open(w, address, &d);
        if (r < 0)
                return r;
        r = pci_device_driver(w, &d, &driver);
        if (r < 0)
                return r;
        answer_saved(w, &d, "driver", strempty(driver));
        for (size_t i = 0; i < ELEMENTSOF(attributes); i++) {
                r = save_attribute(w, &d, attributes[i][0], attributes[i][1]);
                if (r < 0)
                        return r;
        }
        return 0;
}

int verb_save(Work *w) {
        int r;

        r = save_one(w, w->target);
        for (size_t i = 0; i < w->n && r >= 0; i++)
                r = save_one(w, w->arguments[i]);
        return r;
}

static bool answer_node(Work *w, const PciDevice *d, const char *directory, const char *name) {
        char path[256];
        struct stat st;

        (void) snprintf(path, sizeof(path), "%s/%.128s", directory, name);
        /* Not access(): for a device node even F_OK asks the device policy of the service, which says EPERM (kernel,
         * include/linux/device_cgroup.h devcgroup_inode_permission()). */
        if (stat(path, &st) < 0)
                return false;
        words_write(w->answer, "node", d->address, path, NULL);
        return true;
}

/* A VFIO driver is of use only with a node: the group's, the function's own, or both. */
static int verify_nodes(Work *w, const PciDevice *d) {
        _cleanup_free_ char *group = NULL;
        _cleanup_closedir_ DIR *dir = NULL;
        bool found = false;

        if (readlink_base_at(d->fd, "iommu_group", &group) >= 0)
                found = answer_node(w, d, "/dev/vfio", group);
        dir = open_directory_at(d->fd, "vfio-dev");
        for (struct dirent *e; dir && (e = readdir(dir));)
                if (e->d_name[0] != '.')
                        found = answer_node(w, d, "/dev/vfio/devices", e->d_name) || found;
        return found ? 0 : work_fail(w, -ENOENT, "%s has no node under /dev/vfio", d->address);
}

static int verify_one(Work *w, const char *address, const char *expected) {
        _cleanup_(pci_device_done) PciDevice d = PCI_DEVICE_INIT;
        _cleanup_free_ char *driver = NULL;
        int r;

        if (*expected) {
                r = check_driver_name(w, expected);
                if (r < 0)
                        return r;
        }
        r = pci_device_open(w, address, &d);
        if (r < 0)
                return r;
        r = pci_device_driver(w, &d, &driver);
        if (r < 0)
                return r;
        if (!streq(strempty(driver), expected))
                return work_fail(w, -ESTALE, "%s is bound to %s, not to %s", d.address, driver ?: "no driver",
                                 *expected ? expected : "no driver");
        return driver_is_vfio(driver) ? verify_nodes(w, &d) : 0;
}

int verb_verify(Work *w) {
        int r;

        r = verify_one(w, w->target, w->arguments[0]);
        for (size_t i = 1; i + 1 < w->n && r >= 0; i += 2)
                r = verify_one(w, w->arguments[i], w->arguments[i + 1]);
        return r;
}

static int open_module(const char *name, int *ret) {
        char path[STRLEN("/sys/module/") + 65];
        int fd;

        (void) snprintf(path, sizeof(path), "/sys/module/%.64s", name);
        for (char *c = path; *c; c++)
                if (*c == '-') /* as the kernel does: include/linux/kernel.h KBUILD_MODNAME */
                        *c = '_';
        fd = RET_NERRNO(open(path, O_RDONLY | O_DIRECTORY | O_CLOEXEC));
        if (fd < 0)
                return fd;
        *ret = fd;
        return 0;
}

/* Answers who uses the module, by module names; those that userspace has open are only in the count. */
static int answer_module(Work *w, int fd, const char *name) {
        const char *words[WORDS_MAX + 1] = { "module", name };
        _cleanup_strv_free_ char **holders = NULL;
        _cleanup_free_ char *count = NULL;
        _cleanup_closedir_ DIR *dir = NULL;

        if (read_line_at(fd, "refcnt", &count) < 0)
                count = NULL; /* without CONFIG_MODULE_UNLOAD */
        words[2] = count ?: "0";
        dir = open_directory_at(fd, "holders");
        for (struct dirent *e; dir && (e = readdir(dir));)
                if (e->d_name[0] != '.' && strv_extend(&holders, e->d_name) < 0)
                        return -ENOMEM;
        for (size_t i = 0; i < MIN(strv_length(holders), ELEMENTSOF(words) - 4); i++)
                words[3 + i] = holders[i];
        words_writev(w->answer, words);
        return 0;
}

static int check_module_one(Work *w, const char *name) {
        _cleanup_close_ int fd = -EBADF;
        int r;

        if (!name_valid(name))
                return work_fail(w, -EINVAL, "'%s' is not the name of a module", name);
        r = open_module(name, &fd);
        if (r == -ENOENT)
                return 0;
        if (r < 0)
                return work_fail(w, r, "looking for module %s", name);
        /* A built-in one has a directory too, without this file. */
        if (faccessat(fd, "initstate", F_OK, 0) < 0)
                return 0;
        r = answer_module(w, fd, name);
        return r < 0 ? r : work_fail(w, -EBUSY, "module %s is loaded", name);
}

/* All are looked at before the verdict, so that the answer names every one that is left. */
int verb_check_module(Work *w) {
        int r, k;

        r = check_module_one(w, w->target);
        for (size_t i = 0; i < w->n; i++) {
                k = check_module_one(w, w->arguments[i]);
                if (r >= 0)
                        r = k;
        }
        return r;
}

static int driver_path(Work *w, const char *driver, const char *file, char *buf, size_t size) {
        int r;

        r = check_driver_name(w, driver);
        if (r < 0)
                return r;
        (void) snprintf(buf, size, SYSFS_PCI_DRIVERS "/%s/%s", driver, file);
        return 0;
}

int verb_check_driver(Work *w) {
        char path[128];
        int r;

        r = driver_path(w, w->target, "", path, sizeof(path));
        if (r < 0)
                return r;
        if (access(path, F_OK) < 0)
                return work_fail(w, errno == ENOENT ? -ENOPKG : -errno, "looking for the PCI driver %s", w->target);
        return 0;
}

/* "" and a newline both clear it; the latter is also a write of more than nothing. Read back, since the kernel takes
 * any string. */
static int set_override(Work *w, const PciDevice *d, const char *driver) {
        _cleanup_free_ char *now = NULL;
        const char *value;
        int r;

        r = pci_device_write(w, d, "driver_override", *driver ? driver : "\n");
        if (r >= 0)
                r = pci_device_read(w, d, "driver_override", &now);
        if (r < 0)
                return work_fail(w, r, "setting driver_override of %s", d->address);
        value = streq(now, NO_OVERRIDE) ? "" : now;
        if (!streq(value, driver))
                return work_fail(w, -EIO, "driver_override of %s reads '%s' after '%s' was written", d->address, value,
                                 driver);
        return 0;
}

int verb_override(Work *w) {
        _cleanup_(pci_device_done) PciDevice d = PCI_DEVICE_INIT;
        const char *driver = w->arguments[0];
        int r;

        if (*driver) {
                r = check_driver_name(w, driver);
                if (r < 0)
                        return r;
        }
        r = pci_device_open(w, w->target, &d);
        return r < 0 ? r : set_override(w, &d, driver);
}

static int unbind_device(Work *w, const PciDevice *d, const char *from) {
        _cleanup_free_ char *after = NULL;
        char path[128];
        int r, written;

        r = driver_path(w, from, "unbind", path, sizeof(path));
        if (r < 0)
                return r;
        written = write_attribute_at(AT_FDCWD, path, d->address);
        r = pci_device_driver(w, d, &after);
        if (r < 0)
                return r;
        if (!streq_ptr(after, from))
                return 0;
        return work_fail(w, written < 0 ? written : -EIO, "unbinding %s from %s", d->address, from);
}

int verb_unbind(Work *w) {
        _cleanup_(pci_device_done) PciDevice d = PCI_DEVICE_INIT;
        _cleanup_free_ char *driver = NULL;
        const char *from = w->arguments[0];
        int r;

        r = check_driver_name(w, from);
        if (r >= 0)
                r = pci_device_open(w, w->target, &d);
        if (r >= 0)
                r = pci_device_driver(w, &d, &driver);
        if (r <= 0)
                return r;
        if (!streq(driver, from))
                return work_fail(w, -ESTALE, "%s is bound to %s, not to %s", d.address, driver, from);
        return unbind_device(w, &d, from);
}

/* bind_store() answers with the errno of the probe, drivers_probe does not: drivers/base/bus.c. */
static int bind_device(Work *w, const PciDevice *d, const char *to) {
        _cleanup_free_ char *driver = NULL, *after = NULL;
        char path[128];
        int r, written;

        r = driver_path(w, to, "bind", path, sizeof(path));
        if (r < 0)
                return r;
        r = pci_device_driver(w, d, &driver);
        if (r < 0)
                return r;
        if (r > 0)
                return streq(driver, to) ? 0 :
                                           work_fail(w, -EBUSY, "binding %s to %s while it is bound to %s", d->address,
                                                     to, driver);

        written = write_attribute_at(AT_FDCWD, path, d->address);
        if (written == -ENOENT)
                return work_fail(w, -ENOPKG, "binding %s: there is no PCI driver %s", d->address, to);
        r = pci_device_driver(w, d, &after);
        if (r < 0)
                return r;
        if (streq_ptr(after, to))
                return 0;
        if (written == -EAGAIN) /* EPROBE_DEFER: drivers/base/dd.c device_driver_attach() */
                return work_fail(w, -ENODEV, "binding %s to %s: the driver is not ready for it yet", d->address, to);
        return work_fail(w, written < 0 ? written : -ENODEV, "binding %s to %s", d->address, to);
}

int verb_bind(Work *w) {
        _cleanup_(pci_device_done) PciDevice d = PCI_DEVICE_INIT;
        int r;

        r = pci_device_open(w, w->target, &d);
        return r < 0 ? r : bind_device(w, &d, w->arguments[0]);
}

/* A module that was loaded while the function had no driver has taken it (drivers/base/bus.c bus_add_driver()), and no step
 * has a name for that. */
int verb_rebind(Work *w) {
        _cleanup_(pci_device_done) PciDevice d = PCI_DEVICE_INIT;
        _cleanup_free_ char *driver = NULL;
        const char *to = w->arguments[0];
        int r;

        r = check_driver_name(w, to);
        if (r >= 0)
                r = pci_device_open(w, w->target, &d);
        if (r >= 0)
                r = set_override(w, &d, to);
        if (r >= 0)
                r = pci_device_driver(w, &d, &driver);
        if (r > 0 && !streq(driver, to))
                r = unbind_device(w, &d, driver);
        return r < 0 ? r : bind_device(w, &d, to);
}

/* drivers_probe succeeds whether or not a driver was found, and swallows what its probe said (drivers/base/dd.c
 * __device_attach_driver()); so the answer is the link. */
int verb_probe(Work *w) {
        _cleanup_(pci_device_done) PciDevice d = PCI_DEVICE_INIT;
        _cleanup_free_ char *driver = NULL;
        int r;

        r = pci_device_open(w, w->target, &d);
        if (r >= 0)
                r = set_override(w, &d, "");
        if (r >= 0)
                r = pci_device_driver(w, &d, &driver);
        if (r < 0)
                return r;
        if (r == 0) {
                r = write_attribute_at(AT_FDCWD, DRIVERS_PROBE, d.address);
                if (r < 0)
                        return work_fail(w, r, "asking the kernel for a driver for %s", d.address);
                r = pci_device_driver(w, &d, &driver);
                if (r < 0)
                        return r;
        }
        words_write(w->answer, "driver", strempty(driver), NULL);
        return 0;
}

static bool has_drm_node(const PciDevice *d) {
        _cleanup_closedir_ DIR *dir = NULL;

        dir = open_directory_at(d->fd, "drm");
        for (struct dirent *e; dir && (e = readdir(dir));)
                if (numbered_name_valid(e->d_name, "card") || numbered_name_valid(e->d_name, "renderD"))
                        return true;
        return false;
}

static int parse_limit(Work *w, uint64_t *ret_deadline) {
        uint64_t seconds;

        if (parse_u64(w->arguments[0], 60, &seconds) < 0)
                return work_fail(w, -EINVAL, "'%s' is not a time of at most 60 s", w->arguments[0]);
        *ret_deadline = monotonic_usec() + seconds * USEC_PER_SEC;
        return 0;
}

int verb_wait_drm(Work *w) {
        _cleanup_(pci_device_done) PciDevice d = PCI_DEVICE_INIT;
        uint64_t deadline;
        int r;

        r = parse_limit(w, &deadline);
        if (r >= 0)
                r = pci_device_open(w, w->target, &d);
        if (r < 0)
                return r;
        while (!has_drm_node(&d)) {
                _cleanup_free_ char *driver = NULL;

                r = pci_device_driver(w, &d, &driver);
                if (r < 0)
                        return r;
                if (!wait_a_moment(deadline))
                        return work_fail(w, -ETIMEDOUT, "waiting for the DRM node of %s", d.address);
        }
        return 0;
}

/* The cached state: to have it probed anew is the driver's business (drivers/gpu/drm/drm_sysfs.c status_show()). */
static bool has_screen(const PciDevice *d, const char *connector) {
        _cleanup_closedir_ DIR *dir = open_directory_at(d->fd, "drm");

        for (struct dirent *e; dir && (e = readdir(dir));) {
                _cleanup_free_ char *status = NULL;
                char path[3 * NAME_MAX];

                if (!startswith(e->d_name, "card"))
                        continue;
                (void) snprintf(path, sizeof(path), "%s/%s-%s/status", e->d_name, e->d_name, connector);
                if (read_line_at(dirfd(dir), path, &status) >= 0 && streq(status, "connected"))
                        return true;
        }
        return false;
}

int verb_wait_screen(Work *w) {
        _cleanup_(pci_device_done) PciDevice d = PCI_DEVICE_INIT;
        uint64_t deadline;
        int r;

        r = parse_limit(w, &deadline);
        for (size_t i = 1; i < w->n && r >= 0; i++)
                if (!name_valid(w->arguments[i]))
                        r = work_fail(w, -EINVAL, "'%s' is not the name of a connector", w->arguments[i]);
        if (r >= 0)
                r = pci_device_open(w, w->target, &d);
        if (r < 0)
                return r;
        do {
                for (size_t i = 1; i < w->n; i++)
                        if (has_screen(&d, w->arguments[i]))
                                return 0;
        } while (wait_a_moment(deadline));
        return work_fail(w, -ETIMEDOUT, "waiting for a screen on %s", d.address);
}
