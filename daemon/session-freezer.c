/* SPDX-License-Identifier: GPL-2.0-or-later */

#include "session-freezer.h"

#include <strings.h>

#define SYSTEMD_NAME "org.freedesktop.systemd1"
#define SYSTEMD_PATH "/org/freedesktop/systemd1"
#define SYSTEMD_MANAGER "org.freedesktop.systemd1.Manager"
#define SYSTEMD_SERVICE "org.freedesktop.systemd1.Service"
#define SUSPEND_UNIT "systemd-suspend.service"
#define VARIABLE "SYSTEMD_SLEEP_FREEZE_USER_SESSIONS="

#define LIMIT_USEC (2 * 1000000ULL)
#define VERSION_MAX 99999U

struct SessionFreezer {
        session_freezer_handler_t handler;
        void *userdata;
        sd_bus_slot *version_call, *environment_call;
        SessionFreezerAnswer answer;
};

unsigned session_freezer_version(const char *text) {
        unsigned version = 0;

        text += *text == 'v';
        for (; *text >= '0' && *text <= '9'; text++) {
                version = version * 10 + (unsigned) (*text - '0');
                if (version > VERSION_MAX)
                        return 0;
        }
        return version;
}

bool session_freezer_is_off(const char *line) {
        static const char *const no[] = { "0", "no", "n", "false", "f", "off" };
        const char *value = startswith(line, VARIABLE);

        for (size_t i = 0; value && i < ELEMENTSOF(no); i++)
                if (strcasecmp(value, no[i]) == 0)
                        return true;
        return false;
}

SessionFreezer *session_freezer_free(SessionFreezer *f) {
        if (!f)
                return NULL;
        sd_bus_slot_unref(f->version_call);
        sd_bus_slot_unref(f->environment_call);
        free(f);
        return NULL;
}

static void finish_if_known(SessionFreezer *f) {
        if (f->version_call || f->environment_call)
                return;
        f->handler(&f->answer, f->userdata);
        session_freezer_free(f);
}

static int on_version(sd_bus_message *m, void *userdata, sd_bus_error *error) {
        SessionFreezer *f = ASSERT_PTR(userdata);
        const char *version;

        if (!sd_bus_message_is_method_error(m, NULL) && sd_bus_message_read(m, "v", "s", &version) >= 0)
                f->answer.version = session_freezer_version(version);
        f->version_call = sd_bus_slot_unref(f->version_call);
        finish_if_known(f);
        return 0;
}

/* The last line of a name counts. */
static void read_environment(SessionFreezer *f, sd_bus_message *m) {
        const char *line;

        if (sd_bus_message_enter_container(m, 'v', "as") < 0 || sd_bus_message_enter_container(m, 'a', "s") < 0)
                return;
        while (sd_bus_message_read(m, "s", &line) > 0)
                if (startswith(line, VARIABLE))
                        f->answer.off = session_freezer_is_off(line);
}

static int on_environment(sd_bus_message *m, void *userdata, sd_bus_error *error) {
        SessionFreezer *f = ASSERT_PTR(userdata);

        if (!sd_bus_message_is_method_error(m, NULL))
                read_environment(f, m);
        f->environment_call = sd_bus_slot_unref(f->environment_call);
        finish_if_known(f);
        return 0;
}

static int get(SessionFreezer *f, sd_bus *bus, sd_bus_slot **ret, sd_bus_message_handler_t handler, const char *path,
               const char *interface, const char *property) {
        _cleanup_(sd_bus_message_unrefp) sd_bus_message *m = NULL;
        int r;

        r = sd_bus_message_new_method_call(bus, &m, SYSTEMD_NAME, path, "org.freedesktop.DBus.Properties", "Get");
        if (r >= 0)
                r = sd_bus_message_append(m, "ss", interface, property);
        return r < 0 ? r : sd_bus_call_async(bus, ret, m, handler, f, LIMIT_USEC);
}

int session_freezer_ask(sd_bus *bus, session_freezer_handler_t handler, void *userdata, SessionFreezer **ret) {
        _cleanup_(session_freezer_freep) SessionFreezer *f = malloc(sizeof(SessionFreezer));
        _cleanup_free_ char *path = NULL;
        int r;

        if (!f)
                return -ENOMEM;
        *f = (SessionFreezer) { .handler = handler, .userdata = userdata };
        r = sd_bus_path_encode(SYSTEMD_PATH "/unit", SUSPEND_UNIT, &path);
        if (r >= 0)
                r = get(f, bus, &f->version_call, on_version, SYSTEMD_PATH, SYSTEMD_MANAGER, "Version");
        if (r >= 0)
                r = get(f, bus, &f->environment_call, on_environment, path, SYSTEMD_SERVICE, "Environment");
        if (r < 0)
                return r;
        *ret = TAKE_PTR(f);
        return 0;
}
