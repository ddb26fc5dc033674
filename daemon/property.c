/* SPDX-License-Identifier: GPL-2.0-or-later */

#include "property.h"

/* FNV-1a, 64 bits: to notice a change, not to resist anybody. */
static void hash(Sink *s, const void *data, size_t size) {
        const unsigned char *p = data;

        for (size_t i = 0; i < size; i++)
                s->hash = (s->hash ^ p[i]) * 0x100000001b3ULL;
}

static void basic(Sink *s, char type, const void *value, size_t size) {
        hash(s, &type, 1);
        hash(s, value, size);
        if (s->message && s->r >= 0)
                s->r = sd_bus_message_append_basic(s->message, type, value);
}

void sink_open(Sink *s, char type, const char *contents) {
        hash(s, &type, 1);
        if (s->message && s->r >= 0)
                s->r = sd_bus_message_open_container(s->message, type, contents);
}

void sink_close(Sink *s) {
        hash(s, ")", 1);
        if (s->message && s->r >= 0)
                s->r = sd_bus_message_close_container(s->message);
}

void sink_string(Sink *s, const char *value) {
        basic(s, 's', strempty(value), strlen(strempty(value)) + 1);
}

void sink_path(Sink *s, const char *value) {
        basic(s, 'o', value, strlen(value) + 1);
}

void sink_bool(Sink *s, bool value) {
        int v = value;

        basic(s, 'b', &v, sizeof(v));
}

void sink_u16(Sink *s, uint16_t value) {
        basic(s, 'q', &value, sizeof(value));
}

void sink_u32(Sink *s, uint32_t value) {
        basic(s, 'u', &value, sizeof(value));
}

void sink_u64(Sink *s, uint64_t value) {
        basic(s, 't', &value, sizeof(value));
}

void sink_strv(Sink *s, char *const *values) {
        sink_open(s, 'a', "s");
        for (; values && *values; values++)
                sink_string(s, *values);
        sink_close(s);
}

void sink_entry_open(Sink *s, const char *key, const char *type) {
        sink_open(s, 'e', "sv");
        sink_string(s, key);
        sink_open(s, 'v', type);
}

void sink_entry_close(Sink *s) {
        sink_close(s);
        sink_close(s);
}

void sink_entry_string(Sink *s, const char *key, const char *value) {
        sink_entry_open(s, key, "s");
        sink_string(s, value);
        sink_entry_close(s);
}

void sink_entry_u16(Sink *s, const char *key, uint16_t value) {
        sink_entry_open(s, key, "q");
        sink_u16(s, value);
        sink_entry_close(s);
}

void sink_entry_u32(Sink *s, const char *key, uint32_t value) {
        sink_entry_open(s, key, "u");
        sink_u32(s, value);
        sink_entry_close(s);
}

void sink_entry_i32(Sink *s, const char *key, int32_t value) {
        sink_entry_open(s, key, "i");
        basic(s, 'i', &value, sizeof(value));
        sink_entry_close(s);
}

void sink_entry_u64(Sink *s, const char *key, uint64_t value) {
        sink_entry_open(s, key, "t");
        sink_u64(s, value);
        sink_entry_close(s);
}

void sink_entry_bool(Sink *s, const char *key, bool value) {
        sink_entry_open(s, key, "b");
        sink_bool(s, value);
        sink_entry_close(s);
}

void sink_entry_strv(Sink *s, const char *key, char *const *values) {
        sink_entry_open(s, key, "as");
        sink_strv(s, values);
        sink_entry_close(s);
}

int property_get(const Property *table, size_t n, const char *name, sd_bus_message *reply, void *object) {
        Sink s = { .message = reply };

        for (size_t i = 0; i < n; i++)
                if (streq(table[i].name, name)) {
                        table[i].write(&s, object);
                        return s.r;
                }
        return -ENOENT;
}

static uint64_t property_hash(const Property *p, void *object) {
        Sink s = { .hash = 0xcbf29ce484222325ULL };

        p->write(&s, object);
        return s.hash;
}

int property_tell(const Property *table, size_t n, uint64_t *told, sd_bus *bus, const char *path, const char *interface,
                  void *object) {
        _cleanup_strv_free_ char **names = NULL;

        for (size_t i = 0; i < n; i++) {
                uint64_t h = property_hash(table + i, object);
                int r;

                if (h == told[i])
                        continue;
                told[i] = h;
                if (table[i].quiet)
                        continue;
                r = strv_extend(&names, table[i].name);
                if (r < 0)
                        return r;
        }
        return names ? sd_bus_emit_properties_changed_strv(bus, path, interface, names) : 0;
}

void property_mark_told(const Property *table, size_t n, uint64_t *told, void *object) {
        for (size_t i = 0; i < n; i++)
                told[i] = property_hash(table + i, object);
}
