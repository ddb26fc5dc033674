/* SPDX-License-Identifier: GPL-2.0-or-later */
#pragma once

/* record: that Xorg's files are, or may be, switched to what they are while a card is detached: STATE_DIR/xorg-ADDRESS, on disk
 * from before the first of them is renamed until the last one is back. It outlives the boot, since the files do.
 *
 *      gpuptd-xorg 1
 *      boot ID                                      of this boot, for people
 *      gpu ADDRESS VENDOR:DEVICE:SUBVENDOR:SUBDEVICE
 *      file WORD                                    as in XorgFiles=
 *      end                                          without it the file is not whole */

#include "util/cleanup.h"

typedef struct XorgRecord {
        char *gpu, *identity;
        char **files;
} XorgRecord;

void xorg_record_done(XorgRecord *r);

int xorg_record_store(const char *state_dir, const XorgRecord *r);
/* -ENOENT: none. -EBADMSG, -EPROTONOSUPPORT: not ours to use. */
int xorg_record_load(const char *state_dir, const char *gpu, XorgRecord *ret);
int xorg_record_remove(const char *state_dir, const char *gpu);
/* Addresses of all records. */
int xorg_record_list(const char *state_dir, char ***ret);
