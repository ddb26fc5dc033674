/* SPDX-License-Identifier: GPL-2.0-or-later */

/* client: the connection to gpuptd and the calls that several verbs make. Waits for each answer; what has to go on
 * meanwhile (a job, Ctrl-C) is job-follow's. Prints nothing. */

#include "client/client.h"

#include "dbus/names.h"

int client_open(Client *c, sd_bus_error *ret_error) {
        int r;

        if (c->bus)
                return 0;

        if (c->options->host)
                r = sd_bus_open_system_remote(&c->bus, c->options->host);
        else
                r = sd_bus_open_system(&c->bus);
        if (r < 0) {
                (void) sd_bus_error_setf(ret_error, SD_BUS_ERROR_NO_SERVER, "Cannot reach the system bus%s%s: %s",
                                         c->options->host ? " of " : "", strempty(c->options->host), strerror(-r));
                return r;
        }

        return 0;
}

void client_close(Client *c) {
        c->bus = sd_bus_flush_close_unref(c->bus);
        free(c->daemon);
        c->daemon = NULL;
}

int client_learn_daemon(Client *c, const char *unique_name) {
        return free_and_strdup(&c->daemon, unique_name);
}

/* sd-bus lets every unique name pass a match for a well-known one, and the bus delivers signals that are
 * addressed to us whatever we subscribed to, so the sender is compared here. */
bool client_is_from_daemon(const Client *c, sd_bus_message *m) {
        return c->daemon && streq_ptr(c->daemon, sd_bus_message_get_sender(m));
}

int client_new_call(Client *c, const char *path, const char *interface, const char *member, sd_bus_message **ret,
                    sd_bus_error *ret_error) {
        _cleanup_(sd_bus_message_unrefp) sd_bus_message *m = NULL;
        int r;

        r = client_open(c, ret_error);
        if (r < 0)
                return r;
        r = sd_bus_message_new_method_call(c->bus, &m, GPUPT_BUS_NAME, path, interface, member);
        if (r < 0)
                return sd_bus_error_set_errno(ret_error, r);
        r = sd_bus_message_set_allow_interactive_authorization(m, c->options->ask_password);
        if (r < 0)
                return sd_bus_error_set_errno(ret_error, r);

        *ret = TAKE_PTR(m);
        return 0;
}

int client_get_gpu(Client *c, const char *name, char **ret_path, sd_bus_error *ret_error) {
        _cleanup_(sd_bus_message_unrefp) sd_bus_message *m = NULL, *reply = NULL;
        const char *path;
        char *copy;
        int r;

        r = client_new_call(c, GPUPT_OBJECT_PATH, GPUPT_MANAGER_INTERFACE, "GetGpu", &m, ret_error);
        if (r < 0)
                return r;
        /* What is no UTF-8 cannot travel, so it is refused here in the daemon's place. */
        r = sd_bus_message_append(m, "s", name);
        if (r < 0)
                return sd_bus_error_setf(ret_error, SD_BUS_ERROR_INVALID_ARGS, "'%s' is no name of a GPU.", name);
        r = sd_bus_call(c->bus, m, 0, ret_error, &reply);
        if (r < 0)
                return r;
        r = sd_bus_message_read(reply, "o", &path);
        if (r < 0)
                return sd_bus_error_set_errno(ret_error, r);
        copy = strdup(path);
        if (!copy)
                return sd_bus_error_set_errno(ret_error, -ENOMEM);

        *ret_path = copy;
        return 0;
}

int client_get_properties(Client *c, const char *path, const char *interface, json_object **ret,
                          sd_bus_error *ret_error) {
        _cleanup_(sd_bus_message_unrefp) sd_bus_message *m = NULL, *reply = NULL;
        int r;

        r = client_new_call(c, path, "org.freedesktop.DBus.Properties", "GetAll", &m, ret_error);
        if (r < 0)
                return r;
        r = sd_bus_message_append(m, "s", interface);
        if (r < 0)
                return sd_bus_error_set_errno(ret_error, r);
        r = sd_bus_call(c->bus, m, 0, ret_error, &reply);
        if (r < 0)
                return r;
        r = client_learn_daemon(c, sd_bus_message_get_sender(reply));
        if (r >= 0)
                r = json_from_properties(reply, ret);
        if (r < 0)
                return sd_bus_error_set_errno(ret_error, r);
        return 0;
}

/* One entry of GetManagedObjects(), whose path is read already: keeps the properties of one interface. */
static int read_object(sd_bus_message *reply, const char *interface, json_object *array) {
        const char *name;
        int r;

        r = sd_bus_message_enter_container(reply, 'a', "{sa{sv}}");
        if (r < 0)
                return r;
        while ((r = sd_bus_message_enter_container(reply, 'e', "sa{sv}")) > 0) {
                json_object *o = NULL;

                r = sd_bus_message_read(reply, "s", &name);
                if (r < 0)
                        return r;
                if (streq(name, interface))
                        r = json_from_properties(reply, &o);
                else
                        r = sd_bus_message_skip(reply, "a{sv}");
                if (r < 0)
                        return r;
                if (o && json_object_array_add(array, o) < 0) {
                        json_object_put(o);
                        return -ENOMEM;
                }
                r = sd_bus_message_exit_container(reply);
                if (r < 0)
                        return r;
        }
        if (r < 0)
                return r;
        return sd_bus_message_exit_container(reply);
}

static int read_objects(sd_bus_message *reply, const char *interface, json_object *array) {
        int r;

        r = sd_bus_message_enter_container(reply, 'a', "{oa{sa{sv}}}");
        if (r < 0)
                return r;
        while ((r = sd_bus_message_enter_container(reply, 'e', "oa{sa{sv}}")) > 0) {
                r = sd_bus_message_skip(reply, "o");
                if (r < 0)
                        return r;
                r = read_object(reply, interface, array);
                if (r < 0)
                        return r;
                r = sd_bus_message_exit_container(reply);
                if (r < 0)
                        return r;
        }
        return r;
}

int client_get_objects(Client *c, const char *interface, const char *sort_key, json_object **ret,
                       sd_bus_error *ret_error) {
        _cleanup_(sd_bus_message_unrefp) sd_bus_message *m = NULL, *reply = NULL;
        _cleanup_(json_object_putp) json_object *array = NULL;
        int r;

        r = client_new_call(c, GPUPT_OBJECT_PATH, "org.freedesktop.DBus.ObjectManager", "GetManagedObjects", &m,
                            ret_error);
        if (r < 0)
                return r;
        r = sd_bus_call(c->bus, m, 0, ret_error, &reply);
        if (r < 0)
                return r;

        array = json_object_new_array();
        if (!array)
                return sd_bus_error_set_errno(ret_error, -ENOMEM);
        r = read_objects(reply, interface, array);
        if (r < 0)
                return sd_bus_error_set_errno(ret_error, r);
        json_sort(array, sort_key);

        *ret = TAKE_PTR(array);
        return 0;
}

int client_query(Client *c, const char *path, const char *interface, const char *member, json_object **ret,
                 sd_bus_error *ret_error) {
        _cleanup_(sd_bus_message_unrefp) sd_bus_message *m = NULL, *reply = NULL;
        int r;

        r = client_new_call(c, path, interface, member, &m, ret_error);
        if (r < 0)
                return r;
        r = sd_bus_call(c->bus, m, 0, ret_error, &reply);
        if (r < 0)
                return r;
        r = json_from_message(reply, ret);
        if (r <= 0)
                return sd_bus_error_set_errno(ret_error, r < 0 ? r : -EBADMSG);
        return 0;
}

char *gpu_address_of_path(const char *path) {
        char *address;

        if (sd_bus_path_decode(path, GPUPT_GPU_PREFIX, &address) > 0)
                return address;
        return strdup(streq(path, GPUPT_OBJECT_PATH) ? "" : path);
}
