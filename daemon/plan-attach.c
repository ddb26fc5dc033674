/* SPDX-License-Identifier: GPL-2.0-or-later */

/* plan-attach: VFIO to host, the way of plan-detach.c backwards: not while a VM has it; to the drivers that it came from and to no other; and
 * what was changed for it is restored. */

#include "plan-builder.h"

/* The driver that a function goes back to: "" is none, NULL is "the kernel shall say". */
static int host_driver_of(Builder *b, const Function *f, char **ret) {
        const char *was = builder_recorded(b, f, "driver");
        const char *configured = f == builder_display(b) && b->in->config ? b->in->config->host_driver : NULL;
        const char *wanted = f == builder_display(b) ? b->options->driver : NULL;

        /* Any driver would bind with an override (drivers/pci/pci-driver.c pci_match_device()): only those that know the
         * device may. */
        if (wanted && !(was && same_module(was, wanted)) && !(configured && same_module(configured, wanted))) {
                const Driver *d = snapshot_find_driver(b->in->snapshot, wanted);

                if (driver_is_vfio(wanted) || !modules_contain(f->host_modules, d && d->module ? d->module : wanted))
                        return builder_refuse(b, PLAN_E_INVALID,
                                      "'%s' is not a driver for %s: it must be the one that the function came from, the "
                                      "configured one, or one whose module alias matches the device.", wanted, f->address);
        }
        if (!wanted && was && !driver_is_vfio(was))
                wanted = was;
        if (!wanted)
                wanted = configured;
        if (!wanted)
                return 0;
        *ret = strdup(wanted);
        return *ret ? 0 : -ENOMEM;
}

static int check_vm(Builder *b) {
        const Holder *vm = b->in->holders ? holders_find_vm(b->in->holders) : NULL;

        if (!vm || b->options->has_wait)
                return 0;
        return builder_refuse(b, PLAN_E_IN_USE,
                      "The virtual machine %s (%s, pid %u) has %s open. Stop it, or give it time with the option wait.",
                      strempty(vm->vm_name), strempty(vm->vm_manager), vm->pid, b->in->name);
}

/* Whether the function needs anything to be where it belongs. */
static bool is_home(const Function *f, const char *driver) {
        if (plan_function_is_detached(f))
                return false;
        return !driver || !*driver || streq_ptr(f->driver, driver);
}

/* The modules that a detach unloaded, the last one first; then what the drivers need, if it is not there. */
static void add_host_modules(Builder *b) {
        for (size_t i = strv_length(b->in->modules); i > 0; i--)
                builder_add(b, VERB_LOAD, b->in->modules[i - 1], NULL, NULL);
        for (size_t i = b->n_claimed; i > 0; i--) {
                const Function *f = b->claimed[i - 1];
                bool known = false;

                if (b->drivers[i - 1] && *b->drivers[i - 1]) {
                        /* A module that detach unloaded is being loaded above; the bind says if its driver is missing. */
                        if (!modules_contain(b->in->modules, b->drivers[i - 1]))
                                builder_add_load(b, b->drivers[i - 1]);
                        continue;
                }
                if (b->drivers[i - 1] || !plan_function_is_detached(f))
                        continue;
                for (size_t d = 0; d < b->in->snapshot->n_drivers; d++)
                        known = known || (b->in->snapshot->drivers[d].module &&
                                          modules_contain(f->host_modules, b->in->snapshot->drivers[d].module));
                if (!known && f->host_modules && *f->host_modules && f->modalias)
                        builder_add(b, VERB_LOAD, f->modalias, NULL, NULL);
        }
}

/* The override that was recorded belongs to the driver that was: not to one that somebody, or a rescan, has given the
 * function since. */
static const char *override_after(const Builder *b, size_t i) {
        const Function *f = b->claimed[i];
        const char *was = builder_recorded(b, f, "driver"), *driver = is_home(f, b->drivers[i]) ? f->driver : b->drivers[i];

        return streq_ptr(strempty(was), strempty(driver)) ? strempty(builder_recorded(b, f, "override")) : "";
}

static void add_restore(Builder *b) {
        _cleanup_strv_free_ char **power = NULL;
        const Saved *record = b->in->record;
        int r = 0;

        for (size_t i = 0; i < b->n_claimed; i++)
                builder_add(b, VERB_OVERRIDE, b->claimed[i]->address, override_after(b, i), NULL);
        for (size_t i = 0; record && i < record->n; i++)
                if (streq(record->list[i].key, "console"))
                        builder_add(b, VERB_RESTORE_CONSOLE, record->list[i].subject, NULL, NULL);

        for (char **a = b->powered; *a && r >= 0; a++) {
                const Function *f = snapshot_find(b->in->snapshot, *a);
                const char *control = record ? saved_get(record, *a, "power-control") : NULL;
                const char *d3cold = record ? saved_get(record, *a, "d3cold") : NULL;
                bool claimed = strv_contains(b->addresses, *a);

                /* What nobody has recorded goes back to what it was before it was pinned: a bridge to what it is now, a
                 * function to the kernel's own values after a scan, since its VFIO driver has changed them
                 * (drivers/pci/pci.c pci_pm_init()). */
                r = strv_extend(&power, *a);
                if (r >= 0)
                        r = strv_extend(&power, control ?: claimed ? "on" : f ? strempty(f->power_control) : "");
                if (r >= 0)
                        r = strv_extend(&power, d3cold ?: claimed ? "1" : f ? strempty(f->d3cold_allowed) : "");
        }
        if (r < 0) {
                b->r = r;
                return;
        }
        builder_add_strv(b, VERB_RESTORE_POWER, power[0], power + 1);
        for (char *const *unit = b->in->units; unit && *unit; unit++)
                builder_add(b, VERB_START_UNIT, *unit, NULL, NULL);
}

static void add_move_home(Builder *b) {
        for (size_t i = b->n_claimed; i > 0; i--)
                if (!is_home(b->claimed[i - 1], b->drivers[i - 1]))
                        builder_add(b, VERB_OVERRIDE, b->claimed[i - 1]->address, strempty(b->drivers[i - 1]), NULL);
        if (b->in->access_given)
                builder_add_for_user(b, VERB_REVOKE, b->in->access_uid);
        for (size_t i = 0; i < b->n_claimed; i++)
                if (b->claimed[i]->driver && !is_home(b->claimed[i], b->drivers[i]))
                        builder_add(b, VERB_UNBIND, b->claimed[i]->address, b->claimed[i]->driver, NULL);

        add_host_modules(b);
        for (size_t i = b->n_claimed; i > 0; i--) {
                const Function *f = b->claimed[i - 1];

                if (is_home(f, b->drivers[i - 1]))
                        continue;
                if (!b->drivers[i - 1])
                        builder_add(b, VERB_PROBE, f->address, NULL, NULL);
                else if (*b->drivers[i - 1])
                        builder_add(b, VERB_BIND, f->address, b->drivers[i - 1], NULL);
        }
}

/* A driver needs some seconds to see what is plugged in, and a cable may have been pulled meanwhile. */
static int add_wait_screen(Builder *b, const Function *display) {
        _cleanup_free_ char *list = strdup(builder_recorded(b, display, "screens"));
        _cleanup_strv_free_ char **arguments = NULL;
        char *state = NULL;
        int r;

        r = list ? strv_extend(&arguments, SCREEN_WAIT_SEC) : -ENOMEM;
        for (char *name = list ? strtok_r(list, ",", &state) : NULL; name && r >= 0; name = strtok_r(NULL, ",", &state))
                r = strv_extend(&arguments, name);
        if (r < 0 || strv_length(arguments) < 2)
                return r;
        builder_add_strv(b, VERB_WAIT_SCREEN, display->address, arguments);
        return b->r;
}

int builder_attach(Builder *b) {
        const Function *display = builder_display(b);
        bool moves = false, display_moves = false;
        int r;

        for (size_t i = 0; i < b->n_claimed; i++) {
                r = host_driver_of(b, b->claimed[i], b->drivers + i);
                if (r != 0)
                        return r;
                if (is_home(b->claimed[i], b->drivers[i]))
                        continue;
                moves = true;
                display_moves = display_moves || b->claimed[i] == display;
        }
        if (!moves && !b->in->record)
                return 0;
        r = check_vm(b);
        if (r != 0)
                return r;

        builder_add_strv(b, VERB_CHECK, b->addresses[0], b->addresses + 1);
        builder_add_strv(b, VERB_SAVE, b->powered[0], b->powered + 1);
        builder_add_seconds(b, VERB_WAIT_FREE, display->address, b->options->has_wait ? b->options->wait_sec : 0);
        /* A VM may have opened it while they ran, and then the unbind would not return. */
        if (moves && builder_add_hooks_before(b, "attach"))
                builder_add_seconds(b, VERB_WAIT_FREE, display->address, 0);
        if (display_moves)
                builder_add_restart_desktop(b);
        builder_add_strv(b, VERB_PIN, b->powered[0], b->powered + 1);
        add_move_home(b);
        if (display_moves && builder_recorded(b, display, "drm"))
                builder_add_seconds(b, VERB_WAIT_DRM, display->address, 10);
        if (b->r >= 0 && display_moves && builder_recorded(b, display, "screens"))
                b->r = add_wait_screen(b, display);
        /* nvidia's probe turns them off and nobody turns them on again (kernel-open/nvidia/nv-pci.c nv_pci_probe()). */
        if (display_moves && display->vga_decodes)
                builder_add(b, VERB_RESTORE_DECODES, display->address, NULL, NULL);
        if (display_moves)
                builder_add_xorg_files(b, "host");
        add_restore(b);
        builder_add_return_desktop(b);
        return b->r;
}
