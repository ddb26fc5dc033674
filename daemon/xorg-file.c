/* SPDX-License-Identifier: GPL-2.0-or-later */

#include "xorg-file.h"

#include <ctype.h>

#define SUFFIX ".conf"

/* It becomes a path, and a word of a command line. */
static bool name_valid(const char *s) {
        if (*s == '.' || *s == '-')
                return false;
        for (; *s; s++)
                if (!isalnum((unsigned char) *s) && !strchr("._+@-", *s))
                        return false;
        return true;
}

bool xorg_file_parse(const char *word, char ret_name[static XORG_NAME_MAX + 1], bool *ret_while_detached) {
        const char *name = startswith(word, XORG_DIRECTORY "/") ?: word, *colon = strchr(name, ':');
        size_t n = colon ? (size_t) (colon - name) : strlen(name);

        if (colon && !streq(colon, ":host") && !streq(colon, ":detached"))
                return false;
        if (n <= STRLEN(SUFFIX) || n > XORG_NAME_MAX || strncmp(name + n - STRLEN(SUFFIX), SUFFIX, STRLEN(SUFFIX)) != 0)
                return false;
        memcpy(ret_name, name, n);
        ret_name[n] = '\0';
        *ret_while_detached = colon && streq(colon, ":detached");
        return name_valid(ret_name);
}

bool xorg_file_valid(const char *word) {
        char name[XORG_NAME_MAX + 1];
        bool while_detached;

        return xorg_file_parse(word, name, &while_detached);
}
