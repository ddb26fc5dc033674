/* SPDX-License-Identifier: GPL-2.0-or-later */

/* job-follow: one job from the call that starts it to its end, in an event loop of its own. It subscribes
 * before it calls, so that no signal is missed; believes only signals of the daemon that answered; and when
 * the daemon goes away in the middle it waits for the next one and asks that what became of the job, whose id
 * stays the same. */

#include "client/job-follow.h"

#include <fcntl.h>
#include <inttypes.h>
#include <signal.h>
#include <systemd/sd-event.h>

#include "client/agent.h"
#include "client/progress.h"
#include "client/report.h"
#include "client/wrap.h"
#include "dbus/names.h"

#define RETURN_DEADLINE_USEC (30 * USEC_PER_SEC)
#define RETURN_RETRY_USEC (USEC_PER_SEC / 2)
#define RELEASE_DEADLINE_USEC (10 * USEC_PER_SEC)

typedef enum Phase {
        PHASE_CALLING,   /* the method has not answered; polkit may be asking */
        PHASE_EXPECTING, /* the lease is dropped, the daemon has not started the job yet */
        PHASE_FOLLOWING, /* the job is known */
        PHASE_AWAY,      /* the job is known, the daemon is not there or has not said yet what it knows */
} Phase;

enum {
        SLOT_JOB_NEW,
        SLOT_JOB_REMOVED,
        SLOT_CHANGED,
        SLOT_OWNER,
        SLOT_DISCONNECTED,
        SLOT_CALL,
        SLOT_QUERY,
        SLOT_CANCEL,
        _SLOT_MAX,
};

typedef struct JobFollow {
        const JobRequest *request;
        Client *client;
        sd_event *event;
        sd_event_source *deadline, *retry, *limit;
        sd_bus_slot *slots[_SLOT_MAX];
        sigset_t old_mask;

        Phase phase;
        bool foreign;               /* the job is not ours */
        unsigned interrupts;
        Progress progress;
        json_object *properties;    /* of the job, as far as they are known */
        JobOutcome outcome;
} JobFollow;

static int query_after_return(JobFollow *f);

void job_outcome_done(JobOutcome *o) {
        free(o->path);
        free(o->result);
        free(o->error);
        free(o->message);
        (void) safe_close(o->lease_fd);
        *o = (JobOutcome) JOB_OUTCOME_NULL;
}

/* Ends the loop: 0 with the outcome, an exit status, or negative errno. Returns what a handler returns. */
static int end(JobFollow *f, int code) {
        progress_clear(&f->progress);
        return sd_event_exit(f->event, code);
}

static void follow_done(JobFollow *f) {
        for (size_t i = 0; i < _SLOT_MAX; i++)
                sd_bus_slot_unref(f->slots[i]);
        sd_event_source_disable_unref(f->deadline);
        sd_event_source_disable_unref(f->retry);
        sd_event_source_disable_unref(f->limit);
        if (f->event) {
                (void) sd_bus_detach_event(f->client->bus);
                sd_event_unref(f->event);
                (void) sigprocmask(SIG_SETMASK, &f->old_mask, NULL);
        }
        progress_done(&f->progress);
        json_object_put(f->properties);
        job_outcome_done(&f->outcome);
        agent_close();
}

/* ---- what the job looks like ---- */

static void show(JobFollow *f) {
        _cleanup_free_ char *title = NULL;

        if (asprintf(&title, "%s %s", f->request->operation, f->request->gpu->address) < 0) {
                title = NULL;
                return;
        }
        progress_show(&f->progress, title, json_string(f->properties, "state"),
                      (uint32_t) json_number(f->properties, "step"), (uint32_t) json_number(f->properties, "steps"),
                      json_string(f->properties, "description"));
}

/* Takes over the properties that are in `changed`. */
static int merge(JobFollow *f, json_object *changed) {
        if (!f->properties)
                f->properties = json_object_new_object();
        if (!f->properties)
                return -ENOMEM;

        json_object_object_foreach(changed, key, value) {
                if (json_object_object_add(f->properties, key, json_object_get(value)) < 0)
                        return -ENOMEM;
        }
        return 0;
}

static int take_path(JobFollow *f, const char *path) {
        const char *number;
        unsigned long id;
        char *rest;

        number = startswith(path, GPUPT_JOB_PREFIX "/");
        if (!number)
                return -EBADMSG;
        errno = 0;
        id = strtoul(number, &rest, 10);
        if (*rest || rest == number || errno > 0 || id > UINT32_MAX)
                return -EBADMSG;

        f->outcome.id = (uint32_t) id;
        return free_and_strdup(&f->outcome.path, path);
}

static int take_result(JobFollow *f, const char *result, const char *error, const char *message) {
        int r;

        r = free_and_strdup(&f->outcome.result, result);
        if (r >= 0)
                r = free_and_strdup(&f->outcome.error, error);
        if (r >= 0)
                r = free_and_strdup(&f->outcome.message, message);
        return r;
}

/* Asks for all properties of the GPU or of the job. */
static int query(JobFollow *f, const char *path, const char *interface, sd_bus_message_handler_t handler) {
        _cleanup_(sd_bus_message_unrefp) sd_bus_message *m = NULL;
        int r;

        f->slots[SLOT_QUERY] = sd_bus_slot_unref(f->slots[SLOT_QUERY]);
        r = client_new_call(f->client, path, "org.freedesktop.DBus.Properties", "GetAll", &m, NULL);
        if (r >= 0)
                r = sd_bus_message_append(m, "s", interface);
        /* A daemon that somebody stopped on purpose is not to be started by one who waits for it. */
        if (r >= 0)
                r = sd_bus_message_set_auto_start(m, false);
        if (r >= 0)
                r = sd_bus_call_async(f->client->bus, &f->slots[SLOT_QUERY], m, handler, f, 0);
        return r;
}

/* The job's properties at the begin. No answer is no harm: the job has ended, and its JobRemoved is on the way; or it was before,
 * if it is somebody else's. One of the whole host is a sleep that a hook has joined: it waits for the VM, and that for the hook. */
static int on_job_properties(sd_bus_message *reply, void *userdata, _unused_ sd_bus_error *ret_error) {
        JobFollow *f = ASSERT_PTR(userdata);
        _cleanup_(json_object_putp) json_object *properties = NULL;
        int r;

        if (sd_bus_message_is_method_error(reply, NULL))
                return f->foreign ? end(f, 0) : 0;
        r = json_from_properties(reply, &properties);
        if (r >= 0)
                r = merge(f, properties);
        if (r < 0 || streq(json_string(properties, "gpu"), GPUPT_OBJECT_PATH))
                return end(f, MIN(r, 0));
        show(f);
        return 0;
}

static int follow_job(JobFollow *f, const char *path) {
        int r;

        r = take_path(f, path);
        if (r < 0)
                return r;
        f->phase = PHASE_FOLLOWING;
        f->deadline = sd_event_source_disable_unref(f->deadline);
        return query(f, path, GPUPT_JOB_INTERFACE, on_job_properties);
}

/* ---- the call ---- */

static int on_call_failed(JobFollow *f, sd_bus_message *reply) {
        const sd_bus_error *error = sd_bus_message_get_error(reply);

        progress_clear(&f->progress);
        /* The bus itself answers for a daemon that died over the call; sd-bus's own time-out has another sender. */
        if (streq_ptr(sd_bus_message_get_sender(reply), "org.freedesktop.DBus") &&
            sd_bus_error_has_name(error, SD_BUS_ERROR_NO_REPLY)) {
                report_note("gpuptd went away before it answered; 'gpuptctl status %s' shows how things are.",
                            f->request->gpu->address);
                return end(f, EXIT_NO_DAEMON);
        }
        if (f->request->refusal) {
                (void) sd_bus_error_copy(f->request->refusal, error);
                return end(f, -(sd_bus_error_get_errno(error) ?: EIO));
        }
        return end(f, (int) report_error(f->request->gpu->address, error, -sd_bus_error_get_errno(error)));
}

static int on_called(sd_bus_message *reply, void *userdata, _unused_ sd_bus_error *ret_error) {
        JobFollow *f = ASSERT_PTR(userdata);
        const char *path;
        int fd, r;

        agent_close();
        if (sd_bus_message_is_method_error(reply, NULL))
                return on_call_failed(f, reply);

        r = client_learn_daemon(f->client, sd_bus_message_get_sender(reply));
        if (r >= 0 && sd_bus_message_has_signature(reply, "ho")) {
                r = sd_bus_message_read(reply, "h", &fd);
                if (r >= 0) /* the message keeps its own */
                        r = f->outcome.lease_fd = RET_NERRNO(fcntl(fd, F_DUPFD_CLOEXEC, 3));
        }
        if (r >= 0)
                r = sd_bus_message_read(reply, "o", &path);
        if (r >= 0)
                r = f->request->block ? follow_job(f, path) : take_path(f, path);
        if (r < 0 || !f->request->block)
                return end(f, MIN(r, 0));
        return 0;
}

/* ---- signals of the daemon ---- */

static int on_changed(sd_bus_message *m, void *userdata, _unused_ sd_bus_error *ret_error) {
        JobFollow *f = ASSERT_PTR(userdata);
        _cleanup_(json_object_putp) json_object *changed = NULL;
        int r;

        if (f->phase != PHASE_FOLLOWING || !streq(sd_bus_message_get_path(m), f->outcome.path) ||
            !client_is_from_daemon(f->client, m))
                return 0;

        r = sd_bus_message_skip(m, "s");
        if (r >= 0)
                r = json_from_properties(m, &changed);
        if (r >= 0)
                r = merge(f, changed);
        if (r < 0)
                return end(f, r);
        show(f);
        return 0;
}

static int on_job_removed(sd_bus_message *m, void *userdata, _unused_ sd_bus_error *ret_error) {
        JobFollow *f = ASSERT_PTR(userdata);
        const char *path, *gpu, *result, *error, *message;
        uint32_t id;
        int r;

        if (f->phase == PHASE_CALLING || !client_is_from_daemon(f->client, m))
                return 0;
        r = sd_bus_message_read(m, "uossss", &id, &path, &gpu, &result, &error, &message);
        if (r < 0) /* better than to wait for ever */
                return end(f, r);

        if (f->phase == PHASE_EXPECTING) {
                if (!streq(gpu, f->request->gpu->address))
                        return 0;
                r = take_path(f, path);
                if (r < 0)
                        return end(f, r);
        } else if (id != f->outcome.id)
                return 0;

        r = take_result(f, result, error, message);
        return end(f, MIN(r, 0));
}

static int on_gpu_of_new_job(sd_bus_message *reply, void *userdata, _unused_ sd_bus_error *ret_error) {
        JobFollow *f = ASSERT_PTR(userdata);
        _cleanup_(json_object_putp) json_object *gpu = NULL;
        int r;

        if (f->phase != PHASE_EXPECTING || sd_bus_message_is_method_error(reply, NULL))
                return 0;
        r = json_from_properties(reply, &gpu);
        if (r >= 0 && startswith(json_string(gpu, "job"), GPUPT_JOB_PREFIX "/"))
                r = follow_job(f, json_string(gpu, "job"));
        return r < 0 ? end(f, r) : 0;
}

/* JobNew does not say which GPU it is about; the GPU says which job it has. */
static int on_job_new(sd_bus_message *m, void *userdata, _unused_ sd_bus_error *ret_error) {
        JobFollow *f = ASSERT_PTR(userdata);
        int r;

        if (f->phase != PHASE_EXPECTING || !client_is_from_daemon(f->client, m))
                return 0;
        r = query(f, f->request->gpu->path, GPUPT_GPU_INTERFACE, on_gpu_of_new_job);
        return r < 0 ? end(f, r) : 0;
}

/* ---- the daemon goes and comes ---- */

static int on_retry(_unused_ sd_event_source *s, _unused_ uint64_t usec, void *userdata) {
        JobFollow *f = ASSERT_PTR(userdata);
        int r;

        r = query_after_return(f);
        return r < 0 ? end(f, r) : 0;
}

/* A daemon that has just come back reads its journal; the GPU or its last job may not be there yet. */
static int ask_again_later(JobFollow *f) {
        f->retry = sd_event_source_disable_unref(f->retry);
        return sd_event_add_time_relative(f->event, &f->retry, CLOCK_MONOTONIC, RETURN_RETRY_USEC, 0, on_retry, f);
}

static int on_gpu_after_return(sd_bus_message *reply, void *userdata, _unused_ sd_bus_error *ret_error) {
        JobFollow *f = ASSERT_PTR(userdata);
        _cleanup_(json_object_putp) json_object *gpu = NULL;
        json_object *last;
        int r = 0;

        if (!sd_bus_message_is_method_error(reply, NULL))
                r = json_from_properties(reply, &gpu);
        if (r < 0)
                return end(f, r);

        last = json_dict(gpu, "last-job");
        if (last && json_number(last, "id") == f->outcome.id) {
                r = take_result(f, json_string(last, "result"), json_string(last, "error"),
                                json_string(last, "message"));
                return end(f, MIN(r, 0));
        }

        r = ask_again_later(f);
        return r < 0 ? end(f, r) : 0;
}

static int on_job_after_return(sd_bus_message *reply, void *userdata, sd_bus_error *ret_error) {
        JobFollow *f = ASSERT_PTR(userdata);
        int r;

        if (sd_bus_message_is_method_error(reply, NULL)) {
                r = query(f, f->request->gpu->path, GPUPT_GPU_INTERFACE, on_gpu_after_return);
                return r < 0 ? end(f, r) : 0;
        }

        f->phase = PHASE_FOLLOWING;
        f->deadline = sd_event_source_disable_unref(f->deadline);
        report_note("gpuptd is back and goes on with job %" PRIu32 ".", f->outcome.id);
        return on_job_properties(reply, f, ret_error);
}

static int query_after_return(JobFollow *f) {
        return query(f, f->outcome.path, GPUPT_JOB_INTERFACE, on_job_after_return);
}

static int on_return_deadline(_unused_ sd_event_source *s, _unused_ uint64_t usec, void *userdata) {
        JobFollow *f = ASSERT_PTR(userdata);

        progress_clear(&f->progress);
        if (f->client->daemon) {
                report_note("gpuptd came back, but knows nothing of job %" PRIu32
                            "; 'gpuptctl status %s' shows how things are.",
                            f->outcome.id, f->request->gpu->address);
                return end(f, EXIT_FAILED);
        }
        report_note("gpuptd has not come back; what became of job %" PRIu32 " is not known. "
                    "See 'systemctl status gpuptd.service'.", f->outcome.id);
        return end(f, EXIT_NO_DAEMON);
}

static int on_daemon_gone(JobFollow *f) {
        (void) client_learn_daemon(f->client, NULL);
        if (f->phase == PHASE_EXPECTING) {
                report_note("gpuptd went away; it attaches %s when it is back.", f->request->gpu->address);
                return end(f, EXIT_NO_DAEMON);
        }
        if (f->phase != PHASE_FOLLOWING)
                return 0;

        f->phase = PHASE_AWAY;
        progress_clear(&f->progress);
        report_note("gpuptd went away; waiting for it to come back.");
        return sd_event_add_time_relative(f->event, &f->deadline, CLOCK_MONOTONIC, RETURN_DEADLINE_USEC, 0,
                                          on_return_deadline, f);
}

static int on_owner_changed(sd_bus_message *m, void *userdata, _unused_ sd_bus_error *ret_error) {
        JobFollow *f = ASSERT_PTR(userdata);
        const char *owner;
        int r;

        if (!streq_ptr(sd_bus_message_get_sender(m), "org.freedesktop.DBus") ||
            sd_bus_message_read(m, "sss", NULL, NULL, &owner) < 0)
                return 0;

        if (isempty(owner))
                r = on_daemon_gone(f);
        else {
                r = client_learn_daemon(f->client, owner);
                if (r >= 0 && f->phase == PHASE_AWAY)
                        r = query_after_return(f);
        }
        return r < 0 ? end(f, r) : 0;
}

/* The bus itself is gone, or ssh with --host=. A call that waits gets its own error before this. */
static int on_disconnected(_unused_ sd_bus_message *m, void *userdata, _unused_ sd_bus_error *ret_error) {
        JobFollow *f = ASSERT_PTR(userdata);

        progress_clear(&f->progress);
        report_note("The connection to the system bus broke; gpuptd goes on with what it has begun.");
        return end(f, EXIT_NO_DAEMON);
}

/* ---- Ctrl-C ---- */

static int on_cancelled(sd_bus_message *reply, void *userdata, _unused_ sd_bus_error *ret_error) {
        JobFollow *f = ASSERT_PTR(userdata);
        const sd_bus_error *error = sd_bus_message_get_error(reply);

        /* A job that ended in the meantime has its own way to say so. */
        if (error && !sd_bus_error_has_name(error, SD_BUS_ERROR_UNKNOWN_OBJECT)) {
                progress_clear(&f->progress);
                report_note("Job %" PRIu32 " cannot be cancelled: %s", f->outcome.id, error->message);
                show(f);
        }
        return 0;
}

static int ask_to_cancel(JobFollow *f) {
        _cleanup_(sd_bus_message_unrefp) sd_bus_message *m = NULL;
        int r;

        report_note("Asked job %" PRIu32 " to cancel; Ctrl-C again leaves it running.", f->outcome.id);
        r = client_new_call(f->client, f->outcome.path, GPUPT_JOB_INTERFACE, "Cancel", &m, NULL);
        if (r >= 0)
                r = sd_bus_call_async(f->client->bus, &f->slots[SLOT_CANCEL], m, on_cancelled, f,
                                      POLKIT_TIMEOUT_USEC);
        return r;
}

static int on_interrupt(_unused_ sd_event_source *s, _unused_ const struct signalfd_siginfo *si, void *userdata) {
        JobFollow *f = ASSERT_PTR(userdata);
        int r;

        progress_clear(&f->progress);
        if (f->phase == PHASE_CALLING) {
                /* Leaving the bus takes the question back that polkit may be asking. */
                report_note("Interrupted before gpuptd answered.");
                return end(f, EXIT_FAILED);
        }
        if (f->phase == PHASE_EXPECTING) {
                report_note("Not waiting; gpuptd attaches %s by itself.", f->request->gpu->address);
                return end(f, EXIT_FAILED);
        }
        if (f->interrupts++ == 0) {
                r = ask_to_cancel(f);
                show(f);
                return r < 0 ? end(f, r) : 0;
        }
        report_note("Job %" PRIu32 " goes on without this terminal; 'gpuptctl jobs' shows it.", f->outcome.id);
        return end(f, EXIT_FAILED);
}

/* ---- set-up ---- */

/* The matches are sent ahead of the call on the same connection, so they stand when it arrives; if the bus
 * refuses one, sd-bus closes the connection, and the call reports that. */
static int subscribe(JobFollow *f) {
        sd_bus *bus = f->client->bus;
        int r;

        r = sd_bus_match_signal_async(bus, &f->slots[SLOT_JOB_REMOVED], GPUPT_BUS_NAME, GPUPT_OBJECT_PATH,
                                      GPUPT_MANAGER_INTERFACE, "JobRemoved", on_job_removed, NULL, f);
        if (r >= 0)
                r = sd_bus_add_match_async(
                        bus, &f->slots[SLOT_CHANGED],
                        "type='signal',sender='" GPUPT_BUS_NAME "',path_namespace='" GPUPT_JOB_PREFIX "',"
                        "interface='org.freedesktop.DBus.Properties',member='PropertiesChanged',"
                        "arg0='" GPUPT_JOB_INTERFACE "'",
                        on_changed, NULL, f);
        if (r >= 0)
                r = sd_bus_add_match_async(
                        bus, &f->slots[SLOT_OWNER],
                        "type='signal',sender='org.freedesktop.DBus',path='/org/freedesktop/DBus',"
                        "interface='org.freedesktop.DBus',member='NameOwnerChanged',"
                        "arg0='" GPUPT_BUS_NAME "'",
                        on_owner_changed, NULL, f);
        if (r >= 0) /* made by sd-bus itself, never sent to the bus */
                r = sd_bus_match_signal(bus, &f->slots[SLOT_DISCONNECTED], "org.freedesktop.DBus.Local",
                                        "/org/freedesktop/DBus/Local", "org.freedesktop.DBus.Local", "Disconnected",
                                        on_disconnected, f);
        return r;
}

static int follow_init(JobFollow *f, const JobRequest *request) {
        sigset_t mask;
        int r;

        *f = (JobFollow) { .request = request, .client = request->client, .outcome = JOB_OUTCOME_NULL };
        progress_init(&f->progress, request->client->options, request->out);

        (void) sigemptyset(&mask);
        (void) sigaddset(&mask, SIGINT);
        if (sigprocmask(SIG_BLOCK, &mask, &f->old_mask) < 0)
                return -errno;
        r = sd_event_new(&f->event);
        if (r >= 0)
                r = sd_event_add_signal(f->event, NULL, SIGINT, on_interrupt, f);
        if (r >= 0) /* the connection outlives this loop: a lease is followed twice */
                r = sd_bus_set_close_on_exit(f->client->bus, false);
        if (r >= 0)
                r = sd_bus_attach_event(f->client->bus, f->event, 0);
        if (r >= 0)
                r = subscribe(f);
        return r;
}

static int follow_to_end(JobFollow *f, JobOutcome *ret) {
        int r;

        r = sd_event_loop(f->event);
        if (r != 0)
                return r;

        *ret = f->outcome;
        f->outcome = (JobOutcome) JOB_OUTCOME_NULL;
        return 0;
}

int job_run(const JobRequest *request, sd_bus_message *call, JobOutcome *ret) {
        _cleanup_(follow_done) JobFollow f;
        int r;

        r = follow_init(&f, request);
        if (r < 0)
                return r;
        agent_open(request->client->options);
        r = sd_bus_call_async(request->client->bus, &f.slots[SLOT_CALL], call, on_called, &f, POLKIT_TIMEOUT_USEC);
        if (r < 0)
                return r;
        return follow_to_end(&f, ret);
}

static int on_release_deadline(_unused_ sd_event_source *s, _unused_ uint64_t usec, void *userdata) {
        JobFollow *f = ASSERT_PTR(userdata);

        report_note("%s is not being attached yet; gpuptd does so when nobody has it open any more.",
                    f->request->gpu->address);
        return end(f, EXIT_IN_USE);
}

int job_run_by_release(const JobRequest *request, int *lease_fd, JobOutcome *ret) {
        _cleanup_(follow_done) JobFollow f;
        sd_bus *bus = request->client->bus;
        int r;

        r = follow_init(&f, request);
        if (r < 0)
                return r;
        f.phase = PHASE_EXPECTING;
        r = sd_bus_match_signal_async(bus, &f.slots[SLOT_JOB_NEW], GPUPT_BUS_NAME, GPUPT_OBJECT_PATH,
                                      GPUPT_MANAGER_INTERFACE, "JobNew", on_job_new, NULL, &f);
        if (r < 0)
                return r;
        /* The descriptor does not queue behind the matches as a call would: wait until the bus has them. (Not with a
         * Ping, which dbus-daemon's own policy for the system bus does not let through to itself.) */
        r = sd_bus_call_method(bus, "org.freedesktop.DBus", "/org/freedesktop/DBus", "org.freedesktop.DBus", "GetId", NULL,
                               NULL, NULL);
        if (r < 0)
                return r;

        *lease_fd = safe_close(*lease_fd);
        r = sd_event_add_time_relative(f.event, &f.deadline, CLOCK_MONOTONIC, RELEASE_DEADLINE_USEC, 0,
                                       on_release_deadline, &f);
        if (r < 0)
                return r;
        return follow_to_end(&f, ret);
}

static int on_limit(_unused_ sd_event_source *s, _unused_ uint64_t usec, void *userdata) {
        return end(ASSERT_PTR(userdata), -ETIMEDOUT);
}

int job_await(const JobRequest *request, const char *path, uint64_t usec) {
        _cleanup_(job_outcome_done) JobOutcome outcome = JOB_OUTCOME_NULL;
        _cleanup_(follow_done) JobFollow f;
        int r;

        r = follow_init(&f, request);
        if (r < 0)
                return r;
        f.foreign = true;
        r = sd_event_add_time_relative(f.event, &f.limit, CLOCK_MONOTONIC, usec, 0, on_limit, &f);
        if (r >= 0)
                r = follow_job(&f, path);
        return r < 0 ? r : follow_to_end(&f, &outcome);
}

/* ---- the end ---- */

static int print_json(const JobRequest *request, const JobOutcome *outcome) {
        _cleanup_(json_object_putp) json_object *o = NULL;

        o = json_object_new_object();
        if (!o ||
            json_object_object_add(o, "id", json_object_new_int64(outcome->id)) < 0 ||
            json_object_object_add(o, "job", json_object_new_string(outcome->path)) < 0 ||
            json_object_object_add(o, "gpu", json_object_new_string(request->gpu->address)) < 0 ||
            json_object_object_add(o, "operation", json_object_new_string(request->operation)) < 0)
                return -ENOMEM;
        if (outcome->result &&
            (json_object_object_add(o, "result", json_object_new_string(outcome->result)) < 0 ||
             json_object_object_add(o, "error", json_object_new_string(outcome->error)) < 0 ||
             json_object_object_add(o, "message", json_object_new_string(outcome->message)) < 0))
                return -ENOMEM;

        json_print(o, request->client->options->json);
        return 0;
}

static void print_line(const JobRequest *request, const JobOutcome *outcome) {
        const char *gpu = request->gpu->address;
        _cleanup_free_ char *result = NULL, *head = NULL;
        TextShape shape = { .columns = isatty(fileno(request->out)) ? terminal_columns() : 0 };
        bool done;

        if (!outcome->result) {
                (void) fprintf(request->out, "%s: %s runs as job %" PRIu32 " (%s)\n", gpu, request->operation,
                               outcome->id, outcome->path);
                return;
        }

        done = streq(outcome->result, "done");
        result = text_escape(outcome->result);
        if (!result || asprintf(&head, "%s: %s ", gpu, request->operation) < 0) {
                head = NULL;
                return;
        }
        (void) fprintf(request->out, "%s%s%s%s", head, color_begin(request->out, done ? COLOR_GREEN : COLOR_RED), result,
                       color_end(request->out, done ? COLOR_GREEN : COLOR_RED));
        if (!done || isempty(outcome->message)) {
                (void) fputc('\n', request->out);
                return;
        }
        (void) fputs(": ", request->out);
        shape.begun = text_width(head) + text_width(result) + STRLEN(": ");
        text_print(request->out, &shape, outcome->message);
}

/* A job that went wrong names its error; the names here are for a daemon that leaves it out. */
static const char *error_of(const JobOutcome *outcome) {
        if (!isempty(outcome->error))
                return outcome->error;
        if (streq(outcome->result, "cancelled"))
                return GPUPT_ERROR_CANCELLED;
        if (streq(outcome->result, "stuck"))
                return GPUPT_ERROR_STUCK;
        return GPUPT_ERROR_FAILED;
}

bool job_succeeded(const JobOutcome *outcome, sd_bus_error *ret_error) {
        if (!outcome->result || streq(outcome->result, "done"))
                return true;
        (void) sd_bus_error_set(ret_error, error_of(outcome),
                                isempty(outcome->message) ? "The job did not succeed and gave no reason."
                                                          : outcome->message);
        return false;
}

ExitStatus job_report(const JobRequest *request, const JobOutcome *outcome) {
        const Options *o = request->client->options;
        _cleanup_(sd_bus_error_free) sd_bus_error error = SD_BUS_ERROR_NULL;
        int r;

        if (o->json != JSON_OFF && request->out == stdout) {
                r = print_json(request, outcome);
                if (r < 0)
                        return report_error(NULL, NULL, r);
        } else if (!o->quiet)
                print_line(request, outcome);

        return job_succeeded(outcome, &error) ? EXIT_DONE : report_error(request->gpu->address, &error, 0);
}
