/* SPDX-License-Identifier: GPL-2.0-or-later */

/* guest, the holders: VMs, a stubborn program, a desktop, and the sleep that comes over them. Each is what a user's host has of
 * the kind, a real process of the real program, as a unit that systemd can end whatever the test does. */

#include <fcntl.h>
#include <poll.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <systemd/sd-login.h>
#include <unistd.h>

#include "guest-private.h"
#include "guest.h"

static char *unit_property(const char *unit, const char *property) {
        return output_of("systemctl", "show", "--value", "--property", property, unit, NULL);
}

/* ---- A QEMU of one's own */

struct NestedVm {
        int fd;
};

#define NESTED_SOCKET "/run/nested.qmp"
/* Where it listens, and an adapter finds it. */
#define NESTED_MONITOR "/run/nested.monitor"

/* QEMU is the one that connects: so there is a moment to wait for, and the greeting after it comes when all devices are open. */
static int listen_for_qmp(void) {
        struct sockaddr_un address = { .sun_family = AF_UNIX, .sun_path = NESTED_SOCKET };
        int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);

        g_assert_cmpint(fd, >=, 0);
        (void) unlink(NESTED_SOCKET);
        g_assert_cmpint(bind(fd, (struct sockaddr *) &address, sizeof(address)), ==, 0);
        g_assert_cmpint(listen(fd, 1), ==, 0);
        return fd;
}

/* A line from QEMU; fails the case when it ends or says nothing for too long. */
static char *nested_line(NestedVm *vm) {
        GString *line = g_string_new(NULL);
        char c = 0;

        while (c != '\n') {
                struct pollfd p = { .fd = vm->fd, .events = POLLIN };

                g_assert_cmpint(poll(&p, 1, PATIENCE_SEC * 1000), ==, 1);
                g_assert_cmpint(read(vm->fd, &c, 1), ==, 1);
                g_string_append_c(line, c);
        }
        return g_string_free(line, false);
}

/* argv is NULL-terminated, and nobody has connected to the listener yet. */
static NestedVm *nested_run(char **argv, int listener) {
        struct pollfd p = { .fd = listener, .events = POLLIN };
        NestedVm *vm = g_new0(NestedVm, 1);
        g_autoptr(GError) error = NULL;
        int status;

        g_spawn_sync("/", argv, NULL, G_SPAWN_SEARCH_PATH, NULL, NULL, NULL, NULL, &status, &error);
        g_assert_no_error(error);
        g_assert_cmpint(status, ==, 0);

        g_assert_cmpint(poll(&p, 1, PATIENCE_SEC * 1000), ==, 1);
        vm->fd = accept4(listener, NULL, NULL, SOCK_CLOEXEC);
        g_assert_cmpint(vm->fd, >=, 0);
        close(listener);
        g_free(nested_line(vm));
        g_free(nested_qmp(vm, "{\"execute\":\"qmp_capabilities\"}"));
        return vm;
}

static NestedVm *nested_startv(bool listens, const char *first, va_list ap) {
        g_autoptr(GPtrArray) argv = g_ptr_array_new_with_free_func(g_free);
        int listener = listen_for_qmp();

        for (const char *const *a = (const char *const[]) { "systemd-run", "--quiet", "--collect", "--unit=" NESTED_UNIT,
                                                           "qemu-system-x86_64", "-name", NESTED_NAME, "-accel", "tcg", "-M",
                                                           "q35", "-m", "128", "-nodefaults", "-display", "none", "-vga", "none",
                                                           "-qmp", "unix:" NESTED_SOCKET, NULL };
             *a; a++)
                g_ptr_array_add(argv, g_strdup(*a));
        if (listens) {
                g_ptr_array_add(argv, g_strdup("-qmp"));
                g_ptr_array_add(argv, g_strdup("unix:" NESTED_MONITOR ",server=on,wait=off"));
        }
        for (const char *a = first; a; a = va_arg(ap, const char *)) {
                g_ptr_array_add(argv, g_strdup("-device"));
                g_ptr_array_add(argv, g_strdup_printf("vfio-pci,host=%s", a));
        }
        g_ptr_array_add(argv, NULL);
        return nested_run((char **) argv->pdata, listener);
}

NestedVm *nested_start(const char *first, ...) {
        NestedVm *vm;
        va_list ap;

        va_start(ap, first);
        vm = nested_startv(false, first, ap);
        va_end(ap);
        return vm;
}

NestedVm *nested_start_managed(const char *first, ...) {
        NestedVm *vm;
        va_list ap;

        va_start(ap, first);
        vm = nested_startv(true, first, ap);
        va_end(ap);
        return vm;
}

char *nested_qmp(NestedVm *vm, const char *request) {
        g_assert_cmpint(dprintf(vm->fd, "%s\n", request), >, 0);
        for (;;) {
                g_autofree char *line = nested_line(vm);

                /* Events of the VM come in between. */
                if (strstr(line, "\"return\"") || strstr(line, "\"error\""))
                        return g_steal_pointer(&line);
        }
}

gint64 nested_event(NestedVm *vm, const char *event) {
        g_autofree char *mark = g_strdup_printf("\"event\": \"%s\"", event);

        for (;;) {
                g_autofree char *line = nested_line(vm);
                const char *stamp = strstr(line, "\"seconds\": ");
                gint64 seconds, usec;

                if (strstr(line, mark) && stamp &&
                    sscanf(stamp, "\"seconds\": %" G_GINT64_FORMAT ", \"microseconds\": %" G_GINT64_FORMAT, &seconds, &usec) == 2)
                        return seconds * G_USEC_PER_SEC + usec;
        }
}

static bool unit_gone(const void *unit) {
        g_autofree char *state = unit_property(unit, "ActiveState");

        return g_str_equal(state, "inactive") || g_str_equal(state, "failed");
}

static void nested_end(NestedVm *vm) {
        close(vm->fd);
        g_free(vm);
        wait_until(unit_gone, NESTED_UNIT, "the end of the nested QEMU");
}

void nested_stop(NestedVm *vm) {
        g_free(nested_qmp(vm, "{\"execute\":\"quit\"}"));
        nested_end(vm);
}

void nested_kill(NestedVm *vm) {
        g_free(output_of("systemctl", "kill", "--signal=KILL", NESTED_UNIT, NULL));
        nested_end(vm);
}

/* ---- libvirt's */

#define DOMAIN_XML "/run/" DOMAIN_NAME ".xml"

static const char domain_xml[] =
        "<domain type='qemu'>"
        "  <name>" DOMAIN_NAME "</name>"
        "  <memory unit='MiB'>128</memory>"
        "  <os><type arch='x86_64' machine='q35'>hvm</type></os>"
        "  <features><acpi/></features>"
        "  <devices>"
        "    <emulator>/usr/bin/qemu-system-x86_64</emulator>"
        "    <controller type='usb' model='none'/>"
        "    <memballoon model='none'/>"
        "    <hostdev mode='subsystem' type='pci' managed='no'>"
        "      <source><address domain='0x0000' bus='0x01' slot='0x00' function='0x0'/></source>"
        "    </hostdev>"
        "    <hostdev mode='subsystem' type='pci' managed='no'>"
        "      <source><address domain='0x0000' bus='0x01' slot='0x00' function='0x1'/></source>"
        "    </hostdev>"
        "  </devices>"
        "</domain>";

static Output *domain_create(const char *xml) {
        g_autoptr(GError) error = NULL;

        g_file_set_contents(DOMAIN_XML, xml, -1, &error);
        g_assert_no_error(error);
        return command(WHO_ROOT, "virsh", "--quiet", "create", DOMAIN_XML, NULL);
}

Output *domain_try_start(void) {
        return domain_create(domain_xml);
}

void domain_start_managed(void) {
        g_auto(GStrv) parts = g_strsplit(domain_xml, "managed='no'", -1);
        g_autofree char *xml = g_strjoinv("managed='yes'", parts);
        g_autoptr(Output) o = domain_create(xml);

        assert_status(o, 0);
}

void domain_start(void) {
        g_autoptr(Output) o = domain_try_start();

        assert_status(o, 0);
}

void domain_stop(void) {
        /* Only ask libvirt where it runs: asking starts it, which takes seconds. */
        if (access("/run/libvirt/qemu/" DOMAIN_NAME ".pid", F_OK) == 0)
                g_free(output_of("virsh", "--quiet", "destroy", DOMAIN_NAME, NULL));
}

#define HOOK "/etc/libvirt/hooks/qemu.d/gpuptd"

void domain_hook_install(void) {
        g_free(output_of("install", "-D", "/usr/share/gpuptd/hooks/libvirt-qemu", HOOK, NULL));
        /* Whether there are hooks at all is looked up when it starts. */
        g_free(output_of("systemctl", "try-restart", "libvirtd.service", NULL));
}

void domain_hook_remove(void) {
        (void) unlink(HOOK);
}

/* ---- A program that does not listen */

/* Before that it is a shell, which may not have said yet what it does not heed. */
static bool is_stubborn(const void *node) {
        return is_held(node, STUBBORN_COMMAND);
}

pid_t stubborn_start(const char *node) {
        g_autofree char *input = g_strdup_printf("StandardInput=file:%s", node), *pid = NULL;

        /* Type=exec: when systemd-run returns the node is open, by systemd itself, before the exec. */
        g_free(output_of("systemd-run", "--quiet", "--collect", "--unit=" STUBBORN_UNIT, "--property=Type=exec", "--property", input,
                         "--property=IgnoreSIGPIPE=yes", "sh", "-c", "trap '' TERM INT HUP; exec " STUBBORN_COMMAND " infinity",
                         NULL));
        wait_until(is_stubborn, node, "the stubborn program");
        pid = unit_property(STUBBORN_UNIT, "MainPID");
        return (pid_t) g_ascii_strtoll(pid, NULL, 10);
}

void stubborn_stop(void) {
        g_free(output_of("systemctl", "kill", "--signal=KILL", STUBBORN_UNIT, NULL));
        wait_until(unit_gone, STUBBORN_UNIT, "the end of the stubborn program");
}

/* ---- A desktop */

/* The session that has seat0's screen, if it is the user's. */
static char *active_session(void) {
        g_autofree char *session = NULL;
        uid_t uid;

        if (sd_seat_get_active("seat0", &session, &uid) < 0 || uid != DESKTOP_UID)
                return NULL;
        return g_steal_pointer(&session);
}

char *desktop_scope(void) {
        g_autofree char *session = active_session();

        g_assert_nonnull(session);
        return g_strdup_printf("/sys/fs/cgroup/user.slice/user-%u.slice/session-%s.scope/cgroup.procs", DESKTOP_UID, session);
}

static bool session_is_there(const void *userdata) {
        g_autofree char *session = active_session();

        return session;
}

static bool session_is_gone(const void *userdata) {
        return access("/run/user/1000", F_OK) < 0;
}

bool desktop_holds(const char *control) {
        return is_held(control, "wireplumber");
}

static bool wireplumber_has_all(const void *userdata) {
        g_autofree char *card = sound_control(CARD_AUDIO), *boot = sound_control(BOOT_AUDIO);

        return card && boot && desktop_holds(card) && desktop_holds(boot);
}

void desktop_start(void) {
        g_free(output_of("systemctl", "start", DESKTOP_UNIT, NULL));
        wait_until(session_is_there, NULL, "an active session of the user's on seat0");
        wait_until(wireplumber_has_all, NULL, "WirePlumber to open the sound cards");
}

void desktop_stop(void) {
        g_free(output_of("systemctl", "stop", DESKTOP_UNIT, "user@1000.service", NULL));
        wait_until(session_is_gone, NULL, "the end of the user's session");
}

/* ---- Sleep */

static int on_prepare_for_sleep(sd_bus_message *message, void *userdata, sd_bus_error *error) {
        int *active = userdata;

        return sd_bus_message_read(message, "b", active);
}

bool machine_sleep(unsigned seconds) {
        sd_bus_slot *slot = NULL;
        sd_bus *bus = system_bus();
        g_autofree char *before = NULL, *after = NULL, *alarm = g_strdup_printf("+%u", seconds);
        int preparing = -1;

        g_assert_true(g_file_get_contents("/sys/power/suspend_stats/success", &before, NULL, NULL));
        g_assert_cmpint(sd_bus_match_signal(bus, &slot, "org.freedesktop.login1", "/org/freedesktop/login1",
                                            "org.freedesktop.login1.Manager", "PrepareForSleep", on_prepare_for_sleep, &preparing),
                        >=, 0);
        g_assert_cmpint(sysfs_write("/sys/class/rtc/rtc0/wakealarm", "0"), ==, 0);
        g_assert_cmpint(sysfs_write("/sys/class/rtc/rtc0/wakealarm", alarm), ==, 0);
        g_free(output_of("systemctl", "suspend", NULL));
        /* The pair of signals, whatever came in between. */
        while (preparing != 0) {
                int r = sd_bus_process(bus, NULL);

                g_assert_cmpint(r, >=, 0);
                if (r == 0)
                        g_assert_cmpint(sd_bus_wait(bus, UINT64_MAX), >=, 0);
        }
        sd_bus_slot_unref(slot);
        g_assert_true(g_file_get_contents("/sys/power/suspend_stats/success", &after, NULL, NULL));
        return !g_str_equal(before, after);
}
