/* SPDX-License-Identifier: GPL-2.0-or-later */
#pragma once

/* adapter: what all adapters of VMs have in common, which is the protocol of gpuptd.vm.d(7): arguments in, one JSON
 * object and an exit status out, and an end at the deadline whatever happens. An adapter is a table of verbs. */

#include <json-c/json.h>
#include <sys/types.h>

#include "util/cleanup.h"
#include "util/string-table.h"

/* In bytes, with the NUL: an ID, and any string of an answer. What is longer is refused, cut off. */
#define ADAPTER_ID_MAX 256U
#define ADAPTER_TEXT_MAX 1024U

typedef enum AdapterVerb {
        VERB_IDENTIFY,
        VERB_STATUS,
        VERB_CAPABILITIES,
        VERB_PAUSE,
        VERB_RESUME,
        VERB_SUSPEND,
        VERB_WAKE,
        VERB_HIBERNATE,
        VERB_SHUTDOWN,
        VERB_START,
        VERB_KILL,
        _ADAPTER_VERB_MAX,
        _ADAPTER_VERB_INVALID = -EINVAL,
} AdapterVerb;
DECLARE_STRING_TABLE(adapter_verb, AdapterVerb);

typedef enum VmState {
        VM_RUNNING,
        VM_PAUSED,
        VM_SUSPENDED, /* the guest sleeps (S3) */
        VM_BUSY,      /* on its way to another state, or being saved or moved */
        VM_CRASHED,
        VM_OFF,  /* it can be started */
        VM_GONE, /* nothing is left that could be started */
        VM_UNKNOWN,
        _VM_STATE_MAX,
        _VM_STATE_INVALID = -EINVAL,
} VmState;
DECLARE_STRING_TABLE(vm_state, VmState);

/* `error` of an answer: what kind of failure, for programs. */
typedef enum AdapterError {
        ERROR_INVALID,     /* the arguments make no sense */
        ERROR_TIMEOUT,     /* the deadline is over; what was asked for may still happen */
        ERROR_UNREACHABLE, /* the manager, the VM or its agent is not to be reached */
        ERROR_PROTOCOL,    /* it answers nonsense */
        ERROR_REFUSED,     /* it says no, or the VM is in no state for it */
        ERROR_UNVERIFIED,  /* it says yes, and the state says no */
        ERROR_SYSTEM,      /* this machine lacks something */
        _ADAPTER_ERROR_MAX,
        _ADAPTER_ERROR_INVALID = -EINVAL,
} AdapterError;
DECLARE_STRING_TABLE(adapter_error, AdapterError);

/* The exit status. */
typedef enum AdapterResult {
        ADAPTER_OK,
        ADAPTER_FAILED,
        ADAPTER_NOT_MINE,
        ADAPTER_NOT_SUPPORTED,
} AdapterResult;

typedef struct AdapterCall {
        AdapterVerb verb;
        const char *id;         /* no control characters, not beginning with '-'; NULL for identify */
        pid_t pid;              /* identify; else 0 */
        uint64_t deadline_usec; /* CLOCK_MONOTONIC */
        json_object *answer;
} AdapterCall;

typedef AdapterResult (*adapter_verb_t)(AdapterCall *c);

typedef struct Adapter {
        const char *name;
        adapter_verb_t verbs[_ADAPTER_VERB_MAX]; /* NULL: not supported */
} Adapter;

DEFINE_CLEANUP(json_object *, json_object_put);

/* All of main(). Prints one answer and returns the exit status. A verb that is two seconds behind its deadline is ended
 * in the middle of whatever it does, with an answer that says so. */
int adapter_main(const Adapter *adapter, int argc, char *argv[]);

/* ---- The answer. Strings may be anything: what is not printable or not UTF-8 is replaced, what is too long cut off. */
void adapter_set(AdapterCall *c, const char *key, const char *value);
void adapter_set_number(AdapterCall *c, const char *key, uint64_t value);
void adapter_set_flag(AdapterCall *c, const char *key, bool value);
/* `state` and, unless NULL, `detail`: the manager's own word for it. */
void adapter_set_state(AdapterCall *c, VmState state, const char *detail);
/* agent, s3, s4, restart. If not, the hint (may be NULL) says why, and how to allow it. */
void adapter_set_capability(AdapterCall *c, const char *name, bool value, const char *hint);

/* ---- How a verb ends; each returns what the verb returns. */
/* Done and verified; `changed` is false if it was so before. */
AdapterResult adapter_done(AdapterCall *c, VmState state, bool changed);
AdapterResult adapter_fail(AdapterCall *c, AdapterError error, const char *format, ...) _printf_(3, 4);
/* What a negative errno means: -ETIMEDOUT, -EPROTO, what the network says, and the rest. */
AdapterError adapter_error_from_errno(int error) _const_;
AdapterResult adapter_not_mine(AdapterCall *c, const char *format, ...) _printf_(2, 3);
AdapterResult adapter_not_supported(AdapterCall *c, const char *format, ...) _printf_(2, 3);
/* Ends the program with an answer: there is nothing else to do without memory. */
void adapter_out_of_memory(void) __attribute__((noreturn));

/* ---- Time */
uint64_t adapter_now(void);
/* The deadline, or so many microseconds from now, whichever comes first. */
uint64_t adapter_within(const AdapterCall *c, uint64_t usec);
/* For poll(): until then, rounded up; 0 if it is over. */
int adapter_poll_msec(uint64_t deadline_usec);
/* Nothing for some milliseconds, but not beyond the deadline: for managers that send no events. False at the deadline. */
bool adapter_pause(const AdapterCall *c, unsigned msec);

/* ---- Hostile JSON: the member of an object, if it has the type, else NULL; a string without NUL in it and no longer
 * than ADAPTER_TEXT_MAX. All belong to the object. */
const char *adapter_json_string(json_object *o, const char *key);
json_object *adapter_json_member(json_object *o, const char *key, enum json_type type);
