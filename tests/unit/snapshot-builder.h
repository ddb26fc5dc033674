/* SPDX-License-Identifier: GPL-2.0-or-later */
#pragma once

/* snapshot-builder: machines as snapshots, for tests of what is derived from them: the five of the field,
 * built whole (drivers, modules, nodes, sound cards, power attributes), and the pieces to build others.
 * Never fails: a test that runs out of memory ends. */

#include "snapshot.h"

/* A function with everything that a worker reads of one that is alive: power attributes as after a boot
 * ("auto" for bridges, "on" for the rest), the names of modules that match. ids: "CLASS VENDOR:DEVICE";
 * driver: NULL for none; bridges: nearest first, separated by spaces. The pointer is valid until the next
 * function is added. */
Function *build_function(Snapshot *s, const char *address, const char *ids, int group, const char *driver,
                         const char *bridges);

/* What a display has: a DRM card and render node, and a connector with that status. */
void build_display(Function *f, unsigned card, const char *connector_status);
/* A sound card with its control node. */
void build_sound(Function *f, unsigned card);
void build_strv(char ***v, const char *value);
/* Replaces the driver of a function, as somebody's bind would; NULL: none. Its sound card goes with it. */
void build_driver(Snapshot *s, const char *address, const char *driver);

/* The machines of the field. The display functions: */
#define APU "0000:c5:00.0"
#define PAIR "0000:3b:00.0"
#define LAPTOP "0000:01:00.0"
#define DESKTOP "0000:08:00.0"
#define DESKTOP_HOST "0000:09:00.0"
#define TWIN "0000:01:00.0"
#define OTHER_TWIN "0000:02:00.0"

Snapshot *build_apu(void);     /* seven functions, each in a group of its own; only .0 and .1 are the card */
Snapshot *build_pair(void);    /* nvidia and snd_hda_intel in one group; the boot VGA with a text console */
Snapshot *build_laptop(void);  /* muxless: a 3D controller behind a bridge, i915 has the screen */
Snapshot *build_desktop(void); /* four functions (display, audio, USB, UCSI), and a second card for the host */
Snapshot *build_twins(void);   /* two cards with identical ids, each in a group of its own */
