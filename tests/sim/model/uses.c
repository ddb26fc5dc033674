/* SPDX-License-Identifier: GPL-2.0-or-later */

/* uses: what makes a function one that the host cannot spare: block devices and network interfaces below it, as
 * /sys/class/block and /sys/class/net list them. They go when the function loses its driver, and come back when a test says
 * so. What is mounted is no part of the model: a test mounts a tmpfs whose source is /dev/NAME. */

#include <errno.h>
#include <stdio.h>

#include "host/control.h"
#include "model/model.h"
#include "util/cleanup.h"

static Node *directory(Node *parent, const char *path) {
        g_auto(GStrv) names = g_strsplit(path, "/", -1);

        for (char **name = names; *name; name++)
                parent = node_find(parent, *name) ?: node_add_directory(parent, *name);
        return parent;
}

/* Where a class lists it; NULL if there is none. */
static Node *find_in_class(const char *class, const char *name) {
        Node *link = node_find(node_add_path(node_root(), class), name);

        return link ? link->target : NULL;
}

/* -ENODEV for what no host driver has. */
static int host_device(const char *address, Device **ret) {
        Device *d = device_find(address);

        if (!d || !d->driver || (d->driver->features & FEATURE_VFIO))
                return -ENODEV;
        *ret = d;
        return 0;
}

static Node *add_below(Device *d, const char *path, const char *name, const char *subsystem) {
        Node *parent = d ? directory(d->kobject.node, path) : node_add_path(node_root(), path);
        Child *c = child_add(NULL, parent, name, subsystem, NULL);

        if (d)
                g_ptr_array_add(d->children, c);
        uevent_emit(&c->kobject, "add", NULL);
        return c->kobject.node;
}

/* `block ADDRESS|NAME NAME MAJOR:MINOR`: a disk or partition of a USB stick at that controller, or what is built upon the
 * block device of that name. */
static int command_block(char **arguments, _unused_ GString *reply) {
        Node *lower = find_in_class("class/block", arguments[0]), *node;
        unsigned major, minor;
        Device *d = NULL;
        int r;

        if (sscanf(arguments[2], "%u:%u", &major, &minor) != 2)
                return -EINVAL;
        if (find_in_class("class/block", arguments[1]))
                return -EEXIST;
        if (!lower) {
                r = host_device(arguments[0], &d);
                if (r < 0)
                        return r;
        }
        node = add_below(d, d ? "usb1/1-1/1-1:1.0/host6/target6:0:0/6:0:0:0/block" : "devices/virtual/block", arguments[1],
                         "block");
        (void) node_add_text(node, "dev", "%u:%u\n", major, minor);
        (void) node_add_directory(node, "holders");
        if (lower)
                (void) node_add_link(node_find(lower, "holders"), arguments[1], node);
        return 0;
}

/* `net ADDRESS|virtual NAME STATE`: an interface and its operstate; again, to change that. */
static int command_net(char **arguments, _unused_ GString *reply) {
        Node *node = find_in_class("class/net", arguments[1]);
        Device *d = NULL;
        int r;

        if (!node) {
                r = streq(arguments[0], "virtual") ? 0 : host_device(arguments[0], &d);
                if (r < 0)
                        return r;
                node = add_below(d, d ? "net" : "devices/virtual/net", arguments[1], "net");
                (void) node_add_text(node, "operstate", "%s", "");
        }
        node_set_text(node_find(node, "operstate"), "%s\n", arguments[2]);
        return 0;
}

const ControlCommand uses_commands[] = {
        { "block", 3, command_block },
        { "net", 3, command_net },
        {},
};
