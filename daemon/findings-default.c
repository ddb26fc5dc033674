/* SPDX-License-Identifier: GPL-2.0-or-later */

/* findings-default: whether the cards that are to be with VFIO from the boot on are, and whether each is still the one that was meant. */

#include "findings-check.h"

/* That the card is at its place and is another one, or that nothing is there. */
static void check_wish(Check *c, const DefaultWish *w) {
        const Function *f = snapshot_find(c->in->snapshot, w->gpu);
        _cleanup_free_ char *ids = f ? function_identity(f) : NULL;

        if (f && streq_ptr(ids, w->identity))
                return;
        if (f)
                found(c, "default.moved", FINDING_WARN,
                      hintf("Say it again of the card that you mean: gpuptctl set-default GPU host|vfio."),
                      "The default that was set for %s is that of another card (%s, and this one is %s): it is not "
                      "used",
                      w->gpu, w->identity, strempty(ids));
        else if (w->vfio)
                found(c, "default.moved", FINDING_WARN,
                      hintf("If the card was moved, its address is another one: gpuptctl list, then gpuptctl "
                            "set-default GPU vfio."),
                      "The card at %s (%s), which is to be with VFIO from the boot on, is not there", w->gpu,
                      w->identity);
}

static void check_boot(Check *c, const FindingsGpu *g) {
        if (!g->default_vfio)
                return;
        if (c->in->off)
                found(c, "default.boot", FINDING_WARN, hintf("Take gpuptd=off off " COMMAND_LINE "."),
                      "%s is to be with VFIO from the boot on; gpuptd=off keeps it with the host", g->address);
        else if (g->state == GPU_HOST || g->state == GPU_PARTIAL)
                found(c, "default.boot", FINDING_WARN,
                      hintf("Unless it was attached since: a driver that is built in, or loaded in the initramfs, was "
                            "there first. Run "
                            "update-initramfs -u, and restart the host."),
                      "%s is to be with VFIO from the boot on, and is not with it now", g->address);
        else if (g->state == GPU_DETACHED || g->state == GPU_ASSIGNED)
                found(c, "default.boot", FINDING_OK, NULL, "%s is with VFIO from the boot on", g->address);
}

void check_defaults(Check *c) {
        if (c->in->off)
                found(c, "default.off", FINDING_WARN,
                      hintf("Take gpuptd=off off " COMMAND_LINE ", and restart the host."),
                      "gpuptd=off is on the kernel's command line: no card is taken from the host in this boot");
        if (c->in->defaults && c->in->defaults->fallback)
                found(c, "default.fallback", FINDING_FAIL,
                      hintf("See what went wrong: journalctl -b -1. Then gpuptctl set-default GPU vfio once more."),
                      "Two boots with cards reserved for VFIO did not come to their end, so all of them come up with the host now");
        for (size_t i = 0; i < c->in->n_gpus; i++)
                check_boot(c, c->in->gpus + i);
        for (size_t i = 0; c->in->defaults && i < c->in->defaults->n_wishes; i++)
                check_wish(c, c->in->defaults->wishes + i);
}
