/* SPDX-License-Identifier: GPL-2.0-or-later */

/* mock-daemon: see the header. Every property and signal has the signature of the real one; the values are
 * made up. Four things serve tests alone: Plan() lists the options that it was given, Rescan() ends the
 * lease, a call that gets no answer is told by ReleaseRequested, and what a hook calls is written down. */

#include "tests/unit/mock-daemon.h"

#include <fcntl.h>
#include <inttypes.h>
#include <signal.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <systemd/sd-bus.h>
#include <systemd/sd-event.h>

#include "dbus/errors.h"
#include "dbus/names.h"
#include "tests/unit/mock-card.h"
#include "tests/unit/mock-sleep.h"
#include "util/cleanup.h"

typedef struct MockGpu {
        const char *address;
        const char *state, *health;
        char *path;
        bool has_job;
        char taken_for[64];
} MockGpu;

typedef struct Mock {
        const MockScript *script;
        sd_event *event;
        sd_bus *bus;
        sd_bus *liar;
        MockGpu gpus[2];

        /* the one job */
        uint32_t id, step;
        MockGpu *gpu;               /* NULL: the host's */
        const char *operation;
        char phase[16], vm[64];     /* of a hook; an attach is one as well */
        const char *state;
        char path[64];
        sd_bus_slot *slot;
        sd_event_source *runner;

        char fifo[4096];
        int lease_fd;
        sd_event_source *lease;
} Mock;

static void must(int r) {
        if (r < 0) {
                (void) fprintf(stderr, "mock-daemon: %s\n", strerror(-r));
                _exit(EXIT_FAILURE);
        }
}

/* ---- the job ---- */

static int job_get(sd_bus *bus, const char *path, const char *interface, const char *property,
                   sd_bus_message *reply, void *userdata, sd_bus_error *ret_error) {
        Mock *m = userdata;
        char text[64];

        if (streq(property, "Id"))
                return sd_bus_message_append(reply, "u", m->id);
        if (streq(property, "Gpu"))
                return sd_bus_message_append(reply, "o", m->gpu ? m->gpu->path : GPUPT_OBJECT_PATH);
        if (streq(property, "Operation"))
                return sd_bus_message_append(reply, "s", m->operation);
        if (streq(property, "State"))
                return sd_bus_message_append(reply, "s", m->state);
        if (streq(property, "Step"))
                return sd_bus_message_append(reply, "u", m->step);
        if (streq(property, "Steps"))
                return sd_bus_message_append(reply, "u", MOCK_STEPS);
        if (streq(property, "Cancellable"))
                return sd_bus_message_append(reply, "b", 1);

        (void) snprintf(text, sizeof(text), "do thing %" PRIu32, m->step);
        return sd_bus_message_append(reply, "s", text);
}

/* As JobRemoved has it: that of a job of the host is empty. */
static const char *job_address(const Mock *m) {
        return m->gpu ? m->gpu->address : "";
}

static void job_set_gpu_busy(Mock *m, bool busy) {
        if (m->gpu)
                m->gpu->has_job = busy;
}

static void tell_lie(Mock *m) {
        if (!m->script->lie)
                return;
        must(sd_bus_emit_signal(m->liar, GPUPT_OBJECT_PATH, GPUPT_MANAGER_INTERFACE, "JobRemoved", "uossss",
                                m->id, m->path, job_address(m), "failed", GPUPT_ERROR_STUCK,
                                "This is a lie."));
        must(sd_bus_call_method(m->liar, "org.freedesktop.DBus", "/org/freedesktop/DBus",
                                "org.freedesktop.DBus.Peer", "Ping", NULL, NULL, NULL));
}

/* Where a phase that is done leaves the GPU, or the attach that ends it. */
static void move_gpu(Mock *m) {
        MockGpu *gpu = m->gpu;

        if (streq(m->phase, "attach") && !*gpu->taken_for)
                return;
        if (streq(m->phase, "pre-start") && streq(gpu->state, "host"))
                (void) snprintf(gpu->taken_for, sizeof(gpu->taken_for), "%s", m->vm);
        if (!streq(m->phase, "post-start"))
                gpu->state = streq(m->phase, "attach") ? "host" : "detached";
        if (streq(m->phase, "attach"))
                gpu->taken_for[0] = '\0';
}

static void job_end(Mock *m, const char *result, const char *error, const char *message) {
        tell_lie(m);
        job_set_gpu_busy(m, false);
        m->slot = sd_bus_slot_unref(m->slot);
        must(sd_bus_emit_signal(m->bus, GPUPT_OBJECT_PATH, GPUPT_MANAGER_INTERFACE, "JobRemoved", "uossss",
                                m->id, m->path, job_address(m), result, strempty(error), strempty(message)));
        m->id++;
}

static int job_cancel(sd_bus_message *message, void *userdata, sd_bus_error *ret_error) {
        Mock *m = userdata;

        if (m->script->refuse_cancel)
                return sd_bus_error_set(ret_error, GPUPT_ERROR_NOT_SUPPORTED, "It is past the point of no return.");
        must(sd_bus_reply_method_return(message, NULL));
        job_end(m, "cancelled", GPUPT_ERROR_CANCELLED, "Cancelled as asked.");
        return 1;
}

static const sd_bus_vtable job_vtable[] = {
        SD_BUS_VTABLE_START(0),
        SD_BUS_PROPERTY("Id", "u", job_get, 0, SD_BUS_VTABLE_PROPERTY_CONST),
        SD_BUS_PROPERTY("Gpu", "o", job_get, 0, SD_BUS_VTABLE_PROPERTY_CONST),
        SD_BUS_PROPERTY("Operation", "s", job_get, 0, SD_BUS_VTABLE_PROPERTY_CONST),
        SD_BUS_PROPERTY("State", "s", job_get, 0, SD_BUS_VTABLE_PROPERTY_EMITS_CHANGE),
        SD_BUS_PROPERTY("Step", "u", job_get, 0, SD_BUS_VTABLE_PROPERTY_EMITS_CHANGE),
        SD_BUS_PROPERTY("Steps", "u", job_get, 0, SD_BUS_VTABLE_PROPERTY_EMITS_CHANGE),
        SD_BUS_PROPERTY("Description", "s", job_get, 0, SD_BUS_VTABLE_PROPERTY_EMITS_CHANGE),
        SD_BUS_PROPERTY("Cancellable", "b", job_get, 0, SD_BUS_VTABLE_PROPERTY_EMITS_CHANGE),
        SD_BUS_METHOD("Cancel", NULL, NULL, job_cancel, SD_BUS_VTABLE_UNPRIVILEGED),
        SD_BUS_VTABLE_END,
};

static void job_export(Mock *m) {
        (void) snprintf(m->path, sizeof(m->path), "%s/%" PRIu32, GPUPT_JOB_PREFIX, m->id);
        must(sd_bus_add_object_vtable(m->bus, &m->slot, m->path, GPUPT_JOB_INTERFACE, job_vtable, m));
        job_set_gpu_busy(m, true);
}

/* Whether the script's refusal, or result, is about this GPU. */
static bool is_meant(const Mock *m, const MockGpu *gpu) {
        return !m->script->refused_gpu || streq(m->script->refused_gpu, gpu->address);
}

static int job_step(sd_event_source *s, void *userdata) {
        Mock *m = userdata;

        if (m->step < MOCK_STEPS && (m->step == 0 || m->script->pace != MOCK_HANG)) {
                m->step++;
                must(sd_bus_emit_properties_changed(m->bus, m->path, GPUPT_JOB_INTERFACE, "Step", "Steps",
                                                    "Description", NULL));
                return sd_event_source_set_enabled(s, SD_EVENT_ONESHOT);
        }
        if (m->script->pace == MOCK_HANG || m->script->joins_sleep)
                return 0;
        if (m->script->result && (!m->gpu || is_meant(m, m->gpu)))
                job_end(m, m->script->result, m->script->error, m->script->message);
        else {
                if (m->gpu && *m->phase)
                        move_gpu(m);
                job_end(m, "done", NULL, m->script->result ? NULL : m->script->message);
        }
        return 0;
}

/* To be called when the reply is queued already. No GPU: a job of the host. */
static void job_begin(Mock *m, MockGpu *gpu, const char *operation) {
        m->gpu = gpu;
        m->operation = operation;
        m->state = "running";
        m->step = 0;
        job_export(m);
        must(sd_bus_emit_signal(m->bus, GPUPT_OBJECT_PATH, GPUPT_MANAGER_INTERFACE, "JobNew", "uo", m->id,
                                m->path));
        m->runner = sd_event_source_disable_unref(m->runner);
        must(sd_event_add_defer(m->event, &m->runner, job_step, m));
        /* after the bus, so that Cancel and reads get their turn between the steps */
        must(sd_event_source_set_priority(m->runner, SD_EVENT_PRIORITY_IDLE));
}

/* A job that the daemon before began ends when its reader has got the answer. */
static int on_resumed_read(sd_bus_message *message, void *userdata, sd_bus_error *ret_error) {
        Mock *m = userdata;

        if (m->slot && streq(strempty(sd_bus_message_get_path(message)), m->path) && !m->runner) {
                m->step = MOCK_STEPS;
                must(sd_event_add_defer(m->event, &m->runner, job_step, m));
        }
        return 0;
}

/* ---- the GPUs ---- */

static MockGpu *gpu_of_message(Mock *m, sd_bus_message *message) {
        return streq(sd_bus_message_get_path(message), m->gpus[0].path) ? &m->gpus[0] : &m->gpus[1];
}

static int append_functions(sd_bus_message *reply, const MockGpu *gpu) {
        char audio[16];

        (void) snprintf(audio, sizeof(audio), "%.11s1", gpu->address);
        return sd_bus_message_append(reply, "aa{sv}", 2,
                                     7, "address", "s", gpu->address, "class", "u", 0x030000, "vendor", "q", 0x10de,
                                     "device", "q", 0x1c82, "driver", "s", "nouveau", "group", "i", 1,
                                     "role", "s", "display",
                                     8, "address", "s", audio, "class", "u", 0x040300, "vendor", "q", 0x10de,
                                     "device", "q", 0x0fb9, "driver", "s", "vfio-pci",
                                     "host-driver", "s", "snd_hda_intel",
                                     "group", "i", -1, "role", "s", "audio");
}

static int append_last_job(Mock *m, sd_bus_message *reply, const MockGpu *gpu) {
        if (!m->script->job_is_last || gpu != m->gpus)
                return sd_bus_message_append(reply, "a{sv}", 0);
        return sd_bus_message_append(reply, "a{sv}", 6, "id", "u", MOCK_JOB, "operation", "s", "detach",
                                     "result", "s", m->script->result ?: "done", "error", "s",
                                     strempty(m->script->error), "message", "s", strempty(m->script->message),
                                     "time", "t", UINT64_C(1700000000000000));
}

/* The property's value. The name holds what a terminal must never get. */
static int gpu_get(sd_bus *bus, const char *path, const char *interface, const char *property,
                   sd_bus_message *reply, void *userdata, sd_bus_error *ret_error) {
        Mock *m = userdata;
        MockGpu *gpu = streq(path, m->gpus[0].path) ? &m->gpus[0] : &m->gpus[1];

        if (gpu == m->gpus && mock_card_has(m->script->card, property))
                return mock_card_append(reply, m->script->card, property);
        if (streq(property, "Address"))
                return sd_bus_message_append(reply, "s", gpu->address);
        if (streq(property, "Name"))
                return sd_bus_message_append(reply, "s",
                                             gpu == m->gpus ? "GP107 [GeForce GTX 1050 Ti]"
                                                            : "Evil\033[31m \n\302\233card");
        if (streq(property, "VendorId"))
                return sd_bus_message_append(reply, "q", 0x10de);
        if (streq(property, "DeviceId"))
                return sd_bus_message_append(reply, "q", 0x1c82);
        if (streq(property, "Class"))
                return sd_bus_message_append(reply, "u", 0x030000);
        if (startswith(property, "Subsystem"))
                return sd_bus_message_append(reply, "q", 0);
        if (streq(property, "BootVga"))
                return sd_bus_message_append(reply, "b", gpu == m->gpus);
        if (streq(property, "State"))
                return sd_bus_message_append(reply, "s", gpu->state);
        if (streq(property, "Driver"))
                return sd_bus_message_append(reply, "s", "nouveau");
        if (streq(property, "Functions"))
                return append_functions(reply, gpu);
        if (streq(property, "IommuGroups"))
                return sd_bus_message_append(reply, "au", 2, 1, 2);
        if (streq(property, "ResetMethods"))
                return sd_bus_message_append(reply, "as", 2, "flr", "bus");
        if (streq(property, "Connectors"))
                return sd_bus_message_append(reply, "a(ss)", 2, "DP-1", "disconnected", "HDMI-A-1", "connected");
        if (streq(property, "VirtualMachine"))
                return streq(gpu->state, "assigned") ? sd_bus_message_append(reply, "(ss)", "libvirt", "win10")
                                                     : sd_bus_message_append(reply, "(ss)", "", "");
        if (streq(property, "HealthFindings"))
                return sd_bus_message_append(reply, "a(sss)", 1, "fan", "warning", "The fan does not turn.");
        if (streq(property, "TakenFor"))
                return sd_bus_message_append(reply, "s", gpu->taken_for);
        if (streq(property, "Default"))
                return sd_bus_message_append(reply, "s", m->script->default_state ?: "host");
        if (streq(property, "Health"))
                return sd_bus_message_append(reply, "s", gpu->health);
        if (streq(property, "Job"))
                return sd_bus_message_append(reply, "o", gpu->has_job ? m->path : "/");
        if (streq(property, "SleepPolicy"))
                return sd_bus_message_append(reply, "a{ss}", 3, "VirtualMachine", "auto", "Gpu", "unbind", "TimeoutSec",
                                             gpu == m->gpus ? "180" : "30");
        return append_last_job(m, reply, gpu);
}

/* The operation that a method begins. */
static const char *operation_of(const char *method) {
        return streq(method, "VmPhase") ? "phase" : streq(method, "Detach") ? "detach" : streq(method, "Attach") ? "attach" : streq(method, "Reset") ? "reset" : "recover";
}

static void note_call(const Mock *m, const char *line) {
        char path[4096];
        FILE *f;

        (void) snprintf(path, sizeof(path), "%s/calls", m->script->lease_dir);
        f = fopen(path, "ae");
        if (!f)
                must(-errno);
        (void) fprintf(f, "%s\n", line);
        (void) fclose(f);
}

/* What a hook is about; and only the first option is looked at. */
static void read_phase(Mock *m, sd_bus_message *message, const MockGpu *gpu) {
        const char *manager, *vm, *phase, *option = "";
        char line[256];

        if (sd_bus_message_is_method_call(message, NULL, "VmPhase")) {
                must(sd_bus_message_read(message, "sss", &manager, &vm, &phase));
                (void) snprintf(m->phase, sizeof(m->phase), "%s", phase);
                (void) snprintf(m->vm, sizeof(m->vm), "%s (%s)", vm, manager);
        } else {
                (void) snprintf(m->phase, sizeof(m->phase), "attach");
                m->vm[0] = '\0';
        }
        must(sd_bus_message_enter_container(message, 'a', "{sv}"));
        if (sd_bus_message_enter_container(message, 'e', "sv") > 0)
                must(sd_bus_message_read(message, "s", &option));
        (void) snprintf(line, sizeof(line), "%s %s%s%s%s%s", gpu->address, m->phase, *m->vm ? " " : "", m->vm, *option ? " " : "",
                        option);
        note_call(m, line);
}

static int gpu_start_job(sd_bus_message *message, void *userdata, sd_bus_error *ret_error) {
        Mock *m = userdata;
        MockGpu *gpu = gpu_of_message(m, message);
        char path[64];

        m->phase[0] = '\0';
        if (gpu->has_job)
                return sd_bus_error_set(ret_error, GPUPT_ERROR_BUSY, "A job runs already.");
        if (sd_bus_message_is_method_call(message, NULL, "VmPhase") || sd_bus_message_is_method_call(message, NULL, "Attach"))
                read_phase(m, message, gpu);
        if (m->script->refusal && is_meant(m, gpu))
                return sd_bus_error_set(ret_error, m->script->refusal, "It is refused.");
        if (m->script->pace == MOCK_NEVER_ANSWER) {
                must(sd_bus_emit_signal(m->bus, GPUPT_OBJECT_PATH, GPUPT_MANAGER_INTERFACE, "ReleaseRequested",
                                        "oasu", gpu->path, 0, 1));
                return 1;
        }
        (void) snprintf(path, sizeof(path), "%s/%" PRIu32, GPUPT_JOB_PREFIX, m->id);
        must(sd_bus_reply_method_return(message, "o", path));
        if (m->script->joins_sleep)
                job_begin(m, NULL, "sleep");
        else
                job_begin(m, gpu, operation_of(sd_bus_message_get_member(message)));
        return 1;
}

static int on_lease_released(sd_event_source *s, int fd, uint32_t revents, void *userdata) {
        Mock *m = userdata;

        m->lease = sd_event_source_disable_unref(m->lease);
        m->lease_fd = safe_close(m->lease_fd);
        (void) unlink(m->fifo);
        job_begin(m, &m->gpus[0], "attach");
        return 0;
}

static int gpu_acquire(sd_bus_message *message, void *userdata, sd_bus_error *ret_error) {
        Mock *m = userdata;
        _cleanup_close_ int theirs = -EBADF;
        char path[64];

        if (m->script->refusal)
                return sd_bus_error_set(ret_error, m->script->refusal, "It is refused.");
        (void) snprintf(m->fifo, sizeof(m->fifo), "%s/lease.fifo", m->script->lease_dir);
        must(RET_NERRNO(mkfifo(m->fifo, 0600)));
        must(m->lease_fd = RET_NERRNO(open(m->fifo, O_RDONLY | O_CLOEXEC | O_NONBLOCK)));
        must(theirs = RET_NERRNO(open(m->fifo, O_WRONLY | O_CLOEXEC | O_NONBLOCK)));
        must(sd_event_add_io(m->event, &m->lease, m->lease_fd, 0, on_lease_released, m));

        (void) snprintf(path, sizeof(path), "%s/%" PRIu32, GPUPT_JOB_PREFIX, m->id);
        must(sd_bus_reply_method_return(message, "ho", theirs, path));
        job_begin(m, gpu_of_message(m, message), "detach");
        return 1;
}

static int append_option(sd_bus_message *message, sd_bus_message *reply) {
        const char *name, *contents, *text;
        char detail[256] = "";
        uint32_t u;
        int b;

        must(sd_bus_message_read(message, "s", &name));
        must(sd_bus_message_peek_type(message, NULL, &contents));
        must(sd_bus_message_enter_container(message, 'v', contents));
        if (streq(contents, "b")) {
                must(sd_bus_message_read(message, "b", &b));
                (void) snprintf(detail, sizeof(detail), "%s", b ? "true" : "false");
        } else if (streq(contents, "u")) {
                must(sd_bus_message_read(message, "u", &u));
                (void) snprintf(detail, sizeof(detail), "%" PRIu32, u);
        } else if (streq(contents, "s")) {
                must(sd_bus_message_read(message, "s", &text));
                (void) snprintf(detail, sizeof(detail), "%s", text);
        } else {
                must(sd_bus_message_enter_container(message, 'a', "s"));
                while (sd_bus_message_read(message, "s", &text) > 0)
                        (void) snprintf(detail + strlen(detail), sizeof(detail) - strlen(detail), "%s;", text);
                must(sd_bus_message_exit_container(message));
        }
        must(sd_bus_message_exit_container(message));
        return sd_bus_message_append(reply, "(sss)", name, contents, detail);
}

static int gpu_plan(sd_bus_message *message, void *userdata, sd_bus_error *ret_error) {
        _cleanup_(sd_bus_message_unrefp) sd_bus_message *reply = NULL;
        const char *operation;

        must(sd_bus_message_read(message, "s", &operation));
        must(sd_bus_message_new_method_return(message, &reply));
        must(sd_bus_message_open_container(reply, 'a', "(sss)"));
        must(sd_bus_message_append(reply, "(sss)", "operation", "s", operation));
        must(sd_bus_message_enter_container(message, 'a', "{sv}"));
        while (sd_bus_message_enter_container(message, 'e', "sv") > 0) {
                must(append_option(message, reply));
                must(sd_bus_message_exit_container(message));
        }
        must(sd_bus_message_close_container(reply));
        return sd_bus_send(NULL, reply, NULL);
}

static int gpu_list_holders(sd_bus_message *message, void *userdata, sd_bus_error *ret_error) {
        return sd_bus_reply_method_return(message, "aa{sv}", 2,
                                          8, "pid", "u", 4711, "start-time", "t", UINT64_C(99), "uid", "u", 0,
                                          "command", "s", "qemu\033]0;x\007", "nodes", "as", 2, "/dev/vfio/1",
                                          "/dev/vfio/vfio", "unit", "s", "machine-qemu.scope",
                                          "session", "s", "", "machine", "s", "qemu-1-win10",
                                          3, "pid", "u", 812, "nodes", "as", 1, "/dev/snd/controlC1", "unit", "s",
                                          "user@1000.service");
}

static int gpu_read_rom(sd_bus_message *message, void *userdata, sd_bus_error *ret_error) {
        uint8_t image[MOCK_ROM_SIZE] = { 0x55, 0xaa, MOCK_ROM_SIZE / 512, [0x18] = 0x20, [0x20] = 'P', 'C', 'I', 'R',
                                         0xde, 0x10, 0x82, 0x1c, [0x30] = MOCK_ROM_SIZE / 512, [0x35] = 0x80 };
        Mock *m = userdata;
        _cleanup_close_ int fd = -EBADF;
        uint8_t sum = 0;

        must(sd_bus_message_enter_container(message, 'a', "{sv}"));
        if (m->script->rom == MOCK_ROM_IN_USE && sd_bus_message_at_end(message, false))
                return sd_bus_error_set(ret_error, GPUPT_ERROR_IN_USE, "The driver nouveau uses it.");
        for (size_t i = 0; i < sizeof(image); i++)
                sum = (uint8_t) (sum + image[i]);
        image[sizeof(image) - 1] = (uint8_t) -sum;
        if (m->script->rom == MOCK_ROM_OTHER)
                image[0x26]++;
        if (m->script->rom == MOCK_ROM_BROKEN)
                image[0] = 0;
        must(fd = RET_NERRNO(memfd_create("rom", MFD_CLOEXEC)));
        must(pwrite(fd, image, sizeof(image), 0) == sizeof(image) ? 0 : -EIO);
        return sd_bus_reply_method_return(message, "h", fd);
}

/* Only "vfio" can be had. */
static int gpu_set_default(sd_bus_message *message, void *userdata, sd_bus_error *ret_error) {
        const char *state;
        int r;

        r = sd_bus_message_read(message, "s", &state);
        if (r < 0)
                return r;
        if (!streq(state, "vfio"))
                return sd_bus_error_set(ret_error, GPUPT_ERROR_FAILED, "The rule cannot be written.");
        return sd_bus_reply_method_return(message, NULL);
}

static const sd_bus_vtable gpu_vtable[] = {
        SD_BUS_VTABLE_START(0),
        SD_BUS_PROPERTY("Address", "s", gpu_get, 0, SD_BUS_VTABLE_PROPERTY_CONST),
        SD_BUS_PROPERTY("Name", "s", gpu_get, 0, SD_BUS_VTABLE_PROPERTY_CONST),
        SD_BUS_PROPERTY("VendorId", "q", gpu_get, 0, SD_BUS_VTABLE_PROPERTY_CONST),
        SD_BUS_PROPERTY("DeviceId", "q", gpu_get, 0, SD_BUS_VTABLE_PROPERTY_CONST),
        SD_BUS_PROPERTY("SubsystemVendorId", "q", gpu_get, 0, SD_BUS_VTABLE_PROPERTY_CONST),
        SD_BUS_PROPERTY("SubsystemId", "q", gpu_get, 0, SD_BUS_VTABLE_PROPERTY_CONST),
        SD_BUS_PROPERTY("Class", "u", gpu_get, 0, SD_BUS_VTABLE_PROPERTY_CONST),
        SD_BUS_PROPERTY("BootVga", "b", gpu_get, 0, SD_BUS_VTABLE_PROPERTY_CONST),
        SD_BUS_PROPERTY("State", "s", gpu_get, 0, SD_BUS_VTABLE_PROPERTY_EMITS_CHANGE),
        SD_BUS_PROPERTY("Driver", "s", gpu_get, 0, SD_BUS_VTABLE_PROPERTY_EMITS_CHANGE),
        SD_BUS_PROPERTY("Functions", "aa{sv}", gpu_get, 0, SD_BUS_VTABLE_PROPERTY_EMITS_CHANGE),
        SD_BUS_PROPERTY("IommuGroups", "au", gpu_get, 0, SD_BUS_VTABLE_PROPERTY_EMITS_CHANGE),
        SD_BUS_PROPERTY("ResetMethods", "as", gpu_get, 0, SD_BUS_VTABLE_PROPERTY_EMITS_CHANGE),
        SD_BUS_PROPERTY("Connectors", "a(ss)", gpu_get, 0, SD_BUS_VTABLE_PROPERTY_EMITS_CHANGE),
        SD_BUS_PROPERTY("VirtualMachine", "(ss)", gpu_get, 0, SD_BUS_VTABLE_PROPERTY_EMITS_CHANGE),
        SD_BUS_PROPERTY("Health", "s", gpu_get, 0, SD_BUS_VTABLE_PROPERTY_EMITS_CHANGE),
        SD_BUS_PROPERTY("HealthFindings", "a(sss)", gpu_get, 0, SD_BUS_VTABLE_PROPERTY_EMITS_CHANGE),
        SD_BUS_PROPERTY("Job", "o", gpu_get, 0, SD_BUS_VTABLE_PROPERTY_EMITS_CHANGE),
        SD_BUS_PROPERTY("LastJob", "a{sv}", gpu_get, 0, SD_BUS_VTABLE_PROPERTY_EMITS_CHANGE),
        SD_BUS_PROPERTY("SleepPolicy", "a{ss}", gpu_get, 0, SD_BUS_VTABLE_PROPERTY_EMITS_CHANGE),
        SD_BUS_PROPERTY("Default", "s", gpu_get, 0, SD_BUS_VTABLE_PROPERTY_EMITS_CHANGE),
        SD_BUS_PROPERTY("TakenFor", "s", gpu_get, 0, SD_BUS_VTABLE_PROPERTY_EMITS_CHANGE),
        SD_BUS_METHOD("VmPhase", "sssa{sv}", "o", gpu_start_job, SD_BUS_VTABLE_UNPRIVILEGED),
        SD_BUS_METHOD("Detach", "a{sv}", "o", gpu_start_job, SD_BUS_VTABLE_UNPRIVILEGED),
        SD_BUS_METHOD("Attach", "a{sv}", "o", gpu_start_job, SD_BUS_VTABLE_UNPRIVILEGED),
        SD_BUS_METHOD("Reset", "a{sv}", "o", gpu_start_job, SD_BUS_VTABLE_UNPRIVILEGED),
        SD_BUS_METHOD("Recover", "a{sv}", "o", gpu_start_job, SD_BUS_VTABLE_UNPRIVILEGED),
        SD_BUS_METHOD("Acquire", "a{sv}", "ho", gpu_acquire, SD_BUS_VTABLE_UNPRIVILEGED),
        SD_BUS_METHOD("Plan", "sa{sv}", "a(sss)", gpu_plan, SD_BUS_VTABLE_UNPRIVILEGED),
        SD_BUS_METHOD("ListHolders", NULL, "aa{sv}", gpu_list_holders, SD_BUS_VTABLE_UNPRIVILEGED),
        SD_BUS_METHOD("SetDefault", "s", NULL, gpu_set_default, SD_BUS_VTABLE_UNPRIVILEGED),
        SD_BUS_METHOD("ReadRom", "a{sv}", "h", gpu_read_rom, SD_BUS_VTABLE_UNPRIVILEGED),
        SD_BUS_VTABLE_END,
};

/* ---- the manager ---- */

/* A function of it, in the long form or the short one. */
static bool is_called(const MockGpu *gpu, const char *name) {
        size_t n = strlen(gpu->address) - 1;

        for (size_t skip = 0; skip <= STRLEN("0000:"); skip += STRLEN("0000:"))
                if (strlen(name) == n - skip + 1 && strncmp(name, gpu->address + skip, n - skip) == 0)
                        return true;
        return strlen(name) == n - 1 && strncmp(name, gpu->address, n - 1) == 0; /* of the slot */
}

static int manager_get_gpu(sd_bus_message *message, void *userdata, sd_bus_error *ret_error) {
        Mock *m = userdata;
        const char *name;

        must(sd_bus_message_read(message, "s", &name));
        for (unsigned i = 0; i < m->script->n_gpus; i++)
                if (is_called(m->gpus + i, name))
                        return sd_bus_reply_method_return(message, "o", m->gpus[i].path);
        if (strlen(name) > 64)
                return sd_bus_error_set(ret_error, SD_BUS_ERROR_INVALID_ARGS, "That is no name of a GPU.");
        return sd_bus_error_setf(ret_error, GPUPT_ERROR_NO_SUCH_GPU, "There is no GPU '%s'.", name);
}

static int manager_list_groups(sd_bus_message *message, void *userdata, sd_bus_error *ret_error) {
        Mock *m = userdata;

        if (m->script->card == MOCK_CARD_APU)
                return sd_bus_reply_method_return(message, "aa{sv}", 2, 2, "address", "s", MOCK_FIRST, "vendor", "q", 0x1002,
                                                  2, "address", "s", "0000:01:00.2", "vendor", "q", 0x1022);
        return sd_bus_reply_method_return(message, "aa{sv}", 3,
                                          7, "address", "s", "0000:01:00.0", "vendor", "q", 0x10de,
                                          "device", "q", 0x1c82, "driver", "s", "nouveau", "group", "i", 2,
                                          "reset-methods", "as", 2, "flr", "bus", "role", "s", "display",
                                          5, "address", "s", "0000:00:1f.0", "vendor", "q", 0x8086,
                                          "device", "q", 0x2918, "driver", "s", "lpc_ich", "group", "i", -1,
                                          5, "address", "s", "0000:01:00.1", "vendor", "q", 0x10de,
                                          "device", "q", 0x0fb9, "driver", "s", "snd_hda_intel", "group", "i", 2);
}

static int manager_check(sd_bus_message *message, void *userdata, sd_bus_error *ret_error) {
        Mock *m = userdata;

        if (m->script->check_fails)
                return sd_bus_reply_method_return(message, "a(ssss)", 3,
                                                  "host.iommu", "fail", "There is no IOMMU", "Switch it on.",
                                                  "host.kernel", "ok", "Linux 6.1", "",
                                                  "gpu.reset", "warn", "A\033card", "Nothing to repair.");
        return sd_bus_reply_method_return(message, "a(ssss)", 2,
                                          "host.iommu", "ok", "The IOMMU works", "",
                                          "gpu.reset", "warn", "A card lists only bus", "Nothing to repair.");
}

static int manager_rescan(sd_bus_message *message, void *userdata, sd_bus_error *ret_error) {
        Mock *m = userdata;

        if (m->lease) {
                (void) unlink(m->fifo);
                m->lease = sd_event_source_disable_unref(m->lease);
                m->lease_fd = safe_close(m->lease_fd);
        }
        return sd_bus_reply_method_return(message, NULL);
}

static int manager_reload(sd_bus_message *message, void *userdata, sd_bus_error *ret_error) {
        Mock *m = userdata;

        if (m->script->challenge && sd_bus_message_get_allow_interactive_authorization(message) <= 0)
                return sd_bus_error_set(ret_error, SD_BUS_ERROR_INTERACTIVE_AUTHORIZATION_REQUIRED,
                                        "A password is wanted.");
        return sd_bus_reply_method_return(message, NULL);
}

/* PrepareSleep and FinishSleep. A refusal says what was asked for. */
static int manager_sleep(sd_bus_message *message, void *userdata, sd_bus_error *ret_error) {
        Mock *m = userdata;
        bool prepare = sd_bus_message_is_method_call(message, NULL, "PrepareSleep");
        const char *operation = "";

        if (prepare)
                must(sd_bus_message_read(message, "s", &operation));
        if (m->script->sleep == MOCK_SLEEP_DIE)
                _exit(EXIT_FAILURE);
        if (m->script->sleep_error) {
                must(sd_bus_emit_signal(m->bus, GPUPT_OBJECT_PATH, GPUPT_MANAGER_INTERFACE, "SleepVetoed", "ss", MOCK_FIRST,
                                        "win10 does not stop."));
                return sd_bus_error_setf(ret_error, m->script->sleep_error, "%s(%s): win10 does not stop.\nAll is as it was.",
                                         sd_bus_message_get_member(message), operation);
        }
        if (m->script->sleep == MOCK_SLEEP_ANSWER)
                must(sd_bus_reply_method_return(message, NULL));
        job_begin(m, NULL, prepare ? "sleep" : "resume");
        return 1;
}

static int manager_last_sleep(sd_bus *bus, const char *path, const char *interface, const char *property,
                              sd_bus_message *reply, void *userdata, sd_bus_error *ret_error) {
        Mock *m = userdata;

        return mock_append_last_sleep(reply, m->script->last_sleep);
}

static const sd_bus_vtable manager_vtable[] = {
        SD_BUS_VTABLE_START(0),
        SD_BUS_PROPERTY("LastSleep", "a{sv}", manager_last_sleep, 0, SD_BUS_VTABLE_PROPERTY_EMITS_CHANGE),
        SD_BUS_METHOD("PrepareSleep", "s", NULL, manager_sleep, SD_BUS_VTABLE_UNPRIVILEGED),
        SD_BUS_METHOD("FinishSleep", NULL, NULL, manager_sleep, SD_BUS_VTABLE_UNPRIVILEGED),
        SD_BUS_METHOD("GetGpu", "s", "o", manager_get_gpu, SD_BUS_VTABLE_UNPRIVILEGED),
        SD_BUS_METHOD("ListGroups", NULL, "aa{sv}", manager_list_groups, SD_BUS_VTABLE_UNPRIVILEGED),
        SD_BUS_METHOD("Check", NULL, "a(ssss)", manager_check, SD_BUS_VTABLE_UNPRIVILEGED),
        SD_BUS_METHOD("Rescan", NULL, NULL, manager_rescan, SD_BUS_VTABLE_UNPRIVILEGED),
        SD_BUS_METHOD("Reload", NULL, NULL, manager_reload, SD_BUS_VTABLE_UNPRIVILEGED),
        SD_BUS_VTABLE_END,
};

/* ---- the process ---- */

static _Noreturn void run(const MockScript *script, int ready_fd) {
        Mock m = {
                .script = script,
                .id = MOCK_JOB,
                .lease_fd = -EBADF,
                .gpus = { { .address = MOCK_FIRST, .state = script->states[0] ?: "host",
                            .health = script->healths[0] ?: "degraded" },
                          { .address = MOCK_SECOND, .state = script->states[1] ?: "host",
                            .health = script->healths[1] ?: "degraded" } },
        };

        must(sd_event_new(&m.event));
        must(sd_bus_open_system(&m.bus));
        must(sd_bus_attach_event(m.bus, m.event, 0));
        if (script->lie)
                must(sd_bus_open_system(&m.liar));

        must(sd_bus_add_object_manager(m.bus, NULL, GPUPT_OBJECT_PATH));
        must(sd_bus_add_object_vtable(m.bus, NULL, GPUPT_OBJECT_PATH, GPUPT_MANAGER_INTERFACE, manager_vtable, &m));
        for (unsigned i = 0; i < 2; i++) {
                (void) snprintf(m.gpus[i].taken_for, sizeof(m.gpus[i].taken_for), "%s", strempty(script->taken_for[i]));
                must(sd_bus_path_encode(GPUPT_GPU_PREFIX, m.gpus[i].address, &m.gpus[i].path));
                if (i < script->n_gpus)
                        must(sd_bus_add_object_vtable(m.bus, NULL, m.gpus[i].path, GPUPT_GPU_INTERFACE,
                                                      gpu_vtable, &m));
        }
        if (script->job_goes_on) {
                m.gpu = m.gpus;
                m.operation = "detach";
                m.state = "running";
                job_export(&m);
                must(sd_bus_add_filter(m.bus, NULL, on_resumed_read, &m));
        }

        must(sd_bus_request_name(m.bus, GPUPT_BUS_NAME, 0));
        if (write(ready_fd, "", 1) != 1)
                must(-EIO);
        must(sd_event_loop(m.event));
        _exit(EXIT_SUCCESS);
}

pid_t mock_daemon_start(const MockScript *script) {
        _cleanup_close_ int ready = -EBADF, theirs = -EBADF;
        int fds[2];
        char byte;
        pid_t pid;

        must(RET_NERRNO(pipe2(fds, O_CLOEXEC)));
        ready = fds[0];
        theirs = fds[1];
        must(pid = RET_NERRNO(fork()));
        if (pid == 0) {
                (void) prctl(PR_SET_PDEATHSIG, SIGKILL);
                run(script, theirs);
        }
        theirs = safe_close(theirs);
        if (read(ready, &byte, 1) != 1) {
                (void) fprintf(stderr, "mock-daemon did not start\n");
                abort();
        }
        return pid;
}

void mock_daemon_kill(pid_t pid) {
        (void) kill(pid, SIGKILL);
        (void) waitpid(pid, NULL, 0);
}
