/* SPDX-License-Identifier: GPL-2.0-or-later */
#pragma once

/* bus: what the bus faces of the objects offer to each other. */

#include "manager.h"
#include "property.h"

#define BUS_PATH_MAX 256

/* bus.c: the manager behind the object that a message is being handled for, and the objects' paths. */
Manager *manager_of_message(sd_bus_message *message);
/* Who has sent it, as the bus says. */
int bus_sender_uid(sd_bus_message *message, uint32_t *ret);
const char *gpu_bus_path(const Gpu *g, char buf[static BUS_PATH_MAX]);
const char *job_bus_path(unsigned id, char buf[static BUS_PATH_MAX]);

/* manager-bus.c: puts all objects on the bus, and sets the manager's hooks. */
int manager_bus_export(Manager *m);

/* gpu-bus.c */
int gpu_bus_export(Manager *m);
/* Sends PropertiesChanged for what differs from what was told; mark: it has all been told (by InterfacesAdded). */
void gpu_bus_tell(Manager *m, Gpu *g);
void gpu_bus_mark_told(Gpu *g);
/* One function as an entry of aa{sv}. */
void gpu_bus_write_function(Sink *s, const Function *f, const char *name, const char *host_driver);

/* check-bus.c: Manager.Check(), and what lets go of the calls that wait, unanswered. */
int check_method(sd_bus_message *message, void *userdata, sd_bus_error *error);
void check_free_all(Manager *m);

/* sleep-bus.c: what of the Manager is about the sleep of the host. */
int sleep_bus_method_prepare(sd_bus_message *message, void *userdata, sd_bus_error *error);
int sleep_bus_method_finish(sd_bus_message *message, void *userdata, sd_bus_error *error);
int sleep_bus_property_last(sd_bus *bus, const char *path, const char *interface, const char *property, sd_bus_message *reply,
                            void *userdata, sd_bus_error *error);
int sleep_bus_property_sleeping(sd_bus *bus, const char *path, const char *interface, const char *property, sd_bus_message *reply,
                                void *userdata, sd_bus_error *error);
/* Lets go of the calls that wait, unanswered. */
void sleep_bus_free_all(Manager *m);

/* job-bus.c */
int job_bus_export(Manager *m);
void job_bus_tell(Manager *m, JobFace *f);
void job_bus_mark_told(JobFace *f);

/* The sources of the introspection data. */
extern const sd_bus_vtable manager_vtable[], gpu_vtable[], job_vtable[];
