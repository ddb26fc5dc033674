/* SPDX-License-Identifier: GPL-2.0-or-later */
#pragma once

/* kernel-line: one line of the kernel's log as plain data: which PCI function it is about, and what it means for a card.
 * Pure; kernel-log.h reads the lines. The ids of what they mean:
 *
 *      iommu-fault       error    it accessed memory, or sent an interrupt, that it was not given
 *      iommu-timeout     error    it does not answer the IOMMU
 *      aer-uncorrected   error    PCIe errors
 *      aer-corrected     note
 *      power-refused     error    it did not change its power state
 *      no-config-space   error    its config space reads all ones
 *      reset-failed      error    a reset has failed, as the kernel or vendor-reset sees it
 *      reset-pending     warning  it was reset in the middle of transactions
 *      reset-unsupported note     it has no such reset
 *      reset-unnoticed   warning  it was reset behind the back of the VM
 *      release-asked     note     the VM that has it open is asked to let it go
 *      release-blocked   warning  whoever has it open cannot be asked
 *      xid               error    the NVIDIA driver's, with its number; a note where a program is to blame
 *      fallen-off        error    off the bus, as the NVIDIA driver sees it
 *      init-failed       error    its driver could not start it
 *      probe-failed      warning  a driver did not take it
 *      ring-timeout      warning  work that it was given did not end
 *      bar-taken         error    somebody else uses its memory
 *      vga-switched-off  note     its driver has switched legacy VGA decoding off
 *      link-down         warning  the link below a port went down
 *      memory-type       warning  its memory is still mapped as its former driver had it; names no card */

#include "util/cleanup.h"

/* Longer lines are cut. */
#define KERNEL_LINE_TEXT_MAX 400U

typedef struct KernelLine {
        uint64_t monotonic_usec, realtime_usec; /* when journald took it in */
        char *address; /* the function that it is about; NULL: it names none, and could be about any */
        char *text;    /* printable ASCII */
} KernelLine;

typedef struct KernelLines {
        KernelLine *lines; /* oldest first */
        size_t n;
        bool more; /* there were older ones, which a limit has cut off */
} KernelLines;

KernelLines *kernel_lines_free(KernelLines *l);
DEFINE_CLEANUP(KernelLines *, kernel_lines_free);

typedef enum KernelSeverity {
        KERNEL_HARMLESS, /* nothing that the table knows */
        KERNEL_NOTE,     /* worth showing, no illness */
        KERNEL_WARNING,  /* may become one */
        KERNEL_ERROR,
} KernelSeverity;

typedef struct KernelMeaning {
        const char *id; /* see above; NULL if harmless */
        KernelSeverity severity;
        unsigned number;  /* of an Xid, else 0 */
        bool unaddressed; /* such a line never says which card it is about */
        char sentence[160]; /* without the address and without a full stop */
} KernelMeaning;

void kernel_line_classify(const char *text, KernelMeaning *ret);

/* Whether it belongs to the story of a sleep: of power management, the freezer, PCI, the IOMMU, VFIO. */
bool kernel_line_is_of_sleep(const char *text);

/* Which of these functions the text is about: one that it names as 0000:01:00.0, as [01:00.0] or device=01:00.0 (the
 * IOMMU drivers leave the domain away), or as PCI:0000:01:00 (NVRM: the first function of that slot). A pointer into
 * addresses, or NULL. */
const char *kernel_line_address(const char *text, char *const *addresses);

/* The lines that mean something, each kind of line about each function once. */
typedef struct KernelFinding {
        KernelMeaning meaning;
        const char *address; /* weak, of the lines; NULL: see KernelLine */
        const char *text;    /* weak: the first such line */
        unsigned count;      /* of lines; at least so many if KernelLines.more */
} KernelFinding;

/* In the order of their first lines. *ret is freed with free(), before the lines. */
int kernel_findings(const KernelLines *lines, KernelFinding **ret, size_t *ret_n);
