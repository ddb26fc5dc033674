/* SPDX-License-Identifier: GPL-2.0-or-later */

/* test-defaults: what a card is to be from the boot on: who may say it, that it is kept, and that the rule is of that card alone. */

#include <errno.h>
#include <sys/mount.h>
#include <sys/stat.h>
#include <unistd.h>

#include "fixture.h"
#include "util/cleanup.h"

#define CARD "0000:08:00.0"
#define AUDIO "0000:08:00.1"
#define OTHER "0000:09:00.0"
#define RULES "/etc/udev/rules.d/79-gpuptd-defaults.rules"
#define SEAT_RULES "/etc/udev/rules.d/72-gpuptd-seats.rules"
#define STORE "/var/lib/gpuptd/defaults"
/* The other card has the console. */
#define ALLOW "/etc/gpuptd/gpuptd.conf", "[Session]\nLastDisplay=allow\n"

static const char *set_default(Scene *s, const char *gpu, const char *state) {
        return short_name(gpu_call(s, gpu, "SetDefault", NULL, "s", state));
}

/* NULL: there is none. */
static const char *text_of(Scene *s, const char *path) {
        g_autofree char *text = NULL;

        if (!g_file_get_contents(path, &text, NULL, NULL))
                return NULL;
        g_ptr_array_add(s->strings, text);
        return g_steal_pointer(&text);
}

static const char *rules(Scene *s) {
        return text_of(s, RULES);
}

static unsigned count_lines(const char *text, const char *part) {
        unsigned n = 0;

        for (; text && (text = strstr(text, part)); text++)
                n++;
        return n;
}

static void test_set(void) {
        g_autoptr(Scene) s = scene_new("desktop", NULL);

        g_assert_cmpstr(gpu_property(s, CARD, "Default"), ==, "host");
        g_assert_cmpstr(set_default(s, CARD, "both"), ==, "InvalidArgs");
        g_assert_null(rules(s));
        g_assert_cmpstr(set_default(s, CARD, "vfio"), ==, "");
        g_assert_cmpstr(gpu_property(s, CARD, "Default"), ==, "vfio");
        g_assert_cmpstr(gpu_property(s, OTHER, "Default"), ==, "host");
        assert_has(rules(s), "KERNEL==\"" CARD "\", DEVPATH==\"/devices/pci*/0000:00:03.1/" CARD "\"");
        assert_has(rules(s), "KERNEL==\"" AUDIO "\"");
        g_assert_cmpuint(count_lines(rules(s), "driver_override"), ==, 2);
        /* It is for the boot: the card stays where it is. */
        assert_as_at_first(s);

        /* A daemon that was started again, in this boot or another. */
        sim_daemon_kill(s->m);
        g_assert_cmpint(unlink(RULES), ==, 0);
        scene_start(s);
        g_assert_cmpstr(gpu_property(s, CARD, "Default"), ==, "vfio");
        g_assert_cmpstr(set_default(s, CARD, "vfio"), ==, "");
        g_assert_nonnull(rules(s));
        g_assert_cmpstr(set_default(s, CARD, "host"), ==, "");
        g_assert_cmpstr(gpu_property(s, CARD, "Default"), ==, "host");
        g_assert_null(rules(s));
}

static void test_authorisation(void) {
        g_autoptr(Scene) s = scene_new("desktop", NULL);

        if (!scene_be_user(s))
                return;
        sim_polkit_set(s->m, "no", NULL);
        g_assert_cmpstr(set_default(s, CARD, "vfio"), ==, "AccessDenied");
        assert_has(sim_polkit_log(s->m), "check action=org.gpupt1.configure ");
        g_assert_cmpstr(gpu_property(s, CARD, "Default"), ==, "host");
        g_assert_null(rules(s));
        sim_polkit_set(s->m, "yes", NULL);
        g_assert_cmpstr(set_default(s, CARD, "vfio"), ==, "");
        g_assert_nonnull(rules(s));
}

/* The next boot is to have a screen. */
static void test_last_display(void) {
        g_autoptr(Scene) s = scene_new("apu", NULL);
        const char *apu = "0000:c5:00.0";

        g_assert_cmpstr(set_default(s, apu, "vfio"), ==, "LastDisplay");
        g_assert_cmpstr(set_default(s, apu, "host"), ==, "");
        g_assert_null(rules(s));
        put_file("/etc/gpuptd/apu.gpu", "[Match]\nAddress=0000:c5:00.0\n[Session]\nLastDisplay=allow\n");
        g_assert_cmpstr(manager_call(s, "Reload", NULL, ""), ==, "");
        g_assert_cmpstr(set_default(s, apu, "vfio"), ==, "");
        g_assert_nonnull(rules(s));
}

/* Nor does a file take it, which nobody asks. */
static void test_last_display_by_file(void) {
        g_autoptr(Scene) s = scene_new("apu", "/etc/gpuptd/apu.gpu", "[Match]\nAddress=0000:c5:00.0\n[Gpu]\nDefault=vfio\n", NULL);

        /* Behind that of the start. */
        g_assert_cmpstr(set_default(s, "0000:c5:00.0", "vfio"), ==, "LastDisplay");
        g_assert_null(rules(s));
        assert_has(sim_daemon_log(s->m), "Default=vfio of /etc/gpuptd/apu.gpu is not followed");
        put_file("/etc/gpuptd/apu.gpu", "[Match]\nAddress=0000:c5:00.0\n[Gpu]\nDefault=vfio\n[Session]\nLastDisplay=allow\n");
        g_assert_cmpstr(manager_call(s, "Reload", NULL, ""), ==, "");
        g_assert_cmpstr(set_default(s, "0000:c5:00.0", "vfio"), ==, "");
        g_assert_nonnull(rules(s));
}

/* Of two with the same ids the one that was meant. */
static void test_twins(void) {
        g_autoptr(Scene) s = scene_new("twins", NULL);

        g_assert_cmpstr(set_default(s, "0000:02:00.0", "vfio"), ==, "");
        g_assert_cmpstr(gpu_property(s, "0000:01:00.0", "Default"), ==, "host");
        g_assert_cmpuint(count_lines(rules(s), "KERNEL==\"0000:02:00."), >, 0);
        g_assert_cmpuint(count_lines(rules(s), "KERNEL==\"0000:01:00."), ==, 0);
}

/* A .gpu file says it as well; what was said of the card goes before. */
static void test_config(void) {
        g_autoptr(Scene) s =
                scene_new("desktop", "/etc/gpuptd/card.gpu", "[Match]\nAddress=" CARD "\n[Gpu]\nDefault=vfio\n", NULL);

        g_assert_cmpstr(gpu_property(s, CARD, "Default"), ==, "vfio");
        /* Behind that of the start; and nothing new. */
        g_assert_cmpstr(set_default(s, CARD, "vfio"), ==, "");
        g_assert_cmpuint(count_lines(rules(s), "driver_override"), ==, 2);
        g_assert_cmpstr(set_default(s, CARD, "host"), ==, "");
        g_assert_cmpstr(gpu_property(s, CARD, "Default"), ==, "host");
        g_assert_null(rules(s));
        put_file("/etc/gpuptd/other.gpu", "[Match]\nAddress=" OTHER "\n[Gpu]\nDefault=vfio\n[Session]\nLastDisplay=allow\n");
        g_assert_cmpstr(manager_call(s, "Reload", NULL, ""), ==, "");
        wait_gpu_property(s, OTHER, "Default", "vfio");
        /* Behind that of the reload. */
        g_assert_cmpstr(set_default(s, CARD, "host"), ==, "");
        g_assert_cmpuint(count_lines(rules(s), "KERNEL==\"" OTHER "\""), ==, 1);
}

/* Desktops=: a rule of its own, for the display alone, and nothing for the initramfs. */
static void test_apart(void) {
        g_autoptr(Scene) s = scene_new("desktop", "/etc/gpuptd/card.gpu", "[Match]\nAddress=" CARD "\n[Session]\nDesktops=leave\n", NULL);

        /* Behind that of the start. */
        g_assert_cmpstr(set_default(s, OTHER, "host"), ==, "");
        assert_has(text_of(s, SEAT_RULES), "DEVPATH==\"/devices/pci*/0000:00:03.1/" CARD "/drm/card[0-9]*\"");
        g_assert_cmpuint(count_lines(text_of(s, SEAT_RULES), "ID_SEAT"), ==, 1);
        g_assert_null(rules(s));
        /* A card that is with VFIO, or gone, keeps it. */
        assert_end(s, detach(s, CARD, ""), "done", "");
        sim_unplug(s->m, CARD);
        sim_wait_known(s->m, CARD, false);
        g_assert_cmpstr(manager_call(s, "Reload", NULL, ""), ==, "");
        g_assert_cmpstr(set_default(s, OTHER, "host"), ==, "");
        g_assert_cmpuint(count_lines(text_of(s, SEAT_RULES), "ID_SEAT"), ==, 1);
        put_file("/etc/gpuptd/card.gpu", "[Match]\nAddress=" CARD "\n");
        g_assert_cmpstr(manager_call(s, "Reload", NULL, ""), ==, "");
        g_assert_cmpstr(set_default(s, OTHER, "host"), ==, "");
        g_assert_null(text_of(s, SEAT_RULES));
}

/* Another card at its place is not the one that was meant. */
static void test_moved(void) {
        g_autoptr(Scene) s = scene_new_without_daemon("desktop");

        put_file(ALLOW);
        g_assert_true(mkdir("/var/lib/gpuptd", 0700) == 0 || errno == EEXIST);
        put_file(STORE, "gpuptd-defaults 1\nwish " CARD " 1002:73bf:1002:0e3a vfio\n"
                        "reserve " CARD " 1002:73bf:1002:0e3a vfio-pci 0000:00:03.1\nend\n");
        scene_start(s);
        g_assert_cmpstr(gpu_property(s, CARD, "Default"), ==, "host");
        g_assert_cmpstr(set_default(s, OTHER, "vfio"), ==, "");
        g_assert_cmpuint(count_lines(rules(s), "KERNEL==\"" CARD "\""), ==, 0);
        g_assert_cmpuint(count_lines(rules(s), "KERNEL==\"" OTHER "\""), ==, 1);
}

/* One that is not there at the moment is not forgotten. */
static void test_away(void) {
        g_autoptr(Scene) s = scene_new("desktop", ALLOW, NULL);

        g_assert_cmpstr(set_default(s, CARD, "vfio"), ==, "");
        sim_unplug(s->m, CARD);
        sim_unplug(s->m, AUDIO);
        wait_state(s, CARD, "absent");
        g_assert_cmpstr(set_default(s, CARD, "host"), ==, "Unreachable");
        g_assert_cmpstr(set_default(s, OTHER, "vfio"), ==, "");
        g_assert_cmpuint(count_lines(rules(s), "KERNEL==\"" CARD "\""), ==, 1);
        /* Nor by the next daemon, who has never seen it. */
        sim_daemon_kill(s->m);
        scene_start(s);
        g_assert_cmpstr(set_default(s, OTHER, "host"), ==, "");
        g_assert_cmpuint(count_lines(rules(s), "KERNEL==\"" CARD "\""), ==, 1);
        g_assert_cmpuint(count_lines(rules(s), "KERNEL==\"" OTHER "\""), ==, 0);
}

/* What cannot be written is not said to be so. */
static void test_not_written(void) {
        g_autoptr(Scene) s = scene_new("desktop", NULL);
        const char *message;

        g_assert_cmpint(mkdir(RULES, 0755), ==, 0);
        g_assert_cmpstr(short_name(gpu_call(s, CARD, "SetDefault", &message, "s", "vfio")), ==, "Failed");
        assert_has(message, CARD);
        assert_has(message, RULES);
        g_assert_cmpstr(gpu_property(s, CARD, "Default"), ==, "host");
        /* Nor of two callers at once, the second of whom found the wish of the first. */
        g_assert_cmpint(sd_bus_call_method_async(s->caller, NULL, GPUPT_BUS_NAME, gpu_path(s, CARD), GPUPT_GPU_INTERFACE, "SetDefault",
                                                 NULL, NULL, "s", "vfio"), >=, 0);
        g_assert_cmpstr(set_default(s, CARD, "host"), ==, "Failed");
        g_assert_cmpstr(gpu_property(s, CARD, "Default"), ==, "host");
        g_assert_cmpint(rmdir(RULES), ==, 0);
        g_assert_cmpstr(set_default(s, CARD, "vfio"), ==, "");
        g_assert_cmpstr(gpu_property(s, CARD, "Default"), ==, "vfio");
        g_assert_nonnull(rules(s));
}

/* Nor if its caller has left before that is known. */
static void test_caller_leaves(void) {
        g_autoptr(Scene) s = scene_new("desktop", NULL);
        sd_bus *bus = sim_bus_new(s->m, 0);

        g_assert_cmpint(mkdir(RULES, 0755), ==, 0);
        (void) sim_command(s->m, "systemd1 silent");
        g_assert_cmpint(sd_bus_call_method_async(bus, NULL, GPUPT_BUS_NAME, gpu_path(s, CARD), GPUPT_GPU_INTERFACE, "SetDefault", NULL,
                                                 NULL, "s", "vfio"), >=, 0);
        g_assert_cmpint(sd_bus_flush(bus), >=, 0);
        wait_gpu_property(s, CARD, "Default", "vfio");
        sd_bus_close_unref(bus);
        assert_alive(s);
        (void) sim_command(s->m, "systemd1 back");
        wait_gpu_property(s, CARD, "Default", "host");
        g_assert_cmpint(rmdir(RULES), ==, 0);
        g_assert_cmpstr(set_default(s, CARD, "vfio"), ==, "");
        g_assert_nonnull(rules(s));
}

/* A file of a later version, or a broken one, is left as it is. */
static void test_unreadable(void) {
        static const char *const texts[] = { "gpuptd-defaults 2\nwish\n", "nonsense",
                                             "gpuptd-defaults 1\nreserve " CARD " x vfio-pci\nend\n" };

        for (size_t i = 0; i < ELEMENTSOF(texts); i++) {
                g_autoptr(Scene) s = scene_new_without_daemon("desktop");
                g_autofree char *text = NULL;
                const char *message;

                g_assert_true(mkdir("/var/lib/gpuptd", 0700) == 0 || errno == EEXIST);
                put_file(STORE, texts[i]);
                scene_start(s);
                g_assert_cmpstr(short_name(gpu_call(s, CARD, "SetDefault", &message, "s", "vfio")), ==,
                                "Inconsistent");
                assert_has(message, STORE);
                g_assert_true(g_file_get_contents(STORE, &text, NULL, NULL));
                g_assert_cmpstr(text, ==, texts[i]);
                g_assert_null(rules(s));
                assert_end(s, detach(s, CARD, ""), "done", "");
                put_file(STORE, NULL);
        }
}

/* As gpuptd-restore.service and gpuptd-booted.service run it. */
static void restore(const char *verb) {
        const char *argv[] = { getenv("GPUPT_RESTORE"), verb, NULL };
        int status;

        g_assert_true(
                g_spawn_sync(NULL, (char **) argv, NULL, G_SPAWN_STDOUT_TO_DEV_NULL, NULL, NULL, NULL, NULL, &status, NULL));
        g_assert_cmpint(status, ==, 0);
}

/* Boots that do not come to their end: the third one begins with all cards given back, and everybody says so. */
static void test_fallback(void) {
        g_autoptr(Scene) s = scene_new("desktop", NULL);
        g_autofree char *store = NULL;

        g_assert_cmpstr(set_default(s, CARD, "vfio"), ==, "");
        assert_end(s, detach(s, CARD, ""), "done", "");
        sim_daemon_kill(s->m);
        for (unsigned boot = 0; boot < 2; boot++) {
                g_autofree char *boots = g_strdup_printf("%u another\n", boot);

                if (boot > 0)
                        put_file("/var/lib/gpuptd/boots", boots);
                restore("boot");
                assert_drivers(s, "vfio-pci", CARD, AUDIO, NULL);
                g_assert_nonnull(rules(s));
        }
        restore("booted");
        g_assert_cmpint(access("/var/lib/gpuptd/boots", F_OK), ==, -1);

        put_file("/var/lib/gpuptd/boots", "2 another\n");
        restore("boot");
        assert_drivers(s, "nouveau", CARD, NULL);
        assert_drivers(s, "snd_hda_intel", AUDIO, NULL);
        g_assert_null(sim_override_of(s->m, CARD));
        g_assert_null(rules(s));
        scene_start(s);
        g_assert_cmpstr(gpu_property(s, CARD, "Default"), ==, "host");
        assert_has(sim_daemon_log(s->m), "did not come to their end");
        /* It ends with a default that is written, not with one that only was to be. */
        g_assert_cmpint(mkdir(RULES, 0755), ==, 0);
        g_assert_cmpstr(set_default(s, CARD, "vfio"), ==, "Failed");
        g_assert_cmpint(rmdir(RULES), ==, 0);
        g_assert_true(g_file_get_contents(STORE, &store, NULL, NULL));
        assert_has(store, "fallback");
        g_assert_cmpstr(set_default(s, CARD, "vfio"), ==, "");
        g_assert_cmpstr(gpu_property(s, CARD, "Default"), ==, "vfio");
        g_assert_nonnull(rules(s));
}

/* Somebody wants his screen back: nothing is taken in this boot. */
static void test_off(void) {
        g_autoptr(Scene) s = scene_new_without_daemon("desktop");
        const JobEnd *end;

        put_file("/run/gpuptd-sim/cmdline", "BOOT_IMAGE=/vmlinuz gpuptd=off quiet\n");
        g_assert_cmpint(mount("/run/gpuptd-sim/cmdline", "/proc/cmdline", NULL, MS_BIND, NULL), ==, 0);
        scene_start(s);
        end = detach(s, CARD, "");
        assert_end(s, end, "refused", "NotSupported");
        assert_has(end->message, "gpuptd=off");
        assert_end(s, attach(s, CARD, ""), "done", "");
        g_assert_cmpstr(set_default(s, CARD, "vfio"), ==, "");
        g_assert_cmpint(umount2("/proc/cmdline", MNT_DETACH), ==, 0);
}

int main(int argc, char *argv[]) {
        sim_init(&argc, &argv);
        g_test_add_func("/defaults/set", test_set);
        g_test_add_func("/defaults/authorisation", test_authorisation);
        g_test_add_func("/defaults/last-display", test_last_display);
        g_test_add_func("/defaults/last-display-by-file", test_last_display_by_file);
        g_test_add_func("/defaults/twins", test_twins);
        g_test_add_func("/defaults/config", test_config);
        g_test_add_func("/defaults/apart", test_apart);
        g_test_add_func("/defaults/moved", test_moved);
        g_test_add_func("/defaults/away", test_away);
        g_test_add_func("/defaults/not-written", test_not_written);
        g_test_add_func("/defaults/caller-leaves", test_caller_leaves);
        g_test_add_func("/defaults/unreadable", test_unreadable);
        g_test_add_func("/defaults/fallback", test_fallback);
        g_test_add_func("/defaults/off", test_off);
        return g_test_run();
}
