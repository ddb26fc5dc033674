/* SPDX-License-Identifier: GPL-2.0-or-later */
#pragma once

/* sound: asks the sound servers of all users to let go of a card, and gives it back. See step.h. */

#include "worker/work.h"

int verb_ask_sound(Work *w);
int verb_return_sound(Work *w);
