/* SPDX-License-Identifier: GPL-2.0-or-later */

/* libvirt: the adapter of domains of the system's libvirt. An ID is the domain's UUID. libvirt's calls block for as long as
 * libvirtd likes; the watchdog of adapter.c ends one that is behind its deadline. Never does managed save, which is
 * impossible with an assigned device. */

#include <fcntl.h>
#include <libvirt/libvirt.h>
#include <libvirt/virterror.h>
#include <sys/stat.h>

#include "util/fs.h"
#include "util/words.h"
#include "vm.d/adapter.h"
#include "vm.d/libvirt-xml.h"
#include "vm.d/process.h"

#ifndef LIBVIRT_URI
#define LIBVIRT_URI "qemu:///system"
#define LIBVIRT_RUN_DIR "/run/libvirt/qemu"
#endif

#define PID_FILES_MAX 4096U
/* Events wake the waiting up; this is for those that got lost, as with a libvirtd that was started again. */
#define LOOK_AGAIN_MSEC 500

typedef struct Domain {
        virConnectPtr connection;
        virDomainPtr domain;
} Domain;

static void domain_done(Domain *d) {
        if (d->domain)
                (void) virDomainFree(d->domain);
        if (d->connection)
                (void) virConnectClose(d->connection);
}

static void ignore_error(void *userdata, virErrorPtr error) {
}

static AdapterResult fail_libvirt(AdapterCall *c, const char *what) {
        const char *text = virGetLastErrorMessage();

        switch (virGetLastErrorCode()) {
        case VIR_ERR_AGENT_UNRESPONSIVE:
        case VIR_ERR_NO_CONNECT:
        case VIR_ERR_SYSTEM_ERROR:
        case VIR_ERR_RPC:
        case VIR_ERR_AUTH_FAILED:
                return adapter_fail(c, ERROR_UNREACHABLE, "%s: %s", what, text);
        case VIR_ERR_OPERATION_TIMEOUT:
                return adapter_fail(c, ERROR_TIMEOUT, "%s: %s", what, text);
        case VIR_ERR_OPERATION_UNSUPPORTED:
        case VIR_ERR_NO_SUPPORT:
        case VIR_ERR_CONFIG_UNSUPPORTED:
        case VIR_ERR_ARGUMENT_UNSUPPORTED:
                return adapter_not_supported(c, "%s: %s", what, text);
        default:
                return adapter_fail(c, ERROR_REFUSED, "%s: %s", what, text);
        }
}

static AdapterResult connect_libvirt(AdapterCall *c, Domain *d) {
        virSetErrorFunc(NULL, ignore_error);
        if (virInitialize() < 0 || virEventRegisterDefaultImpl() < 0)
                return fail_libvirt(c, "cannot use libvirt");
        d->connection = virConnectOpen(LIBVIRT_URI);
        return d->connection ? ADAPTER_OK : fail_libvirt(c, "cannot connect to " LIBVIRT_URI);
}

/* ---- States */

static VmState state_from(int state, int reason) {
        switch (state) {
        case VIR_DOMAIN_RUNNING:
        case VIR_DOMAIN_BLOCKED:
                return VM_RUNNING;
        case VIR_DOMAIN_PAUSED:
                return reason == VIR_DOMAIN_PAUSED_MIGRATION || reason == VIR_DOMAIN_PAUSED_SAVE ||
                                reason == VIR_DOMAIN_PAUSED_STARTING_UP || reason == VIR_DOMAIN_PAUSED_SHUTTING_DOWN ?
                        VM_BUSY : VM_PAUSED;
        case VIR_DOMAIN_SHUTDOWN:
                return VM_BUSY;
        case VIR_DOMAIN_SHUTOFF:
                return VM_OFF;
        case VIR_DOMAIN_CRASHED:
                return VM_CRASHED;
        case VIR_DOMAIN_PMSUSPENDED:
                return VM_SUSPENDED;
        default:
                return VM_UNKNOWN;
        }
}

/* A transient domain that has ended is no domain any more. */
static AdapterResult query_state(AdapterCall *c, const Domain *d, VmState *ret) {
        int state, reason;

        if (virDomainGetState(d->domain, &state, &reason, 0) < 0) {
                if (virGetLastErrorCode() != VIR_ERR_NO_DOMAIN)
                        return fail_libvirt(c, "cannot read the domain's state");
                *ret = VM_GONE;
                return ADAPTER_OK;
        }
        *ret = state_from(state, reason);
        return ADAPTER_OK;
}

static AdapterResult begin(AdapterCall *c, Domain *d, VmState *ret) {
        AdapterResult result;

        result = connect_libvirt(c, d);
        if (result != ADAPTER_OK)
                return result;
        d->domain = virDomainLookupByUUIDString(d->connection, c->id);
        if (d->domain) {
                adapter_set(c, "name", virDomainGetName(d->domain));
                return query_state(c, d, ret);
        }
        if (virGetLastErrorCode() == VIR_ERR_INVALID_ARG)
                return adapter_fail(c, ERROR_INVALID, "an ID of this adapter is the UUID of a domain");
        if (virGetLastErrorCode() != VIR_ERR_NO_DOMAIN)
                return fail_libvirt(c, "cannot find the domain");
        *ret = VM_GONE;
        return ADAPTER_OK;
}

static AdapterResult wrong_state(AdapterCall *c, VmState state) {
        adapter_set_state(c, state, NULL);
        return adapter_fail(c, ERROR_REFUSED, "the domain is %s", vm_state_to_string(state));
}

/* ---- Waiting */

static int on_lifecycle(virConnectPtr connection, virDomainPtr domain, int event, int detail, void *userdata) {
        return 0;
}

static void on_timer(int timer, void *userdata) {
}

static bool is_off(VmState state) {
        return state == VM_OFF || state == VM_GONE;
}

static bool is_running(VmState state) {
        return state == VM_RUNNING;
}

static bool is_paused(VmState state) {
        return state == VM_PAUSED;
}

static bool is_suspended(VmState state) {
        return state == VM_SUSPENDED;
}

/* Has to be called before the command, so that no event is missed. Without events it takes a little longer. */
static void watch(const Domain *d) {
        (void) virConnectDomainEventRegisterAny(d->connection, d->domain, VIR_DOMAIN_EVENT_ID_LIFECYCLE,
                                                VIR_DOMAIN_EVENT_CALLBACK(on_lifecycle), NULL, NULL);
        (void) virEventAddTimeout(LOOK_AGAIN_MSEC, on_timer, NULL, NULL);
}

static AdapterResult wait_state(AdapterCall *c, const Domain *d, bool (*is_wanted)(VmState state)) {
        AdapterResult result;
        VmState state;

        do {
                result = query_state(c, d, &state);
                if (result != ADAPTER_OK)
                        return result;
                if (is_wanted(state))
                        return adapter_done(c, state, true);
        } while (adapter_now() < c->deadline_usec && virEventRunDefaultImpl() >= 0);
        adapter_set_state(c, state, NULL);
        return adapter_fail(c, ERROR_TIMEOUT, "libvirt accepted it, but the domain is %s", vm_state_to_string(state));
}

/* ---- Verbs */

/* The name of the domain whose PID file in the directory has this number; NULL if there is none. */
static char *find_pid_file(const char *directory, pid_t pid) {
        _cleanup_closedir_ DIR *dir = opendir(directory);
        const struct dirent *entry;

        for (unsigned n = 0; dir && n < PID_FILES_MAX && (entry = readdir(dir)); n++) {
                size_t length = strlen(entry->d_name);
                _cleanup_free_ char *line = NULL;
                uint64_t number;

                if (length <= STRLEN(".pid") || !streq(entry->d_name + length - STRLEN(".pid"), ".pid"))
                        continue;
                if (read_line_at(dirfd(dir), entry->d_name, &line) >= 0 && parse_u64(line, INT32_MAX, &number) >= 0 &&
                    number == (uint64_t) pid)
                        return strndup(entry->d_name, length - STRLEN(".pid"));
        }
        return NULL;
}

/* virQEMUDriverConfigNew(): where a user's own libvirt has its PID files. */
static bool is_session_domain(pid_t pid) {
        _cleanup_free_ char *name = NULL;
        char path[64];
        struct stat st;

        (void) snprintf(path, sizeof(path), "/proc/%d", pid);
        if (stat(path, &st) < 0)
                return false;
        (void) snprintf(path, sizeof(path), "/run/user/%u/libvirt/qemu/run", st.st_uid);
        name = find_pid_file(path, pid);
        return name;
}

/* Whose process it is is told by libvirt's files, before libvirtd is asked, which may have to be started for that. */
static AdapterResult identify(AdapterCall *c) {
        _cleanup_(domain_done) Domain d = {};
        _cleanup_(process_close) Process process = PROCESS_INIT;
        _cleanup_free_ char *name = NULL;
        char uuid[VIR_UUID_STRING_BUFLEN];
        AdapterResult result;

        if (process_open(c->pid, &process) < 0)
                return adapter_not_mine(c, "there is no process %d", c->pid);
        name = find_pid_file(LIBVIRT_RUN_DIR, c->pid);
        if (!name && is_session_domain(c->pid))
                return adapter_not_supported(c, "this is a domain of a user's own libvirt (qemu:///session)");
        if (!name)
                return adapter_not_mine(c, "process %d is no domain of libvirt", c->pid);
        result = connect_libvirt(c, &d);
        if (result != ADAPTER_OK)
                return result;
        d.domain = virDomainLookupByName(d.connection, name);
        if (!d.domain || virDomainIsActive(d.domain) != 1)
                return adapter_not_mine(c, "libvirt knows no running domain '%s'", name);
        if (virDomainGetUUIDString(d.domain, uuid) < 0)
                return fail_libvirt(c, "cannot read the domain's UUID");
        adapter_set(c, "id", uuid);
        adapter_set(c, "name", name);
        adapter_set_number(c, "pid", (uint64_t) c->pid);
        return ADAPTER_OK;
}

static AdapterResult status(AdapterCall *c) {
        _cleanup_(domain_done) Domain d = {};
        AdapterResult result;
        VmState state;

        result = begin(c, &d, &state);
        if (result == ADAPTER_OK)
                adapter_set_state(c, state, NULL);
        return result;
}

/* Reading the guest's clock is what an agent can do without a trace. */
static bool agent_answers(const Domain *d, const DomainFacts *facts) {
        unsigned nseconds;
        long long seconds;

        return facts->agent_connected && virDomainGetTime(d->domain, &seconds, &nseconds, 0) >= 0;
}

static AdapterResult capabilities(AdapterCall *c) {
        _cleanup_(domain_done) Domain d = {};
        _cleanup_free_ char *xml = NULL;
        AdapterResult result;
        DomainFacts facts;
        const char *hint;
        VmState state;
        bool agent;

        result = begin(c, &d, &state);
        if (result != ADAPTER_OK)
                return result;
        if (state == VM_GONE)
                return adapter_fail(c, ERROR_REFUSED, "the domain is gone");
        xml = virDomainGetXMLDesc(d.domain, 0);
        if (!xml)
                return fail_libvirt(c, "cannot read the domain's XML");
        domain_facts_read(xml, &facts);
        agent = state == VM_RUNNING && agent_answers(&d, &facts);
        if (!facts.has_agent)
                hint = "the domain has no channel for an agent: <channel type='unix'><target type='virtio' "
                       "name='org.qemu.guest_agent.0'/></channel>";
        else if (state != VM_RUNNING)
                hint = "the domain does not run, so its agent cannot answer";
        else
                hint = "no agent answers: install and start qemu-guest-agent in the guest";
        adapter_set_capability(c, "agent", agent, hint);
        adapter_set_capability(c, "s3", agent && facts.s3, facts.s3 ? "it takes an agent in the guest" :
                               "switched off: <pm><suspend-to-mem enabled='yes'/></pm> by virsh edit, and start it again");
        adapter_set_capability(c, "s4", agent && facts.s4, facts.s4 ? "it takes an agent in the guest" :
                               "switched off: <pm><suspend-to-disk enabled='yes'/></pm> by virsh edit, and start it again");
        adapter_set_capability(c, "restart", virDomainIsPersistent(d.domain) == 1,
                               "the domain is transient: virsh define it, so that it can be started again");
        return ADAPTER_OK;
}

/* What leads from one state to another. */
typedef struct Transition {
        const char *name;
        VmState from;
        bool (*is_wanted)(VmState state);
        int (*call)(virDomainPtr domain);
} Transition;

static AdapterResult switch_state(AdapterCall *c, const Transition *t) {
        _cleanup_(domain_done) Domain d = {};
        AdapterResult result;
        VmState state;

        result = begin(c, &d, &state);
        if (result != ADAPTER_OK)
                return result;
        if (t->is_wanted(state))
                return adapter_done(c, state, false);
        if (state != t->from)
                return wrong_state(c, state);
        watch(&d);
        if (t->call(d.domain) < 0)
                return fail_libvirt(c, t->name);
        return wait_state(c, &d, t->is_wanted);
}

static int suspend_to_memory(virDomainPtr domain) {
        return virDomainPMSuspendForDuration(domain, VIR_NODE_SUSPEND_TARGET_MEM, 0, 0);
}

static int suspend_to_disk(virDomainPtr domain) {
        return virDomainPMSuspendForDuration(domain, VIR_NODE_SUSPEND_TARGET_DISK, 0, 0);
}

static int wake_up(virDomainPtr domain) {
        return virDomainPMWakeup(domain, 0);
}

static AdapterResult pause_vm(AdapterCall *c) {
        return switch_state(c, &(Transition) { "pause", VM_RUNNING, is_paused, virDomainSuspend });
}

static AdapterResult resume(AdapterCall *c) {
        return switch_state(c, &(Transition) { "resume", VM_PAUSED, is_running, virDomainResume });
}

static AdapterResult suspend(AdapterCall *c) {
        return switch_state(c, &(Transition) { "suspend", VM_RUNNING, is_suspended, suspend_to_memory });
}

static AdapterResult wake(AdapterCall *c) {
        return switch_state(c, &(Transition) { "wake", VM_SUSPENDED, is_running, wake_up });
}

/* A domain that is off may have been switched off by anybody. */
static AdapterResult hibernate(AdapterCall *c) {
        _cleanup_(domain_done) Domain d = {};
        AdapterResult result;
        VmState state;

        result = begin(c, &d, &state);
        if (result != ADAPTER_OK)
                return result;
        if (state != VM_RUNNING)
                return wrong_state(c, state);
        watch(&d);
        if (suspend_to_disk(d.domain) < 0)
                return fail_libvirt(c, "hibernate");
        return wait_state(c, &d, is_off);
}

static AdapterResult shut_down(AdapterCall *c) {
        return switch_state(c, &(Transition) { "shutdown", VM_RUNNING, is_off, virDomainShutdown });
}

static AdapterResult start(AdapterCall *c) {
        return switch_state(c, &(Transition) { "start", VM_OFF, is_running, virDomainCreate });
}

static AdapterResult kill_vm(AdapterCall *c) {
        _cleanup_(domain_done) Domain d = {};
        AdapterResult result;
        VmState state;

        result = begin(c, &d, &state);
        if (result != ADAPTER_OK)
                return result;
        if (is_off(state))
                return adapter_done(c, state, false);
        watch(&d);
        if (virDomainDestroy(d.domain) < 0)
                return fail_libvirt(c, "kill");
        return wait_state(c, &d, is_off);
}

int main(int argc, char *argv[]) {
        static const Adapter adapter = {
                .name = "libvirt",
                .verbs = {
                        [VERB_IDENTIFY] = identify, [VERB_STATUS] = status,       [VERB_CAPABILITIES] = capabilities,
                        [VERB_PAUSE] = pause_vm,    [VERB_RESUME] = resume,       [VERB_SUSPEND] = suspend,
                        [VERB_WAKE] = wake,         [VERB_HIBERNATE] = hibernate, [VERB_SHUTDOWN] = shut_down,
                        [VERB_START] = start,       [VERB_KILL] = kill_vm,
                },
        };

        return adapter_main(&adapter, argc, argv);
}
