/* SPDX-License-Identifier: GPL-2.0-or-later */
#pragma once

#include <stdbool.h>
#include <stdint.h>

#include <systemd/sd-bus.h>

typedef enum JsonMode {
        JSON_OFF,
        JSON_SHORT,
        JSON_PRETTY,
} JsonMode;

/* What the command line said. Strings are argv's unless said. */
typedef struct Options {
        JsonMode json;
        bool pager, legend, ask_password, block, quiet;
        const char *host;           /* -H, or NULL for this machine */

        /* of a job: they travel in the a{sv} of Detach, Attach, Reset, Recover, Acquire and Plan */
        bool force, disrupt_session, dry_run;
        bool wait_set;
        uint32_t wait;              /* seconds */
        char **functions;           /* owned */
        const char *driver, *access;
        const char *method;         /* of a reset */
        /* The first that was given of those that fit every job (but force) and of those that move functions, for
         * complaints; or NULL. */
        const char *job_option, *move_option;

        const char *output;         /* -o, or NULL */

        /* of a guest's configuration */
        const char *format, *rom;
        const char *guest_option;   /* as job_option */

        /* of the log */
        bool follow;
        bool lines_set;
        uint32_t lines;
        const char *log_option;     /* as job_option */

        char **command;             /* what follows "--", or NULL if there was none */
} Options;

typedef struct OptionInfo {
        const char *name;           /* without the dashes */
        char letter;                /* typed by the user if option_is_typed(), else a code of ours */
        const char *argument;       /* what help calls it, or NULL if the option takes none */
        const char *description;
} OptionInfo;

/* Ends with a NULL name. */
extern const OptionInfo option_table[];
bool option_is_typed(const OptionInfo *i);

/* Parses argv[1..] and leaves in *ret_args what is no option (verb first, NULL-terminated, free() the array only).
 * Returns 0, or 'h' or 'V' if help or the version was asked for. A mistake has been complained about: -EINVAL. */
int options_parse(Options *o, int argc, char **argv, char ***ret_args);
void options_done(Options *o);

/* Appends the a{sv} that the methods of a GPU take; only what was given. 0 or negative errno. */
int options_append(const Options *o, sd_bus_message *m);
