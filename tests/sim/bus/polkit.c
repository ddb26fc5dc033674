/* SPDX-License-Identifier: GPL-2.0-or-later */

/* polkit: the stand-in for org.freedesktop.PolicyKit1. It answers what the test has set, for one action or for all, and
 * keeps a record of what it was asked, to be compared with the contract. It asks nobody and trusts nobody: uid 0 gets no
 * other answer than the rest. */

#include <errno.h>
#include <glib.h>
#include <stdlib.h>

#include "bus/bus.h"
#include "host/control.h"
#include "model/model.h"
#include "util/cleanup.h"
#include "util/string-table.h"

#define FLAG_INTERACTION 1U

typedef enum Answer {
        ANSWER_YES,
        ANSWER_NO,
        ANSWER_CHALLENGE, /* not authorized, but would be after a dialog */
        ANSWER_AUTH,      /* a dialog that succeeds, if the caller lets it be shown; else a challenge */
        ANSWER_NEVER,     /* a dialog that nobody answers, until `polkit-answer` or a cancel */
        _ANSWER_MAX,
        _ANSWER_INVALID = -EINVAL,
} Answer;

static const char *const answer_table[_ANSWER_MAX] = {
        [ANSWER_YES] = "yes",   [ANSWER_NO] = "no",       [ANSWER_CHALLENGE] = "challenge",
        [ANSWER_AUTH] = "auth", [ANSWER_NEVER] = "never",
};

DECLARE_STRING_TABLE(answer, Answer);
DEFINE_STRING_TABLE(answer, Answer);

typedef struct Query {
        sd_bus_message *message;
        char *cancellation_id;
} Query;

static Answer default_answer = ANSWER_YES;
static GHashTable *answers; /* by action */
static GPtrArray *queries;  /* unanswered dialogs */
static GPtrArray *record;   /* of lines */

static void record_add(char *line) {
        if (!record)
                record = g_ptr_array_new_with_free_func(g_free);
        g_ptr_array_add(record, line);
        machine_changed();
}

static Answer answer_for(const char *action) {
        gpointer value;

        return answers && g_hash_table_lookup_extended(answers, action, NULL, &value) ? (Answer) GPOINTER_TO_INT(value)
                                                                                      : default_answer;
}

static int reply(sd_bus_message *m, bool authorized, bool challenge) {
        return sd_bus_reply_method_return(m, "(bba{ss})", authorized, challenge, 0);
}

/* Only the kind of subject that a system service has for its callers. */
static int read_subject(sd_bus_message *m, const char **ret_name) {
        const char *kind, *key;
        int r;

        r = sd_bus_message_enter_container(m, 'r', "sa{sv}");
        if (r >= 0)
                r = sd_bus_message_read(m, "s", &kind);
        if (r >= 0)
                r = sd_bus_message_enter_container(m, 'a', "{sv}");
        if (r < 0)
                return r;
        if (!streq(kind, "system-bus-name"))
                return -EINVAL;
        *ret_name = NULL;
        while ((r = sd_bus_message_enter_container(m, 'e', "sv")) > 0) {
                r = sd_bus_message_read(m, "s", &key);
                if (r < 0)
                        return r;
                r = streq(key, "name") ? sd_bus_message_read(m, "v", "s", ret_name) : sd_bus_message_skip(m, "v");
                if (r < 0)
                        return r;
                (void) sd_bus_message_exit_container(m);
        }
        (void) sd_bus_message_exit_container(m);
        (void) sd_bus_message_exit_container(m);
        return *ret_name ? r : -EINVAL;
}

static int read_details(sd_bus_message *m, GString *out) {
        const char *key, *value;
        int r;

        r = sd_bus_message_enter_container(m, 'a', "{ss}");
        if (r < 0)
                return r;
        while ((r = sd_bus_message_read(m, "{ss}", &key, &value)) > 0)
                g_string_append_printf(out, " %s='%s'", key, value);
        (void) sd_bus_message_exit_container(m);
        return r;
}

static int keep(sd_bus_message *m, const char *cancellation_id) {
        Query *q = g_new(Query, 1);

        if (!queries)
                queries = g_ptr_array_new();
        *q = (Query) { sd_bus_message_ref(m), g_strdup(cancellation_id) };
        g_ptr_array_add(queries, q);
        return 1;
}

static void query_free(Query *q) {
        (void) g_ptr_array_remove(queries, q);
        (void) sd_bus_message_unref(q->message);
        g_free(q->cancellation_id);
        g_free(q);
}

static int method_check(sd_bus_message *m, _unused_ void *userdata, sd_bus_error *error) {
        g_autoptr(GString) details = g_string_new(NULL);
        const char *name, *action, *cancellation_id;
        uint32_t flags;
        int r;

        r = read_subject(m, &name);
        if (r >= 0)
                r = sd_bus_message_read(m, "s", &action);
        if (r >= 0)
                r = read_details(m, details);
        if (r >= 0)
                r = sd_bus_message_read(m, "us", &flags, &cancellation_id);
        if (r < 0)
                return sd_bus_error_set_errnof(error, r, "The arguments are not understood");

        record_add(g_strdup_printf("check action=%s subject=%s interactive=%u%s", action, name, flags & FLAG_INTERACTION,
                                   details->str));
        switch (answer_for(action)) {
        case ANSWER_YES:
                return reply(m, true, false);
        case ANSWER_CHALLENGE:
                return reply(m, false, true);
        case ANSWER_AUTH:
                return flags & FLAG_INTERACTION ? reply(m, true, false) : reply(m, false, true);
        case ANSWER_NEVER:
                return keep(m, cancellation_id);
        default:
                return reply(m, false, false);
        }
}

static int method_cancel(sd_bus_message *m, _unused_ void *userdata, _unused_ sd_bus_error *error) {
        const char *id;
        int r;

        r = sd_bus_message_read(m, "s", &id);
        if (r < 0)
                return r;
        record_add(g_strdup_printf("cancel id=%s", id));
        for (unsigned i = 0; queries && i < queries->len; i++) {
                Query *q = g_ptr_array_index(queries, i);

                if (!streq(q->cancellation_id, id) ||
                    !streq_ptr(sd_bus_message_get_sender(q->message), sd_bus_message_get_sender(m)))
                        continue;
                (void) sd_bus_reply_method_errorf(q->message, "org.freedesktop.PolicyKit1.Error.Cancelled",
                                                  "The query was cancelled");
                query_free(q);
                return sd_bus_reply_method_return(m, NULL);
        }
        return sd_bus_reply_method_errorf(m, "org.freedesktop.PolicyKit1.Error.Failed", "No such query");
}

static const sd_bus_vtable vtable[] = {
        SD_BUS_VTABLE_START(0),
        SD_BUS_METHOD("CheckAuthorization", "(sa{sv})sa{ss}us", "(bba{ss})", method_check, SD_BUS_VTABLE_UNPRIVILEGED),
        SD_BUS_METHOD("CancelCheckAuthorization", "s", NULL, method_cancel, SD_BUS_VTABLE_UNPRIVILEGED),
        SD_BUS_SIGNAL("Changed", NULL, 0),
        SD_BUS_VTABLE_END,
};

static int setup(sd_bus *bus) {
        return sd_bus_add_object_vtable(bus, NULL, "/org/freedesktop/PolicyKit1/Authority",
                                        "org.freedesktop.PolicyKit1.Authority", vtable, NULL);
}

static void stopped(void) {
        while (queries && queries->len > 0)
                query_free(g_ptr_array_index(queries, 0));
}

Service polkit_service = { .name = "org.freedesktop.PolicyKit1", .setup = setup, .stopped = stopped };

/* `polkit ANSWER [ACTION]`, `polkit gone`, `polkit back` */
static int command_polkit(char **arguments, _unused_ GString *text) {
        Answer a;

        if (streq(arguments[0], "gone")) {
                service_stop(&polkit_service);
                return 0;
        }
        if (streq(arguments[0], "back"))
                return service_start(&polkit_service);

        a = answer_from_string(arguments[0]);
        if (a < 0)
                return -EINVAL;
        if (arguments[1]) {
                if (!answers)
                        answers = g_hash_table_new_full(g_str_hash, g_str_equal, g_free, NULL);
                (void) g_hash_table_insert(answers, g_strdup(arguments[1]), GINT_TO_POINTER(a));
        } else {
                default_answer = a;
                if (answers)
                        g_hash_table_remove_all(answers);
        }
        return 0;
}

/* `polkit-answer yes|no`: somebody closes the open dialogs. */
static int command_answer(char **arguments, _unused_ GString *text) {
        while (queries && queries->len > 0) {
                Query *q = g_ptr_array_index(queries, 0);

                (void) reply(q->message, streq(arguments[0], "yes"), false);
                query_free(q);
        }
        return 0;
}

static int command_log(_unused_ char **arguments, GString *text) {
        for (unsigned i = 0; record && i < record->len; i++)
                g_string_append_printf(text, "%s\n", (const char *) g_ptr_array_index(record, i));
        return 0;
}

static int command_log_clear(_unused_ char **arguments, _unused_ GString *text) {
        if (record)
                (void) g_ptr_array_set_size(record, 0);
        return 0;
}

/* `wait-polkit N`: until the record has that many lines. */
static int command_wait(char **arguments, _unused_ GString *text) {
        unsigned n = (unsigned) strtoul(arguments[0], NULL, 10);

        while ((record ? record->len : 0) < n)
                machine_wait();
        return 0;
}

const ControlCommand polkit_commands[] = {
        { "polkit", 1, command_polkit },
        { "polkit-answer", 1, command_answer },
        { "polkit-log", 0, command_log },
        { "polkit-log-clear", 0, command_log_clear },
        { "wait-polkit", 1, command_wait, .waits = true },
        {},
};
