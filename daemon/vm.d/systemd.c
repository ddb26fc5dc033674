/* SPDX-License-Identifier: GPL-2.0-or-later */

/* systemd: the adapter of a VM that is a unit of systemd: a service whose main process it is, or a machine of machined's. It
 * is started and stopped as a unit, so what shutting down means is the unit's matter (ExecStop=, KillSignal=). Its state is
 * that of the unit; nothing is known of the guest. */

#include <signal.h>
#include <systemd/sd-bus.h>
#include <systemd/sd-login.h>

#include "vm.d/adapter.h"

#define DESTINATION "org.freedesktop.systemd1"
#define MANAGER_PATH "/org/freedesktop/systemd1"
#define MANAGER "org.freedesktop.systemd1.Manager"
#define UNIT "org.freedesktop.systemd1.Unit"
#define SERVICE "org.freedesktop.systemd1.Service"
#define NO_SUCH_UNIT "org.freedesktop.systemd1.NoSuchUnit"

typedef struct Job {
        char *path;
        bool removed;
        char result[32];
} Job;

static void job_done(Job *j) {
        free(j->path);
}

static bool has_suffix(const char *s, const char *suffix) {
        size_t n = strlen(s), k = strlen(suffix);

        return n > k && streq(s + n - k, suffix);
}

static uint64_t left(const AdapterCall *c) {
        uint64_t now = adapter_now();

        /* 0 would be the default of sd-bus. */
        return now < c->deadline_usec ? c->deadline_usec - now : 1;
}

static AdapterResult fail_bus(AdapterCall *c, int r, const sd_bus_error *error, const char *what) {
        bool refused = error && sd_bus_error_is_set(error) && !sd_bus_error_has_name(error, SD_BUS_ERROR_NO_REPLY) &&
                !sd_bus_error_has_name(error, SD_BUS_ERROR_TIMEOUT) && !sd_bus_error_has_name(error, SD_BUS_ERROR_SERVICE_UNKNOWN);

        if (r == -ETIMEDOUT)
                return adapter_fail(c, ERROR_TIMEOUT, "%s: systemd does not answer", what);
        return adapter_fail(c, refused ? ERROR_REFUSED : ERROR_UNREACHABLE, "%s: %s", what,
                            error && error->message ? error->message : strerror(-r));
}

static int open_bus(AdapterCall *c, sd_bus **ret) {
        _cleanup_(sd_bus_flush_close_unrefp) sd_bus *bus = NULL;
        int r;

        r = sd_bus_open_system(&bus);
        if (r >= 0)
                r = sd_bus_set_method_call_timeout(bus, left(c));
        if (r < 0)
                return r;
        *ret = TAKE_PTR(bus);
        return 0;
}

/* ---- States */

static VmState state_from(const char *active, const char *load, bool transient) {
        if (streq(active, "active") || streq(active, "reloading"))
                return VM_RUNNING;
        if (!streq(active, "inactive") && !streq(active, "failed"))
                return VM_BUSY;
        /* A transient unit is forgotten when it is over. */
        return streq(load, "loaded") && !transient ? VM_OFF : VM_GONE;
}

/* LoadUnit, not GetUnit: a unit that does not run need not be in memory. */
static int load_unit(AdapterCall *c, sd_bus *bus, sd_bus_error *error, char **ret) {
        _cleanup_(sd_bus_message_unrefp) sd_bus_message *reply = NULL;
        const char *path;
        int r;

        r = sd_bus_call_method(bus, DESTINATION, MANAGER_PATH, MANAGER, "LoadUnit", error, &reply, "s", c->id);
        if (r >= 0)
                r = sd_bus_message_read(reply, "o", &path);
        if (r < 0)
                return r;
        *ret = strdup(path);
        return *ret ? 0 : -ENOMEM;
}

static AdapterResult query_state(AdapterCall *c, sd_bus *bus, VmState *ret) {
        _cleanup_(sd_bus_error_free) sd_bus_error error = SD_BUS_ERROR_NULL;
        _cleanup_free_ char *path = NULL, *active = NULL, *load = NULL;
        int transient = false, r;

        r = load_unit(c, bus, &error, &path);
        if (r >= 0)
                r = sd_bus_get_property_string(bus, DESTINATION, path, UNIT, "ActiveState", &error, &active);
        if (r >= 0)
                r = sd_bus_get_property_string(bus, DESTINATION, path, UNIT, "LoadState", &error, &load);
        if (r >= 0)
                r = sd_bus_get_property_trivial(bus, DESTINATION, path, UNIT, "Transient", &error, 'b', &transient);
        if (r < 0)
                return fail_bus(c, r, &error, "cannot read the unit's state");
        adapter_set(c, "detail", active);
        *ret = state_from(active, load, transient);
        return ADAPTER_OK;
}

static AdapterResult begin(AdapterCall *c, sd_bus **ret_bus, VmState *ret_state) {
        int r;

        if (!has_suffix(c->id, ".service") && !has_suffix(c->id, ".scope"))
                return adapter_fail(c, ERROR_INVALID, "an ID of this adapter is the name of a service or scope");
        r = open_bus(c, ret_bus);
        if (r < 0)
                return fail_bus(c, r, NULL, "cannot reach the system bus");
        return query_state(c, *ret_bus, ret_state);
}

/* ---- Jobs */

static int on_job_removed(sd_bus_message *m, void *userdata, sd_bus_error *error) {
        const char *path, *result;
        Job *job = userdata;

        if (sd_bus_message_read(m, "uoss", NULL, &path, NULL, &result) >= 0 && streq_ptr(path, job->path)) {
                job->removed = true;
                (void) snprintf(job->result, sizeof(job->result), "%s", result);
        }
        return 0;
}

/* Signals are read after the reply that has the path, whatever their order was: sd_bus_call() only queues them. */
static int watch_jobs(sd_bus *bus, Job *job, sd_bus_error *error) {
        int r;

        r = sd_bus_match_signal(bus, NULL, DESTINATION, MANAGER_PATH, MANAGER, "JobRemoved", on_job_removed, job);
        return r < 0 ? r : sd_bus_call_method(bus, DESTINATION, MANAGER_PATH, MANAGER, "Subscribe", error, NULL, "");
}

static int queue_job(AdapterCall *c, sd_bus *bus, const char *method, Job *job, sd_bus_error *error) {
        _cleanup_(sd_bus_message_unrefp) sd_bus_message *reply = NULL;
        const char *path;
        int r;

        r = sd_bus_call_method(bus, DESTINATION, MANAGER_PATH, MANAGER, method, error, &reply, "ss", c->id, "replace");
        if (r >= 0)
                r = sd_bus_message_read(reply, "o", &path);
        return r < 0 ? r : free_and_strdup(&job->path, path);
}

static int wait_job(AdapterCall *c, sd_bus *bus, const Job *job) {
        while (!job->removed) {
                int r;

                if (adapter_now() >= c->deadline_usec)
                        return -ETIMEDOUT;
                r = sd_bus_process(bus, NULL);
                if (r == 0)
                        r = sd_bus_wait(bus, left(c));
                if (r < 0 && r != -EINTR)
                        return r;
        }
        return 0;
}

/* The job's end, and what came of it. */
static AdapterResult finish_job(AdapterCall *c, sd_bus *bus, const Job *job, bool (*is_wanted)(VmState state)) {
        AdapterResult result;
        VmState state;
        int r;

        r = wait_job(c, bus, job);
        if (r == -ETIMEDOUT)
                return adapter_fail(c, ERROR_TIMEOUT, "the unit's job has not ended; it goes on");
        if (r < 0)
                return fail_bus(c, r, NULL, "waiting for the unit's job");
        result = query_state(c, bus, &state);
        if (result != ADAPTER_OK)
                return result;
        if (is_wanted(state))
                return adapter_done(c, state, true);
        adapter_set_state(c, state, NULL);
        return adapter_fail(c, streq(job->result, "done") ? ERROR_UNVERIFIED : ERROR_REFUSED,
                            "the unit's job ended with '%s', and the unit is %s", job->result, vm_state_to_string(state));
}

static bool is_off(VmState state) {
        return state == VM_OFF || state == VM_GONE;
}

static bool is_running(VmState state) {
        return state == VM_RUNNING;
}

/* ---- Verbs */

/* A service that happens to have started a VM beside its work is not to be stopped for it. */
static bool is_main_process(AdapterCall *c, const char *unit) {
        _cleanup_(sd_bus_flush_close_unrefp) sd_bus *bus = NULL;
        _cleanup_free_ char *path = NULL;
        uint32_t main_pid = 0;
        AdapterCall call = *c;

        call.id = unit;
        return open_bus(c, &bus) >= 0 && load_unit(&call, bus, NULL, &path) >= 0 &&
                sd_bus_get_property_trivial(bus, DESTINATION, path, SERVICE, "MainPID", NULL, 'u', &main_pid) >= 0 &&
                main_pid == (uint32_t) c->pid;
}

static AdapterResult identify(AdapterCall *c) {
        _cleanup_free_ char *unit = NULL, *user_unit = NULL, *machine = NULL, *class = NULL;

        if (sd_pid_get_user_unit(c->pid, &user_unit) >= 0)
                return adapter_not_supported(c, "%s is a unit of a user's own manager", user_unit);
        if (sd_pid_get_unit(c->pid, &unit) < 0)
                return adapter_not_mine(c, "process %d is in no unit", c->pid);
        if (sd_pid_get_machine_name(c->pid, &machine) >= 0 && sd_machine_get_class(machine, &class) >= 0 && streq(class, "vm")) {
                adapter_set(c, "name", machine);
        } else if (has_suffix(unit, ".service") && is_main_process(c, unit)) {
                _cleanup_free_ char *name = strndup(unit, strlen(unit) - STRLEN(".service"));

                if (!name)
                        adapter_out_of_memory();
                adapter_set(c, "name", name);
        } else
                return adapter_not_mine(c, "process %d is neither a machine nor the main process of a service", c->pid);
        adapter_set(c, "id", unit);
        adapter_set_number(c, "pid", (uint64_t) c->pid);
        return ADAPTER_OK;
}

static AdapterResult status(AdapterCall *c) {
        _cleanup_(sd_bus_flush_close_unrefp) sd_bus *bus = NULL;
        AdapterResult result;
        VmState state;

        result = begin(c, &bus, &state);
        if (result == ADAPTER_OK)
                adapter_set_state(c, state, NULL);
        return result;
}

static AdapterResult capabilities(AdapterCall *c) {
        static const char none[] = "a unit has no way to ask its guest";
        _cleanup_(sd_bus_flush_close_unrefp) sd_bus *bus = NULL;
        _cleanup_free_ char *path = NULL;
        AdapterResult result;
        int transient = true;
        VmState state;

        result = begin(c, &bus, &state);
        if (result != ADAPTER_OK)
                return result;
        if (load_unit(c, bus, NULL, &path) >= 0)
                (void) sd_bus_get_property_trivial(bus, DESTINATION, path, UNIT, "Transient", NULL, 'b', &transient);
        adapter_set_capability(c, "agent", false, none);
        adapter_set_capability(c, "s3", false, none);
        adapter_set_capability(c, "s4", false, none);
        adapter_set_capability(c, "restart", state != VM_GONE && !transient, "a transient unit is gone when it is stopped: give it a file");
        return ADAPTER_OK;
}

static AdapterResult start(AdapterCall *c) {
        _cleanup_(sd_bus_flush_close_unrefp) sd_bus *bus = NULL;
        _cleanup_(sd_bus_error_free) sd_bus_error error = SD_BUS_ERROR_NULL;
        _cleanup_(job_done) Job job = {};
        AdapterResult result;
        VmState state;
        int r;

        result = begin(c, &bus, &state);
        if (result != ADAPTER_OK)
                return result;
        if (state == VM_RUNNING)
                return adapter_done(c, state, false);
        if (state == VM_GONE)
                return adapter_fail(c, ERROR_REFUSED, "there is no such unit any more");
        /* Otherwise it may be refused as started too often; whether there is anything to forget does not matter. */
        (void) sd_bus_call_method(bus, DESTINATION, MANAGER_PATH, MANAGER, "ResetFailedUnit", NULL, NULL, "s", c->id);
        r = watch_jobs(bus, &job, &error);
        if (r >= 0)
                r = queue_job(c, bus, "StartUnit", &job, &error);
        if (r < 0)
                return fail_bus(c, r, &error, "StartUnit");
        return finish_job(c, bus, &job, is_running);
}

static AdapterResult stop_unit(AdapterCall *c, int (*hasten)(AdapterCall *c, sd_bus *bus)) {
        _cleanup_(sd_bus_flush_close_unrefp) sd_bus *bus = NULL;
        _cleanup_(sd_bus_error_free) sd_bus_error error = SD_BUS_ERROR_NULL;
        _cleanup_(job_done) Job job = {};
        AdapterResult result;
        VmState state;
        int r;

        result = begin(c, &bus, &state);
        if (result != ADAPTER_OK)
                return result;
        if (is_off(state))
                return adapter_done(c, state, false);
        r = watch_jobs(bus, &job, &error);
        if (r >= 0)
                r = queue_job(c, bus, "StopUnit", &job, &error);
        if (r < 0 && sd_bus_error_has_name(&error, NO_SUCH_UNIT))
                return adapter_done(c, VM_GONE, false);
        if (r < 0)
                return fail_bus(c, r, &error, "StopUnit");
        if (hasten)
                (void) hasten(c, bus);
        return finish_job(c, bus, &job, is_off);
}

/* Without the stop job before it, Restart= would start the VM again. */
static int kill_unit(AdapterCall *c, sd_bus *bus) {
        return sd_bus_call_method(bus, DESTINATION, MANAGER_PATH, MANAGER, "KillUnit", NULL, NULL, "ssi", c->id, "all", (int) SIGKILL);
}

static AdapterResult shut_down(AdapterCall *c) {
        return stop_unit(c, NULL);
}

static AdapterResult kill_vm(AdapterCall *c) {
        return stop_unit(c, kill_unit);
}

int main(int argc, char *argv[]) {
        static const Adapter adapter = {
                .name = "systemd",
                .verbs = {
                        [VERB_IDENTIFY] = identify,  [VERB_STATUS] = status, [VERB_CAPABILITIES] = capabilities,
                        [VERB_SHUTDOWN] = shut_down, [VERB_START] = start,   [VERB_KILL] = kill_vm,
                },
        };

        return adapter_main(&adapter, argc, argv);
}
