/* SPDX-License-Identifier: GPL-2.0-or-later */

/* test-client: gpuptctl as its users see it: the program itself against a stand-in for the daemon on a
 * private bus. What it prints, what it exits with, and what it does when somebody presses Ctrl-C or the
 * daemon dies. Nothing here waits for time to pass; it waits for the line that says that something has
 * happened. */

#include <fcntl.h>
#include <gio/gio.h>
#include <glib/gstdio.h>
#include <json-c/json.h>
#include <pty.h>
#include <signal.h>
#include <sys/wait.h>
#include <systemd/sd-login.h>

#include "dbus/errors.h"
#include "tests/unit/mock-daemon.h"

/* One end-to-end case: if there is a script, a daemon; on a bus that all cases share, since a GTestDBus
 * leaves processes behind when a test aborts and it was not the first. */
typedef struct Fixture {
        pid_t daemon;
        char *dir;
        char *out, *err;            /* of the last client() */
} Fixture;

static const char *gpuptctl;
static GTestDBus *shared_bus;
static sd_bus *observer;

/* The bus notices the death in its own time, and a name without an owner is what the next daemon needs. */
static void kill_daemon(Fixture *f) {
        int owned = true;

        mock_daemon_kill(f->daemon);
        f->daemon = 0;
        while (owned) {
                __attribute__((cleanup(sd_bus_message_unrefp))) sd_bus_message *reply = NULL;

                g_assert_cmpint(sd_bus_call_method(observer, "org.freedesktop.DBus", "/org/freedesktop/DBus",
                                                   "org.freedesktop.DBus", "NameHasOwner", NULL, &reply, "s",
                                                   "org.gpupt1"),
                                >=, 0);
                g_assert_cmpint(sd_bus_message_read(reply, "b", &owned), >=, 0);
        }
}

static void fixture_set_up(Fixture *f, gconstpointer data) {
        const MockScript *script = data;
        MockScript copy;

        g_setenv("DBUS_SYSTEM_BUS_ADDRESS", g_test_dbus_get_bus_address(shared_bus), true);
        f->dir = g_dir_make_tmp("test-client-XXXXXX", NULL);
        if (script) {
                copy = *script;
                copy.lease_dir = f->dir;
                f->daemon = mock_daemon_start(&copy);
        }
}

static void fixture_tear_down(Fixture *f, gconstpointer data) {
        if (f->daemon > 0)
                kill_daemon(f);
        g_free(f->out);
        g_free(f->err);
        (void) g_rmdir(f->dir);
        g_free(f->dir);
}

/* Runs gpuptctl with the words of a line (quotes as in a shell) and returns its exit status. */
static int client(Fixture *f, const char *line) {
        g_auto(GStrv) words = NULL, argv = NULL;
        g_autoptr(GStrvBuilder) builder = g_strv_builder_new();
        g_autoptr(GSubprocess) process = NULL;
        g_autoptr(GError) error = NULL;
        g_autofree char *shown = g_strescape(line, "'");

        g_strv_builder_add(builder, gpuptctl);
        if (*line) {
                g_assert_true(g_shell_parse_argv(line, NULL, &words, &error));
                g_strv_builder_addv(builder, (const char **) words);
        }
        argv = g_strv_builder_end(builder);

        g_clear_pointer(&f->out, g_free);
        g_clear_pointer(&f->err, g_free);
        process = g_subprocess_newv((const char *const *) argv,
                                    G_SUBPROCESS_FLAGS_STDOUT_PIPE | G_SUBPROCESS_FLAGS_STDERR_PIPE, &error);
        g_assert_no_error(error);
        g_assert_true(g_subprocess_communicate_utf8(process, NULL, NULL, &f->out, &f->err, &error));
        g_assert_no_error(error);
        g_assert_true(g_subprocess_get_if_exited(process));
        g_test_message("gpuptctl %s = %d\n%s%s", shown, g_subprocess_get_exit_status(process), f->out, f->err);
        return g_subprocess_get_exit_status(process);
}

#define assert_has(text, part)                                                                          \
        do {                                                                                            \
                if (!strstr((text), (part)))                                                            \
                        g_error("%s:%d: no '%s' in:\n%s", __FILE__, __LINE__, (part), (text));          \
        } while (false)

#define assert_has_not(text, part)                                                                      \
        do {                                                                                            \
                if (strstr((text), (part)))                                                             \
                        g_error("%s:%d: '%s' is in:\n%s", __FILE__, __LINE__, (part), (text));          \
        } while (false)

static json_object *parse(const char *text) {
        json_object *o = json_tokener_parse(text);

        if (!o)
                g_error("not JSON: %s", text);
        return o;
}

static json_object *get(json_object *o, const char *key) {
        json_object *value;

        if (!json_object_object_get_ex(o, key, &value))
                g_error("no '%s' in %s", key, json_object_to_json_string(o));
        return value;
}

/* ---- a client that is still running ---- */

typedef struct Running {
        GSubprocess *process;
        GDataInputStream *lines;    /* stdout and stderr together */
} Running;

static Running start(const char *line) {
        g_autofree char *command = g_strdup_printf("%s %s", gpuptctl, line);
        g_auto(GStrv) argv = NULL;
        g_autoptr(GError) error = NULL;
        Running running;

        g_assert_true(g_shell_parse_argv(command, NULL, &argv, &error));
        running.process = g_subprocess_newv((const char *const *) argv,
                                            G_SUBPROCESS_FLAGS_STDIN_PIPE | G_SUBPROCESS_FLAGS_STDOUT_PIPE |
                                                    G_SUBPROCESS_FLAGS_STDERR_MERGE, &error);
        g_assert_no_error(error);
        running.lines = g_data_input_stream_new(g_subprocess_get_stdout_pipe(running.process));
        return running;
}

/* Reads up to the first line that contains the text, and returns that line. */
static char *wait_for(Running *running, const char *text) {
        for (;;) {
                char *line = g_data_input_stream_read_line_utf8(running->lines, NULL, NULL, NULL);

                if (!line)
                        g_error("the output ended before '%s'", text);
                g_test_message("%s", line);
                if (strstr(line, text))
                        return line;
                g_free(line);
        }
}

static void expect(Running *running, const char *text) {
        g_free(wait_for(running, text));
}

/* Waits for the end and returns the exit status. */
static int finish(Running *running) {
        g_autoptr(GError) error = NULL;
        char *line;
        int status;

        while ((line = g_data_input_stream_read_line_utf8(running->lines, NULL, NULL, NULL))) {
                g_test_message("%s", line);
                g_free(line);
        }
        g_assert_true(g_subprocess_wait(running->process, NULL, &error));
        g_assert_true(g_subprocess_get_if_exited(running->process));
        status = g_subprocess_get_exit_status(running->process);
        g_clear_object(&running->lines);
        g_clear_object(&running->process);
        return status;
}

/* ---- scripts ---- */

static const MockScript one = { .n_gpus = 1 };
static const MockScript two = { .n_gpus = 2 };
static const MockScript none = {};
static const MockScript one_gone = { .n_gpus = 2, .states = { "detached", "host" } };
static const MockScript second_sick = { .n_gpus = 2, .healths = { "ok", "dead" } };
static const MockScript second_gone = { .n_gpus = 2, .states = { "host", "absent" }, .healths = { "unknown", "unknown" } };
static const MockScript not_cured = {
        .n_gpus = 1,
        .result = "failed",
        .error = GPUPT_ERROR_RESET_FAILED,
        .message = "0000:01:00.0 is still not well. The fan of it does not turn, and nobody knows why.\n"
                   "  wake: had no effect\n"
                   "  bus: not possible (0000:02:00.0 is below the bridge as well, and is not part of it)\n"
                   "There is no further way to reset it.",
        .job_is_last = true,
};
static const MockScript assigned = { .n_gpus = 1, .states = { "assigned" } };
static const MockScript hangs = { .n_gpus = 1, .pace = MOCK_HANG };
static const MockScript hangs_for_good = { .n_gpus = 1, .pace = MOCK_HANG, .refuse_cancel = true };
static const MockScript asks_for_ever = { .n_gpus = 1, .pace = MOCK_NEVER_ANSWER };
static const MockScript not_ready = { .n_gpus = 1, .check_fails = true };
static const MockScript liar = { .n_gpus = 1, .lie = true };
static const MockScript challenge = { .n_gpus = 1, .challenge = true };
static const MockScript rom_other = { .n_gpus = 1, .rom = MOCK_ROM_OTHER };
static const MockScript rom_broken = { .n_gpus = 1, .rom = MOCK_ROM_BROKEN };
static const MockScript rom_in_use = { .n_gpus = 1, .rom = MOCK_ROM_IN_USE };

/* ---- what it shows ---- */

static void test_list(Fixture *f, gconstpointer data) {
        g_autofree char *bare = NULL;

        g_assert_cmpint(client(f, ""), ==, EXIT_DONE);
        assert_has(f->out, "ADDRESS      NAME                          STATE DRIVER  GROUPS USED BY HEALTH\n");
        assert_has(f->out, "0000:01:00.0 GP107 [GeForce GTX 1050 Ti]   host  nouveau 1,2    -       degraded\n");
        assert_has(f->out, "\n2 GPUs listed.\n");
        assert_has_not(f->out, "\033");
        g_assert_cmpstr(f->err, ==, "");
        bare = g_strdup(f->out);
        g_assert_cmpint(client(f, "list"), ==, EXIT_DONE);
        g_assert_cmpstr(f->out, ==, bare);

        g_assert_cmpint(client(f, "list --no-legend"), ==, EXIT_DONE);
        assert_has_not(f->out, "ADDRESS");
        assert_has_not(f->out, "listed");
}

static void test_list_json(Fixture *f, gconstpointer data) {
        json_object *gpus, *gpu;

        g_assert_cmpint(client(f, "list --json=short"), ==, EXIT_DONE);
        g_assert_cmpuint(strchr(f->out, '\n') - f->out, ==, strlen(f->out) - 1);
        gpus = parse(f->out);
        g_assert_cmpuint(json_object_array_length(gpus), ==, 2);
        gpu = json_object_array_get_idx(gpus, 0);
        g_assert_cmpstr(json_object_get_string(get(gpu, "address")), ==, MOCK_FIRST);
        g_assert_cmpint(json_object_get_int(get(gpu, "vendor-id")), ==, 0x10de);
        g_assert_true(json_object_get_boolean(get(gpu, "boot-vga")));
        g_assert_cmpstr(json_object_to_json_string_ext(get(gpu, "iommu-groups"), 0), ==, "[1,2]");
        g_assert_cmpstr(json_object_to_json_string_ext(get(gpu, "virtual-machine"), 0), ==, "[\"\",\"\"]");
        g_assert_cmpstr(json_object_to_json_string_ext(get(gpu, "sleep-policy"), 0), ==,
                        "{\"VirtualMachine\":\"auto\",\"Gpu\":\"unbind\",\"TimeoutSec\":\"180\"}");
        g_assert_cmpstr(
                json_object_get_string(get(json_object_array_get_idx(get(gpu, "functions"), 1), "host-driver")),
                ==, "snd_hda_intel");
        /* JSON carries the text as it is; only a terminal has to be spared */
        g_assert_cmpstr(json_object_get_string(get(json_object_array_get_idx(gpus, 1), "name")), ==,
                        "Evil\033[31m \n\302\233card");
        json_object_put(gpus);

        g_assert_cmpint(client(f, "--json=pretty list"), ==, EXIT_DONE);
        g_assert_true(g_str_has_prefix(f->out, "[\n  {\n"));
        json_object_put(parse(f->out));
        g_assert_cmpint(client(f, "list -j"), ==, EXIT_DONE);
        json_object_put(parse(f->out));
        g_assert_cmpint(client(f, "list --json=off"), ==, EXIT_DONE);
        assert_has(f->out, "ADDRESS");
}

static void test_escapes(Fixture *f, gconstpointer data) {
        g_assert_cmpint(client(f, "list"), ==, EXIT_DONE);
        assert_has(f->out, "Evil\\033[31m \\012\\302\\233card");
        g_assert_cmpint(client(f, "status " MOCK_SECOND), ==, EXIT_DONE);
        assert_has_not(f->out, "\033");
        assert_has(f->out, "qemu\\033]0;x\\007");
        g_assert_cmpint(client(f, "'a\033b'"), ==, EXIT_USAGE);
        assert_has(f->err, "'a\\033b'");
}

static void test_colors(Fixture *f, gconstpointer data) {
        g_setenv("SYSTEMD_COLORS", "1", true);
        g_assert_cmpint(client(f, "list"), ==, EXIT_DONE);
        assert_has(f->out, "\033[32mhost");
        g_setenv("NO_COLOR", "1", true); /* weaker */
        g_assert_cmpint(client(f, "list"), ==, EXIT_DONE);
        assert_has(f->out, "\033[32m");
        g_setenv("SYSTEMD_COLORS", "0", true);
        g_assert_cmpint(client(f, "list"), ==, EXIT_DONE);
        assert_has_not(f->out, "\033");
        g_unsetenv("SYSTEMD_COLORS");
        g_unsetenv("NO_COLOR");
}

static void test_no_gpus(Fixture *f, gconstpointer data) {
        g_assert_cmpint(client(f, "list"), ==, EXIT_DONE);
        g_assert_cmpstr(f->out, ==, "0 GPUs listed.\n");
        g_assert_cmpint(client(f, "list -j"), ==, EXIT_DONE);
        g_assert_cmpstr(f->out, ==, "[]\n");
        g_assert_cmpint(client(f, "status"), ==, EXIT_NO_SUCH_GPU);
        g_assert_cmpint(client(f, "detach"), ==, EXIT_NO_SUCH_GPU);
}

static void test_status(Fixture *f, gconstpointer data) {
        json_object *gpu;

        g_assert_cmpint(client(f, "status"), ==, EXIT_DONE);
        assert_has(f->out, "0000:01:00.0 - GP107 [GeForce GTX 1050 Ti]\n");
        assert_has(f->out, "       State: assigned\n");
        assert_has(f->out, "0000:01:00.1 audio   10de:0fb9 vfio-pci (host: snd_hda_intel)");
        assert_has(f->out, "group 1");
        assert_has_not(f->out, "group -");
        assert_has_not(f->out, "group 0");
        assert_has(f->out, "IOMMU groups: 1, 2 (not viable)\n");
        assert_has(f->out, "  Connectors: DP-1 disconnected, HDMI-A-1 connected\n");
        assert_has(f->out, "              warning: The fan does not turn.\n");
        assert_has(f->out, "       Sleep: Gpu=unbind\n"); /* what is not the default */
        assert_has(f->out, "          VM: win10 (libvirt)\n");
        assert_has(f->out, "     Holders: 4711 ");

        g_assert_cmpint(client(f, "status 01:00.0 -j"), ==, EXIT_DONE);
        gpu = parse(f->out);
        g_assert_cmpstr(json_object_get_string(get(gpu, "state")), ==, "assigned");
        g_assert_cmpint(json_object_get_int(get(json_object_array_get_idx(get(gpu, "holders"), 0), "pid")), ==,
                        4711);
        json_object_put(gpu);
}

static void test_tables(Fixture *f, gconstpointer data) {
        json_object *array;

        g_assert_cmpint(client(f, "groups"), ==, EXIT_DONE);
        assert_has(f->out, "0000:00:1f.0 8086:2918");
        g_assert_true(strstr(f->out, "00:1f.0") < strstr(f->out, "01:00.0"));
        assert_has(f->out, "nouveau       flr bus");
        assert_has(f->out, "none ");
        g_assert_cmpint(client(f, "groups -j"), ==, EXIT_DONE);
        array = parse(f->out);
        g_assert_cmpuint(json_object_array_length(array), ==, 3);
        json_object_put(array);

        g_assert_cmpint(client(f, "holders"), ==, EXIT_DONE);
        assert_has(f->out, "4711 qemu\\033]0;x\\007 root machine-qemu.scope");
        assert_has(f->out, " 812 -                -    user@1000.service");
        g_assert_cmpint(client(f, "holders -j"), ==, EXIT_DONE);
        array = parse(f->out);
        g_assert_cmpuint(json_object_array_length(array), ==, 2);
        json_object_put(array);

        g_assert_cmpint(client(f, "jobs"), ==, EXIT_DONE);
        g_assert_cmpstr(f->out, ==, "No jobs.\n");
        g_assert_cmpint(client(f, "jobs -j"), ==, EXIT_DONE);
        g_assert_cmpstr(f->out, ==, "[]\n");
        g_assert_cmpint(client(f, "rescan"), ==, EXIT_DONE);
        g_assert_cmpstr(f->out, ==, "");
}

static void test_check(Fixture *f, gconstpointer data) {
        const MockScript *script = data;
        int status = script->check_fails ? EXIT_FAILED : EXIT_DONE;
        json_object *array, *first;

        g_assert_cmpint(client(f, "check"), ==, status);
        assert_has(f->out, "RESULT CHECK");
        assert_has(f->out, script->check_fails ? "fail   host.iommu  There is no IOMMU\n" : "ok     host.iommu The IOMMU works\n");
        assert_has(f->out, "→ Nothing to repair.\n");
        assert_has(f->out, script->check_fails ? "\n1 ok, 1 warn, 1 fail.\n" : "\n1 ok, 1 warn, 0 fail.\n");
        assert_has_not(f->out, "\033");

        g_assert_cmpint(client(f, "check --no-legend"), ==, status);
        assert_has_not(f->out, "RESULT");
        assert_has_not(f->out, "1 warn");
        g_assert_cmpint(client(f, "check -q"), ==, status);
        assert_has_not(f->out, "ok ");
        assert_has_not(f->out, "1 warn");
        assert_has(f->out, "gpu.reset");

        g_assert_cmpint(client(f, "check -j"), ==, status);
        array = parse(f->out);
        g_assert_cmpuint(json_object_array_length(array), ==, script->check_fails ? 3 : 2);
        first = json_object_array_get_idx(array, 0);
        g_assert_cmpstr(json_object_get_string(get(first, "id")), ==, "host.iommu");
        g_assert_cmpstr(json_object_get_string(get(first, "result")), ==, script->check_fails ? "fail" : "ok");
        g_assert_cmpstr(json_object_get_string(get(first, "hint")), ==, script->check_fails ? "Switch it on." : "");
        (void) get(first, "summary");
        json_object_put(array);
}

static void test_plan(Fixture *f, gconstpointer data) {
        g_autofree char *by_verb = NULL;
        json_object *steps;

        g_assert_cmpint(
                client(f, "plan detach 01:00.0 --force --wait=30 --functions=01:00.0,01:00.1 --driver=vfio-pci "
                          "--access=caller --disrupt-session"),
                ==, EXIT_DONE);
        assert_has(f->out, "# STEP");
        assert_has(f->out, "1 operation       s      detach\n");
        assert_has(f->out, " force           b      true\n");
        assert_has(f->out, " wait            u      30\n");
        assert_has(f->out, " functions       as     01:00.0;01:00.1;\n");
        assert_has(f->out, " driver          s      vfio-pci\n");
        assert_has(f->out, " access          s      caller\n");
        assert_has(f->out, " disrupt-session b      true\n");

        g_assert_cmpint(client(f, "plan attach"), ==, EXIT_DONE);
        by_verb = g_strdup(f->out);
        g_assert_cmpint(client(f, "attach --dry-run"), ==, EXIT_DONE);
        g_assert_cmpstr(f->out, ==, by_verb);
        g_assert_cmpint(client(f, "run --dry-run"), ==, EXIT_DONE);
        assert_has(f->out, "detach");

        g_assert_cmpint(client(f, "plan attach -j"), ==, EXIT_DONE);
        steps = parse(f->out);
        g_assert_cmpstr(json_object_get_string(get(json_object_array_get_idx(steps, 0), "detail")), ==, "attach");
        json_object_put(steps);
}

static void test_usage(Fixture *f, gconstpointer data) {
        static const char *const wrong[] = {
                "frobnicate",
                "list too many",
                "detach a b",
                "plan",
                "plan a b c",
                "run",
                "run 01:00.0",
                "run 01:00.0 --",
                "--frob",
                "-z",
                "-qz",
                "--json",
                "--json=xml",
                "--wait=soon detach",
                "--wait=-1 detach",
                "--wait=4294967296 detach",
                "--functions= detach",
                "list --force",
                "list --dry-run",
                "detach --lines=3",
                "status --follow",
                "list -- x",
                "--lines=x log",
                "-H somewhere run -- true",
                "cancel seven",
                "--force=yes detach",
                "reset --functions=01:00.0",
                "reset --driver=vfio-pci",
                "recover --access=none",
                "recover --method=flr",
                "detach --method=flr",
                "run --method=flr -- true",
                "rom --method=flr",
                "plan recover --method=flr",
                "plan reset --driver=vfio-pci",
                "plan --method=flr",
        };

        for (size_t i = 0; i < G_N_ELEMENTS(wrong); i++) {
                g_assert_cmpint(client(f, wrong[i]), ==, EXIT_USAGE);
                assert_has(f->err, "gpuptctl: ");
                g_assert_cmpstr(f->out, ==, "");
        }

        g_assert_cmpint(client(f, "--help"), ==, EXIT_DONE);
        assert_has(f->out, "  detach [GPU] ");
        assert_has(f->out, "  -H, --host=HOST ");
        g_assert_cmpint(client(f, "--version"), ==, EXIT_DONE);
        g_assert_true(g_str_has_prefix(f->out, "gpuptctl "));
}

static void test_no_daemon(Fixture *f, gconstpointer data) {
        g_assert_cmpint(client(f, "list"), ==, EXIT_NO_DAEMON);
        assert_has(f->err, "gpuptd does not run");
        assert_has(f->err, "systemctl status gpuptd");
        g_assert_cmpint(client(f, "detach"), ==, EXIT_NO_DAEMON);
        g_assert_cmpint(client(f, "monitor"), ==, EXIT_NO_DAEMON);
        g_assert_cmpint(client(f, "log alias"), ==, EXIT_NO_DAEMON);
        g_assert_cmpint(client(f, "log " MOCK_FIRST), ==, EXIT_DONE);

        g_setenv("DBUS_SYSTEM_BUS_ADDRESS", "unix:path=/nonexistent/socket", true);
        g_assert_cmpint(client(f, "list"), ==, EXIT_NO_DAEMON);
        assert_has(f->err, "Cannot reach the system bus");
}

/* ---- which GPU ---- */

static void test_names(Fixture *f, gconstpointer data) {
        g_autofree char *long_name = g_strnfill(100, 'x'), *line = g_strdup_printf("status %s", long_name);

        g_assert_cmpint(client(f, "status nothing"), ==, EXIT_NO_SUCH_GPU);
        assert_has(f->err, "There is no GPU 'nothing'.");
        assert_has(f->err, "Hint: 'gpuptctl list'");
        g_assert_cmpint(client(f, line), ==, EXIT_USAGE);
        g_assert_cmpint(client(f, "status '\377'"), ==, EXIT_USAGE);
        g_assert_cmpint(client(f, "detach nothing"), ==, EXIT_NO_SUCH_GPU);

        /* two in the same state: no way to tell */
        g_assert_cmpint(client(f, "detach"), ==, EXIT_USAGE);
        assert_has(f->err, "Which GPU?");
        assert_has(f->err, "  0000:01:00.0  host         GP107");
        assert_has(f->err, "  0000:08:00.0  host         Evil\\033");
        g_assert_cmpint(client(f, "status"), ==, EXIT_USAGE);
}

static void test_only_candidate(Fixture *f, gconstpointer data) {
        g_assert_cmpint(client(f, "detach"), ==, EXIT_DONE);
        assert_has(f->out, MOCK_SECOND ": detach done");
        g_assert_cmpint(client(f, "attach"), ==, EXIT_DONE);
        assert_has(f->out, MOCK_FIRST ": attach done");
        g_assert_cmpint(client(f, "plan attach"), ==, EXIT_DONE);
        g_assert_cmpint(client(f, "status"), ==, EXIT_USAGE);
}

/* What a recovery is for shows by its health or, where nobody could look, by its state. A reset is for none. */
static void test_only_sick(Fixture *f, gconstpointer data) {
        g_assert_cmpint(client(f, "recover"), ==, EXIT_DONE);
        assert_has(f->out, MOCK_SECOND ": recover done");
        g_assert_cmpint(client(f, "plan recover"), ==, EXIT_DONE);
        g_assert_cmpint(client(f, "reset"), ==, EXIT_USAGE);
        assert_has(f->err, "Which GPU?");
}

/* ---- jobs ---- */

static void test_reset(Fixture *f, gconstpointer data) {
        g_autofree char *by_verb = NULL;

        g_assert_cmpint(client(f, "reset 01:00.0 --method=bus --wait=3 --force --disrupt-session"), ==, EXIT_DONE);
        assert_has(f->out, "0000:01:00.0: reset done\n");
        g_assert_cmpint(client(f, "recover"), ==, EXIT_DONE);
        assert_has(f->out, "0000:01:00.0: recover done\n");

        g_assert_cmpint(client(f, "plan reset --method=bus"), ==, EXIT_DONE);
        assert_has(f->out, "1 operation s      reset\n");
        assert_has(f->out, " method    s      bus\n");
        by_verb = g_strdup(f->out);
        g_assert_cmpint(client(f, "reset --dry-run --method=bus"), ==, EXIT_DONE);
        g_assert_cmpstr(f->out, ==, by_verb);
}

/* What was tried has a line for each rung, as it came: nothing is broken where nobody looks. */
static void test_not_cured(Fixture *f, gconstpointer data) {
        g_assert_cmpint(client(f, "recover"), ==, EXIT_FAILED);
        g_assert_cmpstr(f->out + strlen(f->out) - strlen(": recover failed\n"), ==, ": recover failed\n");
        assert_has(f->err, "nobody knows why.\n  wake: had no effect\n  bus: not possible (0000:02:00.0 is below the bridge as "
                           "well, and is not part of it)\nThere is no further way to reset it.\nHint: ");
        g_assert_cmpint(client(f, "status"), ==, EXIT_DONE);
        assert_has(f->out, "              0000:01:00.0 is still not well.");
        assert_has(f->out, "\n                wake: had no effect\n");
        assert_has(f->out, "\n              There is no further way to reset it.\n");
}

static void test_detach(Fixture *f, gconstpointer data) {
        json_object *o;

        g_assert_cmpint(client(f, "detach 01:00.0"), ==, EXIT_DONE);
        g_assert_cmpstr(f->out, ==, "step 1/3 do thing 1\nstep 2/3 do thing 2\nstep 3/3 do thing 3\n"
                                    "0000:01:00.0: detach done\n");
        g_assert_cmpstr(f->err, ==, "");

        g_assert_cmpint(client(f, "-q attach"), ==, EXIT_DONE);
        g_assert_cmpstr(f->out, ==, "");

        g_assert_cmpint(client(f, "detach -j"), ==, EXIT_DONE);
        o = parse(f->out);
        g_assert_cmpstr(json_object_get_string(get(o, "result")), ==, "done");
        g_assert_cmpstr(json_object_get_string(get(o, "gpu")), ==, MOCK_FIRST);
        json_object_put(o);

        g_assert_cmpint(client(f, "detach --no-block"), ==, EXIT_DONE);
        g_assert_cmpstr(f->out, ==, "0000:01:00.0: detach runs as job 10 (/org/gpupt1/job/10)\n");
}

typedef struct EndCase {
        MockScript script;
        int status;
        const char *text, *hint;
} EndCase;

/* The job ends in that way. */
static const EndCase end_cases[] = {
        { { .n_gpus = 1, .result = "rolled-back", .error = GPUPT_ERROR_IN_USE, .message = "Xorg holds it." },
          EXIT_IN_USE,
          "Xorg holds it.",
          "gpuptctl holders 0000:01:00.0" },
        { { .n_gpus = 1, .result = "stuck", .error = GPUPT_ERROR_STUCK, .message = "The kernel hangs." },
          EXIT_STUCK,
          "The kernel hangs.",
          "gpuptctl status 0000:01:00.0" },
        { { .n_gpus = 1, .result = "stuck" }, EXIT_STUCK, "gave no reason", "gpuptctl status" },
        { { .n_gpus = 1, .result = "failed", .error = GPUPT_ERROR_TIMEOUT, .message = "Too late." },
          EXIT_STUCK,
          "Too late.",
          "log" },
        { { .n_gpus = 1, .result = "failed" }, EXIT_FAILED, "gave no reason", "gpuptctl log 0000:01:00.0" },
        { { .n_gpus = 1, .result = "failed", .error = GPUPT_ERROR_DRIVER_MISSING, .message = "No vfio-pci." },
          EXIT_FAILED,
          "No vfio-pci.",
          "modinfo" },
};

/* The method itself is refused. */
static const EndCase refusal_cases[] = {
        { { .n_gpus = 1, .refusal = GPUPT_ERROR_BUSY }, EXIT_IN_USE, "It is refused.", "gpuptctl jobs" },
        { { .n_gpus = 1, .refusal = GPUPT_ERROR_LAST_DISPLAY },
          EXIT_FAILED,
          "It is refused.",
          "--disrupt-session" },
        { { .n_gpus = 1, .refusal = GPUPT_ERROR_GROUP_NOT_VIABLE },
          EXIT_FAILED,
          "It is refused.",
          "gpuptctl groups" },
        { { .n_gpus = 1, .refusal = SD_BUS_ERROR_ACCESS_DENIED },
          EXIT_REFUSED,
          "Not allowed: It is refused.",
          "administrator" },
        { { .n_gpus = 1, .refusal = SD_BUS_ERROR_INVALID_ARGS }, EXIT_USAGE, "It is refused.", NULL },
};

static void check_end(Fixture *f, const EndCase *c) {
        assert_has(f->err, c->text);
        if (c->hint)
                assert_has(f->err, c->hint);
        else
                assert_has_not(f->err, "Hint:");
}

static void test_end(Fixture *f, gconstpointer data) {
        const EndCase *c = data;
        g_autofree char *line = g_strdup_printf("0000:01:00.0: detach %s\n", c->script.result);

        g_assert_cmpint(client(f, "detach"), ==, c->status);
        assert_has(f->out, line);
        check_end(f, c);
        g_assert_cmpint(client(f, "run -- true"), ==, c->status);
        check_end(f, c);
        g_assert_cmpint(client(f, "-q detach"), ==, c->status);
        g_assert_cmpstr(f->out, ==, "");
        check_end(f, c);
}

static void test_refusal(Fixture *f, gconstpointer data) {
        const EndCase *c = data;

        g_assert_cmpint(client(f, "detach"), ==, c->status);
        g_assert_cmpstr(f->out, ==, "");
        check_end(f, c);
        g_assert_cmpint(client(f, "run -- true"), ==, c->status);
        check_end(f, c);
}

static void test_liar(Fixture *f, gconstpointer data) {
        g_assert_cmpint(client(f, "detach"), ==, EXIT_DONE);
        assert_has_not(f->err, "lie");
}

static void test_interactive(Fixture *f, gconstpointer data) {
        g_assert_cmpint(client(f, "reload"), ==, EXIT_DONE);
        g_assert_cmpint(client(f, "reload --no-ask-password"), ==, EXIT_REFUSED);
        assert_has(f->err, "A password is wanted.");
        assert_has(f->err, "Hint: ");
}

static void test_cancel_verb(Fixture *f, gconstpointer data) {
        Running detach;
        json_object *jobs;

        g_assert_cmpint(client(f, "cancel 99"), ==, EXIT_FAILED);
        assert_has(f->err, "There is no job 99.");
        g_assert_cmpint(client(f, "cancel"), ==, EXIT_FAILED);

        detach = start("detach");
        expect(&detach, "step 1/3");
        g_assert_cmpint(client(f, "jobs"), ==, EXIT_DONE);
        assert_has(f->out, "  7 detach    0000:01:00.0 running 1/3  do thing 1\n");
        g_assert_cmpint(client(f, "jobs -j"), ==, EXIT_DONE);
        jobs = parse(f->out);
        g_assert_cmpint(json_object_get_int(get(json_object_array_get_idx(jobs, 0), "id")), ==, MOCK_JOB);
        json_object_put(jobs);
        g_assert_cmpint(client(f, "status"), ==, EXIT_DONE);
        assert_has(f->out, "         Job: 7 detach, running, step 1/3: do thing 1\n");

        g_assert_cmpint(client(f, "cancel"), ==, EXIT_DONE);
        g_assert_cmpstr(f->out, ==, "Asked job 7 to cancel.\n");
        expect(&detach, "detach cancelled");
        g_assert_cmpint(finish(&detach), ==, EXIT_FAILED);
}

/* ---- Ctrl-C ---- */

static void test_interrupt(Fixture *f, gconstpointer data) {
        Running detach = start("detach");

        expect(&detach, "step 1/3");
        g_subprocess_send_signal(detach.process, SIGINT);
        expect(&detach, "Asked job 7 to cancel");
        expect(&detach, "detach cancelled");
        g_assert_cmpint(finish(&detach), ==, EXIT_FAILED);
}

static void test_interrupt_twice(Fixture *f, gconstpointer data) {
        Running detach = start("detach");

        expect(&detach, "step 1/3");
        g_subprocess_send_signal(detach.process, SIGINT);
        expect(&detach, "Job 7 cannot be cancelled: It is past the point of no return.");
        g_subprocess_send_signal(detach.process, SIGINT);
        expect(&detach, "Job 7 goes on without this terminal");
        g_assert_cmpint(finish(&detach), ==, EXIT_FAILED);
        g_assert_cmpint(client(f, "jobs"), ==, EXIT_DONE);
        assert_has(f->out, "7 detach");
}

static void test_interrupt_call(Fixture *f, gconstpointer data) {
        Running monitor = start("monitor"), detach;

        expect(&monitor, "Listening");
        detach = start("detach");
        expect(&monitor, "ReleaseRequested"); /* the daemon has got the call, see mock-daemon.c */
        g_subprocess_send_signal(detach.process, SIGINT);
        expect(&detach, "Interrupted before gpuptd answered.");
        g_assert_cmpint(finish(&detach), ==, EXIT_FAILED);
        g_subprocess_send_signal(monitor.process, SIGINT);
        g_assert_cmpint(finish(&monitor), ==, EXIT_DONE);
}

/* ---- a daemon that goes away ---- */

static void test_restart_goes_on(Fixture *f, gconstpointer data) {
        const MockScript after = { .n_gpus = 1, .job_goes_on = true };
        Running detach = start("detach");

        expect(&detach, "step 1/3");
        kill_daemon(f);
        expect(&detach, "gpuptd went away; waiting");
        f->daemon = mock_daemon_start(&after);
        expect(&detach, "gpuptd is back and goes on with job 7.");
        expect(&detach, "0000:01:00.0: detach done");
        g_assert_cmpint(finish(&detach), ==, EXIT_DONE);
}

static void test_restart_has_ended(Fixture *f, gconstpointer data) {
        const MockScript after = { .n_gpus = 1,
                                   .job_is_last = true,
                                   .result = "rolled-back",
                                   .error = GPUPT_ERROR_IN_USE,
                                   .message = "Undone after a restart." };
        Running detach = start("detach");

        expect(&detach, "step 1/3");
        kill_daemon(f);
        expect(&detach, "gpuptd went away; waiting");
        f->daemon = mock_daemon_start(&after);
        expect(&detach, "0000:01:00.0: detach rolled-back");
        expect(&detach, "Undone after a restart.");
        g_assert_cmpint(finish(&detach), ==, EXIT_IN_USE);
}

/* Two restarts, the first without a trace of the job yet: it asks again. */
static void test_restart_late(Fixture *f, gconstpointer data) {
        const MockScript blank = { .n_gpus = 0 }, after = { .n_gpus = 1, .job_is_last = true };
        Running detach = start("detach");

        expect(&detach, "step 1/3");
        kill_daemon(f);
        expect(&detach, "gpuptd went away; waiting");
        f->daemon = mock_daemon_start(&blank);
        kill_daemon(f);
        f->daemon = mock_daemon_start(&after);
        expect(&detach, "0000:01:00.0: detach done");
        g_assert_cmpint(finish(&detach), ==, EXIT_DONE);
}

static void test_bus_dies(Fixture *f, gconstpointer data) {
        g_autoptr(GTestDBus) bus = g_test_dbus_new(G_TEST_DBUS_NONE);
        Running detach;
        pid_t daemon;

        g_test_dbus_up(bus);
        g_setenv("DBUS_SYSTEM_BUS_ADDRESS", g_test_dbus_get_bus_address(bus), true);
        daemon = mock_daemon_start(&hangs);
        detach = start("detach");
        expect(&detach, "step 1/3");
        g_test_dbus_stop(bus);
        expect(&detach, "The connection to the system bus broke");
        g_assert_cmpint(finish(&detach), ==, EXIT_NO_DAEMON);
        mock_daemon_kill(daemon);
        g_test_dbus_down(bus);
}

/* ---- run ---- */

static void test_run(Fixture *f, gconstpointer data) {
        g_assert_cmpint(client(f, "run 01:00.0 -- sh -c 'echo out; exit 42'"), ==, 42);
        g_assert_cmpstr(f->out, ==, "out\n");
        assert_has(f->err, "0000:01:00.0: detach done\n");
        assert_has(f->err, "0000:01:00.0: attach done\n");

        g_assert_cmpint(client(f, "run -- sh -c 'kill -TERM $$'"), ==, 128 + SIGTERM);
        g_assert_cmpint(client(f, "run -- /nonexistent/command"), ==, 127);
        assert_has(f->err, "Cannot run '/nonexistent/command'");
        g_assert_cmpint(client(f, "run -- /etc/passwd"), ==, 126);

        /* The command's options are its own, the lease is not. */
        g_assert_cmpint(client(f, "-q run -- ls -l /proc/self/fd"), ==, 0);
        assert_has_not(f->out, "lease.fifo");
        g_assert_cmpstr(f->err, ==, "");
}

static void test_run_signals(Fixture *f, gconstpointer data) {
        Running run = start("run -- sh -c 'trap \"echo got it; exit 3\" TERM; echo ready; read line'");

        expect(&run, "ready");
        g_subprocess_send_signal(run.process, SIGTERM);
        expect(&run, "got it");
        expect(&run, "attach done");
        g_assert_cmpint(finish(&run), ==, 3);
}

static void test_run_lease_lost(Fixture *f, gconstpointer data) {
        Running run = start("run -- sh -c 'echo ready; read line; exit 5'");

        expect(&run, "ready");
        g_assert_cmpint(client(f, "rescan"), ==, EXIT_DONE); /* see mock-daemon.c */
        expect(&run, "The lease of 0000:01:00.0 is gone");
        g_assert_true(g_output_stream_close(g_subprocess_get_stdin_pipe(run.process), NULL, NULL));
        g_assert_cmpint(finish(&run), ==, 5);
}

/* ---- monitor ---- */

static void test_monitor(Fixture *f, gconstpointer data) {
        Running plain = start("monitor"), json = start("monitor -j");
        json_object *event;
        char *line;

        expect(&plain, "Listening");
        expect(&json, "Listening");

        g_assert_cmpint(client(f, "detach"), ==, EXIT_DONE);
        expect(&plain, "gpuptd       JobNew id=7 job=/org/gpupt1/job/7");
        expect(&plain, "job 7        PropertiesChanged step=1 steps=3 description='do thing 1'");
        expect(&plain, "gpuptd       JobRemoved id=7 job=/org/gpupt1/job/7 gpu=0000:01:00.0 result=done");

        line = wait_for(&json, "JobRemoved");
        event = parse(line);
        g_assert_cmpstr(json_object_get_string(get(get(event, "arguments"), "result")), ==, "done");
        json_object_put(event);
        g_free(line);

        kill_daemon(f);
        expect(&plain, "Stopped");
        f->daemon = mock_daemon_start(data);
        expect(&plain, "Started");

        g_subprocess_send_signal(plain.process, SIGINT);
        g_subprocess_send_signal(json.process, SIGTERM);
        g_assert_cmpint(finish(&plain), ==, EXIT_DONE);
        g_assert_cmpint(finish(&json), ==, EXIT_DONE);
}

/* ---- on a terminal ---- */

/* Runs gpuptctl on a terminal of its own and returns all that appeared there. As a plain user if `unprivileged`. */
static char *on_terminal(const char *const *argv, bool unprivileged, int *ret_status) {
        const struct winsize size = { .ws_row = 25, .ws_col = 100 };
        g_autoptr(GString) output = g_string_new(NULL);
        char buffer[1024];
        int binary, master, status;
        ssize_t n;
        pid_t pid;

        binary = open(gpuptctl, O_PATH | O_CLOEXEC);
        g_assert_cmpint(binary, >=, 0);
        pid = forkpty(&master, NULL, NULL, &size);
        g_assert_cmpint(pid, >=, 0);
        if (pid == 0) {
                (void) setenv("TERM", "xterm", 1);
                if (unprivileged && geteuid() == 0 && (setgid(65534) < 0 || setuid(65534) < 0))
                        _exit(EXIT_FAILURE);
                (void) fexecve(binary, (char *const *) argv, environ);
                _exit(EXIT_FAILURE);
        }
        (void) close(binary);

        /* the end of a terminal whose last user has gone is EIO */
        while ((n = read(master, buffer, sizeof(buffer))) > 0)
                g_string_append_len(output, buffer, n);
        (void) close(master);
        g_assert_cmpint(waitpid(pid, &status, 0), ==, pid);
        g_assert_true(WIFEXITED(status));
        *ret_status = WEXITSTATUS(status);
        g_test_message("%s", output->str);
        return g_string_free(g_steal_pointer(&output), false);
}

static void test_progress_line(Fixture *f, gconstpointer data) {
        static const char *const argv[] = { "gpuptctl", "detach", NULL };
        g_autofree char *output = NULL;
        int status;

        output = on_terminal(argv, /* unprivileged= */ false, &status);
        g_assert_cmpint(status, ==, EXIT_DONE);
        assert_has(
                output,
                "\r\033[K\033[?7ldetach 0000:01:00.0: step 3/3 do thing 3\033[?7h\r"
                   "\033[K0000:01:00.0: detach \033[32mdone\033[0m\r\n");
}

static void assert_fits(const char *output, glong columns) {
        g_auto(GStrv) lines = g_strsplit(output, "\r\n", -1);

        for (char **line = lines; *line; line++)
                g_assert_cmpint(g_utf8_strlen(*line, -1), <=, columns);
}

/* Names are cut where that shows, sentences are broken between words. */
static void test_narrow(Fixture *f, gconstpointer data) {
        static const char *const list[] = { "gpuptctl", "list", "--no-pager", NULL },
                          *const plan[] = { "gpuptctl", "plan", "detach", "--driver=a-driver-of-which-one-never-heard", "--no-pager",
                                            NULL };
        g_autofree char *names = NULL, *sentences = NULL;
        int status;

        g_setenv("NO_COLOR", "1", true);
        g_setenv("COLUMNS", "64", true);
        names = on_terminal(list, /* unprivileged= */ false, &status);
        g_assert_cmpint(status, ==, EXIT_DONE);
        g_setenv("COLUMNS", "40", true);
        sentences = on_terminal(plan, /* unprivileged= */ false, &status);
        g_assert_cmpint(status, ==, EXIT_DONE);
        g_unsetenv("COLUMNS");
        g_unsetenv("NO_COLOR");

        assert_has(names, "GP107 [GeF");
        assert_has(names, "… host");
        assert_fits(names, 64);
        assert_has_not(sentences, "\\x0a");
        assert_fits(sentences, 40);
}

/* A report is broken to fit, and still has its lines. */
static void test_narrow_report(Fixture *f, gconstpointer data) {
        static const char *const recover[] = { "gpuptctl", "recover", NULL }, *const show[] = { "gpuptctl", "status", "--no-pager", NULL };
        g_autofree char *report = NULL, *page = NULL;
        int status;

        g_setenv("NO_COLOR", "1", true);
        g_setenv("COLUMNS", "60", true);
        report = on_terminal(recover, /* unprivileged= */ false, &status);
        g_assert_cmpint(status, ==, EXIT_FAILED);
        page = on_terminal(show, /* unprivileged= */ false, &status);
        g_assert_cmpint(status, ==, EXIT_DONE);
        g_unsetenv("COLUMNS");
        g_unsetenv("NO_COLOR");

        assert_has(report, "gpuptctl: 0000:01:00.0 is still not well. The fan of it does\r\nnot turn, and nobody knows why.\r\n"
                           "  wake: had no effect\r\n"
                           "  bus: not possible (0000:02:00.0 is below the bridge as\r\n    well, and is not part of it)\r\n"
                           "There is no further way to reset it.\r\n");
        assert_has(page, "\r\n              0000:01:00.0 is still not well. The fan of it\r\n              does not turn");
        assert_has(page, "\r\n                bus: not possible (0000:02:00.0 is below the\r\n                  bridge as well");
}

/* The pager gets what is longer than nothing; its name is the user's choice. */
static void test_pager(Fixture *f, gconstpointer data) {
        static const char *const with[] = { "gpuptctl", "list", NULL }, *const without[] = { "gpuptctl", "list",
                                                                                             "--no-pager",
                                                                                             NULL };
        g_autofree char *paged = NULL, *bare = NULL;
        int status;

        g_setenv("SYSTEMD_PAGER", "sed s/^/paged:/", true);
        paged = on_terminal(with, /* unprivileged= */ false, &status);
        g_assert_cmpint(status, ==, EXIT_DONE);
        assert_has(paged, "paged:0000:01:00.0 GP107");
        assert_has(paged, "\033[32mhost");
        bare = on_terminal(without, /* unprivileged= */ false, &status);
        g_assert_cmpint(status, ==, EXIT_DONE);
        assert_has_not(bare, "paged:");
        g_unsetenv("SYSTEMD_PAGER");
}

/* The agent is started for a plain user on a terminal, told where to say that it is ready, and ended. */
static void test_agent(Fixture *f, gconstpointer data) {
        static const char *const argv[] = { "gpuptctl", "reload", NULL }, *const quiet[] = {
                "gpuptctl", "reload", "--no-ask-password", NULL
        };
        g_autofree char *agent = g_build_filename(f->dir, "pkttyagent", NULL), *old = g_strdup(g_getenv("PATH")),
                        *path = g_strdup_printf("%s:%s", f->dir, old), *output = NULL, *without = NULL;
        char *session = NULL;
        int status;

        g_assert_true(g_file_set_contents(
                agent, "#!/bin/sh\necho agent \"$@\"\nexec 2>&1\neval \"exec $2>&-\"\nexec sleep 1000\n", -1,
                NULL));
        g_assert_cmpint(g_chmod(agent, 0755), ==, 0);
        g_assert_cmpint(g_chmod(f->dir, 0755), ==, 0);
        g_setenv("PATH", path, true);
        output = on_terminal(argv, /* unprivileged= */ true, &status);
        without = on_terminal(quiet, /* unprivileged= */ true, &status);
        g_setenv("PATH", old, true);
        (void) g_unlink(agent);

        assert_has(output, "agent --notify-fd ");
        /* Of a session's own agent, which there is none of without a session. */
        g_assert_cmpint(!!strstr(output, " --fallback"), ==, sd_pid_get_session(0, &session) >= 0);
        free(session);
        assert_has_not(without, "agent");
}

#define add(path, script, test)                                                                                \
        g_test_add("/client/" path, Fixture, (script), fixture_set_up, (test), fixture_tear_down)

static void add_ends(void) {
        for (size_t i = 0; i < G_N_ELEMENTS(end_cases); i++) {
                g_autofree char *path = g_strdup_printf("/client/job/end/%s-%zu", end_cases[i].script.result, i);

                /* the script is the first member of its case */
                g_test_add(path, Fixture, &end_cases[i], fixture_set_up, test_end, fixture_tear_down);
        }
        for (size_t i = 0; i < G_N_ELEMENTS(refusal_cases); i++) {
                g_autofree char *path = g_strdup_printf("/client/job/refusal/%s",
                                                        strrchr(refusal_cases[i].script.refusal, '.') + 1);

                g_test_add(path, Fixture, &refusal_cases[i], fixture_set_up, test_refusal, fixture_tear_down);
        }
}

/* ---- rom ---- */

/* gpuptctl rom … --output=FILE, in the directory of the fixture. */
static int read_rom(Fixture *f, const char *file, const char *options) {
        g_autofree char *line = g_strdup_printf("rom %s --output=%s/%s", options, f->dir, file);

        return client(f, line);
}

static void assert_rom_file(const Fixture *f, const char *file) {
        g_autofree char *path = g_build_filename(f->dir, file, NULL), *data = NULL;
        gsize size;

        g_assert_true(g_file_get_contents(path, &data, &size, NULL));
        g_assert_cmpuint(size, ==, MOCK_ROM_SIZE);
        g_assert_cmpmem(data, 2, "\x55\xaa", 2);
}

static void test_rom(Fixture *f, gconstpointer data) {
        g_autofree char *path = g_build_filename(f->dir, "a", NULL), *link = g_build_filename(f->dir, "link", NULL),
                        *command = g_strdup_printf("sh -c '%s rom | wc -c; %s rom -o - | wc -c'", gpuptctl, gpuptctl), *out = NULL;
        GStatBuf st;

        (void) umask(0022);
        g_assert_cmpint(read_rom(f, "a", "01:00.0"), ==, EXIT_DONE);
        assert_has(f->out, "/a: 1024 bytes, 1 image\n");
        g_assert_cmpstr(f->err, ==, "");
        assert_rom_file(f, "a");
        g_assert_cmpint(g_stat(path, &st), ==, 0);
        g_assert_cmpint(st.st_mode & 0777, ==, 0644);

        /* A file is replaced, what is none is written to. */
        g_assert_true(g_file_set_contents(path, "old", -1, NULL));
        g_assert_cmpint(symlink("a", link), ==, 0);
        g_assert_cmpint(read_rom(f, "link", "-q"), ==, EXIT_DONE);
        g_assert_cmpstr(f->out, ==, "");
        assert_rom_file(f, "a");
        g_assert_cmpint(g_lstat(link, &st), ==, 0);
        g_assert_true(S_ISLNK(st.st_mode));
        (void) g_unlink(link);
        (void) g_unlink(path);

        g_assert_cmpint(read_rom(f, "no/such/directory", ""), ==, EXIT_FAILED);
        assert_has(f->err, "Cannot write the image to ");
        g_assert_true(g_spawn_command_line_sync(command, &out, NULL, NULL, NULL));
        g_assert_cmpstr(out, ==, "1024\n1024\n");
}

static void test_rom_usage(Fixture *f, gconstpointer data) {
        static const char *const lines[] = { "rom -H there -o x", "rom -o x --wait=3", "rom -o x --dry-run", "list -o x", "list --force",
                                             "rom -o" },
                          *const argv[] = { "gpuptctl", "rom", NULL };
        g_autofree char *output = NULL;
        int status;

        for (size_t i = 0; i < G_N_ELEMENTS(lines); i++)
                g_assert_cmpint(client(f, lines[i]), ==, EXIT_USAGE);
        output = on_terminal(argv, /* unprivileged= */ false, &status);
        g_assert_cmpint(status, ==, EXIT_USAGE);
        assert_has(output, "--output=FILE");
}

static void test_rom_other(Fixture *f, gconstpointer data) {
        g_autofree char *path = g_build_filename(f->dir, "a", NULL);

        g_assert_cmpint(read_rom(f, "a", ""), ==, EXIT_DONE);
        assert_has(f->err, "Warning: image 1 is for 10de:1c83, the card is 10de:1c82.");
        assert_has(f->err, "Warning: the checksum of image 1 is wrong");
        assert_rom_file(f, "a");
        (void) g_unlink(path);
}

static void test_rom_broken(Fixture *f, gconstpointer data) {
        g_autofree char *path = g_build_filename(f->dir, "a", NULL);

        g_assert_cmpint(read_rom(f, "a", ""), ==, EXIT_FAILED);
        assert_has(f->err, "does not begin with 55 AA");
        g_assert_false(g_file_test(path, G_FILE_TEST_EXISTS));
}

static void test_rom_in_use(Fixture *f, gconstpointer data) {
        g_autofree char *path = g_build_filename(f->dir, "a", NULL);

        g_assert_cmpint(read_rom(f, "a", ""), ==, EXIT_IN_USE);
        assert_has(f->err, "The driver nouveau uses it.");
        g_assert_false(g_file_test(path, G_FILE_TEST_EXISTS));
        g_assert_cmpint(read_rom(f, "a", "--force"), ==, EXIT_DONE);
        (void) g_unlink(path);
}

static void add_cases(void) {
        add("list/table", &two, test_list);
        add("list/json", &two, test_list_json);
        add("list/escapes", &two, test_escapes);
        add("list/colors", &one, test_colors);
        add("list/none", &none, test_no_gpus);
        add("status", &assigned, test_status);
        add("tables", &one, test_tables);
        add("plan", &one, test_plan);
        add("usage", &one, test_usage);
        add("check", &one, test_check);
        add("check-fails", &not_ready, test_check);
        add("no-daemon", NULL, test_no_daemon);
        add("names", &two, test_names);
        add("only-candidate", &one_gone, test_only_candidate);
        add("only-candidate/sick", &second_sick, test_only_sick);
        add("only-candidate/gone", &second_gone, test_only_sick);
        add("job/detach", &one, test_detach);
        add("job/reset", &one, test_reset);
        add("job/not-cured", &not_cured, test_not_cured);
        add("job/liar", &liar, test_liar);
        add("job/interactive", &challenge, test_interactive);
        add("job/cancel", &hangs, test_cancel_verb);
        add("job/interrupt", &hangs, test_interrupt);
        add("job/interrupt-twice", &hangs_for_good, test_interrupt_twice);
        add("job/interrupt-call", &asks_for_ever, test_interrupt_call);
        add("job/restart-goes-on", &hangs, test_restart_goes_on);
        add("job/restart-has-ended", &hangs, test_restart_has_ended);
        add("job/restart-late", &hangs, test_restart_late);
        add("job/bus-dies", NULL, test_bus_dies);
        add("run/command", &one, test_run);
        add("run/signals", &one, test_run_signals);
        add("run/lease-lost", &one, test_run_lease_lost);
        add("monitor", &one, test_monitor);
        add("rom/file", &one, test_rom);
        add("rom/usage", &one, test_rom_usage);
        add("rom/other", &rom_other, test_rom_other);
        add("rom/broken", &rom_broken, test_rom_broken);
        add("rom/in-use", &rom_in_use, test_rom_in_use);
        add("terminal/progress", &one, test_progress_line);
        add("terminal/narrow", &one, test_narrow);
        add("terminal/narrow-report", &not_cured, test_narrow_report);
        add("terminal/pager", &one, test_pager);
        add("terminal/agent", &one, test_agent);
}

/* Everything that decides what a line looks like. */
static void set_environment(void) {
        static const char *const ours[] = { "SYSTEMD_COLORS", "NO_COLOR", "SYSTEMD_PAGER", "PAGER", "COLUMNS" };

        for (size_t i = 0; i < G_N_ELEMENTS(ours); i++)
                (void) unsetenv(ours[i]);
        (void) setenv("LC_ALL", "C.UTF-8", 1);
        (void) setenv("TERM", "xterm", 1);
}

int main(int argc, char **argv) {
        int r;

        gpuptctl = getenv("GPUPTCTL");
        if (!gpuptctl) {
                (void) fputs("GPUPTCTL is to be the path of the program under test.\n", stderr);
                return EXIT_FAILURE;
        }
        set_environment();
        g_test_init(&argc, &argv, NULL);

        shared_bus = g_test_dbus_new(G_TEST_DBUS_NONE);
        g_test_dbus_up(shared_bus);
        g_setenv("DBUS_SYSTEM_BUS_ADDRESS", g_test_dbus_get_bus_address(shared_bus), true);
        g_assert_cmpint(sd_bus_open_system(&observer), >=, 0);

        add_cases();
        add_ends();
        r = g_test_run();

        sd_bus_close_unref(observer);
        g_test_dbus_down(shared_bus);
        g_object_unref(shared_bus);
        return r;
}
