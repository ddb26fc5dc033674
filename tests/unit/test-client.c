/* SPDX-License-Identifier: GPL-2.0-or-later */

/* test-client: gpuptctl as its users see it: the program itself against a stand-in for the daemon on a private bus. What it
 * prints and what it exits with; jobs and terminals have tests of their own. */

#include "tests/unit/client-fixture.h"

static const MockScript one = { .n_gpus = 1 };
static const MockScript two = { .n_gpus = 2 };
static const MockScript none = {};
static const MockScript one_gone = { .n_gpus = 2, .states = { "detached", "host" } };
static const MockScript second_sick = { .n_gpus = 2, .healths = { "ok", "dead" } };
static const MockScript second_gone = { .n_gpus = 2, .states = { "host", "absent" }, .healths = { "unknown", "unknown" } };
static const MockScript assigned = { .n_gpus = 1, .states = { "assigned" } };
static const MockScript not_ready = { .n_gpus = 1, .check_fails = true };

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
}

int main(int argc, char **argv) {
        return client_test_main(argc, argv, add_cases);
}
