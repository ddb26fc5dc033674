/* SPDX-License-Identifier: GPL-2.0-or-later */
#pragma once

/* fs: reading and writing of small files. `dir_fd` is a directory, or AT_FDCWD for absolute paths. */

#include "util/cleanup.h"

#include <fcntl.h>

/* Reads at most max bytes; *ret is NUL-terminated behind *ret_size bytes (which may contain NUL). -EFBIG if there is
 * more, -EISDIR/-ENXIO for what is not a regular (or sysfs/procfs) file. */
int read_file_at(int dir_fd, const char *path, size_t max, char **ret, size_t *ret_size);

/* Reads the first line of an attribute (sysfs, procfs), without its newline; -EFBIG if it has more than 4095 bytes. */
int read_line_at(int dir_fd, const char *path, char **ret);

/* One write(2) of the whole value to an existing file (sysfs attribute): its errno is the kernel's answer. May block
 * for as long as the kernel likes: never call it in the daemon. */
int write_attribute_at(int dir_fd, const char *path, const char *value);

/* Replaces a file so that a crash leaves the old or the new one: temporary file, fsync, rename, mode 0600. */
int write_file_atomic(const char *path, const char *data, size_t size);

/* The last component of a symbolic link's target (`driver`, `iommu_group` …); -ENOENT if there is none. */
int readlink_base_at(int dir_fd, const char *path, char **ret);

/* Boot id without dashes; -EBADMSG if the kernel's file is not one. */
int boot_id(char ret[static 33]);
