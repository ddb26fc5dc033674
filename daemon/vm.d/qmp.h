/* SPDX-License-Identifier: GPL-2.0-or-later */
#pragma once

/* qmp: a connection to the monitor of a QEMU (QMP) or to the agent in its guest (QGA, which speaks the same, by way of
 * QEMU). Neither blocks, both may send whatever they like: a message has a limit of size and depth, every wait one of
 * time. Deadlines are CLOCK_MONOTONIC, in microseconds. */

#include "vm.d/adapter.h"

/* Larger messages are -EMSGSIZE: the largest that is asked for, a list of a machine's devices, has some ten KiB. */
#define QMP_MESSAGE_MAX (1024U * 1024U)
#define QMP_DEPTH_MAX 16

typedef enum QmpEvent {
        QMP_EVENT_SHUTDOWN = 1 << 0,
        QMP_EVENT_SUSPEND = 1 << 1,
        QMP_EVENT_SUSPEND_DISK = 1 << 2,
        QMP_EVENT_WAKEUP = 1 << 3,
} QmpEvent;

typedef struct Qmp Qmp;

/* `socket` is an O_PATH descriptor, and stays the caller's; `server` is the process that has to be listening there.
 * -ECONNREFUSED: nobody listens; -EPERM: somebody else does; -ETIMEDOUT: accepted by the kernel, not by QEMU, which talks to
 * one at a time; -EPROTO. The second one is in step with the agent when it returns. */
int qmp_open(int socket, pid_t server, uint64_t deadline_usec, Qmp **ret);
int qmp_open_agent(int socket, pid_t server, uint64_t deadline_usec, Qmp **ret);
Qmp *qmp_close(Qmp *q);
DEFINE_CLEANUP(Qmp *, qmp_close);

/* Takes the arguments (NULL for none), which may be NULL only for none. *ret, the caller's, is what `return` has, NULL for
 * null; `ret` may be NULL. -EREMOTEIO: an error was answered, qmp_error() is its text. -ECONNRESET: the other side has
 * closed. */
int qmp_call(Qmp *q, const char *command, json_object *arguments, uint64_t deadline_usec, json_object **ret);
/* Without waiting for an answer, for what is answered by an error or not at all; qmp_dispatch() sees the error. */
int qmp_send(Qmp *q, const char *command, json_object *arguments, uint64_t deadline_usec);
/* Takes what is there to be read: 0, -EREMOTEIO if an error was answered, other errors as above. */
int qmp_dispatch(Qmp *q);

/* What was seen on this connection so far. */
unsigned qmp_events(const Qmp *q);
const char *qmp_error(const Qmp *q);
int qmp_fd(const Qmp *q);

/* ---- For tests */
typedef struct QmpReader QmpReader;
int qmp_reader_new(QmpReader **ret);
QmpReader *qmp_reader_free(QmpReader *r);
DEFINE_CLEANUP(QmpReader *, qmp_reader_free);
/* Skips everything up to the next byte 0xFF, which no JSON has. */
void qmp_reader_skip(QmpReader *r);
/* Adds bytes, at most as many as qmp_reader_room() says. */
void qmp_reader_add(QmpReader *r, const void *data, size_t size);
size_t qmp_reader_room(const QmpReader *r);
/* The next whole message, which is an object: 1; 0 if there is none yet; -EPROTO, -EMSGSIZE, after which nothing can be
 * read any more. */
int qmp_reader_next(QmpReader *r, json_object **ret);
