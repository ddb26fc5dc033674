/* SPDX-License-Identifier: GPL-2.0-or-later */
#pragma once

/* switch: puts files of Xorg's configuration in place and out of the way. A file that is not to be there has another name beside
 * it, which Xorg does not read (NAME.gpuptd); it is renamed, never copied nor edited, so a link stays a link and nothing can be half
 * done. Done twice it succeeds twice. */

#include "xorg-file.h"

#define XORG_AWAY_SUFFIX ".gpuptd"

/* words: as xorg_file_parse() takes them. All that can be done is done; then the first error, with the name in *ret_name
 * (newly allocated). A file that is not there under either name is none: it cannot be in the way. -EEXIST: it is to
 * go, and there is one under its other name already; which of them is wanted is for their owner to say. */
int xorg_switch(const char *directory, char *const *words, bool detached, char **ret_name);
