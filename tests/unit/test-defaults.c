/* SPDX-License-Identifier: GPL-2.0-or-later */

/* test-defaults: what was said of cards, written and read; and the rules that are made of it. */

#include "defaults.h"
#include "loop.h"

#include <glib.h>
#include <glib/gstdio.h>

#define CARD "0000:08:00.0"
#define IDS "10de:1e84:1458:3ffd"

static char *text_of(const Defaults *d, void (*write)(const Defaults *d, FILE *f)) {
        char *text = NULL;
        size_t size;
        FILE *f = open_memstream(&text, &size);

        g_assert_nonnull(f);
        write(d, f);
        g_assert_cmpint(fclose(f), ==, 0);
        return text;
}

static void test_wishes(void) {
        _cleanup_(defaults_freep) Defaults *d = defaults_new(), *copy = NULL;

        g_assert_null(defaults_find(d, CARD));
        g_assert_cmpint(defaults_wish(d, CARD, IDS, true), ==, 0);
        g_assert_true(defaults_find(d, CARD)->vfio);
        /* Another card at its place: what was said last counts. */
        g_assert_cmpint(defaults_wish(d, CARD, "1002:73bf:1002:0e3a", false), ==, 0);
        g_assert_cmpuint(d->n_wishes, ==, 1);
        g_assert_false(defaults_find(d, CARD)->vfio);
        g_assert_cmpstr(defaults_find(d, CARD)->identity, ==, "1002:73bf:1002:0e3a");
        g_assert_cmpint(defaults_wish(d, "0000:09:00.0", IDS, true), ==, 0);
        g_assert_cmpint(defaults_reserve(d, CARD, IDS, "vfio-pci", NULL), ==, 0);
        g_assert_cmpint(defaults_copy_wishes(d, &copy), ==, 0);
        g_assert_cmpuint(copy->n_wishes, ==, 2);
        g_assert_false(defaults_have_rules(copy));
        defaults_forget(copy, CARD);
        g_assert_null(defaults_find(copy, CARD));
        g_assert_nonnull(defaults_find(copy, "0000:09:00.0"));
        defaults_forget(copy, CARD);
}

static void test_invalid(void) {
        static const struct {
                const char *function, *ids, *driver, *bridge;
        } bad[] = {
                { "08:00.0", IDS, "vfio-pci", NULL },
                { "0000:08:00.0\"", IDS, "vfio-pci", NULL },
                { CARD, "10DE:1e84:1458:3ffd", "vfio-pci", NULL },
                { CARD, "10de:1e84:1458", "vfio-pci", NULL },
                { CARD, IDS "0", "vfio-pci", NULL },
                { CARD, IDS, "nouveau", NULL },
                { CARD, IDS, "vfio-pci\", RUN+=\"/bin/sh", NULL },
                { CARD, IDS, "x\", RUN+=\"y-vfio-pci", NULL },
                { CARD, IDS, "x y-vfio-pci", NULL },
                { CARD, IDS, "aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa-vfio-pci", NULL },
                { CARD, IDS, "vfio-pci", "../.." },
        };
        _cleanup_(defaults_freep) Defaults *d = defaults_new();

        for (size_t i = 0; i < G_N_ELEMENTS(bad); i++) {
                char *bridges[] = { (char *) bad[i].bridge, NULL };

                g_assert_cmpint(defaults_reserve(d, bad[i].function, bad[i].ids, bad[i].driver, bridges), ==, -EINVAL);
        }
        g_assert_cmpint(defaults_set_apart(d, CARD "\"", IDS, NULL), ==, -EINVAL);
        g_assert_cmpint(defaults_set_apart(d, CARD, IDS "\"", NULL), ==, -EINVAL);
        g_assert_cmpint(defaults_set_apart(d, CARD, IDS, (char *[]) { (char *) "..", NULL }), ==, -EINVAL);
        g_assert_false(defaults_have_rules(d));
        g_assert_cmpint(defaults_wish(d, "x", IDS, true), ==, -EINVAL);
        g_assert_cmpint(defaults_wish(d, CARD, "", true), ==, -EINVAL);
}

static void test_rules(void) {
        _cleanup_(defaults_freep) Defaults *d = defaults_new();
        char *bridges[] = { (char *) "0000:03:00.0", (char *) "0000:00:03.1", NULL };
        g_autofree char *empty = text_of(d, defaults_write_rules), *text = NULL;

        g_assert_null(strstr(empty, "ACTION"));
        g_assert_cmpint(defaults_reserve(d, CARD, IDS, "vfio-pci", bridges), ==, 0);
        text = text_of(d, defaults_write_rules);
        g_assert_true(g_str_has_suffix(text,
                "\nACTION==\"add\", SUBSYSTEM==\"pci\", IMPORT{cmdline}=\"gpuptd\"\n"
                "ACTION==\"add\", SUBSYSTEM==\"pci\", KERNEL==\"0000:08:00.0\", "
                "DEVPATH==\"/devices/pci*/0000:00:03.1/0000:03:00.0/0000:08:00.0\", ATTR{vendor}==\"0x10de\", "
                "ATTR{device}==\"0x1e84\", ATTR{subsystem_vendor}==\"0x1458\", ATTR{subsystem_device}==\"0x3ffd\", "
                "ENV{gpuptd}!=\"off\", TEST!=\"/run/gpuptd\", ATTR{driver_override}=\"vfio-pci\", "
                "ATTR{[subsystem/pci]drivers_probe}=\"0000:08:00.0\", RUN{builtin}+=\"kmod load vfio-pci\"\n"));
}

static void test_seat_rules(void) {
        _cleanup_(defaults_freep) Defaults *d = defaults_new(), *other = defaults_new();
        g_autofree char *empty = text_of(d, defaults_write_seat_rules), *text = NULL, *reserves = NULL;

        g_assert_null(strstr(empty, "ACTION"));
        g_assert_cmpint(defaults_set_apart(d, CARD, IDS, (char *[]) { (char *) "0000:00:03.1", NULL }), ==, 0);
        g_assert_true(defaults_have_rules(d));
        text = text_of(d, defaults_write_seat_rules);
        g_assert_true(g_str_has_suffix(text,
                "\nACTION!=\"remove\", SUBSYSTEM==\"drm\", IMPORT{cmdline}=\"gpuptd\"\n"
                "ACTION!=\"remove\", SUBSYSTEM==\"drm\", KERNEL==\"card[0-9]*\", KERNELS==\"0000:08:00.0\", "
                "SUBSYSTEMS==\"pci\", DEVPATH==\"/devices/pci*/0000:00:03.1/0000:08:00.0/drm/card[0-9]*\", "
                "ATTRS{vendor}==\"0x10de\", ATTRS{device}==\"0x1e84\", ATTRS{subsystem_vendor}==\"0x1458\", "
                "ATTRS{subsystem_device}==\"0x3ffd\", ENV{gpuptd}!=\"off\", ENV{ID_SEAT}=\"seat-gpuptd\", TAG-=\"seat\", "
                "TAG-=\"master-of-seat\", TAG-=\"uaccess\", TAG+=\"mutter-device-ignore\"\n"));
        /* Nothing of it is in the initramfs. */
        reserves = text_of(d, defaults_write_rules);
        g_assert_null(strstr(reserves, "ACTION"));
        g_assert_cmpint(defaults_have_same_reserves(d, other), ==, 1);
        g_assert_cmpint(defaults_reserve(other, CARD, IDS, "vfio-pci", NULL), ==, 0);
        g_assert_cmpint(defaults_have_same_reserves(d, other), ==, 0);
        defaults_drop_rules(d);
        g_assert_false(defaults_have_rules(d));
}

static void test_file(void) {
        g_autofree char *dir = loop_make_dir(), *path = g_build_filename(dir, "defaults", NULL);
        _cleanup_(defaults_freep) Defaults *d = NULL, *back = NULL, *none = NULL;
        g_autofree char *before = NULL, *after = NULL;

        g_assert_cmpint(defaults_load(dir, &d), ==, 0);
        g_assert_cmpuint(d->n_wishes, ==, 0);
        /* Nothing was said: there is no file. */
        g_assert_cmpint(defaults_store(dir, d), ==, 0);
        g_assert_false(g_file_test(path, G_FILE_TEST_EXISTS));
        g_assert_cmpint(defaults_wish(d, CARD, IDS, true), ==, 0);
        g_assert_cmpint(defaults_reserve(d, CARD, IDS, "vfio-pci", (char *[]) { (char *) "0000:00:03.1", NULL }), ==,
                        0);
        g_assert_cmpint(defaults_set_apart(d, "0000:09:00.0", IDS, (char *[]) { (char *) "0000:00:03.1", NULL }), ==, 0);
        g_assert_cmpint(defaults_store(dir, d), ==, 1);
        g_assert_cmpint(defaults_store(dir, d), ==, 0);
        g_assert_cmpint(defaults_load(dir, &back), ==, 0);
        before = text_of(d, defaults_write);
        after = text_of(back, defaults_write);
        g_assert_cmpstr(before, ==, after);

        g_assert_true(g_file_set_contents(path, "gpuptd-defaults 2\n", -1, NULL));
        g_assert_cmpint(defaults_load(dir, &none), ==, -EPROTONOSUPPORT);
        g_assert_true(g_file_set_contents(path, "gpuptd-defaults 1\nwish " CARD " " IDS " both\nend\n", -1, NULL));
        g_assert_cmpint(defaults_load(dir, &none), ==, -EBADMSG);
        g_assert_true(g_file_set_contents(path, "gpuptd-defaults 1\nwish " CARD " " IDS " vfio\n", -1, NULL));
        g_assert_cmpint(defaults_load(dir, &none), ==, -EBADMSG);
        g_assert_null(none);
        g_assert_cmpint(g_unlink(path), ==, 0);
        g_assert_cmpint(g_rmdir(dir), ==, 0);
}

/* A boot counts once, whoever asks how often; "boots" of others are written as they are read. */
static void test_boots(void) {
        g_autofree char *dir = loop_make_dir(), *path = g_build_filename(dir, "boots", NULL);

        g_assert_cmpint(defaults_forget_boots(dir), ==, 0);
        g_assert_cmpint(defaults_count_boot(dir), ==, 0);
        g_assert_cmpint(defaults_count_boot(dir), ==, 0);
        g_assert_true(g_file_set_contents(path, "1 another\n", -1, NULL));
        g_assert_cmpint(defaults_count_boot(dir), ==, 1);
        g_assert_cmpint(defaults_count_boot(dir), ==, 1);
        g_assert_true(g_file_set_contents(path, "2 another\n", -1, NULL));
        g_assert_cmpint(defaults_count_boot(dir), ==, 2);
        g_assert_true(g_file_set_contents(path, "-1 nonsense\n", -1, NULL));
        g_assert_cmpint(defaults_count_boot(dir), ==, 0);
        g_assert_true(g_file_set_contents(path, "7\n", -1, NULL));
        g_assert_cmpint(defaults_count_boot(dir), ==, 0);
        g_assert_cmpint(defaults_forget_boots(dir), ==, 0);
        g_assert_false(g_file_test(path, G_FILE_TEST_EXISTS));
        g_assert_cmpint(g_rmdir(dir), ==, 0);
}

int main(int argc, char *argv[]) {
        g_test_init(&argc, &argv, NULL);
        g_test_add_func("/defaults/wishes", test_wishes);
        g_test_add_func("/defaults/invalid", test_invalid);
        g_test_add_func("/defaults/rules", test_rules);
        g_test_add_func("/defaults/seat-rules", test_seat_rules);
        g_test_add_func("/defaults/file", test_file);
        g_test_add_func("/defaults/boots", test_boots);
        return g_test_run();
}
