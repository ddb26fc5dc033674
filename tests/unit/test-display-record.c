/* SPDX-License-Identifier: GPL-2.0-or-later */

/* test-display-record: that a watch over a display is kept whole, or not at all. */

#include "loop.h"

#include "display-record.h"

#define GPU "0000:01:00.0"
#define HEAD "gpuptd-display 1\ngpu " GPU " 10de:2204:1458:403b\n"

static DisplayRecord *make_record(void) {
        DisplayRecord *record = display_record_new(GPU, "10de:2204:1458:403b");

        g_assert_nonnull(record);
        record->wait = DISPLAY_WAIT_RECOVERY;
        record->until_usec = 123456789;
        record->job = 7;
        record->healed = true;
        g_assert_cmpint(strv_extend(&record->screens, "HDMI-A-1"), ==, 0);
        g_assert_cmpint(strv_extend(&record->screens, "DP-2"), ==, 0);
        return record;
}

static char *text_of(const DisplayRecord *record, size_t *ret_size) {
        char *text = NULL;
        FILE *f = open_memstream(&text, ret_size);

        g_assert_nonnull(f);
        display_record_write(record, f);
        g_assert_cmpint(fclose(f), ==, 0);
        return text;
}

static void test_files(void) {
        char *dir = loop_make_dir();
        _cleanup_(display_record_freep) DisplayRecord *record = make_record(), *again = NULL, *moved = NULL;
        g_autofree char *path = g_build_filename(dir, "display-" GPU, NULL),
                        *other = g_build_filename(dir, "display-0000:02:00.0", NULL);
        _cleanup_strv_free_ char **list = NULL, **none = NULL;

        g_assert_cmpint(display_record_load(dir, GPU, &again), ==, -ENOENT);
        g_assert_cmpint(display_record_store(dir, record), ==, 0);
        g_assert_cmpint(display_record_load(dir, GPU, &again), ==, 0);
        g_assert_cmpstr(again->identity, ==, "10de:2204:1458:403b");
        g_assert_cmpint(again->wait, ==, DISPLAY_WAIT_RECOVERY);
        g_assert_cmpuint(again->until_usec, ==, 123456789);
        g_assert_cmpuint(again->job, ==, 7);
        g_assert_true(again->healed);
        g_assert_cmpuint(strv_length(again->screens), ==, 2);
        g_assert_cmpstr(again->screens[1], ==, "DP-2");
        g_assert_cmpint(display_record_list(dir, &list), ==, 0);
        g_assert_cmpuint(strv_length(list), ==, 1);
        g_assert_cmpstr(list[0], ==, GPU);
        g_assert_cmpint(display_record_list("/nonexistent", &none), ==, 0);

        /* A record under another card's name is nobody's. */
        g_assert_cmpint(rename(path, other), ==, 0);
        g_assert_cmpint(display_record_load(dir, "0000:02:00.0", &moved), ==, -EBADMSG);
        g_assert_cmpint(rename(other, path), ==, 0);
        g_assert_cmpint(display_record_remove(dir, GPU), ==, 0);
        g_assert_cmpint(display_record_remove(dir, GPU), ==, 0);
        /* Never a path of somebody's making. */
        g_assert_cmpint(display_record_load(dir, "../etc/passwd", &moved), ==, -EINVAL);
        g_assert_cmpint(display_record_remove(dir, "../etc/passwd"), ==, -EINVAL);
        loop_remove_dir(dir);
}

static void test_too_large(void) {
        char *dir = loop_make_dir();
        g_autofree char *path = g_build_filename(dir, "display-" GPU, NULL), *text = g_strnfill(5000, 'x');
        DisplayRecord *record = NULL;

        g_assert_true(g_file_set_contents(path, text, -1, NULL));
        g_assert_cmpint(display_record_load(dir, GPU, &record), ==, -EBADMSG);
        loop_remove_dir(dir);
}

static void test_truncated(void) {
        _cleanup_(display_record_freep) DisplayRecord *record = make_record();
        _cleanup_free_ char *text = NULL;
        size_t size;

        text = text_of(record, &size);
        for (size_t n = 0; n < size; n++) {
                g_autofree char *part = g_memdup2(text, n);

                g_assert_cmpint(display_record_read(part, n, &(DisplayRecord *) { NULL }), ==, -EBADMSG);
        }
}

static void test_bad(void) {
        static const struct {
                const char *text;
                int r;
        } cases[] = {
                { HEAD "wait vm\nuntil 1\nend\n", 0 },
                { HEAD "wait attach\nuntil 1\njob 3\nhealed\nscreen DP-1\nend\n", 0 },
                { "gpuptd-display 2\nend\n", -EPROTONOSUPPORT },
                { "gpuptd-gpu 1\nend\n", -EBADMSG },
                { HEAD "until 1\nend\n", -EBADMSG },
                { HEAD "wait vm\nend\n", -EBADMSG },
                { "gpuptd-display 1\nwait vm\nuntil 1\nend\n", -EBADMSG },
                { HEAD "wait sleep\nuntil 1\nend\n", -EBADMSG },
                { HEAD "wait vm\nwait vm\nuntil 1\nend\n", -EBADMSG },
                { HEAD "wait vm\nuntil -1\nend\n", -EBADMSG },
                { HEAD "wait vm\nuntil 9223372036854775808\nend\n", -EBADMSG },
                { HEAD "wait vm\nuntil 1\njob 3\nend\n", -EBADMSG },
                { HEAD "wait attach\nuntil 1\njob 0\nend\n", -EBADMSG },
                { HEAD "wait attach\nuntil 1\njob 4294967296\nend\n", -EBADMSG },
                { HEAD "wait vm\nuntil 1\nhealed yes\nend\n", -EBADMSG },
                { HEAD "wait vm\nuntil 1\nscreen DP-1\nscreen DP-1\nend\n", -EBADMSG },
                { HEAD "wait vm\nuntil 1\nscreen ../DP-1\nend\n", -EBADMSG },
                { HEAD "wait vm\nuntil 1\nscreen \\-\nend\n", -EBADMSG },
                { "gpuptd-display 1\ngpu /etc x\nwait vm\nuntil 1\nend\n", -EBADMSG },
        };

        for (size_t i = 0; i < ELEMENTSOF(cases); i++) {
                _cleanup_(display_record_freep) DisplayRecord *record = NULL;

                g_test_message("case %zu", i);
                g_assert_cmpint(display_record_read(cases[i].text, strlen(cases[i].text), &record), ==, cases[i].r);
        }
}

static void test_many_screens(void) {
        GString *text = g_string_new(HEAD "wait vm\nuntil 1\n");
        DisplayRecord *record = NULL;

        for (unsigned i = 0; i <= DISPLAY_SCREENS_MAX; i++)
                g_string_append_printf(text, "screen DP-%u\n", i);
        (void) g_string_append(text, "end\n");
        g_assert_cmpint(display_record_read(text->str, text->len, &record), ==, -EBADMSG);
        g_assert_null(record);
        g_string_free(text, TRUE);
}

int main(int argc, char *argv[]) {
        g_test_init(&argc, &argv, NULL);
        g_test_add_func("/display-record/files", test_files);
        g_test_add_func("/display-record/too-large", test_too_large);
        g_test_add_func("/display-record/truncated", test_truncated);
        g_test_add_func("/display-record/bad", test_bad);
        g_test_add_func("/display-record/many-screens", test_many_screens);
        return g_test_run();
}
