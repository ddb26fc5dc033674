/* SPDX-License-Identifier: GPL-2.0-or-later */

/* kernel-line: the table of what the kernel and its drivers print when a card that is passed through is not well. Pure.
 * The texts are those of Linux 6.1 to 7.2 and of the NVIDIA driver. */

#include "kernel-line.h"

#include <ctype.h>

#include "util/address.h"

KernelLines *kernel_lines_free(KernelLines *l) {
        if (!l)
                return NULL;
        for (size_t i = 0; i < l->n; i++) {
                free(l->lines[i].address);
                free(l->lines[i].text);
        }
        free(l->lines);
        free(l);
        return NULL;
}

/* ---- what it means ---- */

typedef struct Pattern {
        const char *id;
        KernelSeverity severity;
        const char *parts[3]; /* each must occur, behind the one before */
        const char *sentence;
} Pattern;

/* The first row that fits counts. */
#define ROW(id_, severity_, sentence_, ...) \
        { .id = id_, .severity = KERNEL_##severity_, .sentence = sentence_, .parts = { __VA_ARGS__ } }

static const Pattern patterns[] = {
        /* drivers/iommu/amd/iommu.c amd_iommu_report_page_fault() and iommu_print_event() */
        ROW("iommu-fault", ERROR, "it accessed memory that it was not given (IO_PAGE_FAULT)",
            "AMD-Vi: Event logged [IO_PAGE_FAULT"),
        ROW("iommu-timeout", ERROR, "it does not answer the IOMMU (IOTLB_INV_TIMEOUT)",
            "AMD-Vi: Event logged [IOTLB_INV_TIMEOUT"),
        ROW("iommu-fault", ERROR, "the IOMMU has refused an access of it",
            "AMD-Vi: Event logged ["),
        /* drivers/iommu/intel/dmar.c dmar_fault_do_one(): the interrupts first */
        ROW("iommu-fault", ERROR, "it sent an interrupt that it was not given (DMAR fault)",
            "DMAR: [INTR-REMAP]", "Request device [", "fault index"),
        ROW("iommu-fault", ERROR, "it accessed memory that it was not given (DMAR fault)",
            "DMAR: [", "Request device [", "fault addr"),

        /* drivers/pci/pcie/aer.c aer_print_error(), aer_print_port_info() (until 6.8 "Corrected" and "Uncorrected", since
         * then "Correctable" and "Uncorrectable"); pcie/err.c pcie_do_recovery() */
        ROW("aer-uncorrected", ERROR, "PCIe errors that were not corrected",
            "PCIe Bus Error: severity=Uncorrect"),
        ROW("aer-corrected", NOTE, "PCIe errors that were corrected",
            "PCIe Bus Error: severity=Correct"),
        ROW("aer-uncorrected", ERROR, "PCIe errors that were not corrected",
            "AER: ", "Uncorrect", "error"),
        ROW("aer-corrected", NOTE, "PCIe errors that were corrected",
            "AER: ", "Correct", "error"),
        ROW("aer-uncorrected", ERROR, "it did not recover from a PCIe error",
            "AER: device recovery failed"),

        /* drivers/pci/pci.c pci_power_up() and pci_set_low_power_state() */
        ROW("power-refused", ERROR, "it did not change its power state: it cannot be reached",
            "Unable to change power state from ", ", device inaccessible"),
        /* drivers/pci/pci.c pci_set_full_power_state() */
        ROW("power-refused", ERROR, "it refused to change its power state",
            "Refused to change power state from "),
        /* drivers/pci/probe.c pci_setup_device() */
        ROW("no-config-space", ERROR, "its config space reads all ones",
            "unknown header type 7f"),

        /* drivers/pci/pci.c pci_dev_wait(): the reset goes on with the next method */
        ROW("reset-failed", ERROR, "it was not ready after a reset",
            "not ready ", "; giving up"),
        /* drivers/pci/pci.c pcie_flr(), pci_af_flr() */
        ROW("reset-pending", WARNING, "it had transactions pending when it was reset",
            "timed out waiting for pending transaction"),
        /* drivers/pci/pci.c reset_method_store(); with vendor-reset: the id is not in its table. A property of the card. */
        ROW("reset-unsupported", NOTE, "it does not have the reset that was asked for",
            "Unsupported reset method '"),
        /* vendor-reset, src/hooks.c and src/amd */
        ROW("reset-failed", ERROR, "vendor-reset could not reset it",
            "failed to reset device"),
        /* drivers/vfio/pci/vfio_pci_config.c vfio_bar_restore() */
        ROW("reset-unnoticed", WARNING, "it was reset behind the back of the VM",
            "reset recovery - restoring BARs"),

        /* drivers/vfio/pci/vfio_pci_core.c vfio_pci_core_request() */
        ROW("release-asked", NOTE, "the VM that has it open is asked to let it go",
            "Relaying device request to user"),
        ROW("release-blocked", WARNING, "whoever has it open cannot be asked to let it go",
            "No device request channel registered, blocked until released by user"),
        /* drivers/vfio/vfio_main.c vfio_unregister_group_dev() */
        ROW("release-blocked", WARNING, "a task waits until whoever has it open lets it go",
            "Device is currently in use, task ", "blocked until device is released"),

        /* NVIDIA driver, nv.c and osapi.c: Xids have a number, see classify_xid() */
        ROW("xid", ERROR, "the NVIDIA driver reports Xid",
            "NVRM: Xid (", "): "),
        ROW("fallen-off", ERROR, "it has fallen off the bus",
            "NVRM: ", "fallen off the bus"),
        ROW("init-failed", ERROR, "the NVIDIA driver could not start it",
            "NVRM: ", "RmInitAdapter failed"),

        /* drivers/gpu/drm/amd/amdgpu/amdgpu_kms.c amdgpu_driver_load_kms(), amdgpu_device.c amdgpu_device_gpu_recover(),
         * amdgpu_job.c amdgpu_job_timedout() */
        ROW("init-failed", ERROR, "the AMD driver could not start it",
            "Fatal error during GPU init"),
        ROW("init-failed", ERROR, "the AMD driver could not reset it",
            "GPU reset end with ret"),
        ROW("ring-timeout", WARNING, "work that it was given did not end",
            "ring ", " timeout, signaled seq="),
        /* drivers/base/dd.c call_driver_probe(), 6.1 and later */
        ROW("probe-failed", WARNING, "a driver did not take it",
            "probe of ", " failed with error"),
        ROW("probe-failed", WARNING, "a driver did not take it",
            "probe with driver ", " failed with error"),
        /* drivers/pci/pci.c __pci_request_region() */
        ROW("bar-taken", ERROR, "somebody else uses its memory",
            "BAR ", ": can't reserve ["),

        /* drivers/pci/vgaarb.c __vga_set_legacy_decoding() and vga_update_device_decodes() */
        ROW("vga-switched-off", NOTE, "its driver has switched legacy VGA off",
            "vgaarb: ", "olddecodes=", ",decodes=none"),
        /* drivers/pci/hotplug/pciehp_ctrl.c pciehp_handle_presence_or_link_change() */
        ROW("link-down", WARNING, "the PCIe link to it went down",
            "pciehp: Slot(", "Link Down"),
        /* arch/x86/mm/pat/memtype_interval.c memtype_check_conflict(). Names addresses of memory, not the card. */
        ROW("memory-type", WARNING, "memory of a card is still mapped as its former driver had it",
            "x86/PAT: ", " conflicting memory types "),
};

/* What the number says where it says much, from "XID Errors" of the NVIDIA GPU deployment guides; those that a program on
 * the card causes are no illness of it. */
static const struct {
        unsigned number;
        KernelSeverity severity;
        const char *name;
} xids[] = {
        { 13, KERNEL_NOTE, "a program's graphics exception" },
        { 31, KERNEL_NOTE, "a program's page fault" },
        { 43, KERNEL_NOTE, "a program was stopped" },
        { 45, KERNEL_NOTE, "a program was cleaned up" },
        { 48, KERNEL_ERROR, "a memory error that cannot be corrected" },
        { 61, KERNEL_ERROR, "its microcontroller has stopped" },
        { 62, KERNEL_ERROR, "its microcontroller has halted" },
        { 79, KERNEL_ERROR, "it has fallen off the bus" },
        { 119, KERNEL_ERROR, "its firmware does not answer" },
        { 120, KERNEL_ERROR, "its firmware has failed" },
        { 154, KERNEL_ERROR, "it has to be reset" },
};

/* What follows the last part, or NULL. */
static const char *pattern_match(const Pattern *p, const char *text) {
        for (size_t i = 0; i < ELEMENTSOF(p->parts) && p->parts[i]; i++) {
                text = strstr(text, p->parts[i]);
                if (!text)
                        return NULL;
                text += strlen(p->parts[i]);
        }
        return text;
}

static void classify_xid(const char *rest, KernelMeaning *m) {
        char *end;
        unsigned long number;

        if (!isdigit((unsigned char) *rest))
                return;
        number = strtoul(rest, &end, 10);
        if (number > UINT16_MAX)
                return;
        m->number = (unsigned) number;
        (void) snprintf(m->sentence, sizeof(m->sentence), "the NVIDIA driver reports Xid %u", m->number);
        for (size_t i = 0; i < ELEMENTSOF(xids); i++)
                if (xids[i].number == m->number) {
                        m->severity = xids[i].severity;
                        (void) snprintf(m->sentence, sizeof(m->sentence), "the NVIDIA driver reports Xid %u: %s", m->number,
                                        xids[i].name);
                }
}

void kernel_line_classify(const char *text, KernelMeaning *ret) {
        const char *rest;

        *ret = (KernelMeaning) { .severity = KERNEL_HARMLESS };
        for (const Pattern *p = patterns; p < patterns + ELEMENTSOF(patterns); p++) {
                rest = pattern_match(p, text);
                if (!rest)
                        continue;
                *ret = (KernelMeaning) { .id = p->id, .severity = p->severity };
                (void) snprintf(ret->sentence, sizeof(ret->sentence), "%s", p->sentence);
                if (streq(p->id, "xid"))
                        classify_xid(rest, ret);
                ret->unaddressed = streq(p->id, "memory-type");
                return;
        }
}

/* ---- whom it is about ---- */

/* The characters that an address is made of. */
static bool is_address_char(char c) {
        return isxdigit((unsigned char) c) || c == ':' || c == '.';
}

static const char *find_function(const PciAddress *a, bool any_domain, bool any_function, char *const *addresses) {
        PciAddress b;

        for (; addresses && *addresses; addresses++)
                if (pci_address_parse(*addresses, &b) >= 0 && (any_domain || a->domain == b.domain) && a->bus == b.bus &&
                    a->slot == b.slot && (any_function || a->function == b.function))
                        return *addresses;
        return NULL;
}

static bool is_preceded_by(const char *text, const char *p, const char *prefix) {
        size_t n = strlen(prefix);

        return (size_t) (p - text) >= n && strncmp(p - n, prefix, n) == 0;
}

/* word: a run of such characters within the text. The colons and full stops around an address are not its own:
 * "PCI:0000:01:00", "vfio-pci 0000:01:00.0: reset". */
static const char *function_of_word(const char *text, const char *word, size_t length, char *const *addresses) {
        char buffer[PCI_ADDRESS_MAX];
        bool has_function;
        PciAddress a;

        while (length > 0 && *word == ':') {
                word++;
                length--;
        }
        while (length > 0 && (word[length - 1] == ':' || word[length - 1] == '.'))
                length--;
        if (length == 0 || length >= sizeof(buffer))
                return NULL;
        memcpy(buffer, word, length);
        buffer[length] = 0;

        if (pci_address_parse(buffer, &a) >= 0)
                return find_function(&a, false, false, addresses);
        if (pci_address_parse_short(buffer, &a, &has_function) < 0)
                return NULL;
        if (!has_function)
                return is_preceded_by(text, word, "PCI:") ? find_function(&a, false, true, addresses) : NULL;
        return is_preceded_by(text, word, "[") || is_preceded_by(text, word, "device=")
                       ? find_function(&a, true, false, addresses)
                       : NULL;
}

const char *kernel_line_address(const char *text, char *const *addresses) {
        const char *found;
        size_t length;

        for (const char *p = text; *p; p += length) {
                for (length = 0; is_address_char(p[length]);)
                        length++;
                if (length == 0) {
                        length = 1;
                        continue;
                }
                found = function_of_word(text, p, length, addresses);
                if (found)
                        return found;
        }
        return NULL;
}

/* ---- findings ---- */

static KernelFinding *find_finding(KernelFinding *findings, size_t n, const KernelMeaning *m, const char *address) {
        for (KernelFinding *f = findings; f < findings + n; f++)
                if (streq(f->meaning.id, m->id) && f->meaning.number == m->number && streq_ptr(f->address, address))
                        return f;
        return NULL;
}

int kernel_findings(const KernelLines *lines, KernelFinding **ret, size_t *ret_n) {
        _cleanup_free_ KernelFinding *findings = NULL;
        KernelMeaning meaning;
        KernelFinding *f;
        size_t n = 0;

        for (size_t i = 0; i < lines->n; i++) {
                const KernelLine *l = lines->lines + i;

                kernel_line_classify(l->text, &meaning);
                if (meaning.severity == KERNEL_HARMLESS)
                        continue;
                f = find_finding(findings, n, &meaning, l->address);
                if (f) {
                        f->count++;
                        continue;
                }
                f = reallocarray(findings, n + 1, sizeof(KernelFinding));
                if (!f)
                        return -ENOMEM;
                findings = f;
                findings[n++] = (KernelFinding) { .meaning = meaning, .address = l->address, .text = l->text, .count = 1 };
        }
        *ret = TAKE_PTR(findings);
        *ret_n = n;
        return 0;
}

/* kernel/power/, drivers/base/power/, drivers/acpi/sleep.c, drivers/pci/, drivers/iommu/, drivers/vfio/ and the NVIDIA driver begin their
 * lines so; the freezer's are sentences, and those who refuse it are shown as tasks (kernel/power/process.c try_to_freeze_tasks()). What
 * drivers/base/power/main.c says of a device has its driver and its name in front. */
bool kernel_line_is_of_sleep(const char *text) {
        static const char *const beginnings[] = {
                "PM:", "ACPI: PM:", "Freezing ", "Restarting tasks", "OOM killer ", "task:", "vfio", "pci ", "pci_bus ", "pcieport ",
                "PCI", "DMAR", "AMD-Vi", "iommu", "NVRM", "nvidia",
        };
        static const char *const anywhere[] = { ": PM: ", "refusing to freeze", "suspend", "hibernat", "IO_PAGE_FAULT", "iommu", "vfio" };

        for (size_t i = 0; i < ELEMENTSOF(beginnings); i++)
                if (startswith(text, beginnings[i]))
                        return true;
        for (size_t i = 0; i < ELEMENTSOF(anywhere); i++)
                if (strstr(text, anywhere[i]))
                        return true;
        return false;
}
