/* SPDX-License-Identifier: GPL-2.0-or-later */

/* errors: the one table of what each error name means to a program: its errno, and the exit status of gpuptctl. */

#include "dbus/errors.h"

#include <errno.h>
#include <stddef.h>
#include <string.h>

static const sd_bus_error_map error_map[] = {
        SD_BUS_ERROR_MAP(GPUPT_ERROR_NO_SUCH_GPU, ENODEV),
        SD_BUS_ERROR_MAP(GPUPT_ERROR_NO_SUCH_JOB, ENOENT),
        SD_BUS_ERROR_MAP(GPUPT_ERROR_BUSY, EBUSY),
        SD_BUS_ERROR_MAP(GPUPT_ERROR_IN_USE, ETXTBSY),
        SD_BUS_ERROR_MAP(GPUPT_ERROR_GROUP_NOT_VIABLE, EXDEV),
        SD_BUS_ERROR_MAP(GPUPT_ERROR_NOT_SUPPORTED, EOPNOTSUPP),
        SD_BUS_ERROR_MAP(GPUPT_ERROR_DRIVER_MISSING, ENOPKG),
        SD_BUS_ERROR_MAP(GPUPT_ERROR_UNREACHABLE, EHOSTDOWN),
        SD_BUS_ERROR_MAP(GPUPT_ERROR_RESET_FAILED, EIO),
        SD_BUS_ERROR_MAP(GPUPT_ERROR_STUCK, EDEADLK),
        SD_BUS_ERROR_MAP(GPUPT_ERROR_CANCELLED, ECANCELED),
        SD_BUS_ERROR_MAP(GPUPT_ERROR_TIMEOUT, ETIMEDOUT),
        SD_BUS_ERROR_MAP(GPUPT_ERROR_SLEEP_IN_PROGRESS, EAGAIN),
        SD_BUS_ERROR_MAP(GPUPT_ERROR_LAST_DISPLAY, EPERM),
        SD_BUS_ERROR_MAP(GPUPT_ERROR_INCONSISTENT, EUCLEAN),
        SD_BUS_ERROR_MAP_END,
};

static const struct {
        const char *name;
        ExitStatus status;
} exit_map[] = {
        { GPUPT_ERROR_NO_SUCH_GPU, EXIT_NO_SUCH_GPU },
        { GPUPT_ERROR_BUSY, EXIT_IN_USE },
        { GPUPT_ERROR_IN_USE, EXIT_IN_USE },
        { GPUPT_ERROR_STUCK, EXIT_STUCK },
        { GPUPT_ERROR_TIMEOUT, EXIT_STUCK },
        { SD_BUS_ERROR_TIMEOUT, EXIT_STUCK },
        { SD_BUS_ERROR_NO_REPLY, EXIT_STUCK },
        { SD_BUS_ERROR_INVALID_ARGS, EXIT_USAGE },
        { SD_BUS_ERROR_ACCESS_DENIED, EXIT_REFUSED },
        { SD_BUS_ERROR_INTERACTIVE_AUTHORIZATION_REQUIRED, EXIT_REFUSED },
        { SD_BUS_ERROR_SERVICE_UNKNOWN, EXIT_NO_DAEMON },
        { SD_BUS_ERROR_NAME_HAS_NO_OWNER, EXIT_NO_DAEMON },
        { SD_BUS_ERROR_NO_SERVER, EXIT_NO_DAEMON },
        { SD_BUS_ERROR_DISCONNECTED, EXIT_NO_DAEMON },
};

ExitStatus error_exit_status(const char *name) {
        if (!name || !*name)
                return EXIT_FAILED;

        for (size_t i = 0; i < sizeof(exit_map) / sizeof(exit_map[0]); i++)
                if (strcmp(exit_map[i].name, name) == 0)
                        return exit_map[i].status;

        /* An activation that fails (masked unit, crash at start) reaches the caller under this family of names. */
        if (strncmp(name, "org.freedesktop.DBus.Error.Spawn.", strlen("org.freedesktop.DBus.Error.Spawn.")) == 0 ||
            strncmp(name, "org.freedesktop.systemd1.", strlen("org.freedesktop.systemd1.")) == 0)
                return EXIT_NO_DAEMON;

        return EXIT_FAILED;
}

int errors_register(void) {
        return sd_bus_error_add_map(error_map);
}
