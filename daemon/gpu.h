/* SPDX-License-Identifier: GPL-2.0-or-later */
#pragma once

/* gpu: one passthrough unit: which functions it is made of, in which state the kernel last showed them, who holds it,
 * what the host looked like before it was taken. It derives; it changes no hardware. */

#include "census.h"
#include "health.h"
#include "host-record.h"
#include "host.h"
#include "operation.h"
#include "plan.h"

typedef struct Intent Intent;
typedef struct Checkup Checkup;
typedef struct Question Question;
typedef struct RomRead RomRead;

#define GPU_PROPERTIES_MAX 40U

typedef void (*gpu_examined_t)(Gpu *g, void *userdata);

/* How the last job on it ended; id 0: there was none. */
typedef struct LastJob {
        unsigned id;
        Operation operation;
        JobResult result;
        char *error, *message; /* never NULL once id is set */
        uint64_t realtime_usec;
} LastJob;

struct Gpu {
        Host *host; /* weak */
        char *address;  /* of the display function: its name for life */
        char *identity; /* ids, see function_identity() */
        char **functions; /* display first */

        /* Of the display function, kept while it is absent. */
        char *name, *modalias, *slot;
        char **bridges, **switches;
        uint32_t class;
        uint16_t vendor, device, subsystem_vendor, subsystem_device;
        bool boot_vga;

        const GpuConfig *config; /* weak, of host->config; NULL: none */
        const GpuConfig *warned_about; /* only compared */
        Quirks quirks;
        char **blockers;
        bool viable;
        GpuState state;

        HostRecord *record;  /* NULL: gpuptd has not taken it */
        bool record_unfit;   /* there is a record, of another card or another format */
        bool inconsistent;   /* what is on disk about it cannot be used: nothing is changed then */
        char *inconsistency; /* the file, and what is wrong with it: part of a sentence */
        Holders *holders;    /* of the last census; NULL: there was none since the state last changed */
        Census *census;      /* running */
        CensusWaiter *look;  /* its own, started by gpu_look() */
        bool look_again;
        RomRead *rom_read;   /* running */
        char **on_vfio;      /* functions that were bound to a VFIO driver when nothing was stuck last */

        HealthReport *report;  /* of the last checkup or measurement; NULL: nobody has looked since the state last changed */
        uint64_t report_since; /* from when on it has read the kernel's log, CLOCK_MONOTONIC */
        bool unreachable;      /* it says that the config space is dead */
        Checkup *checkup;      /* running, of gpu_examine(); then the handler */
        uint64_t examined_since;
        gpu_examined_t examined;
        void *examined_userdata;
        bool vm_closed;        /* a VM has closed it, and nobody has taken notice yet */
        Question *sensing;     /* running, of gpu_note_sensors() */
        Measurement *sensors;  /* as they were with the host's driver last; NULL: not known */
        bool had_drm;          /* it had a DRM node with the host's driver */
        char **screens;        /* connectors that had a screen then */
        char **missed_screens; /* likewise before it was taken, while a recovery is to bring one of them back (display-watch.h) */

        char *stuck;         /* why it is stuck, in a sentence; NULL: it is not */

        Job *job;      /* weak: the one that runs */
        Job *stuck_job; /* owned by job.c's rules: ended as stuck, its worker has not come back */
        LastJob last_job;

        uint64_t told[GPU_PROPERTIES_MAX]; /* hash of each property as the bus was last told: gpu-bus.c */
        LIST_FIELDS(Gpu, gpus);
};

int gpu_new(Host *h, const char *address, Gpu **ret);
Gpu *gpu_free(Gpu *g);
DEFINE_CLEANUP(Gpu *, gpu_free);

/* Derives everything from the host's snapshot (and the configuration) again, and tells the listener. Where it could be
 * that a VM opened or closed it, a census follows. */
void gpu_update(Gpu *g);

/* Asks for a fresh scan of its functions, and of the neighbours that decide on its viability. */
int gpu_scan(Gpu *g);
/* Likewise for a caller, who is told when it is over. */
int gpu_scan_wait(Gpu *g, scan_handler_t handler, void *userdata, ScanWaiter **ret);
/* The addresses that gpu_scan() asks for; newly allocated. */
int gpu_scan_addresses(const Gpu *g, char ***ret);

/* Looks who holds it, and updates the state. Coalesced. */
void gpu_look(Gpu *g);
/* Likewise for a caller, who gets the answer. */
int gpu_census(Gpu *g, census_handler_t handler, void *userdata, CensusWaiter **ret);

bool gpu_has_function(const Gpu *g, const char *address);
const Function *gpu_display(const Gpu *g); /* NULL while absent */

/* ---- health: gpu-health.c ---- */

/* What health_judge() may look at, but for measurements; weak pointers into the GPU. */
void gpu_health_input(const Gpu *g, HealthInput *ret);
/* Takes over a report (NULL: nothing is known), and derives the state anew. */
void gpu_take_report(Gpu *g, HealthReport *report, uint64_t since_usec);
/* A checkup in the background: its report is taken, then the handler (or NULL) is called. One that runs already is given
 * up. since_usec: of the kernel's log, CLOCK_MONOTONIC. */
int gpu_examine(Gpu *g, uint64_t since_usec, gpu_examined_t handler, void *userdata);
/* A step has found its config space dead, or alive. */
void gpu_note_alive(Gpu *g, bool alive);
/* Keeps in mind how it is with the host's driver: its DRM node and screens, from the snapshot. */
void gpu_note_display(Gpu *g);
/* Likewise its sensors, which a worker of its own reads. Nobody waits for that. */
void gpu_note_sensors(Gpu *g);

/* What plan_build() may look at; weak pointers into the GPU. */
void gpu_plan_input(const Gpu *g, const Holders *holders, PlanInput *ret);

void gpu_set_stuck(Gpu *g, const char *reason);
/* For good: it takes somebody to look at the file. The first reason stays. */
void gpu_set_inconsistent(Gpu *g, const char *format, ...) _printf_(2, 3);
/* Why not, and what to do; newly allocated. Of a GPU that is inconsistent. */
char *gpu_describe_inconsistency(const Gpu *g);
/* Whether it is to be with VFIO from the boot on: what was said of this very card, or else its .gpu file. */
bool gpu_default_is_vfio(const Gpu *g, const Defaults *d);
/* Whether the host would have no display without it that somebody looks at, and LastDisplay= does not allow that. */
bool gpu_blanks_last_display(const Gpu *g);
/* With the host, as far as anybody can see: every function has a driver of the host's. */
bool gpu_is_plainly_host(const Gpu *g);
/* "0000:01:00.0 (NVIDIA GA102)" for messages; newly allocated. */
char *gpu_title(const Gpu *g);
/* The nodes that a census looks for, "MAJOR:MINOR:PATH". */
int gpu_nodes(const Gpu *g, char ***ret);
