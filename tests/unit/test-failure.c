/* SPDX-License-Identifier: GPL-2.0-or-later */

/* test-failure: that each way to fail has the name of the contract, and a sentence that names the card, the
 * step, the cause and what to do. */

#include <glib.h>

#include "dbus/errors.h"
#include "failure.h"

#define GPU "0000:01:00.0"

static void test_names(void) {
        static const struct {
                Verb verb;
                int error;
                const char *name, *advice;
        } cases[] = {
                { VERB_CHECK, -EHOSTDOWN, GPUPT_ERROR_UNREACHABLE, "all ones" },
                { VERB_CHECK, -ENODEV, GPUPT_ERROR_UNREACHABLE, "left the PCI bus" },
                { VERB_UNBIND, -ENODEV, GPUPT_ERROR_UNREACHABLE, "left the PCI bus" },
                { VERB_PIN, -ENXIO, GPUPT_ERROR_UNREACHABLE, "left the PCI bus" },
                { VERB_LOAD, -ECHILD, GPUPT_ERROR_DRIVER_MISSING, "Install or enable" },
                { VERB_LOAD, -ETIMEDOUT, GPUPT_ERROR_TIMEOUT, "hangs" },
                { VERB_CHECK_DRIVER, -ENOPKG, GPUPT_ERROR_DRIVER_MISSING, "Install or enable" },
                { VERB_UNLOAD, -ECHILD, GPUPT_ERROR_IN_USE, "still uses the module" },
                { VERB_UNLOAD, -ETIMEDOUT, GPUPT_ERROR_TIMEOUT, "hangs" },
                { VERB_CHECK_MODULE, -EBUSY, GPUPT_ERROR_IN_USE, "still uses the module" },
                { VERB_WAIT_FREE, -EBUSY, GPUPT_ERROR_IN_USE, "is in use" },
                { VERB_WAIT_FREE, -ETIMEDOUT, GPUPT_ERROR_TIMEOUT, "/proc" },
                { VERB_STOP_UNIT, -ETIMEDOUT, GPUPT_ERROR_TIMEOUT, "does not stop" },
                { VERB_START_UNIT, -ETIMEDOUT, GPUPT_ERROR_TIMEOUT, "does not start" },
                { VERB_END, -ETIMEDOUT, GPUPT_ERROR_IN_USE, "SIGKILL" },
                { VERB_BIND, -EBUSY, GPUPT_ERROR_IN_USE, "virtual machine" },
                { VERB_BIND, -EINVAL, GPUPT_ERROR_FAILED, "kernel log" },
                { VERB_WAIT_DRM, -ETIMEDOUT, GPUPT_ERROR_TIMEOUT, "no display device" },
                { VERB_HOOK, -ECHILD, GPUPT_ERROR_FAILED, "OnError=" },
                { VERB_HOOK, -ETIMEDOUT, GPUPT_ERROR_TIMEOUT, "TimeoutSec=" },
                { VERB_VERIFY, -EIO, GPUPT_ERROR_FAILED, "journalctl" },
                { VERB_OVERRIDE, -ECANCELED, GPUPT_ERROR_CANCELLED, "was cancelled" },
        };

        for (size_t i = 0; i < ELEMENTSOF(cases); i++) {
                _cleanup_free_ char *message = NULL;
                Step s = {};
                const char *name;

                g_assert_cmpint(step_init(&s, cases[i].verb, "the-target", NULL), ==, 0);
                name = failure_describe(OPERATION_DETACH, GPU, &s, cases[i].error, "the cause", &message);
                g_test_message("%s: %s", verb_to_string(cases[i].verb), message);
                g_assert_cmpstr(name, ==, cases[i].name);
                g_assert_nonnull(strstr(message, GPU));
                g_assert_nonnull(strstr(message, cases[i].advice));
                if (cases[i].error == -ECANCELED)
                        g_assert_nonnull(strstr(message, "detach"));
                else
                        g_assert_nonnull(strstr(message, "the cause"));
                step_done(&s);
        }
}

/* What did not end in its time has nothing to do with a connection. */
static void test_hook(void) {
        static const int errors[] = { -ETIMEDOUT, -ENOENT, -ECHILD };

        for (size_t i = 0; i < ELEMENTSOF(errors); i++) {
                _cleanup_free_ char *message = NULL;
                Step s = {};

                g_assert_cmpint(step_init(&s, VERB_HOOK, "10-a", NULL), ==, 0);
                (void) failure_describe(OPERATION_DETACH, GPU, &s, errors[i], "10-a did not do it", &message);
                g_assert_true(g_str_has_prefix(message, "The detach of " GPU " failed at 'hook 10-a': 10-a did not do it. See the hook"));
                step_done(&s);
        }
}

/* Every verb with every errno has a name and one sentence or more. */
static void test_total(void) {
        for (Verb v = 0; v < _VERB_MAX; v++)
                for (int error = 1; error < 140; error++) {
                        _cleanup_free_ char *message = NULL;
                        Step s = {};
                        const char *name;

                        g_assert_cmpint(step_init(&s, v, "t", NULL), ==, 0);
                        name = failure_describe(OPERATION_ATTACH, GPU, &s, -error, "", &message);
                        g_assert_true(g_str_has_prefix(name, "org."));
                        g_assert_nonnull(strstr(message, GPU));
                        g_assert_true(strchr(".", message[strlen(message) - 1]));
                        g_assert_null(strstr(message, ": : "));
                        step_done(&s);
                }
}

/* Whoever holds it is the message, not the step. */
static void test_holders(void) {
        _cleanup_free_ char *message = NULL;
        Step s = {};

        g_assert_cmpint(step_init(&s, VERB_WAIT_FREE, GPU, NULL), ==, 0);
        g_assert_cmpstr(
                failure_describe(OPERATION_DETACH, GPU, &s, -EBUSY, "mpv (pid 4711) holds /dev/dri/card1", &message),
                ==, GPUPT_ERROR_IN_USE);
        g_assert_true(g_str_has_prefix(message, GPU " is in use: mpv (pid 4711) holds /dev/dri/card1."));
        step_done(&s);
}

int main(int argc, char *argv[]) {
        g_test_init(&argc, &argv, NULL);
        g_test_add_func("/failure/hook", test_hook);
        g_test_add_func("/failure/names", test_names);
        g_test_add_func("/failure/total", test_total);
        g_test_add_func("/failure/holders", test_holders);
        return g_test_run();
}
