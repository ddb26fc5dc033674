/* SPDX-License-Identifier: GPL-2.0-or-later */

#include "unit-client.h"

#include <ctype.h>

#include "util/list.h"

#define SYSTEMD_NAME "org.freedesktop.systemd1"
#define SYSTEMD_PATH "/org/freedesktop/systemd1"
#define SYSTEMD_MANAGER "org.freedesktop.systemd1.Manager"
#define SYSTEMD_UNIT "org.freedesktop.systemd1.Unit"

struct UnitOperation {
        UnitClient *client;
        UnitAction action;
        char *unit;
        char *job;    /* object path, once systemd has queued it */
        char *sender; /* systemd's unique name: whoever else sends JobRemoved is not believed */
        sd_bus_slot *call;
        unit_active_handler_t active;
        unit_handler_t handler;
        void *userdata;
        LIST_FIELDS(UnitOperation, operations);
};

struct UnitClient {
        sd_bus *bus;
        sd_bus_slot *removed;
        LIST_HEAD(UnitOperation, operations);
};

static void finish(UnitOperation *o, int error, const char *text) {
        _cleanup_(unit_operation_freep) UnitOperation *owned = o;

        owned->handler(error, text, owned->userdata);
}

static UnitOperation *find_operation(UnitClient *c, const char *job, const char *sender) {
        LIST_FOREACH(operations, o, c->operations)
                if (streq_ptr(o->job, job) && streq_ptr(o->sender, sender))
                        return o;
        return NULL;
}

/* JobRemoved comes after the reply that named the job, so the path is known by then. systemd merges jobs that want the
 * same of a unit (core/job.c job_install()): several operations may wait for one. Each handler may free others,
 * so the list is looked at afresh. */
static int on_job_removed(sd_bus_message *m, void *userdata, sd_bus_error *error) {
        UnitClient *c = ASSERT_PTR(userdata);
        const char *path, *unit, *result;
        UnitOperation *o;
        char text[160];
        uint32_t id;

        if (sd_bus_message_read(m, "uoss", &id, &path, &unit, &result) < 0)
                return 0;
        while ((o = find_operation(c, path, sd_bus_message_get_sender(m)))) {
                if (streq(result, "done") || streq(result, "skipped")) {
                        finish(o, 0, "");
                        continue;
                }
                (void) snprintf(text, sizeof(text), "%s of the unit ended with '%s'; see journalctl -u '%.64s'",
                                o->action == UNIT_START ? "the start" : "the stop", result, o->unit);
                finish(o, streq(result, "timeout") ? -ETIMEDOUT : -ECHILD, text);
        }
        return 0;
}

static int on_queued(sd_bus_message *m, void *userdata, sd_bus_error *error) {
        UnitOperation *o = ASSERT_PTR(userdata);
        const sd_bus_error *e = sd_bus_message_get_error(m);
        const char *job;

        if (e) {
                if (o->action == UNIT_STOP && sd_bus_error_has_name(e, "org.freedesktop.systemd1.NoSuchUnit"))
                        finish(o, 0, "");
                else
                        finish(o, -sd_bus_error_get_errno(e) ?: -EIO, e->message ?: e->name);
                return 0;
        }
        if (sd_bus_message_read(m, "o", &job) < 0 || free_and_strdup(&o->job, job) < 0 ||
            free_and_strdup(&o->sender, sd_bus_message_get_sender(m)) < 0)
                finish(o, -EBADMSG, "systemd answered with something else than a job");
        return 0;
}

static int queue(UnitOperation *o, const char *method) {
        o->call = sd_bus_slot_unref(o->call);
        return sd_bus_call_method_async(o->client->bus, &o->call, SYSTEMD_NAME, SYSTEMD_PATH, SYSTEMD_MANAGER, method,
                                        on_queued, o, "ss", o->unit, "replace");
}

static int on_reset(sd_bus_message *m, void *userdata, sd_bus_error *error) {
        UnitOperation *o = ASSERT_PTR(userdata);
        int r;

        /* A unit that is not loaded cannot be reset; that is no failure. */
        r = queue(o, "StartUnit");
        if (r < 0)
                finish(o, r, "asking systemd to start the unit");
        return 0;
}

static int on_active_state(sd_bus_message *m, void *userdata, sd_bus_error *error) {
        UnitOperation *o = ASSERT_PTR(userdata);
        const char *state;
        int r;

        if (sd_bus_message_is_method_error(m, NULL) || sd_bus_message_read(m, "v", "s", &state) < 0 ||
            streq(state, "inactive") || streq(state, "failed")) {
                finish(o, 0, "");
                return 0;
        }
        r = o->active(o->userdata);
        if (r >= 0)
                r = queue(o, "StopUnit");
        if (r < 0)
                finish(o, r, "asking systemd to stop the unit");
        return 0;
}

static int on_unit(sd_bus_message *m, void *userdata, sd_bus_error *error) {
        UnitOperation *o = ASSERT_PTR(userdata);
        const sd_bus_error *e = sd_bus_message_get_error(m);
        const char *path;
        int r;

        if (e) {
                if (sd_bus_error_has_name(e, "org.freedesktop.systemd1.NoSuchUnit"))
                        finish(o, 0, "");
                else
                        finish(o, -sd_bus_error_get_errno(e) ?: -EIO, e->message ?: e->name);
                return 0;
        }
        r = sd_bus_message_read(m, "o", &path);
        if (r >= 0) {
                o->call = sd_bus_slot_unref(o->call);
                r = sd_bus_call_method_async(o->client->bus, &o->call, SYSTEMD_NAME, path, "org.freedesktop.DBus.Properties",
                                             "Get", on_active_state, o, "ss", SYSTEMD_UNIT, "ActiveState");
        }
        if (r < 0)
                finish(o, r, "asking systemd for the state of the unit");
        return 0;
}

int unit_client_do(UnitClient *c, UnitAction action, const char *unit, unit_active_handler_t active,
                   unit_handler_t handler, void *userdata, UnitOperation **ret) {
        _cleanup_(unit_operation_freep) UnitOperation *o = calloc(1, sizeof(UnitOperation));
        int r;

        if (!o)
                return -ENOMEM;
        *o = (UnitOperation) { .action = action, .active = active, .handler = handler, .userdata = userdata };
        o->unit = strdup(unit);
        if (!o->unit)
                return -ENOMEM;
        o->client = c;
        LIST_APPEND(operations, c->operations, o);

        r = sd_bus_call_method_async(c->bus, &o->call, SYSTEMD_NAME, SYSTEMD_PATH, SYSTEMD_MANAGER,
                                     action == UNIT_START ? "ResetFailedUnit" : "GetUnit",
                                     action == UNIT_START ? on_reset : on_unit, o, "s", o->unit);
        if (r < 0)
                return r;
        *ret = TAKE_PTR(o);
        return 0;
}

UnitOperation *unit_operation_free(UnitOperation *o) {
        if (!o)
                return NULL;
        if (o->client)
                LIST_REMOVE(operations, o->client->operations, o);
        sd_bus_slot_unref(o->call);
        free(o->unit);
        free(o->job);
        free(o->sender);
        free(o);
        return NULL;
}

int unit_client_new(sd_bus *bus, UnitClient **ret) {
        _cleanup_(unit_client_freep) UnitClient *c = calloc(1, sizeof(UnitClient));
        int r;

        if (!c)
                return -ENOMEM;
        c->bus = sd_bus_ref(bus);
        /* No Subscribe(): systemd tells the end of a job to whoever queued it in any case (core/dbus-job.c
         * bus_job_send_removed_signal()), and to a subscriber, over the bus that all others use, every change of every
         * device unit. */
        r = sd_bus_match_signal_async(bus, &c->removed, SYSTEMD_NAME, SYSTEMD_PATH, SYSTEMD_MANAGER, "JobRemoved",
                                      on_job_removed, NULL, c);
        if (r < 0)
                return r;
        *ret = TAKE_PTR(c);
        return 0;
}

UnitClient *unit_client_free(UnitClient *c) {
        if (!c)
                return NULL;
        while (c->operations)
                unit_operation_free(c->operations);
        sd_bus_slot_unref(c->removed);
        sd_bus_unref(c->bus);
        free(c);
        return NULL;
}

sd_bus *unit_client_bus(const UnitClient *c) {
        return c->bus;
}

char *unit_instance_name(const char *format, const char *instance) {
        const char *mark = strstr(format, "%s");
        char *text = NULL;
        size_t size;
        FILE *f = open_memstream(&text, &size);

        assert(mark);
        if (!f)
                return NULL;
        fwrite(format, 1, (size_t) (mark - format), f);
        for (const unsigned char *p = (const unsigned char *) instance; *p; p++)
                if (*p == '/')
                        fputc('-', f);
                else if (isalnum(*p) || *p == ':' || *p == '_' || (*p == '.' && p != (const unsigned char *) instance))
                        fputc(*p, f);
                else
                        fprintf(f, "\\x%02x", *p);
        fputs(mark + 2, f);
        return fclose(f) == 0 ? text : NULL;
}
