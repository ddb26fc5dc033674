/* SPDX-License-Identifier: GPL-2.0-or-later */

/* end: asks a process to end and then makes it. Which one it may be is for the daemon to decide; only PID 1 and those
 * that this step needs are refused here. */

#include "worker/end.h"

#include <poll.h>
#include <signal.h>
#include <sys/pidfd.h>

#include "util/fs.h"
#include "util/words.h"

#define GRACE_MAX_SEC 60U
#define KILL_TIMEOUT_SEC 5U
#define START_FIELD 22

int process_start_time(uint32_t pid, uint64_t *ret) {
        _cleanup_free_ char *line = NULL;
        char path[32], *save = NULL, *field;
        int r;

        (void) snprintf(path, sizeof(path), "/proc/%u/stat", pid);
        r = read_file_at(AT_FDCWD, path, 4095, &line, NULL);
        if (r < 0)
                return r == -ENOENT ? -ESRCH : r;
        /* The command in field 2 may contain anything, also closing parentheses and (measured on 6.18) newlines. */
        field = strrchr(line, ')');
        if (!field)
                return -EBADMSG;
        field = strtok_r(field + 1, " ", &save);
        for (unsigned i = 3; field && i < START_FIELD; i++)
                field = strtok_r(NULL, " ", &save);
        return field && parse_u64(field, UINT64_MAX, ret) >= 0 ? 0 : -EBADMSG;
}

/* 1 if the process has ended, 0 if the time is over. */
static int wait_end(int pidfd, uint64_t seconds) {
        uint64_t deadline = monotonic_usec() + seconds * USEC_PER_SEC;

        for (;;) {
                struct pollfd p = { .fd = pidfd, .events = POLLIN };
                uint64_t now = monotonic_usec();
                int k = poll(&p, 1, now < deadline ? (int) ((deadline - now) / 1000 + 1) : 0);

                if (k < 0 && errno == EINTR)
                        continue;
                if (k < 0)
                        return -errno;
                if (k > 0 || now >= deadline)
                        return k > 0;
        }
}

/* 1 if it has ended. */
static int signal_and_wait(Work *w, int pidfd, int signal_number, uint64_t seconds) {
        int r;

        if (pidfd_send_signal(pidfd, signal_number, NULL, 0) < 0)
                return errno == ESRCH ? 1 : work_fail(w, -errno, "sending a signal to process %s", w->target);
        r = wait_end(pidfd, seconds);
        return r < 0 ? work_fail(w, r, "waiting for the end of process %s", w->target) : r;
}

int verb_end(Work *w) {
        _cleanup_close_ int pidfd = -EBADF;
        uint64_t pid, start, seconds, started;
        int r;

        if (parse_u64(w->target, INT32_MAX, &pid) < 0 || pid == 0 ||
            parse_u64(w->arguments[0], UINT64_MAX, &start) < 0 ||
            parse_u64(w->arguments[1], GRACE_MAX_SEC, &seconds) < 0)
                return work_fail(w, -EINVAL, "'%s %s %s' is not a process, its start time and a time of at most 60 s",
                                 w->target, w->arguments[0], w->arguments[1]);
        if (pid == 1 || (pid_t) pid == getpid() || (pid_t) pid == getppid())
                return work_fail(w, -EPERM, "process %s is never ended", w->target);

        pidfd = pidfd_open((pid_t) pid, 0);
        if (pidfd < 0)
                return errno == ESRCH ? 0 : work_fail(w, -errno, "opening process %s", w->target);
        /* After the pidfd: what is read now is of the process that the pidfd holds, or of none. */
        r = process_start_time((uint32_t) pid, &started);
        if (r == -ESRCH || (r >= 0 && started != start))
                return 0;
        if (r < 0)
                return work_fail(w, r, "reading the start time of process %s", w->target);

        r = signal_and_wait(w, pidfd, SIGTERM, seconds);
        if (r == 0)
                r = signal_and_wait(w, pidfd, SIGKILL, KILL_TIMEOUT_SEC);
        if (r == 0)
                return work_fail(w, -ETIMEDOUT, "process %s does not end, not even when killed", w->target);
        return MIN(r, 0);
}
