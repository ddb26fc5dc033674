/* SPDX-License-Identifier: GPL-2.0-or-later */
#pragma once

#include <systemd/sd-bus.h>

#include "dbus/errors.h"
#include "util/cleanup.h"

/* Everything here prints to stderr and returns the exit status that fits. Texts are escaped for the terminal. */

/* "gpuptctl: <message>" and, if the error has a name that somebody can act on, "Hint: <next thing to do>".
 * `gpu` is what the hint calls the GPU (NULL if none is meant); r is the errno that goes with the error. */
ExitStatus report_error(const char *gpu, const sd_bus_error *error, int r);

/* The same in one line, for those who have no more: "gpuptctl: <what>: <message> <next thing to do>". */
ExitStatus report_error_line(const char *what, const char *gpu, const sd_bus_error *error, int r);

/* A mistake on the command line. */
ExitStatus report_usage(const char *format, ...) _printf_(1, 2);

/* Any other line, prefixed by the program's name. */
void report_note(const char *format, ...) _printf_(1, 2);
