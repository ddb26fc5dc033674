/* SPDX-License-Identifier: GPL-2.0-or-later */

/* plan-detach: host to VFIO, in the order of the design (section 5): all checks of all functions first; then what can be
 * taken back without harm; the unbinds last. Where a step guards against a trap of the kernel, the comment beside it says which. */

#include "plan-builder.h"
#include "selector.h"

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
                        return builder_refuse(
                                b, PLAN_E_NOT_VIABLE,
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

/* The drivers of the family are named with dashes, their modules with underscores. */
char *plan_vfio_driver(const Function *f, const char *wanted) {
        char *driver = strdup(wanted ?: f->vfio_modules && *f->vfio_modules ? *f->vfio_modules : "vfio-pci");

        for (char *p = driver; p && *p; p++)
                if (*p == '_')
                        *p = '-';
        return driver;
}

/* The VFIO driver of one function: the caller's choice and the configured one concern the display. */
static int vfio_driver_of(Builder *b, const Function *f, char **ret) {
        const char *wanted = f == builder_display(b) ? b->options->driver : NULL;

        if (!wanted && f == builder_display(b) && b->in->config)
                wanted = b->in->config->vfio_driver;
        if (wanted && !same_module(wanted, "vfio_pci") && !modules_contain(f->vfio_modules, wanted))
                return builder_refuse(b, PLAN_E_INVALID,
                              "'%s' is not a VFIO driver for %s: it must be vfio-pci, or have a vfio_pci: alias that "
                              "matches the device.", wanted, f->address);
        *ret = plan_vfio_driver(f, wanted);
        return *ret ? 0 : -ENOMEM;
}

static int check_detach(Builder *b) {
        int r;

        r = check_group(b);
        if (r == 0)
                r = builder_check_before_vfio(b);
        return r == 0 ? builder_check_leave(b) : r;
}

/* Everything that the move needs, while nothing has been unbound yet. */
static void add_preparations(Builder *b) {
        builder_add_strv(b, VERB_SAVE, b->powered[0], b->powered + 1);
        (void) builder_add_hooks_before(b, "detach");
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
        const char *left = builder_add_leave(b);

        builder_add_before_vfio(b, left);
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

void builder_add_idle(Builder *b) {
        add_pairs(b, VERB_IDLE_POWER, idle_control);
}

int builder_detach(Builder *b) {
        bool moves = false, display_moves = false;
        int r = 0;

        for (size_t i = 0; i < b->n_claimed; i++)
                if (!plan_function_is_detached(b->claimed[i])) {
                        moves = true;
                        display_moves = display_moves || b->claimed[i] == builder_display(b);
                }
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
                builder_add_release(b);
                add_move(b);
        }
        add_pairs(b, VERB_VERIFY, driver_after);
        if (moves)
                builder_add_idle(b);
        if (b->options->access)
                builder_add_for_user(b, VERB_ACCESS, b->options->uid);
        if (display_moves)
                builder_add_xorg_files(b, "detached");
        builder_add_return_desktop(b);
        return b->r;
}
