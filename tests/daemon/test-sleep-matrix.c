/* SPDX-License-Identifier: GPL-2.0-or-later */

/* test-sleep-matrix: every policy of a VM with every policy of its card, times what may have become of the card
 * when the host has woken. What holds for all of them: the daemon says "done" if and only if the VM runs and the
 * card is where it was; a VM is not let loose on a card that is not well; nothing unfinished is left on disk;
 * and when the card has been put right, the next sleep is a good one. */

#include "sleep-fixture.h"

typedef struct Event {
        const char *name;
        void (*happen)(Scene *s);
        void (*put_right)(Scene *s);
        bool cured; /* by the daemon alone */
} Event;

static void nothing(Scene *s) {
}

static bool is_there(Scene *s) {
        return sim_exists(s->m, "bus/pci/devices/" CARD);
}

static void unplug(Scene *s) {
        bool known = is_there(s);

        sim_unplug(s->m, CARD);
        if (known)
                sim_wait_known(s->m, CARD, false);
}

static void plug(Scene *s) {
        sim_plug(s->m, CARD);
        sim_wait_known(s->m, CARD, true);
}

static void die(Scene *s) {
        (void) sim_command(s->m, "die " CARD);
}

static void revive(Scene *s) {
        (void) sim_command(s->m, "revive " CARD);
}

/* Whatever has it. */
static void unbind(Scene *s) {
        const char *driver = is_there(s) ? sim_driver_of(s->m, CARD) : NULL;
        g_autofree char *path = g_strdup_printf("bus/pci/drivers/%s/unbind", driver ?: "");

        if (driver)
                g_assert_cmpint(sim_write(s->m, path, CARD), ==, 0);
}

static const Event events[] = {
        { "nothing", nothing, nothing, true },
        { "gone", unplug, plug, false },
        { "dead", die, revive, false },
        { "unbound", unbind, nothing, true },
};

static void sleep_through(const char *vm_policy, const char *gpu_policy, const Event *e) {
        g_autofree char *policy = g_strdup_printf("VirtualMachine=%s\nGpu=%s", vm_policy, gpu_policy);
        bool ends = g_str_equal(vm_policy, "hibernate") || g_str_equal(vm_policy, "shutdown");
        g_autoptr(Scene) s = sleep_scene(policy);
        g_autoptr(SimRecorder) signals = NULL;
        const char *error;
        pid_t vm = vm_opens(s);

        g_test_message("VM %s, card %s: %s", vm_policy, gpu_policy, e->name);
        vm_can("s3 s4 restart");
        g_assert_cmpstr(gate(s, "PrepareSleep"), ==, "");
        /* A card that a VM has open keeps it from leaving: the kernel waits for the VM. */
        if (ends || e->happen == nothing || e->happen == die)
                e->happen(s);
        error = gate(s, "FinishSleep");
        g_assert_cmpstr(last_sleep(s, "result"), ==, *error ? "failed" : "done");
        g_assert_false(g_file_test("/var/lib/gpuptd/sleep", G_FILE_TEST_EXISTS));
        if (e->cured || (!ends && e->happen != die)) {
                g_assert_cmpstr(error, ==, "");
                g_assert_cmpstr(vm_state(s), ==, "running");
                assert_drivers(s, "vfio-pci", CARD, AUDIO, NULL);
        } else {
                g_assert_cmpstr(error, ==, "Failed");
                g_assert_cmpstr(vm_state(s), !=, "running");
                assert_has(last_sleep(s, ""), "was not let loose on");
        }

        if (!ends)
                sim_let_go(s->m, vm);
        if (ends || e->happen == die)
                e->put_right(s);
        vm_says("running");
        g_assert_cmpstr(manager_call(s, "Rescan", NULL, ""), ==, "");
        if (!e->cured && (ends || e->happen == die))
                assert_end(s, run_job(s, "Recover", CARD, ""), "done", "");
        /* A plug gives it to the host's driver. */
        assert_end(s, detach(s, CARD, ""), "done", "");
        wait_state(s, CARD, "detached");
        signals = sim_recorder_new(s->m);
        g_assert_true(sim_suspend(s->m));
        g_assert_cmpstr(host_job_end(s, signals), ==, "done");
        g_assert_cmpstr(host_job_end(s, signals), ==, "done");
        g_assert_cmpstr(last_sleep(s, "result"), ==, "done");
}

static void test_matrix(gconstpointer data) {
        static const char *const cards[] = { "keep", "unbind", "host", "remove" };

        for (size_t i = 0; i < G_N_ELEMENTS(cards); i++)
                for (size_t k = 0; k < G_N_ELEMENTS(events); k++) {
                        bool ends = g_str_equal(data, "hibernate") || g_str_equal(data, "shutdown");

                        /* Of a card that its VM keeps, its own policy says nothing. */
                        if (ends || i < 2)
                                sleep_through(data, cards[i], events + k);
                }
}

int main(int argc, char *argv[]) {
        sim_init(&argc, &argv);
        g_test_add_data_func("/sleep-matrix/pause", "pause", test_matrix);
        g_test_add_data_func("/sleep-matrix/suspend", "suspend", test_matrix);
        g_test_add_data_func("/sleep-matrix/hibernate", "hibernate", test_matrix);
        g_test_add_data_func("/sleep-matrix/shutdown", "shutdown", test_matrix);
        return g_test_run();
}
