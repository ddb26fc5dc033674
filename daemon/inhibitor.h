/* SPDX-License-Identifier: GPL-2.0-or-later */
#pragma once

/* inhibitor: gpuptd's locks at logind, and what logind says about sleep, lid and power supply. Each lock is counted: its
 * first hold takes it, the last release drops it. Without logind it does nothing. It never waits: a lock that logind has
 * not granted yet is not there, and nobody waits for it. A lock that is refused, since a sleep is under way, is asked for
 * again when that is over; one that is held is taken anew from a logind that has been started again. */

#include <systemd/sd-bus.h>

#include "util/cleanup.h"

typedef struct Inhibitor Inhibitor;

typedef enum InhibitorLock {
        LOCK_JOB,   /* sleep:block, while a job writes to the kernel */
        LOCK_DELAY, /* sleep:delay, always but while a sleep goes on: what has to be done before it has a few seconds */
        LOCK_VM,    /* sleep:block, while a VM has a card of which the administrator says VirtualMachine=inhibit */
        LOCK_LID,   /* handle-lid-switch:block, after a veto with the lid closed: logind would try again for ever */
        _INHIBITOR_LOCK_MAX,
} InhibitorLock;

/* inhibitor_sleeping() has changed: by PrepareForSleep, by what logind says when it is found, or because it has gone. The
 * handler must not free the inhibitor. */
typedef void (*inhibitor_sleep_handler_t)(bool start, void *userdata);

int inhibitor_new(sd_bus *bus, inhibitor_sleep_handler_t handler, void *userdata, Inhibitor **ret);
Inhibitor *inhibitor_free(Inhibitor *i);
DEFINE_CLEANUP(Inhibitor *, inhibitor_free);

void inhibitor_hold(Inhibitor *i, InhibitorLock lock);
void inhibitor_release(Inhibitor *i, InhibitorLock lock);
/* logind says that a sleep is under way (PreparingForSleep). */
bool inhibitor_sleeping(const Inhibitor *i);
/* Whether that is known yet: logind has been asked, and has answered or is not there. If not, the handler is called once it
 * is; it has the userdata of inhibitor_new(). */
bool inhibitor_when_known(Inhibitor *i, void (*handler)(void *userdata));

/* What the host lives on. Of LidClosed and OnExternalPower logind sends no signal (login/logind-dbus.c manager_vtable: they
 * are no EMITS_CHANGE), so they are asked for; and UPower, if it runs, whether the battery is about to be empty. */
typedef struct PowerSituation {
        bool lid_closed;
        bool on_battery;
        bool battery_critical; /* WarningLevel of UPower's DisplayDevice is critical (4) or action (5) */
} PowerSituation;

/* Asks logind and UPower, neither of which is started by it; the handler is called once, never from within, at the latest
 * after two seconds, with what was learned until then (all false where nobody knows). It may ask again. One question at a
 * time: -EBUSY. Of one that could not be asked, which is any other error, and of one that inhibitor_free() overtakes, the
 * handler hears nothing. */
typedef void (*power_handler_t)(const PowerSituation *situation, void *userdata);
int inhibitor_ask_power(Inhibitor *i, power_handler_t handler, void *userdata);
