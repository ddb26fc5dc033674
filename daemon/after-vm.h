/* SPDX-License-Identifier: GPL-2.0-or-later */
#pragma once

/* after-vm: what happens to a GPU by itself: when a VM has closed it, also by a shutdown from inside the guest, where no
 * hook of a VM manager runs (AfterVm=); and when an attach has brought it back, and somebody should look how it is. */

#include "manager.h"

/* Something about the GPU has changed. */
void after_vm_notice(Manager *m, Gpu *g);
/* An attach of it is done. */
void after_attach(Gpu *g, uint64_t since_usec);
