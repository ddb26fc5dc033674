/* SPDX-License-Identifier: GPL-2.0-or-later */

/* guest: commands as somebody, what the kernel says about the cards, and the way back to the first state. Owns nothing that
 * outlives a call. Must not use gpuptd for what it checks: everything here is read from the kernel itself. */

#include "guest.h"

#include <fcntl.h>
#include <grp.h>
#include <poll.h>
#include <pwd.h>
#include <signal.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <sys/wait.h>

#include "guest-private.h"

/* ---- Commands */

struct Child {
        GPid pid;
        int out, err;
};

void output_free(Output *o) {
        g_free(o->out);
        g_free(o->err);
        g_free(o);
}

/* Runs between fork and exec, as root: becomes the user, in the session's scope if it is to be in one. logind and polkit tell a
 * process's session by its cgroup alone (sd_pid_get_session()). */
static void become_user(gpointer userdata) {
        const char *scope = userdata;
        /* QEMU locks its guest's memory; a user who runs such VMs has the limit raised. */
        struct rlimit memlock = { RLIM_INFINITY, RLIM_INFINITY };

        if (scope) {
                int fd = open(scope, O_WRONLY | O_CLOEXEC);

                if (fd < 0 || write(fd, "0", 1) != 1)
                        _exit(125);
                close(fd);
        }
        if (setrlimit(RLIMIT_MEMLOCK, &memlock) < 0 || initgroups(DESKTOP_USER, DESKTOP_UID) < 0 || setgid(DESKTOP_UID) < 0 ||
            setuid(DESKTOP_UID) < 0)
                _exit(125);
}

static char **environment_of(Who who) {
        char **e = g_get_environ();

        if (who == WHO_ROOT)
                return e;
        e = g_environ_setenv(e, "HOME", "/home/" DESKTOP_USER, true);
        e = g_environ_setenv(e, "USER", DESKTOP_USER, true);
        if (who == WHO_DESKTOP) {
                e = g_environ_setenv(e, "XDG_RUNTIME_DIR", "/run/user/1000", true);
                e = g_environ_setenv(e, "DBUS_SESSION_BUS_ADDRESS", "unix:path=/run/user/1000/bus", true);
        }
        return e;
}

static Child *child_startv(Who who, const char *program, va_list ap) {
        g_autoptr(GPtrArray) argv = g_ptr_array_new();
        g_autoptr(GError) error = NULL;
        g_auto(GStrv) environment = environment_of(who);
        g_autofree char *scope = who == WHO_DESKTOP ? desktop_scope() : NULL;
        Child *c = g_new0(Child, 1);

        for (const char *a = program; a; a = va_arg(ap, const char *))
                g_ptr_array_add(argv, (char *) a);
        g_ptr_array_add(argv, NULL);
        g_spawn_async_with_pipes("/", (char **) argv->pdata, environment, G_SPAWN_DO_NOT_REAP_CHILD | G_SPAWN_SEARCH_PATH,
                                 who == WHO_ROOT ? NULL : become_user, scope, &c->pid, NULL, &c->out, &c->err, &error);
        g_assert_no_error(error);
        return c;
}

Child *child_start(Who who, const char *program, ...) {
        va_list ap;
        Child *c;

        va_start(ap, program);
        c = child_startv(who, program, ap);
        va_end(ap);
        return c;
}

GPid child_pid(const Child *c) {
        return c->pid;
}

Output *child_wait(Child *c) {
        struct pollfd fds[] = { { .fd = c->out, .events = POLLIN }, { .fd = c->err, .events = POLLIN } };
        GString *text[] = { g_string_new(NULL), g_string_new(NULL) };
        Output *o = g_new0(Output, 1);
        int status;

        while (fds[0].fd >= 0 || fds[1].fd >= 0) {
                g_assert_cmpint(poll(fds, 2, -1), >, 0);
                for (unsigned i = 0; i < 2; i++) {
                        char buffer[4096];
                        ssize_t n;

                        if (fds[i].fd < 0 || !fds[i].revents)
                                continue;
                        n = read(fds[i].fd, buffer, sizeof(buffer));
                        if (n > 0)
                                g_string_append_len(text[i], buffer, n);
                        else
                                fds[i].fd = -1;
                }
        }
        g_assert_cmpint(waitpid(c->pid, &status, 0), ==, c->pid);
        close(c->out);
        close(c->err);
        g_free(c);
        o->status = WIFEXITED(status) ? WEXITSTATUS(status) : 128 + WTERMSIG(status);
        o->out = g_string_free(text[0], false);
        o->err = g_string_free(text[1], false);
        return o;
}

Output *command(Who who, const char *program, ...) {
        va_list ap;
        Child *c;

        va_start(ap, program);
        c = child_startv(who, program, ap);
        va_end(ap);
        return child_wait(c);
}

char *output_of(const char *program, ...) {
        g_autoptr(Output) o = NULL;
        va_list ap;

        va_start(ap, program);
        o = child_wait(child_startv(WHO_ROOT, program, ap));
        va_end(ap);
        if (o->status != 0)
                g_test_message("%s: %s%s", program, o->out, o->err);
        g_assert_cmpint(o->status, ==, 0);
        return g_strchomp(g_steal_pointer(&o->out));
}

void command_assert(const Output *o, int wanted, const char *file, int line) {
        if (o->status == wanted)
                return;
        g_test_message("%s:%d: exit status %d instead of %d\n%s%s", file, line, o->status, wanted, o->out, o->err);
        g_assert_cmpint(o->status, ==, wanted);
}

void wait_until(bool (*reached)(const void *userdata), const void *userdata, const char *what) {
        gint64 end = g_get_monotonic_time() + PATIENCE_SEC * G_USEC_PER_SEC;

        while (!reached(userdata)) {
                if (g_get_monotonic_time() > end)
                        g_error("waited %u s in vain for %s", PATIENCE_SEC, what);
                poll(NULL, 0, 50);
        }
}

/* ---- The kernel */

static char *pci_path(const char *address, const char *attribute) {
        return g_build_filename("/sys/bus/pci/devices", address, attribute, NULL);
}

char *pci_read(const char *address, const char *attribute) {
        g_autofree char *path = pci_path(address, attribute);
        char *text = NULL;

        return g_file_get_contents(path, &text, NULL, NULL) ? g_strchomp(text) : NULL;
}

int sysfs_write(const char *path, const char *value) {
        int fd = open(path, O_WRONLY | O_CLOEXEC), r;

        if (fd < 0)
                return errno;
        r = write(fd, value, strlen(value)) < 0 ? errno : 0;
        close(fd);
        return r;
}

int pci_write(const char *address, const char *attribute, const char *value) {
        g_autofree char *path = pci_path(address, attribute);

        return sysfs_write(path, value);
}

/* The last part of where a link points, "" without one. */
static char *link_name(const char *address, const char *name) {
        g_autofree char *path = pci_path(address, name);
        g_autofree char *target = g_file_read_link(path, NULL);

        return target ? g_path_get_basename(target) : g_strdup("");
}

char *pci_driver(const char *address) {
        return link_name(address, "driver");
}

char *pci_group(const char *address) {
        return link_name(address, "iommu_group");
}

bool pci_exists(const char *address) {
        g_autofree char *path = pci_path(address, "vendor");

        return g_file_test(path, G_FILE_TEST_EXISTS);
}

char *vfio_node(const char *address) {
        g_autofree char *group = pci_group(address);

        return g_build_filename("/dev/vfio", group, NULL);
}

char *pci_child(const char *address, const char *directory, const char *prefix) {
        g_autofree char *path = pci_path(address, directory);
        g_autoptr(GDir) dir = g_dir_open(path, 0, NULL);
        const char *name;

        while (dir && (name = g_dir_read_name(dir)))
                if (g_str_has_prefix(name, prefix))
                        return g_build_filename(path, name, NULL);
        return NULL;
}

char *sound_control(const char *address) {
        g_autofree char *card = pci_child(address, "sound", "card");

        return card ? g_strdup_printf("/dev/snd/controlC%s", strstr(card, "/sound/card") + strlen("/sound/card")) : NULL;
}

void pci_rebind(const char *address, const char *driver) {
        g_autofree char *old = pci_driver(address);
        g_autofree char *bind = g_build_filename("/sys/bus/pci/drivers", driver, "bind", NULL);

        g_assert_cmpint(pci_write(address, "driver_override", driver), ==, 0);
        if (*old)
                g_assert_cmpint(pci_write(address, "driver/unbind", address), ==, 0);
        g_assert_cmpint(sysfs_write(bind, address), ==, 0);
        g_assert_cmpint(pci_write(address, "driver_override", "\n"), ==, 0);
}

/* Whether a process has a file of this device number or inode open. */
static bool process_has(const char *pid, const struct stat *wanted) {
        g_autofree char *path = g_build_filename("/proc", pid, "fd", NULL);
        g_autoptr(GDir) dir = g_dir_open(path, 0, NULL);
        const char *name;

        while (dir && (name = g_dir_read_name(dir))) {
                g_autofree char *fd = g_build_filename(path, name, NULL);
                struct stat st;

                if (stat(fd, &st) == 0 && S_ISCHR(st.st_mode) && st.st_rdev == wanted->st_rdev)
                        return true;
        }
        return false;
}

GArray *holders_of(const char *path) {
        GArray *pids = g_array_new(false, false, sizeof(pid_t));
        g_autoptr(GDir) dir = g_dir_open("/proc", 0, NULL);
        const char *name;
        struct stat wanted;

        if (stat(path, &wanted) < 0)
                return pids;
        while ((name = g_dir_read_name(dir)))
                if (g_ascii_isdigit(*name) && process_has(name, &wanted)) {
                        pid_t pid = (pid_t) g_ascii_strtoll(name, NULL, 10);

                        g_array_append_val(pids, pid);
                }
        return pids;
}

bool is_held(const char *path, const char *name) {
        g_autoptr(GArray) pids = holders_of(path);

        for (unsigned i = 0; i < pids->len; i++) {
                g_autofree char *comm = NULL, *file = g_strdup_printf("/proc/%d/comm", g_array_index(pids, pid_t, i));

                if (!name || (g_file_get_contents(file, &comm, NULL, NULL) && g_str_equal(g_strchomp(comm), name)))
                        return true;
        }
        return false;
}

/* ---- The whole state, as text */

static void add_function(GString *s, const char *address) {
        static const char *const attributes[] = { "driver_override", "power/control", "d3cold_allowed", "reset_method", "enable" };
        g_autofree char *driver = pci_driver(address);

        g_string_append_printf(s, "%s driver=%s\n", address, driver);
        for (unsigned i = 0; i < G_N_ELEMENTS(attributes); i++) {
                g_autofree char *value = pci_read(address, attributes[i]);

                g_string_append_printf(s, "%s %s=%s\n", address, attributes[i], value ?: "-");
        }
}

static gint compare_names(gconstpointer a, gconstpointer b) {
        return strcmp(*(const char *const *) a, *(const char *const *) b);
}

/* Names in a directory, sorted; an empty list for a directory that is not there. */
static GPtrArray *names_in(const char *path) {
        GPtrArray *names = g_ptr_array_new_with_free_func(g_free);
        g_autoptr(GDir) dir = g_dir_open(path, 0, NULL);
        const char *name;

        while (dir && (name = g_dir_read_name(dir)))
                g_ptr_array_add(names, g_strdup(name));
        g_ptr_array_sort(names, compare_names);
        return names;
}

static void add_nodes(GString *s, const char *directory) {
        g_autoptr(GPtrArray) names = names_in(directory);

        for (unsigned i = 0; i < names->len; i++) {
                g_autofree char *path = g_build_filename(directory, names->pdata[i], NULL), *acl = NULL;
                g_auto(GStrv) entries = NULL;
                struct stat st;

                /* The container node is there for good once the module is loaded. */
                if (lstat(path, &st) < 0 || !S_ISCHR(st.st_mode) || g_str_equal(path, "/dev/vfio/vfio"))
                        continue;
                g_string_append_printf(s, "%s mode=%o owner=%u:%u", path, st.st_mode & 0606, st.st_uid, st.st_gid);
                /* Only entries that name somebody: a mask, and with it the group's mode bits, outlives the last of them. */
                acl = output_of("getfacl", "--absolute-names", "--omit-header", "--numeric", path, NULL);
                entries = g_strsplit(acl, "\n", -1);
                for (char **e = entries; *e; e++)
                        if (g_str_has_prefix(*e, "user:") && !g_str_has_prefix(*e, "user::"))
                                g_string_append_printf(s, " %s", *e);
                g_string_append_c(s, '\n');
        }
}

char *machine_state(void) {
        static const char *const functions[] = { CARD, CARD_AUDIO, BOOT, BOOT_AUDIO, CARD_PORT, BOOT_PORT };
        g_autoptr(GPtrArray) consoles = names_in("/sys/class/vtconsole");
        g_autofree char *settled = output_of("udevadm", "settle", NULL);
        GString *s = g_string_new(NULL);

        for (unsigned i = 0; i < G_N_ELEMENTS(functions); i++)
                add_function(s, functions[i]);
        for (unsigned i = 0; i < consoles->len; i++) {
                g_autofree char *path = g_build_filename("/sys/class/vtconsole", consoles->pdata[i], "bind", NULL), *bound = NULL;

                g_assert_true(g_file_get_contents(path, &bound, NULL, NULL));
                g_string_append_printf(s, "%s bind=%s\n", (char *) consoles->pdata[i], g_strchomp(bound));
        }
        add_nodes(s, "/dev/dri");
        add_nodes(s, "/dev/snd");
        add_nodes(s, "/dev/vfio");
        add_nodes(s, "/dev/vfio/devices");
        return g_string_free(s, false);
}

/* The lines of one text that the other does not have. */
static unsigned say_lost_lines(const char *from, const char *other, char sign) {
        g_auto(GStrv) lines = g_strsplit(from, "\n", -1), others = g_strsplit(other, "\n", -1);
        unsigned n = 0;

        for (char **line = lines; *line; line++)
                if (!g_strv_contains((const char *const *) others, *line)) {
                        g_test_message("%c %s", sign, *line);
                        n++;
                }
        return n;
}

/* For what is as it should be almost at once; whoever asks says himself what is wrong if not. */
static bool wait_briefly(bool (*reached)(const void *userdata), const void *userdata) {
        gint64 end = g_get_monotonic_time() + 20 * G_USEC_PER_SEC;

        while (!reached(userdata)) {
                if (g_get_monotonic_time() > end)
                        return false;
                poll(NULL, 0, 200);
        }
        return true;
}

static bool machine_state_is(const void *userdata) {
        g_autofree char *now = machine_state();

        return g_str_equal(now, userdata);
}

/* snd_hda_intel makes its nodes some time after the bind has returned (sound/pci/hda/hda_intel.c azx_probe_work()), and udev
 * gives them their group later still. */
void assert_machine_state(const char *before) {
        g_autofree char *after = NULL;

        if (wait_briefly(machine_state_is, before))
                return;
        after = machine_state();
        g_assert_cmpuint(say_lost_lines(before, after, '-') + say_lost_lines(after, before, '+'), ==, 0);
}

/* ---- Back to the first state */

static bool is_gone(const void *address) {
        return !pci_exists(address);
}

/* What a case has plugged in goes, what it has removed is looked for. */
static void restore_bus(void) {
        static const char *const functions[] = { CARD, CARD_AUDIO, BOOT, BOOT_AUDIO, CARD_PORT, BOOT_PORT, PLUGGED_PORT };

        if (pci_exists(PLUGGED)) {
                g_free(outer_qmp(UNPLUG_CARD));
                wait_until(is_gone, PLUGGED, "the card to go");
        }
        for (unsigned i = 0; i < G_N_ELEMENTS(functions); i++)
                if (!pci_exists(functions[i]))
                        (void) sysfs_write("/sys/bus/pci/rescan", "1");
}

static void restore_function(const char *address, const char *driver) {
        g_autofree char *now = pci_driver(address);

        (void) pci_write(address, "driver_override", "\n");
        if (!g_str_equal(now, driver))
                pci_rebind(address, driver);
        (void) pci_write(address, "power/control", "on");
        (void) pci_write(address, "d3cold_allowed", "1");
}

/* snd_hda_intel finds its codecs, and so its card, some time after its probe has returned (azx_probe_work()). */
static bool has_sound(const void *address) {
        g_autofree char *control = sound_control(address);

        return control && access(control, F_OK) == 0;
}

void machine_restore(void) {
        static const char *const units[] = { NESTED_UNIT, STUBBORN_UNIT };

        for (unsigned i = 0; i < G_N_ELEMENTS(units); i++) {
                output_free(command(WHO_ROOT, "systemctl", "kill", "--signal=KILL", units[i], NULL));
                output_free(command(WHO_ROOT, "systemctl", "stop", units[i], NULL));
                output_free(command(WHO_ROOT, "systemctl", "reset-failed", units[i], NULL));
        }
        domain_hook_remove();
        domain_stop();
        desktop_stop();
        restore_bus();
        restore_function(CARD, "bochs-drm");
        restore_function(CARD_AUDIO, "snd_hda_intel");
        restore_function(BOOT, "virtio-pci");
        restore_function(BOOT_AUDIO, "snd_hda_intel");
        wait_until(has_sound, CARD_AUDIO, "the sound card of " CARD);
        wait_until(has_sound, BOOT_AUDIO, "the sound card of " BOOT);
        g_free(output_of("udevadm", "settle", NULL));
        if (daemon_installed())
                daemon_renew();
}

static void case_set_up(gpointer test, gconstpointer unused) {
        machine_restore();
}

static void case_run(gpointer test, gconstpointer unused) {
        void (*function)(void) = test;

        function();
}

void case_add(const char *path, void (*test)(void)) {
        /* With a fixture of size 0 both callbacks get the test's data as their fixture. */
        g_test_add_vtable(path, 0, test, case_set_up, case_run, NULL);
}

char *outer_qmp(const char *request) {
        int fd = open("/dev/virtio-ports/ctl", O_RDWR | O_CLOEXEC);
        GString *answer = g_string_new(NULL);
        char c;

        g_assert_cmpint(fd, >=, 0);
        g_assert_cmpint(dprintf(fd, "%s\n", request), >, 0);
        while (read(fd, &c, 1) == 1 && c != '\n')
                g_string_append_c(answer, c);
        close(fd);
        if (!strstr(answer->str, "\"return\""))
                g_error("%s: %s", request, answer->str);
        return g_string_free(answer, false);
}

/* Without an answer: QEMU is gone before. */
void machine_cut(void) {
        int fd = open("/dev/virtio-ports/ctl", O_WRONLY | O_CLOEXEC);

        g_assert_cmpint(dprintf(fd, "{\"execute\":\"quit\"}\n"), >, 0);
        for (;;)
                (void) pause();
}
