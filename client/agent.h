/* SPDX-License-Identifier: GPL-2.0-or-later */
#pragma once

#include "client/options.h"

/* Starts pkttyagent, which asks for a password on this terminal when polkit wants one, and waits until it is
 * registered. Does nothing for root, without a terminal, for another host, with --no-ask-password, or if it runs. A
 * missing pkttyagent is no error: a desktop has an agent of its own. */
void agent_open(const Options *o);

/* Ends it. */
void agent_close(void);
