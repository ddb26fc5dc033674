/* SPDX-License-Identifier: GPL-2.0-or-later */
#pragma once

/* selector: which functions make up a GPU, and which of their neighbours forbid to pass it through. Pure: a snapshot
 * (and what a `.gpu` file says) in, plain data out. */

#include "snapshot.h"

/* The companions of a display function (design: functions of the same slot that are audio, USB or UCSI and of the
 * display's vendor; audio of the same slot in its IOMMU group; audio of that vendor below the same on-card switch).
 * *ret is a strv of addresses, the display function first, the rest in the order of their addresses. */
int selector_companions(const Snapshot *s, const Function *display, char ***ret);

/* What a `Functions=` line names, resolved: every entry is an address, ".N" (function N of the display's slot) or
 * vendor:device (unique in the display's slot or IOMMU group). The display function is always the first. -ENODEV if one does not exist. */
int selector_explicit(const Snapshot *s, const Function *display, char *const *entries, char ***ret);

/* Whether a display function stands for a GPU of its own, rather than being the second head of one in its slot. */
bool selector_is_gpu(const Snapshot *s, const Function *display);

/* The members of the functions' IOMMU groups that are bound to a driver which keeps VFIO from owning the group
 * (drivers/iommu/iommu.c iommu_group_claim_dma_owner()): "0000:00:1f.3 (snd_hda_intel)". Bridges, driverless functions
 * and those on vfio, pci-stub or pcieport are fine. Functions of `functions` never block themselves. */
int selector_blockers(const Snapshot *s, char *const *functions, char ***ret);
