/* SPDX-License-Identifier: GPL-2.0-or-later */
#pragma once

/* bind: which driver has a function: saving, overriding, unbinding, binding, and the proof of it. See step.h for what
 * each verb promises. */

#include "worker/work.h"

int verb_save(Work *w);
int verb_verify(Work *w);
int verb_check_module(Work *w);
int verb_check_driver(Work *w);
int verb_override(Work *w);
int verb_unbind(Work *w);
int verb_bind(Work *w);
int verb_rebind(Work *w);
int verb_probe(Work *w);
int verb_wait_drm(Work *w);
int verb_wait_screen(Work *w);
