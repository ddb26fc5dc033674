/* SPDX-License-Identifier: GPL-2.0-or-later */

#include "ladder.h"

#include "util/words.h"

static bool may_climb(const LadderInput *in, Rung r) {
        RungSet bit = rung_bit(r);

        if (in->tried & bit || in->forbidden & bit)
                return false;
        if (in->weak_only && !rung_is_weak(r))
                return false;
        if (in->order)
                return strv_contains(in->order, rung_to_string(r));
        return !rung_is_opt_in(r) || in->allowed & bit;
}

int ladder_next(const LadderInput *in, Rung *ret) {
        if (in->named >= 0) {
                /* By name also an opt-in rung, but not a forbidden one: whoever forbade it knew the card. */
                if ((in->tried | in->forbidden) & rung_bit(in->named))
                        return 0;
                *ret = in->named;
                return 1;
        }
        if (in->worked >= 0 && may_climb(in, in->worked)) {
                *ret = in->worked;
                return 1;
        }
        for (char *const *word = in->order; word && *word; word++) {
                Rung r = rung_from_string(*word);

                if (r >= 0 && may_climb(in, r)) {
                        *ret = r;
                        return 1;
                }
        }
        for (Rung r = 0; !in->order && r < _RUNG_MAX; r++)
                if (may_climb(in, r)) {
                        *ret = r;
                        return 1;
                }
        return 0;
}
