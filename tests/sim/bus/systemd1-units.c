/* SPDX-License-Identifier: GPL-2.0-or-later */

/* systemd1-units: see systemd1-units.h. */

#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdlib.h>
#include <sys/wait.h>
#include <systemd/sd-bus.h>
#include <unistd.h>

#include "bus/bus.h"
#include "bus/systemd1-units.h"
#include "model/model.h"
#include "util/cleanup.h"

#define UNIT_PATH "/org/freedesktop/systemd1/unit"

static GPtrArray *units;

Unit *unit_find(const char *id) {
        for (unsigned i = 0; units && i < units->len; i++) {
                Unit *u = g_ptr_array_index(units, i);

                if (streq(u->id, id))
                        return u;
        }
        return NULL;
}

Unit *unit_by_index(unsigned index) {
        return units && index < units->len ? g_ptr_array_index(units, index) : NULL;
}

Unit *unit_find_by_path(const char *path) {
        for (unsigned i = 0; units && i < units->len; i++) {
                Unit *u = g_ptr_array_index(units, i);

                if (streq(u->path, path))
                        return u;
        }
        return NULL;
}

Unit *unit_find_by_pid(uint32_t pid) {
        for (unsigned i = 0; units && i < units->len; i++) {
                Unit *u = g_ptr_array_index(units, i);

                if (pid != 0 && (u->declared_pid == pid || (uint32_t) u->pid == pid))
                        return u;
        }
        return NULL;
}

/* unit_name_unescape(): "-" is a slash, "\xNN" a byte. */
static char *unescape(const char *text, size_t n) {
        GString *out = g_string_new(NULL);

        for (size_t i = 0; i < n; i++)
                if (text[i] == '-')
                        (void) g_string_append_c(out, '/');
                else if (text[i] == '\\' && i + 3 < n && text[i + 1] == 'x') {
                        (void) g_string_append_c(out, (char) (g_ascii_xdigit_value(text[i + 2]) << 4 |
                                                              g_ascii_xdigit_value(text[i + 3])));
                        i += 3;
                } else
                        (void) g_string_append_c(out, text[i]);
        return g_string_free(out, false);
}

static void recognize_template(Unit *u) {
        static const struct {
                const char *prefix;
                UnitKind kind;
        } templates[] = {
                { "gpuptd-modprobe@", UNIT_MODPROBE },
                { "gpuptd-unload@", UNIT_UNLOAD },
        };

        for (size_t i = 0; i < ELEMENTSOF(templates); i++) {
                const char *rest = startswith(u->id, templates[i].prefix);

                if (!rest || !g_str_has_suffix(rest, ".service"))
                        continue;
                u->kind = templates[i].kind;
                u->instance = unescape(rest, strlen(rest) - STRLEN(".service"));
                u->loaded = u->oneshot = true;
        }
}

Unit *unit_load(const char *id) {
        Unit *u = unit_find(id);

        if (u)
                return u;
        if (!strchr(id, '.') || strlen(id) > 255)
                return NULL;
        u = g_new(Unit, 1);
        *u = (Unit) {
                .id = g_strdup(id),
                .description = g_strdup(id),
                .active = "inactive",
                .sub = "dead",
                .result = "success",
                .stdout_fd = -EBADF,
                .stderr_fd = -EBADF,
        };
        if (sd_bus_path_encode(UNIT_PATH, id, &u->path) < 0)
                g_error("no memory");
        recognize_template(u);
        if (!units)
                units = g_ptr_array_new();
        g_ptr_array_add(units, u);
        return u;
}

/* Kept in memory: a thread may still work on it. */
void unit_forget(Unit *u) {
        (void) g_ptr_array_remove(units, u);
}

int unit_work(Unit *u, const char *verb) {
        int r;

        r = fault_run(fault_take(u->id, verb), NULL);
        if (r < 0 || !streq(verb, "start"))
                return r;
        switch (u->kind) {
        case UNIT_MODPROBE:
                return module_load(u->instance);
        case UNIT_UNLOAD:
                return module_unload(u->instance);
        default:
                return 0;
        }
}

static int on_exit_of_child(_unused_ sd_event_source *source, const siginfo_t *si, void *userdata) {
        Unit *u = userdata;

        u->timer = sd_event_source_disable_unref(u->timer);
        u->child = sd_event_source_disable_unref(u->child);
        u->pid = 0;
        u->exit_code = si->si_code;
        u->exit_status = si->si_status;
        unit_exited(u);
        return 0;
}

/* RuntimeMaxSec=: systemd terminates, and kills who does not listen; here it kills. */
static int on_runtime_over(_unused_ sd_event_source *source, _unused_ uint64_t usec, void *userdata) {
        Unit *u = userdata;

        u->result = "timeout";
        (void) kill(u->pid, SIGKILL);
        return 0;
}

/* core/execute.c can_inherit_stderr_from_stdout(): what is the same word for both is the same file, and a descriptor for
 * standard output does not change its word. */
static bool inherits_standard_error(const Unit *u) {
        const char *error = u->standard_error ?: "inherit";

        return streq(error, "inherit") || streq(error, u->standard_output ?: "journal");
}

static void child_redirect(const Unit *u) {
        if (u->stdout_fd >= 0)
                (void) dup2(u->stdout_fd, STDOUT_FILENO);
        if (u->stderr_fd >= 0)
                (void) dup2(u->stderr_fd, STDERR_FILENO);
        else if (u->stdout_fd >= 0 && inherits_standard_error(u))
                (void) dup2(u->stdout_fd, STDERR_FILENO);
}

int unit_spawn(Unit *u, char **argv) {
        g_auto(GStrv) environment = g_get_environ();
        int out, err, r;

        if (!argv)
                return 0;
        for (char **e = u->environment; e && *e; e++) {
                g_auto(GStrv) pair = g_strsplit(*e, "=", 2);

                environment = g_environ_setenv(environment, pair[0], strempty(pair[1]), true);
        }
        /* The child inherits what is standard here: put its files there for a moment. */
        out = fcntl(STDOUT_FILENO, F_DUPFD_CLOEXEC, 3);
        err = fcntl(STDERR_FILENO, F_DUPFD_CLOEXEC, 3);
        child_redirect(u);
        r = spawn(argv, environment, &u->pid);
        (void) dup2(out, STDOUT_FILENO);
        (void) dup2(err, STDERR_FILENO);
        (void) close(out);
        (void) close(err);
        if (r < 0)
                return r;

        r = sd_event_add_child(bus_event(), &u->child, u->pid, WEXITED, on_exit_of_child, u);
        if (r >= 0 && u->runtime_max_usec > 0 && u->runtime_max_usec != UINT64_MAX)
                r = sd_event_add_time_relative(bus_event(), &u->timer, CLOCK_MONOTONIC, u->runtime_max_usec, 1,
                                               on_runtime_over, u);
        return r < 0 ? r : 1;
}

void unit_set_state(Unit *u, const char *active, const char *sub, const char *result) {
        u->active = active;
        u->sub = sub;
        u->result = result;
        unit_changed(u);
        machine_changed();
}

static int apply_word(Unit *u, const char *word) {
        const char *value;

        if (streq(word, "active"))
                unit_set_state(u, "active", "running", "success");
        else if (streq(word, "inactive"))
                unit_set_state(u, "inactive", "dead", "success");
        else if (streq(word, "failed"))
                unit_set_state(u, "failed", "failed", "exit-code");
        else if (streq(word, "oneshot"))
                u->oneshot = true;
        else if (streq(word, "remain"))
                u->remain_after_exit = true;
        else if ((value = startswith(word, "pid=")))
                u->declared_pid = (uint32_t) strtoul(value, NULL, 10);
        else if ((value = startswith(word, "start=")))
                return g_shell_parse_argv(value, NULL, &u->start_argv, NULL) ? 0 : -EINVAL;
        else if ((value = startswith(word, "stop=")))
                return g_shell_parse_argv(value, NULL, &u->stop_argv, NULL) ? 0 : -EINVAL;
        else
                return -EINVAL;
        return 0;
}

int unit_command(char **arguments, _unused_ GString *text) {
        Unit *u = unit_load(arguments[0]);
        int r;

        if (!u)
                return -EINVAL;
        u->loaded = true;
        for (char **w = arguments + 1; *w; w++) {
                r = apply_word(u, *w);
                if (r < 0)
                        return r;
        }
        return 0;
}
