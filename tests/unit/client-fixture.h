/* SPDX-License-Identifier: GPL-2.0-or-later */
#pragma once

/* client-fixture: what the tests of gpuptctl share: a bus, a stand-in for the daemon on it, the program itself run to its
 * end, in the background or on a terminal, and what it printed. The tests look at it as its users do. Nothing waits for
 * time to pass: a test waits for the line that says that something has happened. */

#include <gio/gio.h>
#include <json-c/json.h>

#include "dbus/errors.h"
#include "tests/unit/mock-daemon.h"

/* One end-to-end case: if there is a script, a daemon; on a bus that all cases of a program share, since a GTestDBus
 * leaves processes behind when a test aborts and it was not the first. */
typedef struct Fixture {
        pid_t daemon;
        char *dir;
        char *out, *err;            /* of the last client() */
} Fixture;

/* The path of the program under test. */
extern const char *gpuptctl;

/* For g_test_add(); the data is a MockScript, or what begins with one, or NULL for no daemon. */
void fixture_set_up(Fixture *f, gconstpointer data);
void fixture_tear_down(Fixture *f, gconstpointer data);

/* Returns when the bus knows of its death, so that the next one can have the name. */
void kill_daemon(Fixture *f);

/* Runs gpuptctl with the words of a line (quotes as in a shell) and returns its exit status. */
int client(Fixture *f, const char *line);

/* A client that is still running. */
typedef struct Running {
        GSubprocess *process;
        GDataInputStream *lines;    /* stdout and stderr together */
} Running;

Running start(const char *line);
/* Reads up to the first line that contains the text, and returns that line. */
char *wait_for(Running *running, const char *text);
void expect(Running *running, const char *text);
/* Waits for the end and returns the exit status. */
int finish(Running *running);

/* Runs gpuptctl on a terminal of its own and returns all that appeared there. As a plain user if `unprivileged`. */
char *on_terminal(const char *const *argv, bool unprivileged, int *ret_status);

/* What was printed as JSON, and a member of it, which has to be there. */
json_object *parse(const char *text);
json_object *get(json_object *o, const char *key);

#define assert_has(text, part)                                                                          \
        do {                                                                                            \
                if (!strstr((text), (part)))                                                            \
                        g_error("%s:%d: no '%s' in:\n%s", __FILE__, __LINE__, (part), (text));          \
        } while (false)

#define assert_has_not(text, part)                                                                      \
        do {                                                                                            \
                if (strstr((text), (part)))                                                             \
                        g_error("%s:%d: '%s' is in:\n%s", __FILE__, __LINE__, (part), (text));          \
        } while (false)

#define add(path, script, test)                                                                                \
        g_test_add("/client/" path, Fixture, (script), fixture_set_up, (test), fixture_tear_down)

/* main() of each of the programs: the environment, the bus, the cases. */
int client_test_main(int argc, char **argv, void (*add_cases)(void));

/* A recovery that has tried what there is: its report has lines. */
extern const MockScript script_not_cured;
