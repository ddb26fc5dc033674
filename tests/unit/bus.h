/* SPDX-License-Identifier: GPL-2.0-or-later */
#pragma once

/* bus: a private dbus-daemon and the connections of a test to it, all in one event loop: `daemon` stands for gpuptd,
 * `service` for polkit or logind, `caller` for whoever calls gpuptd. */

#include <signal.h>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <systemd/sd-bus.h>

#include "loop.h"

typedef struct TestBus {
        char *dir, *address;
        GPid dbus_daemon;
        sd_event *event;
        sd_bus *daemon, *service, *caller;
} TestBus;

/* A test that fails takes its dbus-daemon with it. */
static inline void test_bus_set_up_child(gpointer userdata) {
        (void) prctl(PR_SET_PDEATHSIG, SIGKILL);
}

/* Everybody may do everything; as on the system bus, that includes signals to one receiver, and more than there, answers to
 * what one was not asked. */
static inline void test_bus_start_daemon(TestBus *t) {
        static const char policy[] =
                "<busconfig><listen>unix:dir=%s</listen><auth>EXTERNAL</auth><policy context='default'>"
                "<allow send_destination='*'/><allow receive_sender='*'/><allow own='*'/>"
                "<allow send_type='method_return' send_requested_reply='false'/>"
                "<allow receive_type='method_return' receive_requested_reply='false'/></policy></busconfig>";
        g_autofree char *config = g_build_filename(t->dir, "bus.conf", NULL);
        g_autofree char *text = g_markup_printf_escaped(policy, t->dir);
        g_autofree char *option = g_strdup_printf("--config-file=%s", config);
        char *argv[] = { (char *) "dbus-daemon", (char *) "--nofork", (char *) "--print-address=1", option, NULL };
        char line[1024];
        FILE *f;
        int fd;

        g_assert_true(g_file_set_contents(config, text, -1, NULL));
        g_assert_true(g_spawn_async_with_pipes(NULL, argv, NULL, G_SPAWN_SEARCH_PATH | G_SPAWN_DO_NOT_REAP_CHILD,
                                               test_bus_set_up_child, NULL, &t->dbus_daemon, NULL, &fd, NULL, NULL));
        f = fdopen(fd, "re");
        g_assert_nonnull(f);
        g_assert_nonnull(fgets(line, sizeof(line), f));
        (void) fclose(f);
        t->address = g_strdup(g_strchomp(line));
}

static inline sd_bus *test_bus_connect(TestBus *t) {
        sd_bus *bus = NULL;

        g_assert_cmpint(sd_bus_new(&bus), >=, 0);
        g_assert_cmpint(sd_bus_set_address(bus, t->address), >=, 0);
        g_assert_cmpint(sd_bus_set_bus_client(bus, true), >=, 0);
        g_assert_cmpint(sd_bus_negotiate_fds(bus, true), >=, 0);
        g_assert_cmpint(sd_bus_start(bus), >=, 0);
        g_assert_cmpint(sd_bus_attach_event(bus, t->event, 0), >=, 0);
        return bus;
}

static inline void test_bus_up(TestBus *t) {
        t->dir = loop_make_dir();
        test_bus_start_daemon(t);
        g_assert_cmpint(sd_event_new(&t->event), >=, 0);
        t->daemon = test_bus_connect(t);
        t->service = test_bus_connect(t);
        t->caller = test_bus_connect(t);
}

static inline void test_bus_down(TestBus *t) {
        sd_bus_flush_close_unref(t->daemon);
        sd_bus_flush_close_unref(t->service);
        sd_bus_flush_close_unref(t->caller);
        sd_event_unref(t->event);
        g_assert_cmpint(kill(t->dbus_daemon, SIGTERM), ==, 0);
        g_assert_cmpint(waitpid(t->dbus_daemon, NULL, 0), ==, t->dbus_daemon);
        g_spawn_close_pid(t->dbus_daemon);
        g_free(t->address);
        loop_remove_dir(t->dir);
}

static inline int test_bus_on_pong(sd_bus_message *m, void *userdata, sd_bus_error *ret_error) {
        *(bool *) userdata = true;
        return 0;
}

/* Everything that was sent from this connection before has reached the bus, and what the bus sent to it has been
 * handled: the bus answers in order. */
static inline void test_bus_sync(TestBus *t, sd_bus *bus) {
        bool pong = false;

        g_assert_cmpint(sd_bus_call_method_async(bus, NULL, "org.freedesktop.DBus", "/org/freedesktop/DBus",
                                                 "org.freedesktop.DBus.Peer", "Ping", test_bus_on_pong, &pong, NULL),
                        >=, 0);
        loop_until(t->event, pong);
}

static inline const char *test_bus_name(sd_bus *bus) {
        const char *name;

        g_assert_cmpint(sd_bus_get_unique_name(bus, &name), >=, 0);
        return name;
}

/* A signal for one receiver alone, as any client may send it. */
static inline void test_bus_send_signal(sd_bus *from, sd_bus *to, const char *path, const char *interface,
                                        const char *member, const char *types, ...) {
        sd_bus_message *m = NULL;
        va_list ap;

        g_assert_cmpint(sd_bus_message_new_signal(from, &m, path, interface, member), >=, 0);
        g_assert_cmpint(sd_bus_message_set_destination(m, test_bus_name(to)), >=, 0);
        va_start(ap, types);
        g_assert_cmpint(sd_bus_message_appendv(m, types, ap), >=, 0);
        va_end(ap);
        g_assert_cmpint(sd_bus_send(from, m, NULL), >=, 0);
        sd_bus_message_unref(m);
}
