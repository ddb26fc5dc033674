/* SPDX-License-Identifier: GPL-2.0-or-later */

/* owner: attribution of one process. The words come from the process itself, its cgroup and logind's and machined's
 * files, so none is trusted beyond being shown; what `protected` says errs towards leaving a process alone. */

#include "worker/owner.h"

#include <systemd/sd-login.h>

#include "util/fs.h"
#include "worker/logins.h"

#define CMDLINE_MAX (2U * 1024U * 1024U)
#define TASK_COMM_LEN 16U /* include/linux/sched.h */

/* Ending one of these ends a session, or the host's log-in. Names longer than a comm are compared with the program's
 * file name as well. */
static const char *const protected_names[] = {
        "Hyprland", "X", "Xorg", "Xorg.bin", "Xwayland", "cage", "cinnamon", "cosmic-comp", "cosmic-greeter",
        "dwl", "elogind", "gamescope", "gamescope-wl", "gdm", "gdm-wayland-session", "gdm-x-session", "gdm3",
        "gnome-session-binary", "gnome-shell", "gpuptd", "greetd", "kwin_wayland", "kwin_wayland_wrapper", "kwin_x11",
        "labwc", "lightdm", "lxdm", "ly-dm", "mutter", "muffin", "niri", "phoc", "river", "sddm", "sddm-helper",
        "seatd", "slim", "startplasma-wayland", "sway", "systemd", "systemd-logind", "wayfire", "weston", "xdm",
};

bool owner_is_protected_name(const char *name) {
        size_t n;

        /* NixOS: ".sway-wrapped" is sway. */
        name += *name == '.';
        n = strlen(name);
        if (n > STRLEN("-wrapped") && streq(name + n - STRLEN("-wrapped"), "-wrapped"))
                n -= STRLEN("-wrapped");
        for (size_t i = 0; i < ELEMENTSOF(protected_names); i++) {
                const char *p = protected_names[i];

                if (strlen(p) == n && memcmp(p, name, n) == 0)
                        return true;
        }
        return false;
}

/* /proc/PID/exe without its directory; NULL for kernel threads and where it may not be read. */
static char *program_name(uint32_t pid) {
        char path[32], *name = NULL, *deleted;

        (void) snprintf(path, sizeof(path), "/proc/%u/exe", pid);
        if (readlink_base_at(AT_FDCWD, path, &name) < 0)
                return NULL;
        deleted = strstr(name, " (deleted)");
        if (deleted)
                *deleted = '\0';
        return name;
}

/* The real user; /proc/PID itself belongs to root where a process may not be dumped. */
static uint32_t real_uid(uint32_t pid) {
        _cleanup_free_ char *text = NULL;
        char path[32], *line;
        uint64_t uid;

        (void) snprintf(path, sizeof(path), "/proc/%u/status", pid);
        if (read_file_at(AT_FDCWD, path, 65536, &text, NULL) < 0)
                return 0;
        /* The name, which comes before, has its newlines escaped: fs/proc/array.c proc_task_name(). */
        line = strstr(text, "\nUid:");
        if (!line)
                return 0;
        line += STRLEN("\nUid:");
        line += strspn(line, " \t");
        line[strcspn(line, " \t\n")] = '\0';
        return parse_u64(line, UINT32_MAX, &uid) >= 0 ? (uint32_t) uid : 0;
}

const char *owner_libvirt_name(const char *machine) {
        const char *number = machine ? startswith(machine, "qemu-") : NULL;
        size_t n = number ? strspn(number, "0123456789") : 0;

        return n > 0 && number[n] == '-' && number[n + 1] ? number + n + 1 : NULL;
}

char *owner_qemu_name(const char *cmdline, size_t size) {
        const char *end = cmdline + size, *value = NULL, *guest;

        for (const char *word = cmdline; word < end;) {
                size_t n = strnlen(word, (size_t) (end - word));
                bool name = n == STRLEN("-name") && memcmp(word, "-name", n) == 0;

                word += n + 1;
                if (name && word < end) {
                        value = word;
                        break;
                }
        }
        if (!value)
                return NULL;
        for (const char *option = value; option < end;) {
                size_t n = strcspn(option, ",");

                guest = startswith(option, "guest=");
                if (guest || (option == value && !memchr(option, '=', n))) {
                        guest = guest ?: option;
                        return guest[strcspn(guest, ",")] || *guest ? strndup(guest, strcspn(guest, ",")) : NULL;
                }
                if (!option[n])
                        break;
                option += n + 1;
        }
        return NULL;
}

/* "machine-qemu\x2d1\x2dwin10.scope" to "qemu-1-win10", for hosts where libvirt runs without machined. */
static char *machine_of_unit(const char *unit) {
        const char *from = unit ? startswith(unit, "machine-") : NULL;
        char *machine, *to;

        if (!from)
                return NULL;
        machine = to = malloc(strlen(from) + 1);
        for (; to && *from && !streq(from, ".scope"); to++)
                if (startswith(from, "\\x2d")) {
                        *to = '-';
                        from += STRLEN("\\x2d");
                } else
                        *to = *from++;
        if (to)
                *to = '\0';
        return machine;
}

/* The number of "…/qemu.slice/101.scope", as Proxmox has it. */
static char *proxmox_id(uint32_t pid) {
        _cleanup_free_ char *cgroup = NULL;
        char *id;
        size_t n;

        if (sd_pid_get_cgroup((pid_t) pid, &cgroup) < 0)
                return NULL;
        id = strstr(cgroup, "/qemu.slice/");
        if (!id)
                return NULL;
        id += STRLEN("/qemu.slice/");
        n = strspn(id, "0123456789");
        return n > 0 && startswith(id + n, ".scope") ? strndup(id, n) : NULL;
}

static int set_vm(Holder *h, const char *manager, const char *name) {
        int r;

        r = free_and_strdup(&h->vm_manager, manager);
        return r < 0 ? r : free_and_strdup(&h->vm_name, name);
}

static int find_qemu(Holder *h) {
        _cleanup_free_ char *cmdline = NULL, *name = NULL;
        char path[32], pid[11];
        size_t size;

        (void) snprintf(path, sizeof(path), "/proc/%u/cmdline", h->pid);
        if (read_file_at(AT_FDCWD, path, CMDLINE_MAX, &cmdline, &size) >= 0)
                name = owner_qemu_name(cmdline, size);
        (void) snprintf(pid, sizeof(pid), "%u", h->pid);
        return set_vm(h, "qemu", name ?: pid);
}

static bool is_qemu(const char *name) {
        return name && (startswith(name, "qemu-system") || streq(name, "qemu-kvm") || streq(name, "kvm"));
}

static int find_vm(Holder *h, const char *comm, const char *program) {
        _cleanup_free_ char *machine = NULL, *id = NULL;
        const char *name;

        machine = machine_of_unit(h->unit);
        name = owner_libvirt_name(h->machine) ?: owner_libvirt_name(machine);
        if (name)
                return set_vm(h, "libvirt", name);
        id = proxmox_id(h->pid);
        if (id)
                return set_vm(h, "proxmox", id);
        if (is_qemu(comm) || is_qemu(program))
                return find_qemu(h);
        return set_vm(h, "process", comm);
}

static bool is_session_leader(const Holder *h) {
        _cleanup_free_ char *value = NULL;
        uint64_t leader;

        return h->session && login_file_get(h->session, "LEADER", &value) >= 0 &&
               parse_u64(value, INT32_MAX, &leader) >= 0 && leader == h->pid;
}

/* A daemon of a user is named by its own unit, not by user@1000.service, which all of them share. */
static void find_login(Holder *h) {
        pid_t pid = (pid_t) h->pid;

        if (sd_pid_get_user_unit(pid, &h->unit) < 0 && sd_pid_get_unit(pid, &h->unit) < 0)
                h->unit = NULL;
        if (sd_pid_get_session(pid, &h->session) < 0)
                h->session = NULL;
        if (sd_pid_get_machine_name(pid, &h->machine) < 0)
                h->machine = NULL;
}

static bool holds_vfio(const Holder *h) {
        for (char *const *node = h->nodes; node && *node; node++)
                if (startswith(*node, "/dev/vfio/") && !streq(*node, "/dev/vfio/vfio"))
                        return true;
        return false;
}

/* Whether the process still has the name of its program, of which the kernel keeps the beginning. */
static bool is_name_of(const char *comm, const char *program) {
        return streq(comm, program) || (strlen(comm) == TASK_COMM_LEN - 1 && startswith(program, comm));
}

int owner_find(Holder *h) {
        _cleanup_free_ char *comm = NULL, *program = NULL;
        char path[32];

        (void) snprintf(path, sizeof(path), "/proc/%u/comm", h->pid);
        if (read_line_at(AT_FDCWD, path, &comm) < 0 && !(comm = strdup("")))
                return -ENOMEM;
        program = program_name(h->pid);
        if (program && !is_name_of(comm, program)) {
                if (asprintf(&h->command, "%s (%s)", comm, program) < 0) {
                        h->command = NULL;
                        return -ENOMEM;
                }
        } else {
                h->command = strdup(program ?: comm);
                if (!h->command)
                        return -ENOMEM;
        }

        h->uid = real_uid(h->pid);
        find_login(h);
        h->is_vm = holds_vfio(h);
        h->protected = h->pid == 1 || owner_is_protected_name(comm) || (program && owner_is_protected_name(program)) ||
                is_session_leader(h);
        return h->is_vm ? find_vm(h, comm, program) : 0;
}
