/* SPDX-License-Identifier: GPL-2.0-or-later */

/* defaults: see defaults.h. What is read here becomes rules that udev obeys as root: each word is one of those that are expected, or the
 * file is not used. */

#include "defaults.h"

#include <ctype.h>
#include <unistd.h>

#include "dbus/names.h"
#include "util/address.h"
#include "util/fs.h"

#define FILE_MAX (256U * 1024U)
#define WISHES_MAX 256U
#define RESERVES_MAX 1024U
#define APARTS_MAX 256U
#define BRIDGES_MAX 32U

Defaults *defaults_new(void) {
        return calloc(1, sizeof(Defaults));
}

static void wish_done(DefaultWish *w) {
        free(w->gpu);
        free(w->identity);
}

static void drop_reserves(Defaults *d) {
        for (size_t i = 0; i < d->n_reserves; i++) {
                free(d->reserves[i].function);
                free(d->reserves[i].ids);
                free(d->reserves[i].driver);
                strv_free(d->reserves[i].bridges);
        }
        free(d->reserves);
        d->reserves = NULL;
        d->n_reserves = 0;
}

static void drop_aparts(Defaults *d) {
        for (size_t i = 0; i < d->n_aparts; i++) {
                free(d->aparts[i].function);
                free(d->aparts[i].ids);
                strv_free(d->aparts[i].bridges);
        }
        free(d->aparts);
        d->aparts = NULL;
        d->n_aparts = 0;
}

void defaults_drop_rules(Defaults *d) {
        drop_reserves(d);
        drop_aparts(d);
}

bool defaults_have_rules(const Defaults *d) {
        return d->n_reserves > 0 || d->n_aparts > 0;
}

Defaults *defaults_free(Defaults *d) {
        if (!d)
                return NULL;
        for (size_t i = 0; i < d->n_wishes; i++)
                wish_done(d->wishes + i);
        defaults_drop_rules(d);
        free(d->wishes);
        free(d);
        return NULL;
}

static DefaultWish *find(const Defaults *d, const char *gpu) {
        for (size_t i = 0; i < d->n_wishes; i++)
                if (streq(d->wishes[i].gpu, gpu))
                        return d->wishes + i;
        return NULL;
}

const DefaultWish *defaults_find(const Defaults *d, const char *gpu) {
        return find(d, gpu);
}

static bool driver_valid(const char *s) {
        for (const char *p = s; *p; p++)
                if (!isalnum((unsigned char) *p) && *p != '-' && *p != '_')
                        return false;
        return strlen(s) <= 64 && driver_is_vfio(s);
}

int defaults_wish(Defaults *d, const char *gpu, const char *identity, bool vfio) {
        DefaultWish *w = find(d, gpu), *wishes;

        if (!pci_address_valid(gpu) || !function_identity_valid(identity))
                return -EINVAL;
        if (!w) {
                if (d->n_wishes >= WISHES_MAX)
                        return -E2BIG;
                wishes = reallocarray(d->wishes, d->n_wishes + 1, sizeof(DefaultWish));
                if (!wishes)
                        return -ENOMEM;
                d->wishes = wishes;
                w = wishes + d->n_wishes;
                *w = (DefaultWish) { .gpu = strdup(gpu) };
                if (!w->gpu)
                        return -ENOMEM;
                d->n_wishes++;
        }
        w->vfio = vfio;
        return free_and_strdup(&w->identity, identity);
}

void defaults_forget(Defaults *d, const char *gpu) {
        DefaultWish *w = find(d, gpu);

        if (!w)
                return;
        wish_done(w);
        *w = d->wishes[--d->n_wishes];
}

static bool place_valid(const char *function, const char *ids, char *const *bridges) {
        if (!pci_address_valid(function) || !function_identity_valid(ids) || strv_length(bridges) > BRIDGES_MAX)
                return false;
        for (char *const *b = bridges; b && *b; b++)
                if (!pci_address_valid(*b))
                        return false;
        return true;
}

int defaults_reserve(Defaults *d, const char *function, const char *ids, const char *driver, char *const *bridges) {
        DefaultReserve *reserves, *r;

        if (!place_valid(function, ids, bridges) || !driver_valid(driver))
                return -EINVAL;
        if (d->n_reserves >= RESERVES_MAX)
                return -E2BIG;
        reserves = reallocarray(d->reserves, d->n_reserves + 1, sizeof(DefaultReserve));
        if (!reserves)
                return -ENOMEM;
        d->reserves = reserves;
        r = reserves + d->n_reserves++;
        *r = (DefaultReserve) { .function = strdup(function), .ids = strdup(ids), .driver = strdup(driver) };
        if (!r->function || !r->ids || !r->driver)
                return -ENOMEM;
        for (char *const *b = bridges; b && *b; b++)
                if (strv_extend(&r->bridges, *b) < 0)
                        return -ENOMEM;
        return 0;
}

int defaults_set_apart(Defaults *d, const char *function, const char *ids, char *const *bridges) {
        DefaultApart *aparts, *a;

        if (!place_valid(function, ids, bridges))
                return -EINVAL;
        if (d->n_aparts >= APARTS_MAX)
                return -E2BIG;
        aparts = reallocarray(d->aparts, d->n_aparts + 1, sizeof(DefaultApart));
        if (!aparts)
                return -ENOMEM;
        d->aparts = aparts;
        a = aparts + d->n_aparts++;
        *a = (DefaultApart) { .function = strdup(function), .ids = strdup(ids) };
        if (!a->function || !a->ids)
                return -ENOMEM;
        for (char *const *b = bridges; b && *b; b++)
                if (strv_extend(&a->bridges, *b) < 0)
                        return -ENOMEM;
        return 0;
}

int defaults_copy_wishes(const Defaults *d, Defaults **ret) {
        _cleanup_(defaults_freep) Defaults *copy = defaults_new();
        int r = copy ? 0 : -ENOMEM;

        for (size_t i = 0; i < d->n_wishes && r >= 0; i++)
                r = defaults_wish(copy, d->wishes[i].gpu, d->wishes[i].identity, d->wishes[i].vfio);
        if (r >= 0) {
                copy->fallback = d->fallback;
                *ret = TAKE_PTR(copy);
        }
        return r;
}

/* ---- the file ---- */

static void write_line(FILE *f, const char *const *first, size_t n, char *const *bridges) {
        const char *words[BRIDGES_MAX + 5] = {};

        memcpy(words, first, n * sizeof(char *));
        for (char *const *b = bridges; b && *b; b++)
                words[n++] = *b;
        words_writev(f, words);
}

void defaults_write(const Defaults *d, FILE *f) {
        fputs("gpuptd-defaults 1\n", f);
        for (size_t i = 0; i < d->n_wishes; i++)
                words_write(f, "wish", d->wishes[i].gpu, d->wishes[i].identity, d->wishes[i].vfio ? "vfio" : "host",
                            NULL);
        for (size_t i = 0; i < d->n_reserves; i++) {
                const DefaultReserve *r = d->reserves + i;

                write_line(f, (const char *[]) { "reserve", r->function, r->ids, r->driver }, 4, r->bridges);
        }
        for (size_t i = 0; i < d->n_aparts; i++) {
                const DefaultApart *a = d->aparts + i;

                write_line(f, (const char *[]) { "apart", a->function, a->ids }, 3, a->bridges);
        }
        fputs(d->fallback ? "fallback\nend\n" : "end\n", f);
}

static int read_line(char *const *w, void *userdata) {
        Defaults *d = ASSERT_PTR(userdata);
        size_t n = strv_length(w);
        int r = -EINVAL;

        if (streq(w[0], "wish") && n == 4 && (streq(w[3], "host") || streq(w[3], "vfio")))
                r = defaults_wish(d, w[1], w[2], streq(w[3], "vfio"));
        else if (streq(w[0], "reserve") && n >= 4)
                r = defaults_reserve(d, w[1], w[2], w[3], w + 4);
        else if (streq(w[0], "apart") && n >= 3)
                r = defaults_set_apart(d, w[1], w[2], w + 3);
        else if (streq(w[0], "fallback") && n == 1) {
                d->fallback = true;
                r = 0;
        }
        return r == -EINVAL ? -EBADMSG : r;
}

int defaults_read(const char *text, size_t size, Defaults **ret) {
        _cleanup_(defaults_freep) Defaults *d = defaults_new();
        int r = d ? words_read_file(text, size, "gpuptd-defaults", read_line, d) : -ENOMEM;

        if (r >= 0)
                *ret = TAKE_PTR(d);
        return r < 0 ? r : 0;
}

static int load_text(const char *state_dir, char **ret_path, char **ret, size_t *ret_size) {
        if (asprintf(ret_path, "%s/defaults", state_dir) < 0) {
                *ret_path = NULL;
                return -ENOMEM;
        }
        return read_file_at(AT_FDCWD, *ret_path, FILE_MAX, ret, ret_size);
}

int defaults_store(const char *state_dir, const Defaults *d) {
        _cleanup_free_ char *path = NULL, *text = NULL, *before = NULL;
        size_t size, before_size;
        FILE *f;
        int r;

        r = load_text(state_dir, &path, &before, &before_size);
        if (!path)
                return r;
        f = open_memstream(&text, &size);
        if (!f)
                return -ENOMEM;
        defaults_write(d, f);
        if (fclose(f) != 0)
                return -ENOMEM;
        if (r == -ENOENT && d->n_wishes == 0 && !defaults_have_rules(d) && !d->fallback)
                return 0;
        if (r >= 0 && size == before_size && memcmp(text, before, size) == 0)
                return 0;
        r = write_file_atomic(path, text, size);
        return r < 0 ? r : 1;
}

int defaults_load(const char *state_dir, Defaults **ret) {
        _cleanup_free_ char *path = NULL, *text = NULL;
        size_t size;
        int r;

        r = load_text(state_dir, &path, &text, &size);
        if (r == -ENOENT) {
                *ret = defaults_new();
                return *ret ? 0 : -ENOMEM;
        }
        if (r < 0)
                return r == -EFBIG ? -EBADMSG : r;
        return defaults_read(text, size, ret);
}

/* ---- boots ---- */

static char *boots_path(const char *state_dir) {
        char *path;

        return asprintf(&path, "%s/boots", state_dir) < 0 ? NULL : path;
}

/* "N BOOT-ID". What cannot be read is no reason to give up what was wanted: it counts as none. */
static unsigned read_boots(const char *path, const char *boot, bool *ret_counted) {
        _cleanup_free_ char *line = NULL;
        uint64_t n = 0;
        char *space;

        *ret_counted = false;
        if (read_line_at(AT_FDCWD, path, &line) < 0)
                return 0;
        space = strchr(line, ' ');
        if (!space)
                return 0;
        *space = '\0';
        if (parse_u64(line, UINT8_MAX, &n) < 0)
                return 0;
        *ret_counted = streq(space + 1, boot);
        return (unsigned) n;
}

int defaults_count_boot(const char *state_dir) {
        _cleanup_free_ char *path = boots_path(state_dir);
        char text[64], boot[33];
        bool counted;
        unsigned n;
        int r;

        if (!path)
                return -ENOMEM;
        r = boot_id(boot);
        if (r < 0)
                return r;
        n = read_boots(path, boot, &counted);
        if (counted)
                return (int) n - 1;
        (void) snprintf(text, sizeof(text), "%u %s\n", n + 1, boot);
        r = write_file_atomic(path, text, strlen(text));
        return r < 0 ? r : (int) n;
}

int defaults_forget_boots(const char *state_dir) {
        _cleanup_free_ char *path = boots_path(state_dir);

        if (!path)
                return -ENOMEM;
        return unlink(path) < 0 && errno != ENOENT ? -errno : 0;
}

bool defaults_are_off(void) {
        _cleanup_free_ char *line = NULL;

        if (read_line_at(AT_FDCWD, "/proc/cmdline", &line) < 0)
                return false;
        for (char *save = NULL, *word = strtok_r(line, " ", &save); word; word = strtok_r(NULL, " ", &save))
                if (streq(word, "gpuptd=off"))
                        return true;
        return false;
}

/* ---- the rules ---- */

/* Place and ids both: what udev compares are the attributes that no driver and no lock has a part in. */
static void write_place(FILE *f, const char *function, char *const *bridges, const char *child, const char *ids, const char *attr) {
        static const char *const attributes[] = { "vendor", "device", "subsystem_vendor", "subsystem_device" };

        fputs("DEVPATH==\"/devices/pci*", f);
        for (size_t i = strv_length(bridges); i > 0; i--)
                fprintf(f, "/%s", bridges[i - 1]);
        fprintf(f, "/%s%s\"", function, child);
        for (size_t i = 0; i < ELEMENTSOF(attributes); i++)
                fprintf(f, ", %s{%s}==\"0x%.4s\"", attr, attributes[i], ids + 5 * i);
}

static void write_rule(const DefaultReserve *r, FILE *f) {
        fprintf(f, "ACTION==\"add\", SUBSYSTEM==\"pci\", KERNEL==\"%s\", ", r->function);
        write_place(f, r->function, r->bridges, "", r->ids, "ATTR");
        /* Where the module is loaded already its registration has passed this function by, without an override: so the kernel is
         * asked once more. */
        fprintf(f, ", ENV{gpuptd}!=\"off\", TEST!=\"" GPUPT_RUN_DIR "\", ATTR{driver_override}=\"%s\", "
                   "ATTR{[subsystem/pci]drivers_probe}=\"%s\", RUN{builtin}+=\"kmod load %s\"\n",
                r->driver, r->function, r->driver);
}

void defaults_write_rules(const Defaults *d, FILE *f) {
        fputs("# Made by gpuptd, of what `gpuptctl set-default` was told and of Default= in .gpu files; changes are "
              "lost.\n"
              "#\n"
              "# These functions are for VFIO from the boot on. The override is set before 80-drivers.rules loads the "
              "module of another\n"
              "# driver. Only where place and ids are those of the card that was meant; only until gpuptd runs, who "
              "knows what it does; and\n"
              "# not where the kernel was told gpuptd=off.\n\n",
              f);
        /* An import takes a rule of its own: within one, udev looks at ENV first. */
        if (d->n_reserves > 0)
                fputs("ACTION==\"add\", SUBSYSTEM==\"pci\", IMPORT{cmdline}=\"gpuptd\"\n", f);
        for (size_t i = 0; i < d->n_reserves; i++)
                write_rule(d->reserves + i, f);
}

static char *rules_text(const Defaults *d) {
        _cleanup_free_ char *text = NULL;
        size_t size;
        FILE *f = open_memstream(&text, &size);

        if (!f)
                return NULL;
        defaults_write_rules(d, f);
        return fclose(f) == 0 ? TAKE_PTR(text) : NULL;
}

int defaults_have_same_reserves(const Defaults *a, const Defaults *b) {
        _cleanup_free_ char *x = rules_text(a), *y = rules_text(b);

        return x && y ? streq(x, y) : -ENOMEM;
}

/* What decides is ID_SEAT: mutter, KWin, wlroots and Xorg all leave a display alone that is on another seat than theirs. The tags alone do
 * not: KWin and wlroots never look at them, and systemd 252 still names those that were taken away in the event, if no other one is
 * left (measured). With the tag master-of-seat that seat would be one, and a display manager would start a greeter on it. `change` counts
 * as well: the kernel sends one behind each `add`. The render node stays as it is, so programs can compute and draw with the card. */
static void write_seat_rule(const DefaultApart *a, FILE *f) {
        fprintf(f, "ACTION!=\"remove\", SUBSYSTEM==\"drm\", KERNEL==\"card[0-9]*\", KERNELS==\"%s\", SUBSYSTEMS==\"pci\", ", a->function);
        write_place(f, a->function, a->bridges, "/drm/card[0-9]*", a->ids, "ATTRS");
        fputs(", ENV{gpuptd}!=\"off\", ENV{ID_SEAT}=\"seat-gpuptd\", TAG-=\"seat\", TAG-=\"master-of-seat\", TAG-=\"uaccess\", "
              "TAG+=\"mutter-device-ignore\"\n",
              f);
}

void defaults_write_seat_rules(const Defaults *d, FILE *f) {
        fputs("# Made by gpuptd, of Desktops=leave in .gpu files; changes are lost.\n"
              "#\n"
              "# These displays are no desktop's: they are on a seat that nobody sits at. Only where place and ids are those of the card that\n"
              "# was meant; and not where the kernel was told gpuptd=off.\n\n",
              f);
        if (d->n_aparts > 0)
                fputs("ACTION!=\"remove\", SUBSYSTEM==\"drm\", IMPORT{cmdline}=\"gpuptd\"\n", f);
        for (size_t i = 0; i < d->n_aparts; i++)
                write_seat_rule(d->aparts + i, f);
}
