/* SPDX-License-Identifier: GPL-2.0-or-later */
#pragma once

/* manager-defaults: what a card is to be from the boot on. Keeps what was said (defaults.h), and the rules of udev that follow from it and
 * from the configuration, in step with the cards that there are. The rules are written by gpuptd-restore, outside of the
 * daemon's sandbox. */

#include "manager.h"

typedef struct DefaultWaiter DefaultWaiter;

/* error: 0, or a negative errno and what went wrong, which is then undone as far as the daemon can. The waiter is freed after the
 * call. */
typedef void (*default_handler_t)(int error, const char *text, void *userdata);

/* Notes it, and tells when the rules are in place. Never calls the handler from within. -EPROTONOSUPPORT: what is on disk is not ours to
 * replace. */
int manager_set_default(Manager *m, const Gpu *g, bool vfio, default_handler_t handler, void *userdata, DefaultWaiter **ret);
/* The handler is not called. */
DefaultWaiter *default_waiter_free(DefaultWaiter *w);

/* The cards, or the configuration, may be others than when the rules were made. */
void manager_follow_defaults(Manager *m);
/* Stops listening. */
void manager_free_defaults(Manager *m);
