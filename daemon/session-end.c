/* SPDX-License-Identifier: GPL-2.0-or-later */

#include "session-end.h"

#include "util/words.h"

#define LOGIND_NAME "org.freedesktop.login1"
#define LOGIND_PATH "/org/freedesktop/login1"
#define LOGIND_MANAGER "org.freedesktop.login1.Manager"

struct SessionEnd {
        UnitClient *units; /* weak */
        char *scope;
        sd_bus_slot *call;
        UnitOperation *stop;
        unit_handler_t handler;
        void *userdata;
};

static void finish(SessionEnd *e, int error, const char *text) {
        _cleanup_(session_end_freep) SessionEnd *owned = e;

        owned->handler(error, text, owned->userdata);
}

static int on_active(void *userdata) {
        return 0;
}

static void on_stopped(int error, const char *text, void *userdata) {
        SessionEnd *e = ASSERT_PTR(userdata);

        e->stop = NULL;
        finish(e, error, text);
}

/* logind has queued the stop of the scope (login/logind-session.c session_stop_scope()): ours is the same job. */
static int on_terminated(sd_bus_message *m, void *userdata, sd_bus_error *error) {
        SessionEnd *e = ASSERT_PTR(userdata);
        const sd_bus_error *failure = sd_bus_message_get_error(m);
        int r;

        e->call = sd_bus_slot_unref(e->call);
        if (failure && !sd_bus_error_has_name(failure, "org.freedesktop.login1.NoSuchSession")) {
                finish(e, -sd_bus_error_get_errno(failure) ?: -EIO, failure->message ?: failure->name);
                return 0;
        }
        r = unit_client_do(e->units, UNIT_STOP, e->scope, on_active, on_stopped, e, &e->stop);
        if (r < 0)
                finish(e, r, "waiting for the end of the session");
        return 0;
}

int session_end_new(UnitClient *units, const char *session, unit_handler_t handler, void *userdata, SessionEnd **ret) {
        _cleanup_(session_end_freep) SessionEnd *e = NULL;
        int r;

        if (!session_id_valid(session))
                return -EINVAL;
        e = calloc(1, sizeof(SessionEnd));
        if (!e)
                return -ENOMEM;
        *e = (SessionEnd) { .units = units, .handler = handler, .userdata = userdata };
        if (asprintf(&e->scope, "session-%s.scope", session) < 0) {
                e->scope = NULL;
                return -ENOMEM;
        }
        r = sd_bus_call_method_async(unit_client_bus(units), &e->call, LOGIND_NAME, LOGIND_PATH, LOGIND_MANAGER,
                                     "TerminateSession", on_terminated, e, "s", session);
        if (r < 0)
                return r;
        *ret = TAKE_PTR(e);
        return 0;
}

SessionEnd *session_end_free(SessionEnd *e) {
        if (!e)
                return NULL;
        sd_bus_slot_unref(e->call);
        unit_operation_free(e->stop);
        free(e->scope);
        free(e);
        return NULL;
}
