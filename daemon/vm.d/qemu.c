/* SPDX-License-Identifier: GPL-2.0-or-later */

/* qemu: the adapter of a VM that is a QEMU and nobody's: whoever has its QMP socket is its manager. The socket is found on
 * the command line, in the process's own view of the file system, and only taken if the process itself listens there. An ID
 * is the process's number and start time. Nothing is believed: the state is asked for after every command. */

#include <poll.h>

#include "vm.d/adapter.h"
#include "vm.d/process.h"
#include "vm.d/qemu-command-line.h"
#include "vm.d/qmp.h"

#define USEC_PER_SEC UINT64_C(1000000)
/* An agent that is there answers in milliseconds. */
#define AGENT_LIMIT_USEC (5 * USEC_PER_SEC)
/* How long one of several monitors may keep us waiting that another program is connected to. */
#define MONITOR_LIMIT_USEC (3 * USEC_PER_SEC)
#define QUIT_LIMIT_USEC (3 * USEC_PER_SEC)
#define QOM_ENTRIES_MAX 1024U

typedef struct Vm {
        Process process;
        QemuCommandLine *line;
        Qmp *qmp, *agent;
} Vm;

static void vm_done(Vm *vm) {
        (void) qmp_close(vm->qmp);
        (void) qmp_close(vm->agent);
        (void) qemu_command_line_free(vm->line);
        process_close(&vm->process);
}

#define VM_INIT ((Vm) { .process = PROCESS_INIT })

static int read_command_line(Vm *vm) {
        _cleanup_free_ char *text = NULL;
        size_t size;
        int r;

        r = process_command_line(&vm->process, &text, &size);
        return r < 0 ? r : qemu_command_line_parse(text, size, &vm->line);
}

static int open_monitor(AdapterCall *c, Vm *vm) {
        size_t n = strv_length(vm->line->monitors);
        int r = -ENOENT;

        for (size_t i = 0; i < n; i++) {
                _cleanup_close_ int fd = process_open_socket(&vm->process, vm->line->monitors[i]);

                if (fd < 0) {
                        r = fd;
                        continue;
                }
                r = qmp_open(fd, vm->process.pid, i + 1 < n ? adapter_within(c, MONITOR_LIMIT_USEC) : c->deadline_usec, &vm->qmp);
                if (r >= 0)
                        return 0;
        }
        return r;
}

static AdapterResult fail_qmp(AdapterCall *c, const Vm *vm, int r, const char *what) {
        AdapterError error = adapter_error_from_errno(r);

        if (r == -EREMOTEIO)
                return adapter_fail(c, error, "%s: QEMU says: %s", what, qmp_error(vm->qmp));
        if (r == -ETIMEDOUT && !vm->qmp)
                return adapter_fail(c, error, "%s: QEMU does not answer on its QMP socket; another program may be connected to it",
                                    what);
        if (r == -EPERM && !vm->qmp)
                return adapter_fail(c, error, "%s: another process listens on its QMP socket", what);
        return adapter_fail(c, error, "%s: %s", what, strerror(-r));
}

typedef enum Found {
        FOUND,       /* the process, and its monitor is open */
        FOUND_ENDED, /* it has ended */
        FOUND_NOTHING, /* *result is what the verb returns */
} Found;

static Found find_process(AdapterCall *c, Vm *vm, AdapterResult *result) {
        int r;

        r = process_open_id(c->id, &vm->process);
        if (r == -ESRCH)
                return FOUND_ENDED;
        if (r == -EINVAL)
                *result = adapter_fail(c, ERROR_INVALID, "an ID of this adapter is PID:STARTTIME");
        else if (r < 0 || (r = read_command_line(vm)) < 0)
                *result = adapter_fail(c, adapter_error_from_errno(r), "cannot look at the process: %s", strerror(-r));
        else
                return FOUND;
        return FOUND_NOTHING;
}

static Found find_vm(AdapterCall *c, Vm *vm, AdapterResult *result) {
        Found found;
        int r;

        found = find_process(c, vm, result);
        if (found != FOUND)
                return found;
        r = open_monitor(c, vm);
        if (r >= 0)
                return FOUND;
        if (process_wait(&vm->process, 0) == 0)
                return FOUND_ENDED;
        *result = fail_qmp(c, vm, r, "cannot talk to the VM");
        return FOUND_NOTHING;
}

/* ---- States */

/* qapi/run-state.json */
static const struct {
        const char *name;
        VmState state;
} run_state_table[] = {
        { "running", VM_RUNNING },         { "paused", VM_PAUSED },        { "suspended", VM_SUSPENDED },
        { "shutdown", VM_OFF },            { "guest-panicked", VM_CRASHED }, { "internal-error", VM_CRASHED },
        { "io-error", VM_PAUSED },         { "watchdog", VM_PAUSED },      { "debug", VM_PAUSED },
        { "prelaunch", VM_BUSY },          { "inmigrate", VM_BUSY },       { "postmigrate", VM_BUSY },
        { "finish-migrate", VM_BUSY },     { "restore-vm", VM_BUSY },      { "save-vm", VM_BUSY },
        { "colo", VM_BUSY },
};

/* `detail` of the answer is QEMU's word. */
static int query_state(AdapterCall *c, Vm *vm, VmState *ret) {
        _cleanup_(json_object_putp) json_object *status = NULL;
        const char *word;
        int r;

        r = qmp_call(vm->qmp, "query-status", NULL, c->deadline_usec, &status);
        if (r < 0)
                return r;
        word = adapter_json_string(status, "status");
        if (!word)
                return -EPROTO;
        adapter_set(c, "detail", word);
        *ret = VM_UNKNOWN;
        for (size_t i = 0; i < ELEMENTSOF(run_state_table); i++)
                if (streq(word, run_state_table[i].name))
                        *ret = run_state_table[i].state;
        return 0;
}

static AdapterResult ended(AdapterCall *c) {
        return adapter_fail(c, ERROR_REFUSED, "the VM has ended");
}

static AdapterResult wrong_state(AdapterCall *c, VmState state) {
        adapter_set_state(c, state, NULL);
        return adapter_fail(c, ERROR_REFUSED, "the VM is %s", vm_state_to_string(state));
}

static AdapterResult unverified(AdapterCall *c, VmState state) {
        adapter_set_state(c, state, NULL);
        return adapter_fail(c, ERROR_UNVERIFIED, "QEMU accepted it, but the VM is %s", vm_state_to_string(state));
}

/* Opens the VM and asks for its state; false if *result is what the verb returns. */
static bool begin(AdapterCall *c, Vm *vm, VmState *state, AdapterResult *result) {
        Found found;
        int r;

        found = find_vm(c, vm, result);
        if (found == FOUND_ENDED)
                *result = ended(c);
        if (found != FOUND)
                return false;
        r = query_state(c, vm, state);
        if (r < 0)
                *result = fail_qmp(c, vm, r, "query-status");
        return r >= 0;
}

/* What happened first. */
typedef enum Outcome {
        OUTCOME_ENDED,   /* the process */
        OUTCOME_EVENT,   /* one of those that were waited for */
        OUTCOME_REFUSED, /* the agent answered an error */
        OUTCOME_TIMEOUT,
} Outcome;

static int dispatch(Qmp **q) {
        int r = *q ? qmp_dispatch(*q) : 0;

        /* Whoever has closed, or talks nonsense, has nothing more to say. */
        if (r < 0 && r != -EREMOTEIO)
                *q = qmp_close(*q);
        return r;
}

static Outcome wait_vm(Vm *vm, unsigned events, uint64_t deadline_usec) {
        for (;;) {
                struct pollfd p[] = {
                        { .fd = vm->process.pidfd, .events = POLLIN },
                        { .fd = -1, .events = POLLIN },
                        { .fd = -1, .events = POLLIN },
                };

                /* What has been read already does not wake poll(). */
                if (dispatch(&vm->agent) == -EREMOTEIO)
                        return OUTCOME_REFUSED;
                (void) dispatch(&vm->qmp);
                if (vm->qmp && (qmp_events(vm->qmp) & events))
                        return OUTCOME_EVENT;
                if (adapter_now() >= deadline_usec)
                        return OUTCOME_TIMEOUT;
                p[1].fd = vm->qmp ? qmp_fd(vm->qmp) : -1;
                p[2].fd = vm->agent ? qmp_fd(vm->agent) : -1;
                (void) poll(p, ELEMENTSOF(p), adapter_poll_msec(deadline_usec));
                if (p[0].revents)
                        return OUTCOME_ENDED;
        }
}

/* ---- The agent in the guest */

/* QEMU knows whether somebody in the guest has the port open: so nobody is waited for who is not there. */
static bool agent_is_connected(AdapterCall *c, Vm *vm) {
        _cleanup_(json_object_putp) json_object *chardevs = NULL;

        if (qmp_call(vm->qmp, "query-chardev", NULL, c->deadline_usec, &chardevs) < 0 ||
            !json_object_is_type(chardevs, json_type_array))
                return false;
        for (size_t i = 0; i < json_object_array_length(chardevs); i++) {
                json_object *o = json_object_array_get_idx(chardevs, i), *open;

                if (!streq_ptr(adapter_json_string(o, "label"), vm->line->agent_chardev))
                        continue;
                open = adapter_json_member(o, "frontend-open", json_type_boolean);
                return open && json_object_get_boolean(open);
        }
        return false;
}

/* On failure *hint says what is missing; static. */
static int open_agent(AdapterCall *c, Vm *vm, const char **hint) {
        _cleanup_close_ int fd = -EBADF;
        int r;

        if (!vm->line->agent_path) {
                *hint = "the VM has no channel for a guest agent: -chardev socket,path=…,server=on,wait=off,id=qga0 -device "
                        "virtio-serial -device virtserialport,chardev=qga0,name=org.qemu.guest_agent.0";
                return -ENOENT;
        }
        if (!agent_is_connected(c, vm)) {
                *hint = "no agent runs in the guest: install and start qemu-guest-agent there";
                return -ENOENT;
        }
        fd = process_open_socket(&vm->process, vm->line->agent_path);
        r = fd < 0 ? fd : qmp_open_agent(fd, vm->process.pid, adapter_within(c, AGENT_LIMIT_USEC), &vm->agent);
        if (r < 0)
                *hint = "the guest's agent does not answer; another program may be connected to its socket";
        return r;
}

/* Whether guest-info names the command as enabled. */
static bool agent_offers(json_object *info, const char *command) {
        json_object *commands = adapter_json_member(info, "supported_commands", json_type_array);

        for (size_t i = 0; commands && i < json_object_array_length(commands); i++) {
                json_object *o = json_object_array_get_idx(commands, i), *enabled;

                if (!streq_ptr(adapter_json_string(o, "name"), command))
                        continue;
                enabled = adapter_json_member(o, "enabled", json_type_boolean);
                return enabled && json_object_get_boolean(enabled);
        }
        return false;
}

/* ---- S3 and S4 of the machine */

static int qom_call(AdapterCall *c, Vm *vm, const char *command, const char *path, const char *property, json_object **ret) {
        json_object *arguments = json_object_new_object(), *p = json_object_new_string(path),
                    *name = property ? json_object_new_string(property) : NULL;

        if (!arguments || !p || (property && !name))
                adapter_out_of_memory();
        (void) json_object_object_add(arguments, "path", p);
        if (name)
                (void) json_object_object_add(arguments, "property", name);
        return qmp_call(vm->qmp, command, arguments, c->deadline_usec, ret);
}

/* The device that has the PC's power management: ICH9-LPC itself, PIIX4_PM itself, or since QEMU 8.2 as `pm` of PIIX3. */
static bool find_pm(AdapterCall *c, Vm *vm, char ret[static ADAPTER_TEXT_MAX]) {
        _cleanup_(json_object_putp) json_object *list = NULL;

        if (qom_call(c, vm, "qom-list", "/machine/unattached", NULL, &list) < 0 || !json_object_is_type(list, json_type_array))
                return false;
        for (size_t i = 0; i < MIN(json_object_array_length(list), (size_t) QOM_ENTRIES_MAX); i++) {
                json_object *o = json_object_array_get_idx(list, i);
                const char *name = adapter_json_string(o, "name"), *type = adapter_json_string(o, "type"), *suffix;

                if (!name || !type || strchr(name, '/'))
                        continue;
                if (streq(type, "child<ICH9-LPC>") || streq(type, "child<PIIX4_PM>"))
                        suffix = "";
                else if (streq(type, "child<PIIX3>") || streq(type, "child<PIIX4>"))
                        suffix = "/pm";
                else
                        continue;
                if (snprintf(ret, ADAPTER_TEXT_MAX, "/machine/unattached/%s%s", name, suffix) < (int) ADAPTER_TEXT_MAX)
                        return true;
        }
        return false;
}

/* 1, 0, -ENOENT for a machine that has no such thing. The command line says how it was meant; the machine, how it is. */
static int offers_sleep(AdapterCall *c, Vm *vm, const char *property, bool disabled_by_option) {
        _cleanup_(json_object_putp) json_object *value = NULL;
        char path[ADAPTER_TEXT_MAX];

        if (!find_pm(c, vm, path) || qom_call(c, vm, "qom-get", path, property, &value) < 0 ||
            !json_object_is_type(value, json_type_int))
                return -ENOENT;
        return json_object_get_int64(value) == 0 && !disabled_by_option;
}

static int offers_s3(AdapterCall *c, Vm *vm) {
        return offers_sleep(c, vm, "disable_s3", vm->line->s3_disabled);
}

static int offers_s4(AdapterCall *c, Vm *vm) {
        return offers_sleep(c, vm, "disable_s4", vm->line->s4_disabled);
}

static const char *sleep_hint(int offered, bool agent, const char *allow) {
        if (offered < 0)
                return "this machine type has no sleep states";
        if (!offered)
                return allow;
        return agent ? "the guest's agent does not allow it" : "it takes an agent in the guest";
}

#define ALLOW_S3 "switched off by -global ICH9-LPC.disable_s3=1 (PIIX4_PM.disable_s3=1); take that away"
#define ALLOW_S4 "switched off by -global ICH9-LPC.disable_s4=1 (PIIX4_PM.disable_s4=1); take that away"

/* ---- Verbs */

static AdapterResult identify(AdapterCall *c) {
        _cleanup_(vm_done) Vm vm = VM_INIT;
        char id[PROCESS_ID_MAX];
        int r;

        r = process_open(c->pid, &vm.process);
        if (r == -ESRCH)
                return adapter_not_mine(c, "there is no process %d", c->pid);
        if (r < 0)
                return adapter_fail(c, adapter_error_from_errno(r), "cannot look at process %d: %s", c->pid, strerror(-r));
        if (!process_is_qemu(&vm.process))
                return adapter_not_mine(c, "process %d is no QEMU", c->pid);
        r = read_command_line(&vm);
        if (r < 0)
                return adapter_fail(c, adapter_error_from_errno(r), "cannot read the command line of process %d: %s", c->pid,
                                    strerror(-r));
        if (!vm.line->monitors)
                return adapter_not_mine(c, vm.line->has_closed_qmp ?
                                                "its QMP is not on a Unix socket that it listens on" :
                                                "it has no QMP socket: -qmp unix:PATH,server=on,wait=off");
        process_id(&vm.process, id);
        adapter_set(c, "id", id);
        adapter_set(c, "name", isempty(vm.line->name) ? id : vm.line->name);
        adapter_set_number(c, "pid", (uint64_t) c->pid);
        return ADAPTER_OK;
}

static AdapterResult status(AdapterCall *c) {
        _cleanup_(vm_done) Vm vm = VM_INIT;
        AdapterResult result;
        VmState state;
        Found found;
        int r;

        found = find_vm(c, &vm, &result);
        if (found == FOUND_ENDED) {
                adapter_set_state(c, VM_GONE, NULL);
                return ADAPTER_OK;
        }
        if (found != FOUND)
                return result;
        r = query_state(c, &vm, &state);
        if (r < 0)
                return fail_qmp(c, &vm, r, "query-status");
        adapter_set_state(c, state, NULL);
        adapter_set_number(c, "pid", (uint64_t) vm.process.pid);
        return ADAPTER_OK;
}

static AdapterResult capabilities(AdapterCall *c) {
        _cleanup_(vm_done) Vm vm = VM_INIT;
        _cleanup_(json_object_putp) json_object *info = NULL;
        const char *hint = NULL;
        AdapterResult result;
        VmState state;
        int s3, s4;
        bool agent;

        if (!begin(c, &vm, &state, &result))
                return result;
        if (state == VM_RUNNING)
                agent = open_agent(c, &vm, &hint) >= 0 &&
                        qmp_call(vm.agent, "guest-info", NULL, adapter_within(c, AGENT_LIMIT_USEC), &info) >= 0;
        else {
                agent = false;
                hint = "the VM does not run, so its agent cannot answer";
        }
        s3 = offers_s3(c, &vm);
        s4 = offers_s4(c, &vm);
        adapter_set_capability(c, "agent", agent, hint ?: "the guest's agent does not answer");
        adapter_set_capability(c, "s3", s3 > 0 && agent_offers(info, "guest-suspend-ram"), sleep_hint(s3, agent, ALLOW_S3));
        adapter_set_capability(c, "s4", s4 > 0 && agent_offers(info, "guest-suspend-disk"), sleep_hint(s4, agent, ALLOW_S4));
        adapter_set_capability(c, "restart", false, "nobody knows how a QEMU was started that is nobody's: make it a unit");
        return ADAPTER_OK;
}

/* Commands that are answered when they are done. */
static AdapterResult switch_state(AdapterCall *c, const char *command, VmState from, VmState to) {
        _cleanup_(vm_done) Vm vm = VM_INIT;
        AdapterResult result;
        VmState state;
        int r;

        if (!begin(c, &vm, &state, &result))
                return result;
        if (state == to)
                return adapter_done(c, state, false);
        if (state != from)
                return wrong_state(c, state);
        r = qmp_call(vm.qmp, command, NULL, c->deadline_usec, NULL);
        if (r >= 0)
                r = query_state(c, &vm, &state);
        if (r < 0)
                return fail_qmp(c, &vm, r, command);
        return state == to ? adapter_done(c, state, true) : unverified(c, state);
}

static AdapterResult pause_vm(AdapterCall *c) {
        return switch_state(c, "stop", VM_RUNNING, VM_PAUSED);
}

static AdapterResult resume(AdapterCall *c) {
        return switch_state(c, "cont", VM_PAUSED, VM_RUNNING);
}

static AdapterResult wake(AdapterCall *c) {
        _cleanup_(vm_done) Vm vm = VM_INIT;
        AdapterResult result;
        VmState state;
        int r;

        if (!begin(c, &vm, &state, &result))
                return result;
        if (state == VM_RUNNING)
                return adapter_done(c, state, false);
        if (state != VM_SUSPENDED)
                return wrong_state(c, state);
        r = qmp_call(vm.qmp, "system_wakeup", NULL, c->deadline_usec, NULL);
        if (r < 0)
                return fail_qmp(c, &vm, r, "system_wakeup");
        /* Answered at once; done in the main loop. */
        (void) wait_vm(&vm, QMP_EVENT_WAKEUP, c->deadline_usec);
        r = vm.qmp ? query_state(c, &vm, &state) : -ECONNRESET;
        if (r < 0)
                return fail_qmp(c, &vm, r, "system_wakeup");
        return state == VM_RUNNING ? adapter_done(c, state, true) : unverified(c, state);
}

/* The common part of both sleeps: the agent is asked, and waited for is what it brings about. The caller has the rest
 * only for OUTCOME_ENDED and OUTCOME_EVENT. */
static bool ask_to_sleep(AdapterCall *c, Vm *vm, const char *command, unsigned events, Outcome *outcome, AdapterResult *result) {
        const char *hint = NULL;
        int r;

        if (open_agent(c, vm, &hint) < 0) {
                *result = vm->line->agent_path ? adapter_fail(c, ERROR_UNREACHABLE, "%s", hint) : adapter_not_supported(c, "%s", hint);
                return false;
        }
        r = qmp_send(vm->agent, command, NULL, c->deadline_usec);
        if (r < 0) {
                *result = adapter_fail(c, adapter_error_from_errno(r), "%s: %s", command, strerror(-r));
                return false;
        }
        *outcome = wait_vm(vm, events, c->deadline_usec);
        if (*outcome == OUTCOME_REFUSED)
                *result = adapter_fail(c, ERROR_REFUSED, "%s: the guest's agent says: %s", command, qmp_error(vm->agent));
        else if (*outcome == OUTCOME_TIMEOUT)
                *result = adapter_fail(c, ERROR_TIMEOUT, "%s: the guest does not go to sleep", command);
        return *outcome == OUTCOME_ENDED || *outcome == OUTCOME_EVENT;
}

static AdapterResult suspend(AdapterCall *c) {
        _cleanup_(vm_done) Vm vm = VM_INIT;
        AdapterResult result;
        Outcome outcome;
        VmState state;
        int r;

        if (!begin(c, &vm, &state, &result))
                return result;
        if (state == VM_SUSPENDED)
                return adapter_done(c, state, false);
        if (state != VM_RUNNING)
                return wrong_state(c, state);
        r = offers_s3(c, &vm);
        if (r <= 0)
                return adapter_not_supported(c, "%s", sleep_hint(r, true, ALLOW_S3));
        if (!ask_to_sleep(c, &vm, "guest-suspend-ram", QMP_EVENT_SUSPEND | QMP_EVENT_SHUTDOWN, &outcome, &result))
                return result;
        if (outcome == OUTCOME_ENDED || !vm.qmp || (qmp_events(vm.qmp) & QMP_EVENT_SHUTDOWN))
                return adapter_fail(c, ERROR_UNVERIFIED, "the guest has switched off instead of going to sleep");
        r = query_state(c, &vm, &state);
        if (r < 0)
                return fail_qmp(c, &vm, r, "query-status");
        return state == VM_SUSPENDED ? adapter_done(c, state, true) : unverified(c, state);
}

/* A guest that is off leaves its QEMU, and that its devices, in two cases: -no-shutdown, and a QEMU that hangs. */
static AdapterResult finish_off(AdapterCall *c, Vm *vm, Outcome outcome) {
        VmState state;
        int r;

        if (outcome == OUTCOME_EVENT) {
                r = vm->qmp ? query_state(c, vm, &state) : -ECONNRESET;
                if (r >= 0 && state != VM_OFF && process_wait(&vm->process, adapter_within(c, USEC_PER_SEC)) < 0)
                        r = query_state(c, vm, &state);
                if (r >= 0 && state == VM_OFF)
                        (void) qmp_call(vm->qmp, "quit", NULL, c->deadline_usec, NULL);
        }
        if (process_wait(&vm->process, c->deadline_usec) < 0)
                return adapter_fail(c, ERROR_TIMEOUT, "the guest is off, but its QEMU does not end");
        return adapter_done(c, VM_GONE, true);
}

static AdapterResult hibernate(AdapterCall *c) {
        _cleanup_(vm_done) Vm vm = VM_INIT;
        AdapterResult result;
        Outcome outcome;
        VmState state;
        int r;

        if (!begin(c, &vm, &state, &result))
                return result;
        if (state != VM_RUNNING)
                return wrong_state(c, state);
        r = offers_s4(c, &vm);
        if (r <= 0)
                return adapter_not_supported(c, "%s", sleep_hint(r, true, ALLOW_S4));
        if (!ask_to_sleep(c, &vm, "guest-suspend-disk", QMP_EVENT_SUSPEND_DISK | QMP_EVENT_SHUTDOWN, &outcome, &result))
                return result;
        /* SUSPEND_DISK comes right before SHUTDOWN: hw/acpi/core.c acpi_pm1_cnt_write(). */
        if (vm.qmp && (qmp_events(vm.qmp) & QMP_EVENT_SUSPEND_DISK))
                outcome = wait_vm(&vm, QMP_EVENT_SHUTDOWN, c->deadline_usec);
        if (outcome == OUTCOME_TIMEOUT)
                return adapter_fail(c, ERROR_TIMEOUT, "the guest hibernates, but does not switch off");
        return finish_off(c, &vm, outcome);
}

/* By the agent if there is one that does it, else by the button. */
static int ask_to_shut_down(AdapterCall *c, Vm *vm, Outcome *outcome) {
        const char *hint = NULL;
        int r;

        if (open_agent(c, vm, &hint) >= 0 && qmp_send(vm->agent, "guest-shutdown", NULL, adapter_within(c, AGENT_LIMIT_USEC)) >= 0) {
                *outcome = wait_vm(vm, QMP_EVENT_SHUTDOWN, c->deadline_usec);
                if (*outcome != OUTCOME_REFUSED)
                        return 0;
        }
        vm->agent = qmp_close(vm->agent);
        r = vm->qmp ? qmp_call(vm->qmp, "system_powerdown", NULL, c->deadline_usec, NULL) : -ECONNRESET;
        if (r >= 0)
                *outcome = wait_vm(vm, QMP_EVENT_SHUTDOWN, c->deadline_usec);
        return r;
}

static AdapterResult shut_down(AdapterCall *c) {
        _cleanup_(vm_done) Vm vm = VM_INIT;
        Outcome outcome = OUTCOME_EVENT;
        AdapterResult result;
        VmState state;
        Found found;
        int r;

        found = find_vm(c, &vm, &result);
        if (found == FOUND_ENDED)
                return adapter_done(c, VM_GONE, false);
        if (found != FOUND)
                return result;
        r = query_state(c, &vm, &state);
        if (r < 0)
                return fail_qmp(c, &vm, r, "query-status");
        if (state == VM_OFF)
                return finish_off(c, &vm, outcome);
        if (state != VM_RUNNING)
                return wrong_state(c, state);
        r = ask_to_shut_down(c, &vm, &outcome);
        if (r < 0)
                return fail_qmp(c, &vm, r, "system_powerdown");
        if (outcome == OUTCOME_TIMEOUT)
                return adapter_fail(c, ERROR_TIMEOUT, "the guest does not shut down");
        return finish_off(c, &vm, outcome);
}

/* `quit` writes what is in QEMU's caches; SIGKILL does not. */
static AdapterResult kill_vm(AdapterCall *c) {
        _cleanup_(vm_done) Vm vm = VM_INIT;
        AdapterCall short_call = *c;
        AdapterResult result;
        Found found;
        int r;

        found = find_process(c, &vm, &result);
        if (found == FOUND_ENDED)
                return adapter_done(c, VM_GONE, false);
        if (found != FOUND)
                return result;
        if (!process_is_qemu(&vm.process))
                return adapter_fail(c, ERROR_INVALID, "this process is no QEMU");
        short_call.deadline_usec = adapter_now() + MIN((c->deadline_usec - adapter_now()) / 3, QUIT_LIMIT_USEC);
        if (open_monitor(&short_call, &vm) >= 0)
                (void) qmp_call(vm.qmp, "quit", NULL, short_call.deadline_usec, NULL);
        if (vm.qmp && process_wait(&vm.process, adapter_within(c, QUIT_LIMIT_USEC)) >= 0)
                return adapter_done(c, VM_GONE, true);
        r = process_kill(&vm.process);
        if (r < 0 && r != -ESRCH)
                return adapter_fail(c, adapter_error_from_errno(r), "cannot kill: %s", strerror(-r));
        if (process_wait(&vm.process, c->deadline_usec) < 0)
                return adapter_fail(c, ERROR_TIMEOUT, "QEMU does not end, not even by SIGKILL: it hangs in the kernel");
        return adapter_done(c, VM_GONE, true);
}

int main(int argc, char *argv[]) {
        static const Adapter adapter = {
                .name = "qemu",
                .verbs = {
                        [VERB_IDENTIFY] = identify, [VERB_STATUS] = status,       [VERB_CAPABILITIES] = capabilities,
                        [VERB_PAUSE] = pause_vm,    [VERB_RESUME] = resume,       [VERB_SUSPEND] = suspend,
                        [VERB_WAKE] = wake,         [VERB_HIBERNATE] = hibernate, [VERB_SHUTDOWN] = shut_down,
                        [VERB_KILL] = kill_vm,
                },
        };

        return adapter_main(&adapter, argc, argv);
}
