/* SPDX-License-Identifier: GPL-2.0-or-later */

/* login1-sessions: see login1-sessions.h. There is one seat; at most one session is active on it. */

#include <errno.h>
#include <stdlib.h>
#include <unistd.h>

#include "bus/bus.h"
#include "bus/login1-sessions.h"
#include "bus/systemd1-units.h"
#include "bus/systemd1.h"
#include "util/cleanup.h"

#define ROOT "/org/freedesktop/login1"
#define SEAT_PATH ROOT "/seat/seat0"

typedef struct Session {
        char *id, *user, *type, *class, *path;
        uint32_t uid, leader;
        bool active, closing;
} Session;

static GPtrArray *sessions;

static Session *session_find(const char *id) {
        for (unsigned i = 0; sessions && i < sessions->len; i++) {
                Session *s = g_ptr_array_index(sessions, i);

                if (streq(s->id, id))
                        return s;
        }
        return NULL;
}

/* The one that a call is about. */
static int session_read(sd_bus_message *m, Session **ret, sd_bus_error *error) {
        const char *id;
        int r = sd_bus_message_read(m, "s", &id);

        if (r < 0)
                return r;
        *ret = session_find(id);
        if (!*ret)
                return sd_bus_error_setf(error, "org.freedesktop.login1.NoSuchSession", "No session '%s' known", id);
        return 0;
}

static Session *session_active(void) {
        for (unsigned i = 0; sessions && i < sessions->len; i++) {
                Session *s = g_ptr_array_index(sessions, i);

                if (s->active)
                        return s;
        }
        return NULL;
}

int login1_list_sessions(sd_bus_message *m, _unused_ void *userdata, _unused_ sd_bus_error *error) {
        _cleanup_(sd_bus_message_unrefp) sd_bus_message *reply = NULL;
        int r;

        r = sd_bus_message_new_method_return(m, &reply);
        if (r >= 0)
                r = sd_bus_message_open_container(reply, 'a', "(susso)");
        for (unsigned i = 0; r >= 0 && sessions && i < sessions->len; i++) {
                const Session *s = g_ptr_array_index(sessions, i);

                r = sd_bus_message_append(reply, "(susso)", s->id, s->uid, s->user, "seat0", s->path);
        }
        if (r >= 0)
                r = sd_bus_message_close_container(reply);
        return r < 0 ? r : sd_bus_message_send(reply);
}

int login1_get_session(sd_bus_message *m, _unused_ void *userdata, sd_bus_error *error) {
        Session *s;
        int r = session_read(m, &s, error);

        if (r < 0)
                return r;
        return sd_bus_reply_method_return(m, "o", s->path);
}

/* logind looks at the cgroup; here a session is its leader. */
int login1_get_session_by_pid(sd_bus_message *m, _unused_ void *userdata, sd_bus_error *error) {
        uint32_t pid;
        int r;

        r = sd_bus_message_read(m, "u", &pid);
        if (r < 0)
                return r;
        for (unsigned i = 0; sessions && i < sessions->len; i++) {
                const Session *s = g_ptr_array_index(sessions, i);

                if (s->leader == pid)
                        return sd_bus_reply_method_return(m, "o", s->path);
        }
        return sd_bus_error_setf(error, "org.freedesktop.login1.NoSessionForPID", "PID %u is of no session", pid);
}

int login1_get_seat(sd_bus_message *m, _unused_ void *userdata, sd_bus_error *error) {
        const char *name;
        int r;

        r = sd_bus_message_read(m, "s", &name);
        if (r < 0)
                return r;
        if (!streq(name, "seat0"))
                return sd_bus_error_setf(error, "org.freedesktop.login1.NoSuchSeat", "No seat '%s' known", name);
        return sd_bus_reply_method_return(m, "o", SEAT_PATH);
}

static const Session *session_of(const char *path) {
        for (unsigned i = 0; sessions && i < sessions->len; i++) {
                const Session *s = g_ptr_array_index(sessions, i);

                if (streq(s->path, path))
                        return s;
        }
        return NULL;
}

static int property_text(_unused_ sd_bus *bus, const char *path, _unused_ const char *interface, const char *property,
                         sd_bus_message *reply, _unused_ void *userdata, _unused_ sd_bus_error *error) {
        const Session *s = session_of(path);

        if (!s)
                return -ENOENT;
        return sd_bus_message_append(reply, "s", streq(property, "Id")      ? s->id
                                                 : streq(property, "Name")  ? s->user
                                                 : streq(property, "Type")  ? s->type
                                                 : streq(property, "Class") ? s->class
                                                 : s->closing               ? "closing"
                                                 : s->active                ? "active"
                                                                            : "online");
}

static int property_other(_unused_ sd_bus *bus, const char *path, _unused_ const char *interface, const char *property,
                          sd_bus_message *reply, _unused_ void *userdata, _unused_ sd_bus_error *error) {
        const Session *s = session_of(path);
        g_autofree char *user = NULL;

        if (!s)
                return -ENOENT;
        if (streq(property, "Active"))
                return sd_bus_message_append(reply, "b", s->active);
        if (streq(property, "Remote"))
                return sd_bus_message_append(reply, "b", false);
        if (streq(property, "Leader"))
                return sd_bus_message_append(reply, "u", s->leader);
        if (streq(property, "Seat"))
                return sd_bus_message_append(reply, "(so)", "seat0", SEAT_PATH);
        user = g_strdup_printf(ROOT "/user/_%u", s->uid);
        return sd_bus_message_append(reply, "(uo)", s->uid, user);
}

static int property_seat(_unused_ sd_bus *bus, _unused_ const char *path, _unused_ const char *interface,
                         const char *property, sd_bus_message *reply, _unused_ void *userdata,
                         _unused_ sd_bus_error *error) {
        const Session *s = session_active();

        if (streq(property, "Id"))
                return sd_bus_message_append(reply, "s", "seat0");
        if (streq(property, "CanGraphical"))
                return sd_bus_message_append(reply, "b", true);
        return sd_bus_message_append(reply, "(so)", s ? s->id : "", s ? s->path : "/");
}

static const sd_bus_vtable session_vtable[] = {
        SD_BUS_VTABLE_START(0),
        SD_BUS_PROPERTY("Id", "s", property_text, 0, 0),
        SD_BUS_PROPERTY("Name", "s", property_text, 0, 0),
        SD_BUS_PROPERTY("Type", "s", property_text, 0, 0),
        SD_BUS_PROPERTY("Class", "s", property_text, 0, 0),
        SD_BUS_PROPERTY("State", "s", property_text, 0, 0),
        SD_BUS_PROPERTY("Active", "b", property_other, 0, 0),
        SD_BUS_PROPERTY("Remote", "b", property_other, 0, 0),
        SD_BUS_PROPERTY("Leader", "u", property_other, 0, 0),
        SD_BUS_PROPERTY("Seat", "(so)", property_other, 0, 0),
        SD_BUS_PROPERTY("User", "(uo)", property_other, 0, 0),
        SD_BUS_VTABLE_END,
};

static const sd_bus_vtable seat_vtable[] = {
        SD_BUS_VTABLE_START(0),
        SD_BUS_PROPERTY("Id", "s", property_seat, 0, 0),
        SD_BUS_PROPERTY("CanGraphical", "b", property_seat, 0, 0),
        SD_BUS_PROPERTY("ActiveSession", "(so)", property_seat, 0, 0),
        SD_BUS_VTABLE_END,
};

static int find_session(_unused_ sd_bus *bus, const char *path, _unused_ const char *interface,
                        _unused_ void *userdata, void **ret_found, _unused_ sd_bus_error *error) {
        *ret_found = (void *) session_of(path);
        return *ret_found ? 1 : 0;
}

int login1_sessions_setup(sd_bus *bus) {
        int r;

        r = sd_bus_add_fallback_vtable(bus, NULL, ROOT "/session", "org.freedesktop.login1.Session", session_vtable,
                                       find_session, NULL);
        if (r >= 0)
                r = sd_bus_add_object_vtable(bus, NULL, SEAT_PATH, "org.freedesktop.login1.Seat", seat_vtable, NULL);
        return r;
}

/* The files that sd_session_*() and sd_seat_*() read. */
static void write_files(void) {
        const Session *active = session_active();
        g_autoptr(GString) seat = g_string_new("IS_SEAT0=1\nCAN_MULTI_SESSION=1\nCAN_TTY=1\nCAN_GRAPHICAL=1\n");

        if (active)
                g_string_append_printf(seat, "ACTIVE=%s\nACTIVE_UID=%u\n", active->id, active->uid);
        g_string_append(seat, "SESSIONS=");
        for (unsigned i = 0; i < sessions->len; i++)
                g_string_append_printf(seat, "%s%s", i > 0 ? " " : "",
                                       ((Session *) g_ptr_array_index(sessions, i))->id);
        g_string_append(seat, "\n");
        (void) g_file_set_contents("/run/systemd/seats/seat0", seat->str, (gssize) seat->len, NULL);

        for (unsigned i = 0; i < sessions->len; i++) {
                const Session *s = g_ptr_array_index(sessions, i);
                g_autofree char *path = g_strdup_printf("/run/systemd/sessions/%s", s->id);
                g_autofree char *text = g_strdup_printf(
                        "UID=%u\nUSER=%s\nACTIVE=%d\nIS_DISPLAY=1\nSTATE=%s\nREMOTE=0\nTYPE=%s\nCLASS=%s\n"
                        "SEAT=seat0\nLEADER=%u\n",
                        s->uid, s->user, s->active,
                        s->closing  ? "closing"
                        : s->active ? "active"
                                    : "online",
                        s->type, s->class, s->leader);

                (void) g_file_set_contents(path, text, -1, NULL);
        }
}

static int set_word(Session *s, const char *word) {
        const char *value;

        if ((value = startswith(word, "uid=")))
                s->uid = (uint32_t) strtoul(value, NULL, 10);
        else if ((value = startswith(word, "leader=")))
                s->leader = (uint32_t) strtoul(value, NULL, 10);
        else if ((value = startswith(word, "user=")))
                return free_and_strdup(&s->user, value);
        else if ((value = startswith(word, "type=")))
                return free_and_strdup(&s->type, value);
        else if ((value = startswith(word, "class=")))
                return free_and_strdup(&s->class, value);
        else if ((value = startswith(word, "active=")))
                s->active = streq(value, "yes");
        else
                return -EINVAL;
        return 0;
}

int login1_command_session(char **arguments, _unused_ GString *text) {
        Session *s = session_find(arguments[0]), *before = session_active();
        int r;

        if (!s) {
                s = g_new(Session, 1);
                *s = (Session) {
                        .id = g_strdup(arguments[0]),
                        .user = strdup("user"),
                        .type = strdup("wayland"),
                        .class = strdup("user"),
                        .uid = 1000,
                        .active = true,
                };
                r = sd_bus_path_encode(ROOT "/session", s->id, &s->path);
                if (r < 0)
                        return r;
                if (!sessions)
                        sessions = g_ptr_array_new();
                g_ptr_array_add(sessions, s);
        }
        for (char **w = arguments + 1; *w; w++) {
                r = set_word(s, *w);
                if (r < 0)
                        return r;
        }
        if (s->active && before && before != s)
                before->active = false;
        write_files();
        return 0;
}

static void session_remove(Session *s) {
        g_autofree char *file = g_strdup_printf("/run/systemd/sessions/%s", s->id);

        (void) g_ptr_array_remove(sessions, s);
        (void) unlink(file);
        free(s->path);
        free(s->user);
        free(s->type);
        free(s->class);
        g_free(s->id);
        g_free(s);
        write_files();
}

int login1_command_session_ended(char **arguments, _unused_ GString *text) {
        Session *s = session_find(arguments[0]);

        if (!s)
                return -ENOENT;
        session_remove(s);
        return 0;
}

/* Terminated: logind stops the scope, and forgets the session when that is over (session_stop_scope(), match_job_removed()). */

static char *scope_of(const Session *s) {
        return g_strdup_printf("session-%s.scope", s->id);
}

static void on_scope_stopped(bool ok) {
        for (unsigned i = 0; sessions && i < sessions->len; i++) {
                Session *s = g_ptr_array_index(sessions, i);
                g_autofree char *scope = scope_of(s);
                const Unit *u = unit_find(scope);

                if (!s->closing || (u && !streq(u->active, "inactive") && !streq(u->active, "failed")))
                        continue;
                session_remove(s);
                i--;
        }
}

int login1_terminate_session(sd_bus_message *m, _unused_ void *userdata, sd_bus_error *error) {
        g_autofree char *scope = NULL;
        Session *s;
        int r = session_read(m, &s, error);

        if (r < 0)
                return r;
        s->closing = true;
        s->active = false;
        write_files();
        scope = scope_of(s);
        if (systemd1_run_job(scope, "stop", on_scope_stopped) < 0)
                session_remove(s);
        return sd_bus_reply_method_return(m, NULL);
}
