/* SPDX-License-Identifier: GPL-2.0-or-later */
#pragma once

/* What the parts of guest share with each other and tests do not need. */

#include <stdbool.h>

#define DESKTOP_USER "user"
#define DESKTOP_UID 1000
#define DESKTOP_UNIT "vm-desktop.service"

/* The cgroup.procs of the desktop session's scope; for g_free(). Fails the case without a desktop. */
char *desktop_scope(void);

/* The system bus of the test program, opened at the first use. */
struct sd_bus *system_bus(void);

/* Waits until `reached`, asked again after each signal of gpuptd's; `what` completes "waited for …". */
void wait_for_signals(bool (*reached)(const void *userdata), const void *userdata, const char *what);
