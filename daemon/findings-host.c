/* SPDX-License-Identifier: GPL-2.0-or-later */

/* findings-host: kernel, IOMMU, isolation, command line: what is of the host and not of a card. */

#include "findings-check.h"

#define OLDEST_MAJOR 6U
#define OLDEST_MINOR 1U

static void check_kernel(Check *c) {
        const char *release = c->in->survey ? c->in->survey->release : NULL;
        unsigned major, minor;

        if (!release || sscanf(release, "%u.%u", &major, &minor) != 2)
                return;
        if (major > OLDEST_MAJOR || (major == OLDEST_MAJOR && minor >= OLDEST_MINOR))
                found(c, "host.kernel", FINDING_OK, NULL, "Linux %s", release);
        else
                found(c, "host.kernel", FINDING_WARN,
                      hintf("Install Linux %u.%u or later: older ones know fewer ways to reset a card, and "
                            "other rules for "
                           "IOMMU groups.", OLDEST_MAJOR, OLDEST_MINOR),
                      "Linux %s is older than what gpuptd is made for", release);
}

static size_t count_groups(const Snapshot *s) {
        size_t n = 0;

        for (size_t i = 0; i < s->n_functions; i++) {
                bool first = s->functions[i].group >= 0;

                for (size_t k = 0; k < i && first; k++)
                        first = s->functions[k].group != s->functions[i].group;
                n += first;
        }
        return n;
}

/* The command line says what somebody wanted; whether there are groups says what is. It is of use for the hint. */
static char *iommu_hint(Check *c) {
        static const char *const off[] = { "iommu=off", "intel_iommu=off", "amd_iommu=off" };
        const char *cpu = c->in->survey ? strempty(c->in->survey->cpu) : "";

        for (size_t i = 0; i < ELEMENTSOF(off); i++)
                if (has_option(c, off[i]))
                        return hintf("Remove '%s' from " COMMAND_LINE ".", off[i]);
        if (streq(cpu, "GenuineIntel"))
                return has_option(c, "intel_iommu=on")
                               ? hintf("intel_iommu=on is there already: switch VT-d on in the firmware's setup.")
                               : hintf("Switch VT-d on in the firmware's setup, and add intel_iommu=on to " COMMAND_LINE ".");
        if (streq(cpu, "AuthenticAMD"))
                return hintf("Switch the IOMMU (AMD-Vi; not SVM alone) on in the firmware's setup. The command "
                             "line needs "
                            "nothing: Linux then uses it.");
        return hintf("Switch the IOMMU (VT-d, AMD-Vi) on in the firmware's setup; on Intel add intel_iommu=on "
                     "to " COMMAND_LINE ".");
}

static void check_iommu(Check *c) {
        const char *iommu = c->in->snapshot->iommu ?: "none";

        if (streq(iommu, "none"))
                found(c, "host.iommu", FINDING_FAIL, iommu_hint(c), "There is no IOMMU: Linux made no IOMMU "
                                                                    "groups");
        else
                found(c, "host.iommu", FINDING_OK, NULL, "The IOMMU works (%s): %zu groups", iommu,
                      count_groups(c->in->snapshot));
}

static bool is_yes(const char *value) {
        return value && (streq(value, "Y") || streq(value, "1"));
}

static void check_isolation(Check *c) {
        const Survey *s = c->in->survey;
        size_t before = c->out->n, position = 0;
        char word[256];

        if (!s)
                return;
        while (next_option(c, &position, word, sizeof(word)))
                if (startswith(word, "pcie_acs_override="))
                        found(c, "host.isolation", FINDING_WARN,
                              hintf("Remove it from " COMMAND_LINE " and move the card to a slot of its own; "
                                                                   "or keep it, for "
                                   "guests that you trust as you trust the host."),
                              "'%s' pretends isolation: a guest can reach devices beside its own", word);
        if (is_yes(survey_parameter(s, "vfio", "enable_unsafe_noiommu_mode")))
                found(c, "host.isolation", FINDING_WARN,
                      hintf("Remove enable_unsafe_noiommu_mode from modprobe.d and " COMMAND_LINE ", then restart the host."),
                      "vfio has enable_unsafe_noiommu_mode: devices without an IOMMU may be given away");
        if (is_yes(survey_parameter(s, "vfio_iommu_type1", "allow_unsafe_interrupts")))
                found(c, "host.isolation", FINDING_WARN,
                      hintf("Remove allow_unsafe_interrupts from modprobe.d and " COMMAND_LINE ": nearly every IOMMU of today "
                           "has interrupt remapping."),
                      "vfio_iommu_type1 has allow_unsafe_interrupts: a guest can raise interrupts of the host");
        if (c->out->n == before)
                found(c, "host.isolation", FINDING_OK, NULL, "Nothing weakens the isolation between IOMMU groups");
}

/* Recipes that are handed on from guide to guide. vfio-pci takes the firmware's framebuffer from a VGA card by itself
 * (drivers/vfio/pci/vfio_pci_core.c vfio_pci_vga_init()), and amd_iommu= has no value "on"
 * (drivers/iommu/amd/init.c parse_amd_iommu_options()). */
static const struct {
        const char *word, *why;
} pointless[] = {
        { "video=efifb:off", "vfio-pci takes the framebuffer of the firmware away by itself" },
        { "video=vesafb:off", "vfio-pci takes the framebuffer of the firmware away by itself" },
        { "video=simplefb:off", "vfio-pci takes the framebuffer of the firmware away by itself" },
        { "video=efifb:off,vesafb:off", "vfio-pci takes the framebuffer of the firmware away by itself" },
        { "video=vesafb:off,efifb:off", "vfio-pci takes the framebuffer of the firmware away by itself" },
        { "initcall_blacklist=sysfb_init", "vfio-pci takes the framebuffer of the firmware away by itself" },
        { "amd_iommu=on", "Linux has no such value, and uses an AMD IOMMU in any case" },
};

static void check_command_line(Check *c) {
        size_t before = c->out->n;

        if (!c->in->survey || !c->in->survey->cmdline)
                return;
        for (size_t i = 0; i < ELEMENTSOF(pointless); i++)
                if (has_option(c, pointless[i].word))
                        found(c, "host.command-line", FINDING_WARN, hintf("Remove it from " COMMAND_LINE "."),
                              "'%s' is pointless: %s", pointless[i].word, pointless[i].why);
        if (has_option(c, "nomodeset"))
                found(c, "host.command-line", FINDING_WARN, hintf("Remove it from " COMMAND_LINE "."),
                      "'nomodeset' keeps graphics drivers from working: no display after a guest");
        if (c->out->n == before)
                found(c, "host.command-line", FINDING_OK, NULL, "Nothing on the kernel command line is in the way");
}

void check_host(Check *c) {
        check_kernel(c);
        check_iommu(c);
        check_isolation(c);
        check_command_line(c);
}
