/* SPDX-License-Identifier: GPL-2.0-or-later */

/* test-step: that the vocabulary is whole: every verb has a word of its own, an executor, deadlines, and a sentence. */

#include "step.h"

#include <ctype.h>
#include <glib.h>

static void test_table(void) {
        for (Verb v = 0; v < _VERB_MAX; v++) {
                const char *word = verb_to_string(v);
                const VerbInfo *info = verb_info(v);

                g_assert_nonnull(word);
                g_assert_cmpint(verb_from_string(word), ==, v);
                /* One word of the protocol, as it is. */
                g_assert_cmpuint(strspn(word, "abcdefghijklmnopqrstuvwxyz-"), ==, strlen(word));

                g_assert_nonnull(info);
                g_assert_cmpint(info->executor, <, _EXECUTOR_MAX);
                g_assert_cmpuint(info->slow_sec, >, 0);
                g_assert_cmpuint(info->stuck_sec, >, info->slow_sec);
        }
        g_assert_null(verb_to_string(_VERB_MAX));
        g_assert_null(verb_to_string(_VERB_INVALID));
        g_assert_null(verb_info(_VERB_MAX));
        g_assert_null(verb_info(_VERB_INVALID));
        g_assert_cmpint(verb_from_string("unbind "), ==, _VERB_INVALID);
        g_assert_cmpint(verb_from_string(""), ==, _VERB_INVALID);
        g_assert_cmpint(verb_from_string(NULL), ==, _VERB_INVALID);
        g_assert_true(verb_info(VERB_UNBIND)->writes);
        g_assert_false(verb_info(VERB_SNAPSHOT)->writes);
}

static void assert_sentence(Verb verb, const char *target, char *const *arguments, const char *expected) {
        _cleanup_free_ char *text = NULL;
        Step s;

        g_assert_cmpint(step_init(&s, verb, target, arguments), ==, 0);
        text = step_describe(&s);
        g_assert_cmpstr(text, ==, expected);
        step_done(&s);
}

#define ARGUMENTS(...) ((char *[]) { __VA_ARGS__, NULL })

static void test_sentences(void) {
        char nvidia[] = "nvidia", empty[] = "", other[] = "0000:01:00.1", seconds[] = "15", none[] = "0";

        assert_sentence(VERB_UNBIND, "0000:01:00.0", ARGUMENTS(nvidia), "unbind 0000:01:00.0 from nvidia");
        assert_sentence(VERB_OVERRIDE, "0000:01:00.0", ARGUMENTS(nvidia), "reserve 0000:01:00.0 for nvidia");
        assert_sentence(VERB_OVERRIDE, "0000:01:00.0", ARGUMENTS(empty), "let any driver have 0000:01:00.0 again");
        assert_sentence(VERB_VERIFY, "0000:01:00.0", ARGUMENTS(empty, other, nvidia),
                        "verify that 0000:01:00.0 has no driver");
        assert_sentence(VERB_SNAPSHOT, "-", NULL, "look at all PCI functions");
        assert_sentence(VERB_SNAPSHOT, "-", ARGUMENTS(other, nvidia), "look at 0000:01:00.1, nvidia");
        assert_sentence(VERB_PIN, "0000:01:00.0", ARGUMENTS(other), "keep 0000:01:00.0, 0000:01:00.1 powered up");
        assert_sentence(VERB_WAIT_FREE, "0000:01:00.0", ARGUMENTS(none), "verify that nobody holds 0000:01:00.0");
        assert_sentence(VERB_WAIT_FREE, "0000:01:00.0", ARGUMENTS(seconds), "wait up to 15 s until nobody holds 0000:01:00.0");
        /* An argument that is missing leaves a gap, and nothing worse. */
        assert_sentence(VERB_UNBIND, "0000:01:00.0", NULL, "unbind 0000:01:00.0 from ");

        for (Verb v = 0; v < _VERB_MAX; v++) {
                _cleanup_free_ char *text = NULL;
                Step s;

                g_assert_cmpint(step_init(&s, v, "TARGET", ARGUMENTS(nvidia, other, seconds)), ==, 0);
                text = step_describe(&s);
                g_assert_nonnull(text);
                g_assert_null(strchr(text, '$'));
                g_assert_true(islower(text[0]));
                step_done(&s);
        }
}

static void test_copies(void) {
        char target[] = "0000:01:00.0", first[] = "nvidia";
        Step s;

        g_assert_cmpint(step_init(&s, VERB_UNBIND, target, ARGUMENTS(first)), ==, 0);
        target[0] = first[0] = 'x';
        g_assert_cmpstr(s.target, ==, "0000:01:00.0");
        g_assert_cmpstr(s.arguments[0], ==, "nvidia");
        step_done(&s);
        g_assert_null(s.target);
        step_done(&s);

        g_assert_cmpint(step_init(&s, _VERB_MAX, "x", NULL), ==, -EINVAL);
        g_assert_cmpint(step_init(&s, _VERB_INVALID, "x", NULL), ==, -EINVAL);
        s = (Step) { .verb = _VERB_INVALID };
        g_assert_null(step_describe(&s));
}

int main(int argc, char *argv[]) {
        g_test_init(&argc, &argv, NULL);
        g_test_add_func("/step/table", test_table);
        g_test_add_func("/step/sentences", test_sentences);
        g_test_add_func("/step/copies", test_copies);
        return g_test_run();
}
