/* SPDX-License-Identifier: GPL-2.0-or-later */

/* test-worker-client: the daemon's end of a worker, against one that says what the test has written down.
 * The stand-in is this program itself, which finds its lines in an environment variable (see play()). */

#include "loop.h"

#include <signal.h>
#include <sys/prctl.h>
#include <sys/wait.h>

#include "util/words.h"
#include "worker-client.h"
#include "worker/protocol.h"

#define SCRIPT "GPUPT_TEST_SCRIPT"

static char *self; /* this program's path; in a child of valgrind /proc/self/exe would be valgrind */

/* ---- the stand-in */

static void say(const char *data, size_t size) {
        while (size > 0) {
                ssize_t k = write(WORKER_FD, data, size);

                if (k <= 0)
                        _exit(9);
                data += k;
                size -= (size_t) k;
        }
}

/* Up to the end of a line, or of everything. */
static void listen_to_line(void) {
        char c;

        while (read(WORKER_FD, &c, 1) == 1 && c != '\n')
                ;
}

/* One command a line: `hear` waits for a step, `say TEXT` (C escapes), `bytes TEXT` (each for itself),
 * `flood N` (N MiB of data lines), `arguments`, `session`, `linger` (until the daemon has gone). */
static int play(int argc, char *argv[]) {
        g_auto(GStrv) commands = g_strsplit(g_getenv(SCRIPT), "\n", -1);

        for (char **c = commands; *c; c++) {
                const char *rest = strchr(*c, ' ') ? strchr(*c, ' ') + 1 : "";
                g_autofree char *text = g_strcompress(rest);

                if (streq(*c, "hear") || streq(*c, "linger"))
                        listen_to_line();
                else if (startswith(*c, "say "))
                        say(text, strlen(text));
                else if (startswith(*c, "nul"))
                        say("data\0\n", 6);
                else if (startswith(*c, "bytes "))
                        for (char *p = text; *p; p++)
                                say(p, 1);
                else if (startswith(*c, "flood ")) {
                        g_autofree char *line = g_strnfill(1024, 'x');

                        line[1023] = '\n';
                        for (int i = atoi(rest) * 1024; i > 0; i--)
                                say(line, 1024);
                } else if (streq(*c, "arguments"))
                        for (int i = 1; i < argc; i++) {
                                g_autofree char *line = g_strdup_printf("argument %s\n", argv[i]);

                                say(line, strlen(line));
                        }
                else if (streq(*c, "session"))
                        say(getsid(0) == getpid() ? "own\n" : "shared\n", getsid(0) == getpid() ? 4 : 7);
        }
        return 0;
}

/* ---- the daemon's side */

typedef struct Talk {
        sd_event *event;
        Worker *worker;
        bool free_in_handler;
        unsigned n_begun, n_done, n_gone;
        bool over; /* done or gone */
        unsigned step;
        int error;
        char *text, *data;
} Talk;

static void on_answer(const WorkerAnswer *answer, void *userdata) {
        Talk *t = userdata;

        g_assert_nonnull(answer->text);
        g_assert_nonnull(answer->data);
        g_assert_cmpuint(t->n_gone, ==, 0);
        if (answer->event == WORKER_BEGUN) {
                t->n_begun++;
                return;
        }
        t->n_done += answer->event == WORKER_DONE;
        t->n_gone += answer->event == WORKER_GONE;
        t->step = answer->step;
        t->error = answer->error;
        g_free(t->text);
        g_free(t->data);
        t->text = g_strdup(answer->text);
        t->data = g_strndup(answer->data, answer->size);
        g_assert_cmpuint(strlen(t->data), ==, answer->size);
        t->over = true;
        if (t->free_in_handler)
                t->worker = worker_free(t->worker);
}

static void talk_begin(Talk *t, const char *script) {
        WorkerSetup setup = { .program = self, .run_dir = "/run/x", .job = 0 };

        *t = (Talk) {};
        g_setenv(SCRIPT, script, true);
        g_assert_cmpint(sd_event_new(&t->event), ==, 0);
        g_assert_cmpint(worker_new(t->event, &setup, on_answer, t, &t->worker), ==, 0);
}

static void talk_send(Talk *t, unsigned number) {
        Step step = { .verb = VERB_CHECK, .target = (char *) "0000:01:00.0" };

        t->over = false;
        g_assert_cmpint(worker_send(t->worker, number, &step), ==, 0);
        g_assert_true(worker_is_busy(t->worker));
}

static void talk_end(Talk *t) {
        worker_free(t->worker);
        sd_event_unref(t->event);
        g_free(t->text);
        g_free(t->data);
}

static void test_answers(void) {
        static const struct {
                const char *script;
                int error;
                const char *text, *data;
        } cases[] = {
                { "hear\nsay begin 5\\nok 5\\n", 0, "", "" },
                { "hear\nsay begin 5\\n\nsay a b\\n\nsay c\\nok 5\\n", 0, "", "a b\nc\n" },
                { "hear\nbytes begin 5\\nfirst line\\nsecond\\nok 5\\n", 0, "", "first line\nsecond\n" },
                { "hear\nsay begin 5\\nerror 5 16 the\\\\x20card\\\\x0ais\\\\x20busy\\n", -EBUSY, "the card\nis busy",
                  "" },
                { "hear\nsay begin 5\\nsaved a b c\\nerror 5 5 \\\\-\\n", -EIO, "", "saved a b c\n" },
                /* Words that only look like a verdict. */
                { "hear\nsay begin 5\\nok\\nokay 5\\nerrors 5\\nbeginning\\nok 5\\n", 0, "",
                  "ok\nokay 5\nerrors 5\nbeginning\n" },
                /* It says it and ends: the answer counts. */
                { "hear\nsay begin 5\\nx\\nok 5\\n", 0, "", "x\n" },
        };

        for (size_t i = 0; i < ELEMENTSOF(cases); i++) {
                Talk t;

                g_test_message("%s", cases[i].script);
                talk_begin(&t, cases[i].script);
                talk_send(&t, 5);
                loop_until(t.event, t.over);
                g_assert_cmpuint(t.n_begun, ==, 1);
                g_assert_cmpuint(t.n_done, ==, 1);
                g_assert_cmpuint(t.step, ==, 5);
                g_assert_cmpint(t.error, ==, cases[i].error);
                g_assert_cmpstr(t.text, ==, cases[i].text);
                g_assert_cmpstr(t.data, ==, cases[i].data);
                g_assert_false(worker_is_busy(t.worker));
                talk_end(&t);
        }
}

/* What is not the protocol ends it, and says that it was not. */
static void test_nonsense(void) {
        static const char *const scripts[] = {
                "hear\nsay ok 6\\n\nlinger",
                "hear\nsay begin 6\\n\nlinger",
                "hear\nsay error 6 5 x\\n\nlinger",
                "hear\nsay begin 5\\nok 5 5\\n\nlinger",
                "hear\nsay ok \\n\nlinger",
                "hear\nsay ok x\\n\nlinger",
                "hear\nsay ok -5\\n\nlinger",
                "hear\nsay ok 5 \\n\nlinger",
                "hear\nsay ok  5\\n\nlinger",
                "hear\nsay ok 4294967301\\n\nlinger",
                "hear\nsay error 5\\n\nlinger",
                "hear\nsay error 5 5\\n\nlinger",
                "hear\nsay error 5 0 x\\n\nlinger",
                "hear\nsay error 5 4096 x\\n\nlinger",
                "hear\nsay error 5 -5 x\\n\nlinger",
                "hear\nsay error 5 5 two words\\n\nlinger",
                "hear\nsay error 5 5 \\\\xzz\\n\nlinger",
                "hear\nsay begin 5\\n\nnul\nlinger",
                "hear\nflood 0\nsay begin 5\\n\nsay \\n\nsay ok 7\\n\nlinger",
        };
        g_autofree char *endless = g_strnfill(20000, 'x'),
                        *long_line = g_strdup_printf("hear\nsay begin 5\\n%s\nlinger", endless);
        g_autofree char *long_verdict = g_strdup_printf("hear\nsay error 5 5 %s\\n\nlinger", endless);

        for (size_t i = 0; i < ELEMENTSOF(scripts) + 2; i++) {
                Talk t;

                talk_begin(&t, i < ELEMENTSOF(scripts)    ? scripts[i]
                               : i == ELEMENTSOF(scripts) ? long_line
                                                          : long_verdict);
                g_test_message("%.60s", g_getenv(SCRIPT));
                talk_send(&t, 5);
                loop_until(t.event, t.over);
                g_assert_cmpuint(t.n_gone, ==, 1);
                g_assert_cmpint(t.error, ==, -EBADMSG);
                g_assert_cmpstr(t.data, ==, "");
                talk_end(&t);
        }
}

/* Spoken without being asked. */
static void test_unasked(void) {
        static const char *const scripts[] = { "say begin 0\\n\nlinger", "say ok 0\\n\nlinger",
                                               "say error 0 5 x\\n\nlinger" };

        for (size_t i = 0; i < ELEMENTSOF(scripts); i++) {
                Talk t;

                talk_begin(&t, scripts[i]);
                loop_until(t.event, t.over);
                g_assert_cmpuint(t.n_gone, ==, 1);
                g_assert_cmpint(t.error, ==, -EBADMSG);
                talk_end(&t);
        }
}

static void test_end_of_file(void) {
        static const char *const scripts[] = { "", "hear", "hear\nsay begin 5\\n",
                                               "hear\nsay begin 5\\nsaved a b c\\n", "hear\nsay begin 5\\nok 5" };

        for (size_t i = 0; i < ELEMENTSOF(scripts); i++) {
                Talk t;

                talk_begin(&t, scripts[i]);
                if (i > 0)
                        talk_send(&t, 5);
                loop_until(t.event, t.over);
                g_assert_cmpuint(t.n_gone, ==, 1);
                g_assert_cmpuint(t.n_done, ==, 0);
                g_assert_cmpint(t.error, ==, -ECONNRESET);
                talk_end(&t);
        }
}

static void test_several_steps(void) {
        Talk t;

        talk_begin(&t, "hear\nsay begin 1\\none\\nok 1\\n\nhear\nsay begin 2\\nok 2\\n\nhear\nsay begin "
                       "9\\nthree\\nerror 9 5 x\\n");
        talk_send(&t, 1);
        g_assert_cmpint(worker_send(t.worker, 2, &(Step){ .verb = VERB_CHECK, .target = (char *) "x" }), ==, -EBUSY);
        loop_until(t.event, t.over);
        g_assert_cmpstr(t.data, ==, "one\n");
        talk_send(&t, 2);
        loop_until(t.event, t.over);
        g_assert_cmpstr(t.data, ==, "");
        talk_send(&t, 9);
        loop_until(t.event, t.over);
        g_assert_cmpstr(t.data, ==, "three\n");
        g_assert_cmpint(t.error, ==, -EIO);
        g_assert_cmpuint(t.n_begun, ==, 3);
        /* And then it goes. */
        t.over = false;
        loop_until(t.event, t.over);
        g_assert_cmpuint(t.n_gone, ==, 1);
        talk_end(&t);
}

/* An inventory of a large host is taken; what never ends is not. */
static void test_size(void) {
        Talk t;

        talk_begin(&t, "hear\nsay begin 5\\n\nflood 4\nsay ok 5\\n");
        talk_send(&t, 5);
        loop_until(t.event, t.over);
        g_assert_cmpuint(t.n_done, ==, 1);
        g_assert_cmpuint(strlen(t.data), ==, 4 << 20);
        talk_end(&t);

        talk_begin(&t, "hear\nsay begin 5\\n\nflood 1000\n");
        talk_send(&t, 5);
        loop_until(t.event, t.over);
        g_assert_cmpuint(t.n_gone, ==, 1);
        g_assert_cmpint(t.error, ==, -EFBIG);
        talk_end(&t);
}

static void test_freed_in_handler(void) {
        static const char *const scripts[] = { "hear\nsay begin 5\\nok 5\\nmore\\n\nlinger",
                                               "hear\nsay nonsense\\nok 6\\n\nlinger", "hear" };

        for (size_t i = 0; i < ELEMENTSOF(scripts); i++) {
                Talk t;

                talk_begin(&t, scripts[i]);
                t.free_in_handler = true;
                talk_send(&t, 5);
                loop_until(t.event, t.over);
                g_assert_null(t.worker);
                loop_drain(t.event);
                talk_end(&t);
        }
}

/* Nobody listens any more: an errno, not a signal. */
static void test_send_to_nobody(void) {
        Step step = { .verb = VERB_CHECK, .target = (char *) "x" };
        Talk t;
        int r;

        talk_begin(&t, "");
        loop_until(t.event, t.over);
        g_assert_cmpuint(t.n_gone, ==, 1);
        r = worker_send(t.worker, 1, &step);
        g_assert_true(r == -EPIPE || r == -ECONNRESET);
        g_assert_false(worker_is_busy(t.worker));
        talk_end(&t);
}

static void test_too_long(void) {
        g_autofree char *word = g_strnfill(WORDS_LINE_MAX, 'x');
        char *arguments[WORDS_MAX + 1] = {};
        Talk t;

        talk_begin(&t, "linger");
        g_assert_cmpint(worker_send(t.worker, 1, &(Step) { .verb = VERB_CHECK, .target = word }), ==, -E2BIG);
        for (size_t i = 0; i < WORDS_MAX - 3; i++)
                arguments[i] = (char *) "x";
        g_assert_cmpint(worker_send(t.worker, 1,
                                    &(Step){ .verb = VERB_CHECK, .target = (char *) "x", .arguments = arguments }),
                        ==, -E2BIG);
        g_assert_false(worker_is_busy(t.worker));
        talk_end(&t);
}

static void test_process(void) {
        WorkerSetup setup = { .program = self, .run_dir = "/run/x", .job = 7, .gpu = "0000:01:00.0" };
        uint64_t start;
        Talk t = {};

        g_setenv(SCRIPT, "hear\nsay begin 0\\n\narguments\nsession\nsay ok 0\\n\nlinger", true);
        g_assert_cmpint(sd_event_new(&t.event), ==, 0);
        g_assert_cmpint(worker_new(t.event, &setup, on_answer, &t, &t.worker), ==, 0);
        g_assert_cmpuint(worker_pid(t.worker), >, 1);
        g_assert_cmpint(process_start_time(worker_pid(t.worker), &start), ==, 0);
        g_assert_cmpuint(start, >, 0);
        talk_send(&t, 0);
        loop_until(t.event, t.over);
        g_assert_cmpstr(t.data, ==, "argument --job=7\nargument --lock=/run/x/gpu-0000:01:00.0.lock\nown\n");
        talk_end(&t);

}

static void test_no_program(void) {
        WorkerSetup setup = { .program = "/nonexistent/gpuptd-worker", .run_dir = "/run/x" };
        Talk t = {};
        int r;

        g_assert_cmpint(sd_event_new(&t.event), ==, 0);
        r = worker_new(t.event, &setup, on_answer, &t, &t.worker);
        /* Valgrind makes a fork of vfork, so that it is told by the end of the child only. */
        if (r == 0) {
                loop_until(t.event, t.over);
                g_assert_cmpuint(t.n_gone, ==, 1);
        } else
                g_assert_cmpint(r, ==, -ENOENT);
        talk_end(&t);
}

/* The command's name may look like the rest of the line. */
static void test_start_time(void) {
        uint64_t start, again;

        g_assert_cmpint(process_start_time((uint32_t) getpid(), &start), ==, 0);
        g_assert_cmpint(prctl(PR_SET_NAME, ") R 1\n2 3 (x"), ==, 0);
        g_assert_cmpint(process_start_time((uint32_t) getpid(), &again), ==, 0);
        g_assert_cmpuint(start, ==, again);
        g_assert_cmpint(process_start_time(0, &start), ==, -ESRCH);
        g_assert_cmpint(process_start_time(UINT32_MAX, &start), ==, -ESRCH);
}

int main(int argc, char *argv[]) {
        int r;

        if (g_getenv(SCRIPT))
                return play(argc, argv);
        g_test_init(&argc, &argv, NULL);
        self = g_file_read_link("/proc/self/exe", NULL);
        g_assert_nonnull(self);
        /* As in the daemon: the kernel reaps. */
        (void) signal(SIGCHLD, SIG_IGN);
        g_test_add_func("/worker-client/answers", test_answers);
        g_test_add_func("/worker-client/nonsense", test_nonsense);
        g_test_add_func("/worker-client/unasked", test_unasked);
        g_test_add_func("/worker-client/end-of-file", test_end_of_file);
        g_test_add_func("/worker-client/several-steps", test_several_steps);
        g_test_add_func("/worker-client/size", test_size);
        g_test_add_func("/worker-client/freed-in-handler", test_freed_in_handler);
        g_test_add_func("/worker-client/send-to-nobody", test_send_to_nobody);
        g_test_add_func("/worker-client/too-long", test_too_long);
        g_test_add_func("/worker-client/process", test_process);
        g_test_add_func("/worker-client/no-program", test_no_program);
        g_test_add_func("/worker-client/start-time", test_start_time);
        r = g_test_run();
        g_free(self);
        return r;
}
