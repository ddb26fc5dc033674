/* SPDX-License-Identifier: GPL-2.0-or-later */
#pragma once

/* machine: the simulated machine, for authors of tests. It is a process of its own (gpuptd-sim-machine) that serves /sys by
 * FUSE, owns /dev and the system bus, and lives in the private namespaces of the test process; README.md tells what it
 * models. A test program looks like this:
 *
 *         static void test_detach(void) {
 *                 g_autoptr(SimMachine) m = sim_machine_new("desktop");
 *
 *                 sim_daemon_start(m, NULL);
 *                 … call methods on sim_bus(m) …
 *                 g_assert_cmpstr(sim_driver_of(m, "0000:08:00.0"), ==, "vfio-pci");
 *         }
 *
 *         int main(int argc, char *argv[]) {
 *                 sim_init(&argc, &argv);          // instead of g_test_init(); before any thread exists
 *                 g_test_add_func("/detach", test_detach);
 *                 return g_test_run();
 *         }
 *
 * and in meson: dependencies: [sim_dep], depends: sim_machine. There is one machine at a time in a process; a new one costs
 * a few hundredths of a second. Inside, the process is root: it reads and writes /sys, /dev and /run as on a real host.
 *
 * Functions that cannot fail on a healthy machine end the test if they do. Those that wait do so for the event, at most
 * for sim_deadline_sec(), and then end the test and show the daemon's log. Strings that are returned as `const char *`
 * live until the machine is freed. */

#include <glib.h>
#include <stdbool.h>
#include <sys/types.h>
#include <systemd/sd-bus.h>

typedef struct SimMachine SimMachine;

/* Enters the namespaces and calls g_test_init(). Where the host refuses, the program ends here as skipped, with the
 * reason; with GPUPT_TEST_NO_SKIP in the environment, as failed. */
void sim_init(int *argc, char ***argv);

/* Only enters the namespaces, for programs that are no tests: 0, or a negative errno and what the host refuses. */
int sim_enter(const char **ret_reason);

/* The machine of topologies/<name>.topology (or of the file, if the name has a slash). */
SimMachine *sim_machine_new(const char *topology);
/* Ends whatever still lives in it. */
void sim_machine_free(SimMachine *m);
G_DEFINE_AUTOPTR_CLEANUP_FUNC(SimMachine, sim_machine_free)

/* For longer than that nothing is waited for: 60 s, or GPUPT_TEST_DEADLINE_SEC. */
unsigned sim_deadline_sec(void);

/* Any command of README.md. The first form ends the test on an error. */
const char *sim_command(SimMachine *m, const char *format, ...) G_GNUC_PRINTF(2, 3);
int sim_try_command(SimMachine *m, const char **ret_text, const char *format, ...) G_GNUC_PRINTF(3, 4);

/* Faults. `effect` is for instance "errno=EIO", "hang", "delay=200", "vanish", "nth=2 hang". */
unsigned sim_fault(SimMachine *m, const char *target, const char *operation, const char *effect);
void sim_fault_wait(SimMachine *m, unsigned id);        /* until it has struck: the call hangs now */
void sim_fault_release(SimMachine *m, unsigned id);     /* it goes on; 0 for all */
void sim_unplug(SimMachine *m, const char *address);    /* surprise removal; the kernel may follow later */
void sim_plug(SimMachine *m, const char *address);
void sim_wait_known(SimMachine *m, const char *address, bool known);

/* What sysfs says. Paths without a leading slash are below /sys. */
const char *sim_driver_of(SimMachine *m, const char *address);   /* NULL for none */
const char *sim_override_of(SimMachine *m, const char *address); /* NULL for none */
const char *sim_read(SimMachine *m, const char *path);           /* without the last newline; NULL if it cannot be read */
int sim_write(SimMachine *m, const char *path, const char *text); /* 0 or a negative errno; may hang */
bool sim_exists(SimMachine *m, const char *path);
/* Driver, override, power/control and d3cold_allowed of every function, a line each: what must be as before. */
const char *sim_dump(SimMachine *m);

/* A process that holds a device node; `sleep` by name. With `stubborn` it ignores SIGTERM. 0 for uid is root. */
pid_t sim_hold_node(SimMachine *m, const char *path);
pid_t sim_hold_node_as(SimMachine *m, const char *path, uid_t uid, bool stubborn);
void sim_let_go(SimMachine *m, pid_t pid);
/* Runs until `pid` has ended by itself or by somebody's signal; the signal, or 0. */
int sim_wait_ended(SimMachine *m, pid_t pid);
/* Has this child ended, or does it within so many milliseconds? It is not reaped. */
bool sim_wait_exit(pid_t pid, unsigned ms);

/* polkit: "yes", "no", "challenge", "auth", "never"; for one action, or for all with NULL. */
void sim_polkit_set(SimMachine *m, const char *answer, const char *action);
void sim_polkit_wait(SimMachine *m, unsigned n_lines); /* until the record has that many lines */
const char *sim_polkit_log(SimMachine *m);

/* systemd1: declares a unit (README.md has the words); "ACTIVE SUB RESULT". */
void sim_unit_set(SimMachine *m, const char *name, const char *words);
const char *sim_unit_state(SimMachine *m, const char *name);

/* login1: a whole cycle; did it sleep? */
bool sim_suspend(SimMachine *m);

/* A connection to the machine's bus as uid 0, and a new one as another uid (skip the test if !sim_have_users()). */
sd_bus *sim_bus(SimMachine *m);
sd_bus *sim_bus_new(SimMachine *m, uid_t uid);
bool sim_have_users(void);

/* The daemon under test: $GPUPT_DAEMON, with the worker $GPUPT_WORKER; meson sets both. `environment` is a NULL-terminated
 * list of further "KEY=VALUE", or NULL. Returns when it is ready (sd_notify). */
void sim_daemon_start(SimMachine *m, const char *const *environment);
/* NVIDIA's tool for this machine, as an element of that list: without it there is none. */
const char *sim_nvidia_smi(void);
void sim_daemon_kill(SimMachine *m);  /* SIGKILL, and waits for its end */
int sim_daemon_stop(SimMachine *m);   /* SIGTERM; its wait status */
pid_t sim_daemon_pid(SimMachine *m);
const char *sim_daemon_log(SimMachine *m);

/* Waits until a property, as text (numbers in decimal, booleans as "true"), has a value. */
void sim_wait_property(SimMachine *m, const char *path, const char *interface, const char *property, const char *value);
/* As text, or NULL if it cannot be read. Only for basic types. */
const char *sim_get_property(SimMachine *m, const char *path, const char *interface, const char *property);
