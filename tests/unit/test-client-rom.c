/* SPDX-License-Identifier: GPL-2.0-or-later */

/* test-client-rom: the firmware image of a card in a file. */

#include <glib/gstdio.h>
#include <sys/stat.h>

#include "tests/unit/client-fixture.h"

static const MockScript one = { .n_gpus = 1 };
static const MockScript rom_other = { .n_gpus = 1, .rom = MOCK_ROM_OTHER };
static const MockScript rom_broken = { .n_gpus = 1, .rom = MOCK_ROM_BROKEN };
static const MockScript rom_in_use = { .n_gpus = 1, .rom = MOCK_ROM_IN_USE };

/* gpuptctl rom … --output=FILE, in the directory of the fixture. */
static int read_rom(Fixture *f, const char *file, const char *options) {
        g_autofree char *line = g_strdup_printf("rom %s --output=%s/%s", options, f->dir, file);

        return client(f, line);
}

static void assert_rom_file(const Fixture *f, const char *file) {
        g_autofree char *path = g_build_filename(f->dir, file, NULL), *data = NULL;
        gsize size;

        g_assert_true(g_file_get_contents(path, &data, &size, NULL));
        g_assert_cmpuint(size, ==, MOCK_ROM_SIZE);
        g_assert_cmpmem(data, 2, "\x55\xaa", 2);
}

static void test_rom(Fixture *f, gconstpointer data) {
        g_autofree char *path = g_build_filename(f->dir, "a", NULL), *link = g_build_filename(f->dir, "link", NULL),
                        *command = g_strdup_printf("sh -c '%s rom | wc -c; %s rom -o - | wc -c'", gpuptctl, gpuptctl), *out = NULL;
        GStatBuf st;

        (void) umask(0022);
        g_assert_cmpint(read_rom(f, "a", "01:00.0"), ==, EXIT_DONE);
        assert_has(f->out, "/a: 1024 bytes, 1 image\n");
        g_assert_cmpstr(f->err, ==, "");
        assert_rom_file(f, "a");
        g_assert_cmpint(g_stat(path, &st), ==, 0);
        g_assert_cmpint(st.st_mode & 0777, ==, 0644);

        /* A file is replaced, what is none is written to. */
        g_assert_true(g_file_set_contents(path, "old", -1, NULL));
        g_assert_cmpint(symlink("a", link), ==, 0);
        g_assert_cmpint(read_rom(f, "link", "-q"), ==, EXIT_DONE);
        g_assert_cmpstr(f->out, ==, "");
        assert_rom_file(f, "a");
        g_assert_cmpint(g_lstat(link, &st), ==, 0);
        g_assert_true(S_ISLNK(st.st_mode));
        (void) g_unlink(link);
        (void) g_unlink(path);

        g_assert_cmpint(read_rom(f, "no/such/directory", ""), ==, EXIT_FAILED);
        assert_has(f->err, "Cannot write the image to ");
        g_assert_true(g_spawn_command_line_sync(command, &out, NULL, NULL, NULL));
        g_assert_cmpstr(out, ==, "1024\n1024\n");
}

static void test_rom_usage(Fixture *f, gconstpointer data) {
        static const char *const lines[] = { "rom -H there -o x", "rom -o x --wait=3", "rom -o x --dry-run", "list -o x", "list --force",
                                             "rom -o" },
                          *const argv[] = { "gpuptctl", "rom", NULL };
        g_autofree char *output = NULL;
        int status;

        for (size_t i = 0; i < G_N_ELEMENTS(lines); i++)
                g_assert_cmpint(client(f, lines[i]), ==, EXIT_USAGE);
        output = on_terminal(argv, /* unprivileged= */ false, &status);
        g_assert_cmpint(status, ==, EXIT_USAGE);
        assert_has(output, "--output=FILE");
}

static void test_rom_other(Fixture *f, gconstpointer data) {
        g_autofree char *path = g_build_filename(f->dir, "a", NULL);

        g_assert_cmpint(read_rom(f, "a", ""), ==, EXIT_DONE);
        assert_has(f->err, "Warning: image 1 is for 10de:1c83, the card is 10de:1c82.");
        assert_has(f->err, "Warning: the checksum of image 1 is wrong");
        assert_rom_file(f, "a");
        (void) g_unlink(path);
}

static void test_rom_broken(Fixture *f, gconstpointer data) {
        g_autofree char *path = g_build_filename(f->dir, "a", NULL);

        g_assert_cmpint(read_rom(f, "a", ""), ==, EXIT_FAILED);
        assert_has(f->err, "does not begin with 55 AA");
        g_assert_false(g_file_test(path, G_FILE_TEST_EXISTS));
}

static void test_rom_in_use(Fixture *f, gconstpointer data) {
        g_autofree char *path = g_build_filename(f->dir, "a", NULL);

        g_assert_cmpint(read_rom(f, "a", ""), ==, EXIT_IN_USE);
        assert_has(f->err, "The driver nouveau uses it.");
        g_assert_false(g_file_test(path, G_FILE_TEST_EXISTS));
        g_assert_cmpint(read_rom(f, "a", "--force"), ==, EXIT_DONE);
        (void) g_unlink(path);
}

static void add_cases(void) {
        add("rom/file", &one, test_rom);
        add("rom/usage", &one, test_rom_usage);
        add("rom/other", &rom_other, test_rom_other);
        add("rom/broken", &rom_broken, test_rom_broken);
        add("rom/in-use", &rom_in_use, test_rom_in_use);
}

int main(int argc, char **argv) {
        return client_test_main(argc, argv, add_cases);
}
