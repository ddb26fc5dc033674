/* SPDX-License-Identifier: GPL-2.0-or-later */

#include "rung.h"

#include "util/words.h"

static const char *const rung_table[_RUNG_MAX] = {
        [RUNG_WAKE] = "wake",
        [RUNG_FLR] = "flr",
        [RUNG_AF_FLR] = "af_flr",
        [RUNG_DEVICE_SPECIFIC] = "device_specific",
        [RUNG_ACPI] = "acpi",
        [RUNG_PM] = "pm",
        [RUNG_BUS] = "bus",
        [RUNG_SUBORDINATE] = "subordinate",
        [RUNG_REMOVE_RESCAN] = "remove-rescan",
        [RUNG_DRIVER] = "driver",
        [RUNG_BRIDGE] = "bridge",
        [RUNG_SLOT] = "slot",
        [RUNG_POWER_CYCLE] = "power-cycle",
        [RUNG_SUSPEND_CYCLE] = "suspend-cycle",
};
DEFINE_STRING_TABLE(rung, Rung);

#define WEAK (1U << RUNG_WAKE | 1U << RUNG_FLR | 1U << RUNG_AF_FLR | 1U << RUNG_PM | 1U << RUNG_DRIVER)
#define OPT_IN (1U << RUNG_DRIVER | 1U << RUNG_BRIDGE | 1U << RUNG_SLOT | 1U << RUNG_POWER_CYCLE | 1U << RUNG_SUSPEND_CYCLE)

const char *rung_method(Rung r) {
        return r >= RUNG_FLR && r <= RUNG_BUS ? rung_to_string(r) : NULL;
}

bool rung_is_weak(Rung r) {
        return WEAK & rung_bit(r);
}

bool rung_is_opt_in(Rung r) {
        return OPT_IN & rung_bit(r);
}

RungSet rung_set_from_words(char *const *words) {
        RungSet set = 0;

        for (; words && *words; words++) {
                Rung r = rung_from_string(*words);

                if (r >= 0)
                        set |= rung_bit(r);
        }
        return set;
}
