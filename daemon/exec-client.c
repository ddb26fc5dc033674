/* SPDX-License-Identifier: GPL-2.0-or-later */

/* exec-client: the life of one transient unit. We hold a reference on it (AddRef=, RefUnit()) so that systemd keeps it
 * until its result is read, and sends us its changes although we are no subscriber (core/dbus-unit.c
 * bus_unit_send_change_signal()); after that CollectMode= lets it go. A daemon that dies lets go of it, too. Whether it
 * has ended is read from its properties after every change, so nothing depends on the order of signals. */

#include "exec-client.h"

#include <fcntl.h>
#include <signal.h>
#include <sys/mman.h>
#include <sys/stat.h>

#define SYSTEMD_NAME "org.freedesktop.systemd1"
#define SYSTEMD_PATH "/org/freedesktop/systemd1"
#define SYSTEMD_MANAGER "org.freedesktop.systemd1.Manager"
#define NO_SUCH_UNIT "org.freedesktop.systemd1.NoSuchUnit"
#define UNIT_EXISTS "org.freedesktop.systemd1.UnitExists"

/* A program that is told to end gets KILL after this. One that hangs in the kernel blocks its name for twice as long. */
#define STOP_USEC 5000000U
/* How often a unit may vanish between "exists already" and our reference on it. */
#define ROUNDS_MAX 3U
#define EXIT_EXEC 203 /* systemd.exec(5): the program could not be executed */
#define FIRST_LINE_MAX 200U

struct Exec {
        sd_bus *bus;
        char *unit, *path, *description;
        char **argv, **environment;
        uint64_t limit_usec;
        size_t output_max;
        bool errors_apart, status_answers;
        int output; /* -EBADF: to the journal */
        exec_handler_t handler;
        void *userdata;

        sd_bus_slot *changed, *call;
        sd_event_source *limit, *missing;
        bool asked; /* for a reference on the unit, which we may have got */
        bool referenced, joined;
        bool look_again; /* it changed while we were reading */
        unsigned rounds;
};

/* What systemd says of the unit. */
typedef struct UnitState {
        char *active, *result;
        uint32_t job;
        int32_t code, status; /* of the process, as waitid(2); code 0: it has none yet */
} UnitState;

static int start(Exec *e);
static int look(Exec *e);

/* ---- the end ---- */

static char *read_output(const Exec *e, size_t *ret_size) {
        char *data;
        ssize_t n;
        off_t end;

        *ret_size = 0;
        /* The program writes through the same file description as we have: its position is ours. */
        end = e->output >= 0 && !e->joined ? lseek(e->output, 0, SEEK_CUR) : 0;
        if (end <= 0)
                return strdup("");
        data = malloc((size_t) end + 1);
        if (!data)
                return NULL;
        n = pread(e->output, data, MIN((size_t) end, e->output_max), 0);
        *ret_size = n > 0 ? (size_t) n : 0;
        data[*ret_size] = 0;
        return data;
}

/* The first line that is not empty, printable, as ": LINE"; "" if there is none. */
static void first_line(const char *output, size_t size, char ret[static FIRST_LINE_MAX + 3]) {
        size_t n = 2;

        ret[0] = 0;
        while (size > 0 && (*output == '\n' || *output == ' ')) {
                output++;
                size--;
        }
        if (size == 0)
                return;
        memcpy(ret, ": ", 2);
        for (; size > 0 && *output != '\n' && n < FIRST_LINE_MAX + 2; output++, size--)
                ret[n++] = *output >= ' ' && *output <= '~' ? *output : '?';
        ret[n] = 0;
}

static _printf_(4, 5) void finish(Exec *e, int error, int status, const char *format, ...) {
        _cleanup_(exec_freep) Exec *owned = e;
        _cleanup_free_ char *output = NULL, *text = NULL;
        char said[256], line[FIRST_LINE_MAX + 3] = "";
        size_t size = 0;
        va_list ap;

        va_start(ap, format);
        (void) vsnprintf(said, sizeof(said), format, ap);
        va_end(ap);
        output = read_output(owned, &size);
        if (error < 0)
                first_line(strempty(output), size, line);
        if (asprintf(&text, "%s%s", said, line) < 0)
                text = NULL;

        ExecResult result = { error, status, text ?: said, strempty(output), output ? size : 0, owned->joined };
        owned->handler(&result, owned->userdata);
}

static const char *program_name(const Exec *e) {
        return strrchr(e->argv[0], '/') + 1;
}

static void finish_ended(Exec *e, const UnitState *s) {
        const char *name = program_name(e);

        if (streq_ptr(s->result, "timeout"))
                finish(e, -ETIMEDOUT, -1, "%s did not end in its time", name);
        else if (s->code == 0)
                finish(e, -ECANCELED, -1, "systemd did not start %s (%s)", name, strempty(s->result));
        else if (s->code == CLD_EXITED && s->status == EXIT_EXEC)
                finish(e, -ENOEXEC, -1, "%s could not be executed", name);
        else if (s->code == CLD_EXITED && s->status == 0 && streq_ptr(s->result, "success"))
                finish(e, 0, 0, "%s", "");
        else if (s->code == CLD_EXITED)
                finish(e, -ECHILD, s->status, "%s ended with status %i", name, s->status);
        else
                finish(e, -ECHILD, -1, "%s was ended by signal %i", name, s->status);
}

static int on_limit(sd_event_source *source, uint64_t usec, void *userdata) {
        Exec *e = ASSERT_PTR(userdata);

        finish(e, -ETIMEDOUT, -1, "%s did not end in its time", program_name(e));
        return 0;
}

static int on_missing(sd_event_source *source, void *userdata) {
        Exec *e = ASSERT_PTR(userdata);

        finish(e, -ENOENT, -1, "%s is not installed", e->argv[0]);
        return 0;
}

/* ---- looking ---- */

static int read_string(sd_bus_message *m, char **ret) {
        const char *s;
        int r = sd_bus_message_read(m, "v", "s", &s);

        return r < 0 ? r : free_and_strdup(ret, s);
}

static int read_property(sd_bus_message *m, UnitState *s) {
        const char *name, *path;
        int r;

        r = sd_bus_message_read(m, "s", &name);
        if (r < 0)
                return r;
        if (streq(name, "ActiveState"))
                return read_string(m, &s->active);
        if (streq(name, "Result"))
                return read_string(m, &s->result);
        if (streq(name, "Job"))
                return sd_bus_message_read(m, "v", "(uo)", &s->job, &path);
        if (streq(name, "ExecMainCode"))
                return sd_bus_message_read(m, "v", "i", &s->code);
        if (streq(name, "ExecMainStatus"))
                return sd_bus_message_read(m, "v", "i", &s->status);
        return sd_bus_message_skip(m, "v");
}

static int read_properties(sd_bus_message *m, UnitState *s) {
        int r;

        r = sd_bus_message_enter_container(m, 'a', "{sv}");
        while (r >= 0 && (r = sd_bus_message_enter_container(m, 'e', "sv")) > 0) {
                r = read_property(m, s);
                if (r >= 0)
                        r = sd_bus_message_exit_container(m);
        }
        return r < 0 ? r : s->active ? 0 : -EBADMSG;
}

static int on_properties(sd_bus_message *m, void *userdata, sd_bus_error *error) {
        Exec *e = ASSERT_PTR(userdata);
        UnitState s = {};
        int r = 0;

        e->call = sd_bus_slot_unref(e->call);
        if (sd_bus_message_is_method_error(m, SD_BUS_ERROR_UNKNOWN_OBJECT) ||
            sd_bus_message_is_method_error(m, NO_SUCH_UNIT)) {
                finish(e, -ESRCH, -1, "nobody knows how %s ended", program_name(e));
                return 0;
        }
        /* Any other error: systemd is being replaced by itself. Its next change, or the limit, will tell. */
        if (!sd_bus_message_is_method_error(m, NULL))
                r = read_properties(m, &s);
        if (r < 0)
                finish(e, r, -1, "systemd answered with something else than the state of a unit");
        else if (s.active && s.job == 0 && (streq(s.active, "inactive") || streq(s.active, "failed")))
                finish_ended(e, &s);
        else if (e->look_again) {
                r = look(e);
                if (r < 0)
                        finish(e, r, -1, "asking systemd for the state of a unit");
        }
        free(s.active);
        free(s.result);
        return 0;
}

static int look(Exec *e) {
        e->look_again = false;
        return sd_bus_call_method_async(e->bus, &e->call, SYSTEMD_NAME, e->path, "org.freedesktop.DBus.Properties",
                                        "GetAll", on_properties, e, "s", "");
}

static int on_changed(sd_bus_message *m, void *userdata, sd_bus_error *error) {
        Exec *e = ASSERT_PTR(userdata);
        int r;

        e->look_again = true;
        if (!e->referenced || e->call)
                return 0;
        r = look(e);
        if (r < 0)
                finish(e, r, -1, "asking systemd for the state of a unit");
        return 0;
}

/* ---- the beginning ---- */

static int on_referenced(sd_bus_message *m, void *userdata, sd_bus_error *error) {
        Exec *e = ASSERT_PTR(userdata);
        int r;

        e->call = sd_bus_slot_unref(e->call);
        e->asked = !sd_bus_message_is_method_error(m, NULL);
        if (sd_bus_message_is_method_error(m, NO_SUCH_UNIT) && ++e->rounds < ROUNDS_MAX)
                r = start(e);
        else if (!e->asked)
                r = -sd_bus_message_get_errno(m) ?: -EIO;
        else {
                e->referenced = e->joined = true;
                r = look(e);
        }
        if (r < 0)
                finish(e, r, -1, "systemd did not let us wait for the unit %s", e->unit);
        return 0;
}

static int on_started(sd_bus_message *m, void *userdata, sd_bus_error *error) {
        Exec *e = ASSERT_PTR(userdata);
        const sd_bus_error *said = sd_bus_message_get_error(m);
        int r;

        e->call = sd_bus_slot_unref(e->call);
        e->asked = !said;
        if (said && sd_bus_error_has_name(said, UNIT_EXISTS)) {
                e->asked = true;
                r = sd_bus_call_method_async(e->bus, &e->call, SYSTEMD_NAME, SYSTEMD_PATH, SYSTEMD_MANAGER, "RefUnit",
                                             on_referenced, e, "s", e->unit);
        } else if (said) {
                finish(e, -sd_bus_error_get_errno(said) ?: -EIO, -1, "systemd did not start %s: %s", program_name(e),
                       said->message ?: said->name);
                return 0;
        } else {
                e->referenced = true;
                r = look(e);
        }
        if (r < 0)
                finish(e, r, -1, "asking systemd for the state of a unit");
        return 0;
}

/* ExecStart= would put the service manager's environment in the place of every "$WORD" in the arguments. */
static int append_exec(sd_bus_message *m, const Exec *e) {
        int r;

        r = sd_bus_message_open_container(m, 'r', "sv");
        if (r >= 0)
                r = sd_bus_message_append(m, "s", "ExecStartEx");
        if (r >= 0)
                r = sd_bus_message_open_container(m, 'v', "a(sasas)");
        if (r >= 0)
                r = sd_bus_message_open_container(m, 'a', "(sasas)");
        if (r >= 0)
                r = sd_bus_message_open_container(m, 'r', "sasas");
        if (r >= 0)
                r = sd_bus_message_append(m, "s", e->argv[0]);
        if (r >= 0)
                r = sd_bus_message_append_strv(m, e->argv);
        if (r >= 0)
                r = sd_bus_message_append(m, "as", 1, "no-env-expand");
        for (unsigned i = 0; r >= 0 && i < 4; i++)
                r = sd_bus_message_close_container(m);
        return r;
}

/* Standard error is the same file as standard output where nothing is said, and also where the same word is said of both,
 * whatever descriptor standard output has (core/execute.c can_inherit_stderr_from_stdout()): so it gets another word. */
static int append_outputs(sd_bus_message *m, const Exec *e) {
        int r;

        r = sd_bus_message_append(m, "(sv)", "StandardOutputFileDescriptor", "h", e->output);
        if (r >= 0 && e->errors_apart)
                return sd_bus_message_append(m, "(sv)(sv)", "StandardOutput", "s", "null", "StandardError", "s", "journal");
        return r < 0 ? r : sd_bus_message_append(m, "(sv)", "StandardErrorFileDescriptor", "h", e->output);
}

/* Two lists, of exit statuses and of signals: core/dbus-execute.c bus_property_get_exit_status_set(). */
static int append_answers(sd_bus_message *m) {
        static const int32_t statuses[] = { 2, 3 };
        int r;

        r = sd_bus_message_open_container(m, 'r', "sv");
        if (r >= 0)
                r = sd_bus_message_append(m, "s", "SuccessExitStatus");
        if (r >= 0)
                r = sd_bus_message_open_container(m, 'v', "(aiai)");
        if (r >= 0)
                r = sd_bus_message_open_container(m, 'r', "aiai");
        if (r >= 0)
                r = sd_bus_message_append_array(m, 'i', statuses, sizeof(statuses));
        if (r >= 0)
                r = sd_bus_message_append(m, "ai", 0);
        for (unsigned i = 0; r >= 0 && i < 3; i++)
                r = sd_bus_message_close_container(m);
        return r;
}

static int append_environment(sd_bus_message *m, const Exec *e) {
        int r;

        r = sd_bus_message_open_container(m, 'r', "sv");
        if (r >= 0)
                r = sd_bus_message_append(m, "s", "Environment");
        if (r >= 0)
                r = sd_bus_message_open_container(m, 'v', "as");
        if (r >= 0)
                r = sd_bus_message_append_strv(m, e->environment);
        for (unsigned i = 0; r >= 0 && i < 2; i++)
                r = sd_bus_message_close_container(m);
        return r;
}

static int append_properties(sd_bus_message *m, const Exec *e) {
        int r;

        r = sd_bus_message_append(m, "(sv)(sv)(sv)(sv)(sv)(sv)",
                                  "Description", "s", e->description,
                                  "Type", "s", "exec",
                                  "AddRef", "b", true,
                                  "CollectMode", "s", "inactive-or-failed",
                                  "RuntimeMaxUSec", "t", e->limit_usec,
                                  "TimeoutStopUSec", "t", (uint64_t) STOP_USEC);
        if (r >= 0)
                r = append_environment(m, e);
        if (r >= 0 && e->output >= 0)
                r = append_outputs(m, e);
        if (r >= 0 && e->status_answers)
                r = append_answers(m);
        return r < 0 ? r : append_exec(m, e);
}

static int start(Exec *e) {
        _cleanup_(sd_bus_message_unrefp) sd_bus_message *m = NULL;
        int r;

        r = sd_bus_message_new_method_call(e->bus, &m, SYSTEMD_NAME, SYSTEMD_PATH, SYSTEMD_MANAGER, "StartTransientUnit");
        if (r >= 0)
                r = sd_bus_message_append(m, "ss", e->unit, "fail");
        if (r >= 0)
                r = sd_bus_message_open_container(m, 'a', "(sv)");
        if (r >= 0)
                r = append_properties(m, e);
        if (r >= 0)
                r = sd_bus_message_close_container(m);
        if (r >= 0)
                r = sd_bus_message_append(m, "a(sa(sv))", 0);
        if (r >= 0)
                r = sd_bus_call_async(e->bus, &e->call, m, on_started, e, 0);
        e->asked = r >= 0;
        return r;
}

/* A file in memory that has its size already and keeps it: whoever writes beyond gets an error. Not a pipe, which would
 * end the program when the daemon dies. */
static int open_output(size_t max) {
        _cleanup_close_ int fd = memfd_create("gpuptd-exec", MFD_CLOEXEC | MFD_ALLOW_SEALING);

        if (fd < 0 || ftruncate(fd, (off_t) max) < 0 ||
            fcntl(fd, F_ADD_SEALS, F_SEAL_GROW | F_SEAL_SHRINK | F_SEAL_SEAL) < 0)
                return -errno;
        return TAKE_FD(fd);
}

bool exec_is_installed(const char *path) {
        struct stat st;

        return stat(path, &st) >= 0 && S_ISREG(st.st_mode) && (st.st_mode & 0111) != 0;
}

static int copy_request(Exec *e, const ExecRequest *request) {
        for (char *const *a = request->argv; *a; a++)
                if (strv_extend(&e->argv, *a) < 0)
                        return -ENOMEM;
        if (strv_extend(&e->environment, "LC_ALL=C") < 0)
                return -ENOMEM;
        for (char *const *v = request->environment; v && *v; v++)
                if (strv_extend(&e->environment, *v) < 0)
                        return -ENOMEM;
        e->unit = strdup(request->unit);
        e->description = strdup(request->description);
        if (!e->unit || !e->description)
                return -ENOMEM;
        return sd_bus_path_encode(SYSTEMD_PATH "/unit", e->unit, &e->path);
}

int exec_run(sd_bus *bus, const ExecRequest *request, exec_handler_t handler, void *userdata, Exec **ret) {
        _cleanup_(exec_freep) Exec *e = NULL;
        sd_event *event = sd_bus_get_event(bus);
        int r;

        if (!event || strv_length(request->argv) == 0 || request->argv[0][0] != '/' || request->limit_usec == 0)
                return -EINVAL;
        e = malloc(sizeof(Exec));
        if (!e)
                return -ENOMEM;
        *e = (Exec) { .bus = sd_bus_ref(bus), .limit_usec = request->limit_usec, .output_max = request->output_max,
                      .errors_apart = request->errors_apart, .status_answers = request->status_answers, .output = -EBADF, .handler = handler, .userdata = userdata };
        r = copy_request(e, request);
        if (r < 0)
                return r;
        if (!exec_is_installed(e->argv[0])) {
                r = sd_event_add_defer(event, &e->missing, on_missing, e);
                if (r < 0)
                        return r;
                *ret = TAKE_PTR(e);
                return 0;
        }

        if (e->output_max > 0) {
                e->output = open_output(e->output_max);
                if (e->output < 0)
                        return e->output;
        }
        r = sd_bus_match_signal_async(bus, &e->changed, SYSTEMD_NAME, e->path, "org.freedesktop.DBus.Properties",
                                      "PropertiesChanged", on_changed, NULL, e);
        if (r >= 0)
                r = sd_event_add_time_relative(event, &e->limit, CLOCK_MONOTONIC, e->limit_usec, 0, on_limit, e);
        if (r >= 0)
                r = start(e);
        if (r < 0)
                return r;
        *ret = TAKE_PTR(e);
        return 0;
}

static void let_go(Exec *e) {
        _cleanup_(sd_bus_message_unrefp) sd_bus_message *m = NULL;

        if (!e->asked ||
            sd_bus_message_new_method_call(e->bus, &m, SYSTEMD_NAME, SYSTEMD_PATH, SYSTEMD_MANAGER, "UnrefUnit") < 0)
                return;
        (void) sd_bus_message_set_expect_reply(m, false);
        (void) sd_bus_message_append(m, "s", e->unit);
        (void) sd_bus_send(e->bus, m, NULL);
}

Exec *exec_free(Exec *e) {
        if (!e)
                return NULL;
        if (e->bus)
                let_go(e);
        sd_bus_slot_unref(e->changed);
        sd_bus_slot_unref(e->call);
        sd_event_source_disable_unref(e->limit);
        sd_event_source_disable_unref(e->missing);
        sd_bus_unref(e->bus);
        safe_close(e->output);
        free(e->unit);
        free(e->path);
        free(e->description);
        strv_free(e->argv);
        strv_free(e->environment);
        free(e);
        return NULL;
}
