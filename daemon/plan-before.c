/* SPDX-License-Identifier: GPL-2.0-or-later */

/* plan-before: what a card needs between the host's drivers and VFIO, by BeforeVfio= of its `.gpu` file. The audio function of some
 * laptops has to be reset, or the host stutters and the card is lost until it reboots; and a card that bbswitch had switched off is
 * refreshed: off, on, bound to the host's driver once more, and reset by the vendor's tool (reports of muxless laptops). */

#include "plan-builder.h"

static bool wants(const Builder *b, const Function *f, const char *word) {
        return !plan_function_is_detached(f) && streq(config_before_vfio(b->in->config, f), word);
}

static bool has_switch(const Builder *b) {
        return strv_contains(b->in->switches, "bbswitch");
}

int builder_check_before_vfio(Builder *b) {
        const Function *display = builder_display(b);

        if (!strv_contains(b->addresses, display->address) || !wants(b, display, "refresh"))
                return 0;
        if (display->driver && (has_switch(b) || streq(display->driver, "nvidia")))
                return 0;
        return builder_refuse(b, PLAN_E_NOT_SUPPORTED,
                              "BeforeVfio=refresh of %s needs bbswitch, or the nvidia driver, and a driver of the host that has it. "
                              "Load bbswitch, or take the line out of its .gpu file.", b->in->name);
}

void builder_add_switches(Builder *b) {
        bool audio = strv_contains(b->in->switches, "nvhda");

        if (!has_switch(b))
                return;
        if (audio)
                builder_add(b, VERB_SWITCH_POWER, "nvhda", "OFF", NULL);
        builder_add(b, VERB_SWITCH_POWER, "bbswitch", "OFF", NULL);
        builder_add(b, VERB_SWITCH_POWER, "bbswitch", "ON", NULL);
        if (audio)
                builder_add(b, VERB_SWITCH_POWER, "nvhda", "ON", NULL);
}

static void add_refresh(Builder *b, const char *driver_that_left) {
        const Function *display = builder_display(b);
        char **unload = b->in->quirks ? b->in->quirks->unload : NULL;

        builder_add_switches(b);
        for (size_t i = driver_that_left ? strv_length(unload) : 0; i > 0; i--)
                builder_add(b, VERB_LOAD, unload[i - 1], NULL, NULL);
        builder_add(b, VERB_REBIND, display->address, display->driver, NULL);
        if (streq(display->driver, "nvidia"))
                builder_add(b, VERB_VENDOR_RESET, display->address, NULL, NULL);
        if (driver_that_left)
                (void) builder_add_quiesce(b);
        else
                builder_add(b, VERB_UNBIND, display->address, display->driver, NULL);
        for (size_t i = 0; i < b->n_claimed; i++)
                if (b->claimed[i] == display)
                        builder_add(b, VERB_OVERRIDE, display->address, b->drivers[i], NULL);
}

void builder_add_before_vfio(Builder *b, const char *left) {
        for (size_t i = 0; i < b->n_claimed; i++) {
                const Function *f = b->claimed[i];

                if (f == builder_display(b) && wants(b, f, "refresh"))
                        add_refresh(b, left);
                else if (wants(b, f, "reset"))
                        builder_add(b, VERB_RESET, f->address, "", NULL);
        }
}
