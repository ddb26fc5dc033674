/* SPDX-License-Identifier: GPL-2.0-or-later */

/* inhibitor: one descriptor from logind, and what logind says about sleep. It owns the descriptor and its matches.
 * All calls are asynchronous and every failure ends in a log line: without logind nobody inhibits and nobody sleeps.
 *
 * logind grants nothing while a sleep is under way (login/logind-dbus.c method_inhibit()), so a lock that was refused
 * is asked for again after PrepareForSleep(false). A lock outlives a restart of logind only as far as its state files
 * do, so it is taken anew from a new owner of the name; the old one is closed when the new one is there.
 *
 * Any client of the system bus may send a signal straight to us, and sd-bus takes a match on a well-known name as met
 * by every unique one (libsystemd/sd-bus/bus-match.c value_node_test()), so the sender is compared here. */

#include "inhibitor.h"

#include <fcntl.h>

#include "util/log.h"

#define LOGIND_NAME "org.freedesktop.login1"
#define LOGIND_PATH "/org/freedesktop/login1"
#define LOGIND_INTERFACE "org.freedesktop.login1.Manager"

struct Inhibitor {
        sd_bus *bus;
        inhibitor_sleep_handler_t handler;
        void *userdata;
        char *owner;     /* logind's unique name; NULL if it is not there or not known yet */
        unsigned holds;
        int fd;          /* the lock, or -EBADF */
        bool sleeping;
        void (*known)(void *userdata); /* called once logind has answered the first question */
        bool complained; /* a refusal was logged; the next ones are debug until a lock is granted */
        sd_bus_slot *inhibit_call, *state_call;
        sd_bus_slot *sleep_match, *owner_match;
};

Inhibitor *inhibitor_free(Inhibitor *i) {
        if (!i)
                return NULL;
        (void) sd_bus_slot_unref(i->inhibit_call);
        (void) sd_bus_slot_unref(i->state_call);
        (void) sd_bus_slot_unref(i->sleep_match);
        (void) sd_bus_slot_unref(i->owner_match);
        (void) safe_close(i->fd);
        (void) sd_bus_unref(i->bus);
        free(i->owner);
        free(i);
        return NULL;
}

static void complain(Inhibitor *i, int error, const char *text) {
        int level = i->complained ? LOG_DEBUG : LOG_WARNING;

        i->complained = true;
        (void) log_with(level, error, NULL, NULL, "Cannot hold off sleep while a job runs, ignoring: %s",
                        text ?: strerror(-error));
}

static bool logind_missing(const sd_bus_error *e) {
        return sd_bus_error_has_names(e, SD_BUS_ERROR_SERVICE_UNKNOWN, SD_BUS_ERROR_NAME_HAS_NO_OWNER) ||
               (e->name && startswith(e->name, "org.freedesktop.DBus.Error.Spawn."));
}

static int on_inhibit_reply(sd_bus_message *reply, void *userdata, sd_bus_error *ret_error) {
        Inhibitor *i = ASSERT_PTR(userdata);
        const sd_bus_error *e = sd_bus_message_get_error(reply);
        int fd, r;

        i->inhibit_call = sd_bus_slot_unref(i->inhibit_call);
        if (e) {
                if (logind_missing(e))
                        log_debug("No logind, not holding off sleep.");
                else
                        complain(i, -sd_bus_message_get_errno(reply), e->message);
                return 0;
        }
        /* The descriptor belongs to the message. */
        r = sd_bus_message_read(reply, "h", &fd);
        if (r >= 0)
                fd = r = RET_NERRNO(fcntl(fd, F_DUPFD_CLOEXEC, 3));
        if (r < 0) {
                complain(i, r, NULL);
                return 0;
        }
        (void) safe_close(i->fd);
        i->fd = fd;
        i->complained = false;
        return 0;
}

static void take_lock(Inhibitor *i) {
        int r;

        if (i->inhibit_call)
                return;
        r = sd_bus_call_method_async(i->bus, &i->inhibit_call, LOGIND_NAME, LOGIND_PATH, LOGIND_INTERFACE, "Inhibit",
                                     on_inhibit_reply, i, "ssss", "sleep", "gpuptd",
                                     "A GPU is being moved between drivers", "block");
        if (r < 0)
                complain(i, r, NULL);
}

void inhibitor_hold(Inhibitor *i) {
        if (i->holds++ == 0)
                take_lock(i);
}

void inhibitor_release(Inhibitor *i) {
        assert(i->holds > 0);

        if (--i->holds > 0)
                return;
        /* The reply to a call whose slot is gone is dropped, and a granted lock with it. */
        i->inhibit_call = sd_bus_slot_unref(i->inhibit_call);
        i->fd = safe_close(i->fd);
}

bool inhibitor_sleeping(const Inhibitor *i) {
        return i->sleeping;
}

static void set_sleeping(Inhibitor *i, bool sleeping) {
        if (i->sleeping == sleeping)
                return;
        i->sleeping = sleeping;
        i->handler(sleeping, i->userdata);
}

static int on_prepare_for_sleep(sd_bus_message *m, void *userdata, sd_bus_error *ret_error) {
        Inhibitor *i = ASSERT_PTR(userdata);
        int start, r;

        if (!streq_ptr(sd_bus_message_get_sender(m), i->owner))
                return 0;
        r = sd_bus_message_read(m, "b", &start);
        if (r < 0) {
                (void) log_debug_errno(r, "Cannot read logind's PrepareForSleep, ignoring: %m");
                return 0;
        }
        if (!start && i->holds > 0 && i->fd < 0)
                take_lock(i);
        set_sleeping(i, start);
        return 0;
}

bool inhibitor_when_known(Inhibitor *i, void (*handler)(void *userdata)) {
        if (!i->state_call)
                return true;
        i->known = handler;
        return false;
}

static void take_state(Inhibitor *i, sd_bus_message *reply) {
        const char *sender = sd_bus_message_get_sender(reply);
        int sleeping, r;

        /* The bus itself answers for a name that nobody owns. */
        if (sender && sender[0] == ':')
                (void) free_and_strdup(&i->owner, sender);
        if (sd_bus_message_is_method_error(reply, NULL)) {
                log_debug("Cannot ask logind whether a sleep is under way, ignoring: %s",
                          strempty(sd_bus_message_get_error(reply)->message));
                return;
        }
        r = sd_bus_message_read(reply, "v", "b", &sleeping);
        if (r < 0)
                (void) log_debug_errno(r, "Cannot read logind's PreparingForSleep, ignoring: %m");
        else
                set_sleeping(i, sleeping);
}

static int on_state_reply(sd_bus_message *reply, void *userdata, sd_bus_error *ret_error) {
        Inhibitor *i = ASSERT_PTR(userdata);
        void (*known)(void *) = TAKE_PTR(i->known);

        i->state_call = sd_bus_slot_unref(i->state_call);
        take_state(i, reply);
        if (known)
                known(i->userdata);
        return 0;
}

/* A logind that does not run prepares no sleep and is not started by the question. */
static int ask_state(Inhibitor *i) {
        _cleanup_(sd_bus_message_unrefp) sd_bus_message *m = NULL;
        int r;

        i->state_call = sd_bus_slot_unref(i->state_call);
        r = sd_bus_message_new_method_call(i->bus, &m, LOGIND_NAME, LOGIND_PATH, "org.freedesktop.DBus.Properties",
                                           "Get");
        if (r < 0)
                return r;
        r = sd_bus_message_append(m, "ss", LOGIND_INTERFACE, "PreparingForSleep");
        if (r < 0)
                return r;
        r = sd_bus_message_set_auto_start(m, false);
        if (r < 0)
                return r;
        return sd_bus_call_async(i->bus, &i->state_call, m, on_state_reply, i, 0);
}

static int on_owner_changed(sd_bus_message *m, void *userdata, sd_bus_error *ret_error) {
        Inhibitor *i = ASSERT_PTR(userdata);
        const char *new_owner;
        int r;

        if (!streq_ptr(sd_bus_message_get_sender(m), "org.freedesktop.DBus"))
                return 0;
        r = sd_bus_message_read(m, "sss", NULL, NULL, &new_owner);
        if (r < 0) {
                (void) log_debug_errno(r, "Cannot read NameOwnerChanged of logind, ignoring: %m");
                return 0;
        }
        /* Whatever the former owner prepared, it will not announce the end of it. */
        set_sleeping(i, false);
        (void) free_and_strdup(&i->owner, isempty(new_owner) ? NULL : new_owner);
        if (!i->owner)
                return 0;

        r = ask_state(i);
        if (r < 0)
                (void) log_debug_errno(r, "Cannot ask logind whether a sleep is under way, ignoring: %m");
        if (i->holds > 0) {
                /* A call to the former logind may still wait for its reply. */
                i->inhibit_call = sd_bus_slot_unref(i->inhibit_call);
                take_lock(i);
        }
        return 0;
}

/* Without this, sd-bus would close the connection where a match is refused. */
static int on_match_installed(sd_bus_message *reply, void *userdata, sd_bus_error *ret_error) {
        if (sd_bus_message_is_method_error(reply, NULL))
                log_warning("Cannot follow logind's signals, ignoring: %s",
                            strempty(sd_bus_message_get_error(reply)->message));
        return 0;
}

int inhibitor_new(sd_bus *bus, inhibitor_sleep_handler_t handler, void *userdata, Inhibitor **ret) {
        _cleanup_(inhibitor_freep) Inhibitor *i = NULL;
        int r;

        i = calloc(1, sizeof(Inhibitor));
        if (!i)
                return -ENOMEM;
        i->bus = sd_bus_ref(bus);
        i->fd = -EBADF;
        i->handler = handler;
        i->userdata = userdata;

        /* The matches come before the question: the answer is not older than the first signal. */
        r = sd_bus_match_signal_async(bus, &i->sleep_match, LOGIND_NAME, LOGIND_PATH, LOGIND_INTERFACE,
                                      "PrepareForSleep", on_prepare_for_sleep, on_match_installed, i);
        if (r < 0)
                return r;
        r = sd_bus_add_match_async(bus, &i->owner_match,
                                   "type='signal',sender='org.freedesktop.DBus',path='/org/freedesktop/DBus',"
                                   "interface='org.freedesktop.DBus',member='NameOwnerChanged',"
                                   "arg0='" LOGIND_NAME "'",
                                   on_owner_changed, on_match_installed, i);
        if (r < 0)
                return r;
        r = ask_state(i);
        if (r < 0)
                return r;
        *ret = TAKE_PTR(i);
        return 0;
}
