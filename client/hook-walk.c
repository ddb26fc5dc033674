/* SPDX-License-Identifier: GPL-2.0-or-later */

/* hook-walk: from the PCI functions that a virtual machine is configured to get to the GPUs among them, and to what gpuptd has
 * to do with each. It keeps nothing from one call to the next: whom a card was taken for is known to gpuptd. */

#include "client/hook-walk.h"

#include <time.h>

#include "client/job-follow.h"
#include "client/report.h"
#include "dbus/names.h"

/* How long a job of somebody else's on the same GPU is waited for, such as the healing after the VM has closed it: the VM
 * manager waits meanwhile. */
#define PATIENCE_USEC (120 * USEC_PER_SEC)
#define TRIES_MAX 8U

typedef struct Walk {
        Client *c;
        const HookVm *vm;
        char *taker;                /* the VM as property TakenFor has it */
        GpuChoice *gpus;
        size_t n;
} Walk;

static void walk_done(Walk *w) {
        for (size_t i = 0; i < w->n; i++)
                gpu_choice_done(w->gpus + i);
        free(w->gpus);
        free(w->taker);
}

static uint64_t now_usec(void) {
        struct timespec ts;

        (void) clock_gettime(CLOCK_MONOTONIC, &ts);
        return (uint64_t) ts.tv_sec * USEC_PER_SEC + (uint64_t) ts.tv_nsec / 1000;
}

/* ---- which GPUs ---- */

static int add_gpu(Walk *w, char *path) {
        GpuChoice *gpus, gpu = { .path = path, .address = gpu_address_of_path(path) };

        gpus = reallocarray(w->gpus, w->n + 1, sizeof(GpuChoice));
        if (!gpu.address || !gpus) {
                w->gpus = gpus ?: w->gpus;
                gpu_choice_done(&gpu);
                return -ENOMEM;
        }
        w->gpus = gpus;
        w->gpus[w->n++] = gpu;
        return 0;
}

static void warn_managed(const Walk *w, const char *address) {
        report_note("%s has managed='yes' in the configuration of %s, so libvirt moves it as well, in its own way. "
                    "Write managed='no' to leave that to gpuptd.", address, w->vm->name);
}

/* What is no GPU of gpuptd's is none of our business. Several functions of one are one. */
static int find_gpus(Walk *w, bool warn) {
        for (char **a = w->vm->devices->addresses; a && *a; a++) {
                _cleanup_(sd_bus_error_free) sd_bus_error error = SD_BUS_ERROR_NULL;
                _cleanup_free_ char *path = NULL, *what = NULL;
                bool known = false;
                int r;

                r = client_get_gpu(w->c, *a, &path, &error);
                if (r < 0 && sd_bus_error_has_name(&error, GPUPT_ERROR_NO_SUCH_GPU))
                        continue;
                if (r < 0) {
                        if (asprintf(&what, "%s of %s was not looked after", *a, w->vm->name) < 0)
                                return -ENOMEM;
                        return (int) report_error_line(what, *a, &error, r);
                }
                if (warn && strv_contains(w->vm->devices->managed, *a))
                        warn_managed(w, *a);
                for (size_t i = 0; i < w->n; i++)
                        known = known || streq(w->gpus[i].path, path);
                if (!known) {
                        r = add_gpu(w, TAKE_PTR(path));
                        if (r < 0)
                                return r;
                }
        }
        return 0;
}

/* ---- one call ---- */

/* phase NULL: Attach. What a user has written into the hook, such as --wait=, is about the way to the VM alone. */
static int new_call(const Walk *w, const GpuChoice *gpu, const char *phase, sd_bus_message **ret, sd_bus_error *error) {
        _cleanup_(sd_bus_message_unrefp) sd_bus_message *m = NULL;
        int r;

        r = client_new_call(w->c, gpu->path, GPUPT_GPU_INTERFACE, phase ? "VmPhase" : "Attach", &m, error);
        if (r < 0)
                return r;
        if (phase)
                r = sd_bus_message_append(m, "sss", w->vm->manager, w->vm->name, phase);
        if (r >= 0)
                r = streq_ptr(phase, "pre-start") ? options_append(w->c->options, m) : sd_bus_message_append(m, "a{sv}", 0);
        if (r < 0) /* not UTF-8 */
                return sd_bus_error_setf(error, SD_BUS_ERROR_INVALID_ARGS, "The name of the VM or the value of an option cannot be used.");
        *ret = TAKE_PTR(m);
        return 0;
}

/* Waits for the job that was in the way; whether that makes it worth another try. Without a job it may have ended by now, which is
 * worth one; what is busy for another reason (a lease) stays so. */
static bool wait_for_other(const Walk *w, const JobRequest *request, unsigned n_tries, uint64_t deadline) {
        _cleanup_(json_object_putp) json_object *gpu = NULL;
        uint64_t now = now_usec();

        if (n_tries >= TRIES_MAX || now >= deadline ||
            client_get_properties(w->c, request->gpu->path, GPUPT_GPU_INTERFACE, &gpu, NULL) < 0)
                return false;
        if (!startswith(json_string(gpu, "job"), GPUPT_JOB_PREFIX "/"))
                return n_tries == 1;
        return job_await(request, json_string(gpu, "job"), deadline - now) == 0;
}

static int report_failure(const Walk *w, const GpuChoice *gpu, const char *phase, const sd_bus_error *error, int r) {
        static const struct {
                const char *phase, *text;
        } map[] = {
                { "pre-start", "is not ready for" },
                { "post-start", "could not be told of the start of" },
                { "pre-stop", "was not removed before the stop of" },
                { "post-stop", "was not looked after at the end of" },
        };
        const char *text = "was not given back to the host after";
        char what[512];

        for (size_t i = 0; i < ELEMENTSOF(map); i++)
                if (streq_ptr(map[i].phase, phase))
                        text = map[i].text;
        (void) snprintf(what, sizeof(what), "%s %s %s", gpu->address, text, w->vm->name);
        return (int) report_error_line(what, gpu->address, error, r);
}

/* One method of one GPU, to the end of its job; a job that runs on it already is waited for. 0, the exit status of what has been
 * reported, or negative errno. */
static int call(const Walk *w, const GpuChoice *gpu, const char *phase) {
        uint64_t deadline = now_usec() + PATIENCE_USEC;

        if (w->c->options->dry_run) {
                (void) printf("%s: %s of %s\n", gpu->address, phase ?: "attach", w->taker);
                return 0;
        }
        for (unsigned n = 1;; n++) {
                _cleanup_(sd_bus_error_free) sd_bus_error error = SD_BUS_ERROR_NULL;
                _cleanup_(sd_bus_message_unrefp) sd_bus_message *m = NULL;
                _cleanup_(job_outcome_done) JobOutcome outcome = JOB_OUTCOME_NULL;
                JobRequest request = {
                        .client = w->c,
                        .gpu = gpu,
                        .operation = phase ?: "attach",
                        .out = stderr,
                        .block = true,
                        .refusal = &error,
                };
                int r;

                r = new_call(w, gpu, phase, &m, &error);
                if (r >= 0)
                        r = job_run(&request, m, &outcome);
                if (r > 0 || (r == 0 && job_succeeded(&outcome, &error)))
                        return r;
                if (!sd_bus_error_has_name(&error, GPUPT_ERROR_BUSY) || !wait_for_other(w, &request, n, deadline))
                        return report_failure(w, gpu, phase, &error, r);
        }
}

/* ---- the steps ---- */

/* Whether a step is for this VM to do. The start of a VM that is refused is followed by its end, and then another one may have
 * the card, or the host. */
static int is_due(const Walk *w, const GpuChoice *gpu, HookStep step, bool undo, bool *ret) {
        _cleanup_(sd_bus_error_free) sd_bus_error error = SD_BUS_ERROR_NULL;
        _cleanup_(json_object_putp) json_object *properties = NULL;
        const char *taker;
        int r;

        r = client_get_properties(w->c, gpu->path, GPUPT_GPU_INTERFACE, &properties, &error);
        if (r < 0)
                return report_failure(w, gpu, step == HOOK_GIVE_BACK ? NULL : "post-stop", &error, r);
        taker = json_string(properties, "taken-for");
        if (step == HOOK_GIVE_BACK)
                *ret = streq(taker, w->taker) && (undo || !streq(json_string(properties, "default"), "vfio"));
        else
                *ret = (isempty(taker) || streq(taker, w->taker)) && !streq(json_string(properties, "state"), "host");
        return 0;
}

static int do_step(const Walk *w, const GpuChoice *gpu, HookStep step, bool undo) {
        bool due = true;
        int r = 0;

        if (step & (HOOK_PRE_STOP | HOOK_POST_STOP | HOOK_GIVE_BACK))
                r = is_due(w, gpu, step, undo, &due);
        if (r != 0 || !due)
                return r;
        return call(w, gpu, step == HOOK_PRE_START ? "pre-start" : step == HOOK_POST_START ? "post-start" :
                            step == HOOK_PRE_STOP ? "pre-stop" : step == HOOK_POST_STOP ? "post-stop" : NULL);
}

/* A VM that lacks one of its cards does not start, so the others are not left with it. */
static int take_all(const Walk *w) {
        for (size_t i = 0; i < w->n; i++) {
                int r = do_step(w, w->gpus + i, HOOK_PRE_START, /* undo= */ false);

                if (r == 0)
                        continue;
                while (i-- > 0)
                        (void) do_step(w, w->gpus + i, HOOK_GIVE_BACK, /* undo= */ true);
                return r;
        }
        return 0;
}

/* What fails with one GPU is no reason to forget another. */
static int do_all(const Walk *w, HookStep step) {
        int result = 0;

        for (size_t i = 0; i < w->n; i++) {
                int r = do_step(w, w->gpus + i, step, /* undo= */ false);

                result = result ?: r;
        }
        return result;
}

int hook_walk(Client *c, const HookVm *vm, HookStep steps) {
        _cleanup_(walk_done) Walk w = { .c = c, .vm = vm };
        int r;

        if (asprintf(&w.taker, "%s (%s)", vm->name, vm->manager) < 0) {
                w.taker = NULL;
                return -ENOMEM;
        }
        r = find_gpus(&w, /* warn= */ steps & HOOK_PRE_START);
        if (r == 0 && (steps & HOOK_PRE_START))
                r = take_all(&w);
        for (HookStep step = HOOK_POST_START; step <= HOOK_GIVE_BACK; step <<= 1)
                if (steps & step) {
                        int k = do_all(&w, step);

                        r = r ?: k;
                }
        return r;
}
