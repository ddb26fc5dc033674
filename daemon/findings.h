/* SPDX-License-Identifier: GPL-2.0-or-later */
#pragma once

/* findings: is this host ready for passthrough, and what is to be done where it is not. Pure: a survey, the snapshot and
 * what the daemon knows of its GPUs in, a list of findings out. The list reads as a checklist: what is well has its line
 * too. Nothing here is the health of a card after an operation. */

#include "config.h"
#include "operation.h"
#include "saved.h"
#include "sleep-policy.h"
#include "snapshot.h"
#include "defaults.h"
#include "survey.h"
#include "vm-answer.h"

typedef enum FindingResult {
        FINDING_OK,
        FINDING_WARN, /* works, but not as one would expect, or not for everybody */
        FINDING_FAIL, /* no passthrough, or not of this GPU */
        _FINDING_RESULT_MAX,
        _FINDING_RESULT_INVALID = -EINVAL,
} FindingResult;

DECLARE_STRING_TABLE(finding_result, FindingResult);

typedef struct Finding {
        const char *id;  /* GROUP.CHECK; static. The same id again for every GPU, function or file that it is about */
        FindingResult result;
        char *summary;   /* one line that names what it is about; valid UTF-8 without control characters */
        char *hint;      /* what to do, likewise; "" if nothing */
} Finding;

typedef struct Findings {
        Finding *list;
        size_t n;
        bool out_of_memory;
} Findings;

/* One GPU; all weak. */
typedef struct FindingsGpu {
        const char *address, *name; /* name may be NULL */
        char *const *functions;     /* display first; not all need be in the snapshot */
        char *const *blockers;      /* as of selector_blockers() */
        GpuState state;
        bool taken;                 /* by gpuptd: that it is with VFIO is meant so */
        bool default_vfio;          /* it is to be with VFIO from the boot on */
        LastDisplay last_display;
        const SleepPolicy *sleep;   /* NULL: not known */
} FindingsGpu;

/* A VM that has a GPU now; all weak. */
typedef struct FindingsVm {
        const char *gpu;          /* the address of the first one that it has */
        SleepPolicy policy;       /* the strictest of its cards' */
        const char *name;         /* for sentences */
        const char *stranger;     /* why nobody knows how to talk to it; NULL: somebody does */
        const VmAnswer *capabilities; /* NULL: it does not say, and why is in silent */
        const char *silent;
} FindingsVm;

/* What systemd does to the sessions of users while the host sleeps. */
typedef struct FindingsFreezer {
        unsigned version; /* of systemd; 0: not known */
        bool off;         /* somebody has switched it off */
} FindingsFreezer;

/* RLIMIT_MEMLOCK of whoever asks, in bytes; UINT64_MAX is no limit. */
typedef struct FindingsCaller {
        bool known;
        uint32_t uid;
        uint64_t memlock_soft, memlock_hard;
} FindingsCaller;

typedef struct FindingsInput {
        const Snapshot *snapshot;
        const Survey *survey;   /* NULL: there is none, and the findings that need one are missing */
        const Saved *overrides; /* key "override" of the GPUs' functions; NULL: not known */
        const char *survey_problem, *overrides_problem; /* why, in the middle of a sentence: "failed: …" */
        const FindingsGpu *gpus;
        size_t n_gpus;
        const Defaults *defaults; /* what was said of cards, those that are not there included; NULL: not known */
        bool off;                 /* gpuptd=off */
        FindingsCaller caller;
        char *const *hooks;         /* names of those that are told; NULL: there are none */
        char *const *hook_warnings; /* sentences about those that are not */
        bool gate;              /* the configuration wants the host to wait for gpuptd */
        FindingsFreezer freezer;
        const FindingsVm *vms;
        size_t n_vms;
} FindingsInput;

/* 0 or -ENOMEM. */
int findings_make(const FindingsInput *in, Findings **ret);
Findings *findings_free(Findings *f);
DEFINE_CLEANUP(Findings *, findings_free);
