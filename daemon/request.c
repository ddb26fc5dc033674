/* SPDX-License-Identifier: GPL-2.0-or-later */

/* request: the life of a method call that waits, and the calls that need nothing but a yes. What is asked for is in
 * request-job.c (jobs and plans) and request-read.c (holders, firmware images). */

#include "request.h"

#include "bus.h"
#include "dbus/errors.h"
#include "dbus/names.h"
#include "request-internal.h"
#include "util/log.h"

Request *request_free(Request *q) {
        if (!q)
                return NULL;
        if (q->manager)
                LIST_REMOVE(requests, q->manager->requests, q);
        scan_waiter_free(q->look);
        census_waiter_free(q->census);
        polkit_query_free(q->query);
        rom_read_forget(q->rom);
        default_waiter_free(q->waiter);
        plan_options_done(&q->options);
        holders_free(q->shown);
        sd_bus_message_unref(q->message);
        free(q->gpu);
        free(q);
        return NULL;
}

void request_free_all(Manager *m) {
        while (m->requests)
                request_free(m->requests);
}

static unsigned count_requests(const Manager *m, const char *sender) {
        unsigned n = 0;

        LIST_FOREACH(requests, q, m->requests)
                n += streq_ptr(sd_bus_message_get_sender(q->message), sender);
        return n;
}

int request_new(Manager *m, RequestKind kind, const char *gpu, sd_bus_message *message, Request **ret,
                       sd_bus_error *error) {
        _cleanup_(request_freep) Request *q = NULL;
        int r;

        if (count_requests(m, sd_bus_message_get_sender(message)) >= m->host->config->queries_per_sender)
                return sd_bus_error_set(error, SD_BUS_ERROR_LIMITS_EXCEEDED,
                                        "You have too many calls waiting for an answer already.");
        q = calloc(1, sizeof(Request));
        if (!q)
                return -ENOMEM;
        q->kind = kind;
        q->operation = kind == REQUEST_ATTACH    ? OPERATION_ATTACH
                       : kind == REQUEST_RESET   ? OPERATION_RESET
                       : kind == REQUEST_RECOVER ? OPERATION_RECOVER
                       : kind == REQUEST_PHASE   ? OPERATION_PHASE
                                                 : OPERATION_DETACH;
        q->gpu = strdup(gpu);
        if (!q->gpu)
                return -ENOMEM;
        r = bus_sender_uid(message, &q->uid);
        if (r < 0)
                return r;
        q->message = sd_bus_message_ref(message);
        q->manager = m;
        LIST_APPEND(requests, m->requests, q);
        *ret = TAKE_PTR(q);
        return 0;
}

/* Answers with the error (or, without one, with what the errno is) and lets go. */
void request_fail(Request *q, int r, sd_bus_error *error) {
        if (sd_bus_error_is_set(error))
                r = sd_bus_reply_method_error(q->message, error);
        else
                r = sd_bus_reply_method_errno(q->message, r, NULL);
        if (r < 0)
                log_debug_errno(r, "Failed to answer a call, ignoring: %m");
        request_free(q);
}

/* What polkit said, as an error; 0 if it said yes. */
int request_check_verdict(PolkitVerdict verdict, sd_bus_error *error) {
        if (verdict == POLKIT_DENIED)
                return sd_bus_error_set(error, SD_BUS_ERROR_ACCESS_DENIED, "You are not allowed to do that.");
        if (verdict == POLKIT_CHALLENGE)
                return sd_bus_error_set(
                        error, SD_BUS_ERROR_INTERACTIVE_AUTHORIZATION_REQUIRED,
                        "This needs authentication, and nobody could be asked: the caller does not allow a "
                        "dialog, or there is no polkit agent.");
        return 0;
}

/* ---- calls that need nothing but a yes ---- */

static void on_default(int default_error, const char *text, void *userdata) {
        Request *q = ASSERT_PTR(userdata);
        _cleanup_(sd_bus_error_free) sd_bus_error error = SD_BUS_ERROR_NULL;
        int r;

        q->waiter = NULL;
        if (default_error < 0)
                r = sd_bus_error_setf(
                        &error, GPUPT_ERROR_FAILED,
                        "The default of %s was not changed, since the rule for it could not be written: %s.", q->gpu,
                        text);
        else
                r = sd_bus_reply_method_return(q->message, NULL);
        if (r < 0)
                request_fail(q, r, &error);
        else
                request_free(q);
}

/* 0: the answer follows. */
static int start_default(Request *q, sd_bus_error *error) {
        const Gpu *g = manager_find_gpu(q->manager, q->gpu);
        int r;

        if (!g)
                return sd_bus_error_setf(error, GPUPT_ERROR_NO_SUCH_GPU, "%s is not there any more.", q->gpu);
        if (!gpu_display(g))
                return sd_bus_error_setf(
                        error, GPUPT_ERROR_UNREACHABLE,
                        "%s is not on the PCI bus, so it cannot be said by what it will be known again.", g->address);
        if (q->vfio && gpu_blanks_last_display(g))
                return sd_bus_error_setf(error, GPUPT_ERROR_LAST_DISPLAY,
                                         "%s drives the display that somebody looks at, and the next boot would not have it. "
                                         "LastDisplay=allow in its .gpu file allows that.",
                                         g->address);
        r = manager_set_default(q->manager, g, q->vfio, on_default, q, &q->waiter);
        if (r == -EPROTONOSUPPORT)
                return sd_bus_error_set(error, GPUPT_ERROR_INCONSISTENT,
                                        GPUPT_STATE_DIR
                                        "/defaults cannot be read, so it is left as it is. See journalctl -u gpuptd.");
        return r;
}

/* 1: it is over. */
static int act(Request *q, sd_bus_error *error) {
        Job *j;
        int r;

        if (q->kind == REQUEST_DEFAULT)
                return start_default(q, error);
        if (q->kind == REQUEST_RELOAD) {
                r = manager_reload(q->manager);
                r = r < 0 ? r : sd_bus_reply_method_return(q->message, NULL);
                return r < 0 ? r : 1;
        }
        j = manager_find_job(q->manager, q->job);
        if (!j)
                return sd_bus_error_setf(error, GPUPT_ERROR_NO_SUCH_JOB, "The job %u is over.", q->job);
        if (!job_cancellable(j))
                return sd_bus_error_setf(error, GPUPT_ERROR_NOT_SUPPORTED,
                                         "The job %u cannot be cancelled any more: it is being undone, or stuck.",
                                         q->job);
        /* The answer first: the job may be over before this returns. */
        r = sd_bus_reply_method_return(q->message, NULL);
        job_cancel(j);
        return r < 0 ? r : 1;
}

static void on_simple_polkit(PolkitVerdict verdict, void *userdata) {
        Request *q = ASSERT_PTR(userdata);
        _cleanup_(sd_bus_error_free) sd_bus_error error = SD_BUS_ERROR_NULL;
        int r;

        q->query = NULL;
        r = request_check_verdict(verdict, &error);
        if (r >= 0)
                r = verdict == POLKIT_ALLOWED ? act(q, &error) : 1;
        if (r < 0)
                request_fail(q, r, &error);
        else if (r > 0)
                request_free(q);
}

static int ask_simple(Request *owned, const char *action, const char *gpu, sd_bus_error *error) {
        _cleanup_(request_freep) Request *q = owned;
        const char *actions[] = { action, NULL }, *details[] = { "gpu", gpu, NULL };
        int r;

        r = polkit_ask(q->manager->polkit, q->message, q->uid, (char *const *) actions, details,
                       q->manager->host->config->queries_per_sender, on_simple_polkit, q, &q->query);
        if (r == -EDQUOT)
                return sd_bus_error_set(error, SD_BUS_ERROR_LIMITS_EXCEEDED,
                                        "You have too many questions open at polkit.");
        if (r < 0)
                return r;
        TAKE_PTR(q);
        return 1;
}

int request_cancel(Manager *m, Job *j, sd_bus_message *message, sd_bus_error *error) {
        Request *q;
        int r;

        r = request_new(m, REQUEST_CANCEL, j->gpu->address, message, &q, error);
        if (r < 0)
                return r;
        q->job = j->intent->id;
        /* One's own jobs, always. */
        if (q->uid == j->intent->uid) {
                r = act(q, error);
                request_free(q);
                return r < 0 ? r : 1;
        }
        return ask_simple(q, GPUPT_ACTION_CANCEL, j->gpu->address, error);
}

int request_reload(Manager *m, sd_bus_message *message, sd_bus_error *error) {
        Request *q;
        int r;

        r = request_new(m, REQUEST_RELOAD, "", message, &q, error);
        return r < 0 ? r : ask_simple(q, GPUPT_ACTION_CONFIGURE, "", error);
}

int request_default(Manager *m, Gpu *g, sd_bus_message *message, sd_bus_error *error) {
        const char *state;
        Request *q;
        int r;

        r = sd_bus_message_read(message, "s", &state);
        if (r < 0)
                return r;
        if (!streq(state, "host") && !streq(state, "vfio"))
                return sd_bus_error_setf(error, SD_BUS_ERROR_INVALID_ARGS,
                                         "A card is with 'host' or with 'vfio' by default, not '%.16s'.", state);
        r = request_new(m, REQUEST_DEFAULT, g->address, message, &q, error);
        if (r < 0)
                return r;
        q->vfio = streq(state, "vfio");
        return ask_simple(q, GPUPT_ACTION_CONFIGURE, g->address, error);
}
