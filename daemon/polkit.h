/* SPDX-License-Identifier: GPL-2.0-or-later */
#pragma once

/* polkit: asks whether the sender of a method call may do an action, without ever waiting for the answer. The caller
 * gets a verdict by callback, always from the event loop, never from within polkit_ask(). Whoever asked looks the
 * object up again by name in the callback and checks the state again: minutes may have passed. */

#include <systemd/sd-bus.h>

#include "util/cleanup.h"

typedef struct Polkit Polkit;
typedef struct PolkitQuery PolkitQuery;

typedef enum PolkitVerdict {
        POLKIT_ALLOWED,
        POLKIT_DENIED,    /* reply AccessDenied */
        POLKIT_CHALLENGE, /* reply InteractiveAuthorizationRequired */
        POLKIT_GONE,      /* the sender left the bus: nobody to reply to */
} PolkitVerdict;

/* The query is freed after the callback; what the handler itself frees may include the query and the Polkit. */
typedef void (*polkit_handler_t)(PolkitVerdict verdict, void *userdata);

int polkit_new(sd_bus *bus, Polkit **ret);
/* Cancels and frees the queries that are still open: nobody may use them afterwards. */
Polkit *polkit_free(Polkit *p);
DEFINE_CLEANUP(Polkit *, polkit_free);

/* actions: strv of 1..4 action ids, asked one after another until one is refused. details: pairs key, value,
 * NULL-terminated. The message says who asks, and whether a dialog may be shown; uid is the sender's. polkit is not asked
 * about root, who may do everything; where it is not on the bus, nobody else is allowed anything. -EDQUOT when the sender
 * has max_pending questions open; -EINVAL for details that are not UTF-8. The time limit is 10 minutes, since a person
 * may be typing a password. */
int polkit_ask(Polkit *p, sd_bus_message *m, uint32_t uid, char *const *actions, const char *const *details,
               unsigned max_pending, polkit_handler_t handler, void *userdata, PolkitQuery **ret);
/* Cancels (CancelCheckAuthorization) without calling the handler. */
PolkitQuery *polkit_query_free(PolkitQuery *q);
DEFINE_CLEANUP(PolkitQuery *, polkit_query_free);
