/* SPDX-License-Identifier: GPL-2.0-or-later */

/* test-saved: that the first value counts, and that what is written is what is read. */

#include <glib.h>

#include "saved.h"

static char *text_of(const Saved *s) {
        char *text = NULL;
        size_t size;
        FILE *f = open_memstream(&text, &size);

        g_assert_nonnull(f);
        saved_write(s, f);
        g_assert_cmpint(fclose(f), ==, 0);
        return text;
}

static void test_first_counts(void) {
        Saved s = {};

        g_assert_null(saved_get(&s, "0000:01:00.0", "driver"));
        g_assert_cmpint(saved_add(&s, "0000:01:00.0", "driver", "nouveau"), ==, 0);
        g_assert_cmpint(saved_add(&s, "0000:01:00.0", "driver", "vfio-pci"), ==, 0);
        g_assert_cmpint(saved_add(&s, "0000:01:00.1", "driver", ""), ==, 0);
        g_assert_cmpint(saved_add(&s, "0000:01:00.1", "driver", "vfio-pci"), ==, 0);
        g_assert_cmpuint(s.n, ==, 2);
        g_assert_cmpstr(saved_get(&s, "0000:01:00.0", "driver"), ==, "nouveau");
        /* Empty is a value: there was no driver. */
        g_assert_cmpstr(saved_get(&s, "0000:01:00.1", "driver"), ==, "");
        g_assert_null(saved_get(&s, "0000:01:00.0", "override"));
        saved_done(&s);
        g_assert_cmpuint(s.n, ==, 0);
}

static void test_copy(void) {
        Saved a = {}, b = {};

        g_assert_cmpint(saved_add(&a, "x", "k", "of a"), ==, 0);
        g_assert_cmpint(saved_add(&a, "y", "k", "of a"), ==, 0);
        g_assert_cmpint(saved_add(&b, "y", "k", "of b"), ==, 0);
        g_assert_cmpint(saved_copy(&b, &a), ==, 0);
        g_assert_cmpuint(b.n, ==, 2);
        g_assert_cmpstr(saved_get(&b, "x", "k"), ==, "of a");
        g_assert_cmpstr(saved_get(&b, "y", "k"), ==, "of b");
        saved_done(&a);
        saved_done(&b);
}

static void test_lines(void) {
        static const char *const values[] = { "", " ", "a b", "\n", "\\", "\x7f\x01", "saved", "\xc3\xa9" };
        Saved s = {}, again = {};
        _cleanup_free_ char *text = NULL, *text_again = NULL;
        WordsReader reader;

        for (size_t i = 0; i < ELEMENTSOF(values); i++) {
                char key[16];

                (void) snprintf(key, sizeof(key), "key%zu", i);
                g_assert_cmpint(saved_add(&s, values[i], key, values[i]), ==, 0);
        }
        text = text_of(&s);
        reader = (WordsReader) { .text = text, .size = strlen(text) };
        for (;;) {
                _cleanup_strv_free_ char **words = NULL;

                if (words_reader_next(&reader, &words) == 0)
                        break;
                g_assert_nonnull(words);
                g_assert_cmpint(saved_read_line(&again, words), ==, 0);
        }
        g_assert_cmpuint(again.n, ==, ELEMENTSOF(values));
        text_again = text_of(&again);
        g_assert_cmpstr(text, ==, text_again);
        saved_done(&s);
        saved_done(&again);
}

static void test_bad_lines(void) {
        static const char *const bad[][6] = {
                { "saved", NULL },
                { "saved", "a", "b", NULL },
                { "saved", "a", "b", "c", "d", NULL },
                { "save", "a", "b", "c", NULL },
        };
        Saved s = {};

        for (size_t i = 0; i < ELEMENTSOF(bad); i++)
                g_assert_cmpint(saved_read_line(&s, (char *const *) bad[i]), ==, -EBADMSG);
        g_assert_cmpuint(s.n, ==, 0);
        saved_done(&s);
}

static void test_limit(void) {
        Saved s = {};
        char key[16];

        for (unsigned i = 0; i < SAVED_MAX; i++) {
                (void) snprintf(key, sizeof(key), "%u", i);
                g_assert_cmpint(saved_add(&s, "x", key, "v"), ==, 0);
        }
        g_assert_cmpint(saved_add(&s, "x", "one more", "v"), ==, -E2BIG);
        g_assert_cmpint(saved_add(&s, "x", "0", "v"), ==, 0);
        g_assert_cmpuint(s.n, ==, SAVED_MAX);
        saved_done(&s);
}

int main(int argc, char *argv[]) {
        g_test_init(&argc, &argv, NULL);
        g_test_add_func("/saved/first-counts", test_first_counts);
        g_test_add_func("/saved/copy", test_copy);
        g_test_add_func("/saved/lines", test_lines);
        g_test_add_func("/saved/bad-lines", test_bad_lines);
        g_test_add_func("/saved/limit", test_limit);
        return g_test_run();
}
