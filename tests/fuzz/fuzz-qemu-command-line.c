/* SPDX-License-Identifier: GPL-2.0-or-later */

/* fuzz-qemu-command-line: a command line that may be anything. Whatever is found in it has come from it. */

#include "fuzz.h"
#include "vm.d/qemu-command-line.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
        _cleanup_(qemu_command_line_freep) QemuCommandLine *c = NULL;

        FUZZ_ASSERT(qemu_command_line_parse((const char *) data, size, &c) == 0);
        FUZZ_ASSERT(strv_length(c->monitors) <= QEMU_MONITORS_MAX);
        for (char **path = c->monitors; path && *path; path++)
                FUZZ_ASSERT(**path && strlen(*path) <= size);
        FUZZ_ASSERT(!c->name || strlen(c->name) <= size);
        FUZZ_ASSERT(!c->agent_path == !c->agent_chardev);
        return 0;
}
