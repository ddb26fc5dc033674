/* SPDX-License-Identifier: GPL-2.0-or-later */

#include "failure.h"

#include "dbus/errors.h"

/* One row per way to fail that has a name or a piece of advice of its own; the first that fits is taken. */
static const struct {
        Verb verb;      /* _VERB_MAX: any */
        int error;      /* 0: any */
        const char *name;
        const char *advice;
} failure_table[] = {
        { VERB_CHECK, EHOSTDOWN, GPUPT_ERROR_UNREACHABLE,
          "Its configuration space reads all ones: the card is powered off or has fallen off the bus." },
        { VERB_CHECK_DRIVER, 0, GPUPT_ERROR_DRIVER_MISSING,
          "Install or enable the driver's kernel module, then try again." },
        { VERB_LOAD, ETIMEDOUT, GPUPT_ERROR_TIMEOUT, "Loading the module hangs; see the journal of its unit." },
        { VERB_LOAD, 0, GPUPT_ERROR_DRIVER_MISSING, "Install or enable the driver's kernel module, then try again." },
        { VERB_UNLOAD, ETIMEDOUT, GPUPT_ERROR_TIMEOUT, "Unloading the module hangs; see the journal of its unit." },
        { VERB_UNLOAD, 0, GPUPT_ERROR_IN_USE, "Something still uses the module; end it, then try again." },
        { VERB_CHECK_MODULE, EBUSY, GPUPT_ERROR_IN_USE, "Something still uses the module; end it, then try again." },
        { VERB_WAIT_FREE, EBUSY, GPUPT_ERROR_IN_USE, "" },
        { VERB_WAIT_FREE, ETIMEDOUT, GPUPT_ERROR_TIMEOUT,
          "A process does not answer /proc; look for one in state D." },
        { VERB_STOP_UNIT, ETIMEDOUT, GPUPT_ERROR_TIMEOUT, "The unit does not stop; see its journal." },
        { VERB_START_UNIT, ETIMEDOUT, GPUPT_ERROR_TIMEOUT, "The unit does not start; see its journal." },
        { VERB_RETURN_UNIT, ETIMEDOUT, GPUPT_ERROR_TIMEOUT,
          "See its journal: it may not cope with the cards that are left." },
        { VERB_RETURN_UNIT, 0, GPUPT_ERROR_FAILED, "See its journal: it may not cope with the cards that are left." },
        { VERB_CHECK_LOGINS, EBUSY, GPUPT_ERROR_IN_USE, "Ask again, so that they are named before anybody consents." },
        { VERB_END_SESSION, ETIMEDOUT, GPUPT_ERROR_TIMEOUT,
          "The session does not end; loginctl session-status shows its processes." },
        { VERB_END, ETIMEDOUT, GPUPT_ERROR_IN_USE,
          "The process does not end, not even by SIGKILL: it hangs in the kernel." },
        { VERB_BIND, EBUSY, GPUPT_ERROR_IN_USE,
          "The IOMMU group is owned by a virtual machine, or another driver was faster." },
        { VERB_WAIT_DRM, ETIMEDOUT, GPUPT_ERROR_TIMEOUT,
          "The driver is bound but made no display device; see the kernel log." },
        { VERB_HOOK, ETIMEDOUT, GPUPT_ERROR_TIMEOUT,
          "See the hook in /etc/gpuptd/hooks.d, and TimeoutSec= and OnError= of [Hooks] in gpuptd.conf(5)." },
        { VERB_HOOK, 0, GPUPT_ERROR_FAILED,
          "See the hook in /etc/gpuptd/hooks.d, and OnError= of [Hooks] in gpuptd.conf(5)." },
        { VERB_XORG_FILES, ETIMEDOUT, GPUPT_ERROR_TIMEOUT,
          "See XorgFiles= in the card's .gpu file, and the file system of /etc." },
        { VERB_XORG_FILES, 0, GPUPT_ERROR_FAILED, "See XorgFiles= in the card's .gpu file, which asks for it." },
        { _VERB_MAX, ENODEV, GPUPT_ERROR_UNREACHABLE, "It has left the PCI bus." },
        { _VERB_MAX, ENXIO, GPUPT_ERROR_UNREACHABLE, "It has left the PCI bus." },
        { _VERB_MAX, ECANCELED, GPUPT_ERROR_CANCELLED, "" },
        { VERB_RESET, 0, GPUPT_ERROR_RESET_FAILED, "See BeforeVfio= in the card's .gpu file, which asks for it." },
        { VERB_VENDOR_RESET, 0, GPUPT_ERROR_RESET_FAILED,
          "See BeforeVfio= in the card's .gpu file, which asks for it." },
        { _VERB_MAX, 0, GPUPT_ERROR_FAILED, "See journalctl -u gpuptd and the kernel log." },
};

/* "The detach of …", "The recovery of …". */
static const char *noun(Operation operation) {
        return operation == OPERATION_RECOVER ? "recovery" : operation_to_string(operation);
}

char *failure_cause(int error, const char *text) {
        const char *cause = error == -ECHILD && !isempty(text) ? "" : strerror(-error);
        char *all;

        return asprintf(&all, "%s%s%s", text, isempty(text) || !*cause ? "" : ": ", cause) < 0 ? NULL : all;
}

char *failure_cause_of(const Step *step, int error, const char *text) {
        bool whole = step->verb == VERB_HOOK && (error == -ETIMEDOUT || error == -ENOENT);

        return failure_cause(whole ? -ECHILD : error, text);
}

const char *failure_describe(Operation operation, const char *gpu, const Step *step, int error, const char *text,
                             char **ret) {
        _cleanup_free_ char *cause = failure_cause_of(step, error, text);
        char *message = NULL;
        size_t i = 0;

        while ((failure_table[i].verb != _VERB_MAX && failure_table[i].verb != step->verb) ||
               (failure_table[i].error != 0 && failure_table[i].error != -error))
                i++;

        if (step->verb == VERB_WAIT_FREE && error == -EBUSY) {
                if (asprintf(&message, "%s is in use: %s.", gpu, text) < 0)
                        message = NULL;
        } else if (error == -ECANCELED) {
                if (asprintf(&message, "The %s of %s was cancelled.", noun(operation), gpu) < 0)
                        message = NULL;
        } else if (asprintf(&message, "The %s of %s failed at '%s %s': %s. %s", noun(operation), gpu,
                            verb_to_string(step->verb), step->target, strempty(cause), failure_table[i].advice) < 0)
                message = NULL;
        *ret = message;
        return failure_table[i].name;
}
