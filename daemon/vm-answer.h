/* SPDX-License-Identifier: GPL-2.0-or-later */
#pragma once

/* vm-answer: what an adapter of virtual machines says (gpuptd.vm.d(7)), read from its exit status and its JSON
 * as plain data. Pure. What it prints is hostile input: it has limits, and whatever does not fit is an answer
 * that failed. */

#include "util/string-table.h"

#define VM_OUTPUT_MAX (64U * 1024U)
#define VM_ID_MAX 255U

typedef enum VmVerb {
        VM_IDENTIFY,
        VM_STATUS,
        VM_CAPABILITIES,
        VM_PAUSE,
        VM_RESUME,
        VM_SUSPEND,
        VM_WAKE,
        VM_HIBERNATE,
        VM_SHUTDOWN,
        VM_START,
        VM_KILL,
        _VM_VERB_MAX,
        _VM_VERB_INVALID = -EINVAL,
} VmVerb;

typedef enum VmState {
        VM_RUNNING,
        VM_PAUSED,
        VM_SUSPENDED,
        VM_BUSY,
        VM_CRASHED,
        VM_OFF,
        VM_GONE,
        VM_UNKNOWN, /* also where the answer does not say, or has another word */
        _VM_STATE_MAX,
        _VM_STATE_INVALID = -EINVAL,
} VmState;

typedef enum VmResult {
        VM_DONE,          /* exit status 0, and an answer that fits */
        VM_FAILED,        /* 1, or an answer that does not fit; see reason */
        VM_NOT_MINE,      /* 2, to identify */
        VM_NOT_SUPPORTED, /* 3 */
        VM_TIMED_OUT,     /* error "timeout", or it did not end in its time: what was asked for may still happen */
} VmResult;

DECLARE_STRING_TABLE(vm_verb, VmVerb);
DECLARE_STRING_TABLE(vm_state, VmState);

typedef struct VmAnswer {
        VmResult result;
        /* Texts are clean UTF-8 on one line, and of limited length. */
        char *reason;    /* why it is not VM_DONE: a sentence or part of one, about "it", the adapter; never NULL */
        char *error;     /* as the adapter says it: "timeout", "unreachable", …; "" if none; never NULL */
        char *id, *name; /* of identify that is done; NULL otherwise */
        VmState state;
        bool changed;    /* true unless it says that there was nothing to do */
        bool agent, s3, s4, restart;
        char *hint_agent, *hint_s3, *hint_s4, *hint_restart; /* of capabilities: why not, and how to allow it; or NULL */
} VmAnswer;

void vm_answer_done(VmAnswer *a);
/* What an answer to capabilities says, for longer than the answer. Hints are left out where there is no memory. */
void vm_answer_copy_capabilities(const VmAnswer *a, VmAnswer *ret);

/* Whether this is an ID as identify gives it: not empty, at most VM_ID_MAX bytes of UTF-8 without control
 * characters, and not beginning with a dash. */
bool vm_id_valid(const char *id);

/* status: exit status of the adapter, or -1 where it did not exit by itself. Always fills *ret (which
 * vm_answer_done() frees) but for -ENOMEM. An identify that is done has a valid id (and a name; the id where
 * there is none). A member that the verb has may be missing, and is false, unknown or none then; if it is there,
 * its type has to be right. */
int vm_answer_parse(VmVerb verb, int status, const char *output, size_t size, VmAnswer *ret);
