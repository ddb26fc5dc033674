/* SPDX-License-Identifier: GPL-2.0-or-later */
#pragma once

/* process: the process of a VM, held so that its number cannot come to mean another one. It may be anybody's, in
 * namespaces of its own, and lie about itself. */

#include <sys/types.h>

#include "util/cleanup.h"

/* "PID:STARTTIME" with the NUL. */
#define PROCESS_ID_MAX 32U

typedef struct Process {
        pid_t pid;
        uint64_t start; /* in clock ticks since boot */
        int pidfd;
} Process;

#define PROCESS_INIT ((Process) { .pidfd = -EBADF })

/* -ESRCH for one that is not there, or has ended and not been waited for. */
int process_open(pid_t pid, Process *ret);
/* By what process_id() gave; -EINVAL if it is not of that form, -ESRCH when that process has ended. */
int process_open_id(const char *id, Process *ret);
void process_close(Process *p);
void process_id(const Process *p, char ret[static PROCESS_ID_MAX]);

/* Whether comm or the program's file has a name of QEMU. */
bool process_is_qemu(const Process *p);
/* The arguments, each with a NUL behind it. */
int process_command_line(const Process *p, char **ret, size_t *ret_size);

/* A file that the process names, absolute or from its working directory, in its own view of the file system: no symbolic
 * link leads out of it. An O_PATH descriptor of a socket; -ENOTSOCK if it is something else. */
int process_open_socket(const Process *p, const char *path);

/* 0 when it has ended, -ETIMEDOUT. */
int process_wait(const Process *p, uint64_t deadline_usec);
/* SIGKILL to this process and no other. */
int process_kill(const Process *p);
