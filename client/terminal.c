/* SPDX-License-Identifier: GPL-2.0-or-later */

/* terminal: what the output device can show, and how text gets there unharmed. Prints nothing itself. */

#include "client/terminal.h"

#include <langinfo.h>
#include <sys/ioctl.h>
#include <time.h>

#include "util/cleanup.h"

static const char *const color_table[_COLOR_MAX] = {
        [COLOR_BOLD] = "\033[1m",
        [COLOR_DIM] = "\033[2m",
        [COLOR_RED] = "\033[1;31m",
        [COLOR_GREEN] = "\033[32m",
        [COLOR_YELLOW] = "\033[33m",
        [COLOR_BLUE] = "\033[34m",
        [COLOR_MAGENTA] = "\033[35m",
};

static bool is_dumb(void) {
        const char *term = getenv("TERM");

        return isempty(term) || streq(term, "dumb");
}

/* SYSTEMD_COLORS takes a boolean, or a number of colours of which 0 means none. */
static int colors_from_environment(void) {
        static const char *const off[] = { "0", "no", "n", "off", "f", "false" };
        const char *e = getenv("SYSTEMD_COLORS");

        if (!isempty(e) && !streq(e, "auto")) {
                for (size_t i = 0; i < ELEMENTSOF(off); i++)
                        if (streq(e, off[i]))
                                return false;
                return true;
        }
        if (!isempty(getenv("NO_COLOR")))
                return false;
        return -ENODATA;
}

static bool decide_colors(FILE *f) {
        int r;

        r = colors_from_environment();
        return r >= 0 ? r : isatty(fileno(f)) && !is_dumb();
}

bool terminal_colors(FILE *f) {
        static int on_stdout = -1, on_stderr = -1;
        int *cached = f == stdout ? &on_stdout : &on_stderr;

        if (*cached < 0)
                *cached = decide_colors(f);
        return *cached;
}

const char *color_sequence(Color c) {
        return color_table[c];
}

const char *color_begin(FILE *f, Color c) {
        return terminal_colors(f) ? strempty(color_table[c]) : "";
}

const char *color_end(FILE *f, Color c) {
        return terminal_colors(f) && color_table[c] ? "\033[0m" : "";
}

Color color_of_state(const char *state) {
        static const struct {
                const char *state;
                Color color;
        } map[] = {
                { "host", COLOR_GREEN },
                { "detached", COLOR_BLUE },
                { "assigned", COLOR_MAGENTA },
                { "partial", COLOR_YELLOW },
                { "absent", COLOR_DIM },
                { "unreachable", COLOR_RED },
                { "stuck", COLOR_RED },
        };

        for (size_t i = 0; i < ELEMENTSOF(map); i++)
                if (streq(map[i].state, state))
                        return map[i].color;
        return COLOR_NONE;
}

Color color_of_health(const char *health) {
        return streq(health, "ok")         ? COLOR_GREEN
               : streq(health, "degraded") ? COLOR_YELLOW
               : streq(health, "dead")     ? COLOR_RED
                                           : COLOR_NONE;
}

Color color_of_severity(const char *severity) {
        return streq(severity, "warning") ? COLOR_YELLOW : streq(severity, "error") ? COLOR_RED : COLOR_NONE;
}

bool terminal_can_redraw(FILE *f) {
        return isatty(fileno(f)) && !is_dumb();
}

unsigned terminal_columns(void) {
        static int columns = -1;
        struct winsize ws;
        unsigned long value;
        const char *e;

        if (columns >= 0)
                return (unsigned) columns;
        if (!isatty(STDOUT_FILENO))
                return (unsigned) (columns = 0);

        e = getenv("COLUMNS");
        value = e ? strtoul(e, NULL, 10) : 0;
        if (value > 0 && value <= INT16_MAX)
                columns = (int) value;
        else if (ioctl(STDOUT_FILENO, TIOCGWINSZ, &ws) >= 0 && ws.ws_col > 0)
                columns = ws.ws_col;
        else
                columns = 80;
        return (unsigned) columns;
}

static bool locale_is_utf8(void) {
        return streq(nl_langinfo(CODESET), "UTF-8");
}

const char *glyph_or(const char *glyph, const char *plain) {
        return locale_is_utf8() ? glyph : plain;
}

/* The length of the UTF-8 sequence at s and its code point, or 0 if there is no valid one. */
static size_t utf8_decode(const unsigned char *s, uint32_t *ret) {
        static const uint32_t smallest[] = { 0, 0, 0x80, 0x800, 0x10000 };
        size_t n = *s < 0x80 ? 1 : (*s & 0xe0) == 0xc0 ? 2 : (*s & 0xf0) == 0xe0 ? 3 : (*s & 0xf8) == 0xf0 ? 4 : 0;
        uint32_t c;

        if (n == 0)
                return 0;
        c = n == 1 ? *s : *s & (0x7fU >> n);
        for (size_t i = 1; i < n; i++) {
                if ((s[i] & 0xc0) != 0x80)
                        return 0;
                c = c << 6 | (s[i] & 0x3fU);
        }
        if (c < smallest[n] || c > 0x10ffff || (c >= 0xd800 && c <= 0xdfff))
                return 0;

        *ret = c;
        return n;
}

static bool is_harmless(uint32_t c, bool utf8) {
        if (c < 0x80)
                return c >= 0x20 && c != 0x7f;
        if (!utf8 || c < 0xa0)
                return false;
        /* line and paragraph separators; marks, embeddings, overrides and isolates of the writing direction */
        return !(c == 0x61c || c == 0x200e || c == 0x200f || (c >= 0x2028 && c <= 0x202e) ||
                 (c >= 0x2066 && c <= 0x2069));
}

char *text_escape(const char *s) {
        bool utf8 = locale_is_utf8();
        char *text, *t;

        text = t = malloc(4 * strlen(s) + 1);
        if (!text)
                return NULL;

        for (const unsigned char *p = (const unsigned char *) s; *p;) {
                uint32_t c;
                size_t n = utf8_decode(p, &c);

                if (n > 0 && is_harmless(c, utf8)) {
                        t = mempcpy(t, p, n);
                        p += n;
                        continue;
                }
                for (size_t i = 0; i < MAX(n, (size_t) 1); i++)
                        t += sprintf(t, "\\%03o", *p++);
        }
        *t = '\0';
        return text;
}

bool text_is_clean(const char *s) {
        uint32_t c;
        size_t n;

        for (const unsigned char *p = (const unsigned char *) s; *p; p += n) {
                n = utf8_decode(p, &c);
                if (n == 0 || !is_harmless(c, /* utf8= */ true))
                        return false;
        }
        return true;
}

const char *timestamp_format(char buffer[static TIMESTAMP_MAX], TimeForm form, uint64_t usec) {
        time_t sec = (time_t) (usec / 1000000U);
        size_t n = 0;
        struct tm tm;

        if (!localtime_r(&sec, &tm))
                return "?";

        switch (form) {
        case TIME_FULL:
                n = strftime(buffer, TIMESTAMP_MAX, "%a %Y-%m-%d %H:%M:%S %Z", &tm);
                break;
        case TIME_LOG:
                n = strftime(buffer, TIMESTAMP_MAX, "%b %d %H:%M:%S", &tm);
                break;
        case TIME_CLOCK:
                n = strftime(buffer, TIMESTAMP_MAX, "%H:%M:%S", &tm);
                break;
        }
        return n > 0 ? buffer : "?";
}
