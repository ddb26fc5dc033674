/* SPDX-License-Identifier: GPL-2.0-or-later */
#pragma once

/* census: asks a reader who holds some device nodes. One census answers everybody who waits for it. It may
 * take its time or never end (a process in the middle of exiting); after CENSUS_TIMEOUT_SEC its waiters are told so, and
 * nothing else happens: a census never makes a GPU stuck. */

#include "holders.h"
#include "host.h"

#define CENSUS_TIMEOUT_SEC 10U

typedef struct Census Census;
typedef struct CensusWaiter CensusWaiter;

/* holders is NULL if error is negative. The waiter is freed after the call; the census as well. */
typedef void (*census_handler_t)(int error, const Holders *holders, void *userdata);

/* `slot` is where the owner keeps the running census; it becomes NULL before the handlers are called. `gpu` is for messages. */
int census_join(Host *h, Census **slot, char *const *nodes, census_handler_t handler, void *userdata, CensusWaiter **ret);
CensusWaiter *census_waiter_free(CensusWaiter *w);
DEFINE_CLEANUP(CensusWaiter *, census_waiter_free);
Census *census_free(Census *c);
