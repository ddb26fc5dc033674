/* SPDX-License-Identifier: GPL-2.0-or-later */

#include "worker-client.h"

#include <limits.h>
#include <signal.h>
#include <spawn.h>
#include <sys/epoll.h>
#include <sys/socket.h>

#include "util/fs.h"
#include "util/words.h"
#include "worker/protocol.h"

struct Worker {
        sd_event_source *source;
        worker_handler_t handler;
        void *userdata;
        int fd;
        pid_t pid;
        bool busy;
        bool talks_on; /* something came behind the last verdict */
        unsigned step;
        char *buffer; /* what was received: complete data lines of the step, then an unfinished line */
        size_t size, allocated;
        size_t parsed; /* bytes of complete lines at its beginning */
};

static void deliver(Worker *w, WorkerEvent event, int error, const char *text, size_t data_size) {
        WorkerAnswer answer = {
                .event = event,
                .step = w->step,
                .error = error,
                .text = text,
                .data = w->buffer ?: "",
                .size = data_size,
        };

        w->handler(&answer, w->userdata);
}

static void gone(Worker *w, int error) {
        w->source = sd_event_source_disable_unref(w->source);
        deliver(w, WORKER_GONE, error, "the worker process ended", 0);
}

/* Takes one line that was received whole. Data lines stay in the buffer; the others are taken out of it. Returns 1 when the
 * step is over (the worker may be freed then), 0 to go on, -EBADMSG for what is not the protocol. */
static int take_line(Worker *w, size_t begin, size_t end) {
        _cleanup_strv_free_ char **words = NULL;
        const char *line = w->buffer + begin;
        uint64_t number, error = 0;
        bool begun, ok;
        int r;

        begun = startswith(line, "begin ");
        ok = startswith(line, "ok ");
        if (!begun && !ok && !startswith(line, "error ")) {
                w->parsed = end;
                return 0;
        }
        w->buffer[end - 1] = '\0';
        r = words_split(line, &words);
        if (r < 0)
                return r;
        if (parse_u64(words[1], UINT_MAX, &number) < 0 || !w->busy || number != w->step ||
            strv_length(words) != (begun || ok ? 2 : 4))
                return -EBADMSG;
        if (!begun && !ok && (parse_u64(words[2], 4095, &error) < 0 || error == 0))
                return -EBADMSG;

        if (begun) {
                memmove(w->buffer + begin, w->buffer + end, w->size - end);
                w->size -= end - begin;
                deliver(w, WORKER_BEGUN, 0, "", 0);
                return 0;
        }
        w->buffer[begin] = '\0';
        w->busy = false;
        w->talks_on = end < w->size;
        deliver(w, WORKER_DONE, -(int) error, ok ? "" : words[3], begin);
        return 1;
}

static int receive(Worker *w) {
        ssize_t k;

        if (w->allocated - w->size < 4096) {
                size_t allocated = MAX(w->allocated * 2, (size_t) 8192);
                char *bigger;

                if (allocated > 2ULL * WORKER_ANSWER_MAX)
                        return -EFBIG;
                bigger = realloc(w->buffer, allocated);
                if (!bigger)
                        return -ENOMEM;
                w->buffer = bigger;
                w->allocated = allocated;
        }
        k = recv(w->fd, w->buffer + w->size, w->allocated - w->size, MSG_DONTWAIT);
        if (k < 0)
                return errno == EAGAIN || errno == EINTR ? 0 : -errno;
        if (k == 0)
                return -ECONNRESET;
        if (memchr(w->buffer + w->size, '\0', (size_t) k))
                return -EBADMSG;
        w->size += (size_t) k;
        return 0;
}

static int on_io(sd_event_source *source, int fd, uint32_t revents, void *userdata) {
        Worker *w = ASSERT_PTR(userdata);
        size_t before = w->size;
        int r;

        r = receive(w);
        if (r >= 0 && w->size > before && !w->busy)
                r = -EBADMSG; /* nobody asked */
        if (r < 0) {
                gone(w, r);
                return 0;
        }
        for (;;) {
                char *newline = memchr(w->buffer + w->parsed, '\n', w->size - w->parsed);

                if (!newline) {
                        if (w->size - w->parsed > WORDS_LINE_MAX)
                                gone(w, -EBADMSG);
                        return 0;
                }
                r = take_line(w, w->parsed, (size_t) (newline - w->buffer) + 1);
                if (r < 0)
                        gone(w, r);
                if (r != 0)
                        return 0;
        }
}

static int spawn(Worker *w, const WorkerSetup *setup, int socket_fd, int output_fd) {
        posix_spawn_file_actions_t actions;
        posix_spawnattr_t attributes;
        char job[32], lock[PATH_MAX], *argv[] = { (char *) setup->program, NULL, NULL, NULL };
        sigset_t none; /* then: the signals that the daemon ignores */
        int r;

        if (setup->job > 0) {
                int k = snprintf(lock, sizeof(lock), "--lock=" WORKER_LOCK_FORMAT, setup->run_dir, setup->gpu);

                if (k >= (int) sizeof(lock))
                        return -ENAMETOOLONG;
                (void) snprintf(job, sizeof(job), "--job=%u", setup->job);
                argv[1] = job;
                argv[2] = lock;
        }

        r = posix_spawn_file_actions_init(&actions);
        if (r != 0)
                return -r;
        r = posix_spawnattr_init(&attributes);
        if (r != 0) {
                posix_spawn_file_actions_destroy(&actions);
                return -r;
        }
        sigemptyset(&none);
        (void) posix_spawnattr_setsigmask(&attributes, &none);
        sigaddset(&none, SIGCHLD);
        sigaddset(&none, SIGPIPE);
        (void) posix_spawnattr_setsigdefault(&attributes, &none);
        /* A session of its own: a signal to the daemon's terminal or group must not reach a worker in the kernel. */
        (void) posix_spawnattr_setflags(&attributes, POSIX_SPAWN_SETSIGMASK | POSIX_SPAWN_SETSIGDEF | POSIX_SPAWN_SETSID);
        r = -posix_spawn_file_actions_adddup2(&actions, socket_fd, WORKER_FD);
        if (r >= 0 && output_fd >= 0)
                r = -posix_spawn_file_actions_adddup2(&actions, output_fd, WORKER_OUTPUT_FD);
        if (r >= 0)
                r = -posix_spawn(&w->pid, setup->program, &actions, &attributes, argv, environ);
        posix_spawnattr_destroy(&attributes);
        posix_spawn_file_actions_destroy(&actions);
        return r;
}

int worker_new(sd_event *event, const WorkerSetup *setup, worker_handler_t handler, void *userdata, Worker **ret) {
        _cleanup_(worker_freep) Worker *w = NULL;
        _cleanup_close_ int theirs = -EBADF, output = -EBADF;
        int pair[2], r;

        w = calloc(1, sizeof(Worker));
        if (!w)
                return -ENOMEM;
        *w = (Worker) { .fd = -EBADF, .handler = handler, .userdata = userdata };

        if (socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, pair) < 0)
                return -errno;
        w->fd = pair[0];
        theirs = pair[1];
        /* dup2() to itself would leave close-on-exec set. */
        if (theirs == WORKER_FD) {
                int moved = fcntl(theirs, F_DUPFD_CLOEXEC, WORKER_FD + 1);

                if (moved < 0)
                        return -errno;
                (void) close(theirs);
                theirs = moved;
        }
        /* Not one of the two numbers that are given away. */
        if (setup->output_fd) {
                output = RET_NERRNO(fcntl(*setup->output_fd, F_DUPFD_CLOEXEC, WORKER_OUTPUT_FD + 1));
                if (output < 0)
                        return output;
        }
        r = spawn(w, setup, theirs, output);
        if (r < 0)
                return r;
        r = sd_event_add_io(event, &w->source, w->fd, EPOLLIN, on_io, w);
        if (r < 0)
                return r;
        (void) sd_event_source_set_description(w->source, "worker");
        *ret = TAKE_PTR(w);
        return 0;
}

Worker *worker_free(Worker *w) {
        if (!w)
                return NULL;
        sd_event_source_disable_unref(w->source);
        safe_close(w->fd);
        free(w->buffer);
        free(w);
        return NULL;
}

int worker_send(Worker *w, unsigned number, const Step *step) {
        const char *words[WORDS_MAX + 1] = { "step" };
        _cleanup_free_ char *text = NULL;
        char number_text[16];
        size_t n = 4, size;
        FILE *f;

        if (w->busy)
                return -EBUSY;
        if (strv_length(step->arguments) + n > WORDS_MAX)
                return -E2BIG;
        (void) snprintf(number_text, sizeof(number_text), "%u", number);
        words[1] = number_text;
        words[2] = verb_to_string(step->verb);
        words[3] = step->target;
        for (char **a = step->arguments; a && *a; a++)
                words[n++] = *a;

        f = open_memstream(&text, &size);
        if (!f)
                return -ENOMEM;
        words_writev(f, words);
        if (fclose(f) != 0)
                return -ENOMEM;
        if (size > WORDS_LINE_MAX)
                return -E2BIG;
        /* The worker reads nothing but this, one line at a time, so the socket has room. */
        if (send(w->fd, text, size, MSG_NOSIGNAL | MSG_DONTWAIT) != (ssize_t) size)
                return errno ? -errno : -EPIPE;
        w->busy = true;
        w->step = number;
        w->size = w->parsed = 0;
        return 0;
}

bool worker_is_quiet(const Worker *w) {
        char c;

        return !w->busy && !w->talks_on && recv(w->fd, &c, 1, MSG_PEEK | MSG_DONTWAIT) < 0 && errno == EAGAIN;
}

bool worker_is_busy(const Worker *w) {
        return w->busy;
}

uint32_t worker_pid(const Worker *w) {
        return (uint32_t) w->pid;
}

int process_start_time(uint32_t pid, uint64_t *ret) {
        _cleanup_free_ char *line = NULL;
        char path[32], *p;
        int r;

        (void) snprintf(path, sizeof(path), "/proc/%u/stat", pid);
        r = read_file_at(AT_FDCWD, path, 4095, &line, NULL);
        if (r == -ENOENT || r == -ESRCH)
                return -ESRCH;
        if (r < 0)
                return r;
        /* The command in field 2 may contain anything, newlines too, but ends with the last ')'. */
        p = strrchr(line, ')');
        for (unsigned field = 2; p && field < 22; field++) {
                p = strchr(p, ' ');
                p = p ? p + 1 : NULL;
        }
        if (!p)
                return -EBADMSG;
        p[strcspn(p, " ")] = '\0';
        return parse_u64(p, UINT64_MAX, ret);
}
