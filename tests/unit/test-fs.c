/* SPDX-License-Identifier: GPL-2.0-or-later */

/* test-fs: limits of what is read, and files that are whole or not there. */

#include "loop.h"

#include <ctype.h>
#include <sys/stat.h>

#include "util/fs.h"

static void write_plain(const char *path, const char *data, size_t size) {
        g_assert_true(g_file_set_contents(path, data, (gssize) size, NULL));
}

static void test_read_file(void) {
        char *dir = loop_make_dir();
        g_autofree char *path = g_build_filename(dir, "file", NULL), *fifo = g_build_filename(dir, "fifo", NULL);
        g_autofree char *big = g_strnfill(100000, 'x');
        static const size_t sizes[] = { 0, 1, 4095, 4096, 4097, 8192, 99999, 100000 };
        _cleanup_close_ int dir_fd = -EBADF;

        for (size_t i = 0; i < ELEMENTSOF(sizes); i++) {
                static const int more[] = { -1, 0, 1, 4096 };

                write_plain(path, big, sizes[i]);
                for (size_t k = 0; k < ELEMENTSOF(more); k++) {
                        _cleanup_free_ char *text = NULL;
                        size_t size = 0, max = sizes[i] + (size_t) more[k];
                        int r;

                        if (sizes[i] == 0 && more[k] < 0)
                                continue;
                        r = read_file_at(AT_FDCWD, path, max, &text, &size);
                        g_assert_cmpint(r, ==, more[k] < 0 ? -EFBIG : 0);
                        if (r < 0) {
                                g_assert_null(text);
                                continue;
                        }
                        g_assert_cmpuint(size, ==, sizes[i]);
                        g_assert_cmpint(text[size], ==, '\0');
                        g_assert_cmpint(memcmp(text, big, size), ==, 0);
                }
        }

        write_plain(path, "a\0b", 3);
        {
                _cleanup_free_ char *text = NULL;
                size_t size;

                g_assert_cmpint(read_file_at(AT_FDCWD, path, 10, &text, &size), ==, 0);
                g_assert_cmpuint(size, ==, 3);
                g_assert_cmpint(memcmp(text, "a\0b", 4), ==, 0);
        }
        {
                _cleanup_free_ char *text = NULL;

                g_assert_cmpint(read_file_at(AT_FDCWD, dir, 10, &text, NULL), ==, -EISDIR);
                g_assert_cmpint(mkfifo(fifo, 0600), ==, 0);
                /* Nobody writes into it: that must not be waited for. */
                g_assert_cmpint(read_file_at(AT_FDCWD, fifo, 10, &text, NULL), ==, -ENXIO);
                g_assert_cmpint(read_file_at(AT_FDCWD, "/dev/zero", 10, &text, NULL), ==, -ENXIO);
                g_assert_cmpint(read_file_at(AT_FDCWD, "/nonexistent", 10, &text, NULL), ==, -ENOENT);
                dir_fd = open(dir, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
                g_assert_cmpint(read_file_at(dir_fd, "file", 10, &text, NULL), ==, 0);
        }
        loop_remove_dir(dir);
}

static void test_read_line(void) {
        char *dir = loop_make_dir();
        g_autofree char *path = g_build_filename(dir, "file", NULL), *big = g_strnfill(4096, 'x');
        static const struct {
                const char *content, *line;
        } cases[] = {
                { "on\n", "on" }, { "on", "on" },       { "", "" },
                { "\n", "" },     { "a b \n", "a b " }, { "one\ntwo\n", "one" },
        };

        for (size_t i = 0; i < ELEMENTSOF(cases); i++) {
                _cleanup_free_ char *line = NULL;

                write_plain(path, cases[i].content, strlen(cases[i].content));
                g_assert_cmpint(read_line_at(AT_FDCWD, path, &line), ==, 0);
                g_assert_cmpstr(line, ==, cases[i].line);
        }
        {
                _cleanup_free_ char *line = NULL;

                write_plain(path, big, 4096);
                g_assert_cmpint(read_line_at(AT_FDCWD, path, &line), ==, -EFBIG);
                write_plain(path, big, 4095);
                g_assert_cmpint(read_line_at(AT_FDCWD, path, &line), ==, 0);
                g_assert_cmpuint(strlen(line), ==, 4095);
        }
        loop_remove_dir(dir);
}

static void test_write_attribute(void) {
        char *dir = loop_make_dir();
        g_autofree char *path = g_build_filename(dir, "attribute", NULL), *text = NULL;

        g_assert_cmpint(write_attribute_at(AT_FDCWD, path, "1"), ==, -ENOENT);
        g_assert_cmpint(access(path, F_OK), <, 0);
        write_plain(path, "", 0);
        g_assert_cmpint(write_attribute_at(AT_FDCWD, path, "0000:01:00.0"), ==, 0);
        g_assert_true(g_file_get_contents(path, &text, NULL, NULL));
        g_assert_cmpstr(text, ==, "0000:01:00.0");
        g_assert_cmpint(write_attribute_at(AT_FDCWD, "/dev/full", "1"), ==, -ENOSPC);
        loop_remove_dir(dir);
}

static void test_atomic(void) {
        char *dir = loop_make_dir();
        g_autofree char *path = g_build_filename(dir, "file", NULL),
                        *in_the_way = g_build_filename(dir, "directory", NULL);
        g_autofree char *inside = g_build_filename(in_the_way, "x", NULL), *big = g_strnfill(1 << 20, 'y'),
                        *long_path = NULL;
        struct stat st;

        for (unsigned i = 0; i < 3; i++) {
                g_autofree char *text = NULL;
                size_t size = i == 1 ? 0 : (1 << 20) - i;

                g_assert_cmpint(write_file_atomic(path, big, size), ==, 0);
                g_assert_true(g_file_get_contents(path, &text, &size, NULL));
                g_assert_cmpuint(size, ==, i == 1 ? 0 : (1 << 20) - i);
                g_assert_cmpint(stat(path, &st), ==, 0);
                g_assert_cmpuint(st.st_mode & 07777, ==, 0600);
                g_assert_cmpuint(loop_count_files(dir), ==, 1);
        }

        /* What cannot take its place leaves nothing behind. */
        g_assert_cmpint(mkdir(in_the_way, 0700), ==, 0);
        write_plain(inside, "", 0);
        g_assert_cmpint(write_file_atomic(in_the_way, "x", 1), <, 0);
        g_assert_cmpuint(loop_count_files(dir), ==, 2);
        g_assert_cmpint(write_file_atomic("/nonexistent/file", "x", 1), ==, -ENOENT);
        long_path = g_strdup_printf("%s/%s", dir, big);
        g_assert_cmpint(write_file_atomic(long_path, "x", 1), ==, -ENAMETOOLONG);

        /* A link is replaced, not followed. */
        g_assert_cmpint(unlink(path), ==, 0);
        g_assert_cmpint(symlink("/nonexistent/elsewhere", path), ==, 0);
        g_assert_cmpint(write_file_atomic(path, "x", 1), ==, 0);
        g_assert_cmpint(lstat(path, &st), ==, 0);
        g_assert_true(S_ISREG(st.st_mode));
        loop_remove_dir(dir);
}

static void test_readlink(void) {
        char *dir = loop_make_dir();
        static const struct {
                const char *target, *base;
        } cases[] = {
                { "../../../bus/pci/drivers/vfio-pci", "vfio-pci" }, { "31", "31" }, { "/", "" }, { "a/", "" },
        };
        _cleanup_close_ int dir_fd = open(dir, O_RDONLY | O_DIRECTORY | O_CLOEXEC);

        for (size_t i = 0; i < ELEMENTSOF(cases); i++) {
                _cleanup_free_ char *base = NULL;

                g_assert_cmpint(symlinkat(cases[i].target, dir_fd, "link"), ==, 0);
                g_assert_cmpint(readlink_base_at(dir_fd, "link", &base), ==, 0);
                g_assert_cmpstr(base, ==, cases[i].base);
                g_assert_cmpint(unlinkat(dir_fd, "link", 0), ==, 0);
        }
        {
                _cleanup_free_ char *base = NULL;

                g_assert_cmpint(readlink_base_at(dir_fd, "link", &base), ==, -ENOENT);
                g_assert_null(base);
        }
        loop_remove_dir(dir);
}

static void test_boot_id(void) {
        char id[33];

        g_assert_cmpint(boot_id(id), ==, 0);
        g_assert_cmpuint(strlen(id), ==, 32);
        for (const char *p = id; *p; p++)
                g_assert_true(isxdigit((unsigned char) *p) && !isupper((unsigned char) *p));
}

int main(int argc, char *argv[]) {
        g_test_init(&argc, &argv, NULL);
        g_test_add_func("/fs/read-file", test_read_file);
        g_test_add_func("/fs/read-line", test_read_line);
        g_test_add_func("/fs/write-attribute", test_write_attribute);
        g_test_add_func("/fs/atomic", test_atomic);
        g_test_add_func("/fs/readlink", test_readlink);
        g_test_add_func("/fs/boot-id", test_boot_id);
        return g_test_run();
}
