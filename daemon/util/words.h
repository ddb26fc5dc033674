/* SPDX-License-Identifier: GPL-2.0-or-later */
#pragma once

/* words: the one text form of everything that gpuptd writes for itself: the worker's protocol, snapshots, the intent
 * journal, the records in /run and /var/lib. A line is words separated by single spaces, ended by a newline. In a word,
 * space, backslash and control characters are written \xNN, and the empty word is \-. So a line never contains a
 * newline of somebody's making, and a file can be read with cat. */

#include "util/cleanup.h"

/* Limits of what is read back: a line, and the words in it. Longer is -EBADMSG. */
#define WORDS_LINE_MAX 16384U
#define WORDS_MAX 512U

/* Writes one line; the arguments are const char*, ended by NULL (an empty string is a word, NULL is the end). Errors
 * stay in the stream (ferror()). */
void words_write(FILE *f, const char *first, ...) _sentinel_;
void words_writev(FILE *f, const char *const *words);

/* Splits a line (without its newline). *ret is a strv of at least one word. -EBADMSG if it is not of this form. */
int words_split(const char *line, char ***ret);

/* Reads a text line by line. */
typedef struct WordsReader {
        const char *text; /* weak */
        size_t size, position;
        unsigned line; /* of the last line read, from 1 */
} WordsReader;

/* 1 and the words of the next line, 0 at the end, -EBADMSG where the text is not of this form or ends in the middle of
 * a line. */
int words_reader_next(WordsReader *reader, char ***ret);

/* Reads a whole file of ours: the first line is `FORMAT 1`, the last one `end`, each one between is the handler's. -EBADMSG
 * where it is not that, or not whole; -EPROTONOSUPPORT for another version. */
int words_read_file(const char *text, size_t size, const char *format, int (*handler)(char *const *words, void *userdata),
                    void *userdata);

/* Names that go to systemd: of a service (systemd.unit(5)), with its suffix; of a session, as logind makes them. */
bool service_name_valid(const char *s);
bool session_id_valid(const char *s);

/* Strict decimal and hexadecimal numbers; -EINVAL for signs, blanks, junk behind, -ERANGE past max. */
int parse_u64(const char *s, uint64_t max, uint64_t *ret);
int parse_hex_u64(const char *s, uint64_t max, uint64_t *ret);
