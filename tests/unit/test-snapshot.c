/* SPDX-License-Identifier: GPL-2.0-or-later */

/* test-snapshot: building, writing, reading and merging of snapshots; and that nothing which does not fit is read. */

#include "snapshot.h"

#include <glib.h>

static char *write_text(const Snapshot *s, size_t *ret_size) {
        char *text = NULL;
        FILE *f = open_memstream(&text, ret_size);

        g_assert_nonnull(f);
        snapshot_write(s, f);
        g_assert_cmpint(fclose(f), ==, 0);
        return text;
}

static Snapshot *read_text(const char *text) {
        Snapshot *s = NULL;

        g_assert_cmpint(snapshot_read(text, strlen(text), &s), ==, 0);
        return s;
}

static void set(char **field, const char *value) {
        g_assert_cmpint(free_and_strdup(field, value), ==, 0);
}

static void extend(char ***field, const char *value) {
        g_assert_cmpint(strv_extend(field, value), ==, 0);
}

static Snapshot *full_snapshot(void) {
        Snapshot *s = snapshot_new();
        Function *f;

        g_assert_nonnull(s);
        set(&s->iommu, "amd");
        g_assert_cmpint(snapshot_add_driver(s, "nvidia", "nvidia"), ==, 0);
        g_assert_cmpint(snapshot_add_driver(s, "pcieport", NULL), ==, 0);

        f = snapshot_add_function(s, "0000:01:00.0");
        g_assert_nonnull(f);
        f->class = 0x030000;
        f->vendor = 0x10de;
        f->device = 0x1b80;
        f->subsystem_vendor = 0x1043;
        f->subsystem_device = 0x85aa;
        f->group = 0;
        set(&f->driver, "nvidia");
        extend(&f->bridges, "0000:00:01.0");
        f->detailed = f->boot_vga = f->has_vfs = f->resets_below = true;
        set(&f->modalias, "pci:v000010DEd00001B80sv00001043sd000085AAbc03sc00i00");
        set(&f->name, "NVIDIA Corporation GP104 [GeForce \\ \"1080\"]");
        set(&f->path, "pci-0000:00:01.0-0000:01:00.0");
        set(&f->power_state, "D0");
        set(&f->runtime_status, "active");
        set(&f->power_control, "auto");
        set(&f->d3cold_allowed, "1");
        set(&f->vga_decodes, "io+mem");
        set(&f->slot, "1-2");
        extend(&f->switches, "bbswitch");
        extend(&f->host_modules, "nouveau");
        extend(&f->host_modules, "nvidia");
        extend(&f->vfio_modules, "vfio_pci");
        extend(&f->reset_methods, "flr");
        extend(&f->reset_methods, "bus");
        extend(&f->sound_cards, "card1");
        extend(&f->consoles, "vtcon1");
        extend(&f->mounted, "/mnt/a disk\nwith lines");
        extend(&f->networks, "eth0");
        g_assert_cmpint(function_add_node(f, "/dev/dri/card0", 226, 0, false), ==, 0);
        g_assert_cmpint(function_add_node(f, "/dev/nvidiactl", 195, 255, true), ==, 0);
        g_assert_cmpint(function_add_connector(f, "HDMI-A-1", "connected"), ==, 0);

        /* Comes last and belongs first. */
        f = snapshot_add_function(s, "0000:00:01.0");
        g_assert_nonnull(f);
        f->class = 0x060400;
        return s;
}

static void test_round_trip(void) {
        _cleanup_(snapshot_freep) Snapshot *s = full_snapshot(), *back = NULL;
        _cleanup_free_ char *text = NULL, *again = NULL;
        size_t size, again_size;
        Function *f;

        text = write_text(s, &size);
        g_assert_cmpint(snapshot_read(text, size, &back), ==, 0);
        again = write_text(back, &again_size);
        g_assert_cmpstr(text, ==, again);

        g_assert_cmpstr(back->iommu, ==, "amd");
        g_assert_cmpstr(snapshot_find_driver(back, "nvidia")->module, ==, "nvidia");
        g_assert_null(snapshot_find_driver(back, "pcieport")->module);
        g_assert_null(snapshot_find_driver(back, "nouveau"));
        g_assert_cmpstr(back->functions[0].address, ==, "0000:00:01.0");
        g_assert_false(back->functions[0].detailed);
        g_assert_null(back->functions[0].driver);
        g_assert_cmpint(back->functions[0].group, ==, -1);

        f = snapshot_find(back, "0000:01:00.0");
        g_assert_nonnull(f);
        g_assert_true(f->detailed && f->boot_vga && f->has_vfs && f->resets_below);
        g_assert_cmpstr(f->slot, ==, "1-2");
        g_assert_cmpstr(f->switches[0], ==, "bbswitch");
        g_assert_cmphex(f->class, ==, 0x030000);
        g_assert_cmphex(f->vendor, ==, 0x10de);
        g_assert_cmphex(f->subsystem_device, ==, 0x85aa);
        g_assert_cmpint(f->group, ==, 0);
        g_assert_cmpstr(f->name, ==, "NVIDIA Corporation GP104 [GeForce \\ \"1080\"]");
        g_assert_cmpstr(f->mounted[0], ==, "/mnt/a disk\nwith lines");
        g_assert_cmpuint(strv_length(f->reset_methods), ==, 2);
        g_assert_cmpuint(f->n_nodes, ==, 2);
        g_assert_true(f->nodes[1].shared && !f->nodes[0].shared);
        g_assert_cmpuint(f->nodes[1].minor, ==, 255);
        g_assert_cmpstr(f->connectors[0].status, ==, "connected");
}

static void test_order(void) {
        _cleanup_(snapshot_freep) Snapshot *s = snapshot_new();
        char address[PCI_ADDRESS_MAX];

        /* 2039 and 2048 have no common divisor: every slot once, in no order. */
        for (unsigned i = 0; i < 2048; i++) {
                unsigned k = i * 2039 % 2048;

                (void) snprintf(address, sizeof(address), "%04x:%02x:%02x.0", k / 1024, k / 32 % 32, k % 32);
                g_assert_nonnull(snapshot_add_function(s, address));
        }
        g_assert_cmpuint(s->n_functions, ==, 2048);
        for (size_t i = 1; i < s->n_functions; i++)
                g_assert_cmpint(pci_address_compare(&s->functions[i - 1].pci, &s->functions[i].pci), <, 0);
        for (size_t i = 0; i < s->n_functions; i++)
                g_assert_true(snapshot_find(s, s->functions[i].address) == s->functions + i);
        g_assert_null(snapshot_find(s, "0002:00:00.0"));
        g_assert_null(snapshot_find(s, "nonsense"));
        g_assert_null(snapshot_add_function(s, "01:00.0"));
}

#define HEAD "iommu none\n"
#define CARD "function 0000:01:00.0 030000 10de 1b80 1043 85aa 7 nvidia 0000:00:01.0\n"

static void test_rejects(void) {
        static const char *const texts[] = {
                "",
                "\n",
                "iommu\n",
                "iommu none",
                "iommu none none\n",
                "iommu smmu\n",
                HEAD HEAD,
                HEAD "\n",
                HEAD "unknown\n",
                HEAD "driver\n",
                HEAD "driver a/b\n",
                HEAD "driver ..\n",
                HEAD "driver \\-\n",
                HEAD "driver a b c\n",
                HEAD "driver a  b\n",
                HEAD "detailed\n",
                HEAD CARD "driver a\n",
                HEAD CARD HEAD,
                HEAD CARD CARD,
                HEAD CARD "modalias x\n",
                HEAD CARD "detailed yes\n",
                HEAD CARD "detailed\nmodalias\n",
                HEAD CARD "detailed\nmodalias x y\n",
                HEAD CARD "detailed\nmodalias x\nmodalias x\n",
                HEAD CARD "detailed\nunknown x\n",
                HEAD CARD "detailed\nnode /dev/x 1\n",
                HEAD CARD "detailed\nnode /etc/x 1 3\n",
                HEAD CARD "detailed\nnode /dev/x 1 -3\n",
                HEAD CARD "detailed\nnode /dev/x 1 4294967296\n",
                HEAD CARD "detailed\nnode /dev/x 1 3 private\n",
                HEAD CARD "detailed\nnode /dev/x 1 3 shared shared\n",
                HEAD CARD "detailed\nconnector x\n",
                HEAD CARD "detailed\nconnector x y z\n",
                HEAD "function 01:00.0 030000 10de 1b80 1043 85aa 7 nvidia\n",
                HEAD "function 0000:01:00.0 030000 10de 1b80 1043 85aa 7\n",
                HEAD "function 0000:01:00.0 1030000 10de 1b80 1043 85aa 7 nvidia\n",
                HEAD "function 0000:01:00.0 030000 110de 1b80 1043 85aa 7 nvidia\n",
                HEAD "function 0000:01:00.0 030000 0x10 1b80 1043 85aa 7 nvidia\n",
                HEAD "function 0000:01:00.0 030000 10de 1b80 1043 85aa -1 nvidia\n",
                HEAD "function 0000:01:00.0 030000 10de 1b80 1043 85aa 2147483648 nvidia\n",
                HEAD "function 0000:01:00.0 030000 10de 1b80 1043 85aa 7 ../nvidia\n",
                HEAD "function 0000:01:00.0 030000 10de 1b80 1043 85aa 7 nvidia 0000:00:01\n",
        };

        for (size_t i = 0; i < ELEMENTSOF(texts); i++) {
                Snapshot *s = NULL;

                g_test_message("%s", texts[i]);
                g_assert_cmpint(snapshot_read(texts[i], strlen(texts[i]), &s), ==, -EBADMSG);
                g_assert_null(s);
        }
        g_assert_cmpint(snapshot_read("iommu none\0\n", 12, &(Snapshot *) { NULL }), ==, -EBADMSG);
}

static void test_limits(void) {
        g_autoptr(GString) text = g_string_new(HEAD CARD "detailed\n");
        Snapshot *s = NULL;

        for (unsigned i = 0; i < 1024; i++)
                g_string_append(text, "network eth0\n");
        s = read_text(text->str);
        g_assert_cmpuint(strv_length(s->functions[0].networks), ==, 1024);
        s = snapshot_free(s);
        g_string_append(text, "network eth0\n");
        g_assert_cmpint(snapshot_read(text->str, text->len, &s), ==, -EBADMSG);

        g_string_assign(text, HEAD "function 0000:01:00.0 030000 10de 1b80 1043 85aa 7 nvidia");
        for (unsigned i = 0; i < 32; i++)
                g_string_append(text, " 0000:00:01.0");
        g_string_append_c(text, '\n');
        s = read_text(text->str);
        g_assert_cmpuint(strv_length(s->functions[0].bridges), ==, 32);
        s = snapshot_free(s);
        text->str[text->len - 1] = ' ';
        g_string_append(text, "0000:00:01.0\n");
        g_assert_cmpint(snapshot_read(text->str, text->len, &s), ==, -EBADMSG);
}

/* Cut anywhere, changed anywhere: it is read or refused, and what is read can be written. */
static void test_damage(void) {
        _cleanup_(snapshot_freep) Snapshot *s = full_snapshot();
        _cleanup_free_ char *text = NULL;
        static const char bytes[] = { '\0', '\n', ' ', '\\', '-', '0', 'f', '/', '\x7f', '\xff' };
        size_t size;

        text = write_text(s, &size);
        for (size_t i = 0; i < size; i++) {
                Snapshot *back = NULL;
                int r;

                r = snapshot_read(text, i, &back);
                if (r >= 0)
                        g_assert_cmpint(text[i - 1], ==, '\n');
                else
                        g_assert_cmpint(r, ==, -EBADMSG);
                back = snapshot_free(back);

                for (size_t j = 0; j < sizeof(bytes); j++) {
                        char saved = text[i];

                        text[i] = bytes[j];
                        r = snapshot_read(text, size, &back);
                        if (r >= 0) {
                                _cleanup_free_ char *again = NULL;
                                size_t again_size;

                                again = write_text(back, &again_size);
                                back = snapshot_free(back);
                                g_assert_cmpint(snapshot_read(again, again_size, &back), ==, 0);
                        } else
                                g_assert_cmpint(r, ==, -EBADMSG);
                        back = snapshot_free(back);
                        text[i] = saved;
                }
        }
}

static void test_merge_some(void) {
        _cleanup_(snapshot_freep) Snapshot *fresh = NULL, *s = NULL;
        char *addresses[] = { (char *) "0000:01:00.0", (char *) "0000:02:00.0", (char *) "0000:03:00.0", NULL };

        s = read_text("iommu none\ndriver old\n"
                      "function 0000:00:01.0 060400 1 1 0 0 - pcieport\n"
                      "function 0000:01:00.0 030000 10de 1b80 1043 85aa 7 nvidia\ndetailed\nname GeForce\n"
                      "function 0000:02:00.0 030000 10de 1b80 1043 85aa 8 nvidia\ndetailed\nname GeForce\n");
        fresh = read_text("iommu intel\ndriver new\n"
                          "function 0000:01:00.0 030000 10de 1b80 1043 85aa 7 vfio-pci\ndetailed\n"
                          "function 0000:03:00.0 030000 1002 1900 0 0 9 \\-\ndetailed\n");
        g_assert_cmpint(snapshot_merge(s, fresh, addresses, NULL), ==, 0);

        g_assert_cmpuint(s->n_functions, ==, 3);
        g_assert_cmpstr(s->functions[0].address, ==, "0000:00:01.0");
        g_assert_cmpstr(s->functions[1].driver, ==, "vfio-pci");
        g_assert_cmpstr(s->functions[1].name, ==, "GeForce");
        g_assert_null(snapshot_find(s, "0000:02:00.0"));
        g_assert_nonnull(snapshot_find(s, "0000:03:00.0"));
        g_assert_cmpstr(s->iommu, ==, "intel");
        g_assert_nonnull(snapshot_find_driver(s, "new"));
        g_assert_null(snapshot_find_driver(s, "old"));
        /* It can grow afterwards. */
        for (unsigned i = 0; i < 20; i++) {
                char address[PCI_ADDRESS_MAX];

                (void) snprintf(address, sizeof(address), "0001:%02x:00.0", i);
                g_assert_nonnull(snapshot_add_function(s, address));
        }
}

static void test_merge_all(void) {
        _cleanup_(snapshot_freep) Snapshot *fresh = NULL, *s = NULL;

        s = read_text("iommu none\nfunction 0000:01:00.0 030000 10de 1b80 0 0 7 \\-\ndetailed\nname GeForce\n"
                      "function 0000:02:00.0 030000 10de 1b80 0 0 7 \\-\n");
        fresh = read_text("iommu none\nfunction 0000:01:00.0 030000 1002 1900 0 0 7 \\-\n");
        g_assert_cmpint(snapshot_merge(s, fresh, NULL, NULL), ==, 0);
        g_assert_cmpuint(s->n_functions, ==, 1);
        /* Another card: not the name of the one that was there. */
        g_assert_null(s->functions[0].name);
        fresh = snapshot_free(fresh);

        fresh = read_text("iommu none\n");
        g_assert_cmpint(snapshot_merge(s, fresh, NULL, NULL), ==, 0);
        g_assert_cmpuint(s->n_functions, ==, 0);
}

static void test_words(void) {
        static const struct {
                uint32_t class;
                const char *role;
                bool display, bridge;
        } classes[] = {
                { 0x030000, "display", true, false }, { 0x030200, "display", true, false },
                { 0x038000, "display", true, false }, { 0x040300, "audio", false, false },
                { 0x040100, "other", false, false },  { 0x0c0330, "usb", false, false },
                { 0x0c8000, "ucsi", false, false },   { 0x060400, "other", false, true },
                { 0x060000, "other", false, true },   { 0x060100, "other", false, false },
                { 0x108000, "other", false, false },
        };

        for (size_t i = 0; i < ELEMENTSOF(classes); i++) {
                Function f = { .class = classes[i].class };

                g_assert_cmpstr(function_role(&f), ==, classes[i].role);
                g_assert_true(function_is_display(&f) == classes[i].display);
                g_assert_true(function_is_bridge(&f) == classes[i].bridge);
        }
        g_assert_true(driver_is_vfio("vfio-pci"));
        g_assert_true(driver_is_vfio("nvgrace-gpu-vfio-pci"));
        g_assert_true(driver_is_vfio("mlx5_vfio_pci"));
        g_assert_true(driver_is_vfio("xe-vfio-pci"));
        g_assert_false(driver_is_vfio(NULL));
        g_assert_false(driver_is_vfio(""));
        g_assert_false(driver_is_vfio("nvidia"));
        g_assert_false(driver_is_vfio("vfio"));
        g_assert_false(driver_is_vfio("myvfio-pci"));
        g_assert_false(driver_is_vfio("vfio-pci-not"));
        g_assert_false(driver_is_vfio("vfio.pci"));
}

int main(int argc, char *argv[]) {
        g_test_init(&argc, &argv, NULL);
        g_test_add_func("/snapshot/round-trip", test_round_trip);
        g_test_add_func("/snapshot/order", test_order);
        g_test_add_func("/snapshot/rejects", test_rejects);
        g_test_add_func("/snapshot/limits", test_limits);
        g_test_add_func("/snapshot/damage", test_damage);
        g_test_add_func("/snapshot/merge-some", test_merge_some);
        g_test_add_func("/snapshot/merge-all", test_merge_all);
        g_test_add_func("/snapshot/words", test_words);
        return g_test_run();
}
