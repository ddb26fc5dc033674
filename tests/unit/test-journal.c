/* SPDX-License-Identifier: GPL-2.0-or-later */

/* test-journal: that what a daemon wrote before it died is what the next one reads, and that nothing else
 * is taken for it. */

#include "loop.h"

#include <sys/stat.h>

#include "journal.h"

static char *text_of(const Intent *intent, size_t *ret_size) {
        char *text = NULL;
        FILE *f = open_memstream(&text, ret_size);

        g_assert_nonnull(f);
        intent_write(intent, f);
        g_assert_cmpint(fclose(f), ==, 0);
        return text;
}

static void add_step(Intent *intent, Verb verb, const char *target, const char *first, const char *second) {
        const char *arguments[] = { first, first ? second : NULL, NULL };

        g_assert_cmpint(plan_add(intent->plan, verb, target, (char *const *) arguments), ==, 0);
}

static void save(Intent *intent, const char *subject, const char *key, const char *value) {
        g_assert_cmpint(saved_add(&intent->saved, subject, key, value), ==, 0);
}

/* Every kind of line, and words that need care. */
static Intent *make_intent(void) {
        Intent *intent = intent_new(7, OPERATION_DETACH, "0000:01:00.0", 1000);

        g_assert_nonnull(intent);
        add_step(intent, VERB_CHECK, "0000:01:00.0", "0000:01:00.1", NULL);
        add_step(intent, VERB_PIN, "0000:01:00.0", "0000:01:00.1", NULL);
        add_step(intent, VERB_OVERRIDE, "0000:01:00.0", "vfio-pci", NULL);
        add_step(intent, VERB_OVERRIDE, "0000:01:00.1", "", NULL);
        add_step(intent, VERB_ASK_SOUND, "0000:01:00.1", "card1", NULL);
        add_step(intent, VERB_UNBIND, "0000:01:00.0", "nouveau", NULL);
        g_assert_cmpint(strv_extend(&intent->functions, "0000:01:00.0"), ==, 0);
        g_assert_cmpint(strv_extend(&intent->functions, "0000:01:00.1"), ==, 0);
        save(intent, "0000:01:00.0", "override", "");
        save(intent, "0000:01:00.0", "driver", "nouveau");
        save(intent, "/dev/snd/controlC1", "acl", "02000000ff");
        intent->begun = 5;
        intent->done = 4;
        intent->restarts = 1;
        intent->replaces = 6;
        intent->worker_pid = 4711;
        intent->worker_start = 123456789012345;
        intent->access = true;
        intent->access_uid = 1000;
        return intent;
}

static void assert_same(const Intent *a, const Intent *b) {
        _cleanup_free_ char *x = NULL, *y = NULL;
        size_t n, m;

        x = text_of(a, &n);
        y = text_of(b, &m);
        g_assert_cmpstr(x, ==, y);
}

static void test_round_trip(void) {
        _cleanup_(intent_freep) Intent *intent = make_intent(), *again = NULL;
        _cleanup_free_ char *text = NULL;
        size_t size;

        text = text_of(intent, &size);
        g_assert_cmpint(intent_read(text, size, &again), ==, 0);
        assert_same(intent, again);
        g_assert_cmpuint(again->id, ==, 7);
        g_assert_cmpint(again->operation, ==, OPERATION_DETACH);
        g_assert_cmpint(again->plan->operation, ==, OPERATION_DETACH);
        g_assert_cmpstr(again->gpu, ==, "0000:01:00.0");
        g_assert_cmpuint(again->uid, ==, 1000);
        g_assert_cmpint(again->phase, ==, PHASE_FORWARD);
        g_assert_cmpuint(again->begun, ==, 5);
        g_assert_cmpuint(again->done, ==, 4);
        g_assert_cmpuint(again->restarts, ==, 1);
        g_assert_cmpuint(again->replaces, ==, 6);
        g_assert_cmpuint(again->worker_pid, ==, 4711);
        g_assert_cmpuint(again->worker_start, ==, 123456789012345);
        g_assert_null(again->error);
        g_assert_true(again->access);
        g_assert_cmpuint(again->access_uid, ==, 1000);
        g_assert_cmpuint(strv_length(again->functions), ==, 2);
        g_assert_cmpuint(again->plan->n, ==, 6);
        g_assert_cmpstr(again->plan->steps[3].arguments[0], ==, "");
        g_assert_cmpstr(saved_get(&again->saved, "0000:01:00.0", "override"), ==, "");
}

static void test_undo_phase(void) {
        _cleanup_(intent_freep) Intent *intent = make_intent(), *again = NULL;
        _cleanup_(plan_freep) Plan *undo = NULL, *undo_again = NULL;
        _cleanup_free_ char *text = NULL;
        size_t size;

        g_assert_cmpuint(intent_step_number(intent, 2), ==, 2);
        g_assert_cmpint(intent_turn_back(intent, "org.gpupt1.Error.InUse", "A sentence.\nAnd a line."), ==, 0);
        g_assert_cmpint(intent->phase, ==, PHASE_UNDO);
        /* The step that was never begun is no part of it any more. */
        g_assert_cmpuint(intent->plan->n, ==, 5);
        g_assert_cmpuint(intent->begun, ==, 0);
        g_assert_cmpuint(intent->done, ==, 0);
        g_assert_cmpuint(intent_step_number(intent, 2), ==, 7);
        /* The first failure is the one that is reported. */
        g_assert_cmpint(intent_turn_back(intent, "another", "one"), ==, 0);
        g_assert_cmpstr(intent->error, ==, "org.gpupt1.Error.InUse");

        g_assert_cmpint(intent_undo_plan(intent, &undo), ==, 0);
        g_assert_cmpuint(undo->n, ==, 4);
        g_assert_cmpint(undo->steps[0].verb, ==, VERB_RETURN_SOUND);
        g_assert_cmpstr(undo->steps[0].arguments[2], ==, "02000000ff");
        g_assert_cmpint(undo->steps[3].verb, ==, VERB_RESTORE_POWER);

        intent->begun = intent->done = 3;
        text = text_of(intent, &size);
        g_assert_cmpint(intent_read(text, size, &again), ==, 0);
        assert_same(intent, again);
        g_assert_cmpstr(again->message, ==, "A sentence.\nAnd a line.");
        g_assert_cmpint(intent_undo_plan(again, &undo_again), ==, 0);
        g_assert_cmpuint(undo_again->n, ==, undo->n);
        for (size_t i = 0; i < undo->n; i++) {
                g_assert_cmpint(undo->steps[i].verb, ==, undo_again->steps[i].verb);
                g_assert_cmpstr(undo->steps[i].target, ==, undo_again->steps[i].target);
        }
}

/* A file that was cut off is never taken for a shorter plan. */
static void test_rungs(void) {
        _cleanup_(intent_freep) Intent *intent = intent_new(9, OPERATION_RECOVER, "0000:01:00.0", 0), *again = NULL;
        _cleanup_free_ char *text = NULL;
        Plan *rung = plan_new(OPERATION_RESET);
        size_t size;

        g_assert_cmpint(strv_extend(&intent->functions, "0000:01:00.0"), ==, 0);
        g_assert_cmpint(intent_add_attempt(intent, RUNG_FLR, "is not possible"), ==, 0);
        g_assert_cmpint(plan_add(rung, VERB_REMOVE, "0000:01:00.0", NULL), ==, 0);
        g_assert_cmpint(plan_add(rung, VERB_ALARM, "rtc0", (char *[]) { (char *) "5", NULL }), ==, 0);
        intent_begin_rung(intent, RUNG_SUSPEND_CYCLE, rung);
        intent->begun = intent->done = 2;
        g_assert_cmpint(intent_turn_back(intent, NULL, NULL), ==, 0);
        g_assert_cmpuint(intent_step_number(intent, 1), ==, 3);

        text = text_of(intent, &size);
        g_assert_cmpint(intent_read(text, size, &again), ==, 0);
        assert_same(intent, again);
        g_assert_cmpint(again->rung, ==, RUNG_SUSPEND_CYCLE);
        /* Its undo is that of a rung. */
        g_assert_cmpint(again->plan->operation, ==, OPERATION_RESET);
        g_assert_cmpuint(again->n_attempts, ==, 1);
        g_assert_cmpstr(again->attempts[0].outcome, ==, "is not possible");
        g_assert_null(again->error);

        /* The numbers of steps, and so the names of their results, never come again. */
        g_assert_cmpint(intent_end_rung(again, 2, "had no effect"), ==, 0);
        g_assert_cmpint(again->rung, ==, _RUNG_INVALID);
        g_assert_cmpint(again->phase, ==, PHASE_FORWARD);
        g_assert_cmpuint(intent_step_number(again, 0), ==, 4);
        g_assert_cmpuint(again->n_attempts, ==, 2);
        g_assert_cmpint(again->attempts[1].rung, ==, RUNG_SUSPEND_CYCLE);
}

static void test_truncated(void) {
        _cleanup_(intent_freep) Intent *intent = make_intent();
        _cleanup_free_ char *text = NULL;
        size_t size;

        text = text_of(intent, &size);
        for (size_t n = 0; n < size; n++) {
                /* Exactly so large, for the sanitizers. */
                g_autofree char *part = g_memdup2(text, n);
                _cleanup_(intent_freep) Intent *read = NULL;

                g_assert_cmpint(intent_read(part, n, &read), ==, -EBADMSG);
                g_assert_null(read);
        }
}

static void read_mutant(const char *text, size_t size) {
        g_autofree char *exact = g_memdup2(text, size);
        _cleanup_(intent_freep) Intent *intent = NULL, *again = NULL;
        _cleanup_free_ char *written = NULL;
        size_t n;
        int r;

        r = intent_read(exact, size, &intent);
        if (r < 0) {
                g_assert_true(r == -EBADMSG || r == -EPROTONOSUPPORT);
                g_assert_null(intent);
                return;
        }
        written = text_of(intent, &n);
        g_assert_cmpint(intent_read(written, n, &again), ==, 0);
        assert_same(intent, again);
}

static char *join_lines(char *const *lines, size_t skip, const char *instead) {
        GString *s = g_string_new(NULL);

        for (size_t i = 0; lines[i]; i++)
                if (i != skip)
                        g_string_append_printf(s, "%s\n", lines[i]);
                else
                        g_string_append(s, instead);
        return g_string_free(s, FALSE);
}

static void assert_bad(char *const *lines, size_t i, const char *instead, int r) {
        g_autofree char *text = join_lines(lines, i, instead);
        _cleanup_(intent_freep) Intent *intent = NULL;

        if (intent_read(text, strlen(text), &intent) != r)
                g_error("'%s' -> '%s' is not %s", lines[i], instead, strerror(-r));
}

static void test_mutated(void) {
        _cleanup_(intent_freep) Intent *intent = make_intent();
        _cleanup_free_ char *text = NULL;
        g_auto(GStrv) lines = NULL;
        size_t size;

        g_assert_cmpint(free_and_strdup(&intent->error, "org.gpupt1.Error.InUse"), ==, 0);
        g_assert_cmpint(free_and_strdup(&intent->message, "why"), ==, 0);
        text = text_of(intent, &size);

        /* Every byte, to whatever. */
        for (size_t i = 0; i < size; i++)
                for (unsigned c = 0; c < 256; c += c == ' ' || c == '0' || c == '\\' ? 1 : 7) {
                        char was = text[i];

                        text[i] = (char) c;
                        read_mutant(text, size);
                        text[i] = was;
                }

        text[size - 1] = '\0';
        lines = g_strsplit(text, "\n", -1);
        for (size_t i = 0; lines[i]; i++) {
                g_autofree char *twice = g_strdup_printf("%s\n%s\n", lines[i], lines[i]);
                g_autofree char *alien = g_strdup_printf("x%s\n", lines[i]);
                g_autofree char *blank = g_strdup_printf("%s \n", lines[i]),
                                *empty = g_strdup_printf("\n%s\n", lines[i]);
                g_autofree char *mutant = NULL;

                assert_bad(lines, i, alien, -EBADMSG);
                assert_bad(lines, i, blank, -EBADMSG);
                assert_bad(lines, i, empty, -EBADMSG);
                mutant = join_lines(lines, i, twice);
                read_mutant(mutant, strlen(mutant));
                g_free(mutant);
                mutant = join_lines(lines, i, "");
                read_mutant(mutant, strlen(mutant));
        }
}

static size_t find_line(char *const *lines, const char *prefix) {
        for (size_t i = 0; lines[i]; i++)
                if (startswith(lines[i], prefix))
                        return i;
        g_assert_not_reached();
}

static void test_bad_lines(void) {
        static const struct {
                const char *line, *instead;
                int r;
        } cases[] = {
                { "gpuptd-job", "gpuptd-job 2\n", -EPROTONOSUPPORT },
                { "gpuptd-job", "gpuptd-job 01\n", -EPROTONOSUPPORT },
                { "gpuptd-job", "gpuptd-gpu 1\n", -EBADMSG },
                { "gpuptd-job", "gpuptd-job 1 1\n", -EBADMSG },
                { "gpuptd-job", "", -EBADMSG },
                { "job", "", -EBADMSG },
                { "job", "job 0 detach 0000:01:00.0 0\n", -EBADMSG },
                { "job", "job -1 detach 0000:01:00.0 0\n", -EBADMSG },
                { "job", "job 4294967296 detach 0000:01:00.0 0\n", -EBADMSG },
                { "job", "job 1 fly 0000:01:00.0 0\n", -EBADMSG },
                { "job", "job 1 detach 01:00.0 0\n", -EBADMSG },
                { "job", "job 1 detach ../../etc/passwd 0\n", -EBADMSG },
                { "job", "job 1 detach 0000:01:00.0 4294967296\n", -EBADMSG },
                { "job", "job 1 detach 0000:01:00.0 0\njob 2 detach 0000:02:00.0 0\n", -EBADMSG },
                { "phase", "", -EBADMSG },
                { "phase", "phase sideways 1 1\n", -EBADMSG },
                { "phase", "phase forward 1 2\n", -EBADMSG },
                { "phase", "phase forward 7 7\n", -EBADMSG }, /* there are six steps */
                { "phase", "phase forward 6 6\n", 0 },
                { "phase", "phase forward 3 1\n", -EBADMSG }, /* one at a time */
                { "phase", "phase undo 6 6\n", -EBADMSG }, /* five undo them */
                { "phase", "phase undo 5 5\n", 0 },
                { "phase", "phase undo 18446744073709551615 0\n", -EBADMSG },
                { "restarts", "restarts 1001\n", -EBADMSG },
                { "worker", "worker 1\n", -EBADMSG },
                { "worker", "worker x 1\n", -EBADMSG },
                { "worker", "worker 4294967295 1\n", -EBADMSG },
                { "worker", "", 0 },
                { "access", "access root\n", -EBADMSG },
                { "access", "", 0 },
                { "function", "function 0000:01:00\n", -EBADMSG },
                { "step check", "step fly 0000:01:00.0\n", -EBADMSG },
                { "step check", "step check\n", -EBADMSG },
                { "step ask-sound", "step ask-sound 0000:01:00.1\n", -EBADMSG }, /* no plan has that */
                { "saved", "saved a b\n", -EBADMSG },
                { "end", "", -EBADMSG },
                { "end", "end of it\n", -EBADMSG },
                { "end", "end\nend\n", -EBADMSG },
                { "end", "end\nsaved a b c\n", -EBADMSG },
        };
        _cleanup_(intent_freep) Intent *intent = make_intent();
        _cleanup_free_ char *text = NULL;
        g_auto(GStrv) lines = NULL;
        size_t size;

        text = text_of(intent, &size);
        text[size - 1] = '\0';
        lines = g_strsplit(text, "\n", -1);
        for (size_t i = 0; i < ELEMENTSOF(cases); i++)
                assert_bad(lines, find_line(lines, cases[i].line), cases[i].instead, cases[i].r);

        /* Without functions there is nothing that the job moves. */
        for (size_t i = 0; lines[i]; i++)
                if (startswith(lines[i], "function"))
                        strcpy(lines[i], "access 1");
        g_free(text);
        text = g_strjoinv("\n", lines);
        g_assert_cmpint(intent_read(text, strlen(text), &(Intent *) { NULL }), ==, -EBADMSG);
}

/* Whatever a VM manager calls its VM; and without the line nobody knows which phase it is. */
static void test_vm(void) {
        static const char name[] = "Windows 10 \xc3\xa9\\x20 (libvirt)";

        for (VmPhase p = 0; p < _VM_PHASE_MAX; p++) {
                _cleanup_(intent_freep) Intent *intent = make_intent(), *again = NULL;
                _cleanup_free_ char *text = NULL;
                g_auto(GStrv) lines = NULL;
                unsigned line;
                size_t size;

                intent->operation = OPERATION_PHASE;
                intent->vm_phase = p;
                intent->vm = strdup(name);
                text = text_of(intent, &size);
                g_assert_cmpint(intent_read(text, size, &again), ==, 0);
                assert_same(intent, again);
                g_assert_cmpint(again->vm_phase, ==, p);
                g_assert_cmpstr(again->vm, ==, name);

                text[size - 1] = '\0';
                lines = g_strsplit(text, "\n", -1);
                line = find_line(lines, "vm");
                assert_bad(lines, line, "", -EBADMSG);
                assert_bad(lines, line, "vm pre-party win10\n", -EBADMSG);
                assert_bad(lines, line, "vm pre-start\n", -EBADMSG);
                assert_bad(lines, line, "vm pre-start win 10\n", -EBADMSG);
                assert_bad(lines, find_line(lines, "job"), "job 7 detach 0000:01:00.0 0\n", -EBADMSG);
        }
}

/* ---- the files */

static void test_files(void) {
        char *dir = loop_make_dir();
        _cleanup_(intent_freep) Intent *intent = make_intent(), *again = NULL;
        g_autofree char *path = g_build_filename(dir, "job-7", NULL), *moved = g_build_filename(dir, "job-8", NULL);
        struct stat st;

        g_assert_cmpint(journal_load(dir, 7, &again), ==, -ENOENT);
        g_assert_cmpint(journal_write(dir, intent), ==, 0);
        intent->done = 5;
        g_assert_cmpint(journal_write(dir, intent), ==, 0);
        g_assert_cmpint(stat(path, &st), ==, 0);
        g_assert_cmpuint(st.st_mode & 0777, ==, 0600);
        g_assert_cmpint(journal_load(dir, 7, &again), ==, 0);
        assert_same(intent, again);
        again = intent_free(again);

        /* Another one's file. */
        g_assert_cmpint(rename(path, moved), ==, 0);
        g_assert_cmpint(journal_load(dir, 8, &again), ==, -EBADMSG);
        g_assert_cmpint(rename(moved, path), ==, 0);
        g_assert_cmpint(journal_remove(dir, intent), ==, 0);
        g_assert_cmpint(journal_load(dir, 7, &again), ==, -ENOENT);
        g_assert_cmpint(journal_remove(dir, intent), ==, 0);
        g_assert_cmpint(journal_write("/nonexistent", intent), ==, -ENOENT);
        loop_remove_dir(dir);
}

static void put(const char *dir, const char *name, const char *text) {
        g_autofree char *path = g_build_filename(dir, name, NULL);

        g_assert_true(g_file_set_contents(path, text, -1, NULL));
}

static void test_list(void) {
        static const char *const others[] = { "job-",           "job-x",  "job-7x",           "job-0",
                                              "job-4294967296", "jobs-3", "gpu-0000:01:00.0", "job-12.XyZabc" };
        char *dir = loop_make_dir();
        _cleanup_free_ unsigned *ids = NULL, *none = NULL;

        for (size_t i = 0; i < ELEMENTSOF(others); i++)
                put(dir, others[i], "");
        put(dir, "job-10", "");
        put(dir, "job-9", "");
        put(dir, "job-100", "");
        g_assert_cmpint(journal_list(dir, &ids), ==, 0);
        g_assert_cmpuint(ids[0], ==, 9);
        g_assert_cmpuint(ids[1], ==, 10);
        g_assert_cmpuint(ids[2], ==, 100);
        g_assert_cmpuint(ids[3], ==, 0);
        g_assert_cmpint(journal_list("/nonexistent", &none), ==, 0);
        g_assert_cmpuint(none[0], ==, 0);
        loop_remove_dir(dir);
}

static void test_results(void) {
        static const struct {
                const char *content;
                int r, error;
                const char *data, *text;
        } cases[] = {
                { "ok 3\n", 0, 0, "", "" },
                { "saved a b c\nsaved d e f\nok 3\n", 0, 0, "saved a b c\nsaved d e f\n", "" },
                { "error 3 16 binding\\x20it\n", 0, EBUSY, "", "binding it" },
                { "saved a b c\nerror 3 5 \\-\n", 0, EIO, "saved a b c\n", "" },
                { "", -EBADMSG, 0, NULL, NULL },
                { "ok 3", -EBADMSG, 0, NULL, NULL },
                { "ok\n", -EBADMSG, 0, NULL, NULL },
                { "saved a b c\n", -EBADMSG, 0, NULL, NULL },
                { "error 3 0 x\n", -EBADMSG, 0, NULL, NULL },
                { "error 3 5000 x\n", -EBADMSG, 0, NULL, NULL },
                { "error 3 5 x y\n", -EBADMSG, 0, NULL, NULL },
                { "\n", -EBADMSG, 0, NULL, NULL },
                { "ok 3\n\n", -EBADMSG, 0, NULL, NULL },
        };
        char *dir = loop_make_dir();

        for (size_t i = 0; i < ELEMENTSOF(cases); i++) {
                _cleanup_free_ char *data = NULL, *text = NULL;
                int error = -1;

                put(dir, "result-7-3", cases[i].content);
                g_assert_cmpint(journal_read_result(dir, 7, 3, &data, &error, &text), ==, cases[i].r);
                g_assert_cmpstr(data, ==, cases[i].data);
                g_assert_cmpstr(text, ==, cases[i].text);
                if (cases[i].r >= 0)
                        g_assert_cmpint(error, ==, cases[i].error);
        }
        g_assert_cmpint(journal_read_result(dir, 7, 4, &(char *){ NULL }, &(int){ 0 }, &(char *){ NULL }), ==,
                        -ENOENT);
        loop_remove_dir(dir);
}

/* The results of a job go with its journal; those of others stay. */
static void test_remove_results(void) {
        static const char *const own[] = { "result-7-0", "result-7-12", "result-7-900001" };
        static const char *const others[] = { "result-70-0", "result-17-0", "result-7", "result-", "result-x-0",
                                              "result-99999999999999999999-1" };
        char *dir = loop_make_dir();
        _cleanup_(intent_freep) Intent *intent = make_intent();

        for (size_t i = 0; i < ELEMENTSOF(own); i++)
                put(dir, own[i], "ok 0\n");
        for (size_t i = 0; i < ELEMENTSOF(others); i++)
                put(dir, others[i], "ok 0\n");
        g_assert_cmpint(journal_remove(dir, intent), ==, 0);
        for (size_t i = 0; i < ELEMENTSOF(own); i++) {
                g_autofree char *path = g_build_filename(dir, own[i], NULL);

                g_assert_cmpint(access(path, F_OK), <, 0);
        }
        for (size_t i = 0; i < ELEMENTSOF(others); i++) {
                g_autofree char *path = g_build_filename(dir, others[i], NULL);

                g_assert_cmpint(access(path, F_OK), ==, 0);
        }
        loop_remove_dir(dir);
}

static void test_next_id(void) {
        static const struct {
                const char *content;
                unsigned id;
        } cases[] = {
                { "1\n", 1 },
                { "41", 41 },
                { "4294967294\n", 4294967294 },
                /* Behind the highest file. */
                { "0\n", 13 },
                { "", 13 },
                { "x\n", 13 },
                { "4294967295\n", 13 },
                { "-1\n", 13 },
                { " 1\n", 13 },
        };
        static const char *const files[] = {
                "job-7", "result-12-3", "result-9-900000", "job-", "job-99x", "job-99999999999999999999", "result-x-40",
        };
        char *dir = loop_make_dir();
        unsigned id = 0;

        for (unsigned i = 1; i <= 3; i++) {
                g_assert_cmpint(journal_next_id(dir, &id), ==, 0);
                g_assert_cmpuint(id, ==, i);
        }
        put(dir, "next-id", "x");
        g_assert_cmpint(journal_next_id(dir, &id), ==, 0);
        g_assert_cmpuint(id, ==, 4);
        put(dir, "next-id", "2");
        g_assert_cmpint(journal_next_id(dir, &id), ==, 0);
        g_assert_cmpuint(id, ==, 5);
        for (size_t i = 0; i < ELEMENTSOF(files); i++)
                put(dir, files[i], "");
        for (size_t i = 0; i < ELEMENTSOF(cases); i++) {
                put(dir, "next-id", cases[i].content);
                id = 0;
                g_assert_cmpint(journal_next_id(dir, &id), ==, 0);
                g_assert_cmpuint(id, ==, cases[i].id);
                if (id < UINT_MAX - 1) {
                        g_assert_cmpint(journal_next_id(dir, &id), ==, 0);
                        g_assert_cmpuint(id, ==, cases[i].id + 1);
                }
        }
        id = UINT_MAX - 1;
        g_assert_cmpint(journal_next_id(dir, &id), ==, -EOVERFLOW);
        id = 0;
        g_assert_cmpint(journal_next_id("/nonexistent", &id), ==, -ENOENT);
        loop_remove_dir(dir);
}

int main(int argc, char *argv[]) {
        g_test_init(&argc, &argv, NULL);
        g_test_add_func("/journal/round-trip", test_round_trip);
        g_test_add_func("/journal/rungs", test_rungs);
        g_test_add_func("/journal/vm", test_vm);
        g_test_add_func("/journal/undo-phase", test_undo_phase);
        g_test_add_func("/journal/truncated", test_truncated);
        g_test_add_func("/journal/mutated", test_mutated);
        g_test_add_func("/journal/bad-lines", test_bad_lines);
        g_test_add_func("/journal/files", test_files);
        g_test_add_func("/journal/list", test_list);
        g_test_add_func("/journal/results", test_results);
        g_test_add_func("/journal/remove-results", test_remove_results);
        g_test_add_func("/journal/next-id", test_next_id);
        return g_test_run();
}
