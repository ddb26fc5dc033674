/* SPDX-License-Identifier: GPL-2.0-or-later */

/* fuzz-driver: runs a fuzz target once for every file named, and for every file in the directories named. A target that
 * does not return ends the program, and the last line says for which input. */

#include "fuzz.h"

#include <fcntl.h>
#include <sys/stat.h>

#define INPUT_MAX (16U * 1024U * 1024U)

static unsigned n_inputs = 0;

static int run_file(int dir_fd, const char *name) {
        _cleanup_close_ int fd = -EBADF;
        _cleanup_free_ uint8_t *data = NULL;
        struct stat st;
        ssize_t k;

        fd = openat(dir_fd, name, O_RDONLY | O_CLOEXEC);
        if (fd < 0 || fstat(fd, &st) < 0)
                return -errno;
        if (st.st_size > INPUT_MAX)
                return -EFBIG;
        /* Exactly as large as the input: what is read behind it is seen by a sanitizer. */
        data = malloc((size_t) st.st_size);
        if (!data && st.st_size > 0)
                return -ENOMEM;
        k = read(fd, data, (size_t) st.st_size);
        if (k != st.st_size)
                return -EIO;

        fprintf(stderr, "%s\n", name);
        (void) LLVMFuzzerTestOneInput(data, (size_t) st.st_size);
        n_inputs++;
        return 0;
}

static int run_directory(const char *path) {
        struct dirent **entries;
        int n, fd, r = 0;

        fd = open(path, O_RDONLY | O_CLOEXEC | O_DIRECTORY);
        if (fd < 0)
                return -errno;
        n = scandirat(fd, ".", &entries, NULL, alphasort);
        if (n < 0)
                r = -errno;
        for (int i = 0; i < n; i++) {
                if (r >= 0 && entries[i]->d_name[0] != '.')
                        r = run_file(fd, entries[i]->d_name);
                free(entries[i]);
        }
        if (n >= 0)
                free(entries);
        (void) close(fd);
        return r;
}

int main(int argc, char *argv[]) {
        for (int i = 1; i < argc; i++) {
                int r = run_directory(argv[i]);

                if (r == -ENOTDIR)
                        r = run_file(AT_FDCWD, argv[i]);
                if (r < 0) {
                        fprintf(stderr, "%s: %s\n", argv[i], strerror(-r));
                        return EXIT_FAILURE;
                }
        }
        /* A corpus that has gone is not a success. */
        return n_inputs > 0 ? EXIT_SUCCESS : EXIT_FAILURE;
}
