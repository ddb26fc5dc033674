/* SPDX-License-Identifier: GPL-2.0-or-later */

/* main: arguments, signals, the event loop; nothing else. */

#include <getopt.h>
#include <signal.h>
#include <sys/stat.h>
#include <systemd/sd-daemon.h>

#include "bus.h"
#include "dbus/errors.h"
#include "dbus/names.h"
#include "introspect.h"
#include "log-control.h"
#include "request.h"
#include "util/log.h"
#include "worker/protocol.h"

static const char *arg_introspect = NULL;

static int help(void) {
        puts("gpuptd [OPTIONS…]\n\n"
             "Moves GPUs between the host's drivers and VFIO, for whoever asks on D-Bus.\n\n"
             "  -h --help                    Show this help\n"
             "     --version                 Show the version\n"
             "     --debug                   Log what is done in detail\n"
             "     --bus-introspect=OBJECT   Print the interface of manager, gpu or job as XML\n\n"
             "See the gpuptd(8) man page for details.");
        return 0;
}

static int parse_argv(int argc, char *argv[]) {
        enum { ARG_VERSION = 0x100, ARG_DEBUG, ARG_INTROSPECT };
        static const struct option options[] = {
                { "help", no_argument, NULL, 'h' },
                { "version", no_argument, NULL, ARG_VERSION },
                { "debug", no_argument, NULL, ARG_DEBUG },
                { "bus-introspect", required_argument, NULL, ARG_INTROSPECT },
                {},
        };
        int c;

        while ((c = getopt_long(argc, argv, "h", options, NULL)) >= 0)
                switch (c) {
                case 'h':
                        return help();
                case ARG_VERSION:
                        puts("gpuptd " PROJECT_VERSION);
                        return 0;
                case ARG_DEBUG:
                        log_set_max_level(LOG_DEBUG);
                        break;
                case ARG_INTROSPECT:
                        arg_introspect = optarg;
                        break;
                default:
                        return -EINVAL;
                }
        if (optind < argc) {
                log_error("This program takes no arguments.");
                return -EINVAL;
        }
        return 1;
}

static int on_reload(sd_event_source *source, const struct signalfd_siginfo *info, void *userdata) {
        Manager *m = ASSERT_PTR(userdata);
        int r;

        r = manager_reload(m);
        if (r < 0)
                log_error_errno(r, "Failed to read the configuration, keeping the old one: %m");
        return 0;
}

/* SIGCHLD is ignored, so that the kernel reaps workers: one that hangs may end long after anybody waited for it, and
 * that it ended is told by its socket. */
static int block_signals(void) {
        sigset_t mask;

        sigemptyset(&mask);
        sigaddset(&mask, SIGTERM);
        sigaddset(&mask, SIGINT);
        sigaddset(&mask, SIGHUP);
        if (sigprocmask(SIG_BLOCK, &mask, NULL) < 0)
                return -errno;
        if (signal(SIGCHLD, SIG_IGN) == SIG_ERR || signal(SIGPIPE, SIG_IGN) == SIG_ERR)
                return -errno;
        return 0;
}

static int serve(sd_event *event, sd_bus *bus) {
        const char *run_dir = secure_getenv(ENV_RUN_DIR) ?: GPUPT_RUN_DIR;
        _cleanup_(sd_bus_slot_unrefp) sd_bus_slot *log_control = NULL;
        _cleanup_(manager_freep) Manager *m = NULL;
        int r;

        if (mkdir(run_dir, 0755) < 0 && errno != EEXIST)
                return log_error_errno(-errno, "Failed to create %s: %m", run_dir);
        r = manager_new(event, bus, run_dir, secure_getenv(ENV_WORKER) ?: LIBEXECDIR "/gpuptd-worker", &m);
        if (r < 0)
                return log_error_errno(r, "Failed to set up the manager: %m");
        r = manager_bus_export(m);
        if (r >= 0)
                r = log_control_export(bus, &log_control);
        if (r < 0)
                return log_error_errno(r, "Failed to put the objects on the bus: %m");
        r = sd_event_add_signal(event, NULL, SIGTERM, NULL, NULL);
        if (r >= 0)
                r = sd_event_add_signal(event, NULL, SIGINT, NULL, NULL);
        if (r >= 0)
                r = sd_event_add_signal(event, NULL, SIGHUP, on_reload, m);
        if (r < 0)
                return log_error_errno(r, "Failed to listen to signals: %m");
        r = manager_start(m);
        if (r < 0)
                return r;
        r = sd_event_loop(event);
        (void) sd_notify(false, "STOPPING=1");
        check_free_all(m);
        sleep_bus_free_all(m);
        request_free_all(m);
        return r;
}

static int run(void) {
        _cleanup_(sd_bus_flush_close_unrefp) sd_bus *bus = NULL;
        _cleanup_(sd_event_unrefp) sd_event *event = NULL;
        int r;

        umask(0022);
        r = block_signals();
        if (r >= 0)
                r = errors_register();
        if (r >= 0)
                r = sd_event_default(&event);
        if (r >= 0)
                r = sd_event_set_watchdog(event, true);
        if (r < 0)
                return log_error_errno(r, "Failed to set up the event loop: %m");
        r = sd_bus_open_system(&bus);
        if (r >= 0)
                r = sd_bus_attach_event(bus, event, SD_EVENT_PRIORITY_NORMAL);
        if (r >= 0)
                r = sd_bus_set_exit_on_disconnect(bus, true);
        if (r < 0)
                return log_error_errno(r, "Failed to connect to the system bus: %m");
        return serve(event, bus);
}

int main(int argc, char *argv[]) {
        int r;

        log_open();
        r = parse_argv(argc, argv);
        if (r <= 0)
                return r < 0 ? EXIT_FAILURE : EXIT_SUCCESS;
        if (arg_introspect) {
                r = introspect_print(arg_introspect, stdout);
                if (r < 0)
                        log_error("There is no object '%s'; it is manager, gpu or job.", arg_introspect);
        } else
                r = run();
        return r < 0 ? EXIT_FAILURE : EXIT_SUCCESS;
}
