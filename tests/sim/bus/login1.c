/* SPDX-License-Identifier: GPL-2.0-or-later */

/* login1: the stand-in for systemd-logind: inhibitor locks, the sequence of a sleep, sessions and their seat. A sleep is
 * PrepareForSleep(true), the wait for the delay locks or the limit, the gate unit if the machine has one, a moment of
 * sleep, PrepareForSleep(false) (bus_manager_shutdown_or_sleep_now_or_later() in logind-dbus.c, match_job_removed()). */

#include <errno.h>
#include <fcntl.h>
#include <glib.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "bus/bus.h"
#include "bus/login1-sessions.h"
#include "bus/systemd1.h"
#include "host/control.h"
#include "host/loop.h"
#include "model/model.h"
#include "util/cleanup.h"

#define ROOT "/org/freedesktop/login1"
#define INTERFACE "org.freedesktop.login1.Manager"
#define GATE_UNIT "gpuptd-sleep.service"

typedef struct Lock {
        unsigned id;
        char *what, *who, *why, *mode, *path;
        uint32_t uid, pid;
        int fd;
        sd_event_source *source;
} Lock;

typedef enum Phase {
        PHASE_AWAKE,
        PHASE_DELAYED, /* PrepareForSleep(true) is out, delay locks are waited for */
        PHASE_GATE,    /* the unit that may veto runs */
        PHASE_ASLEEP,
} Phase;

static GPtrArray *locks;
static Phase phase;
static unsigned cycles; /* that ended, slept or not */
static bool last_slept;
static bool only_alarm_wakes;
static bool lid_closed, on_battery;
static uint64_t delay_max_usec = 5 * 1000 * 1000;
static sd_event_source *delay_timer;

static void sleep_begin_gate(void);

static bool covers(const Lock *l, const char *what, const char *mode) {
        g_auto(GStrv) words = g_strsplit(l->what, ":", -1);

        return streq(l->mode, mode) && g_strv_contains((const char *const *) words, what);
}

static unsigned count_locks(const char *what, const char *mode) {
        unsigned n = 0;

        for (unsigned i = 0; locks && i < locks->len; i++)
                n += covers(g_ptr_array_index(locks, i), what, mode);
        return n;
}

static void lock_close(Lock *l) {
        l->source = sd_event_source_disable_unref(l->source);
        l->fd = safe_close(l->fd);
}

static void lock_free(Lock *l) {
        lock_close(l);
        (void) unlink(l->path);
        (void) g_ptr_array_remove(locks, l);
        g_free(l->what);
        g_free(l->who);
        g_free(l->why);
        g_free(l->mode);
        g_free(l->path);
        g_free(l);
}

/* End of file: nobody holds the lock any more. */
static int on_lock_closed(_unused_ sd_event_source *source, _unused_ int fd, _unused_ uint32_t revents, void *userdata) {
        lock_free(userdata);
        if (phase == PHASE_DELAYED && count_locks("sleep", "delay") == 0)
                sleep_begin_gate();
        machine_changed();
        return 0;
}

static int lock_open(Lock *l) {
        l->fd = open(l->path, O_RDONLY | O_CLOEXEC | O_NONBLOCK);
        if (l->fd < 0)
                return -errno;
        return sd_event_add_io(bus_event(), &l->source, l->fd, 0, on_lock_closed, l); /* EPOLLHUP comes unasked */
}

static int sender_credentials(sd_bus_message *m, uint32_t *ret_uid, uint32_t *ret_pid) {
        uid_t uid = 0;
        pid_t pid = 0;

        /* Asked of nobody: what the message carries is enough for a record, and the bus must not be waited for. */
        if (sd_bus_message_get_creds(m)) {
                (void) sd_bus_creds_get_uid(sd_bus_message_get_creds(m), &uid);
                (void) sd_bus_creds_get_pid(sd_bus_message_get_creds(m), &pid);
        }
        *ret_uid = uid;
        *ret_pid = (uint32_t) pid;
        return 0;
}

static int method_inhibit(sd_bus_message *m, _unused_ void *userdata, sd_bus_error *error) {
        static unsigned last_id;
        const char *what, *who, *why, *mode;
        _cleanup_close_ int writer = -EBADF;
        Lock *l;
        int r;

        r = sd_bus_message_read(m, "ssss", &what, &who, &why, &mode);
        if (r < 0)
                return r;
        if (!streq(mode, "block") && !streq(mode, "delay") && !streq(mode, "block-weak"))
                return sd_bus_error_set_errnof(error, EINVAL, "Invalid mode '%s'", mode);
        if (phase != PHASE_AWAKE && strstr(what, "sleep"))
                return sd_bus_error_setf(error, "org.freedesktop.login1.OperationInProgress",
                                         "The operation inhibition has been requested for is already running");

        l = g_new(Lock, 1);
        *l = (Lock) {
                .id = ++last_id,
                .what = g_strdup(what),
                .who = g_strdup(who),
                .why = g_strdup(why),
                .mode = g_strdup(mode),
                .path = g_strdup_printf("/run/systemd/inhibit/%u.ref", last_id),
                .fd = -EBADF,
        };
        (void) sender_credentials(m, &l->uid, &l->pid);
        if (!locks)
                locks = g_ptr_array_new();
        g_ptr_array_add(locks, l);
        r = mkfifo(l->path, 0600) < 0 ? -errno : lock_open(l);
        if (r >= 0) {
                writer = open(l->path, O_WRONLY | O_CLOEXEC | O_NONBLOCK);
                r = writer < 0 ? -errno : 0;
        }
        if (r < 0) {
                lock_free(l);
                return r;
        }
        machine_changed();
        return sd_bus_reply_method_return(m, "h", writer);
}

static int method_list_inhibitors(sd_bus_message *m, _unused_ void *userdata, _unused_ sd_bus_error *error) {
        _cleanup_(sd_bus_message_unrefp) sd_bus_message *reply = NULL;
        int r;

        r = sd_bus_message_new_method_return(m, &reply);
        if (r >= 0)
                r = sd_bus_message_open_container(reply, 'a', "(ssssuu)");
        for (unsigned i = 0; r >= 0 && locks && i < locks->len; i++) {
                const Lock *l = g_ptr_array_index(locks, i);

                r = sd_bus_message_append(reply, "(ssssuu)", l->what, l->who, l->why, l->mode, l->uid, l->pid);
        }
        if (r >= 0)
                r = sd_bus_message_close_container(reply);
        return r < 0 ? r : sd_bus_message_send(reply);
}

/* The sequence of a sleep */

static void announce(bool begin) {
        if (login1_service.bus)
                (void) sd_bus_emit_signal(login1_service.bus, ROOT, INTERFACE, "PrepareForSleep", "b", begin);
}

static void sleep_end(bool slept) {
        phase = PHASE_AWAKE;
        last_slept = slept;
        cycles++;
        announce(false);
        (void) systemd1_run_job(GATE_UNIT, "stop", NULL);
        machine_changed();
}

static void woken(_unused_ void *data) {
        sleep_end(true);
}

/* The machine is off for as long as a fault on (login1, sleep) says, else not at all. */
static void asleep(_unused_ void *data) {
        (void) fault_run(fault_take("login1", "sleep"), NULL);
        while (!rtc_take_alarm() && only_alarm_wakes)
                machine_wait();
        sickness_slept();
        loop_post(woken, NULL);
}

static void on_gate_done(bool ok) {
        if (!ok) {
                sleep_end(false); /* "Dependency failed for sleep.target" */
                return;
        }
        phase = PHASE_ASLEEP;
        (void) machine_in_thread(asleep, NULL);
}

static void sleep_begin_gate(void) {
        delay_timer = sd_event_source_disable_unref(delay_timer);
        phase = PHASE_GATE;
        if (systemd1_run_job(GATE_UNIT, "start", on_gate_done) < 0)
                on_gate_done(true);
}

static int on_delay_over(_unused_ sd_event_source *source, _unused_ uint64_t usec, _unused_ void *userdata) {
        if (phase == PHASE_DELAYED)
                sleep_begin_gate(); /* "Delay lock is active but inhibitor timeout is reached": it goes on anyway */
        return 0;
}

static int sleep_begin(void) {
        if (phase != PHASE_AWAKE)
                return -EALREADY;
        if (count_locks("sleep", "block") > 0)
                return -EBUSY;
        phase = PHASE_DELAYED;
        announce(true);
        if (count_locks("sleep", "delay") == 0) {
                sleep_begin_gate();
                return 0;
        }
        return sd_event_add_time_relative(bus_event(), &delay_timer, CLOCK_MONOTONIC, delay_max_usec, 1, on_delay_over, NULL);
}

static int method_suspend(sd_bus_message *m, _unused_ void *userdata, sd_bus_error *error) {
        int r = sleep_begin();

        if (r == -EALREADY)
                return sd_bus_error_setf(error, "org.freedesktop.login1.OperationInProgress",
                                         "There's already a shutdown or sleep operation in progress");
        if (r == -EBUSY)
                return sd_bus_error_setf(error, "org.freedesktop.login1.BlockedByInhibitorLock",
                                         "The operation is blocked by an inhibitor lock");
        return r < 0 ? r : sd_bus_reply_method_return(m, NULL);
}

static int method_can_suspend(sd_bus_message *m, _unused_ void *userdata, _unused_ sd_bus_error *error) {
        return sd_bus_reply_method_return(m, "s", "yes");
}

static int property_preparing(_unused_ sd_bus *bus, _unused_ const char *path, _unused_ const char *interface,
                              _unused_ const char *property, sd_bus_message *reply, _unused_ void *userdata,
                              _unused_ sd_bus_error *error) {
        return sd_bus_message_append(reply, "b", phase != PHASE_AWAKE);
}

static int property_delay_max(_unused_ sd_bus *bus, _unused_ const char *path, _unused_ const char *interface,
                              _unused_ const char *property, sd_bus_message *reply, _unused_ void *userdata,
                              _unused_ sd_bus_error *error) {
        return sd_bus_message_append(reply, "t", delay_max_usec);
}

static int property_inhibited(_unused_ sd_bus *bus, _unused_ const char *path, _unused_ const char *interface,
                              const char *property, sd_bus_message *reply, _unused_ void *userdata,
                              _unused_ sd_bus_error *error) {
        const char *mode = streq(property, "BlockInhibited") ? "block" : "delay";

        return sd_bus_message_append(reply, "s", count_locks("sleep", mode) > 0 ? "sleep" : "");
}

static int property_false(_unused_ sd_bus *bus, _unused_ const char *path, _unused_ const char *interface,
                          _unused_ const char *property, sd_bus_message *reply, _unused_ void *userdata,
                          _unused_ sd_bus_error *error) {
        return sd_bus_message_append(reply, "b", false);
}

static int property_lid(_unused_ sd_bus *bus, _unused_ const char *path, _unused_ const char *interface,
                        _unused_ const char *property, sd_bus_message *reply, _unused_ void *userdata,
                        _unused_ sd_bus_error *error) {
        return sd_bus_message_append(reply, "b", lid_closed);
}

static int property_external_power(_unused_ sd_bus *bus, _unused_ const char *path, _unused_ const char *interface,
                                   _unused_ const char *property, sd_bus_message *reply, _unused_ void *userdata,
                                   _unused_ sd_bus_error *error) {
        return sd_bus_message_append(reply, "b", !on_battery);
}

static const sd_bus_vtable vtable[] = {
        SD_BUS_VTABLE_START(0),
        SD_BUS_METHOD("Inhibit", "ssss", "h", method_inhibit, SD_BUS_VTABLE_UNPRIVILEGED),
        SD_BUS_METHOD("ListInhibitors", NULL, "a(ssssuu)", method_list_inhibitors, SD_BUS_VTABLE_UNPRIVILEGED),
        SD_BUS_METHOD("Suspend", "b", NULL, method_suspend, SD_BUS_VTABLE_UNPRIVILEGED),
        SD_BUS_METHOD("CanSuspend", NULL, "s", method_can_suspend, SD_BUS_VTABLE_UNPRIVILEGED),
        SD_BUS_METHOD("ListSessions", NULL, "a(susso)", login1_list_sessions, SD_BUS_VTABLE_UNPRIVILEGED),
        SD_BUS_METHOD("TerminateSession", "s", NULL, login1_terminate_session, SD_BUS_VTABLE_UNPRIVILEGED),
        SD_BUS_METHOD("GetSession", "s", "o", login1_get_session, SD_BUS_VTABLE_UNPRIVILEGED),
        SD_BUS_METHOD("GetSessionByPID", "u", "o", login1_get_session_by_pid, SD_BUS_VTABLE_UNPRIVILEGED),
        SD_BUS_METHOD("GetSeat", "s", "o", login1_get_seat, SD_BUS_VTABLE_UNPRIVILEGED),
        SD_BUS_PROPERTY("PreparingForSleep", "b", property_preparing, 0, 0),
        SD_BUS_PROPERTY("PreparingForShutdown", "b", property_false, 0, 0),
        SD_BUS_PROPERTY("InhibitDelayMaxUSec", "t", property_delay_max, 0, SD_BUS_VTABLE_PROPERTY_CONST),
        SD_BUS_PROPERTY("BlockInhibited", "s", property_inhibited, 0, 0),
        SD_BUS_PROPERTY("DelayInhibited", "s", property_inhibited, 0, 0),
        SD_BUS_PROPERTY("LidClosed", "b", property_lid, 0, 0),
        SD_BUS_PROPERTY("OnExternalPower", "b", property_external_power, 0, 0),
        SD_BUS_SIGNAL("PrepareForSleep", "b", 0),
        SD_BUS_SIGNAL("PrepareForShutdown", "b", 0),
        SD_BUS_VTABLE_END,
};

/* After a restart the locks are read again from their FIFOs; who held one has seen POLLERR in the meantime. */
static int setup(sd_bus *bus) {
        int r;

        for (unsigned i = 0; locks && i < locks->len; i++) {
                Lock *l = g_ptr_array_index(locks, i);

                r = l->fd < 0 ? lock_open(l) : 0;
                if (r < 0)
                        return r;
        }
        r = sd_bus_add_object_vtable(bus, NULL, ROOT, INTERFACE, vtable, NULL);
        return r < 0 ? r : login1_sessions_setup(bus);
}

static void stopped(void) {
        for (unsigned i = 0; locks && i < locks->len; i++)
                lock_close(g_ptr_array_index(locks, i));
}

Service login1_service = { .name = "org.freedesktop.login1", .setup = setup, .stopped = stopped };

static void suspend_in_main(_unused_ void *data) {
        (void) sleep_begin();
}

/* `suspend`: a whole cycle; answers "slept" or "stayed awake". */
static int command_suspend(_unused_ char **arguments, GString *text) {
        unsigned before = cycles;

        if (phase != PHASE_AWAKE)
                return -EALREADY;
        if (count_locks("sleep", "block") > 0)
                return -EBUSY;
        loop_post(suspend_in_main, NULL);
        while (cycles == before)
                machine_wait();
        g_string_append(text, last_slept ? "slept" : "stayed awake");
        return 0;
}

/* One of two words. */
static int read_choice(const char *value, const char *yes, const char *no, bool *ret) {
        if (!streq(value, yes) && !streq(value, no))
                return -EINVAL;
        *ret = streq(value, yes);
        return 0;
}

/* `login1 gone|back|delay=MS|wake=alarm|wake=any|lid=open|lid=closed|power=mains|power=battery` */
static int command_login1(char **arguments, _unused_ GString *text) {
        const char *value;

        if (streq(arguments[0], "gone"))
                service_stop(&login1_service);
        else if (streq(arguments[0], "back"))
                return service_start(&login1_service);
        else if ((value = startswith(arguments[0], "delay=")))
                delay_max_usec = strtoull(value, NULL, 10) * 1000;
        else if ((value = startswith(arguments[0], "wake=")))
                only_alarm_wakes = streq(value, "alarm");
        else if ((value = startswith(arguments[0], "lid=")))
                return read_choice(value, "closed", "open", &lid_closed);
        else if ((value = startswith(arguments[0], "power=")))
                return read_choice(value, "battery", "mains", &on_battery);
        else
                return -EINVAL;
        return 0;
}

/* `inhibitors`: one line a lock. */
static int command_inhibitors(_unused_ char **arguments, GString *text) {
        for (unsigned i = 0; locks && i < locks->len; i++) {
                const Lock *l = g_ptr_array_index(locks, i);

                g_string_append_printf(text, "%s %s who='%s' why='%s'\n", l->what, l->mode, l->who, l->why);
        }
        return 0;
}

/* `wait-inhibitors WHAT MODE N` */
static int command_wait_inhibitors(char **arguments, _unused_ GString *text) {
        unsigned n = (unsigned) strtoul(arguments[2], NULL, 10);

        while (count_locks(arguments[0], arguments[1]) != n)
                machine_wait();
        return 0;
}

const ControlCommand login1_commands[] = {
        { "login1", 1, command_login1 },
        { "suspend", 0, command_suspend, .waits = true },
        { "inhibitors", 0, command_inhibitors },
        { "wait-inhibitors", 3, command_wait_inhibitors, .waits = true },
        { "session", 1, login1_command_session },
        { "session-ended", 1, login1_command_session_ended },
        {},
};
