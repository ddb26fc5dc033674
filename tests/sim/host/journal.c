/* SPDX-License-Identifier: GPL-2.0-or-later */

/* journal: see journal.h. Nobody but systemd's own programs writes journal files: systemd-journal-remote does it from the
 * export format (systemd's JOURNAL_EXPORT_FORMATS) on its standard input, and each entry can be read as soon as its empty
 * line has been sent. It is started by the first line, so a machine that says nothing costs nothing. */

#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <systemd/sd-id128.h>
#include <time.h>
#include <unistd.h>

#include "host/journal.h"
#include "model/model.h"
#include "util/cleanup.h"

#define JOURNAL_ROOT "/run/log/journal"

static int feed_fd = -EBADF;
static bool lost; /* the writer has ended, and has said why */

static char *directory(void) {
        sd_id128_t id = {};

        (void) sd_id128_get_machine(&id);
        return g_strdup_printf(JOURNAL_ROOT "/" SD_ID128_FORMAT_STR, SD_ID128_FORMAT_VAL(id));
}

static void exec_writer(int fd) {
        static const char *const programs[] = {
                "/lib/systemd/systemd-journal-remote", "/usr/lib/systemd/systemd-journal-remote",
        };
        g_autofree char *where = directory();
        g_autofree char *option = g_strdup_printf("--output=%s/system.journal", where);
        int null, errors;
        sigset_t none;

        /* No death signal: it would be that of the thread which printed the first line. The end of its input ends it. */
        (void) sigemptyset(&none);
        (void) sigprocmask(SIG_SETMASK, &none, NULL);
        (void) dup2(fd, STDIN_FILENO);
        errors = fcntl(STDERR_FILENO, F_DUPFD_CLOEXEC, 3);
        null = open("/dev/null", O_WRONLY | O_CLOEXEC);
        if (null >= 0) {
                (void) dup2(null, STDOUT_FILENO);
                (void) dup2(null, STDERR_FILENO); /* it tells how many lines it has written */
        }
        for (size_t i = 0; i < ELEMENTSOF(programs); i++)
                (void) execl(programs[i], programs[i], "--split-mode=none", "--compress=no", option, "-", NULL);
        (void) dprintf(errors, "gpuptd-sim: systemd-journal-remote: %s\n", strerror(errno));
        _exit(EXIT_FAILURE);
}

static int writer_start(void) {
        int fds[2];
        pid_t pid;

        if (pipe2(fds, O_CLOEXEC) < 0)
                return -errno;
        pid = fork();
        if (pid < 0)
                return -errno;
        if (pid == 0)
                exec_writer(fds[0]);
        (void) close(fds[0]);
        feed_fd = fds[1];
        return 0;
}

static uint64_t now_usec(clockid_t clock) {
        struct timespec t;

        (void) clock_gettime(clock, &t);
        return (uint64_t) t.tv_sec * 1000000U + (uint64_t) t.tv_nsec / 1000U;
}

/* journald gives a line of a device its name in udev's form: dev_kmsg_record() in journald-kmsg.c. */
static void on_line(const Device *d, int priority, const char *line) {
        g_autoptr(GString) entry = g_string_new(NULL);
        uint64_t monotonic = now_usec(CLOCK_MONOTONIC);
        sd_id128_t boot = {};

        if (lost || (feed_fd < 0 && writer_start() < 0))
                return;
        (void) sd_id128_get_boot(&boot);
        g_string_append_printf(entry, "__REALTIME_TIMESTAMP=%" G_GUINT64_FORMAT "\n"
                               "__MONOTONIC_TIMESTAMP=%" G_GUINT64_FORMAT "\n_BOOT_ID=" SD_ID128_FORMAT_STR "\n_SOURCE_MONOTONIC_TIMESTAMP=%" G_GUINT64_FORMAT "\n"
                               "_TRANSPORT=kernel\nSYSLOG_FACILITY=0\nSYSLOG_IDENTIFIER=kernel\nPRIORITY=%d\n",
                               now_usec(CLOCK_REALTIME), monotonic, SD_ID128_FORMAT_VAL(boot), monotonic, priority);
        if (d)
                g_string_append_printf(entry, "_KERNEL_SUBSYSTEM=pci\n_KERNEL_DEVICE=+pci:%s\n", d->address);
        g_string_append_printf(entry, "MESSAGE=%s\n\n", line);
        lost = write(feed_fd, entry->str, entry->len) < 0;
        if (lost)
                g_printerr("gpuptd-sim: there is no journal of the kernel's lines: %s\n", strerror(errno));
}

int journal_start(void) {
        g_autofree char *where = directory();

        if (g_mkdir_with_parents(where, 0755) < 0)
                return -errno;
        kernel_log_init(on_line);
        return 0;
}
