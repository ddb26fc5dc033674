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

static const char *const sentences[_RUNG_MAX] = {
        [RUNG_WAKE] = "wakes it, and every bridge above it, to D0",
        [RUNG_FLR] = "resets its functions one by one (function level reset)",
        [RUNG_AF_FLR] = "resets its functions one by one (advanced features)",
        [RUNG_DEVICE_SPECIFIC] = "resets it in a way that the kernel, or vendor-reset, knows for this very device",
        [RUNG_ACPI] = "lets the firmware reset it (_RST)",
        [RUNG_PM] = "takes it to D3hot and back",
        [RUNG_BUS] = "resets the bus that it is alone on",
        [RUNG_SUBORDINATE] = "resets everything below its bridge at once",
        [RUNG_REMOVE_RESCAN] = "removes it from the bus, and looks for it again",
        [RUNG_DRIVER] = "lets the vendor's tool reset it (nvidia-smi --gpu-reset)",
        [RUNG_BRIDGE] = "removes it and the topmost bridge of its own, and looks for both again",
        [RUNG_SLOT] = "takes the power from its slot, and gives it back",
        [RUNG_POWER_CYCLE] = "switches it off and on (bbswitch, nvhda), and looks for it again",
        [RUNG_SUSPEND_CYCLE] = "removes it, lets the host sleep for some seconds, and looks for it again",
};

#define WEAK (1U << RUNG_WAKE | 1U << RUNG_FLR | 1U << RUNG_AF_FLR | 1U << RUNG_PM | 1U << RUNG_DRIVER)
#define OPT_IN (1U << RUNG_DRIVER | 1U << RUNG_BRIDGE | 1U << RUNG_SLOT | 1U << RUNG_POWER_CYCLE | 1U << RUNG_SUSPEND_CYCLE)

const char *rung_method(Rung r) {
        return r >= RUNG_FLR && r <= RUNG_BUS ? rung_to_string(r) : NULL;
}

const char *rung_describe(Rung r) {
        return r < 0 || r >= _RUNG_MAX ? NULL : sentences[r];
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
