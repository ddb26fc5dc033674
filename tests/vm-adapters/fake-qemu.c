/* SPDX-License-Identifier: GPL-2.0-or-later */

/* fake-qemu: stands for a QEMU and the agent in its guest, as far as an adapter sees them, and misbehaves as told.
 *
 *   qemu-system-fake -fake BEHAVIOUR -qmp unix:PATH,server=on,wait=off
 *                    [-chardev socket,id=qga0,path=PATH,server=on,wait=off -device virtserialport,…]
 *
 * Prints `ready` when it listens. Requests are lines, and are told apart by the name of their command alone. */

#include <glib.h>
#include <poll.h>
#include <signal.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/un.h>

#include "util/cleanup.h"

#define LATE_MSEC 300

typedef struct Port {
        int listener, fd;
        bool agent;
        GString *input;
} Port;

static Port monitor = { .listener = -EBADF, .fd = -EBADF }, agent = { .listener = -EBADF, .fd = -EBADF, .agent = true };
static const char *behaviour = "", *state = "running";
static void (*late)(void); /* what happens when nothing was said for a while */

static bool is(const char *name) {
        return streq(behaviour, name);
}

static void say(Port *p, const char *text) {
        size_t n = strlen(text);

        while (p->fd >= 0 && n > 0) {
                ssize_t k = send(p->fd, text, n, MSG_NOSIGNAL);

                if (k < 0)
                        return;
                text += k;
                n -= (size_t) k;
        }
}

static void event(const char *name) {
        g_autofree char *text = g_strdup_printf("{\"timestamp\": {\"seconds\": 1, \"microseconds\": 2}, \"event\": \"%s\"}\r\n", name);

        say(&monitor, text);
}

static void switch_off(void) {
        event("SHUTDOWN");
        state = "shutdown";
        if (!is("no-shutdown"))
                exit(EXIT_SUCCESS);
}

static void fall_asleep(void) {
        state = "suspended";
        event("SUSPEND");
}

static void hibernate(void) {
        event("SUSPEND_DISK");
        switch_off();
}

static void wake_up(void) {
        state = "running";
        event("WAKEUP");
}

/* ---- The monitor */

static void answer(const char *line, const char *value) {
        const char *id = strstr(line, "\"id\":");
        g_autofree char *text = g_strdup_printf("{\"return\": %s, \"id\": %" G_GUINT64_FORMAT "}\r\n", value,
                                                id ? g_ascii_strtoull(id + 5, NULL, 10) + is("wrong-id") : 0);

        say(&monitor, text);
}

static void answer_status(const char *line) {
        g_autofree char *value = g_strdup_printf("{\"status\": \"%s\", \"running\": %s, \"singlestep\": false}", state,
                                                 streq(state, "running") ? "true" : "false");
        g_autofree char *wide = g_strnfill(5000, 'x');
        g_autofree char *wide_value = g_strdup_printf("{\"status\": \"%s\"}", wide);

        if (is("status-number"))
                answer(line, "{\"status\": 5}");
        else if (is("status-array"))
                answer(line, "[]");
        else if (is("status-null"))
                answer(line, "null");
        else if (is("status-nul"))
                answer(line, "{\"status\": \"run\\u0000ning\"}");
        else if (is("status-wide"))
                answer(line, wide_value);
        else if (is("status-strange"))
                answer(line, "{\"status\": \"\\u001b[31mred\"}");
        else
                answer(line, value);
}

static void answer_chardevs(const char *line) {
        g_autofree char *value = g_strdup_printf("[{\"label\": \"qga0\", \"filename\": \"x\", \"frontend-open\": %s}]",
                                                 is("no-agent") ? "false" : "true");

        answer(line, value);
}

static void on_stop(const char *line) {
        if (is("stop-dies"))
                exit(EXIT_FAILURE);
        if (is("stop-hangs"))
                return;
        if (is("stop-fails")) {
                const char *id = strstr(line, "\"id\":");
                g_autofree char *text = g_strdup_printf("{\"id\": %" G_GUINT64_FORMAT ", \"error\": {\"class\": \"GenericError\", \"desc\": \"no \\u0007 way\"}}\n",
                                                        g_ascii_strtoull(id + 5, NULL, 10));

                say(&monitor, text);
                return;
        }
        if (!is("stop-lies"))
                state = "paused";
        event("STOP");
        answer(line, "{}");
}

static void on_quit(const char *line) {
        answer(line, "{}");
        if (!is("quit-ignored"))
                exit(EXIT_SUCCESS);
}

static void on_power_down(const char *line) {
        answer(line, "{}");
        event("POWERDOWN");
        if (!is("shutdown-ignored"))
                late = switch_off;
}

static void on_monitor(const char *line) {
        static const char devices[] =
                "[{\"name\": \"type\", \"type\": \"string\"}, {\"name\": \"device[0]\", \"type\": \"child<x>\"}, "
                "{\"name\": \"device[3]\", \"type\": \"child<ICH9-LPC>\"}]";

        if (strstr(line, "qmp_capabilities"))
                answer(line, "{}");
        else if (strstr(line, "query-status"))
                answer_status(line);
        else if (strstr(line, "query-chardev"))
                answer_chardevs(line);
        else if (strstr(line, "qom-list"))
                answer(line, is("no-pm") ? "[]" : devices);
        else if (strstr(line, "qom-get"))
                answer(line, is("no-s3") && strstr(line, "disable_s3") ? "1" : "0");
        else if (strstr(line, "\"stop\""))
                on_stop(line);
        else if (strstr(line, "\"cont\"")) {
                state = "running";
                answer(line, "{}");
        } else if (strstr(line, "system_wakeup")) {
                answer(line, "{}");
                if (!is("wake-ignored"))
                        late = wake_up;
        } else if (strstr(line, "system_powerdown"))
                on_power_down(line);
        else if (strstr(line, "\"quit\""))
                on_quit(line);
}

/* ---- The agent */

static void on_sync(const char *line) {
        const char *id = strstr(line, "\"id\":");
        g_autofree char *text = g_strdup_printf("\xff{\"return\": %" G_GUINT64_FORMAT "}\n", g_ascii_strtoull(id + 5, NULL, 10));

        if (is("agent-silent"))
                return;
        if (is("agent-stale"))
                say(&agent, "{\"return\": {\"old\": [1, 2\n\xff{\"return\": 7}\n");
        say(&agent, text);
}

static void on_agent(const char *line) {
        static const char refusal[] = "{\"error\": {\"class\": \"GenericError\", \"desc\": \"the guest does not want to\"}}\n";

        if (strstr(line, "guest-sync-delimited"))
                on_sync(line);
        else if (strstr(line, "guest-info"))
                say(&agent, "{\"return\": {\"version\": \"7.2.0\", \"supported_commands\": [5, {\"name\": \"guest-suspend-ram\", "
                            "\"enabled\": true}, {\"name\": \"guest-suspend-disk\", \"enabled\": true}]}}\n");
        else if (is("agent-refuses"))
                say(&agent, refusal);
        else if (is("agent-ignores"))
                ;
        else if (strstr(line, "guest-suspend-ram"))
                late = is("suspend-lies") ? switch_off : fall_asleep;
        else if (strstr(line, "guest-suspend-disk"))
                late = hibernate;
        else if (strstr(line, "guest-shutdown"))
                late = switch_off;
}

/* ---- Connections */

static void greet(void) {
        g_autofree char *deep = g_strnfill(100, '[');
        g_autofree char *endless = g_strnfill(3 * 1024 * 1024, ' ');

        if (is("greeting-none"))
                return;
        if (is("greeting-garbage"))
                say(&monitor, "HTTP/1.1 400 Bad Request\r\n\r\n");
        else if (is("greeting-deep"))
                say(&monitor, deep);
        else if (is("greeting-endless"))
                say(&monitor, endless);
        else if (is("greeting-other"))
                say(&monitor, "{\"hello\": 1}\n");
        else if (is("greeting-binary"))
                (void) send(monitor.fd, "{\"QMP\"\0: {}}", 12, MSG_NOSIGNAL);
        else if (is("pretty"))
                say(&monitor, "{\n    \"QMP\": {\n        \"capabilities\": [\n        ]\n    }\n}\n");
        else
                say(&monitor, "{\"QMP\": {\"version\": {}, \"capabilities\": [\"oob\"]}}\r\n");
}

/* Events without an end, as fast as they are taken. */
static void flood(void) {
        for (;;)
                event("RTC_CHANGE");
}

static void accept_on(Port *p) {
        p->fd = accept4(p->listener, NULL, NULL, SOCK_CLOEXEC);
        g_assert_cmpint(p->fd, >=, 0);
        g_string_truncate(p->input, 0);
        if (!p->agent)
                greet();
        if (is("flood"))
                flood();
}

static void read_on(Port *p) {
        char data[4096];
        ssize_t k = recv(p->fd, data, sizeof(data), 0);
        char *newline;

        if (k <= 0) {
                p->fd = safe_close(p->fd);
                return;
        }
        g_string_append_len(p->input, data, k);
        while ((newline = memchr(p->input->str, '\n', p->input->len))) {
                size_t n = (size_t) (newline - p->input->str);
                g_autofree char *line = g_strndup(p->input->str, n);

                g_string_erase(p->input, 0, (gssize) n + 1);
                (p->agent ? on_agent : on_monitor)(line);
        }
}

static void listen_on(Port *p, const char *from) {
        struct sockaddr_un address = { .sun_family = AF_UNIX };

        g_strlcpy(address.sun_path, from, MIN(sizeof(address.sun_path), strcspn(from, ",") + 1));
        (void) unlink(address.sun_path);
        p->listener = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
        g_assert_cmpint(bind(p->listener, (struct sockaddr *) &address, sizeof(address)), ==, 0);
        g_assert_cmpint(listen(p->listener, 1), ==, 0);
        p->input = g_string_new(NULL);
}

/* One client at a time: the next one waits in the queue, as with QEMU. */
static struct pollfd poll_of(const Port *p) {
        return (struct pollfd) { .fd = p->fd >= 0 ? p->fd : p->listener, .events = POLLIN };
}

static void handle(Port *p, short revents) {
        if (revents && p->fd < 0)
                accept_on(p);
        else if (revents)
                read_on(p);
}

int main(int argc, char *argv[]) {
        (void) prctl(PR_SET_PDEATHSIG, SIGKILL);
        for (int i = 1; i + 1 < argc; i++)
                if (streq(argv[i], "-fake"))
                        behaviour = argv[++i];
                else if (streq(argv[i], "-qmp") && !is("thief"))
                        listen_on(&monitor, startswith(argv[++i], "unix:"));
                else if (streq(argv[i], "-chardev"))
                        listen_on(&agent, strstr(argv[++i], "path=") + 5);
        printf("ready\n");
        fflush(stdout);

        for (;;) {
                struct pollfd p[] = { poll_of(&monitor), poll_of(&agent) };
                int n = poll(p, agent.listener >= 0 ? 2 : 1, late ? LATE_MSEC : -1);

                if (n == 0) {
                        void (*now)(void) = late;

                        late = NULL;
                        now();
                        continue;
                }
                handle(&monitor, p[0].revents);
                if (agent.listener >= 0)
                        handle(&agent, p[1].revents);
        }
}
