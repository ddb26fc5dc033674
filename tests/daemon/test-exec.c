/* SPDX-License-Identifier: GPL-2.0-or-later */

/* test-exec: programs as transient units of systemd1, on the simulated machine: how they end, what they print, a daemon
 * that starts again meanwhile; and what nvidia-smi is asked and may answer. */

#include "exec-client.h"

#include <signal.h>
#include <sys/stat.h>
#include <systemd/sd-event.h>

#include "machine.h"
#include "unit/loop.h"
#include "vendor-tool.h"
#include "worker/protocol.h"

#define CARD "0000:08:00.0"
#define UNIT "gpuptd-exec-7-3.service"
#define VENDOR_UNIT "gpuptd-exec-0-" CARD ".service"
#define SCRIPT "/run/gpuptd-sim/nvidia-smi"

/* Whoever asks systemd1: a loop and a connection to the bus. */
typedef struct Client {
        sd_event *event;
        sd_bus *bus;
} Client;

typedef struct Ended {
        bool ended;
        int error, status;
        char *text, *output;
        size_t size;
} Ended;

static void client_init(Client *c, SimMachine *m) {
        g_assert_cmpint(sd_event_new(&c->event), >=, 0);
        c->bus = sim_bus_new(m, 0);
        g_assert_cmpint(sd_bus_attach_event(c->bus, c->event, 0), >=, 0);
}

static void client_done(Client *c) {
        sd_bus_flush_close_unref(c->bus);
        sd_event_unref(c->event);
}

static void on_ended(const ExecResult *result, void *userdata) {
        Ended *e = userdata;

        g_assert_false(e->ended);
        *e = (Ended) { true, result->error, result->status, g_strdup(result->text),
                       g_memdup2(result->output, result->output_size + 1), result->output_size };
}

static void ended_clear(Ended *e) {
        g_free(e->text);
        g_free(e->output);
        *e = (Ended) {};
}

/* One that is run by the shell of the test's words. */
static Exec *run(Client *c, const char *script, uint64_t limit_usec, size_t output_max, Ended *ended) {
        ExecRequest request = {
                .unit = UNIT, .description = "A program of a test", .limit_usec = limit_usec, .output_max = output_max,
                .argv = (char *const[]) { (char *) "/bin/sh", (char *) "-c", (char *) script, NULL },
        };
        Exec *e;

        g_assert_cmpint(exec_run(c->bus, &request, on_ended, ended, &e), ==, 0);
        g_assert_false(ended->ended);
        return e;
}

/* Until systemd1 has answered what was asked, and what was asked then: to start a unit, to refer to it, how it is. */
static void settle(Client *c) {
        for (unsigned i = 0; i < 3; i++) {
                g_assert_cmpint(sd_bus_call_method(c->bus, "org.freedesktop.systemd1", "/org/freedesktop/systemd1",
                                                   "org.freedesktop.systemd1.Manager", "Subscribe", NULL, NULL, NULL), >=, 0);
                loop_drain(c->event);
        }
}

static void assert_ended(Client *c, const char *script, uint64_t limit_usec, int error, int status, const char *text,
                         const char *output) {
        Ended e = {};

        (void) run(c, script, limit_usec, 4096, &e);
        loop_until(c->event, e.ended);
        g_assert_cmpint(e.error, ==, error);
        g_assert_cmpint(e.status, ==, status);
        g_assert_cmpstr(e.text, ==, text);
        g_assert_cmpstr(e.output, ==, output);
        ended_clear(&e);
}

#define LONG (60 * G_USEC_PER_SEC)

static void test_ends(void) {
        g_autoptr(SimMachine) m = sim_machine_new("desktop");
        Client c;

        client_init(&c, m);
        /* The name is free again at once: as often as one likes. */
        assert_ended(&c, "exit 0", LONG, 0, 0, "", "");
        assert_ended(&c, "echo one; echo two >&2", LONG, 0, 0, "", "one\ntwo\n");
        assert_ended(&c, "echo; echo 'no such card'; echo more; exit 9", LONG, -ECHILD, 9, "sh ended with status 9: no such card",
                     "\nno such card\nmore\n");
        assert_ended(&c, "kill -KILL $$", LONG, -ECHILD, -1, "sh was ended by signal 9", "");
        assert_ended(&c, "printf 'a\\033b'; exit 1", LONG, -ECHILD, 1, "sh ended with status 1: a?b", "a\033b");
        assert_ended(&c, "echo begun; exec sleep 1000", 100000, -ETIMEDOUT, -1, "sh did not end in its time: begun", "begun\n");
        g_assert_cmpstr(sim_command(m, "jobs-log"), ==,
                        "start " UNIT "\nstart " UNIT "\nstart " UNIT "\nstart " UNIT "\nstart " UNIT "\nstart " UNIT "\n");
        client_done(&c);
}

static void test_cannot_start(void) {
        g_autoptr(SimMachine) m = sim_machine_new("desktop");
        ExecRequest request = { .unit = UNIT, .description = "x", .limit_usec = LONG };
        Ended e = {};
        Client c;
        Exec *x;

        client_init(&c, m);
        request.argv = (char *const[]) { (char *) "/run/gpuptd-sim/absent", NULL };
        g_assert_cmpint(exec_run(c.bus, &request, on_ended, &e, &x), ==, 0);
        loop_until(c.event, e.ended);
        g_assert_cmpint(e.error, ==, -ENOENT);
        g_assert_cmpstr(e.text, ==, "/run/gpuptd-sim/absent is not installed");
        g_assert_cmpstr(sim_command(m, "jobs-log"), ==, "");
        ended_clear(&e);

        g_assert_true(g_file_set_contents(SCRIPT, "#!/absent\n", -1, NULL));
        g_assert_cmpint(chmod(SCRIPT, 0755), ==, 0);
        request.argv = (char *const[]) { (char *) SCRIPT, NULL };
        g_assert_cmpint(exec_run(c.bus, &request, on_ended, &e, &x), ==, 0);
        loop_until(c.event, e.ended);
        g_assert_cmpint(e.error, ==, -ENOEXEC);
        ended_clear(&e);

        request.argv = (char *const[]) { (char *) "sh", NULL };
        g_assert_cmpint(exec_run(c.bus, &request, on_ended, &e, &x), ==, -EINVAL);
        request.argv = (char *const[]) { NULL };
        g_assert_cmpint(exec_run(c.bus, &request, on_ended, &e, &x), ==, -EINVAL);

        (void) sim_command(m, "systemd1 gone");
        (void) run(&c, "exit 0", LONG, 0, &e);
        loop_until(c.event, e.ended);
        g_assert_cmpint(e.error, <, 0);
        g_assert_cmpint(e.error, !=, -ETIMEDOUT);
        ended_clear(&e);
        client_done(&c);
}

/* It can write no more than it may, and is not ended for that. */
static void test_output_max(void) {
        g_autoptr(SimMachine) m = sim_machine_new("desktop");
        Ended e = {};
        Client c;

        client_init(&c, m);
        (void) run(&c, "i=0; while [ $i -lt 100 ]; do echo 0123456789012345678901234567890123456789; i=$((i+1)); done; exit 0",
                   LONG, 1000, &e);
        loop_until(c.event, e.ended);
        g_assert_cmpint(e.error, ==, 0);
        g_assert_cmpuint(e.size, <=, 1000);
        g_assert_cmpuint(e.size, >, 900);
        ended_clear(&e);
        client_done(&c);
}

/* systemd itself does not come to start it: the limit is kept all the same. */
static void test_systemd_hangs(void) {
        g_autoptr(SimMachine) m = sim_machine_new("desktop");
        unsigned fault;
        Ended e = {};
        Client c;

        client_init(&c, m);
        fault = sim_fault(m, UNIT, "start", "hang");
        (void) run(&c, "exit 0", 100000, 4096, &e);
        loop_until(c.event, e.ended);
        g_assert_cmpint(e.error, ==, -ETIMEDOUT);
        ended_clear(&e);

        /* What still hangs is waited for, not started twice. */
        (void) run(&c, "exit 5", LONG, 4096, &e);
        settle(&c);
        sim_fault_release(m, fault);
        loop_until(c.event, e.ended);
        g_assert_cmpint(e.error, ==, 0);
        g_assert_cmpstr(e.output, ==, "");
        g_assert_cmpstr(sim_command(m, "jobs-log"), ==, "start " UNIT "\n");
        ended_clear(&e);
        client_done(&c);
}

static void wait_active(SimMachine *m) {
        (void) sim_command(m, "wait-unit " UNIT " active");
}

/* The daemon dies and comes back; the program knows nothing of it. */
static void test_restart(void) {
        g_autoptr(SimMachine) m = sim_machine_new("desktop");
        g_autofree char *fifo = g_strdup("/run/gpuptd-sim/go");
        Ended before = {}, after = {};
        Client c, d;
        Exec *x;
        FILE *f;

        g_assert_cmpint(mkfifo(fifo, 0600), ==, 0);
        client_init(&c, m);
        x = run(&c, "read word < /run/gpuptd-sim/go; exit 6", LONG, 4096, &before);
        settle(&c);
        wait_active(m);
        client_done(&c); /* as when a process ends: it can say nothing more */
        exec_free(x);
        g_assert_false(before.ended);

        client_init(&d, m);
        (void) run(&d, "exit 0", LONG, 4096, &after);
        settle(&d);
        f = fopen(fifo, "we");
        g_assert_nonnull(f);
        g_assert_cmpint(fputs("go\n", f), >=, 0);
        g_assert_cmpint(fclose(f), ==, 0);
        loop_until(d.event, after.ended);
        g_assert_cmpint(after.error, ==, -ECHILD);
        g_assert_cmpint(after.status, ==, 6);
        g_assert_cmpstr(after.text, ==, "sh ended with status 6");
        ended_clear(&after);
        client_done(&d);
}

static void test_let_go(void) {
        g_autoptr(SimMachine) m = sim_machine_new("desktop");
        Ended e = {};
        Client c;
        Exec *x;

        client_init(&c, m);
        x = run(&c, "exit 7", LONG, 4096, &e);
        exec_free(x); /* nothing was sent yet, or answered */
        settle(&c);
        (void) sim_command(m, "wait-unit " UNIT " inactive");
        x = run(&c, "exec sleep 1000", 200000, 4096, &e);
        settle(&c);
        wait_active(m);
        exec_free(x);
        /* It ends by its limit, and nothing is left of it. */
        g_assert_cmpint(sd_bus_flush(c.bus), >=, 0);
        (void) sim_command(m, "wait-unit " UNIT " inactive");
        g_assert_cmpint(sim_try_command(m, NULL, "unit-state " UNIT), ==, -ENOENT);
        g_assert_false(e.ended);
        client_done(&c);
}

/* ---- nvidia-smi ---- */

typedef struct Answer {
        bool answered;
        VendorToolState state;
        int status;
        char *text, *name;
        int64_t temperature, fan, power;
} Answer;

static void on_answer(const VendorToolAnswer *answer, void *userdata) {
        Answer *a = userdata;

        *a = (Answer) { true, answer->state, answer->status, g_strdup(answer->text), g_strdup(answer->name),
                        answer->temperature_millideg, answer->fan_percent, answer->power_uw };
}

static void answer_clear(Answer *a) {
        g_free(a->text);
        g_free(a->name);
        *a = (Answer) {};
}

static void install(const char *script) {
        g_assert_true(g_file_set_contents(SCRIPT, script, -1, NULL));
        g_assert_cmpint(chmod(SCRIPT, 0755), ==, 0);
}

static void query(Client *c, Answer *a) {
        VendorTool *t;

        g_assert_cmpint(vendor_tool_query(c->bus, CARD, on_answer, a, &t), ==, 0);
        loop_until(c->event, a->answered);
}

static void test_vendor_tool(void) {
        g_autoptr(SimMachine) m = sim_machine_new("desktop");
        Answer a = {};
        VendorTool *t;
        Client c;

        client_init(&c, m);
        g_assert_true(g_setenv(ENV_NVIDIA_SMI, SCRIPT, TRUE));
        g_assert_cmpint(vendor_tool_query(c.bus, CARD, on_answer, &a, &t), ==, -ENOENT);
        g_assert_cmpint(mkdir(SCRIPT, 0755), ==, 0);
        g_assert_cmpint(vendor_tool_query(c.bus, CARD, on_answer, &a, &t), ==, -ENOENT);
        g_assert_cmpint(rmdir(SCRIPT), ==, 0);
        g_assert_cmpstr(sim_command(m, "jobs-log"), ==, "");

        install("#!/bin/sh\n[ \"$*\" = '-i " CARD " --query-gpu=name,temperature.gpu,fan.speed,power.draw "
                "--format=csv,noheader,nounits' ] || exit 2\necho 'NVIDIA GeForce GTX 1080, 29, 39, 23.85'\n");
        for (unsigned i = 0; i < 5; i++) {
                query(&c, &a);
                g_assert_cmpint(a.state, ==, VENDOR_TOOL_OK);
                g_assert_cmpstr(a.name, ==, "NVIDIA GeForce GTX 1080");
                g_assert_cmpint(a.temperature, ==, 29000);
                g_assert_cmpint(a.fan, ==, 39);
                g_assert_cmpint(a.power, ==, 23850000);
                answer_clear(&a);
        }

        install("#!/bin/sh\necho 'No devices were found'\nexit 6\n");
        query(&c, &a);
        g_assert_cmpint(a.state, ==, VENDOR_TOOL_FAILED);
        g_assert_cmpint(a.status, ==, 6);
        g_assert_cmpstr(a.text, ==, "nvidia-smi ended with status 6: No devices were found");
        answer_clear(&a);
        client_done(&c);
}

/* It takes the five seconds that it has. */
static void test_vendor_tool_hangs(void) {
        g_autoptr(SimMachine) m = sim_machine_new("desktop");
        unsigned fault;
        Answer a = {};
        Client c;

        client_init(&c, m);
        g_assert_true(g_setenv(ENV_NVIDIA_SMI, SCRIPT, TRUE));
        install("#!/bin/sh\nexec sleep 1000\n");
        fault = sim_fault(m, VENDOR_UNIT, "start", "hang");
        query(&c, &a);
        g_assert_cmpint(a.state, ==, VENDOR_TOOL_HUNG);
        g_assert_cmpint(a.status, ==, -1);
        g_assert_cmpstr(a.text, ==, "nvidia-smi did not end in its time");
        answer_clear(&a);
        g_assert_cmpstr(sim_command(m, "jobs-log"), ==, "start " VENDOR_UNIT "\n");
        sim_fault_release(m, fault);
        client_done(&c);
}

static void test_vendor_tool_parse(void) {
        static const struct {
                const char *line;
                VendorToolState state;
                const char *name;
                int64_t temperature, fan, power;
        } lines[] = {
                { "NVIDIA A100, Rev 2, 41, [N/A], 55.5\n", VENDOR_TOOL_OK, "NVIDIA A100, Rev 2", 41000, VENDOR_TOOL_UNKNOWN,
                  55500000 },
                { "X, -5, 0, 0\n", VENDOR_TOOL_OK, "X", -5000, 0, 0 },
                { "X, [Not Supported], [Not Supported], [Not Supported]\n", VENDOR_TOOL_OK, "X", VENDOR_TOOL_UNKNOWN,
                  VENDOR_TOOL_UNKNOWN, VENDOR_TOOL_UNKNOWN },
                { "X, 99999999999999999999999, 1.23456789, .\n", VENDOR_TOOL_OK, "X", VENDOR_TOOL_UNKNOWN, 1, VENDOR_TOOL_UNKNOWN },
                { "X, ERR!, 30, 20\n", VENDOR_TOOL_FAILED, "X", VENDOR_TOOL_UNKNOWN, VENDOR_TOOL_UNKNOWN, VENDOR_TOOL_UNKNOWN },
                { "X, 30, 30, [GPU requires reset]\n", VENDOR_TOOL_FAILED, "X", 30000, 30, VENDOR_TOOL_UNKNOWN },
                { "X, 30, 30, 20", VENDOR_TOOL_FAILED, "", VENDOR_TOOL_UNKNOWN, VENDOR_TOOL_UNKNOWN, VENDOR_TOOL_UNKNOWN },
                { "X, 30, 30\n", VENDOR_TOOL_FAILED, "", VENDOR_TOOL_UNKNOWN, VENDOR_TOOL_UNKNOWN, VENDOR_TOOL_UNKNOWN },
                { "Unable to determine the device handle for GPU 0000:01:00.0: GPU is lost.\n", VENDOR_TOOL_FAILED, "",
                  VENDOR_TOOL_UNKNOWN, VENDOR_TOOL_UNKNOWN, VENDOR_TOOL_UNKNOWN },
                { "\xff\x1b, 1, 2, 3\n", VENDOR_TOOL_OK, "??", 1000, 2, 3000000 },
                { "\n", VENDOR_TOOL_FAILED, "", VENDOR_TOOL_UNKNOWN, VENDOR_TOOL_UNKNOWN, VENDOR_TOOL_UNKNOWN },
                { "", VENDOR_TOOL_FAILED, "", VENDOR_TOOL_UNKNOWN, VENDOR_TOOL_UNKNOWN, VENDOR_TOOL_UNKNOWN },
        };

        for (size_t i = 0; i < G_N_ELEMENTS(lines); i++) {
                g_autofree char *buffer = g_strdup(lines[i].line);
                VendorToolAnswer a;

                g_test_message("%zu", i);
                vendor_tool_parse(buffer, strlen(buffer), &a);
                g_assert_cmpint(a.state, ==, lines[i].state);
                g_assert_cmpstr(a.name, ==, lines[i].name);
                g_assert_cmpint(a.temperature_millideg, ==, lines[i].temperature);
                g_assert_cmpint(a.fan_percent, ==, lines[i].fan);
                g_assert_cmpint(a.power_uw, ==, lines[i].power);
                g_assert_cmpint(a.text[0] != 0, ==, a.state != VENDOR_TOOL_OK);
        }
}

int main(int argc, char *argv[]) {
        sim_init(&argc, &argv);
        g_test_add_func("/exec/ends", test_ends);
        g_test_add_func("/exec/cannot-start", test_cannot_start);
        g_test_add_func("/exec/output-max", test_output_max);
        g_test_add_func("/exec/systemd-hangs", test_systemd_hangs);
        g_test_add_func("/exec/restart", test_restart);
        g_test_add_func("/exec/let-go", test_let_go);
        g_test_add_func("/vendor-tool/query", test_vendor_tool);
        g_test_add_func("/vendor-tool/hangs", test_vendor_tool_hangs);
        g_test_add_func("/vendor-tool/parse", test_vendor_tool_parse);
        return g_test_run();
}
