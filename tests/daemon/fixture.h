/* SPDX-License-Identifier: GPL-2.0-or-later */
#pragma once

/* fixture: the daemon on the simulated machine, spoken to as its callers do. A test reads
 *
 *         g_autoptr(Scene) s = scene_new("desktop", NULL);
 *
 *         assert_end(s, detach(s, "0000:08:00.0", "wait=0"), "done", "");
 *         assert_drivers(s, "vfio-pci", "0000:08:00.0", "0000:08:00.1", NULL);
 *         assert_end(s, attach(s, "0000:08:00.0", ""), "done", "");
 *         assert_as_at_first(s);
 *
 * Options are words: "wait=0 force functions=ADDRESS,ADDRESS driver=vfio-pci access=caller". What is waited for is
 * waited for by its event, at most for sim_deadline_sec(). Strings live as long as the scene. It looks at the daemon
 * from outside only: no header of daemon/ is included but those that are shared with clients. */

#include <glib.h>
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>

#include "dbus/errors.h"
#include "dbus/names.h"
#include "machine.h"
#include "recorder.h"

/* How a job ended. A call that was refused is one with id 0 and the result "refused". */
typedef struct JobEnd {
        unsigned id;
        char *path, *gpu, *result, *error, *message;
} JobEnd;

typedef struct Scene {
        SimMachine *m;
        char *first;         /* sim_dump() before the daemon was started */
        const char *const *environment; /* of the daemon, also when it is started again; weak */
        sd_bus *caller;      /* who calls; weak, sim_bus() until a test says otherwise */
        sd_bus *user;        /* of scene_be_user() */
        SimRecorder *jobs;   /* of JobRemoved alone */
        GPtrArray *ends;     /* of JobEnd, as they came */
        GPtrArray *strings;
        size_t log_seen;     /* by rungs_walked() */
} Scene;

/* The machine with its daemon. Then pairs of a path and a text: files that are there before the daemon is. */
Scene *scene_new(const char *topology, ...) G_GNUC_NULL_TERMINATED;
/* From here on uid 1000 calls: polkit is not asked about root. False, and the test skipped, where there is no such user. */
bool scene_be_user(Scene *s);
/* The machine alone; the caller starts the daemon by scene_start(). */
Scene *scene_new_without_daemon(const char *topology);
/* Likewise, of one of the topologies with these lines behind it. */
Scene *scene_new_with(const char *topology, const char *lines);
void scene_start(Scene *s);
void scene_free(Scene *s);
G_DEFINE_AUTOPTR_CLEANUP_FUNC(Scene, scene_free)

/* A file in the machine, with its directories; NULL removes it. */
void put_file(const char *path, const char *text);
/* The daemon is asked something as long as it has not said it. */
void wait_log(Scene *s, const char *text);
/* The quirks that ship, for every machine of this program; call before sim_machine_new(). Returns why not, or NULL. */
const char *install_quirks(void);

const char *gpu_path(Scene *s, const char *address);

/* Calls. Options as above; an option that the list does not know becomes a string. */
const JobEnd *detach(Scene *s, const char *gpu, const char *options);
const JobEnd *attach(Scene *s, const char *gpu, const char *options);
/* Any method that starts a job, and its end. */
const JobEnd *run_job(Scene *s, const char *method, const char *gpu, const char *options);
/* Until the reply: the job's path. Ends the test if it is refused. */
const char *job_start(Scene *s, const char *method, const char *gpu, const char *options);
const JobEnd *job_wait(Scene *s, const char *path);
/* The next job of whoever: what the daemon begins by itself. The recorder is older than the job. */
const char *job_next(Scene *s, SimRecorder *signals);
/* "flr remove-rescan": the rungs of the reset ladder that were climbed since this was last asked, in that order. */
const char *rungs_walked(Scene *s);
/* NULL once it is over. */
const char *job_property(Scene *s, const char *path, const char *property);
/* "VERB TARGET" of every step, or NULL and the error's name in *ret_error. */
char **plan(Scene *s, const char *operation, const char *gpu, const char *options, const char **ret_error);
/* The name of the error that the call ends with; "" for none. Arguments as for sd_bus_call_method(). */
const char *call_error(Scene *s, const char *path, const char *interface, const char *member, const char **ret_message,
                       const char *types, ...);
#define manager_call(s, ...) call_error(s, GPUPT_OBJECT_PATH, GPUPT_MANAGER_INTERFACE, __VA_ARGS__)
#define gpu_call(s, gpu, ...) call_error(s, gpu_path(s, gpu), GPUPT_GPU_INTERFACE, __VA_ARGS__)
#define job_call(s, job, ...) call_error(s, job, GPUPT_JOB_INTERFACE, __VA_ARGS__)
/* Ends the test if the daemon does not list its GPUs within a few seconds. */
void assert_alive(Scene *s);
int append_options(sd_bus_message *m, const char *options);

/* A call that is not waited for. */
typedef struct Pending Pending;
Pending *call_later(Scene *s, sd_bus *bus, const char *method, const char *gpu, const char *options, bool interactive);
bool pending_answered(Pending *p);       /* as far as is known without waiting */
const char *pending_wait(Pending *p);    /* the error's name, "" for none */
const char *pending_job(const Pending *p);
const char *pending_message(const Pending *p);
void pending_free(Pending *p);
G_DEFINE_AUTOPTR_CLEANUP_FUNC(Pending, pending_free)

/* A lease: the descriptor, or a negative number and the error's name. */
int acquire(Scene *s, const char *gpu, const char *options, const char **ret_job, const char **ret_error);

/* Any property as text: "(libvirt win10)", "[a b]", "{id=3 result=done}". */
const char *property_text(Scene *s, const char *path, const char *interface, const char *property);
const char *gpu_property(Scene *s, const char *gpu, const char *property);
void wait_gpu_property(Scene *s, const char *gpu, const char *property, const char *value);
/* Whether the daemon knows the function as one of that GPU's, with that driver: udev may know of it before the daemon does. */
bool gpu_has_function(Scene *s, const char *gpu, const char *address, const char *driver);
void wait_function(Scene *s, const char *gpu, const char *address, const char *driver);
const char *state_of(Scene *s, const char *gpu);
/* Until that is its state, and no job runs on it. */
void wait_state(Scene *s, const char *gpu, const char *state);
/* The dictionaries of ListHolders, one line each. */
const char *holders_of(Scene *s, const char *gpu);

/* A node of the card, by the beginning of its name: "/dev/dri/card1", "/dev/snd/controlC0". */
const char *node_of(Scene *s, const char *address, const char *name);
/* A process of that name (as /proc/PID/comm has it) that holds the node until it gets a signal; sim_let_go() ends it.
 */
pid_t process_start(Scene *s, const char *name, const char *node);
/* A virtual machine of bare QEMU likewise. */
pid_t vm_start(Scene *s, const char *name, const char *node);
/* One whose manager has given it a /dev of its own, as libvirt does: nobody sees when it opens the node. */
pid_t vm_start_privately(const char *name, const char *node);
/* One that is to get the node from somebody who has opened it: until vm_hand_over() it is on its way, and nobody's. */
typedef struct HandedVm {
        pid_t pid;
        int go, ready;
} HandedVm;
HandedVm vm_start_handed(const char *name, const char *node);
void vm_hand_over(Scene *s, HandedVm *vm, const char *node);
/* Somebody's shell that writes into /sys, for as long as that may take. Exit status: the errno. */
pid_t shell_write(const char *path, const char *text);
int shell_wait(Scene *s, pid_t pid);

#define assert_end(scene, end, result, error) assert_end_at(G_STRLOC, scene, end, result, error)
/* `error` without its prefix: "InUse", "InvalidArgs". */
void assert_end_at(const char *where, Scene *s, const JobEnd *end, const char *result, const char *error);
#define assert_has(text, part) assert_has_at(G_STRLOC, text, part)
void assert_has_at(const char *where, const char *text, const char *part);
#define assert_as_at_first(scene) assert_as_at_first_at(G_STRLOC, scene)
void assert_as_at_first_at(const char *where, Scene *s);
/* "" for no driver. */
void assert_drivers(Scene *s, const char *driver, ...) G_GNUC_NULL_TERMINATED;
/* The last word of a name with dots. */
const char *short_name(const char *error);
