/* SPDX-License-Identifier: GPL-2.0-or-later */

/* fuzz-config: one text as gpuptd.conf and as a `.gpu` file. Whatever is in it, the limits hold, a warning has a
 * place, and names are names. */

#include "config.h"
#include "dbus/names.h"
#include "fuzz.h"
#include "xorg-file.h"

static void on_warning(const char *file, unsigned line, const char *message, void *userdata) {
        FUZZ_ASSERT(streq(file, "input"));
        FUZZ_ASSERT(*message);
        for (; *message; message++)
                FUZZ_ASSERT(*message >= ' ' || *message == '\t');
}

static bool is_name(const char *s) {
        return !s || (*s && strlen(s) <= GPUPT_WORD_MAX && !strpbrk(s, "/. \t"));
}

static void check_sleep(const SleepPolicy *p) {
        FUZZ_ASSERT(vm_policy_to_string(p->vm) && gpu_sleep_policy_to_string(p->gpu));
        FUZZ_ASSERT(sleep_error_policy_to_string(p->on_error) && lid_policy_to_string(p->lid_closed));
        FUZZ_ASSERT(p->timeout_sec >= SLEEP_TIMEOUT_MIN_SEC && p->timeout_sec <= SLEEP_TIMEOUT_MAX_SEC);
}

static void check_main(const char *text) {
        _cleanup_(config_freep) Config *c = config_new();

        FUZZ_ASSERT(c);
        FUZZ_ASSERT(config_parse_main(c, "input", text, on_warning, NULL) == 0);
        FUZZ_ASSERT(c->wait_sec <= GPUPT_WAIT_MAX_SEC);
        FUZZ_ASSERT(c->step_timeout_sec <= 24 * 60 * 60);
        FUZZ_ASSERT(c->jobs_per_sender > 0 && c->queries_per_sender > 0 && c->leases_per_sender > 0);
        FUZZ_ASSERT(last_display_to_string(c->last_display));
        FUZZ_ASSERT(c->hook_timeout_sec >= 1 && c->hook_timeout_sec <= 600);
        FUZZ_ASSERT(hook_error_policy_to_string(c->hook_on_error));
        check_sleep(config_sleep_policy(c, NULL));
}

static void check_gpu(const char *text) {
        _cleanup_(gpu_config_freep) GpuConfig *g = NULL;
        GpuConfig *list[1];
        Config c = { .gpus = list, .n_gpus = 1 };
        Function card = {
                .address = "0000:01:00.0",
                .path = (char *) "pci-0000:00:01.0-0000:01:00.0",
                .vendor = 0x10de,
                .device = 0x2684,
        };

        FUZZ_ASSERT(config_parse_gpu("input", text, on_warning, NULL, &g) == 0);
        FUZZ_ASSERT(is_name(g->alias) && is_name(g->host_driver) && is_name(g->vfio_driver));
        FUZZ_ASSERT(!g->match.address || pci_address_valid(g->match.address));
        FUZZ_ASSERT(strv_length(g->functions) <= GPUPT_FUNCTIONS_MAX);
        FUZZ_ASSERT(after_vm_to_string(g->after_vm) && idle_power_to_string(g->idle_power));
        check_sleep(config_sleep_policy(&c, g));
        for (char **file = g->xorg_files; file && *file; file++)
                FUZZ_ASSERT(xorg_file_valid(*file));

        list[0] = g;
        if (config_match(&c, &card)) {
                FUZZ_ASSERT(!g->match.unusable);
                FUZZ_ASSERT(g->match.address || g->match.path || g->match.has_vendor || g->match.has_device ||
                            g->match.has_subsystem);
        }
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
        _cleanup_free_ char *text = fuzz_string(data, size);

        check_main(text);
        check_gpu(text);
        return 0;
}
