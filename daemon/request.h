/* SPDX-License-Identifier: GPL-2.0-or-later */
#pragma once

/* request: a method call that cannot be answered at once: it waits for a census, or for polkit, or both. It holds the message and
 * the address of what is asked for, never the object: minutes may pass, so everything is looked up and checked again
 * before anything is done. All are handlers in the manner of sd-bus: negative errno or error set, or 1 where the answer follows. */

#include "manager.h"

typedef enum RequestKind {
        REQUEST_DETACH,
        REQUEST_ATTACH,
        REQUEST_RESET,
        REQUEST_RECOVER,
        REQUEST_PHASE,
        REQUEST_ACQUIRE,
        REQUEST_PLAN,
        REQUEST_HOLDERS,
        REQUEST_CANCEL,
        REQUEST_RELOAD,
        REQUEST_ROM,
        REQUEST_DEFAULT,
} RequestKind;

/* The message is positioned at the dictionary of options. */
int request_job(RequestKind kind, Manager *m, Gpu *g, sd_bus_message *message, sd_bus_error *error);
/* The message is positioned at the names of the VM's manager, the VM and the phase. */
int request_phase(Manager *m, Gpu *g, sd_bus_message *message, sd_bus_error *error);
int request_plan(Manager *m, Gpu *g, sd_bus_message *message, sd_bus_error *error);
int request_holders(Manager *m, Gpu *g, sd_bus_message *message, sd_bus_error *error);
/* Likewise at the options. */
int request_rom(Manager *m, Gpu *g, sd_bus_message *message, sd_bus_error *error);
int request_cancel(Manager *m, Job *j, sd_bus_message *message, sd_bus_error *error);
/* Likewise at the state. */
int request_default(Manager *m, Gpu *g, sd_bus_message *message, sd_bus_error *error);
int request_reload(Manager *m, sd_bus_message *message, sd_bus_error *error);
/* Lets go of all that wait, unanswered. */
void request_free_all(Manager *m);
