/* SPDX-License-Identifier: GPL-2.0-or-later */
#pragma once

/* Prints what gpuptctl can do, made from verb_table and option_table. */
void help_print(void);
