/* SPDX-License-Identifier: GPL-2.0-or-later */
#pragma once

/* gpu: one passthrough unit: which functions it is made of, in which state the kernel last showed them, who holds it,
 * what the host looked like before it was taken. It derives; it changes no hardware. */

#include "census.h"
#include "host-record.h"
#include "host.h"
#include "operation.h"
#include "plan.h"

typedef struct Intent Intent;
typedef struct RomRead RomRead;

#define GPU_PROPERTIES_MAX 40U

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
        char *identity; /* ids, see host_record_identity() */
        char **functions; /* display first */

        /* Of the display function, kept while it is absent. */
        char *name, *modalias;
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
        bool unreachable;    /* a job found its config space dead */
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

/* What plan_build() may look at; weak pointers into the GPU. */
void gpu_plan_input(const Gpu *g, const Holders *holders, PlanInput *ret);

void gpu_set_stuck(Gpu *g, const char *reason);
/* For good: it takes somebody to look at the file. The first reason stays. */
void gpu_set_inconsistent(Gpu *g, const char *format, ...) _printf_(2, 3);
/* Why not, and what to do; newly allocated. Of a GPU that is inconsistent. */
char *gpu_describe_inconsistency(const Gpu *g);
/* With the host, as far as anybody can see: every function has a driver of the host's. */
bool gpu_is_plainly_host(const Gpu *g);
/* "0000:01:00.0 (NVIDIA GA102)" for messages; newly allocated. */
char *gpu_title(const Gpu *g);
/* The nodes that a census looks for, "MAJOR:MINOR:PATH". */
int gpu_nodes(const Gpu *g, char ***ret);
