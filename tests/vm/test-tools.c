/* SPDX-License-Identifier: GPL-2.0-or-later */

/* test-tools: what the daemon has of systemd for itself, on a real one: programs as transient units, an nvidia-smi that
 * hangs, and the kernel's lines in the journal. */

#include <glib/gstdio.h>
#include <signal.h>
#include <systemd/sd-event.h>

#include "exec-client.h"
#include "guest.h"
#include "kernel-log.h"
#include "unit/loop.h"
#include "vendor-tool.h"
#include "worker/protocol.h"

#define SCRIPT "/run/fake-nvidia-smi"
#define UNIT "gpuptd-exec-7-3.service"

typedef struct Client {
        sd_event *event;
        sd_bus *bus;
} Client;

static void client_init(Client *c) {
        g_assert_cmpint(sd_event_new(&c->event), >=, 0);
        g_assert_cmpint(sd_bus_open_system(&c->bus), >=, 0);
        g_assert_cmpint(sd_bus_attach_event(c->bus, c->event, 0), >=, 0);
}

static void client_done(Client *c) {
        sd_bus_flush_close_unref(c->bus);
        sd_event_unref(c->event);
}

typedef struct Ended {
        bool ended;
        int error, status;
        char text[400], output[400];
} Ended;

static void on_ended(const ExecResult *result, void *userdata) {
        Ended *e = userdata;

        *e = (Ended) { .ended = true, .error = result->error, .status = result->status };
        (void) g_strlcpy(e->text, result->text, sizeof(e->text));
        (void) g_strlcpy(e->output, result->output, sizeof(e->output));
}

static Exec *run(Client *c, const char *script, uint64_t limit_usec, Ended *ended) {
        ExecRequest request = {
                .unit = UNIT, .description = "A program of a test", .limit_usec = limit_usec, .output_max = 4096,
                .argv = (char *const[]) { (char *) "/bin/sh", (char *) "-c", (char *) script, NULL },
        };
        Exec *e;

        *ended = (Ended) {};
        g_assert_cmpint(exec_run(c->bus, &request, on_ended, ended, &e), ==, 0);
        return e;
}

static void assert_ended(Client *c, const char *script, uint64_t limit_usec, int error, int status, const char *text,
                         const char *output) {
        Ended e;

        (void) run(c, script, limit_usec, &e);
        loop_until(c->event, e.ended);
        g_assert_cmpstr(e.text, ==, text);
        g_assert_cmpint(e.error, ==, error);
        g_assert_cmpint(e.status, ==, status);
        g_assert_cmpstr(e.output, ==, output);
}

#define LONG (PATIENCE_SEC * G_USEC_PER_SEC)

static bool is_collected(const void *unit) {
        g_autofree char *state = output_of("systemctl", "show", "-P", "LoadState", unit, NULL);

        return g_str_equal(state, "not-found");
}

static void install(const char *script) {
        g_assert_true(g_file_set_contents(SCRIPT, script, -1, NULL));
        g_assert_cmpint(g_chmod(SCRIPT, 0755), ==, 0);
}

static void test_ends(void) {
        ExecRequest request = { .unit = UNIT, .description = "x", .limit_usec = LONG,
                                .argv = (char *const[]) { (char *) SCRIPT, NULL } };
        Ended e = {};
        Client c;
        Exec *x;

        client_init(&c);
        for (unsigned i = 0; i < 3; i++)
                assert_ended(&c, "echo one; echo two >&2", LONG, 0, 0, "", "one\ntwo\n");
        assert_ended(&c, "echo 'no such card'; exit 9", LONG, -ECHILD, 9, "sh ended with status 9: no such card",
                     "no such card\n");
        /* The shell's own variables: nobody else has put in his. */
        assert_ended(&c, "kill -KILL $$", LONG, -ECHILD, -1, "sh was ended by signal 9", "");
        install("#!/absent\n");
        g_assert_cmpint(exec_run(c.bus, &request, on_ended, &e, &x), ==, 0);
        loop_until(c.event, e.ended);
        g_assert_cmpint(e.error, ==, -ENOEXEC);
        wait_until(is_collected, UNIT, "nothing to be left of the unit");
        client_done(&c);
}

/* What is for people does not get into what is for the daemon. */
static void test_errors_apart(void) {
        ExecRequest request = {
                .unit = UNIT, .description = "x", .limit_usec = LONG, .output_max = 4096, .errors_apart = true,
                .argv = (char *const[]) { (char *) "/bin/sh", (char *) "-c", (char *) "echo one; echo two >&2; echo three", NULL },
        };
        g_autofree char *journal = NULL;
        Ended e = {};
        Client c;
        Exec *x;

        client_init(&c);
        g_assert_cmpint(exec_run(c.bus, &request, on_ended, &e, &x), ==, 0);
        loop_until(c.event, e.ended);
        g_assert_cmpint(e.error, ==, 0);
        g_assert_cmpstr(e.output, ==, "one\nthree\n");
        g_free(output_of("journalctl", "--sync", NULL));
        journal = output_of("journalctl", "--quiet", "--output=cat", "--identifier=sh", "--unit=" UNIT, NULL);
        g_assert_cmpstr(journal, ==, "two");
        wait_until(is_collected, UNIT, "nothing to be left of the unit");
        client_done(&c);
}

static void test_restart(void) {
        Client c, d;
        Ended e, f;
        Exec *x;

        client_init(&c);
        x = run(&c, "until [ -e /run/go ]; do sleep .1; done; exit 6", LONG, &e);
        g_assert_cmpint(sd_bus_flush(c.bus), >=, 0);
        client_init(&d);
        (void) run(&d, "exit 0", LONG, &f);
        for (unsigned i = 0; i < 3; i++) { /* it exists, we refer to it, it runs */
                g_assert_cmpint(sd_bus_call_method(d.bus, "org.freedesktop.systemd1", "/org/freedesktop/systemd1",
                                                   "org.freedesktop.DBus.Peer", "Ping", NULL, NULL, NULL), >=, 0);
                loop_drain(d.event);
        }
        client_done(&c);
        exec_free(x);
        g_assert_true(g_file_set_contents("/run/go", "", 0, NULL));
        loop_until(d.event, f.ended);
        g_assert_cmpint(f.error, ==, -ECHILD);
        g_assert_cmpint(f.status, ==, 6);
        g_assert_cmpint(g_unlink("/run/go"), ==, 0);
        wait_until(is_collected, UNIT, "nothing to be left of the unit");
        client_done(&d);
}

/* ---- nvidia-smi ---- */

typedef struct Answer {
        bool answered;
        VendorToolState state;
        int64_t temperature;
        char text[400], name[100];
} Answer;

static void on_answer(const VendorToolAnswer *answer, void *userdata) {
        Answer *a = userdata;

        *a = (Answer) { .answered = true, .state = answer->state, .temperature = answer->temperature_millideg };
        (void) g_strlcpy(a->text, answer->text, sizeof(a->text));
        (void) g_strlcpy(a->name, answer->name, sizeof(a->name));
}

static void test_vendor_tool(void) {
        Answer a = {};
        VendorTool *t;
        Client c;

        client_init(&c);
        g_assert_true(g_setenv(ENV_NVIDIA_SMI, SCRIPT, TRUE));
        (void) g_unlink(SCRIPT);
        g_assert_cmpint(vendor_tool_query(c.bus, CARD, on_answer, &a, &t), ==, -ENOENT);

        /* It hangs, and does not listen to TERM. */
        install("#!/bin/sh\ntrap '' TERM\necho begun\nwhile :; do sleep 1000; done\n");
        g_assert_cmpint(vendor_tool_query(c.bus, CARD, on_answer, &a, &t), ==, 0);
        loop_until(c.event, a.answered);
        g_assert_cmpint(a.state, ==, VENDOR_TOOL_HUNG);
        g_assert_true(g_str_has_prefix(a.text, "fake-nvidia-smi did not end in its time"));
        wait_until(is_collected, "gpuptd-exec-0-" CARD ".service", "nothing to be left of the unit");

        install("#!/bin/sh\necho 'NVIDIA GeForce GTX 1080, 29, [N/A], 23.85'\n");
        a.answered = false;
        g_assert_cmpint(vendor_tool_query(c.bus, CARD, on_answer, &a, &t), ==, 0);
        loop_until(c.event, a.answered);
        /* An emulated processor may be slower than a card has to be; then it has hung, too. */
        if (a.state != VENDOR_TOOL_HUNG) {
                g_assert_cmpint(a.state, ==, VENDOR_TOOL_OK);
                g_assert_cmpstr(a.name, ==, "NVIDIA GeForce GTX 1080");
                g_assert_cmpint(a.temperature, ==, 29000);
        }
        client_done(&c);
}

/* ---- the kernel's lines ---- */

typedef struct Wanted {
        uint64_t since_usec;
        const char *id; /* NULL: any line */
} Wanted;

static bool is_logged(const void *userdata) {
        static char *const functions[] = { (char *) CARD, (char *) CARD_AUDIO, NULL };
        _cleanup_(kernel_log_freep) KernelLog *log = NULL;
        _cleanup_(kernel_lines_freep) KernelLines *lines = NULL;
        _cleanup_free_ KernelFinding *findings = NULL;
        const Wanted *w = userdata;
        size_t n;

        g_assert_cmpint(kernel_log_new(NULL, &log), ==, 0);
        g_assert_cmpint(kernel_log_read(log, functions, w->since_usec, &lines), ==, 0);
        for (size_t i = 0; i < lines->n; i++) {
                g_test_message("%s: %s", lines->lines[i].address ?: "-", lines->lines[i].text);
                g_assert_cmpuint(lines->lines[i].monotonic_usec, >=, w->since_usec);
        }
        g_assert_cmpint(kernel_findings(lines, &findings, &n), ==, 0);
        for (size_t i = 0; i < n; i++)
                if (g_strcmp0(findings[i].meaning.id, w->id) == 0)
                        return true;
        return !w->id && lines->n > 0;
}

static void test_kernel_log(void) {
        Wanted refused = { .since_usec = (uint64_t) g_get_monotonic_time(), .id = "reset-unsupported" };
        Wanted xid = { .id = "xid" }, fault = { .id = "iommu-fault" };

        /* What the kernel says of a card by itself (drivers/pci/pci.c reset_method_store()). */
        g_assert_cmpint(sysfs_write("/sys/bus/pci/devices/" CARD "/reset_method", "flr"), ==, EINVAL);
        wait_until(is_logged, &refused, "the kernel's line about a reset");

        /* What it would say of a sick one. journald takes the first word of what does not come from the kernel for a name
         * (journal/journald-kmsg.c dev_kmsg_record()). */
        xid.since_usec = fault.since_usec = (uint64_t) g_get_monotonic_time();
        g_assert_cmpint(sysfs_write("/dev/kmsg", "<3>kernel: NVRM: Xid (PCI:0000:01:00): 79, GPU has fallen off the bus.\n"), ==, 0);
        wait_until(is_logged, &xid, "an Xid");
        g_assert_false(is_logged(&fault));
        g_assert_cmpint(sysfs_write("/dev/kmsg", "<3>kernel: DMAR: [DMA Read NO_PASID] Request device [01:00.0] fault addr "
                                                 "0xfed40000 [fault reason 0x06] PTE Read access is not set\n"), ==, 0);
        wait_until(is_logged, &fault, "a DMAR fault");
}

int main(int argc, char *argv[]) {
        g_test_init(&argc, &argv, NULL);
        case_add("/tools/ends", test_ends);
        case_add("/tools/errors-apart", test_errors_apart);
        case_add("/tools/restart", test_restart);
        case_add("/tools/vendor-tool", test_vendor_tool);
        case_add("/tools/kernel-log", test_kernel_log);
        return g_test_run();
}
