/* SPDX-License-Identifier: GPL-2.0-or-later */

/* findings: the list itself, its groups, and what their checks share. The checks are in findings-*.c. */

#include "findings.h"

#include <stdarg.h>

#include "findings-check.h"

static const char *const finding_result_table[_FINDING_RESULT_MAX] = {
        [FINDING_OK] = "ok",
        [FINDING_WARN] = "warn",
        [FINDING_FAIL] = "fail",
};
DEFINE_STRING_TABLE(finding_result, FindingResult);

/* Another subject is another line here and a file of its own. */
static void (*const groups[])(Check *c) = {
        check_host,
        check_vfio,
        check_software,
        check_gpus,
        check_defaults,
        check_sleep,
};

/* The bytes of the UTF-8 sequence at p, 0 if it is none (RFC 3629). */
static size_t sequence_length(const unsigned char *p) {
        static const struct {
                unsigned char mask, lead;
                size_t n;
                uint32_t min;
        } forms[] = { { 0x80, 0, 1, 0 }, { 0xe0, 0xc0, 2, 0x80 }, { 0xf0, 0xe0, 3, 0x800 }, { 0xf8, 0xf0, 4, 0x10000 } };

        for (size_t i = 0; i < ELEMENTSOF(forms); i++) {
                uint32_t code = p[0] & (unsigned char) ~forms[i].mask;

                if ((p[0] & forms[i].mask) != forms[i].lead)
                        continue;
                for (size_t k = 1; k < forms[i].n; k++) {
                        if ((p[k] & 0xc0) != 0x80)
                                return 0;
                        code = code << 6 | (p[k] & 0x3f);
                }
                return code < forms[i].min || code > 0x10ffff || (code >= 0xd800 && code <= 0xdfff) ? 0 : forms[i].n;
        }
        return 0;
}

/* The bus carries valid UTF-8 only, and a line is one line; what files and cards say may be anything. */
static void scrub(char *s) {
        for (unsigned char *p = (unsigned char *) s; *p;) {
                size_t n = sequence_length(p);

                if (n == 0 || *p < ' ' || *p == 0x7f) {
                        *p++ = '?';
                        continue;
                }
                p += n;
        }
}

void found(Check *c, const char *id, FindingResult result, char *hint, const char *format, ...) {
        _cleanup_free_ char *owned = hint ?: strdup(""), *summary = NULL;
        Finding *list;
        va_list ap;

        va_start(ap, format);
        if (vasprintf(&summary, format, ap) < 0)
                summary = NULL;
        va_end(ap);
        list = reallocarray(c->out->list, c->out->n + 1, sizeof(Finding));
        if (list)
                c->out->list = list;
        if (!list || !owned || !summary) {
                c->out->out_of_memory = true;
                return;
        }
        scrub(summary);
        scrub(owned);
        list[c->out->n++] = (Finding) { id, result, TAKE_PTR(summary), TAKE_PTR(owned) };
}

char *hintf(const char *format, ...) {
        char *s = NULL;
        va_list ap;

        va_start(ap, format);
        if (vasprintf(&s, format, ap) < 0)
                s = NULL;
        va_end(ap);
        return s;
}

const char *next_option(const Check *c, size_t *position, char *buf, size_t size) {
        const char *line = c->in->survey && c->in->survey->cmdline ? c->in->survey->cmdline : "";
        size_t n;

        line += *position;
        line += strspn(line, " \t\n");
        n = strcspn(line, " \t\n");
        if (n == 0)
                return NULL;
        (void) snprintf(buf, size, "%.*s", (int) n, line);
        *position = (size_t) (line + n - (c->in->survey->cmdline));
        return buf;
}

bool has_option(const Check *c, const char *option) {
        char word[256];
        size_t position = 0;

        while (next_option(c, &position, word, sizeof(word)))
                if (streq(word, option))
                        return true;
        return false;
}

const char *option_value(const char *word, const char *name) {
        for (; *name; name++, word++)
                if (*word != *name && !(*word == '-' && *name == '_'))
                        return NULL;
        return *word == '=' ? word + 1 : NULL;
}

const FindingsGpu *gpu_of(const Check *c, const char *address) {
        for (size_t i = 0; i < c->in->n_gpus; i++)
                if (strv_contains(c->in->gpus[i].functions, address))
                        return c->in->gpus + i;
        return NULL;
}

char *join_list(char *const *list, const char *separator) {
        char *s = NULL;
        size_t size;
        FILE *f = open_memstream(&s, &size);

        if (!f)
                return NULL;
        for (char *const *p = list; p && *p; p++)
                fprintf(f, "%s%s", p == list ? "" : separator, *p);
        if (fclose(f) == 0)
                return s;
        free(s);
        return NULL;
}

/* What could not be looked at comes first: what follows is to be read with that in mind. */
static void check_survey(Check *c) {
        const Survey *s = c->in->survey;

        if (!s)
                found(c, "check.survey", FINDING_WARN,
                      hintf("The list lacks what is read from files: command line, modules, configuration. See "
                           "journalctl -u gpuptd.service, and try again."),
                      "Reading the configuration of the host %s", strempty(c->in->survey_problem));
        for (char *const *file = s ? s->incomplete : NULL; file && *file; file++)
                found(c, "check.survey", FINDING_WARN, hintf("Look at the rest by yourself."),
                      "%s is too large, and was not read to its end", *file);
}

int findings_make(const FindingsInput *in, Findings **ret) {
        _cleanup_(findings_freep) Findings *f = calloc(1, sizeof(Findings));
        Check c = { .in = in, .out = f };

        if (!f)
                return -ENOMEM;
        check_survey(&c);
        for (size_t i = 0; i < ELEMENTSOF(groups); i++)
                groups[i](&c);
        if (f->out_of_memory)
                return -ENOMEM;
        *ret = TAKE_PTR(f);
        return 0;
}

Findings *findings_free(Findings *f) {
        if (!f)
                return NULL;
        for (size_t i = 0; i < f->n; i++) {
                free(f->list[i].summary);
                free(f->list[i].hint);
        }
        free(f->list);
        free(f);
        return NULL;
}
