/* SPDX-License-Identifier: GPL-2.0-or-later */
#pragma once

/* host-sleep: one suspend of the host, asked of logind, from the request to the end of it. Whether something wakes the host
 * again is the caller's business: set an alarm before. */

#include <systemd/sd-bus.h>

#include "util/cleanup.h"

typedef struct HostSleep HostSleep;

/* error: 0 once logind has said that the sleep is over; -ETIMEDOUT; or why logind refused, with its words. The HostSleep is
 * freed after the call. */
typedef void (*host_sleep_handler_t)(int error, const char *text, void *userdata);

/* limit_sec: of time that the host is awake (CLOCK_MONOTONIC). */
int host_sleep_new(sd_bus *bus, sd_event *event, unsigned limit_sec, host_sleep_handler_t handler, void *userdata,
                   HostSleep **ret);
/* Stops listening; the handler is not called, the host sleeps all the same. */
HostSleep *host_sleep_free(HostSleep *s);
DEFINE_CLEANUP(HostSleep *, host_sleep_free);
