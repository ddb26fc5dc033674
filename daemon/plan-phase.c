/* SPDX-License-Identifier: GPL-2.0-or-later */

/* plan-phase: the last plan of a VM phase, when the card is there and well (job-ladder.c has seen to that).
 *
 * For cards that work once per boot unless they leave the bus while the guest still has them: the display
 * function first, then its companions, each as far as the guest lets go (report of an AMD APU;
 * drivers/vfio/vfio_main.c vfio_unregister_group_dev() asks the guest every ten seconds). This is the one
 * operation that may touch a card which a VM has open. */

#include "plan-builder.h"

/* Also of those that have not come back. */
static void add_no_keep(Builder *b) {
        for (char *const *a = b->in->functions; *a; a++)
                builder_add(b, VERB_KEEP, *a, "", NULL);
}

/* The VM manager opens it next, and finds it awake. It stays so until the phase after the stop. */
static int add_pre_start(Builder *b) {
        int r;

        r = builder_detach(b);
        if (r != 0)
                return r;
        if (b->plan->n == 0)
                builder_add_strv(b, VERB_SAVE, b->powered[0], b->powered + 1);
        add_no_keep(b);
        builder_add_strv(b, VERB_PIN, b->powered[0], b->powered + 1);
        return b->r;
}

static void add_each_detached(Builder *b, Verb verb) {
        for (size_t i = b->n_claimed; i > 0; i--) {
                const Function *f = b->claimed[i - 1];

                if (plan_function_is_detached(f))
                        builder_add(b, verb, f->address, verb == VERB_EJECT ? NULL : f->driver, NULL);
        }
}

/* What the host uses is not the VM's, and stays. Whatever finds the rest again before the phase after the stop
 * must not give it to the host's driver. */
static int add_pre_stop(Builder *b) {
        bool any = false;

        for (size_t i = 0; i < b->n_claimed; i++)
                any = any || plan_function_is_detached(b->claimed[i]);
        if (!any)
                return 0;
        builder_add_strv(b, VERB_SAVE, b->powered[0], b->powered + 1);
        add_each_detached(b, VERB_KEEP);
        add_each_detached(b, VERB_EJECT);
        return b->r;
}

static int add_post_stop(Builder *b) {
        int r = 0;

        if (b->in->record || builder_goes_to_vfio(b))
                r = builder_detach(b);
        if (r != 0)
                return r;
        add_no_keep(b);
        if (b->in->record || builder_goes_to_vfio(b))
                builder_add_idle(b);
        return b->r;
}

/* Nobody may have it open, since then the unbind would not return; the driver link goes first, so that a removal
 * cannot meet a VM. Nothing binds it meanwhile: it is overridden, also where VFIO has it by its ids
 * (vfio-pci.ids=), and the rule of udev keeps what a rescan finds. */
static int add_pre_sleep(Builder *b) {
        bool any = false;

        for (size_t i = 0; i < b->n_claimed; i++)
                any = any || plan_function_is_detached(b->claimed[i]);
        if (!any)
                return 0;
        builder_add_strv(b, VERB_CHECK, b->addresses[0], b->addresses + 1);
        builder_add_strv(b, VERB_SAVE, b->powered[0], b->powered + 1);
        builder_add_seconds(b, VERB_WAIT_FREE, b->in->functions[0], b->options->has_wait ? b->options->wait_sec : 0);
        /* The ACL goes with the node, and the node with the driver. */
        if (b->in->access_given)
                builder_add_for_user(b, VERB_REVOKE, b->in->access_uid);
        builder_add_strv(b, VERB_PIN, b->powered[0], b->powered + 1);
        if (b->options->sleep == GPU_SLEEP_REMOVE)
                add_each_detached(b, VERB_KEEP);
        add_each_detached(b, VERB_OVERRIDE);
        for (size_t i = 0; i < b->n_claimed; i++)
                if (plan_function_is_detached(b->claimed[i]))
                        builder_add(b, VERB_UNBIND, b->claimed[i]->address, b->claimed[i]->driver, NULL);
        if (b->options->sleep == GPU_SLEEP_REMOVE)
                for (size_t i = 0; i < b->n_claimed; i++)
                        if (plan_function_is_detached(b->claimed[i]))
                                builder_add(b, VERB_REMOVE, b->claimed[i]->address, NULL, NULL);
        return b->r;
}

/* A display that has come from VFIO, and that no driver of the host's has had since, needs nothing of what
 * BeforeVfio= is for. */
static int detach_as_it_was(Builder *b) {
        const Function *display = builder_display(b);
        const PlanInput *in = b->in;
        PlanInput input = *in;
        _cleanup_free_ char **words = NULL;
        GpuConfig config;
        size_t n;
        int r;

        if (!in->config || display->driver)
                return builder_detach(b);
        n = strv_length(in->config->before_vfio);
        words = calloc(n + 2, sizeof(char *));
        if (!words)
                return -ENOMEM;
        for (size_t i = 0; i < n; i++)
                words[i] = in->config->before_vfio[i];
        words[n] = (char *) "display:none"; /* the last one counts */
        config = *in->config;
        config.before_vfio = words;
        input.config = &config;
        b->in = &input;
        r = builder_detach(b);
        b->in = in;
        return r;
}

/* Wherever the sleep has left it. */
static int add_post_sleep(Builder *b) {
        int r;

        r = detach_as_it_was(b);
        if (r != 0)
                return r;
        add_no_keep(b);
        builder_add_idle(b);
        return b->r;
}

int builder_phase(Builder *b) {
        switch (b->options->phase) {
        case PHASE_PRE_START:
                return add_pre_start(b);
        case PHASE_PRE_STOP:
                return add_pre_stop(b);
        case PHASE_POST_STOP:
                return add_post_stop(b);
        case PHASE_PRE_SLEEP:
                return add_pre_sleep(b);
        case PHASE_POST_SLEEP:
                return add_post_sleep(b);
        default:
                return 0;
        }
}
