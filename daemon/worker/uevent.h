/* SPDX-License-Identifier: GPL-2.0-or-later */
#pragma once

/* uevent: synthetic uevents of a child of a function, a sound or a DRM card: who follows udev lets go of what has gone, and
 * nothing is unbound for it. */

#include "worker/work.h"

/* Opens the child's directory below the function, so that a card of that number on another one is never meant. What a sentence calls it is
 * `what`. -ENODEV: the function has none of that name. */
int uevent_open_child(Work *w, const char *class, const char *child, const char *what, int *ret);
/* path: of an `uevent` attribute below it. */
int uevent_send(Work *w, int child_fd, const char *path, const char *action, const char *child);
