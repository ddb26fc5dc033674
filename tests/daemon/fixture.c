/* SPDX-License-Identifier: GPL-2.0-or-later */

/* fixture: see fixture.h. */

#include "fixture.h"

#include <errno.h>
#include <fcntl.h>
#include <glob.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <sys/mount.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include "util/cleanup.h"

#define HWDB_DIR "/run/gpuptd-test-hwdb"
/* A daemon that answers late on a loaded host is still alive. */
#define ALIVE_USEC (10 * G_USEC_PER_SEC)

static const char *keep(Scene *s, char *text) {
        g_ptr_array_add(s->strings, text);
        return text;
}

const char *short_name(const char *error) {
        const char *dot = strrchr(error, '.');

        return dot ? dot + 1 : error;
}

/* ---- life ---- */

static void job_end_free(gpointer data) {
        JobEnd *e = data;

        g_free(e->path);
        g_free(e->gpu);
        g_free(e->result);
        g_free(e->error);
        g_free(e->message);
        g_free(e);
}

Scene *scene_new_without_daemon(const char *topology) {
        Scene *s = g_new0(Scene, 1);

        s->m = sim_machine_new(topology);
        s->first = g_strdup(sim_dump(s->m));
        s->ends = g_ptr_array_new_with_free_func(job_end_free);
        s->strings = g_ptr_array_new_with_free_func(g_free);
        return s;
}

Scene *scene_new_with(const char *topology, const char *lines) {
        g_autofree char *text = g_strdup_printf("include " SOURCE_ROOT "/tests/sim/topologies/%s.topology\n%s\n", topology, lines),
                        *path = NULL;
        Scene *s;
        int fd;

        fd = g_file_open_tmp("gpuptd-XXXXXX.topology", &path, NULL);
        g_assert_cmpint(fd, >=, 0);
        (void) close(fd);
        g_assert_true(g_file_set_contents(path, text, -1, NULL));
        s = scene_new_without_daemon(path);
        (void) unlink(path);
        return s;
}

/* g_error() ends a program by a trap; the daemon's log is shown on an abort. */
static void on_trap(_unused_ int signo) {
        abort();
}

void scene_start(Scene *s) {
        const char *level = getenv("GPUPT_TEST_LOG_LEVEL");

        sim_daemon_start(s->m, s->environment);
        (void) signal(SIGTRAP, on_trap);
        if (level)
                g_assert_cmpint(sd_bus_set_property(sim_bus(s->m), GPUPT_BUS_NAME, "/org/freedesktop/LogControl1",
                                                    "org.freedesktop.LogControl1", "LogLevel", NULL, "s", level),
                                >=, 0);
        if (s->jobs)
                return;
        s->caller = sim_bus(s->m);
        s->jobs = sim_recorder_new(s->m);
}

Scene *scene_new(const char *topology, ...) {
        Scene *s = scene_new_without_daemon(topology);
        const char *path;
        va_list ap;

        va_start(ap, topology);
        while ((path = va_arg(ap, const char *)))
                put_file(path, va_arg(ap, const char *));
        va_end(ap);
        scene_start(s);
        return s;
}

bool scene_be_user(Scene *s) {
        if (!sim_have_users()) {
                g_test_skip("another user than one's own does not exist in these namespaces");
                return false;
        }
        s->caller = s->user = sim_bus_new(s->m, 1000);
        return true;
}

/* Whatever it is in the middle of, it ends when it is told to; what a sanitizer has to say is in its log. */
static void stop_daemon(Scene *s) {
        int status;

        if (sim_daemon_pid(s->m) == 0)
                return;
        status = sim_daemon_stop(s->m);
        if (status != 0 || strstr(sim_daemon_log(s->m), "Sanitizer") || strstr(sim_daemon_log(s->m), "runtime error:"))
                g_error("the daemon ended with %x", (unsigned) status);
}

void scene_free(Scene *s) {
        if (!s)
                return;
        stop_daemon(s);
        sim_recorder_free(s->jobs);
        (void) sd_bus_close_unref(s->user);
        sim_machine_free(s->m);
        g_ptr_array_unref(s->ends);
        g_ptr_array_unref(s->strings);
        g_free(s->first);
        g_free(s);
}

void put_file(const char *path, const char *text) {
        g_autofree char *parent = g_path_get_dirname(path);

        if (!text) {
                (void) unlink(path);
                return;
        }
        g_assert_cmpint(g_mkdir_with_parents(parent, 0755), ==, 0);
        g_assert_true(g_file_set_contents(path, text, -1, NULL));
}

/* libsystemd opens the hwdb at fixed paths only, so a built one takes the place of the host's directory. */
const char *install_quirks(void) {
        char *argv[] = { (char *) "systemd-hwdb", (char *) "--root=" HWDB_DIR, (char *) "update", NULL };
        g_autofree char *text = NULL;
        int status;

        if (!g_file_get_contents(SOURCE_ROOT "/units/60-gpuptd.hwdb", &text, NULL, NULL))
                return "the shipped hwdb cannot be read";
        put_file(HWDB_DIR "/etc/udev/hwdb.d/60-gpuptd.hwdb", text);
        if (g_mkdir_with_parents(HWDB_DIR "/etc/udev/rules.d", 0755) < 0)
                return "there is no room for rules of udev";
        if (!g_spawn_sync(NULL, argv, NULL, G_SPAWN_SEARCH_PATH, NULL, NULL, NULL, NULL, &status, NULL) || status != 0)
                return "systemd-hwdb does not build a hwdb";
        return mount(HWDB_DIR "/etc/udev", "/etc/udev", NULL, MS_BIND, NULL) < 0 ? "/etc/udev cannot be mounted over"
                                                                                 : NULL;
}

void wait_log(Scene *s, const char *text) {
        gint64 deadline = g_get_monotonic_time() + sim_deadline_sec() * G_USEC_PER_SEC;

        while (!strstr(sim_daemon_log(s->m), text)) {
                if (g_get_monotonic_time() >= deadline)
                        g_error("The daemon has not said '%s'.\n%s", text, sim_daemon_log(s->m));
                (void) sim_get_property(s->m, GPUPT_OBJECT_PATH, GPUPT_MANAGER_INTERFACE, "Sleeping");
                /* Others on this machine have something to do. */
                g_usleep(10000);
        }
}

/* ---- calls ---- */

const char *gpu_path(Scene *s, const char *address) {
        char *path = NULL;

        g_assert_cmpint(sd_bus_path_encode(GPUPT_GPU_PREFIX, address, &path), >=, 0);
        return keep(s, path);
}

static int append_functions(sd_bus_message *m, const char *value) {
        g_auto(GStrv) functions = g_strsplit(value, ",", -1);
        int r;

        r = sd_bus_message_open_container(m, 'v', "as");
        if (r >= 0)
                r = sd_bus_message_append_strv(m, functions);
        return r < 0 ? r : sd_bus_message_close_container(m);
}

static int append_option(sd_bus_message *m, const char *word) {
        g_auto(GStrv) pair = g_strsplit(word, "=", 2);
        const char *value = strempty(pair[1]);
        int r;

        r = sd_bus_message_open_container(m, 'e', "sv");
        if (r >= 0)
                r = sd_bus_message_append(m, "s", pair[0]);
        if (r < 0)
                return r;
        if (!pair[1])
                r = sd_bus_message_append(m, "v", "b", true);
        else if (streq(pair[0], "wait"))
                r = sd_bus_message_append(m, "v", "u", (uint32_t) strtoul(value, NULL, 10));
        else if (streq(pair[0], "functions"))
                r = append_functions(m, value);
        else
                r = sd_bus_message_append(m, "v", "s", value);
        return r < 0 ? r : sd_bus_message_close_container(m);
}

int append_options(sd_bus_message *m, const char *options) {
        g_auto(GStrv) words = g_strsplit(options, " ", -1);
        int r;

        r = sd_bus_message_open_container(m, 'a', "{sv}");
        for (char **w = words; *w && r >= 0; w++)
                if (**w)
                        r = append_option(m, *w);
        return r < 0 ? r : sd_bus_message_close_container(m);
}

static sd_bus_message *new_call(Scene *s, sd_bus *bus, const char *method, const char *gpu, const char *options) {
        sd_bus_message *m = NULL;

        g_assert_cmpint(
                sd_bus_message_new_method_call(bus, &m, GPUPT_BUS_NAME, gpu_path(s, gpu), GPUPT_GPU_INTERFACE, method),
                >=, 0);
        g_assert_cmpint(append_options(m, options), >=, 0);
        return m;
}

static const JobEnd *refused(Scene *s, const char *gpu, const sd_bus_error *e) {
        JobEnd *end = g_new(JobEnd, 1);

        *end = (JobEnd) {
                .gpu = g_strdup(gpu),
                .result = g_strdup("refused"),
                .error = g_strdup(e->name),
                .message = g_strdup(e->message),
        };
        g_ptr_array_add(s->ends, end);
        return end;
}

static const JobEnd *find_end(const Scene *s, const char *path) {
        for (unsigned i = 0; i < s->ends->len; i++) {
                const JobEnd *end = g_ptr_array_index(s->ends, i);

                if (streq_ptr(end->path, path))
                        return end;
        }
        return NULL;
}

static const JobEnd *next_end(Scene *s) {
        sd_bus_message *m = sim_recorder_wait(s->jobs, "JobRemoved");
        const char *path, *gpu, *result, *error, *message;
        JobEnd *end = g_new(JobEnd, 1);
        uint32_t id;

        g_assert_cmpint(sd_bus_message_read(m, "uossss", &id, &path, &gpu, &result, &error, &message), >=, 0);
        *end = (JobEnd) { id,                g_strdup(path),  g_strdup(gpu),
                          g_strdup(result), g_strdup(error), g_strdup(message) };
        g_ptr_array_add(s->ends, end);
        return end;
}

const JobEnd *job_wait(Scene *s, const char *path) {
        const JobEnd *end = find_end(s, path);

        while (!end || !streq_ptr(end->path, path))
                end = next_end(s);
        return end;
}

const JobEnd *run_job(Scene *s, const char *method, const char *gpu, const char *options) {
        _cleanup_(sd_bus_message_unrefp) sd_bus_message *m = new_call(s, s->caller, method, gpu, options),
                                                        *reply = NULL;
        _cleanup_(sd_bus_error_free) sd_bus_error error = SD_BUS_ERROR_NULL;
        const char *path;

        if (sd_bus_call(s->caller, m, 0, &error, &reply) < 0)
                return refused(s, gpu, &error);
        g_assert_cmpint(sd_bus_message_read(reply, "o", &path), >=, 0);
        return job_wait(s, path);
}

const JobEnd *detach(Scene *s, const char *gpu, const char *options) {
        return run_job(s, "Detach", gpu, options);
}

const JobEnd *attach(Scene *s, const char *gpu, const char *options) {
        return run_job(s, "Attach", gpu, options);
}

const char *job_start(Scene *s, const char *method, const char *gpu, const char *options) {
        _cleanup_(sd_bus_message_unrefp) sd_bus_message *m = new_call(s, s->caller, method, gpu, options),
                                                        *reply = NULL;
        _cleanup_(sd_bus_error_free) sd_bus_error error = SD_BUS_ERROR_NULL;
        const char *path;

        if (sd_bus_call(s->caller, m, 0, &error, &reply) < 0)
                g_error("%s of %s is refused: %s: %s", method, gpu, error.name, error.message);
        g_assert_cmpint(sd_bus_message_read(reply, "o", &path), >=, 0);
        return keep(s, g_strdup(path));
}

const char *job_next(Scene *s, SimRecorder *signals) {
        sd_bus_message *m = sim_recorder_wait(signals, "JobNew");
        const char *path;
        uint32_t id;

        g_assert_cmpint(sd_bus_message_read(m, "uo", &id, &path), >=, 0);
        return keep(s, g_strdup(path));
}

const char *rungs_walked(Scene *s) {
        static const char *const rungs[] = {
                "wake", "flr", "af_flr", "device_specific", "acpi", "pm", "bus", "subordinate", "remove-rescan", "driver",
                "bridge", "slot", "power-cycle", "suspend-cycle",
        };
        const char *log = sim_daemon_log(s->m);
        g_auto(GStrv) lines = g_strsplit(log + MIN(s->log_seen, strlen(log)), "\n", -1);
        GString *out = g_string_new(NULL);

        s->log_seen = strlen(log);
        /* "notice: 0000:01:00.0: flr: had no effect" */
        for (char **l = lines; *l; l++) {
                g_auto(GStrv) parts = g_strsplit(*l, ": ", 4);

                for (size_t i = 0; i < ELEMENTSOF(rungs) && g_strv_length(parts) == 4; i++)
                        if (streq(parts[2], rungs[i]))
                                g_string_append_printf(out, "%s%s", out->len > 0 ? " " : "", rungs[i]);
        }
        return keep(s, g_string_free(out, false));
}

const char *job_property(Scene *s, const char *path, const char *property) {
        return sim_get_property(s->m, path, GPUPT_JOB_INTERFACE, property);
}

char **plan(Scene *s, const char *operation, const char *gpu, const char *options, const char **ret_error) {
        _cleanup_(sd_bus_message_unrefp) sd_bus_message *m = NULL, *reply = NULL;
        _cleanup_(sd_bus_error_free) sd_bus_error error = SD_BUS_ERROR_NULL;
        g_autoptr(GPtrArray) steps = g_ptr_array_new();
        const char *verb, *target, *detail;

        g_assert_cmpint(sd_bus_message_new_method_call(s->caller, &m, GPUPT_BUS_NAME, gpu_path(s, gpu),
                                                       GPUPT_GPU_INTERFACE, "Plan"),
                        >=, 0);
        g_assert_cmpint(sd_bus_message_append(m, "s", operation), >=, 0);
        g_assert_cmpint(append_options(m, options), >=, 0);
        if (sd_bus_call(s->caller, m, 0, &error, &reply) < 0) {
                if (!ret_error)
                        g_error("the plan to %s %s is refused: %s: %s", operation, gpu, error.name, error.message);
                *ret_error = keep(s, g_strdup(error.name));
                return NULL;
        }
        g_assert_cmpint(sd_bus_message_enter_container(reply, 'a', "(sss)"), >=, 0);
        while (sd_bus_message_read(reply, "(sss)", &verb, &target, &detail) > 0)
                g_ptr_array_add(steps, g_strdup_printf("%s %s", verb, target));
        g_ptr_array_add(steps, NULL);
        return (char **) g_ptr_array_free(g_steal_pointer(&steps), false);
}

const char *call_error(Scene *s, const char *path, const char *interface, const char *member, const char **ret_message,
                       const char *types, ...) {
        _cleanup_(sd_bus_message_unrefp) sd_bus_message *m = NULL;
        _cleanup_(sd_bus_error_free) sd_bus_error error = SD_BUS_ERROR_NULL;
        va_list ap;

        g_assert_cmpint(sd_bus_message_new_method_call(s->caller, &m, GPUPT_BUS_NAME, path, interface, member), >=, 0);
        va_start(ap, types);
        g_assert_cmpint(sd_bus_message_appendv(m, types, ap), >=, 0);
        va_end(ap);
        (void) sd_bus_call(s->caller, m, ALIVE_USEC, &error, NULL);
        if (ret_message)
                *ret_message = keep(s, g_strdup(strempty(error.message)));
        return keep(s, g_strdup(strempty(error.name)));
}

void assert_alive(Scene *s) {
        const char *message, *error = manager_call(s, "ListGpus", &message, "");

        if (*error)
                g_error("the daemon does not list its GPUs: %s: %s", error, message);
}

/* ---- calls that are not waited for ---- */

struct Pending {
        sd_bus *bus; /* weak */
        sd_bus_slot *slot;
        bool answered;
        char *error, *message, *job;
};

static int on_answer(sd_bus_message *m, void *userdata, _unused_ sd_bus_error *error) {
        Pending *p = userdata;
        const sd_bus_error *e = sd_bus_message_get_error(m);
        const char *job;

        p->answered = true;
        p->error = g_strdup(e ? e->name : "");
        p->message = g_strdup(e ? e->message : "");
        if (!e && sd_bus_message_read(m, "o", &job) >= 0)
                p->job = g_strdup(job);
        return 0;
}

Pending *call_later(Scene *s, sd_bus *bus, const char *method, const char *gpu, const char *options,
                    bool interactive) {
        _cleanup_(sd_bus_message_unrefp) sd_bus_message *m = new_call(s, bus, method, gpu, options);
        Pending *p = g_new0(Pending, 1);

        p->bus = bus;
        g_assert_cmpint(sd_bus_message_set_allow_interactive_authorization(m, interactive), >=, 0);
        g_assert_cmpint(sd_bus_call_async(bus, &p->slot, m, on_answer, p, UINT64_MAX), >=, 0);
        g_assert_cmpint(sd_bus_flush(bus), >=, 0);
        return p;
}

bool pending_answered(Pending *p) {
        while (!p->answered && sd_bus_process(p->bus, NULL) > 0)
                ;
        return p->answered;
}

const char *pending_wait(Pending *p) {
        gint64 end = g_get_monotonic_time() + (gint64) sim_deadline_sec() * G_USEC_PER_SEC;

        while (!pending_answered(p)) {
                gint64 now = g_get_monotonic_time();

                if (now >= end)
                        g_error("a call is not answered");
                (void) sd_bus_wait(p->bus, (uint64_t) (end - now));
        }
        return p->error;
}

const char *pending_job(const Pending *p) {
        return p->job;
}

const char *pending_message(const Pending *p) {
        return p->message;
}

void pending_free(Pending *p) {
        if (!p)
                return;
        (void) sd_bus_slot_unref(p->slot);
        g_free(p->error);
        g_free(p->message);
        g_free(p->job);
        g_free(p);
}

int acquire(Scene *s, const char *gpu, const char *options, const char **ret_job, const char **ret_error) {
        _cleanup_(sd_bus_message_unrefp) sd_bus_message *m = new_call(s, s->caller, "Acquire", gpu, options),
                                                        *reply = NULL;
        _cleanup_(sd_bus_error_free) sd_bus_error error = SD_BUS_ERROR_NULL;
        const char *path;
        int fd;

        if (sd_bus_call(s->caller, m, 0, &error, &reply) < 0) {
                if (!ret_error)
                        g_error("the lease of %s is refused: %s: %s", gpu, error.name, error.message);
                *ret_error = keep(s, g_strdup(error.name));
                return -1;
        }
        g_assert_cmpint(sd_bus_message_read(reply, "ho", &fd, &path), >=, 0);
        if (ret_job)
                *ret_job = keep(s, g_strdup(path));
        return fcntl(fd, F_DUPFD_CLOEXEC, 3);
}

/* ---- properties ---- */

static void put_value(sd_bus_message *m, GString *out);

static void put_basic(sd_bus_message *m, char type, GString *out) {
        union {
                int32_t i;
                uint32_t u;
                uint16_t q;
                uint64_t t;
                const char *s;
        } v = {};

        g_assert_cmpint(sd_bus_message_read_basic(m, type, &v), >=, 0);
        if (type == 's' || type == 'o')
                g_string_append(out, v.s);
        else if (type == 'b')
                g_string_append(out, v.i ? "true" : "false");
        else if (type == 'q')
                g_string_append_printf(out, "%u", v.q);
        else if (type == 't')
                g_string_append_printf(out, "%" G_GUINT64_FORMAT, v.t);
        else if (type == 'i')
                g_string_append_printf(out, "%d", v.i);
        else
                g_string_append_printf(out, "%u", v.u);
}

static void put_container(sd_bus_message *m, char type, const char *contents, GString *out) {
        const char *brackets = type == 'a' ? (*contents == '{' ? "{}" : "[]") : type == 'r' ? "()" : "";
        bool first = true;

        g_assert_cmpint(sd_bus_message_enter_container(m, type, contents), >=, 0);
        if (*brackets)
                (void) g_string_append_c(out, brackets[0]);
        while (sd_bus_message_at_end(m, false) == 0) {
                if (!first)
                        (void) g_string_append_c(out, type == 'e' ? '=' : ' ');
                put_value(m, out);
                first = false;
        }
        if (*brackets)
                (void) g_string_append_c(out, brackets[1]);
        g_assert_cmpint(sd_bus_message_exit_container(m), >=, 0);
}

static void put_value(sd_bus_message *m, GString *out) {
        const char *contents;
        char type;

        g_assert_cmpint(sd_bus_message_peek_type(m, &type, &contents), >, 0);
        if (contents)
                put_container(m, type, contents, out);
        else
                put_basic(m, type, out);
}

const char *property_text(Scene *s, const char *path, const char *interface, const char *property) {
        _cleanup_(sd_bus_message_unrefp) sd_bus_message *reply = NULL;
        GString *out = g_string_new(NULL);

        if (sd_bus_call_method(sim_bus(s->m), GPUPT_BUS_NAME, path, "org.freedesktop.DBus.Properties", "Get", NULL,
                               &reply, "ss", interface, property) >= 0)
                put_value(reply, out);
        return keep(s, g_string_free(out, false));
}

const char *gpu_property(Scene *s, const char *gpu, const char *property) {
        return property_text(s, gpu_path(s, gpu), GPUPT_GPU_INTERFACE, property);
}

void wait_gpu_property(Scene *s, const char *gpu, const char *property, const char *value) {
        g_autoptr(SimRecorder) signals = sim_recorder_new(s->m);

        /* Read again only after a signal: a change that is not announced is a fault. */
        while (!streq(gpu_property(s, gpu, property), value)) {
                g_test_message("%s of %s is %s, waiting for %s", property, gpu, gpu_property(s, gpu, property), value);
                (void) sim_recorder_wait(signals, "PropertiesChanged");
        }
}

bool gpu_has_function(Scene *s, const char *gpu, const char *address, const char *driver) {
        g_autofree char *key = g_strdup_printf("address=%s ", address), *wanted = g_strdup_printf(" driver=%s ", driver);
        const char *at = strstr(gpu_property(s, gpu, "Functions"), key);

        at = at ? strstr(at, " driver=") : NULL;
        return at && g_str_has_prefix(at, wanted);
}

void wait_function(Scene *s, const char *gpu, const char *address, const char *driver) {
        g_autoptr(SimRecorder) signals = sim_recorder_new(s->m);

        while (!gpu_has_function(s, gpu, address, driver)) {
                g_test_message("%s of %s is not yet with '%s'", address, gpu, driver);
                (void) sim_recorder_wait(signals, "PropertiesChanged");
        }
}

const char *state_of(Scene *s, const char *gpu) {
        return gpu_property(s, gpu, "State");
}

void wait_state(Scene *s, const char *gpu, const char *state) {
        sim_wait_property(s->m, gpu_path(s, gpu), GPUPT_GPU_INTERFACE, "State", state);
        sim_wait_property(s->m, gpu_path(s, gpu), GPUPT_GPU_INTERFACE, "Job", "/");
}

const char *holders_of(Scene *s, const char *gpu) {
        _cleanup_(sd_bus_message_unrefp) sd_bus_message *reply = NULL;
        _cleanup_(sd_bus_error_free) sd_bus_error error = SD_BUS_ERROR_NULL;
        GString *out = g_string_new(NULL);

        if (sd_bus_call_method(s->caller, GPUPT_BUS_NAME, gpu_path(s, gpu), GPUPT_GPU_INTERFACE, "ListHolders", &error,
                               &reply, NULL) < 0)
                g_error("ListHolders of %s: %s", gpu, error.message);
        put_value(reply, out);
        return keep(s, g_string_free(out, false));
}

/* ---- processes ---- */

const char *node_of(Scene *s, const char *address, const char *name) {
        static const char *const places[][2] = {
                { "drm", "/dev/dri" }, { "sound/card*", "/dev/snd" }, { "i2c-*/i2c-dev", "/dev" },
        };

        for (size_t i = 0; i < ELEMENTSOF(places); i++) {
                g_autofree char *pattern =
                        g_strdup_printf("/sys/bus/pci/devices/%s/%s/%s*", address, places[i][0], name);
                const char *found = NULL;
                glob_t g = {};

                if (glob(pattern, 0, NULL, &g) == 0)
                        found = keep(s, g_strdup_printf("%s/%s", places[i][1], strrchr(g.gl_pathv[0], '/') + 1));
                globfree(&g);
                if (found)
                        return found;
        }
        g_error("%s has no node %s", address, name);
}

/* A script, so that name and command line may be what a test needs: the kernel names a process by the script. */
static char *write_script(const char *name) {
        char *script = g_build_filename("/run/gpuptd-sim", name, NULL);

        put_file(script, "#!/bin/sh\nexec 5<>\"$3\"\nread _ </run/gpuptd-sim/never\n");
        g_assert_cmpint(chmod(script, 0755), ==, 0);
        g_assert_true(mkfifo("/run/gpuptd-sim/never", 0600) == 0 || errno == EEXIST);
        return script;
}

static pid_t script_start(Scene *s, const char *name, const char *option, const char *value, const char *node) {
        g_autofree char *script = write_script(name);
        pid_t pid;

        pid = fork();
        g_assert_cmpint(pid, >=, 0);
        if (pid == 0) {
                (void) prctl(PR_SET_PDEATHSIG, SIGKILL);
                (void) execl(script, script, option, value, node, NULL);
                _exit(EXIT_FAILURE);
        }
        (void) sim_command(s->m, "wait-held %s yes", node);
        return pid;
}

pid_t process_start(Scene *s, const char *name, const char *node) {
        return script_start(s, name, "-", "-", node);
}

pid_t vm_start(Scene *s, const char *name, const char *node) {
        g_autofree char *guest = g_strdup_printf("guest=%s,debug-threads=on", name);

        return script_start(s, "qemu-system-x86_64", "-name", guest, node);
}

/* In a mount namespace with an empty file system where the node's directory is. */
static int open_privately(const char *node) {
        g_autofree char *directory = g_path_get_dirname(node);

        if (unshare(CLONE_NEWNS) < 0 || mount(NULL, "/", NULL, MS_REC | MS_PRIVATE, NULL) < 0 ||
            mount("tmpfs", directory, "tmpfs", 0, NULL) < 0)
                return -errno;
        return RET_NERRNO(open(node, O_RDWR | O_CREAT, 0600));
}

pid_t vm_start_privately(const char *name, const char *node) {
        g_autofree char *script = write_script("qemu-system-x86_64"), *guest = g_strdup_printf("guest=%s", name);
        int ends[2];
        char error;
        pid_t pid;

        g_assert_cmpint(pipe2(ends, O_CLOEXEC), ==, 0);
        pid = fork();
        g_assert_cmpint(pid, >=, 0);
        if (pid == 0) {
                (void) prctl(PR_SET_PDEATHSIG, SIGKILL);
                if (open_privately(node) >= 0)
                        (void) execl(script, script, "-name", guest, node, NULL);
                (void) !write(ends[1], "x", 1);
                _exit(EXIT_FAILURE);
        }
        (void) close(ends[1]);
        /* The end of the file is the exec. */
        g_assert_cmpint((int) read(ends[0], &error, 1), ==, 0);
        (void) close(ends[0]);
        return pid;
}

/* Sends itself the descriptor, and takes it when it is told to. */
static void receive_and_run(const char *script, const char *guest, const char *node, int told, int ready) {
        struct iovec data = { .iov_base = (char[1]) {}, .iov_len = 1 };
        union {
                struct cmsghdr header;
                char space[CMSG_SPACE(sizeof(int))];
        } control = {};
        struct msghdr message = { .msg_iov = &data, .msg_iovlen = 1, .msg_control = &control,
                                  .msg_controllen = sizeof(control) };
        int ends[2], fd = open(node, O_RDWR | O_CLOEXEC);
        char go;

        if (fd < 0 || socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, ends) < 0)
                return;
        control.header = (struct cmsghdr) { .cmsg_level = SOL_SOCKET, .cmsg_type = SCM_RIGHTS, .cmsg_len = CMSG_LEN(sizeof(int)) };
        *(int *) CMSG_DATA(&control.header) = fd;
        if (sendmsg(ends[0], &message, 0) != 1 || close(fd) < 0 || write(ready, "x", 1) != 1 || read(told, &go, 1) != 1 ||
            recvmsg(ends[1], &message, 0) != 1 || write(ready, "x", 1) != 1)
                return;
        /* Not to be closed by the exec. */
        (void) execl(script, script, "-name", guest, "/dev/null", NULL);
}

HandedVm vm_start_handed(const char *name, const char *node) {
        g_autofree char *script = write_script("qemu-system-x86_64"), *guest = g_strdup_printf("guest=%s", name);
        int told[2], ready[2];
        HandedVm vm;
        char byte;

        g_assert_cmpint(pipe2(told, O_CLOEXEC), ==, 0);
        g_assert_cmpint(pipe2(ready, O_CLOEXEC), ==, 0);
        vm = (HandedVm) { .pid = fork(), .go = told[1], .ready = ready[0] };
        g_assert_cmpint(vm.pid, >=, 0);
        if (vm.pid == 0) {
                (void) prctl(PR_SET_PDEATHSIG, SIGKILL);
                receive_and_run(script, guest, node, told[0], ready[1]);
                _exit(EXIT_FAILURE);
        }
        (void) close(told[0]);
        (void) close(ready[1]);
        g_assert_cmpint((int) read(vm.ready, &byte, 1), ==, 1);
        return vm;
}

void vm_hand_over(Scene *s, HandedVm *vm, const char *node) {
        char byte;

        g_assert_cmpint((int) write(vm->go, "x", 1), ==, 1);
        (void) close(vm->go);
        /* That he has it is no change that the machine would look at again. */
        g_assert_cmpint((int) read(vm->ready, &byte, 1), ==, 1);
        (void) close(vm->ready);
        (void) sim_command(s->m, "wait-held %s yes", node);
}

pid_t shell_write(const char *path, const char *text) {
        pid_t pid = fork();

        g_assert_cmpint(pid, >=, 0);
        if (pid == 0) {
                int fd = open(path, O_WRONLY | O_CLOEXEC);

                (void) prctl(PR_SET_PDEATHSIG, SIGKILL);
                _exit(fd < 0 || write(fd, text, strlen(text)) < 0 ? errno : 0);
        }
        return pid;
}

int shell_wait(Scene *s, pid_t pid) {
        _cleanup_close_ int fd = (int) syscall(SYS_pidfd_open, pid, 0);
        struct pollfd p = { .fd = fd, .events = POLLIN };
        int status = 0;

        if (poll(&p, 1, (int) sim_deadline_sec() * 1000) != 1)
                g_error("a write to /sys does not return:\n%s", sim_dump(s->m));
        g_assert_cmpint(waitpid(pid, &status, 0), ==, pid);
        return WIFEXITED(status) ? WEXITSTATUS(status) : -1;
}

/* ---- assertions ---- */

void assert_end_at(const char *where, Scene *s, const JobEnd *end, const char *result, const char *error) {
        if (streq(end->result, result) && streq(short_name(end->error), error))
                return;
        g_error("%s: expected '%s' '%s', but the job on %s ended '%s' '%s': %s\n%s", where, result, error, end->gpu,
                end->result, end->error, end->message, sim_dump(s->m));
}

void assert_has_at(const char *where, const char *text, const char *part) {
        if (!strstr(text, part))
                g_error("%s: '%s' is not in: %s", where, part, text);
}

void assert_as_at_first_at(const char *where, Scene *s) {
        const char *now = sim_dump(s->m);

        if (!streq(now, s->first))
                g_error("%s: it is not as at first. It was:\n%s\nand is:\n%s", where, s->first, now);
}

void assert_drivers(Scene *s, const char *driver, ...) {
        const char *address;
        va_list ap;

        va_start(ap, driver);
        while ((address = va_arg(ap, const char *)))
                if (!streq(strempty(sim_driver_of(s->m, address)), driver))
                        g_error("%s is not bound to '%s':\n%s", address, driver, sim_dump(s->m));
        va_end(ap);
}
