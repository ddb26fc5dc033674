/* SPDX-License-Identifier: GPL-2.0-or-later */

/* gpu-bus: org.gpupt1.Gpu. */

#include "bus.h"
#include "dbus/errors.h"
#include "dbus/names.h"
#include "request.h"

/* ---- properties ---- */

static void write_address(Sink *s, void *object) {
        sink_string(s, ((Gpu *) object)->address);
}

static void write_name(Sink *s, void *object) {
        sink_string(s, ((Gpu *) object)->name);
}

static void write_alias(Sink *s, void *object) {
        Gpu *g = object;

        sink_string(s, g->config ? g->config->alias : NULL);
}

static void write_vendor(Sink *s, void *object) {
        sink_u16(s, ((Gpu *) object)->vendor);
}

static void write_device(Sink *s, void *object) {
        sink_u16(s, ((Gpu *) object)->device);
}

static void write_subsystem_vendor(Sink *s, void *object) {
        sink_u16(s, ((Gpu *) object)->subsystem_vendor);
}

static void write_subsystem(Sink *s, void *object) {
        sink_u16(s, ((Gpu *) object)->subsystem_device);
}

static void write_class(Sink *s, void *object) {
        sink_u32(s, ((Gpu *) object)->class);
}

static void write_boot_vga(Sink *s, void *object) {
        sink_bool(s, ((Gpu *) object)->boot_vga);
}

static void write_state(Sink *s, void *object) {
        sink_string(s, gpu_state_to_string(((Gpu *) object)->state));
}

static void write_driver(Sink *s, void *object) {
        const Function *f = gpu_display(object);

        sink_string(s, f ? f->driver : NULL);
}

void gpu_bus_write_function(Sink *s, const Function *f, const char *name, const char *host_driver) {
        sink_open(s, 'a', "{sv}");
        sink_entry_string(s, "address", f->address);
        sink_entry_u32(s, "class", f->class);
        sink_entry_u16(s, "vendor", f->vendor);
        sink_entry_u16(s, "device", f->device);
        sink_entry_string(s, "driver", f->driver);
        sink_entry_string(s, "host-driver", host_driver);
        sink_entry_i32(s, "group", f->group);
        sink_entry_strv(s, "reset-methods", f->reset_methods);
        sink_entry_string(s, "role", function_role(f));
        sink_entry_string(s, "name", name);
        sink_close(s);
}

static void write_functions(Sink *s, void *object) {
        Gpu *g = object;

        sink_open(s, 'a', "a{sv}");
        for (char **a = g->functions; a && *a; a++) {
                const Function *f = snapshot_find(g->host->snapshot, *a);
                const char *was = g->record ? saved_get(&g->record->saved, *a, "driver") : NULL;

                if (f)
                        gpu_bus_write_function(s, f, f->name, was ?: (driver_is_vfio(f->driver) ? NULL : f->driver));
                else {
                        sink_open(s, 'a', "{sv}");
                        sink_entry_string(s, "address", *a);
                        sink_entry_string(s, "driver", "");
                        sink_entry_string(s, "host-driver", was);
                        sink_close(s);
                }
        }
        sink_close(s);
}

static void write_groups(Sink *s, void *object) {
        Gpu *g = object;
        int seen[GPUPT_FUNCTIONS_MAX];
        size_t n = 0;

        sink_open(s, 'a', "u");
        for (char **a = g->functions; a && *a && n < ELEMENTSOF(seen); a++) {
                const Function *f = snapshot_find(g->host->snapshot, *a);
                bool known = !f || f->group < 0;

                for (size_t i = 0; i < n && !known; i++)
                        known = seen[i] == f->group;
                if (known)
                        continue;
                seen[n++] = f->group;
                sink_u32(s, (uint32_t) f->group);
        }
        sink_close(s);
}

static void write_viable(Sink *s, void *object) {
        sink_bool(s, ((Gpu *) object)->viable);
}

static void write_blockers(Sink *s, void *object) {
        sink_strv(s, ((Gpu *) object)->blockers);
}

static void write_reset_methods(Sink *s, void *object) {
        const Function *f = gpu_display(object);

        sink_strv(s, f ? f->reset_methods : NULL);
}

static void write_power_state(Sink *s, void *object) {
        const Function *f = gpu_display(object);

        sink_string(s, f ? f->power_state : NULL);
}

static void write_vga_decodes(Sink *s, void *object) {
        const Function *f = gpu_display(object);

        sink_string(s, f ? f->vga_decodes : NULL);
}

static void write_connectors(Sink *s, void *object) {
        const Function *f = gpu_display(object);

        sink_open(s, 'a', "(ss)");
        for (size_t i = 0; f && i < f->n_connectors; i++) {
                sink_open(s, 'r', "ss");
                sink_string(s, f->connectors[i].name);
                sink_string(s, f->connectors[i].status);
                sink_close(s);
        }
        sink_close(s);
}

static void write_virtual_machine(Sink *s, void *object) {
        Gpu *g = object;
        const Holder *vm = g->state == GPU_ASSIGNED || g->state == GPU_STUCK ? (g->holders ? holders_find_vm(g->holders) : NULL)
                                                                              : NULL;

        sink_open(s, 'r', "ss");
        sink_string(s, vm ? vm->vm_manager : NULL);
        sink_string(s, vm ? vm->vm_name : NULL);
        sink_close(s);
}

static void write_health(Sink *s, void *object) {
        Gpu *g = object;

        sink_string(s, health_to_string(g->report ? g->report->health : HEALTH_UNKNOWN));
}

static void write_health_findings(Sink *s, void *object) {
        Gpu *g = object;

        sink_open(s, 'a', "(sss)");
        for (size_t i = 0; g->report && i < g->report->n; i++) {
                sink_open(s, 'r', "sss");
                sink_string(s, g->report->findings[i].id);
                sink_string(s, severity_to_string(g->report->findings[i].severity));
                sink_string(s, g->report->findings[i].text);
                sink_close(s);
        }
        if (g->inconsistent) {
                _cleanup_free_ char *text = gpu_describe_inconsistency(g);

                sink_open(s, 'r', "sss");
                sink_string(s, "inconsistent");
                sink_string(s, "error");
                sink_string(s, strempty(text));
                sink_close(s);
        }
        if (g->stuck) {
                sink_open(s, 'r', "sss");
                sink_string(s, "kernel-call-stuck");
                sink_string(s, "error");
                sink_string(s, g->stuck);
                sink_close(s);
        }
        sink_close(s);
}

static void write_job(Sink *s, void *object) {
        Gpu *g = object;
        char path[BUS_PATH_MAX];

        sink_path(s, g->job ? job_bus_path(g->job->intent->id, path) : "/");
}

static void write_last_job(Sink *s, void *object) {
        const LastJob *last = &((Gpu *) object)->last_job;

        sink_open(s, 'a', "{sv}");
        if (last->id > 0) {
                sink_entry_u32(s, "id", last->id);
                sink_entry_string(s, "operation", operation_to_string(last->operation));
                sink_entry_string(s, "result", job_result_to_string(last->result));
                sink_entry_string(s, "error", last->error);
                sink_entry_string(s, "message", last->message);
                sink_entry_u64(s, "time", last->realtime_usec);
        }
        sink_close(s);
}

/* What counts for it, from wherever it comes. */
static void write_sleep_policy(Sink *s, void *object) {
        const Gpu *g = object;
        const SleepPolicy *policy = config_sleep_policy(g->host->config, g->config);
        char timeout[16];
        const struct {
                const char *key, *value;
        } entries[] = {
                { "VirtualMachine", vm_policy_to_string(policy->vm) },
                { "Restartable", policy->restartable ? "yes" : "no" },
                { "Gpu", gpu_sleep_policy_to_string(policy->gpu) },
                { "OnError", sleep_error_policy_to_string(policy->on_error) },
                { "TimeoutSec", timeout },
                { "LidClosed", lid_policy_to_string(policy->lid_closed) },
        };

        (void) snprintf(timeout, sizeof(timeout), "%u", policy->timeout_sec);
        sink_open(s, 'a', "{ss}");
        for (size_t i = 0; i < ELEMENTSOF(entries); i++) {
                sink_open(s, 'e', "ss");
                sink_string(s, entries[i].key);
                sink_string(s, entries[i].value);
                sink_close(s);
        }
        sink_close(s);
}

static void write_default(Sink *s, void *object) {
        Gpu *g = object;

        sink_string(s, gpu_default_is_vfio(g, g->host->defaults) ? "vfio" : "host");
}

static void write_taken_for(Sink *s, void *object) {
        Gpu *g = object;

        sink_string(s, g->record ? saved_get(&g->record->saved, g->address, HOST_RECORD_TAKEN_FOR) : NULL);
}

#define GPU_PROPERTIES(X)                                      \
        X("Address", "s", write_address)                       \
        X("Name", "s", write_name)                             \
        X("Alias", "s", write_alias)                           \
        X("VendorId", "q", write_vendor)                       \
        X("DeviceId", "q", write_device)                       \
        X("SubsystemVendorId", "q", write_subsystem_vendor)    \
        X("SubsystemId", "q", write_subsystem)                 \
        X("Class", "u", write_class)                           \
        X("BootVga", "b", write_boot_vga)                      \
        X("State", "s", write_state)                           \
        X("Driver", "s", write_driver)                         \
        X("Functions", "aa{sv}", write_functions)              \
        X("IommuGroups", "au", write_groups)                   \
        X("Viable", "b", write_viable)                         \
        X("Blockers", "as", write_blockers)                    \
        X("ResetMethods", "as", write_reset_methods)           \
        X("Connectors", "a(ss)", write_connectors)             \
        X("VirtualMachine", "(ss)", write_virtual_machine)     \
        X("Health", "s", write_health)                         \
        X("HealthFindings", "a(sss)", write_health_findings)   \
        X("Job", "o", write_job)                               \
        X("LastJob", "a{sv}", write_last_job)                  \
        X("SleepPolicy", "a{ss}", write_sleep_policy)          \
        X("Default", "s", write_default)                       \
        X("TakenFor", "s", write_taken_for)

/* Values of the last snapshot that change by themselves: no signal. */
#define GPU_QUIET_PROPERTIES(X)                                \
        X("PowerState", "s", write_power_state)                \
        X("VgaDecodes", "s", write_vga_decodes)

#define ROW(name, signature, write) { name, write, false },
#define QUIET_ROW(name, signature, write) { name, write, true },
static const Property gpu_properties[] = { GPU_PROPERTIES(ROW) GPU_QUIET_PROPERTIES(QUIET_ROW) };
static_assert(ELEMENTSOF(gpu_properties) <= GPU_PROPERTIES_MAX, "Gpu.told is too small");

void gpu_bus_mark_told(Gpu *g) {
        property_mark_told(gpu_properties, ELEMENTSOF(gpu_properties), g->told, g);
}

void gpu_bus_tell(Manager *m, Gpu *g) {
        char path[BUS_PATH_MAX];

        (void) property_tell(gpu_properties, ELEMENTSOF(gpu_properties), g->told, m->bus, gpu_bus_path(g, path),
                             GPUPT_GPU_INTERFACE, g);
}

static int gpu_property_get(sd_bus *bus, const char *path, const char *interface, const char *property, sd_bus_message *reply,
                            void *userdata, sd_bus_error *error) {
        return property_get(gpu_properties, ELEMENTSOF(gpu_properties), property, reply, userdata);
}

/* ---- methods ---- */

static int gpu_method_detach(sd_bus_message *message, void *userdata, sd_bus_error *error) {
        return request_job(REQUEST_DETACH, manager_of_message(message), userdata, message, error);
}

static int gpu_method_attach(sd_bus_message *message, void *userdata, sd_bus_error *error) {
        return request_job(REQUEST_ATTACH, manager_of_message(message), userdata, message, error);
}

static int gpu_method_reset(sd_bus_message *message, void *userdata, sd_bus_error *error) {
        return request_job(REQUEST_RESET, manager_of_message(message), userdata, message, error);
}

static int gpu_method_recover(sd_bus_message *message, void *userdata, sd_bus_error *error) {
        return request_job(REQUEST_RECOVER, manager_of_message(message), userdata, message, error);
}

static int gpu_method_vm_phase(sd_bus_message *message, void *userdata, sd_bus_error *error) {
        return request_phase(manager_of_message(message), userdata, message, error);
}

static int gpu_method_acquire(sd_bus_message *message, void *userdata, sd_bus_error *error) {
        return request_job(REQUEST_ACQUIRE, manager_of_message(message), userdata, message, error);
}

static int gpu_method_plan(sd_bus_message *message, void *userdata, sd_bus_error *error) {
        return request_plan(manager_of_message(message), userdata, message, error);
}

static int gpu_method_list_holders(sd_bus_message *message, void *userdata, sd_bus_error *error) {
        return request_holders(manager_of_message(message), userdata, message, error);
}

static int gpu_method_read_rom(sd_bus_message *message, void *userdata, sd_bus_error *error) {
        return request_rom(manager_of_message(message), userdata, message, error);
}

static int gpu_method_set_default(sd_bus_message *message, void *userdata, sd_bus_error *error) {
        return request_default(manager_of_message(message), userdata, message, error);
}

#define VTABLE_PROPERTY(name, signature, write) \
        SD_BUS_PROPERTY(name, signature, gpu_property_get, 0, SD_BUS_VTABLE_PROPERTY_EMITS_CHANGE),
#define VTABLE_QUIET_PROPERTY(name, signature, write) SD_BUS_PROPERTY(name, signature, gpu_property_get, 0, 0),

const sd_bus_vtable gpu_vtable[] = {
        SD_BUS_VTABLE_START(0),
        GPU_PROPERTIES(VTABLE_PROPERTY)
        GPU_QUIET_PROPERTIES(VTABLE_QUIET_PROPERTY)
        SD_BUS_METHOD_WITH_ARGS("Detach", SD_BUS_ARGS("a{sv}", options), SD_BUS_RESULT("o", job), gpu_method_detach,
                                SD_BUS_VTABLE_UNPRIVILEGED),
        SD_BUS_METHOD_WITH_ARGS("Attach", SD_BUS_ARGS("a{sv}", options), SD_BUS_RESULT("o", job), gpu_method_attach,
                                SD_BUS_VTABLE_UNPRIVILEGED),
        SD_BUS_METHOD_WITH_ARGS("Reset", SD_BUS_ARGS("a{sv}", options), SD_BUS_RESULT("o", job), gpu_method_reset,
                                SD_BUS_VTABLE_UNPRIVILEGED),
        SD_BUS_METHOD_WITH_ARGS("Recover", SD_BUS_ARGS("a{sv}", options), SD_BUS_RESULT("o", job), gpu_method_recover,
                                SD_BUS_VTABLE_UNPRIVILEGED),
        SD_BUS_METHOD_WITH_ARGS("VmPhase", SD_BUS_ARGS("s", manager, "s", vm, "s", phase, "a{sv}", options),
                                SD_BUS_RESULT("o", job), gpu_method_vm_phase, SD_BUS_VTABLE_UNPRIVILEGED),
        SD_BUS_METHOD_WITH_ARGS("Plan", SD_BUS_ARGS("s", operation, "a{sv}", options), SD_BUS_RESULT("a(sss)", steps),
                                gpu_method_plan, SD_BUS_VTABLE_UNPRIVILEGED),
        SD_BUS_METHOD_WITH_ARGS("Acquire", SD_BUS_ARGS("a{sv}", options), SD_BUS_RESULT("h", lease, "o", job),
                                gpu_method_acquire, SD_BUS_VTABLE_UNPRIVILEGED),
        SD_BUS_METHOD_WITH_ARGS("ListHolders", SD_BUS_NO_ARGS, SD_BUS_RESULT("aa{sv}", holders), gpu_method_list_holders,
                                SD_BUS_VTABLE_UNPRIVILEGED),
        SD_BUS_METHOD_WITH_ARGS("ReadRom", SD_BUS_ARGS("a{sv}", options), SD_BUS_RESULT("h", rom), gpu_method_read_rom,
                                SD_BUS_VTABLE_UNPRIVILEGED),
        SD_BUS_METHOD_WITH_ARGS("SetDefault", SD_BUS_ARGS("s", state), SD_BUS_NO_RESULT, gpu_method_set_default,
                                SD_BUS_VTABLE_UNPRIVILEGED),
        SD_BUS_VTABLE_END,
};

static int gpu_find(sd_bus *bus, const char *path, const char *interface, void *userdata, void **ret, sd_bus_error *error) {
        _cleanup_free_ char *address = NULL;
        Manager *m = ASSERT_PTR(userdata);
        Gpu *g;
        int r;

        r = sd_bus_path_decode(path, GPUPT_GPU_PREFIX, &address);
        if (r <= 0)
                return r;
        g = manager_find_gpu(m, address);
        if (!g)
                return 0;
        *ret = g;
        return 1;
}

static int gpu_enumerate(sd_bus *bus, const char *prefix, void *userdata, char ***ret, sd_bus_error *error) {
        _cleanup_strv_free_ char **paths = NULL;
        Manager *m = ASSERT_PTR(userdata);

        LIST_FOREACH(gpus, g, m->gpus) {
                char path[BUS_PATH_MAX];
                int r = strv_extend(&paths, gpu_bus_path(g, path));

                if (r < 0)
                        return r;
        }
        *ret = TAKE_PTR(paths);
        return 1;
}

int gpu_bus_export(Manager *m) {
        int r;

        r = sd_bus_add_fallback_vtable(m->bus, NULL, GPUPT_GPU_PREFIX, GPUPT_GPU_INTERFACE, gpu_vtable, gpu_find, m);
        if (r < 0)
                return r;
        return sd_bus_add_node_enumerator(m->bus, NULL, GPUPT_GPU_PREFIX, gpu_enumerate, m);
}
