/* SPDX-License-Identifier: GPL-2.0-or-later */

/* namespaces: see namespaces.h. Nothing of the host is written to: directories that it lacks (/lib/modules in a container)
 * are made in a tmpfs that stands in for their parent and shows everything else of it by bind mounts. */

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <glib.h>
#include <sched.h>
#include <stdio.h>
#include <string.h>
#include <sys/mount.h>
#include <sys/prctl.h>
#include <sys/stat.h>
#include <sys/utsname.h>
#include <sys/wait.h>
#include <unistd.h>

#include "namespaces.h"
#include "util/cleanup.h"

#define IDS 65536U
#define STAGE "/run/.stage"

static bool entered;

/* Where a machine gets a tmpfs of its own, besides /run, /dev and /sys. */
static const char *const private_directories[] = {
        "/usr/lib/modules", "/usr/lib/gpuptd", "/etc/X11", "/etc/gpuptd", "/etc/systemd/system", "/etc/udev/rules.d",
        "/var/lib/gpuptd",
};

static int write_text(const char *path, const char *text) {
        _cleanup_close_ int fd = open(path, O_WRONLY | O_CLOEXEC);

        if (fd < 0)
                return -errno;
        return write(fd, text, strlen(text)) < 0 ? -errno : 0;
}

static int mount_tmpfs(const char *path, const char *options) {
        return RET_NERRNO(mount("tmpfs", path, "tmpfs", MS_NOSUID | MS_NODEV, options));
}

static int bind_mount(const char *from, const char *to) {
        return RET_NERRNO(mount(from, to, "none", MS_BIND | MS_REC, NULL));
}

static int touch(const char *path) {
        _cleanup_close_ int fd = open(path, O_WRONLY | O_CREAT | O_CLOEXEC, 0644);

        return fd < 0 ? -errno : 0;
}

/* The ids of another user than one's own can only be mapped from outside, by a process with the right to do so: a child
 * that was forked before. */
static int map_ids_from_outside(pid_t pid, int ready_fd) {
        static const char *const files[] = { "uid_map", "gid_map" };
        g_autofree char *map = g_strdup_printf("0 0 %u", IDS);
        char byte;
        int r;

        if (read(ready_fd, &byte, 1) != 1)
                return -EPIPE;
        for (size_t i = 0; i < ELEMENTSOF(files); i++) {
                g_autofree char *path = g_strdup_printf("/proc/%d/%s", pid, files[i]);

                r = write_text(path, map);
                if (r < 0)
                        return r;
        }
        return 0;
}

static int enter_as_root(int flags) {
        pid_t self = getpid(), helper;
        int fds[2], status, r;

        if (pipe2(fds, O_CLOEXEC) < 0)
                return -errno;
        helper = fork();
        if (helper < 0)
                return -errno;
        if (helper == 0) {
                (void) close(fds[1]);
                _exit(map_ids_from_outside(self, fds[0]) < 0 ? EXIT_FAILURE : EXIT_SUCCESS);
        }
        (void) close(fds[0]);
        r = RET_NERRNO(unshare(flags));
        if (r == 0)
                r = write(fds[1], "x", 1) == 1 ? 0 : -EIO;
        (void) close(fds[1]);
        (void) waitpid(helper, &status, 0);
        if (r == 0 && (!WIFEXITED(status) || WEXITSTATUS(status) != EXIT_SUCCESS))
                r = -EPERM;
        return r;
}

static int enter_as_user(int flags) {
        g_autofree char *uid_map = g_strdup_printf("0 %u 1", geteuid());
        g_autofree char *gid_map = g_strdup_printf("0 %u 1", getegid());
        int r;

        r = RET_NERRNO(unshare(flags));
        if (r == 0)
                r = write_text("/proc/self/uid_map", uid_map);
        if (r == 0)
                r = write_text("/proc/self/setgroups", "deny");
        if (r == 0)
                r = write_text("/proc/self/gid_map", gid_map);
        return r;
}

/* One entry of a directory that a tmpfs stands in for. */
static int mirror_entry(const char *parent, const char *name, unsigned char type) {
        g_autofree char *from = g_build_filename(parent, name, NULL), *to = g_build_filename(STAGE, name, NULL);
        g_autofree char *target = NULL;

        switch (type) {
        case DT_LNK:
                target = g_file_read_link(from, NULL);
                return target ? RET_NERRNO(symlink(target, to)) : 0;
        case DT_DIR:
                if (mkdir(to, 0755) < 0)
                        return -errno;
                return bind_mount(from, to);
        case DT_REG:
                (void) touch(to);
                return bind_mount(from, to);
        default:
                return 0;
        }
}

static int mirror(const char *parent) {
        _cleanup_closedir_ DIR *dir = opendir(parent);
        struct dirent *entry;
        int r;

        if (!dir)
                return -errno;
        if (mkdir(STAGE, 0755) < 0 && errno != EEXIST)
                return -errno;
        r = mount_tmpfs(STAGE, "mode=755");
        if (r < 0)
                return r;
        while ((entry = readdir(dir))) {
                if (streq(entry->d_name, ".") || streq(entry->d_name, ".."))
                        continue;
                r = mirror_entry(parent, entry->d_name, entry->d_type);
                if (r < 0)
                        return r;
        }
        return RET_NERRNO(mount(STAGE, parent, "none", MS_MOVE, NULL));
}

static int mountpoint_ensure(const char *path) {
        g_autofree char *parent = g_path_get_dirname(path);
        struct stat st;
        int r;

        if (stat(path, &st) == 0)
                return 0;
        r = mountpoint_ensure(parent);
        if (r >= 0)
                r = mirror(parent);
        if (r < 0)
                return r;
        return RET_NERRNO(mkdir(path, 0755));
}

static int prepare_mounts(const char **ret_reason) {
        int r;

        if (mount("none", "/", "none", MS_REC | MS_PRIVATE, NULL) < 0) {
                *ret_reason = "mounts cannot be made private";
                return -errno;
        }
        r = mount_tmpfs("/run", "mode=755");
        for (size_t i = 0; r >= 0 && i < ELEMENTSOF(private_directories); i++)
                r = mountpoint_ensure(private_directories[i]);
        if (r < 0)
                *ret_reason = "a tmpfs cannot be mounted";
        return r;
}

int namespaces_enter(const char **ret_reason) {
        const int flags = CLONE_NEWUSER | CLONE_NEWNS | CLONE_NEWNET;
        int r;

        if (entered)
                return 0;
        if (access("/dev/fuse", R_OK | W_OK) < 0) {
                *ret_reason = "/dev/fuse cannot be opened for reading and writing";
                return -errno;
        }
        r = geteuid() == 0 ? enter_as_root(flags) : enter_as_user(flags);
        if (r < 0) {
                *ret_reason = "this system refuses user namespaces (a container's seccomp profile, or AppArmor)";
                return r;
        }
        /* What leaves its parent becomes our child and can be ended with the machine. */
        (void) prctl(PR_SET_CHILD_SUBREAPER, 1);
        (void) prctl(PR_SET_DUMPABLE, 1); /* cleared by unshare(); /proc/self would belong to nobody */
        r = prepare_mounts(ret_reason);
        if (r < 0)
                return r;
        entered = true;
        return 0;
}

bool namespaces_entered(void) {
        return entered;
}

bool namespaces_have_users(void) {
        g_autofree char *map = NULL;
        unsigned inside, outside, count;

        if (!g_file_get_contents("/proc/self/uid_map", &map, NULL, NULL))
                return false;
        return sscanf(map, "%u %u %u", &inside, &outside, &count) == 3 && count > 1000;
}

/* A /dev of our own, with the few nodes of the host that every program needs. */
static int mount_dev(void) {
        static const char *const nodes[] = { "null", "zero", "full", "random", "urandom", "tty", "fuse", "ptmx" };
        static const char *const directories[] = { "pts", "shm" };
        static const char *const links[][2] = {
                { "/proc/self/fd", STAGE "/fd" },
                { "/proc/self/fd/0", STAGE "/stdin" },
                { "/proc/self/fd/1", STAGE "/stdout" },
                { "/proc/self/fd/2", STAGE "/stderr" },
        };
        int r;

        if (mkdir(STAGE, 0755) < 0 && errno != EEXIST)
                return -errno;
        r = mount_tmpfs(STAGE, "mode=755");
        for (size_t i = 0; r >= 0 && i < ELEMENTSOF(nodes); i++) {
                g_autofree char *from = g_build_filename("/dev", nodes[i], NULL);
                g_autofree char *to = g_build_filename(STAGE, nodes[i], NULL);

                if (access(from, F_OK) < 0)
                        continue;
                r = touch(to);
                if (r >= 0)
                        r = bind_mount(from, to);
        }
        for (size_t i = 0; r >= 0 && i < ELEMENTSOF(directories); i++) {
                g_autofree char *from = g_build_filename("/dev", directories[i], NULL);
                g_autofree char *to = g_build_filename(STAGE, directories[i], NULL);

                if (mkdir(to, 0755) < 0)
                        return -errno;
                if (access(from, F_OK) == 0)
                        r = bind_mount(from, to);
        }
        for (size_t i = 0; r >= 0 && i < ELEMENTSOF(links); i++)
                r = RET_NERRNO(symlink(links[i][0], links[i][1]));
        if (r >= 0)
                r = touch(STAGE "/vga_arbiter"); /* where the machine's own goes: machine_mount_elsewhere() */
        return r < 0 ? r : RET_NERRNO(mount(STAGE, "/dev", "none", MS_MOVE, NULL));
}

/* What programs look for below /run: udev (whose clients join no group without its control file), systemd, D-Bus. */
static int populate_run(void) {
        static const char *const directories[] = {
                "/run/udev", "/run/udev/data", "/run/dbus", "/run/systemd", "/run/systemd/system",
                "/run/systemd/inhibit", "/run/systemd/sessions", "/run/systemd/seats", "/run/systemd/users",
                "/run/systemd/machines", "/run/lock", "/run/gpuptd-sim", "/run/gpuptd-sim/cgroup",
        };

        for (size_t i = 0; i < ELEMENTSOF(directories); i++)
                if (mkdir(directories[i], 0755) < 0)
                        return -errno;
        if (access("/sys/fs/cgroup", F_OK) == 0)
                (void) bind_mount("/sys/fs/cgroup", "/run/gpuptd-sim/cgroup");
        return touch("/run/udev/control");
}

int machine_mounts(void) {
        g_autofree char *release = NULL;
        struct utsname host;
        int r;

        r = mount_tmpfs("/run", "mode=755");
        if (r >= 0)
                r = populate_run();
        if (r >= 0)
                r = mount_dev();
        for (size_t i = 0; r >= 0 && i < ELEMENTSOF(private_directories); i++)
                r = mount_tmpfs(private_directories[i], "mode=755");
        if (r >= 0 && access("/var/log/journal", F_OK) == 0)
                r = mount_tmpfs("/var/log/journal", "mode=755"); /* the host's */
        if (r >= 0)
                r = mount_tmpfs("/proc/driver", "mode=755"); /* where NVIDIA's driver says the number of a card */
        if (r < 0)
                return r;
        (void) uname(&host);
        release = g_build_filename("/usr/lib/modules", host.release, NULL);
        return RET_NERRNO(mkdir(release, 0755));
}

/* In a container without ACPI there is nowhere to put the first. */
int machine_mount_elsewhere(void) {
        if (access("/proc/acpi", F_OK) == 0 &&
            mount("/sys/.elsewhere/acpi", "/proc/acpi", "none", MS_BIND, NULL) < 0)
                return -errno;
        return RET_NERRNO(mount("/sys/.elsewhere/dev/vga_arbiter", "/dev/vga_arbiter", "none", MS_BIND, NULL));
}

int machine_mount_cgroups(void) {
        return RET_NERRNO(mount("/run/gpuptd-sim/cgroup", "/sys/fs/cgroup", "none", MS_MOVE, NULL));
}

void machine_unmounts(void) {
        (void) umount2("/proc/acpi", MNT_DETACH);
        (void) umount2("/sys", MNT_DETACH);
        for (size_t i = 0; i < ELEMENTSOF(private_directories); i++)
                (void) umount2(private_directories[i], MNT_DETACH);
        (void) umount2("/proc/driver", MNT_DETACH);
        (void) umount2("/var/log/journal", MNT_DETACH);
        (void) umount2("/dev", MNT_DETACH);
        (void) umount2("/run", MNT_DETACH);
}
