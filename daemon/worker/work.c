/* SPDX-License-Identifier: GPL-2.0-or-later */

/* work: what every verb needs: the text of an error, checks of names, a bounded wait. */

#include "worker/work.h"

#include <stdarg.h>
#include <sys/stat.h>
#include <time.h>

#include "util/fs.h"
#include "worker/protocol.h"

#define WAIT_USEC 10000U

const char *const unit_directories[UNIT_DIRECTORIES] = {
        "/etc/systemd/system", "/run/systemd/system", "/usr/local/lib/systemd/system", "/usr/lib/systemd/system", "/lib/systemd/system",
};

int work_fail(Work *w, int error, const char *format, ...) {
        va_list ap;

        if (w->text)
                return error;
        va_start(ap, format);
        if (vasprintf(&w->text, format, ap) < 0)
                w->text = NULL;
        va_end(ap);
        return error;
}

int work_forgive(Work *w) {
        free(w->text);
        w->text = NULL;
        return 0;
}

bool name_valid(const char *s) {
        size_t n = strspn(s, "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789_.:-");

        return n > 0 && n <= 64 && !s[n] && !streq(s, ".") && !streq(s, "..");
}

bool numbered_name_valid(const char *s, const char *prefix) {
        const char *number = startswith(s, prefix);
        size_t n = number ? strspn(number, "0123456789") : 0;

        return n > 0 && n <= 6 && !number[n];
}

DIR *open_directory_at(int dir_fd, const char *path) {
        _cleanup_close_ int fd = -EBADF;
        DIR *dir;

        fd = openat(dir_fd, path, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
        dir = fd < 0 ? NULL : fdopendir(fd);
        if (dir)
                (void) TAKE_FD(fd);
        return dir;
}

bool is_device_node(mode_t mode) {
        return S_ISCHR(mode) || (S_ISREG(mode) && secure_getenv(ENV_PLAIN_NODES));
}

/* The kernel refuses extended attributes on an O_PATH fd (fs/xattr.c), but not through its magic link. */
int open_node(const char *path, char ret_proc_path[static 32]) {
        _cleanup_close_ int fd = -EBADF;
        struct stat st;

        fd = RET_NERRNO(open(path, O_PATH | O_NOFOLLOW | O_CLOEXEC));
        if (fd < 0)
                return fd;
        if (fstat(fd, &st) < 0)
                return -errno;
        if (!is_device_node(st.st_mode))
                return -ENXIO;
        (void) snprintf(ret_proc_path, 32, "/proc/self/fd/%i", fd);
        return TAKE_FD(fd);
}

uint64_t monotonic_usec(void) {
        struct timespec t;

        (void) clock_gettime(CLOCK_MONOTONIC, &t);
        return (uint64_t) t.tv_sec * USEC_PER_SEC + (uint64_t) t.tv_nsec / 1000;
}

bool wait_a_moment(uint64_t deadline) {
        if (monotonic_usec() >= deadline)
                return false;
        (void) usleep(WAIT_USEC);
        return true;
}
