/* SPDX-License-Identifier: GPL-2.0-or-later */

/* test-survey: what is read from the text of files, the worker's verb on this very machine, and surveys back and forth. */

#include "worker-driver.h"

#include "worker/survey-parse.h"

typedef int (*parser_t)(Survey *s, const char *file, char *text);

/* Every setting that is read, "LINE KIND SUBJECT VALUE", one a line. */
static void assert_parsed(parser_t parse, const char *text, const char *expected) {
        _cleanup_(survey_freep) Survey *s = survey_new();
        g_autofree char *copy = g_strdup(text);
        g_autoptr(GString) found = g_string_new(NULL);

        g_assert_cmpint(parse(s, "/f", copy), ==, 0);
        for (size_t i = 0; i < s->n_settings; i++) {
                g_assert_cmpstr(s->settings[i].file, ==, "/f");
                g_string_append_printf(found, "%u %s %s %s\n", s->settings[i].line, setting_kind_to_string(s->settings[i].kind),
                                       s->settings[i].subject, s->settings[i].value);
        }
        g_assert_cmpstr(found->str, ==, expected);
}

static void test_modprobe(void) {
        assert_parsed(survey_parse_modprobe,
                      "# blacklist a\n"
                      "blacklist nouveau\n"
                      "\n"
                      "options vfio-pci ids=10de:1e84 \\\n"
                      "  disable_vga=1  \n"
                      "\tsoftdep nouveau pre: vfio-pci\n"
                      "install nvidia-drm /bin/false\r\n"
                      "alias pci:v000010DE* off\n"
                      "remove x y\n"
                      "blacklist\n"
                      "load x\n"
                      "xorg-driver x\n"
                      "blacklist last",
                      "2 blacklist nouveau \n"
                      "4 options vfio_pci ids=10de:1e84    disable_vga=1\n"
                      "6 softdep nouveau pre: vfio-pci\n"
                      "7 install nvidia_drm /bin/false\n"
                      "8 alias pci:v000010DE* off\n"
                      "13 blacklist last \n");
        assert_parsed(survey_parse_modprobe, "", "");
        assert_parsed(survey_parse_modprobe, "\\", "");
        assert_parsed(survey_parse_modprobe, "blacklist a\\", "1 blacklist a\\ \n");
}

static void test_load(void) {
        assert_parsed(survey_parse_load, "# comment\n; comment\nvfio-pci ids=10de:1e84\n\n vfio_virqfd \nloop",
                      "3 load vfio_pci ids=10de:1e84\n5 load vfio_virqfd \n6 load loop \n");
}

static void test_initramfs(void) {
        assert_parsed(survey_parse_initramfs,
                      "# MODULES=(no)\n"
                      "MODULES=(vfio_pci vfio-virqfd)\n"
                      "HOOKS=(base udev)\n"
                      "add_drivers+=\" vfio vfio_iommu_type1 \" # not this\n",
                      "2 load vfio_pci \n2 load vfio_virqfd \n4 load vfio \n4 load vfio_iommu_type1 \n");
}

static void test_xorg(void) {
        assert_parsed(survey_parse_xorg,
                      "Section \"OutputClass\"\n"
                      "  Driver \"nvidia\"\n"
                      "EndSection\n"
                      "section \"device\"\n"
                      "  Driver \"nvidia\"\n"
                      "  # BusID \"PCI:1:0:0\"\n"
                      "  BUSID   \"PCI:8:0:0\"\n"
                      "endsection\n"
                      "BusID \"PCI:9:0:0\"\n"
                      "Section \"Device\n"
                      "  Driver nothing\n",
                      "5 xorg-driver nvidia \n7 xorg-bus-id PCI:8:0:0 \n");
}

static void test_lists(void) {
        static const char dep[] = "kernel/drivers/vfio/vfio.ko.xz:\n"
                                  "kernel/drivers/vfio/pci/vfio-pci.ko.xz: kernel/drivers/vfio/pci/vfio-pci-core.ko.xz\n"
                                  "updates/dkms/vendor-reset.ko: kernel/x/bbswitch.ko\n";

        g_assert_true(survey_list_has_module(dep, "vfio"));
        g_assert_true(survey_list_has_module(dep, "vfio_pci"));
        g_assert_true(survey_list_has_module(dep, "vendor_reset"));
        g_assert_false(survey_list_has_module(dep, "vfio_pci_core"));
        g_assert_false(survey_list_has_module(dep, "bbswitch"));
        g_assert_false(survey_list_has_module(dep, "vendor"));
        g_assert_false(survey_list_has_module("", "vfio"));
        g_assert_false(survey_list_has_module("\n\nvfio", "vfio"));
        g_assert_true(survey_list_has_module("vfio.ko", "vfio"));
}

static void test_attributes(void) {
        static const char resource[] = "0x00000000f6000000 0x00000000f6ffffff 0x0000000000040200\n"
                                       "0x00000000e0000000 0x00000000efffffff 0x000000000014220c\n"
                                       "0x0000000000000000 0x0000000000000000 0x0000000000000000\n"
                                       "junk\n";

        g_assert_cmpuint(survey_bar_size(resource, 0), ==, 16 << 20);
        g_assert_cmpuint(survey_bar_size(resource, 1), ==, 256 << 20);
        g_assert_cmpuint(survey_bar_size(resource, 2), ==, 0);
        g_assert_cmpuint(survey_bar_size(resource, 3), ==, 0);
        g_assert_cmpuint(survey_bar_size(resource, 5), ==, 0);

        g_assert_true(survey_has_direct_region("0x0 0x1 msi\n0x00000000000e0000 0x00000000000fffff direct\n"));
        g_assert_false(survey_has_direct_region("0x0 0xfff direct-relaxable\n0xfee00000 0xfeefffff msi\n"));
        g_assert_false(survey_has_direct_region(""));
        g_assert_true(survey_has_direct_region("0x0 0xfff direct"));
}

/* ---- surveys ---- */

static int read_text(const char *text, Survey **ret) {
        return survey_read(text, strlen(text), ret);
}

static void test_round_trip(void) {
        static const char text[] = "release 6.1\n"
                                   "cmdline a\\x20b\n"
                                   "cpu GenuineIntel\n"
                                   "sleep mem\n"
                                   "mem-sleep [deep]\n"
                                   "gate /usr/lib/g\n"
                                   "gate-masked /etc/g\n"
                                   "persistenced 7 \\-\n"
                                   "module vfio_pci loaded\n"
                                   "parameter vfio_pci disable_idle_d3 N\n"
                                   "setting blacklist /etc/x 3 nouveau \\-\n"
                                   "driverctl 0000:01:00.0 vfio-pci\n"
                                   "bar 0000:01:00.0 1 268435456\n"
                                   "direct 0000:01:00.0\n"
                                   "incomplete /etc/y\n";
        _cleanup_(survey_freep) Survey *s = NULL;
        g_autofree char *again = NULL;
        size_t size;
        FILE *f = open_memstream(&again, &size);

        g_assert_cmpint(read_text(text, &s), ==, 0);
        g_assert_cmpint(survey_module(s, "vfio_pci"), ==, MODULE_LOADED);
        g_assert_cmpint(survey_module(s, "other"), ==, MODULE_MISSING);
        g_assert_cmpstr(survey_parameter(s, "vfio_pci", "disable_idle_d3"), ==, "N");
        g_assert_null(survey_parameter(s, "vfio_pci", "other"));
        survey_write(s, f);
        g_assert_cmpint(fclose(f), ==, 0);
        g_assert_cmpstr(again, ==, text);
}

static void test_refused(void) {
        static const char *const bad[] = {
                "nonsense x\n",           "release\n",
                "release a b\n",          "release a\nrelease b\n",
                "gate a b\n",             "gate-masked a\ngate-masked b\n",
                "module vfio_pci\n",      "module vfio_pci gone\n",
                "bar 0000:01:00.0 6 1\n", "bar here 0 1\n",
                "bar 0000:01:00.0 0 -1\n", "setting frob /f 1 a b\n",
                "setting load /f x a b\n", "persistenced 0 a\n",
                "persistenced 1 a\npersistenced 2 a\n", "direct 1\n",
                "driverctl 01:00.0 x\n",  "release unfinished",
        };

        for (size_t i = 0; i < G_N_ELEMENTS(bad); i++) {
                Survey *s = NULL;

                g_test_message("%s", bad[i]);
                g_assert_cmpint(read_text(bad[i], &s), ==, -EBADMSG);
                g_assert_null(s);
        }
}

static void test_limits(void) {
        _cleanup_(survey_freep) Survey *s = survey_new(), *read = NULL;
        g_autofree char *long_word = g_strnfill(5000, '\n'), *text = NULL;
        g_autoptr(GString) many = g_string_new(NULL);
        size_t size;
        FILE *f = open_memstream(&text, &size);

        /* What is too long is cut, and what was cut can be read. */
        g_assert_cmpint(survey_set_text(&s->cmdline, long_word), ==, 0);
        g_assert_cmpint(survey_add_setting(s, SETTING_OPTIONS, long_word, UINT32_MAX, long_word, long_word), ==, 0);
        for (unsigned i = 1; i < SURVEY_ENTRIES_MAX; i++)
                g_assert_cmpint(survey_add_setting(s, SETTING_LOAD, "/f", i, "m", ""), ==, 0);
        g_assert_cmpint(survey_add_setting(s, SETTING_LOAD, "/f", 1, "m", ""), ==, -E2BIG);
        survey_write(s, f);
        g_assert_cmpint(fclose(f), ==, 0);
        g_assert_cmpint(read_text(text, &read), ==, 0);
        g_assert_cmpuint(read->n_settings, ==, SURVEY_ENTRIES_MAX);
        g_assert_cmpuint(strlen(read->cmdline), ==, SURVEY_TEXT_MAX);

        for (unsigned i = 0; i <= SURVEY_ENTRIES_MAX; i++)
                g_string_append(many, "module m loaded\n");
        read = survey_free(read);
        g_assert_cmpint(read_text(many->str, &read), ==, -EBADMSG);
}

/* ---- the verb, on whatever this machine is ---- */

static void test_verb(void) {
        g_autofree char *answer = driver_run("survey - 0000:00:00.0 ffff:ff:1f.7");
        _cleanup_(survey_freep) Survey *s = NULL;

        g_assert_true(g_str_has_prefix(answer, "begin 1\n"));
        g_assert_true(g_str_has_suffix(answer, "ok 1\n"));
        g_assert_cmpint(survey_read(answer + strlen("begin 1\n"), strlen(answer) - strlen("begin 1\nok 1\n"), &s), ==, 0);
        g_assert_nonnull(s->release);
        g_assert_nonnull(s->cmdline);
        g_assert_cmpuint(s->n_modules, >, 0);
}

static void test_verb_refuses(void) {
        static const char *const wrong[] = { "survey x", "survey - 01:00.0", "survey - ../../etc" };

        for (size_t i = 0; i < G_N_ELEMENTS(wrong); i++) {
                g_autofree char *answer = driver_run(wrong[i]);

                g_assert_nonnull(strstr(answer, "error 1 22 "));
        }
}

int main(int argc, char *argv[]) {
        g_test_init(&argc, &argv, NULL);
        g_test_add_func("/survey/parse/modprobe", test_modprobe);
        g_test_add_func("/survey/parse/load", test_load);
        g_test_add_func("/survey/parse/initramfs", test_initramfs);
        g_test_add_func("/survey/parse/xorg", test_xorg);
        g_test_add_func("/survey/parse/lists", test_lists);
        g_test_add_func("/survey/parse/attributes", test_attributes);
        g_test_add_func("/survey/round-trip", test_round_trip);
        g_test_add_func("/survey/refused", test_refused);
        g_test_add_func("/survey/limits", test_limits);
        g_test_add_func("/survey/verb", test_verb);
        g_test_add_func("/survey/verb-refuses", test_verb_refuses);
        return g_test_run();
}
