/* SPDX-License-Identifier: GPL-2.0-or-later */

#include "introspect.h"

#include "bus.h"
#include "dbus/names.h"

static const struct {
        const char *object, *interface;
        const sd_bus_vtable *vtable;
} interfaces[] = {
        { "manager", GPUPT_MANAGER_INTERFACE, manager_vtable },
        { "gpu", GPUPT_GPU_INTERFACE, gpu_vtable },
        { "job", GPUPT_JOB_INTERFACE, job_vtable },
};

/* The length of the first complete type of a signature. */
static size_t type_length(const char *s) {
        size_t n = 0;
        int depth = 0;

        while (s[n] == 'a')
                n++;
        do {
                depth += s[n] == '(' || s[n] == '{';
                depth -= s[n] == ')' || s[n] == '}';
                n++;
        } while (depth > 0);
        return n;
}

/* names are NUL-separated, in the order of the signature; returns what follows those that were used. */
static const char *print_args(FILE *f, const char *signature, const char *names, const char *direction) {
        while (signature && *signature) {
                size_t n = type_length(signature);

                fprintf(f, "      <arg type=\"%.*s\" name=\"%s\"%s/>\n", (int) n, signature, names, direction);
                names += strlen(names) + 1;
                signature += n;
        }
        return names;
}

static void print_method(FILE *f, const sd_bus_vtable *v) {
        const char *names = strempty(v->x.method.names);

        fprintf(f, "    <method name=\"%s\">\n", v->x.method.member);
        names = print_args(f, v->x.method.signature, names, " direction=\"in\"");
        (void) print_args(f, v->x.method.result, names, " direction=\"out\"");
        fputs("    </method>\n", f);
}

static void print_signal(FILE *f, const sd_bus_vtable *v) {
        fprintf(f, "    <signal name=\"%s\">\n", v->x.signal.member);
        (void) print_args(f, v->x.signal.signature, strempty(v->x.signal.names), "");
        fputs("    </signal>\n", f);
}

/* That a property emits PropertiesChanged is what an interface without the annotation says. */
static void print_property(FILE *f, const sd_bus_vtable *v) {
        const char *emits = v->flags & SD_BUS_VTABLE_PROPERTY_CONST ? "const" : "false";

        fprintf(f, "    <property name=\"%s\" type=\"%s\" access=\"read\"", v->x.property.member, v->x.property.signature);
        if (v->flags & SD_BUS_VTABLE_PROPERTY_EMITS_CHANGE) {
                fputs("/>\n", f);
                return;
        }
        fprintf(f, ">\n      <annotation name=\"org.freedesktop.DBus.Property.EmitsChangedSignal\" value=\"%s\"/>\n", emits);
        fputs("    </property>\n", f);
}

int introspect_print(const char *object, FILE *f) {
        for (size_t i = 0; i < ELEMENTSOF(interfaces); i++) {
                if (!streq(interfaces[i].object, object))
                        continue;
                fputs("<?xml version=\"1.0\" encoding=\"UTF-8\"?>\n"
                      "<!DOCTYPE node PUBLIC \"-//freedesktop//DTD D-BUS Object Introspection 1.0//EN\"\n"
                      "  \"http://www.freedesktop.org/standards/dbus/1.0/introspect.dtd\">\n"
                      "<node>\n", f);
                fprintf(f, "  <interface name=\"%s\">\n", interfaces[i].interface);
                for (const sd_bus_vtable *v = interfaces[i].vtable; v->type != _SD_BUS_VTABLE_END; v++)
                        if (v->type == _SD_BUS_VTABLE_METHOD)
                                print_method(f, v);
                        else if (v->type == _SD_BUS_VTABLE_SIGNAL)
                                print_signal(f, v);
                        else if (v->type == _SD_BUS_VTABLE_PROPERTY)
                                print_property(f, v);
                fputs("  </interface>\n</node>\n", f);
                return ferror(f) ? -EIO : 0;
        }
        return -EINVAL;
}
