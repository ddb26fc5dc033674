/* SPDX-License-Identifier: GPL-2.0-or-later */

/* host-sleep: logind answers Suspend() at once and says PrepareForSleep(false) when the target's job is gone, however it ended
 * (login/logind-dbus.c match_job_removed()); which of the two messages arrives first is not said anywhere. */

#include "host-sleep.h"

#include "util/log.h"

#define LOGIND_NAME "org.freedesktop.login1"
#define LOGIND_PATH "/org/freedesktop/login1"
#define LOGIND_INTERFACE "org.freedesktop.login1.Manager"

/* A lock that was just closed is gone for logind a moment later, when it has seen the end of its file. */
#define BLOCKED "org.freedesktop.login1.BlockedByInhibitorLock"
#define RETRY_USEC 200000U
#define RETRIES_MAX 10U

struct HostSleep {
        sd_bus *bus;
        sd_event *event;
        unsigned limit_sec, retries;
        host_sleep_handler_t handler;
        void *userdata;
        sd_bus_slot *call, *match;
        sd_event_source *limit, *retry;
        char *ended_by; /* unique name of who has said that a sleep is over */
        char *logind;   /* of who has answered the call */
};

HostSleep *host_sleep_free(HostSleep *s) {
        if (!s)
                return NULL;
        sd_bus_slot_unref(s->call);
        sd_bus_slot_unref(s->match);
        sd_event_source_disable_unref(s->limit);
        sd_event_source_disable_unref(s->retry);
        sd_bus_unref(s->bus);
        sd_event_unref(s->event);
        free(s->ended_by);
        free(s->logind);
        free(s);
        return NULL;
}

static void finish(HostSleep *s, int error, const char *text) {
        s->handler(error, text, s->userdata);
        host_sleep_free(s);
}

static void finish_if_over(HostSleep *s) {
        if (s->logind && streq_ptr(s->ended_by, s->logind))
                finish(s, 0, "");
}

static int on_prepare_for_sleep(sd_bus_message *m, void *userdata, sd_bus_error *error) {
        HostSleep *s = ASSERT_PTR(userdata);
        int start;

        if (sd_bus_message_read(m, "b", &start) < 0 || start)
                return 0;
        if (free_and_strdup(&s->ended_by, sd_bus_message_get_sender(m)) < 0)
                return log_oom();
        finish_if_over(s);
        return 0;
}

static int ask(HostSleep *s);

static int on_retry(sd_event_source *source, uint64_t usec, void *userdata) {
        HostSleep *s = ASSERT_PTR(userdata);
        int r;

        s->retry = sd_event_source_disable_unref(s->retry);
        r = ask(s);
        if (r < 0)
                finish(s, r, "asking logind to let the host sleep");
        return 0;
}

static int on_reply(sd_bus_message *reply, void *userdata, sd_bus_error *error) {
        HostSleep *s = ASSERT_PTR(userdata);
        const sd_bus_error *e = sd_bus_message_get_error(reply);

        s->call = sd_bus_slot_unref(s->call);
        if (sd_bus_message_is_method_error(reply, BLOCKED) && s->retries++ < RETRIES_MAX &&
            sd_event_add_time_relative(s->event, &s->retry, CLOCK_MONOTONIC, RETRY_USEC, 0, on_retry, s) >= 0)
                return 0;
        if (e) {
                int r = -sd_bus_message_get_errno(reply);

                finish(s, r < 0 ? r : -EIO, strempty(e->message));
                return 0;
        }
        if (free_and_strdup(&s->logind, sd_bus_message_get_sender(reply)) < 0)
                return log_oom();
        finish_if_over(s);
        return 0;
}

static int on_limit(sd_event_source *source, uint64_t usec, void *userdata) {
        finish(userdata, -ETIMEDOUT, "the host has not slept and woken in time");
        return 0;
}

static int on_match_installed(sd_bus_message *reply, void *userdata, sd_bus_error *error) {
        if (sd_bus_message_is_method_error(reply, NULL))
                log_warning("Cannot follow logind's signals: %s", strempty(sd_bus_message_get_error(reply)->message));
        return 0;
}

/* The answer may wait for the whole time that logind takes; the limit is ours. */
static int ask(HostSleep *s) {
        _cleanup_(sd_bus_message_unrefp) sd_bus_message *m = NULL;
        int r;

        r = sd_bus_message_new_method_call(s->bus, &m, LOGIND_NAME, LOGIND_PATH, LOGIND_INTERFACE, "Suspend");
        if (r >= 0)
                r = sd_bus_message_append(m, "b", 0);
        return r < 0 ? r : sd_bus_call_async(s->bus, &s->call, m, on_reply, s, s->limit_sec * 1000000ULL);
}

int host_sleep_new(sd_bus *bus, sd_event *event, unsigned limit_sec, host_sleep_handler_t handler, void *userdata,
                   HostSleep **ret) {
        _cleanup_(host_sleep_freep) HostSleep *s = calloc(1, sizeof(HostSleep));
        int r;

        if (!s)
                return -ENOMEM;
        *s = (HostSleep) {
                .bus = sd_bus_ref(bus),
                .event = sd_event_ref(event),
                .limit_sec = limit_sec,
                .handler = handler,
                .userdata = userdata,
        };
        r = sd_bus_match_signal_async(bus, &s->match, LOGIND_NAME, LOGIND_PATH, LOGIND_INTERFACE, "PrepareForSleep",
                                      on_prepare_for_sleep, on_match_installed, s);
        if (r >= 0)
                r = sd_event_add_time_relative(event, &s->limit, CLOCK_MONOTONIC, limit_sec * 1000000ULL, 0, on_limit, s);
        if (r >= 0)
                r = ask(s);
        if (r < 0)
                return r;
        *ret = TAKE_PTR(s);
        return 0;
}
