/* SPDX-License-Identifier: GPL-2.0-or-later */

#include "snapshot-builder.h"

#include <glib.h>

/* Which modules the kernel would find for a driver's devices, besides vfio-pci. */
static const struct {
        const char *driver, *module;
} driver_modules[] = {
        { "amdgpu", "amdgpu" },
        { "i915", "i915" },
        { "nouveau", "nouveau" },
        { "nvidia", "nvidia" },
        { "radeon", "radeon" },
        { "nvidia-gpu", "i2c_nvidia_gpu" },
        { "ccp", "ccp" },
        { "snd_hda_intel", "snd_hda_intel" },
        { "snd_pci_ps", "snd_pci_ps" },
        { "xhci_hcd", "xhci_pci" },
        { "pcieport", NULL },
};

void build_strv(char ***v, const char *value) {
        g_assert_cmpint(strv_extend(v, value), ==, 0);
}

static const char *module_of(const char *driver) {
        for (size_t i = 0; i < G_N_ELEMENTS(driver_modules); i++)
                if (streq(driver_modules[i].driver, driver))
                        return driver_modules[i].module;
        return NULL;
}

static void split_into(char ***v, const char *text) {
        g_auto(GStrv) words = g_strsplit(text, " ", -1);

        for (char **w = words; *w; w++)
                if (**w)
                        build_strv(v, *w);
}

Function *build_function(Snapshot *s, const char *address, const char *ids, int group, const char *driver,
                         const char *bridges) {
        g_auto(GStrv) parts = g_strsplit_set(ids, " :", -1);
        Function *f = snapshot_add_function(s, address);

        g_assert_nonnull(f);
        g_assert_cmpuint(g_strv_length(parts), ==, 3);
        f->class = (uint32_t) strtoul(parts[0], NULL, 16);
        f->vendor = (uint16_t) strtoul(parts[1], NULL, 16);
        f->device = (uint16_t) strtoul(parts[2], NULL, 16);
        f->subsystem_vendor = 0x1043;
        f->subsystem_device = 0x8888;
        f->group = group;
        split_into(&f->bridges, strempty(bridges));
        f->detailed = true;
        f->power_control = strdup(function_is_bridge(f) ? "auto" : "on");
        f->d3cold_allowed = strdup("1");
        f->modalias = g_strdup_printf("pci:v%08Xd%08Xsv00001043sd00008888bc%02Xsc%02Xi%02X", f->vendor, f->device,
                                      f->class >> 16, f->class >> 8 & 0xff, f->class & 0xff);
        build_strv(&f->vfio_modules, "vfio_pci");
        if (driver) {
                const char *module = module_of(driver);

                f->driver = strdup(driver);
                if (module)
                        build_strv(&f->host_modules, module);
                if (!snapshot_find_driver(s, driver))
                        g_assert_cmpint(snapshot_add_driver(s, driver, module), ==, 0);
        }
        return f;
}

void build_display(Function *f, unsigned card, const char *connector_status) {
        g_autofree char *node = g_strdup_printf("/dev/dri/card%u", card);
        g_autofree char *render = g_strdup_printf("/dev/dri/renderD%u", 128 + card);
        g_autofree char *connector = g_strdup_printf("card%u-DP-1", card);

        g_assert_cmpint(function_add_node(f, node, 226, card, false), ==, 0);
        g_assert_cmpint(function_add_node(f, render, 226, 128 + card, false), ==, 0);
        if (connector_status)
                g_assert_cmpint(function_add_connector(f, connector, connector_status), ==, 0);
}

void build_sound(Function *f, unsigned card) {
        g_autofree char *name = g_strdup_printf("card%u", card), *node = g_strdup_printf("/dev/snd/controlC%u", card);

        build_strv(&f->sound_cards, name);
        g_assert_cmpint(function_add_node(f, node, 116, card, false), ==, 0);
}

void build_driver(Snapshot *s, const char *address, const char *driver) {
        Function *f = snapshot_find(s, address);

        g_assert_nonnull(f);
        if (!driver || driver_is_vfio(driver))
                f->sound_cards = strv_free(f->sound_cards);
        g_assert_cmpint(free_and_strdup(&f->driver, driver), ==, 0);
        if (driver && !snapshot_find_driver(s, driver))
                g_assert_cmpint(
                        snapshot_add_driver(s, driver, driver_is_vfio(driver) ? "vfio_pci" : module_of(driver)), ==,
                        0);
}

static Snapshot *build_new(const char *iommu) {
        Snapshot *s = snapshot_new();

        g_assert_nonnull(s);
        s->iommu = strdup(iommu);
        return s;
}

Snapshot *build_apu(void) {
        Snapshot *s = build_new("amd");

        build_function(s, "0000:00:08.1", "060400 1022:14eb", 4, "pcieport", NULL);
        build_display(build_function(s, APU, "030000 1002:1900", 18, "amdgpu", "0000:00:08.1"), 0, "disconnected");
        build_sound(build_function(s, "0000:c5:00.1", "040300 1002:1640", 19, "snd_hda_intel", "0000:00:08.1"), 0);
        build_function(s, "0000:c5:00.2", "108000 1022:15c7", 20, "ccp", "0000:00:08.1");
        build_function(s, "0000:c5:00.3", "0c0330 1022:15b9", 21, "xhci_hcd", "0000:00:08.1");
        build_function(s, "0000:c5:00.4", "0c0330 1022:15ba", 22, "xhci_hcd", "0000:00:08.1");
        build_function(s, "0000:c5:00.5", "048000 1022:15e2", 23, "snd_pci_ps", "0000:00:08.1");
        build_sound(build_function(s, "0000:c5:00.6", "040300 1022:15e3", 24, "snd_hda_intel", "0000:00:08.1"), 1);
        return s;
}

Snapshot *build_pair(void) {
        Snapshot *s = build_new("intel");
        Function *f;

        build_function(s, "0000:3a:00.0", "060400 8086:2030", 30, "pcieport", NULL);
        f = build_function(s, PAIR, "030000 10de:1b80", 31, "nvidia", "0000:3a:00.0");
        f->boot_vga = true;
        build_strv(&f->consoles, "vtcon1");
        build_sound(build_function(s, "0000:3b:00.1", "040300 10de:10f0", 31, "snd_hda_intel", "0000:3a:00.0"), 1);
        return s;
}

Snapshot *build_laptop(void) {
        Snapshot *s = build_new("intel");
        Function *f;

        build_function(s, "0000:00:01.0", "060400 8086:1901", 1, "pcieport", NULL);
        f = build_function(s, "0000:00:02.0", "030000 8086:591b", 2, "i915", NULL);
        f->boot_vga = true;
        build_display(f, 0, "connected");
        build_sound(build_function(s, "0000:00:1f.3", "040300 8086:a171", 8, "snd_hda_intel", NULL), 0);
        build_display(build_function(s, LAPTOP, "030200 10de:1c8d", 1, "nouveau", "0000:00:01.0"), 1, NULL);
        build_sound(build_function(s, "0000:01:00.1", "040300 10de:0fb9", 1, "snd_hda_intel", "0000:00:01.0"), 1);
        return s;
}

Snapshot *build_desktop(void) {
        Snapshot *s = build_new("amd");
        Function *f;

        build_function(s, "0000:00:03.1", "060400 1022:1483", 2, "pcieport", NULL);
        build_function(s, "0000:00:03.2", "060400 1022:1483", 3, "pcieport", NULL);
        build_display(build_function(s, DESKTOP, "030000 10de:1e84", 15, "nouveau", "0000:00:03.1"), 1, "connected");
        build_sound(build_function(s, "0000:08:00.1", "040300 10de:10f8", 15, "snd_hda_intel", "0000:00:03.1"), 1);
        build_function(s, "0000:08:00.2", "0c0330 10de:1ad8", 15, "xhci_hcd", "0000:00:03.1");
        build_function(s, "0000:08:00.3", "0c8000 10de:1ad9", 15, "nvidia-gpu", "0000:00:03.1");
        f = build_function(s, DESKTOP_HOST, "030000 1002:6779", 16, "radeon", "0000:00:03.2");
        f->boot_vga = true;
        build_display(f, 0, "connected");
        build_sound(build_function(s, "0000:09:00.1", "040300 1002:aa98", 16, "snd_hda_intel", "0000:00:03.2"), 0);
        return s;
}

Snapshot *build_twins(void) {
        Snapshot *s = build_new("intel");

        build_function(s, "0000:00:01.0", "060400 8086:1901", 1, "pcieport", NULL);
        build_function(s, "0000:00:01.1", "060400 8086:1905", 2, "pcieport", NULL);
        build_function(s, TWIN, "030000 10de:2204", 11, "nvidia", "0000:00:01.0");
        build_sound(build_function(s, "0000:01:00.1", "040300 10de:1aef", 11, "snd_hda_intel", "0000:00:01.0"), 0);
        build_function(s, OTHER_TWIN, "030000 10de:2204", 12, "nvidia", "0000:00:01.1");
        build_sound(build_function(s, "0000:02:00.1", "040300 10de:1aef", 12, "snd_hda_intel", "0000:00:01.1"), 1);
        return s;
}
