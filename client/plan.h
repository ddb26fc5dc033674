/* SPDX-License-Identifier: GPL-2.0-or-later */
#pragma once

#include "client/client.h"
#include "client/gpu-choice.h"

/* Asks gpuptd for the steps that the operation would take now with the options that were given, and prints
 * them as a numbered table or JSON. Returns an exit status or negative errno. */
int plan_show(Client *c, const GpuChoice *gpu, const char *operation);
