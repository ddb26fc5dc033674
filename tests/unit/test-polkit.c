/* SPDX-License-Identifier: GPL-2.0-or-later */

/* test-polkit: questions to a stand-in for polkit's authority, which answers as told, late, or never. */

#include "polkit.h"

#include "bus.h"

#define AUTHORITY_NAME "org.freedesktop.PolicyKit1"
#define AUTHORITY_PATH "/org/freedesktop/PolicyKit1/Authority"
#define AUTHORITY_INTERFACE "org.freedesktop.PolicyKit1.Authority"

typedef struct Fixture {
        TestBus bus;
        /* The authority: how it answers, and what it was asked. */
        const char *answers; /* a letter per question: y, n, c (challenge), e (error), - (never); the last stays */
        GPtrArray *asked;    /* "subject action flags key=value,…" */
        GPtrArray *ids, *cancelled;
        sd_bus_message *held;
        bool was_asked, was_cancelled;
        /* gpuptd */
        Polkit *polkit;
        char **actions;
        unsigned max_pending;
        uint32_t uid;
        int asked_with; /* what polkit_ask() returned */
        PolkitQuery *query;
        bool in_ask, free_in_handler, free_polkit_in_handler;
        bool called, answered;
        unsigned answers_given;
        PolkitVerdict verdict;
} Fixture;

static char *read_details(sd_bus_message *m) {
        GString *s = g_string_new(NULL);
        const char *key, *value;

        g_assert_cmpint(sd_bus_message_enter_container(m, 'a', "{ss}"), >, 0);
        while (sd_bus_message_read(m, "{ss}", &key, &value) > 0)
                g_string_append_printf(s, "%s%s=%s", s->len > 0 ? "," : "", key, value);
        g_assert_cmpint(sd_bus_message_exit_container(m), >=, 0);
        return g_string_free(s, false);
}

static int method_check(sd_bus_message *m, void *userdata, sd_bus_error *ret_error) {
        Fixture *f = userdata;
        const char *kind, *key, *sender, *action, *id;
        g_autofree char *details = NULL;
        char answer = *f->answers;
        uint32_t flags;

        g_assert_cmpint(sd_bus_message_read(m, "(sa{sv})s", &kind, 1, &key, "s", &sender, &action), >, 0);
        g_assert_cmpstr(kind, ==, "system-bus-name");
        g_assert_cmpstr(key, ==, "name");
        details = read_details(m);
        g_assert_cmpint(sd_bus_message_read(m, "us", &flags, &id), >, 0);
        g_ptr_array_add(f->asked, g_strdup_printf("%s %s %u %s", sender, action, flags, details));
        g_assert_false(g_ptr_array_find_with_equal_func(f->ids, id, g_str_equal, NULL));
        g_ptr_array_add(f->ids, g_strdup(id));
        f->was_asked = true;

        if (f->answers[1])
                f->answers++;
        if (answer == 'e')
                return sd_bus_error_set(ret_error, "org.freedesktop.PolicyKit1.Error.Failed", "No.");
        if (answer == '-') {
                f->held = sd_bus_message_unref(f->held);
                f->held = sd_bus_message_ref(m);
                return 1;
        }
        return sd_bus_reply_method_return(m, "(bba{ss})", answer == 'y', answer == 'c', 0);
}

static int method_cancel(sd_bus_message *m, void *userdata, sd_bus_error *ret_error) {
        Fixture *f = userdata;
        const char *id;

        g_assert_cmpint(sd_bus_message_read(m, "s", &id), >, 0);
        g_ptr_array_add(f->cancelled, g_strdup(id));
        f->was_cancelled = true;
        return sd_bus_reply_method_return(m, NULL);
}

static const sd_bus_vtable authority_vtable[] = {
        SD_BUS_VTABLE_START(0),
        SD_BUS_METHOD("CheckAuthorization", "(sa{sv})sa{ss}us", "(bba{ss})", method_check, SD_BUS_VTABLE_UNPRIVILEGED),
        SD_BUS_METHOD("CancelCheckAuthorization", "s", "", method_cancel, SD_BUS_VTABLE_UNPRIVILEGED),
        SD_BUS_VTABLE_END,
};

static void on_verdict(PolkitVerdict verdict, void *userdata) {
        Fixture *f = userdata;

        g_assert_false(f->in_ask);
        f->verdict = verdict;
        f->answered = true;
        f->answers_given++;
        if (f->free_in_handler)
                g_assert_null(polkit_query_free(f->query));
        if (f->free_polkit_in_handler)
                f->polkit = polkit_free(f->polkit);
        f->query = NULL;
}

static int method_do(sd_bus_message *m, void *userdata, sd_bus_error *ret_error) {
        static const char *const details[] = { "gpu", "0000:01:00.0", "plan", "Unbind; bind.", NULL };
        Fixture *f = userdata;

        f->in_ask = true;
        f->asked_with = polkit_ask(f->polkit, m, f->uid, f->actions, details, f->max_pending, on_verdict, f, &f->query);
        f->in_ask = false;
        f->called = true;
        return sd_bus_reply_method_return(m, NULL);
}

static const sd_bus_vtable daemon_vtable[] = {
        SD_BUS_VTABLE_START(0),
        SD_BUS_METHOD("Do", "", "", method_do, SD_BUS_VTABLE_UNPRIVILEGED),
        SD_BUS_VTABLE_END,
};

static void start_authority(Fixture *f) {
        g_assert_cmpint(sd_bus_add_object_vtable(f->bus.service, NULL, AUTHORITY_PATH, AUTHORITY_INTERFACE,
                                                 authority_vtable, f), >=, 0);
        g_assert_cmpint(sd_bus_request_name(f->bus.service, AUTHORITY_NAME, 0), >=, 0);
}

static void set_up_without_authority(Fixture *f, const void *data) {
        static char *one_action[] = { (char *) "org.gpupt1.detach", NULL };

        test_bus_up(&f->bus);
        f->asked = g_ptr_array_new_with_free_func(g_free);
        f->ids = g_ptr_array_new_with_free_func(g_free);
        f->cancelled = g_ptr_array_new_with_free_func(g_free);
        f->actions = one_action;
        f->max_pending = 8;
        f->uid = 1000;
        g_assert_cmpint(sd_bus_add_object_vtable(f->bus.daemon, NULL, "/test", "org.gpupt1.Test", daemon_vtable, f),
                        >=, 0);
        g_assert_cmpint(polkit_new(f->bus.daemon, &f->polkit), ==, 0);
}

static void set_up(Fixture *f, const void *data) {
        set_up_without_authority(f, data);
        f->answers = data;
        start_authority(f);
}

static void tear_down(Fixture *f, const void *data) {
        sd_bus_message_unref(f->held);
        g_assert_null(polkit_free(f->polkit));
        test_bus_down(&f->bus);
        g_ptr_array_unref(f->asked);
        g_ptr_array_unref(f->ids);
        g_ptr_array_unref(f->cancelled);
}

static void call_from(Fixture *f, sd_bus *caller, bool interactive) {
        sd_bus_message *m = NULL;

        g_assert_cmpint(sd_bus_message_new_method_call(caller, &m, test_bus_name(f->bus.daemon), "/test",
                                                       "org.gpupt1.Test", "Do"), >=, 0);
        g_assert_cmpint(sd_bus_message_set_allow_interactive_authorization(m, interactive), >=, 0);
        g_assert_cmpint(sd_bus_send(caller, m, NULL), >=, 0);
        sd_bus_message_unref(m);
        f->called = false;
        loop_until(f->bus.event, f->called);
}

static void ask(Fixture *f) {
        call_from(f, f->bus.caller, false);
        g_assert_cmpint(f->asked_with, ==, 0);
}

static void assert_verdict(Fixture *f, PolkitVerdict verdict) {
        loop_until(f->bus.event, f->answered);
        g_assert_cmpint(f->verdict, ==, verdict);
        test_bus_sync(&f->bus, f->bus.daemon);
        test_bus_sync(&f->bus, f->bus.service);
        g_assert_cmpuint(f->answers_given, ==, 1);
}

static void assert_asked(Fixture *f, guint i, const char *action, unsigned flags) {
        g_autofree char *expected = g_strdup_printf("%s %s %u gpu=0000:01:00.0,plan=Unbind; bind.",
                                                    test_bus_name(f->bus.caller), action, flags);

        g_assert_cmpuint(f->asked->len, >, i);
        g_assert_cmpstr(f->asked->pdata[i], ==, expected);
}

static void test_yes(Fixture *f, const void *data) {
        ask(f);
        assert_verdict(f, POLKIT_ALLOWED);
        assert_asked(f, 0, "org.gpupt1.detach", 0);
        g_assert_cmpuint(f->cancelled->len, ==, 0);
}

static void test_interactive(Fixture *f, const void *data) {
        call_from(f, f->bus.caller, true);
        assert_verdict(f, POLKIT_ALLOWED);
        assert_asked(f, 0, "org.gpupt1.detach", 1);
}

static void test_no(Fixture *f, const void *data) {
        ask(f);
        assert_verdict(f, POLKIT_DENIED);
}

static void test_challenge(Fixture *f, const void *data) {
        ask(f);
        assert_verdict(f, POLKIT_CHALLENGE);
}

/* A warning is logged, which is the daemon's own and not GLib's. */
static void test_error(Fixture *f, const void *data) {
        ask(f);
        assert_verdict(f, POLKIT_DENIED);
}

static void test_several(Fixture *f, const void *data) {
        static char *actions[] = { (char *) "org.gpupt1.detach", (char *) "org.gpupt1.force",
                                   (char *) "org.gpupt1.access", NULL };

        f->actions = actions;
        ask(f);
        assert_verdict(f, POLKIT_ALLOWED);
        g_assert_cmpuint(f->asked->len, ==, 3);
        for (guint i = 0; i < 3; i++)
                assert_asked(f, i, actions[i], 0);
}

static void test_several_refused(Fixture *f, const void *data) {
        static char *actions[] = { (char *) "org.gpupt1.detach", (char *) "org.gpupt1.force",
                                   (char *) "org.gpupt1.access", NULL };

        f->actions = actions;
        ask(f);
        assert_verdict(f, POLKIT_DENIED);
        g_assert_cmpuint(f->asked->len, ==, 2);
}

static void test_late(Fixture *f, const void *data) {
        ask(f);
        loop_until(f->bus.event, f->was_asked);
        /* Meanwhile the daemon answers others. */
        test_bus_sync(&f->bus, f->bus.daemon);
        g_assert_false(f->answered);
        g_assert_cmpint(sd_bus_reply_method_return(f->held, "(bba{ss})", true, false, 0), >=, 0);
        assert_verdict(f, POLKIT_ALLOWED);
}

static void test_sender_leaves(Fixture *f, const void *data) {
        ask(f);
        loop_until(f->bus.event, f->was_asked);
        sd_bus_close(f->bus.caller);
        assert_verdict(f, POLKIT_GONE);
        loop_until(f->bus.event, f->was_cancelled);
        g_assert_cmpstr(f->cancelled->pdata[0], ==, f->ids->pdata[0]);
        /* The answer that comes nevertheless is nobody's. */
        g_assert_cmpint(sd_bus_reply_method_return(f->held, "(bba{ss})", true, false, 0), >=, 0);
        test_bus_sync(&f->bus, f->bus.service);
        test_bus_sync(&f->bus, f->bus.daemon);
        g_assert_cmpuint(f->answers_given, ==, 1);
}

/* Somebody else says in the bus's name that the sender has left. */
static void test_forged_leave(Fixture *f, const void *data) {
        sd_bus *stranger = test_bus_connect(&f->bus);
        const char *name = test_bus_name(f->bus.caller);

        ask(f);
        loop_until(f->bus.event, f->was_asked);
        test_bus_send_signal(stranger, f->bus.daemon, "/org/freedesktop/DBus", "org.freedesktop.DBus",
                             "NameOwnerChanged", "sss", name, name, "");
        test_bus_sync(&f->bus, stranger);
        test_bus_sync(&f->bus, f->bus.daemon);
        g_assert_false(f->answered);
        g_assert_cmpint(sd_bus_reply_method_return(f->held, "(bba{ss})", true, false, 0), >=, 0);
        assert_verdict(f, POLKIT_ALLOWED);
        sd_bus_flush_close_unref(stranger);
}

static void test_cancel(Fixture *f, const void *data) {
        ask(f);
        loop_until(f->bus.event, f->was_asked);
        f->query = polkit_query_free(f->query);
        loop_until(f->bus.event, f->was_cancelled);
        g_assert_cmpstr(f->cancelled->pdata[0], ==, f->ids->pdata[0]);
        g_assert_false(f->answered);
}

static void test_free_all(Fixture *f, const void *data) {
        ask(f);
        ask(f);
        f->polkit = polkit_free(f->polkit);
        test_bus_sync(&f->bus, f->bus.daemon);
        test_bus_sync(&f->bus, f->bus.service);
        g_assert_cmpuint(f->cancelled->len, ==, 2);
        g_assert_false(f->answered);
}

static void test_free_in_handler(Fixture *f, const void *data) {
        f->free_in_handler = f->free_polkit_in_handler = true;
        ask(f);
        assert_verdict(f, POLKIT_ALLOWED);
}

static void test_limit(Fixture *f, const void *data) {
        sd_bus *other = test_bus_connect(&f->bus);

        f->max_pending = 2;
        ask(f);
        ask(f);
        call_from(f, f->bus.caller, false);
        g_assert_cmpint(f->asked_with, ==, -EDQUOT);
        /* Per sender, and only what is open. */
        call_from(f, other, false);
        g_assert_cmpint(f->asked_with, ==, 0);
        f->query = polkit_query_free(f->query);
        loop_until(f->bus.event, f->was_cancelled);
        f->was_asked = false;
        call_from(f, other, false);
        g_assert_cmpint(f->asked_with, ==, 0);
        /* Only then the bus knows for certain that somebody watches for the sender to leave. */
        loop_until(f->bus.event, f->was_asked);
        sd_bus_flush_close_unref(other);
        loop_until(f->bus.event, f->answered);
        g_assert_cmpint(f->verdict, ==, POLKIT_GONE);
}

static void test_bad_arguments(Fixture *f, const void *data) {
        static char *none[] = { NULL };
        static char *many[] = { (char *) "a.a", (char *) "a.b", (char *) "a.c", (char *) "a.d", (char *) "a.e", NULL };

        f->actions = none;
        call_from(f, f->bus.caller, false);
        g_assert_cmpint(f->asked_with, ==, -EINVAL);
        f->actions = many;
        call_from(f, f->bus.caller, false);
        g_assert_cmpint(f->asked_with, ==, -EINVAL);
        g_assert_cmpuint(f->asked->len, ==, 0);
}

/* Nobody answers to the name. */
static void test_missing(Fixture *f, const void *data) {
        ask(f);
        assert_verdict(f, POLKIT_DENIED);
}

static void test_missing_sender_leaves(Fixture *f, const void *data) {
        call_from(f, f->bus.caller, false);
        sd_bus_close(f->bus.caller);
        loop_until(f->bus.event, f->answered);
        /* Which of the two is known first is a matter of time, but it was one answer. */
        test_bus_sync(&f->bus, f->bus.daemon);
        g_assert_cmpuint(f->answers_given, ==, 1);
}

/* Allowed without a question, and from the event loop as every answer. */
static void test_root(Fixture *f, const void *data) {
        f->uid = 0;
        ask(f);
        assert_verdict(f, POLKIT_ALLOWED);
        g_assert_cmpuint(f->asked->len, ==, 0);
}

/* polkit dies while it is asked: refused. */
static void test_dies(Fixture *f, const void *data) {
        ask(f);
        loop_until(f->bus.event, f->was_asked);
        f->held = sd_bus_message_unref(f->held);
        sd_bus_close(f->bus.service);
        loop_until(f->bus.event, f->answered);
        g_assert_cmpint(f->verdict, ==, POLKIT_DENIED);
}

int main(int argc, char *argv[]) {
        g_test_init(&argc, &argv, NULL);
#define ADD(path, answers, function) g_test_add("/polkit/" path, Fixture, answers, set_up, function, tear_down)
        ADD("yes", "y", test_yes);
        ADD("interactive", "y", test_interactive);
        ADD("no", "n", test_no);
        ADD("challenge", "c", test_challenge);
        ADD("error", "e", test_error);
        ADD("several", "y", test_several);
        ADD("several-refused", "yn", test_several_refused);
        ADD("late", "-", test_late);
        ADD("sender-leaves", "-", test_sender_leaves);
        ADD("forged-leave", "-", test_forged_leave);
        ADD("cancel", "-", test_cancel);
        ADD("free-all", "-", test_free_all);
        ADD("free-in-handler", "y", test_free_in_handler);
        ADD("limit", "-", test_limit);
        ADD("bad-arguments", "y", test_bad_arguments);
        ADD("dies", "-", test_dies);
        ADD("root", "n", test_root);
#undef ADD
        g_test_add("/polkit/missing", Fixture, NULL, set_up_without_authority, test_missing, tear_down);
        g_test_add("/polkit/missing-sender-leaves", Fixture, NULL, set_up_without_authority,
                   test_missing_sender_leaves, tear_down);
        return g_test_run();
}
