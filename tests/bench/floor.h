/* SPDX-License-Identifier: GPL-2.0-or-later */
#pragma once

/* floor: the writes to the kernel that move a card with its sound function to vfio-pci and back, and
 * nothing else: no check, no look for holders, no journal, nobody asked, no other process. What takes
 * longer than this is not the kernel. */

typedef struct FloorCard {
        const char *display, *display_driver;
        const char *sound, *sound_driver;
        const char *port; /* the bridge above them */
} FloorCard;

/* The process ends where a write fails. vfio-pci is loaded. */
void floor_detach(const FloorCard *c);
void floor_attach(const FloorCard *c);
