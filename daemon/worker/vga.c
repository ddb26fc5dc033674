/* SPDX-License-Identifier: GPL-2.0-or-later */

/* vga: the VGA arbiter's word on a card, and binding and unbinding of virtual text consoles. That write reports success also where it has had no effect
 * (drivers/tty/vt/vt.c store_bind()), so it is read back. Both sides take the console lock, which a driver that hangs
 * in a mode switch keeps. */

#include "worker/vga.h"

#include "util/fs.h"

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

/* One open is one conversation: the target is set, then read (drivers/pci/vgaarb.c vga_arb_write(), vga_arb_read()). */
int read_vga_decodes(const char *address, char **ret) {
        char text[256], *begin;
        _cleanup_close_ int fd = -EBADF;
        ssize_t k;
        int n;

        *ret = NULL;
        fd = open("/dev/vga_arbiter", O_RDWR | O_CLOEXEC | O_NONBLOCK);
        if (fd < 0)
                return 0;
        n = snprintf(text, sizeof(text), "target PCI:%s", address);
        if (write(fd, text, (size_t) n) != n)
                return 0;
        k = read(fd, text, sizeof(text) - 1);
        if (k <= 0)
                return 0;
        text[k] = '\0';

        /* "count:1,PCI:0000:02:00.0,decodes=io+mem,owns=io+mem,locks=none(0:0)" */
        begin = strstr(text, ",decodes=");
        if (!begin || !strstr(text, address))
                return 0;
        begin += STRLEN(",decodes=");
        begin[strcspn(begin, ",\n")] = '\0';
        *ret = strdup(begin);
        return *ret ? 0 : -ENOMEM;
}
