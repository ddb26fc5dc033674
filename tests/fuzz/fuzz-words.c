/* SPDX-License-Identifier: GPL-2.0-or-later */

/* fuzz-words: reads word lines and writes them again: what comes back is the same words. */

#include "fuzz.h"
#include "util/words.h"

static void check_line(char *const *words) {
        _cleanup_strv_free_ char **again = NULL;
        _cleanup_free_ char *line = NULL;
        size_t n = strv_length(words), size;
        FILE *f = open_memstream(&line, &size);

        FUZZ_ASSERT(f);
        FUZZ_ASSERT(n > 0 && n <= WORDS_MAX);
        words_writev(f, (const char *const *) words);
        FUZZ_ASSERT(fclose(f) == 0);

        FUZZ_ASSERT(size <= WORDS_LINE_MAX + 1 && line[size - 1] == '\n' &&
                    memchr(line, '\n', size) == line + size - 1);
        line[size - 1] = '\0';
        FUZZ_ASSERT(words_split(line, &again) == 0);
        FUZZ_ASSERT(strv_length(again) == n);
        for (size_t i = 0; i < n; i++)
                FUZZ_ASSERT(streq(words[i], again[i]));
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
        WordsReader reader = { .text = (const char *) data, .size = size };
        size_t position = 0;
        uint64_t v;

        for (;;) {
                _cleanup_strv_free_ char **words = NULL;
                int r = words_reader_next(&reader, &words);

                FUZZ_ASSERT(r == 1 || r == 0 || r == -EBADMSG);
                if (r <= 0)
                        break;
                FUZZ_ASSERT(reader.position > position && reader.position <= size);
                position = reader.position;
                check_line(words);
                if (parse_u64(words[0], UINT32_MAX, &v) >= 0)
                        FUZZ_ASSERT(v <= UINT32_MAX);
                if (parse_hex_u64(words[0], UINT16_MAX, &v) >= 0)
                        FUZZ_ASSERT(v <= UINT16_MAX);
        }
        return 0;
}
