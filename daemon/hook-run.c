/* SPDX-License-Identifier: GPL-2.0-or-later */

/* hook-run: the environment is made here and nowhere else. Every value is of a few harmless characters: whoever starts a VM gives it its
 * name, and a hook is a script of root's. Whether the hook may be run is looked at again, since it was found when the plan was
 * made; between this look and the exec nobody but root can change it. */

#include "hook-run.h"

#include "exec-client.h"

/* A hook that cannot write its output fails, so this is more than any has; it is memory only as far as it is used. */
#define OUTPUT_MAX (1024U * 1024U)

struct HookRun {
        Exec *exec;
        sd_event_source *refused; /* it is not run: why is in the next two */
        int error;
        char *text;
        hook_handler_t handler;
        void *userdata;
};

static int set(char ***environment, const char *key, const char *value) {
        static const char clean[] = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789_.:@+- ";
        _cleanup_free_ char *word = NULL;

        if (!value)
                return 0;
        if (asprintf(&word, "%s=%s", key, value) < 0) {
                word = NULL;
                return -ENOMEM;
        }
        for (char *p = word + strlen(key) + 1; *p; p++)
                if (!strchr(clean, *p))
                        *p = '_';
        return strv_extend(environment, word);
}

static int set_list(char ***environment, const char *key, char *const *list) {
        _cleanup_free_ char *text = NULL;
        size_t size;
        FILE *f;

        if (!list)
                return 0;
        f = open_memstream(&text, &size);
        if (!f)
                return -ENOMEM;
        for (char *const *s = list; *s; s++)
                fprintf(f, "%s%s", s == list ? "" : " ", *s);
        return fclose(f) == 0 ? set(environment, key, text) : -ENOMEM;
}

/* "win10 (libvirt)" as it is said to people is two words for programs. */
static int set_vm(char ***environment, const char *vm) {
        _cleanup_free_ char *name = NULL;
        char *manager = NULL;
        int r;

        if (isempty(vm))
                return 0;
        name = strdup(vm);
        if (!name)
                return -ENOMEM;
        /* The last one: the name of a VM may have one, that of a manager does not. */
        for (char *p = name; (p = strstr(p, " (")); p += 2)
                manager = p;
        if (manager) {
                *manager = '\0';
                manager += 2;
                manager[strcspn(manager, ")")] = '\0';
        }
        r = set(environment, "GPUPT_VM", name);
        return r < 0 ? r : set(environment, "GPUPT_VM_MANAGER", manager);
}

static int make_environment(const HookRequest *q, char ***ret) {
        _cleanup_strv_free_ char **environment = NULL;
        char event[64], job[16];
        int r;

        (void) snprintf(event, sizeof(event), "%s-%s", q->when, q->act);
        (void) snprintf(job, sizeof(job), "%u", q->job);
        r = set(&environment, "GPUPT_EVENT", event);
        if (r >= 0)
                r = set(&environment, "GPUPT_JOB", job);
        if (r >= 0)
                r = set(&environment, "GPUPT_OPERATION", q->operation);
        if (r >= 0)
                r = set(&environment, "GPUPT_RESULT", q->result);
        if (r >= 0)
                r = set(&environment, "GPUPT_GPU", q->gpu);
        if (r >= 0)
                r = set_list(&environment, "GPUPT_FUNCTIONS", q->functions);
        if (r >= 0)
                r = set_vm(&environment, q->vm);
        if (r >= 0)
                r = set(&environment, "GPUPT_SLEEP", q->sleep);
        if (r >= 0)
                r = set_list(&environment, "GPUPT_GPUS", q->gpus);
        if (r < 0)
                return r;
        *ret = TAKE_PTR(environment);
        return 0;
}

static void on_ended(const ExecResult *result, void *userdata) {
        _cleanup_(hook_run_freep) HookRun *h = ASSERT_PTR(userdata);

        h->exec = NULL;
        /* That systemd has not run it is not that somebody has cancelled what it is told of. */
        h->handler(result->error == -ECANCELED ? -ECHILD : result->error, result->text, result->output, h->userdata);
}

static int on_refused(sd_event_source *source, void *userdata) {
        _cleanup_(hook_run_freep) HookRun *h = ASSERT_PTR(userdata);

        h->handler(h->error, h->text, "", h->userdata);
        return 0;
}

static int refuse(HookRun *h, sd_bus *bus, const HookRequest *q, int error, const char *reason) {
        if (asprintf(&h->text, HOOKS_DIRECTORY "/%s was not run: %s", q->name, reason) < 0) {
                h->text = NULL;
                return -ENOMEM;
        }
        h->error = error == -EPERM ? -ECHILD : error; /* the text says it all */
        return sd_event_add_defer(sd_bus_get_event(bus), &h->refused, on_refused, h);
}

static int start(HookRun *h, sd_bus *bus, const HookRequest *q) {
        _cleanup_free_ char *path = NULL, *description = NULL;
        _cleanup_strv_free_ char **environment = NULL;
        char unit[64];
        int r;

        r = make_environment(q, &environment);
        if (r < 0)
                return r;
        if (asprintf(&path, HOOKS_DIRECTORY "/%s", q->name) < 0)
                path = NULL;
        if (asprintf(&description, "gpuptd hook %s (%s %s%s%s)", q->name, q->when, q->act, q->gpu ? " " : "", strempty(q->gpu)) < 0)
                description = NULL;
        if (!path || !description)
                return -ENOMEM;
        (void) snprintf(unit, sizeof(unit), EXEC_UNIT_FORMAT, q->job, q->number);
        return exec_run(bus,
                        &(ExecRequest) {
                                .unit = unit,
                                .description = description,
                                .argv = (char *const[]) { path, (char *) q->when, (char *) q->act, NULL },
                                .environment = environment,
                                .limit_usec = q->limit_sec * 1000000ULL,
                                .output_max = OUTPUT_MAX,
                        },
                        on_ended, h, &h->exec);
}

int hook_run_new(sd_bus *bus, const HookRequest *q, hook_handler_t handler, void *userdata, HookRun **ret) {
        _cleanup_(hook_run_freep) HookRun *h = calloc(1, sizeof(HookRun));
        const char *reason = NULL;
        int r;

        if (!h)
                return -ENOMEM;
        h->handler = handler;
        h->userdata = userdata;
        r = hooks_check("", 0, q->name, &reason);
        if (r == -ENOMEM)
                return r;
        r = r < 0 ? refuse(h, bus, q, r, reason) : start(h, bus, q);
        if (r < 0)
                return r;
        *ret = TAKE_PTR(h);
        return 0;
}

HookRun *hook_run_free(HookRun *h) {
        if (!h)
                return NULL;
        exec_free(h->exec);
        sd_event_source_disable_unref(h->refused);
        free(h->text);
        free(h);
        return NULL;
}

bool hook_next_line(const char **output, char *line, size_t size) {
        size_t n = 0;

        *output += strspn(*output, " \t\r\n");
        if (!**output)
                return false;
        for (; **output && **output != '\n'; (*output)++)
                if (n + 1 < size)
                        line[n++] = **output >= ' ' && **output <= '~' ? **output : '?';
        line[n] = '\0';
        return true;
}
