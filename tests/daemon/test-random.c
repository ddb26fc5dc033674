/* SPDX-License-Identifier: GPL-2.0-or-later */

/* test-random: five hundred things that happen to three cards, at random, against a small model of what each should be
 * then. At the end everything is put away, and all is as at first. The same numbers are drawn each time, so that a rare find
 * is nobody's surprise; others are drawn for whoever asks:
 *
 *      GPUPT_RANDOM_SEED=17,18 meson test -C build daemon-random
 *      GPUPT_RANDOM_SEED=fresh build/tests/daemon/test-daemon-random
 *
 * The seed is part of the test's name. tests/sim/README.md has a loop for the night. */

#include <errno.h>
#include <signal.h>
#include <stdio.h>
#include <unistd.h>

#include "fixture.h"
#include "util/cleanup.h"

#define OPERATIONS 500U
#define FUNCTIONS_MAX 4U
#define CARD_DRIVERS { "nouveau", "snd_hda_intel", "xhci_hcd", "nvidia-gpu" }

/* What the model knows of a card. A function's driver is its host's, VFIO's, or none. */
typedef struct Card {
        const char *slot, *group; /* "0000:01:00", node */
        unsigned n;
        const char *hosts[FUNCTIONS_MAX];
        const char *drivers[FUNCTIONS_MAX]; /* as of now; "" for none */
        bool plugged;
        bool forgotten; /* the daemon began while it was away, and had nothing of it to remember */
        bool taken;  /* gpuptd has detached it and remembers the host */
        const char *recorded[FUNCTIONS_MAX]; /* the host's driver then; NULL: it was with VFIO already */
        pid_t holder, vm;
        int lease; /* or negative */
} Card;

typedef struct World {
        Scene *s;
        GRand *rand;
        Card cards[3];
} World;

static void G_GNUC_PRINTF(2, 3) G_GNUC_NORETURN fail(const World *w, const char *format, ...) {
        g_autofree char *text = NULL;
        va_list ap;

        va_start(ap, format);
        text = g_strdup_vprintf(format, ap);
        va_end(ap);
        g_error("%s\n%s", text, sim_dump(w->s->m));
}

static void G_GNUC_PRINTF(1, 2) note(const char *format, ...) {
        g_autofree char *text = NULL;
        va_list ap;

        va_start(ap, format);
        text = g_strdup_vprintf(format, ap);
        va_end(ap);
        g_test_message("%s", text);
}

static char *address_of(const Card *c, unsigned function) {
        return g_strdup_printf("%s.%u", c->slot, function);
}

static char *gpu_of(const Card *c) {
        return address_of(c, 0);
}

/* ---- the model ---- */

static bool is_vfio(const char *driver) {
        return streq(driver, "vfio-pci");
}

static unsigned count_vfio(const Card *c) {
        unsigned n = 0;

        for (unsigned i = 0; i < c->n; i++)
                n += is_vfio(c->drivers[i]);
        return n;
}

static const char *model_state(const Card *c) {
        unsigned vfio = count_vfio(c);
        bool mixed = vfio > 0 && vfio < c->n;

        if (!c->plugged)
                return c->forgotten ? "" : "absent";
        /* A function that had a driver, and has none since. */
        for (unsigned i = 0; i < c->n; i++)
                mixed = mixed || (c->taken && !*c->drivers[i] && !isempty(c->recorded[i]));
        if (mixed)
                return "partial";
        if (vfio > 0)
                return c->vm > 0 ? "assigned" : "detached";
        return "host";
}

static void model_detached(Card *c) {
        if (count_vfio(c) == c->n)
                return;
        for (unsigned i = 0; i < c->n; i++) {
                const char *known = c->taken ? c->recorded[i] : NULL;

                c->recorded[i] = is_vfio(c->drivers[i]) ? known : *c->drivers[i] ? c->drivers[i] : strempty(known);
                c->drivers[i] = "vfio-pci";
        }
        c->taken = true;
}

/* Where a function belongs: to what it was with, if that was a host driver; one without a driver stays so if nobody
 * knows better; else the kernel finds it. */
static const char *home_of(const Card *c, unsigned i) {
        if (c->taken && !isempty(c->recorded[i]))
                return c->recorded[i];
        if (!is_vfio(c->drivers[i]))
                return c->drivers[i];
        return c->taken && c->recorded[i] ? "" : c->hosts[i];
}

static bool attach_moves(const Card *c) {
        for (unsigned i = 0; i < c->n; i++)
                if (!streq(home_of(c, i), c->drivers[i]))
                        return true;
        return false;
}

static void model_attached(Card *c) {
        for (unsigned i = 0; i < c->n; i++)
                c->drivers[i] = home_of(c, i);
        c->taken = false;
}

/* ---- comparison ---- */

static bool property_agrees(const World *w, const Card *c) {
        g_autofree char *gpu = gpu_of(c);

        for (unsigned i = 0; i < c->n && c->plugged; i++) {
                g_autofree char *address = address_of(c, i);

                if (!gpu_has_function(w->s, gpu, address, c->drivers[i]))
                        return false;
        }
        return streq(state_of(w->s, gpu), model_state(c));
}

static void settle(World *w) {
        for (size_t k = 0; k < ELEMENTSOF(w->cards); k++) {
                const Card *c = w->cards + k;
                g_autofree char *gpu = gpu_of(c);
                g_autoptr(SimRecorder) signals = sim_recorder_new(w->s->m);

                while (!property_agrees(w, c)) {
                        g_test_message("%s is %s, waiting for %s", gpu, state_of(w->s, gpu), model_state(c));
                        (void) sim_recorder_wait(signals, NULL);
                }
                for (unsigned i = 0; i < c->n && c->plugged; i++) {
                        g_autofree char *address = address_of(c, i);

                        if (!streq(strempty(sim_driver_of(w->s->m, address)), c->drivers[i]))
                                fail(w, "%s is with '%s', not '%s'", address,
                                     strempty(sim_driver_of(w->s->m, address)), c->drivers[i]);
                }
        }
}

static void expect(const World *w, const JobEnd *end, const char *result, const char *error) {
        if (!streq(end->result, result) || !streq(short_name(end->error), error))
                fail(w, "expected '%s' '%s', the job on %s ended '%s' '%s': %s", result, error, end->gpu, end->result,
                     end->error, end->message);
}

/* ---- what happens ---- */

static bool is_free(const Card *c) {
        return c->plugged && c->holder == 0 && c->vm == 0 && c->lease < 0;
}

static void do_detach(World *w, Card *c) {
        g_autofree char *gpu = gpu_of(c);
        const JobEnd *end = detach(w->s, gpu, "wait=0 disrupt-session");

        if (!c->plugged)
                expect(w, end, "refused", c->forgotten ? "UnknownObject" : "Unreachable");
        else if (count_vfio(c) < c->n && (c->holder > 0 || c->vm > 0))
                expect(w, end, "rolled-back", "InUse");
        else {
                expect(w, end, "done", "");
                model_detached(c);
        }
}

static void do_attach(World *w, Card *c) {
        g_autofree char *gpu = gpu_of(c);
        const JobEnd *end = attach(w->s, gpu, "");

        if (!c->plugged)
                expect(w, end, "refused", c->forgotten ? "UnknownObject" : "Unreachable");
        else if (!attach_moves(c) && !c->taken)
                expect(w, end, "done", "");
        else if (c->vm > 0)
                expect(w, end, "refused", "InUse");
        else if (c->holder > 0)
                expect(w, end, "failed", "InUse");
        else {
                expect(w, end, "done", "");
                model_attached(c);
                if (c->lease >= 0) {
                        (void) close(c->lease);
                        c->lease = -1;
                }
        }
}

/* On all of them at once. */
static void do_all(World *w, const char *method) {
        const char *jobs[ELEMENTSOF(w->cards)] = {};

        for (size_t i = 0; i < ELEMENTSOF(w->cards); i++) {
                g_autofree char *gpu = gpu_of(w->cards + i);

                if (is_free(w->cards + i))
                        jobs[i] = job_start(w->s, method, gpu, streq(method, "Detach") ? "disrupt-session" : "");
        }
        for (size_t i = 0; i < ELEMENTSOF(w->cards); i++) {
                if (!jobs[i])
                        continue;
                expect(w, job_wait(w->s, jobs[i]), "done", "");
                if (streq(method, "Detach"))
                        model_detached(w->cards + i);
                else
                        model_attached(w->cards + i);
        }
}

static void do_cancel(World *w, Card *c) {
        g_autofree char *gpu = gpu_of(c), *waiting = g_strdup_printf("wait up to 600 s until nobody holds %s", gpu);
        const char *job;

        if (c->holder == 0 || !c->plugged || count_vfio(c) == c->n)
                return;
        job = job_start(w->s, "Detach", gpu, "wait=600 disrupt-session");
        sim_wait_property(w->s->m, job, GPUPT_JOB_INTERFACE, "Description", waiting);
        g_assert_cmpstr(job_call(w->s, job, "Cancel", NULL, ""), ==, "");
        expect(w, job_wait(w->s, job), "cancelled", "Cancelled");
}

static void do_restart(World *w) {
        if (g_rand_boolean(w->rand))
                sim_daemon_kill(w->s->m);
        else
                g_assert_cmpint(sim_daemon_stop(w->s->m), ==, 0);
        scene_start(w->s);
        for (size_t i = 0; i < ELEMENTSOF(w->cards); i++)
                w->cards[i].forgotten = !w->cards[i].plugged && !w->cards[i].taken;
}

/* A fault in the middle of a detach. */
static void do_fault(World *w, Card *c) {
        unsigned function = (unsigned) g_rand_int_range(w->rand, 0, (int) c->n),
                 kind = (unsigned) g_rand_int_range(w->rand, 0, 3);
        g_autofree char *gpu = gpu_of(c), *address = address_of(c, function);
        static const char *const effects[] = { "errno=EIO", "hang", "delay=20" };
        unsigned fault;
        const char *job;

        if (!is_free(c) || is_vfio(c->drivers[function]))
                return;
        fault = sim_fault(w->s->m, address, "bind", effects[kind]);
        job = job_start(w->s, "Detach", gpu, "disrupt-session");
        if (kind == 1) {
                sim_fault_wait(w->s->m, fault);
                do_restart(w);
                sim_fault_release(w->s->m, fault);
        }
        if (kind == 0)
                expect(w, job_wait(w->s, job), "rolled-back", "Failed");
        else {
                expect(w, job_wait(w->s, job), "done", "");
                model_detached(c);
        }
        sim_fault_release(w->s->m, fault);
}

static void write_ok(World *w, const char *path, const char *text) {
        int r = sim_write(w->s->m, path, text);

        if (r < 0)
                fail(w, "writing '%s' to %s: %s", text, path, strerror(-r));
}

/* Somebody's shell. */
static void by_hand(World *w, Card *c, unsigned i, const char *driver) {
        g_autofree char *address = address_of(c, i), *path = NULL;

        if (*c->drivers[i]) {
                g_autofree char *unbind = g_strdup_printf("bus/pci/drivers/%s/unbind", c->drivers[i]);

                write_ok(w, unbind, address);
        }
        if (*driver) {
                g_autofree char *override = g_strdup_printf("bus/pci/devices/%s/driver_override", address);

                path = g_strdup_printf("bus/pci/drivers/%s/bind", driver);
                write_ok(w, override, is_vfio(driver) ? driver : "\n");
                write_ok(w, path, address);
        }
        c->drivers[i] = driver;
}

static void do_by_hand(World *w, Card *c) {
        unsigned i = (unsigned) g_rand_int_range(w->rand, 0, (int) c->n), to = (unsigned) g_rand_int_range(w->rand, 0, 3);
        const char *drivers[] = { "", "vfio-pci", c->hosts[i] };

        if (is_free(c) && !streq(c->drivers[i], drivers[to]))
                by_hand(w, c, i, drivers[to]);
}

static void do_hold(World *w, Card *c) {
        g_autofree char *gpu = gpu_of(c);

        if (c->holder > 0) {
                sim_let_go(w->s->m, c->holder);
                c->holder = 0;
        } else if (c->plugged && streq(c->drivers[0], c->hosts[0]))
                c->holder = sim_hold_node(w->s->m, node_of(w->s, gpu, g_rand_boolean(w->rand) ? "card" : "renderD"));
}

static void do_vm(World *w, Card *c) {
        if (c->vm > 0) {
                sim_let_go(w->s->m, c->vm);
                c->vm = 0;
                if (c->lease == -2) { /* released meanwhile: the attach follows */
                        c->lease = -1;
                        model_attached(c);
                }
        } else if (c->plugged && c->holder == 0 && count_vfio(c) == c->n)
                c->vm = vm_start(w->s, "guest", c->group);
}

static void do_plug(World *w, Card *c) {
        if (c->plugged && !is_free(c))
                return;
        for (unsigned i = 0; i < c->n; i++) {
                g_autofree char *address = address_of(c, i);

                if (c->plugged)
                        sim_unplug(w->s->m, address);
                else
                        sim_plug(w->s->m, address);
        }
        c->plugged = !c->plugged;
        c->forgotten = false;
        for (unsigned i = 0; i < c->n; i++) {
                g_autofree char *address = address_of(c, i);

                sim_wait_known(w->s->m, address, c->plugged);
                c->drivers[i] = c->hosts[i];
        }
}

static void do_lease(World *w, Card *c) {
        g_autofree char *gpu = gpu_of(c);
        const char *job;

        if (c->lease >= 0) {
                (void) close(c->lease);
                c->lease = c->vm > 0 ? -2 : -1;
                if (c->vm == 0)
                        model_attached(c);
        } else if (is_free(c) && count_vfio(c) < c->n) {
                c->lease = acquire(w->s, gpu, "disrupt-session", &job, NULL);
                expect(w, job_wait(w->s, job), "done", "");
                model_detached(c);
        }
}

static void step(World *w, unsigned n) {
        static const char *const names[] = {
                "detach",  "attach", "detach", "attach", "cancel", "restart",    "fault",      "by-hand",
                "by-hand", "hold",   "vm",     "plug",   "lease",  "detach-all", "attach-all",
        };
        const char *name = names[g_rand_int_range(w->rand, 0, ELEMENTSOF(names))];
        Card *c = w->cards + g_rand_int_range(w->rand, 0, ELEMENTSOF(w->cards));

        note("%u %s %s (%s%s%s%s%s)", n, name, c->slot, model_state(c), c->taken ? ", taken" : "",
             c->holder ? ", held" : "", c->vm ? ", open" : "", c->lease != -1 ? ", leased" : "");
        if (streq(name, "detach"))
                do_detach(w, c);
        else if (streq(name, "attach"))
                do_attach(w, c);
        else if (streq(name, "cancel"))
                do_cancel(w, c);
        else if (streq(name, "restart"))
                do_restart(w);
        else if (streq(name, "fault"))
                do_fault(w, c);
        else if (streq(name, "by-hand"))
                do_by_hand(w, c);
        else if (streq(name, "hold"))
                do_hold(w, c);
        else if (streq(name, "vm"))
                do_vm(w, c);
        else if (streq(name, "plug"))
                do_plug(w, c);
        else if (streq(name, "lease"))
                do_lease(w, c);
        else
                do_all(w, streq(name, "detach-all") ? "Detach" : "Attach");
        settle(w);
}

/* Everybody lets go; gpuptd brings back what it took, the shell what the shell did. */
static void put_away(World *w) {
        for (size_t k = 0; k < ELEMENTSOF(w->cards); k++) {
                Card *c = w->cards + k;

                if (c->holder > 0)
                        do_hold(w, c);
                if (c->vm > 0)
                        do_vm(w, c);
                if (c->lease >= 0)
                        do_lease(w, c);
                if (!c->plugged)
                        do_plug(w, c);
                settle(w);
                do_attach(w, c);
                for (unsigned i = 0; i < c->n; i++)
                        if (!streq(c->drivers[i], c->hosts[i]))
                                by_hand(w, c, i, c->hosts[i]);
        }
        settle(w);
}

static void test_random(const void *seed) {
        /* The display of the host, and two cards of four functions. */
        World w = { .cards = { { "0000:00:02", "/dev/vfio/3", 1, { "i915" } },
                               { "0000:01:00", "/dev/vfio/10", 4, CARD_DRIVERS },
                               { "0000:02:00", "/dev/vfio/11", 4, CARD_DRIVERS } } };

        w.rand = g_rand_new_with_seed(GPOINTER_TO_UINT(seed));
        w.s = scene_new_without_daemon("twins");
        (void) sim_command(w.s->m, "module vfio_pci load");
        put_file("/etc/gpuptd/gpuptd.conf", "[Daemon]\nStepTimeoutSec=600\n");
        scene_start(w.s);
        for (size_t i = 0; i < ELEMENTSOF(w.cards); i++) {
                memcpy(w.cards[i].drivers, w.cards[i].hosts, sizeof(w.cards[i].drivers));
                w.cards[i].plugged = true;
                w.cards[i].lease = -1;
        }
        settle(&w);
        for (unsigned i = 0; i < OPERATIONS; i++)
                step(&w, i);
        put_away(&w);
        assert_as_at_first(w.s);
        scene_free(w.s);
        g_rand_free(w.rand);
}

int main(int argc, char *argv[]) {
        const char *wish = getenv("GPUPT_RANDOM_SEED") ?: "1,2";
        g_auto(GStrv) seeds = g_strsplit(wish, ",", -1);

        sim_init(&argc, &argv);
        for (char **seed = seeds; *seed; seed++) {
                unsigned number = streq(*seed, "fresh") ? g_random_int() : (unsigned) strtoul(*seed, NULL, 10);
                g_autofree char *path = g_strdup_printf("/random/%u", number);

                g_test_add_data_func(path, GUINT_TO_POINTER(number), test_random);
        }
        return g_test_run();
}
