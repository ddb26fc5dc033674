/* SPDX-License-Identifier: GPL-2.0-or-later */

/* pci: the only room that knows where sysfs has the PCI functions, and the only one that uses libpci. The scan costs a
 * handful of system calls per function, since a host may have thousands of them (SR-IOV) and it is done at every
 * start. */

#include "worker/pci.h"

#include <pci/pci.h>
#include <setjmp.h>

#include "dbus/names.h"
#include "util/fs.h"

void pci_device_done(PciDevice *d) {
        d->fd = safe_close(d->fd);
}

int pci_device_open(Work *w, const char *address, PciDevice *ret) {
        char path[STRLEN(SYSFS_PCI_DEVICES "/") + PCI_ADDRESS_MAX];
        PciDevice d = PCI_DEVICE_INIT;
        PciAddress a;

        if (pci_address_parse(address, &a) < 0)
                return work_fail(w, -EINVAL, "'%s' is not the address of a PCI function", address);
        (void) pci_address_format(&a, d.address);
        (void) snprintf(path, sizeof(path), SYSFS_PCI_DEVICES "/%s", d.address);
        d.fd = RET_NERRNO(open(path, O_PATH | O_DIRECTORY | O_CLOEXEC));
        if (d.fd == -ENOENT)
                return work_fail(w, -ENODEV, "there is no PCI function %s", d.address);
        if (d.fd < 0)
                return work_fail(w, d.fd, "opening %s", path);
        *ret = d;
        return 0;
}

/* A removed function answers -ENOENT for its attributes: the directory has gone from under the fd. */
bool pci_device_gone(const PciDevice *d) {
        return faccessat(d->fd, "modalias", F_OK, 0) < 0;
}

bool pci_function_exists(const char *address) {
        char path[STRLEN(SYSFS_PCI_DEVICES "/") + PCI_ADDRESS_MAX];

        (void) snprintf(path, sizeof(path), SYSFS_PCI_DEVICES "/%.19s", address);
        return access(path, F_OK) >= 0;
}

int pci_device_read(Work *w, const PciDevice *d, const char *attribute, char **ret) {
        int r;

        r = read_line_at(d->fd, attribute, ret);
        if (r >= 0)
                return r;
        if (pci_device_gone(d))
                return work_fail(w, -ENODEV, "reading %s of %s", attribute, d->address);
        return r == -ENOENT ? r : work_fail(w, r, "reading %s of %s", attribute, d->address);
}

int pci_device_write(Work *w, const PciDevice *d, const char *attribute, const char *value) {
        size_t n = strcspn(value, "\n");
        int r;

        r = write_attribute_at(d->fd, attribute, value);
        if (r >= 0)
                return r;
        if (r == -ENOENT && !pci_device_gone(d))
                return r;
        return work_fail(w, pci_device_gone(d) ? -ENODEV : r, "writing '%.*s' to %s of %s", (int) n, value, attribute,
                         d->address);
}

int pci_device_driver(Work *w, const PciDevice *d, char **ret) {
        int r;

        r = readlink_base_at(d->fd, "driver", ret);
        if (r >= 0)
                return 1;
        if (pci_device_gone(d))
                return work_fail(w, -ENODEV, "reading the driver of %s", d->address);
        return r == -ENOENT ? 0 : work_fail(w, r, "reading the driver of %s", d->address);
}

/* "pci:v000010DEd00001B80sv00001043sd000085AAbc03sc00i00": all the ids for one read. drivers/pci/pci-sysfs.c
 * modalias_show(). */
static int parse_modalias(const char *s, Function *f) {
        unsigned v, d, sv, sd, base, sub, interface;

        if (sscanf(s, "pci:v%8xd%8xsv%8xsd%8xbc%2xsc%2xi%2x", &v, &d, &sv, &sd, &base, &sub, &interface) != 7)
                return -EBADMSG;
        f->vendor = (uint16_t) v;
        f->device = (uint16_t) d;
        f->subsystem_vendor = (uint16_t) sv;
        f->subsystem_device = (uint16_t) sd;
        f->class = base << 16 | sub << 8 | interface;
        return 0;
}

/* "../../../devices/pci0000:00/0000:00:01.0/0000:01:00.0" names every bridge on the way. A host bridge ("pci10000:e0",
 * also the one that a VMD endpoint makes) begins anew. */
static int parse_bridges(char *target, Function *f) {
        char *upwards[32], *save = NULL;
        size_t n = 0;

        for (char *c = strtok_r(target, "/", &save); c; c = strtok_r(NULL, "/", &save))
                if (!pci_address_valid(c))
                        n = 0;
                else if (n < ELEMENTSOF(upwards))
                        upwards[n++] = c;
        if (n < 2)
                return 0;
        f->bridges = calloc(n, sizeof(char *));
        if (!f->bridges)
                return -ENOMEM;
        /* The last one is the function itself. */
        for (size_t i = 0; i + 1 < n; i++) {
                f->bridges[i] = strdup(upwards[n - 2 - i]);
                if (!f->bridges[i])
                        return -ENOMEM;
        }
        return 0;
}

/* The whole of a link's target; 0 bytes if there is none. */
static size_t read_link(int dir_fd, const char *name, char *buf, size_t size) {
        ssize_t k = readlinkat(dir_fd, name, buf, size - 1);

        buf[MAX(k, (ssize_t) 0)] = '\0';
        return (size_t) MAX(k, (ssize_t) 0);
}

/* Reads modalias with one read(2), not through read_line_at(): this is most of what an inventory costs. */
static int read_modalias(int fd, Function *f) {
        _cleanup_close_ int file = -EBADF;
        char buf[128];
        ssize_t k;

        file = RET_NERRNO(openat(fd, "modalias", O_RDONLY | O_CLOEXEC));
        if (file < 0)
                return file;
        k = read(file, buf, sizeof(buf) - 1);
        if (k < 0)
                return -errno;
        buf[k] = '\0';
        return parse_modalias(buf, f);
}

/* -ENODEV if the function vanishes meanwhile. */
static int scan_function(int devices_fd, Function *f) {
        _cleanup_close_ int fd = -EBADF;
        char target[4096];
        const char *base;
        uint64_t group;

        if (read_link(devices_fd, f->address, target, sizeof(target)) == 0)
                return -ENODEV;
        fd = openat(devices_fd, target, O_PATH | O_DIRECTORY | O_CLOEXEC);
        if (fd < 0 || read_modalias(fd, f) < 0)
                return -ENODEV;
        if (parse_bridges(target, f) < 0)
                return -ENOMEM;

        if (read_link(fd, "driver", target, sizeof(target)) > 0) {
                base = strrchr(target, '/');
                f->driver = strdup(base ? base + 1 : target);
                if (!f->driver)
                        return -ENOMEM;
        }
        if (read_link(fd, "iommu_group", target, sizeof(target)) > 0) {
                base = strrchr(target, '/');
                if (parse_u64(base ? base + 1 : target, INT32_MAX, &group) >= 0)
                        f->group = (int) group;
        }
        return 0;
}

static int compare_addresses(const void *a, const void *b) {
        return pci_address_compare(a, b);
}

/* The addresses of all functions, in order, so that each is appended to the snapshot. */
static int list_functions(DIR *dir, PciAddress **ret, size_t *ret_n) {
        _cleanup_free_ PciAddress *list = NULL;
        size_t n = 0, allocated = 0;

        for (struct dirent *e; (e = readdir(dir));) {
                if (n == allocated) {
                        PciAddress *bigger = reallocarray(list, allocated * 2 + 64, sizeof(PciAddress));

                        if (!bigger)
                                return -ENOMEM;
                        list = bigger;
                        allocated = allocated * 2 + 64;
                }
                if (pci_address_parse(e->d_name, list + n) >= 0)
                        n++;
        }
        if (n > 0)
                qsort(list, n, sizeof(PciAddress), compare_addresses);
        *ret = TAKE_PTR(list);
        *ret_n = n;
        return 0;
}

static int parse_list(char *const *addresses, PciAddress **ret, size_t *ret_n) {
        PciAddress *list;
        size_t n = 0;

        list = calloc(strv_length(addresses) + 1, sizeof(PciAddress));
        if (!list)
                return -ENOMEM;
        for (char *const *a = addresses; *a; a++)
                if (pci_address_parse(*a, list + n) >= 0)
                        n++;
        qsort(list, n, sizeof(PciAddress), compare_addresses);
        *ret = list;
        *ret_n = n;
        return 0;
}

int pci_scan(Snapshot *s, char *const *addresses) {
        _cleanup_free_ PciAddress *list = NULL;
        _cleanup_closedir_ DIR *dir = NULL;
        size_t n;
        int r;

        dir = opendir(SYSFS_PCI_DEVICES);
        if (!dir)
                return errno == ENOENT ? 0 : -errno; /* a host without PCI */
        r = addresses ? parse_list(addresses, &list, &n) : list_functions(dir, &list, &n);
        if (r < 0)
                return r;
        for (size_t i = 0; i < n; i++) {
                char address[PCI_ADDRESS_MAX];
                Function *f;

                if (i > 0 && pci_address_compare(list + i, list + i - 1) == 0)
                        continue;
                f = snapshot_add_function(s, pci_address_format(list + i, address));
                if (!f)
                        return -ENOMEM;
                r = scan_function(dirfd(dir), f);
                if (r == -ENODEV) {
                        s->n_functions--; /* it was the last, and owns nothing yet */
                        continue;
                }
                if (r < 0)
                        return r;
        }
        return 0;
}

int pci_scan_drivers(Snapshot *s) {
        _cleanup_closedir_ DIR *dir = NULL;
        int r;

        dir = opendir(SYSFS_PCI_DRIVERS);
        if (!dir)
                return errno == ENOENT ? 0 : -errno;
        for (struct dirent *e; (e = readdir(dir));) {
                char path[sizeof(e->d_name) + STRLEN("/module")], target[4096];
                const char *base;

                if (e->d_name[0] == '.')
                        continue;
                (void) snprintf(path, sizeof(path), "%s/module", e->d_name);
                base = read_link(dirfd(dir), path, target, sizeof(target)) > 0 ? strrchr(target, '/') : NULL;
                r = snapshot_add_driver(s, e->d_name, base ? base + 1 : NULL);
                if (r < 0)
                        return r;
        }
        return 0;
}

/* libpci's own handlers write to stderr, and the one for errors (a damaged pci.ids) ends the process. A missing name is
 * no reason for either. */
static jmp_buf names_failed;

static void ignore_message(char *message, ...) {
}

_Noreturn static void leave_names(char *message, ...) {
        longjmp(names_failed, 1);
}

static int look_up_names(Snapshot *s, struct pci_access *access) {
        char name[256];

        if (setjmp(names_failed) != 0)
                return 0;
        for (size_t i = 0; i < s->n_functions; i++) {
                Function *f = s->functions + i;

                if (f->detailed &&
                    pci_lookup_name(access, name, sizeof(name), PCI_LOOKUP_VENDOR | PCI_LOOKUP_DEVICE, f->vendor,
                                    f->device) &&
                    free_and_strdup(&f->name, name) < 0)
                        return -ENOMEM;
        }
        return 0;
}

int pci_scan_names(Snapshot *s) {
        struct pci_access *access;
        int r;

        /* pci_init() would look for a way to config space, which names do not need. */
        access = pci_alloc();
        access->error = leave_names;
        access->warning = access->debug = ignore_message;
        r = look_up_names(s, access);
        pci_cleanup(access);
        return r;
}

/* The cached `vendor` file stays right on a dead card, so this reads the config space itself. */
int pci_device_check(Work *w, const PciDevice *d, ConfigSpace *ret) {
        int r;

        r = config_space_read(d->fd, "config", ret);
        if (r < 0)
                return work_fail(w, pci_device_gone(d) ? -ENODEV : r, "reading the config space of %s", d->address);
        if (ret->size < CONFIG_HEADER_SIZE)
                return work_fail(w, -EHOSTDOWN, "only %zu bytes of the config space of %s can be read", ret->size,
                                 d->address);
        if (config_space_vendor(ret) == UINT16_MAX)
                return work_fail(w, -EHOSTDOWN, "the config space of %s reads all ones", d->address);
        if (config_space_is_dead(ret))
                return work_fail(w, -EHOSTDOWN, "the config space of %s has header type 7f", d->address);
        return 0;
}

static int check_one(Work *w, const char *address) {
        _cleanup_(pci_device_done) PciDevice d = PCI_DEVICE_INIT;
        ConfigSpace c;
        int r;

        r = pci_device_open(w, address, &d);
        return r < 0 ? r : pci_device_check(w, &d, &c);
}

int verb_check(Work *w) {
        int r;

        r = check_one(w, w->target);
        for (size_t i = 0; i < w->n && r >= 0; i++)
                r = check_one(w, w->arguments[i]);
        return r;
}
