/* SPDX-License-Identifier: GPL-2.0-or-later */
#pragma once

/* kernel-line: one line of the kernel's log as plain data: which PCI function it is about, and what it means for a card.
 * Pure; kernel-log.h reads the lines. */

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
        const char *id; /* of the finding, a word of small letters and dashes; NULL if harmless */
        KernelSeverity severity;
        unsigned number;  /* of an Xid, else 0 */
        bool unaddressed; /* such a line never says which card it is about */
        char sentence[160]; /* without the address and without a full stop */
} KernelMeaning;

void kernel_line_classify(const char *text, KernelMeaning *ret);

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
