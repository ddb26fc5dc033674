/* SPDX-License-Identifier: GPL-2.0-or-later */
#pragma once

/* fuse-server: serves the tree of node.h as /sys. */

#include <systemd/sd-event.h>

/* Mounts over /sys and answers from the event loop. 0 or a negative errno. */
int fuse_server_start(sd_event *event);
