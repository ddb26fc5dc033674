/* SPDX-License-Identifier: GPL-2.0-or-later */

/* power-switch: /proc/acpi/bbswitch, which cuts the power of a laptop's second card, and /proc/acpi/nvhda, which hides the
 * audio function of that card. Both are modules of their own (bbswitch.c, nvhda.c); their files read "ADDRESS ON" with the
 * card's address, and a write succeeds whatever comes of it. The state of nvhda outlives a cut. */

#include <errno.h>
#include <string.h>

#include "model/model.h"
#include "util/cleanup.h"

typedef struct PowerSwitch {
        const char *module;
        int (*turn)(bool on); /* the errno is only said to the kernel log */
        bool on;
} PowerSwitch;

static Device *card; /* the display function: one a machine */

static int turn_card(bool on);
static int turn_audio(bool on);

static PowerSwitch bbswitch = { .module = "bbswitch", .turn = turn_card, .on = true };
static PowerSwitch nvhda = { .module = "nvhda", .turn = turn_audio, .on = true };

static PowerSwitch *const switches[] = { &bbswitch, &nvhda };

static bool on_card(const Device *d) {
        return card && d->domain == card->domain && d->bus == card->bus && d->slot == card->slot;
}

bool power_switched_off(const Device *d) {
        if (!on_card(d))
                return false;
        return !bbswitch.on || (!nvhda.on && d->class >> 8 == 0x0403);
}

/* bbswitch_off(): "device %s is in use by driver '%s', refusing OFF". */
static int turn_card(bool on) {
        if (!on && bbswitch.on && card->driver) {
                kernel_log(NULL, 4, "bbswitch: device %s is in use by driver '%s', refusing OFF", card->address,
                           card->driver->name);
                return -EBUSY;
        }
        bbswitch.on = on;
        for (unsigned i = 0; !on && i < machine.devices->len; i++) {
                Device *d = g_ptr_array_index(machine.devices, i);

                if (!on_card(d))
                        continue;
                d->rom_enabled = false;
                (void) sickness_cure(d, "power-cycle");
        }
        return 0;
}

/* The bit that shows the audio function is in the card's own config space, which a card without power has not. */
static int turn_audio(bool on) {
        if (on && !bbswitch.on)
                return -EIO;
        nvhda.on = on;
        return 0;
}

static int switch_show(void *object, GString *out) {
        const PowerSwitch *s = object;

        g_string_append_printf(out, "%s %s\n", card->address, s->on ? "ON" : "OFF");
        return 0;
}

static int switch_store(void *object, const char *data, size_t n, _unused_ off_t offset) {
        PowerSwitch *s = object;

        if (n >= 3 && memcmp(data, "OFF", 3) == 0)
                (void) s->turn(false);
        else if (n >= 2 && memcmp(data, "ON", 2) == 0)
                (void) s->turn(true);
        machine_changed();
        return 0;
}

static PowerSwitch *switch_find(const char *module) {
        for (size_t i = 0; i < ELEMENTSOF(switches); i++)
                if (streq(switches[i]->module, module))
                        return switches[i];
        return NULL;
}

bool power_switch_set(const char *module, bool on) {
        PowerSwitch *s = switch_find(module);

        if (!s || !card)
                return false;
        s->on = on;
        return true;
}

void power_switch_init(Device *d) {
        card = d;
}

int power_switch_load(const Module *m) {
        static const Attribute attributes[] = {
                { "bbswitch", 0644, .show = switch_show, .store = switch_store },
                { "nvhda", 0644, .show = switch_show, .store = switch_store },
        };
        Node *acpi = node_add_path(node_elsewhere(), "acpi");

        for (size_t i = 0; i < ELEMENTSOF(switches); i++)
                if (streq(switches[i]->module, m->name)) {
                        if (!card)
                                return -ENODEV;
                        acpi->is_owner = true;
                        (void) node_add_attribute(acpi, &attributes[i], switches[i]);
                }
        return 0;
}

void power_switch_unload(const Module *m) {
        if (switch_find(m->name))
                node_remove_child(node_add_path(node_elsewhere(), "acpi"), m->name);
}

/* bbswitch keeps what it has taken of the card for as long as it lives; of a card that is removed meanwhile nobody takes it
 * back, and the module stays for good. */
void power_switch_removed(const Device *d) {
        Module *m = d == card ? module_find("bbswitch") : NULL;

        if (m && m->loaded)
                m->references++;
}
