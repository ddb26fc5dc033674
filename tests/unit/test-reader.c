/* SPDX-License-Identifier: GPL-2.0-or-later */

/* test-reader: who is asked again, and who is not. The stand-in for the worker is this program itself, which does as the
 * target of the step says, and says which process it is. */

#include "loop.h"

#include <signal.h>
#include <sys/wait.h>

#include "reader.h"
#include "util/words.h"
#include "worker/protocol.h"

static char *self;

/* ---- the stand-in */

static void answer(FILE *in, FILE *out, char *line) {
        unsigned number;
        char verb[32], target[32];

        g_assert_cmpint(sscanf(line, "step %u %31s %31s", &number, verb, target), ==, 3);
        fprintf(out, "begin %u\n", number);
        if (streq(target, "hang")) {
                (void) fflush(out);
                (void) !getline(&line, &(size_t) { 0 }, in);
                return;
        }
        if (streq(target, "die"))
                exit(EXIT_FAILURE);
        fprintf(out, "pid %d\nok %u\n", getpid(), number);
        if (streq(target, "babble"))
                fputs("pid", out);
        (void) fflush(out);
        if (streq(target, "leave"))
                exit(EXIT_SUCCESS);
}

static int play(void) {
        _cleanup_free_ char *line = NULL;
        FILE *in = fdopen(WORKER_FD, "re"), *out = fdopen(dup(WORKER_FD), "we");
        size_t size = 0;

        while (getline(&line, &size, in) > 0)
                answer(in, out, line);
        return EXIT_SUCCESS;
}

/* ---- the daemon's side */

typedef struct Fixture {
        sd_event *event;
        ReaderPool *pool;
} Fixture;

typedef struct Asked {
        ReaderQuery *query;
        bool over;
        int error;
        pid_t pid;
} Asked;

static void on_answer(const WorkerAnswer *answer, void *userdata) {
        Asked *a = userdata;

        a->query = NULL;
        a->over = true;
        a->error = answer->error;
        if (answer->error >= 0)
                g_assert_cmpint(sscanf(answer->data, "pid %d", &a->pid), ==, 1);
}

static void ask(Fixture *f, Asked *a, const char *target) {
        Step step = { .verb = VERB_SNAPSHOT, .target = (char *) target };

        *a = (Asked) {};
        g_assert_cmpint(reader_ask(f->pool, &step, on_answer, a, &a->query), ==, 0);
        g_assert_false(a->over);
}

static pid_t pid_of(Fixture *f, const char *target) {
        Asked a;

        ask(f, &a, target);
        loop_until(f->event, a.over);
        g_assert_cmpint(a.error, ==, 0);
        return a.pid;
}

static void set_up(Fixture *f, const void *data) {
        g_assert_cmpint(sd_event_new(&f->event), ==, 0);
        g_assert_cmpint(reader_pool_new(f->event, self, "/run/x", &f->pool), ==, 0);
}

static void tear_down(Fixture *f, const void *data) {
        g_assert_null(reader_pool_free(f->pool));
        sd_event_unref(f->event);
}

static void test_kept(Fixture *f, const void *data) {
        pid_t first = pid_of(f, "-");

        g_assert_cmpint(pid_of(f, "-"), ==, first);
        reader_warm(f->pool);
        g_assert_cmpint(pid_of(f, "-"), ==, first);
}

/* What hangs keeps nobody else waiting, and is not waited for once nobody wants its answer. */
static void test_hangs(Fixture *f, const void *data) {
        pid_t first = pid_of(f, "-"), second;
        Asked hung;

        ask(f, &hung, "hang");
        second = pid_of(f, "-");
        g_assert_cmpint(second, !=, first);
        g_assert_cmpint(pid_of(f, "-"), ==, second);
        g_assert_false(hung.over);
        g_assert_null(reader_query_free(hung.query));
}

/* Of two that answer, one is kept. */
static void test_two(Fixture *f, const void *data) {
        Asked a, b;
        pid_t next;

        ask(f, &a, "-");
        ask(f, &b, "-");
        loop_until(f->event, a.over);
        loop_until(f->event, b.over);
        g_assert_cmpint(a.pid, !=, b.pid);
        next = pid_of(f, "-");
        g_assert_true(next == a.pid || next == b.pid);
}

static void test_dies(Fixture *f, const void *data) {
        Asked a;

        ask(f, &a, "die");
        loop_until(f->event, a.over);
        g_assert_cmpint(a.error, <, 0);
        (void) pid_of(f, "-");
}

/* Who says more than was asked is not asked again. */
static void test_babbles(Fixture *f, const void *data) {
        pid_t first = pid_of(f, "babble");

        g_assert_cmpint(pid_of(f, "-"), !=, first);
}

/* The one at hand has ended, and the event loop does not know yet. */
static void test_leaves(Fixture *f, const void *data) {
        pid_t first = pid_of(f, "leave");

        /* Where the kernel reaps, this waits for the end all the same. */
        g_assert_cmpint(waitpid(first, NULL, 0), <, 0);
        g_assert_cmpint(pid_of(f, "-"), !=, first);
}

/* The one at hand ends, and the event loop knows: another one is started. */
static void test_idle_dies(Fixture *f, const void *data) {
        pid_t first = pid_of(f, "-");

        g_assert_cmpint(kill(first, SIGKILL), ==, 0);
        g_assert_cmpint(sd_event_run(f->event, LOOP_LIMIT_USEC), >, 0);
        g_assert_cmpint(pid_of(f, "-"), !=, first);
}

int main(int argc, char *argv[]) {
        if (g_getenv("GPUPT_TEST_READER"))
                return play();
        self = g_file_read_link("/proc/self/exe", NULL);
        g_setenv("GPUPT_TEST_READER", "1", true);
        (void) signal(SIGCHLD, SIG_IGN);
        g_test_init(&argc, &argv, NULL);
#define ADD(path, data, function) g_test_add("/reader/" path, Fixture, data, set_up, function, tear_down)
        ADD("kept", NULL, test_kept);
        ADD("hangs", NULL, test_hangs);
        ADD("two", NULL, test_two);
        ADD("dies", NULL, test_dies);
        ADD("babbles", NULL, test_babbles);
        ADD("leaves", NULL, test_leaves);
        ADD("idle-dies", NULL, test_idle_dies);
#undef ADD
        return g_test_run();
}
