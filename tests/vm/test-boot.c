/* SPDX-License-Identifier: GPL-2.0-or-later */

/* test-boot: a card that is to be with VFIO from the boot on, in a machine that has booted so: its files lie there from the beginning
 * (lay-vfio/). What follows from a boot cannot be restored, so this is one case, and a boot of its own. With gpuptd=off on the
 * kernel's command line the same files do nothing. */

#include <string.h>
#include <unistd.h>

#include "guest.h"

#define RULES "/etc/udev/rules.d/79-gpuptd-defaults.rules"

static bool has_option(const char *option) {
        g_autofree char *line = NULL;
        g_auto(GStrv) words = NULL;

        g_assert_true(g_file_get_contents("/proc/cmdline", &line, NULL, NULL));
        words = g_strsplit(g_strchomp(line), " ", -1);
        return g_strv_contains((const char *const *) words, option);
}

static void assert_drivers(const char *display, const char *audio) {
        g_autofree char *is_display = pci_driver(CARD), *is_audio = pci_driver(CARD_AUDIO);

        g_assert_cmpstr(is_display, ==, display);
        g_assert_cmpstr(is_audio, ==, audio);
}

static void assert_property(const char *property, const char *wanted) {
        g_autofree char *value = gpu_get(CARD, property);

        g_assert_cmpstr(value, ==, wanted);
}

static void assert_gpuptctl(int status, const char *verb) {
        g_autoptr(Output) o = gpuptctl(WHO_ROOT, verb, CARD, NULL);

        assert_status(o, status);
}

static char *rules(void) {
        char *text = NULL;

        return g_file_get_contents(RULES, &text, NULL, NULL) ? text : NULL;
}

static bool is_gone(const void *path) {
        return access(path, F_OK) < 0;
}

/* In the sandbox that it really has. This boot has come to its end; one that comes after two that have not gives the card back. */
static void fall_back(void) {
        g_autofree char *text = NULL;
        g_autoptr(Output) check = NULL;

        wait_until(is_gone, "/var/lib/gpuptd/boots", "the boot to be at its end");
        g_assert_true(g_file_set_contents("/var/lib/gpuptd/boots", "2 another\n", -1, NULL));
        g_free(output_of("systemctl", "stop", "gpuptd.service", NULL));
        g_free(output_of("systemctl", "restart", "gpuptd-restore.service", NULL));
        assert_drivers("bochs-drm", "snd_hda_intel");
        text = rules();
        g_assert_null(text);
        daemon_start();
        gpu_wait_state(CARD, "host");
        assert_property("Default", "host");
        check = gpuptctl(WHO_ROOT, "check", NULL);
        g_assert_nonnull(strstr(check->out, "default.fallback"));
}

/* The driver of the host is there, and did not get the card; a second card with the same kind of sound has its own. */
static void test_vfio(void) {
        g_autofree char *before = rules(), *after = NULL, *boot_audio = pci_driver(BOOT_AUDIO);
        NestedVm *vm;

        assert_drivers("vfio-pci", "vfio-pci");
        g_assert_cmpstr(boot_audio, ==, "snd_hda_intel");
        daemon_start();
        gpu_wait_state(CARD, "detached");
        assert_property("Default", "vfio");
        vm = nested_start(CARD, CARD_AUDIO, NULL);
        gpu_wait_state(CARD, "assigned");
        nested_stop(vm);
        gpu_wait_state(CARD, "detached");

        /* Nobody has recorded where it came from: the kernel knows. And the next boot is as this one was. */
        assert_gpuptctl(0, "attach");
        assert_drivers("bochs-drm", "snd_hda_intel");
        assert_gpuptctl(0, "detach");
        assert_drivers("vfio-pci", "vfio-pci");
        after = rules();
        g_assert_cmpstr(before, ==, after);
        fall_back();
}

/* Somebody wants the screen back. */
static void test_off(void) {
        assert_drivers("bochs-drm", "snd_hda_intel");
        daemon_start();
        gpu_wait_state(CARD, "host");
        assert_property("Default", "vfio");
        assert_gpuptctl(1, "detach");
        assert_drivers("bochs-drm", "snd_hda_intel");
}

int main(int argc, char *argv[]) {
        g_test_init(&argc, &argv, NULL);
        if (has_option("gpuptd=off"))
                g_test_add_func("/boot/off", test_off);
        else
                g_test_add_func("/boot/vfio", test_vfio);
        return g_test_run();
}
