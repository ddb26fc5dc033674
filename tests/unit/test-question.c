/* SPDX-License-Identifier: GPL-2.0-or-later */

/* test-question: every question has one answer, at most when its time is over. The stand-in for the worker is this program
 * itself, which does as the target of the step says. */

#include "loop.h"

#include <errno.h>
#include <signal.h>

#include "question.h"
#include "worker/protocol.h"

static char *self;

/* ---- the stand-in ---- */

static int play(void) {
        FILE *in = fdopen(WORKER_FD, "re"), *out = fdopen(dup(WORKER_FD), "we");
        _cleanup_free_ char *line = NULL;
        char verb[32], target[32];
        unsigned number;
        size_t size = 0;

        if (getline(&line, &size, in) <= 0 || sscanf(line, "step %u %31s %31s", &number, verb, target) != 3)
                return EXIT_FAILURE;
        fprintf(out, "begin %u\n", number);
        if (streq(target, "answer"))
                fprintf(out, "fan1 1180\ntemp1 41000\nok %u\n", number);
        else if (streq(target, "nothing"))
                fprintf(out, "ok %u\n", number);
        else if (streq(target, "fail"))
                fprintf(out, "fan1 1180\nerror %u 5 it\\x20is\\x20ill\n", number);
        else if (streq(target, "babble"))
                fputs("ok 99\n", out);
        else if (streq(target, "die"))
                return EXIT_FAILURE;
        (void) fflush(out);
        /* Until nobody listens. */
        (void) !getline(&line, &size, in);
        return EXIT_SUCCESS;
}

/* ---- the daemon's side ---- */

typedef struct Fixture {
        Host host;
        Question *question;
        bool over;
        int error;
        char *data;
} Fixture;

static void on_answer(int error, const char *data, size_t size, void *userdata) {
        Fixture *f = userdata;

        g_assert_false(f->over);
        f->over = true;
        f->error = error;
        f->data = g_strndup(data, size);
        f->question = NULL;
}

static void ask(Fixture *f, const char *target, unsigned limit_sec) {
        Step step = { .verb = VERB_SENSORS, .target = (char *) target };

        f->over = false;
        g_clear_pointer(&f->data, g_free);
        g_assert_cmpint(question_new(&f->host, &step, limit_sec, on_answer, f, &f->question), ==, 0);
        g_assert_false(f->over);
}

static void set_up(Fixture *f, const void *data) {
        g_assert_cmpint(sd_event_new(&f->host.event), ==, 0);
        f->host.worker_program = self;
        f->host.run_dir = (char *) "/run/x";
}

static void tear_down(Fixture *f, const void *data) {
        g_assert_null(question_free(f->question));
        g_free(f->data);
        sd_event_unref(f->host.event);
}

static void test_answers(Fixture *f, const void *data) {
        ask(f, "answer", 600);
        loop_until(f->host.event, f->over);
        g_assert_cmpint(f->error, ==, 0);
        g_assert_cmpstr(f->data, ==, "fan1 1180\ntemp1 41000\n");
        ask(f, "nothing", 600);
        loop_until(f->host.event, f->over);
        g_assert_cmpint(f->error, ==, 0);
        g_assert_cmpstr(f->data, ==, "");
}

static void test_errors(Fixture *f, const void *data) {
        static const char *const targets[] = { "fail", "die", "babble" };

        for (size_t i = 0; i < ELEMENTSOF(targets); i++) {
                ask(f, targets[i], 600);
                loop_until(f->host.event, f->over);
                g_assert_cmpint(f->error, <, 0);
                g_assert_cmpint(f->error, !=, -ETIMEDOUT);
        }
}

static void test_late(Fixture *f, const void *data) {
        ask(f, "hang", 1);
        loop_until(f->host.event, f->over);
        g_assert_cmpint(f->error, ==, -ETIMEDOUT);
        g_assert_cmpstr(f->data, ==, "");
}

static void test_forgotten(Fixture *f, const void *data) {
        Question *forgotten;

        ask(f, "answer", 600);
        forgotten = f->question;
        f->question = NULL;
        g_assert_null(question_free(forgotten));
        ask(f, "nothing", 600);
        loop_until(f->host.event, f->over);
        g_assert_cmpstr(f->data, ==, "");
}

static void test_no_worker(Fixture *f, const void *data) {
        Step step = { .verb = VERB_SENSORS, .target = (char *) "answer" };
        int r;

        f->host.worker_program = (char *) "/nonexistent";
        r = question_new(&f->host, &step, 600, on_answer, f, &f->question);
        if (r >= 0) {
                loop_until(f->host.event, f->over);
                r = f->error;
        }
        g_assert_cmpint(r, <, 0);
}

int main(int argc, char *argv[]) {
        if (g_getenv("GPUPT_TEST_QUESTION"))
                return play();
        self = g_file_read_link("/proc/self/exe", NULL);
        g_setenv("GPUPT_TEST_QUESTION", "1", true);
        (void) signal(SIGCHLD, SIG_IGN);
        g_test_init(&argc, &argv, NULL);
#define ADD(path, function) g_test_add("/question/" path, Fixture, NULL, set_up, function, tear_down)
        ADD("answers", test_answers);
        ADD("errors", test_errors);
        ADD("late", test_late);
        ADD("forgotten", test_forgotten);
        ADD("no-worker", test_no_worker);
#undef ADD
        return g_test_run();
}
