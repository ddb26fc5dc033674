/* SPDX-License-Identifier: GPL-2.0-or-later */
#pragma once

/* xorg-file: one word of XorgFiles= in a .gpu file: a file of Xorg's configuration, and when it is there. Pure. */

#include "util/cleanup.h"

#define XORG_DIRECTORY "/etc/X11/xorg.conf.d"
#define XORG_NAME_MAX 128U

/* "10-nvidia.conf:host" (the default) or "20-one-screen.conf:detached", also with XORG_DIRECTORY before it. False: it is none,
 * or would be none that Xorg reads. */
bool xorg_file_parse(const char *word, char ret_name[static XORG_NAME_MAX + 1], bool *ret_while_detached);
bool xorg_file_valid(const char *word);
