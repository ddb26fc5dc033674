/* SPDX-License-Identifier: GPL-2.0-or-later */

/* sleep-call: the two calls that stand between this host and its sleep. An answer of gpuptd is final, and takes
 * as long as it takes; that of the bus in its place means that gpuptd is not there. One that was there and went
 * is waited for, since it may have been in the middle of it. Decides by who answered, not by the name of the
 * error: gpuptd may hand on what somebody else told it, and that is still its answer. All that is said is one
 * line, for the journal. */

#include "client/sleep-call.h"

#include <systemd/sd-event.h>

#include "client/report.h"
#include "dbus/names.h"

#define RETURN_DEADLINE_SEC 10U
#define RETRY_USEC (USEC_PER_SEC / 2)
/* One that dies of every call would be started again for ever. */
#define LOSSES_MAX 5U

typedef enum Presence {
        PRESENCE_NONE,              /* gpuptd has not been seen */
        PRESENCE_THERE,
        PRESENCE_AWAY,              /* it was there, and is not any more */
} Presence;

enum {
        SLOT_OWNER_CHANGED,
        SLOT_OWNER,
        SLOT_DISCONNECTED,
        SLOT_CALL,
        _SLOT_MAX,
};

typedef struct SleepCall {
        Client *client;
        const char *operation;      /* NULL: the sleep is over */
        sd_event *event;
        sd_event_source *deadline, *retry;
        sd_bus_slot *slots[_SLOT_MAX];
        bool connected;             /* the bus has answered anything */
        Presence presence;
        unsigned losses;
        char *trouble;              /* what the bus said last, in its words */
} SleepCall;

static void disconnect(SleepCall *s) {
        for (size_t i = 0; i < _SLOT_MAX; i++)
                s->slots[i] = sd_bus_slot_unref(s->slots[i]);
        if (s->client->bus)
                (void) sd_bus_detach_event(s->client->bus);
        s->connected = false;
}

static void sleep_call_done(SleepCall *s) {
        disconnect(s);
        sd_event_source_disable_unref(s->deadline);
        sd_event_source_disable_unref(s->retry);
        sd_event_unref(s->event);
        free(s->trouble);
}

static int end(SleepCall *s, int code) {
        return sd_event_exit(s->event, code);
}

/* ---- what is said ---- */

static void report_line(const char *prefix, const char *text) {
        _cleanup_free_ char *line = strdup(text);

        for (char *p = line; p && *p; p++)
                if (*p == '\n')
                        *p = ' ';
        report_note("%s%s", prefix, strempty(line));
}

static void set_trouble(SleepCall *s, const char *text) {
        (void) free_and_strdup(&s->trouble, text);
}

/* Nobody has answered. */
static int unreachable(SleepCall *s, const char *what) {
        const char *result = s->operation ? "nothing has been prepared for this sleep"
                                          : "what was done for the sleep is undone when it runs again";
        _cleanup_free_ char *text = NULL;

        if (asprintf(&text, "%s%s%s%s; %s. See 'systemctl status " GPUPT_UNIT_DAEMON "'.", what,
                     isempty(s->trouble) ? "" : " (", strempty(s->trouble), isempty(s->trouble) ? "" : ")", result) < 0)
                return -ENOMEM;
        report_line("", text);
        return end(s, EXIT_NO_DAEMON);
}

/* Its own sentence. */
static int refused(SleepCall *s, const sd_bus_error *error) {
        ExitStatus status = error_exit_status(error->name);

        if (status == EXIT_REFUSED || status == EXIT_USAGE)
                return end(s, (int) report_error(NULL, error, 0));
        report_line(s->operation ? "The host stays awake: " : "",
                    isempty(error->message) ? error->name : error->message);
        return end(s, status == EXIT_NO_DAEMON ? EXIT_FAILED : (int) status);
}

/* ---- gpuptd goes and comes ---- */

static int retry_later(SleepCall *s) {
        int r;

        r = sd_event_source_set_time_relative(s->retry, RETRY_USEC);
        return r < 0 ? r : sd_event_source_set_enabled(s->retry, SD_EVENT_ONESHOT);
}

static int lost(SleepCall *s) {
        int r;

        if (s->presence == PRESENCE_AWAY)
                return 0;
        s->presence = PRESENCE_AWAY;
        set_trouble(s, NULL);
        if (++s->losses > LOSSES_MAX)
                return unreachable(s, "gpuptd goes away each time it is asked");

        if (!s->client->options->quiet)
                report_note("gpuptd went away; waiting for it to come back.");
        r = sd_event_source_set_time_relative(s->deadline, RETURN_DEADLINE_SEC * USEC_PER_SEC);
        return r < 0 ? r : sd_event_source_set_enabled(s->deadline, SD_EVENT_ONESHOT);
}

/* The bus cannot bring us to gpuptd. One that was not there before does not come because we ask again. */
static int on_trouble(SleepCall *s, const char *text) {
        set_trouble(s, text);
        if (s->presence == PRESENCE_AWAY)
                return retry_later(s);
        return unreachable(s, s->connected && s->presence == PRESENCE_NONE
                                      ? "gpuptd does not run and could not be started"
                                      : "gpuptd cannot be asked");
}

static int take_reply(SleepCall *s, sd_bus_message *reply) {
        const sd_bus_error *error = sd_bus_message_get_error(reply);
        int r;

        if (!error)
                return end(s, EXIT_DONE);

        if (startswith(strempty(sd_bus_message_get_sender(reply)), ":")) {
                /* Still the one of before an update. It does nothing about sleep, so it has nothing against it. */
                if (sd_bus_error_has_name(error, SD_BUS_ERROR_UNKNOWN_METHOD))
                        return unreachable(s, "The gpuptd that runs is from before an update and wants to be restarted");
                return refused(s, error);
        }
        if (s->connected && sd_bus_error_has_name(error, SD_BUS_ERROR_NO_REPLY)) {
                r = lost(s);
                return r < 0 ? r : retry_later(s);
        }
        return on_trouble(s, strempty(error->message));
}

static int on_reply(sd_bus_message *reply, void *userdata, _unused_ sd_bus_error *ret_error) {
        SleepCall *s = ASSERT_PTR(userdata);
        int r;

        s->slots[SLOT_CALL] = sd_bus_slot_unref(s->slots[SLOT_CALL]);
        r = take_reply(s, reply);
        return r < 0 ? end(s, r) : 0;
}

static int call(SleepCall *s) {
        _cleanup_(sd_bus_message_unrefp) sd_bus_message *m = NULL;
        int r;

        r = client_new_call(s->client, GPUPT_OBJECT_PATH, GPUPT_MANAGER_INTERFACE,
                            s->operation ? "PrepareSleep" : "FinishSleep", &m, NULL);
        if (r >= 0 && s->operation)
                r = sd_bus_message_append(m, "s", s->operation);
        if (r >= 0) /* a virtual machine that hibernates takes minutes; the unit has the last word about time */
                r = sd_bus_call_async(s->client->bus, &s->slots[SLOT_CALL], m, on_reply, s, UINT64_MAX);
        return r;
}

static int call_again(SleepCall *s) {
        int r;

        r = call(s);
        return r < 0 ? on_trouble(s, strerror(-r)) : 0;
}

static int found(SleepCall *s) {
        int r;

        if (s->presence == PRESENCE_AWAY && !s->client->options->quiet)
                report_note("gpuptd is back.");
        s->presence = PRESENCE_THERE;
        r = sd_event_source_set_enabled(s->deadline, SD_EVENT_OFF);
        if (r >= 0)
                r = sd_event_source_set_enabled(s->retry, SD_EVENT_OFF);
        /* A call that has started it waits for it at the bus. */
        return r < 0 || s->slots[SLOT_CALL] ? r : call_again(s);
}

static int on_owner(sd_bus_message *reply, void *userdata, _unused_ sd_bus_error *ret_error) {
        SleepCall *s = ASSERT_PTR(userdata);
        int r;

        if (!streq_ptr(sd_bus_message_get_sender(reply), "org.freedesktop.DBus"))
                return 0;
        s->connected = true;
        if (sd_bus_message_is_method_error(reply, NULL))
                return 0;
        r = found(s);
        return r < 0 ? end(s, r) : 0;
}

static int on_owner_changed(sd_bus_message *m, void *userdata, _unused_ sd_bus_error *ret_error) {
        SleepCall *s = ASSERT_PTR(userdata);
        const char *owner;
        int r;

        if (!streq_ptr(sd_bus_message_get_sender(m), "org.freedesktop.DBus") ||
            sd_bus_message_read(m, "sss", NULL, NULL, &owner) < 0)
                return 0;
        r = isempty(owner) ? lost(s) : found(s);
        return r < 0 ? end(s, r) : 0;
}

static int on_disconnected(_unused_ sd_bus_message *m, void *userdata, _unused_ sd_bus_error *ret_error) {
        SleepCall *s = ASSERT_PTR(userdata);
        int r = 0;

        if (s->connected)
                r = lost(s);
        disconnect(s);
        if (r >= 0)
                r = on_trouble(s, "the connection to the system bus broke");
        return r < 0 ? end(s, r) : 0;
}

static int on_deadline(_unused_ sd_event_source *source, _unused_ uint64_t usec, void *userdata) {
        SleepCall *s = ASSERT_PTR(userdata);

        return unreachable(s, s->presence == PRESENCE_AWAY ? "gpuptd went away and has not come back"
                                                           : "gpuptd takes too long to start");
}

/* ---- set-up ---- */

/* All of it is sent in this order, so whether gpuptd is there is known before it is asked. */
static int connect_and_call(SleepCall *s) {
        _cleanup_(sd_bus_error_free) sd_bus_error error = SD_BUS_ERROR_NULL;
        sd_bus *bus;
        int r;

        client_close(s->client);
        r = client_open(s->client, &error);
        if (r < 0)
                return on_trouble(s, strempty(error.message));
        bus = s->client->bus;

        r = sd_bus_set_close_on_exit(bus, false);
        if (r >= 0)
                r = sd_bus_attach_event(bus, s->event, 0);
        if (r >= 0)
                r = sd_bus_add_match_async(bus, &s->slots[SLOT_OWNER_CHANGED],
                                           "type='signal',sender='org.freedesktop.DBus',path='/org/freedesktop/DBus',"
                                           "interface='org.freedesktop.DBus',member='NameOwnerChanged',"
                                           "arg0='" GPUPT_BUS_NAME "'",
                                           on_owner_changed, NULL, s);
        if (r >= 0) /* made by sd-bus itself, never sent to the bus */
                r = sd_bus_match_signal(bus, &s->slots[SLOT_DISCONNECTED], "org.freedesktop.DBus.Local",
                                        "/org/freedesktop/DBus/Local", "org.freedesktop.DBus.Local", "Disconnected",
                                        on_disconnected, s);
        if (r >= 0)
                r = sd_bus_call_method_async(bus, &s->slots[SLOT_OWNER], "org.freedesktop.DBus", "/org/freedesktop/DBus",
                                             "org.freedesktop.DBus", "GetNameOwner", on_owner, s, "s", GPUPT_BUS_NAME);
        if (r >= 0)
                r = call(s);
        if (r >= 0)
                return 0;

        disconnect(s);
        return on_trouble(s, strerror(-r));
}

static int on_retry(_unused_ sd_event_source *source, _unused_ uint64_t usec, void *userdata) {
        SleepCall *s = ASSERT_PTR(userdata);
        int r;

        r = s->connected ? call_again(s) : connect_and_call(s);
        return r < 0 ? end(s, r) : 0;
}

int sleep_call(Client *c, const char *operation) {
        _cleanup_(sleep_call_done) SleepCall s = { .client = c, .operation = operation };
        int r;

        r = sd_event_new(&s.event);
        if (r >= 0)
                r = sd_event_add_time_relative(s.event, &s.deadline, CLOCK_MONOTONIC,
                                               RETURN_DEADLINE_SEC * USEC_PER_SEC, 0, on_deadline, &s);
        if (r >= 0)
                r = sd_event_add_time_relative(s.event, &s.retry, CLOCK_MONOTONIC, 0, 1, on_retry, &s);
        return r < 0 ? r : sd_event_loop(s.event);
}
