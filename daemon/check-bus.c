/* SPDX-License-Identifier: GPL-2.0-or-later */

/* check-bus: Manager.Check(): free for everybody, so limited for each; answered when systemd, the adapters of VMs, and the survey have
 * been asked, in this order, since nobody keeps a survey; or when they are late. Adapters are programs that are run as root and talk to
 * guests, so only root has them asked. */

#include "bus.h"
#include "findings.h"
#include "session-freezer.h"
#include "sleep.h"
#include "surveyor.h"
#include "util/log.h"
#include "vm-survey.h"

struct CheckCall {
        Manager *manager; /* weak */
        sd_bus_message *message;
        FindingsCaller caller;
        SessionFreezer *freezer; /* being asked */
        FindingsFreezer freezes;
        VmSurvey *vms;
        bool vms_asked;          /* they are being asked */
        SurveyWaiter *waiter;
        LIST_FIELDS(CheckCall, checks);
};

static CheckCall *check_call_free(CheckCall *c) {
        if (!c)
                return NULL;
        if (c->manager)
                LIST_REMOVE(checks, c->manager->checks, c);
        session_freezer_free(c->freezer);
        vm_survey_free(c->vms);
        survey_waiter_free(c->waiter);
        sd_bus_message_unref(c->message);
        free(c);
        return NULL;
}
DEFINE_CLEANUP(CheckCall *, check_call_free);

void check_free_all(Manager *m) {
        while (m->checks)
                check_call_free(m->checks);
}

static unsigned count_calls(const Manager *m, const char *sender) {
        unsigned n = 0;

        LIST_FOREACH(checks, c, m->checks)
                n += streq_ptr(sd_bus_message_get_sender(c->message), sender);
        return n;
}

/* Whoever cannot be found out about gets the list without the line about himself. */
static void learn_caller(sd_bus_message *message, FindingsCaller *ret) {
        _cleanup_(sd_bus_creds_unrefp) sd_bus_creds *creds = NULL;
        FindingsCaller caller = { .known = true };
        uid_t uid;
        pid_t pid;
        int r;

        r = sd_bus_query_sender_creds(message, SD_BUS_CREDS_EUID | SD_BUS_CREDS_PID, &creds);
        if (r >= 0)
                r = sd_bus_creds_get_euid(creds, &uid);
        if (r >= 0)
                r = sd_bus_creds_get_pid(creds, &pid);
        if (r >= 0)
                r = process_memlock((uint32_t) pid, &caller.memlock_soft, &caller.memlock_hard);
        if (r < 0)
                return;
        caller.uid = uid;
        *ret = caller;
}

static FindingsGpu *collect_gpus(const Manager *m, size_t *ret_n) {
        FindingsGpu *gpus;
        size_t n = 0;

        LIST_FOREACH(gpus, g, m->gpus)
                n++;
        gpus = calloc(n + 1, sizeof(FindingsGpu));
        if (!gpus)
                return NULL;
        *ret_n = n;
        n = 0;
        LIST_FOREACH(gpus, g, m->gpus)
                gpus[n++] = (FindingsGpu) {
                        .address = g->address,
                        .name = g->name,
                        .functions = g->functions,
                        .blockers = g->blockers,
                        .state = g->state,
                        .taken = g->record && !g->record_unfit,
                        .default_vfio = gpu_default_is_vfio(g, m->host->defaults),
                        .last_display = g->config ? g->config->last_display : m->host->config->last_display,
                        .sleep = config_sleep_policy(m->host->config, g->config),
                };
        return gpus;
}

static int make_findings(const CheckCall *c, const SurveyResult *result, Findings **ret) {
        _cleanup_free_ FindingsGpu *gpus = NULL;
        _cleanup_free_ FindingsVm *vms = NULL;
        size_t n = 0, n_vms = 0;
        int r;

        (void) host_find_hooks(c->manager->host);
        gpus = collect_gpus(c->manager, &n);
        r = gpus ? vm_survey_findings(c->vms, &vms, &n_vms) : -ENOMEM;
        if (r < 0)
                return r;
        return findings_make(&(FindingsInput) {
                .snapshot = c->manager->host->snapshot,
                .survey = result->survey,
                .overrides = result->overrides,
                .survey_problem = result->survey_problem,
                .overrides_problem = result->overrides_problem,
                .gpus = gpus,
                .n_gpus = n,
                .defaults = c->manager->host->defaults,
                .off = c->manager->host->off,
                .caller = c->caller,
                .hooks = c->manager->host->hooks,
                .hook_warnings = c->manager->host->hook_warnings,
                .gate = c->manager->host->config->gate,
                .freezer = c->freezes,
                .vms = vms,
                .n_vms = n_vms,
        }, ret);
}

static int reply_findings(const CheckCall *c, const Findings *f) {
        _cleanup_(sd_bus_message_unrefp) sd_bus_message *reply = NULL;
        int r;

        r = sd_bus_message_new_method_return(c->message, &reply);
        if (r >= 0)
                r = sd_bus_message_open_container(reply, 'a', "(ssss)");
        for (size_t i = 0; i < f->n && r >= 0; i++)
                r = sd_bus_message_append(reply, "(ssss)", f->list[i].id, finding_result_to_string(f->list[i].result),
                                          f->list[i].summary, f->list[i].hint);
        if (r >= 0)
                r = sd_bus_message_close_container(reply);
        return r < 0 ? r : sd_bus_send(NULL, reply, NULL);
}

static void on_survey(const SurveyResult *result, void *userdata) {
        _cleanup_(check_call_freep) CheckCall *c = ASSERT_PTR(userdata);
        _cleanup_(findings_freep) Findings *findings = NULL;
        int r;

        c->waiter = NULL;
        r = make_findings(c, result, &findings);
        if (r >= 0)
                r = reply_findings(c, findings);
        if (r < 0)
                r = sd_bus_reply_method_errno(c->message, r, NULL);
        if (r < 0)
                log_debug_errno(r, "Failed to answer a call, ignoring: %m");
}

/* The functions of all GPUs. */
static int collect_functions(const Manager *m, char ***ret) {
        _cleanup_strv_free_ char **functions = NULL;
        int r;

        LIST_FOREACH(gpus, g, m->gpus)
                for (char *const *a = g->functions; a && *a; a++) {
                        if (!snapshot_find(m->host->snapshot, *a))
                                continue;
                        r = strv_extend(&functions, *a);
                        if (r < 0)
                                return r;
                }
        *ret = TAKE_PTR(functions);
        return 0;
}

/* ---- one after the other ---- */

static void fail(CheckCall *c, int error) {
        if (sd_bus_reply_method_errno(c->message, error, NULL) < 0)
                log_debug("Failed to answer a call, ignoring.");
        check_call_free(c);
}

static void ask_surveyor(CheckCall *c) {
        _cleanup_strv_free_ char **functions = NULL;
        Manager *m = c->manager;
        int r = 0;

        if (c->freezer || c->vms_asked)
                return;
        if (!m->surveyor)
                r = surveyor_new(m->host, &m->surveyor);
        if (r >= 0)
                r = collect_functions(m, &functions);
        if (r >= 0)
                r = surveyor_join(m->surveyor, functions, on_survey, c, &c->waiter);
        if (r < 0)
                fail(c, r);
}

static void on_freezer(const SessionFreezerAnswer *answer, void *userdata) {
        CheckCall *c = ASSERT_PTR(userdata);

        c->freezer = NULL;
        c->freezes = (FindingsFreezer) { .version = answer->version, .off = answer->off };
        ask_surveyor(c);
}

static void on_vms(void *userdata) {
        CheckCall *c = ASSERT_PTR(userdata);

        c->vms_asked = false;
        ask_surveyor(c);
}

/* Not in the middle of a sleep: what would become of them becomes of them. */
static int ask_vms(CheckCall *c) {
        Manager *m = c->manager;
        int r = 0;

        c->vms = vm_survey_new();
        if (!c->vms)
                return -ENOMEM;
        if (!c->caller.known || c->caller.uid != 0 || sleep_in_progress(m->sleep))
                return 0;
        LIST_FOREACH(gpus, g, m->gpus)
                if (g->state == GPU_ASSIGNED && r >= 0)
                        r = vm_survey_add(c->vms, g);
        if (r >= 0)
                r = vm_survey_begin(c->vms, m->host, m->bus, on_vms, c);
        if (r < 0)
                return r;
        c->vms_asked = r > 0;
        return 0;
}

int check_method(sd_bus_message *message, void *userdata, sd_bus_error *error) {
        _cleanup_(check_call_freep) CheckCall *c = NULL;
        Manager *m = ASSERT_PTR(userdata);
        int r;

        if (count_calls(m, sd_bus_message_get_sender(message)) >= m->host->config->queries_per_sender)
                return sd_bus_error_set(error, SD_BUS_ERROR_LIMITS_EXCEEDED,
                                        "You have too many calls waiting for an answer already.");
        c = calloc(1, sizeof(CheckCall));
        if (!c)
                return -ENOMEM;
        c->manager = m;
        c->message = sd_bus_message_ref(message);
        LIST_APPEND(checks, m->checks, c);
        learn_caller(message, &c->caller);
        r = ask_vms(c);
        if (r >= 0)
                r = session_freezer_ask(m->bus, on_freezer, c, &c->freezer);
        if (r < 0)
                return r;
        TAKE_PTR(c);
        return 1;
}
