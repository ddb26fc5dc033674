/* SPDX-License-Identifier: GPL-2.0-or-later */

/* fuzz-vfct: an ACPI table of anybody's making, behind a query: bus, slot and function, a byte of nothing, then two bytes each of
 * vendor, device and the subsystem's two. What is found lies within the table and can be looked at. */

#include "daemon/rom.h"
#include "fuzz.h"

#define QUERY_SIZE 12U

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
        _cleanup_(rom_verdict_done) RomVerdict v = {};
        size_t offset, length;
        const char *error;
        VfctQuery q;
        int r;

        if (size < QUERY_SIZE)
                return 0;
        q = (VfctQuery) {
                .address = { .bus = data[0], .slot = data[1] & 0x1f, .function = data[2] & 7 },
                .vendor = (uint16_t) (data[4] | data[5] << 8),
                .device = (uint16_t) (data[6] | data[7] << 8),
                .subsystem_vendor = (uint16_t) (data[8] | data[9] << 8),
                .subsystem_device = (uint16_t) (data[10] | data[11] << 8),
        };
        data += QUERY_SIZE;
        size -= QUERY_SIZE;
        r = vfct_find(data, size, &q, &offset, &length, &error);
        FUZZ_ASSERT(r == 0 || r == -ENOENT || r == -EBADMSG);
        FUZZ_ASSERT(!error == (r == 0));
        if (r < 0)
                return 0;
        FUZZ_ASSERT(length > 0 && offset < size && length <= size - offset);
        FUZZ_ASSERT(rom_check(data + offset, length, q.vendor, q.device, &v) == 0);
        return 0;
}
