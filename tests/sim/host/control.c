/* SPDX-License-Identifier: GPL-2.0-or-later */

/* control: see control.h; README.md lists the commands. */

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

#include "host/control.h"
#include "model/model.h"
#include "util/cleanup.h"

typedef struct Connection {
        int fd;
        bool first;
        GString *input;
        sd_event_source *source;
} Connection;

static Connection *first_connection;

static int device_argument(const char *address, Device **ret) {
        *ret = device_find(address);
        return *ret ? 0 : -ENODEV;
}

static int command_fault(char **arguments, GString *reply) {
        unsigned id;
        int r;

        r = fault_add(arguments, &id);
        if (r < 0)
                return r;
        g_string_append_printf(reply, "%u", id);
        return 0;
}

/* `release ID`, `release TARGET OPERATION`, `release all` */
static int command_release(char **arguments, _unused_ GString *reply) {
        if (arguments[1])
                return fault_release_at(arguments[0], arguments[1]);
        return fault_release(streq(arguments[0], "all") ? 0 : (unsigned) strtoul(arguments[0], NULL, 10));
}

static int command_wait_fault(char **arguments, _unused_ GString *reply) {
        unsigned id = (unsigned) strtoul(arguments[0], NULL, 10);
        bool known = true;

        while (!fault_struck(id, &known) && known)
                machine_wait();
        return known ? 0 : -ENOENT;
}

static int command_unplug(char **arguments, _unused_ GString *reply) {
        Device *d;
        int r;

        r = device_argument(arguments[0], &d);
        if (r >= 0)
                device_unplug(d);
        return r;
}

static int command_plug(char **arguments, _unused_ GString *reply) {
        Device *d;
        int r;

        r = device_argument(arguments[0], &d);
        if (r >= 0)
                device_plug(d);
        return r;
}

static int command_die(char **arguments, _unused_ GString *reply) {
        Device *d;
        int r;

        r = device_argument(arguments[0], &d);
        if (r >= 0)
                device_die(d);
        return r;
}

static int command_revive(char **arguments, _unused_ GString *reply) {
        Device *d;
        int r;

        r = device_argument(arguments[0], &d);
        if (r >= 0)
                d->dead = d->sick = false;
        machine_changed();
        return r;
}

/* `sicken ADDRESS`: now, with the symptoms that the topology gives it. */
static int command_sicken(char **arguments, _unused_ GString *reply) {
        Device *d;
        int r;

        r = device_argument(arguments[0], &d);
        if (r >= 0)
                sickness_begin(d);
        return r;
}

/* `is-well ADDRESS`: "well", "sick" or "dead", whatever the kernel sees of it. */
static int command_is_well(char **arguments, GString *reply) {
        Device *d;
        int r;

        r = device_argument(arguments[0], &d);
        if (r >= 0)
                g_string_append(reply, device_vanished(d) ? "dead" : d->sick ? "sick" : "well");
        return r;
}

/* `cure ADDRESS RUNG`: what a program of the vendor does to a card, for instance; "cured" or "no effect". */
static int command_cure(char **arguments, GString *reply) {
        Device *d;
        int r;

        r = device_argument(arguments[0], &d);
        if (r >= 0)
                g_string_append(reply, sickness_cure(d, arguments[1]) ? "cured" : "no effect");
        return r;
}

/* `switch bbswitch|nvhda ON|OFF`: it is so, whatever uses the card. */
static int command_switch(char **arguments, _unused_ GString *reply) {
        return power_switch_set(arguments[0], streq(arguments[1], "ON")) ? 0 : -ENODEV;
}

/* `vendor-tool ADDRESS query|reset`: what nvidia-smi does. Faults: (ADDRESS, vendor-query), (ADDRESS, vendor-reset). */
static int command_vendor_tool(char **arguments, GString *reply) {
        bool reset = streq(arguments[1], "reset");
        Fault *fault;
        Device *d;
        int r;

        r = device_argument(arguments[0], &d);
        if (r < 0)
                return r;
        fault = fault_take(d->address, reset ? "vendor-reset" : "vendor-query");
        r = fault_run(fault, d);
        while (r == 0 && device_shows(d, SYMPTOM_HANG | SYMPTOM_TOOL))
                machine_wait();
        if (r == 0 && (!device_known(d) || !d->driver || !(d->driver->features & FEATURE_NVIDIA)))
                r = -ENODEV;
        if (r == 0 && device_vanished(d))
                r = -EHOSTDOWN;
        if (r == 0 && reset && device_held(d))
                r = -EBUSY;
        if (r == 0 && reset && !fault_no_effect(fault))
                (void) sickness_cure(d, "driver");
        fault_worsen(fault, d);
        if (r < 0)
                return r;
        if (reset)
                g_string_append_printf(reply, "GPU %s was successfully reset.\nAll done.", d->address);
        else
                g_string_append_printf(reply, "NVIDIA Simulated, %ld, %ld, %ld.%02ld", sensor_value(d, "temp1_input") / 1000,
                                       sensor_value(d, "pwm1") * 100 / 255, sensor_value(d, "power1_average") / 1000000,
                                       sensor_value(d, "power1_average") / 10000 % 100);
        return 0;
}

/* `sensor ADDRESS NAME VALUE` */
static int command_sensor(char **arguments, _unused_ GString *reply) {
        Device *d;
        int r;

        r = device_argument(arguments[0], &d);
        return r < 0 ? r : sensor_set(d, arguments[1], strtol(arguments[2], NULL, 10));
}

/* `connector ADDRESS NAME connected|disconnected`: somebody plugs a monitor. */
static int command_connector(char **arguments, _unused_ GString *reply) {
        Device *d;
        int r;

        r = device_argument(arguments[0], &d);
        if (r >= 0)
                connector_set(d, arguments[1], arguments[2]);
        return r;
}

/* `wait-udev`: until udevd has done what it has to do with functions that were added. */
static int command_wait_udev(_unused_ char **arguments, _unused_ GString *reply) {
        udev_settle();
        return 0;
}

/* `kernel-log [ADDRESS] TEXT`: the kernel prints a line, of a device or of none. */
static int command_kernel_log(char **arguments, _unused_ GString *reply) {
        const Device *d = device_find(arguments[0]);

        if (d && !arguments[1])
                return -EINVAL;
        kernel_log(d, 3, "%s", arguments[d ? 1 : 0]);
        return 0;
}

static int command_dmesg(_unused_ char **arguments, GString *reply) {
        g_string_append(reply, kernel_log_text());
        return 0;
}

/* `wait-known ADDRESS yes|no`: until the kernel has followed a plug or an unplug. */
static int command_wait_known(char **arguments, _unused_ GString *reply) {
        bool wanted = streq(arguments[1], "yes");
        Device *d;
        int r;

        r = device_argument(arguments[0], &d);
        if (r < 0)
                return r;
        while (device_known(d) != wanted || d->lock || machine.rescan_remove_lock)
                machine_wait();
        return 0;
}

/* `wait-held NODE yes|no`: until the machine sees that a process holds the node, or that none does. */
static int command_wait_held(char **arguments, _unused_ GString *reply) {
        bool wanted = streq(arguments[1], "yes");

        device_nodes_expect();
        for (;;) {
                const DeviceNode *n;

                device_nodes_refresh();
                n = device_node_find(arguments[0]);
                if ((n && device_node_held(n)) == wanted)
                        return 0;
                machine_wait();
        }
}

static int command_hold(char **arguments, _unused_ GString *reply) {
        DeviceNode *n = device_node_find(arguments[0]);

        if (!n)
                return -ENOENT;
        n->kernel_users++;
        return 0;
}

static int command_unhold(char **arguments, _unused_ GString *reply) {
        DeviceNode *n = device_node_find(arguments[0]);

        if (!n || n->kernel_users == 0)
                return -ENOENT;
        n->kernel_users--;
        machine_changed();
        return 0;
}

/* `module NAME load|unload|refs=N|absent|installed` */
static int command_module(char **arguments, _unused_ GString *reply) {
        const char *action = arguments[1], *value;
        Module *m;

        if (streq(action, "load"))
                return module_load(arguments[0]);
        if (streq(action, "unload"))
                return module_unload(arguments[0]);
        m = module_find(arguments[0]);
        if (!m)
                return -ENOENT;
        if ((value = startswith(action, "refs=")))
                m->references = (unsigned) strtoul(value, NULL, 10);
        else if (streq(action, "absent") || streq(action, "installed")) {
                m->installed = streq(action, "installed");
                module_write_aliases();
        } else
                return -EINVAL;
        return 0;
}

static void dump_device(const Device *d, GString *reply) {
        if (!device_known(d)) {
                g_string_append_printf(reply, "%s absent\n", d->address);
                return;
        }
        g_string_append_printf(reply, "%s driver=%s override=%s control=%s d3cold_allowed=%d\n", d->address,
                               d->driver ? d->driver->name : "-", d->driver_override ?: "-",
                               d->power_auto ? "auto" : "on", d->d3cold_allowed);
}

/* What a round trip must leave as it found it, one line a function, and the modules. */
static int command_dump(_unused_ char **arguments, GString *reply) {
        for (unsigned i = 0; i < machine.devices->len; i++)
                dump_device(g_ptr_array_index(machine.devices, i), reply);
        return 0;
}

static int command_modules(_unused_ char **arguments, GString *reply) {
        for (unsigned i = 0; i < machine.modules->len; i++) {
                const Module *m = g_ptr_array_index(machine.modules, i);

                if (m->loaded)
                        g_string_append_printf(reply, "%s %u\n", m->name, module_references(m));
        }
        return 0;
}

static const ControlCommand machine_commands[] = {
        { "fault", 3, command_fault },
        { "release", 1, command_release },
        { "wait-fault", 1, command_wait_fault, .waits = true },
        { "unplug", 1, command_unplug },
        { "plug", 1, command_plug },
        { "die", 1, command_die },
        { "revive", 1, command_revive },
        { "sicken", 1, command_sicken },
        { "is-well", 1, command_is_well },
        { "cure", 2, command_cure },
        { "switch", 2, command_switch },
        { "vendor-tool", 2, command_vendor_tool, .waits = true },
        { "sensor", 3, command_sensor },
        { "connector", 3, command_connector },
        { "wait-udev", 0, command_wait_udev, .waits = true },
        { "kernel-log", 1, command_kernel_log },
        { "dmesg", 0, command_dmesg },
        { "wait-known", 2, command_wait_known, .waits = true },
        { "wait-held", 2, command_wait_held, .waits = true },
        { "hold", 1, command_hold },
        { "unhold", 1, command_unhold },
        { "module", 2, command_module, .waits = true },
        { "modules", 0, command_modules },
        { "dump", 0, command_dump },
        {},
};

static const ControlCommand *const tables[] = {
        machine_commands, login1_commands, polkit_commands, systemd1_commands, machine1_commands, upower_commands, uses_commands,
};

static const ControlCommand *command_find(const char *name) {
        for (size_t i = 0; i < ELEMENTSOF(tables); i++)
                for (const ControlCommand *c = tables[i]; c->name; c++)
                        if (streq(c->name, name))
                                return c;
        return NULL;
}

static int parse(const char *line, char ***ret_words, const ControlCommand **ret) {
        g_auto(GStrv) words = NULL;
        const ControlCommand *c;

        if (!g_shell_parse_argv(line, NULL, &words, NULL))
                return -EBADMSG;
        c = command_find(words[0]);
        if (!c)
                return -EOPNOTSUPP;
        if (g_strv_length(words) - 1 < c->n_arguments)
                return -EINVAL;
        *ret_words = g_steal_pointer(&words);
        *ret = c;
        return 0;
}

int control_execute(const char *line, GString *reply) {
        g_auto(GStrv) words = NULL;
        const ControlCommand *c;
        int r;

        r = parse(line, &words, &c);
        return r < 0 ? r : c->run(words + 1, reply);
}

static void answer(int fd, int r, const GString *text) {
        g_autofree char *escaped = g_strescape(text->str, NULL), *line = NULL;

        line = r < 0 ? g_strdup_printf("error %s %s\n", strerrorname_np(-r), escaped)
                     : g_strdup_printf("ok %s\n", escaped);
        if (send(fd, line, strlen(line), MSG_NOSIGNAL) < 0)
                g_printerr("gpuptd-sim: an answer was lost: %s\n", strerror(errno));
}

typedef struct Pending {
        int fd;
        char **words;
        const ControlCommand *command;
} Pending;

static void run_pending(void *userdata) {
        Pending *p = userdata;
        g_autoptr(GString) reply = g_string_new(NULL);
        int r;

        r = p->command->run(p->words + 1, reply);
        answer(p->fd, r, reply);
        (void) close(p->fd);
        g_strfreev(p->words);
        g_free(p);
}

static void handle_line(const Connection *c, const char *line) {
        g_autoptr(GString) reply = g_string_new(NULL);
        g_auto(GStrv) words = NULL;
        const ControlCommand *command;
        Pending *p;
        int r;

        r = parse(line, &words, &command);
        if (r >= 0 && command->waits) {
                p = g_new(Pending, 1);
                *p = (Pending) { dup(c->fd), g_steal_pointer(&words), command };
                (void) machine_in_thread(run_pending, p);
                return;
        }
        if (r >= 0)
                r = command->run(words + 1, reply);
        answer(c->fd, r, reply);
}

static void connection_free(Connection *c) {
        (void) sd_event_source_disable_unref(c->source);
        (void) close(c->fd);
        (void) g_string_free(c->input, true);
        g_free(c);
}

static int on_input(_unused_ sd_event_source *source, int fd, _unused_ uint32_t revents, void *userdata) {
        Connection *c = userdata;
        char data[4096], *end;
        ssize_t n;

        n = recv(fd, data, sizeof(data), MSG_DONTWAIT);
        if (n < 0 && (errno == EAGAIN || errno == EINTR))
                return 0;
        if (n <= 0) {
                if (c->first)
                        _exit(EXIT_SUCCESS); /* the test is over */
                connection_free(c);
                return 0;
        }
        (void) g_string_append_len(c->input, data, n);
        while ((end = strchr(c->input->str, '\n'))) {
                *end = 0;
                handle_line(c, c->input->str);
                (void) g_string_erase(c->input, 0, end + 1 - c->input->str);
        }
        return 0;
}

static int connection_new(sd_event *event, int fd, Connection **ret) {
        Connection *c = g_new(Connection, 1);

        *c = (Connection) { .fd = fd, .input = g_string_new(NULL) };
        *ret = c;
        return sd_event_add_io(event, &c->source, fd, EPOLLIN, on_input, c);
}

static int on_connect(sd_event_source *source, int fd, _unused_ uint32_t revents, _unused_ void *userdata) {
        Connection *c;
        int client;

        client = accept4(fd, NULL, NULL, SOCK_CLOEXEC);
        if (client < 0)
                return 0;
        return connection_new(sd_event_source_get_event(source), client, &c);
}

int control_start(sd_event *event, int fd) {
        struct sockaddr_un address = { .sun_family = AF_UNIX, .sun_path = CONTROL_SOCKET };
        int listener, r;

        r = connection_new(event, fd, &first_connection);
        if (r < 0)
                return r;
        first_connection->first = true;
        listener = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
        if (listener < 0)
                return -errno;
        if (bind(listener, (struct sockaddr *) &address, sizeof(address)) < 0 || listen(listener, 16) < 0)
                return -errno;
        return sd_event_add_io(event, NULL, listener, EPOLLIN, on_connect, NULL);
}

void control_ready(void) {
        g_autoptr(GString) text = g_string_new("ready");

        answer(first_connection->fd, 0, text);
}
