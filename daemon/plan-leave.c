/* SPDX-License-Identifier: GPL-2.0-or-later */

/* plan-leave: how functions leave the drivers of the host, whatever comes then (VFIO, a reset): whether they may, who is asked and
 * waited for, which modules go first, and the unbinds. */

#include "plan-builder.h"

/* What a user's manager had started ends only with it, ten seconds after the last session (UserStopDelaySec=), and not at once. */
#define DESKTOP_WAIT_SEC 30U

static bool has_connected(const Function *f) {
        for (size_t i = 0; i < f->n_connectors; i++)
                if (streq(f->connectors[i].status, "connected"))
                        return true;
        return false;
}

static bool any_connected(const PlanInput *in, char *const *addresses) {
        for (char *const *a = addresses; *a; a++) {
                const Function *f = snapshot_find(in->snapshot, *a);

                if (f && has_connected(f))
                        return true;
        }
        return false;
}

/* The display that somebody looks at: the console's (boot VGA) where a screen is connected or somebody is logged in,
 * and any other card with a screen if no card outside of the plan has one. */
static bool drives_last_display(const PlanInput *in, const Function *display, char *const *addresses) {
        bool looked_at = any_connected(in, addresses);

        if (display->boot_vga)
                return looked_at || in->seat_active;
        if (!looked_at)
                return false;

        for (size_t i = 0; i < in->snapshot->n_functions; i++) {
                const Function *f = in->snapshot->functions + i;

                if (function_is_display(f) && !strv_contains(in->functions, f->address) && has_connected(f))
                        return false;
        }
        return true;
}

static bool is_last_display(const Builder *b) {
        const Function *display = builder_display(b);

        return strv_contains(b->addresses, display->address) && drives_last_display(b->in, display, b->addresses);
}

bool plan_blanks_last_display(const PlanInput *in) {
        const Function *display = snapshot_find(in->snapshot, in->functions[0]);

        return in->last_display != LAST_DISPLAY_ALLOW && display && drives_last_display(in, display, in->functions);
}

static int check_use(Builder *b) {
        for (size_t i = 0; i < b->n_claimed; i++) {
                const Function *f = b->claimed[i];

                if (f->has_vfs)
                        return builder_refuse(b, PLAN_E_IN_USE,
                                              "%s has virtual functions. Write 0 to its sriov_numvfs first.",
                                              f->address);
                if (f->mounted && *f->mounted)
                        return builder_refuse(b, PLAN_E_IN_USE,
                                              "%s carries a mounted file system: %s. Unmount it first.", f->address,
                                              *f->mounted);
                if (f->networks && *f->networks)
                        return builder_refuse(b, PLAN_E_IN_USE, "%s carries the host's only network that is up: %s.",
                                      f->address, *f->networks);
        }
        if (b->options->force && b->in->holders) {
                const Holder *vm = holders_find_vm(b->in->holders);

                if (vm)
                        return builder_refuse(b, PLAN_E_IN_USE,
                                              "The virtual machine %s (pid %u) has %s open. Stop it first.",
                                              strempty(vm->vm_name), vm->pid, b->in->name);
        }
        return 0;
}

int builder_check_leave(Builder *b) {
        int r;

        r = check_use(b);
        if (r == 0 && !b->options->disrupt_session && b->in->last_display != LAST_DISPLAY_ALLOW && is_last_display(b))
                r = builder_refuse(
                        b, PLAN_E_LAST_DISPLAY,
                        "%s drives the display that somebody looks at. Taking it needs the option disrupt-session.",
                        b->in->name);
        return r;
}

/* Without an end of its desktop, for compositors that their administrator knows to let go. */
static void add_ask_compositors(Builder *b) {
        char *const *names = b->in->config ? b->in->config->ask_compositors : NULL;

        if (strv_length(names) == 0 || b->stopped_desktop)
                return;
        for (size_t i = 0; i < b->n_claimed && b->r >= 0; i++)
                for (size_t k = 0; k < b->claimed[i]->n_nodes && b->r >= 0; k++) {
                        const char *card = startswith(b->claimed[i]->nodes[k].path, "/dev/dri/");
                        _cleanup_strv_free_ char **arguments = NULL;

                        if (!card || !startswith(card, "card"))
                                continue;
                        b->r = strv_extend(&arguments, card);
                        for (char *const *name = names; *name && b->r >= 0; name++)
                                b->r = strv_extend(&arguments, *name);
                        builder_add_strv(b, VERB_ASK_COMPOSITOR, b->claimed[i]->address, arguments);
                }
}

/* Holders are asked before they are waited for, and waited for before they are ended. */
void builder_add_release(Builder *b) {
        const char *display = b->in->functions[0];

        for (char **unit = b->in->quirks ? b->in->quirks->stop_units : NULL; unit && *unit; unit++)
                builder_add(b, VERB_STOP_UNIT, *unit, NULL, NULL);
        for (char **unit = b->in->config ? b->in->config->stop_units : NULL; unit && *unit; unit++)
                builder_add(b, VERB_STOP_UNIT, *unit, NULL, NULL);
        builder_add_leave_desktop(b);
        builder_add_seconds(b, VERB_ASK, display, b->options->wait_sec);
        add_ask_compositors(b);
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
        builder_add_seconds(b, VERB_WAIT_FREE, display,
                            b->stopped_desktop ? MAX(b->options->wait_sec, DESKTOP_WAIT_SEC) : b->options->wait_sec);
}

bool builder_needs_elsewhere(const Builder *b, const char *driver) {
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
const char *builder_add_quiesce(Builder *b) {
        const Function *display = builder_display(b);
        char **unload = b->in->quirks ? b->in->quirks->unload : NULL;
        const char *losing[2 * ELEMENTSOF(b->claimed) + 1] = {}, *leaves = NULL;
        const Driver *driver;
        size_t n = 0;

        if (!unload || !*unload || !display->driver || plan_function_is_detached(display) ||
            builder_needs_elsewhere(b, display->driver))
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

const char *builder_add_leave(Builder *b) {
        const char *left = builder_add_quiesce(b);

        for (size_t i = 0; i < b->n_claimed; i++)
                for (char **console = b->claimed[i]->consoles; console && *console; console++)
                        builder_add(b, VERB_RELEASE_CONSOLE, *console, NULL, NULL);
        for (size_t i = 0; i < b->n_claimed; i++) {
                const Function *f = b->claimed[i];

                if (f->driver && !plan_function_is_detached(f) && !streq_ptr(f->driver, left))
                        builder_add(b, VERB_UNBIND, f->address, f->driver, NULL);
        }
        return left;
}
