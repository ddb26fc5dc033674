/* SPDX-License-Identifier: GPL-2.0-or-later */

/* gate: the test's side, see gate.h. */

#include "gate.h"

#include <glib.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <unistd.h>

#include "fixture.h"
#include "util/cleanup.h"

static int listener = -EBADF;

const char *const *gate_environment(void) {
        static char program[4096], real[4096];
        static const char *environment[3];

        (void) snprintf(program, sizeof(program), "GPUPT_WORKER=%s", getenv("GPUPT_GATE_WORKER"));
        (void) snprintf(real, sizeof(real), ENV_REAL_WORKER "=%s", getenv("GPUPT_WORKER"));
        environment[0] = program;
        environment[1] = real;
        return environment;
}

/* Every machine has a /run of its own. */
void gates_open(void) {
        struct sockaddr_un address = { .sun_family = AF_UNIX, .sun_path = GATE_SOCKET };

        listener = safe_close(listener);
        g_assert_cmpint(mkdir(GATE_DIR, 0755), ==, 0);
        listener = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
        g_assert_cmpint(bind(listener, (struct sockaddr *) &address, sizeof(address)), ==, 0);
        g_assert_cmpint(listen(listener, 64), ==, 0);
}

void gate_set(const char *verb, const char *target, unsigned pass) {
        g_autofree char *path = g_strdup_printf(GATE_DIR "/%s-%s", verb, target), *text = g_strdup_printf("%u", pass);

        put_file(path, text);
}

void gate_set_any(unsigned pass) {
        g_autofree char *text = g_strdup_printf("%u", pass);

        put_file(GATE_DIR "/" GATE_ANY, text);
}

unsigned gate_count_any(unsigned pass) {
        g_autofree char *text = NULL;

        g_assert_true(g_file_get_contents(GATE_DIR "/" GATE_ANY, &text, NULL, NULL));
        g_assert_cmpint(unlink(GATE_DIR "/" GATE_ANY), ==, 0);
        return pass - (unsigned) atoi(text);
}

Gate *gate_wait_until(bool (*over)(void *userdata), void *userdata) {
        struct pollfd p = { .fd = listener, .events = POLLIN };

        while (poll(&p, 1, 50) == 0)
                if (over(userdata) && poll(&p, 1, 0) == 0)
                        return NULL;
        return gate_wait();
}

Gate *gate_wait(void) {
        struct pollfd p = { .fd = listener, .events = POLLIN };
        char line[512] = {}, *space;
        Gate *g = g_new(Gate, 1);

        if (poll(&p, 1, (int) sim_deadline_sec() * 1000) != 1)
                g_error("no step comes to its gate");
        g->fd = accept4(listener, NULL, NULL, SOCK_CLOEXEC);
        g_assert_cmpint(g->fd, >=, 0);
        for (size_t n = 0; n < sizeof(line) - 1 && read(g->fd, line + n, 1) == 1 && line[n] != '\n';)
                n++;
        *strchrnul(line, '\n') = '\0';
        space = strrchr(line, ' ');
        g_assert_nonnull(space);
        *space = '\0';
        g->pid = atoi(space + 1);
        g->step = g_strdup(line);
        return g;
}

void gate_answer(Gate *g, const char *verdict) {
        /* It may have been killed. */
        (void) !send(g->fd, verdict, strlen(verdict), MSG_NOSIGNAL);
        (void) !send(g->fd, "\n", 1, MSG_NOSIGNAL);
        (void) close(g->fd);
        g_free(g->step);
        g_free(g);
}
