/* SPDX-License-Identifier: GPL-2.0-or-later */

/* fs: small files in, small files out. Non-logging. */

#include "util/fs.h"

#include <limits.h>
#include <sys/stat.h>
#include <systemd/sd-id128.h>

#define LINE_MAX_SIZE 4095U

int read_file_at(int dir_fd, const char *path, size_t max, char **ret, size_t *ret_size) {
        _cleanup_free_ char *buf = NULL;
        _cleanup_close_ int fd = -EBADF;
        size_t n = 0, allocated = MIN(max, (size_t) 4096) + 1;
        struct stat st;

        /* O_NONBLOCK: a FIFO that somebody put in the place of a file must not block the daemon. */
        fd = RET_NERRNO(openat(dir_fd, path, O_RDONLY | O_CLOEXEC | O_NOCTTY | O_NONBLOCK));
        if (fd < 0)
                return fd;
        if (fstat(fd, &st) < 0)
                return -errno;
        if (S_ISDIR(st.st_mode))
                return -EISDIR;
        if (!S_ISREG(st.st_mode))
                return -ENXIO;
        buf = malloc(allocated);
        if (!buf)
                return -ENOMEM;

        for (;;) {
                ssize_t k;

                if (n + 1 >= allocated) {
                        char *bigger;

                        if (n > max)
                                return -EFBIG;
                        allocated = MIN(allocated * 2, max + 2);
                        bigger = realloc(buf, allocated);
                        if (!bigger)
                                return -ENOMEM;
                        buf = bigger;
                }
                k = read(fd, buf + n, allocated - n - 1);
                if (k < 0 && errno == EINTR)
                        continue;
                if (k < 0)
                        return -errno;
                if (k == 0)
                        break;
                n += (size_t) k;
                if (n > max)
                        return -EFBIG;
        }
        buf[n] = '\0';
        *ret = TAKE_PTR(buf);
        if (ret_size)
                *ret_size = n;
        return 0;
}

/* Attributes are read by the thousand: no more system calls than it takes. Not fstat(): what is no file has no line. */
int read_line_at(int dir_fd, const char *path, char **ret) {
        _cleanup_close_ int fd = -EBADF;
        char buf[LINE_MAX_SIZE + 1];
        size_t n = 0;
        char *line;

        fd = RET_NERRNO(openat(dir_fd, path, O_RDONLY | O_CLOEXEC | O_NOCTTY | O_NONBLOCK));
        if (fd < 0)
                return fd;
        while (!memchr(buf, '\n', n)) {
                ssize_t k = read(fd, buf + n, sizeof(buf) - n);

                if (k < 0 && errno == EINTR)
                        continue;
                if (k < 0)
                        return -errno;
                if (k == 0)
                        break;
                n += (size_t) k;
                if (n == sizeof(buf) && !memchr(buf, '\n', n))
                        return -EFBIG;
        }
        line = strndup(buf, (size_t) ((char *) (memchr(buf, '\n', n) ?: buf + n) - buf));
        if (!line)
                return -ENOMEM;
        *ret = line;
        return 0;
}

int write_attribute_at(int dir_fd, const char *path, const char *value) {
        _cleanup_close_ int fd = -EBADF;
        size_t size = strlen(value);
        ssize_t k;

        fd = RET_NERRNO(openat(dir_fd, path, O_WRONLY | O_CLOEXEC | O_NOCTTY));
        if (fd < 0)
                return fd;
        k = write(fd, value, size);
        if (k < 0)
                return -errno;
        return (size_t) k == size ? 0 : -EIO;
}

static int write_all(int fd, const char *data, size_t size) {
        while (size > 0) {
                ssize_t k = write(fd, data, size);

                if (k < 0 && errno == EINTR)
                        continue;
                if (k < 0)
                        return -errno;
                data += k;
                size -= (size_t) k;
        }
        return 0;
}

int write_file_atomic(const char *path, const char *data, size_t size) {
        _cleanup_close_ int fd = -EBADF;
        char temporary[PATH_MAX];
        int r;

        if (snprintf(temporary, sizeof(temporary), "%s.XXXXXX", path) >= (int) sizeof(temporary))
                return -ENAMETOOLONG;
        fd = RET_NERRNO(mkostemp(temporary, O_CLOEXEC));
        if (fd < 0)
                return fd;
        r = write_all(fd, data, size);
        if (r >= 0)
                r = RET_NERRNO(fsync(fd));
        if (r >= 0)
                r = RET_NERRNO(rename(temporary, path));
        if (r < 0)
                (void) unlink(temporary);
        return r;
}

int readlink_base_at(int dir_fd, const char *path, char **ret) {
        char target[PATH_MAX];
        const char *slash;
        char *copy;
        ssize_t k;

        k = readlinkat(dir_fd, path, target, sizeof(target) - 1);
        if (k < 0)
                return -errno;
        target[k] = '\0';
        slash = strrchr(target, '/');
        copy = strdup(slash ? slash + 1 : target);
        if (!copy)
                return -ENOMEM;
        *ret = copy;
        return 0;
}

int boot_id(char ret[static 33]) {
        sd_id128_t id;
        int r;

        r = sd_id128_get_boot(&id);
        if (r < 0)
                return r;
        sd_id128_to_string(id, ret);
        return 0;
}
