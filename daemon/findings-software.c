/* SPDX-License-Identifier: GPL-2.0-or-later */

/* findings-software: VFIO itself, and what else on the host has a hand in the cards: options that bind them at boot,
 * blacklists, modules that switch them off, daemons that keep them open, configuration of Xorg. */

#include <strings.h>

#include "findings-check.h"

/* ---- VFIO ---- */

static const char *state_word(ModuleState state) {
        return state == MODULE_BUILTIN ? "built in" : module_state_to_string(state);
}

/* A command in the place of a module, as `install vfio-pci /bin/false`. */
static const SurveySetting *find_install(const Survey *s, const char *module) {
        for (size_t i = 0; i < s->n_settings; i++)
                if (s->settings[i].kind == SETTING_INSTALL && streq(s->settings[i].subject, module))
                        return s->settings + i;
        return NULL;
}

static bool is_refusal(const SurveySetting *install) {
        return install && (strstr(install->value, "/false") || strstr(install->value, "/true") ||
                           streq(install->value, "false") || streq(install->value, "true"));
}

static void check_modules(Check *c) {
        const Survey *s = c->in->survey;
        ModuleState pci, type1, iommufd;
        const SurveySetting *install;

        if (!s)
                return;
        pci = survey_module(s, "vfio_pci");
        type1 = survey_module(s, "vfio_iommu_type1");
        iommufd = survey_module(s, "iommufd");
        if (snapshot_find_driver(c->in->snapshot, "vfio-pci") && pci < MODULE_LOADED)
                pci = MODULE_LOADED;
        install = find_install(s, "vfio_pci");
        if (pci == MODULE_INSTALLED && is_refusal(install)) {
                found(c, "vfio.modules", FINDING_FAIL, hintf("Remove line %u of %s.", install->line, install->file),
                      "%s:%u keeps vfio-pci from being loaded", install->file, install->line);
                return;
        }
        if (pci == MODULE_MISSING || (type1 == MODULE_MISSING && iommufd == MODULE_MISSING))
                found(c, "vfio.modules", FINDING_FAIL,
                      hintf("Install all modules of kernel %s (Ubuntu: linux-modules-extra), or build it with "
                            "CONFIG_VFIO_PCI and "
                           "CONFIG_VFIO_IOMMU_TYPE1. If it was updated, restart the host.", strempty(s->release)),
                      "This kernel has no module %s", pci == MODULE_MISSING ? "vfio-pci" : "vfio_iommu_type1");
        else
                found(c, "vfio.modules", FINDING_OK, NULL, "vfio-pci is %s, %s is %s", state_word(pci),
                      type1 != MODULE_MISSING ? "vfio_iommu_type1" : "iommufd",
                      state_word(type1 != MODULE_MISSING ? type1 : iommufd));
}

/* Whether a list of vfio-pci's `ids=` (drivers/vfio/pci/vfio_pci.c vfio_pci_fill_ids()), "VVVV:DDDD[:…],…", has it. */
static bool ids_contain(const char *ids, const Function *f) {
        char own[10];

        (void) snprintf(own, sizeof(own), "%04x:%04x", f->vendor, f->device);
        while (*ids) {
                size_t n = strcspn(ids, ", \t");

                if (n >= 9 && strncasecmp(ids, own, 9) == 0 && (n == 9 || ids[9] == ':'))
                        return true;
                ids += n;
                ids += strspn(ids, ", \t");
        }
        return false;
}

/* The functions of GPUs that are named, "a, b"; NULL if none is. */
static char *named_functions(const Check *c, const char *ids) {
        _cleanup_strv_free_ char **names = NULL;

        for (size_t i = 0; i < c->in->snapshot->n_functions; i++) {
                const Function *f = c->in->snapshot->functions + i;

                if (gpu_of(c, f->address) && ids_contain(ids, f) && strv_extend(&names, f->address) < 0)
                        return NULL;
        }
        return names ? join_list(names, ", ") : NULL;
}

static void check_ids_of(Check *c, const char *ids, const SurveySetting *from) {
        _cleanup_free_ char *names = named_functions(c, ids);

        if (!names)
                return;
        if (from)
                found(c, "vfio.ids", FINDING_WARN,
                      hintf("Remove ids= from line %u of %s, then update-initramfs -u or dracut -f: gpuptd "
                            "takes the card when it is asked to.", from->line, from->file),
                      "%s:%u gives %s to vfio-pci at boot", from->file, from->line, names);
        else
                found(c, "vfio.ids", FINDING_WARN,
                      hintf("Remove vfio-pci.ids= from " COMMAND_LINE ": gpuptd takes the card when it is "
                                                                      "asked to."),
                      "vfio-pci.ids= on the kernel command line gives %s to vfio-pci at boot", names);
}

/* Every ids= in what stands behind the module's name. */
static void check_ids_in(Check *c, const SurveySetting *from) {
        for (const char *p = from->value; p && *p;) {
                const char *ids = option_value(p, "ids");
                char word[SURVEY_WORD_MAX + 1];

                if (ids) {
                        (void) snprintf(word, sizeof(word), "%.*s", (int) strcspn(ids, " \t"), ids);
                        check_ids_of(c, word, from);
                }
                p += strcspn(p, " \t");
                p += strspn(p, " \t");
        }
}

static void check_ids(Check *c) {
        const Survey *s = c->in->survey;
        size_t before = c->out->n, position = 0;
        char word[SURVEY_TEXT_MAX + 1];

        if (!s)
                return;
        while (next_option(c, &position, word, sizeof(word))) {
                const char *ids = option_value(word, "vfio_pci.ids");

                if (ids)
                        check_ids_of(c, ids, NULL);
        }
        for (size_t i = 0; i < s->n_settings; i++) {
                const SurveySetting *t = s->settings + i;

                if ((t->kind == SETTING_OPTIONS || t->kind == SETTING_LOAD) && streq(t->subject, "vfio_pci"))
                        check_ids_in(c, t);
        }
        if (c->out->n == before)
                found(c, "vfio.ids", FINDING_OK, NULL, "No option gives a GPU to vfio-pci at boot");
}

static const char *driverctl_of(const Survey *s, const char *address) {
        for (size_t i = 0; s && i < s->n_driverctl; i++)
                if (streq(s->driverctl[i].address, address))
                        return s->driverctl[i].driver;
        return NULL;
}

/* What keeps a function that gpuptd has not taken for somebody else. */
static void check_override(Check *c, const Function *f) {
        const char *override = c->in->overrides ? saved_get(c->in->overrides, f->address, "override") : NULL;
        const char *driverctl = driverctl_of(c->in->survey, f->address);

        if (driverctl)
                found(c, "vfio.override", FINDING_WARN, hintf("driverctl unset-override %s", f->address),
                      "driverctl gives %s to %s at every boot", f->address, driverctl);
        else if (driver_is_vfio(f->driver))
                found(c, "vfio.override", FINDING_WARN,
                      hintf("gpuptctl attach %s gives it back to the host. If libvirt did it, write "
                            "managed='no' into the "
                           "<hostdev> and let gpuptd do it.", f->address),
                      "%s is with %s, and gpuptd did not put it there", f->address, f->driver);
        else if (!isempty(override) && !streq(override, strempty(f->driver)))
                found(c, "vfio.override", FINDING_WARN, hintf("echo > /sys/bus/pci/devices/%s/driver_override",
                                                              f->address),
                      "%s is reserved for %s by a driver_override that is not gpuptd's", f->address, override);
}

static void check_overrides(Check *c) {
        size_t before = c->out->n;

        for (size_t i = 0; i < c->in->n_gpus; i++)
                for (char *const *a = c->in->gpus[i].functions; a && *a && !c->in->gpus[i].taken; a++) {
                        const Function *f = snapshot_find(c->in->snapshot, *a);

                        if (f)
                                check_override(c, f);
                }
        if (!c->in->overrides && c->in->n_gpus > 0)
                found(c, "vfio.override", FINDING_WARN,
                      hintf("On Linux 6.1 that waits for whatever a driver does with the card. gpuptctl status "
                            "shows who has it; "
                           "gpuptctl log what happened."),
                      "Reading the driver_override of the GPUs %s", strempty(c->in->overrides_problem));
        else if (c->out->n == before && c->in->n_gpus > 0)
                found(c, "vfio.override", FINDING_OK, NULL, "No driver is forced upon a GPU");
}

/* gpuptd switches D3cold off for what is detached, so what others cure by disable_idle_d3 does not come up. */
static void check_idle(Check *c) {
        const char *value = c->in->survey ? survey_parameter(c->in->survey, "vfio_pci", "disable_idle_d3") : NULL;

        if (!value)
                return;
        if (streq(value, "Y") || streq(value, "1"))
                found(c, "vfio.idle", FINDING_OK,
                      hintf("Without disable_idle_d3=1 they would rest in D3hot; gpuptd keeps them out of "
                            "D3cold, which is what "
                           "it is mostly set for. For one card alone there is IdlePower=on, gpuptd.gpu(5)."),
                      "Cards that wait for a guest keep their full power (disable_idle_d3=1)");
        else
                found(c, "vfio.idle", FINDING_OK, NULL, "Cards that wait for a guest may rest, but not in D3cold");
}

#define GIB (1024ULL * 1024 * 1024)

static void put_size(char buf[static 32], uint64_t size) {
        if (size == UINT64_MAX)
                (void) snprintf(buf, 32, "no limit");
        else if (size >= GIB)
                (void) snprintf(buf, 32, "%llu GiB", (unsigned long long) (size / GIB));
        else if (size >= 1024 * 1024)
                (void) snprintf(buf, 32, "%llu MiB", (unsigned long long) (size / 1024 / 1024));
        else
                (void) snprintf(buf, 32, "%llu KiB", (unsigned long long) (size / 1024));
}

/* VFIO locks all memory of a guest, and counts it against the limit of the process that maps it, unless that has
 * CAP_IPC_LOCK: drivers/vfio/vfio_iommu_type1.c vfio_lock_acct(). libvirt's system daemon sets the limit itself. */
static void check_memlock(Check *c) {
        const FindingsCaller *caller = &c->in->caller;
        char soft[32], hard[32];

        if (!caller->known)
                return;
        put_size(soft, caller->memlock_soft);
        put_size(hard, caller->memlock_hard);
        if (caller->uid == 0)
                found(c, "vfio.memlock", FINDING_OK, NULL, "Virtual machines of root may lock all the memory "
                                                           "that they need");
        else if (caller->memlock_soft == UINT64_MAX)
                found(c, "vfio.memlock", FINDING_OK, NULL, "Virtual machines that you start may lock all the "
                                                           "memory they need");
        else if (caller->memlock_soft >= 4 * GIB)
                found(c, "vfio.memlock", FINDING_OK,
                      hintf("A guest needs its memory and about 1 GiB more. ulimit -l shows the limit, "
                           "/etc/security/limits.d sets it."),
                      "Virtual machines that you start may lock %s", soft);
        else if (caller->memlock_hard == UINT64_MAX)
                found(c, "vfio.memlock", FINDING_WARN, hintf("ulimit -l unlimited, in the shell or script that "
                                                             "starts QEMU."),
                      "Virtual machines that you start may lock %s, but all of a guest is locked", soft);
        else
                found(c, "vfio.memlock", FINDING_WARN,
                      hintf("As root: echo '%u:%u - memlock unlimited' > /etc/security/limits.d/90-vfio.conf (or "
                            "the guest's memory "
                           "and 1 GiB more, in KiB), then log in again. Machines of qemu:///system need "
                           "nothing.", caller->uid, caller->uid),
                      "Virtual machines that you start may lock %s, but all of a guest is locked", hard);
}

void check_vfio(Check *c) {
        check_modules(c);
        check_ids(c);
        check_overrides(c);
        check_idle(c);
        check_memlock(c);
}

/* ---- other software ---- */

static bool same_name(const char *a, const char *b) {
        for (; *a && *b; a++, b++)
                if (*a != *b && !(strchr("-_", *a) && strchr("-_", *b)))
                        return false;
        return *a == *b;
}

static bool list_has(const char *list, const char *module) {
        while (*list) {
                size_t n = strcspn(list, ",");
                char word[64];

                (void) snprintf(word, sizeof(word), "%.*s", (int) MIN(n, sizeof(word) - 1), list);
                if (same_name(word, module))
                        return true;
                list += n + (list[n] == ',');
        }
        return false;
}

/* Who keeps a module from being loaded for its devices: modprobe.d, or the command line (kernel/module/main.c
 * module_blacklist=, kmod modprobe.blacklist=). Writes the place; false if nobody does. */
static bool find_blacklist(const Check *c, const char *module, char *where, size_t size) {
        const Survey *s = c->in->survey;
        char word[512];
        size_t position = 0;

        for (size_t i = 0; i < s->n_settings; i++) {
                const SurveySetting *t = s->settings + i;

                if ((t->kind == SETTING_BLACKLIST && same_name(t->subject, module)) ||
                    (t->kind == SETTING_INSTALL && same_name(t->subject, module) && is_refusal(t)) ||
                    (t->kind == SETTING_ALIAS && same_name(t->subject, module) && streq(t->value, "off"))) {
                        (void) snprintf(where, size, "%s:%u", t->file, t->line);
                        return true;
                }
        }
        while (next_option(c, &position, word, sizeof(word))) {
                const char *list = startswith(word, "modprobe.blacklist=") ?: startswith(word, "module_blacklist=");

                if (list && list_has(list, module)) {
                        (void) snprintf(where, size, "%s", "the kernel command line");
                        return true;
                }
        }
        return false;
}

/* nouveau is blacklisted wherever nvidia is installed: as long as one module is left for the card, that is a choice. */
static void check_blacklist(Check *c, const Function *f) {
        char where[512] = "", other[512];

        for (char *const *m = f->host_modules; m && *m; m++)
                if (!find_blacklist(c, *m, *where ? other : where, sizeof(where)))
                        return;
        if (!*where)
                return;
        found(c, "software.blacklist", FINDING_WARN,
              hintf("Remove it from %s: gpuptd takes the card from its driver when it is asked to. Keep it "
                    "only where the driver must "
                   "never touch the card.", where),
              "%s keeps %s, the only driver for %s, from being loaded", where, f->host_modules[0], f->address);
}

static void check_blacklists(Check *c) {
        size_t before = c->out->n;

        for (size_t i = 0; i < c->in->n_gpus; i++)
                for (char *const *a = c->in->gpus[i].functions; a && *a; a++) {
                        const Function *f = snapshot_find(c->in->snapshot, *a);

                        if (f)
                                check_blacklist(c, f);
                }
        if (c->out->n == before && c->in->n_gpus > 0)
                found(c, "software.blacklist", FINDING_OK, NULL, "The drivers of the GPUs are not blacklisted");
}

/* It became a part of vfio in 6.2: drivers/vfio/virqfd.c lost its own module. */
static void check_virqfd(Check *c) {
        const Survey *s = c->in->survey;
        unsigned major, minor;

        if (!s->release || sscanf(s->release, "%u.%u", &major, &minor) != 2)
                return;
        if (major < 6 || (major == 6 && minor < 2))
                return;
        for (size_t i = 0; i < s->n_settings; i++)
                if (s->settings[i].kind == SETTING_LOAD && streq(s->settings[i].subject, "vfio_virqfd"))
                        found(c, "software.virqfd", FINDING_WARN,
                              hintf("Remove vfio_virqfd from line %u of %s.", s->settings[i].line,
                                    s->settings[i].file),
                              "%s:%u loads vfio_virqfd, which Linux has not had since 6.2", s->settings[i].file,
                              s->settings[i].line);
}

static void check_switches(Check *c) {
        const Survey *s = c->in->survey;
        bool bbswitch = survey_module(s, "bbswitch") == MODULE_LOADED;
        bool nvhda = survey_module(s, "nvhda") == MODULE_LOADED;

        if (bbswitch)
                found(c, "software.bbswitch", FINDING_WARN,
                      hintf("See that nothing else writes to /proc/acpi/bbswitch (Bumblebee: systemctl disable "
                            "--now bumblebeed). "
                           "gpuptd uses it by itself, for the reset rung power-cycle."),
                      "bbswitch%s loaded: it can cut the power of a card that is in use",
                      nvhda ? " and nvhda are" : " is");
        else
                found(c, "software.bbswitch", FINDING_OK, NULL, "bbswitch is not loaded");
}

/* What the hwdb says of the driver: gpuptd stops and starts the unit around a detach. */
static void check_persistenced(Check *c) {
        const Survey *s = c->in->survey;

        if (s->persistenced == 0)
                return;
        if (streq(strempty(s->persistenced_unit), "nvidia-persistenced.service"))
                found(c, "software.persistenced", FINDING_OK, NULL,
                      "nvidia-persistenced keeps NVIDIA cards open; gpuptd stops it for a detach");
        else
                found(c, "software.persistenced", FINDING_WARN,
                      hintf("kill %u; systemctl start nvidia-persistenced.service. Or name the unit that runs "
                            "it in StopUnits=, "
                           "gpuptd.gpu(5).", s->persistenced),
                      "nvidia-persistenced (pid %u) keeps NVIDIA cards open, and is not of its own unit",
                      s->persistenced);
}

/* "PCI:8:0:0", "PCI:8@0:0:0": decimal; xorg.conf(5). */
static const FindingsGpu *gpu_of_bus_id(const Check *c, const char *id) {
        unsigned bus, domain = 0, slot, function;
        char address[PCI_ADDRESS_MAX + 16];

        if (strncasecmp(id, "PCI:", 4) != 0)
                return NULL;
        if (sscanf(id + 4, "%u@%u:%u:%u", &bus, &domain, &slot, &function) != 4) {
                domain = 0;
                if (sscanf(id + 4, "%u:%u:%u", &bus, &slot, &function) != 3)
                        return NULL;
        }
        (void) snprintf(address, sizeof(address), "%04x:%02x:%02x.%x", domain, bus, slot, function);
        return gpu_of(c, address);
}

/* A Device section with nvidia's driver is for NVIDIA's cards. */
static const FindingsGpu *gpu_of_xorg_driver(const Check *c, const char *driver) {
        if (strcasecmp(driver, "nvidia") != 0)
                return NULL;
        for (size_t i = 0; i < c->in->n_gpus; i++) {
                const Function *f = snapshot_find(c->in->snapshot, c->in->gpus[i].address);

                if (f && f->vendor == 0x10de)
                        return c->in->gpus + i;
        }
        return NULL;
}

static void check_xorg(Check *c) {
        const Survey *s = c->in->survey;
        const char *told = "";

        for (size_t i = 0; i < s->n_settings; i++) {
                const SurveySetting *t = s->settings + i;
                const FindingsGpu *g = t->kind == SETTING_XORG_BUS_ID   ? gpu_of_bus_id(c, t->subject)
                                       : t->kind == SETTING_XORG_DRIVER ? gpu_of_xorg_driver(c, t->subject)
                                                                        : NULL;

                if (!g || streq(told, t->file))
                        continue;
                told = t->file;
                found(c, "software.xorg", FINDING_WARN,
                      hintf("Remove the section Device from %s if the host has another card for its display.",
                            t->file),
                      "%s:%u ties Xorg to %s: it does not start while a guest has the card", t->file, t->line,
                      g->address);
        }
}

/* vendor-reset without a card of its own; for those that have one see findings-gpu.c. */
static void check_vendor_reset(Check *c) {
        if (survey_module(c->in->survey, "vendor_reset") != MODULE_LOADED)
                return;
        for (size_t i = 0; i < c->in->n_gpus; i++) {
                const Function *f = snapshot_find(c->in->snapshot, c->in->gpus[i].address);

                if (f && vendor_reset_family(f))
                        return;
        }
        found(c, "software.vendor-reset", FINDING_WARN, hintf("Unload it and do not load it at boot, it has no "
                                                              "effect here."),
              "vendor-reset is loaded, and none of the GPUs is in its table");
}

static void check_hooks(Check *c) {
        _cleanup_free_ char *names = NULL;

        for (char *const *w = c->in->hook_warnings; w && *w; w++)
                found(c, "software.hooks", FINDING_WARN, hintf("See WHICH FILES ARE HOOKS in gpuptd.hooks(7)."), "%s", *w);
        if (strv_length(c->in->hooks) == 0)
                return;
        names = join_list(c->in->hooks, ", ");
        if (names)
                found(c, "software.hooks", FINDING_OK, NULL, "Told when a card moves or the host sleeps: %s", names);
        else
                c->out->out_of_memory = true;
}

void check_software(Check *c) {
        check_hooks(c);
        if (!c->in->survey)
                return;
        check_blacklists(c);
        check_switches(c);
        check_persistenced(c);
        check_virqfd(c);
        check_vendor_reset(c);
        check_xorg(c);
}
