/* SPDX-License-Identifier: GPL-2.0-or-later */
#pragma once

/* log-control: org.freedesktop.LogControl1 at /org/freedesktop/LogControl1, so that
 * `systemctl service-log-level gpuptd debug` works. */

#include <systemd/sd-bus.h>

int log_control_export(sd_bus *bus, sd_bus_slot **ret);
