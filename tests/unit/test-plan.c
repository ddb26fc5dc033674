/* SPDX-License-Identifier: GPL-2.0-or-later */

/* test-plan: what happens in which order, on the machines of the field; what is refused; what each option
 * changes. That every plan can be walked back is test-plan-undo's. */

#include "plan-case.h"
#include "snapshot-builder.h"

#include "dbus/errors.h"

#define E "\\-" /* the empty word */

static void assert_steps(PlanCase *c, Operation operation, const char *steps) {
        _cleanup_(plan_freep) Plan *p = plan_case_build(c, operation);
        g_autofree char *text = plan_text(p);

        g_assert_cmpstr(text, ==, steps);
}

static void assert_says(PlanCase *c, Operation operation, const char *line, bool wanted) {
        _cleanup_(plan_freep) Plan *p = plan_case_build(c, operation);
        g_autofree char *text = plan_text(p);

        if (!!strstr(text, line) != wanted)
                g_error("%s '%s' in:\n%s", wanted ? "no" : "unwanted", line, text);
}

static void assert_driver_refused(PlanCase *c, Operation operation, const char *driver) {
        g_assert_cmpint(free_and_strdup(&c->options.driver, driver), ==, 0);
        plan_case_refused(c, operation, PLAN_E_INVALID, driver);
}

static void assert_driver_taken(PlanCase *c, Operation operation, const char *driver, const char *line) {
        g_assert_cmpint(free_and_strdup(&c->options.driver, driver), ==, 0);
        assert_says(c, operation, line, true);
}

static void record(PlanCase *c, const char *subject, const char *key, const char *value) {
        c->has_record = true;
        g_assert_cmpint(saved_add(&c->record, subject, key, value), ==, 0);
}

/* The card with VFIO. */
static PlanCase *detached(Snapshot *(*machine)(void), const char *gpu) {
        PlanCase *c = plan_case_new(machine(), gpu);

        for (char **a = c->functions; *a; a++)
                build_driver(c->snapshot, *a, "vfio-pci");
        return c;
}

/* ---- detach, in order ---- */

static void test_detach_apu(void) {
        g_autoptr(PlanCase) c = plan_case_new(build_apu(), APU);

        assert_steps(c, OPERATION_DETACH,
                     "check 0000:c5:00.0 0000:c5:00.1\n"
                     "save 0000:c5:00.0 0000:c5:00.1 0000:00:08.1\n"
                     "pin-power 0000:c5:00.0 0000:c5:00.1 0000:00:08.1\n"
                     "load vfio_pci\n"
                     "check-driver vfio-pci\n"
                     "override 0000:c5:00.0 vfio-pci\n"
                     "override 0000:c5:00.1 vfio-pci\n"
                     "ask 0000:c5:00.0 15\n"
                     "ask-sound 0000:c5:00.1 card0\n"
                     "wait-free 0000:c5:00.0 15\n"
                     "unbind 0000:c5:00.1 snd_hda_intel\n"
                     "unbind 0000:c5:00.0 amdgpu\n"
                     "bind 0000:c5:00.0 vfio-pci\n"
                     "bind 0000:c5:00.1 vfio-pci\n"
                     "verify 0000:c5:00.0 vfio-pci 0000:c5:00.1 vfio-pci\n"
                     "idle-power 0000:c5:00.0 auto 0000:c5:00.1 auto\n");
}

/* The driver leaves the display with its module; the others have no other card of it. */
static void test_detach_pair(void) {
        g_autoptr(PlanCase) c = plan_case_new(build_pair(), PAIR);

        plan_case_nvidia(c);
        assert_steps(c, OPERATION_DETACH,
                     "check 0000:3b:00.0 0000:3b:00.1\n"
                     "save 0000:3b:00.0 0000:3b:00.1 0000:3a:00.0\n"
                     "pin-power 0000:3b:00.0 0000:3b:00.1 0000:3a:00.0\n"
                     "load vfio_pci\n"
                     "check-driver vfio-pci\n"
                     "override 0000:3b:00.0 vfio-pci\n"
                     "override 0000:3b:00.1 vfio-pci\n"
                     "stop-unit nvidia-persistenced.service\n"
                     "ask 0000:3b:00.0 15\n"
                     "ask-sound 0000:3b:00.1 card1\n"
                     "wait-free 0000:3b:00.0 15\n"
                     "unload nvidia_drm\n"
                     "unload nvidia_modeset\n"
                     "unload nvidia_uvm\n"
                     "unload nvidia 0000:3b:00.0 nvidia\n"
                     "check-module nvidia_drm nvidia_modeset nvidia_uvm nvidia\n"
                     "release-console vtcon1\n"
                     "unbind 0000:3b:00.1 snd_hda_intel\n"
                     "bind 0000:3b:00.0 vfio-pci\n"
                     "bind 0000:3b:00.1 vfio-pci\n"
                     "verify 0000:3b:00.0 vfio-pci 0000:3b:00.1 vfio-pci\n"
                     "idle-power 0000:3b:00.0 auto 0000:3b:00.1 auto\n");
}

/* vfio-pci is there already: nothing is loaded. */
static void test_detach_laptop(void) {
        g_autoptr(PlanCase) c = plan_case_new(build_laptop(), LAPTOP);

        g_assert_cmpint(snapshot_add_driver(c->snapshot, "vfio-pci", "vfio_pci"), ==, 0);
        assert_steps(c, OPERATION_DETACH,
                     "check 0000:01:00.0 0000:01:00.1\n"
                     "save 0000:01:00.0 0000:01:00.1 0000:00:01.0\n"
                     "pin-power 0000:01:00.0 0000:01:00.1 0000:00:01.0\n"
                     "override 0000:01:00.0 vfio-pci\n"
                     "override 0000:01:00.1 vfio-pci\n"
                     "ask 0000:01:00.0 15\n"
                     "ask-sound 0000:01:00.1 card1\n"
                     "wait-free 0000:01:00.0 15\n"
                     "unbind 0000:01:00.1 snd_hda_intel\n"
                     "unbind 0000:01:00.0 nouveau\n"
                     "bind 0000:01:00.0 vfio-pci\n"
                     "bind 0000:01:00.1 vfio-pci\n"
                     "verify 0000:01:00.0 vfio-pci 0000:01:00.1 vfio-pci\n"
                     "idle-power 0000:01:00.0 auto 0000:01:00.1 auto\n");
}

/* UCSI, USB, audio, display; bound the other way round. */
static void test_detach_desktop(void) {
        g_autoptr(PlanCase) c = plan_case_new(build_desktop(), DESKTOP);

        assert_steps(c, OPERATION_DETACH,
                     "check 0000:08:00.0 0000:08:00.1 0000:08:00.2 0000:08:00.3\n"
                     "save 0000:08:00.0 0000:08:00.1 0000:08:00.2 0000:08:00.3 0000:00:03.1\n"
                     "pin-power 0000:08:00.0 0000:08:00.1 0000:08:00.2 0000:08:00.3 0000:00:03.1\n"
                     "load vfio_pci\n"
                     "check-driver vfio-pci\n"
                     "override 0000:08:00.0 vfio-pci\n"
                     "override 0000:08:00.1 vfio-pci\n"
                     "override 0000:08:00.2 vfio-pci\n"
                     "override 0000:08:00.3 vfio-pci\n"
                     "ask 0000:08:00.0 15\n"
                     "ask-sound 0000:08:00.1 card1\n"
                     "wait-free 0000:08:00.0 15\n"
                     "unbind 0000:08:00.3 nvidia-gpu\n"
                     "unbind 0000:08:00.2 xhci_hcd\n"
                     "unbind 0000:08:00.1 snd_hda_intel\n"
                     "unbind 0000:08:00.0 nouveau\n"
                     "bind 0000:08:00.0 vfio-pci\n"
                     "bind 0000:08:00.1 vfio-pci\n"
                     "bind 0000:08:00.2 vfio-pci\n"
                     "bind 0000:08:00.3 vfio-pci\n"
                     "verify 0000:08:00.0 vfio-pci 0000:08:00.1 vfio-pci 0000:08:00.2 vfio-pci 0000:08:00.3 vfio-pci\n"
                     "idle-power 0000:08:00.0 auto 0000:08:00.1 auto 0000:08:00.2 auto 0000:08:00.3 auto\n");
}

/* Those that may be are asked before they are waited for; a desktop that ends is not, and neither is one for the sound alone. */
static void test_detach_compositors(void) {
        g_autoptr(PlanCase) c = plan_case_new(build_apu(), APU), ended = plan_case_new(build_apu(), APU),
                            sound = plan_case_new(build_apu(), APU);
        _cleanup_(plan_freep) Plan *p = NULL, *ends = NULL, *silent = NULL;
        g_autofree char *text = NULL, *ends_text = NULL, *silent_text = NULL;

        plan_case_compositors(c);
        c->input.last_display = LAST_DISPLAY_ALLOW;
        c->options.disrupt_session = true;
        p = plan_case_build(c, OPERATION_DETACH);
        text = plan_text(p);
        g_assert_nonnull(strstr(text, "ask 0000:c5:00.0 15\n"
                                      "ask-compositor 0000:c5:00.0 card0 sway kwin_wayland\n"
                                      "ask-sound 0000:c5:00.1 card0\n"));
        plan_case_compositors(ended);
        plan_case_desktop(ended);
        ends = plan_case_build(ended, OPERATION_DETACH);
        ends_text = plan_text(ends);
        g_assert_nonnull(strstr(ends_text, "stop-unit lightdm.service\n"));
        g_assert_null(strstr(ends_text, "ask-compositor"));
        plan_case_compositors(sound);
        build_strv(&sound->options.functions, "0000:c5:00.1");
        silent = plan_case_build(sound, OPERATION_DETACH);
        silent_text = plan_text(silent);
        g_assert_null(strstr(silent_text, "ask-compositor"));
}

/* The other card needs the driver, so it stays loaded, and nothing of the other card is named. */
static void test_detach_twins(void) {
        g_autoptr(PlanCase) c = plan_case_new(build_twins(), OTHER_TWIN);

        plan_case_nvidia(c);
        assert_steps(c, OPERATION_DETACH,
                     "check 0000:02:00.0 0000:02:00.1\n"
                     "save 0000:02:00.0 0000:02:00.1 0000:00:01.1\n"
                     "pin-power 0000:02:00.0 0000:02:00.1 0000:00:01.1\n"
                     "load vfio_pci\n"
                     "check-driver vfio-pci\n"
                     "override 0000:02:00.0 vfio-pci\n"
                     "override 0000:02:00.1 vfio-pci\n"
                     "stop-unit nvidia-persistenced.service\n"
                     "ask 0000:02:00.0 15\n"
                     "ask-sound 0000:02:00.1 card1\n"
                     "wait-free 0000:02:00.0 15\n"
                     "unbind 0000:02:00.1 snd_hda_intel\n"
                     "unbind 0000:02:00.0 nvidia\n"
                     "bind 0000:02:00.0 vfio-pci\n"
                     "bind 0000:02:00.1 vfio-pci\n"
                     "verify 0000:02:00.0 vfio-pci 0000:02:00.1 vfio-pci\n"
                     "idle-power 0000:02:00.0 auto 0000:02:00.1 auto\n");
}

/* ---- attach, in order ---- */

static void test_attach_pair(void) {
        g_autoptr(PlanCase) c = detached(build_pair, PAIR);

        record(c, "0000:3b:00.0", "driver", "nvidia");
        record(c, "0000:3b:00.0", "override", "");
        record(c, "0000:3b:00.0", "power-control", "on");
        record(c, "0000:3b:00.0", "d3cold", "1");
        record(c, "0000:3b:00.0", "drm", "yes");
        record(c, "0000:3b:00.0", "screens", "DP-1,HDMI-A-1");
        record(c, "0000:3b:00.1", "driver", "snd_hda_intel");
        record(c, "0000:3b:00.1", "override", "snd_hda_intel");
        record(c, "0000:3b:00.1", "power-control", "auto");
        record(c, "0000:3a:00.0", "power-control", "auto");
        record(c, "0000:3a:00.0", "d3cold", "1");
        record(c, "vtcon1", "console", "bound");
        build_strv(&c->units, "nvidia-persistenced.service");
        build_strv(&c->modules, "nvidia_drm");
        build_strv(&c->modules, "nvidia");
        c->input.access_given = true;
        c->input.access_uid = 1000;
        assert_steps(c, OPERATION_ATTACH,
                     "check 0000:3b:00.0 0000:3b:00.1\n"
                     "save 0000:3b:00.0 0000:3b:00.1 0000:3a:00.0\n"
                     "wait-free 0000:3b:00.0 0\n"
                     "pin-power 0000:3b:00.0 0000:3b:00.1 0000:3a:00.0\n"
                     "override 0000:3b:00.0 nvidia\n"
                     "override 0000:3b:00.1 snd_hda_intel\n"
                     "revoke 0000:3b:00.0 1000\n"
                     "revoke 0000:3b:00.1 1000\n"
                     "unbind 0000:3b:00.1 vfio-pci\n"
                     "unbind 0000:3b:00.0 vfio-pci\n"
                     "load nvidia\n"
                     "load nvidia_drm\n"
                     "bind 0000:3b:00.0 nvidia\n"
                     "bind 0000:3b:00.1 snd_hda_intel\n"
                     "wait-drm 0000:3b:00.0 10\n"
                     "wait-screen 0000:3b:00.0 5 DP-1 HDMI-A-1\n"
                     "override 0000:3b:00.1 snd_hda_intel\n"
                     "override 0000:3b:00.0 " E "\n"
                     "restore-console vtcon1\n"
                     "restore-power 0000:3b:00.0 on 1 0000:3b:00.1 auto 1 0000:3a:00.0 auto 1\n"
                     "start-unit nvidia-persistenced.service\n");
}

/* Nobody has written down where it came from: the kernel chooses; the module of the display's choice is not
 * there. */
static void test_attach_without_record(void) {
        g_autoptr(PlanCase) c = detached(build_laptop, LAPTOP);
        g_autofree char *load = g_strdup_printf("load %s\n", plan_case_function(c, LAPTOP)->modalias);

        assert_says(c, OPERATION_ATTACH, load, false);
        assert_steps(c, OPERATION_ATTACH,
                     "check 0000:01:00.0 0000:01:00.1\n"
                     "save 0000:01:00.0 0000:01:00.1 0000:00:01.0\n"
                     "wait-free 0000:01:00.0 0\n"
                     "pin-power 0000:01:00.0 0000:01:00.1 0000:00:01.0\n"
                     "override 0000:01:00.0 " E "\n"
                     "override 0000:01:00.1 " E "\n"
                     "unbind 0000:01:00.1 vfio-pci\n"
                     "unbind 0000:01:00.0 vfio-pci\n"
                     "probe 0000:01:00.0\n"
                     "probe 0000:01:00.1\n"
                     "override 0000:01:00.1 " E "\n"
                     "override 0000:01:00.0 " E "\n"
                     "restore-power 0000:01:00.0 on 1 0000:01:00.1 on 1 0000:00:01.0 auto 1\n");

        for (size_t i = 0; i < c->snapshot->n_drivers; i++)
                if (streq(c->snapshot->drivers[i].name, "nouveau")) {
                        free(c->snapshot->drivers[i].name);
                        free(c->snapshot->drivers[i].module);
                        c->snapshot->drivers[i] = c->snapshot->drivers[--c->snapshot->n_drivers];
                        break;
                }
        assert_says(c, OPERATION_ATTACH, load, true);
}

/* What the configuration names, where nothing is recorded. What is recorded counts more. */
static void test_attach_host_driver(void) {
        g_autoptr(PlanCase) c = detached(build_laptop, LAPTOP);

        c->has_config = true;
        c->config.host_driver = (char *) "nvidia";
        assert_says(c, OPERATION_ATTACH, "bind 0000:01:00.0 nvidia\n", true);
        assert_says(c, OPERATION_ATTACH, "load nvidia\ncheck-driver nvidia\n", true);
        assert_says(c, OPERATION_ATTACH, "probe 0000:01:00.1\n", true);
        record(c, LAPTOP, "driver", "nouveau");
        assert_says(c, OPERATION_ATTACH, "bind 0000:01:00.0 nouveau\n", true);
        /* It was with VFIO before gpuptd ever saw it: that is no host driver. */
        saved_done(&c->record);
        record(c, LAPTOP, "driver", "vfio-pci");
        assert_says(c, OPERATION_ATTACH, "bind 0000:01:00.0 nvidia\n", true);
        c->has_config = false;
        assert_says(c, OPERATION_ATTACH, "probe 0000:01:00.0\n", true);
}

/* It had no driver, so it gets none. */
static void test_attach_driverless(void) {
        g_autoptr(PlanCase) c = detached(build_laptop, LAPTOP);

        record(c, LAPTOP, "driver", "");
        record(c, "0000:01:00.1", "driver", "snd_hda_intel");
        assert_says(c, OPERATION_ATTACH, "unbind 0000:01:00.0 vfio-pci\n", true);
        assert_says(c, OPERATION_ATTACH, "probe", false);
        assert_says(c, OPERATION_ATTACH, "\nbind 0000:01:00.0", false);
        assert_says(c, OPERATION_ATTACH, "\nbind 0000:01:00.1 snd_hda_intel\n", true);
}

/* ---- nothing to do, or half of it ---- */

static void test_nothing(void) {
        g_autoptr(PlanCase) host = plan_case_new(build_desktop(), DESKTOP), vfio = detached(build_desktop, DESKTOP);

        assert_steps(host, OPERATION_ATTACH, "");
        assert_steps(vfio, OPERATION_DETACH, "");
        /* The last display is not asked about where nothing moves. */
        plan_case_function(vfio, DESKTOP)->boot_vga = true;
        assert_steps(vfio, OPERATION_DETACH, "");
}

static void test_detach_partial(void) {
        g_autoptr(PlanCase) c = plan_case_new(build_desktop(), DESKTOP);

        build_driver(c->snapshot, DESKTOP, "vfio-pci");
        build_driver(c->snapshot, "0000:08:00.2", NULL);
        assert_steps(c, OPERATION_DETACH,
                     "check 0000:08:00.0 0000:08:00.1 0000:08:00.2 0000:08:00.3\n"
                     "save 0000:08:00.0 0000:08:00.1 0000:08:00.2 0000:08:00.3 0000:00:03.1\n"
                     "pin-power 0000:08:00.0 0000:08:00.1 0000:08:00.2 0000:08:00.3 0000:00:03.1\n"
                     "override 0000:08:00.1 vfio-pci\n"
                     "override 0000:08:00.2 vfio-pci\n"
                     "override 0000:08:00.3 vfio-pci\n"
                     "ask 0000:08:00.0 15\n"
                     "ask-sound 0000:08:00.1 card1\n"
                     "wait-free 0000:08:00.0 15\n"
                     "unbind 0000:08:00.3 nvidia-gpu\n"
                     "unbind 0000:08:00.1 snd_hda_intel\n"
                     "bind 0000:08:00.1 vfio-pci\n"
                     "bind 0000:08:00.2 vfio-pci\n"
                     "bind 0000:08:00.3 vfio-pci\n"
                     "verify 0000:08:00.0 vfio-pci 0000:08:00.1 vfio-pci 0000:08:00.2 vfio-pci 0000:08:00.3 vfio-pci\n"
                     "idle-power 0000:08:00.0 auto 0000:08:00.1 auto 0000:08:00.2 auto 0000:08:00.3 auto\n");
}

/* It had no driver, but an override of somebody's, when it was taken; a rescan has given it one since. The old override
 * would take it away again at the next probe. */
static void test_attach_replugged(void) {
        g_autoptr(PlanCase) c = plan_case_new(build_laptop(), LAPTOP);

        record(c, LAPTOP, "driver", "nouveau");
        record(c, LAPTOP, "override", "nouveau");
        record(c, "0000:01:00.1", "driver", "");
        record(c, "0000:01:00.1", "override", "vfio-pci");
        assert_says(c, OPERATION_ATTACH, "override 0000:01:00.1 " E "\n", true);
        assert_says(c, OPERATION_ATTACH, "override 0000:01:00.0 nouveau\n", true);

        build_driver(c->snapshot, "0000:01:00.1", NULL);
        assert_says(c, OPERATION_ATTACH, "override 0000:01:00.1 vfio-pci\n", true);
}

/* Only what is away is moved; what is home is left alone but for what was changed on it. */
static void test_attach_partial(void) {
        g_autoptr(PlanCase) c = plan_case_new(build_laptop(), LAPTOP);

        build_driver(c->snapshot, "0000:01:00.1", "vfio-pci");
        record(c, LAPTOP, "driver", "nouveau");
        record(c, LAPTOP, "override", "");
        record(c, "0000:01:00.1", "driver", "snd_hda_intel");
        record(c, "0000:01:00.1", "override", "");
        assert_steps(c, OPERATION_ATTACH,
                     "check 0000:01:00.0 0000:01:00.1\n"
                     "save 0000:01:00.0 0000:01:00.1 0000:00:01.0\n"
                     "wait-free 0000:01:00.0 0\n"
                     "pin-power 0000:01:00.0 0000:01:00.1 0000:00:01.0\n"
                     "override 0000:01:00.1 snd_hda_intel\n"
                     "unbind 0000:01:00.1 vfio-pci\n"
                     "bind 0000:01:00.1 snd_hda_intel\n"
                     "override 0000:01:00.1 " E "\n"
                     "override 0000:01:00.0 " E "\n"
                     "restore-power 0000:01:00.0 on 1 0000:01:00.1 on 1 0000:00:01.0 auto 1\n");

        /* Somebody else has bound everything: what gpuptd had changed is still put back. */
        build_driver(c->snapshot, "0000:01:00.1", "snd_hda_intel");
        assert_says(c, OPERATION_ATTACH, "override 0000:01:00.0 " E "\n", true);
        assert_says(c, OPERATION_ATTACH, "bind", false);

        /* Bound to what it did not come from. */
        build_driver(c->snapshot, LAPTOP, "nvidia");
        assert_says(c, OPERATION_ATTACH, "unbind 0000:01:00.0 nvidia\n", true);
        assert_says(c, OPERATION_ATTACH, "\nbind 0000:01:00.0 nouveau\n", true);
}

/* A companion has gone from the bus: the rest moves without it. */
static void test_missing_companion(void) {
        g_autoptr(PlanCase) c = plan_case_new(build_laptop(), LAPTOP);

        build_strv(&c->functions, "0000:01:00.2");
        assert_says(c, OPERATION_DETACH, "0000:01:00.2", false);
}

/* ---- options ---- */

static void test_functions(void) {
        g_autoptr(PlanCase) c = plan_case_new(build_desktop(), DESKTOP), apu = plan_case_new(build_apu(), APU);

        /* What else is in the group blocks it. */
        build_strv(&c->options.functions, "0000:08:00.1");
        plan_case_refused(c, OPERATION_DETACH, PLAN_E_NOT_VIABLE, "0000:08:00.0 (nouveau)");
        build_strv(&c->options.functions, "0000:08:00.4");
        plan_case_refused(c, OPERATION_DETACH, PLAN_E_INVALID, "0000:08:00.4 is not a function of");

        /* In a group of its own the audio moves alone. */
        build_strv(&apu->options.functions, "0000:c5:00.1");
        assert_steps(apu, OPERATION_DETACH,
                     "check 0000:c5:00.1\n"
                     "save 0000:c5:00.1 0000:00:08.1\n"
                     "pin-power 0000:c5:00.1 0000:00:08.1\n"
                     "load vfio_pci\n"
                     "check-driver vfio-pci\n"
                     "override 0000:c5:00.1 vfio-pci\n"
                     "ask 0000:c5:00.0 15\n"
                     "ask-sound 0000:c5:00.1 card0\n"
                     "wait-free 0000:c5:00.0 15\n"
                     "unbind 0000:c5:00.1 snd_hda_intel\n"
                     "bind 0000:c5:00.1 vfio-pci\n"
                     "verify 0000:c5:00.1 vfio-pci\n"
                     "idle-power 0000:c5:00.1 auto\n");
}

static void test_vfio_driver(void) {
        g_autoptr(PlanCase) c = plan_case_new(build_laptop(), LAPTOP);
        Function *f = plan_case_function(c, LAPTOP);

        assert_driver_refused(c, OPERATION_DETACH, "nvme");
        assert_driver_refused(c, OPERATION_DETACH, "nouveau");
        assert_driver_refused(c, OPERATION_DETACH, "mlx5_vfio_pci");
        assert_driver_taken(c, OPERATION_DETACH, "vfio_pci", "\nbind 0000:01:00.0 vfio-pci\n");

        /* A variant whose alias matches is what it is for, and is taken unasked. */
        strv_free(f->vfio_modules);
        f->vfio_modules = NULL;
        build_strv(&f->vfio_modules, "nvgrace_gpu_vfio_pci");
        build_strv(&f->vfio_modules, "vfio_pci");
        assert_driver_taken(c, OPERATION_DETACH, "nvgrace-gpu-vfio-pci", "\nbind 0000:01:00.0 nvgrace-gpu-vfio-pci\n");
        assert_driver_taken(c, OPERATION_DETACH, "vfio-pci", "\nbind 0000:01:00.0 vfio-pci\n");
        assert_driver_taken(c, OPERATION_DETACH, NULL, "\nbind 0000:01:00.0 nvgrace-gpu-vfio-pci\n");
        assert_says(c, OPERATION_DETACH, "\nbind 0000:01:00.1 vfio-pci\n", true);
        assert_says(c, OPERATION_DETACH, "load nvgrace_gpu_vfio_pci\ncheck-driver nvgrace-gpu-vfio-pci\n", true);
        assert_says(c, OPERATION_DETACH, "load vfio_pci\ncheck-driver vfio-pci\n", true);

        c->has_config = true;
        c->config.vfio_driver = (char *) "vfio-pci";
        assert_says(c, OPERATION_DETACH, "\nbind 0000:01:00.0 vfio-pci\n", true);
        c->config.vfio_driver = (char *) "nvme";
        plan_case_refused(c, OPERATION_DETACH, PLAN_E_INVALID, "'nvme' is not a VFIO driver");
}

static void test_host_driver(void) {
        g_autoptr(PlanCase) c = detached(build_laptop, LAPTOP);

        assert_driver_refused(c, OPERATION_ATTACH, "nvme");
        assert_driver_refused(c, OPERATION_ATTACH, "vfio-pci");
        assert_driver_refused(c, OPERATION_ATTACH, "nvidia");
        assert_driver_taken(c, OPERATION_ATTACH, "nouveau", "\nbind 0000:01:00.0 nouveau\n");
        record(c, LAPTOP, "driver", "nvidia");
        assert_driver_taken(c, OPERATION_ATTACH, "nvidia", "\nbind 0000:01:00.0 nvidia\n");
        c->has_config = true;
        c->config.host_driver = (char *) "vendor-gpu";
        assert_driver_taken(c, OPERATION_ATTACH, "vendor_gpu", "\nbind 0000:01:00.0 vendor_gpu\n");
}

static void test_access(void) {
        g_autoptr(PlanCase) c = plan_case_new(build_laptop(), LAPTOP), vfio = detached(build_laptop, LAPTOP);

        c->options.access = vfio->options.access = true;
        c->options.uid = vfio->options.uid = 1000;
        assert_says(c, OPERATION_DETACH, "\naccess 0000:01:00.0 1000\naccess 0000:01:00.1 1000\n", true);
        /* Detached already: the nodes are given, nothing else is touched. */
        assert_steps(vfio, OPERATION_DETACH,
                     "check 0000:01:00.0 0000:01:00.1\n"
                     "verify 0000:01:00.0 vfio-pci 0000:01:00.1 vfio-pci\n"
                     "access 0000:01:00.0 1000\n"
                     "access 0000:01:00.1 1000\n");
        /* What was not given is not taken. */
        assert_says(vfio, OPERATION_ATTACH, "revoke", false);
        vfio->input.access_given = true;
        vfio->input.access_uid = 1001;
        assert_says(vfio, OPERATION_ATTACH, "revoke 0000:01:00.0 1001\nrevoke 0000:01:00.1 1001\n", true);
}

static void test_force(void) {
        g_autoptr(PlanCase) c = plan_case_new(build_laptop(), LAPTOP);
        Holder *h;

        (void) plan_case_holder(c, 4711);
        h = plan_case_holder(c, 1000);
        h->protected = true;
        (void) plan_case_holder(c, 5000);
        /* Holders are named, and waited for; only force ends them. */
        assert_says(c, OPERATION_DETACH, "\nend ", false);
        assert_says(c, OPERATION_DETACH, "wait-asked", false);
        c->options.force = true;
        assert_says(c, OPERATION_DETACH,
                    "ask 0000:01:00.0 15\n"
                    "ask-sound 0000:01:00.1 card1\n"
                    "wait-asked 0000:01:00.0 5\n"
                    "end 4711 104711 5\n"
                    "end 5000 105000 5\n"
                    "wait-free 0000:01:00.0 15\n"
                    "unbind", true);
        c->options.wait_sec = 3;
        assert_says(c, OPERATION_DETACH, "wait-asked 0000:01:00.0 3\n", true);
        assert_says(c, OPERATION_DETACH, "wait-free 0000:01:00.0 3\n", true);

        /* Nobody holds it: nobody is ended. */
        holders_free(c->holders);
        c->holders = holders_new();
        assert_says(c, OPERATION_DETACH, "wait-asked", false);

        h = plan_case_holder(c, 6000);
        h->is_vm = true;
        h->vm_name = strdup("win10");
        plan_case_refused(c, OPERATION_DETACH, PLAN_E_IN_USE, "The virtual machine win10 (pid 6000)");
        c->options.force = false;
        assert_says(c, OPERATION_DETACH, "end 6000", false);
}

static void test_wait(void) {
        g_autoptr(PlanCase) c = detached(build_laptop, LAPTOP);
        Holder *h = plan_case_holder(c, 6000);

        h->is_vm = true;
        h->vm_name = strdup("win10");
        h->vm_manager = strdup("libvirt");
        plan_case_refused(c, OPERATION_ATTACH, PLAN_E_IN_USE, "The virtual machine win10 (libvirt, pid 6000)");
        /* The caller gives it time. */
        c->options.has_wait = true;
        c->options.wait_sec = 60;
        assert_says(c, OPERATION_ATTACH, "wait-free 0000:01:00.0 60\npin-power", true);
}

static void test_stop_units(void) {
        g_autoptr(PlanCase) c = plan_case_new(build_laptop(), LAPTOP);
        char *units[] = { (char *) "ollama.service", NULL };

        plan_case_nvidia(c);
        c->has_config = true;
        c->config.stop_units = units;
        assert_says(c, OPERATION_DETACH, "stop-unit nvidia-persistenced.service\nstop-unit ollama.service\nask ",
                    true);
}

static void test_idle_power(void) {
        g_autoptr(PlanCase) c = plan_case_new(build_laptop(), LAPTOP);

        c->has_config = true;
        c->config.idle_power = IDLE_POWER_ON;
        assert_says(c, OPERATION_DETACH, "idle-power 0000:01:00.0 on 0000:01:00.1 on\n", true);
}

/* Between the unbinds and the binds; a refresh binds the host's driver once more. */
static void test_before_vfio(void) {
        char *reset[] = { (char *) "audio:reset", NULL }, *refresh[] = { (char *) "refresh", NULL };
        g_autoptr(PlanCase) c = plan_case_new(build_laptop(), LAPTOP);

        c->has_config = true;
        c->config.before_vfio = reset;
        build_strv(&plan_case_function(c, "0000:01:00.1")->reset_methods, "flr");
        assert_says(c, OPERATION_DETACH, "unbind 0000:01:00.0 nouveau\nreset 0000:01:00.1 " E "\nbind 0000:01:00.0 vfio-pci\n", true);

        c->config.before_vfio = refresh;
        plan_case_refused(c, OPERATION_DETACH, PLAN_E_NOT_SUPPORTED, "bbswitch");
        build_strv(&plan_case_function(c, LAPTOP)->switches, "bbswitch");
        build_strv(&plan_case_function(c, LAPTOP)->switches, "nvhda");
        assert_says(c, OPERATION_DETACH,
                    "unbind 0000:01:00.0 nouveau\n"
                    "switch-power nvhda OFF\n"
                    "switch-power bbswitch OFF\n"
                    "switch-power bbswitch ON\n"
                    "switch-power nvhda ON\n"
                    "rebind 0000:01:00.0 nouveau\n"
                    "unbind 0000:01:00.0 nouveau\n"
                    "override 0000:01:00.0 vfio-pci\n"
                    "bind 0000:01:00.0 vfio-pci\n",
                    true);
        /* What is with VFIO already is left as it is. */
        build_driver(c->snapshot, LAPTOP, "vfio-pci");
        build_driver(c->snapshot, "0000:01:00.1", "vfio-pci");
        assert_says(c, OPERATION_DETACH, "switch-power", false);
}

/* ---- unload ---- */

static void test_unload(void) {
        g_autoptr(PlanCase) c = plan_case_new(build_pair(), PAIR);

        plan_case_nvidia(c);
        /* The audio alone: the display's driver stays. */
        plan_case_function(c, "0000:3b:00.1")->group = 32;
        build_strv(&c->options.functions, "0000:3b:00.1");
        assert_says(c, OPERATION_DETACH, "unload", false);
        c->options.functions = strv_free(c->options.functions);
        assert_says(c, OPERATION_DETACH, "unload nvidia 0000:3b:00.0 nvidia\n", true);

        /* Another driver than the one that the modules are of: they go, and it is unbound. */
        for (size_t i = 0; i < c->snapshot->n_drivers; i++)
                if (streq(c->snapshot->drivers[i].name, "nvidia"))
                        g_assert_cmpint(free_and_strdup(&c->snapshot->drivers[i].module, "nvidia_legacy"), ==, 0);
        assert_says(c, OPERATION_DETACH, "unload nvidia\n", true);
        assert_says(c, OPERATION_DETACH, "\nunbind 0000:3b:00.0 nvidia\n", true);

        build_driver(c->snapshot, PAIR, NULL);
        assert_says(c, OPERATION_DETACH, "unload", false);
}

/* Two heads of one card: both lose their driver with its module, and both get it back. */
static void test_unload_two_heads(void) {
        g_autoptr(PlanCase) c = plan_case_new(build_pair(), PAIR);
        _cleanup_(plan_freep) Plan *p = NULL, *undo = NULL;
        g_autofree char *text = NULL;
        Saved saved = {};

        (void) build_function(c->snapshot, "0000:3b:00.2", "038000 10de:1b81", 31, "nvidia", "0000:3a:00.0");
        build_strv(&c->functions, "0000:3b:00.2");
        plan_case_nvidia(c);
        assert_says(c, OPERATION_DETACH, "unload nvidia 0000:3b:00.0 nvidia 0000:3b:00.2 nvidia\n", true);
        assert_says(c, OPERATION_DETACH, "unbind 0000:3b:00.2", false);
        p = plan_case_build(c, OPERATION_DETACH);
        for (size_t i = 0; i < p->n; i++)
                if (p->steps[i].verb == VERB_UNLOAD && streq(p->steps[i].target, "nvidia")) {
                        g_assert_cmpint(plan_undo(p, i, &saved, &undo), ==, 0);
                        text = plan_text(undo);
                        g_assert_cmpstr(text, ==,
                                        "load nvidia\nrebind 0000:3b:00.0 nvidia\nrebind 0000:3b:00.2 nvidia\n");
                }
        g_assert_nonnull(text);
}

/* ---- refusals ---- */

static void test_no_device(void) {
        g_autoptr(PlanCase) c = plan_case_new(build_laptop(), LAPTOP);
        char *gone[] = { (char *) "0000:07:00.0", NULL };
        char **functions = c->functions;

        c->functions = gone;
        plan_case_refused(c, OPERATION_DETACH, PLAN_E_NO_DEVICE, "is not on the PCI bus");
        plan_case_refused(c, OPERATION_ATTACH, PLAN_E_NO_DEVICE, "is not on the PCI bus");
        c->functions = functions;
}

static void test_group(void) {
        g_autoptr(PlanCase) c = plan_case_new(build_laptop(), LAPTOP);

        build_function(c->snapshot, "0000:01:00.2", "020000 10ec:8168", 1, "r8169", "0000:00:01.0");
        plan_case_refused(c, OPERATION_DETACH, PLAN_E_NOT_VIABLE, "0000:01:00.2 (r8169)");
        build_driver(c->snapshot, "0000:01:00.2", "pci-stub");
        assert_says(c, OPERATION_DETACH, "0000:01:00.2", false);
        /* What is with VFIO already comes back, whatever has joined the group. */
        build_driver(c->snapshot, "0000:01:00.2", "r8169");
        build_driver(c->snapshot, LAPTOP, "vfio-pci");
        assert_says(c, OPERATION_ATTACH, "probe 0000:01:00.0\n", true);

        build_driver(c->snapshot, LAPTOP, "nouveau");
        plan_case_function(c, "0000:01:00.1")->group = -1;
        plan_case_refused(c, OPERATION_DETACH, PLAN_E_NOT_VIABLE, "0000:01:00.1 is in no IOMMU group");
}

static void test_in_use(void) {
        g_autoptr(PlanCase) c = plan_case_new(build_desktop(), DESKTOP);
        Function *usb = plan_case_function(c, "0000:08:00.2");

        build_strv(&usb->mounted, "/home");
        plan_case_refused(c, OPERATION_DETACH, PLAN_E_IN_USE, "0000:08:00.2 carries a mounted file system: /home");
        usb->mounted = strv_free(usb->mounted);
        build_strv(&usb->networks, "enx00");
        plan_case_refused(c, OPERATION_DETACH, PLAN_E_IN_USE, "only network that is up: enx00");
        /* What does not move may do as it likes. */
        usb->networks = strv_free(usb->networks);
        build_strv(&plan_case_function(c, "0000:09:00.1")->mounted, "/");
        assert_says(c, OPERATION_DETACH, "unbind 0000:08:00.2 xhci_hcd\n", true);

        plan_case_function(c, DESKTOP)->has_vfs = true;
        plan_case_refused(c, OPERATION_DETACH, PLAN_E_IN_USE, "0000:08:00.0 has virtual functions");
}

static bool is_undone_by_itself(const Plan *p, Verb verb) {
        for (size_t i = 0; i < p->n; i++)
                if (p->steps[i].verb == verb) {
                        _cleanup_(plan_freep) Plan *undo = NULL;

                        g_assert_cmpint(plan_undo(p, i, &(Saved) {}, &undo), ==, 0);
                        return undo->n == 1 && undo->steps[0].verb == verb;
                }
        g_assert_not_reached();
}

/* A rung that is to bring a screen back waits for it when it has been walked back; an attach that is undone waits for none. */
static void test_missed_screen(void) {
        g_autoptr(PlanCase) c = plan_case_new(build_desktop(), DESKTOP);
        char *screens[] = { (char *) "HDMI-A-1", (char *) "DP-1", NULL };
        _cleanup_(plan_freep) Plan *rung = NULL, *to_vfio = NULL, *home = NULL;

        c->options.rung = RUNG_REMOVE_RESCAN;
        c->input.missed_screens = screens;
        rung = plan_case_build(c, OPERATION_RESET);
        g_assert_cmpint(rung->steps[0].verb, ==, VERB_SAVE);
        g_assert_cmpint(rung->steps[1].verb, ==, VERB_WAIT_SCREEN);
        g_assert_cmpstr(rung->steps[1].target, ==, DESKTOP);
        g_assert_cmpstr(rung->steps[1].arguments[2], ==, "DP-1");
        g_assert_true(is_undone_by_itself(rung, VERB_WAIT_SCREEN));

        for (char **a = c->functions; *a; a++)
                build_driver(c->snapshot, *a, "vfio-pci");
        to_vfio = plan_case_build(c, OPERATION_RESET);
        g_assert_false(plan_has(to_vfio, VERB_WAIT_SCREEN, DESKTOP));
        c->has_record = true;
        g_assert_cmpint(saved_add(&c->record, DESKTOP, "driver", "nouveau"), ==, 0);
        g_assert_cmpint(saved_add(&c->record, DESKTOP, "screens", "HDMI-A-1"), ==, 0);
        home = plan_case_build(c, OPERATION_ATTACH);
        g_assert_false(is_undone_by_itself(home, VERB_WAIT_SCREEN));
}

static void test_last_display(void) {
        const struct {
                bool boot_vga, seat, own_screen, other_screen, refused;
        } cases[] = {
                { .boot_vga = false, .own_screen = false, .seat = true, .refused = false },
                { .boot_vga = false, .own_screen = true, .other_screen = true, .refused = false },
                { .boot_vga = false, .own_screen = true, .other_screen = false, .refused = true },
                { .boot_vga = true, .seat = false, .own_screen = false, .refused = false },
                { .boot_vga = true, .seat = true, .own_screen = false, .refused = true },
                { .boot_vga = true, .seat = false, .own_screen = true, .other_screen = true, .refused = true },
        };

        for (size_t i = 0; i < G_N_ELEMENTS(cases); i++) {
                g_autoptr(PlanCase) c = plan_case_new(build_desktop(), DESKTOP);

                g_test_message("case %zu", i);
                plan_case_function(c, DESKTOP)->boot_vga = cases[i].boot_vga;
                plan_case_function(c, DESKTOP_HOST)->boot_vga = !cases[i].boot_vga;
                g_assert_cmpint(free_and_strdup(&plan_case_function(c, DESKTOP)->connectors->status,
                                                cases[i].own_screen ? "connected" : "disconnected"), ==, 0);
                g_assert_cmpint(free_and_strdup(&plan_case_function(c, DESKTOP_HOST)->connectors->status,
                                                cases[i].other_screen ? "connected" : "unknown"), ==, 0);
                c->input.seat_active = cases[i].seat;
                if (!cases[i].refused) {
                        assert_says(c, OPERATION_DETACH, "unbind 0000:08:00.0", true);
                        continue;
                }
                plan_case_refused(c, OPERATION_DETACH, PLAN_E_LAST_DISPLAY, "disrupt-session");
                c->options.disrupt_session = true;
                assert_says(c, OPERATION_DETACH, "unbind 0000:08:00.0", true);
                c->options.disrupt_session = false;
                c->input.last_display = LAST_DISPLAY_ALLOW;
                assert_says(c, OPERATION_DETACH, "unbind 0000:08:00.0", true);
        }
}

static void test_not_supported(void) {
        g_autoptr(PlanCase) c = plan_case_new(build_laptop(), LAPTOP);

        for (Operation o = 0; o < _OPERATION_MAX; o++)
                if (o != OPERATION_DETACH && o != OPERATION_ATTACH && o != OPERATION_RESET && o != OPERATION_PHASE)
                        plan_case_refused(c, o, PLAN_E_NOT_SUPPORTED, operation_to_string(o));
}

static void test_refusal_errors(void) {
        g_assert_cmpstr(plan_refusal_error(PLAN_E_NO_DEVICE), ==, GPUPT_ERROR_UNREACHABLE);
        g_assert_cmpstr(plan_refusal_error(PLAN_E_NOT_VIABLE), ==, GPUPT_ERROR_GROUP_NOT_VIABLE);
        g_assert_cmpstr(plan_refusal_error(PLAN_E_IN_USE), ==, GPUPT_ERROR_IN_USE);
        g_assert_cmpstr(plan_refusal_error(PLAN_E_LAST_DISPLAY), ==, GPUPT_ERROR_LAST_DISPLAY);
        g_assert_cmpstr(plan_refusal_error(PLAN_E_INVALID), ==, "org.freedesktop.DBus.Error.InvalidArgs");
        g_assert_cmpstr(plan_refusal_error(PLAN_E_NOT_SUPPORTED), ==, GPUPT_ERROR_NOT_SUPPORTED);
}

/* A plan is the same after a way through the journal. */
static void test_lines(void) {
        g_autoptr(PlanCase) c = plan_case_new(build_pair(), PAIR);
        _cleanup_(plan_freep) Plan *p = NULL, *again = plan_new(OPERATION_DETACH);
        _cleanup_free_ char *text = NULL, *text_again = NULL;
        static const char *const bad[][5] = {
                { "step", NULL },
                { "step", "bind", NULL },
                { "step", "fly", "0000:01:00.0", NULL },
                { "save", "bind", "x", NULL },
        };

        plan_case_nvidia(c);
        p = plan_case_build(c, OPERATION_DETACH);
        text = plan_text(p);
        for (size_t i = 0; i < p->n; i++) {
                _cleanup_strv_free_ char **words = NULL;

                build_strv(&words, "step");
                build_strv(&words, verb_to_string(p->steps[i].verb));
                build_strv(&words, p->steps[i].target);
                for (char **a = p->steps[i].arguments; a && *a; a++)
                        build_strv(&words, *a);
                g_assert_cmpint(plan_read_line(again, words), ==, 0);
        }
        text_again = plan_text(again);
        g_assert_cmpstr(text, ==, text_again);
        for (size_t i = 0; i < G_N_ELEMENTS(bad); i++)
                g_assert_cmpint(plan_read_line(again, (char *const *) bad[i]), ==, -EBADMSG);
}

int main(int argc, char *argv[]) {
        g_test_init(&argc, &argv, NULL);
        g_test_add_func("/plan/detach/apu", test_detach_apu);
        g_test_add_func("/plan/detach/pair", test_detach_pair);
        g_test_add_func("/plan/detach/laptop", test_detach_laptop);
        g_test_add_func("/plan/detach/desktop", test_detach_desktop);
        g_test_add_func("/plan/detach/twins", test_detach_twins);
        g_test_add_func("/plan/detach/compositors", test_detach_compositors);
        g_test_add_func("/plan/detach/partial", test_detach_partial);
        g_test_add_func("/plan/attach/pair", test_attach_pair);
        g_test_add_func("/plan/attach/without-record", test_attach_without_record);
        g_test_add_func("/plan/attach/host-driver", test_attach_host_driver);
        g_test_add_func("/plan/attach/driverless", test_attach_driverless);
        g_test_add_func("/plan/attach/partial", test_attach_partial);
        g_test_add_func("/plan/attach/replugged", test_attach_replugged);
        g_test_add_func("/plan/nothing", test_nothing);
        g_test_add_func("/plan/missing-companion", test_missing_companion);
        g_test_add_func("/plan/functions", test_functions);
        g_test_add_func("/plan/vfio-driver", test_vfio_driver);
        g_test_add_func("/plan/host-driver", test_host_driver);
        g_test_add_func("/plan/access", test_access);
        g_test_add_func("/plan/force", test_force);
        g_test_add_func("/plan/wait", test_wait);
        g_test_add_func("/plan/stop-units", test_stop_units);
        g_test_add_func("/plan/idle-power", test_idle_power);
        g_test_add_func("/plan/before-vfio", test_before_vfio);
        g_test_add_func("/plan/unload", test_unload);
        g_test_add_func("/plan/unload-two-heads", test_unload_two_heads);
        g_test_add_func("/plan/no-device", test_no_device);
        g_test_add_func("/plan/group", test_group);
        g_test_add_func("/plan/in-use", test_in_use);
        g_test_add_func("/plan/last-display", test_last_display);
        g_test_add_func("/plan/missed-screen", test_missed_screen);
        g_test_add_func("/plan/not-supported", test_not_supported);
        g_test_add_func("/plan/refusal-errors", test_refusal_errors);
        g_test_add_func("/plan/lines", test_lines);
        return g_test_run();
}
