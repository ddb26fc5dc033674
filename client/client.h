/* SPDX-License-Identifier: GPL-2.0-or-later */
#pragma once

#include <systemd/sd-bus.h>

#include "client/json.h"
#include "client/options.h"
#include "util/cleanup.h"

#define USEC_PER_SEC UINT64_C(1000000)

/* How long a call may take that polkit may answer: somebody has to find and type a password. */
#define POLKIT_TIMEOUT_USEC (5 * 60 * USEC_PER_SEC)

typedef struct Client {
        const Options *options;
        sd_bus *bus;                /* opened by the first call */
        char *daemon;               /* unique name of the gpuptd that spoke last; NULL if none has */
} Client;

/* All of these return negative errno and then set the error, which report_error() turns into words. */

/* Connects to the bus of this machine or of --host=, once. */
int client_open(Client *c, sd_bus_error *ret_error);
void client_close(Client *c);

/* A method call to gpuptd, which may ask for a password if the user allows that. */
int client_new_call(Client *c, const char *path, const char *interface, const char *member, sd_bus_message **ret,
                    sd_bus_error *ret_error);

/* Remembers who answered. Signals count only if they come from there: anybody may send one that looks like
 * gpuptd's. */
int client_learn_daemon(Client *c, const char *unique_name);
bool client_is_from_daemon(const Client *c, sd_bus_message *m);

/* The path of the GPU that somebody calls `name`, in any form that GetGpu() takes. */
int client_get_gpu(Client *c, const char *name, char **ret_path, sd_bus_error *ret_error);

/* All properties of one object, as an object with lower-case-with-dashes keys. */
int client_get_properties(Client *c, const char *path, const char *interface, json_object **ret,
                          sd_bus_error *ret_error);

/* The properties of all objects that have the interface, as an array in the order of the member `sort_key`. */
int client_get_objects(Client *c, const char *interface, const char *sort_key, json_object **ret,
                       sd_bus_error *ret_error);

/* The first value of the answer to a method of the Gpu or Manager interface without arguments. */
int client_query(Client *c, const char *path, const char *interface, const char *member, json_object **ret,
                 sd_bus_error *ret_error);

/* "0000:01:00.0" of the object path of a GPU; "" of the manager's, which stands for the whole host; else the path
 * itself. NULL if out of memory. */
char *gpu_address_of_path(const char *path);
