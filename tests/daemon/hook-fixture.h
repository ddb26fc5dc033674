/* SPDX-License-Identifier: GPL-2.0-or-later */
#pragma once

/* hook-fixture: hooks that keep a log of what they are told, and do what they are told by files:
 *
 *      hook_put("10-a")                        it is there
 *      hook_behaves("10-a", "pre-detach", "fail")    what it prints is "no, thanks", and its exit status 3; "hang": until
 *                                              hook_goes_on(); "stay": for ever; "remove NAME": takes that hook away
 *      hook_log(s)                             "10-a pre detach, 10-a post detach done": since this was last asked
 *      hook_environment(s, "10-a", "pre-detach")     "EVENT=pre-detach FUNCTIONS=… …": without the job
 */

#include "fixture.h"

#define HOOKS "/etc/gpuptd/hooks.d"

void hook_put(const char *name);
void hook_chmod(const char *name, unsigned mode);
void hook_behaves(const char *name, const char *event, const char *behaviour);
/* Until it hangs there; and on it goes. */
void hook_wait(const char *name, const char *event);
void hook_goes_on(const char *name, const char *event);
const char *hook_log(Scene *s);
const char *hook_environment(Scene *s, const char *name, const char *event);
/* The job that it was told of. */
unsigned hook_job(const char *name, const char *event);
