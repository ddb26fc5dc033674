/* SPDX-License-Identifier: GPL-2.0-or-later */

/* uses: looks at the block devices and network interfaces of the host by their links in /sys/class, which name every
 * function that they are below; that is one listing, and not a walk through every USB tree. */

#include "worker/uses.h"

#include <sys/stat.h>
#include <sys/sysmacros.h>

#include "util/fs.h"
#include "worker/work.h"

#define STACK_MAX 8       /* partition, RAID, LUKS, LVM … */
#define MOUNT_POINT_MAX 1024
#define TABLE_MAX (8U * 1024U * 1024U)

/* What /proc says is in use. */
typedef struct InUse {
        char *mounts, *swaps; /* text of mountinfo and swaps */
} InUse;

static void in_use_done(InUse *u) {
        free(u->mounts);
        free(u->swaps);
}

/* Displays, their audio and bridges have neither disks nor networks. */
static bool may_carry(const Function *f) {
        return f->detailed && !function_is_display(f) && !function_is_bridge(f) && !streq(function_role(f), "audio");
}

/* Whether the link's target passes through the function's directory. */
static bool is_below(const char *target, const Function *f) {
        const char *p = strstr(target, f->address);
        size_t n = strlen(f->address);

        return p && p > target && p[-1] == '/' && p[n] == '/';
}

/* Octal escapes, as mountinfo writes them: fs/proc_namespace.c mangle(). */
static void unmangle(char *s) {
        char *to = s;

        for (const char *from = s; *from; to++)
                if (from[0] == '\\' && from[1] >= '0' && from[1] <= '3' && from[2] >= '0' && from[2] <= '7' &&
                    from[3] >= '0' && from[3] <= '7') {
                        *to = (char) ((from[1] - '0') << 6 | (from[2] - '0') << 3 | (from[3] - '0'));
                        from += 4;
                } else
                        *to = *from++;
        *to = '\0';
}

static int add_mount(Function *f, const char *mount_point) {
        char copy[MOUNT_POINT_MAX];

        (void) snprintf(copy, sizeof(copy), "%s", mount_point);
        unmangle(copy);
        return strv_contains(f->mounted, copy) ? 0 : strv_extend(&f->mounted, copy);
}

/* "36 35 98:0 /root /mount/point options - type source options": by device number, and by source for btrfs, whose
 * numbers are its own. */
static int add_mounts(Function *f, const InUse *u, const char *dev, const char *node) {
        _cleanup_free_ char *text = NULL;
        char *save = NULL;
        int r = 0;

        text = strdup(strempty(u->mounts));
        if (!text)
                return -ENOMEM;
        for (char *line = strtok_r(text, "\n", &save); line && r >= 0; line = strtok_r(NULL, "\n", &save)) {
                char *words = NULL, *fields[5] = {}, *tail = strstr(line, " - "), *source = NULL;

                if (tail) {
                        *tail = '\0';
                        source = strchr(tail + 3, ' ');
                }
                for (size_t i = 0; i < ELEMENTSOF(fields); i++)
                        fields[i] = strtok_r(i == 0 ? line : NULL, " ", &words);
                if (source) {
                        source++;
                        source[strcspn(source, " ")] = '\0';
                }
                if (fields[4] && (streq(fields[2], dev) || streq_ptr(source, node)))
                        r = add_mount(f, fields[4]);
        }
        return r;
}

/* The first column of /proc/swaps is a path, which may be an alias of the device. */
static int add_swaps(Function *f, const InUse *u, const char *dev) {
        _cleanup_free_ char *text = NULL;
        char *save = NULL, number[32];
        struct stat st;

        text = strdup(strempty(u->swaps));
        if (!text)
                return -ENOMEM;
        for (char *line = strtok_r(text, "\n", &save); line; line = strtok_r(NULL, "\n", &save)) {
                line[strcspn(line, " \t")] = '\0';
                unmangle(line);
                if (line[0] != '/' || stat(line, &st) < 0 || !S_ISBLK(st.st_mode))
                        continue;
                (void) snprintf(number, sizeof(number), "%u:%u", major(st.st_rdev), minor(st.st_rdev));
                if (streq(number, dev) && !strv_contains(f->mounted, "[swap]"))
                        return strv_extend(&f->mounted, "[swap]");
        }
        return 0;
}

/* A block device, and those that are built upon it. */
static int add_block(Function *f, const InUse *u, const char *name, unsigned depth) {
        char path[512], node[STRLEN("/dev/") + 256];
        _cleanup_closedir_ DIR *holders = NULL;
        _cleanup_free_ char *dev = NULL;
        int r;

        (void) snprintf(path, sizeof(path), "/sys/class/block/%.255s/dev", name);
        if (read_line_at(AT_FDCWD, path, &dev) < 0)
                return 0;
        (void) snprintf(node, sizeof(node), "/dev/%.255s", name);
        r = add_mounts(f, u, dev, node);
        if (r >= 0)
                r = add_swaps(f, u, dev);
        if (r < 0 || depth == 0)
                return r;

        (void) snprintf(path, sizeof(path), "/sys/class/block/%.255s/holders", name);
        holders = open_directory_at(AT_FDCWD, path);
        for (struct dirent *e; holders && r >= 0 && (e = readdir(holders));)
                if (e->d_name[0] != '.')
                        r = add_block(f, u, e->d_name, depth - 1);
        return r;
}

static int scan_blocks(Snapshot *s) {
        _cleanup_(in_use_done) InUse u = {};
        _cleanup_closedir_ DIR *dir = NULL;
        int r = 0;

        dir = open_directory_at(AT_FDCWD, "/sys/class/block");
        if (!dir)
                return 0;
        (void) read_file_at(AT_FDCWD, "/proc/self/mountinfo", TABLE_MAX, &u.mounts, NULL);
        (void) read_file_at(AT_FDCWD, "/proc/swaps", TABLE_MAX, &u.swaps, NULL);
        for (struct dirent *e; (e = readdir(dir));) {
                char target[4096];
                ssize_t k = readlinkat(dirfd(dir), e->d_name, target, sizeof(target) - 1);

                if (k < 0)
                        continue;
                target[k] = '\0';
                for (size_t i = 0; i < s->n_functions && r >= 0; i++)
                        if (may_carry(s->functions + i) && is_below(target, s->functions + i))
                                r = add_block(s->functions + i, &u, e->d_name, STACK_MAX);
                if (r < 0)
                        return r;
        }
        return 0;
}

/* "unknown" is said by drivers that do not follow the link, of interfaces that run (net/core/net-sysfs.c
 * operstate_show()). */
static bool is_up(int net_fd, const char *name) {
        char path[256 + STRLEN("/operstate")];
        _cleanup_free_ char *state = NULL;

        (void) snprintf(path, sizeof(path), "%s/operstate", name);
        return read_line_at(net_fd, path, &state) >= 0 && (streq(state, "up") || streq(state, "unknown"));
}

/* Every interface of the host that is up and not virtual; `target` says what it is below. */
typedef struct Interface {
        char name[64];
        char target[512];
} Interface;

static int list_interfaces(Interface **ret, size_t *ret_n) {
        _cleanup_free_ Interface *list = NULL;
        _cleanup_closedir_ DIR *dir = NULL;
        size_t n = 0;

        dir = open_directory_at(AT_FDCWD, "/sys/class/net");
        for (struct dirent *e; dir && (e = readdir(dir));) {
                Interface *bigger, i = {};

                if (readlinkat(dirfd(dir), e->d_name, i.target, sizeof(i.target) - 1) < 0 ||
                    strstr(i.target, "/virtual/") || !is_up(dirfd(dir), e->d_name))
                        continue;
                (void) snprintf(i.name, sizeof(i.name), "%.63s", e->d_name);
                bigger = reallocarray(list, n + 1, sizeof(Interface));
                if (!bigger)
                        return -ENOMEM;
                list = bigger;
                list[n++] = i;
        }
        *ret = TAKE_PTR(list);
        *ret_n = n;
        return 0;
}

static int scan_networks(Snapshot *s) {
        _cleanup_free_ Interface *list = NULL;
        size_t n;
        int r;

        r = list_interfaces(&list, &n);
        for (size_t i = 0; i < s->n_functions && r >= 0; i++) {
                Function *f = s->functions + i;
                size_t below = 0;

                if (!may_carry(f))
                        continue;
                for (size_t j = 0; j < n; j++)
                        below += is_below(list[j].target, f);
                for (size_t j = 0; j < n && r >= 0 && below == n; j++)
                        r = strv_extend(&f->networks, list[j].name);
        }
        return r;
}

int uses_scan(Snapshot *s) {
        bool any = false;
        int r;

        for (size_t i = 0; i < s->n_functions; i++)
                any = any || may_carry(s->functions + i);
        if (!any)
                return 0;
        r = scan_blocks(s);
        return r < 0 ? r : scan_networks(s);
}
