/* SPDX-License-Identifier: GPL-2.0-or-later */

/* inspect: reads what sysfs shows below one function. Only attributes that take no lock: never `uevent`,
 * `driver_override` (both wait for the device lock on 6.1), `config` or anything that wakes the card. The one exception
 * is a text console's `bind`, see there. */

#include "worker/inspect.h"

#include <sys/sysmacros.h>

#include "dbus/names.h"
#include "util/fs.h"
#include "worker/vga.h"
#include "worker/work.h"

#define NVIDIA_MAJOR 195U
#define NVIDIA_CONTROL_MINOR 255U
#define NVIDIA_MODESET_MINOR 254U

/* "226:0" of a `dev` attribute. */
static int read_dev(int fd, const char *path, uint32_t *ret_major, uint32_t *ret_minor) {
        _cleanup_free_ char *line = NULL;
        uint64_t major_, minor_;
        char *colon;
        int r;

        r = read_line_at(fd, path, &line);
        if (r < 0)
                return r;
        colon = strchr(line, ':');
        if (!colon)
                return -EBADMSG;
        *colon = '\0';
        if (parse_u64(line, UINT32_MAX, &major_) < 0 || parse_u64(colon + 1, UINT32_MAX, &minor_) < 0)
                return -EBADMSG;
        *ret_major = (uint32_t) major_;
        *ret_minor = (uint32_t) minor_;
        return 0;
}

/* Adds the node of a device directory that has a `dev`; others are passed over. */
static int add_node(Function *f, int fd, const char *dev_path, const char *node_dir, const char *name) {
        uint32_t node_major, node_minor;
        char path[64 + 256];

        if (read_dev(fd, dev_path, &node_major, &node_minor) < 0)
                return 0;
        (void) snprintf(path, sizeof(path), "%s/%s", node_dir, name);
        return function_add_node(f, path, node_major, node_minor, false);
}

/* i2c-dev's node: i2c-N/i2c-dev/i2c-N/dev. Monitor tools keep it open, and that keeps the driver. */
static int add_i2c(Function *f, int fd, const char *name) {
        char path[3 * 64];

        if (!numbered_name_valid(name, "i2c-"))
                return 0;
        (void) snprintf(path, sizeof(path), "%.63s/i2c-dev/%.63s/dev", name, name);
        return add_node(f, fd, path, "/dev", name);
}

/* A connector's directory also has the card's DP auxiliary channels: as I2C adapter and as drm_dp_aux. */
static int inspect_connector(Function *f, int card_fd, const char *directory, const char *name) {
        _cleanup_free_ char *status = NULL;
        _cleanup_closedir_ DIR *dir = NULL;
        char path[256 + STRLEN("/dev")];
        int r;

        dir = open_directory_at(card_fd, directory);
        if (!dir || read_line_at(dirfd(dir), "status", &status) < 0)
                return 0;
        r = function_add_connector(f, name, status);
        for (struct dirent *e; r >= 0 && (e = readdir(dir));) {
                r = add_i2c(f, dirfd(dir), e->d_name);
                if (r < 0 || !numbered_name_valid(e->d_name, "drm_dp_aux"))
                        continue;
                (void) snprintf(path, sizeof(path), "%s/dev", e->d_name);
                r = add_node(f, dirfd(dir), path, "/dev", e->d_name);
        }
        return r;
}

static int inspect_card(Function *f, int drm_fd, const char *card) {
        _cleanup_closedir_ DIR *dir = NULL;
        int r = 0;

        dir = open_directory_at(drm_fd, card);
        for (struct dirent *e; dir && r >= 0 && (e = readdir(dir));) {
                const char *name = startswith(e->d_name, card);

                if (name && name[0] == '-' && name[1])
                        r = inspect_connector(f, dirfd(dir), e->d_name, name + 1);
        }
        return r;
}

/* Returns 1 if a DRM driver has the function. */
static int inspect_drm(Function *f, int fd) {
        _cleanup_closedir_ DIR *dir = NULL;
        char path[256 + STRLEN("/dev")];
        int r = 0, found = 0;

        dir = open_directory_at(fd, "drm");
        for (struct dirent *e; dir && r >= 0 && (e = readdir(dir));) {
                bool card = numbered_name_valid(e->d_name, "card");

                if (!card && !numbered_name_valid(e->d_name, "renderD"))
                        continue;
                found = 1;
                (void) snprintf(path, sizeof(path), "%s/dev", e->d_name);
                r = add_node(f, dirfd(dir), path, "/dev/dri", e->d_name);
                if (r >= 0 && card)
                        r = inspect_card(f, dirfd(dir), e->d_name);
        }
        return r < 0 ? r : found;
}

static int inspect_sound_card(Function *f, int sound_fd, const char *card) {
        _cleanup_closedir_ DIR *dir = NULL;
        char path[256 + STRLEN("/dev")];
        int r = 0;

        dir = open_directory_at(sound_fd, card);
        for (struct dirent *e; dir && r >= 0 && (e = readdir(dir));) {
                /* input*, power and the like have none */
                if (e->d_name[0] == '.')
                        continue;
                (void) snprintf(path, sizeof(path), "%s/dev", e->d_name);
                r = add_node(f, dirfd(dir), path, "/dev/snd", e->d_name);
        }
        return r;
}

static int inspect_sound(Function *f, int fd) {
        _cleanup_closedir_ DIR *dir = NULL;
        int r = 0;

        dir = open_directory_at(fd, "sound");
        for (struct dirent *e; dir && r >= 0 && (e = readdir(dir));) {
                if (!numbered_name_valid(e->d_name, "card"))
                        continue;
                r = strv_extend(&f->sound_cards, e->d_name);
                if (r >= 0)
                        r = inspect_sound_card(f, dirfd(dir), e->d_name);
        }
        return r;
}

/* The group's node goes when an unbind begins, but whoever has it open keeps it, and the function has no driver link by
 * then (drivers/vfio/vfio_main.c vfio_unregister_group_dev()). So a function without a driver keeps the node of its
 * group here, by name alone if need be: that is how a hung unbind is told from an idle function. */
static int inspect_vfio(Function *f, int fd) {
        char path[256 + STRLEN("/sys/class/vfio//dev")], group[12];
        uint32_t node_major = 0, node_minor = 0;
        _cleanup_closedir_ DIR *dir = NULL;
        int r = 0;

        if (f->driver && !driver_is_vfio(f->driver))
                return 0;
        if (f->group >= 0) {
                (void) snprintf(group, sizeof(group), "%i", f->group);
                (void) snprintf(path, sizeof(path), "/sys/class/vfio/%s/dev", group);
                (void) read_dev(AT_FDCWD, path, &node_major, &node_minor);
                (void) snprintf(path, sizeof(path), "/dev/vfio/%s", group);
                r = function_add_node(f, path, node_major, node_minor, false);
        }
        dir = open_directory_at(fd, "vfio-dev");
        for (struct dirent *e; dir && r >= 0 && (e = readdir(dir));) {
                if (!numbered_name_valid(e->d_name, "vfio"))
                        continue;
                (void) snprintf(path, sizeof(path), "%s/dev", e->d_name);
                r = add_node(f, dirfd(dir), path, "/dev/vfio/devices", e->d_name);
        }
        return r;
}

/* The number of the card's own node, or -ENOENT. */
static int nvidia_minor(const Function *f, uint32_t *ret) {
        char path[STRLEN("/proc/driver/nvidia/gpus//information") + PCI_ADDRESS_MAX], *save = NULL;
        _cleanup_free_ char *text = NULL;
        uint64_t number;
        int r;

        (void) snprintf(path, sizeof(path), "/proc/driver/nvidia/gpus/%s/information", f->address);
        r = read_file_at(AT_FDCWD, path, 16384, &text, NULL);
        if (r < 0)
                return r;
        for (char *line = strtok_r(text, "\n", &save); line; line = strtok_r(NULL, "\n", &save)) {
                const char *value = startswith(line, "Device Minor:");

                if (value && parse_u64(value + strspn(value, " \t"), UINT32_MAX, &number) >= 0) {
                        *ret = (uint32_t) number;
                        return 0;
                }
        }
        return -ENOENT;
}

/* The major number that a driver was given, or 0. */
static uint32_t dynamic_major(const char *driver) {
        _cleanup_free_ char *text = NULL;
        char *save = NULL;
        uint64_t number;

        if (read_file_at(AT_FDCWD, "/proc/devices", 65536, &text, NULL) < 0)
                return 0;
        for (char *line = strtok_r(text, "\n", &save); line; line = strtok_r(NULL, "\n", &save)) {
                char *name;

                line += strspn(line, " ");
                name = strchr(line, ' ');
                if (!name || !streq(name + 1, driver))
                        continue;
                *name = '\0';
                return parse_u64(line, UINT32_MAX, &number) >= 0 ? (uint32_t) number : 0;
        }
        return 0;
}

/* The nodes of NVIDIA's driver are not in sysfs. An open one makes its unbind wait without end. */
static int inspect_nvidia(Function *f) {
        uint32_t number, uvm;
        char path[32];
        int r = 0;

        if (nvidia_minor(f, &number) >= 0) {
                (void) snprintf(path, sizeof(path), "/dev/nvidia%u", number);
                r = function_add_node(f, path, NVIDIA_MAJOR, number, false);
        }
        uvm = dynamic_major("nvidia-uvm");
        if (r >= 0)
                r = function_add_node(f, "/dev/nvidiactl", NVIDIA_MAJOR, NVIDIA_CONTROL_MINOR, true);
        if (r >= 0)
                r = function_add_node(f, "/dev/nvidia-modeset", NVIDIA_MAJOR, NVIDIA_MODESET_MINOR, true);
        if (r >= 0)
                r = function_add_node(f, "/dev/nvidia-uvm", uvm, 0, true);
        if (r >= 0)
                r = function_add_node(f, "/dev/nvidia-uvm-tools", uvm, uvm ? 1 : 0, true);
        return r;
}

static int inspect_driver_nodes(Function *f) {
        uint32_t node_major, node_minor;

        if (streq_ptr(f->driver, "nvidia"))
                return inspect_nvidia(f);
        if (streq_ptr(f->driver, "amdgpu") &&
            read_dev(AT_FDCWD, "/sys/class/kfd/kfd/dev", &node_major, &node_minor) >= 0)
                return function_add_node(f, "/dev/kfd", node_major, node_minor, true);
        return 0;
}

/* Consoles on an fbdev driver of this function; a DRM driver takes its own away when it is unbound. `bind` takes the
 * console lock (drivers/tty/vt/vt.c show_bind()), so it is read only where there is such a driver. */
static int inspect_consoles(Function *f, int fd) {
        _cleanup_closedir_ DIR *graphics = NULL, *consoles = NULL;
        bool found = false;

        graphics = open_directory_at(fd, "graphics");
        for (struct dirent *e; graphics && (e = readdir(graphics));)
                found = found || numbered_name_valid(e->d_name, "fb");
        if (!found)
                return 0;

        consoles = open_directory_at(AT_FDCWD, "/sys/class/vtconsole");
        for (struct dirent *e; consoles && (e = readdir(consoles));) {
                _cleanup_free_ char *name = NULL, *bind = NULL;
                char path[256 + STRLEN("/name")];

                if (!numbered_name_valid(e->d_name, "vtcon"))
                        continue;
                (void) snprintf(path, sizeof(path), "%s/name", e->d_name);
                if (read_line_at(dirfd(consoles), path, &name) < 0 || !strstr(name, "frame buffer"))
                        continue;
                (void) snprintf(path, sizeof(path), "%s/bind", e->d_name);
                if (read_line_at(dirfd(consoles), path, &bind) >= 0 && streq(bind, "1") &&
                    strv_extend(&f->consoles, e->d_name) < 0)
                        return -ENOMEM;
        }
        return 0;
}

/* Out of memory is the only error; a missing attribute leaves NULL. */
static int read_optional(int fd, const char *attribute, char **ret) {
        return read_line_at(fd, attribute, ret) == -ENOMEM ? -ENOMEM : 0;
}

static int inspect_attributes(Function *f, int fd) {
        const struct {
                const char *name;
                char **value;
        } attributes[] = {
                { "modalias", &f->modalias },
                { "power_state", &f->power_state },
                { "power/runtime_status", &f->runtime_status },
                { "power/control", &f->power_control },
                { "d3cold_allowed", &f->d3cold_allowed },
        };
        _cleanup_free_ char *boot_vga = NULL, *methods = NULL;
        char *save = NULL;
        int r;

        for (size_t i = 0; i < ELEMENTSOF(attributes); i++) {
                r = read_optional(fd, attributes[i].name, attributes[i].value);
                if (r < 0)
                        return r;
        }
        r = read_optional(fd, "reset_method", &methods);
        /* Nothing else has boot_vga (drivers/pci/pci-sysfs.c pci_dev_attrs_are_visible()) or decodes. */
        if (r >= 0 && f->class >> 8 == 0x0300) {
                r = read_optional(fd, "boot_vga", &boot_vga);
                if (r >= 0)
                        r = read_vga_decodes(f->address, &f->vga_decodes);
        }
        f->boot_vga = streq_ptr(boot_vga, "1");
        for (char *m = methods ? strtok_r(methods, " ", &save) : NULL; m && r >= 0; m = strtok_r(NULL, " ", &save))
                r = strv_extend(&f->reset_methods, m);
        return r;
}

/* Slots name a bus and a device (drivers/pci/slot.c address_read_file()): "0000:01:00". */
static int inspect_slot(Function *f) {
        _cleanup_closedir_ DIR *dir = open_directory_at(AT_FDCWD, "/sys/bus/pci/slots");
        char wanted[PCI_ADDRESS_MAX];

        (void) snprintf(wanted, sizeof(wanted), "%04x:%02x:%02x", f->pci.domain, f->pci.bus, f->pci.slot);
        for (struct dirent *e; dir && (e = readdir(dir));) {
                _cleanup_free_ char *address = NULL;
                char path[NAME_MAX + STRLEN("/address") + 1];

                (void) snprintf(path, sizeof(path), "%s/address", e->d_name);
                if (e->d_name[0] != '.' && read_line_at(dirfd(dir), path, &address) >= 0 && streq(address, wanted))
                        return free_and_strdup(&f->slot, e->d_name);
        }
        return 0;
}

/* What can take the power from the one muxless card of a laptop. Whether it is on is not read: that wakes it. */
static int inspect_switches(Function *f) {
        static const char *const names[] = { "bbswitch", "nvhda" };
        char path[STRLEN("/proc/acpi/") + 16];
        int r = 0;

        for (size_t i = 0; i < ELEMENTSOF(names) && f->vendor == 0x10de && r >= 0; i++) {
                (void) snprintf(path, sizeof(path), "/proc/acpi/%s", names[i]);
                if (access(path, F_OK) >= 0)
                        r = strv_extend(&f->switches, names[i]);
        }
        return r;
}

/* Every bridge's address and its own: stays the same when buses are numbered anew. */
static int make_path(Function *f) {
        char path[33 * (PCI_ADDRESS_MAX + 1) + 4] = "pci", *p = path + STRLEN("pci");

        for (size_t n = MIN(strv_length(f->bridges), (size_t) 32); n > 0; n--)
                p += snprintf(p, (size_t) (path + sizeof(path) - p), "-%s", f->bridges[n - 1]);
        (void) snprintf(p, (size_t) (path + sizeof(path) - p), "-%s", f->address);
        return free_and_strdup(&f->path, path);
}

/* One listing says which children there are: a function has few, and looking for each in vain costs more. */
static int inspect_children(Function *f, int fd) {
        _cleanup_closedir_ DIR *dir = NULL;
        bool graphics = false;
        int r = 0, drm = 0;

        dir = open_directory_at(fd, ".");
        for (struct dirent *e; dir && r >= 0 && (e = readdir(dir));) {
                if (streq(e->d_name, "drm"))
                        drm = r = inspect_drm(f, fd);
                else if (streq(e->d_name, "sound"))
                        r = inspect_sound(f, fd);
                else if (streq(e->d_name, "graphics"))
                        graphics = true;
                else if (streq(e->d_name, "virtfn0"))
                        f->has_vfs = true;
                else if (streq(e->d_name, "reset_subordinate"))
                        f->resets_below = function_is_bridge(f);
                else
                        r = add_i2c(f, dirfd(dir), e->d_name);
        }
        if (r >= 0)
                r = inspect_vfio(f, fd);
        if (r >= 0)
                r = inspect_driver_nodes(f);
        if (r >= 0 && graphics && drm == 0)
                r = inspect_consoles(f, fd);
        return r;
}

static int compare_nodes(const void *a, const void *b) {
        const Node *x = a, *y = b;

        return x->shared != y->shared ? x->shared - y->shared : strverscmp(x->path, y->path);
}

static int compare_connectors(const void *a, const void *b) {
        return strverscmp(((const Connector *) a)->name, ((const Connector *) b)->name);
}

/* A directory has no order; a snapshot has one, so that two of the same card are the same. */
static void sort_lists(Function *f) {
        if (f->n_nodes > 0)
                qsort(f->nodes, f->n_nodes, sizeof(Node), compare_nodes);
        if (f->n_connectors > 0)
                qsort(f->connectors, f->n_connectors, sizeof(Connector), compare_connectors);
}

int inspect_function(Function *f) {
        char path[STRLEN(SYSFS_PCI_DEVICES "/") + PCI_ADDRESS_MAX];
        _cleanup_close_ int fd = -EBADF;
        int r;

        f->detailed = true;
        r = make_path(f);
        if (r < 0)
                return r;
        (void) snprintf(path, sizeof(path), SYSFS_PCI_DEVICES "/%s", f->address);
        fd = open(path, O_PATH | O_DIRECTORY | O_CLOEXEC);
        if (fd < 0)
                return 0;
        r = inspect_attributes(f, fd);
        if (r >= 0)
                r = inspect_children(f, fd);
        if (r >= 0 && function_is_display(f))
                r = inspect_slot(f);
        if (r >= 0 && function_is_display(f))
                r = inspect_switches(f);
        sort_lists(f);
        return r;
}
