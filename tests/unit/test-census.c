/* SPDX-License-Identifier: GPL-2.0-or-later */

/* test-census: that a holder is found by path, by number and by mapping, and that others are not. The device nodes are
 * ones that every machine has and hardly anybody holds: /dev/full (1:7) and /dev/urandom (1:9). */

#include "worker-driver.h"

#include <signal.h>
#include <sys/mman.h>
#include <sys/prctl.h>

#include "holders.h"
#include "worker/end.h"

/* A process that has a node open, or mapped, until the test is over. */
typedef struct Sitter {
        pid_t pid;
        uint64_t start;
} Sitter;

static void sitter_start(Sitter *s, const char *path, int flags, bool mapped) {
        int fds[2];
        char ready;

        g_assert_cmpint(pipe2(fds, O_CLOEXEC), ==, 0);
        s->pid = fork();
        g_assert_cmpint(s->pid, >=, 0);
        if (s->pid == 0) {
                int fd;

                (void) prctl(PR_SET_PDEATHSIG, SIGKILL);
                fd = open(path, flags | O_CLOEXEC);

                if (fd < 0)
                        _exit(1);
                if (mapped) {
                        if (mmap(NULL, 4096, PROT_READ, MAP_PRIVATE, fd, 0) == MAP_FAILED)
                                _exit(1);
                        (void) close(fd);
                }
                if (write(fds[1], "x", 1) == 1)
                        for (;;)
                                (void) pause();
                _exit(1);
        }
        (void) close(fds[1]);
        g_assert_cmpint(read(fds[0], &ready, 1), ==, 1);
        (void) close(fds[0]);
        g_assert_cmpint(process_start_time((uint32_t) s->pid, &s->start), ==, 0);
}

static void sitter_end(Sitter *s) {
        (void) kill(s->pid, SIGKILL);
        g_assert_cmpint(waitpid(s->pid, NULL, 0), ==, s->pid);
}

static Holders *take_census(const char *nodes) {
        g_autofree char *step = g_strdup_printf("census - %s", nodes), *answer = driver_run(step);
        Holders *h = NULL;

        g_assert_true(g_str_has_prefix(answer, "begin 1\n"));
        g_assert_true(g_str_has_suffix(answer, "ok 1\n"));
        g_assert_cmpint(holders_read(answer + strlen("begin 1\n"), strlen(answer) - strlen("begin 1\nok 1\n"), &h), ==, 0);
        return h;
}

static const Holder *find(const Holders *h, const Sitter *s) {
        for (size_t i = 0; i < h->n; i++)
                if (h->list[i].pid == (uint32_t) s->pid && h->list[i].start == s->start)
                        return h->list + i;
        return NULL;
}

static void assert_held(const char *nodes, const Sitter *s, const char *node) {
        _cleanup_(holders_freep) Holders *h = take_census(nodes);
        const Holder *holder = find(h, s);
        char comm[16] = {};

        g_test_message("%s", nodes);
        g_assert_nonnull(holder);
        g_assert_cmpint(prctl(PR_GET_NAME, comm), ==, 0); /* the sitter has its parent's */
        g_assert_cmpuint(strv_length(holder->nodes), ==, 1);
        g_assert_cmpstr(holder->nodes[0], ==, node);
        g_assert_cmpuint(holder->uid, ==, getuid());
        g_assert_true(g_str_has_prefix(holder->command, comm));
        g_assert_false(holder->is_vm);
}

static void assert_free(const char *nodes, const Sitter *s) {
        _cleanup_(holders_freep) Holders *h = take_census(nodes);

        g_test_message("%s", nodes);
        g_assert_null(find(h, s));
}

static void test_open(void) {
        Sitter s;

        sitter_start(&s, "/dev/full", O_RDONLY, false);
        assert_held("0:0:/dev/full", &s, "/dev/full"); /* by path */
        assert_held("1:7:/dev/dri/card0", &s, "/dev/dri/card0"); /* by number */
        assert_held("1:7:/dev/full", &s, "/dev/full");
        assert_held("226:0:/dev/dri/card0 226:128:/dev/dri/renderD128 0:0:/dev/full", &s, "/dev/full");
        assert_free("1:9:/dev/urandom", &s);
        assert_free("0:0:/dev/dri/card0", &s);
        assert_free("7:1:/dev/dri/card0", &s);
        sitter_end(&s);
        assert_free("1:7:/dev/full", &s);
}

/* Neither readable nor writable, and open all the same (open(2), access mode 3); and what is only a name. */
static void test_modes(void) {
        Sitter s;

        sitter_start(&s, "/dev/full", O_ACCMODE, false);
        assert_held("1:7:/dev/full", &s, "/dev/full");
        sitter_end(&s);
        sitter_start(&s, "/dev/full", O_PATH, false);
        assert_free("1:7:/dev/full", &s);
        assert_free("0:0:/dev/full", &s);
        sitter_end(&s);
}

/* A mapping without an fd. The census goes by paths, so a file will do that has one under /dev. */
static void test_mapped(void) {
        g_autofree char *path = g_strdup_printf("/dev/shm/gpuptd-test-%i", getpid()), *node = NULL;
        Sitter s;

        g_assert_true(g_file_set_contents(path, "x", 1, NULL));
        sitter_start(&s, path, O_RDONLY, true);
        node = g_strdup_printf("0:0:%s", path);
        assert_held(node, &s, path);
        g_assert_cmpint(unlink(path), ==, 0);
        assert_held(node, &s, path); /* " (deleted)" */
        sitter_end(&s);
        assert_free(node, &s);
}

/* The two programs that take the census are never part of it: this one stands for the daemon. */
static void test_not_oneself(void) {
        _cleanup_(holders_freep) Holders *h = NULL;
        int fd = open("/dev/full", O_RDONLY | O_CLOEXEC);

        g_assert_cmpint(fd, >=, 0);
        h = take_census("1:7:/dev/full");
        for (size_t i = 0; i < h->n; i++)
                g_assert_cmpuint(h->list[i].pid, !=, (uint32_t) getpid());
        (void) close(fd);
}

static void test_no_nodes(void) {
        g_autofree char *answer = driver_run("census -");

        g_assert_cmpstr(answer, ==, "begin 1\nok 1\n");
}

int main(int argc, char *argv[]) {
        g_test_init(&argc, &argv, NULL);
        g_test_add_func("/census/open", test_open);
        g_test_add_func("/census/modes", test_modes);
        g_test_add_func("/census/mapped", test_mapped);
        g_test_add_func("/census/not-oneself", test_not_oneself);
        g_test_add_func("/census/no-nodes", test_no_nodes);
        return g_test_run();
}
