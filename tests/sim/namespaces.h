/* SPDX-License-Identifier: GPL-2.0-or-later */
#pragma once

/* namespaces: the private user, mount and network namespaces that a machine lives in, and what is mounted there. Used by
 * the test process and by the process that is the machine. */

#include <stdbool.h>

/* Enters new namespaces, once per process, before any thread exists. 0; or a negative errno and *ret_reason says what the
 * host refuses, for a skip. A process that starts as root has all of the first 65536 uids inside, another one only uid 0. */
int namespaces_enter(const char **ret_reason);
bool namespaces_entered(void);

/* Is uid 1000 there? */
bool namespaces_have_users(void);

/* Fresh tmpfs on what a machine writes to: /run, /dev, /lib/modules/RELEASE, the configuration and state directories. Not
 * /sys: that is the FUSE server's. 0 or a negative errno. */
int machine_mounts(void);
void machine_unmounts(void);

/* /proc/acpi and /dev/vga_arbiter, which the server of /sys serves too; never called by that one. */
int machine_mount_elsewhere(void);

/* The host's cgroup tree, below the machine's /sys once that is served; never called by who serves it. */
int machine_mount_cgroups(void);
