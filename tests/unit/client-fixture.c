/* SPDX-License-Identifier: GPL-2.0-or-later */

/* client-fixture: see the header. */

#include "tests/unit/client-fixture.h"

#include <fcntl.h>
#include <glib/gstdio.h>
#include <pty.h>
#include <signal.h>
#include <sys/wait.h>
#include <systemd/sd-bus.h>

const char *gpuptctl;
static GTestDBus *shared_bus;
static sd_bus *observer;

/* The bus notices the death in its own time, and a name without an owner is what the next daemon needs. */
void kill_daemon(Fixture *f) {
        int owned = true;

        mock_daemon_kill(f->daemon);
        f->daemon = 0;
        while (owned) {
                __attribute__((cleanup(sd_bus_message_unrefp))) sd_bus_message *reply = NULL;

                g_assert_cmpint(sd_bus_call_method(observer, "org.freedesktop.DBus", "/org/freedesktop/DBus",
                                                   "org.freedesktop.DBus", "NameHasOwner", NULL, &reply, "s",
                                                   "org.gpupt1"),
                                >=, 0);
                g_assert_cmpint(sd_bus_message_read(reply, "b", &owned), >=, 0);
        }
}

void fixture_set_up(Fixture *f, gconstpointer data) {
        const MockScript *script = data;
        MockScript copy;

        g_setenv("DBUS_SYSTEM_BUS_ADDRESS", g_test_dbus_get_bus_address(shared_bus), true);
        f->dir = g_dir_make_tmp("test-client-XXXXXX", NULL);
        if (script) {
                copy = *script;
                copy.lease_dir = f->dir;
                f->daemon = mock_daemon_start(&copy);
        }
}

void fixture_tear_down(Fixture *f, gconstpointer data) {
        if (f->daemon > 0)
                kill_daemon(f);
        g_free(f->out);
        g_free(f->err);
        (void) g_rmdir(f->dir);
        g_free(f->dir);
}

int client(Fixture *f, const char *line) {
        g_auto(GStrv) words = NULL, argv = NULL;
        g_autoptr(GStrvBuilder) builder = g_strv_builder_new();
        g_autoptr(GSubprocess) process = NULL;
        g_autoptr(GError) error = NULL;
        g_autofree char *shown = g_strescape(line, "'");

        g_strv_builder_add(builder, gpuptctl);
        if (*line) {
                g_assert_true(g_shell_parse_argv(line, NULL, &words, &error));
                g_strv_builder_addv(builder, (const char **) words);
        }
        argv = g_strv_builder_end(builder);

        g_clear_pointer(&f->out, g_free);
        g_clear_pointer(&f->err, g_free);
        process = g_subprocess_newv((const char *const *) argv,
                                    G_SUBPROCESS_FLAGS_STDOUT_PIPE | G_SUBPROCESS_FLAGS_STDERR_PIPE, &error);
        g_assert_no_error(error);
        g_assert_true(g_subprocess_communicate_utf8(process, NULL, NULL, &f->out, &f->err, &error));
        g_assert_no_error(error);
        g_assert_true(g_subprocess_get_if_exited(process));
        g_test_message("gpuptctl %s = %d\n%s%s", shown, g_subprocess_get_exit_status(process), f->out, f->err);
        return g_subprocess_get_exit_status(process);
}

json_object *parse(const char *text) {
        json_object *o = json_tokener_parse(text);

        if (!o)
                g_error("not JSON: %s", text);
        return o;
}

json_object *get(json_object *o, const char *key) {
        json_object *value;

        if (!json_object_object_get_ex(o, key, &value))
                g_error("no '%s' in %s", key, json_object_to_json_string(o));
        return value;
}

/* ---- a client that is still running ---- */

Running start(const char *line) {
        g_autofree char *command = g_strdup_printf("%s %s", gpuptctl, line);
        g_auto(GStrv) argv = NULL;
        g_autoptr(GError) error = NULL;
        Running running;

        g_assert_true(g_shell_parse_argv(command, NULL, &argv, &error));
        running.process = g_subprocess_newv((const char *const *) argv,
                                            G_SUBPROCESS_FLAGS_STDIN_PIPE | G_SUBPROCESS_FLAGS_STDOUT_PIPE |
                                                    G_SUBPROCESS_FLAGS_STDERR_MERGE, &error);
        g_assert_no_error(error);
        running.lines = g_data_input_stream_new(g_subprocess_get_stdout_pipe(running.process));
        return running;
}

char *wait_for(Running *running, const char *text) {
        for (;;) {
                char *line = g_data_input_stream_read_line_utf8(running->lines, NULL, NULL, NULL);

                if (!line)
                        g_error("the output ended before '%s'", text);
                g_test_message("%s", line);
                if (strstr(line, text))
                        return line;
                g_free(line);
        }
}

void expect(Running *running, const char *text) {
        g_free(wait_for(running, text));
}

int finish(Running *running) {
        g_autoptr(GError) error = NULL;
        char *line;
        int status;

        while ((line = g_data_input_stream_read_line_utf8(running->lines, NULL, NULL, NULL))) {
                g_test_message("%s", line);
                g_free(line);
        }
        g_assert_true(g_subprocess_wait(running->process, NULL, &error));
        g_assert_true(g_subprocess_get_if_exited(running->process));
        status = g_subprocess_get_exit_status(running->process);
        g_clear_object(&running->lines);
        g_clear_object(&running->process);
        return status;
}

/* ---- on a terminal ---- */

char *on_terminal(const char *const *argv, bool unprivileged, int *ret_status) {
        const struct winsize size = { .ws_row = 25, .ws_col = 100 };
        g_autoptr(GString) output = g_string_new(NULL);
        char buffer[1024];
        int binary, master, status;
        ssize_t n;
        pid_t pid;

        binary = open(gpuptctl, O_PATH | O_CLOEXEC);
        g_assert_cmpint(binary, >=, 0);
        pid = forkpty(&master, NULL, NULL, &size);
        g_assert_cmpint(pid, >=, 0);
        if (pid == 0) {
                (void) setenv("TERM", "xterm", 1);
                if (unprivileged && geteuid() == 0 && (setgid(65534) < 0 || setuid(65534) < 0))
                        _exit(EXIT_FAILURE);
                (void) fexecve(binary, (char *const *) argv, environ);
                _exit(EXIT_FAILURE);
        }
        (void) close(binary);

        /* the end of a terminal whose last user has gone is EIO */
        while ((n = read(master, buffer, sizeof(buffer))) > 0)
                g_string_append_len(output, buffer, n);
        (void) close(master);
        g_assert_cmpint(waitpid(pid, &status, 0), ==, pid);
        g_assert_true(WIFEXITED(status));
        *ret_status = WEXITSTATUS(status);
        g_test_message("%s", output->str);
        return g_string_free(g_steal_pointer(&output), false);
}

/* ---- the program ---- */

const MockScript script_not_cured = {
        .n_gpus = 1,
        .result = "failed",
        .error = GPUPT_ERROR_RESET_FAILED,
        .message = "0000:01:00.0 is still not well. The fan of it does not turn, and nobody knows why.\n"
                   "  wake: had no effect\n"
                   "  bus: not possible (0000:02:00.0 is below the bridge as well, and is not part of it)\n"
                   "There is no further way to reset it.",
        .job_is_last = true,
};

/* Everything that decides what a line looks like. */
static void set_environment(void) {
        static const char *const ours[] = { "SYSTEMD_COLORS", "NO_COLOR", "SYSTEMD_PAGER", "PAGER", "COLUMNS" };

        for (size_t i = 0; i < G_N_ELEMENTS(ours); i++)
                (void) unsetenv(ours[i]);
        (void) setenv("LC_ALL", "C.UTF-8", 1);
        (void) setenv("TERM", "xterm", 1);
}

int client_test_main(int argc, char **argv, void (*add_cases)(void)) {
        int r;

        gpuptctl = getenv("GPUPTCTL");
        if (!gpuptctl) {
                (void) fputs("GPUPTCTL is to be the path of the program under test.\n", stderr);
                return EXIT_FAILURE;
        }
        set_environment();
        g_test_init(&argc, &argv, NULL);

        shared_bus = g_test_dbus_new(G_TEST_DBUS_NONE);
        g_test_dbus_up(shared_bus);
        g_setenv("DBUS_SYSTEM_BUS_ADDRESS", g_test_dbus_get_bus_address(shared_bus), true);
        g_assert_cmpint(sd_bus_open_system(&observer), >=, 0);

        add_cases();
        r = g_test_run();

        sd_bus_close_unref(observer);
        g_test_dbus_down(shared_bus);
        g_object_unref(shared_bus);
        return r;
}
