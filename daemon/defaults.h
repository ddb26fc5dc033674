/* SPDX-License-Identifier: GPL-2.0-or-later */
#pragma once

/* defaults: which cards are to be with VFIO from the boot on: what somebody has said of a card (SetDefault), and which functions are
 * reserved for it by a rule of udev, which gpuptd-restore makes of this; and which displays desktops are to leave alone, by another
 * rule: STATE_DIR/defaults.
 *
 *      gpuptd-defaults 1
 *      wish ADDRESS VENDOR:DEVICE:SUBVENDOR:SUBDEVICE host|vfio
 *      reserve ADDRESS VENDOR:DEVICE:SUBVENDOR:SUBDEVICE DRIVER [BRIDGE…]    bridges: the nearest first
 *      apart ADDRESS VENDOR:DEVICE:SUBVENDOR:SUBDEVICE [BRIDGE…]              likewise: a display that is on no desktop's seat
 *      fallback                              boots with this have failed: none of it counts until somebody speaks of a card again
 *      end                                   without it the file is not whole
 *
 * A card is told by its place and its ids, all of them: one that has moved, or another one at its place, is nobody's, and comes up as
 * the kernel has it. */

#include "snapshot.h"

typedef struct DefaultWish {
        char *gpu, *identity;
        bool vfio;
} DefaultWish;

typedef struct DefaultReserve {
        char *function, *ids, *driver;
        char **bridges;
} DefaultReserve;

/* The same without a driver. */
typedef struct DefaultApart {
        char *function, *ids;
        char **bridges;
} DefaultApart;

typedef struct Defaults {
        DefaultWish *wishes;
        size_t n_wishes;
        DefaultReserve *reserves;
        size_t n_reserves;
        DefaultApart *aparts;
        size_t n_aparts;
        bool fallback;
} Defaults;

Defaults *defaults_new(void);
Defaults *defaults_free(Defaults *d);
DEFINE_CLEANUP(Defaults *, defaults_free);

/* What was said of the card at that address, whichever it was then; or NULL. */
const DefaultWish *defaults_find(const Defaults *d, const char *gpu);
int defaults_wish(Defaults *d, const char *gpu, const char *identity, bool vfio);
/* As if nothing had been said. */
void defaults_forget(Defaults *d, const char *gpu);
int defaults_reserve(Defaults *d, const char *function, const char *ids, const char *driver, char *const *bridges);
int defaults_set_apart(Defaults *d, const char *function, const char *ids, char *const *bridges);
/* Reserves and aparts. */
void defaults_drop_rules(Defaults *d);
bool defaults_have_rules(const Defaults *d);
/* Copies the wishes of one, and whether they count; nothing that becomes a rule. */
int defaults_copy_wishes(const Defaults *d, Defaults **ret);

void defaults_write(const Defaults *d, FILE *f);
/* -EBADMSG, -EPROTONOSUPPORT: not ours to use. */
int defaults_read(const char *text, size_t size, Defaults **ret);
/* 1: it was not so before, 0: it was. */
int defaults_store(const char *state_dir, const Defaults *d);
/* None at all where there is no file. */
int defaults_load(const char *state_dir, Defaults **ret);

/* Counts this boot, once, in STATE_DIR/boots. Returns how many before it, in a row, have not come to their end; that one has is
 * said by forgetting them. */
int defaults_count_boot(const char *state_dir);
int defaults_forget_boots(const char *state_dir);
/* Whether the kernel was told gpuptd=off: nothing is reserved, and no card taken, in this boot. */
bool defaults_are_off(void);

/* Their rules for udev, whole: of the reserves, and of the aparts, which belong between 71-seat.rules and 73-seat-late.rules. */
void defaults_write_rules(const Defaults *d, FILE *f);
/* Whether both have the same of the former: the initramfs has a copy of them. -ENOMEM. */
int defaults_have_same_reserves(const Defaults *a, const Defaults *b);
void defaults_write_seat_rules(const Defaults *d, FILE *f);
