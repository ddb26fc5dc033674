/* SPDX-License-Identifier: GPL-2.0-or-later */

/* run: a GPU that is detached for as long as a command runs. The lease is ours alone: the command does not
 * inherit it, so it ends with us, however we end. */

#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <systemd/sd-event.h>

#include "client/gpu-choice.h"
#include "client/job-follow.h"
#include "client/plan.h"
#include "client/report.h"
#include "client/verbs.h"
#include "dbus/names.h"

/* As a shell has them. */
#define EXIT_NOT_EXECUTABLE 126
#define EXIT_NOT_FOUND 127
#define EXIT_BY_SIGNAL 128

#define LEASE_RETRY_USEC (USEC_PER_SEC / 2)

static const int forwarded_signals[] = { SIGINT, SIGTERM, SIGHUP, SIGQUIT, SIGUSR1, SIGUSR2 };

/* The command while it runs. */
typedef struct Command {
        const GpuChoice *gpu;
        sd_event *event;
        sd_event_source *lease, *retry; /* one of them is armed */
        pid_t pid;
        int lease_fd;               /* borrowed */
        bool lost;                  /* the lease is gone for good */
} Command;

static void command_done(Command *command) {
        sd_event_source_disable_unref(command->lease);
        sd_event_source_disable_unref(command->retry);
        sd_event_unref(command->event);
}

static _Noreturn void exec_command(char **argv, const sigset_t *mask) {
        int error;

        (void) sigprocmask(SIG_SETMASK, mask, NULL);
        (void) execvp(argv[0], argv);
        error = errno;
        report_note("Cannot run '%s': %s", argv[0], strerror(error));
        _exit(error == ENOENT ? EXIT_NOT_FOUND : EXIT_NOT_EXECUTABLE);
}

static int on_exit_of_command(_unused_ sd_event_source *s, const siginfo_t *si, void *userdata) {
        Command *command = ASSERT_PTR(userdata);

        command->pid = 0;
        return sd_event_exit(command->event,
                             si->si_code == CLD_EXITED ? si->si_status : EXIT_BY_SIGNAL + si->si_status);
}

/* What the terminal sends goes to the whole foreground group, and the command has it already. */
static int on_signal(_unused_ sd_event_source *s, const struct signalfd_siginfo *si, void *userdata) {
        Command *command = ASSERT_PTR(userdata);

        if (si->ssi_code != SI_KERNEL && command->pid > 0)
                (void) kill(command->pid, (int) si->ssi_signo);
        return 0;
}

static bool lease_has_ended(int fd) {
        struct stat st;

        /* gpuptd removes the FIFO of a lease that it ends, and keeps it over a restart. */
        return fstat(fd, &st) >= 0 && st.st_nlink == 0;
}

static int look_at_lease(Command *command);

static int on_lease_retry(_unused_ sd_event_source *s, _unused_ uint64_t usec, void *userdata) {
        Command *command = ASSERT_PTR(userdata);
        struct pollfd pollfd = { .fd = command->lease_fd };

        command->retry = sd_event_source_disable_unref(command->retry);
        if (poll(&pollfd, 1, 0) == 0)
                return sd_event_source_set_enabled(command->lease, SD_EVENT_ON);
        return look_at_lease(command);
}

/* The daemon's end is closed: for good, or for as long as it takes to restart. The pipe would wake us all the time
 * until then, so it is looked at now and then instead. */
static int look_at_lease(Command *command) {
        if (lease_has_ended(command->lease_fd)) {
                report_note("The lease of %s is gone: gpuptd took the GPU back. The command goes on.",
                            command->gpu->address);
                command->lost = true;
                return 0;
        }
        return sd_event_add_time_relative(command->event, &command->retry, CLOCK_MONOTONIC, LEASE_RETRY_USEC, 0,
                                          on_lease_retry, command);
}

static int on_lease(_unused_ sd_event_source *s, _unused_ int fd, _unused_ uint32_t events, void *userdata) {
        Command *command = ASSERT_PTR(userdata);
        int r;

        r = sd_event_source_set_enabled(command->lease, SD_EVENT_OFF);
        return r < 0 ? r : look_at_lease(command);
}

static int watch(Command *command, const sigset_t *old_mask, char **argv) {
        int r;

        r = sd_event_new(&command->event);
        for (size_t i = 0; r >= 0 && i < ELEMENTSOF(forwarded_signals); i++)
                r = sd_event_add_signal(command->event, NULL, forwarded_signals[i], on_signal, command);
        if (r >= 0) /* errors and hang-ups are reported without being asked for */
                r = sd_event_add_io(command->event, &command->lease, command->lease_fd, 0, on_lease, command);
        if (r < 0)
                return r;

        (void) fflush(stdout);
        command->pid = RET_NERRNO(fork());
        if (command->pid < 0)
                return command->pid;
        if (command->pid == 0)
                exec_command(argv, old_mask);

        r = sd_event_add_child(command->event, NULL, command->pid, WEXITED, on_exit_of_command, command);
        if (r >= 0)
                r = sd_event_loop(command->event);
        return r;
}

/* Runs the command to its end. Returns its exit status or negative errno; *ret_lost tells whether the lease
 * was lost. */
static int run_command(char **argv, const GpuChoice *gpu, int lease_fd, bool *ret_lost) {
        _cleanup_(command_done) Command command = { .gpu = gpu, .lease_fd = lease_fd };
        sigset_t mask, old_mask;
        int r;

        (void) sigemptyset(&mask);
        (void) sigaddset(&mask, SIGCHLD);
        for (size_t i = 0; i < ELEMENTSOF(forwarded_signals); i++)
                (void) sigaddset(&mask, forwarded_signals[i]);
        if (sigprocmask(SIG_BLOCK, &mask, &old_mask) < 0)
                return -errno;

        r = watch(&command, &old_mask, argv);
        (void) sigprocmask(SIG_SETMASK, &old_mask, NULL);
        *ret_lost = command.lost;
        return r;
}

static int acquire(const JobRequest *request, JobOutcome *ret) {
        _cleanup_(sd_bus_error_free) sd_bus_error error = SD_BUS_ERROR_NULL;
        _cleanup_(sd_bus_message_unrefp) sd_bus_message *m = NULL;
        Client *c = request->client;
        int r;

        r = client_new_call(c, request->gpu->path, GPUPT_GPU_INTERFACE, "Acquire", &m, &error);
        if (r < 0)
                return report_error(request->gpu->address, &error, r);
        r = options_append(c->options, m);
        if (r < 0)
                return report_usage("The value of an option is not valid UTF-8.");

        r = job_run(request, m, ret);
        return r != 0 ? r : (int) job_report(request, ret);
}

/* Gives the GPU back. The command's exit status is what counts in the end, so trouble here is only told. */
static void release(const JobRequest *detach, JobOutcome *lease) {
        _cleanup_(job_outcome_done) JobOutcome outcome = JOB_OUTCOME_NULL;
        JobRequest attach = *detach;
        int r;

        attach.operation = "attach";
        r = job_run_by_release(&attach, &lease->lease_fd, &outcome);
        if (r == 0)
                (void) job_report(&attach, &outcome);
        else if (r < 0)
                (void) report_error(attach.gpu->address, NULL, r);
}

int verb_run(Client *c, char **args) {
        _cleanup_(job_outcome_done) JobOutcome lease = JOB_OUTCOME_NULL;
        _cleanup_(gpu_choice_done) GpuChoice gpu = {};
        JobRequest request = {
                .client = c,
                .gpu = &gpu,
                .operation = "detach",
                .out = stderr, /* stdout is the command's */
                .block = true,
        };
        bool lost = false;
        int r, status;

        r = gpu_choose(c, args[0], "detach", &gpu);
        if (r != 0)
                return r;
        if (c->options->dry_run)
                return plan_show(c, &gpu, "detach");

        r = acquire(&request, &lease);
        if (r != 0)
                return r;
        status = run_command(c->options->command, &gpu, lease.lease_fd, &lost);
        if (!lost && c->options->block)
                release(&request, &lease);
        return status;
}
