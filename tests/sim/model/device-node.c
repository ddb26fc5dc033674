/* SPDX-License-Identifier: GPL-2.0-or-later */

/* device-node: the files in /dev, and who holds them. A node is a plain empty file on the machine's own tmpfs, made with
 * mknod(): an unprivileged namespace cannot have character devices, and a bind mount of /dev/null raises no inotify event
 * in the directory and would lead a test that sets an access control list to the host's real null device. So st_rdev is 0
 * here, and what identifies a node is its st_dev and st_ino.
 *
 * Holders are found in /proc, by inode; inotify says when it is worth a look, so that whoever waits for a holder to let
 * go wakes up at once. An open file that travels in a socket is not seen. */

#include <ctype.h>
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/inotify.h>
#include <sys/stat.h>
#include <sys/sysmacros.h>
#include <time.h>
#include <unistd.h>

#include "model/model.h"
#include "util/cleanup.h"

/* The kernel tells of an open before it puts the file into the process's table (fsnotify_open(), fd_install()): after an
 * event the scan is repeated for so long. */
#define SETTLE_MS 100U

static int inotify_fd = -EBADF;
static uint64_t unsettled_until; /* CLOCK_MONOTONIC, ms */
static dev_t tmpfs_device;

int device_nodes_init(void) {
        static const char *const directories[] = { "/dev", "/dev/dri", "/dev/snd", "/dev/vfio", "/dev/vfio/devices" };
        struct stat st;

        inotify_fd = inotify_init1(IN_CLOEXEC | IN_NONBLOCK);
        if (inotify_fd < 0)
                return -errno;
        if (stat("/dev", &st) < 0)
                return -errno;
        tmpfs_device = st.st_dev;
        for (size_t i = 0; i < ELEMENTSOF(directories); i++) {
                if (streq(directories[i], "/dev/vfio/devices") && machine.kernel < KERNEL_VFIO_CDEV)
                        continue;
                if (mkdir(directories[i], 0755) < 0 && errno != EEXIST)
                        return -errno;
                if (inotify_add_watch(inotify_fd, directories[i], IN_OPEN | IN_CLOSE | IN_ONLYDIR) < 0)
                        return -errno;
        }
        return inotify_fd;
}

static DeviceNode *find_inode(ino_t inode) {
        for (unsigned i = 0; i < machine.device_nodes->len; i++) {
                DeviceNode *n = g_ptr_array_index(machine.device_nodes, i);

                if (n->inode == inode)
                        return n;
        }
        return NULL;
}

static void count_holder(ino_t inode) {
        DeviceNode *n = find_inode(inode);

        if (n)
                n->holders++;
}

static void scan_fds(int proc_fd, const char *pid) {
        g_autofree char *path = g_strdup_printf("%s/fd", pid);
        _cleanup_closedir_ DIR *dir = NULL;
        struct dirent *entry;
        char link[64];
        struct stat st;
        ssize_t n;
        int fd;

        fd = openat(proc_fd, path, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
        if (fd < 0)
                return;
        dir = fdopendir(fd);
        if (!dir) {
                (void) close(fd);
                return;
        }
        while ((entry = readdir(dir))) {
                n = readlinkat(fd, entry->d_name, link, sizeof(link) - 1);
                if (n <= 0)
                        continue;
                link[n] = 0;
                /* Only nodes are looked at any closer: a stat() of a file below /sys would be a question to ourselves.
                 * In a private /dev of its own mount namespace a node may be shown without the "/dev". */
                if (!startswith(link, "/") || startswith(link, "/sys/") || startswith(link, "/proc/"))
                        continue;
                if (fstatat(fd, entry->d_name, &st, 0) == 0 && st.st_dev == tmpfs_device)
                        count_holder(st.st_ino);
        }
}

static void scan_maps(int proc_fd, const char *pid) {
        g_autofree char *path = g_strdup_printf("%s/maps", pid);
        _cleanup_fclose_ FILE *f = NULL;
        unsigned major, minor;
        unsigned long inode;
        char line[512];
        int fd;

        fd = openat(proc_fd, path, O_RDONLY | O_CLOEXEC);
        if (fd < 0)
                return;
        f = fdopen(fd, "re");
        if (!f) {
                (void) close(fd);
                return;
        }
        while (fgets(line, sizeof(line), f))
                if (sscanf(line, "%*s %*s %*s %x:%x %lu", &major, &minor, &inode) == 3 && inode != 0 &&
                    makedev(major, minor) == tmpfs_device)
                        count_holder(inode);
}

static void scan_processes(void) {
        _cleanup_closedir_ DIR *proc = opendir("/proc");
        struct dirent *entry;
        bool changed = false;

        if (!proc)
                return;
        for (unsigned i = 0; i < machine.device_nodes->len; i++)
                ((DeviceNode *) g_ptr_array_index(machine.device_nodes, i))->holders = 0;
        while ((entry = readdir(proc)))
                if (isdigit((unsigned char) entry->d_name[0])) {
                        scan_fds(dirfd(proc), entry->d_name);
                        scan_maps(dirfd(proc), entry->d_name);
                        changed = true;
                }
        if (changed)
                machine_changed();
}

static uint64_t now_ms(void) {
        struct timespec now;

        (void) clock_gettime(CLOCK_MONOTONIC, &now);
        return (uint64_t) now.tv_sec * 1000 + (uint64_t) now.tv_nsec / 1000000;
}

void device_nodes_refresh(void) {
        char events[4096] __attribute__((aligned(8)));
        uint64_t now = now_ms();
        bool something = now < unsettled_until;

        while (read(inotify_fd, events, sizeof(events)) > 0) {
                something = true;
                unsettled_until = now + SETTLE_MS;
        }
        if (something)
                scan_processes();
}

bool device_nodes_settled(void) {
        return now_ms() >= unsettled_until;
}

DeviceNode *device_node_add(const char *path, mode_t mode, Device *d, Module *m) {
        DeviceNode *n = g_new(DeviceNode, 1);
        struct stat st = {};

        (void) unlink(path);
        if (mknod(path, S_IFREG | mode, 0) < 0 || chmod(path, mode) < 0 || stat(path, &st) < 0)
                g_error("cannot make %s: %s", path, strerror(errno));
        *n = (DeviceNode) {
                .path = g_strdup(path),
                .inode = st.st_ino,
                .device = d,
                .module = m,
                .linked = true,
        };
        g_ptr_array_add(machine.device_nodes, n);
        return n;
}

static void device_node_free(DeviceNode *n) {
        (void) g_ptr_array_remove(machine.device_nodes, n);
        g_free(n->path);
        g_free(n);
}

bool device_node_held(const DeviceNode *n) {
        return n->holders + n->kernel_users > 0;
}

/* Gone from /dev at once; known for as long as somebody holds it, because its driver may wait for that. */
void device_node_unlink(DeviceNode *n) {
        if (n->linked)
                (void) unlink(n->path);
        n->linked = false;
        device_nodes_refresh();
        if (!device_node_held(n))
                device_node_free(n);
}

DeviceNode *device_node_find(const char *path) {
        DeviceNode *found = NULL;

        for (unsigned i = 0; i < machine.device_nodes->len; i++) {
                DeviceNode *n = g_ptr_array_index(machine.device_nodes, i);

                if (streq(n->path, path) && (!found || n->linked))
                        found = n;
        }
        return found;
}

bool device_held(const Device *d) {
        device_nodes_refresh();
        for (unsigned i = 0; i < machine.device_nodes->len; i++) {
                const DeviceNode *n = g_ptr_array_index(machine.device_nodes, i);

                if (n->device == d && device_node_held(n))
                        return true;
        }
        return false;
}

/* What is gone from /dev and was held is of interest to nobody any more. */
void device_forget_nodes(const Device *d) {
        for (unsigned i = machine.device_nodes->len; i > 0; i--) {
                DeviceNode *n = g_ptr_array_index(machine.device_nodes, i - 1);

                if (n->device == d && !n->linked)
                        n->device = NULL;
        }
}
