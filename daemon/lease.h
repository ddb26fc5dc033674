/* SPDX-License-Identifier: GPL-2.0-or-later */
#pragma once

/* lease: a detach that lasts as long as somebody holds a file descriptor. The descriptor is the write end of a FIFO
 * RUN_DIR/lease-N.fifo (0600); the daemon holds the read end. When no writer is left the lease is released. Beside it
 * the record RUN_DIR/lease-N says whose it is, so that a restarted daemon opens the FIFO again and goes on. The lease
 * knows nothing of GPUs but an address. */

#include <systemd/sd-event.h>

#include "util/cleanup.h"

typedef struct Lease {
        unsigned id;
        char *gpu;    /* address of the display function */
        uint32_t uid; /* who took it */
        char *sender; /* unique name of the taker (limits); NULL after a restart */
        bool released; /* no writer left; kept until the attach that follows has begun */
        /* private */
        int fd;
        char *fifo, *record;
        sd_event *event;
        sd_event_source *source;
        void (*handler)(struct Lease *lease, void *userdata);
        void *userdata;
} Lease;

/* The handler is called once, from the event loop, when the lease is released; it must not free the lease before it
 * returns. */
typedef void (*lease_handler_t)(Lease *lease, void *userdata);

/* Creates FIFO and record; *ret_fd is the write end for the caller (O_CLOEXEC, to be sent away and closed). */
int lease_new(sd_event *event, const char *run_dir, unsigned id, const char *gpu, uint32_t uid, const char *sender,
              lease_handler_t handler, void *userdata, Lease **ret, int *ret_fd);
/* After a restart: opens the FIFO of a record again. A lease without a writer is released at once (from the loop).
 * -EBADMSG for a record that does not fit. */
int lease_load(sd_event *event, const char *run_dir, unsigned id, lease_handler_t handler, void *userdata,
               Lease **ret);
/* Ends the lease: the holder sees POLLERR; FIFO and record are removed. A holder also sees POLLERR while the daemon
 * restarts; then fstat() on its descriptor still says st_nlink 1, after the end 0. */
Lease *lease_end(Lease *lease);
/* Lets go of it without ending it: the files stay for the next daemon. */
Lease *lease_free(Lease *lease);
DEFINE_CLEANUP(Lease *, lease_free);
