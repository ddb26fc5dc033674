/* SPDX-License-Identifier: GPL-2.0-or-later */

#include "worker/uevent.h"

#include "util/fs.h"
#include "worker/pci.h"

int uevent_open_child(Work *w, const char *class, const char *child, const char *what, int *ret) {
        _cleanup_(pci_device_done) PciDevice d = PCI_DEVICE_INIT;
        char path[32];
        int r, fd;

        if (!numbered_name_valid(child, "card"))
                return work_fail(w, -EINVAL, "'%s' is not the name of a %s", child, what);
        r = pci_device_open(w, w->target, &d);
        if (r < 0)
                return r;
        (void) snprintf(path, sizeof(path), "%.15s/%.15s", class, child);
        fd = RET_NERRNO(openat(d.fd, path, O_RDONLY | O_DIRECTORY | O_CLOEXEC));
        if (fd < 0)
                return work_fail(w, fd == -ENOENT ? -ENODEV : fd, "%s has no %s %s", d.address, what, child);
        *ret = fd;
        return 0;
}

int uevent_send(Work *w, int child_fd, const char *path, const char *action, const char *child) {
        int r = write_attribute_at(child_fd, path, action);

        return r >= 0 ? 0 : work_fail(w, r, "writing '%s' to %s of %s", action, path, child);
}
