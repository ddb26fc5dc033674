/* SPDX-License-Identifier: GPL-2.0-or-later */

/* gpuptd-restore: what gpuptd keeps over a boot in /etc, where the daemon's sandbox has no business: which files of Xorg's configuration
 * are in place (`switch`, a step of jobs), and the rules of udev that reserve cards for VFIO (`rules`, and `initramfs` for where they
 * count first). At boot, before the display manager (`boot`), nobody knows any more how the machine went down: then what the hardware
 * says counts. */

#include <stdio.h>

#include "dbus/names.h"
#include "defaults.h"
#include "restore/record.h"
#include "restore/switch.h"
#include "snapshot.h"
#include "util/address.h"
#include "util/fs.h"
#include "worker/protocol.h"

#define DEVICES "/sys/bus/pci/devices"

static int complain(const char *gpu, const char *what, int error) {
        fprintf(stderr, "%s: %s: %s\n", gpu, what, strerror(-error));
        return error;
}

static int switch_files(const XorgRecord *r, bool detached) {
        _cleanup_free_ char *name = NULL;
        int k;

        k = xorg_switch(XORG_DIRECTORY, r->files, detached, &name);
        if (k == -EEXIST)
                fprintf(stderr,
                        "%s: %s is there as itself and with " XORG_AWAY_SUFFIX
                        " behind its name; remove one of them\n",
                        r->gpu, strempty(name));
        else if (k < 0)
                (void) complain(r->gpu, name ?: XORG_DIRECTORY, k);
        return k;
}

/* First the record, then the files; and the other way round on the way back. */
static int apply(const XorgRecord *r, bool detached) {
        int k;

        if (detached) {
                k = xorg_record_store(GPUPT_STATE_DIR, r);
                return k < 0 ? complain(r->gpu, "writing down what will be switched", k) : switch_files(r, true);
        }
        k = switch_files(r, false);
        if (k < 0)
                return k;
        k = xorg_record_remove(GPUPT_STATE_DIR, r->gpu);
        return k < 0 ? complain(r->gpu, "removing the record", k) : 0;
}

/* ADDRESS IDENTITY host|detached FILE… */
static int verb_switch(char **args, size_t n) {
        bool detached = n >= 3 && streq(args[2], "detached");

        if (n < 4 || !pci_address_valid(args[0]) || (!detached && !streq(args[2], "host")))
                return -EINVAL;
        for (char **file = args + 3; *file; file++)
                if (!xorg_file_valid(*file))
                        return -EINVAL;
        return apply(&(XorgRecord) { .gpu = args[0], .identity = args[1], .files = args + 3 }, detached);
}

/* ---- rules of udev ---- */

#define RULES "/etc/udev/rules.d/79-gpuptd-defaults.rules"
#define SEAT_RULES "/etc/udev/rules.d/72-gpuptd-seats.rules"

static int write_file(const Defaults *d, const char *path, size_t n, void (*write)(const Defaults *d, FILE *f)) {
        _cleanup_free_ char *text = NULL;
        size_t size;
        FILE *f;
        int r;

        if (n == 0)
                return unlink(path) < 0 && errno != ENOENT ? complain(path, "removing it", -errno) : 0;
        f = open_memstream(&text, &size);
        if (!f)
                return -ENOMEM;
        write(d, f);
        if (fclose(f) != 0)
                return -ENOMEM;
        r = write_file_atomic(path, text, size);
        return r < 0 ? complain(path, "writing it", r) : 0;
}

static int write_rules(const Defaults *d) {
        int r, k;

        r = write_file(d, RULES, d->n_reserves, defaults_write_rules);
        k = write_file(d, SEAT_RULES, d->n_aparts, defaults_write_seat_rules);
        return r < 0 ? r : k;
}

/* udevd sees by itself that there are other rules. */
static int verb_rules(char **args, size_t n) {
        _cleanup_(defaults_freep) Defaults *d = NULL;
        int r;

        if (n != 0)
                return -EINVAL;
        r = defaults_load(GPUPT_STATE_DIR, &d);
        if (r < 0)
                return complain(GPUPT_STATE_DIR "/defaults", "reading it", r);
        return write_rules(d);
}

/* Drivers in the initramfs are loaded there, long before /etc is. Takes its time. */
static int verb_initramfs(char **args, size_t n) {
        char *argv[] = { secure_getenv(ENV_UPDATE_INITRAMFS) ?: (char *) "/usr/sbin/update-initramfs", (char *) "-u",
                         NULL };

        if (n != 0)
                return -EINVAL;
        if (access(argv[0], X_OK) < 0)
                return 0;
        (void) execv(argv[0], argv);
        return complain(argv[0], "running it", -errno);
}

/* ---- boot ---- */

static bool has_id(int dir_fd, const char *attribute, const char *id) {
        _cleanup_free_ char *line = NULL;

        return read_line_at(dir_fd, attribute, &line) >= 0 && startswith(line, "0x") && strncmp(line + 2, id, 4) == 0;
}

/* Whether that card is at its place, and with VFIO. None of these reads takes a lock (drivers/pci/pci-sysfs.c). */
static int is_detached(const XorgRecord *r, bool *ret) {
        static const char *const attributes[] = { "vendor", "device", "subsystem_vendor", "subsystem_device" };
        _cleanup_free_ char *path = NULL, *driver = NULL;
        _cleanup_close_ int fd = -EBADF;

        if (asprintf(&path, DEVICES "/%s", r->gpu) < 0) {
                path = NULL;
                return -ENOMEM;
        }
        fd = open(path, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
        if (fd < 0)
                return -ENODEV;
        for (size_t i = 0; i < ELEMENTSOF(attributes); i++)
                if (strlen(r->identity) != STRLEN("vvvv:dddd:ssss:ssss") ||
                    !has_id(fd, attributes[i], r->identity + 5 * i))
                        return -ENODEV;
        *ret = readlink_base_at(fd, "driver", &driver) >= 0 && driver_is_vfio(driver);
        return 0;
}

/* A card that is not there is not with the host: a configuration that names it would leave Xorg without a screen. */
static int restore(const char *gpu) {
        _cleanup_(xorg_record_done) XorgRecord r = {};
        bool detached = true;
        int k;

        k = xorg_record_load(GPUPT_STATE_DIR, gpu, &r);
        if (k < 0)
                return complain(gpu, "reading the record in " GPUPT_STATE_DIR, k);
        k = is_detached(&r, &detached);
        if (k == -ENODEV)
                fprintf(stderr, "%s: that card is not there any more; Xorg's files stay as they are without it\n",
                        gpu);
        else if (k < 0)
                return complain(gpu, "looking at the card", k);
        k = apply(&r, detached);
        if (k >= 0)
                printf("%s: Xorg's files are those of a card that is %s\n", gpu,
                       detached ? "detached" : "with the host");
        return k;
}

static int restore_all(void) {
        _cleanup_strv_free_ char **gpus = NULL;
        int result, k;

        result = xorg_record_list(GPUPT_STATE_DIR, &gpus);
        if (result < 0)
                return complain(GPUPT_STATE_DIR, "listing", result);
        for (char **gpu = gpus; gpu && *gpu; gpu++) {
                k = restore(*gpu);
                result = result < 0 ? result : k;
        }
        return result;
}

/* ---- boots that fail ---- */

/* This many that have not come to their end are enough. */
#define BOOTS_MAX 2

/* One function back to whatever driver wants it, before anybody can have opened it. udev has loaded that driver's module, whatever the
 * override said. Should the kernel not return, systemd ends the wait, and the display manager is started. */
static void give_back(const char *function) {
        _cleanup_free_ char *path = NULL, *driver = NULL, *unbind = NULL;
        _cleanup_close_ int fd = -EBADF;
        int r;

        if (asprintf(&path, DEVICES "/%s", function) < 0) {
                path = NULL;
                return;
        }
        fd = open(path, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
        if (fd < 0)
                return;
        r = write_attribute_at(fd, "driver_override", "\n");
        if (r >= 0 && readlink_base_at(fd, "driver", &driver) >= 0 && driver_is_vfio(driver))
                r = write_attribute_at(fd, "driver/unbind", function);
        if (r >= 0)
                r = write_attribute_at(AT_FDCWD, "/sys/bus/pci/drivers_probe", function);
        if (r < 0)
                (void) complain(function, "giving it back to the host", r);
}

/* Nobody can say any more what was wanted: the screen goes before. The daemon sees it in the file, and says so. */
static int fall_back(Defaults *d) {
        int r;

        for (size_t i = 0; i < d->n_reserves; i++)
                give_back(d->reserves[i].function);
        defaults_drop_rules(d);
        d->fallback = true;
        r = defaults_store(GPUPT_STATE_DIR, d);
        if (r >= 0)
                r = write_rules(d);
        if (r >= 0)
                r = defaults_forget_boots(GPUPT_STATE_DIR);
        printf("%i boots with cards reserved for VFIO did not come to their end: all of them are given back to the "
               "host\n",
               BOOTS_MAX);
        return r < 0 ? complain(GPUPT_STATE_DIR "/defaults", "writing it", r) : 0;
}

static int count_boot(void) {
        _cleanup_(defaults_freep) Defaults *d = NULL;
        int r;

        r = defaults_load(GPUPT_STATE_DIR, &d);
        if (r < 0)
                return complain(GPUPT_STATE_DIR "/defaults", "reading it", r);
        if (d->n_reserves == 0 || defaults_are_off())
                return 0;
        r = defaults_count_boot(GPUPT_STATE_DIR);
        if (r < 0)
                return complain(GPUPT_STATE_DIR "/boots", "writing it", r);
        return r >= BOOTS_MAX ? fall_back(d) : 0;
}

static int verb_boot(char **args, size_t n) {
        int counted, restored;

        if (n != 0)
                return -EINVAL;
        counted = count_boot();
        restored = restore_all();
        return counted < 0 ? counted : restored;
}

static int verb_booted(char **args, size_t n) {
        int r = n == 0 ? defaults_forget_boots(GPUPT_STATE_DIR) : -EINVAL;

        return r < 0 && n == 0 ? complain(GPUPT_STATE_DIR "/boots", "removing it", r) : r;
}

int main(int argc, char *argv[]) {
        static const struct {
                const char *name;
                int (*run)(char **args, size_t n);
        } verbs[] = {
                { "switch", verb_switch },
                { "rules", verb_rules },
                { "initramfs", verb_initramfs },
                { "boot", verb_boot },
                { "booted", verb_booted },
        };
        int r = -EINVAL;

        for (size_t i = 0; argc >= 2 && i < ELEMENTSOF(verbs); i++)
                if (streq(argv[1], verbs[i].name))
                        r = verbs[i].run(argv + 2, (size_t) argc - 2);
        if (r == -EINVAL)
                fputs("This program is run by gpuptd and by gpuptd-restore.service; see gpuptd.desktop(7).\n", stderr);
        return r < 0 ? EXIT_FAILURE : EXIT_SUCCESS;
}
