/* SPDX-License-Identifier: GPL-2.0-or-later */

/* fuzz-snapshot: a worker's answer that may be anything. What is accepted is written and read again: both texts are the
 * same. The selector finds its way in it. */

#include "fuzz.h"
#include "selector.h"

static char *write_text(const Snapshot *s, size_t *ret_size) {
        char *text = NULL;
        FILE *f = open_memstream(&text, ret_size);

        FUZZ_ASSERT(f);
        snapshot_write(s, f);
        FUZZ_ASSERT(fclose(f) == 0);
        return text;
}

static void select_all(const Snapshot *s) {
        for (size_t i = 0; i < s->n_functions; i++) {
                _cleanup_strv_free_ char **companions = NULL, **blockers = NULL;
                const Function *f = s->functions + i;

                FUZZ_ASSERT(snapshot_find(s, f->address) == f);
                if (!function_is_display(f))
                        continue;
                (void) selector_is_gpu(s, f);
                FUZZ_ASSERT(selector_companions(s, f, &companions) >= 0);
                FUZZ_ASSERT(streq(companions[0], f->address));
                FUZZ_ASSERT(selector_blockers(s, companions, &blockers) >= 0);
        }
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
        _cleanup_(snapshot_freep) Snapshot *s = NULL, *again = NULL;
        _cleanup_free_ char *text = NULL, *text_again = NULL;
        size_t n, n_again;
        int r;

        r = snapshot_read((const char *) data, size, &s);
        FUZZ_ASSERT(r == 0 || r == -EBADMSG);
        if (r < 0)
                return 0;
        text = write_text(s, &n);
        FUZZ_ASSERT(snapshot_read(text, n, &again) == 0);
        text_again = write_text(again, &n_again);
        FUZZ_ASSERT(n == n_again && memcmp(text, text_again, n) == 0);
        select_all(s);
        FUZZ_ASSERT(snapshot_merge(s, again, NULL, NULL) >= 0);
        return 0;
}
