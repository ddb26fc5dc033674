/* SPDX-License-Identifier: GPL-2.0-or-later */

/* reset: `reset`, `reset_method` and `reset_subordinate`. What a card can do comes from the topology; whether the bus
 * method is there is found out as the kernel does it, with the same mistake: it is probed before the siblings are on the
 * bus, so function 0 lists `bus` and the reset then answers ENOTTY (pci_device_add(), pci_parent_bus_reset()). */

#include <errno.h>
#include <string.h>

#include "model/model.h"
#include "util/cleanup.h"

static const char *const reset_order[] = { "device_specific", "acpi", "flr", "af_flr", "pm", "bus" };

/* What follows the name in the topology's list ("" or a result such as "ENOTTY"), or NULL if it is not there. */
static const char *method_result(const Device *d, const char *name) {
        for (char **m = d->reset_methods; m && *m; m++) {
                const char *rest = startswith(*m, name);

                if (rest && (*rest == 0 || *rest == ':'))
                        return *rest ? rest + 1 : rest;
        }
        return NULL;
}

static bool bus_reset_possible(const Device *d) {
        if (!d->bridge || d->no_bus_reset || d->secondary)
                return false;
        for (unsigned i = 0; i < machine.devices->len; i++) {
                const Device *o = g_ptr_array_index(machine.devices, i);

                if (o != d && o->bridge == d->bridge && device_known(o))
                        return false;
        }
        return true;
}

static bool method_supported(const Device *d, const char *name) {
        return streq(name, "bus") ? bus_reset_possible(d) : method_result(d, name) != NULL;
}

static char **methods_default(const Device *d) {
        char **methods = NULL;

        for (size_t i = 0; i < ELEMENTSOF(reset_order); i++)
                if (method_supported(d, reset_order[i]))
                        (void) strv_extend(&methods, reset_order[i]);
        return methods;
}

void reset_init(Device *d) {
        g_strfreev(d->enabled_methods);
        d->enabled_methods = methods_default(d);
}

/* Decided once, when the function appears: pci_dev_reset_attr_is_visible(). */
bool reset_visible(const void *object) {
        return strv_length(((const Device *) object)->enabled_methods) > 0;
}

/* pci_dev_wait(): a function that does not come back within a minute, which is not waited for here. */
static int give_up(const Device *d, const char *name) {
        const char *what = streq(name, "flr") ? "FLR" : streq(name, "af_flr") ? "AF_FLR" : streq(name, "pm") ? "PM D3->D0"
                                                                                                       : "bus reset";

        kernel_log(d, 4, "not ready 65535ms after %s; giving up", what);
        return -ENOTTY;
}

static int method_run(Device *d, const char *name) {
        const char *result = method_result(d, name);
        bool healed;

        if (streq(name, "bus") && !bus_reset_possible(d))
                return -ENOTTY;
        if (errno_from_name(strempty(result)) != 0)
                return -errno_from_name(result);
        if (streq_ptr(result, "no-effect"))
                return 0;
        healed = sickness_cure(d, name);
        if (streq_ptr(result, "heal"))
                d->dead = d->sick = false;
        else if (streq_ptr(result, "worse"))
                device_die(d);
        if (device_vanished(d) && !healed && !streq_ptr(result, "worse"))
                return give_up(d, name);
        d->rom_enabled = false;
        return 0;
}

static int method_try(Device *d, const char *name) {
        Fault *fault = fault_take(d->address, name);
        int r;

        r = fault_run(fault, d);
        if (r == 0 && !fault_no_effect(fault))
                r = method_run(d, name);
        fault_worsen(fault, d);
        return r;
}

/* From 6.12 on pci_reset_function() holds the bridge above as well, also while it waits for the function's lock. */
static Device *locked_bridge(const Device *d) {
        return machine.kernel >= KERNEL_RESET_LOCKS_BRIDGE ? d->bridge : NULL;
}

int reset_store(void *object, const char *data, size_t n, _unused_ off_t offset) {
        Device *d = object, *bridge = locked_bridge(d);
        int r = -ENOTTY;

        if (!text_is(data, n, "1"))
                return -EINVAL;
        if (bridge)
                device_lock(bridge);
        device_lock(d);
        d->config_blocked = true;
        for (char **m = d->enabled_methods; m && *m; m++) {
                r = method_try(d, *m);
                if (r != -ENOTTY) /* __pci_reset_function_locked(): the next one only after ENOTTY */
                        break;
        }
        d->config_blocked = false;
        device_unlock(d);
        if (bridge)
                device_unlock(bridge);
        return r;
}

int reset_method_show(void *object, GString *out) {
        const Device *d = object;

        for (char **m = d->enabled_methods; m && *m; m++)
                g_string_append_printf(out, "%s%s", m == d->enabled_methods ? "" : " ", *m);
        if (strv_length(d->enabled_methods) > 0)
                (void) g_string_append_c(out, '\n');
        return 0;
}

int reset_method_store(void *object, const char *data, size_t n, _unused_ off_t offset) {
        Device *d = object;
        g_autofree char *text = text_dup(data, n);
        g_auto(GStrv) words = NULL;
        char **methods = NULL;

        if (*text == 0) {
                g_strfreev(d->enabled_methods);
                d->enabled_methods = NULL;
                return 0;
        }
        if (streq(text, "default")) {
                reset_init(d);
                return 0;
        }
        words = g_strsplit(text, " ", -1);
        for (char **w = words; *w; w++) {
                if (**w == 0)
                        continue;
                if (!method_supported(d, *w)) {
                        (void) strv_free(methods);
                        return -EINVAL; /* all or nothing */
                }
                if (!strv_contains(methods, *w))
                        (void) strv_extend(&methods, *w);
        }
        g_strfreev(d->enabled_methods);
        d->enabled_methods = methods;
        return 0;
}

static void check_unlocked(Device *d, void *data) {
        bool *busy = data;

        if (d->lock)
                *busy = true;
}

static void reset_one(Device *d, _unused_ void *data) {
        const char *result = method_result(d, "subordinate");

        if (streq_ptr(result, "heal"))
                d->dead = d->sick = false;
        (void) sickness_cure(d, "subordinate,bus"); /* it is the same reset, of all functions */
        d->rom_enabled = false;
}

/* __pci_reset_bus() takes all locks or none: EAGAIN instead of a wait. */
int reset_subordinate_store(void *object, const char *data, size_t n, _unused_ off_t offset) {
        Device *d = object;
        bool busy = d->lock;
        unsigned long value;
        int r;

        r = text_number(data, n, &value);
        if (r < 0 || value == 0) /* any other number than 0, unlike `reset` */
                return r;
        device_each_below(d, check_unlocked, &busy);
        if (busy)
                return -EAGAIN;
        if (d->no_bus_reset)
                return -ENOTTY;
        device_each_below(d, reset_one, NULL);
        machine_changed();
        return 0;
}
