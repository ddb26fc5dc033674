/* SPDX-License-Identifier: GPL-2.0-or-later */

/* test-inhibitor: the lock and the announcements of a stand-in for logind, which also restarts, refuses and is
 * missing. */

#include "inhibitor.h"

#include <fcntl.h>
#include <poll.h>

#include "bus.h"

#define LOGIN1_NAME "org.freedesktop.login1"
#define LOGIN1_PATH "/org/freedesktop/login1"
#define LOGIN1_INTERFACE "org.freedesktop.login1.Manager"

typedef struct Fixture {
        TestBus bus;
        /* logind */
        bool refuse, preparing;
        GArray *locks; /* read ends; a lock is held while its pipe has a writer */
        bool lock_asked;
        unsigned locks_asked;
        /* gpuptd */
        Inhibitor *inhibitor;
        bool told, told_start;
        unsigned times_told, times_known;
} Fixture;

static int method_inhibit(sd_bus_message *m, void *userdata, sd_bus_error *ret_error) {
        const char *what, *who, *why, *mode;
        Fixture *f = userdata;
        int fds[2], r;

        g_assert_cmpint(sd_bus_message_read(m, "ssss", &what, &who, &why, &mode), >, 0);
        g_assert_cmpstr(what, ==, "sleep");
        g_assert_cmpstr(who, ==, "gpuptd");
        g_assert_cmpstr(why, !=, "");
        g_assert_cmpstr(mode, ==, "block");
        f->lock_asked = true;
        f->locks_asked++;
        if (f->refuse)
                return sd_bus_error_set(ret_error, "org.freedesktop.login1.OperationInProgress", "Not now.");

        g_assert_cmpint(pipe2(fds, O_CLOEXEC), ==, 0);
        g_array_append_val(f->locks, fds[0]);
        r = sd_bus_reply_method_return(m, "h", fds[1]);
        (void) close(fds[1]);
        return r;
}

static int get_preparing(sd_bus *bus, const char *path, const char *interface, const char *property,
                         sd_bus_message *reply, void *userdata, sd_bus_error *ret_error) {
        Fixture *f = userdata;

        return sd_bus_message_append(reply, "b", f->preparing);
}

static const sd_bus_vtable login1_vtable[] = {
        SD_BUS_VTABLE_START(0),
        SD_BUS_METHOD("Inhibit", "ssss", "h", method_inhibit, SD_BUS_VTABLE_UNPRIVILEGED),
        SD_BUS_PROPERTY("PreparingForSleep", "b", get_preparing, 0, 0),
        SD_BUS_SIGNAL("PrepareForSleep", "b", 0),
        SD_BUS_VTABLE_END,
};

static void start_logind(Fixture *f) {
        g_assert_cmpint(
                sd_bus_add_object_vtable(f->bus.service, NULL, LOGIN1_PATH, LOGIN1_INTERFACE, login1_vtable, f), >=,
                0);
        g_assert_cmpint(sd_bus_request_name(f->bus.service, LOGIN1_NAME, 0), >=, 0);
}

/* Another process of logind: a new unique name takes over. */
static void restart_logind(Fixture *f) {
        sd_bus_flush_close_unref(f->bus.service);
        f->bus.service = test_bus_connect(&f->bus);
        start_logind(f);
}

static void settle(Fixture *f) {
        /* Daemon to bus to service and back, twice: a reply may lead to another call. */
        for (int i = 0; i < 2; i++) {
                test_bus_sync(&f->bus, f->bus.daemon);
                test_bus_sync(&f->bus, f->bus.service);
        }
        test_bus_sync(&f->bus, f->bus.daemon);
}

static unsigned locks_held(Fixture *f) {
        unsigned n = 0;

        settle(f);
        for (guint i = 0; i < f->locks->len; i++) {
                struct pollfd p = { .fd = g_array_index(f->locks, int, i) };

                g_assert_cmpint(poll(&p, 1, 0), >=, 0);
                if (!(p.revents & POLLHUP))
                        n++;
        }
        return n;
}

static void on_sleep(bool start, void *userdata) {
        Fixture *f = userdata;

        f->told = true;
        f->told_start = start;
        f->times_told++;
}

static void announce(Fixture *f, int start) {
        f->preparing = start;
        f->told = false;
        g_assert_cmpint(
                sd_bus_emit_signal(f->bus.service, LOGIN1_PATH, LOGIN1_INTERFACE, "PrepareForSleep", "b", start), >=,
                0);
        loop_until(f->bus.event, f->told);
        g_assert_cmpint(f->told_start, ==, start);
        g_assert_cmpint(inhibitor_sleeping(f->inhibitor), ==, start);
}

static void set_up_without_logind(Fixture *f, const void *data) {
        test_bus_up(&f->bus);
        f->locks = g_array_new(false, false, sizeof(int));
        g_assert_cmpint(inhibitor_new(f->bus.daemon, on_sleep, f, &f->inhibitor), ==, 0);
        settle(f);
}

static void set_up(Fixture *f, const void *data) {
        test_bus_up(&f->bus);
        f->locks = g_array_new(false, false, sizeof(int));
        f->preparing = data != NULL;
        start_logind(f);
        g_assert_cmpint(inhibitor_new(f->bus.daemon, on_sleep, f, &f->inhibitor), ==, 0);
        settle(f);
}

static void tear_down(Fixture *f, const void *data) {
        g_assert_null(inhibitor_free(f->inhibitor));
        for (guint i = 0; i < f->locks->len; i++)
                (void) close(g_array_index(f->locks, int, i));
        g_array_unref(f->locks);
        test_bus_down(&f->bus);
}

static void test_hold(Fixture *f, const void *data) {
        g_assert_cmpuint(locks_held(f), ==, 0);
        inhibitor_hold(f->inhibitor);
        g_assert_cmpuint(locks_held(f), ==, 1);
        inhibitor_hold(f->inhibitor);
        inhibitor_release(f->inhibitor);
        g_assert_cmpuint(locks_held(f), ==, 1);
        inhibitor_release(f->inhibitor);
        g_assert_cmpuint(locks_held(f), ==, 0);
        g_assert_cmpuint(f->locks_asked, ==, 1);

        inhibitor_hold(f->inhibitor);
        g_assert_cmpuint(locks_held(f), ==, 1);
}

/* The job is over before logind has answered. */
static void test_release_early(Fixture *f, const void *data) {
        inhibitor_hold(f->inhibitor);
        inhibitor_release(f->inhibitor);
        g_assert_cmpuint(locks_held(f), ==, 0);

        inhibitor_hold(f->inhibitor);
        inhibitor_release(f->inhibitor);
        inhibitor_hold(f->inhibitor);
        g_assert_cmpuint(locks_held(f), ==, 1);
}

static void test_free_held(Fixture *f, const void *data) {
        inhibitor_hold(f->inhibitor);
        g_assert_cmpuint(locks_held(f), ==, 1);
        f->inhibitor = inhibitor_free(f->inhibitor);
        g_assert_cmpuint(locks_held(f), ==, 0);
}

static void test_signals(Fixture *f, const void *data) {
        g_assert_false(inhibitor_sleeping(f->inhibitor));
        announce(f, true);
        announce(f, false);
        g_assert_cmpuint(f->times_told, ==, 2);
}

/* A sleep is under way when the daemon starts. */
static void test_sleeping_at_start(Fixture *f, const void *data) {
        g_assert_true(inhibitor_sleeping(f->inhibitor));
        g_assert_cmpuint(f->times_told, ==, 1);
        announce(f, false);
}

static void on_known(void *userdata) {
        Fixture *f = userdata;

        g_assert_true(inhibitor_sleeping(f->inhibitor));
        f->times_known++;
}

/* Whoever must know waits for the answer, which has been taken in by then. */
static void test_known(Fixture *f, const void *data) {
        g_assert_true(inhibitor_when_known(f->inhibitor, on_known));
        f->inhibitor = inhibitor_free(f->inhibitor);
        g_assert_cmpint(inhibitor_new(f->bus.daemon, on_sleep, f, &f->inhibitor), ==, 0);
        g_assert_false(inhibitor_when_known(f->inhibitor, on_known));
        g_assert_cmpuint(f->times_known, ==, 0);
        settle(f);
        g_assert_cmpuint(f->times_known, ==, 1);
        announce(f, false);
        g_assert_cmpuint(f->times_known, ==, 1);
}

/* logind grants nothing while it prepares a sleep; after it, the lock is taken. */
static void test_refused_while_sleeping(Fixture *f, const void *data) {
        announce(f, true);
        f->refuse = true;
        inhibitor_hold(f->inhibitor);
        g_assert_cmpuint(locks_held(f), ==, 0);
        g_assert_cmpuint(f->locks_asked, ==, 1);
        f->refuse = false;
        announce(f, false);
        g_assert_cmpuint(locks_held(f), ==, 1);
        g_assert_cmpuint(f->locks_asked, ==, 2);
}

static void test_restart(Fixture *f, const void *data) {
        inhibitor_hold(f->inhibitor);
        g_assert_cmpuint(locks_held(f), ==, 1);
        announce(f, true);

        f->lock_asked = f->preparing = false;
        restart_logind(f);
        loop_until(f->bus.event, f->lock_asked);
        /* The new one took the place of the old one, and the sleep that logind forgot is none. */
        g_assert_cmpuint(locks_held(f), ==, 1);
        g_assert_cmpuint(f->locks->len, ==, 2);
        g_assert_false(inhibitor_sleeping(f->inhibitor));
        announce(f, true);
        inhibitor_release(f->inhibitor);
        g_assert_cmpuint(locks_held(f), ==, 0);
}

static void test_restart_idle(Fixture *f, const void *data) {
        restart_logind(f);
        g_assert_cmpuint(locks_held(f), ==, 0);
        g_assert_cmpuint(f->locks_asked, ==, 0);
        announce(f, true);
}

/* logind goes away between the question and the answer, and comes back. */
static void test_restart_asked(Fixture *f, const void *data) {
        inhibitor_hold(f->inhibitor);
        restart_logind(f);
        loop_until(f->bus.event, f->lock_asked);
        g_assert_cmpuint(locks_held(f), ==, 1);
}

static void test_missing(Fixture *f, const void *data) {
        inhibitor_hold(f->inhibitor);
        settle(f);
        g_assert_false(inhibitor_sleeping(f->inhibitor));
        start_logind(f);
        loop_until(f->bus.event, f->lock_asked);
        g_assert_cmpuint(locks_held(f), ==, 1);
        announce(f, true);
        inhibitor_release(f->inhibitor);
        g_assert_cmpuint(locks_held(f), ==, 0);
}

/* Signals that others send in the name of logind or of the bus. */
static void test_forged(Fixture *f, const void *data) {
        test_bus_send_signal(f->bus.caller, f->bus.daemon, LOGIN1_PATH, LOGIN1_INTERFACE, "PrepareForSleep", "b",
                             true);
        test_bus_send_signal(f->bus.caller, f->bus.daemon, "/org/freedesktop/DBus", "org.freedesktop.DBus",
                             "NameOwnerChanged", "sss", LOGIN1_NAME, "", test_bus_name(f->bus.caller));
        test_bus_send_signal(f->bus.caller, f->bus.daemon, LOGIN1_PATH, LOGIN1_INTERFACE, "PrepareForSleep", "b",
                             true);
        test_bus_sync(&f->bus, f->bus.caller);
        settle(f);
        g_assert_cmpuint(f->times_told, ==, 0);
        g_assert_false(inhibitor_sleeping(f->inhibitor));
}

int main(int argc, char *argv[]) {
        g_test_init(&argc, &argv, NULL);
#define ADD(path, function) g_test_add("/inhibitor/" path, Fixture, NULL, set_up, function, tear_down)
        ADD("hold", test_hold);
        ADD("release-early", test_release_early);
        ADD("free-held", test_free_held);
        ADD("signals", test_signals);
        ADD("refused-while-sleeping", test_refused_while_sleeping);
        ADD("restart/held", test_restart);
        ADD("restart/idle", test_restart_idle);
        ADD("restart/asked", test_restart_asked);
        ADD("forged", test_forged);
#undef ADD
        g_test_add("/inhibitor/sleeping-at-start", Fixture, "", set_up, test_sleeping_at_start, tear_down);
        g_test_add("/inhibitor/known", Fixture, "", set_up, test_known, tear_down);
        g_test_add("/inhibitor/missing", Fixture, NULL, set_up_without_logind, test_missing, tear_down);
        return g_test_run();
}
