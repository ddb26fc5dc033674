/* SPDX-License-Identifier: GPL-2.0-or-later */
#pragma once

#include "client/client.h"

/* Calls PrepareSleep(operation), or FinishSleep() if the operation is NULL, and waits as long as gpuptd needs
 * for the answer, over restarts of it. Returns the exit status of what has been reported, or negative errno.
 * EXIT_NO_DAEMON says that nobody has answered, and nothing else: that is no reason to stay awake, every other
 * failure is. */
int sleep_call(Client *c, const char *operation);
