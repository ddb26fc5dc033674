/* SPDX-License-Identifier: GPL-2.0-or-later */
#pragma once

/* host-record: what the host looked like before gpuptd took a GPU from it: RUN_DIR/gpu-ADDRESS, from the first detach
 * until the attach that has restored everything. It is of this boot, and of this very card: a file whose ids do not fit the hardware is kept and
 * reported (Inconsistent), never applied to another card.
 *
 *      gpuptd-gpu 1
 *      gpu ADDRESS VENDOR:DEVICE:SUBVENDOR:SUBDEVICE
 *      function ADDRESS           claimed: what detach took, display first if it is among them
 *      unit NAME                  stopped for the detach
 *      module NAME                unloaded for it, in this order
 *      access UID                 has an ACL entry on the VFIO nodes
 *      saved SUBJECT KEY VALUE    drivers, overrides, power values, consoles, whom it was taken for
 *      end                        without it the file is not whole */

#include "saved.h"
#include "snapshot.h"

/* The key of the VM that the GPU (the subject) was taken from the host for: "NAME (MANAGER)". */
#define HOST_RECORD_TAKEN_FOR "taken-for"

typedef struct HostRecord {
        char *gpu;
        char *identity;
        char **functions;
        char **units, **modules;
        bool access;
        uint32_t access_uid;
        Saved saved;
} HostRecord;

HostRecord *host_record_new(const char *gpu, const char *identity);
HostRecord *host_record_free(HostRecord *r);
DEFINE_CLEANUP(HostRecord *, host_record_free);

int host_record_store(const char *run_dir, const HostRecord *record);
/* -ENOENT: none. -EBADMSG, -EPROTONOSUPPORT: not ours to use. */
int host_record_load(const char *run_dir, const char *gpu, HostRecord **ret);
int host_record_remove(const char *run_dir, const char *gpu);
/* Addresses of all records. */
int host_record_list(const char *run_dir, char ***ret);

void host_record_write(const HostRecord *record, FILE *f);
int host_record_read(const char *text, size_t size, HostRecord **ret);
