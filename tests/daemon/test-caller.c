/* SPDX-License-Identifier: GPL-2.0-or-later */

/* test-caller: who may do what, what polkit is told and asked, how many things one caller may have under way, and in
 * which order he is told of them; sleep. */

#include <errno.h>
#include <signal.h>
#include <unistd.h>

#include "fixture.h"
#include "util/cleanup.h"

#define CARD "0000:08:00.0"
#define AUDIO "0000:08:00.1"
#define RADEON "0000:09:00.0"

/* ---- polkit ---- */

static void test_details(void) {
        g_autoptr(Scene) s = scene_new("desktop", NULL);
        const char *log;

        if (!scene_be_user(s))
                return;
        assert_end(s, detach(s, CARD, ""), "done", "");
        log = sim_polkit_log(s->m);
        assert_has(log, "check action=org.gpupt1.detach subject=:");
        assert_has(log, "interactive=0");
        assert_has(log, "gpu='" CARD "'");
        assert_has(log, "vendor='10de' device='1e84' operation='detach' plan='");
        (void) sim_command(s->m, "polkit-log-clear");
        assert_end(s, attach(s, CARD, "force"), "done", "");
        log = sim_polkit_log(s->m);
        assert_has(log, "check action=org.gpupt1.force ");
        assert_has(log, "operation='attach'");
        /* One dialog. */
        g_assert_null(strstr(log, "org.gpupt1.attach"));
        (void) sim_command(s->m, "polkit-log-clear");
        assert_end(s, detach(s, RADEON, "disrupt-session"), "done", "");
        log = sim_polkit_log(s->m);
        assert_has(log, "check action=org.gpupt1.disrupt-session ");
        g_assert_null(strstr(log, "org.gpupt1.detach "));
}

/* The sentence names whom force would end. */
static void test_details_force(void) {
        g_autoptr(Scene) s = scene_new("desktop", NULL);
        g_autofree char *pid = NULL;
        pid_t holder = sim_hold_node(s->m, node_of(s, CARD, "card"));

        if (!scene_be_user(s))
                return;
        sim_polkit_set(s->m, "no", NULL);
        pid = g_strdup_printf("pid %d", holder);
        assert_end(s, detach(s, CARD, "force wait=0"), "refused", "AccessDenied");
        assert_has(sim_polkit_log(s->m), pid);
        g_assert_cmpint(kill(holder, 0), ==, 0);
        sim_let_go(s->m, holder);
}

static void test_refused(void) {
        g_autoptr(Scene) s = scene_new("desktop", NULL);
        g_autoptr(SimRecorder) signals = sim_recorder_new(s->m);
        g_autofree char *text = NULL;

        if (!scene_be_user(s))
                return;
        sim_polkit_set(s->m, "no", NULL);
        assert_end(s, detach(s, CARD, ""), "refused", "AccessDenied");
        assert_end(s, attach(s, CARD, ""), "refused", "AccessDenied");
        g_assert_cmpstr(manager_call(s, "Reload", NULL, ""), ==, SD_BUS_ERROR_ACCESS_DENIED);
        sim_polkit_set(s->m, "challenge", NULL);
        assert_end(s, detach(s, CARD, ""), "refused", "InteractiveAuthorizationRequired");
        /* What cannot be done anyway is refused before anybody is asked. */
        (void) sim_command(s->m, "polkit-log-clear");
        assert_end(s, detach(s, RADEON, ""), "refused", "LastDisplay");
        g_assert_cmpstr(sim_polkit_log(s->m), ==, "");
        /* Reading is free. */
        g_assert_cmpstr(gpu_call(s, CARD, "ListHolders", NULL, ""), ==, "");
        g_assert_cmpstr(gpu_call(s, CARD, "Plan", NULL, "sa{sv}", "detach", 0), ==, "");
        g_assert_cmpstr(manager_call(s, "Rescan", NULL, ""), ==, "");
        assert_as_at_first(s);
        text = sim_recorder_text(signals);
        g_assert_null(strstr(text, "JobNew"));
}

/* Without polkit root may, and nobody else; with it root is not asked about. */
static void test_no_polkit(void) {
        g_autoptr(Scene) s = scene_new("desktop", NULL);

        (void) sim_command(s->m, "polkit gone");
        assert_end(s, detach(s, CARD, ""), "done", "");
        if (sim_have_users()) {
                sd_bus *user = sim_bus_new(s->m, 1000);

                s->caller = user;
                assert_end(s, attach(s, CARD, ""), "refused", "AccessDenied");
                (void) sd_bus_close_unref(user);
        }
        s->caller = sim_bus(s->m);
        (void) sim_command(s->m, "polkit back");
        sim_polkit_set(s->m, "no", NULL);
        assert_end(s, attach(s, CARD, ""), "done", "");
        g_assert_cmpstr(manager_call(s, "Reload", NULL, ""), ==, "");
        g_assert_cmpstr(sim_polkit_log(s->m), ==, "");
        assert_as_at_first(s);
}

static void test_interactive(void) {
        g_autoptr(Scene) s = scene_new("desktop", NULL);
        g_autoptr(Pending) quiet = NULL, loud = NULL;

        if (!scene_be_user(s))
                return;
        sim_polkit_set(s->m, "auth", NULL);
        quiet = call_later(s, s->caller, "Detach", CARD, "", false);
        g_assert_cmpstr(pending_wait(quiet), ==, SD_BUS_ERROR_INTERACTIVE_AUTHORIZATION_REQUIRED);
        loud = call_later(s, s->caller, "Detach", CARD, "", true);
        g_assert_cmpstr(pending_wait(loud), ==, "");
        assert_has(sim_polkit_log(s->m), "interactive=1");
        assert_end(s, job_wait(s, pending_job(loud)), "done", "");
}

/* While a dialog is open everything else is answered, and the world goes on: what was true when the dialog opened is
 * looked at again when it closes. */
static void test_dialog(void) {
        g_autoptr(Scene) s = scene_new("desktop", NULL);
        g_autoptr(Pending) first = NULL, second = NULL;
        unsigned fault;
        const char *job;

        if (!scene_be_user(s))
                return;
        sim_polkit_set(s->m, "never", NULL);
        first = call_later(s, s->caller, "Detach", CARD, "", true);
        sim_polkit_wait(s->m, 1);
        assert_alive(s);
        g_assert_cmpstr(state_of(s, CARD), ==, "host");
        g_assert_false(pending_answered(first));

        /* Somebody else is faster. */
        sim_polkit_set(s->m, "yes", NULL);
        fault = sim_fault(s->m, CARD, "driver_override", "hang");
        job = job_start(s, "Detach", CARD, "");
        sim_fault_wait(s->m, fault);
        (void) sim_command(s->m, "polkit-answer yes");
        g_assert_cmpstr(short_name(pending_wait(first)), ==, "Busy");
        sim_fault_release(s->m, fault);
        assert_end(s, job_wait(s, job), "done", "");

        /* The card leaves while somebody types a password. */
        sim_polkit_set(s->m, "never", NULL);
        second = call_later(s, s->caller, "Attach", CARD, "", true);
        sim_polkit_wait(s->m, 3);
        sim_unplug(s->m, CARD);
        sim_unplug(s->m, AUDIO);
        wait_state(s, CARD, "absent");
        (void) sim_command(s->m, "polkit-answer yes");
        g_assert_cmpstr(short_name(pending_wait(second)), ==, "Unreachable");
        assert_has(pending_message(second), CARD);
}

/* Who leaves takes his dialog along. */
static void test_dialog_left(void) {
        g_autoptr(Scene) s = scene_new("desktop", NULL);
        sd_bus *other;
        Pending *p;

        if (!scene_be_user(s))
                return;
        other = sim_bus_new(s->m, 1000);
        sim_polkit_set(s->m, "never", NULL);
        p = call_later(s, other, "Detach", CARD, "", true);
        sim_polkit_wait(s->m, 1);
        assert_alive(s); /* the daemon has its match on the caller's name by now */
        pending_free(p);
        (void) sd_bus_close_unref(other);
        sim_polkit_wait(s->m, 2);
        assert_has(sim_polkit_log(s->m), "cancel id=");
        sim_polkit_set(s->m, "yes", NULL);
        assert_end(s, detach(s, CARD, ""), "done", "");
}

/* The card is another one's holder's when the dialog closes: force ends whom the dialog named, nobody else. */
static void test_dialog_force(void) {
        g_autoptr(Scene) s = scene_new("desktop", NULL);
        g_autoptr(Pending) p = NULL;
        pid_t shown = sim_hold_node(s->m, node_of(s, CARD, "card")), newcomer;

        if (!scene_be_user(s))
                return;
        sim_polkit_set(s->m, "never", NULL);
        p = call_later(s, s->caller, "Detach", CARD, "force wait=0", true);
        sim_polkit_wait(s->m, 1);
        newcomer = sim_hold_node(s->m, node_of(s, CARD, "renderD"));
        (void) sim_command(s->m, "polkit-answer yes");
        g_assert_cmpstr(pending_wait(p), ==, "");
        assert_end(s, job_wait(s, pending_job(p)), "rolled-back", "InUse");
        g_assert_cmpint(kill(newcomer, 0), ==, 0);
        g_assert_cmpint(sim_wait_ended(s->m, shown), ==, SIGTERM);
        assert_as_at_first(s);
        sim_let_go(s->m, newcomer);
}

/* ---- limits ---- */

static void test_query_limit(void) {
        g_autoptr(Scene) s = scene_new("desktop", "/etc/gpuptd/gpuptd.conf", "[Daemon]\nLimitQueries=3\n", NULL);
        sd_bus *other;
        Pending *pending[3];
        g_autoptr(Pending) one_more = NULL, others = NULL;

        if (!scene_be_user(s))
                return;
        other = sim_bus_new(s->m, 1000);
        sim_polkit_set(s->m, "never", NULL);
        for (size_t i = 0; i < ELEMENTSOF(pending); i++)
                pending[i] = call_later(s, s->caller, "Detach", CARD, "", true);
        sim_polkit_wait(s->m, 3);
        one_more = call_later(s, s->caller, "Detach", CARD, "", true);
        g_assert_cmpstr(pending_wait(one_more), ==, SD_BUS_ERROR_LIMITS_EXCEEDED);
        /* Censuses count as well; other callers do not. */
        g_assert_cmpstr(gpu_call(s, CARD, "ListHolders", NULL, ""), ==, SD_BUS_ERROR_LIMITS_EXCEEDED);
        others = call_later(s, other, "Detach", CARD, "", true);
        sim_polkit_wait(s->m, 4);
        (void) sim_command(s->m, "polkit-answer no");
        for (size_t i = 0; i < ELEMENTSOF(pending); i++) {
                g_assert_cmpstr(pending_wait(pending[i]), ==, SD_BUS_ERROR_ACCESS_DENIED);
                pending_free(pending[i]);
        }
        g_assert_cmpstr(pending_wait(others), ==, SD_BUS_ERROR_ACCESS_DENIED);
        g_assert_cmpstr(gpu_call(s, CARD, "ListHolders", NULL, ""), ==, "");
        pending_free(g_steal_pointer(&others));
        (void) sd_bus_close_unref(other);
}

static void test_job_limit(void) {
        g_autoptr(Scene) s = scene_new("eight", "/etc/gpuptd/gpuptd.conf", "[Daemon]\nLimitJobs=1\n", NULL);
        sd_bus *other = sim_bus_new(s->m, 0);
        unsigned fault = sim_fault(s->m, "0000:10:00.0", "driver_override", "hang");
        const char *job = job_start(s, "Detach", "0000:10:00.0", "");

        sim_fault_wait(s->m, fault);
        assert_end(s, detach(s, "0000:20:00.0", ""), "refused", "LimitsExceeded");
        s->caller = other;
        assert_end(s, detach(s, "0000:20:00.0", ""), "done", "");
        s->caller = sim_bus(s->m);
        sim_fault_release(s->m, fault);
        assert_end(s, job_wait(s, job), "done", "");
        assert_end(s, detach(s, "0000:30:00.0", ""), "done", "");
        (void) sd_bus_close_unref(other);
}

/* ---- cancel ---- */

static void test_cancel_rights(void) {
        g_autoptr(Scene) s = scene_new("desktop", NULL);
        pid_t holder = sim_hold_node(s->m, node_of(s, CARD, "card"));
        sd_bus *user;
        const char *job;

        if (!sim_have_users()) {
                sim_let_go(s->m, holder);
                g_test_skip("another user than one's own does not exist in these namespaces");
                return;
        }
        user = sim_bus_new(s->m, 1000);
        job = job_start(s, "Detach", CARD, "wait=600");
        sim_polkit_set(s->m, "no", GPUPT_ACTION_CANCEL);
        s->caller = user;
        g_assert_cmpstr(job_call(s, job, "Cancel", NULL, ""), ==, SD_BUS_ERROR_ACCESS_DENIED);
        g_assert_cmpstr(gpu_property(s, CARD, "Job"), ==, job);
        sim_polkit_set(s->m, "yes", GPUPT_ACTION_CANCEL);
        g_assert_cmpstr(job_call(s, job, "Cancel", NULL, ""), ==, "");
        assert_end(s, job_wait(s, job), "cancelled", "Cancelled");

        /* One's own, always. */
        job = job_start(s, "Detach", CARD, "wait=600");
        sim_polkit_set(s->m, "no", NULL);
        (void) sim_command(s->m, "polkit-log-clear");
        g_assert_cmpstr(job_call(s, job, "Cancel", NULL, ""), ==, "");
        assert_end(s, job_wait(s, job), "cancelled", "Cancelled");
        g_assert_cmpstr(sim_polkit_log(s->m), ==, "");
        assert_as_at_first(s);
        sim_let_go(s->m, holder);
        (void) sd_bus_close_unref(user);
}

/* Cancelled in the middle of a write: the step ends, and then everything is undone. */
static void test_cancel_write(void) {
        g_autoptr(Scene) s = scene_new("desktop", NULL);
        unsigned fault = sim_fault(s->m, AUDIO, "unbind", "hang");
        const char *job = job_start(s, "Detach", CARD, "");

        sim_fault_wait(s->m, fault);
        g_assert_cmpstr(job_call(s, job, "Cancel", NULL, ""), ==, "");
        sim_wait_property(s->m, job, GPUPT_JOB_INTERFACE, "Cancellable", "false");
        sim_fault_release(s->m, fault);
        assert_end(s, job_wait(s, job), "cancelled", "Cancelled");
        assert_as_at_first(s);
}

/* ---- order ---- */

typedef struct Order {
        GString *text;
} Order;

static int on_signal(sd_bus_message *m, void *userdata, _unused_ sd_bus_error *error) {
        Order *o = userdata;

        if (!streq_ptr(sd_bus_message_get_member(m), "NameAcquired"))
                g_string_append_printf(o->text, "%s %s\n", sd_bus_message_get_member(m), sd_bus_message_get_path(m));
        return 0;
}

static int on_reply(sd_bus_message *m, void *userdata, _unused_ sd_bus_error *error) {
        Order *o = userdata;
        const char *path;

        g_assert_cmpint(sd_bus_message_read(m, "o", &path), >=, 0);
        g_string_append_printf(o->text, "reply %s\n", path);
        return 0;
}

static void test_order(void) {
        g_autoptr(Scene) s = scene_new("desktop", NULL);
        _cleanup_(sd_bus_message_unrefp) sd_bus_message *m = NULL;
        g_autoptr(GString) text = g_string_new(NULL);
        Order o = { text };
        sd_bus *bus = sim_bus_new(s->m, 0);
        const char *job = GPUPT_JOB_PREFIX "/1", *reply, *announced, *removed, *last, *interfaces;
        g_autofree char *reply_line = g_strdup_printf("reply %s\n", job);

        g_assert_cmpint(sd_bus_match_signal(bus, NULL, GPUPT_BUS_NAME, NULL, NULL, NULL, on_signal, &o), >=, 0);
        g_assert_cmpint(sd_bus_message_new_method_call(bus, &m, GPUPT_BUS_NAME, gpu_path(s, CARD), GPUPT_GPU_INTERFACE,
                                                       "Detach"),
                        >=, 0);
        g_assert_cmpint(append_options(m, ""), >=, 0);
        g_assert_cmpint(sd_bus_call_async(bus, NULL, m, on_reply, &o, UINT64_MAX), >=, 0);
        while (!strstr(text->str, "InterfacesRemoved")) {
                g_assert_cmpint(sd_bus_process(bus, NULL), >=, 0);
                g_assert_cmpint(sd_bus_wait(bus, 100000), >=, 0);
        }
        reply = strstr(text->str, reply_line);
        announced = strstr(text->str, "JobNew");
        removed = strstr(text->str, "JobRemoved");
        interfaces = strstr(text->str, "InterfacesRemoved");
        g_assert_nonnull(reply);
        g_assert_nonnull(announced);
        g_assert_nonnull(removed);
        g_assert_true(reply < announced && announced < removed && removed < interfaces);
        last = g_strrstr(text->str, "PropertiesChanged");
        g_assert_nonnull(last);
        g_assert_true(last < removed);
        /* The job told of its steps, and the GPU of its state. */
        assert_has(text->str, "PropertiesChanged /org/gpupt1/job/1");
        (void) sd_bus_close_unref(bus);
}

static unsigned id_of(Scene *s, const char *operation) {
        const JobEnd *end = streq(operation, "detach") ? detach(s, CARD, "") : attach(s, CARD, "");

        assert_end(s, end, "done", "");
        return end->id;
}

static void test_ids(void) {
        g_autoptr(Scene) s = scene_new("desktop", NULL);

        g_assert_cmpuint(id_of(s, "detach"), ==, 1);
        sim_daemon_kill(s->m);
        scene_start(s);
        g_assert_cmpuint(id_of(s, "attach"), ==, 2);
        g_assert_cmpint(sim_daemon_stop(s->m), ==, 0);
        scene_start(s);
        /* A job without steps has a number, too. */
        g_assert_cmpuint(id_of(s, "attach"), ==, 3);
        g_assert_cmpuint(id_of(s, "detach"), ==, 4);
        assert_has(gpu_property(s, CARD, "LastJob"), "id=4 operation=detach result=done error=");
}

static void test_list_jobs(void) {
        g_autoptr(Scene) s = scene_new("desktop", NULL);
        unsigned fault = sim_fault(s->m, CARD, "driver_override", "hang");
        const char *job = job_start(s, "Detach", CARD, ""), *path, *operation, *gpu;
        _cleanup_(sd_bus_message_unrefp) sd_bus_message *reply = NULL;
        uint32_t id;

        sim_fault_wait(s->m, fault);
        g_assert_cmpint(sd_bus_call_method(s->caller, GPUPT_BUS_NAME, GPUPT_OBJECT_PATH, GPUPT_MANAGER_INTERFACE,
                                           "ListJobs", NULL, &reply, NULL),
                        >=, 0);
        g_assert_cmpint(sd_bus_message_enter_container(reply, 'a', "(usso)"), >=, 0);
        g_assert_cmpint(sd_bus_message_read(reply, "(usso)", &id, &operation, &gpu, &path), >, 0);
        g_assert_cmpuint(id, ==, 1);
        g_assert_cmpstr(operation, ==, "detach");
        g_assert_cmpstr(gpu, ==, CARD);
        g_assert_cmpstr(path, ==, job);
        g_assert_cmpstr(job_property(s, job, "Gpu"), ==, gpu_path(s, CARD));
        g_assert_cmpstr(job_property(s, job, "State"), ==, "running");
        sim_fault_release(s->m, fault);
        assert_end(s, job_wait(s, job), "done", "");
}

/* ---- sleep ---- */

static void test_sleep(void) {
        g_autoptr(Scene) s = scene_new("desktop", NULL);
        unsigned fault = sim_fault(s->m, "login1", "sleep", "hang");
        const JobEnd *end;

        g_assert_cmpint(sd_bus_call_method(sim_bus(s->m), "org.freedesktop.login1", "/org/freedesktop/login1",
                                           "org.freedesktop.login1.Manager", "Suspend", NULL, NULL, "b", false),
                        >=, 0);
        sim_wait_property(s->m, GPUPT_OBJECT_PATH, GPUPT_MANAGER_INTERFACE, "Sleeping", "true");
        end = detach(s, CARD, "");
        assert_end(s, end, "refused", "SleepInProgress");
        assert_has(end->message, CARD);
        sim_fault_wait(s->m, fault);
        sim_fault_release(s->m, fault);
        sim_wait_property(s->m, GPUPT_OBJECT_PATH, GPUPT_MANAGER_INTERFACE, "Sleeping", "false");
        assert_end(s, detach(s, CARD, ""), "done", "");
}

/* A daemon that begins within a sleep knows of it; and a logind that dies in one does not refuse jobs for ever. */
static void test_sleep_restart(void) {
        g_autoptr(Scene) s = scene_new("desktop", NULL);
        unsigned fault = sim_fault(s->m, "login1", "sleep", "hang");

        g_assert_cmpint(sd_bus_call_method(sim_bus(s->m), "org.freedesktop.login1", "/org/freedesktop/login1",
                                           "org.freedesktop.login1.Manager", "Suspend", NULL, NULL, "b", false),
                        >=, 0);
        sim_fault_wait(s->m, fault);
        sim_daemon_kill(s->m);
        scene_start(s);
        sim_wait_property(s->m, GPUPT_OBJECT_PATH, GPUPT_MANAGER_INTERFACE, "Sleeping", "true");
        assert_end(s, detach(s, CARD, ""), "refused", "SleepInProgress");
        (void) sim_command(s->m, "login1 gone");
        sim_wait_property(s->m, GPUPT_OBJECT_PATH, GPUPT_MANAGER_INTERFACE, "Sleeping", "false");
        assert_end(s, detach(s, CARD, ""), "done", "");
        sim_fault_release(s->m, fault);
        (void) sim_command(s->m, "login1 back");
        /* Granted by one that is awake alone. */
        (void) sim_command(s->m, "wait-inhibitors sleep delay 1");
        assert_end(s, attach(s, CARD, ""), "done", "");
        assert_as_at_first(s);
}

static void test_inhibitor(void) {
        g_autoptr(Scene) s = scene_new("desktop", NULL);
        unsigned save = sim_fault(s->m, CARD, "read:driver_override", "hang");
        unsigned bind = sim_fault(s->m, AUDIO, "bind", "hang");
        const char *job = job_start(s, "Detach", CARD, ""), *text;

        sim_fault_wait(s->m, save);
        (void) sim_command(s->m, "wait-inhibitors sleep block 0");
        (void) sim_command(s->m, "wait-inhibitors sleep delay 1");
        sim_fault_release(s->m, save);
        sim_fault_wait(s->m, bind);
        (void) sim_command(s->m, "wait-inhibitors sleep block 1");
        assert_has(sim_command(s->m, "inhibitors"), "who='gpuptd'");
        g_assert_cmpint(sim_try_command(s->m, &text, "suspend"), ==, -EBUSY);
        sim_fault_release(s->m, bind);
        assert_end(s, job_wait(s, job), "done", "");
        (void) sim_command(s->m, "wait-inhibitors sleep block 0");
        g_assert_true(sim_suspend(s->m));
}

#define WAITS "wait up to 600 s until nobody holds " CARD
#define HELD "wait until the host has slept and woken"

/* A detach that waits for `holder`. */
static const char *start_waiting(Scene *s, pid_t *ret_holder) {
        const char *job;

        *ret_holder = process_start(s, "game", node_of(s, CARD, "renderD"));
        job = job_start(s, "Detach", CARD, "wait=600");
        sim_wait_property(s->m, job, GPUPT_JOB_INTERFACE, "Description", WAITS);
        (void) sim_command(s->m, "wait-inhibitors sleep block 0");
        return job;
}

/* The number of the fault that the host sleeps by. */
static unsigned fall_asleep(Scene *s) {
        unsigned fault = sim_fault(s->m, "login1", "sleep", "hang");

        g_assert_cmpint(sd_bus_call_method(sim_bus(s->m), "org.freedesktop.login1", "/org/freedesktop/login1",
                                           "org.freedesktop.login1.Manager", "Suspend", NULL, NULL, "b", false),
                        >=, 0);
        sim_fault_wait(s->m, fault);
        return fault;
}

/* A job that waits for people does not keep the host awake: it is undone before the host sleeps, and can be begun again after. */
static void test_sleep_in_wait(void) {
        g_autoptr(Scene) s = scene_new("desktop", NULL);
        const JobEnd *end;
        unsigned sleep;
        pid_t holder;
        const char *job = start_waiting(s, &holder);

        sleep = fall_asleep(s);
        end = job_wait(s, job);
        assert_end(s, end, "rolled-back", "SleepInProgress");
        assert_has(end->message, "about to sleep");
        assert_as_at_first(s);
        assert_end(s, detach(s, CARD, ""), "refused", "SleepInProgress");
        sim_fault_release(s->m, sleep);
        sim_wait_property(s->m, GPUPT_OBJECT_PATH, GPUPT_MANAGER_INTERFACE, "Sleeping", "false");
        sim_let_go(s->m, holder);
        assert_end(s, detach(s, CARD, ""), "done", "");
        assert_end(s, attach(s, CARD, ""), "done", "");
        assert_as_at_first(s);
}

/* A job that a daemon left is taken up by one that comes while the host sleeps: it writes nothing before the host has woken. */
static const char *start_held(Scene *s, unsigned *ret_sleep, char **ret_before) {
        pid_t holder;
        const char *job = start_waiting(s, &holder);

        *ret_before = g_strdup(sim_dump(s->m));
        sim_daemon_kill(s->m);
        *ret_sleep = fall_asleep(s);
        scene_start(s);
        sim_wait_property(s->m, job, GPUPT_JOB_INTERFACE, "Description", WAITS);
        sim_let_go(s->m, holder);
        sim_wait_property(s->m, job, GPUPT_JOB_INTERFACE, "Description", HELD);
        g_assert_cmpstr(sim_dump(s->m), ==, *ret_before);
        return job;
}

static void test_sleep_held(void) {
        g_autoptr(Scene) s = scene_new("desktop", NULL);
        g_autofree char *before = NULL;
        unsigned sleep;
        const char *job = start_held(s, &sleep, &before);

        assert_alive(s);
        sim_fault_release(s->m, sleep);
        assert_end(s, job_wait(s, job), "done", "");
        assert_end(s, attach(s, CARD, ""), "done", "");
        assert_as_at_first(s);
}

/* Nor is anything undone in a sleep. */
static void test_sleep_held_cancel(void) {
        g_autoptr(Scene) s = scene_new("desktop", NULL);
        g_autofree char *before = NULL;
        unsigned sleep;
        const char *job = start_held(s, &sleep, &before);

        g_assert_cmpstr(job_call(s, job, "Cancel", NULL, ""), ==, "");
        sim_wait_property(s->m, job, GPUPT_JOB_INTERFACE, "State", "rolling-back");
        g_assert_cmpstr(job_property(s, job, "Description"), ==, HELD);
        g_assert_cmpstr(job_property(s, job, "Cancellable"), ==, "false");
        g_assert_cmpstr(sim_dump(s->m), ==, before);
        sim_fault_release(s->m, sleep);
        assert_end(s, job_wait(s, job), "cancelled", "Cancelled");
        assert_as_at_first(s);
}

int main(int argc, char *argv[]) {
        sim_init(&argc, &argv);
        g_test_add_func("/caller/details", test_details);
        g_test_add_func("/caller/details-force", test_details_force);
        g_test_add_func("/caller/refused", test_refused);
        g_test_add_func("/caller/no-polkit", test_no_polkit);
        g_test_add_func("/caller/interactive", test_interactive);
        g_test_add_func("/caller/dialog", test_dialog);
        g_test_add_func("/caller/dialog-left", test_dialog_left);
        g_test_add_func("/caller/dialog-force", test_dialog_force);
        g_test_add_func("/caller/query-limit", test_query_limit);
        g_test_add_func("/caller/job-limit", test_job_limit);
        g_test_add_func("/caller/cancel-rights", test_cancel_rights);
        g_test_add_func("/caller/cancel-write", test_cancel_write);
        g_test_add_func("/caller/order", test_order);
        g_test_add_func("/caller/ids", test_ids);
        g_test_add_func("/caller/list-jobs", test_list_jobs);
        g_test_add_func("/caller/sleep", test_sleep);
        g_test_add_func("/caller/sleep-restart", test_sleep_restart);
        g_test_add_func("/caller/inhibitor", test_inhibitor);
        g_test_add_func("/caller/sleep-in-wait", test_sleep_in_wait);
        g_test_add_func("/caller/sleep-held", test_sleep_held);
        g_test_add_func("/caller/sleep-held-cancel", test_sleep_held_cancel);
        return g_test_run();
}
