/* SPDX-License-Identifier: GPL-2.0-or-later */

/* test-vm-answer: answers of adapters, good ones and hostile ones. */

#include "vm-answer.h"

#include <glib.h>

static void parse(VmVerb verb, int status, const char *output, VmAnswer *ret) {
        g_autofree char *shown = g_strescape(output, NULL);

        g_test_message("%s %i %.200s", vm_verb_to_string(verb), status, shown);
        g_assert_cmpint(vm_answer_parse(verb, status, output, strlen(output), ret), ==, 0);
        g_assert_nonnull(ret->reason);
        g_assert_nonnull(ret->error);
}

static void test_words(void) {
        for (VmVerb v = 0; v < _VM_VERB_MAX; v++)
                g_assert_cmpint(vm_verb_from_string(vm_verb_to_string(v)), ==, v);
        for (VmState s = 0; s < _VM_STATE_MAX; s++)
                g_assert_cmpint(vm_state_from_string(vm_state_to_string(s)), ==, s);
        g_assert_cmpstr(vm_verb_to_string(VM_HIBERNATE), ==, "hibernate");
        g_assert_cmpstr(vm_verb_to_string(VM_SHUTDOWN), ==, "shutdown");
        g_assert_cmpint(vm_verb_from_string("levitate"), <, 0);
        g_assert_cmpint(vm_state_from_string(""), <, 0);
}

static void test_identify(void) {
        VmAnswer a;

        parse(VM_IDENTIFY, 0, "{\"adapter\":\"qemu\",\"verb\":\"identify\",\"pid\":17,\"id\":\"17:4\",\"name\":\"win \\u00e9\"}\n", &a);
        g_assert_cmpint(a.result, ==, VM_DONE);
        g_assert_cmpstr(a.id, ==, "17:4");
        g_assert_cmpstr(a.name, ==, "win é");
        g_assert_cmpint(a.state, ==, VM_UNKNOWN);
        g_assert_cmpstr(a.reason, ==, "");
        g_assert_cmpstr(a.error, ==, "");
        vm_answer_done(&a);

        /* One without a name is called by its ID. */
        parse(VM_IDENTIFY, 0, " {\"id\": \"a b\"}", &a);
        g_assert_cmpint(a.result, ==, VM_DONE);
        g_assert_cmpstr(a.name, ==, "a b");
        vm_answer_done(&a);
        parse(VM_IDENTIFY, 0, "{\"id\":\"1\",\"name\":\"\"}", &a);
        g_assert_cmpstr(a.name, ==, "1");
        vm_answer_done(&a);

        parse(VM_IDENTIFY, 2, "{\"reason\":\"process 1 is in no unit\",\"id\":\"1\"}\n", &a);
        g_assert_cmpint(a.result, ==, VM_NOT_MINE);
        g_assert_cmpstr(a.reason, ==, "process 1 is in no unit");
        g_assert_null(a.id);
        vm_answer_done(&a);
}

static void test_verbs(void) {
        static const struct {
                VmVerb verb;
                int status;
                const char *output;
                VmResult result;
                VmState state;
                bool changed;
                const char *error, *reason;
        } cases[] = {
                { VM_STATUS, 0, "{\"state\":\"running\"}", VM_DONE, VM_RUNNING, true, "", "" },
                { VM_STATUS, 0, "{\"state\":\"gone\",\"changed\":5}", VM_DONE, VM_GONE, true, "", "" },
                { VM_STATUS, 0, "{}", VM_DONE, VM_UNKNOWN, true, "", "" },
                { VM_STATUS, 0, "{\"state\":\"levitating\"}", VM_DONE, VM_UNKNOWN, true, "", "" },
                { VM_STATUS, 0, "{\"state\":\"off\\u0000\"}", VM_DONE, VM_UNKNOWN, true, "", "" },
                { VM_PAUSE, 0, "{\"state\":\"paused\",\"changed\":true}", VM_DONE, VM_PAUSED, true, "", "" },
                { VM_PAUSE, 0, "{\"state\":\"paused\",\"changed\":false}", VM_DONE, VM_PAUSED, false, "", "" },
                { VM_PAUSE, 0, "{\"changed\":false,\"changed\":true}", VM_DONE, VM_UNKNOWN, true, "", "" },
                { VM_KILL, 0, "{\"state\":\"off\",\"error\":\"timeout\",\"reason\":\"x\"}", VM_DONE, VM_OFF, true, "", "" },
                { VM_SUSPEND, 1, "{\"state\":\"paused\",\"error\":\"refused\",\"reason\":\"the VM is paused\"}", VM_FAILED, VM_PAUSED,
                  true, "refused", "the VM is paused" },
                { VM_SUSPEND, 1, "{\"error\":\"timeout\",\"reason\":\"no answer within 90 s\"}", VM_TIMED_OUT, VM_UNKNOWN, true,
                  "timeout", "no answer within 90 s" },
                { VM_START, 1, "{}", VM_FAILED, VM_UNKNOWN, true, "", "it gives no reason" },
                { VM_WAKE, 1, "{\"reason\":\"\"}", VM_FAILED, VM_UNKNOWN, true, "", "it gives no reason" },
                { VM_HIBERNATE, 3, "{\"reason\":\"no <pm>\",\"error\":\"timeout\"}", VM_NOT_SUPPORTED, VM_UNKNOWN, true, "", "no <pm>" },
                { VM_RESUME, 2, "{\"reason\":\"x\"}", VM_FAILED, VM_UNKNOWN, true, "",
                  "it answers 'resume' as it may only answer 'identify' (status 2)" },
                { VM_RESUME, 4, "{}", VM_FAILED, VM_UNKNOWN, true, "", "it ended with the unknown status 4" },
                { VM_RESUME, 127, "sh: nothing\n", VM_FAILED, VM_UNKNOWN, true, "", "it ended with the unknown status 127" },
                { VM_RESUME, -1, "{}", VM_FAILED, VM_UNKNOWN, true, "", "it was ended" },
        };

        for (size_t i = 0; i < G_N_ELEMENTS(cases); i++) {
                VmAnswer a;

                parse(cases[i].verb, cases[i].status, cases[i].output, &a);
                g_assert_cmpint(a.result, ==, cases[i].result);
                g_assert_cmpint(a.state, ==, cases[i].state);
                g_assert_cmpint(a.changed, ==, cases[i].changed);
                g_assert_cmpstr(a.error, ==, cases[i].error);
                g_assert_cmpstr(a.reason, ==, cases[i].reason);
                g_assert_null(a.id);
                g_assert_null(a.name);
                vm_answer_done(&a);
        }
}

static void test_capabilities(void) {
        VmAnswer a;

        parse(VM_CAPABILITIES, 0,
              "{\"state\":\"running\",\"agent\":true,\"s3\":false,\"s4\":false,\"restart\":true,\"verbs\":[\"identify\",\"status\"],"
              "\"hints\":{\"agent\":5,\"s3\":\"the option machine\\nneeds enable-s3=1\",\"s4\":\"\",\"moon\":7}}\n", &a);
        g_assert_cmpint(a.result, ==, VM_DONE);
        g_assert_cmpint(a.state, ==, VM_RUNNING);
        g_assert_true(a.agent && !a.s3 && !a.s4 && a.restart);
        g_assert_null(a.hint_agent);
        g_assert_cmpstr(a.hint_s3, ==, "the option machine needs enable-s3=1");
        g_assert_null(a.hint_s4);
        g_assert_null(a.hint_restart);
        vm_answer_done(&a);

        /* What it does not say cannot be done. */
        parse(VM_CAPABILITIES, 0, "{\"s4\":true,\"hints\":{\"agent\":\"x\",\"restart\":\"y\"}}", &a);
        g_assert_true(!a.agent && !a.s3 && a.s4 && !a.restart);
        g_assert_cmpstr(a.hint_agent, ==, "x");
        g_assert_cmpstr(a.hint_restart, ==, "y");
        vm_answer_done(&a);

        /* Not in answers to others. */
        parse(VM_STATUS, 0, "{\"s4\":true,\"hints\":5,\"agent\":\"x\"}", &a);
        g_assert_cmpint(a.result, ==, VM_DONE);
        g_assert_false(a.s4);
        vm_answer_done(&a);
}

/* Whatever the exit status says: what does not fit is a failure, and nothing of it is taken. */
static void test_does_not_fit(void) {
        static const struct {
                VmVerb verb;
                int status;
                const char *output, *reason;
        } cases[] = {
                { VM_STATUS, 0, "", "it gave no answer" },
                { VM_STATUS, 3, "", "it gave no answer" },
                { VM_IDENTIFY, 2, "not mine\n", "its answer is not one JSON object" },
                { VM_STATUS, 0, "\n \n", "its answer ends in the middle" },
                { VM_STATUS, 0, "{\"state\":\"running\"", "its answer ends in the middle" },
                { VM_STATUS, 0, "{\"state\":\"run", "its answer ends in the middle" },
                { VM_STATUS, 0, "[]", "its answer is not one JSON object" },
                { VM_STATUS, 0, "null\n", "its answer is not one JSON object" },
                { VM_STATUS, 0, "\"state\"", "its answer is not one JSON object" },
                { VM_STATUS, 0, "{} {}", "its answer is not one JSON object" },
                { VM_STATUS, 0, "{}\nnow done", "its answer is not one JSON object" },
                { VM_STATUS, 0, "warning: {}\n", "its answer is not one JSON object" },
                { VM_STATUS, 0, "{'state':'running'}", "its answer is not one JSON object" },
                { VM_STATUS, 0, "{\"state\":\"running\",}", "its answer is not one JSON object" },
                { VM_STATUS, 0, "{/* */}", "its answer is not one JSON object" },
                { VM_STATUS, 0, "{state:\"running\"}", "its answer is not one JSON object" },
                { VM_STATUS, 0, "\xff\xfe{}", "its answer is not one JSON object" },
                { VM_STATUS, 0, "{\"a\":[[[[[[[[[[]]]]]]]]]]}", "its answer is nested too deep" },
                { VM_STATUS, 0, "{\"state\":7}", "'state' of its answer is of the wrong type" },
                { VM_STATUS, 0, "{\"state\":null}", "'state' of its answer is of the wrong type" },
                { VM_START, 0, "{\"state\":\"running\",\"changed\":\"false\"}", "'changed' of its answer is of the wrong type" },
                { VM_START, 0, "{\"state\":\"running\",\"changed\":0}", "'changed' of its answer is of the wrong type" },
                { VM_START, 1, "{\"error\":\"refused\",\"reason\":[\"no\"]}", "'reason' of its answer is of the wrong type" },
                { VM_START, 1, "{\"error\":5,\"reason\":\"no\"}", "'error' of its answer is of the wrong type" },
                { VM_START, 3, "{\"reason\":true}", "'reason' of its answer is of the wrong type" },
                { VM_CAPABILITIES, 0, "{\"agent\":true,\"s3\":1}", "'s3' of its answer is of the wrong type" },
                { VM_CAPABILITIES, 0, "{\"agent\":true,\"hints\":[]}", "'hints' of its answer is of the wrong type" },
                { VM_CAPABILITIES, 0, "{\"agent\":true,\"hints\":{\"s3\":{}}}", "'hints' of its answer is of the wrong type" },
                { VM_IDENTIFY, 0, "{}", "its answer has no ID that is one" },
                { VM_IDENTIFY, 0, "{\"name\":\"a\",\"id\":5}", "'id' of its answer is of the wrong type" },
                { VM_IDENTIFY, 0, "{\"id\":\"5\",\"name\":5}", "'name' of its answer is of the wrong type" },
                { VM_IDENTIFY, 0, "{\"id\":\"\"}", "its answer has no ID that is one" },
                { VM_IDENTIFY, 0, "{\"id\":\"-1\"}", "its answer has no ID that is one" },
                { VM_IDENTIFY, 0, "{\"id\":\"a\\nb\"}", "its answer has no ID that is one" },
                { VM_IDENTIFY, 0, "{\"id\":\"a\\u0000b\"}", "its answer has no ID that is one" },
                { VM_IDENTIFY, 0, "{\"id\":\"a\\u001b[31m\"}", "its answer has no ID that is one" },
                { VM_IDENTIFY, 0, "{\"id\":\"a\\u0085\"}", "its answer has no ID that is one" },
                { VM_IDENTIFY, 0, "{\"id\":\"a\\u202eb\"}", "its answer has no ID that is one" },
                { VM_IDENTIFY, 0, "{\"id\":\"\xff\"}", "its answer has no ID that is one" },
        };

        for (size_t i = 0; i < G_N_ELEMENTS(cases); i++) {
                VmAnswer a;

                parse(cases[i].verb, cases[i].status, cases[i].output, &a);
                g_assert_cmpint(a.result, ==, VM_FAILED);
                g_assert_cmpstr(a.reason, ==, cases[i].reason);
                g_assert_cmpstr(a.error, ==, "");
                g_assert_cmpint(a.state, ==, VM_UNKNOWN);
                g_assert_true(a.changed && !a.agent && !a.s3 && !a.s4 && !a.restart);
                g_assert_true(!a.id && !a.name && !a.hint_agent && !a.hint_s3 && !a.hint_s4 && !a.hint_restart);
                vm_answer_done(&a);
        }
}

/* Other letters than those of ASCII are no control characters. */
static void test_letters(void) {
        VmAnswer a;

        parse(VM_IDENTIFY, 0, "{\"id\":\"7\",\"name\":\"d\xc3\xbc\xe2\x80\xa6\"}", &a);
        g_assert_cmpint(a.result, ==, VM_DONE);
        g_assert_cmpstr(a.name, ==, "d\xc3\xbc\xe2\x80\xa6");
        vm_answer_done(&a);
}

/* A text that goes on behind what the tokener takes for its end. */
static void test_nul(void) {
        static const char output[] = "{\"state\":\"running\"}\0{}";
        VmAnswer a;

        g_assert_cmpint(vm_answer_parse(VM_STATUS, 0, output, sizeof(output) - 1, &a), ==, 0);
        g_assert_cmpint(a.result, ==, VM_FAILED);
        g_assert_cmpstr(a.reason, ==, "its answer is not text");
        vm_answer_done(&a);
        /* Nothing is read behind the end. */
        g_assert_cmpint(vm_answer_parse(VM_STATUS, 0, output, STRLEN("{\"state\":\"running\"}"), &a), ==, 0);
        g_assert_cmpint(a.state, ==, VM_RUNNING);
        vm_answer_done(&a);
}

/* A good answer of exactly this size. */
static char *make_answer(size_t size) {
        g_autoptr(GString) s = g_string_new("{\"state\":\"off\",\"x\":\"");

        while (s->len < size - 2)
                g_string_append_c(s, 'y');
        g_string_append(s, "\"}");
        return g_string_free(g_steal_pointer(&s), FALSE);
}

static void test_size(void) {
        g_autofree char *fits = make_answer(VM_OUTPUT_MAX), *line = g_strconcat(fits, "\n", NULL),
                        *larger = make_answer(VM_OUTPUT_MAX + 2);
        VmAnswer a;

        parse(VM_STATUS, 0, fits, &a);
        g_assert_cmpint(a.state, ==, VM_OFF);
        vm_answer_done(&a);
        parse(VM_STATUS, 0, line, &a);
        g_assert_cmpint(a.state, ==, VM_OFF);
        vm_answer_done(&a);
        parse(VM_STATUS, 0, larger, &a);
        g_assert_cmpint(a.result, ==, VM_FAILED);
        g_assert_cmpstr(a.reason, ==, "its answer is longer than 64 KiB");
        vm_answer_done(&a);
}

static void test_id(void) {
        char id[VM_ID_MAX + 2] = "";

        memset(id, 'x', VM_ID_MAX);
        g_assert_true(vm_id_valid(id));
        id[VM_ID_MAX] = 'x';
        g_assert_false(vm_id_valid(id));
        g_assert_true(vm_id_valid("b0b2f4ec-8f0c-4a5f-8a4a-8c9e1f0d2f6d"));
        g_assert_true(vm_id_valid("../../etc/passwd")); /* means something to an adapter alone */
        g_assert_true(vm_id_valid("é 💻"));
        g_assert_false(vm_id_valid(NULL));
        g_assert_false(vm_id_valid(""));
        g_assert_false(vm_id_valid("--help"));
        g_assert_false(vm_id_valid("a\tb"));
        g_assert_false(vm_id_valid("\x7f"));
        g_assert_false(vm_id_valid("\xc3"));             /* cut off */
        g_assert_false(vm_id_valid("\xc0\xaf"));         /* longer than it has to be */
        g_assert_false(vm_id_valid("\xed\xa0\x80"));     /* half of a pair */
        g_assert_false(vm_id_valid("\xf4\x90\x80\x80")); /* past Unicode */
        g_assert_false(vm_id_valid("\xc2\x9b"));
}

/* What people read is cut off between two characters, and is one line. */
static void test_texts(void) {
        g_autoptr(GString) s = g_string_new("{\"id\":\"1\",\"name\":\"");
        VmAnswer a;

        for (unsigned i = 0; i < 1000; i++)
                g_string_append(s, "é");
        g_string_append(s, "\"}");
        parse(VM_IDENTIFY, 0, s->str, &a);
        g_assert_cmpint(a.result, ==, VM_DONE);
        g_assert_cmpuint(strlen(a.name), ==, 254);
        g_assert_true(g_utf8_validate(a.name, -1, NULL));
        vm_answer_done(&a);

        g_string_assign(s, "{\"error\":\"0123456789012345678901234567890123456789\",\"reason\":\"");
        for (unsigned i = 0; i < 1000; i++)
                g_string_append(s, "💻");
        g_string_append(s, "\"}");
        parse(VM_PAUSE, 1, s->str, &a);
        g_assert_cmpint(a.result, ==, VM_FAILED);
        g_assert_cmpstr(a.error, ==, "0123456789012345678901234567890");
        g_assert_cmpuint(strlen(a.reason), ==, 1020);
        g_assert_true(g_utf8_validate(a.reason, -1, NULL));
        vm_answer_done(&a);

        parse(VM_PAUSE, 1, "{\"reason\":\"a\\nb\\tc\\u001b[1md\\u0000e\xff\xc3.\\u2028\\u202e\\ud800\"}", &a);
        g_assert_cmpstr(a.reason, ==, "a b c?[1md?e??." "??????" "\xef\xbf\xbd");
        vm_answer_done(&a);
}

int main(int argc, char *argv[]) {
        g_test_init(&argc, &argv, NULL);
        g_test_add_func("/vm-answer/words", test_words);
        g_test_add_func("/vm-answer/identify", test_identify);
        g_test_add_func("/vm-answer/verbs", test_verbs);
        g_test_add_func("/vm-answer/capabilities", test_capabilities);
        g_test_add_func("/vm-answer/does-not-fit", test_does_not_fit);
        g_test_add_func("/vm-answer/letters", test_letters);
        g_test_add_func("/vm-answer/nul", test_nul);
        g_test_add_func("/vm-answer/size", test_size);
        g_test_add_func("/vm-answer/id", test_id);
        g_test_add_func("/vm-answer/texts", test_texts);
        return g_test_run();
}
