/* SPDX-License-Identifier: GPL-2.0-or-later */

/* machine: starts, commands and ends the process that is the simulated machine. See machine.h; the daemon in it is in
 * daemon.c, signals are in recorder.c. */

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include "machine-internal.h"
#include "namespaces.h"
#include "util/cleanup.h"
#include "worker/protocol.h"

#define EXIT_SKIP 77 /* what meson takes for a skipped test */
#define DEADLINE_DEFAULT_SEC 60U

/* The namespaces have room for one. */
static SimMachine *current;

static bool no_skip(void) {
        return !isempty(getenv("GPUPT_TEST_NO_SKIP"));
}

int sim_enter(const char **ret_reason) {
        int r;

        r = namespaces_enter(ret_reason);
        if (r < 0)
                return r;
        (void) setenv("SYSTEMD_DEVICE_VERIFY_SYSFS", "0", 1); /* libudev refuses a /sys that is not sysfs */
        (void) unsetenv("DBUS_SYSTEM_BUS_ADDRESS");
        (void) setenv(ENV_UPDATE_INITRAMFS, "/nonexistent", 1); /* that of the host is not the machine's */
        return 0;
}

void sim_init(int *argc, char ***argv) {
        const char *reason = NULL;
        int r;

        r = sim_enter(&reason);
        if (r < 0) {
                if (no_skip()) {
                        printf("Bail out! no simulated machine: %s: %s\n", reason, strerror(-r));
                        exit(EXIT_FAILURE);
                }
                printf("1..0 # SKIP no simulated machine: %s: %s\n", reason, strerror(-r));
                exit(EXIT_SKIP);
        }
        g_test_init(argc, argv, NULL);
}

unsigned sim_deadline_sec(void) {
        const char *text = getenv("GPUPT_TEST_DEADLINE_SEC");

        return isempty(text) ? DEADLINE_DEFAULT_SEC : (unsigned) strtoul(text, NULL, 10);
}

const char *sim_keep(SimMachine *m, char *text) {
        if (text)
                g_ptr_array_add(m->strings, text);
        return text;
}

static char *topology_path(const char *topology) {
        const char *directory = getenv("GPUPT_SIM_TOPOLOGIES") ?: SIM_SOURCE_ROOT "/tests/sim/topologies";
        g_autofree char *file = NULL;

        if (strchr(topology, '/'))
                return g_strdup(topology);
        file = g_strdup_printf("%s.topology", topology);
        return g_build_filename(directory, file, NULL);
}

static void exec_machine(const char *topology, int fd) {
        const char *binary = getenv("GPUPT_SIM_MACHINE") ?: SIM_BUILD_DIR "/gpuptd-sim-machine";
        char number[16];

        (void) snprintf(number, sizeof(number), "%d", fd);
        if (fcntl(fd, F_SETFD, 0) < 0)
                _exit(EXIT_FAILURE);
        (void) execl(binary, binary, topology, number, NULL);
        fprintf(stderr, "%s: %s\n", binary, strerror(errno));
        _exit(EXIT_FAILURE);
}

/* One line of an answer; -ETIMEDOUT, or -ECONNRESET when the machine has died. */
static int read_line(SimMachine *m, char **ret) {
        g_autoptr(GString) line = g_string_new(NULL);
        struct pollfd p = { .fd = m->fd, .events = POLLIN };
        char c;

        for (;;) {
                ssize_t n;

                if (poll(&p, 1, (int) sim_deadline_sec() * 1000) <= 0)
                        return -ETIMEDOUT;
                n = recv(m->fd, &c, 1, 0);
                if (n < 0 && errno == EINTR)
                        continue;
                if (n <= 0)
                        return -ECONNRESET;
                if (c == '\n') {
                        *ret = g_strdup(line->str);
                        return 0;
                }
                (void) g_string_append_c(line, c);
        }
}

static int errno_by_name(const char *name) {
        for (int e = 1; e < 134; e++)
                if (streq_ptr(strerrorname_np(e), name))
                        return e;
        return EPROTO;
}

static int read_answer(SimMachine *m, char **ret_text) {
        g_autofree char *line = NULL;
        g_auto(GStrv) words = NULL;
        int r;

        r = read_line(m, &line);
        if (r < 0)
                return r;
        words = g_strsplit(line, " ", 3);
        if (streq(words[0], "ok")) {
                *ret_text = g_strcompress(line + MIN(strlen(line), STRLEN("ok ")));
                return 0;
        }
        return -errno_by_name(words[1]);
}

static int command(SimMachine *m, const char **ret_text, const char *line) {
        g_autofree char *request = g_strconcat(line, "\n", NULL);
        char *text = NULL;
        int r;

        if (send(m->fd, request, strlen(request), MSG_NOSIGNAL) < 0)
                return -errno;
        r = read_answer(m, &text);
        if (r < 0)
                return r;
        *ret_text = sim_keep(m, text);
        return 0;
}

int sim_try_command(SimMachine *m, const char **ret_text, const char *format, ...) {
        g_autofree char *line = NULL;
        va_list ap;

        va_start(ap, format);
        line = g_strdup_vprintf(format, ap);
        va_end(ap);
        return command(m, ret_text, line);
}

const char *sim_command(SimMachine *m, const char *format, ...) {
        g_autofree char *line = NULL;
        const char *text;
        va_list ap;
        int r;

        va_start(ap, format);
        line = g_strdup_vprintf(format, ap);
        va_end(ap);
        r = command(m, &text, line);
        if (r < 0)
                g_error("machine: '%s': %s", line, strerror(-r));
        return text;
}

SimMachine *sim_machine_new(const char *topology) {
        g_autofree char *path = topology_path(topology);
        g_autofree char *text = NULL;
        SimMachine *m;
        int fds[2], r;

        if (!namespaces_entered())
                g_error("sim_init() was not called");
        if (current)
                g_error("there is a machine already");
        if (socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, fds) < 0)
                g_error("socketpair: %s", strerror(errno));

        m = current = g_new(SimMachine, 1);
        *m = (SimMachine) {
                .fd = fds[0],
                .strings = g_ptr_array_new_with_free_func(g_free),
                .daemon_log_fd = -EBADF,
        };
        m->pid = fork();
        if (m->pid < 0)
                g_error("fork: %s", strerror(errno));
        if (m->pid == 0) {
                (void) prctl(PR_SET_PDEATHSIG, SIGKILL);
                exec_machine(path, fds[1]);
        }
        (void) close(fds[1]);
        r = read_answer(m, &text);
        if (r < 0 || !streq(text, "ready"))
                g_error("the machine '%s' does not start", topology);
        r = machine_mount_elsewhere();
        if (r < 0)
                g_error("/proc/acpi and /dev/vga_arbiter cannot be mounted: %s", strerror(-r));
        (void) machine_mount_cgroups(); /* without cgroups on the host there are none here */
        return m;
}

static pid_t parent_of(pid_t pid) {
        g_autofree char *path = g_strdup_printf("/proc/%d/stat", pid), *text = NULL;
        const char *fields;
        pid_t parent;

        if (!g_file_get_contents(path, &text, NULL, NULL) || !(fields = strrchr(text, ')')) ||
            sscanf(fields, ") %*c %d", &parent) != 1)
                return 0;
        return parent;
}

static bool is_ancestor(pid_t pid) {
        for (pid_t up = getpid(); up > 0; up = parent_of(up))
                if (up == pid)
                        return true;
        return false;
}

/* Whoever is in our mount namespace and is neither we nor an ancestor of ours; and our children, which may have gone to
 * another one, as libvirt's do. */
static bool belongs_to_machine(pid_t pid, const struct stat *namespace) {
        g_autofree char *path = g_strdup_printf("/proc/%d/ns/mnt", pid);
        struct stat st;

        if (stat(path, &st) >= 0 && st.st_ino == namespace->st_ino)
                return !is_ancestor(pid);
        return parent_of(pid) == getpid();
}

static void kill_processes(void) {
        _cleanup_closedir_ DIR *proc = opendir("/proc");
        struct dirent *entry;
        struct stat namespace;

        if (!proc || stat("/proc/self/ns/mnt", &namespace) < 0)
                return;
        while ((entry = readdir(proc))) {
                pid_t pid = (pid_t) strtol(entry->d_name, NULL, 10);

                if (pid > 1 && belongs_to_machine(pid, &namespace))
                        (void) kill(pid, SIGKILL);
        }
}

/* As subreaper we inherit whatever the machine's processes leave behind, so that in the end all are our children. What
 * hangs in /sys is let go when its server is dead, so all of them end. */
static void end_processes(void) {
        do
                kill_processes();
        while (waitpid(-1, NULL, 0) > 0);
}

void sim_machine_free(SimMachine *m) {
        if (!m)
                return;
        if (m->bus)
                (void) sd_bus_close_unref(m->bus);
        end_processes();
        (void) close(m->fd);
        machine_unmounts();
        sim_daemon_forget(m);
        g_ptr_array_unref(m->strings);
        g_free(m);
        current = NULL;
}

unsigned sim_fault(SimMachine *m, const char *target, const char *operation, const char *effect) {
        return (unsigned) strtoul(sim_command(m, "fault %s %s %s", target, operation, effect), NULL, 10);
}

void sim_fault_wait(SimMachine *m, unsigned id) {
        (void) sim_command(m, "wait-fault %u", id);
}

void sim_fault_release(SimMachine *m, unsigned id) {
        if (id > 0)
                (void) sim_command(m, "release %u", id);
        else
                (void) sim_command(m, "release all");
}

void sim_unplug(SimMachine *m, const char *address) {
        (void) sim_command(m, "unplug %s", address);
}

void sim_plug(SimMachine *m, const char *address) {
        (void) sim_command(m, "plug %s", address);
}

void sim_wait_known(SimMachine *m, const char *address, bool known) {
        (void) sim_command(m, "wait-known %s %s", address, known ? "yes" : "no");
}

static char *absolute(const char *path) {
        return *path == '/' ? g_strdup(path) : g_strdup_printf("/sys/%s", path);
}

const char *sim_driver_of(SimMachine *m, const char *address) {
        g_autofree char *path = g_strdup_printf("/sys/bus/pci/devices/%s/driver", address);
        g_autofree char *target = g_file_read_link(path, NULL);

        return target ? sim_keep(m, g_path_get_basename(target)) : NULL;
}

const char *sim_override_of(SimMachine *m, const char *address) {
        g_autofree char *path = g_strdup_printf("/sys/bus/pci/devices/%s/driver_override", address);
        const char *text = sim_read(m, path);

        return streq_ptr(text, "(null)") ? NULL : text;
}

const char *sim_read(SimMachine *m, const char *path) {
        g_autofree char *file = absolute(path);
        char *text;

        if (!g_file_get_contents(file, &text, NULL, NULL))
                return NULL;
        return sim_keep(m, g_strchomp(text));
}

int sim_write(_unused_ SimMachine *m, const char *path, const char *text) {
        g_autofree char *file = absolute(path);
        _cleanup_close_ int fd = open(file, O_WRONLY | O_CLOEXEC);

        if (fd < 0)
                return -errno;
        return write(fd, text, strlen(text)) < 0 ? -errno : 0;
}

bool sim_exists(_unused_ SimMachine *m, const char *path) {
        g_autofree char *file = absolute(path);
        struct stat st;

        return lstat(file, &st) == 0;
}

const char *sim_dump(SimMachine *m) {
        return sim_command(m, "dump");
}

void sim_polkit_set(SimMachine *m, const char *answer, const char *action) {
        (void) sim_command(m, "polkit %s %s", answer, strempty(action));
}

void sim_polkit_wait(SimMachine *m, unsigned n_lines) {
        (void) sim_command(m, "wait-polkit %u", n_lines);
}

const char *sim_polkit_log(SimMachine *m) {
        return sim_command(m, "polkit-log");
}

void sim_unit_set(SimMachine *m, const char *name, const char *words) {
        (void) sim_command(m, "unit %s %s", name, words);
}

const char *sim_unit_state(SimMachine *m, const char *name) {
        return sim_command(m, "unit-state %s", name);
}

bool sim_suspend(SimMachine *m) {
        return streq(sim_command(m, "suspend"), "slept");
}

bool sim_have_users(void) {
        return namespaces_have_users();
}

sd_bus *sim_bus_new(_unused_ SimMachine *m, uid_t uid) {
        sd_bus *bus = NULL;
        int r;

        /* dbus-daemon takes the credentials that the socket had when it was connected. */
        if (uid != 0 && seteuid(uid) < 0)
                g_error("uid %u does not exist in these namespaces", uid);
        r = sd_bus_new(&bus);
        if (r >= 0)
                r = sd_bus_set_address(bus, "unix:path=/run/dbus/system_bus_socket");
        if (r >= 0)
                r = sd_bus_set_bus_client(bus, true);
        if (r >= 0)
                r = sd_bus_start(bus);
        if (r >= 0)
                r = sd_bus_is_ready(bus) < 0 ? -ENOTCONN : 0;
        while (r >= 0 && sd_bus_is_ready(bus) == 0) {
                r = sd_bus_process(bus, NULL);
                if (r == 0)
                        r = sd_bus_wait(bus, sim_deadline_sec() * G_USEC_PER_SEC);
        }
        if (uid != 0 && seteuid(0) < 0)
                g_error("seteuid: %s", strerror(errno));
        if (r < 0)
                g_error("no connection to the bus: %s", strerror(-r));
        return bus;
}

sd_bus *sim_bus(SimMachine *m) {
        if (!m->bus)
                m->bus = sim_bus_new(m, 0);
        return m->bus;
}
