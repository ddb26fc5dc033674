/* SPDX-License-Identifier: GPL-2.0-or-later */

/* plan-phase: the last plan of a VM phase, when the card is there and well (job-ladder.c has seen to that).
 *
 * For cards that work once per boot unless they leave the bus while the guest still has them: the display function first, then its
 * companions, each as far as the guest lets go (report of an AMD APU; drivers/vfio/vfio_main.c vfio_unregister_group_dev()
 * asks the guest every ten seconds). This is the one operation that may touch a card which a VM has open. */

#include "plan-builder.h"

static void add_keep(Builder *b, const char *driver) {
        for (size_t i = b->n_claimed; i > 0; i--)
                builder_add(b, VERB_KEEP, b->claimed[i - 1]->address, driver, NULL);
}

/* The VM manager opens it next, and finds it awake. It stays so until the phase after the stop. */
static int add_pre_start(Builder *b) {
        int r;

        r = builder_detach(b);
        if (r != 0)
                return r;
        if (b->plan->n == 0)
                builder_add_strv(b, VERB_SAVE, b->powered[0], b->powered + 1);
        add_keep(b, "");
        builder_add_strv(b, VERB_PIN, b->powered[0], b->powered + 1);
        return b->r;
}

/* Whatever finds it again before that phase must not give it to the host's driver. */
static int add_pre_stop(Builder *b) {
        builder_add_strv(b, VERB_SAVE, b->powered[0], b->powered + 1);
        add_keep(b, "vfio-pci");
        for (size_t i = b->n_claimed; i > 0; i--)
                builder_add(b, VERB_EJECT, b->claimed[i - 1]->address, NULL, NULL);
        return b->r;
}

static int add_post_stop(Builder *b) {
        int r = 0;

        if (b->in->record || builder_goes_to_vfio(b))
                r = builder_detach(b);
        if (r != 0)
                return r;
        add_keep(b, "");
        if (b->in->record || builder_goes_to_vfio(b))
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
        default:
                return 0;
        }
}
