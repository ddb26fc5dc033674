/* SPDX-License-Identifier: GPL-2.0-or-later */

/* vm: calls of adapters. A call owns the list of those that are to be asked, one for all verbs but identify, and
 * the program of the one that is being asked. Every start of a program but the first has an event of its own:
 * whoever ended has let go of its unit by then, and the handler is never called from within vm_ask(). It
 * believes no adapter, and decides nothing about a VM. */

#include "vm.h"

#include <inttypes.h>
#include <limits.h>

#include "exec-client.h"
#include "worker/protocol.h"

/* An adapter ends by itself at its time limit; gpuptd's own have two seconds more for saying so (vm.d/adapter.c). */
#define GRACE_SEC 5U
#define LIMIT_MAX_SEC 86400U
/* Larger than an answer may be, so that one that is too long is not taken for one that was cut off. */
#define OUTPUT_SIZE (VM_OUTPUT_MAX + 4096U)

/* The order of gpuptd's own; others come before. */
static const char *const own_adapters[] = { "libvirt", "proxmox", "qemu", "systemd" };

static const unsigned limits_sec[_VM_VERB_MAX] = {
        [VM_IDENTIFY] = 10, [VM_STATUS] = 10,    [VM_CAPABILITIES] = 20, [VM_PAUSE] = 20,
        [VM_RESUME] = 20,   [VM_SUSPEND] = 90,   [VM_WAKE] = 60,         [VM_HIBERNATE] = 240,
        [VM_SHUTDOWN] = 180, [VM_START] = 120,   [VM_KILL] = 30,
};

struct VmCall {
        sd_bus *bus;
        VmVerb verb;
        unsigned job, number, limit_sec;
        char *argument; /* the ID, or the number of the process */
        char **adapters;
        size_t current; /* the one of them that is asked */
        bool again;     /* for the second time */

        Exec *exec;
        sd_event_source *next; /* somebody is to be asked, or nobody is left */
        vm_handler_t handler;
        void *userdata;
};

unsigned vm_verb_limit_sec(VmVerb verb) {
        assert(verb >= 0 && verb < _VM_VERB_MAX);
        return limits_sec[verb];
}

/* ---- The adapters */

static const char *adapter_dir(void) {
        return secure_getenv(ENV_VM_DIR) ?: VM_DIR;
}

/* Not what editors leave behind ("libvirt~"), nor a way out of the directory. */
static bool adapter_name_valid(const char *name) {
        static const char allowed[] = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789_.-";
        size_t n = strlen(strempty(name));

        return n > 0 && n <= NAME_MAX && name[0] != '.' && strspn(name, allowed) == n;
}

static char *adapter_path(const char *name) {
        char *path;

        return asprintf(&path, "%s/%s", adapter_dir(), name) < 0 ? NULL : path;
}

/* 0 for those of others. */
static size_t adapter_rank(const char *name) {
        for (size_t i = 0; i < ELEMENTSOF(own_adapters); i++)
                if (streq(name, own_adapters[i]))
                        return i + 1;
        return 0;
}

static int adapter_compare(const char *a, const char *b) {
        size_t x = adapter_rank(a), y = adapter_rank(b);

        return x != y ? (x < y ? -1 : 1) : strcmp(a, b);
}

/* Puts a name at its place; of more than there may be the last ones are dropped. */
static int insert_adapter(char *names[static VM_ADAPTERS_MAX + 1], const char *name) {
        size_t i = strv_length(names);
        char *copy;

        if (i == VM_ADAPTERS_MAX) {
                if (adapter_compare(name, names[i - 1]) > 0)
                        return 0;
                free(names[--i]);
        }
        copy = strdup(name);
        if (!copy) {
                names[i] = NULL;
                return -ENOMEM;
        }
        names[i + 1] = NULL;
        for (; i > 0 && adapter_compare(copy, names[i - 1]) < 0; i--)
                names[i] = names[i - 1];
        names[i] = copy;
        return 0;
}

int vm_list_adapters(char ***ret) {
        _cleanup_strv_free_ char **names = calloc(VM_ADAPTERS_MAX + 1, sizeof(char *));
        _cleanup_closedir_ DIR *dir = opendir(adapter_dir());
        struct dirent *entry;

        if (!names)
                return -ENOMEM;
        if (!dir && errno != ENOENT)
                return -errno;
        while (dir && (errno = 0, entry = readdir(dir))) {
                _cleanup_free_ char *path = NULL;

                if (!adapter_name_valid(entry->d_name))
                        continue;
                path = adapter_path(entry->d_name);
                if (!path)
                        return -ENOMEM;
                if (exec_is_installed(path) && insert_adapter(names, entry->d_name) < 0)
                        return -ENOMEM;
        }
        if (dir && errno != 0)
                return -errno;
        *ret = TAKE_PTR(names);
        return 0;
}

/* ---- The answer */

static void finish(VmCall *c, const VmAnswer *answer, const char *adapter, bool joined) {
        _cleanup_(vm_call_freep) VmCall *owned = c;

        owned->handler(answer, adapter, joined, owned->userdata);
}

/* One that no adapter has given. */
static void finish_without(VmCall *c, VmResult result, const char *reason, bool joined) {
        VmAnswer answer = {
                .result = result,
                .reason = (char *) reason,
                .error = (char *) (result == VM_TIMED_OUT ? "timeout" : ""),
                .state = VM_UNKNOWN,
                .changed = true,
        };

        finish(c, &answer, strempty(c->adapters[c->current]), joined);
}

static void ask_next(VmCall *c) {
        int r = sd_event_source_set_enabled(c->next, SD_EVENT_ONESHOT);

        if (r < 0)
                finish_without(c, VM_FAILED, "the event loop takes nothing more", false);
}

/* Somebody else's program, whose answer is lost; its exit status is what there is. */
static void finish_joined(VmCall *c, const ExecResult *result) {
        if (result->error == 0)
                finish_without(c, VM_DONE, "", true);
        else if (result->error == -ETIMEDOUT)
                finish_without(c, VM_TIMED_OUT, result->text, true);
        else
                finish_without(c, result->status == 3 ? VM_NOT_SUPPORTED : VM_FAILED, result->text, true);
}

static bool is_question(VmVerb verb) {
        return verb == VM_IDENTIFY || verb == VM_STATUS || verb == VM_CAPABILITIES;
}

static void skip_adapter(VmCall *c) {
        c->current++;
        c->again = false;
        ask_next(c);
}

static void take_answer(VmCall *c, const ExecResult *result) {
        _cleanup_(vm_answer_done) VmAnswer answer = {};

        if (vm_answer_parse(c->verb, result->status, result->output, result->output_size, &answer) < 0) {
                finish_without(c, VM_FAILED, "there is not enough memory for its answer", false);
                return;
        }
        if (answer.result == VM_NOT_MINE)
                skip_adapter(c);
        else
                finish(c, &answer, c->adapters[c->current], false);
}

static void on_exec(const ExecResult *result, void *userdata) {
        VmCall *c = ASSERT_PTR(userdata);

        c->exec = NULL;
        if (result->joined && is_question(c->verb) && result->error != -ETIMEDOUT) {
                /* It changes nothing to ask once more, and the answer is all that there is to it. */
                if (c->again)
                        finish_without(c, VM_FAILED, "its answers went to somebody else", false);
                else {
                        c->again = true;
                        ask_next(c);
                }
        } else if (result->joined)
                finish_joined(c, result);
        else if (result->error == 0 || result->status > 0)
                take_answer(c, result);
        else if (result->error == -ENOENT && c->verb == VM_IDENTIFY)
                skip_adapter(c); /* it has gone since we looked: as if it had never been there */
        else
                finish_without(c, result->error == -ETIMEDOUT ? VM_TIMED_OUT : VM_FAILED, result->text, false);
}

/* ---- The question */

static int ask(VmCall *c) {
        _cleanup_free_ char *path = adapter_path(c->adapters[c->current]), *description = NULL;
        const char *verb = vm_verb_to_string(c->verb);
        char unit[64], timeout[32];

        if (!path)
                return -ENOMEM;
        if (asprintf(&description, "%s %s, by the adapter %s of virtual machines", verb, c->argument,
                     c->adapters[c->current]) < 0) {
                description = NULL;
                return -ENOMEM;
        }
        (void) snprintf(unit, sizeof(unit), EXEC_UNIT_FORMAT, c->job, c->number + (unsigned) c->current);
        (void) snprintf(timeout, sizeof(timeout), "--timeout=%u", c->limit_sec);
        return exec_run(c->bus,
                        &(ExecRequest) {
                                .unit = unit,
                                .description = description,
                                .argv = (char *const[]) { path, timeout, (char *) verb, c->argument, NULL },
                                .limit_usec = (uint64_t) (c->limit_sec + GRACE_SEC) * 1000000U,
                                .output_max = OUTPUT_SIZE,
                                .errors_apart = true,
                                .status_answers = true,
                        },
                        on_exec, c, &c->exec);
}

static int on_next(sd_event_source *source, void *userdata) {
        VmCall *c = ASSERT_PTR(userdata);
        int r;

        if (!c->adapters[c->current]) {
                finish_without(c, VM_NOT_MINE, "no adapter knows the process", false);
                return 0;
        }
        r = ask(c);
        if (r < 0)
                finish_without(c, VM_FAILED, strerror(-r), false);
        return 0;
}

static bool request_valid(const VmRequest *request) {
        if (request->verb < 0 || request->verb >= _VM_VERB_MAX || request->limit_sec > LIMIT_MAX_SEC)
                return false;
        if (request->verb == VM_IDENTIFY)
                return request->pid > 0 && request->pid <= INT32_MAX && request->number <= UINT_MAX - VM_ADAPTERS_MAX;
        return adapter_name_valid(request->adapter) && vm_id_valid(request->id);
}

static int copy_request(VmCall *c, const VmRequest *request) {
        if (request->verb == VM_IDENTIFY) {
                if (asprintf(&c->argument, "%" PRIu32, request->pid) < 0) {
                        c->argument = NULL;
                        return -ENOMEM;
                }
                return vm_list_adapters(&c->adapters);
        }
        c->argument = strdup(request->id);
        return c->argument ? strv_extend(&c->adapters, request->adapter) : -ENOMEM;
}

int vm_ask(sd_bus *bus, const VmRequest *request, vm_handler_t handler, void *userdata, VmCall **ret) {
        _cleanup_(vm_call_freep) VmCall *c = NULL;
        sd_event *event = sd_bus_get_event(bus);
        int r;

        if (!event || !request_valid(request))
                return -EINVAL;
        c = malloc(sizeof(VmCall));
        if (!c)
                return -ENOMEM;
        *c = (VmCall) { .bus = sd_bus_ref(bus), .verb = request->verb, .job = request->job, .number = request->number,
                        .limit_sec = request->limit_sec > 0 ? request->limit_sec : vm_verb_limit_sec(request->verb),
                        .handler = handler, .userdata = userdata };
        r = copy_request(c, request);
        if (r >= 0)
                r = sd_event_add_defer(event, &c->next, on_next, c);
        /* The first program is on its way when this returns; where there is none, the event says so. */
        if (r >= 0 && c->adapters[0]) {
                r = sd_event_source_set_enabled(c->next, SD_EVENT_OFF);
                if (r >= 0)
                        r = ask(c);
        }
        if (r < 0)
                return r;
        *ret = TAKE_PTR(c);
        return 0;
}

VmCall *vm_call_free(VmCall *c) {
        if (!c)
                return NULL;
        exec_free(c->exec);
        sd_event_source_disable_unref(c->next);
        sd_bus_unref(c->bus);
        strv_free(c->adapters);
        free(c->argument);
        free(c);
        return NULL;
}
