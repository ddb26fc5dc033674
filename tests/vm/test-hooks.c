/* SPDX-License-Identifier: GPL-2.0-or-later */

/* test-hooks: a libvirt domain is started and stopped by virsh, and with nothing but gpuptd's hook in place the card goes to it
 * and comes back. What was detached by somebody else stays so, and a card that somebody holds refuses the start, with the
 * reason. */

#include <signal.h>
#include <stdlib.h>
#include <string.h>

#include "guest.h"

static void assert_property(const char *property, const char *wanted) {
        g_autofree char *value = gpu_get(CARD, property);

        g_assert_cmpstr(value, ==, wanted);
}

static void assert_contains(const char *text, const char *what) {
        if (!strstr(text, what))
                g_test_message("no '%s' in: %s", what, text);
        g_assert_nonnull(strstr(text, what));
}

static void assert_drivers(const char *display, const char *audio) {
        g_autofree char *a = pci_driver(CARD), *b = pci_driver(CARD_AUDIO);

        g_assert_cmpstr(a, ==, display);
        g_assert_cmpstr(b, ==, audio);
}

/* Twice: the second start finds what the first stop has left. */
static void test_there_and_back(void) {
        g_autofree char *before = machine_state();

        domain_hook_install();
        for (unsigned i = 0; i < 2; i++) {
                domain_start();
                assert_drivers("vfio-pci", "vfio-pci");
                assert_property("TakenFor", DOMAIN_NAME " (libvirt)");
                gpu_wait_state(CARD, "assigned");
                domain_stop();
                /* virsh returns when the last hook has. */
                assert_drivers("bochs-drm", "snd_hda_intel");
                assert_property("State", "host");
                assert_property("TakenFor", "");
                gpu_wait_idle(CARD);
                assert_machine_state(before);
        }
}

/* libvirt finds the functions with VFIO, and at the end gives them back itself, before release. */
static void test_managed(void) {
        g_autofree char *before = machine_state();

        domain_hook_install();
        domain_start_managed();
        gpu_wait_state(CARD, "assigned");
        assert_drivers("vfio-pci", "vfio-pci");
        domain_stop();
        assert_property("State", "host");
        assert_property("TakenFor", "");
        gpu_wait_idle(CARD);
        assert_machine_state(before);
}

/* QEMU ends by itself: nobody has called virsh. */
static void test_killed(void) {
        g_autofree char *before = machine_state(), *pid = NULL;

        domain_hook_install();
        domain_start();
        gpu_wait_state(CARD, "assigned");
        g_assert_true(g_file_get_contents("/run/libvirt/qemu/" DOMAIN_NAME ".pid", &pid, NULL, NULL));
        g_assert_cmpint(kill((pid_t) g_ascii_strtoll(pid, NULL, 10), SIGKILL), ==, 0);
        gpu_wait_state(CARD, "host");
        gpu_wait_idle(CARD);
        assert_machine_state(before);
}

static void test_held(void) {
        g_autofree char *before = machine_state(), *control = sound_control(CARD_AUDIO), *pid = NULL;
        g_autoptr(Output) refused = NULL, list = NULL;

        domain_hook_install();
        pid = g_strdup_printf("%d", stubborn_start(control));
        refused = domain_try_start();
        g_assert_cmpint(refused->status, !=, 0);
        assert_contains(refused->err, CARD " is not ready for " DOMAIN_NAME);
        assert_contains(refused->err, STUBBORN_COMMAND);
        assert_contains(refused->err, pid);
        assert_contains(refused->err, STUBBORN_UNIT);
        assert_contains(refused->err, "gpuptctl holders " CARD);
        list = command(WHO_ROOT, "virsh", "--quiet", "list", "--name", NULL);
        g_assert_null(strstr(list->out, DOMAIN_NAME));
        gpu_wait_idle(CARD);
        assert_property("State", "host");
        assert_machine_state(before);

        /* And once it lets go, it starts. */
        stubborn_stop();
        domain_start();
        gpu_wait_state(CARD, "assigned");
        domain_stop();
        assert_property("State", "host");
}

static void test_detached_before(void) {
        g_autofree char *before = machine_state();
        g_autoptr(Output) detached = NULL, attached = NULL;

        domain_hook_install();
        detached = gpuptctl(WHO_ROOT, "detach", CARD, NULL);
        assert_status(detached, 0);
        domain_start();
        gpu_wait_state(CARD, "assigned");
        assert_property("TakenFor", "");
        domain_stop();
        gpu_wait_state(CARD, "detached");
        gpu_wait_idle(CARD);
        assert_property("State", "detached");
        attached = gpuptctl(WHO_ROOT, "attach", CARD, NULL);
        assert_status(attached, 0);
        assert_machine_state(before);
}

/* Not started by the bus either: then nobody has looked at the card, and the domain does not get it. */
static void test_no_daemon(void) {
        g_autoptr(Output) refused = NULL;

        domain_hook_install();
        g_free(output_of("systemctl", "mask", "--runtime", "--now", "gpuptd.service", NULL));
        refused = domain_try_start();
        g_free(output_of("systemctl", "unmask", "--runtime", "gpuptd.service", NULL));
        g_assert_cmpint(refused->status, !=, 0);
        assert_contains(refused->err, "gpuptd does not run");
        assert_drivers("bochs-drm", "snd_hda_intel");
}

int main(int argc, char *argv[]) {
        g_test_init(&argc, &argv, NULL);
        case_add("/hooks/there-and-back", test_there_and_back);
        case_add("/hooks/managed", test_managed);
        case_add("/hooks/killed", test_killed);
        case_add("/hooks/held", test_held);
        case_add("/hooks/detached-before", test_detached_before);
        case_add("/hooks/no-daemon", test_no_daemon);
        return g_test_run();
}
