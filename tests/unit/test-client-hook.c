/* SPDX-License-Identifier: GPL-2.0-or-later */

/* test-client-hook: gpuptctl as hooks of VM managers call it. What it asked gpuptd for is in the daemon's file "calls"; what a VM
 * manager sees is an exit status, one line, and nothing on stdout. */

#include <glib/gstdio.h>

#include "tests/unit/client-fixture.h"

static const MockScript two = { .n_gpus = 2 };

#define HOSTDEV(bus, function, managed) \
        "<hostdev mode='subsystem' type='pci' managed='" managed "'><source><address domain='0x0000' bus='" bus \
        "' slot='0x00' function='" function "'/></source></hostdev>"
#define DOMAIN(devices) "<domain type='kvm'><name>win10</name><devices>" devices "</devices></domain>"
/* Both functions of the first, a network card, a USB stick, one of the second. */
#define BOTH HOSTDEV("0x01", "0x0", "no") HOSTDEV("0x05", "0x0", "no") HOSTDEV("0x01", "0x1", "no") \
        "<hostdev mode='subsystem' type='usb'><source><address bus='1' device='2'/></source></hostdev>" HOSTDEV("0x08", "0x1", "no")

/* Runs gpuptctl with this on its standard input, which it may leave unread. */
static int feed(Fixture *f, const char *input, gssize size, const char *line) {
        g_autofree char *command = g_strdup_printf("%s %s", gpuptctl, line), *path = g_build_filename(f->dir, "input", NULL), *shown = NULL;
        g_autoptr(GSubprocessLauncher) launcher =
                g_subprocess_launcher_new(G_SUBPROCESS_FLAGS_STDOUT_PIPE | G_SUBPROCESS_FLAGS_STDERR_PIPE);
        g_autoptr(GSubprocess) process = NULL;
        g_auto(GStrv) argv = NULL;
        g_autoptr(GError) error = NULL;

        g_assert_true(g_file_set_contents(path, input, size, NULL));
        g_assert_true(g_shell_parse_argv(command, NULL, &argv, NULL));
        g_subprocess_launcher_set_stdin_file_path(launcher, path);
        g_subprocess_launcher_setenv(launcher, "GPUPT_QEMU_SERVER_DIR", f->dir, true);
        process = g_subprocess_launcher_spawnv(launcher, (const char *const *) argv, &error);
        g_assert_no_error(error);
        g_clear_pointer(&f->out, g_free);
        g_clear_pointer(&f->err, g_free);
        g_assert_true(g_subprocess_communicate_utf8(process, NULL, NULL, &f->out, &f->err, &error));
        g_assert_no_error(error);
        (void) g_unlink(path);
        shown = g_strescape(line, "'");
        g_test_message("gpuptctl %s = %d\n%s%s", shown, g_subprocess_get_exit_status(process), f->out, f->err);
        return g_subprocess_get_exit_status(process);
}

static int libvirt(Fixture *f, const char *devices, const char *words) {
        g_autofree char *xml = g_strdup_printf("<domain type='kvm'><name>win10</name><devices>%s</devices></domain>", devices);
        g_autofree char *line = g_strdup_printf("hook libvirt win10 %s", words);

        return feed(f, xml, -1, line);
}

/* What gpuptd has been asked since the last time; stdout is empty. */
static void assert_calls(Fixture *f, const char *wanted) {
        g_autofree char *path = g_build_filename(f->dir, "calls", NULL), *calls = NULL;

        if (!g_file_get_contents(path, &calls, NULL, NULL))
                calls = g_strdup("");
        (void) g_unlink(path);
        g_assert_cmpstr(calls, ==, wanted);
        g_assert_cmpstr(f->out, ==, "");
}

/* One line, which names what a reader has to know. */
static void assert_one_line(Fixture *f) {
        g_assert_nonnull(strchr(f->err, '\n'));
        g_assert_cmpuint(strlen(f->err), ==, (size_t) (strchr(f->err, '\n') - f->err) + 1);
}

/* ---- libvirt ---- */

static void test_life(Fixture *f, gconstpointer data) {
        g_assert_cmpint(libvirt(f, BOTH, "prepare begin -"), ==, EXIT_DONE);
        assert_calls(f, "0000:01:00.0 pre-start win10 (libvirt)\n0000:08:00.0 pre-start win10 (libvirt)\n");
        g_assert_cmpint(libvirt(f, BOTH, "start begin -"), ==, EXIT_DONE);
        assert_calls(f, "");
        g_assert_cmpint(libvirt(f, BOTH, "started begin -"), ==, EXIT_DONE);
        assert_calls(f, "0000:01:00.0 post-start win10 (libvirt)\n0000:08:00.0 post-start win10 (libvirt)\n");
        g_assert_cmpint(libvirt(f, BOTH, "stopped end -"), ==, EXIT_DONE);
        assert_calls(f, "0000:01:00.0 post-stop win10 (libvirt)\n0000:08:00.0 post-stop win10 (libvirt)\n");
        g_assert_cmpint(libvirt(f, BOTH, "release end shutdown"), ==, EXIT_DONE);
        assert_calls(f, "0000:01:00.0 attach\n0000:08:00.0 attach\n");
        g_assert_cmpstr(f->err, ==, "");
        g_assert_cmpint(libvirt(f, BOTH, "release end -"), ==, EXIT_DONE);
        assert_calls(f, "");
}

static void test_words(Fixture *f, gconstpointer data) {
        static const char *const silent[] = {
                "start begin -", "migrate begin -", "restore begin -", "reconnect begin -", "attach begin -", "define begin -",
                "prepare end -", "stopped begin -", "release begin", "x y z", "PREPARE BEGIN -",
        };

        for (size_t i = 0; i < G_N_ELEMENTS(silent); i++) {
                g_assert_cmpint(libvirt(f, BOTH, silent[i]), ==, EXIT_DONE);
                g_assert_cmpstr(f->err, ==, "");
                assert_calls(f, "");
        }
        g_assert_cmpint(libvirt(f, BOTH, "prepare"), ==, EXIT_USAGE);
        g_assert_cmpint(libvirt(f, BOTH, "prepare begin - -"), ==, EXIT_USAGE);
        g_assert_cmpint(feed(f, "", 0, "hook xen win10 prepare begin"), ==, EXIT_USAGE);
        g_assert_cmpint(feed(f, "", 0, "hook proxmox 100 pre-start x"), ==, EXIT_USAGE);
        g_assert_cmpint(feed(f, "", 0, "-H host hook libvirt win10 prepare begin"), ==, EXIT_USAGE);
        g_assert_cmpint(feed(f, "", 0, "hook --driver=x libvirt win10 prepare begin"), ==, EXIT_USAGE);
        assert_calls(f, "");
}

static void test_no_gpu(Fixture *f, gconstpointer data) {
        g_assert_cmpint(libvirt(f, HOSTDEV("0x05", "0x0", "yes"), "prepare begin -"), ==, EXIT_DONE);
        g_assert_cmpstr(f->err, ==, "");
        assert_calls(f, "");
}

/* A VM without devices has nothing to do with gpuptd, whatever has become of that. */
static void test_no_daemon(Fixture *f, gconstpointer data) {
        g_assert_cmpint(libvirt(f, "<disk/>", "prepare begin -"), ==, EXIT_DONE);
        g_assert_cmpstr(f->err, ==, "");
        g_assert_cmpint(libvirt(f, BOTH, "prepare begin -"), ==, EXIT_NO_DAEMON);
        assert_has(f->err, "gpuptctl: 0000:01:00.0 of win10 was not looked after: gpuptd does not run");
        assert_has(f->err, "systemctl start gpuptd.service");
        assert_one_line(f);
        g_assert_cmpint(libvirt(f, BOTH, "started begin -"), ==, EXIT_DONE);
        assert_one_line(f);
        g_assert_cmpint(libvirt(f, BOTH, "release end -"), ==, EXIT_FAILED);
        assert_one_line(f);
}

static void test_managed(Fixture *f, gconstpointer data) {
        const char *devices = HOSTDEV("0x05", "0x0", "yes") HOSTDEV("0x01", "0x0", "yes");

        g_assert_cmpint(libvirt(f, devices, "prepare begin -"), ==, EXIT_DONE);
        assert_has(f->err, "0000:01:00.0 has managed='yes' in the configuration of win10");
        assert_one_line(f);
        assert_calls(f, "0000:01:00.0 pre-start win10 (libvirt)\n");
        g_assert_cmpint(libvirt(f, devices, "stopped end -"), ==, EXIT_DONE);
        g_assert_cmpstr(f->err, ==, "");
}

static void test_malformed(Fixture *f, gconstpointer data) {
        g_autofree char *huge = g_strnfill(5 * 1024 * 1024, ' ');
        static const char with_nul[] = "<domain><devices>\0</devices></domain>";

        g_assert_cmpint(feed(f, "", 0, "hook libvirt win10 prepare begin -"), ==, EXIT_FAILED);
        assert_has(f->err, "The XML of win10");
        assert_one_line(f);
        g_assert_cmpint(feed(f, "<domain><devices><hostdev type='pci'>", -1, "hook libvirt win10 prepare begin -"), ==, EXIT_FAILED);
        assert_one_line(f);
        g_assert_cmpint(feed(f, with_nul, sizeof(with_nul) - 1, "hook libvirt win10 prepare begin -"), ==, EXIT_DONE);
        g_assert_cmpint(feed(f, huge, -1, "hook libvirt win10 prepare begin -"), ==, EXIT_FAILED);
        assert_has(f->err, "too large");
        g_assert_cmpint(feed(f, "<x>", -1, "hook libvirt win10 started begin -"), ==, EXIT_DONE);
        assert_one_line(f);
        g_assert_cmpint(feed(f, "<x>", -1, "hook libvirt win10 release end -"), ==, EXIT_FAILED);
        assert_calls(f, "");
}

/* A name may be anything that libvirt lets through; what a terminal must not get, it does not get. */
static void test_name(Fixture *f, gconstpointer data) {
        static const char xml[] = DOMAIN(HOSTDEV("0x01", "0x0", "no"));

        g_assert_cmpint(feed(f, xml, -1, "hook libvirt 'my VM (2)' prepare begin -"), ==, EXIT_DONE);
        assert_calls(f, "0000:01:00.0 pre-start my VM (2) (libvirt)\n");
        g_assert_cmpint(feed(f, xml, -1, "hook libvirt 'my VM (2)' release end -"), ==, EXIT_DONE);
        assert_calls(f, "0000:01:00.0 attach\n");
        g_assert_cmpint(feed(f, xml, -1, "hook libvirt '\377' prepare begin -"), ==, EXIT_USAGE);
        assert_one_line(f);
        g_assert_cmpint(feed(f, "<x>", -1, "hook libvirt '\033[31m' prepare begin -"), ==, EXIT_FAILED);
        assert_has_not(f->err, "\033");
        assert_calls(f, "");
}

/* ---- what goes wrong ---- */

static const MockScript second_held = { .n_gpus = 2, .refused_gpu = MOCK_SECOND, .result = "rolled-back",
                                        .error = GPUPT_ERROR_IN_USE, .message = "sleep (pid 4711) holds\n/dev/snd/controlC1." };
static const MockScript second_refused = { .n_gpus = 2, .refused_gpu = MOCK_SECOND, .refusal = GPUPT_ERROR_GROUP_NOT_VIABLE };
static const MockScript first_refused = { .n_gpus = 2, .refused_gpu = MOCK_FIRST, .refusal = GPUPT_ERROR_SLEEP_IN_PROGRESS };

static void test_second_fails(Fixture *f, gconstpointer data) {
        g_assert_cmpint(libvirt(f, BOTH, "prepare begin -"), ==, EXIT_IN_USE);
        g_assert_cmpstr(f->err, ==, "gpuptctl: 0000:08:00.0 is not ready for win10: sleep (pid 4711) holds /dev/snd/controlC1. See "
                                    "'gpuptctl holders 0000:08:00.0'. End what is listed there, give it more time with --wait=SEC, "
                                    "or let gpuptd end it with --force.\n");
        assert_calls(f, "0000:01:00.0 pre-start win10 (libvirt)\n0000:08:00.0 pre-start win10 (libvirt)\n0000:01:00.0 attach\n");
        /* libvirt goes on with the end of what has not started. */
        g_assert_cmpint(libvirt(f, BOTH, "stopped end -"), ==, EXIT_DONE);
        g_assert_cmpint(libvirt(f, BOTH, "release end failed"), ==, EXIT_DONE);
        assert_calls(f, "");
}

static void test_second_refused(Fixture *f, gconstpointer data) {
        g_assert_cmpint(libvirt(f, BOTH, "prepare begin -"), ==, EXIT_FAILED);
        assert_has(f->err, "0000:08:00.0 is not ready for win10: It is refused. 'gpuptctl groups'");
        assert_one_line(f);
        assert_calls(f, "0000:01:00.0 pre-start win10 (libvirt)\n0000:08:00.0 pre-start win10 (libvirt)\n0000:01:00.0 attach\n");
}

/* The one that fails first is not followed by another; at the end of a VM it is. */
static void test_first_refused(Fixture *f, gconstpointer data) {
        g_assert_cmpint(libvirt(f, BOTH, "prepare begin -"), ==, EXIT_FAILED);
        assert_has(f->err, "0000:01:00.0 is not ready for win10: It is refused. Try again when the host is awake.");
        assert_one_line(f);
        assert_calls(f, "0000:01:00.0 pre-start win10 (libvirt)\n");
        g_assert_cmpint(libvirt(f, BOTH, "started begin -"), ==, EXIT_DONE);
        assert_has(f->err, "0000:01:00.0 could not be told of the start of win10");
        assert_one_line(f);
        assert_calls(f, "0000:01:00.0 post-start win10 (libvirt)\n0000:08:00.0 post-start win10 (libvirt)\n");
}

static const MockScript end_refused = { .n_gpus = 2, .states = { "detached", "detached" }, .refused_gpu = MOCK_FIRST,
                                        .taken_for = { "win10 (libvirt)", "win10 (libvirt)" }, .refusal = GPUPT_ERROR_UNREACHABLE };

static void test_end_refused(Fixture *f, gconstpointer data) {
        g_assert_cmpint(libvirt(f, BOTH, "stopped end -"), ==, EXIT_FAILED);
        assert_has(f->err, "0000:01:00.0 was not looked after at the end of win10: It is refused.");
        assert_one_line(f);
        assert_calls(f, "0000:01:00.0 post-stop win10 (libvirt)\n0000:08:00.0 post-stop win10 (libvirt)\n");
        g_assert_cmpint(libvirt(f, BOTH, "release end -"), ==, EXIT_FAILED);
        assert_has(f->err, "0000:01:00.0 was not given back to the host after win10: It is refused.");
        assert_calls(f, "0000:01:00.0 attach\n0000:08:00.0 attach\n");
}

/* ---- whose card it is ---- */

static const MockScript others = { .n_gpus = 2, .states = { "detached", "detached" }, .taken_for = { "", "another (libvirt)" } };

/* Detached by hand, and for another VM: the one is looked after, and both stay where they are. */
static void test_not_ours(Fixture *f, gconstpointer data) {
        g_assert_cmpint(libvirt(f, BOTH, "stopped end -"), ==, EXIT_DONE);
        assert_calls(f, "0000:01:00.0 post-stop win10 (libvirt)\n");
        g_assert_cmpint(libvirt(f, BOTH, "release end -"), ==, EXIT_DONE);
        assert_calls(f, "");
        g_assert_cmpint(libvirt(f, HOSTDEV("0x01", "0x0", "no"), "prepare begin -"), ==, EXIT_DONE);
        g_assert_cmpint(libvirt(f, HOSTDEV("0x01", "0x0", "no"), "release end -"), ==, EXIT_DONE);
        assert_calls(f, "0000:01:00.0 pre-start win10 (libvirt)\n");
}

static const MockScript stays = { .n_gpus = 2, .default_state = "vfio", .refused_gpu = MOCK_SECOND,
                                  .refusal = GPUPT_ERROR_DRIVER_MISSING };

/* Default=vfio: it stays after a VM, but not after one that was not started. */
static void test_default_vfio(Fixture *f, gconstpointer data) {
        g_assert_cmpint(libvirt(f, HOSTDEV("0x01", "0x0", "no"), "prepare begin -"), ==, EXIT_DONE);
        g_assert_cmpint(libvirt(f, HOSTDEV("0x01", "0x0", "no"), "release end -"), ==, EXIT_DONE);
        assert_calls(f, "0000:01:00.0 pre-start win10 (libvirt)\n");
        g_assert_cmpint(libvirt(f, BOTH, "prepare begin -"), ==, EXIT_FAILED);
        assert_calls(f, "0000:01:00.0 pre-start win10 (libvirt)\n0000:08:00.0 pre-start win10 (libvirt)\n0000:01:00.0 attach\n");
}

/* ---- what runs already ---- */

static const MockScript busy = { .n_gpus = 1, .job_goes_on = true };
static const MockScript sleeps = { .n_gpus = 1, .joins_sleep = true };

/* The job that is in the way ends when somebody looks at it, see mock-daemon.c. */
static void test_busy(Fixture *f, gconstpointer data) {
        g_assert_cmpint(libvirt(f, BOTH, "prepare begin -"), ==, EXIT_DONE);
        g_assert_cmpstr(f->err, ==, "");
        assert_calls(f, "0000:01:00.0 pre-start win10 (libvirt)\n");
}

static const MockScript leased = { .n_gpus = 1, .refusal = GPUPT_ERROR_BUSY };

/* Nothing runs that could end: it is not asked for ever. */
static void test_busy_for_good(Fixture *f, gconstpointer data) {
        g_assert_cmpint(libvirt(f, BOTH, "prepare begin -"), ==, EXIT_IN_USE);
        assert_has(f->err, "0000:01:00.0 is not ready for win10: It is refused.");
        assert_one_line(f);
        assert_calls(f, "0000:01:00.0 pre-start win10 (libvirt)\n0000:01:00.0 pre-start win10 (libvirt)\n");
}

/* A sleep waits for the end of the VM, and that waits for this hook: the hook must not wait for the sleep. */
static void test_joins_sleep(Fixture *f, gconstpointer data) {
        g_assert_cmpint(libvirt(f, BOTH, "prepare begin -"), ==, EXIT_DONE);
        g_assert_cmpstr(f->err, ==, "");
        assert_calls(f, "0000:01:00.0 pre-start win10 (libvirt)\n");
}

/* What is written into the hook is for the start; nobody can be logged out by the end of a VM. */
static void test_options(Fixture *f, gconstpointer data) {
        static const char xml[] = DOMAIN(HOSTDEV("0x01", "0x0", "no"));

        g_assert_cmpint(feed(f, xml, -1, "hook --disrupt-session libvirt win10 prepare begin -"), ==, EXIT_DONE);
        assert_calls(f, "0000:01:00.0 pre-start win10 (libvirt) disrupt-session\n");
        g_assert_cmpint(feed(f, xml, -1, "hook --disrupt-session libvirt win10 stopped end -"), ==, EXIT_DONE);
        g_assert_cmpint(feed(f, xml, -1, "hook --disrupt-session --no-block libvirt win10 release end -"), ==, EXIT_DONE);
        assert_calls(f, "0000:01:00.0 post-stop win10 (libvirt)\n0000:01:00.0 attach\n");
        g_assert_cmpint(feed(f, xml, -1, "hook --dry-run libvirt win10 prepare begin -"), ==, EXIT_DONE);
        g_assert_cmpstr(f->out, ==, "0000:01:00.0: pre-start of win10 (libvirt)\n");
}

/* ---- Proxmox VE ---- */

static int proxmox(Fixture *f, const char *configuration, const char *words) {
        g_autofree char *path = g_build_filename(f->dir, "100.conf", NULL), *line = g_strdup_printf("hook proxmox %s", words);
        g_autoptr(GError) error = NULL;
        int status;

        if (configuration && !g_file_set_contents(path, configuration, -1, &error))
                g_error("%s", error->message);
        status = feed(f, "", 0, line);
        (void) g_unlink(path);
        return status;
}

static void test_proxmox(Fixture *f, gconstpointer data) {
        static const char configuration[] = "name: win\nhostpci0: 0000:01:00.0;01:00.1,pcie=1\nhostpci1: 08:00,x-vga=1\n"
                                            "hostpci2: 05:00.0\n[old]\nhostpci0: 09:00.0\n";

        g_assert_cmpint(proxmox(f, configuration, "100 pre-start"), ==, EXIT_DONE);
        assert_calls(f, "0000:01:00.0 pre-start 100 (proxmox)\n0000:08:00.0 pre-start 100 (proxmox)\n");
        g_assert_cmpint(proxmox(f, configuration, "100 post-start"), ==, EXIT_DONE);
        assert_calls(f, "0000:01:00.0 post-start 100 (proxmox)\n0000:08:00.0 post-start 100 (proxmox)\n");
        g_assert_cmpint(proxmox(f, configuration, "100 pre-stop"), ==, EXIT_DONE);
        assert_calls(f, "0000:01:00.0 pre-stop 100 (proxmox)\n0000:08:00.0 pre-stop 100 (proxmox)\n");
        g_assert_cmpint(proxmox(f, configuration, "100 post-stop"), ==, EXIT_DONE);
        assert_calls(f, "0000:01:00.0 post-stop 100 (proxmox)\n0000:08:00.0 post-stop 100 (proxmox)\n"
                        "0000:01:00.0 attach\n0000:08:00.0 attach\n");
        g_assert_cmpstr(f->err, ==, "");
        g_assert_cmpint(proxmox(f, configuration, "100 pre-migrate"), ==, EXIT_DONE);
        g_assert_cmpstr(f->err, ==, "");
        assert_calls(f, "");
}

static void test_proxmox_trouble(Fixture *f, gconstpointer data) {
        static const char *const bad[] = { "99", "0100", "1000000000", "../100", "x", "''" };

        g_assert_cmpint(proxmox(f, "hostpci0: mapping=gpu\n", "100 pre-start"), ==, EXIT_DONE);
        assert_has(f->err, "The device 'gpu' of 100 is not named by its address");
        assert_one_line(f);
        g_assert_cmpint(proxmox(f, NULL, "100 pre-start"), ==, EXIT_FAILED);
        assert_has(f->err, "The configuration of VM 100 cannot be used");
        assert_one_line(f);
        for (size_t i = 0; i < G_N_ELEMENTS(bad); i++) {
                g_autofree char *words = g_strdup_printf("%s pre-start", bad[i]);

                g_assert_cmpint(proxmox(f, NULL, words), ==, EXIT_USAGE);
        }
        assert_calls(f, "");
}

static void add_cases(void) {
        add("hook/life", &two, test_life);
        add("hook/words", &two, test_words);
        add("hook/no-gpu", &two, test_no_gpu);
        add("hook/no-daemon", NULL, test_no_daemon);
        add("hook/managed", &two, test_managed);
        add("hook/malformed", &two, test_malformed);
        add("hook/name", &two, test_name);
        add("hook/second-fails", &second_held, test_second_fails);
        add("hook/second-refused", &second_refused, test_second_refused);
        add("hook/first-refused", &first_refused, test_first_refused);
        add("hook/end-refused", &end_refused, test_end_refused);
        add("hook/not-ours", &others, test_not_ours);
        add("hook/default-vfio", &stays, test_default_vfio);
        add("hook/busy", &busy, test_busy);
        add("hook/busy-for-good", &leased, test_busy_for_good);
        add("hook/joins-sleep", &sleeps, test_joins_sleep);
        add("hook/options", &two, test_options);
        add("hook/proxmox", &two, test_proxmox);
        add("hook/proxmox-trouble", &two, test_proxmox_trouble);
}

int main(int argc, char **argv) {
        return client_test_main(argc, argv, add_cases);
}
