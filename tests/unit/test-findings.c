/* SPDX-License-Identifier: GPL-2.0-or-later */

/* test-findings: every finding, where it fires and where it does not, over machines of the field and surveys written
 * down as the worker would send them. */

#include <glib.h>

#include "findings.h"
#include "selector.h"
#include "snapshot-builder.h"

/* A host with nothing to complain about. */
#define GOOD                                                                                                     \
        "release 6.1.0-18-amd64\n"                                                                               \
        "cmdline root=/dev/sda1\\x20quiet\n"                                                                     \
        "cpu AuthenticAMD\n"                                                                                     \
        "sleep freeze\\x20mem\\x20disk\n"                                                                        \
        "mem-sleep s2idle\\x20[deep]\n"                                                                          \
        "gate /usr/lib/systemd/system/sleep.target.requires/gpuptd-sleep.service\n"                             \
        "module vfio_pci installed\n"                                                                            \
        "module vfio_iommu_type1 installed\n"

typedef struct Case {
        Snapshot *snapshot;
        GString *survey; /* NULL: there is none */
        Saved overrides;
        bool no_overrides;
        FindingsGpu gpus[4];
        size_t n_gpus;
        FindingsCaller caller;
        bool no_gate;
        SleepPolicy sleep; /* of every card */
        FindingsFreezer freezer;
        char *const *hooks, *const *hook_warnings;
        FindingsVm vm;     /* that has the first card, if it has a name */
        Findings *findings;
} Case;

static void case_done(Case *c) {
        for (size_t i = 0; i < c->n_gpus; i++) {
                strv_free((char **) c->gpus[i].functions);
                strv_free((char **) c->gpus[i].blockers);
        }
        findings_free(c->findings);
        saved_done(&c->overrides);
        snapshot_free(c->snapshot);
        if (c->survey)
                (void) g_string_free(c->survey, true);
}

/* Takes the snapshot. */
static Case case_new(Snapshot *s) {
        Case c = { .snapshot = s, .survey = g_string_new(GOOD) };

        sleep_policy_init(&c.sleep);
        for (size_t i = 0; i < s->n_functions; i++)
                if (function_is_display(s->functions + i) && selector_is_gpu(s, s->functions + i))
                        c.gpus[c.n_gpus++] = (FindingsGpu) {
                                .address = g_intern_string(s->functions[i].address), .state = GPU_HOST,
                        };
        return c;
}

static void say(Case *c, const char *format, ...) G_GNUC_PRINTF(2, 3);
static void say(Case *c, const char *format, ...) {
        va_list ap;

        va_start(ap, format);
        g_string_append_vprintf(c->survey, format, ap);
        va_end(ap);
        g_string_append_c(c->survey, '\n');
}

/* In the place of a line of GOOD. */
static void say_instead(Case *c, const char *line, const char *other) {
        g_assert_cmpuint(g_string_replace(c->survey, line, other, 1), ==, 1);
}

static void look(Case *c) {
        _cleanup_(survey_freep) Survey *survey = NULL;
        FindingsInput in = {
                .snapshot = c->snapshot,
                .overrides = c->no_overrides ? NULL : &c->overrides,
                .survey_problem = "did not end",
                .overrides_problem = "did not end",
                .gpus = c->gpus,
                .n_gpus = c->n_gpus,
                .caller = c->caller,
                .hooks = c->hooks,
                .hook_warnings = c->hook_warnings,
                .gate = !c->no_gate,
                .freezer = c->freezer,
                .vms = &c->vm,
                .n_vms = c->vm.name ? 1 : 0,
        };

        if (c->survey)
                g_assert_cmpint(survey_read(c->survey->str, c->survey->len, &survey), ==, 0);
        in.survey = survey;
        for (size_t i = 0; i < c->n_gpus; i++) {
                const Function *f = snapshot_find(c->snapshot, c->gpus[i].address);
                char **functions = NULL, **blockers = NULL;

                strv_free((char **) c->gpus[i].functions);
                strv_free((char **) c->gpus[i].blockers);
                if (f)
                        g_assert_cmpint(selector_companions(c->snapshot, f, &functions), ==, 0);
                else
                        build_strv(&functions, c->gpus[i].address);
                g_assert_cmpint(selector_blockers(c->snapshot, functions, &blockers), ==, 0);
                c->gpus[i].functions = functions;
                c->gpus[i].blockers = blockers;
                c->gpus[i].sleep = &c->sleep;
        }
        c->vm.policy = c->sleep;
        c->findings = findings_free(c->findings);
        g_assert_cmpint(findings_make(&in, &c->findings), ==, 0);
        for (size_t i = 0; i < c->findings->n; i++)
                g_test_message("%s %s: %s [%s]", finding_result_to_string(c->findings->list[i].result), c->findings->list[i].id,
                               c->findings->list[i].summary, c->findings->list[i].hint);
}

static const Finding *find(const Case *c, const char *id, FindingResult result, const char *part) {
        for (size_t i = 0; i < c->findings->n; i++) {
                const Finding *f = c->findings->list + i;

                if (streq(f->id, id) && f->result == result && strstr(f->summary, part))
                        return f;
        }
        return NULL;
}

#define assert_found(c, id, result, part, hint_part)                                                              \
        do {                                                                                                      \
                const Finding *found_ = (look(c), find(c, id, FINDING_##result, part));                           \
                                                                                                                  \
                g_assert_nonnull(found_);                                                                         \
                if (!strstr(found_->hint, hint_part))                                                             \
                        g_error("%s: no '%s' in '%s'", G_STRLOC, (const char *) hint_part, found_->hint);         \
        } while (false)

static bool has_id(const Case *c, const char *id) {
        for (size_t i = 0; i < c->findings->n; i++)
                if (streq(c->findings->list[i].id, id))
                        return true;
        return false;
}

#define assert_only_ok(c, id)                                                                                     \
        do {                                                                                                      \
                look(c);                                                                                          \
                g_assert_true(has_id(c, id));                                                                     \
                g_assert_null(find(c, id, FINDING_WARN, ""));                                                     \
                g_assert_null(find(c, id, FINDING_FAIL, ""));                                                     \
        } while (false)

#define assert_absent(c, id)                                                                                      \
        do {                                                                                                      \
                look(c);                                                                                          \
                g_assert_false(has_id(c, id));                                                                    \
        } while (false)

/* ---- the host ---- */

static void test_kernel(void) {
        _cleanup_(case_done) Case c = case_new(build_desktop());

        assert_only_ok(&c, "host.kernel");
        say_instead(&c, "release 6.1.0", "release 5.15.3");
        assert_found(&c, "host.kernel", WARN, "5.15.3", "6.1");
        say_instead(&c, "release 5.15.3", "release 6.0.9");
        assert_found(&c, "host.kernel", WARN, "6.0.9", "6.1");
        say_instead(&c, "release 6.0.9", "release 7.0");
        assert_only_ok(&c, "host.kernel");
}

static void test_iommu(void) {
        _cleanup_(case_done) Case c = case_new(build_desktop());

        assert_only_ok(&c, "host.iommu");
        g_assert_cmpint(free_and_strdup(&c.snapshot->iommu, "none"), ==, 0);
        for (size_t i = 0; i < c.snapshot->n_functions; i++)
                c.snapshot->functions[i].group = -1;
        assert_found(&c, "host.iommu", FAIL, "no IOMMU", "AMD-Vi");
        /* One line says it, not one for every card. */
        g_assert_false(has_id(&c, "gpu.group"));
        say_instead(&c, "AuthenticAMD", "GenuineIntel");
        assert_found(&c, "host.iommu", FAIL, "", "add intel_iommu=on");
        say_instead(&c, "quiet", "intel_iommu=on");
        assert_found(&c, "host.iommu", FAIL, "", "is there already");
        say_instead(&c, "intel_iommu=on", "iommu=off");
        assert_found(&c, "host.iommu", FAIL, "", "Remove 'iommu=off'");
        say_instead(&c, "cpu GenuineIntel\n", "");
        say_instead(&c, "iommu=off", "quiet");
        assert_found(&c, "host.iommu", FAIL, "", "VT-d, AMD-Vi");
}

static void test_isolation(void) {
        _cleanup_(case_done) Case c = case_new(build_desktop());

        assert_only_ok(&c, "host.isolation");
        say(&c, "parameter vfio enable_unsafe_noiommu_mode N");
        assert_only_ok(&c, "host.isolation");
        say_instead(&c, "quiet", "pcie_acs_override=downstream,multifunction");
        assert_found(&c, "host.isolation", WARN, "pcie_acs_override=downstream,multifunction", "Remove");
        say_instead(&c, "noiommu_mode N", "noiommu_mode Y");
        assert_found(&c, "host.isolation", WARN, "enable_unsafe_noiommu_mode", "modprobe.d");
        say(&c, "parameter vfio_iommu_type1 allow_unsafe_interrupts Y");
        assert_found(&c, "host.isolation", WARN, "allow_unsafe_interrupts", "modprobe.d");
}

static void test_command_line(void) {
        static const char *const words[] = { "video=efifb:off", "initcall_blacklist=sysfb_init", "amd_iommu=on", "nomodeset" };
        _cleanup_(case_done) Case c = case_new(build_desktop());

        assert_only_ok(&c, "host.command-line");
        for (size_t i = 0; i < G_N_ELEMENTS(words); i++) {
                say_instead(&c, i == 0 ? "quiet" : words[i - 1], words[i]);
                assert_found(&c, "host.command-line", WARN, words[i], "Remove it");
        }
        say_instead(&c, "nomodeset", "video=efifb:offset\\x20intel_iommu=on");
        assert_only_ok(&c, "host.command-line");
}

static void test_sleep(void) {
        _cleanup_(case_done) Case c = case_new(build_desktop());

        assert_only_ok(&c, "sleep.s3");
        g_assert_cmpstr(find(&c, "sleep.s3", FINDING_OK, "")->hint, ==, "");
        say_instead(&c, "s2idle\\x20[deep]", "[s2idle]\\x20deep");
        assert_found(&c, "sleep.s3", OK, "uses s2idle", "mem_sleep_default=deep");
        say_instead(&c, "[s2idle]\\x20deep", "[s2idle]");
        assert_found(&c, "sleep.s3", WARN, "no sleep to RAM", "firmware");
}

static void test_gate(void) {
        _cleanup_(case_done) Case c = case_new(build_desktop());

        assert_only_ok(&c, "sleep.gate");
        say_instead(&c, "gate /usr/lib/systemd/system/sleep.target.requires/gpuptd-sleep.service\n", "");
        assert_found(&c, "sleep.gate", WARN, "does not require", "add-requires");
        c.no_gate = true;
        assert_absent(&c, "sleep.gate");
        /* That nobody is asked does not help here. */
        say(&c, "gate-masked /etc/systemd/system/gpuptd-sleep.service");
        assert_found(&c, "sleep.gate", WARN, "masked (/etc/", "Gate=no");
}

static void test_user_slice(void) {
        _cleanup_(case_done) Case c = case_new(build_desktop());

        assert_absent(&c, "sleep.user-slice");
        c.freezer.version = 255;
        assert_found(&c, "sleep.user-slice", OK, "systemd 255 leaves", "");
        c.freezer.version = 256;
        assert_found(&c, "sleep.user-slice", OK, "systemd 256 freezes", "qemu:///session");
        c.freezer.off = true;
        assert_found(&c, "sleep.user-slice", OK, "FREEZE_USER_SESSIONS", "");
}

static void test_policy(void) {
        _cleanup_(case_done) Case c = case_new(build_desktop());

        assert_found(&c, "sleep.policy", OK, "0000:08:00.0: VirtualMachine=auto, Gpu=keep", "");
        assert_only_ok(&c, "sleep.policy");
        c.sleep.gpu = GPU_SLEEP_UNBIND;
        assert_only_ok(&c, "sleep.policy");
        c.sleep.vm = VM_POLICY_HIBERNATE;
        assert_only_ok(&c, "sleep.policy");
        c.sleep.vm = VM_POLICY_SUSPEND;
        assert_found(&c, "sleep.policy", WARN, "Gpu=unbind has no effect", "hibernate");
        g_assert_null(find(&c, "sleep.policy", FINDING_WARN, "loses"));
        c.sleep.gpu = GPU_SLEEP_KEEP;
        assert_only_ok(&c, "sleep.policy");
        c.sleep.vm = VM_POLICY_PAUSE;
        assert_found(&c, "sleep.policy", WARN, "VirtualMachine=pause a virtual machine loses", "auto");
        c.sleep.gpu = GPU_SLEEP_HOST;
        assert_found(&c, "sleep.policy", WARN, "Gpu=host has no effect", "");
        c.sleep.vm = VM_POLICY_IGNORE;
        assert_found(&c, "sleep.policy", WARN, "VirtualMachine=ignore a virtual machine loses", "");
        sleep_policy_init(&c.sleep);
        c.sleep.restartable = true;
        assert_only_ok(&c, "sleep.policy");
        c.sleep.vm = VM_POLICY_INHIBIT;
        assert_found(&c, "sleep.policy", WARN, "Restartable=yes has no effect", "auto");
}

static void test_vm(void) {
        _cleanup_(case_done) Case c = case_new(build_desktop());
        VmAnswer can = { .state = VM_RUNNING, .s4 = true, .restart = true, .hint_s3 = (char *) "enable it" };

        assert_absent(&c, "sleep.vm");
        c.vm = (FindingsVm) { .gpu = "0000:08:00.0", .name = "win10 (qemu, pid 7)", .capabilities = &can };
        assert_found(&c, "sleep.vm", OK, "0000:08:00.0: win10 (qemu, pid 7) would sleep on its disk", "S3: enable it.");
        can.restart = false;
        can.s3 = true;
        assert_found(&c, "sleep.vm", OK, "sleep in its memory", "Restart: ");
        c.sleep.vm = VM_POLICY_HIBERNATE;
        assert_found(&c, "sleep.vm", WARN, "but it cannot be started", "Restart: ");
        c.sleep.vm = VM_POLICY_AUTO;
        can.s3 = can.s4 = false;
        can.hint_s4 = (char *) "ask for it";
        assert_found(&c, "sleep.vm", WARN, "0000:08:00.0: the host would stay awake: win10", "gpuptd.sleep(7)");
        g_assert_nonnull(strstr(find(&c, "sleep.vm", FINDING_WARN, "")->summary, "(ask for it) nor in its memory (enable it)"));
        c.sleep.on_error = SLEEP_ERROR_CONTINUE;
        assert_found(&c, "sleep.vm", WARN, "sleep all the same", "");
        c.sleep.on_error = SLEEP_ERROR_VETO;
        c.sleep.vm = VM_POLICY_PAUSE;
        assert_found(&c, "sleep.vm", OK, "would be paused", "");
        c.sleep.vm = VM_POLICY_INHIBIT;
        assert_found(&c, "sleep.vm", WARN, "stay awake", "");
        c.sleep.vm = VM_POLICY_IGNORE;
        assert_found(&c, "sleep.vm", OK, "left as it is", "");
}

/* Whom nobody knows, and who does not answer. */
static void test_vm_silent(void) {
        _cleanup_(case_done) Case c = case_new(build_desktop());

        c.vm = (FindingsVm) { .gpu = "0000:08:00.0", .name = "x", .stranger = "no adapter knows it" };
        assert_found(&c, "sleep.vm", WARN, "no adapter knows it", "gpuptd.vm.d(7)");
        c.vm = (FindingsVm) { .gpu = "0000:08:00.0", .name = "x", .silent = "no answer" };
        assert_found(&c, "sleep.vm", WARN, "no answer", "gpuptd.vm.d(7)");
        c.vm.gpu = "0000:77:00.0";
        assert_absent(&c, "sleep.vm");
}

/* ---- VFIO ---- */

static void test_modules(void) {
        _cleanup_(case_done) Case c = case_new(build_desktop());

        assert_only_ok(&c, "vfio.modules");
        say(&c, "setting install /etc/modprobe.d/no.conf 7 vfio_pci /bin/false");
        assert_found(&c, "vfio.modules", FAIL, "/etc/modprobe.d/no.conf:7", "line 7");
        say_instead(&c, "vfio_pci installed", "vfio_pci loaded");
        assert_only_ok(&c, "vfio.modules");
        say_instead(&c, "vfio_pci loaded", "vfio_pci missing");
        assert_found(&c, "vfio.modules", FAIL, "vfio-pci", "6.1.0-18-amd64");
        g_assert_cmpint(snapshot_add_driver(c.snapshot, "vfio-pci", NULL), ==, 0);
        assert_only_ok(&c, "vfio.modules");
        say_instead(&c, "vfio_iommu_type1 installed", "vfio_iommu_type1 missing");
        assert_found(&c, "vfio.modules", FAIL, "vfio_iommu_type1", "");
        say(&c, "module iommufd builtin");
        assert_only_ok(&c, "vfio.modules");
}

static void test_ids(void) {
        _cleanup_(case_done) Case c = case_new(build_desktop());
        const Function *f = snapshot_find(c.snapshot, DESKTOP);
        g_autofree char *ids = g_strdup_printf("%04X:%04X", f->vendor, f->device);
        g_autofree char *on_line = g_strdup_printf("vfio-pci.ids=8086:1234,%s", ids);

        assert_only_ok(&c, "vfio.ids");
        say(&c, "setting options /etc/modprobe.d/nvme.conf 1 vfio_pci ids=144d:a808");
        say(&c, "setting options /etc/modprobe.d/other.conf 1 snd_hda_intel ids=%s", ids);
        assert_only_ok(&c, "vfio.ids");
        say_instead(&c, "quiet", on_line);
        assert_found(&c, "vfio.ids", WARN, DESKTOP, "kernel command line");
        say_instead(&c, on_line, "quiet");
        say(&c, "setting options /etc/modprobe.d/vfio.conf 3 vfio_pci disable_vga=1\\x20ids=%s:1043:8706", ids);
        assert_found(&c, "vfio.ids", WARN, "/etc/modprobe.d/vfio.conf:3", "line 3");
        say_instead(&c, "options /etc/modprobe.d/vfio.conf", "load /etc/modules");
        assert_found(&c, "vfio.ids", WARN, "/etc/modules:3", "line 3");
}

static void test_override(void) {
        _cleanup_(case_done) Case c = case_new(build_desktop());

        assert_only_ok(&c, "vfio.override");
        /* The override that says what is so already does no harm. */
        g_assert_cmpint(saved_add(&c.overrides, DESKTOP, "override", snapshot_find(c.snapshot, DESKTOP)->driver), ==, 0);
        assert_only_ok(&c, "vfio.override");
        g_assert_cmpint(saved_replace(&c.overrides, DESKTOP, "override", "vfio-pci"), ==, 0);
        assert_found(&c, "vfio.override", WARN, "reserved for vfio-pci", DESKTOP "/driver_override");
        build_driver(c.snapshot, DESKTOP, "vfio-pci");
        assert_found(&c, "vfio.override", WARN, "gpuptd did not put it there", "gpuptctl attach " DESKTOP);
        say(&c, "driverctl " DESKTOP " vfio-pci");
        assert_found(&c, "vfio.override", WARN, "driverctl gives", "driverctl unset-override " DESKTOP);
        for (size_t i = 0; i < c.n_gpus; i++)
                c.gpus[i].taken = true;
        assert_only_ok(&c, "vfio.override");
        c.no_overrides = true;
        assert_found(&c, "vfio.override", WARN, "did not end", "");
}

static void test_idle(void) {
        _cleanup_(case_done) Case c = case_new(build_desktop());

        assert_absent(&c, "vfio.idle");
        say(&c, "parameter vfio_pci disable_idle_d3 N");
        assert_found(&c, "vfio.idle", OK, "may rest", "");
        say_instead(&c, "disable_idle_d3 N", "disable_idle_d3 Y");
        assert_found(&c, "vfio.idle", OK, "full power", "IdlePower=on");
}

static void test_memlock(void) {
        _cleanup_(case_done) Case c = case_new(build_desktop());

        assert_absent(&c, "vfio.memlock");
        c.caller = (FindingsCaller) { true, 0, 65536, 65536 };
        assert_only_ok(&c, "vfio.memlock");
        c.caller = (FindingsCaller) { true, 1000, 8 << 20, 8 << 20 };
        assert_found(&c, "vfio.memlock", WARN, "8 MiB", "1000:1000 - memlock");
        c.caller.memlock_hard = UINT64_MAX;
        assert_found(&c, "vfio.memlock", WARN, "8 MiB", "ulimit -l unlimited");
        c.caller.memlock_soft = UINT64_MAX;
        assert_only_ok(&c, "vfio.memlock");
        c.caller.memlock_soft = 16ULL << 30;
        assert_found(&c, "vfio.memlock", OK, "16 GiB", "ulimit -l");
}

/* ---- software ---- */

static void test_blacklist(void) {
        _cleanup_(case_done) Case c = case_new(build_desktop());
        Function *f = snapshot_find(c.snapshot, DESKTOP);

        f->host_modules = strv_free(f->host_modules);
        build_strv(&f->host_modules, "nouveau");
        build_strv(&f->host_modules, "nvidia");
        assert_only_ok(&c, "software.blacklist");
        /* NVIDIA's package does that. */
        say(&c, "setting blacklist /usr/lib/modprobe.d/nvidia.conf 1 nouveau \\-");
        assert_only_ok(&c, "software.blacklist");
        say_instead(&c, "quiet", "modprobe.blacklist=pcspkr,nvidia");
        assert_found(&c, "software.blacklist", WARN, "/usr/lib/modprobe.d/nvidia.conf:1", "nvidia.conf:1");
        say_instead(&c, "modprobe.blacklist=pcspkr,nvidia", "modprobe.blacklist=pcspkr,nvidia_uvm");
        assert_only_ok(&c, "software.blacklist");
        say(&c, "setting install /etc/modprobe.d/x.conf 2 nvidia /bin/true");
        assert_found(&c, "software.blacklist", WARN, DESKTOP, "nvidia.conf:1");
        say_instead(&c, "/bin/true", "/sbin/modprobe\\x20-i\\x20nvidia");
        assert_only_ok(&c, "software.blacklist");
        say(&c, "setting alias /etc/modprobe.d/y.conf 3 nvidia off");
        assert_found(&c, "software.blacklist", WARN, DESKTOP, "");
}

static void test_conflicts(void) {
        _cleanup_(case_done) Case c = case_new(build_desktop());

        assert_only_ok(&c, "software.bbswitch");
        g_assert_false(has_id(&c, "software.persistenced"));
        say(&c, "module bbswitch loaded");
        assert_found(&c, "software.bbswitch", WARN, "bbswitch is loaded", "bumblebeed");
        say(&c, "module nvhda loaded");
        assert_found(&c, "software.bbswitch", WARN, "bbswitch and nvhda are loaded", "");
        say(&c, "persistenced 812 nvidia-persistenced.service");
        assert_only_ok(&c, "software.persistenced");
        say_instead(&c, "nvidia-persistenced.service", "session-1.scope");
        assert_found(&c, "software.persistenced", WARN, "pid 812", "kill 812");
}

static void test_virqfd(void) {
        _cleanup_(case_done) Case c = case_new(build_desktop());

        say(&c, "setting load /etc/modules 4 vfio_virqfd \\-");
        assert_absent(&c, "software.virqfd");
        say_instead(&c, "release 6.1.0", "release 6.2.0");
        assert_found(&c, "software.virqfd", WARN, "/etc/modules:4", "line 4");
        say_instead(&c, "vfio_virqfd", "vfio_pci");
        assert_absent(&c, "software.virqfd");
}

static void test_xorg(void) {
        _cleanup_(case_done) Case c = case_new(build_desktop());

        say(&c, "setting xorg-bus-id /etc/X11/xorg.conf 3 PCI:77:0:0 \\-");
        say(&c, "setting xorg-driver /etc/X11/xorg.conf 4 modesetting \\-");
        say(&c, "setting xorg-bus-id /etc/X11/xorg.conf 5 nonsense \\-");
        assert_absent(&c, "software.xorg");
        say(&c, "setting xorg-bus-id /etc/X11/xorg.conf.d/10.conf 9 PCI:8@0:0:0 \\-");
        assert_found(&c, "software.xorg", WARN, "/etc/X11/xorg.conf.d/10.conf:9 ties Xorg to " DESKTOP, "section Device");
        say_instead(&c, "xorg-bus-id /etc/X11/xorg.conf.d/10.conf 9 PCI:8@0:0:0", "xorg-driver /etc/a.conf 2 nvidia");
        assert_found(&c, "software.xorg", WARN, "/etc/a.conf:2", "");
}

static void test_hooks(void) {
        _cleanup_(case_done) Case c = case_new(build_desktop());
        char first[] = "10-a", second[] = "20-b", warning[] = "/etc/gpuptd/hooks.d/x is not run as a hook: it does not belong to root.";

        assert_absent(&c, "software.hooks");
        c.hooks = (char *const[]) { first, second, NULL };
        assert_only_ok(&c, "software.hooks");
        c.hook_warnings = (char *const[]) { warning, NULL };
        assert_found(&c, "software.hooks", WARN, "x is not run", "gpuptd.hooks(7)");
        assert_found(&c, "software.hooks", OK, "10-a, 20-b", "");
        /* They are looked for by the daemon itself. */
        (void) g_string_free(c.survey, true);
        c.survey = NULL;
        assert_found(&c, "software.hooks", OK, "10-a, 20-b", "");
}

/* ---- GPUs ---- */

static void test_vendor_reset(void) {
        _cleanup_(case_done) Case c = case_new(build_desktop());
        Function *f;

        assert_absent(&c, "gpu.vendor-reset");
        say(&c, "module vendor_reset loaded");
        assert_found(&c, "software.vendor-reset", WARN, "none of the GPUs", "");
        f = snapshot_find(c.snapshot, DESKTOP);
        f->vendor = 0x1002;
        f->device = 0x731f;
        assert_found(&c, "gpu.vendor-reset", WARN, "does not list", "99-vendor-reset.rules");
        g_assert_false(has_id(&c, "software.vendor-reset"));
        build_strv(&f->reset_methods, "device_specific");
        assert_only_ok(&c, "gpu.vendor-reset");
        say_instead(&c, "vendor_reset loaded", "vendor_reset installed");
        assert_found(&c, "gpu.vendor-reset", WARN, "Navi 10", "modules-load.d");
        say_instead(&c, "vendor_reset installed", "vendor_reset missing");
        assert_found(&c, "gpu.vendor-reset", WARN, "not installed", "github.com/gnif/vendor-reset");
        f->device = 0x1900;
        assert_absent(&c, "gpu.vendor-reset");
}

static void test_group(void) {
        _cleanup_(case_done) Case c = case_new(build_desktop());
        Function *f;

        assert_only_ok(&c, "gpu.group");
        g_assert_nonnull(find(&c, "gpu.functions", FINDING_OK, DESKTOP));
        f = build_function(c.snapshot, "0000:0b:00.0", "010601 1022:43d1", snapshot_find(c.snapshot, DESKTOP)->group, "ahci", NULL);
        assert_found(&c, "gpu.group", FAIL, "0000:0b:00.0 (ahci)", "Functions=");
        free(f->driver);
        f->driver = NULL;
        assert_only_ok(&c, "gpu.group");
        snapshot_find(c.snapshot, DESKTOP)->group = -1;
        assert_found(&c, "gpu.group", FAIL, DESKTOP " is in no IOMMU group", "slot");
}

static void test_reserved(void) {
        _cleanup_(case_done) Case c = case_new(build_desktop());

        assert_absent(&c, "gpu.reserved");
        say(&c, "direct 0000:00:1f.0");
        assert_absent(&c, "gpu.reserved");
        say(&c, "direct " DESKTOP);
        assert_found(&c, "gpu.reserved", FAIL, DESKTOP, "firmware");
}

static void set_resets(Case *c, const char *first, const char *second) {
        Function *f = snapshot_find(c->snapshot, DESKTOP);

        f->reset_methods = strv_free(f->reset_methods);
        build_strv(&f->reset_methods, first);
        if (second)
                build_strv(&f->reset_methods, second);
}

static void test_reset(void) {
        _cleanup_(case_done) Case c = case_new(build_desktop());
        Function *f = snapshot_find(c.snapshot, DESKTOP);

        f->reset_methods = strv_free(f->reset_methods);
        assert_found(&c, "gpu.reset", WARN, DESKTOP " has no reset of its own", "gpuptctl recover " DESKTOP);
        set_resets(&c, "bus", NULL);
        assert_found(&c, "gpu.reset", WARN, DESKTOP " lists only bus, which fails (ENOTTY)", "how the card is made");
}

static void test_reset_listed(void) {
        _cleanup_(case_done) Case c = case_new(build_desktop());

        set_resets(&c, "flr", "bus");
        assert_found(&c, "gpu.reset", OK, DESKTOP " flr, bus; ", "");
        g_assert_null(find(&c, "gpu.reset", FINDING_WARN, DESKTOP " "));
}

static void test_driver(void) {
        _cleanup_(case_done) Case c = case_new(build_pair());
        Function *audio;

        assert_only_ok(&c, "gpu.driver");
        audio = snapshot_find(c.snapshot, "0000:3b:00.1");
        build_driver(c.snapshot, audio->address, NULL);
        assert_found(&c, "gpu.driver", WARN, "0000:3b:00.1, the audio function", "modprobe snd_hda_intel");
        build_driver(c.snapshot, PAIR, NULL);
        assert_found(&c, "gpu.driver", WARN, "No driver has " PAIR, "modprobe nvidia");
        snapshot_find(c.snapshot, PAIR)->host_modules = strv_free(snapshot_find(c.snapshot, PAIR)->host_modules);
        assert_found(&c, "gpu.driver", WARN, "no driver for " PAIR, "");
        build_driver(c.snapshot, PAIR, "vfio-pci");
        c.gpus[0].state = GPU_DETACHED;
        assert_found(&c, "gpu.driver", OK, PAIR " is with vfio-pci", "");
}

static void set_connected(Snapshot *s, const char *address, bool connected) {
        Function *f = snapshot_find(s, address);

        for (size_t i = 0; i < f->n_connectors; i++)
                g_assert_cmpint(free_and_strdup(&f->connectors[i].status, connected ? "connected" : "disconnected"), ==, 0);
}

static void test_display(void) {
        _cleanup_(case_done) Case c = case_new(build_desktop());

        set_connected(c.snapshot, DESKTOP, false);
        set_connected(c.snapshot, DESKTOP_HOST, true);
        snapshot_find(c.snapshot, DESKTOP_HOST)->boot_vga = true;
        assert_found(&c, "gpu.display", OK, "nothing on " DESKTOP, "");
        assert_found(&c, "gpu.display", WARN, DESKTOP_HOST " is the boot VGA card", "--disrupt-session");
        set_connected(c.snapshot, DESKTOP, true);
        assert_found(&c, "gpu.display", OK, DESKTOP " shows on ", "");
        set_connected(c.snapshot, DESKTOP_HOST, false);
        assert_found(&c, "gpu.display", WARN, DESKTOP " has the only screen", "another card");
        assert_found(&c, "gpu.display", OK, "no screen is connected", "");
        for (size_t i = 0; i < c.n_gpus; i++)
                c.gpus[i].last_display = LAST_DISPLAY_ALLOW;
        assert_only_ok(&c, "gpu.display");
        assert_absent(&c, "gpu.console");
        build_strv(&snapshot_find(c.snapshot, DESKTOP)->consoles, "vtcon1");
        assert_found(&c, "gpu.console", OK, "vtcon1", "");
}

static void test_use(void) {
        _cleanup_(case_done) Case c = case_new(build_desktop());
        Function *f = snapshot_find(c.snapshot, DESKTOP);

        assert_absent(&c, "gpu.use");
        f->has_vfs = true;
        assert_found(&c, "gpu.use", FAIL, "virtual functions", DESKTOP "/sriov_numvfs");
        f->has_vfs = false;
        build_strv(&f->mounted, "/mnt/disk");
        assert_found(&c, "gpu.use", FAIL, "/mnt/disk", "Unmount");
        f->mounted = strv_free(f->mounted);
        build_strv(&f->networks, "enp8s0");
        assert_found(&c, "gpu.use", FAIL, "enp8s0", "interface");
}

static void test_power(void) {
        _cleanup_(case_done) Case c = case_new(build_laptop());
        Function *f = snapshot_find(c.snapshot, LAPTOP);

        assert_found(&c, "gpu.power", OK, LAPTOP " may go to D3cold", "");
        g_assert_cmpint(free_and_strdup(&f->d3cold_allowed, "0"), ==, 0);
        assert_found(&c, "gpu.power", OK, LAPTOP " is kept out", "");
        g_assert_cmpint(free_and_strdup(&f->power_state, "D3cold"), ==, 0);
        assert_found(&c, "gpu.power", OK, LAPTOP " is off", "");
}

static void test_rebar(void) {
        _cleanup_(case_done) Case c = case_new(build_desktop());

        assert_absent(&c, "gpu.rebar");
        say(&c, "bar " DESKTOP " 1 268435456");
        assert_found(&c, "gpu.rebar", OK, "256 MiB", "");
        g_assert_cmpstr(find(&c, "gpu.rebar", FINDING_OK, "")->hint, ==, "");
        say_instead(&c, "268435456", "17179869184");
        assert_found(&c, "gpu.rebar", OK, "16 GiB", "code 43");
}

static void test_state(void) {
        static const struct {
                GpuState state;
                bool fails;
        } states[] = {
                { GPU_PARTIAL, false }, { GPU_ABSENT, true }, { GPU_UNREACHABLE, true }, { GPU_STUCK, true },
        };
        _cleanup_(case_done) Case c = case_new(build_desktop());

        assert_absent(&c, "gpu.state");
        for (size_t i = 0; i < G_N_ELEMENTS(states); i++) {
                const Finding *f;

                c.gpus[0].state = states[i].state;
                look(&c);
                f = find(&c, "gpu.state", states[i].fails ? FINDING_FAIL : FINDING_WARN, c.gpus[0].address);
                g_assert_nonnull(f);
                g_assert_nonnull(strstr(f->hint, "gpuptctl"));
        }
        c.gpus[0].state = GPU_ASSIGNED;
        assert_absent(&c, "gpu.state");
}

static void test_none(void) {
        _cleanup_(case_done) Case c = case_new(build_desktop());

        c.n_gpus = 0;
        assert_found(&c, "gpu.functions", FAIL, "no GPU", "gpuptctl rescan");
}

/* A card that has been removed has no functions. */
static void test_absent(void) {
        _cleanup_(case_done) Case c = case_new(build_desktop());

        c.gpus[0].address = "0000:77:00.0";
        c.gpus[0].state = GPU_ABSENT;
        assert_found(&c, "gpu.state", FAIL, "0000:77:00.0", "");
        g_assert_null(find(&c, "gpu.reset", FINDING_OK, "0000:77:00.0"));
}

/* ---- what the list is made of ---- */

static void test_no_survey(void) {
        _cleanup_(case_done) Case c = case_new(build_desktop());

        assert_absent(&c, "check.survey");
        (void) g_string_free(c.survey, true);
        c.survey = NULL;
        assert_found(&c, "check.survey", WARN, "did not end", "journalctl");
        g_assert_true(has_id(&c, "host.iommu"));
        g_assert_true(has_id(&c, "gpu.reset"));
        g_assert_false(has_id(&c, "host.kernel"));
}

static void test_incomplete(void) {
        _cleanup_(case_done) Case c = case_new(build_desktop());

        say(&c, "incomplete /etc/modprobe.d/huge.conf");
        assert_found(&c, "check.survey", WARN, "/etc/modprobe.d/huge.conf", "");
}

/* What is in files may be anything; what goes over the bus may not. */
static void test_hostile_text(void) {
        _cleanup_(case_done) Case c = case_new(build_desktop());

        say_instead(&c, "quiet", "pcie_acs_override=\\x1b[31m\\xff\\xc0\\xaf\\xed\\xa0\\x80\xc3\xa9");
        look(&c);
        for (size_t i = 0; i < c.findings->n; i++) {
                g_assert_true(g_utf8_validate(c.findings->list[i].summary, -1, NULL));
                g_assert_true(g_utf8_validate(c.findings->list[i].hint, -1, NULL));
                g_assert_null(strchr(c.findings->list[i].summary, '\033'));
        }
        g_assert_nonnull(find(&c, "host.isolation", FINDING_WARN, "?[31m??????\xc3\xa9"));
}

/* The groups come in their order, none in pieces. */
static void test_order(void) {
        static const char *const order[] = { "check.", "host.", "vfio.", "software.", "gpu.", "sleep." };
        _cleanup_(case_done) Case c = case_new(build_desktop());
        size_t at = 0;

        say(&c, "incomplete x");
        look(&c);
        for (size_t i = 0; i < c.findings->n; i++) {
                while (at < G_N_ELEMENTS(order) && !g_str_has_prefix(c.findings->list[i].id, order[at]))
                        at++;
                g_assert_cmpuint(at, <, G_N_ELEMENTS(order));
        }
        g_assert_cmpuint(at, ==, G_N_ELEMENTS(order) - 1);
}

int main(int argc, char *argv[]) {
        g_test_init(&argc, &argv, NULL);
        g_test_add_func("/findings/host/kernel", test_kernel);
        g_test_add_func("/findings/host/iommu", test_iommu);
        g_test_add_func("/findings/host/isolation", test_isolation);
        g_test_add_func("/findings/host/command-line", test_command_line);
        g_test_add_func("/findings/sleep/s3", test_sleep);
        g_test_add_func("/findings/sleep/gate", test_gate);
        g_test_add_func("/findings/sleep/user-slice", test_user_slice);
        g_test_add_func("/findings/sleep/policy", test_policy);
        g_test_add_func("/findings/sleep/vm", test_vm);
        g_test_add_func("/findings/sleep/vm-silent", test_vm_silent);
        g_test_add_func("/findings/vfio/modules", test_modules);
        g_test_add_func("/findings/vfio/ids", test_ids);
        g_test_add_func("/findings/vfio/override", test_override);
        g_test_add_func("/findings/vfio/idle", test_idle);
        g_test_add_func("/findings/vfio/memlock", test_memlock);
        g_test_add_func("/findings/software/blacklist", test_blacklist);
        g_test_add_func("/findings/software/conflicts", test_conflicts);
        g_test_add_func("/findings/software/virqfd", test_virqfd);
        g_test_add_func("/findings/software/xorg", test_xorg);
        g_test_add_func("/findings/software/hooks", test_hooks);
        g_test_add_func("/findings/gpu/vendor-reset", test_vendor_reset);
        g_test_add_func("/findings/gpu/group", test_group);
        g_test_add_func("/findings/gpu/reserved", test_reserved);
        g_test_add_func("/findings/gpu/reset", test_reset);
        g_test_add_func("/findings/gpu/reset-listed", test_reset_listed);
        g_test_add_func("/findings/gpu/driver", test_driver);
        g_test_add_func("/findings/gpu/display", test_display);
        g_test_add_func("/findings/gpu/use", test_use);
        g_test_add_func("/findings/gpu/power", test_power);
        g_test_add_func("/findings/gpu/rebar", test_rebar);
        g_test_add_func("/findings/gpu/state", test_state);
        g_test_add_func("/findings/gpu/none", test_none);
        g_test_add_func("/findings/gpu/absent", test_absent);
        g_test_add_func("/findings/no-survey", test_no_survey);
        g_test_add_func("/findings/incomplete", test_incomplete);
        g_test_add_func("/findings/hostile-text", test_hostile_text);
        g_test_add_func("/findings/order", test_order);
        return g_test_run();
}
