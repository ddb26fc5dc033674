/* SPDX-License-Identifier: GPL-2.0-or-later */

/* sleep-bus: the sleep of the host on the bus: the two calls of the gate, and the property LastSleep. Both calls
 * are root's alone, and wait for as long as it takes. */

#include "bus.h"
#include "dbus/errors.h"
#include "dbus/names.h"
#include "sleep-gate.h"
#include "sleep.h"
#include "util/log.h"

/* A caller that waits. */
struct SleepCall {
        Manager *manager; /* weak */
        sd_bus_message *message;
        SleepWaiter *waiter;
        LIST_FIELDS(struct SleepCall, calls);
};

#define CALLS_MAX 16U

static SleepCall *call_free(SleepCall *c) {
        if (!c)
                return NULL;
        LIST_REMOVE(calls, c->manager->sleep_calls, c);
        sleep_waiter_free(c->waiter);
        sd_bus_message_unref(c->message);
        free(c);
        return NULL;
}

void sleep_bus_free_all(Manager *m) {
        while (m->sleep_calls)
                call_free(m->sleep_calls);
}

static void on_answer(const char *error, const char *reason, void *userdata) {
        SleepCall *c = ASSERT_PTR(userdata);
        int r;

        c->waiter = NULL;
        if (error)
                r = sd_bus_reply_method_errorf(c->message, error, "%s", reason);
        else
                r = sd_bus_reply_method_return(c->message, NULL);
        if (r < 0)
                log_debug_errno(r, "Failed to answer a call, ignoring: %m");
        call_free(c);
}

static int check_root(sd_bus_message *message, sd_bus_error *error) {
        uint32_t uid;
        int r;

        r = bus_sender_uid(message, &uid);
        if (r < 0)
                return r;
        return uid == 0 ? 0
                        : sd_bus_error_set(error, SD_BUS_ERROR_ACCESS_DENIED,
                                           "Only root may say that the host sleeps.");
}

static int call_new(Manager *m, sd_bus_message *message, SleepCall **ret, sd_bus_error *error) {
        SleepCall *c;
        unsigned n = 0;

        LIST_FOREACH(calls, i, m->sleep_calls)
                n++;
        if (n >= CALLS_MAX)
                return sd_bus_error_set(error, SD_BUS_ERROR_LIMITS_EXCEEDED,
                                        "Too many calls wait for the sleep of the host already.");
        c = calloc(1, sizeof(SleepCall));
        if (!c)
                return -ENOMEM;
        c->manager = m;
        c->message = sd_bus_message_ref(message);
        LIST_APPEND(calls, m->sleep_calls, c);
        *ret = c;
        return 0;
}

int sleep_bus_method_prepare(sd_bus_message *message, void *userdata, sd_bus_error *error) {
        Manager *m = ASSERT_PTR(userdata);
        const char *operation;
        SleepCall *c;
        int r;

        r = sd_bus_message_read(message, "s", &operation);
        if (r < 0)
                return r;
        if (!isempty(operation) && !sleep_gate_is_operation(operation))
                return sd_bus_error_setf(error, SD_BUS_ERROR_INVALID_ARGS, "There is no sleep '%.32s'.", operation);
        r = check_root(message, error);
        if (r < 0)
                return r;
        if (!m->host->config->gate)
                return sd_bus_reply_method_return(message, NULL);
        r = call_new(m, message, &c, error);
        if (r < 0)
                return r;
        r = sleep_prepare(m->sleep, operation, on_answer, c, &c->waiter);
        if (r < 0) {
                call_free(c);
                return r;
        }
        return 1;
}

int sleep_bus_method_finish(sd_bus_message *message, void *userdata, sd_bus_error *error) {
        Manager *m = ASSERT_PTR(userdata);
        SleepCall *c;
        int r;

        r = check_root(message, error);
        if (r >= 0)
                r = call_new(m, message, &c, error);
        if (r < 0)
                return r;
        r = sleep_finish(m->sleep, on_answer, c, &c->waiter);
        if (r < 0) {
                call_free(c);
                return r;
        }
        return 1;
}

/* ---- LastSleep ---- */

static const char *result_of(const SleepRecord *s) {
        if (s->vetoed)
                return "vetoed";
        if (s->phase != SLEEP_OVER)
                return sleep_phase_to_string(s->phase);
        return sleep_record_is_whole(s) ? "done" : "failed";
}

static void write_time(Sink *s, const char *key, uint64_t usec) {
        if (usec > 0)
                sink_entry_u64(s, key, usec);
}

static void write_vms(Sink *s, const SleepRecord *record) {
        sink_entry_open(s, "virtual-machines", "aa{sv}");
        sink_open(s, 'a', "a{sv}");
        for (size_t i = 0; i < record->n_vms; i++) {
                const SleepVm *v = record->vms + i;

                sink_open(s, 'a', "{sv}");
                sink_entry_string(s, "manager", v->adapter);
                sink_entry_string(s, "name", v->name);
                sink_entry_string(s, "id", v->id);
                sink_entry_strv(s, "gpus", v->gpus);
                sink_entry_string(s, "policy", vm_policy_to_string(v->policy));
                sink_entry_string(s, "action", vm_action_to_string(v->action));
                sink_entry_string(s, "result", sleep_stage_to_string(v->stage));
                sink_entry_string(s, "message", v->message);
                sink_close(s);
        }
        sink_close(s);
        sink_entry_close(s);
}

static void write_cards(Sink *s, const SleepRecord *record) {
        sink_entry_open(s, "gpus", "aa{sv}");
        sink_open(s, 'a', "a{sv}");
        for (size_t i = 0; i < record->n_cards; i++) {
                const SleepCard *c = record->cards + i;

                sink_open(s, 'a', "{sv}");
                sink_entry_string(s, "address", c->address);
                sink_entry_string(s, "state-before", gpu_state_to_string(c->before));
                sink_entry_string(s, "action", gpu_sleep_policy_to_string(c->action));
                sink_entry_string(s, "result", sleep_stage_to_string(c->stage));
                sink_entry_string(s, "state", gpu_state_to_string(c->after));
                sink_entry_string(s, "health", c->health);
                sink_entry_string(s, "message", c->message);
                sink_close(s);
        }
        sink_close(s);
        sink_entry_close(s);
}

static void write_statistics(Sink *s, const SleepRecord *record) {
        if (record->n_statistics == 0)
                return;
        sink_entry_open(s, "suspend-stats", "a{ss}");
        sink_open(s, 'a', "{ss}");
        for (size_t i = 0; i < record->n_statistics; i++) {
                sink_open(s, 'e', "ss");
                sink_string(s, record->statistics[i].name);
                sink_string(s, record->statistics[i].value);
                sink_close(s);
        }
        sink_close(s);
        sink_entry_close(s);
}

static void write_last_sleep(Sink *s, const SleepRecord *record) {
        char *doors[3] = {};
        size_t n = 0;

        sink_open(s, 'a', "{sv}");
        if (record) {
                if (record->cycle.opened & DOOR_LOGIND)
                        doors[n++] = (char *) "logind";
                if (record->cycle.opened & DOOR_GATE)
                        doors[n++] = (char *) "gate";
                sink_entry_u32(s, "cycle", record->cycle.id);
                sink_entry_string(s, "operation", record->operation);
                sink_entry_string(s, "result", result_of(record));
                sink_entry_strv(s, "doors", doors);
                if (record->vetoed) {
                        sink_entry_string(s, "gpu", record->veto_gpu);
                        sink_entry_string(s, "reason", record->veto_reason);
                }
                write_time(s, "began", record->began);
                write_time(s, "ready", record->ready);
                write_time(s, "woken", record->woken);
                write_time(s, "finished", record->finished);
                if (record->phase == SLEEP_OVER)
                        sink_entry_u64(s, "asleep", record->asleep_usec);
                write_vms(s, record);
                write_cards(s, record);
                sink_entry_strv(s, "hook-failures", record->hook_failures);
                sink_entry_strv(s, "kernel-lines", record->kernel_lines);
                sink_entry_bool(s, "kernel-lines-more", record->kernel_more);
                write_statistics(s, record);
        }
        sink_close(s);
}

int sleep_bus_property_last(sd_bus *bus, const char *path, const char *interface, const char *property,
                            sd_bus_message *reply, void *userdata, sd_bus_error *error) {
        Manager *m = ASSERT_PTR(userdata);
        Sink s = { .message = reply };

        write_last_sleep(&s, sleep_last(m->sleep));
        return s.r;
}

int sleep_bus_property_sleeping(sd_bus *bus, const char *path, const char *interface, const char *property,
                                sd_bus_message *reply, void *userdata, sd_bus_error *error) {
        Manager *m = ASSERT_PTR(userdata);

        return sd_bus_message_append(reply, "b", sleep_in_progress(m->sleep));
}
