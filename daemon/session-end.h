/* SPDX-License-Identifier: GPL-2.0-or-later */
#pragma once

/* session-end: logs somebody out and tells when that is over. logind is asked (TerminateSession()), and the session's scope
 * is waited for: logind forgets a session before its last process has ended. What it asks for goes on when the daemon
 * dies. */

#include "unit-client.h"

typedef struct SessionEnd SessionEnd;

/* The handler is called as that of a UnitOperation is, never from within. A session that is not there has ended. -EINVAL: no
 * id of a session. */
int session_end_new(UnitClient *units, const char *session, unit_handler_t handler, void *userdata, SessionEnd **ret);
/* Stops listening; the handler is not called. */
SessionEnd *session_end_free(SessionEnd *e);
DEFINE_CLEANUP(SessionEnd *, session_end_free);
