/* SPDX-License-Identifier: GPL-2.0-or-later */

/* proxmox: the adapter of Proxmox VE's VMs, by its own tool `qm`, which takes care of its locks, hook scripts and tasks.
 * What may not be done is managed save (`qm suspend --todisk 1`): with an assigned device it fails, and leaves the VM locked. */

#include <fcntl.h>

#include "util/fs.h"
#include "util/words.h"
#include "vm.d/adapter.h"
#include "vm.d/process.h"
#include "vm.d/program.h"
#include "vm.d/qemu-command-line.h"

#ifndef QM
#define QM "/usr/sbin/qm"
#define PID_FILE_FORMAT "/run/qemu-server/%u.pid"
#endif

/* PVE::JSONSchema, pve-vmid */
#define VMID_MIN 100U
#define VMID_MAX 999999999U
#define USEC_PER_SEC UINT64_C(1000000)
/* qm is a Perl program: asking more often only keeps a processor busy. */
#define POLL_MSEC 500U
/* `qm shutdown` has to end, and say why, before we do. */
#define QM_MARGIN_SEC 5U

#define ALLOW_S3 "switched off: qm set VMID --machine TYPE,enable-s3=1 and start the VM again"
#define ALLOW_S4 "switched off: qm set VMID --machine TYPE,enable-s4=1 and start the VM again"

static int parse_vmid(const char *text, unsigned *ret) {
        uint64_t id;

        if (parse_u64(text, VMID_MAX, &id) < 0 || id < VMID_MIN || *text == '0')
                return -EINVAL;
        *ret = (unsigned) id;
        return 0;
}

/* ---- qm */

/* Its last line that says something is the error, by die() or as a warning before it. */
static const char *last_line(char *output) {
        size_t n = strlen(output);
        char *newline;

        while (n > 0 && output[n - 1] == '\n')
                output[--n] = '\0';
        newline = strrchr(output, '\n');
        return newline ? newline + 1 : output;
}

/* ADAPTER_OK, or what the verb returns. `arguments` end with NULL. */
static AdapterResult run_qm(AdapterCall *c, const char *const *arguments, ProgramResult *ret) {
        char *argv[8] = { (char *) QM };
        size_t n = 1;
        int r;

        for (const char *const *a = arguments; *a; a++) {
                assert(n + 1 < ELEMENTSOF(argv));
                argv[n++] = (char *) *a;
        }
        r = program_run(argv, c->deadline_usec, ret);
        if (r == -ETIMEDOUT)
                return adapter_fail(c, ERROR_TIMEOUT, "qm %s did not end in time", arguments[0]);
        if (r < 0)
                return adapter_fail(c, ERROR_SYSTEM, "cannot run %s: %s", QM, strerror(-r));
        return ADAPTER_OK;
}

static AdapterResult do_qm(AdapterCall *c, const char *const *arguments) {
        _cleanup_(program_result_done) ProgramResult p = {};
        AdapterResult result;

        result = run_qm(c, arguments, &p);
        if (result == ADAPTER_OK && p.status != 0)
                return adapter_fail(c, ERROR_REFUSED, "qm %s: %s", arguments[0], last_line(p.output));
        return result;
}

/* The value of "key: value" in a line of its own; NULL if there is none. */
static char *get_line(const char *output, const char *key) {
        for (const char *line = output; line && *line; line = strchr(line, '\n') ? strchr(line, '\n') + 1 : NULL) {
                const char *value = startswith(line, key);

                if (value && startswith(value, ": "))
                        return strndup(value + 2, strcspn(value + 2, "\n"));
        }
        return NULL;
}

static VmState state_from(const char *status, const char *qmp_status) {
        if (streq(status, "stopped"))
                return VM_OFF;
        if (!streq(status, "running") || !qmp_status)
                return VM_UNKNOWN;
        if (streq(qmp_status, "running"))
                return VM_RUNNING;
        if (streq(qmp_status, "paused") || streq(qmp_status, "io-error"))
                return VM_PAUSED;
        if (streq(qmp_status, "suspended"))
                return VM_SUSPENDED;
        /* Off, with its process still there: Proxmox ends it. */
        if (streq(qmp_status, "shutdown") || streq(qmp_status, "prelaunch"))
                return VM_BUSY;
        return streq(qmp_status, "internal-error") || streq(qmp_status, "guest-panicked") ? VM_CRASHED : VM_UNKNOWN;
}

/* A VM that `qm` does not know has gone. */
static AdapterResult query_state(AdapterCall *c, VmState *ret) {
        _cleanup_(program_result_done) ProgramResult p = {};
        _cleanup_free_ char *status = NULL, *qmp_status = NULL;
        AdapterResult result;

        result = run_qm(c, (const char *const[]) { "status", c->id, "--verbose", NULL }, &p);
        if (result != ADAPTER_OK)
                return result;
        if (p.status != 0 && strstr(p.output, "does not exist")) {
                *ret = VM_GONE;
                return ADAPTER_OK;
        }
        if (p.status != 0)
                return adapter_fail(c, ERROR_UNREACHABLE, "qm status: %s", last_line(p.output));
        status = get_line(p.output, "status");
        qmp_status = get_line(p.output, "qmpstatus");
        if (!status)
                return adapter_fail(c, ERROR_PROTOCOL, "qm status does not say the status");
        adapter_set(c, "detail", qmp_status ?: status);
        *ret = state_from(status, qmp_status);
        return ADAPTER_OK;
}

static AdapterResult begin(AdapterCall *c, VmState *ret) {
        unsigned vmid;

        if (parse_vmid(c->id, &vmid) < 0)
                return adapter_fail(c, ERROR_INVALID, "an ID of this adapter is the number of a VM");
        if (access(QM, X_OK) < 0)
                return adapter_not_supported(c, "this is no Proxmox VE: there is no %s", QM);
        return query_state(c, ret);
}

static AdapterResult wrong_state(AdapterCall *c, VmState state) {
        adapter_set_state(c, state, NULL);
        return adapter_fail(c, ERROR_REFUSED, "the VM is %s", vm_state_to_string(state));
}

/* Until it is so; qm has said that it was done. */
static AdapterResult wait_state(AdapterCall *c, VmState wanted) {
        AdapterResult result;
        VmState state;

        do {
                result = query_state(c, &state);
                if (result != ADAPTER_OK)
                        return result;
                if (state == wanted)
                        return adapter_done(c, state, true);
        } while (adapter_pause(c, POLL_MSEC));
        adapter_set_state(c, state, NULL);
        return adapter_fail(c, ERROR_UNVERIFIED, "qm accepted it, but the VM is %s", vm_state_to_string(state));
}

/* ---- Verbs */

/* The VMID on the command line is the VM's if the process is the one that Proxmox has started for it. */
static int read_pid(unsigned vmid, pid_t *ret) {
        _cleanup_free_ char *path = NULL, *line = NULL;
        uint64_t pid;
        int r;

        if (asprintf(&path, PID_FILE_FORMAT, vmid) < 0)
                return -ENOMEM;
        r = read_line_at(AT_FDCWD, path, &line);
        if (r < 0)
                return r;
        if (parse_u64(line, INT32_MAX, &pid) < 0)
                return -EPROTO;
        *ret = (pid_t) pid;
        return 0;
}

static int read_command_line(const Process *process, QemuCommandLine **ret) {
        _cleanup_free_ char *text = NULL;
        size_t size;
        int r;

        r = process_command_line(process, &text, &size);
        return r < 0 ? r : qemu_command_line_parse(text, size, ret);
}

static AdapterResult identify(AdapterCall *c) {
        _cleanup_(qemu_command_line_freep) QemuCommandLine *line = NULL;
        _cleanup_(process_close) Process process = PROCESS_INIT;
        unsigned vmid;
        pid_t pid;

        if (access(QM, X_OK) < 0)
                return adapter_not_mine(c, "this is no Proxmox VE: there is no %s", QM);
        if (process_open(c->pid, &process) < 0 || read_command_line(&process, &line) < 0)
                return adapter_not_mine(c, "there is no process %d", c->pid);
        if (!process_is_qemu(&process) || !line->id || parse_vmid(line->id, &vmid) < 0)
                return adapter_not_mine(c, "process %d is no VM of Proxmox VE", c->pid);
        if (read_pid(vmid, &pid) < 0 || pid != c->pid)
                return adapter_not_mine(c, "process %d says that it is VM %u, and Proxmox VE does not", c->pid, vmid);
        adapter_set(c, "id", line->id);
        adapter_set(c, "name", isempty(line->name) ? line->id : line->name);
        adapter_set_number(c, "pid", (uint64_t) c->pid);
        return ADAPTER_OK;
}

static AdapterResult status(AdapterCall *c) {
        AdapterResult result;
        VmState state;

        result = begin(c, &state);
        if (result == ADAPTER_OK)
                adapter_set_state(c, state, NULL);
        return result;
}

static bool has_agent(AdapterCall *c) {
        _cleanup_(program_result_done) ProgramResult p = {};
        AdapterCall quiet = *c;
        bool answers;

        /* An agent that does not answer is no failure of this verb, and has no more than half of its time. */
        quiet.answer = json_object_new_object();
        if (!quiet.answer)
                adapter_out_of_memory();
        quiet.deadline_usec = adapter_now() + (c->deadline_usec - MIN(c->deadline_usec, adapter_now())) / 2;
        answers = run_qm(&quiet, (const char *const[]) { "guest", "cmd", c->id, "ping", NULL }, &p) == ADAPTER_OK && p.status == 0;
        json_object_put(quiet.answer);
        return answers;
}

/* As the QEMU that runs was started; a change in the configuration counts from the next start. */
static bool read_running(AdapterCall *c, QemuCommandLine **ret) {
        _cleanup_(process_close) Process process = PROCESS_INIT;
        unsigned vmid;
        pid_t pid;

        return parse_vmid(c->id, &vmid) >= 0 && read_pid(vmid, &pid) >= 0 && process_open(pid, &process) >= 0 &&
                read_command_line(&process, ret) >= 0;
}

static AdapterResult capabilities(AdapterCall *c) {
        _cleanup_(qemu_command_line_freep) QemuCommandLine *line = NULL;
        AdapterResult result;
        bool agent, running;
        VmState state;

        result = begin(c, &state);
        if (result != ADAPTER_OK)
                return result;
        running = state == VM_RUNNING && read_running(c, &line);
        agent = running && has_agent(c);
        adapter_set_capability(c, "agent", agent, !running ? "the VM does not run, so its agent cannot answer" :
                               "no agent answers: install qemu-guest-agent in the guest, then qm set VMID --agent 1");
        adapter_set_capability(c, "s3", agent && !line->s3_disabled, !line || !line->s3_disabled ? "it takes an agent in the guest" :
                               ALLOW_S3);
        adapter_set_capability(c, "s4", agent && !line->s4_disabled, !line || !line->s4_disabled ? "it takes an agent in the guest" :
                               ALLOW_S4);
        adapter_set_capability(c, "restart", state != VM_GONE, NULL);
        return ADAPTER_OK;
}

/* From a state to another by one command of qm. */
static AdapterResult switch_state(AdapterCall *c, VmState from, VmState to, const char *const *arguments) {
        AdapterResult result;
        VmState state;

        result = begin(c, &state);
        if (result != ADAPTER_OK)
                return result;
        if (state == to)
                return adapter_done(c, state, false);
        if (state != from)
                return wrong_state(c, state);
        result = do_qm(c, arguments);
        return result == ADAPTER_OK ? wait_state(c, to) : result;
}

static AdapterResult pause_vm(AdapterCall *c) {
        return switch_state(c, VM_RUNNING, VM_PAUSED, (const char *const[]) { "suspend", c->id, "--todisk", "0", NULL });
}

/* qm resume is `cont` or `system_wakeup`, as the state wants it. */
static AdapterResult resume(AdapterCall *c) {
        return switch_state(c, VM_PAUSED, VM_RUNNING, (const char *const[]) { "resume", c->id, NULL });
}

static AdapterResult wake(AdapterCall *c) {
        return switch_state(c, VM_SUSPENDED, VM_RUNNING, (const char *const[]) { "resume", c->id, NULL });
}

static AdapterResult start(AdapterCall *c) {
        return switch_state(c, VM_OFF, VM_RUNNING, (const char *const[]) { "start", c->id, NULL });
}

/* The guest's sleeps are commands of its agent. A VM that does not offer the state would be asked, and go on. */
static AdapterResult suspend(AdapterCall *c) {
        _cleanup_(qemu_command_line_freep) QemuCommandLine *line = NULL;

        if (read_running(c, &line) && line->s3_disabled)
                return adapter_not_supported(c, "%s", ALLOW_S3);
        return switch_state(c, VM_RUNNING, VM_SUSPENDED, (const char *const[]) { "guest", "cmd", c->id, "suspend-ram", NULL });
}

static AdapterResult hibernate(AdapterCall *c) {
        _cleanup_(qemu_command_line_freep) QemuCommandLine *line = NULL;
        AdapterResult result;
        VmState state;

        /* One that is off may have been switched off by anybody. */
        result = begin(c, &state);
        if (result != ADAPTER_OK)
                return result;
        if (state != VM_RUNNING)
                return wrong_state(c, state);
        if (read_running(c, &line) && line->s4_disabled)
                return adapter_not_supported(c, "%s", ALLOW_S4);
        result = do_qm(c, (const char *const[]) { "guest", "cmd", c->id, "suspend-disk", NULL });
        return result == ADAPTER_OK ? wait_state(c, VM_OFF) : result;
}

static AdapterResult shut_down(AdapterCall *c) {
        uint64_t left = (c->deadline_usec - MIN(c->deadline_usec, adapter_now())) / USEC_PER_SEC;
        char seconds[24];

        (void) snprintf(seconds, sizeof(seconds), "%llu",
                        (unsigned long long) (left > 2 * QM_MARGIN_SEC ? left - QM_MARGIN_SEC : MAX(left / 2, UINT64_C(1))));
        return switch_state(c, VM_RUNNING, VM_OFF, (const char *const[]) { "shutdown", c->id, "--timeout", seconds, NULL });
}

static AdapterResult kill_vm(AdapterCall *c) {
        AdapterResult result;
        VmState state;

        result = begin(c, &state);
        if (result != ADAPTER_OK)
                return result;
        if (state == VM_OFF || state == VM_GONE)
                return adapter_done(c, state, false);
        result = do_qm(c, (const char *const[]) { "stop", c->id, NULL });
        return result == ADAPTER_OK ? wait_state(c, VM_OFF) : result;
}

int main(int argc, char *argv[]) {
        static const Adapter adapter = {
                .name = "proxmox",
                .verbs = {
                        [VERB_IDENTIFY] = identify, [VERB_STATUS] = status,       [VERB_CAPABILITIES] = capabilities,
                        [VERB_PAUSE] = pause_vm,    [VERB_RESUME] = resume,       [VERB_SUSPEND] = suspend,
                        [VERB_WAKE] = wake,         [VERB_HIBERNATE] = hibernate, [VERB_SHUTDOWN] = shut_down,
                        [VERB_START] = start,       [VERB_KILL] = kill_vm,
                },
        };

        return adapter_main(&adapter, argc, argv);
}
