/* SPDX-License-Identifier: GPL-2.0-or-later */

/* vga: the VGA arbiter's word on a card, and binding and unbinding of virtual text consoles. Both report success also
 * where a write has had no effect, so everything is read back. Binding (drivers/tty/vt/vt.c store_bind()) takes the
 * console lock, which a driver that hangs in a mode switch keeps; the arbiter's `lock` waits for good, and is never
 * used. */

#include "worker/vga.h"

#include "util/fs.h"
#include "worker/pci.h"

#define ARBITER "/dev/vga_arbiter"
#define DECODES_ALL "io+mem"

static int set_console(Work *w, const char *value) {
        char path[STRLEN("/sys/class/vtconsole//bind") + 16];
        _cleanup_free_ char *before = NULL, *after = NULL;
        int r;

        if (!numbered_name_valid(w->target, "vtcon"))
                return work_fail(w, -EINVAL, "'%s' is not the name of a text console", w->target);
        (void) snprintf(path, sizeof(path), "/sys/class/vtconsole/%.15s/bind", w->target);

        r = read_line_at(AT_FDCWD, path, &before);
        if (r >= 0 && streq(before, value))
                return 0;
        if (r >= 0)
                r = write_attribute_at(AT_FDCWD, path, value);
        if (r < 0)
                return work_fail(w, r == -ENOENT ? -ENODEV : r, "writing %s to bind of %s", value, w->target);

        r = read_line_at(AT_FDCWD, path, &after);
        if (r < 0 || !streq(after, value))
                return work_fail(w, r < 0 ? r : -EIO, "bind of %s did not become %s", w->target, value);
        return 0;
}

int verb_release_console(Work *w) {
        return set_console(w, "0");
}

int verb_restore_console(Work *w) {
        return set_console(w, "1");
}

/* One open is one conversation: the target is set, then read or written (drivers/pci/vgaarb.c vga_arb_write(),
 * vga_arb_read()). -ENOENT if there is no arbiter, -ENODEV if the function is not one of its cards. */
static int open_arbiter(const char *address) {
        _cleanup_close_ int fd = -EBADF;
        char text[STRLEN("target PCI:") + PCI_ADDRESS_MAX];
        int n;

        fd = RET_NERRNO(open(ARBITER, O_RDWR | O_CLOEXEC | O_NONBLOCK));
        if (fd < 0)
                return fd;
        n = snprintf(text, sizeof(text), "target PCI:%.19s", address);
        if (write(fd, text, (size_t) n) < 0)
                return -errno;
        return TAKE_FD(fd);
}

/* "count:1,PCI:0000:02:00.0,decodes=io+mem,owns=io+mem,locks=none(0:0)" */
static int read_decodes(int fd, const char *address, char **ret) {
        char text[256], *begin;
        ssize_t k;

        k = read(fd, text, sizeof(text) - 1);
        if (k < 0)
                return -errno;
        text[k] = '\0';
        begin = strstr(text, ",decodes=");
        if (!begin || !strstr(text, address))
                return -ENODEV;
        begin += STRLEN(",decodes=");
        begin[strcspn(begin, ",\n")] = '\0';
        *ret = strdup(begin);
        return *ret ? 0 : -ENOMEM;
}

int read_vga_decodes(const char *address, char **ret) {
        _cleanup_close_ int fd = -EBADF;
        int r;

        *ret = NULL;
        fd = open_arbiter(address);
        if (fd < 0)
                return 0;
        r = read_decodes(fd, address, ret);
        return r == -ENOMEM ? r : 0;
}

/* The write succeeds and is ignored while a driver has registered itself as the one that decides (vgaarb.c
 * __vga_set_legacy_decoding()). */
int verb_restore_decodes(Work *w) {
        _cleanup_(pci_device_done) PciDevice d = PCI_DEVICE_INIT;
        _cleanup_free_ char *before = NULL, *after = NULL;
        _cleanup_close_ int fd = -EBADF;
        int r;

        r = pci_device_open(w, w->target, &d);
        if (r < 0)
                return r;
        fd = open_arbiter(d.address);
        if (fd == -ENODEV || fd == -ENOENT)
                return work_fail(w, -ENOTTY, "%s is no card of the VGA arbiter", d.address);
        r = fd < 0 ? fd : read_decodes(fd, d.address, &before);
        if (r >= 0 && streq(before, DECODES_ALL))
                return 0;
        if (r >= 0 && write(fd, "decodes " DECODES_ALL, STRLEN("decodes " DECODES_ALL)) < 0)
                r = -errno;
        if (r >= 0)
                r = read_decodes(fd, d.address, &after);
        if (r < 0)
                return work_fail(w, r, "asking the VGA arbiter to let %s decode again", d.address);
        if (!streq(after, DECODES_ALL))
                return work_fail(w, -EBUSY, "%s still decodes %s: its driver decides that", d.address, after);
        return 0;
}
