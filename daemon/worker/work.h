/* SPDX-License-Identifier: GPL-2.0-or-later */
#pragma once

/* work: one step as the function of its verb sees it, and the checks of words that end in a path. A verb returns 0, or a
 * negative errno after it has said with work_fail() what it was doing; data lines go to `answer`, in both cases. */

#include "util/cleanup.h"

typedef struct Work {
        const char *target;     /* weak */
        char *const *arguments; /* weak; never NULL, NULL-terminated */
        size_t n;               /* arguments */
        FILE *answer;           /* weak */
        int output_fd;          /* weak; what is too large or not text goes there; -EBADF: the daemon gave none */
        char *text;             /* what failed, without the errno's own words */
} Work;

/* Keeps the first text and returns the error. */
int work_fail(Work *w, int error, const char *format, ...) _printf_(3, 4);

/* The error was none for this verb: drops its text, and returns 0. */
int work_forgive(Work *w);

/* A name that may become one component of a path: [A-Za-z0-9_.:-]{1,64}, not "." or "..". */
bool name_valid(const char *s);
/* prefix and decimal digits: "vtcon1", "card0". */
bool numbered_name_valid(const char *s, const char *prefix);

/* Where unit files are: systemd.unit(5). A file hides those of its name in the directories behind it. */
#define UNIT_DIRECTORIES 5U
extern const char *const unit_directories[UNIT_DIRECTORIES];

/* NULL and errno if there is no such directory. */
DIR *open_directory_at(int dir_fd, const char *path);

/* Is a file of that mode a device node? A character device; on the simulated machine of the tests, whose namespaces can
 * have none of their own, also a regular file (GPUPT_PLAIN_NODES). */
bool is_device_node(mode_t mode);

/* Opens a character device for its metadata only (O_PATH), never through a symbolic link; -ENXIO if it is something
 * else. Writes the name by which calls that take no such fd reach it. */
int open_node(const char *path, char ret_proc_path[static 32]);

/* Sleeps until the next look, at most until `deadline` (CLOCK_MONOTONIC, µs). False: the deadline has passed. */
bool wait_a_moment(uint64_t deadline);
uint64_t monotonic_usec(void);
#define USEC_PER_SEC 1000000U
