/* SPDX-License-Identifier: GPL-2.0-or-later */

/* machine1: the stand-in for systemd-machined: the virtual machines that the test says there are. */

#include <errno.h>
#include <glib.h>
#include <stdlib.h>

#include "bus/bus.h"
#include "host/control.h"
#include "util/cleanup.h"

#define ROOT "/org/freedesktop/machine1"
#define INTERFACE "org.freedesktop.machine1.Manager"

typedef struct Guest {
        char *name, *path;
        uint32_t leader;
} Guest;

static GPtrArray *guests;

static Guest *guest_find(const char *name) {
        for (unsigned i = 0; guests && i < guests->len; i++) {
                Guest *g = g_ptr_array_index(guests, i);

                if (streq(g->name, name))
                        return g;
        }
        return NULL;
}

static int method_list(sd_bus_message *m, _unused_ void *userdata, _unused_ sd_bus_error *error) {
        _cleanup_(sd_bus_message_unrefp) sd_bus_message *reply = NULL;
        int r;

        r = sd_bus_message_new_method_return(m, &reply);
        if (r >= 0)
                r = sd_bus_message_open_container(reply, 'a', "(ssso)");
        for (unsigned i = 0; r >= 0 && guests && i < guests->len; i++) {
                const Guest *g = g_ptr_array_index(guests, i);

                r = sd_bus_message_append(reply, "(ssso)", g->name, "vm", "libvirt-qemu", g->path);
        }
        if (r >= 0)
                r = sd_bus_message_close_container(reply);
        return r < 0 ? r : sd_bus_message_send(reply);
}

static int method_get_machine(sd_bus_message *m, _unused_ void *userdata, sd_bus_error *error) {
        const char *name;
        Guest *g;
        int r;

        r = sd_bus_message_read(m, "s", &name);
        if (r < 0)
                return r;
        g = guest_find(name);
        if (!g)
                return sd_bus_error_setf(error, "org.freedesktop.machine1.NoSuchMachine", "No machine '%s' known", name);
        return sd_bus_reply_method_return(m, "o", g->path);
}

/* machined looks at the cgroup; here a machine is its leader. */
static int method_get_machine_by_pid(sd_bus_message *m, _unused_ void *userdata, sd_bus_error *error) {
        uint32_t pid;
        int r;

        r = sd_bus_message_read(m, "u", &pid);
        if (r < 0)
                return r;
        for (unsigned i = 0; guests && i < guests->len; i++) {
                const Guest *g = g_ptr_array_index(guests, i);

                if (g->leader == pid)
                        return sd_bus_reply_method_return(m, "o", g->path);
        }
        return sd_bus_error_setf(error, "org.freedesktop.machine1.NoMachineForPID", "PID %u is of no machine", pid);
}

static int property_string(_unused_ sd_bus *bus, const char *path, _unused_ const char *interface, const char *property,
                           sd_bus_message *reply, _unused_ void *userdata, _unused_ sd_bus_error *error) {
        const Guest *g = NULL;

        for (unsigned i = 0; guests && i < guests->len && !g; i++)
                if (streq(((Guest *) g_ptr_array_index(guests, i))->path, path))
                        g = g_ptr_array_index(guests, i);
        if (!g)
                return -ENOENT;
        if (streq(property, "Leader"))
                return sd_bus_message_append(reply, "u", g->leader);
        return sd_bus_message_append(reply, "s", streq(property, "Name")      ? g->name
                                                 : streq(property, "Class")   ? "vm"
                                                 : streq(property, "Service") ? "libvirt-qemu"
                                                                              : "running");
}

static const sd_bus_vtable manager_vtable[] = {
        SD_BUS_VTABLE_START(0),
        SD_BUS_METHOD("ListMachines", NULL, "a(ssso)", method_list, SD_BUS_VTABLE_UNPRIVILEGED),
        SD_BUS_METHOD("GetMachine", "s", "o", method_get_machine, SD_BUS_VTABLE_UNPRIVILEGED),
        SD_BUS_METHOD("GetMachineByPID", "u", "o", method_get_machine_by_pid, SD_BUS_VTABLE_UNPRIVILEGED),
        SD_BUS_SIGNAL("MachineNew", "so", 0),
        SD_BUS_SIGNAL("MachineRemoved", "so", 0),
        SD_BUS_VTABLE_END,
};

static const sd_bus_vtable machine_vtable[] = {
        SD_BUS_VTABLE_START(0),
        SD_BUS_PROPERTY("Name", "s", property_string, 0, 0),
        SD_BUS_PROPERTY("Class", "s", property_string, 0, 0),
        SD_BUS_PROPERTY("Service", "s", property_string, 0, 0),
        SD_BUS_PROPERTY("State", "s", property_string, 0, 0),
        SD_BUS_PROPERTY("Leader", "u", property_string, 0, 0),
        SD_BUS_VTABLE_END,
};

static int find_object(_unused_ sd_bus *bus, const char *path, _unused_ const char *interface, _unused_ void *userdata,
                       void **ret_found, _unused_ sd_bus_error *error) {
        for (unsigned i = 0; guests && i < guests->len; i++) {
                Guest *g = g_ptr_array_index(guests, i);

                if (streq(g->path, path)) {
                        *ret_found = g;
                        return 1;
                }
        }
        return 0;
}

static int setup(sd_bus *bus) {
        int r;

        r = sd_bus_add_object_vtable(bus, NULL, ROOT, INTERFACE, manager_vtable, NULL);
        if (r >= 0)
                r = sd_bus_add_fallback_vtable(bus, NULL, ROOT "/machine", "org.freedesktop.machine1.Machine",
                                               machine_vtable, find_object, NULL);
        return r;
}

Service machine1_service = { .name = "org.freedesktop.machine1", .setup = setup };

/* `machine-new NAME PID` */
static int command_new(char **arguments, _unused_ GString *text) {
        Guest *g;
        int r;

        if (guest_find(arguments[0]))
                return -EEXIST;
        g = g_new(Guest, 1);
        *g = (Guest) { .name = g_strdup(arguments[0]), .leader = (uint32_t) strtoul(arguments[1], NULL, 10) };
        r = sd_bus_path_encode(ROOT "/machine", g->name, &g->path);
        if (r < 0)
                return r;
        if (!guests)
                guests = g_ptr_array_new();
        g_ptr_array_add(guests, g);
        return sd_bus_emit_signal(machine1_service.bus, ROOT, INTERFACE, "MachineNew", "so", g->name, g->path);
}

/* `machine-removed NAME` */
static int command_removed(char **arguments, _unused_ GString *text) {
        Guest *g = guest_find(arguments[0]);
        int r;

        if (!g)
                return -ENOENT;
        (void) g_ptr_array_remove(guests, g);
        r = sd_bus_emit_signal(machine1_service.bus, ROOT, INTERFACE, "MachineRemoved", "so", g->name, g->path);
        free(g->path);
        g_free(g->name);
        g_free(g);
        return r;
}

const ControlCommand machine1_commands[] = {
        { "machine-new", 2, command_new },
        { "machine-removed", 1, command_removed },
        {},
};
