/* SPDX-License-Identifier: GPL-2.0-or-later */

/* fuzz-rom: a ROM of anybody's making, behind two bytes each of the vendor and the device that it is meant for. It is an error
 * or has images; what is said of it is within its size, no endless list, and fit for a terminal. */

#include "daemon/rom.h"
#include "fuzz.h"

static void assert_sentence(const char *s) {
        FUZZ_ASSERT(*s);
        for (const char *p = s; *p; p++)
                FUZZ_ASSERT(*p >= ' ' && *p < 0x7f);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
        _cleanup_(rom_verdict_done) RomVerdict v = {};

        if (size < 4)
                return 0;
        FUZZ_ASSERT(rom_check(data + 4, size - 4, (uint16_t) (data[0] | data[1] << 8), (uint16_t) (data[2] | data[3] << 8),
                              &v) == 0);
        FUZZ_ASSERT(v.error || v.n_images > 0);
        FUZZ_ASSERT(v.size <= size - 4);
        FUZZ_ASSERT(v.n_images <= ROM_IMAGES_MAX);
        FUZZ_ASSERT(v.size >= v.n_images * 512UL);
        FUZZ_ASSERT(strv_length(v.warnings) <= 2 * ROM_IMAGES_MAX + 1);
        if (v.error)
                assert_sentence(v.error);
        for (char **w = v.warnings; w && *w; w++)
                assert_sentence(*w);
        return 0;
}
