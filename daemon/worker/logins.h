/* SPDX-License-Identifier: GPL-2.0-or-later */
#pragma once

/* logins: who is logged in, and which unit is the display manager: what a census says beside the holders. From the files of
 * logind (/run/systemd/sessions) and the unit files, none of which makes its reader wait. */

#include "holders.h"
#include "worker/work.h"

/* One word of logind's own file of a session; -ENXIO: it has none, or there is no such session. For what sd-login does not
 * offer in every release: sd_session_get_leader() and sd_session_get_username() came with 254. */
int login_file_get(const char *session, const char *key, char **ret);

/* Adds the sessions of people and greeters, and the display manager. */
int logins_find(Holders *h);

int verb_check_logins(Work *w);
