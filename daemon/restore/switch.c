/* SPDX-License-Identifier: GPL-2.0-or-later */

#include "restore/switch.h"

#include <fcntl.h>
#include <stdio.h>
#include <sys/stat.h>

static bool exists(int dir_fd, const char *name) {
        return faccessat(dir_fd, name, F_OK, AT_SYMLINK_NOFOLLOW) >= 0;
}

static int switch_file(int dir_fd, const char *name, bool present) {
        char away[XORG_NAME_MAX + STRLEN(XORG_AWAY_SUFFIX) + 1];
        const char *from = present ? away : name, *to = present ? name : away;

        (void) snprintf(away, sizeof(away), "%s" XORG_AWAY_SUFFIX, name);
        if (!exists(dir_fd, from) || (present && exists(dir_fd, name)))
                return 0;
        /* Not over a file that somebody else has put there. */
        return RET_NERRNO(renameat2(dir_fd, from, dir_fd, to, RENAME_NOREPLACE));
}

int xorg_switch(const char *directory, char *const *words, bool detached, char **ret_name) {
        _cleanup_close_ int fd = open(directory, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
        int result = 0;

        if (fd < 0 && errno == ENOENT)
                return 0;
        if (fd < 0)
                return -errno;
        for (char *const *w = words; *w; w++) {
                char name[XORG_NAME_MAX + 1];
                bool while_detached;
                int r = -EINVAL;

                if (xorg_file_parse(*w, name, &while_detached))
                        r = switch_file(fd, name, while_detached == detached);
                if (r >= 0 || result < 0)
                        continue;
                result = r;
                *ret_name = strdup(*w);
        }
        /* What is to be found after a power cut. */
        if (fsync(fd) < 0 && result >= 0)
                result = -errno;
        return result;
}
