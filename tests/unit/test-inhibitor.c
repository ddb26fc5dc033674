/* SPDX-License-Identifier: GPL-2.0-or-later */

/* test-inhibitor: the locks and the announcements of a stand-in for logind, which also restarts, refuses and is
 * missing; and what it and a stand-in for UPower say about lid and battery, or do not say. */

#include "inhibitor.h"

#include <fcntl.h>
#include <poll.h>

#include "bus.h"

#define LOGIN1_NAME "org.freedesktop.login1"
#define LOGIN1_PATH "/org/freedesktop/login1"
#define LOGIN1_INTERFACE "org.freedesktop.login1.Manager"
#define UPOWER_NAME "org.freedesktop.UPower"
#define UPOWER_PATH "/org/freedesktop/UPower/devices/DisplayDevice"
#define UPOWER_INTERFACE "org.freedesktop.UPower.Device"

typedef struct Granted {
        char *name; /* "what:mode" */
        int fd;     /* read end; the lock is held while its pipe has a writer */
} Granted;

typedef struct Fixture {
        TestBus bus;
        /* logind */
        bool preparing, lid_closed, external_power;
        GArray *locks; /* of Granted */
        bool lock_asked;
        unsigned locks_asked;
        /* UPower */
        unsigned level;
        /* a question that is not answered by itself */
        sd_bus_message *unanswered;
        bool unanswered_asked;
        /* gpuptd */
        Inhibitor *inhibitor;
        bool told, told_start, hold_at_end;
        unsigned times_told, times_known;
        bool answered, ask_again;
        unsigned times_answered;
        PowerSituation situation;
} Fixture;

static int method_inhibit(sd_bus_message *m, void *userdata, sd_bus_error *ret_error) {
        const char *what, *who, *why, *mode;
        Fixture *f = userdata;
        Granted granted;
        int fds[2], r;

        g_assert_cmpint(sd_bus_message_read(m, "ssss", &what, &who, &why, &mode), >, 0);
        g_assert_cmpstr(who, ==, "gpuptd");
        g_assert_cmpstr(why, !=, "");
        f->lock_asked = true;
        f->locks_asked++;
        if (f->preparing && streq(what, "sleep"))
                return sd_bus_error_set(ret_error, "org.freedesktop.login1.OperationInProgress", "Not now.");

        g_assert_cmpint(pipe2(fds, O_CLOEXEC), ==, 0);
        granted = (Granted) { .name = g_strdup_printf("%s:%s", what, mode), .fd = fds[0] };
        g_array_append_val(f->locks, granted);
        r = sd_bus_reply_method_return(m, "h", fds[1]);
        (void) close(fds[1]);
        return r;
}

static int get_preparing(sd_bus *bus, const char *path, const char *interface, const char *property,
                         sd_bus_message *reply, void *userdata, sd_bus_error *ret_error) {
        Fixture *f = userdata;

        return sd_bus_message_append(reply, "b", f->preparing);
}

/* Nobody is started for being asked. */
static void assert_no_auto_start(sd_bus *bus) {
        g_assert_cmpint(sd_bus_message_get_auto_start(sd_bus_get_current_message(bus)), ==, false);
}

static int get_power(sd_bus *bus, const char *path, const char *interface, const char *property,
                     sd_bus_message *reply, void *userdata, sd_bus_error *ret_error) {
        Fixture *f = userdata;

        assert_no_auto_start(bus);
        return sd_bus_message_append(reply, "b", streq(property, "LidClosed") ? f->lid_closed : f->external_power);
}

static const sd_bus_vtable login1_vtable[] = {
        SD_BUS_VTABLE_START(0),
        SD_BUS_METHOD("Inhibit", "ssss", "h", method_inhibit, SD_BUS_VTABLE_UNPRIVILEGED),
        SD_BUS_PROPERTY("PreparingForSleep", "b", get_preparing, 0, 0),
        SD_BUS_PROPERTY("LidClosed", "b", get_power, 0, 0),
        SD_BUS_PROPERTY("OnExternalPower", "b", get_power, 0, 0),
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

static int get_level(sd_bus *bus, const char *path, const char *interface, const char *property,
                     sd_bus_message *reply, void *userdata, sd_bus_error *ret_error) {
        Fixture *f = userdata;

        assert_no_auto_start(bus);
        return sd_bus_message_append(reply, "u", f->level);
}

static const sd_bus_vtable upower_vtable[] = {
        SD_BUS_VTABLE_START(0),
        SD_BUS_PROPERTY("WarningLevel", "u", get_level, 0, 0),
        SD_BUS_VTABLE_END,
};

static void start_upower(Fixture *f) {
        g_assert_cmpint(sd_bus_add_object_vtable(f->bus.caller, NULL, UPOWER_PATH, UPOWER_INTERFACE, upower_vtable, f),
                        >=, 0);
        g_assert_cmpint(sd_bus_request_name(f->bus.caller, UPOWER_NAME, 0), >=, 0);
}

static int keep_unanswered(sd_bus_message *m, void *userdata, sd_bus_error *ret_error) {
        Fixture *f = userdata;

        g_assert_null(f->unanswered);
        f->unanswered = sd_bus_message_ref(m);
        f->unanswered_asked = true;
        return 1;
}

/* It is there and takes the question. */
static void start_silent_upower(Fixture *f) {
        g_assert_cmpint(sd_bus_add_object(f->bus.caller, NULL, UPOWER_PATH, keep_unanswered, f), >=, 0);
        g_assert_cmpint(sd_bus_request_name(f->bus.caller, UPOWER_NAME, 0), >=, 0);
}

static void settle(Fixture *f) {
        /* Daemon to bus to service and back, twice: a reply may lead to another call. */
        for (int i = 0; i < 2; i++) {
                test_bus_sync(&f->bus, f->bus.daemon);
                test_bus_sync(&f->bus, f->bus.service);
        }
        test_bus_sync(&f->bus, f->bus.daemon);
}

/* Of this "what:mode", or of all. */
static unsigned locks_held_of(Fixture *f, const char *name) {
        unsigned n = 0;

        settle(f);
        for (guint i = 0; i < f->locks->len; i++) {
                const Granted *granted = &g_array_index(f->locks, Granted, i);
                struct pollfd p = { .fd = granted->fd };

                g_assert_cmpint(poll(&p, 1, 0), >=, 0);
                if (!(p.revents & POLLHUP))
                        n += !name || streq(granted->name, name);
        }
        return n;
}

static unsigned locks_held(Fixture *f) {
        return locks_held_of(f, NULL);
}

static void on_sleep(bool start, void *userdata) {
        Fixture *f = userdata;

        f->told = true;
        f->told_start = start;
        f->times_told++;
        if (!start && f->hold_at_end)
                inhibitor_hold(f->inhibitor, LOCK_DELAY);
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
        f->locks = g_array_new(false, false, sizeof(Granted));
        g_assert_cmpint(inhibitor_new(f->bus.daemon, on_sleep, f, &f->inhibitor), ==, 0);
        settle(f);
}

static void set_up(Fixture *f, const void *data) {
        test_bus_up(&f->bus);
        f->locks = g_array_new(false, false, sizeof(Granted));
        f->preparing = data != NULL;
        start_logind(f);
        g_assert_cmpint(inhibitor_new(f->bus.daemon, on_sleep, f, &f->inhibitor), ==, 0);
        settle(f);
}

static void tear_down(Fixture *f, const void *data) {
        g_assert_null(inhibitor_free(f->inhibitor));
        for (guint i = 0; i < f->locks->len; i++) {
                (void) close(g_array_index(f->locks, Granted, i).fd);
                g_free(g_array_index(f->locks, Granted, i).name);
        }
        g_array_unref(f->locks);
        sd_bus_message_unref(f->unanswered);
        test_bus_down(&f->bus);
}

static void test_hold(Fixture *f, const void *data) {
        g_assert_cmpuint(locks_held(f), ==, 0);
        inhibitor_hold(f->inhibitor, LOCK_JOB);
        g_assert_cmpuint(locks_held(f), ==, 1);
        inhibitor_hold(f->inhibitor, LOCK_JOB);
        inhibitor_release(f->inhibitor, LOCK_JOB);
        g_assert_cmpuint(locks_held(f), ==, 1);
        inhibitor_release(f->inhibitor, LOCK_JOB);
        g_assert_cmpuint(locks_held(f), ==, 0);
        g_assert_cmpuint(f->locks_asked, ==, 1);

        inhibitor_hold(f->inhibitor, LOCK_JOB);
        g_assert_cmpuint(locks_held(f), ==, 1);
}

/* The job is over before logind has answered. */
static void test_release_early(Fixture *f, const void *data) {
        inhibitor_hold(f->inhibitor, LOCK_JOB);
        inhibitor_release(f->inhibitor, LOCK_JOB);
        g_assert_cmpuint(locks_held(f), ==, 0);

        inhibitor_hold(f->inhibitor, LOCK_JOB);
        inhibitor_release(f->inhibitor, LOCK_JOB);
        inhibitor_hold(f->inhibitor, LOCK_JOB);
        g_assert_cmpuint(locks_held(f), ==, 1);
}

static void test_free_held(Fixture *f, const void *data) {
        inhibitor_hold(f->inhibitor, LOCK_JOB);
        g_assert_cmpuint(locks_held(f), ==, 1);
        f->inhibitor = inhibitor_free(f->inhibitor);
        g_assert_cmpuint(locks_held(f), ==, 0);
}

static void hold_all(Fixture *f) {
        for (InhibitorLock k = 0; k < _INHIBITOR_LOCK_MAX; k++)
                inhibitor_hold(f->inhibitor, k);
}

/* Each of them is a lock of its own with a count of its own. */
static void test_several(Fixture *f, const void *data) {
        hold_all(f);
        g_assert_cmpuint(locks_held_of(f, "sleep:block"), ==, 2);
        g_assert_cmpuint(locks_held_of(f, "sleep:delay"), ==, 1);
        g_assert_cmpuint(locks_held_of(f, "handle-lid-switch:block"), ==, 1);
        inhibitor_hold(f->inhibitor, LOCK_VM);
        g_assert_cmpuint(locks_held(f), ==, 4);
        g_assert_cmpuint(f->locks_asked, ==, 4);

        inhibitor_release(f->inhibitor, LOCK_VM);
        g_assert_cmpuint(locks_held(f), ==, 4);
        inhibitor_release(f->inhibitor, LOCK_VM);
        g_assert_cmpuint(locks_held_of(f, "sleep:block"), ==, 1);
        inhibitor_release(f->inhibitor, LOCK_DELAY);
        g_assert_cmpuint(locks_held_of(f, "sleep:delay"), ==, 0);
        inhibitor_release(f->inhibitor, LOCK_JOB);
        g_assert_cmpuint(locks_held_of(f, "sleep:block"), ==, 0);
        g_assert_cmpuint(locks_held_of(f, "handle-lid-switch:block"), ==, 1);

        hold_all(f);
        f->inhibitor = inhibitor_free(f->inhibitor);
        g_assert_cmpuint(locks_held(f), ==, 0);
}

/* Two that have the same words at logind. */
static void test_same_words(Fixture *f, const void *data) {
        inhibitor_hold(f->inhibitor, LOCK_JOB);
        inhibitor_hold(f->inhibitor, LOCK_VM);
        inhibitor_release(f->inhibitor, LOCK_JOB);
        g_assert_cmpuint(locks_held_of(f, "sleep:block"), ==, 1);
        inhibitor_hold(f->inhibitor, LOCK_JOB);
        inhibitor_release(f->inhibitor, LOCK_VM);
        g_assert_cmpuint(locks_held_of(f, "sleep:block"), ==, 1);
        inhibitor_release(f->inhibitor, LOCK_JOB);
        g_assert_cmpuint(locks_held(f), ==, 0);
}

/* The delay lock goes when all is ready, cannot be had again during the sleep, and is there after it. */
static void test_delay(Fixture *f, const void *data) {
        inhibitor_hold(f->inhibitor, LOCK_DELAY);
        g_assert_cmpuint(locks_held_of(f, "sleep:delay"), ==, 1);
        announce(f, true);
        g_assert_cmpuint(locks_held_of(f, "sleep:delay"), ==, 1);
        inhibitor_release(f->inhibitor, LOCK_DELAY);
        g_assert_cmpuint(locks_held_of(f, "sleep:delay"), ==, 0);

        inhibitor_hold(f->inhibitor, LOCK_DELAY);
        g_assert_cmpuint(locks_held_of(f, "sleep:delay"), ==, 0);
        g_assert_cmpuint(f->locks_asked, ==, 2);
        announce(f, false);
        g_assert_cmpuint(locks_held_of(f, "sleep:delay"), ==, 1);
        g_assert_cmpuint(f->locks_asked, ==, 3);
}

/* Taken by whoever hears that the sleep is over: logind grants it from then on. */
static void test_delay_at_end(Fixture *f, const void *data) {
        f->hold_at_end = true;
        for (unsigned n = 1; n <= 3; n++) {
                announce(f, true);
                if (n > 1)
                        inhibitor_release(f->inhibitor, LOCK_DELAY);
                g_assert_cmpuint(locks_held(f), ==, 0);
                announce(f, false);
                g_assert_cmpuint(locks_held_of(f, "sleep:delay"), ==, 1);
                g_assert_cmpuint(f->locks_asked, ==, n);
        }
}

/* logind refuses what it is doing; the lid is something else. */
static void test_lid_while_sleeping(Fixture *f, const void *data) {
        announce(f, true);
        hold_all(f);
        g_assert_cmpuint(locks_held_of(f, "handle-lid-switch:block"), ==, 1);
        g_assert_cmpuint(locks_held(f), ==, 1);
        g_assert_cmpuint(f->locks_asked, ==, 4);
        announce(f, false);
        g_assert_cmpuint(locks_held_of(f, "sleep:block"), ==, 2);
        g_assert_cmpuint(locks_held_of(f, "sleep:delay"), ==, 1);
        g_assert_cmpuint(locks_held_of(f, "handle-lid-switch:block"), ==, 1);
        g_assert_cmpuint(f->locks_asked, ==, 7);
        g_assert_cmpuint(f->locks->len, ==, 4);
}

/* What nobody holds any more is not asked for again. */
static void test_released_while_sleeping(Fixture *f, const void *data) {
        announce(f, true);
        inhibitor_hold(f->inhibitor, LOCK_JOB);
        inhibitor_hold(f->inhibitor, LOCK_DELAY);
        g_assert_cmpuint(locks_held(f), ==, 0);
        inhibitor_release(f->inhibitor, LOCK_JOB);
        announce(f, false);
        g_assert_cmpuint(locks_held_of(f, "sleep:delay"), ==, 1);
        g_assert_cmpuint(locks_held(f), ==, 1);
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
        inhibitor_hold(f->inhibitor, LOCK_JOB);
        g_assert_cmpuint(locks_held(f), ==, 0);
        g_assert_cmpuint(f->locks_asked, ==, 1);
        announce(f, false);
        g_assert_cmpuint(locks_held(f), ==, 1);
        g_assert_cmpuint(f->locks_asked, ==, 2);
}

static void test_restart(Fixture *f, const void *data) {
        inhibitor_hold(f->inhibitor, LOCK_JOB);
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
        inhibitor_release(f->inhibitor, LOCK_JOB);
        g_assert_cmpuint(locks_held(f), ==, 0);
}

static void test_restart_several(Fixture *f, const void *data) {
        inhibitor_hold(f->inhibitor, LOCK_DELAY);
        inhibitor_hold(f->inhibitor, LOCK_LID);
        g_assert_cmpuint(locks_held(f), ==, 2);
        f->lock_asked = false;
        restart_logind(f);
        loop_until(f->bus.event, f->lock_asked);
        g_assert_cmpuint(locks_held_of(f, "sleep:delay"), ==, 1);
        g_assert_cmpuint(locks_held_of(f, "handle-lid-switch:block"), ==, 1);
        g_assert_cmpuint(f->locks->len, ==, 4);
}

/* The new one sleeps already: what the old one granted is kept until there is something better. */
static void test_restart_refused(Fixture *f, const void *data) {
        inhibitor_hold(f->inhibitor, LOCK_DELAY);
        g_assert_cmpuint(locks_held(f), ==, 1);
        f->lock_asked = false;
        f->preparing = true;
        restart_logind(f);
        loop_until(f->bus.event, f->lock_asked);
        g_assert_cmpuint(locks_held_of(f, "sleep:delay"), ==, 1);
        g_assert_true(inhibitor_sleeping(f->inhibitor));
}

static void test_restart_idle(Fixture *f, const void *data) {
        restart_logind(f);
        g_assert_cmpuint(locks_held(f), ==, 0);
        g_assert_cmpuint(f->locks_asked, ==, 0);
        announce(f, true);
}

/* logind goes away between the question and the answer, and comes back. */
static void test_restart_asked(Fixture *f, const void *data) {
        inhibitor_hold(f->inhibitor, LOCK_JOB);
        restart_logind(f);
        loop_until(f->bus.event, f->lock_asked);
        g_assert_cmpuint(locks_held(f), ==, 1);
}

static void test_missing(Fixture *f, const void *data) {
        inhibitor_hold(f->inhibitor, LOCK_JOB);
        settle(f);
        g_assert_false(inhibitor_sleeping(f->inhibitor));
        start_logind(f);
        loop_until(f->bus.event, f->lock_asked);
        g_assert_cmpuint(locks_held(f), ==, 1);
        announce(f, true);
        inhibitor_release(f->inhibitor, LOCK_JOB);
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

/* Lid and battery */

static void on_power(const PowerSituation *situation, void *userdata);

static void ask(Fixture *f) {
        f->answered = f->unanswered_asked = false;
        g_assert_cmpint(inhibitor_ask_power(f->inhibitor, on_power, f), ==, 0);
        g_assert_false(f->answered);
}

static void on_power(const PowerSituation *situation, void *userdata) {
        Fixture *f = userdata;

        f->situation = *situation;
        f->times_answered++;
        if (f->ask_again) {
                f->ask_again = false;
                ask(f);
                return;
        }
        f->answered = true;
}

static void assert_situation(Fixture *f, bool lid_closed, bool on_battery, bool battery_critical) {
        loop_until(f->bus.event, f->answered);
        g_assert_cmpint(f->situation.lid_closed, ==, lid_closed);
        g_assert_cmpint(f->situation.on_battery, ==, on_battery);
        g_assert_cmpint(f->situation.battery_critical, ==, battery_critical);
}

static void test_power(Fixture *f, const void *data) {
        start_upower(f);
        f->lid_closed = true;
        f->external_power = true;
        ask(f);
        g_assert_cmpint(inhibitor_ask_power(f->inhibitor, on_power, f), ==, -EBUSY);
        assert_situation(f, true, false, false);
        g_assert_cmpuint(f->times_answered, ==, 1);

        /* Nothing of it is remembered. */
        f->lid_closed = f->external_power = false;
        ask(f);
        assert_situation(f, false, true, false);
        /* Unknown, none, discharging, low, critical, action, normal, high, full. */
        for (f->level = 0; f->level <= 8; f->level++) {
                ask(f);
                assert_situation(f, false, true, f->level == 4 || f->level == 5);
        }
        g_assert_cmpuint(f->times_answered, ==, 11);
}

/* Whoever gets the answer may ask the next question. */
static void test_power_again(Fixture *f, const void *data) {
        start_upower(f);
        f->level = 4;
        f->ask_again = true;
        ask(f);
        assert_situation(f, false, true, true);
        g_assert_cmpuint(f->times_answered, ==, 2);
}

static void test_power_without_logind(Fixture *f, const void *data) {
        start_upower(f);
        f->lid_closed = true;
        f->level = 5;
        ask(f);
        assert_situation(f, false, false, true);
        /* It has come. */
        start_logind(f);
        settle(f);
        ask(f);
        assert_situation(f, true, true, true);
}

static void test_power_without_upower(Fixture *f, const void *data) {
        f->lid_closed = true;
        f->level = 5;
        ask(f);
        assert_situation(f, true, true, false);
}

static void test_power_without_anybody(Fixture *f, const void *data) {
        ask(f);
        assert_situation(f, false, false, false);
}

/* logind goes away with the question. What it cannot say any more is not known. */
static void test_power_restart(Fixture *f, const void *data) {
        start_upower(f);
        f->lid_closed = true;
        f->level = 4;
        ask(f);
        f->bus.service = sd_bus_flush_close_unref(f->bus.service);
        assert_situation(f, false, false, true);
        f->bus.service = test_bus_connect(&f->bus);
}

/* From whatever connection, and a value of any type. */
static void answer(Fixture *f, sd_bus *from, const char *types, ...) {
        sd_bus_message *reply = NULL;
        va_list ap;

        loop_until(f->bus.event, f->unanswered_asked);
        g_assert_cmpint(sd_bus_message_new_method_return(f->unanswered, &reply), >=, 0);
        va_start(ap, types);
        g_assert_cmpint(sd_bus_message_appendv(reply, types, ap), >=, 0);
        va_end(ap);
        g_assert_cmpint(sd_bus_send(from, reply, NULL), >=, 0);
        sd_bus_message_unref(reply);
        f->unanswered = sd_bus_message_unref(f->unanswered);
}

/* UPower has the question and does not answer it: what logind says counts, and what UPower says too late does not. */
static void test_power_silent(Fixture *f, const void *data) {
        _cleanup_(inhibitor_freep) Inhibitor *first = f->inhibitor;

        /* So that it is not sd-bus that ends it. */
        g_assert_cmpint(sd_bus_set_method_call_timeout(f->bus.daemon, 10 * LOOP_LIMIT_USEC), >=, 0);
        start_silent_upower(f);
        /* A question that was answered has no limit any more, whoever waits afterwards. */
        ask(f);
        answer(f, f->bus.caller, "v", "u", 5);
        assert_situation(f, false, true, true);
        g_assert_cmpint(inhibitor_new(f->bus.daemon, on_sleep, f, &f->inhibitor), ==, 0);
        settle(f);
        f->times_answered = 0;
        f->lid_closed = true;
        ask(f);
        assert_situation(f, true, true, false);
        g_assert_cmpuint(f->times_answered, ==, 1);

        f->lid_closed = false;
        answer(f, f->bus.caller, "v", "u", 5);
        test_bus_sync(&f->bus, f->bus.caller);
        settle(f);
        g_assert_cmpuint(f->times_answered, ==, 1);
        ask(f);
        answer(f, f->bus.caller, "v", "u", 1);
        assert_situation(f, false, true, false);
        g_assert_cmpuint(f->times_answered, ==, 2);
}

/* Whatever types it uses. What it said before is not remembered. */
static void test_power_strange(Fixture *f, const void *data) {
        start_silent_upower(f);
        ask(f);
        answer(f, f->bus.caller, "v", "u", 5);
        assert_situation(f, false, true, true);
        ask(f);
        answer(f, f->bus.caller, "s", "critical");
        assert_situation(f, false, true, false);
        ask(f);
        answer(f, f->bus.caller, "v", "i", 5);
        assert_situation(f, false, true, false);
        g_assert_cmpuint(f->times_answered, ==, 3);
}

/* logind has the question about the lid, and does not answer it. */
static int keep_lid_question(sd_bus_message *m, void *userdata, sd_bus_error *ret_error) {
        const char *interface, *property;

        if (!sd_bus_message_is_method_call(m, "org.freedesktop.DBus.Properties", "Get"))
                return 0;
        g_assert_cmpint(sd_bus_message_read(m, "ss", &interface, &property), >, 0);
        g_assert_cmpint(sd_bus_message_rewind(m, true), >=, 0);
        return streq(property, "LidClosed") ? keep_unanswered(m, userdata, ret_error) : 0;
}

/* Somebody else answers in the place of logind. */
static void test_power_forged(Fixture *f, const void *data) {
        start_upower(f);
        g_assert_cmpint(sd_bus_add_filter(f->bus.service, NULL, keep_lid_question, f), >=, 0);
        ask(f);
        answer(f, f->bus.caller, "v", "b", true);
        assert_situation(f, false, true, false);
        ask(f);
        answer(f, f->bus.service, "v", "b", true);
        assert_situation(f, true, true, false);
}

static void test_power_free(Fixture *f, const void *data) {
        start_upower(f);
        ask(f);
        f->inhibitor = inhibitor_free(f->inhibitor);
        settle(f);
        g_assert_cmpuint(f->times_answered, ==, 0);
}

int main(int argc, char *argv[]) {
        g_test_init(&argc, &argv, NULL);
#define ADD(path, function) g_test_add("/inhibitor/" path, Fixture, NULL, set_up, function, tear_down)
        ADD("hold", test_hold);
        ADD("release-early", test_release_early);
        ADD("free-held", test_free_held);
        ADD("several", test_several);
        ADD("same-words", test_same_words);
        ADD("delay/refused", test_delay);
        ADD("delay/at-end", test_delay_at_end);
        ADD("lid-while-sleeping", test_lid_while_sleeping);
        ADD("released-while-sleeping", test_released_while_sleeping);
        ADD("signals", test_signals);
        ADD("refused-while-sleeping", test_refused_while_sleeping);
        ADD("restart/held", test_restart);
        ADD("restart/several", test_restart_several);
        ADD("restart/refused", test_restart_refused);
        ADD("restart/idle", test_restart_idle);
        ADD("restart/asked", test_restart_asked);
        ADD("forged", test_forged);
        ADD("power/answered", test_power);
        ADD("power/again", test_power_again);
        ADD("power/without-upower", test_power_without_upower);
        ADD("power/restart", test_power_restart);
        ADD("power/silent", test_power_silent);
        ADD("power/strange", test_power_strange);
        ADD("power/forged", test_power_forged);
        ADD("power/free", test_power_free);
#undef ADD
        g_test_add("/inhibitor/sleeping-at-start", Fixture, "", set_up, test_sleeping_at_start, tear_down);
        g_test_add("/inhibitor/known", Fixture, "", set_up, test_known, tear_down);
        g_test_add("/inhibitor/missing", Fixture, NULL, set_up_without_logind, test_missing, tear_down);
        g_test_add("/inhibitor/power/without-logind", Fixture, NULL, set_up_without_logind, test_power_without_logind,
                   tear_down);
        g_test_add("/inhibitor/power/without-anybody", Fixture, NULL, set_up_without_logind, test_power_without_anybody,
                   tear_down);
        return g_test_run();
}
