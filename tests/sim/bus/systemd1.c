/* SPDX-License-Identifier: GPL-2.0-or-later */

/* systemd1: the stand-in for the system manager: jobs on units, in systemd's order. JobNew precedes the reply to the
 * method (bus_unit_queue_job_one()), the last change of the unit precedes JobRemoved (bus_job_send_removed_signal()). */

#include <errno.h>
#include <fcntl.h>
#include <glib.h>
#include <signal.h>
#include <stdlib.h>
#include <sys/wait.h>
#include <unistd.h>

#include "bus/bus.h"
#include "bus/systemd1-units.h"
#include "bus/systemd1.h"
#include "host/control.h"
#include "host/loop.h"
#include "model/model.h"
#include "util/cleanup.h"

#define ROOT "/org/freedesktop/systemd1"
#define MANAGER "org.freedesktop.systemd1.Manager"
#define UNIT "org.freedesktop.systemd1.Unit"
#define SERVICE "org.freedesktop.systemd1.Service"

struct Job {
        uint32_t id;
        char *path;
        Unit *unit;
        char *verb; /* "start", "stop", "restart" */
        int result;
        bool cancelled;
        void (*done)(bool ok);
};

static GPtrArray *record; /* of lines "VERB UNIT" */

static void job_work(void *data);

void unit_changed(Unit *u) {
        if (!systemd1_service.bus || !u->path)
                return;
        (void) sd_bus_emit_properties_changed(systemd1_service.bus, u->path, UNIT, "ActiveState", "SubState", "Job", NULL);
        (void) sd_bus_emit_properties_changed(systemd1_service.bus, u->path, SERVICE, "Result", "MainPID", "ExecMainCode",
                                              "ExecMainStatus", NULL);
}

static void job_signal(const Job *j, const char *result) {
        if (!systemd1_service.bus)
                return;
        if (result)
                (void) sd_bus_emit_signal(systemd1_service.bus, ROOT, MANAGER, "JobRemoved", "uoss", j->id, j->path,
                                          j->unit->id, result);
        else
                (void) sd_bus_emit_signal(systemd1_service.bus, ROOT, MANAGER, "JobNew", "uos", j->id, j->path, j->unit->id);
}

static void unit_signal(const Unit *u, const char *member) {
        if (systemd1_service.bus)
                (void) sd_bus_emit_signal(systemd1_service.bus, ROOT, MANAGER, member, "so", u->id, u->path);
}

/* A transient unit that has succeeded and does not remain is gone, unless somebody refers to it; one that failed stays
 * until it is reset, unless CollectMode= says otherwise. */
static void collect(Unit *u) {
        if (!u->transient || u->job || u->pid > 0 || (u->users && sd_bus_track_count(u->users) > 0) ||
            !(streq(u->active, "inactive") || (u->collect_failed && streq(u->active, "failed"))))
                return;
        u->users = sd_bus_track_unref(u->users);
        u->stdout_fd = safe_close(u->stdout_fd);
        u->stderr_fd = safe_close(u->stderr_fd);
        unit_forget(u);
        unit_signal(u, "UnitRemoved");
}

static void job_free(Job *j) {
        g_free(j->path);
        g_free(j->verb);
        g_free(j);
}

static void job_finish(Job *j, const char *result) {
        Unit *u = j->unit;

        u->job = NULL;
        unit_changed(u);
        job_signal(j, result);
        machine_changed();
        if (j->done)
                j->done(streq(result, "done"));
        collect(u);
        job_free(j);
}

static Job *job_new(Unit *u, const char *verb) {
        static uint32_t last_id;
        Job *j = g_new(Job, 1);

        *j = (Job) {
                .id = ++last_id,
                .path = g_strdup_printf(ROOT "/job/%u", last_id),
                .unit = u,
                .verb = g_strdup(verb),
        };
        u->job = j;
        if (!record)
                record = g_ptr_array_new_with_free_func(g_free);
        g_ptr_array_add(record, g_strdup_printf("%s %s", verb, u->id));
        job_signal(j, NULL);
        machine_changed();
        return j;
}

static void unit_failed(Unit *u, const char *result) {
        unit_set_state(u, "failed", "failed", result);
}

/* The start of a unit has come to its end. */
static void start_finished(Unit *u, bool ok, const char *result) {
        if (!ok)
                unit_failed(u, result);
        else if (!u->oneshot || u->remain_after_exit)
                unit_set_state(u, "active", u->oneshot ? "exited" : "running", "success");
        else
                unit_set_state(u, "inactive", "dead", "success");
        if (u->job)
                job_finish(u->job, ok ? "done" : "failed");
}

void unit_exited(Unit *u) {
        bool ok = u->exit_code == CLD_EXITED && u->exit_status == 0;
        const char *result = streq(u->result, "timeout") ? "timeout"
                             : ok                        ? "success"
                             : u->exit_code == CLD_EXITED ? "exit-code"
                                                          : "signal";

        if (streq(u->active, "deactivating") && u->job && streq(u->job->verb, "restart")) {
                unit_set_state(u, "activating", "start", "success");
                (void) machine_in_thread(job_work, u->job);
        } else if (streq(u->active, "deactivating")) {
                unit_set_state(u, "inactive", "dead", "success");
                if (u->job)
                        job_finish(u->job, "done");
        } else if (streq(u->active, "activating"))
                start_finished(u, ok, result);
        else if (!ok)
                unit_failed(u, result);
        else
                unit_set_state(u, "inactive", "dead", "success");
        collect(u);
}

static void start_unit(Job *j) {
        Unit *u = j->unit;
        int r;

        if (j->result < 0) {
                u->exit_code = CLD_EXITED;
                u->exit_status = 1;
                start_finished(u, false, "exit-code");
                return;
        }
        r = unit_spawn(u, u->start_argv);
        if (r < 0)
                start_finished(u, false, "resources");
        else if (r == 0 || !u->oneshot)
                start_finished(u, true, "success");
}

static void stop_unit(Job *j) {
        Unit *u = j->unit;

        unit_set_state(u, "deactivating", "stop-sigterm", "success");
        if (j->result < 0) {
                unit_failed(u, "timeout");
                job_finish(j, "failed");
                return;
        }
        if (u->pid > 0) {
                (void) kill(u->pid, SIGTERM);
                return;
        }
        if (unit_spawn(u, u->stop_argv) > 0)
                return;
        unit_set_state(u, "inactive", "dead", "success");
        job_finish(j, "done");
}

static void job_worked(void *data) {
        Job *j = data;

        if (j->cancelled)
                job_free(j);
        else if (streq(j->verb, "stop"))
                stop_unit(j);
        else
                start_unit(j);
}

static void job_work(void *data) {
        Job *j = data;

        j->result = unit_work(j->unit, streq(j->verb, "stop") ? "stop" : "start");
        loop_post(job_worked, j);
}

static void job_dispatch(void *data) {
        Job *j = data;
        Unit *u = j->unit;
        bool running = streq(u->active, "active");

        if (j->cancelled) {
                job_free(j);
                return;
        }
        if (streq(j->verb, "start") && running) {
                job_finish(j, "done");
                return;
        }
        if (streq(j->verb, "stop") && (streq(u->active, "inactive") || streq(u->active, "failed"))) {
                job_finish(j, "done");
                return;
        }
        if (streq(j->verb, "restart") && u->pid > 0) {
                unit_set_state(u, "deactivating", "stop-sigterm", "success");
                (void) kill(u->pid, SIGTERM);
                return; /* unit_exited() goes on */
        }
        if (!streq(j->verb, "stop"))
                unit_set_state(u, "activating", "start", "success");
        (void) machine_in_thread(job_work, j);
}

/* A job of the same kind is joined, another one is replaced. */
static Job *job_get(Unit *u, const char *verb) {
        Job *old = u->job;

        if (old && streq(old->verb, verb))
                return old;
        if (old) {
                Job copy = *old;

                old->cancelled = true; /* its thread frees it */
                job_signal(&copy, "canceled");
                if (old->done)
                        old->done(false);
                u->job = NULL;
        }
        return job_new(u, verb);
}

static int not_found(sd_bus_error *error, const char *name) {
        return sd_bus_error_setf(error, "org.freedesktop.systemd1.NoSuchUnit", "Unit %s not found.", name);
}

static int queue_job(sd_bus_message *m, Unit *u, const char *verb) {
        Job *before = u->job, *j = job_get(u, verb);
        int r;

        r = sd_bus_reply_method_return(m, "o", j->path);
        if (j != before)
                loop_post(job_dispatch, j);
        return r;
}

static int method_job(sd_bus_message *m, const char *verb, sd_bus_error *error) {
        const char *name, *mode;
        Unit *u;
        int r;

        r = sd_bus_message_read(m, "ss", &name, &mode);
        if (r < 0)
                return r;
        u = unit_load(name);
        if (!u)
                return sd_bus_error_setf(error, SD_BUS_ERROR_INVALID_ARGS, "Unit name %s is not valid.", name);
        if (!u->loaded)
                return not_found(error, name);
        return queue_job(m, u, verb);
}

static int method_start(sd_bus_message *m, _unused_ void *userdata, sd_bus_error *error) {
        return method_job(m, "start", error);
}

static int method_stop(sd_bus_message *m, _unused_ void *userdata, sd_bus_error *error) {
        return method_job(m, "stop", error);
}

static int method_restart(sd_bus_message *m, _unused_ void *userdata, sd_bus_error *error) {
        return method_job(m, "restart", error);
}

static int method_reset_failed(sd_bus_message *m, _unused_ void *userdata, sd_bus_error *error) {
        const char *name;
        Unit *u;
        int r;

        r = sd_bus_message_read(m, "s", &name);
        if (r < 0)
                return r;
        u = unit_find(name);
        if (!u)
                return sd_bus_error_setf(error, "org.freedesktop.systemd1.NoSuchUnit", "Unit %s not loaded.", name);
        if (streq(u->active, "failed"))
                unit_set_state(u, "inactive", "dead", "success");
        collect(u);
        return sd_bus_reply_method_return(m, NULL);
}

static int method_get_unit(sd_bus_message *m, _unused_ void *userdata, sd_bus_error *error) {
        const char *name;
        const Unit *u;
        int r;

        r = sd_bus_message_read(m, "s", &name);
        if (r < 0)
                return r;
        u = unit_find(name);
        if (!u || !u->loaded)
                return sd_bus_error_setf(error, "org.freedesktop.systemd1.NoSuchUnit", "Unit %s not loaded.", name);
        return sd_bus_reply_method_return(m, "o", u->path);
}

static int method_load_unit(sd_bus_message *m, _unused_ void *userdata, sd_bus_error *error) {
        const char *name;
        const Unit *u;
        int r;

        r = sd_bus_message_read(m, "s", &name);
        if (r < 0)
                return r;
        u = unit_load(name);
        if (!u)
                return sd_bus_error_setf(error, SD_BUS_ERROR_INVALID_ARGS, "Unit name %s is not valid.", name);
        return sd_bus_reply_method_return(m, "o", u->path);
}

static int method_get_unit_by_pid(sd_bus_message *m, _unused_ void *userdata, sd_bus_error *error) {
        const Unit *u;
        uint32_t pid;
        int r;

        r = sd_bus_message_read(m, "u", &pid);
        if (r < 0)
                return r;
        u = unit_find_by_pid(pid);
        if (!u)
                return sd_bus_error_setf(error, "org.freedesktop.systemd1.NoUnitForPID",
                                         "PID %u does not belong to any loaded unit.", pid);
        return sd_bus_reply_method_return(m, "o", u->path);
}

static int method_kill_unit(sd_bus_message *m, _unused_ void *userdata, sd_bus_error *error) {
        const char *name, *whom;
        const Unit *u;
        int32_t signo;
        int r;

        r = sd_bus_message_read(m, "ssi", &name, &whom, &signo);
        if (r < 0)
                return r;
        u = unit_find(name);
        if (!u)
                return sd_bus_error_setf(error, "org.freedesktop.systemd1.NoSuchUnit", "Unit %s not loaded.", name);
        if (u->pid > 0)
                (void) kill(u->pid, signo);
        return sd_bus_reply_method_return(m, NULL);
}

static int method_subscribe(sd_bus_message *m, _unused_ void *userdata, _unused_ sd_bus_error *error) {
        return sd_bus_reply_method_return(m, NULL);
}

static int method_list_jobs(sd_bus_message *m, _unused_ void *userdata, _unused_ sd_bus_error *error) {
        _cleanup_(sd_bus_message_unrefp) sd_bus_message *reply = NULL;
        const Unit *u;
        int r;

        r = sd_bus_message_new_method_return(m, &reply);
        if (r >= 0)
                r = sd_bus_message_open_container(reply, 'a', "(usssoo)");
        for (unsigned i = 0; r >= 0 && (u = unit_by_index(i)); i++)
                if (u->job)
                        r = sd_bus_message_append(reply, "(usssoo)", u->job->id, u->id, u->job->verb, "running",
                                                  u->job->path, u->path);
        if (r >= 0)
                r = sd_bus_message_close_container(reply);
        return r < 0 ? r : sd_bus_message_send(reply);
}

/* References: a unit is not collected while somebody on the bus has one. */

static int on_no_users(_unused_ sd_bus_track *track, void *userdata) {
        collect(userdata);
        return 1; /* after 0 it is called again */
}

static int unit_ref(Unit *u, sd_bus_message *m) {
        int r;

        if (!u->users) {
                r = sd_bus_track_new(systemd1_service.bus, &u->users, on_no_users, u);
                if (r >= 0)
                        r = sd_bus_track_set_recursive(u->users, true);
                if (r < 0)
                        return r;
        }
        return sd_bus_track_add_sender(u->users, m);
}

static int method_ref_unit(sd_bus_message *m, _unused_ void *userdata, sd_bus_error *error) {
        const char *name;
        Unit *u;
        int r;

        r = sd_bus_message_read(m, "s", &name);
        if (r < 0)
                return r;
        u = unit_find(name);
        if (!u || !u->loaded)
                return sd_bus_error_setf(error, "org.freedesktop.systemd1.NoSuchUnit", "Unit %s not loaded.", name);
        r = unit_ref(u, m);
        return r < 0 ? r : sd_bus_reply_method_return(m, NULL);
}

static int method_unref_unit(sd_bus_message *m, _unused_ void *userdata, sd_bus_error *error) {
        const char *name;
        Unit *u;
        int r;

        r = sd_bus_message_read(m, "s", &name);
        if (r < 0)
                return r;
        u = unit_find(name);
        if (!u || !u->users || sd_bus_track_remove_sender(u->users, m) < 0)
                return sd_bus_error_setf(error, "org.freedesktop.systemd1.NotReferenced", "Unit %s is not referenced.", name);
        collect(u);
        return sd_bus_reply_method_return(m, NULL);
}

/* Transient units */

/* Of ExecStart= or ExecStartEx=; variables in the arguments are left alone for both. */
static int read_exec(sd_bus_message *m, Unit *u, bool ex) {
        const char *binary;
        int r;

        r = sd_bus_message_enter_container(m, 'v', ex ? "a(sasas)" : "a(sasb)");
        if (r >= 0)
                r = sd_bus_message_enter_container(m, 'a', ex ? "(sasas)" : "(sasb)");
        if (r >= 0)
                r = sd_bus_message_enter_container(m, 'r', ex ? "sasas" : "sasb");
        if (r <= 0)
                return r < 0 ? r : -EINVAL;
        r = sd_bus_message_read(m, "s", &binary);
        if (r >= 0)
                r = sd_bus_message_read_strv(m, &u->start_argv);
        if (r >= 0)
                r = sd_bus_message_skip(m, ex ? "as" : "b");
        if (r < 0)
                return r;
        for (unsigned i = 0; i < 3; i++)
                (void) sd_bus_message_exit_container(m);
        if (strv_length(u->start_argv) == 0)
                return -EINVAL;
        return free_and_strdup(&u->start_argv[0], binary);
}

static int read_fd(sd_bus_message *m, int *ret) {
        int fd, r;

        r = sd_bus_message_read(m, "v", "h", &fd);
        if (r < 0)
                return r;
        *ret = fcntl(fd, F_DUPFD_CLOEXEC, 3);
        return *ret < 0 ? -errno : 0;
}

static int read_word(sd_bus_message *m, char **ret) {
        const char *word;
        int r = sd_bus_message_read(m, "v", "s", &word);

        return r < 0 ? r : free_and_strdup(ret, word);
}

static int read_property(sd_bus_message *m, Unit *u, const char *name) {
        const char *text;
        int flag, r;

        if (streq(name, "ExecStart") || streq(name, "ExecStartEx"))
                return read_exec(m, u, streq(name, "ExecStartEx"));
        if (streq(name, "StandardOutputFileDescriptor"))
                return read_fd(m, &u->stdout_fd);
        if (streq(name, "StandardErrorFileDescriptor"))
                return read_fd(m, &u->stderr_fd);
        if (streq(name, "StandardOutput"))
                return read_word(m, &u->standard_output);
        if (streq(name, "StandardError"))
                return read_word(m, &u->standard_error);
        if (streq(name, "RuntimeMaxUSec") || streq(name, "TimeoutStartUSec"))
                return sd_bus_message_read(m, "v", "t", &u->runtime_max_usec);
        if (streq(name, "AddRef")) {
                r = sd_bus_message_read(m, "v", "b", &flag);
                return r < 0 || !flag ? r : unit_ref(u, m);
        }
        if (streq(name, "CollectMode")) {
                r = sd_bus_message_read(m, "v", "s", &text);
                u->collect_failed = r >= 0 && streq(text, "inactive-or-failed");
                return r;
        }
        if (streq(name, "RemainAfterExit")) {
                r = sd_bus_message_read(m, "v", "b", &flag);
                u->remain_after_exit = r >= 0 && flag;
                return r;
        }
        if (streq(name, "Type")) {
                r = sd_bus_message_read(m, "v", "s", &text);
                u->oneshot = r >= 0 && streq(text, "oneshot");
                return r;
        }
        if (streq(name, "Environment")) {
                r = sd_bus_message_enter_container(m, 'v', "as");
                if (r >= 0)
                        r = sd_bus_message_read_strv(m, &u->environment);
                (void) sd_bus_message_exit_container(m);
                return r;
        }
        return sd_bus_message_skip(m, "v");
}

static int read_properties(sd_bus_message *m, Unit *u) {
        const char *name;
        int r;

        r = sd_bus_message_enter_container(m, 'a', "(sv)");
        if (r < 0)
                return r;
        while ((r = sd_bus_message_enter_container(m, 'r', "sv")) > 0) {
                r = sd_bus_message_read(m, "s", &name);
                if (r >= 0)
                        r = read_property(m, u, name);
                if (r < 0)
                        return r;
                (void) sd_bus_message_exit_container(m);
        }
        (void) sd_bus_message_exit_container(m);
        return r;
}

static int method_start_transient(sd_bus_message *m, _unused_ void *userdata, sd_bus_error *error) {
        const char *name, *mode;
        Unit *u;
        int r;

        r = sd_bus_message_read(m, "ss", &name, &mode);
        if (r < 0)
                return r;
        u = unit_find(name);
        if (u && (u->loaded || u->job))
                return sd_bus_error_setf(error, "org.freedesktop.systemd1.UnitExists",
                                         "Unit %s was already loaded or has a fragment file.", name);
        u = unit_load(name);
        if (!u)
                return sd_bus_error_setf(error, SD_BUS_ERROR_INVALID_ARGS, "Unit name %s is not valid.", name);
        u->loaded = u->transient = true;
        r = read_properties(m, u);
        if (r < 0) {
                unit_forget(u);
                return sd_bus_error_set_errnof(error, r, "The properties of %s are not understood", name);
        }
        unit_signal(u, "UnitNew");
        return queue_job(m, u, "start");
}

/* Properties */

static int property_unit(_unused_ sd_bus *bus, _unused_ const char *path, _unused_ const char *interface,
                         const char *property, sd_bus_message *reply, void *userdata, _unused_ sd_bus_error *error) {
        const Unit *u = userdata;

        if (streq(property, "Names"))
                return sd_bus_message_append(reply, "as", 1, u->id);
        if (streq(property, "Job"))
                return sd_bus_message_append(reply, "(uo)", u->job ? u->job->id : 0, u->job ? u->job->path : "/");
        return sd_bus_message_append(reply, "s", streq(property, "Id")            ? u->id
                                                 : streq(property, "Description") ? u->description
                                                 : streq(property, "ActiveState") ? u->active
                                                 : streq(property, "SubState")    ? u->sub
                                                 : streq(property, "LoadState")   ? (u->loaded ? "loaded" : "not-found")
                                                 : u->transient                   ? "transient"
                                                                                  : "static");
}

static int property_service(_unused_ sd_bus *bus, _unused_ const char *path, _unused_ const char *interface,
                            const char *property, sd_bus_message *reply, void *userdata, _unused_ sd_bus_error *error) {
        const Unit *u = userdata;

        if (streq(property, "Result"))
                return sd_bus_message_append(reply, "s", u->result);
        if (streq(property, "Type"))
                return sd_bus_message_append(reply, "s", u->oneshot ? "oneshot" : "simple");
        if (streq(property, "ExecMainCode"))
                return sd_bus_message_append(reply, "i", u->exit_code);
        if (streq(property, "ExecMainStatus"))
                return sd_bus_message_append(reply, "i", u->exit_status);
        return sd_bus_message_append(reply, "u", u->pid > 0 ? (uint32_t) u->pid : u->declared_pid);
}

static int find_unit(_unused_ sd_bus *bus, const char *path, _unused_ const char *interface, _unused_ void *userdata,
                     void **ret_found, _unused_ sd_bus_error *error) {
        *ret_found = unit_find_by_path(path);
        return *ret_found ? 1 : 0;
}

static const sd_bus_vtable manager_vtable[] = {
        SD_BUS_VTABLE_START(0),
        SD_BUS_METHOD("StartUnit", "ss", "o", method_start, SD_BUS_VTABLE_UNPRIVILEGED),
        SD_BUS_METHOD("StopUnit", "ss", "o", method_stop, SD_BUS_VTABLE_UNPRIVILEGED),
        SD_BUS_METHOD("RestartUnit", "ss", "o", method_restart, SD_BUS_VTABLE_UNPRIVILEGED),
        SD_BUS_METHOD("ResetFailedUnit", "s", NULL, method_reset_failed, SD_BUS_VTABLE_UNPRIVILEGED),
        SD_BUS_METHOD("GetUnit", "s", "o", method_get_unit, SD_BUS_VTABLE_UNPRIVILEGED),
        SD_BUS_METHOD("LoadUnit", "s", "o", method_load_unit, SD_BUS_VTABLE_UNPRIVILEGED),
        SD_BUS_METHOD("GetUnitByPID", "u", "o", method_get_unit_by_pid, SD_BUS_VTABLE_UNPRIVILEGED),
        SD_BUS_METHOD("KillUnit", "ssi", NULL, method_kill_unit, SD_BUS_VTABLE_UNPRIVILEGED),
        SD_BUS_METHOD("RefUnit", "s", NULL, method_ref_unit, SD_BUS_VTABLE_UNPRIVILEGED),
        SD_BUS_METHOD("UnrefUnit", "s", NULL, method_unref_unit, SD_BUS_VTABLE_UNPRIVILEGED),
        SD_BUS_METHOD("StartTransientUnit", "ssa(sv)a(sa(sv))", "o", method_start_transient, SD_BUS_VTABLE_UNPRIVILEGED),
        SD_BUS_METHOD("ListJobs", NULL, "a(usssoo)", method_list_jobs, SD_BUS_VTABLE_UNPRIVILEGED),
        SD_BUS_METHOD("Subscribe", NULL, NULL, method_subscribe, SD_BUS_VTABLE_UNPRIVILEGED),
        SD_BUS_METHOD("Unsubscribe", NULL, NULL, method_subscribe, SD_BUS_VTABLE_UNPRIVILEGED),
        SD_BUS_SIGNAL("JobNew", "uos", 0),
        SD_BUS_SIGNAL("JobRemoved", "uoss", 0),
        SD_BUS_SIGNAL("UnitNew", "so", 0),
        SD_BUS_SIGNAL("UnitRemoved", "so", 0),
        SD_BUS_VTABLE_END,
};

static const sd_bus_vtable unit_vtable[] = {
        SD_BUS_VTABLE_START(0),
        SD_BUS_PROPERTY("Id", "s", property_unit, 0, SD_BUS_VTABLE_PROPERTY_CONST),
        SD_BUS_PROPERTY("Names", "as", property_unit, 0, SD_BUS_VTABLE_PROPERTY_CONST),
        SD_BUS_PROPERTY("Description", "s", property_unit, 0, SD_BUS_VTABLE_PROPERTY_CONST),
        SD_BUS_PROPERTY("LoadState", "s", property_unit, 0, SD_BUS_VTABLE_PROPERTY_CONST),
        SD_BUS_PROPERTY("ActiveState", "s", property_unit, 0, SD_BUS_VTABLE_PROPERTY_EMITS_CHANGE),
        SD_BUS_PROPERTY("SubState", "s", property_unit, 0, SD_BUS_VTABLE_PROPERTY_EMITS_CHANGE),
        SD_BUS_PROPERTY("UnitFileState", "s", property_unit, 0, 0),
        SD_BUS_PROPERTY("Job", "(uo)", property_unit, 0, SD_BUS_VTABLE_PROPERTY_EMITS_CHANGE),
        SD_BUS_VTABLE_END,
};

static const sd_bus_vtable service_vtable[] = {
        SD_BUS_VTABLE_START(0),
        SD_BUS_PROPERTY("Type", "s", property_service, 0, SD_BUS_VTABLE_PROPERTY_CONST),
        SD_BUS_PROPERTY("Result", "s", property_service, 0, SD_BUS_VTABLE_PROPERTY_EMITS_CHANGE),
        SD_BUS_PROPERTY("MainPID", "u", property_service, 0, SD_BUS_VTABLE_PROPERTY_EMITS_CHANGE),
        SD_BUS_PROPERTY("ExecMainPID", "u", property_service, 0, 0),
        SD_BUS_PROPERTY("ExecMainCode", "i", property_service, 0, SD_BUS_VTABLE_PROPERTY_EMITS_CHANGE),
        SD_BUS_PROPERTY("ExecMainStatus", "i", property_service, 0, SD_BUS_VTABLE_PROPERTY_EMITS_CHANGE),
        SD_BUS_VTABLE_END,
};

static int setup(sd_bus *bus) {
        int r;

        r = sd_bus_add_object_vtable(bus, NULL, ROOT, MANAGER, manager_vtable, NULL);
        if (r >= 0)
                r = sd_bus_add_fallback_vtable(bus, NULL, ROOT "/unit", UNIT, unit_vtable, find_unit, NULL);
        if (r >= 0)
                r = sd_bus_add_fallback_vtable(bus, NULL, ROOT "/unit", SERVICE, service_vtable, find_unit, NULL);
        return r;
}

Service systemd1_service = { .name = "org.freedesktop.systemd1", .setup = setup };

int systemd1_run_job(const char *unit, const char *verb, void (*done)(bool ok)) {
        Unit *u = unit_find(unit);
        Job *before, *j;

        if (!u || !u->loaded)
                return -ENOENT;
        before = u->job;
        j = job_get(u, verb);
        j->done = done;
        if (j != before)
                loop_post(job_dispatch, j);
        return 0;
}

/* `unit-state NAME`: "ACTIVE SUB RESULT" */
static int command_unit_state(char **arguments, GString *text) {
        const Unit *u = unit_find(arguments[0]);

        if (!u)
                return -ENOENT;
        g_string_append_printf(text, "%s %s %s", u->active, u->sub, u->result);
        return 0;
}

/* `wait-unit NAME ACTIVE-STATE` */
static int command_wait_unit(char **arguments, _unused_ GString *text) {
        for (;;) {
                const Unit *u = unit_find(arguments[0]);

                if (streq(u ? u->active : "inactive", arguments[1]))
                        return 0;
                machine_wait();
        }
}

static int command_jobs_log(_unused_ char **arguments, GString *text) {
        for (unsigned i = 0; record && i < record->len; i++)
                g_string_append_printf(text, "%s\n", (const char *) g_ptr_array_index(record, i));
        return 0;
}

static int command_systemd1(char **arguments, _unused_ GString *text) {
        if (streq(arguments[0], "back"))
                return service_start(&systemd1_service);
        if (streq(arguments[0], "gone"))
                service_stop(&systemd1_service);
        else if (streq(arguments[0], "silent"))
                service_silence(&systemd1_service);
        else
                return -EINVAL;
        return 0;
}

const ControlCommand systemd1_commands[] = {
        { "unit", 1, unit_command },
        { "unit-state", 1, command_unit_state },
        { "wait-unit", 2, command_wait_unit, .waits = true },
        { "jobs-log", 0, command_jobs_log },
        { "systemd1", 1, command_systemd1 },
        {},
};
