/* SPDX-License-Identifier: GPL-2.0-or-later */
#pragma once

/* property: a D-Bus property is written once, into a sink that is a message (the getter) or a hash (did it change since
 * it was last told?). One table per interface holds name, signature and writer; the vtable's getters, and the one place per object
 * that sends PropertiesChanged, work from it. */

#include <systemd/sd-bus.h>

#include "util/cleanup.h"

/* Errors stick in r. */
typedef struct Sink {
        sd_bus_message *message; /* NULL: hash only */
        uint64_t hash;
        int r;
} Sink;

void sink_open(Sink *s, char type, const char *contents);
void sink_close(Sink *s);
void sink_string(Sink *s, const char *value); /* NULL is "" */
void sink_path(Sink *s, const char *value);
void sink_bool(Sink *s, bool value);
void sink_u16(Sink *s, uint16_t value);
void sink_u32(Sink *s, uint32_t value);
void sink_u64(Sink *s, uint64_t value);
void sink_strv(Sink *s, char *const *values);
/* A dictionary entry of a{sv}; the value is written between the first two. */
void sink_entry_open(Sink *s, const char *key, const char *type);
void sink_entry_close(Sink *s);
void sink_entry_string(Sink *s, const char *key, const char *value);
void sink_entry_u16(Sink *s, const char *key, uint16_t value);
void sink_entry_u32(Sink *s, const char *key, uint32_t value);
void sink_entry_i32(Sink *s, const char *key, int32_t value);
void sink_entry_u64(Sink *s, const char *key, uint64_t value);
void sink_entry_bool(Sink *s, const char *key, bool value);
void sink_entry_strv(Sink *s, const char *key, char *const *values);

typedef struct Property {
        const char *name;
        void (*write)(Sink *s, void *object);
        bool quiet; /* no PropertiesChanged: the value is that of the last snapshot */
} Property;

/* The getter of a vtable: finds the row by name and writes it. */
int property_get(const Property *table, size_t n, const char *name, sd_bus_message *reply, void *object);
/* Compares every row with what was told, updates that, and sends PropertiesChanged for those that differ. */
int property_tell(const Property *table, size_t n, uint64_t *told, sd_bus *bus, const char *path, const char *interface,
                  void *object);
void property_mark_told(const Property *table, size_t n, uint64_t *told, void *object);
