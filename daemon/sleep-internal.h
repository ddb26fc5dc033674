/* SPDX-License-Identifier: GPL-2.0-or-later */
#pragma once

/* sleep-internal: what the files of the coordinator share. sleep.c has the cycles, their doors and who waits for
 * them; sleep-forth.c the way into the sleep, sleep-vm.c what is asked of VMs on it, sleep-back.c the way out;
 * sleep-hooks.c what hooks are told of both; sleep-evidence.c what the kernel had to say. Nobody else includes this.
 *
 * All of it is driven by levels: whatever has ended calls sleep_poke(), and sleep_drive() looks at how far
 * everything is and begins what can be begun. */

#include <time.h>

#include "hook-run.h"
#include "inhibitor.h"
#include "question.h"
#include "sleep-archive.h"
#include "sleep-gate.h"
#include "sleep-job.h"
#include "sleep.h"
#include "vm.h"

/* Who does not answer a question in that time would keep the host from sleeping for no reason that anybody sees. */
#define SLEEP_QUESTION_SEC 10U

typedef enum CardStep {
        CARD_WAITS,   /* for a job on it to end */
        CARD_SCANS,
        CARD_COUNTS,  /* who holds it */
        CARD_LOOKED,
        CARD_MOVES,   /* a job of ours is on it */
        CARD_EXAMINED, /* on the way back: it is being looked at while a VM has it */
        CARD_SETTLED,
} CardStep;

typedef struct CardWork {
        Sleep *sleep; /* weak */
        char *address;
        CardStep step;
        ScanWaiter *scan;
        CensusWaiter *census;
        unsigned job;      /* of ours, on the card; 0: none */
        unsigned rounds;   /* jobs that were begun on the way back */
        bool asked_to_go;  /* the job on it was asked to make way */
} CardWork;

typedef enum VmStep {
        VM_STEP_IDENTIFY,
        VM_STEP_STATUS,
        VM_STEP_CAPABILITIES,
        VM_STEP_DECIDE,
        VM_STEP_DECIDED,
        VM_STEP_ACT,
        VM_STEP_SETTLED,
        VM_STEP_MERGED, /* another process of a VM that is known already */
} VmStep;

/* A process that has a card open, on the way to a VM that has been dealt with. */
typedef struct VmWork {
        Sleep *sleep; /* weak */
        uint32_t pid;
        char **gpus;
        SleepPolicy policy; /* the strictest of its cards' */
        char *adapter, *id, *name, *title;
        char *stranger, *silent; /* see VmQuestion; NULL */
        VmState state;
        bool has_capabilities;
        VmAnswer capabilities;
        VmDecision decision;
        size_t index;      /* in the record, from VM_STEP_ACT on */
        uint64_t deadline; /* CLOCK_MONOTONIC */
        bool recorded;
        bool taken_over;   /* a daemon before had begun with it */
        VmStep step;
        bool busy;         /* a call is under way */
        VmCall *call;
        LIST_FIELDS(struct VmWork, vms);
} VmWork;

typedef enum BackStep {
        BACK_WAIT,  /* until what was begun on the way forth has ended */
        BACK_SCAN,
        BACK_CARDS,
        BACK_VMS,
        BACK_EVIDENCE,
        BACK_DONE,
} BackStep;

struct SleepWaiter {
        Sleep *sleep;
        unsigned cycle;
        bool finish;
        sleep_answer_t handler;
        void *userdata;
        LIST_FIELDS(struct SleepWaiter, waiters);
};

struct Sleep {
        Manager *m; /* weak */
        SleepCycles cycles;
        unsigned begun;      /* the newest cycle that was begun */
        unsigned late;       /* one that was announced before the daemon was ready: only the gate begins it */
        unsigned early;      /* SleepDoors that were opened before it is known what was left */
        bool early_finish;   /* and the gate, which was closed */
        SleepRecord *record; /* of the cycle under way, else of the last one; NULL: there was none */
        SleepJob *job;       /* NULL: nothing is being done */
        bool taken_up;
        void (*on_taken_up)(Manager *m);
        SleepGate *gate;     /* being asked */
        HookRun *hook;       /* being told */
        bool delay_held;     /* logind waits for us, as far as it has granted that */
        bool vm_lock, lid_lock;

        /* Forth. */
        bool calling_off;    /* a door was closed before it was ready */
        PowerSituation power;
        bool power_asked, power_known;
        bool decided;
        CardWork *cards;
        size_t n_cards;
        LIST_HEAD(VmWork, vms);

        /* Back. */
        BackStep back;
        size_t back_vm;      /* those from here on are through */
        VmCall *back_call;
        uint64_t patience;   /* CLOCK_MONOTONIC: until then, who does not answer is asked again; 0: once */
        ScanWaiter *back_scan;
        Question *statistics;
        bool evidence_taken; /* the statistics are in the record */

        sd_event_source *ask_again;
        sd_event_source *poke, *delay_limit, *look_limit, *orphan, *lid_timer;
        LIST_HEAD(SleepWaiter, waiters);
};

/* ---- sleep.c ---- */
bool sleep_is_over(const Sleep *s);
const SleepCycle *sleep_newest_cycle(const Sleep *s); /* NULL: there is none */
/* The id of the cycle that it opens. */
unsigned sleep_open_door(Sleep *s, SleepDoor door);
/* That of the one that it ends; 0: none. */
unsigned sleep_close_door(Sleep *s, SleepDoor door);
/* The job of the host: with the id that is in the record, or a new one. */
int sleep_show_job(Sleep *s, Operation operation);
int sleep_start_job(Sleep *s, Operation operation);
void sleep_set_phase(Sleep *s, SleepPhase phase);
/* It is prepared, and it is to be seen whether anybody remembers that. */
void sleep_watch_orphan(Sleep *s);
void sleep_resume(Sleep *s);
void sleep_poke(Sleep *s);
/* Writes the record down where something is owed. Failures are logged; negative: it is not on disk. */
int sleep_store(Sleep *s);
/* Keeps the host awake. The first one counts. */
void sleep_veto(Sleep *s, const char *gpu, const char *error, const char *format, ...) _printf_(4, 5);
void sleep_ready(Sleep *s);     /* prepared */
void sleep_turn_back(Sleep *s); /* to be undone */
void sleep_over(Sleep *s);      /* undone, or resumed */
void sleep_describe(Sleep *s, const char *format, ...) _printf_(2, 3);
void sleep_count_step(Sleep *s, unsigned done, unsigned all);
void sleep_log(const Sleep *s, int level, const char *message_id, const char *gpu, const char *format, ...)
        _printf_(5, 6);
/* The next name of a unit. */
unsigned sleep_next_call(Sleep *s, unsigned n);
uint64_t sleep_now(const Sleep *s);
/* NULL: it is gone. */
Gpu *sleep_gpu_of(const CardWork *c);
const SleepPolicy *sleep_policy_of(const Gpu *g);
/* The next cycle waits for this one to be over. */
bool sleep_is_awaited(const Sleep *s);

/* ---- sleep-locks.c ---- */
void sleep_update_asleep(Sleep *s);
/* logind waits for us, at the most for as long as it does; it does not. */
void sleep_hold_delay(Sleep *s);
void sleep_limit_delay(Sleep *s);
void sleep_release_delay(Sleep *s);
/* The lid is closed, and logind is not to try again until it opens or the VMs have ended. */
void sleep_hold_lid(Sleep *s);
/* Asks what the host lives on; true once s->power has it. */
bool sleep_power_is_known(Sleep *s);

/* ---- sleep-forth.c ---- */
int sleep_forth_begin(Sleep *s);
void sleep_forth_drive(Sleep *s);
/* Whether nothing that it has begun is under way any more. */
bool sleep_forth_is_quiet(const Sleep *s);
void sleep_forth_done(Sleep *s);

/* ---- sleep-vm.c ---- */
/* The process of a VM that has the card. */
int sleep_vm_add(Sleep *s, const Gpu *g, const Holder *h);
/* Goes on with asking; true once all are decided. */
bool sleep_vms_ask(Sleep *s);
/* Puts them into the record, and begins what was decided, unless that is a veto. */
int sleep_vms_begin(Sleep *s);
/* Goes on with what was begun; true once all have settled. */
bool sleep_vms_act(Sleep *s);
void sleep_vms_free(Sleep *s);

/* ---- sleep-back.c ---- */
void sleep_back_begin(Sleep *s);
void sleep_back_drive(Sleep *s);
void sleep_back_done(Sleep *s);

/* ---- sleep-hooks.c ---- */
/* Tells the next one of those that are to be told. True once there is none, also where they have been told of what comes after that;
 * a hook is running while s->hook. */
bool sleep_hooks_tell(Sleep *s, SleepTelling telling);

/* ---- sleep-evidence.c ---- */
/* What the kernel has said since it began. True once it is in the record. */
bool sleep_evidence_take(Sleep *s);
/* Microseconds. */
uint64_t sleep_clock(clockid_t clock);
/* From now on it is counted how long the host sleeps, and the kernel's lines are the sleep's. */
void sleep_start_clocks(SleepRecord *r);
/* For how long the host has slept since it began, microseconds. */
uint64_t sleep_measure(const SleepRecord *r);
