/* SPDX-License-Identifier: GPL-2.0-or-later */

/* test-owner: names of virtual machines as their managers write them, and programs that are left alone. */

#include "worker/owner.h"

#include <glib.h>
#include <sys/prctl.h>

static void test_libvirt(void) {
        g_assert_cmpstr(owner_libvirt_name("qemu-1-win10"), ==, "win10");
        g_assert_cmpstr(owner_libvirt_name("qemu-12-a-b"), ==, "a-b");
        g_assert_null(owner_libvirt_name("qemu-1-"));
        g_assert_null(owner_libvirt_name("qemu-1"));
        g_assert_null(owner_libvirt_name("qemu--win10"));
        g_assert_null(owner_libvirt_name("qemu-win10"));
        g_assert_null(owner_libvirt_name("debian"));
        g_assert_null(owner_libvirt_name(NULL));
}

static void assert_qemu(const char *cmdline, size_t size, const char *expected) {
        /* A copy of its own, so that a byte read too much is noticed. */
        g_autofree char *copy = g_memdup2(cmdline, size + 1);
        _cleanup_free_ char *name = owner_qemu_name(copy, size);

        g_assert_cmpstr(name, ==, expected);
}
#define assert_qemu_name(cmdline, expected) assert_qemu(cmdline, sizeof(cmdline) - 1, expected)

static void test_qemu(void) {
        assert_qemu_name("qemu-system-x86_64\0-name\0guest=win10,debug-threads=on\0-m\0" "8G\0", "win10");
        assert_qemu_name("qemu-system-x86_64\0-name\0win10,process=x\0", "win10");
        assert_qemu_name("qemu-system-x86_64\0-name\0win10\0", "win10");
        assert_qemu_name("qemu-system-x86_64\0-name\0debug-threads=on,guest=a b\0", "a b");
        assert_qemu_name("qemu-system-x86_64\0-name\0debug-threads=on\0", NULL);
        assert_qemu_name("qemu-system-x86_64\0-name\0guest=\0", NULL);
        assert_qemu_name("qemu-system-x86_64\0-name\0\0", NULL);
        assert_qemu_name("qemu-system-x86_64\0-name\0", NULL);
        assert_qemu_name("qemu-system-x86_64\0-name", NULL);
        assert_qemu_name("qemu-system-x86_64\0-nam\0x\0-names\0y\0", NULL);
        assert_qemu_name("", NULL);
}

static void test_protected(void) {
        static const char *const yes[] = { "Xorg", "gnome-shell", "kwin_wayland", "systemd-logind", "gpuptd", "sway",
                                           ".sway-wrapped", ".kwin_wayland-wrapped", "sddm", "systemd" };
        static const char *const no[] = { "", ".", "-wrapped", ".-wrapped", "pipewire", "swayidle", "Xor", "Xorgs", "qemu",
                                          "gnome-shell-calendar-server" };

        for (size_t i = 0; i < ELEMENTSOF(yes); i++)
                g_assert_true(owner_is_protected_name(yes[i]));
        for (size_t i = 0; i < ELEMENTSOF(no); i++)
                g_assert_false(owner_is_protected_name(no[i]));
}

/* This very process. */
static void test_self(void) {
        Holder h = { .pid = (uint32_t) getpid() };
        char comm[16] = {};

        g_assert_cmpint(prctl(PR_GET_NAME, comm), ==, 0);
        g_assert_cmpint(strv_extend(&h.nodes, "/dev/vfio/vfio"), ==, 0);
        g_assert_cmpint(owner_find(&h), ==, 0);
        g_assert_true(g_str_has_prefix(h.command, comm));
        g_assert_cmpuint(h.uid, ==, getuid());
        g_assert_false(h.is_vm);
        g_assert_false(h.protected);
        g_assert_null(h.vm_manager);

        g_assert_cmpint(strv_extend(&h.nodes, "/dev/vfio/7"), ==, 0);
        free(h.command);
        free(h.unit);
        free(h.session);
        free(h.machine);
        h.command = h.unit = h.session = h.machine = NULL;
        g_assert_cmpint(owner_find(&h), ==, 0);
        g_assert_true(h.is_vm);
        g_assert_cmpstr(h.vm_manager, ==, "process");
        g_assert_cmpstr(h.vm_name, ==, comm);

        free(h.command);
        free(h.unit);
        free(h.session);
        free(h.machine);
        free(h.vm_manager);
        free(h.vm_name);
        strv_free(h.nodes);
}

int main(int argc, char *argv[]) {
        g_test_init(&argc, &argv, NULL);
        g_test_add_func("/owner/libvirt", test_libvirt);
        g_test_add_func("/owner/qemu", test_qemu);
        g_test_add_func("/owner/protected", test_protected);
        g_test_add_func("/owner/self", test_self);
        return g_test_run();
}
