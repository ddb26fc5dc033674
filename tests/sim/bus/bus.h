/* SPDX-License-Identifier: GPL-2.0-or-later */
#pragma once

/* bus: the machine's system bus, a real dbus-daemon with the project's policy, and the stand-ins that answer on it for
 * logind, polkit, systemd, machined and UPower. Each has a connection of its own, so that one can go away and come back. All of it
 * runs in the main thread. */

#include <stdbool.h>
#include <systemd/sd-bus.h>

#define SYSTEM_BUS_SOCKET "/run/dbus/system_bus_socket"

typedef struct Service {
        const char *name;              /* the well-known name */
        int (*setup)(sd_bus *bus);     /* adds the objects */
        void (*stopped)(void);         /* the connection is about to close; may be NULL */
        sd_bus *bus;
} Service;

extern Service login1_service, polkit_service, systemd1_service, machine1_service, upower_service;

/* Starts dbus-daemon and all services; calls `ready` once, when every name is owned. */
int bus_start(sd_event *event, void (*ready)(void));

int service_start(Service *s);
void service_stop(Service *s);
void service_silence(Service *s); /* it has its name, and answers nothing until it is started again */

sd_event *bus_event(void);

/* A child process of the machine that dies with it. */
int spawn(char *const *argv, char *const *environment, pid_t *ret);
