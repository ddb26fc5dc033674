/* SPDX-License-Identifier: GPL-2.0-or-later */

/* test-rungs: each rung of the reset ladder times what can befall it: it fails, hangs, has no effect, makes things worse. The ladder
 * goes on to the rung that helps, and after it the card is where it was, with everything as it was. And each place of a
 * rung, on the way there and back, where the daemon may end, or the card leave the bus. */

#include <errno.h>
#include <signal.h>
#include <unistd.h>

#include "fixture.h"
#include "util/cleanup.h"

#define CARD "0000:08:00.0"
#define AUDIO "0000:08:00.1"
#define PORT "0000:00:03.1"
#define RESCAN "pci_bus/0000:08/rescan"
#define OTHER "0000:09:00.0"
#define NVIDIA "0000:3b:00.0"
#define NVIDIA_PORT "0000:3a:00.0"
#define LAPTOP "0000:01:00.0"
#define METHODS "change " CARD " reset=device_specific,acpi,flr,af_flr,pm\nchange " AUDIO " reset=flr,pm\n"

typedef enum Effect {
        EFFECT_ERROR,
        EFFECT_NONE,
        EFFECT_WORSE,
        EFFECT_HANG,
        _EFFECT_MAX,
} Effect;

static const struct {
        const char *name, *words;
} effects[_EFFECT_MAX] = {
        [EFFECT_ERROR] = { "error", "errno=EIO" },
        [EFFECT_NONE] = { "no-effect", "no-effect" },
        [EFFECT_WORSE] = { "worse", "worse" },
        [EFFECT_HANG] = { "hang", "hang" },
};

#define ALL (1U << EFFECT_ERROR | 1U << EFFECT_NONE | 1U << EFFECT_WORSE | 1U << EFFECT_HANG)
#define BUT(e) (ALL & ~(1U << (e)))

typedef struct Machine {
        const char *topology, *lines, *gpu;
} Machine;

static const Machine desktop = { "desktop", METHODS, CARD };
/* Where the kernel lets the bus be reset: the card is one function. */
static const Machine single = { "desktop", METHODS "change " AUDIO " unplugged\n", CARD };
static const Machine nvidia = { "nvidia-pair", "", NVIDIA };
static const Machine laptop = { "laptop", "module bbswitch loaded\nmodule nvhda loaded\nchange " LAPTOP " power=on\n", LAPTOP };

/* A rung, where it is hit, and the one that helps after it. */
typedef struct Row {
        const char *rung;
        const Machine *machine;
        const char *target, *operation, *cure;
        unsigned effects;
        bool host_only;
} Row;

static const Row rows[] = {
        { "flr", &desktop, CARD, "flr", "slot", ALL, false },
        { "af_flr", &desktop, CARD, "af_flr", "slot", ALL, false },
        { "device_specific", &desktop, CARD, "device_specific", "slot", ALL, false },
        { "acpi", &desktop, CARD, "acpi", "slot", ALL, false },
        { "pm", &desktop, CARD, "pm", "slot", ALL, false },
        { "bus", &single, CARD, "bus", "slot", ALL, false },
        { "subordinate", &desktop, PORT, "reset_subordinate", "slot", ALL, false },
        { "remove-rescan", &desktop, CARD, "remove", "slot", ALL, false },
        { "bridge", &desktop, PORT, "remove", "slot", ALL, false },
        { "slot", &desktop, "1", "power", "bridge", BUT(EFFECT_WORSE), false },
        { "suspend-cycle", &desktop, "rtc0", "wakealarm", "slot", BUT(EFFECT_WORSE), false },
        { "power-cycle", &laptop, "acpi", "bbswitch", "bridge", BUT(EFFECT_WORSE), true },
        { "driver", &nvidia, NVIDIA, "vendor-reset", "subordinate", BUT(EFFECT_WORSE), true },
};

typedef struct Case {
        const Row *row;
        Effect effect;
        bool detached;
} Case;

static const char *state_before(const Case *c) {
        return c->detached ? "detached" : "host";
}

static Scene *rung_scene(const Machine *m, const char *symptoms, const char *cure, const char *ladder) {
        const char *audio = streq(m->gpu, CARD) ? AUDIO : streq(m->gpu, LAPTOP) ? "0000:01:00.1" : "0000:3b:00.1";
        g_autofree char *lines = g_strdup_printf("%schange %s symptom=%s cure=%s\nchange %s cure=%s\n", m->lines, m->gpu, symptoms,
                                                 cure, audio, cure);
        g_autofree char *file = g_strdup_printf("[Match]\nAddress=%s\n[Reset]\nLadder=%s\n", m->gpu, ladder);
        static const char *environment[2];
        Scene *s = scene_new_with(m->topology, lines);

        environment[0] = sim_nvidia_smi();
        s->environment = environment;
        put_file("/etc/gpuptd/card.gpu", file);
        return s;
}

/* Its page faults are rate-limited, as a kernel's: the daemon is started when the first ones are old, so that it sees others. */
static void fall_ill(Scene *s, const char *gpu) {
        (void) sim_command(s->m, "sicken %s", gpu);
        g_assert_cmpint(sim_daemon_stop(s->m), ==, 0);
        scene_start(s);
        s->log_seen = 0;
}

static void assert_healthy(Scene *s, const char *gpu) {
        if (!streq(gpu_property(s, gpu, "Health"), "ok") || !streq(sim_command(s->m, "is-well %s", gpu), "well"))
                g_error("%s is %s, and says it is %s: %s\n%s", gpu, sim_command(s->m, "is-well %s", gpu),
                        gpu_property(s, gpu, "Health"), gpu_property(s, gpu, "HealthFindings"), sim_dump(s->m));
}

/* Everything that does not concern the card goes on. */
static void assert_others_go_on(Scene *s) {
        assert_alive(s);
        if (!sim_exists(s->m, "bus/pci/devices/" OTHER))
                return;
        assert_end(s, detach(s, OTHER, "disrupt-session"), "done", "");
        assert_end(s, attach(s, OTHER, ""), "done", "");
}

/* A hang is contained; when it lets go, the rung is walked back, and the next recovery finds the ladder as it was. */
static void recover_from_hang(Scene *s, const Case *c, unsigned fault) {
        const char *gpu = c->row->machine->gpu, *job = job_start(s, "Recover", gpu, "");
        const JobEnd *end;

        sim_fault_wait(s->m, fault);
        end = job_wait(s, job);
        assert_end(s, end, "stuck", "Stuck");
        g_assert_cmpstr(state_of(s, gpu), ==, "stuck");
        assert_end(s, run_job(s, "Recover", gpu, ""), "refused", "Stuck");
        assert_others_go_on(s);
        sim_fault_release(s->m, fault);
        wait_state(s, gpu, state_before(c));
        assert_end(s, run_job(s, "Recover", gpu, ""), "done", "");
}

/* A program that hangs is no kernel call: its time is over, and that is an error like another. */
static bool is_program(const Row *row) {
        return streq(row->rung, "driver");
}

static void test_case(const void *data) {
        const Case *c = data;
        const Row *row = c->row;
        const char *gpu = row->machine->gpu;
        g_autofree char *ladder = g_strdup_printf("%s %s", row->rung, row->cure), *before = NULL;
        g_autoptr(Scene) s = rung_scene(row->machine, "faults", row->cure, ladder);
        unsigned fault;

        if (row->machine == &laptop && access("/proc/acpi", F_OK) < 0) {
                g_test_skip("this host has no /proc/acpi, and no directory can be made in /proc");
                return;
        }
        if (c->effect == EFFECT_HANG)
                put_file("/etc/gpuptd/gpuptd.conf", "[Daemon]\nStepTimeoutSec=1\n");
        scene_start(s);
        if (c->detached)
                assert_end(s, detach(s, gpu, ""), "done", "");
        before = g_strdup(sim_dump(s->m));
        fall_ill(s, gpu);
        fault = sim_fault(s->m, row->target, row->operation, effects[c->effect].words);
        if (c->effect == EFFECT_HANG && !is_program(row))
                recover_from_hang(s, c, fault);
        else {
                assert_end(s, run_job(s, "Recover", gpu, ""), "done", "");
                g_assert_cmpstr(rungs_walked(s), ==, ladder);
        }
        sim_fault_release(s->m, 0);
        assert_healthy(s, gpu);
        g_assert_cmpstr(state_of(s, gpu), ==, state_before(c));
        g_assert_cmpstr(sim_dump(s->m), ==, before);
        if (c->detached)
                assert_end(s, attach(s, gpu, ""), "done", "");
        assert_as_at_first(s);
}

/* ---- the daemon ends, or the card leaves ---- */

typedef enum Mode {
        MODE_DAEMON,        /* it is killed, its worker lives */
        MODE_DAEMON_WORKER, /* both are */
        MODE_VANISH,        /* the card leaves the bus meanwhile */
        _MODE_MAX,
} Mode;

static const char *const modes[_MODE_MAX] = { "daemon", "daemon-worker", "vanish" };

/* A call into the kernel on the way of a rung, there and back. */
static const struct {
        const char *rung;
        bool detached;
        const char *target, *operation;
        unsigned nth;
} places[] = {
        { "flr", false, CARD, "read:driver_override", 1 },
        { "flr", false, CARD, "driver_override", 1 },
        { "flr", false, AUDIO, "unbind", 1 },
        { "flr", false, CARD, "unbind", 1 },
        { "flr", false, AUDIO, "flr", 1 },
        { "flr", false, CARD, "flr", 1 },
        { "flr", false, CARD, "bind", 1 },
        { "flr", false, AUDIO, "bind", 1 },
        { "flr", false, CARD, "driver_override", 2 },
        { "flr", true, CARD, "flr", 1 },
        { "remove-rescan", false, CARD, "driver_override", 1 },
        { "remove-rescan", false, CARD, "unbind", 1 },
        { "remove-rescan", false, AUDIO, "remove", 1 },
        { "remove-rescan", false, CARD, "remove", 1 },
        { "remove-rescan", false, PORT, RESCAN, 1 },
        { "remove-rescan", false, PORT, RESCAN, 2 },
        { "remove-rescan", true, CARD, "unbind", 1 },
        { "remove-rescan", true, CARD, "remove", 1 },
        { "remove-rescan", true, PORT, RESCAN, 1 },
        { "remove-rescan", true, CARD, "bind", 1 },
        { "remove-rescan", true, AUDIO, "bind", 1 },
        { "bridge", false, PORT, "remove", 1 },
        { "slot", false, "1", "power", 1 },
        { "slot", false, "1", "power", 2 },
        { "slot", true, "1", "power", 2 },
};

typedef struct PlaceCase {
        size_t place;
        Mode mode;
} PlaceCase;

static pid_t worker_of(const char *job) {
        g_autofree char *path = g_strdup_printf(GPUPT_RUN_DIR "/job-%s", strrchr(job, '/') + 1), *text = NULL;
        const char *line;

        g_assert_true(g_file_get_contents(path, &text, NULL, NULL));
        line = strstr(text, "\nworker ");
        g_assert_nonnull(line);
        return atoi(line + STRLEN("\nworker "));
}

/* It was there, was lost, and is there again: well, and of use. */
static void assert_comes_back(Scene *s, const char *job, const char *rung, bool detached) {
        const JobEnd *end = job_wait(s, job);

        if (streq(end->result, "stuck"))
                g_error("the job ended as stuck: %s", end->message);
        sim_plug(s->m, CARD);
        sim_plug(s->m, AUDIO);
        /* A slot without power does not see it. */
        if (!streq(rung, "slot")) {
                sim_wait_known(s->m, CARD, true);
                sim_wait_known(s->m, AUDIO, true);
        }
        (void) sim_command(s->m, "cure " CARD " slot");
        assert_alive(s);
        (void) manager_call(s, "Rescan", NULL, "");
        assert_end(s, run_job(s, "Recover", CARD, ""), "done", "");
        /* The kernel gives what is plugged in to the host's driver: to take it again is its user's business. */
        if (detached)
                assert_end(s, detach(s, CARD, ""), "done", "");
        g_assert_cmpstr(state_of(s, CARD), ==, detached ? "detached" : "host");
}

static void test_place(const void *data) {
        const PlaceCase *c = data;
        const char *rung = places[c->place].rung, *job;
        bool detached = places[c->place].detached;
        g_autofree char *cures = g_strdup_printf("%s,slot", rung), *before = NULL,
                        *effect = g_strdup_printf("nth=%u hang", places[c->place].nth);
        g_autoptr(Scene) s = rung_scene(&desktop, "faults", cures, rung);
        unsigned fault;
        pid_t worker;

        scene_start(s);
        if (detached)
                assert_end(s, detach(s, CARD, ""), "done", "");
        before = g_strdup(sim_dump(s->m));
        fall_ill(s, CARD);
        fault = sim_fault(s->m, places[c->place].target, places[c->place].operation, effect);
        job = job_start(s, "Recover", CARD, "");
        sim_fault_wait(s->m, fault);
        worker = worker_of(job);
        if (c->mode == MODE_VANISH) {
                sim_unplug(s->m, CARD);
                sim_unplug(s->m, AUDIO);
                sim_fault_release(s->m, fault);
                assert_comes_back(s, job, rung, detached);
        } else {
                sim_daemon_kill(s->m);
                if (c->mode == MODE_DAEMON_WORKER) {
                        g_assert_cmpint(kill(worker, SIGKILL), ==, 0);
                        sim_fault_release(s->m, fault);
                        (void) sim_wait_ended(s->m, worker);
                }
                scene_start(s);
                if (c->mode == MODE_DAEMON) {
                        assert_others_go_on(s);
                        sim_fault_release(s->m, fault);
                }
                assert_end(s, job_wait(s, job), "done", "");
        }
        assert_healthy(s, CARD);
        g_assert_cmpstr(sim_dump(s->m), ==, before);
        if (detached)
                assert_end(s, attach(s, CARD, ""), "done", "");
        assert_as_at_first(s);
}

static void add_cases(void) {
        for (size_t i = 0; i < ELEMENTSOF(rows); i++)
                for (unsigned k = 0; k < 2 * _EFFECT_MAX; k++) {
                        Case *c = g_new(Case, 1);
                        g_autofree char *path = NULL;

                        *c = (Case) { rows + i, (Effect) (k / 2), k % 2 };
                        if (!(rows[i].effects & 1U << c->effect) || (rows[i].host_only && c->detached)) {
                                g_free(c);
                                continue;
                        }
                        path = g_strdup_printf("/rungs/%s/%s-%s", rows[i].rung, state_before(c), effects[c->effect].name);
                        g_test_add_data_func_full(path, c, test_case, g_free);
                }
}

static void add_places(void) {
        for (size_t i = 0; i < ELEMENTSOF(places); i++)
                for (unsigned mode = 0; mode < _MODE_MAX; mode++) {
                        PlaceCase *c = g_new(PlaceCase, 1);
                        g_autofree char *path = NULL, *what = g_strdelimit(g_strdup(places[i].operation), "/:", '-');

                        *c = (PlaceCase) { i, (Mode) mode };
                        path = g_strdup_printf("/rungs/%s/%s-%s-%s-%s-%u", places[i].rung, modes[mode],
                                               places[i].detached ? "detached" : "host", places[i].target, what, places[i].nth);
                        g_test_add_data_func_full(path, c, test_place, g_free);
                }
}

int main(int argc, char *argv[]) {
        const char *reason;

        sim_init(&argc, &argv);
        reason = install_quirks();
        if (reason)
                g_error("%s", reason);
        add_cases();
        add_places();
        return g_test_run();
}
