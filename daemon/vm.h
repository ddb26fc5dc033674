/* SPDX-License-Identifier: GPL-2.0-or-later */
#pragma once

/* vm: asks the adapters of virtual machines, each call a transient unit of systemd1 (exec-client.h): which VM is
 * this process, and what becomes of it. It knows the directory of the adapters and the order in which they are
 * asked; what to ask for is somebody else's business. gpuptd.vm.d(7) is the protocol. */

#include <systemd/sd-bus.h>

#include "vm-answer.h"

typedef struct VmCall VmCall;

/* The answer is the handler's to read, not to keep. The call is freed after it. adapter: the name of who
 * answered; of an identify that nobody answered (VM_NOT_MINE) "". joined: the unit of this name was running
 * already (a daemon that died had started it): what it printed is not to be had, so only result (and a reason)
 * is known. Never so for identify, status and capabilities, which are asked again then. */
typedef void (*vm_handler_t)(const VmAnswer *answer, const char *adapter, bool joined, void *userdata);

typedef struct VmRequest {
        unsigned job, number;  /* name the unit: "gpuptd-exec-JOB-NUMBER.service"; of identify, NUMBER is the first of
                                * VM_ADAPTERS_MAX that it may use */
        const char *adapter;   /* its name; not of identify */
        VmVerb verb;
        const char *id;        /* as identify gave it; not of identify */
        uint32_t pid;          /* of identify */
        unsigned limit_sec;    /* of each adapter that is asked, which is ended a few seconds later; at most a day. 0: the
                                * verb's own, see vm_verb_limit_sec() */
} VmRequest;

#define VM_ADAPTERS_MAX 16U

/* Never calls the handler from within. -EINVAL for a request that does not make sense (an adapter that is no
 * file name, an ID that identify does not give). identify asks one adapter after the other until one does not
 * say that the process is not its own: an adapter that fails, hangs or answers nonsense is the last one. */
int vm_ask(sd_bus *bus, const VmRequest *request, vm_handler_t handler, void *userdata, VmCall **ret);
/* The handler is not called; the adapter goes on until its limit. */
VmCall *vm_call_free(VmCall *c);
DEFINE_CLEANUP(VmCall *, vm_call_free);

/* How long a verb takes where nobody says: as in gpuptd.vm.d(7). */
unsigned vm_verb_limit_sec(VmVerb verb);

/* Names of the adapters that are there, in the order in which identify asks them: those of others by name, then
 * libvirt, proxmox, qemu, systemd. At most VM_ADAPTERS_MAX. Newly allocated strv; empty where the directory is
 * missing. */
int vm_list_adapters(char ***ret);
