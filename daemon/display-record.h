/* SPDX-License-Identifier: GPL-2.0-or-later */
#pragma once

/* display-record: a watch over a GPU's display, as far as the next daemon needs it: RUN_DIR/display-ADDRESS. It is of this
 * boot, like the clock that it is counted by, and of this very card.
 *
 *      gpuptd-display 1
 *      gpu ADDRESS VENDOR:DEVICE:SUBVENDOR:SUBDEVICE
 *      wait vm|attach|screen|recovery
 *      until USEC          CLOCK_MONOTONIC, which stands still while the host sleeps
 *      job ID              of attach and recovery: the job that is waited for; absent before it has begun
 *      healed              the ladder has been climbed
 *      screen CONNECTOR    where a screen was, each
 *      end                 without it the file is not whole */

#include "display-decision.h"

#define DISPLAY_SCREENS_MAX 32U

typedef struct DisplayRecord {
        char *gpu;
        char *identity;
        DisplayWait wait;
        uint64_t until_usec;
        unsigned job; /* 0: none */
        bool healed;
        char **screens;
} DisplayRecord;

DisplayRecord *display_record_new(const char *gpu, const char *identity);
DisplayRecord *display_record_free(DisplayRecord *r);
DEFINE_CLEANUP(DisplayRecord *, display_record_free);

int display_record_store(const char *run_dir, const DisplayRecord *record);
/* -ENOENT: none. -EBADMSG, -EPROTONOSUPPORT: not ours to use. */
int display_record_load(const char *run_dir, const char *gpu, DisplayRecord **ret);
int display_record_remove(const char *run_dir, const char *gpu);
/* Addresses of all records. */
int display_record_list(const char *run_dir, char ***ret);

void display_record_write(const DisplayRecord *record, FILE *f);
int display_record_read(const char *text, size_t size, DisplayRecord **ret);
/* "HDMI-A-1": a name that may stand in it. */
bool display_connector_valid(const char *s);
