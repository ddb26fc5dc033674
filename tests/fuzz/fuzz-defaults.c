/* SPDX-License-Identifier: GPL-2.0-or-later */

/* fuzz-defaults: a file of defaults that may be anything. What is accepted is written and read again: both texts are the same; and the
 * rules that root's udev will obey have nothing in them but what is meant: as many lines as reserves, each with as many quotes
 * as every other one. */

#include "defaults.h"
#include "fuzz.h"

static char *write_text(const Defaults *d, void (*write)(const Defaults *d, FILE *f), size_t *ret_size) {
        char *text = NULL;
        FILE *f = open_memstream(&text, ret_size);

        FUZZ_ASSERT(f);
        write(d, f);
        FUZZ_ASSERT(fclose(f) == 0);
        return text;
}

static size_t count(const char *text, size_t size, char c) {
        size_t n = 0;

        for (size_t i = 0; i < size; i++)
                n += text[i] == c;
        return n;
}

static void check_rules(const Defaults *d, void (*write)(const Defaults *d, FILE *f), size_t n, size_t quotes_each) {
        _cleanup_(defaults_freep) Defaults *none = defaults_new();
        _cleanup_free_ char *rules = NULL, *empty = NULL;
        size_t size, empty_size, lines, quotes;

        FUZZ_ASSERT(none);
        rules = write_text(d, write, &size);
        empty = write_text(none, write, &empty_size);
        lines = count(rules, size, '\n') - count(empty, empty_size, '\n');
        quotes = count(rules, size, '"') - count(empty, empty_size, '"');
        FUZZ_ASSERT(lines == (n > 0 ? n + 1 : 0));
        FUZZ_ASSERT(quotes == (n > 0 ? 6 + n * quotes_each : 0));
        FUZZ_ASSERT(strlen(rules) == size && count(rules, size, '\\') == 0);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
        _cleanup_(defaults_freep) Defaults *d = NULL, *again = NULL;
        _cleanup_free_ char *text = NULL, *text_again = NULL;
        size_t n, n_again;
        int r;

        r = defaults_read((const char *) data, size, &d);
        FUZZ_ASSERT(r == 0 || r == -EBADMSG || r == -EPROTONOSUPPORT);
        if (r < 0)
                return 0;
        text = write_text(d, defaults_write, &n);
        FUZZ_ASSERT(defaults_read(text, n, &again) == 0);
        text_again = write_text(again, defaults_write, &n_again);
        FUZZ_ASSERT(n == n_again && memcmp(text, text_again, n) == 0);
        check_rules(d, defaults_write_rules, d->n_reserves, 26);
        check_rules(d, defaults_write_seat_rules, d->n_aparts, 32);
        return 0;
}
