/* SPDX-License-Identifier: GPL-2.0-or-later */

/* mock-sleep: reports of sleeps, as the daemon's LastSleep has them. All began on Tue 2023-11-14 22:13:20 UTC. */

#include "tests/unit/mock-sleep.h"

#include "util/cleanup.h"

#define BEGAN UINT64_C(1700000000000000)
#define SEC UINT64_C(1000000)

#define SENTENCE "0000:08:00.0 is sick, so it was left asleep; wake it once the card is well again."

static int append_vms(sd_bus_message *reply) {
        return sd_bus_message_append(reply, "{sv}", "virtual-machines", "aa{sv}", 2,
                                     8, "manager", "s", "libvirt", "name", "s", "win10", "id", "s", "1-win10",
                                     "gpus", "as", 1, MOCK_FIRST, "policy", "s", "auto", "action", "s", "suspend",
                                     "result", "s", "restored", "message", "s", "",
                                     7, "manager", "s", "qemu", "id", "s", "db\033[31m", "gpus", "as", 1, MOCK_SECOND,
                                     "policy", "s", "pause", "action", "s", "pause", "result", "s", "left",
                                     "message", "s", SENTENCE);
}

static int append_gpus(sd_bus_message *reply) {
        return sd_bus_message_append(reply, "{sv}", "gpus", "aa{sv}", 2,
                                     7, "address", "s", MOCK_FIRST, "state-before", "s", "assigned",
                                     "action", "s", "keep", "result", "s", "restored", "state", "s", "assigned",
                                     "health", "s", "ok", "message", "s", "",
                                     7, "address", "s", MOCK_SECOND, "state-before", "s", "detached",
                                     "action", "s", "host", "result", "s", "failed", "state", "s", "unreachable",
                                     "health", "s", "dead", "message", "s", "It does not answer.");
}

static int append_kernel(sd_bus_message *reply) {
        return sd_bus_message_append(reply, "{sv}{sv}{sv}",
                                     "hook-failures", "as", 1, "the hook 10-a has failed (post sleep): 10-a ended with status 1",
                                     "kernel-lines", "as", 2, "vfio-pci 0000:08:00.0: Unable to change power state from "
                                     "D3cold to D0, device inaccessible", "PM: \033suspend exit",
                                     "kernel-lines-more", "b", 1);
}

static int append_head(sd_bus_message *reply, uint32_t cycle, const char *operation, const char *result) {
        return sd_bus_message_append(reply, "{sv}{sv}{sv}{sv}", "cycle", "u", cycle, "operation", "s", operation,
                                     "result", "s", result, "began", "t", BEGAN);
}

/* Slept for two hours. */
static int append_slept(sd_bus_message *reply, const char *result) {
        int r;

        r = append_head(reply, 3, "suspend", result);
        if (r >= 0)
                r = sd_bus_message_append(reply, "{sv}{sv}{sv}{sv}", "doors", "as", 2, "logind", "gate",
                                          "ready", "t", BEGAN + 2 * SEC + SEC / 3, "woken", "t", BEGAN + 7382 * SEC + SEC / 3,
                                          "finished", "t", BEGAN + 7383 * SEC + SEC / 2);
        if (r >= 0)
                r = append_vms(reply);
        if (r >= 0)
                r = append_gpus(reply);
        if (r >= 0)
                r = append_kernel(reply);
        return r;
}

int mock_append_last_sleep(sd_bus_message *reply, MockLastSleep which) {
        int r;

        r = sd_bus_message_open_container(reply, 'a', "{sv}");
        if (r >= 0 && which == MOCK_LAST_SLEEP_DONE)
                r = append_slept(reply, "done");
        if (r >= 0 && which == MOCK_LAST_SLEEP_FAILED) {
                r = append_slept(reply, "failed");
                if (r >= 0)
                        r = sd_bus_message_append(reply, "{sv}", "suspend-stats", "a{ss}", 2,
                                                  "last_failed_dev", MOCK_SECOND, "last_failed_errno", "-16");
        }
        if (r >= 0 && which == MOCK_LAST_SLEEP_VETOED) {
                r = append_head(reply, 4, "", "vetoed");
                if (r >= 0)
                        r = sd_bus_message_append(reply, "{sv}{sv}{sv}{sv}", "doors", "as", 1, "gate", "gpu", "s", MOCK_FIRST,
                                                  "reason", "s", "win10 (libvirt) has not stopped.",
                                                  "finished", "t", BEGAN + 61 * SEC);
        }
        if (r >= 0 && which == MOCK_LAST_SLEEP_BARE)
                r = sd_bus_message_append(reply, "{sv}{sv}", "result", "s", "od\033d", "woken", "t", BEGAN);
        return r < 0 ? r : sd_bus_message_close_container(reply);
}
