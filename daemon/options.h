/* SPDX-License-Identifier: GPL-2.0-or-later */
#pragma once

/* options: the a{sv} that Detach, Attach, Reset, Recover, Acquire, Plan and ReadRom take, read strictly: an unknown key, a wrong type or a value
 * out of bounds is InvalidArgs, never ignored. */

#include <systemd/sd-bus.h>

#include "gpu.h"

typedef enum AccessOption {
        ACCESS_UNSET,
        ACCESS_NONE,
        ACCESS_CALLER,
} AccessOption;

/* Reads the dictionary at the message's position, with the keys that the operation knows. *ret_access is what was said; options.access is the caller's to
 * set. */
int options_read(sd_bus_message *m, const Gpu *g, Operation operation, unsigned default_wait_sec, PlanOptions *ret,
                 AccessOption *ret_access, sd_bus_error *error);
/* Likewise for methods that know no other option. */
int options_read_force(sd_bus_message *m, bool *ret, sd_bus_error *error);
