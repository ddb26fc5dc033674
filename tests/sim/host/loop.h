/* SPDX-License-Identifier: GPL-2.0-or-later */
#pragma once

/* loop: the event loop of the machine's process. It holds the machine's lock but for the time it waits. */

#include <systemd/sd-event.h>

int loop_new(sd_event **ret);
int loop_run(sd_event *event);

/* Calls f from the main thread soon; for threads, which must not touch the bus. The caller holds the lock. */
void loop_post(void (*f)(void *data), void *data);
