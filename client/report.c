/* SPDX-License-Identifier: GPL-2.0-or-later */

/* report: how trouble is told. Owns the wording of what goes to stderr and the hints, which depend on the
 * error's name alone; the sentence about what happened is the daemon's. */

#include "client/report.h"

#include <stdarg.h>

#include "client/wrap.h"

/* %s is the GPU as the user would name it. */
static const struct {
        const char *name;
        const char *hint;
} hint_table[] = {
        { GPUPT_ERROR_NO_SUCH_GPU, "'gpuptctl list' shows the GPUs of this host." },
        { GPUPT_ERROR_NO_SUCH_JOB, "'gpuptctl jobs' shows the jobs that run." },
        { GPUPT_ERROR_BUSY, "'gpuptctl jobs' shows what is being done, 'gpuptctl cancel JOB' asks it to stop." },
        { GPUPT_ERROR_IN_USE,
          "See 'gpuptctl holders %s'. End what is listed there, give it more time with --wait=SEC, or "
          "let gpuptd end it with --force." },
        { GPUPT_ERROR_GROUP_NOT_VIABLE, "'gpuptctl groups' shows who shares the IOMMU group." },
        { GPUPT_ERROR_NOT_SUPPORTED, "'gpuptctl status %s' shows the state of the GPU and what it offers." },
        { GPUPT_ERROR_DRIVER_MISSING,
          "Look with 'modinfo DRIVER' whether this kernel has the driver, and whether "
          "a file in /etc/modprobe.d forbids it." },
        { GPUPT_ERROR_UNREACHABLE,
          "'gpuptctl recover %s' tries whatever may get it back. What that cannot do, mostly the host's power off "
          "and on again can." },
        { GPUPT_ERROR_RESET_FAILED,
          "'gpuptctl status %s' shows what is wrong with it now, gpuptd.reset(7) what each reset does. What none of "
          "them cures, mostly the host's power off and on again does." },
        { GPUPT_ERROR_STUCK,
          "'gpuptctl status %s' shows what holds it. Once the kernel lets go, the GPU is usable again "
          "by itself." },
        { GPUPT_ERROR_TIMEOUT, "'gpuptctl log %s' shows how far it got." },
        { GPUPT_ERROR_SLEEP_IN_PROGRESS, "Try again when the host is awake." },
        { GPUPT_ERROR_LAST_DISPLAY,
          "Log out first, or allow it with --disrupt-session; on a headless host, by LastDisplay=allow in "
          "gpuptd.conf." },
        { GPUPT_ERROR_INCONSISTENT,
          "'gpuptctl status %s' shows how the hardware is now, 'gpuptctl log %s' what was "
          "expected." },
        { GPUPT_ERROR_FAILED, "'gpuptctl log %s' shows the details." },
        { SD_BUS_ERROR_ACCESS_DENIED, "Try it as an administrator, or let one allow it by a polkit rule." },
        { SD_BUS_ERROR_INTERACTIVE_AUTHORIZATION_REQUIRED,
          "Try it on a terminal without --no-ask-password, or as an "
          "administrator." },
        { SD_BUS_ERROR_NO_REPLY, "See 'systemctl status gpuptd.service'." },
        { SD_BUS_ERROR_TIMEOUT, "See 'systemctl status gpuptd.service'." },
};

static const char *hint_of(const char *name) {
        for (size_t i = 0; i < ELEMENTSOF(hint_table); i++)
                if (streq(hint_table[i].name, name))
                        return hint_table[i].hint;
        if (error_exit_status(name) == EXIT_NO_DAEMON)
                return "See 'systemctl status gpuptd.service'; 'systemctl start gpuptd.service' starts it.";
        return NULL;
}

static void print_text(const char *prefix, Color color, const char *text) {
        TextShape shape = {
                .columns = isatty(STDERR_FILENO) ? terminal_columns() : 0,
                .begun = strlen(prefix),
                .color = color,
        };

        /* What was printed before must stand before it, also when both streams end in one file. */
        (void) fflush(stdout);
        (void) fputs(prefix, stderr);
        text_print(stderr, &shape, text);
}

/* The hint with the GPU in it; owned by the caller, NULL if out of memory. */
static char *fill_hint(const char *hint, const char *gpu) {
        char *parts[5] = {};
        size_t n = 0;
        _cleanup_free_ char *copy = strdup(hint), *text = NULL;

        if (!copy)
                return NULL;

        for (char *p = copy; p && n < ELEMENTSOF(parts); n++) {
                parts[n] = p;
                p = strstr(p, "%s");
                if (p) {
                        *p = '\0';
                        p += STRLEN("%s");
                }
        }

        text = strdup(parts[0]);
        for (size_t i = 1; text && i < n; i++) {
                _cleanup_free_ char *longer = NULL;

                if (asprintf(&longer, "%s%s%s", text, gpu ?: "GPU", parts[i]) < 0)
                        return NULL;
                free(text);
                text = TAKE_PTR(longer);
        }
        return TAKE_PTR(text);
}

/* The bus's own errors say what the library saw, not what it means to somebody who wants a GPU. */
static char *message_of(const char *name, const char *message) {
        char *text = NULL;
        int r = 0;

        if (streq(name, SD_BUS_ERROR_NO_REPLY) || streq(name, SD_BUS_ERROR_TIMEOUT))
                r = asprintf(&text, "gpuptd did not answer.");
        else if (streq(name, SD_BUS_ERROR_DISCONNECTED))
                r = asprintf(&text, "The connection to the system bus broke.");
        else if (error_exit_status(name) == EXIT_NO_DAEMON && !streq(name, SD_BUS_ERROR_NO_SERVER))
                r = asprintf(&text, "gpuptd does not run and could not be started: %s", message);
        else if (streq(name, SD_BUS_ERROR_INTERACTIVE_AUTHORIZATION_REQUIRED) ||
                 streq(name, SD_BUS_ERROR_ACCESS_DENIED))
                r = asprintf(&text, "Not allowed: %s", message);
        else
                text = strdup(message);

        return r < 0 ? NULL : text;
}

static bool is_disconnect(int error) {
        return error == ENOTCONN || error == ECONNRESET || error == EPIPE;
}

/* The error that is told: the one that came, or another in `local`. */
static const sd_bus_error *complete(const sd_bus_error *error, int r, sd_bus_error *local) {
        /* sd_bus_call() makes the errno an error of its own, System.Error.ENOTCONN: an ssh that failed, for example. */
        if (is_disconnect(sd_bus_error_is_set(error) ? sd_bus_error_get_errno(error) : -r))
                (void) sd_bus_error_set(local, SD_BUS_ERROR_DISCONNECTED, NULL);
        else if (!sd_bus_error_is_set(error))
                (void) sd_bus_error_set_errno(local, r);
        else
                return error;
        return local;
}

ExitStatus report_error(const char *gpu, const sd_bus_error *error, int r) {
        _cleanup_(sd_bus_error_free) sd_bus_error local = SD_BUS_ERROR_NULL;
        _cleanup_free_ char *text = NULL, *hint = NULL;

        error = complete(error, r, &local);
        text = message_of(error->name, isempty(error->message) ? error->name : error->message);
        print_text("gpuptctl: ", COLOR_RED, strempty(text));
        if (hint_of(error->name))
                hint = fill_hint(hint_of(error->name), gpu);
        if (hint)
                print_text("Hint: ", COLOR_NONE, hint);
        return error_exit_status(error->name);
}

ExitStatus report_error_line(const char *what, const char *gpu, const sd_bus_error *error, int r) {
        _cleanup_(sd_bus_error_free) sd_bus_error local = SD_BUS_ERROR_NULL;
        _cleanup_free_ char *text = NULL, *hint = NULL, *line = NULL;

        error = complete(error, r, &local);
        text = message_of(error->name, isempty(error->message) ? error->name : error->message);
        if (hint_of(error->name))
                hint = fill_hint(hint_of(error->name), gpu);
        if (asprintf(&line, "%s: %s%s%s", what, strempty(text), hint ? " " : "", strempty(hint)) < 0)
                line = NULL;
        for (char *p = line; p && *p; p++)
                if (*p == '\n')
                        *p = ' ';
        print_text("gpuptctl: ", COLOR_RED, strempty(line));
        return error_exit_status(error->name);
}

static void report_va(Color color, const char *format, va_list ap) {
        _cleanup_free_ char *text = NULL;

        if (vasprintf(&text, format, ap) < 0) {
                text = NULL;
                return;
        }
        print_text("gpuptctl: ", color, text);
}

ExitStatus report_usage(const char *format, ...) {
        va_list ap;

        va_start(ap, format);
        report_va(COLOR_RED, format, ap);
        va_end(ap);
        (void) fputs("Hint: 'gpuptctl --help' lists verbs and options.\n", stderr);
        return EXIT_USAGE;
}

void report_note(const char *format, ...) {
        va_list ap;

        va_start(ap, format);
        report_va(COLOR_NONE, format, ap);
        va_end(ap);
}
