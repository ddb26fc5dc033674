/* SPDX-License-Identifier: GPL-2.0-or-later */
#pragma once

/* inhibitor: logind's lock against sleep ("block"), held while a job writes to the kernel, and logind's announcements
 * of sleep. Counted: the first hold takes the lock, the last release drops it. Without logind it does nothing. It
 * never waits: a lock that logind has not granted yet is not there, and jobs do not wait for it. */

#include <systemd/sd-bus.h>

#include "util/cleanup.h"

typedef struct Inhibitor Inhibitor;

/* inhibitor_sleeping() has changed: by PrepareForSleep, by what logind says when it is found, or because it has gone. The
 * handler must not free the inhibitor. */
typedef void (*inhibitor_sleep_handler_t)(bool start, void *userdata);

int inhibitor_new(sd_bus *bus, inhibitor_sleep_handler_t handler, void *userdata, Inhibitor **ret);
Inhibitor *inhibitor_free(Inhibitor *i);
DEFINE_CLEANUP(Inhibitor *, inhibitor_free);

void inhibitor_hold(Inhibitor *i);
void inhibitor_release(Inhibitor *i);
/* logind says that a sleep is under way (PreparingForSleep). */
bool inhibitor_sleeping(const Inhibitor *i);
/* Whether that is known yet: logind has been asked, and has answered or is not there. If not, the handler is called once it
 * is; it has the userdata of inhibitor_new(). */
bool inhibitor_when_known(Inhibitor *i, void (*handler)(void *userdata));
