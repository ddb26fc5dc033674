/* SPDX-License-Identifier: GPL-2.0-or-later */

/* findings-gpu: each GPU: what goes with it, whether its groups can be had, how it can be reset, who looks at it, how it
 * rests. */

#include "findings-check.h"

#define GIB (1024ULL * 1024 * 1024)

/* ---- vendor-reset ---- */

/* The cards that the module vendor-reset knows: gnif/vendor-reset, src/device-db.h of 2023-12-25, all 1002:DDDD. */
static const struct {
        const char *family;
        uint16_t devices[16];
} vendor_reset_table[] = {
        { "Polaris 10", { 0x67c0, 0x67c1, 0x67c2, 0x67c4, 0x67c7, 0x67c8, 0x67c9, 0x67ca, 0x67cc, 0x67cf,
                         0x67d0, 0x67df, 0x6fdf } },
        { "Polaris 11", { 0x67e0, 0x67e1, 0x67e3, 0x67e7, 0x67e8, 0x67e9, 0x67eb, 0x67ef, 0x67ff } },
        { "Polaris 12", { 0x6980, 0x6981, 0x6985, 0x6986, 0x6987, 0x6995, 0x6997, 0x699f } },
        { "Vega 10", { 0x6860, 0x6861, 0x6862, 0x6863, 0x6864, 0x6867, 0x6868, 0x6869, 0x686a, 0x686b, 0x686c,
                      0x686d, 0x686e,
                       0x686f, 0x687f } },
        { "Vega 20", { 0x66a0, 0x66a1, 0x66a2, 0x66a3, 0x66a4, 0x66a7, 0x66af, 0x738c } },
        { "Navi 10", { 0x7310, 0x7312, 0x7318, 0x7319, 0x731a, 0x731b, 0x731e, 0x731f } },
        { "Navi 12", { 0x7360, 0x7362 } },
        { "Navi 14", { 0x7340, 0x7341, 0x7347, 0x734f } },
};

const char *vendor_reset_family(const Function *f) {
        if (f->vendor != 0x1002)
                return NULL;
        for (size_t i = 0; i < ELEMENTSOF(vendor_reset_table); i++)
                for (size_t k = 0; k < ELEMENTSOF(vendor_reset_table[i].devices); k++)
                        if (vendor_reset_table[i].devices[k] == f->device)
                                return vendor_reset_table[i].family;
        return NULL;
}

/* Loaded late it does not help: a reset of another kind may have broken the card before. */
static void check_vendor_reset(Check *c, const Function *display) {
        const char *family = vendor_reset_family(display);
        ModuleState state;

        if (!family || !c->in->survey)
                return;
        state = survey_module(c->in->survey, "vendor_reset");
        if (state == MODULE_LOADED && strv_contains(display->reset_methods, "device_specific"))
                found(c, "gpu.vendor-reset", FINDING_OK, NULL, "%s is reset by vendor-reset (%s)",
                      display->address, family);
        else if (state == MODULE_LOADED)
                found(c, "gpu.vendor-reset", FINDING_WARN,
                      hintf("Install its 99-vendor-reset.rules, which writes device_specific into reset_method "
                            "when the card appears."),
                      "vendor-reset is loaded, but %s (%s) does not list device_specific", display->address,
                      family);
        else
                found(c, "gpu.vendor-reset", FINDING_WARN,
                      hintf(state == MODULE_INSTALLED
                                   ? "echo vendor-reset > /etc/modules-load.d/vendor-reset.conf; it has to be "
                                     "there before the "
                                     "card is first reset."
                                   : "Install vendor-reset (github.com/gnif/vendor-reset, by DKMS) and load it "
                                     "at boot, if guests "
                                     "start once and then no more."),
                      "vendor-reset could reset %s (%s), and is not %s", display->address, family,
                      state == MODULE_INSTALLED ? "loaded" : "installed");
}

/* ---- groups ---- */

/* "15" or "18, 19", in the order of the functions. */
static char *groups_of(const Check *c, const FindingsGpu *g) {
        _cleanup_strv_free_ char **groups = NULL;

        for (char *const *a = g->functions; a && *a; a++) {
                const Function *f = snapshot_find(c->in->snapshot, *a);
                char number[12];

                if (!f || f->group < 0)
                        continue;
                (void) snprintf(number, sizeof(number), "%d", f->group);
                if (!strv_contains(groups, number) && strv_extend(&groups, number) < 0)
                        return NULL;
        }
        return join_list(groups, ", ");
}

static void check_group(Check *c, const FindingsGpu *g, const Function *display) {
        _cleanup_free_ char *groups = groups_of(c, g), *blockers = join_list(g->blockers, ", ");
        bool many = groups && strchr(groups, ',');

        if (!groups || !blockers) {
                c->out->out_of_memory = true;
                return;
        }
        /* Without an IOMMU there is a line about that, and none of the cards is to blame. */
        if (display->group < 0 && !streq(c->in->snapshot->iommu ?: "none", "none"))
                found(c, "gpu.group", FINDING_FAIL,
                      hintf("Its bus is behind no IOMMU: move the card to a slot of the processor."),
                      "%s is in no IOMMU group",
                      g->address);
        else if (*blockers)
                found(c, "gpu.group", FINDING_FAIL,
                      hintf("Give them to the guest too (Functions= in a .gpu file), unbind their drivers, or "
                            "move the card to another "
                           "slot. gpuptctl groups shows all."),
                      "%s shares IOMMU group%s %s with what the host uses: %s", g->address, many ? "s" : "",
                      groups, blockers);
        else if (display->group >= 0)
                found(c, "gpu.group", FINDING_OK, NULL, "%s: nothing else of the host is in IOMMU group%s %s",
                      g->address,
                      many ? "s" : "", groups);
        if (c->in->survey && strv_contains(c->in->survey->direct, g->address))
                found(c, "gpu.reserved", FINDING_FAIL,
                      hintf("Look for a newer firmware, or a setting of it that keeps the card from its own "
                            "use (remote console, pre-boot "
                           "DMA); the kernel refuses such cards."),
                      "The firmware wants a fixed mapping (RMRR, IVMD) for %s", g->address);
}

/* ---- resets ---- */

static bool has_sibling(const Check *c, const Function *f) {
        for (size_t i = 0; i < c->in->snapshot->n_functions; i++) {
                const Function *other = c->in->snapshot->functions + i;

                if (other != f && pci_address_same_slot(&other->pci, &f->pci))
                        return true;
        }
        return false;
}

/* "0000:01:00.0 flr, bus; 0000:01:00.1 none" */
static char *describe_resets(const Check *c, const FindingsGpu *g) {
        _cleanup_strv_free_ char **parts = NULL;

        for (char *const *a = g->functions; a && *a; a++) {
                const Function *f = snapshot_find(c->in->snapshot, *a);
                _cleanup_free_ char *methods = f ? join_list(f->reset_methods, ", ") : NULL, *part = NULL;

                if (!f)
                        continue;
                if (!methods)
                        return NULL;
                part = hintf("%s %s", *a, *methods ? methods : "none");
                if (!part || strv_extend(&parts, part) < 0)
                        return NULL;
        }
        return join_list(parts, "; ");
}

/* The kernel makes the list before it knows the siblings, and refuses later: drivers/pci/pci.c pci_parent_bus_reset(). */
static void check_reset(Check *c, const FindingsGpu *g, const Function *display) {
        _cleanup_free_ char *resets = describe_resets(c, g);
        bool bus_only = strv_length(display->reset_methods) == 1 && streq(display->reset_methods[0], "bus");

        if (!resets)
                c->out->out_of_memory = true;
        else if (strv_length(display->reset_methods) == 0)
                found(c, "gpu.reset", FINDING_WARN,
                      hintf("Many such cards do not start a second guest. gpuptctl recover %s then tries other "
                            "ways; a guest that "
                           "disables the card before it shuts down helps.", g->address),
                      "%s has no reset of its own (%s)", g->address, resets);
        else if (bus_only && has_sibling(c, display))
                found(c, "gpu.reset", FINDING_WARN,
                      hintf("That is how the card is made. gpuptctl recover %s tries what else there is: the "
                            "bridge above, if nothing of "
                            "the host is below it, or remove and rescan.", g->address),
                      "%s lists only bus, which fails (ENOTTY) on a card with several functions", g->address);
        else
                found(c, "gpu.reset", FINDING_OK, NULL, "Resets that are listed: %s", resets);
}

/* ---- drivers ---- */

/* The drivers of the family are named with dashes, their modules with underscores. */
static void put_vfio_driver(char buf[static 64], const Function *f) {
        (void) snprintf(buf, 64, "%s", f->vfio_modules && *f->vfio_modules ? *f->vfio_modules : "vfio-pci");
        for (char *p = buf; *p; p++)
                if (*p == '_')
                        *p = '-';
}

static void check_driver(Check *c, const FindingsGpu *g, const Function *display) {
        char vfio[64];

        put_vfio_driver(vfio, display);
        if (driver_is_vfio(display->driver))
                found(c, "gpu.driver", FINDING_OK, NULL, "%s is with %s", g->address, display->driver);
        else if (display->driver)
                found(c, "gpu.driver", FINDING_OK, NULL, "%s is with %s, and goes to a guest by %s",
                      g->address, display->driver,
                      vfio);
        else if (display->host_modules && *display->host_modules)
                found(c, "gpu.driver", FINDING_WARN, hintf("modprobe %s, if the host is to use the card.",
                                                           *display->host_modules),
                      "No driver has %s", g->address);
        else
                found(c, "gpu.driver", FINDING_WARN, hintf("Install the driver, if the host is to use the "
                                                           "card; a guest needs none here."),
                      "The host has no driver for %s", g->address);
        for (char *const *a = g->functions; a && *a && g->state == GPU_HOST && display->driver; a++) {
                const Function *f = snapshot_find(c->in->snapshot, *a);

                if (f && !f->driver && streq(function_role(f), "audio"))
                        found(c, "gpu.driver", FINDING_WARN,
                              hintf("modprobe %s; echo %s > /sys/bus/pci/drivers_probe",
                                   f->host_modules && *f->host_modules ? *f->host_modules : "snd_hda_intel",
                                   f->address),
                              "No driver has %s, the audio function of %s", f->address, g->address);
        }
}

/* ---- display ---- */

/* The connectors with a screen, "HDMI-A-1, DP-1"; "" if there is none. */
static char *screens_of(const Check *c, const FindingsGpu *g) {
        _cleanup_strv_free_ char **names = NULL;

        for (char *const *a = g->functions; a && *a; a++) {
                const Function *f = snapshot_find(c->in->snapshot, *a);

                for (size_t i = 0; f && i < f->n_connectors; i++)
                        if (streq(f->connectors[i].status, "connected") &&
                            strv_extend(&names, f->connectors[i].name) < 0)
                                return NULL;
        }
        return join_list(names, ", ");
}

static bool another_has_screen(const Check *c, const FindingsGpu *g) {
        for (size_t i = 0; i < c->in->n_gpus; i++) {
                _cleanup_free_ char *screens = NULL;

                if (c->in->gpus + i == g)
                        continue;
                screens = screens_of(c, c->in->gpus + i);
                if (!isempty(screens))
                        return true;
        }
        return false;
}

/* As plan-detach.c judges it, which also looks who is logged in at the time. */
static void check_display(Check *c, const FindingsGpu *g, const Function *display) {
        _cleanup_free_ char *screens = screens_of(c, g);
        bool other = another_has_screen(c, g);

        if (!screens)
                c->out->out_of_memory = true;
        else if (!*screens && display->boot_vga)
                found(c, "gpu.display", FINDING_OK, NULL, "%s is the boot VGA card; no screen is connected to "
                                                          "it now", g->address);
        else if (!*screens)
                found(c, "gpu.display", FINDING_OK, NULL, "The host shows nothing on %s", g->address);
        else if (other && !display->boot_vga)
                found(c, "gpu.display", FINDING_OK, NULL, "%s shows on %s, and another card on other screens",
                      g->address, screens);
        else if (g->last_display == LAST_DISPLAY_ALLOW)
                found(c, "gpu.display", FINDING_OK, NULL, "%s has the host's screen (%s), which may go "
                                                          "(LastDisplay=allow)",
                      g->address, screens);
        else
                found(c, "gpu.display", FINDING_WARN,
                      hintf("A detach blanks that screen, and needs --disrupt-session. %s; where nobody looks "
                            "at it say LastDisplay=allow, "
                           "gpuptd.gpu(5).", display->boot_vga && c->in->n_gpus > 1
                                   ? "Make another card the primary display in the firmware's setup"
                                   : "Connect a screen to another card for the host"),
                      "%s %s (%s)", g->address,
                      display->boot_vga ? "is the boot VGA card, with the host's screen"
                      : "has the only screen of the host", screens);
        for (char *const *a = g->functions; a && *a; a++) {
                const Function *f = snapshot_find(c->in->snapshot, *a);

                for (char *const *console = f ? f->consoles : NULL; console && *console; console++)
                        found(c, "gpu.console", FINDING_OK, NULL, "%s has the text console %s, which is put "
                                                                  "back after a guest", *a,
                              *console);
        }
}

/* ---- use, power, memory ---- */

static void check_use(Check *c, const Function *f) {
        if (f->has_vfs)
                found(c, "gpu.use", FINDING_FAIL, hintf("echo 0 > /sys/bus/pci/devices/%s/sriov_numvfs",
                                                        f->address),
                      "%s has virtual functions, so it cannot be given away itself", f->address);
        for (char *const *m = f->mounted; m && *m; m++)
                found(c, "gpu.use", FINDING_FAIL, hintf("Unmount it, or move the disk to another port."),
                      "%s carries %s", f->address, *m);
        for (char *const *n = f->networks; n && *n; n++)
                found(c, "gpu.use", FINDING_FAIL, hintf("Connect the host by another interface."),
                      "%s carries %s, the host's only network that is up", f->address, *n);
}

static void check_power(Check *c, const FindingsGpu *g, const Function *display) {
        if (streq_ptr(display->power_state, "D3cold"))
                found(c, "gpu.power", FINDING_OK, NULL, "%s is off (D3cold); gpuptd wakes it before it does "
                                                        "anything", g->address);
        else if (streq_ptr(display->d3cold_allowed, "1"))
                found(c, "gpu.power", FINDING_OK, NULL, "%s may go to D3cold; gpuptd forbids it while the card "
                                                        "is detached", g->address);
        else if (display->d3cold_allowed)
                found(c, "gpu.power", FINDING_OK, NULL, "%s is kept out of D3cold", g->address);
}

static void put_size(char buf[static 32], uint64_t size) {
        bool whole = size >= GIB;

        (void) snprintf(buf, 32, "%llu %s", (unsigned long long) (whole ? size / GIB : size / 1024 / 1024),
                        whole ? "GiB" : "MiB");
}

static void check_rebar(Check *c, const FindingsGpu *g) {
        for (size_t i = 0; c->in->survey && i < c->in->survey->n_bars; i++) {
                const SurveyBar *b = c->in->survey->bars + i;
                char size[32];

                if (!streq(b->address, g->address))
                        continue;
                put_size(size, b->size);
                found(c, "gpu.rebar", FINDING_OK,
                      b->size > GIB ? hintf("If a guest stays black or reports code 43, switch Resizable BAR "
                                            "off in the firmware's setup and "
                                           "try again.")
                                    : NULL,
                      "BAR %u of %s is resizable, and has %s now", b->index, g->address, size);
        }
}

/* ---- all of one ---- */

static void check_state(Check *c, const FindingsGpu *g) {
        switch (g->state) {
        case GPU_ABSENT:
                found(c, "gpu.state", FINDING_FAIL, hintf("gpuptctl recover %s, or restart the host.", g->address),
                      "%s has been removed from the bus", g->address);
                break;
        case GPU_UNREACHABLE:
                found(c, "gpu.state", FINDING_FAIL, hintf("gpuptctl recover %s; if that fails, switch the host "
                                                          "off and on.", g->address),
                      "%s is on the bus, but does not answer", g->address);
                break;
        case GPU_STUCK:
                found(c, "gpu.state", FINDING_FAIL, hintf("gpuptctl holders %s; end what is listed there. A "
                                                          "restart of the host may hang.", g->address),
                      "A call to the kernel about %s has not returned", g->address);
                break;
        case GPU_PARTIAL:
                found(c, "gpu.state", FINDING_WARN, hintf("gpuptctl attach %s, or gpuptctl detach %s.",
                                                          g->address, g->address),
                      "%s is partly with the host and partly with VFIO", g->address);
                break;
        default:
                break;
        }
}

static void check_gpu(Check *c, const FindingsGpu *g) {
        const Function *display = snapshot_find(c->in->snapshot, g->address);
        _cleanup_free_ char *others = join_list(g->functions && *g->functions ? g->functions + 1 : NULL, ", ");

        if (!others) {
                c->out->out_of_memory = true;
                return;
        }
        found(c, "gpu.functions", FINDING_OK, NULL, "%s%s%s%s goes to a guest %s%s", g->address,
              isempty(g->name) ? "" : " (",
              strempty(g->name), isempty(g->name) ? "" : ")", *others ? "with " : "alone", others);
        check_state(c, g);
        if (!display)
                return;
        check_group(c, g, display);
        check_driver(c, g, display);
        check_reset(c, g, display);
        check_vendor_reset(c, display);
        check_display(c, g, display);
        for (char *const *a = g->functions; a && *a; a++) {
                const Function *f = snapshot_find(c->in->snapshot, *a);

                if (f)
                        check_use(c, f);
        }
        check_power(c, g, display);
        check_rebar(c, g);
}

void check_gpus(Check *c) {
        if (c->in->n_gpus == 0)
                found(c, "gpu.functions", FINDING_FAIL, hintf("lspci shows what is on the bus; gpuptctl rescan "
                                                              "lets gpuptd look again."),
                      "This host has no GPU on its PCI buses");
        for (size_t i = 0; i < c->in->n_gpus; i++)
                check_gpu(c, c->in->gpus + i);
}
