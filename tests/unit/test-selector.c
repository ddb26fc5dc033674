/* SPDX-License-Identifier: GPL-2.0-or-later */

/* test-selector: which functions make up a GPU, on the machines of the field and on those that tempt one to take too
 * much; explicit lists; and who blocks a group. */

#include "selector.h"

#include <glib.h>

/* A line of a machine: address, class, vendor and device, group, driver, bridges. */
#define F(address, class, ids, group, driver, ...) \
        "function " address " " class " " ids " 0000 0000 " group " " driver __VA_ARGS__ "\n"
#define NONE "\\-"

static const char apu[] =
        "iommu amd\n"
        F("0000:00:00.0", "060000", "1022 14e8", "0", NONE)
        F("0000:00:08.1", "060400", "1022 14eb", "4", "pcieport")
        F("0000:c5:00.0", "030000", "1002 1900", "18", "amdgpu", " 0000:00:08.1")
        F("0000:c5:00.1", "040300", "1002 1640", "19", "snd_hda_intel", " 0000:00:08.1")
        F("0000:c5:00.2", "108000", "1022 15c7", "20", "ccp", " 0000:00:08.1")
        F("0000:c5:00.3", "0c0330", "1022 15b9", "21", "xhci_hcd", " 0000:00:08.1")
        F("0000:c5:00.4", "0c0330", "1022 15ba", "22", "xhci_hcd", " 0000:00:08.1")
        F("0000:c5:00.5", "048000", "1022 15e2", "23", "snd_pci_ps", " 0000:00:08.1")
        F("0000:c5:00.6", "040300", "1022 15e3", "24", "snd_hda_intel", " 0000:00:08.1");

static const char nvidia_pair[] =
        "iommu intel\n"
        F("0000:3a:00.0", "060400", "8086 2030", "30", "pcieport")
        F("0000:3b:00.0", "030000", "10de 1b80", "31", "nvidia", " 0000:3a:00.0")
        F("0000:3b:00.1", "040300", "10de 10f0", "31", "snd_hda_intel", " 0000:3a:00.0");

static const char laptop[] =
        "iommu intel\n"
        F("0000:00:01.0", "060400", "8086 1901", "1", "pcieport")
        F("0000:00:02.0", "030000", "8086 591b", "2", "i915")
        F("0000:00:14.0", "0c0330", "8086 a12f", "3", "xhci_hcd")
        F("0000:00:1f.3", "040300", "8086 a171", "8", "snd_hda_intel")
        F("0000:01:00.0", "030200", "10de 1c8d", "1", "nvidia", " 0000:00:01.0")
        F("0000:01:00.1", "040300", "10de 0fb9", "1", "snd_hda_intel", " 0000:00:01.0");

static const char desktop[] =
        "iommu amd\n"
        F("0000:00:03.1", "060400", "1022 1483", "2", "pcieport")
        F("0000:00:03.2", "060400", "1022 1483", "3", "pcieport")
        F("0000:08:00.0", "030000", "10de 1e84", "15", "nouveau", " 0000:00:03.1")
        F("0000:08:00.1", "040300", "10de 10f8", "15", "snd_hda_intel", " 0000:00:03.1")
        F("0000:08:00.2", "0c0330", "10de 1ad8", "15", "xhci_hcd", " 0000:00:03.1")
        F("0000:08:00.3", "0c8000", "10de 1ad9", "15", "nvidia-gpu", " 0000:00:03.1")
        F("0000:09:00.0", "030000", "1002 6779", "16", "radeon", " 0000:00:03.2")
        F("0000:09:00.1", "040300", "1002 aa98", "16", "snd_hda_intel", " 0000:00:03.2");

static const char twins[] =
        "iommu intel\n"
        F("0000:00:01.0", "060400", "8086 1901", "1", "pcieport")
        F("0000:00:01.1", "060400", "8086 1905", "1", "pcieport")
        F("0000:01:00.0", "030000", "10de 2204", "1", "nvidia", " 0000:00:01.0")
        F("0000:01:00.1", "040300", "10de 1aef", "1", "snd_hda_intel", " 0000:00:01.0")
        F("0000:02:00.0", "030000", "10de 2204", "1", "nvidia", " 0000:00:01.1")
        F("0000:02:00.1", "040300", "10de 1aef", "1", "snd_hda_intel", " 0000:00:01.1");

/* A card with a switch of its own: the audio is in another slot below it. */
static const char card_switch[] =
        "iommu intel\n"
        F("0000:00:01.0", "060400", "8086 460d", "1", "pcieport")
        F("0000:00:1f.3", "040300", "8086 7ad0", "9", "snd_hda_intel")
        F("0000:01:00.0", "060400", "8086 4fa1", "16", "pcieport", " 0000:00:01.0")
        F("0000:02:01.0", "060400", "8086 4fa4", "17", "pcieport", " 0000:01:00.0 0000:00:01.0")
        F("0000:02:04.0", "060400", "8086 4fa4", "18", "pcieport", " 0000:01:00.0 0000:00:01.0")
        F("0000:03:00.0", "030000", "8086 56a0", "19", "i915", " 0000:02:01.0 0000:01:00.0 0000:00:01.0")
        F("0000:04:00.0", "040300", "8086 4f90", "20", "snd_hda_intel", " 0000:02:04.0 0000:01:00.0 0000:00:01.0");

/* A switch on the mainboard, with two cards and a sound card of the same make below it. */
static const char board_switch[] =
        "iommu intel\n"
        F("0000:01:00.0", "060400", "10b5 8747", "16", "pcieport", " 0000:00:01.0")
        F("0000:02:08.0", "060400", "10b5 8747", "17", "pcieport", " 0000:01:00.0 0000:00:01.0")
        F("0000:02:10.0", "060400", "10b5 8747", "18", "pcieport", " 0000:01:00.0 0000:00:01.0")
        F("0000:02:11.0", "060400", "10b5 8747", "18", "pcieport", " 0000:01:00.0 0000:00:01.0")
        F("0000:03:00.0", "030000", "10de 2204", "19", "nvidia", " 0000:02:08.0 0000:01:00.0 0000:00:01.0")
        F("0000:03:00.1", "040300", "10de 1aef", "19", "snd_hda_intel", " 0000:02:08.0 0000:01:00.0 0000:00:01.0")
        F("0000:04:00.0", "030000", "10de 2204", "20", "nvidia", " 0000:02:10.0 0000:01:00.0 0000:00:01.0")
        F("0000:04:00.1", "040300", "10de 1aef", "20", "snd_hda_intel", " 0000:02:10.0 0000:01:00.0 0000:00:01.0")
        F("0000:05:00.0", "040300", "10de 0000", "21", "snd_hda_intel", " 0000:02:11.0 0000:01:00.0 0000:00:01.0");

/* Radeons of old have a second head; i915 has virtual functions. */
static const char heads[] =
        "iommu none\n"
        F("0000:00:02.0", "030000", "8086 46a6", "1", "i915")
        F("0000:00:02.1", "030000", "8086 46a6", "2", NONE)
        F("0000:00:02.2", "030000", "8086 46a6", "3", NONE)
        F("0000:01:00.0", "030000", "1002 7240", "4", "radeon", " 0000:00:01.0")
        F("0000:01:00.1", "038000", "1002 7260", "4", NONE, " 0000:00:01.0");

/* Audio of another make in the display's slot: its own where the IOMMU says so. */
static const char strangers[] =
        "iommu amd\n"
        F("0000:05:00.0", "030000", "1002 1900", "7", "amdgpu")
        F("0000:05:00.1", "040300", "1022 15e3", "7", "snd_hda_intel")
        F("0000:05:00.2", "0c0330", "1022 15b9", "7", "xhci_hcd")
        F("0000:05:00.3", "040300", "1022 15e3", "8", "snd_hda_intel")
        F("0000:06:00.0", "040300", "1002 1640", "7", "snd_hda_intel")
        F("0000:07:00.0", "030000", "1002 1900", "-", "amdgpu")
        F("0000:07:00.1", "040300", "1022 15e3", "-", "snd_hda_intel");

static Snapshot *read_machine(const char *text) {
        Snapshot *s = NULL;

        g_assert_cmpint(snapshot_read(text, strlen(text), &s), ==, 0);
        return s;
}

static char *join(char *const *v) {
        return v ? g_strjoinv(" ", (char **) v) : g_strdup("");
}

static void test_companions(void) {
        static const struct {
                const char *machine, *display, *functions;
        } cases[] = {
                { apu, "0000:c5:00.0", "0000:c5:00.0 0000:c5:00.1" },
                { nvidia_pair, "0000:3b:00.0", "0000:3b:00.0 0000:3b:00.1" },
                { laptop, "0000:01:00.0", "0000:01:00.0 0000:01:00.1" },
                { laptop, "0000:00:02.0", "0000:00:02.0" },
                { desktop, "0000:08:00.0", "0000:08:00.0 0000:08:00.1 0000:08:00.2 0000:08:00.3" },
                { desktop, "0000:09:00.0", "0000:09:00.0 0000:09:00.1" },
                { twins, "0000:01:00.0", "0000:01:00.0 0000:01:00.1" },
                { twins, "0000:02:00.0", "0000:02:00.0 0000:02:00.1" },
                { card_switch, "0000:03:00.0", "0000:03:00.0 0000:04:00.0" },
                { board_switch, "0000:03:00.0", "0000:03:00.0 0000:03:00.1" },
                { board_switch, "0000:04:00.0", "0000:04:00.0 0000:04:00.1" },
                { heads, "0000:00:02.0", "0000:00:02.0" },
                { heads, "0000:00:02.1", "0000:00:02.1" },
                { heads, "0000:01:00.0", "0000:01:00.0 0000:01:00.1" },
                { strangers, "0000:05:00.0", "0000:05:00.0 0000:05:00.1" },
                { strangers, "0000:07:00.0", "0000:07:00.0" },
        };

        for (size_t i = 0; i < ELEMENTSOF(cases); i++) {
                _cleanup_(snapshot_freep) Snapshot *s = read_machine(cases[i].machine);
                _cleanup_strv_free_ char **v = NULL;
                g_autofree char *joined = NULL;

                g_assert_cmpint(selector_companions(s, snapshot_find(s, cases[i].display), &v), ==, 0);
                joined = join(v);
                g_assert_cmpstr(joined, ==, cases[i].functions);
        }
}

static void test_is_gpu(void) {
        static const struct {
                const char *machine, *display;
                bool is_gpu;
        } cases[] = {
                { apu, "0000:c5:00.0", true },       { twins, "0000:01:00.0", true },   { twins, "0000:02:00.0", true },
                { heads, "0000:00:02.0", true },     { heads, "0000:00:02.1", true },   { heads, "0000:00:02.2", true },
                { heads, "0000:01:00.0", true },     { heads, "0000:01:00.1", false },
        };

        for (size_t i = 0; i < ELEMENTSOF(cases); i++) {
                _cleanup_(snapshot_freep) Snapshot *s = read_machine(cases[i].machine);

                g_assert_true(selector_is_gpu(s, snapshot_find(s, cases[i].display)) == cases[i].is_gpu);
        }
}

static void test_explicit(void) {
        static const struct {
                const char *machine, *display, *entries;
                int r;
                const char *functions;
        } cases[] = {
                { apu, "0000:c5:00.0", ".1 .5 .6", 0, "0000:c5:00.0 0000:c5:00.1 0000:c5:00.5 0000:c5:00.6" },
                { apu, "0000:c5:00.0", ".6 .0 .6 .1", 0, "0000:c5:00.0 0000:c5:00.1 0000:c5:00.6" },
                { apu, "0000:c5:00.0", "1002:1640", 0, "0000:c5:00.0 0000:c5:00.1" },
                { apu, "0000:c5:00.0", "0000:c5:00.3 c5:00.4", 0, "0000:c5:00.0 0000:c5:00.3 0000:c5:00.4" },
                { apu, "0000:c5:00.0", "", 0, "0000:c5:00.0" },
                { apu, "0000:c5:00.0", ".7", -ENODEV, NULL },
                { apu, "0000:c5:00.0", ".8", -EINVAL, NULL },
                { apu, "0000:c5:00.0", ".", -EINVAL, NULL },
                { apu, "0000:c5:00.0", ".1x", -EINVAL, NULL },
                { apu, "0000:c5:00.0", "c5:00", -EINVAL, NULL },
                { apu, "0000:c5:00.0", "0000:c6:00.0", -ENODEV, NULL },
                { apu, "0000:c5:00.0", "10de:1b80", -ENODEV, NULL },
                { apu, "0000:c5:00.0", "1022:14eb", -ENODEV, NULL }, /* exists, neither in the slot nor in the group */
                { apu, "0000:c5:00.0", "1002:164", -EINVAL, NULL },
                { apu, "0000:c5:00.0", "1002:1640:", -EINVAL, NULL },
                { apu, "0000:c5:00.0", "audio", -EINVAL, NULL },
                { twins, "0000:02:00.0", "10de:1aef", -ENOTUNIQ, NULL }, /* both are in the group */
                { twins, "0000:02:00.0", ".1", 0, "0000:02:00.0 0000:02:00.1" },
                { desktop, "0000:08:00.0", "10DE:10F8", 0, "0000:08:00.0 0000:08:00.1" },
        };

        for (size_t i = 0; i < ELEMENTSOF(cases); i++) {
                _cleanup_(snapshot_freep) Snapshot *s = read_machine(cases[i].machine);
                g_auto(GStrv) entries = g_strsplit(cases[i].entries, " ", -1);
                _cleanup_strv_free_ char **v = NULL;
                g_autofree char *joined = NULL;

                g_test_message("%s of %s", cases[i].entries, cases[i].display);
                g_assert_cmpint(selector_explicit(s, snapshot_find(s, cases[i].display), entries, &v), ==, cases[i].r);
                if (cases[i].r < 0) {
                        g_assert_null(v);
                        continue;
                }
                joined = join(v);
                g_assert_cmpstr(joined, ==, cases[i].functions);
        }
}

static void test_blockers(void) {
        static const char machine[] =
                "iommu intel\n"
                F("0000:00:01.0", "060400", "8086 1901", "1", "pcieport")
                F("0000:00:01.1", "060400", "8086 1905", "1", "shpchp")
                F("0000:00:1f.0", "060100", "8086 7a04", "1", "lpc_ich")
                F("0000:01:00.0", "030000", "10de 2204", "1", "nvidia")
                F("0000:01:00.1", "040300", "10de 1aef", "1", "snd_hda_intel")
                F("0000:02:00.0", "020000", "10ec 8168", "1", "r8169")
                F("0000:02:00.1", "020000", "10ec 8168", "1", "vfio-pci")
                F("0000:02:00.2", "020000", "10ec 8168", "1", "pci-stub")
                F("0000:02:00.3", "020000", "10ec 8168", "1", NONE)
                F("0000:02:00.4", "020000", "10ec 8168", "1", "mlx5_vfio_pci")
                F("0000:03:00.0", "020000", "10ec 8168", "2", "r8169")
                F("0000:04:00.0", "030000", "10de 2204", "-", "nvidia")
                F("0000:05:00.0", "020000", "10ec 8168", "-", "r8169");
        static const struct {
                const char *functions, *blockers;
        } cases[] = {
                { "0000:01:00.0 0000:01:00.1", "0000:00:1f.0 (lpc_ich) 0000:02:00.0 (r8169)" },
                { "0000:01:00.0", "0000:00:1f.0 (lpc_ich) 0000:01:00.1 (snd_hda_intel) 0000:02:00.0 (r8169)" },
                { "0000:03:00.0", "" },
                { "0000:04:00.0", "" }, /* no group is nobody's */
                { "0000:0f:00.0", "" },
                { "", "" },
        };

        for (size_t i = 0; i < ELEMENTSOF(cases); i++) {
                _cleanup_(snapshot_freep) Snapshot *s = read_machine(machine);
                g_auto(GStrv) functions = g_strsplit(cases[i].functions, " ", -1);
                _cleanup_strv_free_ char **v = NULL;
                g_autofree char *joined = NULL;

                g_assert_cmpint(selector_blockers(s, functions, &v), ==, 0);
                joined = join(v);
                g_assert_cmpstr(joined, ==, cases[i].blockers);
        }
}

int main(int argc, char *argv[]) {
        g_test_init(&argc, &argv, NULL);
        g_test_add_func("/selector/companions", test_companions);
        g_test_add_func("/selector/is-gpu", test_is_gpu);
        g_test_add_func("/selector/explicit", test_explicit);
        g_test_add_func("/selector/blockers", test_blockers);
        return g_test_run();
}
