/* SPDX-License-Identifier: GPL-2.0-or-later */
#pragma once

#include <json-c/json.h>
#include <systemd/sd-bus.h>

#include "client/options.h"
#include "util/cleanup.h"

DEFINE_CLEANUP(json_object *, json_object_put);

/* The next complete value of a message. Arrays and structs become arrays, dictionaries objects; a variant
 * becomes what it contains. The caller owns *ret, which is NULL for a file descriptor. Returns 1, 0 at the
 * end of the container (or message), negative errno. */
int json_from_message(sd_bus_message *m, json_object **ret);

/* As above for the a{sv} of a PropertiesChanged or GetAll: the keys become lower-case-with-dashes. */
int json_from_properties(sd_bus_message *m, json_object **ret);

/* "VirtualMachine" → "virtual-machine"; NULL if out of memory. */
char *json_property_name(const char *property);

/* The member of an object, or what stands for nothing ("", 0, false, NULL) if it is missing or of another
 * type. What is returned belongs to the object. */
const char *json_string(json_object *o, const char *key);
uint64_t json_number(json_object *o, const char *key);
bool json_truth(json_object *o, const char *key);
json_object *json_array(json_object *o, const char *key);
json_object *json_dict(json_object *o, const char *key);
bool json_has(json_object *o, const char *key);

/* A string as it is, an array of scalars joined by the separator, anything else as compact JSON; owned by the
 * caller. NULL only if out of memory. */
char *json_text(json_object *value, const char *separator);

/* Sorts an array of objects by one member: numbers by value, strings by bytes. */
void json_sort(json_object *array, const char *key);

/* One line, or many if pretty. */
void json_print(json_object *o, JsonMode mode);
