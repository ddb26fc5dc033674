/* SPDX-License-Identifier: GPL-2.0-or-later */
#pragma once

/* kernel-log: lines of the kernel about PCI functions, from the journal, as they come. There are facts that no uevent
 * tells: that an unbind waits for a virtual machine is said by vfio-pci in the log alone ("Relaying device request to user",
 * drivers/vfio/pci/vfio_pci_core.c vfio_pci_core_request()). It wakes up with every line of the journal, so it is kept only while somebody
 * needs it. */

#include <systemd/sd-event.h>

#include "util/cleanup.h"

typedef struct KernelLog KernelLog;

/* address: the PCI function that the kernel named (_KERNEL_DEVICE=+pci:…). */
typedef void (*kernel_log_handler_t)(const char *address, const char *message, void *userdata);

/* From now on; older lines are not reported. */
int kernel_log_new(sd_event *event, kernel_log_handler_t handler, void *userdata, KernelLog **ret);
KernelLog *kernel_log_free(KernelLog *l);
DEFINE_CLEANUP(KernelLog *, kernel_log_free);
