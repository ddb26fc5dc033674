/* SPDX-License-Identifier: GPL-2.0-or-later */
#pragma once

/* config: what the administrator says: gpuptd.conf with its drop-ins, and one `.gpu` file per card. The parser has
 * systemd's semantics: the main file is the first found of /etc, /run, /usr/local/lib, /usr/lib (each + /gpuptd/);
 * drop-ins gpuptd.conf.d/NAME.conf of all four are read sorted by NAME, a NAME in an earlier directory hides the
 * later ones, a link to /dev/null (or an empty file) masks; the last assignment wins, an empty value resets. `*.gpu`
 * files likewise by name; the first file (by name) whose [Match] fits a card applies to it alone. Unknown keys and
 * bad values are a warning with file and line; the rest is used. */

#include "rung.h"
#include "sleep-policy.h"
#include "snapshot.h"
#include "util/string-table.h"

typedef enum AfterVm {
        AFTER_VM_KEEP,
        AFTER_VM_HEAL, /* the default */
        AFTER_VM_ATTACH,
        _AFTER_VM_MAX,
        _AFTER_VM_INVALID = -EINVAL,
} AfterVm;

typedef enum IdlePower {
        IDLE_POWER_AUTO, /* the default: runtime PM while detached, D3cold off */
        IDLE_POWER_ON,
        _IDLE_POWER_MAX,
        _IDLE_POWER_INVALID = -EINVAL,
} IdlePower;

typedef enum LastDisplay {
        LAST_DISPLAY_PROTECT, /* the default */
        LAST_DISPLAY_ALLOW,
        _LAST_DISPLAY_MAX,
        _LAST_DISPLAY_INVALID = -EINVAL,
} LastDisplay;

typedef enum Desktops {
        DESKTOPS_USE,   /* the default: they take every card that appears */
        DESKTOPS_LEAVE, /* not this one: a rule of udev keeps it from their seat */
        _DESKTOPS_MAX,
        _DESKTOPS_INVALID = -EINVAL,
} Desktops;

/* What becomes of that of which a hook was told before, where the hook fails. */
typedef enum HookErrorPolicy {
        HOOK_ERROR_REFUSE, /* the default: it is not done */
        HOOK_ERROR_CONTINUE,
        _HOOK_ERROR_POLICY_MAX,
        _HOOK_ERROR_POLICY_INVALID = -EINVAL,
} HookErrorPolicy;

DECLARE_STRING_TABLE(after_vm, AfterVm);
DECLARE_STRING_TABLE(idle_power, IdlePower);
DECLARE_STRING_TABLE(last_display, LastDisplay);
DECLARE_STRING_TABLE(desktops, Desktops);
DECLARE_STRING_TABLE(hook_error_policy, HookErrorPolicy);

#define DISPLAY_TIMEOUT_MAX_SEC 3600U
#define DISPLAY_TIMEOUT_INHERIT UINT32_MAX

/* Which keys of [Sleep] a file has. */
typedef struct SleepKeys {
        bool vm, restartable, gpu, on_error, lid_closed, timeout_sec;
} SleepKeys;

/* One `.gpu` file. What its [Match] does not name fits every card, but a file whose [Match] names nothing fits none,
 * and neither does one whose [Match] has a line that cannot be understood: it would fit more cards than was meant. */
typedef struct GpuConfig {
        char *file; /* as it was given to config_parse_gpu(): its path, for messages */
        struct {
                char *address, *path;               /* Address= (exact), Path= (Function.path, fnmatch) */
                uint32_t vendor, device, subsystem; /* Vendor=, Device= hex; Subsystem=vvvv:dddd as vvvvdddd */
                bool has_vendor, has_device, has_subsystem;
                bool unusable;                      /* a line of it was not understood */
        } match;
        char *alias;
        char **functions;        /* Functions=, entries as in selector_explicit() */
        char *host_driver, *vfio_driver;
        char *default_state;     /* Default=host|vfio; acted upon in a later release */
        AfterVm after_vm;
        IdlePower idle_power;
        char **before_vfio;      /* BeforeVfio=: "reset", "refresh" or "none" for every function, or "ROLE:WORD" (audio:reset)
                                  *   for those of one role (function_role()); the last fitting word counts */
        char **ladder, **forbid; /* [Reset] Ladder=, Forbid=: words of rung.h */
        char **stop_units;       /* [Session] StopUnits=: further units that hold the card, stopped for a detach */
        LastDisplay last_display; /* that of gpuptd.conf where the file says nothing; invalid before config_load() */
        unsigned display_timeout_sec; /* likewise; DISPLAY_TIMEOUT_INHERIT before config_load() */
        SleepPolicy sleep;        /* likewise each of its fields; before config_load() only those of sleep_given count */
        SleepKeys sleep_given;    /* what the file itself says */
        char **xorg_files;        /* XorgFiles=: words of xorg-file.h */
        char **ask_compositors;   /* AskCompositors=: names of programs that let go of a card when udev says that it has gone */
        Desktops desktops;        /* Desktops= */
} GpuConfig;

typedef struct Config {
        /* [Daemon] */
        unsigned step_timeout_sec;     /* StepTimeoutSec=: every step's stuck limit; 0 (default): each verb's own */
        unsigned wait_sec;             /* WaitSec=: the default of the option `wait`; 15 */
        unsigned jobs_per_sender;      /* LimitJobs=: 16 */
        unsigned queries_per_sender;   /* LimitQueries=: polkit questions pending, and censuses; 8 */
        unsigned leases_per_sender;    /* LimitLeases=: 8 */
        LastDisplay last_display;      /* [Session] LastDisplay= for every card without its own */
        unsigned display_timeout_sec;  /* DisplayTimeoutSec= likewise; 0 (default): nobody watches */
        SleepPolicy sleep;             /* [Sleep] for every card without its own */
        unsigned hook_timeout_sec;     /* [Hooks] TimeoutSec=: of each call of each hook; 30 */
        HookErrorPolicy hook_on_error; /* [Hooks] OnError= */
        bool gate;                     /* Gate=: what cannot be prepared may keep the host awake; true */
        GpuConfig **gpus;              /* sorted by file name */
        size_t n_gpus;
} Config;

/* A message for the log about one line of one file. */
typedef void (*config_warn_t)(const char *file, unsigned line, const char *message, void *userdata);

/* root is prepended to the four directories ("" for the host; tests have their own). Never fails for what is in the
 * files: what cannot be used is warned about. */
int config_load(const char *root, config_warn_t warn, void *userdata, Config **ret);
/* One text as if it were the file (fuzzing, tests). */
int config_parse_main(Config *c, const char *file, const char *text, config_warn_t warn, void *userdata);
int config_parse_gpu(const char *file, const char *text, config_warn_t warn, void *userdata, GpuConfig **ret);

Config *config_new(void); /* the defaults */
Config *config_free(Config *c);
GpuConfig *gpu_config_free(GpuConfig *g);
DEFINE_CLEANUP(Config *, config_free);
DEFINE_CLEANUP(GpuConfig *, gpu_config_free);

/* What the file does not say becomes that of gpuptd.conf: the last step of config_load(). */
void gpu_config_inherit(GpuConfig *g, const Config *c);

/* What is done around a sleep of the host with a card that has this `.gpu` file; NULL: one that has none. */
const SleepPolicy *config_sleep_policy(const Config *c, const GpuConfig *g);

/* How long somebody may wait for a picture; 0: nobody watches. Likewise. */
unsigned config_display_timeout(const Config *c, const GpuConfig *g);

/* What BeforeVfio= says of a function: "none", "reset" or "refresh". The configuration may be NULL. */
const char *config_before_vfio(const GpuConfig *g, const Function *f);

/* The `.gpu` file for a card, by its display function; NULL if none fits. */
const GpuConfig *config_match(const Config *c, const Function *display);
