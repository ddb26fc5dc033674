/* SPDX-License-Identifier: GPL-2.0-or-later */

#include "worker/compositor.h"

#include "worker/uevent.h"

/* The node stays, and so does its driver: only who listens to udev learns of it, logind among them, which closes what it had opened on
 * behalf of a session (login/logind-core.c manager_process_seat_device()). */
int verb_ask_compositor(Work *w) {
        _cleanup_close_ int fd = -EBADF;
        int r;

        r = uevent_open_child(w, "drm", w->arguments[0], "DRM card", &fd);
        return r < 0 ? r : uevent_send(w, fd, "uevent", "remove", w->arguments[0]);
}

/* Where the driver was unbound meanwhile, the card has come again as another one, and has been announced by the kernel. */
int verb_return_compositor(Work *w) {
        _cleanup_close_ int fd = -EBADF;
        int r;

        r = uevent_open_child(w, "drm", w->arguments[0], "DRM card", &fd);
        if (r == -ENODEV)
                return 0;
        return r < 0 ? r : uevent_send(w, fd, "uevent", "add", w->arguments[0]);
}
