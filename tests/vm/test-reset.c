/* SPDX-License-Identifier: GPL-2.0-or-later */

/* test-reset: each way to reset a card that the machine's cards have, on the real kernel, which is asked what it has done; and
 * cards that are not well, as far as an emulated one can be ill, and get well. */

#include <fcntl.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "dbus/names.h"
#include "guest.h"

static void assert_contains(const char *text, const char *what) {
        if (!strstr(text, what))
                g_test_message("no '%s' in: %s", what, text);
        g_assert_nonnull(strstr(text, what));
}

static void assert_lacks(const char *text, const char *what) {
        if (strstr(text, what))
                g_test_message("'%s' in: %s", what, text);
        g_assert_null(strstr(text, what));
}

static void assert_property(const char *address, const char *property, const char *wanted) {
        g_autofree char *value = gpu_get(address, property);

        g_assert_cmpstr(value, ==, wanted);
}

static void assert_driver(const char *address, const char *wanted) {
        g_autofree char *driver = pci_driver(address);

        g_assert_cmpstr(driver, ==, wanted);
}

/* A verb of gpuptctl's that has to succeed. */
static void move(const char *verb, const char *gpu) {
        g_autoptr(Output) o = gpuptctl(WHO_ROOT, verb, "--disrupt-session", gpu, NULL);

        assert_status(o, 0);
}

/* A file among gpuptd's configuration, which is gone with machine_restore(). */
static void configure(const char *name, const char *text) {
        g_autofree char *path = g_build_filename(GPUPT_RUN_DIR, name, NULL);

        g_assert_true(g_file_set_contents(path, text, -1, NULL));
        g_free(output_of("gpuptctl", "reload", NULL));
}

static char *recover(const char *gpu) {
        g_autoptr(Output) o = gpuptctl(WHO_ROOT, "recover", "--disrupt-session", gpu, NULL);

        assert_status(o, 0);
        assert_property(gpu, "Health", "ok");
        return gpu_last_job(gpu, "message");
}

/* ---- What the kernel has done */

/* Its resets of a function are called to probe for them as well: that is the second argument (drivers/pci/pci.c
 * pci_reset_fn_methods[]). */
typedef struct Event {
        const char *name, *probe, *filter;
} Event;

static const Event events[] = {
        { "flr", "pcie_reset_flr probe=%si:u8", "probe == 0" },
        { "pm", "pci_pm_reset probe=%si:u8", "probe == 0" },
        { "bus", "pcibios_reset_secondary_bus", NULL },
};

#define TRACING "/sys/kernel/tracing"

static void watch_kernel(void) {
        g_autoptr(Output) mounted = command(WHO_ROOT, "mountpoint", "-q", TRACING, NULL);

        if (mounted->status != 0)
                g_free(output_of("mount", "-t", "tracefs", "tracefs", TRACING, NULL));
        for (unsigned i = 0; i < G_N_ELEMENTS(events); i++) {
                const Event *e = events + i;
                g_autofree char *definition = g_strdup_printf("p:gpupt/%s %s", e->name, e->probe);
                g_autofree char *directory = g_build_filename(TRACING "/events/gpupt", e->name, NULL);
                g_autofree char *filter = g_build_filename(directory, "filter", NULL);
                g_autofree char *enable = g_build_filename(directory, "enable", NULL);

                if (access(directory, F_OK) < 0)
                        g_assert_cmpint(sysfs_write(TRACING "/kprobe_events", definition), ==, 0);
                if (e->filter)
                        g_assert_cmpint(sysfs_write(filter, e->filter), ==, 0);
                g_assert_cmpint(sysfs_write(enable, "1"), ==, 0);
        }
}

static void forget_events(void) {
        int fd = open(TRACING "/trace", O_WRONLY | O_TRUNC | O_CLOEXEC);

        g_assert_cmpint(fd, >=, 0);
        close(fd);
}

static bool kernel_did(const char *event) {
        g_autofree char *text = NULL, *mark = g_strdup_printf(": %s: (", event);

        g_assert_true(g_file_get_contents(TRACING "/trace", &text, NULL, NULL));
        return strstr(text, mark);
}

/* A function that was removed and found again is another object of the kernel's. */
static ino_t object_of(const char *address) {
        g_autofree char *path = g_build_filename("/sys/bus/pci/devices", address, NULL);
        struct stat st;

        g_assert_cmpint(stat(path, &st), ==, 0);
        return st.st_ino;
}

/* ---- Each rung */

typedef struct Card {
        const char *display, *audio, *port;
} Card;

static const Card card = { CARD, CARD_AUDIO, CARD_PORT }, boot = { BOOT, BOOT_AUDIO, BOOT_PORT };

/* `event`: what the kernel has to do in it, NULL if nothing of the kind. */
static void assert_reset(const Card *c, const char *method, const char *event, bool removes, bool removes_port) {
        g_autofree char *option = g_strdup_printf("--method=%s", method), *result = NULL;
        ino_t display = object_of(c->display), audio = object_of(c->audio), port = object_of(c->port);
        g_autoptr(Output) o = NULL;

        g_test_message("%s by %s", c->display, method);
        forget_events();
        o = gpuptctl(WHO_ROOT, "reset", "--disrupt-session", option, c->display, NULL);
        assert_status(o, 0);
        for (unsigned i = 0; i < G_N_ELEMENTS(events); i++)
                g_assert_cmpint(kernel_did(events[i].name), ==, event && g_str_equal(event, events[i].name));
        g_assert_cmpint(object_of(c->display) != display, ==, removes);
        g_assert_cmpint(object_of(c->audio) != audio, ==, removes);
        g_assert_cmpint(object_of(c->port) != port, ==, removes_port);
        assert_property(c->display, "Health", "ok");
}

static void assert_refused(const Card *c, const char *method, const char *why) {
        g_autofree char *option = g_strdup_printf("--method=%s", method);
        g_autoptr(Output) o = gpuptctl(WHO_ROOT, "reset", "--disrupt-session", option, c->display, NULL);

        assert_status(o, 1);
        assert_contains(o->err, why);
}

static void assert_resets_of_card(const char *state) {
        g_autofree char *before = machine_state();

        assert_reset(&card, "wake", NULL, false, false);
        assert_machine_state(before);
        assert_refused(&card, "flr", "does not offer");
        /* Listed, and not there, since it has a sibling (drivers/pci/pci.c pci_parent_bus_reset()). */
        assert_refused(&card, "bus", "although it lists it");
        assert_machine_state(before);
        assert_reset(&card, "subordinate", "bus", false, false);
        assert_machine_state(before);
        assert_reset(&card, "remove-rescan", NULL, true, false);
        assert_machine_state(before);
        assert_reset(&card, "bridge", NULL, true, true);
        assert_machine_state(before);
        assert_property(CARD, "State", state);
}

static void test_card(void) {
        watch_kernel();
        assert_resets_of_card("host");
}

/* The same once it is detached; it stays so, and then it can go home. */
static void test_card_detached(void) {
        g_autofree char *before = machine_state();

        watch_kernel();
        move("detach", CARD);
        assert_resets_of_card("detached");
        move("attach", CARD);
        assert_machine_state(before);
}

/* The kernel takes no list back that has `bus` in it, once it knows the sibling. */
static void use_true_methods(void) {
        g_assert_cmpint(pci_write(BOOT, "reset_method", "default"), ==, 0);
}

static void assert_boot_state(const char *before) {
        use_true_methods();
        assert_machine_state(before);
}

static void test_boot(void) {
        g_autofree char *before = NULL;

        watch_kernel();
        use_true_methods();
        before = machine_state();
        assert_reset(&boot, "wake", NULL, false, false);
        assert_machine_state(before);
        assert_reset(&boot, "flr", "flr", false, false);
        assert_machine_state(before);
        assert_reset(&boot, "pm", "pm", false, false);
        assert_machine_state(before);
        assert_reset(&boot, "subordinate", "bus", false, false);
        assert_machine_state(before);
        assert_reset(&boot, "remove-rescan", NULL, true, false);
        assert_boot_state(before);
        assert_reset(&boot, "bridge", NULL, true, true);
        assert_boot_state(before);
}

static void test_boot_detached(void) {
        g_autofree char *first = NULL, *before = NULL;

        watch_kernel();
        use_true_methods();
        first = machine_state();
        move("detach", BOOT);
        before = machine_state();
        assert_reset(&boot, "wake", NULL, false, false);
        assert_reset(&boot, "flr", "flr", false, false);
        assert_reset(&boot, "pm", "pm", false, false);
        assert_reset(&boot, "subordinate", "bus", false, false);
        assert_machine_state(before);
        /* The disks need virtio-pci, and the kernel would bind it inside the rescan. */
        assert_refused(&boot, "remove-rescan", "is needed by another device");
        assert_machine_state(before);
        move("attach", BOOT);
        assert_machine_state(first);
}

/* ---- Cards that are not well */

/* The reset that is listed is none, the next one does not help, the third one does; and that is where the next recovery begins. */
static void test_next_rung(void) {
        g_autofree char *before = machine_state(), *first = NULL, *second = NULL;

        g_assert_cmpint(pci_write(CARD, "driver/unbind", CARD), ==, 0);
        first = recover(CARD);
        assert_contains(first, "bus: failed");
        assert_contains(first, "subordinate: had no effect");
        assert_contains(first, "remove-rescan: helped");
        assert_machine_state(before);

        g_assert_cmpint(pci_write(CARD, "driver/unbind", CARD), ==, 0);
        second = recover(CARD);
        assert_contains(second, "is well again, by remove-rescan");
        assert_lacks(second, "bus: failed");
        assert_machine_state(before);
}

/* Whoever names no reset gets the weakest that the card has, not one that it only lists. */
static void test_unnamed(void) {
        g_autofree char *before = machine_state(), *message = NULL;

        watch_kernel();
        forget_events();
        move("reset", CARD);
        g_assert_true(kernel_did("bus"));
        message = gpu_last_job(CARD, "message");
        assert_contains(message, "was reset by subordinate");
        assert_machine_state(before);
}

/* A function that sleeps although it is to be awake, and whom the kernel believes awake. */
static void test_asleep(void) {
        g_autofree char *before = NULL, *message = NULL, *state = NULL;

        use_true_methods();
        before = machine_state();
        g_free(output_of("setpci", "-s", BOOT, "CAP_PM+4.w=3:3", NULL));
        message = recover(BOOT);
        assert_contains(message, "wake: failed");
        assert_contains(message, "is well again, by flr");
        state = output_of("setpci", "-s", BOOT, "CAP_PM+4.w", NULL);
        g_assert_cmpstr(state, ==, "0000");
        assert_machine_state(before);
}

/* One conversation with the VGA arbiter about BOOT; what it says of it. */
static char *arbiter(const char *request) {
        int fd = open("/dev/vga_arbiter", O_RDWR | O_CLOEXEC);
        char text[256] = "";

        g_assert_cmpint(fd, >=, 0);
        g_assert_cmpint(write(fd, "target PCI:" BOOT, strlen("target PCI:" BOOT)), >, 0);
        if (request)
                g_assert_cmpint(write(fd, request, strlen(request)), >, 0);
        g_assert_cmpint(read(fd, text, sizeof(text) - 1), >, 0);
        close(fd);
        return g_strdup(text);
}

static void assert_decodes(const char *request, const char *wanted) {
        g_autofree char *text = arbiter(request), *decodes = g_strdup_printf(",decodes=%s,", wanted);

        assert_contains(text, decodes);
}

/* By whoever has the card, an attach, or a recovery, which need not take it from its driver. */
static void test_decodes(void) {
        g_autofree char *before = machine_state(), *message = NULL;

        assert_decodes("decodes none", "none");
        message = recover(BOOT);
        assert_contains(message, "by wake");
        assert_decodes(NULL, "io+mem");
        assert_machine_state(before);

        move("detach", BOOT);
        g_assert_cmpint(pci_write(BOOT, "driver/unbind", BOOT), ==, 0);
        assert_decodes("decodes none", "none");
        move("attach", BOOT);
        assert_decodes(NULL, "io+mem");
        gpu_wait_health(BOOT, "ok");
        assert_machine_state(before);
}

/* ---- Cards that go */

static void test_surprise(void) {
        g_free(outer_qmp(PLUG_CARD));
        gpu_wait_state(PLUGGED, "host");
        move("detach", PLUGGED);
        g_free(outer_qmp(UNPLUG_CARD));
        gpu_wait_state(PLUGGED, "absent");
        g_free(outer_qmp(PLUG_CARD));
        /* It has come back to the host's driver, as a new card does. */
        gpu_wait_state(PLUGGED, "host");
        g_free(recover(PLUGGED));
        move("detach", PLUGGED);
        move("attach", PLUGGED);
        gpu_wait_health(PLUGGED, "ok");
}

/* A port that has forgotten which bus is below it: nothing there answers. */
static void cut_off(void) {
        g_free(output_of("setpci", "-s", PLUGGED_PORT, "SECONDARY_BUS=0", "SUBORDINATE_BUS=0", NULL));
}

static void test_bridge_needed(void) {
        g_autoptr(Output) failed = NULL, reset = NULL;
        g_autofree char *message = NULL;

        g_free(outer_qmp(PLUG_CARD));
        gpu_wait_state(PLUGGED, "host");
        cut_off();
        failed = gpuptctl(WHO_ROOT, "recover", PLUGGED, NULL);
        assert_status(failed, 1);
        assert_contains(failed->err, "--method=): bridge");
        assert_property(PLUGGED, "Health", "dead");

        reset = gpuptctl(WHO_ROOT, "reset", "--method=bridge", PLUGGED, NULL);
        assert_status(reset, 0);
        assert_driver(PLUGGED, "bochs-drm");
        assert_property(PLUGGED, "State", "host");
        assert_property(PLUGGED, "Health", "ok");

        /* Where somebody has said so, a recovery does it unasked. */
        configure("plugged.gpu", "[Match]\nAddress=" PLUGGED "\n[Reset]\nLadder=remove-rescan bridge\n");
        cut_off();
        message = recover(PLUGGED);
        assert_contains(message, "is well again, by bridge");
}

/* ---- Calls that hang */

/* Everything but the card is as usable as ever. */
static void assert_others_go_on(void) {
        g_autoptr(Output) list = gpuptctl(WHO_STRANGER, "list", NULL), status = gpuptctl(WHO_STRANGER, "status", CARD, NULL);

        assert_status(list, 0);
        assert_status(status, 0);
        assert_contains(status->out, NESTED_NAME);
        assert_reset(&boot, "flr", "flr", false, false);
        move("detach", BOOT);
        move("attach", BOOT);
}

/* Somebody removes a card from the bus that a VM has open. It is under the one lock that every removal and every rescan on the host
 * takes (drivers/pci/probe.c pci_lock_rescan_remove()). */
static void test_foreign_remove(void) {
        g_autoptr(Output) removed = NULL, refused = NULL, stuck = NULL;
        g_autofree char *result = NULL;
        NestedVm *vm;
        Child *shell;

        watch_kernel();
        configure("gpuptd.conf", "[Daemon]\nStepTimeoutSec=15\n");
        move("detach", CARD);
        vm = nested_start(CARD, CARD_AUDIO, NULL);
        gpu_wait_state(CARD, "assigned");
        shell = child_start(WHO_ROOT, "sh", "-c", "echo 1 > /sys/bus/pci/devices/" CARD "/remove", NULL);
        gpu_wait_state(CARD, "stuck");
        assert_others_go_on();
        refused = gpuptctl(WHO_ROOT, "recover", CARD, NULL);
        assert_status(refused, 6);

        /* What needs the lock hangs as well, says so, and is taken back when it can be. */
        stuck = gpuptctl(WHO_ROOT, "reset", "--disrupt-session", "--method=remove-rescan", BOOT, NULL);
        assert_status(stuck, 6);
        assert_property(BOOT, "State", "stuck");

        nested_stop(vm);
        removed = child_wait(shell);
        assert_status(removed, 0);
        gpu_wait_state(CARD, "absent");
        gpu_wait_state(BOOT, "host");
        gpu_wait_idle(BOOT);
        result = gpu_last_job(BOOT, "result");
        g_assert_cmpstr(result, ==, "failed");
        g_free(recover(BOOT));
        g_free(recover(CARD));
        move("attach", CARD);
        assert_property(CARD, "State", "host");
}

/* gpuptd itself takes the card away while the VM is being stopped, as far as the guest lets go; this one never does. */
static void test_phases(void) {
        g_autofree char *before = machine_state(), *error = NULL, *job = NULL;
        NestedVm *vm;

        watch_kernel();
        error = gpu_phase(CARD, "pre-start");
        g_assert_null(error);
        gpu_wait_idle(CARD);
        assert_property(CARD, "State", "detached");
        vm = nested_start(CARD, CARD_AUDIO, NULL);
        gpu_wait_state(CARD, "assigned");
        error = gpu_phase(CARD, "pre-stop");
        g_assert_null(error);
        assert_others_go_on();
        job = gpu_get(CARD, "Job");
        g_assert_cmpstr(job, !=, "/");

        nested_kill(vm);
        gpu_wait_idle(CARD);
        gpu_wait_state(CARD, "absent");
        error = gpu_phase(CARD, "post-stop");
        g_assert_null(error);
        gpu_wait_idle(CARD);
        assert_property(CARD, "State", "detached");
        assert_property(CARD, "Health", "ok");
        move("attach", CARD);
        assert_machine_state(before);
}

/* ---- VMs that end hard */

static void test_killed_vm(void) {
        g_autofree char *before = machine_state();
        NestedVm *vm;

        move("detach", CARD);
        vm = nested_start(CARD, CARD_AUDIO, NULL);
        gpu_wait_state(CARD, "assigned");
        nested_kill(vm);
        gpu_wait_state(CARD, "detached");
        gpu_wait_health(CARD, "ok");
        gpu_wait_idle(CARD);
        assert_property(CARD, "State", "detached");

        configure("card.gpu", "[Match]\nAddress=" CARD "\n[Gpu]\nAfterVm=attach\n");
        vm = nested_start(CARD, CARD_AUDIO, NULL);
        gpu_wait_state(CARD, "assigned");
        nested_kill(vm);
        gpu_wait_state(CARD, "host");
        gpu_wait_health(CARD, "ok");
        gpu_wait_idle(CARD);
        assert_machine_state(before);
}

/* ---- The last one: the whole host sleeps for it */

static void test_suspend_cycle(void) {
        g_autofree char *before = machine_state(), *slept = NULL, *slept_after = NULL;

        watch_kernel();
        g_assert_true(g_file_get_contents("/sys/power/suspend_stats/success", &slept, NULL, NULL));
        assert_reset(&card, "suspend-cycle", NULL, true, false);
        g_assert_true(g_file_get_contents("/sys/power/suspend_stats/success", &slept_after, NULL, NULL));
        g_assert_cmpstr(slept, !=, slept_after);
        assert_machine_state(before);
}

int main(int argc, char *argv[]) {
        g_test_init(&argc, &argv, NULL);
        case_add("/reset/card", test_card);
        case_add("/reset/card-detached", test_card_detached);
        case_add("/reset/boot", test_boot);
        case_add("/reset/boot-detached", test_boot_detached);
        case_add("/reset/next-rung", test_next_rung);
        case_add("/reset/unnamed", test_unnamed);
        case_add("/reset/asleep", test_asleep);
        case_add("/reset/decodes", test_decodes);
        case_add("/reset/surprise", test_surprise);
        case_add("/reset/bridge-needed", test_bridge_needed);
        case_add("/reset/killed-vm", test_killed_vm);
        case_add("/reset/phases", test_phases);
        case_add("/reset/foreign-remove", test_foreign_remove);
        case_add("/reset/suspend-cycle", test_suspend_cycle);
        return g_test_run();
}
