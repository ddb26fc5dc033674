/* SPDX-License-Identifier: GPL-2.0-or-later */

/* test-ladder-memory: what is remembered is there after a restart; what cannot be read is left alone. */

#include <glib.h>
#include <glib/gstdio.h>

#include "ladder-memory.h"

#define CARD "10de:2204:1458:403b"
#define APU "1002:1900:1043:1234"

static char *directory, *path;

static LadderMemory *begin(void) {
        LadderMemory *m = NULL;

        g_assert_cmpint(ladder_memory_new(directory, &m), ==, 0);
        return m;
}

static void put(const char *text) {
        g_assert_true(g_file_set_contents(path, text, -1, NULL));
}

static void test_round_trip(void) {
        LadderMemory *m = begin();

        g_assert_cmpint(ladder_memory_get(m, CARD), ==, _RUNG_INVALID);
        g_assert_cmpint(ladder_memory_set(m, CARD, RUNG_BUS), ==, 0);
        g_assert_cmpint(ladder_memory_set(m, APU, RUNG_REMOVE_RESCAN), ==, 0);
        g_assert_cmpint(ladder_memory_set(m, CARD, RUNG_FLR), ==, 0);
        g_assert_cmpint(ladder_memory_set(m, CARD, RUNG_FLR), ==, 0);
        ladder_memory_free(m);

        m = begin();
        g_assert_cmpint(ladder_memory_get(m, CARD), ==, RUNG_FLR);
        g_assert_cmpint(ladder_memory_get(m, APU), ==, RUNG_REMOVE_RESCAN);
        ladder_memory_free(m);
        g_assert_cmpint(g_unlink(path), ==, 0);
}

static void test_bad(void) {
        static const char *const texts[] = {
                "",
                "gpuptd-ladder 2\nend\n",
                "gpuptd-job 1\nend\n",
                "gpuptd-ladder 1\nworked " CARD " flr\n",
                "gpuptd-ladder 1\nworked " CARD " jump\nend\n",
                "gpuptd-ladder 1\nworked 10de:2204 flr\nend\n",
                "gpuptd-ladder 1\nworked " CARD " flr\nworked " CARD " bus\nend\n",
                "gpuptd-ladder 1\nend\nworked " CARD " flr\n",
        };

        for (size_t i = 0; i < G_N_ELEMENTS(texts); i++) {
                g_autofree char *text = NULL;
                LadderMemory *m;

                put(texts[i]);
                m = begin();
                g_assert_cmpint(ladder_memory_get(m, CARD), ==, _RUNG_INVALID);
                /* It works for this run, and the file is as it was. */
                g_assert_cmpint(ladder_memory_set(m, CARD, RUNG_BUS), ==, -EROFS);
                g_assert_cmpint(ladder_memory_get(m, CARD), ==, RUNG_BUS);
                ladder_memory_free(m);
                g_assert_true(g_file_get_contents(path, &text, NULL, NULL));
                g_assert_cmpstr(text, ==, texts[i]);
        }
        g_assert_cmpint(g_unlink(path), ==, 0);
}

int main(int argc, char *argv[]) {
        int r;

        g_test_init(&argc, &argv, NULL);
        directory = g_dir_make_tmp("gpuptd-XXXXXX", NULL);
        path = g_build_filename(directory, "ladder", NULL);
        g_test_add_func("/ladder-memory/round-trip", test_round_trip);
        g_test_add_func("/ladder-memory/bad", test_bad);
        r = g_test_run();
        (void) g_rmdir(directory);
        g_free(directory);
        g_free(path);
        return r;
}
