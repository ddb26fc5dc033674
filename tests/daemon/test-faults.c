/* SPDX-License-Identifier: GPL-2.0-or-later */

/* test-faults: every step of both plans, as Plan() tells them, and the measurement before an attach, times everything that
 * can befall it. Eight equal cards take eight steps at a time, so the others go on while one hangs. After each the card is whole, with the host or with
 * VFIO, or it says honestly what it is; and a plain attach brings everything back to what it was at first.
 *
 * A step is stopped in the kernel where it makes a call that may block there, else on its way to the worker (gate.h).
 */

#include <errno.h>
#include <signal.h>
#include <stdio.h>
#include <unistd.h>

#include "fixture.h"
#include "gate.h"
#include "util/cleanup.h"

#define CARDS 8U
#define FIRST "0000:10:00"

typedef enum Mode {
        MODE_ERROR,         /* EIO */
        MODE_LATE,          /* past the limit, then it succeeds */
        MODE_LATE_ERROR,    /* past the limit, then it fails */
        MODE_WORKER,        /* the worker is killed in it */
        MODE_DAEMON,        /* the daemon is killed in it, the worker lives */
        MODE_DAEMON_WORKER, /* both are */
        MODE_VANISH,        /* the card leaves the bus meanwhile */
        _MODE_MAX,
} Mode;

static const char *const mode_names[_MODE_MAX] = {
        "error", "late", "late-error", "worker", "daemon", "daemon-worker", "vanish",
};

static const char *const operations[][2] = { { "detach", "Detach" }, { "attach", "Attach" } };

/* Where a verb blocks in the kernel. Power values are written only where they differ. */
static const struct {
        const char *verb, *detach, *attach;
} kernel_calls[] = {
        { "check", "read:config", NULL }, /* an attach has read it before, to measure the card */
        { "save", "read:driver_override", "read:driver_override" },
        { "pin-power", "d3cold_allowed", "power/control" },
        { "override", "driver_override", "driver_override" },
        { "unbind", "unbind", "unbind" },
        { "bind", "bind", "bind" },
        { "ask-sound", "sound/*/uevent", NULL },
        { "restore-power", NULL, "d3cold_allowed" },
};

typedef struct Matrix {
        Scene *s;
        Mode mode;
        bool attach;
        GPtrArray *steps; /* "VERB TARGET" of the first card */
} Matrix;

/* One step of one card. */
typedef struct Case {
        char *slot, *gpu, *audio; /* "0000:20:00" and its functions */
        const char *step; /* weak, in the first card's words */
        char *key;        /* of its gate, or NULL */
        unsigned fault;   /* in the kernel, or 0 */
        Gate *gate;
        const char *job;
        pid_t worker;
} Case;

static void G_GNUC_PRINTF(3, 4) G_GNUC_NORETURN fail(const Matrix *x, const Case *c, const char *format, ...) {
        g_autofree char *text = NULL;
        va_list ap;

        va_start(ap, format);
        text = g_strdup_vprintf(format, ap);
        va_end(ap);
        g_error("%s of %s, '%s' in the step '%s': %s; it is '%s', LastJob %s\n%s", operations[x->attach][0], c->gpu,
                mode_names[x->mode], c->step, text, state_of(x->s, c->gpu), gpu_property(x->s, c->gpu, "LastJob"),
                sim_dump(x->s->m));
}

static bool is_late(const Matrix *x) {
        return x->mode == MODE_LATE || x->mode == MODE_LATE_ERROR;
}

/* What the card is when nothing came of the job, and when all did. */
static const char *state_before(const Matrix *x) {
        return x->attach ? "detached" : "host";
}

static const char *state_after(const Matrix *x) {
        return x->attach ? "host" : "detached";
}

/* A signal that is sent is sent: nothing can befall it. */
static void read_steps(Matrix *x) {
        g_auto(GStrv) steps = plan(x->s, operations[x->attach][0], FIRST ".0", "", NULL);

        x->steps = g_ptr_array_new_with_free_func(g_free);
        if (x->attach)
                g_ptr_array_add(x->steps, g_strdup("measure " FIRST ".0"));
        for (char **step = steps; *step; step++)
                if (!g_str_has_prefix(*step, "ask "))
                        g_ptr_array_add(x->steps, g_strdup(*step));
        g_assert_cmpuint(x->steps->len, >, CARDS);
}

/* How many of the steps before this one are the same. */
static unsigned count_before(const Matrix *x, unsigned index) {
        unsigned n = 0;

        for (unsigned i = 0; i < index; i++)
                n += streq(g_ptr_array_index(x->steps, i), g_ptr_array_index(x->steps, index));
        return n;
}

static const char *kernel_call(const Matrix *x, const char *verb) {
        for (size_t i = 0; i < ELEMENTSOF(kernel_calls); i++)
                if (streq(kernel_calls[i].verb, verb))
                        return x->attach ? kernel_calls[i].attach : kernel_calls[i].detach;
        return NULL;
}

static void case_arm(const Matrix *x, Case *c, unsigned index) {
        g_auto(GStrv) words = g_strsplit(c->step, " ", 2);
        g_autoptr(GString) target = g_string_new(words[1]);
        const char *call = kernel_call(x, words[0]), *verb = words[0];
        unsigned before = count_before(x, index);

        (void) g_string_replace(target, FIRST, c->slot, 0);
        if (call) {
                g_autofree char *effect = g_strdup_printf("nth=%u %s", before + 1,
                                                          x->mode == MODE_ERROR        ? "errno=EIO"
                                                          : x->mode == MODE_LATE_ERROR ? "hang errno=EIO"
                                                                                       : "hang");

                c->fault = sim_fault(x->s->m, target->str, call, effect);
                return;
        }
        /* A wait sends workers of its own to look who holds the card; they are known by its IOMMU group. */
        if (streq(verb, "wait-free")) {
                verb = "census";
                g_string_printf(target, "2%c", c->slot[5]);
        }
        c->key = g_strdup_printf("%s-%s", verb, target->str);
        gate_set(verb, target->str, before);
}

static void wait_gates(Case *cases, unsigned n, unsigned gates) {
        for (; gates > 0; gates--) {
                Gate *gate = gate_wait();
                unsigned i = 0;

                while (i < n && (!cases[i].key || !streq(cases[i].key, gate->step)))
                        i++;
                if (i == n)
                        g_error("nobody waits for the step %s", gate->step);
                cases[i].gate = gate;
                cases[i].worker = gate->pid;
        }
}

static pid_t worker_of(const Case *c) {
        g_autofree char *path = g_strdup_printf(GPUPT_RUN_DIR "/job-%s", strrchr(c->job, '/') + 1), *text = NULL;
        const char *line;

        g_assert_true(g_file_get_contents(path, &text, NULL, NULL));
        line = strstr(text, "\nworker ");
        g_assert_nonnull(line);
        return atoi(line + STRLEN("\nworker "));
}

static void wait_struck(const Matrix *x, Case *cases, unsigned n) {
        unsigned gates = 0;

        for (unsigned i = 0; i < n; i++) {
                if (cases[i].fault > 0)
                        sim_fault_wait(x->s->m, cases[i].fault);
                else
                        gates++;
        }
        wait_gates(cases, n, gates);
        for (unsigned i = 0; i < n; i++)
                if (cases[i].fault > 0 && x->mode != MODE_ERROR)
                        cases[i].worker = worker_of(cases + i);
}

static void case_release(const Matrix *x, Case *c) {
        if (c->fault > 0)
                sim_fault_release(x->s->m, c->fault);
        else
                gate_answer(g_steal_pointer(&c->gate),
                            x->mode == MODE_ERROR || x->mode == MODE_LATE_ERROR ? "error 5" : "go");
}

static void kill_workers(const Case *cases, unsigned n) {
        for (unsigned i = 0; i < n; i++)
                g_assert_cmpint(kill(cases[i].worker, SIGKILL), ==, 0);
}

/* Everything that does not concern these cards goes on. */
static void assert_others_go_on(const Matrix *x, const Case *cases, unsigned n) {
        assert_alive(x->s);
        for (unsigned i = 0; i < n; i++)
                (void) gpu_property(x->s, cases[i].gpu, "State");
        assert_end(x->s, detach(x->s, "0000:00:02.0", "disrupt-session"), "done", "");
        assert_end(x->s, attach(x->s, "0000:00:02.0", ""), "done", "");
}

/* A census has a limit of its own, a longer one, and past it nothing is stuck. */
static bool is_census(const Case *c) {
        return c->key && g_str_has_prefix(c->key, "census-");
}

/* What comes before the plan: nothing is written down yet, and nothing is to be undone. */
static bool is_measurement(const Case *c) {
        return g_str_has_prefix(c->step, "measure ");
}

/* A card that could not be measured is attached all the same: the plan's own check decides. Legacy VGA decodes are no reason to
 * take one away from the host again. */
static bool may_fail(const Case *c) {
        return is_measurement(c) || g_str_has_prefix(c->step, "restore-decodes ");
}

static void wait_stuck(const Matrix *x, const Case *c) {
        const JobEnd *end;

        if (is_census(c))
                return;
        end = job_wait(x->s, c->job);
        if (!streq(end->result, "stuck") || !streq(end->error, GPUPT_ERROR_STUCK) || !strstr(end->message, c->gpu))
                fail(x, c, "the job ended '%s' '%s': %s", end->result, end->error, end->message);
        if (!streq(state_of(x->s, c->gpu), "stuck"))
                fail(x, c, "it is not stuck");
        end = x->attach ? attach(x->s, c->gpu, "") : detach(x->s, c->gpu, "");
        if (!streq(end->error, GPUPT_ERROR_STUCK))
                fail(x, c, "another job was not refused: %s", end->error);
}

static void strike(const Matrix *x, Case *cases, unsigned n) {
        switch (x->mode) {
        case MODE_ERROR:
                break;
        case MODE_LATE:
        case MODE_LATE_ERROR:
                for (unsigned i = 0; i < n; i++)
                        wait_stuck(x, cases + i);
                assert_others_go_on(x, cases, n);
                break;
        case MODE_WORKER:
                assert_others_go_on(x, cases, n);
                kill_workers(cases, n);
                break;
        case MODE_DAEMON:
                sim_daemon_kill(x->s->m);
                scene_start(x->s);
                assert_others_go_on(x, cases, n);
                break;
        case MODE_DAEMON_WORKER:
                sim_daemon_kill(x->s->m);
                kill_workers(cases, n);
                for (unsigned i = 0; i < n; i++)
                        case_release(x, cases + i);
                for (unsigned i = 0; i < n; i++)
                        (void) sim_wait_ended(x->s->m, cases[i].worker);
                scene_start(x->s);
                return;
        default:
                for (unsigned i = 0; i < n; i++) {
                        sim_unplug(x->s->m, cases[i].gpu);
                        sim_unplug(x->s->m, cases[i].audio);
                }
        }
        for (unsigned i = 0; i < n; i++)
                case_release(x, cases + i);
}

/* Each function with the same driver, override and power as at first, or each with VFIO. */
static bool is_whole(const Matrix *x, const Case *c, const char *state) {
        const char *functions[] = { c->gpu, c->audio };

        for (size_t i = 0; i < ELEMENTSOF(functions); i++) {
                g_autofree char *prefix = g_strdup_printf("%s driver=", functions[i]);
                g_auto(GStrv) first = g_strsplit(x->s->first, "\n", -1), now = g_strsplit(sim_dump(x->s->m), "\n", -1);

                for (unsigned k = 0; first[k]; k++) {
                        if (!g_str_has_prefix(first[k], prefix))
                                continue;
                        if (streq(state, "host") ? !streq(first[k], now[k])
                                                 : !strstr(now[k], "driver=vfio-pci override=vfio-pci"))
                                return false;
                }
        }
        return true;
}

/* The job that undoes has a number of its own; it is over when the card names none. */
static void wait_over(const Matrix *x, const Case *c, const char *state) {
        if (is_late(x) && !is_census(c))
                wait_state(x->s, c->gpu, state);
        else
                (void) job_wait(x->s, c->job);
        sim_wait_property(x->s->m, gpu_path(x->s, c->gpu), GPUPT_GPU_INTERFACE, "Job", "/");
}

static void assert_failed_whole(const Matrix *x, const Case *c) {
        const JobEnd *end;

        wait_over(x, c, state_before(x));
        end = job_wait(x->s, c->job);
        if (!streq(state_of(x->s, c->gpu), state_before(x)) || !is_whole(x, c, state_before(x)))
                fail(x, c, "it is not as before, the job ended '%s' '%s': %s", end->result, end->error, end->message);
        if (is_late(x) && end->id > 0 && streq(end->result, "stuck"))
                return;
        if ((!streq(end->result, "rolled-back") && !streq(end->result, "failed")) || !*end->error ||
            !strstr(end->message, c->gpu))
                fail(x, c, "the job ended '%s' '%s': %s", end->result, end->error, end->message);
}

static void assert_done_whole(const Matrix *x, const Case *c) {
        const JobEnd *end = job_wait(x->s, c->job);

        if (!streq(end->result, "done"))
                fail(x, c, "the job ended '%s' '%s': %s", end->result, end->error, end->message);
        if (!streq(state_of(x->s, c->gpu), state_after(x)) || !is_whole(x, c, state_after(x)))
                fail(x, c, "it is not %s", state_after(x));
}

static void assert_vanished(const Matrix *x, Case *c) {
        const JobEnd *end;

        sim_wait_known(x->s->m, c->gpu, false);
        sim_wait_known(x->s->m, c->audio, false);
        end = job_wait(x->s, c->job);
        wait_state(x->s, c->gpu, "absent");
        if (streq(end->result, "stuck") || (!streq(end->result, "done") && !strstr(end->message, c->slot)))
                fail(x, c, "the job ended '%s' '%s': %s", end->result, end->error, end->message);
        sim_plug(x->s->m, c->gpu);
        sim_plug(x->s->m, c->audio);
        wait_function(x->s, c->gpu, c->gpu, "nouveau");
        wait_function(x->s, c->gpu, c->audio, "snd_hda_intel");
        wait_state(x->s, c->gpu, "host");
}

/* With the daemon went the job, which had no journal yet. */
static void assert_forgotten(const Matrix *x, const Case *c) {
        wait_state(x->s, c->gpu, state_before(x));
        if (!is_whole(x, c, state_before(x)))
                fail(x, c, "it is not as before");
        g_assert_null(job_property(x->s, c->job, "State"));
}

static void assert_outcome(const Matrix *x, Case *c) {
        if (is_measurement(c) && (x->mode == MODE_DAEMON || x->mode == MODE_DAEMON_WORKER))
                assert_forgotten(x, c);
        else if (may_fail(c) && (x->mode == MODE_ERROR || x->mode == MODE_WORKER))
                assert_done_whole(x, c);
        else if (x->mode == MODE_DAEMON || x->mode == MODE_DAEMON_WORKER || (x->mode == MODE_LATE && is_census(c)))
                assert_done_whole(x, c);
        else if (x->mode == MODE_VANISH)
                assert_vanished(x, c);
        else
                assert_failed_whole(x, c);
}

static void run_cases(const Matrix *x, unsigned first, unsigned n) {
        Case cases[CARDS] = {};

        for (unsigned i = 0; i < n; i++) {
                Case *c = cases + i;

                c->step = g_ptr_array_index(x->steps, first + i);
                c->slot = g_strdup_printf("0000:%u0:00", i + 1);
                c->gpu = g_strdup_printf("%s.0", c->slot);
                c->audio = g_strdup_printf("%s.1", c->slot);
                if (x->attach)
                        assert_end(x->s, detach(x->s, c->gpu, ""), "done", "");
        }
        for (unsigned i = 0; i < n; i++)
                case_arm(x, cases + i, first + i);
        /* With a time to wait an attach leaves the census to its step, and the gate is for that one. */
        for (unsigned i = 0; i < n; i++)
                cases[i].job = job_start(x->s, operations[x->attach][1], cases[i].gpu, x->attach ? "wait=15" : "");
        wait_struck(x, cases, n);
        strike(x, cases, n);
        for (unsigned i = 0; i < n; i++)
                assert_outcome(x, cases + i);
        for (unsigned i = 0; i < n; i++) {
                assert_end(x->s, attach(x->s, cases[i].gpu, ""), "done", "");
                g_free(cases[i].key);
                g_free(cases[i].slot);
                g_free(cases[i].gpu);
                g_free(cases[i].audio);
        }
        assert_as_at_first(x->s);
}

static void test_mode(const void *data) {
        Mode mode = (Mode) GPOINTER_TO_INT(data) / 2;
        Matrix x = { .mode = mode, .attach = GPOINTER_TO_INT(data) % 2 };

        x.s = scene_new_without_daemon("eight");
        gates_open();
        x.s->environment = gate_environment();
        /* Nothing but what is meant to be is past its limit. */
        put_file("/etc/gpuptd/gpuptd.conf",
                 is_late(&x) ? "[Daemon]\nStepTimeoutSec=1\n" : "[Daemon]\nStepTimeoutSec=600\n");
        (void) sim_command(x.s->m, "module vfio_pci load");
        scene_start(x.s);
        if (x.attach)
                assert_end(x.s, detach(x.s, FIRST ".0", ""), "done", "");
        read_steps(&x);
        if (x.attach)
                assert_end(x.s, attach(x.s, FIRST ".0", ""), "done", "");
        for (unsigned i = 0; i < x.steps->len; i += CARDS)
                run_cases(&x, i, MIN(CARDS, x.steps->len - i));
        g_ptr_array_unref(x.steps);
        scene_free(x.s);
}

/* ---- what the matrix has no place for ---- */

#define CARD "0000:08:00.0"
#define AUDIO "0000:08:00.1"

/* The way back is blocked as well: it says so, remembers what was, and a plain attach makes it good. */
static void test_undo_fails(void) {
        static const char *const kinds[] = { "errno=EIO", "hang errno=EIO" };

        for (size_t i = 0; i < ELEMENTSOF(kinds); i++) {
                g_autoptr(Scene) s = scene_new("desktop", "/etc/gpuptd/gpuptd.conf",
                                               "[Daemon]\nStepTimeoutSec=600\n", NULL);
                unsigned fault;
                const JobEnd *end;
                const char *job;

                (void) sim_fault(s->m, AUDIO, "bind", "errno=EIO"); /* to VFIO */
                fault = sim_fault(s->m, AUDIO, "bind", kinds[i]);   /* and back */
                job = job_start(s, "Detach", CARD, "");
                if (i == 1) {
                        sim_fault_wait(s->m, fault);
                        g_assert_cmpstr(job_property(s, job, "State"), ==, "rolling-back");
                        sim_daemon_kill(s->m);
                        scene_start(s);
                        g_assert_cmpstr(job_property(s, job, "State"), ==, "rolling-back");
                        sim_fault_release(s->m, fault);
                }
                end = job_wait(s, job);
                assert_end(s, end, "failed", "Failed");
                assert_has(end->message, "could not be undone");
                assert_has(end->message, AUDIO);
                g_assert_cmpstr(state_of(s, CARD), ==, "partial");
                assert_drivers(s, "nouveau", CARD, NULL);
                assert_drivers(s, "", AUDIO, NULL);

                /* Also for a daemon that was not there. */
                sim_daemon_kill(s->m);
                scene_start(s);
                g_assert_cmpstr(state_of(s, CARD), ==, "partial");
                assert_end(s, attach(s, CARD, ""), "done", "");
                assert_as_at_first(s);
        }
}

/* The module does not come, or its unit hangs. */
static void test_module(void) {
        static const char unit[] = "gpuptd-modprobe@vfio_pci.service";
        g_autoptr(Scene) s = scene_new("desktop", "/etc/gpuptd/gpuptd.conf", "[Daemon]\nStepTimeoutSec=1\n", NULL);
        const JobEnd *end;
        unsigned fault;

        (void) sim_command(s->m, "module vfio_pci absent");
        end = detach(s, CARD, "");
        assert_end(s, end, "rolled-back", "DriverMissing");
        assert_has(end->message, CARD);
        assert_has(end->message, "vfio");
        assert_as_at_first(s);
        (void) sim_command(s->m, "module vfio_pci installed");

        fault = sim_fault(s->m, unit, "start", "hang");
        end = detach(s, CARD, "");
        assert_end(s, end, "rolled-back", "Timeout");
        assert_as_at_first(s);
        g_assert_cmpstr(state_of(s, CARD), ==, "host");
        sim_fault_release(s->m, fault);
        (void) sim_command(s->m, "wait-unit %s inactive", unit);
        assert_end(s, detach(s, CARD, ""), "done", "");
        assert_end(s, attach(s, CARD, ""), "done", "");
        assert_as_at_first(s);
}

static void test_module_daemon(void) {
        g_autoptr(Scene) s = scene_new("desktop", NULL);
        unsigned fault = sim_fault(s->m, "vfio_pci", "load", "hang");
        const char *job = job_start(s, "Detach", CARD, "");

        sim_fault_wait(s->m, fault);
        sim_daemon_kill(s->m);
        scene_start(s);
        assert_alive(s);
        sim_fault_release(s->m, fault);
        assert_end(s, job_wait(s, job), "done", "");
        assert_end(s, attach(s, CARD, ""), "done", "");
        assert_as_at_first(s);
}

/* The daemon goes while systemd stops a unit, and the next one finds it stopped: it is started again all the same. */
static void test_unit_daemon(void) {
        static const char unit[] = "nvidia-persistenced.service", card[] = "0000:3b:00.0";
        static const char *const ways[] = { "done", "rolled-back" };

        for (size_t i = 0; i < ELEMENTSOF(ways); i++) {
                g_autoptr(Scene) s = scene_new("nvidia-pair", NULL);
                unsigned fault;
                const char *job;

                sim_unit_set(s->m, unit, "active");
                fault = sim_fault(s->m, unit, "stop", "hang");
                if (i == 1)
                        (void) sim_fault(s->m, "0000:3b:00.1", "bind", "errno=EIO");
                job = job_start(s, "Detach", card, "");
                sim_fault_wait(s->m, fault);
                sim_daemon_kill(s->m);
                sim_fault_release(s->m, fault);
                (void) sim_command(s->m, "wait-unit %s inactive", unit);
                scene_start(s);
                g_assert_cmpstr(job_wait(s, job)->result, ==, ways[i]);
                assert_end(s, attach(s, card, ""), "done", "");
                assert_as_at_first(s);
                g_assert_cmpstr(sim_unit_state(s->m, unit), ==, "active running success");
        }
}

/* A daemon that dies over the same job again and again does not go on for ever. */
static void test_daemon_twice(void) {
        g_autoptr(Scene) s = scene_new_without_daemon("desktop");
        const char *job;
        Gate *gate;

        gates_open();
        s->environment = gate_environment();
        gate_set("verify", CARD, 0);
        scene_start(s);
        job = job_start(s, "Detach", CARD, "");
        for (unsigned i = 0; i < 2; i++) {
                gate = gate_wait();
                sim_daemon_kill(s->m);
                g_assert_cmpint(kill(gate->pid, SIGKILL), ==, 0);
                (void) sim_wait_ended(s->m, gate->pid);
                gate_answer(gate, "go");
                gate_set("verify", CARD, 0);
                scene_start(s);
        }
        assert_end(s, job_wait(s, job), "rolled-back", "Failed");
        assert_as_at_first(s);
        g_assert_cmpstr(state_of(s, CARD), ==, "host");
}

/* The daemon goes while a card is stuck, and another one comes: it knows, waits, and undoes. */
static void test_stuck_restart(void) {
        g_autoptr(Scene) s = scene_new("desktop", "/etc/gpuptd/gpuptd.conf", "[Daemon]\nStepTimeoutSec=1\n", NULL);
        unsigned fault = sim_fault(s->m, AUDIO, "unbind", "hang");
        const char *job = job_start(s, "Detach", CARD, "");

        sim_fault_wait(s->m, fault);
        assert_end(s, job_wait(s, job), "stuck", "Stuck");
        sim_daemon_kill(s->m);
        scene_start(s);
        wait_state(s, CARD, "stuck");
        assert_end(s, attach(s, CARD, ""), "refused", "Stuck");
        sim_fault_release(s->m, fault);
        wait_state(s, CARD, "host");
        assert_end(s, attach(s, CARD, ""), "done", "");
        assert_as_at_first(s);
}

/* Somebody opens the card between the last look and the unbind, which then waits for him: he is named, and his end
 * lets the step go. */
static void test_stuck_holder(void) {
        g_autoptr(Scene) s = scene_new_without_daemon("desktop");
        g_autofree char *who = NULL;
        const JobEnd *end;
        const char *job;
        pid_t holder;
        Gate *gate;

        gates_open();
        s->environment = gate_environment();
        put_file("/etc/gpuptd/gpuptd.conf", "[Daemon]\nStepTimeoutSec=1\n");
        gate_set("unbind", AUDIO, 0);
        scene_start(s);
        job = job_start(s, "Detach", CARD, "");
        gate = gate_wait();
        holder = process_start(s, "player", node_of(s, AUDIO, "pcm"));
        gate_answer(gate, "go");
        end = job_wait(s, job);
        assert_end(s, end, "stuck", "Stuck");
        who = g_strdup_printf("pid %d", holder);
        assert_has(end->message, who);
        assert_has(end->message, "player");
        assert_has(gpu_property(s, CARD, "HealthFindings"), who);
        sim_let_go(s->m, holder);
        wait_state(s, CARD, "host");
        assert_as_at_first(s);
}

int main(int argc, char *argv[]) {
        const char *reason;

        sim_init(&argc, &argv);
        reason = install_quirks();
        if (reason)
                g_error("%s", reason);
        for (unsigned mode = 0; mode < _MODE_MAX; mode++)
                for (unsigned attach = 0; attach < 2; attach++) {
                        g_autofree char *path =
                                g_strdup_printf("/faults/%s-%s", operations[attach][0], mode_names[mode]);

                        g_test_add_data_func(path, GINT_TO_POINTER(mode * 2 + attach), test_mode);
                }
        g_test_add_func("/faults/undo-fails", test_undo_fails);
        g_test_add_func("/faults/module", test_module);
        g_test_add_func("/faults/module-daemon", test_module_daemon);
        g_test_add_func("/faults/unit-daemon", test_unit_daemon);
        g_test_add_func("/faults/daemon-twice", test_daemon_twice);
        g_test_add_func("/faults/stuck-restart", test_stuck_restart);
        g_test_add_func("/faults/stuck-holder", test_stuck_holder);
        return g_test_run();
}
