/* SPDX-License-Identifier: GPL-2.0-or-later */

/* xml: what to write into the configuration of a virtual machine so that it gets a GPU. Changes nothing. */

#include "client/gpu-choice.h"
#include "client/guest-config.h"
#include "client/pager.h"
#include "client/quote.h"
#include "client/report.h"
#include "client/terminal.h"
#include "client/verbs.h"

/* One of `text` and `words`. */
typedef struct Dialect {
        const char *name;
        const char *title;
        int (*text)(const GuestGpu *g, const char *rom, char **ret);
        int (*words)(const GuestGpu *g, const char *rom, char ***ret);
} Dialect;

static const Dialect dialects[] = {
        { "libvirt", "libvirt: for 'virsh edit'", guest_config_libvirt, NULL },
        { "qemu", "QEMU: arguments, for -machine q35", NULL, guest_config_qemu },
        { "proxmox", "Proxmox VE: for a machine of type q35", NULL, guest_config_proxmox },
};

static bool is_wanted(const Options *o, const Dialect *d) {
        return !o->format || streq(o->format, d->name);
}

static ExitStatus check_format(const Options *o) {
        for (size_t i = 0; i < ELEMENTSOF(dialects); i++)
                if (is_wanted(o, &dialects[i]))
                        return EXIT_DONE;
        return report_usage("--format= takes libvirt, qemu or proxmox, not '%s'.", o->format);
}

/* Whoever starts the guest does so in another directory, and libvirt refuses a name that depends on one. */
static ExitStatus check_rom(const Options *o) {
        if (!o->rom)
                return EXIT_DONE;
        if (*o->rom != '/' || o->rom[strlen(o->rom) - 1] == '/' || !text_is_clean(o->rom))
                return report_usage("--rom= takes the whole path of a file, without control characters, not '%s'.",
                                    o->rom);
        if ((!o->format || streq(o->format, "proxmox")) && !guest_config_proxmox_takes(o->rom))
                return report_usage("Proxmox takes no image whose name has a comma or a semicolon, such as '%s'.",
                                    o->rom);
        return EXIT_DONE;
}

/* To stderr: the output is for a file. */
static void advise(const Options *o, const GpuChoice *choice, const GuestGpu *g) {
        if (o->quiet)
                return;
        if (guest_gpu_is_igd(g))
                report_note("Drivers of Intel's integrated graphics look for them at 00:02.0, and for an OpRegion: behind a "
                            "port, as here, they may not work. See igd-assign.txt of QEMU.");
        else if (!o->rom && g->integrated)
                report_note("The guest needs the firmware image of %s, which has no ROM that a guest could read: make one "
                            "with 'gpuptctl rom %s -o FILE', and name it with --rom=FILE.", choice->address,
                            choice->address);
        else if (!o->rom && g->boot_vga)
                report_note("The host was started with %s as its display, so its ROM may not be as it was: if the guest's "
                            "screen stays black, make an image with 'gpuptctl rom %s -o FILE', and name it with --rom=FILE.",
                            choice->address, choice->address);
        if (o->rom && is_wanted(o, &dialects[2]) && !startswith(o->rom, PROXMOX_ROMS))
                report_note("Proxmox looks for images in " PROXMOX_ROMS " alone: copy %s there.", o->rom);
}

static int print_json(const Options *o, const GuestGpu *g) {
        _cleanup_(json_object_putp) json_object *all = json_object_new_object();
        int r = all ? 0 : -ENOMEM;

        for (size_t i = 0; r >= 0 && i < ELEMENTSOF(dialects); i++) {
                const Dialect *d = &dialects[i];
                _cleanup_strv_free_ char **words = NULL;
                _cleanup_free_ char *text = NULL;
                json_object *value;

                if (!is_wanted(o, d))
                        continue;
                r = d->text ? d->text(g, o->rom, &text) : d->words(g, o->rom, &words);
                if (r < 0)
                        return r;
                value = text ? json_object_new_string(text) : json_object_new_array();
                for (char **w = words; value && w && *w; w++)
                        (void) json_object_array_add(value, json_object_new_string(*w));
                r = value ? json_object_object_add(all, d->name, value) : -ENOMEM;
        }
        if (r < 0)
                return -ENOMEM;
        json_print(all, o->json);
        return 0;
}

static int print_text(const Options *o, const GuestGpu *g) {
        for (size_t i = 0; i < ELEMENTSOF(dialects); i++) {
                const Dialect *d = &dialects[i];
                _cleanup_strv_free_ char **words = NULL;
                _cleanup_free_ char *text = NULL, *line = NULL;
                int r;

                if (!is_wanted(o, d))
                        continue;
                r = d->text ? d->text(g, o->rom, &text) : d->words(g, o->rom, &words);
                if (r < 0)
                        return r;
                if (words && !(line = quote_shell_words(words)))
                        return -ENOMEM;
                if (!o->format)
                        (void) printf("%s%s%s%s\n", i > 0 ? "\n" : "", color_begin(stdout, COLOR_BOLD), d->title,
                                      color_end(stdout, COLOR_BOLD));
                (void) printf("%s%s", text ?: line, text ? "" : "\n");
        }
        return 0;
}

int verb_xml(Client *c, char **args) {
        _cleanup_(gpu_choice_done) GpuChoice choice = {};
        _cleanup_(guest_gpu_done) GuestGpu g = {};
        const Options *o = c->options;
        int r;

        r = (int) check_format(o);
        if (r == EXIT_DONE)
                r = (int) check_rom(o);
        if (r == EXIT_DONE)
                r = gpu_choose(c, args[0], /* operation= */ NULL, &choice);
        if (r == 0)
                r = guest_gpu_read(c, &choice, &g);
        if (r != 0)
                return r;

        advise(o, &choice, &g);
        pager_open(o);
        r = o->json != JSON_OFF ? print_json(o, &g) : print_text(o, &g);
        return r < 0 ? r : EXIT_DONE;
}
