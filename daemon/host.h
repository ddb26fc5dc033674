/* SPDX-License-Identifier: GPL-2.0-or-later */
#pragma once

/* host: the machine as the daemon knows it: the last snapshot of its PCI functions and the scans that renew it, the
 * policy, and the services that jobs need. It does not know what a GPU or a job is; whoever does listens through HostListener. */

#include <systemd/sd-event.h>

#include "config.h"
#include "defaults.h"
#include "kernel-log.h"
#include "ladder-memory.h"
#include "quirks.h"
#include "reader.h"
#include "snapshot.h"
#include "util/list.h"

typedef struct Gpu Gpu;
typedef struct Host Host;
typedef struct Inhibitor Inhibitor;
typedef struct Job Job;
typedef struct Look Look;
typedef struct Scan Scan;
typedef struct ScanWaiter ScanWaiter;
typedef struct UnitClient UnitClient;

/* What the upper layers are told. All are set before anything runs. */
typedef struct HostListener {
        /* The snapshot has news about these functions (NULL: about all). */
        void (*scanned)(char *const *addresses, void *userdata);
        /* Something of the GPU that others can see changed. */
        void (*gpu_changed)(Gpu *g, void *userdata);
        void (*job_changed)(Job *j, void *userdata);
        void (*job_started)(Job *j, void *userdata);
        /* The job is over; it is freed after the call. */
        void (*job_ended)(Job *j, void *userdata);
        void (*release_requested)(Gpu *g, char *const *nodes, unsigned seconds, void *userdata);
        /* What another GPU that is not with the host has saved of a bridge that both are behind; NULL if none has. */
        const char *(*saved_elsewhere)(const Gpu *g, const char *subject, const char *key, void *userdata);
        void *userdata;
} HostListener;

struct Host {
        sd_event *event;
        char *run_dir, *state_dir;
        char *worker_program;
        Config *config;
        char **hooks;          /* names of those that are to be told; as host_find_hooks() has found them last */
        char **hook_warnings;  /* what it had to say of others */
        QuirkDb *quirks;
        ReaderPool *readers;
        LadderMemory *ladder_memory;
        Defaults *defaults; /* NULL: the file is not ours to use */
        bool off;           /* gpuptd=off on the kernel's command line: no card is taken from the host in this boot */
        KernelLog *kernel_log;
        UnitClient *units;     /* weak */
        Inhibitor *inhibitor;  /* weak */
        Snapshot *snapshot;
        bool scanned;          /* the first inventory is in */
        bool asleep;           /* the host may fall asleep at any moment: jobs write nothing (sleep.c says when) */
        HostListener listener;
        LIST_HEAD(Scan, scans);
        LIST_HEAD(ScanWaiter, scan_waiters);
        sd_event_source *retry; /* an inventory that makes up for scans that came to nothing */
        unsigned retries;       /* since the last one that did not */
        uint64_t looks;        /* that have begun */
        unsigned last_job;     /* id of the last job that this daemon has begun or taken up */
        LIST_HEAD(Look, taken); /* the last one of each key */
};

int host_new(sd_event *event, const char *run_dir, const char *worker_program, Host **ret);
Host *host_free(Host *h);
DEFINE_CLEANUP(Host *, host_free);

/* Reads the configuration again; on failure the old one stays. */
int host_load_config(Host *h);

/* Looks for hooks, and warns of those that are not run, once of each. Good until it is called again. */
char *const *host_find_hooks(Host *h);

/* Asks a worker for a fresh look at these functions (NULL: at all of them). There is at most one scan per key (a GPU's
 * address, or "" for the inventory) at a time; what is asked for meanwhile is one more scan after it. */
int host_scan(Host *h, const char *key, char *const *addresses);
/* Likewise for a caller, who is told when a scan that began after this call is over, whatever came of it. The waiter is freed after
 * the call. */
typedef void (*scan_handler_t)(void *userdata);
int host_scan_wait(Host *h, const char *key, char *const *addresses, scan_handler_t handler, void *userdata, ScanWaiter **ret);
ScanWaiter *scan_waiter_free(ScanWaiter *w);
DEFINE_CLEANUP(ScanWaiter *, scan_waiter_free);
/* Looks overlap: the number of one is drawn before its worker is asked. */
uint64_t host_look_begins(Host *h);
/* Takes in what a worker has read: word lines of a snapshot of these functions, as they were when look number `began`
 * began. What a later look has already said of a function stays. */
int host_take_snapshot(Host *h, uint64_t began, const char *key, const char *text, size_t size, char *const *addresses);

/* An anonymous worker of one's own, or that of a job on a GPU. What only reads and has no hurry to be alone asks a reader. */
int host_new_worker(Host *h, unsigned job, const char *gpu, worker_handler_t handler, void *userdata, Worker **ret);
