/* SPDX-License-Identifier: GPL-2.0-or-later */
#pragma once

/* systemd1: what login1's stand-in needs of systemd's. */

#include <stdbool.h>

/* Starts (or stops) a unit that is declared, and says when the job has ended; -ENOENT if there is no such unit. */
int systemd1_run_job(const char *unit, const char *verb, void (*done)(bool ok));
