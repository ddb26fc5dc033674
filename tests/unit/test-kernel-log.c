/* SPDX-License-Identifier: GPL-2.0-or-later */

/* test-kernel-log: real lines of kernels and drivers, whose they are and what they mean; and reading them from journal
 * files that systemd-journal-remote(8) has made of its export format. */

#include "kernel-log.h"

#include <glib.h>
#include <glib/gstdio.h>
#include <inttypes.h>

#include "util/fs.h"

#define JOURNAL_REMOTE "/lib/systemd/systemd-journal-remote"

static char *const card[] = { (char *) "0000:01:00.0", (char *) "0000:01:00.1", NULL };

/* ---- one line ---- */

static void test_classify(void) {
        static const struct {
                const char *text, *id;
                KernelSeverity severity;
                unsigned number;
        } lines[] = {
                { "vfio-pci 0000:01:00.0: AMD-Vi: Event logged [IO_PAGE_FAULT domain=0x0037 address=0x7b657064 flags=0x0000]",
                  "iommu-fault", KERNEL_ERROR, 0 },
                { "AMD-Vi: Event logged [IO_PAGE_FAULT device=0000:01:00.0 domain=0x001d address=0x637c000 flags=0x0000]",
                  "iommu-fault", KERNEL_ERROR, 0 },
                { "AMD-Vi: Event logged [IOTLB_INV_TIMEOUT device=0000:01:00.0 address=0x00000003fbf72f00]", "iommu-timeout",
                  KERNEL_ERROR, 0 },
                { "DMAR: [DMA Read NO_PASID] Request device [01:00.0] fault addr 0xfed40000 [fault reason 0x06] PTE Read access "
                  "is not set", "iommu-fault", KERNEL_ERROR, 0 },
                { "DMAR: [INTR-REMAP] Request device [01:00.0] fault index 0x8080 [fault reason 0x25] Blocked a compatibility "
                  "format interrupt request", "iommu-fault", KERNEL_ERROR, 0 },
                { "pcieport 0000:00:01.0: AER: Corrected error received: 0000:01:00.0", "aer-corrected", KERNEL_NOTE, 0 },
                { "pcieport 0000:00:1c.1: AER: Multiple Correctable error message received from 0000:06:00.0", "aer-corrected",
                  KERNEL_NOTE, 0 },
                { "igc 0000:2b:00.0: PCIe Bus Error: severity=Corrected, type=Data Link Layer, (Transmitter ID)",
                  "aer-corrected", KERNEL_NOTE, 0 },
                { "pcieport 0000:00:1d.0: AER: Multiple Uncorrected (Non-Fatal) error received: 0000:00:1d.0",
                  "aer-uncorrected", KERNEL_ERROR, 0 },
                { "pcieport 0000:00:1d.0: AER: Uncorrectable (Fatal) error message received from 0000:01:00.0",
                  "aer-uncorrected", KERNEL_ERROR, 0 },
                { "nvidia 0000:01:00.0: PCIe Bus Error: severity=Uncorrected (Non-Fatal), type=Transaction Layer, "
                  "(Requester ID)", "aer-uncorrected", KERNEL_ERROR, 0 },
                { "igc 0000:2b:00.0:   device [8086:5502] error status/mask=00001100/00002000", NULL, KERNEL_HARMLESS, 0 },
                { "vfio-pci 0000:03:00.0: Unable to change power state from D3cold to D0, device inaccessible", "power-refused",
                  KERNEL_ERROR, 0 },
                { "vfio-pci 0000:03:00.0: Unable to change power state from D0 to D3hot, device inaccessible", "power-refused",
                  KERNEL_ERROR, 0 },
                { "vfio-pci 0000:02:00.0: Refused to change power state from D3hot to D0", "power-refused", KERNEL_ERROR, 0 },
                { "pci 0000:01:00.0: unknown header type 7f, ignoring device", "no-config-space", KERNEL_ERROR, 0 },
                { "vfio-pci 0000:03:00.0: not ready 1023ms after FLR; waiting", NULL, KERNEL_HARMLESS, 0 },
                { "vfio-pci 0000:03:00.0: not ready 65535ms after FLR; giving up", "reset-failed", KERNEL_ERROR, 0 },
                { "vfio-pci 0000:03:00.0: not ready 65535ms after bus reset; giving up", "reset-failed", KERNEL_ERROR, 0 },
                { "vfio-pci 0000:02:00.0: timed out waiting for pending transaction; performing function level reset anyway",
                  "reset-pending", KERNEL_WARNING, 0 },
                { "vfio-pci 0000:c5:00.0: Unsupported reset method 'device_specific'", "reset-unsupported", KERNEL_NOTE, 0 },
                { "vfio-pci 0000:c5:00.0: AMD_NAVI10: failed to reset device", "reset-failed", KERNEL_ERROR, 0 },
                { "vfio-pci 0000:c5:00.0: AMD_NAVI10: reset result = 0", NULL, KERNEL_HARMLESS, 0 },
                { "vfio-pci 0000:01:00.0: vfio_bar_restore: reset recovery - restoring BARs", "reset-unnoticed",
                  KERNEL_WARNING, 0 },
                { "vfio-pci 0000:c5:00.0: Relaying device request to user (#0)", "release-asked", KERNEL_NOTE, 0 },
                { "vfio-pci 0000:24:00.0: No device request channel registered, blocked until released by user",
                  "release-blocked", KERNEL_WARNING, 0 },
                { "vfio-pci 0000:24:00.0: Device is currently in use, task \"driverctl\" (1660) blocked until device is released",
                  "release-blocked", KERNEL_WARNING, 0 },
                { "NVRM: Xid (PCI:0000:01:00): 79, pid='<unknown>', name=<unknown>, GPU has fallen off the bus.", "xid",
                  KERNEL_ERROR, 79 },
                { "NVRM: Xid (PCI:0000:01:00): 31, pid=2914, name=blender, Ch 00000008, intr 00000000. MMU Fault", "xid",
                  KERNEL_NOTE, 31 },
                { "NVRM: Xid (PCI:0000:01:00): 109, pid=1, name=x", "xid", KERNEL_ERROR, 109 },
                { "NVRM: Xid (PCI:0000:01:00): 99999999999999999999, pid=1", "xid", KERNEL_ERROR, 0 },
                { "NVRM: Xid (PCI:0000:01", NULL, KERNEL_HARMLESS, 0 },
                { "NVRM: GPU 0000:01:00.0: GPU has fallen off the bus.", "fallen-off", KERNEL_ERROR, 0 },
                { "NVRM: GPU 0000:01:00.0: RmInitAdapter failed! (0x22:0x56:884)", "init-failed", KERNEL_ERROR, 0 },
                { "amdgpu 0000:c5:00.0: amdgpu: Fatal error during GPU init", "init-failed", KERNEL_ERROR, 0 },
                { "[drm:amdgpu_job_timedout [amdgpu]] *ERROR* ring gfx_0.0.0 timeout, signaled seq=31, emitted seq=33",
                  "ring-timeout", KERNEL_WARNING, 0 },
                { "amdgpu: probe of 0000:c5:00.0 failed with error -22", "probe-failed", KERNEL_WARNING, 0 },
                { "amdgpu 0000:c5:00.0: probe with driver amdgpu failed with error -22", "probe-failed", KERNEL_WARNING, 0 },
                { "vfio-pci 0000:01:00.0: BAR 1: can't reserve [mem 0xe0000000-0xefffffff 64bit pref]", "bar-taken",
                  KERNEL_ERROR, 0 },
                { "nvidia 0000:3b:00.0: vgaarb: VGA decodes changed: olddecodes=io+mem,decodes=none:owns=none", "vga-switched-off",
                  KERNEL_NOTE, 0 },
                { "nvidia 0000:3b:00.0: vgaarb: changed VGA decodes: olddecodes=io+mem,decodes=none:owns=io+mem", "vga-switched-off",
                  KERNEL_NOTE, 0 },
                { "vfio-pci 0000:3b:00.0: vgaarb: VGA decodes changed: olddecodes=none,decodes=io+mem:owns=none", NULL,
                  KERNEL_HARMLESS, 0 },
                { "pcieport 0000:00:01.1: pciehp: Slot(0): Link Down", "link-down", KERNEL_WARNING, 0 },
                { "x86/PAT: CPU 0/KVM:4141 conflicting memory types e0000000-f0000000 write-combining<->uncached-minus",
                  "memory-type", KERNEL_WARNING, 0 },
                { "usb 1-6: USB disconnect, device number 2", NULL, KERNEL_HARMLESS, 0 },
                { "", NULL, KERNEL_HARMLESS, 0 },
        };
        KernelMeaning m;

        for (size_t i = 0; i < G_N_ELEMENTS(lines); i++) {
                kernel_line_classify(lines[i].text, &m);
                g_test_message("%s", lines[i].text);
                g_assert_cmpstr(m.id, ==, lines[i].id);
                g_assert_cmpint(m.severity, ==, lines[i].severity);
                g_assert_cmpuint(m.number, ==, lines[i].number);
                g_assert_true(m.id ? m.sentence[0] : !m.sentence[0]);
        }
        kernel_line_classify("NVRM: Xid (PCI:0000:01:00): 79, GPU has fallen off the bus.", &m);
        g_assert_cmpstr(m.sentence, ==, "the NVIDIA driver reports Xid 79: it has fallen off the bus");
}

static void test_address(void) {
        static char *const functions[] = { (char *) "0000:01:00.0", (char *) "0000:01:00.1", (char *) "10000:02:00.0",
                                           (char *) "0000:00:01.0", NULL };
        static const struct {
                const char *text, *address;
        } lines[] = {
                { "vfio-pci 0000:01:00.1: reset done", "0000:01:00.1" },
                { "AMD-Vi: Event logged [IO_PAGE_FAULT device=0000:01:00.0 domain=0x001d]", "0000:01:00.0" },
                { "AMD-Vi: Event logged [IO_PAGE_FAULT device=01:00.1 domain=0x001d]", "0000:01:00.1" },
                { "DMAR: [DMA Read NO_PASID] Request device [01:00.0] fault addr 0x0", "0000:01:00.0" },
                { "DMAR: [DMA Read NO_PASID] Request device [02:00.0] fault addr 0x0", "10000:02:00.0" },
                { "NVRM: Xid (PCI:0000:01:00): 79, pid=1", "0000:01:00.0" },
                { "NVRM: Xid (PCI:0000:02:00): 79, pid=1", NULL },
                { "NVRM: GPU 0000:01:00.0: GPU has fallen off the bus.", "0000:01:00.0" },
                { "NVRM: GPU at PCI:10000:02:00: GPU-1234", "10000:02:00.0" },
                { "AER: Corrected error received: 0000:01:00.0", "0000:01:00.0" },
                { "probe of 0000:01:00.1 failed", "0000:01:00.1" },
                { "0000:01:00.0", "0000:01:00.0" },
                { "0000:01:00.00", NULL },
                { "10000:01:00.0", NULL },
                { "it is 01:00.0 now", NULL }, /* could be anything */
                { "0000:01:00", NULL },
                { "PCI:0000:01:", NULL },
                { "0000:01:00.", NULL },
                { ":::...::", NULL },
                { "0000:0000:01:00.0", NULL },
                { "", NULL },
        };

        for (size_t i = 0; i < G_N_ELEMENTS(lines); i++) {
                g_test_message("%s", lines[i].text);
                g_assert_cmpstr(kernel_line_address(lines[i].text, functions), ==, lines[i].address);
        }
        g_assert_null(kernel_line_address("vfio-pci 0000:01:00.1: reset done", NULL));
}

static void test_of_sleep(void) {
        static const char *const of_sleep[] = {
                "PM: suspend entry (deep)",
                "PM: suspend entry (s2idle)",
                "PM: hibernation: hibernation entry",
                "Freezing user space processes",
                "Freezing user space processes completed (elapsed 0.001 seconds)",
                "Freezing user space processes failed after 20.009 seconds (1 tasks refusing to freeze, wq_busy=0):",
                "Freezing of tasks failed after 20.009 seconds (1 tasks refusing to freeze, wq_busy=0):",
                "task:CPU 0/KVM       state:D stack:0     pid:4141  ppid:1      flags:0x00004006",
                "Freezing remaining freezable tasks",
                "Restarting tasks ... done.",
                "Restarting tasks: Starting",
                "OOM killer disabled.",
                "OOM killer enabled.",
                "printk: Suspending console(s) (use no_console_suspend to debug)",
                "ACPI: PM: Preparing to enter system sleep state S3",
                "ACPI: PM: Low-level resume complete",
                "PM: Some devices failed to suspend, or early wake event detected",
                "PM: Wakeup pending, aborting suspend",
                "nvidia 0000:01:00.0: PM: pci_pm_suspend(): nv_pmops_suspend+0x0/0x30 [nvidia] returns -5",
                "xhci_hcd 0000:08:00.2: PM: dpm_run_callback(): pci_pm_resume+0x0/0xf0 returns -110",
                "xhci_hcd 0000:08:00.2: PM: failed to resume async: error -110",
                "vfio-pci 0000:01:00.0: Unable to change power state from D3cold to D0, device inaccessible",
                "vfio_bar_restore: reset recovery - restoring BARs",
                "pci 0000:01:00.0: Removing from iommu group 1",
                "pci_bus 0000:01: Allocating resources",
                "pcieport 0000:00:01.0: pciehp: Slot(0): Link Down",
                "PCIe Bus Error: severity=Corrected",
                "DMAR: DRHD: handling fault status reg 3",
                "AMD-Vi: Event logged [IO_PAGE_FAULT device=0000:01:00.0 domain=0x001d]",
                "amdgpu 0000:c5:00.0: AMD-Vi: Event logged [IO_PAGE_FAULT domain=0x0037]",
                "iommu: Default domain type: Translated",
                "NVRM: Xid (PCI:0000:01:00): 79, GPU has fallen off the bus.",
                "nvidia-modeset: WARNING: GPU:0: Lost display notification",
                "[drm] hibernation is not supported",
        };
        static const char *const others[] = {
                "", "usb 1-6: USB disconnect, device number 2", "e1000e 0000:00:1f.6 eno1: NIC Link is Up 1000 Mbps",
                "audit: type=1400 audit(1.2:3): apparmor=\"DENIED\"", "IN=eth0 OUT= MAC=", "smpboot: Booting Node 0 Processor 1 APIC 0x2",
                "xPM: no", "a task: b", "ACPI: EC: interrupt unblocked", "the OOM killer ", "Spm: ", "EXT4-fs (sda1): re-mounted", "PM",
        };

        for (size_t i = 0; i < G_N_ELEMENTS(of_sleep); i++) {
                g_test_message("%s", of_sleep[i]);
                g_assert_true(kernel_line_is_of_sleep(of_sleep[i]));
        }
        for (size_t i = 0; i < G_N_ELEMENTS(others); i++) {
                g_test_message("%s", others[i]);
                g_assert_false(kernel_line_is_of_sleep(others[i]));
        }
}

/* ---- the journal ---- */

typedef struct Fixture {
        char *dir;
        GString *export;
        char boot[33];
        KernelLog *log;
} Fixture;

static void add_field(Fixture *f, const char *name, const void *value, size_t size) {
        uint64_t length = GUINT64_TO_LE(size);

        g_string_append_printf(f->export, "%s\n", name);
        g_string_append_len(f->export, (const char *) &length, sizeof(length));
        g_string_append_len(f->export, value, (gssize) size);
        g_string_append_c(f->export, '\n');
}

static void add_full(Fixture *f, uint64_t usec, const char *boot, const char *transport, const char *device,
                     const char *message, size_t size) {
        g_string_append_printf(f->export,
                               "__REALTIME_TIMESTAMP=%" PRIu64 "\n__MONOTONIC_TIMESTAMP=%" PRIu64 "\n_BOOT_ID=%s\n"
                               "_TRANSPORT=%s\n",
                               1700000000000000 + usec, usec, boot, transport);
        if (device)
                g_string_append_printf(f->export, "_KERNEL_DEVICE=%s\n", device);
        if (message)
                add_field(f, "MESSAGE", message, size);
        g_string_append_c(f->export, '\n');
}

static void add(Fixture *f, uint64_t usec, const char *device, const char *message) {
        add_full(f, usec, f->boot, "kernel", device, message, strlen(message));
}

/* Writes what was added as one journal file of this name. */
static void write_journal(Fixture *f, const char *name) {
        g_autofree char *input = g_build_filename(f->dir, "export", NULL), *output = g_build_filename(f->dir, name, NULL);
        const char *argv[] = { "/bin/sh", "-c", "exec " JOURNAL_REMOTE " -o \"$1\" - < \"$0\"", input, output, NULL };
        g_autofree char *err = NULL;
        int status;

        g_assert_true(g_file_set_contents(input, f->export->str, (gssize) f->export->len, NULL));
        g_assert_true(g_spawn_sync(NULL, (char **) argv, NULL, G_SPAWN_DEFAULT, NULL, NULL, NULL, &err, &status, NULL));
        if (status != 0)
                g_error(JOURNAL_REMOTE " (Debian package systemd-journal-remote): %s", err);
        g_assert_cmpint(g_unlink(input), ==, 0);
        g_string_truncate(f->export, 0);
}

static void setup(Fixture *f, gconstpointer data) {
        f->dir = g_dir_make_tmp("test-kernel-log-XXXXXX", NULL);
        g_assert_nonnull(f->dir);
        f->export = g_string_new(NULL);
        g_assert_cmpint(boot_id(f->boot), ==, 0);
        g_assert_cmpint(kernel_log_new(f->dir, &f->log), ==, 0);
}

static void teardown(Fixture *f, gconstpointer data) {
        g_autoptr(GDir) dir = g_dir_open(f->dir, 0, NULL);
        const char *name;

        while ((name = g_dir_read_name(dir))) {
                g_autofree char *path = g_build_filename(f->dir, name, NULL);

                g_assert_cmpint(g_unlink(path), ==, 0);
        }
        g_assert_cmpint(g_rmdir(f->dir), ==, 0);
        g_free(f->dir);
        g_string_free(f->export, TRUE);
        kernel_log_free(f->log);
}

static KernelLines *read_since(Fixture *f, uint64_t usec) {
        KernelLines *lines = NULL;

        g_assert_cmpint(kernel_log_read(f->log, card, usec, &lines), ==, 0);
        return lines;
}

static void assert_line(const KernelLines *lines, size_t i, uint64_t usec, const char *address, const char *text) {
        g_assert_cmpuint(i, <, lines->n);
        g_assert_cmpuint(lines->lines[i].monotonic_usec, ==, usec);
        g_assert_cmpuint(lines->lines[i].realtime_usec, ==, 1700000000000000 + usec);
        g_assert_cmpstr(lines->lines[i].address, ==, address);
        g_assert_cmpstr(lines->lines[i].text, ==, text);
}

static void test_read(Fixture *f, gconstpointer data) {
        _cleanup_(kernel_lines_freep) KernelLines *lines = NULL;

        add(f, 900, "+pci:0000:01:00.0", "vfio-pci 0000:01:00.0: too old");
        add(f, 1000, "+pci:0000:01:00.0", "vfio-pci 0000:01:00.0: resetting");
        add(f, 1010, "+pci:0000:02:00.0", "vfio-pci 0000:02:00.0: of another card");
        add(f, 1020, "+pci:0000:00:01.0", "pcieport 0000:00:01.0: AER: Corrected error received: 0000:01:00.0");
        add(f, 1030, NULL, "NVRM: Xid (PCI:0000:01:00): 79, pid=1");
        add(f, 1040, NULL, "DMAR: [DMA Read NO_PASID] Request device [01:00.1] fault addr 0x0 [fault reason 0x06]");
        add(f, 1050, NULL, "usb 1-6: USB disconnect");
        add(f, 1060, NULL, "x86/PAT: x:1 conflicting memory types e0000000-f0000000 write-combining<->uncached-minus");
        add(f, 1070, "+pci:0000:01:00.1", "snd_hda_intel 0000:01:00.1: Disabling MSI");
        /* Anybody may write this, and the former boot has. */
        add_full(f, 1080, f->boot, "syslog", NULL, "vfio-pci 0000:01:00.0: said a user", 34);
        add_full(f, 1090, "00112233445566778899aabbccddeeff", "kernel", "+pci:0000:01:00.0", "of another boot", 15);
        write_journal(f, "one.journal");

        lines = read_since(f, 1000);
        g_assert_cmpuint(lines->n, ==, 6);
        g_assert_false(lines->more);
        assert_line(lines, 0, 1000, "0000:01:00.0", "vfio-pci 0000:01:00.0: resetting");
        assert_line(lines, 1, 1020, "0000:01:00.0", "pcieport 0000:00:01.0: AER: Corrected error received: 0000:01:00.0");
        assert_line(lines, 2, 1030, "0000:01:00.0", "NVRM: Xid (PCI:0000:01:00): 79, pid=1");
        assert_line(lines, 3, 1040, "0000:01:00.1",
                    "DMAR: [DMA Read NO_PASID] Request device [01:00.1] fault addr 0x0 [fault reason 0x06]");
        assert_line(lines, 4, 1060, NULL,
                    "x86/PAT: x:1 conflicting memory types e0000000-f0000000 write-combining<->uncached-minus");
        assert_line(lines, 5, 1070, "0000:01:00.1", "snd_hda_intel 0000:01:00.1: Disabling MSI");
}

/* journald has changed to another file meanwhile; and what it adds later is seen the next time. */
static void test_rotated(Fixture *f, gconstpointer data) {
        for (unsigned i = 0; i < 3; i++) {
                _cleanup_(kernel_lines_freep) KernelLines *lines = NULL;
                g_autofree char *name = g_strdup_printf("%u.journal", i);

                add(f, 1000 + 10 * i, "+pci:0000:01:00.0", name);
                add(f, 1005 + 10 * i, NULL, "NVRM: Xid (PCI:0000:01:00): 31, pid=1");
                write_journal(f, name);
                lines = read_since(f, 1000);
                g_assert_cmpuint(lines->n, ==, 2 * (i + 1));
                for (unsigned k = 0; k < lines->n; k++)
                        g_assert_cmpuint(lines->lines[k].monotonic_usec, ==, 1000 + 5 * k);
        }
}

static void test_flood(Fixture *f, gconstpointer data) {
        _cleanup_(kernel_lines_freep) KernelLines *lines = NULL;
        _cleanup_free_ KernelFinding *findings = NULL;
        size_t n;

        add(f, 1000, "+pci:0000:01:00.0", "vfio-pci 0000:01:00.0: not ready 65535ms after FLR; giving up");
        for (unsigned i = 0; i < 3000; i++) {
                add(f, 2000 + i, NULL, "AMD-Vi: Event logged [IO_PAGE_FAULT device=0000:01:00.0 domain=0x001d address=0x0]");
                add(f, 2000 + i, NULL, "somebody's firewall: IN=eth0 OUT=");
        }
        add(f, 9000, NULL, "NVRM: Xid (PCI:0000:01:00): 79, pid=1");
        add(f, 9001, NULL, "NVRM: Xid (PCI:0000:01:00): 31, pid=1");
        write_journal(f, "one.journal");

        lines = read_since(f, 1000);
        g_assert_true(lines->more);
        g_assert_cmpint(kernel_findings(lines, &findings, &n), ==, 0);
        g_assert_cmpuint(n, ==, 4);
        g_assert_cmpstr(findings[0].meaning.id, ==, "reset-failed"); /* the flood has not washed it away */
        g_assert_cmpuint(findings[0].count, ==, 1);
        g_assert_cmpstr(findings[1].meaning.id, ==, "iommu-fault");
        g_assert_cmpuint(findings[1].count, >=, 100);
        g_assert_cmpstr(findings[1].address, ==, "0000:01:00.0");
        g_assert_cmpuint(findings[2].meaning.number, ==, 79);
        g_assert_cmpuint(findings[3].meaning.number, ==, 31);
}

static void test_bytes(Fixture *f, gconstpointer data) {
        _cleanup_(kernel_lines_freep) KernelLines *lines = NULL;
        g_autofree char *text = g_strnfill(KERNEL_LINE_TEXT_MAX, 'x');
        size_t bytes = 0;

        for (unsigned i = 0; i < 800; i++)
                add(f, 1000 + i, "+pci:0000:01:00.0", text);
        write_journal(f, "one.journal");
        lines = read_since(f, 1000);
        g_assert_true(lines->more);
        for (size_t i = 0; i < lines->n; i++)
                bytes += strlen(lines->lines[i].text);
        g_assert_cmpuint(bytes, <=, KERNEL_LOG_BYTES_MAX);
        g_assert_cmpuint(lines->lines[lines->n - 1].monotonic_usec, ==, 1799);
}

static void test_hostile(Fixture *f, gconstpointer data) {
        static const char zero[] = "vfio-pci 0000:01:00.0: \0\n\x1b[31m\xff\xc3\xa4 not ready 65535ms after FLR; giving up";
        _cleanup_(kernel_lines_freep) KernelLines *lines = NULL;
        g_autofree char *huge = g_strnfill(300000, 'A'), *device = g_strdup_printf("+pci:%s", huge);
        KernelMeaning m;

        add_full(f, 1000, f->boot, "kernel", "+pci:0000:01:00.0", zero, sizeof(zero) - 1);
        add_full(f, 1001, f->boot, "kernel", "+pci:0000:01:00.0", NULL, 0);
        add_full(f, 1002, f->boot, "kernel", "+pci:0000:01:00.0", "", 0);
        memcpy(huge, "NVRM: Xid (PCI:0000:01:00): 79", 30);
        add_full(f, 1003, f->boot, "kernel", NULL, huge, 300000);
        add_full(f, 1004, f->boot, "kernel", device, "NVRM: Xid (PCI:0000:01:00): 7", 29);
        add_full(f, 1005, f->boot, "kernel", "+pci:", "of nobody", 9);
        write_journal(f, "one.journal");
        /* Not journals. */
        for (unsigned i = 0; i < 3; i++) {
                g_autofree char *path = g_strdup_printf("%s/broken-%u.journal", f->dir, i), *bytes = NULL;
                g_autofree char *good = g_build_filename(f->dir, "one.journal", NULL);
                gsize size;

                g_assert_true(g_file_get_contents(good, &bytes, &size, NULL));
                g_assert_true(g_file_set_contents(path, bytes, i == 0 ? 0 : (gssize) size / (i == 1 ? 2 : 1000), NULL));
        }

        lines = read_since(f, 1000);
        g_assert_cmpuint(lines->n, >=, 3);
        for (size_t i = 0; i < lines->n; i++) {
                g_assert_cmpuint(strlen(lines->lines[i].text), <=, KERNEL_LINE_TEXT_MAX);
                for (const char *p = lines->lines[i].text; *p; p++)
                        g_assert_true(*p >= ' ' && *p <= '~');
        }
        assert_line(lines, 0, 1000, "0000:01:00.0",
                    "vfio-pci 0000:01:00.0: ???[31m??? not ready 65535ms after FLR; giving up");
        assert_line(lines, lines->n - 1, 1004, "0000:01:00.0", "NVRM: Xid (PCI:0000:01:00): 7");
        kernel_line_classify(lines->lines[0].text, &m);
        g_assert_cmpstr(m.id, ==, "reset-failed");
}

static void test_nothing(Fixture *f, gconstpointer data) {
        _cleanup_(kernel_lines_freep) KernelLines *empty = NULL, *absent = NULL, *nobody = NULL;
        _cleanup_(kernel_log_freep) KernelLog *log = NULL;
        g_autofree char *path = g_build_filename(f->dir, "absent", NULL);
        _cleanup_free_ KernelFinding *findings = NULL;
        size_t n;

        empty = read_since(f, 0);
        g_assert_cmpuint(empty->n, ==, 0);
        g_assert_cmpint(kernel_findings(empty, &findings, &n), ==, 0);
        g_assert_cmpuint(n, ==, 0);
        g_assert_cmpint(kernel_log_new(path, &log), ==, 0);
        g_assert_cmpint(kernel_log_read(log, card, 0, &absent), ==, 0);
        g_assert_cmpuint(absent->n, ==, 0);

        add(f, 1000, "+pci:0000:01:00.0", "vfio-pci 0000:01:00.0: resetting");
        write_journal(f, "one.journal");
        g_assert_cmpint(kernel_log_read(f->log, NULL, 0, &nobody), ==, 0);
        g_assert_cmpuint(nobody->n, ==, 0);
}

/* ---- the story of a sleep ---- */

static KernelLines *read_sleep_since(Fixture *f, uint64_t usec) {
        KernelLines *lines = NULL;

        g_assert_cmpint(kernel_log_read_sleep(f->log, card, usec, &lines), ==, 0);
        return lines;
}

/* What is about it or about the card, of this boot and of the kernel alone, from old to new. */
static void test_sleep(Fixture *f, gconstpointer data) {
        static const char fault[] = "DMAR: [DMA Read NO_PASID] Request device [01:00.1] fault addr 0x0 [fault reason 0x06]";
        _cleanup_(kernel_lines_freep) KernelLines *lines = NULL, *others = NULL;

        add(f, 990, NULL, "PM: suspend entry (s2idle)");
        add(f, 1000, NULL, "PM: suspend entry (deep)");
        add(f, 1010, "+usb:1-6", "usb 1-6: USB disconnect, device number 2");
        add(f, 1020, "+pci:0000:01:00.1", "snd_hda_intel 0000:01:00.1: azx_get_response timeout");
        add(f, 1020, "+pci:0000:08:00.2", "xhci_hcd 0000:08:00.2: PM: failed to resume async: error -110");
        add(f, 1030, "+pci:0000:02:00.0", "radeon 0000:02:00.0: ring 0 test failed");
        add(f, 1040, NULL, "somebody: 0000:01:00.0 is mentioned");
        add(f, 1050, NULL, fault);
        add(f, 1060, NULL, "PM: suspend exit");
        add_full(f, 1070, f->boot, "syslog", NULL, "PM: says a user", 15);
        add_full(f, 1080, "00112233445566778899aabbccddeeff", "kernel", NULL, "PM: of another boot", 19);
        write_journal(f, "one.journal");

        lines = read_sleep_since(f, 1000);
        g_assert_false(lines->more);
        g_assert_cmpuint(lines->n, ==, 6);
        assert_line(lines, 0, 1000, NULL, "PM: suspend entry (deep)");
        assert_line(lines, 1, 1020, "0000:01:00.1", "snd_hda_intel 0000:01:00.1: azx_get_response timeout");
        assert_line(lines, 2, 1020, NULL, "xhci_hcd 0000:08:00.2: PM: failed to resume async: error -110");
        assert_line(lines, 3, 1040, "0000:01:00.0", "somebody: 0000:01:00.0 is mentioned");
        assert_line(lines, 4, 1050, "0000:01:00.1", fault);
        assert_line(lines, 5, 1060, NULL, "PM: suspend exit");

        /* Of a host without a card of ours the sleep itself is left. */
        g_assert_cmpint(kernel_log_read_sleep(f->log, NULL, 1000, &others), ==, 0);
        g_assert_cmpuint(others->n, ==, 4);
        assert_line(others, 2, 1050, NULL, fault);
}

/* Over several files, and with a flood before it: the newest lines are kept, and it is said that there were more. */
static void test_sleep_flood(Fixture *f, gconstpointer data) {
        _cleanup_(kernel_lines_freep) KernelLines *lines = NULL;
        uint64_t last = 0;

        for (unsigned file = 0; file < 2; file++) {
                g_autofree char *name = g_strdup_printf("%u.journal", file);

                for (unsigned i = 0; i < 300; i++) {
                        add(f, 1000 + 1000 * file + i, NULL, "PM: one of many");
                        add(f, 1000 + 1000 * file + i, NULL, "somebody's firewall: IN=eth0 OUT=");
                }
                write_journal(f, name);
        }
        lines = read_sleep_since(f, 1000);
        g_assert_true(lines->more);
        g_assert_cmpuint(lines->n, <=, KERNEL_LOG_ENTRIES_MAX);
        g_assert_cmpuint(lines->n, >=, KERNEL_LOG_ENTRIES_MAX / 2 - 1);
        for (size_t i = 0; i < lines->n; i++) {
                g_assert_cmpuint(lines->lines[i].monotonic_usec, >=, last);
                last = lines->lines[i].monotonic_usec;
                g_assert_cmpstr(lines->lines[i].text, ==, "PM: one of many");
        }
        g_assert_cmpuint(last, ==, 2299);
}

static void test_sleep_nothing(Fixture *f, gconstpointer data) {
        _cleanup_(kernel_lines_freep) KernelLines *lines = NULL;

        lines = read_sleep_since(f, 0);
        g_assert_cmpuint(lines->n, ==, 0);
        g_assert_false(lines->more);
}

int main(int argc, char **argv) {
        g_test_init(&argc, &argv, NULL);
        g_test_add_func("/kernel-log/classify", test_classify);
        g_test_add_func("/kernel-log/address", test_address);
        g_test_add_func("/kernel-log/of-sleep", test_of_sleep);
        g_test_add("/kernel-log/read", Fixture, NULL, setup, test_read, teardown);
        g_test_add("/kernel-log/rotated", Fixture, NULL, setup, test_rotated, teardown);
        g_test_add("/kernel-log/flood", Fixture, NULL, setup, test_flood, teardown);
        g_test_add("/kernel-log/bytes", Fixture, NULL, setup, test_bytes, teardown);
        g_test_add("/kernel-log/hostile", Fixture, NULL, setup, test_hostile, teardown);
        g_test_add("/kernel-log/nothing", Fixture, NULL, setup, test_nothing, teardown);
        g_test_add("/kernel-log/sleep", Fixture, NULL, setup, test_sleep, teardown);
        g_test_add("/kernel-log/sleep-flood", Fixture, NULL, setup, test_sleep_flood, teardown);
        g_test_add("/kernel-log/sleep-nothing", Fixture, NULL, setup, test_sleep_nothing, teardown);
        return g_test_run();
}
