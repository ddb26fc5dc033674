/* SPDX-License-Identifier: GPL-2.0-or-later */

/* recorder: see recorder.h; and the properties of the daemon's objects as text. */

#include <errno.h>
#include <string.h>

#include "dbus/names.h"
#include "machine-internal.h"
#include "recorder.h"
#include "util/cleanup.h"

struct SimRecorder {
        SimMachine *m;
        sd_bus *bus;
        GPtrArray *messages;
        unsigned next; /* the first one that was not returned */
};

static int on_signal(sd_bus_message *message, void *userdata, _unused_ sd_bus_error *error) {
        SimRecorder *r = userdata;

        g_ptr_array_add(r->messages, sd_bus_message_ref(message));
        return 0;
}

static void message_unref(gpointer message) {
        (void) sd_bus_message_unref(message);
}

SimRecorder *sim_recorder_new(SimMachine *m) {
        SimRecorder *r = g_new(SimRecorder, 1);
        int k;

        *r = (SimRecorder) {
                .m = m,
                .bus = sim_bus_new(m, 0),
                .messages = g_ptr_array_new_with_free_func(message_unref),
        };
        k = sd_bus_match_signal(r->bus, NULL, GPUPT_BUS_NAME, NULL, NULL, NULL, on_signal, r);
        if (k < 0)
                g_error("match: %s", strerror(-k));
        return r;
}

void sim_recorder_free(SimRecorder *r) {
        if (!r)
                return;
        (void) sd_bus_close_unref(r->bus);
        g_ptr_array_unref(r->messages);
        g_free(r);
}

typedef struct Wanted {
        SimRecorder *r;
        const char *member;
        sd_bus_message *found;
} Wanted;

static bool arrived(void *data) {
        Wanted *w = data;

        while (w->r->next < w->r->messages->len) {
                sd_bus_message *message = g_ptr_array_index(w->r->messages, w->r->next++);

                if (!w->member || streq(sd_bus_message_get_member(message), w->member)) {
                        w->found = message;
                        return true;
                }
        }
        return false;
}

sd_bus_message *sim_recorder_wait(SimRecorder *r, const char *member) {
        Wanted w = { .r = r, .member = member };

        if (!sim_bus_run(r->bus, arrived, &w))
                sim_fail(r->m, "the signal %s does not come", strempty(member));
        (void) sd_bus_message_rewind(w.found, true);
        return w.found;
}

char *sim_recorder_text(SimRecorder *r) {
        GString *text = g_string_new(NULL);

        while (sd_bus_process(r->bus, NULL) > 0)
                ;
        for (unsigned i = 0; i < r->messages->len; i++) {
                sd_bus_message *message = g_ptr_array_index(r->messages, i);

                g_string_append_printf(text, "%s.%s %s\n", sd_bus_message_get_interface(message),
                                       sd_bus_message_get_member(message), sd_bus_message_get_path(message));
        }
        return g_string_free(text, false);
}

static char *basic_text(sd_bus_message *m, char type) {
        union {
                int32_t i;
                uint32_t u;
                uint16_t q;
                uint8_t y;
                int64_t x;
                uint64_t t;
                double d;
                const char *s;
        } v = {};

        if (sd_bus_message_read_basic(m, type, &v) < 0)
                return NULL;
        switch (type) {
        case 's':
        case 'o':
        case 'g':
                return g_strdup(v.s);
        case 'b':
                return g_strdup(v.i ? "true" : "false");
        case 'y':
                return g_strdup_printf("%u", v.y);
        case 'q':
                return g_strdup_printf("%u", v.q);
        case 'u':
                return g_strdup_printf("%u", v.u);
        case 'i':
                return g_strdup_printf("%d", v.i);
        case 't':
                return g_strdup_printf("%" G_GUINT64_FORMAT, v.t);
        default:
                return NULL;
        }
}

const char *sim_get_property(SimMachine *m, const char *path, const char *interface, const char *property) {
        _cleanup_(sd_bus_message_unrefp) sd_bus_message *reply = NULL;
        const char *contents;
        char type;

        if (sd_bus_call_method(sim_bus(m), GPUPT_BUS_NAME, path, "org.freedesktop.DBus.Properties", "Get", NULL, &reply,
                               "ss", interface, property) < 0 ||
            sd_bus_message_peek_type(reply, &type, &contents) <= 0 ||
            sd_bus_message_enter_container(reply, 'v', contents) < 0)
                return NULL;
        return sim_keep(m, basic_text(reply, contents[0]));
}

typedef struct Expected {
        SimMachine *m;
        const char *path, *interface, *property, *value;
        unsigned signals, seen;
} Expected;

static int on_change(_unused_ sd_bus_message *message, void *userdata, _unused_ sd_bus_error *error) {
        ((Expected *) userdata)->signals++;
        return 0;
}

/* Asks again only after a signal: what does not announce its change is a fault of the daemon. */
static bool has_value(void *data) {
        Expected *e = data;

        if (e->seen == e->signals)
                return false;
        e->seen = e->signals;
        return streq_ptr(sim_get_property(e->m, e->path, e->interface, e->property), e->value);
}

void sim_wait_property(SimMachine *m, const char *path, const char *interface, const char *property, const char *value) {
        _cleanup_(sd_bus_slot_unrefp) sd_bus_slot *slot = NULL;
        Expected e = { m, path, interface, property, value, .signals = 1 };
        int r;

        r = sd_bus_match_signal(sim_bus(m), &slot, GPUPT_BUS_NAME, NULL, NULL, NULL, on_change, &e);
        if (r < 0)
                g_error("match: %s", strerror(-r));
        if (!sim_bus_run(sim_bus(m), has_value, &e))
                sim_fail(m, "%s of %s does not become '%s', it is '%s'", property, path, value,
                         strempty(sim_get_property(m, path, interface, property)));
}
