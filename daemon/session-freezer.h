/* SPDX-License-Identifier: GPL-2.0-or-later */
#pragma once

/* session-freezer: asks systemd1 what its systemd-sleep does to the sessions of users: which version it is
 * (since 256 it freezes user.slice for every kind of sleep, src/sleep/sleep.c run()), and whether the
 * environment of systemd-suspend.service switches that off. It judges nothing. */

#include <systemd/sd-bus.h>

#include "util/cleanup.h"

typedef struct SessionFreezer SessionFreezer;

typedef struct SessionFreezerAnswer {
        unsigned version; /* 0: not known */
        bool off;
} SessionFreezerAnswer;

/* Called once, never from within, at the latest after two seconds with what is known then. It is freed after the
 * call. */
typedef void (*session_freezer_handler_t)(const SessionFreezerAnswer *answer, void *userdata);

int session_freezer_ask(sd_bus *bus, session_freezer_handler_t handler, void *userdata, SessionFreezer **ret);
/* The handler is not called. */
SessionFreezer *session_freezer_free(SessionFreezer *f);
DEFINE_CLEANUP(SessionFreezer *, session_freezer_free);

/* Of "252.39-1~deb12u1", "256~rc1", "v255": the first number; 0 if there is none. For tests, too. */
unsigned session_freezer_version(const char *text);
/* Whether a line of an environment switches it off: as systemd's parse_boolean() reads it. */
bool session_freezer_is_off(const char *line);
