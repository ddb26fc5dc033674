/* SPDX-License-Identifier: GPL-2.0-or-later */

#pragma once

#include "client/table.h"

/* Makes the cells of a table that is wider than its terminal narrower: columns with SCOLS_FL_TRUNC end in an
 * ellipsis, those with SCOLS_FL_WRAP are broken between words. The widest of them give way first. Changes the cells'
 * text, so once for a table, when it is full and its width is set. Returns 0 or negative errno. */
int table_fit(struct libscols_table *t);
