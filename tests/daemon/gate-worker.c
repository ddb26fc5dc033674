/* SPDX-License-Identifier: GPL-2.0-or-later */

/* gate-worker: stands between the daemon and the real worker, so that a test can stop any step, also one that asks the
 * kernel for nothing: steps that have a gate (a file, see gate.h) are shown to the test, which says whether they are
 * done, fail, or what else is answered. Everything else passes through. */

#include <errno.h>
#include <glob.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <sys/wait.h>
#include <unistd.h>

#include "gate.h"
#include "util/cleanup.h"
#include "util/words.h"
#include "worker/protocol.h"

static void write_all(int fd, const char *data, size_t size) {
        while (size > 0) {
                ssize_t k = write(fd, data, size);

                if (k <= 0)
                        return;
                data += k;
                size -= (size_t) k;
        }
}

/* "VERB TARGET"; a census has no target of its own and is named by the VFIO group. */
static void name_step(char *const *words, char *ret, size_t size) {
        const char *target = words[3];

        for (char *const *w = words + 4; streq(words[2], "census") && *w; w++)
                if (strstr(*w, ":/dev/vfio/") && !strstr(*w, "/devices/"))
                        target = strrchr(*w, '/') + 1;
        (void) snprintf(ret, size, "%s-%s", words[2], target);
}

/* Whether this is the one: the file says how many come before it, by whichever process. */
static bool has_gate(const char *name) {
        char path[512];
        unsigned before;
        bool mine = false;
        FILE *f;

        (void) snprintf(path, sizeof(path), GATE_DIR "/%s", name);
        f = fopen(path, "r+e");
        if (!f)
                return false;
        if (fscanf(f, "%u", &before) != 1)
                before = 0;
        if (before > 0) {
                rewind(f);
                (void) fprintf(f, "%u\n", before - 1);
        } else
                mine = unlink(path) == 0; /* two may have opened it */
        (void) fclose(f);
        return mine;
}

/* Looks are no steps of a plan: any of them may come at any time. */
static bool is_look(const char *verb) {
        static const char *const looks[] = { "snapshot", "survey", "census", "measure", "sensors", "rom" };

        for (size_t i = 0; i < ELEMENTSOF(looks); i++)
                if (streq(looks[i], verb))
                        return true;
        return false;
}

/* What the test says, a line. */
static void ask_test(const char *name, char *ret, size_t size) {
        struct sockaddr_un address = { .sun_family = AF_UNIX, .sun_path = GATE_SOCKET };
        char text[512];
        size_t n = 0;
        int fd;

        fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
        if (fd < 0 || connect(fd, (struct sockaddr *) &address, sizeof(address)) < 0)
                _exit(EXIT_FAILURE);
        (void) snprintf(text, sizeof(text), "%s %d\n", name, getpid());
        write_all(fd, text, strlen(text));
        while (n < size - 1 && read(fd, ret + n, 1) == 1 && ret[n] != '\n')
                n++;
        ret[n] = '\0';
        (void) close(fd);
}

/* "$N" is the step's number, "$L" an end of line. All in one: what comes behind an answer is seen with it. */
static void say(const char *p, const char *number) {
        char *text;
        size_t size;
        FILE *f = open_memstream(&text, &size);

        if (!f)
                _exit(EXIT_FAILURE);
        for (; *p; p++)
                if (startswith(p, "$N")) {
                        fputs(number, f);
                        p++;
                } else if (startswith(p, "$L")) {
                        fputc('\n', f);
                        p++;
                } else
                        fputc(*p, f);
        if (fclose(f) != 0)
                _exit(EXIT_FAILURE);
        write_all(WORKER_FD, text, size);
        free(text);
}

static void pass_step(int real, const char *line, size_t size) {
        char *const *words = NULL;
        char **split = NULL;
        char name[256], verdict[65536], text[70000];
        WordsReader reader = { .text = line, .size = size };

        if (words_reader_next(&reader, &split) <= 0 || strv_length(split) < 4)
                _exit(EXIT_FAILURE);
        words = split;
        name_step(words, name, sizeof(name));
        if (!has_gate(name) && (is_look(words[2]) || !has_gate(GATE_ANY))) {
                write_all(real, line, size);
                strv_free(split);
                return;
        }
        ask_test(name, verdict, sizeof(verdict));
        if (startswith(verdict, "error ")) {
                (void) snprintf(text, sizeof(text), "begin %s\nerror %s %s the\\x20test\\x20says\\x20so\n", words[1],
                                words[1], verdict + STRLEN("error "));
                write_all(WORKER_FD, text, strlen(text));
        } else if (startswith(verdict, "say ")) {
                say(verdict + STRLEN("say "), words[1]);
        } else
                write_all(real, line, size);
        strv_free(split);
}

static pid_t start_real(char *argv[], int *ret_fd) {
        int pair[2];
        pid_t pid;

        if (socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, pair) < 0)
                _exit(EXIT_FAILURE);
        pid = fork();
        if (pid == 0) {
                (void) prctl(PR_SET_PDEATHSIG, SIGKILL);
                if (dup2(pair[1], WORKER_FD) < 0)
                        _exit(EXIT_FAILURE);
                (void) execv(getenv(ENV_REAL_WORKER), argv);
                _exit(EXIT_FAILURE);
        }
        (void) close(pair[1]);
        *ret_fd = pair[0];
        return pid;
}

/* Lines from the daemon; what is left of an unfinished one stays in the buffer. */
static bool from_daemon(int real) {
        static char input[WORDS_LINE_MAX + 1];
        static size_t filled;
        char *newline;
        ssize_t k;

        k = read(WORKER_FD, input + filled, sizeof(input) - filled);
        if (k <= 0)
                return false;
        filled += (size_t) k;
        while ((newline = memchr(input, '\n', filled))) {
                size_t size = (size_t) (newline - input) + 1;

                pass_step(real, input, size);
                filled -= size;
                memmove(input, newline + 1, filled);
        }
        return true;
}

static bool from_worker(int real) {
        char data[4096];
        ssize_t k = read(real, data, sizeof(data));

        if (k <= 0)
                return false;
        write_all(WORKER_FD, data, (size_t) k);
        return true;
}

int main(int argc, char *argv[]) {
        struct pollfd p[2];
        glob_t gates = {};
        bool any;
        int real;

        any = glob(GATE_DIR "/*", 0, NULL, &gates) == 0;
        globfree(&gates);
        /* A job's worker knows its gates when it starts; a reader is there before them. */
        if (!any && argc > 1) {
                (void) execv(getenv(ENV_REAL_WORKER), argv);
                return EXIT_FAILURE;
        }
        (void) signal(SIGPIPE, SIG_IGN);
        (void) start_real(argv, &real);
        p[0] = (struct pollfd) { .fd = WORKER_FD, .events = POLLIN };
        p[1] = (struct pollfd) { .fd = real, .events = POLLIN };
        while (poll(p, ELEMENTSOF(p), -1) > 0) {
                if (p[1].revents && !from_worker(real))
                        break;
                if (p[0].revents && !from_daemon(real)) {
                        /* The daemon is gone: the step is finished all the same. */
                        (void) shutdown(real, SHUT_WR);
                        p[0].fd = -1;
                }
        }
        (void) wait(NULL);
        return EXIT_SUCCESS;
}
