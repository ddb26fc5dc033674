/* SPDX-License-Identifier: GPL-2.0-or-later */

/* request-job: the way of a call that starts a job: cheap refusals, then a census where it matters who holds the card (whom force
 * would end, which VM an attach would disturb), then polkit, then the same refusals again, then the job. Cheap refusals come
 * first so that nobody is asked for a password for something that cannot be done. Plan goes the same way up to polkit. */

#include "request.h"

#include "bus.h"
#include "climb.h"
#include "dbus/errors.h"
#include "dbus/names.h"
#include "options.h"
#include "request-internal.h"
#include "sleep.h"
#include "util/log.h"

static bool is_recovery(const Request *q) {
        return q->operation == OPERATION_RESET || q->operation == OPERATION_RECOVER;
}

/* The rung that is named; else which rungs there will be is for the probes to say, so only what is in the way of all of them can be
 * said now. */
static int plan_recovery(const Request *q, const Gpu *g, Plan **ret, sd_bus_error *error) {
        _cleanup_free_ char *message = NULL;
        PlanOptions options = q->options;
        PlanInput input;
        int r;

        if (options.has_rung && climb_is_forbidden(g, options.rung))
                return sd_bus_error_setf(error, GPUPT_ERROR_NOT_SUPPORTED,
                                         "The reset '%s' is known to harm %s, or the administrator has forbidden it.",
                                         rung_to_string(options.rung), g->address);
        /* Who would be logged out on the way up is said by a rung that takes the card from its driver. */
        if (!options.has_rung)
                options.rung = gpu_display(g) && !options.log_out ? RUNG_WAKE : RUNG_REMOVE_RESCAN;
        gpu_plan_input(g, q->shown, &input);
        r = plan_build(&input, OPERATION_RESET, &options, ret, &message);
        if (r > 0 && (options.has_rung || r == PLAN_E_IN_USE))
                return sd_bus_error_set(error, plan_refusal_error(r), message);
        if (r > 0)
                *ret = plan_new(q->operation);
        return r < 0 ? r : *ret ? 0 : -ENOMEM;
}

/* The plan as things stand, or the refusal. */
static int plan_now(const Request *q, const Gpu *g, Plan **ret, sd_bus_error *error) {
        _cleanup_free_ char *message = NULL;
        bool heals = q->operation == OPERATION_PHASE && vm_phase_heals(q->options.phase);
        PlanInput input;
        int r = 0;

        if (is_recovery(q))
                return plan_recovery(q, g, ret, error);
        /* First it has to be there, and well: what that takes, the job will see. But whom it would log out is said now. */
        if (!heals || q->options.log_out) {
                gpu_plan_input(g, q->shown, &input);
                r = plan_build(&input, q->operation, &q->options, ret, &message);
        }
        if (heals && r >= 0 && (r > 0 || !q->options.log_out)) {
                *ret = plan_new(q->operation);
                return *ret ? 0 : -ENOMEM;
        }
        return r > 0 ? sd_bus_error_set(error, plan_refusal_error(r), message) : r;
}

static int check_lease(const Request *q, const Gpu *g, sd_bus_error *error) {
        const Lease *lease = manager_find_lease(q->manager, g);

        if (q->kind == REQUEST_ACQUIRE) {
                if (lease)
                        return sd_bus_error_setf(error, GPUPT_ERROR_BUSY, "%s is leased by uid %u already.",
                                                 g->address, lease->uid);
                if (g->state == GPU_DETACHED || g->state == GPU_ASSIGNED)
                        return sd_bus_error_setf(
                                error, GPUPT_ERROR_NOT_SUPPORTED,
                                "%s is detached already, so a lease could not give it back. Attach it first.",
                                g->address);
        }
        if (q->kind == REQUEST_ATTACH && lease && lease->uid != q->uid && !q->options.force)
                return sd_bus_error_setf(error, GPUPT_ERROR_BUSY,
                                         "%s is leased by uid %u. Taking it away needs the option force.", g->address,
                                         lease->uid);
        return 0;
}

/* The hook of a VM that is being stopped or started for the sleep of the host: what it asks for is being done, and if it were refused, its
 * VM manager would refuse the VM. */
static bool joins_sleep(const Request *q, const Gpu *g) {
        return q->kind == REQUEST_PHASE && sleep_joins_hook(q->manager->sleep, g);
}

static bool takes_card(const Request *q) {
        if (q->kind == REQUEST_PHASE)
                return q->options.phase == PHASE_PRE_START;
        return q->kind == REQUEST_DETACH || q->kind == REQUEST_ACQUIRE;
}

/* Everything that can be refused without asking anybody. */
static int check_request(const Request *q, const Gpu *g, Plan **ret, sd_bus_error *error) {
        _cleanup_free_ char *message = NULL;
        const char *name;
        int r;

        if (joins_sleep(q, g)) {
                *ret = plan_new(q->operation);
                return *ret ? 0 : -ENOMEM;
        }
        if (q->manager->host->off && takes_card(q))
                return sd_bus_error_setf(error, GPUPT_ERROR_NOT_SUPPORTED,
                                         "gpuptd=off is on the kernel's command line: %s stays with the host until the next boot.", g->address);
        name = manager_refuse_job(q->manager, g, sd_bus_message_get_sender(q->message), &message);
        if (name)
                return sd_bus_error_set(error, name, message);
        r = check_lease(q, g, error);
        if (r < 0)
                return r;
        if (q->kind == REQUEST_ACQUIRE && manager_count_leases(q->manager, sd_bus_message_get_sender(q->message)) >=
                                                   q->manager->host->config->leases_per_sender)
                return sd_bus_error_set(error, SD_BUS_ERROR_LIMITS_EXCEEDED, "You hold too many leases already.");
        return plan_now(q, g, ret, error);
}

/* ---- the job ---- */

/* The job that it joins; in the middle of the sleep there is none, nor anything to be done. */
static int join_sleep(Request *q, Gpu *g) {
        char path[BUS_PATH_MAX];
        Job *j;
        int r;

        if (q->manager->host_job)
                return sd_bus_reply_method_return(q->message, "o",
                                                  job_bus_path(job_face_view(q->manager->host_job).id, path));
        if (g->job)
                return sd_bus_reply_method_return(q->message, "o", job_bus_path(g->job->intent->id, path));
        q->options.phase = PHASE_POST_START;
        r = manager_start_job(q->manager, g, OPERATION_PHASE, &q->options, q->uid,
                              sd_bus_message_get_sender(q->message), NULL, &j);
        if (r < 0)
                return r;
        r = sd_bus_reply_method_return(q->message, "o", job_bus_path(j->intent->id, path));
        manager_announce_job(q->manager, j);
        return r;
}

static int start_job(Request *q, Gpu *g, sd_bus_error *error) {
        const char *sender = sd_bus_message_get_sender(q->message);
        _cleanup_close_ int lease_fd = -EBADF;
        char path[BUS_PATH_MAX];
        Lease *lease = manager_find_lease(q->manager, g);
        Job *j;
        int r;

        if (joins_sleep(q, g))
                return join_sleep(q, g);
        if (q->kind == REQUEST_ACQUIRE) {
                r = manager_new_lease(q->manager, g, q->uid, sender, &lease_fd);
                if (r < 0)
                        return r;
        }
        r = manager_start_job(q->manager, g, q->operation, &q->options, q->uid, sender, q->shown, &j);
        if (r < 0) {
                if (q->kind == REQUEST_ACQUIRE)
                        manager_end_lease(q->manager, manager_find_lease(q->manager, g));
                return r;
        }
        q->shown = NULL; /* the job's now */
        if (q->kind == REQUEST_ATTACH && lease)
                manager_end_lease(q->manager, lease);
        job_bus_path(j->intent->id, path);
        r = q->kind == REQUEST_ACQUIRE ? sd_bus_reply_method_return(q->message, "ho", lease_fd, path)
                                       : sd_bus_reply_method_return(q->message, "o", path);
        if (r < 0)
                log_debug_errno(r, "Failed to answer a call, ignoring: %m");
        manager_announce_job(q->manager, j);
        return 0;
}

static void on_polkit(PolkitVerdict verdict, void *userdata) {
        Request *q = ASSERT_PTR(userdata);
        _cleanup_(sd_bus_error_free) sd_bus_error error = SD_BUS_ERROR_NULL;
        _cleanup_(plan_freep) Plan *plan = NULL;
        Gpu *g;
        int r;

        q->query = NULL;
        if (verdict == POLKIT_GONE) {
                request_free(q);
                return;
        }
        r = request_check_verdict(verdict, &error);
        if (r < 0) {
                request_fail(q, r, &error);
                return;
        }

        /* Minutes may have passed. */
        g = manager_find_gpu(q->manager, q->gpu);
        if (!g)
                r = sd_bus_error_setf(&error, GPUPT_ERROR_NO_SUCH_GPU, "%s is not there any more.", q->gpu);
        else
                r = check_request(q, g, &plan, &error);
        if (r >= 0)
                r = start_job(q, g, &error);
        if (r < 0)
                request_fail(q, r, &error);
        else
                request_free(q);
}

/* Which of the two plain permissions it needs: to take the card from the host, or to end that. */
static bool gives_back(const Request *q) {
        if (q->operation == OPERATION_PHASE)
                return q->options.phase == PHASE_PRE_STOP || q->options.phase == PHASE_POST_STOP;
        return q->operation == OPERATION_ATTACH;
}

/* "; logs out anna (session 2), bo (session c1); stops gdm.service": what the plan does to desktops; "": nothing. */
static char *describe_desktops(const Plan *plan) {
        const char *before = "; logs out ";
        bool stops = false;
        char *text = NULL;
        size_t size;
        FILE *f = open_memstream(&text, &size);

        if (!f)
                return NULL;
        for (size_t i = 0; i < plan->n; i++)
                if (plan->steps[i].verb == VERB_END_SESSION) {
                        fprintf(f, "%s%s (session %s)", before, plan->steps[i].arguments[0], plan->steps[i].target);
                        before = ", ";
                }
        for (size_t i = 0; i < plan->n; i++) {
                if (stops && plan->steps[i].verb == VERB_STOP_UNIT)
                        fprintf(f, "; stops %s", plan->steps[i].target);
                stops = plan->steps[i].verb == VERB_CHECK_LOGINS || (stops && plan->steps[i].verb == VERB_END_SESSION);
        }
        return fclose(f) == 0 ? text : NULL;
}

/* One line for the dialog: whom it ends, and what it does. */
static char *plan_sentence(const Request *q, const Plan *plan) {
        _cleanup_free_ char *who = NULL, *desktops = describe_desktops(plan);
        char *text;

        if (!desktops)
                return NULL;

        if (q->operation == OPERATION_PHASE) {
                if (asprintf(&text, "%s of %s%s", vm_phase_to_string(q->options.phase), strempty(q->options.vm),
                             desktops) < 0)
                        return NULL;
                return text;
        }
        if (is_recovery(q)) {
                if (asprintf(&text, "%s%s%s%s",
                             q->options.has_rung ? rung_to_string(q->options.rung)
                                                 : "rung by rung, the weakest first, until it is well",
                             q->options.has_rung ? ": " : "",
                             q->options.has_rung ? rung_describe(q->options.rung) : "", desktops) < 0)
                        return NULL;
                return text;
        }
        if (q->operation == OPERATION_DETACH && q->options.force && q->shown && q->shown->n > 0)
                who = holders_describe(q->shown);
        if (asprintf(&text, "%zu steps%s%s%s%s%s", plan->n, who ? "; ends: " : "", strempty(who), desktops,
                     q->options.disrupt_session && !*desktops ? "; whoever looks at its display loses it" : "",
                     q->options.access ? "; the caller gets access to it" : "") < 0)
                return NULL;
        return text;
}

static int authorise(Request *q, const Gpu *g, const Plan *plan) {
        _cleanup_free_ char *sentence = plan_sentence(q, plan);
        const char *actions[5] = {};
        char vendor[8], device[8];
        size_t n = 0;

        if (!sentence)
                return -ENOMEM;
        /* force and disrupt-session imply the rest (org.freedesktop.policykit.imply): one dialog. */
        if (q->options.force)
                actions[n++] = GPUPT_ACTION_FORCE;
        if (q->options.disrupt_session)
                actions[n++] = GPUPT_ACTION_DISRUPT_SESSION;
        if (is_recovery(q))
                actions[n++] = q->operation == OPERATION_RESET ? GPUPT_ACTION_RESET : GPUPT_ACTION_RECOVER;
        else if (n == 0)
                actions[n++] = gives_back(q) ? GPUPT_ACTION_ATTACH : GPUPT_ACTION_DETACH;
        if (q->access_action)
                actions[n++] = GPUPT_ACTION_ACCESS;

        (void) snprintf(vendor, sizeof(vendor), "%04x", g->vendor);
        (void) snprintf(device, sizeof(device), "%04x", g->device);
        const char *details[] = {
                "gpu", g->address, "name", strempty(g->name), "vendor", vendor, "device", device,
                "operation", operation_to_string(q->operation), "plan", sentence, NULL,
        };
        return polkit_ask(q->manager->polkit, q->message, q->uid, (char *const *) actions, details,
                          q->manager->host->config->queries_per_sender, on_polkit, q, &q->query);
}

/* The way up the ladder as it would be if nothing helped: each rung with what it does, or why it cannot be done. */
static int append_ladder(const Request *q, const Gpu *g, sd_bus_message *reply) {
        _cleanup_(intent_freep) Intent *intent = intent_new(0, q->operation, g->address, q->uid);
        _cleanup_free_ char *message = NULL;
        int r;

        if (!intent)
                return -ENOMEM;
        while ((r = climb_next(g, intent, &q->options, q->shown, &message)) == 1) {
                r = intent_end_rung(intent, 0, rung_describe(intent->rung));
                if (r < 0)
                        return r;
        }
        for (size_t i = 0; i < intent->n_attempts && r >= 0; i++)
                r = sd_bus_message_append(reply, "(sss)", rung_to_string(intent->attempts[i].rung), g->address,
                                          intent->attempts[i].outcome);
        return r < 0 ? r : 0;
}

static int append_steps(const Plan *plan, sd_bus_message *reply) {
        int r = 0;

        for (size_t i = 0; i < plan->n && r >= 0; i++) {
                _cleanup_free_ char *detail = step_describe(plan->steps + i);

                r = sd_bus_message_append(reply, "(sss)", verb_to_string(plan->steps[i].verb), plan->steps[i].target,
                                          strempty(detail));
        }
        return r;
}

static int reply_plan(Request *q, const Gpu *g, const Plan *plan) {
        _cleanup_(sd_bus_message_unrefp) sd_bus_message *reply = NULL;
        int r;

        r = sd_bus_message_new_method_return(q->message, &reply);
        if (r >= 0)
                r = sd_bus_message_open_container(reply, 'a', "(sss)");
        if (is_recovery(q) && !q->options.has_rung && r >= 0)
                r = append_ladder(q, g, reply);
        else if (r >= 0)
                r = append_steps(plan, reply);
        if (r >= 0)
                r = sd_bus_message_close_container(reply);
        return r < 0 ? r : sd_bus_send(NULL, reply, NULL);
}

static int consider(const Request *q, const Gpu *g, Plan **ret, sd_bus_error *error) {
        return q->kind == REQUEST_PLAN ? plan_now(q, g, ret, error) : check_request(q, g, ret, error);
}

/* Whom it would end or log out, or which VM is in its way, is never told by what was seen some time ago: a VM manager with a private /dev
 * opens and closes nodes that nobody can watch. */
static bool needs_census(const Request *q, const Plan *plan) {
        if (q->options.log_out)
                return true;
        if (q->operation == OPERATION_DETACH || q->operation == OPERATION_PHASE || is_recovery(q))
                return q->options.force;
        return plan->n > 0 && !q->options.has_wait;
}

/* With all that has to be known: answer, or ask. Negative: the caller reports it. */
static int proceed(Request *q, const Gpu *g, const Plan *plan, sd_bus_error *error) {
        int r;

        if (q->kind == REQUEST_PLAN) {
                r = reply_plan(q, g, plan);
                if (r >= 0)
                        request_free(q);
                return r;
        }
        reader_warm(q->manager->host->readers);
        r = authorise(q, g, plan);
        if (r == -EDQUOT)
                return sd_bus_error_set(error, SD_BUS_ERROR_LIMITS_EXCEEDED,
                                        "You have too many questions open at polkit.");
        return r;
}

static void on_census(int census_error, const Holders *holders, void *userdata) {
        Request *q = ASSERT_PTR(userdata);
        _cleanup_(sd_bus_error_free) sd_bus_error error = SD_BUS_ERROR_NULL;
        _cleanup_(plan_freep) Plan *plan = NULL;
        Gpu *g = manager_find_gpu(q->manager, q->gpu);
        int r;

        q->census = NULL;
        if (census_error < 0)
                r = sd_bus_error_set(
                        &error, GPUPT_ERROR_TIMEOUT,
                        "The census of the holders did not end: a process on this host does not answer /proc.");
        else if (!g)
                r = sd_bus_error_setf(&error, GPUPT_ERROR_NO_SUCH_GPU, "%s is not there any more.", q->gpu);
        else if (q->joined) {
                /* It may have passed the process that matters before the call came. */
                q->joined = false;
                r = gpu_census(g, on_census, q, &q->census);
        } else {
                r = holders_copy(holders, &q->shown);
                if (r >= 0)
                        r = consider(q, g, &plan, &error);
                if (r >= 0)
                        r = proceed(q, g, plan, &error);
        }
        if (r < 0)
                request_fail(q, r, &error);
}

/* What can be refused without a census was refused before. */
static int go_on(Request *q, Gpu *g, const Plan *plan, sd_bus_error *error) {
        if (!needs_census(q, plan))
                return proceed(q, g, plan, error);
        q->joined = g->census;
        return gpu_census(g, on_census, q, &q->census);
}

static void on_look(void *userdata) {
        Request *q = ASSERT_PTR(userdata);
        _cleanup_(sd_bus_error_free) sd_bus_error error = SD_BUS_ERROR_NULL;
        _cleanup_(plan_freep) Plan *plan = NULL;
        Gpu *g = manager_find_gpu(q->manager, q->gpu);
        int r;

        q->look = NULL;
        if (!g)
                r = sd_bus_error_setf(&error, GPUPT_ERROR_NO_SUCH_GPU, "%s is not there any more.", q->gpu);
        else
                r = consider(q, g, &plan, &error);
        if (r >= 0)
                r = go_on(q, g, plan, &error);
        if (r < 0)
                request_fail(q, r, &error);
}

/* Mounts and networks come and go without an event: they are no reason to refuse before they were looked at again. (A job
 * looks itself, so one that is not seen here ends it before anything is touched.) */
static bool may_be_over(const Request *q, const sd_bus_error *error) {
        return q->operation == OPERATION_DETACH && sd_bus_error_has_name(error, GPUPT_ERROR_IN_USE);
}

static int read_options(Request *q, Gpu *g, sd_bus_message *message, sd_bus_error *error) {
        const PlanOptions named = q->options; /* what the method's other arguments have said */
        AccessOption access;
        int r;

        r = options_read(message, g, q->operation, q->manager->host->config->wait_sec, &q->options, &access, error);
        if (r < 0)
                return r;
        if (access == ACCESS_UNSET && q->kind == REQUEST_ACQUIRE)
                access = ACCESS_CALLER;
        /* root has access anyway. */
        q->options.access = access == ACCESS_CALLER && q->uid != 0 && q->operation == OPERATION_DETACH;
        q->options.uid = q->uid;
        q->options.phase = named.phase;
        q->options.vm = named.vm;
        q->access_action = q->options.access;
        return 0;
}

/* Reads the options and goes as far as it can at once. */
static int submit(Request *owned, Gpu *g, sd_bus_message *message, sd_bus_error *error) {
        _cleanup_(request_freep) Request *q = owned;
        _cleanup_(plan_freep) Plan *plan = NULL;
        int r;

        r = read_options(q, g, message, error);
        if (r < 0)
                return r;
        r = consider(q, g, &plan, error);
        if (r >= 0)
                r = go_on(q, g, plan, error);
        else if (may_be_over(q, error)) {
                sd_bus_error_free(error);
                r = gpu_scan_wait(g, on_look, q, &q->look);
        }
        if (r < 0)
                return r;
        /* It lives on in the manager's list, or is over. */
        TAKE_PTR(q);
        return 1;
}

int request_job(RequestKind kind, Manager *m, Gpu *g, sd_bus_message *message, sd_bus_error *error) {
        Request *q;
        int r;

        r = request_new(m, kind, g->address, message, &q, error);
        return r < 0 ? r : submit(q, g, message, error);
}

/* What a VM manager calls its VM ends in a log line and a dialog, no more. */
static bool vm_name_valid(const char *s) {
        size_t n = strlen(s);

        if (n == 0 || n > GPUPT_WORD_MAX)
                return false;
        for (; *s; s++)
                if ((unsigned char) *s < 0x20 || *s == 0x7f)
                        return false;
        return true;
}

int request_phase(Manager *m, Gpu *g, sd_bus_message *message, sd_bus_error *error) {
        const char *manager, *vm, *phase;
        _cleanup_free_ char *name = NULL;
        VmPhase p;
        Request *q;
        int r;

        r = sd_bus_message_read(message, "sss", &manager, &vm, &phase);
        if (r < 0)
                return r;
        p = vm_phase_from_string(phase);
        if (p < 0 || p > PHASE_POST_STOP)
                return sd_bus_error_setf(error, SD_BUS_ERROR_INVALID_ARGS, "There is no phase '%.32s'.", phase);
        if (!vm_name_valid(manager) || !vm_name_valid(vm))
                return sd_bus_error_setf(error, SD_BUS_ERROR_INVALID_ARGS,
                                         "The names of a VM and of its manager have 1 to %u printable characters.",
                                         GPUPT_WORD_MAX);
        if (asprintf(&name, "%s (%s)", vm, manager) < 0) {
                name = NULL;
                return -ENOMEM;
        }
        r = request_new(m, REQUEST_PHASE, g->address, message, &q, error);
        if (r < 0)
                return r;
        q->options.phase = p;
        q->options.vm = TAKE_PTR(name);
        return submit(q, g, message, error);
}

int request_plan(Manager *m, Gpu *g, sd_bus_message *message, sd_bus_error *error) {
        const char *name;
        Request *q;
        int r;

        r = sd_bus_message_read(message, "s", &name);
        if (r < 0)
                return r;
        r = request_new(m, REQUEST_PLAN, g->address, message, &q, error);
        if (r < 0)
                return r;
        q->operation = operation_from_string(name);
        if (q->operation < 0) {
                request_free(q);
                return sd_bus_error_setf(error, SD_BUS_ERROR_INVALID_ARGS, "There is no operation '%.32s'.", name);
        }
        return submit(q, g, message, error);
}
