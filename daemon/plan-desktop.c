/* SPDX-License-Identifier: GPL-2.0-or-later */

/* plan-desktop: desktops that end for a card, and begin again without or with it. Only who was shown to the caller is logged out, and only
 * where a compositor, a display server or a session's own leader has the card: a player or a game is ended by force alone, and
 * its desktop goes on. Where the display manager has to stop, every desktop on a seat ends with it, so all of them are
 * logged out first, in logind's way, which gives their programs time. Sessions on text consoles and from afar stay, unless they
 * have the card themselves. */

#include "plan-builder.h"

/* What a user's manager has started (GNOME and Plasma are) is in no session of its own. */
static bool belongs_to(const Holder *h, const Login *l) {
        if (h->session)
                return streq(h->session, l->session);
        return h->uid != 0 && h->uid == l->uid && !isempty(l->seat);
}

static bool has_card(const Holders *holders, const Login *l) {
        for (size_t i = 0; i < holders->n; i++)
                if (holder_is_desktop(holders->list + i) && belongs_to(holders->list + i, l))
                        return true;
        return false;
}

/* The display manager has it: by a display server of its own, by its greeter, or by a desktop that it would offer again at once. */
static bool display_manager_has_card(const Holders *holders) {
        for (size_t i = 0; i < holders->n; i++) {
                const Holder *h = holders->list + i;

                if (holder_is_desktop(h) && h->unit && streq_ptr(h->unit, holders->display_manager))
                        return true;
        }
        for (size_t i = 0; i < holders->n_logins; i++) {
                const Login *l = holders->logins + i;

                if ((login_is_desktop(l) || !startswith(l->class, "user")) && has_card(holders, l))
                        return true;
        }
        return false;
}

static bool has_to_end(const Holders *holders, const Login *l, bool all_desktops) {
        return startswith(l->class, "user") && ((all_desktops && login_is_desktop(l)) || has_card(holders, l));
}

static void add_end_desktops(Builder *b, bool stop) {
        const Holders *holders = b->in->holders;
        _cleanup_strv_free_ char **sessions = NULL;

        for (size_t i = 0; i < holders->n_logins && b->r >= 0; i++)
                if (has_to_end(holders, holders->logins + i, stop))
                        b->r = strv_extend(&sessions, holders->logins[i].session);
        if (stop)
                builder_add_strv(b, VERB_CHECK_LOGINS, "-", sessions);
        for (size_t i = 0; i < holders->n_logins; i++) {
                const Login *l = holders->logins + i;
                const char *arguments[] = { isempty(l->user) ? "somebody" : l->user,
                                            isempty(l->type) ? "unspecified" : l->type,
                                            isempty(l->seat) ? "no seat" : l->seat, NULL };

                if (strv_contains(sessions, l->session))
                        builder_add_strv(b, VERB_END_SESSION, l->session, (char *const *) arguments);
        }
        if (!stop)
                return;
        builder_add(b, VERB_STOP_UNIT, holders->display_manager, NULL, NULL);
        b->stopped_desktop = holders->display_manager;
}

void builder_add_leave_desktop(Builder *b) {
        if (b->options->log_out && b->in->holders)
                add_end_desktops(b, b->in->holders->display_manager && display_manager_has_card(b->in->holders));
}

/* A desktop that runs does not take up a card by itself: it begins again, with it. */
void builder_add_restart_desktop(Builder *b) {
        if (b->options->log_out && b->in->holders && b->in->holders->display_manager)
                add_end_desktops(b, true);
}

/* A display that the host has beside the card, or gets back by this plan. */
static bool has_display(const Builder *b) {
        if (b->plan->operation == OPERATION_ATTACH)
                return true;
        for (size_t i = 0; i < b->in->snapshot->n_functions; i++) {
                const Function *f = b->in->snapshot->functions + i;

                if (function_is_display(f) && f->driver && !plan_function_is_detached(f) &&
                    !strv_contains(b->in->functions, f->address))
                        return true;
        }
        return false;
}

/* Where no display is left it would only fail: then the attach starts it, as it does every unit that the detach has stopped. */
void builder_add_return_desktop(Builder *b) {
        if (b->stopped_desktop && has_display(b))
                builder_add(b, VERB_RETURN_UNIT, b->stopped_desktop, NULL, NULL);
}

/* Also where no display manager is stopped: what is started next finds it. A card that comes back to VFIO after a VM or a sleep was there
 * before, and the files with it. */
void builder_add_xorg_files(Builder *b, const char *state) {
        _cleanup_strv_free_ char **arguments = NULL;

        if (b->plan->operation == OPERATION_PHASE && b->options->phase != PHASE_PRE_START)
                return;
        if (!b->in->config || strv_length(b->in->config->xorg_files) == 0 || b->r < 0)
                return;
        b->r = strv_extend(&arguments, state);
        for (char **file = b->in->config->xorg_files; *file && b->r >= 0; file++)
                b->r = strv_extend(&arguments, *file);
        builder_add_strv(b, VERB_XORG_FILES, b->in->functions[0], arguments);
}
