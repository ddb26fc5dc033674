/* SPDX-License-Identifier: GPL-2.0-or-later */

/* gpuptd-worker: does one step at a time as it is told, and may hang in the kernel while it does: that is why it is a
 * process of its own. It decides nothing: what to do, in which order, and what a failure means is the daemon's. */

#include <getopt.h>
#include <signal.h>
#include <sys/file.h>

#include "dbus/names.h"
#include "util/fs.h"
#include "worker/access.h"
#include "worker/alarm.h"
#include "worker/bind.h"
#include "worker/census.h"
#include "worker/compositor.h"
#include "worker/end.h"
#include "worker/host-survey.h"
#include "worker/hotplug.h"
#include "worker/inventory.h"
#include "worker/logins.h"
#include "worker/measure.h"
#include "worker/pci.h"
#include "worker/power.h"
#include "worker/protocol.h"
#include "worker/reset.h"
#include "worker/sensors.h"
#include "worker/rom.h"
#include "worker/sleep-statistics.h"
#include "worker/sound.h"
#include "worker/switch.h"
#include "worker/vga.h"

#define EXIT_PROTOCOL 2
/* The worker before this one may still be on its way out. */
#define LOCK_TIMEOUT_SEC 2U

typedef struct Handler {
        int (*run)(Work *w);
        size_t min;    /* arguments */
        size_t repeat; /* further ones come in groups of so many; 0: there are none */
} Handler;

static const Handler handlers[_VERB_MAX] = {
        [VERB_CHECK] = { verb_check, 0, 1 },
        [VERB_SAVE] = { verb_save, 0, 1 },
        [VERB_SNAPSHOT] = { verb_snapshot, 0, 1 },
        [VERB_SURVEY] = { verb_survey, 0, 1 },
        [VERB_SLEEP_STATISTICS] = { verb_sleep_statistics, 0, 0 },
        [VERB_CENSUS] = { verb_census, 0, 1 },
        [VERB_VERIFY] = { verb_verify, 1, 2 },
        [VERB_CHECK_MODULE] = { verb_check_module, 0, 1 },
        [VERB_CHECK_DRIVER] = { verb_check_driver, 0, 0 },
        [VERB_ROM] = { verb_rom, 0, 0 },
        [VERB_MEASURE] = { verb_measure, 0, 1 },
        [VERB_SENSORS] = { verb_sensors, 0, 1 },
        [VERB_PIN] = { verb_pin_power, 0, 1 },
        [VERB_RESTORE_POWER] = { verb_restore_power, 2, 3 },
        [VERB_IDLE_POWER] = { verb_idle_power, 1, 2 },
        [VERB_WAKE] = { verb_wake, 0, 1 },
        [VERB_SWITCH_POWER] = { verb_switch_power, 1, 0 },
        [VERB_SLOT_POWER] = { verb_slot_power, 1, 0 },
        [VERB_RESET] = { verb_reset, 1, 0 },
        [VERB_RESET_BELOW] = { verb_reset_below, 0, 0 },
        [VERB_REMOVE] = { verb_remove, 0, 0 },
        [VERB_EJECT] = { verb_eject, 0, 0 },
        [VERB_RESCAN] = { verb_rescan, 0, 1 },
        [VERB_RESTORE_DECODES] = { verb_restore_decodes, 0, 0 },
        [VERB_KEEP] = { verb_keep, 1, 0 },
        [VERB_ALARM] = { verb_alarm, 1, 0 },
        [VERB_OVERRIDE] = { verb_override, 1, 0 },
        [VERB_UNBIND] = { verb_unbind, 1, 0 },
        [VERB_BIND] = { verb_bind, 1, 0 },
        [VERB_REBIND] = { verb_rebind, 1, 0 },
        [VERB_PROBE] = { verb_probe, 0, 0 },
        [VERB_WAIT_DRM] = { verb_wait_drm, 1, 0 },
        [VERB_WAIT_SCREEN] = { verb_wait_screen, 2, 1 },
        [VERB_ASK_SOUND] = { verb_ask_sound, 1, 0 },
        [VERB_RETURN_SOUND] = { verb_return_sound, 1, 2 },
        [VERB_ASK_COMPOSITOR] = { verb_ask_compositor, 1, 1 },
        [VERB_RETURN_COMPOSITOR] = { verb_return_compositor, 1, 0 },
        [VERB_END] = { verb_end, 2, 0 },
        [VERB_CHECK_LOGINS] = { verb_check_logins, 0, 1 },
        [VERB_RELEASE_CONSOLE] = { verb_release_console, 0, 0 },
        [VERB_RESTORE_CONSOLE] = { verb_restore_console, 0, 0 },
        [VERB_ACCESS] = { verb_access, 1, 0 },
        [VERB_REVOKE] = { verb_revoke, 1, 0 },
};

typedef struct Worker {
        bool recorded; /* results are written to files */
        unsigned job;
        int lock_fd;
        int output_fd;

        /* what has been read and not taken yet */
        char input[WORDS_LINE_MAX + 1];
        size_t filled;
} Worker;

static bool fits(const Handler *h, size_t n) {
        if (n < h->min)
                return false;
        return h->repeat == 0 ? n == h->min : (n - h->min) % h->repeat == 0;
}

static int run_verb(Work *w, const char *word) {
        Verb verb = verb_from_string(word);
        const Handler *h = verb < 0 ? NULL : handlers + verb;

        if (!h || !h->run)
                return work_fail(w, -EINVAL, "'%s' is not a step for a worker", word);
        if (!fits(h, w->n))
                return work_fail(w, -EINVAL, "%zu arguments are not what %s takes", w->n, word);
        return h->run(w);
}

/* The daemon may have gone; then the file is what remains of the answer. */
static void send_all(const char *data, size_t size) {
        while (size > 0) {
                ssize_t k = write(WORKER_FD, data, size);

                if (k < 0 && errno == EINTR)
                        continue;
                if (k < 0)
                        return;
                data += k;
                size -= (size_t) k;
        }
}

static int write_result(const Worker *worker, unsigned number, const char *answer, size_t size) {
        const char *run_dir = secure_getenv(ENV_RUN_DIR) ?: GPUPT_RUN_DIR;
        char path[4096];

        if (!worker->recorded)
                return 0;
        if (snprintf(path, sizeof(path), WORKER_RESULT_FORMAT, run_dir, worker->job, number) >= (int) sizeof(path))
                return -ENAMETOOLONG;
        return write_file_atomic(path, answer, size);
}

static void put_verdict(FILE *f, const char *number, const Work *w, int r) {
        char error[12];

        if (r >= 0) {
                words_write(f, "ok", number, NULL);
                return;
        }
        (void) snprintf(error, sizeof(error), "%i", -r);
        words_write(f, "error", number, error, w->text ?: "doing the step", NULL);
}

/* Runs the step and returns the whole answer behind `begin`. */
static int make_answer(const Worker *worker, char *const *words, char **ret, size_t *ret_size) {
        Work w = { .target = words[3], .arguments = words + 4, .n = strv_length(words + 4), .output_fd = worker->output_fd };
        char *text = NULL;
        size_t size;
        int r;

        w.answer = open_memstream(&text, &size);
        if (!w.answer)
                return -ENOMEM;
        r = run_verb(&w, words[2]);
        put_verdict(w.answer, words[1], &w, r);
        free(w.text);
        if (fclose(w.answer) != 0 || size > WORKER_ANSWER_MAX) {
                free(text);
                return -EFBIG;
        }
        *ret = text;
        *ret_size = size;
        return 0;
}

static int do_step(Worker *worker, char *const *words) {
        _cleanup_free_ char *answer = NULL, *begin = NULL;
        uint64_t number;
        size_t size;
        int r;

        if (strv_length(words) < 4 || !streq(words[0], "step") || parse_u64(words[1], UINT32_MAX, &number) < 0)
                return -EPROTO;
        r = asprintf(&begin, "begin %s\n", words[1]);
        if (r < 0)
                return -ENOMEM;
        send_all(begin, (size_t) r);
        r = make_answer(worker, words, &answer, &size);
        if (r < 0) {
                r = asprintf(&answer, "error %s %i the\\x20answer\\x20does\\x20not\\x20fit\n", words[1], -r);
                if (r < 0)
                        return -ENOMEM;
                size = (size_t) r;
        }
        /* What was done was done: an answer that cannot be kept is still sent. */
        r = write_result(worker, (unsigned) number, answer, size);
        if (r < 0)
                fprintf(stderr, "Keeping the result of step %s: %s\n", words[1], strerror(-r));
        send_all(answer, size);
        return 0;
}

/* Takes whole lines from the input. */
static int do_lines(Worker *worker) {
        char *newline;
        int r;

        while ((newline = memchr(worker->input, '\n', worker->filled))) {
                _cleanup_strv_free_ char **words = NULL;
                size_t size = (size_t) (newline - worker->input) + 1;
                WordsReader reader = { .text = worker->input, .size = size };

                r = words_reader_next(&reader, &words);
                if (r < 0)
                        return r;
                worker->filled -= size;
                memmove(worker->input, newline + 1, worker->filled);
                r = do_step(worker, words);
                if (r < 0)
                        return r;
        }
        return worker->filled < sizeof(worker->input) ? 0 : -EPROTO;
}

static int serve(Worker *worker) {
        int r;

        for (;;) {
                ssize_t k = read(WORKER_FD, worker->input + worker->filled, sizeof(worker->input) - worker->filled);

                if (k < 0 && errno == EINTR)
                        continue;
                if (k < 0)
                        return errno == ECONNRESET && worker->filled == 0 ? 0 : -errno;
                if (k == 0)
                        return worker->filled == 0 ? 0 : -EPROTO;
                worker->filled += (size_t) k;
                r = do_lines(worker);
                if (r < 0)
                        return r;
        }
}

static int take_lock(Worker *worker, const char *path) {
        uint64_t deadline = monotonic_usec() + (uint64_t) LOCK_TIMEOUT_SEC * USEC_PER_SEC;

        worker->lock_fd = RET_NERRNO(open(path, O_RDWR | O_CREAT | O_CLOEXEC | O_NOFOLLOW, 0600));
        if (worker->lock_fd < 0)
                return worker->lock_fd;
        do {
                if (flock(worker->lock_fd, LOCK_EX | LOCK_NB) >= 0)
                        return 0;
                if (errno != EWOULDBLOCK)
                        return -errno;
        } while (wait_a_moment(deadline));
        return -EWOULDBLOCK;
}

/* 0, or what the program ends with. */
static int parse_arguments(int argc, char *argv[], Worker *worker, const char **ret_lock) {
        static const struct option options[] = {
                { "job", required_argument, NULL, 'j' },
                { "lock", required_argument, NULL, 'l' },
                {},
        };
        uint64_t job;

        for (int c; (c = getopt_long(argc, argv, "", options, NULL)) >= 0;)
                switch (c) {
                case 'j':
                        if (parse_u64(optarg, UINT32_MAX, &job) < 0) {
                                fprintf(stderr, "--job=%s is not a number.\n", optarg);
                                return EXIT_PROTOCOL;
                        }
                        worker->job = (unsigned) job;
                        worker->recorded = true;
                        break;
                case 'l':
                        *ret_lock = optarg;
                        break;
                default:
                        return EXIT_PROTOCOL;
                }
        if (optind < argc || worker->recorded != !!*ret_lock || fcntl(WORKER_FD, F_GETFD) < 0) {
                fprintf(stderr,
                        "gpuptd starts this program, with a socket as fd 3: gpuptd-worker [--job=ID --lock=FILE]\n");
                return EXIT_PROTOCOL;
        }
        return 0;
}

int main(int argc, char *argv[]) {
        static Worker worker = { .lock_fd = -EBADF, .output_fd = -EBADF };
        const char *lock = NULL;
        int r;

        r = parse_arguments(argc, argv, &worker, &lock);
        if (r != 0)
                return r;
        /* Before anything else is opened that could get the number. */
        if (fcntl(WORKER_OUTPUT_FD, F_GETFD) >= 0)
                worker.output_fd = WORKER_OUTPUT_FD;
        (void) signal(SIGPIPE, SIG_IGN);
        if (lock) {
                r = take_lock(&worker, lock);
                if (r < 0) {
                        fprintf(stderr, "Locking %s: %s\n", lock, strerror(-r));
                        return EXIT_FAILURE;
                }
        }
        r = serve(&worker);
        if (r < 0)
                fprintf(stderr, "Reading from the daemon: %s\n", strerror(-r));
        return r < 0 ? EXIT_PROTOCOL : EXIT_SUCCESS;
}
