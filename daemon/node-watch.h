/* SPDX-License-Identifier: GPL-2.0-or-later */
#pragma once

/* node-watch: notices that somebody opened or closed a VFIO node. There is no uevent for it, so the directories
 * /dev/vfio and /dev/vfio/devices are watched by inotify (a watch on a node itself is refused by the device policy of
 * the unit, and libvirt opens nodes of its own in a private /dev; for those see machined's signals). It says only
 * "look again". */

#include <systemd/sd-event.h>

#include "util/cleanup.h"

typedef struct NodeWatch NodeWatch;

/* name: "7" for /dev/vfio/7, "vfio" for the container, "devices/vfio0"; NULL when events were lost or a directory
 * came or went: look at everything. The handler must not free the watch. Directories that do not exist yet are
 * watched for from their parent on. Bursts are handed on as they come; the receiver coalesces. */
typedef void (*node_watch_handler_t)(const char *name, void *userdata);

int node_watch_new(sd_event *event, const char *dev_dir, node_watch_handler_t handler, void *userdata,
                   NodeWatch **ret);
NodeWatch *node_watch_free(NodeWatch *w);
DEFINE_CLEANUP(NodeWatch *, node_watch_free);
