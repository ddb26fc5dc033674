/* SPDX-License-Identifier: GPL-2.0-or-later */

/* bench-transition: how long a card takes to vfio-pci and back, in the virtual machine: by gpuptctl (whole
 * processes, daemon, worker, polkit and all), by nothing but the writes (floor.c), by virsh and by
 * driverctl. All in one boot, one after the other in every round and in another order each time, since the
 * machine's speed changes under us; what counts is the ratio. */

#include "bench.h"
#include "floor.h"
#include "tests/vm/guest.h"

#define ROUNDS 15
#define NODE "pci_0000_01_00_0"
#define AUDIO_NODE "pci_0000_01_00_1"

static const FloorCard card = {
        .display = CARD, .display_driver = "bochs-drm",
        .sound = CARD_AUDIO, .sound_driver = "snd_hda_intel",
        .port = CARD_PORT,
};

static void run(const char *program, const char *a, const char *b, const char *c) {
        g_autoptr(Output) o = command(WHO_ROOT, program, a, b, c, NULL);

        assert_status(o, 0);
}

/* ---- The contenders */

static void floor_there(void) {
        floor_detach(&card);
}

static void floor_back(void) {
        floor_attach(&card);
}

static void gpuptctl_there(void) {
        run("gpuptctl", "detach", CARD, NULL);
}

static void gpuptctl_back(void) {
        run("gpuptctl", "attach", CARD, NULL);
}

static void virsh_there(void) {
        run("virsh", "nodedev-detach", AUDIO_NODE, NULL);
        run("virsh", "nodedev-detach", NODE, NULL);
}

static void virsh_back(void) {
        run("virsh", "nodedev-reattach", NODE, NULL);
        run("virsh", "nodedev-reattach", AUDIO_NODE, NULL);
}

static void driverctl_there(void) {
        run("driverctl", "set-override", CARD_AUDIO, "vfio-pci");
        run("driverctl", "set-override", CARD, "vfio-pci");
}

static void driverctl_back(void) {
        run("driverctl", "unset-override", CARD, NULL);
        run("driverctl", "unset-override", CARD_AUDIO, NULL);
}

typedef struct Contender {
        const char *name, *name_there, *name_back;
        void (*there)(void), (*back)(void);
        GArray *detach, *attach, *both; /* seconds, one for each round */
} Contender;

static Contender contenders[] = {
        { "floor", "floor, there", "floor, back", floor_there, floor_back, NULL, NULL, NULL },
        { "gpuptctl", "gpuptctl detach", "gpuptctl attach", gpuptctl_there, gpuptctl_back, NULL, NULL, NULL },
        { "virsh", "virsh nodedev-detach", "virsh nodedev-reattach", virsh_there, virsh_back, NULL, NULL, NULL },
        { "driverctl", "driverctl set-override", "driverctl unset-override", driverctl_there, driverctl_back, NULL, NULL, NULL },
};

/* ---- Rounds */

static bool sound_is_back(const void *userdata) {
        g_autofree char *control = sound_control(CARD_AUDIO);

        return control && access(control, F_OK) == 0;
}

/* udev and everybody who follows it have done what they do after a change. */
static void settle(void) {
        g_free(output_of("udevadm", "settle", NULL));
}

static void assert_drivers(const char *display, const char *sound) {
        g_autofree char *a = pci_driver(CARD), *b = pci_driver(CARD_AUDIO);

        g_assert_cmpstr(a, ==, display);
        g_assert_cmpstr(b, ==, sound);
}

static void measure(Contender *c, bool counts) {
        double begin, detach, attach, both;

        bench_stage(c->name_there);
        begin = bench_now();
        c->there();
        detach = bench_now() - begin;
        assert_drivers("vfio-pci", "vfio-pci");
        bench_stage("udevadm settle, there");
        settle();

        bench_stage(c->name_back);
        begin = bench_now();
        c->back();
        attach = bench_now() - begin;
        bench_stage("udevadm settle, back");
        wait_until(sound_is_back, NULL, "the sound card");
        settle();
        bench_stage(NULL);
        assert_drivers(card.display_driver, card.sound_driver);
        if (!counts)
                return;
        both = detach + attach;
        g_array_append_val(c->detach, detach);
        g_array_append_val(c->attach, attach);
        g_array_append_val(c->both, both);
}

/* What a process costs here, to be seen beside the rest: without KVM the emulator translates a program anew
 * for every address that it is loaded at, and /bin/true takes thirty times as long as on a processor. */
static double process_time(const char *program, const char *argument) {
        g_autoptr(GArray) times = g_array_new(false, false, sizeof(double));

        for (unsigned i = 0; i < ROUNDS; i++) {
                double begin = bench_now();

                run(program, argument, NULL, NULL);
                begin = bench_now() - begin;
                g_array_append_val(times, begin);
        }
        return bench_median(times);
}

static void print_table(void) {
        double floor = bench_median(contenders[0].both);

        g_test_message("%-10s  %9s  %9s  %9s  %17s  %8s", "", "detach", "attach", "both", "10 % .. 90 %", "of floor");
        for (size_t i = 0; i < G_N_ELEMENTS(contenders); i++) {
                Contender *c = contenders + i;

                g_test_message("%-10s  %6.0f ms  %6.0f ms  %6.0f ms  %5.0f .. %5.0f ms  %7.2fx", c->name,
                               1e3 * bench_median(c->detach), 1e3 * bench_median(c->attach),
                               1e3 * bench_median(c->both), 1e3 * bench_quantile(c->both, 0.1),
                               1e3 * bench_quantile(c->both, 0.9), bench_median(c->both) / floor);
        }
        g_test_message("medians of %u rounds; for comparison: /bin/true %.0f ms, gpuptctl --version %.0f ms",
                       contenders[0].both->len, 1e3 * process_time("true", NULL),
                       1e3 * process_time("gpuptctl", "--version"));
}

static void test_transition(void) {
        size_t n = G_N_ELEMENTS(contenders);

        g_free(output_of("modprobe", "vfio-pci", NULL));
        for (size_t i = 0; i < n; i++) {
                contenders[i].detach = g_array_new(false, false, sizeof(double));
                contenders[i].attach = g_array_new(false, false, sizeof(double));
                contenders[i].both = g_array_new(false, false, sizeof(double));
        }
        /* The first round starts what is started on demand, and fills the page cache. */
        for (size_t round = 0; round <= ROUNDS; round++) {
                g_test_message("round %zu of %u", round, ROUNDS);
                for (size_t i = 0; i < n; i++)
                        measure(contenders + (i + round) % n, round > 0);
        }
        print_table();
        for (size_t i = 0; i < n; i++) {
                g_array_unref(contenders[i].detach);
                g_array_unref(contenders[i].attach);
                g_array_unref(contenders[i].both);
        }
}

int main(int argc, char *argv[]) {
        g_test_init(&argc, &argv, NULL);
        case_add("/bench/transition", test_transition);
        return g_test_run();
}
