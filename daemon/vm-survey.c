/* SPDX-License-Identifier: GPL-2.0-or-later */

#include "vm-survey.h"

#include "journal.h"

/* Of each question: whoever asks waits for all of them. */
#define QUESTION_SEC 4U
/* Each VM may use that many names of units: those of identify, and one. */
#define NUMBERS (VM_ADAPTERS_MAX + 1U)

typedef struct SurveyedVm {
        VmSurvey *survey; /* weak */
        uint32_t pid;
        char *gpu, *name, *adapter, *id;
        SleepPolicy policy; /* the strictest of its cards' */
        char *stranger, *silent;
        VmCall *call;     /* NULL: it is through */
        bool has_capabilities;
        VmAnswer capabilities;
} SurveyedVm;

struct VmSurvey {
        sd_bus *bus;
        unsigned job;
        sd_event_source *timer;
        vm_survey_handler_t handler;
        void *userdata;
        SurveyedVm *vms[VM_SURVEY_MAX];
        size_t n;
};

VmSurvey *vm_survey_new(void) {
        return calloc(1, sizeof(VmSurvey));
}

static void surveyed_free(SurveyedVm *v) {
        vm_call_free(v->call);
        vm_answer_done(&v->capabilities);
        free(v->gpu);
        free(v->name);
        free(v->adapter);
        free(v->id);
        free(v->stranger);
        free(v->silent);
        free(v);
}

VmSurvey *vm_survey_free(VmSurvey *s) {
        if (!s)
                return NULL;
        for (size_t i = 0; i < s->n; i++)
                surveyed_free(s->vms[i]);
        sd_event_source_disable_unref(s->timer);
        sd_bus_unref(s->bus);
        free(s);
        return NULL;
}

static SurveyedVm *find_process(const VmSurvey *s, uint32_t pid) {
        for (size_t i = 0; i < s->n; i++)
                if (s->vms[i]->pid == pid)
                        return s->vms[i];
        return NULL;
}

static int add_process(VmSurvey *s, const Gpu *g, const Holder *h) {
        const SleepPolicy *policy = config_sleep_policy(g->host->config, g->config);
        SurveyedVm *v = find_process(s, h->pid);
        int k;

        if (v)
                sleep_policy_merge(&v->policy, policy);
        if (v || s->n >= VM_SURVEY_MAX)
                return 0;
        v = malloc(sizeof(SurveyedVm));
        if (!v)
                return -ENOMEM;
        *v = (SurveyedVm) { .survey = s, .pid = h->pid, .policy = *policy, .gpu = strdup(g->address) };
        k = asprintf(&v->name, "%s (%s, pid %u)", h->vm_name ?: strempty(h->command), h->vm_manager ?: "process", h->pid);
        if (k < 0)
                v->name = NULL;
        if (!v->gpu || !v->name) {
                surveyed_free(v);
                return -ENOMEM;
        }
        s->vms[s->n++] = v;
        return 0;
}

int vm_survey_add(VmSurvey *s, const Gpu *g) {
        int r = 0;

        for (size_t i = 0; g->holders && i < g->holders->n && r >= 0; i++)
                if (g->holders->list[i].is_vm)
                        r = add_process(s, g, g->holders->list + i);
        return r;
}

/* ---- asking ---- */

static void finish_if_known(VmSurvey *s) {
        for (size_t i = 0; i < s->n; i++)
                if (s->vms[i]->call)
                        return;
        s->timer = sd_event_source_disable_unref(s->timer);
        s->handler(s->userdata);
}

static int on_timer(sd_event_source *source, uint64_t usec, void *userdata) {
        VmSurvey *s = ASSERT_PTR(userdata);

        for (size_t i = 0; i < s->n; i++) {
                SurveyedVm *v = s->vms[i];

                if (!v->call)
                        continue;
                v->call = vm_call_free(v->call);
                if (asprintf(v->id ? &v->silent : &v->stranger, "no answer within %u s", VM_SURVEY_TIMEOUT_SEC) < 0)
                        v->silent = v->stranger = NULL;
        }
        finish_if_known(s);
        return 0;
}

static void on_capabilities(const VmAnswer *a, const char *adapter, bool joined, void *userdata) {
        SurveyedVm *v = ASSERT_PTR(userdata);

        v->call = NULL;
        if (a->result == VM_DONE) {
                v->has_capabilities = true;
                vm_answer_copy_capabilities(a, &v->capabilities);
        } else
                v->silent = strdup(isempty(a->reason) ? "its adapter gives no reason" : a->reason);
        finish_if_known(v->survey);
}

static unsigned first_number(const SurveyedVm *v) {
        const VmSurvey *s = v->survey;
        unsigned i = 0;

        while (s->vms[i] != v)
                i++;
        return 1 + i * NUMBERS;
}

static int ask(SurveyedVm *v, VmVerb verb, const char *adapter, vm_handler_t handler) {
        return vm_ask(v->survey->bus,
                      &(VmRequest) { .job = v->survey->job,
                                     .number = first_number(v) + (verb == VM_IDENTIFY ? 0 : VM_ADAPTERS_MAX),
                                     .adapter = adapter,
                                     .verb = verb,
                                     .id = v->id,
                                     .pid = v->pid,
                                     .limit_sec = QUESTION_SEC },
                      handler, v, &v->call);
}

static void on_identified(const VmAnswer *a, const char *adapter, bool joined, void *userdata) {
        SurveyedVm *v = ASSERT_PTR(userdata);
        char *name;
        int r;

        v->call = NULL;
        if (a->result == VM_DONE) {
                if (asprintf(&name, "%s (%s, pid %u)", a->name ?: a->id, adapter, v->pid) >= 0) {
                        free(v->name);
                        v->name = name;
                }
                v->adapter = strdup(adapter);
                v->id = strdup(a->id);
                r = v->adapter && v->id ? ask(v, VM_CAPABILITIES, adapter, on_capabilities) : -ENOMEM;
                if (r < 0)
                        v->silent = strdup(strerror(-r));
        } else if (a->result == VM_NOT_MINE)
                v->stranger = strdup("no adapter of virtual machines knows it");
        else if (asprintf(&v->stranger, "the adapter %s says: %s", adapter, a->reason) < 0)
                v->stranger = NULL;
        finish_if_known(v->survey);
}

int vm_survey_begin(VmSurvey *s, Host *h, sd_bus *bus, vm_survey_handler_t handler, void *userdata) {
        int r;

        if (s->n == 0)
                return 0;
        s->bus = sd_bus_ref(bus);
        s->handler = handler;
        s->userdata = userdata;
        r = journal_next_id(h->run_dir, &h->last_job);
        if (r < 0)
                return r;
        s->job = h->last_job;
        r = sd_event_add_time_relative(h->event, &s->timer, CLOCK_MONOTONIC, VM_SURVEY_TIMEOUT_SEC * 1000000ULL, 0, on_timer, s);
        for (size_t i = 0; i < s->n && r >= 0; i++)
                r = ask(s->vms[i], VM_IDENTIFY, NULL, on_identified);
        return r < 0 ? r : 1;
}

/* Whether two processes are one VM. */
static bool is_same(const SurveyedVm *a, const SurveyedVm *b) {
        return a->id && streq_ptr(a->adapter, b->adapter) && streq_ptr(a->id, b->id);
}

static bool is_repeated(const VmSurvey *s, size_t i) {
        for (size_t k = 0; k < i; k++)
                if (is_same(s->vms[k], s->vms[i]))
                        return true;
        return false;
}

/* That of all its processes together. */
static SleepPolicy policy_of(const VmSurvey *s, size_t i) {
        SleepPolicy policy = s->vms[i]->policy;

        for (size_t k = i + 1; k < s->n; k++)
                if (is_same(s->vms[i], s->vms[k]))
                        sleep_policy_merge(&policy, &s->vms[k]->policy);
        return policy;
}

int vm_survey_findings(const VmSurvey *s, FindingsVm **ret, size_t *ret_n) {
        FindingsVm *list = calloc(s->n + 1, sizeof(FindingsVm));
        size_t n = 0;

        if (!list)
                return -ENOMEM;
        for (size_t i = 0; i < s->n; i++) {
                const SurveyedVm *v = s->vms[i];

                if (is_repeated(s, i))
                        continue;
                list[n++] = (FindingsVm) {
                        .gpu = v->gpu,
                        .policy = policy_of(s, i),
                        .name = v->name,
                        .stranger = v->id ? NULL : v->stranger ?: "it could not be asked",
                        .capabilities = v->has_capabilities ? &v->capabilities : NULL,
                        .silent = v->silent,
                };
        }
        *ret = list;
        *ret_n = n;
        return 0;
}
