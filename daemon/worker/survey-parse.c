/* SPDX-License-Identifier: GPL-2.0-or-later */

/* survey-parse: small readers, each for one form of text. They keep what the readiness check judges and pass over the
 * rest, as the programs that the files are for do with what they do not know. */

#include "worker/survey-parse.h"

#include <inttypes.h>

#define BLANK " \t\r"

/* Module names are the same with dashes and with underscores: kmod, libkmod-util.c underscores(). */
static void put_underscores(char *name) {
        for (char *p = name; *p; p++)
                if (*p == '-')
                        *p = '_';
}

/* The next line of *text without its newline, joined with the next one where it ends in a backslash; NULL at the end.
 * *line is the number of the line that it began in, *next of the one behind it. */
static char *next_line(char **text, unsigned *line, unsigned *next) {
        char *begin = *text, *to = begin, *from = begin;

        if (!*begin)
                return NULL;
        *line = *next;
        for (; *from && *from != '\n'; from++) {
                if (from[0] == '\\' && from[1] == '\n') {
                        from++;
                        (*next)++;
                        *to++ = ' ';
                        continue;
                }
                *to++ = *from;
        }
        *text = *from ? from + 1 : from;
        (*next)++;
        *to = '\0';
        return begin;
}

/* The next word of *p, ended in place; "" if there is none. */
static char *next_word(char **p) {
        char *word = *p + strspn(*p, BLANK), *end = word + strcspn(word, BLANK);

        *p = *end ? end + 1 : end;
        *end = '\0';
        return word;
}

/* What is left of the line, without blanks around it. */
static char *rest(char *p) {
        size_t n;

        p += strspn(p, BLANK);
        for (n = strlen(p); n > 0 && strchr(BLANK, p[n - 1]); n--)
                ;
        p[n] = '\0';
        return p;
}

int survey_parse_modprobe(Survey *s, const char *file, char *text) {
        unsigned number = 0, next = 1;
        char *line;

        while ((line = next_line(&text, &number, &next))) {
                char *word = next_word(&line), *subject;
                SettingKind kind = setting_kind_from_string(word);
                int r;

                if (kind < 0 || kind > SETTING_SOFTDEP)
                        continue;
                subject = next_word(&line);
                if (!*subject)
                        continue;
                if (kind != SETTING_ALIAS)
                        put_underscores(subject);
                r = survey_add_setting(s, kind, file, number, subject, rest(line));
                if (r < 0)
                        return r;
        }
        return 0;
}

int survey_parse_load(Survey *s, const char *file, char *text) {
        unsigned number = 0, next = 1;
        char *line;

        while ((line = next_line(&text, &number, &next))) {
                char *module = next_word(&line);
                int r;

                if (!*module || strchr("#;", *module))
                        continue;
                put_underscores(module);
                r = survey_add_setting(s, SETTING_LOAD, file, number, module, rest(line));
                if (r < 0)
                        return r;
        }
        return 0;
}

int survey_parse_initramfs(Survey *s, const char *file, char *text) {
        static const char *const variables[] = { "MODULES=", "MODULES+=", "add_drivers+=", "force_drivers+=" };
        unsigned number = 0, next = 1;
        char *line;

        while ((line = next_line(&text, &number, &next))) {
                const char *list = NULL;
                char *save = NULL;

                for (size_t i = 0; i < ELEMENTSOF(variables) && !list; i++)
                        list = startswith(line + strspn(line, BLANK), variables[i]);
                if (!list)
                        continue;
                for (char *module = strtok_r(line + (list - line), BLANK "\"'()", &save); module && *module != '#';
                     module = strtok_r(NULL, BLANK "\"'()", &save)) {
                        int r;

                        put_underscores(module);
                        r = survey_add_setting(s, SETTING_LOAD, file, number, module, "");
                        if (r < 0)
                                return r;
                }
        }
        return 0;
}

/* The first quoted text; "" if there is none. */
static char *quoted(char *p) {
        char *begin = strchr(p, '"'), *end = begin ? strchr(begin + 1, '"') : NULL;

        if (!end)
                return p + strlen(p);
        *end = '\0';
        return begin + 1;
}

int survey_parse_xorg(Survey *s, const char *file, char *text) {
        unsigned number = 0, next = 1;
        bool device = false;
        char *line;

        while ((line = next_line(&text, &number, &next))) {
                char *word = next_word(&line);
                SettingKind kind;
                int r;

                if (strcasecmp(word, "Section") == 0)
                        device = strcasecmp(quoted(line), "Device") == 0;
                else if (strcasecmp(word, "EndSection") == 0)
                        device = false;
                if (!device || (strcasecmp(word, "BusID") != 0 && strcasecmp(word, "Driver") != 0))
                        continue;
                kind = strcasecmp(word, "BusID") == 0 ? SETTING_XORG_BUS_ID : SETTING_XORG_DRIVER;
                r = survey_add_setting(s, kind, file, number, quoted(line), "");
                if (r < 0)
                        return r;
        }
        return 0;
}

/* "kernel/drivers/vfio/pci/vfio-pci.ko.xz: …": the last component up to its first dot. */
bool survey_list_has_module(const char *text, const char *name) {
        while (*text) {
                size_t path = strcspn(text, ":\n");
                const char *base = text, *n = name;

                for (const char *p = text; p < text + path; p++)
                        if (*p == '/')
                                base = p + 1;
                while (*n && base < text + path && (*base == *n || (*base == '-' && *n == '_'))) {
                        base++;
                        n++;
                }
                if (!*n && base < text + path && *base == '.')
                        return true;
                text += strcspn(text, "\n");
                text += *text == '\n';
        }
        return false;
}

/* "0x00000000e0000000 0x00000000efffffff 0x000000000014220c", a line for each: drivers/pci/pci-sysfs.c resource_show(). */
uint64_t survey_bar_size(const char *text, unsigned index) {
        uint64_t start, end;

        for (unsigned i = 0; i < index; i++) {
                text = strchr(text, '\n');
                if (!text)
                        return 0;
                text++;
        }
        if (sscanf(text, "%" SCNx64 " %" SCNx64, &start, &end) != 2 || end <= start)
                return 0;
        return end - start + 1;
}

/* "0x00000000000e0000 0x00000000000fffff direct": drivers/iommu/iommu.c iommu_group_show_resv_regions(). Those that are
 * "direct-relaxable" do not keep VFIO away. */
bool survey_has_direct_region(const char *text) {
        while (*text) {
                size_t n = strcspn(text, "\n");

                if (n > STRLEN(" direct") && memcmp(text + n - STRLEN(" direct"), " direct", STRLEN(" direct")) == 0)
                        return true;
                text += n + (text[n] == '\n');
        }
        return false;
}
