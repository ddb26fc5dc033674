/* SPDX-License-Identifier: GPL-2.0-or-later */

/* help: the two tables of verbs and options as a page of text. */

#include "client/help.h"

#include <wchar.h>

#include "client/options.h"
#include "client/terminal.h"
#include "client/verbs.h"

#define LEFT_COLUMN 28

/* printf() counts bytes, the reader columns. */
static void print_row(const char *left, const char *right) {
        mbstate_t state = {};
        const char *p = left;
        size_t n;

        n = mbsrtowcs(NULL, &p, 0, &state);
        if (n == (size_t) -1)
                n = strlen(left);
        (void) printf("  %s%*s%s\n", left, n < LEFT_COLUMN ? (int) (LEFT_COLUMN - n) : 1, "", right);
}

static void print_title(const char *title) {
        (void) printf("\n%s%s%s\n", color_begin(stdout, COLOR_BOLD), title, color_end(stdout, COLOR_BOLD));
}

static void print_verb(const Verb *v) {
        const char *ellipsis = strstr(v->arguments, "…");
        char left[64];

        if (ellipsis)
                (void) snprintf(left, sizeof(left), "%s %.*s%s", v->name, (int) (ellipsis - v->arguments),
                                v->arguments, glyph_or("…", "..."));
        else
                (void) snprintf(left, sizeof(left), "%s%s%s", v->name, *v->arguments ? " " : "", v->arguments);
        print_row(left, v->description);
}

static void print_option(const OptionInfo *i) {
        char left[64], letter[8] = "   ";

        if (option_is_typed(i))
                (void) snprintf(letter, sizeof(letter), "-%c%c", i->letter, *i->name ? ',' : ' ');
        if (*i->name)
                (void) snprintf(left, sizeof(left), "%s --%s%s%s", letter, i->name, i->argument ? "=" : "",
                                strempty(i->argument));
        else
                (void) snprintf(left, sizeof(left), "%s", letter);
        print_row(left, i->description);
}

void help_print(void) {
        (void) printf("gpuptctl [OPTIONS%s] VERB [ARGUMENTS%s]\n\n"
                      "%sMove GPUs between the drivers of this host and VFIO, safely.%s\n",
                      glyph_or("…", "..."), glyph_or("…", "..."), color_begin(stdout, COLOR_BOLD),
                      color_end(stdout, COLOR_BOLD));

        print_title("Verbs:");
        for (const Verb *v = verb_table; v->name; v++)
                print_verb(v);

        print_title("Options:");
        for (const OptionInfo *i = option_table; i->name; i++)
                print_option(i);

        (void) puts("\nA GPU is named by its address (0000:01:00.0, 01:00.0, 01:00), the address of a companion,\n"
                    "its alias, or vendor:device if only one fits. Without a name the only GPU that comes into\n"
                    "question is taken. See gpuptctl(1) for the details.");
}
