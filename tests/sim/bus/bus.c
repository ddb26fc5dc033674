/* SPDX-License-Identifier: GPL-2.0-or-later */

/* bus: see bus.h. The socket is made here and handed over, as systemd does, so that nobody has to wait for the daemon to be
 * there: whoever connects early waits in the queue. Nothing here blocks: dbus-daemon reads /sys too, which this very
 * process serves. */

#include <errno.h>
#include <fcntl.h>
#include <glib.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <unistd.h>

#include "bus/bus.h"
#include "dbus/names.h"
#include "util/cleanup.h"

#define CONFIG_PATH "/run/gpuptd-sim/bus.conf"
#define LOG_PATH "/run/gpuptd-sim/dbus-daemon.log"
#define LISTEN_FD 3

static sd_event *loop;
static unsigned names_missing;
static void (*on_ready)(void);

static Service *const services[] = {
        &login1_service, &polkit_service, &systemd1_service, &machine1_service, &upower_service,
};

sd_event *bus_event(void) {
        return loop;
}

static void child_setup(void) {
        sigset_t none;

        (void) prctl(PR_SET_PDEATHSIG, SIGKILL);
        (void) sigemptyset(&none);
        (void) sigprocmask(SIG_SETMASK, &none, NULL);
        (void) signal(SIGPIPE, SIG_DFL);
}

int spawn(char *const *argv, char *const *environment, pid_t *ret) {
        pid_t pid;

        pid = fork();
        if (pid < 0)
                return -errno;
        if (pid == 0) {
                child_setup();
                (void) execvpe(argv[0], argv, environment ?: environ);
                _exit(203); /* EXIT_EXEC of systemd.exec(5) */
        }
        *ret = pid;
        return 0;
}

/* The rules that /usr/share/dbus-1/system.conf and the stand-ins' own policy files have on a real host. */
static int write_config(void) {
        g_autofree char *policy = g_build_filename(SIM_SOURCE_ROOT, "dbus", GPUPT_BUS_NAME ".conf", NULL);
        g_autoptr(GString) text = g_string_new(
                "<!DOCTYPE busconfig PUBLIC \"-//freedesktop//DTD D-Bus Bus Configuration 1.0//EN\"\n"
                " \"http://www.freedesktop.org/standards/dbus/1.0/busconfig.dtd\">\n"
                "<busconfig>\n"
                "<type>system</type>\n"
                "<listen>systemd:</listen>\n"
                "<auth>EXTERNAL</auth>\n"
                "<policy context=\"default\">\n"
                "<allow user=\"*\"/>\n"
                "<deny own=\"*\"/>\n"
                "<deny send_type=\"method_call\"/>\n"
                "<allow send_type=\"signal\"/>\n"
                "<allow send_requested_reply=\"true\" send_type=\"method_return\"/>\n"
                "<allow send_requested_reply=\"true\" send_type=\"error\"/>\n"
                "<allow receive_type=\"method_call\"/>\n"
                "<allow receive_type=\"method_return\"/>\n"
                "<allow receive_type=\"error\"/>\n"
                "<allow receive_type=\"signal\"/>\n"
                "<allow send_destination=\"org.freedesktop.DBus\"/>\n");

        for (size_t i = 0; i < ELEMENTSOF(services); i++)
                g_string_append_printf(text, "<allow send_destination=\"%s\"/>\n", services[i]->name);
        if (access(policy, R_OK) < 0)
                g_string_append(text, "<allow send_destination=\"" GPUPT_BUS_NAME "\"/>\n");
        g_string_append(text, "</policy>\n<policy user=\"root\">\n");
        for (size_t i = 0; i < ELEMENTSOF(services); i++)
                g_string_append_printf(text, "<allow own=\"%s\"/>\n", services[i]->name);
        if (access(policy, R_OK) < 0)
                g_string_append(text, "<allow own=\"" GPUPT_BUS_NAME "\"/>\n");
        g_string_append(text, "</policy>\n");
        if (access(policy, R_OK) == 0)
                g_string_append_printf(text, "<include>%s</include>\n", policy);
        g_string_append(text, "</busconfig>\n");
        return g_file_set_contents(CONFIG_PATH, text->str, (gssize) text->len, NULL) ? 0 : -EIO;
}

static int listen_on_socket(void) {
        struct sockaddr_un address = { .sun_family = AF_UNIX, .sun_path = SYSTEM_BUS_SOCKET };
        _cleanup_close_ int fd = -EBADF;

        fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
        if (fd < 0)
                return -errno;
        if (bind(fd, (struct sockaddr *) &address, sizeof(address)) < 0 || listen(fd, 128) < 0)
                return -errno;
        if (chmod(SYSTEM_BUS_SOCKET, 0666) < 0)
                return -errno;
        return TAKE_FD(fd);
}

static int start_dbus_daemon(void) {
        _cleanup_close_ int fd = listen_on_socket();
        pid_t pid;

        if (fd < 0)
                return fd;
        pid = fork();
        if (pid < 0)
                return -errno;
        if (pid == 0) {
                char self[16];
                int log;

                child_setup();
                log = open(LOG_PATH, O_WRONLY | O_CREAT | O_APPEND | O_CLOEXEC, 0644); /* it complains of its limits */
                if (log >= 0)
                        (void) dup2(log, STDERR_FILENO);
                (void) snprintf(self, sizeof(self), "%d", getpid());
                (void) setenv("LISTEN_PID", self, 1);
                (void) setenv("LISTEN_FDS", "1", 1);
                if (fd == LISTEN_FD ? fcntl(fd, F_SETFD, 0) < 0 : dup2(fd, LISTEN_FD) < 0)
                        _exit(EXIT_FAILURE);
                (void) execlp("dbus-daemon", "dbus-daemon", "--config-file=" CONFIG_PATH, "--nofork", "--nopidfile", NULL);
                _exit(EXIT_FAILURE);
        }
        return 0;
}

static int on_name(sd_bus_message *m, void *userdata, _unused_ sd_bus_error *error) {
        const Service *s = userdata;
        uint32_t result = 0;

        if (sd_bus_message_is_method_error(m, NULL) || sd_bus_message_read(m, "u", &result) < 0 || result != 1) {
                fprintf(stderr, "gpuptd-sim: the name %s cannot be owned\n", s->name);
                _exit(EXIT_FAILURE);
        }
        if (names_missing > 0 && --names_missing == 0)
                on_ready();
        return 0;
}

int service_start(Service *s) {
        int r;

        if (s->bus && !sd_bus_get_event(s->bus))
                return sd_bus_attach_event(s->bus, loop, SD_EVENT_PRIORITY_NORMAL);
        if (s->bus)
                return 0;
        r = sd_bus_new(&s->bus);
        if (r >= 0)
                r = sd_bus_set_address(s->bus, "unix:path=" SYSTEM_BUS_SOCKET);
        if (r >= 0)
                r = sd_bus_set_bus_client(s->bus, true);
        if (r >= 0)
                r = sd_bus_start(s->bus);
        if (r >= 0)
                r = sd_bus_attach_event(s->bus, loop, SD_EVENT_PRIORITY_NORMAL);
        if (r >= 0)
                r = s->setup(s->bus);
        if (r >= 0)
                r = sd_bus_request_name_async(s->bus, NULL, s->name, 0, on_name, s);
        return r;
}

void service_stop(Service *s) {
        if (!s->bus)
                return;
        if (s->stopped)
                s->stopped();
        /* By its answer the bus knows it: what is sent to the name from here on is sent to nobody. Of a connection that is
         * closed it hears some time later, and takes calls for it until then. */
        (void) sd_bus_release_name(s->bus, s->name);
        s->bus = sd_bus_flush_close_unref(s->bus);
}

/* What it is asked stays in its socket. */
void service_silence(Service *s) {
        if (s->bus)
                (void) sd_bus_detach_event(s->bus);
}

int bus_start(sd_event *event, void (*ready)(void)) {
        int r;

        loop = event;
        on_ready = ready;
        names_missing = ELEMENTSOF(services);
        r = write_config();
        if (r >= 0)
                r = start_dbus_daemon();
        for (size_t i = 0; r >= 0 && i < ELEMENTSOF(services); i++)
                r = service_start(services[i]);
        return r;
}
