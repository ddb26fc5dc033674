/* SPDX-License-Identifier: GPL-2.0-or-later */
#pragma once

#include "client/client.h"

/* A verb returns its exit status, having reported what went wrong, or negative errno for what it could not foresee.
 * `args` are the words after the verb, NULL-terminated, as many as the table allows. */
typedef int (*VerbFunction)(Client *c, char **args);

typedef enum VerbFlags {
        VERB_TAKES_JOB_OPTIONS = 1 << 0,    /* those that fit every operation */
        VERB_TAKES_LOG_OPTIONS = 1 << 1,
        VERB_TAKES_COMMAND = 1 << 2,        /* everything after "--" */
        VERB_LOCAL_ONLY = 1 << 3,           /* refuses --host= */
        VERB_TAKES_FORCE = 1 << 4,          /* but no other option of a job */
        VERB_TAKES_OUTPUT = 1 << 5,
        VERB_TAKES_MOVE_OPTIONS = 1 << 6,   /* which functions go to which driver */
        VERB_TAKES_METHOD = 1 << 7,
        VERB_IS_OPERATION = 1 << 8,         /* has a plan, which takes the same options */
        VERB_TAKES_OPERATION = 1 << 9,      /* as its first word: it takes the options of that */
        VERB_TAKES_GUEST_OPTIONS = 1 << 10, /* how a guest is configured */
} VerbFlags;

typedef struct Verb {
        const char *name;
        const char *arguments;      /* what help shows */
        unsigned n_min, n_max;
        VerbFlags flags;
        VerbFunction run;
        const char *description;
} Verb;

/* Ends with a NULL name; the first is the default. */
extern const Verb verb_table[];

int verb_list(Client *c, char **args);
int verb_status(Client *c, char **args);
int verb_groups(Client *c, char **args);
int verb_holders(Client *c, char **args);
int verb_detach(Client *c, char **args);
int verb_attach(Client *c, char **args);
int verb_reset(Client *c, char **args);
int verb_recover(Client *c, char **args);
int verb_plan(Client *c, char **args);
int verb_run(Client *c, char **args);
int verb_jobs(Client *c, char **args);
int verb_cancel(Client *c, char **args);
int verb_monitor(Client *c, char **args);
int verb_log(Client *c, char **args);
int verb_check(Client *c, char **args);
int verb_rom(Client *c, char **args);
int verb_xml(Client *c, char **args);
int verb_guest_script(Client *c, char **args);
int verb_set_default(Client *c, char **args);
int verb_sleep(Client *c, char **args);
int verb_hook(Client *c, char **args);
int verb_rescan(Client *c, char **args);
int verb_reload(Client *c, char **args);
