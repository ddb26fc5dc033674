/* SPDX-License-Identifier: GPL-2.0-or-later */

/* inhibitor: the descriptors of our locks at logind, and what logind and UPower say. It owns the descriptors, its
 * matches and its questions. All calls are asynchronous and every failure ends in a log line: without logind nobody
 * inhibits and nobody sleeps. What is locked when, and what follows from lid and battery, is not known here.
 *
 * logind grants no lock on what it is just doing (login/logind-dbus.c method_inhibit()): while a sleep is under way none
 * on sleep, but the one on the lid. One that was refused is asked for again after PrepareForSleep(false). A lock outlives
 * a restart of logind only as far as its state files do, so it is taken anew from a new owner of the name; the old one is
 * closed when the new one is there.
 *
 * Any client of the system bus may send a signal straight to us, and sd-bus takes a match on a well-known name as met
 * by every unique one (libsystemd/sd-bus/bus-match.c value_node_test()), so the sender is compared here. */

#include "inhibitor.h"

#include <fcntl.h>

#include "util/log.h"

#define LOGIND_NAME "org.freedesktop.login1"
#define LOGIND_PATH "/org/freedesktop/login1"
#define LOGIND_INTERFACE "org.freedesktop.login1.Manager"
#define LOGIND_BUSY "org.freedesktop.login1.OperationInProgress"

/* UpDeviceLevel of libupower-glib/up-types.h; its numbers do not go up with the danger. */
#define UPOWER_LEVEL_CRITICAL 4U
#define UPOWER_LEVEL_ACTION 5U

#define POWER_LIMIT_USEC (2U * 1000U * 1000U)

/* As `systemd-inhibit --list` shows them. */
static const struct {
        const char *what, *mode, *why;
} lock_table[_INHIBITOR_LOCK_MAX] = {
        [LOCK_JOB] = { "sleep", "block", "A GPU is being moved between drivers" },
        [LOCK_DELAY] = { "sleep", "delay", "GPUs and their virtual machines are made ready for sleep" },
        [LOCK_VM] = { "sleep", "block", "A virtual machine has a GPU, and must not be put to sleep" },
        [LOCK_LID] = { "handle-lid-switch", "block", "A virtual machine has a GPU, and could not be put to sleep" },
};

typedef struct Lock {
        Inhibitor *inhibitor; /* weak */
        unsigned holds;
        int fd;               /* or -EBADF */
        bool complained;      /* a refusal was logged; the next ones are debug until the lock is granted */
        sd_bus_slot *call;
} Lock;

/* What a PowerSituation is put together from. */
typedef enum Fact {
        FACT_LID,
        FACT_SUPPLY,
        FACT_BATTERY,
        _FACT_MAX,
} Fact;

static const struct {
        const char *service, *path, *interface, *property;
} fact_table[_FACT_MAX] = {
        [FACT_LID] = { LOGIND_NAME, LOGIND_PATH, LOGIND_INTERFACE, "LidClosed" },
        [FACT_SUPPLY] = { LOGIND_NAME, LOGIND_PATH, LOGIND_INTERFACE, "OnExternalPower" },
        [FACT_BATTERY] = { "org.freedesktop.UPower", "/org/freedesktop/UPower/devices/DisplayDevice",
                           "org.freedesktop.UPower.Device", "WarningLevel" },
};

/* One part of a question; there is a call until it is answered. */
typedef struct Ask {
        Inhibitor *inhibitor; /* weak */
        sd_bus_slot *call;
} Ask;

typedef struct PowerQuestion {
        power_handler_t handler; /* NULL: nobody asks */
        void *userdata;
        PowerSituation situation;
        Ask asks[_FACT_MAX];
        sd_event_source *limit;
} PowerQuestion;

struct Inhibitor {
        sd_bus *bus;
        inhibitor_sleep_handler_t handler;
        void *userdata;
        char *owner;     /* logind's unique name; NULL if it is not there or not known yet */
        Lock locks[_INHIBITOR_LOCK_MAX];
        bool sleeping;
        void (*known)(void *userdata); /* called once logind has answered the first question */
        PowerQuestion power;
        sd_bus_slot *state_call;
        sd_bus_slot *sleep_match, *owner_match;
};

static void lock_drop(Lock *l) {
        /* The reply to a call whose slot is gone is dropped, and a granted lock with it. */
        l->call = sd_bus_slot_unref(l->call);
        l->fd = safe_close(l->fd);
}

static void power_drop(PowerQuestion *q) {
        for (Fact f = 0; f < _FACT_MAX; f++)
                q->asks[f].call = sd_bus_slot_unref(q->asks[f].call);
        q->limit = sd_event_source_disable_unref(q->limit);
        q->handler = NULL;
}

Inhibitor *inhibitor_free(Inhibitor *i) {
        if (!i)
                return NULL;
        for (InhibitorLock k = 0; k < _INHIBITOR_LOCK_MAX; k++)
                lock_drop(i->locks + k);
        power_drop(&i->power);
        (void) sd_bus_slot_unref(i->state_call);
        (void) sd_bus_slot_unref(i->sleep_match);
        (void) sd_bus_slot_unref(i->owner_match);
        (void) sd_bus_unref(i->bus);
        free(i->owner);
        free(i);
        return NULL;
}

/* ---- locks ---- */

static InhibitorLock lock_kind(const Lock *l) {
        return (InhibitorLock) (l - l->inhibitor->locks);
}

static void complain(Lock *l, int error, const char *text) {
        int level = l->complained ? LOG_DEBUG : LOG_WARNING;
        InhibitorLock k = lock_kind(l);

        l->complained = true;
        (void) log_with(level, error, NULL, NULL, "Cannot get logind's %s lock on %s (%s), ignoring: %s",
                        lock_table[k].mode, lock_table[k].what, lock_table[k].why, text ?: strerror(-error));
}

static bool logind_missing(const sd_bus_error *e) {
        return sd_bus_error_has_names(e, SD_BUS_ERROR_SERVICE_UNKNOWN, SD_BUS_ERROR_NAME_HAS_NO_OWNER) ||
               (e->name && startswith(e->name, "org.freedesktop.DBus.Error.Spawn."));
}

static int on_inhibit_reply(sd_bus_message *reply, void *userdata, sd_bus_error *ret_error) {
        Lock *l = ASSERT_PTR(userdata);
        const sd_bus_error *e = sd_bus_message_get_error(reply);
        int fd, r;

        l->call = sd_bus_slot_unref(l->call);
        if (e) {
                if (logind_missing(e))
                        log_debug("No logind, not holding off %s.", lock_table[lock_kind(l)].what);
                else if (sd_bus_error_has_name(e, LOGIND_BUSY))
                        log_debug("A sleep is under way: logind's lock on %s is asked for again after it.",
                                  lock_table[lock_kind(l)].what);
                else
                        complain(l, -sd_bus_message_get_errno(reply), e->message);
                return 0;
        }
        /* The descriptor belongs to the message. */
        r = sd_bus_message_read(reply, "h", &fd);
        if (r >= 0)
                fd = r = RET_NERRNO(fcntl(fd, F_DUPFD_CLOEXEC, 3));
        if (r < 0) {
                complain(l, r, NULL);
                return 0;
        }
        (void) safe_close(l->fd);
        l->fd = fd;
        l->complained = false;
        return 0;
}

static void lock_take(Lock *l) {
        InhibitorLock k = lock_kind(l);
        int r;

        if (l->call)
                return;
        r = sd_bus_call_method_async(l->inhibitor->bus, &l->call, LOGIND_NAME, LOGIND_PATH, LOGIND_INTERFACE, "Inhibit",
                                     on_inhibit_reply, l, "ssss", lock_table[k].what, "gpuptd", lock_table[k].why,
                                     lock_table[k].mode);
        if (r < 0)
                complain(l, r, NULL);
}

void inhibitor_hold(Inhibitor *i, InhibitorLock lock) {
        assert(lock < _INHIBITOR_LOCK_MAX);

        if (i->locks[lock].holds++ == 0)
                lock_take(i->locks + lock);
}

void inhibitor_release(Inhibitor *i, InhibitorLock lock) {
        assert(lock < _INHIBITOR_LOCK_MAX);
        assert(i->locks[lock].holds > 0);

        if (--i->locks[lock].holds == 0)
                lock_drop(i->locks + lock);
}

/* Those that were refused while the sleep was under way. */
static void take_refused(Inhibitor *i) {
        for (Lock *l = i->locks; l < i->locks + _INHIBITOR_LOCK_MAX; l++)
                if (l->holds > 0 && l->fd < 0)
                        lock_take(l);
}

/* Another logind knows nothing of them, perhaps. */
static void take_anew(Inhibitor *i) {
        for (Lock *l = i->locks; l < i->locks + _INHIBITOR_LOCK_MAX; l++)
                if (l->holds > 0) {
                        /* A call to the former logind may still wait for its reply. */
                        l->call = sd_bus_slot_unref(l->call);
                        lock_take(l);
                }
}

/* ---- sleep ---- */

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
        if (!start)
                take_refused(i);
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

/* A service that does not run is not started by the question. */
static int ask_property(sd_bus *bus, const char *service, const char *path, const char *interface, const char *property,
                        sd_bus_message_handler_t handler, void *userdata, sd_bus_slot **ret) {
        _cleanup_(sd_bus_message_unrefp) sd_bus_message *m = NULL;
        int r;

        r = sd_bus_message_new_method_call(bus, &m, service, path, "org.freedesktop.DBus.Properties", "Get");
        if (r < 0)
                return r;
        r = sd_bus_message_append(m, "ss", interface, property);
        if (r < 0)
                return r;
        r = sd_bus_message_set_auto_start(m, false);
        if (r < 0)
                return r;
        return sd_bus_call_async(bus, ret, m, handler, userdata, 0);
}

/* A logind that does not run prepares no sleep. */
static int ask_state(Inhibitor *i) {
        i->state_call = sd_bus_slot_unref(i->state_call);
        return ask_property(i->bus, LOGIND_NAME, LOGIND_PATH, LOGIND_INTERFACE, "PreparingForSleep", on_state_reply, i,
                            &i->state_call);
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
        take_anew(i);
        return 0;
}

/* ---- power ---- */

static void power_end(Inhibitor *i) {
        PowerSituation situation = i->power.situation;
        power_handler_t handler = i->power.handler;

        /* Before the call, since the handler may ask again. */
        power_drop(&i->power);
        handler(&situation, i->power.userdata);
}

static int read_fact(sd_bus_message *reply, Fact fact, PowerSituation *s) {
        unsigned level;
        int truth, r;

        if (fact == FACT_BATTERY) {
                r = sd_bus_message_read(reply, "v", "u", &level);
                if (r >= 0)
                        s->battery_critical = level == UPOWER_LEVEL_CRITICAL || level == UPOWER_LEVEL_ACTION;
                return r;
        }
        r = sd_bus_message_read(reply, "v", "b", &truth);
        if (r < 0)
                return r;
        if (fact == FACT_LID)
                s->lid_closed = truth;
        else
                s->on_battery = !truth;
        return 0;
}

static int on_fact(sd_bus_message *reply, void *userdata, sd_bus_error *ret_error) {
        Ask *a = ASSERT_PTR(userdata);
        Inhibitor *i = a->inhibitor;
        Fact fact = (Fact) (a - i->power.asks);
        int r;

        a->call = sd_bus_slot_unref(a->call);
        if (sd_bus_message_is_method_error(reply, NULL))
                log_debug("Cannot ask for %s, ignoring: %s", fact_table[fact].property,
                          strempty(sd_bus_message_get_error(reply)->message));
        else if (fact != FACT_BATTERY && !streq_ptr(sd_bus_message_get_sender(reply), i->owner))
                log_debug("%s does not come from logind, ignoring.", fact_table[fact].property);
        else {
                r = read_fact(reply, fact, &i->power.situation);
                if (r < 0)
                        (void) log_debug_errno(r, "Cannot read %s, ignoring: %m", fact_table[fact].property);
        }
        for (Fact f = 0; f < _FACT_MAX; f++)
                if (i->power.asks[f].call)
                        return 0;
        power_end(i);
        return 0;
}

static int on_power_limit(sd_event_source *source, uint64_t usec, void *userdata) {
        log_debug("Not everybody has answered what the host lives on, going on without.");
        power_end(ASSERT_PTR(userdata));
        return 0;
}

int inhibitor_ask_power(Inhibitor *i, power_handler_t handler, void *userdata) {
        PowerQuestion *q = &i->power;
        int r;

        if (q->handler)
                return -EBUSY;
        r = sd_event_add_time_relative(sd_bus_get_event(i->bus), &q->limit, CLOCK_MONOTONIC, POWER_LIMIT_USEC, 0,
                                       on_power_limit, i);
        for (Fact f = 0; r >= 0 && f < _FACT_MAX; f++) {
                q->asks[f].inhibitor = i;
                r = ask_property(i->bus, fact_table[f].service, fact_table[f].path, fact_table[f].interface,
                                 fact_table[f].property, on_fact, q->asks + f, &q->asks[f].call);
        }
        if (r < 0) {
                power_drop(q);
                return r;
        }
        q->situation = (PowerSituation) {};
        q->handler = handler;
        q->userdata = userdata;
        return 0;
}

/* ---- life ---- */

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
        for (InhibitorLock k = 0; k < _INHIBITOR_LOCK_MAX; k++)
                i->locks[k] = (Lock) { .inhibitor = i, .fd = -EBADF };
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
