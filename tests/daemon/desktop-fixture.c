/* SPDX-License-Identifier: GPL-2.0-or-later */

#include "desktop-fixture.h"

#include <errno.h>
#include <signal.h>
#include <stdio.h>
#include <sys/mount.h>
#include <sys/stat.h>
#include <unistd.h>

#include "util/cleanup.h"

/* As if systemd had put it there; what is read of it is the file alone. */
void put_into_cgroup(pid_t pid, const char *cgroup) {
        g_autofree char *path = g_strdup_printf("/run/gpuptd-sim/cgroup-%d", pid),
                        *target = g_strdup_printf("/proc/%d/cgroup", pid);
        g_autofree char *text = g_strdup_printf("1:name=systemd:%s\n0::%s\n", cgroup, cgroup);

        (void) umount2(target, MNT_DETACH);
        put_file(path, text);
        if (mount(path, target, NULL, MS_BIND, NULL) < 0)
                g_error("a file over %s: %s", target, g_strerror(errno));
}

void log_in(Scene *s, const char *session, const char *user, pid_t leader) {
        (void) sim_command(s->m, "session %s uid=1000 user=%s type=x11 leader=%d active=yes", session, user, leader);
        (void) sim_command(s->m, "unit session-%s.scope active 'stop=/bin/kill -TERM %d'", session, leader);
}

void desktop_begin(Scene *s, const char *gpu, const char *other, Desktop *ret) {
        g_assert_true(mkdir("/run/systemd/system", 0755) == 0 || errno == EEXIST);
        g_assert_true(symlink("/lib/systemd/system/" MANAGER, "/run/systemd/system/display-manager.service") == 0 ||
                      errno == EEXIST);
        ret->server = process_start(s, "Xorg", node_of(s, gpu, "card"));
        put_into_cgroup(ret->server, "/system.slice/" MANAGER);
        ret->leader = process_start(s, "xterm", node_of(s, other, "card"));
        put_into_cgroup(ret->leader, "/user.slice/user-1000.slice/" SCOPE);
        (void) sim_command(s->m, "unit " MANAGER " active 'stop=/bin/kill -TERM %d'", ret->server);
        log_in(s, "2", "anna", ret->leader);
}

/* What systemd was asked, less what the daemon does by units of its own. Of a session's scope logind asks, too. */
const char *units_log(Scene *s) {
        g_auto(GStrv) lines = g_strsplit(sim_command(s->m, "jobs-log"), "\n", -1);
        GString *out = g_string_new(NULL);

        for (char **line = lines; *line; line++)
                if (**line && !strstr(*line, " gpuptd-") &&
                    (line == lines || !startswith(*line, "stop session-") || !streq(line[-1], *line)))
                        g_string_append_printf(out, "%s\n", *line);
        g_ptr_array_add(s->strings, out->str);
        return g_string_free(out, FALSE);
}

bool unit_is(Scene *s, const char *unit, const char *state) {
        return startswith(sim_unit_state(s->m, unit), state);
}

void assert_untouched(Scene *s, const Desktop *d) {
        g_assert_cmpint(kill(d->server, 0), ==, 0);
        g_assert_cmpint(kill(d->leader, 0), ==, 0);
        g_assert_cmpstr(units_log(s), ==, "");
}

void assert_ended(Scene *s, const Desktop *d) {
        g_assert_cmpint(sim_wait_ended(s->m, d->leader), ==, SIGTERM);
        g_assert_cmpint(sim_wait_ended(s->m, d->server), ==, SIGTERM);
}

void desktop_end(Scene *s, const Desktop *d) {
        sim_let_go(s->m, d->server);
        sim_let_go(s->m, d->leader);
}
