/* SPDX-License-Identifier: GPL-2.0-or-later */

/* plan-detach: host to VFIO, in the order of the design (section 5): all checks of all functions first; then what can be
 * taken back without harm; the unbinds last. Where a step guards against a trap of the kernel, the comment beside it says which. */

#include "plan-builder.h"
#include "selector.h"

static bool has_connected(const Function *f) {
        for (size_t i = 0; i < f->n_connectors; i++)
                if (streq(f->connectors[i].status, "connected"))
                        return true;
        return false;
}

/* The display that somebody looks at: the console's (boot VGA) where a screen is connected or somebody is logged in,
 * and any other card with a screen if no card outside of the plan has one. */
static bool is_last_display(const Builder *b) {
        const Function *display = builder_display(b);
        bool looked_at = false;

        if (!strv_contains(b->addresses, display->address))
                return false;
        for (size_t i = 0; i < b->n_claimed; i++)
                looked_at = looked_at || has_connected(b->claimed[i]);
        if (display->boot_vga)
                return looked_at || b->in->seat_active;
        if (!looked_at)
                return false;

        for (size_t i = 0; i < b->in->snapshot->n_functions; i++) {
                const Function *f = b->in->snapshot->functions + i;

                if (function_is_display(f) && !strv_contains(b->in->functions, f->address) && has_connected(f))
                        return false;
        }
        return true;
}

static char *join(char *const *list) {
        char *text = NULL;
        size_t size;
        FILE *f = open_memstream(&text, &size);

        if (!f)
                return NULL;
        for (char *const *s = list; *s; s++)
                fprintf(f, "%s%s", s == list ? "" : ", ", *s);
        return fclose(f) == 0 ? text : NULL;
}

static int check_group(Builder *b) {
        _cleanup_strv_free_ char **blockers = NULL;
        _cleanup_free_ char *text = NULL;
        int r;

        for (size_t i = 0; i < b->n_claimed; i++)
                if (b->claimed[i]->group < 0)
                        return builder_refuse(b, PLAN_E_NOT_VIABLE,
                                      "%s is in no IOMMU group, so it cannot be passed through safely. Enable the IOMMU "
                                      "in the firmware and on the kernel command line (intel_iommu=on, or amd_iommu=on).",
                                      b->claimed[i]->address);
        r = selector_blockers(b->in->snapshot, b->addresses, &blockers);
        if (r < 0)
                return r;
        if (strv_length(blockers) == 0)
                return 0;
        text = join(blockers);
        if (!text)
                return -ENOMEM;
        return builder_refuse(b, PLAN_E_NOT_VIABLE,
                      "The IOMMU group of %s has members that stay with the host: %s. Unbind them, pass them through "
                      "as well (Functions= in a .gpu file), or move the card to another slot.", b->in->name, text);
}

static int check_use(Builder *b) {
        for (size_t i = 0; i < b->n_claimed; i++) {
                const Function *f = b->claimed[i];

                if (f->has_vfs)
                        return builder_refuse(b, PLAN_E_IN_USE, "%s has virtual functions. Write 0 to its sriov_numvfs first.",
                                      f->address);
                if (f->mounted && *f->mounted)
                        return builder_refuse(b, PLAN_E_IN_USE, "%s carries a mounted file system: %s. Unmount it first.",
                                      f->address, *f->mounted);
                if (f->networks && *f->networks)
                        return builder_refuse(b, PLAN_E_IN_USE, "%s carries the host's only network that is up: %s.",
                                      f->address, *f->networks);
        }
        if (b->options->force && b->in->holders) {
                const Holder *vm = holders_find_vm(b->in->holders);

                if (vm)
                        return builder_refuse(b, PLAN_E_IN_USE, "The virtual machine %s (pid %u) has %s open. Stop it first.",
                                      strempty(vm->vm_name), vm->pid, b->in->name);
        }
        return 0;
}

/* The VFIO driver of one function: the caller's choice and the configured one concern the display. */
static int vfio_driver_of(Builder *b, const Function *f, char **ret) {
        const char *wanted = f == builder_display(b) ? b->options->driver : NULL;
        char *driver;

        if (!wanted && f == builder_display(b) && b->in->config)
                wanted = b->in->config->vfio_driver;
        if (wanted && !same_module(wanted, "vfio_pci") && !modules_contain(f->vfio_modules, wanted))
                return builder_refuse(b, PLAN_E_INVALID,
                              "'%s' is not a VFIO driver for %s: it must be vfio-pci, or have a vfio_pci: alias that "
                              "matches the device.", wanted, f->address);
        if (!wanted)
                wanted = f->vfio_modules && *f->vfio_modules ? *f->vfio_modules : "vfio_pci";

        driver = strdup(wanted);
        if (!driver)
                return -ENOMEM;
        /* The drivers of the family are named with dashes, their modules with underscores. */
        for (char *p = driver; *p; p++)
                if (*p == '_')
                        *p = '-';
        *ret = driver;
        return 0;
}

/* Holders are asked before they are waited for, and waited for before they are ended. */
static void add_release(Builder *b) {
        const char *display = b->in->functions[0];

        for (char **unit = b->in->quirks ? b->in->quirks->stop_units : NULL; unit && *unit; unit++)
                builder_add(b, VERB_STOP_UNIT, *unit, NULL, NULL);
        for (char **unit = b->in->config ? b->in->config->stop_units : NULL; unit && *unit; unit++)
                builder_add(b, VERB_STOP_UNIT, *unit, NULL, NULL);
        builder_add_seconds(b, VERB_ASK, display, b->options->wait_sec);
        for (size_t i = 0; i < b->n_claimed; i++)
                for (char **card = b->claimed[i]->sound_cards; card && *card; card++)
                        builder_add(b, VERB_ASK_SOUND, b->claimed[i]->address, *card, NULL);

        if (b->options->force && b->in->holders && b->in->holders->n > 0) {
                builder_add_seconds(b, VERB_WAIT_ASKED, display, MIN(b->options->wait_sec, 5U));
                for (size_t i = 0; i < b->in->holders->n; i++) {
                        const Holder *h = b->in->holders->list + i;
                        char pid[16], start[24];

                        if (h->protected || h->is_vm)
                                continue;
                        (void) snprintf(pid, sizeof(pid), "%u", h->pid);
                        (void) snprintf(start, sizeof(start), "%llu", (unsigned long long) h->start);
                        builder_add(b, VERB_END, pid, start, "5");
                }
        }
        builder_add_seconds(b, VERB_WAIT_FREE, display, b->options->wait_sec);
}

static bool driver_needed_elsewhere(const Builder *b, const char *driver) {
        for (size_t i = 0; i < b->in->snapshot->n_functions; i++) {
                const Function *f = b->in->snapshot->functions + i;

                if (f->driver && streq(f->driver, driver) && !strv_contains(b->addresses, f->address))
                        return true;
        }
        return false;
}

/* An unbind of nvidia with a reference left never returns (nv-pci.c nv_pci_remove_helper()), and modprobe -r refuses
 * where that would be so: so the modules go first, if no other card needs them. Returns the driver that leaves
 * its functions with its module, or NULL. */
static const char *add_quiesce(Builder *b) {
        const Function *display = builder_display(b);
        char **unload = b->in->quirks ? b->in->quirks->unload : NULL;
        const char *losing[2 * ELEMENTSOF(b->claimed) + 1] = {}, *leaves = NULL;
        const Driver *driver;
        size_t n = 0;

        if (!unload || !*unload || !display->driver || plan_function_is_detached(display) ||
            driver_needed_elsewhere(b, display->driver))
                return NULL;
        driver = snapshot_find_driver(b->in->snapshot, display->driver);
        for (size_t i = b->n_claimed; i > 0; i--)
                if (streq_ptr(b->claimed[i - 1]->driver, display->driver)) {
                        losing[n++] = b->claimed[i - 1]->address;
                        losing[n++] = display->driver;
                }

        for (char **module = unload; *module; module++) {
                bool own = driver && driver->module && same_module(*module, driver->module);

                builder_add_strv(b, VERB_UNLOAD, *module, own ? (char *const *) losing : NULL);
                leaves = own ? display->driver : leaves;
        }
        builder_add_strv(b, VERB_CHECK_MODULE, unload[0], unload + 1);
        return leaves;
}

static int check_detach(Builder *b) {
        int r;

        r = check_group(b);
        if (r == 0)
                r = check_use(b);
        if (r == 0 && !b->options->disrupt_session && b->in->last_display != LAST_DISPLAY_ALLOW && is_last_display(b))
                r = builder_refuse(b, PLAN_E_LAST_DISPLAY,
                                   "%s drives the display that somebody looks at. Allow that with disrupt-session "
                                   "(gpuptctl --disrupt-session), or with LastDisplay=allow on a headless host.", b->in->name);
        return r;
}

/* Everything that the move needs, while nothing has been unbound yet. */
static void add_preparations(Builder *b) {
        builder_add_strv(b, VERB_SAVE, b->powered[0], b->powered + 1);
        /* A bridge that suspends now would put an unbound function to D3cold (drivers/pci/pci-driver.c
         * local_pci_probe()). */
        builder_add_strv(b, VERB_PIN, b->powered[0], b->powered + 1);
        for (size_t i = 0; i < b->n_claimed; i++) {
                bool seen = false;

                for (size_t j = 0; j < i; j++)
                        seen = seen || streq(b->drivers[j], b->drivers[i]);
                if (!seen)
                        builder_add_load(b, b->drivers[i]);
        }
        /* Overrides on all of them before the first unbind: nobody else can bind them any more. */
        for (size_t i = b->n_claimed; i > 0; i--)
                if (!plan_function_is_detached(b->claimed[i - 1]))
                        builder_add(b, VERB_OVERRIDE, b->claimed[i - 1]->address, b->drivers[i - 1], NULL);
}

static void add_move(Builder *b) {
        const char *left = add_quiesce(b);

        for (size_t i = 0; i < b->n_claimed; i++)
                for (char **console = b->claimed[i]->consoles; console && *console; console++)
                        builder_add(b, VERB_RELEASE_CONSOLE, *console, NULL, NULL);
        for (size_t i = 0; i < b->n_claimed; i++) {
                const Function *f = b->claimed[i];

                if (f->driver && !plan_function_is_detached(f) && !streq_ptr(f->driver, left))
                        builder_add(b, VERB_UNBIND, f->address, f->driver, NULL);
        }
        for (size_t i = b->n_claimed; i > 0; i--)
                if (!plan_function_is_detached(b->claimed[i - 1]))
                        builder_add(b, VERB_BIND, b->claimed[i - 1]->address, b->drivers[i - 1], NULL);
}

/* A step about pairs: each function with the word that belongs to it. */
static void add_pairs(Builder *b, Verb verb, const char *(*word)(const Builder *b, size_t i)) {
        const char *pairs[2 * ELEMENTSOF(b->claimed) + 1] = {};
        size_t n = 0;

        for (size_t i = b->n_claimed; i > 0; i--) {
                pairs[n++] = b->claimed[i - 1]->address;
                pairs[n++] = word(b, i - 1);
        }
        builder_add_strv(b, verb, pairs[0], (char *const *) pairs + 1);
}

static const char *driver_after(const Builder *b, size_t i) {
        return plan_function_is_detached(b->claimed[i]) ? b->claimed[i]->driver : b->drivers[i];
}

static const char *idle_control(const Builder *b, size_t i) {
        return b->in->config && b->in->config->idle_power == IDLE_POWER_ON ? "on" : "auto";
}

int builder_detach(Builder *b) {
        bool moves = false;
        int r = 0;

        for (size_t i = 0; i < b->n_claimed; i++)
                moves = moves || !plan_function_is_detached(b->claimed[i]);
        if (!moves && !b->options->access)
                return 0;
        if (moves)
                r = check_detach(b);
        for (size_t i = 0; i < b->n_claimed && r == 0; i++)
                r = vfio_driver_of(b, b->claimed[i], b->drivers + i);
        if (r != 0)
                return r;

        builder_add_strv(b, VERB_CHECK, b->addresses[0], b->addresses + 1);
        if (moves) {
                add_preparations(b);
                add_release(b);
                add_move(b);
        }
        add_pairs(b, VERB_VERIFY, driver_after);
        if (moves)
                add_pairs(b, VERB_IDLE_POWER, idle_control);
        if (b->options->access)
                builder_add_for_user(b, VERB_ACCESS, b->options->uid);
        return b->r;
}
