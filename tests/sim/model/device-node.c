/* SPDX-License-Identifier: GPL-2.0-or-later */

/* device-node: the files in /dev, and who holds them. A node is a plain empty file on the machine's own tmpfs, made with
 * mknod(): an unprivileged namespace cannot have character devices, and a bind mount of /dev/null raises no inotify event
 * in the directory and would lead a test that sets an access control list to the host's real null device. So st_rdev is 0
 * here, and what identifies a node is its st_dev and st_ino.
 *
 * Holders are found in /proc, by inode; inotify says when it is worth a look, so that whoever waits for a holder to let
 * go wakes up at once. An open file that travels in a socket is not seen. */

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/inotify.h>
#include <sys/stat.h>
#include <sys/sysmacros.h>
#include <unistd.h>

#include "model/model.h"
#include "util/cleanup.h"

/* The kernel tells of an open before it puts the file into the process's table (fsnotify_open(), fd_install()): after an
 * event there are so many more looks, some milliseconds apart. */
#define LOOKS 10U

static int inotify_fd = -EBADF;
static unsigned looks_left;
static bool counting;
static void (*call_again)(void);
static dev_t tmpfs_device;

int device_nodes_init(void (*again)(void)) {
        static const char *const directories[] = { "/dev", "/dev/dri", "/dev/snd", "/dev/vfio", "/dev/vfio/devices" };
        struct stat st;

        call_again = again;
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
                n->found++;
}

/* False: the process may not be looked at. */
static bool scan_fds(int proc_fd, const char *pid) {
        g_autofree char *path = g_strdup_printf("%s/fd", pid);
        _cleanup_closedir_ DIR *dir = NULL;
        struct dirent *entry;
        struct statx st;
        int fd;

        fd = openat(proc_fd, path, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
        if (fd < 0)
                return errno != EACCES;
        dir = fdopendir(fd);
        if (!dir) {
                (void) close(fd);
                return true;
        }
        while ((entry = readdir(dir)))
                /* Without a sync: of a file below /sys it would be a question to ourselves. */
                if (statx(fd, entry->d_name, AT_STATX_DONT_SYNC, STATX_INO, &st) < 0) {
                        if (errno == EACCES)
                                return false;
                } else if (makedev(st.stx_dev_major, st.stx_dev_minor) == tmpfs_device)
                        count_holder(st.stx_ino);
        return true;
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

/* False: a process that could be looked at before cannot be now. It is just executing another program, and what it holds
 * has to be found out later. */
static bool scan_processes(void) {
        static GHashTable *readable;
        g_autoptr(GHashTable) before = readable;
        _cleanup_closedir_ DIR *proc = opendir("/proc");
        struct dirent *entry;
        bool complete = true;

        readable = g_hash_table_new(g_direct_hash, g_direct_equal);
        while (proc && (entry = readdir(proc))) {
                gpointer pid = GINT_TO_POINTER(atoi(entry->d_name));

                if (!pid)
                        continue;
                if (scan_fds(dirfd(proc), entry->d_name)) {
                        (void) g_hash_table_add(readable, pid);
                        scan_maps(dirfd(proc), entry->d_name);
                } else if (before && g_hash_table_contains(before, pid)) {
                        (void) g_hash_table_add(readable, pid);
                        complete = false;
                }
        }
        return complete;
}

static void count_holders(void) {
        bool complete;

        counting = true; /* what follows from an open or a close asks who holds what */
        for (unsigned i = 0; i < machine.device_nodes->len; i++)
                ((DeviceNode *) g_ptr_array_index(machine.device_nodes, i))->found = 0;
        complete = scan_processes();
        for (unsigned i = 0; complete && i < machine.device_nodes->len; i++) {
                DeviceNode *n = g_ptr_array_index(machine.device_nodes, i);
                bool opened = n->holders == 0 && n->found > 0, closed = n->holders > 0 && n->found == 0;

                if (opened && startswith(n->path, "/dev/vfio/"))
                        vfio_node_opened(n);
                n->holders = n->found;
                if (closed && startswith(n->path, "/dev/vfio/"))
                        vfio_node_closed(n);
        }
        counting = false;
        if (!complete)
                looks_left = LOOKS;
        if (looks_left > 0)
                call_again();
        machine_changed();
}

void device_nodes_refresh(void) {
        char events[4096] __attribute__((aligned(8)));

        if (counting)
                return;
        while (read(inotify_fd, events, sizeof(events)) > 0)
                looks_left = LOOKS;
        if (looks_left > 0)
                count_holders();
}

void device_nodes_expect(void) {
        looks_left = LOOKS;
}

void device_nodes_look_again(void) {
        if (looks_left == 0)
                return;
        looks_left--;
        count_holders();
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
