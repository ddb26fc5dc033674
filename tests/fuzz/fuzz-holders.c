/* SPDX-License-Identifier: GPL-2.0-or-later */

/* fuzz-holders: a census that may be anything. What is accepted is written and read again: both texts are the same, and
 * the description of it has no control characters. */

#include "fuzz.h"
#include "holders.h"

static char *write_text(const Holders *h, size_t *ret_size) {
        char *text = NULL;
        FILE *f = open_memstream(&text, ret_size);

        FUZZ_ASSERT(f);
        holders_write(h, f);
        FUZZ_ASSERT(fclose(f) == 0);
        return text;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
        _cleanup_(holders_freep) Holders *h = NULL, *again = NULL;
        _cleanup_free_ char *text = NULL, *text_again = NULL, *description = NULL;
        size_t n, n_again;
        int r;

        r = holders_read((const char *) data, size, &h);
        FUZZ_ASSERT(r == 0 || r == -EBADMSG);
        if (r < 0)
                return 0;
        text = write_text(h, &n);
        FUZZ_ASSERT(holders_read(text, n, &again) == 0);
        text_again = write_text(again, &n_again);
        FUZZ_ASSERT(n == n_again && (n == 0 || memcmp(text, text_again, n) == 0));

        description = holders_describe(h);
        FUZZ_ASSERT(description);
        for (const char *p = description; *p; p++)
                FUZZ_ASSERT((unsigned char) *p >= ' ' && *p != 0x7f);
        return 0;
}
