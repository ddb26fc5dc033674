/* SPDX-License-Identifier: GPL-2.0-or-later */
#pragma once

/* desktop-fixture: a display manager whose server has a card, and anna, whose session is that of a program on another one. */

#include "fixture.h"

#define MANAGER "lightdm.service"
#define SCOPE "session-2.scope"

typedef struct Desktop {
        pid_t server, leader;
} Desktop;

void desktop_begin(Scene *s, const char *gpu, const char *other, Desktop *ret);
void desktop_end(Scene *s, const Desktop *d);
void log_in(Scene *s, const char *session, const char *user, pid_t leader);
void put_into_cgroup(pid_t pid, const char *cgroup);
/* What systemd was asked, less what the daemon does by units of its own. */
const char *units_log(Scene *s);
bool unit_is(Scene *s, const char *unit, const char *state);
void assert_untouched(Scene *s, const Desktop *d);
void assert_ended(Scene *s, const Desktop *d);
