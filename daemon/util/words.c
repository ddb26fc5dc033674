/* SPDX-License-Identifier: GPL-2.0-or-later */

/* words: reading and writing of word lines. Reading is strict: whatever does not fit the form is -EBADMSG, since these
 * files decide what is written to the kernel. */

#include "util/words.h"

#include <ctype.h>
#include <stdarg.h>

#define UNIT_NAME_MAX_LENGTH 255U /* systemd, basic/unit-name.h */
#define SESSION_ID_MAX_LENGTH 64U

static bool needs_escape(unsigned char c) {
        return c <= ' ' || c == '\\' || c == 0x7f;
}

static void write_word(FILE *f, const char *word) {
        if (!*word) {
                fputs("\\-", f);
                return;
        }
        for (const char *p = word; *p;) {
                size_t plain = 0;

                while (p[plain] && !needs_escape((unsigned char) p[plain]))
                        plain++;
                (void) fwrite(p, 1, plain, f);
                p += plain;
                if (*p)
                        fprintf(f, "\\x%02x", (unsigned char) *p++);
        }
}

void words_writev(FILE *f, const char *const *words) {
        for (const char *const *w = words; *w; w++) {
                if (w != words)
                        fputc(' ', f);
                write_word(f, *w);
        }
        fputc('\n', f);
}

void words_write(FILE *f, const char *first, ...) {
        va_list ap;

        write_word(f, first);
        va_start(ap, first);
        for (const char *w; (w = va_arg(ap, const char *));) {
                fputc(' ', f);
                write_word(f, w);
        }
        va_end(ap);
        fputc('\n', f);
}

static int hex_digit(char c) {
        if (c >= '0' && c <= '9')
                return c - '0';
        if (c >= 'a' && c <= 'f')
                return c - 'a' + 10;
        return -EBADMSG;
}

/* Unescapes one word of the given length into a new string. */
static int read_word(const char *s, size_t size, char **ret) {
        _cleanup_free_ char *word = NULL;
        size_t n = 0;

        if (size == 0)
                return -EBADMSG;
        word = malloc(size + 1);
        if (!word)
                return -ENOMEM;

        if (size == 2 && memcmp(s, "\\-", 2) == 0)
                size = 0;
        for (size_t i = 0; i < size; i++) {
                if (s[i] == '\\') {
                        int high, low;

                        if (size - i < 4 || s[i + 1] != 'x')
                                return -EBADMSG;
                        high = hex_digit(s[i + 2]);
                        low = hex_digit(s[i + 3]);
                        if (high < 0 || low < 0 || (high == 0 && low == 0))
                                return -EBADMSG;
                        word[n++] = (char) (high << 4 | low);
                        i += 3;
                } else if (needs_escape((unsigned char) s[i]))
                        return -EBADMSG;
                else
                        word[n++] = s[i];
        }
        word[n] = '\0';
        *ret = TAKE_PTR(word);
        return 0;
}

static int split_sized(const char *line, size_t size, char ***ret) {
        _cleanup_strv_free_ char **words = NULL;
        size_t n = 0, expected = 1;
        int r;

        if (size == 0 || size > WORDS_LINE_MAX)
                return -EBADMSG;
        for (size_t i = 0; i < size; i++)
                expected += line[i] == ' ';
        if (expected > WORDS_MAX)
                return -EBADMSG;
        words = calloc(expected + 1, sizeof(char *));
        if (!words)
                return -ENOMEM;

        for (size_t begin = 0;;) {
                const char *space = memchr(line + begin, ' ', size - begin);
                size_t end = space ? (size_t) (space - line) : size;

                r = read_word(line + begin, end - begin, words + n);
                if (r < 0)
                        return r;
                n++;
                if (!space)
                        break;
                begin = end + 1;
        }
        *ret = TAKE_PTR(words);
        return 0;
}

int words_split(const char *line, char ***ret) {
        return split_sized(line, strlen(line), ret);
}

int words_reader_next(WordsReader *reader, char ***ret) {
        const char *begin = reader->text + reader->position, *newline;
        size_t left = reader->size - reader->position;
        int r;

        if (left == 0)
                return 0;
        newline = memchr(begin, '\n', left);
        if (!newline || memchr(begin, '\0', (size_t) (newline - begin)))
                return -EBADMSG;
        r = split_sized(begin, (size_t) (newline - begin), ret);
        if (r < 0)
                return r;
        reader->position += (size_t) (newline - begin) + 1;
        reader->line++;
        return 1;
}

int words_read_file(const char *text, size_t size, const char *format, int (*handler)(char *const *words, void *userdata),
                    void *userdata) {
        WordsReader reader = { .text = text, .size = size };
        bool ended = false;
        int r;

        for (;;) {
                _cleanup_strv_free_ char **words = NULL;

                r = words_reader_next(&reader, &words);
                if (r < 0)
                        return r;
                if (r == 0)
                        return ended ? 0 : -EBADMSG;
                if (reader.line == 1) {
                        if (strv_length(words) != 2 || !streq(words[0], format))
                                return -EBADMSG;
                        if (!streq(words[1], "1"))
                                return -EPROTONOSUPPORT;
                        continue;
                }
                if (ended)
                        return -EBADMSG;
                ended = streq(words[0], "end") && !words[1];
                r = ended ? 0 : handler(words, userdata);
                if (r < 0)
                        return r == -E2BIG ? -EBADMSG : r;
        }
}

bool service_name_valid(const char *s) {
        size_t n = strlen(s);

        if (n > UNIT_NAME_MAX_LENGTH || n <= STRLEN(".service") || !streq(s + n - STRLEN(".service"), ".service"))
                return false;
        for (; *s; s++)
                if (!isalnum((unsigned char) *s) && !strchr(":-_.\\@", *s))
                        return false;
        return true;
}

/* login/logind-session.c session_id_valid(): letters and digits. */
bool session_id_valid(const char *s) {
        size_t n = strlen(s);

        if (n == 0 || n > SESSION_ID_MAX_LENGTH)
                return false;
        for (; *s; s++)
                if (!isalnum((unsigned char) *s))
                        return false;
        return true;
}

static int parse_number(const char *s, unsigned base, uint64_t max, uint64_t *ret) {
        unsigned long long v;
        char *end;

        if (!(base == 16 ? isxdigit((unsigned char) *s) : isdigit((unsigned char) *s)))
                return -EINVAL;
        if (base == 16 && s[0] == '0' && (s[1] | 0x20) == 'x')
                return -EINVAL;
        errno = 0;
        v = strtoull(s, &end, (int) base);
        if (*end)
                return -EINVAL;
        if (errno == ERANGE || v > max)
                return -ERANGE;
        *ret = v;
        return 0;
}

int parse_u64(const char *s, uint64_t max, uint64_t *ret) {
        return parse_number(s, 10, max, ret);
}

int parse_hex_u64(const char *s, uint64_t max, uint64_t *ret) {
        return parse_number(s, 16, max, ret);
}
