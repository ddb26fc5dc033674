/* SPDX-License-Identifier: GPL-2.0-or-later */

/* sensors: reads hwmon below a function, in the kernel's units (Documentation/hwmon/sysfs-interface.rst). A driver may
 * wake the card for it, wait for its firmware, or refuse (amdgpu answers EPERM while the card sleeps): what cannot be
 * read has no line. */

#include "worker/sensors.h"

#include "measurement.h"
#include "util/fs.h"
#include "worker/pci.h"

/* Attributes of one hwmon device that are looked at, and devices in one directory. */
#define NAMES_MAX 1024U

typedef struct Sensors {
        Sensor list[MEASURED_SENSORS_MAX];
        size_t n;
} Sensors;

static void sensors_done(Sensors *s) {
        for (size_t i = 0; i < s->n; i++)
                free(s->list[i].name);
}

static int compare_names(const void *a, const void *b) {
        return strverscmp(*(char *const *) a, *(char *const *) b);
}

/* The entries of a directory, in an order that does not change. Empty if it cannot be read. */
static int list_names(int dir_fd, const char *path, char ***ret) {
        _cleanup_strv_free_ char **names = NULL;
        _cleanup_closedir_ DIR *dir = NULL;
        size_t n = 0;
        int r;

        dir = open_directory_at(dir_fd, path);
        for (struct dirent *e; dir && n < NAMES_MAX && (e = readdir(dir));) {
                if (e->d_name[0] == '.')
                        continue;
                r = strv_extend(&names, e->d_name);
                if (r < 0)
                        return r;
                n++;
        }
        if (n > 0)
                qsort(names, n, sizeof(char *), compare_names);
        *ret = TAKE_PTR(names);
        return 0;
}

/* "temp1_input" is temp1, "power1_average" is power1, and "pwm1" is itself. NULL: it is none of them. Newly allocated.
 * */
static char *sensor_name(const char *attribute) {
        _cleanup_free_ char *name = NULL;
        const char *suffix = strchr(attribute, '_');

        if (!suffix)
                return startswith(attribute, "pwm") && sensor_name_valid(attribute) ? strdup(attribute) : NULL;
        if (!streq(suffix, "_input") && !streq(suffix, "_average"))
                return NULL;
        name = strndup(attribute, (size_t) (suffix - attribute));
        return name && !startswith(name, "pwm") && sensor_name_valid(name) ? TAKE_PTR(name) : NULL;
}

static bool sensors_have(const Sensors *s, const char *name) {
        for (size_t i = 0; i < s->n; i++)
                if (streq(s->list[i].name, name))
                        return true;
        return false;
}

/* A card with two hwmon devices may have two of a name: the first one stays, and of power1 the average. */
static void read_sensor(int hwmon_fd, const char *attribute, Sensors *s) {
        _cleanup_free_ char *name = sensor_name(attribute), *line = NULL;
        int64_t value;

        if (!name || s->n >= ELEMENTSOF(s->list) || sensors_have(s, name))
                return;
        if (read_line_at(hwmon_fd, attribute, &line) < 0 || sensor_parse_value(line, &value) < 0)
                return;
        s->list[s->n++] = (Sensor) { .name = TAKE_PTR(name), .value = value };
}

static int read_hwmon(int dir_fd, const char *path, Sensors *s) {
        _cleanup_strv_free_ char **attributes = NULL;
        _cleanup_close_ int fd = -EBADF;
        int r;

        fd = openat(dir_fd, path, O_PATH | O_DIRECTORY | O_CLOEXEC);
        if (fd < 0)
                return 0;
        r = list_names(fd, ".", &attributes);
        for (size_t i = 0; r >= 0 && i < strv_length(attributes); i++)
                read_sensor(fd, attributes[i], s);
        return r;
}

/* `path` is the directory of a device that may have hwmon devices. */
static int read_device(int dir_fd, const char *path, Sensors *s) {
        _cleanup_strv_free_ char **names = NULL;
        _cleanup_close_ int fd = -EBADF;
        int r;

        fd = openat(dir_fd, path, O_PATH | O_DIRECTORY | O_CLOEXEC);
        if (fd < 0)
                return 0;
        r = list_names(fd, "hwmon", &names);
        for (size_t i = 0; r >= 0 && i < strv_length(names); i++) {
                char hwmon[STRLEN("hwmon/hwmon") + 8];

                if (!numbered_name_valid(names[i], "hwmon"))
                        continue;
                (void) snprintf(hwmon, sizeof(hwmon), "hwmon/%.11s", names[i]);
                r = read_hwmon(fd, hwmon, s);
        }
        return r;
}

static int read_function(const PciDevice *d, Sensors *s) {
        _cleanup_strv_free_ char **cards = NULL;
        int r;

        r = read_device(d->fd, ".", s);
        if (r >= 0)
                r = list_names(d->fd, "drm", &cards);
        for (size_t i = 0; r >= 0 && i < strv_length(cards); i++) {
                char card[STRLEN("drm/card") + 8];

                if (!numbered_name_valid(cards[i], "card"))
                        continue;
                (void) snprintf(card, sizeof(card), "drm/%.11s", cards[i]);
                r = read_device(d->fd, card, s);
        }
        return r;
}

static int read_one(Work *w, const char *address) {
        _cleanup_(pci_device_done) PciDevice d = PCI_DEVICE_INIT;
        _cleanup_(sensors_done) Sensors s = {};
        Measured f = { .dstate = -1, .link_active = -1 };
        int r;

        r = pci_device_open(w, address, &d);
        if (r == -ENODEV)
                return work_forgive(w);
        if (r >= 0)
                r = read_function(&d, &s);
        if (r < 0)
                return r;
        memcpy(f.address, d.address, sizeof(f.address));
        f.sensors = s.list;
        f.n_sensors = s.n;
        measurement_write(&(Measurement) { .functions = &f, .n = 1 }, w->answer);
        return 0;
}

int verb_sensors(Work *w) {
        int r;

        r = read_one(w, w->target);
        for (size_t i = 0; i < w->n && r >= 0; i++)
                r = read_one(w, w->arguments[i]);
        return r;
}
