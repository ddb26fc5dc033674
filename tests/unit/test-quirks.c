/* SPDX-License-Identifier: GPL-2.0-or-later */

/* test-quirks: which words are taken from a record, and what the shipped hwdb says. For the latter a hwdb is built
 * from it and put in the place of the host's, in a mount namespace of the test's own: libsystemd 252 opens the hwdb at
 * fixed paths only. */

#include "quirks.h"

#include <sched.h>
#include <sys/mount.h>

#include "loop.h"

#define UDEV_DIR "/etc/udev"
#define SYSTEMD_HWDB_DIR "/etc/systemd/hwdb"

static const char extra_records[] =
        "gpuptd:driver:fast\n GPUPT_STOP_UNITS=a.service b.service\n GPUPT_UNLOAD=fast\n GPUPT_FORBID_RUNG=bus\n\n"
        "gpuptd:card:pci:v00001234d0000*\n GPUPT_STOP_UNITS=c.service\n\n"
        "pci:v00001234d*\n GPUPT_UNLOAD=wrong\n";

static char *namespace_error; /* why there is no private hwdb; NULL if there is one */

static char *join(char *const *v) {
        return v ? g_strjoinv(" ", (char **) v) : g_strdup("(none)");
}

static void assert_list(char *const *v, const char *expected) {
        g_autofree char *joined = join(v);

        g_assert_cmpstr(joined, ==, expected);
}

static void test_words(void) {
        _cleanup_(quirks_done) Quirks q = {};
        g_autofree char *long_word = g_strnfill(65, 'a'), *fitting = g_strnfill(64, 'a');
        g_autofree char *value = g_strdup_printf("%s %s", long_word, fitting);

        g_assert_cmpint(quirks_set(&q, "GPUPT_UNLOAD", "  nvidia_drm\tnvidia  nvidia ../x -r a/b a.ko b;c \xc3\xa4 "),
                        ==, 0);
        assert_list(q.unload, "nvidia_drm nvidia");
        g_assert_cmpint(quirks_set(&q, "GPUPT_UNLOAD", value), ==, 0);
        assert_list(q.unload, fitting);
        g_assert_cmpint(quirks_set(&q, "GPUPT_UNLOAD", ""), ==, 0);
        assert_list(q.unload, "(none)");

        g_assert_cmpint(quirks_set(&q, "GPUPT_STOP_UNITS", "a.service b@1.service c.socket .service d/e.service f"),
                        ==, 0);
        assert_list(q.stop_units, "a.service b@1.service");
        g_assert_cmpint(
                quirks_set(&q, "GPUPT_SHARED_NODES",
                           "/dev/kfd kfd /dev/ /etc/passwd /dev/../etc/passwd /dev//x /dev/nvidia-caps/nvidia-cap1"),
                ==, 0);
        assert_list(q.shared_nodes, "/dev/kfd /dev/nvidia-caps/nvidia-cap1");
        g_assert_cmpint(quirks_set(&q, "GPUPT_FORBID_RUNGS", "bus jump slot"), ==, 0);
        assert_list(q.forbid_rungs, "bus slot");
        g_assert_cmpint(quirks_set(&q, "GPUPT_ALLOW_RUNGS", "bridge"), ==, 0);
        assert_list(q.allow_rungs, "bridge");
        g_assert_cmpint(quirks_set(&q, "GPUPT_OF_A_LATER_RELEASE", "bus"), ==, 0);
        g_assert_cmpint(quirks_set(&q, "ID_MODEL_FROM_DATABASE", "x"), ==, 0);
        assert_list(q.stop_units, "a.service b@1.service");
}

static void test_word_limit(void) {
        _cleanup_(quirks_done) Quirks q = {};
        g_autoptr(GString) s = g_string_new(NULL);

        for (int i = 0; i < 100; i++)
                g_string_append_printf(s, "m%d ", i);
        g_assert_cmpint(quirks_set(&q, "GPUPT_UNLOAD", s->str), ==, 0);
        g_assert_cmpuint(strv_length(q.unload), ==, 32);
}

static bool skip_without_namespace(void) {
        if (!namespace_error)
                return false;
        g_test_skip(namespace_error);
        return true;
}

static void lookup(const char *modalias, const char *driver, Quirks *ret) {
        _cleanup_(quirk_db_freep) QuirkDb *db = NULL;

        g_assert_cmpint(quirk_db_new(&db), ==, 0);
        g_assert_cmpint(quirk_db_lookup(db, modalias, driver, ret), ==, 0);
}

static void test_shipped(void) {
        _cleanup_(quirks_done) Quirks nvidia = {}, amdgpu = {}, none = {};

        if (skip_without_namespace())
                return;
        lookup("pci:v000010DEd00002684sv00001043sd000088E2bc03sc00i00", "nvidia", &nvidia);
        assert_list(nvidia.unload, "nvidia_drm nvidia_modeset nvidia_uvm nvidia");
        assert_list(nvidia.stop_units, "nvidia-persistenced.service nvidia-powerd.service nvidia-dcgm.service "
                                       "dcgm-exporter.service dcgm.service");
        assert_list(nvidia.shared_nodes, "/dev/nvidiactl /dev/nvidia-modeset /dev/nvidia-uvm /dev/nvidia-uvm-tools");
        lookup("pci:v00001002d0000744Csv00001002sd00000E3Bbc03sc00i00", "amdgpu", &amdgpu);
        assert_list(amdgpu.unload, "(none)");
        assert_list(amdgpu.shared_nodes, "/dev/kfd");
        lookup("pci:v00008086d00003E92sv00001462sd00007B16bc03sc00i00", "i915", &none);
        assert_list(none.unload, "(none)");
        assert_list(none.stop_units, "(none)");
        assert_list(none.shared_nodes, "(none)");
}

/* Ids of cards and of their neighbours in the list; a pattern that is too wide takes a reset from a card that needs it. */
static void test_shipped_rungs(void) {
        static const char *const broken_by_bus[] = { "67C0", "67C9", "67DF", "6FDF", "67E0", "67EF", "67FF", "6980", "6987",
                                                     "6995", "699F", "6860", "6864", "6869", "686F", "687F", "66A0", "66A7",
                                                     "66AF", "738C", "7310", "731F", "7340", "734F", "7360", "7362" },
                                 *const other[] = { "67C3", "67D1", "6FDE", "67E2", "67FE", "6982", "6996", "6865", "687E",
                                                    "66A5", "738D", "7311", "7361", "7342", "15DD", "1900", "73BF", "744C" };

        if (skip_without_namespace())
                return;
        for (size_t i = 0; i < G_N_ELEMENTS(broken_by_bus) + G_N_ELEMENTS(other); i++) {
                bool breaks = i < G_N_ELEMENTS(broken_by_bus);
                const char *id = breaks ? broken_by_bus[i] : other[i - G_N_ELEMENTS(broken_by_bus)];
                g_autofree char *modalias = g_strdup_printf("pci:v00001002d0000%ssv00001002sd00000B36bc03sc00i00", id);
                _cleanup_(quirks_done) Quirks q = {};

                lookup(modalias, "amdgpu", &q);
                assert_list(q.forbid_rungs, breaks ? "bus subordinate" : "(none)");
                assert_list(q.allow_rungs, "(none)");
        }
}

static void test_shipped_switched(void) {
        _cleanup_(quirks_done) Quirks display = {}, usb = {};

        if (skip_without_namespace())
                return;
        lookup("pci:v000010DEd00001C8Dsv00001043sd00001B30bc03sc02i00", NULL, &display);
        assert_list(display.allow_rungs, "power-cycle");
        assert_list(display.forbid_rungs, "(none)");
        lookup("pci:v000010DEd00001AD8sv00001043sd00001B30bc0Csc03i30", NULL, &usb);
        assert_list(usb.allow_rungs, "(none)");
}

static void test_card_over_driver(void) {
        static const char card[] = "pci:v00001234d00001111sv00001AF4sd00001100bc03sc80i00";
        _cleanup_(quirks_done) Quirks both = {}, driver = {}, only_card = {}, neither = {}, foreign = {};

        if (skip_without_namespace())
                return;
        lookup(card, "fast", &both);
        assert_list(both.unload, "fast");
        assert_list(both.stop_units, "c.service");
        lookup(NULL, "fast", &driver);
        assert_list(driver.stop_units, "a.service b.service");
        lookup(card, NULL, &only_card);
        assert_list(only_card.unload, "(none)");
        assert_list(only_card.stop_units, "c.service");
        lookup(NULL, NULL, &neither);
        assert_list(neither.stop_units, "(none)");
        /* Names with wildcards are names. */
        lookup("pci:v*", "*", &foreign);
        assert_list(foreign.stop_units, "(none)");
}

static void test_long_names(void) {
        _cleanup_(quirks_done) Quirks q = {};
        g_autofree char *name = g_strnfill(5000, 'a');

        lookup(name, name, &q);
        assert_list(q.unload, "(none)");
}

static void put(const char *dir, const char *name, const char *text, gssize size) {
        g_autofree char *path = g_build_filename(dir, name, NULL);

        g_assert_true(g_file_set_contents(path, text, size, NULL));
}

/* ROOT/etc/udev/hwdb.bin, from the shipped rows and those of this test. */
static void build_hwdb(const char *root) {
        g_autofree char *sources = g_build_filename(root, "etc/udev/hwdb.d", NULL);
        g_autofree char *shipped = g_test_build_filename(G_TEST_DIST, "units", "60-gpuptd.hwdb", NULL);
        g_autofree char *option = g_strdup_printf("--root=%s", root), *text = NULL;
        char *argv[] = { (char *) "systemd-hwdb", (char *) "--strict", option, (char *) "update", NULL };
        int status;

        g_assert_cmpint(g_mkdir_with_parents(sources, 0700), ==, 0);
        g_assert_true(g_file_get_contents(shipped, &text, NULL, NULL));
        put(sources, "60-gpuptd.hwdb", text, -1);
        put(sources, "70-test.hwdb", extra_records, -1);
        g_assert_true(g_spawn_sync(NULL, argv, NULL, G_SPAWN_SEARCH_PATH, NULL, NULL, NULL, NULL, &status, NULL));
        g_assert_true(g_spawn_check_wait_status(status, NULL));
}

/* 0, or the negative errno of the step that was refused. */
static int enter_namespace(const char *root) {
        g_autofree char *udev = g_build_filename(root, "etc/udev", NULL),
                        *empty = g_build_filename(root, "etc/udev/hwdb.d", NULL);

        if (unshare(CLONE_NEWNS) < 0 && unshare(CLONE_NEWUSER | CLONE_NEWNS) < 0)
                return -errno;
        if (mount("", "/", "", MS_REC | MS_PRIVATE, NULL) < 0 || mount(udev, UDEV_DIR, "", MS_BIND, NULL) < 0)
                return -errno;
        /* libsystemd looks there first. */
        if (access(SYSTEMD_HWDB_DIR, F_OK) >= 0 && mount(empty, SYSTEMD_HWDB_DIR, "", MS_BIND, NULL) < 0)
                return -errno;
        return 0;
}

int main(int argc, char *argv[]) {
        char *root = loop_make_dir();
        int r;

        g_test_init(&argc, &argv, NULL);
        build_hwdb(root);
        r = enter_namespace(root);
        if (r < 0)
                namespace_error =
                        g_strdup_printf("No mount namespace for a hwdb of the test's own: %s", g_strerror(-r));

        g_test_add_func("/quirks/words", test_words);
        g_test_add_func("/quirks/word-limit", test_word_limit);
        g_test_add_func("/quirks/shipped", test_shipped);
        g_test_add_func("/quirks/shipped-rungs", test_shipped_rungs);
        g_test_add_func("/quirks/shipped-switched", test_shipped_switched);
        g_test_add_func("/quirks/card-over-driver", test_card_over_driver);
        g_test_add_func("/quirks/long-names", test_long_names);
        r = g_test_run();

        if (!namespace_error)
                (void) umount2(UDEV_DIR, MNT_DETACH);
        loop_remove_dir(root);
        g_free(namespace_error);
        return r;
}
