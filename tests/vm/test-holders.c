/* SPDX-License-Identifier: GPL-2.0-or-later */

/* test-holders: a card that somebody uses. A desktop is asked and lets go, a VM is respected, a stubborn program is named, and
 * what a shell breaks heals by itself. */

#include <signal.h>
#include <string.h>

#include "guest.h"

static void assert_property(const char *address, const char *property, const char *wanted) {
        g_autofree char *value = gpu_get(address, property);

        g_assert_cmpstr(value, ==, wanted);
}

static void detach(void) {
        g_autoptr(Output) o = gpuptctl(WHO_ROOT, "detach", CARD, NULL);

        assert_status(o, 0);
        assert_property(CARD, "State", "detached");
}

static void attach(void) {
        g_autoptr(Output) o = gpuptctl(WHO_ROOT, "attach", CARD, NULL);

        assert_status(o, 0);
        assert_property(CARD, "State", "host");
}

static void assert_contains(const char *text, const char *what) {
        if (!strstr(text, what))
                g_test_message("no '%s' in: %s", what, text);
        g_assert_nonnull(strstr(text, what));
}

/* ---- A desktop */

static bool taken_again(const void *userdata) {
        g_autofree char *control = sound_control(CARD_AUDIO);

        return control && desktop_holds(control);
}

static void test_desktop(void) {
        g_autofree char *before = NULL, *control = sound_control(CARD_AUDIO);
        g_autoptr(GArray) holders = NULL;
        pid_t wireplumber;

        desktop_start();
        before = machine_state();
        holders = holders_of(control);
        g_assert_cmpuint(holders->len, ==, 1);
        wireplumber = g_array_index(holders, pid_t, 0);

        detach();
        /* Asked, not ended: and the other card, which nobody asked for, is still its own. */
        g_assert_cmpint(kill(wireplumber, 0), ==, 0);
        attach();
        wait_until(taken_again, NULL, "WirePlumber to take the card again");
        g_assert_cmpint(kill(wireplumber, 0), ==, 0);
        assert_machine_state(before);
}

/* A detach that fails later gives the sound back to the desktop. */
static void test_desktop_undo(void) {
        g_autofree char *before = NULL, *drm = NULL, *pcm = NULL;
        g_autoptr(Output) o = NULL;

        desktop_start();
        before = machine_state();
        (void) stubborn_start("/dev/snd/hwC0D0");
        o = gpuptctl(WHO_ROOT, "detach", "--wait=2", CARD, NULL);
        assert_status(o, 5);
        wait_until(taken_again, NULL, "WirePlumber to take the card again");
        assert_machine_state(before);
}

/* ---- VMs */

static void assert_respected(const char *name) {
        g_autoptr(Output) refused = gpuptctl(WHO_ROOT, "attach", CARD, NULL);
        g_autoptr(Output) status = gpuptctl(WHO_ROOT, "status", CARD, NULL);
        g_autofree char *driver = pci_driver(CARD);

        assert_status(refused, 5);
        assert_contains(refused->err, name);
        assert_status(status, 0);
        assert_contains(status->out, name);
        g_assert_cmpstr(driver, ==, "vfio-pci");
        assert_property(CARD, "State", "assigned");
}

static void test_nested_vm(void) {
        g_autofree char *before = machine_state();
        NestedVm *vm;

        detach();
        vm = nested_start(CARD, CARD_AUDIO, NULL);
        gpu_wait_state(CARD, "assigned");
        assert_property(CARD, "VirtualMachine", "qemu " NESTED_NAME);
        assert_respected(NESTED_NAME);
        nested_stop(vm);
        gpu_wait_state(CARD, "detached");
        attach();
        assert_machine_state(before);
}

static void test_libvirt_domain(void) {
        g_autofree char *before = machine_state();

        detach();
        domain_start();
        gpu_wait_state(CARD, "assigned");
        assert_property(CARD, "VirtualMachine", "libvirt " DOMAIN_NAME);
        assert_respected(DOMAIN_NAME);
        domain_stop();
        gpu_wait_state(CARD, "detached");
        attach();
        assert_machine_state(before);
}

/* ---- A stubborn program */

static void test_stubborn(void) {
        g_autofree char *before = machine_state(), *control = sound_control(CARD_AUDIO), *pid_text = NULL;
        pid_t pid = stubborn_start(control);
        g_autoptr(Output) refused = gpuptctl(WHO_ROOT, "detach", "--wait=3", CARD, NULL);
        g_autoptr(Output) holders = gpuptctl(WHO_ROOT, "holders", CARD, NULL);

        pid_text = g_strdup_printf("%d", pid);
        assert_status(refused, 5);
        assert_contains(refused->err, pid_text);
        assert_contains(refused->err, STUBBORN_COMMAND);
        assert_contains(refused->err, STUBBORN_UNIT);
        assert_contains(holders->out, pid_text);
        assert_contains(holders->out, STUBBORN_UNIT);
        assert_property(CARD, "State", "host");
        g_assert_cmpint(kill(pid, 0), ==, 0);
        assert_machine_state(before);
}

static void test_force(void) {
        g_autofree char *before = machine_state(), *control = sound_control(CARD_AUDIO);
        g_autoptr(Output) forced = NULL;

        (void) stubborn_start(control);
        forced = gpuptctl(WHO_ROOT, "detach", "--wait=2", "--force", CARD, NULL);
        assert_status(forced, 0);
        assert_property(CARD, "State", "detached");
        attach();
        assert_machine_state(before);
}

/* While a job waits for holders, a second one on the GPU is refused, everything else is answered, and it can be cancelled. */
static void test_cancel(void) {
        g_autofree char *before = machine_state(), *control = sound_control(CARD_AUDIO);
        g_autoptr(Output) started = NULL, second = NULL, list = NULL, jobs = NULL, cancelled = NULL;
        g_autofree char *job = NULL, *result = NULL;

        (void) stubborn_start(control);
        started = gpuptctl(WHO_ROOT, "detach", "--wait=600", "--no-block", CARD, NULL);
        assert_status(started, 0);
        job = gpu_get(CARD, "Job");
        g_assert_true(g_str_has_prefix(job, "/org/gpupt1/job/"));
        second = gpuptctl(WHO_ROOT, "detach", CARD, NULL);
        assert_status(second, 5);
        list = gpuptctl(WHO_ROOT, "list", NULL);
        assert_status(list, 0);
        jobs = gpuptctl(WHO_ROOT, "jobs", NULL);
        assert_status(jobs, 0);
        cancelled = gpuptctl(WHO_ROOT, "cancel", strrchr(job, '/') + 1, NULL);
        assert_status(cancelled, 0);
        gpu_wait_idle(CARD);
        result = gpu_last_job(CARD, "result");
        g_assert_cmpstr(result, ==, "cancelled");
        assert_machine_state(before);
}

/* ---- What a shell breaks */

/* An unbind of a card that a VM has open does not return before the VM closes it. Nothing that gpuptd could do helps: it has to
 * say so, name who holds the card, and find it usable again when the VM is gone. */
static void test_unbind_in_use(void) {
        g_autofree char *before = machine_state();
        g_autoptr(Output) unbind = NULL, refused = NULL, status = NULL;
        NestedVm *vm;
        Child *shell;

        detach();
        vm = nested_start(CARD, CARD_AUDIO, NULL);
        gpu_wait_state(CARD, "assigned");
        shell = child_start(WHO_ROOT, "sh", "-c", "echo " CARD " > /sys/bus/pci/drivers/vfio-pci/unbind", NULL);
        gpu_wait_state(CARD, "stuck");
        status = gpuptctl(WHO_ROOT, "status", CARD, NULL);
        assert_status(status, 0);
        assert_contains(status->out, NESTED_NAME);
        refused = gpuptctl(WHO_ROOT, "attach", CARD, NULL);
        assert_status(refused, 6);

        nested_stop(vm);
        unbind = child_wait(shell);
        assert_status(unbind, 0);
        gpu_wait_state(CARD, "partial");
        attach();
        assert_machine_state(before);
}

int main(int argc, char *argv[]) {
        g_test_init(&argc, &argv, NULL);
        case_add("/holders/desktop", test_desktop);
        case_add("/holders/desktop-undo", test_desktop_undo);
        case_add("/holders/nested-vm", test_nested_vm);
        case_add("/holders/libvirt-domain", test_libvirt_domain);
        case_add("/holders/stubborn", test_stubborn);
        case_add("/holders/force", test_force);
        case_add("/holders/cancel", test_cancel);
        case_add("/holders/unbind-in-use", test_unbind_in_use);
        return g_test_run();
}
