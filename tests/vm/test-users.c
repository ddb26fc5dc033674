/* SPDX-License-Identifier: GPL-2.0-or-later */

/* test-users: who may do what, by real polkit and logind. */

#include <string.h>
#include <unistd.h>

#include "guest.h"

static void assert_state(const char *wanted) {
        g_autofree char *state = gpu_get(CARD, "State");

        g_assert_cmpstr(state, ==, wanted);
}

/* Without a session and without an agent nobody can be asked: refused, while reads are free. */
static void test_stranger(void) {
        g_autofree char *before = machine_state();
        g_autoptr(Output) list = gpuptctl(WHO_STRANGER, "list", NULL);
        g_autoptr(Output) plan = gpuptctl(WHO_STRANGER, "detach", "--dry-run", CARD, NULL);
        g_autoptr(Output) detach = gpuptctl(WHO_STRANGER, "detach", CARD, NULL);
        g_autoptr(Output) run = gpuptctl(WHO_STRANGER, "run", CARD, "--", "true", NULL);

        assert_status(list, 0);
        assert_status(plan, 0);
        assert_status(detach, 4);
        assert_status(run, 4);
        assert_state("host");
        assert_machine_state(before);
}

static void test_stranger_attach(void) {
        g_autoptr(Output) detach = gpuptctl(WHO_ROOT, "detach", CARD, NULL);
        g_autoptr(Output) attach = gpuptctl(WHO_STRANGER, "attach", CARD, NULL);

        assert_status(detach, 0);
        assert_status(attach, 4);
        assert_state("detached");
}

static void test_active_session(void) {
        g_autoptr(Output) detach = NULL, attach = NULL;

        desktop_start();
        detach = gpuptctl(WHO_DESKTOP, "detach", CARD, NULL);
        assert_status(detach, 0);
        assert_state("detached");
        attach = gpuptctl(WHO_DESKTOP, "attach", CARD, NULL);
        assert_status(attach, 0);
        assert_state("host");
}

/* What would end somebody's work, or the session, is not for everybody who sits there. */
static void test_force_is_for_admins(void) {
        g_autofree char *control = sound_control(CARD_AUDIO);
        g_autoptr(Output) forced = NULL, disrupt = NULL;

        desktop_start();
        (void) stubborn_start(control);
        forced = gpuptctl(WHO_DESKTOP, "detach", "--force", CARD, NULL);
        assert_status(forced, 4);
        disrupt = gpuptctl(WHO_DESKTOP, "detach", "--disrupt-session", BOOT, NULL);
        assert_status(disrupt, 4);
        assert_state("host");
}

/* A user's own QEMU, as that user, for as long as it runs; the card comes back by itself. */
static void test_run(void) {
        static const char qemu[] = "exec qemu-system-x86_64 -name own -accel tcg -M q35 -m 128 -nodefaults -display none -vga none "
                                   "-device vfio-pci,host=" CARD " -device vfio-pci,host=" CARD_AUDIO " -monitor none -serial none "
                                   "-qmp unix:/run/user/1000/own.qmp,server=on,wait=off";
        g_autofree char *before = NULL;
        g_autoptr(Output) ended = NULL;
        Child *run;

        desktop_start();
        before = machine_state();
        run = child_start(WHO_DESKTOP, "gpuptctl", "--no-ask-password", "run", CARD, "--", "sh", "-c", qemu, NULL);
        gpu_wait_state(CARD, "assigned");
        {
                g_autofree char *vm = gpu_get(CARD, "VirtualMachine");
                g_autoptr(Output) owner = command(WHO_ROOT, "pgrep", "-u", "user", "-x", "qemu-system-x86", NULL);

                g_assert_cmpstr(vm, ==, "qemu own");
                assert_status(owner, 0);
        }
        g_free(output_of("pkill", "-x", "qemu-system-x86", NULL));
        ended = child_wait(run);
        gpu_wait_state(CARD, "host");
        gpu_wait_idle(CARD);
        assert_machine_state(before);
}

int main(int argc, char *argv[]) {
        g_test_init(&argc, &argv, NULL);
        case_add("/users/stranger", test_stranger);
        case_add("/users/stranger-attach", test_stranger_attach);
        case_add("/users/active-session", test_active_session);
        case_add("/users/force-is-for-admins", test_force_is_for_admins);
        case_add("/users/run", test_run);
        return g_test_run();
}
