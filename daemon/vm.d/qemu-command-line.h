/* SPDX-License-Identifier: GPL-2.0-or-later */
#pragma once

/* qemu-command-line: what can be told of a QEMU from its arguments alone. Pure; the text may be anything. */

#include "util/cleanup.h"

/* Of monitors so many are looked at. */
#define QEMU_MONITORS_MAX 8U

typedef struct QemuCommandLine {
        char *name;            /* -name; NULL */
        char *id;              /* -id, which only Proxmox's QEMU has; NULL */
        char **monitors;       /* paths of the Unix sockets on which it listens for QMP */
        char *agent_path;      /* of the socket for the guest's agent; NULL */
        char *agent_chardev;   /* and the name of its character device */
        bool has_closed_qmp;   /* there is QMP, but not where it could be reached: a client, TCP, a descriptor */
        bool s3_disabled, s4_disabled; /* -global …disable_s3=1 */
} QemuCommandLine;

/* `text` is as in /proc/PID/cmdline. -ENOMEM; anything else can be parsed. */
int qemu_command_line_parse(const char *text, size_t size, QemuCommandLine **ret);
QemuCommandLine *qemu_command_line_free(QemuCommandLine *c);
DEFINE_CLEANUP(QemuCommandLine *, qemu_command_line_free);
