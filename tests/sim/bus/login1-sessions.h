/* SPDX-License-Identifier: GPL-2.0-or-later */
#pragma once

/* login1-sessions: the sessions and the seat of the login1 stand-in, on the bus and in /run/systemd for libsystemd's
 * sd-login. */

#include <glib.h>
#include <systemd/sd-bus.h>

int login1_sessions_setup(sd_bus *bus);

int login1_list_sessions(sd_bus_message *m, void *userdata, sd_bus_error *error);
int login1_get_session(sd_bus_message *m, void *userdata, sd_bus_error *error);
int login1_get_session_by_pid(sd_bus_message *m, void *userdata, sd_bus_error *error);
/* Stops its scope, if a test has declared one. */
int login1_terminate_session(sd_bus_message *m, void *userdata, sd_bus_error *error);
int login1_get_seat(sd_bus_message *m, void *userdata, sd_bus_error *error);

/* `session ID [uid=N] [user=NAME] [leader=PID] [type=wayland] [class=user] [active=no]`, always on seat0 */
int login1_command_session(char **arguments, GString *text);
int login1_command_session_ended(char **arguments, GString *text);
