/* SPDX-License-Identifier: GPL-2.0-or-later */

/* test-host-sleep: one suspend asked of a stand-in for logind, which answers before or after the sleep is over, refuses, says
 * nothing, or is not there; and signals of others that nobody believes. */

#include "host-sleep.h"

#include <errno.h>

#include "bus.h"

#define LOGIN1_NAME "org.freedesktop.login1"
#define LOGIN1_PATH "/org/freedesktop/login1"
#define LOGIN1_INTERFACE "org.freedesktop.login1.Manager"

typedef struct Fixture {
        TestBus bus;
        /* logind */
        bool refuse, over_before_reply, silent, asked;
        unsigned times_asked;
        sd_bus_message *unanswered;
        /* gpuptd */
        HostSleep *sleep;
        bool over;
        int error;
        char *text;
} Fixture;

static void announce(sd_bus *bus, int start) {
        g_assert_cmpint(sd_bus_emit_signal(bus, LOGIN1_PATH, LOGIN1_INTERFACE, "PrepareForSleep", "b", start), >=, 0);
}

static int method_suspend(sd_bus_message *m, void *userdata, sd_bus_error *ret_error) {
        Fixture *f = userdata;
        int interactive;

        g_assert_cmpint(sd_bus_message_read(m, "b", &interactive), >, 0);
        g_assert_false(interactive);
        f->asked = true;
        f->times_asked++;
        if (f->refuse)
                return sd_bus_error_set(ret_error, "org.freedesktop.login1.BlockedByInhibitorLock", "Somebody burns a disc.");
        if (f->silent) {
                f->unanswered = sd_bus_message_ref(m);
                return 1;
        }
        if (f->over_before_reply) {
                announce(f->bus.service, true);
                announce(f->bus.service, false);
        }
        return sd_bus_reply_method_return(m, NULL);
}

static const sd_bus_vtable login1_vtable[] = {
        SD_BUS_VTABLE_START(0),
        SD_BUS_METHOD("Suspend", "b", NULL, method_suspend, SD_BUS_VTABLE_UNPRIVILEGED),
        SD_BUS_SIGNAL("PrepareForSleep", "b", 0),
        SD_BUS_VTABLE_END,
};

static void settle(Fixture *f) {
        for (int i = 0; i < 2; i++) {
                test_bus_sync(&f->bus, f->bus.daemon);
                test_bus_sync(&f->bus, f->bus.service);
        }
        test_bus_sync(&f->bus, f->bus.daemon);
}

static void on_over(int error, const char *text, void *userdata) {
        Fixture *f = userdata;

        g_assert_false(f->over);
        f->over = true;
        f->error = error;
        f->text = g_strdup(text);
        f->sleep = NULL;
}

static void begin(Fixture *f, unsigned limit_sec) {
        g_assert_cmpint(host_sleep_new(f->bus.daemon, f->bus.event, limit_sec, on_over, f, &f->sleep), ==, 0);
}

static void set_up_without_logind(Fixture *f, const void *data) {
        test_bus_up(&f->bus);
}

static void set_up(Fixture *f, const void *data) {
        set_up_without_logind(f, data);
        g_assert_cmpint(sd_bus_add_object_vtable(f->bus.service, NULL, LOGIN1_PATH, LOGIN1_INTERFACE, login1_vtable, f), >=, 0);
        g_assert_cmpint(sd_bus_request_name(f->bus.service, LOGIN1_NAME, 0), >=, 0);
}

static void tear_down(Fixture *f, const void *data) {
        g_assert_null(host_sleep_free(f->sleep));
        sd_bus_message_unref(f->unanswered);
        g_free(f->text);
        test_bus_down(&f->bus);
}

static void test_reply_first(Fixture *f, const void *data) {
        begin(f, 600);
        settle(f);
        g_assert_true(f->asked);
        g_assert_false(f->over);
        announce(f->bus.service, true);
        settle(f);
        g_assert_false(f->over);
        announce(f->bus.service, false);
        loop_until(f->bus.event, f->over);
        g_assert_cmpint(f->error, ==, 0);
        g_assert_cmpstr(f->text, ==, "");
        g_assert_cmpuint(f->times_asked, ==, 1);
}

static void test_signal_first(Fixture *f, const void *data) {
        f->over_before_reply = true;
        begin(f, 600);
        loop_until(f->bus.event, f->over);
        g_assert_cmpint(f->error, ==, 0);
}

static void test_refused(Fixture *f, const void *data) {
        f->refuse = true;
        begin(f, 600);
        loop_until(f->bus.event, f->over);
        g_assert_cmpint(f->error, <, 0);
        g_assert_cmpstr(f->text, ==, "Somebody burns a disc.");
        /* What comes later is no longer its business. */
        announce(f->bus.service, false);
        settle(f);
}

/* It answers, and the sleep never ends; or it does not even answer. */
static void test_too_long(Fixture *f, const void *data) {
        f->silent = data;
        begin(f, 1);
        loop_until(f->bus.event, f->over);
        g_assert_true(f->asked);
        g_assert_cmpint(f->error, ==, -ETIMEDOUT);
        g_assert_cmpstr(f->text, !=, "");
}

/* In the name of logind, before and after that has answered. */
static void test_forged(Fixture *f, const void *data) {
        for (unsigned i = 0; i < 2; i++) {
                if (i == 0)
                        begin(f, 600);
                test_bus_send_signal(f->bus.caller, f->bus.daemon, LOGIN1_PATH, LOGIN1_INTERFACE, "PrepareForSleep", "b", false);
                test_bus_sync(&f->bus, f->bus.caller);
                settle(f);
                g_assert_false(f->over);
        }
        announce(f->bus.service, false);
        loop_until(f->bus.event, f->over);
        g_assert_cmpint(f->error, ==, 0);
}

/* A signal of another shape. */
static void test_malformed(Fixture *f, const void *data) {
        begin(f, 600);
        settle(f);
        test_bus_send_signal(f->bus.service, f->bus.daemon, LOGIN1_PATH, LOGIN1_INTERFACE, "PrepareForSleep", "s", "no");
        settle(f);
        g_assert_false(f->over);
        announce(f->bus.service, false);
        loop_until(f->bus.event, f->over);
        g_assert_cmpint(f->error, ==, 0);
}

static void test_missing(Fixture *f, const void *data) {
        begin(f, 600);
        loop_until(f->bus.event, f->over);
        g_assert_cmpint(f->error, <, 0);
        g_assert_cmpstr(f->text, !=, "");
}

static void test_free(Fixture *f, const void *data) {
        begin(f, 600);
        settle(f);
        f->sleep = host_sleep_free(f->sleep);
        announce(f->bus.service, false);
        settle(f);
        g_assert_false(f->over);
}

int main(int argc, char *argv[]) {
        g_test_init(&argc, &argv, NULL);
#define ADD(path, set_up_, data, function) g_test_add("/host-sleep/" path, Fixture, data, set_up_, function, tear_down)
        ADD("reply-first", set_up, NULL, test_reply_first);
        ADD("signal-first", set_up, NULL, test_signal_first);
        ADD("refused", set_up, NULL, test_refused);
        ADD("too-long", set_up, NULL, test_too_long);
        ADD("silent", set_up, "", test_too_long);
        ADD("forged", set_up, NULL, test_forged);
        ADD("malformed", set_up, NULL, test_malformed);
        ADD("missing", set_up_without_logind, NULL, test_missing);
        ADD("free", set_up, NULL, test_free);
#undef ADD
        return g_test_run();
}
