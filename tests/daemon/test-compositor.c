/* SPDX-License-Identifier: GPL-2.0-or-later */

/* test-compositor: desktops that let go of a card without ending, because udev tells them that it has gone. Only those are asked of which
 * the administrator says that they follow it, only where nobody else's desktop has the card, and whether they did is found by the
 * census alone. What was asked for is taken back where the card stays. */

#include <libudev.h>
#include <poll.h>

#include "fixture.h"
#include "util/cleanup.h"

#define CARD "0000:08:00.0"

typedef struct Ear {
        struct udev *udev;
        struct udev_monitor *monitor;
        GString *heard; /* "remove card0", … */
} Ear;

static Ear *ear_new(void) {
        Ear *e = g_new0(Ear, 1);

        e->udev = udev_new();
        e->monitor = udev_monitor_new_from_netlink(e->udev, "udev");
        e->heard = g_string_new(NULL);
        g_assert_nonnull(e->monitor);
        g_assert_cmpint(udev_monitor_filter_add_match_subsystem_devtype(e->monitor, "drm", NULL), >=, 0);
        g_assert_cmpint(udev_monitor_enable_receiving(e->monitor), >=, 0);
        return e;
}

static void ear_free(Ear *e) {
        udev_monitor_unref(e->monitor);
        udev_unref(e->udev);
        (void) g_string_free(e->heard, true);
        g_free(e);
}
G_DEFINE_AUTOPTR_CLEANUP_FUNC(Ear, ear_free)

static bool hear(Ear *e, int timeout) {
        struct pollfd p = { .fd = udev_monitor_get_fd(e->monitor), .events = POLLIN };
        struct udev_device *d;

        if (poll(&p, 1, timeout) <= 0)
                return false;
        d = udev_monitor_receive_device(e->monitor);
        if (d && !strchr(udev_device_get_sysname(d), '-') && g_str_has_prefix(udev_device_get_sysname(d), "card"))
                g_string_append_printf(e->heard, "%s%s %s", e->heard->len > 0 ? ", " : "", udev_device_get_action(d),
                                       udev_device_get_sysname(d));
        udev_device_unref(d);
        return true;
}

static void wait_heard(Ear *e, const char *expected) {
        while (!g_str_equal(e->heard->str, expected))
                g_assert_true(hear(e, (int) sim_deadline_sec() * 1000));
}

/* What is there until now; for a job that has ended: its events come before. */
static const char *heard(Ear *e) {
        while (hear(e, 0))
                ;
        return e->heard->str;
}

static const char *card_of(Scene *s) {
        return strrchr(node_of(s, CARD, "card"), '/') + 1;
}

static Scene *scene(const char *settings) {
        g_autofree char *text = g_strdup_printf("[Match]\nAddress=" CARD "\n[Session]\n%s\n", settings);
        Scene *s = scene_new_without_daemon("desktop");

        put_file("/etc/gpuptd/card.gpu", text);
        scene_start(s);
        return s;
}

static void test_lets_go(void) {
        g_autoptr(Scene) s = scene("AskCompositors=sway kwin_wayland");
        pid_t compositor = process_start(s, "kwin_wayland", node_of(s, CARD, "card"));
        g_autofree char *expected = g_strdup_printf("remove %s", card_of(s));
        g_autoptr(Ear) ear = ear_new();
        const char *job = job_start(s, "Detach", CARD, "wait=600");

        wait_heard(ear, expected);
        assert_alive(s);
        sim_let_go(s->m, compositor);
        assert_end(s, job_wait(s, job), "done", "");
        assert_end(s, attach(s, CARD, ""), "done", "");
        assert_as_at_first(s);
}

/* The event is no promise: he is named, and gets back what he never gave. */
static void test_stays(void) {
        g_autoptr(Scene) s = scene("AskCompositors=kwin_wayland");
        pid_t compositor = process_start(s, "kwin_wayland", node_of(s, CARD, "card"));
        g_autofree char *expected = g_strdup_printf("remove %s, add %s", card_of(s), card_of(s));
        g_autoptr(Ear) ear = ear_new();
        const JobEnd *end = detach(s, CARD, "wait=0");

        assert_end(s, end, "rolled-back", "InUse");
        assert_has(end->message, "kwin_wayland");
        g_assert_cmpstr(heard(ear), ==, expected);
        assert_as_at_first(s);
        sim_let_go(s->m, compositor);
}

static void test_not_asked(void) {
        static const struct {
                const char *settings, *first, *second;
        } rows[] = {
                { "", "kwin_wayland", NULL },                                   /* nobody said that it follows */
                { "AskCompositors=sway", "kwin_wayland", NULL },                /* another one does */
                { "AskCompositors=kwin_wayland", "kwin_wayland", "gnome-shell" }, /* it does, its neighbour may crash */
                { "AskCompositors=kwin_wayland", "game", NULL },                /* no desktop */
        };

        for (size_t i = 0; i < G_N_ELEMENTS(rows); i++) {
                g_autoptr(Scene) s = scene(rows[i].settings);
                g_autoptr(Ear) ear = ear_new();
                pid_t first, second = 0;

                first = process_start(s, rows[i].first, node_of(s, CARD, "card"));
                if (rows[i].second)
                        second = process_start(s, rows[i].second, node_of(s, CARD, "card"));
                assert_end(s, detach(s, CARD, "wait=0"), "rolled-back", "InUse");
                g_assert_cmpstr(heard(ear), ==, "");
                assert_as_at_first(s);
                sim_let_go(s->m, first);
                if (second)
                        sim_let_go(s->m, second);
        }
}

static void test_error(void) {
        g_autoptr(Scene) s = scene("AskCompositors=kwin_wayland");
        pid_t compositor = process_start(s, "kwin_wayland", node_of(s, CARD, "card"));
        const JobEnd *end;

        (void) sim_fault(s->m, CARD, "drm/*/uevent", "errno=EIO");
        end = detach(s, CARD, "wait=0");
        assert_end(s, end, "rolled-back", "Failed");
        assert_has(end->message, "ask-compositor");
        sim_let_go(s->m, compositor);
}

/* Asked before, given back after. */
static void test_daemon_killed(void) {
        g_autoptr(Scene) s = scene("AskCompositors=kwin_wayland");
        pid_t compositor = process_start(s, "kwin_wayland", node_of(s, CARD, "card"));
        g_autofree char *asked = g_strdup_printf("remove %s", card_of(s)),
                        *given_back = g_strdup_printf("remove %s, add %s", card_of(s), card_of(s));
        g_autoptr(SimRecorder) signals = NULL;
        g_autoptr(Ear) ear = ear_new();
        const char *job = job_start(s, "Detach", CARD, "wait=600");

        wait_heard(ear, asked);
        sim_wait_property(s->m, job, GPUPT_JOB_INTERFACE, "Description", "wait up to 600 s until nobody holds " CARD);
        sim_daemon_kill(s->m);
        scene_start(s);
        g_assert_cmpstr(job_call(s, job, "Cancel", NULL, ""), ==, "");
        wait_heard(ear, given_back);
        wait_state(s, CARD, "host");
        assert_as_at_first(s);
        sim_let_go(s->m, compositor);
}

int main(int argc, char *argv[]) {
        sim_init(&argc, &argv);
        g_test_add_func("/compositor/lets-go", test_lets_go);
        g_test_add_func("/compositor/stays", test_stays);
        g_test_add_func("/compositor/not-asked", test_not_asked);
        g_test_add_func("/compositor/error", test_error);
        g_test_add_func("/compositor/daemon-killed", test_daemon_killed);
        return g_test_run();
}
