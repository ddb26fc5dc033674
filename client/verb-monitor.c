/* SPDX-License-Identifier: GPL-2.0-or-later */

/* monitor: the signals of all objects of gpuptd, a line each, until somebody ends it. */

#include <signal.h>
#include <systemd/sd-event.h>
#include <time.h>

#include "client/report.h"
#include "client/terminal.h"
#include "client/verbs.h"
#include "dbus/names.h"

/* The arguments of our own signals, by position. */
static const struct {
        const char *member;
        const char *arguments[7];
} signal_table[] = {
        { "JobNew", { "id", "job" } },
        { "JobRemoved", { "id", "job", "gpu", "result", "error", "message" } },
        { "ReleaseRequested", { "gpu", "nodes", "seconds" } },
        { "SleepVetoed", { "gpu", "reason" } },
        { "InterfacesAdded", { "object", "interfaces" } },
        { "InterfacesRemoved", { "object", "interfaces" } },
};

static uint64_t now_usec(void) {
        struct timespec ts;

        (void) clock_gettime(CLOCK_REALTIME, &ts);
        return (uint64_t) ts.tv_sec * USEC_PER_SEC + (uint64_t) ts.tv_nsec / 1000U;
}

/* "0000:01:00.0", "job 7", or "gpuptd" for what is about no single object. */
static char *subject_of_path(const char *path) {
        const char *number = startswith(path, GPUPT_JOB_PREFIX "/");
        char *text;

        if (number)
                return asprintf(&text, "job %s", number) < 0 ? NULL : text;
        if (startswith(path, GPUPT_GPU_PREFIX "/"))
                return gpu_address_of_path(path);
        return strdup("gpuptd");
}

/* The interfaces of an added object carry all its properties; a line names the interfaces alone. */
static json_object *shorten(const char *key, json_object *value) {
        json_object *names;

        if (!streq(key, "interfaces") || !json_object_is_type(value, json_type_object))
                return json_object_get(value);

        names = json_object_new_array();
        json_object_object_foreach(value, name, properties) {
                (void) properties;
                (void) json_object_array_add(names, json_object_new_string(name));
        }
        return names;
}

static void print_pair(const char *key, json_object *value) {
        _cleanup_(json_object_putp) json_object *shown = shorten(key, value);
        _cleanup_free_ char *text = NULL, *escaped = NULL;
        bool quoted;

        if (json_object_is_type(shown, json_type_array) && json_object_array_length(shown) > 0 &&
            !json_object_is_type(json_object_array_get_idx(shown, 0), json_type_string))
                text = strdup(json_object_to_json_string_ext(
                        shown, JSON_C_TO_STRING_PLAIN | JSON_C_TO_STRING_NOSLASHESCAPE));
        else
                text = json_text(shown, ",");
        escaped = text ? text_escape(text) : NULL;
        if (isempty(escaped))
                return;

        quoted = strchr(escaped, ' ') && json_object_is_type(shown, json_type_string);
        (void) printf(" %s=%s%s%s", key, quoted ? "'" : "", escaped, quoted ? "'" : "");
}

static void print_event(const Options *o, const char *path, const char *member, json_object *arguments) {
        _cleanup_free_ char *subject = subject_of_path(path), *escaped = text_escape(member);
        char stamp[TIMESTAMP_MAX];

        (void) printf("%s %s%-12s%s %s", timestamp_format(stamp, TIME_CLOCK, now_usec()),
                      color_begin(stdout, COLOR_BOLD), strempty(subject), color_end(stdout, COLOR_BOLD),
                      strempty(escaped));
        if (!o->quiet) {
                json_object_object_foreach(arguments, key, value)
                        print_pair(key, value);
        }
        (void) putchar('\n');
}

static int print_event_json(const Options *o, const char *path, const char *interface, const char *member,
                            json_object *arguments) {
        _cleanup_(json_object_putp) json_object *event = NULL;

        event = json_object_new_object();
        if (!event ||
            json_object_object_add(event, "time", json_object_new_uint64(now_usec())) < 0 ||
            json_object_object_add(event, "path", json_object_new_string(path)) < 0 ||
            json_object_object_add(event, "interface", json_object_new_string(interface)) < 0 ||
            json_object_object_add(event, "signal", json_object_new_string(member)) < 0 ||
            json_object_object_add(event, "arguments", json_object_get(arguments)) < 0)
                return -ENOMEM;
        json_print(event, o->json);
        return 0;
}

/* One line, at once, also into a pipe. */
static int show(const Options *o, const char *path, const char *interface, const char *member,
                json_object *arguments) {
        int r = 0;

        if (o->json != JSON_OFF)
                r = print_event_json(o, path, interface, member, arguments);
        else
                print_event(o, path, member, arguments);
        (void) fflush(stdout);
        return r;
}

static const char *argument_name(const char *member, size_t i, char *buffer, size_t size) {
        for (size_t k = 0; k < ELEMENTSOF(signal_table); k++)
                if (streq(signal_table[k].member, member) && i < ELEMENTSOF(signal_table[k].arguments) &&
                    signal_table[k].arguments[i])
                        return signal_table[k].arguments[i];
        (void) snprintf(buffer, size, "arg%zu", i);
        return buffer;
}

static int read_arguments(sd_bus_message *m, json_object *arguments) {
        const char *member = sd_bus_message_get_member(m);
        json_object *value;
        char buffer[32];
        int r;

        for (size_t i = 0; (r = json_from_message(m, &value)) > 0; i++) {
                const char *name = argument_name(member, i, buffer, sizeof(buffer));

                if (json_object_object_add(arguments, name, value) < 0) {
                        json_object_put(value);
                        return -ENOMEM;
                }
        }
        return r;
}

static int on_signal(sd_bus_message *m, void *userdata, _unused_ sd_bus_error *ret_error) {
        Client *c = ASSERT_PTR(userdata);
        _cleanup_(json_object_putp) json_object *arguments = NULL;
        const char *interface = sd_bus_message_get_interface(m);
        int r;

        if (!client_is_from_daemon(c, m))
                return 0;

        if (sd_bus_message_is_signal(m, "org.freedesktop.DBus.Properties", "PropertiesChanged")) {
                r = sd_bus_message_read(m, "s", &interface);
                if (r >= 0)
                        r = json_from_properties(m, &arguments);
        } else {
                arguments = json_object_new_object();
                r = arguments ? read_arguments(m, arguments) : -ENOMEM;
        }
        if (r >= 0)
                r = show(c->options, sd_bus_message_get_path(m), interface, sd_bus_message_get_member(m),
                         arguments);
        return r < 0 ? sd_event_exit(sd_bus_get_event(c->bus), r) : 0;
}

static int on_owner_changed(sd_bus_message *m, void *userdata, _unused_ sd_bus_error *ret_error) {
        Client *c = ASSERT_PTR(userdata);
        _cleanup_(json_object_putp) json_object *nothing = NULL;
        const char *owner;
        int r;

        if (!streq_ptr(sd_bus_message_get_sender(m), "org.freedesktop.DBus") ||
            sd_bus_message_read(m, "sss", NULL, NULL, &owner) < 0)
                return 0;

        nothing = json_object_new_object();
        r = client_learn_daemon(c, isempty(owner) ? NULL : owner);
        if (r >= 0)
                r = show(c->options, GPUPT_OBJECT_PATH, "org.freedesktop.DBus",
                         isempty(owner) ? "Stopped" : "Started", nothing);
        return r < 0 ? sd_event_exit(sd_bus_get_event(c->bus), r) : 0;
}

static int on_disconnected(_unused_ sd_bus_message *m, void *userdata, _unused_ sd_bus_error *ret_error) {
        Client *c = ASSERT_PTR(userdata);

        return sd_event_exit(sd_bus_get_event(c->bus), -ENOTCONN);
}

static int subscribe(Client *c) {
        int r;

        r = sd_bus_add_match(c->bus, NULL,
                             "type='signal',sender='" GPUPT_BUS_NAME "',path_namespace='" GPUPT_OBJECT_PATH "'",
                             on_signal, c);
        if (r >= 0)
                r = sd_bus_add_match(c->bus, NULL, "type='signal',sender='org.freedesktop.DBus',"
                                     "path='/org/freedesktop/DBus',interface='org.freedesktop.DBus',"
                                     "member='NameOwnerChanged',arg0='" GPUPT_BUS_NAME "'", on_owner_changed, c);
        if (r >= 0)
                r = sd_bus_match_signal(c->bus, NULL, "org.freedesktop.DBus.Local", "/org/freedesktop/DBus/Local",
                                        "org.freedesktop.DBus.Local", "Disconnected", on_disconnected, c);
        return r;
}

int verb_monitor(Client *c, _unused_ char **args) {
        _cleanup_(sd_bus_error_free) sd_bus_error error = SD_BUS_ERROR_NULL;
        _cleanup_(json_object_putp) json_object *manager = NULL;
        _cleanup_(sd_event_unrefp) sd_event *event = NULL;
        sigset_t mask;
        int r;

        r = client_open(c, &error);
        if (r < 0)
                return report_error(NULL, &error, r);
        r = subscribe(c);
        if (r < 0)
                return r;
        /* starts the daemon if need be, and tells who it is */
        r = client_get_properties(c, GPUPT_OBJECT_PATH, GPUPT_MANAGER_INTERFACE, &manager, &error);
        if (r < 0)
                return report_error(NULL, &error, r);

        (void) sigemptyset(&mask);
        (void) sigaddset(&mask, SIGINT);
        (void) sigaddset(&mask, SIGTERM);
        if (sigprocmask(SIG_BLOCK, &mask, NULL) < 0)
                return -errno;
        r = sd_event_new(&event);
        if (r >= 0)
                r = sd_event_add_signal(event, NULL, SIGINT, NULL, NULL);
        if (r >= 0)
                r = sd_event_add_signal(event, NULL, SIGTERM, NULL, NULL);
        if (r >= 0)
                r = sd_bus_attach_event(c->bus, event, 0);
        if (r >= 0) {
                if (c->options->legend && !c->options->quiet)
                        report_note("Listening to gpuptd; Ctrl-C ends this.");
                r = sd_event_loop(event);
        }
        (void) sd_bus_detach_event(c->bus);
        return r;
}
