/* SPDX-License-Identifier: GPL-2.0-or-later */
#pragma once

/* guest: what a test program inside the virtual machine says to it. The helpers speak the domain (a desktop, a VM that has the
 * card, a stubborn program) and fail the running case with a sentence when the machine does not do as asked: no caller checks
 * for errors. Everything that a helper starts is a systemd unit or libvirt domain of a fixed name, so that machine_restore()
 * finds it again after a case that died.
 *
 * Strings that are returned are the caller's (g_free, g_autofree). Everything runs as root, in a service, in no session. */

#include <glib.h>
#include <stdbool.h>
#include <systemd/sd-bus.h>

/* The two GPUs of every machine, each with its sound as function 1, each alone in its IOMMU group; see run-vm. CARD (bochs-drm)
 * has no FLR and nobody looks at it; BOOT (virtio-gpu) is the boot VGA with the console on it. */
#define CARD "0000:01:00.0"
#define CARD_AUDIO "0000:01:00.1"
#define CARD_PORT "0000:00:04.0"
#define BOOT "0000:02:00.0"
#define BOOT_AUDIO "0000:02:00.1"
#define BOOT_PORT "0000:00:05.0"
/* Where a card appears that is plugged into the machine's empty port, rp3, without sound: QEMU cannot plug a codec. */
#define PLUGGED "0000:03:00.0"
#define PLUGGED_PORT "0000:00:06.0"
#define PLUG_CARD "{\"execute\":\"device_add\",\"arguments\":{\"driver\":\"secondary-vga\",\"id\":\"plugged\",\"bus\":\"rp3\"}}"
#define UNPLUG_CARD "{\"execute\":\"device_del\",\"arguments\":{\"id\":\"plugged\"}}"

/* No wait may be longer: a machine without KVM that shares its processors is slow, but not that slow. */
#define PATIENCE_SEC 240

/* ---- Commands */

typedef enum Who {
        WHO_ROOT,     /* root, in no session */
        WHO_STRANGER, /* uid 1000, in no session: what polkit calls `any` */
        WHO_DESKTOP,  /* uid 1000, in the active session on tty1; needs desktop_start() */
} Who;

typedef struct Output {
        int status; /* exit status, or 128 + signal */
        char *out, *err;
} Output;

void output_free(Output *o);
G_DEFINE_AUTOPTR_CLEANUP_FUNC(Output, output_free)

/* Runs a program to its end. */
Output *command(Who who, const char *program, ...) G_GNUC_NULL_TERMINATED;
/* Its standard output without the last newline; it has to exit with 0. As root. */
char *output_of(const char *program, ...) G_GNUC_NULL_TERMINATED;

/* A program that runs beside the test. */
typedef struct Child Child;
Child *child_start(Who who, const char *program, ...) G_GNUC_NULL_TERMINATED;
GPid child_pid(const Child *c);
/* Waits for its end. */
Output *child_wait(Child *c);

/* Fails the case, with all that was printed, unless the status is as wanted. */
#define assert_status(output, wanted) command_assert((output), (wanted), __FILE__, __LINE__)
void command_assert(const Output *o, int wanted, const char *file, int line);

/* ---- Waiting */

/* Waits until something is so that no event tells of (a state in /proc, an attribute in sysfs), looking again and again; `what`
 * completes the sentence "waited for …". What has an event is waited for by it: the gpu_wait_* below, child_wait(). */
void wait_until(bool (*reached)(const void *userdata), const void *userdata, const char *what);

/* ---- The kernel */

/* The content of /sys/bus/pci/devices/<address>/<attribute> without its newline; NULL if there is none. */
char *pci_read(const char *address, const char *attribute);
/* Writes; the errno of the write, or 0. */
int pci_write(const char *address, const char *attribute, const char *value);
int sysfs_write(const char *path, const char *value);
/* The name of its driver, or "" without one; its IOMMU group's number. */
char *pci_driver(const char *address);
char *pci_group(const char *address);
bool pci_exists(const char *address);
/* /dev/vfio/<group> of a function. */
char *vfio_node(const char *address);
/* The control node of a function's sound card, such as /dev/snd/controlC0; NULL without a card. */
char *sound_control(const char *address);
/* The path of a child of a function in sysfs, such as pci_child(CARD_AUDIO, "sound", "card"): its sound card's directory. */
char *pci_child(const char *address, const char *directory, const char *prefix);

/* Moves a function to another driver by driver_override, as a shell script would. */
void pci_rebind(const char *address, const char *driver);

/* The processes that have a file open, by /proc/PID/fd; `name` is the holder's comm, or NULL for any. */
GArray *holders_of(const char *path); /* of pid_t */
bool is_held(const char *path, const char *name);

/* Everything of the GPUs that a detach touches and an attach has to put back: drivers, overrides, power attributes of functions
 * and bridges, reset methods, vtconsoles, device nodes with their ACLs. One fact a line. */
char *machine_state(void);
/* Fails the case if anything of it has changed since, and says what. */
void assert_machine_state(const char *before);

/* ---- The machine */

/* Brings it back to its first state by force, whatever the case before left: no VM, no desktop, no holder, every function on its
 * host driver, a freshly started daemon without a past. */
void machine_restore(void);

/* Adds a GTest case that begins with machine_restore(). */
void case_add(const char *path, void (*test)(void));

/* One QMP command to the QEMU that this machine runs in, such as {"execute":"device_del","arguments":{"id":"gpu1"}}; the answer. */
char *outer_qmp(const char *request);

/* Suspends to RAM for some seconds of the clock and returns after the wake; false if the machine refused to sleep. */
bool machine_sleep(unsigned seconds);

/* ---- Who holds what */

/* A QEMU in QEMU, `nested.service`, that has these functions open for real. */
typedef struct NestedVm NestedVm;
#define NESTED_UNIT "nested.service"
#define NESTED_NAME "nested"
NestedVm *nested_start(const char *first, ...) G_GNUC_NULL_TERMINATED;
/* The same, and gpuptd's adapter `qemu` can talk to it as well. */
NestedVm *nested_start_managed(const char *first, ...) G_GNUC_NULL_TERMINATED;
/* One QMP command to it; the answer. Events that come before it are lost. */
char *nested_qmp(NestedVm *vm, const char *request);
/* Waits for an event of it, such as "STOP": when that was, in microseconds of CLOCK_REALTIME. */
gint64 nested_event(NestedVm *vm, const char *event);
/* Ends it by QMP, or as a crash or the kernel would (SIGKILL), and waits. */
void nested_stop(NestedVm *vm);
void nested_kill(NestedVm *vm);

/* The libvirt domain `win10` with both functions of CARD as `<hostdev managed='no'>`. */
#define DOMAIN_NAME "win10"
void domain_start(void);
void domain_stop(void);
/* What virsh says about its start, which may be refused. */
Output *domain_try_start(void);
/* The same domain with managed='yes': libvirt moves the functions, too. */
void domain_start_managed(void);
/* gpuptd's hook in libvirt's directory, until machine_restore(). */
void domain_hook_install(void);
void domain_hook_remove(void);

/* `stubborn.service`: a `sleep` that has the node open and heeds nothing but SIGKILL. */
#define STUBBORN_UNIT "stubborn.service"
#define STUBBORN_COMMAND "sleep"
pid_t stubborn_start(const char *node);
void stubborn_stop(void);

/* The active session of uid 1000 on tty1, with PipeWire and WirePlumber, which have taken the sound cards when it returns. */
void desktop_start(void);
void desktop_stop(void);
/* Whether that session's WirePlumber has a card's control node open. */
bool desktop_holds(const char *control);

/* ---- gpuptd */

/* Whether it is installed in this machine. */
bool daemon_installed(void);
/* Starts it anew, without a past; ends it as a crash does; starts it again with what it left. */
void daemon_renew(void);
void daemon_kill(void);
void daemon_start(void);
pid_t daemon_pid(void);

/* gpuptctl as somebody. */
#define gpuptctl(who, ...) command((who), "gpuptctl", "--no-ask-password", "--no-pager", __VA_ARGS__)

/* A property of a GPU's, as text: strings as they are, numbers in decimal, (ss) as "a b", others in busctl's manner. */
char *gpu_get(const char *address, const char *property);
/* Calls a method that takes options (a{sv}) without any; the name of the error that it answers with, NULL if none. */
char *gpu_call(const char *address, const char *method);
/* Tells it the phase of a VM ("pre-stop"); the name of the error that it answers with, NULL if none. */
char *gpu_phase(const char *address, const char *phase);
/* Waits for the State, or the Health, of a GPU, by its signals. */
void gpu_wait_state(const char *address, const char *state);
void gpu_wait_health(const char *address, const char *health);
/* Waits until it is absent, or no GPU of gpuptd's any more. */
void gpu_wait_gone(const char *address);
/* Waits until no job runs on it; a string of what the last one came to, such as "result" or "error". */
void gpu_wait_idle(const char *address);
char *gpu_last_job(const char *address, const char *key);
/* Starts an operation ("Detach", "Attach") and kills the daemon the moment it says that it has come to a step; false if the job
 * was faster and has ended. */
bool gpu_crash_at_step(const char *address, const char *method, unsigned step);
/* The same with the power of the machine: does not return then. What is to survive is on the disk of run-vm --keep. */
bool gpu_cut_at_step(const char *address, const char *method, unsigned step);
G_GNUC_NORETURN void machine_cut(void);
