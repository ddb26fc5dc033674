/* SPDX-License-Identifier: GPL-2.0-or-later */
#pragma once

/* step: one thing that a plan does, as data. A verb, what it acts on, and words for the executor. The verb table
 * (step.c) says for each verb who executes it, how long it may take, and which verb undoes it; so the table is the
 * whole vocabulary of plans, worker protocol, journal and `gpuptctl plan`. */

#include "util/string-table.h"

typedef enum Executor {
        EXECUTOR_WORKER, /* gpuptd-worker: kernel writes, and reads that may block */
        EXECUTOR_UNIT,   /* a unit of systemd1, started or stopped */
        EXECUTOR_EXEC,   /* a program as a transient unit: vendor tools, hooks */
        EXECUTOR_WAIT,   /* an event with a deadline, in the daemon */
        _EXECUTOR_MAX,
        _EXECUTOR_INVALID = -EINVAL,
} Executor;

/* Worker verbs: `ADDR` is the target unless said; what follows are the arguments, in order. Data lines that a verb
 * answers with are shown behind "->". Every verb is idempotent: done twice it succeeds twice. */
typedef enum Verb {
        /* Reads. */
        VERB_CHECK,          /* ADDR [ADDR…]: config space alive? (-EHOSTDOWN: all ones, -ENODEV: gone) */
        VERB_SAVE,           /* ADDR [ADDR…]: -> `saved ADDR KEY VALUE` for the keys driver, override, power-control,
                              *   d3cold, reset-method (attributes that the function has; no driver and no override are "") */
        VERB_SNAPSHOT,       /* "-" [ADDR…]: -> the lines of snapshot.h; without addresses the inventory of the host */
        VERB_SURVEY,         /* "-" [ADDR…]: -> the lines of survey.h, about the host and these functions */
        VERB_SLEEP_STATISTICS, /* "-": -> `statistic NAME VALUE` for what /sys/power/suspend_stats says of the last failure */
        VERB_CENSUS,         /* "-" NODE…: each "MAJOR:MINOR:PATH"; -> the lines of holders.h */
        VERB_VERIFY,         /* ADDR DRIVER [ADDR DRIVER…]: each driver link as named ("" = none); for a VFIO driver
                              *   its node exists; -> `node ADDR PATH` */
        VERB_CHECK_MODULE,   /* MODULE [MODULE…]: -EBUSY while one is loaded; -> `module NAME REFCOUNT HOLDERS…` */
        VERB_CHECK_LOGINS,   /* "-" [SESSION…]: has nobody but these a desktop on a seat? (-EBUSY) */
        VERB_CHECK_DRIVER,   /* DRIVER: registered on the PCI bus? (-ENOPKG) */
        VERB_MEASURE,        /* ADDR [ADDR…]: -> the lines of measurement.h; a function that is gone has none. What is
                              *   wrong with a card is no error of this verb */
        VERB_SENSORS,        /* ADDR [ADDR…]: -> the `sensor` lines of measurement.h. Apart from the above, since a
                              *   driver may make who reads these wait */
        VERB_ROM,            /* ADDR: its firmware image into the output of the worker; -> `image rom|vfct`. -ENOENT: it has
                              *   none; -EIO, -EBADMSG: none that can be used */
        /* Power. */
        VERB_PIN,            /* ADDR [ADDR…]: power/control=on, d3cold_allowed=0; waits until runtime_status is active */
        VERB_RESTORE_POWER,  /* ADDR CONTROL D3COLD [ADDR CONTROL D3COLD…] ("" leaves a value alone) */
        VERB_IDLE_POWER,     /* ADDR CONTROL [ADDR CONTROL…]: how it rests while detached; D3cold stays off */
        VERB_WAKE,           /* ADDR [ADDR…]: power/control=on, waits for active, reads back D0 and a config space that
                              *   answers (-EHOSTDOWN: all ones or no D0) */
        VERB_SWITCH_POWER,   /* bbswitch|nvhda ON|OFF: /proc/acpi/NAME, read back (-EIO: not taken, -ENOENT: no such
                              *   module) */
        VERB_SLOT_POWER,     /* SLOT 0|1: /sys/bus/pci/slots/SLOT/power, read back (-ENOTTY: no such slot or no switch) */
        /* Reset. None of these asks who uses the card: the plan has. */
        VERB_RESET,          /* ADDR METHOD: that one method of the kernel's ("": its own order), and the former
                              *   reset_method put back; -ENOTTY: the card has no such reset, listed or not;
                              *   -EHOSTDOWN: it does not answer after it. -> `reset-method ADDR LIST` where the kernel
                              *   does not take the former list back: the one that it made instead */
        VERB_RESET_BELOW,    /* BRIDGE: reset_subordinate (-EAGAIN is tried again for a while, then -EBUSY; -ENOTTY: it
                              *   has none, or no bus below it) */
        VERB_REMOVE,         /* ADDR: from the bus; gone before is success. -EBUSY while it has a driver, or one below it
                              *   has (but for pcieport) */
        VERB_EJECT,          /* ADDR: the same while a VM has it: the guest is asked to let go, and this returns when it
                              *   has */
        VERB_RESCAN,         /* BUS ADDR…: "0000:01", that bus alone; -ENODEV names what is not there then */
        VERB_RESTORE_DECODES, /* ADDR: legacy VGA decodes io+mem by the arbiter, read back (-EBUSY: a driver owns them, -ENOTTY:
                              *   it is no VGA card) */
        VERB_KEEP,           /* ADDR DRIVER: the udev rule will reserve the function for DRIVER when it is added again;
                              *   "": no more */
        VERB_ALARM,          /* RTC SECONDS: wakes the host that long from now; 0: no more (-ENOTTY: it cannot) */
        /* Drivers. */
        VERB_OVERRIDE,       /* ADDR DRIVER: driver_override; "" clears it. Read back */
        VERB_UNBIND,         /* ADDR DRIVER: from exactly that driver; nothing bound is success */
        VERB_BIND,           /* ADDR DRIVER: through drivers/DRIVER/bind, and the link read back */
        VERB_REBIND,         /* ADDR DRIVER: override aimed at DRIVER, unbound from any other, bound: what undoes an
                              *   unbind */
        VERB_PROBE,          /* ADDR: override cleared, the kernel's own match by drivers_probe; -> `driver NAME` */
        VERB_WAIT_DRM,       /* ADDR SECONDS: until the function has a DRM node (-ETIMEDOUT) */
        VERB_WAIT_SCREEN,    /* ADDR SECONDS CONNECTOR…: until one of them ("HDMI-A-1") has a screen (-ETIMEDOUT) */
        /* Asking. */
        VERB_ASK_SOUND,      /* ADDR CARD: synthetic `remove` on the sound card, ACLs of its nodes dropped;
                              *   -> `saved PATH acl HEX` for each node that had one */
        VERB_RETURN_SOUND,   /* ADDR CARD [PATH HEX…]: ACLs put back, `add` on the card and on its controlC node */
        VERB_ASK_COMPOSITOR, /* ADDR CARD NAME…: synthetic `remove` on the DRM card, if whoever of a desktop has it open is a program of one
                              *   of these names; -> `saved CARD asked yes`, before */
        VERB_RETURN_COMPOSITOR, /* ADDR CARD: `add` on it; one that has gone meanwhile is success */
        VERB_END,            /* PID START SECONDS: TERM, KILL after SECONDS, by pidfd; -ESRCH (gone before) is success,
                              *   another start time too */
        VERB_RELEASE_CONSOLE, /* VTCON: unbound, read back */
        VERB_RESTORE_CONSOLE, /* VTCON: bound, read back */
        /* Access. */
        VERB_ACCESS,         /* ADDR UID: an ACL entry rw for the uid on the VFIO nodes of the function */
        VERB_REVOKE,         /* ADDR UID: the entry removed */
        /* Units of systemd1: the target is a module or a unit. */
        VERB_LOAD,           /* MODULE (or a modalias): gpuptd-modprobe@MODULE.service */
        VERB_UNLOAD,         /* MODULE [ADDR DRIVER]…: gpuptd-unload@MODULE.service (modprobe -r; its result counts); the
                              *   functions that lose their driver with it, for the undo */
        VERB_STOP_UNIT,      /* UNIT */
        VERB_START_UNIT,     /* UNIT: reset-failed, then started */
        VERB_RETURN_UNIT,    /* UNIT: the same, if this job has stopped it */
        VERB_END_SESSION,    /* SESSION USER TYPE SEAT: logind is asked to end it, and its scope is waited for; gone before is success */
        /* Programs, as transient units. */
        VERB_VENDOR_RESET,   /* ADDR: nvidia-smi --gpu-reset -i ADDR */
        VERB_XORG_FILES,     /* ADDR host|detached FILE…: words of xorg-file.h, by gpuptd-restore */
        VERB_HOOK,           /* NAME pre|post detach|attach RESULT OPERATION VM FUNCTION…: what one hook is told (hook-run.h);
                              *   of a pre RESULT is "" */
        /* Waits, in the daemon. */
        VERB_ASK,            /* ADDR SECONDS: the signal ReleaseRequested, with the time that there is */
        VERB_WAIT_ASKED,     /* ADDR SECONDS: census until nobody holds the GPU or the time is over; both are success */
        VERB_WAIT_FREE,      /* ADDR SECONDS: census until nobody holds the GPU */
        VERB_SUSPEND,        /* "-" SECONDS: the host sleeps by logind, and has woken when this is over */
        _VERB_MAX,
        _VERB_INVALID = -EINVAL,
} Verb;

DECLARE_STRING_TABLE(verb, Verb);

typedef struct VerbInfo {
        Executor executor;
        unsigned slow_sec;  /* after this it is logged and shown as slow */
        unsigned stuck_sec; /* after this the job ends as stuck (worker) or fails with Timeout (the rest) */
        bool writes;        /* changes something */
} VerbInfo;

const VerbInfo *verb_info(Verb v);
typedef struct Step {
        Verb verb;
        char *target;
        char **arguments; /* strv */
} Step;

/* Where the words of a hook's step stand among its arguments. */
enum {
        HOOK_WHEN,
        HOOK_ACT,
        HOOK_RESULT,
        HOOK_OPERATION,
        HOOK_VM,
        HOOK_FUNCTIONS, /* the first one of them */
};

/* Whether a plan goes on where the step fails: it improves something that the job is not about, or tells of what is done. */
bool step_is_optional(const Step *s);
/* A hook is told that all is done: nothing is taken back from there on, or it would have been told wrong. */
bool step_is_epilogue(const Step *s);
/* As the hook is called before or after it: "pre", "post". */
bool step_is_hook(const Step *s, const char *when);

int step_init(Step *s, Verb verb, const char *target, char *const *arguments);
void step_done(Step *s);

/* One sentence for people: what this step does. Newly allocated. */
char *step_describe(const Step *s);
