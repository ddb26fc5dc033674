/* SPDX-License-Identifier: GPL-2.0-or-later */
#pragma once

/* introspect: the D-Bus interfaces as XML, from the very vtables that serve them; the files in dbus/ are made with it and a test
 * compares. */

#include <stdio.h>

/* "manager", "gpu" or "job"; -EINVAL for anything else. */
int introspect_print(const char *object, FILE *f);
