/* SPDX-License-Identifier: GPL-2.0-or-later */

/* test-hooks: which files are hooks, in which order; which are passed over in silence, and which with a word. */

#include "hooks.h"

#include "hook-run.h"

#include <glib.h>
#include <glib/gstdio.h>
#include <sys/stat.h>

typedef struct Place {
        char *root, *directory;
        GPtrArray *warnings;
} Place;

static Place *place_new(void) {
        Place *p = g_new0(Place, 1);

        p->root = g_dir_make_tmp("gpuptd-hooks-XXXXXX", NULL);
        g_assert_nonnull(p->root);
        p->directory = g_strconcat(p->root, HOOKS_DIRECTORY, NULL);
        p->warnings = g_ptr_array_new_with_free_func(g_free);
        return p;
}

static void remove_all(const char *path) {
        g_autoptr(GDir) d = g_file_test(path, G_FILE_TEST_IS_SYMLINK) ? NULL : g_dir_open(path, 0, NULL);
        const char *name;

        while (d && (name = g_dir_read_name(d))) {
                g_autofree char *child = g_build_filename(path, name, NULL);

                remove_all(child);
        }
        (void) g_remove(path);
}

static void place_free(Place *p) {
        remove_all(p->root);
        g_free(p->root);
        g_free(p->directory);
        g_ptr_array_unref(p->warnings);
        g_free(p);
}
G_DEFINE_AUTOPTR_CLEANUP_FUNC(Place, place_free)

static void put(Place *p, const char *name, mode_t mode) {
        g_autofree char *path = g_build_filename(p->directory, name, NULL);

        g_assert_cmpint(g_mkdir_with_parents(p->directory, 0755), ==, 0);
        g_assert_true(g_file_set_contents(path, "#!/bin/sh\n", -1, NULL));
        g_assert_cmpint(chmod(path, mode), ==, 0);
}

static void on_warning(const char *message, void *userdata) {
        Place *p = userdata;

        g_ptr_array_add(p->warnings, g_strdup(message));
}

/* The hooks, and a word of each of the warnings, in whatever order they come. */
static void assert_found(Place *p, uid_t owner, const char *names, const char *const *words) {
        _cleanup_strv_free_ char **found = NULL;
        g_autofree char *joined = NULL;

        g_ptr_array_set_size(p->warnings, 0);
        g_assert_cmpint(hooks_find(p->root, owner, on_warning, p, &found), ==, 0);
        joined = found ? g_strjoinv(" ", found) : g_strdup("");
        g_assert_cmpstr(joined, ==, names);
        g_assert_cmpuint(p->warnings->len, ==, strv_length((char *const *) words));
        for (; words && *words; words++) {
                bool said = false;

                for (unsigned i = 0; i < p->warnings->len; i++)
                        said = said || strstr(p->warnings->pdata[i], *words);
                if (!said)
                        g_error("nobody says '%s', but '%s'", *words, (char *) p->warnings->pdata[0]);
        }
}

#define WORDS(...) ((const char *const[]) { __VA_ARGS__, NULL })

static void test_none(void) {
        g_autoptr(Place) p = place_new();

        assert_found(p, geteuid(), "", NULL);
        put(p, "README", 0644);
        assert_found(p, geteuid(), "", NULL);
}

/* By the bytes of their names, whatever the language of the host. */
static void test_order(void) {
        g_autoptr(Place) p = place_new();

        put(p, "b", 0755);
        put(p, "10-b", 0500);
        put(p, "9-a", 0711);
        put(p, "B", 0755);
        put(p, "_", 0755);
        put(p, "a.sh", 0755);
        assert_found(p, geteuid(), "10-b 9-a B _ a.sh b", NULL);
}

static void test_names(void) {
        static const char *const silent[] = {
                ".hidden", "a~", "a.bak", "a.old", "a.new", "a.orig", "a.swp", "a.tmp", "a.rpmsave", "a.rpmnew", "a.rpmorig",
                "a.dpkg-old", "a.dpkg-dist", "a.dpkg-tmp", "a.ucf-dist",
        };
        g_autoptr(Place) p = place_new();
        g_autofree char *longest = g_strnfill(HOOK_NAME_MAX, 'x'), *longer = g_strnfill(HOOK_NAME_MAX + 1, 'x');

        for (size_t i = 0; i < G_N_ELEMENTS(silent); i++) {
                put(p, silent[i], 0755);
                g_assert_false(hook_name_valid(silent[i]));
        }
        assert_found(p, geteuid(), "", NULL);
        put(p, longest, 0755);
        assert_found(p, geteuid(), longest, NULL);
        put(p, longer, 0755);
        put(p, "two words", 0755);
        put(p, "\xc3\xa4", 0755);
        assert_found(p, geteuid(), longest, WORDS("is not run", "is not run", "is not run"));
        g_assert_true(hook_name_valid(longest));
        g_assert_false(hook_name_valid(longer));
        g_assert_false(hook_name_valid(""));
        g_assert_false(hook_name_valid(".."));
        g_assert_false(hook_name_valid("../a"));
}

/* Who may write to one could do anything. */
static void test_modes(void) {
        g_autoptr(Place) p = place_new();
        g_autofree char *link = NULL, *lib = NULL;

        put(p, "good", 0755);
        put(p, "group", 0775);
        put(p, "others", 0757);
        put(p, "off", 0644);
        put(p, "off-for-others", 0666);
        link = g_build_filename(p->directory, "link", NULL);
        lib = g_build_filename(p->directory, "lib", NULL);
        g_assert_cmpint(symlink("good", link), ==, 0);
        g_assert_cmpint(g_mkdir(lib, 0777), ==, 0);
        assert_found(p, geteuid(), "good", WORDS("/group is not run", "/others is not run", "/link is a link"));
        assert_found(p, geteuid() + 1, "", WORDS(HOOKS_DIRECTORY " is not used"));
        g_assert_cmpint(chmod(p->directory, 0775), ==, 0);
        assert_found(p, geteuid(), "", WORDS("others than its owner"));
        g_assert_cmpint(chmod(p->directory, 0757), ==, 0);
        assert_found(p, geteuid(), "", WORDS("others than its owner"));
}

static void test_directory(void) {
        g_autoptr(Place) p = place_new();
        g_autofree char *other = g_build_filename(p->root, "other", NULL);

        put(p, "good", 0755);
        g_assert_cmpint(g_rename(p->directory, other), ==, 0);
        g_assert_cmpint(symlink(other, p->directory), ==, 0);
        assert_found(p, geteuid(), "", WORDS("a link to one"));
        g_assert_cmpint(g_unlink(p->directory), ==, 0);
        g_assert_true(g_file_set_contents(p->directory, "", -1, NULL));
        assert_found(p, geteuid(), "", WORDS("no directory"));
}

static void test_limit(void) {
        g_autoptr(Place) p = place_new();
        g_autoptr(GString) names = g_string_new("");

        for (unsigned i = 0; i < HOOKS_MAX + 3; i++) {
                char name[16];

                (void) snprintf(name, sizeof(name), "%02u", i);
                put(p, name, 0755);
                if (i < HOOKS_MAX)
                        g_string_append_printf(names, "%s%s", i > 0 ? " " : "", name);
        }
        assert_found(p, geteuid(), names->str, WORDS("32 and those after it are not run"));
}

/* What has become of it since it was found. */
static void test_check(void) {
        g_autoptr(Place) p = place_new();
        g_autofree char *path = NULL;
        const char *reason = NULL;

        put(p, "good", 0755);
        path = g_build_filename(p->directory, "good", NULL);
        g_assert_cmpint(hooks_check(p->root, geteuid(), "good", &reason), ==, 0);
        g_assert_cmpint(hooks_check(p->root, geteuid() + 1, "good", &reason), ==, -EPERM);
        g_assert_cmpint(hooks_check(p->root, geteuid(), "../hooks.d/good", &reason), ==, -EPERM);
        g_assert_cmpint(chmod(path, 0777), ==, 0);
        g_assert_cmpint(hooks_check(p->root, geteuid(), "good", &reason), ==, -EPERM);
        g_assert_cmpstr(reason, ==, "others than its owner may write to it");
        g_assert_cmpint(chmod(path, 0644), ==, 0);
        g_assert_cmpint(hooks_check(p->root, geteuid(), "good", &reason), ==, -EPERM);
        g_assert_cmpint(g_unlink(path), ==, 0);
        g_assert_cmpint(hooks_check(p->root, geteuid(), "good", &reason), ==, -ENOENT);
        g_assert_cmpint(g_rmdir(p->directory), ==, 0);
        g_assert_cmpint(hooks_check(p->root, geteuid(), "good", &reason), ==, -ENOENT);
}

/* What they print may be anything; a line of the log is one line of it. */
static void test_lines(void) {
        const char *output = "\n \t\r\nfirst\n  second \033[1m\xc3\xa4\n\n0123456789abcdef\nlast";
        static const char *const expected[] = { "first", "second ?[1m??", "0123456789abcde", "last" };
        char line[16];

        for (size_t i = 0; i < G_N_ELEMENTS(expected); i++) {
                g_assert_true(hook_next_line(&output, line, sizeof(line)));
                g_assert_cmpstr(line, ==, expected[i]);
        }
        g_assert_false(hook_next_line(&output, line, sizeof(line)));
        g_assert_false(hook_next_line(&output, line, sizeof(line)));
}

int main(int argc, char *argv[]) {
        g_test_init(&argc, &argv, NULL);
        g_test_add_func("/hooks/none", test_none);
        g_test_add_func("/hooks/order", test_order);
        g_test_add_func("/hooks/names", test_names);
        g_test_add_func("/hooks/modes", test_modes);
        g_test_add_func("/hooks/directory", test_directory);
        g_test_add_func("/hooks/limit", test_limit);
        g_test_add_func("/hooks/check", test_check);
        g_test_add_func("/hooks/lines", test_lines);
        return g_test_run();
}
