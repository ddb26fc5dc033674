/* SPDX-License-Identifier: GPL-2.0-or-later */
#pragma once

#include <systemd/sd-bus.h>

#include "tests/unit/mock-daemon.h"

/* The a{sv} of the property LastSleep. */
int mock_append_last_sleep(sd_bus_message *reply, MockLastSleep which);
