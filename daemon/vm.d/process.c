/* SPDX-License-Identifier: GPL-2.0-or-later */

/* process: owns a pidfd. Trusts nothing of what the process says about itself. */

#include "vm.d/process.h"

#include <fcntl.h>
#include <limits.h>
#include <linux/openat2.h>
#include <poll.h>
#include <signal.h>
#include <sys/stat.h>
#include <sys/syscall.h>

#include "util/fs.h"
#include "util/words.h"
#include "vm.d/adapter.h"

#define COMMAND_LINE_MAX (2U * 1024U * 1024U)

/* Field 22 of /proc/PID/stat, counted behind the name, which may contain anything (fs/proc/array.c do_task_stat()). */
static int read_start(pid_t pid, uint64_t *ret) {
        _cleanup_free_ char *text = NULL;
        char path[32], *p, *save = NULL, *field;
        int r;

        (void) snprintf(path, sizeof(path), "/proc/%d/stat", pid);
        r = read_file_at(AT_FDCWD, path, 8192, &text, NULL);
        if (r < 0)
                return r == -ENOENT ? -ESRCH : r;
        p = strrchr(text, ')');
        field = p ? strtok_r(p + 1, " \n", &save) : NULL;
        if (!field)
                return -EPROTO;
        if (streq(field, "Z") || streq(field, "X"))
                return -ESRCH;
        for (unsigned i = 3; field && i < 22; i++)
                field = strtok_r(NULL, " \n", &save);
        return field && parse_u64(field, UINT64_MAX, ret) >= 0 ? 0 : -EPROTO;
}

int process_open(pid_t pid, Process *ret) {
        Process p = PROCESS_INIT;
        int r;

        p.pid = pid;
        p.pidfd = RET_NERRNO((int) syscall(SYS_pidfd_open, pid, 0));
        /* -EINVAL: a thread. */
        if (p.pidfd < 0)
                return p.pidfd == -EINVAL ? -ESRCH : p.pidfd;
        r = read_start(pid, &p.start);
        /* What was read is this process's as long as it has not ended since. */
        if (r >= 0 && process_wait(&p, 0) == 0)
                r = -ESRCH;
        if (r < 0) {
                process_close(&p);
                return r;
        }
        *ret = p;
        return 0;
}

int process_open_id(const char *id, Process *ret) {
        _cleanup_free_ char *number = NULL;
        const char *colon = strchr(id, ':');
        uint64_t pid, start;
        Process p;
        int r;

        number = colon ? strndup(id, (size_t) (colon - id)) : NULL;
        if (!number || parse_u64(number, INT32_MAX, &pid) < 0 || pid == 0 || parse_u64(colon + 1, UINT64_MAX, &start) < 0)
                return -EINVAL;
        r = process_open((pid_t) pid, &p);
        if (r < 0)
                return r;
        if (p.start != start) {
                process_close(&p);
                return -ESRCH;
        }
        *ret = p;
        return 0;
}

void process_close(Process *p) {
        p->pidfd = safe_close(p->pidfd);
}

void process_id(const Process *p, char ret[static PROCESS_ID_MAX]) {
        (void) snprintf(ret, PROCESS_ID_MAX, "%d:%llu", p->pid, (unsigned long long) p->start);
}

static bool is_qemu(const char *name) {
        return startswith(name, "qemu-system") || streq(name, "qemu-kvm") || streq(name, "kvm");
}

bool process_is_qemu(const Process *p) {
        _cleanup_free_ char *comm = NULL, *program = NULL;
        char path[32];

        (void) snprintf(path, sizeof(path), "/proc/%d/comm", p->pid);
        if (read_line_at(AT_FDCWD, path, &comm) >= 0 && is_qemu(comm))
                return true;
        (void) snprintf(path, sizeof(path), "/proc/%d/exe", p->pid);
        return readlink_base_at(AT_FDCWD, path, &program) >= 0 && is_qemu(program);
}

int process_command_line(const Process *p, char **ret, size_t *ret_size) {
        char path[32];

        (void) snprintf(path, sizeof(path), "/proc/%d/cmdline", p->pid);
        return read_file_at(AT_FDCWD, path, COMMAND_LINE_MAX, ret, ret_size);
}

/* The target of /proc/PID/cwd or root, which both are seen from here. */
static int read_directory(pid_t pid, const char *name, char ret[static PATH_MAX]) {
        char link[32];
        ssize_t k;

        (void) snprintf(link, sizeof(link), "/proc/%d/%s", pid, name);
        k = readlink(link, ret, PATH_MAX - 1);
        if (k < 0)
                return -errno;
        ret[k] = '\0';
        return 0;
}

/* Makes the path one from the root of the process. */
static int make_absolute(pid_t pid, const char *path, char **ret) {
        char cwd[PATH_MAX], root[PATH_MAX];
        const char *below;
        int r;

        if (*path == '/') {
                *ret = strdup(path);
                return *ret ? 0 : -ENOMEM;
        }
        r = read_directory(pid, "cwd", cwd);
        if (r >= 0)
                r = read_directory(pid, "root", root);
        if (r < 0)
                return r;
        below = streq(root, "/") ? cwd : startswith(cwd, root);
        if (!below)
                return -ENOENT;
        return asprintf(ret, "%s/%s", below, path) < 0 ? -ENOMEM : 0;
}

int process_open_socket(const Process *p, const char *path) {
        const struct open_how how = { .flags = O_PATH | O_CLOEXEC, .resolve = RESOLVE_IN_ROOT | RESOLVE_NO_MAGICLINKS };
        _cleanup_free_ char *absolute = NULL;
        _cleanup_close_ int root = -EBADF, fd = -EBADF;
        char link[32];
        struct stat st;
        int r;

        r = make_absolute(p->pid, path, &absolute);
        if (r < 0)
                return r;
        (void) snprintf(link, sizeof(link), "/proc/%d/root", p->pid);
        root = RET_NERRNO(open(link, O_PATH | O_DIRECTORY | O_CLOEXEC));
        if (root < 0)
                return root;
        fd = RET_NERRNO((int) syscall(SYS_openat2, root, absolute, &how, sizeof(how)));
        if (fd < 0)
                return fd;
        if (fstat(fd, &st) < 0)
                return -errno;
        return S_ISSOCK(st.st_mode) ? TAKE_FD(fd) : -ENOTSOCK;
}

int process_wait(const Process *p, uint64_t deadline_usec) {
        struct pollfd poll_fd = { .fd = p->pidfd, .events = POLLIN };
        int r;

        do
                r = RET_NERRNO(poll(&poll_fd, 1, adapter_poll_msec(deadline_usec)));
        while (r == -EINTR);
        return r < 0 ? r : r == 0 ? -ETIMEDOUT : 0;
}

int process_kill(const Process *p) {
        return RET_NERRNO((int) syscall(SYS_pidfd_send_signal, p->pidfd, SIGKILL, NULL, 0));
}
