/* SPDX-License-Identifier: GPL-2.0-or-later */

/* fuzz-display-record: a watch over a display that may be anything. What is accepted is written and read again:
 * both texts are the same. */

#include "fuzz.h"
#include "display-record.h"

static char *write_text(const DisplayRecord *record, size_t *ret_size) {
        char *text = NULL;
        FILE *f = open_memstream(&text, ret_size);

        FUZZ_ASSERT(f);
        display_record_write(record, f);
        FUZZ_ASSERT(fclose(f) == 0);
        return text;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
        _cleanup_(display_record_freep) DisplayRecord *record = NULL, *again = NULL;
        _cleanup_free_ char *text = NULL, *text_again = NULL;
        size_t n, n_again;
        int r;

        r = display_record_read((const char *) data, size, &record);
        FUZZ_ASSERT(r == 0 || r == -EBADMSG || r == -EPROTONOSUPPORT);
        if (r < 0)
                return 0;
        text = write_text(record, &n);
        FUZZ_ASSERT(display_record_read(text, n, &again) == 0);
        text_again = write_text(again, &n_again);
        FUZZ_ASSERT(n == n_again && memcmp(text, text_again, n) == 0);
        FUZZ_ASSERT(record->gpu && record->identity && strv_length(record->screens) <= DISPLAY_SCREENS_MAX);
        return 0;
}
