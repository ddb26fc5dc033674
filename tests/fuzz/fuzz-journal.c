/* SPDX-License-Identifier: GPL-2.0-or-later */

/* fuzz-journal: a job's file that may be anything. What is accepted is written and read again: both texts
 * are the same; it can be undone, and its steps put into words. */

#include "fuzz.h"
#include "journal.h"

static char *write_text(const Intent *intent, size_t *ret_size) {
        char *text = NULL;
        FILE *f = open_memstream(&text, ret_size);

        FUZZ_ASSERT(f);
        intent_write(intent, f);
        FUZZ_ASSERT(fclose(f) == 0);
        return text;
}

static void describe(const Plan *p) {
        for (size_t i = 0; i < p->n; i++) {
                _cleanup_free_ char *sentence = step_describe(p->steps + i);

                FUZZ_ASSERT(sentence);
        }
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
        _cleanup_(intent_freep) Intent *intent = NULL, *again = NULL;
        _cleanup_free_ char *text = NULL, *text_again = NULL;
        _cleanup_(plan_freep) Plan *undo = NULL;
        size_t n, n_again;
        int r;

        r = intent_read((const char *) data, size, &intent);
        FUZZ_ASSERT(r == 0 || r == -EBADMSG || r == -EPROTONOSUPPORT);
        if (r < 0)
                return 0;
        text = write_text(intent, &n);
        FUZZ_ASSERT(intent_read(text, n, &again) == 0);
        text_again = write_text(again, &n_again);
        FUZZ_ASSERT(n == n_again && memcmp(text, text_again, n) == 0);

        describe(intent->plan);
        FUZZ_ASSERT(intent_turn_back(intent, "error", "message") == 0);
        FUZZ_ASSERT(intent_undo_plan(intent, &undo) == 0);
        describe(undo);
        return 0;
}
