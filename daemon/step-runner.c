/* SPDX-License-Identifier: GPL-2.0-or-later */

/* step-runner: executors behind one face. Every step has two limits (step.h): past the first it is slow, which is said;
 * past the second a worker's step is stuck, which ends the job but not the step, and any other step has failed with
 * ETIMEDOUT. Nothing here signals a worker: a signal would turn its wait in the kernel into one that never ends
 * (drivers/vfio/vfio_main.c vfio_unregister_group_dev()). */

#include "step-runner.h"

#include <sys/epoll.h>
#include <sys/syscall.h>

#include "dbus/names.h"
#include "hook-run.h"
#include "host-sleep.h"
#include "journal.h"
#include "session-end.h"
#include "unit-client.h"
#include "util/log.h"
#include "vendor-tool.h"
#include "worker/protocol.h"

/* How long to wait before the next census: asked politely, holders let go within half a second. */
static const uint64_t census_pause_usec[] = { 50000, 100000, 200000, 400000, 1000000 };

/* How often it is looked whether the VM that a card is taken from still runs, once the limit of that is over. */
#define EJECT_LOOK_USEC (5 * 1000000ULL)

struct StepRunner {
        Gpu *gpu; /* weak */
        unsigned job;
        run_handler_t handler;
        save_handler_t save;
        void *userdata;

        const Step *step; /* weak, of the step in flight; NULL between steps */
        unsigned number;
        bool stuck;

        Worker *worker;
        ReaderQuery *query; /* of a step that only reads */
        int pidfd; /* of an adopted worker */
        UnitOperation *unit;
        SessionEnd *session;
        Exec *exec;
        HookRun *hook;
        HostSleep *sleep;
        CensusWaiter *census;
        bool joined;          /* the census was running before */
        Holders *shown;       /* whom the last census of this job found */
        unsigned rounds;      /* of the census in this step */
        uint64_t deadline;    /* CLOCK_MONOTONIC, of a wait */
        sd_event_source *slow, *limit, *pause, *adopted, *now;
        int now_error; /* of a step that is over at once */
};

static void disarm(StepRunner *r) {
        r->slow = sd_event_source_disable_unref(r->slow);
        r->limit = sd_event_source_disable_unref(r->limit);
        r->pause = sd_event_source_disable_unref(r->pause);
        r->adopted = sd_event_source_disable_unref(r->adopted);
        r->now = sd_event_source_disable_unref(r->now);
        r->unit = unit_operation_free(r->unit);
        r->session = session_end_free(r->session);
        r->exec = exec_free(r->exec);
        r->hook = hook_run_free(r->hook);
        r->sleep = host_sleep_free(r->sleep);
        r->census = census_waiter_free(r->census);
        r->query = reader_query_free(r->query);
        safe_close(r->pidfd);
        r->pidfd = -EBADF;
        r->step = NULL;
        r->stuck = false;
}

static void finish(StepRunner *r, RunEvent event, int error, const char *text, const char *data, size_t size) {
        RunResult result = { event, error, text, data, size };

        disarm(r);
        r->handler(&result, r->userdata);
}

/* ---- limits ---- */

static int on_slow(sd_event_source *source, uint64_t usec, void *userdata) {
        StepRunner *r = ASSERT_PTR(userdata);
        RunResult result = { RUN_SLOW, 0, "", "", 0 };

        r->handler(&result, r->userdata);
        return 0;
}

static void become_stuck(StepRunner *r) {
        r->stuck = true;
        r->handler(&(RunResult) { RUN_STUCK, -ETIMEDOUT, "the kernel call has not returned", "", 0 }, r->userdata);
}

/* The guest takes its time to let go. */
static void on_eject_census(int error, const Holders *holders, void *userdata) {
        StepRunner *r = ASSERT_PTR(userdata);

        r->census = NULL;
        if (error < 0 || !holders_find_vm(holders) ||
            sd_event_source_set_time_relative(r->limit, EJECT_LOOK_USEC) < 0 ||
            sd_event_source_set_enabled(r->limit, SD_EVENT_ONESHOT) < 0)
                become_stuck(r);
}

static int on_limit(sd_event_source *source, uint64_t usec, void *userdata) {
        StepRunner *r = ASSERT_PTR(userdata);

        if (verb_info(r->step->verb)->executor != EXECUTOR_WORKER)
                finish(r, RUN_DONE, -ETIMEDOUT, "it took too long", "", 0);
        else if (r->step->verb == VERB_ASK_COMPOSITOR && r->census)
                finish(r, RUN_DONE, 0, "", "", 0); /* nothing is in the kernel yet */
        else if (r->step->verb != VERB_EJECT || gpu_census(r->gpu, on_eject_census, r, &r->census) < 0)
                become_stuck(r);
        return 0;
}

/* Waits bring their own deadline, and so do hooks; the verb's limit is for what should never take that long. */
static int arm(StepRunner *r) {
        const VerbInfo *info = verb_info(r->step->verb);
        unsigned stuck_sec = r->gpu->host->config->step_timeout_sec ?: info->stuck_sec;
        sd_event *event = r->gpu->host->event;
        int k = 0;

        if (info->slow_sec > 0)
                k = sd_event_add_time_relative(event, &r->slow, CLOCK_MONOTONIC, info->slow_sec * 1000000ULL, 0,
                                               on_slow, r);
        if (k >= 0 && stuck_sec > 0 && info->executor != EXECUTOR_WAIT && r->step->verb != VERB_HOOK)
                k = sd_event_add_time_relative(event, &r->limit, CLOCK_MONOTONIC, stuck_sec * 1000000ULL, 0, on_limit,
                                               r);
        return k;
}

/* ---- at once ---- */

static int on_now(sd_event_source *source, void *userdata) {
        StepRunner *r = ASSERT_PTR(userdata);

        finish(r, RUN_DONE, r->now_error, "", "", 0);
        return 0;
}

/* Ends the step from the event loop, never from within step_runner_run(). */
static int finish_soon(StepRunner *r, int error) {
        r->now_error = error;
        return sd_event_add_defer(r->gpu->host->event, &r->now, on_now, r);
}

/* ---- worker ---- */

static void on_worker(const WorkerAnswer *answer, void *userdata) {
        StepRunner *r = ASSERT_PTR(userdata);
        bool busy;

        switch (answer->event) {
        case WORKER_BEGUN:
                return;
        case WORKER_DONE:
                finish(r, RUN_DONE, answer->error, answer->text, answer->data, answer->size);
                return;
        case WORKER_GONE:
                busy = worker_is_busy(r->worker);
                r->worker = worker_free(r->worker);
                if (busy)
                        finish(r, RUN_LOST, -EPIPE, "the worker process ended in the middle of it", "", 0);
                return;
        }
}

int step_runner_worker(StepRunner *r, uint32_t *ret_pid) {
        int k;

        if (!r->worker) {
                k = host_new_worker(r->gpu->host, r->job, r->gpu->address, on_worker, r, &r->worker);
                if (k < 0)
                        return k;
        }
        *ret_pid = worker_pid(r->worker);
        return 0;
}

static void on_answer(const WorkerAnswer *answer, void *userdata) {
        StepRunner *r = ASSERT_PTR(userdata);

        r->query = NULL;
        finish(r, answer->event == WORKER_DONE ? RUN_DONE : RUN_LOST, answer->error, answer->text, answer->data,
               answer->size);
}

static int run_worker(StepRunner *r) {
        uint32_t pid;
        int k;

        /* No plan has it, and it is not journaled: it need not be known whose answer it is. */
        if (r->step->verb == VERB_SNAPSHOT)
                return reader_ask(r->gpu->host->readers, r->step, on_answer, r, &r->query);
        k = step_runner_worker(r, &pid);
        if (k < 0)
                return k;
        return worker_send(r->worker, r->number, r->step);
}

/* A desktop that does not follow such an event keeps the card (mutter 43 does, measured), and what it makes of a card that has gone and is
 * there is its own affair: some have crashed of it. */
static void on_compositors(int error, const Holders *holders, void *userdata) {
        StepRunner *r = ASSERT_PTR(userdata);
        _cleanup_free_ char *line = NULL;
        int k;

        r->census = NULL;
        /* Who is not asked is waited for, and named if he stays. */
        if (error < 0 || !holders_are_desktops_named(holders, r->step->arguments + 1)) {
                finish(r, RUN_DONE, 0, "", "", 0);
                return;
        }
        k = asprintf(&line, "saved %s asked yes\n", r->step->arguments[0]);
        if (k < 0) {
                line = NULL;
                k = -ENOMEM;
        } else
                k = r->save(line, r->userdata);
        if (k >= 0)
                k = run_worker(r);
        if (k < 0)
                finish(r, RUN_DONE, k, "asking the desktop", "", 0);
}

static int ask_compositors(StepRunner *r) {
        if (strv_length(r->step->arguments) < 2)
                return -EBADMSG;
        return gpu_census(r->gpu, on_compositors, r, &r->census);
}

static bool was_shown(const StepRunner *r, const Step *step) {
        uint64_t pid, start;

        return !r->shown || (parse_u64(step->target, UINT32_MAX, &pid) >= 0 && step->arguments &&
                             parse_u64(step->arguments[0], UINT64_MAX, &start) >= 0 &&
                             holders_contains(r->shown, (uint32_t) pid, start));
}

/* ---- units ---- */

static int on_unit_active(void *userdata) {
        StepRunner *r = ASSERT_PTR(userdata);
        _cleanup_free_ char *line = NULL;

        if (asprintf(&line, "saved %s active yes\n", r->step->target) < 0)
                return -ENOMEM;
        return r->save(line, r->userdata);
}

static void on_unit(int error, const char *text, void *userdata) {
        StepRunner *r = ASSERT_PTR(userdata);

        r->unit = NULL;
        finish(r, RUN_DONE, error, text, "", 0);
}

static void on_session(int error, const char *text, void *userdata) {
        StepRunner *r = ASSERT_PTR(userdata);

        r->session = NULL;
        finish(r, RUN_DONE, error, text, "", 0);
}

static int run_unit(StepRunner *r) {
        _cleanup_free_ char *name = NULL;
        UnitAction action = r->step->verb == VERB_STOP_UNIT ? UNIT_STOP : UNIT_START;

        switch (r->step->verb) {
        case VERB_END_SESSION:
                return session_end_new(r->gpu->host->units, r->step->target, on_session, r, &r->session);
        case VERB_LOAD:
                name = unit_instance_name(GPUPT_UNIT_MODPROBE, r->step->target);
                break;
        case VERB_UNLOAD:
                name = unit_instance_name(GPUPT_UNIT_UNLOAD, r->step->target);
                break;
        default:
                name = strdup(r->step->target);
        }
        if (!name)
                return -ENOMEM;
        return unit_client_do(r->gpu->host->units, action, name, on_unit_active, on_unit, r, &r->unit);
}

/* ---- programs ---- */

static void on_exec(const ExecResult *result, void *userdata) {
        StepRunner *r = ASSERT_PTR(userdata);

        r->exec = NULL;
        finish(r, RUN_DONE, result->error, result->text, "", 0);
}

/* The program and its arguments; a NULL-terminated list of weak strings. */
static char **make_argv(const StepRunner *r) {
        const Step *s = r->step;
        const char *restore[] = { secure_getenv(ENV_RESTORE) ?: RESTORE_PROGRAM, "switch", s->target,
                                  strempty(r->gpu->identity) };
        const char *reset[] = { vendor_tool_path(), "--gpu-reset", "-i", s->target };
        const char **words = s->verb == VERB_VENDOR_RESET ? reset : s->verb == VERB_XORG_FILES ? restore : NULL;
        size_t n = words ? ELEMENTSOF(reset) : 0;
        char **argv = words ? calloc(n + strv_length(s->arguments) + 1, sizeof(char *)) : NULL;

        for (size_t i = 0; argv && i < n; i++)
                argv[i] = (char *) words[i];
        for (char **a = s->arguments; argv && a && *a; a++)
                argv[n++] = *a;
        return argv;
}

static int run_exec(StepRunner *r) {
        _cleanup_free_ char *description = NULL;
        _cleanup_free_ char **argv = make_argv(r);
        char unit[64];

        description = step_describe(r->step);
        if (!description || !argv)
                return argv ? -ENOMEM : -EOPNOTSUPP;
        (void) snprintf(unit, sizeof(unit), EXEC_UNIT_FORMAT, r->job, r->number);
        return exec_run(unit_client_bus(r->gpu->host->units),
                        &(ExecRequest) {
                                .unit = unit,
                                .description = description,
                                .argv = argv,
                                .limit_usec = verb_info(r->step->verb)->stuck_sec * 1000000ULL,
                                .output_max = 4096, /* its first line goes with an error */
                        },
                        on_exec, r, &r->exec);
}

static void on_hook(int error, const char *text, const char *output, void *userdata) {
        StepRunner *r = ASSERT_PTR(userdata);
        char line[256];

        r->hook = NULL;
        for (unsigned i = 0; i < HOOK_LINES_MAX && hook_next_line(&output, line, sizeof(line)); i++)
                log_info("%s: hook %s: %s", r->gpu->address, r->step->target, line);
        finish(r, RUN_DONE, error, text, "", 0);
}

static int run_hook(StepRunner *r) {
        const Step *s = r->step;

        if (strv_length(s->arguments) <= HOOK_FUNCTIONS)
                return -EBADMSG;
        return hook_run_new(unit_client_bus(r->gpu->host->units),
                            &(HookRequest) {
                                    .name = s->target,
                                    .job = r->job,
                                    .number = r->number,
                                    .when = s->arguments[HOOK_WHEN],
                                    .act = s->arguments[HOOK_ACT],
                                    .result = isempty(s->arguments[HOOK_RESULT]) ? NULL : s->arguments[HOOK_RESULT],
                                    .operation = s->arguments[HOOK_OPERATION],
                                    .gpu = r->gpu->address,
                                    .functions = s->arguments + HOOK_FUNCTIONS,
                                    .vm = s->arguments[HOOK_VM],
                                    .limit_sec = r->gpu->host->config->hook_timeout_sec,
                            },
                            on_hook, r, &r->hook);
}

/* ---- waits ---- */

static int look_for_holders(StepRunner *r);

static int on_pause(sd_event_source *source, uint64_t usec, void *userdata) {
        StepRunner *r = ASSERT_PTR(userdata);
        int k;

        r->pause = sd_event_source_disable_unref(r->pause);
        k = look_for_holders(r);
        if (k < 0)
                finish(r, RUN_DONE, k, "starting a census of the holders", "", 0);
        return 0;
}

static void on_census(int error, const Holders *holders, void *userdata) {
        StepRunner *r = ASSERT_PTR(userdata);
        _cleanup_free_ char *text = NULL;
        uint64_t now;
        int k;

        r->census = NULL;
        if (error < 0) {
                finish(r, RUN_DONE, error, "the census of the holders did not end", "", 0);
                return;
        }
        r->shown = holders_free(r->shown);
        k = holders_copy(holders, &r->shown);
        if (k < 0) {
                finish(r, RUN_DONE, k, "keeping the census", "", 0);
                return;
        }
        if (holders->n == 0 && r->joined) {
                /* It was under way before this step began, and may have passed a process that has opened the card since. */
                k = look_for_holders(r);
                if (k < 0)
                        finish(r, RUN_DONE, k, "starting a census of the holders", "", 0);
                return;
        }
        if (holders->n == 0) {
                finish(r, RUN_DONE, 0, "", "", 0);
                return;
        }

        (void) sd_event_now(r->gpu->host->event, CLOCK_MONOTONIC, &now);
        if (now >= r->deadline) {
                if (r->step->verb == VERB_WAIT_ASKED)
                        finish(r, RUN_DONE, 0, "", "", 0);
                else {
                        text = holders_describe(holders);
                        finish(r, RUN_DONE, -EBUSY, strempty(text), "", 0);
                }
                return;
        }
        if (r->rounds == 0)
                r->handler(&(RunResult) { RUN_WAITS, 0, "", "", 0 }, r->userdata);
        k = sd_event_add_time_relative(r->gpu->host->event, &r->pause, CLOCK_MONOTONIC,
                                       census_pause_usec[MIN(r->rounds, ELEMENTSOF(census_pause_usec) - 1)], 0,
                                       on_pause, r);
        r->rounds++;
        if (k < 0)
                finish(r, RUN_DONE, k, "waiting for the holders", "", 0);
}

static int look_for_holders(StepRunner *r) {
        r->joined = r->gpu->census != NULL;
        return gpu_census(r->gpu, on_census, r, &r->census);
}

static int ask_holders(StepRunner *r, unsigned seconds) {
        _cleanup_strv_free_ char **nodes = NULL, **paths = NULL;
        int k;

        k = gpu_nodes(r->gpu, &nodes);
        for (char **n = nodes; n && *n && k >= 0; n++)
                k = strv_extend(&paths, strchr(*n, '/') ?: *n);
        if (k >= 0)
                r->gpu->host->listener.release_requested(r->gpu, paths, seconds, r->gpu->host->listener.userdata);
        return k;
}

static void on_woken(int error, const char *text, void *userdata) {
        StepRunner *r = ASSERT_PTR(userdata);

        r->sleep = NULL;
        finish(r, RUN_DONE, error, text, "", 0);
}

static int run_wait(StepRunner *r) {
        uint64_t now, seconds = 0;
        int k;

        if (r->step->arguments && parse_u64(r->step->arguments[0], GPUPT_WAIT_MAX_SEC, &seconds) < 0)
                return -EBADMSG;
        if (r->step->verb == VERB_SUSPEND)
                return host_sleep_new(unit_client_bus(r->gpu->host->units), r->gpu->host->event, (unsigned) seconds,
                                      on_woken, r, &r->sleep);
        if (r->step->verb == VERB_ASK) {
                k = ask_holders(r, (unsigned) seconds);
                return k < 0 ? k : finish_soon(r, 0);
        }
        k = sd_event_now(r->gpu->host->event, CLOCK_MONOTONIC, &now);
        if (k < 0)
                return k;
        r->deadline = now + seconds * 1000000;
        r->rounds = 0;
        return look_for_holders(r);
}

/* ---- face ---- */

int step_runner_run(StepRunner *r, unsigned number, const Step *step) {
        int k;

        if (r->step)
                return -EBUSY;
        r->step = step;
        r->number = number;
        switch (verb_info(step->verb)->executor) {
        case EXECUTOR_WORKER:
                /* Whoever let go when asked is not ended. */
                if (step->verb == VERB_END && !was_shown(r, step))
                        k = finish_soon(r, 0);
                else if (step->verb == VERB_ASK_COMPOSITOR)
                        k = ask_compositors(r);
                else
                        k = run_worker(r);
                break;
        case EXECUTOR_UNIT:
                k = run_unit(r);
                break;
        case EXECUTOR_EXEC:
                k = step->verb == VERB_HOOK ? run_hook(r) : run_exec(r);
                break;
        case EXECUTOR_WAIT:
                k = run_wait(r);
                break;
        default:
                k = -EOPNOTSUPP;
        }
        if (k >= 0)
                k = arm(r);
        if (k < 0)
                disarm(r);
        return k;
}

static int on_adopted_ended(sd_event_source *source, int fd, uint32_t revents, void *userdata) {
        StepRunner *r = ASSERT_PTR(userdata);
        _cleanup_free_ char *data = NULL, *text = NULL;
        int error, k;

        k = journal_read_result(r->gpu->host->run_dir, r->job, r->number, &data, &error, &text);
        if (k < 0)
                finish(r, RUN_LOST, -EPIPE, "the worker process ended in the middle of it", "", 0);
        else
                finish(r, RUN_DONE, -error, text, data, strlen(data));
        return 0;
}

int step_runner_adopt(StepRunner *r, uint32_t pid, uint64_t start, unsigned number, const Step *step) {
        uint64_t now_start;
        int k;

        /* The pidfd first: after it the start time cannot be of a process that took over the number. */
        r->pidfd = RET_NERRNO((int) syscall(SYS_pidfd_open, pid, 0));
        if (r->pidfd < 0)
                return r->pidfd;
        k = process_start_time(pid, &now_start);
        if (k < 0 || now_start != start) {
                disarm(r);
                return k < 0 ? k : -ESRCH;
        }
        r->step = step;
        r->number = number;
        k = sd_event_add_io(r->gpu->host->event, &r->adopted, r->pidfd, EPOLLIN, on_adopted_ended, r);
        if (k >= 0)
                k = arm(r);
        if (k < 0)
                disarm(r);
        return k;
}

bool step_runner_cancel_wait(StepRunner *r) {
        if (!r->step || verb_info(r->step->verb)->executor != EXECUTOR_WAIT)
                return false;
        finish(r, RUN_DONE, -ECANCELED, "it was cancelled", "", 0);
        return true;
}

int step_runner_new(Gpu *g, unsigned job, run_handler_t handler, save_handler_t save, void *userdata,
                    StepRunner **ret) {
        StepRunner *r = calloc(1, sizeof(StepRunner));

        if (!r)
                return -ENOMEM;
        *r = (StepRunner) {
                .gpu = g, .job = job, .handler = handler, .save = save, .userdata = userdata, .pidfd = -EBADF,
        };
        *ret = r;
        return 0;
}

StepRunner *step_runner_free(StepRunner *r) {
        if (!r)
                return NULL;
        disarm(r);
        worker_free(r->worker);
        holders_free(r->shown);
        free(r);
        return NULL;
}
