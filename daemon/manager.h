/* SPDX-License-Identifier: GPL-2.0-or-later */
#pragma once

/* manager: all GPUs and jobs of the host and the leases on them; turns what happens (scans, udev, opened nodes, machines that come and
 * go, sleep) into the right looks, and what is asked into jobs. Its bus face is manager-bus.c, which it knows only as
 * hooks. */

#include <systemd/sd-bus.h>

#include "job.h"
#include "lease.h"

typedef struct CheckCall CheckCall;
typedef struct DefaultWaiter DefaultWaiter;
typedef struct DisplayWatch DisplayWatch;
typedef struct Exec Exec;
typedef struct Manager Manager;
typedef struct NodeWatch NodeWatch;
typedef struct Polkit Polkit;
typedef struct Request Request;
typedef struct Sleep Sleep;
typedef struct SleepCall SleepCall;
typedef struct Surveyor Surveyor;
typedef struct UdevMonitor UdevMonitor;

/* Who tells the bus. All set by manager_bus_export(), before anything runs. */
typedef struct ManagerHooks {
        void (*gpu_added)(Manager *m, Gpu *g);
        void (*gpu_changed)(Manager *m, Gpu *g);
        void (*job_added)(Manager *m, JobFace *f);
        void (*job_changed)(Manager *m, JobFace *f);
        void (*job_removed)(Manager *m, JobFace *f);
        void (*release_requested)(Manager *m, Gpu *g, char *const *nodes, unsigned seconds);
        void (*sleep_changed)(Manager *m);
        /* The host stays awake; gpu is "" where no GPU is the reason. */
        void (*sleep_vetoed)(Manager *m, const char *gpu, const char *reason);
        /* The GPUs are known (or take long): the name may be owned, and the service is ready then. */
        void (*ready)(Manager *m);
} ManagerHooks;

typedef struct ManagerLease {
        Lease *lease;
        LIST_FIELDS(struct ManagerLease, leases);
} ManagerLease;

struct Manager {
        sd_event *event;
        sd_bus *bus;
        Host *host;
        Polkit *polkit;
        Inhibitor *inhibitor;
        Sleep *sleep;
        UnitClient *units;
        UdevMonitor *monitor;
        NodeWatch *nodes;
        sd_event_source *watch; /* timer, on while a GPU is assigned */
        sd_bus_slot *machine_new, *machine_removed;
        sd_event_source *later_looks; /* those that follow a sign that somebody has opened a card, or will soon */
        unsigned later_round, later_rounds;
        ManagerHooks hooks;

        LIST_HEAD(Gpu, gpus);
        LIST_HEAD(Job, jobs); /* those that run; a stuck one is its GPU's */
        JobFace *host_job;    /* weak: that of the host's sleep or wake, while it runs */
        LIST_HEAD(ManagerLease, leases);
        LIST_HEAD(Request, requests); /* method calls that wait for polkit or a census: request.c */
        LIST_HEAD(CheckCall, checks);  /* calls of Check that wait: check-bus.c */
        LIST_HEAD(SleepCall, sleep_calls); /* PrepareSleep and FinishSleep likewise: sleep-bus.c */
        LIST_HEAD(DisplayWatch, display_watches); /* display-watch.c */
        LIST_HEAD(DefaultWaiter, default_waiters); /* calls of SetDefault: manager-defaults.c */
        Exec *defaults_rules, *defaults_initramfs; /* what it runs */
        bool defaults_again, defaults_renew;       /* once more, behind them */
        bool defaults_changed, defaults_followed;
        Surveyor *surveyor;            /* whom they wait for; NULL before the first */
        unsigned last_lease;
        bool taking_up;       /* the first inventory was taken in */
        bool inventoried;     /* the first inventory was taken in, and what the last daemon left was taken up */
        sd_event_source *ready;
        bool ready_sent;
        sd_event_source *tell; /* changed properties are told when it fires: manager-bus.c */
};

int manager_new(sd_event *event, sd_bus *bus, const char *run_dir, const char *worker_program, Manager **ret);
Manager *manager_free(Manager *m);
DEFINE_CLEANUP(Manager *, manager_free);
/* Watches, takes the first inventory, takes up what a daemon before left. */
int manager_start(Manager *m);
/* Reads the configuration again and applies it. */
int manager_reload(Manager *m);
/* Reads everything again. */
int manager_rescan(Manager *m);

/* A sleep of the host has begun, gone on or ended. */
void manager_sleep_changed(Manager *m);

Gpu *manager_find_gpu(const Manager *m, const char *address);
/* By what people type: an address (full, without domain, without function), a companion's address, an alias, or
 * vendor:device if exactly one GPU has them. -ENODEV: no such GPU, -ENOTUNIQ: several. */
int manager_resolve_gpu(const Manager *m, const char *name, Gpu **ret);
Job *manager_find_job(const Manager *m, unsigned id);
/* Every job that runs, one after the other (from NULL to NULL): the host's own, then those of GPUs. */
JobFace *manager_next_face(const Manager *m, const JobFace *f);
JobFace *manager_find_face(const Manager *m, unsigned id);
Lease *manager_find_lease(const Manager *m, const Gpu *g);

/* Why no job can be started on the GPU now: an error name (static) and a sentence; NULL if one can. */
const char *manager_refuse_job(const Manager *m, const Gpu *g, const char *sender, char **ret_message);
/* Starts one. Takes over options and shown. The listener is not told yet: the caller answers first, then calls
 * manager_announce_job(). */
int manager_start_job(Manager *m, Gpu *g, Operation operation, PlanOptions *options, uint32_t uid, const char *sender,
                      Holders *shown, Job **ret);
void manager_announce_job(Manager *m, Job *j);
/* A lease on the GPU, bound to the detach job that was just started. */
int manager_new_lease(Manager *m, Gpu *g, uint32_t uid, const char *sender, int *ret_fd);
void manager_end_lease(Manager *m, Lease *lease);
unsigned manager_count_leases(const Manager *m, const char *sender);
/* Attaches what was leased and no longer is, where nothing is in the way. */
void manager_follow_leases(Manager *m);
/* Those that a daemon before has left. */
void manager_load_leases(Manager *m);
