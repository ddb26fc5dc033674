/* SPDX-License-Identifier: GPL-2.0-or-later */

/* conformance ADDRESS DRIVER [AUDIO-ADDRESS]: what the project believes of the kernel's PCI sysfs, asserted one by one. The
 * same program runs on the simulated machine and, as root, on a real kernel with real devices; where they differ the
 * simulator is wrong. It stands alone: no library, TAP on stdout. ADDRESS is a display function behind a bridge, bound to
 * DRIVER, in an IOMMU group, that nobody uses; vfio-pci must be loaded. Everything is put back at the end. */

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <linux/netlink.h>
#include <poll.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/utsname.h>
#include <sys/wait.h>
#include <unistd.h>

#define DEVICES "/sys/bus/pci/devices"
#define DRIVERS "/sys/bus/pci/drivers"
#define VFIO "vfio-pci"
#define EVENT_DEADLINE_MS 20000
#define STILL_BLOCKED_MS 300

static const char *gpu, *driver, *audio;
static unsigned n_checks, n_failed;

/* TAP */

static void check(bool ok, const char *format, ...) __attribute__((format(printf, 2, 3)));
static void check(bool ok, const char *format, ...) {
        va_list ap;

        printf("%sok %u - ", ok ? "" : "not ", ++n_checks);
        va_start(ap, format);
        vprintf(format, ap);
        va_end(ap);
        printf("\n");
        if (!ok)
                n_failed++;
}

static void note(const char *format, ...) __attribute__((format(printf, 1, 2)));
static void note(const char *format, ...) {
        va_list ap;

        printf("# ");
        va_start(ap, format);
        vprintf(format, ap);
        va_end(ap);
        printf("\n");
}

/* Files. Paths are put together in a few static buffers, used in turn. */

static const char *path_of(const char *format, ...) __attribute__((format(printf, 1, 2)));
static const char *path_of(const char *format, ...) {
        static char buffers[8][512];
        static unsigned next;
        char *b = buffers[next++ % 8];
        va_list ap;

        va_start(ap, format);
        (void) vsnprintf(b, sizeof(buffers[0]), format, ap);
        va_end(ap);
        return b;
}

static const char *attribute(const char *name) {
        return path_of(DEVICES "/%s/%s", gpu, name);
}

static const char *of_driver(const char *name, const char *file) {
        return path_of(DRIVERS "/%s/%s", name, file);
}

static int write_bytes(const char *path, const char *data, size_t n) {
        int fd = open(path, O_WRONLY | O_CLOEXEC), r = 0;

        if (fd < 0)
                return -errno;
        if (write(fd, data, n) < 0)
                r = -errno;
        (void) close(fd);
        return r;
}

static int write_text(const char *path, const char *text) {
        return write_bytes(path, text, strlen(text));
}

/* The content, also of a binary file; -errno if it cannot be read. */
static ssize_t read_bytes(const char *path, char *data, size_t size) {
        int fd = open(path, O_RDONLY | O_CLOEXEC);
        ssize_t n;

        if (fd < 0)
                return -errno;
        n = read(fd, data, size - 1);
        if (n < 0)
                n = -errno;
        else
                data[n] = 0;
        (void) close(fd);
        return n;
}

static const char *read_text(const char *path) {
        static char text[4097];

        return read_bytes(path, text, sizeof(text)) < 0 ? "(unreadable)" : text;
}

static bool exists(const char *path) {
        struct stat st;

        return lstat(path, &st) == 0;
}

static const char *link_name(const char *path) {
        static char target[512];
        ssize_t n = readlink(path, target, sizeof(target) - 1);

        if (n < 0)
                return "";
        target[n] = 0;
        return strrchr(target, '/') ? strrchr(target, '/') + 1 : target;
}

static bool bound_to(const char *name) {
        return strcmp(link_name(attribute("driver")), name) == 0;
}

static void check_write(const char *path, const char *text, int expected, const char *what) {
        int r = write_text(path, text);

        check(r == -expected, "%s: %s", what, expected ? strerrorname_np(expected) : "succeeds");
        if (r != -expected)
                note("it was %s", r < 0 ? strerrorname_np(-r) : "no error");
}

static void check_read(const char *path, const char *expected, const char *what) {
        const char *text = read_text(path);

        check(strcmp(text, expected) == 0, "%s", what);
        if (strcmp(text, expected) != 0)
                note("it was '%.*s'", (int) strcspn(text, "\n"), text);
}

static unsigned hex_of(const char *name) {
        return (unsigned) strtoul(read_text(attribute(name)), NULL, 16);
}

/* The first two bytes of the config space; 0 if it cannot be read. */
static unsigned config_vendor(void) {
        char config[4] = {};

        (void) read_bytes(attribute("config"), config, sizeof(config));
        return (unsigned) (uint8_t) config[0] | (unsigned) (uint8_t) config[1] << 8;
}

static unsigned kernel_version(void) {
        struct utsname u;
        unsigned major = 0, minor = 0;

        (void) uname(&u);
        (void) sscanf(getenv("CONFORMANCE_KERNEL") ?: u.release, "%u.%u", &major, &minor);
        return major * 100 + minor;
}

/* Reading */

static void test_identity(void) {
        char expected[128], config[64];
        unsigned class = hex_of("class");
        const char *text;

        text = read_text(attribute("vendor"));
        check(strlen(text) == 7 && strncmp(text, "0x", 2) == 0, "vendor is 0x and four digits");
        text = read_text(attribute("class"));
        check(strlen(text) == 9 && strncmp(text, "0x", 2) == 0, "class is 0x and six digits");
        (void) snprintf(expected, sizeof(expected), "pci:v%08Xd%08Xsv%08Xsd%08Xbc%02Xsc%02Xi%02X\n", hex_of("vendor"),
                        hex_of("device"), hex_of("subsystem_vendor"), hex_of("subsystem_device"), class >> 16,
                        class >> 8 & 0xff, class & 0xff);
        check_read(attribute("modalias"), expected, "modalias is made of ids and class");
        check(read_bytes(attribute("config"), config, sizeof(config)) == sizeof(config) - 1 &&
                      ((uint8_t) config[0] | (uint8_t) config[1] << 8) == (int) hex_of("vendor"),
              "config begins with the vendor id");
        check(exists(attribute("boot_vga")) == (class >> 8 == 0x0300), "boot_vga is there for VGA class only");
        text = read_text(attribute("resource"));
        check(strlen(text) % 57 == 0 && strlen(text) / 57 >= 7, "resource has lines of three 64 bit numbers");
}

static void test_links(void) {
        char target[512] = {}, group[512] = {};

        (void) !readlink(path_of(DEVICES "/%s", gpu), target, sizeof(target) - 1);
        check(strncmp(target, "../../../devices/pci", strlen("../../../devices/pci")) == 0,
              "bus/pci/devices has relative links into devices/");
        check(strcmp(link_name(attribute("subsystem")), "pci") == 0, "subsystem is pci");
        (void) !readlink(attribute("iommu_group"), group, sizeof(group) - 1);
        check(strstr(group, "kernel/iommu_groups/") != NULL, "iommu_group leads to kernel/iommu_groups");
        check(exists(path_of(DEVICES "/%s/iommu_group/devices/%s", gpu, gpu)), "the group lists the function");
        check(bound_to(driver), "driver leads to %s", driver);
        check(exists(of_driver(driver, gpu)), "the driver's directory has a link back");
}

static void test_permissions(void) {
        int fd;

        fd = open(attribute("remove"), O_RDONLY | O_CLOEXEC);
        check(fd < 0 && errno == EACCES, "an attribute that cannot be read is not opened for reading, not by root: EACCES");
        fd = open(attribute("vendor"), O_WRONLY | O_CLOEXEC);
        check(fd < 0 && errno == EACCES, "an attribute that cannot be written is not opened for writing: EACCES");
        fd = open(attribute("driver_override"), O_WRONLY | O_TRUNC | O_CLOEXEC);
        check(fd >= 0, "O_TRUNC is accepted");
        (void) close(fd);
        check_read(attribute("driver_override"), "(null)\n", "and truncates nothing");
}

/* Writing */

static void test_override(void) {
        static char huge[5000];

        check_read(attribute("driver_override"), "(null)\n", "an unset driver_override reads (null)");
        check_write(attribute("driver_override"), "conformance\n", 0, "an override may name what does not exist");
        check_read(attribute("driver_override"), "conformance\n", "it is read back with one newline");
        check(bound_to(driver), "setting it unbinds nothing");
        check_write(attribute("driver_override"), "\n", 0, "a newline clears it");
        check_read(attribute("driver_override"), "(null)\n", "and it reads (null) again");
        memset(huge, 'x', sizeof(huge));
        check(write_bytes(attribute("driver_override"), huge, 4096) == -EINVAL, "a page of text: EINVAL");
}

static void test_bind_errors(void) {
        check_write(of_driver(VFIO, "bind"), gpu, ENODEV, "bind to a driver that does not match");
        check_write(of_driver(driver, "bind"), gpu, EBUSY, "bind of what is bound");
        check_write(of_driver(driver, "bind"), "0000:ff:1f.7", ENODEV, "bind of an address that is not there");
        check_write(of_driver(driver, "bind"), "nonsense", ENODEV, "bind of what is no address");
        check_write(of_driver(VFIO, "unbind"), gpu, ENODEV, "unbind from a driver that it is not bound to");
        check_write(of_driver(driver, "unbind"), "0000:ff:1f.7", ENODEV, "unbind of an address that is not there");
        check_write("/sys/bus/pci/drivers_probe", "0000:ff:1f.7", ENODEV, "drivers_probe of an address that is not there");
        check_write("/sys/bus/pci/drivers_probe", gpu, 0, "drivers_probe of what is bound");
        check_write(attribute("enable"), "1", EBUSY, "enable of what is bound");
        check_write(of_driver(VFIO, "new_id"), "nonsense", EINVAL, "new_id of what is no id");
        check(bound_to(driver), "none of this has changed the driver");
}

static void test_unbound(void) {
        check_write(of_driver(driver, "unbind"), gpu, 0, "unbind");
        check(!exists(attribute("driver")), "the driver link is gone");
        /* pci_device_remove() makes it unknown; on 6.1 a function without the power management capability (QEMU's
         * secondary-vga) was seen to say D0. Never D3: an unbound function is not powered down. */
        const char *power = read_text(attribute("power_state"));
        check(strcmp(power, "unknown\n") == 0 || strcmp(power, "D0\n") == 0, "power_state is unknown or D0 after an unbind");
        check_write(of_driver(driver, "unbind"), gpu, ENODEV, "unbind of what is not bound");
        check_write(attribute("driver_override"), "conformance", 0, "an override that nobody fulfils");
        check_write("/sys/bus/pci/drivers_probe", gpu, 0, "drivers_probe succeeds although nothing matches");
        check(!exists(attribute("driver")), "and nothing is bound");
        check_write(of_driver(driver, "bind"), gpu, ENODEV, "with an override the host driver does not match");
}

static void test_vfio(void) {
        const char *group;
        char expected[64];

        check_write(attribute("driver_override"), VFIO, 0, "override with " VFIO);
        check_write(attribute("power/control"), "on", 0, "power/control may be set to on");
        check_write(of_driver(VFIO, "bind"), gpu, 0, "bind to " VFIO);
        check(bound_to(VFIO), "driver leads to " VFIO);
        check_read(attribute("power/control"), "auto\n", VFIO " has set power/control to auto");
        check(exists(attribute("vfio-dev")), "vfio-dev is there");
        group = link_name(attribute("iommu_group"));
        check(exists(path_of("/dev/vfio/%s", group)), "/dev/vfio has a node for the group");
        check(exists(path_of("/sys/class/vfio/%s", group)), "class/vfio has the group");
        (void) snprintf(expected, sizeof(expected), "DRIVER=%s\n", VFIO);
        check(strstr(read_text(attribute("uevent")), expected) != NULL, "uevent tells the driver");
        check_write(of_driver(VFIO, "unbind"), gpu, 0, "unbind from " VFIO);
        check_read(attribute("power/control"), "on\n", "power/control is on after it");
        check(!exists(attribute("vfio-dev")), "vfio-dev is gone");
}

static void test_default_driver(void) {
        check_write(attribute("driver_override"), "\n", 0, "no override");
        check_write("/sys/bus/pci/drivers_probe", gpu, 0, "drivers_probe");
        check(bound_to(driver), "drivers_probe has found the host driver");
}

static void test_power(void) {
        check_write(attribute("power/control"), "nonsense", EINVAL, "power/control of nonsense");
        check_write(attribute("power/control"), "auto", 0, "power/control auto");
        check_read(attribute("power/control"), "auto\n", "is read back");
        check_write(attribute("power/control"), "on\n", 0, "power/control on, with a newline");
        check_read(attribute("power/control"), "on\n", "is read back");
        check_write(attribute("d3cold_allowed"), "nonsense", EINVAL, "d3cold_allowed of nonsense");
        check_write(attribute("d3cold_allowed"), "0", 0, "d3cold_allowed 0");
        check_read(attribute("d3cold_allowed"), "0\n", "is read back");
        check_write(attribute("d3cold_allowed"), "1", 0, "d3cold_allowed 1");
}

static void test_reset(void) {
        char before[256];

        if (!exists(attribute("reset_method"))) {
                check(!exists(attribute("reset")), "without reset_method there is no reset");
                return;
        }
        (void) snprintf(before, sizeof(before), "%s", read_text(attribute("reset_method")));
        check_write(attribute("reset_method"), "nonsense", EINVAL, "reset_method of nonsense");
        check_read(attribute("reset_method"), before, "and the old list stays");
        check_write(attribute("reset"), "2", EINVAL, "reset of anything but 1");
        if (strcmp(before, "bus\n") == 0 && audio)
                check_write(attribute("reset"), "1", ENOTTY,
                            "function 0 lists bus, but the reset sees that it has a sibling");
        check_write(attribute("reset_method"), "\n", 0, "a newline disables all methods");
        check_read(attribute("reset_method"), "", "and the list is empty");
        check_write(attribute("reset"), "1", ENOTTY, "reset without a method");
        check_write(attribute("reset_method"), "default", 0, "default brings back what is possible");
}

/* What resets below a bridge: reset_subordinate, which the newer kernels of each branch have. */

static const char *bridge_attribute(const char *name) {
        return path_of(DEVICES "/%s/../%s", gpu, name);
}

static void test_subordinate(void) {
        if (!exists(bridge_attribute("reset_subordinate"))) {
                note("this kernel has no reset_subordinate");
                return;
        }
        check_write(bridge_attribute("reset_subordinate"), "nonsense", EINVAL, "reset_subordinate of what is no number");
        check_write(bridge_attribute("reset_subordinate"), "0", 0, "reset_subordinate 0 does nothing");
        check_write(of_driver(driver, "unbind"), gpu, 0, "unbind");
        check_write(bridge_attribute("reset_subordinate"), "1", 0, "reset_subordinate");
        check(hex_of("vendor") == config_vendor(), "the config space answers after it");
        check_write(of_driver(driver, "bind"), gpu, 0, "bind");
}

/* The VGA arbiter */

static const char *arbiter_says(int fd) {
        static char text[512];
        ssize_t n = read(fd, text, sizeof(text) - 1);

        if (n < 0)
                return "(unreadable)";
        text[n] = 0;
        return text;
}

static void check_arbiter(int fd, const char *words, int expected, const char *what) {
        int r = write(fd, words, strlen(words)) < 0 ? errno : 0;

        check(r == expected, "vga_arbiter: %s: %s", what, expected == 0 ? "success" : strerrorname_np(expected));
}

static bool arbiter_decodes(int fd, const char *expected) {
        char part[64];

        (void) snprintf(part, sizeof(part), "decodes=%s,", expected);
        return strstr(arbiter_says(fd), part) != NULL;
}

static void test_arbiter(void) {
        int fd = open("/dev/vga_arbiter", O_RDWR | O_CLOEXEC);
        static char huge[64];

        check(fd >= 0, "/dev/vga_arbiter can be opened");
        memset(huge, 'x', sizeof(huge));
        check(write(fd, huge, sizeof(huge)) < 0 && errno == EINVAL, "vga_arbiter: 64 bytes: EINVAL");
        check_arbiter(fd, "nonsense", EPROTO, "an unknown word");
        check_arbiter(fd, "target nonsense", EPROTO, "a target that is no address");
        check_arbiter(fd, "target PCI:0000:ff:1f.7", ENODEV, "a target that is not there");
        if ((hex_of("class") >> 8) != 0x0300) {
                check_arbiter(fd, path_of("target PCI:%s", gpu), ENODEV, "a target that is no VGA card");
                (void) close(fd);
                return;
        }
        check_arbiter(fd, path_of("target PCI:%s", gpu), 0, "a VGA card as the target");
        check(strncmp(arbiter_says(fd), "count:", 6) == 0 && strstr(arbiter_says(fd), path_of(",PCI:%s,decodes=", gpu)),
              "vga_arbiter: each read tells of the target, whatever was read and written before");
        check_arbiter(fd, "decodes nonsense", EPROTO, "decodes of nonsense");
        check_write(of_driver(driver, "unbind"), gpu, 0, "unbind");
        check_arbiter(fd, "decodes none", 0, "decodes none without a driver");
        check(arbiter_decodes(fd, "none"), "vga_arbiter: it decodes none");
        check_write(attribute("driver_override"), VFIO, 0, "override with " VFIO);
        check_write(of_driver(VFIO, "bind"), gpu, 0, "bind to " VFIO);
        check(arbiter_decodes(fd, "io+mem"), "vga_arbiter: " VFIO " has set io+mem");
        check_arbiter(fd, "decodes none", 0, "decodes none while the driver has a client");
        check(arbiter_decodes(fd, "io+mem"), "vga_arbiter: that had no effect");
        check_write(of_driver(VFIO, "unbind"), gpu, 0, "unbind from " VFIO);
        check_arbiter(fd, "decodes io+mem", 0, "decodes io+mem");
        check(arbiter_decodes(fd, "io+mem"), "vga_arbiter: it decodes io+mem");
        check_write(attribute("driver_override"), "\n", 0, "no override");
        check_write(of_driver(driver, "bind"), gpu, 0, "bind");
        (void) close(fd);
}

/* The clock that wakes a host */

static void test_wakealarm(void) {
        const char *alarm = "/sys/class/rtc/rtc0/wakealarm";

        if (!exists(alarm)) {
                note("there is no rtc0 that can wake this host");
                return;
        }
        check_read(alarm, "", "wakealarm is empty without an alarm");
        check_write(alarm, "nonsense", EINVAL, "wakealarm of nonsense");
        check_write(alarm, "+=5", EINVAL, "an alarm that is not set cannot be pushed");
        check_write(alarm, "+3600", 0, "an alarm in an hour");
        check(strlen(read_text(alarm)) > 1, "wakealarm tells it");
        check_write(alarm, "+3600", EBUSY, "a second alarm");
        check_write(alarm, "0", 0, "wakealarm 0");
        check_read(alarm, "", "wakealarm is empty again");
}

/* uevents */

static int uevent_socket(void) {
        struct sockaddr_nl address = { .nl_family = AF_NETLINK, .nl_groups = 1 };
        int fd = socket(AF_NETLINK, SOCK_RAW | SOCK_CLOEXEC, NETLINK_KOBJECT_UEVENT);

        if (fd < 0 || bind(fd, (struct sockaddr *) &address, sizeof(address)) < 0)
                return -errno;
        return fd;
}

/* Until the kernel says ACTION of the function. */
static bool wait_event(int fd, const char *action) {
        struct pollfd p = { .fd = fd, .events = POLLIN };
        char data[8192], expected[64];
        ssize_t n;

        (void) snprintf(expected, sizeof(expected), "%s@/", action);
        while (poll(&p, 1, EVENT_DEADLINE_MS) > 0) {
                n = recv(fd, data, sizeof(data) - 1, 0);
                if (n <= 0)
                        continue;
                data[n] = 0;
                if (strncmp(data, expected, strlen(expected)) == 0 && strlen(data) > strlen(gpu) &&
                    strcmp(data + strlen(data) - strlen(gpu), gpu) == 0)
                        return true;
        }
        return false;
}

static void test_uevents(void) {
        int fd = uevent_socket();

        check(fd >= 0, "uevents can be listened to");
        check_write(attribute("uevent"), "nonsense", EINVAL, "a synthetic uevent of an unknown action");
        check_write(attribute("uevent"), "change", 0, "a synthetic change");
        check(wait_event(fd, "change"), "the change is announced");
        check_write(of_driver(driver, "unbind"), gpu, 0, "unbind");
        check(wait_event(fd, "unbind"), "the unbind is announced");
        check_write(of_driver(driver, "bind"), gpu, 0, "bind");
        check(wait_event(fd, "bind"), "the bind is announced");
        (void) close(fd);
}

/* Hot-plug */

static void test_remove_and_rescan(void) {
        int fd = uevent_socket();
        char bus[512];
        char *slash;

        (void) !realpath(path_of(DEVICES "/%s/..", gpu), bus);
        check_write(attribute("remove"), "nonsense", EINVAL, "remove of what is no number");
        check_write(attribute("remove"), "0", 0, "remove 0 does nothing");
        check(exists(attribute("vendor")), "and the function is still there");
        check_write(of_driver(driver, "unbind"), gpu, 0, "unbind");
        check_write(attribute("driver_override"), VFIO, 0, "override with " VFIO);
        check_write("/sys/bus/pci/drivers_autoprobe", "0", 0, "drivers_autoprobe 0");
        check_write(attribute("remove"), "1", 0, "remove");
        check(!exists(path_of(DEVICES "/%s", gpu)), "the function is gone");
        check(wait_event(fd, "remove"), "the removal is announced");
        slash = strrchr(bus, '/');
        check_write(path_of(DEVICES "/%s/rescan", slash ? slash + 1 : ""), "nonsense", EINVAL, "rescan of what is no number");
        check_write("/sys/bus/pci/rescan", "1", 0, "rescan");
        check(exists(attribute("vendor")), "the function is back");
        check_read(attribute("driver_override"), "(null)\n", "its override is lost");
        check_read(attribute("power/control"), "on\n", "power/control is on");
        if (kernel_version() < 619)
                check(bound_to(driver), "the host driver was bound inside the rescan, whatever drivers_autoprobe says");
        check_write("/sys/bus/pci/drivers_autoprobe", "1", 0, "drivers_autoprobe 1");
        if (!bound_to(driver))
                (void) write_text("/sys/bus/pci/drivers_probe", gpu);
        (void) close(fd);
}

/* Locks: the audio function's driver waits for whoever has its control device open. */

static bool find_control(char *ret, size_t size) {
        DIR *sound = opendir(path_of(DEVICES "/%s/sound", audio));
        struct dirent *card;
        unsigned number;
        bool found = false;

        while (sound && !found && (card = readdir(sound)))
                if (sscanf(card->d_name, "card%u", &number) == 1) {
                        (void) snprintf(ret, size, "/dev/snd/controlC%u", number);
                        found = true;
                }
        if (sound)
                (void) closedir(sound);
        return found;
}

static void test_held_sound(void) {
        char control[64], host_driver[128];
        struct pollfd p = { .events = POLLIN };
        int control_fd, status = 0;
        bool found;
        pid_t writer;

        if (!audio)
                return;
        found = find_control(control, sizeof(control));
        check(found, "%s has a sound card with its control", audio);
        if (!found)
                return;
        (void) snprintf(host_driver, sizeof(host_driver), "%s", link_name(path_of(DEVICES "/%s/driver", audio)));
        control_fd = open(control, O_RDWR | O_CLOEXEC);
        check(control_fd >= 0, "%s can be opened", control);
        writer = fork();
        if (writer == 0) {
                (void) close(control_fd);
                _exit(-write_text(of_driver(host_driver, "unbind"), audio));
        }
        p.fd = (int) syscall(SYS_pidfd_open, writer, 0);
        check(poll(&p, 1, STILL_BLOCKED_MS) == 0, "the unbind of the audio function waits for who has its control open");
        check(!exists(path_of(DEVICES "/%s/driver", audio)), "the driver link is already gone");
        if (exists(bridge_attribute("reset_subordinate")))
                check_write(bridge_attribute("reset_subordinate"), "1", EAGAIN,
                            "reset_subordinate while a lock below is held");
        (void) close(control_fd);
        check(poll(&p, 1, EVENT_DEADLINE_MS) == 1, "it ends when the control is closed");
        (void) close(p.fd);
        (void) waitpid(writer, &status, 0);
        check(WIFEXITED(status) && WEXITSTATUS(status) == 0, "and has succeeded");
        check(!exists(control), "the control device is gone");
        check_write(of_driver(host_driver, "bind"), audio, 0, "bind of the audio function");
}

int main(int argc, char *argv[]) {
        if (argc < 3) {
                fprintf(stderr, "usage: conformance ADDRESS DRIVER [AUDIO-ADDRESS]\n");
                return EXIT_FAILURE;
        }
        (void) setvbuf(stdout, NULL, _IOLBF, 0);
        gpu = argv[1];
        driver = argv[2];
        audio = argc > 3 ? argv[3] : NULL;
        if (!exists(attribute("vendor")) || !exists(DRIVERS "/" VFIO)) {
                printf("Bail out! %s is not there, or " VFIO " is not loaded\n", gpu);
                return EXIT_FAILURE;
        }

        test_identity();
        test_links();
        test_permissions();
        test_override();
        test_bind_errors();
        test_unbound();
        test_vfio();
        test_default_driver();
        test_power();
        test_reset();
        test_subordinate();
        test_arbiter();
        test_wakealarm();
        test_uevents();
        test_held_sound();
        test_remove_and_rescan();
        printf("1..%u\n", n_checks);
        return n_failed > 0 ? EXIT_FAILURE : EXIT_SUCCESS;
}
