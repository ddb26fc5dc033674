/* SPDX-License-Identifier: GPL-2.0-or-later */

/* plan-rung: one rung of the reset ladder as a plan. It goes away from the drivers, does what the rung is about, and that is
 * all: such a plan is always walked back to its beginning by its own undo, whether it succeeded or not. So a function
 * that leaves its driver returns to it, what is removed is looked for, what is switched off is switched on, and power, overrides, units and
 * consoles are as before, by the same rules that undo a detach. Whether the card is well then, the probes say.
 *
 * A rung that this card, or this machine, does not have is a refusal with the reason, before anything is touched. */

#include "plan-builder.h"

/* How long a host sleeps that sleeps for a card's sake. Long enough for the firmware to take the power away. */
#define SUSPEND_CYCLE_SEC "5"

/* The driver that a function shall be with in the end: where it is, else where this job, or the detach, found it. NULL:
 * nobody knows, or none. */
static const char *target_of(const Builder *b, const Function *f) {
        const char *was = b->in->targets ? saved_get(b->in->targets, f->address, "driver") : NULL;

        if (f->driver)
                return f->driver;
        if (!isempty(was))
                return was;
        return builder_goes_to_vfio(b) ? "vfio-pci" : builder_recorded(b, f, "driver");
}

/* The display decides where it is bound; else what gpuptd had taken belongs to VFIO as a whole. */
bool builder_goes_to_vfio(const Builder *b) {
        const Function *display = builder_display(b);

        if (display && display->driver)
                return plan_function_is_detached(display);
        for (size_t i = 0; i < b->n_claimed; i++)
                if (b->claimed[i]->driver)
                        return plan_function_is_detached(b->claimed[i]);
        return b->in->record;
}

static bool is_with_host(const Function *f) {
        return f->driver && !plan_function_is_detached(f);
}

static bool any_is_with_host(const Builder *b) {
        for (size_t i = 0; i < b->n_claimed; i++)
                if (is_with_host(b->claimed[i]))
                        return true;
        return false;
}

static bool is_missing(const Builder *b, const char *address) {
        return !snapshot_find(b->in->snapshot, address);
}

/* ---- who else would be hit ---- */

static bool is_below(const Function *f, const char *bridge) {
        return strv_contains(f->bridges, bridge);
}

/* Somebody below the bridge that is no function of this GPU, and no bridge either; NULL: all are ours. */
static const Function *find_stranger(const Builder *b, const char *bridge) {
        for (size_t i = 0; i < b->in->snapshot->n_functions; i++) {
                const Function *f = b->in->snapshot->functions + i;

                if (is_below(f, bridge) && !function_is_bridge(f) && !strv_contains(b->in->functions, f->address))
                        return f;
        }
        return NULL;
}

static int refuse_stranger(Builder *b, const char *bridge) {
        const Function *stranger = find_stranger(b, bridge);

        if (!stranger)
                return 0;
        return builder_refuse(b, PLAN_E_NOT_SUPPORTED, "%s is below the bridge %s as well, and is not part of %s.",
                              stranger->address, bridge, b->in->name);
}

/* The bridge farthest from the card that has nothing but the card below it: the card's own switch, where it has one, else
 * the port that it is plugged into. A root port counts only if it is the only bridge. */
static const char *topmost_bridge(const Builder *b) {
        size_t n = strv_length(b->in->bridges);

        for (size_t i = n > 1 ? n - 1 : n; i > 0; i--)
                if (!find_stranger(b, b->in->bridges[i - 1]))
                        return b->in->bridges[i - 1];
        return NULL;
}

/* ---- steps ---- */

/* Whether the kernel would give the display to that driver when it finds it. */
static bool would_bind(const Builder *b, const Driver *driver) {
        const Function *display = builder_display(b);
        const char *was = b->in->record ? saved_get(b->in->record, b->in->functions[0], "driver") : NULL;

        if (driver_is_vfio(driver->name))
                return false;
        if (streq_ptr(driver->name, was))
                return true;
        return display && driver->module && modules_contain(display->host_modules, driver->module);
}

/* Towards VFIO the kernel would probe the sick card with the host's driver inside the rescan (drivers/pci/bus.c
 * pci_bus_add_device(), which minds no drivers_autoprobe before 7.2), so that driver has to be out by then; and kept out afterwards, when udev loads
 * it for the device that it sees appear. Companions may be bound meanwhile: they are bound anew. */
static int keep_host_driver_out(Builder *b) {
        const char *address = b->in->functions[0];

        for (char *const *a = b->in->functions; *a; a++) {
                const Function *f = snapshot_find(b->in->snapshot, *a);

                builder_add(b, VERB_KEEP, *a, f ? strempty(target_of(b, f)) : "vfio-pci", NULL);
        }
        for (size_t d = 0; d < b->in->snapshot->n_drivers; d++) {
                const Driver *driver = b->in->snapshot->drivers + d;

                bool stays = !driver->module || builder_needs_elsewhere(b, driver->name);

                /* A card that has left the bus must come back by whatever way; it is taken from that driver afterwards. */
                if (!would_bind(b, driver) || (stays && is_missing(b, address)))
                        continue;
                if (!driver->module)
                        return builder_refuse(b, PLAN_E_NOT_SUPPORTED,
                                              "%s is built into the kernel, which would bind it to %s during the rescan.",
                                              driver->name, address);
                if (stays)
                        return builder_refuse(b, PLAN_E_NOT_SUPPORTED,
                                              "%s is needed by another device, and the kernel would bind it to %s during "
                                              "the rescan.", driver->name, address);
                builder_add(b, VERB_UNLOAD, driver->module, NULL, NULL);
        }
        return 0;
}

static void add_wait(Builder *b) {
        builder_add_seconds(b, VERB_WAIT_FREE, b->in->functions[0], b->options->has_wait ? b->options->wait_sec : 0);
}

/* Away from whatever driver. The unbind of what has no driver does nothing, but its undo binds it where it belongs. */
static void add_departure(Builder *b) {
        for (size_t i = b->n_claimed; i > 0; i--)
                if (target_of(b, b->claimed[i - 1]))
                        builder_add(b, VERB_OVERRIDE, b->claimed[i - 1]->address, target_of(b, b->claimed[i - 1]), NULL);
        if (any_is_with_host(b)) {
                builder_add_release(b);
                builder_add_leave(b);
        } else
                add_wait(b);
        /* The ACL goes with the node, and the node with the driver. */
        if (b->in->access_given)
                builder_add_for_user(b, VERB_REVOKE, b->in->access_uid);
        for (size_t i = 0; i < b->n_claimed; i++)
                if (!is_with_host(b->claimed[i]) && target_of(b, b->claimed[i]))
                        builder_add(b, VERB_UNBIND, b->claimed[i]->address, target_of(b, b->claimed[i]), NULL);
}

/* A reset of a function that is with VFIO, and that nobody has open, needs no unbind: vfio-pci does the same when a VM
 * opens it (drivers/vfio/pci/vfio_pci_core.c vfio_pci_core_enable()). */
static void add_departure_of_host(Builder *b) {
        if (any_is_with_host(b) || !builder_display(b)->driver)
                add_departure(b);
        else
                add_wait(b);
}

/* Also those that have gone already: what is removed is looked for at the end. bbswitch must not be loaded meanwhile: it could
 * never be unloaded again. Its undo loads it again, after the rescan. */
static void add_removal(Builder *b) {
        if (strv_contains(b->in->switches, "bbswitch"))
                builder_add(b, VERB_UNLOAD, "bbswitch", NULL, NULL);
        for (size_t i = 0; i < b->n_claimed; i++)
                builder_add(b, VERB_REMOVE, b->claimed[i]->address, NULL, NULL);
        for (char *const *a = b->in->functions; *a; a++)
                if (is_missing(b, *a))
                        builder_add(b, VERB_REMOVE, *a, NULL, NULL);
}

/* ---- the rungs ---- */

/* The bridges first, from the root down: nothing below a sleeping port can be reached. */
static int add_wake(Builder *b) {
        _cleanup_strv_free_ char **order = NULL;
        const Function *display = builder_display(b);
        int r = 0;

        for (size_t i = strv_length(display->bridges); i > 0 && r >= 0; i--)
                r = strv_extend(&order, display->bridges[i - 1]);
        for (char **a = b->addresses; *a && r >= 0; a++)
                r = strv_extend(&order, *a);
        if (r < 0)
                return r;
        builder_add_strv(b, VERB_WAKE, order[0], order + 1);
        return 0;
}

static int add_method(Builder *b, const char *method) {
        const Function *display = builder_display(b);
        const char *bridge = display->bridges ? display->bridges[0] : NULL;
        int r;

        if (!strv_contains(display->reset_methods, method))
                return builder_refuse(b, PLAN_E_NOT_SUPPORTED, "%s does not offer the reset '%s'.", display->address, method);
        if (streq(method, "bus") && bridge) {
                r = refuse_stranger(b, bridge);
                if (r != 0)
                        return r;
        }
        add_departure_of_host(b);
        for (size_t i = 0; i < b->n_claimed; i++)
                /* One reset of the bus is enough, and companions cannot do it alone. */
                if (strv_contains(b->claimed[i]->reset_methods, method) && (!streq(method, "bus") || b->claimed[i] == display))
                        builder_add(b, VERB_RESET, b->claimed[i]->address, method, NULL);
        return 0;
}

static int add_subordinate(Builder *b) {
        const Function *display = builder_display(b), *bridge;
        int r;

        bridge = display->bridges ? snapshot_find(b->in->snapshot, display->bridges[0]) : NULL;
        if (!bridge)
                return builder_refuse(b, PLAN_E_NOT_SUPPORTED, "%s is on a root bus, which cannot be reset.", display->address);
        if (!bridge->resets_below)
                return builder_refuse(b, PLAN_E_NOT_SUPPORTED,
                                      "This kernel has no reset_subordinate, which resets all that is below %s.",
                                      bridge->address);
        r = refuse_stranger(b, bridge->address);
        if (r != 0)
                return r;
        add_departure_of_host(b);
        builder_add(b, VERB_RESET_BELOW, bridge->address, NULL, NULL);
        return 0;
}

static int add_remove_rescan(Builder *b) {
        int r = 0;

        if (builder_goes_to_vfio(b))
                r = keep_host_driver_out(b);
        if (r != 0)
                return r;
        add_departure(b);
        add_removal(b);
        return 0;
}

static int add_bridge(Builder *b) {
        const char *bridge = topmost_bridge(b);
        int r;

        if (!bridge)
                return builder_refuse(b, PLAN_E_NOT_SUPPORTED, "There is no bridge with nothing but %s below it.", b->in->name);
        r = add_remove_rescan(b);
        if (r == 0)
                builder_add(b, VERB_REMOVE, bridge, NULL, NULL);
        return r;
}

static int add_slot(Builder *b) {
        int r;

        if (!b->in->slot)
                return builder_refuse(b, PLAN_E_NOT_SUPPORTED, "%s is in no slot whose power can be switched.", b->in->name);
        if (b->in->bridges) {
                r = refuse_stranger(b, b->in->bridges[0]);
                if (r != 0)
                        return r;
        }
        r = add_remove_rescan(b);
        if (r == 0)
                builder_add(b, VERB_SLOT_POWER, b->in->slot, "0", NULL);
        return r;
}

static int add_power_cycle(Builder *b) {
        const char *bridge = topmost_bridge(b);
        int r = 0;

        if (!strv_contains(b->in->switches, "bbswitch"))
                return builder_refuse(b, PLAN_E_NOT_SUPPORTED, "There is no bbswitch that could switch %s off and on.", b->in->name);
        if (builder_goes_to_vfio(b))
                r = keep_host_driver_out(b);
        if (r != 0)
                return r;
        add_departure(b);
        builder_add_switches(b);
        add_removal(b);
        if (bridge)
                builder_add(b, VERB_REMOVE, bridge, NULL, NULL);
        return 0;
}

static int add_driver(Builder *b) {
        const Function *display = builder_display(b);

        if (!display || !streq_ptr(display->driver, "nvidia"))
                return builder_refuse(b, PLAN_E_NOT_SUPPORTED, "%s is not with the nvidia driver, whose tool resets cards.",
                                      b->in->name);
        builder_add_release(b);
        builder_add(b, VERB_VENDOR_RESET, display->address, NULL, NULL);
        return 0;
}

static int add_suspend_cycle(Builder *b) {
        int r;

        r = add_remove_rescan(b);
        if (r != 0)
                return r;
        builder_add(b, VERB_ALARM, "rtc0", SUSPEND_CYCLE_SEC, NULL);
        builder_add(b, VERB_SUSPEND, "-", "300", NULL);
        return 0;
}

static int add_rung(Builder *b, Rung rung) {
        switch (rung) {
        case RUNG_WAKE:
                return add_wake(b);
        case RUNG_SUBORDINATE:
                return add_subordinate(b);
        case RUNG_REMOVE_RESCAN:
                return add_remove_rescan(b);
        case RUNG_BRIDGE:
                return add_bridge(b);
        case RUNG_SLOT:
                return add_slot(b);
        case RUNG_POWER_CYCLE:
                return add_power_cycle(b);
        case RUNG_DRIVER:
                return add_driver(b);
        case RUNG_SUSPEND_CYCLE:
                return add_suspend_cycle(b);
        default:
                return add_method(b, rung_method(rung));
        }
}

static int check_rung(Builder *b, Rung rung) {
        const Holder *vm = b->in->holders ? holders_find_vm(b->in->holders) : NULL;
        bool removes = rung == RUNG_REMOVE_RESCAN || rung == RUNG_BRIDGE || rung == RUNG_SLOT || rung == RUNG_POWER_CYCLE ||
                       rung == RUNG_SUSPEND_CYCLE;

        if (vm)
                return builder_refuse(b, PLAN_E_IN_USE,
                                      "The virtual machine %s (%s, pid %u) has %s open. Stop it first.", strempty(vm->vm_name),
                                      strempty(vm->vm_manager), vm->pid, b->in->name);
        if (!builder_display(b) && !removes)
                return builder_refuse(b, PLAN_E_NO_DEVICE, "%s is not on the PCI bus.", b->in->name);
        if (rung == RUNG_WAKE || builder_goes_to_vfio(b))
                return 0;
        return builder_display(b) ? builder_check_leave(b) : 0;
}

/* Behind everything else on the way back: a driver needs some seconds to see what is plugged in, and is not to be judged
 * before. */
static int add_wait_screen(Builder *b) {
        _cleanup_strv_free_ char **arguments = NULL;
        int r;

        if (!b->in->missed_screens || builder_goes_to_vfio(b))
                return 0;
        r = strv_extend(&arguments, SCREEN_WAIT_SEC);
        for (char *const *name = b->in->missed_screens; *name && r >= 0; name++)
                r = strv_extend(&arguments, *name);
        if (r < 0)
                return r;
        builder_add_strv(b, VERB_WAIT_SCREEN, b->in->functions[0], arguments);
        return b->r;
}

int builder_rung(Builder *b) {
        Rung rung = b->options->rung;
        const Function *display = builder_display(b);
        int r;

        r = check_rung(b, rung);
        if (r != 0)
                return r;
        if (b->powered)
                builder_add_strv(b, VERB_SAVE, b->powered[0], b->powered + 1);
        r = add_wait_screen(b);
        if (r != 0)
                return r;
        /* Not the card itself, which may be unable to wake: the ports above it must not sleep while it is unbound. */
        if (display && strv_length(b->in->bridges) > 0)
                builder_add_strv(b, VERB_PIN, b->in->bridges[0], b->in->bridges + 1);
        /* For the way back: what comes back to the bus, or to vfio-pci, has the kernel's own values. */
        for (size_t i = b->n_claimed; i > 0; i--)
                builder_add(b, VERB_RESTORE_POWER, b->claimed[i - 1]->address, strempty(b->claimed[i - 1]->power_control),
                            strempty(b->claimed[i - 1]->d3cold_allowed));
        if (display && display->vga_decodes)
                builder_add(b, VERB_RESTORE_DECODES, display->address, NULL, NULL);
        r = add_rung(b, rung);
        return r != 0 ? r : b->r;
}
