/* SPDX-License-Identifier: GPL-2.0-or-later */

/* manager-bus: org.gpupt1.Manager, the ObjectManager, and the order of signals: a method's reply before JobNew, the last
 * PropertiesChanged before JobRemoved. Changes of properties are gathered, and sent when the loop comes around. */

#include <systemd/sd-daemon.h>

#include "bus.h"
#include "dbus/errors.h"
#include "dbus/names.h"
#include "request.h"
#include "util/log.h"

/* ---- signals ---- */

static void tell_all(Manager *m) {
        JobFace *f = NULL;

        while ((f = manager_next_face(m, f)))
                job_bus_tell(m, f);
        LIST_FOREACH(gpus, g, m->gpus)
                gpu_bus_tell(m, g);
}

static int on_tell(sd_event_source *source, void *userdata) {
        tell_all(userdata);
        return 0;
}

static void tell_soon(Manager *m) {
        if (!m->tell) {
                if (sd_event_add_defer(m->event, &m->tell, on_tell, m) < 0)
                        (void) log_oom();
                return;
        }
        (void) sd_event_source_set_enabled(m->tell, SD_EVENT_ONESHOT);
}

static void hook_gpu_added(Manager *m, Gpu *g) {
        char path[BUS_PATH_MAX];

        gpu_bus_mark_told(g);
        (void) sd_bus_emit_object_added(m->bus, gpu_bus_path(g, path));
}

static void hook_gpu_changed(Manager *m, Gpu *g) {
        tell_soon(m);
}

static void hook_job_added(Manager *m, JobFace *f) {
        unsigned id = job_face_view(f).id;
        char path[BUS_PATH_MAX];

        job_bus_mark_told(f);
        (void) sd_bus_emit_object_added(m->bus, job_bus_path(id, path));
        (void) sd_bus_emit_signal(m->bus, GPUPT_OBJECT_PATH, GPUPT_MANAGER_INTERFACE, "JobNew", "uo", id, path);
        tell_soon(m);
}

static void hook_job_changed(Manager *m, JobFace *f) {
        tell_soon(m);
}

/* The GPU of the host's own job is "". */
static void hook_job_removed(Manager *m, JobFace *f) {
        JobView v = job_face_view(f);
        char path[BUS_PATH_MAX];

        job_bus_tell(m, f);
        LIST_FOREACH(gpus, g, m->gpus)
                if (g == v.gpu)
                        gpu_bus_tell(m, g);
        (void) sd_bus_emit_signal(m->bus, GPUPT_OBJECT_PATH, GPUPT_MANAGER_INTERFACE, "JobRemoved", "uossss", v.id,
                                  job_bus_path(v.id, path), v.gpu ? v.gpu->address : "", job_result_to_string(v.result),
                                  strempty(v.error), strempty(v.message));
        (void) sd_bus_emit_interfaces_removed(m->bus, path, GPUPT_JOB_INTERFACE, NULL);
}

static void hook_release_requested(Manager *m, Gpu *g, char *const *nodes, unsigned seconds) {
        _cleanup_(sd_bus_message_unrefp) sd_bus_message *signal = NULL;
        char path[BUS_PATH_MAX];
        int r;

        r = sd_bus_message_new_signal(m->bus, &signal, GPUPT_OBJECT_PATH, GPUPT_MANAGER_INTERFACE, "ReleaseRequested");
        if (r >= 0)
                r = sd_bus_message_append(signal, "o", gpu_bus_path(g, path));
        if (r >= 0)
                r = sd_bus_message_append_strv(signal, (char **) nodes);
        if (r >= 0)
                r = sd_bus_message_append(signal, "u", (uint32_t) seconds);
        if (r >= 0)
                r = sd_bus_send(m->bus, signal, NULL);
        if (r < 0)
                log_warning_errno(r, "Failed to ask the holders of %s to let go, ignoring: %m", g->address);
}

static void hook_sleep_changed(Manager *m) {
        (void) sd_bus_emit_properties_changed(m->bus, GPUPT_OBJECT_PATH, GPUPT_MANAGER_INTERFACE, "Sleeping", "LastSleep", NULL);
}

static void hook_sleep_vetoed(Manager *m, const char *gpu, const char *reason) {
        (void) sd_bus_emit_signal(m->bus, GPUPT_OBJECT_PATH, GPUPT_MANAGER_INTERFACE, "SleepVetoed", "ss", gpu, reason);
}

static int on_name(sd_bus_message *message, void *userdata, sd_bus_error *error) {
        Manager *m = ASSERT_PTR(userdata);
        uint32_t answer;

        /* 1: primary owner (the D-Bus specification, RequestName) */
        if (sd_bus_message_is_method_error(message, NULL) || sd_bus_message_read(message, "u", &answer) < 0 || answer != 1) {
                log_error("The bus name %s is not to be had: another gpuptd runs, or the bus policy is not installed.",
                          GPUPT_BUS_NAME);
                return sd_event_exit(m->event, -EADDRINUSE);
        }
        (void) sd_notify(false, "READY=1\nSTATUS=Watching the GPUs of this host.");
        return 0;
}

/* Whoever waits for the name finds the GPUs when it is there. */
static void hook_ready(Manager *m) {
        int r;

        r = sd_bus_request_name_async(m->bus, NULL, GPUPT_BUS_NAME, 0, on_name, m);
        if (r < 0) {
                log_error_errno(r, "Failed to ask for the bus name: %m");
                (void) sd_event_exit(m->event, r);
        }
}

/* ---- methods ---- */

static int manager_method_list_gpus(sd_bus_message *message, void *userdata, sd_bus_error *error) {
        _cleanup_(sd_bus_message_unrefp) sd_bus_message *reply = NULL;
        Manager *m = ASSERT_PTR(userdata);
        int r;

        r = sd_bus_message_new_method_return(message, &reply);
        if (r >= 0)
                r = sd_bus_message_open_container(reply, 'a', "(sso)");
        LIST_FOREACH(gpus, g, m->gpus) {
                char path[BUS_PATH_MAX];

                if (r >= 0)
                        r = sd_bus_message_append(reply, "(sso)", g->address, gpu_state_to_string(g->state),
                                                  gpu_bus_path(g, path));
        }
        if (r >= 0)
                r = sd_bus_message_close_container(reply);
        return r < 0 ? r : sd_bus_send(NULL, reply, NULL);
}

static int manager_method_get_gpu(sd_bus_message *message, void *userdata, sd_bus_error *error) {
        Manager *m = ASSERT_PTR(userdata);
        char path[BUS_PATH_MAX];
        const char *name;
        Gpu *g;
        int r;

        r = sd_bus_message_read(message, "s", &name);
        if (r < 0)
                return r;
        if (isempty(name) || strlen(name) > GPUPT_WORD_MAX)
                return sd_bus_error_setf(error, SD_BUS_ERROR_INVALID_ARGS,
                                         "A GPU is named by an address (0000:01:00.0, 01:00.0, 01:00), an alias or "
                                         "vendor:device; this is none of them.");
        r = manager_resolve_gpu(m, name, &g);
        if (r == -ENODEV)
                return sd_bus_error_setf(error, GPUPT_ERROR_NO_SUCH_GPU, "There is no GPU '%s' here.", name);
        if (r == -ENOTUNIQ)
                return sd_bus_error_setf(error, GPUPT_ERROR_NO_SUCH_GPU,
                                         "More than one GPU answers to '%s'. Say which by its address.", name);
        if (r < 0)
                return r;
        return sd_bus_reply_method_return(message, "o", gpu_bus_path(g, path));
}

static int manager_method_list_jobs(sd_bus_message *message, void *userdata, sd_bus_error *error) {
        _cleanup_(sd_bus_message_unrefp) sd_bus_message *reply = NULL;
        Manager *m = ASSERT_PTR(userdata);
        JobFace *f = NULL;
        int r;

        r = sd_bus_message_new_method_return(message, &reply);
        if (r >= 0)
                r = sd_bus_message_open_container(reply, 'a', "(usso)");
        while (r >= 0 && (f = manager_next_face(m, f))) {
                JobView v = job_face_view(f);
                char path[BUS_PATH_MAX];

                r = sd_bus_message_append(reply, "(usso)", v.id, operation_to_string(v.operation), v.gpu ? v.gpu->address : "",
                                          job_bus_path(v.id, path));
        }
        if (r >= 0)
                r = sd_bus_message_close_container(reply);
        return r < 0 ? r : sd_bus_send(NULL, reply, NULL);
}

static int compare_groups(const void *a, const void *b) {
        const Function *x = *(const Function *const *) a, *y = *(const Function *const *) b;

        if (x->group != y->group)
                return x->group < y->group ? -1 : 1;
        return pci_address_compare(&x->pci, &y->pci);
}

static void write_group_member(Manager *m, Sink *s, const Function *f) {
        _cleanup_free_ char *name = f->name ? NULL : quirk_db_describe(m->host->quirks, f->vendor, f->device);
        const Gpu *owner = NULL;

        LIST_FOREACH(gpus, g, m->gpus)
                if (gpu_has_function(g, f->address))
                        owner = g;
        gpu_bus_write_function(s, f, f->name ?: name, owner && owner->record ? saved_get(&owner->record->saved, f->address, "driver") : NULL);
}

/* By group, then by address; those without a group (-1) come first. */
static int manager_method_list_groups(sd_bus_message *message, void *userdata, sd_bus_error *error) {
        _cleanup_(sd_bus_message_unrefp) sd_bus_message *reply = NULL;
        Manager *m = ASSERT_PTR(userdata);
        const Snapshot *snapshot = m->host->snapshot;
        _cleanup_free_ const Function **sorted = NULL;
        Sink s = {};
        int r;

        sorted = calloc(snapshot->n_functions + 1, sizeof(Function *));
        if (!sorted)
                return -ENOMEM;
        for (size_t i = 0; i < snapshot->n_functions; i++)
                sorted[i] = snapshot->functions + i;
        qsort(sorted, snapshot->n_functions, sizeof(Function *), compare_groups);

        r = sd_bus_message_new_method_return(message, &reply);
        if (r < 0)
                return r;
        s.message = reply;
        sink_open(&s, 'a', "a{sv}");
        for (size_t i = 0; i < snapshot->n_functions; i++)
                write_group_member(m, &s, sorted[i]);
        sink_close(&s);
        return s.r < 0 ? s.r : sd_bus_send(NULL, reply, NULL);
}

static int manager_method_rescan(sd_bus_message *message, void *userdata, sd_bus_error *error) {
        int r = manager_rescan(userdata);

        return r < 0 ? r : sd_bus_reply_method_return(message, NULL);
}

static int manager_method_reload(sd_bus_message *message, void *userdata, sd_bus_error *error) {
        return request_reload(userdata, message, error);
}

/* ---- properties ---- */

static int property_version(sd_bus *bus, const char *path, const char *interface, const char *property, sd_bus_message *reply,
                            void *userdata, sd_bus_error *error) {
        return sd_bus_message_append(reply, "s", PROJECT_VERSION);
}

static int property_iommu(sd_bus *bus, const char *path, const char *interface, const char *property, sd_bus_message *reply,
                          void *userdata, sd_bus_error *error) {
        Manager *m = ASSERT_PTR(userdata);

        return sd_bus_message_append(reply, "s", m->host->snapshot->iommu ?: "none");
}

const sd_bus_vtable manager_vtable[] = {
        SD_BUS_VTABLE_START(0),
        SD_BUS_PROPERTY("Version", "s", property_version, 0, SD_BUS_VTABLE_PROPERTY_CONST),
        SD_BUS_PROPERTY("Iommu", "s", property_iommu, 0, 0),
        SD_BUS_PROPERTY("Sleeping", "b", sleep_bus_property_sleeping, 0, SD_BUS_VTABLE_PROPERTY_EMITS_CHANGE),
        SD_BUS_PROPERTY("LastSleep", "a{sv}", sleep_bus_property_last, 0, SD_BUS_VTABLE_PROPERTY_EMITS_CHANGE),
        SD_BUS_METHOD_WITH_ARGS("ListGpus", SD_BUS_NO_ARGS, SD_BUS_RESULT("a(sso)", gpus), manager_method_list_gpus,
                                SD_BUS_VTABLE_UNPRIVILEGED),
        SD_BUS_METHOD_WITH_ARGS("GetGpu", SD_BUS_ARGS("s", name), SD_BUS_RESULT("o", gpu), manager_method_get_gpu,
                                SD_BUS_VTABLE_UNPRIVILEGED),
        SD_BUS_METHOD_WITH_ARGS("ListJobs", SD_BUS_NO_ARGS, SD_BUS_RESULT("a(usso)", jobs), manager_method_list_jobs,
                                SD_BUS_VTABLE_UNPRIVILEGED),
        SD_BUS_METHOD_WITH_ARGS("ListGroups", SD_BUS_NO_ARGS, SD_BUS_RESULT("aa{sv}", functions), manager_method_list_groups,
                                SD_BUS_VTABLE_UNPRIVILEGED),
        SD_BUS_METHOD_WITH_ARGS("Check", SD_BUS_NO_ARGS, SD_BUS_RESULT("a(ssss)", findings), check_method,
                                SD_BUS_VTABLE_UNPRIVILEGED),
        SD_BUS_METHOD_WITH_ARGS("Rescan", SD_BUS_NO_ARGS, SD_BUS_NO_RESULT, manager_method_rescan,
                                SD_BUS_VTABLE_UNPRIVILEGED),
        SD_BUS_METHOD_WITH_ARGS("Reload", SD_BUS_NO_ARGS, SD_BUS_NO_RESULT, manager_method_reload,
                                SD_BUS_VTABLE_UNPRIVILEGED),
        SD_BUS_METHOD_WITH_ARGS("PrepareSleep", SD_BUS_ARGS("s", operation), SD_BUS_NO_RESULT, sleep_bus_method_prepare,
                                SD_BUS_VTABLE_UNPRIVILEGED),
        SD_BUS_METHOD_WITH_ARGS("FinishSleep", SD_BUS_NO_ARGS, SD_BUS_NO_RESULT, sleep_bus_method_finish,
                                SD_BUS_VTABLE_UNPRIVILEGED),
        SD_BUS_SIGNAL_WITH_ARGS("JobNew", SD_BUS_ARGS("u", id, "o", job), 0),
        SD_BUS_SIGNAL_WITH_ARGS("JobRemoved",
                                SD_BUS_ARGS("u", id, "o", job, "s", gpu, "s", result, "s", error, "s", message), 0),
        SD_BUS_SIGNAL_WITH_ARGS("ReleaseRequested", SD_BUS_ARGS("o", gpu, "as", nodes, "u", seconds), 0),
        SD_BUS_SIGNAL_WITH_ARGS("SleepVetoed", SD_BUS_ARGS("s", gpu, "s", reason), 0),
        SD_BUS_VTABLE_END,
};

int manager_bus_export(Manager *m) {
        int r;

        m->hooks = (ManagerHooks) {
                .gpu_added = hook_gpu_added,
                .gpu_changed = hook_gpu_changed,
                .job_added = hook_job_added,
                .job_changed = hook_job_changed,
                .job_removed = hook_job_removed,
                .release_requested = hook_release_requested,
                .sleep_changed = hook_sleep_changed,
                .sleep_vetoed = hook_sleep_vetoed,
                .ready = hook_ready,
        };
        r = sd_bus_add_object_manager(m->bus, NULL, GPUPT_OBJECT_PATH);
        if (r >= 0)
                r = sd_bus_add_object_vtable(m->bus, NULL, GPUPT_OBJECT_PATH, GPUPT_MANAGER_INTERFACE, manager_vtable, m);
        if (r >= 0)
                r = gpu_bus_export(m);
        if (r >= 0)
                r = job_bus_export(m);
        return r;
}
