/* SPDX-License-Identifier: GPL-2.0-or-later */

/* fuzz-measurement: a measurement that may be anything. What is accepted is written and read again: both texts are the
 * same. */

#include "fuzz.h"
#include "measurement.h"

static char *write_text(const Measurement *m, size_t *ret_size) {
        char *text = NULL;
        FILE *f = open_memstream(&text, ret_size);

        FUZZ_ASSERT(f);
        measurement_write(m, f);
        FUZZ_ASSERT(fclose(f) == 0);
        return text;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
        _cleanup_(measurement_freep) Measurement *m = measurement_new(), *again = measurement_new();
        _cleanup_free_ char *text = NULL, *text_again = NULL;
        size_t n, n_again;
        int r;

        FUZZ_ASSERT(m && again);
        r = measurement_read(m, (const char *) data, size);
        FUZZ_ASSERT(r == 0 || r == -EBADMSG);
        if (r < 0)
                return 0;
        text = write_text(m, &n);
        FUZZ_ASSERT(measurement_read(again, text, n) == 0);
        text_again = write_text(again, &n_again);
        FUZZ_ASSERT(n == n_again && (n == 0 || memcmp(text, text_again, n) == 0));
        return 0;
}
