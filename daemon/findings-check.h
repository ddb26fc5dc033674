/* SPDX-License-Identifier: GPL-2.0-or-later */
#pragma once

/* findings-check: what the checks of the readiness list have in common. */

#include "findings.h"

typedef struct Check {
        const FindingsInput *in;
        Findings *out;
} Check;

/* The groups, in the order of the list; the first word of the ids. */
void check_host(Check *c);
void check_vfio(Check *c);
void check_software(Check *c);
void check_gpus(Check *c);
void check_defaults(Check *c);
void check_sleep(Check *c);

/* Adds a finding. Takes over the hint, which may be NULL. */
void found(Check *c, const char *id, FindingResult result, char *hint, const char *format, ...) _printf_(5, 6);
/* A newly allocated text, for hints; NULL if out of memory. */
char *hintf(const char *format, ...) _printf_(1, 2);

/* Where words of the kernel command line come from. */
#define COMMAND_LINE "the kernel command line (/etc/default/grub, then update-grub; or /etc/kernel/cmdline)"

/* Walks through the words of the kernel command line: the next one behind *position into buf, cut where it does not fit;
 * NULL at the end. Start with a position of 0. */
const char *next_option(const Check *c, size_t *position, char *buf, size_t size);
/* Whether the command line has exactly this word. */
bool has_option(const Check *c, const char *option);

/* Words of a list behind "NAME=" in kernel or module options; NULL if it is not that option. Dashes are underscores. */
const char *option_value(const char *word, const char *name);

/* The GPU that the function belongs to, or NULL. */
const FindingsGpu *gpu_of(const Check *c, const char *address);
/* The family of cards that vendor-reset counts it to; NULL if it does not know it. */
const char *vendor_reset_family(const Function *f);
/* "a, b, c" of a list; never NULL but out of memory. */
char *join_list(char *const *list, const char *separator);
