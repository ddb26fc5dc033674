/* SPDX-License-Identifier: GPL-2.0-or-later */
#pragma once

/* host-survey: what the readiness check has to know of the host beyond a snapshot; see survey.h of the daemon and step.h. */

#include "worker/work.h"

int verb_survey(Work *w);
