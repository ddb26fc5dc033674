/* SPDX-License-Identifier: GPL-2.0-or-later */

/* test-vm: adapters of virtual machines, on the simulated machine: who is asked, in which order and with which words; and
 * what becomes of adapters that fail, hang, talk nonsense, or were begun by somebody else. */

#include "vm.h"

#include <glib/gstdio.h>
#include <sys/stat.h>
#include <systemd/sd-event.h>

#include "machine.h"
#include "unit/loop.h"
#include "worker/protocol.h"

#define DIR_PATH "/run/gpuptd-sim/vm.d"
#define ASKED "/run/gpuptd-sim/asked"
#define FIFO "/run/gpuptd-sim/go"
#define PID 4711U
#define IDENTIFY "--timeout=10 identify 4711\n"

/* The machine, whoever asks on its bus, and what the last answer was. */
typedef struct World {
        SimMachine *machine;
        sd_event *event;
        sd_bus *bus;

        bool answered, joined;
        VmAnswer answer;
        char *adapter;
} World;

static void world_init(World *w) {
        *w = (World) { .machine = sim_machine_new("desktop") };
        g_assert_cmpint(sd_event_new(&w->event), >=, 0);
        w->bus = sim_bus_new(w->machine, 0);
        g_assert_cmpint(sd_bus_attach_event(w->bus, w->event, 0), >=, 0);
        g_assert_cmpint(mkdir(DIR_PATH, 0755), ==, 0);
        g_assert_true(g_setenv(ENV_VM_DIR, DIR_PATH, TRUE));
        g_assert_true(g_file_set_contents(ASKED, "", 0, NULL));
}

static void world_forget(World *w) {
        vm_answer_done(&w->answer);
        g_clear_pointer(&w->adapter, g_free);
        w->answered = w->joined = false;
}

static void world_done(World *w) {
        world_forget(w);
        sd_bus_flush_close_unref(w->bus);
        sd_event_unref(w->event);
        sim_machine_free(w->machine);
}

static char *copy(const char *s) {
        return s ? strdup(s) : NULL; /* vm_answer_done() frees it */
}

static void on_answer(const VmAnswer *answer, const char *adapter, bool joined, void *userdata) {
        World *w = userdata;

        g_assert_false(w->answered);
        g_assert_nonnull(answer->reason);
        g_assert_nonnull(answer->error);
        w->answer = *answer;
        w->answer.reason = copy(answer->reason);
        w->answer.error = copy(answer->error);
        w->answer.id = copy(answer->id);
        w->answer.name = copy(answer->name);
        w->answer.hint_agent = copy(answer->hint_agent);
        w->answer.hint_s3 = copy(answer->hint_s3);
        w->answer.hint_s4 = copy(answer->hint_s4);
        w->answer.hint_restart = copy(answer->hint_restart);
        w->adapter = g_strdup(adapter);
        w->joined = joined;
        w->answered = true;
}

static VmCall *begin(World *w, const VmRequest *request) {
        VmCall *c;

        world_forget(w);
        g_assert_cmpint(vm_ask(w->bus, request, on_answer, w, &c), ==, 0);
        g_assert_false(w->answered);
        return c;
}

static void ask(World *w, VmRequest request) {
        (void) begin(w, &request);
        loop_until(w->event, w->answered);
}

static void identify(World *w) {
        ask(w, (VmRequest) { .job = 7, .number = 40, .verb = VM_IDENTIFY, .pid = PID });
}

static VmRequest verb_request(VmVerb verb) {
        return (VmRequest) { .job = 7, .number = 3, .verb = verb, .adapter = "qemu", .id = "17:4" };
}

static void assert_answer(const World *w, VmResult result, const char *adapter, const char *error, const char *reason) {
        g_assert_cmpstr(w->answer.reason, ==, reason);
        g_assert_cmpint(w->answer.result, ==, result);
        g_assert_cmpstr(w->adapter, ==, adapter);
        g_assert_cmpstr(w->answer.error, ==, error);
}

/* An adapter that says in a file what it was asked, and does what the shell of the test's words does. */
static void install(const char *name, const char *script) {
        g_autofree char *path = g_build_filename(DIR_PATH, name, NULL);
        g_autofree char *text = g_strdup_printf("#!/bin/sh\necho \"${0##*/} $*\" >> " ASKED "\n%s\n", script);

        g_assert_true(g_file_set_contents(path, text, -1, NULL));
        g_assert_cmpint(chmod(path, 0755), ==, 0);
}

#define NOT_MINE "echo '{\"reason\":\"what is that\"}'; exit 2"
#define MINE "echo '{\"id\":\"17:4\",\"name\":\"win\"}'"

/* Since the last time. */
static void assert_asked(const char *expected) {
        g_autofree char *text = NULL;

        g_assert_true(g_file_get_contents(ASKED, &text, NULL, NULL));
        g_assert_cmpstr(text, ==, expected);
        g_assert_true(g_file_set_contents(ASKED, "", 0, NULL));
}

/* ---- The directory */

static void assert_list(const char *expected) {
        _cleanup_strv_free_ char **names = NULL;
        g_autofree char *text = NULL;

        g_assert_cmpint(vm_list_adapters(&names), ==, 0);
        text = g_strjoinv(" ", names);
        g_assert_cmpstr(text, ==, expected);
}

static void test_list(void) {
        World w;

        world_init(&w);
        assert_list("");
        install("systemd", "");
        install("qemu", "");
        install("proxmox", "");
        install("libvirt", "");
        assert_list("libvirt proxmox qemu systemd");
        install("xen.py", "");
        install("Bhyve_2", "");
        install("-l", "");
        assert_list("-l Bhyve_2 xen.py libvirt proxmox qemu systemd");

        /* What is no name of an adapter, or no program. */
        install(".hidden", "");
        install("xen.py~", "");
        install("two words", "");
        install("br\xc3\xbc", "");
        install("text", "");
        g_assert_cmpint(chmod(DIR_PATH "/text", 0644), ==, 0);
        g_assert_cmpint(mkdir(DIR_PATH "/directory", 0755), ==, 0);
        g_assert_cmpint(symlink("absent", DIR_PATH "/dangling"), ==, 0);
        g_assert_cmpint(mkfifo(DIR_PATH "/fifo", 0755), ==, 0);
        g_assert_cmpint(symlink("xen.py", DIR_PATH "/link"), ==, 0);
        assert_list("-l Bhyve_2 link xen.py libvirt proxmox qemu systemd");

        for (unsigned i = 0; i < 20; i++) {
                g_autofree char *name = g_strdup_printf("m%02u", (i * 7) % 20);

                install(name, "");
        }
        assert_list("-l Bhyve_2 link m00 m01 m02 m03 m04 m05 m06 m07 m08 m09 m10 m11 m12");

        g_assert_true(g_setenv(ENV_VM_DIR, "/run/gpuptd-sim/absent", TRUE));
        assert_list("");
        world_done(&w);
}

/* ---- identify */

static void test_identify(void) {
        World w;

        world_init(&w);
        install("systemd", MINE);
        install("qemu", "echo 'is it mine?' >&2; " MINE);
        install("libvirt", NOT_MINE);
        install("zone", NOT_MINE);
        install("alpha", NOT_MINE);
        for (unsigned i = 0; i < 2; i++) { /* the names of the units are free again */
                identify(&w);
                assert_answer(&w, VM_DONE, "qemu", "", "");
                g_assert_cmpstr(w.answer.id, ==, "17:4");
                g_assert_cmpstr(w.answer.name, ==, "win");
                g_assert_false(w.joined);
                assert_asked("alpha " IDENTIFY "zone " IDENTIFY "libvirt " IDENTIFY "qemu " IDENTIFY);
        }
        g_assert_true(g_str_has_prefix(sim_command(w.machine, "jobs-log"),
                                       "start gpuptd-exec-7-40.service\nstart gpuptd-exec-7-41.service\n"
                                       "start gpuptd-exec-7-42.service\nstart gpuptd-exec-7-43.service\n"));
        world_done(&w);
}

static void test_nobody(void) {
        World w;

        world_init(&w);
        identify(&w);
        assert_answer(&w, VM_NOT_MINE, "", "", "no adapter knows the process");
        g_assert_cmpstr(sim_command(w.machine, "jobs-log"), ==, "");

        install("qemu", NOT_MINE);
        install("systemd", NOT_MINE);
        identify(&w);
        assert_answer(&w, VM_NOT_MINE, "", "", "no adapter knows the process");
        g_assert_null(w.answer.id);
        assert_asked("qemu " IDENTIFY "systemd " IDENTIFY);

        g_assert_true(g_setenv(ENV_VM_DIR, "/run/gpuptd-sim/absent", TRUE));
        identify(&w);
        assert_answer(&w, VM_NOT_MINE, "", "", "no adapter knows the process");
        assert_asked("");
        world_done(&w);
}

/* Whoever would be asked next might take a VM for its own that is another's. */
static void test_failure_ends(void) {
        static const struct {
                const char *script;
                VmResult result;
                const char *error, *reason;
        } cases[] = {
                { "echo '{\"error\":\"unreachable\",\"reason\":\"libvirtd is not there\"}'; exit 1", VM_FAILED, "unreachable",
                  "libvirtd is not there" },
                { "echo '{\"reason\":\"a user has it\"}'; exit 3", VM_NOT_SUPPORTED, "", "a user has it" },
                { "echo '{\"error\":\"timeout\",\"reason\":\"too slow\"}'; exit 1", VM_TIMED_OUT, "timeout", "too slow" },
                { "exit 0", VM_FAILED, "", "it gave no answer" },
                { "exit 2", VM_FAILED, "", "it gave no answer" },
                { "echo '{\"id\":\"--help\"}'", VM_FAILED, "", "its answer has no ID that is one" },
                { "echo no; exit 127", VM_FAILED, "", "it ended with the unknown status 127" },
                { "kill -KILL $$", VM_FAILED, "", "libvirt was ended by signal 9" },
        };
        World w;

        world_init(&w);
        install("alpha", NOT_MINE);
        install("systemd", MINE);
        for (size_t i = 0; i < G_N_ELEMENTS(cases); i++) {
                g_test_message("%s", cases[i].script);
                install("libvirt", cases[i].script);
                identify(&w);
                assert_answer(&w, cases[i].result, "libvirt", cases[i].error, cases[i].reason);
                g_assert_null(w.answer.id);
                assert_asked("alpha " IDENTIFY "libvirt " IDENTIFY);
        }

        g_assert_true(g_file_set_contents(DIR_PATH "/libvirt", "#!/absent\n", -1, NULL));
        g_assert_cmpint(chmod(DIR_PATH "/libvirt", 0755), ==, 0);
        identify(&w);
        assert_answer(&w, VM_FAILED, "libvirt", "", "libvirt could not be executed");
        assert_asked("alpha " IDENTIFY);
        world_done(&w);
}

/* One that is removed while another is asked. */
static void test_vanishes(void) {
        World w;

        world_init(&w);
        install("alpha", "rm " DIR_PATH "/libvirt; " NOT_MINE);
        install("libvirt", "exit 1");
        install("qemu", MINE);
        identify(&w);
        assert_answer(&w, VM_DONE, "qemu", "", "");
        assert_asked("alpha " IDENTIFY "qemu " IDENTIFY);
        world_done(&w);
}

/* It takes the second that it has, and those that come on top. */
static void test_hangs(void) {
        World w;

        world_init(&w);
        install("libvirt", "exec sleep 1000");
        install("qemu", MINE);
        ask(&w, (VmRequest) { .job = 7, .number = 40, .verb = VM_IDENTIFY, .pid = PID, .limit_sec = 1 });
        assert_answer(&w, VM_TIMED_OUT, "libvirt", "timeout", "libvirt did not end in its time");
        assert_asked("libvirt --timeout=1 identify 4711\n");
        world_done(&w);
}

/* ---- The other verbs */

static void test_verbs(void) {
        World w;

        world_init(&w);
        /* The adapter's own arguments come back as its reason. */
        install("qemu", "printf '{\"state\":\"paused\",\"error\":\"refused\",\"reason\":\"%s|%s|%s\"}' \"$@\"; exit 1");
        for (VmVerb v = VM_STATUS; v < _VM_VERB_MAX; v++) {
                g_autofree char *reason = g_strdup_printf("--timeout=%u|%s|17:4", vm_verb_limit_sec(v), vm_verb_to_string(v));

                ask(&w, verb_request(v));
                assert_answer(&w, VM_FAILED, "qemu", "refused", reason);
                g_assert_cmpint(w.answer.state, ==, VM_PAUSED);
                g_assert_false(w.joined);
        }
        ask(&w, (VmRequest) { .job = 7, .number = 3, .verb = VM_START, .adapter = "qemu", .id = "$HOME %n; ${x} é",
                              .limit_sec = 86400 });
        assert_answer(&w, VM_FAILED, "qemu", "refused", "--timeout=86400|start|$HOME %n; ${x} é");

        install("qemu", "echo 'nothing to do' >&2; echo '{\"state\":\"running\",\"changed\":false}'");
        ask(&w, verb_request(VM_RESUME));
        assert_answer(&w, VM_DONE, "qemu", "", "");
        g_assert_cmpint(w.answer.state, ==, VM_RUNNING);
        g_assert_false(w.answer.changed);

        install("qemu", "echo '{\"agent\":true,\"s3\":false,\"hints\":{\"s3\":\"enable it\"}}'");
        ask(&w, verb_request(VM_CAPABILITIES));
        assert_answer(&w, VM_DONE, "qemu", "", "");
        g_assert_true(w.answer.agent);
        g_assert_cmpstr(w.answer.hint_s3, ==, "enable it");

        install("qemu", "echo '{\"reason\":\"it has no agent\"}'; exit 3");
        ask(&w, verb_request(VM_SUSPEND));
        assert_answer(&w, VM_NOT_SUPPORTED, "qemu", "", "it has no agent");

        g_assert_cmpint(g_unlink(DIR_PATH "/qemu"), ==, 0);
        ask(&w, verb_request(VM_KILL));
        assert_answer(&w, VM_FAILED, "qemu", "", DIR_PATH "/qemu is not installed");
        world_done(&w);
}

static void test_nonsense(void) {
        static const struct {
                const char *script, *reason;
        } cases[] = {
                { ":", "it gave no answer" },
                { "echo done", "its answer is not one JSON object" },
                { "echo '{\"state\":5}'", "'state' of its answer is of the wrong type" },
                { "echo '{\"state\":\"off\"'", "its answer ends in the middle" },
                { "printf '{}\\000{}'", "its answer is not text" },
                { "head -c 100000 /dev/zero", "its answer is longer than 64 KiB" },
                { "i=0; while [ $i -lt 2000 ]; do echo 0123456789012345678901234567890123456789; i=$((i+1)); done; exit 0",
                  "its answer is longer than 64 KiB" },
                { "echo '{}' >&2", "it gave no answer" },
        };
        World w;

        world_init(&w);
        for (size_t i = 0; i < G_N_ELEMENTS(cases); i++) {
                g_test_message("%s", cases[i].script);
                install("qemu", cases[i].script);
                ask(&w, verb_request(VM_STATUS));
                assert_answer(&w, VM_FAILED, "qemu", "", cases[i].reason);
                g_assert_cmpint(w.answer.state, ==, VM_UNKNOWN);
        }
        world_done(&w);
}

static void test_bad_requests(void) {
        static const VmRequest requests[] = {
                { .verb = _VM_VERB_MAX, .adapter = "qemu", .id = "1" },
                { .verb = _VM_VERB_INVALID, .adapter = "qemu", .id = "1" },
                { .verb = VM_IDENTIFY },
                { .verb = VM_IDENTIFY, .pid = UINT32_MAX },
                { .verb = VM_IDENTIFY, .pid = 1, .number = G_MAXUINT },
                { .verb = VM_STATUS, .adapter = "qemu" },
                { .verb = VM_STATUS, .id = "1" },
                { .verb = VM_STATUS, .adapter = "", .id = "1" },
                { .verb = VM_STATUS, .adapter = "../qemu", .id = "1" },
                { .verb = VM_STATUS, .adapter = "..", .id = "1" },
                { .verb = VM_STATUS, .adapter = "/bin/sh", .id = "1" },
                { .verb = VM_STATUS, .adapter = "qemu~", .id = "1" },
                { .verb = VM_STATUS, .adapter = "qemu", .id = "" },
                { .verb = VM_STATUS, .adapter = "qemu", .id = "--help" },
                { .verb = VM_STATUS, .adapter = "qemu", .id = "a\nb" },
                { .verb = VM_STATUS, .adapter = "qemu", .id = "1", .limit_sec = 86401 },
        };
        World w;
        VmCall *c;

        world_init(&w);
        install("qemu", MINE);
        for (size_t i = 0; i < G_N_ELEMENTS(requests); i++) {
                g_test_message("%zu", i);
                g_assert_cmpint(vm_ask(w.bus, &requests[i], on_answer, &w, &c), ==, -EINVAL);
        }
        g_assert_true(g_setenv(ENV_VM_DIR, "vm.d", TRUE));
        g_assert_cmpint(vm_ask(w.bus, &(VmRequest) { .verb = VM_STATUS, .adapter = "qemu", .id = "1" }, on_answer, &w, &c), ==,
                        -EINVAL);
        loop_drain(w.event);
        g_assert_false(w.answered);
        g_assert_cmpstr(sim_command(w.machine, "jobs-log"), ==, "");
        world_done(&w);
}

static void test_systemd_is_gone(void) {
        World w;

        world_init(&w);
        install("qemu", MINE);
        (void) sim_command(w.machine, "systemd1 gone");
        identify(&w);
        /* Where the bus had our call before systemd1 went, nobody knows whether it was begun. */
        g_assert_true(w.answer.result == VM_FAILED || w.answer.result == VM_TIMED_OUT);
        g_assert_cmpstr(w.adapter, ==, "qemu");
        g_assert_true(g_str_has_prefix(w.answer.reason, "systemd did not start qemu: "));
        world_done(&w);
}

/* ---- What somebody else has begun */

/* Until systemd1 has answered what was asked, and what was asked then: to start a unit, to refer to it, how it is. */
static void settle(World *w) {
        for (unsigned i = 0; i < 3; i++) {
                g_assert_cmpint(sd_bus_call_method(w->bus, "org.freedesktop.systemd1", "/org/freedesktop/systemd1",
                                                   "org.freedesktop.systemd1.Manager", "Subscribe", NULL, NULL, NULL), >=, 0);
                loop_drain(w->event);
        }
}

/* The program of a daemon that has died waits for a word; the next daemon asks for the same. */
static void begin_twice(World *w, const VmRequest *request, const char *unit) {
        VmCall *c = begin(w, request);

        settle(w);
        (void) sim_command(w->machine, "wait-unit %s active", unit);
        vm_call_free(c);
        (void) begin(w, request);
        settle(w);
}

static void say_the_word(void) {
        FILE *f = fopen(FIFO, "we");

        g_assert_nonnull(f);
        g_assert_cmpint(fputs("go\n", f), >=, 0);
        g_assert_cmpint(fclose(f), ==, 0);
}

static void test_joined(void) {
        static const struct {
                const char *end;
                VmResult result;
                const char *error, *reason;
        } cases[] = {
                { "exit 0", VM_DONE, "", "" },
                { "exit 1", VM_FAILED, "", "qemu ended with status 1" },
                { "exit 2", VM_FAILED, "", "qemu ended with status 2" },
                { "exit 3", VM_NOT_SUPPORTED, "", "qemu ended with status 3" },
                { "kill -KILL $$", VM_FAILED, "", "qemu was ended by signal 9" },
        };
        VmRequest request = verb_request(VM_SHUTDOWN);
        World w;

        world_init(&w);
        g_assert_cmpint(mkfifo(FIFO, 0600), ==, 0);
        for (size_t i = 0; i < G_N_ELEMENTS(cases); i++) {
                g_autofree char *script = g_strdup_printf("read word < " FIFO "; echo '{\"state\":\"off\"}'; %s", cases[i].end);

                g_test_message("%s", cases[i].end);
                install("qemu", script);
                begin_twice(&w, &request, "gpuptd-exec-7-3.service");
                say_the_word();
                loop_until(w.event, w.answered);
                assert_answer(&w, cases[i].result, "qemu", cases[i].error, cases[i].reason);
                g_assert_true(w.joined);
                /* It was lost what it printed. */
                g_assert_cmpint(w.answer.state, ==, VM_UNKNOWN);
                /* A verb is not done twice. */
                assert_asked("qemu --timeout=180 shutdown 17:4\n");
        }
        world_done(&w);
}

/* Of a question only the answer counts. */
static void test_joined_question(void) {
        VmRequest request = { .job = 7, .number = 40, .verb = VM_IDENTIFY, .pid = PID };
        World w;

        world_init(&w);
        g_assert_cmpint(mkfifo(FIFO, 0600), ==, 0);
        install("alpha", "[ -p " FIFO " ] || { " NOT_MINE "; }; read word < " FIFO "; rm " FIFO "; " MINE);
        install("qemu", MINE);
        begin_twice(&w, &request, "gpuptd-exec-7-40.service");
        say_the_word();
        loop_until(w.event, w.answered);
        assert_answer(&w, VM_DONE, "qemu", "", "");
        g_assert_cmpstr(w.answer.id, ==, "17:4");
        g_assert_false(w.joined);
        assert_asked("alpha " IDENTIFY "alpha " IDENTIFY "qemu " IDENTIFY);
        world_done(&w);
}

static void test_let_go(void) {
        VmRequest request = verb_request(VM_START), question = { .job = 7, .number = 40, .verb = VM_IDENTIFY, .pid = PID };
        World w;
        VmCall *c;

        world_init(&w);
        g_assert_cmpint(mkfifo(FIFO, 0600), ==, 0);
        /* Nobody to ask, and nobody who listens. */
        vm_call_free(begin(&w, &question));
        loop_drain(w.event);

        install("qemu", "read word < " FIFO "; echo over >> " ASKED);
        c = begin(&w, &request);
        settle(&w);
        (void) sim_command(w.machine, "wait-unit gpuptd-exec-7-3.service active");
        vm_call_free(c);
        settle(&w);
        /* It does not end for that. */
        say_the_word();
        (void) sim_command(w.machine, "wait-unit gpuptd-exec-7-3.service inactive");
        assert_asked("qemu --timeout=120 start 17:4\nover\n");
        settle(&w);
        g_assert_false(w.answered);
        world_done(&w);
}

int main(int argc, char *argv[]) {
        sim_init(&argc, &argv);
        g_test_add_func("/vm/list", test_list);
        g_test_add_func("/vm/identify", test_identify);
        g_test_add_func("/vm/nobody", test_nobody);
        g_test_add_func("/vm/failure-ends", test_failure_ends);
        g_test_add_func("/vm/vanishes", test_vanishes);
        g_test_add_func("/vm/hangs", test_hangs);
        g_test_add_func("/vm/verbs", test_verbs);
        g_test_add_func("/vm/nonsense", test_nonsense);
        g_test_add_func("/vm/bad-requests", test_bad_requests);
        g_test_add_func("/vm/systemd-is-gone", test_systemd_is_gone);
        g_test_add_func("/vm/joined", test_joined);
        g_test_add_func("/vm/joined-question", test_joined_question);
        g_test_add_func("/vm/let-go", test_let_go);
        return g_test_run();
}
