/* SPDX-License-Identifier: GPL-2.0-or-later */
#pragma once

#include "client/json.h"

/* A PCI function, as in the property Functions of a GPU and in ListGroups(): address, class, vendor, device,
 * driver, host-driver, group, reset-methods, name, role. Texts of what is no plain string; FUNCTION_TEXT_MAX
 * bytes each. */
#define FUNCTION_TEXT_MAX 256

/* A name from pci.ids with the usual vendors cut short, since it is the end of it that tells two cards apart. To be
 * freed; NULL without memory. */
char *function_name(const char *name);
/* "10de:1c82", or "" for a function that is not on the bus. */
const char *function_id(json_object *function, char buffer[static FUNCTION_TEXT_MAX]);
/* "17", or "" for a function that is in no IOMMU group. */
const char *function_group(json_object *function, char buffer[static FUNCTION_TEXT_MAX]);
/* "flr bus", or "" */
const char *function_reset_methods(json_object *function, char buffer[static FUNCTION_TEXT_MAX]);
