/* SPDX-License-Identifier: GPL-2.0-or-later */

/* test-modules: what a modules.alias says of a card, in the order in which it matters. */

#include "worker/modules.h"

#include <glib.h>

#define MODALIAS "pci:v000010DEd00002342sv000010DEsd000016EBbc03sc02i00"

static const char text[] =
        "# Aliases extracted from modules themselves.\n"
        "alias fs-ext4 ext4\n"
        "alias pci:v000010DEd*sv*sd*bc03sc00i00* nouveau\n"
        "alias pci:v000010DEd*sv*sd*bc03sc02i00* nouveau\n"
        "alias pci:v000010DEd*sv*sd*bc03sc02i00* nvidia\n"
        "alias pci:v00001002d*sv*sd*bc03sc02i00* amdgpu\n"
        "alias pci:v000010DEd00002342sv*sd*bc*sc*i* nvidia\n"
        "alias pci:v*d*sv*sd*bc0[34]sc* generic\n"
        "alias vfio_pci:v*d*sv*sd*bc*sc*i* vfio_pci\n"
        "alias vfio_pci:v000010DEd*sv*sd*bc*sc*i* some_vfio_pci\n"
        "alias vfio_pci:v000010DEd00002342sv*sd*bc*sc*i* nvgrace_gpu_vfio_pci\n"
        "alias vfio_pci:v000015B3d0000101Esv*sd*bc*sc*i* mlx5_vfio_pci\n"
        "alias pci:v000010DEd*\n"
        "alias pci:v000010DEd* \n"
        "alias pci:\n"
        "alias usb:v* usbthing\n"
        "alias pci:v000010DEd*sv*sd*bc*sc*i* last";

static char *join(char *const *v) {
        return v ? g_strjoinv(" ", (char **) v) : g_strdup("");
}

static Function *add(Snapshot *s, const char *address, const char *modalias) {
        Function *f = snapshot_add_function(s, address);

        g_assert_nonnull(f);
        f->modalias = modalias ? strdup(modalias) : NULL;
        return f;
}

static void assert_modules(const Function *f, const char *host, const char *vfio) {
        g_autofree char *h = join(f->host_modules), *v = join(f->vfio_modules);

        g_assert_cmpstr(h, ==, host);
        g_assert_cmpstr(v, ==, vfio);
}

static void test_match(void) {
        _cleanup_(snapshot_freep) Snapshot *s = snapshot_new();

        (void) add(s, "0000:01:00.0", MODALIAS);
        (void) add(s, "0000:02:00.0", MODALIAS);
        (void) add(s, "0000:03:00.0", "pci:v00001002d00001900sv00000000sd00000000bc01sc00i00");
        (void) add(s, "0000:04:00.0", NULL);
        (void) add(s, "0000:05:00.0", "usb:nonsense");
        g_assert_cmpint(modules_match_text(s, text, sizeof(text) - 1), ==, 0);

        for (size_t i = 0; i < 2; i++)
                assert_modules(s->functions + i, "nouveau nvidia generic last", "nvgrace_gpu_vfio_pci some_vfio_pci vfio_pci");
        assert_modules(s->functions + 2, "", "vfio_pci");
        assert_modules(s->functions + 3, "", "");
        assert_modules(s->functions + 4, "", "");
}

/* Without the file vfio-pci is still a driver for everything. */
static void test_no_file(void) {
        _cleanup_(snapshot_freep) Snapshot *s = snapshot_new();

        (void) add(s, "0000:01:00.0", MODALIAS);
        g_assert_cmpint(modules_match_text(s, "", 0), ==, 0);
        assert_modules(s->functions, "", "vfio_pci");
}

/* However it is cut or long, it is read to its end and not beyond. */
static void test_damage(void) {
        g_autofree char *long_line = g_strnfill(100000, 'x');

        for (size_t size = 0; size <= sizeof(text) - 1; size++) {
                _cleanup_(snapshot_freep) Snapshot *s = snapshot_new();
                g_autofree char *copy = g_memdup2(text, MAX(size, (size_t) 1));

                (void) add(s, "0000:01:00.0", MODALIAS);
                g_assert_cmpint(modules_match_text(s, copy, size), ==, 0);
        }
        memcpy(long_line, "alias pci:", STRLEN("alias pci:"));
        {
                _cleanup_(snapshot_freep) Snapshot *s = snapshot_new();

                (void) add(s, "0000:01:00.0", MODALIAS);
                g_assert_cmpint(modules_match_text(s, long_line, 100000), ==, 0);
                assert_modules(s->functions, "", "vfio_pci");
        }
}

int main(int argc, char *argv[]) {
        g_test_init(&argc, &argv, NULL);
        g_test_add_func("/modules/match", test_match);
        g_test_add_func("/modules/no-file", test_no_file);
        g_test_add_func("/modules/damage", test_damage);
        return g_test_run();
}
