/* SPDX-License-Identifier: GPL-2.0-or-later */

/* census: looks through every process for device nodes, by path and by device number: libvirt gives its machines nodes
 * of their own in a private /dev, containers may name them as they like. Nothing is opened, and no file system is asked
 * that might not answer; a process that waits in the kernel may still make /proc wait (its maps), so this runs in a
 * worker of its own. Not seen: a VFIO device that was passed on as a bare fd by someone who has closed the group. */

#include "worker/census.h"

#include <sys/stat.h>
#include <sys/sysmacros.h>

#include "holders.h"
#include "util/fs.h"
#include "worker/end.h"
#include "worker/logins.h"
#include "worker/owner.h"

#define LINK_MAX_SIZE 4096
#define FDINFO_SIZE 65536U
#define DELETED " (deleted)"
/* Larger than any line of maps: the fields before the path, and the path with its newlines escaped. */
#define MAPS_BUFFER_SIZE 65536

typedef struct Target {
        const char *path; /* weak */
        uint32_t major, minor; /* 0:0 is unknown */
        bool exists; /* then what stat() says of the path: */
        uint32_t fs_major, fs_minor;
        uint64_t inode;
        bool found; /* in the process that is looked at */
} Target;

typedef struct Census {
        Target *targets;
        size_t n;
        DIR *proc;
        pid_t self, daemon;
        Holders *holders;
} Census;

static void census_done(Census *c) {
        free(c->targets);
        if (c->proc)
                (void) closedir(c->proc);
        (void) holders_free(c->holders);
}

/* "226:0:/dev/dri/card0" */
static int parse_target(const char *word, Target *t) {
        char number[2][11] = {};
        const char *p = word;
        struct stat st;
        uint64_t v[2];

        for (size_t i = 0; i < 2; i++) {
                size_t n = strcspn(p, ":");

                if (p[n] != ':' || n >= sizeof(number[i]))
                        return -EINVAL;
                memcpy(number[i], p, n);
                if (parse_u64(number[i], UINT32_MAX, v + i) < 0)
                        return -EINVAL;
                p += n + 1;
        }
        if (!startswith(p, "/dev/"))
                return -EINVAL;
        *t = (Target) { .path = p, .major = (uint32_t) v[0], .minor = (uint32_t) v[1] };
        if (lstat(p, &st) >= 0 && is_device_node(st.st_mode)) {
                t->exists = true;
                t->fs_major = major(st.st_dev);
                t->fs_minor = minor(st.st_dev);
                t->inode = st.st_ino;
        }
        return 0;
}

/* A node that has gone while it was open has " (deleted)" behind its path: fs/d_path.c. */
static void cut_deleted(char *path, size_t size) {
        if (size > STRLEN(DELETED) && streq(path + size - STRLEN(DELETED), DELETED))
                path[size - STRLEN(DELETED)] = '\0';
}

static bool fd_matches(const Target *t, const struct statx *st, const char *path) {
        return streq(t->path, path) ||
               ((t->major != 0 || t->minor != 0) && st->stx_rdev_major == t->major && st->stx_rdev_minor == t->minor);
}

/* Such an fd is a name, and nothing is open: udev's workers have one of every new node (systemd, udev-node.c). */
static bool is_path_only(int process_fd, const char *fd_name) {
        _cleanup_free_ char *info = NULL;
        char path[STRLEN("fdinfo/") + 32];
        const char *flags;

        (void) snprintf(path, sizeof(path), "fdinfo/%.31s", fd_name);
        if (read_file_at(process_fd, path, FDINFO_SIZE, &info, NULL) < 0)
                return false;
        flags = strstr(info, "flags:");
        return flags && (strtoul(flags + STRLEN("flags:"), NULL, 8) & O_PATH);
}

/* One call per fd tells character devices from all the rest. AT_STATX_DONT_SYNC: a dead network or FUSE file system
 * must not hold the census. */
static void look_at_fd(Census *c, int process_fd, int fd_dir, const char *name) {
        char path[LINK_MAX_SIZE] = "";
        bool any = false;
        struct statx st;
        ssize_t k;

        if (statx(fd_dir, name, AT_STATX_DONT_SYNC | AT_NO_AUTOMOUNT, STATX_TYPE, &st) < 0 || !is_device_node(st.stx_mode))
                return;
        k = readlinkat(fd_dir, name, path, sizeof(path) - 1);
        if (k > 0) {
                path[k] = '\0';
                cut_deleted(path, (size_t) k);
        }
        for (size_t i = 0; i < c->n; i++)
                any = any || fd_matches(c->targets + i, &st, path);
        if (!any || is_path_only(process_fd, name))
                return;
        for (size_t i = 0; i < c->n; i++)
                c->targets[i].found = c->targets[i].found || fd_matches(c->targets + i, &st, path);
}

static void look_at_fds(Census *c, int process_fd) {
        _cleanup_closedir_ DIR *dir = NULL;

        dir = open_directory_at(process_fd, "fd");
        for (struct dirent *e; dir && (e = readdir(dir));)
                if (e->d_name[0] != '.')
                        look_at_fd(c, process_fd, dirfd(dir), e->d_name);
}

/* "7f1c…-7f1c… rw-s 00000000 00:05 123   /dev/dri/card0". Only what has a path is of interest. By hand, since a busy
 * process has thousands of these lines. */
static void look_at_mapping(Census *c, char *line) {
        unsigned long fs_major, fs_minor;
        unsigned long long inode;
        char *p = line, *path;

        path = strchr(line, '/');
        if (!path)
                return;
        for (size_t i = 0; p && i < 3; i++) {
                p = strchr(p, ' ');
                p = p ? p + 1 : NULL;
        }
        if (!p)
                return;
        fs_major = strtoul(p, &p, 16);
        if (*p != ':')
                return;
        fs_minor = strtoul(p + 1, &p, 16);
        inode = strtoull(p, &p, 10);
        cut_deleted(path, strlen(path));
        for (size_t i = 0; i < c->n; i++) {
                Target *t = c->targets + i;

                if (streq(t->path, path) ||
                    (t->exists && t->inode == inode && t->fs_major == fs_major && t->fs_minor == fs_minor))
                        t->found = true;
        }
}

/* A mapping outlives the fd that it was made from. */
static void look_at_maps(Census *c, int process_fd) {
        _cleanup_free_ char *buffer = NULL;
        _cleanup_close_ int fd = -EBADF;
        size_t filled = 0;

        fd = openat(process_fd, "maps", O_RDONLY | O_CLOEXEC);
        buffer = fd < 0 ? NULL : malloc(MAPS_BUFFER_SIZE);
        if (!buffer)
                return;
        for (;;) {
                ssize_t k = read(fd, buffer + filled, MAPS_BUFFER_SIZE - 1 - filled);
                char *line = buffer, *newline;

                if (k <= 0)
                        return;
                filled += (size_t) k;
                buffer[filled] = '\0';
                while ((newline = strchr(line, '\n'))) {
                        *newline = '\0';
                        look_at_mapping(c, line);
                        line = newline + 1;
                }
                filled -= (size_t) (line - buffer);
                memmove(buffer, line, filled);
        }
}

static int add_holder(Census *c, uint32_t pid, uint64_t start) {
        Holder *h;

        h = holders_add(c->holders, pid, start);
        if (!h)
                return -ENOMEM;
        for (size_t i = 0; i < c->n; i++)
                if (c->targets[i].found && strv_extend(&h->nodes, c->targets[i].path) < 0)
                        return -ENOMEM;
        return owner_find(h);
}

/* A process that vanishes, or that may not be looked at, is passed over. */
static int look_at_process(Census *c, const char *name) {
        _cleanup_close_ int fd = -EBADF;
        bool found = false, all = true;
        uint64_t pid, start;

        if (parse_u64(name, INT32_MAX, &pid) < 0 || (pid_t) pid == c->self || (pid_t) pid == c->daemon)
                return 0;
        fd = openat(dirfd(c->proc), name, O_PATH | O_DIRECTORY | O_CLOEXEC);
        if (fd < 0)
                return 0;
        for (size_t i = 0; i < c->n; i++)
                c->targets[i].found = false;
        look_at_fds(c, fd);
        for (size_t i = 0; i < c->n; i++)
                all = all && c->targets[i].found;
        if (!all)
                look_at_maps(c, fd);
        for (size_t i = 0; i < c->n; i++)
                found = found || c->targets[i].found;
        /* The start time is of the process whose directory is open only while that one lives: fs/proc/base.c. */
        if (!found || process_start_time((uint32_t) pid, &start) < 0 || faccessat(fd, "stat", F_OK, 0) < 0)
                return 0;
        return add_holder(c, (uint32_t) pid, start);
}

static int census_init(Work *w, Census *c) {
        if (!streq(w->target, "-"))
                return work_fail(w, -EINVAL, "'%s' is no target of a census", w->target);
        c->targets = calloc(w->n + 1, sizeof(Target));
        c->holders = holders_new();
        if (!c->targets || !c->holders)
                return -ENOMEM;
        for (; c->n < w->n; c->n++)
                if (parse_target(w->arguments[c->n], c->targets + c->n) < 0)
                        return work_fail(w, -EINVAL, "'%s' is not MAJOR:MINOR:PATH of a device node",
                                         w->arguments[c->n]);
        c->proc = opendir("/proc");
        if (!c->proc)
                return work_fail(w, -errno, "opening /proc");
        c->self = getpid();
        c->daemon = getppid();
        if (c->daemon == 1) /* it has died, and PID 1 is the one that inherits its children */
                c->daemon = 0;
        return 0;
}

int verb_census(Work *w) {
        _cleanup_(census_done) Census c = {};
        int r;

        r = census_init(w, &c);
        if (r < 0 || c.n == 0)
                return r;
        for (struct dirent *e; (e = readdir(c.proc));) {
                r = look_at_process(&c, e->d_name);
                if (r < 0)
                        return work_fail(w, r, "looking at process %s", e->d_name);
        }
        r = logins_find(c.holders);
        if (r < 0)
                return work_fail(w, r, "listing the sessions");
        holders_write(c.holders, w->answer);
        return 0;
}
