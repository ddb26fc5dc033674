/* SPDX-License-Identifier: GPL-2.0-or-later */

/* fuzz-qmp: what a QEMU or an agent sends, in pieces of the size that the first byte says. A reader that has refused
 * something refuses all that follows. */

#include "fuzz.h"
#include "vm.d/qmp.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
        _cleanup_(qmp_reader_freep) QmpReader *reader = NULL;
        size_t piece = size > 0 ? data[0] + 1U : 1;
        int broken = 0;

        FUZZ_ASSERT(qmp_reader_new(&reader) == 0);
        if (size > 0 && data[0] % 2)
                qmp_reader_skip(reader);
        for (size_t i = 1; i < size; i += piece) {
                qmp_reader_add(reader, data + i, MIN(piece, size - i));
                for (;;) {
                        _cleanup_(json_object_putp) json_object *message = NULL;
                        int r = qmp_reader_next(reader, &message);

                        FUZZ_ASSERT(broken == 0 || r == broken);
                        FUZZ_ASSERT((r == 1) == json_object_is_type(message, json_type_object));
                        broken = MIN(r, 0);
                        if (r <= 0)
                                break;
                        (void) adapter_json_string(message, "event");
                }
                if (broken < 0)
                        break;
        }
        return 0;
}
