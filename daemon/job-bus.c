/* SPDX-License-Identifier: GPL-2.0-or-later */

/* job-bus: org.gpupt1.Job. */

#include "bus.h"
#include "dbus/errors.h"
#include "dbus/names.h"
#include "request.h"

static void write_id(Sink *s, void *object) {
        sink_u32(s, job_face_view(object).id);
}

static void write_gpu(Sink *s, void *object) {
        const Gpu *g = job_face_view(object).gpu;
        char path[BUS_PATH_MAX];

        sink_path(s, g ? gpu_bus_path(g, path) : GPUPT_OBJECT_PATH);
}

static void write_operation(Sink *s, void *object) {
        sink_string(s, operation_to_string(job_face_view(object).operation));
}

static void write_state(Sink *s, void *object) {
        sink_string(s, job_state_to_string(job_face_view(object).state));
}

static void write_step(Sink *s, void *object) {
        sink_u32(s, job_face_view(object).step);
}

static void write_steps(Sink *s, void *object) {
        sink_u32(s, job_face_view(object).steps);
}

static void write_description(Sink *s, void *object) {
        sink_string(s, job_face_view(object).description);
}

static void write_cancellable(Sink *s, void *object) {
        sink_bool(s, job_face_view(object).cancellable);
}

static const Property job_properties[] = {
        { "Id", write_id, true },
        { "Gpu", write_gpu, true },
        { "Operation", write_operation, true },
        { "State", write_state, false },
        { "Step", write_step, false },
        { "Steps", write_steps, false },
        { "Description", write_description, false },
        { "Cancellable", write_cancellable, false },
};
static_assert(ELEMENTSOF(job_properties) <= JOB_PROPERTIES_MAX, "JobFace.told is too small");

void job_bus_mark_told(JobFace *f) {
        property_mark_told(job_properties, ELEMENTSOF(job_properties), f->told, f);
}

void job_bus_tell(Manager *m, JobFace *f) {
        char path[BUS_PATH_MAX];

        (void) property_tell(job_properties, ELEMENTSOF(job_properties), f->told, m->bus, job_bus_path(job_face_view(f).id, path),
                             GPUPT_JOB_INTERFACE, f);
}

static int job_property_get(sd_bus *bus, const char *path, const char *interface, const char *property, sd_bus_message *reply,
                            void *userdata, sd_bus_error *error) {
        return property_get(job_properties, ELEMENTSOF(job_properties), property, reply, userdata);
}

static int job_method_cancel(sd_bus_message *message, void *userdata, sd_bus_error *error) {
        JobView v = job_face_view(userdata);
        Manager *m = manager_of_message(message);
        Job *j = manager_find_job(m, v.id);

        if (!j)
                return sd_bus_error_setf(error, GPUPT_ERROR_NOT_SUPPORTED,
                                         "The job %u is the whole host's: what it has begun for a sleep has to be ended.", v.id);
        return request_cancel(m, j, message, error);
}

#define JOB_PROPERTY(name, type, flags) SD_BUS_PROPERTY(name, type, job_property_get, 0, flags)

const sd_bus_vtable job_vtable[] = {
        SD_BUS_VTABLE_START(0),
        JOB_PROPERTY("Id", "u", SD_BUS_VTABLE_PROPERTY_CONST),
        JOB_PROPERTY("Gpu", "o", SD_BUS_VTABLE_PROPERTY_CONST),
        JOB_PROPERTY("Operation", "s", SD_BUS_VTABLE_PROPERTY_CONST),
        JOB_PROPERTY("State", "s", SD_BUS_VTABLE_PROPERTY_EMITS_CHANGE),
        JOB_PROPERTY("Step", "u", SD_BUS_VTABLE_PROPERTY_EMITS_CHANGE),
        JOB_PROPERTY("Steps", "u", SD_BUS_VTABLE_PROPERTY_EMITS_CHANGE),
        JOB_PROPERTY("Description", "s", SD_BUS_VTABLE_PROPERTY_EMITS_CHANGE),
        JOB_PROPERTY("Cancellable", "b", SD_BUS_VTABLE_PROPERTY_EMITS_CHANGE),
        SD_BUS_METHOD_WITH_ARGS("Cancel", SD_BUS_NO_ARGS, SD_BUS_NO_RESULT, job_method_cancel, SD_BUS_VTABLE_UNPRIVILEGED),
        SD_BUS_VTABLE_END,
};

static int job_find(sd_bus *bus, const char *path, const char *interface, void *userdata, void **ret, sd_bus_error *error) {
        Manager *m = ASSERT_PTR(userdata);
        const char *number = startswith(path, GPUPT_JOB_PREFIX "/");
        JobFace *f;
        uint64_t id;

        if (!number || parse_u64(number, UINT32_MAX, &id) < 0)
                return 0;
        f = manager_find_face(m, (unsigned) id);
        if (!f)
                return 0;
        *ret = f;
        return 1;
}

static int job_enumerate(sd_bus *bus, const char *prefix, void *userdata, char ***ret, sd_bus_error *error) {
        _cleanup_strv_free_ char **paths = NULL;
        Manager *m = ASSERT_PTR(userdata);
        JobFace *f = NULL;

        while ((f = manager_next_face(m, f))) {
                char path[BUS_PATH_MAX];
                int r = strv_extend(&paths, job_bus_path(job_face_view(f).id, path));

                if (r < 0)
                        return r;
        }
        *ret = TAKE_PTR(paths);
        return 1;
}

int job_bus_export(Manager *m) {
        int r;

        r = sd_bus_add_fallback_vtable(m->bus, NULL, GPUPT_JOB_PREFIX, GPUPT_JOB_INTERFACE, job_vtable, job_find, m);
        if (r < 0)
                return r;
        return sd_bus_add_node_enumerator(m->bus, NULL, GPUPT_JOB_PREFIX, job_enumerate, m);
}
