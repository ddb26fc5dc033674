/* SPDX-License-Identifier: GPL-2.0-or-later */

/* polkit: the questions that are open at polkit's authority. It owns a query from polkit_ask() to its callback; it
 * never waits, never looks at what is being authorised, and keeps no answer: the next question is asked anew.
 *
 * A query goes through its actions one by one. Each is a CheckAuthorization with a cancellation id, so that the
 * dialog is closed when the sender leaves the bus or the query is freed. */

#include "polkit.h"

#include <inttypes.h>

#include "util/list.h"
#include "util/log.h"

#define POLKIT_NAME "org.freedesktop.PolicyKit1"
#define POLKIT_PATH "/org/freedesktop/PolicyKit1/Authority"
#define POLKIT_INTERFACE "org.freedesktop.PolicyKit1.Authority"
#define BUS_NAME "org.freedesktop.DBus"
#define BUS_PATH "/org/freedesktop/DBus"

/* CheckAuthorizationFlags, polkit's D-Bus interface. */
#define FLAG_ALLOW_USER_INTERACTION 1U

#define ACTIONS_MAX 4U
/* Of all senders: each question costs polkit memory too, and a user may open many connections. */
#define QUERIES_MAX 1024U
/* sd-bus's own limit is 25 s, too short for somebody who types a password. */
#define ANSWER_USEC (10 * 60 * UINT64_C(1000000))

struct Polkit {
        sd_bus *bus;
        uint64_t last_id;
        LIST_HEAD(PolkitQuery, queries);
};

struct PolkitQuery {
        Polkit *polkit;
        LIST_FIELDS(PolkitQuery, queries);
        char *sender;
        bool interactive;
        char **actions;
        size_t action;   /* index of the one that is asked about */
        char **details;  /* key, value, … */
        char id[32];     /* cancellation id of the running check; empty while none runs */
        bool delivering; /* the handler runs: whoever calls polkit_query_free() now frees nothing */
        polkit_handler_t handler;
        void *userdata;
        sd_bus_slot *call;
        sd_bus_slot *sender_match;
        sd_event_source *root; /* the answer that needs no question */
};

static void cancel_check(PolkitQuery *q) {
        _cleanup_(sd_bus_message_unrefp) sd_bus_message *m = NULL;
        int r;

        if (!q->id[0])
                return;
        r = sd_bus_message_new_method_call(q->polkit->bus, &m, POLKIT_NAME, POLKIT_PATH, POLKIT_INTERFACE,
                                           "CancelCheckAuthorization");
        if (r >= 0)
                r = sd_bus_message_append(m, "s", q->id);
        if (r >= 0)
                r = sd_bus_message_set_auto_start(m, false);
        if (r >= 0)
                r = sd_bus_message_set_expect_reply(m, false);
        if (r >= 0)
                r = sd_bus_send(q->polkit->bus, m, NULL);
        if (r < 0)
                (void) log_debug_errno(r, "Cannot cancel a question to polkit, ignoring: %m");
        q->id[0] = '\0';
}

/* Takes the query out of everything that could still call it. */
static void query_detach(PolkitQuery *q) {
        q->call = sd_bus_slot_unref(q->call);
        q->sender_match = sd_bus_slot_unref(q->sender_match);
        q->root = sd_event_source_disable_unref(q->root);
        cancel_check(q);
        LIST_REMOVE(queries, q->polkit->queries, q);
        q->polkit = NULL;
}

PolkitQuery *polkit_query_free(PolkitQuery *q) {
        if (!q || q->delivering)
                return NULL;
        if (q->polkit)
                query_detach(q);
        free(q->sender);
        (void) strv_free(q->actions);
        (void) strv_free(q->details);
        free(q);
        return NULL;
}

Polkit *polkit_free(Polkit *p) {
        if (!p)
                return NULL;
        while (p->queries)
                (void) polkit_query_free(p->queries);
        (void) sd_bus_unref(p->bus);
        free(p);
        return NULL;
}

int polkit_new(sd_bus *bus, Polkit **ret) {
        Polkit *p;

        p = calloc(1, sizeof(Polkit));
        if (!p)
                return -ENOMEM;
        p->bus = sd_bus_ref(bus);
        *ret = p;
        return 0;
}

/* The last thing that happens to a query. The handler may free what it likes, this query and the Polkit included. */
static void deliver(PolkitQuery *q, PolkitVerdict verdict) {
        query_detach(q);
        q->delivering = true;
        q->handler(verdict, q->userdata);
        q->delivering = false;
        (void) polkit_query_free(q);
}

static int ask_action(PolkitQuery *q);

/* That nobody owns the name and nobody could be started, as the bus says it, or systemd for the bus. */
static bool polkit_missing(const sd_bus_error *e) {
        return sd_bus_error_has_names(e, SD_BUS_ERROR_SERVICE_UNKNOWN, SD_BUS_ERROR_NAME_HAS_NO_OWNER) ||
               (e->name && (startswith(e->name, "org.freedesktop.DBus.Error.Spawn.") ||
                            startswith(e->name, "org.freedesktop.systemd1.")));
}

static void on_check_error(PolkitQuery *q, const sd_bus_error *e) {
        if (polkit_missing(e)) {
                q->id[0] = '\0';
                log_debug("No polkit on the bus: refusing %s to %s.", q->actions[q->action], q->sender);
        } else if (sd_bus_error_has_name(e, SD_BUS_ERROR_NO_REPLY))
                /* The time limit, or polkit died. A dialog may still be open: the id stays for the cancellation. */
                log_debug("polkit did not answer about %s, refusing.", q->actions[q->action]);
        else {
                q->id[0] = '\0';
                log_warning("polkit cannot decide about %s, refusing: %s", q->actions[q->action],
                            strempty(e->message));
        }
        deliver(q, POLKIT_DENIED);
}

static int on_check_reply(sd_bus_message *reply, void *userdata, sd_bus_error *ret_error) {
        PolkitQuery *q = ASSERT_PTR(userdata);
        const sd_bus_error *e = sd_bus_message_get_error(reply);
        int authorized, challenge, r;

        if (e) {
                on_check_error(q, e);
                return 0;
        }
        q->id[0] = '\0';

        r = sd_bus_message_enter_container(reply, 'r', "bba{ss}");
        if (r >= 0)
                r = sd_bus_message_read(reply, "bb", &authorized, &challenge);
        if (r < 0) {
                (void) log_warning_errno(r, "Cannot read polkit's answer about %s, refusing: %m",
                                         q->actions[q->action]);
                deliver(q, POLKIT_DENIED);
        } else if (!authorized)
                deliver(q, challenge ? POLKIT_CHALLENGE : POLKIT_DENIED);
        else if (!q->actions[++q->action])
                deliver(q, POLKIT_ALLOWED);
        else {
                r = ask_action(q);
                if (r < 0) {
                        (void) log_warning_errno(r, "Cannot ask polkit about %s, refusing: %m",
                                                 q->actions[q->action]);
                        deliver(q, POLKIT_DENIED);
                }
        }
        return 0;
}

static int append_details(sd_bus_message *m, char *const *details) {
        int r;

        r = sd_bus_message_open_container(m, 'a', "{ss}");
        if (r < 0)
                return r;
        for (; details && *details; details += 2) {
                r = sd_bus_message_append(m, "{ss}", details[0], details[1]);
                if (r < 0)
                        return r;
        }
        return sd_bus_message_close_container(m);
}

static int ask_action(PolkitQuery *q) {
        _cleanup_(sd_bus_message_unrefp) sd_bus_message *m = NULL;
        char id[sizeof(q->id)];
        int r;

        q->call = sd_bus_slot_unref(q->call);
        (void) snprintf(id, sizeof(id), "gpuptd-%" PRIu64, ++q->polkit->last_id);

        r = sd_bus_message_new_method_call(q->polkit->bus, &m, POLKIT_NAME, POLKIT_PATH, POLKIT_INTERFACE,
                                           "CheckAuthorization");
        if (r < 0)
                return r;
        r = sd_bus_message_append(m, "(sa{sv})s", "system-bus-name", 1, "name", "s", q->sender,
                                  q->actions[q->action]);
        if (r < 0)
                return r;
        r = append_details(m, q->details);
        if (r < 0)
                return r;
        r = sd_bus_message_append(m, "us", q->interactive ? FLAG_ALLOW_USER_INTERACTION : 0U, id);
        if (r < 0)
                return r;
        r = sd_bus_call_async(q->polkit->bus, &q->call, m, on_check_reply, q, ANSWER_USEC);
        if (r < 0)
                return r;
        memcpy(q->id, id, sizeof(id));
        return 0;
}

static int on_root(sd_event_source *source, void *userdata) {
        deliver(userdata, POLKIT_ALLOWED);
        return 0;
}

static int on_sender_changed(sd_bus_message *m, void *userdata, sd_bus_error *ret_error) {
        PolkitQuery *q = ASSERT_PTR(userdata);
        const char *name, *new_owner;

        /* sd-bus lets a signal of any unique name through a match on a well-known one
         * (libsystemd/sd-bus/bus-match.c value_node_test()), and every client may send us one. */
        if (!streq_ptr(sd_bus_message_get_sender(m), BUS_NAME))
                return 0;
        if (sd_bus_message_read(m, "sss", &name, NULL, &new_owner) < 0)
                return 0;
        if (streq(name, q->sender) && !*new_owner)
                deliver(q, POLKIT_GONE);
        return 0;
}

/* Without this, sd-bus would close the connection where a match is refused. */
static int on_match_installed(sd_bus_message *reply, void *userdata, sd_bus_error *ret_error) {
        if (sd_bus_message_is_method_error(reply, NULL))
                log_debug("Cannot watch for a caller to leave, ignoring: %s",
                          strempty(sd_bus_message_get_error(reply)->message));
        return 0;
}

static int watch_sender(PolkitQuery *q) {
        _cleanup_free_ char *match = NULL;

        if (asprintf(&match, "type='signal',sender='" BUS_NAME "',path='" BUS_PATH "',interface='" BUS_NAME "',"
                             "member='NameOwnerChanged',arg0='%s'", q->sender) < 0) {
                match = NULL;
                return -ENOMEM;
        }
        return sd_bus_add_match_async(q->polkit->bus, &q->sender_match, match, on_sender_changed,
                                      on_match_installed, q);
}

static int check_limits(const Polkit *p, const char *sender, unsigned max_pending) {
        unsigned of_sender = 0, all = 0;

        LIST_FOREACH(queries, q, p->queries) {
                all++;
                if (streq(q->sender, sender))
                        of_sender++;
        }
        return of_sender >= max_pending || all >= QUERIES_MAX ? -EDQUOT : 0;
}

static int query_new(Polkit *p, const char *sender, char *const *actions, const char *const *details,
                     PolkitQuery **ret) {
        _cleanup_(polkit_query_freep) PolkitQuery *q = NULL;
        int r;

        q = calloc(1, sizeof(PolkitQuery));
        if (!q)
                return -ENOMEM;
        q->sender = strdup(sender);
        if (!q->sender)
                return -ENOMEM;
        for (char *const *a = actions; *a; a++) {
                r = strv_extend(&q->actions, *a);
                if (r < 0)
                        return r;
        }
        for (const char *const *d = details; d && *d; d++) {
                r = strv_extend(&q->details, *d);
                if (r < 0)
                        return r;
        }
        if (strv_length(q->details) % 2 != 0)
                return -EINVAL;

        q->polkit = p;
        LIST_APPEND(queries, p->queries, q);
        *ret = TAKE_PTR(q);
        return 0;
}

int polkit_ask(Polkit *p, sd_bus_message *m, uint32_t uid, char *const *actions, const char *const *details,
               unsigned max_pending, polkit_handler_t handler, void *userdata, PolkitQuery **ret) {
        _cleanup_(polkit_query_freep) PolkitQuery *q = NULL;
        const char *sender = sd_bus_message_get_sender(m);
        int r;

        if (!sender || strv_length(actions) == 0 || strv_length(actions) > ACTIONS_MAX)
                return -EINVAL;
        r = check_limits(p, sender, max_pending);
        if (r < 0)
                return r;
        r = query_new(p, sender, actions, details, &q);
        if (r < 0)
                return r;
        q->handler = handler;
        q->userdata = userdata;
        r = sd_bus_message_get_allow_interactive_authorization(m);
        if (r < 0)
                return r;
        q->interactive = r > 0;

        /* polkit says yes to root before it looks at any rule (src/polkitbackend/polkitbackendinteractiveauthority.c
         * check_authorization_sync()), so that need not be asked. */
        if (uid == 0) {
                r = sd_event_add_defer(sd_bus_get_event(p->bus), &q->root, on_root, q);
                if (r >= 0)
                        *ret = TAKE_PTR(q);
                return r;
        }
        /* In this order: who is gone before the match holds is unknown to polkit as well, which then refuses. */
        r = watch_sender(q);
        if (r < 0)
                return r;
        r = ask_action(q);
        if (r < 0)
                return r;
        *ret = TAKE_PTR(q);
        return 0;
}
