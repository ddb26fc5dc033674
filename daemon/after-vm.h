/* SPDX-License-Identifier: GPL-2.0-or-later */
#pragma once

/* after-vm: what happens to a GPU by itself: when a VM has closed it, also by a shutdown from inside the guest, where no
 * hook of a VM manager runs (AfterVm=); and when a job has moved it, and somebody should look how it is. */

#include "manager.h"

/* Something about the GPU has changed. */
void after_vm_notice(Manager *m, Gpu *g);
/* A job has moved it, and nobody has looked since how it is. */
void after_move(Gpu *g, uint64_t since_usec);
