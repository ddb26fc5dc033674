/* SPDX-License-Identifier: GPL-2.0-or-later */

/* gpuptd-restore: what outlives a boot of a detach: which files of Xorg's configuration are in place. Run as a step of a job
 * (`switch`), outside of the daemon's sandbox, which has no business in /etc; and at boot, before the display manager (`boot`), when
 * nobody knows any more how the machine went down: then what the hardware says counts. */

#include <stdio.h>

#include "dbus/names.h"
#include "restore/record.h"
#include "restore/switch.h"
#include "snapshot.h"
#include "util/address.h"
#include "util/fs.h"

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

static int verb_boot(char **args, size_t n) {
        _cleanup_strv_free_ char **gpus = NULL;
        int result, k;

        if (n != 0)
                return -EINVAL;
        result = xorg_record_list(GPUPT_STATE_DIR, &gpus);
        if (result < 0)
                return complain(GPUPT_STATE_DIR, "listing", result);
        for (char **gpu = gpus; gpu && *gpu; gpu++) {
                k = restore(*gpu);
                result = result < 0 ? result : k;
        }
        return result;
}

int main(int argc, char *argv[]) {
        int r = -EINVAL;

        if (argc >= 2 && streq(argv[1], "switch"))
                r = verb_switch(argv + 2, (size_t) argc - 2);
        else if (argc >= 2 && streq(argv[1], "boot"))
                r = verb_boot(argv + 2, (size_t) argc - 2);
        if (r == -EINVAL)
                fputs("This program is run by gpuptd and by gpuptd-restore.service; see gpuptd.desktop(7).\n", stderr);
        return r < 0 ? EXIT_FAILURE : EXIT_SUCCESS;
}
