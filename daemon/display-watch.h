/* SPDX-License-Identifier: GPL-2.0-or-later */
#pragma once

/* display-watch: where a host has lost its display to a detach that nobody made use of, or an attach has not brought it
 * back, and the administrator has allowed it (DisplayTimeoutSec=), gets the display back by itself: attaches, recovers,
 * and in the end starts a login on a text console. What is to be done is decided in display-decision.h; here are the timers,
 * the looks and the jobs. At most one watch per GPU, and each of its jobs runs once. */

#include "manager.h"

/* What the manager passes on. Nothing is begun from within. */
void display_watch_on_gpu_changed(Manager *m, Gpu *g);
void display_watch_on_job_ended(Manager *m, const Job *j);
void display_watch_on_sleep_changed(Manager *m);

/* What the last daemon left: before its jobs are taken up, and after. */
void display_watch_load(Manager *m);
void display_watch_take_up(Manager *m);
/* The records stay for the next daemon. */
void display_watch_free_all(Manager *m);
