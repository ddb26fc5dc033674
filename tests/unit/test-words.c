/* SPDX-License-Identifier: GPL-2.0-or-later */

/* test-words: that every string comes back as it went in, and that nothing else is read. */

#include "util/words.h"

#include <glib.h>

static char *write_line(const char *const *words) {
        char *text = NULL;
        size_t size;
        FILE *f = open_memstream(&text, &size);

        g_assert_nonnull(f);
        words_writev(f, words);
        g_assert_cmpint(fclose(f), ==, 0);
        return text;
}

static void test_every_byte(void) {
        for (unsigned byte = 1; byte < 256; byte++) {
                _cleanup_strv_free_ char **words = NULL;
                _cleanup_free_ char *line = NULL;
                char word[] = { 'a', (char) byte, 'b', '\0' }, alone[] = { (char) byte, '\0' };

                line = write_line((const char *[]) { word, alone, "", "\\-", "\\", NULL });
                g_assert_null(strchr(line, '\t'));
                g_assert_true(strchr(line, '\n') == line + strlen(line) - 1);
                line[strlen(line) - 1] = '\0';
                g_assert_cmpint(words_split(line, &words), ==, 0);
                g_assert_cmpuint(strv_length(words), ==, 5);
                g_assert_cmpstr(words[0], ==, word);
                g_assert_cmpstr(words[1], ==, alone);
                g_assert_cmpstr(words[2], ==, "");
                g_assert_cmpstr(words[3], ==, "\\-");
                g_assert_cmpstr(words[4], ==, "\\");
        }
}

static void test_write(void) {
        char *text = NULL;
        size_t size;
        FILE *f = open_memstream(&text, &size);

        words_write(f, "step", "1", "un bind", "", NULL);
        words_write(f, "", NULL);
        g_assert_cmpint(fclose(f), ==, 0);
        g_assert_cmpstr(text, ==, "step 1 un\\x20bind \\-\n\\-\n");
        free(text);
}

static void test_rejects(void) {
        static const char *const lines[] = {
                "", " ", " a", "a ", "a  b", "a\tb", "a\x7f", "a\\", "a\\x", "a\\x2", "a\\x2g", "a\\X20", "a\\x2G",
                "a\\x0A", "\\x00", "\\n", "\\\\", "a\\-", "\\-a", "a\nb", "a\x01",
        };
        char long_line[WORDS_LINE_MAX + 2];
        g_autoptr(GString) many = g_string_new("a");

        for (size_t i = 0; i < ELEMENTSOF(lines); i++) {
                char **words = NULL;

                g_test_message("'%s'", lines[i]);
                g_assert_cmpint(words_split(lines[i], &words), ==, -EBADMSG);
                g_assert_null(words);
        }

        memset(long_line, 'a', sizeof(long_line) - 1);
        long_line[sizeof(long_line) - 1] = '\0';
        g_assert_cmpint(words_split(long_line, &(char **) { NULL }), ==, -EBADMSG);
        long_line[WORDS_LINE_MAX] = '\0';
        {
                _cleanup_strv_free_ char **words = NULL;

                g_assert_cmpint(words_split(long_line, &words), ==, 0);
        }

        for (unsigned i = 1; i < WORDS_MAX; i++)
                g_string_append(many, " a");
        {
                _cleanup_strv_free_ char **words = NULL;

                g_assert_cmpint(words_split(many->str, &words), ==, 0);
                g_assert_cmpuint(strv_length(words), ==, WORDS_MAX);
        }
        g_string_append(many, " a");
        g_assert_cmpint(words_split(many->str, &(char **) { NULL }), ==, -EBADMSG);
}

static void test_reader(void) {
        static const char text[] = "a b\nc\n";
        WordsReader reader = { .text = text, .size = sizeof(text) - 1 };
        char **words = NULL;

        g_assert_cmpint(words_reader_next(&reader, &words), ==, 1);
        g_assert_cmpuint(strv_length(words), ==, 2);
        g_assert_cmpuint(reader.line, ==, 1);
        words = strv_free(words);
        g_assert_cmpint(words_reader_next(&reader, &words), ==, 1);
        g_assert_cmpstr(words[0], ==, "c");
        g_assert_cmpuint(reader.line, ==, 2);
        words = strv_free(words);
        g_assert_cmpint(words_reader_next(&reader, &words), ==, 0);
        g_assert_cmpint(words_reader_next(&reader, &words), ==, 0);

        reader = (WordsReader) { .text = "", .size = 0 };
        g_assert_cmpint(words_reader_next(&reader, &words), ==, 0);
        reader = (WordsReader) { .text = "a", .size = 1 };
        g_assert_cmpint(words_reader_next(&reader, &words), ==, -EBADMSG);
        reader = (WordsReader) { .text = "\n", .size = 1 };
        g_assert_cmpint(words_reader_next(&reader, &words), ==, -EBADMSG);
        reader = (WordsReader) { .text = "a\0b\n", .size = 4 };
        g_assert_cmpint(words_reader_next(&reader, &words), ==, -EBADMSG);
}

static void test_numbers(void) {
        static const struct {
                const char *s;
                uint64_t max;
                int decimal, hexadecimal;
        } cases[] = {
                { "0", 0, 0, 0 },
                { "10", 10, 0, -ERANGE },
                { "11", 10, -ERANGE, -ERANGE },
                { "ff", 255, -EINVAL, 0 },
                { "FF", 255, -EINVAL, 0 },
                { "0x1", 255, -EINVAL, -EINVAL },
                { "0X1", 255, -EINVAL, -EINVAL },
                { "007", 7, 0, 0 },
                { "", 255, -EINVAL, -EINVAL },
                { " 1", 255, -EINVAL, -EINVAL },
                { "1 ", 255, -EINVAL, -EINVAL },
                { "+1", 255, -EINVAL, -EINVAL },
                { "-1", UINT64_MAX, -EINVAL, -EINVAL },
                { "1\n", 255, -EINVAL, -EINVAL },
                { "18446744073709551615", UINT64_MAX, 0, -ERANGE },
                { "18446744073709551616", UINT64_MAX, -ERANGE, -ERANGE },
                { "ffffffffffffffff", UINT64_MAX, -EINVAL, 0 },
        };

        for (size_t i = 0; i < ELEMENTSOF(cases); i++) {
                uint64_t v = 12345;

                g_test_message("'%s'", cases[i].s);
                g_assert_cmpint(parse_u64(cases[i].s, cases[i].max, &v), ==, cases[i].decimal);
                g_assert_cmpint(parse_hex_u64(cases[i].s, cases[i].max, &v), ==, cases[i].hexadecimal);
        }
}

/* What goes to systemd is nothing else than what it would be. */
static void test_names(void) {
        g_autofree char *long_id = g_strnfill(65, '1'), *long_unit = g_strdup_printf("%s.service", long_id);

        g_assert_true(session_id_valid("2") && session_id_valid("c12"));
        g_assert_false(session_id_valid("") || session_id_valid("../2") || session_id_valid("2.scope") ||
                       session_id_valid("a b"));
        g_assert_false(session_id_valid(long_id));
        g_assert_true(service_name_valid("lightdm.service") && service_name_valid("a@b\\x2dc.service") &&
                      service_name_valid(long_unit));
        g_assert_false(service_name_valid(".service") || service_name_valid("lightdm") ||
                       service_name_valid("a/b.service"));
        g_assert_false(service_name_valid("a b.service") || service_name_valid("x.socket"));
}

int main(int argc, char *argv[]) {
        g_test_init(&argc, &argv, NULL);
        g_test_add_func("/words/every-byte", test_every_byte);
        g_test_add_func("/words/write", test_write);
        g_test_add_func("/words/rejects", test_rejects);
        g_test_add_func("/words/reader", test_reader);
        g_test_add_func("/words/numbers", test_numbers);
        g_test_add_func("/words/names", test_names);
        return g_test_run();
}
