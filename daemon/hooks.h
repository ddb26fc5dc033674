/* SPDX-License-Identifier: GPL-2.0-or-later */
#pragma once

/* hooks: the administrator's programs in HOOKS_DIRECTORY, which are told before and after something happens to a card: which are
 * there, in which order, and which of them may be run. gpuptd.hooks(7) is the protocol; hook-run.h runs one. */

#include "util/cleanup.h"

#include <sys/types.h>

#define HOOKS_DIRECTORY "/etc/gpuptd/hooks.d"
#define HOOKS_MAX 32U
#define HOOK_NAME_MAX 64U

/* Why a file that looks as if it were meant as one is no hook: a sentence for the log. */
typedef void (*hooks_warn_t)(const char *message, void *userdata);

/* The names, sorted; newly allocated strv, NULL if there is none. root is prepended to the directory ("" for the host), owner is
 * whose directory and files have to be (0 for the host): tests have their own. Only out of memory is a failure. */
int hooks_find(const char *root, uid_t owner, hooks_warn_t warn, void *userdata, char ***ret);

/* Whether the hook may be run now: 0, -ENOENT where it is gone, -EPERM where it must not be, or not any more, with a sentence fragment
 * in *ret_reason (static). */
int hooks_check(const char *root, uid_t owner, const char *name, const char **ret_reason);

/* A file name of [A-Za-z0-9_.-] that is not hidden, and none that an editor or a package manager has left behind. */
bool hook_name_valid(const char *name);
