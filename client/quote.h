/* SPDX-License-Identifier: GPL-2.0-or-later */
#pragma once

/* Owned by the caller; NULL only if out of memory. */

/* One word of a shell's command line: as it is, or in single quotes. */
char *quote_shell(const char *s);
/* All words of it, a space between two. */
char *quote_shell_words(char *const *words);

/* Text of an XML document, in an attribute or not. */
char *quote_xml(const char *s);

/* A value among QEMU's NAME=VALUE,…: a comma is doubled. */
char *quote_qemu(const char *s);

/* What is left of a name that somebody else has made when it goes into a comment of any language: letters, digits and a
 * few harmless marks; the rest becomes '?'. Never "--", which ends a comment of XML. */
char *quote_comment(const char *s);
