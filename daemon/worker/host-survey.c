/* SPDX-License-Identifier: GPL-2.0-or-later */

/* host-survey: reads the files of a survey. Only what takes no device lock, so that a card that hangs does not hide what is
 * wrong with the host. Every file may be anybody's: number, size and form are limited, what cannot be read is passed
 * over, what is too large is named. */

#include "worker/host-survey.h"

#include <sys/stat.h>
#include <sys/utsname.h>
#include <systemd/sd-login.h>

#include "dbus/names.h"
#include "util/fs.h"
#include "worker/survey-parse.h"

#define FILE_MAX_SIZE (256U * 1024U)
#define LIST_MAX_SIZE (8U * 1024U * 1024U) /* modules.dep of a distribution has 600 KiB */
#define DIRECTORY_FILES_MAX 512U
#define PERSISTENCED_PID "/run/nvidia-persistenced/nvidia-persistenced.pid"
#define PERSISTENCED_COMM "nvidia-persiste" /* cut at 15 bytes: include/linux/sched.h TASK_COMM_LEN */

typedef int (*parser_t)(Survey *s, const char *file, char *text);

/* The modules that the check asks for. */
static const char *const modules[] = {
        "bbswitch", "iommufd", "nvhda", "vendor_reset", "vfio", "vfio_iommu_type1", "vfio_pci", "vfio_virqfd",
};

static const struct {
        const char *module, *name;
} parameters[] = {
        { "vfio", "enable_unsafe_noiommu_mode" },
        { "vfio_iommu_type1", "allow_unsafe_interrupts" },
        { "vfio_pci", "disable_idle_d3" },
};

/* Directories in the order in which they hide each other's files: kmod, libkmod.c default_config_paths; systemd,
 * modules-load.d(5); for Xorg there is no hiding, and its two lists are read both. */
static const char *const modprobe_directories[] = {
        "/etc/modprobe.d", "/run/modprobe.d", "/usr/local/lib/modprobe.d", "/usr/lib/modprobe.d", "/lib/modprobe.d",
};
static const char *const load_directories[] = {
        "/etc/modules-load.d", "/run/modules-load.d", "/usr/local/lib/modules-load.d", "/usr/lib/modules-load.d",
};
static const char *const xorg_directories[] = { "/etc/X11/xorg.conf.d", "/usr/share/X11/xorg.conf.d" };
static const char *const dracut_directories[] = { "/etc/dracut.conf.d", "/usr/lib/dracut/dracut.conf.d" };

static int read_text(Survey *s, int dir_fd, const char *name, const char *path, parser_t parse) {
        _cleanup_free_ char *text = NULL;
        int r;

        r = read_file_at(dir_fd, name, FILE_MAX_SIZE, &text, NULL);
        if (r >= 0)
                r = parse(s, path, text);
        if (r == -EFBIG || r == -E2BIG)
                return survey_add_incomplete(s, path);
        return r == -ENOMEM ? r : 0;
}

static int read_directory(Survey *s, const char *directory, char ***seen, parser_t parse) {
        _cleanup_closedir_ DIR *dir = opendir(directory);
        unsigned n = 0;
        int r = 0;

        for (struct dirent *e; dir && r >= 0 && (e = readdir(dir));) {
                size_t length = strlen(e->d_name);
                char path[512];

                if (e->d_name[0] == '.' || length <= STRLEN(".conf")
                    || !streq(e->d_name + length - STRLEN(".conf"), ".conf"))
                        continue;
                if (++n > DIRECTORY_FILES_MAX)
                        return survey_add_incomplete(s, directory);
                if (strv_contains(*seen, e->d_name))
                        continue;
                r = strv_extend(seen, e->d_name);
                (void) snprintf(path, sizeof(path), "%s/%s", directory, e->d_name);
                if (r >= 0)
                        r = read_text(s, dirfd(dir), e->d_name, path, parse);
        }
        return r;
}

static int read_directories(Survey *s, const char *const *directories, size_t n, parser_t parse) {
        _cleanup_strv_free_ char **seen = NULL;
        int r = 0;

        for (size_t i = 0; i < n && r >= 0; i++)
                r = read_directory(s, directories[i], &seen, parse);
        return r;
}

static int survey_settings(Survey *s) {
        static const struct {
                const char *file;
                parser_t parse;
        } files[] = {
                { "/etc/modules", survey_parse_load },
                { "/etc/initramfs-tools/modules", survey_parse_load },
                { "/etc/mkinitcpio.conf", survey_parse_initramfs },
                { "/etc/dracut.conf", survey_parse_initramfs },
                { "/etc/X11/xorg.conf", survey_parse_xorg },
        };
        int r;

        r = read_directories(s, modprobe_directories, ELEMENTSOF(modprobe_directories), survey_parse_modprobe);
        for (size_t i = 0; i < ELEMENTSOF(files) && r >= 0; i++)
                r = read_text(s, AT_FDCWD, files[i].file, files[i].file, files[i].parse);
        if (r >= 0)
                r = read_directories(s, load_directories, ELEMENTSOF(load_directories), survey_parse_load);
        if (r >= 0)
                r = read_directories(s, dracut_directories, ELEMENTSOF(dracut_directories), survey_parse_initramfs);
        if (r >= 0)
                r = read_directories(s, xorg_directories, ELEMENTSOF(xorg_directories), survey_parse_xorg);
        return r;
}

/* "vendor_id : GenuineIntel" in the first lines; the whole file may be long. */
static int survey_cpu(Survey *s) {
        _cleanup_fclose_ FILE *f = fopen("/proc/cpuinfo", "re");
        char line[256];

        for (unsigned i = 0; f && i < 8 && fgets(line, sizeof(line), f); i++) {
                const char *p = startswith(line, "vendor_id");

                if (!p)
                        continue;
                p += strspn(p, " \t:");
                line[strcspn(line, "\n")] = '\0';
                return survey_set_text(&s->cpu, p);
        }
        return 0;
}

static int survey_line(const char *path, char **field) {
        _cleanup_free_ char *line = NULL;
        int r;

        r = read_line_at(AT_FDCWD, path, &line);
        if (r < 0)
                return r == -ENOMEM ? r : 0;
        return survey_set_text(field, line);
}

static int survey_kernel(Survey *s, const struct utsname *kernel) {
        int r;

        r = survey_set_text(&s->release, kernel->release);
        if (r >= 0)
                r = survey_line("/proc/cmdline", &s->cmdline);
        if (r >= 0)
                r = survey_line("/sys/power/state", &s->sleep);
        if (r >= 0)
                r = survey_line("/sys/power/mem_sleep", &s->mem_sleep);
        if (r >= 0)
                r = survey_cpu(s);
        return r;
}

/* NULL and no error where there is no such file. */
static int read_list(const struct utsname *kernel, const char *name, Survey *s, char **ret) {
        char path[512];
        int r;

        (void) snprintf(path, sizeof(path), "/lib/modules/%s/%s", kernel->release, name);
        r = read_file_at(AT_FDCWD, path, LIST_MAX_SIZE, ret, NULL);
        if (r == -EFBIG)
                return survey_add_incomplete(s, path);
        return r == -ENOMEM ? r : 0;
}

/* A directory in /sys/module is there for what is loaded, and for what is built in and has parameters or a version; only
 * the first has initstate: kernel/module/sysfs.c, kernel/params.c param_sysfs_builtin(). */
static ModuleState module_state(const char *name, const char *installed, const char *builtin) {
        char path[128];

        (void) snprintf(path, sizeof(path), "/sys/module/%s/initstate", name);
        if (access(path, F_OK) >= 0)
                return MODULE_LOADED;
        *strrchr(path, '/') = '\0';
        if (access(path, F_OK) >= 0 || survey_list_has_module(builtin, name))
                return MODULE_BUILTIN;
        return survey_list_has_module(installed, name) ? MODULE_INSTALLED : MODULE_MISSING;
}

static int survey_modules(Survey *s, const struct utsname *kernel) {
        _cleanup_free_ char *installed = NULL, *builtin = NULL;
        int r;

        r = read_list(kernel, "modules.dep", s, &installed);
        if (r >= 0)
                r = read_list(kernel, "modules.builtin", s, &builtin);
        for (size_t i = 0; i < ELEMENTSOF(modules) && r >= 0; i++)
                r = survey_add_module(s, modules[i], module_state(modules[i], strempty(installed),
                                                                  strempty(builtin)));
        for (size_t i = 0; i < ELEMENTSOF(parameters) && r >= 0; i++) {
                _cleanup_free_ char *value = NULL;
                char path[128];

                (void) snprintf(path, sizeof(path), "/sys/module/%s/parameters/%s", parameters[i].module,
                                parameters[i].name);
                if (read_line_at(AT_FDCWD, path, &value) >= 0)
                        r = survey_add_parameter(s, parameters[i].module, parameters[i].name, value);
        }
        return r;
}

/* A file per function, "pci-0000:01:00.0", with the driver's name: driverctl(8). */
static int survey_driverctl(Survey *s) {
        _cleanup_closedir_ DIR *dir = opendir("/etc/driverctl.d");
        int r = 0;

        for (struct dirent *e; dir && r >= 0 && (e = readdir(dir));) {
                const char *address = startswith(e->d_name, "pci-");
                _cleanup_free_ char *driver = NULL;

                if (address && pci_address_valid(address) && read_line_at(dirfd(dir), e->d_name, &driver) >= 0)
                        r = survey_add_driverctl(s, address, driver);
        }
        return r == -E2BIG ? survey_add_incomplete(s, "/etc/driverctl.d") : r;
}

/* The file may be older than a daemon that was killed. */
static int survey_persistenced(Survey *s) {
        _cleanup_free_ char *line = NULL, *comm = NULL, *unit = NULL;
        char path[32];
        uint64_t pid;

        if (read_line_at(AT_FDCWD, PERSISTENCED_PID, &line) < 0 || parse_u64(line, INT32_MAX, &pid) < 0 || pid == 0)
                return 0;
        (void) snprintf(path, sizeof(path), "/proc/%u/comm", (unsigned) pid);
        if (read_line_at(AT_FDCWD, path, &comm) < 0 || !streq(comm, PERSISTENCED_COMM))
                return 0;
        (void) sd_pid_get_unit((pid_t) pid, &unit);
        s->persistenced = (uint32_t) pid;
        return survey_set_text(&s->persistenced_unit, strempty(unit));
}

/* A link to /dev/null, or an empty file, in the directory that counts. The links of a target count in whatever directory they are; one to
 * /dev/null takes away the one of its name. */
static bool is_masked(const char *path) {
        struct stat st;

        return stat(path, &st) >= 0 && (S_ISREG(st.st_mode) ? st.st_size == 0 : S_ISCHR(st.st_mode));
}

static int survey_gate(Survey *s) {
        bool unit = false, link = false;
        char path[512];
        int r = 0;

        for (size_t i = 0; i < UNIT_DIRECTORIES && r >= 0; i++) {
                (void) snprintf(path, sizeof(path), "%s/" GPUPT_UNIT_SLEEP, unit_directories[i]);
                if (!unit && access(path, F_OK) >= 0) {
                        unit = true;
                        if (is_masked(path))
                                r = survey_set_text(&s->gate_masked, path);
                }
                (void) snprintf(path, sizeof(path), "%s/sleep.target.requires/" GPUPT_UNIT_SLEEP, unit_directories[i]);
                if (r >= 0 && !link && faccessat(AT_FDCWD, path, F_OK, AT_SYMLINK_NOFOLLOW) >= 0) {
                        link = true;
                        if (!is_masked(path))
                                r = survey_set_text(&s->gate, path);
                }
        }
        return r;
}

/* Not the content of resourceN_resize, which is read from the card (drivers/pci/pci-sysfs.c __resource_resize_show()). */
static int survey_bars(Survey *s, const char *address, int fd) {
        _cleanup_free_ char *text = NULL;
        int r;

        r = read_file_at(fd, "resource", FILE_MAX_SIZE, &text, NULL);
        if (r < 0)
                return r == -ENOMEM ? r : 0;
        for (unsigned i = 0; i < 6 && r >= 0; i++) {
                char name[32];

                (void) snprintf(name, sizeof(name), "resource%u_resize", i);
                if (faccessat(fd, name, F_OK, 0) >= 0)
                        r = survey_add_bar(s, address, i, survey_bar_size(text, i));
        }
        return r;
}

static int survey_function(Survey *s, const char *address) {
        _cleanup_free_ char *regions = NULL;
        _cleanup_close_ int fd = -EBADF;
        char path[64 + PCI_ADDRESS_MAX];
        int r;

        (void) snprintf(path, sizeof(path), "/sys/bus/pci/devices/%s", address);
        fd = open(path, O_PATH | O_DIRECTORY | O_CLOEXEC);
        if (fd < 0)
                return 0;
        r = survey_bars(s, address, fd);
        if (r >= 0 && read_file_at(fd, "iommu_group/reserved_regions", FILE_MAX_SIZE, &regions, NULL) >= 0 &&
            survey_has_direct_region(regions))
                r = strv_extend(&s->direct, address);
        return r;
}

int verb_survey(Work *w) {
        _cleanup_(survey_freep) Survey *s = survey_new();
        struct utsname kernel;
        int r;

        if (!streq(w->target, "-") || w->n > SURVEY_ENTRIES_MAX)
                return work_fail(w, -EINVAL, "'%s' is no target of a survey, or it has too many functions",
                                 w->target);
        for (size_t i = 0; i < w->n; i++)
                if (!pci_address_valid(w->arguments[i]))
                        return work_fail(w, -EINVAL, "'%s' is not the address of a PCI function", w->arguments[i]);
        if (!s)
                return -ENOMEM;
        if (uname(&kernel) < 0)
                return work_fail(w, -errno, "asking for the kernel's release");

        r = survey_kernel(s, &kernel);
        if (r >= 0)
                r = survey_modules(s, &kernel);
        if (r >= 0)
                r = survey_settings(s);
        if (r >= 0)
                r = survey_driverctl(s);
        if (r >= 0)
                r = survey_persistenced(s);
        if (r >= 0)
                r = survey_gate(s);
        for (size_t i = 0; i < w->n && r >= 0; i++)
                r = survey_function(s, w->arguments[i]);
        if (r == -E2BIG)
                r = survey_add_incomplete(s, "/sys/bus/pci/devices");
        if (r < 0)
                return work_fail(w, r, "looking at the host");
        survey_write(s, w->answer);
        return 0;
}
