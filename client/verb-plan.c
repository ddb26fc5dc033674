/* SPDX-License-Identifier: GPL-2.0-or-later */

/* plan: the steps of an operation, before anybody consents to it. */

#include "client/plan.h"
#include "client/verbs.h"

int verb_plan(Client *c, char **args) {
        _cleanup_(gpu_choice_done) GpuChoice gpu = {};
        int r;

        r = gpu_choose(c, args[1], args[0], &gpu);
        if (r != 0)
                return r;
        return plan_show(c, &gpu, args[0]);
}
