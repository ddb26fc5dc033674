/* SPDX-License-Identifier: GPL-2.0-or-later */
#pragma once

/* loop: what the tests of event-driven modules share: an event loop that runs until something has come true, and a
 * directory that goes away with the test. Nothing sleeps; what does not come true within the time limit fails. */

#include <ftw.h>
#include <glib.h>
#include <systemd/sd-event.h>
#include <unistd.h>

#include "util/cleanup.h"

/* Generous, since a machine may be loaded; nothing waits for it but a test that fails. */
#define LOOP_LIMIT_USEC (60 * UINT64_C(1000000))

static inline int loop_limit_reached(sd_event_source *source, uint64_t usec, void *userdata) {
        g_error("%s: did not come true in time", (const char *) userdata);
        return 0;
}

static inline void loop_run_until(sd_event *event, const bool *condition, const char *what) {
        sd_event_source *limit = NULL;

        g_assert_cmpint(sd_event_add_time_relative(event, &limit, CLOCK_MONOTONIC, LOOP_LIMIT_USEC, 0,
                                                   loop_limit_reached, (void *) what), >=, 0);
        while (!*condition)
                g_assert_cmpint(sd_event_run(event, UINT64_MAX), >=, 0);
        (void) sd_event_source_disable_unref(limit);
}

/* Until the variable is true. */
#define loop_until(event, condition) loop_run_until(event, &(condition), #condition)

/* Whatever is ready now, and what that makes ready. */
static inline void loop_drain(sd_event *event) {
        while (sd_event_run(event, 0) > 0)
                ;
}

static inline int loop_remove_one(const char *path, const struct stat *st, int type, struct FTW *ftw) {
        return remove(path);
}

static inline void loop_remove_dir(char *path) {
        g_assert_cmpint(nftw(path, loop_remove_one, 16, FTW_DEPTH | FTW_PHYS | FTW_MOUNT), ==, 0);
        g_free(path);
}

static inline unsigned loop_count_files(const char *path) {
        g_autoptr(GDir) dir = g_dir_open(path, 0, NULL);
        unsigned n = 0;

        g_assert_nonnull(dir);
        while (g_dir_read_name(dir))
                n++;
        return n;
}

static inline char *loop_make_dir(void) {
        char *path = g_dir_make_tmp("gpuptd-test-XXXXXX", NULL);

        g_assert_nonnull(path);
        return path;
}
