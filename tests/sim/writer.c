/* SPDX-License-Identifier: GPL-2.0-or-later */

/* writer: see writer.h. */

#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <unistd.h>

#include "writer.h"

Writer writer_start(const char *path, const char *text) {
        Writer w = { fork() };

        if (w.pid == 0) {
                int fd = open(path, O_WRONLY | O_CLOEXEC);

                (void) prctl(PR_SET_PDEATHSIG, SIGKILL);
                _exit(fd < 0 || write(fd, text, strlen(text)) < 0 ? errno : 0);
        }
        return w;
}

bool writer_hangs(const Writer *w) {
        return !sim_wait_exit(w->pid, 0);
}

int writer_end(Writer *w) {
        int status;

        g_assert_true(sim_wait_exit(w->pid, sim_deadline_sec() * 1000));
        g_assert_cmpint(waitpid(w->pid, &status, 0), ==, w->pid);
        return WIFEXITED(status) ? WEXITSTATUS(status) : 1000 + WTERMSIG(status);
}

void load_vfio(SimMachine *m) {
        (void) sim_command(m, "module vfio_pci load");
}

void to_vfio(SimMachine *m, const char *address) {
        g_autofree char *override = g_strdup_printf("bus/pci/devices/%s/driver_override", address);
        g_autofree char *unbind = g_strdup_printf("bus/pci/devices/%s/driver/unbind", address);

        g_assert_cmpint(sim_write(m, override, "vfio-pci"), ==, 0);
        if (sim_driver_of(m, address))
                g_assert_cmpint(sim_write(m, unbind, address), ==, 0);
        g_assert_cmpint(sim_write(m, "bus/pci/drivers/vfio-pci/bind", address), ==, 0);
}
